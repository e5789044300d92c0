"""A schedule for each group of parameters."""

from __future__ import annotations

from collections.abc import Mapping

from lrsched.schedules.combine import product
from lrsched.schedules.core import Schedule, check_schedule
from lrsched.schedules.values import Number, check_number, is_concrete, short


def per_label(
    schedule: Schedule | Mapping[str, Schedule], multipliers: Mapping[str, Number] | None = None
) -> dict[str, Schedule]:
    """Per label: a schedule for each group of parameters, one with multipliers or each its own.

    lr_label(t) = multipliers[label] * schedule[label](t).

    With the label of each parameter in `labels`, of the form of the parameters, they make one optimiser:
    `optax.partition({label: optax.sgd(rate) for label, rate in rates.items()}, labels)`.

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
    schedules = _by_label(schedule, multipliers)
    budgets = {label: int(each.total_steps) for label, each in schedules.items() if is_concrete(each.total_steps)}
    if len(set(budgets.values())) > 1:
        said = ", ".join(f"{label} {steps}" for label, steps in budgets.items())
        raise ValueError(f"schedules of all labels must have one total_steps, got {said}.")
    if multipliers is None:
        return schedules
    for label, factor in multipliers.items():
        if not isinstance(factor, Schedule):
            check_number(f"multiplier of {label}", factor, at_least=0.0)
    return {label: product(schedules[label], factor) for label, factor in multipliers.items()}


def _by_label(
    schedule: Schedule | Mapping[str, Schedule], multipliers: Mapping[str, Number] | None
) -> dict[str, Schedule]:
    """What each label follows. Raises ValueError for no schedule, for no label, and for labels that differ."""
    if isinstance(schedule, Mapping):
        if not schedule:
            raise ValueError("schedule must hold at least one label, got none.")
        for label, each in schedule.items():
            check_schedule(f"schedule of {label}", each)
        if multipliers is None:
            return dict(schedule)
    else:
        check_schedule("schedule", schedule)
    if not isinstance(multipliers, Mapping):
        beside = "" if isinstance(schedule, Mapping) else " with one schedule"
        example = '{"body": 0.1, "head": 1.0}'
        raise ValueError(f"multipliers must be given by label{beside}, as in {example}, got {short(multipliers)}.")
    if not isinstance(schedule, Mapping):
        if not multipliers:
            raise ValueError("multipliers must hold at least one label, got none.")
        return dict.fromkeys(multipliers, schedule)
    if schedule.keys() != multipliers.keys():
        wanted, got = (", ".join(map(str, labels)) for labels in (schedule, multipliers))
        raise ValueError(f"multipliers must have the labels {wanted}, got {got or 'none'}.")
    return dict(schedule)
