"""The schedules by name, and building them from parsed words; `language` has how words are written."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from lrsched.schedules import codec, foreign, sampling
from lrsched.schedules.combine import Clip, Product, phases, product
from lrsched.schedules.combine import Sequence as Segments
from lrsched.schedules.core import Schedule, of_peak, rebind
from lrsched.schedules.durations import Rest, duration, with_units
from lrsched.schedules.entered import After, Held
from lrsched.schedules.families import (
    cycles,
    cycles_linear,
    decays,
    fractal,
    horizon_free,
    inverse,
    onecycle,
    phased,
    piecewise,
    rising,
)
from lrsched.schedules.families.subsampled import Subsampled
from lrsched.schedules.progress import Ratio
from lrsched.schedules.values import check_choice, check_number, is_concrete, unchecked

Factory = Callable[..., Schedule]

_FACTORIES: tuple[Factory, ...] = (
    *decays.DECAYS,
    horizon_free.anytime,
    phased.delayed,
    horizon_free.exp_hyperbolic,
    inverse.exponential_decay,
    fractal.fractal,
    rising.growth,
    horizon_free.hyperbolic,
    phased.infinite,
    inverse.inverse_sqrt,
    inverse.inverse_time,
    phased.knee,
    piecewise.multi_step,
    inverse.noam,
    onecycle.onecycle,
    piecewise.piecewise_constant,
    piecewise.piecewise_interpolate,
    horizon_free.power,
    inverse.rsqrt,
    phased.slanted_triangular,
    piecewise.step,
    cycles_linear.clr,
    cycles_linear.fge,
    cycles.sgdr,
    cycles.snapshot_cosine,
    cycles_linear.swa,
    rising.warmup,
    phased.wsd,
    phased.wsd_s,
)
#: Every schedule with a name: factory(peak_value, *, total_steps, ...).
SCHEDULES: dict[str, Factory] = {each.__name__: each for each in _FACTORIES}
#: Momentum schedules: factory(first value, *, total_steps, ...); any schedule whose first value is below 1.
MOMENTA: dict[str, Factory] = {
    **SCHEDULES,
    "demon": phased.demon,
    "onecycle": onecycle.onecycle_momentum,
}
LONGEST_TABLE = 1_000_000  # updates that are all looked at for the highest rate; of longer schedules so many


def factory(name: Any, kind: Mapping[str, Factory] = SCHEDULES) -> Callable[..., Any]:
    """The factory with this name: one of ours, or for a dotted path what is imported from there.

    Raises:
      ValueError: if there is none.
    """
    if foreign.is_path(name):
        return foreign.import_factory(name)
    return kind[check_choice("momentum" if kind is MOMENTA else "schedule", name, kind)]


def name_of(rate: Mapping[str, Any]) -> str | None:
    """The name in parsed words of one schedule; None for a sequence and for a schedule value."""
    return None if "kind" in rate or "sequence" in rate else str(rate["schedule"])


def _first(segment: Mapping[str, Any], kind: Mapping[str, Factory]) -> str:
    """The name of a schedule's first argument: its peak, or a momentum's first value."""
    return next(iter(inspect.signature(factory(segment["schedule"], kind)).parameters))


def lacks_peak(rate: Mapping[str, Any], *, kind: Mapping[str, Factory] = SCHEDULES) -> bool:
    """Whether parsed words lack a peak, of the whole or of a segment, or have a part ("20%") of one."""
    return "kind" not in rate and any(
        isinstance(one.get(_first(one, kind), ""), str) for one in rate.get("sequence", [rate])
    )


def with_peak(rate: Mapping[str, Any], peak_value: Any, *, kind: Mapping[str, Factory] = SCHEDULES) -> dict[str, Any]:
    """Parsed words with their peak: of a sequence, in each segment that has none of its own.

    A schedule value carries its rates: without peak_value they stay; with one all are scaled so that the highest under
    its own budget becomes peak_value.

    Raises:
      ValueError: if there is no peak, or one too many.
    """
    if "kind" in rate:
        return dict(rate) if peak_value is None else codec.to_document(scale_to(codec.from_document(rate), peak_value))
    segments = rate.get("sequence", [rate])
    if lacks_peak(rate, kind=kind) == (peak_value is None):
        raise ValueError("peak_value must be given once: in the words or beside them.")
    peak = None if peak_value is None else np.asarray(peak_value).item()
    names = [_first(segment, kind) for segment in segments]
    own = [of_peak(name, segment.get(name, peak), peak) for name, segment in zip(names, segments, strict=True)]
    full = [{**segment, name: value} for segment, name, value in zip(segments, names, own, strict=True)]
    return {"sequence": full} if "sequence" in rate else full[0]


def scale_to(schedule: Schedule, peak_value: Any) -> Schedule:
    """The schedule scaled so that its highest rate is peak_value.

    Raises:
      ValueError: if its rates are all 0, or peak_value is no rate.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total = int(schedule.total_steps)
    steps = np.unique(np.linspace(0, total - 1, min(total, LONGEST_TABLE)).astype(np.int64))
    highest = float(schedule.table(steps).max())
    if not highest > 0:
        raise ValueError(f"peak_value must be left out for a schedule whose rates are all 0, got {peak_value}.")
    return product(schedule, float(peak_value) / highest)


