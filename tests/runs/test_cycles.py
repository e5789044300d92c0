"""The cycles of a run: their lengths, and whether the last one is cut."""

import pytest

import lrsched as ls
from lrsched.runs import cycles
from lrsched.schedules.durations import Budget
from lrsched.schedules.plans import plan


@pytest.mark.parametrize(
    ("words", "epochs", "cut"),
    [
        ("sgdr:first_cycle=4ep", 12, False),  # 4 + 8
        ("sgdr:first_cycle=4ep", 13, True),  # one epoch of 16
        ("sgdr:first_cycle=1ep,restart_decay=0.1", 4, True),  # at a lower peak, nearly all of it
        ("snapshot_cosine:cycles=3", 1, False),  # 14, 14 and 13 updates
        ("snapshot_cosine:cycles=30", 1, True),  # 20 of 2 updates, and one of 1
        ("clr:half_cycle=1ep", 6, False),
        ("clr:half_cycle=1ep", 7, True),  # at the peak
        ("fge:cycle=2ep", 9, False),  # in the valley of the fifth cycle
        ("fge:cycle=2ep", 10, True),
        ("swa", 10, False),  # constant where models are averaged
        ("warmup:1ep+sgdr:first_cycle=1ep", 8, False),
        ("warmup:1ep+sgdr:first_cycle=1ep", 9, True),
        ("swa:start=4ep,cycle=2ep", 7 - 40 / 41, False),
        ("sgdr:first_cycle=2ep,cycle_mult=1,warmup=1ep", 4 + 1 / 41, True),  # at the bottom of a warmup
        ("sgdr:first_cycle=2ep,cycle_mult=1,warmup=1ep", 4.5, True),
        ("sgdr:first_cycle=2ep,cycle_mult=1,warmup=1ep", 6, False),
        ("sgdr:first_cycle=2ep,restart_decay=0.5,warmup=1ep,cycle_mult=1", 4.2, True),
        ("clr:half_cycle=1ep", 4 + 2 / 41, True),  # at the bottom of the rise
        ("clr:half_cycle=1ep,mode=triangular2", 6, False),
        ("growth", 3, False),
        ("linear:30%+constant", 10, False),  # other segments' ends are no cycles of the last one
        ("rex", 3, False),
        ("constant", 3, False),
    ],
)
def test_last_cycle_is_cut_where_the_rate_is_above_other_ends(words: str, epochs: int, cut: bool) -> None:
    follow = plan(words, Budget(epochs, 41), peak_value=0.1)
    assert cycles.cut_steps(follow, 3) == ({3 + follow.total_steps} if cut else set())


@pytest.mark.parametrize(
    ("words", "updates", "cut"),
    [
        ("warmup:5st+sgdr:first_cycle=10st,cycle_mult=1+linear:10st", 60, {50}),
        ("warmup:5st+sgdr:first_cycle=10st,cycle_mult=1+linear:10st", 55, set()),
        ("sgdr:25st,first_cycle=10st,cycle_mult=1+sgdr:25st,first_cycle=10st,cycle_mult=1", 50, {25, 50}),
        ("sgdr:25st,first_cycle=10st,cycle_mult=1+linear", 25, {25}),  # of the linear decay nothing is left
        ("constant:10st+linear:10st", 20, set()),
    ],
)
def test_cycle_is_cut_by_the_next_part_of_a_sequence(words: str, updates: int, cut: set[int]) -> None:
    follow = plan(words, updates, peak_value=0.1)
    assert cycles.cut_steps(follow) == cut
    said = [line for line in cycles.describe(follow) if " is cut by " in line]
    assert len(said) == len(cut)
    for end, line in zip(sorted(cut), said, strict=True):
        assert ("last cycle" if end == updates else f"cycle that ends after update {end}") in line


def test_cycles_of_a_sequence_in_other_schedules_are_cut_where_they_end() -> None:
    cycles_of = {"first_cycle": 10, "cycle_mult": 1}
    parts = [ls.sgdr(0.1, total_steps=25, **cycles_of), ls.linear(0.1, total_steps=25)]
    sequence = ls.sequence(parts, durations=[25, 25], total_steps=50)
    twice = ls.sequence([sequence, parts[0]], durations=[50, 25], total_steps=75)
    for schedule, cut in (
        (sequence, {25}),
        (ls.product(sequence, 0.5), {25}),
        (ls.clip(sequence, maximum=0.09), {25}),
        (twice, {25, 75}),
        (ls.truncated(sequence, total_steps=24), {24}),
    ):
        assert cycles.cut_steps(plan(schedule, schedule.total_steps)) == cut
    assert cycles.cut_steps(plan(sequence, 50).after(3), 3) == {25}


def test_cut_cycle_is_named_by_the_updates_of_the_run() -> None:
    follow = plan("sgdr:25st,first_cycle=10st,cycle_mult=1+linear:25st", 50, peak_value=0.1)
    assert any("The cycle that ends after update 45 is cut" in line for line in cycles.describe(follow, 20))


def test_said_of_a_cut_cycle() -> None:
    # The last update is the 41st of a cosine of 16 * 41: (1 + cos(pi 40 / 656)) / 2 = 0.9909 of the peak.
    lines = list(cycles.describe(plan("sgdr:first_cycle=4ep", Budget(13, 41), peak_value=0.1)))
    assert lines[0] == "3 cycles, of 164, 328 and 41 updates (4, 8 and 1 epochs)."
    assert "ends at rate 0.0991, 99 % of the peak" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("sgdr:first_cycle=10", "10 means 10 updates; 10ep is 10 epochs"),
        ("clr:half_cycle=5", "5 means 5 updates; 5ep is 5 epochs"),
    ],
)
def test_said_of_cycles_in_updates_shorter_than_an_epoch(words: str, hint: str) -> None:
    assert hint in " ".join(cycles.describe(plan(words, Budget(10, 41), peak_value=0.1)))
    assert "shorter than an epoch" not in " ".join(cycles.describe(plan(words, Budget(100, 4), peak_value=0.1)))


@pytest.mark.parametrize("words", ["rex", "constant", "warmup:5%+cosine"])
def test_nothing_is_said_of_one_cycle(words: str) -> None:
    assert not list(cycles.describe(plan(words, Budget(10, 41), peak_value=0.1)))
