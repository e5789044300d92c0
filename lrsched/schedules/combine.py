"""Schedules from schedules: one after the other, products, limits; and where a schedule jumps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence as SequenceOf
from fractions import Fraction
from typing import Any, NamedTuple, Self

import numpy as np

from lrsched.schedules.core import Schedule, check_rates, check_schedule, fitted, rebind
from lrsched.schedules.durations import Duration, Rest, duration, in_steps
from lrsched.schedules.progress import Ratio, clamp
from lrsched.schedules.values import Number, check_number, is_concrete, namespace, real, short, unchecked, value_class


@value_class
class Sequence(Schedule):
    """Segments one after the other, half open; each sees the steps since its own start and its own length as budget."""

    segments: tuple[Schedule, ...]
    durations: tuple[Duration, ...]
    total_steps: Number

    def _check(self) -> None:
        if not self.segments:
            raise ValueError("segments must hold at least one schedule, got none.")
        if len(self.durations) != len(self.segments):
            raise ValueError(f"durations must be one per segment ({len(self.segments)}), got {len(self.durations)}.")
        if (count := sum(isinstance(d, Rest) for d in self.durations)) > 1:
            raise ValueError(f"one part alone may be without a duration, or have 'rest' as its own, got {count}.")

    def _check_budget(self, total_steps: int) -> None:
        """Not of a new value: a segment is one that knows no budget of its own."""
        _check_durations(self.durations, total_steps)
        if all(map(is_concrete, self.durations)):
            for segment, length in zip(self.segments, self.lengths(np.int64(total_steps)), strict=True):
                if length:
                    segment._check_budget(int(length))

    def lengths(self, total_steps: Any) -> list[Any]:
        """Length of each segment in steps; they sum to `total_steps`."""
        xp = namespace(total_steps)
        lengths: list[Any] = [None if isinstance(d, Rest) else in_steps(total_steps, d) for d in self.durations]
        if None not in lengths:  # the last fraction takes what rounding down left over
            scaling = [i for i, d in enumerate(self.durations) if isinstance(d, Ratio)]
            if scaling:
                lengths[scaling[-1]] = None
        if None in lengths:
            rest = lengths.index(None)
            lengths[rest] = total_steps - sum((n for n in lengths if n is not None), start=xp.zeros_like(total_steps))
        return lengths

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        step, total = clamp(step, self.total_steps)
        start, value = namespace(total).zeros_like(total), None
        for segment, length in zip(self.segments, self.lengths(total), strict=True):
            here = rebind(segment, length)._value(xp.maximum(step - start, 0))
            value = here if value is None else xp.where(xp.logical_and(step >= start, length > 0), here, value)
            start = start + length
        return value

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """Those of the segments, and the end of the budget."""
        ends, start = [], 0
        for segment, length in zip(self.segments, self.lengths(np.int64(self.total_steps)), strict=True):
            if length:
                ends += [start + end for end in segment.at(int(length)).cycle_ends]
            start += int(length)
        return tuple(dict.fromkeys([*ends, int(self.total_steps)]))


def _check_durations(durations: SequenceOf[Duration], total_steps: Number, names: SequenceOf[str] = ()) -> None:
    """Refuses durations that the budget cannot hold, or (with no part that scales) does not equal."""
    if not all(map(is_concrete, [*durations, total_steps])):
        return
    lengths = [0 if isinstance(d, Rest) else int(in_steps(np.int64(total_steps), d)) for d in durations]
    needed, scaling = sum(lengths), sum(isinstance(d, Ratio) for d in durations)
    hold_rest = any(isinstance(d, Rest) for d in durations)
    exact = not (scaling or hold_rest)
    if needed > total_steps or (exact and needed != total_steps):
        relation = f"{'sum to' if exact else 'fit into'} total_steps = {total_steps}"
    elif scaling and not hold_rest and _left(durations, total_steps) >= 1:
        relation = f"fill total_steps = {total_steps} or hold 'rest' (in words: one part without a duration)"
    else:
        return
    parts = [f"{name} {n}".strip() for name, n in itertools.zip_longest(names, lengths, fillvalue="") if n]
    raise ValueError(f"durations must {relation}, got {needed} steps: {' + '.join(parts) or 'none'}.")


def _left(durations: SequenceOf[Any], total_steps: Number) -> Fraction:
    """Updates that durations leave of a budget, before fractions are rounded down."""
    total = int(total_steps)
    parts = (
        Fraction(total * d.numerator, d.denominator) if isinstance(d, Ratio) else Fraction(int(d)) for d in durations
    )
    return total - sum(parts, start=Fraction())


class Jump(NamedTuple):
    """Two consecutive updates whose rates differ by more than the threshold."""

    step: int  # the first update at the new rate
    before: float
    after: float


@value_class
class Product(Schedule):
    """schedule * factor; the factor is a number, or a schedule that moves to another budget with it."""

    schedule: Schedule
    factor: Number | Schedule

    def _check(self) -> None:
        if not isinstance(self.factor, Schedule):
            check_rates(self, "factor")
            return
        mine, other = self.total_steps, self.factor.total_steps
        if isinstance(mine, int) and isinstance(other, int) and mine != other:
            raise ValueError(f"factor must have the schedule's budget of {mine} updates, got one of {other}.")

    @property
    def total_steps(self) -> Number:
        return self.schedule.total_steps

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        return self.schedule.cycle_ends

    def _value(self, step: Any) -> Any:
        factor = self.factor._value(step) if isinstance(self.factor, Schedule) else real(step, self.factor)
        return self.schedule._value(step) * factor

    def _check_budget(self, total_steps: int) -> None:
        for each in (self.schedule, self.factor):
            if isinstance(each, Schedule):
                each._check_budget(total_steps)

    def _rebind(self, total_steps: Any) -> Self:
        factor = rebind(self.factor, total_steps) if isinstance(self.factor, Schedule) else self.factor
        return unchecked(self, schedule=rebind(self.schedule, total_steps), factor=factor)


@value_class
class Clip(Schedule):
    """min(max(schedule, minimum), maximum)."""

    schedule: Schedule
    minimum: Number
    maximum: Number

    def _check(self) -> None:
        check_rates(self, "minimum", "maximum")
        if is_concrete(self.minimum) and is_concrete(self.maximum) and self.minimum > self.maximum:
            raise ValueError(f"minimum must be at most maximum = {self.maximum}, got {self.minimum}.")

    @property
    def total_steps(self) -> Number:
        return self.schedule.total_steps

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        return self.schedule.cycle_ends

    def _value(self, step: Any) -> Any:
        low, high = real(step, self.minimum), real(step, self.maximum)
        return namespace(step).clip(self.schedule._value(step), low, high)

    def _check_budget(self, total_steps: int) -> None:
        self.schedule._check_budget(total_steps)

    def _rebind(self, total_steps: Any) -> Self:
        return unchecked(self, schedule=rebind(self.schedule, total_steps))


def product(schedule: Schedule, factor: Number | Schedule) -> Product:
    """Product: a schedule times a number, or times another schedule.

    lr(t) = schedule(t) * factor(t).

    Args:
      schedule: gives the budget and the cycle ends.
      factor: at least 0; may be traced. A schedule has the same budget, and is moved to another one with it by `at`.
    Returns:
      int step of any shape -> float32 of that shape.
    Raises:
      ValueError: if a concrete factor is below 0 or not finite, or a schedule of another budget.
    Example:
      >>> print(f"{product(linear(0.1, total_steps=10), 0.5)(5):.4f}")
      0.0250

    Source:
      This library; Goyal et al., arXiv:1706.02677, scale the rate with the batch size so.
    """
    check_schedule("schedule", schedule)
    if not isinstance(factor, Schedule):
        check_number("factor", factor, at_least=0.0)
    return Product(schedule, factor)


def clip(schedule: Schedule, *, minimum: Number = 0.0, maximum: Number) -> Clip:
    """Clip: a schedule kept within limits.

    lr(t) = min(max(schedule(t), minimum), maximum).

    Args:
      schedule: gives the budget and the cycle ends.
      minimum: at least 0, and at most maximum.
      maximum: at least 0.
    Returns:
      int step of any shape -> float32 of that shape.
    Raises:
      ValueError: if concrete limits are below 0 or the wrong way round.
    Example:
      >>> limited = clip(linear(0.1, total_steps=10), minimum=0.02, maximum=0.05)
      >>> print(f"{limited(0):.3f} {limited(9):.3f}")
      0.050 0.020

    """
    check_schedule("schedule", schedule)
    check_number("minimum", minimum, at_least=0.0)
    check_number("maximum", maximum, at_least=0.0)
    return Clip(schedule, minimum, maximum)


def jumps(schedule: Schedule, *, larger_than: float = 0.1) -> list[Jump]:
    """Jumps: where the rate changes from one update to the next by more than a share of its largest value.

    |lr(t) - lr(t - 1)| > larger_than * max(lr).

    Args:
      schedule: with a concrete budget.
      larger_than: share of the largest rate; at least 0.
    Returns:
      the jumps in order, each with its step (the first update at the new rate) and both rates.
    Raises:
      ValueError: if larger_than is below 0.
    Example:
      >>> [(jump.step, round(jump.before, 3), round(jump.after, 3)) for jump in jumps(step(0.1, total_steps=100))]
      [(50, 0.1, 0.01)]
      >>> len(jumps(step(0.1, total_steps=100), larger_than=0.05)), len(jumps(rex(0.1, total_steps=100)))
      (2, 0)

    """
    check_schedule("schedule", schedule)
    check_number("larger_than", larger_than, at_least=0.0)
    table = schedule.table()
    steps = np.flatnonzero(np.abs(np.diff(table)) > larger_than * table.max()) + 1
    return [Jump(int(t), float(table[t - 1]), float(table[t])) for t in steps]


def sequence(
    segments: SequenceOf[Schedule],
    *,
    durations: SequenceOf[Number | str | Ratio | Rest] | None = None,
    total_steps: Number | None = None,
    steps_per_epoch: int | None = None,
    batch_size: int | None = None,
) -> Sequence:
    """Schedules one after the other; segment i runs over the half-open [start_i, start_i + duration_i).

    Args:
      segments: schedules; each sees the steps since its own start, and its duration replaces its own total_steps.
      durations: one per segment: steps (500, "500st"), epochs ("5ep") and examples ("50000ex") do not change with the
        budget, fractions (0.1, "10%") of total_steps scale with it and round down, "rest" takes what is left. Without
        it they must fill total_steps but for less than an update; what rounding down leaves the last fraction takes.
        By default the segments' own total_steps.
      total_steps: the whole budget in updates; by default the sum of the durations, if they are all steps.
      steps_per_epoch: updates in an epoch, where a duration is in epochs.
      batch_size: examples in an update, where a duration is in examples.
    Returns:
      int step of any shape -> float32 of that shape; constant from total_steps on.
    Raises:
      ValueError: if durations do not fit into total_steps or leave a part of it, or are not one per segment.
    Example:
      >>> warm = sequence([warmup(0.1, total_steps=5), rex(0.1, total_steps=95)])
      >>> print(f"{warm(0):.3f} {warm(5):.3f} {warm(100):.3f}")
      0.000 0.100 0.000

    Source:
      The half-open rule is this library's: a boundary belongs to the segment that begins there.
    """
    if not isinstance(segments, SequenceOf) or not all(isinstance(segment, Schedule) for segment in segments):
        raise ValueError(f"segments must be schedules, got {short(segments)}.")
    if durations is not None and (isinstance(durations, str) or not isinstance(durations, SequenceOf)):
        raise ValueError(f"durations must be a list, one per segment, got {short(durations)}.")
    given = durations if durations is not None else [segment.total_steps for segment in segments]
    sizes: dict[str, Any] = {"steps_per_epoch": steps_per_epoch, "batch_size": batch_size}
    parts: Any = tuple(duration(each, rest=True, **sizes) for each in given)
    if total_steps is None:
        if any(isinstance(d, Ratio | Rest) for d in parts):
            raise ValueError("total_steps must be given when a duration is a fraction or 'rest', got None.")
        total_steps = sum(parts)
    return _fitting(Sequence(tuple(segments), parts, total_steps))


def phases(parts: SequenceOf[tuple[str, Schedule, Any]], total_steps: Number) -> Sequence:
    """The sequence of parts with names, which are said where their durations do not fit: (name, schedule, duration)."""
    names, segments, lengths = zip(*parts, strict=True)
    durations: Any = tuple(duration(length, name=name, rest=True) for name, length in zip(names, lengths, strict=True))
    return _fitting(Sequence(segments, durations, total_steps), names)


def _fitting(made: Sequence, names: SequenceOf[str] = ()) -> Sequence:
    _check_durations(made.durations, made.total_steps, names)
    return fitted(made)
