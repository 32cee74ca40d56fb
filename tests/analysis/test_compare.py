from profiler.analysis.compare import compare
from tests.builders import generate_run


def test_a_change_is_told_in_numbers():
    """50 ms against 25 ms a token: half, and twice the rate."""
    said = compare(generate_run(decode=(0.025,) * 96), generate_run())

    assert "time per token 50.0 ms → 25.0 ms (-50%)" in said
    assert "decode speed 20.0 tok/s → 40.0 tok/s (+100%)" in said


def test_equal_runs_differ_within_noise():
    """Overlapping intervals are no change."""
    assert "time per token 50.0 ms → 50.0 ms (within noise)" in compare(generate_run(), generate_run())
