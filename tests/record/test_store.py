import json
import os

import pytest

from profiler.record.events import Entered, Sample, Step
from profiler.record.store import Store, parse_export
from tests.builders import SPEC, ceilings, generate_run


def kept(store, status="finished") -> str:
    """A run in the store, with events."""
    id = store.add(SPEC)
    store.append(id, list(generate_run().events))
    store.set_status(id, status)
    return id


def test_a_run_comes_back_as_it_was(store):
    """Spec and events survive the store."""
    run = store.run(kept(store))

    assert run.spec == SPEC
    assert run.events == generate_run().events
    assert run.status == "finished"


def test_another_process_sees_the_same(store):
    """A second store on the same file reads what the first wrote."""
    id = kept(store)

    assert Store(store.path).run(id).events == generate_run().events


def test_refreshing_brings_only_what_is_new(store):
    """A run read earlier grows by the events that came since."""
    id = store.add(SPEC)
    run = store.run(id)
    store.append(id, [Sample(at=1, values={"rss": 1.0})])

    assert store.refresh(run).events == (Sample(at=1, values={"rss": 1.0}),)
    assert store.refresh(store.refresh(run)) == store.refresh(run)


def test_a_run_that_is_over_stays_over(store):
    """A late event cannot bring a cancelled run back."""
    id = kept(store, "cancelled")
    store.set_status(id, "running")

    assert store.status(id) == "cancelled"


def test_runs_of_a_dead_owner_are_interrupted_and_keep_their_events(store):
    """After the program died, the run says so and what was measured is still there."""
    id = store.add(SPEC)
    store.append(id, [Sample(at=1, values={"rss": 1.0})])
    store._ask("update runs set owner = ?, owner_started = 1 where id = ?", os.getpid(), id)

    assert store.mend() == [id]
    assert store.run(id).status == "interrupted"
    assert "kept" in store.run(id).reason
    assert len(store.run(id).events) == 2


def test_runs_of_a_living_owner_are_left_alone(store):
    """This process lives."""
    store.add(SPEC)

    assert store.mend() == []


def test_an_open_run_cannot_be_deleted(store):
    """Cancel first."""
    with pytest.raises(ValueError, match="cancel it first"):
        store.delete(store.add(SPEC))


def test_deleting_takes_the_events_along(store):
    """Nothing of a deleted run stays."""
    id = kept(store)
    store.delete(id)

    assert store.events(id) == []
    with pytest.raises(KeyError):
        store.run(id)


def test_export_and_import_give_the_same_run(store, tmp_path):
    """A run moved to another store reads the same."""
    text = store.export(kept(store))
    other = Store(tmp_path / "other.sqlite")
    run = other.run(other.load(text))

    assert run.events == generate_run().events
    assert run.source == "import"


def test_importing_twice_makes_two_runs(store):
    """An id that is taken gets a new ending; nothing is overwritten."""
    id = kept(store)
    again = store.load(store.export(id))

    assert again != id
    assert len(store.heads()) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("spec"),
        lambda d: d["spec"].update(surprise=1),
        lambda d: d["events"].append({"kind": "nonsense"}),
        lambda d: d.update(version=99),
        lambda d: d.update(id="../../etc/passwd"),
        lambda d: d.update(status="running"),
        lambda d: d.update(format="something else"),
    ],
)
def test_a_wrong_import_is_refused_in_one_sentence(store, change):
    """Schema, version, id and status are checked; nothing enters the store."""
    data = json.loads(store.export(kept(store)))
    change(data)

    with pytest.raises(ValueError, match=r".") as caught:
        store.load(json.dumps(data))

    assert "\n" not in str(caught.value)
    assert len(store.heads()) == 1


@pytest.mark.parametrize("text", ["", "[]", "not json", "{}"])
def test_what_is_no_run_is_refused(text):
    """Any other file says that it is none."""
    with pytest.raises(ValueError, match="not an exported run"):
        parse_export(text)


def test_a_huge_import_is_refused(monkeypatch):
    """The size is checked before anything is read."""
    monkeypatch.setattr("profiler.record.store.IMPORT_LIMIT", 10)

    with pytest.raises(ValueError, match="larger than"):
        parse_export("x" * 11)


def test_ceilings_are_kept_by_key(store):
    """The newest ceilings of a set-up come back; another set-up has none."""
    store.keep_ceilings("a", ceilings())
    store.keep_ceilings("a", ceilings(read=50e9))

    assert store.ceilings("a") == ceilings(read=50e9)
    assert store.ceilings("b") is None


def test_time_left_runs_down(store):
    """The worker's last estimate less what has passed since, never below zero; unknown before there is one."""
    id = store.add(SPEC)
    unknown = store.run(id).left(100)
    store.append(id, [Entered(at=100, name="warm-up", left=10), Step(at=104, name="decode", left=5)])
    run = store.run(id)

    assert unknown is None
    assert run.left(106) == 3
    assert run.left(200) == 0


def test_a_deleted_run_takes_its_proof_along(store):
    """Its parts are forgotten with it; other runs and their parts stay. While a part is open, nothing is deleted."""
    base, other = store.add(SPEC), store.add(SPEC)
    parts = [store.add(SPEC, part_of=f"proof-{id}") for id in (base, base, other)]
    for id in (base, other, *parts[1:]):
        store.set_status(id, "finished")

    with pytest.raises(ValueError, match="cancel it first"):
        store.delete(base, f"proof-{base}")
    store.set_status(parts[0], "finished")
    store.delete(base, f"proof-{base}")
    assert store.parts(f"proof-{base}") == []
    assert len(store.parts(f"proof-{other}")) == 1
    assert [run.id for run in store.heads()] == [other]
