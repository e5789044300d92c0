"""fastai's rules for range tests against ours: as `record_suggestions.py` recorded them, and live where installed."""

import importlib.util
import json
from typing import Any

import numpy as np
import pytest
import record_suggestions

from lrsched.analysis.range_test import rules

RECORDED = json.loads(record_suggestions.FILE.read_text())["curves"]
OURS = {
    "minimum": rules.minimum_tenth,
    "steep": rules.steepest,
    "valley": rules.valley,
    "slide": rules.slide,
}


def check(found: dict[str, Any], name: str) -> None:
    """Equality to the last bit: each rule chooses one of the rates."""
    rates, values = (np.float64(np.float32(found[key])) for key in ("rates", "values"))
    assert OURS[name](rates, values) == found[name]


@pytest.mark.parametrize("name", record_suggestions.RULES)
def test_recorded_suggestion_of_fastai_is_ours(name: str) -> None:
    assert len(RECORDED) == 50 + len(record_suggestions.STRANGE)
    for found in RECORDED:
        check(found, name)


@pytest.mark.parametrize("name", record_suggestions.RULES)
def test_recorded_suggestions_of_fastai_differ_among_curves(name: str) -> None:
    scale = 10 if name == "minimum" else 1
    places = {int(np.abs(np.array(found["rates"]) - scale * found[name]).argmin()) for found in RECORDED}
    assert len(places) > 20


def test_valley_of_fastai_gives_the_last_rate_of_a_curve_that_falls_once() -> None:
    values = record_suggestions.STRANGE["falls once, at its start"]
    (found,) = [found for found in RECORDED if found["values"] == record_suggestions.rounded(np.array(values))]
    assert found["valley"] == found["rates"][-1] == 1.0


@pytest.mark.skipif(importlib.util.find_spec("fastai") is None, reason="fastai is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's, when fastai is imported
def test_live_suggestion_of_fastai_is_ours_for_other_curves() -> None:
    for found in record_suggestions.records(seed=1, count=20):
        for name in record_suggestions.RULES:
            check(found, name)
