"""PyTorch's lr_scheduler classes, from an object (read, never imported) or from a name and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrsched.schedules.compose import sequence
from lrsched.schedules.core import Schedule
from lrsched.schedules.families.cycles import sgdr
from lrsched.schedules.families.cycles_linear import clr
from lrsched.schedules.families.decays import constant, cosine, linear, polynomial
from lrsched.schedules.families.onecycle import onecycle, onecycle_momentum
from lrsched.schedules.families.piecewise import multi_step
from lrsched.schedules.families.steps import exponential_decay
from lrsched.schedules.interop.from_optax import Importer, call, positive, refuse
from lrsched.schedules.progress import Number


def _constant(lr: Number, *, factor: Number = 1 / 3, total_iters: int = 5) -> Schedule:
    first = constant(lr * factor, total_steps=total_iters)
    return sequence([first, constant(lr, total_steps=1)])


def _cosine(lr: Number, *, T_max: int, eta_min: Number = 0.0) -> Schedule:
    return cosine(lr, total_steps=T_max, end_value=eta_min)


def _exponential(lr: Number, *, gamma: Number, total_steps: int) -> Schedule:
    return exponential_decay(lr, total_steps=total_steps, decay_rate=gamma, transition_steps=1)


def _linear(lr: Number, *, start_factor: Number = 1 / 3, end_factor: Number = 1.0, total_iters: int = 5) -> Schedule:
    return linear(lr * start_factor, total_steps=total_iters, end_value=lr * end_factor)


def _polynomial(lr: Number, *, total_iters: int = 5, power: Number = 1.0) -> Schedule:
    return polynomial(lr, total_steps=total_iters, power=power)


def _step(lr: Number, *, step_size: int, gamma: Number = 0.1, total_steps: int) -> Schedule:
    return exponential_decay(lr, total_steps=total_steps, decay_rate=gamma, transition_steps=step_size, staircase=True)


def _multi_step(lr: Number, *, milestones: Sequence[int], gamma: Number = 0.1, total_steps: int) -> Schedule:
    return multi_step(lr, total_steps=total_steps, boundaries=tuple(sorted(milestones)), factor=gamma)


def _restarts(lr: Number, *, T_0: int, T_mult: int = 1, eta_min: Number = 0.0, total_steps: int) -> Schedule:
    return sgdr(lr, total_steps=total_steps, first_cycle=T_0, cycle_mult=T_mult, end_value=eta_min)


def _cyclic(
    base_lr: Number,
    max_lr: Number,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: str = "triangular",
    gamma: Number = 1.0,
    *,
    total_steps: int,
    **momentum: Any,
) -> Schedule:
    _check_momentum(momentum)
    refuse("step_size_down", step_size_down or step_size_up, step_size_up)
    return clr(
        max_lr,
        total_steps=total_steps,
        mode=mode,
        initial_fraction=base_lr / positive("max_lr", max_lr),
        half_cycle=step_size_up,
        gamma=gamma,
    )


def _cyclic_momentum(base_momentum: Number = 0.8, max_momentum: Number = 0.9, **rest: Any) -> Schedule:
    positive("base_momentum", base_momentum)
    return _cyclic(**{**rest, "base_lr": max_momentum, "max_lr": base_momentum})


def _onecycle(
    max_lr: Number,
    total_steps: int,
    pct_start: Number = 0.3,
    anneal_strategy: str = "cos",
    div_factor: Number = 25.0,
    final_div_factor: Number = 1e4,
    three_phase: bool = False,
    **momentum: Any,
) -> Schedule:
    _check_momentum(momentum)
    return onecycle(
        max_lr,
        total_steps=total_steps,
        initial_fraction=1 / positive("div_factor", div_factor),
        final_fraction=1 / (div_factor * positive("final_div_factor", final_div_factor)),
        **_shape(pct_start, anneal_strategy, three_phase),
    )


def _onecycle_momentum(
    total_steps: int,
    pct_start: Number = 0.3,
    anneal_strategy: str = "cos",
    base_momentum: Number = 0.85,
    max_momentum: Number = 0.95,
    three_phase: bool = False,
    **rates: Any,
) -> Schedule:
    _check(rates, ("max_lr", "div_factor", "final_div_factor"))
    shape = _shape(pct_start, anneal_strategy, three_phase)
    return onecycle_momentum(max_momentum, total_steps=total_steps, min_value=base_momentum, **shape)


def _shape(pct_start: Number, anneal_strategy: str, three_phase: bool) -> dict[str, Any]:
    return {
        "variant": "torch_three_phase" if three_phase else "torch",
        "peak_position": pct_start,
        "annealing": {"cos": "cosine"}.get(anneal_strategy, anneal_strategy),
    }


def _check_momentum(given: dict[str, Any]) -> None:
    _check(given, ("cycle_momentum", "base_momentum", "max_momentum"))


def _check(given: dict[str, Any], known: tuple[str, ...]) -> None:
    """Raises TypeError, as a call would, for arguments that PyTorch's class does not have."""
    for name in given:
        if name not in known:
            raise TypeError(f"got an unexpected keyword argument {name!r}")


