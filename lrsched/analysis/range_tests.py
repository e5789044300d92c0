"""Learning-rate range tests of several seeds: curves, suggestions with their ranges, and what they come to in words.

A test trains for a short while at a growing rate and looks at the loss. One such curve is noisy, so there are several,
and what is read off them is a mean with the range over the seeds. The arithmetic of a single curve is in `range_rules`,
when it is over in `range_watch`, and what following a rule cost in `range_regret`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from lrsched.analysis import statistics
from lrsched.analysis.range_regret import Regret, markdown, regret, regret_table
from lrsched.analysis.range_rules import (
    RULES,
    SOURCES,
    Points,
    Rule,
    blow_up_tenth,
    check_beta,
    limit,
    minimum,
    minimum_tenth,
    ramp,
    slide,
    smith_bounds,
    smoothed,
    steepest,
    valley,
)
from lrsched.analysis.range_watch import Watch, default_beta, default_window

__all__ = [
    "RULES", "Curves", "Regret", "Suggestion", "Watch", "advice", "blow_up_tenth", "cycle_bounds", "default_beta",
    "default_window", "minimum", "minimum_tenth", "ramp", "regret", "regret_table", "slide", "smith_bounds", "smoothed",
    "steepest", "suggestions", "table", "valley", "verdict",
]  # fmt: skip

QUANTITIES = ("train_loss", "holdout_loss", "holdout_accuracy")
APART = 3.0  # between the lowest and the highest rate of the seeds: more than that is no agreement


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """What one range test measured, by seed, and how it is to be read.

    Raises:
      ValueError: if a field is not as said.
    """

    rates: Float64[np.ndarray, " steps"]  # ascending, finite, not negative
    values: Float64[np.ndarray, "seeds steps"]  # raw; NaN where a seed's test had stopped
    quantity: str  # of QUANTITIES
    beta: float = 0.98  # of the smoothing
    divergence: float = 4.0  # above 1: a loss above this times its smallest has blown up
    skip_start: int = 0  # points at the start that no rule sees; fastai: a tenth of the test
    skip_end: int = 0  # points at the end of what was measured that no rule but blow_up_tenth sees; fastai: 5
    window: int | None = None  # of the running median that is watched (`Watch`); 0: the smoothed loss is, as in 0.1.0.
    # None: of the training loss a twentieth of the ramp (`default_window`); 1, the value itself, of held-out measures

    def __post_init__(self) -> None:
        rates, values = self.rates, self.values
        if rates.ndim != 1 or not len(rates) or not (np.isfinite(rates).all() and rates[0] >= 0):
            raise ValueError(f"rates must be at least one finite rate, not negative, got {rates}.")
        if not (np.diff(rates) > 0).all():
            raise ValueError("rates must be ascending, got some that are not.")
        if values.ndim != 2 or not len(values) or values.shape[1] != len(rates):
            raise ValueError(f"values must be [seeds, {len(rates)}] with at least one seed, got {values.shape}.")
        if self.quantity not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, got {self.quantity!r}.")
        check_beta(self.beta)
        if not 1 < self.divergence < math.inf:
            raise ValueError(f"divergence must be above 1 and finite, got {self.divergence}.")
        if min(self.skip_start, self.skip_end) < 0:
            raise ValueError(f"skips must not be negative, got {self.skip_start} and {self.skip_end}.")
        if self.window is None:
            window = default_window(len(rates)) if self.quantity == "train_loss" else 1
            object.__setattr__(self, "window", window)
        if self.watched < 0:
            raise ValueError(f"window must be at least 0, got {self.window}.")

    @property
    def watched(self) -> int:
        """The window as a number."""
        return self.window or 0

    @property
    def smooth(self) -> Float64[np.ndarray, "seeds steps"]:
        """`smoothed` values."""
        return smoothed(self.values, beta=self.beta)

    @property
    def stopped(self) -> tuple[int | None, ...]:
        """Of each seed the point at which its test was over: missing, not finite or, of a loss, as `Watch` says."""
        return tuple(seen.count - 1 if seen.stopped else None for seen in self._watches())

    @property
    def blow_ups(self) -> tuple[int | None, ...]:
        """Of each seed the point from which on the loss had blown up: where its test was over, or shortly before."""
        return tuple(seen.blow_up for seen in self._watches())

    def _watches(self) -> list[Watch]:
        """Of each seed what has watched it to where it was over."""
        return [self._watch(row) for row in self.values.tolist()]

    def _watch(self, row: list[float]) -> Watch:
        watch = Watch(self.beta, self.divergence, self.watched)
        for value in row:
            # No accuracy is too high; only a missing one ends a test.
            counted = 0.0 if self.quantity == "holdout_accuracy" and math.isfinite(value) else value
            watch = watch.after(counted)
            if watch.stopped:
                break
        return watch


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """What one rule reads off the curves of several seeds."""

    rule: str
    value: float | None  # geometric mean over the seeds that have one; None if none has
    interval: tuple[float, float] | None  # the lowest and the highest rate of the seeds; None below two that have one
    per_seed: tuple[float | None, ...]

    @property
    def n(self) -> int:
        """How many seeds have a rate."""
        return len(self.per_seed) - self.per_seed.count(None)


def suggestions(curves: Curves) -> dict[str, Suggestion]:
    """Every rule's rate: `RULES` for a loss; smith_min and smith_max, the `smith_bounds`, for an accuracy.

    Rules see the smoothed curve without its skip_start first and skip_end last finite points, and without a rate of 0.
    Only blow_up_tenth sees the end, since a test that stops where the loss blows up has its last point there; to it the
    curve ends where the raw loss blew up, however long the smoothed one takes. The rules for losses are not applied to
    1 - accuracy: their constants are in units of a cross-entropy.

    Args:
      curves: of one test.
    Returns:
      rule -> Suggestion, in the order of `RULES`.
    """
    rows = list(curves.smooth)
    if curves.quantity == "holdout_accuracy":
        bounds = [smith_bounds(*_window(curves, row)) for row in rows]
        found = {name: [pair and pair[i] for pair in bounds] for i, name in enumerate(("smith_min", "smith_max"))}
    else:
        rules: dict[str, Rule] = {**RULES}
        blow_up = functools.partial(blow_up_tenth, divergence=curves.divergence)
        found = {name: [rule(*_window(curves, row)) for row in rows] for name, rule in rules.items()}
        ends = curves.blow_ups if curves.window else [None] * len(rows)  # 0: the smoothed curve alone tells
        cut = [row if end is None else np.where(np.arange(len(row)) < end, row, np.nan) for row, end in zip(rows, ends)]  # noqa: B905
        found["blow_up_tenth"] = [blow_up(*_window(curves, row, with_end=True)) for row in cut]
    return {name: _suggestion(name, rates) for name, rates in found.items()}


def _window(curves: Curves, row: Float64[np.ndarray, " steps"], *, with_end: bool = False) -> tuple[Points, Points]:
    """The points that rules see; with_end: all from the first of them on, finite or not."""
    seen = np.flatnonzero(np.isfinite(row) & (curves.rates > 0))[curves.skip_start :]
    if with_end:
        return (curves.rates[seen[0] :], row[seen[0] :]) if len(seen) else (curves.rates[:0], row[:0])
    seen = seen[: max(0, len(seen) - curves.skip_end)]
    return curves.rates[seen], row[seen]


def _suggestion(rule: str, rates: Sequence[float | None]) -> Suggestion:
    """A few seeds are no sample to extrapolate from: an interval of theirs by Student's t spans decades."""
    kept = [rate for rate in rates if rate is not None]
    if not kept:
        return Suggestion(rule, None, None, tuple(rates))
    low, high = min(kept), max(kept)
    mean = 10 ** statistics.mean([math.log10(rate) for rate in kept])
    value = min(max(mean, low), high)  # which rounding may leave
    return Suggestion(rule, value, (low, high) if len(kept) > 1 else None, tuple(rates))


