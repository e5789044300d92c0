"""Schedules of other libraries by their own names and arguments, here Optax's; the libraries are not imported.

Each foreign schedule is one function here whose signature is the foreign one, so that Python itself checks names and
fills in defaults. Keras's and PyTorch's are beside this file. Where a library deviates from its documentation or its
paper, the page `tests/conformance/README.md` says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax.numpy as jnp

from lrsched.schedules.combine import clip, sequence
from lrsched.schedules.core import Schedule
from lrsched.schedules.families.decays import constant, cosine, polynomial
from lrsched.schedules.families.piecewise import piecewise_constant, piecewise_interpolate
from lrsched.schedules.families.rising import warmup
from lrsched.schedules.families.subsampled import in_parts
from lrsched.schedules.interop.arguments import Importer, call, flag, known, length, listed, number, refuse, whole
from lrsched.schedules.interop.building import cut, delayed, exponential, joined, warmed
from lrsched.schedules.values import Number, is_concrete


def _optax_constant(value: Number, *, total_steps: Number) -> Schedule:
    return constant(number("value", value, at_least=0.0), total_steps=whole("total_steps", total_steps, at_least=1))


def _optax_polynomial(
    init_value: Number, end_value: Number, power: Number, transition_steps: Number, transition_begin: Number = 0
) -> Schedule:
    first, last = (number(*pair, at_least=0.0) for pair in (("init_value", init_value), ("end_value", end_value)))
    power = number("power", power, at_least=0.0)
    steps, begin = length("transition_steps", transition_steps), _begin(transition_begin)
    if is_concrete(steps) and steps <= 0:
        return constant(first, total_steps=1)

    def build(steps: Number, begin: Number) -> Schedule:
        return delayed(first, begin, polynomial(first, total_steps=steps, power=power, end_value=last))

    return in_parts(build, steps, begin)


def _begin(transition_begin: Number) -> Any:
    begin = length("transition_begin", transition_begin)
    return max(begin, 0) if is_concrete(begin) else begin


def _optax_linear(
    init_value: Number, end_value: Number, transition_steps: Number, transition_begin: Number = 0
) -> Schedule:
    return _optax_polynomial(init_value, end_value, 1.0, transition_steps, transition_begin)


def _optax_exponential(
    init_value: Number,
    transition_steps: Number,
    decay_rate: Number,
    transition_begin: Number = 0,
    staircase: bool = False,
    end_value: Number | None = None,
    *,
    total_steps: Number,
) -> Schedule:
    rest = {"transition_begin": transition_begin, "staircase": staircase, "end_value": end_value}
    first = number("init_value", init_value, at_least=0.0)
    return _warmed_exponential(first, first, 0, total_steps, transition_steps, decay_rate, **rest)


def _warmed_exponential(
    init_value: Number,
    first: Number,
    warmup_steps: Number,
    total_steps: Number,
    transition_steps: Number,
    decay_rate: Number,
    transition_begin: Number = 0,
    staircase: bool = False,
    end_value: Number | None = None,
) -> Schedule:
    """A linear warmup, then a constant, then the exponential decay."""
    budget, begin = whole("total_steps", total_steps, at_least=1), _begin(transition_begin)
    period, stairs = length("transition_steps", transition_steps), flag("staircase", staircase)
    rate = number("decay_rate", decay_rate, at_least=0.0)
    still = (is_concrete(period) and period <= 0) or (is_concrete(rate) and rate == 0)

    def build(total: Number, warm: Number, begin: Number, *periods: Number) -> Schedule:
        left = total - warm
        if is_concrete(left):
            left = max(left, 1)
        if still or (is_concrete(left - begin) and left - begin <= 0):
            fall: Schedule = constant(first, total_steps=left)
        else:
            parts = total // budget if is_concrete(total) else 1
            every = periods[0] if periods else period
            fall = delayed(first, begin, exponential(first, rate, every, stairs, total=left - begin, parts=parts))
        if not still and end_value is not None:
            fall = _limited(fall, first, rate, end_value)
        made = warmed(init_value, first, warm, fall)
        return cut(made, total) if is_concrete(left) and total <= warm else made

    periods = [period] if stairs and not still else []
    longest = budget + warmup_steps if isinstance(warmup_steps, int | Fraction) else budget
    return in_parts(build, budget, warmup_steps, begin, *periods, budget=longest)


def _limited(fall: Schedule, first: Number, rate: Number, end_value: Number) -> Schedule:
    """Not below end_value if the rate falls, not above it if not."""
    end = number("end_value", end_value, at_least=0.0)
    if known("decay_rate", rate) < 1:
        concrete = is_concrete(first) and is_concrete(end)
        return clip(fall, minimum=end, maximum=max(first, end) if concrete else jnp.maximum(first, end))
    return clip(fall, maximum=end)


def _optax_cosine(init_value: Number, decay_steps: Number, alpha: Number = 0.0, exponent: Number = 1.0) -> Schedule:
    refuse("exponent", exponent, 1.0)
    first, low = number("init_value", init_value, at_least=0.0), number("alpha", alpha, at_least=0.0)
    steps = length("decay_steps", decay_steps, above=0.0)
    return in_parts(lambda steps: cosine(first, total_steps=steps, end_value=low * first), steps)


def _optax_piecewise_constant(
    init_value: Number, boundaries_and_scales: Mapping[Number, Number] | None = None, *, total_steps: Number
) -> Schedule:
    places, values = _levels(boundaries_and_scales)
    after = tuple(max(math.ceil(place), 0) for place in places)  # the first whole step that is not before it
    first, total = number("init_value", init_value, at_least=0.0), whole("total_steps", total_steps, at_least=1)
    return piecewise_constant(first, total_steps=total, boundaries=after, values=values)


def _optax_piecewise_interpolate(
    interpolate_type: str, init_value: Number, boundaries_and_scales: Mapping[Number, Number] | None = None
) -> Schedule:
    if interpolate_type not in ("linear", "cosine"):
        raise ValueError(f"interpolate_type must be one of linear, cosine, got {interpolate_type!r}.")
    places, values = _levels(boundaries_and_scales)
    first = number("init_value", init_value, at_least=0.0)
    for before, after in itertools.pairwise((0, *places)):
        if after < before or (after - before < 1 and before < math.ceil(before) < after):
            raise ValueError(
                "the keys of boundaries_and_scales must be at least 0, and a step apart where not whole, "
                f"got {', '.join(f'{float(place):g}' for place in places)}."
            )

    def build(*places: int) -> Schedule:
        total = max((1, *places))
        return piecewise_interpolate(
            first, total_steps=total, boundaries=places, values=values, interpolation=interpolate_type
        )

    return in_parts(build, *places, budget=max((1, *places)))


def _levels(scales: Mapping[Number, Number] | None) -> tuple[tuple[Any, ...], tuple[Number, ...]]:
    """The boundaries, and the levels that Optax's factors multiply up to, over the first one."""
    if not isinstance(scales, Mapping | None):
        raise ValueError(f"boundaries_and_scales must map steps to factors, got {scales!r}.")
    given = [
        (length("a key of boundaries_and_scales", known("a key of boundaries_and_scales", place)), scale)
        for place, scale in (scales or {}).items()
    ]
    given.sort(key=lambda pair: pair[0])
    values: list[Number] = [1.0]
    for _, scale in given:
        factor = number("a factor of boundaries_and_scales", scale, at_least=0.0)
        values.append(number("the product of boundaries_and_scales", values[-1] * factor))
    return tuple(place for place, _ in given), tuple(values)


