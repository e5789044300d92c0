"""What a study and a plan refuse, or record, although each of their words is right by itself."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched import run as runs
from lrsched import study as studies
from lrsched.schedules import registry
from lrsched.study import StudyConfig

WHERE = ls.Budget(10)


def test_divergence_in_the_last_update_ends_in_a_record(tmp_path: pathlib.Path) -> None:
    config = StudyConfig(
        schedules=("constant",), budgets=("0.01ep",), seeds=1, peak_values=(1e38,), out=str(tmp_path / "out")
    )
    (record,) = runs.finish(studies.study(config)).records
    assert (record["total_steps"], record["diverged_at"], record["test_error"]) == (1, 1, None)


@pytest.mark.parametrize(
    ("words", "peak", "momentum", "message"),
    [
        ("exponential:gamma=1000", 0.1, None, "rates of at least 0 that float32 holds, got 2"),
        ("rex", 1e39, None, "peak_value must be a number that float32 holds, at most 3.4e38, got 1e.39"),
        ("rex", 0.1, "linear:peak_value=0.5,end_value=5", "momentum must be at least 0 and below 1 at every update"),
        ("rex", 0.1, np.float32(1.0), "momentum must be at least 0 and below 1"),
    ],
)
def test_plan_looks_at_its_values(words: str, peak: float, momentum: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ls.plan(words, WHERE, peak_value=peak, momentum=momentum)


def test_plan_takes_numbers_of_numpy_and_schedules() -> None:
    made = ls.truncated(ls.rex(0.1, total_steps=100), 10)
    plan = ls.plan(made, WHERE, momentum=ls.linear(0.95, total_steps=3, end_value=0.85))
    np.testing.assert_array_equal(plan.lr.table(), made.table())
    assert plan.momentum.table()[-1] == pytest.approx(0.86)
    assert ls.plan("rex", WHERE, peak_value=np.float32(0.5), momentum=np.float32(0.5)).lr.table()[0] == 0.5


def test_epochs_are_durations_and_a_sampling_rate() -> None:
    segments = [ls.warmup(0.1, total_steps=1), ls.rex(0.1, total_steps=1)]
    warm = ls.sequence(segments, durations=["2ep", "rest"], total_steps=100, steps_per_epoch=10)
    assert int(np.argmax(warm.table())) == 20
    held = ls.plan("linear@epoch", ls.Budget(3, 10), peak_value=0.3).lr.table()
    np.testing.assert_allclose(held, np.repeat([0.3, 0.2, 0.1], 10))
    with pytest.raises(ValueError, match="epochs .'5ep', with steps_per_epoch"):
        ls.sequence(segments, durations=["2ep", "rest"], total_steps=100)


@pytest.mark.parametrize("budgets", [("5%", "5.0%"), ("100%", "8ep"), ("8", "8ep")])
def test_one_budget_in_two_spellings_is_refused(budgets: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="budgets must differ from each other"):
        studies.configs(StudyConfig(budgets=budgets))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rex:d=0.5,d=0.9", "schedule arguments must be given once, got d again"),
        ('{"schedule": ["rex"]}', "schedule must be one of"),
        ("wsd:warmup=-5st", "must be at least 0, got -5|must be at least 0 and .* got -5"),
    ],
)
def test_words_that_would_be_misread_are_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        registry.parse(words)


def test_staircase_takes_true_and_false() -> None:
    for words, value in (("true", True), ("false", False)):
        assert registry.parse(f"exponential_decay:staircase={words}")["staircase"] is value


def test_at_refuses_what_a_part_cannot_do() -> None:
    inner = ls.sequence([ls.warmup(0.1, total_steps=5), ls.rex(0.1, total_steps=95)])
    for made in (inner, ls.product(inner, 1.0), ls.clip(inner, maximum=1.0)):
        with pytest.raises(ValueError, match="durations must sum to total_steps = 50, got 100"):
            made.at(50)
    with pytest.raises(ValueError, match="durations must sum to total_steps = 50, got 100"):
        ls.sequence([inner, ls.rex(0.1, total_steps=5)], durations=[50, 5])


@pytest.mark.parametrize(
    "step", [2**31, 2**40, np.int64(2**31 + 5), np.array([2**32 + 5]), jnp.uint32(2**31 + 5), np.uint64(2**63)]
)
def test_steps_beyond_int32_are_held_at_the_end(step: object) -> None:
    assert np.asarray(ls.rex(0.1, total_steps=10, end_value=0.01)(step)).ravel() == np.float32(0.01)


def test_delayed_fraction_may_be_traced() -> None:
    got = jax.jit(lambda part, t: ls.delayed(0.1, total_steps=300, fraction=part)(t))(0.5, np.arange(301))
    np.testing.assert_allclose(
        got, ls.delayed(0.1, total_steps=300, fraction=0.5)(np.arange(301)), rtol=1e-5, atol=1e-9
    )


def test_decay_takes_names_and_refuses_what_is_neither() -> None:
    by_name = ls.decay(0.1, profile="rex", sampling="50-75", total_steps=10)
    assert by_name == ls.decay(0.1, profile=ls.profiles.rex(), sampling=ls.sampling.at(0.5, 0.75), total_steps=10)
    for words in ({"profile": 5}, {"profile": "rex", "sampling": 5}, {"profile": "rex", "sampling": "77"}):
        with pytest.raises(ValueError, match="(profile|sampling) must be"):
            ls.decay(0.1, total_steps=10, **words)
