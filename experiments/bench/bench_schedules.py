"""What a schedule costs: a table of 64,000 steps against Optax's nearest, and 1,000 (peak, budget) pairs at once.

Claim     A schedule that is data costs about what Optax's closures do; with every number traced, up to six times that.
Command   python experiments/bench/bench_schedules.py [--json -]
Time      half a minute.
Expected  a ratio to Optax (ours / theirs) of about 1 or below for each; compilation is not counted. "traced" is the
          same schedule with every number an input of the compiled program, which Optax cannot do.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lrsched as ls

STEPS = 64_000
PAIRS = {
    "linear": (ls.linear(0.1, total_steps=STEPS), optax.linear_schedule(0.1, 0.0, STEPS)),
    "cosine": (ls.cosine(0.1, total_steps=STEPS), optax.cosine_decay_schedule(0.1, STEPS)),
    "rex against cosine": (ls.rex(0.1, total_steps=STEPS), optax.cosine_decay_schedule(0.1, STEPS)),
    "polynomial": (ls.polynomial(0.1, total_steps=STEPS, power=2.0), optax.polynomial_schedule(0.1, 0.0, 2.0, STEPS)),
    "exponential": (ls.exponential(0.1, total_steps=STEPS), optax.exponential_decay(0.1, STEPS, float(np.exp(-3)))),
    "step": (
        ls.step(0.1, total_steps=STEPS),
        optax.piecewise_constant_schedule(0.1, {STEPS // 2: 0.1, STEPS * 3 // 4: 0.1}),
    ),
    "warmup, cosine": (
        ls.sequence([ls.warmup(0.1, total_steps=1000), ls.cosine(0.1, total_steps=STEPS - 1000)]),
        optax.warmup_cosine_decay_schedule(0.0, 0.1, 1000, STEPS),
    ),
}


def rounds(ours: Callable[[], jax.Array], theirs: Callable[[], jax.Array], count: int = 41) -> tuple[float, float]:
    """Median seconds of each, taken in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        for function, spent in zip((ours, theirs), times, strict=True):
            start = time.perf_counter()
            for _ in range(20):
                function().block_until_ready()
            spent.append((time.perf_counter() - start) / 20)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> int:
    steps = jnp.arange(STEPS, dtype=jnp.int32)
    results: dict[str, dict[str, float]] = {}
    for name, (ours, theirs) in PAIRS.items():
        fixed, traced, reference = jax.jit(ours.__call__), jax.jit(lambda schedule, t: schedule(t)), jax.jit(theirs)
        fixed(steps), traced(ours, steps), reference(steps)  # compile
        mine, other = rounds(lambda f=fixed: f(steps), lambda f=reference: f(steps))  # type: ignore[misc]
        free, _ = rounds(lambda f=traced, s=ours: f(s, steps), lambda: steps)  # type: ignore[misc]
        numbers = {"ours_us": mine, "traced_us": free, "optax_us": other}
        results[name] = {**{key: 1e6 * value for key, value in numbers.items()}, "ratio": mine / other}
    peaks, totals = jnp.linspace(0.01, 1.0, 1000), jnp.arange(1000, 2000, dtype=jnp.int32)
    many = jax.jit(jax.vmap(lambda peak, total: ls.rex(peak, total_steps=total)(jnp.arange(2000))))
    many(peaks, totals).block_until_ready()
    mine, _ = rounds(lambda: many(peaks, totals), lambda: steps, count=5)
    results["rex, 1,000 pairs x 2,000 steps, one call"] = {"ours_us": 1e6 * mine}
    if "--json" in sys.argv:
        print(json.dumps(results))
        return 0
    for name, row in results.items():
        compared = ""
        if "ratio" in row:
            compared = f"optax {row['optax_us']:7.0f} us   ratio {row['ratio']:.2f}   traced {row['traced_us']:7.0f} us"
        print(f"{name:42s} ours {row['ours_us']:7.0f} us   {compared}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
