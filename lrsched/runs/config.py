"""Configurations, before anything is loaded: of a run, and of the run it was forked from."""

from __future__ import annotations

import dataclasses
import operator
from typing import Annotated, Any, Literal, Self

import tyro

from lrsched.schedules import language
from lrsched.training import data as datasets
from lrsched.training import names, optim

#: A schedule; on the command line it is text.
Words = Annotated[
    language.Words,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="STR",
        instance_from_str=lambda words: words[0],
        is_instance=lambda words: True,
        str_from_instance=lambda words: [str(words)],
    ),
]


_YOUNGER = {"image_size"}  # than recorded runs: left out where it is None, so that ids stay
_BATCH_SIZE = f"examples per update, over all devices; None: {names.describe_batch_size()}."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, and how, beside the schedule and its budget. These defaults are the only ones.

    Attributes:
      data: a built-in data set, a folder of images, or the dotted path of a function that returns a data set.
      image_size: for a folder of images, the height and width in pixels that all are brought to; None: they have one.
      model: a built-in model, or the dotted path of a Flax module.
      optimizer: all of them apply the momentum (adam: as b1); 0 gives the plain forms of sgd, adagrad and rmsprop.
      momentum: a number or a momentum schedule; None: the schedule's own (1cycle's), else 0.9.
      momentum_form: optax (rate outside the momentum) or caffe (rate inside).
      weight_decay: coefficient on every parameter.
      weight_decay_mode: coupled (L2 in the gradient) or decoupled; None: decoupled for adamw and schedule_free_adamw
        (which have no other), else coupled.
      batch_size: examples per update, over all devices; None: the data set's default.
      augment: the data set's usual alteration: padded random crop, and mirroring where a mirror image is one.
      sync_batch_norm: share BatchNorm's batch statistics over the devices.
    """

    data: Annotated[str, tyro.conf.arg(help=names.describe_data())] = "digits"
    image_size: int | None = None
    model: Annotated[str, tyro.conf.arg(help=names.describe_models())] = "resnet8"
    optimizer: optim.Name = "sgd"
    momentum: str | None = None
    momentum_form: optim.MomentumForm = "optax"
    weight_decay: float = 5e-4
    weight_decay_mode: optim.WeightDecayMode | None = None
    batch_size: Annotated[int | None, tyro.conf.arg(help=_BATCH_SIZE)] = None
    augment: bool = True
    sync_batch_norm: bool = False

    def written_out(self) -> Self:
        """The same configuration with every default filled in."""
        return dataclasses.replace(
            self,
            momentum=None if self.momentum is None else str(number_or_words(self.momentum)),
            weight_decay=float(self.weight_decay),
            weight_decay_mode=self.weight_decay_mode or optim.usual_weight_decay_mode(self.optimizer),
            batch_size=datasets.usual_batch_size(self.data) if self.batch_size is None else _whole(self, "batch_size"),
        )

    def recipe(self) -> dict[str, Any]:
        """These fields alone, as arguments of another configuration."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Recipe)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Recipe):
    """Everything that decides a run's numbers, and how often it is evaluated on the way.

    Attributes:
      schedule: as in rex, rex:d=0.9, linear@50-75, warmup:5%+cosine; JSON; from Python a schedule already made.
      peak_value: the highest learning rate; a schedule already made is scaled so that its highest rate becomes this.
      budget: a percentage of max_epochs ("5%"), epochs ("15ep" or "15"), updates ("200st") or examples ("50000ex").
      max_epochs: epochs of a budget of 100 %.
      holdout_fraction: part of the training set kept for choosing, never trained on.
      seed: of the initial weights, the order of the data and its alteration.
      evaluate_every: how often the error is measured on the way: updates (200), epochs (1ep), examples (50000ex) or a
        share of the run (10%); on held-out data where there is any, else on the test set. None: at the end alone.
    """

    schedule: Words = "rex"
    peak_value: float = 0.1
    budget: str = "100%"
    max_epochs: Annotated[float, tyro.conf.arg(aliases=["--epochs"])] = 8.0
    holdout_fraction: float = 0.0
    seed: int = 0
    evaluate_every: str | None = None

    def written_out(self) -> Self:
        """The same configuration with every default filled in.

        A budget stays as it was said: 100% and 8ep are two runs.

        Raises:
          ValueError: for a schedule that is refused.
        """
        return dataclasses.replace(
            super().written_out(),
            schedule=language.parse(self.schedule),
            peak_value=float(self.peak_value),
            max_epochs=float(self.max_epochs),
            holdout_fraction=float(self.holdout_fraction),
            seed=_whole(self, "seed"),
        )

    def as_json(self) -> dict[str, Any]:
        """Canonical JSON, which a run's id is made from: defaults filled in, numbers as floats."""
        full = self.written_out()
        fields = {field.name: getattr(full, field.name) for field in dataclasses.fields(full)}
        del fields["evaluate_every"]  # it decides no number of the run
        return {name: value for name, value in fields.items() if value is not None or name not in _YOUNGER}


#: The short runs of a search.
SHORT = RunConfig(schedule="onecycle", max_epochs=4.0, holdout_fraction=0.1)


def _whole(config: Recipe, name: str) -> int:
    """A field as Python's int, which JSON and a run's id know."""
    value = getattr(config, name)
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}.") from None


def number_or_words(momentum: str) -> float | str:
    """A float if the text is one, else the text."""
    try:
        return float(momentum)
    except ValueError:
        return momentum


@dataclasses.dataclass(frozen=True)
class Origin:
    """The run and update that another run was forked from.

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
