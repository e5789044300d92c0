"""Profiles: the shape of a decay, from 1 at the start towards 0 at the end, as a function of progress alone.

A profile is a value that is called with a plain fraction in [0, 1], or with the exact `Progress` of a schedule, and
gives a multiplier; it knows neither steps nor rates: `profiles.rex()(0.5)` is 2/3. z = t / T is the progress and
w = 1 - z what remains; both are exact, so each formula is computed in the one that keeps its precision. For the same
reason a profile f knows its complement 1 - f: subtracted from 1, a small rise would be lost in float32. Every number
may be traced; one that is concrete and outside what is allowed raises ValueError.

A new decay is a class here and a function in `families.decays`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrsched.schedules.progress import Progress, Ratio, ratio, sin_squared
from lrsched.schedules.shapes import Delayed, ExponentialToZero, KDecay, Powered, Profile
from lrsched.schedules.values import Number, as_tuple, check_choice, check_number, is_concrete, namespace, value_class


@value_class
class Constant(Profile):
    """Constant: 1 throughout. f(z) = 1. Source: The "none" rows of Chen, Wolfe, Kyrillidis, arXiv:2107.04197."""

    def _value(self, p: Progress) -> Any:
        return namespace(p.done).ones_like(p.w)


@value_class
class Linear(Profile):
    """Linear: what remains. f(z) = 1 - z. Source: Li, Yumer, Ramanan, ICLR 2020, arXiv:1905.04753."""

    def _value(self, p: Progress) -> Any:
        return p.w

    def _complement(self, p: Progress) -> Any:
        return p.z


@value_class
class Cosine(Profile):
    """Cosine: half a period, flat at both ends. f(z) = (1 + cos(pi z)) / 2, computed as sin(pi w / 2)**2.

    Source: Loshchilov, Hutter, ICLR 2017, arXiv:1608.03983.
    """

    def _value(self, p: Progress) -> Any:
        return sin_squared(p.w)

    def _complement(self, p: Progress) -> Any:
        return self(p.reversed)


@value_class
class Exponential(Profile):
    """Exponential: the same factor over equal parts. f(z) = exp(gamma z).

    Args:
      gamma: the logarithm of the value at 1; finite. -3 is the REX paper's, and ends at 0.0498.
    Source: Chen, Wolfe, Kyrillidis, arXiv:2107.04197, section 4.1.
    """

    gamma: Number = -3.0

    def _value(self, p: Progress) -> Any:
        return namespace(p.z).exp(self.gamma * p.z)

    def _complement(self, p: Progress) -> Any:
        return -namespace(p.z).expm1(self.gamma * p.z)


@value_class
class Polynomial(Profile):
    """Polynomial: a power of what remains. f(z) = (1 - z)**power.

    Args:
      power: at least 0; 0.9 is DeepLab's, 1 is linear.
    Source: Chen et al., arXiv:1606.00915.
    """

    power: Number = 1.0

    def _check(self) -> None:
        check_number("power", self.power, at_least=0.0)

    def _value(self, p: Progress) -> Any:
        return p.w**self.power

    def _complement(self, p: Progress) -> Any:
        xp, near = namespace(p.z), p.w < 0.5  # the end, where z is rounded to 1
        left = xp.where(xp.logical_and(near, p.w > 0), p.w, xp.ones_like(p.w))  # the logarithm of 0 is not finite
        log = xp.where(near, xp.log(left), xp.log1p(-xp.where(near, xp.zeros_like(p.z), p.z)))
        return xp.where(p.w > 0, -xp.expm1(self.power * log), 1.0 - self(p))


@value_class
class Rex(Profile):
    """REX: up early, down fast at the end. f(z) = (1 - z) / ((1 - d) + d (1 - z)).

    Args:
      d: in [0, 1). 1/2 is the paper's; some published codes use 0.9, another curve (0.909 against 0.667 half way); 0 is
        linear.
    Source: Chen, Wolfe, Kyrillidis, MLSys 2022, arXiv:2107.04197, section 3.
    """

    d: Number = 0.5

    def _check(self) -> None:
        check_number("d", self.d, at_least=0.0, below=1.0)

    def _value(self, p: Progress) -> Any:
        return p.w / ((1.0 - self.d) + self.d * p.w)

    def _complement(self, p: Progress) -> Any:
        return (1.0 - self.d) * p.z / ((1.0 - self.d) + self.d * p.w)


@value_class
class Step(Profile):
    """Step: f(z) = factor**k, k the number of fractions that are at most z."""

    fractions: tuple[Ratio, ...]
    factor: Number = 0.1

    def _check(self) -> None:
        check_number("factor", self.factor, at_least=0.0)
        if all(map(is_concrete, self.fractions)):
            places = list(map(float, self.fractions))
            if places != sorted(places):
                raise ValueError(f"fractions must ascend, got {', '.join(map(str, places))}.")

    def _value(self, p: Progress) -> Any:
        xp = namespace(p.done)
        result = xp.ones_like(p.w)
        level = xp.ones((), result.dtype)
        for part in self.fractions:  # ascending
            level = level * xp.asarray(self.factor, result.dtype)
            result = xp.where(p.reached(part), level, result)
        return result


@value_class
class Triangle(Profile):
    """Triangle: up to 1 at half way, and down again. f(z) = 2 min(z, 1 - z).

    Source: The cycle of Chen, Wolfe, Kyrillidis, arXiv:2107.04197, section 4.1, after Smith, arXiv:1506.01186.
    """

    def _value(self, p: Progress) -> Any:
        return 2.0 * namespace(p.done).minimum(p.z, p.w)

    def _complement(self, p: Progress) -> Any:
        if isinstance(p, Powered):
            return namespace(p.z).abs(p.w - p.z)
        return Progress(namespace(p.done).abs(p.total - p.done - p.done), p.total).z


@value_class
class OneMinusSqrt(Profile):
    """1-sqrt: steep first, then nearly linear. f(z) = 1 - sqrt(z). Source: Haegele et al., arXiv:2405.18392."""

    def _value(self, p: Progress) -> Any:
        return p.w / (1.0 + namespace(p.z).sqrt(p.z))

    def _complement(self, p: Progress) -> Any:
        return namespace(p.z).sqrt(p.z)


@value_class
class MirrorCosine(Profile):
    """Mirror cosine: the cosine mirrored at the line. f(z) = 2 (1 - z) - (1 + cos(pi z)) / 2.

    Source: Code of Haegele et al., arXiv:2405.18392.
    """

    def _value(self, p: Progress) -> Any:
        return 2.0 * p.w - Cosine()(p)

    def _complement(self, p: Progress) -> Any:
        return self(p.reversed)


@value_class
class Inverse(Profile):
    """Inverse: one over the rate rises by the same amount. f(z) = (1 - z) / (1 + (over - 1) z).

    With a peak of `over` times the end value the rate is peak / (1 + (over - 1) z). It is REX with d = 1 - over.

    Args:
      over: the peak over the end value; at least 1, which is the line.
    Source: Wen et al., arXiv:2410.05192.
    """

    over: Number = 10.0

    def _check(self) -> None:
        check_number("over", self.over, at_least=1.0)

    def _value(self, p: Progress) -> Any:
        return p.w / (1.0 + (self.over - 1.0) * p.z)

    def _complement(self, p: Progress) -> Any:
        return self.over * p.z / (1.0 + (self.over - 1.0) * p.z)


@value_class
class Square(Profile):
    """Square: flat first, then ever steeper. f(z) = 1 - z**2. Source: Code of Haegele et al., arXiv:2405.18392."""

    def _value(self, p: Progress) -> Any:
        return p.w * (1.0 + p.z)

    def _complement(self, p: Progress) -> Any:
        return p.z * p.z


@value_class
class Tanh(Profile):
    """Hyperbolic tangent (HTD): up, a slope, and down; 0.999994 at 0 and 0.0025 at 1 by default.

    f(z) = (1 - tanh(lower + (upper - lower) z)) / 2.

    Args:
      lower: the argument at 0, in [-40, 40).
      upper: the argument at 1, in [-40, 40).
    Source: Hsueh, Li, Wu, arXiv:1806.01593 (HTD(-6, 3)).
    """

    lower: Number = -6.0
    upper: Number = 3.0

    def _check(self) -> None:
        check_number("lower", self.lower, at_least=-40.0, below=40.0)  # exp(80) is the order of float32's largest
        check_number("upper", self.upper, at_least=-40.0, below=40.0)

    def _value(self, p: Progress) -> Any:
        return self._half(self.upper, p.w)

    def _complement(self, p: Progress) -> Any:
        return self._half(-self.lower, p.z)

    def _half(self, end: Any, part: Any) -> Any:
        """(1 - tanh(end - (upper - lower) * part)) / 2 as a logistic function: precise where it is near 0, part too."""
        exp = namespace(part).exp
        return 1.0 / (1.0 + exp(part.dtype.type(2.0) * end) * exp(-2.0 * (self.upper - self.lower) * part))


constant, linear, cosine, exponential, polynomial, rex = Constant, Linear, Cosine, Exponential, Polynomial, Rex
inverse, exponential_to_zero = Inverse, ExponentialToZero
triangle, one_minus_sqrt, mirror_cosine, square, tanh = Triangle, OneMinusSqrt, MirrorCosine, Square, Tanh


def step(fractions: Number | Sequence[Number] = (0.5, 0.75), factor: Number = 0.1) -> Step:
    """Step: a factor at given fractions. f(z) = factor**k, k the number of fractions that are at most z.

    Args:
      fractions: where the factor comes, each in [0, 1]; by default the REX paper's.
      factor: at least 0.
    Source: He et al., arXiv:1512.03385; Chen, Wolfe, Kyrillidis, arXiv:2107.04197, section 4.1.
    """
    parts = tuple(ratio("fractions", part) for part in as_tuple(fractions))
    return Step(tuple(sorted(parts, key=float)) if all(map(is_concrete, parts)) else parts, factor)


def delayed(profile: str | Profile = "linear", fraction: Number = 0.5) -> Delayed:
    """Delayed: 1 until a fraction, then the whole of another profile over what is left.

    f(z) = 1 for z < fraction, else profile((z - fraction) / (1 - fraction)).

    Args:
      profile: a name of PROFILES, or a profile.
      fraction: in [0, 1).
    Source: Chen, Wolfe, Kyrillidis, arXiv:2107.04197, figure 3.
    """
    return Delayed(named(profile), ratio("fraction", fraction))


def k_decay(profile: str | Profile = "cosine", k: Number = 2.0) -> KDecay:
    """K-decay: another profile of a power of progress, which stays up longer (k > 1) or falls sooner (k < 1).

    f(z) = profile(z**k).

    Args:
      profile: a smooth one: linear, cosine, exponential, polynomial, rex, one_minus_sqrt, mirror_cosine, square, tanh;
        by its name, or a value.
      k: above 0; 1 is the profile itself. The paper finds values above 1 better.
    Source: Zhang, Li, "k-decay", arXiv:2004.05909.
    """
    return KDecay(named(profile), k)


#: Profiles by name, with their default numbers.
PROFILES: dict[str, Profile] = {
    name: made()
    for name, made in sorted(vars().items())
    if name in ("step",) or (isinstance(made, type) and name.islower() and name not in ("value_class", "triangle"))
}


def named(profile: str | Profile) -> Profile:
    """Named: a profile by its name, with its default numbers.

    Args:
      profile: a key of PROFILES; a profile is returned as it is.
    Raises:
      ValueError: if there is no such profile; the message lists them.
    Example:
      >>> print(f"{named('rex')(0.5):.4f}")
      0.6667
    """
    if callable(profile) and hasattr(profile, "complement") and not isinstance(profile, type):
        return profile
    return PROFILES[check_choice("profile", profile, PROFILES)]
