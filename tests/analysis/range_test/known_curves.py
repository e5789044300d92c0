"""Curves that several tests of range tests read."""

from typing import Any

import numpy as np

from lrsched.analysis.range_test.curves import Curves
from lrsched.analysis.range_test.reading import Reading

N = 100
RATES = 1e-7 * 1e8 ** (np.arange(N) / N)  # fastai's: k / N, so they stop short of 10
X = np.log10(RATES)
# A loss that falls by a sigmoid around 1e-3 and rises by a square from 0.316 on. It is lowest at point 81, it is four
# times that first at 89, and the sigmoid is steepest in the middle, from point 49 (1e-7 * 10^(8 * 0.49)).
LOSS = 2.5 - 1.5 / (1 + np.exp(-3 * (X + 3))) + np.where(X < -0.5, 0.0, 8 * (X + 0.5) ** 2)


def curves(*rows: Any, quantity: str = "train_loss", rates: Any = None, **fields: Any) -> Curves:
    """Curves without smoothing and skipped points, unless a test wants them."""
    values = np.array(rows, np.float64)
    rates = np.geomspace(1e-3, 1.0, values.shape[1]) if rates is None else np.array(rates, np.float64)
    return Curves(rates, values, Reading(quantity, **{"beta": 0.0, "skip_start": 0, "skip_end": 0, **fields}))
