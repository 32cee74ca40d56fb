"""The job manager: one queue and one thread per process, one measurement at a time per host.

The thread sleeps on the worker's pipe and never spins. It takes a host-wide lock for each run, commits the worker's
events, adds what it samples from outside, and ends the worker when somebody asks to cancel or time runs out.
A spare worker with its imports done waits for the next run, and is never started while something is measured.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue

from filelock import FileLock, Timeout
from pydantic import ValidationError

from profiler.record.events import EVENT, Event, Failed, Finished, Job, Probed
from profiler.record.paths import cache_folder
from profiler.record.process import Environment, Worker
from profiler.record.run import Run
from profiler.record.sampler import Sampler
from profiler.record.store import Store
from profiler.spec.machine import Ceilings, Hardware
from profiler.spec.run import RunSpec
from profiler.spec.work import Generate, LoadTest

TRUSTED = 600.0  # seconds that ceilings are believed: the bandwidth of a shared machine changes within minutes
SAMPLE_EVERY = 0.5
LOOK_EVERY = 0.2  # how soon a cancel is seen
QUEUE_LIMIT = 50


class Jobs:
    """Runs specs, one after another.

    `judge` says of a finished generate run whether it beat its ceilings, which are then measured anew by the next one.
    """

    def __init__(self, store: Store, hardware: Hardware, time_limit: float = 3600.0, judge: Callable[[Run], bool] | None = None):
        self.store, self.hardware, self.time_limit, self.judge = store, hardware, time_limit, judge
        self.lock = FileLock(Path(tempfile.gettempdir()) / "need-for-speed.lock", mode=0o666)
        self.queue: SimpleQueue[str] = SimpleQueue()
        self.spare: Worker | None = None
        self.keep_spare = False
        store.mend()
        threading.Thread(target=self._serve, name="jobs", daemon=True).start()

    def submit(self, spec: RunSpec, source: str = "app", part_of: str = "") -> str:
        """Queue a run, maybe as part of an experiment; its id. Raises ValueError when the queue is full."""
        if len(self.store.open_runs()) >= QUEUE_LIMIT:
            raise ValueError(f"{QUEUE_LIMIT} runs are waiting already; cancel some or wait.")
        id = self.store.add(spec, source, part_of)
        self.queue.put(id)
        return id

    def cancel(self, id: str) -> None:
        """End a run, queued or running, whoever owns it."""
        self.store.ask_cancel(id)
        if self.store.status(id) == "queued":
            self._end(id, "cancelled", "Cancelled before it began.")

    def warm(self, environment: Environment, delay: float = 0.0) -> None:
        """From now on keep a spare worker; the first one starts after `delay` seconds, if nothing is measured then."""
        if not self.keep_spare:
            self.keep_spare = True
            timer = threading.Timer(delay, self._start_spare, [environment])
            timer.daemon = True
            timer.start()

    def _start_spare(self, environment: Environment) -> None:
        if not self.store.open_runs():
            self.spare = Worker(environment)

    def _serve(self) -> None:
        while True:
            id = self.queue.get()
            try:
                self._turn(id)
            except Exception as error:  # the border of this thread: it must live on, and the run must say what happened
                self._end(id, "failed", f"The job manager stumbled over this run: {type(error).__name__}: {error}")

    def _turn(self, id: str) -> None:
        """Wait until it is this run's turn on this host, then measure."""
        while self.store.status(id) == "queued":
            try:
                with self.lock.acquire(timeout=LOOK_EVERY, poll_interval=LOOK_EVERY):
                    self.store.mend()
                    if self.store.open_runs()[:1] == [id]:
                        self._measure(id, self.store.run(id).spec)
                        return
            except Timeout:
                continue
            time.sleep(LOOK_EVERY)  # an older run of another process comes first

    def _measure(self, id: str, spec: RunSpec) -> None:
        self.store.set_status(id, "running")
        worker, warm = self._take(Environment.of(spec))
        try:
            job = Job(spec=spec, hardware=self.hardware, ceilings=self._trusted(spec), cache=str(cache_folder()), warm=warm)
            worker.send(job)
            self._watch(id, spec, worker)
        except BrokenPipeError:
            self._end(id, "failed", worker.fate(0, self.hardware.memory))
        finally:
            worker.end()
        if self.keep_spare and self.queue.empty():
            self.spare = Worker(worker.environment)

    def _take(self, environment: Environment) -> tuple[Worker, bool]:
        """The spare worker if it fits, else a new one; and whether its imports are done."""
        spare, self.spare = self.spare, None
        if spare and spare.usable and spare.environment == environment:
            return spare, spare.ready.is_set()
        if spare:
            spare.end()
        return Worker(environment), False

    def _watch(self, id: str, spec: RunSpec, worker: Worker) -> None:
        """Commit what comes until the run is over, one way or another."""
        sampler = Sampler(worker.process.pid, spec.setup.device, helped=spec.setup.hog != "none" or isinstance(spec.work, LoadTest))
        begun = sampled = time.monotonic()
        held = 0.0
        while True:
            events, over = self._receive(worker)
            now = time.monotonic()
            if now - sampled >= SAMPLE_EVERY and (reading := sampler.sample()):
                held, sampled = reading.values["rss"], now
                events.append(reading)
            self._commit(id, spec, events)
            if any(isinstance(event, Finished | Failed) for event in events):
                return
            if over:
                return self._end(id, "failed", worker.fate(held, self.hardware.memory))
            if self.store.cancel_asked(id):
                return self._end(id, "cancelled", "Cancelled; what was measured until then is kept.")
            if now - begun > self.time_limit:
                return self._end(
                    id, "failed", f"Stopped after {self.time_limit:.0f} s, the limit for one run; choose fewer tokens or a smaller model."
                )

    def _receive(self, worker: Worker) -> tuple[list[Event], bool]:
        """All events that have come, waiting a moment for the first; and whether the pipe is closed."""
        events: list[Event] = []
        try:
            line = worker.next_line(LOOK_EVERY)
            while line is not None:
                events.append(EVENT.validate_json(line))
                line = worker.next_line(0)
        except Empty:
            return events, False
        except ValidationError:  # the worker died in the middle of a line
            pass
        return events, True

    def _commit(self, id: str, spec: RunSpec, events: list[Event]) -> None:
        if not events:
            return
        self.store.append(id, events)
        for event in events:
            if isinstance(event, Finished | Failed):
                self.store.set_status(id, "finished" if isinstance(event, Finished) else event.status)
            usual = spec.setup.pinned and spec.setup.allocator == "system"  # a roof is not what a handicapped process reaches
            if isinstance(event, Probed) and usual and not event.kept and not event.ceilings.disturbed:
                self.store.keep_ceilings(self._key(spec), event.ceilings)
            if isinstance(event, Finished) and isinstance(spec.work, Generate) and self.judge and self.judge(self.store.run(id)):
                self.store.drop_ceilings(self._key(spec))

    def _end(self, id: str, status, reason: str) -> None:
        self.store.append(id, [Failed(at=time.time(), status=status, reason=reason)])
        self.store.set_status(id, status)

    def _key(self, spec: RunSpec) -> str:
        setup, libraries = spec.setup, f"torch {version('torch')}|numpy {version('numpy')}"
        return f"{self.hardware.key}|{libraries}|{setup.device}|{setup.threads}|{setup.dtype}|{setup.huge_pages}|{setup.layout}"

    def ceilings(self, spec: RunSpec) -> Ceilings | None:
        """The newest ceilings for this set-up, however old; None before any were measured."""
        return self.store.ceilings(self._key(spec))

    def _trusted(self, spec: RunSpec) -> Ceilings | None:
        found = self.ceilings(spec)
        fresh = found is not None and time.time() - found.at < TRUSTED
        return found if fresh and isinstance(spec.work, Generate) else None
