"""How good predicted probabilities are, and how much better one temperature makes them.

Predictions are logits; log-probabilities serve as well, since they are logits that are normalised already. They stay
logarithms up to the loss, so no probability is ever clipped. Everything is computed in float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

BINS = 15  # Guo et al., section 5
TEMPERATURES = (1e-2, 1e2)  # the ends of the interval in which one is looked for
SUM_TOLERANCE = 1e-4  # what a row of float32 probabilities may be off 1


class Scores(NamedTuple):
    """Four losses of one set of predictions, each a mean over examples: the lower the better."""

    error: float  # 1 - accuracy, in [0, 1]
    nll: float  # nats
    brier: float  # in [0, 2]
    ece: float  # in [0, 1]


class Reliability(NamedTuple):
    """What a reliability diagram draws: of each bin (i / bins, (i + 1) / bins], i from 0. 0 where it is empty."""

    examples: Int[np.ndarray, " bins"]  # how many: those whose largest probability lies in the bin
    confidence: Float64[np.ndarray, " bins"]  # mean of that probability
    accuracy: Float64[np.ndarray, " bins"]  # how often that class is the label


def log_probabilities(
    logits: Float[np.ndarray, "*batch classes"], temperature: float = 1.0
) -> Float64[np.ndarray, "*batch classes"]:
    """Logarithm of the softmax of logits / temperature; at temperature 1 log-probabilities come back as they went in.

    log p_c = logits_c / temperature - log sum_k exp(logits_k / temperature).

    Args:
      logits: finite, of any scale.
      temperature: positive; above 1 softens, below 1 sharpens.
    Returns:
      float64 of the same shape, at most 0. Always finite: a probability of 1e-400 keeps its logarithm.
    Raises:
      ValueError: if a logit is not finite, there is no class, or the temperature is not positive and finite.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature}.")
    if not logits.shape[-1]:
        raise ValueError(f"logits must have at least one class, got shape {logits.shape}.")
    if not np.isfinite(logits).all():
        raise ValueError(f"logits must be finite, got {np.count_nonzero(~np.isfinite(logits))} that are not.")
    scaled = logits.astype(np.float64)
    scaled = (scaled - scaled.max(axis=-1, keepdims=True)) / temperature
    return scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))


def probabilities(
    logits: Float[np.ndarray, "*batch classes"], temperature: float = 1.0
) -> Float64[np.ndarray, "*batch classes"]:
    """Softmax of logits / temperature, without overflow; arguments and errors as in `log_probabilities`.

    Example:
      >>> probabilities(np.array([[0.0, 1e4]])).tolist()
      [[0.0, 1.0]]
    """
    return np.exp(log_probabilities(logits, temperature))


def as_probabilities(probs: Float[np.ndarray, "*batch classes"]) -> Float64[np.ndarray, "*batch classes"]:
    """Probabilities as float64.

    Raises:
      ValueError: if one is negative or NaN, or those of an example do not sum to 1 within 1e-4.
    """
    sums = probs.sum(axis=-1, dtype=np.float64)
    if probs.size and not (probs.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE):  # NaN fails too
        raise ValueError(f"probs must not be negative and sum to 1, got sums from {sums.min()} to {sums.max()}.")
    return probs.astype(np.float64)


def label_log_probabilities(
    logits: Float[np.ndarray, "*members examples classes"], labels: Int[np.ndarray, " examples"]
) -> Float64[np.ndarray, "*members examples"]:
    """Log-probability that each member gives each example's label.

    Raises:
      ValueError: if a logit is not finite, there is no example, or a label is none of the classes.
    """
    _check_labels(logits, labels)
    return log_probabilities(logits)[..., np.arange(len(labels)), labels]


def accuracy(logits: Float[np.ndarray, "examples classes"], labels: Int[np.ndarray, " examples"]) -> float:
    """Fraction of examples whose largest logit (or probability) is the label's; of equal ones the first class counts.

    Raises:
      ValueError: if there is no example, or a label is none of the classes.
    """
    _check_labels(logits, labels)
    return float(np.mean(logits.argmax(axis=-1) == labels))


def nll(logits: Float[np.ndarray, "examples classes"], labels: Int[np.ndarray, " examples"]) -> float:
    """Negative log-likelihood in nats, -mean log p_label: the cross-entropy loss.

    Args:
      logits: finite; or log-probabilities. Nothing is clipped, so a label of probability 1e-400 costs 921 nats.
      labels: classes from 0.
    Returns:
      at least 0; log(classes) for the uniform prediction.
    Raises:
      ValueError: if a logit is not finite, there is no example, or a label is none of the classes.
    """
    return float(-np.mean(label_log_probabilities(logits, labels)))


def brier(probs: Float[np.ndarray, "examples classes"], labels: Int[np.ndarray, " examples"]) -> float:
    """Brier score in its original, multi-class form: the squared error summed over classes, averaged over examples.

    mean over examples of sum_c (p_c - [c = label])^2. In [0, 2]. Some codes divide by the number of classes; with two
    classes the form that looks at one of them only is half of this one.

    Args:
      probs: rows that sum to 1.
      labels: classes from 0.
    Returns:
      0 for certain and right, 2 for certain and wrong, 1 - 1 / classes for the uniform prediction.
    Raises:
      ValueError: if probs are no probabilities, there is no example, or a label is none of the classes.
    Source:
      Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950.
    """
    _check_labels(probs, labels)
    off = as_probabilities(probs)
    off[np.arange(len(labels)), labels] -= 1
    return float(np.mean((off**2).sum(axis=-1)))


