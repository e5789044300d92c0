"""The LR range test of a task: a configuration in, curves, suggestions, a table and a figure out."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import math
import pathlib
import time
from collections.abc import Generator, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from lrsched import files
from lrsched.analysis.range_test import figures
from lrsched.analysis.range_test.curves import Curves, from_list, to_list
from lrsched.analysis.range_test.ramp import MOST_STEPS, make_ramp
from lrsched.analysis.range_test.reading import Quantity, Reading
from lrsched.range_test import RangeTest, Sweep, check_seeds, read_as, suggested
from lrsched.runs import resume as saving
from lrsched.runs import task as tasks
from lrsched.runs.task import Recipe, RunConfig, Task
from lrsched.schedules.plan import Plan
from lrsched.training import devices as machine
from lrsched.training import provenance, train

READING = ("quantity", "every", "beta", "divergence", "skip_start", "skip_end")  # fields of a Ramp and of a Reading


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
      beta: of the bias-corrected smoothing; 0: none; None: for the training loss one that remembers a twentieth of the
        ramp (0.8 for 100 updates; fastai's is 0.98 for all), 0 for held-out measures.
      divergence: a ramp ends once the running median of its training loss exceeds this multiple of the lowest so far.
      skip_start: points left out at the start when rates are suggested; None: a tenth of them.
      skip_end: points left out at the end.
    """

    length: str = "100"
    init_value: float = 1e-5
    end_value: float = 10.0
    kind: Literal["exponential", "linear"] = "exponential"
    seeds: int = 3
    quantity: Quantity = "train_loss"
    every: int = Reading.every
    beta: float | None = Reading.beta
    divergence: float = Reading.divergence
    skip_start: int | None = Reading.skip_start
    skip_end: int = Reading.skip_end


@dataclasses.dataclass(frozen=True, kw_only=True)
class RangeTestConfig(Recipe):
    """The LR range test: the loss while the rate rises, and the rates that each rule suggests.

    The momentum is constant through the ramp: 0.9 unless one is given; of a momentum schedule its first value. Each
    ramp is kept as it ends: a range test that was interrupted resumes with the next one when its command is repeated.

    Attributes:
      ramp: how the rate goes up, and how the loss is read.
      peak_values: rates you mean to use. They are not trained; a line warns of each that lies at or above where the
        loss blew up, or that the ramp did not reach.
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


def swept(
    config: RunConfig, ramp: Ramp, *, data_dir: str | None, out: pathlib.Path | None = None
) -> Generator[str, None, RangeTest]:
    """The range test of a run's data, model, optimiser and weight decay; a line per ramp.

    The momentum is constant: what the run has where its rate is highest (1cycle's is lowest there).

    Args:
      out: where each ramp is kept as it ends, in out/ramps, and taken from if it is there.
    Raises:
      ValueError: before anything is trained or written, for a configuration that cannot be run or numbers out of range.
    """
    made = _prepared(config, ramp, data_dir=data_dir)
    if out is not None:
        files.check_writable("out", out)
    return (yield from _swept(made, out))


def check(config: RunConfig, ramp: Ramp, *, data_dir: str | None) -> None:
    """Raises the ValueError that `swept` would raise, and trains nothing."""
    _prepared(config, ramp, data_dir=data_dir)


class _Prepared(NamedTuple):
    """A range test that can be made."""

    config: RunConfig
    ramp: Ramp
    data_dir: str | None
    task: Task
    how: Sweep
    momentum: float

    def identity(self, seed: int) -> dict[str, Any]:
        """All that decides the numbers of a seed's ramp, and the libraries and the machine it is made with."""
        one = tasks.resolve(dataclasses.replace(self.config, seed=seed), data_dir=self.data_dir)
        ramp = {name: getattr(self.ramp, name) for name in ("init_value", "end_value", "kind", "quantity")}
        numbers = {"steps": len(self.how.rates), "every": self.ramp.every, "divergence": self.ramp.divergence}
        known = saving.identify(one)
        about = {name: known[name] for name in ("data_digest", "versions", "machine")}
        return {"run": one.id, "seed": seed, "ramp": ramp | numbers, "momentum": self.momentum, **about}


def _prepared(config: RunConfig, ramp: Ramp, *, data_dir: str | None) -> _Prepared:
    """Checks numbers before data, and everything before anything is trained or written."""
    check_seeds(ramp.seeds)
    make_ramp(ramp.init_value, ramp.end_value, steps=2, kind=ramp.kind)
    if len(ramp.length) > 20:
        raise ValueError(f"length must be updates (200) or epochs (1ep), got {ramp.length[:20]!r}...")
    follow, shared = tasks.check(config, data_dir=data_dir), tasks.task(config, data_dir=data_dir)
    steps = tasks.updates_of(ramp.length, follow, "length")
    if steps > MOST_STEPS:
        raise ValueError(f"length must be at most {MOST_STEPS:,} updates, got {ramp.length} ({steps:,}).")
    rates = make_ramp(ramp.init_value, ramp.end_value, steps=steps, kind=ramp.kind)
    if ramp.quantity != "train_loss" and shared.holdout is None:
        raise ValueError(f"holdout_fraction must be above 0 to read the {ramp.quantity}, got 0.")
    how = Sweep(rates, read_as(**{name: getattr(ramp, name) for name in READING}))
    return _Prepared(config, ramp, data_dir, shared, how, momentum_at_peak(follow))


def _swept(made: _Prepared, out: pathlib.Path | None) -> Generator[str, None, RangeTest]:
    rows, rates, count = [], made.how.rates, made.ramp.seeds
    for seed in range(count):
        row, note = None, ""
        if out is not None:
            identity = made.identity(seed)
            path = out / "ramps" / f"{_name(identity)}.json"
            row, lines = _read(path, identity, made.how.points)
            yield from lines
            note = ", kept from before" if row is not None else ""
        if row is None:
            row = _ramp(made, seed)
            if out is not None:
                files.write_json(path, {"identity": identity, "values": to_list(row)})
        rows.append(row)
        curves = made.how.result([row]).curves
        (point,) = curves.blow_ups
        end = "to its end" if point is None else f"blew up at rate {curves.rates[point]:.3g}"
        yield f"[{seed + 1}/{count}] ramp from {rates[0]:.3g} to {rates[-1]:.3g}: {end}{note}"
    return made.how.result(rows)


def _ramp(made: _Prepared, seed: int) -> np.ndarray:
    """The measures along the ramp of one seed."""
    config, shared, quantity = dataclasses.replace(made.config, seed=seed), made.task, made.ramp.quantity
    measure = None if quantity == "train_loss" else (lambda state: _held_out(config, shared, state, quantity))
    return made.how.row(_updates(config, shared, made.how.rates, made.momentum, made.data_dir), measure)


def _name(identity: dict[str, Any]) -> str:
    """Of a kept ramp's file: a hash over what decides its numbers; other libraries only change the last digits."""
    decides = {name: value for name, value in identity.items() if name not in ("versions", "machine")}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: pathlib.Path, identity: dict[str, Any], points: int) -> tuple[np.ndarray | None, list[str]]:
    """A kept ramp, and what is to be said of it; None if there is none that can be used."""
    try:
        found = files.read_json(path)
        there, values = found["identity"], from_list(found["values"])
        if _name(there) != _name(identity) or values.shape != (points,):
            raise ValueError(f"{path} must be the ramp of seed {identity['seed']}, got another one.")
        changes = saving.changed(there, identity)
    except FileNotFoundError:
        return None, []
    except (AttributeError, KeyError, TypeError):
        return None, [f"{path} must be as it was written, got an altered file: the ramp is made anew."]
    except (OSError, ValueError) as error:
        return None, [f"{error} The ramp is made anew."]
    return values, [f"{path} was made with other libraries or settings: {', '.join(changes)}."] if changes else []


