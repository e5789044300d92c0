import inspect
import math

import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy import optimize, stats
from sklearn import metrics

from lrsched.analysis.ensemble import calibration, combine

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 4))
LOGITS = SHAPES.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(-20, 20, width=32)))


def labels(*classes):
    return np.array(classes, np.int32)


def logits_of(*probs):
    """Two-class logits: of each member, the probability of class 0 for each example."""
    first = np.array(probs)
    return np.log(np.stack([first, 1 - first], axis=-1))


def noisy(seed, noises, examples=200, classes=4):
    """Labels drawn from a truth, and members that see it through noise."""
    generator = np.random.default_rng(seed)
    truth = 2 * generator.normal(size=(examples, classes))
    right = (truth + generator.gumbel(size=truth.shape)).argmax(axis=1).astype(np.int32)  # a draw from the softmax
    members = [truth + noise * generator.normal(size=truth.shape) for noise in noises]
    return np.array(members, np.float32), right


def test_combine_by_hand():
    assert np.exp(combine.combine(logits_of([0.2, 0.9], [0.6, 0.5]))) == pytest.approx(
        np.array([[0.4, 0.6], [0.7, 0.3]]), rel=1e-12
    )


def test_combine_logits_by_hand():
    # Odds 4 and 1/9: their geometric mean is 2/3, so 2/5; the mean of probabilities would be (0.8 + 0.1) / 2.
    found = combine.combine(logits_of([0.8], [0.1]), how="logits")
    assert np.exp(found) == pytest.approx(np.array([[0.4, 0.6]]), rel=1e-12)


def test_combine_weighted_by_hand():
    # A quarter and three quarters: 0.05 + 0.45; odds 1/4 and 3/2 to those powers.
    logits, weights = logits_of([0.2], [0.6]), np.array([2.0, 6.0])
    odds = (1 / 4) ** 0.25 * (3 / 2) ** 0.75
    assert np.exp(combine.combine(logits, weights=weights)) == pytest.approx(np.array([[0.5, 0.5]]), rel=1e-12)
    found = np.exp(combine.combine(logits, weights=weights, how="logits"))
    assert found[0, 0] == pytest.approx(odds / (1 + odds), rel=1e-12)


@hypothesis.given(LOGITS, st.sampled_from(["probabilities", "logits"]))
def test_combined_probabilities_sum_to_1(logits, how):
    found = combine.combine(logits, how=how)
    assert np.isfinite(found).all()
    assert np.exp(found).sum(axis=-1) == pytest.approx(1, rel=1e-12)


@hypothesis.given(LOGITS, st.sampled_from(["probabilities", "logits"]), st.randoms(use_true_random=False))
def test_combine_does_not_see_the_order_of_members(logits, how, random):
    order = random.sample(range(len(logits)), len(logits))
    found = combine.combine(logits[order], how=how)
    assert found == pytest.approx(combine.combine(logits, how=how), rel=1e-12, abs=1e-12)


@hypothesis.given(LOGITS)
def test_combine_probabilities_is_the_mean_of_softmaxes(logits):
    wide = np.exp(logits.astype(float))
    expected = (wide / wide.sum(axis=-1, keepdims=True)).mean(axis=0)
    assert np.exp(combine.combine(logits)) == pytest.approx(expected, rel=1e-9)


def test_combine_leaves_out_a_member_of_weight_0():
    logits = logits_of([0.2], [0.6], [0.9])
    found = combine.combine(logits, weights=np.array([1.0, 0.0, 1.0]))
    assert found == pytest.approx(combine.combine(logits[[0, 2]]), rel=1e-12)


def test_combine_of_the_improbable_stays_finite():
    # Both members give class 1 exp(-2000): so does their mean, though no float64 holds it.
    assert combine.combine(np.array([[[0.0, -2000.0]]] * 2))[0] == pytest.approx([0.0, -2000.0])


