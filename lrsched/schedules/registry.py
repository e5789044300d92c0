"""The schedules by name, and the words they are asked for in.

Words are `name`, `name:argument=value,argument=value` and `...@sampling`, as in `rex`, `rex:d=0.9`, `linear@50-75`,
`step:fractions=0.3/0.6/0.8,factor=0.2`; or the same as JSON: {"schedule": "rex", "d": 0.9, "sampling": "50-75"}.
A length in steps may be said in epochs where a plan knows them: `sgdr:first_cycle=10ep`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from lrsched.schedules import compose, sampling
from lrsched.schedules.budget import Budget
from lrsched.schedules.core import Schedule
from lrsched.schedules.families import cycles, cycles_linear, decays, fractal, onecycle, piecewise, steps, warm
from lrsched.schedules.progress import check_number

#: Every schedule that is asked for by name: factory(peak_value, *, total_steps, ...).
SCHEDULES: dict[str, Callable[..., Schedule]] = {
    factory.__name__: factory
    for factory in (
        decays.constant,
        decays.cosine,
        warm.delayed,
        decays.exponential,
        steps.exponential_decay,
        fractal.fractal,
        warm.growth,
        warm.infinite,
        steps.inverse_sqrt,
        steps.inverse_time,
        warm.knee,
        decays.linear,
        decays.mirror_cosine,
        piecewise.multi_step,
        steps.noam,
        decays.one_minus_sqrt,
        onecycle.onecycle,
        piecewise.piecewise_constant,
        piecewise.piecewise_interpolate,
        decays.polynomial,
        decays.rex,
        steps.rsqrt,
        decays.square,
        piecewise.step,
        decays.tanh,
        cycles_linear.clr,
        cycles_linear.fge,
        cycles.sgdr,
        cycles.snapshot_cosine,
        cycles_linear.swa,
        compose.warmup,
        warm.wsd,
    )
}
#: Momentum schedules: factory(first value, *, total_steps, ...); any schedule whose first value is below 1.
MOMENTA: dict[str, Callable[..., Schedule]] = {
    **SCHEDULES,
    "demon": warm.demon,
    "onecycle": onecycle.onecycle_momentum,
}
#: Schedules that bring a momentum of their own; it shares their variant.
PAIRED = {"onecycle": "onecycle"}

Words = str | Mapping[str, Any]


def parse(words: Words, *, kind: Mapping[str, Callable[..., Schedule]] = SCHEDULES) -> dict[str, Any]:
    """Words -> {"schedule": name, every argument but the budget}: checked, defaults filled in, ready for JSON.

    `peak_value` is there only if the words gave one.

    Raises:
      ValueError: for an unknown schedule or argument, or a value that the schedule refuses.
    """
    given = dict(words) if isinstance(words, Mapping) else _read(words)
    name = given.pop("schedule", None)
    if not isinstance(name, str) or name not in kind:
        raise ValueError(f"schedule must be one of {', '.join(kind)}, got {name!r}.")
    first, *rest = inspect.signature(kind[name]).parameters.values()
    allowed = {p.name: p.default for p in rest if p.name != "total_steps"}
    for key in given:
        if key not in allowed and key != first.name:
            raise ValueError(f"{name} takes {', '.join([first.name, *allowed])}, got {key!r}.")
    if first.default is not first.empty:
        allowed[first.name] = first.default
    full = {"schedule": name, **allowed, **{key: _plain(key, value) for key, value in given.items()}}
    if "sampling" in allowed:
        full["sampling"] = full["sampling"] or "every"
    for key, value in full.items():
        if isinstance(value, tuple):
            full[key] = list(value)
        elif isinstance(allowed.get(key), tuple) and not isinstance(value, list):
            full[key] = [value]  # a list of one
    # a traced budget: everything is checked but whether steps fit into it, which is not known yet
    value = full.get(first.name, 0.5)
    jax.eval_shape(lambda T: build(full, value, total_steps=T, kind=kind, steps_per_epoch=1), np.int32(1))
    return full


def build(
    words: Words,
    first_value: Any = None,
    *,
    total_steps: Any,
    kind: Mapping[str, Callable[..., Schedule]] = SCHEDULES,
    steps_per_epoch: int | None = None,
) -> Schedule:
    """The schedule of these words, with its peak (or, of a momentum, its first value) and budget.

    The sampling rate "epoch" and lengths in epochs ("10ep") need to know how many steps an epoch has.

    Raises:
      ValueError: for a schedule or a value that is refused, or epochs of unknown length.
    """
    given = dict(words) if isinstance(words, Mapping) else parse(words, kind=kind)
    name = given.pop("schedule")
    first, *_ = inspect.signature(kind[name]).parameters
    value = given.pop(first, first_value)
    if kind is MOMENTA and value is not None:
        check_number(first, value, at_least=0.0, below=1.0)
    if given.get("sampling") == "epoch":
        given["sampling"] = sampling.every_steps(steps_per_epoch)
    elif given.get("sampling"):
        given["sampling"] = sampling.named(given["sampling"])
    given = {key: _in_steps(key, entry, steps_per_epoch) for key, entry in given.items()}
    try:
        return kind[name](value, total_steps=total_steps, **given)
    except TypeError as error:
        raise ValueError(f"{name}: {error}.") from error


def _in_steps(key: str, value: Any, steps_per_epoch: int | None) -> Any:
    """An argument with epochs turned into steps, and lists into tuples."""
    if isinstance(value, tuple | list):
        return tuple(_in_steps(key, part, steps_per_epoch) for part in value)
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)ep", value) if isinstance(value, str) else None
    if found is None:
        return value
    if steps_per_epoch is None:
        raise ValueError(f"{key} must be in steps or a fraction where no epochs are known, got {value!r}.")
    return Budget(float(found[1]), steps_per_epoch).total_steps


def _plain(key: str, value: Any) -> Any:
    """A value that JSON can hold: of an array's number its Python one.

    Raises:
      ValueError: if it has none.
    """
    if hasattr(value, "item") and np.ndim(value) == 0:
        return value.item()
    if isinstance(value, tuple | list):
        return type(value)(_plain(key, part) for part in value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"{key} must be a number, a word or a list of them, got {value!r}.")


def label(words: Words, *, kind: Mapping[str, Callable[..., Schedule]] = SCHEDULES) -> str:
    """The shortest words for the same schedule: defaults left out, arguments in the signature's order."""
    full = parse(words, kind=kind)
    name = full["schedule"]
    taken = inspect.signature(kind[name]).parameters
    said = []
    for key, value in full.items():
        if key not in ("schedule", "sampling") and not _same(value, taken[key]):
            said.append(f"{key}={'/'.join(map(_said, value)) if isinstance(value, list) else _said(value)}")
    text = name + (":" + ",".join(said) if said else "")
    rate = full.get("sampling", "every")
    return text if rate == "every" else f"{text}@{rate}"


