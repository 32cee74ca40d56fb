"""A decoder that is known by its number of parameters alone: what training costs follows from little more."""

from profiler.spec.model import Attention, Block, Experts, Mlp, ModelSpec

VOCABULARY = 50304
ASPECT = 128  # hidden width per layer, of GPT-3's larger models (Brown et al. 2020, arXiv 2005.14165, table 2.1)
PER_TOKEN = 2  # experts that a token is sent to, in a mixture that nobody describes
HEAD = 128


def decoder(name: str, parameters: float, active: float | None = None) -> ModelSpec:
    """A GPT of so many parameters: 12·h² in a layer, h = 128 × layers; a mixture, where fewer are active."""
    dense = active or parameters
    layers = max(round((dense / (12 * ASPECT**2)) ** (1 / 3)), 1)
    rest = max(dense - 2 * VOCABULARY * ASPECT * layers, dense / 2)
    hidden = max(round((rest / (12 * layers)) ** 0.5 / HEAD), 1) * HEAD
    heads = hidden // HEAD
    experts = None
    if active and active < parameters:
        width = 4 * hidden // PER_TOKEN
        count = round((parameters - active) / (2 * hidden * width * layers)) + PER_TOKEN
        experts = Experts(count=count, per_token=PER_TOKEN, width=width, gated=False)
    mlp = None if experts else Mlp(width=4 * hidden, gated=False)
    block = Block(repeat=layers, mixers=(Attention(heads=heads, kv_heads=heads, head_dim=HEAD),), mlp=mlp, experts=experts)
    return ModelSpec(
        reference=name,
        name=name,
        origin="random",
        config={},
        family="gpt",
        hidden=hidden,
        vocab=VOCABULARY,
        context=1_000_000,
        blocks=(block,),
        assumed=True,
    )
