"""Errors at any time and updates to errors, from records made up and from a tiny study."""

import pathlib

import clr_anytime
import numpy as np
import pytest

import lrsched
from lrsched.runs import studies


def test_rates_shrink_as_the_papers_do() -> None:
    gamma = float(clr_anytime.SCALES["cpu"].partition("gamma=")[2].partition(" ")[0])
    assert gamma**2345 == pytest.approx(0.99994**42_000, rel=0.05)  # six digits are written
    assert "clr:mode=exp_range,gamma=0.999940,half_cycle=2000st" in clr_anytime.SCALES["paper"]


def test_papers_scale_has_its_cycles_whole() -> None:
    words = "clr:half_cycle=2000st,initial_fraction=0.166667"
    assert f" {words} " in clr_anytime.SCALES["paper"]
    run = lrsched.plan(words, 144 * 500, peak_value=0.006)  # batches of 100 of 50,000 images
    assert run.cycle_ends == tuple(range(4000, 72_001, 4000))
    assert [round(float(run.lr(t)), 6) for t in (0, 1000, 2000, 3000, 4000)] == [0.001, 0.0035, 0.006, 0.0035, 0.001]


def test_anytime_error_is_the_mean_over_updates() -> None:
    steps, errors = np.array([10, 20, 40]), np.array([0.8, 0.4, 0.2])
    assert clr_anytime.anytime_error(steps, errors) == pytest.approx((0.6 * 10 + 0.3 * 20) / 30)


def test_updates_to_an_error_are_those_of_the_first_evaluation_that_has_it() -> None:
    steps, errors = np.array([10, 20, 40, 50]), np.array([0.8, 0.4, 0.5, 0.2])
    assert [clr_anytime.first_below(steps, errors, goal) for goal in (0.4, 0.3, 0.1)] == [20, 50, np.inf]


def test_seeds_that_never_come_to_an_error_count_in_its_median() -> None:
    def seed(*errors: float) -> tuple[np.ndarray, np.ndarray]:
        return np.array([10, 20, 30]), np.array(errors)

    two_of_three = {0: seed(0.9, 0.5, 0.1), 1: seed(0.9, 0.1, 0.1), 2: seed(0.9, 0.9, 0.9)}
    assert clr_anytime._reach(two_of_three, [0.5, 0.1]) == ["20 (20 to never)", "30 (20 to never)"]
    one_of_three = {**two_of_three, 1: seed(0.9, 0.9, 0.9)}
    assert clr_anytime._reach(one_of_three, [0.1]) == ["not reached (1 of 3)"]
    assert clr_anytime._reach({0: seed(0.9, 0.5, 0.1), 1: seed(0.4, 0.4, 0.4)}, [0.5]) == ["10 (10 to 20)"]


def test_run_that_diverged_is_refused() -> None:
    gone = {"label": "clr", "seed": 3, "diverged_at": 7, "evaluations": {"steps": [5], "errors": [0.9]}}
    with pytest.raises(ValueError, match="some that diverged: clr seed 3"):
        clr_anytime.read(studies.SavedStudy([gone], [], {}))


@pytest.mark.slow
def test_study_has_both_tables(tmp_path: pathlib.Path) -> None:
    small = "--data digits --model mlp --batch-size 32 --max-epochs 1 --peak-values 0.1 --seeds 0-1 --workers 1"
    assert clr_anytime.main([*small.split(), "--evaluate-every", "20%", "--out", str(tmp_path)]) == 0
    assert clr_anytime.main(["--gather", str(tmp_path)]) == 0
    study = studies.load(tmp_path)
    text = (tmp_path / "reaching.md").read_text()
    assert text == clr_anytime.write_more(study, tmp_path / "again")
    ends = {label: clr_anytime._ends(seeds) for label, seeds in clr_anytime.read(study).items()}
    for row in study.records:
        assert ends[row["label"]][row["seed"]] == row["test_error"]
    assert text.count("| `") == len(ends) == 5
    assert (tmp_path / "reaching.svg").stat().st_size > 0
