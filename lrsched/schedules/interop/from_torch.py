"""PyTorch's lr_scheduler classes, from an object (read, never imported) or from a name and arguments."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

from lrsched.schedules.combine import product, sequence
from lrsched.schedules.core import Schedule
from lrsched.schedules.entered import truncated
from lrsched.schedules.families.cycles import sgdr
from lrsched.schedules.families.cycles_linear import clr
from lrsched.schedules.families.decays import constant, cosine, linear, polynomial
from lrsched.schedules.families.piecewise import multi_step
from lrsched.schedules.families.subsampled import in_parts
from lrsched.schedules.interop import torch_objects
from lrsched.schedules.interop.arguments import (
    Importer,
    call,
    check_known,
    flag,
    integer,
    known,
    largest,
    length,
    listed,
    number,
    refuse,
    whole,
)
from lrsched.schedules.interop.building import cut, exponential, joined
from lrsched.schedules.interop.torch_onecycle import onecycle, onecycle_momentum
from lrsched.schedules.values import LARGEST_STEP, Number, is_concrete


def _lr(value: Number) -> Any:
    return number("lr", value, at_least=0.0)


def _total(value: Number) -> Any:
    return whole("total_steps", value, at_least=1)


def _constant(lr: Number, *, factor: Number = 1 / 3, total_iters: Number = 5) -> Schedule:
    low = _lr(lr) * number("factor", factor, above=0.0, at_most=1.0)
    steps = length("total_iters", total_iters)
    if is_concrete(steps) and (isinstance(steps, Fraction) or steps <= 0):  # PyTorch waits for that very step
        return constant(low, total_steps=1)
    return sequence([constant(low, total_steps=steps), constant(_lr(lr), total_steps=1)])


def _cosine(lr: Number, *, T_max: Number, eta_min: Number = 0.0) -> Schedule:
    first, low = _lr(lr), number("eta_min", eta_min, at_least=0.0)
    steps = length("T_max", T_max, above=0.0)
    return in_parts(lambda steps: cosine(first, total_steps=steps, end_value=low), steps)


def _exponential(lr: Number, *, gamma: Number, total_steps: Number) -> Schedule:
    return _falling(_lr(lr), gamma, 1, _total(total_steps), staircase=False)


def _falling(lr: Number, gamma: Number, period: Number, total: Number, *, staircase: bool) -> Schedule:
    """lr * gamma**(t / period)."""
    rate = number("gamma", gamma, above=0.0)
    if all(map(is_concrete, (lr, rate, period, total))) and lr > 0:
        largest("gamma", math.log(lr) + math.log(rate) * (total // period), rate)
    return exponential(lr, rate, period, staircase, total=total)


def _linear(lr: Number, *, start_factor: Number = 1 / 3, end_factor: Number = 1.0, total_iters: Number = 5) -> Schedule:
    start = number("start_factor", start_factor, above=0.0, at_most=1.0)
    end = number("end_factor", end_factor, at_least=0.0, at_most=1.0)
    steps = length("total_iters", total_iters)
    if is_concrete(steps) and steps < 1:
        return constant(_lr(lr) * start, total_steps=1)
    reached = math.floor(steps) if isinstance(steps, Fraction) else steps  # the last step at which PyTorch moves
    last = start + (end - start) * float(reached / steps) if isinstance(steps, Fraction) else end
    return linear(_lr(lr) * start, total_steps=reached, end_value=lr * last)


def _polynomial(lr: Number, *, total_iters: Number = 5, power: Number = 1.0) -> Schedule:
    first, power = _lr(lr), number("power", power, at_least=0.0)
    steps = length("total_iters", total_iters)
    if is_concrete(steps) and steps < 1:
        return constant(first, total_steps=1)
    whole_ = in_parts(lambda steps: polynomial(first, total_steps=steps, power=power), steps)
    return cut(whole_, math.floor(steps)) if isinstance(steps, Fraction) else whole_


def _step(lr: Number, *, step_size: Number, gamma: Number = 0.1, total_steps: Number) -> Schedule:
    first, total = _lr(lr), _total(total_steps)
    steps = length("step_size", step_size, above=0.0)
    if isinstance(steps, Fraction):  # PyTorch asks at each step whether step % step_size is 0
        steps = min(Fraction(float(step_size)).numerator, LARGEST_STEP)
    return _falling(first, gamma, steps, total, staircase=True)


def _multi_step(lr: Number, *, milestones: Sequence[Number], gamma: Number = 0.1, total_steps: Number) -> Schedule:
    places = sorted(known("milestones", whole("milestones", place)) for place in listed("milestones", milestones))
    factor, total = number("gamma", gamma, at_least=0.0), _total(total_steps)
    if all(map(is_concrete, (lr, factor))) and _lr(lr) * factor > 0:
        largest("gamma", math.log(_lr(lr)) + math.log(factor) * len(places), factor)
    return multi_step(_lr(lr), total_steps=total, boundaries=tuple(places), factor=factor)


def _restarts(lr: Number, *, T_0: int, T_mult: int = 1, eta_min: Number = 0.0, total_steps: Number) -> Schedule:
    words = {"first_cycle": known("T_0", integer("T_0", T_0)), "cycle_mult": known("T_mult", integer("T_mult", T_mult))}
    low = number("eta_min", eta_min, at_least=0.0)
    return sgdr(_lr(lr), total_steps=_total(total_steps), end_value=low, **words)


def _cyclic(
    base_lr: Number,
    max_lr: Number,
    step_size_up: Number = 2000,
    step_size_down: Number | None = None,
    mode: str = "triangular",
    gamma: Number = 1.0,
    scale_fn: None = None,
    scale_mode: str = "cycle",
    *,
    total_steps: Number,
    **momentum: Any,
) -> Schedule:
    check_known(momentum, ("cycle_momentum", "base_momentum", "max_momentum"))
    low, high = number("base_lr", base_lr, at_least=0.0), number("max_lr", max_lr, above=0.0)
    return _triangles(low, high, step_size_up, step_size_down, mode, gamma, scale_fn, total_steps)


def _triangles(
    low: Number, high: Number, up: Number, down: Number | None, mode: str, gamma: Number, scale_fn: Any, total: Number
) -> Schedule:
    half = known("step_size_up", length("step_size_up", up, above=0.0))
    refuse("scale_fn", scale_fn, None)
    if down is not None:
        refuse("step_size_down", length("step_size_down", down), half)
    if mode not in ("triangular", "triangular2", "exp_range"):
        raise ValueError(f"mode must be one of triangular, triangular2, exp_range, got {mode!r}.")
    total = _total(total)
    factor = number("gamma", gamma, above=0.0) if mode == "exp_range" else 1.0
    if all(map(is_concrete, (low, high, factor, total))):
        largest("gamma", math.log(max(low, high)) + math.log(factor) * total, factor)

    def build(parts: Number, half: Number) -> Schedule:
        per_part = factor ** (1 / (parts // total)) if isinstance(parts, int) and parts != total else factor
        return clr(high, total_steps=parts, mode=mode, initial_fraction=low / high, half_cycle=half, gamma=per_part)

    return in_parts(build, total, half, budget=total) if is_concrete(total) else build(total, half)


def _cyclic_momentum(
    base_momentum: Number = 0.8,
    max_momentum: Number = 0.9,
    step_size_up: Number = 2000,
    step_size_down: Number | None = None,
    mode: str = "triangular",
    gamma: Number = 1.0,
    scale_fn: None = None,
    scale_mode: str = "cycle",
    *,
    total_steps: Number,
    **rates: Any,
) -> Schedule:
    check_known(rates, ("base_lr", "max_lr", "cycle_momentum"))
    low, high = number("base_momentum", base_momentum, above=0.0), number("max_momentum", max_momentum, at_least=0.0)
    return _triangles(high, low, step_size_up, step_size_down, mode, gamma, scale_fn, total_steps)


def _sequential(schedulers: Sequence[Any], milestones: Sequence[int], *, total_steps: Number | None = None) -> Schedule:
    """From schedules of this library."""
    total = None if total_steps is None else _total(total_steps)
    return joined("schedulers", listed("schedulers", schedulers), "milestones", milestones, total)


RATES: dict[str, Importer] = {
    "ConstantLR": _constant,
    "CosineAnnealingLR": _cosine,
    "CosineAnnealingWarmRestarts": _restarts,
    "CyclicLR": _cyclic,
    "ExponentialLR": _exponential,
    "LinearLR": _linear,
    "MultiStepLR": _multi_step,
    "OneCycleLR": onecycle,
    "PolynomialLR": _polynomial,
    "SequentialLR": _sequential,
    "StepLR": _step,
}
MOMENTA: dict[str, Importer] = {"CyclicLR": _cyclic_momentum, "OneCycleLR": onecycle_momentum}


#: The class's own length is not the budget.
OPEN = ("CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "MultiStepLR", "StepLR")
#: Each multiplies the rate it finds by a number of its own.
FACTORS = ("ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR", "PolynomialLR", "StepLR")


def from_torch(scheduler: Any, **arguments: Any) -> Schedule:
    """A scheduler of PyTorch's, from its object, or from its class name and arguments.

    lr(t) is the rate of the update after t calls of scheduler.step(), and constant from the schedule's end on.

    Args:
      scheduler: an object of torch.optim.lr_scheduler, whose state is not read (the schedule begins at 0), or a class
        name: ConstantLR, CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, ExponentialLR, LinearLR,
        MultiStepLR, OneCycleLR, PolynomialLR, SequentialLR, StepLR; as an object also ChainedScheduler.
      arguments: those of the class, if a name was given, and lr, the optimiser's rate (not for OneCycleLR and
        CyclicLR); and total_steps for a schedule that has no end. SequentialLR takes schedules of this library.
    Returns:
      int step of any shape -> float32 of that shape.
    Raises:
      ValueError: if the class or an argument is not known, or has no counterpart here; if parameter groups differ.
    Example:
      >>> schedule = from_torch("StepLR", lr=0.1, step_size=30, total_steps=90)
      >>> print(f"{schedule(29):.4f} {schedule(30):.4f} {schedule(60):.4f}")
      0.1000 0.0100 0.0010

    Source:
      PyTorch 2.13, `torch.optim.lr_scheduler`; compared at every step in tests/conformance.
    """
    if not isinstance(scheduler, str):
        return _from_object(scheduler, arguments)
    return call("PyTorch", RATES, scheduler, torch_objects.begun(arguments))


def _from_object(scheduler: Any, arguments: dict[str, Any], *, first: bool = True) -> Schedule:
    """The schedule of an object; `first` unless another of a SequentialLR comes before it."""
    name = torch_objects.name_of(scheduler, RATES)
    if name == "ChainedScheduler":
        return _chained(scheduler, **arguments)
    if name != "SequentialLR":
        return call("PyTorch", RATES, name, {**torch_objects.rates(scheduler, name, first=first), **arguments})
    ends = [0, *(whole("milestones", end) for end in scheduler._milestones)]
    lengths: list[Any] = [after - before for before, after in itertools.pairwise(ends)]
    total = arguments.get("total_steps")
    lengths.append(None if total is None else max(whole("total_steps", total) - ends[-1], 1))
    parts = []
    for position, (part, steps) in enumerate(zip(scheduler._schedulers, lengths, strict=True)):
        own = {} if steps is None or type(part).__name__ not in OPEN else {"total_steps": max(steps, 1)}
        parts.append(_from_object(part, own, first=position == 0))
    return call("PyTorch", RATES, name, {"schedulers": parts, "milestones": ends[1:], **arguments})


def _chained(scheduler: Any, total_steps: Number | None = None) -> Schedule:
    """The product of what each of a ChainedScheduler's schedulers multiplies the rate by."""
    parts: list[Schedule] = []
    total = None if total_steps is None else _total(total_steps)
    for part in scheduler._schedulers:
        name = torch_objects.name_of(part, RATES)
        found = torch_objects.rates(part, name, first=True)
        if name not in FACTORS or found.get("eta_min", 0):
            raise ValueError(f"ChainedScheduler must be of {', '.join(FACTORS)} (eta_min 0), got {name}.")
        own = {"total_steps": total} if name in OPEN else {}
        parts.append(call("PyTorch", RATES, name, {**found, **({"lr": 1.0} if parts else {}), **own}))
    longest = max(part.total_steps for part in parts) if total is None else total
    one, *others = [truncated(part, longest) for part in parts]
    return functools.reduce(product, others, cast(Schedule, one))


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
    moves = arguments.pop("cycle_momentum", getattr(scheduler, "cycle_momentum", True))
    name = scheduler if isinstance(scheduler, str) else torch_objects.name_of(scheduler, MOMENTA)
    if not flag("cycle_momentum", moves):
        raise ValueError(f"cycle_momentum must be true: without it {name} leaves the momentum as it is.")
    found = {} if isinstance(scheduler, str) else torch_objects.momenta(scheduler, name)
    return call("PyTorch momentum", MOMENTA, name, {**found, **torch_objects.begun(arguments)})
