"""Many set-ups as one: values of dataclasses of numbers, side by side, so that a fit predicts a whole table in one pass of numpy."""

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def stacked(values: list[T]) -> T:
    """One value whose fields are arrays over `values`; arrays of different lengths are filled up with zeros."""
    first: Any = values[0]
    found = {}
    for field in fields(first):
        column = [getattr(value, field.name) for value in values]
        if is_dataclass(column[0]):
            found[field.name] = stacked(column)
        elif np.ndim(column[0]):
            longest = max(len(each) for each in column)
            found[field.name] = np.array([np.pad(each, (0, longest - len(each))) for each in column]).T
        else:
            found[field.name] = np.array(column, dtype=float)
    return type(first)(**found)
