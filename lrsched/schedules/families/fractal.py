"""Rates from optimisation theory: Chebyshev steps in fractal order, and schedules refined from gradient norms."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lrsched.schedules.core import Schedule, check_rates
from lrsched.schedules.documented import documented
from lrsched.schedules.values import Number, check_number, check_steps, is_concrete, namespace, real, value_class

ORDERS = ("fractal", "ascending", "descending")


@value_class
class Repeated(Schedule):
    """peak_value * factors[t mod len(factors)]."""

    peak_value: Number
    total_steps: Number
    factors: tuple[Number, ...]

    def _check(self) -> None:
        check_rates(self, "peak_value")
        if not self.factors:
            raise ValueError("factors must be at least one, got none.")
        for factor in self.factors:
            check_number("factors", factor, at_least=0.0)

    def _value(self, step: Any) -> Any:
        xp = namespace(step)
        t = xp.clip(step, 0, xp.asarray(self.total_steps, step.dtype))
        factors = jnp.asarray(self.factors, jnp.float32) if xp is jnp else np.asarray(self.factors)
        return real(step, self.peak_value) * factors[t % len(self.factors)]


def fractal_order(steps: int) -> np.ndarray:
    """The order of Agarwal, Goel and Zhang, 0-based: from one step doubled, each beside its mirror image.

    Raises:
      ValueError: if steps is not a power of two.
    """
    check_steps("steps", steps)
    if steps & (steps - 1):
        raise ValueError(f"steps must be a power of two for the fractal order, got {steps}.")
    order = np.zeros(1, np.int64)
    while len(order) < steps:
        order = np.stack([order, 2 * len(order) - 1 - order], axis=1).ravel()
    return order


def chebyshev_steps(minimum: Number, maximum: Number, steps: int, *, order: str = "fractal") -> Any:
    """Chebyshev step sizes: those whose one pass contracts every curvature between two bounds the most.

    eta_i = 1 / ((maximum + minimum) / 2 - (maximum - minimum) / 2 * cos(pi (i - 1/2) / steps)),   i = 1 .. steps.

    Args:
      minimum: lower bound of the curvatures (eigenvalues of the Hessian); above 0.
      maximum: upper bound; at least minimum.
      steps: how many; a power of two for the fractal order.
      order: "fractal" (stable against both growth and noise), "descending" (largest step first) or "ascending".
    Returns:
      float64 array of shape [steps] (float32 of traced numbers); gradient descent with them leaves of every component
      of a quadratic at most the part 2 / (r**steps + r**-steps), r = (sqrt(k) + 1) / (sqrt(k) - 1),
      k = maximum / minimum, in any order.
    Example:
      >>> [f"{eta:.3f}" for eta in chebyshev_steps(0.1, 1.0, 4)]
      ['7.449', '1.035', '2.647', '1.385']

    Source:
      Agarwal, Goel, Zhang, "Acceleration via Fractal Learning Rate Schedules", ICML 2021, arXiv:2103.01338.
    """
    check_steps("steps", steps)
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}.")
    check_number("minimum", minimum)
    check_number("maximum", maximum)
    if is_concrete(minimum) and is_concrete(maximum) and not 0 < minimum <= maximum:
        raise ValueError(f"minimum must be above 0 and at most maximum = {maximum}, got {minimum}.")
    halved = np.sin(np.pi * (np.arange(steps) + 0.5) / (2 * steps)) ** 2  # (1 - cos) / 2 without its cancellation
    eta: Any = 1.0 / (minimum + (maximum - minimum) * halved)
    if order == "descending":
        return eta
    return eta[::-1] if order == "ascending" else eta[fractal_order(steps)]


@documented
def fractal(
    peak_value: Number,
    *,
    total_steps: Number,
    minimum: Number = 0.1,
    maximum: Number = 1.0,
    steps: int = 8,
    order: str = "fractal",
) -> Repeated:
    """Fractal: a block of Chebyshev steps, repeated, as multiplier of a base rate.

    lr(t) = peak_value * eta[t mod steps] / max(eta),   eta = chebyshev_steps(minimum, maximum, steps, order=order).

    Args:
      peak_value: the largest rate; at least 0. The paper's base rate b has the peak b * max(eta).
      minimum: as for `chebyshev_steps`.
      maximum: likewise.
      steps: length of the block; a power of two for the fractal order.
      order: "fractal", "descending" or "ascending".
    Returns:
      lr(0) = peak_value (not in ascending order), constant from
      total_steps on.
    Example:
      >>> schedule = fractal(1.0, total_steps=100)
      >>> print(f"{schedule(0):.4f} {schedule(1):.4f} {schedule(8):.4f}")
      1.0000 0.1096 1.0000

    Source:
      Agarwal, Goel, Zhang, ICML 2021, arXiv:2103.01338 (a repeated block of 8 in its CIFAR-10 experiment).
    """
    check_number("peak_value", peak_value, at_least=0.0)
    total_steps = check_steps("total_steps", total_steps)
    eta = chebyshev_steps(minimum, maximum, steps, order=order)
    factors = eta / eta.max()
    return Repeated(peak_value, total_steps, tuple(factors.tolist() if namespace(factors) is np else factors))


def refined(gradient_norms: ArrayLike, *, width_fraction: float = 0.1, power: float = 2.0) -> np.ndarray:
    """Refined: the schedule that the gradient norms recorded in one run recommend for the next.

    lr(t) is proportional to w(t) * sum of w(p) over p > t,   w = g**-power, g the median-filtered norms.

    Args:
      gradient_norms: one per update, of shape [steps]; above 0. For SGD the l2 norms, for Adam the l1 norms.
      width_fraction: width of the median filter over the number of updates, in [0, 1]; 0 leaves the norms as they are.
      power: 2 for SGD, 1 for Adam and its kin.
    Returns:
      float64 array of shape [steps], the largest value 1 and the last 0: multiples of a peak rate for each update of
      a run as long as the recorded one. Constant norms give the linear decay.
    Raises:
      ValueError: if the norms are not a list of numbers above 0, or a number is outside what is allowed.
    Example:
      >>> refined([4.0, 2.0, 1.0, 1.0, 1.0], width_fraction=0.0).tolist()   # a warmup where norms are high
      [0.1015625, 0.375, 1.0, 0.5, 0.0]

    Source:
      Defazio, Cutkosky, Mehta, Mishchenko, arXiv:2310.07831; the filter as the README of the authors' code has it:
      width 2 * (int(width_fraction * steps) // 2) + 1, the first norm repeated before the run, mirrored after it.
    """
    try:
        norms = np.asarray(gradient_norms)
        norms = np.empty(0) if norms.dtype.kind in "bcOSU" else norms.astype(np.float64)
    except (TypeError, ValueError):  # what no array of numbers can be made of
        norms = np.empty(0)
    if norms.ndim != 1 or len(norms) < 2 or not np.isfinite(norms).all() or not (norms > 0).all():
        raise ValueError("gradient_norms must be at least two finite numbers above 0.")
    check_number("power", power)
    check_number("width_fraction", width_fraction, at_least=0.0)
    if width_fraction > 1:
        raise ValueError(f"width_fraction must be in [0, 1], got {width_fraction}.")
    from scipy.ndimage import median_filter

    width = 2 * (int(width_fraction * len(norms)) // 2) + 1
    mirrored = np.pad(norms, (0, width // 2), mode="reflect")
    filtered = median_filter(mirrored, size=width, mode="nearest")[: len(norms)]
    with np.errstate(over="ignore"):  # weights are at most 1; those that underflow are 0
        weights = (filtered / (filtered.min() if power >= 0 else filtered.max())) ** -power
    rates = weights * (np.cumsum(weights[::-1])[::-1] - weights)
    if not rates.max() > 0:
        spread = f"{filtered.min():g} to {filtered.max():g}"
        raise ValueError(f"gradient_norms must be closer together for power = {power}, got {spread}.")
    return np.asarray(rates / rates.max())
