"""The rates of a run as one array, whatever they come from, and the sums that bounds and laws are made of.

Every formula here is written once for either array library: float64 of NumPy for rates that are known, JAX (float32
unless it is set otherwise) for those that are traced.
"""

from __future__ import annotations

import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def namespace(x: Any) -> types.ModuleType:
    """jax.numpy for JAX values (traced or not), numpy for everything else."""
    return jnp if isinstance(x, jax.Array) else np


def as_rates(schedule: Any, total_steps: int | None = None) -> Any:
    """The rate of every update, in order.

    Args:
      schedule: a schedule of this library; any function of a step, such as Optax's; or an array of rates.
      total_steps: how many updates, for a function that has no budget of its own. Of a schedule whose budget is traced
        it is the largest that the budget may be: rates from the budget on are 0 then, which no bound counts. An array
        and a schedule with a known budget take none.
    Returns:
      float64 NumPy array [total_steps]; a JAX array if the schedule holds traced numbers or the array is JAX's.
    Raises:
      ValueError: for no rates, rates that are all 0, negative or not finite; for a number of updates that is missing.
    """
    rates = _of_function(schedule, total_steps) if callable(schedule) else _of_array(schedule, total_steps)
    if rates.ndim != 1 or not len(rates):
        raise ValueError(f"rates must be one row of at least one number, got the shape {rates.shape}.")
    if not isinstance(rates, jax.core.Tracer):
        known = np.asarray(rates)  # under jit even the least of known numbers is traced
        low, high = float(known.min()), float(known.max())
        if not 0 <= low <= high < np.inf:
            raise ValueError(f"rates must be finite and at least 0, got {low if low < 0 else high:g}.")
        if not high > 0:
            raise ValueError(f"rates must not all be 0, got {len(rates)} zeros.")
    return rates


def _of_array(given: Any, total_steps: int | None) -> Any:
    """An array, or whatever NumPy makes one of."""
    if total_steps is not None:
        raise ValueError(f"total_steps must be left out where rates are given as an array, got {total_steps}.")
    if isinstance(given, jax.Array):
        return given if jnp.issubdtype(given.dtype, jnp.floating) else given.astype(jnp.float32)
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"a schedule must be a function of a step, or rates, got {given!r:.80}.") from None


def _of_function(schedule: Any, total_steps: int | None) -> Any:
    """The table of a schedule that knows its budget; else the function's values at steps 0, 1, ..."""
    budget = getattr(schedule, "total_steps", None)
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(schedule))
    if budget is not None and not isinstance(budget, jax.core.Tracer):
        if total_steps is not None:
            raise ValueError(f"total_steps must be left out for a budget that is known, got {total_steps}.")
        if hasattr(schedule, "table") and not traced:
            return np.asarray(schedule.table())
        total_steps, budget = int(budget), None
    if total_steps is None:
        raise ValueError("total_steps must be given for a schedule whose budget is not known, got none.")
    steps = jnp.arange(whole("total_steps", total_steps), dtype=jnp.int32)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as its author has it
        values = jax.vmap(lambda step: jnp.reshape(jnp.asarray(schedule(step), jnp.float32), ()))(steps)
    if budget is not None:
        values = jnp.where(steps < budget, values, jnp.zeros_like(values))
    return values if isinstance(values, jax.core.Tracer) else np.asarray(values, np.float64)


def whole(name: str, value: Any) -> int:
    """A whole number of at least 1, in Python or as an array of no axes.

    Raises:
      ValueError: if it is something else.
    """
    known = hasattr(value, "item") and np.ndim(value) == 0 and not isinstance(value, jax.core.Tracer)
    number = value.item() if known else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r:.80}.")
    return number


def sum_to(x: Any) -> Any:
    """Sums from the first entry to each."""
    return namespace(x).cumsum(x)


def sum_from(x: Any) -> Any:
    """Sums from each entry to the last, added up from there: differences of sums from the front would cancel."""
    xp = namespace(x)
    return xp.flip(xp.cumsum(xp.flip(x)))


def ratio(top: Any, bottom: Any) -> Any:
    """top / bottom, and 0 where bottom is 0, with gradients that are finite there."""
    xp = namespace(bottom)
    there = bottom > 0
    return xp.where(there, top / xp.where(there, bottom, xp.ones_like(bottom)), xp.zeros_like(bottom))
