"""What a run is: its configuration, and the plan, data and model it stands for."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import jax
import numpy as np
import tyro

from lrsched.runs import records
from lrsched.schedules import registry
from lrsched.schedules.budget import Budget
from lrsched.schedules.plan import Plan, plan
from lrsched.training import batches, models, optim, predict, train
from lrsched.training import data as datasets

#: Words of a schedule; on the command line they are text.
Words = Annotated[
    registry.Words,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="STR",
        instance_from_str=lambda words: words[0],
        is_instance=lambda words: True,
        str_from_instance=lambda words: [str(words)],
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, and how, beside the schedule and its budget. These defaults are the only ones.

    Attributes:
      data: digits, cifar10, cifar100, mnist, fashion_mnist or svhn_cropped; to predict numbers: diabetes or boston.
      model: resnet8, resnet20, resnet32, resnet38, resnet44, resnet56, resnet110, cnn or mlp (the one for numbers).
      optimizer: sgd, nesterov, adagrad, rmsprop, adam, adamw, schedule_free_sgd or schedule_free_adamw; all of them
        apply the momentum (adam: as b1), and 0 gives the plain forms of sgd, adagrad and rmsprop.
      momentum: a number or the words of a momentum schedule; None: the schedule's own (1cycle's), else 0.9.
      momentum_form: optax (rate outside the momentum) or caffe (rate inside).
      weight_decay: coefficient on every parameter.
      weight_decay_mode: coupled (L2 in the gradient) or decoupled; None: decoupled for adamw and schedule_free_adamw
        (which have no other), else coupled.
      batch_size: examples per update, over all devices; None: 32 for digits, diabetes and boston, else 128.
      augment: the data set's usual alteration: padded random crop, and mirroring where a mirror image is one.
      sync_batch_norm: share BatchNorm's batch statistics over the devices.
    """

    data: str = "digits"
    model: str = "resnet8"
    optimizer: optim.Name = "sgd"
    momentum: str | None = None
    momentum_form: optim.MomentumForm = "optax"
    weight_decay: float = 5e-4
    weight_decay_mode: optim.WeightDecayMode | None = None
    batch_size: int | None = None
    augment: bool = True
    sync_batch_norm: bool = False

    def recipe(self) -> dict[str, Any]:
        """These fields alone, as words for another configuration."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Recipe)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Recipe):
    """Everything that decides a run's numbers.

    Attributes:
      schedule: words, as in rex, rex:d=0.9, linear@50-75, warmup:5%+cosine; JSON; from Python a schedule already made.
      peak_value: the highest learning rate; a schedule already made is scaled so that its highest rate becomes this.
      budget: a percentage of max_epochs ("5%"), or epochs ("15ep" or "15").
      max_epochs: epochs of a budget of 100 %.
      holdout_fraction: part of the training set kept for choosing, never trained on.
      seed: of the initial weights, the order of the data and its alteration.
    """

    schedule: Words = "rex"
    peak_value: float = 0.1
    budget: str = "100%"
    max_epochs: Annotated[float, tyro.conf.arg(aliases=["--epochs"])] = 8.0
    holdout_fraction: float = 0.0
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """What a run is known by: numbers, the schedule and what is None written out.

        A budget stays as it was said: 100% and 8ep are two runs.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        numbers = {name: float(fields[name]) for name in ("peak_value", "max_epochs", "weight_decay")}
        momentum = None if self.momentum is None else str(_number(self.momentum))
        resolved = {"schedule": registry.parse(self.schedule), "batch_size": self.batch, "momentum": momentum}
        decay_mode = optim.Optimizer(self.optimizer, self.momentum_form, self.weight_decay_mode).weight_decay_mode
        return {**fields, **numbers, **resolved, "weight_decay_mode": decay_mode}

    @property
    def batch(self) -> int:
        """Examples per update."""
        if self.batch_size is None:
            return 32 if self.data in ("digits", *datasets.TABULAR) else 128
        return self.batch_size


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a run left another one.

    Attributes:
      run: the other run's id.
      step: updates that were made there.
      digest: of the parameters there.
      verb: extend (this run's plan is entered at its update `step`) or branch (this run's plan begins at `step`).
    """

    run: str
    step: int
    digest: str
    verb: Literal["extend", "branch"]

    @property
    def offset(self) -> int:
        """The update at which this run's plan begins."""
        return self.step if self.verb == "branch" else 0


class Task(NamedTuple):
    """What runs of the same data and model share: the data on the devices, and what is compiled once."""

    data: datasets.Dataset
    train: train.Data
    holdout: train.Data | None
    test: train.Data
    model: models.Model
    optimizer: optim.Optimizer


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
    models.check(model, tabular=name in datasets.TABULAR)  # before the data is read
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
    momentum = None if config.momentum is None else _number(config.momentum)
    return plan(config.schedule, budget, peak_value=config.peak_value, momentum=momentum)


def _number(words: str) -> float | str:
    """The number that the words are, or else the words."""
    try:
        return float(words)
    except ValueError:
        return words


