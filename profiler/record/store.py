"""The store: runs, their events and the ceilings, in one SQLite file that several processes share (WAL).

A row is written by the process that owns the run, and read by everybody. Cancelling is the one thing that anybody may
ask of anybody's run: a mark in the row, which the owner sees within a fraction of a second.
"""

import secrets
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
from pydantic import BaseModel, ValidationError

from profiler.record.events import EVENT, VERSION, Event, Failed
from profiler.record.paths import data_folder
from profiler.record.run import DONE, Run, fold
from profiler.spec.frozen import sentence
from profiler.spec.machine import Ceilings
from profiler.spec.run import RunSpec

SCHEMA = """
create table if not exists runs (
    id text primary key, spec text not null, status text not null, created real not null, source text not null,
    owner integer not null, owner_started real not null, cancel integer not null default 0, part_of text not null
);
create index if not exists runs_by_whole on runs (part_of);
create index if not exists runs_by_time on runs (created);
create table if not exists events (
    run text not null references runs (id) on delete cascade, seq integer not null, event text not null,
    primary key (run, seq)
) without rowid;
create table if not exists ceilings (key text primary key, at real not null, value text not null);
"""
IMPORT_LIMIT = 64 << 20  # bytes of one imported run: far beyond any real one


class Exported(BaseModel):
    """One run as a file: everything that is needed to show it elsewhere."""

    format: str = "need-for-speed run"
    version: int = VERSION
    id: str
    created: float
    status: str
    spec: RunSpec
    events: list[Event]


