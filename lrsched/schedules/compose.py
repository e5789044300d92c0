"""Composition: warmup, and schedules one after the other within one budget."""

from __future__ import annotations

import math
from collections.abc import Sequence as SequenceOf
from typing import Any

import jax.numpy as jnp
import numpy as np

from lrsched.schedules.core import Schedule, between, check_rates, rebound
from lrsched.schedules.durations import Duration, Rest, duration, in_steps
from lrsched.schedules.progress import (
    Number,
    Ratio,
    check_number,
    check_steps,
    data,
    is_concrete,
    namespace,
    progress,
    short,
)
from lrsched.schedules.sampling import EveryStep, Sampling, given
from lrsched.schedules.shapes import Exponential, Linear, Profile


@data
class Growth(Schedule):
    """init_value + (peak_value - init_value) * profile(1 - t / total_steps): a decay walked backwards in time."""

    peak_value: Number
    total_steps: Number
    profile: Profile
    sampling: Sampling = EveryStep()
    init_value: Number = 0.0

    def _check(self) -> None:
        check_rates(self, "peak_value", "init_value")

    def _value(self, step: Any) -> Any:
        here = self.sampling(progress(step, self.total_steps)).reversed
        return between(step, self.profile, here, self.peak_value, self.init_value)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """None: a warmup ends no cycle."""
        return ()


@data
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
        if sum(isinstance(d, Rest) for d in self.durations) > 1:
            raise ValueError(
                "durations may hold 'rest' once (in words: one part without a duration), got it more often."
            )
        _check_durations(self.durations, self.total_steps)
        if is_concrete(self.total_steps):
            self._check_budget(int(self.total_steps))

    def _check_budget(self, total_steps: int) -> None:
        _check_durations(self.durations, total_steps)
        if all(map(is_concrete, self.durations)):
            for segment, length in zip(self.segments, self.lengths(np.int64(total_steps)), strict=True):
                if length:
                    segment._check_budget(int(length))

    def lengths(self, total_steps: Any) -> list[Any]:
        """Length of each segment in steps; they sum to `total_steps`."""
        xp = namespace(total_steps)
        lengths: list[Any] = [None if isinstance(d, Rest) else in_steps(total_steps, d) for d in self.durations]
        if None not in lengths:  # the last fraction takes what rounding down, or what lengths in steps, left over
            scaling = [i for i, d in enumerate(self.durations) if isinstance(d, Ratio)]
            if scaling:
                lengths[scaling[-1]] = None
        if None in lengths:
            rest = lengths.index(None)
            lengths[rest] = total_steps - sum((n for n in lengths if n is not None), start=xp.zeros_like(total_steps))
        return lengths

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        total = xp.asarray(self.total_steps, step.dtype)
        step = xp.clip(step, 0, total)
        start, value = xp.zeros_like(total), None
        for segment, length in zip(self.segments, self.lengths(total), strict=True):
            here = rebound(segment, length)._value(xp.maximum(step - start, 0))
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


def _check_durations(durations: SequenceOf[Duration], total_steps: Number) -> None:
    """Refuses durations that the budget cannot hold, or (with no part that scales) does not equal."""
    fixed = [d for d in durations if not isinstance(d, Ratio | Rest)]
    scaling = [d for d in durations if isinstance(d, Ratio)]
    if not all(map(is_concrete, [*durations, total_steps])):
        return
    needed = sum(int(d) for d in fixed) + sum(int(in_steps(np.int64(total_steps), d)) for d in scaling)
    exact = len(fixed) == len(durations)
    if len(scaling) == len(durations) and total_steps - needed >= len(scaling):  # more than rounding down leaves
        raise ValueError(f"durations must fill total_steps = {total_steps} or hold 'rest', got {needed} steps.")
    if needed > total_steps or (exact and needed != total_steps):
        relation = "sum to" if exact else "fit into"
        raise ValueError(f"durations must {relation} total_steps = {total_steps}, got {needed} steps.")


def warmup(
    peak_value: Number,
    *,
    total_steps: Number,
    init_value: Number = 0.0,
    sampling: Sampling | str | None = None,
    shape: str = "linear",
) -> Growth:
    """Warmup: rises by the same amount, or the same factor, at every update; the first segment of a `sequence`.

    lr(t) = init_value + (peak_value - init_value) * t / total_steps, or with shape="exponential"
    lr(t) = init_value * (peak_value / init_value)**(t / total_steps).

    Args:
      peak_value: the rate at total_steps; at least 0.
      total_steps: length of the warmup in updates; at least 1. May be a traced array.
      init_value: rate of the first update. 0 wastes that update: peak_value / total_steps does not.
      sampling: when the ramp is sampled; every update by default.
      shape: "linear", or "exponential" (a straight line where rates are drawn logarithmically), whose init_value and
        peak_value are above 0.
    Returns:
      int step of any shape -> float32 of that shape. lr(0) = init_value, lr(total_steps) = peak_value, constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed.
    Example:
      >>> print(f"{warmup(0.1, total_steps=100)(25):.4f}")
      0.0250
      >>> tenfold = warmup(0.1, total_steps=100, init_value=1e-4, shape="exponential")
      >>> print(f"{tenfold(0):.4f} {tenfold(33):.4f} {tenfold(100):.4f}")   # 3 decades: 1e-4 * 10**(3 * 0.33)
      0.0001 0.0010 0.1000

    Source:
      Goyal et al., arXiv:1706.02677, section 2.2.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    check_number("init_value", init_value, at_least=0.0)
    check_steps("total_steps", total_steps)
    if shape not in ("linear", "exponential"):
        raise ValueError(f"shape must be linear or exponential, got {short(shape)}.")
    if shape == "linear":
        return Growth(peak_value, total_steps, Linear(), given(sampling), init_value)
    for name, value in ("init_value", init_value), ("peak_value", peak_value):
        if is_concrete(value) and value == 0:
            raise ValueError(f"{name} must be above 0 for an exponential warmup, got {value}.")
    if is_concrete(init_value) and is_concrete(peak_value):
        gamma: Any = math.log(init_value) - math.log(peak_value)
    else:
        gamma = jnp.log(init_value) - jnp.log(peak_value)
    return Growth(peak_value, total_steps, Exponential(gamma), given(sampling))


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
        budget, fractions (0.1, "10%") of total_steps scale with it and round down, "rest" takes what is left. By
        default the segments' own total_steps.
      total_steps: the whole budget in updates; by default the sum of the durations, if they are all steps.
      steps_per_epoch: updates in an epoch, where a duration is in epochs.
      batch_size: examples in an update, where a duration is in examples.
    Returns:
      int step of any shape -> float32 of that shape; constant from total_steps on.
    Raises:
      ValueError: if durations do not fit into total_steps, or are not one per segment.
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
    return Sequence(tuple(segments), parts, total_steps)
