"""The ONNX graph that a job runs: made by onnxruntime-genai's builder of the weights that every other method starts from."""

import re
import time
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from logging import WARNING, getLogger
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from profiler.record.events import Job
from profiler.spec.formats import FORMATS
from profiler.spec.run import Generate, Setup
from profiler.worker import shapes
from profiler.worker.channel import Channel
from profiler.worker.convert import move
from profiler.worker.device import release_memory, reset_peaks
from profiler.worker.loading import fingerprint

PRECISIONS = {"int4-onnx": "int4", "int8-onnx": "int8", "float32": "fp32"}  # format of the weights → the builder's word
NOISY = ("onnxruntime.quantization.matmul_nbits_quantizer", "onnxscript", "onnx_ir")  # loggers that tell of every matrix


def ready(job: Job, source: str | Path | None, scratch: Path, channel: Channel) -> Path:
    """The folder to run: kept from earlier, or made now. One with random weights stays in `scratch`, which is removed."""
    spec, setup = job.spec.model, job.spec.setup
    assert spec
    wanted = setup.quantization or setup.dtype
    plain = re.sub(r"[^\w.-]+", "-", spec.name)
    kept = None if source is None else scratch.parent / f"{plain}-{wanted}-{fingerprint(source, version('onnxruntime-genai'))}"
    if kept and kept.exists():
        return kept
    channel.enter("compress", note=f"Making an ONNX graph: {FORMATS[wanted].title}{', once' if kept else ''}")
    began = time.perf_counter()
    made = _made(job, source, wanted, scratch)
    if kept:
        move(made, kept)
    release_memory()
    reset_peaks(setup.device)  # what comes now is the engine's
    channel.measured("compress_time", time.perf_counter() - began)
    return kept or made


def _made(job: Job, source: str | Path | None, wanted: str, scratch: Path) -> Path:
    """A new folder in `scratch`. Raises ValueError of one sentence for a family that the builder does not know."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options  # heavy: optional

    spec = job.spec.model
    assert spec
    target = scratch / "graph"
    place = ("", _random(job, scratch)) if source is None else ("", str(source)) if Path(source).is_dir() else (str(source), "")
    for name in NOISY:
        getLogger(name).setLevel(WARNING)
    try:
        with (scratch / "builder.log").open("w") as log, redirect_stdout(log), redirect_stderr(log):
            where = (*place, str(target), PRECISIONS[wanted], "cpu", str(scratch / "cache"))
            create_model(*where, **parse_extra_options(*where, ["prune_lm_head=true", "hf_remote=false"]))
    except (NotImplementedError, KeyError, AttributeError, ValueError, TypeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"ONNX Runtime's builder cannot make {spec.name} ({spec.family}): {first}") from error
    return target


def _random(job: Job, scratch: Path) -> str:
    """A folder with random weights, and a tokenizer of one word, without which the builder makes nothing."""
    spec, work = job.spec.model, job.spec.work
    assert spec
    folder = scratch / "plain"
    shapes.build(spec, Setup(dtype="float32"), work.seed if isinstance(work, Generate) else 0).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"?": 0}, unk_token="?"))).save_pretrained(folder)
    return str(folder)
