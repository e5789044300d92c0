"""What a record of an ensemble holds, as plain JSON values, from the predictions of its members."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from lrsched.analysis import statistics
from lrsched.analysis.ensemble import calibration, combine

Row = dict[str, Any]


class Predicted(NamedTuple):
    """One network's or ensemble's logits (or log-probabilities) on the test set and on held-out data, if there are."""

    test: Float[np.ndarray, "examples classes"]
    held: Float[np.ndarray, "held_out classes"] | None


class Labels(NamedTuple):
    """The classes of the same examples."""

    test: Int[np.ndarray, " examples"]
    held: Int[np.ndarray, " held_out"] | None


class Combined(NamedTuple):
    """What a way of combining members came to, and their shares where those are not equal."""

    predicted: Predicted
    weights: list[float] | None = None


ENSEMBLE = "mean of probabilities"  # the ensemble that is compared with others


def average(
    members: Sequence[Predicted],
    *,
    how: combine.How = "probabilities",
    weights: Float[np.ndarray, " members"] | None = None,
) -> Predicted:
    """The ensemble's predictions, on both splits (`combine.combine`)."""
    test, held = stack(members)
    combined = combine.combine(test, weights=weights, how=how)
    return Predicted(combined, None if held is None else combine.combine(held, weights=weights, how=how))


def combine_all(members: Sequence[Predicted], labels: Labels) -> dict[str, Combined]:
    """The ways to average predictions, by name; those that held-out data choose only where there are some."""
    found = {ENSEMBLE: Combined(average(members)), "mean of logits": Combined(average(members, how="logits"))}
    _, held = stack(members)
    if held is not None and labels.held is not None:
        chosen = shares(combine.choose_greedily(held, labels.held), len(members))
        for name, weights in {
            "weighted mean": combine.fit_weights(held, labels.held),
            "greedy choice": chosen,
        }.items():
            found[name] = Combined(average(members, weights=weights), weights.tolist())
    return found


def shares(indices: Sequence[int], count: int) -> Float64[np.ndarray, " members"]:
    """Equal weights for the members that were chosen, 0 for the others."""
    weights = np.zeros(count)
    weights[list(indices)] = 1 / len(indices)
    return weights


def score(predicted: Predicted, labels: Labels, *, bins: int) -> Row:
    """Error, NLL, Brier and ECE on the test set, and again at the temperature fitted on held-out data.

    Returns:
      "error", "nll", "brier", "ece"; "temperature", "calibrated_nll", "calibrated_brier", "calibrated_ece",
      "holdout_error" and "holdout_nll", which are None without held-out data, and "temperature_determined": if it is
      False, the temperature is 1 and the calibrated numbers are None.
    """
    names = ("temperature", "calibrated_nll", "calibrated_brier", "calibrated_ece", "holdout_error", "holdout_nll")
    row: Row = {**calibration.score(predicted.test, labels.test, bins=bins)._asdict(), **dict.fromkeys(names)}
    if predicted.held is None or labels.held is None:
        return {**row, "temperature_determined": False}
    held = calibration.score(predicted.held, labels.held, bins=bins)
    row |= {"holdout_error": held.error, "holdout_nll": held.nll}
    temperature = calibration.fit_temperature(predicted.held, labels.held)
    if temperature is None:
        return {**row, "temperature": 1.0, "temperature_determined": False}
    fitted = calibration.score(predicted.test, labels.test, temperature=temperature, bins=bins)
    row |= {"calibrated_nll": fitted.nll, "calibrated_brier": fitted.brier, "calibrated_ece": fitted.ece}
    return {**row, "temperature": temperature, "temperature_determined": True}


def score_growing(members: Sequence[Predicted], labels: Labels, *, order: combine.Order) -> list[Row]:
    """The mean probabilities of 1, 2, .. members (`combine.score_growing`): error, nll, calibrated_nll of each size.

    The last is None without held-out data, and where those do not determine the temperature.
    """
    test, held = stack(members)
    plain = combine.score_growing(test, labels.test, order=order)
    fitted: Sequence[calibration.Scores | None] = [None] * len(plain)
    if held is not None and labels.held is not None:
        fitted = combine.score_growing(test, labels.test, order=order, held_out=(held, labels.held))
    return [
        {"error": scores.error, "nll": scores.nll, "calibrated_nll": at_its_own.nll if at_its_own else None}
        for scores, at_its_own in zip(plain, fitted, strict=True)
    ]


