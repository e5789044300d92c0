"""Ensembles from the predictions of their members: ways to combine, weigh and choose them, and how far they differ."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
from jaxtyping import Float, Float64, Int

from lrsched.analysis.ensemble import calibration
from lrsched.analysis.ensemble.calibration import Scores

How = Literal["probabilities", "logits"]
Order = Literal["forward", "backward"]
HeldOut = tuple[Float[np.ndarray, "members held_out classes"], Int[np.ndarray, " held_out"]]

WEIGHTS_TOLERANCE = 1e-6  # nats that the held-out loss of the weights found may be above the least there is
WEIGHTS_PASSES = 20_000  # at most


def combine(
    logits: Float[np.ndarray, "members examples classes"],
    *,
    weights: Float[np.ndarray, " members"] | None = None,
    how: How = "probabilities",
) -> Float64[np.ndarray, "examples classes"]:
    """The ensemble's prediction, as log-probabilities.

    "probabilities": p = sum_i w_i p_i, the mean of the members' softmax, which is what snapshot and deep ensembles do.
    "logits": log p = sum_i w_i log p_i + constant, the softmax of mean logits: a product of experts, which is sharper
    where members agree and lets a single one veto a class.

    Args:
      logits: of at least one member; finite.
      weights: not negative, not all 0; divided by their sum. All equal if None.
      how: what is averaged.
    Returns:
      float64, finite: it goes wherever logits do, `calibration.fit_temperature` among them.
    Raises:
      ValueError: if there is no member, a logit is not finite, the weights are otherwise, or how is another.
    Source:
      Huang et al., ICLR 2017, arXiv:1704.00109, section 3; Lakshminarayanan et al., NeurIPS 2017, arXiv:1612.01474.
    """
    shares = _shares(logits, weights)
    log_probs = calibration.log_probabilities(logits)
    if how == "probabilities":
        used = shares > 0
        return calibration.log_probabilities(_log_sum(log_probs[used] + np.log(shares[used])[:, None, None]))
    if how == "logits":
        return calibration.log_probabilities(np.tensordot(shares, log_probs, axes=1))
    raise ValueError(f"how must be 'probabilities' or 'logits', got {how!r}.")


def fit_weights(
    logits: Float[np.ndarray, "members examples classes"], labels: Int[np.ndarray, " examples"]
) -> Float64[np.ndarray, " members"]:
    """The weights of the members at which the held-out loss of their mean probabilities is least.

    Minimises -mean log sum_i w_i p_i(label) over w >= 0 with sum 1, which is convex, by expectation maximisation from
    equal weights: w_i is multiplied by g_i = mean(p_i(label) / sum_k w_k p_k(label)). No weights can have a loss lower
    by more than max_i g_i - 1, so it ends when that is at most 1e-6 nats (or after 20,000 passes).

    Args:
      logits: of at least one member on held-out data; finite. The more members and the fewer examples, the more the
        weights fit noise: hold them against equal ones on data that neither has seen.
      labels: classes from 0.
    Returns:
      float64, not negative, summing to 1; for `combine`. Equal if the members are.
    Raises:
      ValueError: if there is no member or no example, a logit is not finite, or a label is none of the classes.
    Source:
      Dempster, Laird, Rubin, Journal of the Royal Statistical Society B 39, 1977. The bound: Cover, "An algorithm for
      maximizing expected log investment return", IEEE Transactions on Information Theory 30, 1984.
    """
    weights = _shares(logits, None)
    at_label = calibration.label_log_probabilities(logits, labels)
    likelihood = np.exp(at_label - at_label.max(axis=0))  # over each example's best member, to which g is blind
    for _ in range(WEIGHTS_PASSES):
        gains = np.mean(likelihood / (weights @ likelihood), axis=1)
        if gains.max() - 1 <= WEIGHTS_TOLERANCE:
            break
        weights = weights * gains
        weights /= weights.sum()
    return weights


@overload
def score_growing(
    logits: Float[np.ndarray, "members examples classes"],
    labels: Int[np.ndarray, " examples"],
    *,
    order: Order = ...,
    how: How = ...,
    held_out: None = None,
) -> list[Scores]: ...


@overload
def score_growing(
    logits: Float[np.ndarray, "members examples classes"],
    labels: Int[np.ndarray, " examples"],
    *,
    order: Order = ...,
    how: How = ...,
    held_out: HeldOut,
) -> list[Scores | None]: ...


def score_growing(
    logits: Float[np.ndarray, "members examples classes"],
    labels: Int[np.ndarray, " examples"],
    *,
    order: Order = "forward",
    how: How = "probabilities",
    held_out: HeldOut | None = None,
) -> list[Scores] | list[Scores | None]:
    """Scores of the ensembles of 1, 2, .. M members.

    Args:
      logits: members in the order of their snapshots.
      labels: classes from 0.
      order: "forward": the first 1 .. M members, which is what stopping the run early would have given. "backward": the
        last 1 .. M, which is the paper's ensemble and leaves out the poorer early snapshots.
      how: as in `combine`.
      held_out: the same members' logits, and labels, of other data, on which each ensemble's temperature is fitted;
        every temperature is 1 if None.
    Returns:
      M Scores; the last is of all members, in either order. With `held_out` None in the place of an ensemble whose
      temperature those data do not determine.
    Raises:
      ValueError: if there is no member, order is another, or as `combine` and `calibration.score`.
    Source:
      Huang et al., ICLR 2017, arXiv:1704.00109, section 4. Temperatures: Ashukha et al., ICLR 2020, arXiv:2002.06470.
    """
    _shares(logits, None)
    if order not in ("forward", "backward"):
        raise ValueError(f"order must be 'forward' or 'backward', got {order!r}.")
    curve = list[Scores | None]()
    for size in range(1, len(logits) + 1):
        members = slice(size) if order == "forward" else slice(len(logits) - size, None)
        temperature: float | None = 1.0
        if held_out is not None:
            temperature = calibration.fit_temperature(combine(held_out[0][members], how=how), held_out[1])
        mean = combine(logits[members], how=how)
        curve.append(None if temperature is None else calibration.score(mean, labels, temperature=temperature))
    return curve


def choose_greedily(
    logits: Float[np.ndarray, "members examples classes"], labels: Int[np.ndarray, " examples"]
) -> list[int]:
    """Chooses members on held-out data: the best one first, then whichever lowers the ensemble's loss the most.

    The loss is the negative log-likelihood of mean probabilities. It ends when no member left lowers it.

    Args:
      logits: of at least one member on held-out data; finite.
      labels: classes from 0.
    Returns:
      indices of members in the order of choice, each at most once; of equally good ones the first.
    Raises:
      ValueError: if there is no member or no example, a logit is not finite, or a label is none of the classes.
    Source:
      Caruana et al., "Ensemble selection from libraries of models", ICML 2004, section 2; here without replacement.
    """
    _shares(logits, None)
    at_label = calibration.label_log_probabilities(logits, labels)
    chosen: list[int] = []
    total, best = np.full(len(labels), -np.inf), math.inf  # log of the sum of the chosen members' probabilities
    while len(chosen) < len(at_label):
        left = [member for member in range(len(at_label)) if member not in chosen]
        losses = [math.log(len(chosen) + 1) - float(np.mean(np.logaddexp(total, at_label[i]))) for i in left]
        if min(losses) >= best:
            break
        best = min(losses)
        chosen.append(left[losses.index(best)])
        total = np.logaddexp(total, at_label[chosen[-1]])
    return chosen


def measure_disagreement(
    logits: Float[np.ndarray, "members examples classes"],
) -> Float64[np.ndarray, "members members"]:
    """Fraction of examples on which two members predict different classes.

    Args:
      logits: of at least one member.
    Returns:
      float64 in [0, 1], symmetric, 0 on the diagonal. Two networks of error e disagree on 2e at most: read it beside
      their errors.
    Raises:
      ValueError: if there is no member or no example.
    Source:
      Fort, Hu, Lakshminarayanan, 2019, arXiv:1912.02757.
    """
    _shares(logits, None)
    predicted = logits.argmax(axis=-1)
    return np.mean(predicted[:, None] != predicted[None], axis=-1)


def measure_kl(logits: Float[np.ndarray, "members examples classes"]) -> Float64[np.ndarray, "members members"]:
    """Kullback-Leibler divergence of each member's prediction from each other's, in nats, averaged over examples.

    Entry [i, j] = mean over examples of sum_c p_i(c) log(p_i(c) / p_j(c)).

    Args:
      logits: of at least one member; finite.
    Returns:
      float64, at least 0, not symmetric, 0 on the diagonal.
    Raises:
      ValueError: if there is no member or no example, or a logit is not finite.
    """
    _shares(logits, None)
    log_probs = calibration.log_probabilities(logits)
    flat = log_probs.reshape(len(logits), -1)
    cross = np.exp(flat) @ flat.T / logits.shape[1]  # [i, j]: mean of sum_c p_i log p_j
    return np.maximum(np.diag(cross)[:, None] - cross, 0.0)  # a rounding below 0 is none


def measure_ambiguity(
    probs: Float[np.ndarray, "members examples classes"], *, weights: Float[np.ndarray, " members"] | None = None
) -> float:
    """How far members lie from their mean, which is exactly what the ensemble gains over them in Brier score.

    ambiguity = sum_i w_i mean over examples of sum_c (p_i(c) - p(c))^2, where p = sum_i w_i p_i, and
    brier(p) = sum_i w_i brier(p_i) - ambiguity, whatever the labels are.

    Args:
      probs: of at least one member, rows that sum to 1.
      weights: as in `combine`.
    Returns:
      at least 0; 0 if the members are equal.
    Raises:
      ValueError: if there is no member or no example, probs are no probabilities, or the weights are not as
        above.
    Source:
      Krogh and Vedelsby, "Neural network ensembles, cross validation, and active learning", NIPS 1994, section 2.
    """
    shares = _shares(probs, weights)
    probs = calibration.as_probabilities(probs)
    squares = ((probs - np.tensordot(shares, probs, axes=1)) ** 2).sum(axis=-1)
    return float(shares @ squares.mean(axis=-1))


def count_equivalent_runs(nll: float, curve: Sequence[float]) -> float:
    """How many independent runs it takes to be as good as this ensemble: the first size at which their loss is as low.

    min {l >= 1: curve(l) <= nll}, where curve(l) between whole sizes is the straight line.

    Args:
      nll: negative log-likelihood of the ensemble in question, at its own fitted temperature.
      curve: that of ensembles of 1, 2, .. K independent runs, each at its own fitted temperature; best as means over
        several choices of runs. It need not fall everywhere: the first crossing counts.
    Returns:
      in [1, K]; 1 also if the ensemble is worse than one run; infinity if it is better than K runs are, so that the
      answer is not in the curve.
    Raises:
      ValueError: if the curve is empty, or a number is not finite.
    Example:
      >>> count_equivalent_runs(0.25, [0.4, 0.3, 0.2])
      2.5

    Source:
      Ashukha, Lyzhov, Molchanov, Vetrov, ICLR 2020, arXiv:2002.06470. Its log-likelihood is -nll.
    """
    if not len(curve):
        raise ValueError("curve must hold at least one number, got none.")
    if not all(map(math.isfinite, [nll, *curve])):
        raise ValueError(f"nll and curve must be finite, got {nll} and {list(curve)}.")
    if curve[0] <= nll:
        return 1.0
    for size, (above, here) in enumerate(itertools.pairwise(curve), start=1):
        if here <= nll:
            return size + (above - nll) / (above - here)
    return math.inf


def _shares(predictions: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Weights that sum to 1, of predictions that are there."""
    members, examples, _ = predictions.shape
    if not members or not examples:
        raise ValueError(f"predictions must hold at least one member and example, got shape {predictions.shape}.")
    if weights is None:
        return np.full(members, 1 / members)
    if weights.shape != (members,):
        raise ValueError(f"weights must be one a member, got shapes {weights.shape} and {predictions.shape}.")
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
        raise ValueError(f"weights must be finite, not negative, and not all 0, got {weights.tolist()}.")
    weights = weights.astype(np.float64)
    return weights / weights.sum()


def _log_sum(logs: np.ndarray) -> np.ndarray:
    """Logarithm of the sum of the exponentials over the first axis."""
    largest = logs.max(axis=0)
    return largest + np.log(np.exp(logs - largest).sum(axis=0))
