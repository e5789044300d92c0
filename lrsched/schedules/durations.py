"""Lengths: how people write them, and how many updates they are. Every option that is a length is read here.

    200st     updates (steps)
    15ep      epochs; steps_per_epoch must be known
    50000ex   examples; batch_size must be known
    5%        of the whole
    90s 2min  seconds and minutes: only how often a state is saved

What a plain number, and the whole, is depends on the place:

    place                                      15        0.5            the whole of "5%"
    budget                                     epochs    epochs         max_epochs
    parts of a schedule (segments, warmups,
      cycles, boundaries; with a unit in @)    updates   of the whole   its budget (of a cycle's warmup: the cycle)
    --keep, --save-every                       updates   of the whole   the updates of the run
    the ramp of a range test                   updates   refused        none: refused

There is one rounding. Epochs, examples and percentages of a run are exact rationals (0.1 is 1/10, a third is 1/3); a
part of an update counts as one, and there is at least one. Updates are whole numbers, but that lengths of cycles may be
"2.5st". A part of a schedule that is a percentage or a fraction stays one (`Ratio`), since its budget may still change
or be traced; what the schedule makes of it, which is to round it down where parts follow one another, is part of its
formula.
"""

from __future__ import annotations

import dataclasses
import math
import re
from fractions import Fraction
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from lrsched.schedules.progress import LARGEST_DENOMINATOR, Ratio, fraction_of, ratio
from lrsched.schedules.values import (
    LARGEST_STEP,
    Number,
    check_count,
    check_steps,
    is_concrete,
    namespace,
    plain,
    short,
    value_class,
)

_TEXT = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(%|ep|st|ex|s|min|)\s*")
_SECONDS = {"s": 1, "min": 60}


@value_class
class Rest:
    """The duration of the one segment that takes what the others leave."""


Duration = Ratio | Rest | Number


class Length(NamedTuple):
    """A length as written: its number and its unit, which is "" for a plain number; `whole` if it has no point."""

    number: float
    unit: str
    whole: bool


def read(text: Any) -> Length | None:
    """What a text says; None if it says no length."""
    found = _TEXT.fullmatch(text) if isinstance(text, str) and len(text) <= 100 else None
    if found is None or not math.isfinite(float(found[1])):
        return None
    return Length(float(found[1]), found[2], "." not in found[1] and float(found[1]).is_integer())


def _exact(value: float) -> Fraction:
    """0.1 is 1/10, a third is 1/3, 1e-7 is 1/10**7."""
    value = float(value)
    simple = Fraction(value).limit_denominator(10**6)
    return simple if math.isclose(simple, value, rel_tol=1e-15) else Fraction(str(value))


def _epochs(name: str, value: Any) -> Any:
    """A number of epochs, above 0, as Python's number; of an array's scalar the decimal that it is printed as."""
    number = plain(value)
    if isinstance(number, float) and number is not value:
        number = float(str(np.asarray(value)[()]))  # float32's 0.3 is 0.3, as everywhere
    if isinstance(number, bool) or not (isinstance(number, int | float | Fraction) and 0 < number < math.inf):
        raise ValueError(f"{name} must be a finite number of epochs above 0, got {short(value)}.")
    return number


def _rounded(exact: Fraction) -> int:
    """The one rounding: a part of an update counts as one; there is at least one."""
    return max(1, math.ceil(exact))


