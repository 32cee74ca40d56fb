"""The catalogue of models: the rows of shapes/*.toml, found by name.

A row's `config` is what the publisher's config.json says (the fields that shape the network); TOML has no null, so "none"
stands for it. Where a shape comes from another place, or is written as another model_type of the same shape, the row says so.
"""

import re
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from profiler.catalog.config import from_hf_config
from profiler.spec.model import ModelSpec, Origin

DEFAULT = "smollm2-135m"

# Words of a name that say how a checkpoint was tuned or packed; its shape is the base model's.
SHAPELESS = frozenset(("base", "chat", "hf", "instruct", "it", "meta", "pt", "reasoning", "text", "thinking"))
FOLDER = Path(__file__).with_name("shapes")


@dataclass(frozen=True, eq=False)
class Row:
    """One model of the catalogue."""

    id: str
    name: str
    family: str  # the series it belongs to, as a person calls it
    released: int  # year
    parameters: int  # of the published checkpoint
    config: dict[str, Any]
    hub: str = ""  # empty: no checkpoint was published
    source: str = ""  # of the shape; empty: the config.json of `hub`
    origin: Origin = "random"  # where its weights come from here, without a network
    aliases: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Everything a person may call it."""
        return [self.id, self.name, *self.aliases]

    def spec(self, *, random: bool = False) -> ModelSpec:
        """The model as it can be had here; `random` asks for its shape with random weights."""
        return _spec(self, random)


@cache
def rows() -> dict[str, Row]:
    """All models by id, the default first."""
    tables = [tomllib.loads(file.read_text("utf-8")) for file in sorted(FOLDER.glob("*.toml"))]
    found = {id: Row(id=id, **row | {"config": _with_nulls(row["config"])}) for table in tables for id, row in table.items()}
    return {DEFAULT: found[DEFAULT]} | found


def find(name: str) -> Row | None:
    """The model of that name. Case, spaces and hyphens do not matter, nor words as in -instruct; a size is never guessed."""
    words = _words(name)
    id = _index().get(_joined(words)) or _index().get(_joined([word for word in words if word not in SHAPELESS]))
    return rows()[id] if id else None


def nearest(name: str) -> list[str]:
    """Ids of the models, at most three, one of whose names looks like `name`."""
    close = get_close_matches(_plain(name), _index(), n=12, cutoff=0.6)
    return list(dict.fromkeys(_index()[key] for key in close))[:3]


@cache
def _spec(row: Row, random: bool) -> ModelSpec:
    origin: Origin = "random" if random else row.origin
    trained_here = row.origin != "random"
    reference = f"random:{row.id}" if random and trained_here else row.id
    return from_hf_config(row.config, name=row.name, reference=reference, origin=origin)


@cache
def _index() -> dict[str, str]:
    """Every name of every row, plainly spelled → id."""
    return {_plain(name): row.id for row in rows().values() for name in row.names}


def _plain(name: str) -> str:
    return _joined(_words(name))


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+(?:\.\d+)*|/", name.lower().replace("+", " plus"))


def _joined(words: list[str]) -> str:
    """Without the gaps that writers differ in; the gap between two numbers stays, since gemma-3-1b is not gemma-31b."""
    return re.sub(r"(?<=\d) (?=\d)", "_", " ".join(words)).replace(" ", "")


def _with_nulls(config: dict[str, Any]) -> dict[str, Any]:
    return {key: None if value == "none" else value for key, value in config.items()}
