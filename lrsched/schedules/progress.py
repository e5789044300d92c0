"""How far a run is, as an exact fraction: integers as long as possible, floating point once, at the end.

`1 - float32(t / T)` has lost the last steps of a long run (0.1 % off at the last of 100,000), and `0.1 * 300` is
not 30. So progress is a pair of integers, and what remains is formed from integers as well. The same code serves
JAX (int32, float32) and NumPy (int64, float64: the table that runs are checked against).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.schedules.values import Number, check_number, check_steps, is_concrete, namespace, value_class

LARGEST_DENOMINATOR = 2**16
TRACED_DENOMINATOR = 57_600  # 2^8 3^2 5^2


@value_class
class Ratio:
    """A fraction of a budget, as two integers: a boundary at 1/3 of 300 steps is step 100 in every precision."""

    numerator: Number
    denominator: Number

    def _check(self) -> None:
        check_steps("denominator", self.denominator)
        check_steps("numerator", self.numerator, at_least=0)
        if is_concrete(self.denominator) and self.denominator > LARGEST_DENOMINATOR:
            raise ValueError(f"denominator must be at most {LARGEST_DENOMINATOR}, got {self.denominator}.")

    def _check_as(self, name: str) -> None:
        """Raises ValueError where a field that is a share of the budget exceeds it."""
        if is_concrete(self) and self.numerator > self.denominator:
            raise ValueError(f"{name} must be a fraction of the budget in [0, 1], got {float(self):g}.")

    def __float__(self) -> float:
        return int(self.numerator) / int(self.denominator)


def ratio(name: str, value: Number | Ratio) -> Ratio:
    """The fraction a float stands for: the nearest with a denominator up to 65,536, so 0.1 is 1/10 and 1/3 is 1/3.

    One below 1/65,536 is refused: nothing near it can be said.

    A traced float is the nearest multiple of 1/57,600 if it is one to float32's precision, as percents, thirds, ninths
    and halves to 256ths are; else the next one below, so that a boundary never comes late.
    """
    if isinstance(value, Ratio):
        return value
    if not is_concrete(value):
        scaled = jnp.asarray(value, jnp.float32) * TRACED_DENOMINATOR
        nearest = jnp.round(scaled)
        steps = jnp.where(jnp.abs(scaled - nearest) < 0.01, nearest, jnp.floor(scaled))
        return Ratio(steps.astype(jnp.int32), TRACED_DENOMINATOR)
    check_number(name, value, at_least=0.0)
    if value > 1:
        raise ValueError(f"{name} must be a fraction of the budget in [0, 1], got {value}.")
    exact = Fraction(float(value)).limit_denominator(LARGEST_DENOMINATOR)
    if abs(exact - Fraction(float(value))) > Fraction(float(value)) / 1000:
        raise ValueError(f"{name} must be 0 or at least 1/{LARGEST_DENOMINATOR} of the budget, got {value}: use steps.")
    return Ratio(exact.numerator, exact.denominator)


def multiply_divide(a: Any, b: Number, c: Any) -> Any:
    """floor(a * b / c) for 0 <= a <= c < 2**31 and 0 <= b <= 65,536, exact although a * b does not fit into 32 bits."""
    xp = namespace(a)
    if not np.issubdtype(a.dtype, np.integer):
        return xp.floor(a * b / c)
    if not any(isinstance(x, jax.Array) for x in (a, b, c)):
        return (np.int64(a) * b // c).astype(a.dtype)
    # float32 is off by less than 1/4 here, so the floor below is the answer or one less; a * b - guess * c is then in
    # [0, 2c), which uint32 holds even though the two products wrap around.
    a, b, c = (jnp.asarray(x, jnp.int32) for x in (a, b, c))
    guess = jnp.floor(a.astype(jnp.float32) / c.astype(jnp.float32) * b.astype(jnp.float32) - 0.25)
    guess = jnp.maximum(guess, 0.0).astype(jnp.int32)
    remainder = a.astype(jnp.uint32) * b.astype(jnp.uint32) - guess.astype(jnp.uint32) * c.astype(jnp.uint32)
    return guess + (remainder >= c.astype(jnp.uint32)).astype(jnp.int32)


def fraction_of(total_steps: Any, part: Ratio) -> Any:
    """floor(total_steps * part), exact for every total up to 2**31 - 1."""
    return times_fraction(total_steps, part.numerator, part.denominator)


def times_fraction(total_steps: Any, numerator: Any, denominator: Any) -> Any:
    """floor(total_steps * numerator / denominator), exact for numerators up to 65,536; of any shape."""
    xp = jnp if any(isinstance(x, jax.Array) for x in (total_steps, numerator, denominator)) else np
    numerator = xp.asarray(numerator, total_steps.dtype)
    denominator = xp.asarray(denominator, total_steps.dtype)
    whole = (total_steps // denominator) * numerator
    return whole + multiply_divide(total_steps % denominator, numerator, denominator)


class Progress(NamedTuple):
    """`done` of `total`, 0 <= done <= total, both integers (or both floats) of one array library."""

    done: Any
    total: Any

    @classmethod
    def of(cls, fraction: Any) -> Progress:
        """From a plain fraction in [0, 1]: NumPy float64 unless it is a JAX value."""
        fraction = fraction if isinstance(fraction, jax.Array) else np.asarray(fraction, np.float64)
        return cls(fraction, namespace(fraction).ones_like(fraction))

    def _share(self, part: Any) -> Any:
        real = jnp.float32 if namespace(self.done) is jnp else np.float64
        return part.astype(real) / self.total.astype(real)

    @property
    def z(self) -> Any:
        """done / total."""
        return self._share(self.done)

    @property
    def w(self) -> Any:
        """(total - done) / total: what remains, to full relative precision."""
        return self._share(self.total - self.done)

    @property
    def reversed(self) -> Progress:
        """The same way walked from its end."""
        return Progress(self.total - self.done, self.total)

    def parts(self, denominator: Number) -> Any:
        """floor(z * denominator): how many of so many equal parts are done."""
        return multiply_divide(self.done, denominator, self.total)

    def reached(self, part: Ratio) -> Any:
        """Whether z >= part, exactly: from step ceil(part * total) on."""
        known = all(map(is_concrete, (self.total, part.numerator, part.denominator)))
        if known and np.issubdtype(self.total.dtype, np.integer) and np.ndim(self.total) == 0:
            return self.done >= -(-int(self.total) * int(part.numerator) // int(part.denominator))  # one comparison
        return self.parts(part.denominator) >= part.numerator


def clamp(step: Any, total_steps: Number) -> tuple[Any, Any]:
    """(step held within the budget, budget), of one integer type; a budget of 0 counts as 1."""
    known = np if is_concrete(total_steps) else namespace(step)  # a known budget stays a constant of the program
    total = known.maximum(known.asarray(total_steps, step.dtype), 1)
    return namespace(step).clip(step, 0, total), total


def progress_at(step: Any, total_steps: Number) -> Progress:
    """Progress of `step` (any shape) in a budget, held at both ends; a budget of 0 counts as 1."""
    return Progress(*clamp(step, total_steps))


def sin_squared(share: Any) -> Any:
    """sin(pi share / 2)**2 = (1 - cos(pi share)) / 2, to full relative precision."""
    xp = namespace(share)
    return xp.square(xp.sin(share * share.dtype.type(np.pi / 2)))
