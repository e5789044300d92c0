"""What tables claim of schedules of which the truth is known: nothing of the same one, and a large difference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lrsched.analysis.study import table
from lrsched.analysis.study.cells import Cell
from lrsched.analysis.study.comparisons import judge

REPEATS = 300
DESIGNS = [(3, 1), (3, 3), (6, 1), (6, 3)]  # schedules, budgets
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
# Errors of sd 1, or nearly: symmetric, with a long tail (skewness 6.2), and of which many are the same.
ERRORS: dict[str, Draw] = {
    "normal": lambda generator, shape: generator.normal(size=shape),
    "skewed": lambda generator, shape: generator.lognormal(size=shape) / np.sqrt(np.e * (np.e - 1)),
    "with ties": lambda generator, shape: np.round(generator.normal(size=shape)) / np.sqrt(1 + 1 / 12),
}


def cell(label: str, budget: str, errors: np.ndarray) -> Cell:
    told = dict(enumerate(errors.tolist()))
    numbers = {"n": len(told), "mean": float(errors.mean()), "sd": None, "interval": None}
    kept = {"epochs": 1.0, "peak_value": 0.1, "rates_tried": (0.1,), "chosen_on": "only one"}
    return Cell(label=label, budget=budget, errors=told, diverged=0, missing_seeds=(), **kept, **numbers)


def claims(errors: np.ndarray) -> set[tuple[str, str]]:
    """The entries of a table that are neither the best of their budget nor marked as not separated from it.

    Args:
      errors: [budgets, seeds, schedules].
    """
    cells = [cell(f"s{i}", f"b{b}", values) for b, column in enumerate(errors) for i, values in enumerate(column.T)]
    marks = table.mark(cells, judge(cells))
    return {place for place, (best, tied) in marks.items() if not best and not tied}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("kind", ERRORS)
def test_table_of_one_schedule_under_several_names_claims_a_difference_in_at_most_7_percent(
    kind: str, seeds: int
) -> None:
    # Of 4000 repeats, 1 to 5 % do: 300 stay below 7 %, unless by chance, and the generator is always the same.
    generator = np.random.default_rng(seeds)
    for schedules, budgets in DESIGNS if kind == "normal" else DESIGNS[::3]:
        studies = ERRORS[kind](generator, (REPEATS, budgets, seeds, schedules))
        share = np.mean([bool(claims(study)) for study in studies])
        assert share <= 0.07, (schedules, budgets)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ERRORS)
def test_table_claims_a_difference_of_two_sd_with_ten_seeds_in_at_least_90_percent(kind: str) -> None:
    generator = np.random.default_rng(1)
    for schedules, budgets in DESIGNS if kind == "normal" else DESIGNS[::3]:
        studies = ERRORS[kind](generator, (REPEATS // 3, budgets, 10, schedules))
        studies[..., 0] += 2.0  # worse than the rest, which are alike
        found = np.mean([("s0", "b0") in claims(study) for study in studies])
        assert found >= 0.9, (schedules, budgets)
        studies[..., 0] -= 4.0  # better than the rest
        found = np.mean([any(budget == "b0" for _, budget in claims(study)) for study in studies])
        assert found >= 0.9, (schedules, budgets)


@pytest.mark.slow
def test_table_keeps_its_promise_where_one_schedule_is_noisier() -> None:
    generator = np.random.default_rng(2)
    spreads = np.array([3.0, 1.0, 1.0, 1.0])
    studies = spreads * generator.normal(size=(REPEATS, 1, 10, 4))
    assert np.mean([bool(claims(study)) for study in studies]) <= 0.07
    studies[..., 1] -= 2.0  # between calm ones
    cells = [[cell(f"s{i}", "b", values) for i, values in enumerate(study[0].T)] for study in studies]
    pairs = [{(one.first.label, one.second.label): one.separated for one in judge(column)} for column in cells]
    assert np.mean([pair["s1", "s2"] for pair in pairs]) >= 0.7


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("factor", "most"), [(3.0, 0.13), (10.0, 0.18)])
def test_few_seeds_show_only_in_part_that_one_schedule_is_noisier(factor: float, most: float, seeds: int) -> None:
    # What the manual says of it; where all spread alike it is at most 5 %.
    spreads = np.array([factor, 1.0, 1.0, 1.0, 1.0, 1.0])
    studies = spreads * np.random.default_rng(seeds).normal(size=(REPEATS, 3, seeds, 6))
    assert np.mean([bool(claims(study)) for study in studies]) <= most
