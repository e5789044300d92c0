"""One run: a configuration in, a record out."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import functools
import hashlib
import json
import math
import time
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from lrsched.schedules import registry
from lrsched.schedules.budget import Budget
from lrsched.schedules.plan import Plan, plan
from lrsched.training import batches, models, optim, provenance, train
from lrsched.training import data as datasets
from lrsched.training import devices as machine

_IN_FLIGHT, _FETCH = 32, 16  # updates the device may be behind; metrics fetched together


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's numbers. These defaults are the only ones.

    Attributes:
      data: digits, cifar10, cifar100, mnist, fashion_mnist or svhn_cropped.
      model: resnet8, resnet20, resnet32, resnet38, resnet44, resnet56 or resnet110.
      schedule: words, as in "rex", "rex:d=0.9", "linear@50-75", or JSON.
      peak_value: the highest learning rate.
      momentum: a number or the words of a momentum schedule; None: the schedule's own (1cycle's), else 0.9.
      budget: a percentage of max_epochs ("5%"), or epochs ("15ep" or "15").
      max_epochs: what 100 % is.
      batch_size: examples per update, over all devices; None: 32 for digits, 128 for the others.
      optimizer: sgd, nesterov or adam (whose b1 is then the momentum).
      momentum_form: optax (rate outside the momentum) or caffe (rate inside).
      weight_decay: coefficient on every parameter.
      weight_decay_mode: coupled (L2 in the gradient) or decoupled.
      augment: the data set's usual alteration: padded random crop, and mirroring where a mirror image is one.
      sync_batch_norm: share BatchNorm's batch statistics over the devices.
      holdout_fraction: part of the training set kept for choosing, never trained on.
      seed: of the initial weights, the order of the data and its alteration.
    """

    data: str = "digits"
    model: str = "resnet8"
    schedule: str = "rex"
    peak_value: float = 0.1
    momentum: str | None = None
    budget: str = "100%"
    max_epochs: float = 8.0
    batch_size: int | None = None
    optimizer: optim.Name = "sgd"
    momentum_form: optim.MomentumForm = "optax"
    weight_decay: float = 5e-4
    weight_decay_mode: optim.WeightDecayMode = "coupled"
    augment: bool = True
    sync_batch_norm: bool = False
    holdout_fraction: float = 0.0
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """The configuration with its words resolved: equal for equal runs, however they were asked for."""
        return {**dataclasses.asdict(self), "schedule": registry.parse(self.schedule), "batch_size": self.batch}

    @property
    def batch(self) -> int:
        """Examples per update."""
        if self.batch_size is None:
            return 32 if self.data == "digits" else 128
        return self.batch_size


class Task(NamedTuple):
    """What runs of the same data and model share: the data on the devices, and what is compiled once."""

    data: datasets.Dataset
    train: train.Data
    holdout: train.Data | None
    test: train.Data
    model: models.ResNet
    optimizer: optim.Optimizer


class Status(NamedTuple):
    """How a run is getting on: the latest update whose metrics have arrived."""

    completed: int
    total_steps: int
    loss: float
    rate: float
    images_per_second: float


Record = dict[str, Any]


Devices = tuple[jax.Device, ...] | None  # that a run is spread over; None: all local ones


def task(config: RunConfig, *, data_dir: str | None = None, devices: Devices = None) -> Task:
    """Loads the data, puts it on the devices and builds the model of a configuration; the last ones are kept."""
    return _task(
        config.data,
        data_dir,
        config.holdout_fraction,
        config.model,
        config.sync_batch_norm,
        optim.Optimizer(config.optimizer, config.momentum_form, config.weight_decay_mode),
        devices or tuple(jax.local_devices()),
    )