def _optax_linear_onecycle(
    transition_steps: Number,
    peak_value: Number,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: Number = 25.0,
    final_div_factor: Number = 1e4,
) -> Schedule:
    steps, low = known("transition_steps", length("transition_steps", transition_steps, above=0.0)), div_factor
    scales = {_place("pct_start", pct_start, steps): number("div_factor", low, above=0.0)}
    scales[_place("pct_final", pct_final, steps)] = 1.0 / low
    scales[steps] = 1.0 / number("final_div_factor", final_div_factor, above=0.0)
    return _optax_piecewise_interpolate("linear", number("peak_value", peak_value, at_least=0.0) / low, scales)


def _optax_cosine_onecycle(
    transition_steps: Number,
    peak_value: Number,
    pct_start: float = 0.3,
    div_factor: Number = 25.0,
    final_div_factor: Number = 1e4,
) -> Schedule:
    steps, low = known("transition_steps", length("transition_steps", transition_steps, above=0.0)), div_factor
    scales = {_place("pct_start", pct_start, steps): number("div_factor", low, above=0.0)}
    scales[int(steps)] = 1.0 / (low * number("final_div_factor", final_div_factor, above=0.0))
    return _optax_piecewise_interpolate("cosine", number("peak_value", peak_value, at_least=0.0) / low, scales)


def _place(name: str, share: float, steps: int | Fraction) -> int:
    """Optax's boundary: a key of a dict, as all of its onecycle, of which a later one takes the place of an equal."""
    return int(known(name, number(name, share, at_least=0.0)) * (steps if isinstance(steps, int) else float(steps)))


def _optax_warmup_constant(
    init_value: Number, peak_value: Number, warmup_steps: Number, *, total_steps: Number
) -> Schedule:
    first, peak = number("init_value", init_value, at_least=0.0), number("peak_value", peak_value, at_least=0.0)
    total, warm = whole("total_steps", total_steps, at_least=1), length("warmup_steps", warmup_steps)
    if is_concrete(warm) and warm <= 0:  # a transition of no step never begins
        return constant(first, total_steps=total)

    def build(total: Number, warm: Number) -> Schedule:
        if is_concrete(warm) and is_concrete(total) and warm >= total:
            return cut(warmup(peak, total_steps=warm, init_value=first), total)
        return warmed(first, peak, warm, constant(peak, total_steps=total - warm))

    return in_parts(build, total, warm)


