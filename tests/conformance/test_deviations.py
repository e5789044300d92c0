"""Where a library leaves its paper, its documentation or its siblings: the table of the README beside this file."""

import pathlib
import re

import jax
import numpy as np
import optax
import pytest
from family import RECORDED, from_fastai, recorded

import lrsched
from lrsched import profiles


@pytest.mark.parametrize(("library", "name"), [("torch", "CosineAnnealingLR"), ("transformers", "cosine")])
def test_cosine_of_theirs_rises_again_after_its_end(library: str, name: str) -> None:
    values = recorded(library, name)["values"]
    assert values[-1] > values[-10]


def test_onecycle_of_torch_peaks_a_step_early() -> None:
    torch = lrsched.from_torch("OneCycleLR", max_lr=1.0, total_steps=100)
    optax = lrsched.from_optax("cosine_onecycle_schedule", peak_value=1.0, transition_steps=100)
    assert (int(torch.table().argmax()), int(optax.table().argmax())) == (29, 30)


def test_exponential_range_of_torch_keeps_its_lower_bound() -> None:
    found = next(f for f in RECORDED["trajectories"] if f["arguments"].get("mode") == "exp_range")
    a, steps = found["arguments"], len(found["values"])
    assert min(found["values"]) >= a["base_lr"] * (1 - 1e-9)
    paper = lrsched.clr(
        a["max_lr"],
        total_steps=steps,
        mode="exp_range_text",
        initial_fraction=a["base_lr"] / a["max_lr"],
        half_cycle=a["step_size_up"],
        gamma=a["gamma"],
    )
    assert paper.table().min() < a["base_lr"]


def test_milestone_of_timm_comes_a_step_early() -> None:
    found = recorded("timm", "MultiStepLRScheduler")
    jumps = [step for step in range(1, 120) if found["values"][step] < found["values"][step - 1]]
    warmup, places = found["arguments"]["warmup_t"], found["arguments"]["decay_t"]
    assert jumps == [warmup + place - 1 for place in places]


def test_tanh_of_timm_jumps_to_its_floor() -> None:
    found = recorded("timm", "TanhLRScheduler")
    after = found["arguments"]["warmup_t"] + found["arguments"]["t_initial"]
    assert found["values"][after] == found["arguments"]["lr_min"]
    fall = lrsched.decay(found["lr"], profile=profiles.tanh(-7.0, 3.0), total_steps=10)
    assert fall(10) > 0.002 * found["lr"]  # (1 - tanh 3) / 2


def test_restart_of_timm_is_missed_by_a_logarithm() -> None:
    (found,) = RECORDED["deviations"]
    ours = lrsched.sgdr(1.0, total_steps=130, first_cycle=1, cycle_mult=3).table()
    wrong = np.flatnonzero(~np.isclose(found["values"], ours))
    assert wrong.tolist() == [121]  # 1 + 3 + 9 + 27 + 81, where log(243, 3) is 4.999...
    assert (found["values"][121], ours[121]) == (0.0, 1.0)


def test_first_update_after_a_warmup_from_zero_is_lost() -> None:
    assert recorded("transformers", "linear")["values"][0] == 0
    assert recorded("transformers", "cosine_warmup_with_min_lr")["values"][0] > 0  # this one is an update ahead


def test_fastai_computes_in_float32() -> None:
    mine = [found for found in RECORDED["trajectories"] if found["library"] == "fastai"]
    ours = [from_fastai("", f["lr"], f["arguments"], len(f["values"])).table() for f in mine]
    worst = max(np.max(np.abs(values / f["values"] - 1)) for values, f in zip(ours, mine, strict=True))
    assert 1e-6 < worst < 0.1


def test_fractional_power_of_optax_is_nan_after_its_end_under_jit() -> None:
    theirs = optax.polynomial_schedule(0.5, 0.1, power=0.5, transition_steps=10)  # 1 - 10 * float32(1 / 10) < 0
    ours = lrsched.from_optax("polynomial_schedule", init_value=0.5, end_value=0.1, power=0.5, transition_steps=10)
    assert np.isnan(jax.jit(theirs)(10))
    assert jax.jit(ours)(10) == np.float32(0.1)


