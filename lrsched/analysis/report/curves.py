"""The figures of a study: error over budget, losses and errors over updates, and each schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lrsched.analysis import drawing
from lrsched.analysis.markdown import code
from lrsched.analysis.report import chart
from lrsched.analysis.report.chart import Axis, Line
from lrsched.analysis.report.document import Figure, Key
from lrsched.analysis.report.words import to_html
from lrsched.analysis.study.cells import Cell

Losses = Mapping[str, tuple[np.ndarray, np.ndarray]]  # label -> updates, values [seeds, points]
Curves = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]  # label -> progress, rate over peak, momentum


def draw_frontier(cells: Sequence[Cell], measure: str) -> Figure | None:
    """Error over budget: means, bars of one sd. Of one budget alone there is no line to draw."""
    budgets = {cell.budget: cell.epochs for cell in sorted(cells, key=lambda cell: cell.epochs)}
    drawn = [cell for cell in cells if not cell.diverged and cell.mean is not None]
    if len(set(budgets.values())) < 2 or not drawn:
        return None
    labels = list(dict.fromkeys(cell.label for cell in cells))
    looks = drawing.looks(labels)
    at = {(cell.label, cell.budget): cell for cell in drawn}
    epochs = np.array(list(budgets.values()))
    lines, ends = [], []
    for i, label in enumerate(labels):
        own = [at.get((label, budget)) for budget in budgets]
        mean = np.array([math.nan if cell is None or cell.mean is None else 100 * cell.mean for cell in own])
        sd = np.array([math.nan if cell is None else 100 * (cell.sd or 0.0) for cell in own])
        aside = (epochs[-1] / epochs[0]) ** (0.012 * (i - (len(labels) - 1) / 2))  # bars side by side
        low = np.where(mean - sd > 0, mean - sd, mean)
        lines.append(Line(looks[label], epochs * aside, mean, low, mean + sd))
        ends += [*low, *(mean + sd)]
    every = np.concatenate([line.x for line in lines])
    x = chart.fit_axis("epochs", every, log=True)._replace(ticks=_thin(epochs))
    y = chart.fit_axis(f"{measure}, %", np.array(ends), log=True)
    name = f"{measure} over budget, a line per schedule; the numbers are in the table of results"
    few = sorted({cell.n for cell in drawn if cell.sd is not None})
    bars = f"; bars: one standard deviation over {_span(few)} seeds" if few else ""
    gone = [f"{code(cell.label)} at {cell.budget}" for cell in cells if cell.diverged]
    missing = f" Not drawn, because runs diverged: {', '.join(gone)}." if gone else ""
    axes = "both on logarithmic axes" if y.log else "the budget on a logarithmic axis"
    title = f"{measure[0].upper()}{measure[1:]} over budget, {axes}{bars}.{missing}"
    keys = tuple(Key(code(label), looks[label]) for label in labels)
    return Figure(title, chart.draw_lines(lines, x, y, name=name), keys, marked=True)


def _thin(epochs: np.ndarray) -> dict[float, str]:
    """The budgets as ticks, without those that would lie on the one before."""
    kept: dict[float, str] = {}
    room = math.log(epochs[-1] / epochs[0]) / 9
    for value in map(float, epochs):
        if not kept or math.log(value / list(kept)[-1]) > room:
            kept[value] = f"{value:g}"
    return kept


def _span(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def draw_losses(losses: Losses, budget: str) -> Figure | None:
    """Training losses over updates: mean over seeds, and a band from the least to the largest."""
    title = f"Training loss at {budget}: mean over seeds, and the band from the least to the largest."
    return _draw_bands(losses, "training loss", title, log=True)


def draw_evaluations(errors: Losses, budget: str, measure: str) -> Figure | None:
    """Errors in percent that were measured on the way."""
    title = (
        f"{measure[0].upper()}{measure[1:]} over updates at {budget}: mean over seeds, and the band from the least to"
    )
    return _draw_bands(errors, f"{measure}, %", f"{title} the largest.", log=True)


def _draw_bands(values: Losses, label: str, title: str, *, log: bool) -> Figure | None:
    trained = {name: (x, each[np.isfinite(each).any(axis=1)]) for name, (x, each) in values.items()}
    shown = {name: each for name, each in trained.items() if len(each[1]) and np.isfinite(each[1]).all(axis=0).any()}
    if not shown:
        return None
    gone = [
        f"{code(name)} ({len(each) - kept} of {len(each)})"
        for name, (_, each) in values.items()
        if (kept := len(shown[name][1]) if name in shown else 0) < len(each)
    ]
    title += f" Not drawn, because runs diverged: {', '.join(gone)}." if gone else ""
    looks = drawing.looks(shown)
    lines = []
    for name, (x, each) in shown.items():
        mean, low, high = each.mean(axis=0), each.min(axis=0), each.max(axis=0)  # NaN where a seed has none
        several = len(each) > 1
        lines.append(
            Line(looks[name], x.astype(float), mean, low if several else None, high if several else None, True)
        )
    ends = np.concatenate([part for line in lines for part in (line.y, line.low, line.high) if part is not None])
    x_axis = chart.fit_axis("update", np.concatenate([line.x for line in lines]), floor=0.0)
    last = max(float(line.x.max()) for line in lines)
    x_axis = x_axis._replace(
        high=last * 1.01, ticks={at: text for at, text in x_axis.ticks.items() if at <= last * 1.01}
    )
    y_axis: Axis = chart.fit_axis(label, ends, log=log)
    drawn = chart.draw_lines(lines, x_axis, y_axis, name=f"{label} over updates, a line per schedule")
    return Figure(title, drawn, tuple(Key(code(name), looks[name]) for name in shown))


def draw_schedules(curves: Curves) -> Figure:
    """A panel for each schedule: rate over its peak, and the momentum where it moves."""
    looks = drawing.looks(curves)
    panels = []
    for label, (progress, rate, momentum) in curves.items():
        drawn = chart.draw_schedule(label, progress, rate, momentum, looks[label])
        still = np.ptp(momentum) <= 1e-9
        said = f"<p>momentum {momentum[0]:g}</p>" if still else ""
        panels.append(f"<div><p>{to_html(code(label))}</p>{drawn}{said}</div>")
    title = "Each schedule over its longest budget: the rate as a part of its peak, from 0 at the axis to 1."
    return Figure(title, f'<div class="panels">{"".join(panels)}</div>')
