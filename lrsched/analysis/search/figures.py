"""Figures of searches: the answer to one question, and the lowest error so far over the number of trials.

Each is written to a path that ends in .svg or .png; another ending is a ValueError.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

from lrsched.analysis import drawing
from lrsched.analysis.drawing import Axes, Look
from lrsched.analysis.search.table import Part, Tried


def draw_best_so_far(values: Mapping[str, Sequence[float | None]], path: str | os.PathLike[str]) -> None:
    """Draws the lowest held-out error among the first n trials over n, a line per sampler, and each trial as a dot.

    Args:
      values: sampler -> error in [0, 1] of each trial in its order; None: diverged, not drawn.
      path: ends in .svg or .png.
    Raises:
      ValueError: if there is nothing to draw.
    """
    if not any(value is not None for errors in values.values() for value in errors):
        raise ValueError("values must hold at least one error, got none.")
    with drawing.figure(path, (6.4, 3.6)) as figure:
        axes = figure.add_subplot()
        for i, (label, errors) in enumerate(values.items()):
            shown = [math.nan if error is None else 100 * error for error in errors]
            best, line = math.inf, []
            for value in shown:
                best = min(best, math.inf if math.isnan(value) else value)
                line.append(best if math.isfinite(best) else math.nan)
            look, trials = drawing.look(i), range(1, len(shown) + 1)
            axes.step(trials, line, where="post", color=look["color"], linestyle=look["linestyle"], label=label)
            axes.plot(trials, shown, linestyle="none", marker=look["marker"], color=look["color"], alpha=0.3)
        axes.set_xlabel("trials")
        axes.set_ylabel("held-out error, %")
        if all(error is None or error > 0 for errors in values.values() for error in errors):
            axes.set_yscale("log")
        axes.legend(title="lowest so far")


def draw_answer(part: Part, path: str | os.PathLike[str]) -> None:
    """Draws the held-out error over the setting of one question: a dot per seed, a line through the means.

    Settings that are numbers stand on an axis of numbers, a logarithmic one if they span more than a factor of 3, with
    0 at a tenth of the smallest above it; others stand side by side. A setting with a run that diverged has no mean; a
    cross above the axes marks it.

    Args:
      part: the question and what was tried.
      path: ends in .svg or .png.
    Raises:
      ValueError: if there is no error to draw.
    """
    known = [error for tried in part.tried for error in tried.known.values()]
    if not known:
        raise ValueError("part must hold at least one error, got none.")
    with drawing.figure(path, (6.4, 3.6)) as figure:
        axes = figure.add_subplot()
        places = _place_settings(axes, part)
        _draw_means(axes, part, places)
        _draw_seeds(axes, part, places)
        best = part.tried[part.best]
        ring: Look = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "linestyle": "none"}
        ring |= {"color": drawing.look(1)["color"], "label": f"best: {best.setting.replace('`', '')}"}
        axes.plot(places[part.best], 100 * (best.mean or 0), **ring)
        if min(known) > 0 and max(known) > 5 * min(known):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(part.question)
        axes.set_ylabel("held-out error, %")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _draw_means(axes: Axes, part: Part, places: Sequence[float]) -> None:
    order = sorted(range(len(places)), key=places.__getitem__)
    means = [part.tried[i].mean for i in order]
    shown = [math.nan if mean is None else 100 * mean for mean in means]
    unordered = None in [_read_number(part, tried) for tried in part.tried]  # no line joins what has no order
    look: Look = {"linestyle": "none" if unordered else "-", "color": drawing.look(0)["color"], "marker": "o"}
    axes.plot([places[i] for i in order], shown, **look, label="mean", zorder=3)


def _draw_seeds(axes: Axes, part: Part, places: Sequence[float]) -> None:
    """A grey dot per seed, and a cross above each setting with a run that diverged."""
    for tried, place in zip(part.tried, places, strict=True):
        errors = [100 * error for error in tried.known.values()]
        axes.plot([place] * len(errors), errors, "o", color="0.55", markersize=3, zorder=2)
    axes.plot([], [], "o", color="0.55", markersize=3, label="each seed")
    gone = [place for tried, place in zip(part.tried, places, strict=True) if tried.mean is None]
    if gone:
        look: Look = {"marker": "x", "linestyle": "none", "clip_on": False, "color": drawing.look(1)["color"]}
        axes.plot(gone, [1.02] * len(gone), transform=axes.get_xaxis_transform(), label="diverged", **look)


def _place_settings(axes: Axes, part: Part) -> list[float]:
    """Where each setting stands along the axis, whose scale and ticks are set."""
    numbers = [_read_number(part, tried) for tried in part.tried]
    if any(number is None for number in numbers):
        axes.set_xticks(range(len(numbers)), [tried.setting for tried in part.tried])
        return [float(i) for i in range(len(numbers))]
    found = [number or 0.0 for number in numbers]
    above = [number for number in found if number > 0]
    if not above or max(above) <= 3 * min(above):
        return found
    axes.set_xscale("log")
    if part.question == "batch size":
        axes.set_xticks(above, [f"{number:g}" for number in above])
        axes.minorticks_off()
    if 0.0 not in found:
        return found
    zero = min(above) / 10
    low, high = math.floor(math.log10(zero)) + 1, math.ceil(math.log10(max(above)))
    axes.set_xticks(
        [zero, *(10.0**k for k in range(low, high + 1))], ["0", *(f"{10.0**k:g}" for k in range(low, high + 1))]
    )
    return [number or zero for number in found]


def _read_number(part: Part, tried: Tried) -> float | None:
    if part.question == "peak rate":
        return tried.rate  # its words name rules, too
    try:
        return float(tried.setting)
    except ValueError:
        return None
