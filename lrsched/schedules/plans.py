"""A plan: the rate and momentum of every update of a run, bound to its budget."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lrsched.schedules import plotting, registry
from lrsched.schedules.core import Schedule, check_values
from lrsched.schedules.durations import Budget
from lrsched.schedules.entered import after
from lrsched.schedules.families.onecycle import paired_momentum
from lrsched.schedules.foreign import Function, contains_foreign
from lrsched.schedules.language import Words, parse
from lrsched.schedules.values import check_number, check_steps, is_number, short


@dataclasses.dataclass(frozen=True)
class Plan:
    """Rate and momentum of every update of a run, and where its cycles end.

    Attributes:
      lr: the learning rate.
      momentum: the momentum (for Adam, b1).
      budget: what both are bound to.
      words: the JSON it was built from, all defaults written out.
    """

    lr: Schedule
    momentum: Schedule
    budget: Budget
    words: str

    @property
    def total_steps(self) -> int:
        return self.budget.total_steps

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """Updates completed at the end of each cycle of the rate: the only source of snapshot steps."""
        return self.lr.cycle_ends

    def table(self) -> dict[str, np.ndarray]:
        """float64 arrays `step`, `lr`, `momentum`, each of shape [total_steps]."""
        steps = np.arange(self.total_steps)
        return {"step": steps, "lr": self.lr.table(steps), "momentum": self.momentum.table(steps)}

    def after(self, step: int) -> Plan:
        """The rest of the plan from update `step` on: its update 0 is this one's update `step`.

        Raises:
          ValueError: if step is outside [0, total_steps).
        """
        lr, momentum = after(self.lr, step), after(self.momentum, step)
        per_epoch = self.budget.steps_per_epoch
        return plan(lr, Budget.of_steps(self.total_steps - int(step), per_epoch), momentum=momentum)

    def plot(self, axes: Any = None, **look: Any) -> Any:
        """Draws the rate over the updates, a grey line where a cycle ends, and at the right the momentum if it changes.

        Args:
          axes: to draw on; None: those of a new figure of Matplotlib (of the extra `train`).
          look: of the rate's line, as for Matplotlib's `plot`: label, color, linestyle.
        Returns:
          the axes of the rate.
        Raises:
          ModuleNotFoundError: if Matplotlib is not installed.
        Example:
          >>> axes = plan("onecycle", 100, peak_value=0.1).plot()
          >>> [one.get_ylabel() for one in axes.get_figure().get_axes()]
          ['learning rate', 'momentum']

        """
        axes = self.lr.plot(axes, **look)
        for end in self.cycle_ends[:-1]:
            axes.axvline(end, color="0.8", linewidth=0.8, zorder=0)
        if np.ptp(self.momentum.table()) > 0:
            beside = axes.twinx()
            plotting.draw_over_updates(beside, self.momentum, color="0.5", linestyle="--")
            beside.set_ylabel("momentum")
        return axes

    def digest(self) -> str:
        """SHA-256 of words and budget: equal digests mean equal plans, but for a batch size that "ex" is counted by."""
        text = json.dumps([self.words, self.budget.epochs, self.budget.steps_per_epoch])
        return hashlib.sha256(text.encode()).hexdigest()


def plan(
    words: Words | Callable[[Any], Any],
    budget: Budget | int,
    *,
    peak_value: float | None = None,
    momentum: Words | float | None = None,
    batch_size: int | None = None,
) -> Plan:
    """A plan from words, their JSON, a schedule, or an Optax schedule.

    Args:
      words: a schedule ("rex", "linear@50-75", "warmup:5%+cosine", {"schedule": "onecycle"}; see
        `lrsched.schedules.language`), or a schedule value or its `to_json`, which is moved to the budget: `at`, except
        that in a sequence whose lengths are all in steps the last segment takes the rest. Also a function
        step -> rate, such as Optax's schedules; a factory's dotted path (`my_package.mine:cut=0.1`) is the form of it
        that records can hold.
      budget: how long the run is; a whole number is so many updates.
      peak_value: the peak rate, unless the words give one. A schedule value keeps its rates without one; with one
        all are scaled so that the highest under its own budget becomes peak_value.
      momentum: a number, words of a momentum schedule, a schedule, or None: of the words "onecycle" 1cycle's, else 0.9.
        It must be given where a 1cycle is a value or one of several segments: those do not name their momentum.
      batch_size: examples in an update, for lengths in examples ("50000ex").
    Returns:
      The plan: `.lr`, `.momentum`, `.cycle_ends`, `.table()`; `.after(step)` is the rest of it.
    Raises:
      ValueError: for words that name no schedule, or numbers it refuses; peak_value given twice or not at all; rates
        that float32 cannot hold; a momentum outside [0, 1) (of long runs 10,000 updates are looked at).
    Example:
      >>> run = plan("rex@50-75", Budget(epochs=3, steps_per_epoch=100), peak_value=0.1)
      >>> run.cycle_ends, [round(float(run.lr(t)), 4) for t in (0, 150, 225)]
      ((300,), [0.1, 0.0667, 0.04])
      >>> warm = plan("warmup:10%+cosine", 300, peak_value=0.1)
      >>> [round(float(warm.lr(t)), 4) for t in (0, 15, 30, 165)]
      [0.0, 0.05, 0.1, 0.05]

    Source:
      Smith, arXiv:1803.09820, for the pairing of rate and momentum.
    """
    budget = _budget(budget)
    where: dict[str, Any] = {
        "total_steps": budget.total_steps,
        "steps_per_epoch": budget.steps_per_epoch,
        "batch_size": batch_size,
    }
    if callable(words) and (not isinstance(words, Schedule) or contains_foreign(words, Function)):
        rate, lr = _of_function(words, budget.total_steps, peak_value)
    else:
        rate = registry.with_peak(parse(words), peak_value)
        lr = registry.build(rate, **where)
    if momentum is None:
        momentum = paired_momentum(rate)
    if not isinstance(momentum, str | Mapping | Schedule):
        check_number("momentum", momentum, at_least=0.0, below=1.0)
        momentum = {"schedule": "constant", "peak_value": float(momentum)}
    beside = parse(momentum, kind=registry.MOMENTA)
    other = registry.build(beside, kind=registry.MOMENTA, **where)
    check_values("peak_value must give rates of at least 0 that float32 holds", lr)
    check_values("momentum must be at least 0 and below 1 at every update", other, below=1.0)
    return Plan(lr, other, budget, json.dumps({"lr": rate, "momentum": beside}, sort_keys=True))


def _of_function(
    function: Callable[[Any], Any], total_steps: int, peak_value: float | None
) -> tuple[dict[str, Any], Schedule]:
    """(JSON that identifies the function's rates, its schedule)."""
    lr = registry.move(function, total_steps) if isinstance(function, Schedule) else Function(function, total_steps)
    if peak_value is not None:
        lr = registry.scale_to(lr, peak_value)
    name = getattr(function, "__qualname__", type(function).__name__)
    return {"function": name, "table": hashlib.sha256(lr.table().tobytes()).hexdigest()}, lr


def _budget(budget: Any) -> Budget:
    """A budget, or the number of updates that one is."""
    if isinstance(budget, Budget):
        return budget
    if not is_number(budget):
        raise ValueError(f"budget must be a Budget or a whole number of updates, got {short(budget)}.")
    check_steps("budget", budget)
    return Budget(int(budget))
