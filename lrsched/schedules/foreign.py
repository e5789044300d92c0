"""Schedules from outside: factories by their dotted path, and functions such as Optax's schedules.

A factory is called as ours are, factory(peak_value, *, total_steps, **arguments), and returns a schedule of this
library or any function step -> rate. Such a function is evaluated by JAX, in float32, and held outside its budget.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.schedules import sampling
from lrsched.schedules.core import Schedule
from lrsched.schedules.progress import clamp
from lrsched.schedules.values import Number, is_concrete, namespace, short, static, value_class


@value_class
class Foreign(Schedule):
    """What the factory at `path` makes of a peak, a budget and arguments, which are JSON; it is called when needed."""

    path: str = static()
    arguments: str = static()
    peak_value: Number
    total_steps: Number

    def _check(self) -> None:
        import_factory(self.path)
        try:
            given = json.loads(self.arguments)
        except (TypeError, ValueError):
            given = None
        if not isinstance(given, dict):
            raise ValueError(f"arguments must be a JSON object, got {short(self.arguments)}.")

    def _check_budget(self, total_steps: int) -> None:
        if is_concrete(self.peak_value):
            self.at_length(total_steps)

    def at_length(self, total_steps: Any) -> Callable[[Any], Any]:
        """The factory's schedule for a budget.

        Raises:
          ValueError: if the factory refuses its arguments, or what it returns is no schedule.
        """
        given: dict[str, Any] = {
            key: tuple(each) if isinstance(each, list) else each for key, each in json.loads(self.arguments).items()
        }
        if "sampling" in given:
            given["sampling"] = sampling.named(given["sampling"])
        total = int(total_steps) if is_concrete(total_steps) else total_steps
        try:
            made = import_factory(self.path)(self.peak_value, total_steps=total, **given)
        except ValueError:
            raise
        except (Exception, SystemExit) as error:
            raise ValueError(f"schedule {self.path} must take its arguments, got {_one_line(error)}.") from error
        if not callable(made) or isinstance(made, type):
            raise ValueError(f"schedule {self.path} must return a schedule, step -> rate, got {short(made)}.")
        if isinstance(made, Schedule) and is_concrete(total) and int(made.total_steps) != total:
            raise ValueError(
                f"schedule {self.path} must return a schedule of total_steps = {total}, got {made.total_steps}."
            )
        return made

    def _value(self, step: Any) -> Any:
        total = self.total_steps  # a part of a sequence may be rounded to none, of which no rate is asked
        made = self.at_length(max(int(total), 1) if is_concrete(total) else total)
        return made._value(step) if isinstance(made, Schedule) else _evaluate(made, clamp(step, self.total_steps)[0])

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        made = self.at_length(self.total_steps)
        return made.cycle_ends if isinstance(made, Schedule) else (int(self.total_steps),)


@value_class
class Function(Schedule):
    """A function step -> rate, such as Optax's schedules are. It does not scale with the budget, and is no JSON."""

    function: Any = static()
    total_steps: Number

    def _value(self, step: Any) -> Any:
        return _evaluate(self.function, clamp(step, self.total_steps)[0])


def contains_foreign(schedule: Schedule, kinds: Any = Foreign | Function) -> bool:
    """Whether a schedule calls somebody else's code, which may need to know the budget while JAX traces it.

    Args:
      kinds: of these alone: `Function` is what JSON cannot hold.
    """
    return any(isinstance(each, kinds) for each in jax.tree.leaves(schedule, is_leaf=lambda x: isinstance(x, kinds)))


def _evaluate(function: Callable[[Any], Any], step: Any) -> Any:
    """The function at steps of any shape, in the array library of the steps; each step is a scalar to it."""

    def one(step: Any) -> jax.Array:
        return jnp.reshape(jnp.asarray(function(step), jnp.float32), ())

    flat = jnp.asarray(step, jnp.int32).ravel()
    try:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as its author has it
            rates = jax.vmap(one)(flat) if flat.size else jnp.zeros(0, jnp.float32)
    except Exception as error:
        name = getattr(function, "__qualname__", type(function).__name__)
        raise ValueError(f"schedule {name} must map a step to a rate under jax.jit, got {_one_line(error)}.") from error
    rates = rates.reshape(np.shape(step))
    return np.asarray(rates, np.float64) if namespace(step) is np else rates


def is_path(name: Any) -> bool:
    """Whether a schedule's name is a dotted path."""
    return isinstance(name, str) and "." in name and all(part.isidentifier() for part in name.split("."))


@functools.cache
def import_factory(path: str) -> Callable[..., Any]:
    """The factory at a dotted path.

    Raises:
      ValueError: if it cannot be imported, or is no factory of schedules.
    """
    module, _, name = path.rpartition(".")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # whatever somebody else's module raises
        raise ValueError(f"schedule {short(path, str)} must be importable, got {_one_line(error)}.") from error
    if not callable(factory):
        raise ValueError(f"schedule {path} must be a function that returns a schedule, got {short(factory)}.")
    try:
        taken = [name for name, parameter in inspect.signature(factory).parameters.items() if is_named(parameter)]
    except (TypeError, ValueError):
        taken = []
    if "total_steps" not in taken[1:]:
        raise ValueError(
            f"schedule {path} must be a function of (peak_value, *, total_steps, ...), got ({', '.join(taken)})."
        )
    return factory


def is_named(parameter: inspect.Parameter) -> bool:
    """Whether an argument has a name of its own, unlike *args and **kwargs."""
    return parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)


def _one_line(error: BaseException) -> str:
    """An exception in one line."""
    return short(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".rstrip("."), str)
