"""What quantizing does to a matrix of weights, before any packing.

Weights are (outputs, inputs), as a linear layer holds them. Scales are rounded to the format that they are kept in before the
weights are divided by them, so that their own rounding costs nothing: every weight is at most half a step away.
"""

from collections.abc import Callable

import torch

GROUP = 32  # neighbours along the inputs that share a scale and a zero point
WIDE_GROUP = 128  # likewise in the "int4" of most packages
MIDDLE = 8  # of sixteen levels: torch's kernels for 4 bits hold the weight of this level as the zero point


def rows(values: torch.Tensor, kept: torch.dtype | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 levels (…, length) and one scale for each row (…), around zero: value ≈ level × scale.

    Scales are in the dtype `kept`; if none is given, in that of the values.
    """
    scales = _scales(values.float().abs().amax(-1) / 127, kept or values.dtype)
    levels = (values.float() / scales.float()[..., None]).round_().clamp_(-127, 127)
    return levels.to(torch.int8), scales


def groups(weight: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """4-bit levels 0 … 15 as int32, scales and zero points (outputs, groups): weight ≈ (level − 8) × scale + zero.

    A group is `size` neighbours along the inputs, which it must divide; its lowest and highest weight are the ends of the scale.
    """
    parts = weight.float().view(len(weight), -1, size)
    low, high = parts.aminmax(dim=-1)
    scales = _scales((high - low) / 15, weight.dtype)
    zeros = (low + MIDDLE * scales.float()).to(weight.dtype)
    levels = ((parts - zeros.float()[..., None]) / scales.float()[..., None]).round_().add_(MIDDLE).clamp_(0, 15)
    return levels.view_as(weight).to(torch.int32), scales, zeros


def _scales(steps: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Steps in the format that they are kept in; never zero, so that equal weights can be divided by them."""
    return steps.clamp(min=torch.finfo(dtype).tiny).to(dtype)


def rounded_rows(weight: torch.Tensor) -> torch.Tensor:
    """Weights after int8 with a scale for each output."""
    levels, scales = rows(weight)
    return (levels.float() * scales.float()[:, None]).to(weight.dtype)


def rounded_groups(weight: torch.Tensor, size: int = GROUP) -> torch.Tensor:
    """Weights after 4 bits with a scale and a zero point for each group; unchanged where groups do not fit."""
    if weight.shape[1] % size:
        return weight
    levels, scales, zeros = groups(weight, size)
    parts = (levels - MIDDLE).view(len(weight), -1, size) * scales.float()[..., None] + zeros.float()[..., None]
    return parts.view_as(weight).to(weight.dtype)


ROUNDED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "int8-rows": rounded_rows,
    "int8-fbgemm": rounded_rows,
    "int4-rows-g32": rounded_groups,
    "int4": lambda weight: rounded_groups(weight, WIDE_GROUP),
}


def rounded(weight: torch.Tensor, name: str) -> torch.Tensor:
    """The weights of a linear layer (outputs, inputs) as a format of the catalogue leaves them, in their own dtype.

    What a format does to activations, or to the lm_head alone, is not in here. Raises ValueError for a format that has no row.
    """
    if name not in ROUNDED:
        raise ValueError(f"Weights cannot be rounded to {name!r} here; choose one of {', '.join(ROUNDED)}.")
    return ROUNDED[name](weight)
