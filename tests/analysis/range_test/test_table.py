"""The table of a range test."""

import math

import pytest
from known_curves import LOSS, curves

from lrsched.analysis.range_test.curves import Suggestion, suggest
from lrsched.analysis.range_test.table import cycle_bounds, format_markdown


def test_cycle_bounds_by_hand() -> None:
    found = cycle_bounds(0.6)
    assert found == {
        k: pytest.approx(v) for k, v in {"max/3": 0.2, "max/4": 0.15, "max/10": 0.06, "max/20": 0.03}.items()
    }


@pytest.mark.parametrize("peak", [0.0, -1.0, math.nan, math.inf])
def test_cycle_bounds_of_no_rate(peak: float) -> None:
    with pytest.raises(ValueError, match=f"peak must be above 0 and finite, got {peak}"):
        cycle_bounds(peak)


def test_table_by_hand() -> None:
    found = {
        "valley": Suggestion("valley", 0.0124, (0.01, 0.0154), (0.01, 0.0154, None)),
        "slide": Suggestion("slide", None, None, (None, None, None)),
    }
    assert format_markdown(found) == (
        "| rule | rate | lowest to highest | n | many cycles from | one cycle from | source |\n"
        "| --- | ---: | --- | --- | --- | --- | --- |\n"
        "| `valley` | 0.0124 | 0.01 to 0.0154 | 2 of 3 | 0.0031 to 0.0041 | 0.00062 to 0.0012 | fastai `valley` |\n"
        "| `slide` | - | - | 0 of 3 | - | - | fastai `slide` |\n"
    )


def test_table_has_a_source_for_every_rule() -> None:
    found = suggest(curves(LOSS)) | suggest(curves(LOSS / 10, quantity="holdout_accuracy"))
    assert len(found) == 7
    assert not any(line.endswith("| - |") for line in format_markdown(found).splitlines())
