"""The schedules by name, and what the words they are asked for in stand for; `grammar` has how these are written."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from lrsched.schedules import algebra, codec, compose, grammar, sampling
from lrsched.schedules.core import Schedule, rebound
from lrsched.schedules.durations import Rest, duration, with_units
from lrsched.schedules.families import cycles, cycles_linear, decays, fractal, onecycle, piecewise, steps, warm
from lrsched.schedules.progress import Ratio, check_number, is_concrete, short, unchecked

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

Words = str | Mapping[str, Any] | Schedule
#: Arguments that are younger than recorded runs: not written out where they are the default, so that ids stay.
YOUNGER = {"warmup": ("shape",)}
LONGEST_TABLE = 1_000_000  # updates that are all looked at for the highest rate; of longer schedules so many


def parse(words: Words, *, kind: Mapping[str, Callable[..., Schedule]] = SCHEDULES) -> dict[str, Any]:
    """Words -> what JSON holds of them, checked and with every default filled in; what comes out may go in again.

    Of one schedule {"schedule": name, every argument but the budget}; of several, one after the other,
    {"sequence": [{"schedule": ..., "duration": "5%"}, ...]}; of a schedule already made, or its `to_json`, that JSON.
    `peak_value` is there only if the words gave one.

    Raises:
      ValueError: for an unknown schedule or argument, or a value that the schedule refuses.
    """
    given = _given(words)
    if "kind" in given:
        return codec.encoded(codec.decoded(given))
    full = _parse_sequence(given, kind) if "sequence" in given else _parse_one(given, kind)
    # a traced budget: everything is checked but whether steps fit into it, which is not known yet
    jax.eval_shape(lambda T: build(full, 0.5, total_steps=T, kind=kind, steps_per_epoch=1, batch_size=1), np.int32(1))
    return full


def _given(words: Any) -> dict[str, Any]:
    """The words as an object of JSON."""
    if isinstance(words, Schedule):
        return codec.encoded(words)
    if isinstance(words, str):
        return grammar.read(words)
    if not isinstance(words, Mapping):
        raise ValueError(f"schedule must be words (rex:d=0.9), their JSON, or a schedule, got {short(words)}.")
    return dict(words)


def _parse_one(given: dict[str, Any], kind: Mapping[str, Callable[..., Schedule]]) -> dict[str, Any]:
    """One schedule's words, with every default, not yet built."""
    given = dict(given)
    name = given.pop("schedule", None)
    if not isinstance(name, str) or name not in kind:
        raise ValueError(f"schedule must be one of {', '.join(kind)}, got {short(name)}.")
    first, *rest = inspect.signature(kind[name]).parameters.values()
    allowed = {p.name: p.default for p in rest if p.name != "total_steps"}
    for key in given:
        if key not in allowed and key != first.name:
            raise ValueError(f"{name} takes {', '.join([first.name, *allowed])}, got {short(key)}.")
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


def _parse_sequence(given: dict[str, Any], kind: Mapping[str, Callable[..., Schedule]]) -> dict[str, Any]:
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


def name_of(rate: Mapping[str, Any]) -> str | None:
    """The name of the one schedule that parsed words ask for; None for several, and for one already made."""
    return None if "kind" in rate or "sequence" in rate else str(rate["schedule"])


def _first(segment: Mapping[str, Any], kind: Mapping[str, Callable[..., Schedule]]) -> str:
    """The name of a schedule's first argument: its peak, or a momentum's first value."""
    return next(iter(inspect.signature(kind[segment["schedule"]]).parameters))


def lacks_peak(rate: Mapping[str, Any], *, kind: Mapping[str, Callable[..., Schedule]] = SCHEDULES) -> bool:
    """Whether parsed words leave their peak, or a segment's, to be said; a schedule already made has its rates."""
    return "kind" not in rate and any(_first(one, kind) not in one for one in rate.get("sequence", [rate]))


