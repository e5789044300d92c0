"""Rates that depend on the updates made, not on how many are still to come: anytime, power, and hyperbolic curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrsched.schedules import profiles
from lrsched.schedules.combine import Product, phases
from lrsched.schedules.core import Schedule, check_rates, decay, of_peak
from lrsched.schedules.documented import documented
from lrsched.schedules.durations import Duration, duration, in_steps, read
from lrsched.schedules.families import rising
from lrsched.schedules.families.inverse import InverseSqrt, rsqrt
from lrsched.schedules.families.powers import logarithm
from lrsched.schedules.progress import clamp
from lrsched.schedules.values import (
    Number,
    check_choice,
    check_number,
    check_steps,
    is_concrete,
    namespace,
    real,
    short,
    value_class,
)

POWER_COOLDOWNS = ("linear", "one_minus_sqrt", "cosine", "exponential", "square")


@value_class
class Hyperbolic(Schedule):
    """peak_value - (peak_value - end_value) * (f(0) - f(t)), f a branch of a hyperbola."""

    peak_value: Number
    total_steps: Number
    end_value: Number = 0.0
    upper_steps: Number = 0  # the upper bound; 0: it is in budgets
    upper_budgets: Number = 1.25

    def _check(self) -> None:
        check_rates(self, "peak_value", "end_value")
        _check_upper(self, self.total_steps)

    def _value(self, step: Any) -> Any:
        left, fallen = _curve(step, self)
        return real(step, self.peak_value) * left + real(step, self.end_value) * fallen

    def _check_budget(self, total_steps: int) -> None:
        _check_upper(self, total_steps)


@value_class
class ExpHyperbolic(Schedule):
    """peak_value * exp(log_end * (f(0) - f(t))): the same curve where rates are drawn logarithmically."""

    peak_value: Number
    total_steps: Number
    log_end: Number
    upper_steps: Number = 0
    upper_budgets: Number = 1.25

    def _check(self) -> None:
        check_rates(self, "peak_value")
        _check_upper(self, self.total_steps)

    def _value(self, step: Any) -> Any:
        _, fallen = _curve(step, self)
        return real(step, self.peak_value) * namespace(step).exp(real(step, self.log_end) * fallen)

    def _check_budget(self, total_steps: int) -> None:
        _check_upper(self, total_steps)


def _check_upper(schedule: Hyperbolic | ExpHyperbolic, total_steps: Number) -> None:
    """Raises ValueError if a concrete upper bound is below the budget."""
    upper = schedule.upper_steps
    check_steps("upper_bound", upper, at_least=0)
    check_number("upper_bound", schedule.upper_budgets, at_least=1.0)
    if is_concrete(upper) and is_concrete(total_steps) and 0 < upper < total_steps:
        raise ValueError(f"upper_bound must be at least total_steps = {total_steps}, got {upper}.")


def _curve(step: Any, schedule: Hyperbolic | ExpHyperbolic) -> tuple[Any, Any]:
    """(1 - f(0) + f(t), f(0) - f(t)), neither as a difference of what is nearly equal.

    With r = (T - t) / U and b = 1 - T / U: f(t)**2 = r * (r + 2 b), and f(0)**2 - f(t)**2 = t / U * (1 + b + r).
    """
    xp = namespace(step)
    t, total = clamp(step, schedule.total_steps)
    steps, budgets = xp.asarray(schedule.upper_steps, step.dtype), real(step, schedule.upper_budgets)
    wide = xp.where(steps > 0, real(step, steps), real(step, total) * budgets)
    beyond = xp.where(steps > 0, real(step, xp.maximum(steps - total, 0)) / wide, (budgets - 1.0) / budgets)
    done, left = real(step, t) / wide, real(step, total - t) / wide
    square = left * (left + 2.0 * beyond)
    some = square > 0  # the root of 0 has no gradient
    now = xp.where(some, xp.sqrt(xp.where(some, square, xp.ones_like(square))), xp.zeros_like(square))
    start = xp.sqrt(real(step, total) / wide * (1.0 + beyond))
    return beyond * beyond / (1.0 + start) + now, done * (1.0 + beyond + left) / (start + now)


@value_class
class PowerLaw(Schedule):
    """min(peak_value, amplitude * t**exponent), held until `first` and from `last` steps before the end on."""

    peak_value: Number
    total_steps: Number
    amplitude: Number
    exponent: Number
    first: Duration = 0
    last: Duration = 0

    def _check(self) -> None:
        check_rates(self, "peak_value", "amplitude")
        for name in ("first", "last"):
            duration(getattr(self, name), name=name)
        if is_concrete(self.exponent) and self.exponent > 0:
            raise ValueError(f"exponent must be at most 0, got {self.exponent}.")

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        t, total = clamp(step, self.total_steps)
        t = xp.minimum(xp.maximum(t, in_steps(total, self.first)), total - in_steps(total, self.last))
        some = real(step, xp.maximum(t, 1))
        value = real(step, self.amplitude) * some ** real(step, self.exponent)
        peak = real(step, self.peak_value)
        unbounded = xp.logical_and(t == 0, real(step, self.exponent) < 0)  # 0 to that power
        unbounded = xp.logical_and(unbounded, real(step, self.amplitude) > 0)
        return xp.where(unbounded, peak, xp.minimum(peak, value))


@documented
def anytime(
    peak_value: Number, *, total_steps: Number, warmup: Number | str = 0, timescale: Number | str = 1000
) -> InverseSqrt:
    """Anytime 1/sqrt: a rate that knows no end, for weights that are averaged as the run goes on.

    lr(t) = peak_value * t / W for t < W, then peak_value * sqrt(a / (t - W + a)),   W = warmup, a = timescale.

    It is `rsqrt` without a cooldown. With lengths in steps a longer budget begins with the rates of the shorter one.

    Args:
      peak_value: the rate at the end of the warmup; at least 0.
      total_steps: budget in updates; it changes nothing before its end if the lengths are in steps.
      warmup: steps (500, "500st") or a fraction of the budget (0.1, "10%"), rounded down.
      timescale: likewise, at least 1: after three of them the rate has halved. The paper tunes it.
    Returns:
      lr(0) = 0 with a warmup, else peak_value;
      lr(total_steps) = peak_value * sqrt(a / (total_steps - W + a)), constant after.
    Example:
      >>> schedule = anytime(1.0, total_steps=40_000, warmup=1000)
      >>> print(f"{schedule(500):.2f} {schedule(1000):.2f} {schedule(4000):.2f} {schedule(9000):.4f}")
      0.50 1.00 0.50 0.3333

    Source:
      Meterez, Nair, Morwani, Pehlevan, Kakade, "Anytime Pretraining", arXiv:2602.03702, and its code, which counts t
      from the end of the warmup.
    """
    return rsqrt(peak_value, total_steps=total_steps, warmup=warmup, timescale=timescale)


def _above_zero(name: str, value: Number) -> Any:
    """A number above 0, as a float where it is concrete."""
    if not is_concrete(value):
        return value
    check_number(name, value, at_least=0.0)
    if value == 0:
        raise ValueError(f"{name} must be above 0, got {short(value)}.")
    return float(value)


@documented
def power(
    peak_value: Number,
    *,
    total_steps: Number,
    amplitude: Number = 4.0,
    exponent: Number = -0.51,
    batch_size: Number = 1024,
    sequence_length: Number = 4096,
    warmup: Number | str = 0.01,
    cooldown: Number | str = 0.1,
    shape: str = "linear",
) -> Product:
    """Power: a power of the tokens seen, under a cap, with a warmup and a cooldown.

    lr(t) = t / W * g(W) for t < W; g(t) until T - D; then g(T - D) * shape((t - (T - D)) / D), where
    g(t) = min(peak_value, amplitude * B * (t * B * L)**exponent),
    T = total_steps, W = warmup, D = cooldown, B = batch_size, L = sequence_length.

    Args:
      peak_value: the cap, the paper's eta_max (0.02); at least 0.
      amplitude: the paper's a; at least 0.
      exponent: the paper's b; at most 0.
      batch_size: sequences in an update; above 0.
      sequence_length: tokens in a sequence; above 0.
      warmup: steps (500, "500st") or a fraction of the budget (0.05, "5%"), rounded down.
      cooldown: likewise.
      shape: "linear", "one_minus_sqrt", "cosine", "exponential" (to 5 %) or "square". The paper says exponentially to 0
        and gives no constant.
    Returns:
      lr(0) = 0 if the warmup has an update, else peak_value (g(0) where exponent or amplitude is 0);
      lr(total_steps) = 0 if the cooldown has one (exponential: 0.0498 g(T - D)), constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or the phases do not fit into total_steps.
    Example:
      >>> schedule = power(0.02, total_steps=300_000, warmup=250, cooldown="10%")
      >>> print(f"{schedule(125):.4f} {schedule(250):.4f} {schedule(100_000):.6f}")   # 4096 * (1e5 * 2**22)**-0.51
      0.0100 0.0200 0.004840

    Source:
      Shen et al., "Power Scheduler", arXiv:2408.13359, equations 7 and 8 (a = 4, b = -0.51).
    """
    check_number("amplitude", amplitude, at_least=0.0)
    check_number("exponent", exponent)  # here too: the power below may be beyond any number
    if is_concrete(exponent) and exponent > 0:
        raise ValueError(f"exponent must be at most 0, got {exponent}.")
    size, tokens = _above_zero("batch_size", batch_size), _above_zero("sequence_length", sequence_length)
    first, last = duration(warmup, name="warmup"), duration(cooldown, name="cooldown")
    law = PowerLaw(peak_value, total_steps, amplitude * size * (size * tokens) ** exponent, exponent, first, last)
    falling = profiles.named(check_choice("shape", shape, POWER_COOLDOWNS))
    parts = [
        ("warmup", rising.warmup(1.0, total_steps=1), first),
        ("hold", rising.hold(1.0), "rest"),
        ("cooldown", decay(1.0, profile=falling, total_steps=1), last),
    ]
    return Product(phases(parts, total_steps), law)


def _upper(upper_bound: Number | str) -> dict[str, Any]:
    """The two fields of an upper bound, which is in steps or in budgets."""
    length = read(upper_bound)
    if length is not None and length.unit == "%":
        return {"upper_budgets": length.number / 100}
    if not isinstance(upper_bound, str):
        kind = upper_bound.dtype if hasattr(upper_bound, "dtype") else np.asarray(upper_bound).dtype
        if np.issubdtype(kind, np.floating):
            return {"upper_budgets": upper_bound}
    return {"upper_steps": duration(upper_bound, name="upper_bound", above_zero=True)}


@documented
def hyperbolic(
    peak_value: Number, *, total_steps: Number, upper_bound: Number | str = 1.25, end_value: Number = 0.0
) -> Hyperbolic:
    """HyperbolicLR: begins to fall in the same way under every budget, and the sooner the end the steeper.

    lr(t) = peak_value + (peak_value - end_value) * (f(t) - f(0)),
    f(t) = sqrt((T - t) / U * (2 - (T + t) / U)),   T = total_steps, U = upper_bound.

    Args:
      upper_bound: the longest budget one has in mind, in steps (1000, "1000st"), so that every budget begins alike; or
        that many budgets (1.25, "125%"). At least total_steps; with U = T the curve is the line.
      end_value: the paper's infimum, which is reached only if U = T; at least 0, or a percentage of the peak ("1%").
    Returns:
      lr(0) = peak_value; lr(total_steps) = peak_value - (peak_value -
      end_value) * f(0), which is end_value if U = T; constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or upper_bound is below total_steps.
    Example:
      >>> print(f"{hyperbolic(1.0, total_steps=10, upper_bound=20)(6):.4f}")   # 1 + sqrt(0.2 * 1.2) - sqrt(0.5 * 1.5)
      0.6239

    Source:
      Kim, "HyperbolicLR", arXiv:2407.15200, and its code (which steps once an epoch).
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    end = of_peak("end_value", end_value, peak_value)
    return Hyperbolic(peak_value, total_steps, end, **_upper(upper_bound))


