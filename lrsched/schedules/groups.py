"""A schedule for each group of parameters."""

from __future__ import annotations

from collections.abc import Mapping

from lrsched.schedules.combine import product
from lrsched.schedules.core import Schedule, check_schedule
from lrsched.schedules.values import Number, is_concrete, short


def per_label(
    schedule: Schedule | Mapping[str, Schedule], multipliers: Mapping[str, Number] | None = None
) -> dict[str, Schedule]:
    """Per label: a schedule for each group of parameters, one with multipliers or each its own; for `optax.partition`.

    lr_label(t) = multipliers[label] * schedule[label](t).

    Args:
      schedule: what all groups follow; or label -> what that group follows, all under one budget.
      multipliers: label -> factor, at least 0; 0 freezes a group. None: 1 for each label of schedule.
    Returns:
      label -> schedule.
    Raises:
      ValueError: if there is no label, labels or budgets differ, or a concrete factor is below 0.
    Example:
      >>> groups = per_label(rex(0.1, total_steps=100), {"body": 0.1, "head": 1.0})
      >>> print(f"{groups['body'](0):.3f} {groups['head'](0):.3f}")
      0.010 0.100
      >>> groups = per_label({"muon": linear(0.02, total_steps=100), "adam": wsd(0.001, total_steps=100)})
      >>> print(f"{groups['muon'](50):.3f} {groups['adam'](50):.3f}")
      0.010 0.001

    Source:
      Howard, Ruder, "ULMFiT", arXiv:1801.06146, section 3.2 (discriminative rates).
    """
    labels = schedule if isinstance(schedule, Mapping) and multipliers is None else multipliers
    if not isinstance(labels, Mapping) or not labels:
        raise ValueError(f"multipliers must name at least one label, got {short(labels) if labels else 'none'}.")
    schedules = dict(schedule) if isinstance(schedule, Mapping) else dict.fromkeys(labels, schedule)
    if schedules.keys() != labels.keys():
        raise ValueError(f"multipliers must have the labels {', '.join(schedules)}, got {', '.join(labels)}.")
    for each in schedules.values():
        check_schedule("schedule", each)
    budgets = {label: int(each.total_steps) for label, each in schedules.items() if is_concrete(each.total_steps)}
    if len(set(budgets.values())) > 1:
        said = ", ".join(f"{label} {steps}" for label, steps in budgets.items())
        raise ValueError(f"schedules of all labels must have one total_steps, got {said}.")
    if multipliers is None:
        return schedules
    return {label: product(schedules[label], factor) for label, factor in multipliers.items()}
