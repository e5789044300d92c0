"""Loss and score of an example, by hand."""

import jax.numpy as jnp
import numpy as np

from lrsched.training import losses


def test_of_each_class_is_cross_entropy_and_whether_it_is_right() -> None:
    outputs = jnp.log(jnp.array([[1.0, 3.0], [1.0, 3.0]]))  # softmax: 1/4, 3/4
    each, scores = losses.of_each(outputs, jnp.array([0, 1], jnp.int32))
    np.testing.assert_allclose(each, [np.log(4), np.log(4 / 3)], rtol=1e-6)
    assert scores.tolist() == [False, True]


def test_of_each_number_is_squared_error_and_one_minus_it() -> None:
    each, scores = losses.of_each(jnp.array([1.5, -1.0]), jnp.array([1.0, 1.0]))
    np.testing.assert_allclose(each, [0.25, 4.0], rtol=1e-6)
    np.testing.assert_allclose(scores, [0.75, -3.0], rtol=1e-6)


def test_mean_score_of_a_regression_is_the_variance_explained() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(7.0, 3.0, 200)
    guesses = targets + rng.normal(0.0, 1.0, 200)
    mean, std = targets.mean(), targets.std()
    _, scores = losses.of_each(
        jnp.asarray((guesses - mean) / std, jnp.float32), jnp.asarray((targets - mean) / std, jnp.float32)
    )
    explained = 1 - np.square(guesses - targets).sum() / np.square(targets - mean).sum()
    np.testing.assert_allclose(scores.mean(), explained, rtol=1e-5)  # float32 sums
