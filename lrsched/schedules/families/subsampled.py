"""Lengths that are no whole number of steps: a schedule made on a finer clock, of which every n-th value is used.

A period of 2.5 steps is one of 5 half steps. So no schedule has to know of fractional lengths, and its arithmetic stays
that of integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Self

from lrsched.schedules.core import Schedule, rebind
from lrsched.schedules.values import LARGEST_STEP, Number, check_steps, is_concrete, namespace, static, value_class

FAR_OFF = 1e-3  # of a step


@value_class
class Subsampled(Schedule):
    """schedule(every * t): its own budget is in parts of a step, `every` of them to the step."""

    schedule: Schedule
    every: int = static()

    def _check(self) -> None:
        check_steps("every", self.every, at_least=2)
        check_parts(self.total_steps, self.every)

    @property
    def total_steps(self) -> Number:
        return -(-self.schedule.total_steps // self.every)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """The updates completed when a cycle of the schedule has ended, which may be between two of them."""
        return tuple(dict.fromkeys(-(-end // self.every) for end in self.schedule.cycle_ends))

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        total = xp.asarray(self.total_steps, step.dtype)
        return self.schedule._value(xp.clip(step, 0, total) * self.every)

    def _parts(self, total_steps: Any) -> Any:
        """The inner budget: what its last step lacks now it lacks then."""
        return total_steps * self.every - (self.total_steps * self.every - self.schedule.total_steps)

    def _check_budget(self, total_steps: int) -> None:
        check_parts(total_steps, self.every)
        self.schedule._check_budget(self._parts(total_steps))

    def _rebind(self, total_steps: Any) -> Self:
        return type(self)(rebind(self.schedule, self._parts(total_steps)), self.every)


def check_parts(total_steps: Number, every: int) -> None:
    """Raises ValueError if the parts of a concrete budget are more than 32 bits hold."""
    longest = LARGEST_STEP // every - 1
    if is_concrete(total_steps) and total_steps > longest:
        raise ValueError(
            f"total_steps must be at most {longest} with lengths in parts of 1/{every} step, got {total_steps}."
        )


def in_parts(
    build: Callable[..., Schedule],
    *lengths: Number | Fraction,
    budget: Number | None = None,
    ends: Sequence[Fraction] = (),
) -> Schedule:
    """build(*lengths) if all are whole; else the schedule that it builds of them in parts of a step, subsampled.

    Args:
      build: makes a schedule from lengths in steps; the first may be its budget.
      lengths: whole numbers (they may be traced, if all are whole) and Fractions, above or equal to 0.
      budget: the longest that the schedule is; the sum of the lengths by default.
      ends: positions that must be at a part of a step as well.
    Returns:
      a schedule. Lengths of which no 32 bits hold a common denominator are rounded to the finest parts that fit.
    """
    if not any(isinstance(length, Fraction) for length in (*lengths, *ends)):
        return build(*lengths)
    exact = [Fraction(length) for length in lengths]
    places = [*exact, *ends]
    most = LARGEST_STEP // (math.ceil(sum(exact) if budget is None else budget) + 1)
    every = math.lcm(*(length.denominator for length in places))
    if every > most:
        broken = [length for length in places if length.denominator > 1]
        every = broken[0].limit_denominator(max(most, 1)).denominator if len(broken) == 1 else most
    span = max(exact) if budget is None else budget
    for i, length in enumerate(places):  # a period is repeated, and so is what it is rounded by
        times = max(1, span / length) if length and i < len(exact) else 1
        if abs(Fraction(round(length * every), every) - length) * times > FAR_OFF:
            raise ValueError(f"lengths must be in parts of a step that 32 bits hold, got {float(length)!r} steps.")
    return Subsampled(build(*(round(length * every) for length in exact)), every)
