"""A trace: the rates that a run logged, and how exactly they were written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ROUNDING = 1e-6  # of the highest rate: what float32 makes of one formula in two orders
LONGEST = 100_000_000  # the last step of a trace that is read
NUMBER = re.compile(r"\s*[+-]?([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?\s*")


class Trace(NamedTuple):
    """Logged rates.

    Attributes:
      steps: as logged, ascending, int64 [rates].
      rates: float64 [rates].
      tolerance: by how much each may differ and be the same: half of the last digit it was written with, and
        beside it 1e-6 of the highest rate. float64 [rates].
      first_step: what the run calls its first update, 0 or 1; None: the trace does not say.
      total_steps: the budget that the log names; None: it names none.
      written: how the rates were written, for people.
    """

    steps: np.ndarray
    rates: np.ndarray
    tolerance: np.ndarray
    first_step: int | None = None
    total_steps: int | None = None
    written: str = ""

    def updates(self, first_step: int) -> np.ndarray:
        """The updates, counted from 0, that the rates are of, if the run calls its first one so."""
        return self.steps - first_step


def make_trace(
    steps: object,
    rates: object,
    texts: Sequence[str] | None = None,
    *,
    first_step: int | None = None,
    total_steps: int | None = None,
) -> Trace:
    """A trace, checked.

    Args:
      steps: of each rate; None: one rate for each update.
      rates: as logged.
      texts: the rates as they were written, which says how exact they are; None: as exact as float32.
      first_step: what the run calls its first update; None: 0 or 1 where the first step is one of them, else unknown.
      total_steps: the budget, if the log names it.
    Raises:
      ValueError: if there are no rates, one is no number of at least 0, or the steps do not ascend from 0.
    """
    found = _numbers("rates", rates)
    if found.ndim != 1:
        raise ValueError(f"rates must be a row of numbers, got shape {found.shape}.")
    if not len(found):
        raise ValueError("trace must hold one rate at least, got none.")
    at = np.arange(len(found)) if steps is None else _numbers("steps", steps)
    if at.shape != found.shape:
        raise ValueError(f"trace must have a step for every rate, got {len(at)} steps and {len(found)} rates.")
    if not np.array_equal(at, np.floor(at)) or at.min() < 0 or at.max() > LONGEST:
        bad = at[~((at == np.floor(at)) & (at >= 0) & (at <= LONGEST))][0]
        raise ValueError(f"trace must have whole steps of 0 to {LONGEST:,}, got {bad:g}.")
    at = at.astype(np.int64)
    if (falls := np.flatnonzero(np.diff(at) <= 0)).size:
        before, after = at[falls[0] : falls[0] + 2]
        raise ValueError(
            f"trace must have steps that increase, got {after} after {before} "
            "(a log with what a resumed run logged again is checked in parts)."
        )
    if not (good := np.isfinite(found) & (found >= 0)).all():
        bad = int(np.argmin(good))
        raise ValueError(f"trace must hold rates of at least 0, got {found[bad]:g} at step {at[bad]}.")
    if first_step is None and at[0] in (0, 1):
        first_step = int(at[0])
    half, written = (np.zeros(len(found)), "") if texts is None else precision(texts)
    half *= 1.001  # a number half way between two may be rounded either way
    return Trace(at, found, half + ROUNDING * found.max(), first_step, total_steps, written)


def _numbers(name: str, given: object) -> np.ndarray:
    try:
        found = np.asarray(given)
        if found.dtype.kind not in "bc":
            return found.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a row of numbers, got {type(given).__name__}.") from None
    raise ValueError(f"{name} must be a row of real numbers, got {found.dtype}.")


def precision(texts: Sequence[str]) -> tuple[np.ndarray, str]:
    """Half a unit of the last digit of each number, and how they were written.

    A number says how it was rounded only together with the others: 0.1 is a tenth, or 0.1000 without its zeros, or
    0.1 of a column that has one decimal. Taken as a fixed number of decimals are columns in which a number ends in a
    zero or more than half have as many decimals as the longest; all others have as many significant digits as the
    longest, and at least three. One number throughout is taken as exact.

    Example:
      >>> half, written = precision(["0.1000", "0.0998", "0.0003"])
      >>> half.tolist(), written
      ([5e-05, 5e-05, 5e-05], 'to 4 decimals')
      >>> precision(["0.1", "0.01", "0.001"])[1]
      'to 3 digits'
    """
    parts = [NUMBER.fullmatch(text) for text in texts]
    wholes, decimals, exponents = (np.array([part[i] or "" if part else "" for part in parts]) for i in (1, 2, 3))
    places = np.char.str_len(decimals)
    powers = np.array([int(text or 0) for text in exponents])
    digits = [len((whole + decimal).lstrip("0")) for whole, decimal in zip(wholes, decimals, strict=True)]
    most, longest = max(digits, default=0), int(places.max(initial=0))
    if most > 8:
        return np.zeros(len(texts)), "in full"
    values = np.array([abs(float(text)) for text in texts])
    plain, distinct = (exponents == "").all(), len(set(texts))
    padded = longest > 1 and any(text.endswith("0") and len(text) == longest for text in decimals)
    fixed = plain and (padded or (distinct > 2 and _share(texts, places == longest) > 0.5))
    if distinct == 1 and not padded:
        return np.zeros(len(texts)), f"as {texts[0].strip()} each"
    first = np.floor(np.log10(np.where(values > 0, values, 1.0)))
    significant = np.where(values > 0, 0.5 * 10.0 ** (first - max(most, 3) + 1), 0.0)
    if fixed and (significant <= 0.6 * 10.0**-longest).all():  # else it has fewer decimals where numbers are larger
        return np.full(len(texts), 0.5 * 10.0**-longest), f"to {longest} decimals"
    if not plain and longest and (exponents != "").all() and (places == longest).all() and distinct > 2:
        return 0.5 * 10.0 ** (powers - longest), f"to {longest + 1} digits"
    return significant, f"to {max(most, 3)} digits"


def _share(texts: Sequence[str], chosen: np.ndarray) -> float:
    """Of the different texts, the part that is among the chosen ones."""
    return len({text for text, taken in zip(texts, chosen, strict=True) if taken}) / len(set(texts))
