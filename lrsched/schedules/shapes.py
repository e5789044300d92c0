"""What a profile is, and the profiles that are made of another one."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrsched.schedules.progress import Progress, Ratio, fraction_of
from lrsched.schedules.values import LARGEST_STEP, Number, check_number, is_concrete, namespace, short, value_class


class Powered:
    """A power of progress, for profiles that ask for nothing but what is done (z) and what remains (w)."""

    def __init__(self, z: Any, w: Any) -> None:
        self.z, self.w, self.done = z, w, z

    @property
    def reversed(self) -> Powered:
        return Powered(self.w, self.z)


class Profile:
    """A shape. A profile defines `_value`, and `_complement` where 1 - `_value` would lose digits."""

    def __call__(self, progress: Progress | Any) -> Any:
        return self._value(_given(progress))

    def complement(self, progress: Progress | Any) -> Any:
        return self._complement(_given(progress))

    def _value(self, p: Progress) -> Any:
        """The formula. The base class has none, and a shape made up here would train somebody's network: only a new
        class that forgot its own gets this far, and test_contracts, which calls all of PROFILES, finds it."""
        raise NotImplementedError(f"{type(self).__name__} must define _value, the profile's formula")

    def _complement(self, p: Progress) -> Any:
        return 1.0 - self._value(p)


def _given(progress: Any) -> Any:
    """Progress as it is; of a plain fraction, the progress that it is."""
    return progress if isinstance(progress, Progress | Powered) else Progress.of(progress)


@value_class
class ExponentialToZero(Profile):
    """Exponential to zero: the same factor over equal parts, shifted so that it ends at 0.

    f(z) = (ratio**z - ratio) / (1 - ratio).

    Args:
      ratio: where it would end unshifted; in (0, 1), and near 1 it is the line. 1/2 is Megatron-LM's, 1/10 timm's.
    Source: Hu et al., "MiniCPM", arXiv:2404.06395 (0.5**z); the shift is of Megatron-LM and timm's WSDLRScheduler.
    """

    ratio: Number = 0.5

    def _check(self) -> None:
        check_number("ratio", self.ratio, at_least=0.0, below=1.0)
        if is_concrete(self.ratio) and self.ratio == 0:
            raise ValueError("ratio must be above 0, got 0.")

    def _value(self, p: Progress) -> Any:
        xp, log = namespace(p.z), self._log(p)
        return xp.exp(log * p.z) * xp.expm1(log * p.w) / xp.expm1(log)

    def _complement(self, p: Progress) -> Any:
        xp, log = namespace(p.z), self._log(p)
        return xp.expm1(log * p.z) / xp.expm1(log)

    def _log(self, p: Progress) -> Any:
        xp = namespace(p.z)
        return xp.log(xp.asarray(self.ratio, p.z.dtype))


@value_class
class Delayed(Profile):
    """1 until a fraction, then the whole of another profile over what is left."""

    profile: Profile
    fraction: Ratio

    def _check(self) -> None:
        if is_concrete(self.fraction) and self.fraction.numerator == self.fraction.denominator:
            raise ValueError(f"fraction must be below 1, got {float(self.fraction)}.")

    def _value(self, p: Progress) -> Any:
        return self.profile(self._rest(p))

    def _complement(self, p: Progress) -> Any:
        return self.profile.complement(self._rest(p))

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


@value_class
class KDecay(Profile):
    """Another profile of progress to the power of k."""

    profile: Profile
    k: Number = 2.0

    def _check(self) -> None:
        check_number("k", self.k, at_least=0.0)
        if is_concrete(self.k) and self.k == 0:
            raise ValueError("k must be above 0, got 0.")
        if hasattr(self.profile, "fractions") or hasattr(self.profile, "fraction"):
            raise ValueError(f"profile of a k-decay must be smooth, such as cosine, got {short(self.profile)}.")

    def _value(self, p: Progress) -> Any:
        return self.profile(self._powered(p))

    def _complement(self, p: Progress) -> Any:
        return self.profile.complement(self._powered(p))

    def _powered(self, p: Progress) -> Powered:
        """z**k and 1 - z**k, the second not as a difference: near the end z**k is rounded to 1."""
        xp, z, w = namespace(p.z), p.z, p.w
        inside = xp.logical_and(z > 0, w > 0)  # at the ends logarithms, or their gradients, are not finite
        half = xp.full_like(z, 0.5)
        z, w = xp.where(inside, z, half), xp.where(inside, w, half)
        log = xp.where(w < 0.5, xp.log1p(-xp.minimum(w, half)), xp.log(z))
        done, left = z**self.k, -xp.expm1(self.k * log)
        return Powered(xp.where(inside, done, p.z), xp.where(inside, left, p.w))