@dataclasses.dataclass(frozen=True)
class Budget:
    """A length of training: so many epochs of so many updates; a part of an update counts as one.

    Attributes:
      epochs: passes over the training set, above 0; half an epoch is 0.5.
      steps_per_epoch: updates in one pass, at least 1.
    Raises:
      ValueError: if either is outside what is allowed, or the budget exceeds 2**31 - 1 updates.
    Example:
      >>> Budget(epochs=95, steps_per_epoch=98).total_steps
      9310
    """

    epochs: float
    steps_per_epoch: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", _epochs("budget", self.epochs))
        object.__setattr__(self, "steps_per_epoch", check_steps("steps_per_epoch", self.steps_per_epoch))
        if self.epochs > LARGEST_STEP or self.total_steps > LARGEST_STEP:
            got = f"{self.epochs} epochs of {self.steps_per_epoch}"
            raise ValueError(f"budget must be at most 2**31 - 1 steps, got {got}.")

    @property
    def total_steps(self) -> int:
        """ceil(epochs * steps_per_epoch), exactly."""
        return _rounded(_exact(self.epochs) * self.steps_per_epoch)

    @classmethod
    def of_steps(cls, total_steps: int, steps_per_epoch: int = 1) -> Self:
        """The budget of exactly so many updates.

        Example:
          >>> Budget.of_steps(200, 391).total_steps
          200
        """
        total_steps = check_steps("budget", total_steps)
        steps_per_epoch = check_steps("steps_per_epoch", steps_per_epoch)
        epochs = total_steps / steps_per_epoch
        while _rounded(_exact(epochs) * steps_per_epoch) > total_steps:  # the nearest float may be a little above
            epochs = math.nextafter(epochs, 0.0)
        return cls(epochs, steps_per_epoch)

    @classmethod
    def of(cls, text: str, *, max_epochs: float, steps_per_epoch: int, batch_size: int | None = None) -> Self:
        """The budget that a text says: "5%" of max_epochs, epochs ("15ep" or "15"), "200st" or "50000ex".

        Raises:
          ValueError: for another text, or a length that is not above 0; for examples without a batch_size.
        Example:
          >>> Budget.of("5%", max_epochs=300, steps_per_epoch=391)
          Budget(epochs=15.0, steps_per_epoch=391)
          >>> Budget.of("50000ex", max_epochs=300, steps_per_epoch=391, batch_size=128).total_steps
          391
        """
        number, unit = budget_length(text, max_epochs=max_epochs)
        if unit == "ep":
            return cls(number, steps_per_epoch)
        if unit == "ex" and batch_size is None:
            raise ValueError(f"batch_size must be given for a budget in examples, got {short(text)}.")
        return cls.of_steps(steps(text, name="budget", batch_size=batch_size), steps_per_epoch)


def budget_length(text: str, *, max_epochs: float) -> tuple[float, str]:
    """What a budget's text says: (epochs, "ep"), (updates, "st") or (examples, "ex"); a percentage is of max_epochs.

    Raises:
      ValueError: for another text, or a length that is not above 0.
    Example:
      >>> budget_length("5%", max_epochs=300), budget_length("200st", max_epochs=300)
      ((15.0, 'ep'), (200.0, 'st'))
    """
    length = read(text)
    if length is None or length.unit in _SECONDS or not length.number > 0:
        raise ValueError(
            "budget must be a percentage of max_epochs (5%), epochs (15ep), updates (200st) or examples (50000ex), "
            f"above 0, got {short(text)}."
        )
    if length.unit == "%":
        return float(_exact(length.number) / 100 * _exact(_epochs("max_epochs", max_epochs))), "ep"
    return length.number, length.unit or "ep"


def steps(
    text: str,
    *,
    name: str,
    total_steps: int | None = None,
    steps_per_epoch: int | None = None,
    batch_size: int | None = None,
    also: tuple[str, ...] = (),
) -> int:
    """The updates that a text says: "200" or "200st", "1ep", "50000ex", "5%" or 0.05 of total_steps.

    Args:
      text: a length.
      name: of the option, for messages.
      total_steps: the whole; None where there is none.
      steps_per_epoch: updates in an epoch; None where it is not known.
      batch_size: examples in an update; None where it is not known.
      also: what else the option takes, for messages.
    Raises:
      ValueError: for another text, a unit that this place does not know, or a length that is not above 0.
    Example:
      >>> [steps(text, name="keep", total_steps=410, steps_per_epoch=41) for text in ("200", "0.5ep", "12.5%", "0.125")]
      [200, 21, 52, 52]
    """
    steps_per_epoch = check_count("steps_per_epoch", steps_per_epoch)
    batch_size = check_count("batch_size", batch_size)
    length = read(text)
    unit = "" if length is None else length.unit or ("st" if length.whole else "%")
    sizes = {
        "st": Fraction(1),
        "ep": None if steps_per_epoch is None else Fraction(steps_per_epoch),
        "ex": None if batch_size is None else Fraction(1, batch_size),
        "%": None if total_steps is None else Fraction(total_steps, 100 if length and length.unit else 1),
    }
    size = sizes.get(unit)
    broken = length is not None and unit == "st" and _exact(length.number).denominator > 1
    if length is None or size is None or broken or not length.number > 0:
        examples = {"st": "updates (200)", "ep": "epochs (1ep)", "ex": "examples (50000ex)", "%": "a percentage (5%)"}
        known = [words for key, words in examples.items() if sizes[key] is not None] + list(also)
        allowed = " or ".join([", ".join(known[:-1]), known[-1]] if known[1:] else known)
        raise ValueError(f"{name} must be {allowed}, above 0, got {short(text)}.")
    found = _rounded(_exact(length.number) * size)
    if unit == "%" and found > (total_steps or found):
        raise ValueError(f"{name} must be at most the whole, 100%, got {short(text)}.")
    check_steps(name, found)
    return found


