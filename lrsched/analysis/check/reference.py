"""What a trace is held against: a schedule as a function of update and budget, and what is known of its run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np

#: (updates, budget) -> the rates; ValueError for a budget that the schedule does not fit.
Rates = Callable[[np.ndarray, int], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """A schedule under its budget.

    Attributes:
      rates: of any updates under any budget; after the budget the rate stays.
      total_steps: the budget.
      steps_per_epoch: None: not known.
      warmed: the schedule with a warmup of so many updates, 0 for none; None: its words have no warmup to change.
      others: other schedules of the same peak and budget, by their words.
      peak_assumed: nobody named the peak, so it is that of the trace.
    """

    rates: Rates
    total_steps: int
    steps_per_epoch: int | None = None
    warmed: Callable[[int], Rates] | None = None
    others: Mapping[str, Rates] = dataclasses.field(default_factory=dict)
    peak_assumed: bool = False

    @functools.cached_property
    def table(self) -> np.ndarray:
        """The rates of updates 0 to total_steps, float64; the last is the one that stays."""
        return self.rates(np.arange(self.total_steps + 1), self.total_steps)

    def at(self, updates: np.ndarray) -> np.ndarray:
        """The rates at any whole numbers: before 0 the first, after the end the last."""
        return self.table[np.clip(updates, 0, self.total_steps)]

    @functools.cached_property
    def peak(self) -> float:
        return float(self.table.max())

    @functools.cached_property
    def warmup(self) -> int:
        """Updates before the peak is reached for the first time, if the rate rises until then; else 0."""
        first = int(self.table.argmax())
        return first if (np.diff(self.table[: first + 1]) >= 0).all() else 0

    @functools.cached_property
    def fall(self) -> tuple[int, int] | None:
        """The updates between which the rate falls from its peak to its last value, if it falls at each of them."""
        start = int(np.flatnonzero(self.table == self.peak)[-1])
        end = int(np.flatnonzero(self.table != self.table[-1])[-1]) + 1 if np.ptp(self.table) else start
        return (start, end) if end - start > 2 and (np.diff(self.table[start : end + 1]) < 0).all() else None


def reflected(updates: np.ndarray, total_steps: int) -> np.ndarray:
    """Time that turns back at the end of the budget, and again at 0, as that of a cosine without an end does."""
    return total_steps - np.abs(updates % (2 * total_steps) - total_steps)
