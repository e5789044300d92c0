"""Values: frozen, comparable data that JAX sees as a pytree, and the checks of what they hold."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")
Number = Any  # a Python, NumPy or JAX scalar; traced ones too
LARGEST_STEP = 2**31 - 1
LARGEST_NUMBER = float(np.finfo(np.float32).max)
VALUES: dict[str, type] = {}  # every class made by `value_class`, by name: what JSON may name


def static(**words: Any) -> Any:
    """A field that is structure: JAX does not see it as a number, and compiles anew for another value of it."""
    return dataclasses.field(metadata={"static": True}, **words)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, static))
def value_class(cls: type[T]) -> type[T]:
    """A frozen, comparable, hashable value whose fields, but for those made by `static()`, JAX sees as leaves.

    A new value is checked, whether a factory, an importer, JSON or a call of the class makes it: each field against its
    type, then by the class's own `_check`. Both raise ValueError and let traced numbers pass. What JAX rebuilds, and
    what `unchecked` returns, is not checked, for JAX may put anything into the leaves.

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
    """Checks the fields of a new value, then whatever its `_check` does; raises ValueError.

    Concrete scalars become Python's numbers: an array could be changed later, and has no hash.
    """
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        if (number := plain(held)) is not held:
            object.__setattr__(value, field.name, number)
        _check_field(type(value).__name__, field.name, str(field.type), number)
    if hasattr(value, "_check"):
        value._check()


def _check_field(owner: str, name: str, kind: str, value: Any) -> None:
    """Raises ValueError unless a field's value, and each part of a tuple, is of the kind that its annotation says."""
    kinds = set(kind.split(" | "))
    fits = True
    if kind == "Any":
        return
    if name == "total_steps":
        check_steps(name, value)
    elif kind.startswith("tuple["):
        inner = kind[len("tuple[") : -1]
        each = inner.removesuffix(", ...")
        wanted = inner.split(", ")
        fits = isinstance(value, tuple) and (each != inner or len(value) == len(wanted))
        for place, part in enumerate(value if fits else ()):
            _check_field(owner, name, each if each != inner else wanted[place], part)
    elif kinds == {"Number"}:
        check_number(name, value)
    elif isinstance(value, bool):
        fits = "bool" in kinds
    elif dataclasses.is_dataclass(value):
        fits = bool(kinds & _kinds(value))
        if fits and hasattr(value, "_check_as"):
            value._check_as(name)
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
    """Whether a number, or every number in a value, is known while JAX traces."""
    if not dataclasses.is_dataclass(x):
        return not isinstance(x, jax.core.Tracer)
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(x))


def is_number(x: Any) -> bool:
    """Whether it is a real number or an array of them: of Python, NumPy or JAX, traced or not; no bool, no Fraction."""
    if isinstance(x, int | float) and not hasattr(x, "dtype"):
        return not isinstance(x, bool)
    if not isinstance(x, np.number | np.ndarray | jax.Array):
        return False
    return bool(jnp.issubdtype(x.dtype, jnp.integer) or jnp.issubdtype(x.dtype, jnp.floating))


def plain(x: Any) -> Any:
    """A concrete scalar of NumPy or JAX as the Python number that it is, in a tuple too; anything else as it is."""
    if isinstance(x, tuple):
        return tuple(map(plain, x)) if any(isinstance(part, np.generic | np.ndarray | jax.Array) for part in x) else x
    if isinstance(x, np.generic | np.ndarray | jax.Array) and is_concrete(x) and is_number(x) and np.ndim(x) == 0:
        number = x.item()
        return number if isinstance(number, int) else float(number)  # of a longdouble it is one again
    return x


def _python(x: Any) -> Any:
    """The Python number that a concrete scalar is; None if it is none."""
    number = plain(x)
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None


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


def as_flag(name: str, value: Any) -> bool:
    """True or false, or the 1 or 0 that stands for it."""
    if not isinstance(value, int | np.bool_) or value not in (0, 1):
        raise ValueError(f"{name} must be true or false, got {value!r}.")
    return bool(value)


def check_count(name: str, value: Any) -> Any:
    """The Python integer of at least 1 that a value is, else ValueError; None, for what is not known, as it is."""
    number = None if value is None or not is_concrete(value) else _python(value)
    if value is not None and not (isinstance(number, int) and number >= 1):
        raise ValueError(f"{name} must be a whole number of at least 1, got {short(value)}.")
    return number


def check_steps(name: str, value: Number, *, at_least: int = 1) -> Any:
    """The Python integer that a concrete value is, in [at_least, 2**31 - 1], else ValueError; a traced one as it is."""
    if not is_concrete(value):
        return value
    number = _python(value)
    if not isinstance(number, int):
        raise ValueError(f"{name} must be a whole number of steps, got {short(value)}.")
    if not at_least <= number <= LARGEST_STEP:
        raise ValueError(f"{name} must be at least {at_least} and at most 2**31 - 1, got {short(value, str)}.")
    return number


def short(value: Any, written: Callable[[Any], str] = repr) -> str:
    """A value for a message: on one line, of 80 characters at most."""
    try:
        text = " ".join(written(value).split())
    except (RecursionError, ValueError):  # too deep, or an integer of more digits than Python writes
        text = f"a {type(value).__name__} too long to write"
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """The value if it is one of the names that are allowed; else raises ValueError, which says which one is near."""
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {short(value)}.{perhaps(value, allowed)}")
    return value


def perhaps(value: Any, allowed: Iterable[str]) -> str:
    """The sentence that names what is near among the allowed names; empty if nothing is."""
    near = difflib.get_close_matches(value, list(allowed), n=1) if isinstance(value, str) else []
    return f" Perhaps you meant {near[0]}?" if near else ""


def real(like: Any, value: Number) -> Any:
    """`value` in the floating type of `like`'s array library."""
    return jnp.asarray(value, jnp.float32) if namespace(like) is jnp else np.float64(value)


def as_tuple(given: Any) -> tuple[Any, ...]:
    """A list, an array or a tuple as a tuple; anything else as a tuple of one."""
    return tuple(given) if isinstance(given, tuple | list) or np.ndim(given) else (given,)
