"""CTranslate2: the same weights say the same, it never runs ahead of who asks, and what it cannot do is said before any work."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from profiler.catalog.methods import CTRANSLATE2_FAMILIES
from profiler.spec.compression import Pruning
from profiler.spec.work import Generate
from profiler.worker.engines import ENGINES, ctranslate2, ctranslate2_build
from tests.worker.reading import Heard, job, reader

pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
PROMPT = torch.arange(5, 29).view(2, 12)
NEW = 8
WIDE = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 640}
GROUPED = WIDE | {"num_key_value_heads": 2}
OLD = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 640}
SHAPES = {
    "llama": GROUPED | {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
    "mistral": GROUPED | {"sliding_window": None, "head_dim": 32},
    "qwen2": GROUPED | {"tie_word_embeddings": True},
    "qwen3": GROUPED | {"head_dim": 32},
    "gemma": GROUPED | {"head_dim": 16},
    "gpt2": OLD,
    "gptj": OLD | {"rotary_dim": 8},
    "gpt_bigcode": OLD,
    "opt": WIDE | {"ffn_dim": 96, "word_embed_proj_dim": 64, "max_position_embeddings": 64},
    "bloom": {"hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": 640},
    "falcon": WIDE,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model on disk."""
    return reader(tmp_path_factory.mktemp("model") / "reader")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch, request):
    """Start no process to convert, which takes seconds, and wait a moment only; the test that is about that process starts it."""
    monkeypatch.setattr(ctranslate2, "PATIENCE", 0.05)
    if "apart" not in request.node.name:
        monkeypatch.setattr(ctranslate2_build, "_apart", ctranslate2_build.build)


def opened(folder, cache, heard=None, batch=2, **setup):
    work = Generate(batch=batch, prompt_tokens=12, new_tokens=NEW)
    return ENGINES["ctranslate2"](job(folder, work, cache, engine="ctranslate2", **setup), heard or Heard())


