"""Every number of the page on choosing is made anew: from the tables of results/, those of the paper, and the bound."""

from __future__ import annotations

import collections
import csv
import pathlib
import re

import pytest
from tables import interval, means, number, table

import lrsched as ls

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "lrsched" / "docs" / "choosing.md").read_text("utf-8")
SAID = " ".join(TEXT.split())
BUDGETS = (1, 5, 10, 25, 50, 100)


def row(question: str) -> str:
    """The line of the page about a result."""
    (found,) = (line for line in TEXT.splitlines() if line.startswith("|") and f"results/{question}/table.md" in line)
    return found


@pytest.fixture(scope="module")
def paper() -> dict[tuple[str, int], dict[str, tuple[float, float]]]:
    """(setting, budget in %) -> schedule -> mean and standard deviation, of the REX paper's tables 4-9."""
    path = ROOT / "lrsched" / "analysis" / "study" / "paper_numbers.csv"
    cells: dict[tuple[str, int], dict[str, tuple[float, float]]] = collections.defaultdict(dict)
    for line in csv.DictReader(path.read_text().splitlines()):
        if line["table"] == "Tables 4-9":
            entry = float(line["mean"]), float(line["std"])
            cells[line["setting"], int(line["budget_pct"])][line["schedule"]] = entry
            assert line["trials"] == "3"
    return dict(cells)


def test_winners_of_the_papers_tables_are_counted(paper: dict) -> None:
    assert len(paper) == 48
    won: dict[str, list[int]] = collections.defaultdict(lambda: [0] * len(BUDGETS))
    for (_, budget), cell in paper.items():
        for schedule, (mean, _) in cell.items():
            won[schedule][BUDGETS.index(budget)] += mean == min(other for other, _ in cell.values())
    for schedule, counts in won.items():
        assert f"| {schedule} | {' | '.join(map(str, [*counts, sum(counts)]))} |" in TEXT


@pytest.mark.parametrize(("other", "said"), [("linear", "below linear in {} of 48"), ("cosine", "below cosine in {}.")])
def test_rex_is_compared_with_its_neighbours_in_the_paper(other: str, said: str, paper: dict) -> None:
    below = sum(cell["rex"][0] < cell[other][0] for cell in paper.values())
    lower = higher = 0
    for cell in paper.values():
        (a, sd_a), (b, sd_b) = cell["rex"], cell[other]
        error = ((sd_a**2 + sd_b**2) / 3) ** 0.5
        lower, higher = lower + (b - a > 2 * error), higher + (a - b > 2 * error)
    assert said.format(below) in SAID
    counts = {
        "linear": rf"in {lower} entries for linear and in \d+ for cosine, and higher by as much in {higher} and",
        "cosine": rf"in \d+ entries for linear and in {lower} for cosine, and higher .* in \d and in {higher}\.",
    }
    assert re.search(counts[other], SAID)


@pytest.mark.parametrize("budget", [1, 5, 10])
def test_who_comes_last_under_short_budgets_is_the_same(budget: int, paper: dict) -> None:
    ranks = collections.defaultdict(list)
    for (_, of), cell in paper.items():
        for schedule, (mean, _) in cell.items():
            if of == budget:
                ranks[schedule].append(1 + sum(other < mean for other, _ in cell.values()))
    order = sorted(ranks, key=lambda schedule: sum(ranks[schedule]) / len(ranks[schedule]))
    assert set(order[-4:]) == {"step", "exponential", "plateau", "none"}


@pytest.mark.parametrize("budget", [1, 10, 100])
def test_errors_of_resnet_20_are_the_papers(budget: int, paper: dict) -> None:
    cell = paper["RN20-CIFAR10-SGDM", budget]
    shown = ("rex", "linear", "cosine", "step", "exponential", "onecycle", "plateau")
    assert f"| {budget} % | {' | '.join(f'{cell[schedule][0]:.2f}' for schedule in shown)} |" in TEXT
    assert cell.keys() == set(shown)


