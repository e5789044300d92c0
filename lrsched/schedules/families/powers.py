"""Logarithms and powers of factors, in float32 as precise as the factor."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.schedules.values import LARGEST_NUMBER, Number, check_number, is_concrete, namespace, real

LOW_BITS = 0xFFF  # 12 of the 24 bits of a float32


def logarithm(name: str, value: Number) -> Any:
    """The natural logarithm of a number above 0, in float64 where it is concrete.

    Raises:
      ValueError: if a concrete value is not above 0.
    """
    if not is_concrete(value):
        return jnp.log(value)
    check_number(name, value)
    if value <= 0:
        raise ValueError(f"{name} must be above 0, got {value}.")
    return math.log(float(value))


def power(log_factor: Number, count: Any) -> Any:
    """exp(log_factor * count) for whole counts of at least 0.

    In float32 log_factor * count would be rounded, and e**-80 be off by 8e-6. So both are cut into parts of 12 bits,
    whose products are exact, and the powers of the parts multiplied.
    """
    if namespace(count) is np:
        return np.exp(np.float64(log_factor) * count)
    if is_concrete(log_factor) and np.ndim(log_factor) == 0 and log_factor == 0:
        return jnp.ones(count.shape, jnp.float32)
    high, low = _halves(log_factor)
    value = jnp.exp(low * real(count, count))
    for bits in (LOW_BITS, LOW_BITS << 12, 0x7F << 24):
        value = value * jnp.exp(high * real(count, count & bits))
    return value


def _halves(value: Number) -> tuple[Any, Any]:
    """A number as its first 12 bits and what is left; the gradient goes through what is left."""
    if isinstance(value, jax.Array):
        single = value.astype(jnp.float32)
        bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(single), jnp.int32) & ~LOW_BITS
        high = jax.lax.bitcast_convert_type(bits, jnp.float32)
        return high, single - high
    plain = np.float32((np.float32(value).view(np.int32) & ~np.int32(LOW_BITS)).view(np.float32))
    return plain, np.float32(float(value) - float(plain))


def check_largest(name: str, log_factor: float, log_of_largest: float) -> None:
    """Raises ValueError if the largest rate that a factor leads to is none of float32's; both by their logarithms."""
    if not log_of_largest <= math.log(LARGEST_NUMBER):
        factor = math.exp(log_factor) if log_factor < 700.0 else math.inf
        raise ValueError(f"{name} must give rates that float32 holds, got {factor:g}.")
