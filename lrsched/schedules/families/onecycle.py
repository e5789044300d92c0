"""1cycle: the rate up and down once while the momentum goes down and up.

The sources disagree on this schedule more than on any other, so a variant has a name. Smith's own code falls from the
peak straight towards 0 and stays at a thousandth of the lower bound; most others come back to the lower bound first, or
take one long way down; `rex_paper` has no tail at all, which is part of why OneCycle looks poor in that paper. A budget
of a few updates may have no room for the first phases: of one or two "smith" is its tail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lrsched.schedules.core import Decay
from lrsched.schedules.documented import documented
from lrsched.schedules.durations import duration
from lrsched.schedules.families._phases import Boundary, Halving, Phases
from lrsched.schedules.profiles import Constant
from lrsched.schedules.progress import Ratio
from lrsched.schedules.sampling import Sampling, given
from lrsched.schedules.values import Number, check_number, check_steps, is_concrete

DOWN, UP = -1, 1  # how a boundary is rounded


class Variant(NamedTuple):
    """Numbers of one source; rates are over the peak."""

    initial: float
    final: Callable[[Number], Number]  # of the initial fraction
    peak: Boundary
    tail: Boundary | None  # where the tail begins; its `part` is the peak's, unless it has one of its own
    momentum: tuple[float, float] = (0.95, 0.85)
    cosine: bool = False
    end: Boundary = Boundary(Ratio(1, 1))


def _pair(part: Ratio, **words: int) -> tuple[Boundary, Boundary]:
    """The boundary of a half cycle and that of the whole cycle."""
    return Boundary(part, **words), Boundary(part, **words, times=2)


NONE = (0.9, 0.9)  # the source leaves momentum alone
LAST = Boundary(Ratio(1, 1), offset=-1)
VARIANTS = {
    "smith": Variant(0.1, lambda low: low / 1000, *_pair(Ratio(41, 95), rounding=DOWN)),
    "geron": Variant(0.1, lambda low: low / 1000, *_pair(Ratio(9, 20), offset=-1, rounding=UP), NONE),
    "nachiket": Variant(0.1, lambda low: low * low, *_pair(Ratio(9, 20), rounding=DOWN)),
    "fastai_legacy": Variant(0.1, lambda low: low / 100, *_pair(Ratio(9, 20), rounding=DOWN)),
    "fastai": Variant(1 / 25, lambda low: 1e-5, Boundary(Ratio(1, 4)), None, cosine=True),
    "torch": Variant(1 / 25, lambda low: low / 1e4, Boundary(Ratio(3, 10), offset=-1), None, cosine=True, end=LAST),
    "torch_three_phase": Variant(1 / 25, lambda low: low / 1e4, *_pair(Ratio(3, 10), offset=-1), cosine=True, end=LAST),
    "keras_article": Variant(1 / 25, lambda low: low / 1e4, Boundary(Ratio(3, 10), rounding=DOWN), None, NONE),
    "optax_linear": Variant(
        1 / 25,
        lambda low: low / 1e4,
        Boundary(Ratio(3, 10), rounding=DOWN),
        Boundary(Ratio(17, 20), rounding=DOWN),
        NONE,
    ),
    "optax_cosine": Variant(
        1 / 25, lambda low: low / 1e4, Boundary(Ratio(3, 10), rounding=DOWN), None, NONE, cosine=True
    ),
    "rex_paper": Variant(0.1, lambda low: low, *_pair(Ratio(1, 2))),
}


_TABLE = """\
variant             initial  final    peak         tail         annealing  momentum
smith               1/10     low/1e3  41/95 down   twice that   linear     0.95, 0.85, half as much in the tail
geron               1/10     low/1e3  9/20 up - 1  twice that   linear     none: 0.9 throughout
nachiket            1/10     low**2   9/20 down    twice that   linear     0.95, 0.85
fastai_legacy       1/10     low/1e2  9/20 down    twice that   linear     0.95, 0.85
fastai              1/25     1e-5     1/4          none         cosine     0.95, 0.85
torch               1/25     low/1e4  3/10 - 1     none         cosine     0.95, 0.85
torch_three_phase   1/25     low/1e4  3/10 - 1     twice that   cosine     0.95, 0.85
keras_article       1/25     low/1e4  3/10 down    none         linear     none: 0.9 throughout
optax_linear        1/25     low/1e4  3/10 down    17/20 down   linear     none: 0.9 throughout
optax_cosine        1/25     low/1e4  3/10 down    none         cosine     none: 0.9 throughout
rex_paper           1/10     low      1/2          (1)          linear     0.95, 0.85

