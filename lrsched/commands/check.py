"""Check: a trace of rates from anybody's run against a schedule: whether it agrees, else where not, and why."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import re
import textwrap
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tyro

from lrsched.analysis import columns
from lrsched.analysis.check.reference import Rates, Reference
from lrsched.analysis.check.trace import Trace, make_trace
from lrsched.analysis.check.verdict import Verdict, judge
from lrsched.commands import Outcome, _nearest, _traces
from lrsched.runs.report import Report, ignore
from lrsched.schedules import language, registry
from lrsched.schedules.core import Schedule, check_schedule
from lrsched.schedules.durations import Budget
from lrsched.schedules.foreign import Function, contains_foreign
from lrsched.schedules.values import check_number, check_steps

PARTED = 1  # the exit status
#: Schedules that a run may have followed by mistake; each with the trace's own warmup.
DECAYS = (
    *("cosine", "linear", "rex", "one_minus_sqrt", "polynomial:power=2", "square", "exponential", "step", "multi_step"),
    *("inverse_sqrt", "onecycle", "onecycle:annealing=cosine", "wsd", "sgdr", "clr", "delayed"),
)


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """Check: holds the rates that a run logged against the schedule that it was meant to follow.

    It agrees (exit status 0), or differs somewhere (1), and the likeliest of the known mistakes is named.
    Without words, the schedules that come nearest are listed.

    Example: lrsched check trace.csv warmup:5%+cosine --total-steps 1000 --peak-value 0.1

    Attributes:
      trace: a file with a rate in each line and its step: CSV, JSON lines, JSON, Hugging Face's trainer_state.json, an
        event file of TensorBoard or a folder of them; or the folder of one of this library's runs.
      words: the schedule, as in: warmup:5%+cosine. None: the run's own, else the nearest are searched.
      total_steps: the budget in updates; None: that of --epochs, of the file, or the end of the trace.
      epochs: the budget in epochs, with --steps-per-epoch.
      steps_per_epoch: updates in an epoch.
      peak_value: the peak rate; None: that of the words, else the one of the trace, which is then not checked.
      rate_column: column, key or tag of the rates; None: lr, learning_rate and their like.
      step_column: column or key of the steps; None: step, global_step and their like, else the lines are counted.
      first_step: what the run calls its first update, 0 or 1; None: as the trace begins, else whichever agrees.
      tolerance: by how much rates may differ; None: half of the last digit that was logged, and float32's rounding.
      plot: a picture of both to write: FILE.png or FILE.svg.
    """

    trace: tyro.conf.Positional[str]
    words: tyro.conf.Positional[str | None] = None
    total_steps: int | None = None
    epochs: float | None = None
    steps_per_epoch: int | None = None
    peak_value: float | None = None
    rate_column: str | None = None
    step_column: str | None = None
    first_step: Literal[0, 1] | None = None
    tolerance: float | None = None
    plot: str | None = None


def run(config: CheckConfig, report: Report = ignore) -> Outcome:
    """Checks a trace; `.result` is the verdict, or without words the list of the nearest."""
    _check_options(config)
    found = _traces.read(
        config.trace, rate_column=config.rate_column, step_column=config.step_column, first_step=config.first_step
    )
    trace = found.trace
    if config.tolerance is not None:
        trace = trace._replace(tolerance=np.full(len(trace.rates), config.tolerance))
    per_epoch = config.steps_per_epoch or found.steps_per_epoch
    total = _budget(config, trace)
    if config.words is None and found.words is None:
        for name in ("peak_value", "plot"):
            if getattr(config, name) is not None:
                raise ValueError(f"{name} must come with the words of a schedule, got {getattr(config, name)} alone.")
        report("searching for the nearest schedules")
        options = {name: getattr(config, name) for name in ("rate_column", "step_column", "first_step", "tolerance")}
        rows = _nearest.search(trace, total)
        said = _nearest.show(rows, config.trace, options)
        return Outcome(rows, "\n".join([_described(config, found, trace), "", *said]), [])
    reference, label = choose(config.words or found.words, trace, total, per_epoch, config.peak_value)
    verdict = judge(trace, reference)
    if found.trainer and verdict.reasons and verdict.reasons[0].text.startswith("early by one update"):
        note = ["transformers logs the next update's rate before 4.51: there the run followed its schedule."]
    else:
        note = []
    files: list[pathlib.Path] = []
    if config.plot is not None:
        from lrsched.analysis.check.figures import draw_check  # Matplotlib is an extra

        draw_check(verdict, reference, label, config.plot)
        files = [pathlib.Path(config.plot)]
    said = show(verdict, reference, label, columns.terminal_width(100), own_end=total is None)
    text = "\n".join([_described(config, found, trace), *said, *note])
    return Outcome(verdict, text, files, 0 if verdict.agrees else PARTED)


def _check_options(config: CheckConfig) -> None:
    """Raises ValueError for numbers that are none."""
    for name in ("total_steps", "steps_per_epoch"):
        if getattr(config, name) is not None:
            check_steps(name, getattr(config, name))
    for name in ("peak_value", "tolerance"):
        if getattr(config, name) is not None:
            check_number(name, getattr(config, name), at_least=0.0)
    if config.epochs is not None and (config.total_steps is not None or config.steps_per_epoch is None):
        raise ValueError(f"epochs must come with --steps-per-epoch and without --total-steps, got {config.epochs:g}.")
    if config.plot is not None:
        from lrsched.analysis.drawing import check_ending

        check_ending(config.plot)


def _budget(config: CheckConfig, trace: Trace) -> int | None:
    """The updates of the whole run, as far as somebody says."""
    if config.epochs is not None:
        return Budget(config.epochs, config.steps_per_epoch or 1).total_steps
    return config.total_steps or trace.total_steps


def hold(rates: Any, schedule: Any, steps: Any = None, tolerance: float | None = None) -> Verdict:
    """Holds rates at these updates, counted from 0, against a schedule."""
    check_schedule("schedule", schedule)
    trace = make_trace(steps, rates, first_step=0)
    if tolerance is not None:
        check_number("tolerance", tolerance, at_least=0.0)
        trace = trace._replace(tolerance=np.full(len(trace.rates), tolerance))
    total = int(schedule.total_steps)
    if contains_foreign(schedule, Function):  # which is no JSON, and has no words to change
        return judge(trace, Reference(lambda updates, budget: registry.move(schedule, budget).table(updates), total))
    return judge(trace, choose(schedule, trace, total, None, None)[0])


def choose(
    words: Any, trace: Trace, total_steps: int | None, steps_per_epoch: int | None, peak_value: float | None
) -> tuple[Reference, str]:
    """The schedule that a trace is held against, and its label.

    A budget that nobody names is the end of the trace (where not every update was logged, whichever update up to the
    next logged one comes nearest), a peak that nobody names the highest rate that was logged, or what makes the rates
    agree.
    """
    full = language.parse(words)
    label = language.label(full)
    last = int(trace.steps[-1]) - (trace.first_step or 0)
    gap = int(np.diff(trace.steps[-2:]).max(initial=1))
    totals = [total_steps] if total_steps else [last + 1, *range(max(last, 1), last + min(gap, 1000) + 1)]
    highest = float(trace.rates.max())
    if not registry.lacks_peak(full):
        full = full if peak_value is None else registry.with_peak(full, peak_value)
        peak = None
    else:
        peak = highest if peak_value is None else peak_value
        if peak_value is None and not highest:
            raise ValueError("trace must hold a rate above 0, or come with --peak-value, got zeros alone.")
    tried = []
    for total in totals:
        try:
            reference = refer(full, peak, total, steps_per_epoch)
        except ValueError as error:
            if total_steps:
                raise
            raise ValueError(f"{str(error).rstrip('.')}; --total-steps names the budget.") from None
        tried.append(reference)
        if peak_value is None and peak is not None and 0 < (share := _share(trace, reference)) < 1:
            tried.append(refer(full, peak / share, total, steps_per_epoch))
    best = min(range(len(tried)), key=lambda i: (_excess(trace, tried[i]), i))
    reference = tried[best] if _excess(trace, tried[best]) <= 1 else tried[0]
    return dataclasses.replace(reference, peak_assumed=peak is not None and peak_value is None), label


def _share(trace: Trace, reference: Reference) -> float:
    """The part of the peak that the highest logged rate is of, were it on the schedule."""
    seen = reference.at(trace.updates(trace.first_step or 0)).max()
    return float(seen / reference.peak) if reference.peak else 1.0


def _excess(trace: Trace, reference: Reference) -> float:
    """The largest difference in units of the tolerance, counted as the trace may be."""
    starts = (0, 1) if trace.first_step is None else (trace.first_step,)
    return min(
        float((np.abs(trace.rates - reference.at(trace.updates(first))) / np.maximum(trace.tolerance, 1e-300)).max())
        for first in starts
    )


def refer(full: Mapping[str, Any], peak: float | None, total_steps: int, steps_per_epoch: int | None) -> Reference:
    """A schedule of parsed words, and what may have been run in its place.

    Raises:
      ValueError: for words that do not fit the budget, or epochs of unknown length.
    """
    full = full if peak is None else registry.with_peak(full, peak)

    def rates(words: Mapping[str, Any]) -> Rates:
        @functools.cache
        def build(total: int) -> Schedule:
            return registry.build(words, total_steps=total, steps_per_epoch=steps_per_epoch)

        return lambda updates, total: build(total).table(updates)

    def warmed(steps: int) -> Rates:
        return rates(_with_warmup(full, steps))

    others = {label: rates(words) for label, words in _others(full)}
    made = rates(full)
    made(np.zeros(1, np.int64), total_steps)
    return Reference(made, total_steps, steps_per_epoch, warmed if _has_warmup(full) else None, others)


def _has_warmup(full: Mapping[str, Any]) -> bool:
    segments = full.get("sequence")
    return "warmup" in full if segments is None else segments[0].get("schedule") == "warmup"


def _with_warmup(full: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The words with a warmup of so many updates, 0 for none."""
    if "sequence" not in full:
        return {**full, "warmup": steps}
    first, *rest = full["sequence"]
    if all(part.get("duration", "rest") != "rest" for part in rest):  # the last one makes room
        rest[-1] = {**rest[-1], "duration": "rest"}
    if steps:
        return {"sequence": [{**first, "duration": f"{steps}st"}, *rest]}
    return {"sequence": rest} if len(rest) > 1 else {key: one for key, one in rest[0].items() if key != "duration"}


