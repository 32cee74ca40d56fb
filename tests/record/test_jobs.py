"""The manager with a fake worker: real processes, real pipes, no torch."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
from filelock import FileLock

from profiler.record import process
from profiler.record.events import Probed
from profiler.record.jobs import Jobs
from profiler.record.process import ROOT, Environment
from profiler.record.store import Store
from tests.builders import MACHINE, SPEC, ceilings


@pytest.fixture
def jobs(store, monkeypatch, tmp_path):
    monkeypatch.setattr(process, "MODULE", "tests.fake_worker")
    made = Jobs(store, MACHINE)
    made.lock = FileLock(tmp_path / "host.lock")
    return made


def spec(does: str):
    return SPEC.model_copy(update={"model": SPEC.model.model_copy(update={"name": does})})


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def ended(jobs, id):
    until(lambda: jobs.store.run(id).done)
    return jobs.store.run(id)


def test_a_run_is_measured_and_recorded(jobs):
    """Queued, running, finished; the worker's events are in the store."""
    run = ended(jobs, jobs.submit(spec("finish")))

    assert run.status == "finished"
    assert list(run.seconds("decode").samples) == [0.1, 0.1]


def test_a_crash_is_told_with_its_last_words(jobs):
    """A signal and the last line of standard error make the reason; earlier events are kept."""
    run = ended(jobs, jobs.submit(spec("crash")))

    assert run.status == "failed"
    assert "SIGABRT" in run.reason
    assert len(run.seconds("decode")) == 2


def test_a_killed_worker_is_told_as_such(jobs):
    """SIGKILL mid-run: failed, with memory as the likely reason, nothing lost."""
    run = ended(jobs, jobs.submit(spec("kill")))

    assert run.status == "failed"
    assert "memory" in run.reason
    assert len(run.seconds("decode")) == 2


def test_half_a_line_fails_the_run_and_not_the_manager(jobs):
    """A worker that dies in the middle of an event; the next run is measured as usual."""
    broken, whole = jobs.submit(spec("half a line")), jobs.submit(spec("finish"))

    assert ended(jobs, broken).status == "failed"
    assert ended(jobs, whole).status == "finished"


def test_a_chatty_worker_does_not_block(jobs):
    """Ten megabytes on standard error are drained."""
    assert ended(jobs, jobs.submit(spec("chatter"))).status == "finished"


def test_cancelling_ends_the_worker_at_once(jobs):
    """Within a second the run is cancelled and its process gone; what was measured is kept."""
    id = jobs.submit(spec("hang"))
    until(lambda: jobs.store.run(id).seconds("decode").samples.size)
    children = psutil.Process().children()
    asked = time.monotonic()
    jobs.cancel(id)
    run = ended(jobs, id)

    assert run.status == "cancelled"
    assert time.monotonic() - asked < 3
    assert len(run.seconds("decode")) == 2
    until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))


def test_three_in_the_queue_one_cancelled(jobs):
    """The second of three is cancelled while it waits; the others are measured, in order."""
    first, second, third = (jobs.submit(spec("slow")) for _ in range(3))
    jobs.cancel(second)

    assert jobs.store.status(second) == "cancelled"
    assert ended(jobs, third).status == "finished"
    assert jobs.store.status(first) == "finished"
    assert jobs.store.run(first).events[-1].at < jobs.store.run(third).started.at


def test_one_measurement_at_a_time_on_a_host(jobs):
    """While somebody else holds the host's lock, a run waits; then it is measured."""
    with FileLock(jobs.lock.lock_file):
        id = jobs.submit(spec("finish"))
        time.sleep(0.6)
        waiting = jobs.store.status(id)

    assert waiting == "queued"
    assert ended(jobs, id).status == "finished"


def test_a_run_that_takes_too_long_is_ended(jobs):
    """The time limit ends it with a reason."""
    jobs.time_limit = 0.5
    run = ended(jobs, jobs.submit(spec("hang")))

    assert run.status == "failed"
    assert "limit" in run.reason


def test_a_spare_worker_is_used_and_replaced(jobs):
    """The warm worker takes the next run of its environment, and a new one is made ready after it."""
    jobs.warm(Environment.of(SPEC))
    until(lambda: jobs.spare and jobs.spare.ready.is_set())
    spare = jobs.spare
    run = ended(jobs, jobs.submit(spec("finish")))

    assert run.started.warm
    until(lambda: jobs.spare is not None and jobs.spare is not spare)
    jobs.spare.end()


def test_another_process_may_cancel(jobs):
    """A mark in the store reaches the owner."""
    id = jobs.submit(spec("hang"))
    until(lambda: jobs.store.status(id) == "running")
    Store(jobs.store.path).ask_cancel(id)

    assert ended(jobs, id).status == "cancelled"


def test_a_full_queue_refuses(jobs, monkeypatch):
    """A bounded queue says so."""
    monkeypatch.setattr("profiler.record.jobs.QUEUE_LIMIT", 0)

    with pytest.raises(ValueError, match="waiting already"):
        jobs.submit(spec("finish"))


@pytest.mark.parametrize("beat", [True, False])
def test_ceilings_that_a_run_beat_are_dropped(jobs, beat):
    """What the judge of finished runs disbelieves is measured anew; other kept ceilings stay."""
    jobs.judge = lambda run: beat and run.spec.model.name == "finish"
    jobs.store.keep_ceilings(jobs._key(SPEC), ceilings(at=time.time()))
    ended(jobs, jobs.submit(spec("finish")))

    until(lambda: (jobs.ceilings(SPEC) is None) is beat)


def test_disturbed_ceilings_are_not_kept(jobs, store):
    """Probed on a busy machine: in the run's record, but not the machine's."""
    id = store.add(SPEC)
    jobs._commit(id, SPEC, [Probed(at=0, ceilings=ceilings(disturbed=True), kept=False)])
    assert jobs.ceilings(SPEC) is None
    assert store.run(id).ceilings.disturbed

    jobs._commit(id, SPEC, [Probed(at=0, ceilings=ceilings(), kept=False)])
    assert jobs.ceilings(SPEC) == ceilings()


def test_killing_the_app_ends_the_worker_and_loses_nothing(store, tmp_path):
    """The app is killed mid-run: its worker dies with it, the run is marked interrupted, its events are there."""
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from filelock import FileLock
        from profiler.record import process
        from profiler.record.jobs import Jobs
        from profiler.record.store import Store
        from tests.builders import MACHINE
        from tests.record.test_jobs import spec
        process.MODULE = "tests.fake_worker"
        jobs = Jobs(Store(Path({str(store.path)!r})), MACHINE)
        jobs.lock = FileLock({str(tmp_path / "host.lock")!r})
        jobs.submit(spec("hang"))
        time.sleep(60)
        """
    )
    app = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    until(lambda: store.heads() and store.run(store.heads()[0].id).seconds("decode").samples.size)
    workers = psutil.Process(app.pid).children(recursive=True)
    os.kill(app.pid, signal.SIGKILL)
    app.wait()

    until(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers), 5)
    assert store.mend() == [store.heads()[0].id]
    run = store.run(store.heads()[0].id)
    assert run.status == "interrupted"
    assert len(run.seconds("decode")) == 2
