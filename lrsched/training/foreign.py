"""A Flax Linen module of the user's, made to look like one of ours.

A path names a module class, or a function that returns a module. It is called with the number of outputs (1 for a
regression), as `classes`, as `num_classes`, or as its first argument, whichever it has, and with `axis_name` if it
takes that. The module is called with float32 images [batch, h, w, c] or rows [batch, features], normalised, and with
`train` if it takes that; it returns float32 logits [batch, outputs]. Its collections are `params` and `batch_stats`,
of float32; in training it is given a key for dropout.
"""

import dataclasses
import functools
import hashlib
import inspect
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.training import batches, devices, names

_COLLECTIONS = ("params", "batch_stats")
_TRIED = 2  # examples on which a module is tried: an axis of 1 would hide a mistake


@dataclasses.dataclass(frozen=True)
class Foreign:
    """A module of the user's. Equal paths and arguments are equal models: a module is imported once.

    Attributes:
      path: of its class or function.
      outputs: 0: a regression.
      axis_name: None: BatchNorm's statistics are each device's own, or the module has no say in it.
    """

    path: str
    outputs: int
    axis_name: str | None
    module: Any = dataclasses.field(compare=False)

    def apply(self, variables: Mapping[str, Any], images: Any, *, train: bool, **options: Any) -> Any:
        """`module.apply`; the output of a regression loses its axis of length 1."""
        found = self.module.apply(variables, images, **options, **_training_flag(self.module, train=train))
        if "mutable" not in options:
            return self._squeeze(found)
        outputs, changed = found
        return self._squeeze(outputs), {"batch_stats": variables.get("batch_stats", {}), **changed}

    def _squeeze(self, outputs: Any) -> Any:
        return outputs[:, 0] if self.outputs == 0 and outputs.shape[1:] == (1,) else outputs

    def check(self, image_shape: tuple[int, ...]) -> None:
        """Raises a ValueError if the module cannot be trained on such examples; nothing is computed for it."""
        shapes, alone = _shapes(self, image_shape), _alone(self)
        images = jax.ShapeDtypeStruct((_TRIED, *image_shape), jnp.float32)
        for train in (False, True):
            options: dict[str, Any] = (
                {"mutable": ["batch_stats"], "rngs": {"dropout": batches.run_key(0)}} if train else {}
            )
            apply = functools.partial(alone.apply, train=train, **options)
            with devices.pin_settings():
                outputs = _attempt(self.path, image_shape, lambda: jax.eval_shape(apply, shapes, images))  # noqa: B023
            logits = outputs[0] if train else outputs
            wanted = (_TRIED, self.outputs) if self.outputs else (_TRIED,)
            if getattr(logits, "shape", None) != wanted or logits.dtype != jnp.float32:
                got = f"{logits.dtype} of {logits.shape}" if hasattr(logits, "shape") else f"a {type(logits).__name__}"
                raise ValueError(
                    f"model {self.path} must return float32 logits of shape {wanted} for {_TRIED} examples of shape "
                    f"{image_shape}, got {got}."
                )

    def identity(self, image_shape: tuple[int, ...]) -> dict[str, str]:
        """See `models.identity`."""
        leaves = jax.tree_util.tree_leaves_with_path(_shapes(self, image_shape))
        lines = sorted(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}\n" for path, leaf in leaves)
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        return {"model": self.path, "module": describe(self.module), "params": digest}

    def share_statistics(self, axis_name: str) -> "Foreign":
        """The model with an `axis_name`, if it takes one."""
        return build(self.path, classes=self.outputs, axis_name=axis_name)

    def initial_variables(self, image_shape: tuple[int, ...], seed: int) -> dict[str, Any]:
        """What `module.init` draws with the key of the seed, as NumPy arrays."""
        _shapes(self, image_shape)  # whose errors are clear
        with devices.pin_settings():
            drawn = jax.device_get(_init(self, image_shape)(batches.run_key(seed)))
        return {"batch_stats": {}, **drawn}


def build(path: str, *, classes: int, axis_name: str | None) -> Foreign:
    """Imports and calls the class or function at a path.

    Raises:
      ValueError: if it cannot be imported or called, or gives no Flax module.
    """
    import flax.linen as nn

    factory = names.load("model", path)
    if isinstance(factory, nn.Module) or not callable(factory):
        kind = f"a {type(factory).__name__}"
        raise ValueError(f"model must be a Flax module class or a function that returns a module, got {kind}: {path}.")
    arguments = _arguments(path, factory, outputs=classes or 1, axis_name=axis_name)
    try:
        module = factory(*arguments.args, **arguments.kwargs)
    except (Exception, SystemExit) as error:  # of the user's code
        raise ValueError(f"model {path} must return a Flax module, got {_reason(error)}.") from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"model {path} must return a Flax module, got a {type(module).__name__}.")
    _check_flag(path, module)
    shared = axis_name if "axis_name" in arguments.arguments else None
    return Foreign(path, classes, shared, module)


