"""Writes fastai_suggestions.json: what fastai's four rules for range tests say of 50 curves.

    python3 -m venv env && env/bin/pip install torch fastai
    env/bin/python tests/conformance/record_suggestions.py

Run once; the file holds versions, curves and answers. fastai computes in float32, so the curves' numbers are rounded to
short decimals whose float32 both sides are given.
"""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import record

FILE = pathlib.Path(__file__).with_name("fastai_suggestions.json")
RULES = ("minimum", "steep", "valley", "slide")
STRANGE = {  # where valley's quirks show
    "never falls": [0.1 * k for k in range(20)],
    "falls once, at its start": [1.0, 0.5, *(2.0 + 0.1 * k for k in range(18))],
    "flat": [2.3] * 20,
    "falls throughout": [3.0 - 0.1 * k for k in range(20)],
}


def curves(seed: int, count: int) -> Iterator[tuple[list[float], list[float]]]:
    """Rates and losses: a plateau, a fall by a sigmoid, a rise by a square, and noise; 16 to 140 points."""
    rng = np.random.default_rng([seed, *b"suggestions"])
    for _ in range(count):
        points = int(rng.integers(16, 141))
        x = np.linspace(0.0, 1.0, points)
        fall = rng.uniform(0.2, 2.0) / (1 + np.exp(-rng.uniform(5, 30) * (x - rng.uniform(0.2, 0.7))))
        rise = rng.uniform(1, 60) * np.maximum(0, x - rng.uniform(0.6, 1.0)) ** 2
        noise = rng.choice([0.0, 0.003, 0.03, 0.2]) * rng.standard_normal(points)
        yield rounded(10 ** rng.uniform(-8, -3) * 10 ** (x * rng.uniform(2, 8))), rounded(2.5 - fall + rise + noise)


def strange() -> Iterator[tuple[list[float], list[float]]]:
    for values in STRANGE.values():
        yield rounded(np.geomspace(1e-5, 1.0, len(values))), rounded(np.array(values))


def rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def answers(rates: list[float], values: list[float]) -> dict[str, float]:
    """fastai's, from float32 tensors."""
    tensor, rules = record.module("torch").tensor, record.module("fastai.callback.schedule")
    return {name: getattr(rules, name)(tensor(rates), tensor(values), len(rates))[0] for name in RULES}


def records(seed: int, count: int) -> Iterator[dict[str, Any]]:
    for rates, values in [*curves(seed, count), *strange()]:
        yield {"rates": rates, "values": values, **answers(rates, values)}


def main() -> None:
    versions = {name: importlib.metadata.version(name) for name in ("torch", "fastai")}
    lines = ",\n".join(json.dumps(found, separators=(",", ":")) for found in records(seed=0, count=50))
    FILE.write_text(f'{{"versions": {json.dumps(versions)},\n"curves": [\n{lines}\n]}}\n')
    sys.stdout.write(f"{FILE.stat().st_size // 1024} KiB, {versions}\n")


if __name__ == "__main__":
    main()
