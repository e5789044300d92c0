"""Words, plans and budgets: what the command line and the records speak."""

import json

import numpy as np
import pytest

import lrsched
from lrsched.schedules import language


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("rex", "rex"),
        ("rex:d=0.5", "rex"),
        ("rex:d=0.9@50-75", "rex:d=0.9@50-75"),
        ("step:fractions=0.5/0.75", "step"),
        ("step:factor=0.2,fractions=0.3/0.6", "step:fractions=0.3/0.6,factor=0.2"),
        ('{"schedule": "linear", "sampling": "10-10"}', "linear@10-10"),
        ("linear@every", "linear"),
        ("step:fractions=0.5", "step:fractions=0.5"),
        ("inverse_time:transition_steps=1", "inverse_time"),
        ("inverse_time:transition_steps=1.0", "inverse_time:transition_steps=1.0"),  # the whole budget, not a step
        ("polynomial:power=1", "polynomial"),
        ("multi_step:boundaries=0.5/1", "multi_step:boundaries=0.5/1"),
        ("exponential_decay:staircase=true", "exponential_decay:staircase=true"),
    ],
)
def test_label_is_the_shortest_words(words: str, label: str) -> None:
    assert language.label(words) == label


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("foo", "schedule must be one of constant, cosine, .* got 'foo'"),
        ("", "schedule must be one of"),
        ("rex:d", "name:argument=value"),
        ("rex:", "name:argument=value@sampling"),
        ("rex@", "name:argument=value@sampling"),
        ("linear:sampling=50-75@5-25", "sampling again"),
        ("rex:q=1", "rex takes peak_value, d, end_value, sampling, got 'q'"),
        ("rex:d=1", "d must be at least 0 and below 1, got 1"),
        ("rex:d=half", "d must be one number, got 'half'"),
        ("rex@77", "sampling must be one of"),
        ("onecycle:variant=mine", "variant must be one of smith, .* got 'mine'"),
        ("step:fractions=2", "fractions must be a fraction of the budget"),
        ("{", "schedule must be words or a JSON object: JSON must be"),
    ],
)
def test_wrong_words_are_refused_with_what_is_allowed(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        language.parse(words)


def test_plan_pairs_onecycle_with_its_momentum() -> None:
    table = lrsched.plan("onecycle:variant=rex_paper", lrsched.Budget(1, 100), peak_value=1.0).table()
    np.testing.assert_allclose(table["momentum"][[0, 50]], [0.95, 0.85])
    np.testing.assert_allclose(table["lr"][[0, 50]], [0.1, 1.0])


def test_plan_takes_momentum_as_a_number_or_words() -> None:
    where = lrsched.Budget(1, 100)
    assert lrsched.plan("rex", where, peak_value=1.0).momentum.table()[0] == 0.9
    assert lrsched.plan("rex", where, peak_value=1.0, momentum=0.5).momentum.table()[0] == 0.5
    cycled = lrsched.plan("rex", where, peak_value=1.0, momentum="onecycle:min_value=0.8")
    np.testing.assert_allclose(cycled.momentum.table()[[0, 43]], [0.95, 0.8])
    with pytest.raises(ValueError, match="momentum must be at least 0 and below 1, got 1"):
        lrsched.plan("rex", where, peak_value=1.0, momentum=1.0)


@pytest.mark.parametrize(
    "schedule",
    [
        lrsched.truncated(lrsched.rex(0.1, total_steps=100), 10),
        lrsched.product(lrsched.rex(0.1, total_steps=100), 0.5),
    ],
)
def test_plan_of_a_schedule_already_made_has_momentum_nine_tenths(schedule: lrsched.Schedule) -> None:
    plan = lrsched.plan(schedule, lrsched.Budget(10))
    np.testing.assert_allclose(plan.momentum.table(), 0.9)


def test_numpy_numbers_in_words_become_plain_ones() -> None:
    words = {"schedule": "snapshot_cosine", "cycles": np.int64(5)}
    plan = lrsched.plan(words, lrsched.Budget(10), peak_value=np.float32(0.5))
    assert json.loads(plan.words)["lr"]["cycles"] == 5
    with pytest.raises(ValueError, match="profile must be a number, a word or a list of them"):
        language.parse({"schedule": "delayed", "profile": lrsched.profiles.rex()})


def test_plan_takes_its_peak_once() -> None:
    where = lrsched.Budget(1, 100)
    assert lrsched.plan({"schedule": "rex", "peak_value": 0.8}, where).lr.table()[0] == 0.8
    for words, peak in (("rex", None), ("rex:peak_value=0.1", 0.1)):
        with pytest.raises(ValueError, match="peak_value must be given once"):
            lrsched.plan(words, where, peak_value=peak)
    with pytest.raises(ValueError, match="peak_value must be at least 0, got -0.1"):
        lrsched.plan("rex", where, peak_value=-0.1)


def test_plan_digest_tells_plans_apart() -> None:
    def digest(words: str, epochs: float = 1) -> str:
        return lrsched.plan(words, lrsched.Budget(epochs, 100), peak_value=0.1).digest()

    assert digest("rex") == digest("rex:d=0.5")
    assert len({digest("rex"), digest("rex", 2), digest("rex:d=0.9"), digest("rex@50-75")}) == 4


def test_plan_words_say_every_default() -> None:
    words = json.loads(lrsched.plan("rex", lrsched.Budget(1, 100), peak_value=0.1).words)
    assert words["lr"] == {"schedule": "rex", "peak_value": 0.1, "d": 0.5, "end_value": 0.0, "sampling": "every"}


@pytest.mark.parametrize("total_steps", [0, -1, 2**31, 1.5, True, "10"])
def test_budget_in_steps_must_be_a_whole_number_from_one(total_steps: object) -> None:
    with pytest.raises(ValueError, match="total_steps must be"):
        lrsched.rex(0.1, total_steps=total_steps)


def test_step_must_be_an_integer() -> None:
    with pytest.raises(ValueError, match="step must be an integer"):
        lrsched.rex(0.1, total_steps=10)(0.5)


@pytest.mark.parametrize("text", ['{"kind": "Nothing"}', '{"kind": "Rex"}', '{"kind": "Rex", "d": 0.5}', "3", "{"])
def test_from_json_refuses_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match="must|Expecting"):
        lrsched.from_json(text)
