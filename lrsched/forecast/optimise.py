"""The schedule that a law or the bound likes best: of a family with a few numbers, or free but never rising."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Objective = Callable[[Any], Any]  # rates (or the numbers that make them) -> what is to be least, in JAX
KNOTS = 64  # of free rates; between them the rate moves on a line


class Best(NamedTuple):
    """The numbers found, and what the objective is there."""

    numbers: np.ndarray
    value: float


def minimise(
    objective: Objective, start: Sequence[float] | np.ndarray, *, at_least: Any = 0.0, at_most: Any = np.inf
) -> Best:
    """Numbers between limits at which an objective is least: L-BFGS-B along its gradient, in float64.

    Args:
      objective: a function of a JAX array, differentiable.
      start: where to begin.
      at_least, at_most: limits, of all numbers or of each.
    Raises:
      ValueError: if the gradient is 0 at the start, so that there is nothing to follow.
    """
    first = np.asarray(start, np.float64)
    return _follow(
        _slopes(objective), first, np.broadcast_to(at_least, first.shape), np.broadcast_to(at_most, first.shape)
    )


def _slopes(objective: Objective) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The objective's value and gradient in float64, compiled once."""
    one = np.float64(1.0)  # an argument, so that XLA does not add up the gradient's constants as it compiles
    both = jax.jit(jax.value_and_grad(lambda x, one: jnp.asarray(objective(x), jnp.float64) * one))

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        with jax.enable_x64(True):
            value, gradient = both(x, one)
            return float(value), np.nan_to_num(np.asarray(gradient, np.float64))

    return evaluate


def _follow(evaluate: Callable[..., Any], start: np.ndarray, low: np.ndarray, high: np.ndarray) -> Best:
    from scipy import optimize

    if not evaluate(start)[1].any():
        raise ValueError("the objective must change with the numbers, got a gradient of 0: nothing to follow.")
    how = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-12, "gtol": 1e-9}
    limits = optimize.Bounds(low, high)
    found = optimize.minimize(evaluate, start, jac=True, bounds=limits, method="L-BFGS-B", options=how)
    return Best(np.asarray(found.x), float(found.fun))


def best_member(objective: Objective, ranges: Sequence[tuple[float, float]], *, starts: int = 3) -> Best:
    """The best numbers of a family, each within its range: from several starts, as there may be several valleys."""
    low, high = (np.array([one[side] for one in ranges], np.float64) for side in (0, 1))
    evaluate = _slopes(objective)
    places = [low + (high - low) * (i + 0.5) / starts for i in range(starts)]
    return min((_follow(evaluate, place, low, high) for place in places), key=lambda one: one.value)


def best_rates(objective: Objective, *, peak: float, total_steps: int) -> Best:
    """The best rates that begin at the peak and never rise; `numbers` are the rates of all updates."""
    knots = min(KNOTS, total_steps)
    places = np.linspace(0, knots - 1, total_steps)

    def rates(kept: Any) -> Any:
        """From the part of the rate that is kept from knot to knot."""
        xp = jnp if isinstance(kept, jax.Array) else np
        levels = peak * xp.concatenate([xp.ones_like(kept[:1]), xp.cumprod(kept)])
        below = np.minimum(places.astype(int), max(knots - 2, 0))
        part = places - below
        return levels[below] * (1.0 - part) + levels[np.minimum(below + 1, knots - 1)] * part

    if knots == 1:
        return Best(np.array([peak]), float(objective(jnp.array([peak]))))
    line = np.linspace(1.0, 1.0 / knots, knots)
    found = minimise(lambda kept: objective(rates(kept)), line[1:] / line[:-1], at_least=0.0, at_most=1.0)
    return Best(np.asarray(rates(found.numbers)), found.value)
