"""Measurement: raw samples, and every statistic as a property.

Latencies of neighbouring tokens are correlated, so intervals use the effective sample size of an AR(1) process,
n (1 − ρ) / (1 + ρ) with ρ the lag-1 autocorrelation (Priestley, Spectral Analysis and Time Series, 1981, §5.3).
A percentile needs samples in its tail: p90 is shown from 64 effective samples, p99 from 662 (the counts at which
MLPerf's early-stopping rule first accepts these percentiles).
"""

import numpy as np

PERCENTILE_NEEDS = {50: 1, 90: 64, 99: 662}


class Measurement:
    """Samples of one metric, in the order they were taken, in the metric's SI unit."""

    def __init__(self, samples):
        self.samples = np.asarray(samples, dtype=float)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def median(self) -> float:
        """The middle sample."""
        return float(np.median(self.samples))

    @property
    def best(self) -> float:
        """The smallest sample: what was possible once."""
        return float(self.samples.min())

    @property
    def effective_count(self) -> float:
        """How many independent samples these are worth; never more than there are."""
        count = len(self.samples)
        around = self.samples - self.samples.mean()
        power = float(around @ around)
        if count < 4 or power == 0:
            return float(count)
        correlation = min(max(float(around[:-1] @ around[1:]) / power, 0.0), 0.99)
        return max(count * (1 - correlation) / (1 + correlation), 1.0)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the median, by order statistics at the effective sample size."""
        reach = 0.98 / np.sqrt(self.effective_count)  # 1.96 × the binomial's half standard deviation
        low, high = np.quantile(self.samples, [max(0.5 - reach, 0), min(0.5 + reach, 1)])
        return float(low), float(high)

    @property
    def spread(self) -> float:
        """Interquartile range over the median: how noisy the samples are."""
        low, high = np.quantile(self.samples, [0.25, 0.75])
        return float((high - low) / self.median) if self.median else 0.0

    @property
    def outliers(self) -> int:
        """Samples more than 5 median absolute deviations above the median; they are counted, never dropped."""
        deviation = np.median(np.abs(self.samples - self.median))
        return int((self.samples > self.median + 5 * deviation).sum()) if deviation else 0

    def percentile(self, rank: int) -> float | None:
        """The percentile, or None where the samples cannot carry it."""
        if self.effective_count < PERCENTILE_NEEDS[rank]:
            return None
        return float(np.percentile(self.samples, rank))

    def summary(self) -> dict:
        """What a reader of JSON needs."""
        return {
            "median": self.median,
            "interval_95": list(self.interval),
            "best": self.best,
            "p90": self.percentile(90),
            "p99": self.percentile(99),
            "spread": self.spread,
            "outliers": self.outliers,
            "count": len(self),
            "effective_count": self.effective_count,
        }
