"""Budgets: where epochs and percentages of them become steps."""

from __future__ import annotations

import dataclasses
import math
import numbers
from fractions import Fraction
from typing import Self

from lrsched.schedules.progress import LARGEST_STEP, check_steps


def _exact(value: float) -> Fraction:
    """The short fraction or else the decimal that a float stands for: 0.1 is 1/10, a third is 1/3, 1e-7 is 1/10**7."""
    value = float(value)
    short = Fraction(value).limit_denominator(10**6)
    return short if math.isclose(short, value, rel_tol=1e-15) else Fraction(str(value))


@dataclasses.dataclass(frozen=True)
class Budget:
    """A length of training: so many epochs of so many steps. A part of a step counts as one; there is at least one.

    Attributes:
      epochs: passes over the training set, above 0; fractions are allowed (half an epoch is 0.5).
      steps_per_epoch: updates in one pass, at least 1.
    Raises:
      ValueError: if either is outside what is allowed, or the budget exceeds 2**31 - 1 steps.
    Example:
      >>> Budget(epochs=95, steps_per_epoch=98).total_steps
      9310
    """

    epochs: float
    steps_per_epoch: int = 1

    def __post_init__(self) -> None:
        if not (isinstance(self.epochs, numbers.Real) and 0 < self.epochs < math.inf):
            raise ValueError(f"budget must be above 0 epochs, got {self.epochs!r}.")
        check_steps("steps_per_epoch", self.steps_per_epoch)
        if self.epochs > LARGEST_STEP or self.total_steps > LARGEST_STEP:
            raise ValueError(
                f"budget must be at most 2**31 - 1 steps, got {self.epochs} epochs of {self.steps_per_epoch}."
            )

    @property
    def total_steps(self) -> int:
        """ceil(epochs * steps_per_epoch), exactly."""
        return max(1, math.ceil(_exact(self.epochs) * self.steps_per_epoch))

    @classmethod
    def of(cls, words: str, *, max_epochs: float, steps_per_epoch: int) -> Self:
        """A budget from words: a percentage of `max_epochs` ("5%"), or epochs ("15ep" or "15").

        Example:
          >>> Budget.of("5%", max_epochs=300, steps_per_epoch=391)
          Budget(epochs=15.0, steps_per_epoch=391)
        """
        return cls(epochs_of(words, max_epochs=max_epochs), steps_per_epoch)


def epochs_of(words: str, *, max_epochs: float) -> float:
    """Epochs from "5%" (of `max_epochs`), "15ep" or "15".

    Raises:
      ValueError: if the words are neither, or not above 0.
    """
    text = words.strip()
    try:
        if text.endswith("%"):
            epochs = float(_exact(float(text[:-1])) / 100 * _exact(max_epochs))
        else:
            epochs = float(text.removesuffix("ep"))
    except (ValueError, OverflowError):
        epochs = math.nan
    if not (math.isfinite(epochs) and epochs > 0):
        raise ValueError(f"budget must be a percentage of max_epochs (5%) or epochs (15ep), above 0, got {words!r}.")
    return epochs
