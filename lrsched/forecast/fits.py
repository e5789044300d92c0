"""Laws fitted to runs: what they identify, the parameters, what they predict, and how wrong they are on what they did
not see.

A law is one entry of `LAWS`. All but the last are laws of the area under the rates: of one pass over the data, one peak
rate, the validation loss of language models. They know nothing of epochs, BatchNorm, augmentation or errors. Judge one
by schedules that it was not fitted to, and trust its order more than its gaps.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrsched.forecast import identify, laws, solving
from lrsched.forecast.curves import Curve
from lrsched.forecast.rates import as_rates


class Law(NamedTuple):
    """A law: its formula, the names of its parameters, what identifies it, and how it is fitted."""

    formula: Callable[..., Any]
    parameters: tuple[str, ...]
    check: Callable[[str, Sequence[Curve], int], None]
    solve: Callable[[Callable[..., Any], Sequence[Curve]], dict[str, float]]


LAWS = {
    "annealing": Law(
        laws.annealing, ("L0", "A", "alpha", "C", "lambda"), identify.check_area_law, solving.solve_annealing
    ),
    "multi_power": Law(
        laws.multi_power,
        ("L0", "A", "alpha", "B", "C", "beta", "gamma"),
        identify.check_area_law,
        solving.solve_multi_power,
    ),
    "functional_scaling": Law(
        laws.functional_scaling,
        ("L0", "c1", "s", "c2", "c3", "c4", "gamma"),
        identify.check_area_law,
        solving.solve_functional_scaling,
    ),
    "convex_end": Law(laws.convex_end, ("L0", "D", "G"), identify.check_end_law, solving.solve_convex_end),
}


@dataclasses.dataclass(frozen=True)
class FittedLaw:
    """A law with its parameters, as fitted to runs.

    Attributes:
      law: its name in LAWS.
      parameters: by the names of its paper.
      fitted: names of the schedules it was fitted to.
      seen: least and greatest peak rate, number of updates, mean rate over peak, and last rate over peak of these runs.
    """

    law: str
    parameters: dict[str, float]
    fitted: tuple[str, ...] = ()
    seen: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        known = _law(self.law)
        if set(self.parameters) != set(known.parameters):
            raise ValueError(
                f"parameters of {self.law} must be {', '.join(known.parameters)}, got {', '.join(self.parameters)}."
            )
        if not all(math.isfinite(value) for value in self.parameters.values()):
            raise ValueError(f"parameters of {self.law} must be finite, got {self.parameters}.")

    def predict(self, schedule: Any, steps: Any = None, *, total_steps: int | None = None) -> Any:
        """The loss under a schedule: at its end, or after each of `steps` updates.

        Args:
          schedule: a schedule, a function of a step, or an array of rates; traced numbers give a JAX value.
          steps: whole numbers, ascending, from 1 to the number of rates; None: the end alone.
          total_steps: updates, for a function that has no budget of its own.
        Returns:
          one loss, or one for each of `steps`.
        """
        rates = as_rates(schedule, total_steps)
        after = np.atleast_1d(np.asarray(len(rates) if steps is None else steps))
        if not np.issubdtype(after.dtype, np.integer) or after.min() < 1 or after.max() > len(rates):
            raise ValueError(f"steps must be whole numbers from 1 to {len(rates)}, got {after.min()} to {after.max()}.")
        losses = _law(self.law).formula(rates, after, self.parameters)
        return losses[0] if steps is None else losses

    def leaves(self, schedule: Any) -> list[str]:
        """In words, where a schedule leaves what the law was fitted to; nothing is a promise that it is right."""
        words = {
            "peak": "its peak rate is {:g}",
            "total_steps": "it has {:g} updates",
            "mean": "its mean rate is {:.3g} of its peak",
            "last": "its last rate is {:.3g} of its peak",
        }
        found = []
        for key, value in facts(np.asarray(as_rates(schedule))).items():
            low, high = self.seen.get(key, (-math.inf, math.inf))
            slack = {"peak": identify.SAME_PEAK - 1, "total_steps": 0.01}.get(key, 0.0)
            if not low * (1 - slack) - 0.005 * (key == "last") <= value <= high * (1 + slack):
                found.append(f"{words[key].format(value)}, where the runs fitted have {low:.3g} to {high:.3g}")
        return found

    def to_json(self) -> str:
        """As JSON, which `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> FittedLaw:
        """The law that `to_json` wrote.

        Raises:
          ValueError: if the text is no such JSON.
        """
        try:
            found = json.loads(text)
            seen = {key: (float(low), float(high)) for key, (low, high) in found["seen"].items()}
            parameters = {key: float(value) for key, value in found["parameters"].items()}
            return cls(found["law"], parameters, tuple(found["fitted"]), seen)
        except (KeyError, RecursionError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"a fitted law must be JSON with law, parameters, fitted and seen: {error!r:.80}."
            ) from None


def _law(name: str) -> Law:
    if name not in LAWS:
        raise ValueError(f"law must be one of {', '.join(LAWS)}, got {name!r:.80}.")
    return LAWS[name]


def facts(rates: np.ndarray) -> dict[str, float]:
    """What a law may not be asked beyond: peak, number of updates, and mean and last rate over the peak."""
    peak = float(rates.max())
    return {
        "peak": peak,
        "total_steps": float(len(rates)),
        "mean": float(rates.mean() / peak),
        "last": float(rates[-1] / peak),
    }


def fit_law(runs: Sequence[Curve], law: str = "annealing") -> FittedLaw:
    """Fit law: the parameters of a law of the loss curve that runs identify.

    Area laws minimise the Huber loss (1e-3) of the logarithms' differences, from the best points of a grid whose linear
    parameters are solved for; what was measured before the peak rate is left out. `convex_end` is a non-negative least
    squares fit of the last measurements alone. All parameters are at least 0. It needs SciPy (the extra `train`).

    Args:
      runs: curves, as of `read_curve`; two shapes or more, at one peak rate, one that decays. `convex_end` takes three
        runs or more, which all decay and differ in shape, peak rate or length.
      law: "annealing", "multi_power", "functional_scaling" or "convex_end".
    Returns:
      The law with its parameters: `.predict(schedule)`, `.leaves(schedule)`, `.to_json()`.
    Raises:
      ValueError: if these runs do not identify the law; it says which run to add.
    Example:
      >>> ends = {peak: 3.0 + 0.5 / peak + 2.0 * peak for peak in (0.2, 0.4, 0.8)}
      >>> runs = [Curve("linear", [peak, peak / 2], [2], [loss]) for peak, loss in ends.items()]
      >>> print(f"{fit_law(runs, 'convex_end').predict([0.6, 0.3]):.4f}")   # 3 + 0.5 / 0.6 + 2 * 0.6
      5.0333

    Source:
      Tissue et al., arXiv:2408.11029; Luo et al., arXiv:2503.12811; arXiv:2509.19189; Schaipp et al., arXiv:2501.18965.
    """
    known = _law(law)
    known.check(law, runs, len(known.parameters))
    parameters = known.solve(known.formula, runs)
    each = [facts(run.rates) for run in runs]
    seen = {key: (min(one[key] for one in each), max(one[key] for one in each)) for key in each[0]}
    ordered = {name: float(parameters[name]) for name in known.parameters}
    return FittedLaw(law, ordered, tuple(dict.fromkeys(run.name for run in runs)), seen)


def leave_one_out(runs: Sequence[Curve], law: str) -> dict[str, float]:
    """Leave one out: the error at the end of each schedule's runs when the law is fitted to the others.

    Args:
      runs: as for `fit_law`; those of one name are left out together.
      law: as for `fit_law`.
    Returns:
      name -> mean of |predicted - measured| at the last measurements; no entry where the others do not identify the
      law.
    """
    errors = {}
    for name in dict.fromkeys(run.name for run in runs):
        try:
            fitted = fit_law([run for run in runs if run.name != name], law)
        except ValueError:
            continue
        errors[name] = float(np.mean([abs(end_error(fitted, run)) for run in runs if run.name == name]))
    return errors


def end_error(fitted: FittedLaw, run: Curve) -> float:
    """Predicted less measured loss, at the last measurement of a run."""
    return float(fitted.predict(run.rates, run.steps[-1:])[0] - run.losses[-1])
