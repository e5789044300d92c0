"""The results of a study: its table and its figures, from its records."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrsched import files
from lrsched.analysis.study import bits, comparisons, figures, ledger, paper, table
from lrsched.analysis.study.cells import Cell, gather, measure_on_the_way
from lrsched.runs.records import planned_steps
from lrsched.runs.report import Record
from lrsched.runs.studies import SavedStudy
from lrsched.schedules import language, registry
from lrsched.training import data as datasets

Curve = tuple[np.ndarray, np.ndarray, np.ndarray]


def write_results(study: SavedStudy, out: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The table (returned as text, written as Markdown) and the figures of a study.

    Raises:
      ValueError: if none of its runs is on record.
    """
    records = study.records
    if not records:
        raise ValueError("a study must have a run on record that its table is of, got none.")
    cells = gather(records, study.selection)
    papers = paper.find_numbers(records)
    measured = measure(records)
    drawn, way = losses(records, cells), evaluations(records, cells)
    against = read_question(study, cells)
    names = ("table.md", "comparisons.csv", "ledger.md", "schedules.svg", "losses.svg", "errors.svg")
    written = [out / name for name in (*names, "error_over_budget.svg")]
    document, differences, printed, schedules, curve, errors, frontier = written
    marked = table.format_markdown(cells, papers, measure=measured, **against)
    plain = table.format_terminal(cells, papers, measure=measured, **against)
    if "test_bits_per_byte" in records[0]:
        more = bits.tables(records, cells)
        marked, plain = f"{marked}\n{more[0]}", f"{plain}\n{more[1]}"
    files.write_text(document, marked)
    files.write_text(differences, comparisons.to_csv(comparisons.compare_cells(cells, **against)))
    if entries := ledger.ledger(records, cells):
        files.write_text(printed, ledger.format_markdown(entries))
    else:
        _remove(printed, written)
    figures.draw_schedules(curves(records), schedules)
    if drawn:
        figures.draw_losses(drawn, curve)
    else:
        _remove(curve, written)
    if way:
        figures.draw_losses(way, errors, measure=f"{measure_on_the_way(measured, records)}, %")
    else:
        _remove(errors, written)
    if all(cell.diverged for cell in cells):
        _remove(frontier, written)
    else:
        figures.draw_error_over_budget(cells, frontier, papers, measure=measured)
    return plain, written


def measure(records: Sequence[Record]) -> str:
    """What the errors of a study are."""
    if "test_bits_per_byte" in records[0]:
        return bits.MEASURE
    tabular = datasets.is_tabular(records[0]["config"]["data"]) or records[0]["data"].get("classes") == 0
    return "part of the test targets' variance left unexplained" if tabular else "test error"


def read_question(study: SavedStudy, cells: Sequence[Cell]) -> dict[str, Any]:
    """Reference and margin, as the study asked; no reference where none of its runs is on record yet."""
    asked, points = study.asked.get("reference"), study.asked.get("no_worse_than")
    reference = None if asked is None else language.label(asked)
    there = any(cell.label == reference for cell in cells)
    return {"reference": reference if there else None, "margin": None if points is None else points / 100}


def _remove(path: pathlib.Path, written: list[pathlib.Path]) -> None:
    """There is nothing to draw: an earlier figure would be of other runs."""
    path.unlink(missing_ok=True)
    written.remove(path)


def losses(records: Sequence[Record], cells: Sequence[Cell]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Label -> updates, training losses [seeds, points]: of the longest budget, at each schedule's chosen rate."""
    drawn = {}
    for label, rows in _longest(records, cells).items():
        rows = [row for row in rows if row.get("train_losses")]
        if rows:
            size = -(-rows[0]["total_steps"] // 100)  # updates in a block of `run.Log.curve`
            points = -(-rows[0]["total_steps"] // size)
            values = np.full((len(rows), points), np.nan)
            for row, record in zip(values, rows, strict=True):
                if record["diverged_at"] is None:
                    row[:] = record["train_losses"]
            if np.isfinite(values).any():
                drawn[label] = (np.arange(points) * size + size / 2, values)
    return drawn


def evaluations(records: Sequence[Record], cells: Sequence[Cell]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Label -> updates, errors in % [seeds, points] on the way, likewise; a seed that was not evaluated is left out."""
    drawn = {}
    for label, rows in _longest(records, cells).items():
        found = [row["evaluations"] for row in rows if row.get("evaluations", {}).get("steps")]
        if found:
            steps = max((one["steps"] for one in found), key=len)
            values = np.full((len(found), len(steps)), np.nan)
            for row, one in zip(values, found, strict=True):
                at = dict(zip(one["steps"], one["errors"], strict=True))
                row[:] = [100 * error if (error := at.get(step)) is not None else np.nan for step in steps]
            if np.isfinite(values).any():
                drawn[label] = (np.asarray(steps), values)
    return drawn


def _longest(records: Sequence[Record], cells: Sequence[Cell]) -> dict[str, list[Record]]:
    """Label -> the records of the longest budget at the chosen setting."""
    longest = max(cells, key=lambda cell: cell.epochs).budget
    return {
        cell.label: [
            record
            for record in records
            if (record["label"], record["config"]["budget"]) == (cell.label, longest)
            and record["config"]["peak_value"] == cell.peak_value
        ]
        for cell in cells
        if cell.budget == longest
    }


def curves(records: Sequence[Record]) -> dict[str, Curve]:
    """Label -> progress, rate over peak, momentum: each schedule of the records, under its longest budget."""
    longest: dict[str, Record] = {}
    for record in records:
        label = record["label"]
        longest[label] = max(longest.get(label, record), record, key=lambda one: one["total_steps"])
    return {label: _curve(record) for label, record in longest.items()}


def _curve(record: Record, points: int = 1000) -> Curve:
    total, peak = planned_steps(record), record["config"]["peak_value"]
    steps = np.unique(np.linspace(0, total - 1, points).round().astype(np.int64))
    words: dict[str, Any] = {
        "total_steps": total,
        "steps_per_epoch": record["steps_per_epoch"],
        "batch_size": record["config"]["batch_size"],
    }
    rate = registry.build(record["plan"]["lr"], **words).table(steps)
    momentum = registry.build(record["plan"]["momentum"], kind=registry.MOMENTA, **words).table(steps)
    return steps / total, rate / (peak or 1.0), momentum