def test_six_schedules_are_those_of_the_study_on_the_digits() -> None:
    said = row("digits_study")
    rows = table("digits_study")
    for budget, words in (("5% (0.4 epochs)", "0.4 epochs"), ("25% (2 epochs)", "2"), ("100% (8 epochs)", "8")):
        column = [number(each[budget]) for each in rows]
        assert f"{min(column):.2f} and {max(column):.2f} % after {words}" in said
        assert all("†" in each[budget] or "**" in each[budget] for each in rows)
    assert {cell.split("(")[1][0] for each in rows for name, cell in each.items() if name != "schedule"} == {"3"}


def test_table_4_at_one_percent_is_that_of_its_study() -> None:
    (budget,) = table("rex_table4")[0].keys() - {"schedule"}
    got = means("rex_table4", "schedule", budget)
    got["1cycle"] = got.pop("onecycle:variant=rex_paper")
    said = row("rex_table4")
    order = sorted(got, key=got.__getitem__)
    assert order == ["rex", "linear", "cosine", "1cycle", "step", "constant", "exponential"]
    words = ", ".join(f"{name} {got[name]:.2f}{' %' * (name == 'rex')}" for name in order).replace("rex", "REX")
    assert f"| {words}. |" in said
    alike = {each["schedule"].strip("`") for each in table("rex_table4") if "†" in each[budget]}
    assert alike == {"linear", "cosine", "onecycle:variant=rex_paper"}  # the last three are separated


def test_sampling_rates_are_those_of_their_study() -> None:
    (budget,) = table("rex_table2")[0].keys() - {"schedule"}
    got = means("rex_table2", "schedule", budget)
    every = [got[name] for name in ("rex", "linear", "exponential:gamma=-5")]
    twice = [got[name] for name in ("exponential:gamma=-5@50-75", "linear@50-75", "rex@50-75")]
    said = row("rex_table2")
    assert "At every update REX {:.2f} %, linear {:.2f}, exp(-5p) {:.2f}; in two".format(*every) in said
    assert "exp(-5p) {:.2f}, linear {:.2f}, REX {:.2f}.".format(*twice) in said
    assert (every, twice) == (sorted(every), sorted(twice))


def test_six_budgets_are_those_of_their_tables() -> None:
    budgets = [name for name in table("all_budgets/fashion_mnist")[0] if name != "schedule"]
    rows = {each["schedule"].strip("`"): each for each in table("all_budgets/fashion_mnist")}
    rows["1cycle"] = rows.pop("onecycle:variant=rex_paper")
    assert all("**" in rows["rex"][budget] for budget in budgets)
    assert [budget for budget in budgets if "†" not in rows["linear"][budget]] == ["10% (1 epochs)"]
    words = ", ".join(f"{name} {number(rows[name]['10% (1 epochs)']):.2f}" for name in ("1cycle", "step", "linear"))
    said = row("all_budgets/fashion_mnist")
    assert f"REX {number(rows['rex']['10% (1 epochs)']):.2f} %, {words}." in said
    short = {name: number(each["10% (1 epochs)"]) for name, each in rows.items()}
    assert short["step"] < short["linear"] < min(short["exponential"], short["constant"])
    digits = {each["schedule"].strip("`"): each for each in table("all_budgets/digits")}
    (least,) = (budget for budget in digits["rex"] if budget.startswith("1%"))
    assert number(digits["exponential"][least]) < number(digits["rex"][least])
    for budget in digits["rex"].keys() - {"schedule"}:
        of = [digits[name][budget] for name in ("rex", "linear", "cosine")]
        assert sum("**" in cell for cell in of) == 1
        assert all("**" in cell or "†" in cell for cell in of)


def test_steps_cut_off_or_converted_are_those_of_their_table() -> None:
    rows = table("budgeted_training")
    said = row("budgeted_training")
    helped = {
        each["setting"].split(",")[0]: -number(each["converted - cut off"]) for each in rows if each["budget"] == "5%"
    }
    assert f"on the digits (by {helped['digits']:.2f} points) and on CIFAR-10 (by {helped['CIFAR-10']:.2f})" in said
    assert helped["Fashion-MNIST"] < 0
    assert len(rows) == 6
    assert sum(number(each["linear - converted"]) < 0 for each in rows) == 5
    assert sum("linear from step, converted" in each["separated"] for each in rows) == 3
    assert ["step, converted from" in each["separated"] for each in rows] == [False] * 5 + [True]


