"""What convex optimisation says of a schedule: a bound on the loss at the end, and the rate that makes it least.

The bound is for SGD on a convex function. Networks are not convex, but the bound orders schedules much as their test
errors do where all of them run at one rate; `results/theory/` says how much.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.forecast.rates import as_rates, namespace, ratio, sum_from


class Bound(NamedTuple):
    """The last-iterate bound of a schedule, in its three terms.

    Attributes:
      distance: D^2 / (2 S), from how far away the run begins; S is the sum of the rates.
      noise: the squared gradients' part of the mean iterate's bound.
      last: what it costs that the last iterate is used and not the mean.
    """

    distance: Any
    noise: Any
    last: Any

    @property
    def value(self) -> Any:
        """The bound."""
        return self.distance + self.noise + self.last

    @property
    def scale(self) -> Any:
        """The factor on all rates that makes the bound least."""
        return namespace(self.distance).sqrt(self.distance / (self.noise + self.last))

    @property
    def tuned(self) -> Any:
        """The bound with all rates times `scale`: what the shape of the schedule is worth."""
        return 2.0 * namespace(self.distance).sqrt(self.distance * (self.noise + self.last))


def bound(schedule: Any, d: Any = 1.0, g: Any = 1.0, *, total_steps: int | None = None) -> Bound:
    """Bound: how far above the minimum SGD on a convex function may end under this schedule, at most.

    E f(x_T) - min f <= D^2 / (2 S) + sum_t eta_t^2 G_t^2 / (2 S)
                        + 1/2 sum_{k < T} eta_k / s_{k+1} * (sum_{t >= k} eta_t^2 G_t^2) / s_k,

    where s_k is the sum of the rates from update k to the last, T, and S = s_1. Rates of 0 at the end are left out.

    Args:
      schedule: a schedule, any function of a step, or an array with the rate of every update. Its numbers may be
        traced, the budget too.
      d: distance from the first iterate to the minimum, D.
      g: bound on the norm of the gradients, G: one number, or one for each update.
      total_steps: updates, for a function that has no budget of its own; where the budget is traced, the largest that
        it may be.
    Returns:
      The three terms, and of their sum: `.value`, `.scale` (the factor on all rates that makes it least) and `.tuned`
      (the bound there). float64 of NumPy for rates that are known, else JAX's.
    Raises:
      ValueError: for rates that are not finite, negative, or all 0, and for a D or G that is not finite or negative.
    Example:
      >>> terms = bound([3.0, 2.0, 1.0])   # 1/12, 7/6, 17/6
      >>> print(f"{terms.value:.4f} {terms.scale:.4f} {terms.tuned:.4f}")
      4.0833 0.1443 1.1547

    Source:
      Schaipp, Haegele, Taylor, Simsekli, Bach, ICML 2025, arXiv:2501.18965, after theorem 10 of Defazio et al.,
      arXiv:2310.07831.
    """
    rates = as_rates(schedule, total_steps)
    if _check_constants(d, g, len(rates)):
        rates = jnp.asarray(rates, jnp.float32)
    xp = namespace(rates)
    squares = xp.square(rates * xp.asarray(g, rates.dtype))
    left, squares_left = sum_from(rates), sum_from(squares)
    after = xp.concatenate([left[1:], xp.zeros_like(left[:1])])
    last = sum_from(ratio(rates, after) * ratio(squares_left, left))[0]
    whole = 2.0 * left[0]
    return Bound(xp.square(xp.asarray(d, rates.dtype)) / whole, squares_left[0] / whole, 0.5 * last)


def _check_constants(d: Any, g: Any, count: int) -> bool:
    """Raises ValueError unless D is a number and G one, or one for each update, finite and at least 0.

    Returns:
      whether one of them is traced.
    """
    traced = False
    for name, given, shapes in (("d", d, [()]), ("g", g, [(), (count,)])):
        unknown = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(given))
        traced |= unknown
        try:
            value = jnp.asarray(given) if unknown else np.asarray(given, np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{name} must be a number, got {given!r:.80}.") from None
        if value.shape not in shapes:
            many = f" or {count}, one for each update" if len(shapes) > 1 else ""
            raise ValueError(f"{name} must be one number{many}, got the shape {value.shape}.")
        if not unknown and not (np.isfinite(value) & (value >= 0)).all():
            raise ValueError(f"{name} must be finite and at least 0, got {given!r:.80}.")
    return traced


def best_rate(schedule: Any, d: Any = 1.0, g: Any = 1.0, *, total_steps: int | None = None) -> Any:
    """Best rate: the highest rate of the schedule, once all its rates are scaled so that `bound` is least.

    max_t eta_t * sqrt(distance / (noise + last)), the terms of `bound`. It depends on D and G, which nobody knows of a
    network: compare two schedules by `rate_ratio`, in which they cancel.

    Args:
      schedule: as for `bound`; how high its rates are does not matter.
      d: as for `bound`.
      g: as for `bound`.
      total_steps: as for `bound`.
    Returns:
      one number, like the terms of `bound`.
    Raises:
      ValueError: as `bound`.
    Example:
      >>> print(f"{best_rate([1.0, 1.0, 1.0]):.4f}")   # sqrt(1/6 / (1/2 + 3/4))
      0.3651
    """
    rates = as_rates(schedule, total_steps)
    return bound(rates, d, g).scale * rates.max()


def rate_ratio(schedule: Any, reference: Any) -> Any:
    """Rate ratio: by how much the best rate of a schedule differs from another's, of the same or another length.

    best_rate(schedule) / best_rate(reference). Where `reference` was best at the rate r, try `schedule` at r times it.
    A longer run of the same schedule wants a lower rate: `rate_ratio(schedule.at(4000), schedule)`.

    Args:
      schedule: as for `bound`.
      reference: as for `bound`.
    Returns:
      one number.
    Raises:
      ValueError: as `bound`.
    Example:
      >>> line = linear(0.1, total_steps=400)
      >>> print(f"{rate_ratio(rex(0.1, total_steps=400), line):.2f} {rate_ratio(line.at(1600), line):.2f}")
      0.81 0.50

    Source:
      As `bound`.
    """
    return best_rate(schedule) / best_rate(reference)
