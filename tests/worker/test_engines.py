"""Other engines: the same weights say the same, and what an engine cannot do is said before any work."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from profiler.catalog.methods import GGUF_FAMILIES
from profiler.spec.compression import Pruning
from profiler.spec.run import Generate
from profiler.worker.engines import ENGINES
from profiler.worker.gguf_export import FAMILIES
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
