"""Arguments of other libraries, checked under the names that their user knows.

A length there is always in steps: 0.5 is half a step and never a share of a budget, "10%" is no length at all.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import jax
import numpy as np

from lrsched.schedules.core import Schedule
from lrsched.schedules.progress import LARGEST_DENOMINATOR
from lrsched.schedules.values import LARGEST_NUMBER, LARGEST_STEP, Number, as_flag, is_concrete

Importer = Callable[..., Schedule]
SHORTEST = 2**-10  # of a step


def call(library: str, known: Mapping[str, Importer], name: str, arguments: Mapping[str, Any]) -> Schedule:
    """Calls the importer of that name; arguments that it cannot take raise a ValueError of one line."""
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{library} schedule must be one of {', '.join(known)}, got {name!r}.")
    try:
        return known[name](**arguments)
    except TypeError as error:
        reason = str(error).partition("\n")[0].split("() ")[-1].rstrip(".")
        raise ValueError(f"{name}: {reason}.") from error


def refuse(name: str, value: Any, allowed: Any) -> None:
    """Raises ValueError if an argument without a counterpart here differs from the one value that has."""
    if not (value is allowed or (np.ndim(value) == 0 and value == allowed)):
        raise ValueError(f"{name} must be {allowed}, for there is no counterpart to others, got {value!r}.")


def plain(value: Any) -> Any:
    """The Python number of a scalar that is an array or a tensor; anything else, traced values too, as it is."""
    if is_concrete(value) and not isinstance(value, str) and hasattr(value, "item") and np.ndim(value) == 0:
        return value.item()
    return value


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def number(
    name: str, value: Any, *, at_least: float = -math.inf, above: float = -math.inf, at_most: float = math.inf
) -> Any:
    """A real number within limits; a traced one passes.

    Raises:
      ValueError: if it is something else.
    """
    value = plain(value)
    if not is_concrete(value):
        return value
    if not _is_real(value):
        raise ValueError(f"{name} must be one number, got {value!r}.")
    if not (math.isfinite(value) and value >= at_least and value > above and value <= at_most):
        limits = [
            f"at least {at_least:g}" if at_least > -math.inf else "",
            f"above {above:g}" if above > -math.inf else "",
            f"at most {at_most:g}" if at_most < math.inf else "",
        ]
        raise ValueError(f"{name} must be {' and '.join(filter(None, limits)) or 'finite'}, got {value!r}.")
    return value if isinstance(value, int | float) else float(value)


def length(name: str, value: Any, *, above: float = -math.inf, at_least: float = -math.inf) -> Any:
    """A length in steps: an int if it is whole (3125.0 is 3125), else a Fraction; a traced integer passes.

    Raises:
      ValueError: if it is no number of steps, or not within limits, or beyond 32 bits.
    """
    value = plain(value)
    if not is_concrete(value):
        if isinstance(value, jax.Array) and np.issubdtype(value.dtype, np.integer):
            return value
        raise ValueError(f"{name} must be an integer number of steps where it is traced, got {value}.")
    if not _is_real(value):
        raise ValueError(f"{name} must be a number of steps, got {value!r}.")
    number(name, value, at_least=at_least, above=above)
    if abs(value) > LARGEST_STEP:
        raise ValueError(f"{name} must be at most 2**31 - 1 steps, got {value!r}.")
    exact = Fraction(value) if isinstance(value, numbers.Rational) else Fraction(float(value))
    if exact.denominator == 1:
        return int(exact)
    if abs(exact) < SHORTEST:
        raise ValueError(f"{name} must be at least 1/1024 of a step, got {value!r}.")
    decimal = exact.limit_denominator(LARGEST_DENOMINATOR)
    return decimal if float(decimal) == float(exact) else exact


def whole(name: str, value: Any, *, at_least: int = 0) -> Any:
    """A length that must be a whole number of steps; 30.0 is."""
    found = length(name, value, at_least=at_least)
    if isinstance(found, Fraction):
        raise ValueError(f"{name} must be a whole number of steps, got {plain(value)!r}.")
    return found


def integer(name: str, value: Any, *, at_least: int = 1) -> Any:
    """A whole number that is written as one: 30.0 is not."""
    if isinstance(plain(value), float):
        raise ValueError(f"{name} must be an integer, got {plain(value)!r}.")
    return whole(name, value, at_least=at_least)


def known(name: str, value: Any) -> Any:
    """A number that decides the form of a schedule, and so cannot be traced."""
    if not is_concrete(value):
        raise ValueError(f"{name} must be known when the schedule is made, got a traced number.")
    return value


def flag(name: str, value: Any) -> bool:
    """`values.as_flag`, of a scalar that is an array or a tensor too."""
    return as_flag(name, plain(value))


def listed(name: str, value: Any) -> list[Any]:
    """The entries of a list, a tuple or an array.

    Raises:
      ValueError: if it is something else.
    """
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__") or not is_concrete(value):
        raise ValueError(f"{name} must be a list, got {value!r}.")
    return list(value)


def keywords(name: str, value: Any) -> dict[str, Any]:
    """The entries of a mapping of names to values; of None, none.

    Raises:
      ValueError: if it is something else.
    """
    if not isinstance(value, Mapping | None):
        raise ValueError(f"{name} must map names to values, got {value!r}.")
    return dict(value or {})


def check_known(given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raises TypeError, as a call would, for arguments that the foreign class does not have."""
    for name in given:
        if name not in names:
            raise TypeError(f"got an unexpected keyword argument {name!r}")


def largest(name: str, log_of_largest: float, given: Number) -> None:
    """Raises ValueError if a factor leads to rates that float32 does not hold."""
    if log_of_largest > math.log(LARGEST_NUMBER):
        raise ValueError(f"{name} must give rates that float32 holds, got {given!r}.")
