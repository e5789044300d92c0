"""Figures of range tests: the loss over the rate, of one test or of several.

Each is written to a path that ends in .svg or .png; another ending is a ValueError.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lrsched.analysis import drawing
from lrsched.analysis.drawing import Axes, Figure
from lrsched.analysis.range_test.curves import Curves, Suggestion

TITLES = {
    "train_loss": "training loss",
    "holdout_loss": "held-out loss",
    "holdout_accuracy": "held-out accuracy, %",
}
ROOM = 0.6  # above a loss curve's fall, as a part of it, for the beginning of the blow-up
BARS = "range of a rule over the seeds"
BAR = 0.022  # of the axes' height: from one interval's bar to the next
LINE = 11.0  # points from one row of labels to the next


def draw_loss_over_rate(curves: Curves, suggestions: Mapping[str, Suggestion], path: str | os.PathLike[str]) -> None:
    """Draws a range test: thin raw curves, the mean of the smoothed ones with a band from the least to the largest.

    The rate's axis is logarithmic. Mean and band end where the first seed's test stopped, from where on the others are
    drawn by themselves; a cross marks where each stopped, at the upper edge if that is above it. Losses are cut off
    above 1.6 times the fall of the smoothed curves. Every suggestion is a vertical line with its name and rate above; a
    bar at the foot goes from the lowest to the highest rate of the seeds. A legend below says what is what.

    Args:
      curves: of one test; a rate of 0 is not drawn.
      suggestions: rule -> Suggestion; those without a value are left out.
      path: ends in .svg or .png.
    Raises:
      ValueError: if no value is finite.
    """
    marks = _marked(suggestions)
    with drawing.figure(path, (6.4, 4.0)) as figure:
        axes = figure.add_subplot()
        _draw_curves(axes, curves, marks, bars=len(marks))
        _mark_rates(figure, axes, marks)


def draw_on(axes: Axes, curves: Curves, suggestions: Mapping[str, Suggestion]) -> None:
    """Draws a range test on somebody's axes, in their style: the curves, and a line with its name for each suggestion.

    Raises:
      ValueError: if no value is finite.
    """
    marks = _marked(suggestions)
    _draw_curves(axes, curves, marks)
    for i, (name, found) in enumerate(marks.items(), start=1):
        colour = drawing.COLOURS[i % len(drawing.COLOURS)]
        axes.axvline(found.value, color=colour, linewidth=0.9, label=f"{name} {found.value:.2g}", zorder=2.5)
    axes.legend(fontsize="small")


def _marked(suggestions: Mapping[str, Suggestion]) -> dict[str, Suggestion]:
    return {name: found for name, found in suggestions.items() if found.value is not None}


def _draw_curves(axes: Axes, curves: Curves, marks: Mapping[str, Suggestion], *, bars: int = 0) -> None:
    """The curves over a logarithmic axis, with room at the foot for so many bars."""
    if not np.isfinite(curves.smooth[:, curves.rates > 0]).any():
        raise ValueError("curves must hold at least one finite value at a rate above 0, got none.")
    accuracy = curves.quantity == "holdout_accuracy"
    seen = curves.rates > 0
    scale = 100.0 if accuracy else 1.0
    rates, raw, smooth = curves.rates[seen], scale * curves.values[:, seen], scale * curves.smooth[:, seen]
    axes.set_xscale("log")
    thin = axes.plot(rates, np.where(np.isfinite(raw), raw, np.nan).T, color="0.6", linewidth=0.5, zorder=1.5)
    thin[0].set_label("as measured, by seed" if len(raw) > 1 else "as measured")
    drawing.draw_band(axes, rates, smooth, {**drawing.look(0), "label": _summarise(curves)})
    low, high = _choose_heights(raw, smooth, bounded=accuracy)
    axes.set_ylim(low - BAR * bars * (high - low), high)
    drawing.cross_ends(axes, rates, smooth, drawing.COLOURS[0], label="end of a ramp: the loss blew up")
    axes.set_xlabel("learning rate")
    axes.set_ylabel(TITLES[curves.quantity])
    shown = [*rates.tolist(), *(found.value for found in marks.values())]
    axes.set_xlim(min(shown), max(shown) if len(rates) > 1 else 2 * max(shown))


def _summarise(curves: Curves) -> str:
    """What the thick line of a range test is."""
    smooth = f", smoothed (beta {curves.beta:.3g})" if curves.beta else ""
    if len(curves.values) > 1:
        return f"mean{smooth}, and range of the seeds"
    return f"the seed{smooth}"


def _choose_heights(raw: Iterable[np.ndarray], smooth: Iterable[np.ndarray], *, bounded: bool) -> tuple[float, float]:
    """The ends of the vertical axis over rows of losses: down to the lowest, up to ROOM above what they fell from."""
    finite = np.concatenate([row[np.isfinite(row)] for row in raw])
    low, high = float(finite.min()), float(finite.max())
    if not bounded:
        rows = [row[np.isfinite(row)] for row in smooth]
        start = max(float(row[: row.argmin() + 1].max()) for row in rows if len(row))
        foot = min(float(row.min()) for row in rows if len(row))
        fall = max(start - foot, 0.1 * abs(foot))
        low, high = max(low, foot - ROOM * fall), min(high, start + ROOM * fall)
    pad = 0.04 * (high - low) or 0.5
    return low - pad, high + pad


def _mark_rates(figure: Figure, axes: Axes, found: Mapping[str, Suggestion]) -> None:
    """Vertical lines with labels above the axes, in as many rows as keep them apart; bars at the foot for intervals."""
    across = axes.get_xaxis_transform()  # rates, and fractions of the axes' height
    texts = {}
    for i, (name, suggestion) in enumerate(found.items(), start=1):
        label, at = f"{name} {suggestion.value:.2g}", (suggestion.value or 0.0, 1.0)
        look: dict[str, Any] = {"color": drawing.COLOURS[i % len(drawing.COLOURS)], "zorder": 2.5}
        place: dict[str, Any] = {"xycoords": across, "textcoords": "offset points", "ha": "center", "va": "bottom"}
        texts[name] = axes.annotate(label, at, (0, 3), **place, fontsize=7.5, color=look["color"], zorder=6)
        if suggestion.interval is not None:
            foot = BAR * (i - 0.5)
            barred = any(line.get_label() == BARS for line in axes.get_lines())
            entry = None if barred else BARS
            axes.plot(suggestion.interval, (foot, foot), transform=across, linewidth=2.0, label=entry, **look)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7.5)
    figure.draw_without_rendering()  # the axes have their place now, and the labels their widths
    frame, ends = axes.get_window_extent(), list[list[tuple[float, float]]]()  # of each row's labels, in pixels
    rows = {}
    for name, text in sorted(texts.items(), key=lambda entry: entry[1].xy):
        box = text.get_window_extent()
        aside = max(0.0, frame.x0 - box.x0) - max(0.0, box.x1 - frame.x1)  # a label may not leave the axes' width
        left, right = box.x0 + aside - 4, box.x1 + aside + 4
        row = next((k for k, taken in enumerate(ends) if all(right < a or b < left for a, b in taken)), len(ends))
        ends += [[]] * (row == len(ends))
        ends[row] = [*ends[row], (left, right)]
        text.set_position((aside * 72 / figure.dpi, 3 + LINE * row))
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
        rows[name] = row
    figure.draw_without_rendering()  # rows of labels have made the axes lower
    point = figure.dpi / 72 / axes.get_window_extent().height  # of the axes' height
    for name, text in texts.items():
        x, top = text.xy[0], 1 + (3 + LINE * rows[name]) * point
        axes.plot(
            (x, x), (0.0, top), transform=across, color=text.get_color(), linewidth=0.9, zorder=2.5, clip_on=False
        )
