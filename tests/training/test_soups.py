import inspect
import math

import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from lrsched.training import soups

VALUES = arrays.arrays(np.float32, (3, 2), elements=st.floats(-100, 100, width=32))


def tree(values, dtype=np.float32):
    """As Flax has it: nested dicts, with a scalar among the leaves."""
    values = np.asarray(values, dtype)
    return {"dense": {"kernel": values, "bias": values[:1]}, "scale": values.reshape(-1)[0]}


def kernel(found):
    return found["dense"]["kernel"]


def test_mean_tree_by_hand():
    found = soups.mean_tree([tree([1.0, 2.0]), tree([3.0, 6.0])])
    assert kernel(found).tolist() == [2.0, 4.0]
    assert found["dense"]["bias"].tolist() == [2.0]
    assert found["scale"].tolist() == 2.0


def test_mean_tree_weighted_by_hand():
    found = soups.mean_tree([tree([1.0]), tree([3.0]), tree([99.0])], np.array([1.0, 3.0, 0.0]))
    assert kernel(found).tolist() == [2.5]


def test_mean_tree_sums_in_float64():
    # In float32, 1e8 + 1 is 1e8 and the mean would be 0.
    found = soups.mean_tree([tree([1e8]), tree([1.0]), tree([-1e8])])
    assert kernel(found).tolist() == [np.float32(1 / 3)]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.float32, np.float64])
def test_trees_keep_the_first_ones_dtype(dtype):
    first, second = tree([1.0, 2.0], dtype), tree([2.0, 4.0], np.float64)
    for found in (
        soups.mean_tree([first, second]),
        soups.running_mean(first, second, n=1),
        soups.interpolate(first, second, alpha=0.5),
    ):
        assert kernel(found).dtype == np.asarray(found["scale"]).dtype == dtype
        assert kernel(found).tolist() == [1.5, 3.0]


def test_trees_may_be_jax_arrays_and_are_left_alone():
    given_trees = [{"w": jnp.ones(2)}, {"w": jnp.full(2, 3.0)}]
    found = soups.mean_tree(given_trees)
    assert isinstance(found["w"], np.ndarray)
    assert found["w"].tolist() == [2.0, 2.0]
    assert given_trees[0]["w"].tolist() == [1.0, 1.0]


def test_no_tree():
    for soup in (soups.mean_tree, lambda trees: soups.greedy_soup(trees, lambda _: 0.0)):
        with pytest.raises(ValueError, match=r"^trees must hold at least one, got none\.$"):
            soup([])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"v": np.zeros(2)}, "trees must be of one structure, got "),
        ({"w": np.zeros(1)}, r"trees must be of one shape, got \(1,\) and \(2,\) at \['w'\]\."),  # would broadcast
        ({"w": np.zeros(2, np.int32)}, r"trees must be floating-point, got int32 at \['w'\] of 1\."),
    ],
)
def test_trees_that_differ(other, message):
    one = {"w": np.zeros(2)}
    with pytest.raises(ValueError, match=f"^{message}"):
        soups.mean_tree([one, other])
    with pytest.raises(ValueError, match=f"^{message}"):
        soups.running_mean(one, other, n=1)
    with pytest.raises(ValueError, match=f"^{message}"):
        soups.interpolate(one, other, alpha=0.5)


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -0.5], [1.0, math.nan], [math.inf, 1.0]])
def test_weights_outside(weights):
    with pytest.raises(ValueError, match=r"^weights must be finite, not negative, and not all 0, got \["):
        soups.mean_tree([tree([1.0])] * 2, np.array(weights))


def test_weights_of_another_length():
    unchecked = inspect.unwrap(soups.mean_tree)  # as it is without the tests' checks of shapes
    with pytest.raises(ValueError, match=r"^weights must be one a tree, got 1 for 2 trees\.$"):
        unchecked([tree([1.0])] * 2, np.array([1.0]))


@hypothesis.given(st.lists(VALUES, min_size=1, max_size=6))
def test_running_mean_ends_at_the_mean(values):
    running = tree(np.zeros((3, 2)), np.float64)
    for n, value in enumerate(values):
        running = soups.running_mean(running, tree(value), n=n)
    # 5 roundings of float64 on values up to 100.
    assert kernel(running) == pytest.approx(np.mean(np.array(values, float), axis=0), rel=1e-12, abs=1e-12)


def test_running_mean_of_none_is_the_tree():
    assert kernel(soups.running_mean(tree([7.0]), tree([0.1]), n=0)).tolist() == [np.float32(0.1)]


def test_running_mean_of_fewer_than_none():
    with pytest.raises(ValueError, match=r"^n must be at least 0, got -1\.$"):
        soups.running_mean(tree([1.0]), tree([1.0]), n=-1)


