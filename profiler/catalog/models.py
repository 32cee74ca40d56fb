"""The catalogue of models: models.toml, one row each, found by name."""

import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from profiler.catalog.config import from_hf_config
from profiler.spec.model import ModelSpec, Origin

DEFAULT = "smollm2-135m"


@dataclass(frozen=True)
class Row:
    """One model of the catalogue."""

    id: str
    name: str
    hub: str
    parameters: int  # of the published checkpoint
    config: dict[str, Any]
    origin: Origin = "random"  # where its weights come from here, without a network
    aliases: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Everything a person may call it."""
        return [self.id, self.name, *self.aliases]

    def spec(self, *, random: bool = False) -> ModelSpec:
        """The model as it can be had here; `random` asks for its shape with random weights."""
        origin: Origin = "random" if random else self.origin
        trained_here = self.origin != "random"
        reference = f"random:{self.id}" if random and trained_here else self.id
        return from_hf_config(self.config, name=self.name, reference=reference, origin=origin)


@cache
def rows() -> dict[str, Row]:
    """All models, by id."""
    table = tomllib.loads(Path(__file__).with_name("models.toml").read_text("utf-8"))
    return {id: Row(id=id, **row) for id, row in table.items()}


def find(name: str) -> Row | None:
    """The model of that name: case, spaces, dots and hyphens do not matter."""
    wanted = _plain(name)
    return next((row for row in rows().values() if wanted in map(_plain, row.names)), None)


def nearest(name: str) -> list[str]:
    """Ids that look like `name`."""
    return get_close_matches(name.lower(), rows(), n=3, cutoff=0.6)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter == ".")
