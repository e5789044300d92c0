"""Places and lengths within a budget, in steps or as fractions of it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from lrsched.schedules.compose import Duration, Rest, duration
from lrsched.schedules.families.subsampled import steps_in_words
from lrsched.schedules.progress import Number, Ratio, fraction_of, is_concrete, namespace


def position(name: str, value: Number | str | Ratio, *, above_zero: bool = False) -> Duration:
    """A place or a length within the budget: steps (500, "500st") or a fraction (0.1, "10%").

    Raises:
      ValueError: if it is neither, or "rest", or a concrete 0 although it must be above.
    """
    value = steps_in_words(name, value)
    if isinstance(value, Fraction):
        raise ValueError(f"{name} must be a whole number of steps, got {float(value):g}.")
    found = duration(value)
    if isinstance(found, Rest):
        raise ValueError(f"{name} must be steps or a fraction of the budget, got 'rest'.")
    size = found.numerator if isinstance(found, Ratio) else found
    if above_zero and is_concrete(size) and size == 0:
        raise ValueError(f"{name} must be at least 1 step, got {value!r}.")
    return found


def resolve(total: Any, where: Duration) -> Any:
    """A position in steps, in the integer type of `total`; a fraction of the budget rounds down."""
    return fraction_of(total, where) if isinstance(where, Ratio) else namespace(total).asarray(where, total.dtype)


def clamped(step: Any, total_steps: Number) -> tuple[Any, Any]:
    """`step` held within the budget, and the budget in its integer type."""
    total = namespace(step).asarray(total_steps, step.dtype)
    return namespace(step).clip(step, 0, total), total
