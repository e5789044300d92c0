"""What runs can say of a law: those that do not identify it are refused, with the run that is missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrsched.forecast.bounds import bound
from lrsched.forecast.curves import Curve

SAME_PEAK = 1.01  # ratio up to which peak rates count as one
SAME_SHAPE = 0.02  # of the peak: mean difference up to which two shapes count as one


def check_area_law(name: str, curves: Sequence[Curve], parameters: int) -> None:
    """Raises ValueError unless a law of the area under the rates can be fitted to these runs."""
    _check_any(name, curves)
    peaks = sorted({curve.peak for curve in curves})
    if peaks[-1] > SAME_PEAK * peaks[0]:
        raise ValueError(
            f"{name} must be fitted at one peak rate, got {', '.join(f'{peak:g}' for peak in peaks[:5])}: for a law of "
            "the area a higher rate is always better. Leave out all but one, or use the law convex_end."
        )
    if not any(curve.decays for curve in curves):
        raise ValueError(
            f"{name} must be fitted to a run whose rate decays, got none: add one, such as linear or cosine, at "
            f"{peaks[0]:g}."
        )
    if count_shapes(curves) < 2:
        raise ValueError(
            f"{name} must be fitted to two shapes or more, got {curves[0].name} alone: add a run of another, such as "
            f"{'constant' if curves[0].decays else 'linear'} at {peaks[0]:g}."
        )
    measured = sum(len(curve.after_warmup().steps) for curve in curves)
    if measured < parameters:
        raise ValueError(
            f"{name} must have at least {parameters} measured losses, as it has parameters, got {measured}: add runs "
            "of other shapes or lengths, or measure the loss more often on the way."
        )


def check_end_law(name: str, curves: Sequence[Curve], parameters: int) -> None:
    """Raises ValueError unless the convex bound can be fitted to the ends of these runs."""
    _check_any(name, curves)
    for curve in curves:
        if not curve.decays:
            raise ValueError(
                f"{name} must be fitted to runs that decay, got {curve.name}: the bound of a constant rate has a "
                "logarithm that networks do not show. Leave it out, or add runs that decay."
            )
    terms = [bound(curve.rates[: curve.steps[-1]]) for curve in curves]
    design = np.array([[1.0, term.distance, term.noise + term.last] for term in terms])
    if np.linalg.matrix_rank(design / np.abs(design).max(axis=0), tol=1e-3) < parameters:
        raise ValueError(
            f"{name} must be fitted to {parameters} runs or more that differ in shape, peak rate or length, got "
            f"{len(curves)}: add one at half and one at twice the peak rate."
        )


def _check_any(name: str, curves: Sequence[Curve]) -> None:
    if not curves:
        raise ValueError(f"{name} must be fitted to runs, got none.")
    for curve in curves:
        if 0 < curve.warmup == len(curve.rates) - 1:
            raise ValueError(
                f"{name} must be fitted to what follows a warmup, got {curve.name}, whose rate only rises: add the "
                "rest of the run."
            )


def count_shapes(curves: Sequence[Curve]) -> int:
    """How many of the runs differ in shape, whatever their peak rates and lengths."""
    found: list[np.ndarray] = []
    for curve in curves:
        shape = curve.shape()
        if all(np.abs(shape - other).mean() > SAME_SHAPE for other in found):
            found.append(shape)
    return len(found)