def cycle_bounds(peak: float) -> dict[str, float]:
    """The lower bounds of a cycle that go with an upper one, by the name of the fraction.

    Args:
      peak: the upper bound, above 0.
    Returns:
      max/3 and max/4: Smith, arXiv:1506.01186, section 3.3; max/10 and max/20, for a single cycle: Smith,
      arXiv:1803.09820, section on 1cycle.
    Raises:
      ValueError: if peak is not above 0 and finite.
    """
    if not 0 < peak < math.inf:
        raise ValueError(f"peak must be above 0 and finite, got {peak}.")
    return {f"max/{part}": peak / part for part in (3, 4, 10, 20)}


def verdict(curves: Curves, rate: float) -> str | None:
    """What speaks against training at a rate, in one line.

    Args:
      curves: of one test.
      rate: that someone wants to train at.
    Returns:
      that the rate is at or above the smallest at which a seed's loss blew up, and how many seeds' had by that rate; or
      that the ramp ended below it; or that by there the loss had risen more than half way from its lowest to a blow-up;
      None if nothing is so, which is no promise: a test is shorter than a run.
    """
    ends = _blow_up_rates(curves)
    if ends and rate >= min(ends):
        count = sum(end <= rate for end in ends)
        where = f"{min(ends):.3g}, where the loss of {count} of {len(curves.values)} seeds blew up"
        return f"rate {rate:g} is at or above {where}"
    if rate > curves.rates[-1]:
        return f"rate {rate:g} was not tested: the ramp ended at {curves.rates[-1]:.3g}"
    if not ends and not _fell(curves):
        return f"rate {rate:g} is not judged: the loss fell by no more than its noise; make the ramp longer"
    lowest = _risen_from(curves, rate)
    if lowest is not None:
        rise = "where the loss had risen more than half way to a blow-up"
        return f"rate {rate:g} is above {lowest:.3g}, at which the loss was lowest, and {rise}"
    return None


