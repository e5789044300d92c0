"""Plans: rate and momentum bound to a budget."""

import json

import numpy as np
import pytest

import lrsched as ls
from lrsched.schedules import registry

WHERE = ls.Budget(10)
STEEP = ls.decay(0.1, profile=ls.profiles.exponential(1000), total_steps=10)


@pytest.mark.parametrize(
    ("words", "peak", "momentum", "message"),
    [
        ("exponential:gamma=1000", 0.1, None, "gamma must give rates that float32 holds, got 1000"),
        (STEEP, None, None, "rates of at least 0 that float32 holds, got 2"),
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


@pytest.mark.parametrize("budget", [300, np.int64(300), ls.Budget(300)])
def test_whole_number_is_a_budget_in_updates(budget: object) -> None:
    plan = ls.plan("onecycle", budget, peak_value=0.5)
    assert (plan.total_steps, plan.budget.steps_per_epoch) == (300, 1)
    assert plan.digest() == ls.plan("onecycle", ls.Budget(300), peak_value=0.5).digest()


@pytest.mark.parametrize("budget", [0, -1, 2**31, 300.0, "300", "5%", None, True, [300], ls.Budget, 3j])
def test_what_is_no_budget_is_refused_by_the_plan(budget: object) -> None:
    with pytest.raises(ValueError, match="budget must be"):
        ls.plan("rex", budget, peak_value=0.5)


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


def test_plan_pairs_onecycle_with_its_momentum() -> None:
    table = ls.plan("onecycle:variant=rex_paper", ls.Budget(1, 100), peak_value=1.0).table()
    np.testing.assert_allclose(table["momentum"][[0, 50]], [0.95, 0.85])
    np.testing.assert_allclose(table["lr"][[0, 50]], [0.1, 1.0])


def test_plan_takes_momentum_as_a_number_or_words() -> None:
    where = ls.Budget(1, 100)
    assert ls.plan("rex", where, peak_value=1.0).momentum.table()[0] == 0.9
    assert ls.plan("rex", where, peak_value=1.0, momentum=0.5).momentum.table()[0] == 0.5
    cycled = ls.plan("rex", where, peak_value=1.0, momentum="onecycle:min_value=0.8")
    np.testing.assert_allclose(cycled.momentum.table()[[0, 43]], [0.95, 0.8])
    with pytest.raises(ValueError, match="momentum must be at least 0 and below 1, got 1"):
        ls.plan("rex", where, peak_value=1.0, momentum=1.0)


@pytest.mark.parametrize(
    "schedule",
    [
        ls.truncated(ls.rex(0.1, total_steps=100), 10),
        ls.product(ls.rex(0.1, total_steps=100), 0.5),
    ],
)
def test_plan_of_a_schedule_already_made_has_momentum_nine_tenths(schedule: ls.Schedule) -> None:
    plan = ls.plan(schedule, ls.Budget(10))
    np.testing.assert_allclose(plan.momentum.table(), 0.9)


def test_plan_takes_its_peak_once() -> None:
    where = ls.Budget(1, 100)
    assert ls.plan({"schedule": "rex", "peak_value": 0.8}, where).lr.table()[0] == 0.8
    for words, peak in (("rex", None), ("rex:peak_value=0.1", 0.1)):
        with pytest.raises(ValueError, match="peak_value must be given once"):
            ls.plan(words, where, peak_value=peak)
    with pytest.raises(ValueError, match="peak_value must be at least 0, got -0.1"):
        ls.plan("rex", where, peak_value=-0.1)


def test_plan_digest_tells_plans_apart() -> None:
    def digest(words: str, epochs: float = 1) -> str:
        return ls.plan(words, ls.Budget(epochs, 100), peak_value=0.1).digest()

    assert digest("rex") == digest("rex:d=0.5")
    assert len({digest("rex"), digest("rex", 2), digest("rex:d=0.9"), digest("rex@50-75")}) == 4


def test_plan_words_say_every_default() -> None:
    words = json.loads(ls.plan("rex", ls.Budget(1, 100), peak_value=0.1).words)
    assert words["lr"] == {"schedule": "rex", "peak_value": 0.1, "d": 0.5, "end_value": 0.0, "sampling": "every"}