def test_combine_another_how():
    unchecked = inspect.unwrap(combine.combine)  # as it is without the tests' checks of types
    with pytest.raises(ValueError, match=r"^how must be 'probabilities' or 'logits', got 'votes'\.$"):
        unchecked(logits_of([0.5]), how="votes")


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -0.5], [1.0, math.nan], [math.inf, 1.0]])
def test_weights_outside(weights):
    with pytest.raises(ValueError, match=r"^weights must be finite, not negative, and not all 0, got \["):
        combine.combine(logits_of([0.5], [0.5]), weights=np.array(weights))


def test_weights_of_another_length():
    with pytest.raises(ValueError, match=r"^weights must be one a member, got shapes \(1,\) and \(2, 1, 2\)\.$"):
        inspect.unwrap(combine.combine)(logits_of([0.5], [0.5]), weights=np.array([1.0]))


@pytest.mark.parametrize("shape", [(0, 1, 2), (1, 0, 2)])
def test_nobody_or_nothing(shape):
    labelled = (combine.fit_weights, combine.score_growing, combine.choose_greedily)
    for reading in (
        *labelled,
        combine.combine,
        combine.measure_disagreement,
        combine.measure_kl,
        combine.measure_ambiguity,
    ):
        right = [np.zeros(shape[1], np.int32)] if reading in labelled else []
        with pytest.raises(ValueError, match=r"^predictions must hold at least one member and example, got shape \("):
            reading(np.zeros(shape), *right)


def test_validation_weights_by_hand():
    # The label's probability is 0.2 + 0.6 w on three examples and 0.8 - 0.6 w on one: 3 (0.8 - 0.6 w) = 0.2 + 0.6 w.
    logits = logits_of([0.8, 0.8, 0.8, 0.2], [0.2, 0.2, 0.2, 0.8])
    # Within 1e-6 of the least loss; its curvature there is 1.92, so within sqrt(2e-6 / 1.92) of the weights.
    assert combine.fit_weights(logits, labels(0, 0, 0, 0)) == pytest.approx([11 / 12, 1 / 12], abs=1.1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_validation_weights_agree_with_a_general_solver(seed):
    logits, right = noisy(seed, (4.0, 0.5, 2.0, 0.5, 1.0))
    likelihood = np.exp(logits.astype(float))
    likelihood = (likelihood / likelihood.sum(axis=-1, keepdims=True))[:, np.arange(len(right)), right]

    def loss(weights):
        return -np.mean(np.log(weights @ likelihood))

    simplex, ends = {"type": "eq", "fun": lambda weights: weights.sum() - 1}, [(0, 1)] * 5
    solved = optimize.minimize(loss, np.full(5, 0.2), bounds=ends, constraints=simplex, method="SLSQP", tol=1e-12)
    found = combine.fit_weights(logits, right)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1, rel=1e-12)
    assert loss(found) == pytest.approx(solved.fun, abs=1.1e-6)
    assert loss(np.full(5, 0.2)) - loss(found) > 1e-3


def test_validation_weights_of_a_member_worse_everywhere():
    found = combine.fit_weights(logits_of([0.5, 0.6], [0.3, 0.2]), labels(0, 0))
    assert found == pytest.approx([1.0, 0.0], abs=1e-5)


def test_validation_weights_of_equal_members():
    assert combine.fit_weights(logits_of([0.5, 0.6], [0.5, 0.6]), labels(0, 1)).tolist() == [0.5, 0.5]


def test_validation_weights_of_the_improbable():
    # On each example one member is exp(2000) times likelier: only their balance counts, as if the other gave 0.
    logits = np.array([[[0.0, -2000.0], [0.0, -4000.0], [-3000.0, 0.0]], [[0.0, -4000.0], [0.0, -2000.0], [0.0, 0.0]]])
    assert combine.fit_weights(logits, labels(1, 1, 0)) == pytest.approx([1 / 3, 2 / 3], abs=1e-3)


@pytest.mark.parametrize("how", ["probabilities", "logits"])
def test_growing_ends_with_all(how):
    logits, right = noisy(5, (3.0, 2.0, 1.0))
    curves = [combine.score_growing(logits, right, order=order, how=how) for order in ("forward", "backward")]
    assert list(map(len, curves)) == [3, 3]
    assert curves[0][-1] == curves[1][-1] == calibration.score(combine.combine(logits, how=how), right)


