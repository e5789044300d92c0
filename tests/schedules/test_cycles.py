"""Cycles: the values of their sources, boundaries against exact arithmetic, and where a snapshot is taken."""

import math
from collections.abc import Callable
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched
from lrsched.schedules.core import Schedule
from lrsched.schedules.families import _cycles

LARGEST = 2**31 - 1
ALMOST = (1 + math.cos(math.pi * 199 / 200)) / 2  # one update before the end of a cycle of 200

# Steps and values: formula in the source worked out, or printed there. Loshchilov & Hutter use epochs; so do the first.
VALUES: dict[str, tuple[Schedule, dict[int, float]]] = {
    # arXiv:1608.03983, equation 5 and figure 1: restarts at 10, 30, 70, 150
    "sgdr T_0=10 T_mult=2": (
        lrsched.sgdr(0.05, total_steps=150, first_cycle=10),
        {0: 0.05, 5: 0.025, 10: 0.05, 20: 0.025, 30: 0.05, 50: 0.025, 70: 0.05, 110: 0.025, 149: 1.92741e-05, 150: 0},
    ),
    "sgdr T_0=50 T_mult=1": (
        lrsched.sgdr(0.05, total_steps=200, first_cycle=50, cycle_mult=1),
        {0: 0.05, 25: 0.025, 49: 4.93318e-05, 50: 0.05, 75: 0.025, 200: 0},
    ),
    "sgdr floor and decay": (  # cycle 1: peak 0.5, half way 0.1 + 0.4 / 2
        lrsched.sgdr(1.0, total_steps=200, first_cycle=0.5, cycle_mult=1, restart_decay=0.5, end_value=0.1),
        {0: 1, 50: 0.55, 100: 0.5, 150: 0.3, 200: 0.1},
    ),
    "sgdr floor above a decayed peak": (
        lrsched.sgdr(1.0, total_steps=200, first_cycle=0.5, cycle_mult=1, restart_decay=0.05, end_value=0.1),
        {99: 0.1 + 0.9 * math.sin(math.pi / 200) ** 2, 100: 0.1, 150: 0.1},
    ),
    "sgdr warmup": (  # of a cycle of 100: up for 20, then a cosine of 80
        lrsched.sgdr(1.0, total_steps=200, first_cycle=100, cycle_mult=1, warmup=0.2),
        {0: 0, 10: 0.5, 20: 1, 60: 0.5, 100: 0, 119: 0.95, 120: 1},
    ),
    # arXiv:1704.00109, equation 2, whose t counts from 1
    "snapshot paper": (
        lrsched.snapshot_cosine(0.2, total_steps=1000),
        {0: 0.2, 100: 0.1, 199: 1.23368e-05, 200: 0.2, 999: 1.23368e-05},
    ),
    "snapshot zero": (
        lrsched.snapshot_cosine(0.2, total_steps=1000, form="zero"),
        {0: 0.2 * (1 - ALMOST), 99: 0.1, 199: 0, 200: 0.2 * (1 - ALMOST), 999: 0},
    ),
    # the published code: epoch 1, 20, 40, 41, 200 of 200; 782 batches an epoch
    "snapshot zero, 200 epochs": (
        lrsched.snapshot_cosine(0.2, total_steps=200 * 782, form="zero"),
        {0: 0.1999999995, 20 * 782 - 1: 0.1, 40 * 782 - 1: 0, 40 * 782: 0.1999999995, 200 * 782 - 1: 0},
    ),
    # arXiv:1506.01186, section 3: stepsize 2000, 0.001 to 0.006
    "clr triangular": (
        lrsched.clr(0.006, total_steps=12000, initial_fraction=1 / 6, half_cycle=2000),
        {0: 0.001, 1000: 0.0035, 2000: 0.006, 3000: 0.0035, 4000: 0.001, 6000: 0.006, 10000: 0.006, 12000: 0.001},
    ),
    "clr triangular2": (
        lrsched.clr(0.006, total_steps=12000, mode="triangular2", initial_fraction=1 / 6, half_cycle=2000),
        {0: 0.001, 1000: 0.0035, 2000: 0.006, 3000: 0.0035, 4000: 0.001, 6000: 0.0035, 10000: 0.00225},
    ),
    "clr exp_range": (
        lrsched.clr(0.006, total_steps=12000, mode="exp_range", initial_fraction=1 / 6, half_cycle=2000),
        {0: 0.001, 1000: 0.0033544071, 2000: 0.0054345862, 3000: 0.0030881643, 4000: 0.001, 6000: 0.004488344,
         10000: 0.0037440088},
    ),
    "clr exp_range_text": (
        lrsched.clr(0.006, total_steps=12000, mode="exp_range_text", initial_fraction=1 / 6, half_cycle=2000),
        {0: 0.001, 1000: 0.0032961699, 2000: 0.0053215035, 3000: 0.00292343, 4000: 0.0007866222, 6000: 0.0041860127,
         10000: 0.0032928105},
    ),
    # the code of arXiv:1802.10026 with c = 4 epochs of 1000 updates, 0.05 to 0.0005
    "fge": (
        lrsched.fge(0.05, total_steps=8000, cycle=4000),
        {0: 0.05, 1000: 0.02525, 2000: 0.0005, 3000: 0.02525, 3999: 0.04997525, 4000: 0.05, 6000: 0.0005},
    ),
    # the code of arXiv:1803.05407, in epochs: SWA from 161, 0.1 to 0.05; and its SGD baseline of 200
    "swa": (
        lrsched.swa(0.1, total_steps=225, start=161),
        {0: 0.1, 80: 0.1, 100: 0.0848602484, 140: 0.0538043478, 161: 0.05, 224: 0.05},
    ),
    "swa baseline": (
        lrsched.swa(0.1, total_steps=200, start=1.0, end_fraction=0.01),
        {0: 0.1, 100: 0.1, 140: 0.0505, 180: 0.001, 199: 0.001},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_value_is_that_of_the_source(name: str) -> None:
    schedule, values = VALUES[name]
    want = list(values.values())
    np.testing.assert_allclose(schedule.table(list(values)), want, rtol=2e-6, atol=1e-10)  # the digits above
    np.testing.assert_allclose(schedule(np.array(list(values))), want, rtol=3e-6, atol=1e-9)


def exact_ends(first: Fraction, mult: Fraction, total: int) -> tuple[int, ...]:
    """SGDR's boundaries in plain rational arithmetic: sums rounded down, at least one update each."""
    ends, length, exact = [0], first, Fraction(0)
    while ends[-1] < total:
        exact += length
        length *= mult
        ends.append(max(math.floor(exact), ends[-1] + 1))
    return (*ends[1:-1], total)


MULTS = [Fraction(1, 2), Fraction(1), Fraction(3, 2), Fraction(2), Fraction(3)]


@pytest.mark.slow
@pytest.mark.parametrize("warmup", [0, 3, 0.1])
@pytest.mark.parametrize("mult", MULTS)
@pytest.mark.parametrize("total", [1, 2, 3, 100, 1173, 99_991])
def test_sgdr_cycles_of_steps_end_where_exact_arithmetic_says(mult: Fraction, total: int, warmup: float) -> None:
    for first in {1, 2, 7, 10, total} if mult >= 1 else {(total + 1) // 2, (3 * total + 3) // 4}:
        schedule = lrsched.sgdr(0.1, total_steps=total, first_cycle=first, cycle_mult=mult, warmup=warmup)
        assert schedule.cycle_ends == exact_ends(Fraction(first), mult, total)


@pytest.mark.parametrize("mult", MULTS)
@pytest.mark.parametrize("total", [1, 2, 3, 100, 300, 1173, 99_991, LARGEST // 4])
def test_sgdr_cycles_of_fractions_end_where_exact_arithmetic_says(mult: Fraction, total: int) -> None:
    firsts = [Fraction(1, 3), Fraction(1, 7), Fraction(3, 1000), Fraction(1)] if mult >= 1 else [Fraction(1, 2)]
    for first in firsts:
        schedule = lrsched.sgdr(0.1, total_steps=total, first_cycle=float(first), cycle_mult=float(mult))
        assert schedule.cycle_ends == exact_ends(first * total, mult, total)


@pytest.mark.parametrize(
    ("mult", "first"), [(mult, first) for mult in MULTS for first in (0.5, 0.07, 7) if first == 0.5 or mult >= 1]
)
def test_sgdr_restarts_at_its_cycle_ends_under_a_traced_budget(mult: Fraction, first: float) -> None:
    values = jax.jit(
        lambda total, steps: lrsched.sgdr(1.0, total_steps=total, first_cycle=first, cycle_mult=mult)(steps)
    )
    for total in (3, 100, 1173):
        ends = lrsched.sgdr(1.0, total_steps=total, first_cycle=first, cycle_mult=mult).cycle_ends
        rate = np.asarray(values(total, np.arange(1174)))
        np.testing.assert_array_equal(np.flatnonzero(rate[:total] == 1.0), [0, *ends[:-1]])
        assert (rate[np.array(ends[:-1], int) - 1] > 0).all()  # the end of a cycle is exclusive


def test_sgdr_with_explicit_lengths_repeats_the_last() -> None:
    assert lrsched.sgdr(0.1, total_steps=200, cycle_lengths=(10, 20, 40)).cycle_ends == (10, 30, 70, 110, 150, 190, 200)
    assert lrsched.sgdr(0.1, total_steps=200, cycle_lengths=50).cycle_ends == (50, 100, 150, 200)
    assert lrsched.sgdr(0.1, total_steps=300, cycle_lengths=(1 / 3, "50%", 1 / 6)).cycle_ends == (100, 250, 300)


def test_sgdr_warmup_leaves_an_update_for_the_peak_in_short_cycles() -> None:
    rate = lrsched.sgdr(1.0, total_steps=6, cycle_lengths=(1, 2, 3), warmup=5).table()
    np.testing.assert_allclose(rate, [1, 0, 1, 0, 0.5, 1])


@pytest.mark.parametrize(
    ("total", "count", "ends"),
    [
        (1000, 5, (200, 400, 600, 800, 1000)),
        (1000, 3, (334, 668, 1000)),
        (9, 5, (2, 4, 6, 8, 9)),
        (12, 5, (3, 6, 9, 12)),  # ceil(12 / 5) = 3: the paper's formula has no fifth cycle here
        (2, 5, (1, 2)),
    ],
)
def test_snapshot_cycles_are_rounded_up(total: int, count: int, ends: tuple[int, ...]) -> None:
    schedule = lrsched.snapshot_cosine(1.0, total_steps=total, cycles=count)
    assert schedule.cycle_ends == ends
    assert (schedule.table([0, *ends[:-1]]) == 1).all()


def test_fge_takes_its_models_where_the_rate_is_lowest() -> None:
    assert lrsched.fge(0.05, total_steps=40, cycle=4).cycle_ends == (2, 6, 10, 14, 18, 22, 26, 30, 34, 38, 40)
    assert lrsched.fge(0.05, total_steps=7, cycle=3).cycle_ends == (2, 5, 7)
    for total in (1, 2, 5, 10, 100, 1173):  # by default the budget ends with the last model
        ends = lrsched.fge(1.0, total_steps=total).cycle_ends
        assert len(ends) == min(total, 5)
        assert ends[-1] == total


def test_swa_averages_from_its_start() -> None:
    assert lrsched.swa(0.1, total_steps=300, start=161, cycle=50).cycle_ends == (161, 211, 261, 300)
    assert lrsched.swa(0.1, total_steps=10, start=161).cycle_ends == (10,)


MANY: dict[str, Callable[[int], Schedule]] = {
    "sgdr of fractions": lambda n: lrsched.sgdr(0.1, total_steps=10**6, first_cycle=1 / n, cycle_mult=1),
    "sgdr of steps": lambda n: lrsched.sgdr(0.1, total_steps=10**6, cycle_lengths=tuple(range(5, 5 + n))),
    "clr": lambda n: lrsched.clr(0.1, total_steps=10**6, half_cycle=1 / (2 * n)),
    "snapshot_cosine": lambda n: lrsched.snapshot_cosine(0.1, total_steps=10**6, cycles=n),
    "fge": lambda n: lrsched.fge(0.1, total_steps=10**6, cycle=1 / n),
}


@pytest.mark.parametrize("name", MANY)
def test_jaxpr_does_not_grow_with_the_number_of_cycles(name: str) -> None:
    programs = [str(jax.make_jaxpr(MANY[name](n))(jnp.arange(4))) for n in (3, 30, 300, 3000)]
    sizes = [program.count(" = ") for program in programs]  # equations, inner ones too
    assert sizes[0] == sizes[1] > 0  # few: compared with all boundaries
    assert sizes[2] == sizes[3] > 0  # many: bisected


@pytest.mark.slow
@pytest.mark.parametrize("total", [1, 2, 3, 7, 65_536, 99_999, 2**30 + 12345, LARGEST])
@pytest.mark.parametrize("first", [Fraction(1, 3), Fraction(3, 1000), Fraction(65_535, 65_536), Fraction(1, 9999)])
def test_boundaries_are_exact_in_both_array_libraries(first: Fraction, total: int) -> None:
    made = _cycles.cycles("first_cycle", [float(first)])
    starts, lengths = made.layout(np.int64(total))
    want = [0]
    for k in range(1, math.ceil(1 / first)):
        want.append(max(math.floor(first * k * total), want[-1] + 1))
    np.testing.assert_array_equal(starts, want)
    for got, same in zip(made.layout(jnp.int32(total)), (starts, lengths), strict=True):
        np.testing.assert_array_equal(got, same)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("sgdr", {"first_cycle": 0}, "first_cycle must be above 0, got"),
        ("sgdr", {"first_cycle": "rest"}, "first_cycle must be steps or a fraction, got 'rest'"),
        ("sgdr", {"cycle_mult": 0}, "cycle_mult must be above 0, got 0"),
        ("sgdr", {"cycle_mult": -1.0}, "cycle_mult must be at least 0, got -1.0"),
        ("sgdr", {"cycle_mult": 1e30}, r"cycle_mult must be at most 2\*\*31 - 1, got 1e\+30"),
        ("sgdr", {"cycle_mult": 1e30, "first_cycle": 10}, r"cycle_mult must be at most 2\*\*31 - 1, got 1e\+30"),
        ("sgdr", {"cycle_mult": 1e300}, r"cycle_mult must be a number that float32 holds, at most 3.4e38, got 1e\+300"),
        ("sgdr", {"cycle_mult": 1e-30}, "cycle_mult must be at least 1/65536, got 1e-30"),
        ("sgdr", {"cycle_mult": 10**9}, "cycle_mult must make no cycle of more than .* under total_steps = 100"),
        (
            "sgdr",
            {"restart_decay": 1e300},
            r"restart_decay must be a number that float32 holds, at most 3.4e38, got 1e\+300",
        ),
        (
            "sgdr",
            {"first_cycle": 1e-9},
            "first_cycle must be 0 or at least 1/65536 of the budget, got 1e-09: use steps",
        ),
        ("clr", {"mode": "exp_range", "gamma": 1e30}, r"gamma must give rates that float32 holds, got 1e\+30"),
        ("sgdr", {"first_cycle": 0.1, "cycle_mult": 0.5}, "first_cycle must be at least 1 - cycle_mult"),
        ("sgdr", {"first_cycle": 10, "cycle_mult": 0.5}, "total_steps must be at most 20 for these cycles, got 100"),
        ("sgdr", {"first_cycle": 1, "cycle_mult": 1.0001}, "cycles in a table must be at most 10000"),
        ("sgdr", {"cycle_lengths": ()}, "cycle_lengths must be concrete, and in steps throughout"),
        ("sgdr", {"cycle_lengths": (10, 0.5)}, "cycle_lengths must be concrete, and in steps throughout"),
        ("sgdr", {"restart_decay": 0.0}, "restart_decay must be above 0, got 0.0"),
        ("snapshot_cosine", {"cycles": 0}, "cycles must be at least 1 and"),
        ("snapshot_cosine", {"form": "code"}, "form must be one of paper, zero, got 'code'"),
        ("clr", {"mode": "sine"}, "mode must be one of triangular, triangular2, exp_range, exp_range_text, got 'sine'"),
        ("clr", {"gamma": 0.0}, "gamma must be above 0, got 0.0"),
        ("fge", {"cycle": 1.5}, "must be a fraction of the budget in"),
        ("swa", {"start": "rest"}, "start must be steps or a fraction, got 'rest'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name: str, words: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        getattr(lrsched, name)(0.1, total_steps=100, **words)
    assert "\n" not in str(error.value)


def test_shrinking_cycles_refuse_a_longer_budget_later() -> None:
    with pytest.raises(ValueError, match="total_steps must be at most 20 for these cycles, got 21"):
        lrsched.sgdr(0.1, total_steps=20, first_cycle=10, cycle_mult=0.5).at(21)


def test_sgdr_rises_to_an_end_value_above_its_peak() -> None:
    rate = lrsched.sgdr(0.1, total_steps=8, first_cycle=4, cycle_mult=1, end_value=0.5).table()
    np.testing.assert_allclose(rate, 0.5 + (0.1 - 0.5) * (1 + np.cos(np.pi * (np.arange(8) % 4) / 4)) / 2, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "schedule",
    [
        lrsched.sgdr(0.1, total_steps=1000, first_cycle=10, cycle_mult=1, restart_decay=0.455),
        lrsched.clr(1.0, total_steps=4000, half_cycle=5, mode="exp_range_text", gamma=0.98),
    ],
)
def test_long_decay_of_cycles_in_float32_meets_float64(schedule: Schedule) -> None:
    steps = np.arange(int(schedule.total_steps))
    table = schedule.table(steps)
    seen = table > 1e-36  # below it float32 has fewer digits
    assert table[seen].min() < 1e-34
    np.testing.assert_allclose(schedule(steps)[seen], table[seen], rtol=1e-6)


def test_warmup_longer_than_a_cycle_is_cut_to_leave_its_cosine_one_update() -> None:
    # the documented clamp of `sgdr`: the peak is reached in every cycle, and no rate jumps past it
    made = lrsched.sgdr(1.0, total_steps=70, first_cycle=10, warmup=15)
    table = made.table()
    np.testing.assert_allclose(table[:10], np.arange(10) / 9)
    np.testing.assert_allclose(table[10:26], np.arange(16) / 15)
    assert made.cycle_ends == (10, 30, 70)
    assert [jump.step for jump in lrsched.jumps(made, larger_than=0.5)] == [10]  # where the first cycle ends
