"""Progress reports: a callable that takes messages and statuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Record = dict[str, Any]


class Status(NamedTuple):
    """Progress of a run: the latest update whose metrics have arrived."""

    completed: int
    total_steps: int
    loss: float
    rate: float
    images_per_second: float


class Overall(NamedTuple):
    """Progress of several runs. `record` is set once a run has ended, or was already on record."""

    completed: int
    total: int
    updates_left: int  # in all runs that are not done
    run: str  # in a few words
    latest: Status | None
    record: Record | None


#: Takes messages, and the progress of a run or of several.
Report = Callable[[str | Status | Overall], None]


def ignore(event: object) -> None:
    """A report that discards everything."""


def describe(record: Record, part: str = "test") -> str:
    """A run that has ended, in a line.

    Args:
      part: test or holdout, whose error is shown.
    """
    config = record["config"]
    if record["diverged_at"] is None:
        end = f"{part.replace('holdout', 'held-out')} error {100 * record[f'{part}_error']:.2f} %"
    else:
        end = f"diverged at update {record['diverged_at']}"
    run = f"{record['label']} at {config['budget']}, rate {config['peak_value']:g}, seed {record['seed']}"
    speed = record["images_per_second"]
    return f"{run}: {end}, {record['seconds']:.1f} s" + (f", {speed:.0f} images/s" if speed is not None else "")
