"""PyTorch's schedulers at the edges of their arguments: recorded trajectories, objects and refusals."""

import collections
import json
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import record_torch_edges as edges

import lrsched
from lrsched.schedules.interop.from_torch import OPEN

RECORDED = json.loads(edges.FILE.read_text())
Found = dict[str, Any]


def stand_in(kept: Found) -> Any:
    """An object that keeps what PyTorch's kept."""
    attributes = {key: value for key, value in kept.items() if key not in ("class", "groups")}
    if "milestones" in attributes:
        attributes["milestones"] = collections.Counter(attributes["milestones"])
    if "_schedulers" in attributes:
        attributes["_schedulers"] = [stand_in(part) for part in attributes["_schedulers"]]
    attributes["optimizer"] = types.SimpleNamespace(param_groups=kept["groups"])
    return type(kept["class"], (), attributes)()


def length(found: Found) -> Found:
    wanted = found["name"] in (*OPEN, "SequentialLR", "ChainedScheduler")
    return {"total_steps": edges.STEPS} if wanted else {}


def named(name: str, arguments: Found, total: Found) -> lrsched.Schedule:
    rate = {} if name in ("CyclicLR", "OneCycleLR") else {"lr": edges.LR}
    return lrsched.from_torch(name, **arguments, **rate, **total)


def check(schedule: lrsched.Schedule, values: list[float], about: object) -> None:
    steps = np.arange(len(values))
    np.testing.assert_allclose(schedule.table(steps), values, rtol=1e-6, atol=1e-12, err_msg=str(about))
    assert lrsched.from_json(lrsched.to_json(schedule)) == schedule


@pytest.mark.parametrize("name", sorted({found["name"] for found in RECORDED["trajectories"]}))
def test_edge_of_torch_is_ours_from_an_object(name: str) -> None:
    for found in (found for found in RECORDED["trajectories"] if found["name"] == name):
        check(lrsched.from_torch(stand_in(found["object"]), **length(found)), found["values"], found["cases"])


@pytest.mark.parametrize("name", sorted({name for name, _ in edges.SINGLE}))
def test_edge_of_torch_is_ours_from_arguments(name: str) -> None:
    for found in (found for found in RECORDED["trajectories"] if found["name"] == name):
        check(named(name, found["cases"][0][1], length(found)), found["values"], found["cases"])


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_momentum_of_an_edge_of_torch_is_ours(name: str) -> None:
    for found in (found for found in RECORDED["trajectories"] if found["name"] == name):
        for given, more in ((name, found["cases"][0][1]), (stand_in(found["object"]), {})):
            momentum = lrsched.from_torch_momentum(given, **more, **length(found))
            check(momentum, found["momentum"], found["cases"])


def test_sequential_scheduler_of_schedules_is_that_of_the_object() -> None:
    (cases, milestones), *_ = edges.SEQUENTIAL
    parts = [named(name, arguments, {}) for name, arguments in cases]
    ours = lrsched.from_torch("SequentialLR", schedulers=parts, milestones=milestones)
    found = next(found for found in RECORDED["trajectories"] if found["name"] == "SequentialLR")
    check(ours, found["values"], cases)
    assert ours.total_steps == 40


def test_sequential_scheduler_ends_when_its_last_one_does() -> None:
    found = next(found for found in RECORDED["trajectories"] if found["name"] == "SequentialLR")
    assert lrsched.from_torch(stand_in(found["object"])).total_steps == 5 + 35


def two_groups(name: str, attributes: Found, first: Found, second: Found) -> Any:
    optimizer = types.SimpleNamespace(param_groups=[first, second])
    return type(name, (), {"optimizer": optimizer, **attributes})()


CYCLIC = {"mode": "triangular", "gamma": 1.0, "total_size": 4.0, "step_ratio": 0.5, "_scale_fn_custom": None}
PHASES = {"total_steps": 10, "_schedule_phases": [{"end_step": 2.0}, {"end_step": 9}], "_anneal_func_type": "cos"}
GROUP = {"initial_lr": 0.04, "max_lr": 1.0, "min_lr": 4e-6, "base_momentum": 0.85, "max_momentum": 0.95}


@pytest.mark.parametrize(
    ("scheduler", "key"),
    [
        (two_groups("CyclicLR", {**CYCLIC, "base_lrs": [0.1, 0.1], "max_lrs": [0.1, 0.2]}, {}, {}), "max_lr"),
        (two_groups("CyclicLR", {**CYCLIC, "base_lrs": [0.1, 0.2], "max_lrs": [0.3, 0.3]}, {}, {}), "base_lr"),
        *(
            (two_groups("OneCycleLR", PHASES, GROUP, {**GROUP, key: 0.5}), key)
            for key in ("initial_lr", "max_lr", "min_lr")
        ),
        (two_groups("OneCycleLR", PHASES, GROUP, {}), "initial_lr"),
    ],
)
def test_groups_that_differ_in_a_rate_are_refused(scheduler: Any, key: str) -> None:
    with pytest.raises(ValueError, match=f"one rate for all parameter groups, got several: {key} of"):
        lrsched.from_torch(scheduler, total_steps=10)


