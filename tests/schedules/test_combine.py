"""Schedules from schedules: sequences, products, limits, groups, jumps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsched
import lrsched as ls
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


def test_fractions_alone_fill_the_budget() -> None:
    segments = [lrsched.constant(1.0, total_steps=1), lrsched.linear(1.0, total_steps=1)]
    cut = lrsched.sequence(segments, durations=[1 / 3, 2 / 3], total_steps=10)
    np.testing.assert_allclose(cut.table(), [1, 1, 1, *(1 - np.arange(7) / 7)])


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5), st.integers(1, 10))
def test_segment_begins_at_its_own_start(lengths: list[int], rest: int) -> None:
    segments = [lrsched.constant(float(i), total_steps=1) for i in range(len(lengths) + 1)]
    table = lrsched.sequence(segments, durations=[*lengths, rest]).table()
    np.testing.assert_array_equal(table, np.repeat(np.arange(len(lengths) + 1), [*lengths, rest]))


@pytest.mark.slow
def test_budget_and_durations_may_be_traced() -> None:
    got = jax.vmap(lambda total, steps: warm(total, steps)(np.arange(20)))(jnp.int32([10, 20]), jnp.int32([2, 3]))
    want = [warm(10, 2)(np.arange(20)), warm(20, 3)(np.arange(20))]
    np.testing.assert_allclose(got, np.stack(want), rtol=1e-6)


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
        (["rest", "rest"], 100, "one part alone may be without a duration, or have 'rest' as its own, got 2"),
        (["10%", "rest"], None, "total_steps must be given"),
        (["10", "rest"], 100, "duration must be steps .* got '10'"),
        ([-1, "rest"], 100, "duration must be at least 0"),
        (["10%", "80%"], 10, "durations must fill total_steps = 10 or hold 'rest' .*, got 9 steps"),
        (["10%", "20%"], 100, "durations must fill total_steps = 100 or hold 'rest' .*, got 30 steps"),
        ([10, "50%"], 100, "durations must fill total_steps = 100 or hold 'rest' .*, got 60 steps"),
        (["50%", 10], 100, r"durations must fill .*\(in words: one part without a duration\), got 60 steps"),
    ],
)
def test_durations_that_do_not_fit_are_refused(durations: list[object], total_steps: int | None, message: str) -> None:
    segments = [lrsched.constant(1.0, total_steps=1), lrsched.linear(1.0, total_steps=1)]
    with pytest.raises(ValueError, match=message):
        lrsched.sequence(segments, durations=durations, total_steps=total_steps)


@pytest.mark.parametrize(
    ("durations", "lengths"),
    [
        ([50, "95%"], [50, 1950]),
        (["95%", 50], [1950, 50]),
        ([50, 950], [50, 1950]),
        (["10%", 700, "20%"], [200, 1400, 400]),
        ([50, 100, "85%"], [50, 100, 1850]),
    ],
)
def test_value_of_a_study_fits_another_budget(durations: list[object], lengths: list[int]) -> None:
    segments = [lrsched.constant(1.0, total_steps=1)] * len(durations)
    schedule = lrsched.sequence(segments, durations=durations, total_steps=1000)
    assert lrsched.plan(schedule, 2000).lr.lengths(np.int64(2000)) == lengths


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: lrsched.product(s, 1.0), lambda s: lrsched.after(s, 0)])
def test_sequence_within_a_sequence_fits_another_budget(wrap: Any) -> None:
    inner = lrsched.sequence([lrsched.warmup(0.1, total_steps=10), lrsched.cosine(0.1, total_steps=90)])
    schedule = wrap(lrsched.sequence([lrsched.constant(0.1, total_steps=50), inner]))
    longer = [lrsched.warmup(0.1, total_steps=10), lrsched.cosine(0.1, total_steps=240)]
    want = np.concatenate([np.full(50, 0.1), lrsched.sequence(longer).table()])
    np.testing.assert_array_equal(lrsched.plan(schedule, 300).lr.table(), want)


def test_steps_beside_a_fraction_hold_for_the_budget_that_they_fill() -> None:
    segments = [lrsched.constant(1.0, total_steps=1), lrsched.linear(1.0, total_steps=1)]
    schedule = lrsched.sequence(segments, durations=[50, "50%"], total_steps=100)
    with pytest.raises(ValueError, match="durations must fill total_steps = 1000 or hold 'rest' .*, got 550 steps"):
        schedule.at(1000)


def test_at_refuses_a_budget_that_fixed_parts_exceed() -> None:
    with pytest.raises(ValueError, match="durations must fit into total_steps = 3, got 5"):
        warm(100, 5).at(3)


def test_duration_of_a_ratio_is_kept() -> None:
    assert warm(90, Ratio(1, 3)).lengths(np.int64(90)) == [30, 60]


def test_epochs_are_durations_and_a_sampling_rate() -> None:
    segments = [ls.warmup(0.1, total_steps=1), ls.rex(0.1, total_steps=1)]
    warm = ls.sequence(segments, durations=["2ep", "rest"], total_steps=100, steps_per_epoch=10)
    assert int(np.argmax(warm.table())) == 20
    held = ls.plan("linear@epoch", ls.Budget(3, 10), peak_value=0.3).lr.table()
    np.testing.assert_allclose(held, np.repeat([0.3, 0.2, 0.1], 10))
    with pytest.raises(ValueError, match="where steps_per_epoch is not known, got '2ep'"):
        ls.sequence(segments, durations=["2ep", "rest"], total_steps=100)


def test_at_refuses_what_a_part_cannot_do() -> None:
    inner = ls.sequence([ls.warmup(0.1, total_steps=5), ls.rex(0.1, total_steps=95)])
    for made in (inner, ls.product(inner, 1.0), ls.clip(inner, maximum=1.0)):
        with pytest.raises(ValueError, match="durations must sum to total_steps = 50, got 100"):
            made.at(50)
    with pytest.raises(ValueError, match="durations must sum to total_steps = 50, got 100"):
        ls.sequence([inner, ls.rex(0.1, total_steps=5)], durations=[50, 5])


MADE = {
    "product": ls.product(ls.rex(0.3, total_steps=100), 0.5),
    "product of two": ls.product(ls.rex(0.3, total_steps=100), ls.cosine(1.0, total_steps=100)),
    "clip": ls.clip(ls.linear(0.3, total_steps=100), minimum=0.01, maximum=0.2),
    "truncated": ls.truncated(ls.linear(0.3, total_steps=100), 40),
    "after": ls.after(ls.sgdr(0.3, total_steps=140), 40),
    "after in a sequence": ls.sequence([ls.warmup(0.3, total_steps=10), ls.after(ls.rex(0.3, total_steps=100), 10)]),
    "sequence": ls.sequence(
        [ls.warmup(0.3, total_steps=1), ls.rex(0.3, total_steps=1)], durations=["10%", "rest"], total_steps=100
    ),
    "product in a sequence": ls.sequence(
        [ls.warmup(0.3, total_steps=10), ls.product(ls.rex(0.3, total_steps=90), 0.5)]
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_made_schedule_is_data_like_any_other(name: str) -> None:
    s, steps = MADE[name], np.arange(-2, 120)
    np.testing.assert_allclose(s(steps), s.table(steps), rtol=2e-6, atol=1e-9)
    np.testing.assert_allclose(jax.jit(lambda s, t: s(t))(s, steps), s(steps), rtol=1e-6)
    assert ls.from_json(ls.to_json(s)) == s
    assert hash(s) == hash(ls.from_json(ls.to_json(s)))
    assert s.cycle_ends[-1] == s.total_steps
    assert len(set(np.asarray(s(np.arange(int(s.total_steps), 200))).tolist())) == 1


def test_product_multiplies_and_moves_both_factors() -> None:
    both = MADE["product of two"].at(50)
    want = ls.rex(0.3, total_steps=50).table() * ls.cosine(1.0, total_steps=50).table()
    np.testing.assert_allclose(both.table(), want)


def test_product_scales_with_a_traced_factor() -> None:
    got = jax.vmap(lambda f: ls.product(ls.rex(0.3, total_steps=10), f)(3))(jnp.float32([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(got, ls.rex(0.3, total_steps=10).table([3]) * [0, 1, 2], rtol=1e-6)


def test_per_label_drives_optax_partition_with_each_groups_own_rate() -> None:
    shared, own = ls.linear(0.1, total_steps=10), {"body": ls.rex(0.3, total_steps=10), "head": warm(10, 2)}
    made = {
        "multipliers": ls.per_label(shared, {"body": 0.1, "head": 1.0}),
        "schedules": ls.per_label(own),
        "both": ls.per_label(own, {"body": 0.0, "head": 2.0}),
    }
    want = {
        "multipliers": {"body": 0.1 * shared.table(), "head": shared.table()},
        "schedules": {label: each.table() for label, each in own.items()},
        "both": {"body": np.zeros(10), "head": 2 * own["head"].table()},
    }
    params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    for name, groups in made.items():
        tx = optax.partition({k: optax.sgd(s) for k, s in groups.items()}, {"w": "body", "b": "head"})
        with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
            state = tx.init(params)
            for step in range(4):
                updates, state = tx.update(params, state, params)
                for leaf, label in (("w", "body"), ("b", "head")):
                    applied = np.full(2, -want[name][label][step])
                    np.testing.assert_allclose(updates[leaf], applied, rtol=1e-6, err_msg=name)


def test_schedules_per_label_may_have_a_traced_budget() -> None:
    def rate(total: jax.Array) -> jax.Array:
        return ls.per_label({"a": ls.rex(0.1, total_steps=total), "b": ls.linear(0.1, total_steps=total)})["b"](5)

    np.testing.assert_allclose(jax.vmap(rate)(jnp.array([10, 20])), [0.05, 0.075], rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "multipliers", "message"),
    [
        ({}, None, r"^schedule must hold at least one label, got none\.$"),
        (0.5, None, r"^schedule must be a schedule, .* got 0\.5\.$"),
        (
            ls.rex(0.1, total_steps=5),
            None,
            r'^multipliers must be given by label with one schedule, as in \{"body": 0\.1, "head": 1\.0\}, got None\.$',
        ),
        ({"a": ls.rex(0.1, total_steps=5)}, 0.5, r"^multipliers must be given by label, as in \{.*\}, got 0\.5\.$"),
        ({"a": ls.rex(0.1, total_steps=5)}, {}, r"^multipliers must have the labels a, got none\.$"),
        ({"a": ls.rex(0.1, total_steps=5)}, {"a": -1.0}, r"^multiplier of a must be at least 0, got -1\.0\.$"),
        ({"a": ls.rex(0.1, total_steps=5)}, {"b": 1.0}, "multipliers must have the labels a, got b"),
        ({"a": ls.rex(0.1, total_steps=5), "b": 0.1}, None, r"^schedule of b must be a schedule, .* got 0\.1\.$"),
        (
            {"muon": ls.rex(0.1, total_steps=5), "adam": ls.rex(0.1, total_steps=7)},
            None,
            r"^schedules of all labels must have one total_steps, got muon 5, adam 7\.$",
        ),
    ],
)
def test_labels_and_budgets_that_do_not_fit_are_refused(schedule: Any, multipliers: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ls.per_label(schedule, multipliers)


def test_jumps_are_the_discontinuities_with_their_sizes() -> None:
    restart = ls.sequence([ls.cosine(0.1, total_steps=50), ls.cosine(0.05, total_steps=50)])
    (jump,) = ls.jumps(restart)
    assert jump.step == 50
    assert jump.before == pytest.approx(0.1 * (1 + np.cos(np.pi * 49 / 50)) / 2)
    assert jump.after == pytest.approx(0.05)
    assert ls.jumps(ls.rex(0.1, total_steps=100)) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: ls.product(s, -1.0), "factor must be at least 0, got -1"),
        (
            lambda s: ls.product(s, ls.linear(1.0, total_steps=9)),
            "factor must have the schedule's budget of 10 updates,",
        ),
        (lambda s: ls.per_label(s, {"a": ls.linear(1.0, total_steps=20)}), r"budget of 10 updates, got one of 20\.$"),
        (lambda s: ls.clip(s, minimum=0.2, maximum=0.1), "minimum must be at most maximum = 0.1, got 0.2"),
        (lambda s: ls.clip(s, maximum=-0.1), "maximum must be at least 0"),
        (lambda s: ls.truncated(s, 0), "total_steps must be at least 1"),
        (lambda s: ls.per_label(s, {}), r"^multipliers must hold at least one label, got none\.$"),
        (lambda s: ls.jumps(s, larger_than=-1), "larger_than must be at least 0"),
    ],
)
def test_wrong_numbers_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(ls.rex(0.1, total_steps=10))  # type: ignore[operator]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_phase_of_no_length_vanishes_wherever_it_is(place: int) -> None:
    phases = [lrsched.warmup(0.3, total_steps=5), lrsched.rex(0.3, total_steps=15)]
    lengths: list[int | str] = [5, 15]
    with_none = lrsched.sequence(
        [*phases[:place], lrsched.constant(7.0, total_steps=1), *phases[place:]],
        durations=[*lengths[:place], 0, *lengths[place:]],
    )
    without = lrsched.sequence(phases)
    np.testing.assert_array_equal(with_none.table(range(25)), without.table(range(25)))
    np.testing.assert_array_equal(with_none(np.arange(25)), without(np.arange(25)))
    assert with_none.cycle_ends == without.cycle_ends


def test_warmup_of_no_length_begins_at_the_peak() -> None:
    for words in ("warmup:0st+cosine", "warmup:0%+cosine", "wsd:warmup=0", "knee:warmup=0", "slanted_triangular:cut=0"):
        assert float(lrsched.plan(words, 100, peak_value=0.3).lr(0)) == pytest.approx(0.3), words
