"""Keras's learning-rate schedules, from an object, its configuration, or a class name and arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from lrsched.schedules.core import Schedule
from lrsched.schedules.families.cycles import sgdr
from lrsched.schedules.families.decays import cosine, polynomial
from lrsched.schedules.families.inverse import inverse_time
from lrsched.schedules.families.piecewise import piecewise_constant
from lrsched.schedules.families.subsampled import in_parts
from lrsched.schedules.interop.arguments import (
    Importer,
    call,
    flag,
    known,
    length,
    listed,
    number,
    refuse,
    whole,
)
from lrsched.schedules.interop.building import exponential, warmed
from lrsched.schedules.progress import LARGEST_DENOMINATOR
from lrsched.schedules.values import LARGEST_STEP, Number, is_concrete


def _rate(value: Number) -> Any:
    return number("initial_learning_rate", value, at_least=0.0)


def _keras_cosine(
    initial_learning_rate: Number,
    decay_steps: Number,
    alpha: Number = 0.0,
    warmup_target: Number | None = None,
    warmup_steps: Number = 0,
) -> Schedule:
    first, low = _rate(initial_learning_rate), number("alpha", alpha, at_least=0.0)
    steps, warm = length("decay_steps", decay_steps, above=0.0), length("warmup_steps", warmup_steps, at_least=0.0)
    if warmup_target is None:
        return in_parts(lambda steps: cosine(first, total_steps=steps, end_value=low * first), steps)
    peak = number("warmup_target", warmup_target, at_least=0.0)

    def build(warm: Number, steps: Number) -> Schedule:
        return warmed(first, peak, warm, cosine(peak, total_steps=steps, end_value=low * peak))

    return in_parts(build, warm, steps)


def _keras_restarts(
    initial_learning_rate: Number,
    first_decay_steps: Number,
    t_mul: Number = 2.0,
    m_mul: Number = 1.0,
    alpha: Number = 0.0,
    *,
    total_steps: Number,
) -> Schedule:
    first, low = _rate(initial_learning_rate), number("alpha", alpha, at_least=0.0)
    if not is_concrete(low) or low:
        refuse("m_mul, with alpha above 0,", m_mul, 1.0)
    total, steps = (
        whole("total_steps", total_steps, at_least=1),
        length("first_decay_steps", first_decay_steps, above=0.0),
    )
    growth, factor = known("t_mul", number("t_mul", t_mul, above=0.0)), number("m_mul", m_mul, above=0.0)
    if is_concrete(total) and growth < 1 and not total <= steps / (1 - Fraction(growth)):
        raise ValueError(f"t_mul must leave room for total_steps = {total}, got cycles that end before, by {t_mul!r}.")

    def build(total: Number, steps: Number) -> Schedule:
        words = {"first_cycle": steps, "cycle_mult": growth, "restart_decay": factor, "end_value": low * first}
        try:
            return sgdr(first, total_steps=total, **words)
        except ValueError as error:
            if "in a table" not in str(error) and "cycle_mult" not in str(error):
                raise
            raise ValueError(f"t_mul must make no more than 10,000 cycles, each below 2**31, got {t_mul!r}.") from error

    ends = _restarts(steps, growth, total)
    longest = max(total, steps, *ends) if is_concrete(total) else None
    return in_parts(build, total, steps, ends=ends, budget=longest)


def _restarts(first: Number, growth: Number, total: Number) -> list[Fraction]:
    """Where cycles end within the budget, if any of them does so between two steps."""
    mult = Fraction(growth).limit_denominator(LARGEST_DENOMINATOR)
    if not is_concrete(total) or mult == 1 or (mult.denominator == 1 and isinstance(first, int)):
        return []
    ends, size = [Fraction(0)], Fraction(first)
    while ends[-1] < total and len(ends) < 50:  # of more the denominators are beyond all parts of a step
        ends.append(ends[-1] + size)
        size *= mult
    return ends


def _keras_exponential(
    initial_learning_rate: Number,
    decay_steps: Number,
    decay_rate: Number,
    staircase: bool = False,
    *,
    total_steps: Number,
) -> Schedule:
    first, rate = _rate(initial_learning_rate), number("decay_rate", decay_rate, above=0.0)
    total, period = whole("total_steps", total_steps, at_least=1), length("decay_steps", decay_steps, above=0.0)
    stairs = flag("staircase", staircase)

    def build(total: Number, period: Any) -> Schedule:
        return exponential(first, rate, period, stairs, total=total)

    return in_parts(build, total, period, budget=total) if stairs else build(total, period)


def _keras_inverse_time(
    initial_learning_rate: Number,
    decay_steps: Number,
    decay_rate: Number,
    staircase: bool = False,
    *,
    total_steps: Number,
) -> Schedule:
    first, rate = _rate(initial_learning_rate), number("decay_rate", decay_rate, at_least=0.0)
    total, period = whole("total_steps", total_steps, at_least=1), length("decay_steps", decay_steps, above=0.0)
    stairs = flag("staircase", staircase)
    if isinstance(period, Fraction) and not stairs:
        rate, period = rate / float(period), 1

    def build(total: Number, period: Number) -> Schedule:
        return inverse_time(first, total_steps=total, decay_rate=rate, transition_steps=period, staircase=stairs)

    return in_parts(build, total, period, budget=total)


def _keras_polynomial(
    initial_learning_rate: Number,
    decay_steps: Number,
    end_learning_rate: Number = 0.0001,
    power: Number = 1.0,
    cycle: bool = False,
) -> Schedule:
    refuse("cycle", cycle, False)
    first, last = _rate(initial_learning_rate), number("end_learning_rate", end_learning_rate, at_least=0.0)
    steps, power = length("decay_steps", decay_steps, above=0.0), number("power", power, at_least=0.0)
    return in_parts(lambda steps: polynomial(first, total_steps=steps, power=power, end_value=last), steps)


def _keras_piecewise(boundaries: Sequence[Number], values: Sequence[Number], *, total_steps: Number) -> Schedule:
    rates = tuple(number("values", value, at_least=0.0) for value in listed("values", values))
    places = [known("boundaries", length("boundaries", place)) for place in listed("boundaries", boundaries)]
    if not places or len(rates) != len(places) + 1:
        raise ValueError(
            f"values must be one more than boundaries, of at least one, got {len(rates)} and {len(places)}."
        )
    if places != sorted(places):
        raise ValueError(f"boundaries must ascend, got {', '.join(f'{float(place):g}' for place in places)}.")
    # Keras cuts a boundary to the step's type, an integer's, and it is the last step at the old value
    after = tuple(min(max(math.trunc(place) + 1, 0), LARGEST_STEP) for place in places)
    total = whole("total_steps", total_steps, at_least=1)
    return piecewise_constant(1.0, total_steps=total, boundaries=after, values=rates)


KERAS: dict[str, Importer] = {
    "CosineDecay": _keras_cosine,
    "CosineDecayRestarts": _keras_restarts,
    "ExponentialDecay": _keras_exponential,
    "InverseTimeDecay": _keras_inverse_time,
    "PiecewiseConstantDecay": _keras_piecewise,
    "PolynomialDecay": _keras_polynomial,
}


def from_keras(schedule: Any, **arguments: Any) -> Schedule:
    """A schedule of Keras's, from its object, its serialised form, or its class name and arguments.

    lr(t) is what Keras's schedule returns at t, and constant from the schedule's end on.

    Args:
      schedule: an object with get_config(), what keras.optimizers.schedules.serialize returns, or a class name.
      arguments: those of the class, if a name was given; and total_steps for a schedule that has no end (all but
        CosineDecay and PolynomialDecay). cycle=True is not supported.
    Returns:
      int step of any shape -> float32 of that shape.
    Raises:
      ValueError: if the class or an argument is not known, or has no counterpart here.
    Example:
      >>> config = {"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 10}}
      >>> print(f"{from_keras(config)(5):.3f}")
      0.050

    Source:
      Keras 3.15, `keras.optimizers.schedules`; compared at every step in tests/conformance.
    """
    if isinstance(schedule, str):
        name, config = schedule, {}
    elif isinstance(schedule, Mapping):
        name, config = schedule.get("class_name", ""), schedule.get("config", {})
    else:
        name = type(schedule).__name__
        config = schedule.get_config() if name in KERAS else {}
    if not isinstance(config, Mapping):
        raise ValueError(f"config must be the arguments of the class by name, got {config!r}.")
    config = {key: value for key, value in config.items() if key != "name"}
    return call("Keras", KERAS, name, {**config, **arguments})
