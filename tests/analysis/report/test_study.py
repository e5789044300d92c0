import html
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lrsched.analysis.report.document import Facts, Figure, Lines, Part, Table
from lrsched.analysis.report.study import Findings, describe_all, describe_study
from lrsched.analysis.study.cells import measure_on_the_way

MakeStudy = Callable[..., Findings]
APART = {
    ("rex", "5%"): [0.10, 0.11, 0.12, 0.11],
    ("linear", "5%"): [0.30, 0.32, 0.31, 0.31],
    ("step", "5%"): [0.11, 0.10, 0.12, 0.12],
}
BOTH = APART | {(label, "50%"): [value / 10 for value in values] for (label, _), values in APART.items()}


def blocks(part: Part, kind: type) -> list[Any]:
    return [block for section in part.sections for block in section.blocks if isinstance(block, kind)]


def texts(table: Table) -> list[list[str]]:
    return [[entry.text for entry in row] for row in table.rows]


def test_answer_names_the_best_of_each_budget_and_what_is_separated_from_it(study: MakeStudy) -> None:
    found = describe_study(study(BOTH)).found
    assert found[0] == "At 5% the lowest mean is that of `rex`, 11.00 % (4 seeds), separated from `linear`, and not from the others."  # noqa: E501  # fmt: skip
    assert found[1].startswith("At 50% the lowest mean is that of `rex`, 1.10 %")


def test_answer_against_a_reference_speaks_of_it_alone(study: MakeStudy) -> None:
    part = describe_study(study(APART, asked={"reference": "linear", "schedules": []}))
    assert part.found == ("At 5% the lowest mean is that of `rex`, 11.00 % (4 seeds), separated from the reference, `linear`.",)  # noqa: E501  # fmt: skip
    (differences,) = [table for table in part.tables() if table.name == "differences"]
    assert [row[2] for row in texts(differences)] == ["`linear`", "`linear`"]


def test_question_and_margin_are_quoted(study: MakeStudy) -> None:
    part = describe_study(study(APART, asked={"question": "Is <b> better?", "no_worse_than": 0.2}))
    assert part.question == "Is &lt;b> better?"
    assert any("less than 0.2 points higher" in text for text in blocks(part, str))


def test_what_is_no_worse_is_said_of_each_towards_the_best(study: MakeStudy) -> None:
    part = describe_study(study(APART, asked={"no_worse_than": 5.0}))
    (near,) = [table for table in part.tables() if table.name == "differences"]
    column = [each.head for each in near.columns].index("no worse")
    assert [(row[1], row[column]) for row in texts(near)] == [("`linear`", "not shown"), ("`step`", "yes")]


def test_results_mark_the_best_and_what_is_tied_with_it(study: MakeStudy) -> None:
    results, *_ = describe_study(study(APART)).tables()
    assert [(row[0].text, row[1].text, row[1].mark) for row in results.rows] == [
        ("`rex`", "11.00 ± 0.82", "best"),  # the sd of 10, 11, 12, 11
        ("`linear`", "31.00 ± 0.82", ""),
        ("`step`", "11.25 ± 0.96", "tied"),
    ]


def test_differences_are_turned_towards_the_best(study: MakeStudy) -> None:
    tables = {table.name: table for table in describe_study(study(APART)).tables()}
    rows = texts(tables["differences"])
    assert [row[1:4] for row in rows] == [["`linear`", "`rex`", "+20.00"], ["`step`", "`rex`", "+0.25"]]
    assert len(tables["all_differences"].rows) == 3
    assert tables["all_differences"].folded


def test_diverged_run_is_named_in_answer_and_table_and_is_in_no_mean(study: MakeStudy) -> None:
    part = describe_study(study(APART, diverged=("step", "5%", 2)))
    assert any(line.startswith("Runs diverged: `step` at 5%.") for line in part.found)
    results, *_ = part.tables()
    assert texts(results)[2][1] == "diverged 1/4"


def test_missing_runs_are_said(study: MakeStudy) -> None:
    assert "**Not finished**: 3 runs" in describe_study(study(APART, missing=3)).found[-1]


def test_every_part_that_a_reader_asks_for_is_there(study: MakeStudy) -> None:
    part = describe_study(study(BOTH))
    titles = [section.title for section in part.sections]
    assert titles == [
        *("Results", "Differences", "Ranks", "On the way", "The schedules", "What was chosen", "What was applied"),
        *("Provenance", "To repeat it"),
    ]
    figures = [figure.title for figure in blocks(part, Figure)]
    assert [title.split(" over")[0] for title in figures[:2]] == ["Test error", "Mean ranks"]
    assert [lines.lines for lines in blocks(part, Lines)] == [("lrsched study",)]
    (facts,) = blocks(part, Facts)
    assert dict(facts.pairs)["Commit"] == f"`{'c' * 40}`"
    assert dict(facts.pairs)["Time"] == "36 s in 24 runs"


def test_sources_of_the_schedules_are_in_the_provenance(study: MakeStudy) -> None:
    part = describe_study(study(APART)._replace(sources=("A. <One>. 2022.", "B. Two. 2020.")))
    (table,) = [table for table in part.tables() if table.name == "sources"]
    assert [row[0].text for row in table.rows] == ["A. &lt;One>. 2022.", "B. Two. 2020."]