def move(schedule: Schedule, total_steps: Any) -> Schedule:
    """A schedule value under the budget of a run: `at`, except that a sequence fits any budget.

    A sequence with lengths in steps and no "rest" fits its own budget alone. Under another one the part that takes what
    is left is the only fraction, if there is one; else the last length in steps, so that several fractions keep theirs.
    """
    if not all(map(is_concrete, (schedule.total_steps, total_steps))) or schedule.total_steps != total_steps:
        schedule = _with_rest(schedule)
    return schedule.at(total_steps)


def _with_rest(schedule: Any) -> Any:
    """The schedule with a segment that takes the rest, also inside others and inside the segments that it moves."""
    if isinstance(schedule, Segments):
        lengths = list(schedule.durations)
        scaling = [i for i, length in enumerate(lengths) if isinstance(length, Ratio)]
        fixed = [i for i in range(len(lengths)) if i not in scaling]
        if fixed and not any(isinstance(length, Rest) for length in lengths):
            lengths[scaling[0] if len(scaling) == 1 else fixed[-1]] = Rest()
        parts = zip(schedule.segments, lengths, strict=True)
        segments = tuple(_with_rest(part) if isinstance(length, Ratio | Rest) else part for part, length in parts)
        return unchecked(schedule, segments=segments, durations=tuple(lengths))
    if isinstance(schedule, After | Clip | Held | Product | Subsampled):
        return unchecked(schedule, schedule=_with_rest(schedule.schedule))
    return schedule


def build(
    parsed: Mapping[str, Any],
    first_value: Any = None,
    *,
    total_steps: Any,
    kind: Mapping[str, Factory] = SCHEDULES,
    steps_per_epoch: int | None = None,
    batch_size: int | None = None,
) -> Schedule:
    """The schedule of parsed words, with its peak (or, of a momentum, its first value) and budget.

    Lengths in epochs ("10ep", the sampling rate "epoch") need steps_per_epoch, those in examples batch_size.

    Raises:
      ValueError: for a schedule or a value that is refused, or epochs of unknown length.
    """
    if "kind" in parsed:
        schedule = codec.from_document(parsed)
        return move(schedule if first_value is None else scale_to(schedule, first_value), total_steps)
    sizes = {"steps_per_epoch": steps_per_epoch, "batch_size": batch_size}
    if "sequence" in parsed:
        return _build_sequence(parsed["sequence"], first_value, total_steps, kind, sizes)
    given = dict(parsed)
    name = given.pop("schedule")
    make = factory(name, kind)
    first, *_ = inspect.signature(make).parameters
    peak = of_peak(first, given.pop(first, first_value), first_value)
    if kind is MOMENTA and peak is not None:
        check_number(first, peak, at_least=0.0, below=1.0)
    if foreign.is_path(name):
        return _build_foreign(name, given, peak, total_steps, sizes)
    if given.get("sampling"):
        given["sampling"] = sampling.named(given["sampling"], **sizes)
    taken = inspect.signature(make).parameters
    given = {
        key: with_units(key, entry, **sizes) if key not in taken or "str" in str(taken[key].annotation) else entry
        for key, entry in given.items()
    }
    try:
        schedule = make(peak, total_steps=total_steps, **given)
    except TypeError as error:
        raise ValueError(f"{name}: {error}.") from error
    return schedule


def _build_foreign(
    path: str, given: dict[str, Any], peak: Any, total_steps: Any, sizes: Mapping[str, Any]
) -> foreign.Foreign:
    """A value that calls the factory; lengths in epochs or examples are updates from here on."""
    if given.get("sampling") == "epoch":
        given["sampling"] = "1ep"
    given = {key: with_units(key, entry, **sizes) for key, entry in given.items()}
    if isinstance(given.get("sampling"), int):
        given["sampling"] = f"{given['sampling']}st"
    schedule = foreign.Foreign(path, json.dumps(given), peak, total_steps)
    if is_concrete(total_steps):
        schedule._check_budget(int(total_steps))
    return schedule


def _build_sequence(
    segments: Sequence[Mapping[str, Any]],
    first_value: Any,
    total_steps: Any,
    kind: Mapping[str, Factory],
    sizes: Mapping[str, Any],
) -> Schedule:
    """Each segment is checked at its own length, and like every sequence's knows none of its own."""
    durations = [duration(segment["duration"], rest=True, **sizes) for segment in segments]
    names = [segment["schedule"] for segment in segments]
    nothing = [decays.constant(0.0, total_steps=1)] * len(segments)
    total = total_steps if isinstance(total_steps, jax.Array) else np.int64(total_steps)
    schedules = []
    lengths = phases(list(zip(names, nothing, durations, strict=True)), total_steps).lengths(total)
    for segment, length in zip(segments, lengths, strict=True):
        parsed = {key: value for key, value in segment.items() if key != "duration"}
        steps = max(int(length), 1) if is_concrete(length) else length
        schedules.append(rebind(build(parsed, first_value, total_steps=steps, kind=kind, **sizes), 1))
    return phases(list(zip(names, schedules, durations, strict=True)), total_steps)
