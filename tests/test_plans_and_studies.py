"""What a study and a plan refuse, or record, although each of their words is right by itself."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.commands import study as studies
from lrsched.commands.study import StudyConfig
from lrsched.runs import run as runs
from lrsched.schedules import registry

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


@pytest.mark.parametrize("budget", [300, np.int64(300), ls.Budget(300)])
def test_whole_number_is_a_budget_in_updates(budget: object) -> None:
    plan = ls.plan("onecycle", budget, peak_value=0.5)
    assert (plan.total_steps, plan.budget.steps_per_epoch) == (300, 1)
    assert plan.digest() == ls.plan("onecycle", ls.Budget(300), peak_value=0.5).digest()


@pytest.mark.parametrize("budget", [0, -1, 2**31, 300.0, "300", "5%", None, True, [300], ls.Budget, 3j])
def test_what_is_no_budget_is_refused_by_the_plan(budget: object) -> None:
    with pytest.raises(ValueError, match="budget must be"):
        ls.plan("rex", budget, peak_value=0.5)


ONECYCLE = ls.onecycle(0.5, total_steps=300)


@pytest.mark.parametrize(
    "words",
    [
        ONECYCLE,
        ls.to_json(ONECYCLE),
        ls.product(ONECYCLE, 0.5),
        ls.clip(ONECYCLE, maximum=0.3),
        ls.truncated(ONECYCLE, 200),
        ls.after(ONECYCLE, 10),
        ls.sequence([ls.warmup(0.1, total_steps=10), ONECYCLE]),
        ls.from_torch("OneCycleLR", max_lr=0.1, total_steps=100),
        "warmup:5%,peak_value=0.1+onecycle:peak_value=0.1",
    ],
)
def test_onecycle_that_does_not_say_its_momentum_needs_one(words: registry.Words) -> None:
    with pytest.raises(ValueError, match="^momentum must be given with a 1cycle"):
        ls.plan(words, 310)
    assert ls.plan(words, 310, momentum=0.8).momentum.table()[0] == 0.8


def test_onecycle_already_made_takes_its_momentum_beside_it() -> None:
    by_words = ls.plan("onecycle", 300, peak_value=0.5)
    made = ls.plan(ONECYCLE, 300, momentum=ls.onecycle_momentum(total_steps=300))
    np.testing.assert_array_equal(made.momentum.table(), by_words.momentum.table())


@pytest.mark.parametrize("variant", ["geron", "keras_article", "optax_linear", "optax_cosine"])
@pytest.mark.parametrize("more", ["", ",annealing=cosine", "@50-75"])
def test_momentum_that_a_source_leaves_alone_is_exactly_constant(variant: str, more: str) -> None:
    plan = ls.plan(f"onecycle:variant={variant}{more}", 300, peak_value=0.5)
    assert set(plan.momentum.table()) == {0.9}
    assert set(np.asarray(plan.momentum(np.arange(300))).tolist()) == {float(np.float32(0.9))}


def test_momentum_between_two_equal_values_is_exactly_constant() -> None:
    for variant in ("smith", "torch"):
        made = ls.onecycle_momentum(0.95, min_value=0.95, variant=variant, total_steps=300)
        assert set(made.table()) == {0.95}


def test_plan_after_a_step_is_what_is_left_of_it() -> None:
    plan = ls.plan("onecycle", ls.Budget(3, 100), peak_value=0.5)
    left = plan.after(130)
    for name, values in left.table().items():
        if name != "step":
            np.testing.assert_array_equal(values, plan.table()[name][130:])
    assert (left.total_steps, left.budget.steps_per_epoch, left.cycle_ends) == (170, 100, (170,))
    assert left.digest() != plan.digest()
    rebuilt = registry.build(json.loads(left.words)["lr"], total_steps=170)
    np.testing.assert_array_equal(rebuilt.table(), left.lr.table())


@pytest.mark.parametrize("step", [-1, 300, 1.5, "x", None])
def test_plan_after_refuses_steps_outside_it(step: object) -> None:
    with pytest.raises(ValueError, match="step (of After )?must be"):
        ls.plan("rex", 300, peak_value=0.5).after(step)
