"""Rates that rise to their peak: warmup, and any decay mirrored."""

from __future__ import annotations

from typing import Any

from lrsched.schedules import profiles
from lrsched.schedules.core import Schedule, between, check_rates, of_peak
from lrsched.schedules.documented import documented
from lrsched.schedules.families.powers import logarithm
from lrsched.schedules.profiles import Exponential, Linear, Profile
from lrsched.schedules.progress import progress_at
from lrsched.schedules.sampling import EveryStep, Sampling, given
from lrsched.schedules.values import Number, check_choice, check_number, check_steps, value_class


@value_class
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
        here = self.sampling(progress_at(step, self.total_steps)).reversed
        return between(step, self.profile, here, self.peak_value, self.init_value)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """None: a warmup ends no cycle."""
        return ()


@value_class
class Rise(Schedule):
    """init_value + (peak_value - init_value) * (1 - profile(t / total_steps)): a decay mirrored in its value."""

    peak_value: Number
    total_steps: Number
    profile: Profile
    sampling: Sampling = EveryStep()
    init_value: Number = 0.0

    def _check(self) -> None:
        check_rates(self, "peak_value", "init_value")

    def _value(self, step: Any) -> Any:
        here = self.sampling(progress_at(step, self.total_steps))
        return between(step, self.profile, here, self.init_value, self.peak_value)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """None: growth ends no cycle."""
        return ()


def hold(value: Number) -> Growth:
    """A phase at one rate, which (unlike `constant`) ends no cycle."""
    return Growth(value, 1, profiles.constant())


@documented
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
      init_value: rate of the first update, or a percentage of the peak ("1%"). 0 wastes that update: peak_value /
        total_steps does not.
      sampling: when the ramp is sampled; every update by default.
      shape: "linear", or "exponential" (a straight line where rates are drawn logarithmically), whose init_value and
        peak_value are above 0.
    Returns:
      lr(0) = init_value, lr(total_steps) = peak_value, constant after.
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
    init_value = of_peak("init_value", init_value, peak_value)
    check_number("init_value", init_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    if check_choice("shape", shape, ("linear", "exponential")) == "linear":
        return Growth(peak_value, total_steps, Linear(), given(sampling), init_value)
    gamma = logarithm("init_value", init_value) - logarithm("peak_value", peak_value)
    return Growth(peak_value, total_steps, Exponential(gamma), given(sampling))


@documented
def growth(
    peak_value: Number,
    *,
    total_steps: Number,
    profile: str | Profile = "linear",
    mirror: str = "time",
    init_value: Number = 0.0,
    sampling: Sampling | str | None = None,
) -> Growth | Rise:
    """Growth: any decay mirrored, so that it rises to the peak at the end of the budget.

    lr(t) = init_value + (peak_value - init_value) * g(t / total_steps), with g(z) = profile(1 - z) for mirror="time"
    (the decay walked backwards) and g(z) = 1 - profile(z) for mirror="value" (the decay upside down).

    Args:
      peak_value: the rate at total_steps, for mirror="value" if the profile ends at 0; at least 0.
      profile: a name ("linear", "rex", "cosine", ...) or a profile of `lrsched.profiles`.
      mirror: "time" or "value". REX rises steeply at first in time and late in value; the line is the same in both.
      init_value: rate of the first update, for mirror="time" if the profile ends at 0; at least 0, or a percentage of
        the peak.
    Returns:
      constant from total_steps on.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or a word is.
    Example:
      >>> rises = [growth(1.0, total_steps=100, profile="rex", mirror=mirror) for mirror in ("time", "value")]
      >>> [f"{rise(25):.3f}" for rise in rises]   # rex(0.75) and 1 - rex(0.25)
      ['0.400', '0.143']

    Source:
      This library's; Wolfe's LRSchedules code has growing profiles for cyclical schedules.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    init_value = of_peak("init_value", init_value, peak_value)
    check_number("init_value", init_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    mirrored = Growth if check_choice("mirror", mirror, ("time", "value")) == "time" else Rise
    return mirrored(peak_value, total_steps, profiles.named(profile), given(sampling), init_value)
