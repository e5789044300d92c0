"""The LR range test of a task: a configuration in, curves, suggestions, a table and a figure out."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import pathlib
import time
from collections.abc import Generator, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from lrsched import finder
from lrsched import task as tasks
from lrsched.analysis import range_plots, range_tests
from lrsched.analysis.range_tests import Curves
from lrsched.finder import RangeTest
from lrsched.schedules.plan import Plan
from lrsched.task import Recipe, RunConfig, Task
from lrsched.training import devices as machine
from lrsched.training import provenance, train

HOW = ("quantity", "beta", "divergence", "skip_start", "skip_end")  # fields of Curves beside the numbers
Quantity = Literal["train_loss", "holdout_loss", "holdout_accuracy"]


@dataclasses.dataclass(frozen=True)
class Ramp:
    """How a range test goes up, and how it is read.

    Attributes:
      length: how long the ramp is: updates (100) or epochs (3ep; Smith's range tests take a few).
      init_value: rate of the first update.
      end_value: rate of the last one.
      kind: exponential (fastai's finder) or linear (Smith's range test).
      seeds: how many ramps, each with weights and an order of the data of its own; they are 0, 1, ...
      quantity: what is read: train_loss, or on held-out data holdout_loss or holdout_accuracy (Smith's).
      every: updates between two looks at held-out data.
      beta: of the bias-corrected smoothing; 0: none; None: 0.98 for the training loss, 0 for held-out measures.
      divergence: a ramp ends once its smoothed training loss exceeds this multiple of the lowest so far.
      skip_start: points left out at the start when rates are suggested; None: a tenth of them.
      skip_end: points left out at the end.
    """

    length: str = "100"
    init_value: float = 1e-5
    end_value: float = 10.0
    kind: Literal["exponential", "linear"] = "exponential"
    seeds: int = 3
    quantity: Quantity = "train_loss"
    every: int = 1
    beta: float | None = None
    divergence: float = 4.0
    skip_start: int | None = None
    skip_end: int = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class RangeTestConfig(Recipe):
    """The LR range test: the loss while the rate rises, and the rates that each rule suggests.

    The momentum is constant through the ramp: 0.9 unless one is given; of a momentum schedule its first value.

    Attributes:
      ramp: how the rate goes up, and how the loss is read.
      peak_values: rates you mean to use. They are not trained; a line warns of each that lies at or above where the
        loss blew up, or that the ramp did not reach.
      holdout_fraction: part of the training set kept apart; None: 0.1 if held-out data is looked at, else 0.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      out: folder of record, table and figure; None: runs/range-test-DATA-MODEL.
    """

    ramp: Ramp = dataclasses.field(default_factory=Ramp)
    peak_values: tuple[float, ...] = ()
    holdout_fraction: float | None = None
    data_dir: str | None = None
    out: str | None = None


class Outcome(NamedTuple):
    """What a range test came to: its record, its table as text, and the files written."""

    record: dict[str, Any]
    text: str
    files: list[pathlib.Path]


def run_config(config: RangeTestConfig) -> RunConfig:
    """The runs that the ramps are of; their seed is the ramp's."""
    held_out = config.ramp.quantity != "train_loss"
    fraction = (0.1 if held_out else 0.0) if config.holdout_fraction is None else config.holdout_fraction
    return RunConfig(
        **config.recipe(), schedule="constant", peak_value=config.ramp.end_value, holdout_fraction=fraction
    )


def momentum_at_peak(follow: Plan) -> float:
    """The momentum at the first update of the highest rate."""
    return float(follow.momentum(int(np.argmax(follow.lr.table()))))


def swept(config: RunConfig, ramp: Ramp, *, data_dir: str | None) -> Generator[str, None, RangeTest]:
    """The range test of a run's data, model, optimiser and weight decay; a line per ramp.

    The momentum is constant: what the run has where its rate is highest (1cycle's is lowest there).

    Raises:
      ValueError: before anything is trained, for a configuration that cannot be run or numbers out of range.
    """
    follow, shared = tasks.check(config, data_dir=data_dir), tasks.task(config, data_dir=data_dir)
    steps = tasks.updates_of(ramp.length, follow, "length")
    rates = range_tests.ramp(ramp.init_value, ramp.end_value, steps=steps, kind=ramp.kind)
    if ramp.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {ramp.seeds}.")
    momentum = momentum_at_peak(follow)
    held_out = ramp.quantity != "train_loss"
    if held_out and shared.holdout is None:
        raise ValueError(f"holdout_fraction must be above 0 to read the {ramp.quantity}, got 0.")
    how = finder.Reading(rates, **{name: getattr(ramp, name) for name in ("every", *HOW)})
    rows = []
    for seed in range(ramp.seeds):
        one = dataclasses.replace(config, seed=seed)
        measure = (lambda state: _held_out(config, shared, state, ramp.quantity)) if held_out else None
        rows.append(how.row(_updates(one, shared, rates, momentum, data_dir), measure))
        curves = how.result(rows[-1:]).curves
        (stop,) = curves.stopped
        end = "to its end" if stop is None else f"blew up at rate {curves.rates[stop]:.3g}"
        yield f"[{seed + 1}/{ramp.seeds}] ramp from {rates[0]:.3g} to {rates[-1]:.3g}: {end}"
    return how.result(rows)


def range_test(config: RangeTestConfig) -> Generator[str, None, Outcome]:
    """Makes the ramps, then the record, the table and the figure; yields how it is getting on.

    Raises:
      ValueError: before anything is written, if it cannot be made.
    """
    started, begun = datetime.datetime.now(datetime.UTC), time.perf_counter()
    commit = provenance.commit()  # of the code as it is now, not when the record is written
    of = run_config(config)
    out = pathlib.Path(config.out or f"runs/range-test-{config.data}-{config.model}")
    if out.exists() and not out.is_dir():
        raise ValueError(f"out must be a folder, got the file {out}.")
    if any(not (math.isfinite(rate) and rate > 0) for rate in config.peak_values):
        raise ValueError(f"peak_values must be above 0, got {', '.join(map(str, config.peak_values))}.")
    found = yield from swept(of, config.ramp, data_dir=config.data_dir)
    curves = found.curves
    if not np.isfinite(curves.values).any():
        raise ValueError("init_value must be a rate at which the loss is finite, got none for any seed.")
    record = {
        "config": {**provenance.said(config), "batch_size": of.batch, "holdout_fraction": of.holdout_fraction},
        "curves": kept(curves),
        "suggestions": {rule: dataclasses.asdict(one) for rule, one in found.suggestions.items()},
        "warnings": [line for rate in config.peak_values if (line := found.verdict(rate))],
        "device": machine.describe(),
        "versions": provenance.versions(),
        "commit": commit,
        "data_digest": tasks.task(of, data_dir=config.data_dir).data.digest,
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(time.perf_counter() - begun, 3),
    }
    words = json.dumps(record, sort_keys=True, allow_nan=False)
    out.mkdir(parents=True, exist_ok=True)
    (out / "range_test.json").write_text(words + "\n")
    text, files = write_results(json.loads(words), out)
    return Outcome(json.loads(words), text, [out / "range_test.json", *files])


def write_results(record: dict[str, Any], out: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The table (returned, with the warnings, and written) and the figure of a record."""
    found = restored(record["curves"])
    text = "\n".join([found.table().rstrip("\n"), *(f"warning: {line}" for line in record["warnings"])]) + "\n"
    table, figure = out / "range_test.md", out / "range_test.svg"
    table.write_text(text)
    range_plots.loss_over_rate(found.curves, found.suggestions, figure)
    return text, [table, figure]


def kept(curves: Curves) -> dict[str, Any]:
    """Curves for JSON: raw values, null where there is none; smoothed ones for readers; how they are read."""
    rows = {"values": curves.values, "smooth": curves.smooth}
    lists = {k: [[x if math.isfinite(x) else None for x in row] for row in v.tolist()] for k, v in rows.items()}
    return {"rates": curves.rates.tolist(), **lists, **{name: getattr(curves, name) for name in HOW}}


def restored(words: dict[str, Any]) -> RangeTest:
    """The range test whose curves `kept` made these words of."""
    values = np.array([[math.nan if x is None else x for x in row] for row in words["values"]], np.float64)
    curves = Curves(np.array(words["rates"]), values, **{name: words[name] for name in HOW})
    return finder.suggested(curves)


def _updates(
    config: RunConfig, shared: Task, rates: np.ndarray, momentum: float, data_dir: str | None
) -> Iterator[tuple[train.State, Any]]:
    state, momenta = tasks.initial_state(config, data_dir=data_dir), np.full(len(rates), momentum)
    made = tasks.updates(config, shared, state, rates=rates, momenta=momenta)
    return ((state, metrics.loss) for state, metrics in made)


def _held_out(config: RunConfig, shared: Task, state: train.State, quantity: str) -> float:
    assert shared.holdout is not None
    variables = tasks.variables(config, shared, state)
    found = tasks.evaluate(shared, variables, shared.holdout)
    return found.accuracy if quantity == "holdout_accuracy" else found.loss
