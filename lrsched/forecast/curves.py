"""Loss curves: the rates of a run and the losses that were measured, from anywhere."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from lrsched import files
from lrsched.forecast.rates import as_rates

LONGEST = 10_000_000  # updates of a curve that is read


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """A run's rates and the losses measured in it; several runs of one schedule may share a name.

    Attributes:
      name: of the schedule.
      rates: of every update, in order.
      steps: how many updates were made before each measurement, ascending, from 1 to len(rates).
      losses: what was measured then.
    """

    name: str
    rates: np.ndarray
    steps: np.ndarray
    losses: np.ndarray

    def __post_init__(self) -> None:
        rates = np.asarray(as_rates(self.rates))
        steps, losses = np.asarray(self.steps), np.asarray(self.losses, np.float64)
        if steps.ndim != 1 or steps.shape != losses.shape or not len(steps):
            raise ValueError(f"{self.name} must have a step for every loss, got {steps.shape} and {losses.shape}.")
        whole = np.issubdtype(steps.dtype, np.integer)
        if not whole or steps[0] < 1 or steps[-1] > len(rates) or not (np.diff(steps) > 0).all():
            raise ValueError(
                f"{self.name} must be measured after 1 to {len(rates)} updates, ascending, got {steps[0]} to "
                f"{steps[-1]}."
            )
        if not (np.isfinite(losses) & (losses > 0)).all():
            bad = losses[~(np.isfinite(losses) & (losses > 0))][0]
            raise ValueError(
                f"{self.name} must have finite losses above 0, got {bad:g}: a run that diverged says nothing."
            )
        for name, value in ("rates", rates), ("steps", steps.astype(np.int64)), ("losses", losses):
            object.__setattr__(self, name, value)

    @property
    def peak(self) -> float:
        return float(self.rates.max())

    @property
    def warmup(self) -> int:
        """Updates before the highest rate is reached."""
        return int(self.rates.argmax())

    @property
    def decays(self) -> bool:
        """Whether the rate falls by a tenth or more after its peak."""
        return bool(self.rates[self.warmup :].min() <= 0.9 * self.peak)

    def shape(self, points: int = 200) -> np.ndarray:
        """The rates over their peak at equally spaced parts of the run."""
        at = np.linspace(0, len(self.rates) - 1, points).round().astype(int)
        return np.asarray(self.rates[at] / self.peak)

    def after_warmup(self) -> Curve:
        """The curve without what was measured before the peak: no law is of that part."""
        kept = self.steps > self.warmup
        if not kept.any():
            raise ValueError(
                f"{self.name} must be measured after its warmup of {self.warmup} updates, got none of that."
            )
        return dataclasses.replace(self, steps=self.steps[kept], losses=self.losses[kept])

    def in_blocks(self, parts: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rates, lengths, steps) with updates of nearly one rate as one entry; what is measured ends an entry.

        Within an entry the rate moves by at most the `parts`th part of the peak.
        """
        walked = np.concatenate([[0.0], np.abs(np.diff(self.rates)).cumsum()]) / self.peak
        measured = np.searchsorted(self.steps, np.arange(len(self.rates)), side="right")
        place = np.floor(walked * parts).astype(np.int64) * (len(self.steps) + 1) + measured
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        lengths = np.diff(np.append(starts, len(self.rates)))
        means = np.add.reduceat(self.rates, starts) / lengths
        return means, lengths.astype(np.float64), np.searchsorted(starts, self.steps, side="left")


def read_curve(path: files.Path, name: str | None = None) -> Curve:
    """Read curve: a CSV with the columns step, lr and loss, of a run of any origin.

    `step` counts the updates made, `lr` is the rate of the next one, `loss` what was measured then (it may be empty).
    Rates between two lines lie on the line between theirs; before the first, the first's is held.

    Args:
      path: of the file. Other columns are ignored.
      name: of the schedule; None: the file's name without its ending.
    Raises:
      ValueError: naming the file, for columns that are missing, numbers that are none, or steps that do not ascend.
    """
    text = files.read_text(path)
    try:
        rows = files.read_csv(text)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None
    if not rows or {"step", "lr", "loss"} - rows[0].keys():
        got = ", ".join(map(str, rows[0])) if rows else "no line"
        raise ValueError(f"{path} must have the columns step, lr, loss and a line below them, got {got}.")
    steps, rates, losses = (_numbers(path, rows, column) for column in ("step", "lr", "loss"))
    whole = np.isfinite(steps).all() and (steps == np.floor(steps)).all()
    if np.isnan(rates).any() or not whole or (np.diff(steps) <= 0).any() or not 0 <= steps[0] < steps[-1] <= LONGEST:
        raise ValueError(f"{path} must have a rate in every line and ascending whole steps of 0 to {LONGEST:,}.")
    measured = ~np.isnan(losses) & (steps > 0)
    if not measured.any():
        raise ValueError(f"{path} must have a loss after at least one update, got none.")
    every = np.interp(np.arange(int(steps[-1])), steps, rates)
    label = files.local_folder("curve", path).stem if name is None else name
    return Curve(label, every, steps[measured].astype(np.int64), losses[measured])


def _numbers(path: files.Path, rows: list[dict[str, Any]], column: str) -> np.ndarray:
    """A column as float64; what is empty is NaN."""
    try:
        return np.array([float(row[column] or "nan") for row in rows])
    except (TypeError, ValueError):
        raise ValueError(f"{path} must hold numbers in its column {column}.") from None
