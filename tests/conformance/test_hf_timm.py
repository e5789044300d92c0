"""`from_hf` and `from_timm` against what transformers (in three releases) and timm returned; and what they refuse."""

import json
import math
from typing import Any

import numpy as np
import pytest
import record
import record_hf_timm
from family import RECORDED, Arguments

import lrsched

FOUND = json.loads(record_hf_timm.FILE.read_text())
COSINES = ("cosine", "cosine_with_min_lr")  # of transformers: after their end they rise again
OPEN = ("MultiStepLRScheduler", "StepLRScheduler")


def ours(found: record.Record, steps: int) -> lrsched.Schedule:
    """The importer's schedule; the first recording of timm is of update steps, which it does not say."""
    name, arguments, lr = found["name"], dict(found["arguments"]), found["lr"]
    if found["library"] == "transformers":
        if name == "inverse_sqrt" and "version" not in found:  # recorded beyond its length, which it does not know
            arguments["num_training_steps"] = steps
        return lrsched.from_hf(name, lr=lr, version=found.get("version", "5"), **arguments)
    if name in OPEN:
        arguments["total_steps"] = steps
    return lrsched.from_timm(name, lr=lr, **{"t_in_epochs": False} | arguments if "version" not in found else arguments)


def worst(found: record.Record) -> float:
    """The largest difference over the peak, of which 1e-6 relative is asked too."""
    values = found["values"]
    if "version" not in found and found["library"] == "transformers" and found["name"].startswith("cosine"):
        total = found["arguments"]["num_training_steps"]
        values = values[: total + (found["name"] in COSINES)] if found["name"] != "cosine_with_restarts" else values
    table = ours(found, len(found["values"])).table(np.arange(len(values)))
    return float(np.max(np.abs(table - values) / np.maximum(np.abs(values), 1e-6 * found["lr"])))


def named(library: str, version: str | None) -> list[record.Record]:
    return [
        each for each in FOUND if (each["library"], each["version"]) == (library, version) and each["name"] != "warmup"
    ]


@pytest.mark.parametrize(
    ("library", "version"),
    [("transformers", "4.48.3"), ("transformers", "4.57.6"), ("transformers", "5.24.0"), ("timm", "1.0.31")],
)
def test_recorded_trajectory_of_transformers_and_timm_is_ours_by_their_arguments(library: str, version: str) -> None:
    mine = named(library, version)
    assert len(mine) >= 50
    wrong = {f"{each['name']} {each['arguments']}": worst(each) for each in mine}
    assert {words: far for words, far in wrong.items() if far > 1e-6} == {}


@pytest.mark.parametrize("library", ["transformers", "timm"])
def test_first_recording_is_ours_by_the_importers_too(library: str) -> None:
    mine = [each for each in RECORDED["trajectories"] if each["library"] == library]
    wrong = {f"{each['name']} {each['arguments']}": worst(each) for each in mine}
    assert {words: far for words, far in wrong.items() if far > 1e-6} == {}


def test_warmup_steps_below_one_is_a_ratio_since_transformers_5() -> None:
    mine = [each for each in FOUND if each["name"] == "warmup"]
    assert {each["version"][0] for each in mine} == {"4", "5"}
    for each in mine:
        words = dict(each["arguments"])
        total, (steps,) = words.pop("total"), each["values"]
        words = {"lr": 1.0, "num_training_steps": total, "version": each["version"], **words}
        if steps < total:
            rising = lrsched.from_hf("constant_with_warmup", **words).table() < 1.0
            assert rising.sum() == steps, each
        else:
            with pytest.raises(ValueError, match=f"must be above num_warmup_steps = {steps:g}, got {total}"):
                lrsched.from_hf("constant_with_warmup", **words)


def test_warmup_ratio_of_seven_percent_is_rounded_up_by_a_float() -> None:
    # 0.07 * 100 is 7.000000000000001 in float64, and transformers takes the next whole number
    theirs = lrsched.from_hf("linear", lr=1.0, warmup_ratio=0.07, num_training_steps=100, version="4")
    assert math.ceil(100 * 0.07) == 8 == theirs.table().argmax()
    assert lrsched.wsd(1.0, total_steps=100, warmup="7%", cooldown="93%", shape="linear").table().argmax() == 7


