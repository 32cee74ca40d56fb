"""Three cases whose limit is known because it was planted, measured for real: does the verdict name it, and does its proof hold?

    python -m benchmarks.planted [compute|bandwidth|overhead ...] [--no-proof]

compute: the prefill of a wide model, nothing but large products. bandwidth: the decode of two huge layers by one
core, the library's faster kernel, and a neighbour that takes the bandwidth (without it no kernel of the library's comes near the roof of a
fast memory).  overhead: the decode of many tiny layers.
"""

import sys
import time

from profiler.analysis.moment import ceilings_now
from profiler.analysis.proof import Proof, name_of, plan, proof, rows
from profiler.analysis.verdict import Verdict, verdict
from profiler.analysis.waterfall import Waterfall, waterfall
from profiler.catalog.config import from_hf_config
from profiler.catalog.machine import available_memory, this_machine
from profiler.record.jobs import Jobs
from profiler.record.run import Run
from profiler.record.store import Store
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate
from profiler.theory.memory import fits

LLAMA = {"model_type": "llama", "vocab_size": 1024, "max_position_embeddings": 4096, "tie_word_embeddings": True}
SHAPES = {
    "compute": {"hidden_size": 1536, "intermediate_size": 6144, "num_hidden_layers": 3, "num_attention_heads": 12},
    "bandwidth": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 2, "num_attention_heads": 32},
    "overhead": {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 48, "num_attention_heads": 2},
}
PHASES = {"compute": "prefill", "bandwidth": "decode", "overhead": "decode"}
WORK = {"compute": {"prompt_tokens": 512, "new_tokens": 4}, "bandwidth": {"prompt_tokens": 8}, "overhead": {"prompt_tokens": 8}}
SETUP = {"bandwidth": {"layout": "columns", "threads": 1, "hog": "memory"}}
NEAR = 0.75  # of the bandwidth: by a lone kernel; the model around it reached four fifths of that here
TRIES = 3  # a machine that changes its speed gives no verdict; it may be quieter a moment later


def spec(case: str) -> RunSpec:
    """The planted run."""
    config = LLAMA | SHAPES[case] | {"num_key_value_heads": SHAPES[case]["num_attention_heads"]}
    model = from_hf_config(config, name=f"planted-{case}", reference=f"random:planted-{case}", origin="random")
    work = Generate(**({"new_tokens": 24, "seconds": 4.0} | WORK[case]))
    return RunSpec(model=model, work=work, setup=Setup(**({"threads": this_machine().cores} | SETUP.get(case, {}))))


def finished(jobs: Jobs, planned: RunSpec, part_of: str = "") -> Run:
    """Measure, and wait."""
    id = jobs.submit(planned, "terminal", part_of)
    while not (run := jobs.store.run(id)).done:
        time.sleep(0.5)
    return run


def measured(jobs: Jobs, case: str) -> tuple[Run, Verdict, Waterfall]:
    """The run and its verdict; a few tries for one that carries an answer."""
    for _ in range(TRIES):
        run = finished(jobs, spec(case))
        found, fall = verdict(run, PHASES[case]), waterfall(run, PHASES[case])
        if found is None or fall is None:
            raise SystemExit(f"{case}: {run.reason}")
        if found.kind != "inconclusive":
            break
    return run, found, fall


def rooted(case: str, run: Run) -> bool:
    """Whether the plant could grow on this machine, by a microbenchmark of its own: the library's matrix-vector kernel must come so
    near to what the neighbour leaves of the bandwidth that the model around it still reaches 60 % of it.
    """
    now = ceilings_now(run)
    return case != "bandwidth" or (now is not None and run.ceilings is not None and run.ceilings.matvec["float32"] >= NEAR * now.dram)


def proved(jobs: Jobs, case: str, run: Run) -> Proof | None:
    """The proof of a run's verdict."""
    whole = name_of(run)
    for planned in plan(run, lambda wanted: fits(wanted, this_machine(), available_memory())):
        finished(jobs, planned, whole)
    return proof(run, PHASES[case], [jobs.store.run(part.id) for part in jobs.store.parts(whole)])


def main(cases: list[str], with_proof: bool) -> None:
    """Print each case's waterfall, verdict and proof."""
    jobs = Jobs(Store(), this_machine())
    for case in cases:
        run, found, fall = measured(jobs, case)
        shares = ", ".join(f"{kind} {fall.of(kind) / fall.measured:.0%}" for kind in ("physics", "kernels", "framework", "waiting"))
        grown = "" if rooted(case, run) else " (not plantable here: no kernel of the library's comes near this memory)"
        print(f"{case}: {found.kind}{grown} ({fall.measured * 1e3:.1f} ms: {shares})")
        if with_proof and (held := proved(jobs, case, run)):
            print(f"  {held.outcome}: {held.sentence}")
            for row in rows(held):
                print("  " + ", ".join(f"{name} {value}" for name, value in row.items() if name != "why"))


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word in SHAPES]
    main(words or list(SHAPES), "--no-proof" not in sys.argv)
