"""Training one run: a `Run` in, progress and at last a record out."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lrsched.runs import records
from lrsched.runs.report import Record, Status
from lrsched.runs.task import Run
from lrsched.schedules.foreign import contains_foreign
from lrsched.training import devices as machine
from lrsched.training import provenance
from lrsched.training.train import Metrics, State, compiled_steps

_IN_FLIGHT, _FETCH = 32, 16  # updates the device may be behind; metrics fetched together


class Log(NamedTuple):
    """What a run remembers of the updates it has made."""

    completed: int = 0
    losses: tuple[float, ...] = ()  # of every update
    rate_error: float = 0.0  # largest relative difference of an applied rate from the float64 table
    momentum_error: float = 0.0
    diverged_at: int | None = None  # the first update whose loss was not finite
    evaluations: tuple[tuple[int, float | None, float | None], ...] = ()  # after how many updates, error, loss

    @property
    def train_loss(self) -> float:
        """Mean over the last updates."""
        return float(np.mean(np.asarray(self.losses[-_FETCH:], np.float32)))

    def curve(self, points: int = 100) -> list[float]:
        """Mean losses of equal blocks of updates, at most so many (the last block may be shorter), to 6 digits.

        A loss that is not finite is left out.
        """
        losses = [loss for loss in self.losses if math.isfinite(loss)]
        size = -(-len(losses) // points) or 1
        blocks = (losses[first : first + size] for first in range(0, len(losses), size))
        return [float(f"{np.mean(block):.6g}") for block in blocks]

    def evaluated(self, error: float, loss: float) -> Log:
        """With an evaluation after the updates made so far."""
        values = [value if math.isfinite(value) else None for value in (error, loss)]
        return self._replace(evaluations=(*self.evaluations, (self.completed, values[0], values[1])))

    def evaluations_of(self, part: str) -> Record:
        """The evaluations on the way, as a record has them; a value that is not finite is null."""
        steps, errors, losses = zip(*self.evaluations, strict=True) if self.evaluations else ((), (), ())
        return {"split": part, "steps": list(steps), "errors": list(errors), "losses": list(losses)}

    def after(self, metrics: Sequence[Metrics], tables: Tables) -> Log:
        """With the updates that came next; those after a loss that is not finite are left out."""
        losses = [float(m.loss) for m in metrics]
        bad = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
        made = metrics if bad is None else metrics[: bad + 1]
        rates, momenta = [float(m.rate) for m in made], [float(m.momentum) for m in made]
        return Log(
            self.completed + len(made),
            (*self.losses, *losses[: len(made)]),
            max(self.rate_error, _max_rel_error(rates, tables[0], self.completed)),
            max(self.momentum_error, _max_rel_error(momenta, tables[1], self.completed)),
            None if bad is None else self.completed + bad,
            self.evaluations,
        )


class Point(NamedTuple):
    """All that a run needs to resume: the state (on the host, when `train` yields it) and the log."""

    state: State
    log: Log


# Of a record: what two runs of the same numbers may differ in.
CIRCUMSTANCES = frozenset(
    {"images_per_second", "seconds", "compiles", "device", "versions", "commit", "started", "finished"}
    | {"resumed_at", "changes", "place", "trunk"}
)
Tables = tuple[np.ndarray, np.ndarray]  # float64 rate and momentum of every update


def train(
    run: Run, *, start: Point | None = None, stops: Callable[[int], bool] | None = None
) -> Iterator[Status | Point | Record]:
    """Trains and evaluates a run; yields its progress, and at last its record.

    A loss that is not finite ends the run: its record says before which update (total_steps: after the last), and has
    no errors and no digest.

    Args:
      start: where to resume; None: the first update. The numbers of the run do not depend on it.
      stops: of the number of updates made: whether to yield the Point there; the end of the run always is one.
        None: no Points.
    """
    beginning = records.Beginning()
    rates, momenta, tables = _rates(run)
    state, log = _begin(run, start)
    total, first = len(rates), int(state.step)
    steps = run.task.updates(state, seed=run.config.seed, rates=rates, momenta=momenta)
    begun, every = time.perf_counter(), run.evaluate_every
    due = {total} if stops else set[int]()  # Points

    def pauses(completed: int) -> bool:
        if stops and stops(completed):
            due.add(completed)
        return completed in due or bool(every and completed % every == 0)

    for state, arrived, paused in fetch(steps, first, total, pauses):
        log = log.after(arrived, tables)
        if log.diverged_at is not None:
            break
        if paused and every and log.completed % every == 0 and log.completed < total:
            before = time.perf_counter()
            log = log.evaluated(*_measure(run, run.task.variables(state)))
            begun += time.perf_counter() - before
        if paused and log.completed in due:
            yield Point(jax.device_get(state), log)
        speed = (log.completed - first) * run.task.batch_size / (time.perf_counter() - begun)
        yield Status(log.completed, total, log.losses[-1], float(arrived[-1].rate), speed)
    jax.block_until_ready(state)
    speed = (log.completed - first) * run.task.batch_size / max(time.perf_counter() - begun, 1e-9)
    diverged_at = log.diverged_at
    evaluated = _evaluate(run, state if diverged_at is None else None)
    part = "holdout" if run.task.holdout else "test"
    if diverged_at is None and not all(math.isfinite(evaluated[f"{part}_loss"] or 0.0) for part in ("test", "holdout")):
        diverged_at, evaluated = total, dict.fromkeys(evaluated)  # the last update did it: no loss saw it
    if every and diverged_at is None:
        log = log.evaluated(evaluated[f"{part}_error"], evaluated[f"{part}_loss"])
    yield {
        **_identity(run),
        "diverged_at": diverged_at,
        "train_loss": None if diverged_at is not None else log.train_loss,
        "train_losses": log.curve(),
        **evaluated,
        **({"evaluations": log.evaluations_of(part)} if every else {}),
        "applied_rate_max_rel_error": log.rate_error,
        "applied_momentum_max_rel_error": log.momentum_error,
        "images_per_second": round(speed, 1) if log.completed > first else None,  # all were made before
        "compiles": compiled_steps(),
        **beginning.provenance(run.task.data, devices=len(run.task.devices)),
    }


def record_of(events: Iterable[Any]) -> Record:
    """The record that a run's events end with."""
    *_, record = events
    assert isinstance(record, dict)
    return record