def seconds(text: str, *, name: str) -> float | None:
    """The seconds that "90s" or "2min" are; None of a text in other units.

    Raises:
      ValueError: if they are not above 0.
    """
    length = read(text)
    if length is None or length.unit not in _SECONDS:
        return None
    if not length.number > 0:
        raise ValueError(f"{name} must be above 0, got {short(text)}.")
    return length.number * _SECONDS[length.unit]


def with_units(name: str, value: Any, *, steps_per_epoch: int | None, batch_size: int | None) -> Any:
    """An argument of a schedule in which epochs and examples are updates; any other value as it is, a list as a tuple.

    Raises:
      ValueError: for epochs or examples where their size is not known.
    """
    if isinstance(value, tuple | list):
        return tuple(with_units(name, part, steps_per_epoch=steps_per_epoch, batch_size=batch_size) for part in value)
    length = read(value)
    if length is None or length.unit not in ("ep", "ex"):
        return value
    size = "steps_per_epoch" if length.unit == "ep" else "batch_size"
    if {"ep": steps_per_epoch, "ex": batch_size}[length.unit] is None:
        raise ValueError(f"{name} must be in steps or a fraction where {size} is not known, got {value!r}.")
    return steps(value, name=name, steps_per_epoch=steps_per_epoch, batch_size=batch_size)


def duration(
    value: Number | str | Ratio | Rest | Fraction,
    *,
    name: str = "duration",
    rest: bool = False,
    parts: bool = False,
    above_zero: bool = False,
    steps_per_epoch: int | None = None,
    batch_size: int | None = None,
) -> Duration | Fraction:
    """A part of a schedule: steps (500, "500st"), a fraction of the whole (0.1, "10%"), "5ep", "50000ex" or "rest".

    Args:
      value: the length, in Python or as text; numbers may be traced.
      name: of the argument, for messages.
      rest: whether "rest" is allowed.
      parts: whether a number of steps that is not whole ("2.5st", Fraction(5, 2)) is allowed; it stays a Fraction.
      above_zero: whether a concrete 0 is refused.
      steps_per_epoch: updates in an epoch, for "5ep".
      batch_size: examples in an update, for "50000ex".
    Raises:
      ValueError: for anything else.
    """
    value = with_units(name, value, steps_per_epoch=steps_per_epoch, batch_size=batch_size)
    if isinstance(value, Rest) or (isinstance(value, str) and value == "rest"):
        if not rest:
            raise ValueError(f"{name} must be steps or a fraction, got 'rest'.")
        return Rest()
    found = _from_text(name, value, rest) if isinstance(value, str) else value
    if isinstance(found, Fraction):
        found = _whole(name, found, value, parts)
    elif not isinstance(found, Ratio):
        kind = found.dtype if isinstance(found, jax.Array) else np.asarray(found).dtype
        found = ratio(name, found) if np.issubdtype(kind, np.floating) else check_steps(name, found, at_least=0)
    size = found.numerator if isinstance(found, Ratio) else found
    if above_zero and is_concrete(size) and size == 0:
        raise ValueError(f"{name} must be at least 1 step, got {value!r}.")
    return found


def _from_text(name: str, text: str, rest: bool) -> Ratio | Fraction:
    length = read(text)
    if length is None or length.unit not in ("st", "%"):
        allowed = "steps (500 or '500st'), a fraction (0.1 or '10%'), epochs ('5ep') or examples ('50000ex')"
        raise ValueError(f"{name} must be {allowed}{', or rest' * rest}, got {short(text)}.")
    return _exact(length.number) if length.unit == "st" else ratio(name, length.number / 100)


def _whole(name: str, found: Fraction, value: Any, parts: bool) -> int | Fraction:
    """Steps as an int if they are whole."""
    if found.denominator == 1:
        check_steps(name, int(found), at_least=0)
        return int(found)
    if not parts:
        raise ValueError(f"{name} must be a whole number of steps, got {float(found):g}.")
    if not 0 < found <= LARGEST_STEP or found.denominator > LARGEST_DENOMINATOR:
        raise ValueError(f"{name} must be above 0, at most 2**31 - 1 steps, in parts down to 1/65536, got {value!r}.")
    return found


def in_steps(total: Any, length: Ratio | Number) -> Any:
    """A part in updates, in the integer type of `total`: a fraction of `total` rounded down, or steps as they are."""
    if isinstance(length, Ratio):
        return fraction_of(total, length)
    return namespace(length if isinstance(length, jax.Array) else total).asarray(length, total.dtype)
