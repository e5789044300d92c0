"""Weights of snapshots that stand for a decay."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.schedules.profiles import PROFILES


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("snapshots", [1, 2, 7, 32])
def test_average_is_the_path_walked_at_decaying_rates(name: str, snapshots: int) -> None:
    path = np.random.default_rng(0).normal(size=(snapshots + 1, 50)).cumsum(axis=0)  # theta_0 .. theta_k
    factors = PROFILES[name](np.arange(snapshots) / snapshots)
    walked = path[0] + (factors / factors[0]) @ np.diff(path, axis=0)
    np.testing.assert_allclose(ls.merge_weights(PROFILES[name], snapshots=snapshots) @ path[1:], walked, atol=1e-12)


def test_linear_decay_is_the_mean_of_the_last_ones() -> None:
    np.testing.assert_allclose(ls.merge_weights(ls.profiles.linear(), snapshots=5), [0.2] * 5, rtol=1e-12)


def test_constant_rate_is_the_last_one() -> None:
    assert ls.merge_weights(ls.profiles.constant(), snapshots=4).tolist() == [0, 0, 0, 1]


def test_steps_take_the_snapshots_before_the_rate_falls() -> None:
    # factors 1, 1, .1, .01 over four intervals
    np.testing.assert_allclose(ls.merge_weights(ls.profiles.step(), snapshots=4), [0, 0.9, 0.09, 0.01], atol=1e-15)


@pytest.mark.parametrize("name", PROFILES)
def test_weights_add_up_to_one(name: str) -> None:
    assert ls.merge_weights(PROFILES[name], snapshots=9).sum() == pytest.approx(1.0, abs=1e-14)


def test_gradient_of_a_weight_is_that_of_differences() -> None:
    def first(d: float) -> float:
        return ls.merge_weights(ls.profiles.rex(d), snapshots=4)[0]

    assert float(jax.grad(first)(0.5)) == pytest.approx((first(0.5001) - first(0.4999)) / 0.0002, rel=1e-4)


@pytest.mark.parametrize(
    ("profile", "snapshots", "message"),
    [
        (ls.profiles.linear(), 0, "snapshots must be a whole number of at least 1, got 0"),
        (ls.profiles.linear(), 2.5, "snapshots must be a whole number of at least 1, got 2.5"),
        ("rex", 3, "profile must be a function, such as lrsched.profiles.rex"),
        (
            lambda z: np.where(z < 0.5, 1.0, np.inf),
            2,
            "profile must be finite, and above 0 at its start, got .*1. *inf",
        ),
        (lambda z: z, 3, "profile must be finite, and above 0 at its start, got .0. "),
    ],
)
def test_what_is_no_decay_is_refused(profile: object, snapshots: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ls.merge_weights(profile, snapshots=snapshots)


def test_profile_of_jax_is_computed_and_checked_as_one_of_numpy() -> None:
    got = ls.merge_weights(lambda z: 1 - jnp.asarray(z), snapshots=4)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, 0.25, rtol=1e-6)
    assert ls.merge_weights(lambda z: jnp.float32(2.0), snapshots=3).tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="profile must be finite, and above 0 at its start"):
        ls.merge_weights(jnp.asarray, snapshots=3)


@pytest.mark.parametrize("profile", [lambda z: 1.0 if z < 0.5 else 0.0, lambda z: [1, 2]])
def test_profile_that_maps_no_array_is_refused_in_one_line(profile: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=r"^profile must map an array of fractions to as many factors, got [^\n]+$"):
        ls.merge_weights(profile, snapshots=3)


def test_weights_of_a_traced_exponential_are_those_of_a_known_one() -> None:
    traced = jax.jit(lambda gamma: ls.merge_weights(ls.profiles.exponential(gamma), snapshots=3))(-2.0)
    np.testing.assert_allclose(traced, ls.merge_weights(ls.profiles.exponential(-2.0), snapshots=3), rtol=1e-5)
