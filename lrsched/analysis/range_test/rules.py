"""The curve of one learning-rate range test, smoothed, and the rules that read a rate off it.

A rule takes ascending, positive rates and the values of one curve, already smoothed and without the ends that do not
count, and gives a rate, or None if the curve has none to give. Rules disagree by factors of up to 1000.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lrsched.analysis.range_test.reading import Reading
from lrsched.analysis.range_test.watch import limit

Points = np.ndarray  # float64 [points]
Rule = Callable[[Points, Points], float | None]

SMITH_STARTS = 0.1  # of the whole rise of the accuracy: "starts to rise"
SMITH_SLOWS = 0.95  # of it: "slows"


def smooth(values: np.ndarray, *, beta: float) -> np.ndarray:
    """Exponential moving average along the last axis, corrected for its start.

    average(k) = beta * average(k - 1) + (1 - beta) * values(k), average(-1) = 0; result average(k) / (1 - beta^(k+1)).

    Args:
      values: any.
      beta: in [0, 1); 0 leaves the values as they are.
    Returns:
      float64 of the same shape, NaN from the first value on that is not finite.
    Example:
      >>> smooth(np.array([1.0, 2.0, 3.0]), beta=0.98).round(4).tolist()
      [1.0, 1.5051, 2.0135]

    Source:
      fastai and S. Gugger's finder; the correction is Adam's (Kingma and Ba, 2015, section 3).
    """
    exact = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    average, result = np.zeros(exact.shape[:-1]), np.empty_like(exact)
    for k in range(exact.shape[-1]):
        average = beta * average + (1 - beta) * exact[..., k]
        result[..., k] = average / (1 - beta ** (k + 1))
    return result


def minimum(rates: Points, values: Points) -> float | None:
    """Rate of the lowest value, the first of equal ones; None without points. fastai's `minimum` divides it by 10."""
    return float(rates[values.argmin()]) if len(values) else None


def minimum_tenth(rates: Points, values: Points) -> float | None:
    """A tenth of the rate of the lowest value: "one decade below the minimum".

    Source:
      fastai 2, `minimum`; S. Gugger, "How Do You Find A Good Learning Rate", 2018: "one order of magnitude before".
    """
    lowest = minimum(rates, values)
    return None if lowest is None else lowest / 10


def blow_up_tenth(rates: Points, values: Points, *, divergence: float = Reading.divergence) -> float | None:
    """A tenth of the first rate after the minimum at which the loss exceeds divergence * minimum.

    Args:
      rates: as the module says.
      values: not finite from where the test had stopped on, which exceeds everything.
      divergence: factor, above 1 (`Reading`); for losses of 0 and below see `limit`.
    Returns:
      None if no value is finite or the loss never exceeds.
    Source:
      "1Cycle with TensorFlow and Keras", after A. Geron's Hands-On Machine Learning: 10 times less than the point where
      the loss shoots up. The factor 4, at which fastai stops its test, makes a number of that.
    """
    if not np.isfinite(values).any():
        return None
    lowest = int(np.nanargmin(values))
    beyond = np.flatnonzero(~(values[lowest:] <= limit(values[lowest], divergence=divergence)))  # NaN is beyond too
    return float(rates[lowest + beyond[0]]) / 10 if len(beyond) else None


def steepest(rates: Points, values: Points) -> float | None:
    """Rate k of the most negative slope (values[k+1] - values[k]) / (ln rates[k+1] - ln rates[k]); None below 2 points.

    A curve that only rises gives where it rises least.

    Source:
      fastai 2, `steep`.
    """
    return float(rates[(np.diff(values) / np.diff(np.log(rates))).argmin()]) if len(values) > 1 else None


