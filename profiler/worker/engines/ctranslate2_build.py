"""The CTranslate2 model that a job runs: converted by CTranslate2's own loaders from the weights that every other method starts from.

    python -m profiler.worker.engines.ctranslate2_build SCRATCH SOURCE

CTranslate2 takes words, not their numbers. Its vocabulary is made of the numbers here, written out, so that none is mistaken for
another and a model needs no tokenizer. Every family is compared with transformers in tests/worker/test_ctranslate2_engine.py.
"""

import re
from importlib.metadata import version
from pathlib import Path
from typing import cast

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from profiler.record.events import Job
from profiler.spec.formats import FORMATS
from profiler.spec.model import ModelSpec
from profiler.spec.work import Generate
from profiler.worker import gguf_file
from profiler.worker.channel import Channel
from profiler.worker.engines.apart import answer, apart
from profiler.worker.loading import fingerprint
from profiler.worker.made import made_once

PRECISIONS = {"float32": "float32", "int8-ct2": "int8"}  # format of the weights → CTranslate2's word
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gpt2", "gptj", "gpt_bigcode", "opt", "bloom", "falcon")
FIXED = (  # details that its loaders take for granted, or that its code lacks
    *("hidden_act", "hidden_activation", "activation_function", "use_sliding_window", "scale_attn_weights", "multi_query"),
    *("scale_attn_by_inverse_layer_idx", "apply_residual_connection_post_layernorm", "new_decoder_architecture", "parallel_attn", "alibi"),
)
HEADS = ("mistral", "qwen3")  # families whose heads may be of another width than hidden ÷ heads
ROPES = ("default", "linear")  # scalings of positions that it calculates as transformers does
RECIPE = 1  # of the files made here: another number when they change
BROKEN = (NotImplementedError, KeyError, AttributeError, ValueError, TypeError, RuntimeError)  # what its loaders raise


class Numbers:
    """A tokenizer as the loaders want it: its words are the token ids."""

    bos_token = eos_token = unk_token = pad_token = "0"

    def __init__(self, size: int):
        self.size = size

    def get_vocab(self) -> dict[str, int]:
        """Word → id."""
        return {str(id): id for id in range(self.size)}


def ready(job: Job, source: str | Path | None, scratch: Path, channel: Channel) -> Path:
    """The folder to run: kept from earlier, or made now. One with random weights stays in `scratch`, which is removed."""
    spec, setup = job.spec.model, job.spec.setup
    assert spec
    wanted = setup.quantization or setup.dtype
    plain = re.sub(r"[^\w.-]+", "-", spec.name)
    kept = None
    if source is not None:
        kept = scratch.parent / f"{plain}-{wanted}-{fingerprint(source, str(RECIPE), version('ctranslate2'))}"
    return made_once(kept, f"a CTranslate2 model: {FORMATS[wanted].title}", lambda: _apart(job, source, scratch), channel)


def _apart(job: Job, source: str | Path | None, scratch: Path) -> Path:
    apart("profiler.worker.engines.ctranslate2_build", "CTranslate2's converter", job, source, scratch)
    return scratch / "converted"


@torch.no_grad()
def build(job: Job, source: str | Path | None, scratch: Path) -> Path:
    """A new folder in `scratch`. Raises ValueError of one sentence for a model that CTranslate2's loaders do not take."""
    spec, setup, target = job.spec.model, job.spec.setup, scratch / "converted"
    assert spec
    model = gguf_file.model_of(job, source, "float32")
    target.mkdir()
    try:
        _convert(model, target, PRECISIONS[setup.quantization or setup.dtype])
    except BROKEN as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"CTranslate2 cannot convert {spec.name} ({spec.family}): {first.rstrip('.')}.") from error
    return target


def _convert(model: PreTrainedModel, target: Path, word: str) -> None:
    from ctranslate2.converters import transformers as loaders  # heavy: optional

    rows = cast(torch.Tensor, model.get_input_embeddings().weight).shape[0]
    made = loaders._MODEL_LOADERS[type(model.config).__name__](model, Numbers(rows))
    made.validate()
    made.optimize(quantization=word)
    made.save(str(target))


def refuse_shape(job: Job) -> None:
    """Raise ValueError, of one sentence, for a model that CTranslate2 would not run as transformers does."""
    spec, work = job.spec.model, job.spec.work
    assert spec
    if spec.family not in FAMILIES or spec.moe:
        raise ValueError(f"Models of the family {spec.family} cannot be handed to CTranslate2 here; those of {', '.join(FAMILIES)} can.")
    config = AutoConfig.for_model(**spec.config)
    usual = AutoConfig.for_model(spec.family)
    odd = [name for name in FIXED if getattr(config, name, None) != getattr(usual, name, None)]
    if spec.family not in HEADS and spec.head_dim * spec.heads != spec.hidden:
        odd.append("width of heads")
    if odd:
        raise ValueError(
            f"CTranslate2 runs models of the family {spec.family} only with the usual {' and '.join(odd)}; take another engine."
        )
    if (kind := _rope(config)) not in ROPES:
        raise ValueError(f"CTranslate2 calculates positions scaled by {kind} otherwise than transformers; take another engine.")
    tokens = work.prompt_tokens + work.new_tokens if isinstance(work, Generate) else 0
    _refuse_window(spec, tokens)


def _rope(config: PretrainedConfig) -> str:
    """How positions are scaled."""
    return (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")


def _refuse_window(spec: ModelSpec, tokens: int) -> None:
    if spec.window and tokens > spec.window:
        raise ValueError(f"CTranslate2 runs {spec.family} here only within its window of {spec.window} tokens; keep the text shorter.")


if __name__ == "__main__":
    answer(build)
