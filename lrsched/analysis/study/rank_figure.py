"""The critical-difference diagram: mean ranks on a line, with a bar over those that are not told apart."""

from __future__ import annotations

import os

from lrsched.analysis import drawing
from lrsched.analysis.study.ranks import CriticalDifference


def draw_critical_difference(found: CriticalDifference, path: str | os.PathLike[str]) -> None:
    """Draws mean ranks, the best on the left, and a bar below those of each group.

    Args:
      found: of `ranks.find_critical_difference`.
      path: ends in .svg or .png; another ending is a ValueError.
    """
    count = len(found.ranks)
    half = (count + 1) // 2
    rows, bars = max(half, count - half), len(found.groups)
    top = 0.6 + 0.35 * bars  # of the first label, below the axis
    bottom = top + 0.55 * rows
    with drawing.figure(path, (6.4, 1.1 + 0.42 * (bottom + 0.9))) as figure:
        axes = figure.add_subplot()
        axes.set_xlim(0.5, count + 0.5)
        axes.set_ylim(-bottom, 0.9)
        axes.spines["left"].set_visible(False)
        axes.spines["bottom"].set_visible(False)
        axes.grid(False)
        axes.set_yticks([])
        axes.set_xticks([])
        axes.plot([1, count], [0, 0], color="0.4", linewidth=0.8)
        for tick in range(1, count + 1):
            axes.plot([tick, tick], [0, 0.12], color="0.4", linewidth=0.8)
            axes.text(tick, 0.2, str(tick), ha="center", va="bottom", color="0.3")
        looks = drawing.looks(label for label, _ in found.ranks)
        for i, (label, rank) in enumerate(found.ranks):
            left = i < half
            depth = top + 0.55 * (i if left else count - 1 - i)
            end, side = (0.75, "right") if left else (count + 0.25, "left")
            axes.plot([rank, rank, end], [0, -depth, -depth], color=looks[label]["color"], linewidth=1.0)
            words = f"{label}  {rank:.2f}" if left else f"{rank:.2f}  {label}"
            axes.text(0.7 if left else count + 0.3, -depth, words, ha=side, va="center", clip_on=False)
        ranks = dict(found.ranks)
        for i, group in enumerate(found.groups):
            ends = [ranks[group[0]] - 0.04, ranks[group[-1]] + 0.04]
            axes.plot(ends, [-0.3 - 0.35 * i] * 2, color="black", linewidth=3.0, solid_capstyle="butt")
        told = "" if found.p < 0.05 else ", so that nothing is told apart"
        axes.set_title(
            f"mean rank over {found.settings} settings; bars: not told apart at 5 % (Nemenyi, critical difference "
            f"{found.difference:.2f});\nFriedman's test of any difference: p = {found.p:.2g}{told}",
            fontsize=8.0,
            color="0.3",
            loc="left",
        )
