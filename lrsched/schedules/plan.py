"""A plan: what a run follows at every update, bound to its budget at the last moment."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from lrsched.schedules import registry
from lrsched.schedules.budget import Budget
from lrsched.schedules.codec import to_json
from lrsched.schedules.core import Schedule
from lrsched.schedules.progress import check_number


@dataclasses.dataclass(frozen=True)
class Plan:
    """Rate and momentum of every update of a run, and where its cycles end.

    Attributes:
      lr: the learning rate.
      momentum: the momentum (for Adam, b1).
      budget: what both are bound to.
      words: the JSON it was made from, all defaults written out.
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

    def digest(self) -> str:
        """SHA-256 of words and budget: two plans with the same digest are the same plan."""
        text = json.dumps([self.words, self.budget.epochs, self.budget.steps_per_epoch])
        return hashlib.sha256(text.encode()).hexdigest()


def plan(
    words: registry.Words | Schedule,
    budget: Budget,
    *,
    peak_value: float | None = None,
    momentum: registry.Words | Schedule | float | None = None,
) -> Plan:
    """A plan from words or JSON.

    Args:
      words: a schedule ("rex", "linear@50-75", {"schedule": "onecycle"}; see `lrsched.schedules.registry`; "@epoch"
        samples once an epoch), or a schedule already made, which is moved to the budget.
      budget: how long the run is.
      peak_value: the peak rate, unless the words give one.
      momentum: a number, words of a momentum schedule, a schedule, or None: of the words "onecycle" 1cycle's, else 0.9.
    Returns:
      The plan: `.lr`, `.momentum`, `.cycle_ends`, `.table()`.
    Raises:
      ValueError: for words that name no schedule, or numbers it refuses; peak_value given twice or not at all; rates
        that float32 cannot hold; a momentum outside [0, 1) (of long runs 10,000 updates are looked at).
    Example:
      >>> run = plan("rex@50-75", Budget(epochs=3, steps_per_epoch=100), peak_value=0.1)
      >>> run.cycle_ends, [round(float(run.lr(t)), 4) for t in (0, 150, 225)]
      ((300,), [0.1, 0.0667, 0.04])

    Source:
      Smith, arXiv:1803.09820, for the pairing of rate and momentum.
    """
    if isinstance(words, Schedule):
        if peak_value is not None:
            raise ValueError(f"peak_value must be left out for a schedule already made, got {peak_value}.")
        rate, lr = json.loads(to_json(words)), words.at(budget.total_steps)
    else:
        rate = registry.parse(words)
        if ("peak_value" in rate) == (peak_value is not None):
            raise ValueError("peak_value must be given once: in the words or beside them.")
        if peak_value is not None:
            rate["peak_value"] = np.asarray(peak_value).item()
        lr = registry.build(rate, total_steps=budget.total_steps, steps_per_epoch=budget.steps_per_epoch)
    if momentum is None:
        momentum = 0.9 if isinstance(words, Schedule) else paired(rate)
    if isinstance(momentum, Schedule):
        beside, other = json.loads(to_json(momentum)), momentum.at(budget.total_steps)
    else:
        if not isinstance(momentum, str | Mapping):
            check_number("momentum", momentum, at_least=0.0, below=1.0)
            momentum = {"schedule": "constant", "peak_value": float(momentum)}
        beside = registry.parse(momentum, kind=registry.MOMENTA)
        other = registry.build(
            beside, total_steps=budget.total_steps, kind=registry.MOMENTA, steps_per_epoch=budget.steps_per_epoch
        )
    _check_values(
        "peak_value must give rates of at least 0 that float32 holds", lr, below=float(np.finfo(np.float32).max)
    )
    _check_values("momentum must be at least 0 and below 1 at every update", other, below=1.0)
    return Plan(lr, other, budget, json.dumps({"lr": rate, "momentum": beside}, sort_keys=True))


def _check_values(allowed: str, schedule: Schedule, *, below: float) -> None:
    """Looks at no more than 10,000 updates, the first and the last among them."""
    last = int(schedule.total_steps) - 1
    with np.errstate(over="ignore", invalid="ignore"):
        values = schedule.table(np.unique(np.linspace(0, last, 10_000).astype(np.int64)))
    bad = values[~((values >= 0) & (values < below))]
    if bad.size:
        raise ValueError(f"{allowed}, got {bad[0]:g}.")


def paired(rate: Mapping[str, Any]) -> dict[str, Any]:
    """The words of the momentum that a schedule brings along: 1cycle's shares its shape; of others 0.9 throughout."""
    name = registry.PAIRED.get(rate.get("schedule", ""))
    if name is None:
        return {"schedule": "constant", "peak_value": 0.9}
    both = ("variant", "peak_position", "tail_position", "annealing", "sampling")
    shared = {key: value for key, value in rate.items() if key in both}
    return {"schedule": name, **shared}
