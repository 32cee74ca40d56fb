"""What a device reaches: exact where no constant is fitted, and physical where all are."""

import re
from dataclasses import astuple
from math import inf, log
from typing import get_args

import pytest

from profiler.catalog import devices
from profiler.spec.device import Family
from profiler.spec.engines import ENGINES
from profiler.spec.formats import FORMATS
from profiler.theory.rates import SCALES, arithmetic, bits_class, calibration, rates
from profiler.validation.least_squares import spread
from profiler.validation.tables import published
from tests.paper import DEVICE, device, placed

PLAIN: dict[str, float] = {}  # no effect at all: the data sheet's part alone


def near(most: float) -> float:
    """What a limit leaves of a factor of one."""
    return (1 + most**-4) ** -0.25


def only(*formats: str):
    """The device with these formats alone."""
    return device(peak={name: rate for name, rate in DEVICE.peak.items() if name in formats})


def test_without_constants_a_rate_is_its_scale_of_the_data_sheet():
    """70 % of matrix units and of stacked memory, half of the units inside attention, each eased a little towards its limit."""
    found = rates(placed(), PLAIN)

    assert found.matrix == pytest.approx(100e12 * 0.7 * near(1.35))
    assert found.attention == pytest.approx(100e12 * 0.5 * near(1.9))
    assert found.bandwidth == pytest.approx(1e12 * 0.7 * near(1.12))
    assert found.cache == pytest.approx(1e12 * 0.7 * near(1.3))
    assert (found.operator, found.step, found.hop, found.tile, found.traffic, found.serving) == (3e-6, 100e-6, 8e-6, 64, 2, 0.85)


def test_memory_on_a_plain_bus_reaches_more_than_stacked_memory():
    """85 %, not 70 %."""
    ratio = rates(placed(on=device(family="nvidia-gddr")), PLAIN).bandwidth / rates(placed(), PLAIN).bandwidth

    assert ratio == pytest.approx(0.85 / 0.7)


def test_a_rate_never_passes_its_limit():
    """However large a constant: 94.5 % of matrix units, 95 % inside attention, 78.4 % of stacked memory."""
    found = rates(placed(), dict.fromkeys(("matrix", "attention", "bandwidth", "cache"), 50.0))

    assert found.matrix == pytest.approx(0.7 * 1.35 * 100e12)
    assert found.attention == pytest.approx(0.5 * 1.9 * 100e12)
    assert found.bandwidth == pytest.approx(0.7 * 1.12 * 1e12)
    assert found.cache == pytest.approx(0.7 * 1.3 * 1e12)


@pytest.mark.parametrize("key", ["hop", "hop:graph", "hop:vllm"])
def test_a_constant_is_the_logarithm_of_a_factor(key):
    """Of everybody, of a style, of an engine: log 2 doubles 8 µs."""
    assert rates(placed(), {key: log(2)}).hop == pytest.approx(16e-6)


def test_factors_multiply():
    """Twice for everybody, three times for a style, half for an engine."""
    assert rates(placed(), {"hop": log(2), "hop:graph": log(3), "hop:vllm": -log(2)}).hop == pytest.approx(24e-6)


@pytest.mark.parametrize(
    "key",
    [
        "bandwidth:amd-hbm",
        "bandwidth:AMD origami",
        "bandwidth:Nobody cdna3",
        "bandwidth:runtime",
        "bandwidth:sglang",
        "bandwidth:weights-4",
        "bandwidth:vllm on amd-hbm",
        "matrix",
    ],
)
def test_another_class_changes_nothing(key):
    """A constant of another family, generation, style, engine, format, pair or quantity."""
    assert rates(placed(), {key: 1.0}).bandwidth == rates(placed(), PLAIN).bandwidth


@pytest.mark.parametrize("key", ["nvidia-hbm", "Nobody origami", "graph", "vllm", "plain", "vllm on nvidia-hbm"])
def test_each_class_of_a_set_up_counts(key):
    """A constant of its own family, generation, style, engine, format or pair lowers the rate."""
    assert rates(placed(), {f"bandwidth:{key}": -0.5}).bandwidth < 0.8 * rates(placed(), PLAIN).bandwidth