def test_provenance_says_how_many_runs_had_what(study: MakeStudy) -> None:
    found = study(APART)
    other = [{**record, "commit": "d" * 40 + "+"} if i == 0 else record for i, record in enumerate(found.records)]
    (facts,) = blocks(describe_study(found._replace(records=other)), Facts)
    said = dict(facts.pairs)["Commit"]
    assert said == f"`{'c' * 40}` (11 runs); `{'d' * 40}`, with changes beside it (1 run)"


def test_updates_of_runs_that_diverged_are_those_that_were_made(study: MakeStudy) -> None:
    found = study({("rex", "5%"): [0.1, 0.2], ("step", "5%"): [0.2, 0.1]}, diverged=("step", "5%", 1))
    part = describe_study(found)
    assert ("128", "updates") in part.counts  # 3 x 40 + 8: the loss before its update 7 was the last
    (audit,) = [table for table in part.tables() if table.name == "audit"]
    assert [row[2] for row in texts(audit)] == ["80", "48"]


@pytest.mark.parametrize(
    ("errors", "axes"),
    [([0.1, 0.4], "both on logarithmic axes"), ([0.2, 0.2], "the budget on a logarithmic axis")],
)
def test_frontier_says_which_axes_are_logarithmic(study: MakeStudy, errors: list[float], axes: str) -> None:
    found = study({("rex", "5%"): [errors[0]] * 2, ("rex", "25%"): [errors[1]] * 2})
    (title,) = [one.title for one in blocks(describe_study(found), Figure) if "over budget" in one.title]
    assert axes in title


def test_one_budget_has_no_frontier_and_no_ranks(study: MakeStudy) -> None:
    part = describe_study(study(APART))
    assert "Ranks" not in [section.title for section in part.sections]
    assert not any("over budget" in figure.title for figure in blocks(part, Figure))


def test_ranks_are_over_the_settings_of_all_studies(study: MakeStudy) -> None:
    together = describe_all([study(APART), study(APART)])
    assert together is not None
    (ranks,) = together.tables()
    assert [row[:3] for row in texts(ranks)] == [
        ["`rex`", "2", "1.00"],
        ["`step`", "2", "2.00"],
        ["`linear`", "2", "3.00"],
    ]


def test_errors_on_the_way_are_drawn_on_what_they_were_measured(study: MakeStudy) -> None:
    found = study(APART, evaluations={"rex": (np.array([10, 20]), np.array([[50.0, 11.0], [40.0, np.nan]]))})
    rows = [{**record, "evaluations": {"split": "holdout", "steps": [10, 20], "errors": [0.5, 0.1]}} for record in found.records]  # noqa: E501  # fmt: skip
    figures = [figure.title for figure in blocks(describe_study(found._replace(records=rows)), Figure)]
    assert any(title.startswith("Held-out error over updates at 5%") for title in figures)


@pytest.mark.parametrize(
    ("split", "measure", "said"),
    [
        ("test", "test error", "test error"),
        ("holdout", "test error", "held-out error"),
        (
            "holdout",
            "part of the test targets' variance left unexplained",
            "part of the held-out targets' variance left",
        ),
    ],
)
def test_measure_on_the_way_is_of_what_it_was_taken_on(split: str, measure: str, said: str) -> None:
    found = measure_on_the_way(measure, [{"evaluations": {"split": split}}, {}])
    assert found.startswith(said)


def test_losses_are_of_the_seeds_that_trained_and_the_others_are_counted(study: MakeStudy) -> None:
    steps, whole = np.arange(20), np.exp(-np.arange(20) / 9.0)
    losses = {
        "rex": (steps, np.array([whole, np.full(20, np.nan), whole / 2])),
        "step": (steps, np.full((2, 20), np.nan)),
    }
    (figure,) = [
        each
        for each in blocks(describe_study(study(APART, losses=losses)), Figure)
        if each.title.startswith("Training loss")
    ]
    assert figure.title.endswith("Not drawn, because runs diverged: `rex` (1 of 3), `step` (2 of 2).")
    assert [key.label for key in figure.keys] == ["`rex`"]
    assert figure.drawing.count('class="line"') == figure.drawing.count('class="band"') == 1


def test_losses_of_runs_that_all_diverged_are_no_figure(study: MakeStudy) -> None:
    gone = {"rex": (np.arange(20), np.full((2, 20), np.nan))}
    titles = [each.title for each in blocks(describe_study(study(APART, losses=gone)), Figure)]
    assert not any(title.startswith("Training loss") for title in titles)


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", "a`b|c", "x" * 200, "日本", "100% #1 & {a_b}"])
def test_labels_of_any_kind_stay_what_they_are(study: MakeStudy, label: str) -> None:
    part = describe_study(study({(label, "5%"): [0.1, 0.2], ("rex", "5%"): [0.2, 0.1]}))
    drawn = "".join(figure.drawing for figure in blocks(part, Figure))
    assert not re.search("<script", drawn)
    assert html.escape(label, quote=False) in re.sub("<[^>]*>", "", drawn)