@pytest.mark.parametrize("folder", ["snapshot_cycles/digits", "snapshot_cycles/fashion_mnist"])
def test_equal_cycles_are_those_of_their_table(folder: str) -> None:
    rows = {each[""]: number(each["error %"]) for each in table(folder)}
    six, last, single = (rows[name] for name in ("snapshots", "last snapshot", "one cosine run"))
    expected = f"averaged {six} %, the last one alone {last} %, one cosine run of the same length {single} %"
    assert expected in row(folder)


def test_one_cycle_and_long_steps_are_those_of_their_table() -> None:
    ends = [f"{number(each['test error, %']):.2f}" for each in table("super_convergence")]
    said = row("super_convergence")
    assert "in 3 epochs {} %, steps in 3 epochs {} %, steps in 24 epochs {} %".format(*ends[:3]) in said
    assert "With 10,000 images {}, {} and {} %.".format(*ends[3:]) in said
    text = (ROOT / "results" / "super_convergence" / "table.md").read_text("utf-8")
    minus = re.findall(r"of its own length: (-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]", text)
    (least, most), (fewest_least, fewest_most) = ((float(low), float(high)) for _, low, high in minus)
    assert f"by {minus[0][0].removeprefix('-')} points" in said
    assert least < most < 0
    assert fewest_least < 0 < fewest_most


def test_onecycle_is_separated_as_in_its_study() -> None:
    (budget,) = table("onecycle_cifar10")[0].keys() - {"schedule"}
    got = means("onecycle_cifar10", "schedule", budget)
    said = row("onecycle_cifar10")
    assert f"| {got['onecycle']:.2f} %; steps and a constant rate" in said
    assert f"{got['step']:.2f} and {got['constant']:.2f} %." in said
    assert not any("†" in each[budget] for each in table("onecycle_cifar10"))


def test_constant_rate_is_ahead_in_the_short_study_of_a_language_model() -> None:
    (budget,) = table("gpt_study")[0].keys() - {"schedule"}
    got = means("gpt_study", "schedule", budget)
    expected = (
        f"Constant {got['constant']:.2f} % of bytes wrong, linear {got['linear']:.2f}, cosine {got['cosine']:.2f}."
    )
    assert expected in row("gpt_study")
    assert not any("†" in each[budget] for each in table("gpt_study"))


def test_areas_of_any_length_are_those_of_their_table() -> None:
    rows = {each["way"]: each["area"] for each in table("anytime_digits")}
    names = {
        "averaged weights {} (EMA)": "constant, EMA",
        "{} (LAWA)": "constant, LAWA",
        "one trunk {},": "constant trunk, cooldowns (WSD)",
        "schedule-free {},": "schedule-free SGD",
        "per length {},": "fresh linear run per budget",
        "SGDR {},": "one cyclic run (SGDR)",
        "constant {}.": "constant",
    }
    assert set(names.values()) == set(rows)
    for words, way in names.items():
        assert words.format(f"{number(rows[way]):.2f}") in row("anytime_digits")
    assert {way for way, area in rows.items() if "†" not in area and "**" not in area} == {
        "one cyclic run (SGDR)",
        "constant",
    }


def test_cooldowns_are_those_of_their_table() -> None:
    rows = table("decay_after")
    trained = [number(each["trained, error %"]) for each in rows if each["trained, error %"]]
    merged = [number(each["merged, error %"]) for each in rows if each["trained, error %"]]
    last = next(each for each in rows if each["decay"] == "last state")
    said = row("decay_after")
    assert len(trained) == 6
    assert f"{min(trained):.2f} to {max(trained):.2f} % over six shapes" in said
    assert (
        f"snapshots {min(merged):.2f} to {max(merged):.2f} %; no cooldown {number(last['merged, error %']):.2f} %"
        in said
    )
    for each in rows[:6]:
        low, high = interval(each["merged - trained"])
        assert low < 0 < high
    told = (ROOT / "results" / "decay_after" / "table.md").read_text("utf-8").partition("Least mean error")[2]
    assert all(f"{kind} {each['decay']}" in told for kind in ("trained", "merged") for each in rows[:6])