@functools.lru_cache(maxsize=8)  # one machine's accelerators
def _task(
    name: str,
    data_dir: str | None,
    holdout_fraction: float,
    model: str,
    sync: bool,
    optimizer: optim.Optimizer,
    devices: tuple[jax.Device, ...],
) -> Task:
    if model not in models.BLOCKS:
        models.build(model, classes=2)  # says what is allowed, before the data is read
    dataset = datasets.load(name, data_dir=data_dir, holdout_fraction=holdout_fraction)

    def put(split: datasets.Split) -> train.Data:
        return train.put(split.images, split.labels, mean=dataset.mean, std=dataset.std, devices=devices)

    return Task(
        data=dataset,
        train=put(dataset.train),
        holdout=put(dataset.holdout) if dataset.holdout else None,
        test=put(dataset.test),
        model=models.build(model, classes=dataset.classes, axis_name=train.AXIS if sync else None),
        optimizer=optimizer,
    )


def check(config: RunConfig, *, data_dir: str | None = None, devices: Devices = None) -> Plan:
    """The plan of a configuration.

    Raises:
      ValueError: with one line that says what is allowed, for anything in the configuration that cannot be run.
    """
    if not (math.isfinite(config.max_epochs) and config.max_epochs > 0):
        raise ValueError(f"max_epochs must be above 0, got {config.max_epochs:g}.")
    if not (math.isfinite(config.weight_decay) and config.weight_decay >= 0):
        raise ValueError(f"weight_decay must be at least 0, got {config.weight_decay:g}.")
    if not 0 <= config.seed < 2**31:
        raise ValueError(f"seed must be from 0 to 2**31 - 1, got {config.seed}.")
    examples = len(task(config, data_dir=data_dir, devices=devices).data.train)
    if not 1 <= config.batch <= examples:
        raise ValueError(f"batch_size must be from 1 to {examples} (the training examples), got {config.batch}.")
    count = len(devices or jax.local_devices())
    if config.batch % count:
        raise ValueError(f"batch_size must be a multiple of the {count} devices, got {config.batch}.")
    per_epoch = batches.steps_per_epoch(examples, config.batch)
    budget = Budget.of(config.budget, max_epochs=config.max_epochs, steps_per_epoch=per_epoch)
    momentum: float | str | None = config.momentum
    if momentum is not None:
        with contextlib.suppress(ValueError):  # words of a momentum schedule
            momentum = float(momentum)
    return plan(config.schedule, budget, peak_value=config.peak_value, momentum=momentum)


