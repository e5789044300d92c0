"""Many runs: schedules x budgets x peak rates x seeds, one record each, then a table and figures."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lrsched import files
from lrsched.analysis.study import figures, paper, table
from lrsched.analysis.study.cells import Cell, gather
from lrsched.commands import Outcome
from lrsched.runs.config import Recipe, RunConfig, Words
from lrsched.runs.many import MOST_RUNS, resolve_all, train_all
from lrsched.runs.report import Record, Report, ignore
from lrsched.schedules import language, registry
from lrsched.schedules.durations import budget_length
from lrsched.training import data as datasets
from lrsched.training import devices


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(Recipe):
    """A study: every schedule under every budget, at every peak rate, with every seed.

    Example: lrsched study --schedules rex linear warmup:5%+cosine --budgets 10% 100% --seeds 5

    Attributes:
      schedules: words, as in: rex linear rex:d=0.9 linear@50-75 step:fractions=0.3/0.6/0.8,factor=0.2
        warmup:5%+cosine; JSON; from Python schedules already made, each scaled to the peak values by its highest rate.
      budgets: percentages of max_epochs (5%), epochs (15ep or 15), updates (200st) or examples (50000ex).
      max_epochs: epochs of a budget of 100 %.
      seeds: number of seeds: 0, 1, ...
      peak_values: peak learning rates; of several, each schedule and budget takes the best on held-out data.
      holdout_fraction: part of the training set kept for choosing; None: 0.1 if there are several peak values, else 0.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      workers: runs made at once, in processes that share out a CPU's cores, elsewhere one per device. None: as many as
        there are cores (and memory for them) or devices, but one where little is left to train; 1: one after another,
        each over all devices. The number changes the order of summation in a run, and so its last digits; the records
        hold it.
      share_trunks: make the updates that runs have in common (the same rates from the first update on) once; the
        records are the same without.
      out: folder of records, table and figures; None: runs/DATA-MODEL. A second start there makes only the runs that
        are missing; the table is of the runs asked for.
    """

    schedules: tuple[Words, ...] = (
        "rex",
        "linear",
        "cosine",
        "step",
        "exponential",
        "onecycle:variant=rex_paper",
    )
    budgets: tuple[str, ...] = ("5%", "25%", "100%")
    max_epochs: float = RunConfig.max_epochs
    seeds: int = 3
    peak_values: tuple[float, ...] = (0.1, 0.3)
    holdout_fraction: float | None = None
    data_dir: str | None = None
    workers: int | None = None
    share_trunks: bool = True
    out: str | None = None


Curve = tuple[np.ndarray, np.ndarray, np.ndarray]


def configs(study: StudyConfig) -> list[RunConfig]:
    """The runs of a study in the order they are made: seed by seed, so that a study cut short is a smaller study.

    Raises:
      ValueError: if a list is empty or repeats itself, or if rates would be chosen without held-out data.
    """
    if study.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {study.seeds}.")
    count = study.seeds * len(study.budgets) * len(study.schedules) * len(study.peak_values)
    if count > MOST_RUNS:
        raise ValueError(f"a study must have at most {MOST_RUNS:,} runs, got {count:,}.")
    spellings: dict[str, Callable[[Any], Any]] = {
        "schedules": language.label,
        "budgets": lambda text: budget_length(text, max_epochs=study.max_epochs),
        "peak_values": float,
    }
    for name, same in spellings.items():
        values: Sequence[Any] = getattr(study, name)
        if not values:
            raise ValueError(f"{name} must name at least one, got none.")
        keys = [same(v) for v in values]
        if len(set(keys)) < len(keys):
            raise ValueError(f"{name} must differ from each other, got {', '.join(map(str, values))}.")
    several = len(study.peak_values) > 1
    holdout = (0.1 if several else 0.0) if study.holdout_fraction is None else study.holdout_fraction
    if several and not holdout:
        raise ValueError(
            "holdout_fraction must be above 0 when there are several peak values: they are chosen on it, got 0."
        )
    shared: dict[str, Any] = {**study.recipe(), "max_epochs": study.max_epochs, "holdout_fraction": holdout}
    return [
        RunConfig(**shared, schedule=schedule, budget=budget, peak_value=peak, seed=seed)
        for seed in range(study.seeds)
        for budget in study.budgets
        for schedule in study.schedules
        for peak in study.peak_values
    ]  # fmt: skip


def run(config: StudyConfig, report: Report = ignore) -> Outcome:
    """Trains the runs that are not on record yet, then writes the table and the figures.

    Raises:
      ValueError: before anything is written, if any run of it cannot be run.
      interrupts.Interrupted: if the process was asked to end, once the runs under way are saved.
    """
    devices.prepare()
    devices.start()
    out = files.out_folder(config.out, f"runs/{config.data}-{config.model}")
    todo = resolve_all(configs(config), data_dir=config.data_dir, count=config.workers)
    records = train_all(todo, out, count=config.workers, report=report, share_trunks=config.share_trunks)
    records = [{**record, "place": place} for place, record in enumerate(records)]  # an earlier study had others
    text, written = write_results(records, out)
    return Outcome(records, text, [out / "records.jsonl", *written])


def write_results(records: Sequence[Record], out: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The table (returned as text, written as Markdown) and the figures of the records of one study.

    Schedules and budgets stand in the order in which they were asked for; in records of version 0.1.0, which do not
    tell, in that in which their runs were started.
    """
    records = sorted(records, key=lambda record: (record.get("place", -1), record.get("started", "")))
    cells = gather(records)
    papers = paper.find_numbers(records)
    tabular = datasets.is_tabular(records[0]["config"]["data"]) or records[0]["data"].get("classes") == 0
    words = {"measure": "part of the test targets' variance left unexplained"} if tabular else {}
    drawn = losses(records, cells)
    written = [out / name for name in ("table.md", "schedules.svg", "losses.svg", "error_over_budget.svg")]
    document, schedules, curve, errors = written
    files.write_text(document, table.format_markdown(cells, papers, **words))
    figures.draw_schedules(curves(records), schedules)
    if drawn:
        figures.draw_losses(drawn, curve)
    else:
        _remove(curve, written)
    if all(cell.diverged for cell in cells):
        _remove(errors, written)
    else:
        figures.draw_error_over_budget(cells, errors, papers, **words)
    return table.format_terminal(cells, papers, **words), written


