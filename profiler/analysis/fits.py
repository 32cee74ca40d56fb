"""A straight line through measured points, with how sure it is.

Least squares on relative deviations: on a shared machine the noise of a time is a share of it. The 95 % intervals are
Student's t at n − 2 degrees of freedom, by the residuals (Draper and Smith, Applied Regression Analysis, 3rd ed., §1.4
and §9.2); two points make a line but no interval.
"""

from dataclasses import dataclass
from math import inf, nan

import numpy as np

# two-sided 95 % quantiles of Student's t by degrees of freedom; beyond them the normal one
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
NORMAL = 1.96
CARRIES = 0.5  # a slope known no better than to half of itself carries no conclusion


@dataclass(frozen=True)
class Line:
    """y = intercept + slope · x, each with its half-width of the 95 % interval (infinite where the points cannot tell)."""

    slope: float
    intercept: float
    slope_reach: float
    intercept_reach: float
    count: int

    @property
    def slope_interval(self) -> tuple[float, float]:
        """95 % interval of the slope."""
        return self.slope - self.slope_reach, self.slope + self.slope_reach

    @property
    def intercept_interval(self) -> tuple[float, float]:
        """95 % interval of the intercept."""
        return self.intercept - self.intercept_reach, self.intercept + self.intercept_reach

    @property
    def conclusive(self) -> bool:
        """Whether the slope is known well enough to speak of it."""
        return self.slope_reach <= CARRIES * abs(self.slope)

    def at(self, x: float) -> float:
        """The line's y at x."""
        return self.intercept + self.slope * x


def line(x, y) -> Line | None:
    """The line through points of positive y; None when their x do not differ."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < 2 or np.ptp(x) == 0:
        return None
    scale = np.abs(x).max()  # bytes are 10⁹, seconds 10⁻²: unscaled, the matrix would be singular in floating point
    design = np.stack([1 / y, x / scale / y], axis=1)  # rows divided by y: deviations become shares
    inverse = np.linalg.inv(design.T @ design)
    intercept, slope = inverse @ design.T @ np.ones(len(x))
    reach = _reach(len(x) - 2) * np.sqrt(_variance(design, intercept, slope) * np.diag(inverse)) if len(x) > 2 else (inf, inf)
    return Line(float(slope / scale), float(intercept), float(reach[1] / scale), float(reach[0]), len(x))


def _reach(freedom: int) -> float:
    return STUDENT[freedom - 1] if freedom <= len(STUDENT) else NORMAL


def _variance(design: np.ndarray, intercept: float, slope: float) -> float:
    """Of the relative residuals, at n − 2 degrees of freedom."""
    residuals = 1 - design @ [intercept, slope]
    return float(residuals @ residuals) / (len(design) - 2)


def reached_at(x, y, goal: float) -> float:
    """Where a rising curve first reaches `goal`, between its points on logarithmic axes; nan when it does not."""
    for (x0, y0), (x1, y1) in zip(zip(x, y), zip(x[1:], y[1:])):
        if y0 <= goal <= y1 and y1 > y0:
            share = np.log(goal / y0) / np.log(y1 / y0)
            return float(x0 * (x1 / x0) ** share)
    return nan