def _same(value: Any, taken: inspect.Parameter) -> bool:
    """Whether a value is an argument's default. Where it may be a length, 1 is a step and 1.0 the whole budget."""
    default = list(taken.default) if isinstance(taken.default, tuple) else taken.default
    exact = "str" in str(taken.annotation)
    return bool(value == default) and (not exact or repr(value) == repr(default))


def _said(value: Any) -> str:
    """What `_value` reads."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _read(words: str) -> dict[str, Any]:
    text = words.strip()
    if text.startswith("{"):
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"schedule must be words or a JSON object, got {words!r} ({error}).") from error
        return dict(given)
    text, at, rate = text.partition("@")
    name, colon, arguments = text.partition(":")
    if (at and not rate) or (colon and not arguments):
        raise ValueError(f"schedule must be written name:argument=value@sampling, got {words!r}.")
    given = {"schedule": name}
    for argument in filter(None, arguments.split(",")):
        key, equals, value = argument.partition("=")
        if not equals:
            raise ValueError(f"schedule arguments are written name:argument=value, got {words!r}.")
        if key in given:
            raise ValueError(f"schedule arguments must be given once, got {key} again in {words!r}.")
        given[key] = _value(value)
    if rate and "sampling" in given:
        raise ValueError(f"schedule arguments must be given once, got sampling again in {words!r}.")
    if rate:
        given["sampling"] = rate
    return given


def _value(text: str) -> Any:
    if text in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text]
    if "/" in text:
        return [_value(part) for part in text.split("/")]
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text