@hypothesis.given(VALUES, VALUES)
def test_interpolate_is_exact_at_its_ends(first, second):
    for alpha, end in ((0.0, first), (1.0, second)):
        assert kernel(soups.interpolate(tree(first), tree(second), alpha=alpha)).tolist() == end.tolist()


def test_interpolate_by_hand():
    points = [kernel(soups.interpolate(tree([1.0]), tree([5.0]), alpha=alpha)).item() for alpha in (0.25, 0.75, 1.5)]
    assert points == [2.0, 4.0, 7.0]


@pytest.mark.parametrize("alpha", [math.nan, math.inf])
def test_interpolate_nowhere(alpha):
    with pytest.raises(ValueError, match=rf"^alpha must be finite, got {alpha}\.$"):
        soups.interpolate(tree([1.0]), tree([5.0]), alpha=alpha)


def near_1(found):
    return -abs(kernel(found).item() - 1)


def test_greedy_soup_by_hand():
    # From best to worst 0.875, 1.25, 0.5, 2: mean of two 1.0625, nearer to 1; of three 0.875, not; with 2 1.375, not.
    soup = soups.greedy_soup([tree([x]) for x in (1.25, 2.0, 0.875, 0.5)], near_1)
    assert soup.indices == [2, 0]
    assert kernel(soup.tree).tolist() == [1.0625]


def test_greedy_soup_goes_on_after_one_it_left_out():
    # From best to worst 1.125, 1.25, 0.625: with 1.25 1.1875 is further off; without it, with 0.625, 0.875 is not.
    soup = soups.greedy_soup([tree([x]) for x in (0.625, 1.125, 1.25)], near_1)
    assert soup.indices == [1, 0]
    assert kernel(soup.tree).tolist() == [0.875]


def test_greedy_soup_of_one():
    soup = soups.greedy_soup([tree([3.0])], near_1)
    assert (soup.indices, kernel(soup.tree).tolist()) == ([0], [3.0])


def test_greedy_soup_scores_each_tree_and_each_average_once():
    scored = []
    soups.greedy_soup([tree([x]) for x in (1.0, 3.0, 8.0)], lambda found: scored.append(kernel(found).item()) or 0.0)
    assert scored == [1.0, 3.0, 8.0, 2.0, 4.0]  # an equal score lets all of them in, in their order


def test_greedy_soup_of_a_score_that_is_none():
    with pytest.raises(ValueError, match=r"^score must be a number for each tree, got \[0\.0, nan\]\.$"):
        soups.greedy_soup([tree([0.0]), tree([1.0])], lambda found: math.nan if kernel(found) > 0 else 0.0)


def test_greedy_soup_leaves_out_an_average_without_a_score():
    scores = {0.0: 0.5, 1.0: 0.5, 0.5: math.nan}
    assert soups.greedy_soup([tree([0.0]), tree([1.0])], lambda found: scores[kernel(found).item()]).indices == [0]


def test_barrier_by_hand():
    # The line from 1 to 3 is at 1.5, 2, 2.5: above it by 0.5, 3, 0.5.
    assert soups.barrier(np.array([1.0, 2.0, 5.0, 3.0, 3.0])) == 3.0


def test_barrier_at_given_alphas():
    # The line from 1 to 3 is at 1.25 where alpha is 1/8.
    assert soups.barrier(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.125, 1.0])) == 0.75


def test_barrier_of_a_basin_is_0():
    assert soups.barrier(np.array([1.0, 0.5, 0.75, 2.0])) == 0.0


def test_barrier_may_be_infinite():
    assert soups.barrier(np.array([1.0, math.inf, 2.0])) == math.inf


@pytest.mark.parametrize("losses", [[math.inf, 1.0], [1.0, math.nan, 1.0], [1.0, math.inf]])
def test_barrier_of_losses_that_are_none(losses):
    with pytest.raises(ValueError, match=r"^losses must be numbers, and finite at both ends, got \["):
        soups.barrier(np.array(losses))


def test_barrier_of_one_loss():
    with pytest.raises(ValueError, match=r"^losses must be at least two, got 1\.$"):
        soups.barrier(np.array([1.0]))


@pytest.mark.parametrize("alphas", [[0.0, 0.5, 0.9], [0.1, 0.5, 1.0], [0.0, 0.0, 1.0], [0.0, 1.5, 1.0]])
def test_barrier_alphas_that_do_not_rise(alphas):
    with pytest.raises(ValueError, match=r"^alphas must rise from 0 to 1, one a loss, got \["):
        soups.barrier(np.ones(3), np.array(alphas))