def reliability(
    probs: Float[np.ndarray, "examples classes"], labels: Int[np.ndarray, " examples"], *, bins: int = BINS
) -> Reliability:
    """Sorts examples by the probability of their predicted class into equal-width bins.

    Args:
      probs: rows that sum to 1.
      labels: classes from 0.
      bins: how many; bin i from 0 is (i / bins, (i + 1) / bins].
    Returns:
      numbers of examples, mean confidences and accuracies; the latter two are 0 in an empty bin.
    Raises:
      ValueError: if probs are no probabilities, there is no example, a label is none of the classes, or bins < 1.
    Source:
      Guo, Pleiss, Sun, Weinberger, ICML 2017, arXiv:1706.04599, section 2.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}.")
    _check_labels(probs, labels)
    probs = as_probabilities(probs)
    confidence = probs.max(axis=-1)
    right = (probs.argmax(axis=-1) == labels).astype(np.float64)
    place = np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")  # an edge belongs to the bin below it
    count = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=values, minlength=bins) for values in (confidence, right)]
    return Reliability(count, *(total / np.maximum(count, 1) for total in sums))


def ece(
    probs: Float[np.ndarray, "examples classes"], labels: Int[np.ndarray, " examples"], *, bins: int = BINS
) -> float:
    """Expected calibration error of the predicted class: how far confidence is off accuracy, averaged over examples.

    sum over bins of count / examples * |accuracy - confidence|, in [0, 1]. It depends on the bins, and is biased
    upwards by noise, the more so the fewer examples a bin has: compare at equal bins and examples only.

    Args:
      probs: rows that sum to 1.
      labels: classes from 0.
      bins: of equal width, open below and closed above.
    Returns:
      0 if each bin is right as often as it is confident.
    Raises:
      ValueError: as `reliability`.
    Source:
      Guo et al., ICML 2017, arXiv:1706.04599, equation 3.
    """
    read = reliability(probs, labels, bins=bins)
    return float(np.sum(read.examples * np.abs(read.accuracy - read.confidence)) / len(labels))


def fit_temperature(
    logits: Float[np.ndarray, "examples classes"], labels: Int[np.ndarray, " examples"]
) -> float | None:
    """The temperature at which the negative log-likelihood of these data is least. Give it held-out data.

    With b = 1 / temperature the loss is convex and its slope, mean(sum_c p_c(b) logits_c - logits_label), never falls:
    the temperature is where it is 0. An ensemble is to be fitted as a whole, by the log-probabilities that `combine`
    gives, since members that are calibrated one by one make an ensemble that is not.

    Args:
      logits: finite; or log-probabilities.
      labels: classes from 0.
    Returns:
      in (0.01, 100); None if these data do not determine it: the loss falls down to 0.01 (every prediction right) or up
      to 100 (predictions no better than uniform), it is flat (all logits of an example equal), or there is one example
      alone. Then use the temperature 1, and call nothing calibrated.
    Raises:
      ValueError: if a logit is not finite, there is no example, or a label is none of the classes.
    Source:
      Guo et al., ICML 2017, arXiv:1706.04599, section 4.2. Ensembles: Rahaman and Thiery, NeurIPS 2021,
      arXiv:2007.08792; Ashukha et al., ICLR 2020, arXiv:2002.06470.
    """
    _check_labels(logits, labels)
    centred = log_probabilities(logits)
    centred = centred - centred.max(axis=-1, keepdims=True)  # the slope of equal logits is 0 without a rounding
    at_label = centred[np.arange(len(labels)), labels]

    def slope(log_temperature: float) -> float:
        expected = (probabilities(centred, math.exp(log_temperature)) * centred).sum(axis=-1)
        return float(np.mean(expected - at_label))

    low, high = map(math.log, TEMPERATURES)
    if len(labels) == 1 or slope(low) <= 0 or slope(high) >= 0:
        return None
    from scipy import optimize

    return math.exp(optimize.brentq(slope, low, high))


def score(
    logits: Float[np.ndarray, "examples classes"],
    labels: Int[np.ndarray, " examples"],
    *,
    temperature: float = 1.0,
    bins: int = BINS,
) -> Scores:
    """Error, negative log-likelihood, Brier score and expected calibration error of one set of predictions.

    Args:
      logits: finite; or log-probabilities, as `combine.combine` gives.
      labels: classes from 0.
      temperature: what logits are divided by first, fitted on other data than these (`fit_temperature`).
      bins: of the calibration error.
    Returns:
      the Scores. The error does not depend on the temperature.
    Raises:
      ValueError: if a logit is not finite, there is no example, a label is none of the classes, bins < 1, or the
        temperature is not positive and finite.
    """
    log_probs = log_probabilities(logits, temperature)
    probs = np.exp(log_probs)
    error = 1 - accuracy(log_probs, labels)
    return Scores(error, nll(log_probs, labels), brier(probs, labels), ece(probs, labels, bins=bins))


def _check_labels(predictions: np.ndarray, labels: np.ndarray) -> None:
    examples, classes = predictions.shape[-2:]
    if labels.shape != (examples,):
        raise ValueError(f"labels must be one an example, got shapes {labels.shape} and {predictions.shape}.")
    if not examples:
        raise ValueError(f"predictions must hold at least one example, got shape {predictions.shape}.")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must be from 0 to {classes - 1}, got {labels.min()} to {labels.max()}.")