def _risen_from(curves: Curves, rate: float) -> float | None:
    """The rate of the lowest loss, if by another one it had risen half way from there to its limit; else None.

    Losses are medians over the seeds and the window up to each point.
    """
    seen = int(np.searchsorted(curves.rates, rate, side="right"))
    if curves.quantity == "holdout_accuracy" or not seen or not np.isfinite(curves.values[:, :seen]).all():
        return None
    width = max(curves.watched, 1)
    first = min(3, width) - 1  # before it one noisy batch would be the median
    losses = [float(np.median(curves.values[:, max(0, k + 1 - width) : k + 1])) for k in range(first, seen)]
    if not losses:
        return None
    lowest = int(np.argmin(losses))
    half = limit(losses[lowest], divergence=(1 + curves.divergence) / 2)
    return float(curves.rates[first + lowest]) if losses[-1] > half else None


def _blow_up_rates(curves: Curves) -> list[float]:
    return [float(curves.rates[point]) for point in curves.blow_ups if point is not None]


def advice(curves: Curves, suggestions_by_rule: Mapping[str, Suggestion]) -> str:
    """Which rate to use, and how sure that is, in one or two sentences.

    Of a loss it is `blow_up_tenth`'s where most seeds blew up, else `minimum_tenth`'s, which is cautious under little
    smoothing; of an accuracy Smith's bounds. None where the loss hardly fell.

    Args:
      curves: of one test.
      suggestions_by_rule: its `suggestions`.
    """
    if curves.quantity == "holdout_accuracy":
        low, high = suggestions_by_rule["smith_min"], suggestions_by_rule["smith_max"]
        if low.value is None or high.value is None:
            return "No rates are suggested: the accuracy never rose."
        words = f"Use cycles from {low.value:.2g} to {high.value:.2g}: where the accuracy starts to rise and where it"
        return f"{words} slows, {_spread(low)} and {_spread(high)}.{_doubt(curves, low, high)}"
    lowest, end = (suggestions_by_rule[rule] for rule in ("minimum_tenth", "blow_up_tenth"))
    ends = _blow_up_rates(curves)
    blown = f"the loss did not blow up by {curves.rates[-1]:.3g}, where the ramp ended"
    if ends:
        blown = f"the raw loss blew up from {min(ends):.3g} on ({len(ends)} of {len(curves.values)} seeds)"
    if not ends and not _fell(curves):
        return f"No rate is suggested: the loss fell by no more than its noise; {blown}. Make the ramp longer."
    if end.value is not None and 2 * end.n > len(curves.values):
        words = f"Use {end.value:.2g}: a tenth of the rate at which the loss blew up, {_spread(end)}; {blown}"
        rest = "" if lowest.value is None else f", and the smoothed loss was lowest at {10 * lowest.value:.2g}"
        return f"{words}{rest}.{_doubt(curves, end)}"
    if lowest.value is None:
        return "No rate is suggested: no points are left between those skipped at the start and at the end."
    words = f"Use {lowest.value:.2g}: a tenth of the rate at which the smoothed loss was lowest, {_spread(lowest)}"
    return f"{words}; {blown}.{_doubt(curves, lowest)}"


