import inspect
import math

import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from sklearn import metrics

from lrsched.analysis.ensemble import calibration

LOGITS = st.tuples(st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(-40, 40, width=32))
)


def softmax(row):
    return [math.exp(z) / math.fsum(math.exp(k) for k in row) for z in row]


def drawn(seed, examples, classes, scale=2.0):
    """Logits, and labels drawn from their softmax."""
    generator = np.random.default_rng(seed)
    logits = (scale * generator.normal(size=(examples, classes))).astype(np.float32)
    labels = [generator.choice(classes, p=softmax(row)) for row in logits.tolist()]
    return logits, np.array(labels, np.int32)


def labels(*classes):
    return np.array(classes, np.int32)


@hypothesis.given(LOGITS)
def test_probabilities_are_the_softmax(logits):
    found = calibration.probabilities(logits)
    assert found.dtype == np.float64
    assert found == pytest.approx(np.array([softmax(row) for row in logits.tolist()]), rel=1e-12, abs=1e-300)
    assert found.sum(axis=-1) == pytest.approx(1, rel=1e-12)


@hypothesis.given(LOGITS, st.floats(-1e4, 1e4))
def test_probabilities_do_not_see_a_shift(logits, shift):
    # Adding 1e4 to 40 rounds it by at most 1e-12.
    assert calibration.probabilities(logits.astype(float) + shift) == pytest.approx(
        calibration.probabilities(logits), rel=1e-10
    )


def test_probabilities_at_a_temperature_by_hand():
    # exp(ln 16 / 2) = 4 against 1; exp(2 ln 4) = 16 against 1.
    assert calibration.probabilities(np.array([[math.log(16), 0.0]]), 2.0)[0] == pytest.approx([4 / 5, 1 / 5])
    assert calibration.probabilities(np.array([[math.log(4), 0.0]]), 0.5)[0] == pytest.approx([16 / 17, 1 / 17])


@hypothesis.given(LOGITS)
def test_log_probabilities_come_back_as_they_went_in(logits):
    once = calibration.log_probabilities(logits)
    assert calibration.log_probabilities(once) == pytest.approx(once, rel=1e-12, abs=1e-12)


def test_log_probabilities_of_the_improbable():
    # log(1e-869): no float64 holds the probability itself.
    assert calibration.log_probabilities(np.array([[0.0, -2000.0]])).tolist() == [[0.0, -2000.0]]


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_temperature_outside(temperature):
    with pytest.raises(ValueError, match=rf"^temperature must be positive and finite, got {temperature}\.$"):
        calibration.probabilities(np.zeros((1, 2)), temperature)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_not_finite(bad):
    with pytest.raises(ValueError, match=r"^logits must be finite, got 1 that are not\.$"):
        calibration.nll(np.array([[0.0, bad], [0.0, 0.0]]), labels(0, 0))


def test_logits_without_classes():
    with pytest.raises(ValueError, match=r"^logits must have at least one class, got shape \(2, 0\)\.$"):
        calibration.probabilities(np.zeros((2, 0)))


def test_label_log_probabilities_of_two_members():
    thirds, quarters = np.log([[1 / 3, 2 / 3], [2 / 3, 1 / 3]]), np.log([[1 / 4, 3 / 4], [3 / 4, 1 / 4]])
    found = calibration.label_log_probabilities(np.stack([thirds, quarters]), labels(1, 1))
    assert np.exp(found) == pytest.approx(np.array([[2 / 3, 1 / 3], [3 / 4, 1 / 4]]))


@pytest.mark.parametrize("loss", [calibration.accuracy, calibration.nll, calibration.brier, calibration.ece])
@pytest.mark.parametrize("label", [-1, 2])
def test_label_outside_the_classes(loss, label):
    with pytest.raises(ValueError, match=r"^labels must be from 0 to 1, got "):
        loss(np.full((2, 2), 0.5), labels(0, label))


@pytest.mark.parametrize("loss", [calibration.accuracy, calibration.nll, calibration.brier, calibration.ece])
def test_no_example(loss):
    with pytest.raises(ValueError, match=r"^predictions must hold at least one example, got shape \(0, 2\)\.$"):
        loss(np.zeros((0, 2)), labels())


@pytest.mark.parametrize("count", [1, 3])
def test_labels_of_another_length(count):
    unchecked = inspect.unwrap(calibration.accuracy)  # as it is without the tests' checks of shapes
    with pytest.raises(ValueError, match=rf"^labels must be one an example, got shapes \({count},\) and \(2, 2\)\.$"):
        unchecked(np.zeros((2, 2)), labels(*[0] * count))


