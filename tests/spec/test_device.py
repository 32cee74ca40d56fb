"""The values of a device: what they hold and refuse."""

import pytest
from pydantic import ValidationError

from profiler.spec.device import Device, Link

FACTS = {
    "id": "mine",
    "title": "Mine",
    "vendor": "Me",
    "kind": "gpu",
    "family": "nvidia-gddr",
    "generation": "ada",
    "memory": 24 * 2**30,
    "bandwidth": 1e12,
    "source": "myself",
}


def test_a_device_needs_no_more_than_memory_bandwidth_and_a_source():
    """Rates, links, power and names are absent where nobody says them."""
    mine = Device(**FACTS)

    assert mine.peak == {}
    assert mine.link is None
    assert mine.network is None
    assert mine.names == ()


@pytest.mark.parametrize("fault", [{"family": "amd"}, {"kind": "asic"}, {"memory": "much"}, {"tflops": 165}])
def test_what_is_no_field_or_no_value_of_it_is_refused(fault):
    """An unknown family, kind or field, or a word for a number, is an error that names the field."""
    with pytest.raises(ValidationError, match=next(iter(fault))):
        Device(**FACTS | fault)


def test_a_link_is_a_value():
    """Two links of equal fields are one; the rate to one neighbour is said only where links are fixed to neighbours."""
    fields = {"name": "NVLink 4", "bandwidth": 450e9, "latency": 3e-6, "topology": "switch", "size": 8}

    assert Link(**fields) == Link(**fields)
    assert Link(**fields).peer is None
