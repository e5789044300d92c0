"""The cells of a study's table, gathered from the records of its runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Literal

from lrsched.analysis import Record, statistics

VARIED = frozenset({"schedule", "budget", "peak_value", "seed"})  # what the runs of one study may differ in


@dataclasses.dataclass(frozen=True)
class Cell:
    """One schedule under one budget, at the rate chosen for it: an entry of a table. Errors are in [0, 1]."""

    label: str
    budget: str
    epochs: float
    peak_value: float
    rates_tried: tuple[float, ...]
    chosen_on: Literal["held-out", "only one"]
    errors: dict[int, float]  # seed -> test error, of the runs that did not diverge
    diverged: int  # how many runs did
    missing_seeds: tuple[int, ...]  # seeds of the study that this cell lacks at one rate or more
    n: int  # runs in mean, sd and interval: those that did not diverge
    mean: float | None
    sd: float | None
    interval: tuple[float, float] | None
    resolution: float | None = None  # 1 / n if the errors are shares of n test examples


def gather(records: Sequence[Record]) -> list[Cell]:
    """Gathers records into a cell per schedule and budget, in the order in which the records first name them.

    If a cell has several peak values, the one with the lowest mean held-out error is chosen, over the seeds that all of
    them have; a run that diverged counts as infinite; of equal ones the lowest is chosen. Test errors choose nothing.

    Args:
      records: of one study: their configs differ only in schedule, budget, peak value and seed.
    Raises:
      ValueError: if the records differ in something else, a run is there twice, or a choice of rate lacks held-out
        errors or a seed that every rate has.
    """
    _check_one_study(records)
    grouped: dict[tuple[str, str], dict[float, dict[int, Record]]] = {}
    for record in records:
        config, seed = record["config"], record["seed"]
        runs = grouped.setdefault((record["label"], config["budget"]), {}).setdefault(float(config["peak_value"]), {})
        if seed in runs:
            raise ValueError(f"each run must be recorded once, got twice: {_describe(record)}, seed {seed}.")
        runs[seed] = record
    seeds = {record["seed"] for record in records}
    return [_choose_cell(label, budget, by_rate, seeds) for (label, budget), by_rate in grouped.items()]


def _choose_cell(label: str, budget: str, by_rate: dict[float, dict[int, Record]], study_seeds: set[int]) -> Cell:
    rates = tuple(sorted(by_rate))
    shared = sorted(set.intersection(*(set(runs) for runs in by_rate.values())))
    if len(rates) > 1 and not shared:
        raise ValueError(f"the rates of {label} at {budget} must share a seed to be compared, got none.")
    chosen = rates[0]
    if len(rates) > 1:
        chosen = min(
            rates, key=lambda rate: statistics.mean([_read_holdout_error(by_rate[rate][seed]) for seed in shared])
        )
    runs = by_rate[chosen]
    errors = {seed: _read_test_error(runs[seed]) for seed in sorted(runs) if not _has_diverged(runs[seed])}
    values = list(errors.values())
    return Cell(
        label=label,
        budget=budget,
        epochs=float(next(iter(runs.values()))["epochs"]),
        peak_value=chosen,
        rates_tried=rates,
        chosen_on="held-out" if len(rates) > 1 else "only one",
        errors=errors,
        diverged=len(runs) - len(errors),
        missing_seeds=tuple(sorted(study_seeds - set(shared))),
        n=len(values),
        mean=statistics.mean(values) if values else None,
        sd=statistics.sd(values),
        interval=statistics.interval(values),
        resolution=_find_resolution(runs.values(), values),
    )


def _find_resolution(runs: Iterable[Record], errors: Sequence[float]) -> float | None:
    sizes = {(run.get("data") or {}).get("test") for run in runs}
    return statistics.find_resolution(errors, sizes.pop()) if len(sizes) == 1 else None


def _check_one_study(records: Sequence[Record]) -> None:
    for record in records:
        first, config = records[0]["config"], record["config"]
        for key in sorted((first.keys() | config.keys()) - VARIED):
            if first.get(key) != config.get(key):
                raise ValueError(f"{key} must be the same in all records, got {first.get(key)!r}, {config.get(key)!r}.")


def _has_diverged(record: Record) -> bool:
    return record["diverged_at"] is not None


def _read_test_error(record: Record) -> float:
    if record["test_error"] is None:
        raise ValueError(f"test_error must be a number unless the run diverged, got null: {_describe(record)}.")
    return float(record["test_error"])


def _read_holdout_error(record: Record) -> float:
    if _has_diverged(record):
        return math.inf
    if record["holdout_error"] is None:
        raise ValueError(
            f"holdout_error must be there to choose among several peak values, got null: {_describe(record)}."
        )
    return float(record["holdout_error"])


def _describe(record: Record) -> str:
    return f"{record['label']} at {record['config']['budget']}, peak_value {record['config']['peak_value']}"
