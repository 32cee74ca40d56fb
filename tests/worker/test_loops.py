"""The loops around a model: whatever they keep, guess or chunk, the answer is that of plain greedy decoding."""

import pytest
import torch

from profiler.spec.run import Setup
from profiler.spec.speculation import Speculation
from profiler.spec.work import Generate
from profiler.worker import answers, batches, speculating
from profiler.worker.decoding import Decoding, NoCache, WholeCache
from profiler.worker.engines.native import load
from profiler.worker.loading import open_model
from profiler.worker.speculating import PromptLookup, Speculating
from tests.worker.reading import Heard, job, reader

PROMPT, NEW = 24, 20
GUESSERS = {
    "from the prompt": Speculation(guesser="prompt-lookup", tokens=4),
    "one at a time": Speculation(guesser="prompt-lookup", tokens=1),
    "more than the answer": Speculation(guesser="prompt-lookup", tokens=32),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model in float32."""
    return reader(tmp_path_factory.mktemp("reader"))


def prompt(batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(2, 900, (batch, PROMPT), generator=generator)


def said(decoding: Decoding, count: int = NEW) -> list[int]:
    """The tokens of a prefill and steps, at least `count`."""
    with torch.inference_mode():
        decoding.prefill()
        decoding.timed_steps(count - 1)
    return [int(token) for token in decoding.said[:count]]


def plain(folder) -> list[int]:
    return said(Decoding(open_model(folder, "reader", Setup()), prompt(), Setup()))


def guessing(folder, tmp_path, speculation: Speculation, work: Generate | None = None) -> Speculating:
    """The decoding that the engine makes."""
    asked = work or Generate(prompt_tokens=PROMPT, new_tokens=NEW)
    engine = load(job(folder, asked, tmp_path, speculation=speculation), Heard())
    made = engine.decoding(prompt())
    assert isinstance(made, Speculating)
    return made


@pytest.mark.parametrize("speculation", GUESSERS.values(), ids=GUESSERS)
def test_guessing_ahead_writes_exactly_the_same(folder, tmp_path, speculation):
    """Speculative decoding is lossless: every token is the one that plain greedy decoding writes, twice in a row."""
    made = guessing(folder, tmp_path, speculation)

    assert said(made) == said(made) == plain(folder)


def test_a_draft_model_changes_nothing_but_the_passes(folder, tmp_path):
    """The model as its own draft: all guesses are right, a pass makes five tokens; another draft: fewer, and the same text."""
    same = guessing(folder, tmp_path, Speculation(guesser="draft", draft=str(folder), tokens=4))
    other = guessing(folder, tmp_path, Speculation(guesser="draft", draft=str(reader(tmp_path / "other", layers=1)), tokens=4))

    assert said(same) == said(other) == plain(folder)
    assert same.facts["right"] == same.facts["guesses"]
    assert same.facts["made"] == 5 * same.facts["passes"]
    assert other.facts["right"] < other.facts["guesses"]


def test_tokens_share_the_time_of_all_passes(folder, tmp_path, monkeypatch):
    """A pass of a second that makes five tokens: a token takes a fifth of it, those too that nobody has asked for yet."""

    def second(call) -> float:
        call()
        return 1.0

    monkeypatch.setattr(speculating, "seconds_of", second)
    made = guessing(folder, tmp_path, Speculation(guesser="draft", draft=str(folder), tokens=4))
    with torch.inference_mode():
        made.prefill()
        seconds = [*made.timed_steps(7), *made.timed_steps(2), *made.timed_steps(6)]

    assert seconds == [pytest.approx(0.2)] * 15
    assert made.facts["passes"] == 3


def test_prompt_lookup_finds_what_followed_before():
    """The latest place of the longest ending counts; what never stood there before brings no guess."""
    look = PromptLookup()

    assert look.guess([1, 2, 3, 4, 9, 1, 2, 3], 2) == [4, 9]
    assert look.guess([5, 3, 8, 3, 7, 3], 3) == [7, 3]
    assert look.guess([1, 2, 3], 4) == []


def test_a_draft_with_other_tokens_is_refused(folder, tmp_path, tiny_folder):
    """One sentence that names both vocabularies."""
    with pytest.raises(ValueError, match="has 256 tokens, the model 1,200"):
        guessing(folder, tmp_path, Speculation(guesser="draft", draft=str(tiny_folder)))


def test_what_cannot_guess_is_refused_before_it_loads(folder, tmp_path):
    """Two sequences at once; and 4-bit guesses in float32."""
    with pytest.raises(ValueError, match="one sequence at a time"):
        guessing(folder, tmp_path, GUESSERS["one at a time"], Generate(batch=2))
    with pytest.raises(ValueError, match="take dtype bfloat16"):
        guessing(folder, tmp_path, Speculation(guesser="self-int4"))


@pytest.mark.parametrize(
    ("kind", "setup"),
    [(WholeCache, {"cache": "static"}), (NoCache, {"cache": "none"}), (Decoding, {"chunk": 5}), (Decoding, {"prefix": 10})],
    ids=["static cache", "no cache", "chunks", "prefix"],
)
def test_every_loop_writes_the_same(folder, kind, setup):
    """In float32 the tokens are those of the plain loop, at the first time and when it starts over."""
    made = kind(open_model(folder, "reader", Setup()), prompt(), Setup(**setup), NEW + 8)

    assert said(made) == said(made) == plain(folder)


def test_a_kept_prefix_is_read_once(folder):
    """The second prefill passes only what comes after the prefix."""
    model = open_model(folder, "reader", Setup())
    made, seen = Decoding(model, prompt(), Setup(prefix=10)), []
    model.model.register_forward_hook(lambda module, args, kwargs, out: seen.append(out[0].shape[1]), with_kwargs=True)

    said(made, 2)
    said(made, 2)

    assert seen == [10, 14, 1, 14, 1]


CHECKED = Generate(prompt_tokens=PROMPT, new_tokens=8, check=True, batches=(2, 3))


def compared(folder, tmp_path, **setup) -> dict[str, float]:
    """What the check of an answer tells."""
    asked, channel = job(folder, CHECKED, tmp_path, **setup), Heard()
    engine = load(asked, channel)
    return answers.compare(asked, channel, engine, prompt()[0], said(engine.decoding(prompt()), 8))


def test_the_reference_agrees_with_itself(folder, tmp_path):
    """In float32 all tokens are the same and the logits too, also when the reference is read from the cache."""
    for _ in range(2):
        found = compared(folder, tmp_path)

        assert (found["answer_tokens"], found["answer_same"], found["answer_gap"]) == (8, 8, 0)
        assert found["answer_error"] < 1e-5
    assert len(list((tmp_path / "references").iterdir())) == 1


def test_another_answer_is_seen(folder, tmp_path):
    """A model without half of its layers says something else: the logits are far, the tokens part, and the gap is told."""
    found = compared(folder, tmp_path, pruning={"method": "layers", "share": 0.5})

    assert found["answer_error"] > 0.1
    assert found["answer_same"] < 8
    assert found["answer_gap"] > 0


def test_each_batch_has_a_throughput(folder, tmp_path):
    """One point for each size that was asked for, in tokens per second over all sequences."""
    asked, channel = job(folder, CHECKED, tmp_path), Heard()
    with torch.inference_mode():
        batches.measure(asked, channel, load(asked, channel))

    points = channel.of("point")
    assert [(point.curve, point.x) for point in points] == [("throughput", 2), ("throughput", 3)]
    assert all(point.value > 0 for point in points)
