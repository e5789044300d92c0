"""Decays in steps rather than progress: exponential, inverse time and inverse square root."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.schedules.core import Schedule, check_rates
from lrsched.schedules.documented import documented
from lrsched.schedules.durations import Duration, duration, in_steps
from lrsched.schedules.families.powers import check_largest, logarithm, power
from lrsched.schedules.families.subsampled import Subsampled, check_parts
from lrsched.schedules.progress import clamp
from lrsched.schedules.values import (
    Number,
    as_flag,
    check_number,
    check_steps,
    is_concrete,
    namespace,
    real,
    static,
    value_class,
)


def _position_in(step: Any, total_steps: Number, length: Duration) -> tuple[Any, Any]:
    """(steps done, the length), whole numbers of one type; the length is at least 1."""
    t, total = clamp(step, total_steps)
    return t, namespace(step).maximum(in_steps(total, length), 1)


@value_class
class ExponentialDecay(Schedule):
    """peak_value * exp(log_rate * t / transition_steps)."""

    peak_value: Number
    total_steps: Number
    log_rate: Number
    transition_steps: Duration
    staircase: bool = static(default=False)

    def _check(self) -> None:
        check_rates(self, "peak_value")
        duration(self.transition_steps, name="transition_steps", above_zero=True)

    def _value(self, step: Any) -> Any:
        t, n = _position_in(step, self.total_steps, self.transition_steps)
        peak, log_rate = real(step, self.peak_value), real(step, self.log_rate)
        if namespace(step) is np and not self.staircase:
            return peak * np.exp(log_rate * (t / n))
        value = peak * power(self.log_rate, t // n)
        return value if self.staircase else value * jnp.exp(log_rate * (real(step, t % n) / real(step, n)))

    def _check_budget(self, total_steps: int) -> None:
        known = (self.peak_value, self.log_rate, *jax.tree.leaves(self.transition_steps))
        if all(map(is_concrete, known)) and self.peak_value > 0 and self.log_rate > 0:
            t, n = _position_in(np.int64(total_steps), total_steps, self.transition_steps)
            largest = math.log(self.peak_value) + self.log_rate * float(t // n if self.staircase else t / n)
            check_largest("decay_rate", self.log_rate, largest)


@value_class
class InverseTime(Schedule):
    """peak_value / (1 + decay_rate * t / transition_steps)."""

    peak_value: Number
    total_steps: Number
    decay_rate: Number
    transition_steps: Duration
    staircase: bool = static(default=False)

    def _check(self) -> None:
        check_rates(self, "peak_value", "decay_rate")
        duration(self.transition_steps, name="transition_steps", above_zero=True)

    def _value(self, step: Any) -> Any:
        t, n = _position_in(step, self.total_steps, self.transition_steps)
        k = real(step, t // n) if self.staircase else real(step, t) / real(step, n)
        return real(step, self.peak_value) / (1.0 + real(step, self.decay_rate) * k)


@value_class
class InverseSqrt(Schedule):
    """peak_value * min(1, s / W) / sqrt(1 + max(0, s - W) / timescale) * min(1, (T - t) / cooldown), s = t + first."""

    peak_value: Number
    total_steps: Number
    warmup: Duration
    timescale: Duration
    cooldown: Duration = 0
    first: int = static(default=0)

    def _check(self) -> None:
        check_rates(self, "peak_value")
        for name in ("warmup", "cooldown"):
            duration(getattr(self, name), name=name)
        duration(self.timescale, name="timescale")
        if self.first not in (0, 1):
            raise ValueError(f"first must be 0 or 1, got {self.first}.")

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        t, total = clamp(step, self.total_steps)
        warm = xp.maximum(in_steps(total, self.warmup), self.first)
        timescale = xp.maximum(in_steps(total, self.timescale), 1)
        late = xp.maximum(t - (warm - self.first), 0)  # s - W after the warmup, without leaving int32
        value = real(step, self.peak_value) / xp.sqrt(1.0 + real(step, late) / real(step, timescale))
        value = value * _ramp(xp.minimum(t, warm - self.first) + self.first, warm)
        cooldown = in_steps(total, self.cooldown)
        return value * _ramp(xp.minimum(total - t, cooldown), cooldown)


def _with_period(build: Callable[..., Schedule], total_steps: Number, transition_steps: Any) -> Any:
    """build(total_steps, transition_steps); of a length that is no whole number of steps, in parts of a step."""
    length: Any = duration(transition_steps, name="transition_steps", parts=True, above_zero=True)
    every = 1
    if isinstance(length, Fraction):
        every, length = length.denominator, length.numerator
        check_parts(total_steps, every)
    made = build(total_steps * every, length)
    if is_concrete(total_steps):
        made._check_budget(int(made.total_steps))
    return made if every == 1 else Subsampled(made, every)


def _ramp(done: Any, total: Any) -> Any:
    """done / total, and 1 for a ramp of no length."""
    xp = namespace(done)
    share = real(done, done) / real(done, xp.maximum(total, 1))
    return xp.where(total > 0, share, xp.ones_like(share))


@documented
def exponential_decay(
    peak_value: Number,
    *,
    total_steps: Number,
    decay_rate: Number = 0.5,
    transition_steps: Number | str | Fraction = 0.1,
    staircase: bool = False,
) -> ExponentialDecay | Subsampled:
    """Exponential in steps: multiplied by decay_rate every transition_steps.

    lr(t) = peak_value * decay_rate**(t / transition_steps); with a staircase t / transition_steps is rounded down.
    PyTorch's ExponentialLR(gamma) is decay_rate = gamma, transition_steps = 1. `exponential` is the form whose factor
    belongs to the whole budget.

    Args:
      decay_rate: factor per transition; above 0.
      transition_steps: steps (500, "500st"), also no whole number of them ("2.5st", Fraction(5, 2)); or a fraction of
        the budget (0.1, "10%"), rounded down, at least 1.
      staircase: whether the rate falls all at once at the end of each transition.
    Returns:
      lr(0) = peak_value,
      lr(total_steps) = peak_value * decay_rate**(total_steps / transition_steps), constant after.
    Example:
      >>> halving = exponential_decay(0.1, total_steps=100, transition_steps=10)
      >>> print(f"{halving(10):.4f} {halving(20):.4f}")
      0.0500 0.0250

    Source:
      The definition that optax.exponential_decay and Keras's ExponentialDecay share.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    log_rate, stairs = logarithm("decay_rate", decay_rate), as_flag("staircase", staircase)

    def build(total_steps: Number, length: Any) -> ExponentialDecay:
        return ExponentialDecay(peak_value, total_steps, log_rate, length, stairs)

    return _with_period(build, total_steps, transition_steps)


