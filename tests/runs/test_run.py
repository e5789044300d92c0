"""The rates that training applies are those of the schedule's float64 table, on one device and on two."""

import dataclasses
import json
import math
from typing import Any

import helpers
import jax
import numpy as np
import optax
import pytest

from lrsched import plan as make_plan
from lrsched.runs import identity, resume
from lrsched.runs import run as runs
from lrsched.runs.config import RunConfig
from lrsched.runs.report import describe
from lrsched.runs.task import resolve
from lrsched.schedules import registry
from lrsched.schedules.durations import Budget
from lrsched.training import nets, optim, train

STEM = nets.ResNet(blocks=0, classes=2)  # the smallest network there is: the rates are what is looked at
LENGTHS = (1, 2, 3, 10, 100)


@pytest.mark.parametrize("total_steps", [1173, 10_000])
@pytest.mark.parametrize("words", registry.SCHEDULES)
def test_rates_of_a_long_run_equal_the_table(words: str, total_steps: int) -> None:
    follow = make_plan(words, Budget(total_steps), peak_value=0.1)
    values = runs.values(follow.lr, total_steps)  # in blocks of 4,096
    np.testing.assert_allclose(values, follow.lr.table(), rtol=1e-6, atol=1e-9 * 0.1)


def half(peak_value: Any, *, total_steps: int) -> Any:
    return optax.piecewise_constant_schedule(peak_value, {int(0.5 * total_steps): 0.5})  # needs to know its budget


@pytest.mark.parametrize("words", [f"{__name__}.half", f"warmup:320ex+{__name__}.half"])
def test_rates_of_a_foreign_schedule_equal_the_table(words: str) -> None:
    follow = make_plan(words, Budget(100), peak_value=0.1, batch_size=32)
    np.testing.assert_allclose(runs.values(follow.lr, 100), follow.lr.table(), rtol=1e-6)


@pytest.mark.parametrize("words", registry.SCHEDULES)
def test_rates_of_a_short_run_equal_the_table(words: str) -> None:
    for total_steps in LENGTHS:
        plan = make_plan(words, Budget(total_steps), peak_value=0.1)
        for follow in (plan.lr, plan.momentum):
            np.testing.assert_allclose(runs.values(follow, total_steps), follow.table(), rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("words", ["onecycle", "step"])
def test_applied_rates_equal_the_table(words: str, devices: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 1), dtype=np.uint8)
    data = train.put(
        images, np.array([0, 1, 0, 1], np.int32), mean=[0.5], std=[0.25], devices=jax.local_devices()[:devices]
    )
    optimizer = optim.Optimizer()
    state = train.initial_state(STEM, optimizer, image_shape=(4, 4, 1), seed=0)
    for total_steps in LENGTHS:
        plan = make_plan(words, Budget(total_steps), peak_value=0.1)
        steps = train.updates(
            state,
            model=STEM,
            optimizer=optimizer,
            data=data,
            batch_size=4,
            seed=0,
            rates=runs.values(plan.lr, total_steps),
            momenta=runs.values(plan.momentum, total_steps),
            weight_decay=0.0,
            pad=0,
            flip=False,
        )
        applied = jax.device_get([metrics for _, metrics in steps])
        table = plan.table()
        assert len(applied) == total_steps
        np.testing.assert_allclose([m.rate for m in applied], table["lr"], rtol=1e-6, atol=1e-9 * 0.1)
        np.testing.assert_allclose([m.momentum for m in applied], table["momentum"], rtol=1e-6, atol=1e-9)


def test_evaluations_on_the_way_change_no_number_of_a_run() -> None:
    config = RunConfig(max_epochs=1.0, batch_size=128)
    plain = helpers.train(config)
    record = helpers.train(dataclasses.replace(config, evaluate_every="5"))
    evaluations = record.pop("evaluations")
    assert helpers.numbers(record) == helpers.numbers(plain)
    assert evaluations["split"] == "test"
    assert evaluations["steps"] == [5, 10, plain["total_steps"]]
    assert evaluations["errors"][-1] == record["test_error"]
    assert evaluations["losses"][-1] == record["test_loss"]


def test_evaluations_are_of_held_out_data_where_there_is_any() -> None:
    config = RunConfig(max_epochs=0.5, holdout_fraction=0.1, evaluate_every="0.25ep")
    record = helpers.train(config)
    assert record["evaluations"]["split"] == "holdout"
    assert record["evaluations"]["errors"][-1] == record["holdout_error"]


def test_run_whose_updates_were_all_made_before_has_no_speed() -> None:
    run = resolve(RunConfig(model="mlp", budget="5st"))
    *events, record = runs.train(run, stops=lambda _: False)
    (point,) = [each for each in events if isinstance(each, runs.Point)]
    *_, again = runs.train(run, start=point, stops=lambda _: False)
    assert again["images_per_second"] is None
    assert record["images_per_second"] > 0
    assert helpers.numbers(again) == helpers.numbers(record)
    assert "images/s" in describe(record)
    assert "images/s" not in describe(again)


def test_code_is_among_what_may_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    old = identity.circumstances() | {"code": "a" * 40}
    monkeypatch.setattr("lrsched.training.provenance.code", lambda: "b" * 40)
    assert identity.find_changes(old, identity.circumstances()) == [f"code {'a' * 40} -> {'b' * 40}"]
    del old["code"]
    assert identity.find_changes(old, identity.circumstances()) == []


def test_evaluations_are_kept_beside_a_state() -> None:
    log = runs.Log(completed=5).evaluated(0.5, math.inf)
    assert log.evaluations == ((5, 0.5, None),)
    assert resume.log_of({"log": json.loads(json.dumps(log._asdict()))}) == log
