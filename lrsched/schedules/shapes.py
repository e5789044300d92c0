"""Shapes: the formulas behind the profiles, from 1 at the start towards 0 at the end, as a function of progress alone.

A profile takes a `Progress` (or a plain fraction in [0, 1]) and knows neither steps nor rates. z = t / T is the
progress and w = 1 - z what remains; both are exact, so each formula is written in the one that keeps its precision. For
the same reason a profile f knows its complement 1 - f: subtracted from 1, a small rise would be lost in float32.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from lrsched.schedules.progress import (
    LARGEST_STEP,
    Number,
    Progress,
    Ratio,
    check_number,
    data,
    fraction_of,
    is_concrete,
    namespace,
)


class Profile(Protocol):
    """A shape: progress in, multiplier out (of most 1 at z = 0); `complement` is 1 minus it."""

    def __call__(self, progress: Progress | Any) -> Any: ...

    def complement(self, progress: Progress | Any) -> Any: ...


def _progress(progress: Progress | Any) -> Progress:
    return progress if isinstance(progress, Progress) else Progress.of(progress)


@data
class Constant:
    def __call__(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        return namespace(p.done).ones_like(p.w)

    def complement(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        return namespace(p.done).zeros_like(p.w)


@data
class Linear:
    def __call__(self, progress: Progress | Any) -> Any:
        return _progress(progress).w

    def complement(self, progress: Progress | Any) -> Any:
        return _progress(progress).z


@data
class Cosine:
    def __call__(self, progress: Progress | Any) -> Any:
        w = _progress(progress).w
        return namespace(w).square(namespace(w).sin(w * w.dtype.type(np.pi / 2)))

    def complement(self, progress: Progress | Any) -> Any:
        return self(_progress(progress).reversed)


@data
class Exponential:
    gamma: Number = -3.0

    def __call__(self, progress: Progress | Any) -> Any:
        z = _progress(progress).z
        return namespace(z).exp(self.gamma * z)

    def complement(self, progress: Progress | Any) -> Any:
        z = _progress(progress).z
        return -namespace(z).expm1(self.gamma * z)


@data
class Polynomial:
    power: Number = 1.0

    def _check(self) -> None:
        check_number("power", self.power, at_least=0.0)

    def __call__(self, progress: Progress | Any) -> Any:
        return _progress(progress).w ** self.power

    def complement(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        xp = namespace(p.z)
        inside = xp.where(p.w > 0, p.z, xp.zeros_like(p.z))  # the logarithm of no remainder is not finite
        return xp.where(p.w > 0, -xp.expm1(self.power * xp.log1p(-inside)), 1.0 - self(p))


@data
class Rex:
    d: Number = 0.5

    def _check(self) -> None:
        check_number("d", self.d, at_least=0.0, below=1.0)

    def __call__(self, progress: Progress | Any) -> Any:
        w = _progress(progress).w
        return w / ((1.0 - self.d) + self.d * w)

    def complement(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        return (1.0 - self.d) * p.z / ((1.0 - self.d) + self.d * p.w)


@data
class Step:
    fractions: tuple[Ratio, ...]
    factor: Number = 0.1

    def _check(self) -> None:
        check_number("factor", self.factor, at_least=0.0)
        if all(map(is_concrete, self.fractions)):
            places = list(map(float, self.fractions))
            if places != sorted(places):
                raise ValueError(f"fractions must ascend, got {', '.join(map(str, places))}.")

    def __call__(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        xp = namespace(p.done)
        value = xp.ones_like(p.w)
        level = xp.ones((), value.dtype)
        for part in self.fractions:  # ascending
            level = level * xp.asarray(self.factor, value.dtype)
            value = xp.where(p.reached(part), level, value)
        return value

    def complement(self, progress: Progress | Any) -> Any:
        return 1.0 - self(progress)


@data
class Triangle:
    def __call__(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        return 2.0 * namespace(p.done).minimum(p.z, p.w)

    def complement(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        return Progress(namespace(p.done).abs(p.total - p.done - p.done), p.total).z


@data
class OneMinusSqrt:
    def __call__(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        return p.w / (1.0 + namespace(p.z).sqrt(p.z))

    def complement(self, progress: Progress | Any) -> Any:
        z = _progress(progress).z
        return namespace(z).sqrt(z)


@data
class MirrorCosine:
    def __call__(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        return 2.0 * p.w - Cosine()(p)

    def complement(self, progress: Progress | Any) -> Any:
        return self(_progress(progress).reversed)


@data
class Square:
    def __call__(self, progress: Progress | Any) -> Any:
        p = _progress(progress)
        return p.w * (1.0 + p.z)

    def complement(self, progress: Progress | Any) -> Any:
        z = _progress(progress).z
        return z * z


@data
class Tanh:
    lower: Number = -6.0
    upper: Number = 3.0

    def _check(self) -> None:
        check_number("lower", self.lower, at_least=-40.0, below=40.0)  # exp(80) is the order of float32's largest
        check_number("upper", self.upper, at_least=-40.0, below=40.0)

    def __call__(self, progress: Progress | Any) -> Any:
        return self._half(self.upper, _progress(progress).w)

    def complement(self, progress: Progress | Any) -> Any:
        return self._half(-self.lower, _progress(progress).z)

    def _half(self, end: Any, part: Any) -> Any:
        """(1 - tanh(end - (upper - lower) * part)) / 2 as a logistic function: precise where it is near 0, part too."""
        exp = namespace(part).exp
        return 1.0 / (1.0 + exp(part.dtype.type(2.0) * end) * exp(-2.0 * (self.upper - self.lower) * part))


@data
class Delayed:
    profile: Profile
    fraction: Ratio

    def _check(self) -> None:
        if is_concrete(self.fraction) and self.fraction.numerator == self.fraction.denominator:
            raise ValueError(f"fraction must be below 1, got {float(self.fraction):g}.")

    def __call__(self, progress: Progress | Any) -> Any:
        return self.profile(self._rest(_progress(progress)))

    def complement(self, progress: Progress | Any) -> Any:
        return self.profile.complement(self._rest(_progress(progress)))

    def _rest(self, p: Progress) -> Progress:
        """Progress within what lies behind the fraction: in the finest integers that fit, off by at most 2**-30."""
        xp = namespace(p.done)
        if np.issubdtype(p.done.dtype, np.integer):
            scale = LARGEST_STEP // p.total
            start = fraction_of(p.total * scale, self.fraction)
        else:
            scale = xp.ones_like(p.total)
            start = p.total * xp.asarray(self.fraction.numerator, p.total.dtype) / self.fraction.denominator
        return Progress(xp.maximum(p.done * scale - start, 0), p.total * scale - start)


def listed(given: Any) -> tuple[Any, ...]:
    """A list, an array or a tuple as a tuple; anything else as a tuple of one."""
    return tuple(given) if isinstance(given, tuple | list) or np.ndim(given) else (given,)
