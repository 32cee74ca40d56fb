import json

import numpy as np
import pytest

from profiler.analysis.memory import split
from profiler.analysis.report import growth, metrics, report
from profiler.analysis.trust import doubts, foreign_load, level, overhead
from profiler.spec.metrics import METRICS
from tests.builders import generate_run


def test_the_report_has_what_a_reader_needs():
    """spec, machine, metrics with median, unit and count, memory, phases, verdict, command; plain JSON throughout."""
    told = json.loads(json.dumps(report(generate_run()), allow_nan=False))

    assert {"spec", "machine", "metrics", "memory", "phases", "verdict", "command"} <= told.keys()
    for metric in told["metrics"].values():
        assert {"median", "unit", "count"} <= metric.keys()
    assert told["command"].startswith("python -m profiler run smollm2-135m")


def test_decode_rate_is_batch_over_time():
    """50 ms a step, one sequence: 20 tokens a second."""
    assert metrics(generate_run())["decode_rate"].median == pytest.approx(20)


def test_one_stream_has_as_many_intervals_as_tokens_but_one():
    """Three rounds of 32 steps give 96 samples; the first token of each round is the prefill's, not a step."""
    found = metrics(generate_run())

    assert len(found["time_per_token"]) == 96
    assert len(found["time_to_first_token"]) == 3
    assert float(found["time_per_token"].samples.mean()) == pytest.approx(0.05)


def test_every_metric_is_in_the_registry():
    """Nothing is reported without a title, a unit and a meaning."""
    assert set(metrics(generate_run())) <= set(METRICS)


def test_growth_is_the_slope_over_the_context():
    """Steps that grow by 1 ms per 10 tokens grow by 100 ms per 1,000."""
    steps = tuple(0.05 + 1e-4 * position for position in range(32)) * 3

    assert growth(generate_run(decode=steps)).median == pytest.approx(0.1)


def test_memory_splits_to_the_peak():
    """Weights, cache, activations, libraries, this tool and the rest make the peak."""
    held = split(generate_run())

    assert held.peak == 1.2e9
    assert sum(held.parts().values()) == pytest.approx(1.2e9)


def test_a_quiet_run_has_no_doubts():
    """Equal samples, equal canaries, no neighbours."""
    assert doubts(generate_run()) == []
    assert level(generate_run()) is None


def test_neighbours_while_the_clock_runs_are_doubted():
    """0.3 foreign cores are a doubt, 0.7 an alarm."""
    assert foreign_load(generate_run(foreign=0.3)) == pytest.approx(0.3)
    assert level(generate_run(foreign=0.3)) == "doubt"
    assert level(generate_run(foreign=0.7)) == "alarm"


def test_drift_is_doubted():
    """Canaries that fall by half raise an alarm about shares, not about times."""
    drifting = generate_run(canary=(30e9, 30e9, 15e9, 15e9))

    assert level(drifting, "share") == "alarm"
    assert level(drifting, "time_per_token") is None


def test_noise_is_doubted():
    """Steps that vary by 40 % raise an alarm about the time per token."""
    noisy = generate_run(decode=tuple(np.tile([0.03, 0.05, 0.06, 0.04], 24)))

    assert level(noisy, "time_per_token") == "alarm"


def test_the_cost_of_everything_else_is_told():
    """27 of 43 seconds are timed: 16 ÷ 27."""
    assert overhead(generate_run()) == pytest.approx(16 / 27)
