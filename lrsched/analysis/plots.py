"""Figures: test error over budget, and the schedules themselves. SVG or PNG, the same bytes from the same numbers."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from lrsched.analysis import drawing
from lrsched.analysis.ledger import Cell
from lrsched.analysis.paper import PaperNumber

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# For the other modules that draw.
STYLE, COLOURS = drawing.STYLE, drawing.COLOURS
import_matplotlib, styled, looks = drawing.import_matplotlib, drawing.styled, drawing.looks
_look, _save, _check_ending = drawing.look, drawing.save, drawing.check_ending

# progress, multiplier of the peak rate, and a momentum where the schedule has one
Curve = (
    tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]
    | tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"], Float[np.ndarray, " points"]]
)


def error_over_budget(
    cells: Sequence[Cell],
    path: str | os.PathLike[str],
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
      ValueError: if there is nothing to draw or the ending is another.
    """
    _check_ending(path)
    drawn = [cell for cell in cells if not cell.diverged]
    if not drawn:
        raise ValueError(f"cells must hold at least one without a diverged run, got {len(cells)} of them.")
    import_matplotlib()
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(cell.label for cell in cells))
    budgets = {cell.budget: cell.epochs for cell in sorted(cells, key=lambda cell: cell.epochs)}
    with styled():
        alone = len(budgets) == 1
        figure = Figure(figsize=(6.4, 1.4 + 0.3 * len(labels) if alone else 4.0), layout="constrained")
        axes = figure.add_subplot()
        numbers = {place: 100 * number.mean for place, number in (papers or {}).items()}
        if alone:
            _rows(axes, labels, drawn, numbers, f"{measure}, % ({_budget(drawn[0])})")
        else:
            _lines(axes, labels, budgets, drawn, numbers, f"{measure}, %")
        _notes(axes, cells, drawn, papers)
        _save(figure, path)


def _lines(
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
    each = looks(labels)
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
    _log_percents(axes, lowest=min(100 * (cell.mean or 0.0) for cell in drawn))
    _budget_axis(axes, budgets)
    _label_ends(axes, ends, {label: each[label]["color"] for label in labels})


def _rows(
    axes: Axes, labels: Sequence[str], drawn: Sequence[Cell], printed: Mapping[tuple[str, str], float], title: str
) -> None:
    """A row per schedule, the first one above; errors across."""
    each = looks(labels)
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


def _notes(
    axes: Axes, cells: Sequence[Cell], drawn: Sequence[Cell], papers: Mapping[tuple[str, str], PaperNumber] | None
) -> None:
    """What bars and hollow markers are, and what is not drawn: above the axes, a line each."""
    seeds = sorted({cell.n for cell in drawn if cell.sd is not None})
    many = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else "".join(map(str, seeds))
    gone = [f"{cell.label} at {cell.budget}" for cell in cells if cell.diverged]
    notes = [f"bars: ± 1 sd over {many} seeds"] if seeds else []
    notes += ["hollow: the paper's numbers"] if papers else []
    lines = ["; ".join(notes)] if notes else []
    for words in dict.fromkeys(number.unstated for number in (papers or {}).values() if number.unstated):
        lines += textwrap.wrap(f"not stated there, and here: {words}", 90)
    if gone:
        lines += textwrap.wrap(f"not drawn, because runs diverged: {', '.join(gone)}", 90)
    axes.set_title("\n".join(lines), fontsize=8.0, color="0.3", loc="left")


def schedules(curves: Mapping[str, Curve], path: str | os.PathLike[str]) -> None:
    """Draws schedules over progress: the rate as a multiple of its peak and, where there is one, the momentum.

    Args:
      curves: label -> (progress, multiplier) or (progress, multiplier, momentum), arrays of one length; a few hundred
        points or more, so that the jumps of a sampled schedule look like jumps.
      path: ends in .svg or .png.
    Raises:
      ValueError: if there is nothing to draw or the ending is another.
    """
    _check_ending(path)
    if not curves:
        raise ValueError("curves must hold at least one schedule, got none.")
    import_matplotlib()
    from matplotlib.figure import Figure

    momenta = any(len(curve) == 3 for curve in curves.values())
    with styled():
        figure = Figure(figsize=(6.4, 4.6 if momenta else 3.4), layout="constrained")
        heights = {"height_ratios": [3, 1]} if momenta else {}
        panels = figure.subplots(1 + momenta, 1, sharex=True, squeeze=False, gridspec_kw=heights)[:, 0]
        each = looks(curves)
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
        _save(figure, path)


def _log_percents(axes: Axes, *, lowest: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    if lowest > 0:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0)) if high > 3 * low else MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _budget_axis(axes: Axes, budgets: Mapping[str, float]) -> None:
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(list(budgets.values()), [f"{budget}\n{epochs:g}" for budget, epochs in budgets.items()])
    axes.set_xlabel("budget, and its epochs")
    axes.grid(visible=False, axis="x")


def _label_ends(axes: Axes, ends: Mapping[str, tuple[float, float]], colours: Mapping[str, str]) -> None:
    """Writes each line's label to its right, moved up or down until none covers another."""
    from matplotlib.colors import to_rgb

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
        leader = {
            "arrowstyle": "-",
            "color": colour,
            "linewidth": 0.6,
            "relpos": (0.0, 0.5),
            "shrinkA": 1,
            "shrinkB": 4,
        }
        dark = [0.8 * part for part in to_rgb(colour)]
        place = (1.05, at - down)
        axes.annotate(label, ends[label], place, textcoords="axes fraction", color=dark, va="center", arrowprops=leader)
