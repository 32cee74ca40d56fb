"""The GGUF file that a job runs: made of the same weights that every other method starts from, and kept in the cache."""

import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gguf import LlamaFileType
from transformers import AutoConfig, PreTrainedModel

from profiler.record.events import Job
from profiler.spec.formats import FORMATS
from profiler.spec.run import BYTES, Setup
from profiler.spec.work import Generate
from profiler.worker import shapes
from profiler.worker.channel import Channel
from profiler.worker.device import release_memory
from profiler.worker.gguf_export import FILE_TYPES, export
from profiler.worker.loading import fingerprint, open_model
from profiler.worker.made import made_once

NEED_CALIBRATION = ("iq3_xxs", "iq2_xs", "iq2_xxs", "iq1_s")  # llama.cpp refuses to make these without an importance matrix
WEIGHTS = {
    name: LlamaFileType[f"MOSTLY_{name.upper()}"]
    for name, row in FORMATS.items()
    if row.title.startswith("GGUF") and name not in NEED_CALIBRATION
}
LAYOUT = 1  # of the files made here: another number when they change


def ready(job: Job, source: str | Path | None, scratch: Path, channel: Channel) -> Path:
    """The file to run: kept from earlier, or made now. One with random weights stays in `scratch`, which is removed."""
    spec, setup = job.spec.model, job.spec.setup
    assert spec
    wanted = setup.quantization or setup.dtype
    made_with = str(LAYOUT), version("cyllama"), version("gguf")
    kept = None if source is None else scratch.parent / f"{_plain(spec.name)}-{wanted}-{fingerprint(source, *made_with)}.gguf"
    what = f"a GGUF file in {FORMATS[wanted].title.removeprefix('GGUF ')}"
    return made_once(kept, what, lambda: made(job, source, scratch), channel)


def made(job: Job, source: str | Path | None, scratch: Path) -> Path:
    """A new file in `scratch`: the weights as they are, then, if asked for, quantized from that by llama.cpp itself.

    Raises ValueError of one sentence where it cannot be made.
    """
    setup = job.spec.setup
    quantized = setup.quantization in WEIGHTS
    dtype = _dtype(source) if quantized else setup.quantization or setup.dtype
    model = model_of(job, source, dtype)
    _refuse_full_disk(model, setup, dtype, scratch)
    plain, packed = scratch / "plain.gguf", scratch / "packed.gguf"
    export(model, plain, dtype)
    if not quantized:
        return plain
    del model
    release_memory()
    quantize(plain, packed, setup.quantization, setup.threads)
    plain.unlink()
    return packed


def _dtype(source: str | Path | None) -> str:
    """That the weights are published in, so that a quantized file is the same whatever the set-up's dtype."""
    if source is None:
        return "bfloat16"
    dtype = str(AutoConfig.from_pretrained(source, trust_remote_code=False).dtype).removeprefix("torch.")
    return dtype if dtype in FILE_TYPES else "float32"


def model_of(job: Job, source: str | Path | None, dtype: str) -> PreTrainedModel:
    """The job's model in transformers, in that dtype. Raises ValueError where it cannot be loaded."""
    spec, work, setup = job.spec.model, job.spec.work, Setup.model_validate({"dtype": dtype})
    assert spec
    if source is None:
        return shapes.build(spec, setup, work.seed if isinstance(work, Generate) else 0)
    return open_model(source, spec.name, setup)


def _refuse_full_disk(model: PreTrainedModel, setup: Setup, dtype: str, folder: Path) -> None:
    count = sum(parameter.numel() for parameter in model.parameters())
    needed = count * (BYTES[dtype] + (FORMATS[setup.quantization].bits / 8 if setup.quantization in WEIGHTS else 0))
    if (free := shutil.disk_usage(folder).free) < needed:
        raise ValueError(f"Making the GGUF file takes {needed / 1e9:.1f} GB in the cache, where {free / 1e9:.1f} GB are free; make room.")


def quantize(plain: Path, packed: Path, name: str, threads: int) -> None:
    """Let llama.cpp quantize a file. Matrices whose rows do not fit the format's blocks get another one, as it sees fit."""
    llama = binding()
    wanted = llama.LlamaModelQuantizeParams()
    wanted.ftype, wanted.nthread = int(WEIGHTS[name]), threads
    try:
        llama.model_quantize(str(plain), str(packed), wanted)
    except RuntimeError as error:
        raise ValueError(f"llama.cpp cannot make {FORMATS[name].title} of this model; choose another format.") from error


def binding() -> Any:
    """The module of cyllama that calls llama.cpp, silent. Its threads are torch's: OpenMP's functions are those of who loaded first."""
    import cyllama.llama.llama_cpp as llama  # heavy: optional

    llama.disable_logging()
    return llama


def _plain(name: str) -> str:
    """A name that a file can have."""
    return re.sub(r"[^\w.-]+", "-", name)
