"""Values that the sources print, or that their formulas and codes give when worked out apart from this library."""

import csv
import pathlib

import numpy as np
import pytest

from lrsched.schedules import language, registry

FILE = pathlib.Path(__file__).parent / "golden.csv"
ROWS = list(csv.DictReader(FILE.read_text().splitlines()))


def by_schedule() -> dict[tuple[str, str, str, str], list[dict[str, str]]]:
    grouped: dict[tuple[str, str, str, str], list[dict[str, str]]] = {}
    for row in ROWS:
        grouped.setdefault((row["kind"], row["words"], row["peak"], row["total_steps"]), []).append(row)
    return grouped


def test_file_has_its_values_and_their_origins() -> None:
    assert len(ROWS) >= 200
    assert all(row["origin"] for row in ROWS)


@pytest.mark.parametrize(("kind", "words", "peak", "total_steps"), by_schedule())
def test_golden_values_are_met(kind: str, words: str, peak: str, total_steps: str) -> None:
    rows = by_schedule()[kind, words, peak, total_steps]
    family = registry.SCHEDULES if kind == "lr" else registry.MOMENTA
    first = None if kind == "momentum" and "onecycle" in words else float(peak)  # 1cycle's momentum has its own
    schedule = registry.build(language.parse(words, kind=family), first, total_steps=int(total_steps), kind=family)
    steps = np.array([int(row["step"]) for row in rows])
    values = np.array([float(row["value"]) for row in rows])
    printed = np.array([float(row["printed_to"]) for row in rows])
    for got in (schedule.table(steps), np.asarray(schedule(steps), np.float64)):
        np.testing.assert_array_less(np.abs(got - values), 1e-6 * np.abs(values) + printed)
