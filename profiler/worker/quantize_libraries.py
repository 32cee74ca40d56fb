"""Quantization of one linear layer by packages for accelerators: torchao and bitsandbytes.

Written by torchao 0.18 (torchao/quantization/quant_api.py) and bitsandbytes 0.50 (bitsandbytes/nn/modules.py). Each function
takes a layer and gives the one that stands in its place.
"""

import importlib.util
from functools import cache

import torch
from torch import nn

OUTLIER = 6.0  # activations beyond this stay in 16 bits: Dettmers et al. 2022 (arXiv 2208.07339), section 3.2


def need(package: str) -> None:
    """Raise ValueError if a package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"This quantization needs the package {package}, which is not installed: pip install {package}")


def ao_int8(layer: nn.Linear) -> nn.Module:
    """int8 weights with a scale for each output."""
    return _ao(layer, "int8")


def ao_int4(layer: nn.Linear) -> nn.Module:
    """4-bit weights in groups of 128, in the tiles of torch's own kernel for tensor cores, which pads inputs to 1024."""
    return _ao(layer, "int4")


def ao_float8(layer: nn.Linear) -> nn.Module:
    """float8 weights with a scale for each output; activations are converted as they come, with a scale for each token."""
    return _ao(layer, "float8")


def _ao(layer: nn.Linear, kind: str) -> nn.Module:
    need("torchao")
    from torchao.quantization import quantize_  # heavy: 2 s, and optional

    quantize_(layer, _ao_configs()[kind])
    return layer


@cache
def _ao_configs() -> dict[str, object]:
    """By kind. They leave the compiler's and torch's global settings alone, which would change what is measured beside them."""
    from torchao.quantization import (  # heavy: optional
        Float8DynamicActivationFloat8WeightConfig,
        Int4WeightOnlyConfig,
        Int8WeightOnlyConfig,
        PerRow,
    )

    return {
        "int8": Int8WeightOnlyConfig(set_inductor_config=False),
        "int4": Int4WeightOnlyConfig(group_size=128, int4_packing_format="tile_packed_to_4d", set_inductor_config=False),
        "float8": Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False),
    }


def bnb_int8(layer: nn.Linear) -> nn.Module:
    """LLM.int8(): weights and activations in int8, a scale for each output and token; outliers among the inputs in 16 bits."""
    need("bitsandbytes")
    import bitsandbytes.nn as bnb  # heavy: 5 s, and optional

    sizes = (layer.in_features, layer.out_features, layer.bias is not None)
    narrow = bnb.Linear8bitLt(*sizes, has_fp16_weights=False, threshold=OUTLIER, device="meta")
    host = layer.weight.detach().cpu()  # it quantizes while it moves away from the processor
    narrow.weight = bnb.Int8Params(host, requires_grad=False, has_fp16_weights=False).to(layer.weight.device)
    narrow.bias = layer.bias
    return narrow.eval()


def bnb_nf4(layer: nn.Linear) -> nn.Module:
    """NF4 in groups of 64, with a float32 constant for each; products are in the dtype of the weights."""
    need("bitsandbytes")
    import bitsandbytes.nn as bnb  # heavy: 5 s, and optional

    sizes = (layer.in_features, layer.out_features, layer.bias is not None)
    kind = {"compress_statistics": False, "quant_type": "nf4"}
    narrow = bnb.Linear4bit(*sizes, compute_dtype=layer.weight.dtype, device="meta", **kind)
    narrow.weight = bnb.Params4bit(layer.weight.detach(), requires_grad=False, module=narrow, **kind).to(layer.weight.device)
    narrow.bias = layer.bias
    return narrow.eval()


def groups_of_128(layer: nn.Linear) -> bool:
    """Whether groups of 128 fit; torchao leaves other layers as they are."""
    return layer.in_features % 128 == 0


def tiles_of_16(layer: nn.Linear) -> bool:
    """Whether float8 products fit; torchao leaves other layers as they are."""
    return layer.in_features % 16 == 0 and layer.out_features % 16 == 0


def capability(device: torch.device) -> float:
    """CUDA compute capability, like 8.9; 0 for a processor."""
    if device.type != "cuda":
        return 0.0
    major, minor = torch.cuda.get_device_capability(device)
    return major + minor / 10