@documented
def exp_hyperbolic(
    peak_value: Number, *, total_steps: Number, upper_bound: Number | str = 1.25, end_fraction: Number = 0.01
) -> ExpHyperbolic:
    """ExpHyperbolicLR: the curve of HyperbolicLR for the logarithm of the rate.

    lr(t) = peak_value * (1 / end_fraction)**(f(t) - f(0)),
    f(t) = sqrt((T - t) / U * (2 - (T + t) / U)),   T = total_steps, U = upper_bound.

    Args:
      upper_bound: steps (1000, "1000st"), or budgets (1.25, "125%"); at least total_steps.
      end_fraction: the paper's infimum over the peak, reached only if U = T; above 0.
    Returns:
      lr(0) = peak_value; lr(total_steps) = peak_value *
      end_fraction**f(0), constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or upper_bound is below total_steps.
    Example:
      >>> print(f"{exp_hyperbolic(1.0, total_steps=10, upper_bound=20)(6):.4f}")   # 0.01**0.3761
      0.1769

    Source:
      Kim, "HyperbolicLR", arXiv:2407.15200, and its code.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    check_number("end_fraction", end_fraction, at_least=0.0)
    return ExpHyperbolic(peak_value, total_steps, logarithm("end_fraction", end_fraction), **_upper(upper_bound))
