"""Linear layers that hold their weights in fewer bits, and multiply them with torch's own kernels on a processor.

The kernels were written for one row of activations, a decode step, and widen the weights inside their registers. What many
rows take instead differs: int8 weights by rows are widened block by block, which is exact and three times as fast for a prompt
of 128 tokens; 4-bit weights stay in a layout that depends on the processor and cannot be widened cheaply, so that their prefill
takes two to three times as long as that of 16-bit weights.
"""

import warnings

import torch
from torch import nn
from torch.nn.functional import embedding, linear

from profiler.worker.quantize_rounding import GROUP, groups, rows

# Rows up to which the kernel for int8 is faster than widening. Processor time of one thread with AVX512-BF16, for 576 → 1536,
# 2048 → 8192 and 8192 → 2048: 0.32 : 0.28, 5.8 : 5.6 and 4.1 : 5.0 ms at 8 rows; 0.45 : 0.32, 8.3 : 6.2 and 8.1 : 6.5 at 12 (the
# last at 16); 3.6 : 1.6, 88 : 27 and 64 : 25 at 128.
FEW = 8
BLOCK = 1 << 20  # weights that are widened at a time: 2 MB, which a second-level cache holds (a whole matrix took twice as long)
VECTOR = 32  # the int8 kernel reads whole vectors, beyond the end of other rows
TILE = 16  # the 4-bit kernel takes multiples of so many outputs


class Packed(nn.Module):
    """A linear layer in fewer bits: (…, inputs) → (…, outputs)."""

    dtypes: tuple[str, ...] = ("bfloat16", "float16")  # of the activations
    packed_bytes = 0  # of weights that are held outside of tensors
    bias: torch.Tensor | None

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())

    @staticmethod
    def fits(layer: nn.Linear) -> bool:
        """Whether the kernel can take a layer of that size."""
        return layer.in_features % VECTOR == 0

    def product(self, flat: torch.Tensor) -> torch.Tensor:
        """Rows (count, inputs) times the weights, without the bias."""
        raise NotImplementedError  # each format below has its own

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The layer's outputs."""
        out = self.product(inputs.reshape(-1, self.in_features))
        out = out if self.bias is None else out + self.bias
        return out.view(*inputs.shape[:-1], self.out_features)


