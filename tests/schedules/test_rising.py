"""Warmups."""

import jax
import numpy as np
import pytest

import lrsched


def test_warmup_from_a_fraction_wastes_no_update() -> None:
    assert lrsched.warmup(1.0, total_steps=4, init_value=0.25)(0) == 0.25


def test_linear_rise_is_exact_at_its_first_steps() -> None:
    rise = lrsched.from_optax("linear_schedule", init_value=0.0, end_value=0.1, transition_steps=100_000)
    np.testing.assert_allclose(rise(np.arange(5)), rise.table()[:5], rtol=1e-6)


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