def _remove(path: pathlib.Path, written: list[pathlib.Path]) -> None:
    """There is nothing to draw: an earlier figure would be of other runs."""
    path.unlink(missing_ok=True)
    written.remove(path)


def losses(records: Sequence[Record], cells: Sequence[Cell]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Label -> updates, training losses [seeds, points]: of the longest budget, at each schedule's chosen rate."""
    longest = max(cells, key=lambda cell: cell.epochs).budget
    drawn = {}
    for cell in cells:
        rows = [
            record
            for record in records
            if (record["label"], record["config"]["budget"]) == (cell.label, cell.budget) == (cell.label, longest)
            and record["config"]["peak_value"] == cell.peak_value
            and record.get("train_losses")
        ]
        if rows:
            size = -(-rows[0]["total_steps"] // 100)  # updates in a block of `run.Log.curve`
            points = -(-rows[0]["total_steps"] // size)
            values = np.full((len(rows), points), np.nan)
            for row, record in zip(values, rows, strict=True):
                if record["diverged_at"] is None:
                    row[:] = record["train_losses"]
            if np.isfinite(values).any():
                drawn[cell.label] = (np.arange(points) * size + size / 2, values)
    return drawn


def curves(records: Sequence[Record]) -> dict[str, Curve]:
    """Label -> progress, rate over peak, momentum: each schedule of the records, under its longest budget."""
    longest: dict[str, Record] = {}
    for record in records:
        label = record["label"]
        longest[label] = max(longest.get(label, record), record, key=lambda one: one["total_steps"])
    return {label: _curve(record) for label, record in longest.items()}


def _curve(record: Record, points: int = 1000) -> Curve:
    total, peak = record["total_steps"], record["config"]["peak_value"]
    steps = np.unique(np.linspace(0, total - 1, points).round().astype(np.int64))
    words: dict[str, Any] = {
        "total_steps": total,
        "steps_per_epoch": record["steps_per_epoch"],
        "batch_size": record["config"]["batch_size"],
    }
    rate = registry.build(record["plan"]["lr"], **words).table(steps)
    momentum = registry.build(record["plan"]["momentum"], kind=registry.MOMENTA, **words).table(steps)
    return steps / total, rate / (peak or 1.0), momentum
