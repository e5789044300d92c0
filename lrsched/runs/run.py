"""One run: a configuration in, a record out."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lrsched.schedules import registry
from lrsched.schedules.plan import Plan
from lrsched.runs.task import (
    Devices,
    Origin,
    Run,
    RunConfig,
    Task,
    evaluate,
    resolve,
    updates,
    variables,
)
from lrsched.training import data as datasets
from lrsched.training import devices as machine
from lrsched.training import provenance, train

_IN_FLIGHT, _FETCH = 32, 16  # updates the device may be behind; metrics fetched together


class Status(NamedTuple):
    """How a run is getting on: the latest update whose metrics have arrived."""

    completed: int
    total_steps: int
    loss: float
    rate: float
    images_per_second: float


class Log(NamedTuple):
    """What a run remembers of the updates it has made."""

    completed: int = 0
    losses: tuple[float, ...] = ()  # of every update
    rate_error: float = 0.0  # largest relative difference of an applied rate from the float64 table
    momentum_error: float = 0.0
    diverged_at: int | None = None  # the first update whose loss was not finite

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

    def after(self, metrics: Sequence[train.Metrics], tables: Tables) -> Log:
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
        )


class Point(NamedTuple):
    """All that a run needs to go on: the state (on the host, when `run` yields it) and the log."""

    state: train.State
    log: Log


# Of a record: what two runs of the same numbers may differ in.
CIRCUMSTANCES = frozenset(
    {"images_per_second", "seconds", "compiles", "device", "versions", "commit", "started", "finished"}
    | {"resumed_at", "changes", "place"}
)
Tables = tuple[np.ndarray, np.ndarray]  # float64 rate and momentum of every update
Record = dict[str, Any]


def run(
    config: RunConfig,
    *,
    data_dir: str | None = None,
    devices: Devices = None,
    start: Point | None = None,
    origin: Origin | None = None,
    stops: Callable[[int], bool] | None = None,
) -> Generator[Status | Point, None, Record]:
    """`follow` for a configuration.

    Args:
      devices: that the run is spread over; None: all local ones.
      origin: the run that this one left, and how; None: it began by itself.
    Raises:
      ValueError: before anything is trained, if the configuration cannot be run.
    """
    resolved = resolve(config, data_dir=data_dir, devices=devices)
    return (yield from follow(resolved.leaving(origin), start=start, stops=stops))


def follow(
    this: Run, *, start: Point | None = None, stops: Callable[[int], bool] | None = None
) -> Generator[Status | Point, None, Record]:
    """Trains and evaluates; yields how it is getting on and returns the record (`finish` takes it).

    A loss that is not finite ends the run: its record says before which update (total_steps: after the last), and has
    no errors and no digest.

    Args:
      start: where to go on from; None: the first update. The numbers of the run do not depend on it.
      stops: of the number of updates made: whether to yield the Point there; the end of the run always is one.
        None: no Points.
    """
    started, begun_at = time.perf_counter(), datetime.datetime.now(datetime.UTC)
    commit = provenance.commit()  # of the code as it is now, not when the record is written
    config, plan, shared, origin = this.config, this.plan, this.task, this.origin
    rates, momenta, tables = _followed(plan, origin)
    state, log = start or Point(this.initial_state(), Log())
    total, first = len(rates), int(state.step)
    steps = updates(config, shared, state, rates=rates, momenta=momenta)
    begun = time.perf_counter()
    for state, arrived, stopped in _fetched(steps, first, total, stops):
        log = log.after(arrived, tables)
        if log.diverged_at is not None:
            break
        if stopped:
            yield Point(jax.device_get(state), log)
        rate = (log.completed - first) * config.batch / (time.perf_counter() - begun)
        yield Status(log.completed, total, log.losses[-1], float(arrived[-1].rate), rate)
    jax.block_until_ready(state)
    trained = time.perf_counter() - begun
    diverged_at = log.diverged_at
    evaluated = _evaluated(config, shared, state if diverged_at is None else None)
    if diverged_at is None and not all(math.isfinite(evaluated[f"{part}_loss"] or 0.0) for part in ("test", "holdout")):
        diverged_at, evaluated = total, dict.fromkeys(evaluated)  # the last update did it: no loss saw it
    return {
        "run": this.id,
        "label": registry.label(config.schedule),
        "config": config.as_json(),
        "plan": json.loads(plan.words),
        "origin": dataclasses.asdict(origin) if origin else None,
        "seed": config.seed,
        "epochs": plan.budget.epochs,
        "steps_per_epoch": plan.budget.steps_per_epoch,
        "total_steps": total,
        "diverged_at": diverged_at,
        "train_loss": None if diverged_at is not None else log.train_loss,
        "train_losses": log.curve(),
        **evaluated,
        "applied_rate_max_rel_error": log.rate_error,
        "applied_momentum_max_rel_error": log.momentum_error,
        "images_per_second": round((log.completed - first) * config.batch / trained, 1) if trained else 0.0,
        "seconds": round(time.perf_counter() - started, 3),
        "compiles": train.compiled_steps(),
        "data": _data_facts(shared.data),
        "device": {**machine.describe(), "run_devices": train.device_count(shared.train)},
        "versions": provenance.versions(),
        "commit": commit,
        "started": begun_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def finish(steps: Generator[Any, None, Record]) -> Record:
    """Runs a generator to its end and gives what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _fetched(
    steps: Iterator[tuple[train.State, train.Metrics]], first: int, total: int, stops: Callable[[int], bool] | None
) -> Iterator[tuple[train.State, list[train.Metrics], bool]]:
    """Metrics on the host, some at a time and some updates late, so that the device never waits for the host.

    The third item is true where a Point is due: all metrics up to there have come then.
    """
    waiting: collections.deque[train.Metrics] = collections.deque()
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