def _others(full: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Other decays with the same peak and end, alone and behind the same warmup, by their words."""
    if "kind" in full:
        return []
    segments = full.get("sequence", [full])
    own = segments[-1]
    before = segments[:1] if len(segments) > 1 and _has_warmup(full) else []
    found = []
    for words in DECAYS:
        decay = {**_parsed(words), **{key: own[key] for key in ("peak_value", "end_value") if key in own}}
        if "end_value" not in _parsed(words):
            decay.pop("end_value", None)
        length = "rest" if before and "duration" in before[0] else own.get("duration", "rest")
        found += [decay, *([{"sequence": [*before, {**decay, "duration": length}]}] if before else [])]
    return [(_unpeaked(words), words) for words in found if words != full]


@functools.cache
def _parsed(words: str) -> dict[str, Any]:
    return language.parse(words)


def _unpeaked(words: Mapping[str, Any]) -> str:
    """The label without the peaks."""
    label = language.label(language.Parsed(words))
    return re.sub(r",peak_value=[^,+@]+|peak_value=[^,+@]+,|:peak_value=[^,+@]+", "", label)


def _described(config: CheckConfig, found: _traces.Found, trace: Trace) -> str:
    """The trace in a line."""
    steps, many = trace.steps, len(trace.steps)
    strides = np.unique(np.diff(steps))
    every = f", one in every {strides[0]}" if len(strides) == 1 and strides[0] > 1 else ""
    written = (
        f", written {trace.written}"
        if trace.written.startswith(("to ", "in ", "as "))
        else f" {trace.written}".rstrip()
    )
    written += f"; {found.columns}" if found.columns else ""
    return f"{config.trace}: {many:,} rate{'s' * (many > 1)}, steps {steps[0]:,} to {steps[-1]:,}{every}{written}."


def show(verdict: Verdict, reference: Reference, label: str, width: int, *, own_end: bool = False) -> list[str]:
    """What is said of a trace, in lines; own_end: nobody named the budget, so it ends with the trace."""
    peak, total, own_peak = reference.peak, reference.total_steps, reference.peak_assumed
    counted = f"steps counted from {verdict.first_step}"
    if verdict.assumed:
        so = "agrees" if verdict.agrees else "differs"
        other = (
            f"{so} from {1 - verdict.first_step} as well" if verdict.either else "which agrees, and the other does not"
        )
        counted += f" ({other}; --first-step settles it)"
    off = np.abs(verdict.differences)
    most = int(off.argmax())
    peak_is, total_is = (f"{said}{' (as in the trace)' * own}" for said, own in
                         ((f"peak {peak:.6g}", own_peak), (f"{total:,} updates", own_end)))  # fmt: skip
    lines = [f"{label}: {peak_is}, {total_is}; {counted}."]
    if verdict.parting is None:
        said = (
            f"agrees: the largest difference is {off[most]:.2g}, at update {verdict.updates[most]:,}; "
            f"up to {verdict.tolerance[most]:.2g} is rounding there."
        )
        return [*lines, *textwrap.wrap(said, width)]
    i, wrong = verdict.parting, int((off > verdict.tolerance).sum())
    step = f" (step {verdict.updates[i] + verdict.first_step:,})" if verdict.first_step else ""
    expected, found = verdict.expected[i], verdict.found[i]
    said = (
        f"first differs at update {verdict.updates[i]:,}{step}: expected {expected:.8g}, found {found:.8g}, "
        f"a difference of {verdict.differences[i]:.2g} ({100 * off[i] / (peak or 1.0):.3g} % of the peak). "
        f"{wrong:,} of {len(off):,} rates differ, most at update {verdict.updates[most]:,}, by {off[most]:.2g}."
    )
    lines += textwrap.wrap(said, width)
    if len(verdict.reasons) == 1:
        return [*lines, *textwrap.wrap(f"Likeliest reason: {verdict.reasons[0].text}.", width)]
    if verdict.reasons:
        lines.append("Reasons that leave these very rates, the likeliest first:")
        return [*lines, *(f"  - {reason.text}" for reason in verdict.reasons)]
    if verdict.near is None:
        own = [word for word, mine in (("--peak-value", own_peak), ("--total-steps", own_end)) if mine]
        more = [f"{' and '.join(own)} would say what here is the trace's own."] if own else []
        return [*lines, "None of the known reasons leaves these rates.", *more]
    left = np.abs(verdict.found - verdict.near.rates).mean() / off.mean()
    nearest = f"None of the known reasons leaves these rates. Nearest, with {100 * left:.2g} % of the difference left: "
    return [*lines, *textwrap.wrap(f"{nearest}{verdict.near.text}.", width)]
