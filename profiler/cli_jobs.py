"""What the terminal's measuring commands share: their options, this machine's set-up, and the way a run is done."""

from typing import Annotated, Optional

import typer

from profiler import terminal
from profiler.analysis.verdict import beaten
from profiler.catalog.machine import available_memory, devices, native_dtype, this_machine
from profiler.record.jobs import Jobs
from profiler.record.run import Run
from profiler.record.store import Store
from profiler.spec.run import RunSpec, Setup
from profiler.theory.memory import check

Device = Annotated[Optional[str], typer.Option(help="cpu, cuda:N or mps; the best one here if not said.")]
Threads = Annotated[Optional[int], typer.Option(help="Processor threads, each on a core of its own; all cores if not said.")]
Dtype = Annotated[Optional[str], typer.Option(help="float32, bfloat16 or float16; what the hardware multiplies fast if not said.")]
Engine = Annotated[str, typer.Option(help="What runs the model: transformers, onnxruntime, openvino, llama.cpp or ctranslate2.")]
Quantization = Annotated[str, typer.Option(help="Number format of the weights, like int8-rows or q4_0; the dtype if not said.")]
Kv = Annotated[str, typer.Option(help="Number format of the KV cache, like int8-kv; the dtype if not said.")]
Prune = Annotated[
    str, typer.Option(help="METHOD:SHARE to take out: magnitude, wanda, heads, channels or layers, like wanda:0.5; or wanda:2:4.")
]


def jobs_here(time_limit: float = 3600) -> Jobs:
    """This process's queue on this machine's store."""
    return Jobs(Store(), this_machine(), time_limit, judge=beaten)


def do(spec: RunSpec, time_limit: float = 3600) -> Run:
    """Measure, showing progress. Raises ValueError where that cannot be."""
    check(spec, this_machine(), available_memory())
    jobs = jobs_here(time_limit)
    return terminal.follow(jobs, jobs.submit(spec, source="terminal"))


def setup_of(device: str | None, threads: int | None, dtype: str | None) -> Setup:
    """The set-up with what was not said filled in for this machine."""
    machine = this_machine()
    device = "cuda:0" if device == "cuda" else device or devices()[0]
    threads = machine.cores if threads is None else threads
    return Setup.model_validate({"device": device, "threads": threads, "dtype": dtype or native_dtype(device)})
