"""Traces with a known fault: what is drawn, what the check makes of it, and how outcomes are counted."""

import json
import pathlib
from typing import Any

import check_faults
import pytest

RECORD = pathlib.Path(__file__).parents[2] / "results" / "check_faults" / "record.json"
TRACES: list[dict[str, Any]] = json.loads(RECORD.read_text())["checked_traces"]


def named(kind: str, *others: str) -> dict[str, Any]:
    (what, *_) = [what for what, (own, _) in check_faults.FAULTS.items() if own == kind]
    return {"what": what, "agrees": False, "named": list(others)}


@pytest.mark.parametrize("number", [2, 4, 7, 13, *range(-8, 0)])  # four faults, eight honest ones
def test_draw_and_its_verdict_are_made_again(number: int, tmp_path: pathlib.Path) -> None:
    kept = TRACES[number]
    assert (kept["what"] == check_faults.HONEST) == (number < 0)
    assert check_faults.examine(kept["what"], 0, kept["number"], tmp_path) == kept


def test_outcome_is_the_place_of_the_right_kind() -> None:
    cases = [named("late", "late", "budget"), named("late", "budget", "late"), named("late", "budget"), named("late")]
    unseen = {**named("late"), "agrees": True}
    assert tuple(map(check_faults.outcome, [*cases, unseen])) == check_faults.OUTCOMES


def test_interval_is_wilsons() -> None:
    # n = 10, all right: 1 / (1 + z^2 / n) = 1 / 1.384 = 72 %.
    assert check_faults.share(10, 10) == "10 (72 to 100 %)"
