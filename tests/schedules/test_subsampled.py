"""Periods that are no whole number of steps, in every schedule that takes one; the values are the formulas'."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import numpy as np
import pytest

import lrsched
from lrsched.schedules import language, registry
from lrsched.schedules.families.subsampled import Subsampled, in_parts

STEPS = np.arange(12)


@pytest.mark.parametrize("period", ["2.5st", Fraction(5, 2)])
def test_exponential_decay_of_two_and_a_half_steps_is_its_formula(period: object) -> None:
    schedule = lrsched.exponential_decay(0.1, total_steps=12, decay_rate=0.5, transition_steps=period)
    np.testing.assert_allclose(schedule.table(), 0.1 * 0.5 ** (STEPS / 2.5), rtol=1e-12)
    np.testing.assert_allclose(schedule(STEPS), schedule.table(), rtol=1e-6)


def test_staircase_of_two_and_a_half_steps_falls_at_the_next_whole_step() -> None:
    schedule = lrsched.exponential_decay(1.0, total_steps=12, transition_steps="2.5st", staircase=True)
    np.testing.assert_allclose(schedule.table(), 0.5 ** np.array([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4]))


def test_inverse_time_of_a_step_and_a_half_is_its_formula() -> None:
    schedule = lrsched.inverse_time(0.1, total_steps=12, decay_rate=0.5, transition_steps="1.5st")
    np.testing.assert_allclose(schedule.table(), 0.1 / (1 + 0.5 * STEPS / 1.5), rtol=1e-12)


def test_sgdr_restarts_between_two_steps() -> None:
    schedule = lrsched.sgdr(1.0, total_steps=18, first_cycle="2.5st")  # cycles end at 2.5, 7.5 and 17.5
    assert schedule.cycle_ends == (3, 8, 18)
    want = {2: (0, 2.5), 3: (2.5, 5), 7: (2.5, 5), 8: (7.5, 10), 17: (7.5, 10)}
    cosines = [(1 + math.cos(math.pi * (t - start) / length)) / 2 for t, (start, length) in want.items()]
    np.testing.assert_allclose(schedule.table(list(want)), cosines, rtol=1e-12)


def test_clr_turns_between_two_steps() -> None:
    schedule = lrsched.clr(1.0, total_steps=9, half_cycle="2.25st", initial_fraction=0.0)
    z = np.arange(9) / 4.5 % 1
    np.testing.assert_allclose(schedule.table(), 2 * np.minimum(z, 1 - z), rtol=1e-12, atol=1e-15)


def test_fge_turns_between_two_steps() -> None:
    schedule = lrsched.fge(1.0, total_steps=9, cycle="2.5st", end_fraction=0.0)
    np.testing.assert_allclose(schedule.table(), np.abs(1 - 2 * (np.arange(9) / 2.5 % 1)), rtol=1e-12)
    assert schedule.cycle_ends == (2, 4, 7, 9)  # ceil of 1.25, 3.75, 6.25


def test_whole_steps_with_a_point_are_steps() -> None:
    assert lrsched.exponential_decay(0.1, total_steps=9, transition_steps="3.0st") == lrsched.exponential_decay(
        0.1, total_steps=9, transition_steps=3
    )
    assert lrsched.multi_step(0.1, total_steps=9, boundaries="3.0st") == lrsched.multi_step(
        0.1, total_steps=9, boundaries=3
    )


def test_subsampled_schedule_is_data() -> None:
    schedule = registry.build(language.parse("exponential_decay:transition_steps=2.5st"), 0.1, total_steps=12)
    assert isinstance(schedule, Subsampled)
    assert lrsched.from_json(lrsched.to_json(schedule)) == schedule
    assert schedule.at(30) == registry.build(
        language.parse("exponential_decay:transition_steps=2.5st"), 0.1, total_steps=30
    )
    assert schedule.total_steps == 12
    assert jax.tree.leaves(schedule) == jax.tree.leaves(schedule.schedule)
    traced = jax.jit(lambda total: lrsched.exponential_decay(0.1, total_steps=total, transition_steps="2.5st")(STEPS))(
        12
    )
    np.testing.assert_allclose(traced, schedule.table(STEPS), rtol=1e-6)


REFUSED: dict[str, Callable[[], object]] = {
    "transition_steps must be above 0": lambda: lrsched.exponential_decay(
        0.1, total_steps=9, transition_steps="-2.5st"
    ),
    "first_cycle must be above 0, .*parts down to 1/65536": lambda: lrsched.sgdr(
        0.1, total_steps=9, first_cycle="2.00000001st"
    ),
    "boundaries must be a whole number of steps, got 2.5": lambda: lrsched.multi_step(
        0.1, total_steps=9, boundaries="2.5st"
    ),
    "start must be a whole number of steps, got 2.5": lambda: lrsched.swa(0.1, total_steps=9, start="2.5st"),
    "total_steps must be at most 1073741822 with lengths in parts of 1/2 step": lambda: lrsched.exponential_decay(
        0.1, total_steps=9, transition_steps="2.5st"
    ).at(2**31 - 1),
}


@pytest.mark.parametrize("message", REFUSED)
def test_parts_of_a_step_that_cannot_be_are_refused(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


def test_parts_finer_than_32_bits_are_refused_rather_than_rounded() -> None:
    with pytest.raises(ValueError, match="lengths must be in parts of a step that 32 bits hold, got 2.00001"):
        in_parts(lambda total, n: lrsched.linear(1.0, total_steps=total), 10**6, Fraction(2.00001), budget=10**6)


@pytest.mark.parametrize(
    "words",
    [
        {"name": "cosine_decay_schedule", "init_value": 1.0, "decay_steps": 12.5},
        {"name": "warmup_cosine_decay_schedule", "init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2.5,
         "decay_steps": 20.25},
    ],
)  # fmt: skip
def test_schedule_whose_last_step_is_not_full_stays_what_it_is_under_its_own_budget(words: dict[str, Any]) -> None:
    made = lrsched.from_optax(words.pop("name"), **words)
    total = int(made.total_steps)
    assert made.at(total) == made
    np.testing.assert_array_equal(lrsched.plan(made, total).lr.table(), made.table())
    joined = lrsched.sequence([lrsched.constant(0.5, total_steps=3), made])
    np.testing.assert_array_equal(joined.table()[3:], made.table())


def test_cycles_of_a_fractional_growth_go_on_for_a_million_steps() -> None:
    words = {"initial_learning_rate": 0.1, "first_decay_steps": 1000, "t_mul": 1.5, "total_steps": 1_000_000}
    ends = lrsched.from_keras("CosineDecayRestarts", **words).cycle_ends
    exact, size = [Fraction(1000)], Fraction(1000)
    while exact[-1] < 1_000_000:
        size *= Fraction(3, 2)
        exact.append(exact[-1] + size)
    assert all(abs(end - at) <= 1 for end, at in zip(ends[:-1], exact, strict=False))
    assert len(ends) == len(exact)