@documented
def inverse_time(
    peak_value: Number,
    *,
    total_steps: Number,
    decay_rate: Number = 1e-3,
    transition_steps: Number | str | Fraction = 1,
    staircase: bool = False,
) -> InverseTime | Subsampled:
    """Time-based (inverse time): falls as one over time.

    lr(t) = peak_value / (1 + decay_rate * t / transition_steps); with a staircase t / transition_steps is rounded down.

    Args:
      decay_rate: per transition, so by default per step; at least 0.
      transition_steps: steps (500, "500st"), also no whole number of them ("2.5st", Fraction(5, 2)); or a fraction of
        the budget (0.1, "10%"), rounded down, at least 1.
      staircase: whether the rate falls all at once at the end of each transition.
    Returns:
      lr(0) = peak_value,
      lr(total_steps) = peak_value / (1 + decay_rate * total_steps / transition_steps), constant after.
    Example:
      >>> print(f"{inverse_time(0.1, total_steps=5000)(1000):.4f}")   # 1 / (1 + 1)
      0.0500

    Source:
      Robbins, Monro, Annals of Mathematical Statistics 22, 1951; Keras's InverseTimeDecay (decay_steps there).
    """
    check_number("peak_value", peak_value, at_least=0.0)
    check_number("decay_rate", decay_rate, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    stairs = as_flag("staircase", staircase)

    def build(total_steps: Number, length: Any) -> InverseTime:
        return InverseTime(peak_value, total_steps, decay_rate, length, stairs)

    return _with_period(build, total_steps, transition_steps)


@documented
def inverse_sqrt(peak_value: Number, *, total_steps: Number, warmup: Number | str = 0.1) -> InverseSqrt:
    """Inverse square root: linear warmup, then one over the square root of time, with the warmup as its scale.

    lr(t) = peak_value * t / W for t < W, then peak_value * sqrt(W / t),   W = warmup.

    Args:
      peak_value: the rate at the end of the warmup; at least 0.
      warmup: steps (500, "500st") or a fraction of the budget (0.1, "10%"), rounded down. A warmup of no step gives
        peak_value / sqrt(1 + t).
    Returns:
      lr(0) = 0, lr(total_steps) = peak_value * sqrt(W / total_steps),
      constant after.
    Example:
      >>> schedule = inverse_sqrt(0.1, total_steps=1000, warmup=100)
      >>> print(f"{schedule(50):.3f} {schedule(100):.3f} {schedule(400):.3f}")
      0.050 0.100 0.050

    Source:
      Vaswani et al., arXiv:1706.03762, section 5.3, with steps counted from 0 (`noam` counts from 1).
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    warm = duration(warmup, name="warmup")
    return InverseSqrt(peak_value, total_steps, warm, warm)


@documented
def noam(peak_value: Number, *, total_steps: Number, warmup: Number | str = 0.1) -> InverseSqrt:
    """Noam: the Transformer's inverse square root, which counts steps from 1.

    lr(t) = peak_value * min(s / W, sqrt(W / s)),   s = t + 1, W = warmup. The paper's
    d_model**-0.5 * min(s**-0.5, s * W**-1.5) has the peak (d_model * W)**-0.5.

    Args:
      peak_value: the rate at s = W, the update W - 1; at least 0.
      warmup: steps (500, "500st") or a fraction of the budget (0.1, "10%"), rounded down; at least 1.
    Returns:
      lr(0) = peak_value / W,
      lr(total_steps) = peak_value * sqrt(W / (total_steps + 1)), constant after.
    Example:
      >>> print(f"{noam((512 * 4000) ** -0.5, total_steps=100_000, warmup=4000)(3999):.6f}")
      0.000699

    Source:
      Vaswani et al., arXiv:1706.03762, section 5.3, equation 3.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    warm = duration(warmup, name="warmup", above_zero=True)
    return InverseSqrt(peak_value, total_steps, warm, warm, first=1)


@documented
def rsqrt(
    peak_value: Number,
    *,
    total_steps: Number,
    warmup: Number | str = 0.1,
    timescale: Number | str = 10_000,
    cooldown: Number | str = 0,
) -> InverseSqrt:
    """Reciprocal square root of big_vision: warmup, a decay with a scale of its own, and a linear cooldown.

    lr(t) = peak_value * min(1, t / W) / sqrt(1 + max(0, t - W) / timescale) * min(1, (T - t) / D),
    T = total_steps, W = warmup, D = cooldown.

    Args:
      peak_value: the rate at the end of the warmup; at least 0.
      warmup: steps (500, "500st") or a fraction of the budget (0.1, "10%"), rounded down.
      timescale: likewise, at least 1: after three of them the rate has halved.
      cooldown: likewise; 0 leaves it out.
    Returns:
      lr(0) = 0 with a warmup, lr(total_steps) = 0 with a cooldown,
      constant after.
    Example:
      >>> schedule = rsqrt(1.0, total_steps=40_000, warmup=1000)
      >>> print(f"{schedule(500):.2f} {schedule(1000):.2f} {schedule(31_000):.2f}")
      0.50 1.00 0.50

    Source:
      google-research/big_vision, `utils.create_learning_rate_schedule`, decay_type "rsqrt"; Zhai et al.,
      arXiv:2106.04560.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    return InverseSqrt(
        peak_value,
        total_steps,
        duration(warmup, name="warmup"),
        duration(timescale, name="timescale", above_zero=True),
        duration(cooldown, name="cooldown"),
    )
