"""Schedules entered at a step, stopped early, and of whole numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrsched as ls


def test_budget_aware_conversion_differs_from_the_cut_off_form() -> None:
    # Li et al.: drops at 30, 60, 90 % of 100 come at 3, 6, 9 of 10; cut off after 10 of 100, none comes
    whole = ls.step(1.0, total_steps=100, fractions=(0.3, 0.6, 0.9))
    np.testing.assert_allclose(whole.at(10).table(), [1] * 3 + [0.1] * 3 + [0.01] * 3 + [0.001])
    np.testing.assert_allclose(ls.truncated(whole, 10).table(), [1] * 10)


def test_truncated_ends_its_last_cycle_at_the_cut() -> None:
    twice = ls.sequence([ls.cosine(0.1, total_steps=10), ls.cosine(0.1, total_steps=10)])
    assert ls.truncated(twice, 15).cycle_ends == (10, 15)


def test_after_moves_to_another_budget_by_what_is_left() -> None:
    left = ls.after(ls.linear(1.0, total_steps=100), 40)
    assert left.total_steps == 60
    longer = left.at(160)  # the linear decay now has 200 updates, of which 40 are made
    np.testing.assert_allclose(longer.table([0, 60, 159]), [0.8, 0.5, 1 / 200])


@pytest.mark.parametrize("step", [-1, 100, 1.5, "5", None, True])
def test_after_refuses_steps_outside_the_budget(step: object) -> None:
    with pytest.raises(ValueError, match="step (of After )?must be"):
        ls.after(ls.linear(1.0, total_steps=100), step)


def test_after_takes_a_traced_step_and_budget() -> None:
    def rate(entered: jax.Array, total: jax.Array) -> jax.Array:
        left = ls.after(ls.rex(1.0, total_steps=total), entered)
        return left(np.arange(5))

    got = jax.vmap(rate)(np.int32([0, 7]), np.int32([50, 100]))
    for row, entered, total in zip(got, (0, 7), (50, 100), strict=True):
        want = ls.rex(1.0, total_steps=total).table(np.arange(5) + entered)
        np.testing.assert_allclose(row, want, rtol=1e-6)


def test_warmup_in_place_of_the_first_updates_of_a_decay() -> None:
    # timm with warmup_prefix=False: step t of the cosine is step t, the warmup only covers the first ones
    cosine = ls.cosine(0.1, total_steps=100)
    schedule = ls.sequence([ls.warmup(0.1, total_steps=10), ls.after(cosine, 10)])
    t = np.arange(10, 100)
    np.testing.assert_allclose(schedule.table(t), 0.05 * (1 + np.cos(np.pi * t / 100)), rtol=1e-12)


def test_whole_numbers_round_to_the_nearest_and_stay_above_zero() -> None:
    counted = ls.whole(ls.linear(4.0, total_steps=8))
    np.testing.assert_array_equal(counted.table(), [4, 4, 3, 3, 2, 2, 1, 1])  # of 4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5
    np.testing.assert_array_equal(counted(np.arange(8)), counted.table())
    assert counted(np.arange(8)).dtype == jnp.int32
    assert ls.whole(ls.constant(0.0, total_steps=8))(3) == 1


def test_multi_steps_of_optax_takes_whole_numbers() -> None:
    # one update from 1 gradient, then one from 2, then from 4: the means of 1, of 2 and 3, of 4 to 7
    growing = ls.piecewise_constant(1.0, total_steps=3, boundaries=(1, 2), values=(1, 2, 4))
    with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
        tx = optax.MultiSteps(optax.sgd(1.0), every_k_schedule=ls.whole(growing))
        params = jnp.zeros(())
        state, moved = tx.init(params), []
        update = jax.jit(tx.update)
        for gradient in range(1, 8):
            change, state = update(jnp.float32(gradient), state, params)
            moved.append(float(change))
    np.testing.assert_allclose(moved, [-1, 0, -2.5, 0, 0, 0, -5.5])
    assert int(state.gradient_step) == 3
