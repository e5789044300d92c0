"""A configuration is resolved once: one parse of its schedule, one plan, one optimiser."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import jax
import numpy as np
import pytest
from helpers import numbers, train
from PIL import Image

from lrsched import cli
from lrsched.runs import resume
from lrsched.runs import task as tasks
from lrsched.runs.config import RunConfig
from lrsched.runs.task import resolve
from lrsched.schedules import language, plans
from lrsched.schedules.registry import SCHEDULES
from lrsched.training import optim


@pytest.mark.slow
def test_train_parses_plans_and_makes_its_optimiser_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"parse": 0, "plan": 0, "optimizer": 0}
    parse, plan, made = language._parse, plans.plan, optim.Optimizer.__post_init__

    def parse_counted(given: Any, kind: Any) -> Any:
        counts["parse"] += kind is SCHEDULES
        return parse(given, kind)

    def plan_counted(*args: Any, **more: Any) -> Any:
        counts["plan"] += 1
        return plan(*args, **more)

    def made_counted(self: optim.Optimizer) -> None:
        counts["optimizer"] += 1
        made(self)

    monkeypatch.setattr(language, "_parse", parse_counted)
    monkeypatch.setattr(plans, "plan", plan_counted)
    monkeypatch.setattr(optim.Optimizer, "__post_init__", made_counted)
    command = ["train", "--schedule", "sgdr:first_cycle=5", "--max-epochs", "0.3", "--out", str(tmp_path)]
    assert cli.main(command) == 0
    assert counts == {"parse": 1, "plan": 1, "optimizer": 1}


def test_a_configuration_written_out_is_the_same_run() -> None:
    run = resolve(RunConfig(schedule="rex", max_epochs=0.1))
    again = resolve(run.config)
    assert again.id == run.id
    assert run.config.batch_size == 32
    assert run.config.weight_decay_mode == "coupled"
    assert run.label == "rex"


def test_data_stays_on_its_devices_for_another_recipe() -> None:
    first, second = (resolve(RunConfig(weight_decay=decay)).task for decay in (0.1, 0.2))
    assert first.train is second.train
    assert first.model == second.model


def test_a_run_of_several_devices_has_an_id_of_its_own() -> None:
    import jax

    devices = jax.local_devices()
    assert resolve(RunConfig(), devices=(devices[0],)).id != resolve(RunConfig(), devices=tuple(devices[:2])).id


@pytest.mark.slow
def test_a_run_s_numbers_do_not_depend_on_what_ran_before() -> None:
    config = RunConfig(max_epochs=0.1)
    first = train(config)
    train(RunConfig(max_epochs=0.1, schedule="linear", optimizer="adamw"))
    assert numbers(train(config)) == numbers(first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_epochs": 0.0}, "max_epochs must be above 0, got 0"),
        ({"seed": -1}, "seed must be from 0 to 2"),
        ({"weight_decay": float("nan")}, "weight_decay must be at least 0, got nan"),
        ({"batch_size": 0}, "batch_size must be from 1 to"),
        ({"image_size": 8}, "image_size must be None unless data is a folder"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.resolve(RunConfig(**changes))


def test_numbers_of_other_types_are_the_same_run() -> None:
    one, other = (
        resolve(RunConfig(**words))
        for words in (
            {"seed": 3, "batch_size": 64},
            {"seed": np.int64(3), "batch_size": np.int32(64), "holdout_fraction": 0},
        )
    )
    assert one.id == other.id
    with pytest.raises(ValueError, match=r"seed must be a whole number, got 1\.5"):
        resolve(RunConfig(seed=1.5))  # type: ignore[arg-type]


def test_runs_that_differ_in_what_a_study_tries_are_described_apart() -> None:
    tried: list[dict[str, Any]] = [
        {}, {"weight_decay": 0}, {"momentum": "0.5"}, {"weight_decay": 0, "momentum": "0.5"}, {"peak_value": 0.2}
    ]  # fmt: skip
    said = [resolve(RunConfig(**words)).describe() for words in tried]
    assert len(set(said)) == len(said)
    assert said[0] == "rex at 100%, rate 0.1, seed 0"
    assert resolve(RunConfig(budget="0.5")).describe() == "rex at 0.5 epochs, rate 0.1, seed 0"
    assert said[3] == "rex at 100%, rate 0.1, weight decay 0, momentum 0.5, seed 0"


def test_states_are_due_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    run, seconds = resolve(RunConfig()), iter((0, 89, 91, 100, 180, 181.5))
    monkeypatch.setattr(resume.time, "perf_counter", lambda: next(seconds))
    due = resume.due_every("90s", run)
    assert [due(completed) for completed in range(1, 6)] == [False, True, False, False, True]


def test_data_that_changed_are_read_again(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name, count in (("ant", 6), ("cat", 6)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    config = RunConfig(data="./photos", model="mlp", batch_size=4)
    first = resolve(config)
    assert resolve(config).task.train is first.task.train
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(tmp_path / "photos" / "cat" / "9.png")
    os.utime(tmp_path / "photos" / "cat", (2e9, 2e9))  # where times are coarse
    assert resolve(config).task.data.digest != first.task.data.digest


def test_run_is_opened_on_one_device_where_its_batch_divides_over_no_more() -> None:
    assert len(jax.local_devices()) == 4
    assert tasks.devices_to_evaluate(RunConfig(batch_size=50)) == tuple(jax.local_devices()[:1])
    assert tasks.devices_to_evaluate(RunConfig(batch_size=48)) == tuple(jax.local_devices())
