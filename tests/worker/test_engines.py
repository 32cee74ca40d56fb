"""Other engines: the same weights say the same, and what an engine cannot do is said before any work."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from profiler.catalog.config import from_hf_config
from profiler.catalog.methods import GGUF_FAMILIES, ONNX_FAMILIES
from profiler.catalog.models import rows
from profiler.record.events import Job
from profiler.spec.compression import Pruning
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate
from profiler.worker import shapes
from profiler.worker.decoding import Decoding
from profiler.worker.engines import ENGINES, onnx_build
from profiler.worker.gguf_export import FAMILIES
from tests.builders import MACHINE
from tests.worker.reading import Heard, job, reader

PACKAGES = {"onnxruntime": "onnxruntime_genai", "llama.cpp": "cyllama"}
CLOSE = {"onnxruntime": 1e-4, "llama.cpp": 0.02}  # of the spread of logits; llama.cpp looks soft-max up in half precision
NARROW = {"onnxruntime": ("int4-onnx", "int8-onnx"), "llama.cpp": ("q4_0", "q8_0")}
PROMPT = torch.arange(5, 29).view(2, 12)
NEW = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model on disk."""
    return reader(tmp_path_factory.mktemp("model") / "reader")


@pytest.fixture(params=list(PACKAGES))
def engine(request):
    """The name of an engine whose package is installed."""
    pytest.importorskip(PACKAGES[request.param])
    return request.param


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch, request):
    """Start no process to build a graph, which takes seconds; the test that is about that one does."""
    if "apart" not in request.node.name:
        monkeypatch.setattr(onnx_build, "_apart", onnx_build.build)


def opened(engine, folder, cache, heard=None, **setup):
    work = Generate(batch=2, prompt_tokens=12, new_tokens=NEW)
    return ENGINES[engine](job(folder, work, cache, engine=engine, **setup), heard or Heard())


def expected(folder):
    """The tokens that transformers writes, greedily, in float32: int64 (sequences, new tokens)."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.generate(PROMPT, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=0)[:, 12:]


def test_another_engine_writes_the_same_words(engine, folder, tmp_path):
    """In float32 the greedy tokens are those of transformers, again after starting over, with two sequences side by side."""
    steps = opened(engine, folder, tmp_path, dtype="float32").decoding(PROMPT)
    wanted = expected(folder)[0].tolist()
    for _ in range(2):
        assert steps.timed_prefill() > 0
        assert len(steps.timed_steps(NEW - 1)) == NEW - 1
        assert [int(token) for token in steps.said] == wanted
    assert steps.cache_bytes > 0


def test_the_logits_of_a_text_are_those_of_transformers(engine, folder, tmp_path):
    """Each place's logits, and those of a second text are not disturbed by the first."""
    made = opened(engine, folder, tmp_path, dtype="float32")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for ids in (PROMPT[0], PROMPT[1]):
        with torch.inference_mode():
            wanted = model(ids[None]).logits[0]
        assert (made.logits(ids) - wanted).abs().max() < CLOSE[engine] * wanted.std()


def test_fewer_bits_are_fewer_bytes_and_nearly_the_same_logits(engine, folder, tmp_path):
    """8 bits are closer to the truth than 4, and both are smaller than float32."""
    wide = opened(engine, folder, tmp_path, dtype="float32")
    wanted = wide.logits(PROMPT[0])
    four, eight = (opened(engine, folder, tmp_path, dtype="float32", quantization=name) for name in NARROW[engine])
    far, near = (torch.nn.functional.cosine_similarity(made.logits(PROMPT[0]), wanted).mean() for made in (four, eight))

    assert four.weight_bytes < eight.weight_bytes < wide.weight_bytes
    assert 0.5 < far < near
    assert near > 0.99


def test_a_file_is_made_once(engine, folder, tmp_path):
    """The second load finds it in the cache, and no half-made one is left."""
    for expected_notes in (1, 0):
        heard = Heard()
        opened(engine, folder, tmp_path, heard, dtype="float32", quantization=NARROW[engine][0])
        assert sum(event.name == "compress" for event in heard.of("phase")) == expected_notes
    assert not [*tmp_path.rglob("making-*")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "cuda:0"}, "choose the device cpu"),
        ({"pruning": Pruning(method="wanda", share=0.5)}, "take the engine transformers"),
        ({"quantization": "nf4"}, "weights"),
        ({"kv": "int8-kv"}, "KV cache"),
        ({"compile": True}, "leave out compiling"),
    ],
)
def test_what_an_engine_cannot_do_is_said_in_one_sentence(engine, folder, tmp_path, changes, words):
    """A device, pruning, format or way of running that it does not have."""
    with pytest.raises(ValueError, match=words) as found:
        opened(engine, folder, tmp_path, **changes)
    assert str(found.value).count(". ") == 0


def test_a_missing_package_is_named_with_its_command(monkeypatch, folder, tmp_path):
    """Without it the engine says what to install."""
    for engine in PACKAGES:
        module = "onnx" if engine == "onnxruntime" else "llamacpp"
        monkeypatch.setattr(f"profiler.worker.engines.{module}.find_spec", lambda name: None)
        with pytest.raises(ValueError, match="pip install"):
            opened(engine, folder, tmp_path)


def test_the_catalogue_knows_the_families_that_can_be_written():
    """What the page offers for llama.cpp is what the worker can write."""
    assert set(GGUF_FAMILIES) == set(FAMILIES)


