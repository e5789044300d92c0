"""How far a run is, as an exact fraction: integers as long as possible, floating point once, at the end.

`1 - float32(t / T)` has lost the last steps of a long run (0.3 % off at the last of 100,000), and `0.1 * 300` is
not 30. So progress is a pair of integers, and what remains is formed from integers as well. The same code serves
JAX (int32, float32) and NumPy (int64, float64: the table that runs are checked against).
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")
Number = Any  # a Python, NumPy or JAX scalar; traced ones too
LARGEST_DENOMINATOR = 2**16
TRACED_DENOMINATOR = 57_600  # 2^8 3^2 5^2
LARGEST_STEP = 2**31 - 1
LARGEST_NUMBER = float(np.finfo(np.float32).max)
VALUES: dict[str, type] = {}  # every class made by `data`, by name: what JSON may name


def static(**words: Any) -> Any:
    """A field that is structure: JAX does not see it as a number, and compiles anew for another value of it."""
    return dataclasses.field(metadata={"static": True}, **words)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, static))
def data(cls: type[T]) -> type[T]:
    """A frozen, comparable, hashable value whose fields, but for those made by `static()`, JAX sees as leaves.

    Whoever makes one, a factory, an importer, JSON or a call of the class, has its fields checked: that each holds what
    its type says, then whatever the class's own `_check` looks at. Both raise ValueError, and let traced numbers pass.
    JAX puts anything it likes into the leaves, so what it rebuilds, and what `unchecked` makes, is not looked at.

    Not jax.tree_util.register_dataclass: in jax 0.10.2 the structures of two dataclasses with as many fields compare
    equal, and now and then jit took the program of one for the other's. Here the class is part of the structure.
    """
    if "__post_init__" not in vars(cls):
        cls.__post_init__ = _checked  # type: ignore[attr-defined]
    cls = dataclasses.dataclass(frozen=True)(cls)
    VALUES[cls.__name__] = cls
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    leaves = [field.name for field in fields if not field.metadata.get("static")]
    meta = [field.name for field in fields if field.metadata.get("static")]

    def flatten(value: T) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        children = [(jax.tree_util.GetAttrKey(name), getattr(value, name)) for name in leaves]
        return children, (cls.__name__, *(getattr(value, name) for name in meta))

    def unflatten(structure: tuple[Any, ...], children: Any) -> T:
        return raw(cls, {**dict(zip(leaves, children, strict=True)), **dict(zip(meta, structure[1:], strict=True))})

    jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)
    return cls


def unchecked(value: T, **changes: Any) -> T:
    """The value with other fields, which are not looked at: for numbers computed on the way, a length of 0 too."""
    return raw(type(value), {**vars(value), **changes})


def raw(cls: type[T], fields: Mapping[str, Any]) -> T:
    """A value of these fields, whatever they hold."""
    value = object.__new__(cls)
    for name, field in fields.items():
        object.__setattr__(value, name, field)
    return value


def _checked(value: Any) -> None:
    """What `data` runs after a value is made: raises ValueError for a field that holds what it cannot."""
    for field in dataclasses.fields(value):
        _check_field(type(value).__name__, field.name, str(field.type), getattr(value, field.name))
    if hasattr(value, "_check"):
        value._check()


def _check_field(owner: str, name: str, kind: str, value: Any) -> None:
    """Raises ValueError unless a field's value, and each part of a tuple, is of the kind that its annotation says."""
    kinds = set(kind.split(" | "))
    fits = True
    if name == "total_steps":
        check_steps(name, value)
    elif kind.startswith("tuple["):
        inner = kind[len("tuple[") : -1]
        each = inner.removesuffix(", ...")
        wanted = inner.split(", ")
        fits = isinstance(value, tuple) and (each != inner or len(value) == len(wanted))
        for place, part in enumerate(value if fits else ()):
            _check_field(owner, name, each if each != inner else wanted[place], part)
    elif isinstance(value, bool):
        fits = "bool" in kinds
    elif dataclasses.is_dataclass(value):
        fits = bool(kinds & _kinds(value))
        if isinstance(value, Ratio) and is_concrete(value) and value.numerator > value.denominator:
            raise ValueError(f"{name} must be a fraction of the budget in [0, 1], got {float(value):g}.")
    elif is_number(value) and kinds & {"Number", "Duration", "int"}:
        if kinds & {"Duration", "Ratio"}:
            check_steps(name, value, at_least=0)
        elif "int" in kinds:
            fits = isinstance(value, int)
        else:
            check_number(name, value)
    else:
        fits = bool(kinds & _kinds(value))
    if not fits:
        raise ValueError(f"{name} of {owner} must be {kind}, got {short(value)}.")


