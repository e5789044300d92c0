"""Averages of weights: of snapshots, along the line between two, and greedily chosen.

A tree is any pytree of floating-point arrays, such as Flax's nested dicts. Averaged weights need batch-norm statistics
of their own, re-estimated on training data: an average of running statistics is not what the averaged network sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

Tree = Any


class Soup(NamedTuple):
    """Which trees went into an average, in the order of choice, and the average."""

    indices: list[int]
    tree: Tree


def mean_tree(trees: Sequence[Tree], weights: Float[np.ndarray, " trees"] | None = None) -> Tree:
    """Weighted mean of weights, summed in float64 and rounded once.

    Args:
      trees: at least one, of equal structure and shapes.
      weights: not negative, not all 0; divided by their sum. All equal if None.
    Returns:
      NumPy arrays in the first tree's structure and dtypes.
    Raises:
      ValueError: if there is no tree, trees differ in structure or shapes, a leaf is not floating-point, or the weights
        are as they must not be.
    Source:
      "Uniform soup": Wortsman et al., ICML 2022, arXiv:2203.05482, section 2.
    """
    _check_alike(trees)
    shares = [1.0] * len(trees) if weights is None else weights.tolist()
    if len(shares) != len(trees):
        raise ValueError(f"weights must be one a tree, got {len(shares)} for {len(trees)} trees.")
    if not (all(0 <= share < math.inf for share in shares) and any(shares)):
        raise ValueError(f"weights must be finite, not negative, and not all 0, got {shares}.")
    total = math.fsum(shares)

    def average(*leaves: Any) -> np.ndarray:
        return _rounded(sum(share * _wide(leaf) for share, leaf in zip(shares, leaves, strict=True)) / total, leaves[0])

    return jax.tree.map(average, *trees)


def running_mean(mean: Tree, tree: Tree, *, n: int) -> Tree:
    """The mean of n + 1 trees from the mean of the first n: (n * mean + tree) / (n + 1).

    Args:
      mean: of n trees; at n = 0 its values do not matter, if they are finite. Keep it in float64: in float32 each call
        rounds.
      tree: the next one, of equal structure and shapes.
      n: how many the mean is of, from 0.
    Returns:
      NumPy arrays in the mean's structure and dtypes.
    Raises:
      ValueError: if n < 0, the trees differ in structure or shapes, or a leaf is not floating-point.
    Source:
      Stochastic weight averaging: Izmailov et al., UAI 2018, arXiv:1803.05407, algorithm 1.
    """
    if n < 0:
        raise ValueError(f"n must be at least 0, got {n}.")
    _check_alike([mean, tree])
    return jax.tree.map(lambda old, new: _rounded((n * _wide(old) + _wide(new)) / (n + 1), old), mean, tree)


def interpolate(first: Tree, second: Tree, *, alpha: float) -> Tree:
    """(1 - alpha) * first + alpha * second: a point of the line through two networks.

    Args:
      first: at alpha 0, exactly.
      second: at alpha 1, exactly; of equal structure and shapes.
      alpha: any finite number; beyond [0, 1] the line goes on.
    Returns:
      NumPy arrays in the first tree's structure and dtypes, computed in float64.
    Raises:
      ValueError: if alpha is not finite, the trees differ in structure or shapes, or a leaf is not floating-point.
    Source:
      Goodfellow, Vinyals, Saxe, ICLR 2015, arXiv:1412.6544.
    """
    if not math.isfinite(alpha):
        raise ValueError(f"alpha must be finite, got {alpha}.")
    _check_alike([first, second])
    return jax.tree.map(lambda a, b: _rounded((1 - alpha) * _wide(a) + alpha * _wide(b), a), first, second)


def greedy_soup(trees: Sequence[Tree], score: Callable[[Tree], float]) -> Soup:
    """Averages those trees that do the average no harm.

    From the best tree to the worst, each is added if the score of the average with it is no lower than without it.

    Args:
      trees: at least one, of equal structure and shapes.
      score: the higher the better, such as accuracy on held-out data (batch-norm statistics re-estimated). Called
        once a tree, and then once an average.
    Returns:
      the Soup; its score is never below the best tree's. Of equally good trees the first comes first.
    Raises:
      ValueError: if there is no tree, a tree's score is NaN, or as `mean_tree`.
    Source:
      Wortsman et al., ICML 2022, arXiv:2203.05482, recipe 1.
    """
    _check_alike(trees)
    alone = [score(tree) for tree in trees]
    if any(map(math.isnan, alone)):
        raise ValueError(f"score must be a number for each tree, got {alone}.")
    order = sorted(range(len(trees)), key=lambda index: -alone[index])
    soup, best = Soup(order[:1], mean_tree([trees[order[0]]])), alone[order[0]]
    for index in order[1:]:
        indices = [*soup.indices, index]
        tree = mean_tree([trees[i] for i in indices])
        found = score(tree)
        if found >= best:
            soup, best = Soup(indices, tree), found
    return soup


def barrier(losses: Float[np.ndarray, " points"], alphas: Float[np.ndarray, " points"] | None = None) -> float:
    """How far the loss on the line between two networks rises above the straight line between their losses.

    max over alpha of loss(alpha) - ((1 - alpha) * loss(0) + alpha * loss(1)).

    Args:
      losses: at least two, the first and the last being the networks' own.
      alphas: where they are, rising from 0 to 1; evenly spaced if None.
    Returns:
      at least 0; about 0 if both networks lie in one basin, and only then does averaging their weights make sense.
      Infinite if a loss between the ends is.
    Raises:
      ValueError: if there are fewer than two losses, one is NaN or an end is infinite, or alphas do not rise from 0 to
        1.
    Source:
      Entezari et al., ICLR 2022, arXiv:2110.06296, equation 1. Frankle et al., ICML 2020, arXiv:1912.05671, take the
      mean of both ends at every alpha, which is the same where the ends' losses are equal.
    """
    if len(losses) < 2:
        raise ValueError(f"losses must be at least two, got {len(losses)}.")
    if np.isnan(losses).any() or not np.isfinite(losses[[0, -1]]).all():
        raise ValueError(f"losses must be numbers, and finite at both ends, got {losses.tolist()}.")
    at = np.linspace(0, 1, len(losses)) if alphas is None else alphas.astype(np.float64)
    if len(at) != len(losses) or at[0] != 0 or at[-1] != 1 or (np.diff(at) <= 0).any():
        raise ValueError(f"alphas must rise from 0 to 1, one a loss, got {at.tolist()}.")
    heights = losses.astype(np.float64)
    return float(np.max(heights - ((1 - at) * heights[0] + at * heights[-1])))


def _check_alike(trees: Sequence[Tree]) -> None:
    if not trees:
        raise ValueError("trees must hold at least one, got none.")
    structure: Any = jax.tree.structure(trees[0])
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(trees[0])]
    for index, tree in enumerate(trees):
        found: Any = jax.tree.structure(tree)
        if found != structure:
            raise ValueError(f"trees must be of one structure, got {found} and {structure}.")
        for (path, leaf), shape in zip(jax.tree_util.tree_leaves_with_path(tree), shapes, strict=True):
            name = jax.tree_util.keystr(path)
            if np.shape(leaf) != shape:
                raise ValueError(f"trees must be of one shape, got {np.shape(leaf)} and {shape} at {name}.")
            if not jnp.issubdtype(np.asarray(leaf).dtype, jnp.floating):
                raise ValueError(f"trees must be floating-point, got {np.asarray(leaf).dtype} at {name} of {index}.")


def _wide(leaf: Any) -> np.ndarray:
    return np.asarray(leaf).astype(np.float64)


def _rounded(wide: Any, like: Any) -> np.ndarray:
    return np.asarray(wide, dtype=np.asarray(like).dtype)
