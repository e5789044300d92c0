"""How a range test is read: the one place of the settings that its rules, its curves and its commands share."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, get_args

from lrsched.analysis.range_test.watch import default_beta, default_window

Quantity = Literal["train_loss", "holdout_loss", "holdout_accuracy"]
QUANTITIES: tuple[str, ...] = get_args(Quantity)


@dataclasses.dataclass(frozen=True)
class Reading:
    """How the curves of a range test are read.

    Attributes:
      quantity: what is read: train_loss, or on held-out data holdout_loss or holdout_accuracy (Smith's).
      every: updates between two measures; 1 for the training loss.
      beta: of the bias-corrected smoothing, in [0, 1); 0: none. None: for the training loss a memory of a twentieth of
        the ramp, 1 - 1 / max(1, points / 20), which is 0.8 for 100 points (fastai's 0.98 remembers 50 points, whatever
        the ramp); 0 for held-out measures, of which there are few and which Smith reads as they are.
      divergence: above 1. A test is over once its training loss has blown up: the running median of the raw losses over
        `window` of them exceeds this multiple of the lowest so far, or a loss is not finite. fastai's is 4.
      skip_start: points at the start that no rule sees; None: a tenth of them, as in fastai.
      skip_end: points at the end of what was measured that no rule but blow_up_tenth sees. fastai's is 5.
      window: of that running median, in points. 0: the smoothed loss is watched instead, as in version 0.1.0. None: of
        the training loss a twentieth of the ramp, odd, and at least 3; 1, the value itself, of held-out measures.
    Raises:
      ValueError: if a field is outside these bounds.
    """

    quantity: str = "train_loss"
    every: int = 1
    beta: float | None = None
    divergence: float = 4.0
    skip_start: int | None = None
    skip_end: int = 5
    window: int | None = None

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, got {self.quantity!r}.")
        if self.quantity == "train_loss" and self.every != 1:
            raise ValueError(f"every must be 1 where the training loss is read, got {self.every}.")
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}.")
        if self.beta is not None and not 0 <= self.beta < 1:
            raise ValueError(f"beta must be in [0, 1), got {self.beta}.")
        if not 1 < self.divergence < math.inf:
            raise ValueError(f"divergence must be above 1 and finite, got {self.divergence}.")
        for name in ("skip_start", "skip_end", "window"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}.")

    def resolve(self, points: int) -> Reading:
        """The same for curves of so many points, with a number in the place of each None."""
        losses = self.quantity == "train_loss"
        return dataclasses.replace(
            self,
            beta=(default_beta(points) if losses else 0.0) if self.beta is None else self.beta,
            skip_start=points // 10 if self.skip_start is None else self.skip_start,
            window=(default_window(points) if losses else 1) if self.window is None else self.window,
        )
