"""Curves on Matplotlib's axes, for a notebook: what `plot` of a schedule and of a plan draw."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST_POINTS = 10_000  # that are drawn of a longer budget, the first and the last update among them


def new_axes(axes: Any = None) -> Any:
    """The axes, or those of a new figure of pyplot.

    Raises:
      ModuleNotFoundError: if Matplotlib is not installed; the message says what to install.
    """
    if axes is not None:
        return axes
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "plot needs matplotlib, which is not installed: pip install 'lrsched[train]'.", name=error.name
        ) from None
    return pyplot.subplots(layout="constrained")[1]


def draw_over_updates(axes: Any, schedule: Any, **look: Any) -> None:
    """Draws a schedule's values, float64, over the updates that use them."""
    total = int(schedule.total_steps)
    steps = np.unique(np.linspace(0, total - 1, min(total, MOST_POINTS)).astype(np.int64))
    axes.plot(steps, schedule.table(steps), **look)
