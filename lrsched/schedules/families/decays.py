"""Decays: from the peak at the first update towards the end value at the end of the budget."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

from lrsched.schedules import profiles
from lrsched.schedules.core import Decay, decay
from lrsched.schedules.documented import documented
from lrsched.schedules.profiles import Profile
from lrsched.schedules.sampling import Sampling
from lrsched.schedules.values import LARGEST_NUMBER, Number, is_concrete


@documented
def constant(peak_value: Number, *, total_steps: Number, sampling: Sampling | str | None = None) -> Decay:
    """Constant: the same rate throughout.

    lr(t) = peak_value.

    Args:
      peak_value: the rate; at least 0.
      total_steps: budget in updates; it changes nothing here, but every schedule has one.
      sampling: accepted for uniformity; changes nothing.
    Returns:
      lr(0) = lr(total_steps) = peak_value.
    Example:
      >>> print(f"{constant(0.1, total_steps=10)(7):.4f}")
      0.1000

    Source:
      The "none" rows of Chen, Wolfe, Kyrillidis, arXiv:2107.04197.
    """
    return decay(peak_value, profile=profiles.constant(), total_steps=total_steps, sampling=sampling)


@documented
def linear(
    peak_value: Number, *, total_steps: Number, end_value: Number = 0.0, sampling: Sampling | str | None = None
) -> Decay:
    """Linear: falls by the same amount at every update, to nothing at the end of the budget.

    lr(t) = end_value + (peak_value - end_value) * (1 - t / total_steps).

    Returns:
      lr(0) = peak_value, lr(total_steps) = end_value, constant after.
    Example:
      >>> print(f"{linear(0.1, total_steps=10)(5):.4f}")
      0.0500

    Source:
      Li, Yumer, Ramanan, "Budgeted Training", ICLR 2020, arXiv:1905.04753. After a warmup it is D2Z ("decay to zero",
      Bergsma et al., arXiv:2502.15938).
    """
    return decay(peak_value, profile=profiles.linear(), total_steps=total_steps, sampling=sampling, end_value=end_value)


@documented
def cosine(
    peak_value: Number, *, total_steps: Number, end_value: Number = 0.0, sampling: Sampling | str | None = None
) -> Decay:
    """Cosine: half a period of a cosine, flat at both ends.

    lr(t) = end_value + (peak_value - end_value) * (1 + cos(pi t / total_steps)) / 2.

    Args:
      end_value: the floor, reached at total_steps.
    Returns:
      lr(0) = peak_value, lr(total_steps) = end_value, constant after.
    Example:
      >>> print(f"{cosine(0.1, total_steps=100)(25):.6f}")   # (1 + cos(pi / 4)) / 2 = 0.8535534
      0.085355

    Source:
      Loshchilov, Hutter, "SGDR", ICLR 2017, arXiv:1608.03983, equation 5, without restarts.
    """
    return decay(peak_value, profile=profiles.cosine(), total_steps=total_steps, sampling=sampling, end_value=end_value)


@documented
def exponential(
    peak_value: Number, *, total_steps: Number, gamma: Number = -3.0, sampling: Sampling | str | None = None
) -> Decay:
    """Exponential: falls by the same factor at every update.

    lr(t) = peak_value * exp(gamma * t / total_steps).

    Args:
      gamma: logarithm of the whole run's factor; -3 ends at 0.0498 of the peak.
    Returns:
      lr(0) = peak_value, lr(total_steps) = peak_value * exp(gamma).
    Example:
      >>> print(f"{exponential(0.1, total_steps=100)(50):.6f}")   # exp(-1.5) = 0.2231302
      0.022313

    Source:
      Chen, Wolfe, Kyrillidis, arXiv:2107.04197, section 4.1 (gamma = -3 "yields the best performance").
    """
    made = decay(peak_value, profile=profiles.exponential(gamma), total_steps=total_steps, sampling=sampling)
    if is_concrete(made) and made.peak_value > 0 and gamma > math.log(LARGEST_NUMBER) - math.log(made.peak_value):
        raise ValueError(f"gamma must give rates that float32 holds, got {gamma:g}.")
    return made


@documented
def polynomial(
    peak_value: Number,
    *,
    total_steps: Number,
    power: Number = 1.0,
    end_value: Number = 0.0,
    sampling: Sampling | str | None = None,
) -> Decay:
    """Polynomial: a power of what remains of the budget.

    lr(t) = end_value + (peak_value - end_value) * (1 - t / total_steps)**power.

    Args:
      power: at least 0; 1 is linear, 0.9 DeepLab's, 2 stays low longer.
    Returns:
      lr(0) = peak_value, lr(total_steps) = end_value, constant after.
    Example:
      >>> print(f"{polynomial(0.1, total_steps=100, power=2.0)(50):.4f}")
      0.0250

    Source:
      Chen et al., "DeepLab", arXiv:1606.00915 (power 0.9).
    """
    return decay(
        peak_value, profile=profiles.polynomial(power), total_steps=total_steps, sampling=sampling, end_value=end_value
    )


@documented
def rex(
    peak_value: Number,
    *,
    total_steps: Number,
    d: Number = 0.5,
    end_value: Number = 0.0,
    sampling: Sampling | str | None = None,
) -> Decay:
    """REX: holds the rate up early and falls fast near the end of the budget.

    lr(t) = end_value + (peak_value - end_value) * w / ((1 - d) + d * w),   w = 1 - t / total_steps.

    Args:
      d: in [0, 1); the paper's REX is 1/2. Some published codes use 0.9, which is another curve: name it.
    Returns:
      lr(0) = peak_value, lr(total_steps) = end_value, constant after.
    Example:
      >>> print(f"{rex(0.1, total_steps=10)(5):.4f}")   # w = 1/2: 0.5 / 0.75 = 2/3
      0.0667

    Source:
      Chen, Wolfe, Kyrillidis, "REX: Revisiting Budgeted Training with an Improved Schedule", MLSys 2022,
      arXiv:2107.04197, section 3.
    """
    return decay(peak_value, profile=profiles.rex(d), total_steps=total_steps, sampling=sampling, end_value=end_value)


@documented
def one_minus_sqrt(
    peak_value: Number, *, total_steps: Number, end_value: Number = 0.0, sampling: Sampling | str | None = None
) -> Decay:
    """1-sqrt: falls steeply at first, then by nearly the same amount at every update.

    lr(t) = end_value + (peak_value - end_value) * (1 - sqrt(t / total_steps)).

    Returns:
      lr(0) = peak_value, lr(total_steps) = end_value, constant after.
    Example:
      >>> print(f"{one_minus_sqrt(0.1, total_steps=100)(25):.4f}")
      0.0500

    Source:
      Haegele et al., arXiv:2405.18392, where it is the cooldown of `wsd`.
    """
    return decay(
        peak_value, profile=profiles.one_minus_sqrt(), total_steps=total_steps, sampling=sampling, end_value=end_value
    )


@documented
def mirror_cosine(
    peak_value: Number, *, total_steps: Number, end_value: Number = 0.0, sampling: Sampling | str | None = None
) -> Decay:
    """Mirror cosine: the cosine mirrored at the straight line, steepest at both ends.

    lr(t) = end_value + (peak_value - end_value) * (2 w - (1 + cos(pi t / total_steps)) / 2),   w = 1 - t / total_steps.

    Returns:
      lr(0) = peak_value, lr(total_steps) = end_value, constant after.
    Example:
      >>> print(f"{mirror_cosine(0.1, total_steps=100)(25):.6f}")   # 1.5 - 0.8535534
      0.064645

    Source:
      The code of Haegele et al., arXiv:2405.18392, where it is a cooldown of `wsd`.
    """
    return decay(
        peak_value, profile=profiles.mirror_cosine(), total_steps=total_steps, sampling=sampling, end_value=end_value
    )


@documented
def square(
    peak_value: Number, *, total_steps: Number, end_value: Number = 0.0, sampling: Sampling | str | None = None
) -> Decay:
    """Square: one minus the square of progress; flat at first, steepest at the end.

    lr(t) = end_value + (peak_value - end_value) * (1 - (t / total_steps)**2).

    Returns:
      lr(0) = peak_value, lr(total_steps) = end_value, constant after.
    Example:
      >>> print(f"{square(0.1, total_steps=100)(50):.4f}")
      0.0750

    Source:
      The code of Haegele et al., arXiv:2405.18392, where it is a cooldown of `wsd`.
    """
    return decay(peak_value, profile=profiles.square(), total_steps=total_steps, sampling=sampling, end_value=end_value)


@documented
def tanh(
    peak_value: Number,
    *,
    total_steps: Number,
    lower: Number = -6.0,
    upper: Number = 3.0,
    end_value: Number = 0.0,
    sampling: Sampling | str | None = None,
) -> Decay:
    """Hyperbolic tangent (HTD): flat, a smooth fall, and flat again.

    lr(t) = end_value + (peak_value - end_value) * (1 - tanh(lower + (upper - lower) * t / total_steps)) / 2.

    Args:
      peak_value: the rate far to the left of the fall; at least 0.
      lower: argument of the hyperbolic tangent at the first update; in [-40, 40).
      upper: its argument at total_steps; in [-40, 40).
      end_value: the rate far to the right of the fall.
    Returns:
      With the defaults and end_value = 0 lr(0) = 0.999994 peak_value,
      lr(total_steps) = 0.002473 peak_value, constant after.
    Example:
      >>> print(f"{tanh(0.1, total_steps=90)(60):.4f}")   # the middle of the fall: -6 + 9 * 2/3 = 0
      0.0500

    Source:
      Hsueh, Li, Wu, arXiv:1806.01593, HTD(-6, 3).
    """
    profile = profiles.tanh(lower, upper)
    return decay(peak_value, profile=profile, total_steps=total_steps, sampling=sampling, end_value=end_value)


@documented
def k_decay(
    peak_value: Number,
    *,
    total_steps: Number,
    k: Number = 2.0,
    profile: str | Profile = "cosine",
    end_value: Number = 0.0,
    sampling: Sampling | str | None = None,
) -> Decay:
    """K-decay: another decay with a power of progress for progress; with k above 1 it stays up longer.

    lr(t) = end_value + (peak_value - end_value) * profile((t / total_steps)**k).

    Args:
      k: above 0; 1 is the profile itself.
      profile: a name ("cosine", "polynomial", ...) or a profile of `lrsched.profiles`; not one in steps.
    Returns:
      lr(0) = peak_value, lr(total_steps) = end_value for a profile that
      ends at 0, constant after.
    Example:
      >>> print(f"{k_decay(0.1, total_steps=100)(50):.6f}")   # (1 + cos(pi / 4)) / 2 = 0.8535534
      0.085355

    Source:
      Zhang, Li, "k-decay", arXiv:2004.05909; timm's `k_decay` of CosineLRScheduler.
    """
    made = profiles.k_decay(profile, k)
    return decay(peak_value, profile=made, total_steps=total_steps, sampling=sampling, end_value=end_value)


#: Every function above, for the registry.
DECAYS: tuple[Callable[..., Decay], ...] = tuple(
    each for _, each in sorted(vars().items()) if inspect.isfunction(each) and each.__module__ == __name__
)
