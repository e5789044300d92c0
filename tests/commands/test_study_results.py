"""What a study writes beside its records: comparisons and the ledger."""

from __future__ import annotations

import csv
import pathlib

from lrsched.commands._study_results import write_results
from lrsched.runs import records, studies

RESULTS = pathlib.Path(__file__).parents[2] / "results"


def test_comparisons_are_with_the_reference_and_margin_asked_for(tmp_path: pathlib.Path) -> None:
    old = records.read(RESULTS / "digits_study" / "records.jsonl").rows
    write_results(studies.SavedStudy(old, [], {"reference": "linear", "no_worse_than": 2.0}), tmp_path)
    rows = list(csv.DictReader((tmp_path / "comparisons.csv").read_text().splitlines()))
    assert len(rows) == 15
    assert {row["second"] for row in rows} == {"linear"}
    assert {row["no_worse"] for row in rows} == {"yes", "no"}
    assert "†: not separated from linear" in (tmp_path / "table.md").read_text()
    assert not (tmp_path / "ledger.md").exists()


def test_reference_without_a_run_on_record_yet_is_left_out(tmp_path: pathlib.Path) -> None:
    old = records.read(RESULTS / "digits_study" / "records.jsonl").rows
    kept = [record for record in old if record["label"] in ("rex", "step")]
    write_results(studies.SavedStudy(kept, [], {"reference": "linear"}), tmp_path)
    assert "not separated from it" in (tmp_path / "table.md").read_text()


def test_ledger_of_a_study_that_a_paper_has_numbers_of(tmp_path: pathlib.Path) -> None:
    write_results(studies.load(RESULTS / "rex_table4"), tmp_path)
    assert "| 28.70 ± 1.13 (3) |" in (tmp_path / "ledger.md").read_text()
