"""The LR range test of a task: ramps of several seeds, each kept on disk as it ends."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, Literal

import numpy as np

from lrsched import files
from lrsched.analysis.range_test.curves import Curves, from_list, to_list
from lrsched.analysis.range_test.ramp import MOST_STEPS, make_ramp
from lrsched.analysis.range_test.reading import Quantity, Reading
from lrsched.range_test import RangeTest, Sweep, check_seeds, read_as, suggested
from lrsched.runs import identity, records
from lrsched.runs.report import Report, ignore
from lrsched.runs.task import Task
from lrsched.schedules import durations
from lrsched.schedules.plans import Plan
from lrsched.training.train import State

READING = ("quantity", "every", "beta", "divergence", "skip_start", "skip_end")  # fields of a Ramp and of a Reading


@dataclasses.dataclass(frozen=True)
class Ramp:
    """How a range test goes up, and how it is read.

    Attributes:
      length: how long the ramp is: updates (100), epochs (3ep; Smith's range tests take a few) or examples (50000ex).
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


@dataclasses.dataclass(frozen=True, eq=False)
class Ramps:
    """A range test that can be made; `prepare` makes it."""

    task: Task
    ramp: Ramp
    sweep: Sweep
    momentum: float

    def identity(self, seed: int) -> dict[str, Any]:
        """All that decides the numbers of a seed's ramp, and the libraries and the machine it is made with."""
        recipe = {name: value for name, value in self.task.recipe.recipe().items() if name != "momentum"}
        ramp = {name: getattr(self.ramp, name) for name in ("init_value", "end_value", "kind", "quantity")}
        numbers = {"steps": len(self.sweep.rates), "every": self.ramp.every, "divergence": self.ramp.divergence}
        return {
            "recipe": recipe,
            "data_digest": self.task.data.digest,
            "devices": len(self.task.devices),
            "seed": seed,
            "ramp": ramp | numbers,
            "momentum": self.momentum,
            **({"foreign": self.task.foreign} if self.task.foreign else {}),
            **identity.circumstances(),
        }

    def name(self, seed: int) -> str:
        """The name of a kept ramp: a hash over what decides its numbers."""
        return _name(self.identity(seed))


def prepare(task: Task, ramp: Ramp, *, momentum: float) -> Ramps:
    """Checks a range test before anything is trained or written.

    Args:
      momentum: constant through the ramps.
    Raises:
      ValueError: for numbers outside what is allowed.
    """
    check_seeds(ramp.seeds)
    sizes: dict[str, Any] = {"steps_per_epoch": task.steps_per_epoch, "batch_size": task.batch_size}
    steps = durations.steps(ramp.length, name="length", **sizes)
    if steps > MOST_STEPS:
        raise ValueError(f"length must be at most {MOST_STEPS:,} updates, got {ramp.length} ({steps:,}).")
    rates = make_ramp(ramp.init_value, ramp.end_value, steps=steps, kind=ramp.kind)
    if ramp.quantity != "train_loss" and task.holdout is None:
        raise ValueError(f"holdout_fraction must be above 0 to read the {ramp.quantity}, got 0.")
    return Ramps(task, ramp, Sweep(rates, read_as(**{name: getattr(ramp, name) for name in READING})), momentum)


def check_numbers(ramp: Ramp) -> None:
    """Raises the ValueError that a ramp's own numbers deserve, before any data is read."""
    check_seeds(ramp.seeds)
    make_ramp(ramp.init_value, ramp.end_value, steps=2, kind=ramp.kind)


def momentum_at_peak(plan: Plan) -> float:
    """The momentum at the first update of the highest rate (1cycle's is lowest there)."""
    return float(plan.momentum(int(np.argmax(plan.lr.table()))))


def measure(ramps: Ramps, *, out: pathlib.Path | None = None, report: Report = ignore) -> RangeTest:
    """Makes the ramps, or takes those that are kept; reports a line for each.

    Args:
      out: where each ramp is kept as it ends, in out/ramps, and taken from if it is there.
    Raises:
      ValueError: before anything is trained, if `out` cannot be written.
    """
    if out is not None:
        files.check_writable("out", out)
    rows, rates, count = [], ramps.sweep.rates, ramps.ramp.seeds
    for seed in range(count):
        row, note = None, ""
        if out is not None:
            known = ramps.identity(seed)
            path = out / "ramps" / f"{_name(known)}.json"
            row, lines = _read(path, known, ramps.sweep.points)
            for line in lines:
                report(line)
            note = ", kept from before" if row is not None else ""
        if row is None:
            row = _measure_one(ramps, seed)
            if out is not None:
                files.write_json(path, {"identity": known, "values": to_list(row)})
        rows.append(row)
        curves = ramps.sweep.result([row]).curves
        (point,) = curves.blow_ups
        end = "to its end" if point is None else f"blew up at rate {curves.rates[point]:.3g}"
        report(f"[{seed + 1}/{count}] ramp from {rates[0]:.3g} to {rates[-1]:.3g}: {end}{note}")
    return ramps.sweep.result(rows)


def _measure_one(ramps: Ramps, seed: int) -> np.ndarray:
    """The measures along the ramp of one seed."""
    task, rates = ramps.task, ramps.sweep.rates
    momenta = np.full(len(rates), ramps.momentum)

    def held_out(state: State) -> float:
        assert task.holdout is not None
        evaluation = task.evaluate(task.variables(state), task.holdout)
        return evaluation.accuracy if ramps.ramp.quantity == "holdout_accuracy" else evaluation.loss

    updates = task.updates(task.initial_state(seed), seed=seed, rates=rates, momenta=momenta)
    steps = ((state, metrics.loss) for state, metrics in updates)
    return ramps.sweep.row(steps, None if ramps.ramp.quantity == "train_loss" else held_out)


def _name(known: dict[str, Any]) -> str:
    """A hash over what decides a ramp's numbers; other libraries only change the last digits."""
    decides = {name: value for name, value in known.items() if name not in identity.circumstances()}
    return records.fingerprint(decides)


def _read(path: pathlib.Path, known: dict[str, Any], points: int) -> tuple[np.ndarray | None, list[str]]:
    """A kept ramp (None if there is none to use) and messages about it."""
    try:
        document = files.read_json(path)
        there, row = document["identity"], from_list(document["values"])
        if _name(there) != _name(known) or row.shape != (points,):
            raise ValueError(f"{path} must be the ramp of seed {known['seed']}, got another one.")
        changes = identity.find_changes(there, known)
    except FileNotFoundError:
        return None, []
    except (AttributeError, KeyError, TypeError):
        return None, [f"{path} must be as it was written, got an altered file: the ramp is measured again."]
    except (OSError, ValueError) as error:
        return None, [f"{error} The ramp is measured again."]
    return row, [f"{path} was made with other libraries or settings: {', '.join(changes)}."] if changes else []


def from_json(document: dict[str, Any]) -> RangeTest:
    """The range test whose curves these are, as JSON."""
    return suggested(Curves.from_json(document))
