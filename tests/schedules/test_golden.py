"""Reference values that come from the sources, not from this code."""

import math

import numpy as np
import pytest

import lrsched
from lrsched import profiles, sampling

STEPS = [0, 25, 50, 75, 99, 100]  # of T = 100, peak 1


# Chen, Wolfe, Kyrillidis, arXiv:2107.04197, section 4.1: each formula worked out at t / T = 0, .25, .5, .75, .99, 1.
DECAYS = {
    "rex": (lrsched.rex(1.0, total_steps=100), [1, 6 / 7, 2 / 3, 2 / 5, 2 / 101, 0]),  # 2 (T - t) / (2 T - t)
    "rex d=0.9": (
        lrsched.rex(1.0, total_steps=100, d=0.9),
        [1, 0.75 / 0.775, 0.5 / 0.55, 0.25 / 0.325, 0.01 / 0.109, 0],
    ),
    "rex d=0.1": (
        lrsched.rex(1.0, total_steps=100, d=0.1),
        [1, 0.7692307692, 0.5263157895, 0.2702702703, 0.0110987791, 0],
    ),
    "linear": (lrsched.linear(1.0, total_steps=100), [1, 0.75, 0.5, 0.25, 0.01, 0]),
    "cosine": (lrsched.cosine(1.0, total_steps=100), [1, 0.8535533906, 0.5, 0.1464466094, 0.0002467198, 0]),
    "exponential": (
        lrsched.exponential(1.0, total_steps=100),
        [1, 0.4723665527, 0.2231301601, 0.1053992246, 0.0513033103, 0.0497870684],
    ),
    "step": (lrsched.step(1.0, total_steps=100), [1, 1, 0.1, 0.01, 0.01, 0.01]),
    "polynomial .9 (DeepLab)": (
        lrsched.polynomial(1.0, total_steps=100, power=0.9),
        [1, 0.7718895067, 0.5358867313, 0.2871745887, 0.0158489319, 0],
    ),
    "polynomial 2": (lrsched.polynomial(1.0, total_steps=100, power=2.0), [1, 0.5625, 0.25, 0.0625, 0.0001, 0]),
    "onecycle": (lrsched.onecycle(1.0, total_steps=100, variant="rex_paper"), [0.1, 0.55, 1, 0.55, 0.118, 0.1]),
    "onecycle momentum": (
        lrsched.onecycle_momentum(total_steps=100, variant="rex_paper"),
        [0.95, 0.9, 0.85, 0.9, 0.948, 0.95],
    ),
    "constant": (lrsched.constant(1.0, total_steps=100), [1] * 6),
    "warmup": (lrsched.warmup(1.0, total_steps=100), [0, 0.25, 0.5, 0.75, 0.99, 1]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DECAYS)
def test_decay_equals_the_formula_of_its_source(name: str) -> None:
    schedule, values = DECAYS[name]
    np.testing.assert_allclose(schedule.table(STEPS), values, rtol=1e-8, atol=1e-10)  # the digits above
    np.testing.assert_allclose(schedule(np.array(STEPS)), values, rtol=1e-6, atol=1e-9)


# The same paper, section 3 and figure 2: held levels of a profile at T = 300, t = 0, 149, 150, 225, 299.
HELD = {
    ("linear", "50-75"): [1, 1, 1 / 2, 1 / 4, 1 / 4],
    ("rex", "50-75"): [1, 1, 2 / 3, 2 / 5, 2 / 5],
    ("linear", "33-66"): [1, 2 / 3, 2 / 3, 1 / 3, 1 / 3],
    ("rex", "33-66"): [1, 4 / 5, 4 / 5, 1 / 2, 1 / 2],
    ("linear", "25-50-75"): [1, 3 / 4, 1 / 2, 1 / 4, 1 / 4],
    ("rex", "25-50-75"): [1, 6 / 7, 2 / 3, 2 / 5, 2 / 5],
    ("linear", "10-10"): [1, 0.6, 0.5, 0.3, 0.1],
    ("rex", "10-10"): [1, 0.75, 2 / 3, 6 / 13, 2 / 11],
    ("linear", "5-25"): [1, 0.55, 0.5, 0.25, 0.05],
    ("rex", "5-25"): [1, 22 / 31, 2 / 3, 2 / 5, 2 / 21],
    ("linear", "1-100"): [1, 0.51, 0.5, 0.25, 0.01],
    ("rex", "1-100"): [1, 1.02 / 1.51, 2 / 3, 2 / 5, 0.02 / 1.01],
    ("linear", "every"): [1, 151 / 300, 0.5, 0.25, 1 / 300],
    ("rex", "every"): [1, 302 / 451, 2 / 3, 2 / 5, 2 / 301],
}


@pytest.mark.parametrize(("profile", "rate"), HELD)
def test_sampling_rate_holds_the_levels_of_the_paper(profile: str, rate: str) -> None:
    shape = getattr(profiles, profile)()
    schedule = lrsched.decay(1.0, profile=shape, sampling=sampling.PAPER[rate], total_steps=300)
    np.testing.assert_allclose(schedule(np.array([0, 149, 150, 225, 299])), HELD[profile, rate], rtol=1e-6)


def test_last_step_of_rex_keeps_its_precision_in_a_long_run() -> None:
    # at t = T - 1: 2 / (T + 1); the naive 1 - float32(t / T) is more than 0.1 % off here
    assert math.isclose(lrsched.rex(1.0, total_steps=100_000)(99_999), 2 / 100_001, rel_tol=2e-7)


def test_profile_is_a_plain_function_of_a_fraction() -> None:
    assert profiles.rex()(0.5) == pytest.approx(2 / 3)
    np.testing.assert_allclose(profiles.cosine()(np.array([0.0, 0.25, 1.0])), [1, 0.8535533906, 0], atol=1e-15)
    np.testing.assert_allclose(profiles.step((0.5,))(np.array([0.49, 0.5])), [1, 0.1])
