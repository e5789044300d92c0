"""The LR range test of a task: the loss while the rate rises, and the rates that each rule suggests."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import Any

import numpy as np

from lrsched import files
from lrsched.analysis.range_test import figures
from lrsched.commands import Outcome
from lrsched.runs import ramps
from lrsched.runs.config import Recipe, RunConfig, number_or_words
from lrsched.runs.ramps import Ramp, Ramps
from lrsched.runs.records import Beginning
from lrsched.runs.report import Record, Report, ignore
from lrsched.runs.task import load
from lrsched.schedules import plans
from lrsched.schedules.durations import Budget
from lrsched.training import devices, provenance


@dataclasses.dataclass(frozen=True, kw_only=True)
class RangeTestConfig(Recipe):
    """The LR range test: the loss while the rate rises, and the rates that each rule suggests.

    The momentum is constant through the ramp: 0.9 unless one is given; of a momentum schedule its first value. Each
    ramp is kept as it ends: a range test that was interrupted resumes with the next one when its command is repeated.

    Example: lrsched range-test --data digits --peak-values 0.3 20

    Attributes:
      ramp: how the rate goes up, and how the loss is read.
      peak_values: rates you mean to use. They are not trained; a line warns of each that lies at or above where the
        loss blew up or had risen half way to it, or that the ramp did not reach.
      holdout_fraction: part of the training set kept apart; None: 0.1 if held-out data is looked at, else 0.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      out: folder of record, ramps, table and figure; None: runs/range-test-DATA-MODEL. A second start there makes only
        the ramps that are missing.
    """

    ramp: Ramp = dataclasses.field(default_factory=Ramp)
    peak_values: tuple[float, ...] = ()
    holdout_fraction: float | None = None
    data_dir: str | None = None
    out: str | None = None


def run(config: RangeTestConfig, report: Report = ignore) -> Outcome:
    """Trains the ramps, then writes the record, the table and the figure.

    Each ramp is kept as it ends: an interrupted range test reuses those, bit for bit, and trains the rest. A finished
    one with the same arguments returns its record.

    Raises:
      ValueError: before anything is written, if it cannot be run.
    """
    devices.prepare()
    devices.start()
    beginning = Beginning()
    out = files.out_folder(config.out, f"runs/range-test-{config.data}-{config.model}")
    prepared, asked = _prepare(config, out)
    path = out / "record.json"
    files.check_writable("out", out)
    names = [prepared.name(seed) for seed in range(config.ramp.seeds)]
    record = _find_ended(path, asked, names, report)
    if record is None:
        found = ramps.measure(prepared, out=out, report=report)
        if not np.isfinite(found.curves.values).any():
            raise ValueError("init_value must be a rate at which the loss is finite, got none for any seed.")
        document = {
            "config": asked,
            "ramps": names,
            "curves": found.curves.as_json(),
            "suggestions": {rule: dataclasses.asdict(one) for rule, one in found.suggestions.items()},
            "advice": found.advice(),
            "warnings": [line for rate in config.peak_values if (line := found.verdict(rate))],
            **beginning.provenance(prepared.task.data, devices=len(prepared.task.devices)),
        }
        record = json.loads(json.dumps(document, allow_nan=False))
    try:
        files.write_json(path, record)
        text, written = write_results(record, out)
    except OSError:  # a full disk: what was found is at least seen
        report(_text(record))
        raise
    return Outcome(record, text, [path, *written])


def _prepare(config: RangeTestConfig, out: pathlib.Path) -> tuple[Ramps, dict[str, Any]]:
    """The ramps, and the configuration as the record holds it; refuses everything that can be refused."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"out must be a folder, got the file {out}.")
    if any(not (math.isfinite(rate) and rate > 0) for rate in config.peak_values):
        raise ValueError(f"peak_values must be above 0 and finite, got {', '.join(map(str, config.peak_values))}.")
    ramps.check_numbers(config.ramp)
    held_out = config.ramp.quantity != "train_loss"
    fraction = (0.1 if held_out else 0.0) if config.holdout_fraction is None else config.holdout_fraction
    task = load(config, holdout_fraction=fraction, data_dir=config.data_dir)
    momentum = None if config.momentum is None else number_or_words(config.momentum)
    plan = plans.plan("constant", Budget(RunConfig.max_epochs, task.steps_per_epoch), peak_value=1.0, momentum=momentum)
    prepared = ramps.prepare(task, config.ramp, momentum=float(plan.momentum(0)))
    asked = {**provenance.config_fields(config), "batch_size": task.batch_size, "holdout_fraction": fraction}
    return prepared, json.loads(json.dumps(asked))


def _find_ended(path: pathlib.Path, asked: dict[str, Any], names: list[str], report: Report) -> Record | None:
    """The record of a range test that had ended, if it is of these arguments and ramps."""
    try:
        record = files.read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        report(f"{error} The range test is repeated.")
        return None
    if record.get("config") != asked or record.get("ramps") != names:
        return None
    report(f"{path} has the same arguments: it is shown as it is.")
    return record


def write_results(record: Record, out: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The table (returned, with what to do and the warnings, and written) and the figure of a record."""
    found, text = ramps.from_json(record["curves"]), _text(record)
    table, figure = out / "table.md", out / "range_test.svg"
    files.write_text(table, text)
    figures.draw_loss_over_rate(found.curves, found.suggestions, figure)
    return text, [table, figure]


def _text(record: Record) -> str:
    found = ramps.from_json(record["curves"])
    return "\n".join([found.table(), found.advice(), *(f"warning: {line}" for line in record["warnings"])]) + "\n"