def valley(rates: Points, values: Points) -> float | None:
    """A rate in the longest decreasing subsequence, about half way down; None without points.

    With the subsequence (points may be left out between its own) L long and ending at point e, the first of equally
    long ones: start = e - L, and the rate is that of point start + int(L / 3) + int(L / 6).

    fastai's quirks are kept: the start is found as if the L points were neighbours, and is one too early; -1 is the
    last point of all, so that a curve of which the first two points alone fall gives its last rate; a curve that never
    falls gives its first.

    Source:
      fastai 2, `valley`, its default.
    """
    if not len(values):
        return None
    lengths = np.ones(len(values), np.int64)  # of the longest decreasing subsequence that ends at each point
    for i in range(1, len(values)):
        higher = lengths[:i][values[:i] > values[i]]
        lengths[i] = 1 + higher.max(initial=0)
    end = int(lengths.argmax())
    length = int(lengths[end])
    start = end - length if length > 1 else 0
    return float(rates[start + int((end - start) / 3) + int((end - start) / 3 / 2)])


def slide(
    rates: Points, values: Points, *, lr_diff: int = 15, threshold: float = 0.005, adjust: float = 1.0
) -> float | None:
    """Slides a window back from the end while the slopes at its two ends differ, and gives its left end's last rate.

    Slopes are `np.gradient`'s, per point and not per decade, so the threshold depends on the number of points.

    Args:
      rates: as the module says.
      values: as the module says.
      lr_diff: width of the window in points, at least 1.
      threshold: the window goes on while |slope at its right - slope at its left| is above this.
      adjust: the rate is multiplied by it.
    Returns:
      None if there are not more than lr_diff points (fastai raises an IndexError there).
    Source:
      fastai 2, `slide`.
    """
    if len(values) <= lr_diff:
        return None
    slopes = np.gradient(values)
    apart = np.abs(slopes[lr_diff:] - slopes[:-lr_diff]) > threshold  # by the window's left end
    stops = np.flatnonzero(~apart)
    left = int(stops[-1]) + 1 if len(stops) else 0  # the leftmost end of an unbroken run of them up to the last
    return float(rates[min(left, len(apart) - 1)]) * adjust


def smith_bounds(rates: Points, accuracies: Points) -> tuple[float, float] | None:
    """Bounds of a cycle from a curve of accuracy: where it starts to rise, and where it slows.

    With the largest accuracy h (the first of equal ones), the lowest before it l: low is the first rate from l's on
    with accuracy >= l + 0.1 * (h - l), high the first with accuracy >= l + 0.95 * (h - l), so low <= high. Smith reads
    both off a plot; the two fractions, `SMITH_STARTS` and `SMITH_SLOWS`, are ours. "Becomes ragged or starts to fall",
    his other signs of the upper bound, both come after the rise is made and are not looked for.

    Args:
      rates: as the module says; his ramps are linear.
      accuracies: as the module says, of data the network is not trained on.
    Returns:
      (low, high), or None if the first accuracy is already the largest, or there are no points.
    Source:
      L. N. Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, arXiv:1506.01186, section 3.3.
    """
    if not len(accuracies):
        return None
    top = int(accuracies.argmax())
    foot = int(accuracies[: top + 1].argmin())
    risen = accuracies[foot : top + 1] - accuracies[foot]
    if risen[-1] <= 0:
        return None
    low, high = (foot + int(np.argmax(risen >= share * risen[-1])) for share in (SMITH_STARTS, SMITH_SLOWS))
    return float(rates[low]), float(rates[high])


RULES: dict[str, Rule] = {
    "minimum_tenth": minimum_tenth,
    "blow_up_tenth": blow_up_tenth,
    "steepest": steepest,
    "valley": valley,
    "slide": slide,
}
SOURCES = {
    "minimum_tenth": "fastai `minimum`; Gugger 2018",
    "blow_up_tenth": "1Cycle with TensorFlow and Keras, after Geron",
    "steepest": "fastai `steep`",
    "valley": "fastai `valley`",
    "slide": "fastai `slide`",
    "smith_min": "Smith 2017, section 3.3",
    "smith_max": "Smith 2017, section 3.3",
}
