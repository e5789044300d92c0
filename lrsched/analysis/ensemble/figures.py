"""Figures of an ensemble's record: error and loss over the number of members, and reliability.

Each is written to a path that ends in .svg or .png; another ending is a ValueError.
"""

from __future__ import annotations

import os

from lrsched.analysis import Record, drawing
from lrsched.analysis.drawing import Axes, Look

CURVES = {"forward": "first members", "backward": "last members", "weights": "mean weights of the first"}


def draw_growing(record: Record, path: str | os.PathLike[str]) -> None:
    """Draws test error and negative log-likelihood over the number of members; baselines are horizontal lines.

    Args:
      record: an ensemble's, or as JSON gives it back.
      path: ends in .svg or .png.
    """
    curves = {label: record["growing"][name] for name, label in CURVES.items() if record["growing"][name]}
    baselines = [row for row in record["rows"] if row["kind"] == "baseline"]
    with drawing.figure(path, (7.2, 3.4)) as figure:
        panels = figure.subplots(1, 2)
        for axes, what, factor, title in zip(
            panels, ("error", "nll"), (100, 1), ("test error, %", "test NLL, nats"), strict=True
        ):
            for i, (label, curve) in enumerate(curves.items()):
                sizes = range(1, len(curve) + 1)
                axes.plot(sizes, [factor * point[what] for point in curve], label=label, **drawing.look(i))
            for i, row in enumerate(baselines, start=len(curves)):
                look: Look = {**drawing.look(i), "marker": "none", "linestyle": "--"}
                axes.axhline(factor * row[what], label=f"{row['name']} ({row['updates']} updates)", **look)
            axes.set_xlabel("members")
            axes.set_ylabel(title)
            drawing.use_whole_numbers(axes)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def draw_reliability(record: Record, path: str | os.PathLike[str]) -> None:
    """Draws how often predictions are right over how confident they are: one network against the ensemble.

    Bins without examples are left out; the number of examples in each stands in the panel below.

    Args:
      record: as in `draw_growing`.
      path: ends in .svg or .png.
    """
    with drawing.figure(path, (4.4, 4.8)) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
        upper.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        for i, (label, read) in enumerate(record["reliability"].items()):
            _draw_bins(upper, lower, label, read, i)
        upper.set_ylabel("accuracy")
        upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)  # above: inside it would cover points
        lower.set_ylabel("examples")
        lower.set_yscale("log")
        lower.set_xlabel("confidence, uncalibrated")
        lower.set_xlim(0.0, 1.0)


def _draw_bins(upper: Axes, lower: Axes, label: str, read: Record, i: int) -> None:
    filled = [k for k, count in enumerate(read["examples"]) if count]
    at = [read["confidence"][k] for k in filled]
    upper.plot(at, [read["accuracy"][k] for k in filled], label=label, **drawing.look(i))
    lower.plot(at, [read["examples"][k] for k in filled], **drawing.look(i))
