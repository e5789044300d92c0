"""What the runs of table 2 share, counted from the sampling rates alone."""

import pathlib

import pytest
import shared_trunks

from lrsched.runs import many


# Budgets of 36, 90, 180 and 360 updates, five profiles each. Those of 90 and more share what the first of them are held
# for, those of 180 and more what is held beyond that, and so on; 18 updates and less are not worth a state. The step
# schedule falls at half the budget: sampled at thirds or quarters it is held to the second sample.
@pytest.mark.parametrize(
    ("sampling", "spared"),
    [
        ("50-75", 14 * 45 + 9 * (90 - 45) + 4 * (180 - 90)),
        ("33-66", 14 * 30 + 9 * (60 - 30) + 4 * (120 - 60) + (60 - 30) + (120 - 60)),
        ("25-50-75", 14 * 23 + 9 * (45 - 23) + 4 * (90 - 45) + (45 - 23) + (90 - 45)),
    ],
)
def test_runs_share_what_is_held_at_the_first_sample(sampling: str, spared: int) -> None:
    runs = many.resolve_all(shared_trunks.configs([sampling], max_epochs=8.0), data_dir=None, count=1)
    assert shared_trunks.count(runs) == {"runs": 20, "updates": 5 * (36 + 90 + 180 + 360), "spared": spared}


def test_differing_names_fields_that_are_no_circumstance() -> None:
    first = {"run": "a", "seconds": 1.0, "test_error": 0.1}
    assert shared_trunks.differing(first, {**first, "seconds": 2.0, "trunk": {"run": "b", "step": 9}}) == []
    assert shared_trunks.differing(first, {"run": "a", "params_digest": "x"}) == ["params_digest", "test_error"]


def test_table_says_how_many_records_are_equal(tmp_path: pathlib.Path) -> None:
    run = {
        "run": "a",
        "label": "rex",
        "total_steps": 10,
        "shared_steps": 5,
        "params_digest": "x",
        "separate_digest": "x",
    }
    record = {
        "shared_trunks": {"50-75": {"runs": 2, "updates": 20, "spared": 5}},
        "max_epochs": 8.0,
        "runs": [{**run, "differs": []}, {**run, "separate_digest": "y", "differs": ["params_digest"]}],
    }
    text = shared_trunks.write_results(record, tmp_path)
    assert "| 50-75 | 2 | 20 | 5 | 25.0 % |" in text
    assert "10 of 20 updates were made, 50.0 % fewer. 1 of 2 records" in text
    assert "1 of 2 digests" in text
