"""Reads pickles of plain arrays without calling anything that the file names."""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np


def load(content: bytes) -> dict[str, Any]:
    """The dictionary of a pickle, of Python 2 or 3, of numbers, text, lists and arrays of whole numbers; keys as str.

    Raises:
      ValueError: for anything else. Nothing is imported or called for it.
    """
    try:
        found = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        return {text(key): value.value if isinstance(value, _Array) else value for key, value in found.items()}
    except Exception as error:  # damaged pickles raise nearly everything
        raise ValueError(
            f"a pickle must be a dictionary of plain arrays, got {type(error).__name__}: {str(error).rstrip('.')}."
        ) from error


def text(value: object) -> str:
    """A key or a name, which Python 2 pickled as bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class _Unpickler(pickle.Unpickler):
    """Even NumPy's own functions are not called with what a pickle says: the stand-ins below build the arrays."""

    def find_class(self, module: str, name: str) -> Any:
        package = module.partition(".")[0]
        if package not in ("numpy", "_codecs") or name not in _STAND_INS:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return _STAND_INS[name]


class _Type:
    """For numpy.dtype."""

    def __init__(self, code: object, *_: object) -> None:
        self.code, self.order = text(code), "|"
        if self.code not in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"):
            raise pickle.UnpicklingError(f"the type {self.code} is not allowed")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = text(state[1])

    def array(self, content: Any, shape: Any, order: Any) -> np.ndarray:
        return np.frombuffer(content, np.dtype(self.order + self.code)).reshape(shape, order=order)


class _Array:
    """For numpy.ndarray."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, content = state
        self.value = dtype.array(content, shape, "F" if by_columns else "C")


def _from_buffer(content: Any, dtype: _Type, shape: Any, order: Any, axes: Any = None) -> _Array:
    made = _Array()
    if text(order) == "K" and axes is not None:
        made.value = dtype.array(content, shape, "C").transpose(axes)
    else:
        made.value = dtype.array(content, shape, text(order))
    return made


def _encode(characters: str, *_: object) -> bytes:
    return characters.encode("latin-1")  # how Python 3 pickles bytes for Python 2


_STAND_INS: dict[str, Callable[..., Any] | None] = {
    "dtype": _Type,
    "ndarray": None,  # an argument of the next one
    "_reconstruct": lambda *_: _Array(),
    "_frombuffer": _from_buffer,
    "scalar": lambda dtype, content: int(dtype.array(content, (), "C")),
    "encode": _encode,
}
