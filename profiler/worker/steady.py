"""Is the machine in a steady state? And have we measured enough?

Steady: two successive windows of steps differ by less than 5 % in their medians, and the trend over both (Theil–Sen
slope, robust to outliers) cannot be told from none.
"""

import numpy as np
from scipy.stats import theilslopes

from profiler.spec.measurement import Measurement

WINDOW = 8
DIFFERENCE = 0.05
PRECISE = 0.02  # half-width of the median's 95 % interval, relative to it


def steady(seconds: list[float]) -> bool:
    """Whether the last two windows of step durations agree."""
    if len(seconds) < 2 * WINDOW:
        return False
    recent = seconds[-2 * WINDOW :]
    first, second = np.median(recent[:WINDOW]), np.median(recent[WINDOW:])
    _, _, low, high = theilslopes(recent)
    return bool(abs(second - first) < DIFFERENCE * first and low <= 0 <= high)


def imprecision(seconds: list[float]) -> float:
    """Half-width of the median's interval over the median."""
    measured = Measurement(seconds)
    low, high = measured.interval
    return (high - low) / 2 / measured.median
