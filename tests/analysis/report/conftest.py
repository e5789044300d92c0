"""A study that was never trained, as a report needs it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lrsched.analysis.report.study import Findings
from lrsched.analysis.study.cells import gather
from lrsched.analysis.study.comparisons import compare_cells

MakeStudy = Callable[..., Findings]


@pytest.fixture
def study(record: Callable[..., dict[str, Any]]) -> MakeStudy:
    def make(
        errors: dict[tuple[str, str], list[float]],
        *,
        asked: dict[str, Any] | None = None,
        diverged: tuple[str, str, int] | None = None,
        **words: Any,
    ) -> Findings:
        """(label, budget) -> test errors of seeds 0, 1, ..."""
        rows = []
        for (label, budget), values in errors.items():
            for seed, error in enumerate(values):
                gone = 7 if diverged == (label, budget, seed) else None
                row = record(label, budget, seed, error, diverged_at=gone, momentum=None)
                row |= {
                    "total_steps": 40,
                    "seconds": 1.5,
                    "run": f"{len(rows):016x}",
                    "train_loss": 0.5,
                    "origin": None,
                }
                row |= {"commit": "c" * 40, "versions": {"jax": "1"}, "device": {"device_kind": "cpu", "cpus": 2}}
                row |= {"data": {"name": "digits", "digest": "d", "train": 100, "holdout": 0, "test": 50}}
                row |= {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:10:00Z"}
                row |= {"applied_rate_max_rel_error": 6e-8, "applied_momentum_max_rel_error": 0.0}
                rows.append(row)
        asked = asked or {}
        cells, margin = gather(rows), asked.get("no_worse_than")
        steps = np.arange(20)
        labels = list(dict.fromkeys(cell.label for cell in cells))
        found = {
            "title": "A study",
            "records": rows,
            "selection": [],
            "asked": asked,
            "missing": 0,
            "cells": cells,
            "comparisons": compare_cells(
                cells, reference=asked.get("reference"), margin=None if margin is None else margin / 100
            ),
            "entries": [],
            "losses": {label: (steps, np.exp(-steps[None] / 9.0).repeat(2, axis=0)) for label in labels},
            "evaluations": {},
            "schedules": {label: (steps / 20, 1 - steps / 20, np.full(20, 0.9)) for label in labels},
            "commands": ("lrsched study",),
        }
        return Findings(**{**found, **words})

    return make
