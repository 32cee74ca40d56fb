"""FLOPs of the operators that torch's own counter does not know, or counts too high.

torch.utils.flop_counter (2.13) counts nothing for attention on a processor, grouped and quantized products and
matrix-vector products, and counts causal attention in full. Here an attention pair counts if the query may see the key:
2·(d_k + d_v) FLOPs a pair and head (Dao et al. 2022, arXiv 2205.14135). Each formula takes the operator's own arguments
and its result.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
Formula = Callable[..., float]
ATTENTION = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)
# products of rows with a packed or quantized matrix; the last axis of the first argument is summed over
PACKED = (
    "aten::_int_mm",
    "aten::_weight_int8pack_mm",
    "aten::_weight_int4pack_mm",
    "aten::_weight_int4pack_mm_for_cpu",
    "aten::_dyn_quant_matmul_4bit",
    "quantized::linear_dynamic",
    "quantized::linear_dynamic_fp16",
    "quantized::linear",
    "onednn::qlinear_pointwise",
    "mkldnn::_linear_pointwise",
    "mkl::_mkl_linear",
)
# the same, of packages that are loaded after this file, if at all
LATE = tuple(f"bitsandbytes::{name}" for name in ("int8_mixed_scaled_mm", "int8_scaled_mm", "int8_linear_matmul", "gemv_4bit", "gemm_4bit"))


def bound(operator, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the names of its schema."""
    return dict(zip((argument.name for argument in operator._schema.arguments), args)) | kwargs


def visible_pairs(query: torch.Tensor, key: torch.Tensor, causal: bool, mask: torch.Tensor | None) -> float:
    """(query, key) pairs of all sequences that attention must look at, of one head."""
    batch, queries, keys = query.shape[0], query.shape[-2], key.shape[-2]
    if mask is not None and not mask.is_meta:
        seen = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
        heads = seen.shape[1] if seen.dim() == 4 else 1
        return float(seen.expand(batch, *([heads] if seen.dim() == 4 else []), queries, keys).sum()) / heads
    if causal:
        full = min(queries, keys)  # query i sees the first i + 1 keys
        return batch * (full * (full + 1) / 2 + (queries - full) * keys)
    return float(batch * queries * keys)


def _attention(operator) -> Formula:
    def flops(*args, out_val: Any = None, **kwargs) -> float:
        held = bound(operator, args, kwargs)
        query, key, value = held["query"], held["key"], held["value"]
        mask = held.get("attn_mask") if held.get("attn_mask") is not None else held.get("attn_bias")
        pairs = visible_pairs(query, key, bool(held.get("is_causal")), mask)
        return 2 * query.shape[-3] * pairs * (key.shape[-1] + value.shape[-1])

    return _raw(flops)


def _raw(flops: Formula) -> Formula:
    flops._get_raw = True  # type: ignore[attr-defined]  # torch's counter then hands over tensors, not shapes
    return flops


def _packed(rows: torch.Tensor, *_, out_val: Any, **__) -> float:
    out = out_val[0] if isinstance(out_val, tuple) else out_val
    return 2.0 * out.numel() * rows.shape[-1]


def _grouped(rows: torch.Tensor, matrices: torch.Tensor, *_, out_val: torch.Tensor, **__) -> float:
    """Each row meets one matrix; where both are plain matrices, the groups split what is summed over."""
    groups = out_val.shape[0] if rows.dim() == matrices.dim() == 2 else 1
    return 2.0 * out_val.numel() / groups * rows.shape[-1]


def _vector(*args: torch.Tensor, out_val: Any = None, **__) -> float:
    """mv, addmv, dot: a multiply and an add for each element of the largest operand."""
    return 2.0 * max(part.numel() for part in args if isinstance(part, torch.Tensor))


def _packet(name: str):
    """The operator of a name; None where this torch has none."""
    space, _, operator = name.partition("::")
    return getattr(getattr(torch.ops, space), operator, None)


def _formulas() -> dict[Any, Formula]:
    found: dict[Any, Formula] = {}
    for name in ATTENTION:
        if (packet := getattr(aten, name, None)) is not None:
            found[packet] = _attention(packet.default)
    found |= {packet: _raw(_packed) for name in PACKED if (packet := _packet(name)) is not None}
    found |= {packet: _raw(_grouped) for name in ("_grouped_mm", "_scaled_grouped_mm") if (packet := getattr(aten, name, None))}
    return found | {packet: _raw(_vector) for packet in (aten.mv, aten.addmv, aten.dot, aten.vdot)}


FORMULAS = _formulas()  # what torch's FlopCounterMode takes as its custom_mapping
KNOWN = {**flop_registry, **FORMULAS}


def formula_of(operator) -> Formula | None:
    """The formula for an operator; None where none is known."""
    packet = operator._overloadpacket
    return KNOWN.get(packet) or (_packed if packet._qualified_op_name in LATE else None)


def flops_of(operator, args: tuple, kwargs: dict[str, Any], out: Any) -> float | None:
    """FLOPs of one call; None where no formula is known."""
    formula = formula_of(operator)
    return None if formula is None else float(formula(*args, **kwargs, out_val=out))
