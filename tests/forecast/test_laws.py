"""The formulas of the laws, by hand and in both array libraries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.forecast import laws

RATES = np.array([1, 1, 0.5, 0.5, 0.25])
STEPS = np.arange(1, 6)
# The same five rates by hand in all: S1 = 1, 2, 2.5, 3, 3.25; for the annealing law S2 = 0, 0, .5, .95, 1.605.
BY_HAND = {
    "annealing": (
        {"L0": 1.0, "A": 2.0, "alpha": 0.5, "C": 0.1, "lambda": 0.9},
        [3, 2.41421356, 2.21491106, 2.05970054, 1.94890039],
    ),
    "multi_power": (
        {"L0": 1.0, "A": 2.0, "alpha": 0.5, "B": 0.3, "C": 1.0, "beta": 0.5, "gamma": 0.5},
        [3, 2.41421356, 2.22971609, 2.10123968, 2.03580025],
    ),
    "functional_scaling": (
        {"L0": 1.0, "c1": 2.0, "c2": 0.3, "c3": 0.5, "c4": 1.0, "s": 0.5, "gamma": 0.5},
        [3, 2.41421356, 2.26491106, 2.12352912, 2.06794045],
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_losses_by_hand(name: str) -> None:
    parameters, losses = BY_HAND[name]
    np.testing.assert_allclose(getattr(laws, name)(RATES, STEPS, parameters), losses, atol=1e-8)


@pytest.mark.parametrize("name", BY_HAND)
def test_losses_in_jax_are_those_in_numpy(name: str) -> None:
    parameters, _ = BY_HAND[name]
    law, rates = getattr(laws, name), ls.cosine(0.3, total_steps=300).table()
    steps = np.array([1, 50, 299, 300])
    np.testing.assert_allclose(law(jnp.asarray(rates), steps, parameters), law(rates, steps, parameters), rtol=2e-5)


@pytest.mark.parametrize("name", BY_HAND)
def test_gradient_is_that_of_differences(name: str) -> None:
    parameters, _ = BY_HAND[name]
    law, last = getattr(laws, name), np.array([5])

    def end(rates: np.ndarray) -> float:
        return law(rates, last, parameters)[0]

    rates = np.array([1, 0.9, 0.5, 0.4, 0.25])
    slopes = [(end(rates + 1e-6 * row) - end(rates - 1e-6 * row)) / 2e-6 for row in np.eye(5)]
    np.testing.assert_allclose(jax.grad(end)(jnp.asarray(rates, jnp.float32))[1:], slopes[1:], atol=2e-3)


def test_warmup_of_the_annealing_law_counts_at_the_peak() -> None:
    parameters, losses = BY_HAND["annealing"]
    warm = np.concatenate([[0.25], RATES[1:]])
    np.testing.assert_allclose(laws.annealing(warm, STEPS, parameters), losses, atol=1e-8)


def test_warmup_of_the_multi_power_law_is_a_fall_below_0() -> None:
    parameters, _ = BY_HAND["multi_power"]
    # rates 1/4, 1: S1 = 5/4, and a fall of -3/4 with G(1 * 1) = 1 - 2**-0.5
    found = laws.multi_power(np.array([0.25, 1.0]), np.array([2]), parameters)
    np.testing.assert_allclose(found, 1 + 2 * 1.25**-0.5 + 0.3 * 0.75 * (1 - 2**-0.5), rtol=1e-12)


@pytest.mark.parametrize("name", BY_HAND)
def test_rates_that_end_in_zeros_have_a_loss_and_a_slope(name: str) -> None:
    parameters, _ = BY_HAND[name]
    rates = np.array([1, 0.5, 0, 0])
    law, last = getattr(laws, name), np.array([4])
    assert np.isfinite(law(rates, last, parameters)).all()
    gradient = jax.grad(lambda rates: law(rates, last, parameters)[0])(jnp.asarray(rates, jnp.float32))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["multi_power", "functional_scaling"])
def test_entries_with_lengths_are_updates_of_one_rate(name: str) -> None:
    parameters, _ = BY_HAND[name]
    law = getattr(laws, name)
    long = np.repeat([1, 0.5, 0.25], [4, 2, 3])
    found = law(np.array([1, 0.5, 0.25]), np.array([1, 2, 3]), parameters, np.array([4.0, 2.0, 3.0]))
    np.testing.assert_allclose(found, law(long, np.array([4, 6, 9]), parameters), rtol=1e-12)


def test_convex_end_is_the_bound() -> None:
    found = laws.convex_end(np.array([3.0, 2.0, 1.0]), np.array([1, 3]), {"L0": 2.0, "D": 3.0, "G": 0.5})
    np.testing.assert_allclose(found, [2 + 9 / 6 + 0.25 * 9 / 6, 2 + 9 / 12 + 0.25 * 4], rtol=1e-12)