SHAPE = {"num_hidden_layers": 2, "hidden_size": 256, "intermediate_size": 96, "vocab_size": 640, "head_dim": 64, "pad_token_id": 0}
SHAPE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 1, "sliding_window": 16, "query_pre_attn_scalar": 64}
SAMPLES = {family: config for row in reversed(rows().values()) if (family := (config := row.config)["model_type"]) in ONNX_FAMILIES}


def small(family):
    """A job with a small model of random weights, of which some layers see 16 tokens only, where the family has such."""
    config = {key: value for key, value in SAMPLES[family].items() if key != "layer_types"}
    changes = {key: value for key, value in SHAPE.items() if key != "sliding_window" or key in config}
    spec = from_hf_config(config | changes, name=family, reference=family, origin="random")
    run = RunSpec(model=spec, work=Generate(batch=2, prompt_tokens=24, new_tokens=NEW), setup=Setup(engine="onnxruntime"))
    return Job(spec=run, hardware=MACHINE, ceilings=None, cache="", warm=False)


def test_onnx_has_a_sample_of_each_family_that_is_offered():
    """What follows compares every family that the page offers for ONNX Runtime."""
    assert set(SAMPLES) == set(ONNX_FAMILIES)


@pytest.mark.parametrize("family", SAMPLES)
def test_onnx_says_what_each_family_says(family, tmp_path):
    """The logits of a text longer than a sliding window, and the words written after it, twice from the start."""
    pytest.importorskip("onnxruntime_genai")
    asked = small(family).model_copy(update={"cache": str(tmp_path)})
    assert asked.spec.model
    prompt = torch.randint(2, 600, (2, 24), generator=torch.Generator().manual_seed(1))
    made, model = ENGINES["onnxruntime"](asked, Heard()), shapes.build(asked.spec.model, Setup(), 0).eval()
    with torch.inference_mode():
        wanted = model(prompt[:1]).logits[0]
        plain = Decoding(model, prompt, Setup())
        plain.prefill()
        plain.timed_steps(NEW - 1)
    steps = made.decoding(prompt)

    assert (made.logits(prompt[0]) - wanted).abs().max() < 1e-4 * wanted.std()
    for _ in range(2):
        steps.prefill()
        steps.timed_steps(NEW - 1)
        assert [int(token) for token in steps.said] == [int(token) for token in plain.said]


def test_marks_of_padding_in_a_prompt_are_words_like_others(engine, folder, tmp_path):
    """Beside another sequence, a prompt with the token that ends and fills up texts is continued as alone."""
    prompt = torch.tensor([[5, 1, 7, 8, 1, 1], [5, 6, 7, 8, 9, 10]])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    whole = {"attention_mask": torch.ones_like(prompt), "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    wanted = model.generate(prompt, max_new_tokens=NEW, min_new_tokens=NEW, **whole)[0, 6:].tolist()
    steps = opened(engine, folder, tmp_path, dtype="float32").decoding(prompt)
    steps.prefill()
    steps.timed_steps(NEW - 1)

    assert [int(token) for token in steps.said] == wanted


def test_a_context_can_be_used_to_its_end(engine, folder, tmp_path):
    """Prompt and new tokens as many as the model takes, and a text of that length."""
    work = Generate(prompt_tokens=500, new_tokens=12)  # the model takes 512
    made = ENGINES[engine](job(folder, work, tmp_path, engine=engine), Heard())
    steps = made.decoding(torch.arange(500)[None])
    steps.prefill()

    assert len(steps.timed_steps(12)) == 12  # a step while warming up is one more than a round has
    assert made.logits(torch.arange(512)).shape == (512, made.vocab)


def test_onnx_takes_a_folder_without_tokenizer_but_not_damaged_weights(folder, tmp_path):
    """The first gets a tokenizer of one word; the second is told in one sentence."""
    pytest.importorskip("onnxruntime_genai")
    mute, broken = reader(tmp_path / "mute", reads=False), reader(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:2000])

    assert opened("onnxruntime", mute, tmp_path, dtype="float32").tokenizer is None
    with pytest.raises(ValueError, match="cannot make broken"):
        opened("onnxruntime", broken, tmp_path, dtype="float32")


def test_onnx_refuses_what_its_builder_gets_wrong(tmp_path):
    """A matrix with as many rows as the vocabulary, which it takes for the lm_head."""
    pytest.importorskip("onnxruntime_genai")
    asked = small("llama")
    assert asked.spec.model
    spec = from_hf_config(asked.spec.model.config | {"vocab_size": 96}, name="same", reference="same", origin="random")
    run = asked.spec.model_copy(update={"model": spec})
    with pytest.raises(ValueError, match="confuses the lm_head"):
        ENGINES["onnxruntime"](asked.model_copy(update={"spec": run, "cache": str(tmp_path)}), Heard())


@pytest.mark.slow
def test_a_graph_is_built_apart_and_its_error_is_told(folder, tmp_path):
    """A process of its own makes the graph, or says in one sentence why not."""
    pytest.importorskip("onnxruntime_genai")
    broken = reader(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:2000])

    assert opened("onnxruntime", folder, tmp_path, dtype="float32").weight_bytes > 0
    with pytest.raises(ValueError, match="cannot make broken") as found:
        opened("onnxruntime", broken, tmp_path, dtype="float32")
    assert "\n" not in str(found.value)
