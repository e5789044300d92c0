"""The curves of a range test over several seeds, and what each rule reads off them.

A test trains for a short while at a growing rate and measures the loss. One such curve is noisy, so there are several;
a suggestion is their mean, with the range over the seeds.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lrsched.analysis import statistics
from lrsched.analysis.range_test import rules
from lrsched.analysis.range_test.reading import Reading
from lrsched.analysis.range_test.rules import RULES, Points, Rule
from lrsched.analysis.range_test.watch import Watch

KEPT = ("quantity", "beta", "divergence", "skip_start", "skip_end", "window")  # of a Reading, in JSON


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """What a range test measured, by seed, and how it is read.

    Attributes:
      rates: ascending, finite, not negative.
      values: raw; NaN where a seed's test had stopped.
      reading: with a number for each None, once it is here (`Reading.resolve`).
    Raises:
      ValueError: if rates or values are otherwise.
    """

    rates: np.ndarray
    values: np.ndarray
    reading: Reading = dataclasses.field(default_factory=Reading)

    def __post_init__(self) -> None:
        rates, values = self.rates, self.values
        if rates.ndim != 1 or not len(rates) or not (np.isfinite(rates).all() and rates[0] >= 0):
            raise ValueError(f"rates must be at least one finite rate, not negative, got {rates}.")
        if not (np.diff(rates) > 0).all():
            raise ValueError("rates must be ascending, got some that are not.")
        if values.ndim != 2 or not len(values) or values.shape[1] != len(rates):
            raise ValueError(f"values must be [seeds, {len(rates)}] with at least one seed, got {values.shape}.")
        object.__setattr__(self, "reading", self.reading.resolve(len(rates)))

    @property
    def quantity(self) -> str:
        """What was measured."""
        return self.reading.quantity

    @property
    def beta(self) -> float:
        """Of the smoothing."""
        return self.reading.beta or 0.0

    @property
    def window(self) -> int:
        """Of the running median that is watched; 0: the smoothed loss is."""
        return self.reading.window or 0

    @property
    def smooth(self) -> np.ndarray:
        """The values, smoothed."""
        return rules.smooth(self.values, beta=self.beta)

    @property
    def stopped(self) -> tuple[int | None, ...]:
        """For each seed the point at which its test was over: missing, not finite or, of a loss, as `Watch` says."""
        return tuple(watch.count - 1 if watch.stopped else None for watch in self._watches())

    @property
    def blow_ups(self) -> tuple[int | None, ...]:
        """For each seed the point from which the loss had blown up: where its test was over, or shortly before."""
        return tuple(watch.blow_up for watch in self._watches())

    @property
    def blow_up_rates(self) -> list[float]:
        """The rates at those points, of the seeds that have one."""
        return [float(self.rates[point]) for point in self.blow_ups if point is not None]

    def _watches(self) -> list[Watch]:
        """For each seed a watch that has seen its curve, as far as it goes."""
        return [self._watch(row) for row in self.values.tolist()]

    def _watch(self, row: list[float]) -> Watch:
        watch = Watch(self.beta, self.reading.divergence, self.window)
        for value in row:
            # No accuracy is too high; only a missing one ends a test.
            counted = 0.0 if self.quantity == "holdout_accuracy" and math.isfinite(value) else value
            watch = watch.after(counted)
            if watch.stopped:
                break
        return watch

    def as_json(self) -> dict[str, Any]:
        """For a record: raw values, null where there is none; smoothed ones for its readers; how they are read."""
        rows = {"values": self.values, "smooth": self.smooth}
        lists = {name: [to_list(row) for row in values] for name, values in rows.items()}
        return {"rates": self.rates.tolist(), **lists, **{name: getattr(self.reading, name) for name in KEPT}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Curves:
        """The curves that `as_json` made a document of; one of version 0.1.0 has no window, and none was watched."""
        values = np.stack([from_list(row) for row in document["values"]])
        reading = {"window": 0} | {name: document[name] for name in KEPT if name in document}
        return cls(np.array(document["rates"], np.float64), values, Reading(**reading))


def to_list(row: np.ndarray) -> list[float | None]:
    """Values for JSON: None where one is not finite."""
    return [value if math.isfinite(value) else None for value in row.tolist()]


def from_list(row: Sequence[float | None]) -> np.ndarray:
    """Values from JSON: NaN where one is None."""
    return np.array([math.nan if value is None else value for value in row], np.float64)


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """What one rule reads off the curves of several seeds."""

    rule: str
    value: float | None  # geometric mean over the seeds that have one; None if none has
    interval: tuple[float, float] | None  # the lowest and the highest rate of the seeds; None below two that have one
    per_seed: tuple[float | None, ...]

    @property
    def n(self) -> int:
        """The number of seeds that have a rate."""
        return len(self.per_seed) - self.per_seed.count(None)


def suggest(curves: Curves) -> dict[str, Suggestion]:
    """Applies every rule: `RULES` to a loss; to an accuracy `smith_bounds`, as smith_min and smith_max.

    Rules see the smoothed curve without its first skip_start and last skip_end finite points, and without a rate of 0.
    Only blow_up_tenth sees the end, since a test that stops where the loss blows up has its last point there; for it
    the curve ends where the raw loss blew up, however long the smoothed one takes. The rules for losses are not applied
    to 1 - accuracy: their constants are in units of a cross-entropy.

    Args:
      curves: of one test.
    Returns:
      rule -> Suggestion, in the order of `RULES`.
    """
    rows = list(curves.smooth)
    if curves.quantity == "holdout_accuracy":
        bounds = [rules.smith_bounds(*visible_points(curves, row)) for row in rows]
        found = {name: [pair and pair[i] for pair in bounds] for i, name in enumerate(("smith_min", "smith_max"))}
    else:
        by_name: dict[str, Rule] = {**RULES}
        blow_up = functools.partial(rules.blow_up_tenth, divergence=curves.reading.divergence)
        found = {name: [rule(*visible_points(curves, row)) for row in rows] for name, rule in by_name.items()}
        ends = curves.blow_ups if curves.window else (None,) * len(rows)  # 0: the smoothed curve alone tells
        at = np.arange(len(curves.rates))
        cut = [row if end is None else np.where(at < end, row, np.nan) for row, end in zip(rows, ends, strict=True)]
        found["blow_up_tenth"] = [blow_up(*visible_points(curves, row, with_end=True)) for row in cut]
    return {name: _average(name, rates) for name, rates in found.items()}


def visible_points(curves: Curves, row: np.ndarray, *, with_end: bool = False) -> tuple[Points, Points]:
    """The rates and values of a curve that rules see; with_end: all from the first one on, finite or not."""
    seen = np.flatnonzero(np.isfinite(row) & (curves.rates > 0))[curves.reading.skip_start :]
    if with_end:
        return (curves.rates[seen[0] :], row[seen[0] :]) if len(seen) else (curves.rates[:0], row[:0])
    seen = seen[: max(0, len(seen) - curves.reading.skip_end)]
    return curves.rates[seen], row[seen]


def _average(rule: str, rates: Sequence[float | None]) -> Suggestion:
    """The geometric mean and the range. Student's t would give an interval of decades for a few seeds."""
    kept = [rate for rate in rates if rate is not None]
    if not kept:
        return Suggestion(rule, None, None, tuple(rates))
    low, high = min(kept), max(kept)
    mean = 10 ** statistics.mean([math.log10(rate) for rate in kept])
    value = min(max(mean, low), high)  # which rounding may leave
    return Suggestion(rule, value, (low, high) if len(kept) > 1 else None, tuple(rates))
