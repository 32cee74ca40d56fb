"""Hand-made races: runs whose first round is told token by token."""

from profiler.analysis.experiment import Experiment, name_of
from profiler.record.events import Entered, Event, Failed, Finished, Started, Step
from profiler.record.run import Run, fold
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate
from tests.builders import MACHINE, SPEC

ANSWER = (
    "The sky is blue because the air scatters short waves of light more than long ones. At noon blue comes from everywhere, and in the "
    "evening its way through the air is so long that mostly red is left of the sun.\nThat is what Rayleigh found."
)
WORDS = tuple(f" {word}" if place else word for place, word in enumerate(ANSWER.split(" ")))
BABBLE = tuple(f" {word}" for word in ("the the sky the of of a blue the and the sky sky of it it the the " * 4).split())
# title → seconds of the prompt, seconds of a token, how each token reads
ENGINES = {
    "llama.cpp": (0.12, 0.016, WORDS),
    "OpenVINO": (0.09, 0.021, WORDS),
    "CTranslate2": (0.16, 0.024, ()),
    "ONNX Runtime": (0.10, 0.012, BABBLE),
    "transformers, compiled": (0.22, 0.035, WORDS),
    "transformers, eager attention without a cache": (0.22, 0.062, WORDS),
}
WRONG = "Of 32 tokens only the first 3 are those of the uncompressed model in float32"


def spec(number: int, tokens: int = 32) -> RunSpec:
    """One of many: they differ by their threads."""
    return RunSpec(model=SPEC.model, work=Generate(prompt_tokens=128, new_tokens=tokens), setup=Setup(threads=number + 1))


def raced(
    number: int, first: float, gap: float, texts=(), *, tokens: int = 32, told: int | None = None, status: str = "finished", rounds: int = 1
) -> Run:
    """A run of which `told` tokens (all, if not said) are there; its blocks hold ten tokens each."""
    told = tokens if told is None else told
    events: list[Event] = [Started(at=0, hardware=MACHINE, versions={}, warm=True), Entered(at=1, name="warm-up")]
    for round in range(rounds if told else 0):
        events.append(Step(at=2, name="prefill", seconds=(first,), round=round, texts=texts[:1]))
        for begin in range(1, told, 10):
            last = min(begin + 10, told)
            events.append(Step(at=3, name="decode", seconds=(gap,) * (last - begin), round=round, texts=texts[begin:last]))
    if status == "finished":
        events.append(Finished(at=9))
    elif status in ("failed", "cancelled"):
        events.append(Failed(at=9, status=status, reason="The memory does not suffice; take a smaller model."))
    events = [] if status == "queued" else events
    return fold(f"run-{number}", spec(number, tokens), status, 0.0, events)


def titled(asked: RunSpec) -> str:
    """The engine of one of these runs."""
    return list(ENGINES)[asked.setup.threads - 1]


def wrong(run: Run) -> str:
    """ONNX Runtime babbles here."""
    return WRONG if titled(run.spec) == "ONNX Runtime" and run.done else ""


def race(live: bool = False, stage: int = 0, whole: str = "test", slower: float = 1.0, tokens: int = 32) -> Experiment:
    """All engines; live: two are over, one writes (more at each stage), one has failed, two wait."""
    states = [("finished", None), ("finished", None), ("running", 10 * stage), ("failed", 0), ("queued", 0), ("queued", 0)]
    runs = []
    for number, (first, gap, texts) in enumerate(ENGINES.values()):
        status, told = states[number] if live else ("finished", None)
        runs.append(raced(number, slower * first, slower * gap, texts, tokens=tokens, told=told, status=status))
    return Experiment(name_of("engines", whole), tuple(runs))
