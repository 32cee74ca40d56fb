"""What no data sheet can truly say: rules that find the usual mistakes in a device's figures.

Sources print rates that hold for sparse matrices alone, links of both directions added up, and GB where GiB are meant. Each rule
compares one figure with what the silicon allows; the catalogue is held to them, and a person's own device can be.
"""

from collections.abc import Iterator

from profiler.spec.device import Device

# 16-bit matrix rate over the plain float32 rate that a generation's arithmetic units allow (vendors' white papers)
RATIO = {
    ("nvidia-hbm", "pascal"): 2,
    ("nvidia-hbm", "volta"): 8,
    ("nvidia-hbm", "ampere"): 16,
    ("nvidia-hbm", "hopper"): 16,
    ("nvidia-hbm", "blackwell"): 32,
    ("nvidia-hbm", "blackwell-ultra"): 32,
    ("nvidia-gddr", "turing"): 8,
    ("nvidia-gddr", "ampere"): 4,
    ("nvidia-gddr", "ada"): 4,
    ("nvidia-gddr", "blackwell"): 4,
    ("nvidia-unified", "volta"): 8,
    ("nvidia-unified", "ampere"): 8,
    ("nvidia-unified", "blackwell"): 32,
    ("amd-hbm", "vega"): 2,
    ("amd-hbm", "cdna1"): 8,
    ("amd-hbm", "cdna2"): 8,
    ("amd-hbm", "cdna3"): 8,
    ("amd-hbm", "cdna4"): 16,
    ("amd-gddr", "gcn4"): 1,
    ("amd-gddr", "rdna1"): 2,
    ("amd-gddr", "rdna2"): 2,
    ("amd-gddr", "rdna3"): 2,
    ("amd-gddr", "rdna4"): 4,
    ("amd-unified", "vega"): 2,
    ("amd-unified", "rdna2"): 2,
    ("amd-unified", "rdna3"): 2,
    ("amd-unified", "rdna3.5"): 2,
    ("intel-hbm", "xe-hpc"): 16,
    ("intel-gddr", "xe-hpg"): 8,
    ("intel-gddr", "xe2"): 8,
    ("intel-unified", "xe-lp"): 2,
    ("intel-unified", "xe-lpg"): 2,
    ("intel-unified", "xe-lpg-plus"): 8,
    ("intel-unified", "xe2"): 8,
    ("apple", "m1"): 1,
    ("apple", "m2"): 1,
    ("apple", "m3"): 1,
    ("apple", "m4"): 1,
    ("apple", "m5"): 4,
    ("cpu-server", "zen4"): 2,
    ("cpu-server", "zen5"): 2,
    ("cpu-client", "zen4"): 2,
    ("cpu-client", "zen5"): 2,
    ("cpu-server", "neoverse-n1"): 2,
    ("cpu-server", "neoverse-v1"): 4,
    ("cpu-server", "neoverse-v2"): 4,
    ("cpu-server", "sapphire-rapids"): 16,
    ("cpu-server", "emerald-rapids"): 16,
    ("cpu-server", "granite-rapids"): 16,
    ("neuron", "neuron-v2"): 4,
    ("neuron", "neuron-v3"): 4,
    ("gaudi", "gaudi3"): 8,
}
BANDWIDTH = {  # bytes/s that a kind of memory spans
    "hbm": (4e11, 8.5e12),
    "gddr": (9e10, 1.9e12),
    "unified": (3e10, 3e11),
    "apple": (6e10, 9e11),
    "npu": (3e10, 3e11),
    "server": (9e10, 1.7e12),
    "client": (3e10, 9e11),
    "tpu": (6e11, 8e12),
    "gaudi": (9e11, 4e12),
    "neuron": (8e11, 4e12),
}
BOTH_WAYS = {  # bytes/s per device as printed, both directions together
    "PCIe 3.0 x16": 32e9,
    "PCIe 4.0 x16": 64e9,
    "PCIe 4.0 x8": 32e9,
    "PCIe 5.0 x16": 128e9,
    "PCIe 5.0 x8": 64e9,
    "NVLink 1": 160e9,
    "NVLink 2": 300e9,
    "NVLink 3": 600e9,
    "NVLink 4": 900e9,
    "NVLink 5": 1800e9,
    "ConnectX-7": 50e9,
    "Infinity Fabric, MI100": 276e9,
    "Infinity Fabric, MI210": 300e9,
    "Infinity Fabric, MI250": 800e9,
    "Infinity Fabric, one die": 400e9,
    "Infinity Fabric, MI300A": 384e9,
    "Infinity Fabric, MI300": 896e9,
    "Infinity Fabric, MI350": 1071e9,
    "ICI, 3D torus": 1200e9,
    "ICI, 2D torus": 800e9,
    "NeuronLink 2": 768e9,
    "NeuronLink 3": 1280e9,
    "7 x 100 GbE": 175e9,
    "21 x 100 GbE": 525e9,
    "21 x 200 GbE": 1050e9,
}
MARKETED = (
    4,
    5,
    6,
    8,
    10,
    11,
    12,
    16,
    18,
    20,
    24,
    32,
    36,
    40,
    48,
    64,
    72,
    80,
    94,
    95,
    96,
    128,
    141,
    144,
    180,
    186,
    192,
    240,
    256,
    288,
    384,
)
LARGEST = (512, 768)
WITHOUT_CHECK_BITS = 15 / 16  # GDDR keeps its check bits in the memory itself
SLACK = 1.04  # printed figures are rounded, and matrix and vector units may be quoted at other clocks


