"""A trace over the schedule that it was held against."""

from __future__ import annotations

import os

import numpy as np

from lrsched.analysis import drawing
from lrsched.analysis.check.reference import Reference
from lrsched.analysis.check.verdict import Verdict

MOST_POINTS = 5_000  # of the schedule's curve


def draw_check(verdict: Verdict, reference: Reference, label: str, path: str | os.PathLike[str]) -> None:
    """Draws the schedule's rates, those that were logged, and where they part, with the likeliest reason.

    Args:
      label: of the schedule.
      path: ends in .svg or .png.
    """
    last = max(int(verdict.updates[-1]), reference.total_steps - 1)
    every = np.unique(np.linspace(0, last, min(last + 1, MOST_POINTS)).astype(np.int64))
    with drawing.figure(path, (6.4, 3.6)) as figure:
        axes = figure.add_subplot()
        axes.plot(every, reference.at(every), color=drawing.COLOURS[0], label=f"expected: {label}")
        dots = {"marker": ".", "markersize": 3.0} if len(verdict.updates) <= 200 else {}
        axes.plot(verdict.updates, verdict.found, color=drawing.COLOURS[1], linestyle="--", label="found", **dots)
        if verdict.update is None:
            axes.set_title("agrees", loc="left")
        else:
            axes.axvline(
                verdict.update,
                color="0.5",
                linewidth=0.8,
                zorder=0,
                label=f"first differs at update {verdict.update:,}",
            )
            reasons = [reason.text for reason in verdict.reasons[:1]] or ["none of the known reasons"]
            axes.set_title(reasons[0], loc="left", wrap=True)
        axes.set(xlabel="update", ylabel="learning rate", ylim=(0, None))
        axes.legend()
