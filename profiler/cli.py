"""The terminal: the same jobs, store and analysis as the pages. Bad input is one sentence and exit code 2."""

import sys
from typing import Annotated, Optional

import typer

from profiler import terminal
from profiler.analysis.moment import PHASES
from profiler.analysis.proof import name_of as proof_name
from profiler.analysis.proof import plan, proof, provable
from profiler.analysis.proof import told as proven
from profiler.catalog import models as catalogue
from profiler.catalog.machine import available_memory, this_machine
from profiler.catalog.resolve import resolve
from profiler.cli_border import Json, border, finish, print_json
from profiler.cli_jobs import Device, Dtype, Engine, Kv, Prune, Quantization, Threads, do, jobs_here, setup_of
from profiler.cli_lab import lab
from profiler.cli_predict import devices as list_devices
from profiler.cli_predict import predict
from profiler.cli_runs import kept
from profiler.cli_serve import serve_bench
from profiler.cli_sweep import sweep_command
from profiler.cli_validate import validate
from profiler.cli_write import write
from profiler.record.run import Run
from profiler.spec.compression import Pruning
from profiler.spec.run import RunSpec, Setup
from profiler.spec.speculation import Speculation
from profiler.spec.units import words
from profiler.spec.work import FetchModel, Generate, MeasureCeilings
from profiler.theory.memory import fits
from profiler.theory.step import parameters

app = typer.Typer(
    help="Why is this language model as slow as it is, here, and what would make it faster?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(kept, name="runs")
app.command()(predict)
app.command("sweep")(sweep_command)
app.command()(validate)
app.command("devices")(list_devices)
app.command()(lab)
app.command()(write)
app.command("serve-bench")(serve_bench)


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="Catalogue name, hub id, folder, .gguf file, or random:NAME for random weights.")],
    prompt_tokens: Annotated[int, typer.Option(help="Tokens the model reads first.")] = 128,
    new_tokens: Annotated[int, typer.Option(help="Tokens the model writes.")] = 32,
    batch: Annotated[int, typer.Option(help="Sequences side by side.")] = 1,
    dtype: Dtype = None,
    threads: Threads = None,
    device: Device = None,
    attention: Annotated[str, typer.Option(help="auto (what is best for the model), sdpa, eager or flash_attention_2.")] = "auto",
    huge_pages: Annotated[bool, typer.Option(help="Ask Linux for 2 MB pages.")] = True,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the layers with torch.compile first.")] = False,
    compile_mode: Annotated[str, typer.Option(help="default, reduce-overhead or max-autotune, as torch.compile names them.")] = "default",
    cache: Annotated[str, typer.Option(help="The KV cache: dynamic (it grows), static (its full size at once) or none.")] = "dynamic",
    chunk: Annotated[int, typer.Option(help="Tokens of the prompt in one pass; 0: all of them.")] = 0,
    prefix: Annotated[int, typer.Option(help="First tokens of the prompt that an earlier request has left in the cache.")] = 0,
    speculation: Annotated[str, typer.Option(help="Guess ahead: prompt-lookup, self-int4 or draft=FOLDER, then :N for N tokens.")] = "",
    pinned: Annotated[bool, typer.Option(help="Keep each thread on its core.")] = True,
    allocator: Annotated[str, typer.Option(help="Of memory on a processor: system, jemalloc or tcmalloc.")] = "system",
    layout: Annotated[str, typer.Option(help="rows or columns: how the linear layers' weights lie in memory.")] = "rows",
    hog: Annotated[str, typer.Option(help="A neighbour on the last core: none, memory or compute.")] = "none",
    engine: Engine = "transformers",
    quantization: Quantization = "",
    kv: Kv = "",
    prune: Prune = "",
    quality: Annotated[int, typer.Option(help="Tokens of held-back text to score at the end; 0: none.")] = 0,
    text: Annotated[str, typer.Option(help="A file of text to score, instead of documentation that is installed here.")] = "",
    check: Annotated[bool, typer.Option(help="In the end, compare the answer with the uncompressed model's in float32.")] = False,
    batches: Annotated[Optional[list[int]], typer.Option(help="In the end, measure the throughput of so many sequences at once.")] = None,
    trace: Annotated[bool, typer.Option(help="Tell the operators apart in a separate pass.")] = True,
    prove: Annotated[bool, typer.Option("--prove", help="Then test the verdict: change one thing at a time, and measure.")] = False,
    seconds: Annotated[float, typer.Option(help="Stop adding rounds after this much timed work.")] = Generate().seconds,
    seed: Annotated[int, typer.Option(help="Of random weights and prompts.")] = 0,
    time_limit: Annotated[float, typer.Option(help="End the run as failed after this many seconds.")] = 3600,
    as_json: Json = False,
) -> None:
    """Measure a model: time to first token, time per token, memory, and where the time goes."""
    with border(as_json):
        work = Generate(batch=batch, prompt_tokens=prompt_tokens, new_tokens=new_tokens, seconds=seconds, seed=seed, trace=trace,
                        quality=quality, text=text, check=check, batches=tuple(batches or ()))  # fmt: skip
        more = {"attention": attention, "huge_pages": huge_pages, "compile": compiled, "layout": layout, "hog": hog}
        more |= {"compile_mode": compile_mode, "cache": cache, "chunk": chunk, "prefix": prefix, "pinned": pinned, "allocator": allocator}
        more |= {"speculation": Speculation.parse(speculation) if speculation else None}
        more |= {"engine": engine, "quantization": quantization, "kv": kv, "pruning": Pruning.parse(prune) if prune else None}
        spec = RunSpec(model=resolve(model), work=work, setup=Setup.model_validate(setup_of(device, threads, dtype).model_dump() | more))
        done = do(spec, time_limit)
        finish(done, as_json, terminal.show, {"proof": _prove(done, as_json)} if prove and done.status == "finished" else {})