def with_peak(
    rate: Mapping[str, Any], peak_value: Any, *, kind: Mapping[str, Callable[..., Schedule]] = SCHEDULES
) -> dict[str, Any]:
    """Parsed words with their peak: of a sequence, in each segment that has none of its own.

    A schedule already made carries its rates: without peak_value they stay, with one all are scaled so that its highest
    rate, as it was made, becomes peak_value.

    Raises:
      ValueError: if there is no peak, or one too many.
    """
    if "kind" in rate:
        return dict(rate) if peak_value is None else codec.encoded(scaled(codec.decoded(rate), peak_value))
    segments = rate.get("sequence", [rate])
    if lacks_peak(rate, kind=kind) == (peak_value is None):
        raise ValueError("peak_value must be given once: in the words or beside them.")
    peak = None if peak_value is None else np.asarray(peak_value).item()
    full = [{**segment, _first(segment, kind): segment.get(_first(segment, kind), peak)} for segment in segments]
    return {"sequence": full} if "sequence" in rate else full[0]


def scaled(schedule: Schedule, peak_value: Any) -> Schedule:
    """The schedule times what makes peak_value of its highest rate.

    Raises:
      ValueError: if its rates are all 0, or peak_value is no rate.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total = int(schedule.total_steps)
    steps = np.unique(np.linspace(0, total - 1, min(total, LONGEST_TABLE)).astype(np.int64))
    highest = float(schedule.table(steps).max())
    if not highest > 0:
        raise ValueError(f"peak_value must be left out for a schedule whose rates are all 0, got {peak_value}.")
    return algebra.product(schedule, float(peak_value) / highest)


def moved(schedule: Schedule, total_steps: Any) -> Schedule:
    """A schedule already made under the budget of a run: `at`, but that a sequence fits any budget, as in words.

    Of a sequence whose lengths are all in steps, which no other budget equals, the last segment takes what is left.
    """
    if not all(map(is_concrete, (schedule.total_steps, total_steps))) or schedule.total_steps != total_steps:
        schedule = _with_rest(schedule)
    return schedule.at(total_steps)


def _with_rest(schedule: Any) -> Any:
    """The schedule with what `moved` changes of it, in a product or within limits, too."""
    if isinstance(schedule, compose.Sequence):
        if not any(isinstance(length, Ratio | Rest) for length in schedule.durations):
            return unchecked(schedule, durations=(*schedule.durations[:-1], Rest()))
    elif isinstance(schedule, algebra.Product | algebra.Clip):
        return unchecked(schedule, schedule=_with_rest(schedule.schedule))
    return schedule


def build(
    words: Words,
    first_value: Any = None,
    *,
    total_steps: Any,
    kind: Mapping[str, Callable[..., Schedule]] = SCHEDULES,
    steps_per_epoch: int | None = None,
    batch_size: int | None = None,
) -> Schedule:
    """The schedule of these words, with its peak (or, of a momentum, its first value) and budget.

    Lengths in epochs ("10ep", the sampling rate "epoch") need steps_per_epoch, those in examples batch_size.

    Raises:
      ValueError: for a schedule or a value that is refused, or epochs of unknown length.
    """
    given = dict(words) if isinstance(words, Mapping) else parse(words, kind=kind)
    if "kind" in given:
        made = codec.decoded(given)
        return moved(made if first_value is None else scaled(made, first_value), total_steps)
    sizes = {"steps_per_epoch": steps_per_epoch, "batch_size": batch_size}
    if "sequence" in given:
        return _build_sequence(given["sequence"], first_value, total_steps, kind, sizes)
    name = given.pop("schedule")
    first, *_ = inspect.signature(kind[name]).parameters
    value = given.pop(first, first_value)
    if kind is MOMENTA and value is not None:
        check_number(first, value, at_least=0.0, below=1.0)
    if given.get("sampling"):
        given["sampling"] = sampling.named(given["sampling"], **sizes)
    given = {key: with_units(key, entry, **sizes) for key, entry in given.items()}
    try:
        return kind[name](value, total_steps=total_steps, **given)
    except TypeError as error:
        raise ValueError(f"{name}: {error}.") from error


def _build_sequence(
    segments: Sequence[Mapping[str, Any]],
    first_value: Any,
    total_steps: Any,
    kind: Mapping[str, Callable[..., Schedule]],
    sizes: Mapping[str, Any],
) -> Schedule:
    """Each segment is checked at its own length, and like every sequence's knows none of its own."""
    durations = [duration(segment["duration"], rest=True, **sizes) for segment in segments]
    nothing = [decays.constant(0.0, total_steps=1)] * len(segments)
    total = total_steps if isinstance(total_steps, jax.Array) else np.int64(total_steps)
    made = []
    lengths = compose.sequence(nothing, durations=durations, total_steps=total_steps).lengths(total)
    for segment, length in zip(segments, lengths, strict=True):
        words = {key: value for key, value in segment.items() if key != "duration"}
        steps = max(int(length), 1) if is_concrete(length) else length
        one = build(words, first_value, total_steps=steps, kind=kind, **sizes)
        made.append(rebound(one, 1))
    return compose.sequence(made, durations=durations, total_steps=total_steps)


