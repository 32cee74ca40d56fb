"""A model in llama.cpp says the same as in transformers."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from profiler.worker.gguf_export import export

LONG = {"rope_type": "longrope", "long_factor": [4.0] * 12, "short_factor": [1.0 + i / 20 for i in range(12)]}
LONG |= {"partial_rotary_factor": 0.75, "rope_theta": 10000.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 10000.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 10000.0}
LLAMA3 |= {"original_max_position_embeddings": 32}
GEMMA3 = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
}

CLOSE, APART = 5e-5, 1e-3  # of the spread of logits: their median, and any; a number that rounds to the other half is apart
# name → what differs from a small model of its family, which is the word before the dot
CASES: dict[str, dict] = {
    "llama": {},
    "llama.tied": {"tie_word_embeddings": True},
    "llama.biases": {"attention_bias": True, "mlp_bias": True},
    "llama.scaled": {"rope_parameters": LLAMA3},
    "llama.linear": {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
    "llama.wide": {"head_dim": 64},
    "mistral": {},
    "arcee": {},
    "smollm3": {},
    "granite": {"embedding_multiplier": 3.0, "residual_multiplier": 0.5, "attention_multiplier": 0.1, "logits_scaling": 2.0},
    "qwen2": {},
    "qwen2.yarn": {"rope_parameters": YARN},
    "qwen3": {"head_dim": 64},
    "phi3": {"sliding_window": None},
    "phi3.short": {"sliding_window": None, "rope_parameters": LONG, "original_max_position_embeddings": 512},
    "phi3.long": {"sliding_window": None, "rope_parameters": LONG, "original_max_position_embeddings": 32},
    "olmo2": {},
    "gemma": {"head_dim": 64},
    "gemma2": {"head_dim": 64, "query_pre_attn_scalar": 64, "sliding_window": 16},
    "gemma3_text": {"head_dim": 64, "query_pre_attn_scalar": 64, "sliding_window": 16, "num_hidden_layers": 6, "rope_parameters": GEMMA3},
}


def model(case: str, **changes) -> PreTrainedModel:
    """A small model whose norms and biases are not all alike, so that a forgotten one shows."""
    plain = {
        "vocab_size": 300,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "pad_token_id": 0,
    }
    config = AutoConfig.for_model(case.partition(".")[0], **(plain | CASES.get(case, {}) | changes))
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.05 if parameter.dim() > 1 else 0.2))
    return made


class Looked(torch.nn.Module):
    """GELU as llama.cpp has it on a processor: looked up in a table of half precision (ggml_gelu_f16)."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        exact = torch.nn.functional.gelu(values.half().float(), approximate="tanh").half().float()
        return torch.where(values <= -10, 0.0, torch.where(values >= 10, values, exact))


def logits_by_llamacpp(file, ids: list[int]) -> torch.Tensor:
    """Of each token, with everything that can be in float32."""
    llama = pytest.importorskip("cyllama.llama.llama_cpp")
    from profiler.worker.engines.llamacpp import opened

    wanted = llama.LlamaContextParams()
    wanted.n_ctx, wanted.n_threads, wanted.n_threads_batch = 512, 2, 2
    wanted.type_k, wanted.type_v, wanted.flash_attn_type = 0, 0, 0
    context = llama.LlamaContext(opened(file), wanted, verbose=False)
    batch = llama.LlamaBatch(n_tokens=len(ids), embd=0, n_seq_max=1)
    batch.set_batch(ids, 0, True)
    context.decode(batch)
    return torch.tensor([context.get_logits_ith(place) for place in range(len(ids))])


@pytest.mark.parametrize("case", CASES)
def test_a_family_says_the_same_in_llamacpp(case, tmp_path):
    """Logits of a text of 64 tokens, longer than the windows and the scaled contexts of the small models, are transformers'."""
    pytest.importorskip("cyllama")
    made = model(case)
    for layer in made.model.layers if case.startswith("gemma") else ():
        layer.mlp.act_fn = Looked()
    ids = [(7 * place * place + 3 * place) % 300 for place in range(64)]
    with torch.no_grad():
        expected = made(torch.tensor([ids])).logits[0]
    export(made, tmp_path / "model.gguf", "float32")

    found = logits_by_llamacpp(tmp_path / "model.gguf", ids)
    error = (found - expected).abs() / expected.std()
    assert error.median() < CLOSE
    assert error.max() < APART
