"""What several test files do."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

import jax
import pytest

from lrsched.runs import run as runs
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Overall, Record, Status
from lrsched.runs.run import record_of
from lrsched.runs.task import resolve


class Stopped(Exception):
    """Raised out of a report, as a kill ends a command: between two updates."""


def train(config: RunConfig, **where: Any) -> Record:
    """The record of a run that is saved nowhere."""
    return record_of(runs.train(resolve(config, **where)))


def users_environment(devices: int = 1) -> dict[str, str]:
    """What a process is given that is to run as a user's does: without the suite's promotion, on so many devices.

    It compiles as quickly as the suite does.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JAX_NUMPY_")}
    return kept | {"XLA_FLAGS": re.sub(r"(device_count)=\d+", rf"\1={devices}", os.environ["XLA_FLAGS"])}


def numbers(record: Record | None) -> Record:
    """What may not differ between two runs of the same configuration."""
    assert record is not None
    return {name: value for name, value in record.items() if name not in runs.CIRCUMSTANCES}


def listen(stop_after: int | None = None) -> tuple[list[str], Callable[[Any], None]]:
    """The messages that a report is told, and the report; it stops the command after so many updates of a run."""
    messages: list[str] = []

    def report(event: str | Status | Overall) -> None:
        if isinstance(event, str):
            messages.append(event)
        elif isinstance(event, Status) and stop_after is not None and event.completed >= stop_after:
            raise Stopped

    return messages, report


def run_snippet(code: str) -> dict[str, Any]:
    """Runs a snippet of the documentation, under JAX's own promotion: what its names stand for at its end."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
        exec(compile(code, "a snippet", "exec"), names)
    return names


def public_curves() -> pathlib.Path:
    """The folder of public loss curves beside the checkout or above it; without one the test is skipped."""
    for folder in pathlib.Path(__file__).resolve().parents[1:]:
        if (found := folder / "shared" / "data" / "loss_curves").is_dir():
            return found
    pytest.skip("the public loss curves (multi_power_law, cooldown_grid) are not in shared/data beside the checkout")