def _kinds(value: Any) -> set[str]:
    """The names under which an annotation may ask for a value: its classes, and what it can do."""
    names = {cls.__name__ for cls in type(value).__mro__} - {"object"}
    if isinstance(value, type) or "Schedule" in names:
        return names
    if hasattr(value, "complement"):
        return names | {"Profile"}
    return names | ({"Sampling"} if callable(value) else {"Duration"} if names & {"Ratio", "Rest"} else set())


def namespace(x: Any) -> types.ModuleType:
    """jax.numpy for JAX values (traced or not), numpy for everything else."""
    return jnp if isinstance(x, jax.Array) else np


def is_concrete(x: Any) -> bool:
    """Whether a number, or both numbers of a Ratio, are known while JAX traces."""
    parts = (x.numerator, x.denominator) if isinstance(x, Ratio) else (x,)
    return not any(isinstance(part, jax.core.Tracer) for part in parts)


def is_number(x: Any) -> bool:
    """Whether it is a real number or an array of them: of Python, NumPy or JAX, traced or not; no bool, no Fraction."""
    if isinstance(x, int | float) and not hasattr(x, "dtype"):
        return not isinstance(x, bool)
    if not isinstance(x, np.number | np.ndarray | jax.Array):
        return False
    return bool(jnp.issubdtype(x.dtype, jnp.integer) or jnp.issubdtype(x.dtype, jnp.floating))


def _python(x: Any) -> Any:
    """The Python number that a concrete scalar is; None if it is none."""
    if isinstance(x, int | float) and not isinstance(x, bool) and not hasattr(x, "dtype"):
        return x
    return x.item() if is_number(x) and np.ndim(x) == 0 else None


def check_number(name: str, value: Number, *, at_least: float = -math.inf, below: float = math.inf) -> None:
    """Raises ValueError unless a concrete scalar is in [at_least, below) and float32 holds it; traced values pass."""
    if not is_concrete(value):
        return
    number = _python(value)
    if number is None:
        raise ValueError(f"{name} must be one number, got {short(value)}.")
    if not (at_least <= number < below and abs(number) < math.inf):
        limits = f"at least {at_least:g}" if at_least > -math.inf else "finite"
        limits += f" and below {below:g}" if below < math.inf else ""
        raise ValueError(f"{name} must be {limits}, got {short(value, str)}.")
    if abs(number) > LARGEST_NUMBER:
        raise ValueError(f"{name} must be a number that float32 holds, at most 3.4e38, got {short(value, str)}.")
    if isinstance(number, int) and abs(number) > LARGEST_STEP:
        raise ValueError(f"{name} must be written with a point or exponent beyond 2**31 - 1, got {value}.")


def check_steps(name: str, value: Number, *, at_least: int = 1) -> None:
    """Raises ValueError unless a concrete value is an integer in [at_least, 2**31 - 1]; traced values pass."""
    if not is_concrete(value):
        return
    number = _python(value)
    if not isinstance(number, int):
        raise ValueError(f"{name} must be a whole number of steps, got {short(value)}.")
    if not at_least <= number <= LARGEST_STEP:
        raise ValueError(f"{name} must be at least {at_least} and at most 2**31 - 1, got {short(value, str)}.")


def short(value: Any, written: Callable[[Any], str] = repr) -> str:
    """A value for a message: on one line, of 80 characters at most."""
    try:
        text = " ".join(written(value).split())
    except (RecursionError, ValueError):  # too deep, or an integer of more digits than Python writes
        text = f"a {type(value).__name__} too long to write"
    return text if len(text) <= 80 else f"{text[:77]}..."


@data
class Ratio:
    """A fraction of a budget, as two integers: a boundary at 1/3 of 300 steps is step 100 in every precision."""

    numerator: Number
    denominator: Number

    def _check(self) -> None:
        check_steps("denominator", self.denominator)
        check_steps("numerator", self.numerator, at_least=0)
        if is_concrete(self.denominator) and self.denominator > LARGEST_DENOMINATOR:
            raise ValueError(f"denominator must be at most {LARGEST_DENOMINATOR}, got {self.denominator}.")

    def __float__(self) -> float:
        return int(self.numerator) / int(self.denominator)


def ratio(name: str, value: Number | Ratio) -> Ratio:
    """The fraction a float stands for: the nearest with a denominator up to 65,536, so 0.1 is 1/10 and 1/3 is 1/3.

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


def progress(step: Any, total_steps: Number) -> Progress:
    """Progress of `step` (any shape) in a budget, held at both ends; a budget of 0 counts as 1."""
    return Progress(*clamp(step, total_steps))
