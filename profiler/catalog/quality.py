"""What others measured of compressed models: the tables of quality/*.toml, each with its source.

Perplexities of different tests are not comparable; what is, is the rise over the same table's uncompressed model.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("quality")
SPEED = "speed"  # the one table whose values are tokens/s


@dataclass(frozen=True)
class Score:
    """One method."""

    method: str
    bits: float  # of a weight on average; 0 where that is not told
    value: float  # perplexity, or tokens/s in the table of speeds
    divergence: float | None = None  # nats


@dataclass(frozen=True)
class Table:
    """One model under one test."""

    id: str
    model: str
    test: str
    source: str
    note: str
    baseline: str
    scores: tuple[Score, ...]

    def score(self, method: str) -> Score:
        """A row. Raises KeyError for a method that this table does not have."""
        return {score.method: score for score in self.scores}[method]

    def rise(self, score: Score) -> float:
        """By which share the perplexity rose over the uncompressed model: 0.02 is 2 %."""
        return score.value / self.score(self.baseline).value - 1

    @property
    def lossy(self) -> list[Score]:
        """All but the uncompressed model, the widest first."""
        return sorted((score for score in self.scores if score.method != self.baseline), key=lambda score: -score.bits)


@cache
def tables() -> dict[str, Table]:
    """All tables by id."""
    found = {}
    for file in sorted(FOLDER.glob("*.toml")):
        for id, row in tomllib.loads(file.read_text("utf-8")).items():
            found[id] = Table(id=id, scores=tuple(Score(*score) for score in row.pop("rows")), **row)
    return found
