"""Time of collectives: latency times steps plus bytes over bandwidth (alpha-beta).

Sources: Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005 (ring, recursive doubling, all-gather, reduce-scatter);
Sanders, Speck, Träff, Parallel Computing 35(12), 2009 (two trees); "How to scale your model", chapter 3 (torus).
`bytes` is the whole vector: what every device holds after an all-gather or before a reduce-scatter. Bandwidth is one way
per device, over all its links together. Every argument may be a number or a numpy array.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from profiler.spec.device import Device

HOST_LINK = 16e9  # bytes/s: PCIe 4.0 x16 shared by two, where no source says how devices are linked
NETWORK = 12.5e9  # bytes/s: a 100 Gbit/s adapter per device, where no source names one
LATENCY = 5e-6  # seconds for a step within a domain
NETWORK_LATENCY = 15e-6  # seconds for a step between domains


@dataclass(frozen=True, slots=True)
class Fabric:
    """How devices reach each other: a fast domain, and a slower network between domains."""

    size: Any  # devices in one domain
    bandwidth: Any
    latency: Any
    network: Any
    network_latency: Any = NETWORK_LATENCY
    torus: Any = 0.0  # 1: neighbours only, so that an all-to-all crosses many links


def fabric(device: Device) -> Fabric:
    """The fabric that a device usually stands in."""
    link = device.link
    network = device.network or NETWORK
    if link is None:
        return Fabric(8.0, HOST_LINK, 2 * LATENCY, network)
    shared = 0.5 if link.topology == "host" else 1.0  # two devices of a host share the way to its memory
    return Fabric(float(link.size), link.bandwidth * shared, link.latency, network, torus=float(link.topology == "torus"))


def gather(f: Fabric, bytes, devices, stride=1):
    """All-gather or reduce-scatter among `devices` that stand `stride` apart, in seconds.

    A ring passes every byte through every device: within a domain at the links' rate, and between domains through the
    adapters of all the domain's devices that take part in rings of their own (NCCL), at the same time.
    """
    inside, outside = _split(f, devices, stride)
    near = bytes * (inside - 1) / inside / f.bandwidth
    far = bytes * (outside - 1) / outside / (f.network * inside)
    steps = (inside - 1) * f.latency + (outside - 1) * f.network_latency
    short = np.log2(inside) * f.latency + np.log2(outside) * f.network_latency  # recursive doubling
    return np.minimum(np.maximum(near, far) + steps, 2 * np.maximum(near, far) + short)


def reduce(f: Fabric, bytes, devices, stride=1):
    """All-reduce, in seconds: the faster of a ring (reduce-scatter, then all-gather) and two trees."""
    inside, outside = _split(f, devices, stride)
    near = bytes * (inside - 1) / inside / f.bandwidth
    far = bytes * (outside - 1) / outside / (f.network * inside)
    ring = 2 * np.maximum(near, far) + 2 * ((inside - 1) * f.latency + (outside - 1) * f.network_latency)
    moving = 2 * np.maximum(bytes * (inside > 1) / f.bandwidth, bytes * (outside > 1) / (f.network * inside))
    tree = moving + 2 * (np.log2(inside) * f.latency + np.log2(outside) * f.network_latency)
    return np.minimum(ring, tree)


def exchange(f: Fabric, bytes, devices, stride=1):
    """All-to-all: every device sends `bytes` in all, an equal share to each other one; in seconds.

    In a torus a message crosses a quarter of each axis on average, so the links carry it so many times.
    """
    inside, outside = _split(f, devices, stride)
    crossings = 1 + f.torus * (np.sqrt(inside) / 8 - 1) * (inside > 64)
    near = bytes * (inside - 1) / (inside * outside) / f.bandwidth * crossings
    far = bytes * (outside - 1) / outside / f.network
    return np.maximum(near, far) + (inside > 1) * f.latency + (outside > 1) * f.network_latency


def send(f: Fabric, bytes, stride=1):
    """One message to the device that stands `stride` away, in seconds."""
    away = np.asarray(stride) >= f.size
    return np.where(away, bytes / f.network + f.network_latency, bytes / f.bandwidth + f.latency)


def _split(f: Fabric, devices, stride):
    """How many of a group's devices stand in one domain, and in how many domains."""
    inside = np.clip(f.size / stride, 1, devices)
    return inside, np.maximum(devices / inside, 1)