@machine.pinned()
def values(schedule: Any, total_steps: int, block: int = 4096) -> np.ndarray:
    """The schedule as JAX computes it, float32 [total_steps]; blocks of one shape, so it compiles once per kind."""
    blocks = [
        _evaluate_schedule(schedule, np.arange(first, first + block, dtype=np.int32))
        for first in range(0, total_steps, block)
    ]
    return np.concatenate(jax.device_get(blocks))[:total_steps]


def _followed(follow: Plan, origin: Origin | None) -> tuple[np.ndarray, np.ndarray, Tables]:
    """Rates and momenta of every update as JAX computes them, and their float64 tables."""
    before = np.zeros(origin.offset if origin else 0)  # updates of the run that was left: they are not made again
    schedules = (follow.lr, follow.momentum)
    rates, momenta = (np.concatenate([before, values(each, follow.total_steps)]) for each in schedules)
    rate_table, momentum_table = (np.concatenate([before, each.table()]) for each in schedules)
    return rates, momenta, (rate_table, momentum_table)


def _max_rel_error(applied: Sequence[float], table: np.ndarray, first: int) -> float:
    """Largest |applied - due| / |due| from update `first` on; zeros are allowed 1e-9 of the largest value."""
    due = table[first : first + len(applied)]
    off = np.maximum(np.abs(np.asarray(applied, np.float64) - due) - 1e-9 * np.abs(table).max(initial=0.0), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(off > 0, off / np.abs(due), 0.0)
    return float(relative.max(initial=0.0))


def _evaluated(config: RunConfig, shared: Task, state: train.State | None) -> Record:
    names = ("test_error", "test_loss", "holdout_error", "holdout_loss", "params_digest")
    if state is None:
        return dict.fromkeys(names)
    asked = variables(config, shared, state)
    test = evaluate(shared, asked, shared.test, batch_size=config.batch)
    held = evaluate(shared, asked, shared.holdout, batch_size=config.batch) if shared.holdout else None
    return {
        "test_error": round(1 - test.accuracy, 10),
        "test_loss": test.loss,
        "holdout_error": round(1 - held.accuracy, 10) if held else None,
        "holdout_loss": held.loss if held else None,
        "params_digest": provenance.digest(state.params),
    }


def _data_facts(dataset: datasets.Dataset) -> Record:
    sizes = {"train": len(dataset.train), "holdout": len(dataset.holdout or ()), "test": len(dataset.test)}
    return {"name": dataset.name, "version": dataset.version, "digest": dataset.digest, **sizes}