def _identity(run: Run) -> Record:
    """What was run, for its record."""
    return {
        "run": run.id,
        "label": run.label,
        "config": run.config.as_json(),
        "plan": json.loads(run.plan.words),
        "origin": dataclasses.asdict(run.origin) if run.origin else None,
        "seed": run.config.seed,
        "epochs": run.plan.budget.epochs,
        "steps_per_epoch": run.plan.budget.steps_per_epoch,
        "total_steps": run.total_steps,
        **({"foreign": run.foreign} if run.foreign else {}),
    }


def fetch(
    steps: Iterator[tuple[State, Metrics]], first: int, total: int, stops: Callable[[int], bool] | None = None
) -> Iterator[tuple[State, list[Metrics], bool]]:
    """Metrics on the host, some at a time and some updates late, so that the device never waits for the host.

    The third item is true where a Point is due; all metrics up to it have then arrived.
    """
    waiting: collections.deque[Metrics] = collections.deque()
    for completed, (state, metrics) in enumerate(steps, start=first + 1):
        waiting.append(metrics)
        if stops is not None and (completed == total or stops(completed)):
            yield state, jax.device_get(list(waiting)), True
            waiting.clear()
        elif len(waiting) == _IN_FLIGHT:
            yield state, jax.device_get([waiting.popleft() for _ in range(_FETCH)]), False
    if waiting:
        yield state, jax.device_get(list(waiting)), False


_evaluate_schedule = jax.jit(lambda schedule, steps: schedule(steps))


@machine.pin_settings()
def values(schedule: Any, total_steps: int, block: int = 4096) -> np.ndarray:
    """The schedule as JAX computes it, float32 [total_steps]; blocks of one shape, so it compiles once per kind."""
    evaluate: Any = functools.partial(_evaluate_schedule, schedule)
    if contains_foreign(schedule):
        evaluate = jax.jit(lambda steps: schedule(steps))  # its numbers are known, not traced
    blocks = [evaluate(np.arange(first, first + block, dtype=np.int32)) for first in range(0, total_steps, block)]
    return np.concatenate(jax.device_get(blocks))[:total_steps]


def _begin(run: Run, start: Point | None) -> Point:
    """Where a run starts; evaluated there, if that is due and was not done: a run that ends is saved before it is."""
    state, log = start or Point(run.initial_state(), Log())
    every, due = run.evaluate_every, 0 < log.completed < run.total_steps
    if every and due and log.completed % every == 0 and log.completed not in [step for step, *_ in log.evaluations]:
        log = log.evaluated(*_measure(run, run.task.variables(state)))
    return Point(state, log)


def _rates(run: Run) -> tuple[np.ndarray, np.ndarray, Tables]:
    """Rates and momenta of every update as JAX computes them, and their float64 tables."""
    before = np.zeros(run.offset)  # updates of the run it was forked from: they are not made again
    schedules = (run.plan.lr, run.plan.momentum)
    rates, momenta = (np.concatenate([before, values(each, run.plan.total_steps)]) for each in schedules)
    rate_table, momentum_table = (np.concatenate([before, each.table()]) for each in schedules)
    return rates, momenta, (rate_table, momentum_table)


def _max_rel_error(applied: Sequence[float], table: np.ndarray, first: int) -> float:
    """Largest |applied - due| / |due| from update `first` on; zeros are allowed 1e-9 of the largest value."""
    due = table[first : first + len(applied)]
    off = np.maximum(np.abs(np.asarray(applied, np.float64) - due) - 1e-9 * np.abs(table).max(initial=0.0), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(off > 0, off / np.abs(due), 0.0)
    return float(relative.max(initial=0.0))


def _measure(run: Run, variables: dict[str, Any]) -> tuple[float, float]:
    """Error and loss on the way: on the held-out part where there is one, else on the test set."""
    found = run.task.evaluate(variables, run.task.holdout or run.task.test)
    return round(1 - found.accuracy, 10), found.loss


def _evaluate(run: Run, state: State | None) -> Record:
    """The errors of a state, and its digest; of None, which diverged, nothing."""
    if state is None:
        names = ("test_error", "test_loss", "holdout_error", "holdout_loss", "params_digest")
        return dict.fromkeys([*names, *(("test_bits_per_byte", "holdout_bits_per_byte") if run.task.data.text else ())])
    task, variables = run.task, run.task.variables(state)
    test = task.evaluate(variables, task.test)
    held = task.evaluate(variables, task.holdout) if task.holdout else None
    bits = {
        "test_bits_per_byte": test.loss / math.log(2),
        "holdout_bits_per_byte": held.loss / math.log(2) if held else None,
    }
    return {
        "test_error": round(1 - test.accuracy, 10),
        "test_loss": test.loss,
        "holdout_error": round(1 - held.accuracy, 10) if held else None,
        "holdout_loss": held.loss if held else None,
        **(bits if task.data.text else {}),
        "params_digest": provenance.digest(state.params),
    }
