"""timm's schedulers, by the names of its classes or those of `create_scheduler_v2`; the library is not imported.

Their clock is an epoch unless `t_in_epochs=False` (`step_on_epochs=False`), and then the rate of a whole epoch is one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from lrsched.schedules import profiles
from lrsched.schedules.combine import product, sequence
from lrsched.schedules.core import Schedule, decay
from lrsched.schedules.entered import Held, after
from lrsched.schedules.families.inverse import exponential_decay, rsqrt
from lrsched.schedules.families.phased import wsd
from lrsched.schedules.families.piecewise import multi_step
from lrsched.schedules.families.rising import growth
from lrsched.schedules.interop.arguments import (
    Importer,
    call,
    check_known,
    flag,
    known,
    length,
    listed,
    number,
    refuse,
    whole,
)
from lrsched.schedules.interop.building import cut, warmed
from lrsched.schedules.profiles import Profile
from lrsched.schedules.values import Number, is_concrete

NOISE = ("noise_range_t", "noise_pct", "noise_std", "noise_seed", "initialize")
DECAYS = {"linear": "linear", "1-sqrt": "one_minus_sqrt", "cosine": "cosine"}
MOST_CYCLES = 1000


def _cycles(profile: Profile, lr: Number, given: dict[str, Any]) -> Schedule:
    """So many decays, each longer and from a lower peak than the one before, and the floor behind them."""
    floor = number("lr_min", given.get("lr_min", 0.0), at_least=0.0)
    fade = number("cycle_decay", given.get("cycle_decay", 1.0), at_least=0.0)
    first = whole("t_initial", given["t_initial"], at_least=1)
    mult = known("cycle_mul", whole("cycle_mul", given.get("cycle_mul", 1.0), at_least=1))
    count = known("cycle_limit", whole("cycle_limit", given.get("cycle_limit", 1), at_least=1))
    if count > MOST_CYCLES:
        raise ValueError(f"cycle_limit must be at most {MOST_CYCLES}, got {count}.")
    lengths = [whole("a cycle of t_initial * cycle_mul**i", first * mult**i) for i in range(count)]
    falls = [
        decay(lr * fade**i, profile=profile, total_steps=steps, end_value=floor) for i, steps in enumerate(lengths)
    ]
    one = falls[0] if count == 1 else sequence(falls)
    if isinstance(profile, profiles.Tanh):  # it does not end at the floor, but jumps there
        return cut(sequence([one, growth(floor, total_steps=1, profile="constant")]), one.total_steps)
    return one


def _begun(fall: Schedule, lr: Number, given: dict[str, Any], prefix: bool, top: Number | None = None) -> Schedule:
    """`fall` behind a linear warmup (warmup_prefix), or with its first steps replaced by one."""
    warm = whole("warmup_t", given.get("warmup_t", 0))
    low = number("warmup_lr_init", given.get("warmup_lr_init", 0.0), at_least=0.0)
    if flag("warmup_prefix", given.get("warmup_prefix", prefix)) or (is_concrete(warm) and warm == 0):
        return warmed(low, lr, warm, fall)
    if is_concrete(warm) and is_concrete(fall.total_steps) and warm >= fall.total_steps:
        raise ValueError(f"warmup_t must be below the {fall.total_steps} steps of the schedule, got {warm}.")
    return warmed(low, lr if top is None else top, warm, after(fall, warm))


def _stepped(made: Schedule, given: dict[str, Any], total: Number | None = None) -> Schedule:
    """The schedule in updates, if its steps are epochs: held for updates_per_epoch of them."""
    check_known({key: 0 for key in given if key.startswith("noise") or key == "initialize"}, NOISE)
    refuse("noise_range_t", given.get("noise_range_t"), None)
    if not flag("t_in_epochs", given.get("t_in_epochs", True)):
        return made if total is None else cut(made, total)
    every = _updates(given.get("updates_per_epoch", 0))
    if total is None:
        return Held(made, every, made.total_steps * every)
    return Held(cut(made, -(-total // every)), every, total)


def _updates(updates_per_epoch: Number) -> Any:
    if is_concrete(updates_per_epoch) and updates_per_epoch == 0:
        raise ValueError("updates_per_epoch must be given, at least 1, where timm steps by the epoch, got none.")
    return whole("updates_per_epoch", updates_per_epoch, at_least=1)


def _epochs(given: dict[str, Any], total_steps: Number) -> tuple[Any, Any]:
    """The budget in updates, and in the scheduler's own steps."""
    total = whole("total_steps", total_steps, at_least=1)
    if not flag("t_in_epochs", given.get("t_in_epochs", True)):
        return total, total
    return total, -(-total // _updates(given.get("updates_per_epoch", 0)))


def _decay(lr: Number, profile: Profile, given: dict[str, Any], *, taken_from_fall: bool = False) -> Schedule:
    fall = _cycles(profile, lr, given)
    top = None
    if taken_from_fall and not given.get("warmup_prefix", False):  # of the tanh: to where the fall is by then
        warm = whole("warmup_t", given.get("warmup_t", 0))
        top = float(fall.table([warm])[0]) if all(map(is_concrete, (lr, warm))) else fall(warm)
    return _stepped(_begun(fall, lr, given, False, top), given)


def _cosine(lr: Number, *, t_initial: Number, k_decay: Number = 1.0, **rest: Any) -> Schedule:
    refuse("k_decay", k_decay, 1.0)
    check_known(rest, CYCLED)
    return _decay(lr, profiles.cosine(), {"t_initial": t_initial, **rest})


def _tanh(lr: Number, *, t_initial: Number, lb: Number = -7.0, ub: Number = 3.0, **rest: Any) -> Schedule:
    check_known(rest, CYCLED)
    profile = profiles.tanh(number("lb", lb), number("ub", ub))
    return _decay(lr, profile, {"t_initial": t_initial, **rest}, taken_from_fall=True)


def _poly(lr: Number, *, t_initial: Number, power: Number = 0.5, k_decay: Number = 1.0, **rest: Any) -> Schedule:
    refuse("k_decay", k_decay, 1.0)
    check_known(rest, CYCLED)
    profile = profiles.polynomial(number("power", power, at_least=0.0))
    return _decay(lr, profile, {"t_initial": t_initial, **rest})


def _step(lr: Number, *, decay_t: Number, decay_rate: Number = 1.0, total_steps: Number, **rest: Any) -> Schedule:
    check_known(rest, WARMED)
    total, steps = _epochs(rest, total_steps)
    rate, period = number("decay_rate", decay_rate, above=0.0), length("decay_t", decay_t, above=0.0)
    fall = exponential_decay(lr, total_steps=steps, decay_rate=rate, transition_steps=period, staircase=True)
    return _stepped(_begun(fall, lr, rest, True), rest, total)


def _multi_step(
    lr: Number, *, decay_t: Sequence[Number], decay_rate: Number = 1.0, total_steps: Number, **rest: Any
) -> Schedule:
    check_known(rest, WARMED)
    total, steps = _epochs(rest, total_steps)
    given = [known("decay_t", length("decay_t", place, above=0.0)) for place in listed("decay_t", decay_t)]
    if given != sorted(given):
        raise ValueError(f"decay_t must ascend, got {', '.join(f'{float(place):g}' for place in given)}.")
    early = tuple(max(math.ceil(place) - 1, 0) for place in given)  # milestone m acts at step m - 1
    rate = number("decay_rate", decay_rate, at_least=0.0)
    fall = multi_step(lr, total_steps=steps, boundaries=early, factor=rate)
    return _stepped(_begun(fall, lr, rest, True), rest, total)


def _falling(decay_fn: str, decay_power: Number, decay_ratio: Number) -> str | Profile:
    if decay_fn == "power":
        return profiles.k_decay("linear", number("decay_power", decay_power, above=0.0))
    if decay_fn == "exp":
        return profiles.exponential_to_zero(number("decay_ratio", decay_ratio, above=0.0))
    if decay_fn not in DECAYS:
        raise ValueError(f"decay_fn must be one of {', '.join(DECAYS)}, power, exp, got {decay_fn!r}.")
    return DECAYS[decay_fn]


def _wsd(
    lr: Number,
    *,
    t_initial: Number,
    decay_t: Number,
    lr_min: Number = 0.0,
    stable_fn: str = "constant",
    stable_timescale: Number | None = None,
    stable_power: Number = 0.5,
    decay_fn: str = "1-sqrt",
    decay_power: Number = 0.5,
    decay_ratio: Number = 0.1,
    **rest: Any,
) -> Schedule:
    check_known(rest, tuple(name for name in WARMED if name != "warmup_prefix"))
    warm = whole("warmup_t", rest.get("warmup_t", 0))
    both, fall = whole("t_initial", t_initial, at_least=1), whole("decay_t", decay_t, at_least=1)
    low = number("lr_min", lr_min, at_least=0.0)
    first = number("warmup_lr_init", rest.get("warmup_lr_init", 0.0), at_least=0.0)
    shape = _falling(decay_fn, decay_power, decay_ratio)
    if is_concrete(fall) and is_concrete(both) and fall > both:
        raise ValueError(f"decay_t must be at most t_initial = {both}, got {fall}.")
    if stable_fn == "constant":
        words: Any = {"warmup": warm, "cooldown": fall, "shape": shape, "init_value": first, "end_value": low}
        return _stepped(wsd(lr, total_steps=warm + both, **words), rest)
    if stable_fn not in ("rsqrt", "power"):
        raise ValueError(f"stable_fn must be one of constant, rsqrt, power, got {stable_fn!r}.")
    if stable_fn == "power":
        refuse("stable_power", stable_power, 0.5)
    refuse("lr_min, beside a stable_fn that decays,", lr_min, 0.0)
    scale = whole("stable_timescale", warm if stable_timescale is None else stable_timescale, at_least=1)
    root = rsqrt(lr, total_steps=both, warmup=0, timescale=scale)
    end = wsd(1.0, total_steps=both, warmup=0, cooldown=fall, shape=shape)
    return _stepped(warmed(first, lr, warm, product(root, end)), rest)


WARMED = ("warmup_t", "warmup_lr_init", "warmup_prefix", "t_in_epochs", "updates_per_epoch", *NOISE)
CYCLED = ("lr_min", "cycle_mul", "cycle_decay", "cycle_limit", *WARMED)


#: The arguments of create_scheduler_v2 and what they are if not given.
DEFAULTS: dict[str, Any] = {
    "num_epochs": 300,
    "decay_epochs": None,
    "decay_milestones": (90, 180, 270),
    "cooldown_epochs": 0,
    "patience_epochs": 10,
    "decay_rate": 0.1,
    "min_lr": 0.0,
    "warmup_lr": 1e-5,
    "warmup_epochs": 0,
    "warmup_prefix": False,
    "noise": None,
    "noise_pct": 0.67,
    "noise_std": 1.0,
    "noise_seed": 42,
    "cycle_mul": 1.0,
    "cycle_decay": 0.1,
    "cycle_limit": 1,
    "k_decay": 1.0,
    "decay_fn": None,
    "stable_timescale": None,
    "plateau_mode": "max",
    "step_on_epochs": True,
    "updates_per_epoch": 0,
}


def _created(sched: str, lr: Number, **given: Any) -> Schedule:
    """What `create_scheduler_v2` makes of these, for as many epochs as it returns beside the scheduler."""
    check_known(given, tuple(DEFAULTS))
    a = {**DEFAULTS, **given}
    refuse("noise", a["noise"], None)
    by_epoch, updates = flag("step_on_epochs", a["step_on_epochs"]), _updates(a["updates_per_epoch"])
    one = 1 if by_epoch else updates  # the scheduler's own steps in an epoch
    prefix = flag("warmup_prefix", a["warmup_prefix"])
    epochs = whole("num_epochs", a["num_epochs"], at_least=1) * one
    warm = whole("warmup_epochs, in steps,", a["warmup_epochs"] * one)
    rest = {"warmup_t": warm, "warmup_lr_init": a["warmup_lr"], "t_in_epochs": by_epoch, "updates_per_epoch": updates}
    if sched in ("step", "multistep", "constant"):
        total = (epochs + warm * prefix) * (updates // one)
        rest = {**rest, "warmup_prefix": prefix, "total_steps": total}
        if sched == "multistep":
            places = [place * one for place in listed("decay_milestones", a["decay_milestones"])]
            return _multi_step(lr, decay_t=places, decay_rate=a["decay_rate"], **rest)
        every = 90 if a["decay_epochs"] is None else a["decay_epochs"]
        period = 1 if sched == "constant" else length("decay_epochs", every, above=0.0) * one
        return _step(lr, decay_t=period, decay_rate=1.0 if sched == "constant" else a["decay_rate"], **rest)
    if sched in ("wsd", "rsqrt"):
        made = _created_wsd(sched, lr, a, epochs if prefix else epochs - warm, one, rest)
    else:
        rest = {**rest, "warmup_prefix": prefix, "t_initial": epochs, "lr_min": a["min_lr"]}
        rest |= {key: a[key] for key in ("cycle_mul", "cycle_decay", "cycle_limit")}
        if sched == "tanh":
            made = _tanh(lr, **rest)
        elif sched == "poly":
            made = _poly(lr, power=a["decay_rate"], k_decay=a["k_decay"], **rest)
        else:
            made = _cosine(lr, k_decay=a["k_decay"], **rest)
    return cut(made, made.total_steps + whole("cooldown_epochs", a["cooldown_epochs"]) * updates)


def _created_wsd(
    sched: str, lr: Number, a: dict[str, Any], left: Number, one: Number, rest: dict[str, Any]
) -> Schedule:
    """Warmup is always before the other phases here; without warmup_prefix they share num_epochs with it."""
    fall = (
        0.2 if a["decay_epochs"] is None else known("decay_epochs", number("decay_epochs", a["decay_epochs"], above=0))
    )
    return _wsd(
        lr,
        t_initial=left,
        decay_t=round(fall * left if fall < 1 else fall * one),
        lr_min=a["min_lr"],
        stable_fn="rsqrt" if sched == "rsqrt" else "constant",
        stable_timescale=None if a["stable_timescale"] is None else a["stable_timescale"] * one,
        decay_fn=a["decay_fn"] or ("linear" if sched == "rsqrt" else "1-sqrt"),
        **rest,
    )


TIMM: dict[str, Importer] = {
    "CosineLRScheduler": _cosine,
    "MultiStepLRScheduler": _multi_step,
    "PolyLRScheduler": _poly,
    "StepLRScheduler": _step,
    "TanhLRScheduler": _tanh,
    "WSDLRScheduler": _wsd,
    **{
        name: functools.partial(_created, name)
        for name in ("constant", "cosine", "multistep", "poly", "rsqrt", "step", "tanh", "wsd")
    },
}


def from_timm(name: str, *, lr: Number, **arguments: Any) -> Schedule:
    """A scheduler of timm's, from its class name and arguments, or as `create_scheduler_v2` makes it.

    lr(t) is the rate of the update after t calls of step_update, or, where timm steps by the epoch, after
    t // updates_per_epoch calls of step: one rate for an epoch. It is constant from the schedule's end on.

    Args:
      name: "CosineLRScheduler", "MultiStepLRScheduler", "PolyLRScheduler", "StepLRScheduler", "TanhLRScheduler" or
        "WSDLRScheduler"; or a `sched` of create_scheduler_v2: constant, cosine, multistep, poly, rsqrt, step, tanh or
        wsd.
      lr: the optimiser's rate.
      arguments: the class's own (t_initial, lr_min, warmup_t, warmup_lr_init, warmup_prefix, cycle_limit ...), or those
        of create_scheduler_v2 (num_epochs, min_lr, warmup_epochs, step_on_epochs ...), by name; and updates_per_epoch
        wherever an epoch has to be known. The classes of steps, which have no end, take total_steps, in updates.
        With warmup_prefix=False (the default but for steps) the warmup replaces the first steps of the decay, which
        then jumps to where it would be. A milestone of "multistep" acts a step early, as it does there. k_decay, noise,
        a cycle_mul between whole numbers, and lengths in parts of a step (but for decay_t of steps) are not supported.
    Returns:
      int step of any shape -> float32 of that shape.
    Raises:
      ValueError: if the name or an argument is not known, or has no counterpart here.
    Example:
      >>> schedule = from_timm("CosineLRScheduler", lr=0.1, t_initial=100, warmup_t=10, warmup_prefix=True,
      ...                      t_in_epochs=False)
      >>> print(f"{schedule(5):.3f} {schedule(10):.3f} {schedule(60):.3f} {schedule(110):.3f}")
      0.050 0.100 0.050 0.000
      >>> by_epoch = from_timm("cosine", lr=0.1, num_epochs=10, updates_per_epoch=50)
      >>> print(f"{by_epoch(249):.4f} {by_epoch(250):.4f} {by_epoch.total_steps}")   # epochs 4 and 5
      0.0655 0.0500 500

    Source:
      timm 1.0.31, `timm.scheduler`; compared at every step in tests/conformance.
    """
    if name in ("plateau", "PlateauLRScheduler"):
        raise ValueError(f"timm schedule must be a function of the step, got {name!r}: see lrsched.plateau.")
    return call("timm", TIMM, name, {"lr": number("lr", lr, at_least=0.0), **arguments})
