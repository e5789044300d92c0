"""Decay after the fact: weights that make an average of snapshots out of a decay that was never trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.forecast.rates import namespace, whole


def merge_weights(profile: Callable[[Any], Any], *, snapshots: int) -> Any:
    """Merge weights: those with which snapshots of a constant-rate run are averaged to stand for a decay.

    Let theta_0 be where the decay would begin and theta_1 .. theta_k the k snapshots after it, at equal distances. What
    the run did between two of them, theta_i - theta_{i-1}, is what its updates at the constant rate added up to. Under
    a rate that is w_i times as high there, the same gradients would have added w_i as much:

        theta_0 + sum_i w_i (theta_i - theta_{i-1}),   w_i = f((i - 1) / k) / f(0).

    Sorted by snapshot this is sum_i c_i theta_i with c_i = w_i - w_{i+1} (w_{k+1} = 0) and c_0 = 1 - w_1 = 0. That the
    two sums are equal is exact. That they are a trained decay is true to first order only: its gradients would have
    been taken elsewhere. BatchNorm's statistics must be estimated anew for the averaged weights.

    Args:
      profile: f, of `lrsched.profiles` or any function from a fraction of the decay to a factor. Its numbers may be
        traced.
      snapshots: k, at least 1; the first is one interval after the decay would begin, the last is the end of the run.
    Returns:
      float64 [k] (of a traced profile JAX's float32), in the order of the snapshots. Their sum is 1. A profile that
      rises anywhere has negative ones.
    Raises:
      ValueError: for fewer than one snapshot, or a profile whose values are not finite or begin at 0 or below.
    Example:
      >>> merge_weights(profiles.linear(), snapshots=4)   # factors 1, 3/4, 1/2, 1/4: the mean, as in LAWA
      array([0.25, 0.25, 0.25, 0.25])
      >>> print(*(f"{weight:.3f}" for weight in merge_weights(profiles.rex(), snapshots=4)))
      0.143 0.190 0.267 0.400

    Source:
      WSM, arXiv:2507.17634; the mean of the last snapshots is LAWA's, arXiv:2209.14981.
    """
    count = whole("snapshots", snapshots)
    if not callable(profile):
        raise ValueError(f"profile must be a function, such as lrsched.profiles.rex(), got {profile!r:.80}.")
    factors = _at(profile, np.arange(count) / count)
    xp = namespace(factors)
    if xp is np and not (np.isfinite(factors).all() and factors[0] > 0):
        raise ValueError(f"profile must be finite, and above 0 at its start, got {factors!s:.80}.")
    factors = factors / factors[0]
    return factors - xp.concatenate([factors[1:], xp.zeros_like(factors[:1])])


def _at(profile: Callable[[Any], Any], fractions: np.ndarray) -> Any:
    """The profile's factors at them, float64, or as they are while JAX traces; raises ValueError for no row of them."""
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(profile))
    try:
        factors = profile(jnp.asarray(fractions) if traced else fractions)
        if not isinstance(factors, jax.core.Tracer):
            factors = np.asarray(factors, np.float64)
        return namespace(factors).broadcast_to(factors, fractions.shape)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"profile must map an array of fractions to as many factors, got {' '.join(str(error).split())!s:.80}."
        ) from error
