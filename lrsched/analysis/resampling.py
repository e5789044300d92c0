"""Statistics by resampling, for which no error needs to be normal: bootstrap, sign flips, pairs of runs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from lrsched.analysis import statistics

RESAMPLES = 9999
MOST_EXACT = 16  # differences of which all 2^n signs are tried
Differences = Float[np.ndarray, " differences"]


class Bootstrap(NamedTuple):
    """A 95 % interval of a mean, and how it was found."""

    low: float
    high: float
    method: Literal["BCa", "percentile"]


def bootstrap(values: Sequence[float]) -> Bootstrap | None:
    """95 % bootstrap interval of the mean: bias-corrected and accelerated, or of percentiles where that has no answer.

    With few values it is too narrow: three have 10 different resamples. The same values give the same interval.

    Args:
      values: finite ones.
    Returns:
      None for a single value and for ties.
    Source:
      Efron, "Better Bootstrap Confidence Intervals", JASA 82, 1987; `scipy.stats.bootstrap`.
    """
    if statistics.interval(values) is None:
        return None
    from scipy import stats

    for method in ("BCa", "percentile"):
        words = {"n_resamples": RESAMPLES, "method": method, "rng": np.random.default_rng(0)}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # that BCa has no answer
            found = stats.bootstrap((np.asarray(values),), np.mean, vectorized=True, **words).confidence_interval
        if math.isfinite(found.low) and math.isfinite(found.high):
            return Bootstrap(float(found.low), float(found.high), "BCa" if method == "BCa" else "percentile")
    return None


def subtract(first: Float[np.ndarray, " seeds"], second: Float[np.ndarray, " seeds"]) -> Float[np.ndarray, " shared"]:
    """first - second where neither is NaN; of two infinite values (runs that diverged both) 0."""
    known = ~(np.isnan(first) | np.isnan(second))
    both = np.isinf(first) & np.isinf(second)
    return np.where(both[known], 0.0, np.where(both, 0.0, first)[known] - np.where(both, 0.0, second)[known])


def flip_signs(differences: Differences) -> float:
    """Two-sided p of the sign-flip test that differences are as often above 0 as below, by as much.

    The p is the share of all 2^n choices of signs whose sum is as far from 0 as the one that was seen, or farther;
    above 16 differences, of 9999 choices drawn (always the same ones), and the one seen. It is at least 2 / 2^n: five
    differences give none below 0.0625. An infinite difference counts as larger than all others together.

    Args:
      differences: at least one, not NaN.
    Source:
      Fisher, "The Design of Experiments", 1935, section 21; `scipy.stats.permutation_test`.
    """
    from scipy import stats

    gaps = np.asarray(differences, float)
    finite = np.isfinite(gaps)
    beyond = 1.0 + 2.0 * float(np.abs(gaps[finite]).sum())
    gaps = np.where(finite, np.where(finite, gaps, 0.0), np.sign(gaps) * beyond)
    n = len(gaps)
    words = {"n_resamples": 2**n if n <= MOST_EXACT else RESAMPLES, "rng": np.random.default_rng(0)}
    if n == 1 or not gaps.any():
        return 1.0
    tried = stats.permutation_test((gaps,), np.mean, permutation_type="samples", vectorized=True, batch=4096, **words)
    return min(1.0, float(tried.pvalue))


def improvement(first: Sequence[float], second: Sequence[float]) -> float:
    """Probability that a run of the first is below one of the second: the share of all pairs of runs, ties half.

    Args:
      first: values, infinite for a run that diverged.
      second: likewise.
    Example:
      >>> improvement([1.0, 2.0], [2.0, 3.0])
      0.875

    Source:
      Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", arXiv:2108.13264; U of
      Mann and Whitney's test.
    """
    here, there = np.asarray(first, float)[:, None], np.asarray(second, float)[None]
    return float(((here < there) + 0.5 * (here == there)).mean())
