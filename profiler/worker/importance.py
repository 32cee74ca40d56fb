"""How much the parts of a model matter, told by a text on its way through it.

One criterion for all that is taken out of a matrix: a part counts by the norm of what it adds to the product's output, which is
the error that its removal alone would make. For a single weight that is |w| · ‖x‖, the score of Wanda (Sun et al. 2023,
arXiv 2306.11695); for a channel or a group of heads it is ‖X W^T‖ over the columns that read it (the error of the next layer, as
in ThiNet, Luo et al. 2017, arXiv 1707.06342, here each part by itself). Whole layers count by how far they turn what
passes through them (ShortGPT, Men et al. 2024, arXiv 2403.03853).
"""

from collections.abc import Callable

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from profiler.worker.texts import calibration

SEQUENCES, TOKENS = 8, 256  # of the calibration text

Change = Callable[[torch.Tensor], torch.Tensor | None]


def text(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> torch.Tensor:
    """Token ids, int64 (sequences, tokens): documentation, or random ids for a model that reads no words."""
    count = SEQUENCES * TOKENS
    if tokenizer is not None:
        ids = calibration(tokenizer, count)
    else:
        ids = torch.randint(model.config.get_text_config().vocab_size, (count,), generator=torch.Generator().manual_seed(0))
    return ids.view(SEQUENCES, TOKENS).to(model.device)


def on_its_way(model: PreTrainedModel, ids: torch.Tensor, changes: dict[nn.Module, Change]) -> None:
    """Send a text through the model; each of these modules is changed when its inputs arrive, before it computes.

    A change is given the inputs (..., width); it alters its module in place, and returns other inputs where these must be
    narrower. So each score is of the text as the pruned parts before leave it, and one pass does for all layers.
    Raises ValueError where the text never arrives at a module.
    """
    waiting = dict(changes)

    def arrived(module: nn.Module, inputs: tuple) -> tuple | None:
        change = waiting.pop(module, None)
        changed = change(inputs[0]) if change else None
        return None if changed is None else (changed, *inputs[1:])

    hooks = [module.register_forward_pre_hook(arrived) for module in changes]
    try:
        model.base_model(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    if waiting:
        raise ValueError(
            f"{len(waiting)} of the {len(changes)} matrices to be pruned saw nothing of the calibration text, "
            f"so nothing is known of what they are for; prune by magnitude."
        )


def norms(inputs: torch.Tensor) -> torch.Tensor:
    """‖x_j‖ of each input over all tokens: (..., width) → float32 (width,)."""
    return inputs.flatten(0, -2).float().norm(dim=0)


def contributions(inputs: torch.Tensor, weight: torch.Tensor, parts: int) -> torch.Tensor:
    """What each of `parts` equal runs of columns adds to a product's output, as a norm over all tokens: float32 (parts,).

    ‖X_p W_p^T‖² is the sum over (X_p^T X_p) ∘ (W_p^T W_p), two small matrices for each part.
    """
    by_part = inputs.flatten(0, -2).float().unflatten(1, (parts, -1)), weight.float().unflatten(1, (parts, -1))
    seen, read = (torch.einsum("tpi,tpj->pij", values, values) for values in by_part)
    return (seen * read).sum(dim=(1, 2)).clamp(min=0).sqrt()


def turns(model: PreTrainedModel, layers: nn.ModuleList, ids: torch.Tensor) -> torch.Tensor:
    """How far each layer turns its input: 1 − cosine between a token's vector before and after, the mean over tokens."""
    found: dict[nn.Module, float] = {}

    def passed(layer: nn.Module, args: tuple, named: dict, output: torch.Tensor | tuple | list) -> None:
        before = args[0] if args else named["hidden_states"]
        after = output[0] if isinstance(output, tuple | list) else output
        found[layer] = 1 - float(torch.cosine_similarity(before.float(), after.float(), dim=-1).mean())

    hooks = [layer.register_forward_hook(passed, with_kwargs=True) for layer in layers]
    try:
        model.base_model(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.tensor([found[layer] for layer in layers])


def best(scores: torch.Tensor, count: int) -> torch.Tensor:
    """The places of the `count` highest scores, in their order. Raises ValueError where all would stay."""
    if count >= len(scores):
        raise ValueError(f"Of {len(scores)} parts, so small a share takes out none; take out a larger share, or something else.")
    return scores.topk(count).indices.sort().values
