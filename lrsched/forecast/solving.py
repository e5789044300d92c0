"""How the parameters of each law are found: a grid of what is not linear, then least squares from its best points."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lrsched.forecast.bounds import bound
from lrsched.forecast.curves import Curve

Formula = Callable[..., Any]
Measured = tuple[tuple[Any, ...], np.ndarray]  # arguments of a formula but for the parameters, and the losses
HUBER = 1e-3  # of a difference of logarithms: a thousandth of the loss
STARTS = 3  # points of the grid that are refined
LOSSES_EACH = 16  # of a curve, that choose them
LEAST = 1e-4  # part of the loss that a linear parameter is given at a start at least
LOWEST = -30.0  # logarithm of a parameter that counts as 0


def solve_annealing(formula: Formula, curves: Sequence[Curve]) -> dict[str, float]:
    """L0, A and C are linear."""
    grid = [
        {"alpha": alpha, "lambda": memory}
        for memory in (0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995)
        for alpha in (0.1, 0.25, 0.5, 0.75, 1.0)
    ]
    curves = [curve.after_warmup() for curve in curves]
    return _solve(formula, [((curve.rates, curve.steps), curve.losses) for curve in curves], ("L0", "A", "C"), grid)


def solve_multi_power(formula: Formula, curves: Sequence[Curve]) -> dict[str, float]:
    """L0, A and B are linear. C is in units in which a whole run at the peak rate is 1."""
    measured = _in_blocks(curves)
    area, peak = max(float(curve.rates.sum()) for curve in curves), curves[0].peak
    grid = [
        {"alpha": alpha, "beta": beta, "gamma": gamma, "C": reach * peak**gamma / area}
        for alpha, beta, gamma, reach in itertools.product((0.25, 0.5, 0.8), (0.4, 0.8), (0.3, 0.7), (3.0, 30.0, 300.0))
    ]
    return _solve(formula, measured, ("L0", "A", "B"), grid)


def solve_functional_scaling(formula: Formula, curves: Sequence[Curve]) -> dict[str, float]:
    """L0, c1 and c2 are linear. c4 is in units in which a whole run is 1, c3 in those of T^-s there."""
    measured = _in_blocks(curves)
    area = max(float(curve.rates.sum()) for curve in curves)
    grid = [
        {"s": s, "gamma": gamma, "c3": more * area**-s, "c4": reach / area}
        for s, gamma, more, reach in itertools.product((0.25, 0.5, 0.8), (0.4, 0.8), (0.3, 3.0), (3.0, 30.0, 300.0))
    ]
    return _solve(formula, measured, ("L0", "c1", "c2"), grid)


def solve_convex_end(formula: Formula, curves: Sequence[Curve]) -> dict[str, float]:
    """The bound is linear in L0, D^2 and G^2."""
    terms = [bound(curve.rates[: curve.steps[-1]]) for curve in curves]
    columns = np.array([[1.0, term.distance, term.noise + term.last] for term in terms])
    best = _least_squares(columns, np.array([curve.losses[-1] for curve in curves]))
    return {"L0": float(best[0]), "D": float(np.sqrt(best[1])), "G": float(np.sqrt(best[2]))}


def _in_blocks(curves: Sequence[Curve]) -> list[Measured]:
    """The curves after their warmups; long ones with updates of nearly one rate as one entry."""
    found: list[Measured] = []
    for curve in map(Curve.after_warmup, curves):
        if len(curve.rates) <= 2000:
            found.append(((curve.rates, curve.steps, 1.0), curve.losses))
        else:
            rates, lengths, steps = curve.in_blocks()
            found.append(((rates, steps, lengths), curve.losses))
    return found


def _solve(
    formula: Formula, measured: Sequence[Measured], linear: Sequence[str], grid: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """The best of the refined starts: by the Huber loss of the logarithms' differences."""
    from scipy import optimize

    logarithms = np.log(np.concatenate([loss for _, loss in measured]))
    results = []
    for start in _starts(formula, measured, linear, grid):

        def differences(x: np.ndarray, names: Sequence[str] = tuple(start)) -> np.ndarray:
            predicted = _predict(formula, measured, _values(names, x))
            return np.asarray(np.log(np.clip(np.nan_to_num(predicted), 1e-12, 1e12)) - logarithms)

        found = optimize.least_squares(
            differences,
            _logarithms(start),
            bounds=(LOWEST, -LOWEST),
            loss="huber",
            f_scale=HUBER,
            max_nfev=200,
            x_scale="jac",
        )
        results.append((float(found.cost), _values(tuple(start), found.x)))
    return min(results, key=lambda result: result[0])[1]


def _logarithms(p: Mapping[str, float]) -> np.ndarray:
    """The parameters as they are searched: logarithms, of lambda that of 1 - lambda."""
    with np.errstate(divide="ignore"):
        found = np.log([1.0 - value if name == "lambda" else value for name, value in p.items()])
    return np.clip(found, LOWEST + 1.0, -LOWEST - 1.0)


def _values(names: Sequence[str], x: np.ndarray) -> dict[str, float]:
    """The parameters of their logarithms."""
    values = np.exp(x)
    return {
        name: max(1.0 - value, 0.0) if name == "lambda" else value
        for name, value in zip(names, map(float, values), strict=True)
    }


def _predict(formula: Formula, measured: Sequence[Measured], p: Mapping[str, float]) -> np.ndarray:
    return np.concatenate([_apply(formula, given, p) for given, _ in measured])


def _apply(formula: Formula, given: tuple[Any, ...], p: Mapping[str, float]) -> np.ndarray:
    rates, steps, *lengths = given
    with np.errstate(all="ignore"):  # far from the answer powers leave what float64 holds
        return np.asarray(formula(rates, steps, p, *lengths))


def _starts(
    formula: Formula, measured: Sequence[Measured], linear: Sequence[str], grid: Sequence[Mapping[str, float]]
) -> Iterator[dict[str, float]]:
    """The best points of the grid, with the linear parameters that fit best there, on a part of the measurements."""
    few = []
    for (rates, steps, *more), losses in measured:
        some = np.unique(np.linspace(0, len(losses) - 1, LOSSES_EACH).round().astype(int))  # the last among them
        few.append(((rates, steps[some], *more), losses[some]))
    losses = np.concatenate([loss for _, loss in few])
    found = []
    for point in grid:
        columns = [
            _predict(formula, few, {**dict.fromkeys(linear, 0.0), name: 1.0, **point}) / losses for name in linear
        ]
        best = _least_squares(np.stack(columns, axis=1), np.ones_like(losses))
        misfit = float(np.square(np.stack(columns, axis=1) @ best - 1.0).sum())
        least = LEAST / np.maximum(np.abs(columns).max(axis=1), 1e-300)
        best = np.maximum(best, least)  # from 0, of which the logarithm has no slope, no search moves on
        found.append((misfit, {**dict(zip(linear, map(float, best), strict=True)), **point}))
    found.sort(key=lambda one: one[0])
    yield from (start for _, start in found[:STARTS])


def _least_squares(columns: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Non-negative least squares, in columns of one size."""
    from scipy import optimize

    sizes = np.maximum(np.abs(columns).max(axis=0), 1e-300)
    return np.asarray(optimize.nnls(columns / sizes, wanted)[0] / sizes)
