"""Sampling rates: when the learning rate is refreshed from its profile (Chen et al., arXiv:2107.04197, section 3).

Zero-order hold: the initial value is held until the first sample point; at sample point q the rate becomes f(q) and is
held until the next one. Nothing is sampled at q = 1. A sampling rate maps exact progress to the exact progress last
sampled, so profiles need to know nothing of it. Numbers outside what is allowed raise ValueError.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Protocol

from lrsched.schedules.durations import duration, read
from lrsched.schedules.progress import Progress, Ratio, ratio
from lrsched.schedules.values import Number, check_steps, is_concrete, namespace, short, value_class


class Sampling(Protocol):
    """Progress -> the progress at which the profile was last sampled."""

    def __call__(self, progress: Progress) -> Progress: ...


@value_class
class EveryStep:
    def __call__(self, progress: Progress) -> Progress:
        return progress


@value_class
class EverySteps:
    steps: Number

    def _check(self) -> None:
        check_steps("steps", self.steps)

    def __call__(self, progress: Progress) -> Progress:
        xp = namespace(progress.done)
        steps = xp.asarray(self.steps, progress.done.dtype)
        return Progress(xp.minimum(progress.done, progress.total - 1) // steps * steps, progress.total)


@value_class
class Every:
    fraction: Ratio

    def _check(self) -> None:
        if is_concrete(self.fraction) and self.fraction.numerator == 0:
            raise ValueError("fraction must be above 0 and at most 1, got 0.")

    def __call__(self, progress: Progress) -> Progress:
        xp = namespace(progress.done)
        numerator = xp.asarray(self.fraction.numerator, progress.done.dtype)
        denominator = xp.asarray(self.fraction.denominator, progress.done.dtype)
        last = (denominator - 1) // numerator  # the last multiple of the fraction below 1
        index = xp.minimum(progress.parts(denominator) // numerator, last)
        return Progress(index * numerator, denominator)


@value_class
class Inclusive:
    def __call__(self, progress: Progress) -> Progress:
        last = namespace(progress.done).maximum(progress.total - 1, 1)
        return Progress(namespace(progress.done).minimum(progress.done, progress.total - 1), last)


@value_class
class At:
    fractions: tuple[Ratio, ...]

    def _check(self) -> None:
        if all(map(is_concrete, self.fractions)):
            values = [0.0, *map(float, self.fractions), 1.0]
            if not self.fractions or any(a >= b for a, b in itertools.pairwise(values)):
                listed = ", ".join(f"{value:g}" for value in values[1:-1])
                raise ValueError(f"fractions must ascend within (0, 1), got {listed or 'none'}.")

    def __call__(self, progress: Progress) -> Progress:
        xp = namespace(progress.done)
        done, total = xp.zeros_like(progress.done), xp.ones_like(progress.done)
        for part in self.fractions:
            reached = progress.reached(part)
            done = xp.where(reached, xp.asarray(part.numerator, done.dtype), done)
            total = xp.where(reached, xp.asarray(part.denominator, total.dtype), total)
        return Progress(done, total)


def every_step() -> Sampling:
    """Every step: the rate follows its profile at every update.

    Example:
      >>> print(f"{linear(1.0, total_steps=10, sampling=every_step())(3):.1f}")
      0.7
    """
    return EveryStep()


def inclusive() -> Sampling:
    """Inclusive: as at every update, but the last update of a budget is at the end of the profile: z = t / (T - 1).

    By the rule of this library a run never applies the profile's end. Where a library counts the other way (PyTorch's
    OneCycleLR, a table made with linspace), this is its convention by name. A budget of one update is at the start.

    Example:
      >>> [f"{linear(1.0, total_steps=5, sampling=rate)(4):.2f}" for rate in (every_step(), inclusive())]
      ['0.20', '0.00']
    """
    return Inclusive()


def every_steps(steps: Number) -> Sampling:
    """Every n steps: samples at updates 0, steps, 2 steps, ...; with steps_per_epoch, once an epoch.

    Args:
      steps: at least 1; may be traced.
    Example:
      >>> print(f"{linear(1.0, total_steps=10, sampling=every_steps(4))(7):.1f}")
      0.6
    """
    return EverySteps(steps)


def every(fraction: Number) -> Sampling:
    """Every fraction: samples at 0, fraction, 2 fraction, ... of the budget, below 1.

    Args:
      fraction: in (0, 1]; 0.05 is every 5 %.
    Example:
      >>> print(f"{linear(1.0, total_steps=10, sampling=every(0.5))(7):.1f}")
      0.5
    """
    return Every(ratio("fraction", fraction))


def at(*fractions: Number) -> Sampling:
    """At fractions: samples at the given fractions of the budget; at(0.5, 0.75) is the paper's 50-75.

    Args:
      fractions: ascending, each in (0, 1).
    Example:
      >>> print(f"{linear(1.0, total_steps=10, sampling=at(0.5, 0.75))(7):.1f}")
      0.5
    """
    return At(tuple(ratio("fractions", part) for part in fractions))


#: The REX paper's seven sampling rates by name. "5-25" is every 5 %, as its figure 2 shows (its text is ambiguous).
PAPER: dict[str, Sampling] = {
    "50-75": at(0.5, 0.75),
    "33-66": at(1 / 3, 2 / 3),
    "25-50-75": at(0.25, 0.5, 0.75),
    "10-10": every(0.1),
    "5-25": every(0.05),
    "1-100": every(0.01),
    "every": every_step(),
}


def given(sampling: Sampling | str | None) -> Sampling:
    """Given: what a schedule's argument `sampling` stands for.

    Args:
      sampling: a sampling rate, the words of one (`named`), or None for every update.
    Example:
      >>> given("50-75") == at(0.5, 0.75), given(None) == every_step()
      (True, True)
    """
    rate = EveryStep() if sampling is None else named(sampling) if isinstance(sampling, str) else sampling
    if not dataclasses.is_dataclass(rate) or isinstance(rate, type):
        raise ValueError(f"sampling must be a sampling rate of lrsched.sampling or its name, got {sampling!r}.")
    return rate


def named(words: str, *, steps_per_epoch: int | None = None, batch_size: int | None = None) -> Sampling:
    """Named: a sampling rate from words.

    Args:
      words: a name of PAPER, "inclusive" (every update, the last one at the end), a percentage ("5%": every 5 %), steps
        ("7st": every 7 updates), epochs ("1ep", "epoch") or examples ("50000ex").
      steps_per_epoch: updates in an epoch, for words with epochs.
      batch_size: examples in an update, for words with examples.
    Raises:
      ValueError: if the words are none of these; the message lists them.
    Example:
      >>> print(f"{linear(1.0, total_steps=10, sampling=named('50-75'))(7):.1f}")
      0.5
    """
    if isinstance(words, str) and words in PAPER:
        return PAPER[words]
    if words == "inclusive":
        return Inclusive()
    text = "1ep" if words == "epoch" else words
    length = read(text)
    if length is None or length.unit not in ("%", "st", "ep", "ex") or not length.number > 0:
        raise ValueError(
            f"sampling must be one of {', '.join(PAPER)}, inclusive, or a length with its unit (5%, 7st, 1ep, "
            f"50000ex), got {short(words)}."
        )
    found = duration(text, name="sampling", above_zero=True, steps_per_epoch=steps_per_epoch, batch_size=batch_size)
    return Every(found) if isinstance(found, Ratio) else EverySteps(found)
