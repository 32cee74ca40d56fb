"""Two answers to one prompt, by one model compressed in two ways: how fast each came, and how far they are the same."""

from dataclasses import dataclass
from functools import cached_property

from profiler.analysis.compression import title_of
from profiler.record.events import Said
from profiler.record.run import Run
from profiler.spec.methods import BASELINE, method_of, with_method
from profiler.spec.model import ModelSpec
from profiler.spec.run import RunSpec, Setup
from profiler.spec.units import number, words
from profiler.spec.work import Write

PREFIX = "duel-"
FELT = 1.05  # times as fast: less is as fast


def name_of(id: str) -> str:
    """What the two runs are part of in the store."""
    return f"{PREFIX}{id}"


def plan(model: ModelSpec, setup: Setup, prompt: str, methods: tuple[str, str], new_tokens: int) -> list[RunSpec]:
    """The two runs. Raises ValueError of one sentence for random weights, or for an empty prompt."""
    if not model.trained:
        raise ValueError(f"{model.name} has random weights here, so its answers mean nothing; choose a model with trained weights.")
    if not prompt.strip():
        raise ValueError("The prompt is empty; write what the model shall answer.")
    work = Write(prompt=prompt.strip(), new_tokens=new_tokens)
    return [RunSpec(model=model, work=work, setup=with_method(setup, name)) for name in methods]


@dataclass(frozen=True)
class Side:
    """One answer, finished or on its way."""

    run: Run

    @cached_property
    def pieces(self) -> list[Said]:
        """What came so far."""
        return self.run.of(Said)

    @property
    def title(self) -> str:
        """How the method is called."""
        return title_of(self.run.spec)

    @property
    def text(self) -> str:
        """So far."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def first(self) -> float | None:
        """Seconds until the first piece was there, the prompt's reading included."""
        return self.pieces[0].seconds if self.pieces else None

    @property
    def rate(self) -> float | None:
        """Tokens/s after the first piece, whose time is that of reading the prompt."""
        later = self.pieces[1:]
        seconds = sum(piece.seconds for piece in later)
        return sum(piece.tokens for piece in later) / seconds if seconds else None

    @property
    def tokens(self) -> int:
        """Written so far."""
        return sum(piece.tokens for piece in self.pieces)

    @property
    def told(self) -> str:
        """Speed in one line; empty before there is any."""
        if self.first is None:
            return ""
        speed = f"{words(self.rate, 'tok/s')} · " if self.rate else ""
        return f"{speed}first token after {words(self.first, 's')} · {self.tokens} tokens"


def shared(one: str, other: str) -> int:
    """How many words both texts begin with alike."""
    pairs = zip(one.split(), other.split())
    return next((count for count, (left, right) in enumerate(pairs) if left != right), min(len(one.split()), len(other.split())))


def _how(side: Side) -> str:
    """How it was held, inside a sentence."""
    return side.title if method_of(side.run.spec.setup) == BASELINE else f"with {side.title}"


def outcome(left: Side, right: Side) -> str:
    """Both answers compared, in one sentence."""
    if left.rate is None or right.rate is None:
        return "Too little was written to compare them."
    same = shared(left.text, right.text)
    ratio = right.rate / left.rate
    if 1 / FELT < ratio < FELT:
        speed = "Both are as fast"
    else:
        quick, slow = (right, left) if ratio > 1 else (left, right)
        speed = f"{number(max(ratio, 1 / ratio), 2)} times as fast {_how(quick)} as {_how(slow)}"
    if left.text.split() == right.text.split():
        return f"{speed}; both wrote the same {same} words"
    return f"{speed}; {f'the first {same} words are the same' if same else 'they differ from the first word on'}"
