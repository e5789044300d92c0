"""Every pair of what was measured with the same seeds: the tests behind the marks of tables.

Which thing is the best is seen only afterwards, so every pair could have been claimed: one Holm family holds all pairs
of all columns of a table. A few seeds tell little of one pair's spread, and a large family asks for much; so its t
tests are moderated: a pair's variance is drawn to what all pairs of its column have in common, the more the less they
differ (Smyth's empirical Bayes). If they differ by no more than chance, that is an analysis of variance with seeds as
blocks; if one schedule is far noisier than the rest, each pair keeps nearly its own, as far as the seeds show it: with
few of them a noisy pair is lent too little variance, and of tables of schedules that do not differ up to 16 % claim a
difference, in place of 5 (tests/analysis/study/test_null_studies.py). No adjusted p is below that of the pair's own
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
      things: columns that differ.
      n: seeds that both have.
      mean: of first - second over them; infinite or NaN where a run diverged.
      sd: of the differences, at least sqrt(resolution * |mean|); NaN if fewer than two or all the same.
      moderated: the sd drawn to what the pairs have in common, at least the same.
      df: degrees of freedom of `moderated`.
      prior: how many of them every pair was lent; infinite if the pairs differ by no more than chance.
      flipped: p of the sign-flip test where a run diverged, else NaN.
    """

    things: int
    n: Int[np.ndarray, " pairs"]
    mean: Values
    sd: Values
    moderated: Values
    df: Values
    prior: float
    flipped: Values

    def differ(self) -> tuple[Values, Values]:
        """Two-sided p of each difference: of the paired t test, and of the moderated one."""
        own, moderated = (2 * np.minimum(low, 1 - low) for low in self.below(0.0))
        runaway = ~np.isnan(self.flipped)
        return np.where(runaway, self.flipped, own), np.where(runaway, self.flipped, moderated)

    def below(self, margin: float) -> tuple[Values, Values]:
        """One-sided p of each difference's being below a margin: of the paired t test, and of the moderated one."""
        from scipy import special  # scipy.stats has the same, and takes more than a second to import

        with np.errstate(all="ignore"):
            distance = (self.mean - margin) * np.sqrt(self.n)
            own = special.stdtr(self.n - 1, distance / self.sd)
            moderated = special.stdtr(self.df, distance / self.moderated)
        unknown = np.isnan(self.sd)
        return np.where(unknown, np.nan, own), np.where(unknown, np.nan, moderated)


def pair_up(column: Float[np.ndarray, "seeds things"], *, resolution: float | None = None) -> Pairs:
    """All pairs of the columns of an array.

    Args:
      column: a value per seed (row) and thing measured (column): NaN where there is no run, infinite where it diverged,
        which is worse than any number.
      resolution: as in `statistics.compare`.
    """
    first, second = np.triu_indices(column.shape[1], 1)
    finite = np.where(np.isfinite(column), column, np.nan)
    differences = finite[:, first] - finite[:, second]
    known = ~np.isnan(differences)
    n = known.sum(axis=0)
    mean = np.where(known, differences, 0.0).sum(axis=0) / np.maximum(n, 1)
    variance = (np.where(known, differences - mean, 0.0) ** 2).sum(axis=0) / np.maximum(n - 1, 1)
    least = statistics.ROUNDING * max(1.0, float(np.nanmax(np.abs(finite), initial=0.0)))
    variance = np.where(n > 1, variance, np.nan)
    some = variance > least**2
    lent, prior = moderate(variance[some], n[some] - 1)
    things, most = _count_df(finite[known.any(axis=1)], alike=not some.all())
    floor = np.sqrt((resolution or 0.0) * np.abs(mean))
    sd, moderated = (np.full(len(n), np.nan) for _ in range(2))
    sd[some], moderated[some] = np.sqrt(variance[some]), np.sqrt(lent)
    sd, moderated, flipped = np.maximum(sd, floor), np.maximum(moderated, floor), np.full(len(n), np.nan)
    runaway = np.isinf(column).any(axis=0)
    for k in np.flatnonzero(runaway[first] | runaway[second]):
        gaps = resampling.subtract(column[:, first[k]], column[:, second[k]])
        n[k], sd[k] = len(gaps), np.nan
        with np.errstate(invalid="ignore"):  # infinite both ways
            mean[k] = np.mean(gaps) if len(gaps) else np.nan
        flipped[k] = resampling.flip_signs(gaps) if len(gaps) > 1 else np.nan
    df = np.minimum(n - 1 + prior, float(max(most, 0)))
    return Pairs(things, n, mean, sd, moderated, df, prior, flipped)


