"""Forecast: a law of the loss curve fitted to some runs, and what it says of others, held against what they did."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tyro

from lrsched import files
from lrsched.analysis import columns, markdown
from lrsched.commands import Outcome, _loss_curves, _optimised
from lrsched.commands.schedules import SchedulesConfig, draw_up
from lrsched.forecast import fits
from lrsched.forecast.curves import Curve
from lrsched.runs.report import Report, ignore
from lrsched.schedules.values import check_choice, check_number, check_steps


@dataclasses.dataclass(frozen=True)
class ForecastConfig:
    """Forecast: fits a law of the loss curve to runs, predicts others, and says how wrong it is.

    Runs that do not identify the law are refused, with the run that is missing. Laws are of the loss of one pass over
    the data at one peak rate; convex_end takes several. Trust the order more than the gaps, and only on schedules that
    were not fitted.

    Example: lrsched forecast runs/digits-resnet8 --law convex_end --schedules rex:d=0.9 --peak-value 0.1

    Attributes:
      sources: folders with records.jsonl, as of `lrsched study`, or CSV files with the columns step, lr, loss.
      law: annealing, multi_power, functional_scaling or convex_end; None: multi_power, or convex_end where only the
        ends of the runs were measured.
      fit_on: schedules whose runs the law is fitted to; none: all. The other runs are held against it.
      fit_peaks: peak rates whose runs the law is fitted to; none: all.
      schedules: more schedules to predict, in words.
      optimise: families whose best member is looked for, as in rex:d=0/0.95 (an argument and its range), and the word
        free: rates that begin at the peak and never rise.
      total_steps: updates of the schedules that are predicted; None: those of the longest run fitted.
      peak_value: their peak rate; None: that of the runs fitted.
      train: whether the law is of the training loss along the run.
      leave_one_out: whether the law is fitted once more without each schedule, and held against it.
      out: folder for law.json and table.md; None: nothing is written.
    """

    sources: tyro.conf.Positional[tuple[str, ...]]
    law: str | None = None
    fit_on: tuple[str, ...] = ()
    fit_peaks: tuple[float, ...] = ()
    schedules: tuple[str, ...] = ()
    optimise: tuple[str, ...] = ()
    total_steps: int | None = None
    peak_value: float | None = None
    train: bool = False
    leave_one_out: bool = False
    out: str | None = None


class Row(NamedTuple):
    """A schedule, its updates and peak rate, the loss at its end as predicted and as measured, and its use."""

    name: str
    total_steps: int
    peak: float
    predicted: float
    measured: float | None
    fitted: bool


class Forecast(NamedTuple):
    """A fitted law, what it predicts (least first), and its errors on each schedule when that was left out."""

    law: fits.FittedLaw
    rows: list[Row]
    left_out: dict[str, float | None]
    best: list[_optimised.Member]


def run(config: ForecastConfig, report: Report = ignore) -> Outcome:
    """Fits, predicts, and says how wrong it was."""
    if not config.sources:
        raise ValueError("sources must name a folder of runs or a CSV file at least, got none.")
    found = _loss_curves.read(config.sources, train=config.train)
    for line in found.left_out:
        report(f"left out: {line}")
    fitted, name = _chosen(config, found.curves)
    report(f"fitting {name} to {markdown.plural(len(fitted), 'run')}")
    law = fits.fit_law(fitted, name)
    rows = [
        Row(curve.name, int(curve.steps[-1]), curve.peak, float(law.predict(curve.rates, curve.steps[-1:])[0]),
            float(curve.losses[-1]), any(curve is one for one in fitted))
        for curve in found.curves
    ]  # fmt: skip
    total, peak = _setting(config, fitted)
    for words in config.schedules:
        drawn = draw_up(words, SchedulesConfig(total_steps=total, peak_value=peak))
        rates = drawn.plan.lr.table()
        rows.append(Row(drawn.label, total, float(rates.max()), float(law.predict(rates)), None, False))
        for sentence in law.leaves(rates):
            report(f"{drawn.label} leaves what was fitted: {sentence}")
    errors = fits.leave_one_out(fitted, name) if config.leave_one_out else {}
    left_out = {each: errors.get(each) for each in law.fitted} if config.leave_one_out else {}
    best = [_optimised.best(family, law, peak=peak, total_steps=total) for family in config.optimise]
    rows.sort(key=lambda row: (-row.total_steps, row.predicted))
    forecast = Forecast(law, rows, left_out, best)
    written = _write(forecast, found.loss, config.out)
    return Outcome(forecast, show(forecast, found.loss, columns.terminal_width(100)), written)


def _chosen(config: ForecastConfig, curves: Sequence[Curve]) -> tuple[list[Curve], str]:
    """The runs that the law is fitted to, and its name."""
    names = list(dict.fromkeys(curve.name for curve in curves))
    for each in config.fit_on:
        check_choice("fit_on", each, names)
    peaks = sorted({curve.peak for curve in curves})
    for peak in config.fit_peaks:
        if not any(math.isclose(peak, other, rel_tol=0.01) for other in peaks):
            raise ValueError(f"fit_peaks must be of {', '.join(f'{other:g}' for other in peaks)}, got {peak:g}.")
    fitted = [
        curve
        for curve in curves
        if (not config.fit_on or curve.name in config.fit_on)
        and (not config.fit_peaks or any(math.isclose(curve.peak, peak, rel_tol=0.01) for peak in config.fit_peaks))
    ]
    ends = all(len(curve.steps) == 1 for curve in fitted)
    name = config.law or ("convex_end" if ends else "multi_power")
    return fitted, check_choice("law", name, fits.LAWS)


def _setting(config: ForecastConfig, fitted: Sequence[Curve]) -> tuple[int, float]:
    """Updates and peak rate of what is predicted."""
    if config.total_steps is not None:
        check_steps("total_steps", config.total_steps)
    peaks = sorted({curve.peak for curve in fitted})
    asks = bool(config.schedules or config.optimise)
    if config.peak_value is not None:
        check_number("peak_value", config.peak_value)
        if config.peak_value <= 0:
            raise ValueError(f"peak_value must be above 0, got {config.peak_value:g}.")
    elif asks and peaks[-1] > 1.01 * peaks[0]:
        raise ValueError(f"peak_value must be given where runs differ in it, got {', '.join(f'{p:g}' for p in peaks)}.")
    return config.total_steps or max(len(curve.rates) for curve in fitted), config.peak_value or peaks[-1]


def cells(forecast: Forecast) -> list[list[str]]:
    """The table, its head first."""
    rows = [["schedule", "updates", "peak", "predicted", "measured", "error", "use"]]
    for row in forecast.rows:
        measured, error = ("", "") if row.measured is None else (
            f"{row.measured:.4f}", f"{row.predicted - row.measured:+.4f}")  # fmt: skip
        use = "fitted" if row.fitted else ("asked" if row.measured is None else "held against it")
        rows.append([row.name, str(row.total_steps), f"{row.peak:g}", f"{row.predicted:.4f}", measured, error, use])
    return rows


def sentences(forecast: Forecast, loss: str) -> list[str]:
    """What the table is of, and how wrong the law was where that can be said."""
    parameters = ", ".join(f"{name} {value:.4g}" for name, value in forecast.law.parameters.items())
    said = [f"The {loss} at the end by the law {forecast.law.law} ({parameters}), least first."]
    ends = [(row.predicted, row.measured, row.fitted) for row in forecast.rows if row.measured is not None]
    old, new = (np.array([end[:2] for end in ends if end[2] is fitted]).reshape(-1, 2) for fitted in (True, False))
    off = float(np.abs(old[:, 0] - old[:, 1]).mean())
    said.append(f"On the {markdown.plural(len(old), 'run')} that it was fitted to it is {off:.4f} off in the mean.")
    if len(new):
        off, alone = float(np.abs(new[:, 0] - new[:, 1]).mean()), float(np.abs(new[:, 1] - old[:, 1].mean()).mean())
        text = f"On the {markdown.plural(len(new), 'run')} that it was not fitted to it is {off:.4f} off; the mean of "
        text += f"the runs fitted would be {alone:.4f} off."
        if len(new) > 2:
            from scipy import stats

            text += f" Rank correlation of predicted and measured: {stats.spearmanr(*new.T)[0]:.2f}."
        said.append(text)
    else:
        options = "--fit-on" if forecast.left_out else "--fit-on, --leave-one-out"
        said.append(f"Nothing was held against it: errors on runs that were fitted say little ({options}).")
    if each := [f"{name} {error:.4f}" for name, error in forecast.left_out.items() if error is not None]:
        said.append(f"Fitted without each schedule in turn, it is off at the end by: {', '.join(each)}.")
    if needed := [name for name, error in forecast.left_out.items() if error is None]:
        said.append(f"The runs do not identify the law without {', or without '.join(needed)}.")
    for member in forecast.best:
        said += member.sentences()
    return said


def show(forecast: Forecast, loss: str, width: int) -> str:
    """The table and the sentences, for a terminal."""
    left, *more = zip(*cells(forecast), strict=True)
    lines = columns.lay_out(left, more, width)
    for sentence in sentences(forecast, loss):
        lines += ["", *textwrap.wrap(sentence, width)]
    return "\n".join(lines)


def _write(forecast: Forecast, loss: str, out: str | None) -> list[pathlib.Path]:
    """law.json and table.md, and for free rates best.json, a schedule to train with."""
    if out is None:
        return []
    folder = files.local_folder("out", out)
    table = [[markdown.code(first) if i else first, *more] for i, (first, *more) in enumerate(cells(forecast))]
    text = markdown.table(table, align="lrrrrrl") + "".join(f"\n{one}\n" for one in sentences(forecast, loss))
    files.write_text(folder / "law.json", json.dumps(json.loads(forecast.law.to_json()), indent=1) + "\n")
    files.write_text(folder / "table.md", text)
    written: list[Any] = [folder / "law.json", folder / "table.md"]
    for i, member in enumerate(forecast.best):
        again = sum(other.name == member.name for other in forecast.best[:i])
        path = folder / f"best_{member.name}{f'_{again + 1}' * bool(again)}.json"
        files.write_text(path, member.json() + "\n")
        written.append(path)
    return written
