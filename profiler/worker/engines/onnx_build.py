"""The ONNX graph that a job runs: made by onnxruntime-genai's builder of the weights that every other method starts from.

    python -m profiler.worker.engines.onnx_build SCRATCH SOURCE

The builder works in this process of its own, since it would leave hundreds of megabytes in one that is measured. It reads the job
from standard input, ends when that closes, and answers with one sentence if it cannot make the graph.
"""

import re
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from logging import WARNING, getLogger
from pathlib import Path

from safetensors import SafetensorError
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PretrainedConfig, PreTrainedTokenizerFast

from profiler.record.events import Job
from profiler.spec.formats import FORMATS
from profiler.spec.model import ModelSpec
from profiler.spec.run import Setup
from profiler.spec.work import Generate
from profiler.worker import shapes
from profiler.worker.channel import Channel
from profiler.worker.engines.apart import answer, apart
from profiler.worker.loading import fingerprint, open_model, tokenizer_of
from profiler.worker.made import made_once

PRECISIONS = {"int4-onnx": "int4", "int8-onnx": "int8", "float32": "fp32"}  # format of the weights → the builder's word
NOISY = ("onnxruntime.quantization.matmul_nbits_quantizer", "onnxscript", "onnx_ir")  # loggers that tell of every matrix
BROKEN = (
    NotImplementedError,
    KeyError,
    AttributeError,
    ValueError,
    TypeError,
    OSError,
    SafetensorError,
)  # what it raises for models it does not know, and files it cannot read
OPTIONS = ["prune_lm_head=true", "hf_remote=false", "windowed_kv_cache=false"]  # a cache that drops tokens cannot start over
RECIPE = 2  # of the graphs made here: another number when they change
WRONG = ("olmo",)  # families that it builds with other norms than theirs


def ready(job: Job, source: str | Path | None, scratch: Path, channel: Channel) -> Path:
    """The folder to run: kept from earlier, or made now. One with random weights stays in `scratch`, which is removed."""
    spec, setup = job.spec.model, job.spec.setup
    assert spec
    wanted = setup.quantization or setup.dtype
    plain = re.sub(r"[^\w.-]+", "-", spec.name)
    made_with = str(RECIPE), version("onnxruntime-genai")
    kept = None if source is None else scratch.parent / f"{plain}-{wanted}-{fingerprint(source, *made_with)}"
    return made_once(kept, f"an ONNX graph: {FORMATS[wanted].title}", lambda: _apart(job, source, scratch), channel)


def _apart(job: Job, source: str | Path | None, scratch: Path) -> Path:
    apart("profiler.worker.engines.onnx_build", "ONNX Runtime's builder", job, source, scratch)
    return scratch / "graph"


def build(job: Job, source: str | Path | None, scratch: Path) -> Path:
    """A new folder in `scratch`. Raises ValueError of one sentence for a family that the builder does not know."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options  # heavy: optional

    spec, setup, target = job.spec.model, job.spec.setup, scratch / "graph"
    assert spec
    where = ("", _folder(job, source, scratch), str(target), PRECISIONS[setup.quantization or setup.dtype], "cpu", str(scratch / "cache"))
    for name in NOISY:
        getLogger(name).setLevel(WARNING)
    try:
        with (scratch / "build.log").open("w") as log, redirect_stdout(log), redirect_stderr(log):
            options = parse_extra_options(*where, OPTIONS)
            explain(options["hf_details"]["hf_config"])
            create_model(*where, **options)
    except BROKEN as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"ONNX Runtime's builder cannot make {spec.name} ({spec.family}): {first}") from error
    return target


def explain(config: PretrainedConfig) -> None:
    """Write into a configuration what the builder looks for under one name only, and else takes for something usual."""
    if getattr(config, "eos_token_id", None) is None:
        config.eos_token_id = 0  # it insists on one, which is replaced when the graph is opened
    if not hasattr(config, "rms_norm_eps") and hasattr(config, "layer_norm_eps"):
        config.rms_norm_eps = config.layer_norm_eps
    if getattr(config, "sliding_window", None) and not getattr(config, "layer_types", None):
        config.layer_types = ["sliding_attention"] * config.num_hidden_layers
    ropes = getattr(config, "rope_parameters", None) or {}
    if "sliding_attention" in ropes:  # one of each kind of layer, since transformers 5
        config.rope_local_base_freq, config.rope_parameters = ropes["sliding_attention"]["rope_theta"], ropes["full_attention"]


def refuse_shape(spec: ModelSpec) -> None:
    """Raise ValueError for a family that is built wrongly, and for matrices that the builder takes for the lm_head, which it
    knows by its number of outputs alone.
    """
    if spec.family in WRONG:
        raise ValueError(f"ONNX Runtime's builder makes models of the family {spec.family} that say something else; take another engine.")
    queries, keys = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    if spec.vocab in (spec.hidden, spec.ffn, 2 * spec.ffn, queries, keys, queries + 2 * keys):
        raise ValueError(f"ONNX Runtime's builder confuses the lm_head with other matrices of {spec.vocab} rows; take another vocabulary.")


def _folder(job: Job, source: str | Path | None, scratch: Path) -> str:
    """What the builder reads: the folder itself, or one made for it, if need be with a tokenizer of one word."""
    spec, work, folder, wide = job.spec.model, job.spec.work, scratch / "plain", Setup(dtype="float32")
    assert spec
    tokenizer = None if source is None else tokenizer_of(source)
    if source is not None and tokenizer and Path(source).is_dir():
        return str(source)
    seed = work.seed if isinstance(work, Generate) else 0
    model = shapes.build(spec, wide, seed) if source is None else open_model(source, spec.name, wide)
    model.save_pretrained(folder)
    word = tokenizer or PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"?": 0}, unk_token="?")))
    word.save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    answer(build)
