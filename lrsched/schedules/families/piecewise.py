"""Piecewise schedules: steps down, constants, and interpolation between given points."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrsched.schedules import profiles
from lrsched.schedules.core import Decay, Schedule, decay, fitted
from lrsched.schedules.documented import documented
from lrsched.schedules.durations import Duration, duration, in_steps
from lrsched.schedules.profiles import Profile
from lrsched.schedules.progress import clamp, progress_at
from lrsched.schedules.sampling import Sampling
from lrsched.schedules.values import (
    Number,
    as_tuple,
    check_number,
    is_concrete,
    namespace,
    real,
    value_class,
)


@value_class
class PiecewiseConstant(Schedule):
    """peak_value * values[k], k the number of boundaries that are <= t."""

    peak_value: Number
    total_steps: Number
    boundaries: tuple[Duration, ...]
    values: tuple[Number, ...]

    def _check(self) -> None:
        _points(self.peak_value, self.boundaries, self.values)

    def _check_budget(self, total_steps: int) -> None:
        _check_ascent(self.boundaries, total_steps)

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        t, total = clamp(step, self.total_steps)
        share = xp.full(step.shape, real(step, self.values[0]))
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            share = xp.where(t >= in_steps(total, boundary), real(step, value), share)
        return real(step, self.peak_value) * share


@value_class
class PiecewiseInterpolate(Schedule):
    """peak_value times values[k] at boundary k (the first at 0), following `profile` from one to the next."""

    peak_value: Number
    total_steps: Number
    boundaries: tuple[Duration, ...]
    values: tuple[Number, ...]
    profile: Profile

    def _check(self) -> None:
        _points(self.peak_value, self.boundaries, self.values)

    def _check_budget(self, total_steps: int) -> None:
        _check_ascent(self.boundaries, total_steps)

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        t, total = clamp(step, self.total_steps)
        start, share = xp.zeros_like(total), xp.full(step.shape, real(step, self.values[0]))
        for boundary, (before, after) in zip(self.boundaries, itertools.pairwise(self.values), strict=True):
            end = xp.maximum(in_steps(total, boundary), start)
            p = progress_at(t - start, end - start)
            down, up = self.profile(p), self.profile.complement(p)
            here = xp.where(end > start, real(step, before) * down + real(step, after) * up, real(step, after))
            share = xp.where(t >= start, here, share)
            start = end
        return real(step, self.peak_value) * share


def _points(peak_value: Number, boundaries: tuple[Any, ...], values: tuple[Number, ...]) -> tuple[Any, ...]:
    """The boundaries as positions, checked with all they belong to but the budget."""
    check_number("peak_value", peak_value, at_least=0.0)
    for value in values:
        check_number("values", value, at_least=0.0)
    if len(values) != len(boundaries) + 1:
        raise ValueError(f"values must be one more than the boundaries ({len(boundaries) + 1}), got {len(values)}.")
    return tuple(duration(boundary, name="boundaries") for boundary in boundaries)


def _check_ascent(places: tuple[Duration, ...], total_steps: int) -> None:
    """Raises ValueError unless concrete boundaries ascend in this budget."""
    if all(map(is_concrete, places)):
        steps = [int(in_steps(np.int64(total_steps), place)) for place in places]
        if steps != sorted(steps):
            raise ValueError(f"boundaries must ascend, got steps {', '.join(map(str, steps))}.")


@documented
def step(
    peak_value: Number,
    *,
    total_steps: Number,
    fractions: Number | Sequence[Number] = (0.5, 0.75),
    factor: Number = 0.1,
    sampling: Sampling | str | None = None,
) -> Decay:
    """Step: multiplied by a factor at given fractions of the budget.

    lr(t) = peak_value * factor**k, k the number of fractions f with t / total_steps >= f.

    Args:
      fractions: where the rate falls, each in [0, 1]; the drop is at update ceil(f * total_steps).
      factor: at least 0.
    Returns:
      lr(0) = peak_value, lr(total_steps) = peak_value * factor**n for
      n fractions.
    Example:
      >>> halving = step(0.1, total_steps=100)
      >>> print(f"{halving(49):.4f} {halving(50):.4f} {halving(99):.4f}")
      0.1000 0.0100 0.0010

    Source:
      Chen, Wolfe, Kyrillidis, arXiv:2107.04197, section 4.1; He et al., arXiv:1512.03385.
    """
    return decay(peak_value, profile=profiles.step(fractions, factor), total_steps=total_steps, sampling=sampling)


@documented
def multi_step(
    peak_value: Number,
    *,
    total_steps: Number,
    boundaries: Number | str | Sequence[Number | str] = (0.5, 0.75),
    factor: Number | Sequence[Number] = 0.1,
) -> PiecewiseConstant:
    """Multi-step: multiplied by a factor at each boundary, which may be a number of steps.

    lr(t) = peak_value * product of the factors whose boundary is <= t.

    Args:
      boundaries: ascending; each in steps (32000, "32000st") or as a fraction of the budget (0.5, "50%"), rounded down
        (`step` rounds up).
      factor: one for all boundaries or one each; at least 0.
    Returns:
      lr(0) = peak_value unless a boundary is there, as of a budget of
      one update; constant from total_steps on.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or factors are not one per boundary.
    Example:
      >>> resnet = multi_step(0.1, total_steps=64_000, boundaries=(32_000, 48_000))
      >>> print(f"{resnet(31_999):.4f} {resnet(32_000):.4f} {resnet(48_000):.4f}")
      0.1000 0.0100 0.0010

    Source:
      He et al., arXiv:1512.03385, section 4.2; PyTorch's MultiStepLR.
    """
    places, factors = as_tuple(boundaries), as_tuple(factor)
    if not isinstance(factor, tuple | list) and len(factors) == 1:
        factors *= len(places)
    if len(factors) != len(places):
        raise ValueError(f"factor must be one, or one per boundary ({len(places)}), got {len(factors)}.")
    for value in factors:
        check_number("factor", value, at_least=0.0)
    values = tuple(itertools.accumulate(factors, lambda product, value: product * value, initial=1.0))
    return fitted(PiecewiseConstant(peak_value, total_steps, _points(peak_value, places, values), values))


@documented
def piecewise_constant(
    peak_value: Number,
    *,
    total_steps: Number,
    boundaries: Number | str | Sequence[Number | str] = (0.5, 0.75),
    values: Sequence[Number] = (1.0, 0.1, 0.01),
) -> PiecewiseConstant:
    """Piecewise constant: one rate from each boundary to the next.

    lr(t) = peak_value * values[k], k the number of boundaries that are <= t.

    Args:
      peak_value: what a value of 1 stands for; at least 0.
      boundaries: ascending; each in steps (500, "500st") or as a fraction of the budget (0.5, "50%"), rounded down.
      values: multiples of peak_value, one more than boundaries; at least 0.
    Returns:
      lr(0) = peak_value * values[0], constant from total_steps on.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or the values are not one more than the boundaries.
    Example:
      >>> schedule = piecewise_constant(0.1, total_steps=100, boundaries=(10, "50%"), values=(0.1, 1.0, 0.5))
      >>> print(f"{schedule(9):.3f} {schedule(10):.3f} {schedule(50):.3f}")
      0.010 0.100 0.050

    Source:
      The definition of optax.piecewise_constant_schedule; Keras's PiecewiseConstantDecay changes one step later.
    """
    levels = as_tuple(values)
    places = _points(peak_value, as_tuple(boundaries), levels)
    return fitted(PiecewiseConstant(peak_value, total_steps, places, levels))


@documented
def piecewise_interpolate(
    peak_value: Number,
    *,
    total_steps: Number,
    boundaries: Number | str | Sequence[Number | str] = (0.25, 1.0),
    values: Sequence[Number] = (0.1, 1.0, 0.0),
    interpolation: str = "linear",
) -> PiecewiseInterpolate:
    """Piecewise interpolated: through given points, by straight lines or by halves of a cosine.

    lr(t) = peak_value * (values[k] * f(x) + values[k + 1] * (1 - f(x))),   x = (t - b[k]) / (b[k + 1] - b[k]) between
    b[k] <= t < b[k + 1], b = (0, *boundaries), f(x) = 1 - x or (1 + cos(pi x)) / 2; the last value after the last one.

    Args:
      peak_value: what a value of 1 stands for; at least 0.
      boundaries: ascending; each in steps (500, "500st") or as a fraction of the budget (0.5, "50%"), rounded down. Two
        at the same step make a jump.
      values: multiples of peak_value, the first at step 0 and one at each boundary; at least 0.
      interpolation: "linear" or "cosine".
    Returns:
      lr(0) = peak_value * values[0], constant from total_steps on.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or the values are not one more than the boundaries.
    Example:
      >>> schedule = piecewise_interpolate(1.0, total_steps=100)
      >>> print(f"{schedule(0):.2f} {schedule(25):.2f} {schedule(40):.2f} {schedule(100):.2f}")
      0.10 1.00 0.80 0.00

    Source:
      The definition of optax.piecewise_interpolate_schedule.
    """
    if interpolation not in ("linear", "cosine"):
        raise ValueError(f"interpolation must be one of linear, cosine, got {interpolation!r}.")
    levels = as_tuple(values)
    places = _points(peak_value, as_tuple(boundaries), levels)
    return fitted(PiecewiseInterpolate(peak_value, total_steps, places, levels, profiles.named(interpolation)))
