"""Schedules as JSON, exactly: what comes back equals what went in."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from lrsched.schedules.core import Schedule, check_schedule, check_values, fitted
from lrsched.schedules.values import VALUES, short

DEEPEST = 60  # objects and lists within each other


def to_json(schedule: Schedule) -> str:
    """The schedule as JSON: each value an object with its kind and its fields.

    Args:
      schedule: one whose numbers are concrete.
    Returns:
      one line of JSON; `from_json` gives back an equal schedule.
    Raises:
      ValueError: if it is no schedule, or a number of it is an array, or traced.
    Example:
      >>> print(to_json(linear(0.1, total_steps=10)))
      {"kind": "Decay", "peak_value": 0.1, "total_steps": 10, "profile": {"kind": "Linear"}, \
"sampling": {"kind": "EveryStep"}, "end_value": 0.0}

    Source:
      The kinds are this library's own classes.
    """
    return json.dumps(to_document(schedule))


def from_json(text: str) -> Schedule:
    """The schedule that `to_json` wrote.

    Args:
      text: JSON.
    Returns:
      a schedule equal to the one written.
    Raises:
      ValueError: if it is not JSON, names a kind or a field that there is not, or a field holds what it cannot.
    Example:
      >>> from_json(to_json(linear(0.1, total_steps=10))) == linear(0.1, total_steps=10)
      True

    Source:
      The kinds are this library's own classes.
    """
    schedule = from_document(loads(text))
    check_values("a schedule must have rates of at least 0 that float32 holds", schedule)
    return schedule


def loads(text: str) -> Any:
    """What the JSON says, in Python's words.

    Raises:
      ValueError: if it is no JSON as its standard has it: NaN, names given twice in one object, nesting past all sense.
    """
    try:
        return json.loads(text, parse_constant=_refused, object_pairs_hook=_once)
    except (RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"JSON must be text that to_json wrote, got {short(text)} ({error}).") from None


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is given more than once")
    return dict(pairs)


def to_document(schedule: Schedule) -> dict[str, Any]:
    """The object that stands for a schedule in JSON.

    Raises:
      ValueError: if a number of it is an array, or traced, or it is nested too deep.
    """
    check_schedule("schedule", schedule)
    found: dict[str, Any] = _encode(schedule, 0)
    return found


def from_document(found: Any) -> Schedule:
    """The schedule that the object stands for.

    Raises:
      ValueError: if it stands for none, or one of its fields holds what it cannot.
    """
    if (
        isinstance(found, dict)
        and "kind" not in found
        and ("sequence" in found or isinstance(found.get("schedule"), str))
    ):
        raise ValueError(
            "JSON must be text that to_json wrote; words have no budget, and lrsched.plan gives them one, got "
            f"{short(found)}."
        )
    schedule = _decode(found, 0)
    if not isinstance(schedule, Schedule):
        raise ValueError(f"JSON must hold a schedule, got {short(found)}.")
    return fitted(schedule)


def _encode(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"only schedules nested at most {DEEPEST} deep can be written as JSON.")
    if dataclasses.is_dataclass(value):
        fields = {field.name: _encode(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, tuple):
        return [_encode(part, depth + 1) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, int | float | str):
        return value
    if callable(value):
        raise ValueError(f"a function must be asked for by its dotted path to be written as JSON, got {short(value)}.")
    raise ValueError(f"only concrete numbers can be written as JSON, got {short(value)}.")


def _decode(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"JSON must be nested at most {DEEPEST} deep, got more.")
    if isinstance(value, list):
        return tuple(_decode(part, depth + 1) for part in value)
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in VALUES:
        raise ValueError(f"kind must be one of {', '.join(sorted(VALUES))}, got {short(kind)}.")
    fields = {name: _decode(part, depth + 1) for name, part in value.items() if name != "kind"}
    allowed = [field.name for field in dataclasses.fields(VALUES[kind])]
    if sorted(fields) != sorted(allowed):
        found = short(", ".join(fields) or "none", str)
        raise ValueError(f"{kind} must have the fields {', '.join(allowed) or 'none'}, got {found}.")
    return VALUES[kind](**fields)
