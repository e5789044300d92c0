"""The language of schedules: text or JSON in, checked JSON out, and the shortest text for it.

Words are `name`, `name:argument=value,argument=value` and `...@sampling`, as in `rex`, `rex:d=0.9`, `linear@50-75`,
`step:fractions=0.3/0.6/0.8,factor=0.2`; or the same as JSON: {"schedule": "rex", "d": 0.9, "sampling": "50-75"}.
Lengths are written as in `durations`; those in epochs or examples need a plan that knows them: `sgdr:first_cycle=10ep`.

A name with a dot is a factory of somebody else's, imported from there: `my_package.schedules.mine:cut=0.1@50-75`.

Schedules one after the other are joined by a plus sign, each with its duration first: `warmup:5%+cosine`,
`warmup:100st+constant+linear:20%,end_value=0.001`. A duration is a percentage, steps, epochs (2ep) or rest; the one
segment without a duration takes the rest. As JSON: {"sequence": [{"schedule": "warmup", "duration": "5%"}, ...]}.

A schedule value, or its `to_json`, may stand wherever words may. It carries its rates: where a peak is given beside
it, all are scaled so that the highest under its own budget becomes that peak.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lrsched.schedules import codec
from lrsched.schedules.core import Schedule
from lrsched.schedules.durations import duration
from lrsched.schedules.foreign import is_named, is_path
from lrsched.schedules.registry import SCHEDULES, Factory, build, factory, with_peak
from lrsched.schedules.values import perhaps, short

Words = str | Mapping[str, Any] | Schedule
#: Arguments that are younger than recorded runs: not written out where they are the default, so that ids stay.
YOUNGER = {"warmup": ("shape",)}


class Parsed(dict[str, Any]):
    """What `parse` made of the words of a rate: parsed again, it is returned as it is."""


def parse(words: Words, *, kind: Mapping[str, Factory] = SCHEDULES) -> dict[str, Any]:
    """Words -> their JSON, checked, with every default filled in; parsing that again changes nothing.

    Of one schedule {"schedule": name, every argument but the budget}; of several, one after the other,
    {"sequence": [{"schedule": ..., "duration": "5%"}, ...]}; of a schedule already made, or its `to_json`, that JSON.
    `peak_value` is there only if the words gave one.

    Raises:
      ValueError: for an unknown schedule or argument, or a value that the schedule refuses.
    """
    if isinstance(words, Parsed) and kind is SCHEDULES:
        return words
    full = _parse(_given(words), kind)
    return Parsed(full) if kind is SCHEDULES else full


def _parse(given: dict[str, Any], kind: Mapping[str, Factory]) -> dict[str, Any]:
    """`parse`, of the words as JSON."""
    if "kind" in given:
        return codec.to_document(codec.from_document(given))
    full = _parse_sequence(given, kind) if "sequence" in given else _parse_one(given, kind)
    if is_foreign(full):  # somebody else's code may need to know the budget, and is called when it is known
        return full
    # a traced budget: everything is checked but whether steps fit into it, which is not known yet
    jax.eval_shape(lambda T: build(full, 0.5, total_steps=T, kind=kind, steps_per_epoch=1, batch_size=1), np.int32(1))
    return full


def _given(words: Any) -> dict[str, Any]:
    """The words as an object of JSON."""
    if isinstance(words, Schedule):
        return codec.to_document(words)
    if isinstance(words, str):
        return read(words)
    if not isinstance(words, Mapping):
        raise ValueError(f"schedule must be words (rex:d=0.9), their JSON, or a schedule, got {short(words)}.")
    return dict(words)


def _parse_one(given: dict[str, Any], kind: Mapping[str, Factory]) -> dict[str, Any]:
    """One schedule's words, with every default, not yet built."""
    given = dict(given)
    name = given.pop("schedule", None)
    first, *rest = inspect.signature(factory(name, kind)).parameters.values()
    allowed = {p.name: _plain(p.name, p.default, default=True) for p in rest if p.name != "total_steps" and is_named(p)}
    for key in given:
        if key not in allowed and key != first.name:
            names = [first.name, *allowed]
            raise ValueError(f"{name} takes {', '.join(names)}, got {short(key)}.{perhaps(key, names)}")
    for key, default in allowed.items():
        if default is first.empty and key not in given:
            raise ValueError(f"{name} must be given {key}, which has no default, got none.")
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
    for key in YOUNGER.get(name, ()):
        if full[key] == allowed[key]:
            del full[key]
    return full


def _parse_sequence(given: dict[str, Any], kind: Mapping[str, Factory]) -> dict[str, Any]:
    """The words of each segment, with its duration; a peak_value of the whole is one of each that has none."""
    segments, peak = given["sequence"], given.get("peak_value")
    for key in given:
        if key not in ("sequence", "peak_value"):
            raise ValueError(f"sequence takes its segments and peak_value, got {short(key)}.")
    if not isinstance(segments, tuple | list) or len(segments) < 2 or not all(isinstance(s, Mapping) for s in segments):
        raise ValueError(f"sequence must be a list of two schedules or more, got {short(segments)}.")
    found = []
    for segment in segments:
        words = dict(segment)
        length = _plain("duration", words.pop("duration", "rest"))
        duration(length, rest=True, steps_per_epoch=1, batch_size=1)
        found.append({**_parse_one(words, kind), "duration": length})
    return {"sequence": found} if peak is None else with_peak({"sequence": found}, peak, kind=kind)