@pytest.mark.parametrize("row", [[0.5, 0.4], [1.5, -0.5], [math.nan, 0.5], [3.0, 1.0]])
@pytest.mark.parametrize("loss", [calibration.brier, calibration.ece])
def test_probs_that_are_none(loss, row):
    with pytest.raises(ValueError, match=r"^probs must not be negative and sum to 1, got "):
        loss(np.array([[0.5, 0.5], row]), labels(0, 0))


def test_losses_leave_their_arguments_alone():
    probs = np.array([[0.25, 0.75]])
    calibration.brier(probs, labels(0))
    calibration.nll(probs, labels(0))
    assert probs.tolist() == [[0.25, 0.75]]


def test_losses_by_hand():
    probs, right = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]), labels(0, 1)
    assert calibration.accuracy(probs, right) == 0.5
    assert calibration.nll(np.log(probs), right) == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-12)
    # (1/2)^2 + 2 (1/4)^2 = 3/8, and (1/4)^2 + (3/4)^2 + (1/2)^2 = 7/8.
    assert calibration.brier(probs, right) == pytest.approx(5 / 8, rel=1e-12)


def test_accuracy_of_ties_takes_the_first_class():
    assert calibration.accuracy(np.zeros((2, 3)), labels(0, 1)) == 0.5


def test_losses_at_their_ends():
    certain = np.array([[1.0, 0.0]])
    assert (calibration.brier(certain, labels(0)), calibration.brier(certain, labels(1))) == (0.0, 2.0)
    assert (calibration.ece(certain, labels(0)), calibration.ece(certain, labels(1))) == (0.0, 1.0)
    assert calibration.nll(np.array([[921.0, 0.0]]), labels(1)) == 921.0


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_losses_agree_with_scikit_learn(classes):
    logits, right = drawn(1, 300, classes)
    probs, names = calibration.probabilities(logits), list(range(classes))
    assert calibration.accuracy(logits, right) == metrics.accuracy_score(right, probs.argmax(axis=1))
    assert calibration.nll(logits, right) == pytest.approx(metrics.log_loss(right, probs, labels=names), rel=1e-12)
    theirs = metrics.brier_score_loss(right, probs, labels=names, scale_by_half=False)
    assert calibration.brier(probs, right) == pytest.approx(theirs, rel=1e-12)


def test_reliability_by_hand():
    # Of four bins: 0.5 closes (1/4, 1/2], 0.75 closes (1/2, 3/4], and 1.0 closes the last.
    top = np.array([0.5, 0.75, 0.625, 1.0])
    read = calibration.reliability(np.stack([top, 1 - top], axis=1), labels(0, 0, 1, 0), bins=4)
    assert read.examples.tolist() == [0, 1, 2, 1]
    assert read.confidence.tolist() == [0.0, 0.5, 0.6875, 1.0]
    assert read.accuracy.tolist() == [0.0, 1.0, 0.5, 1.0]


def test_ece_by_hand():
    # As above: (1 * |1 - 1/2| + 2 * |1/2 - 11/16| + 1 * 0) / 4 = (1/2 + 3/8) / 4.
    top = np.array([0.5, 0.75, 0.625, 1.0])
    assert calibration.ece(np.stack([top, 1 - top], axis=1), labels(0, 0, 1, 0), bins=4) == 7 / 32


@hypothesis.given(LOGITS, st.integers(1, 20), st.randoms(use_true_random=False))
def test_ece_as_a_plain_loop(logits, bins, random):
    probs = calibration.probabilities(logits)
    right = labels(*[random.randrange(probs.shape[1]) for _ in probs])
    expected = 0.0
    for bin in range(bins):
        gap = 0.0  # sum of (right - confidence): its size over all examples is the bin's share times its gap
        for row, label in zip(probs.tolist(), right, strict=True):
            top = min(max(row), 1.0)
            if bin / bins < top <= (bin + 1) / bins:
                gap += (row.index(max(row)) == label) - top
        expected += abs(gap) / len(probs)
    found = calibration.ece(probs, right, bins=bins)
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0 <= found <= 1 + 1e-12