@pytest.mark.parametrize(("order", "first_two"), [("forward", ([0], [0, 1])), ("backward", ([2], [1, 2]))])
def test_growing_takes_the_first_or_the_last(order, first_two):
    logits, right = noisy(6, (3.0, 2.0, 1.0))
    expected = [calibration.nll(combine.combine(logits[members]), right) for members in first_two]
    found = combine.score_growing(logits, right, order=order)
    assert [scores.nll for scores in found[:2]] == pytest.approx(expected, rel=1e-9)


def test_growing_at_temperatures_fitted_on_other_data():
    logits, right = noisy(7, (3.0, 1.0), examples=400)
    held_out, test = (logits[:, :200], right[:200]), (logits[:, 200:], right[200:])
    for order, members in (("forward", [0]), ("backward", [1])):
        plain = combine.score_growing(*test, order=order)
        fitted = combine.score_growing(*test, order=order, held_out=held_out)
        temperature = calibration.fit_temperature(held_out[0][members[0]], held_out[1])
        assert fitted[0].nll == pytest.approx(calibration.nll(test[0][members[0]] / np.float32(temperature), test[1]))
        assert fitted[0].nll < plain[0].nll
        assert fitted[-1].nll < plain[-1].nll


def test_growing_where_held_out_data_do_not_determine_a_temperature():
    # The first member is right on all held-out data; the mean with the second, wrong and surer, is not.
    held_out = logits_of([0.9, 0.9, 0.9], [0.8, 0.8, 0.001]), labels(0, 0, 0)
    found = combine.score_growing(logits_of([0.7, 0.2], [0.6, 0.4]), labels(0, 0), held_out=held_out)
    assert found[0] is None
    assert found[1] is not None
    plain = combine.score_growing(logits_of([0.7, 0.2], [0.6, 0.4]), labels(0, 0))
    assert found[1].error == plain[1].error


def test_growing_in_another_order():
    with pytest.raises(ValueError, match=r"^order must be 'forward' or 'backward', got 'best'\.$"):
        inspect.unwrap(combine.score_growing)(logits_of([0.5]), labels(0), order="best")


def test_greedy_by_hand():
    # Alone: 0.8 and 0.2 -> 0.16; 0.3, 0.6 -> 0.18; 0.2, 0.8 -> 0.16; 0.1, 0.1. The best is 1; with 0: (0.55, 0.4) ->
    # 0.22; with 2: (0.25, 0.7) -> 0.175. Then 0, 1, 2: (13/30, 16/30) -> 0.231, and member 3 only harms.
    logits = logits_of([0.8, 0.2], [0.3, 0.6], [0.2, 0.8], [0.1, 0.1])
    assert combine.choose_greedily(logits, labels(0, 0)) == [1, 0, 2]


def test_greedy_stops_where_nothing_is_gained():
    assert combine.choose_greedily(logits_of([0.6, 0.6], [0.7, 0.7], [0.7, 0.7]), labels(0, 0)) == [1]


@pytest.mark.parametrize("seed", range(3))
def test_greedy_as_a_plain_search(seed):
    logits, right = noisy(seed, (2.0, 0.5, 4.0, 1.0, 1.0), examples=40)
    odds = np.exp(logits.astype(float))
    probs = odds / odds.sum(axis=-1, keepdims=True)

    def loss(members):
        return metrics.log_loss(right, probs[members].mean(axis=0), labels=range(4))

    expected = []
    while True:
        steps = {loss([*expected, i]): [*expected, i] for i in range(5) if i not in expected}
        if not steps or (expected and min(steps) >= loss(expected)):
            break
        expected = steps[min(steps)]
    assert combine.choose_greedily(logits, right) == expected
    assert 1 < len(expected) < 5


def test_disagreement_by_hand():
    first, second = [0.9, 0.9, 0.1, 0.1], [0.6, 0.4, 0.4, 0.6]
    assert combine.measure_disagreement(logits_of(first, second, first)).tolist() == [
        [0.0, 0.5, 0.0],
        [0.5, 0.0, 0.5],
        [0.0, 0.5, 0.0],
    ]


