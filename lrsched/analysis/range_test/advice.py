"""What a range test comes to in words: which rate to use, how sure that is, and what speaks against a rate."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lrsched.analysis.range_test.curves import Curves, Suggestion, visible_points
from lrsched.analysis.range_test.watch import default_window, limit

FLAT = 1e-6  # of a loss: what rounding makes of one that does not change
APART = 3.0  # between the lowest and the highest rate of the seeds: more than that is no agreement


def warn_about(curves: Curves, rate: float) -> str | None:
    """Says in one line what speaks against training at a rate.

    Args:
      curves: of one test.
      rate: one that somebody wants to train at.
    Returns:
      that the rate is at or above the smallest one at which a seed's loss blew up, and for how many seeds it had by
      then; or that the ramp ended below it; or that the loss had risen more than half way from its lowest to a blow-up
      by then; None otherwise, which is no promise: a test is shorter than a run.
    """
    ends = curves.blow_up_rates
    if ends and rate >= min(ends):
        count = sum(end <= rate for end in ends)
        where = f"{min(ends):.3g}, where the loss of {count} of {len(curves.values)} seeds blew up"
        return f"rate {rate:g} is at or above {where}"
    if rate > curves.rates[-1]:
        return f"rate {rate:g} was not tested: the ramp ended at {curves.rates[-1]:.3g}"
    if not ends and (level := _level(curves)):
        return f"rate {rate:g} is not judged: {level}"
    lowest = _rose_from(curves, rate)
    if lowest is not None:
        rise = "where the loss had risen more than half way to a blow-up"
        return f"rate {rate:g} is above {lowest:.3g}, at which the loss was lowest, and {rise}"
    return None


def _rose_from(curves: Curves, rate: float) -> float | None:
    """The rate of the lowest loss if, by another rate, the loss had risen half way from there to its limit; else None.

    Losses are medians over the seeds and the window up to each point.
    """
    seen = int(np.searchsorted(curves.rates, rate, side="right"))
    if curves.quantity == "holdout_accuracy" or not seen or not np.isfinite(curves.values[:, :seen]).all():
        return None
    width = max(curves.window, 1)
    first = min(3, width) - 1  # before it one noisy batch would be the median
    losses = [float(np.median(curves.values[:, max(0, k + 1 - width) : k + 1])) for k in range(first, seen)]
    if not losses:
        return None
    lowest = int(np.argmin(losses))
    half = limit(losses[lowest], divergence=(1 + curves.reading.divergence) / 2)
    return float(curves.rates[first + lowest]) if losses[-1] > half else None


def advise(curves: Curves, suggestions_by_rule: Mapping[str, Suggestion]) -> str:
    """Says in one or two sentences which rate to use, and how sure that is.

    For a loss it is the rate of `blow_up_tenth` if most seeds blew up, else that of `minimum_tenth`, which is cautious
    under little smoothing; for an accuracy Smith's bounds; none if the loss hardly fell.

    Args:
      curves: of one test.
      suggestions_by_rule: what `suggest` read off them.
    """
    if curves.quantity == "holdout_accuracy":
        low, high = suggestions_by_rule["smith_min"], suggestions_by_rule["smith_max"]
        if low.value is None or high.value is None:
            return "No rates are suggested: the accuracy never rose."
        words = f"Use cycles from {low.value:.2g} to {high.value:.2g}: where the accuracy starts to rise and where it"
        return f"{words} slows, {_describe_range(low)} and {_describe_range(high)}.{_describe_doubt(curves, low, high)}"
    lowest, end = (suggestions_by_rule[rule] for rule in ("minimum_tenth", "blow_up_tenth"))
    ends = curves.blow_up_rates
    blown = f"the loss did not blow up by {curves.rates[-1]:.3g}, where the ramp ended"
    if ends:
        blown = f"the raw loss blew up from {min(ends):.3g} on ({len(ends)} of {len(curves.values)} seeds)"
    if not ends and (level := _level(curves)):
        return f"No rate is suggested: {level}; {blown}."
    if end.value is not None and 2 * end.n > len(curves.values):
        words = f"Use {end.value:.2g}: a tenth of the rate at which the loss blew up, {_describe_range(end)}; {blown}"
        rest = "" if lowest.value is None else f", and the smoothed loss was lowest at {10 * lowest.value:.2g}"
        return f"{words}{rest}.{_describe_doubt(curves, end)}"
    if lowest.value is None:
        return "No rate is suggested: no points are left between those skipped at the start and at the end."
    words = f"Use {lowest.value:.2g}: a tenth of the rate at which the smoothed loss was lowest"
    return f"{words}, {_describe_range(lowest)}; {blown}.{_describe_doubt(curves, lowest)}"


def _level(curves: Curves) -> str:
    """Says that the loss did not fall, if it did not: each seed's is the same at every rate, or fell within its noise.

    The fall is from the first running mean to the lowest; the noise is the usual change from one loss to the next, as a
    standard deviation; three times that is asked for, in the median over the seeds. Ramps of fewer than 20 points, and
    held-out losses, count as fallen unless they are the same throughout; accuracies always.
    """
    points = curves.values.shape[1]
    if curves.quantity == "holdout_accuracy":
        return ""
    if (
        points > 2
        and np.isfinite(curves.values).all()
        and (np.ptp(curves.values, axis=1) <= FLAT * np.abs(curves.values[:, 0])).all()
    ):
        return "the loss is the same at every rate (does the step use the rate?)"
    if curves.quantity != "train_loss" or points < 20:
        return ""
    found = [_measure_fall(row[np.isfinite(row)], default_window(points)) for row in curves.values]
    fall, noise = np.median(np.array(found), axis=0)
    return "" if fall >= 3 * noise else "the loss fell by no more than its noise (make the ramp longer)"


def _measure_fall(row: np.ndarray, size: int) -> tuple[float, float]:
    """How far the losses of a seed fell, and their noise."""
    if len(row) <= size:
        return 0.0, 0.0
    means = np.convolve(row, np.full(size, 1 / size), mode="valid")
    changes = np.abs(np.diff(row))
    return float(means[0] - means.min()), 1.4826 / math.sqrt(2) * float(np.median(changes))  # of a normal noise


def _describe_range(found: Suggestion) -> str:
    if found.interval is None:
        return "of one seed" if len(found.per_seed) == 1 else f"of 1 of {len(found.per_seed)} seeds"
    return f"{found.interval[0]:.2g} to {found.interval[1]:.2g} over {found.n} seeds"


def _describe_doubt(curves: Curves, *found: Suggestion) -> str:
    """What makes a suggestion doubtful, the most serious alone; nothing if nothing is known against it."""
    apart = max(one.interval[1] / one.interval[0] if one.interval else 1.0 for one in found)
    if curves.quantity != "holdout_accuracy":
        seen = [visible_points(curves, row) for row in curves.smooth]
        lowest = [(int(values.argmin()), len(values)) for _, values in seen if len(values)]
        if any(place == 0 and count > 1 for place, count in lowest):
            return " The loss never fell in some seed: begin at a lower rate, or make the ramp longer."
        if not curves.blow_up_rates and all(place == count - 1 for place, count in lowest):
            return " The loss was still falling at the end: end at a higher rate."
    if apart > APART:
        return f" The seeds differ by a factor of {apart:.2g}: make the ramp longer before you rely on it."
    if len(curves.values) == 1:
        return " Take three seeds to see how much it varies."
    return ""