def _count_df(column: Float[np.ndarray, "seeds things"], *, alike: bool) -> tuple[int, int]:
    """The columns that differ, and the degrees of freedom of what is left when each column and seed has its mean.

    Args:
      column: as in `pair_up`, of the seeds that more than one column has; NaN where a run diverged.
      alike: whether two columns may be the same, which tell no more than one.
    """
    there = ~np.isnan(column)
    if alike:
        there = np.isfinite(np.unique(np.where(there, column, np.inf), axis=1))
    things = int(there.any(axis=0).sum())
    return things, int(there.sum()) - things - len(column) + 1


def moderate(
    variances: Float[np.ndarray, " some"], df: Int[np.ndarray, " some"]
) -> tuple[Float[np.ndarray, " some"], float]:
    """Draws sample variances to one another, by as much as they differ no more than samples of one variance would.

    The i-th becomes (prior s0^2 + df_i s_i^2) / (prior + df_i), where the true variances are taken to scatter as
    s0^2 prior / chi^2(prior), and s0 and prior are found from mean and variance of log s_i^2. That variance has the
    number of pairs in its denominator, not one less: pairs share their runs, and of three little can be told.

    Args:
      variances: above 0.
      df: degrees of freedom of each.
    Returns:
      the moderated variances, and the degrees of freedom lent to each: infinite where they do not differ, and are all
      replaced by their mean.
    Source:
      Smyth, "Linear Models and Empirical Bayes Methods for Assessing Differential Expression in Microarray
      Experiments", Statistical Applications in Genetics and Molecular Biology 3, 2004, section 6.2.
    """
    if not len(variances):
        return variances, math.inf
    from scipy import special

    half = df / 2
    logs = np.log(variances) - special.digamma(half) + np.log(half)
    excess = float(np.var(logs) - np.mean(special.polygamma(1, half)))
    if excess <= 0:
        return np.full(len(variances), (df * variances).sum() / df.sum()), math.inf
    prior = 2 * _invert_trigamma(excess)
    centre = math.exp(np.mean(logs) + special.digamma(prior / 2) - math.log(prior / 2))
    return (prior * centre + df * variances) / (prior + df), prior


def _invert_trigamma(value: float) -> float:
    """The x above 0 whose trigamma is the value, by Newton's method on its reciprocal, which is nearly straight."""
    from scipy import special

    x = 0.5 + 1 / value
    for _ in range(50):
        here = float(special.polygamma(1, x))
        step = here * (1 - here / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x


def adjust(own: Values, moderated: Values) -> Values:
    """The p values of a family, adjusted: Holm over the moderated ones, never below a pair's own p; NaN stays NaN."""
    held = statistics.holm([None if math.isnan(p) else float(p) for p in moderated])
    return np.maximum([math.nan if p is None else p for p in held], own)


def as_array(columns: Sequence[Mapping[int, float]]) -> Float[np.ndarray, "seeds things"]:
    """Seed -> value of several things, as `pair_up` takes them."""
    seeds = sorted(set().union(*columns))
    rows = [[column.get(seed, math.nan) for column in columns] for seed in seeds]
    return np.array(rows, float).reshape(len(seeds), len(columns))


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