@pytest.mark.parametrize("key", ["base_momentum", "max_momentum"])
@pytest.mark.parametrize(("name", "attributes"), [("OneCycleLR", PHASES), ("CyclicLR", CYCLIC)])
def test_groups_that_differ_in_a_momentum_are_refused(name: str, attributes: Found, key: str) -> None:
    scheduler = two_groups(name, attributes, GROUP, {**GROUP, key: 0.5})
    with pytest.raises(ValueError, match=f"got several: {key} of"):
        lrsched.from_torch_momentum(scheduler, **({} if name == "OneCycleLR" else {"total_steps": 10}))


ONECYCLE = {"max_lr": 1.0, "total_steps": 10}


@pytest.mark.parametrize("read", [lrsched.from_torch, lrsched.from_torch_momentum])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            ({"pct_start": share}, r"pct_start must be a float in \[0, 1\], got")
            for share in (1, 0, 30, -0.1, 1.5, "a")
        ),
        ({"pct_start": float("nan")}, r"pct_start must be a float in \[0, 1\], got nan"),
        ({"anneal_strategy": "cosine"}, "anneal_strategy must be one of cos, linear, got 'cosine'"),
        ({"total_steps": 10.0}, "total_steps must be an integer, got 10.0"),
        ({"total_steps": None}, "total_steps must be given, or epochs and steps_per_epoch"),
        ({"three_phase": "yes"}, "three_phase must be true or false, got 'yes'"),
        ({"last_epoch": 3}, "last_epoch must be -1"),
    ],
)
def test_onecycle_that_torch_refuses_is_refused(
    read: Callable[..., lrsched.Schedule], arguments: Found, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read("OneCycleLR", **{**ONECYCLE, **arguments})


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("CosineAnnealingWarmRestarts", {"T_0": 1.0}, "T_0 must be an integer, got 1.0"),
        ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2.0}, "T_mult must be an integer, got 2.0"),
        ("MultiStepLR", {"milestones": [0.5, 0.75]}, "milestones must be a whole number of steps, got 0.5"),
        ("MultiStepLR", {"milestones": ["10%"]}, "milestones must be a number of steps, got '10%'"),
        ("MultiStepLR", {"milestones": "5ep"}, "milestones must be a list, got '5ep'"),
        ("StepLR", {"step_size": "10%"}, "step_size must be a number of steps, got '10%'"),
        ("StepLR", {"step_size": True}, "step_size must be a number of steps, got True"),
        ("StepLR", {"step_size": 3, "gamma": 0}, "gamma must be above 0, got 0"),
        ("ExponentialLR", {"gamma": 1e30}, r"gamma must give rates that float32 holds, got 1e\+30"),
        ("LinearLR", {"start_factor": 0.0}, "start_factor must be above 0 and at most 1, got 0.0"),
    ],
)
def test_argument_of_torch_is_refused_under_its_own_name(name: str, arguments: Found, message: str) -> None:
    total = {"total_steps": 20} if name in OPEN else {}
    with pytest.raises(ValueError, match=message):
        lrsched.from_torch(name, lr=0.1, **arguments, **total)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"milestones": [5, 3]}, "milestones must ascend, got 5, 3"),
        ({"milestones": [0.5, 3]}, "milestones must be a whole number of steps, got 0.5"),
        ({"milestones": [3]}, r"schedulers must be one more than milestones \(2\), got 3"),
        ({"schedulers": ["StepLR"] * 3}, "schedulers must be schedules of this library, got 'StepLR'"),
    ],
)
def test_sequential_scheduler_that_is_none_is_refused(arguments: Found, message: str) -> None:
    parts = {"schedulers": [lrsched.constant(0.1, total_steps=9)] * 3, "milestones": [3, 5]}
    with pytest.raises(ValueError, match=message):
        lrsched.from_torch("SequentialLR", **{**parts, **arguments})


def test_chain_of_what_does_not_multiply_is_refused() -> None:
    found = next(found for found in RECORDED["trajectories"] if found["name"] == "ChainedScheduler")
    kept = {**found["object"]}
    kept["_schedulers"] = [{**kept["_schedulers"][0], "class": "CosineAnnealingLR", "T_max": 9, "eta_min": 0.1}]
    with pytest.raises(ValueError, match="ChainedScheduler must be of ConstantLR, .* got CosineAnnealingLR"):
        lrsched.from_torch(stand_in(kept))