def _cosine_cycle(
    init_value: Number,
    peak_value: Number,
    warmup_steps: Number,
    decay_steps: Number,
    end_value: Number = 0.0,
    exponent: Number = 1.0,
) -> tuple[Any, ...]:
    """The arguments of a warmup and a cosine, checked: three rates, the warmup, and the length of both."""
    refuse("exponent", exponent, 1.0)
    rates = {"init_value": init_value, "peak_value": peak_value, "end_value": end_value}
    first, peak, end = (number(name, rate, at_least=0.0) for name, rate in rates.items())
    warm = length("warmup_steps", warmup_steps, at_least=0.0)
    both = length("decay_steps", decay_steps, above=0.0)
    if is_concrete(warm) and is_concrete(both) and both <= warm:
        raise ValueError(f"decay_steps must be above warmup_steps = {warmup_steps}, got {decay_steps}.")
    end = 0.0 if is_concrete(peak) and peak == 0 else end  # Optax's is a share of the peak
    return (first, peak, end), warm, both


def _made_cycle(rates: tuple[Number, Number, Number], warm: Number, both: Number) -> Schedule:
    first, peak, end = rates
    return warmed(first, peak, warm, cosine(peak, total_steps=both - warm, end_value=end))


def _optax_warmup_cosine(*given: Any, **named: Any) -> Schedule:
    rates, *lengths = _cosine_cycle(*given, **named)
    return in_parts(lambda warm, both: _made_cycle(rates, warm, both), *lengths)


def _optax_warmup_exponential(
    init_value: Number, peak_value: Number, warmup_steps: Number, *, total_steps: Number, **rest: Any
) -> Schedule:
    first, peak = number("init_value", init_value, at_least=0.0), number("peak_value", peak_value, at_least=0.0)
    warm = length("warmup_steps", warmup_steps, at_least=0.0)
    return _warmed_exponential(first, peak, warm, total_steps, **rest)


def _optax_sgdr(cosine_kwargs: Sequence[Mapping[str, Any]]) -> Schedule:
    cycles = [_cosine_cycle(**cycle) for cycle in listed("cosine_kwargs", cosine_kwargs)]
    if not cycles:
        raise ValueError("cosine_kwargs must hold at least one cycle, got none.")

    def build(*lengths: Number) -> Schedule:
        triples = zip(cycles, lengths[::2], lengths[1::2], strict=True)
        return sequence([_made_cycle(rates, warm, both) for (rates, *_), warm, both in triples])

    return in_parts(build, *(steps for _, *pair in cycles for steps in pair))


def _optax_join(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    return joined("schedules", listed("schedules", schedules), "boundaries", boundaries)


OPTAX: dict[str, Importer] = {
    "constant_schedule": _optax_constant,
    "cosine_decay_schedule": _optax_cosine,
    "cosine_onecycle_schedule": _optax_cosine_onecycle,
    "exponential_decay": _optax_exponential,
    "join_schedules": _optax_join,
    "linear_onecycle_schedule": _optax_linear_onecycle,
    "linear_schedule": _optax_linear,
    "piecewise_constant_schedule": _optax_piecewise_constant,
    "piecewise_interpolate_schedule": _optax_piecewise_interpolate,
    "polynomial_schedule": _optax_polynomial,
    "sgdr_schedule": _optax_sgdr,
    "warmup_constant_schedule": _optax_warmup_constant,
    "warmup_cosine_decay_schedule": _optax_warmup_cosine,
    "warmup_exponential_decay_schedule": _optax_warmup_exponential,
}


def from_optax(name: str, **arguments: Any) -> Schedule:
    """A schedule of Optax's, as data: its budget and its numbers can be traced, compared, written as JSON.

    lr(t) is what optax's function of that name returns at t, and constant from the schedule's end on.

    Args:
      name: "cosine_decay_schedule", "sgdr_schedule", ...; "join_schedules" joins schedules of this library.
      arguments: the function's own, by name. Those that have no end (constant, exponential, piecewise constant) take
        total_steps as well. exponent is not supported.
    Returns:
      int step of any shape -> float32 of that shape.
    Raises:
      ValueError: if the name or an argument is not known, or has no counterpart here.
    Example:
      >>> schedule = from_optax("warmup_cosine_decay_schedule", init_value=0.0, peak_value=0.1, warmup_steps=10,
      ...                       decay_steps=100)
      >>> print(f"{schedule(5):.3f} {schedule(10):.3f} {schedule(55):.3f} {schedule(100):.3f}")
      0.050 0.100 0.050 0.000

    Source:
      Optax 0.2.8, `optax.schedules`; compared at every step in tests/conformance.
    """
    return call("Optax", OPTAX, name, arguments)
