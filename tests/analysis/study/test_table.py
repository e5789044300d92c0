import dataclasses
import re

import pytest

from lrsched.analysis.study import comparisons, table
from lrsched.analysis.study.cells import gather
from lrsched.analysis.study.paper import PaperNumber

PAPERS = {("rex", "5%"): PaperNumber(0.1286, 0.0027, 3, "REX, Tables 4-9")}


@pytest.fixture
def study(record):
    """At 5 %: rex best, linear 1 % behind on every seed, step behind on average but not on every seed."""
    errors = {"linear": (0.110, 0.121, 0.129), "step": (0.09, 0.13, 0.15), "rex": (0.10, 0.11, 0.12)}
    records = [record(label, seed=s, test_error=e) for label, row in errors.items() for s, e in enumerate(row)]
    records += [record(label, "25%", seed=0, test_error=0.05) for label in ("linear", "rex")]
    return gather(records)


def row(text: str, start: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return line


def test_markdown_heads_and_order(study):
    assert row(table.format_markdown(study), "| schedule") == "| schedule | 5% (2 epochs) | 25% (10 epochs) |"
    assert [line.split("`")[1] for line in table.format_markdown(study).splitlines() if "`" in line] == [
        "linear",
        "step",
        "rex",
    ]


def test_markdown_columns_by_epochs_not_by_order(study):
    assert row(table.format_markdown(study[::-1]), "| schedule") == "| schedule | 5% (2 epochs) | 25% (10 epochs) |"


def test_markdown_best_and_not_separated(study):
    text = table.format_markdown(study)
    assert row(text, "| `rex`").startswith("| `rex` | **11.00 ± 1.00 (3) @ 0.1** |")
    # rex - linear: -0.010, -0.011, -0.009, so t = 0.01 / (0.001 / sqrt(3)) = 17.3, p = 0.0033 and 0.0067 after Holm.
    assert row(text, "| `linear`").startswith("| `linear` | 12.00 ± 0.95 (3) @ 0.1 |")
    # rex - step: 0.01, -0.02, -0.03: no sign to rely on.
    assert row(text, "| `step`").startswith("| `step` | 12.33 ± 3.06 (3) @ 0.1 † |")


def test_markdown_holm_over_the_budget(record):
    # a against best: differences 0.02, 0.024, 0.028, t = 10.4, p = 0.0092: with six alike, 6 * 0.0092 > 0.05.
    def column(rivals):
        records = [record("best", seed=s, test_error=0.1) for s in range(3)]
        for rival in rivals:
            records += [record(rival, seed=s, test_error=0.12 + 0.004 * s) for s in range(3)]
        return table.format_markdown(gather(records))

    assert "†" not in row(column("a"), "| `a`")
    assert "†" in row(column("abcdef"), "| `a`")


def test_markdown_single_seed_and_missing_entry(study):
    text = table.format_markdown(study)
    assert row(text, "| `step`").endswith("| - |")
    assert row(text, "| `linear`").endswith("| **5.00 (1) @ 0.1** |")
    assert row(text, "| `rex`").endswith("| 5.00 (1) @ 0.1 † |")  # one seed separates nothing


def test_markdown_no_shared_seed_is_not_separated(record):
    runs = [("rex", 0, 0.1), ("rex", 1, 0.1), ("linear", 2, 0.9), ("linear", 3, 0.9)]
    text = table.format_markdown(gather([record(label, seed=seed, test_error=error) for label, seed, error in runs]))
    assert row(text, "| `linear`") == "| `linear` | 90.00 ± 0.00 (2) @ 0.1 † |"


def test_markdown_paper_beside_the_measured(study):
    text = table.format_markdown(study, PAPERS)
    assert "**11.00 ± 1.00 (3) @ 0.1**; paper 12.86 ± 0.27 (3) |" in row(text, "| `rex`")
    assert "paper" not in row(text, "| `linear`")
    assert "paper: REX, Tables 4-9, rates tuned for each entry." in text
    assert "Not stated there" not in text


def test_caption_says_of_each_table_of_the_paper_how_its_rates_came(study):
    sampled = dataclasses.replace(PAPERS["rex", "5%"], source="REX, Table 2")
    text = table.format_markdown(study, {**PAPERS, ("linear", "5%"): sampled})
    assert "paper: REX, Tables 4-9, rates tuned for each entry; REX, Table 2, one rate for all." in text


def test_caption_says_what_the_paper_leaves_unsaid_once(study):
    number = dataclasses.replace(PAPERS["rex", "5%"], unstated="weight decay 0, no augmentation")
    for write in (table.format_markdown, table.format_terminal):
        text = " ".join(write(study, {("rex", "5%"): number, ("linear", "5%"): number}).split())
        assert text.count("Not stated there, and here: weight decay 0, no augmentation.") == 1


def test_markdown_names_stay_in_their_cells(study):
    cells = [dataclasses.replace(cell, label="a|b`c <script>" if cell.label == "rex" else cell.label) for cell in study]
    lines = table.format_markdown(cells).splitlines()
    (line,) = (line for line in lines if line.startswith("|") and "script" in line)
    assert line.startswith("| `` a\\|b`c <script> `` |")  # within code a tag is text
    assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"\|", lines[0]))
    assert "<script>" not in lines[-1]  # the caption names seeds missing, outside code