def plain(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def expected(model, prompt):
    """The greedy tokens of transformers, ends of text among them: int64 (sequences, new tokens)."""
    length = prompt.shape[1]
    return model.generate(prompt, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=0)[:, length:]


def test_the_catalogue_knows_the_families_that_can_be_converted():
    """What the page offers for CTranslate2 is what the worker converts, and what is compared below."""
    assert CTRANSLATE2_FAMILIES == ctranslate2_build.FAMILIES == tuple(SHAPES)


def test_ctranslate2_writes_the_same_words_twice(folder, tmp_path):
    """In float32 the greedy tokens of two sequences are those of transformers, again after starting over half-way."""
    steps = opened(folder, tmp_path).decoding(PROMPT)
    wanted = expected(plain(folder), PROMPT)[0].tolist()
    for count in (2, NEW - 1):
        assert steps.timed_prefill() > 0
        seconds = steps.timed_steps(count)
        assert len(seconds) == count
        assert min(seconds) > 0
        assert steps.said == wanted[: count + 1]
    assert steps.cache_bytes == 2 * 2 * 2 * 16 * 4 * (12 + NEW - 1) * 2
    assert steps.facts == {}


def test_equal_sequences_go_on_as_one_does(folder, tmp_path):
    """A batch of two equal rows says what the row says alone."""
    engine = opened(folder, tmp_path)
    both, alone = engine.decoding(PROMPT[:1].repeat(2, 1)), engine.decoding(PROMPT[:1])
    for steps in (alone, both):
        steps.prefill()
        steps.timed_steps(NEW - 1)

    assert both.said == alone.said == expected(plain(folder), PROMPT[:1])[0].tolist()


def test_an_end_of_text_ends_nothing(folder, tmp_path):
    """A model that says nothing but the mark of the end is asked for all tokens all the same."""
    model = plain(folder)
    model.lm_head.weight.data = model.lm_head.weight.data.clone()
    model.config.tie_word_embeddings = False
    model.lm_head.weight.data.zero_()
    model.save_pretrained(tmp_path / "mute")
    steps = opened(tmp_path / "mute", tmp_path).decoding(PROMPT)
    steps.prefill()
    steps.timed_steps(NEW - 1)

    assert steps.said == [0] * NEW  # which is also the word for the end in its vocabulary


def test_it_waits_until_more_is_asked_for(folder, tmp_path):
    """After the prefill there is one token, and none more comes by itself; waiting is in no step's time."""
    steps = opened(folder, tmp_path).decoding(PROMPT)
    steps.prefill()
    threading.Event().wait(0.3)
    assert len(steps.said) == 1

    assert max(steps.timed_steps(3)) < 0.3
    assert len(steps.said) == 4


def test_a_dropped_decoding_ends_its_generation(folder, tmp_path):
    """Nobody holds it any more: the thread of CTranslate2 is free for the next one, and the model goes when the engine does."""
    engine = opened(folder, tmp_path)
    steps = engine.decoding(PROMPT)
    steps.prefill()
    turns, gone = steps.turns, weakref.ref(engine)
    del steps
    gc.collect()
    assert turns.pending == []

    assert engine.logits(PROMPT[0]).shape == (12, engine.vocab)
    held = engine.held
    del engine
    gc.collect()
    assert gone() is None
    assert held == []


def test_whoever_comes_next_ends_what_waits(folder, tmp_path):
    """There is one thread: logits, or another decoding, end a generation, which says so when it is asked for more."""
    engine = opened(folder, tmp_path)
    first, second = engine.decoding(PROMPT), engine.decoding(PROMPT)
    first.prefill()
    assert len(engine.logits(PROMPT[0])) == 12
    first.prefill()
    second.prefill()

    assert len(second.timed_steps(2)) == 2
    with pytest.raises(ValueError, match="begin anew"):
        first.timed_steps(1)


def test_the_time_of_the_thread_that_calculates_is_told(folder, tmp_path):
    """It grows with the steps; before the first one, it is that of the thread that asks."""
    steps = opened(folder, tmp_path).decoding(PROMPT)
    assert steps.thread_time() > 0
    steps.prefill()
    before = steps.thread_time()
    steps.timed_steps(NEW - 1)

    assert steps.thread_time() > before


@pytest.mark.parametrize(("quantization", "close"), [("", 1e-3), ("int8-ct2", 0.15)])
def test_the_logits_of_a_text_are_those_of_transformers(quantization, close, folder, tmp_path):
    """The root mean square of their difference is a small part of their spread; int8 is a third as large in memory, or less."""
    engine = opened(folder, tmp_path, quantization=quantization)
    for ids in (torch.arange(200), PROMPT[1]):
        with torch.inference_mode():
            wanted = plain(folder)(ids[None]).logits[0]
        assert (engine.logits(ids) - wanted).pow(2).mean().sqrt() < close * wanted.std()
    if quantization:
        assert engine.weight_bytes < opened(folder, tmp_path).weight_bytes / 3


@pytest.mark.parametrize("family", SHAPES)
def test_ctranslate2_says_what_each_family_says(family, tmp_path):
    """Logits and greedy tokens of random weights."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SHAPES[family]), dtype=torch.float32).eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.2).add_(float(parameter.dim() < 2))
    model.save_pretrained(tmp_path / "model")
    engine = opened(tmp_path / "model", tmp_path)
    steps = engine.decoding(PROMPT)
    steps.prefill()
    steps.timed_steps(NEW - 1)
    with torch.inference_mode():
        wanted = model(PROMPT[:1]).logits[0]

    assert (engine.logits(PROMPT[0]) - wanted).abs().max() < 1e-3 * wanted.std()
    assert steps.said == expected(model, PROMPT)[0].tolist()


@pytest.mark.parametrize(
    ("family", "changes", "words"),
    [
        ("mamba", {}, "family mamba cannot be handed"),
        ("llama", {"hidden_act": "gelu"}, "usual hidden_act"),
        ("llama", {"head_dim": 32}, "usual width of heads"),
        ("mistral", {"sliding_window": 16}, "window of 16 tokens"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        (
            "llama",
            {
                "rope_parameters": {
                    "rope_type": "llama3",
                    "rope_theta": 5e5,
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64,
                }
            },
            "scaled by llama3",
        ),
    ],
)
def test_a_model_that_it_would_run_otherwise_is_refused(family, changes, words, tmp_path):
    """A family or a detail that its code does not have is an error, not a wrong number."""
    AutoConfig.for_model(family, **(SHAPES.get(family, {}) | changes)).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=words) as found:
        opened(f"random:{tmp_path / 'model'}", tmp_path)
    assert str(found.value).count(". ") == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "cuda:0"}, "choose the device cpu"),
        ({"pruning": Pruning(method="wanda", share=0.5)}, "take the engine transformers"),
        ({"quantization": "q4_0"}, "no GGUF Q4_0 weights"),
        ({"dtype": "bfloat16"}, "choose the dtype float32"),
        ({"kv": "int8-kv"}, "KV cache"),
        ({"compile": True}, "leave out compiling"),
        ({"attention": "eager"}, "kind of attention"),
    ],
)
def test_what_ctranslate2_cannot_do_is_said_in_one_sentence(folder, tmp_path, changes, words):
    """A device, pruning, format or way of running that it does not have."""
    with pytest.raises(ValueError, match=words) as found:
        opened(folder, tmp_path, **changes)
    assert str(found.value).count(". ") == 0


def test_a_missing_package_is_named_with_its_command(folder, tmp_path, monkeypatch):
    """Without it the engine says what to install."""
    monkeypatch.setattr(ctranslate2, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install ctranslate2"):
        opened(folder, tmp_path)


def test_a_failed_generation_is_told_and_not_waited_for(folder, tmp_path, monkeypatch):
    """Words that it cannot take raise in its thread; whoever waits for the first token hears of it."""
    monkeypatch.setattr(ctranslate2, "MANY", 2)
    steps = opened(folder, tmp_path).decoding(PROMPT)
    steps.prefill()
    with pytest.raises(ValueError, match="has ended this text"):
        steps.timed_steps(5)
    steps.prefill()
    assert len(steps.said) == 1


def test_a_model_is_converted_once(folder, tmp_path):
    """The second load finds it in the cache, and no half-made one is left."""
    for expected_notes in (1, 0):
        heard = Heard()
        opened(folder, tmp_path, heard, quantization="int8-ct2")
        assert sum(event.name == "compress" for event in heard.of("phase")) == expected_notes
    assert not [*tmp_path.rglob("making-*")]


LEAVING = """
import sys, torch
from pathlib import Path
from profiler.spec.work import Generate
from profiler.worker.engines import ENGINES, ctranslate2_build
from tests.worker.reading import Heard, job

ctranslate2_build._apart = ctranslate2_build.build
asked = job(sys.argv[1], Generate(batch=2, prompt_tokens=12, new_tokens=8), Path(sys.argv[2]), engine="ctranslate2")
engine = ENGINES["ctranslate2"](asked, Heard())
steps = engine.decoding(torch.arange(24).view(2, 12))
steps.prefill()
steps.timed_steps(2)
"""


@pytest.mark.slow
def test_an_interpreter_can_end_while_a_generation_waits(folder, tmp_path):
    """It neither hangs nor aborts, with everything still referred to."""
    done = subprocess.run([sys.executable, "-c", LEAVING, folder, tmp_path], check=False, timeout=100, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.slow
def test_a_model_is_converted_apart_and_its_error_is_told(folder, tmp_path):
    """A process of its own converts, or says in one sentence why not; random weights leave no file."""
    broken = reader(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:2000])

    assert opened(folder, tmp_path).weight_bytes > 0
    with pytest.raises(ValueError, match="of broken are damaged") as found:
        opened(broken, tmp_path)
    assert "\n" not in str(found.value)
    random = opened("random:smollm2-135m", tmp_path / "random", batch=1)
    assert random.weight_bytes > 4 * 134e6  # equal matrices would be held once
    assert [file for file in (tmp_path / "random").rglob("*") if file.is_file()] == []
