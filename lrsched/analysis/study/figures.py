"""Figures of studies and runs: errors, schedules, losses. The same numbers give the same bytes.

Each is written to a path that ends in .svg or .png; another ending is a ValueError.
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Real

from lrsched.analysis import drawing
from lrsched.analysis.drawing import Axes
from lrsched.analysis.study.cells import Cell
from lrsched.analysis.study.paper import PaperNumber, list_unstated

Path = str | os.PathLike[str]

# progress, multiplier of the peak rate, and a momentum where the schedule has one
Curve = (
    tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]
    | tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"], Float[np.ndarray, " points"]]
)


def draw_error_over_budget(
    cells: Sequence[Cell],
    path: Path,
    papers: Mapping[tuple[str, str], PaperNumber] | None = None,
    *,
    measure: str = "test error",
) -> None:
    """Draws test error over budget: a line per schedule through its means, bars of one standard deviation.

    Both axes are logarithmic (the errors' is linear if one is 0). Schedules stand side by side at each budget so that
    their bars can be told apart. Of a single budget there are no lines: each schedule has a row with its name, and the
    errors lie across. A cell with a run that diverged is not drawn but named above the axes.

    Args:
      cells: of one study.
      path: ends in .svg or .png.
      papers: (label, budget) -> the paper's number, drawn as a hollow marker.
      measure: what the cells' errors are.
    Raises:
      ValueError: if there is nothing to draw.
    """
    drawn = [cell for cell in cells if not cell.diverged]
    if not drawn:
        raise ValueError(f"cells must hold at least one without a diverged run, got {len(cells)} of them.")
    labels = list(dict.fromkeys(cell.label for cell in cells))
    budgets = {cell.budget: cell.epochs for cell in sorted(cells, key=lambda cell: cell.epochs)}
    alone = len(budgets) == 1
    with drawing.figure(path, (6.4, 1.4 + 0.3 * len(labels) if alone else 4.0)) as figure:
        axes = figure.add_subplot()
        numbers = {place: 100 * number.mean for place, number in (papers or {}).items()}
        if alone:
            _draw_rows(axes, labels, drawn, numbers, f"{measure}, % ({_budget(drawn[0])})")
        else:
            _draw_lines(axes, labels, budgets, drawn, numbers, f"{measure}, %")
        _write_notes(axes, cells, drawn, papers)


def _draw_lines(
    axes: Axes,
    labels: Sequence[str],
    budgets: Mapping[str, float],
    drawn: Sequence[Cell],
    printed: Mapping[tuple[str, str], float],
    title: str,
) -> None:
    """Errors upwards over budgets across, with each line's label at its end."""
    at = {(cell.label, cell.budget): cell for cell in drawn}
    width = max(2.0, max(budgets.values()) / min(budgets.values()))  # of the logarithmic axis
    ends: dict[str, tuple[float, float]] = {}
    each = drawing.looks(labels)
    for i, label in enumerate(labels):
        aside = width ** (0.013 * (i - (len(labels) - 1) / 2))
        x = [epochs * aside for epochs in budgets.values()]
        found = [at.get((label, budget)) for budget in budgets]  # a line has a gap where it has no mean
        y = [math.nan if cell is None else 100 * (cell.mean or 0.0) for cell in found]
        bar = [math.nan if cell is None else 100 * (cell.sd or 0.0) for cell in found]
        axes.errorbar(x, y, bar, **each[label], elinewidth=0.9, capsize=1.8, capthick=0.9)
        points = [point for point in zip(x, y, strict=True) if not math.isnan(point[1])]
        ends |= {label: points[-1]} if points else {}
        paper = [printed.get((label, budget), math.nan) for budget in budgets]
        axes.plot(x, paper, **_hollow(each[label]))
    axes.set_ylabel(title)
    drawing.use_log_percents(axes, lowest=min(100 * (cell.mean or 0.0) for cell in drawn))
    _budget_axis(axes, budgets)
    _label_ends(axes, ends, {label: each[label]["color"] for label in labels})


def _draw_rows(
    axes: Axes, labels: Sequence[str], drawn: Sequence[Cell], printed: Mapping[tuple[str, str], float], title: str
) -> None:
    """A row per schedule, the first one above; errors across."""
    each = drawing.looks(labels)
    for cell in drawn:
        row = labels.index(cell.label)
        bar: drawing.Look = {"xerr": 100 * (cell.sd or 0.0), "elinewidth": 0.9, "capsize": 1.8, "capthick": 0.9}
        axes.errorbar(100 * (cell.mean or 0.0), row, **bar, **{**each[cell.label], "linestyle": "none"})
        paper = printed.get((cell.label, cell.budget), math.nan)
        axes.plot(paper, row, **_hollow(each[cell.label]))
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel(title)


def _hollow(look: drawing.Look) -> drawing.Look:
    return {**look, "linestyle": "none", "markersize": 7.5, "markerfacecolor": "none"}


def _budget(cell: Cell) -> str:
    return f"budget {cell.budget}" + (f", {cell.epochs:g} epochs" if cell.budget.endswith("%") else "")


def _write_notes(
    axes: Axes, cells: Sequence[Cell], drawn: Sequence[Cell], papers: Mapping[tuple[str, str], PaperNumber] | None
) -> None:
    """What bars and hollow markers are, and what is not drawn: above the axes, a line each."""
    seeds = sorted({cell.n for cell in drawn if cell.sd is not None})
    many = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else "".join(map(str, seeds))
    gone = [f"{cell.label} at {cell.budget}" for cell in cells if cell.diverged]
    notes = [f"bars: ± 1 sd over {many} seeds"] if seeds else []
    notes += ["hollow: the paper's numbers"] if papers else []
    lines = ["; ".join(notes)] if notes else []
    for words in list_unstated((papers or {}).values()):
        lines += textwrap.wrap(f"not stated there, and here: {words}", 66)
    if gone:
        lines += textwrap.wrap(f"not drawn, because runs diverged: {', '.join(gone)}", 66)
    axes.set_title("\n".join(lines), fontsize=8.0, color="0.3", loc="left")


def draw_schedules(curves: Mapping[str, Curve], path: Path) -> None:
    """Draws schedules over progress: the rate as a multiple of its peak and, where there is one, the momentum.

    Args:
      curves: label -> (progress, multiplier) or (progress, multiplier, momentum), arrays of one length; a few hundred
        points or more, so that the jumps of a sampled schedule look like jumps.
      path: ends in .svg or .png.
    Raises:
      ValueError: if there is nothing to draw.
    """
    if not curves:
        raise ValueError("curves must hold at least one schedule, got none.")
    momenta = any(len(curve) == 3 for curve in curves.values())
    with drawing.figure(path, (6.4, 4.6 if momenta else 3.4)) as figure:
        heights = {"height_ratios": [3, 1]} if momenta else {}
        panels = figure.subplots(1 + momenta, 1, sharex=True, squeeze=False, gridspec_kw=heights)[:, 0]
        each = drawing.looks(curves)
        for label, (progress, *values) in curves.items():
            look = {**each[label], "marker": "none", "label": label, "clip_on": False}
            for axes, value in zip(panels, values, strict=False):
                axes.plot(progress, value, **look)
        panels[0].set_ylabel("rate / peak rate")
        if momenta:
            panels[1].set_ylabel("momentum")
        panels[0].set_ylim(bottom=0.0)
        panels[-1].set_xlim(0.0, 1.0)
        panels[-1].set_xlabel("progress through the budget")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")


def draw_losses(
    curves_by_label: Mapping[str, tuple[Real[np.ndarray, " points"], Float[np.ndarray, "seeds points"]]],
    path: Path,
    *,
    measure: str = "training loss",
) -> None:
    """Draws losses or errors of compared runs over the update number: mean over seeds, and a band from least to most.

    Args:
      curves_by_label: label -> (updates, losses by seed); the points may differ between labels. A loss that is not
        finite ends its label's mean and band, from where on its other seeds are drawn by themselves; a cross marks the
        last one before it. The axis is logarithmic unless a loss is 0 or below.
      path: ends in .svg or .png.
      measure: what the values are.
    Raises:
      ValueError: if there is nothing to draw.
    """
    if not any(np.isfinite(values).any() for _, values in curves_by_label.values()):
        raise ValueError(f"curves_by_label must hold a finite loss, got none in {len(curves_by_label)} labels.")
    with drawing.figure(path, (6.4, 4.0)) as figure:
        axes = figure.add_subplot()
        looks = drawing.looks(curves_by_label)
        for label, (updates, values) in curves_by_label.items():
            drawing.draw_band(axes, updates, values, {**looks[label], "label": label})
            drawing.cross_ends(axes, updates, values, looks[label]["color"])
        finite = np.concatenate([values[np.isfinite(values)] for _, values in curves_by_label.values()])
        drawing.use_log_axis(axes, finite)
        axes.set_xlabel("update")
        axes.set_ylabel(measure)
        axes.margins(x=0.01)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def draw_run(
    steps: Real[np.ndarray, " points"],
    rates: Float[np.ndarray, " points"],
    momenta: Float[np.ndarray, " points"] | None,
    losses: Float[np.ndarray, " points"] | None,
    path: Path,
) -> None:
    """Draws one run, from top to bottom: rate, momentum, training loss, over the same updates.

    Args:
      steps: update numbers.
      rates: that the updates used.
      momenta: likewise; no panel if None.
      losses: of the updates; no panel if None. Its axis is logarithmic unless one is 0 or below.
      path: ends in .svg or .png.
    Raises:
      ValueError: if there are no steps.
    """
    if not len(steps):
        raise ValueError("steps must hold at least one update, got none.")
    drawn = {"learning rate": rates, "momentum": momenta, "training loss": losses}
    panels = {title: values for title, values in drawn.items() if values is not None}
    with drawing.figure(path, (6.4, 1.0 + 1.5 * len(panels))) as figure:
        column = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for i, (axes, (title, values)) in enumerate(zip(column, panels.items(), strict=True)):
            axes.plot(steps, np.where(np.isfinite(values), values, np.nan), color=drawing.COLOURS[i], linewidth=1.0)
            axes.set_ylabel(title)
            axes.margins(x=0.01)
        column[0].set_ylim(bottom=0.0)
        if losses is not None:
            drawing.use_log_axis(column[-1], losses[np.isfinite(losses)])
        column[-1].set_xlabel("update")
        figure.align_ylabels(column)


def _budget_axis(axes: Axes, budgets: Mapping[str, float]) -> None:
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(list(budgets.values()), [f"{budget}\n{epochs:g}" for budget, epochs in budgets.items()])
    axes.set_xlabel("budget, and its epochs")
    axes.grid(visible=False, axis="x")


def _label_ends(axes: Axes, ends: Mapping[str, tuple[float, float]], colours: Mapping[str, str]) -> None:
    """Writes each line's label to its right, moved up or down until none covers another."""
    gap = 0.055  # of the axis's height: a line of text

    def height(label: str) -> float:
        return float(axes.transAxes.inverted().transform(axes.transData.transform(ends[label]))[1])

    wanted = {label: height(label) for label in sorted(ends, key=height)}
    placed: list[float] = []
    for value in wanted.values():
        placed.append(max(value, placed[-1] + gap) if placed else value)
    down = sum(placed) / len(placed) - sum(wanted.values()) / len(wanted)
    down = min(down, placed[0] - gap / 2)  # not below the axis
    for label, at in zip(wanted, placed, strict=True):
        colour = colours[label]
        leader: drawing.Look = {"arrowstyle": "-", "color": colour, "linewidth": 0.6}
        leader |= {"relpos": (0.0, 0.5), "shrinkA": 1, "shrinkB": 4}
        dark = [0.8 * int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        place = (1.05, at - down)
        axes.annotate(label, ends[label], place, textcoords="axes fraction", color=dark, va="center", arrowprops=leader)
