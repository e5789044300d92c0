"""One learning-rate range test: its ramp, when it is over, its curve smoothed, and rules that read a rate off that.

A rule takes ascending, positive rates and the values of one curve, already smoothed and without the ends that are not
to count, and gives a rate, or None where the curve has none to give. Rules disagree by factors of up to 1000.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64

Points = Float64[np.ndarray, " points"]
Rule = Callable[[Points, Points], float | None]

KINDS = ("exponential", "linear")
MOST_STEPS = 1_000_000  # of a ramp: more were asked for by mistake
FLOAT32 = np.finfo(np.float32)
SMITH_STARTS = 0.1  # of the whole rise of the accuracy: "starts to rise"
SMITH_SLOWS = 0.95  # of it: "slows"


def ramp(
    init_value: float, end_value: float, *, steps: int, kind: str = "exponential"
) -> Float64[np.ndarray, " steps"]:
    """The rates of a range test: init_value at k = 0, end_value at k = steps - 1, both exact.

    exponential: init_value * (end_value / init_value)^(k / (steps - 1));
    linear: init_value + (end_value - init_value) * k / (steps - 1).

    Args:
      init_value: rate of the first update; at least 1.2e-38 (what is less, XLA takes for 0), or 0 for a linear ramp.
      end_value: rate of the last update; above init_value in float32 and at most 3.4e38, the largest it holds.
      steps: updates, from 2 to 1,000,000.
      kind: "exponential", as fastai has it, or "linear", as Smith has it.
    Returns:
      ascending float64. fastai divides k by steps, so its last rate falls short of end_value by one factor.
    Raises:
      ValueError: if an argument is not as said.
    Example:
      >>> ramp(1e-3, 1e1, steps=5).tolist()
      [0.001, 0.01, 0.1, 1.0, 10.0]

    Source:
      Smith, arXiv:1506.01186, section 3.3 (linear); fastai `lr_find` (exponential).
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    if steps < 2:
        raise ValueError(f"steps must be at least 2, for both ends are included, got {steps}.")
    if steps > MOST_STEPS:
        raise ValueError(f"steps must be at most {MOST_STEPS:,}, got {steps}.")
    low, high, smallest, largest = init_value, end_value, float(FLOAT32.tiny), float(FLOAT32.max)
    if not (0 <= low < high < math.inf) or (kind == "exponential" and low == 0):
        least = "0 < init_value" if kind == "exponential" else "0 <= init_value"
        raise ValueError(f"rates must have {least} < end_value, finite, got {init_value} and {end_value}.")
    if 0 < low < smallest:
        raise ValueError(f"init_value must be at least {smallest:.3g}, for float32 holds no less, got {low}.")
    if high > largest:
        raise ValueError(f"end_value must be at most {largest:.3g}, for float32 holds no more, got {high}.")
    if high < smallest or not np.float32(low) < np.float32(high):
        raise ValueError(f"end_value must be above init_value in float32, got {low} and {high}.")
    return (np.geomspace if kind == "exponential" else np.linspace)(low, high, steps, dtype=np.float64)


def check_rate(name: str, rate: float) -> None:
    """Raises ValueError for a rate that float32 does not hold, or makes 0."""
    smallest, largest = float(FLOAT32.tiny), float(FLOAT32.max)
    if not smallest <= rate <= largest:
        raise ValueError(f"{name} must be from {smallest:.3g} to {largest:.3g}, got {rate:g}.")


def whole(name: str, value: object) -> int:
    """The value as an int; a ValueError that names it if it is none.

    Example:
      >>> whole("steps", 100)
      100

    """
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r:.80}.") from None


def number(name: str, value: object) -> float:
    """The value as a float; a ValueError that names it if it is none."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"{name} must be a number, got {' '.join(repr(value).split())[:80]}.") from None


def check_beta(beta: float) -> None:
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be in [0, 1), got {beta}.")


def smoothed(values: Float[np.ndarray, "*batch steps"], *, beta: float = 0.98) -> Float64[np.ndarray, "*batch steps"]:
    """Exponential moving average along the last axis, corrected for its start.

    average(k) = beta * average(k - 1) + (1 - beta) * values(k), average(-1) = 0; result average(k) / (1 - beta^(k+1)).

    Args:
      values: any.
      beta: in [0, 1); 0 leaves the values as they are.
    Returns:
      float64 of the same shape, NaN from the first value on that is not finite.
    Raises:
      ValueError: if beta is outside [0, 1).
    Example:
      >>> smoothed(np.array([1.0, 2.0, 3.0])).round(4).tolist()
      [1.0, 1.5051, 2.0135]

    Source:
      fastai and S. Gugger's finder; the correction is Adam's (Kingma and Ba, 2015, section 3).
    """
    check_beta(beta)
    exact = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    average, result = np.zeros(exact.shape[:-1]), np.empty_like(exact)
    for k in range(exact.shape[-1]):
        average = beta * average + (1 - beta) * exact[..., k]
        result[..., k] = average / (1 - beta ** (k + 1))
    return result


def limit(best: float, *, divergence: float) -> float:
    """What a loss must not exceed: divergence * best, in a form that serves losses of any sign.

    best + (divergence - 1) * |best|. A best of exactly 0 leaves no room: any rise from it is beyond the limit.
    """
    return best + (divergence - 1) * abs(best)


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


def blow_up_tenth(rates: Points, values: Points, *, divergence: float = 4.0) -> float | None:
    """A tenth of the first rate after the minimum at which the loss exceeds divergence * minimum.

    Args:
      rates: as the module says.
      values: not finite from where the test had stopped on, which exceeds everything.
      divergence: factor, above 1; for losses of 0 and below see `limit`.
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
