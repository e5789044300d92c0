"""Tables gathered from several studies: ranks beside table 1 of the REX paper, and budgeted training."""

import dataclasses
import pathlib
from typing import Any

import all_budgets
import budgeted_training
import pytest
import rex_table2

from lrsched.analysis.study import paper
from lrsched.analysis.study.cells import gather
from lrsched.commands import study as command
from lrsched.commands.study import StudyConfig
from lrsched.runs import studies

RESULTS = pathlib.Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Two studies of four schedules under two budgets, where all_budgets looks for them."""
    folder = tmp_path_factory.mktemp("studied")
    words: dict[str, Any] = {"budgets": ("1%", "25%"), "max_epochs": 8.0, "peak_values": (0.1,), "seeds": ("0-1",)}
    for name in all_budgets.STUDIES:
        out = str(folder / "all_budgets" / name)
        command.run(
            StudyConfig(model="mlp", schedules=("rex", "linear", "constant", "step"), workers=1, out=out, **words)
        )
    return folder


@pytest.mark.slow
def test_standings_rank_every_budget_of_both_studies(studied: pathlib.Path, tmp_path: pathlib.Path) -> None:
    text = all_budgets.write_standings(studied / "all_budgets", tmp_path)
    assert text == (tmp_path / "table.md").read_text()
    assert [line.split("|")[1].strip() for line in text.splitlines() if "mean rank" in line] == [
        "all budgets, 4 settings",
        "below 25 %, 2 settings",
        "25 % and more, 2 settings",
    ]
    shares = [float(line.split("|")[3].split("[")[0]) for line in text.splitlines() if line.startswith("| `")][:4]
    assert sum(shares) >= 100  # someone is first in every setting
    rex = next(line for line in text.splitlines() if line.startswith("| `rex`"))
    assert rex.split("|")[4].strip() == "70"


@pytest.mark.slow
def test_cut_off_step_is_the_constant_rate_beside_the_converted_one(
    studied: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    text = budgeted_training.write_results(studied, tmp_path)
    rows = [line for line in text.splitlines() if line.startswith(("| Fashion", "| digits"))]
    assert len(rows) == 2  # two studies have 1 %, none has 5 %
    assert all(" 1% " in row and "@ 0.1" in row for row in rows)
    cut, converted, linear = (float(cell.strip("* ").split()[0]) for cell in rows[0].split("|")[3:6])
    difference = float(rows[0].split("|")[6].split()[0])
    assert difference == pytest.approx(converted - cut, abs=0.011)
    assert float(rows[0].split("|")[7].split()[0]) == pytest.approx(linear - converted, abs=0.011)


@pytest.mark.slow
def test_steps_of_one_study_are_gathered_as_well(studied: pathlib.Path) -> None:
    folder = studied / "all_budgets" / "digits"
    assert budgeted_training.main(["--gather", str(folder)]) == 0
    rows = (folder / "budgeted_training" / "table.md").read_text().splitlines()
    assert [row.split("|")[1:3] for row in rows if "@ 0.1" in row] == [
        [" digits, mlp, 8 epochs ", f" {budget} "] for budget in ("1%", "25%")
    ]


def test_schedule_with_a_run_that_diverged_has_no_mean_and_no_difference(tmp_path: pathlib.Path) -> None:
    study = studies.load(RESULTS / "all_budgets" / "digits")
    cells = {cell.label: cell for cell in gather(study.records, study.selection) if cell.budget == "5%"}
    three = {way: cells[label] for way, label in budgeted_training.SCHEDULES.items()}
    constant = three[budgeted_training.CUT]
    seed, *rest = constant.errors
    errors = {one: constant.errors[one] for one in rest}
    three[budgeted_training.CUT] = dataclasses.replace(constant, errors=errors, diverged=1, diverged_seeds=(seed,))
    cut, converted, linear, first, second, _ = budgeted_training._compare(three)
    assert cut.startswith("diverged 1/10 (10) @")
    assert "**" in converted + linear
    assert (first, second[:5]) == ("-", "-0.22")
    budgeted_training.draw({"digits, 5%": three}, tmp_path / "drawn.svg")
    assert "digits, 5%" in (tmp_path / "drawn.svg").read_text()


def test_printed_share_over_all_budgets_lies_between_those_of_low_and_high_ones() -> None:
    for low, high, whole in all_budgets.PRINTED.values():
        for place in range(2):
            assert min(low[place], high[place]) <= whole[place] <= max(low[place], high[place])
    assert set(all_budgets.PRINTED) == set(paper.SCHEDULES)


def test_every_cell_of_table_2_is_asked_for() -> None:
    words = rex_table2.words(rex_table2.SAMPLINGS).split()
    assert len(words) == len(set(words)) == 7 * 3
    for word in words:
        schedule, _, sampling = word.partition("@")
        found = paper.find_errors(
            data="cifar10",
            model="resnet20",
            optimizer="sgd",
            schedule=schedule,
            sampling=sampling or "every",
            epochs=15.0,
            max_epochs=300.0,
        )
        assert any(number.source.endswith("Table 2") for number in found)
