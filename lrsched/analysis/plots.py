"""Figures: test error over budget, and the schedules themselves. SVG or PNG, the same bytes from the same numbers."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from lrsched.analysis.ledger import Cell
from lrsched.analysis.paper import PaperNumber

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow: unreadable on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")  # a second round through the colours is dashed
STYLE = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "0.4",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "xtick.color": "0.3",
    "ytick.color": "0.3",
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "savefig.dpi": 200.0,
    "svg.hashsalt": "lrsched",  # ids of an SVG's elements, random otherwise
    "svg.fonttype": "none",  # text stays text: it can be searched, and is drawn in the reader's font
}
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
    their bars can be told apart. A cell with a run that diverged is not drawn but named below the axis.

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
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.add_subplot()
        labels = list(dict.fromkeys(cell.label for cell in cells))
        budgets = {cell.budget: cell.epochs for cell in sorted(cells, key=lambda cell: cell.epochs)}
        means = {(cell.label, cell.budget): 100 * (cell.mean or 0.0) for cell in drawn}
        bars = {(cell.label, cell.budget): 100 * (cell.sd or 0.0) for cell in drawn}
        width = max(2.0, max(budgets.values()) / min(budgets.values()))  # of the logarithmic axis
        ends: dict[str, tuple[float, float]] = {}
        for i, label in enumerate(labels):
            aside = width ** (0.013 * (i - (len(labels) - 1) / 2))
            x = [epochs * aside for epochs in budgets.values()]
            y = [means.get((label, budget), math.nan) for budget in budgets]  # a line has a gap where it has no mean
            bar = [bars.get((label, budget), math.nan) for budget in budgets]
            axes.errorbar(x, y, bar, **_look(i), elinewidth=0.9, capsize=1.8, capthick=0.9)
            points = [point for point in zip(x, y, strict=True) if not math.isnan(point[1])]
            ends |= {label: points[-1]} if points else {}
            printed = [100 * papers[label, b].mean if papers and (label, b) in papers else math.nan for b in budgets]
            hollow = {**_look(i), "linestyle": "none", "markersize": 7.5, "markerfacecolor": "none"}
            axes.plot(x, printed, **hollow)
        axes.set_ylabel(f"{measure}, %")
        _log_percents(axes, lowest=min(means.values()))
        _budget_axis(axes, budgets)
        _label_ends(axes, ends, {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)})
        notes = ["hollow: the paper's numbers"] if papers else []
        gone = [f"{cell.label} at {cell.budget}" for cell in cells if cell.diverged]
        notes += [f"not drawn, because runs diverged: {', '.join(gone)}"] if gone else []
        axes.set_title("; ".join(notes), fontsize=8.0, color="0.3", loc="left")
        _save(figure, path)


def schedules(curves: Mapping[str, Curve], path: str | os.PathLike[str]) -> None:
    """Draws schedules over progress: the rate as a multiple of its peak and, where there is one, the momentum.

    Args:
      curves: label -> (progress, multiplier) or (progress, multiplier, momentum), arrays of one length; a few hundred
        points or more, so that the jumps of a sampled schedule look like jumps. Colours follow the order of the labels.
      path: ends in .svg or .png.
    Raises:
      ValueError: if there is nothing to draw or the ending is another.
    """
    _check_ending(path)
    if not curves:
        raise ValueError("curves must hold at least one schedule, got none.")
    import matplotlib
    from matplotlib.figure import Figure

    momenta = any(len(curve) == 3 for curve in curves.values())
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.6 if momenta else 3.4), layout="constrained")
        heights = {"height_ratios": [3, 1]} if momenta else {}
        panels = figure.subplots(1 + momenta, 1, sharex=True, squeeze=False, gridspec_kw=heights)[:, 0]
        for i, (label, (progress, *values)) in enumerate(curves.items()):
            look = {**_look(i), "marker": "none", "label": label, "clip_on": False}
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


def _look(i: int) -> dict[str, Any]:
    """How schedule i is drawn, in every figure."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": DASHES[i // len(COLOURS) % len(DASHES)],
    }


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


def _check_ending(path: str | os.PathLike[str]) -> None:
    if pathlib.Path(path).suffix not in (".svg", ".png"):
        raise ValueError(f"path must end in .svg or .png, got {path}.")


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Without the date and the version that matplotlib would write into the file."""
    dull = {"Date": None, "Creator": None} if pathlib.Path(path).suffix == ".svg" else {"Software": None}
    figure.savefig(path, metadata=dull)
