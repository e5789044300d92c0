"""Every pair of what was measured with the same seeds: the tests behind the marks of tables.

Which thing is the best is seen only afterwards, so every pair could have been claimed: one Holm family holds all pairs
of all columns of a table. Its t tests pool the spread of all pairs of a column, as an analysis of variance with seeds
as blocks does, for a few seeds tell little of one pair's spread. A pair that spreads more than that keeps its own
spread, so that a noisy schedule is not judged by the calm ones. And no adjusted p is below that of the pair's own
paired t test.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from lrsched.analysis import resampling, statistics

Values = Float[np.ndarray, " pairs"]  # NaN where there is no answer


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The differences of all pairs of columns of an array, in the order of itertools.combinations.

    Attributes:
      n: seeds that both have.
      mean: of first - second over them; infinite or NaN where a run diverged.
      sd: of the differences, at least sqrt(resolution * |mean|); NaN if fewer than two or all the same.
      pooled: the sd of a difference from all pairs together, or the pair's own if that is larger.
      df: degrees of freedom of the sd from all pairs.
      flipped: p of the sign-flip test where a run diverged, else NaN.
    """

    n: Int[np.ndarray, " pairs"]
    mean: Values
    sd: Values
    pooled: Values
    df: int
    flipped: Values

    def differ(self) -> tuple[Values, Values]:
        """Two-sided p of each difference: by its own spread alone, and by the pooled one."""
        own, pooled = (2 * np.minimum(low, 1 - low) for low in self.below(0.0))
        runaway = ~np.isnan(self.flipped)
        return np.where(runaway, self.flipped, own), np.where(runaway, self.flipped, pooled)

    def below(self, margin: float) -> tuple[Values, Values]:
        """One-sided p of each difference's being below a margin: by its own spread alone, and by the pooled one."""
        from scipy import special  # scipy.stats has the same, and takes more than a second to import

        with np.errstate(all="ignore"):
            distance = (self.mean - margin) * np.sqrt(self.n)
            own = special.stdtr(self.n - 1, distance / self.sd)
            pooled = special.stdtr(self.df, distance / self.pooled)
        unknown = np.isnan(self.sd)
        return np.where(unknown, np.nan, own), np.where(unknown, np.nan, pooled)


def pair_up(column: Float[np.ndarray, "seeds things"], *, resolution: float | None = None) -> Pairs:
    """All pairs of the columns of an array.

    Args:
      column: a value per seed (row) and thing measured (column): NaN where there is no run, infinite where it diverged,
        which is worse than any number.
      resolution: as in `statistics.compare`.
    """
    first, second = np.triu_indices(column.shape[1], 1)
    finite = np.where(np.isfinite(column), column, np.nan)
    with np.errstate(invalid="ignore"):
        differences = finite[:, first] - finite[:, second]
    known = ~np.isnan(differences)
    n = known.sum(axis=0)
    mean = np.where(known, differences, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = (np.where(known, differences - mean, 0.0) ** 2).sum(axis=0)
    floor = np.sqrt((resolution or 0.0) * np.abs(mean))
    largest = max(1.0, float(np.nanmax(np.abs(finite), initial=0.0)))
    sd = np.sqrt(squares / np.maximum(n - 1, 1))
    sd = np.where((n > 1) & (sd > statistics.ROUNDING * largest), np.maximum(sd, floor), np.nan)
    shared = known.any(axis=1)  # seeds that compare anything
    things = int((~np.isnan(finite[shared])).any(axis=0).sum())
    df = int((~np.isnan(finite[shared])).sum() - things - shared.sum() + 1)
    spread = math.sqrt(squares.sum() / (np.maximum(n, 1) - 1).sum()) if (n > 1).any() else math.nan
    flipped = np.full(len(n), np.nan)
    runaway = np.isinf(column).any(axis=0)
    for k in np.flatnonzero(runaway[first] | runaway[second]):
        gaps = resampling.subtract(column[:, first[k]], column[:, second[k]])
        n[k], mean[k], sd[k] = len(gaps), (np.sum(gaps) / len(gaps) if len(gaps) else np.nan), np.nan
        flipped[k] = resampling.flip_signs(gaps) if len(gaps) > 1 else np.nan
    return Pairs(n, mean, sd, np.fmax(spread, sd), df, flipped)


def adjust(own: Values, pooled: Values) -> Values:
    """The p values of a family, adjusted: Holm over the pooled ones, and never below a pair's own p; NaN stays NaN."""
    held = statistics.holm([None if math.isnan(p) else float(p) for p in pooled])
    return np.maximum([math.nan if p is None else p for p in held], own)


def as_array(columns: Sequence[Mapping[int, float]]) -> Float[np.ndarray, "seeds things"]:
    """Seed -> value of several things, as `pair_up` takes them."""
    seeds = sorted(set().union(*columns))
    return np.array([[column.get(seed, math.nan) for column in columns] for seed in seeds]).reshape(len(seeds), -1)


def tell_apart(
    best: Mapping[int, float], others: Mapping[Any, Mapping[int, float]], *, resolution: float | None = None
) -> dict[Any, bool]:
    """Tells whether each of the others is separated from the best at 5 %: one family of all pairs among them.

    Args:
      best: seed -> value.
      others: name -> seed -> value. One that shares no seed with the best counts as not separated, and so does one that
        differs from it by the same on every seed.
      resolution: as in `statistics.compare`.
    Returns:
      name -> whether it is separated from the best.
    Example:
      >>> tell_apart({0: 0.1, 1: 0.1}, {"same": {0: 0.1, 1: 0.1}, "tie": {0: 0.3, 1: 0.3}, "far": {0: 0.3, 1: 0.301}})
      {'same': False, 'tie': False, 'far': True}

    """
    adjusted = adjust(*pair_up(as_array([best, *others.values()]), resolution=resolution).differ())
    return dict(zip(others, (adjusted < 1 - statistics.LEVEL).tolist(), strict=False))
