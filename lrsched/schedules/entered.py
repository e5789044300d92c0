"""A schedule entered at a step, one that is stopped early, and one whose values are whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.schedules.core import Schedule, check_schedule, fitted, rebind
from lrsched.schedules.values import Number, check_steps, is_concrete, namespace, unchecked, value_class


@value_class
class After(Schedule):
    """A schedule entered at `step`: schedule(step + t), for what is left of its budget."""

    schedule: Schedule
    step: Number

    def _check(self) -> None:
        check_steps("step", self.step, at_least=0)
        total = self.schedule.total_steps
        if is_concrete(self.step) and is_concrete(total) and self.step >= total:
            raise ValueError(f"step must be below total_steps = {total}, got {self.step}.")

    @property
    def total_steps(self) -> Number:
        return _plus(self.schedule.total_steps, self.step, -1)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        step = int(self.step)
        return tuple(end - step for end in self.schedule.cycle_ends if end > step)

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        total, entered = (xp.asarray(n, step.dtype) for n in (self.schedule.total_steps, self.step))
        return self.schedule._value(xp.clip(step, 0, xp.maximum(total - entered, 0)) + entered)

    def _check_budget(self, total_steps: int) -> None:
        if is_concrete(self.step):
            check_steps("total_steps", total_steps + int(self.step))
            self.schedule._check_budget(total_steps + int(self.step))

    def _rebind(self, total_steps: Any) -> Self:
        return unchecked(self, schedule=rebind(self.schedule, _plus(total_steps, self.step)))


def _plus(total: Any, step: Any, sign: int = 1) -> Any:
    """total + sign * step, in the integer type of whichever is an array."""
    if isinstance(total, int) and isinstance(step, int):
        return total + sign * step
    like = total if isinstance(total, jax.Array) or not isinstance(step, jax.Array) else step
    dtype = like.dtype if hasattr(like, "dtype") else np.int64
    xp = namespace(like)
    return xp.asarray(total, dtype) + sign * xp.asarray(step, dtype)


@value_class
class Truncated(Schedule):
    """The first total_steps updates of a schedule that was made for a longer budget."""

    schedule: Schedule
    total_steps: Number

    def _check_budget(self, total_steps: int) -> None:
        fitted(self.schedule)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        cut = int(self.total_steps)
        return tuple(dict.fromkeys([*(end for end in self.schedule.cycle_ends if end < cut), cut]))

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        return self.schedule._value(xp.minimum(step, xp.asarray(self.total_steps, step.dtype)))


@value_class
class Held(Schedule):
    """schedule(t // every): a schedule stepped once in so many updates, as one that counts epochs is."""

    schedule: Schedule
    every: Number
    total_steps: Number

    def _check(self) -> None:
        check_steps("every", self.every)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        cut = int(self.total_steps)
        ends = (int(self.every) * end for end in self.schedule.cycle_ends)
        return tuple(dict.fromkeys([*(end for end in ends if end < cut), cut]))

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        total, every = (xp.asarray(n, step.dtype) for n in (self.total_steps, self.every))
        return self.schedule._value(xp.clip(step, 0, total) // every)

    def _check_budget(self, total_steps: int) -> None:
        if is_concrete(self.every):
            self.schedule._check_budget(-(-total_steps // int(self.every)))

    def _rebind(self, total_steps: Any) -> Self:
        inner = rebind(self.schedule, -(-total_steps // self.every))
        return unchecked(self, schedule=inner, total_steps=total_steps)


@value_class
class Whole:
    """A schedule's values as whole numbers of at least 1: what Optax asks for steps."""

    schedule: Schedule

    def __call__(self, step: Any) -> jax.Array:
        return jnp.maximum(jnp.floor(self.schedule(step) + 0.5), 1.0).astype(jnp.int32)

    def table(self, steps: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """The numbers at `steps` (all of the budget's by default), int64 of the shape of `steps`."""
        return np.maximum(np.floor(self.schedule.table(steps) + 0.5), 1.0).astype(np.int64)


def after(schedule: Schedule, step: Number) -> After:
    """After: a schedule entered at a step, as a run does that begins where another one was left.

    lr(t) = schedule(step + t),   total_steps = schedule.total_steps - step.

    `at(total_steps)` gives what is left another length, and so the schedule the budget step + total_steps. Where a
    warmup replaces the first updates of a decay, and does not delay it, the second part of a `sequence` is
    after(decay, warmup_steps).

    Args:
      schedule: for the whole budget.
      step: the first update to be made, counted from 0; below the schedule's total_steps. May be traced.
    Returns:
      int step of any shape -> float32 of that shape. lr(0) = schedule(step). Cycles end `step` updates earlier; those
      that had ended are left out.
    Raises:
      ValueError: if it is no schedule, or a concrete step is outside [0, total_steps).
    Example:
      >>> left = after(linear(0.1, total_steps=100), 75)
      >>> left.total_steps, f"{left(0):.3f} {left(20):.3f}"
      (25, '0.025 0.005')
      >>> prefix = sequence([warmup(0.09, total_steps=10), after(linear(0.1, total_steps=100), 10)])
      >>> prefix.total_steps, f"{prefix(5):.3f} {prefix(10):.3f} {prefix(50):.3f}"
      (100, '0.045 0.090 0.050')

    Source:
      PyTorch's last_epoch; the warmups of timm (warmup_prefix=False) and torchtitan.
    """
    check_schedule("schedule", schedule)
    return After(schedule, step)


def truncated(schedule: Schedule, total_steps: Number) -> Truncated:
    """Truncated: a long schedule stopped early, which is what a budget-aware one (`schedule.at`) is compared with.

    lr(t) = schedule(t) for t < total_steps, with the schedule's own, longer budget.

    Args:
      schedule: made for the whole budget.
      total_steps: updates of the run; at least 1. May be a traced array.
    Returns:
      int step of any shape -> float32 of that shape. lr(total_steps) = schedule(total_steps), constant after.
    Raises:
      ValueError: if a concrete total_steps < 1.
    Example:
      >>> whole = step(0.1, total_steps=100)
      >>> print(f"{truncated(whole, 10)(9):.3f} {whole.at(10)(9):.3f}")
      0.100 0.001

    Source:
      Li, Yumer, Ramanan, "Budgeted Training", ICLR 2020, arXiv:1905.04753, section 3.
    """
    check_schedule("schedule", schedule)
    return Truncated(schedule, total_steps)


def whole(schedule: Schedule) -> Whole:
    """Whole: a schedule of whole numbers, for what counts: `optax.MultiSteps`, sizes of batches.

    n(t) = max(1, floor(schedule(t) + 1/2)).

    Args:
      schedule: any; its peak_value is then a number of steps. Exact up to 2**24, float32's last whole number in a row.
    Returns:
      int step of any shape -> int32 of that shape; `.table()` gives int64.
    Example:
      >>> import optax
      >>> doubled = whole(piecewise_constant(1.0, total_steps=100, boundaries=(30, 60), values=(1, 2, 4)))
      >>> [int(doubled(t)) for t in (0, 29, 30, 60)]   # gradients averaged in each of these updates
      [1, 1, 2, 4]
      >>> tx = optax.MultiSteps(optax.sgd(0.1), every_k_schedule=doubled)

    Source:
      Smith, Kindermans, Ying, Le, "Don't Decay the Learning Rate, Increase the Batch Size", ICLR 2018,
      arXiv:1711.00489. Optax calls `every_k_schedule` with the updates made so far, this library's step.
    """
    check_schedule("schedule", schedule)
    return Whole(schedule)
