"""OpenVINO: the same weights say the same, positions and lm_head are put right, and what it cannot do is said before any work."""

import sys
from importlib.util import find_spec

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForCausalLM

from profiler.catalog.methods import OPENVINO_FAMILIES
from profiler.spec.compression import Pruning
from profiler.spec.work import Generate
from profiler.worker import gguf_file
from profiler.worker.engines import ENGINES, apart, openvino, openvino_build
from tests.worker.reading import Heard, job, reader

if not find_spec("openvino_genai"):  # importing it to see would import its telemetry too
    pytest.skip("OpenVINO is not installed", allow_module_level=True)
PROMPT = torch.arange(5, 29).view(2, 12)
NEW = 8
CLOSE = {"float32": 1e-3, "bfloat16": 0.1, "q8_0": 0.1}  # root mean square error of logits, of their spread
FAR = 400  # places, where frequencies in float16 would be wrong by tenths of a radian
WIDE = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model on disk."""
    return reader(tmp_path_factory.mktemp("model") / "reader")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch, request):
    """Start no process to build a graph, which takes seconds; the test that is about that one does."""
    if "apart" not in request.node.name:
        monkeypatch.setattr(openvino_build, "_apart", openvino_build.build)


def opened(folder, cache, heard=None, batch=2, **setup):
    work = Generate(batch=batch, prompt_tokens=12, new_tokens=NEW)
    return ENGINES["openvino"](job(folder, work, cache, engine="openvino", **setup), heard or Heard())


def plain(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def error(made, model, ids):
    """Root mean square difference of the logits, of their spread."""
    with torch.inference_mode():
        wanted = model(ids[None]).logits[0]
    return float((made.logits(ids) - wanted).pow(2).mean().sqrt() / wanted.std())


def test_the_catalogue_knows_the_families_that_can_be_built():
    """What the page offers for OpenVINO is what the worker can build."""
    assert OPENVINO_FAMILIES == openvino_build.FAMILIES


def test_openvino_writes_the_same_words_twice(folder, tmp_path):
    """In float32 the greedy tokens of two sequences are those of transformers, again after starting over."""
    steps = opened(folder, tmp_path, dtype="float32").decoding(PROMPT)
    wanted = plain(folder).generate(PROMPT, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=0)
    for _ in range(2):
        assert steps.timed_prefill() > 0
        assert len(steps.timed_steps(NEW - 1)) == NEW - 1
        assert steps.said == wanted[0, 12:].tolist()
    assert steps.cache_bytes == 2 * 2 * 2 * 16 * 4 * (12 + NEW - 1) * 2
    assert steps.facts == {}


def test_equal_sequences_go_on_alike(folder, tmp_path):
    """A batch of two equal rows gives equal tokens, those that the row gives alone."""
    made = opened(folder, tmp_path, dtype="float32")
    both, alone = made.decoding(PROMPT[:1].repeat(2, 1)), made.decoding(PROMPT[:1])
    both.prefill()
    alone.prefill()
    for _ in range(3):
        assert both.tokens[0] == both.tokens[1] == alone.tokens[0]
        both.timed_steps(1)
        alone.timed_steps(1)


@pytest.mark.parametrize(("dtype", "quantization"), [("float32", ""), ("bfloat16", ""), ("float32", "q8_0")])
def test_the_logits_of_a_text_are_those_of_transformers(dtype, quantization, folder, tmp_path):
    """As close as the format allows, far from the beginning too, and a second text is not disturbed by the first."""
    made, model = opened(folder, tmp_path, dtype=dtype, quantization=quantization), plain(folder)
    for ids in (torch.arange(FAR) % 1100, PROMPT[1]):
        assert error(made, model, ids) < CLOSE[quantization or dtype]


def test_a_text_longer_than_one_call_is_read_whole(folder, tmp_path, monkeypatch):
    """Its logits do not depend on how many tokens a call takes."""
    made = opened(folder, tmp_path, dtype="float32")
    whole = made.logits(PROMPT.flatten())
    monkeypatch.setattr(openvino, "READ", 5)

    assert torch.allclose(made.logits(PROMPT.flatten()), whole, atol=1e-4 * float(whole.std()))


def test_fewer_bits_are_fewer_bytes(folder, tmp_path):
    """Every format reaches the engine: its weights shrink from float32 to 4 bits."""
    sizes = [
        opened(folder, tmp_path, dtype=dtype, quantization=name).weight_bytes
        for dtype, name in (("float32", ""), ("bfloat16", ""), ("float32", "q8_0"), ("float32", "q4_0"))
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.9 * sizes[1] > 3 * sizes[3]


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}, "head_dim": 32}),
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
        ),
        ("mistral", {"sliding_window": None}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen3", {"head_dim": 32}),
    ],
)
@pytest.mark.parametrize("name", ["", "q8_0"])
def test_openvino_says_what_each_family_says(family, changes, name, tmp_path):
    """Random weights of every family, heads of a width of their own, scaled positions; plain, and quantized."""
    config = AutoConfig.for_model(family, **WIDE, vocab_size=640, **changes)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for parameter in model.parameters():
        parameter.data = (parameter.data.normal_(std=0.1) + float(parameter.dim() < 2)).half().float()  # what norms are rounded to
    model.save_pretrained(tmp_path / "model")
    made = opened(tmp_path / "model", tmp_path, dtype="float32", quantization=name)

    assert error(made, model, torch.arange(100, 228)) < (0.15 if name else 1e-3)


def test_random_weights_leave_no_file(tmp_path):
    """A model without trained weights is built, loaded and removed, and has no tokenizer."""
    made = opened("random:smollm2-135m", tmp_path, batch=1, dtype="bfloat16")

    assert made.file_bytes > made.weight_bytes > 2 * 134e6
    assert made.tokenizer is None
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_a_graph_is_made_once_and_its_times_are_told_apart(folder, tmp_path):
    """The second load finds it in the cache; making, loading and compiling are three times."""
    for expected in (1, 0):
        heard = Heard()
        opened(folder, tmp_path, heard, dtype="float32", quantization="q4_0")
        told = [event.name for event in heard.of("measured")]
        assert told == ["compress_time"] * expected + ["load_time", "compile_time"]
    assert not [*tmp_path.rglob("making-*")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "cuda:0"}, "choose the device cpu"),
        ({"pruning": Pruning(method="wanda", share=0.5)}, "take the engine transformers"),
        ({"quantization": "nf4"}, "no NF4 weights"),
        ({"quantization": "bfloat16"}, "ask for the dtype bfloat16"),
        ({"quantization": "q4_k_m"}, "no GGUF Q4_K_M weights"),
        ({"kv": "int8-kv"}, "KV cache"),
        ({"compile": True}, "leave out compiling"),
        ({"attention": "eager"}, "kind of attention"),
    ],
)
def test_what_openvino_cannot_do_is_said_in_one_sentence(folder, tmp_path, changes, words):
    """A device, pruning, format or way of running that it does not have."""
    with pytest.raises(ValueError, match=words) as found:
        opened(folder, tmp_path, **changes)
    assert str(found.value).count(". ") == 0


@pytest.mark.parametrize(("model", "words"), [("random:gpt2", "family gpt2"), ("random:mixtral-8x7b", "family mixtral")])
def test_a_family_that_cannot_be_built_is_named(model, words, tmp_path):
    """With those that can."""
    with pytest.raises(ValueError, match=f"{words} cannot be handed to OpenVINO"):
        opened(model, tmp_path)


def test_numbers_that_the_processor_does_not_have_are_refused(folder, tmp_path, monkeypatch):
    """OpenVINO would silently calculate in float32."""
    monkeypatch.setitem(openvino.ABLE, "bfloat16", "NOTHING")
    with pytest.raises(ValueError, match="does not calculate in bfloat16"):
        opened(folder, tmp_path, dtype="bfloat16")


def test_missing_packages_are_named_with_their_command(folder, tmp_path, monkeypatch):
    """OpenVINO itself, and llama.cpp's quantizer where weights are quantized."""
    monkeypatch.setattr(openvino, "find_spec", lambda name: None if name == "cyllama" else True)
    with pytest.raises(ValueError, match="pip install cyllama"):
        opened(folder, tmp_path, quantization="q8_0")
    monkeypatch.setattr(openvino, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install openvino openvino-genai"):
        opened(folder, tmp_path)


def test_other_numbers_than_the_models_own_are_an_error(folder):
    """A graph whose matrices are not the model's is not run."""
    model = plain(folder)
    graph = openvino_build.binding().Model([openvino_build.binding().opset13.constant([[1.0]])], [], "empty")
    with pytest.raises(ValueError, match="otherwise than expected"):
        openvino_build._matrices(graph, model)
    with pytest.raises(ValueError, match="positions otherwise"):
        openvino_build._frequencies(graph, model.config)


def test_openvino_sends_no_statistics():
    """Its telemetry, which forks, is not there when it is imported."""
    openvino_build.binding()

    assert sys.modules["openvino_telemetry"] is None


@pytest.mark.slow
def test_a_graph_is_built_apart_and_its_error_is_told(folder, tmp_path):
    """A process of its own builds the graph, or says in one sentence why not."""
    broken = reader(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:2000])

    assert opened(folder, tmp_path, dtype="float32").weight_bytes > 0
    with pytest.raises(ValueError, match="of broken are damaged") as found:
        opened(broken, tmp_path, dtype="float32")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(("code", "words"), [(-9, "want of memory"), (-11, "it crashed"), (2, "last words")])
def test_a_builder_that_ends_early_is_told_by_how(code, words, tmp_path):
    """Killed, crashed, or with last words."""
    (tmp_path / "log").write_text("first\nlast words\n")
    assert words in apart._why(code, tmp_path / "log")


def test_llama_is_a_family_whose_class_is_known():
    """The rotary positions of all families here are those of Llama."""
    assert LlamaForCausalLM.config_class.model_type in openvino_build.FAMILIES
    assert set(openvino_build.WEIGHTS) <= set(gguf_file.WEIGHTS)
