"""Figures of range tests and of runs: loss over rate, losses compared, and one run's rate, momentum and loss."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Real

from lrsched.analysis import plots
from lrsched.analysis.range_tests import Curves, Suggestion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    "train_loss": "training loss",
    "holdout_loss": "held-out loss",
    "holdout_accuracy": "held-out accuracy, %",
}
ROOM = 0.6  # above a loss curve's fall, as a part of it, for the beginning of the blow-up
BARS = "range of a rule over the seeds"
BAR = 0.022  # of the axes' height: from one interval's bar to the next
LINE = 11.0  # points from one row of labels to the next


def loss_over_rate(curves: Curves, suggestions: Mapping[str, Suggestion], path: str | os.PathLike[str]) -> None:
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
      ValueError: if the ending is another, or no value is finite.
    """
    plots._check_ending(path)
    if not np.isfinite(curves.smooth[:, curves.rates > 0]).any():
        raise ValueError("curves must hold at least one finite value at a rate above 0, got none.")
    plots.import_matplotlib()
    from matplotlib.figure import Figure

    accuracy = curves.quantity == "holdout_accuracy"
    seen = curves.rates > 0
    scale = 100.0 if accuracy else 1.0
    rates, raw, smooth = curves.rates[seen], scale * curves.values[:, seen], scale * curves.smooth[:, seen]
    with plots.styled():
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log")
        thin = axes.plot(rates, np.where(np.isfinite(raw), raw, np.nan).T, color="0.6", linewidth=0.5, zorder=1.5)
        thin[0].set_label("as measured, by seed" if len(raw) > 1 else "as measured")
        _mean_and_band(axes, rates, smooth, 0, label=_summary(curves))
        marks = {name: found for name, found in suggestions.items() if found.value is not None}
        low, high = _heights(raw, smooth, bounded=accuracy)
        axes.set_ylim(low - BAR * len(marks) * (high - low), high)
        _stops(axes, rates, smooth, plots.COLOURS[0], label="end of a ramp: the loss blew up")
        axes.set_xlabel("learning rate")
        axes.set_ylabel(TITLES[curves.quantity])
        shown = [*rates.tolist(), *(found.value for found in marks.values())]
        axes.set_xlim(min(shown), max(shown) if len(rates) > 1 else 2 * max(shown))
        _marks(figure, axes, marks)
        plots._save(figure, path)


def _summary(curves: Curves) -> str:
    """What the thick line of a range test is."""
    smooth = f", smoothed (beta {curves.beta:.3g})" if curves.beta else ""
    if len(curves.values) > 1:
        return f"mean{smooth}, and range of the seeds"
    return f"the seed{smooth}"


def compared(curves_by_label: Mapping[str, Curves], path: str | os.PathLike[str]) -> None:
    """Draws several range tests: the mean of each one's smoothed curves, with a band from the least to the largest.

    Args:
      curves_by_label: label -> curves, all of one quantity; a rate of 0 is not drawn.
      path: ends in .svg or .png.
    Raises:
      ValueError: if the ending is another, or no value is finite.
    """
    plots._check_ending(path)
    smooth = {label: curves.smooth[:, curves.rates > 0] for label, curves in curves_by_label.items()}
    if not any(np.isfinite(values).any() for values in smooth.values()):
        raise ValueError("curves_by_label must hold a finite value at a rate above 0, got none.")
    plots.import_matplotlib()
    from matplotlib.figure import Figure

    with plots.styled():
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log")
        for i, (label, values) in enumerate(smooth.items()):
            rates = curves_by_label[label].rates
            _mean_and_band(axes, rates[rates > 0], values, i, label=label)
        every = [row for values in smooth.values() for row in values]
        axes.set_ylim(*_heights(every, every, bounded=False))
        axes.set_xlabel("learning rate")
        axes.set_ylabel(TITLES[next(iter(curves_by_label.values())).quantity])
        axes.legend()
        plots._save(figure, path)


def losses(
    curves_by_label: Mapping[str, tuple[Real[np.ndarray, " points"], Float[np.ndarray, "seeds points"]]],
    path: str | os.PathLike[str],
) -> None:
    """Draws training losses of compared runs over the update number: mean over seeds, and a band from least to largest.

    Args:
      curves_by_label: label -> (updates, losses by seed); the points may differ between labels. A loss that is not
        finite ends its label's mean and band, from where on its other seeds are drawn by themselves; a cross marks the
        last one before it. The axis is logarithmic unless a loss is 0 or below.
      path: ends in .svg or .png.
    Raises:
      ValueError: if there is nothing to draw or the ending is another.
    """
    plots._check_ending(path)
    if not any(np.isfinite(values).any() for _, values in curves_by_label.values()):
        raise ValueError(f"curves_by_label must hold a finite loss, got none in {len(curves_by_label)} labels.")
    plots.import_matplotlib()
    from matplotlib.figure import Figure

    with plots.styled():
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.add_subplot()
        looks = plots.looks(curves_by_label)
        for label, (updates, values) in curves_by_label.items():
            _mean_and_band(axes, updates, values, 0, **{**looks[label], "marker": "none", "label": label})
            _stops(axes, updates, values, looks[label]["color"])
        finite = np.concatenate([values[np.isfinite(values)] for _, values in curves_by_label.values()])
        _log_if_positive(axes, finite)
        axes.set_xlabel("update")
        axes.set_ylabel("training loss")
        axes.margins(x=0.01)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        plots._save(figure, path)


