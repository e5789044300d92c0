"""A record as a study writes it, with what a test wants different."""

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def record() -> Make:
    def make(
        label: str = "rex",
        budget: str = "5%",
        seed: int = 0,
        test_error: float | None = 0.1,
        holdout_error: float | None = None,
        peak_value: float = 0.1,
        diverged_at: int | None = None,
        max_epochs: int = 40,
        **config: Any,
    ) -> dict[str, Any]:
        base = {"data": "digits", "model": "resnet8", "optimizer": "sgd", "schedule": {"schedule": label}}
        base |= {"batch_size": 128, "momentum": None, "weight_decay": 5e-4}
        varied = {"peak_value": peak_value, "budget": budget, "max_epochs": max_epochs}
        return {
            "config": {**base, **varied, **config},
            "label": label,
            "seed": seed,
            "epochs": float(budget.removesuffix("%")) * max_epochs / 100,
            "test_error": None if diverged_at is not None else test_error,
            "holdout_error": None if diverged_at is not None else holdout_error,
            "diverged_at": diverged_at,
        }

    return make
