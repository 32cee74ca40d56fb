"""Hand-made runs with exact numbers: time is an argument."""

from profiler.catalog.models import rows
from profiler.record.events import Entered, Failed, Finished, Measured, OpRow, Peak, Probed, Sample, Started, Step, Traced
from profiler.record.run import Run, fold
from profiler.spec.machine import Ceilings, Hardware, Kernels
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate

MACHINE = Hardware(name="Test CPU", system="Linux", cores=2, memory=16_000_000_000, cache=32 << 20)
SPEC = RunSpec(model=rows()["smollm2-135m"].spec(), work=Generate(prompt_tokens=128, new_tokens=32), setup=Setup(threads=2))


def ceilings(read=30e9, peak=150e9, **changes) -> Ceilings:
    held = {
        "device": "cpu",
        "threads": 2,
        "dtype": "float32",
        "at": 0.0,
        "read": {8 << 20: 4 * read, 128 << 20: read},
        "copy_rate": read,
        "triad_rate": read,
        "matmul": {"float32": peak, "bfloat16": 2 * peak},
        "few_rows": {2: 0.5 * read, 4: 0.3 * read, 8: 0.3 * read},
        "matvec": {"float32": 0.6 * read, "bfloat16": 0.5 * read},
        "dispatch": 5e-6,
        "scaling": {
            1: {"read": 0.9 * read, "matmul": peak / 2, "matvec": 0.6 * read},
            2: {"read": read, "matmul": peak, "matvec": 0.6 * read},
        },
        "canary_matmul": peak,
    }
    return Ceilings(**(held | changes))


def kernels(**changes) -> Kernels:
    """A library without quirks: one row at 10 GB/s in a narrow matrix, calls that cost nothing."""
    held = {
        "narrow": {1: 10e9, 4: 10e9},
        "many": {128: 2e9, 512: 0.5e9},
        "across": 20e9,
        "across_many": 1e9,
        "cut": {4096: 18e9, 65536: 18e9},
        "cut_aligned": 18e9,
        "call": {1: 0.0, 4: 0.0},
        "prompt": {128: 40e9, 512: 80e9},
        "recall": 10e9,
    }
    return Kernels(**(held | changes))


def op(group="MLP", op="aten::linear", seconds=0.0, **numbers) -> OpRow:
    held = {"module": "", "count": 1, "flops": 0, "weights": 0, "kv": 0, "activations": 0, "counted": op == "aten::linear"}
    return OpRow(group=group, op=op, seconds=seconds, **(held | numbers))


def traced(phase, wall, kernels, floor=0.0, rows=None) -> Traced:
    """A trace of one pass: all its kernel time in the MLP, if no rows are given."""
    told = tuple(rows or [op(seconds=kernels, weights=4e8, flops=2e8)])
    between = wall - sum(row.seconds for row in told)
    return Traced(at=41, phase=phase, context=144, rows=told, wall=wall, between=between, floor=floor, passes=3)


def generate_run(
    decode=(0.05,) * 96,
    prefill=(0.4,) * 3,
    kernels_decode=0.03,
    kernels_prefill=0.3,
    waiting=0.0,
    canary=(30e9,) * 4,
    product=150e9,
    foreign=0.0,
    facts=None,
    spec=SPEC,
    status="finished",
    roofs=None,
) -> Run:
    """A finished run of SmolLM2-135M: three rounds of equal length, the clock running from second 10 to 40."""
    per_round = len(decode) // len(prefill)
    events: list = [
        Started(at=0, hardware=MACHINE, versions={"torch": "test"}, warm=True),
        Entered(at=0, name="load"),
        Measured(at=1, name="load_time", samples=(1.0,)),
        Probed(at=2, ceilings=roofs or ceilings(), kept=True),
        Entered(at=2, name="warm-up"),
        Step(at=3, name="warm-up", seconds=(0.09, 0.07), first=128),
    ]
    for round, seconds in enumerate(prefill):
        at = 10 + 10 * round
        steps = tuple(decode[round * per_round : (round + 1) * per_round])
        events += [
            Measured(at=at, name="canary_read", samples=(canary[round],)),
            Measured(at=at, name="canary_matmul", samples=(product,)),
            Entered(at=at, name="prefill", timed=True),
            Step(at=at + 1, name="prefill", seconds=(seconds,), round=round),
            Entered(at=at + 1, name="decode", timed=True),
            Sample(at=at + 5, values={"rss": 1.2e9, "cpu": 1.0, "foreign": foreign, "own": 0.01}, cores=(1.0, 1.0)),
            Step(at=at + 9, name="decode", seconds=steps, round=round, first=128),
            Entered(at=at + 9, name="rest"),
        ]
    events += [
        Measured(at=41, name="canary_read", samples=(canary[-1],)),
        Measured(at=41, name="canary_matmul", samples=(product,)),
        Measured(at=41, name="waiting_decode", samples=(waiting,)),
        traced("prefill", prefill[0], kernels_prefill),
        traced("decode", decode[0], kernels_decode),
        Peak(at=42, name="start", marks={"rss": 0.4e9, "rss_peak": 0.4e9}),
        Peak(at=42, name="prefill", marks={"rss": 1.1e9, "rss_peak": 1.2e9}),
        Peak(at=42, name="decode", marks={"rss": 1.1e9, "rss_peak": 1.1e9}),
    ]
    told = {
        "steady": 1.0,
        "interrupted": 3.0,
        "swapped": 0.0,
        "weight_bytes": 538_060_032.0,
        "kv_bytes": 7e6,
        "canary_bytes": 134e6,
    }
    last = (
        Finished(at=43, text="Paris.", facts=told | (facts or {})) if status == "finished" else Failed(at=43, status=status, reason="why")
    )
    return fold("run", spec, status, 0.0, [*events, last])
