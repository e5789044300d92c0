"""The measurement of whole studies: what the script prints, what was compiled, and its sums."""

import json
import pathlib
import subprocess
import sys
from typing import Any

import bench_study
import jax
import numpy as np
import pytest
from helpers import users_environment

import lrsched as ls

SCRIPT = pathlib.Path(__file__).parents[3] / "experiments" / "bench" / "bench_study.py"


@pytest.mark.slow
def test_our_step_is_compiled_once_and_the_users_for_each_budget(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--only", "compile_once", "--schedules", "rex", "--json", "-"],
        capture_output=True,
        text=True,
        env=users_environment(),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [result["digits"], result["cifar"]] == [None, None]
    rows = result["compile_once"]["contenders"]
    assert {name: (row["runs"], row["train_steps_compiled"]) for name, row in rows.items()} == {
        "optax_per_run": (2, 2),
        "ours": (2, 1),
    }
    assert rows["ours"]["updates"] == rows["optax_per_run"]["updates"] == 18 + 36  # 5 % and 10 % of 8 epochs of 45
    assert rows["ours"]["compilations"] >= 1
    assert rows["optax_per_run"]["largest_train_loss_difference"] < 0.01  # the same runs, but for rounding
    ratio = result["compile_once"]["ratios"]["ours_over_optax_per_run"]["median"]
    assert ratio == pytest.approx(rows["optax_per_run"]["seconds"] / rows["ours"]["seconds"])
    assert "steps compiled" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("schedule", bench_study.OPTAX)
def test_optax_schedule_has_our_rates(schedule: str) -> None:
    ours = ls.plan(schedule, ls.Budget(90), peak_value=0.1).lr
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # a user's JAX
        theirs = [bench_study.OPTAX[schedule](0.1, 90)(step) for step in range(90)]
    np.testing.assert_allclose(theirs, ours.table(), rtol=1e-4, atol=1e-7)  # Optax subtracts float32 close to the end


def record(**changed: Any) -> dict[str, Any]:
    usual = {"total_steps": 10, "diverged_at": None, "images_per_second": 5.0, "compiles": 1, "device": {}}
    return {"config": {"batch_size": 4}, **usual, **changed}


def test_updates_of_a_diverged_run_are_those_it_made() -> None:
    ends = (None, 0, 6, 10)  # 10: the last update did it
    found = bench_study.sums([record(diverged_at=end) for end in ends])
    assert (found["runs"], found["updates"]) == (4, 10 + 1 + 7 + 10)


def test_rates_and_ratios_are_medians_over_rounds() -> None:
    same = {"runs": 2, "updates": 30, "batch_size": 4, "run_images_per_s": 50.0, "others_seconds": 0.5}
    slow, quick = ([{**same, "seconds": k * s} for s in (1.0, 3.0, 2.0)] for k in (2, 1))
    found = bench_study.compared({"slow": slow, "quick": quick})
    assert found["ratios"]["quick_over_slow"]["median"] == 2
    assert {name: row["seconds"] for name, row in found["contenders"].items()} == {"slow": 4, "quick": 2}
    assert found["contenders"]["quick"]["images_per_s"] == 30 * 4 / 2
    assert found["contenders"]["quick"]["cpus_used_by_others"] == 1.5 / 6


def test_contenders_with_other_runs_are_not_compared() -> None:
    same = {"updates": 1, "batch_size": 1, "seconds": 1.0, "others_seconds": 0.0}
    with pytest.raises(RuntimeError, match="as many runs"):
        bench_study.compared({"a": [{**same, "runs": 2}], "b": [{**same, "runs": 1}]})


def test_each_contender_is_first_in_its_turn() -> None:
    order = []

    def turn(name: str) -> dict[str, Any]:
        order.append(name)
        return {"place": len(order)}

    found = bench_study.in_turns(("a", "b", "c"), turn, rounds=3)
    assert "".join(order) == "abcbcacab"
    assert [each["place"] for each in found["b"]] == [2, 4, 9]