(low: initial_fraction. Boundaries are fractions of total_steps, rounded down or up to a step or not at all, less
one step where it says - 1. torch also ends at total_steps - 1.)"""


@documented
def onecycle(
    peak_value: Number,
    *,
    total_steps: Number,
    variant: str = "smith",
    initial_fraction: Number | None = None,
    final_fraction: Number | None = None,
    peak_position: Number | str | Ratio | None = None,
    tail_position: Number | str | Ratio | None = None,
    annealing: str | None = None,
    sampling: Sampling | str | None = None,
) -> Phases:
    """1cycle: from a fraction of the peak up to the peak, down again, and far below at the end; by named variants.

    lr(t) = peak_value * (a + (b - a) * x),   x = (t - t_a) / (t_b - t_a), or sin(pi x / 2)**2 if annealing is cosine,
    t_a and t_b the boundaries about t, a and b the values there: initial_fraction at 0, 1 at peak_position,
    initial_fraction at tail_position (where there is a tail), final_fraction at total_steps. With variant "smith"
    b = 0 at tail_position, and the rate is never below final_fraction * peak_value.

    TABLE

    Args:
      peak_value: the rate at the peak; at least 0.
      variant: a name from the table; None in what follows is what the table says.
      initial_fraction: rate of the first update over the peak; at least 0.
      final_fraction: rate at the end over the peak; at least 0.
      peak_position: where the peak is: a fraction of the budget (0.3, "30%", rounded as the variant does), or that very
        update (300, "300st"), which does not change with the budget and is cut off by a shorter one.
      tail_position: the same for where the tail begins; only where the table has one that is no multiple of the peak's.
      annealing: "linear" or "cosine", in every phase.
    Returns:
      lr(0) = initial_fraction * peak_value, lr(total_steps) =
      final_fraction * peak_value (in smith's tail and for torch at total_steps - 1 already), constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or an argument does not go with the variant.
    Example:
      >>> cycle = onecycle(1.0, total_steps=950)
      >>> print(f"{cycle(0):.3f} {cycle(410):.3f} {cycle(615):.3f} {cycle(820):.4f}")
      0.100 1.000 0.500 0.0001

    Source:
      smith: Smith, arXiv:1803.09820, and his logs and code for it (lnsmith54/hyperParam1). geron: Hands-On Machine
      Learning, 2nd edition, chapter 11 (ageron/handson-ml2). nachiket: nachiket273/One_Cycle_Policy, which begins again
      at total_steps; here the end is held. fastai_legacy: fastai 0.7, use_clr_beta=(10, 10, 0.95, 0.85). fastai: fastai
      2, fit_one_cycle. torch: OneCycleLR, which raises from total_steps on; here the end is held. keras_article:
      "1Cycle with TensorFlow and Keras", counting steps through all epochs. optax: its two
      onecycle schedules, whose int(fraction * steps) loses a step where the product is rounded down. rex_paper: Chen,
      Wolfe, Kyrillidis, arXiv:2107.04197, section 4.1.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    numbers, ends, cosine = _resolved(variant, peak_position, tail_position, annealing)
    low: Any = numbers.initial if initial_fraction is None else initial_fraction
    check_number("initial_fraction", low, at_least=0.0)
    final: Any = numbers.final(low) if final_fraction is None else final_fraction
    check_number("final_fraction", final, at_least=0.0)
    if variant == "smith":
        return Phases(peak_value, total_steps, (low, 1.0, 0.0), ends[:2], given(sampling), floor=final, cosine=cosine)
    values = (low, 1.0, final) if len(ends) == 2 else (low, 1.0, low, final)
    return Phases(peak_value, total_steps, values, ends, given(sampling), cosine=cosine)


onecycle.__doc__ = (onecycle.__doc__ or "").replace("TABLE", _TABLE)


def onecycle_momentum(
    max_value: Number | None = None,
    *,
    total_steps: Number,
    variant: str = "smith",
    min_value: Number | None = None,
    peak_position: Number | str | Ratio | None = None,
    tail_position: Number | str | Ratio | None = None,
    annealing: str | None = None,
    sampling: Sampling | str | None = None,
) -> Phases | Halving | Decay:
    """1cycle's momentum: down while the rate goes up, up while it falls, and high in the tail.

    m(t) = max_value + (min_value - max_value) * x, x from 0 at update 0 to 1 at the rate's peak and back to 0 at
    tail_position (or, where there is no tail, at the end), then 0. With variant "smith" x goes on: half as high in the
    next cycle, of which a run sees the beginning, a quarter in the one after it.

    Args:
      max_value: momentum of the first update; in [0, 1). None: the variant's, 0.95; 0.9 for sources without momentum
        (geron, keras_article, optax_linear, optax_cosine), where it stays unless min_value is given.
      total_steps: budget in updates; at least 1. May be a traced array.
      variant: as for `onecycle`.
      min_value: momentum at the rate's peak; in [0, max_value]. None: the variant's, 0.85.
      peak_position: as for `onecycle`.
      tail_position: as for `onecycle`.
      annealing: as for `onecycle`.
      sampling: when the cycle is sampled; every update by default.
    Returns:
      int step of any shape -> float32 of that shape. m(0) = max_value. m(total_steps) = max_value, but for "smith"
      about 0.934 by default.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or an argument does not go with the variant.
    Example:
      >>> momentum = onecycle_momentum(total_steps=950)
      >>> print(f"{momentum(0):.3f} {momentum(410):.3f} {momentum(820):.3f} {momentum(950):.4f}")
      0.950 0.850 0.950 0.9341

    Source:
      As for `onecycle`. Table 1 of Smith, arXiv:1803.09820, has 0.95 to 0.80 for ResNet-56, his text 0.85.
    """
    total_steps = check_steps("total_steps", total_steps)
    numbers, ends, cosine = _resolved(variant, peak_position, tail_position, annealing)
    high: Any = numbers.momentum[0] if max_value is None else max_value
    low: Any = min_value
    if low is None:
        low = high if numbers.momentum == NONE else numbers.momentum[1]
    check_number("max_value", high, at_least=0.0, below=1.0)
    check_number("min_value", low, at_least=0.0, below=1.0)
    if is_concrete(high) and is_concrete(low) and low > high:
        raise ValueError(f"min_value must be at most max_value = {high}, got {low}.")
    every = given(sampling)
    if low is high or (is_concrete(high) and is_concrete(low) and low == high):  # not a sum that rounds to it
        return Decay(high, total_steps, Constant(), every)
    if variant == "smith":
        return Halving(high, low, total_steps, ends[0], every, cosine)
    return Phases(1.0, total_steps, (high, low, high), ends[:2], every, cosine=cosine)


def _resolved(
    variant: str,
    peak_position: Number | str | Ratio | None,
    tail_position: Number | str | Ratio | None,
    annealing: str | None,
) -> tuple[Variant, tuple[Boundary, ...], bool]:
    """The variant's numbers; the ends of its phases: peak, tail if there is one, end; whether it anneals by cosines."""
    if not isinstance(variant, str) or variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}.")
    if annealing not in (None, "linear", "cosine"):
        raise ValueError(f"annealing must be linear or cosine, got {annealing!r}.")
    numbers = VARIANTS[variant]
    peak, tail = _moved("peak_position", numbers.peak, peak_position), numbers.tail
    if tail is not None and tail.times == 2:
        tail = dataclasses.replace(peak, times=2)
    elif tail is not None:
        tail = _moved("tail_position", tail, tail_position)
    if tail_position is not None and (tail is None or tail.times == 2):
        raise ValueError(f"tail_position must be left out for variant {variant}, got {tail_position!r}.")
    ends = (peak, numbers.end) if tail is None else (peak, tail, numbers.end)
    fractions = [end.times * float(end.part) for end in ends if isinstance(end.part, Ratio) and _is_fixed(end)]
    steps = [end.times * int(end.part) for end in ends if not isinstance(end.part, Ratio) and _is_fixed(end)]
    for parts in (fractions, steps):
        if parts != sorted(parts):
            places = ", ".join(f"{part:g}" for part in parts)
            raise ValueError(
                f"peak_position must leave room for what follows it in the budget, got phases ending at {places}."
            )
    return numbers, ends, numbers.cosine if annealing is None else annealing == "cosine"