def _prove(run: Run, as_json: bool) -> dict:
    """Test the verdicts of a finished run; both phases' proofs, from the same runs."""
    jobs, whole = jobs_here(), proof_name(run)
    specs = plan(run, lambda spec: fits(spec, this_machine(), available_memory())) if provable(run) else []
    if not specs:
        print("There is no verdict that an experiment could test.", file=sys.stderr)
    parts = list(terminal.follow_all(jobs, whole, [jobs.submit(spec, "terminal", whole) for spec in specs]).runs)
    found = {phase: proof(run, phase, parts) for phase in PHASES}
    if not as_json:
        terminal.show(run)
        terminal.show_proofs(found)
    return {phase: proven(each) for phase, each in found.items()}


@app.command()
def ceilings(
    scope: Annotated[str, typer.Option(help="full (about a minute), quick (a few seconds), or one curve: memory or matmul.")] = "full",
    quick: Annotated[bool, typer.Option("--quick", help="Short for --scope quick.")] = False,
    dtype: Dtype = None,
    threads: Threads = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure what this machine can do: bandwidth, matrix products, dispatch."""
    with border(as_json):
        work = MeasureCeilings.model_validate({"scope": "quick" if quick else scope})
        finish(do(RunSpec(work=work, setup=setup_of(device, threads, dtype))), as_json, terminal.show_ceilings)


@app.command()
def fetch(as_json: Json = False) -> None:
    """Bring the default model into the cache."""
    with border(as_json):
        done = do(RunSpec(work=FetchModel(), setup=setup_of(None, None, None)))
        finish(done, as_json, lambda run: terminal.OUT.print("The default model is in the cache."))


@app.command()
def models(as_json: Json = False) -> None:
    """List the catalogue."""
    rows = catalogue.rows().values()
    if as_json:
        return print_json({"models": [_model(row) for row in rows]})
    table = terminal.Table("id", "name", "parameters", "weights", "context", box=None, header_style="dim")
    for row in rows:
        spec = row.spec()
        table.add_row(row.id, row.name, words(parameters(spec), ""), "real" if spec.trained else "random", f"{spec.context:,}")
    terminal.OUT.print(table)


def _model(row: catalogue.Row) -> dict:
    spec = row.spec()
    return {
        "id": row.id,
        "name": row.name,
        "parameters": parameters(spec),
        "weights": spec.origin,
        "context": spec.context,
        "hub": row.hub,
    }
