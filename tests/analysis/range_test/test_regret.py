"""What following a rule cost."""

import math

import pytest
from scipy import stats

from lrsched.analysis.range_test.regret import Regret, format_markdown, measure_regret

GRID: dict[float, dict[int, float | None]] = {
    0.1: {0: 0.10, 1: 0.12, 2: 0.14},
    0.3: {0: 0.08, 1: 0.09, 2: 0.10},
    1.0: {0: 0.01, 1: 0.01, 2: None},
}


def test_regret_by_hand() -> None:
    # Best is 0.3 with 0.09; 1.0 would be lower, but a run diverged. Differences 0.02, 0.03, 0.04: mean 0.03, sd 0.01.
    suggested = {"valley": (0.1, GRID[0.1]), "slide": (0.9, {0: None, 1: 0.2, 2: None})}
    valley, slide = measure_regret(GRID, suggested)
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
    assert (valley.rule, valley.rate, valley.n, valley.best_rate) == ("valley", 0.1, 3, 0.3)
    assert (valley.error, valley.regret, valley.best_error) == pytest.approx((0.12, 0.03, 0.09))
    assert valley.interval == pytest.approx((0.03 - half, 0.03 + half))
    assert valley.verdict == "separated"
    assert (slide.verdict, slide.error, slide.regret, slide.interval) == ("diverged 2/3", None, None, None)


def test_regret_is_tested_in_one_family_with_all_rates() -> None:
    # Against 0.3 the rate 0.1 alone has p = 0.035 (differences 0.02, 0.03, 0.04); with another like it that is doubled.
    family = {**GRID, 0.05: GRID[0.1]}
    assert measure_regret(GRID, {"valley": (0.1, GRID[0.1])})[0].verdict == "separated"
    assert measure_regret(family, {"valley": (0.1, GRID[0.1])})[0].verdict == "not separated"


def test_regret_of_a_rule_that_beats_the_grid() -> None:
    best, other = measure_regret(GRID, {"valley": (0.2, {0: 0.07, 1: 0.08, 2: 0.09}), "slide": (0.3, GRID[0.3])})
    assert (best.best_rate, best.regret, best.verdict) == (0.2, 0.0, "best")
    assert (other.best_rate, other.regret) == (0.2, pytest.approx(0.01))


def test_regret_compares_seeds_that_all_rates_share() -> None:
    # On seeds 0 and 1 the grid's means are 0.11 and 0.085.
    (row,) = measure_regret(GRID, {"valley": (0.2, {0: 0.1, 1: 0.1, 7: 0.0})})
    assert (row.n, row.best_rate, row.error, row.regret) == (2, 0.3, 0.1, pytest.approx(0.015))


def test_regret_without_a_shared_seed() -> None:
    with pytest.raises(ValueError, match="seeds must be shared by all rates, got none that is, of 4 rates"):
        measure_regret(GRID, {"valley": (0.2, {7: 0.1})})


def test_regret_of_diverged_runs_alone() -> None:
    with pytest.raises(ValueError, match="rates must hold one without a diverged run, got 1 that have some"):
        measure_regret({0.1: {0: None}}, {})


def test_regret_table_by_hand() -> None:
    rows = [
        Regret("valley", 0.1, 0.12, 0.03, (0.005, 0.055), "separated", 3, 0.3, 0.09),
        Regret("slide", 0.9, None, None, None, "diverged 2/3", 3, 0.3, 0.09),
    ]
    lines = format_markdown(rows).splitlines()
    assert lines[0] == "| rule | rate | error, % | regret, points | 95 % interval | verdict |"
    assert lines[2:4] == [
        "| `valley` | 0.1 | 12.00 | 3.00 | 0.50 to 5.50 | separated |",
        "| `slide` | 0.9 | - | - | - | diverged 2/3 |",
    ]
    assert lines[5].startswith("Best rate tried: 0.3, 9.00 %. Mean error of 3 seeds; ")


def test_regret_table_without_rows() -> None:
    with pytest.raises(ValueError, match="rows must hold at least one, got none"):
        format_markdown([])