def test_disagreement_of_different_classes_that_are_both_wrong():
    assert combine.measure_disagreement(np.eye(3)[:, None])[0].tolist() == [0.0, 1.0, 1.0]


def test_pairwise_kl_by_hand():
    # KL((1/2, 1/2), (1/4, 3/4)) = ln(4/3) / 2, and back ln(27/16) / 4; the other example adds 0 to the mean.
    found = combine.measure_kl(logits_of([0.5, 0.5], [0.25, 0.5]))
    assert found == pytest.approx(np.array([[0, math.log(4 / 3) / 4], [math.log(27 / 16) / 8, 0]]), abs=1e-15)


@hypothesis.given(LOGITS)
def test_pairwise_kl_agrees_with_scipy(logits):
    found = combine.measure_kl(logits)
    probs = calibration.probabilities(logits)
    assert (found.min(), np.abs(np.diag(found)).max()) == (0.0, 0.0)  # the diagonal's is the least
    expected = np.mean(stats.entropy(probs[:, None], probs[None], axis=-1), axis=-1)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@hypothesis.given(LOGITS, st.data())
def test_ambiguity_is_what_the_ensemble_gains(logits, data):
    members, examples, classes = logits.shape
    probs = calibration.probabilities(logits)
    truth = np.eye(classes)[data.draw(arrays.arrays(np.int32, examples, elements=st.integers(0, classes - 1)))]
    weights = data.draw(arrays.arrays(np.float64, members, elements=st.floats(0.125, 8)))
    for given_weights, shares in ((None, np.full(members, 1 / members)), (weights, weights / weights.sum())):
        alone = ((probs - truth) ** 2).sum(axis=-1).mean(axis=-1) @ shares
        together = ((np.tensordot(shares, probs, axes=1) - truth) ** 2).sum(axis=-1).mean()
        found = combine.measure_ambiguity(probs, weights=given_weights)
        assert found >= 0
        assert together == pytest.approx(alone - found, abs=1e-12)


def test_ambiguity_by_hand():
    # Members 0.2 and 0.6 of a class are 0.2 off their mean, in both classes: 2 * 0.04; the other example's agree.
    probs = np.exp(logits_of([0.2, 0.5], [0.6, 0.5]))
    assert combine.measure_ambiguity(probs) == pytest.approx(0.04, rel=1e-12)
    # Means at 0.3: squares 0.01 and 0.09, weighted 3 to 1, twice, over two examples.
    assert combine.measure_ambiguity(probs, weights=np.array([3.0, 1.0])) == pytest.approx(0.03, rel=1e-12)


def test_ambiguity_of_logits():
    with pytest.raises(ValueError, match=r"^probs must not be negative and sum to 1, got "):
        combine.measure_ambiguity(logits_of([0.2], [0.6]))


@pytest.mark.parametrize(
    ("nll", "curve", "runs"),
    [
        (0.4, [0.4, 0.3, 0.2], 1.0),
        (0.5, [0.4, 0.3, 0.2], 1.0),  # worse than one run
        (0.375, [0.5, 0.25, 0.125], 1.5),
        (0.25, [0.5, 0.25, 0.125], 2.0),
        (0.15625, [0.5, 0.25, 0.125], 2.75),
        (0.125, [0.5, 0.25, 0.125], 3.0),
        (0.124, [0.5, 0.25, 0.125], math.inf),
        (0.25, [0.5, 0.25, 0.25], 2.0),  # flat from there on
        (0.375, [0.5, 0.25, 0.5, 0.25], 1.5),  # the first crossing of three
    ],
)
def test_deep_ensemble_equivalent_by_hand(nll, curve, runs):
    assert combine.count_equivalent_runs(nll, curve) == pytest.approx(runs, rel=1e-12)


@pytest.mark.parametrize(
    ("nll", "curve", "message"),
    [
        (0.1, [], "curve must hold at least one number, got none"),
        (math.nan, [0.1], "nll and curve must be finite, got "),
        (0.1, [math.inf, 0.1], "nll and curve must be finite, got "),
    ],
)
def test_deep_ensemble_equivalent_refuses(nll, curve, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        combine.count_equivalent_runs(nll, curve)