def run_id(config: RunConfig, *, data_dir: str | None = None, devices: Devices = None) -> str:
    """What tells runs apart: a hash over the configuration and the data it is trained on."""
    identity = {**config.as_json(), "data_digest": task(config, data_dir=data_dir, devices=devices).data.digest}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def run(config: RunConfig, *, data_dir: str | None = None, devices: Devices = None) -> Generator[Status, None, Record]:
    """Trains and evaluates; yields how it is getting on and returns the record (`finish` takes it).

    A loss that is not finite ends the run: its record says before which update (total_steps: after the last), and has
    no errors and no digest.

    Raises:
      ValueError: before anything is trained, if the configuration cannot be run.
    """
    started, begun_at = time.perf_counter(), datetime.datetime.now(datetime.UTC)
    where: Any = {"data_dir": data_dir, "devices": devices}
    follow, shared = check(config, **where), task(config, **where)
    rates, momenta = (values(schedule, follow.total_steps) for schedule in (follow.lr, follow.momentum))
    shape: Any = shared.data.train.images.shape[1:]
    state = train.initial_state(shared.model, shared.optimizer, image_shape=shape, seed=config.seed)
    steps = train.updates(
        state,
        model=shared.model,
        optimizer=shared.optimizer,
        data=shared.train,
        batch_size=config.batch,
        seed=config.seed,
        rates=rates,
        momenta=momenta,
        weight_decay=config.weight_decay,
        pad=shared.data.pad if config.augment else 0,
        flip=shared.data.flip and config.augment,
    )
    metrics: list[train.Metrics] = []
    diverged_at = None
    begun = time.perf_counter()
    for state, arrived in _fetched(steps):  # noqa: B007  (the last state is evaluated)
        metrics += arrived
        losses = [float(m.loss) for m in arrived]
        bad = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
        if bad:
            diverged_at = len(metrics) - len(arrived) + bad[0]
            break
        rate = len(metrics) * config.batch / (time.perf_counter() - begun)
        yield Status(len(metrics), follow.total_steps, losses[-1], float(arrived[-1].rate), rate)
    jax.block_until_ready(state)
    trained = time.perf_counter() - begun
    evaluated = _evaluated(shared, state if diverged_at is None else None, config.batch)
    if diverged_at is None and not all(math.isfinite(evaluated[f"{part}_loss"] or 0.0) for part in ("test", "holdout")):
        diverged_at, evaluated = len(metrics), dict.fromkeys(evaluated)  # the last update did it: no loss saw it
    record: Record = {
        "run": run_id(config, **where),
        "label": registry.label(config.schedule),
        "config": config.as_json(),
        "plan": json.loads(follow.words),
        "seed": config.seed,
        "epochs": follow.budget.epochs,
        "steps_per_epoch": follow.budget.steps_per_epoch,
        "total_steps": follow.total_steps,
        "diverged_at": diverged_at,
        "train_loss": None if diverged_at is not None else float(np.mean([m.loss for m in metrics[-_FETCH:]])),
        **evaluated,
        "applied_rate_max_rel_error": _max_rel_error([m.rate for m in metrics], follow.lr.table()),
        "applied_momentum_max_rel_error": _max_rel_error([m.momentum for m in metrics], follow.momentum.table()),
        "images_per_second": round(len(metrics) * config.batch / trained, 1),
        "seconds": 0.0,
        "compiles": train.compiled_steps(),
        "data": _data_facts(shared.data),
        "device": {**machine.describe(), "run_devices": len(shared.train.images.sharding.device_set)},
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "started": begun_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    record["seconds"] = round(time.perf_counter() - started, 3)
    return record


def finish(steps: Generator[Any, None, Record]) -> Record:
    """Runs a generator to its end and gives what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _fetched(
    steps: Iterator[tuple[train.State, train.Metrics]],
) -> Iterator[tuple[train.State, list[train.Metrics]]]:
    """Metrics on the host, some at a time and some updates late, so that the device never waits for the host."""
    waiting: collections.deque[train.Metrics] = collections.deque()
    for state, metrics in steps:
        waiting.append(metrics)
        if len(waiting) == _IN_FLIGHT:
            yield state, jax.device_get([waiting.popleft() for _ in range(_FETCH)])
    if waiting:
        yield state, jax.device_get(list(waiting))


_evaluate_schedule = jax.jit(lambda schedule, steps: schedule(steps))


def values(schedule: Any, total_steps: int, block: int = 4096) -> np.ndarray:
    """The schedule as JAX computes it, float32 [total_steps]; blocks of one shape, so it compiles once per kind."""
    blocks = [
        _evaluate_schedule(schedule, np.arange(first, first + block, dtype=np.int32))
        for first in range(0, total_steps, block)
    ]
    return np.concatenate(jax.device_get(blocks))[:total_steps]


def _max_rel_error(applied: list[Any], table: np.ndarray) -> float:
    """Largest |applied - table| / |table|, after 1e-9 of the largest value has been allowed for zeros."""
    table = table[: len(applied)]
    off = np.maximum(np.abs(np.asarray(applied, np.float64) - table) - 1e-9 * np.abs(table).max(initial=0.0), 0.0)
    return float(
        np.max(np.divide(off, np.abs(table), out=np.where(off > 0, np.inf, 0.0), where=table != 0), initial=0.0)
    )


def _evaluated(shared: Task, state: train.State | None, batch_size: int) -> Record:
    names = ("test_error", "test_loss", "holdout_error", "holdout_loss", "params_digest")
    if state is None:
        return dict.fromkeys(names)
    count = len(shared.test.images.sharding.device_set)
    size = -(-max(batch_size, 256) // count) * count
    test = train.evaluate(state.variables, model=shared.model, data=shared.test, batch_size=size)
    held = (
        train.evaluate(state.variables, model=shared.model, data=shared.holdout, batch_size=size)
        if shared.holdout
        else None
    )
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
