"""Does the instrument distort? Decode by the profiler against a bare loop of the same model, in one process, in
alternating rounds, with the manager watching as always. Within 0.98 to 1.02 on a quiet machine.

    python -m benchmarks.observer [MODEL] [DTYPE]
"""

import sys
import time

import numpy as np

from profiler.analysis.report import phases
from profiler.analysis.trust import foreign_load, own_load, timed_spans
from profiler.catalog.machine import this_machine
from profiler.catalog.resolve import resolve
from profiler.record import process
from profiler.record.jobs import Jobs
from profiler.record.store import Store
from profiler.spec.measurement import Measurement
from profiler.spec.run import Dtype, RunSpec, Setup
from profiler.spec.work import Generate


def main(model: str = "smollm2-135m", dtype: Dtype = "float32") -> None:
    """Measure, then print the ratio with its interval."""
    process.MODULE = "benchmarks.bare_rounds"
    jobs = Jobs(Store(), this_machine())
    spec = RunSpec(model=resolve(model), work=Generate(), setup=Setup(threads=this_machine().cores, dtype=dtype))
    id = jobs.submit(spec, source="terminal")
    while not (run := jobs.store.run(id)).done:
        time.sleep(1)
    bare = run.measured("bare_decode")
    if run.status != "finished" or bare is None:
        sys.exit(run.reason)
    by_round: dict[int, list[float]] = {}
    for step in run.steps("decode"):
        by_round.setdefault(step.round, []).extend(step.seconds)
    ours = np.array([np.mean(seconds) for seconds in by_round.values()])
    ratios = Measurement(ours / bare.samples)
    low, high = ratios.interval
    print(f"{spec.title}: {len(ratios)} pairs of rounds")
    print(f"instrument {np.median(ours) * 1e3:.2f} ms a token, bare loop {bare.median * 1e3:.2f} ms")
    print(f"ratio {ratios.median:.4f} (95 % interval {low:.4f} to {high:.4f})")
    print(f"foreign load {foreign_load(run):.3f} cores, the watcher's own {own_load(run):.3f} cores")
    print(f"timed {sum(end - begin for begin, end in timed_spans(run)):.1f} s of {sum(phases(run).values()):.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