def test_ece_of_calibrated_predictions_is_small():
    # 15 bins of some 1,300 examples: a bin's accuracy is off by about sqrt(0.25 / 1300) = 0.014 at most.
    logits, right = drawn(2, 20_000, 4)
    assert calibration.ece(calibration.probabilities(logits), right) < 0.014
    assert calibration.ece(calibration.probabilities(logits, 0.5), right) > 0.05


def test_bins_none():
    with pytest.raises(ValueError, match=r"^bins must be at least 1, got 0\.$"):
        calibration.ece(np.full((1, 2), 0.5), labels(0), bins=0)


@pytest.mark.parametrize("margin", [0.5, 2.0, 9.0])
def test_fit_temperature_in_closed_form(margin):
    # Three of four right at one margin: sigmoid(margin / T) = 3/4, so margin / T = ln 3.
    logits = np.array([[margin, 0.0]] * 3 + [[0.0, margin]], np.float32)
    assert calibration.fit_temperature(logits, labels(0, 0, 0, 0)) == pytest.approx(margin / math.log(3), rel=1e-9)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_fit_temperature_finds_the_one_the_labels_were_drawn_at(temperature):
    logits, right = drawn(3, 20_000, 5)
    # The standard error is about 1 / sqrt(examples * information) < 0.01 here.
    found = calibration.fit_temperature(logits * np.float32(temperature), right)
    assert found == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_fit_temperature_is_where_the_loss_is_least(seed):
    logits, right = drawn(seed, 40, 3, scale=4.0)
    best = calibration.fit_temperature(logits, right)

    def loss(temperature):
        return metrics.log_loss(right, [softmax(row) for row in (logits / temperature).tolist()], labels=range(3))

    assert max(loss(best), 1e-9) < min(loss(best * 1.01), loss(best / 1.01))


def test_fit_temperature_of_log_probabilities_is_that_of_logits():
    logits, right = drawn(4, 100, 3)
    found = calibration.fit_temperature(calibration.log_probabilities(logits), right)
    assert found == pytest.approx(calibration.fit_temperature(logits, right), rel=1e-9)


@pytest.mark.parametrize(
    ("logits", "right"),
    [
        ([[1.0, 0.0], [0.0, 3.0]], (0, 1)),  # all right: the loss falls as long as the temperature does
        ([[1.0, 0.0], [0.0, 3.0]], (1, 0)),  # all wrong: it falls as long as the temperature rises
        ([[1e-3, 0.0], [0.0, 1e-3]], (0, 1)),  # separable, by a hair
        ([[900.0, 0.0], [0.0, 900.0]], (0, 1)),  # the slope is 0 to the last bit
        ([[0.1] * 3, [7.0] * 3], (0, 1)),  # flat
        ([[1.0, 0.0]], (0,)),
        ([[1.0, 0.9, -9.0]], (1,)),  # one example alone has a best temperature, and says nothing of others
        ([[0.0, 0.0], [0.0, 3.0]], (0, 1)),  # a tie, the other right
    ],
)
def test_fit_temperature_where_it_is_not_determined(logits, right):
    assert calibration.fit_temperature(np.array(logits), labels(*right)) is None


def test_fit_temperature_that_is_exactly_1():
    # Three of four right with odds of 3: the slope is 0 at the temperature 1, which is a fit.
    logits = np.log(np.array([[3.0, 1.0]] * 3 + [[1.0, 3.0]]))
    assert calibration.fit_temperature(logits, labels(0, 0, 0, 0)) == pytest.approx(1.0, rel=1e-9)


def test_scores_join_the_four():
    logits, right = drawn(5, 200, 3)
    found = calibration.score(logits, right, temperature=2.0, bins=4)
    probs = np.array([softmax(row) for row in (logits / 2).tolist()])
    assert found.error == pytest.approx(np.mean(probs.argmax(axis=1) != right))
    assert found.nll == pytest.approx(-np.mean(np.log(probs[np.arange(200), right])), rel=1e-6)  # logits / 2 in float32
    assert found.brier == pytest.approx(np.mean(((probs - np.eye(3)[right]) ** 2).sum(axis=1)), rel=1e-6)
    assert found.ece == pytest.approx(calibration.ece(probs, right, bins=4), abs=1e-6)


def test_scores_error_does_not_see_the_temperature():
    logits, right = drawn(6, 200, 3)
    cold, warm = (calibration.score(logits, right, temperature=t) for t in (0.1, 10.0))
    assert cold.error == warm.error
    assert cold.nll != warm.nll
