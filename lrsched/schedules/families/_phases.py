"""Phases: values at boundaries and lines or half cosines between them, as the 1cycle codes cut their budgets.

Those codes round their boundaries down, up or not at all, and some end a step early. So a point in time is a whole
number of steps and a part of one, kept apart: what is left until a boundary is a difference of integers plus that part.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from lrsched.schedules.core import Schedule, check_rates
from lrsched.schedules.durations import in_steps
from lrsched.schedules.progress import Ratio, progress_at, sin_squared, times_fraction
from lrsched.schedules.sampling import EveryStep, Sampling
from lrsched.schedules.values import Number, check_number, is_concrete, namespace, real, static, value_class


class Point(NamedTuple):
    """whole + part steps since the start; 0 <= part < 1, and left = 1 - part, to full precision as well."""

    whole: Any
    part: Any
    left: Any


def until(now: Point, then: Point) -> Any:
    """Steps from `now` to `then`, in floating point: a sum without a minus where they are a step apart or more."""
    xp = namespace(then.whole)
    steps = (then.whole - now.whole).astype(then.part.dtype)
    return xp.where(steps >= 1, (steps - 1) + (then.part + now.left), steps + (then.part - now.part))


def whole(steps: Any) -> Point:
    """That many steps, an integer, since the start."""
    return Point(steps, real(steps, 0.0), real(steps, 1.0))


def point(total: Any, numerator: Any, denominator: Any, offset: int = 0, times: int = 1, rounding: int = 0) -> Point:
    """times * (total * numerator / denominator + offset), the product rounded down (-1), up (1) or not (0)."""
    xp = namespace(total)
    numerator, denominator = xp.asarray(numerator, total.dtype), xp.asarray(denominator, total.dtype)
    steps = times_fraction(total, numerator, denominator)
    rest = total * numerator - steps * denominator  # below the denominator, so right although the products wrap around
    if rounding:
        return whole(times * (steps + offset + ((rest > 0).astype(total.dtype) if rounding > 0 else 0)))
    steps, rest = times * (steps + offset) + times * rest // denominator, times * rest % denominator
    part, left, all_of_it = (x.astype(real(total, 0.0).dtype) for x in (rest, denominator - rest, denominator))
    return Point(steps, part / all_of_it, left / all_of_it)


def sampled(step: Any, total_steps: Number, sampling: Sampling) -> tuple[Any, Point]:
    """The budget as an integer of `step`'s kind, and when the schedule was last sampled."""
    now = progress_at(step, total_steps)
    total = namespace(step).asarray(now.total, step.dtype)
    return total, point(total, *sampling(now))


@value_class
class Boundary:
    """times * (part of the budget + offset), the part rounded down (-1), up (1) or not (0); or a number of steps."""

    part: Ratio | Number
    offset: int = static(default=0)
    times: int = static(default=1)
    rounding: int = static(default=0)

    def _check(self) -> None:
        for name, allowed in ("offset", (-1, 0)), ("times", (1, 2)), ("rounding", (-1, 0, 1)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {getattr(self, name)}.")

    def of(self, total: Any) -> Point:
        if isinstance(self.part, Ratio):
            return point(total, self.part.numerator, self.part.denominator, self.offset, self.times, self.rounding)
        return whole(self.times * in_steps(total, self.part))


@value_class
class Phases(Schedule):
    """scale * values[i] at boundary i (0, then `ends`); lines between, or half cosines. Never below scale * floor.

    A phase begins at its boundary even if the one before has not ended there: phases of no length are left out.
    """

    scale: Number
    total_steps: Number
    values: tuple[Number, ...]
    ends: tuple[Boundary, ...]
    sampling: Sampling = EveryStep()
    floor: Number = 0.0
    cosine: bool = static(default=False)

    def _check(self) -> None:
        check_rates(self, "scale", "floor")
        for value in self.values:
            check_number("values", value, at_least=0.0)
        if not self.ends or len(self.values) != len(self.ends) + 1:
            raise ValueError(f"values must be one more than the ends ({len(self.ends)}), got {len(self.values)}.")
        for kind in (True, False):
            parts = [end.part for end in self.ends if isinstance(end.part, Ratio) is kind and is_concrete(end.part)]
            if [float(part) for part in parts] != sorted(float(part) for part in parts):
                raise ValueError(f"ends must ascend, got {', '.join(f'{float(part):g}' for part in parts)}.")

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        total, now = sampled(step, self.total_steps, self.sampling)
        start = whole(xp.zeros_like(total))
        values = [real(step, value) for value in self.values]
        here = values[0]
        for end, (before, after) in zip(self.ends, itertools.pairwise(values), strict=True):
            stop = end.of(total)
            since, length = until(start, now), until(start, stop)
            some = xp.where(length > 0, length, xp.ones_like(length))
            done = xp.where(length > 0, xp.clip(since / some, 0.0, 1.0), xp.ones_like(since))
            left = xp.where(length > 0, xp.clip(until(now, stop) / some, 0.0, 1.0), xp.zeros_like(since))
            here = xp.where(since >= 0, self._eased(left) * before + self._eased(done) * after, here)
            start = stop
        return real(step, self.scale) * xp.maximum(here, real(step, self.floor))

    def _eased(self, share: Any) -> Any:
        return sin_squared(share) if self.cosine else share


@value_class
class Halving(Schedule):
    """From `first` to `second` and back in two half cycles, then half as far, then a quarter, and so on."""

    first: Number
    second: Number
    total_steps: Number
    half_cycle: Boundary
    sampling: Sampling = EveryStep()
    cosine: bool = static(default=False)

    def _check(self) -> None:
        check_rates(self, "first", "second")

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        total, now = sampled(step, self.total_steps, self.sampling)
        half = xp.maximum(self.half_cycle.of(total).whole, 1)
        cycle = now.whole // (2 * half)
        start = 2 * half * cycle
        up, down = until(whole(start), now), until(now, whole(start + 2 * half))
        share = xp.minimum(up, down) / half.astype(up.dtype)
        share = (sin_squared(share) if self.cosine else share) * xp.exp2(-cycle.astype(up.dtype))
        return real(step, self.first) * (1.0 - share) + real(step, self.second) * share