def is_foreign(parsed: Any) -> bool:
    """Whether parsed words, or a schedule's JSON, call somebody else's code, which may change under the same name."""
    if isinstance(parsed, list):
        return any(map(is_foreign, parsed))
    if not isinstance(parsed, Mapping):
        return False
    name = parsed.get("schedule")
    return parsed.get("kind") == "Foreign" or is_path(name) or any(map(is_foreign, parsed.values()))


def _plain(key: str, value: Any, *, within: bool = False, default: bool = False) -> Any:
    """A value that JSON can hold: of an array's number its Python one.

    Raises:
      ValueError: if it has none.
    """
    if default and value is inspect.Parameter.empty:
        return value
    if hasattr(value, "item") and np.ndim(value) == 0:
        return value.item()
    if isinstance(value, tuple | list) and not within:
        return type(value)(_plain(key, part, within=True) for part in value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"{key} must be a number, a word or a list of them, got {short(value)}.")


def label(words: Words, *, kind: Mapping[str, Factory] = SCHEDULES) -> str:
    """The shortest words for the same schedule: defaults left out, arguments in the signature's order.

    A schedule value has no words: its label names its classes, with six digits of its JSON's SHA-256.
    """
    full = parse(words, kind=kind)
    if "kind" in full:
        digest = hashlib.sha256(json.dumps(full, sort_keys=True).encode()).hexdigest()
        return f"{_composition(full)}#{digest[:6]}"
    return "+".join(_label_one(one, kind) for one in full.get("sequence", [full]))


def write(words: Words, *, kind: Mapping[str, Factory] = SCHEDULES) -> str:
    """What `parse` makes the same schedule of: its label, or the JSON of a schedule value, which has no words."""
    full = parse(words, kind=kind)
    return json.dumps(full) if "kind" in full else label(full, kind=kind)


def _composition(found: Mapping[str, Any]) -> str:
    """The kind of an encoded value, and those of the schedules and profiles in it, as in Product(Decay(Rex))."""
    parts = []
    for name in ("schedule", "factor", "segments", "profile"):
        inner = found.get(name)
        inner = inner if isinstance(inner, list) else [inner]
        parts += [_composition(each) for each in inner if isinstance(each, Mapping)]
    return found["kind"] + (f"({','.join(parts)})" if parts else "")


def _label_one(full: Mapping[str, Any], kind: Mapping[str, Factory]) -> str:
    name = full["schedule"]
    taken = inspect.signature(factory(name, kind)).parameters
    arguments = [] if full.get("duration", "rest") == "rest" else [write_value(full["duration"])]
    for key, value in full.items():
        if key not in ("schedule", "sampling", "duration") and not _same(value, taken[key]):
            parts = value if isinstance(value, list) else [value]
            arguments.append(f"{key}={'/'.join(map(write_value, parts))}")
    text = name + (":" + ",".join(arguments) if arguments else "")
    rate = full.get("sampling", "every")
    return text if rate == "every" else f"{text}@{rate}"


def _same(value: Any, taken: inspect.Parameter) -> bool:
    """Whether a value is an argument's default. Where it may be a length, 1 is a step and 1.0 the whole budget."""
    default = list(taken.default) if isinstance(taken.default, tuple) else taken.default
    exact = "str" in str(taken.annotation)
    return bool(value == default) and (not exact or repr(value) == repr(default))


def read(words: str) -> dict[str, Any]:
    """Words -> the same as a JSON object; names and arguments are not checked here.

    Raises:
      ValueError: for text that does not follow the grammar.
    """
    text = words.strip()
    if text.startswith("{"):
        try:
            return dict(codec.loads(text))
        except ValueError as error:
            raise ValueError(f"schedule must be words or a JSON object: {error}") from None
    parts = re.split(r"\+(?=\s*[A-Za-z_])", text)  # no part begins with a digit, so 1e+3 stays whole
    if text.startswith("+") or text.endswith("+"):
        raise ValueError(f"schedule must be written segment:duration+segment, got {short(words)}.")
    if len(parts) == 1:
        return _read_one(text, words)
    return {"sequence": [_read_one(part.strip(), words, segment=True) for part in parts]}


def _read_one(text: str, words: str, *, segment: bool = False) -> dict[str, Any]:
    """One schedule's words; a segment's may begin with its duration."""
    text, at, rate = text.partition("@")
    name, colon, arguments = text.partition(":")
    if (at and not rate) or (colon and not arguments):
        raise ValueError(f"schedule must be written name:argument=value@sampling, got {short(words)}.")
    given: dict[str, Any] = {"schedule": name}
    for place, argument in enumerate(filter(None, arguments.split(","))):
        key, equals, value = argument.partition("=")
        if not equals and segment and place == 0:
            key, value = "duration", argument
        elif not equals:
            raise ValueError(f"schedule arguments are written name:argument=value, got {short(words)}.")
        if key in given:
            raise ValueError(f"schedule arguments must be given once, got {key} again in {short(words)}.")
        given[key] = _value(value)
    if rate and "sampling" in given:
        raise ValueError(f"schedule arguments must be given once, got sampling again in {short(words)}.")
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


def write_value(value: Any) -> str:
    """The text that `_value` reads as this value."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