def range_test(config: RangeTestConfig) -> Generator[str, None, Outcome]:
    """Makes the ramps, then the record, the table and the figure; yields how it is getting on.

    Each ramp is kept as it ends: a range test that was cut off takes up those, bit for bit, and makes the others. One
    that had ended, with the same words, gives its record as it is.

    Raises:
      ValueError: before anything is written, if it cannot be made.
    """
    started, begun = datetime.datetime.now(datetime.UTC), time.perf_counter()
    commit = provenance.commit()  # of the code as it is now, not when the record is written
    out = files.local_folder(
        "out", config.out if config.out is not None else f"runs/range-test-{config.data}-{config.model}"
    )
    if out.exists() and not out.is_dir():
        raise ValueError(f"out must be a folder, got the file {out}.")
    if any(not (math.isfinite(rate) and rate > 0) for rate in config.peak_values):
        raise ValueError(f"peak_values must be above 0 and finite, got {', '.join(map(str, config.peak_values))}.")
    of = run_config(config)
    made = _prepared(of, config.ramp, data_dir=config.data_dir)
    said = {**provenance.said(config), "batch_size": of.batch, "holdout_fraction": of.holdout_fraction}
    said, path = json.loads(json.dumps(said)), out / "record.json"
    files.check_writable("out", out)
    ramps = [_name(made.identity(seed)) for seed in range(config.ramp.seeds)]
    record, lines = _finished(path, said, ramps)
    yield from lines
    if record is None:
        found = yield from _swept(made, out)
        if not np.isfinite(found.curves.values).any():
            raise ValueError("init_value must be a rate at which the loss is finite, got none for any seed.")
        record = {
            "config": said,
            "ramps": ramps,
            "curves": found.curves.as_json(),
            "suggestions": {rule: dataclasses.asdict(one) for rule, one in found.suggestions.items()},
            "advice": found.advice(),
            "warnings": [line for rate in config.peak_values if (line := found.verdict(rate))],
            "device": machine.describe(),
            "versions": provenance.versions(),
            "commit": commit,
            "data_digest": made.task.data.digest,
            "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds": round(time.perf_counter() - begun, 3),
        }
        record = json.loads(json.dumps(record, allow_nan=False))
    try:
        files.write_json(path, record)
        text, written = write_results(record, out)
    except OSError:  # a full disk: what was found is at least seen
        yield _text(record)
        raise
    return Outcome(record, text, [path, *written])


def _finished(path: pathlib.Path, said: dict[str, Any], ramps: list[str]) -> tuple[dict[str, Any] | None, list[str]]:
    """The record of a range test that had ended, if it is of these words and ramps, and what is to be said of it."""
    try:
        record = files.read_json(path)
    except FileNotFoundError:
        return None, []
    except (OSError, ValueError) as error:
        return None, [f"{error} It is made anew."]
    if record.get("config") != said or record.get("ramps") != ramps:
        return None, []
    return record, [f"{path} is of these words: it is shown as it is."]


def write_results(record: dict[str, Any], out: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The table (returned, with what to do and the warnings, and written) and the figure of a record."""
    found, text = restored(record["curves"]), _text(record)
    table, figure = out / "table.md", out / "range_test.svg"
    files.write_text(table, text)
    figures.draw_loss_over_rate(found.curves, found.suggestions, figure)
    return text, [table, figure]


def _text(record: dict[str, Any]) -> str:
    found = restored(record["curves"])
    return "\n".join([found.table(), found.advice(), *(f"warning: {line}" for line in record["warnings"])]) + "\n"


def restored(words: dict[str, Any]) -> RangeTest:
    """The range test whose curves these are, as JSON."""
    return suggested(Curves.from_json(words))


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
