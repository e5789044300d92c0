"""Decays, phases and growth against their sources; the values are those of the formulas worked out beside them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsched
import lrsched as ls
from lrsched import profiles, sampling
from lrsched.schedules import language, registry
from lrsched.schedules.progress import Progress

E = math.e
#: name -> schedule, {step: value}. A step of 0.25 of the budget is z = 1/4.
GOLDEN: dict[str, tuple[lrsched.Schedule, dict[int, float]]] = {
    "one_minus_sqrt": (lrsched.one_minus_sqrt(1.0, total_steps=100), {0: 1, 25: 0.5, 81: 0.1, 100: 0}),
    "mirror_cosine": (  # 2 (1 - z) - cosine, the cosine values of arXiv:1608.03983 at the same places
        lrsched.mirror_cosine(1.0, total_steps=100),
        {0: 1, 25: 1.5 - 0.8535533905932737, 50: 0.5, 75: 0.5 - 0.1464466094067262, 100: 0},
    ),
    "square": (lrsched.square(1.0, total_steps=100), {0: 1, 25: 0.9375, 50: 0.75, 99: 0.0199, 100: 0}),
    "tanh": (  # arXiv:1806.01593: HTD(-6, 3) is 1 / (1 + exp(2 x)), x = -6, -3.75, -1.5, 3
        lrsched.tanh(1.0, total_steps=100),
        {0: 1 / (1 + E**-12), 25: 1 / (1 + E**-7.5), 50: 1 / (1 + E**-3), 100: 1 / (1 + E**6)},
    ),
    "delayed 50 %": (lrsched.delayed(1.0, total_steps=100), {0: 1, 25: 1, 50: 1, 75: 0.5, 99: 0.02, 100: 0}),
    "delayed 75 %": (lrsched.delayed(1.0, total_steps=100, fraction=0.75), {50: 1, 75: 1, 99: 0.04, 100: 0}),
    # code of arXiv:2405.18392: T = 1000, warmup 100 from peak / 100, cooldown 20 %
    "wsd linear": (
        lrsched.wsd(1.0, total_steps=1000, warmup=100, shape="linear", init_value=0.01),
        {0: 0.01, 50: 0.505, 100: 1, 800: 1, 850: 0.75, 900: 0.5, 950: 0.25, 999: 0.005, 1000: 0},
    ),
    "wsd one_minus_sqrt": (
        lrsched.wsd(1.0, total_steps=1000, warmup=100),
        {800: 1, 850: 0.5, 900: 0.2928932188, 950: 0.1339745962, 999: 0.0025031328},
    ),
    "wsd cosine": (
        lrsched.wsd(1.0, total_steps=1000, shape="cosine"),
        {850: 0.8535533906, 900: 0.5, 950: 0.1464466094, 999: 6.16838e-05},
    ),
    "wsd mirror_cosine": (
        lrsched.wsd(1.0, total_steps=1000, shape="mirror_cosine"),
        {850: 0.6464466094, 900: 0.5, 950: 0.3535533906, 999: 0.0099383162},
    ),
    "wsd square": (
        lrsched.wsd(1.0, total_steps=1000, shape="square"),
        {850: 0.9375, 900: 0.75, 950: 0.4375, 999: 0.009975},
    ),
    "wsd exponential_to_zero": (  # Megatron-LM: 2 * 0.5**z - 1
        lrsched.wsd(1.0, total_steps=1000, shape="exponential_to_zero"),
        {800: 1, 850: 2**0.75 - 1, 900: 2**0.5 - 1, 950: 2**0.25 - 1, 999: 2**0.005 - 1, 1000: 0},
    ),
    # its code counts from 1: our step is its counter
    "knee": (
        lrsched.knee(1.0, total_steps=100, warmup=10, explore=50),
        {1: 0.1, 10: 1, 60: 1, 61: 0.975, 80: 0.5, 100: 0},
    ),
    "infinite": (  # arXiv:2403.08763: c = 0.3, m = 0.01; half way of the annealing sqrt(c m)
        lrsched.infinite(1.0, total_steps=1000),
        {0: 0, 50: 0.5, 100: 1, 250: 0.65, 400: 0.3, 899: 0.3, 950: math.sqrt(0.003), 1000: 0.01},
    ),
    # arXiv:1706.03762, equation 3: d**-0.5 * min(s**-0.5, s * W**-1.5) at s = t + 1, d = 512, W = 4000
    "noam": (
        lrsched.noam((512 * 4000) ** -0.5, total_steps=200_000, warmup=4000),
        {s - 1: 512**-0.5 * min(s**-0.5, s * 4000**-1.5) for s in (1, 1000, 4000, 8000, 100_000)},
    ),
    "inverse_sqrt": (lrsched.inverse_sqrt(1.0, total_steps=1000, warmup=100), {0: 0, 50: 0.5, 100: 1, 400: 0.5}),
    "inverse_sqrt, no warmup": (lrsched.inverse_sqrt(1.0, total_steps=1000, warmup=0), {0: 1, 3: 0.5, 99: 0.1}),
    "rsqrt": (  # big_vision: 1 / sqrt(1 + (t - W) / 10000)
        lrsched.rsqrt(1.0, total_steps=60_000, warmup=1000),
        {0: 0, 500: 0.5, 1000: 1, 11_000: 0.5**0.5, 31_000: 0.5},
    ),
    "rsqrt, cooldown": (  # at 31000 the cooldown has 1/4 to go
        lrsched.rsqrt(1.0, total_steps=32_000, warmup=1000, cooldown=4000),
        {28_000: 0.2702702703**0.5, 31_000: 0.125, 32_000: 0},
    ),
    "exponential_decay": (
        lrsched.exponential_decay(1.0, total_steps=100, decay_rate=0.5, transition_steps=10),
        {0: 1, 5: 0.5**0.5, 10: 0.5, 30: 0.125, 100: 0.5**10},
    ),
    "exponential_decay, staircase": (
        lrsched.exponential_decay(1.0, total_steps=100, decay_rate=0.5, transition_steps=10, staircase=True),
        {9: 1, 10: 0.5, 19: 0.5, 20: 0.25},
    ),
    "exponential_decay, gamma": (
        lrsched.exponential_decay(1.0, total_steps=100, decay_rate=0.9, transition_steps=1),
        {0: 1, 1: 0.9, 2: 0.81, 3: 0.729},
    ),
    "inverse_time": (
        lrsched.inverse_time(1.0, total_steps=5000, decay_rate=0.01),
        {0: 1, 100: 0.5, 300: 0.25, 5000: 1 / 51},
    ),
    "inverse_time, staircase": (
        lrsched.inverse_time(1.0, total_steps=100, decay_rate=1.0, transition_steps=10, staircase=True),
        {9: 1, 10: 0.5, 29: 1 / 3, 30: 0.25},
    ),
    "multi_step": (
        lrsched.multi_step(1.0, total_steps=100, boundaries=("30st", 0.6, 80), factor=(0.5, 0.1, 0.2)),
        {29: 1, 30: 0.5, 59: 0.5, 60: 0.05, 80: 0.01, 100: 0.01},
    ),
    "piecewise_constant": (
        lrsched.piecewise_constant(2.0, total_steps=100, boundaries=(10, 0.5), values=(0.1, 1.0, 0.3)),
        {0: 0.2, 9: 0.2, 10: 2, 49: 2, 50: 0.6, 100: 0.6},
    ),
    "piecewise_interpolate": (
        lrsched.piecewise_interpolate(1.0, total_steps=100),
        {0: 0.1, 5: 0.28, 25: 1, 40: 0.8, 100: 0},
    ),
    "piecewise_interpolate, cosine": (
        lrsched.piecewise_interpolate(1.0, total_steps=100, boundaries=(40, 80), interpolation="cosine"),
        {0: 0.1, 20: 0.55, 40: 1, 50: 0.8535533906, 60: 0.5, 80: 0, 100: 0},
    ),
    "growth in time": (  # rex(1 - z) = z / (1/2 + z/2)
        lrsched.growth(1.0, total_steps=100, profile="rex"),
        {0: 0, 25: 0.4, 50: 2 / 3, 100: 1},
    ),
    "growth in value": (  # 1 - rex(z), from 0.2
        lrsched.growth(1.2, total_steps=100, profile="rex", mirror="value", init_value=0.2),
        {0: 0.2, 25: 0.2 + 1 / 7, 50: 0.2 + 1 / 3, 75: 0.8, 100: 1.2},
    ),
    "demon": (  # arXiv:1910.04952: 0.9 w / (0.1 + 0.9 w)
        lrsched.demon(total_steps=100),
        {0: 0.9, 25: 0.675 / 0.775, 50: 0.45 / 0.55, 75: 0.225 / 0.325, 99: 0.009 / 0.109, 100: 0},
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_schedule_equals_the_formula_of_its_source(name: str) -> None:
    schedule, values = GOLDEN[name]
    steps, want = list(values), list(values.values())
    digits = 1e-6 if name.startswith("wsd") else 1e-9  # the source prints ten decimals
    np.testing.assert_allclose(schedule.table(steps), want, rtol=digits, atol=1e-10)
    np.testing.assert_allclose(schedule(np.array(steps)), want, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize(
    "words",
    [
        "delayed:profile=cosine,fraction=0.3",
        "exponential_decay",
        "exponential_decay:staircase=1",
        "inverse_time",
        "knee",
        "mirror_cosine",
        "multi_step",
        "one_minus_sqrt",
        "piecewise_constant",
        "square",
        "tanh",
    ],
)
def test_decay_never_rises(words: str) -> None:
    table = np.asarray(registry.build(language.parse(words), 0.3, total_steps=1173)(np.arange(1174)))
    assert (np.diff(table) <= 0).all()


@pytest.mark.parametrize("mirror", ["time", "value"])
@pytest.mark.parametrize("name", profiles.PROFILES)
def test_growth_never_falls(name: str, mirror: str) -> None:
    table = lrsched.growth(0.3, total_steps=1173, profile=name, mirror=mirror).table(np.arange(1174))
    assert (np.diff(table) >= 0).all()


@given(st.floats(0, 1), st.sampled_from([*profiles.PROFILES.values(), profiles.delayed("tanh", 0.3)]))
def test_profile_and_its_complement_make_one(z: float, profile: profiles.Profile) -> None:
    assert profile(z) + profile.complement(z) == pytest.approx(1)


def test_complement_is_precise_where_a_difference_is_not() -> None:
    first = Progress(jnp.int32([1]), jnp.int32(100_000))
    for name, want in (("rex", 1e-5 / 2 / (1 - 0.5e-5)), ("square", 1e-10), ("exponential", 3e-5 - 4.5e-10)):
        np.testing.assert_allclose(profiles.named(name).complement(first), want, rtol=1e-6)


@pytest.mark.parametrize("fraction", [0.0, 1 / 3, 0.5, 0.9])
def test_delayed_is_exact_under_a_sampling_rate(fraction: float) -> None:
    # at samples 1/2 and 3/4 of the budget: w / (1 - fraction), at most 1
    held = lrsched.delayed(1.0, total_steps=1000, fraction=fraction, sampling=sampling.PAPER["50-75"])
    want = [1.0, min(1.0, 0.5 / (1 - fraction)), min(1.0, 0.25 / (1 - fraction))]
    np.testing.assert_allclose(held.table([0, 500, 750]), want, rtol=1e-8)


def test_multi_step_of_fractions_is_step_where_they_divide_the_budget() -> None:
    np.testing.assert_allclose(
        lrsched.multi_step(0.1, total_steps=100).table(), lrsched.step(0.1, total_steps=100).table()
    )


def test_durations_in_steps_stay_and_fractions_scale() -> None:
    moved = lrsched.wsd(1.0, total_steps=1000, warmup=100, cooldown="20%").at(2000)
    assert moved == lrsched.wsd(1.0, total_steps=2000, warmup=100, cooldown=0.2)
    np.testing.assert_allclose(moved.table([50, 1600, 1700]), [0.5, 1.0, 0.5])


def test_phases_end_one_cycle() -> None:
    for schedule in (lrsched.wsd(1.0, total_steps=100), lrsched.knee(1.0, total_steps=100)):
        assert schedule.cycle_ends == (100,)
    assert lrsched.infinite(1.0, total_steps=100).cycle_ends == (100,)


def test_words_with_steps_are_checked_before_the_budget_is_known() -> None:
    full = language.parse("wsd:warmup=500st,cooldown=0.1")
    assert registry.build(full, 1.0, total_steps=1000).table([250])[0] == 0.5
    with pytest.raises(ValueError, match="durations must fit into total_steps = 100, got 510"):
        registry.build(full, 1.0, total_steps=100)


def test_label_of_large_boundaries_is_their_words() -> None:
    words = "multi_step:boundaries=3200000/4800000st"
    assert language.parse(language.label(words)) == language.parse(words)


def test_rates_and_times_may_be_traced() -> None:
    def value(rate: jax.Array, length: jax.Array) -> jax.Array:
        return lrsched.exponential_decay(1.0, total_steps=100, decay_rate=rate, transition_steps=length)(20)

    np.testing.assert_allclose(jax.vmap(value)(jnp.float32([0.5, 0.9]), jnp.int32([10, 20])), [0.25, 0.9], rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("delayed:profile=mine", "profile must be one of constant, cosine, .* got 'mine'"),
        ("delayed:fraction=1.0", "fraction must be below 1, got 1.0"),
        ("wsd:shape=rex", "shape must be one of linear, .* got 'rex'"),
        ("growth:mirror=both", "mirror must be one of time, value, got 'both'"),
        ("exponential_decay:decay_rate=0", "decay_rate must be above 0, got 0"),
        ("inverse_time:decay_rate=-1", "decay_rate must be at least 0, got -1"),
        (
            "inverse_time:decay_rate=1e308",
            r"decay_rate must be a number that float32 holds, at most 3.4e38, got 1e\+308",
        ),
        ("noam:warmup=rest", "warmup must be steps or a fraction, got 'rest'"),
        ("noam:warmup=0", "warmup must be at least 1 step, got 0"),
        ("rsqrt:timescale=0st", "timescale must be at least 1 step, got '0st'"),
        ("exponential_decay:transition_steps=0", "transition_steps must be at least 1 step, got 0"),
        ("inverse_time:transition_steps=0%", "transition_steps must be at least 1 step, got '0%'"),
        ("exponential_decay:staircase=no", "staircase must be true or false, got 'no'"),
        ("inverse_time:staircase=2", "staircase must be true or false, got 2"),
        ("infinite:end_fraction=0", "end_fraction must be above 0, got 0"),
        ("multi_step:factor=0.1/0.1/0.1", r"factor must be one, or one per boundary \(2\), got 3"),
        ("piecewise_constant:values=1/0.5", r"values must be one more than the boundaries \(3\), got 2"),
        ("piecewise_interpolate:interpolation=spline", "interpolation must be one of linear, cosine, got 'spline'"),
    ],
)
def test_wrong_arguments_are_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        language.parse(words)


@pytest.mark.parametrize("peak_value", [None, "0.1", [0.1]])
def test_infinite_refuses_a_peak_that_is_no_number(peak_value: object) -> None:
    with pytest.raises(ValueError, match="peak_value must be one number, got"):
        lrsched.infinite(peak_value, total_steps=10)


def test_points_given_as_lists_are_hashable() -> None:
    made = lrsched.piecewise_constant(0.1, total_steps=10, boundaries=[5], values=[1.0, 2.0])
    assert hash(made) == hash(lrsched.piecewise_constant(0.1, total_steps=10, boundaries=(5,), values=(1.0, 2.0)))
    through = lrsched.piecewise_interpolate(0.1, total_steps=10, boundaries=[5], values=[1.0, 2.0])
    assert hash(through) == hash(lrsched.piecewise_interpolate(0.1, total_steps=10, boundaries=5, values=(1.0, 2.0)))


def test_factors_may_be_a_list() -> None:
    made = lrsched.multi_step(1.0, total_steps=100, factor=[0.1, 0.2])
    assert made == lrsched.multi_step(1.0, total_steps=100, factor=(0.1, 0.2))


def test_one_place_is_a_list_of_one() -> None:
    assert lrsched.multi_step(1.0, total_steps=10, boundaries=5) == lrsched.multi_step(
        1.0, total_steps=10, boundaries=(5,)
    )
    assert lrsched.step(1.0, total_steps=10, fractions=0.5) == lrsched.step(1.0, total_steps=10, fractions=(0.5,))


def test_boundaries_must_ascend() -> None:
    with pytest.raises(ValueError, match="boundaries must ascend, got steps 50, 20"):
        lrsched.multi_step(1.0, total_steps=100, boundaries=(0.5, 20))


@pytest.mark.parametrize("total_steps", [1, 2, 3])
def test_points_at_the_same_step_jump(total_steps: int) -> None:
    schedule = lrsched.piecewise_interpolate(1.0, total_steps=total_steps)  # 1/4 of it is step 0
    np.testing.assert_allclose(schedule.table(np.arange(total_steps + 1)), 1 - np.arange(total_steps + 1) / total_steps)


def test_last_point_at_the_step_of_the_one_before_is_a_jump_at_that_step() -> None:
    schedule = lrsched.piecewise_interpolate(1.0, total_steps=100, boundaries=(50, 50), values=(1.0, 1.0, 0.2))
    np.testing.assert_allclose(schedule.table([49, 50, 51]), [1.0, 0.2, 0.2])


def test_momentum_may_be_any_schedule_below_one() -> None:
    budget = lrsched.Budget(1, 100)
    table = lrsched.plan("rex", budget, peak_value=1.0, momentum="demon").table()
    np.testing.assert_allclose(table["momentum"][[0, 50]], [0.9, 0.45 / 0.55])
    table = lrsched.plan("rex", budget, peak_value=1.0, momentum="linear:peak_value=0.8").table()
    np.testing.assert_allclose(table["momentum"][[0, 50]], [0.8, 0.4])
    with pytest.raises(ValueError, match="peak_value must be at least 0 and below 1, got 1.5"):
        lrsched.plan("rex", budget, peak_value=1.0, momentum="cosine:peak_value=1.5")


@pytest.mark.parametrize("staircase", [False, True])
@pytest.mark.parametrize("transition_steps", [1, 7])
def test_long_exponential_decay_in_float32_is_precise(transition_steps: int, staircase: bool) -> None:
    schedule = lrsched.exponential_decay(
        1.0, total_steps=80_000, decay_rate=0.999, transition_steps=transition_steps, staircase=staircase
    )
    steps = np.arange(80_000)
    table = 0.999 ** (steps // transition_steps if staircase else steps / transition_steps)
    np.testing.assert_allclose(schedule(steps), table, rtol=1e-6)  # down to e**-80, where exp(-80) alone is 8e-6 off


def test_exponential_growth_beyond_float32_is_refused_when_the_budget_is_known() -> None:
    with pytest.raises(ValueError, match="decay_rate must give rates that float32 holds, got 10"):
        lrsched.exponential_decay(1.0, total_steps=100, decay_rate=10.0, transition_steps=1)
    short = lrsched.exponential_decay(1.0, total_steps=30, decay_rate=10.0, transition_steps=1)
    with pytest.raises(ValueError, match="decay_rate must give rates that float32 holds, got 10"):
        short.at(100)


@pytest.mark.parametrize("profile", [3, ["rex"], None, "mine", profiles.rex, profiles.Rex])
def test_profile_refuses_what_is_no_name(profile: object) -> None:
    with pytest.raises(ValueError, match="profile must be one of constant, .*, got"):
        profiles.named(profile)


def test_growth_refuses_what_is_no_profile() -> None:
    with pytest.raises(ValueError, match="profile must be one of constant, .*, got 5"):
        ls.growth(0.1, total_steps=10, profile=5)


def test_delayed_fraction_may_be_traced() -> None:
    got = jax.jit(lambda part, t: ls.delayed(0.1, total_steps=300, fraction=part)(t))(0.5, np.arange(301))
    np.testing.assert_allclose(
        got, ls.delayed(0.1, total_steps=300, fraction=0.5)(np.arange(301)), rtol=1e-5, atol=1e-9
    )


@pytest.mark.parametrize("gamma", [100.0, 1e9])
def test_exponential_beyond_float32_is_refused(gamma: float) -> None:
    with pytest.raises(ValueError, match="^gamma must give rates that float32 holds, got"):
        ls.exponential(0.1, total_steps=10, gamma=gamma)
    assert np.isfinite(ls.exponential(0.1, total_steps=10, gamma=80.0)(10))
