"""What a schedule is: a frozen value, called with a step, whose numbers JAX sees as leaves.

Every schedule computes its value in one place, `_value`, written for either array library: called with JAX steps it is
an Optax schedule in float32, called by `table` it is the same formula in NumPy float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.schedules import profiles
from lrsched.schedules.documented import documented
from lrsched.schedules.durations import read
from lrsched.schedules.profiles import Profile
from lrsched.schedules.progress import Progress, progress_at
from lrsched.schedules.sampling import EveryStep, Sampling, given
from lrsched.schedules.values import (
    LARGEST_NUMBER,
    LARGEST_STEP,
    Number,
    check_number,
    check_steps,
    is_concrete,
    namespace,
    real,
    short,
    unchecked,
    value_class,
)


class Schedule:
    """A schedule: int step of any shape -> float32 of that shape; constant before step 0 and from `total_steps` on.

    Update k, counted from 0, uses `schedule(k)`; a run of T updates uses schedule(0) .. schedule(T - 1). It is a
    pytree: jit, vmap over its numbers (the budget included) and gradients with respect to them work.
    """

    total_steps: Number

    def __call__(self, step: Any) -> jax.Array:
        step = step if isinstance(step, jax.Array) else np.asarray(step)
        if not jnp.issubdtype(step.dtype, jnp.integer):
            raise ValueError(f"step must be an integer (updates made before this one), got {step.dtype}.")
        if step.dtype.itemsize >= 4 and step.dtype != np.int32:  # what int32 cannot hold is beyond every budget
            limits = np.array([0, LARGEST_STEP], step.dtype)
            step = namespace(step).clip(step, limits[0], limits[1])
        return self._value(jnp.asarray(step, jnp.int32))

    def table(self, steps: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """The values at `steps` (all of the budget's by default) in float64, shape of `steps`.

        Raises:
          ValueError: if one of them is beyond float64, or the steps are no integers.
        """
        chosen = np.arange(int(self.total_steps)) if steps is None else np.asarray(steps)
        if chosen.size and not np.issubdtype(chosen.dtype, np.integer):
            raise ValueError(f"steps must be integers (updates made before each), got {chosen.dtype}.")
        values = self._table(chosen)
        if not np.isfinite(values).all():
            raise ValueError(f"values must be finite at every update, got {values[~np.isfinite(values)][0]:g}.")
        return values

    def _table(self, steps: np.ndarray) -> np.ndarray:
        """`table`, whatever the values are."""
        plain = jax.tree.map(lambda leaf: np.asarray(leaf).item(), self)
        if steps.dtype == np.uint64:  # of which int64 would make steps below 0
            steps = np.minimum(steps, np.uint64(LARGEST_STEP))
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(plain._value(steps.astype(np.int64)), np.float64)

    def at(self, total_steps: Number) -> Self:
        """The same schedule under another budget (Li et al.'s budget-aware conversion)."""
        total_steps = check_steps("total_steps", total_steps)
        if is_concrete(total_steps):
            self._check_budget(total_steps)
        return rebind(self, total_steps)

    def plot(self, axes: Any = None, **look: Any) -> Any:
        """Draws the rate over the updates, with Matplotlib (of the extra `train`).

        Args:
          axes: to draw on; None: those of a new figure.
          look: of the line, as for Matplotlib's `plot`: label, color, linestyle.
        Returns:
          the axes.
        Raises:
          ModuleNotFoundError: if Matplotlib is not installed.
        Example:
          >>> axes = rex(0.1, total_steps=100).plot(label="REX")
          >>> axes = linear(0.1, total_steps=100).plot(axes, label="linear")
          >>> len(axes.get_lines()), axes.get_xlabel()
          (2, 'update')

        """
        from lrsched.schedules import plotting

        axes = plotting.new_axes(axes)
        plotting.draw_over_updates(axes, self, **look)
        axes.set(xlabel="update", ylabel="learning rate")
        return axes

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """Updates completed when each cycle ends; the last is the budget. A decay is one cycle."""
        return (int(self.total_steps),)

    def _value(self, step: Any) -> Any:
        """The schedule's formula: int32 JAX steps -> float32, int64 NumPy steps -> float64; clamps.

        The one method that every schedule defines. The base class has no curve of its own, and a rate made up here
        would train somebody's network: only a new class that forgot its formula gets this far, and test_contracts,
        which calls all that are registered, finds it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _value, the schedule's formula")

    def _check_budget(self, total_steps: int) -> None:
        """Raises ValueError if what does not scale with the budget does not fit into this one."""

    def _rebind(self, total_steps: Any) -> Self:
        """`at`, unchecked."""
        return unchecked(self, total_steps=total_steps)


S = TypeVar("S", bound=Schedule)


def rebind(schedule: S, total_steps: Any) -> S:
    """The schedule with another total_steps, unchecked."""
    return schedule._rebind(total_steps)


def check_schedule(name: str, value: Any) -> None:
    """Raises ValueError unless the value is a schedule."""
    if not isinstance(value, Schedule):
        raise ValueError(f"{name} must be a schedule, such as rex(0.1, total_steps=100), got {short(value)}.")


def fitted(schedule: S) -> S:
    """The schedule. Raises ValueError if what does not scale with the budget does not fit into the schedule's own.

    No class does so when a value is made: what is made may be a segment, which knows no budget of its own.
    """
    inner = [each for each in vars(schedule).values() if isinstance(each, Schedule)]
    for each in inner:  # a schedule made of another fits if that fits into its own budget, cut or held as it may be
        fitted(each)
    if not inner and is_concrete(schedule.total_steps):
        schedule._check_budget(int(schedule.total_steps))
    return schedule


def check_rates(schedule: Any, *names: str) -> None:
    """Raises ValueError unless these fields, rates or multiples of one, are at least 0."""
    for name in names:
        check_number(name, getattr(schedule, name), at_least=0.0)


def of_peak(name: str, value: Any, peak_value: Number) -> Any:
    """A rate: the number that it is, or of a percentage ("10%") that part of the peak.

    Raises:
      ValueError: for another text.
    """
    if not isinstance(value, str):
        return value
    length = read(value)
    if length is None or length.unit != "%" or not length.number >= 0:
        raise ValueError(f"{name} must be a rate, or a percentage of the peak (10%), got {short(value)}.")
    if peak_value is None or isinstance(peak_value, str):
        raise ValueError(f"{name} may be a part of a peak_value ({value}) where there is one, got none.")
    return peak_value * (length.number / 100)


def check_values(allowed: str, schedule: Schedule, *, below: float = LARGEST_NUMBER) -> None:
    """Raises ValueError unless the values are in [0, below): of long runs 10,000 updates, the first and last included.

    Numbers that are each allowed may multiply to what float32 cannot hold.
    """
    last = int(schedule.total_steps) - 1
    values = schedule._table(np.unique(np.linspace(0, last, 10_000).astype(np.int64)))
    bad = values[~((values >= 0) & (values < below))]
    if bad.size:
        raise ValueError(f"{allowed}, got {bad[0]:g}.")


@value_class
class Decay(Schedule):
    """end_value + (peak_value - end_value) * profile(sampling(t / total_steps))."""

    peak_value: Number
    total_steps: Number
    profile: Profile
    sampling: Sampling = EveryStep()
    end_value: Number = 0.0

    def _check(self) -> None:
        check_rates(self, "peak_value", "end_value")

    def _value(self, step: Any) -> Any:
        here = self.sampling(progress_at(step, self.total_steps))
        return between(step, self.profile, here, self.peak_value, self.end_value)


def between(step: Any, profile: Profile, here: Progress, first: Number, last: Number) -> Any:
    """last + (first - last) * profile(here), without cancellation; a last of 0 costs one product."""
    value = real(step, first) * profile(here)
    if is_concrete(last) and np.ndim(last) == 0 and last == 0:
        return value
    return value + real(step, last) * profile.complement(here)


@documented
def decay(
    peak_value: Number,
    *,
    profile: Profile | str,
    total_steps: Number,
    sampling: Sampling | str | None = None,
    end_value: Number = 0.0,
) -> Decay:
    """Any profile at any sampling rate under a budget: the REX paper's view of a schedule.

    lr(t) = end_value + (peak_value - end_value) * profile(sampling(t / total_steps)).

    Args:
      profile: a shape from `lrsched.profiles`, or its name.
      sampling: when the profile is sampled, from `lrsched.sampling`, or its name; every update by default.
      end_value: what a profile of 0 stands for; at least 0, or a percentage of the peak ("10%").
    Example:
      >>> halves = decay(0.1, profile=profiles.rex(), sampling=sampling.at(0.5, 0.75), total_steps=300)
      >>> print(f"{halves(149):.4f} {halves(150):.4f}")   # held; then 0.1 * 2/3
      0.1000 0.0667

    Source:
      Chen, Wolfe, Kyrillidis, MLSys 2022, arXiv:2107.04197, section 3.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    end_value = of_peak("end_value", end_value, peak_value)
    return Decay(peak_value, total_steps, profiles.named(profile), given(sampling), end_value)
