"""What the order of Chebyshev steps does to gradient descent on a quadratic: norms of its products, bounds, and runs.

Curvatures lie in [m, M], k = M / m, and x_i = cos(pi (i - 1/2) / T) are the nodes. With z in [-1, 1] for the curvature
(M + m) / 2 - z (M - m) / 2, and theta = (k + 1) / (k - 1), step i multiplies the error by 1 - eta_i * curvature =
(z - x_i) / (theta - x_i). C_n is the n-th Chebyshev polynomial; it grows beyond 1, and |C_n| <= 1 in [-1, 1].

The whole       prod (z - x_i) / (theta - x_i) = C_T(z) / C_T(theta) in any order.
Aligned blocks  In the fractal order, neighbours 2b - 1 and 2b have nodes +-x, and C_2 maps both to node b of the order
                of T / 2. So C_n, n = 2^j, maps all nodes of block b of n steps to c, node b of the order of T / n, and
                the block's product is (C_n(z) - c) / (C_n(theta) - c). Odd blocks have c > 0, even ones c < 0, and the
                whole has c = 0.
A suffix        of s steps is cut into blocks with the powers of 2 in s, largest last. Each is even (or the whole), so
                its norm is at most (1 + |c|) / (C_n(theta) + |c|) <= q_j = 2 / (1 + C_n(theta)) < 1:
                norm of the suffix <= product of q_j over the bits j of s.
A prefix        of t steps is cut likewise, largest first. Each block is odd (or the whole):
                norm of the prefix <= product of (1 + c) / (C_n(theta) - c), equal where t is a power of 2.
Noise           of variance 1 added after every step ends as the sum of squared suffixes over s = 0 .. T - 1, which by
                the bound on each is at most the product of 1 + q_j^2 over j < log2 T.

Norms are maxima over z, in float64 and decimal logarithms, found among the points cos(pi k / G), G = 32 T. By M.
Riesz's lemma a polynomial of degree d is at most 1 / cos(pi d / (2 G)) times as large between them: 0.12 % for a
product, 0.5 % for the noise.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lrsched.schedules.families.fractal import fractal_order

ORDERS = ("fractal", "descending", "ascending", "random")
FLOATS = ("float32", "float64")
DIMENSIONS = 64  # of the quadratic that is descended
_FINENESS = 32
_LN10 = math.log(10)


def arrange(order: str, steps: int) -> np.ndarray:
    """0-based numbers of the nodes in this order; 0 has the largest step."""
    if order == "random":
        return np.random.default_rng(0).permutation(steps)
    if order == "fractal":
        return fractal_order(steps)
    return np.arange(steps) if order == "descending" else np.arange(steps)[::-1]


def angles(steps: int) -> np.ndarray:
    """The arc cosines of the nodes."""
    return np.pi * (np.arange(steps) + 0.5) / steps


def chebyshev(degree: int, kappa: float) -> float:
    """C_degree(theta)."""
    return math.cosh(degree * math.acosh((kappa + 1) / (kappa - 1)))


def contraction(steps: int, kappa: float) -> float:
    """Norm of the whole: 1 / C_T(theta) = 2 r^T / (1 + r^(2T)), r = (sqrt k - 1) / (sqrt k + 1)."""
    return 1 / chebyshev(steps, kappa)


def bits(number: int) -> list[int]:
    """Exponents of the powers of 2 in a number, largest first."""
    return [j for j in reversed(range(number.bit_length())) if number >> j & 1]


def bound_suffix(length: int, kappa: float) -> float:
    """Bound on the norm of the last so many steps in fractal order."""
    return math.prod(2 / (1 + chebyshev(2**j, kappa)) for j in bits(length))


def bound_prefix(length: int, steps: int, kappa: float) -> float:
    """Bound on the norm of the first so many steps in fractal order."""
    bound, done = 1.0, 0
    for j in bits(length):
        blocks = steps >> j
        c = math.cos(angles(blocks)[fractal_order(blocks)[done >> j]])
        bound *= (1 + c) / (chebyshev(2**j, kappa) - c)
        done += 2**j
    return bound


def bound_noise(steps: int, kappa: float) -> float:
    """Bound on the final variance in fractal order."""
    return math.prod(1 + (2 / (1 + chebyshev(2**j, kappa))) ** 2 for j in range(steps.bit_length() - 1))


def divisors(phi: np.ndarray, kappa: float) -> np.ndarray:
    """log10 of the product of theta - cos phi over the first 1, 2, .. angles."""
    return np.cumsum(np.log10(2 / (kappa - 1) + 2 * np.sin(phi / 2) ** 2))


def products(phi: np.ndarray) -> Iterator[np.ndarray]:
    """log10 of the product of |z - cos phi| over the first 1, 2, .. angles, at every point z."""
    points = np.pi * np.arange(_FINENESS * len(phi) + 1) / (_FINENESS * len(phi))
    logs = np.zeros(len(points))
    for angle in phi:
        with np.errstate(divide="ignore"):  # a node is among the points
            logs += np.log10(np.abs(2 * np.sin((points + angle) / 2) * np.sin((points - angle) / 2)))
        yield logs


def norms(order: str, steps: int, kappas: Sequence[float]) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """For each condition number log10 of the norms of prefixes and of suffixes of 1 .. T steps, and of the noise."""
    phi = angles(steps)[arrange(order, steps)]
    forwards = np.array([logs.max() for logs in products(phi)])
    under = [divisors(phi[::-1], kappa) for kappa in kappas]
    backwards = list[float]()
    noise: list[Any] = [np.zeros(1) for _ in kappas]  # the last step's own noise
    for length, logs in enumerate(products(phi[::-1]), start=1):
        backwards.append(logs.max())
        if length < steps:
            squares = (2 * (logs - below[length - 1]) for below in under)
            noise = [np.logaddexp(one * _LN10, each * _LN10) / _LN10 for one, each in zip(noise, squares, strict=True)]
    for kappa, below, each in zip(kappas, under, noise, strict=True):
        yield forwards - divisors(phi, kappa), np.array(backwards) - below, float(each.max())


def descend(order: str, steps: int, kappa: float, dtype: str) -> float | None:
    """log10 of the relative error that gradient descent has after one pass; None: it overflowed.

    The quadratic has random eigenvectors and curvatures from 1 / kappa to 1, and its solution is that of the rounded
    matrix, so that all that is left beside the contraction is rounding on the way.
    """
    generator = np.random.default_rng(0)
    basis, _ = np.linalg.qr(generator.standard_normal((DIMENSIONS, DIMENSIONS)))
    spread = (1 - np.cos(np.pi * np.arange(DIMENSIONS) / (DIMENSIONS - 1))) / 2
    matrix = ((basis * (1 / kappa + (1 - 1 / kappa) * spread)) @ basis.T).astype(dtype)
    target = (matrix @ generator.standard_normal(DIMENSIONS).astype(dtype)).astype(dtype)
    solution = np.linalg.solve(matrix.astype(np.float64), target.astype(np.float64))
    eta = 1 / (1 / kappa + (1 - 1 / kappa) * np.sin(angles(steps)[arrange(order, steps)] / 2) ** 2)
    x = np.zeros(DIMENSIONS, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for rate in eta.astype(dtype):
            x = x - rate * (matrix @ x - target)
        error = float(np.linalg.norm(x.astype(np.float64) - solution) / np.linalg.norm(solution))
    return math.log10(error) if math.isfinite(error) else None


def measure(steps: int, kappas: Sequence[float]) -> list[dict[str, Any]]:
    """All orders and bounds for one number of steps: an entry for each condition number, in decimal logarithms."""
    found = {order: list(norms(order, steps, kappas)) for order in ORDERS}
    entries = []
    for i, kappa in enumerate(kappas):
        before = np.log10([bound_prefix(t, steps, kappa) for t in range(1, steps + 1)])
        after = np.log10([bound_suffix(s, kappa) for s in range(1, steps + 1)])
        noise = math.log10(bound_noise(steps, kappa))
        prefixes, suffixes, _ = found["fractal"][i]
        entries.append(
            {
                "kappa": kappa,
                "steps": steps,
                "contraction": math.log10(contraction(steps, kappa)),
                "bounds": {"prefix": float(before.max()), "suffix": float(after.max()), "noise": noise},
                # the logarithm of the norm over its bound, where it comes closest
                "closest": float(max((prefixes - before).max(), (suffixes - after).max())),
                "orders": {order: summarise(order, steps, kappa, *each[i]) for order, each in found.items()},
            }
        )
    return entries


def summarise(
    order: str, steps: int, kappa: float, prefixes: np.ndarray, suffixes: np.ndarray, noise: float
) -> dict[str, Any]:
    """What a record has of one order; after: the steps of its largest prefix."""
    return {
        "whole": float(prefixes[-1]),
        "prefix": float(prefixes.max()),
        "after": int(prefixes.argmax()) + 1,
        "suffix": float(suffixes.max()),
        "noise": noise,
        **{dtype: descend(order, steps, kappa, dtype) for dtype in FLOATS},
    }
