"""PyTorch's schedulers, timm's, Hugging Face's, fastai's and fvcore's: recorded trajectories against ours.

`record.py` wrote trajectories.json from the real packages; where torch is importable it is compared live as well. For
PyTorch the counterpart is `from_torch`; for the others `family.py` is the translation.
"""

import collections
import importlib.util
import types
from typing import Any

import numpy as np
import pytest
import record
from family import RECORDED, TRANSLATE, Arguments

import lrsched

#: The class's own length is not the budget: from_torch wants total_steps.
OPEN = ("CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "MultiStepLR", "StepLR")


def end(found: record.Record) -> int:
    """The first step that is not compared: these cosines rise again after their end."""
    name, arguments = found["name"], found["arguments"]
    if name == "CosineAnnealingLR":
        return int(arguments["T_max"]) + 1
    if name in ("cosine", "cosine_with_min_lr", "cosine_warmup_with_min_lr"):
        return int(arguments["num_training_steps"]) + (name != "cosine_warmup_with_min_lr")
    return len(found["values"])


def check(found: record.Record) -> None:
    """Equality at every step to 1e-6 relative; fastai's to 1e-6 of the peak, for it computes in float32."""
    library, name, arguments, values = (found[key] for key in ("library", "name", "arguments", "values"))
    steps = len(values)
    if library == "torch":
        length = {"total_steps": steps} if name in OPEN else {}
        rate = {} if name in ("CyclicLR", "OneCycleLR") else {"lr": found["lr"]}
        ours = lrsched.from_torch(name, **arguments, **length, **rate)
        if "momentum" in found:
            momentum = lrsched.from_torch_momentum(name, **arguments, **length).table(np.arange(steps))
            np.testing.assert_allclose(momentum, found["momentum"], rtol=1e-6)
    else:
        ours = TRANSLATE[library](name, found["lr"], arguments, steps)
    compared = end(found)
    np.testing.assert_allclose(
        ours.table(np.arange(compared)),
        values[:compared],
        rtol=1e-6,
        atol=(1e-6 if library == "fastai" else 1e-12) * found["lr"],
        err_msg=f"{name} {arguments}",
    )


NAMES = sorted({(found["library"], found["name"]) for found in RECORDED["trajectories"]})


@pytest.mark.parametrize(("library", "name"), NAMES)
def test_recorded_trajectory_is_ours(library: str, name: str) -> None:
    mine = [found for found in RECORDED["trajectories"] if (found["library"], found["name"]) == (library, name)]
    assert len(mine) >= 7
    for found in mine:
        check(found)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_live_torch_is_ours_for_other_arguments() -> None:
    for found in record.records("torch", seed=1):
        check(found)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_live_scheduler_object_is_read() -> None:
    schedulers = record.module("torch.optim.lr_scheduler")
    for found in record.records("torch", seed=2, draws=2):
        name, arguments, steps = found["name"], found["arguments"], np.arange(end(found))
        scheduler = getattr(schedulers, name)(record.sgd(found["lr"]), **arguments)
        length = {"total_steps": len(found["values"])} if name in OPEN else {}
        values = lrsched.from_torch(scheduler, **length).table(steps)
        np.testing.assert_allclose(values, found["values"][: len(steps)], rtol=1e-6, atol=1e-12 * found["lr"])
        if "momentum" in found:
            momentum = lrsched.from_torch_momentum(scheduler, **length).table(steps)
            np.testing.assert_allclose(momentum, found["momentum"], rtol=1e-6)


def stand_in(name: str, *, groups: int = 1, group: Arguments | None = None, **attributes: Any) -> Any:
    """What from_torch sees of a scheduler, for machines without torch."""
    optimizer = types.SimpleNamespace(param_groups=[{"initial_lr": 0.1, **(group or {})} for _ in range(groups)])
    return type(name, (), {"optimizer": optimizer, **attributes})()


def test_scheduler_object_equals_its_arguments() -> None:
    step = stand_in("StepLR", step_size=30, gamma=0.5)
    assert lrsched.from_torch(step, total_steps=90) == lrsched.from_torch(
        "StepLR", lr=0.1, step_size=30, gamma=0.5, total_steps=90
    )
    milestones = stand_in("MultiStepLR", milestones=collections.Counter([5, 9, 9]), gamma=0.1)
    assert lrsched.from_torch(milestones, total_steps=20) == lrsched.from_torch(
        "MultiStepLR", lr=0.1, milestones=[5, 9, 9], total_steps=20
    )


def test_scheduler_object_with_several_rates_is_refused() -> None:
    scheduler = stand_in("StepLR", groups=2, step_size=30, gamma=0.5)
    scheduler.optimizer.param_groups[1]["initial_lr"] = 1.0
    with pytest.raises(ValueError, match="one rate for all parameter groups"):
        lrsched.from_torch(scheduler, total_steps=90)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("LambdaLR", {}, "must be one of ConstantLR, .*, got 'LambdaLR'"),
        (3, {}, "scheduler must be one of ConstantLR, .*, got int"),
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 9, "div_factor": 0}, "div_factor must be above 0, got 0"),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 0, "total_steps": 9}, "max_lr must be above 0, got 0"),
        ("StepLR", {"lr": 0.1, "step_size": 30}, "StepLR: .*total_steps"),
        ("StepLR", {"lr": 0.1, "step_size": 30, "total_steps": 9, "gama": 1}, "StepLR: .*'gama'"),
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 9, "pct": 0.3}, "OneCycleLR: .*'pct'"),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_down": 3, "total_steps": 9}, "step_size_down must be"),
    ],
)
def test_scheduler_without_a_counterpart_is_refused(name: str, arguments: Arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrsched.from_torch(name, **arguments)


@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
def test_momentum_that_is_left_alone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"cycle_momentum must be true: without it {name}"):
        lrsched.from_torch_momentum(name, cycle_momentum=False, max_lr=0.1, total_steps=9)