def test_another_version_of_an_engine_shares_its_kins_constants():
    """What is known of llama.cpp's hops is known of its version of 2024; an engine's own constants stay its own."""
    old = placed(engine="llama.cpp-2024")

    assert rates(old, {"hop:llama.cpp": log(3)}).hop == pytest.approx(24e-6)
    assert rates(old, {"bandwidth:llama.cpp-2024": -1.0}).bandwidth < 0.6 * rates(old, PLAIN).bandwidth
    assert rates(placed(engine="llama.cpp"), {"bandwidth:llama.cpp-2024": -1.0}) == rates(placed(engine="llama.cpp"), PLAIN)


def test_more_peak_for_each_byte_is_harder_to_feed():
    """At 100 FLOPs a byte a balance of −1 lifts by 1.5, at 150 it changes nothing, at 300 it halves."""
    found = {
        ratio: rates(placed(on=device(bandwidth=100e12 / ratio)), {"matrix:balance": -1.0, "matrix": -3.0}).matrix
        / rates(placed(on=device(bandwidth=100e12 / ratio)), {"matrix": -3.0}).matrix
        for ratio in (100, 150, 300)
    }

    assert found == pytest.approx({100: 1.5, 150: 1, 300: 0.5}, rel=1e-3)


@pytest.mark.parametrize(
    ("weights", "have", "calculated"),
    [
        ("bfloat16", ("float32", "float16", "bfloat16"), "bfloat16"),
        ("bfloat16", ("float32", "float16"), "float16"),
        ("bfloat16", ("float32",), "float32"),
        ("float16", ("float32", "bfloat16"), "bfloat16"),
        ("float8", ("float32", "float16", "bfloat16", "float8"), "float8"),
        ("float8", ("float32", "float16", "bfloat16", "int8"), "float16"),
        ("int8-dynamic", ("float32", "float16", "int8"), "int8"),
        ("int8-dynamic", ("float32",), "float32"),
        ("nvfp4", ("float32", "float16", "float8"), "float16"),
        ("int8", ("float32", "bfloat16", "int8"), "bfloat16"),
        ("float32", ("float32", "bfloat16"), "float32"),
    ],
)
def test_products_are_calculated_in_the_narrowest_format_that_is_asked_for_and_there(weights, have, calculated):
    """Without bfloat16 in float16, without float16 in float32; weights alone in int8 ask for no integers."""
    deployment = placed(weights, on=only(*have))

    assert arithmetic(deployment) == calculated
    assert rates(deployment, PLAIN).matrix == pytest.approx(DEVICE.peak[calculated] * 0.7 * near(1.35))


def test_a_packed_product_is_no_faster_than_either_of_its_two_routes():
    """llama.cpp's integers on the matrix units, and the scales on the vector units: one after the other."""
    matrix, vector = 200e12 * 0.7 * near(1.35), 20e12 * 2.5
    found = rates(placed("q4_0", "llama.cpp"), PLAIN).matrix

    assert found == pytest.approx(1 / (1 / matrix + 1 / vector))
    assert found < min(matrix, vector)


def test_narrow_sums_are_faster_where_the_engine_takes_them():
    """llama.cpp sums float16 in 16 bits: twice the rate on GeForce; nobody else does."""
    quick = device(peak=DEVICE.peak | {"float16_accumulate16": 200e12})
    times = {engine: rates(placed("float16", engine, quick), PLAIN).matrix / 100e12 / 0.7 / near(1.35) for engine in ("llama.cpp", "vllm")}

    assert times == pytest.approx({"llama.cpp": 2, "vllm": 1})


def test_weights_that_are_packed_are_widened_by_the_vector_units():
    """At 2.5 operations a weight and 0.5 integer operations for each of 20 TFLOP/s; what is not packed needs no time."""
    deployment = placed("int4")

    assert rates(deployment, PLAIN).unpack == pytest.approx(20e12 * 0.5 / 2.5 * (4 + 20 / 128) / 8)
    assert rates(placed("bfloat16"), PLAIN).unpack == inf
    assert rates(placed("float8"), PLAIN).unpack == inf


def test_half_of_the_lanes_of_some_generations_have_no_integers():
    """Ada's, and consumer Ampere's; not the A100's."""
    found = {
        (family, generation): rates(placed("int4", on=device(family=family, generation=generation)), PLAIN).unpack
        for family, generation in (("nvidia-gddr", "ada"), ("nvidia-gddr", "ampere"), ("nvidia-hbm", "ampere"))
    }

    assert found["nvidia-gddr", "ada"] == found["nvidia-gddr", "ampere"] == found["nvidia-hbm", "ampere"] / 2