def _plain(key: str, value: Any, *, within: bool = False) -> Any:
    """A value that JSON can hold: of an array's number its Python one.

    Raises:
      ValueError: if it has none.
    """
    if hasattr(value, "item") and np.ndim(value) == 0:
        return value.item()
    if isinstance(value, tuple | list) and not within:
        return type(value)(_plain(key, part, within=True) for part in value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"{key} must be a number, a word or a list of them, got {short(value)}.")


def label(words: Words, *, kind: Mapping[str, Callable[..., Schedule]] = SCHEDULES) -> str:
    """The shortest words for the same schedule: defaults left out, arguments in the signature's order.

    A schedule already made has no words: it goes by what it is made of, and six digits of its JSON's SHA-256.
    """
    full = parse(words, kind=kind)
    if "kind" in full:
        digest = hashlib.sha256(json.dumps(full, sort_keys=True).encode()).hexdigest()
        return f"{_made_of(full)}#{digest[:6]}"
    return "+".join(_label_one(one, kind) for one in full.get("sequence", [full]))


def _made_of(found: Mapping[str, Any]) -> str:
    """The kind of an encoded value, and those of the schedules and profiles in it, as in Product(Decay(Rex))."""
    parts = []
    for name in ("schedule", "factor", "segments", "profile"):
        inner = found.get(name)
        parts += [_made_of(one) for one in (inner if isinstance(inner, list) else [inner]) if isinstance(one, Mapping)]
    return found["kind"] + (f"({','.join(parts)})" if parts else "")


def _label_one(full: Mapping[str, Any], kind: Mapping[str, Callable[..., Schedule]]) -> str:
    name = full["schedule"]
    taken = inspect.signature(kind[name]).parameters
    said = [] if full.get("duration", "rest") == "rest" else [grammar.said(full["duration"])]
    for key, value in full.items():
        if key not in ("schedule", "sampling", "duration") and not _same(value, taken[key]):
            parts = value if isinstance(value, list) else [value]
            said.append(f"{key}={'/'.join(map(grammar.said, parts))}")
    text = name + (":" + ",".join(said) if said else "")
    rate = full.get("sampling", "every")
    return text if rate == "every" else f"{text}@{rate}"


def _same(value: Any, taken: inspect.Parameter) -> bool:
    """Whether a value is an argument's default. Where it may be a length, 1 is a step and 1.0 the whole budget."""
    default = list(taken.default) if isinstance(taken.default, tuple) else taken.default
    exact = "str" in str(taken.annotation)
    return bool(value == default) and (not exact or repr(value) == repr(default))