def measure_diversity(members: Sequence[Predicted]) -> Row:
    """How far the members' predictions on the test set lie from each other."""
    test, _ = stack(members)
    return {
        "disagreement": combine.measure_disagreement(test).tolist(),
        "pairwise_kl": combine.measure_kl(test).tolist(),
        "ambiguity": combine.measure_ambiguity(calibration.probabilities(test)),
    }


def count_equivalent_runs(calibrated_nll: float | None, runs: Sequence[Predicted], labels: Labels) -> Row:
    """How many independent runs an ensemble is worth (`combine.count_equivalent_runs`).

    The runs' curve is, at each size, the mean over the choices of as many neighbours in a ring of the runs, so that
    every run counts equally often.

    Args:
      calibrated_nll: of the ensemble in question, at its fitted temperature; None if that is not determined.
      runs: of independent runs; with held-out data.
    Returns:
      "runs", "curve", "value", which is None if the ensemble is better than all the runs together, "below_one":
      whether it is worse than one of them, and "determined": if it is False, a temperature that the comparison needs
      is not determined, and there are no other numbers.
    """
    rings = [[*runs[first:], *runs[:first]] for first in range(len(runs))]
    curves = [[point["calibrated_nll"] for point in score_growing(ring, labels, order="forward")] for ring in rings]
    found: Row = {"runs": len(runs), "determined": False, "curve": None, "value": None, "below_one": None}
    if calibrated_nll is None or any(nll is None for curve in curves for nll in curve):
        return found
    curve = np.mean(curves, axis=0).tolist()
    value = combine.count_equivalent_runs(calibrated_nll, curve)
    below = calibrated_nll > curve[0]
    value_or_none = value if math.isfinite(value) else None
    return {**found, "determined": True, "curve": curve, "value": value_or_none, "below_one": below}


def compare(first: Predicted, second: Predicted, labels: Labels) -> Row:
    """Errors of two predictions of the same test examples: McNemar's exact test, and the interval that goes with it.

    Only examples that one of them alone gets right tell the two apart. Were the two equally good, each would be as
    likely to have it: p is of a binomial with probability 1/2. The interval of the difference of errors is that
    binomial's 95 % one (Clopper and Pearson) scaled to all examples, so that it leaves out 0 exactly where p < 5 %. It
    speaks of these networks, not of what other seeds would give.

    Returns:
      "examples", "only_first_right", "only_second_right", "difference" (first's error - second's), "interval", "p".
    Source:
      McNemar, Psychometrika 12, 1947.
    """
    from scipy import stats  # more than a second to import

    right = [predicted.test.argmax(axis=-1) == labels.test for predicted in (first, second)]
    one, other, examples = int(np.sum(right[0] & ~right[1])), int(np.sum(~right[0] & right[1])), len(labels.test)
    interval, p = (0.0, 0.0), 1.0
    if one + other:
        test = stats.binomtest(other, one + other)
        share = test.proportion_ci(statistics.LEVEL, method="exact")
        interval = tuple((2 * end - 1) * (one + other) / examples for end in (share.low, share.high))
        p = float(test.pvalue)
    return {
        "examples": examples,
        "only_first_right": one,
        "only_second_right": other,
        "difference": (other - one) / examples,
        "interval": list(map(float, interval)),
        "p": p,
    }


def compare_all(
    whole: Predicted, members: Sequence[Predicted], baselines: Mapping[str, Predicted], labels: Labels
) -> list[Row]:
    """`compare` of the ensemble with the member of least test error (a choice that favours it) and each baseline."""
    best = max(range(len(members)), key=lambda i: calibration.accuracy(members[i].test, labels.test))
    others = {f"member {best + 1} (the best on the test set)": members[best], **baselines}
    return [{"first": ENSEMBLE, "second": name, **compare(whole, other, labels)} for name, other in others.items()]


def measure_reliability(predicted: Predicted, labels: Labels, *, bins: int) -> Row:
    """A reliability diagram's numbers, on the test set, uncalibrated."""
    read = calibration.reliability(calibration.probabilities(predicted.test), labels.test, bins=bins)
    return {name: values.tolist() for name, values in read._asdict().items()}


def stack(members: Sequence[Predicted]) -> tuple[np.ndarray, np.ndarray | None]:
    """The logits of all members in one array a split."""
    held = [member.held for member in members if member.held is not None]
    return np.stack([member.test for member in members]), np.stack(held) if held else None
