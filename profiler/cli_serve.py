"""The terminal's load test of a server: requests at random moments, faster and faster, until it does not keep up."""

from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.table import Table

from profiler import terminal
from profiler.analysis.serving import Serving
from profiler.analysis.serving_plan import asked
from profiler.analysis.serving_words import finding, rows, told
from profiler.catalog import models
from profiler.catalog.machine import available_memory, this_machine
from profiler.catalog.resolve import resolve
from profiler.cli_border import Json, border, finish
from profiler.cli_jobs import Device, Dtype, Kv, Quantization, Threads, jobs_here, setup_of
from profiler.record.run import Run
from profiler.spec.run import Setup
from profiler.spec.work import LoadTest

USUAL = LoadTest()
SHOWN = (
    "offered (req/s)",
    "completed (req/s)",
    "written (tok/s)",
    "sent",
    "refused",
    "stalled",
    "broken",
    "keeps up",
    "first token p50",
    "first token p90",
    "next token p50",
    "whole answer p50",
)
WIDTH = 140  # characters, where nobody looks through a terminal


def serve_bench(
    url: Annotated[
        str, typer.Argument(help="A server that runs already, like http://localhost:8000/v1; llama.cpp's is started if not said.")
    ] = "",
    model: Annotated[str, typer.Option(help="The model of a server that is started here.")] = models.DEFAULT,
    slots: Annotated[int, typer.Option(help="Answers that a server that is started here writes at once.")] = USUAL.slots,
    served: Annotated[str, typer.Option(help="The model's name on the server; the first one that it lists if not said.")] = "",
    rate: Annotated[Optional[list[float]], typer.Option(help="Requests/s; say it several times. Found by itself if not said.")] = None,
    seconds: Annotated[float, typer.Option(help="Of arrivals at each rate.")] = USUAL.seconds,
    prompt_tokens: Annotated[
        int, typer.Option(help="Tokens of a prompt; about so many where the server has the tokenizer.")
    ] = USUAL.prompt_tokens,
    new_tokens: Annotated[int, typer.Option(help="Tokens of an answer.")] = USUAL.new_tokens,
    patience: Annotated[float, typer.Option(help="Seconds without a token after which a request is given up.")] = USUAL.patience,
    seed: Annotated[int, typer.Option(help="Of the moments and the prompts.")] = 0,
    dtype: Dtype = None,
    threads: Threads = None,
    device: Device = None,
    engine: Annotated[str, typer.Option(help="Of a server that is started here: llama.cpp.")] = "llama.cpp",
    quantization: Quantization = "",
    kv: Kv = "",
    attention: Annotated[str, typer.Option(help="auto, sdpa (fused) or eager.")] = "auto",
    huge_pages: Annotated[bool, typer.Option(help="Ask Linux for 2 MB pages.")] = True,
    as_json: Json = False,
) -> None:
    """Test a server under load: which rate of requests it keeps up with, and how long people wait beyond it."""
    with border(as_json):
        work = LoadTest(url=url, served=served, rates=tuple(rate or ()), seconds=seconds, prompt_tokens=prompt_tokens,
                        new_tokens=new_tokens, slots=slots, patience=patience, seed=seed)  # fmt: skip
        if engine != "llama.cpp":
            raise ValueError(f"Only llama.cpp's server is started here, not {engine}; start another one yourself and give its address.")
        more = {"quantization": quantization, "kv": kv, "attention": attention, "huge_pages": huge_pages}
        setup = Setup.model_validate(setup_of(device, threads, dtype).model_dump() | more)
        spec = asked(work, None if url else resolve(model), setup, this_machine(), available_memory())
        jobs = jobs_here()
        done = terminal.follow(jobs, jobs.submit(spec, source="terminal"))
        finish(done, as_json, show, {"serving": told(Serving(done))} if as_json else None)


def show(run: Run) -> None:
    """What a load test found, and one row for each rate."""
    serving = Serving(run)
    found, table, wide = finding(serving), Table(box=None, header_style="dim"), Console(width=None if terminal.OUT.is_terminal else WIDTH)
    wide.print(f"[bold]{found.title}[/bold]", highlight=False)
    wide.print(found.sentence, highlight=False, markup=False)
    for name in SHOWN:
        table.add_column(name, justify="left" if name == "keeps up" else "right")
    for row in rows(serving):
        table.add_row(*(row[name] for name in SHOWN))
    wide.print(table)
    wide.print(f"Again: [bold]{run.spec.command}[/bold]", highlight=False, soft_wrap=True)