def run(
    steps: Real[np.ndarray, " points"],
    rates: Float[np.ndarray, " points"],
    momenta: Float[np.ndarray, " points"] | None,
    losses: Float[np.ndarray, " points"] | None,
    path: str | os.PathLike[str],
) -> None:
    """Draws one run, from top to bottom: rate, momentum, training loss, over the same updates.

    Args:
      steps: update numbers.
      rates: that the updates used.
      momenta: likewise; no panel if None.
      losses: of the updates; no panel if None. Its axis is logarithmic unless one is 0 or below.
      path: ends in .svg or .png.
    Raises:
      ValueError: if there are no steps or the ending is another.
    """
    plots._check_ending(path)
    if not len(steps):
        raise ValueError("steps must hold at least one update, got none.")
    plots.import_matplotlib()
    from matplotlib.figure import Figure

    drawn = {"learning rate": rates, "momentum": momenta, "training loss": losses}
    panels = {title: values for title, values in drawn.items() if values is not None}
    with plots.styled():
        figure = Figure(figsize=(6.4, 1.0 + 1.5 * len(panels)), layout="constrained")
        column = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for i, (axes, (title, values)) in enumerate(zip(column, panels.items(), strict=True)):
            axes.plot(steps, np.where(np.isfinite(values), values, np.nan), color=plots.COLOURS[i], linewidth=1.0)
            axes.set_ylabel(title)
            axes.margins(x=0.01)
        column[0].set_ylim(bottom=0.0)
        if losses is not None:
            _log_if_positive(column[-1], losses[np.isfinite(losses)])
        column[-1].set_xlabel("update")
        figure.align_ylabels(column)
        plots._save(figure, path)


def _mean_and_band(
    axes: Axes, x: Real[np.ndarray, " points"], values: Float[np.ndarray, "seeds points"], i: int, **look: Any
) -> None:
    """Where every seed has a finite value, the band only for two and more; elsewhere a thin line for each that has."""
    whole = np.isfinite(values).all(axis=0)
    kept = np.where(whole, values, np.nan)
    look = {**plots._look(i), "marker": "none", **look}
    axes.plot(x, kept.mean(axis=0), **look, zorder=3)
    if len(values) > 1:
        axes.fill_between(x, kept.min(axis=0), kept.max(axis=0), color=look["color"], alpha=0.2, linewidth=0, zorder=2)
    if not whole.all():
        alone = ~(whole & np.append(whole[1:], True))  # from the last common point on
        rest = np.where(alone & np.isfinite(values), values, np.nan)
        axes.plot(x, rest.T, color=look["color"], linewidth=0.8, zorder=2.5)


def _stops(
    axes: Axes,
    x: Real[np.ndarray, " points"],
    values: Float[np.ndarray, "seeds points"],
    colour: str,
    *,
    label: str | None = None,
) -> None:
    """A cross at each seed's last finite value, if points without one follow; at the upper edge if it lies above."""
    top = axes.get_ylim()[1]
    for row in values:
        finite = np.flatnonzero(np.isfinite(row))
        if len(finite) and finite[-1] + 1 < len(row):
            at = finite[-1]
            height = min(float(row[at]), top)
            look: dict[str, Any] = {"color": colour, "marker": "x", "markersize": 6.0, "linestyle": "none"}
            axes.plot(x[at], height, **look, clip_on=False, zorder=4, label=label)
            label = None  # one entry in a legend


def _heights(raw: Iterable[np.ndarray], smooth: Iterable[np.ndarray], *, bounded: bool) -> tuple[float, float]:
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


def _log_if_positive(axes: Axes, finite: Float[np.ndarray, " values"]) -> None:
    if len(finite) and finite.min() > 0:
        axes.set_yscale("log")


def _marks(figure: Figure, axes: Axes, found: Mapping[str, Suggestion]) -> None:
    """Vertical lines with labels above the axes, in as many rows as keep them apart; bars at the foot for intervals."""
    across = axes.get_xaxis_transform()  # rates, and fractions of the axes' height
    texts = {}
    for i, (name, suggestion) in enumerate(found.items(), start=1):
        label, at = f"{name} {suggestion.value:.2g}", (suggestion.value or 0.0, 1.0)
        look: dict[str, Any] = {"color": plots.COLOURS[i % len(plots.COLOURS)], "zorder": 2.5}
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
