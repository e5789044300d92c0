"""A figure of searches: the best error so far over the number of trials."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

from lrsched.analysis.plots import _check_ending, _look, _save, import_matplotlib, styled


def best_so_far(values: Mapping[str, Sequence[float | None]], path: str | os.PathLike[str]) -> None:
    """Draws the lowest held-out error among the first n trials over n, a line per sampler, and each trial as a dot.

    Args:
      values: sampler -> error in [0, 1] of each trial in its order; None: diverged, not drawn.
      path: ends in .svg or .png.
    Raises:
      ValueError: if there is nothing to draw or the ending is another.
    """
    _check_ending(path)
    if not any(value is not None for errors in values.values() for value in errors):
        raise ValueError("values must hold at least one error, got none.")
    import_matplotlib()
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for i, (label, errors) in enumerate(values.items()):
            shown = [math.nan if error is None else 100 * error for error in errors]
            best, line = math.inf, []
            for value in shown:
                best = min(best, math.inf if math.isnan(value) else value)
                line.append(best if math.isfinite(best) else math.nan)
            look, trials = _look(i), range(1, len(shown) + 1)
            axes.step(trials, line, where="post", color=look["color"], linestyle=look["linestyle"], label=label)
            axes.plot(trials, shown, linestyle="none", marker=look["marker"], color=look["color"], alpha=0.3)
        axes.set_xlabel("trials")
        axes.set_ylabel("held-out error, %")
        if all(error is None or error > 0 for errors in values.values() for error in errors):
            axes.set_yscale("log")
        axes.legend(title="lowest so far")
        _save(figure, path)
