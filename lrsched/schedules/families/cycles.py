"""Cycles of cosines (SGDR, Snapshot Ensembles): rates that fall and jump up again; `cycle_ends` is where to snapshot.

Lengths of cycles are structure (concrete numbers, part of the compiled program); every other number, and the budget,
may be traced. A length is steps (500, "500st"; the same under every budget) or a fraction of the budget (0.1, "10%").
Boundaries round down, a cycle lasts at least one update, and the budget cuts the last one off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from lrsched.schedules.core import Schedule, check_rates, of_peak
from lrsched.schedules.documented import documented
from lrsched.schedules.durations import Duration, duration, in_steps
from lrsched.schedules.families import _cycles
from lrsched.schedules.families._cycles import Cycles, locate, parts_of_a_step
from lrsched.schedules.families.powers import check_largest, logarithm, power
from lrsched.schedules.families.subsampled import Subsampled
from lrsched.schedules.profiles import Cosine
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

SNAPSHOT_FORMS = ("paper", "zero")


@value_class
class Restarts(Schedule):
    """SGDR: in each cycle a warmup and half a cosine, from a peak that changes from cycle to cycle."""

    peak_value: Number
    total_steps: Number
    cycles: Cycles
    warmup: Duration = 0
    end_value: Number = 0.0
    log_decay: Number = 0.0

    def _check(self) -> None:
        check_rates(self, "peak_value", "end_value")
        duration(self.warmup, name="warmup")
        self.cycles.check(self.total_steps)

    def _check_budget(self, total_steps: int) -> None:
        self.cycles.check(total_steps)
        if not is_concrete(self.log_decay) or not is_concrete(self.peak_value) or self.log_decay <= 0:
            return
        if self.peak_value > 0:
            last = np.int64(total_steps - 1)
            index, _ = locate(self.cycles.layout(last + 1), last, last + 1, repeats=self.cycles.repeats)
            largest = math.log(self.peak_value) + self.log_decay * float(index)
            check_largest("restart_decay", self.log_decay, largest)

    def _share(self, here: Progress) -> Any:
        if is_concrete(self.warmup) and self.warmup == 0:
            return Cosine()(here)
        xp = namespace(here.done)
        rising = xp.minimum(in_steps(here.total, self.warmup), here.total - 1)  # at least one update of the cosine
        up = Progress(xp.minimum(here.done, rising), xp.maximum(rising, 1)).z
        down = Cosine()(Progress(xp.maximum(here.done - rising, 0), here.total - rising))
        return xp.where(here.done < rising, up, down)

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        step, total = clamp(step, self.total_steps)
        index, here = locate(self.cycles.layout(total), step, total, repeats=self.cycles.repeats)
        share = self._share(here)
        end = real(step, self.end_value)
        first = real(step, self.peak_value)
        peak = xp.maximum(first * power(self.log_decay, index), xp.minimum(first, end))
        return peak * share + end * (1.0 - share)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        return _cycles.ends(*self.cycles.layout(np.int64(self.total_steps)), int(self.total_steps))


@value_class
class Snapshots(Schedule):
    """Equal cosines of ceil(total_steps / count) updates; `shift` = 1 evaluates each one update later."""

    peak_value: Number
    total_steps: Number
    count: Number
    shift: int = static(default=0)

    def _check(self) -> None:
        check_rates(self, "peak_value")
        check_steps("count", self.count)
        if self.shift not in (0, 1):
            raise ValueError(f"shift must be 0 or 1, got {self.shift}.")

    def _layout(self, total: Any) -> tuple[Any, Any]:
        length = (total - 1) // in_steps(total, self.count) + 1
        xp = namespace(length)
        return xp.zeros(1, total.dtype), xp.reshape(length, (1,))

    def _value(self, step: Any) -> Any:
        step, total = clamp(step, self.total_steps)
        _, here = locate(self._layout(total), step, total)
        done = namespace(step).minimum(here.done + self.shift, here.total)
        return real(step, self.peak_value) * Cosine()(Progress(done, here.total))

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        return _cycles.ends(*self._layout(np.int64(self.total_steps)), int(self.total_steps))


@documented
def sgdr(
    peak_value: Number,
    *,
    total_steps: Number,
    first_cycle: Number | str | Ratio | Fraction = 1 / 7,
    cycle_mult: Number | Fraction = 2,
    restart_decay: Number = 1.0,
    warmup: Number | str | Ratio | Fraction = 0,
    cycle_lengths: Sequence[Number | str | Ratio | Fraction] | None = None,
    end_value: Number = 0.0,
) -> Restarts | Subsampled:
    """SGDR: cosines that restart, each cycle `cycle_mult` times as long as the one before.

    lr(t) = end_value + (peak_i - end_value) * (1 + cos(pi t_cur / t_i)) / 2,   peak_i = peak_value * restart_decay**i,
    where t_cur counts the updates since cycle i began and t_i is its length: cycle i ends at
    floor(first_cycle * (1 + cycle_mult + ... + cycle_mult**i)), in exact arithmetic.

    Args:
      peak_value: rate of the first update of the first cycle; at least 0.
      first_cycle: the paper's T_0: steps, or a fraction of the budget. 1/7 with cycle_mult 2 makes three whole cycles.
        Steps that are no whole number ("2.5st", Fraction(5, 2)) are not rounded: a cycle may end between two updates.
      cycle_mult: the paper's T_mult: any rational above 0; a float means the nearest of denominator up to 65,536.
      restart_decay: factor on the peak from one cycle to the next; a peak above end_value does not fall below it.
      warmup: at the start of every cycle, linear from end_value: steps, or a fraction of that cycle's length. The
        cosine then takes what is left, at least one update.
      cycle_lengths: the lengths one by one, in place of first_cycle and cycle_mult; the last repeats. All three, the
        lengths of the cycles, are structure: they cannot be traced.
      end_value: the floor, or a percentage of the peak ("1%"); a cycle's last update is applied just above it.
    Returns:
      lr(0) = peak_value, or end_value with a warmup;
      lr(total_steps) = end_value if a cycle ends there (else what the cut one has come to), constant after.
    Raises:
      ValueError: if a number is outside what is allowed, or cycles that shrink end before the budget.
    Example:
      >>> restarts = sgdr(0.05, total_steps=150, first_cycle=10)
      >>> restarts.cycle_ends, [round(float(restarts(t)), 4) for t in (0, 5, 10, 20, 70)]
      ((10, 30, 70, 150), [0.05, 0.025, 0.05, 0.025, 0.05])

    Source:
      Loshchilov, Hutter, "SGDR", ICLR 2017, arXiv:1608.03983, equation 5. The paper's text lets t_cur reach t_i before
      a restart; here, as in the codes, a cycle is half open.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    end_value = of_peak("end_value", end_value, peak_value)
    check_number("end_value", end_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    name, given = ("first_cycle", first_cycle) if cycle_lengths is None else ("cycle_lengths", cycle_lengths)
    lengths = given if isinstance(given, tuple | list) else [given]
    durations = [
        duration(warmup, name="warmup", parts=True),
        *(duration(each, name=name, parts=True) for each in lengths),
    ]
    every, (warm, *parts) = parts_of_a_step(durations, total_steps)
    made = _cycles.cycles(name, lengths if every == 1 else parts, cycle_mult if cycle_lengths is None else 1)
    log_decay = logarithm("restart_decay", restart_decay)
    restarts = Restarts(peak_value, total_steps * every, made, warm, end_value, log_decay)
    if is_concrete(total_steps):
        restarts._check_budget(int(restarts.total_steps))
    return restarts if every == 1 else Subsampled(restarts, every)


@documented
def snapshot_cosine(peak_value: Number, *, total_steps: Number, cycles: Number = 5, form: str = "paper") -> Snapshots:
    """Snapshot cosine: equal cosines that restart, one snapshot at the end of each.

    lr(t) = peak_value * (1 + cos(pi (t mod c) / c)) / 2,   c = ceil(total_steps / cycles).

    Args:
      peak_value: the rate at each restart; at least 0.
      cycles: the paper's M; at least 1. Where M does not divide the budget, c is rounded up, so the last cycle is cut
        (and of a budget of few updates some cycles do not begin at all).
      form: "paper" starts each cycle at peak_value and ends it above 0; "zero", the published code's, is one update
        ahead: it starts just below peak_value, and the last update of each whole cycle has rate 0.
    Returns:
      lr(0) = peak_value ("paper"); lr(total_steps) = 0 if cycles
      divides total_steps, constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or form is unknown.
    Example:
      >>> snapshots = snapshot_cosine(0.2, total_steps=1000)
      >>> snapshots.cycle_ends, f"{snapshots(100):.4f} {snapshots(200):.4f}"
      ((200, 400, 600, 800, 1000), '0.1000 0.2000')

    Source:
      Huang et al., "Snapshot Ensembles", ICLR 2017, arXiv:1704.00109, equation 2 (its t counts from 1). Where cycles do
      not divide the epochs the published code takes the last cycle's phase from another length; this does not.
    """
    check_steps("cycles", cycles)
    if form not in SNAPSHOT_FORMS:
        raise ValueError(f"form must be one of {', '.join(SNAPSHOT_FORMS)}, got {form!r}.")
    return Snapshots(peak_value, total_steps, cycles, int(form == "zero"))
