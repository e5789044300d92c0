from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsched
from lrsched.schedules.progress import Ratio


def warm(total_steps: int = 100, warmup: object = "5%") -> lrsched.Schedule:
    segments = [lrsched.warmup(0.1, total_steps=1), lrsched.rex(0.1, total_steps=1)]
    return lrsched.sequence(segments, durations=[warmup, "rest"], total_steps=total_steps)


def test_sequence_is_its_segments_side_by_side() -> None:
    segments = [lrsched.warmup(0.1, total_steps=5), lrsched.rex(0.1, total_steps=95)]
    want = np.concatenate([segments[0].table(), segments[1].table()])
    np.testing.assert_array_equal(lrsched.sequence(segments).table(), want)


def test_fractions_scale_with_the_budget_and_steps_do_not() -> None:
    assert [int(np.argmax(warm(total).table())) for total in (100, 1000)] == [5, 50]
    assert [int(np.argmax(warm(total, 5).table())) for total in (100, 1000)] == [5, 5]


def test_at_moves_a_sequence_to_another_budget() -> None:
    assert warm(100).at(1000) == warm(1000)


def test_zero_length_segment_is_left_out() -> None:
    np.testing.assert_array_equal(warm(100, 0).table(), lrsched.rex(0.1, total_steps=100).table())


def test_warmup_from_a_fraction_wastes_no_update() -> None:
    assert lrsched.warmup(1.0, total_steps=4, init_value=0.25)(0) == 0.25


def test_fractions_alone_fill_the_budget() -> None:
    segments = [lrsched.constant(1.0, total_steps=1), lrsched.linear(1.0, total_steps=1)]
    cut = lrsched.sequence(segments, durations=[1 / 3, 2 / 3], total_steps=10)
    np.testing.assert_allclose(cut.table(), [1, 1, 1, *(1 - np.arange(7) / 7)])


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5), st.integers(1, 10))
def test_segment_begins_at_its_own_start(lengths: list[int], rest: int) -> None:
    segments = [lrsched.constant(float(i), total_steps=1) for i in range(len(lengths) + 1)]
    table = lrsched.sequence(segments, durations=[*lengths, rest]).table()
    np.testing.assert_array_equal(table, np.repeat(np.arange(len(lengths) + 1), [*lengths, rest]))


def test_budget_and_durations_may_be_traced() -> None:
    got = jax.vmap(lambda total, steps: warm(total, steps)(np.arange(20)))(jnp.int32([10, 20]), jnp.int32([2, 3]))
    want = [warm(10, 2)(np.arange(20)), warm(20, 3)(np.arange(20))]
    np.testing.assert_allclose(got, np.stack(want), rtol=1e-6)


def test_linear_rise_is_exact_at_its_first_steps() -> None:
    rise = lrsched.from_optax("linear_schedule", init_value=0.0, end_value=0.1, transition_steps=100_000)
    np.testing.assert_allclose(rise(np.arange(5)), rise.table()[:5], rtol=1e-6)


@pytest.mark.parametrize("make", [lrsched.onecycle, lrsched.warmup, lrsched.growth])
def test_sampling_may_be_a_name_everywhere(make: Any) -> None:
    named = make(0.1, total_steps=100, sampling="50-75")
    assert named == make(0.1, total_steps=100, sampling=lrsched.sampling.at(0.5, 0.75))
    with pytest.raises(ValueError, match="sampling must be"):
        make(0.1, total_steps=100, sampling=7)


def test_cycles_that_end_before_a_budget_are_refused_inside_others_too() -> None:
    cycles = lrsched.sgdr(0.1, total_steps=150, first_cycle=100, cycle_mult=0.5)
    with pytest.raises(ValueError, match="total_steps must be at most"):
        lrsched.product(cycles, 0.5).at(1000)


def test_cycle_ends_count_no_warmup() -> None:
    twice = lrsched.sequence([lrsched.warmup(0.1, total_steps=5), *[lrsched.cosine(0.1, total_steps=10)] * 2])
    assert twice.cycle_ends == (15, 25)


@pytest.mark.parametrize(
    ("durations", "total_steps", "message"),
    [
        ([60, 60], 100, "durations must sum to total_steps = 100, got 120"),
        ([120, "rest"], 100, "durations must fit into total_steps = 100, got 120"),
        (["60%", "50%"], 100, "durations must fit into total_steps = 100, got 110"),
        ([60], 100, r"durations must be one per segment \(2\), got 1"),
        (["rest", "rest"], 100, "'rest' once"),
        (["10%", "rest"], None, "total_steps must be given"),
        (["10", "rest"], 100, "duration must be steps .* got '10'"),
        ([-1, "rest"], 100, "duration must be at least 0"),
        (["10%", "20%"], 100, "durations must fill total_steps = 100 or hold 'rest', got 30 steps"),
    ],
)
def test_durations_that_do_not_fit_are_refused(durations: list[object], total_steps: int | None, message: str) -> None:
    segments = [lrsched.constant(1.0, total_steps=1), lrsched.linear(1.0, total_steps=1)]
    with pytest.raises(ValueError, match=message):
        lrsched.sequence(segments, durations=durations, total_steps=total_steps)


def test_at_refuses_a_budget_that_fixed_parts_exceed() -> None:
    with pytest.raises(ValueError, match="durations must fit into total_steps = 3, got 5"):
        warm(100, 5).at(3)


def test_duration_of_a_ratio_is_kept() -> None:
    assert warm(90, Ratio(1, 3)).lengths(np.int64(90)) == [30, 60]


def test_exponential_warmup_rises_by_one_factor() -> None:
    # 1e-4 to 0.1 is a thousandfold in 30 updates: tenfold in each ten
    table = lrsched.warmup(0.1, total_steps=30, init_value=1e-4, shape="exponential").table(np.arange(31))
    np.testing.assert_allclose(table[[0, 10, 20, 30]], [1e-4, 1e-3, 1e-2, 1e-1], rtol=1e-12)
    np.testing.assert_allclose(table[1:] / table[:-1], 10**0.1, rtol=1e-12)


def test_exponential_warmup_takes_traced_rates() -> None:
    def rate(peak: jax.Array, init: jax.Array) -> jax.Array:
        return lrsched.warmup(peak, total_steps=20, init_value=init, shape="exponential")(np.arange(21))

    want = lrsched.warmup(0.5, total_steps=20, init_value=0.01, shape="exponential").table(np.arange(21))
    np.testing.assert_allclose(jax.jit(rate)(0.5, 0.01), want, rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "init_value must be above 0, got 0"),
        ({"init_value": 0.01, "peak_value": 0.0}, "peak_value must be above 0"),
        ({"init_value": -0.01}, "init_value must be at least 0"),
        ({"init_value": 0.01, "shape": "cubic"}, "shape must be one of linear, exponential, got 'cubic'"),
    ],
)
def test_exponential_warmup_refuses_rates_without_a_logarithm(words: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrsched.warmup(**{"peak_value": 0.1, "total_steps": 10, "shape": "exponential", **words})
