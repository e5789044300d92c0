"""Anytime, power and hyperbolic: what their sources promise, and what is refused."""

import numpy as np
import pytest

import lrsched as ls


@pytest.mark.parametrize("make", [ls.hyperbolic, ls.exp_hyperbolic])
def test_hyperbolic_with_one_upper_bound_begins_alike_under_every_budget(make) -> None:
    # the paper's property: the first change of the rate hardly depends on the number of updates
    falls = [np.diff(make(1.0, total_steps=n, upper_bound=1000).table([0, 1]))[0] for n in (200, 400, 800)]
    assert max(falls) / min(falls) < 1.25 * (2 if make is ls.exp_hyperbolic else 1)
    scaled = [np.diff(ls.cosine(1.0, total_steps=n).table([0, 1]))[0] for n in (200, 400, 800)]
    assert min(scaled) / max(scaled) > 15  # where the cosine's are 16 times apart


def test_hyperbolic_up_to_the_upper_bound_is_the_line() -> None:
    line = ls.linear(1.0, total_steps=100, end_value=0.1)
    for upper in (100, 1.0, "100%", "100st"):
        made = ls.hyperbolic(1.0, total_steps=100, upper_bound=upper, end_value=0.1)
        np.testing.assert_allclose(made.table(range(101)), line.table(range(101)), rtol=1e-12)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("hyperbolic:upper_bound=99", "upper_bound must be at least total_steps = 100, got 99"),
        ("hyperbolic:upper_bound=50%", "upper_bound must be at least 1, got 0.5"),
        ("exp_hyperbolic:end_fraction=0", "end_fraction must be above 0"),
        ("power:exponent=0.5", "exponent must be at most 0, got 0.5"),
        ("power:exponent=100", "exponent must be at most 0, got 100"),
        ("power:batch_size=0", "batch_size must be above 0, got 0"),
        ("power:warmup=60,cooldown=60", "durations must fit into total_steps = 100, got 120"),
        ("anytime:timescale=0", "timescale must be at least 1 step"),
        ("k_decay:k=0", "k must be above 0, got 0"),
        ("k_decay:profile=step", "profile of a k-decay must be smooth"),
        ("slanted_triangular:ratio=0.5", "ratio must be at least 1, got 0.5"),
        ("wsd_s:warmup=30st", "durations must fit into total_steps = 25, got 32 steps"),
        ("wsd_s:end_value=0", "end_value must be above 0 for the inverse shape"),
        ("wsd_s:end_value=0.2", "end_value must be at most peak_value = 0.1 for the inverse shape, got 0.2"),
        ("wsd_s:cycle_lengths=0.7/0.7/1", "durations must fit into total_steps = 100, got 140"),
        ("cosine:end_value=10st", r"end_value must be a rate, or a percentage of the peak \(10%\), got '10st'"),
    ],
)
def test_what_is_outside_the_range_is_refused_in_one_line(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        ls.plan(words, 100, peak_value=0.1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("exponent", "amplitude", "first"), [(0.0, 1e-6, 0.001024), (-0.5, 0.0, 0.0), (-0.5, 1e-6, 0.02)]
)
def test_power_begins_at_its_peak_only_where_the_power_of_0_has_no_bound(
    exponent: float, amplitude: float, first: float
) -> None:
    # amplitude * B * (B * L * t)**exponent with B = 1024: 0.001024 for exponent 0
    schedule = ls.power(0.02, total_steps=10, warmup=0, amplitude=amplitude, exponent=exponent, batch_size=1024)
    assert schedule.table()[0] == pytest.approx(first)
    assert float(schedule(0)) == pytest.approx(first)


def test_profile_that_turns_is_raised_to_a_power_from_any_end() -> None:
    # the triangle of z**k: 2 min(z**k, 1 - z**k), from 0.01 up towards 0.1 and down again
    table = ls.k_decay(0.1, total_steps=10, k=2.0, profile=ls.profiles.triangle(), end_value=0.01).table()
    z = (np.arange(10) / 10) ** 2
    np.testing.assert_allclose(table, 0.01 + 0.09 * 2 * np.minimum(z, 1 - z), rtol=1e-12)


def test_anytime_of_a_longer_budget_begins_with_the_shorter() -> None:
    short, long = (ls.anytime(0.1, total_steps=n, warmup=10, timescale=50) for n in (100, 1000))
    np.testing.assert_array_equal(short.table(), long.table(range(100)))


def test_power_agrees_for_batch_sizes_at_the_same_tokens_per_example_seen() -> None:
    # eta / batch size depends on the tokens alone: 4 times the batch, a quarter of the updates, 4 times the rate
    small = ls.power(9.0, total_steps=4000, batch_size=64, warmup=0, cooldown=0)
    large = ls.power(9.0, total_steps=1000, batch_size=256, warmup=0, cooldown=0)
    np.testing.assert_allclose(large.table([50, 500]), 4 * small.table([200, 2000]), rtol=1e-12)


def test_wsd_s_is_wsd_after_wsd_and_its_decayed_points_end_its_cycles() -> None:
    made = ls.wsd_s(0.1, total_steps=400, warmup=20, shape="linear", end_value=0.0)
    parts = [
        ls.wsd(0.1, total_steps=n, warmup=w, cooldown=0.1, shape="linear") for n, w in ((100, 20), (100, 0), (200, 0))
    ]
    np.testing.assert_array_equal(made.table(), ls.sequence(parts).table())
    assert made.cycle_ends == (100, 200, 400)
    assert ls.wsd_s(0.1, total_steps=90, cycle_lengths=("20st", 0.5, "10st")).cycle_ends == (20, 65, 90)


def test_wsd_s_is_said_in_json_with_a_warmup_in_steps() -> None:
    made = ls.plan("wsd_s:warmup=20st,cycle_lengths=50st/50%", 100, peak_value=0.1).lr
    assert ls.from_json(ls.to_json(made)) == made
    assert made.at(200).cycle_ends == (50, 200)


def test_k_of_one_is_the_profile_and_small_remainders_keep_their_digits() -> None:
    for name in ("cosine", "mirror_cosine", "rex", "polynomial"):
        plain = ls.decay(1.0, profile=name, total_steps=50, end_value=0.01)
        made = ls.k_decay(1.0, total_steps=50, k=1.0, profile=name, end_value=0.01)
        np.testing.assert_allclose(made.table(range(51)), plain.table(range(51)), rtol=1e-12)
    last = ls.k_decay(1.0, total_steps=1_000_000, k=3.0, profile="linear")(999_999)
    assert float(last) == pytest.approx(3e-6, rel=3e-6)  # 1 - (1 - 1e-6)**3
