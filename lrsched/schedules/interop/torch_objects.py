"""What a scheduler object of PyTorch's knows of its arguments; PyTorch is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lrsched.schedules.interop.arguments import number, plain, refuse

#: What an object of each class keeps of its arguments, under their names.
ATTRIBUTES = {
    "ConstantLR": ("factor", "total_iters"),
    "CosineAnnealingLR": ("T_max", "eta_min"),
    "CosineAnnealingWarmRestarts": ("T_0", "T_mult", "eta_min"),
    "CyclicLR": ("mode", "gamma"),
    "ExponentialLR": ("gamma",),
    "LinearLR": ("start_factor", "end_factor", "total_iters"),
    "MultiStepLR": ("milestones", "gamma"),
    "OneCycleLR": ("total_steps",),
    "PolynomialLR": ("total_iters", "power"),
    "StepLR": ("step_size", "gamma"),
}


def name_of(scheduler: Any, known: Iterable[str]) -> str:
    """Its class's name.

    Raises:
      ValueError: if it is none of PyTorch's that have a counterpart here.
    """
    name = type(scheduler).__name__
    if name not in known and name != "ChainedScheduler":
        raise ValueError(f"scheduler must be one of {', '.join(known)}, got {name}.")
    return name


def begun(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments without last_epoch, which must be that of a beginning."""
    rest = dict(arguments)
    refuse("last_epoch", rest.pop("last_epoch", -1), -1)
    return rest


def rates(scheduler: Any, name: str, *, first: bool) -> dict[str, Any]:
    """The arguments that its rate depends on. Of a SequentialLR all but the first begin at the rate they were made at.

    Raises:
      ValueError: if one differs between parameter groups.
    """
    found = _shared(scheduler, name)
    if name == "CyclicLR":
        return {**found, "base_lr": _one("base_lr", scheduler.base_lrs), "max_lr": _one("max_lr", scheduler.max_lrs)}
    initial = _of_groups(scheduler, "initial_lr")
    if name != "OneCycleLR":
        made_at = getattr(scheduler, "base_lrs", None)
        return {**found, "lr": initial if first or made_at is None else _one("base_lrs", made_at)}
    peak, low = _of_groups(scheduler, "max_lr"), _of_groups(scheduler, "min_lr")
    div = peak / number("initial_lr", initial, above=0.0)
    return {**found, "max_lr": peak, "div_factor": div, "final_div_factor": initial / number("min_lr", low, above=0.0)}


def momenta(scheduler: Any, name: str) -> dict[str, Any]:
    """The arguments that its momentum depends on.

    Raises:
      ValueError: if one differs between parameter groups.
    """
    both = {key: _of_groups(scheduler, key) for key in ("base_momentum", "max_momentum")}
    return {**_shared(scheduler, name), **both}


def _shared(scheduler: Any, name: str) -> dict[str, Any]:
    """The arguments that are the same for every group."""
    found = {key: plain(getattr(scheduler, key)) for key in ATTRIBUTES[name]}
    if name == "MultiStepLR":
        found["milestones"] = sorted(scheduler.milestones.elements())
    elif name == "CyclicLR":
        up = scheduler.total_size * scheduler.step_ratio
        found |= {
            "step_size_up": up,
            "step_size_down": up if scheduler.step_ratio == 0.5 else scheduler.total_size - up,
        }
        found["scale_fn"] = scheduler._scale_fn_custom
    elif name == "OneCycleLR":
        phases = scheduler._schedule_phases
        found |= {"pct_start": _share(phases[0]["end_step"], scheduler.total_steps), "three_phase": len(phases) == 3}
        found["anneal_strategy"] = scheduler._anneal_func_type
    return found


def _share(end_step: float, total_steps: int) -> float:
    """The pct_start whose first phase ends there: of the neighbours of the quotient the one that was given."""
    share = (end_step + 1) / total_steps
    short = round(share, 12)
    return short if float(short * total_steps) - 1 == end_step else share


def _of_groups(scheduler: Any, key: str) -> Any:
    return _one(key, [group.get(key) for group in scheduler.optimizer.param_groups])


def _one(key: str, values: Any) -> Any:
    """The value that all parameter groups have."""
    first, *others = (plain(value) for value in values)
    if any(other != first for other in others):
        raise ValueError(
            f"scheduler must have one rate for all parameter groups, got several: {key} of {first} and "
            f"{next(other for other in others if other != first)} (see `per_label`)."
        )
    return first
