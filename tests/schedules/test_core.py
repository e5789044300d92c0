"""What every schedule does with its steps."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.schedules import shapes
from lrsched.schedules.core import Schedule
from lrsched.schedules.values import value_class


@pytest.mark.parametrize("total_steps", [0, -1, 2**31, 1.5, True, "10"])
def test_budget_in_steps_must_be_a_whole_number_from_one(total_steps: object) -> None:
    with pytest.raises(ValueError, match="total_steps must be"):
        ls.rex(0.1, total_steps=total_steps)


def test_step_must_be_an_integer() -> None:
    with pytest.raises(ValueError, match="step must be an integer"):
        ls.rex(0.1, total_steps=10)(0.5)


@pytest.mark.parametrize("steps", [[0.5, 1.9], ["3"], np.array([1.0])])
def test_steps_of_a_table_must_be_integers(steps: object) -> None:
    with pytest.raises(ValueError, match="steps must be integers"):
        ls.rex(0.1, total_steps=10).table(steps)


@pytest.mark.parametrize(
    "step", [2**31, 2**40, np.int64(2**31 + 5), np.array([2**32 + 5]), jnp.uint32(2**31 + 5), np.uint64(2**63)]
)
def test_steps_beyond_int32_are_held_at_the_end(step: object) -> None:
    assert np.asarray(ls.rex(0.1, total_steps=10, end_value=0.01)(step)).ravel() == np.float32(0.01)


def test_decay_takes_names_and_refuses_what_is_neither() -> None:
    by_name = ls.decay(0.1, profile="rex", sampling="50-75", total_steps=10)
    assert by_name == ls.decay(0.1, profile=ls.profiles.rex(), sampling=ls.sampling.at(0.5, 0.75), total_steps=10)
    for words in ({"profile": 5}, {"profile": "rex", "sampling": 5}, {"profile": "rex", "sampling": "77"}):
        with pytest.raises(ValueError, match="(profile|sampling) must be"):
            ls.decay(0.1, total_steps=10, **words)


@pytest.mark.parametrize("number", [np.uint8, np.uint16, np.uint64, np.int8, jnp.uint8, jnp.int8, jnp.int16, np.array])
def test_budget_of_any_integer_type_is_that_number_of_updates(number: Any) -> None:
    """Arithmetic in eight bits would wrap round."""
    for made in (
        ls.sgdr(0.1, total_steps=number(100), first_cycle="2.5st"),
        ls.clr(0.1, total_steps=number(100)),
        ls.fge(0.1, total_steps=number(100)),
        ls.rex(0.1, total_steps=50).at(number(100)),
        ls.exponential_decay(0.1, total_steps=number(100), transition_steps="2.5st"),
    ):
        assert made.total_steps == 100
        assert made.table().shape == (100,)
    entered = ls.after(ls.rex(0.1, total_steps=number(100)), number(10))
    assert (entered.total_steps, entered.at(number(120)).total_steps) == (90, 120)
    pair = [ls.warmup(0.1, total_steps=100), ls.rex(0.1, total_steps=100)]
    assert ls.sequence(pair, durations=[number(100)] * 2).total_steps == 200
    assert ls.sequence(pair, durations=["2ep", "1ep"], steps_per_epoch=number(100)).total_steps == 300
    assert ls.sequence(pair, durations=["1000ex", "500ex"], batch_size=number(100)).total_steps == 15
    assert ls.sgdr(0.1, total_steps=100, first_cycle=number(10), cycle_mult=2).cycle_ends == (10, 30, 70, 100)
    assert ls.clr(0.1, total_steps=100, half_cycle=number(100)).total_steps == 100
    halves = [made(0.1, total_steps=number(100)) for made in (ls.warmup, ls.rex)]
    assert ls.sequence(halves).total_steps == 200


@pytest.mark.parametrize("number", [np.float32, np.longdouble, np.array, jnp.float32])
def test_schedule_keeps_python_numbers_alone(number: Any) -> None:
    given = number(0.125)
    made = ls.rex(given, total_steps=10)
    if isinstance(given, np.ndarray):
        given *= 3
    assert made == ls.rex(0.125, total_steps=10)
    assert hash(made) == hash(ls.rex(0.125, total_steps=10))
    assert ls.from_json(ls.to_json(made)) == made
    assert ls.plan(made, 10).after(jnp.int32(4)).total_steps == 6


def test_steps_beyond_int64_are_the_last() -> None:
    s = ls.rex(0.1, total_steps=10)
    np.testing.assert_array_equal(s.table(np.array([2**64 - 1, 2**63], np.uint64)), [0, 0])


def test_class_that_forgot_its_formula_is_named() -> None:
    @value_class
    class Forgetful(Schedule):
        total_steps: int

    class Shapeless(shapes.Profile):
        pass

    with pytest.raises(NotImplementedError, match="Forgetful must define _value, the schedule's formula"):
        Forgetful(10)(0)
    with pytest.raises(NotImplementedError, match="Shapeless must define _value, the profile's formula"):
        Shapeless()(0.5)
