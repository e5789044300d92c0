"""A configuration made ready: its data on the devices, model and optimiser (`Task`), and all that follows (`Run`)."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from lrsched import files
from lrsched.runs import records
from lrsched.runs.config import Origin, Recipe, RunConfig, number_or_words
from lrsched.schedules import language, plans
from lrsched.schedules.durations import Budget, read, steps
from lrsched.training import batches, hosts, models, optim, placement, predict, train
from lrsched.training import data as datasets
from lrsched.training.train import Data, Evaluation, Metrics, State

Devices = tuple[jax.Device, ...] | None  # that a run is spread over; None: all of them
_LEAST_EVALUATED = 256  # examples at once: fewer leave a device idle


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A network and the data it is trained on, beside any schedule; `load` makes it.

    Attributes:
      recipe: every default written out.
      data: as it was read.
      data_dir: folder it was read from; None: the default one.
      train, holdout, test: the splits on the devices.
    """

    recipe: Recipe
    data: datasets.Dataset
    data_dir: str | None
    train: Data
    holdout: Data | None
    test: Data
    model: models.Model
    optimizer: optim.Optimizer

    @property
    def batch_size(self) -> int:
        """Examples per update, over all devices."""
        assert self.recipe.batch_size is not None
        return self.recipe.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Updates in one pass over the training set."""
        return batches.steps_per_epoch(len(self.data.train), self.batch_size)

    @property
    def devices(self) -> tuple[jax.Device, ...]:
        """The devices that share each batch."""
        return placement.devices_of(self.train)

    @property
    def augmentation(self) -> dict[str, Any]:
        """How training alters the images: the arguments `pad` and `flip`."""
        return {"pad": self.data.pad, "flip": self.data.flip} if self.recipe.augment else {"pad": 0, "flip": False}

    @property
    def foreign(self) -> dict[str, str] | None:
        """What tells a model of the user's from others of the same path; None for a built-in one."""
        return models.identity(self.model, image_shape=self.data.train.images.shape[1:])

    def initial_state(self, seed: int) -> State:
        """The state before the first update."""
        shape = self.data.train.images[0].shape
        return train.initial_state(self.model, self.optimizer, image_shape=shape, seed=seed)

    def updates(
        self, state: State, *, seed: int, rates: np.ndarray, momenta: np.ndarray
    ) -> Iterator[tuple[State, Metrics]]:
        """Makes updates state.step .. at these rates and momenta."""
        return train.updates(
            state,
            model=self.model,
            optimizer=self.optimizer,
            data=self.train,
            batch_size=self.batch_size,
            seed=seed,
            rates=rates,
            momenta=momenta,
            weight_decay=self.recipe.weight_decay,
            **self.augmentation,
        )

    def variables(self, state: State) -> dict[str, Any]:
        """What predicts: the state's weights and batch statistics; for a schedule-free optimiser, of its average.

        The average was never trained, so its batch statistics are estimated from at most 50 training batches.
        """
        params = optim.prediction_params(self.optimizer, state.opt_state, state.params)
        variables = {**state.variables, "params": params}
        if params is state.params or not jax.tree.leaves(state.batch_stats):
            return variables
        count = len(self.devices)
        size = max(self.batch_size // count, 1) * count
        statistics = predict.estimate_statistics(
            variables, model=self.model, data=self.train, batch_size=size, batches=50, **self.augmentation
        )
        return {**variables, "batch_stats": statistics}

    def evaluate(self, variables: dict[str, Any], data: Data) -> Evaluation:
        """Loss and accuracy over a split."""
        return train.evaluate(variables, model=self.model, data=data, batch_size=self.evaluated_at_once)

    @property
    def evaluated_at_once(self) -> int:
        """Examples that are evaluated at once, over all devices."""
        return self.fill_devices(max(self.batch_size, _LEAST_EVALUATED))

    def fill_devices(self, examples: int) -> int:
        """So many examples or a few more, of which each device has as many."""
        count = len(self.devices)
        return -(-examples // count) * count


class _OnDevices(NamedTuple):
    """A data set on its devices."""

    data: datasets.Dataset
    train: Data
    holdout: Data | None
    test: Data


@functools.lru_cache(maxsize=8)  # one machine's accelerators
def _put(
    name: str,
    data_dir: str | None,
    holdout_fraction: float,
    image_size: int | None,
    devices: tuple[jax.Device, ...],
    stamp: Any,
) -> _OnDevices:
    """`stamp` is that of what is read: what has changed since is read again."""
    dataset = datasets.load(name, data_dir=data_dir, holdout_fraction=holdout_fraction, image_size=image_size)

    def put(split: datasets.Split) -> Data:
        return train.put(split.images, split.labels, mean=dataset.mean, std=dataset.std, devices=devices)

    holdout = put(dataset.holdout) if dataset.holdout else None
    return _OnDevices(dataset, put(dataset.train), holdout, put(dataset.test))


def _stamp(name: str, data_dir: str | None) -> tuple[str, tuple[int, ...]] | None:
    """Where data lie that may change while this process lives, and when they and the folders in them last did.

    A folder changes when a file comes or goes. Of a function of the user's nothing is known.
    """
    if name in datasets.SOURCES:
        place = None if datasets.SOURCES[name].embedded else datasets.data_folder(data_dir) / name
    else:
        known = datasets.is_folder(name) or datasets.is_text_file(name)
        place = files.local_folder("data", name) if known else None
    if place is None:
        return None
    within = _folders(place)
    folders = [place, *within, *(each for split in within if split.name in _SPLITS for each in _folders(split))]
    return str(place.absolute()), tuple(each.stat().st_mtime_ns for each in folders if each.exists())


_SPLITS = ("train", "test", "val", "valid", "validation")  # of a folder of images


def _folders(place: pathlib.Path) -> list[pathlib.Path]:
    """The folders in one, in order; none of what is no folder."""
    if not place.is_dir():
        return []
    with os.scandir(place) as entries:  # which tells folders apart without a look at each file
        names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    return [place / name for name in sorted(names)]


def load(
    recipe: Recipe, *, holdout_fraction: float = 0.0, data_dir: str | None = None, devices: Devices = None
) -> Task:
    """Loads the data, puts it on the devices and builds the model; the last few data sets stay there.

    Raises:
      ValueError: with one line that says what is allowed, for anything in the recipe that cannot be trained.
    """
    recipe = recipe.written_out()
    if not (math.isfinite(recipe.weight_decay) and recipe.weight_decay >= 0):
        raise ValueError(f"weight_decay must be at least 0, got {recipe.weight_decay:g}.")
    optimizer = optim.Optimizer(recipe.optimizer, recipe.momentum_form, recipe.weight_decay_mode)
    datasets.check_name(recipe.data)
    tabular, text = datasets.is_tabular(recipe.data), datasets.is_text(recipe.data)
    models.check(recipe.model, tabular=tabular, text=text)  # before the data is read
    devices = devices or hosts.devices()
    there = _put(recipe.data, data_dir, holdout_fraction, recipe.image_size, devices, _stamp(recipe.data, data_dir))
    axis_name = train.AXIS if recipe.sync_batch_norm else None
    models.check(recipe.model, tabular=there.data.tabular, text=there.data.text)
    shape = there.data.train.images.shape[1:]
    model = models.build(recipe.model, classes=there.data.classes, image_shape=shape, axis_name=axis_name)
    if recipe.sync_batch_norm and models.is_foreign(model) and getattr(model, "axis_name", None) is None:
        raise ValueError(f"model {recipe.model} must take axis_name for sync_batch_norm, got one that does not.")
    task = Task(recipe, there.data, data_dir, there.train, there.holdout, there.test, model, optimizer)
    examples, count = len(there.data.train), len(devices)
    if not 1 <= task.batch_size <= examples:
        raise ValueError(f"batch_size must be from 1 to {examples} (the training examples), got {task.batch_size}.")
    if task.batch_size % count:
        raise ValueError(f"batch_size must be a multiple of the {count} devices, got {task.batch_size}.")
    return task


def devices_to_evaluate(recipe: Recipe) -> Devices:
    """All devices here, or one, where a batch does not divide over them: nothing is to be trained."""
    batch_size = recipe.written_out().batch_size
    assert batch_size is not None
    return hosts.devices() if batch_size % len(hosts.devices()) == 0 else tuple(jax.local_devices()[:1])


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A configuration that can be run, and all that follows from it; `resolve` makes it.

    Attributes:
      config: what was asked for, every default written out.
      plan: rate and momentum of each update.
      task: data on its devices, model and optimiser.
      origin: the run that this one was forked from, if any.
      foreign: what tells the user's own code apart (model, schedule) beside its path; None: all of it is built in.
      label: the schedule in its shortest words.
      evaluate_every: updates between two evaluations on the way; None: there are none.
    """

    config: RunConfig
    plan: plans.Plan
    task: Task
    origin: Origin | None
    foreign: dict[str, str] | None
    label: str
    evaluate_every: int | None = None

    @functools.cached_property
    def id(self) -> str:
        """A hash over all that decides the run's numbers."""
        return records.identify(
            self.config.as_json(),
            data_digest=self.task.data.digest,
            origin=dataclasses.asdict(self.origin) if self.origin else None,
            devices=len(self.task.devices),
            foreign=self.foreign,
        )

    @property
    def total_steps(self) -> int:
        """Updates in all, those of the run it was forked from included."""
        return self.offset + self.plan.total_steps

    @property
    def offset(self) -> int:
        """The update at which the run's own plan begins."""
        return self.origin.offset if self.origin else 0

    @property
    def cycle_ends(self) -> list[int]:
        """Updates in all at the end of each cycle of the run's own plan."""
        return [self.offset + end for end in self.plan.cycle_ends]

    def forked_from(self, origin: Origin | None) -> Run:
        """The same run, but forked from another one."""
        return dataclasses.replace(self, origin=origin)

    def initial_state(self) -> State:
        """The state before the first update."""
        return self.task.initial_state(self.config.seed)

    def describe(self) -> str:
        """The run in a few words, for progress and messages."""
        config, more = self.config, ""
        if config.weight_decay != RunConfig.weight_decay:
            more += f", weight decay {config.weight_decay:g}"
        if config.momentum is not None:
            more += f", momentum {config.momentum}"
        length = read(config.budget)
        unit = "" if length is None or length.unit else f" epoch{'s' * (length.number != 1)}"
        return f"{self.label} at {config.budget}{unit}, rate {config.peak_value:g}{more}, seed {config.seed}"


def resolve(config: RunConfig, *, data_dir: str | None = None, devices: Devices = None) -> Run:
    """Makes a configuration ready to run. Everything after it is given the result; nothing checks or parses again.

    Raises:
      ValueError: with one line that says what is allowed, for anything in the configuration that cannot be run.
    """
    config = config.written_out()
    if not (math.isfinite(config.max_epochs) and config.max_epochs > 0):
        raise ValueError(f"max_epochs must be above 0, got {config.max_epochs:g}.")
    if not 0 <= config.seed < 2**31:
        raise ValueError(f"seed must be from 0 to 2**31 - 1, got {config.seed}.")
    task = load(config, holdout_fraction=config.holdout_fraction, data_dir=data_dir, devices=devices)
    sizes = {"steps_per_epoch": task.steps_per_epoch, "batch_size": task.batch_size}
    budget = Budget.of(config.budget, max_epochs=config.max_epochs, **sizes)
    momentum = None if config.momentum is None else number_or_words(config.momentum)
    plan = plans.plan(
        config.schedule, budget, peak_value=config.peak_value, momentum=momentum, batch_size=task.batch_size
    )
    every = None
    if config.evaluate_every is not None:
        whole: dict[str, Any] = {**sizes, "total_steps": plan.total_steps}
        every = steps(config.evaluate_every, name="evaluate_every", **whole)
    return Run(config, plan, task, None, _foreign(plan, task), language.label(config.schedule), every)


def _foreign(plan: plans.Plan, task: Task) -> dict[str, str] | None:
    """Of a model of the user's, its module and shapes; of a schedule, its numbers: its code may change."""
    foreign = dict(task.foreign or {})
    if language.is_foreign(json.loads(plan.words)):
        table = plan.table()
        foreign["schedule"] = hashlib.sha256(np.stack([table["lr"], table["momentum"]]).tobytes()).hexdigest()
    return foreign or None
