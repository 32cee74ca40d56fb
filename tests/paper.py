"""A device, models and a place to run that exist on paper alone, with round numbers, so that a reader can calculate with a pencil."""

from profiler.spec.deployment import Deployment
from profiler.spec.device import Device, Link
from profiler.spec.formats import Precision
from profiler.spec.model import Attention, Block, Experts, Mlp, ModelSpec

DEVICE = Device(
    id="paper",
    title="Paper 1",
    vendor="Nobody",
    kind="gpu",
    family="nvidia-hbm",
    generation="origami",
    memory=80e9,
    bandwidth=1e12,
    peak={"float32": 20e12, "float16": 100e12, "bfloat16": 100e12, "int8": 200e12, "float8": 200e12},
    link=Link(name="fold", bandwidth=100e9, latency=1e-6, topology="switch", size=8),
    network=10e9,
    power=500.0,
    source="made by hand",
)
# Of a layer: 1,000 × 1,400 queries, keys and values, 1,000 × 1,000 output, 3 × 1,000 × 3,000 MLP: 11.4 M weights; of the head 10 M.
DENSE = ModelSpec(
    reference="paper",
    name="Paper",
    origin="random",
    config={},
    family="llama",
    hidden=1000,
    vocab=10_000,
    context=4096,
    blocks=(Block(repeat=10, mixers=(Attention(heads=10, kv_heads=2, head_dim=100),), mlp=Mlp(width=3000)),),
)
# One expert of a layer: 9 M weights; a token goes to two of eight.
MIXTURE = DENSE.model_copy(
    update={"blocks": (DENSE.blocks[0].model_copy(update={"mlp": None, "experts": Experts(count=8, per_token=2, width=3000)}),)}
)


def device(**changes) -> Device:
    return DEVICE.model_copy(update=changes)


def placed(weights: str = "bfloat16", engine: str = "vllm", on: Device = DEVICE, **split) -> Deployment:
    return Deployment(device=on, engine=engine, precision=Precision.of(weights), **split)
