"""The statistics of tables: mean, spread, interval, and comparisons paired by seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

LEVEL = 0.95  # of every interval; 1 - LEVEL is the error rate of every test
ROUNDING = 1e-9  # of values of about 1: what records round to 10 digits spreads less than this where it is the same


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean of at least one value."""
    if not values:
        raise ValueError("values must hold at least one number, got none.")
    return float(np.mean(values))


def sd(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1 in the denominator); None for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % confidence interval of the mean by Student's t, (low, high); None for a single value and for ties."""
    spread = sd(values)
    if spread is None or not _spreads(spread, values):
        return None
    return _interval(mean(values), spread, len(values))


def _spreads(spread: float, values: Sequence[float]) -> bool:
    """Whether an sd is more than rounding; NaN is not."""
    return spread > ROUNDING * max(1.0, *map(abs, values))


def _interval(centre: float, spread: float, n: int) -> tuple[float, float]:
    from scipy import special  # scipy.stats has the same, and takes more than a second to import

    half = float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * spread / math.sqrt(n)
    return centre - half, centre + half


@dataclasses.dataclass(frozen=True)
class Difference:
    """Mean of first - second over shared seeds, its 95 % interval, the two-sided p of a paired t test, and n seeds.

    Interval and p are None where the differences have no spread to judge them by.
    """

    mean: float
    interval: tuple[float, float] | None
    p: float | None
    n: int


def compare(first: Mapping[int, float], second: Mapping[int, float], *, resolution: float | None = None) -> Difference:
    """Compares two sets of runs, paired by seed, on the seeds that both have.

    The sd is at least sqrt(resolution * |mean|): if two networks differ on k of the examples that they are measured on,
    each of the k could have gone the other way, so k has an sd of at least sqrt(k), however alike a few seeds are.

    Args:
      first: seed -> value.
      second: seed -> value.
      resolution: of a share of n examples, 1 / n (`find_resolution`); None: the measure is no share, or n is unknown.
    Returns:
      the Difference first - second. With one shared seed, or if all differences are the same, its interval and its p
      are None: a few runs of a discrete measure tie by chance, and do not tell how it spreads.
    Raises:
      ValueError: if no seed is shared, or the resolution is not above 0.
    Example:
      >>> compare({0: 0.3, 1: 0.2, 2: 0.4}, {0: 0.1, 1: 0.1, 2: 0.1}).n
      3

    Source:
      Student's paired t test; McNemar's variance of a difference of shares, (b + c) / n^2 >= |b - c| / n^2.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError(f"seeds must be shared to be compared, got {sorted(first)} and {sorted(second)}.")
    if resolution is not None and not resolution > 0:
        raise ValueError(f"resolution must be above 0, got {resolution:g}.")
    differences = [first[seed] - second[seed] for seed in seeds]
    centre, spread = mean(differences), sd(differences)
    if spread is None or not _spreads(spread, [values[seed] for values in (first, second) for seed in seeds]):
        return Difference(centre, None, None, len(seeds))
    spread = max(spread, math.sqrt(abs(centre) * (resolution or 0.0)))
    from scipy import special

    p = float(2 * special.stdtr(len(seeds) - 1, -abs(centre) / spread * math.sqrt(len(seeds))))
    return Difference(centre, _interval(centre, spread, len(seeds)), p, len(seeds))


def find_resolution(errors: Sequence[float], examples: int | None) -> float | None:
    """The `resolution` of errors that were measured on so many examples.

    Returns:
      1 / examples if every error is a whole number of them; None if one is not (it is no share), or if it is not known
      how many there are.
    Example:
      >>> find_resolution([0.25, 0.5], 4), find_resolution([0.3], 4), find_resolution([0.3], None)
      (0.25, None, None)

    """
    if not examples:
        return None
    shares = all(math.isclose(error * examples, round(error * examples), abs_tol=1e-4) for error in errors)
    return 1 / examples if shares else None


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment of the p values of one family, after which each may be compared with 5 %.

    The i-th smallest of m (from 0) is multiplied by m - i, then raised to the largest before it, and capped at 1.

    Args:
      p_values: of the tests of the family, any order. None and NaN, of a test without an answer, count in m as the
        largest would.
    Returns:
      the adjusted values in the same order, None where there was no answer.
    Example:
      >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
      [0.03, 0.06, 0.06, 0.02]

    Source:
      Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    known = {k: p for k, p in enumerate(p_values) if p is not None and not math.isnan(p)}
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for i, index in enumerate(sorted(known, key=known.__getitem__)):
        largest = max(largest, min(1.0, known[index] * (len(p_values) - i)))
        adjusted[index] = largest
    return adjusted
