"""The last-iterate bound against hand examples, reference values, lower bounds and theorems."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsched as ls

SHAPES = {
    "linear": ls.linear,
    "rex": ls.rex,
    "cosine": ls.cosine,
    "exponential": ls.exponential,
    "step": ls.step,
    "constant": ls.constant,
    "one_minus_sqrt": ls.one_minus_sqrt,
    "onecycle": lambda peak, total_steps: ls.onecycle(peak, total_steps=total_steps, variant="rex_paper"),
}
# Best rate and bound there, D = G = 1: computed twice and independently from Schaipp et al., arXiv:2501.18965.
REFERENCE = {
    ("linear", 60): (0.12381341, 0.26480884),
    ("rex", 60): (0.09995226, 0.26807899),
    ("cosine", 60): (0.12023072, 0.27269974),
    ("exponential", 60): (0.19170908, 0.26772828),
    ("step", 60): (0.09385433, 0.33664486),
    ("constant", 60): (0.05424919, 0.30722423),
    ("one_minus_sqrt", 60): (0.18300118, 0.26621882),
    ("onecycle", 60): (0.10408650, 0.29113315),
    ("linear", 100): (0.09725521, 0.20360842),
    ("rex", 100): (0.07841250, 0.20612913),
    ("cosine", 100): (0.09469451, 0.20911435),
    ("exponential", 100): (0.14937505, 0.20822081),
    ("step", 100): (0.07419000, 0.25552427),
    ("constant", 100): (0.04023444, 0.24854331),
    ("one_minus_sqrt", 100): (0.14431567, 0.20468231),
    ("onecycle", 100): (0.08068035, 0.22535622),
    ("linear", 400): (None, 0.10062987),
    ("rex", 400): (None, 0.10168665),
    ("cosine", 400): (None, 0.10338591),
    ("exponential", 400): (None, 0.10606923),
    ("step", 400): (None, 0.12513358),
    ("constant", 400): (None, 0.13754481),
    ("one_minus_sqrt", 400): (None, 0.10124260),
    ("onecycle", 400): (None, 0.11386742),
}


@pytest.mark.parametrize(
    ("rates", "terms"),
    [
        ([1, 1, 1], (1 / 6, 1 / 2, 3 / 4)),
        ([3, 2, 1], (1 / 12, 7 / 6, 17 / 6)),
        ([1, 1, 0.5], (0.2, 0.45, 17 / 15)),
        ([2], (1 / 4, 1, 0)),
    ],
)
def test_terms_by_hand(rates: list[float], terms: tuple[float, ...]) -> None:
    np.testing.assert_allclose(ls.bound(rates), terms, rtol=1e-12)


@pytest.mark.parametrize(("name", "total_steps"), REFERENCE)
def test_bound_and_best_rate_are_those_of_the_reference(name: str, total_steps: int) -> None:
    rate, tuned = REFERENCE[name, total_steps]
    schedule = SHAPES[name](0.1, total_steps=total_steps)
    assert ls.bound(schedule).tuned == pytest.approx(tuned, abs=1e-8)
    if rate is not None:
        assert ls.best_rate(schedule) == pytest.approx(rate, abs=1e-8)


def test_best_rate_is_where_the_bound_is_least() -> None:
    rate = float(ls.best_rate(ls.cosine(1.0, total_steps=50), d=2.0, g=3.0))
    least, below, above = (
        ls.bound(ls.cosine(rate * factor, total_steps=50), d=2.0, g=3.0).value for factor in (1.0, 0.99, 1.01)
    )
    assert least < min(below, above)
    assert least == pytest.approx(ls.bound(ls.cosine(0.7, total_steps=50), d=2.0, g=3.0).tuned)


# Worst cases found by PEPit at T = 60 with tuned rates, in the files of Schaipp et al.
@pytest.mark.parametrize(
    ("words", "worst"), [("linear", 0.12921), ("cosine", 0.13323), ("wsd", 0.13960), ("constant", 0.17810)]
)
def test_no_bound_is_below_the_worst_case_that_was_found(words: str, worst: float) -> None:
    schedule = (
        ls.wsd(1.0, total_steps=60, warmup=0, cooldown=0.2, shape="linear")
        if words == "wsd"
        else SHAPES[words](1.0, total_steps=60)
    )
    assert worst < ls.bound(schedule).tuned < 2.1 * worst


@given(st.integers(3, 400).flatmap(lambda total: st.tuples(st.just(total), st.integers(2, total - 1))))
def test_wsd_is_within_its_theorem(lengths: tuple[int, int]) -> None:
    T, first = lengths  # arXiv:2501.18965: held before step `first` (from 1), then linear towards 0 at T + 1
    t = np.arange(1, T + 1)
    rates = np.where(t < first, 1.0, 1 - (t - first) / (T + 1 - first))

    def harmonic(n: int) -> float:
        return float(np.sum(1 / np.arange(1, n + 1)))

    inside = 2 / 3 + (T + 2 * first) / (3 * (T + first)) + harmonic(T + first - 2) - harmonic(T - first + 1)
    inside += -(T - first) * (first - 1) / (3 * (T - first + 2) * (T + first)) + 1 / (T - first) ** 2
    inside += harmonic(T - first - 1) / (T - first + 1)
    assert ls.bound(rates).tuned <= np.sqrt(4 * inside / (T + first))


def test_constant_rate_pays_the_logarithm() -> None:
    # for a constant rate the last term is gamma G^2 H_{T-1} / 2
    harmonic = np.sum(1 / np.arange(1, 500))
    assert ls.bound(np.full(500, 0.3), g=2.0).last == pytest.approx(0.3 * 4 * harmonic / 2, rel=1e-12)


def test_gradient_norms_may_differ_from_update_to_update() -> None:
    rates, norms = np.array([1.0, 1.0, 0.5]), np.array([3.0, 2.0, 4.0])
    one, two = 1 / 1.5 * (9 + 4 + 4) / 2.5, 1 / 0.5 * (4 + 4) / 1.5  # the two entries of the last sum
    np.testing.assert_allclose(ls.bound(rates, g=norms), (1 / 5, 17 / 5, (one + two) / 2), rtol=1e-12)


def test_rates_that_end_in_zeros_are_those_without_them() -> None:
    np.testing.assert_allclose(ls.bound([3, 2, 1, 0, 0]), ls.bound([3, 2, 1]), rtol=1e-15)
    gradient = jax.grad(lambda rates: ls.bound(rates).value)(jnp.array([3.0, 2.0, 1.0, 0.0]))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("total_steps", [1173, 117_300])
def test_float32_is_near_float64_in_long_runs(name: str, total_steps: int) -> None:
    schedule = SHAPES[name](0.1, total_steps=total_steps)
    short = ls.bound(schedule(jnp.arange(total_steps)))
    assert short.value.dtype == np.float32
    np.testing.assert_allclose(short, ls.bound(schedule), rtol=1e-5)


def test_budget_and_numbers_may_be_traced() -> None:
    totals = jnp.array([60, 100, 400])
    tuned = jax.vmap(lambda total: ls.bound(ls.rex(0.3, total_steps=total), total_steps=400).tuned)(totals)
    np.testing.assert_allclose(tuned, [REFERENCE["rex", int(total)][1] for total in totals], rtol=1e-5)
    held = jax.jit(lambda total: ls.bound(ls.constant(0.3, total_steps=total), total_steps=400).tuned)(100)
    assert float(held) == pytest.approx(REFERENCE["constant", 100][1], rel=1e-5)  # nothing is counted from step 100 on


def test_gradient_is_that_of_differences() -> None:
    def value(d: float) -> float:
        return ls.bound(ls.rex(0.1, total_steps=100, d=d)).value

    slope = (value(0.501) - value(0.499)) / 0.002  # float64, from tables
    assert float(jax.grad(value)(0.5)) == pytest.approx(slope, rel=1e-4)


def test_function_without_a_budget_is_given_one() -> None:
    cosine = optax.cosine_decay_schedule(0.1, 100)
    assert ls.bound(cosine, total_steps=100).value == pytest.approx(
        ls.bound(ls.cosine(0.1, total_steps=100)).value, rel=1e-5
    )
    np.testing.assert_allclose(ls.bound(lambda step: 0.1, total_steps=10), ls.bound([0.1] * 10), rtol=1e-6)


def test_rate_ratio_is_the_papers_example() -> None:
    # the best rates at T = 400 are .03997908 (REX) and .04956313 (linear): .81 of it
    ratio = ls.rate_ratio(ls.rex(0.1, total_steps=400), ls.linear(3.0, total_steps=400))
    assert ratio == pytest.approx(0.81, abs=0.005)
    longer = ls.rate_ratio(ls.linear(0.1, total_steps=1600), ls.linear(0.1, total_steps=400))
    assert longer == pytest.approx(0.5, abs=0.01)  # D / (G sqrt(T)) up to the last updates


@pytest.mark.parametrize(
    ("given", "words", "message"),
    [
        ([0.1, -0.1], {}, "rates must be finite and at least 0, got -0.1"),
        ([0.1, float("inf")], {}, "rates must be finite and at least 0, got inf"),
        ([0.1, float("nan")], {}, "rates must be finite and at least 0, got nan"),
        ([0.0, 0.0], {}, "rates must not all be 0, got 2 zeros"),
        ([], {}, r"one row of at least one number, got the shape \(0,\)"),
        ([[0.1]], {}, r"one row of at least one number, got the shape \(1, 1\)"),
        ("rex", {}, "a schedule must be a function of a step, or rates, got 'rex'"),
        (lambda step: 0.1, {}, "total_steps must be given for a schedule whose budget is not known"),
        ([0.1], {"total_steps": 3}, "total_steps must be left out where rates are given as an array, got 3"),
        (ls.rex(0.1, total_steps=9), {"total_steps": 3}, "total_steps must be left out for a budget that is known"),
    ],
)
def test_what_is_no_schedule_is_refused(given: object, words: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ls.bound(given, **words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"g": [1.0, 2.0]}, r"g must be one number or 3, one for each update, got the shape \(2,\)"),
        ({"g": -1.0}, "g must be finite and at least 0, got -1.0"),
        ({"d": float("nan")}, "d must be finite and at least 0, got nan"),
        ({"d": "a"}, "d must be a number, got 'a'"),
        ({"d": None}, "d must be finite and at least 0, got None"),
        ({"d": [1.0, 1.0, 1.0]}, r"d must be one number, got the shape \(3,\)"),
    ],
)
def test_constants_of_the_problem_are_checked(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ls.bound([3.0, 2.0, 1.0], **arguments)


@pytest.mark.parametrize("total_steps", [2.5, 0, True])
def test_updates_of_a_function_are_a_whole_number(total_steps: object) -> None:
    with pytest.raises(ValueError, match="total_steps must be a whole number of at least 1"):
        ls.bound(optax.constant_schedule(0.1), total_steps=total_steps)


def test_constants_and_updates_may_be_arrays_and_traced() -> None:
    rates = jnp.array([3.0, 2.0, 1.0])
    expected = float(ls.bound([3.0, 2.0, 1.0], g=[0.5, 0.5, 0.5]).value)
    for known in (rates, [3.0, 2.0, 1.0]):
        assert float(jax.jit(lambda a: ls.bound(known, g=[a, a, a]).value)(0.5)) == pytest.approx(expected)  # noqa: B023
    with pytest.raises(ValueError, match="total_steps must be a whole number of at least 1"):
        jax.jit(lambda total: ls.bound(optax.constant_schedule(0.1), total_steps=total).value)(10)
    for total in (np.array(100), jnp.int32(100)):
        assert ls.bound(optax.constant_schedule(0.1), total_steps=total) == ls.bound([np.float32(0.1)] * 100)
