"""Differences between the schedules of a study."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lrsched.analysis.power import seeds_needed
from lrsched.analysis.study.cells import Cell, gather
from lrsched.analysis.study.comparisons import Comparison, compare_cells, to_csv

ERRORS = {
    "rex": (0.100, 0.110, 0.120, 0.105),
    "linear": (0.110, 0.121, 0.129, 0.116),
    "step": (0.09, 0.13, 0.15, 0.20),
}


@pytest.fixture
def cells(record: Any) -> list[Cell]:
    return gather([record(label, seed=s, test_error=e) for label, row in ERRORS.items() for s, e in enumerate(row)])


def only(comparisons: list[Comparison], first: str, second: str) -> Comparison:
    (one,) = (one for one in comparisons if (one.first, one.second) == (first, second))
    return one


def test_all_pairs_in_the_order_of_the_cells(cells: list[Cell]) -> None:
    found = compare_cells(cells)
    assert [(one.first, one.second) for one in found] == [("rex", "linear"), ("rex", "step"), ("linear", "step")]
    assert {(one.budget, one.n) for one in found} == {("5%", 4)}


def test_difference_interval_and_p_are_those_of_the_paired_t_test(cells: list[Cell]) -> None:
    one = only(compare_cells(cells), "rex", "linear")
    told = stats.ttest_rel(ERRORS["rex"], ERRORS["linear"])
    low, high = told.confidence_interval(0.95)
    assert one.difference == pytest.approx(-0.01025)
    assert one.interval == pytest.approx((low, high))
    assert one.p_t == pytest.approx(told.pvalue)
    assert one.p_sign_flip == 2 / 16
    assert one.bootstrap is not None
    assert -0.0110001 < one.bootstrap[0] < -0.01025 < one.bootstrap[1] < -0.0089999
    assert one.bootstrap_method == "BCa"
    # Of 16 pairs of runs rex is lower in 12, and none ties: 0.100 < 4, 0.110 < 3 and ties 1, 0.105 < 4, 0.120 < 2.
    assert one.improvement == pytest.approx((4 + 3.5 + 4 + 2) / 16)


def test_family_is_holm_over_all_pairs_and_separates_by_it(cells: list[Cell]) -> None:
    found = compare_cells(cells)
    assert [one.separated for one in found] == [(one.p_adjusted or 1) < 0.05 for one in found]
    assert all(one.p_adjusted >= one.p_t for one in found if one.p_adjusted is not None and one.p_t is not None)
    assert [one.separated for one in found] == [True, False, False]


def test_every_budget_is_of_one_family(record: Any) -> None:
    one = [record(label, seed=s, test_error=e) for label in ("rex", "linear") for s, e in enumerate(ERRORS[label])]
    two = [record(label, "25%", s, e) for label in ("rex", "linear") for s, e in enumerate(ERRORS[label])]
    alone, both = compare_cells(gather(one)), compare_cells(gather([*one, *two]))
    assert alone[0].p_adjusted is not None
    assert [each.p_adjusted for each in both] == [pytest.approx(2 * alone[0].p_adjusted)] * 2


def test_reference_is_the_second_of_each_pair_and_makes_the_family_smaller(cells: list[Cell]) -> None:
    found = compare_cells(cells, reference="linear")
    assert [(one.first, one.second) for one in found] == [("rex", "linear"), ("step", "linear")]
    pair = only(compare_cells(cells), "linear", "step")
    turned = only(found, "step", "linear")
    assert turned.difference == pytest.approx(-pair.difference)
    assert pair.interval is not None
    assert turned.interval == pytest.approx((-pair.interval[1], -pair.interval[0]))
    assert turned.improvement == pytest.approx(1 - pair.improvement)
    assert found[0].p_adjusted is not None
    assert found[0].p_adjusted < (compare_cells(cells)[0].p_adjusted or 0)


def test_reference_that_is_not_there(cells: list[Cell]) -> None:
    with pytest.raises(ValueError, match=r"reference must be one of rex, linear, step, got cosine\.$"):
        compare_cells(cells, reference="cosine")


@pytest.mark.parametrize("margin", [0.0, -0.1])
def test_margin_above_zero(cells: list[Cell], margin: float) -> None:
    with pytest.raises(ValueError, match=f"margin must be above 0, got {margin:g}"):
        compare_cells(cells, margin=margin)


def pair(record: Any, shift: float, seeds: int = 20, spread: float = 0.002) -> list[Cell]:
    """Two schedules that differ by `shift` on average, in the order rex, linear."""
    errors = np.random.default_rng(0).normal(0.1, spread, (2, seeds))
    errors[0] += shift - errors[0].mean() + errors[1].mean()
    named = zip(("rex", "linear"), errors, strict=True)
    return gather([record(label, seed=s, test_error=float(e)) for label, row in named for s, e in enumerate(row)])


@pytest.mark.parametrize(
    ("shift", "no_worse", "equivalent"), [(0.0, True, True), (0.03, False, False), (-0.03, True, False)]
)
def test_no_worse_and_equivalent_by_one_sided_tests(
    record: Any, shift: float, no_worse: bool, equivalent: bool
) -> None:
    for reference, labels in (("linear", ("rex", "linear")), (None, ("rex", "linear"))):
        (one,) = compare_cells(pair(record, shift), reference=reference, margin=0.005)
        assert (one.first, one.second) == labels
        assert (one.no_worse, one.equivalent) == (no_worse, equivalent)
        assert one.no_better == (shift >= 0)
    (turned,) = compare_cells(pair(record, shift), reference="rex", margin=0.005)
    assert (turned.no_worse, turned.no_better) == (shift >= 0, no_worse)
    assert turned.equivalent == equivalent


def test_one_sided_tests_are_of_the_family(record: Any) -> None:
    cells = pair(record, 0.002, seeds=8)
    (alone,), (more,) = compare_cells(cells), compare_cells(cells, margin=0.001)
    assert alone.p_adjusted is not None
    assert more.p_adjusted is not None
    assert more.p_adjusted > alone.p_adjusted
    assert (alone.no_worse, alone.no_better, alone.equivalent) == (None, None, None)


def test_no_worse_agrees_with_the_one_sided_t_test(record: Any) -> None:
    # Both one-sided p are the same, and the smallest of the family's three, so that Holm multiplies them by 3.
    cells = pair(record, 0.0, seeds=6)
    first, second = (np.array(list(cell.errors.values())) for cell in cells)
    for margin in np.linspace(0.002, 0.004, 9):
        p = stats.ttest_rel(first - margin, second, alternative="less").pvalue
        assert compare_cells(cells, margin=float(margin))[0].no_worse == (3 * p < 0.05)


def test_diverged_run_is_the_worst_and_is_named(record: Any) -> None:
    rows = [record("rex", seed=s, test_error=0.1 + s / 100) for s in range(3)]
    rows += [record("linear", seed=s, test_error=0.01, diverged_at=5 if s == 1 else None) for s in range(3)]
    rows += [record("step", seed=s, test_error=0.2 - s / 99) for s in range(3)]
    found = compare_cells(gather(rows))
    one = only(found, "rex", "linear")
    assert (one.difference, one.diverged, one.n) == (-math.inf, (0, 1), 3)
    assert (one.interval, one.bootstrap, one.p_t, one.seeds_needed, one.separated) == (None, None, None, None, False)
    assert one.p_sign_flip == 1.0  # two against the infinite one
    assert one.improvement == pytest.approx(3 / 9)
    assert only(found, "linear", "step").difference == math.inf
    assert only(found, "rex", "step").p_t is not None


def test_schedule_that_always_diverges_is_separated_with_enough_seeds(record: Any) -> None:
    rows = [record("rex", seed=s, test_error=0.1 + s / 100) for s in range(8)]
    rows += [record("linear", seed=s, diverged_at=0) for s in range(8)]
    (one,) = compare_cells(gather(rows))
    assert (one.p_sign_flip, one.p_adjusted, one.separated) == (2 / 256, 2 / 256, True)


def test_both_diverged_somewhere_has_no_difference(record: Any) -> None:
    rows = [
        record(label, seed=s, diverged_at=0 if s == at else None) for at, label in enumerate("ab") for s in range(3)
    ]
    (one,) = compare_cells(gather(rows))
    assert math.isnan(one.difference)
    assert one.diverged == (1, 1)


def test_no_shared_seed(record: Any) -> None:
    (one,) = compare_cells(gather([record("rex", seed=0), record("linear", seed=1)]))
    assert (one.n, one.p_t, one.p_sign_flip, one.p_adjusted, one.separated) == (0, None, None, None, False)


def test_csv_has_a_line_for_each_and_says_no_more_than_is_known(cells: list[Cell], record: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(compare_cells(cells)))))
    assert [(row["first"], row["second"]) for row in rows] == [("rex", "linear"), ("rex", "step"), ("linear", "step")]
    assert (rows[0]["n"], rows[0]["separated"], rows[0]["no_worse"]) == ("4", "yes", "")
    assert float(rows[0]["difference"]) == pytest.approx(-0.01025)
    assert float(rows[0]["p_sign_flip"]) == 0.125
    assert all(row["first_diverged"] == "0" for row in rows)
    assert to_csv([]).startswith("budget,first,second,n,difference,")
    (lost,) = csv.DictReader(io.StringIO(to_csv(compare_cells(gather([record("a"), record("b", diverged_at=1)])))))
    assert (lost["difference"], lost["p_t"], lost["second_diverged"]) == ("-inf", "", "1")


def test_seeds_needed_are_at_the_level_of_the_family(record: Any) -> None:
    errors = np.random.default_rng(3).normal(0.1, 0.01, (2, 8))
    rows = [
        record(label, budget, s, float(e))
        for budget in ("5%", "25%", "50%")
        for label, row in zip(("rex", "linear"), errors, strict=True)
        for s, e in enumerate(row)
    ]
    gaps = errors[0] - errors[1]
    (alone,), several = compare_cells(gather(rows[:16])), compare_cells(gather(rows))
    assert alone.seeds_needed == seeds_needed(gaps.mean(), gaps.std(ddof=1))
    assert {one.seeds_needed for one in several} == {seeds_needed(gaps.mean(), gaps.std(ddof=1), level=0.05 / 3)}