def faults(device: Device) -> list[str]:
    """What cannot be right about a device, each as a sentence; none for a sound row."""
    return [*_sparse(device), *_order(device), *_narrow(device), *_bandwidth(device), *_memory(device), *_link(device), *_origin(device)]


def _sparse(device: Device) -> Iterator[str]:
    ratio, vector = float(RATIO.get((device.family, device.generation), 0)), device.peak.get("float32")
    if "float16_accumulate16" in device.peak:
        ratio /= 2  # GeForce: float32 sums at half rate
    for name in ("float16", "bfloat16"):
        rate = device.peak.get(name)
        if ratio and vector and rate and rate > ratio * vector * SLACK:
            yield f"{name} is {rate / vector:.1f} times float32, {device.generation} allows {ratio:g}: is it the rate with sparsity?"


def _order(device: Device) -> Iterator[str]:
    for wide in (("float32", "tf32", "bfloat16", "float8", "float4"), ("float32", "tf32", "float16", "float8"), ("int8", "int4")):
        held = [(name, device.peak[name]) for name in wide if name in device.peak]
        for (wider, slow), (narrower, fast) in zip(held, held[1:]):
            if fast * SLACK < slow:
                yield f"{narrower} is slower than {wider}, which it could be widened to."


def _narrow(device: Device) -> Iterator[str]:
    peak, half = device.peak, max((device.peak.get(name, 0.0) for name in ("float16", "bfloat16", "float16_accumulate16")), default=0.0)
    limits = {
        "float16_accumulate16": 2 * peak.get("float16", 0.0),
        "float8": 2 * half,
        "int8": max(2 * half, 4 * peak.get("float32", 0.0)),
        "float4": max(3.2 * peak.get("float8", 0.0), 2 * peak.get("int8", 0.0)),  # Blackwell Ultra more than doubles
        "int4": 2 * peak.get("int8", 0.0),
    }
    for name, limit in limits.items():
        if limit and peak.get(name, 0.0) > limit * SLACK:
            yield f"{name} is more than the next wider format allows, {limit:.3g}: is it the rate with sparsity?"


def _bandwidth(device: Device) -> Iterator[str]:
    low, high = BANDWIDTH[device.family.split("-")[-1]]
    if not low < device.bandwidth < high:
        yield f"{device.bandwidth:.3g} bytes/s are outside {low:.3g} to {high:.3g}, what such memory reaches."


def _memory(device: Device) -> Iterator[str]:
    sizes = [size * unit for size in (*MARKETED, *LARGEST) for unit in (1e9, 2**30, 2**30 * WITHOUT_CHECK_BITS)]
    if min(abs(device.memory / size - 1) for size in sizes) > 0.015:
        yield f"{device.memory:.5g} bytes are no size that is sold, neither in GB nor in GiB."


def _link(device: Device) -> Iterator[str]:
    if device.link:
        printed = next((rate for name, rate in BOTH_WAYS.items() if device.link.name.startswith(name)), None)
        if printed and device.link.bandwidth > printed / 2 * SLACK:
            yield f"{device.link.name} does {printed / 2:.3g} bytes/s one way: {device.link.bandwidth:.3g} counts both directions."
        if device.link.peer and device.link.peer > device.link.bandwidth:
            yield f"{device.link.name} is faster to one neighbour than to all."


def _origin(device: Device) -> Iterator[str]:
    if not device.source:
        yield "No source is named."