def test_stable_part_of_transformers_is_worked_out_unless_given() -> None:
    words = {"num_decay_steps": 20, "decay_type": "linear"}
    given = {"lr": 1.0, "num_warmup_steps": 10, "num_training_steps": 100}
    rest = lrsched.from_hf("warmup_stable_decay", scheduler_specific_kwargs=words, **given)
    assert rest == lrsched.from_hf(
        "warmup_stable_decay", scheduler_specific_kwargs={**words, "num_stable_steps": 70}, **given
    )
    before = {"scheduler_specific_kwargs": {"num_decay_steps": 20}, "version": "4.48"}  # where it had to be given
    with pytest.raises(ValueError, match="warmup_stable_decay: .*num_stable_steps"):
        lrsched.from_hf("warmup_stable_decay", **before, **given)


def test_fractional_decay_of_timm_steps_late_by_a_float() -> None:
    # 11 // 1.1 is 9.0 in float64: timm's tenth step comes at 12; of 1.1 as a decimal it is at 11
    schedule = lrsched.from_timm(
        "StepLRScheduler", lr=1.0, decay_t=1.1, decay_rate=0.5, total_steps=20, t_in_epochs=False
    )
    assert 11 // 1.1 == 9.0
    assert schedule.table()[11] == pytest.approx(0.5**10)


def test_scheduler_of_timm_by_epoch_holds_its_rate_for_the_updates_of_one() -> None:
    by_epoch = lrsched.from_timm("cosine", lr=1.0, num_epochs=5, updates_per_epoch=4)
    table = by_epoch.table()
    assert (len(table), len(set(table))) == (20, 5)
    assert np.all(np.diff(table.reshape(5, 4), axis=1) == 0)
    assert lrsched.from_json(lrsched.to_json(by_epoch)) == by_epoch


HF_REFUSED: list[tuple[str, Arguments, str]] = [
    ("lineer", {}, "transformers schedule must be one of constant, .*, got 'lineer'"),
    ("reduce_lr_on_plateau", {}, "got 'reduce_lr_on_plateau': see lrsched.plateau"),
    ("greedy", {}, "must be a function of the step, got 'greedy'"),
    ("linear", {"num_training_steps": None}, "num_training_steps must be given for linear"),
    ("linear", {"num_warmup_steps": 100}, "num_training_steps must be above num_warmup_steps = 100, got 100"),
    ("linear", {"scheduler_specific_kwargs": [3, 1]}, "scheduler_specific_kwargs must map names to values"),
    ("linear", {"num_warmup_steps": 0.5}, "num_warmup_steps must be a whole number"),
    ("linear", {"num_warmup_steps": 1, "warmup_steps": 1}, "num_warmup_steps must be given alone"),
    ("linear", {"warmup_steps": 0.5, "version": "4.57"}, "warmup_steps must be a whole number"),
    ("linear", {"warmup_ratio": 1.5, "version": "4.57"}, "warmup_ratio must be at least 0 and at most 1, got 1.5"),
    ("linear", {"version": "3"}, "version must be one of transformers 4 or 5"),
    ("linear", {"scheduler_specific_kwargs": {"power": 2}}, "linear: .*'power'"),
    ("linear", {"scheduler_specific_kwargs": {"total": 2}}, "linear: .*'total'"),
    ("cosine", {"scheduler_specific_kwargs": {"num_cycles": 1.5}}, "num_cycles must be 0.5"),
    ("cosine_with_min_lr", {}, "one of min_lr and min_lr_rate must be given"),
    ("polynomial", {"scheduler_specific_kwargs": {"lr_end": 1.0}}, "lr_end must be below lr = 0.1, got 1.0"),
    (
        "warmup_stable_decay",
        {"num_warmup_steps": 60, "scheduler_specific_kwargs": {"num_decay_steps": 50}},
        "num_training_steps must hold num_warmup_steps = 60 and num_decay_steps = 50, got 100",
    ),
    (
        "warmup_stable_decay",
        {"scheduler_specific_kwargs": {"num_decay_steps": 5, "decay_type": "sqrt"}},
        "decay_type must be one of linear, cosine, 1-sqrt, got 'sqrt'",
    ),
]
TIMM_REFUSED: list[tuple[str, Arguments, str]] = [
    ("CosineLR", {}, "timm schedule must be one of CosineLRScheduler, .*, got 'CosineLR'"),
    ("plateau", {}, "got 'plateau': see lrsched.plateau"),
    ("cosine", {}, "updates_per_epoch must be given"),
    ("cosine", {"updates_per_epoch": 4, "t_initial": 5}, "cosine: .*'t_initial'"),
    ("cosine", {"updates_per_epoch": 4, "noise": [0.4, 0.9]}, "noise must be None"),
    ("CosineLRScheduler", {"t_initial": 9, "t_in_epochs": False, "k_decay": 2.0}, "k_decay must be 1.0"),
    ("CosineLRScheduler", {"t_initial": 9, "t_in_epochs": False, "cycle_mul": 1.5}, "cycle_mul must be a whole number"),
    ("CosineLRScheduler", {"t_initial": 9, "t_in_epochs": False, "warmup": 1}, "CosineLRScheduler: .*'warmup'"),
    ("CosineLRScheduler", {"t_initial": 9, "t_in_epochs": False, "warmup_t": 9}, "warmup_t must be below the 9 steps"),
    ("StepLRScheduler", {"decay_t": 9, "t_in_epochs": False}, "StepLRScheduler: .*total_steps"),
    ("MultiStepLRScheduler", {"decay_t": [9, 3], "t_in_epochs": False, "total_steps": 9}, "decay_t must ascend"),
    ("WSDLRScheduler", {"t_initial": 9, "decay_t": 10, "t_in_epochs": False}, "decay_t must be at most t_initial = 9"),
    ("WSDLRScheduler", {"t_initial": 9, "decay_t": 3, "decay_fn": "root", "t_in_epochs": False}, "decay_fn must be"),
]  # fmt: skip