@pytest.mark.parametrize(
    ("engine", "flash", "bytes_each"), [("vllm", None, 0), ("vllm", False, 12), ("llama.cpp", None, 12), ("llama.cpp", True, 0)]
)
def test_scores_are_written_only_without_flash_attention(engine, flash, bytes_each):
    """As the engine does it, unless a person says so."""
    assert rates(placed(engine=engine, flash=flash), PLAIN).scores == bytes_each


def test_only_an_eager_engine_waits_for_its_host():
    """90 µs for a plain operator, 2.5 times so many for one that quantizes first."""
    assert {id: rates(placed(engine=id), PLAIN).host for id in ENGINES} == {id: 90e-6 * (id == "eager") for id in ENGINES}
    assert rates(placed("llm-int8", "eager"), PLAIN).host == pytest.approx(225e-6)
    assert rates(placed("nf4", "eager"), PLAIN).host == pytest.approx(144e-6)


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        ("bfloat16", "plain"),
        ("float32", "plain"),
        ("q8_0", "weights-8"),
        ("q6_k", "weights-4"),
        ("nf4", "weights-4"),
        ("float8", "products-float8"),
    ],
)
def test_formats_are_few_classes(weights, found):
    """16 bits and more, about 8, fewer; and those whose products are narrow, too."""
    assert bits_class(placed(weights)) == found


@pytest.mark.parametrize("engine", ENGINES)
def test_every_device_stays_physical_under_every_engine(engine):
    """With the fitted constants no product beats its units' peak, no read the bus, and every time is positive and short."""
    for each in devices.rows().values():
        for weights in ("bfloat16", "q4_0", "float8"):
            place = placed(weights, engine, each)
            found, best = rates(place), max(each.peak.values(), default=1e12)
            asked = each.peak.get(arithmetic(place), best)
            limit = (
                max(asked, each.peak.get("float16_accumulate16", 0), each.peak.get("int8", 0))
                if ENGINES[engine].quantized_products
                else asked
            )

            assert 0 < found.matrix <= limit, (each.id, weights)
            assert 0 < found.attention <= best, (each.id, weights)
            assert 0 < found.bandwidth <= each.bandwidth, (each.id, weights)
            assert 0 < found.cache <= each.bandwidth, (each.id, weights)
            assert all(value >= 0 for value in astuple(found)), (each.id, weights)
            assert max(found.operator, found.hop, found.step, found.host) < 2e-3, (each.id, weights)
            assert 0.1 < found.serving < 2, (each.id, weights)


def test_constants_are_few():
    """Fewer than 400, for 1,493 measurements of models and hundreds of kernels."""
    assert 50 < len(calibration()["constants"]) < 400


def test_constants_stay_near_their_physical_starting_points():
    """Within four spreads of the prior: the data correct physics, they do not replace it."""
    assert all(abs(value) <= 4 * spread(name) for name, value in calibration()["constants"].items())


def test_every_constant_belongs_to_a_class():
    """A quantity alone, or that of a family, a generation, an engine, a style, a kind of format, or an engine on a family."""
    families = set(get_args(Family))
    classes = {
        *families,
        *(f"{each.vendor} {each.generation}" for each in devices.rows().values()),
        *ENGINES,
        *(engine.style for engine in ENGINES.values()),
        *(bits_class(placed(name)) for name in FORMATS),
        *(f"{engine} on {family}" for engine in ENGINES for family in families),
        "balance",
    }

    for name in calibration()["constants"]:
        quantity, *rest = name.split(":")
        assert quantity in SCALES, name
        assert len(rest) <= 1, name
        assert not rest or rest[0] in classes, name


def test_no_constant_belongs_to_a_device_a_source_or_a_row():
    """No key names one, nor a size; engines are no sources, though one source is called like its engine."""
    sources = {row["source_id"] for row in published("inference").rows} - set(ENGINES)
    numbers = {row["row_id"] for row in published("inference").rows}
    alone = set(devices.rows()) - set(get_args(Family))
    for name in calibration()["constants"]:
        rest = name.partition(":")[2]
        assert rest not in alone | numbers, name
        assert not any(source in name for source in sources), name
        assert not re.search(r"(^|[\s:])[\d.]+[bk]?\b", rest), name


def test_what_is_seen_are_engines_on_families():
    """The pairs that tell a calibrated prediction from a transferred one."""
    for pair in calibration()["seen"]:
        engine, _, family = pair.partition(" on ")
        assert engine in ENGINES, pair
        assert family in get_args(Family), pair
