"""Models by name: those of `names.MODELS`, or a Flax Linen module of the user's by its dotted path.

All are called as `model.apply(variables, images, train=...)` and return logits [batch, classes], or of a regression a
number for each example, or of a text logits [batch, length, classes]. Flax is imported when a model is built.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.training import batches, devices, names
from lrsched.training.foreign import Foreign
from lrsched.training.foreign import build as build_foreign
from lrsched.training.names import MODELS as MODELS

Model = Any  # a built-in Flax module, or a Foreign; hashable


def check(name: str, *, tabular: bool | None, text: bool | None = None) -> None:
    """Raises a ValueError if `name` is no model, or takes no rows of numbers where the data is `tabular`.

    Likewise if it takes no text where the data is text, or text alone where it is not.

    Args:
      tabular, text: None: that is not known yet.
    """
    texts = [each for each, model in MODELS.items() if model.text]
    if text and name not in texts and (name in MODELS or names.is_path(name)):
        raise ValueError(f"model must be {', '.join(texts)} for text, got {name!r}.")
    if text is False and name in texts:
        raise ValueError(f"model {name} must be given text, got data that is none.")
    if name not in MODELS:
        if not names.is_path(name):
            raise names.unknown("model", name, MODELS, also=" or a dotted path to a Flax module")
    elif tabular and not MODELS[name].tabular:
        fit = ", ".join(each for each, model in MODELS.items() if model.tabular)
        raise ValueError(f"model must be {fit} for tabular data, got {name!r}.")


def build(
    name: str,
    *,
    classes: int,
    image_shape: tuple[int, ...] | None = None,
    axis_name: str | None = None,
    plain: bool | None = None,
) -> Model:
    """The network called `name`.

    Args:
      name: one of MODELS; or the dotted path of a module class, or of a function that returns a module (`foreign`).
      classes: number of outputs; at least 2, or 0 for a regression: one output, without an axis of its own.
      image_shape: of one example: height, width, channels; or the number of features. A model of the user's is tried
        on it, abstractly; None: only when it is trained.
      axis_name: mapped axis over which BatchNorm shares its statistics (`train.AXIS`); None: each device its own.
      plain: Flax's own layers (`nets`); None: where JAX does not run on a CPU, or LRSCHED_PLAIN is set.
    Raises:
      ValueError: for an unknown name, too few classes, or a module that cannot be trained here.
    """
    check(name, tabular=None)
    if classes != 0 and classes < 2:
        raise ValueError(f"classes must be at least 2, or 0 for a regression, got {classes}.")
    if name not in MODELS:
        model = build_foreign(name, classes=classes, axis_name=axis_name)
        if image_shape is not None:
            model.check(tuple(image_shape))
        return model
    if plain is None:
        plain = devices.plain() or jax.default_backend() != "cpu"
    entry = MODELS[name]
    make = names.load("model", entry.make)
    return make(**entry.arguments, classes=classes, axis_name=axis_name, plain=plain)


def identity(model: Model, *, image_shape: tuple[int, ...]) -> dict[str, str] | None:
    """What a run's id holds of a model of the user's, beside its path; None for a built-in one.

    Returns:
      {"model": the path, "module": the module and its fields, "params": SHA-256 over the names, shapes and types of
      parameters and batch statistics}. The code of the module does not enter.
    """
    return model.identity(tuple(image_shape)) if isinstance(model, Foreign) else None


def is_foreign(model: Model) -> bool:
    """Whether the model is the user's own, whose code may change between two runs."""
    return isinstance(model, Foreign)


def dropout_rngs(model: Model, key: Any, step: Any) -> dict[str, Any]:
    """The argument `rngs` of `model.apply` in training, if the model may need one; under a mapped axis `train.AXIS`.

    Args:
      key: the run's (`batches.run_key`).
      step: of the update.
    """
    return {"rngs": {"dropout": batches.dropout_key(key, step)}} if isinstance(model, Foreign) else {}


def share_statistics(model: Model, axis_name: str) -> Model:
    """The model with BatchNorm statistics shared over a mapped axis, if it can; else as it is."""
    if isinstance(model, Foreign):
        return model.share_statistics(axis_name)
    return model.clone(axis_name=axis_name)


def initial_variables(model: Model, *, image_shape: tuple[int, ...], seed: int) -> dict[str, Any]:
    """Fresh {"params", "batch_stats"} as NumPy arrays; the same seed gives the same bits on every machine.

    A model without BatchNorm has the `batch_stats` {}.

    Of a built-in model kernels are He-normal (normal, standard deviation sqrt(2 / fan_in)), scales and variances 1,
    biases and means 0: the distribution of `model.init`, drawn by NumPy because compiling model.init takes XLA:CPU 12 s
    for ResNet-20. Of `gpt` see there: its method `deviation`. A model of the user's is initialised by its own
    `init`, with the key of the seed; there the bits are those of the platform.

    Args:
      image_shape: of one example: height, width, channels, height and width at least 4; or the number of features.
    Raises:
      ValueError: for a smaller image, or a module that cannot be trained here.
    """
    if isinstance(model, Foreign):
        return model.initial_variables(tuple(image_shape), seed)
    if len(image_shape) == 3 and min(image_shape[:2]) < 4:
        raise ValueError(f"image_shape must have height and width of at least 4, got {image_shape}.")
    rng = np.random.default_rng(seed)

    deviation = getattr(model, "deviation", _he_normal)

    def draw(path: tuple[Any, ...], shape: tuple[int, ...]) -> np.ndarray:
        name = path[-1].key
        if name in ("kernel", "embedding"):
            own = deviation(tuple(each.key for each in path), shape)
            return rng.standard_normal(shape, np.float32) * np.float32(own)
        return np.full(shape, {"scale": 1, "var": 1, "bias": 0, "mean": 0}[name], np.float32)

    shapes = _shapes(model, tuple(image_shape))
    drawn = jax.tree_util.tree_map_with_path(lambda path, leaf: draw(path, leaf.shape), shapes)
    return {"batch_stats": {}, **drawn}


def _he_normal(path: tuple[str, ...], shape: tuple[int, ...]) -> float:
    return math.sqrt(2 / math.prod(shape[:-1]))


@functools.cache
@devices.pin_settings()
def _shapes(model: Model, image_shape: tuple[int, ...]) -> dict[str, Any]:
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(functools.partial(model.init, train=False), batches.run_key(0), image)
