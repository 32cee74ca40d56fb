import numpy as np
import pytest

from profiler.catalog import devices
from profiler.theory.collectives import Fabric, exchange, fabric, gather, reduce, send

FLAT = Fabric(size=8.0, bandwidth=300e9, latency=0.0, network=25e9, network_latency=0.0)


def test_an_all_gather_moves_all_but_ones_own_part():
    """(n − 1)/n · S/B in a ring."""
    assert gather(FLAT, 8e9, 8) == pytest.approx(7 / 8 * 8e9 / 300e9)


def test_an_all_reduce_moves_twice_as_much():
    """A ring scatters, then gathers."""
    assert reduce(FLAT, 8e9, 8) == pytest.approx(2 * gather(FLAT, 8e9, 8))


def test_nothing_is_sent_among_one():
    """Neither bytes nor messages."""
    assert gather(FLAT, 8e9, 1) == reduce(FLAT, 8e9, 1) == exchange(FLAT, 8e9, 1) == 0


def test_small_messages_are_a_matter_of_latency():
    """Trees of 2·log2(n) steps beat rings of 2·(n − 1)."""
    slow = Fabric(size=8.0, bandwidth=300e9, latency=5e-6, network=25e9)

    assert reduce(slow, 8.0, 8) == pytest.approx(6 * 5e-6, rel=1e-3)


def test_all_adapters_of_a_domain_work_together():
    """128 devices in 16 domains of eight gather over eight adapters each."""
    assert gather(FLAT, 13e9, 128) == pytest.approx(15 / 16 * 13e9 / (8 * 25e9))


def test_a_group_that_spans_domains_has_only_the_adapters_of_its_own_devices():
    """Data parallelism among every eighth device crosses the network with one adapter for each domain."""
    assert gather(FLAT, 8e9, 16, stride=8) == pytest.approx(15 / 16 * 8e9 / 25e9)


def test_an_all_to_all_sends_an_equal_share_to_each():
    """Seven of eight parts leave a device."""
    assert exchange(FLAT, 8e9, 8) == pytest.approx(7 / 8 * 8e9 / 300e9)


def test_an_all_to_all_in_a_torus_crosses_many_links():
    """In 16 × 16 chips a message takes two links a direction more than in a switch."""
    torus = Fabric(size=256.0, bandwidth=180e9, latency=0.0, network=3e9, network_latency=0.0, torus=1.0)
    switch = Fabric(size=256.0, bandwidth=180e9, latency=0.0, network=3e9, network_latency=0.0)

    assert exchange(torus, 8e9, 256) == pytest.approx(2 * exchange(switch, 8e9, 256))


def test_a_far_message_takes_the_network():
    """The device after the last one of a domain is far."""
    assert send(FLAT, 25e9, 8) == pytest.approx(1.0)
    assert send(FLAT, 25e9, 7) == pytest.approx(25 / 300)


def test_a_catalogue_device_brings_its_fabric():
    """H100 SXM: eight devices at 450 GB/s one way."""
    found = fabric(devices.rows()["h100-sxm"])

    assert (found.size, found.bandwidth, found.torus) == (8.0, 450e9, 0.0)


def test_arrays_give_what_numbers_give():
    """One call for many groups."""
    sizes = np.array([1, 2, 8, 64, 512])

    assert reduce(FLAT, 1e9, sizes) == pytest.approx([reduce(FLAT, 1e9, int(size)) for size in sizes])