@pytest.mark.parametrize("width", [60, 80, 120])
def test_terminal_is_no_wider_than_the_terminal(width, study, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = table.format_terminal(study, PAPERS).splitlines()
    assert max(map(len, lines)) <= width
    assert max(map(len, lines)) > width - 15  # the caption fills it


def test_terminal_puts_budgets_that_do_not_fit_below(study, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    lines = table.format_terminal(study).splitlines()
    assert lines[:9] == [
        "schedule  5% (2 epochs)",
        "linear    12.00 ± 0.95 (3) @ 0.1",
        "step      12.33 ± 3.06 (3) @ 0.1 †",
        "rex       11.00 ± 1.00 (3) @ 0.1 *",
        "",
        "schedule  25% (10 epochs)",
        "linear    5.00 (1) @ 0.1 *",
        "step      -",
        "rex       5.00 (1) @ 0.1 †",
    ]


def test_ties_of_a_few_images_are_not_separated(record):
    # By one image of 359 on each of three seeds.
    runs = [("rex", s, (5 + s) / 359) for s in range(3)] + [("step", s, (6 + s) / 359) for s in range(3)]
    cells = gather([record(name, seed=s, test_error=round(e, 10)) for name, s, e in runs])
    assert row(table.format_markdown(cells), "| `step`").endswith("† |")


def test_difference_of_few_images_spreads_as_a_count_does(record):
    # 3, 3 and 4 images more: sd 1/sqrt(3) gives t = 10 and p = 0.010, that of a count, sqrt(10/3), p = 0.087.
    runs = [("rex", s, 10 + s) for s in range(3)] + [("step", s, 10 + s + (3, 3, 4)[s]) for s in range(3)]
    records = [record(name, seed=s, test_error=count / 359) for name, s, count in runs]
    assert not row(table.format_markdown(gather(records)), "| `step`").endswith("† |")
    for one in records:
        one["data"] = {"test": 359}
    assert row(table.format_markdown(gather(records)), "| `step`").endswith("† |")
    assert gather(records)[0].resolution == 1 / 359


def test_measure_that_is_no_share_of_the_test_examples_has_no_resolution(record):
    assert gather([{**record(test_error=0.1234567), "data": {"test": 359}}])[0].resolution is None


def test_markdown_diverged_is_never_best(record):
    records = [record("rex", seed=0, test_error=0.01), record("rex", seed=1, diverged_at=3)]
    records += [record("linear", seed=seed, test_error=0.2) for seed in range(2)]
    text = table.format_markdown(gather(records))
    assert row(text, "| `rex`") == "| `rex` | diverged 1/2 @ 0.1 |"
    assert row(text, "| `linear`").startswith("| `linear` | **20.00")


def test_markdown_everything_diverged(record):
    text = table.format_markdown(gather([record(diverged_at=0)]))
    assert row(text, "| `rex`") == "| `rex` | diverged 1/1 @ 0.1 |"


def test_caption_one_rate(study):
    caption = table.format_markdown(study).splitlines()[-1]
    assert "Test error in %, mean ± sd (n seeds) @ peak rate; one rate per entry, nothing chosen [0.1]." in caption
    assert "paper" not in caption


def test_caption_rates_chosen_on_held_out_data(record):
    records = [record(peak_value=rate, holdout_error=rate) for rate in (0.3, 0.1)]
    assert "chosen on held-out data out of [0.1, 0.3]" in table.format_markdown(gather(records))


def test_caption_names_missing_seeds(study):
    assert "Seeds missing: linear at 25% (1, 2); rex at 25% (1, 2)." in table.format_markdown(study)


def test_table_without_cells():
    with pytest.raises(ValueError, match="cells must hold at least one, got none"):
        table.format_markdown([])
    with pytest.raises(ValueError, match="cells must hold at least one, got none"):
        table.format_terminal([])


def test_terminal_columns_line_up(study):
    lines = table.format_terminal(study, PAPERS).splitlines()
    assert lines[:5] == [
        "schedule  5% (2 epochs)             25% (10 epochs)",
        "linear    12.00 ± 0.95 (3) @ 0.1    5.00 (1) @ 0.1 *",
        "step      12.33 ± 3.06 (3) @ 0.1 †  -",
        "rex       11.00 ± 1.00 (3) @ 0.1 *  5.00 (1) @ 0.1 †",
        "  paper   12.86 ± 0.27 (3)",
    ]


def test_terminal_width_of_the_default_study(record):
    labels = ["linear", "cosine", "step", "exponential", "onecycle", "rex(d=0.9)@25-50-75"]
    records = [
        record(label, budget, seed, 0.12 + 0.01 * seed, peak_value=0.003)
        for label in labels
        for budget in ("5%", "25%", "100%")
        for seed in range(3)
    ]
    assert max(map(len, table.format_terminal(gather(records)).splitlines())) <= 120


def test_caption_says_which_entries_had_one_rate_and_which_seeds_a_choice_did_without(record):
    scouted = [record("step", peak_value=rate, seed=0, holdout_error=rate) for rate in (0.1, 0.3)]
    rest = [record("step", peak_value=0.1, seed=1, holdout_error=0.1)]
    alone = [record("rex", peak_value=0.7, seed=seed, holdout_error=0.1) for seed in (0, 1)]
    text = table.format_markdown(gather([*scouted, *rest, *alone]), measure="Something")
    assert "Something in %" in text
    assert "rates chosen on held-out data out of [0.1, 0.3], but for rex, given one alone" in text
    assert "Rates chosen without some seeds: step at 5% (1)." in text
    assert "Seeds missing" not in text


def best_of(record, differ=0.0, seeds=4, labels=("rex", "linear", "step"), budgets=("5%", "25%")):
    """Schedules of about 10 % error whose seeds differ by about a point; the last one is worse by `differ`."""
    noise = (0.000, 0.011, -0.007, 0.004, -0.009, 0.006, -0.002, 0.003)
    rows = []
    for i, label in enumerate(labels):
        for j, budget in enumerate(budgets):
            for s in range(seeds):
                error = 0.1 + noise[(s + 3 * i + j) % 8] + (differ if label == labels[-1] else 0.0)
                rows.append(record(label, budget, s, error))
    return rows


def test_caption_says_how_many_seeds_where_nothing_is_separated(record):
    caption = table.format_markdown(gather(best_of(record))).splitlines()[-1]
    assert "one Holm family of 6 pairs" in caption
    found = re.findall(r"([\d,]+) at (5%|25%) \((\w+) from (\w+), (\d\.\d\d) points\)", caption)
    assert [budget for _, budget, *_ in found] == ["5%", "25%"]
    assert all(int(seeds.replace(",", "")) > 4 for seeds, *_ in found)


def test_caption_counts_the_seeds_of_the_differences_that_it_names(record):
    rows = [*best_of(record), record("cosine", "5%", 0, 0.1)]  # which has one
    assert "the spread of these 4 seeds true" in table.format_markdown(gather(rows))


def test_caption_with_something_separated_says_nothing_of_seeds(record):
    text = table.format_markdown(gather(best_of(record, 0.3)))
    assert "†" not in row(text, "| `step`")
    assert "Nothing is separated" not in text


def test_caption_of_single_seeds_does_not_tell(record):
    text = table.format_markdown(gather([record("rex"), record("linear")]))
    assert "these runs do not tell how many seeds would be enough" in text


def test_caption_of_a_margin_says_what_it_would_take_and_what_is_no_worse(record):
    text = table.format_markdown(gather(best_of(record, seeds=7)), reference="linear", margin=0.03)
    assert "one Holm family of 4 pairs, each also one-sided both ways" in text
    assert "less than 3 points worse than linear, or better: rex at 5%, step at 5%, rex at 25%, step at 25%." in text
    assert re.search(r"A difference of 3 points would take \d+ at 5%, \d+ at 25%\.", text)
    text = table.format_markdown(gather(best_of(record)), margin=0.0001)
    assert "less than 0.01 points worse than the lowest mean of the budget, or better: none." in text


def test_reference_takes_the_mark_from_the_best(record):
    # step is worse than both: not separated from itself, and so unmarked where it is the reference.
    text = table.format_markdown(gather(best_of(record, 0.3)), reference="step")
    assert "†: not separated from step" in text
    assert text.count("†") == 1
    text = table.format_markdown(gather(best_of(record)), reference="step")
    assert "†" not in row(text, "| `step`")
    assert row(text, "| `rex`").count("†") == row(text, "| `linear`").count("†") == 2


def test_nothing_is_told_apart_from_a_reference_that_diverged_where_no_test_does(record):
    rows = best_of(record, 0.3)
    rows = [{**each, "diverged_at": 3} if each["label"] == "step" and each["seed"] == 0 else each for each in rows]
    cells = gather(rows)
    assert not any(one.separated for one in comparisons.compare_cells(cells, reference="step"))
    text = table.format_markdown(cells, reference="step")
    assert row(text, "| `rex`").count("†") == row(text, "| `linear`").count("†") == 2
    assert "†" not in row(text, "| `step`")


def test_marks_hold_for_all_budgets_together(record):
    # Alone, the difference at 5 % is separated; with many other budgets it is not.
    rows = best_of(record, 0.017, seeds=5, labels=("rex", "step"), budgets=("5%",))
    assert "†" not in row(table.format_markdown(gather(rows)), "| `step`")
    more = best_of(record, seeds=5, labels=("rex", "step"), budgets=("10%", "20%", "30%", "40%", "50%", "60%", "70%"))
    assert "†" in row(table.format_markdown(gather([*rows, *more])), "| `step`").split("|")[2]


def test_caption_names_best_rates_at_the_edge(record):
    tried = [("rex", b, r, h) for b in ("5%", "25%") for r, h in ((0.1, 0.3), (0.3, 0.2), (1.0, 0.1))]
    tried += [("linear", "5%", r, h) for r, h in ((0.1, 0.3), (0.3, 0.2), (1.0, 0.4))]
    tried += [("step", "5%", r, h) for r, h in ((0.1, 0.1), (0.3, 0.2), (1.0, 0.4))]
    text = table.format_markdown(gather([record(x, b, peak_value=r, holdout_error=h) for x, b, r, h in tried]))
    assert "Best rate at the edge of the grid: rex at 5%, 25% (1, highest); step at 5% (0.1, lowest)." in text


def test_caption_says_when_every_best_rate_is_at_the_edge(record):
    text = table.format_markdown(gather([record(peak_value=r, holdout_error=r) for r in (0.1, 0.3)]))
    assert "Best rate at the edge of the grid: every entry's." in text


def test_caption_of_a_selection_with_more_than_rates(record):
    settings = [(0.1, 1e-4, None, 0.3), (0.1, 5e-4, "0.95", 0.1), (0.3, 5e-4, None, 0.2)]
    selection = [
        record(peak_value=r, weight_decay=w, momentum=m, holdout_error=h, seed=s)
        for r, w, m, h in settings
        for s in (0, 1)
    ]
    text = table.format_markdown(gather([record(peak_value=0.1, momentum="0.95", seed=5)], selection))
    assert row(text, "| `rex`") == "| `rex` | **10.00 (1) @ 0.1, wd 0.0005, m 0.95** |"
    assert (
        "each entry's rate chosen on held-out data out of [0.1, 0.3], weight decay (wd) out of [0.0001, 0.0005], "
        "momentum (m) out of [0.95, its own] by runs of their own (2 seeds)."
    ) in text


def test_caption_names_seeds_that_a_choice_did_without(record):
    runs = [(0.1, 0), (0.1, 1), (0.3, 0)]
    selection = [record(peak_value=r, holdout_error=r, seed=s) for r, s in runs]
    text = table.format_markdown(gather([record(peak_value=0.1, seed=5)], selection))
    assert "Rates chosen without some of the seeds that choose: rex at 5% (1)." in text


def test_caption_explains_what_diverged(record):
    text = table.format_markdown(gather([record(seed=0), record(seed=1, diverged_at=3)]))
    assert "A run that diverged is the worst outcome: its entry has no mean and no mark." in text
