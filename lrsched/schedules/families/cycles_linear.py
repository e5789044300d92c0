"""Cycles of straight lines: cyclical learning rates, Fast Geometric Ensembling's saw, SWA's way to its averages.

Lengths are given, and cycles counted, as in `cycles`; a length is a concrete number, every other may be traced.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from lrsched.schedules.core import Schedule, check_rates
from lrsched.schedules.documented import documented
from lrsched.schedules.durations import Duration, duration, in_steps
from lrsched.schedules.families import _cycles
from lrsched.schedules.families._cycles import Cycles, locate, parts_of_a_step
from lrsched.schedules.families.powers import check_largest, logarithm, power
from lrsched.schedules.families.subsampled import Subsampled
from lrsched.schedules.profiles import Triangle
from lrsched.schedules.progress import Progress, Ratio, clamp
from lrsched.schedules.values import (
    Number,
    check_number,
    check_steps,
    is_concrete,
    namespace,
    real,
    static,
    value_class,
)

CLR_MODES = ("triangular", "triangular2", "exp_range", "exp_range_text")


@value_class
class Triangles(Schedule):
    """low_value + amplitude * triangle; the amplitude (with `both_bounds`, all of it) decays by cycle and by update."""

    peak_value: Number
    total_steps: Number
    cycles: Cycles
    low_value: Number
    log_by_cycle: Number = 0.0
    log_by_step: Number = 0.0
    both_bounds: bool = static(default=False)

    def _check(self) -> None:
        check_rates(self, "peak_value", "low_value")
        self.cycles.check(self.total_steps)

    def _value(self, step: Any) -> Any:
        step, total = clamp(step, self.total_steps)
        index, here = locate(self.cycles.layout(total), step, total, repeats=self.cycles.repeats)
        share = Triangle()(here)
        factor = power(self.log_by_cycle, index) * power(self.log_by_step, step)
        peak, low = real(step, self.peak_value), real(step, self.low_value)
        if self.both_bounds:
            return (peak * share + low * (1.0 - share)) * factor
        return peak * (share * factor) + low * (1.0 - share * factor)

    def _check_budget(self, total_steps: int) -> None:
        self.cycles.check(total_steps)
        numbers = (self.peak_value, self.low_value, self.log_by_step)
        if all(map(is_concrete, numbers)) and self.log_by_step > 0:
            largest = max(self.peak_value, self.low_value)
            if largest > 0:
                check_largest("gamma", self.log_by_step, math.log(largest) + self.log_by_step * total_steps)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        return _cycles.ends(*self.cycles.layout(np.int64(self.total_steps)), int(self.total_steps))


@value_class
class Valleys(Schedule):
    """From the peak to low_value at the middle of each cycle and back."""

    peak_value: Number
    total_steps: Number
    cycles: Cycles
    low_value: Number

    def _check(self) -> None:
        check_rates(self, "peak_value", "low_value")
        self.cycles.check(self.total_steps)

    def _value(self, step: Any) -> Any:
        step, total = clamp(step, self.total_steps)
        _, here = locate(self.cycles.layout(total), step, total, repeats=self.cycles.repeats)
        share = Progress(abs(here.total - here.done - here.done), here.total).z
        return real(step, self.peak_value) * share + real(step, self.low_value) * (1.0 - share)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """The middles of the cycles, where the model is taken, and the end of the budget."""
        total = int(self.total_steps)
        cycles = _cycles.intervals(*self.cycles.layout(np.int64(total)), total)
        return (*(middle for start, n in cycles if (middle := start + (n + 1) // 2) < total), total)


@value_class
class Averaging(Schedule):
    """SWA: the peak for half of the way to `start`, linearly down until 9/10 of it, then constant at end_value."""

    peak_value: Number
    total_steps: Number
    start: Duration
    cycle: Duration
    end_value: Number

    def _check(self) -> None:
        check_rates(self, "peak_value", "end_value")
        duration(self.start, name="start")
        duration(self.cycle, name="cycle")

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        step, total = clamp(step, self.total_steps)
        start = xp.maximum(in_steps(total, self.start), 1)
        bottom, tenths = in_steps(start, Ratio(9, 10)), start % 10 * 9 % 10  # 9/10 of the way, exactly
        peak, end = real(step, self.peak_value), real(step, self.end_value)
        left = (bottom - xp.minimum(step, start)).astype(peak.dtype) + tenths.astype(peak.dtype) / 10
        share = xp.clip(left / (start.astype(peak.dtype) * 0.4), 0.0, 1.0)
        return peak * share + end * (1.0 - share)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """Where a model enters the average: `start`, every `cycle` from there, and the end of the budget."""
        total = np.int64(self.total_steps)
        start, cycle = (max(int(in_steps(total, length)), 1) for length in (self.start, self.cycle))
        return (*range(start, int(total), cycle), int(total))


@documented
def clr(
    peak_value: Number,
    *,
    total_steps: Number,
    mode: str = "triangular",
    initial_fraction: Number = 0.25,
    half_cycle: Number | str | Ratio | Fraction = 1 / 6,
    gamma: Number = 0.99994,
) -> Triangles | Subsampled:
    """Cyclical learning rates: linearly up and down between two bounds, again and again.

    lr(t) = low + (peak_value - low) * 2 * min(z, 1 - z) * a,   low = initial_fraction * peak_value, z the progress in
    cycle i; a = 1 (triangular), 1 / 2**i (triangular2), gamma**t (exp_range). exp_range_text multiplies low as well.

    Args:
      peak_value: the rate at the middle of the first cycle; at least 0.
      mode: "triangular", "triangular2", "exp_range" (every published code's: the lower bound stays), or
        "exp_range_text" (the paper's words: both bounds decline).
      initial_fraction: the lower bound over the peak; Smith recommends a third or a quarter.
      half_cycle: Smith's stepsize: steps, or a fraction of the budget. 1/6 makes three cycles, the fewest he advises.
        Steps that are no whole number ("2.5st", Fraction(5, 2)) are not rounded. It is structure: it cannot be traced.
      gamma: factor per update in the exp_range modes; above 0. It does not scale with the budget.
    Returns:
      lr(0) = low; lr(total_steps) = low (times gamma**total_steps in
      exp_range_text) if a cycle ends there, constant after.
    Raises:
      ValueError: if a number is outside what is allowed, or mode is unknown.
    Example:
      >>> halving = clr(0.006, total_steps=12000, mode="triangular2", initial_fraction=1 / 6, half_cycle=2000)
      >>> [round(float(halving(t)), 6) for t in (0, 1000, 2000, 4000, 6000, 10000)]
      [0.001, 0.0035, 0.006, 0.001, 0.0035, 0.00225]

    Source:
      Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv:1506.01186, section 3.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    check_number("initial_fraction", initial_fraction, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    if mode not in CLR_MODES:
        raise ValueError(f"mode must be one of {', '.join(CLR_MODES)}, got {mode!r}.")
    half: Any = duration(half_cycle, name="half_cycle", parts=True)
    whole = Ratio(2 * half.numerator, half.denominator) if isinstance(half, Ratio) else 2 * half
    every, lengths = parts_of_a_step([whole], total_steps)
    by_step: Any = logarithm("gamma", gamma)
    made = Triangles(
        peak_value,
        total_steps * every,
        _cycles.cycles("half_cycle", lengths),
        low_value=peak_value * initial_fraction,
        log_by_cycle=-math.log(2) if mode == "triangular2" else 0.0,
        log_by_step=by_step / every if mode.startswith("exp_range") else 0.0,
        both_bounds=mode == "exp_range_text",
    )
    if is_concrete(total_steps):
        made._check_budget(int(made.total_steps))
    return made if every == 1 else Subsampled(made, every)


@documented
def fge(
    peak_value: Number,
    *,
    total_steps: Number,
    cycle: Number | str | Ratio | Fraction = 2 / 9,
    end_fraction: Number = 0.01,
) -> Valleys | Subsampled:
    """Fast Geometric Ensembling: from the peak linearly down to the middle of each cycle, and up again.

    lr(t) = low + (peak_value - low) * abs(1 - 2 z),   low = end_fraction * peak_value, z the progress in the cycle.

    A model is taken in the middle of a cycle, where the rate is lowest: `cycle_ends` holds these middles (the update
    after it, where a cycle has an odd length) and the end of the budget.

    Args:
      peak_value: the paper's alpha_1, where each cycle begins; at least 0.
      cycle: length of a cycle: steps, or a fraction of the budget. 2/9 makes four and a half, so that the budget ends
        where the fifth model is taken. "2.5st" is not rounded. It is structure: it cannot be traced.
      end_fraction: the paper's alpha_2, over the peak.
    Returns:
      lr(0) = peak_value; lr(total_steps) is where the cycle has come
      to (low in its middle), constant after.
    Raises:
      ValueError: if a number is outside what is allowed.
    Example:
      >>> saw = fge(0.05, total_steps=10, cycle=4)
      >>> saw.cycle_ends, [round(float(saw(t)), 5) for t in (0, 1, 2, 3, 4)]
      ((2, 6, 10), [0.05, 0.02525, 0.0005, 0.02525, 0.05])

    Source:
      Garipov et al., "Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs", NeurIPS 2018, arXiv:1802.10026,
      and its code, which runs this from a model trained to about 4/5 of its budget.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    check_number("end_fraction", end_fraction, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    every, lengths = parts_of_a_step([duration(cycle, name="cycle", parts=True)], total_steps)
    made = _cycles.cycles("cycle", [cycle] if every == 1 else lengths)
    made.check(total_steps)
    valleys = Valleys(peak_value, total_steps * every, made, peak_value * end_fraction)
    return valleys if every == 1 else Subsampled(valleys, every)


@documented
def swa(
    peak_value: Number,
    *,
    total_steps: Number,
    start: Number | str | Ratio = 0.75,
    end_fraction: Number = 0.5,
    cycle: Number | str | Ratio = 0.05,
) -> Averaging:
    """Stochastic Weight Averaging: down to a rate that stays high, at which models are averaged.

    lr(t) = peak_value * (r + (1 - r) * clip((9/10 - t / s) / (4/10), 0, 1)),   r = end_fraction, s = start.

    Args:
      peak_value: rate until half of `start`; at least 0.
      start: where averaging starts: steps, or a fraction of the budget. The rate is constant from 9/10 of it on.
      end_fraction: the constant rate over the peak.
      cycle: updates from one averaged model to the next (an epoch in the source): steps, or a fraction of the budget.
    Returns:
      lr(0) = peak_value, lr(total_steps) = end_fraction * peak_value
      if start is at most total_steps, constant after. `cycle_ends` is where a model enters the average.
    Example:
      >>> averaged = swa(0.1, total_steps=225, start=161, cycle=32)   # in epochs, as the source counts
      >>> averaged.cycle_ends, [round(float(averaged(t)), 5) for t in (80, 100, 140, 161)]
      ((161, 193, 225), [0.1, 0.08486, 0.0538, 0.05])

    Source:
      Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018, arXiv:1803.05407,
      and its code, which sets the rate once an epoch.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    check_number("end_fraction", end_fraction, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    first, every = duration(start, name="start"), duration(cycle, name="cycle")
    return Averaging(peak_value, total_steps, first, every, peak_value * end_fraction)
