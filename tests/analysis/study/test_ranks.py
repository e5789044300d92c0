"""Ranks of schedules over settings."""

from __future__ import annotations

import csv
import importlib.resources
import math
from typing import Any

import pytest
from scipy import stats

from lrsched.analysis.study import ranks
from lrsched.analysis.study.cells import Cell, gather


def cell(label: str, budget: str, mean: float | None, diverged: int = 0) -> Cell:
    rest: dict[str, Any] = {"errors": {}, "missing_seeds": (), "n": 3, "sd": None, "interval": None}
    kept: dict[str, Any] = {"epochs": 1.0, "peak_value": 0.1, "rates_tried": (0.1,), "chosen_on": "only one"}
    return Cell(label=label, budget=budget, mean=mean, diverged=diverged, **rest, **kept)


def study(**means: tuple[float | None, ...]) -> list[Cell]:
    """Label -> mean error per budget; None: a run diverged."""
    return [
        cell(label, f"{budget}%", mean, diverged=int(mean is None))
        for label, row in means.items()
        for budget, mean in enumerate(row)
    ]


def printed() -> list[list[Cell]]:
    """Tables 4-9 of the REX paper, a study for each of its settings."""
    text = importlib.resources.files("lrsched.analysis.study").joinpath("paper_numbers.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(text.splitlines()) if row["table"] == "Tables 4-9"]
    named = dict.fromkeys(row["setting"] for row in rows)
    return [
        [cell(row["schedule"], row["budget_pct"], float(row["mean"])) for row in rows if row["setting"] == setting]
        for setting in named
    ]


def test_standings_by_hand() -> None:
    # Ranks of a: 1, 2, 1; b: 2.5, 1, 2 (a tie of the second); c: 2.5, 3, 4 (diverged); d: 4, 4, 3.
    cells = study(a=(0.1, 0.2, 0.1), b=(0.2, 0.1, 0.2), c=(0.2, 0.3, None), d=(0.4, 0.4, 0.4))
    found = {one.label: one for one in ranks.rank_cells([cells])}
    assert [found[label].mean_rank for label in "abcd"] == pytest.approx([4 / 3, 5.5 / 3, 9.5 / 3, 11 / 3])
    assert [found[label].top_1 for label in "abcd"] == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert [found[label].top_3 for label in "abcd"] == pytest.approx([1, 1, 2 / 3, 1 / 3])
    assert list(found) == ["a", "b", "c", "d"]
    assert {one.settings for one in found.values()} == {3}
    for one in found.values():
        assert one.top_1_interval is not None
        assert one.top_1_interval[0] <= one.top_1 <= one.top_1_interval[1]
    assert found["d"].top_1_interval == (0.0, 0.0)


def test_equal_best_ones_are_both_first() -> None:
    found = ranks.rank_cells([study(a=(0.1,), b=(0.1,), c=(0.2,))])
    assert [(one.mean_rank, one.top_1) for one in found] == [(1.5, 1.0), (1.5, 1.0), (3.0, 0.0)]
    assert found[0].rank_interval is None  # of a single setting


def test_means_that_differ_by_the_rounding_of_records_share_a_place() -> None:
    # 5 and 3 wrong of 359, against 4 and 4: each error is recorded to ten digits
    first, second = ((round(a / 359, 10) + round(b / 359, 10)) / 2 for a, b in ((5, 3), (4, 4)))
    assert 0 < abs(first - second) < 1e-9
    found = ranks.rank_cells([study(one=(first,), other=(second,), last=(0.5,))])
    assert [(each.mean_rank, each.top_1) for each in found] == [(1.5, 1.0), (1.5, 1.0), (3.0, 0.0)]


def test_rex_is_the_first_in_39_of_the_papers_48_settings() -> None:
    found = ranks.rank_cells(printed())
    assert (found[0].label, found[0].settings) == ("rex", 48)
    assert found[0].top_1 == 39 / 48
    assert found[0].top_3 == 1.0
    assert found[0].top_1_interval is not None
    low, high = stats.binomtest(39, 48).proportion_ci(0.95, method="wilson")
    assert found[0].top_1_interval == pytest.approx((low, high), abs=0.03)


def test_schedule_that_some_settings_lack_is_ranked_in_the_others() -> None:
    found = {one.label: one for one in ranks.rank_cells([study(a=(0.1, 0.2), b=(0.2, 0.1)), study(a=(0.3,))])}
    assert (found["a"].settings, found["b"].settings) == (3, 2)
    assert found["a"].mean_rank == pytest.approx(4 / 3)


def test_all_diverged_share_the_last_ranks() -> None:
    found = {one.label: one for one in ranks.rank_cells([study(a=(None,), b=(None,), c=(0.2,))])}
    assert (found["a"].mean_rank, found["b"].mean_rank, found["c"].mean_rank) == (2.5, 2.5, 1.0)


# Two-tailed Nemenyi test at 5 %, table 5(a) of Demsar (2006): q of k = 3, 4, 5, 10 schedules.
@pytest.mark.parametrize(("count", "q"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_difference_is_nemenyis(count: int, q: float) -> None:
    means = {f"s{i}": tuple(0.1 + 0.01 * ((i * 7 + b * (i + 1)) % 11) for b in range(6)) for i in range(count)}
    found = ranks.find_critical_difference([study(**means)])
    assert found.difference == pytest.approx(q * math.sqrt(count * (count + 1) / 36), rel=1e-3)
    assert found.p == pytest.approx(stats.friedmanchisquare(*means.values()).pvalue)
    assert found.settings == 6


def test_critical_difference_groups_of_the_papers_tables() -> None:
    found = ranks.find_critical_difference(printed())
    assert found.ranks[0][0] == "rex"
    assert "none" not in dict(found.ranks)  # half of the settings have it
    assert found.p < 1e-20
    assert found.groups
    assert not any("rex" in group for group in found.groups)
    order = dict(found.ranks)
    assert all(order[group[-1]] - order[group[0]] <= found.difference for group in found.groups)


def test_critical_difference_groups_those_within_it() -> None:
    # Ranks 1, 2.5, 2.5 and 4 of 12 settings; the difference is 2.569 * sqrt(4 * 5 / (6 * 12)) = 1.354.
    turns = (0.2, 0.3) * 6
    found = ranks.find_critical_difference([study(a=(0.1,) * 12, b=turns, c=turns[1:] + turns[:1], d=(0.4,) * 12)])
    assert found.difference == pytest.approx(1.354, abs=1e-3)
    assert [set(group) for group in found.groups if len(group) > 1] == [{"b", "c"}]


def test_critical_difference_tells_nothing_apart_unless_friedman_does() -> None:
    found = ranks.find_critical_difference([study(a=(0.1, 0.2, 0.3), b=(0.2, 0.3, 0.1), c=(0.3, 0.1, 0.2))])
    assert found.p > 0.9
    assert [set(group) for group in found.groups] == [{"a", "b", "c"}]


def test_critical_difference_where_all_are_alike() -> None:
    found = ranks.find_critical_difference([study(a=(0.1, 0.2), b=(0.1, 0.2), c=(0.1, 0.2))])
    assert (found.p, len(found.groups)) == (1.0, 1)


@pytest.mark.parametrize("means", [{"a": (0.1, 0.2), "b": (0.2, 0.1)}, {"a": (0.1,), "b": (0.2,), "c": (0.3,)}])
def test_critical_difference_of_too_few(means: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="needs at least 3 schedules in each of at least 2 settings, got"):
        ranks.find_critical_difference([study(**means)])


def test_ranks_are_of_gathered_cells(record: Any) -> None:
    cells = gather([record("rex", test_error=0.1), record("linear", diverged_at=0), record("step", test_error=0.2)])
    assert [one.label for one in ranks.rank_cells([cells])] == ["rex", "step", "linear"]
