"""Laws of the loss curve: what the loss is after each update, as a formula in the rates applied so far.

Each is a function (rates, steps, parameters) -> losses: `rates` of every update, `steps` the numbers of updates after
which the loss is asked for, ascending, `parameters` by the names that the papers use. NumPy float64, or JAX where
the rates are JAX's. Where there are `lengths`, an entry of `rates` is the rate of so many updates one after another,
and steps count entries. What the laws hold for is in `fits`: one pass over the data, one peak rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from lrsched.forecast.bounds import bound
from lrsched.forecast.rates import namespace, sum_to

Parameters = Mapping[str, Any]
TINY = 1e-30


def annealing(rates: Any, steps: np.ndarray, p: Parameters) -> Any:
    """The annealing law: a power of the area under the rates, less what their falls have won so far.

    L(s) = L0 + A S1(s)^-alpha - C S2(s), S1(s) = sum_{i <= s} eta_i, S2(s) = sum_{i <= s} m_i,
    m_i = lambda m_{i-1} + (eta_{i-1} - eta_i). Updates before the peak count as if they were at the peak.

    Source: Tissue, Wang, Wang, arXiv:2408.11029.
    """
    xp = namespace(rates)
    peak = rates.max()
    rates = xp.where(np.arange(len(rates)) < xp.argmax(rates), peak, rates)
    momenta = xp.concatenate([xp.zeros_like(rates[:1]), rates[:-1] - rates[1:]])
    reach, memory = 1, p["lambda"]  # m_i = sum_j lambda^j (the fall at i - j): twice as far each time
    while reach < len(rates):
        momenta = momenta + memory * xp.concatenate([xp.zeros_like(momenta[:reach]), momenta[:-reach]])
        reach, memory = 2 * reach, memory * memory
    area, won = sum_to(rates)[steps - 1], sum_to(momenta)[steps - 1]
    return p["L0"] + p["A"] * area ** -p["alpha"] - p["C"] * won


def multi_power(rates: Any, steps: np.ndarray, p: Parameters, lengths: Any = 1.0) -> Any:
    """The multi-power law: what a fall of the rate wins grows by a power law with the rates that follow it.

    L(t) = L0 + A S1(t)^-alpha - B sum_{k <= t} (eta_{k-1} - eta_k) G(eta_k^-gamma S_k(t)), S_k(t) = sum_{k <= i <= t}
    eta_i, G(x) = 1 - (1 + C x)^-beta. A rate that rises counts as a fall below 0.

    Source: Luo et al., ICLR 2025, arXiv:2503.12811.
    """
    xp = namespace(rates)
    there = rates > 0
    slow = xp.where(there, xp.maximum(xp.where(there, rates, 1.0) ** p["gamma"], TINY), TINY)

    def won(k: Any, since: Any) -> Any:
        return 1.0 - (1.0 + p["C"] * since / slow[k]) ** -p["beta"]

    falls = xp.concatenate([xp.zeros_like(rates[:1]), rates[:-1] - rates[1:]])
    area = sum_to(rates * lengths)
    return p["L0"] + p["A"] * area[steps - 1] ** -p["alpha"] - p["B"] * _over_falls(falls, area, steps, won)


def functional_scaling(rates: Any, steps: np.ndarray, p: Parameters, lengths: Any = 1.0) -> Any:
    """The functional scaling law in its practical form of seven parameters.

    L = L0 + c1 T^-s - c2 sum_k (eta_{k-1} - eta_k)^+ (c3 + T_k^-s) (1 - (1 + c4 (T - T_k))^-gamma); T is the sum of the
    rates so far and T_k what it was at the fall k.

    Source: arXiv:2509.19189.
    """
    xp = namespace(rates)
    times = sum_to(rates * lengths)
    at = times - rates * (lengths - 1.0)  # where an entry begins, its first update included
    worth = p["c3"] + xp.where(at > 0, xp.where(at > 0, at, 1.0) ** -p["s"], 0.0)

    def won(k: Any, since: Any) -> Any:
        after = xp.maximum(since - rates[k], 0.0)
        return worth[k] * (1.0 - (1.0 + p["c4"] * after) ** -p["gamma"])

    falls = xp.maximum(xp.concatenate([xp.zeros_like(rates[:1]), rates[:-1] - rates[1:]]), 0.0)
    return p["L0"] + p["c1"] * times[steps - 1] ** -p["s"] - p["c2"] * _over_falls(falls, times, steps, won)


def convex_end(rates: Any, steps: np.ndarray, p: Parameters) -> Any:
    """The bound of convex optimisation as a fit of the loss at the end: L0 + D^2 t1 + G^2 (t2 + t3).

    t1, t2, t3 are the terms of `bound` with D = G = 1, of the run as if it ended after `steps` updates.

    Source: Schaipp et al., ICML 2025, arXiv:2501.18965, for the bound.
    """
    terms = [bound(rates[: int(step)]) for step in steps]
    xp = namespace(rates)
    distance, noise = (xp.stack([term[0] for term in terms]), xp.stack([term[1] + term[2] for term in terms]))
    return p["L0"] + xp.square(p["D"]) * distance + xp.square(p["G"]) * noise


def _over_falls(falls: Any, total: Any, steps: np.ndarray, won: Callable[[Any, Any], Any]) -> Any:
    """sum_{k <= t} falls[k] won(k, S_k(t)) after each of so many updates t; S_k(t): the rates from k to t, added up."""
    xp = namespace(total)
    before = xp.concatenate([xp.zeros_like(total[:1]), total[:-1]])
    if xp is np:
        every = np.flatnonzero(falls)
        sums = []
        for step in steps:
            k = every[: np.searchsorted(every, step)]
            sums.append(falls[k] @ won(k, total[step - 1] - before[k]))
        return np.asarray(sums)
    index = np.arange(len(falls))

    def after(step: Any) -> Any:
        known = index < step
        return xp.sum(xp.where(known, falls * won(index, xp.where(known, total[step - 1] - before, 0.0)), 0.0))

    return jax.lax.map(after, xp.asarray(steps))
