"""Without words: the schedules of the library that come nearest to a trace."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from lrsched.analysis import columns
from lrsched.analysis.check.trace import Trace
from lrsched.schedules import language, registry

SHOWN = 5
FEWEST = 5  # rates: to fewer everything fits
POINTS = 150  # of a long trace that are fitted to
#: The argument of a schedule that changes its shape most, and between what it is sought; the others are the default.
MAIN: dict[str, tuple[str, float, float]] = {
    "polynomial": ("power", 0.3, 5.0),
    "rex": ("d", 0.0, 0.95),
    "exponential": ("gamma", -12.0, -0.1),
    "k_decay": ("k", 0.5, 6.0),
    "delayed": ("fraction", 0.02, 0.95),
    "hyperbolic": ("upper_bound", 1.01, 3.0),
    "tanh": ("lower", -10.0, 0.0),
    "wsd": ("cooldown", 0.02, 0.95),
    "wsd:shape=linear": ("cooldown", 0.02, 0.95),
    "wsd:shape=cosine": ("cooldown", 0.02, 0.95),
    "exponential_decay": ("decay_rate", 0.02, 0.98),
    "inverse_time": ("decay_rate", 1e-4, 0.1),
    "inverse_sqrt": ("warmup", 0.0, 0.5),
    "onecycle": ("peak_position", 0.05, 0.6),
    "onecycle:variant=torch": ("peak_position", 0.05, 0.6),
    "slanted_triangular": ("cut", 0.02, 0.5),
    "sgdr": ("first_cycle", 0.05, 0.5),
    "clr": ("half_cycle", 0.02, 0.5),
    "step": ("factor", 0.02, 0.9),
}
#: Those that are nothing without arguments, or a part of others.
LEFT_OUT = ("growth", "piecewise_constant", "piecewise_interpolate", "warmup", "square")


Words = Mapping[str, Any]  # parsed


class Near(NamedTuple):
    """A schedule, and how far a trace is from it.

    Attributes:
      words: as they are typed.
      peak_value: of it, and its budget.
      total_steps: likewise.
      largest: difference.
      mean: difference.
      agrees: whether all differences are rounding.
    """

    words: str
    peak_value: float
    total_steps: int
    largest: float
    mean: float
    agrees: bool


class _Points(NamedTuple):
    """What is fitted to: some updates of a trace, and the budgets that may be."""

    updates: np.ndarray
    rates: np.ndarray
    tolerance: np.ndarray
    totals: range


def candidates() -> list[str]:
    """The schedules that are fitted, as words."""
    return sorted({*registry.SCHEDULES, *MAIN} - set(LEFT_OUT))


def search(trace: Trace, total_steps: int | None = None) -> list[Near]:
    """The nearest schedules, by their mean difference: each name once, with its main argument, peak, end and warmup.

    Args:
      total_steps: the budget; None: what comes nearest of the updates from the last logged one to where the next one
        would have been.
    Raises:
      ValueError: if the rates are too few, or all one.
    """
    if len(np.unique(trace.rates)) < 2 or len(trace.rates) < FEWEST:
        raise ValueError(f"trace must hold {FEWEST} rates that are not all one, where no words are given.")
    first = trace.first_step if trace.first_step is not None else 1
    last = int(trace.steps[-1]) - first + 1
    gap = min(int(np.diff(trace.steps[-2:]).max(initial=1)), 100)
    totals = range(last, last + gap) if total_steps is None else range(total_steps, total_steps + 1)
    whole = _Points(trace.updates(first), trace.rates, trace.tolerance, totals)
    some = np.unique(np.linspace(0, len(trace.steps) - 1, POINTS).astype(int))
    points = _Points(whole.updates[some], whole.rates[some], whole.tolerance[some], totals)
    found: dict[str, tuple[Near, Words]] = {}
    for name in candidates():
        for full in _warmed(language.parse(name), points):
            if (best := _fit(full, MAIN.get(name), points)) is not None:
                known = found.get(full_name := name.partition(":")[0], best)
                found[full_name] = min(known, best, key=lambda one: one[0].mean)
    ranked = sorted(found.items(), key=lambda one: one[1][0].mean)[: 2 * SHOWN]
    ended = [_ended(full, MAIN.get(name), points, whole) for name, (_, full) in ranked]
    ended += [_in_steps(whole)] if len(totals) == 1 else []
    return sorted((one for one in ended if one is not None), key=_plainness)[:SHOWN]


def _warmed(full: Words, points: _Points) -> Iterator[Words]:
    """Words as they are; and where the rates first rise along a line, with a warmup that does the same."""
    yield full
    top = int(points.rates.argmax())
    if top < 2 or points.rates[0] >= points.rates[top]:
        return
    slope, first = np.polyfit(points.updates[:top], points.rates[:top], 1)
    peak = float(points.rates[top])
    if slope > 0 and (length := round((peak - first) / slope)) > 0:
        begins = {} if first <= 2 * points.tolerance[0] else {"init_value": f"{100 * first / peak:.4g}%"}
        if "warmup" in full:
            yield {**full, "warmup": length} | (begins if "init_value" in full else {})
        else:
            ramp = {**language.parse("warmup"), **begins, "duration": f"{length}st"}
            yield {"sequence": [ramp, {**full, "duration": "rest"}]}


def _with(full: Words, argument: str, value: float) -> Words:
    """Words with another value of an argument, of the last segment."""
    if "sequence" in full:
        *before, last = full["sequence"]
        return {"sequence": [*before, {**last, argument: value}]}
    return {**full, argument: value}


def _last(full: Words) -> Words:
    return full["sequence"][-1] if "sequence" in full else full


def _fit(full: Words, main: tuple[str, float, float] | None, points: _Points) -> tuple[Near, Words] | None:
    """A schedule with the main argument that comes nearest: eleven values, then closer ones around the best."""
    total = points.totals[len(points.totals) // 2]
    tried = [(near, full)] if (near := _measure(full, total, points)) is not None else []
    if main is not None:
        argument, low, high = main
        width, values = (high - low) / 10, np.linspace(low, high, 11)
        for _ in range(4):
            for value in values:
                again = _with(full, argument, float(f"{value:.4g}"))
                if (near := _measure(again, total, points)) is not None:
                    tried.append((near, again))
            if not tried or isinstance(middle := _last(min(tried, key=_mean)[1]).get(argument), str | None):
                break
            values = np.clip(middle + width * np.linspace(-0.7, 0.7, 5), low, high)
            width /= 3
    return min(tried, key=_mean, default=None)


def _plainness(near: Near) -> tuple[bool, int, float]:
    """Of schedules that agree the one with the fewest words is first, of others the nearest."""
    return (not near.agrees, len(near.words) if near.agrees else 0, near.mean)


def _mean(found: tuple[Near, Words]) -> float:
    return found[0].mean


def _measure(full: Words, total: int, points: _Points) -> Near | None:
    """A schedule with the peak, and if it takes one the end, that come nearest; None if it does not fit the budget."""
    if (unit := _rates(full, total, points.updates)) is None or not unit.any():
        return None
    highest = float(points.rates.max())
    choices = [(float(unit @ points.rates / (unit @ unit)), 0.0), (highest, 0.0), (highest / float(unit.max()), 0.0)]
    beside = np.zeros_like(unit)
    if (
        _last(full).get("end_value") == 0
        and (ended := _rates(_with(full, "end_value", 0.5), total, points.updates)) is not None
    ):
        beside = 2 * (ended - unit)
        (peak, end), *_ = np.linalg.lstsq(np.stack([unit, beside], axis=1), points.rates)
        choices += [(float(peak), float(end))] if end > 2 * points.tolerance.max() else []
    choices += [(float(f"{peak:.3g}"), float(f"{end:.2g}")) for peak, end in choices]
    tried = []
    for peak, end in choices:
        off = np.abs(peak * unit + end * beside - points.rates)
        agrees = bool((off <= points.tolerance).all())
        tried.append((not agrees, agrees and end != 0, float(off.mean()), float(off.max()), peak, end))
    unlike, _, mean, largest, peak, end = min(tried)
    words = language.label(language.Parsed(_with(full, "end_value", float(f"{end:.8g}")) if end else full))
    return Near(words, float(f"{peak:.8g}"), total, largest, mean, not unlike)


def _rates(full: Words, total: int, updates: np.ndarray) -> np.ndarray | None:
    """The rates at a peak of 1."""
    try:
        return registry.build(full, 1.0, total_steps=total, steps_per_epoch=1).table(updates)
    except ValueError:
        return None


def _ended(full: Words, main: tuple[str, float, float] | None, points: _Points, whole: _Points) -> Near | None:
    """The same schedule over the whole trace, under the budget and with the rounded argument that come nearest."""
    choices = [full]
    if main is not None and isinstance(value := _last(full).get(main[0]), float):
        choices += [_with(full, main[0], float(f"{value:.{digits}g}")) for digits in (1, 2, 3)]
    pairs = [
        (near, one) for one in choices for total in whole.totals if (near := _measure(one, total, points)) is not None
    ]
    if not pairs:
        return None
    near, full = min(pairs, key=lambda one: _plainness(one[0]))
    return _measure(full, near.total_steps, whole)


def _in_steps(whole: _Points) -> Near | None:
    """Of a trace of few rates: those, held from update to update."""
    changes = np.flatnonzero(np.diff(whole.rates)) + 1
    if not 0 < len(changes) <= 8 or len(whole.rates) < 5 * len(changes):
        return None
    values = [float(f"{one / whole.rates.max():.8g}") for one in whole.rates[[0, *changes]]]
    given = {"boundaries": [int(place) for place in whole.updates[changes]], "values": values}
    return _measure({**language.parse("piecewise_constant"), **given}, whole.totals[0], whole)


def show(rows: list[Near], trace: str, options: Mapping[str, Any]) -> list[str]:
    """The table, and the command that checks the first, with the options that the trace was read by."""
    if not rows:
        return ["No schedule of this library fits the budget."]
    heads = ["schedule", "peak", "updates", "mean off"]
    body = [[row.words, f"{row.peak_value:.6g}", f"{row.total_steps:,}", f"{row.mean:.2g}"] for row in rows]
    left, *more = ([head, *column] for head, column in zip(heads, zip(*body, strict=True), strict=True))
    first = rows[0]
    command = ["lrsched", "check", trace, first.words, "--total-steps", str(first.total_steps)]
    command += ["--peak-value", f"{first.peak_value:.8g}"]
    for name, value in options.items():
        command += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    said = "agrees" if first.agrees else "none agrees; the nearest"
    return [*columns.lay_out(left, list(more), columns.terminal_width(100)), "", f"{said}: {shlex.join(command)}"]
