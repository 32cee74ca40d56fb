"""llama.cpp: its formats, prompts longer than one call, its cache, its files, and the models that it is not handed."""

import pytest
import torch
from transformers import AutoConfig

from profiler.spec.run import Setup
from profiler.spec.work import Generate
from profiler.worker import gguf_file
from profiler.worker.engines import llamacpp
from profiler.worker.gguf_export import check, export
from profiler.worker.gguf_file import NEED_CALIBRATION, WEIGHTS, quantize
from profiler.worker.made import scratch_folder
from tests.worker.reading import Heard, job, reader
from tests.worker.test_gguf_export import model

pytest.importorskip("cyllama")
PROMPT = torch.arange(5, 29).view(2, 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model on disk."""
    return reader(tmp_path_factory.mktemp("model") / "reader")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A file whose rows fit the blocks of every format: 256 numbers."""
    file = tmp_path_factory.mktemp("file") / "plain.gguf"
    export(model("llama", hidden_size=256, num_hidden_layers=1), file, "bfloat16")
    return file


def opened(folder, cache, batch=2, **setup):
    work = Generate(batch=batch, prompt_tokens=12, new_tokens=4)
    return llamacpp.load(job(folder, work, cache, engine="llama.cpp", **setup), Heard())


def written(engine, prompt):
    """The latest token of each sequence after the prompt and after each of three steps."""
    steps = engine.decoding(prompt)
    steps.prefill()
    found = [steps.tokens]
    for _ in range(3):
        steps.step()
        found.append(steps.tokens)
    return found


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_format_that_is_offered_can_be_made(name, plain, tmp_path):
    """The file is smaller than its origin, and llama.cpp opens it."""
    packed = tmp_path / f"{name}.gguf"
    quantize(plain, packed, name, threads=1)

    assert packed.stat().st_size < plain.stat().st_size
    assert 0 < llamacpp.opened(packed).size < packed.stat().st_size


@pytest.mark.parametrize("name", NEED_CALIBRATION)
def test_a_format_that_needs_an_importance_matrix_is_refused_by_llamacpp(name, plain, tmp_path, monkeypatch):
    """That is why these few are not offered; the refusal is a sentence."""
    monkeypatch.setitem(WEIGHTS, name, gguf_file.LlamaFileType[f"MOSTLY_{name.upper()}"])
    with pytest.raises(ValueError, match="choose another format"):
        quantize(plain, tmp_path / "packed.gguf", name, threads=1)


def test_a_prompt_longer_than_one_call_is_split(folder, tmp_path, monkeypatch):
    """Three calls of at most ten tokens say what one call of all says, for two sequences side by side."""
    engine = opened(folder, tmp_path, dtype="float32")
    whole = written(engine, PROMPT)
    monkeypatch.setattr(llamacpp, "LOGICAL", 10)

    assert len(engine.decoding(PROMPT).parts) == 3
    assert written(engine, PROMPT) == whole


def test_sequences_do_not_see_each_other(folder, tmp_path):
    """Each row of a batch goes on as it does alone."""
    engine = opened(folder, tmp_path, dtype="float32")
    alone = [written(engine, row[None]) for row in PROMPT]

    assert written(engine, PROMPT) == [[*first, *second] for first, second in zip(*alone)]


def test_its_own_clock_runs_inside_ours(folder, tmp_path):
    """What llama.cpp reports of the timed steps is something, and no more than our clock around the same calls."""
    steps = opened(folder, tmp_path, batch=1, dtype="float32").decoding(PROMPT[:1])
    steps.prefill()
    seconds = steps.timed_steps(3)

    assert steps.facts["step_ours"] == pytest.approx(sum(seconds) / 3)
    assert 0 < steps.facts["step_own"] <= steps.facts["step_ours"]


def test_a_text_longer_than_one_call_is_read_whole(folder, tmp_path, monkeypatch):
    """Its logits do not depend on how many tokens a call takes, and a shorter text afterwards starts anew."""
    engine = opened(folder, tmp_path, dtype="float32")
    whole = engine.logits(PROMPT.flatten())
    monkeypatch.setattr(llamacpp, "READ", 5)

    assert torch.allclose(engine.logits(PROMPT.flatten()), whole, atol=0.02 * float(whole.std()))
    assert torch.allclose(engine.logits(PROMPT[0]), whole[:12], atol=0.02 * float(whole.std()))


def test_a_narrower_cache_holds_fewer_bytes(tmp_path):
    """By the formula: layers × keys and values × kv heads × head width × tokens × sequences × bytes, and little beside."""
    made = tmp_path / "wide"
    model("llama", head_dim=32, num_hidden_layers=2).save_pretrained(made)
    held = {}
    for kv, width in (("", 2), ("float32", 4), ("q8_0", 34 / 32), ("q4_0", 18 / 32)):
        steps = opened(made, tmp_path, dtype="float16", kv=kv).decoding(PROMPT)
        steps.prefill()
        held[kv] = steps.cache_bytes / (2 * 2 * 2 * 32 * 12 * 2 * width)

    assert all(1 <= excess < 1.15 for excess in held.values()), held


def test_a_quantized_cache_needs_heads_of_whole_blocks(folder, tmp_path):
    """Heads of 16 numbers cannot be cut into blocks of 32; and scores that are written out cannot be read from such a cache."""
    with pytest.raises(ValueError, match="multiple of 32"):
        opened(folder, tmp_path, kv="q8_0")
    with pytest.raises(ValueError, match="flash attention"):
        llamacpp._refuse_cache(Setup(kv="q8_0", attention="eager"), 64)


def test_too_many_sequences_are_refused(folder, tmp_path):
    """llama.cpp continues a limited number at once."""
    with pytest.raises(ValueError, match="at most 256 sequences"):
        opened(folder, tmp_path, batch=257)


@pytest.mark.slow
def test_random_weights_leave_no_file(tmp_path):
    """A model without trained weights is made, loaded and removed: the disk does not fill up."""
    engine = opened("random:smollm2-135m", tmp_path, batch=1, quantization="q4_0")

    assert engine.file_bytes > engine.weight_bytes > 0
    assert engine.tokenizer is None
    assert [*tmp_path.rglob("*.gguf")] == []


def test_a_full_disk_is_seen_before_anything_is_written(folder, tmp_path, monkeypatch):
    """The sentence says how much is needed."""
    full = gguf_file.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(gguf_file.shutil, "disk_usage", lambda place: full)
    with pytest.raises(ValueError, match="make room"):
        opened(folder, tmp_path, quantization="q8_0")
    assert [*tmp_path.rglob("*.gguf")] == []


def test_what_a_killed_worker_left_is_removed(tmp_path):
    """The next one that makes a file clears the place first."""
    left = tmp_path / "making-dead"
    left.mkdir()
    (left / "plain.gguf").write_bytes(b"half")
    with scratch_folder(tmp_path) as scratch:
        assert not left.exists()
        assert scratch.exists()
    assert not scratch.exists()


def test_a_damaged_file_is_told(tmp_path):
    """Whatever the loader stumbles over is one sentence with a remedy."""
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="delete it from the cache"):
        llamacpp.opened(file)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("mamba", {}, "of the family mamba"),
        ("mistral", {"sliding_window": 32}, "sliding window of 32 tokens"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act"),
        ("gemma2", {"query_pre_attn_scalar": 100}, "query_pre_attn_scalar"),
        ("gemma3_text", {"layer_types": ["full_attention"] * 4}, "layer_types"),
        ("qwen2", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "scaled by dynamic"),
        ("qwen3", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
    ],
)
def test_a_model_that_llamacpp_would_run_otherwise_is_refused(kind, changes, words):
    """A family or a detail that its code does not have is an error, not a wrong number."""
    layers = {} if kind == "mamba" else {"num_hidden_layers": 4}
    with pytest.raises(ValueError, match=words) as found:
        check(AutoConfig.for_model(kind, **layers, **changes), tokens=64)
    assert str(found.value).count(". ") == 0


def test_usual_models_are_not_refused():
    """Families as their configuration in transformers is by itself."""
    for kind in ("llama", "qwen2", "qwen3", "phi3", "olmo2", "smollm3", "granite", "gemma", "mistral"):
        check(AutoConfig.for_model(kind), tokens=160)
