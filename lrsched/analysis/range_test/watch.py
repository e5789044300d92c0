"""When a range test is over: its loss has blown up, for longer than one noisy batch."""

from __future__ import annotations

import math
from typing import NamedTuple

SHARE = 1 / 20  # of a ramp: how far back its smoothing and its running median look


def default_beta(points: int) -> float:
    """The beta whose memory, 1 / (1 - beta) points, is a twentieth of a ramp of so many points.

    beta = 1 - 1 / max(1, points / 20), in [0, 1); 0, no smoothing, up to 20 points. The smoothed curve lags behind the
    loss by at most a twentieth of the ramp, however long that is. fastai's 0.98, a memory of 50 points, is the beta of
    1,000 points; it spans half of a ramp of 100.

    Example:
      >>> [round(default_beta(points), 4) for points in (10, 30, 100, 300, 1000)]
      [0.0, 0.3333, 0.8, 0.9333, 0.98]

    """
    return 1 - 1 / max(1.0, SHARE * points)


def default_window(points: int) -> int:
    """The points of the running median that is watched: a twentieth of the ramp, odd, at least 3.

    Example:
      >>> [default_window(points) for points in (10, 30, 100, 300, 1000)]
      [3, 3, 5, 15, 51]

    """
    return max(3, 2 * int(SHARE * points / 2) + 1)


def limit(best: float, *, divergence: float) -> float:
    """The loss above which a test has blown up: divergence * best, in a form for losses of any sign.

    best + (divergence - 1) * |best|. From a best of exactly 0 any rise is a blow-up.
    """
    return best + (divergence - 1) * abs(best)


class Watch(NamedTuple):
    """Tells when a range test is over, one loss at a time: `watch = watch.after(loss)`.

    It is over when a loss is not finite, or when the running median of the last `window` raw losses (the lower of two
    in the middle) exceeds `limit` of the smallest such median so far. A median follows the majority of its window, so
    one noisy batch, high or low, ends nothing. It counts for the smallest from three losses on (or `window` of them).

    With a window of 0 the smoothed loss is watched instead, as in fastai, from its first value on (S. Gugger's first
    finder left that out); it is the loss of `rules.smooth`, operation by operation.
    """

    beta: float  # of the smoothing, in [0, 1)
    divergence: float  # above 1
    window: int  # losses of the running median; 0: the smoothed loss is watched
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
        if seen > highest:  # the first loss beyond it in the newer half of the window, where there must be one
            half = recent[(len(recent) - 1) // 2 :] if self.window else (seen,)
            began = count - len(half) + next(i for i, loss in enumerate(half) if loss > highest)
        return self._replace(
            average=average, count=count, best=best, recent=recent, stopped=began is not None, blow_up=began
        )
