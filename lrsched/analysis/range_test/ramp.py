"""The rates of a range test, and checks of the numbers that ask for one."""

from __future__ import annotations

import math
import operator

import numpy as np

KINDS = ("exponential", "linear")
MOST_STEPS = 1_000_000  # of a ramp: more were asked for by mistake
FLOAT32 = np.finfo(np.float32)


def make_ramp(init_value: float, end_value: float, *, steps: int, kind: str = "exponential") -> np.ndarray:
    """The rates of a range test: init_value at k = 0, end_value at k = steps - 1, both exact.

    exponential: init_value * (end_value / init_value)^(k / (steps - 1));
    linear: init_value + (end_value - init_value) * k / (steps - 1).

    Args:
      init_value: rate of the first update; at least 1.2e-38 (what is less, XLA takes for 0), or 0 for a linear ramp.
      end_value: rate of the last update; above init_value in float32 and at most 3.4e38, the largest it holds.
      steps: updates, from 2 to 1,000,000.
      kind: "exponential", as fastai has it, or "linear", as Smith has it.
    Returns:
      ascending float64. fastai divides k by steps, so its last rate falls short of end_value by one factor.
    Raises:
      ValueError: if an argument is outside these bounds.
    Example:
      >>> make_ramp(1e-3, 1e1, steps=5).tolist()
      [0.001, 0.01, 0.1, 1.0, 10.0]

    Source:
      Smith, arXiv:1506.01186, section 3.3 (linear); fastai `lr_find` (exponential).
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    if steps < 2:
        raise ValueError(f"steps must be at least 2, for both ends are included, got {steps}.")
    if steps > MOST_STEPS:
        raise ValueError(f"steps must be at most {MOST_STEPS:,}, got {steps}.")
    low, high, smallest, largest = init_value, end_value, float(FLOAT32.tiny), float(FLOAT32.max)
    if not (0 <= low < high < math.inf) or (kind == "exponential" and low == 0):
        least = "0 < init_value" if kind == "exponential" else "0 <= init_value"
        raise ValueError(f"rates must have {least} < end_value, finite, got {init_value} and {end_value}.")
    if 0 < low < smallest:
        raise ValueError(f"init_value must be at least {smallest:.3g}, for float32 holds no less, got {low}.")
    if high > largest:
        raise ValueError(f"end_value must be at most {largest:.3g}, for float32 holds no more, got {high}.")
    if high < smallest or not np.float32(low) < np.float32(high):
        raise ValueError(f"end_value must be above init_value in float32, got {low} and {high}.")
    return (np.geomspace if kind == "exponential" else np.linspace)(low, high, steps, dtype=np.float64)


def check_rate(name: str, rate: float) -> None:
    """Raises ValueError for a rate that float32 cannot hold, or rounds to 0."""
    smallest, largest = float(FLOAT32.tiny), float(FLOAT32.max)
    if not smallest <= rate <= largest:
        raise ValueError(f"{name} must be from {smallest:.3g} to {largest:.3g}, got {rate:g}.")


def as_int(name: str, value: object) -> int:
    """The value as an int, or a ValueError that names it.

    Example:
      >>> as_int("steps", 100)
      100

    """
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r:.80}.") from None


def as_float(name: str, value: object) -> float:
    """The value as a float, or a ValueError that names it."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"{name} must be a number, got {' '.join(repr(value).split())[:80]}.") from None