class Store:
    """All runs of this user. Threads may share one object: each call opens its own connection."""

    def __init__(self, path: Path | None = None):
        self.path = path or data_folder() / f"runs-{VERSION}.sqlite"  # another format is another file
        with closing(self._connect()) as db, db:
            db.execute("pragma journal_mode = wal")
            db.executescript(SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30)
        db.execute("pragma synchronous = normal")
        db.execute("pragma foreign_keys = on")
        return db

    def _ask(self, query: str, *values) -> list[tuple]:
        with closing(self._connect()) as db, db:
            return db.execute(query, values).fetchall()

    # runs

    def add(self, spec: RunSpec, source: str = "app", part_of: str = "") -> str:
        """A new queued run, owned by this process; its id. `part_of` names the experiment or proof that it belongs to."""
        id = new_id()
        me = psutil.Process()
        self._insert(id, spec, "queued", time.time(), source, (me.pid, me.create_time()), part_of)
        return id

    def _insert(
        self,
        id: str,
        spec: RunSpec,
        status: str,
        created: float,
        source: str,
        owner: tuple[int, float] = (0, 0.0),
        part_of: str = "",
    ) -> None:
        values = (id, spec.model_dump_json(), status, created, source, *owner, part_of)
        self._ask("insert into runs values (?, ?, ?, ?, ?, ?, ?, 0, ?)", *values)

    def status(self, id: str) -> str:
        """Where a run stands. Raises KeyError for an unknown id."""
        rows = self._ask("select status from runs where id = ?", id)
        if not rows:
            raise KeyError(id)
        return rows[0][0]

    def set_status(self, id: str, status: str) -> None:
        """Move a run on; one that is over stays over."""
        self._ask(f"update runs set status = ? where id = ? and status not in {DONE}", status, id)

    def run(self, id: str) -> Run:
        """One run with all its events. Raises KeyError for an unknown id."""
        rows = self._ask("select spec, status, created, source from runs where id = ?", id)
        if not rows:
            raise KeyError(id)
        spec, status, created, source = rows[0]
        events = [EVENT.validate_json(text) for _, text in self.events(id)]
        return fold(id, RunSpec.model_validate_json(spec), status, created, events, source)

    def refresh(self, run: Run) -> Run:
        """The same run with what has come since; cheap when nothing has."""
        status, new = self.status(run.id), self.events(run.id, after=len(run.events))
        if status == run.status and not new:
            return run
        return replace(run, status=status, events=run.events + tuple(EVENT.validate_json(text) for _, text in new))

    def heads(self, limit: int = 200) -> list[Run]:
        """The newest runs first, without events; not those that are part of an experiment."""
        return self._heads("where part_of = '' order by created desc limit ?", limit)

    def parts(self, whole: str) -> list[Run]:
        """The runs of one experiment or proof, oldest first, without events."""
        return self._heads("where part_of = ? order by created, rowid", whole)

    def wholes(self, prefix: str) -> list[str]:
        """Names of the experiments that begin so, newest first."""
        return [
            name
            for (name,) in self._ask(
                "select part_of from runs where substr(part_of, 1, ?) = ? group by part_of order by max(created) desc",
                len(prefix),
                prefix,
            )
        ]

    def _heads(self, which: str, *values) -> list[Run]:
        rows = self._ask(f"select id, spec, status, created, source from runs {which}", *values)
        return [fold(id, RunSpec.model_validate_json(spec), status, created, (), source) for id, spec, status, created, source in rows]

    def open_runs(self) -> list[str]:
        """Ids of queued and running runs, oldest first."""
        return [id for (id,) in self._ask(f"select id from runs where status not in {DONE} order by created")]

    def delete(self, id: str, whole: str = "") -> None:
        """Forget a run that is over, and those that are part of `whole`. Raises ValueError for one that is not over."""
        if self.status(id) not in DONE or any(not part.done for part in self.parts(whole) if whole):
            raise ValueError(f"Run {id} is not over; cancel it first.")
        self._ask("delete from runs where id = ? or (part_of = ? and part_of != '')", id, whole)

    def ask_cancel(self, id: str) -> None:
        """Ask the owner of a run to end it."""
        self._ask("update runs set cancel = 1 where id = ?", id)

    def cancel_asked(self, id: str) -> bool:
        """Whether somebody wants the run ended."""
        return bool(self._ask("select 1 from runs where id = ? and cancel = 1", id))

    def mend(self) -> list[str]:
        """Mark the runs whose owner died as interrupted; their ids. What they measured stays."""
        rows = self._ask(f"select id, owner, owner_started from runs where status not in {DONE}")
        lost = [id for id, owner, started in rows if not _alive(owner, started)]
        for id in lost:
            reason = "The program that ran this measurement ended before it was done; what was measured until then is kept. Run it again."
            self.append(id, [Failed(at=time.time(), status="interrupted", reason=reason)])
            self.set_status(id, "interrupted")
        return lost

    # events

    def append(self, id: str, events: list[Event]) -> None:
        """Add events to the end of a run's record, in one transaction."""
        with closing(self._connect()) as db, db:
            (last,) = db.execute("select coalesce(max(seq), 0) from events where run = ?", (id,)).fetchone()
            rows = [(id, last + number, event.model_dump_json()) for number, event in enumerate(events, 1)]
            db.executemany("insert into events values (?, ?, ?)", rows)

    def events(self, id: str, after: int = 0) -> list[tuple[int, str]]:
        """(sequence number, JSON) of a run's events after one number."""
        return self._ask("select seq, event from events where run = ? and seq > ? order by seq", id, after)

    # files

    def export(self, id: str) -> str:
        """One run as JSON."""
        run = self.run(id)
        return Exported(id=id, created=run.created, status=run.status, spec=run.spec, events=list(run.events)).model_dump_json()

    def load(self, text: str | bytes) -> str:
        """Take in an exported run; its id. Raises ValueError of one sentence; an id that is here already gets a new one."""
        read = parse_export(text)
        id = read.id
        if self._ask("select 1 from runs where id = ?", id):
            id = f"{id}-{secrets.token_hex(2)}"
        self._insert(id, read.spec, read.status, read.created, "import")
        self.append(id, read.events)
        return id

    # ceilings

    def keep_ceilings(self, key: str, value: Ceilings) -> None:
        """Keep the ceilings of a machine, device, thread count and dtype."""
        self._ask("insert or replace into ceilings values (?, ?, ?)", key, value.at, value.model_dump_json())

    def drop_ceilings(self, key: str) -> None:
        """Forget ceilings that something was faster than."""
        self._ask("delete from ceilings where key = ?", key)

    def ceilings(self, key: str) -> Ceilings | None:
        """The kept ceilings, however old."""
        rows = self._ask("select value from ceilings where key = ?", key)
        return Ceilings.model_validate_json(rows[0][0]) if rows else None


def new_id() -> str:
    """A name for a run or an experiment: the moment, and something random."""
    return time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


def parse_export(text: str | bytes) -> Exported:
    """An exported run, checked. Raises ValueError of one sentence."""
    if len(text) > IMPORT_LIMIT:
        raise ValueError(f"The file is larger than {IMPORT_LIMIT >> 20} MiB, so it is not one exported run; choose a file made by Export.")
    try:
        read = Exported.model_validate_json(text)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise ValueError("This is not an exported run: it is not valid JSON. Choose a file made by Export.") from None
        raise ValueError(f"This is not an exported run: {sentence(error)} Choose a file made by Export.") from None
    if read.version != VERSION or read.format != Exported.model_fields["format"].default:
        raise ValueError(f"This run was written in format {read.version}; this program reads format {VERSION}.")
    if read.status not in DONE:
        raise ValueError("This run was not over when it was exported; export it again.")
    if not read.id.replace("-", "").isalnum() or len(read.id) > 64:
        raise ValueError("This is not an exported run: its id is not made of letters, digits and hyphens.")
    return read


def _alive(pid: int, started: float) -> bool:
    """Whether that very process still runs (a later one may have its number)."""
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1
    except psutil.Error:
        return False
