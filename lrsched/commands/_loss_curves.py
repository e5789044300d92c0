"""The loss curves of runs on disk and of CSV files, as the laws of `lrsched.forecast` take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lrsched import files
from lrsched.forecast.curves import Curve, read_curve
from lrsched.runs import records
from lrsched.runs.report import Record
from lrsched.schedules import registry

#: In what the runs of one law may differ.
FREE = frozenset({"budget", "max_epochs", "peak_value", "schedule", "seed"})


class Found(NamedTuple):
    """Curves, which loss they are of, and what was left out and why, one sentence each."""

    curves: list[Curve]
    loss: str
    left_out: list[str]


def read(sources: Sequence[str], *, train: bool = False) -> Found:
    """The curves of folders with records.jsonl and of CSV files.

    Args:
      train: the training loss along the run instead of that of held-out data.
    Raises:
      ValueError: if a source is neither, or nothing is left.
    """
    curves: list[Curve] = []
    rows: list[Record] = []
    left_out: list[str] = []
    for source in sources:
        path = files.local_folder("sources", source)
        if path.suffix == ".csv":
            curves.append(read_curve(path))
        elif (path / "records.jsonl").is_file():
            lines = records.read(path / "records.jsonl")
            rows += lines.rows
            left_out += lines.damaged
        else:
            raise ValueError(f"sources must be folders with records.jsonl, or CSV files of curves, got {path}.")
    loss = "training loss" if train else "loss"
    if rows:
        _check_one_setting(rows)
        split = "holdout" if all(row["holdout_loss"] is not None for row in rows if _ended(row)) else "test"
        loss = loss if train else f"{split} loss"
        made, why = _of_records(rows, "train" if train else split)
        curves, left_out = curves + made, left_out + why
    if not curves:
        raise ValueError(f"sources must hold a run that ended, got none in {', '.join(map(str, sources))}.")
    return Found(curves, loss, left_out)


def _check_one_setting(rows: Sequence[Record]) -> None:
    """Raises ValueError where runs differ in more than schedule, length, peak rate and seed: no law is of that."""
    for name in sorted(set().union(*(row["config"] for row in rows)) - FREE):
        values = list(dict.fromkeys(str(row["config"].get(name)) for row in rows))
        if len(values) > 1:
            raise ValueError(f"runs must have one {name}, got {', '.join(values[:5])}: a law is of one setting.")


def _ended(row: Record) -> bool:
    return row["diverged_at"] is None and row["origin"] is None


def _of_records(rows: Sequence[Record], split: str) -> tuple[list[Curve], list[str]]:
    """A curve for each schedule, budget and peak rate: the mean over its seeds, where none of them diverged."""
    cells: dict[tuple[Any, ...], list[Record]] = {}
    left_out = []
    for row in rows:
        if row["origin"] is None:
            cells.setdefault((row["label"], row["total_steps"], row["config"]["peak_value"]), []).append(row)
    if forks := sum(row["origin"] is not None for row in rows):
        left_out.append(f"{forks} that began from another run's state")
    curves = []
    for (label, total, peak), seeds in cells.items():
        if not all(map(_ended, seeds)):
            left_out.append(f"{label} at {peak} over {total} updates, which diverged")
            continue
        steps, losses = _measured(seeds, split)
        curves.append(Curve(label, rates(seeds[0]), steps, losses))
    return curves, left_out


def rates(record: Record) -> np.ndarray:
    """The rate of every update of a run's own plan."""
    words = {"steps_per_epoch": record["steps_per_epoch"], "batch_size": record["config"]["batch_size"]}
    return registry.build(record["plan"]["lr"], total_steps=records.planned_steps(record), **words).table()


def _measured(seeds: Sequence[Record], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Updates made, and the loss measured then, the mean over the seeds."""
    total = seeds[0]["total_steps"]
    if split == "train":
        size = -(-total // 100)  # updates in a block of `run.Log.curve`
        starts = np.arange(0, total, size)
        middles = (starts + 1 + np.minimum(starts + size, total)) // 2
        return middles, np.mean([seed["train_losses"] for seed in seeds], axis=0)
    ways = [seed.get("evaluations") for seed in seeds]
    if all(way is not None and way["split"] == split and way["steps"] == (ways[0] or {})["steps"] for way in ways):
        steps = np.asarray((ways[0] or {})["steps"], np.int64)
        losses = np.mean([(way or {})["losses"] for way in ways], axis=0)
        before = (steps > 0) & (steps < total)
        steps, losses = steps[before], losses[before]
    else:
        steps, losses = np.zeros(0, np.int64), np.zeros(0)
    end = float(np.mean([seed[f"{split}_loss"] for seed in seeds]))
    return np.append(steps, total), np.append(losses, end)