RATES: dict[str, Importer] = {
    "ConstantLR": _constant,
    "CosineAnnealingLR": _cosine,
    "CosineAnnealingWarmRestarts": _restarts,
    "CyclicLR": _cyclic,
    "ExponentialLR": _exponential,
    "LinearLR": _linear,
    "MultiStepLR": _multi_step,
    "OneCycleLR": _onecycle,
    "PolynomialLR": _polynomial,
    "StepLR": _step,
}
MOMENTA: dict[str, Importer] = {"CyclicLR": _cyclic_momentum, "OneCycleLR": _onecycle_momentum}

#: What an object of each class knows of its arguments, under their names.
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


def _read(scheduler: Any) -> tuple[str, dict[str, Any]]:
    """Class name and arguments of a scheduler object."""
    name = type(scheduler).__name__
    if name not in ATTRIBUTES:
        raise ValueError(f"scheduler must be one of {', '.join(ATTRIBUTES)}, got {name}.")
    group, *others = scheduler.optimizer.param_groups
    if any(other["initial_lr"] != group["initial_lr"] for other in others):
        raise ValueError("scheduler must have one rate for all parameter groups, got several (see `per_label`).")
    found = {key: getattr(scheduler, key) for key in ATTRIBUTES[name]}
    if name == "MultiStepLR":
        found["milestones"] = tuple(sorted(scheduler.milestones.elements()))
    if name == "CyclicLR":
        up = round(scheduler.total_size * scheduler.step_ratio)
        found |= {"step_size_up": up, "step_size_down": round(scheduler.total_size) - up}
        found |= {"base_lr": scheduler.base_lrs[0], "max_lr": scheduler.max_lrs[0]}
        refuse("scale_fn", scheduler._scale_fn_custom, None)
    elif name == "OneCycleLR":
        phases, total = scheduler._schedule_phases, scheduler.total_steps
        found |= {"pct_start": (phases[0]["end_step"] + 1) / total, "three_phase": len(phases) == 3}
        found |= {"max_lr": group["max_lr"], "anneal_strategy": scheduler._anneal_func_type}
        found["div_factor"] = group["max_lr"] / positive("initial_lr", group["initial_lr"])
        found["final_div_factor"] = group["initial_lr"] / positive("min_lr", group["min_lr"])
    else:
        found["lr"] = group["initial_lr"]
    if getattr(scheduler, "cycle_momentum", False):
        found |= {key: group[key] for key in ("base_momentum", "max_momentum")}
    return name, found


def from_torch(scheduler: Any, **arguments: Any) -> Schedule:
    """A scheduler of PyTorch's, from its object, or from its class name and arguments.

    lr(t) is the rate of the update after t calls of scheduler.step(), and constant from the schedule's end on.

    Args:
      scheduler: an object of torch.optim.lr_scheduler, whose state is not read (the schedule begins at 0), or a class
        name: ConstantLR, CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, ExponentialLR, LinearLR,
        MultiStepLR, OneCycleLR, PolynomialLR, StepLR.
      arguments: those of the class, if a name was given, and lr, the optimiser's rate (not for OneCycleLR and
        CyclicLR); and total_steps for a schedule that has no end.
    Returns:
      int step of any shape -> float32 of that shape.
    Raises:
      ValueError: if the class or an argument is not known, or has no counterpart here.
    Example:
      >>> schedule = from_torch("StepLR", lr=0.1, step_size=30, total_steps=90)
      >>> print(f"{schedule(29):.4f} {schedule(30):.4f} {schedule(60):.4f}")
      0.1000 0.0100 0.0010

    Source:
      PyTorch 2.13, `torch.optim.lr_scheduler`; compared at every step in tests/conformance.
    """
    name, found = (scheduler, {}) if isinstance(scheduler, str) else _read(scheduler)
    return call("PyTorch", RATES, name, {**found, **arguments})


def from_torch_momentum(scheduler: Any, **arguments: Any) -> Schedule:
    """The momentum that PyTorch's OneCycleLR or CyclicLR moves along with the rate.

    m(t) is the momentum of the update after t calls of scheduler.step().

    Args:
      scheduler: an object of either class, or its name.
      arguments: those of the class, if a name was given; and total_steps for CyclicLR.
    Returns:
      int step of any shape -> float32 of that shape.
    Raises:
      ValueError: if the class or an argument is not known, or has no counterpart here.
    Example:
      >>> momentum = from_torch_momentum("OneCycleLR", max_lr=0.1, total_steps=100)
      >>> print(f"{momentum(0):.3f} {momentum(29):.3f} {momentum(99):.3f}")
      0.950 0.850 0.950

    Source:
      PyTorch 2.13, `torch.optim.lr_scheduler`; compared at every step in tests/conformance.
    """
    name, found = (scheduler, {}) if isinstance(scheduler, str) else _read(scheduler)
    moves = arguments.pop("cycle_momentum", getattr(scheduler, "cycle_momentum", True))
    if not moves:
        raise ValueError(f"cycle_momentum must be true: without it {name} leaves the momentum as it is.")
    found.pop("lr", None)
    return call("PyTorch momentum", MOMENTA, name, {**found, **arguments})
