"""The few statistics that tables need: mean, spread, interval, and comparisons paired by seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LEVEL = 0.95  # of every interval; 1 - LEVEL is the error rate of every test


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean of at least one value."""
    if not values:
        raise ValueError("values must hold at least one number, got none.")
    return float(np.mean(values))


def sd(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1 in the denominator); None for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % confidence interval of the mean by Student's t, (low, high); None for a single value."""
    spread = sd(values)
    if spread is None:
        return None
    from scipy import stats  # more than a second to import

    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * spread / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


@dataclasses.dataclass(frozen=True)
class Difference:
    """Mean of first - second over shared seeds, its 95 % interval, the two-sided p of a paired t test, and n seeds."""

    mean: float
    interval: tuple[float, float] | None
    p: float
    n: int


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Difference:
    """Compares two runs-by-seed on the seeds that both have.

    Args:
      first: seed -> value.
      second: seed -> value.
    Returns:
      the Difference first - second. With one shared seed its interval is None and its p is 1.
    Raises:
      ValueError: if no seed is shared.
    Example:
      >>> paired({0: 0.3, 1: 0.2, 2: 0.4}, {0: 0.1, 1: 0.1, 2: 0.1}).n
      3

    Source:
      Student's paired t test.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError(f"seeds must be shared to be compared, got {sorted(first)} and {sorted(second)}.")
    differences = [first[seed] - second[seed] for seed in seeds]
    return Difference(mean(differences), interval(differences), _p_value(differences), len(seeds))


def _p_value(differences: Sequence[float]) -> float:
    """Two-sided p of a mean of 0; differences without any spread are certain, one way or the other."""
    centre, spread = mean(differences), sd(differences)
    if spread is None or centre == 0:
        return 1.0
    if spread == 0:
        return 0.0
    from scipy import stats

    return float(2 * stats.t.sf(abs(centre) / spread * math.sqrt(len(differences)), len(differences) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: p values of one family, each made fit to be held against 5 % by itself.

    The i-th smallest of m (from 0) is multiplied by m - i, then raised to the largest before it, and capped at 1.

    Args:
      p_values: of the tests of the family, any order.
    Returns:
      the adjusted values in the same order.
    Example:
      >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
      [0.03, 0.06, 0.06, 0.02]

    Source:
      Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    adjusted, largest = list(p_values), 0.0
    for i, index in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - i)))
        adjusted[index] = largest
    return adjusted


def separated(best: Mapping[int, float], others: Mapping[Any, Mapping[int, float]]) -> dict[Any, bool]:
    """Whether each of the others is told from the best: paired t tests at 5 %, one Holm family.

    Args:
      best: seed -> value.
      others: name -> seed -> value; one that shares no seed with the best is not told from it.
    Returns:
      name -> whether it is.
    Example:
      >>> separated({0: 0.1, 1: 0.1}, {"same": {0: 0.1, 1: 0.1}, "other": {0: 0.3, 1: 0.3}})
      {'same': False, 'other': True}

    """
    tests = [paired(other, best).p if best.keys() & other.keys() else 1.0 for other in others.values()]
    return {name: p < 1 - LEVEL for name, p in zip(others, holm(tests), strict=True)}