def _blocks(weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return weight.split(max(BLOCK // weight.shape[1], 1))


def _rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 weights and their scales, made block by block: a large lm_head is never held in float32 as a whole."""
    levels, scales = zip(*(rows(block) for block in _blocks(weight.detach())))
    return torch.cat(levels), torch.cat(scales)


class Int8Rows(Packed):
    """int8 weights with a scale for each output: half the bytes of 16 bits."""

    weight: torch.Tensor
    scales: torch.Tensor

    def __init__(self, layer: nn.Linear):
        super().__init__(layer)
        for name, tensor in zip(("weight", "scales"), _rows(layer.weight)):
            self.register_buffer(name, tensor)

    def product(self, flat: torch.Tensor) -> torch.Tensor:
        """Few rows by the fused kernel; many by widening a block of weights at a time, with the scales on what comes out."""
        if len(flat) <= FEW:
            return torch._weight_int8pack_mm(flat, self.weight, self.scales)
        return torch.cat([linear(flat, block.to(flat.dtype)) for block in _blocks(self.weight)], -1) * self.scales


class Int4Groups(Packed):
    """4-bit weights, packed as torch's kernel wants them: a 16-bit scale and zero point for each 32 along the inputs."""

    weight: torch.Tensor
    scales: torch.Tensor

    def __init__(self, layer: nn.Linear):
        super().__init__(layer)
        levels, scales, zeros = groups(layer.weight.detach(), GROUP)
        self.register_buffer("weight", torch._convert_weight_to_int4pack_for_cpu(levels, 1))
        self.register_buffer("scales", torch.stack([scales.t(), zeros.t()], -1).contiguous())

    @staticmethod
    def fits(layer: nn.Linear) -> bool:
        """Whole groups along the inputs, whole tiles along the outputs."""
        return layer.in_features % GROUP == 0 and layer.out_features % TILE == 0

    def product(self, flat: torch.Tensor) -> torch.Tensor:
        """By the fused kernel, whatever the number of rows."""
        return torch._weight_int4pack_mm_for_cpu(flat, self.weight, GROUP, self.scales)


class Int8Dynamic(Packed):
    """int8 weights, and activations that are quantized as they come, a scale for each row: products of integers by FBGEMM.

    torch's operator has one scale for all rows, and one token with large activations then costs all others theirs: on 256 tokens of
    text, SmolLM2-135M loses 1.4 nats a token with torch's quantize_dynamic, 0.6 with a scale for each output, 0.05 with one for each
    token as well. So each row is stretched to 0 … 1 first, which is undone in the result by means of the weights' sums.

    The packed weights are no tensor: one byte for each, and for each output a scale, a zero point and a sum. On processors without
    dot products of bytes (VNNI) two products overflow 16 bits, so activations get 7 bits there, as torch itself does.
    """

    dtypes = ("float32",)
    sums: torch.Tensor  # of each output's weights

    def __init__(self, layer: nn.Linear):
        super().__init__(layer)
        levels, scales = _rows(layer.weight)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch will drop this kind of tensor, on which its operator still depends
            tensor = torch._make_per_channel_quantized_tensor(levels, scales.double(), torch.zeros(len(levels), dtype=torch.long), 0)
        torch.backends.quantized.engine = "fbgemm"
        self.packed = torch.ops.quantized.linear_prepack(tensor, None)
        self.packed_bytes = levels.nbytes + 12 * len(levels)
        self.register_buffer("sums", levels.sum(1) * scales)
        self.seven_bits = not torch.cpu._is_vnni_supported()

    @staticmethod
    def fits(layer: nn.Linear) -> bool:
        """Any size."""
        return True

    def product(self, flat: torch.Tensor) -> torch.Tensor:
        """Quantize the rows, multiply integers, scale."""
        if len(flat) == 1:
            return torch.ops.quantized.linear_dynamic(flat, self.packed, self.seven_bits)
        low, high = flat.aminmax(dim=-1, keepdim=True)
        width = (high - low).clamp_(min=torch.finfo(flat.dtype).tiny)
        out = torch.ops.quantized.linear_dynamic((flat - low).div_(width), self.packed, self.seven_bits)
        return out.mul_(width).addr_(low[:, 0], self.sums)


def lookup(head: nn.Module) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The 8-bit rows (tokens, width) of an lm_head and a scale for each; None where it does not show them."""
    if isinstance(head, Int8Rows):
        return head.weight, head.scales
    weight = getattr(head, "weight", None)  # of torchao's kind
    table, scales = getattr(weight, "qdata", None), getattr(weight, "scale", None)
    return None if table is None or scales is None or scales.numel() != len(table) else (table, scales)


class RowsEmbedding(nn.Module):
    """The embedding of a model whose lm_head is the same matrix: looks tokens up in the lm_head's narrow rows, and widens those alone.

    `table` is (tokens, width) in 8 bits, `scales` has one for each token.
    """

    weight: torch.Tensor
    scales: torch.Tensor

    def __init__(self, embedding: nn.Embedding, table: torch.Tensor, scales: torch.Tensor):
        super().__init__()
        self.kind, self.dtype = table.dtype, embedding.weight.dtype
        self.register_buffer("weight", table.view(torch.int8))  # not every device looks up in 8-bit floats
        self.register_buffer("scales", scales.view(-1, 1))
        factor = getattr(embedding, "embed_scale", None)
        self.factor = factor.to(self.dtype) if isinstance(factor, torch.Tensor) else factor

    @staticmethod
    def stands_for(embedding: nn.Embedding) -> bool:
        """Whether this does what that embedding does: a plain look-up, maybe times a factor."""
        return type(embedding) is nn.Embedding or hasattr(embedding, "embed_scale")

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (…) → vectors (…, width)."""
        found = embedding(ids, self.weight).view(self.kind).to(self.scales.dtype) * embedding(ids, self.scales)
        return found.to(self.dtype) if self.factor is None else found.to(self.dtype) * self.factor