def test_ensemble_of_cycles_is_that_of_its_table() -> None:
    rows = {each[""]: each["error %"] for each in table("cifar10_snapshots")}
    four, last, single = (rows[name] for name in ("mean of probabilities", "member 4, sgdr@5280", "single"))
    expected = f"averaged {four} %, the last one alone {last} %, one cosine run of the same length {single} %"
    assert expected in row("cifar10_snapshots")


def test_rules_of_the_range_test_are_as_far_apart_as_measured() -> None:
    fashion, digits = table("fashion_search", 1), table("digits_search", 1)
    errors = [number(each["error, %"]) for each in fashion]
    said = row("fashion_search")
    assert f"five rules' rates end at {min(errors):.2f} to {max(errors):.2f} %" in said
    assert f"cost {int(max(errors) - min(errors))} points on Fashion-MNIST" in SAID
    assert [each["verdict"] for each in fashion].count("separated") == 4 == len(fashion) - 1
    assert f"four rules are within {max(number(each['regret, points']) for each in digits):.2f} points" in said
    assert {each["verdict"] for each in digits} == {"best", "not separated"}
    assert len(digits) == 4


@pytest.mark.parametrize("words", ["linear", "rex", "cosine", "wsd", "onecycle", "step", "constant"])
def test_bound_is_what_the_library_computes(words: str) -> None:
    linear, other = (ls.plan(each, 1173, peak_value=1.0).lr for each in ("linear", words))
    reference, found = ls.bound(linear), ls.bound(other)
    at_linears = ls.bound(ls.product(other, ls.best_rate(linear))).value
    shown = [found.tuned / reference.tuned, at_linears / reference.tuned, ls.rate_ratio(other, linear)]
    assert f"| {words} | {shown[0]:.3f} | {shown[1]:.3f} | {shown[2]:.2f} |" in TEXT


def test_record_of_the_bound_is_that_of_theory() -> None:
    first, half, twice = (
        [float(cell) for name, cell in each.items() if name != "ordered by"] for each in table("theory")[:3]
    )
    assert f"rank correlations of {min(first):.2f} to {max(first):.2f}; " in SAID
    assert f"at half that rate {min(half):.2f} to {max(half):.2f} are left" in SAID
    assert f"at twice {min(twice):.2f} to {max(twice):.2f}" in SAID
    text = (ROOT / "results" / "theory" / "table.md").read_text("utf-8")
    linear_first, below = re.search(r"theory puts linear first in (\d+);.*REX is below linear in (\d+)", text).groups()
    assert f"linear first in {linear_first} of 48 columns, and REX is below linear in {below}." in SAID


def test_laws_are_as_good_as_their_tables_say() -> None:
    for folder, laws in ("forecast_gpt", 3), ("forecast_resnet", 3):
        rows = table(folder)
        ranks = [float(each["Spearman"]) for each in rows[:laws]]
        assert f"{min(ranks):.2f} to {max(ranks):.2f}" in SAID
        same = next(each for each in rows if "same as linear" in each["predicted by"])
        further = [float(each["mean error, nats"]) > float(same["mean error, nats"]) for each in rows[:laws]]
        assert all(further) == (folder == "forecast_resnet")
    shorter = next(each for each in table("forecast_gpt") if "lower for longer" in each["predicted by"])
    assert f'("lower for longer") has {shorter["Spearman"]}' in SAID
    convex = next(each for each in table("forecast_gpt") if "convex_end" in each["predicted by"])
    assert f"convex_end has {convex['Spearman']})" in SAID


def test_the_three_questions_come_first() -> None:
    first_screen = TEXT.partition("```sh")[0]
    assert len(first_screen.splitlines()) <= 16
    assert len(re.findall(r"^\| \*\*.*\?\*\*", first_screen, flags=re.MULTILINE)) == 3
    for words in re.findall(r"`([a-z]+)`", first_screen):
        assert ls.plan(words, 100, peak_value=0.1).lr.total_steps == 100