def describe(module: Any) -> str:
    """The module and its fields, without the addresses that differ from process to process."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(module).split()))


def _arguments(path: str, factory: Any, *, outputs: int, axis_name: str | None) -> inspect.BoundArguments:
    """How the factory is called."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError) as error:
        raise ValueError(f"model {path} must have a signature, got {_reason(error)}.") from error
    takes = signature.parameters
    keywords: dict[str, Any] = {"axis_name": axis_name} if "axis_name" in takes else {}
    own = [each for name, each in takes.items() if name not in ("axis_name", "parent", "name")]
    for name in ("classes", "num_classes"):
        if name in takes:
            return signature.bind_partial(**keywords, **{name: outputs})
    if own and own[0].kind in (own[0].POSITIONAL_ONLY, own[0].POSITIONAL_OR_KEYWORD):
        return signature.bind_partial(outputs, **keywords)
    if any(each.kind is each.VAR_KEYWORD for each in own):
        return signature.bind_partial(**keywords, classes=outputs)
    raise ValueError(f"model {path} must take the number of outputs as `classes`, got the signature {signature}.")


def _training_flag(module: Any, *, train: bool) -> dict[str, bool]:
    """The argument `train`, if the module takes it."""
    takes = inspect.signature(type(module).__call__).parameters.values()
    return {"train": train} if any(each.name == "train" or each.kind is each.VAR_KEYWORD for each in takes) else {}


def _check_flag(path: str, module: Any) -> None:
    """Refuses a module that is told by another name whether it is trained: it would never be."""
    other = ("training", "is_training", "deterministic", "use_running_average")
    found = [name for name in other if name in inspect.signature(type(module).__call__).parameters]
    if found and not _training_flag(module, train=False):
        raise ValueError(f"model {path} must be told whether it is trained by `train`, got a module with {found[0]}.")


@functools.cache
def _alone(model: Foreign) -> Foreign:
    """The model without a mapped axis, which there is none of outside an update."""
    return model if model.axis_name is None else build(model.path, classes=model.outputs, axis_name=None)


@functools.cache
def _init(model: Foreign, image_shape: tuple[int, ...]) -> Any:
    """key -> variables, compiled: one program for all seeds."""
    module, images = _alone(model).module, np.zeros((_TRIED, *image_shape), np.float32)

    def init(key: Any) -> Any:
        keys = {"params": key, "dropout": batches.dropout_key(key, 0, device=0)}
        return module.init(keys, jnp.asarray(images), **_training_flag(module, train=False))

    return jax.jit(init)


@functools.cache
def _shapes(model: Foreign, image_shape: tuple[int, ...]) -> dict[str, Any]:
    """Shapes and types of the variables, checked."""
    with devices.pin_settings():
        found = _attempt(model.path, image_shape, lambda: jax.eval_shape(_init(model, image_shape), batches.run_key(0)))
    if other := sorted(set(found) - set(_COLLECTIONS)):
        allowed = " and ".join(_COLLECTIONS)
        raise ValueError(f"model {model.path} must have no variables but {allowed}, got {', '.join(other)}.")
    for key, leaf in jax.tree_util.tree_leaves_with_path(found):
        if leaf.dtype != jnp.float32:
            name = jax.tree_util.keystr(key, simple=True, separator="/")
            raise ValueError(f"model {model.path} must have float32 variables, got {leaf.dtype} in {name}.")
    if jax.tree.leaves(found.get("batch_stats")) and not _training_flag(model.module, train=False):
        raise ValueError(f"model {model.path} must take `train`, as it has batch statistics, got a module without it.")
    if not jax.tree.leaves(found.get("params")):
        raise ValueError(f"model {model.path} must have parameters, got none.")
    return {"batch_stats": {}, **found}


def _attempt(path: str, image_shape: tuple[int, ...], function: Any) -> Any:
    try:
        return function()
    except (Exception, SystemExit) as error:  # of the user's code
        raise ValueError(
            f"model {path} must take examples of shape {image_shape} as float32, got {_reason(error)}."
        ) from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.'):.300}"