def test_argument_of_transformers_is_refused_under_its_own_name() -> None:
    given = {"lr": 0.1, "num_training_steps": 100}
    for name, arguments, message in HF_REFUSED:
        with pytest.raises(ValueError, match=message) as refusal:
            lrsched.from_hf(name, **{**given, **arguments})
        assert "\n" not in str(refusal.value)


def test_argument_of_timm_is_refused_under_its_own_name() -> None:
    for name, arguments, message in TIMM_REFUSED:
        with pytest.raises(ValueError, match=message) as refusal:
            lrsched.from_timm(name, lr=0.1, **arguments)
        assert "\n" not in str(refusal.value)


def test_tiny_budgets_of_transformers_are_legal() -> None:
    for name in ("linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt", "constant"):
        for total in (1, 2, 3):
            table = lrsched.from_hf(name, lr=0.1, num_training_steps=total, num_warmup_steps=0).table()
            assert (len(table), table[0]) == (total, 0.1)
    words: dict[str, Any] = {"scheduler_specific_kwargs": {"num_decay_steps": 1, "decay_type": "linear"}}
    assert lrsched.from_hf("warmup_stable_decay", lr=0.1, num_training_steps=1, **words).table().tolist() == [0.1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("StepLRScheduler", {"decay_t": 30, "decay_rate": 0.1, "warmup_t": 5}),
        ("MultiStepLRScheduler", {"decay_t": [30, 60], "decay_rate": 0.1, "warmup_t": 5}),
    ],
)
def test_schedulers_by_the_epoch_are_plans_of_their_own_budget(name: str, words: dict[str, Any]) -> None:
    made = lrsched.from_timm(name, lr=0.1, total_steps=9000, updates_per_epoch=100, **words)
    np.testing.assert_array_equal(lrsched.plan(made, 9000).lr.table(), made.table())
    assert made.at(9000).table()[4000] == made.table()[4000]


@pytest.mark.parametrize("warm", [0, 1, 10])
@pytest.mark.parametrize("more", [{}, {"warmup_lr_rate": 0.1}])
def test_cosine_an_update_ahead_has_the_budget_that_it_was_given(warm: int, more: dict[str, float]) -> None:
    words = {"min_lr_rate": 0.1, **more}
    made = lrsched.from_hf(
        "cosine_warmup_with_min_lr", lr=1.0, num_warmup_steps=warm, num_training_steps=100,
        scheduler_specific_kwargs=words,
    )  # fmt: skip
    assert made.total_steps == len(made.table()) == 100
    assert made.table()[99] == pytest.approx(0.1)
    for total in (50, 300):  # another budget
        moved = lrsched.plan(made, total).lr.table()
        assert moved[-1] == pytest.approx(0.1)
        assert moved[total // 2] > 0.3
    np.testing.assert_array_equal(lrsched.plan(made, 100).lr.table(), made.table())


def test_timescale_is_read_by_the_releases_that_read_it() -> None:
    words = {"lr": 1.0, "num_warmup_steps": 10, "num_training_steps": 200}
    more = {"scheduler_specific_kwargs": {"timescale": 70}}
    plain = lrsched.from_hf("inverse_sqrt", **words)
    for version in ("4.48", "4.57", "5.0", "5.3"):
        assert lrsched.from_hf("inverse_sqrt", **words, **more, version=version) == plain
    for version in ("5.4", "5.24", "5"):
        assert lrsched.from_hf("inverse_sqrt", **words, **more, version=version)(40) == pytest.approx(
            (1 + 30 / 70) ** -0.5
        )
    assert plain(40) == pytest.approx(0.5)