def test_last_step_of_optax_has_lost_its_precision() -> None:
    with jax.numpy_dtype_promotion("standard"):
        theirs = float(optax.linear_schedule(1.0, 0.0, 100_000)(99_999))
    assert abs(theirs / 1e-5 - 1) > 1e-3
    assert abs(float(lrsched.linear(1.0, total_steps=100_000)(99_999)) / 1e-5 - 1) < 1e-6


@pytest.mark.slow
def test_onecycle_of_optax_drops_phases_of_a_tiny_budget() -> None:
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        first = [float(optax.linear_onecycle_schedule(total, 1.0)(0)) for total in (1, 10)]
    assert first == pytest.approx([1 / 625, 1 / 25])  # its boundaries are keys of a dict: equal ones are lost
    words = {"transition_steps": 1, "peak_value": 1.0}
    assert lrsched.from_optax("linear_onecycle_schedule", **words)(0) == pytest.approx(1 / 625)
    assert lrsched.onecycle(1.0, total_steps=1, variant="optax_linear")(0) == pytest.approx(1 / 25)


def test_onecycle_of_torch_divides_by_zero_where_its_peak_is_the_first_update() -> None:
    # pct_start * total_steps = 1: PyTorch's first phase ends at update 0, and its length is 0
    ours = lrsched.from_torch("OneCycleLR", max_lr=1.0, total_steps=10, pct_start=0.1)
    assert ours.table()[0] == 1.0


def test_onecycle_of_optax_loses_a_step_to_a_float() -> None:
    by_steps = lrsched.from_optax("cosine_onecycle_schedule", transition_steps=100, peak_value=1.0, pct_start=0.29)
    by_fraction = lrsched.onecycle(1.0, total_steps=100, variant="optax_cosine", peak_position=0.29)
    assert (int(by_steps.table().argmax()), int(by_fraction.table().argmax())) == (28, 29)  # int(0.29 * 100) is 28


def test_decay_steps_of_optax_hold_the_warmup_and_those_of_keras_do_not() -> None:
    words = {"decay_steps": 100, "warmup_steps": 10}
    optax_ = lrsched.from_optax("warmup_cosine_decay_schedule", init_value=0.0, peak_value=1.0, **words)
    keras = lrsched.from_keras("CosineDecay", initial_learning_rate=0.0, warmup_target=1.0, **words)
    assert (optax_.total_steps, keras.total_steps) == (100, 110)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("cosine_decay_schedule", {"init_value": 1.0, "decay_steps": 9, "exponent": 2.0}, "exponent must be 1.0"),
        ("cosine_decay", {}, "Optax schedule must be one of .*, got 'cosine_decay'"),
        ("linear_schedule", {"init_value": 1.0}, "linear_schedule: .*end_value"),
        (["x"], {}, r"Optax schedule must be one of .*, got \['x'\]"),
        (
            "join_schedules",
            {"schedules": [], "boundaries": []},
            r"schedules must be one more than boundaries \(1\), got 0",
        ),
        ("join_schedules", {"schedules": [1, 2, 3], "boundaries": [9]}, r"one more than boundaries \(2\), got 3"),
        (
            "cosine_onecycle_schedule",
            {"transition_steps": 9, "peak_value": 1.0, "div_factor": 0},
            "div_factor must be above 0, got 0",
        ),
        (
            "linear_onecycle_schedule",
            {"transition_steps": 9, "peak_value": 1.0, "final_div_factor": 0},
            "final_div_factor must be above 0, got 0",
        ),
    ],
)
def test_argument_of_optax_without_a_counterpart_is_refused(name: str, words: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrsched.from_optax(name, **words)


def test_every_deviation_of_the_page_has_its_test() -> None:
    folder = pathlib.Path(__file__).parent
    page, tests = (folder / "README.md").read_text(), "".join(file.read_text() for file in folder.glob("test_*.py"))
    named = re.findall(r"\| `(test_\w+)` \|", page)
    assert named
    assert len(named) == page.count("| `test_") == len(set(named))
    assert [name for name in named if f"def {name}(" not in tests] == []
