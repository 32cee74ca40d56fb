"""The rules that find what no data sheet can truly say: all rows pass, and each rule fails on the mistake it is for."""

import re

import pytest

from profiler.catalog.device_rules import BOTH_WAYS, RATIO, faults
from profiler.catalog.devices import links, rows


@pytest.mark.parametrize("device", rows().values(), ids=rows())
def test_every_row_is_sound(device):
    """Dense rates, one-way links, whole sizes, ordered formats, a source."""
    assert faults(device) == []


def test_the_rules_know_every_generation_and_link():
    """No row passes only because a rule has nothing to compare it with."""
    both = [device for device in rows().values() if "float32" in device.peak and {"float16", "bfloat16"} & device.peak.keys()]

    assert {(device.family, device.generation) for device in both} <= RATIO.keys()
    assert all(any(link.name.startswith(known) for known in BOTH_WAYS) for link in links().values())


def peaks(device, **factors):
    return {"peak": {name: rate * factors.get(name, 1) for name, rate in device.peak.items()}}


MISTAKES = [
    ("h100-sxm", lambda d: peaks(d, float16=2, bfloat16=2, float8=2, int8=2), "float16 is 29.5 times float32"),
    ("l40s", lambda d: peaks(d, float8=2), "float8 is more than the next wider format allows"),
    ("rtx-5090", lambda d: peaks(d, float4=2), "float4 is more than the next wider format allows"),
    (
        "rtx-4090",
        lambda d: peaks(d, float16=2, bfloat16=2, float16_accumulate16=2),
        "float16 is 4.0 times float32",
    ),
    ("rtx-4090", lambda d: peaks(d, float16_accumulate16=2), "float16_accumulate16 is more than"),
    ("a100-sxm-80gb", lambda d: peaks(d, bfloat16=0.25), "bfloat16 is slower than tf32"),
    ("xeon-8480", lambda d: peaks(d, bfloat16=2), "bfloat16 is 32.0 times float32"),
    ("h100-sxm", lambda d: {"link": d.link.model_copy(update={"bandwidth": 900e9})}, "counts both directions"),
    ("tpu-v5p", lambda d: {"link": d.link.model_copy(update={"bandwidth": 1200e9})}, "counts both directions"),
    ("rtx-4090", lambda d: {"link": d.link.model_copy(update={"bandwidth": 64e9})}, "counts both directions"),
    ("rtx-4090", lambda d: {"memory": 24 * 2**30 * 1.0737}, "no size that is sold"),
    ("rtx-4090", lambda d: {"bandwidth": 1008.0}, "outside"),
    ("m3-max-40", lambda d: {"bandwidth": 4e12}, "outside"),
    ("h100-sxm", lambda d: {"source": ""}, "No source"),
]


@pytest.mark.parametrize(("device", "change", "said"), MISTAKES)
def test_a_mistake_is_said(device, change, said):
    """Sparse-doubled rates, both directions of a link, bytes taken twice for GiB, a lost factor, a missing source."""
    right = rows()[device]
    wrong = right.model_copy(update=change(right))

    assert any(said in fault for fault in faults(wrong)), faults(wrong)


CHANNELS = re.compile(r"(\d+|two) channels (?:DDR\d|MRDIMM)-(\d+)")
BUS = re.compile(r"(\d+)-bit LPDDR\dX?-(\d+)")
CORES = re.compile(r"(?P<count>\d+) cores x (?P<each>[\d,]+) FLOP of (?P<name>\w+)[^;]* x (?P<clock>[\d.]+) GHz")
UNITS = re.compile(r"(?P<count>\d+) (?:Xe cores|CU|EU) x (?P<clock>[\d.]+) GHz x (?P<each>[\d,]+) FLOP of (?P<name>\w+)")
SMS = re.compile(r"(\d+) SM x ([\d.]+) GHz")
LANES = {"volta": 64, "turing": 64}  # per SM; 128 in all others whose rates are derived


def derived(device):
    """(what, said, as its derivation gives it) of each figure whose derivation the row spells out."""
    told = f"{device.source}; {device.note}"
    if found := CHANNELS.search(told):
        yield "bandwidth", device.bandwidth, int(found[1].replace("two", "2")) * int(found[2]) * 8e6
    elif found := BUS.search(told):
        yield "bandwidth", device.bandwidth, int(found[1]) / 8 * int(found[2]) * 1e6
    if found := SMS.search(told):
        yield "float32", device.peak["float32"], int(found[1]) * LANES.get(device.generation, 128) * 2 * float(found[2]) * 1e9
    if found := CORES.search(told) or UNITS.search(told):
        each = float(found["each"].replace(",", ""))
        yield found["name"], device.peak[found["name"]], int(found["count"]) * each * float(found["clock"]) * 1e9


def test_a_derived_figure_is_what_its_derivation_gives():
    """Channels times rate, units times clock times FLOP: within rounding."""
    checked = [(device.id, *figure) for device in rows().values() for figure in derived(device)]

    assert len(checked) > 200
    assert [figure for figure in checked if abs(figure[2] / figure[3] - 1) > 0.01] == []
