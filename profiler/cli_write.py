"""The terminal's command that lets a model answer: the text streams, and how fast it came stands under it."""

import sys
import time
from typing import Annotated

import typer

from profiler.catalog.machine import available_memory, this_machine
from profiler.catalog.resolve import resolve
from profiler.cli_border import Json, border, finish
from profiler.cli_jobs import Device, Dtype, Engine, Kv, Prune, Quantization, Threads, jobs_here, setup_of
from profiler.record.events import Said
from profiler.record.jobs import Jobs
from profiler.record.run import Run
from profiler.spec.compression import Pruning
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Write
from profiler.theory.memory import check

LOOK = 0.1  # seconds between two looks at the store


def write(
    model: Annotated[str, typer.Argument(help="A model with trained weights.")],
    prompt: Annotated[str, typer.Argument(help="What it is asked.")],
    new_tokens: Annotated[int, typer.Option(help="Tokens of the answer, at most.")] = Write(prompt="?").new_tokens,
    dtype: Dtype = None,
    threads: Threads = None,
    device: Device = None,
    engine: Engine = "transformers",
    quantization: Quantization = "",
    kv: Kv = "",
    prune: Prune = "",
    as_json: Json = False,
) -> None:
    """Let a model answer a prompt, maybe compressed, and see how good and how fast it is."""
    with border(as_json):
        more = {"engine": engine, "quantization": quantization, "kv": kv, "pruning": Pruning.parse(prune) if prune else None}
        setup = Setup.model_validate(setup_of(device, threads, dtype).model_dump() | more)
        spec = RunSpec(model=resolve(model), work=Write(prompt=prompt, new_tokens=new_tokens), setup=setup)
        check(spec, this_machine(), available_memory())
        finish(_streamed(spec, jobs_here(), silent=as_json), as_json, _show)


def _streamed(spec: RunSpec, jobs: Jobs, silent: bool) -> Run:
    """The finished run, its answer printed as it comes."""
    id, shown = jobs.submit(spec, source="terminal"), 0
    try:
        while True:
            run = jobs.store.run(id)
            pieces = run.of(Said)
            if not silent:
                sys.stdout.write("".join(piece.text for piece in pieces[shown:]))
                sys.stdout.flush()
            shown = len(pieces)
            if run.done:
                return run
            time.sleep(LOOK)
    except KeyboardInterrupt:
        jobs.cancel(id)
        return jobs.store.run(id)


def _show(run: Run) -> None:
    """One line under the answer."""
    pieces = run.of(Said)
    tokens, seconds = sum(piece.tokens for piece in pieces), sum(piece.seconds for piece in pieces)
    print(f"\n\n{tokens} tokens in {seconds:.1f} s: {tokens / seconds:.1f} tokens/s · {run.spec.title}")
