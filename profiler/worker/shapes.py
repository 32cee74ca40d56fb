"""Models with random weights: the right shape, filled fast. Speed does not depend on the values, as long as they are
ordinary numbers (zeros and denormals can be faster or slower than what a trained model holds).
"""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.initialization import no_init_weights

from profiler.spec.model import ModelSpec
from profiler.spec.run import Setup

BLOCK = 1 << 20  # elements of the pattern that every matrix repeats


def attention(setup: Setup) -> str | None:
    """What transformers is asked for; None leaves the choice to it, since not every model has every implementation."""
    return None if setup.attention == "auto" else setup.attention


def build(spec: ModelSpec, setup: Setup, seed: int) -> PreTrainedModel:
    """A model of this shape on the device. Raises ValueError for a configuration that transformers cannot build."""
    try:
        config = AutoConfig.for_model(**spec.config)
        with no_init_weights():
            model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, setup.dtype), attn_implementation=attention(setup))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"transformers cannot build {spec.name} ({spec.family}) this way: {first}") from error
    model.tie_weights()  # part of the initialisation that was left out
    fill(model, seed)
    return torch.nn.Module.to(model, setup.device)


def fill(model: torch.nn.Module, seed: int) -> None:
    """Matrices repeat one block of normal values (σ = 0.02, the usual initialisation), norms are 1, biases 0.

    Each begins at another place of the block: some engines hold equal matrices once, and a whole model would fit into a cache.
    """
    block = torch.randn(BLOCK, generator=torch.Generator().manual_seed(seed)) * 0.02
    with torch.no_grad():
        for place, (name, parameter) in enumerate(model.named_parameters()):
            if parameter.dim() < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            values, flat = block.roll(place).to(parameter.dtype), parameter.view(-1)
            whole = len(flat) // BLOCK * BLOCK
            flat[:whole].view(-1, BLOCK).copy_(values)
            flat[whole:].copy_(values[: len(flat) - whole])
