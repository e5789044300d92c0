"""The schedules that the bound and a law like best."""

import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.forecast import fits, optimise


@pytest.mark.slow
def test_descent_on_the_bound_from_a_constant_ends_at_linear_decay() -> None:
    total = 400
    linear = ls.linear(1.0, total_steps=total)
    least, rate = float(ls.bound(linear).tuned), float(ls.best_rate(linear))
    start = np.full(total, float(ls.best_rate(np.ones(total))))
    found = optimise.minimise(lambda rates: ls.bound(rates).value, start)
    assert float(ls.bound(start).value) > least + 0.03  # a constant is far off
    assert found.value == pytest.approx(least, abs=1e-3)
    away = np.abs(found.numbers / rate - linear.table())
    assert away[:-20].max() < 0.006  # of the peak; the free optimum differs in the last updates
    assert away.max() < 0.03


def test_best_member_is_found_within_its_range() -> None:
    # (x - 0.3)^2 + y^2 has its least at (0.3, 0), of which the second is the lower limit
    found = optimise.best_member(lambda x: (x[0] - 0.3) ** 2 + x[1] ** 2, [(0.0, 1.0), (0.0, 2.0)])
    np.testing.assert_allclose(found.numbers, [0.3, 0.0], atol=1e-6)
    assert found.value == pytest.approx(0.0, abs=1e-12)


@pytest.mark.slow
def test_best_rates_of_a_law_never_rise_and_beat_named_ones() -> None:
    law = fits.FittedLaw("annealing", {"L0": 2.0, "A": 3.0, "alpha": 0.5, "C": 0.05, "lambda": 0.993})
    found = optimise.best_rates(law.predict, peak=0.1, total_steps=500)
    assert found.numbers[0] == pytest.approx(0.1)
    assert (np.diff(found.numbers) <= 1e-12).all()
    assert (found.numbers >= 0).all()
    for made in (ls.linear, ls.cosine, ls.rex, ls.constant):
        assert found.value < law.predict(made(0.1, total_steps=500))
    assert law.predict(found.numbers) == pytest.approx(found.value, rel=1e-6)


def test_rates_that_should_rise_stay() -> None:
    # what never rises and is nearest to a line from 0 to 2 in squares is its mean, 1
    found = optimise.best_rates(
        lambda rates: ((rates - jnp.linspace(0.0, 2.0, 32)) ** 2).sum(), peak=1.0, total_steps=32
    )
    assert (np.diff(found.numbers) <= 1e-12).all()
    np.testing.assert_allclose(found.numbers, 1.0, atol=1e-4)


def test_objective_that_does_not_move_is_refused() -> None:
    with pytest.raises(ValueError, match="got a gradient of 0: nothing to follow"):
        optimise.minimise(lambda x: jnp.float64(1.0) + 0.0 * x[0], [0.5])
