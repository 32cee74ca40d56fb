import json
import struct

import gguf
import numpy as np
import pytest

from profiler.catalog.resolve import resolve


@pytest.fixture
def folder(tmp_path):
    """A folder with a configuration of a small Llama."""
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "vocab_size": 100,
        "max_position_embeddings": 256,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def change(folder, **fields):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def refusal(text) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is what is tested
        resolve(str(text))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


def test_a_folder_with_safetensors_is_a_model(folder):
    """config.json and weights make a folder model."""
    (folder / "model.safetensors").write_bytes(b"")
    spec = resolve(str(folder))

    assert (spec.origin, spec.layers, spec.kv_heads, spec.head_dim) == ("folder", 2, 2, 16)
    assert resolve(spec.reference) == spec


def test_the_shape_of_a_folder_needs_no_weights(folder):
    """random:FOLDER measures the shape alone."""
    spec = resolve(f"random:{folder}")

    assert spec.origin == "random"
    assert resolve(spec.reference) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No model was named"),
        ("llama-3.2-2b", "Did you mean llama-3.2-"),
        ("no such thing", "python -m profiler models"),
        ("weights.bin", "pickled"),
        ("weights.gguf", "There is no file"),
        ("random:nothing", "No model is called 'nothing'"),
    ],
)
def test_a_wrong_name_says_what_to_do(text, said):
    """Unknown, missing and pickled models are refused with a remedy."""
    assert said in refusal(text)


def test_a_folder_without_a_model_is_refused(tmp_path):
    """No config.json, no model."""
    assert "no config.json" in refusal(tmp_path)


def test_a_folder_without_weights_is_refused(folder):
    """A configuration alone is only a shape."""
    assert "no *.safetensors" in refusal(folder)


def test_pickled_weights_are_refused_by_name(folder):
    """A pickled checkpoint is named, and never opened."""
    (folder / "pytorch_model.bin").write_bytes(b"")

    assert "pytorch_model.bin" in refusal(folder)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"hidden_size": -64}, "hidden_size"),
        ({"hidden_size": "big"}, "hidden_size"),
        ({"num_hidden_layers": 10**9}, "layers"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"vocab_size": None}, "vocab_size"),
        ({"model_type": None}, "model_type"),
        ({"is_encoder_decoder": True}, "encoder-decoder"),
    ],
)
def test_an_absurd_configuration_names_its_field(folder, fields, said):
    """What is missing or absurd is named before any work."""
    change(folder, **fields)

    assert said in refusal(f"random:{folder}")


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_a_broken_configuration_is_refused(folder, text):
    """Half a file, or no object, is not a configuration."""
    (folder / "config.json").write_bytes(text.encode("latin-1"))

    assert "config" in refusal(f"random:{folder}")


def write_gguf(file, layers=2):
    """A small Llama as GGUF."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(layers)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_context_length(256)
    writer.add_tensor("token_embd.weight", np.zeros((100, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_tells_its_shape(tmp_path):
    """Header and tensors give the configuration."""
    write_gguf(tmp_path / "a.gguf")
    spec = resolve(str(tmp_path / "a.gguf"))

    assert (spec.origin, spec.layers, spec.hidden, spec.vocab, spec.tied) == ("gguf", 2, 64, 100, True)


@pytest.mark.parametrize("keep", [0, 10, 100, 300])
def test_a_cut_gguf_is_refused(tmp_path, keep):
    """A truncated file is refused before anything runs."""
    file = tmp_path / "a.gguf"
    write_gguf(file)
    file.write_bytes(file.read_bytes()[:keep])

    assert "a.gguf" in refusal(file)


def test_a_corrupt_gguf_is_refused(tmp_path):
    """A header that promises absurd counts does not take the machine down."""
    file = tmp_path / "a.gguf"
    file.write_bytes(struct.pack("<IIQQ", gguf.GGUF_MAGIC, 3, 2**60, 2**60) + b"\xff" * 64)

    assert "a.gguf" in refusal(file)
