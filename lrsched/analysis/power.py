"""How many seeds a difference needs to be seen."""

from __future__ import annotations

import math

POWER = 0.8
MOST_SEEDS = 1_000_000


def seeds_needed(
    difference: float, spread: float, *, level: float = 0.05, things: int = 2, prior: float = 0.0
) -> int | None:
    """The seeds with which a two-sided paired t test finds a difference with 80 % power.

    The smallest n for which |T| > t(1 - level / 2; df) has a probability of at least 0.8, T being noncentral t with
    df = min(n - 1 + prior, (things - 1) (n - 1)) degrees of freedom and noncentrality |difference| / spread sqrt(n).

    Args:
      difference: the true mean difference.
      spread: sd of the differences over seeds, in the same unit.
      level: at which one test is made: 0.05, or that over the tests of a family.
      things: how many were measured with each seed.
      prior: degrees of freedom that their other pairs lend this one (`pairs.moderate`).
    Returns:
      a number of seeds from 2; None without a difference, without a spread, or beyond a million seeds.
    Example:
      >>> seeds_needed(0.5, 1.0), seeds_needed(0.8, 1.0)
      (34, 15)

    Source:
      Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd edition, 1988, chapter 2.
    """
    if not (math.isfinite(difference) and math.isfinite(spread) and difference and spread > 0):
        return None
    from scipy import special

    def enough(n: int) -> bool:
        df, shift = min(n - 1 + prior, (things - 1) * (n - 1)), abs(difference) / spread * math.sqrt(n)
        edge = float(special.stdtrit(df, 1 - level / 2))
        missed = float(special.nctdtr(df, shift, edge))
        if math.isnan(missed):  # far out, where scipy gives up: normal
            missed = float(special.ndtr(edge - shift))
        return 1 - missed >= POWER

    high = 2
    while not enough(high):
        high *= 2
        if high > MOST_SEEDS:
            return None
    low = high // 2  # not enough, or 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
