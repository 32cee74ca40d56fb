"""The parts that measure, on real tensors."""

import sys

import numpy as np
import psutil
import pytest
import torch

from profiler.catalog.config import from_hf_config
from profiler.catalog.models import rows
from profiler.catalog.resolve import resolve
from profiler.spec.formats import Precision
from profiler.spec.run import Setup
from profiler.spec.work import Generate
from profiler.theory.cache import kv_per_token
from profiler.worker import hog, shapes
from profiler.worker.decoding import Decoding
from profiler.worker.device import Marks, memory_marks, reset_peaks
from profiler.worker.loading import open_model
from profiler.worker.prompt import prompt_ids
from profiler.worker.steady import imprecision, steady
from profiler.worker.variants import vary


def test_random_weights_have_the_right_shape_and_are_finite():
    """A GPT-2 of random weights has its parameters, and its logits are ordinary numbers."""
    model = shapes.build(rows()["gpt2"].spec(), Setup(dtype="bfloat16"), seed=0)
    with torch.inference_mode():
        logits = model(torch.arange(8)[None]).logits

    assert sum(p.numel() for p in model.parameters()) == 124_439_808
    assert logits.isfinite().all()
    assert logits.float().std() > 0


@pytest.mark.parametrize("name", ["gemma-2-2b", "mixtral-8x7b", "qwen3-0.6b", "phi-3-mini", "olmoe-1b-7b"])
def test_every_family_decodes_with_its_cache(name):
    """Two layers of each family: prefill and steps run, and the cache holds what was counted."""
    row = rows()[name]
    config = row.config | {
        "num_hidden_layers": 2,
        "vocab_size": 512,
        "hidden_size": 256,
        "intermediate_size": 128,
        "moe_intermediate_size": 64,
        "pad_token_id": 0,
    }
    spec = from_hf_config(config, name=name, reference=name, origin="random")
    with torch.inference_mode():
        decoding = Decoding(shapes.build(spec, Setup(), 0), prompt_ids(Generate(batch=2, prompt_tokens=5), 512, None), Setup())
        decoding.prefill()
        seconds = decoding.timed_steps(3)

    assert len(seconds) == 3
    assert decoding.cache_bytes == kv_per_token(spec, Precision.of("float32")) * 2 * 8


def test_decoding_equals_transformers_generate(tiny_folder):
    """Our loop and transformers' own greedy generation choose the same tokens."""
    model = open_model(tiny_folder, "tiny", Setup())
    prompt = prompt_ids(Generate(prompt_tokens=7), 256, None)
    with torch.inference_mode():
        decoding = Decoding(model, prompt, Setup())
        decoding.prefill()
        decoding.timed_steps(9)
        wanted = model.generate(prompt, max_new_tokens=10, do_sample=False, eos_token_id=None, pad_token_id=0)[0, 7:]

    assert [int(token) for token in decoding.said] == wanted.tolist()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets the high-water mark")
def test_peak_memory_is_exact():
    """A transient of 200 MB is seen to within 2 %, though nobody sampled while it lasted."""
    reset_peaks("cpu")
    before = memory_marks("cpu")["rss_peak"]
    torch.ones(50_000_000)
    after = memory_marks("cpu")["rss_peak"]

    assert after - before == pytest.approx(200e6, rel=0.02)


def test_marks_measure_between_neighbours():
    """N marks give n − 1 durations."""
    marks = Marks("cpu")
    for _ in range(4):
        marks.mark()

    assert len(marks.seconds()) == 3
    assert min(marks.seconds()) >= 0


def test_steady_needs_two_equal_windows():
    """Of 200 noisy but level series at least 85 % are called steady; fewer steps, a trend, or a jump never are."""
    noise = np.random.default_rng(0).normal(1, 0.01, (200, 16)).tolist()

    assert sum(map(steady, noise)) >= 170
    assert not any(steady(series[:15]) for series in noise)
    assert not steady([1 + 0.02 * step for step in range(16)])
    assert not steady([1.0] * 8 + [1.2] * 8)


def test_imprecision_is_the_relative_half_width():
    """Equal samples are known exactly."""
    assert imprecision([1.0] * 20) == 0
    assert imprecision([0.9, 1.1] * 10) > 0.05


def test_another_layout_computes_the_same(tiny_folder):
    """Weights by columns: other strides, equal logits."""
    plain, turned = open_model(tiny_folder, "tiny", Setup()), vary(open_model(tiny_folder, "tiny", Setup()), Setup(layout="columns"))
    prompt = prompt_ids(Generate(prompt_tokens=7), 256, None)
    with torch.inference_mode():
        same = torch.allclose(plain(prompt).logits, turned(prompt).logits, atol=1e-5)

    assert same
    assert turned.model.layers[0].mlp.up_proj.weight.stride(0) == 1


@pytest.mark.parametrize("kind", ["memory", "compute"])
def test_a_hog_works_and_ends(kind):
    """Beside the block a child process keeps a core busy; after it there is none."""
    with hog.beside(kind):
        (child,) = psutil.Process().children()
        busy = sum(child.cpu_times()[:2])

    assert busy > 0.1
    assert not child.is_running()


def test_a_damaged_checkpoint_is_refused(tiny_folder, tmp_path):
    """Half a safetensors file: one sentence with the model's name."""
    (tmp_path / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((tiny_folder / "model.safetensors").read_bytes()[:2000])

    with pytest.raises(ValueError, match="damaged") as caught:
        open_model(resolve(str(tmp_path)).location, "half", Setup())
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds processes to cores here")
def test_a_hog_takes_the_last_core_whatever_its_parent_is_bound_to():
    """Started by a thread that is bound to the first core, it works on the last one."""
    process, before = psutil.Process(), psutil.Process().cpu_affinity()
    try:
        process.cpu_affinity(before[:1])
        with hog.beside("compute"):
            (child,) = process.children()
            held = child.cpu_affinity()
    finally:
        process.cpu_affinity(before)

    assert held == before[-1:]