def initial_state(config: RunConfig, *, data_dir: str | None = None, devices: Devices = None) -> train.State:
    """The state before the first update."""
    return _initial_state(task(config, data_dir=data_dir, devices=devices), config.seed)


def _initial_state(shared: Task, seed: int) -> train.State:
    shape = shared.data.train.images[0].shape
    return train.initial_state(shared.model, shared.optimizer, image_shape=shape, seed=seed)


def updates(
    config: RunConfig, shared: Task, state: train.State, *, rates: np.ndarray, momenta: np.ndarray
) -> Iterator[tuple[train.State, train.Metrics]]:
    """Makes updates state.step .. of a configuration at these rates and momenta, on the devices of its task."""
    return train.updates(
        state,
        model=shared.model,
        optimizer=shared.optimizer,
        data=shared.train,
        batch_size=config.batch,
        seed=config.seed,
        rates=rates,
        momenta=momenta,
        weight_decay=config.weight_decay,
        **alteration(config, shared),
    )


def alteration(config: RunConfig, shared: Task) -> dict[str, Any]:
    """How training alters the images: the arguments `pad` and `flip`."""
    return {"pad": shared.data.pad, "flip": shared.data.flip} if config.augment else {"pad": 0, "flip": False}


def variables(config: RunConfig, shared: Task, state: train.State) -> dict[str, Any]:
    """What predicts: the weights and batch statistics of the state; of a schedule-free optimiser those of its average.

    The average was never trained, so its batch statistics are estimated, from 50 training batches at most.
    """
    params = optim.evaluated_params(shared.optimizer, state.opt_state, state.params)
    found = {**state.variables, "params": params}
    if params is state.params or not jax.tree.leaves(state.batch_stats):
        return found
    count = train.device_count(shared.train)
    size = max(config.batch // count, 1) * count
    words: dict[str, Any] = {"model": shared.model, "data": shared.train, "batch_size": size, "batches": 50}
    statistics = predict.reestimated(found, **words, **alteration(config, shared))
    return {**found, "batch_stats": statistics}


def evaluate(shared: Task, variables: dict[str, Any], data: train.Data, *, batch_size: int = 256) -> train.Evaluation:
    """Loss and accuracy over a split, at least 256 examples at once."""
    count = train.device_count(data)
    size = -(-max(batch_size, 256) // count) * count
    return train.evaluate(variables, model=shared.model, data=data, batch_size=size)


def updates_of(words: str, follow: Plan, name: str, *, also: str = "") -> int:
    """The updates that "200" (so many) or "3ep" (of so many epochs of a plan) stands for.

    Raises:
      ValueError: for other words, and for fewer than one.
    """
    found = re.fullmatch(r"([0-9]+)|([0-9]+(?:\.[0-9]+)?)ep", words)
    steps = 0
    if found:
        steps = int(found[1]) if found[1] else round(float(found[2]) * follow.budget.steps_per_epoch)
    if steps < 1:
        raise ValueError(f"{name} must be updates (200){',' if also else ' or'} epochs (1ep){also}, got {words!r}.")
    return steps


def run_id(
    config: RunConfig, *, data_dir: str | None = None, devices: Devices = None, origin: Origin | None = None
) -> str:
    """What tells runs apart: a hash over the configuration, the data it is trained on, and the run it left."""
    return _identify(config, task(config, data_dir=data_dir, devices=devices), origin)


def _identify(config: RunConfig, shared: Task, origin: Origin | None) -> str:
    return records.identify(
        config.as_json(),
        data_digest=shared.data.digest,
        origin=dataclasses.asdict(origin) if origin else None,
        devices=train.device_count(shared.train),
    )


@dataclasses.dataclass(frozen=True)
class Run:
    """A configuration that can be run, and what follows from it; `resolve` makes it.

    Attributes:
      config: what was asked for.
      plan: rate and momentum of each update.
      task: data on its devices, model and optimiser.
      origin: the run that this one leaves, if any.
      id: what tells runs apart.
    """

    config: RunConfig
    plan: Plan
    task: Task
    origin: Origin | None
    id: str

    @property
    def total_steps(self) -> int:
        """Updates in all, those of the run that was left included."""
        return self.offset + self.plan.total_steps

    @property
    def offset(self) -> int:
        """The update at which the run's own plan begins."""
        return self.origin.offset if self.origin else 0

    def leaving(self, origin: Origin | None) -> Run:
        """The same run, but for the run that it leaves."""
        return dataclasses.replace(self, origin=origin, id=_identify(self.config, self.task, origin))

    def initial_state(self) -> train.State:
        """The state before the first update."""
        return _initial_state(self.task, self.config.seed)


def resolve(config: RunConfig, *, data_dir: str | None = None, devices: Devices = None) -> Run:
    """A configuration as a run.

    Raises:
      ValueError: with one line that says what is allowed, for anything in the configuration that cannot be run.
    """
    follow = check(config, data_dir=data_dir, devices=devices)
    shared = task(config, data_dir=data_dir, devices=devices)
    return Run(config, follow, shared, None, _identify(config, shared, None))
