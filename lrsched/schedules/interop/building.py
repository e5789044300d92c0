"""What the importers build their schedules of, from arguments already checked and lengths in whole steps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

from lrsched.schedules.combine import sequence
from lrsched.schedules.core import Schedule
from lrsched.schedules.entered import truncated
from lrsched.schedules.families.inverse import ExponentialDecay, exponential_decay
from lrsched.schedules.families.powers import logarithm
from lrsched.schedules.families.rising import growth, warmup
from lrsched.schedules.interop.arguments import known, listed, whole
from lrsched.schedules.values import Number, is_concrete


def warmed(init_value: Number, peak_value: Number, warmup_steps: Number, then: Schedule) -> Schedule:
    """`then` after a linear warmup of so many steps (0: without)."""
    if is_concrete(warmup_steps) and warmup_steps == 0:
        return then
    return sequence([warmup(peak_value, total_steps=warmup_steps, init_value=init_value), then])


def delayed(init_value: Number, steps: Number, then: Schedule) -> Schedule:
    """`then` after so many steps at a constant rate (0: without)."""
    if is_concrete(steps) and steps <= 0:
        return then
    return sequence([growth(init_value, total_steps=steps, profile="constant"), then])


def cut(schedule: Schedule, total_steps: Number) -> Schedule:
    """The schedule over a budget of its own: stopped early, or held for longer."""
    if is_concrete(total_steps) and is_concrete(schedule.total_steps) and total_steps == schedule.total_steps:
        return schedule
    return truncated(schedule, total_steps)


def exponential(
    first: Number, rate: Number, period: Number | Fraction, staircase: bool, *, total: Number, parts: int = 1
) -> Schedule:
    """first * rate**(t / period) over a budget in so many parts of a step; of a staircase `period` is in parts too."""
    if staircase or not isinstance(period, Fraction):
        period = period if staircase else period * parts
        return exponential_decay(
            first, total_steps=total, decay_rate=rate, transition_steps=period, staircase=staircase
        )
    log_rate = logarithm("decay_rate", rate) / float(period * parts)
    made = ExponentialDecay(first, total, log_rate, 1)
    made._check_budget(total)
    return made


def joined(
    name: str, schedules: Sequence[Schedule], places: str, boundaries: Sequence[int], total_steps: Number | None = None
) -> Schedule:
    """Schedules of this library, each from its boundary on until the next one; those of no step are left out.

    The last goes on for its own budget, or until total_steps.
    """
    ends = [known(places, whole(places, end)) for end in listed(places, boundaries)]
    if len(schedules) != len(ends) + 1:
        raise ValueError(f"{name} must be one more than {places} ({len(ends) + 1}), got {len(schedules)}.")
    if ends != sorted(ends):
        raise ValueError(f"{places} must ascend, got {', '.join(map(str, ends))}.")
    for schedule in schedules:
        if not isinstance(schedule, Schedule):
            raise ValueError(f"{name} must be schedules of this library, got {schedule!r}.")
    lengths = [end - start for start, end in itertools.pairwise([0, *ends])]
    pairs = zip(schedules[:-1], lengths, strict=True)
    last = schedules[-1] if total_steps is None else cut(schedules[-1], max(total_steps - sum(lengths), 1))
    one = sequence([*(truncated(schedule, steps) for schedule, steps in pairs if steps), last])
    return one if total_steps is None else cut(one, total_steps)
