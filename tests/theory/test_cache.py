import numpy as np
import pytest

from profiler.catalog import models
from profiler.spec.formats import Precision
from profiler.theory.cache import kv_bytes, kv_per_token
from profiler.theory.weights import weight_bytes

BF16 = Precision()


def of(id: str):
    return models.rows()[id].spec()


def test_kv_bytes_per_token():
    """Llama-3.1-8B in bfloat16: 2 × 32 layers × 8 heads × 128 × 2 bytes; half of it in float8."""
    assert kv_per_token(of("llama-3.1-8b"), BF16) == 131_072
    assert kv_per_token(of("llama-3.1-8b"), Precision(kv="float8")) == 65_536


def test_a_latent_is_all_that_deepseek_keeps():
    """DeepSeek-V3: 61 layers × (512 + 64) × 2 bytes a token, where plain attention would keep 32 times as much."""
    assert kv_per_token(of("deepseek-v3"), BF16) == 61 * 576 * 2


def test_a_cache_is_divided_among_its_heads():
    """Eight of Llama-3's; a latent not at all; the state of Mamba-2 by its heads, of Mamba by its channels."""
    assert [of(id).kv_heads for id in ("llama-3.1-8b", "deepseek-v3", "mamba2-2.7b", "mamba-2.8b")] == [8, 1, 80, 5120]


def test_sliding_layers_stop_growing():
    """Gemma-3-27B, at 100,000 tokens: ten layers keep all, 52 keep 1,024."""
    assert kv_bytes(of("gemma-3-27b"), 100_000, BF16) == (10 * 100_000 + 52 * 1024) * 2 * 16 * 128 * 2


def test_an_encoder_decoder_keeps_the_prompt_for_its_cross_attention():
    """T5-large: keys and values of the prompt and of what was written, 24 layers × 16 heads × 64."""
    assert kv_bytes(of("t5-large"), 120, BF16, 100) == 2 * 24 * 16 * 64 * 2 * (100 + 20)


def test_an_encoder_keeps_nothing():
    """BERT has no cache."""
    assert kv_bytes(of("bert-base"), 512, BF16) == 0


def test_the_cache_takes_arrays():
    """A sweep over lengths is the same code."""
    lengths = np.array([10, 2000, 50_000])

    assert kv_bytes(of("gemma-3-27b"), lengths, BF16) == pytest.approx([kv_bytes(of("gemma-3-27b"), int(n), BF16) for n in lengths])


@pytest.mark.parametrize(
    ("id", "quantization", "gigabytes"),
    [
        ("llama-3.1-8b", "bf16", 16.06),
        ("llama-3.1-8b", "Q4_K_M", 4.92),
        ("llama-2-7b", "Q4_0", 3.83),
        ("gemma-2-9b", "Q4_K_M", 5.76),
        ("qwen2.5-7b", "Q4_K_M", 4.68),
        ("gpt-oss-20b", "MXFP4", 13.76),
        ("gpt-oss-120b", "MXFP4", 65.25),
    ],
)
def test_weights_take_what_published_files_take(id, quantization, gigabytes):
    """Blocks, lm_head and embedding at their own widths give the size of the published file within 1 %."""
    assert weight_bytes(of(id), Precision.of(quantization)) == pytest.approx(gigabytes * 1e9, rel=0.01)