def _fell(curves: Curves) -> bool:
    """Whether the training loss fell by more than three times its noise, in the median over the seeds.

    The fall is from the first running mean to the lowest; the noise is the usual change from one loss to the next, as a
    standard deviation. Ramps of fewer than 20 points, and held-out measures, count as fallen.
    """
    points = curves.values.shape[1]
    if curves.quantity != "train_loss" or points < 20:
        return True
    found = [_fall(row[np.isfinite(row)], default_window(points)) for row in curves.values]
    fall, noise = np.median(np.array(found), axis=0)
    return bool(fall >= 3 * noise)


def _fall(row: np.ndarray, size: int) -> tuple[float, float]:
    if len(row) <= size:
        return 0.0, 0.0
    means = np.convolve(row, np.full(size, 1 / size), mode="valid")
    changes = np.abs(np.diff(row))
    return float(means[0] - means.min()), 1.4826 / math.sqrt(2) * float(np.median(changes))  # of a normal noise


def _spread(found: Suggestion) -> str:
    if found.interval is None:
        return "of one seed" if len(found.per_seed) == 1 else f"of 1 of {len(found.per_seed)} seeds"
    return f"{found.interval[0]:.2g} to {found.interval[1]:.2g} over {found.n} seeds"


def _doubt(curves: Curves, *found: Suggestion) -> str:
    """What makes a suggestion doubtful, the most serious alone; nothing if nothing is known against it."""
    apart = max(one.interval[1] / one.interval[0] if one.interval else 1.0 for one in found)
    if curves.quantity != "holdout_accuracy":
        seen = [_window(curves, row) for row in curves.smooth]
        lowest = [(int(values.argmin()), len(values)) for _, values in seen if len(values)]
        if any(place == 0 and count > 1 for place, count in lowest):
            return " The loss never fell in some seed: begin at a lower rate, or make the ramp longer."
        if not _blow_up_rates(curves) and all(place == count - 1 for place, count in lowest):
            return " The loss was still falling at the end: end at a higher rate."
    if apart > APART:
        return f" The seeds differ by a factor of {apart:.2g}: make the ramp longer before you rely on it."
    if len(curves.values) == 1:
        return " Take three seeds to see how much it varies."
    return ""


def table(suggestions_by_rule: Mapping[str, Suggestion]) -> str:
    """Suggestions in Markdown, a row a rule, ending in a newline.

    n is "seeds with a rate of all". Two columns give the lower bound of cycles that go up to the rate (`cycle_bounds`).
    """
    rows = [["rule", "rate", "lowest to highest", "n", "many cycles from", "one cycle from", "source"]]
    rows.append(["---", "---:", "---", "---", "---", "---", "---"])
    for name, found in suggestions_by_rule.items():
        ends = "-" if found.interval is None else f"{found.interval[0]:.3g} to {found.interval[1]:.3g}"
        rate = "-" if found.value is None else f"{found.value:.3g}"
        many = one = "-"
        if found.value is not None and name != "smith_min":  # which is a lower bound itself
            low = cycle_bounds(found.value)
            many, one = f"{low['max/4']:.2g} to {low['max/3']:.2g}", f"{low['max/20']:.2g} to {low['max/10']:.2g}"
        count = f"{found.n} of {len(found.per_seed)}"
        rows.append([f"`{name}`", rate, ends, count, many, one, SOURCES.get(name, "-")])
    return markdown(rows)