def _is_fixed(end: Boundary) -> bool:
    return is_concrete(end.part.numerator if isinstance(end.part, Ratio) else end.part)


def _moved(name: str, boundary: Boundary, position: Number | str | Ratio | None) -> Boundary:
    """The boundary at another position: a fraction with the variant's rounding, or a very update."""
    if position is None:
        return boundary
    part: Any = duration(position, name=name)
    return dataclasses.replace(boundary, part=part) if isinstance(part, Ratio) else Boundary(part)


def paired_momentum(rate: Mapping[str, Any]) -> dict[str, Any]:
    """The words of the momentum that a schedule brings along: 1cycle's shares its shape; of others 0.9 throughout.

    Raises:
      ValueError: for a 1cycle that is a schedule already made, or one of several segments.
    """
    if rate.get("schedule") != "onecycle":
        if _has_onecycle(rate):
            raise ValueError(
                "momentum must be given with a 1cycle that is already made or one of several segments (0.9; or words "
                "such as onecycle:variant=smith), got None."
            )
        return {"schedule": "constant", "peak_value": 0.9}
    both = ("variant", "peak_position", "tail_position", "annealing", "sampling")
    shared = {key: value for key, value in rate.items() if key in both}
    return {"schedule": "onecycle", **shared}


def _has_onecycle(found: Any) -> bool:
    """Whether a 1cycle is anywhere in parsed words or in an encoded schedule."""
    if isinstance(found, list):
        return any(map(_has_onecycle, found))
    if not isinstance(found, dict):
        return False
    named = found.get("kind") == "Phases" or found.get("schedule") == "onecycle"
    return named or any(map(_has_onecycle, found.values()))
