"""What a study trains to choose and at the choice, and what its folder says of it."""

from __future__ import annotations

import itertools
import pathlib
from typing import Any

import pytest

from lrsched.commands.study import StudyConfig, make_grid
from lrsched.runs import studies
from lrsched.runs.studies import Grid, Setting


def grid(**words: Any) -> Grid:
    return make_grid(StudyConfig(**{"schedules": ("rex", "linear"), "budgets": ("5%", "1ep"), **words}))


@pytest.mark.parametrize(
    ("words", "after", "seeds"),
    [
        (3, (), (0, 1, 2)),
        (["3"], (0, 1), (2, 3, 4)),
        (["2"], (7, 3), (8, 9)),
        (["3", "4", "5"], (), (3, 4, 5)),
        (["10-12"], (), (10, 11, 12)),
        (["7-7"], (0,), (7,)),
        (["1", "5-6"], (0,), (1, 5, 6)),
        ((4, 9), (), (4, 9)),
    ],
)
def test_seeds_are_a_number_of_them_or_a_list(words: Any, after: tuple[int, ...], seeds: tuple[int, ...]) -> None:
    assert studies.read_seeds(words, "seeds", after=after) == seeds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "seeds must be a number of seeds"),
        (["x"], "seeds must be a number of seeds"),
        (["-3"], "seeds must be a number of seeds"),
        (["0"], "seeds must be from 1 to 100,000 of them, got 0"),
        (["5-3"], "seeds must have ranges that rise"),
        (["0-4294967295"], "seeds must be from 1 to 100,000"),
        (["3", "2-4"], "seeds must differ"),
        (["1-3"], "seeds must be fresh: 1 is among those that choose"),
    ],
)
def test_seeds_that_are_none_are_refused(words: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        studies.read_seeds(words, "seeds", after=(1,))


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", ""])
def test_part_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="part must be as in 3/16"):
        studies.read_part(text)


def test_seeds_that_choose_are_not_trained_again() -> None:
    found = grid(peak_values=(0.1, 0.3), selection_seeds=("2",), seeds=("3",))
    tried, fresh = found.tried(), found.fresh({})
    assert {run.seed for run in tried} == {0, 1}
    assert {run.seed for run in fresh} == {2, 3, 4}
    assert {run.holdout_fraction for run in tried} == {0.1}
    assert {run.holdout_fraction for run in fresh} == {0.0}
    assert (len(tried), len(fresh)) == (2 * 4 * 2, 3 * 4)


def test_nothing_is_tried_where_there_is_one_setting() -> None:
    for words in ({"peak_values": (0.1,)}, {"shared_rate": 0.1}):
        found = grid(**words)
        assert not found.tried()
        assert {(run.seed, run.peak_value) for run in found.fresh({})} == {(0, 0.1), (1, 0.1), (2, 0.1)}


def test_weight_decay_and_momentum_are_chosen_where_there_are_several() -> None:
    found = grid(peak_values=(0.1,), weight_decays=(0.0, 5e-4), momenta=("0.9", "0.95"), selection_seeds=("1",))
    assert {(run.weight_decay, run.momentum) for run in found.tried()} == set(
        itertools.product((0.0, 5e-4), ("0.9", "0.95"))
    )
    chosen = {("rex", "5%"): Setting(0.1, 0.0, "0.95")}
    (run, *_) = found.fresh(chosen)
    assert (run.schedule, run.budget, run.weight_decay, run.momentum) == ("rex", "5%", 0.0, "0.95")


@pytest.mark.parametrize(("words", "parts"), [({}, 3), ({"shared_rate": 0.1}, 5)])
def test_parts_are_the_whole_and_share_no_run(words: dict[str, Any], parts: int) -> None:
    whole = grid(**words)
    each = [grid(part=f"{i + 1}/{parts}", **words) for i in range(parts)]
    for runs in (lambda one: one.tried(), lambda one: one.fresh({})):
        made = [run for one in each for run in runs(one)]
        assert len(made) == len(runs(whole))
        assert all(run in made for run in runs(whole))


def test_part_of_more_than_there_are_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="part must be one of at most 4"):
        grid(part="1/5")


ASKED = {"schedules": ["rex"], "budgets": ["5%"]}


def test_parts_in_one_folder_add_their_runs(tmp_path: pathlib.Path) -> None:
    studies.write(tmp_path, ASKED, selection=["a"], runs=["b"], part=True)
    studies.write(tmp_path, ASKED, selection=["a"], runs=["c"], part=True)
    assert studies._read(tmp_path)["runs"] == ["b", "c"]
    assert studies._read(tmp_path)["selection_runs"] == ["a"]
    studies.write(tmp_path, {**ASKED, "budgets": ["10%"]}, selection=[], runs=["d"])
    assert studies._read(tmp_path)["runs"] == ["d"]


def test_runs_of_a_whole_study_stand_for_those_of_before(tmp_path: pathlib.Path) -> None:
    studies.write(tmp_path, ASKED, selection=["a"], runs=["b"])
    studies.write(tmp_path, ASKED, selection=["c"], runs=["d"])  # whose data have changed
    assert studies.ids(tmp_path) == (["c"], ["d"])


def test_folder_without_a_study_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="must be the folder of a study"):
        studies.load(tmp_path)
