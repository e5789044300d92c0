"""When a range test is over: the loss has blown up, by more than one noisy batch."""

from __future__ import annotations

import math
from typing import NamedTuple

from lrsched.analysis.range_rules import limit

SHARE = 1 / 20  # of a ramp: how far back its smoothing and its running median look


def default_beta(points: int) -> float:
    """The beta whose memory, 1 / (1 - beta) points, is a twentieth of a ramp of so many points.

    beta = 1 - 1 / max(1, points / 20). So the smoothed curve lags behind the loss by at most a twentieth of the ramp,
    however long that is: fastai's 0.98, a memory of 50 points, is the beta of 1,000 points, and half of a ramp of 100.

    Args:
      points: of the ramp, at least 1.
    Returns:
      a number in [0, 1); 0, no smoothing, up to 20 points.
    Example:
      >>> [round(default_beta(points), 4) for points in (10, 30, 100, 300, 1000)]
      [0.0, 0.3333, 0.8, 0.9333, 0.98]

    """
    return 1 - 1 / max(1.0, SHARE * points)


def default_window(points: int) -> int:
    """The points of the running median that is watched: a twentieth of the ramp, odd, and at least 3.

    Example:
      >>> [default_window(points) for points in (10, 30, 100, 300, 1000)]
      [3, 3, 5, 15, 51]

    """
    return max(3, 2 * int(SHARE * points / 2) + 1)


class Watch(NamedTuple):
    """Says when a range test is over, one loss at a time: `watch = Watch()`, then `watch = watch.after(loss)`.

    Over is when a loss is not finite, or when the running median of the last `window` raw losses (the lower of two in
    the middle) exceeds divergence times the smallest such median so far. A median needs the most of the window, so one
    noisy batch, high or low, ends nothing; it counts for the smallest from three losses on (or `window` of them).

    With a window of 0 the smoothed loss is watched instead, as fastai does, and its first loss counts for the smallest
    (S. Gugger's first finder left it out); that loss is `smoothed`'s, operation by operation.

    Losses may be negative: the limit is best + (divergence - 1) * |best|, which is divergence * best above 0; from a
    best of exactly 0 any rise is too much.
    """

    beta: float = 0.98  # of the smoothing, in [0, 1)
    divergence: float = 4.0  # above 1
    window: int = 0  # losses of the running median; 0: the smoothed loss is watched
    average: float = 0.0  # exponential moving average before bias correction
    count: int = 0  # type: ignore[assignment]  # losses seen; hides tuple.count
    best: float = math.inf  # smallest smoothed loss, or smallest median
    recent: tuple[float, ...] = ()  # the last `window` losses
    stopped: bool = False
    blow_up: int | None = None  # the loss, counted from 0, from which on it had blown up: known only later by a median

    def after(self, value: float) -> Watch:
        """The watch that has seen one more loss; one that has stopped stays so."""
        if self.stopped:
            return self
        if not math.isfinite(value):
            return self._replace(stopped=True, blow_up=self.count, count=self.count + 1)
        average, count = self.beta * self.average + (1 - self.beta) * value, self.count + 1
        recent = (*self.recent, value)[-self.window :] if self.window else (value,)
        seen = sorted(recent)[(len(recent) - 1) // 2] if self.window else average / (1 - self.beta**count)
        best = min(self.best, seen) if len(recent) >= min(3, self.window) else self.best
        highest = limit(best, divergence=self.divergence)
        began = None
        if seen > highest:  # the first of the newer half that is beyond; there is one, as the most are
            half = recent[(len(recent) - 1) // 2 :] if self.window else (seen,)
            began = count - len(half) + next(i for i, loss in enumerate(half) if loss > highest)
        return self._replace(
            average=average, count=count, best=best, recent=recent, stopped=began is not None, blow_up=began
        )
