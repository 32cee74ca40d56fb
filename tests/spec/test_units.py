import pytest

from profiler.spec.units import words


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0142, "s", "14.2 ms"),
        (3.1, "s", "3.10 s"),
        (125, "s", "2 min 5 s"),
        (179.7, "s", "3 min 0 s"),
        (12_000, "s", "3 h 20 min"),
        (1_036_800, "s", "12.0 days"),
        (4.2e-6, "s", "4.20 µs"),
        (538_060_032, "B", "538 MB"),
        (512, "B", "512 B"),
        (38.04e9, "B/s", "38.0 GB/s"),
        (1.5e14, "FLOP/s", "150 TFLOP/s"),
        (0.256, "%", "26 %"),
        (0.012, "%", "1.2 %"),
        (134_515_008, "", "135 M"),
        (None, "s", "–"),
        (float("nan"), "s", "–"),
    ],
)
def test_values_read_as_a_person_writes_them(value, unit, expected):
    """Three significant digits, decimal prefixes, a dash for what is unknown."""
    assert words(value, unit) == expected
