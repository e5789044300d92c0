"""Updates that runs share are made once, and the records are those of runs that share nothing."""

import dataclasses
import itertools
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers import listen, numbers

import lrsched
from lrsched import files
from lrsched.runs import claims, interrupts, many, task, trunks
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Record, Status
from lrsched.runs.task import resolve
from lrsched.training import snapshots

HELD = [
    RunConfig(schedule=f"{name}@50-75", budget=budget, max_epochs=2, evaluate_every="15st", model="mlp")
    for budget in ("50st", "100st")
    for name in ("linear", "rex", "cosine")
]  # 450 updates
# Held until half the budget: all six for 25 updates, those of 100 updates for 50.
SPARED = 5 * 25 + 2 * (50 - 25)


def make(
    out: pathlib.Path, configs: list[RunConfig] = HELD, *, count: int = 1, share: bool = True
) -> tuple[list[Record], list[str]]:
    messages, report = listen()
    todo = many.resolve_all(configs, data_dir=None, count=count)
    return many.train_all(todo, out, count=count, report=report, share_trunks=share), messages


def all_numbers(made: list[Record]) -> list[dict[str, Any]]:
    return [numbers(record) for record in made]


def shared_steps(made: list[Record]) -> list[int]:
    return [record.get("trunk", {"step": 0})["step"] for record in made]


@pytest.fixture
def made_updates(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by each update that this process makes."""
    made, updates = list[int](), task.Task.updates

    def counted(*args: Any, **words: Any) -> Iterator[Any]:
        for state, metrics in updates(*args, **words):
            made.append(1)
            yield state, metrics

    monkeypatch.setattr(task.Task, "updates", counted)
    return made


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The records of runs that share nothing."""
    return make(tmp_path_factory.mktemp("apart"), share=False)[0]


def table(*rows: float) -> np.ndarray:
    return np.array([[row, 0.9] for row in rows])


def test_partings_are_where_rows_first_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunks, "WORTH_IT", 1)
    tables = [table(1, 1, 1, 1, 0), table(1, 1, 1, 1, 2), table(1, 1, 3, 4), table(5, 5)]
    assert trunks.partings(tables) == [(0, 2, [0, 1, 2]), (2, 4, [0, 1])]


def test_partings_leave_each_run_its_last_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunks, "WORTH_IT", 1)
    assert trunks.partings([table(1, 1, 1), table(1, 1, 1), table(1, 1)]) == [(0, 1, [0, 1, 2]), (1, 2, [0, 1])]


def test_partings_too_near_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunks, "WORTH_IT", 3)
    tables = [table(1, 1, 1, 1, 0), table(1, 1, 1, 1, 2), table(1, 1, 3, 4)]
    assert trunks.partings(tables) == [(0, 4, [0, 1])]


@pytest.mark.parametrize("words", ["wsd:warmup=10st", "sgdr:first_cycle=30"])
def test_budgets_share_what_is_alike_in_them(words: str) -> None:
    runs = [resolve(RunConfig(schedule=words, budget=budget)) for budget in ("100st", "200st")]
    (junction,) = trunks.find(runs)
    short, long = (run.plan.lr.table() for run in runs)
    assert (short[: junction.step] == long[: junction.step]).all()
    assert junction.spared == junction.step >= trunks.WORTH_IT
    assert junction.step == len(short) - 1 or short[junction.step] != long[junction.step]


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"weight_decay": 1e-3},
        {"optimizer": "nesterov"},
        {"batch_size": 64},
        {"holdout_fraction": 0.1},
        {"momentum": "0.8"},
        {"peak_value": 0.2},
        {"evaluate_every": "7st"},
    ],
    ids=str,
)
def test_runs_that_differ_in_anything_else_share_nothing(other: dict[str, Any]) -> None:
    first: dict[str, Any] = {"schedule": "constant", "budget": "60st"}
    longer = first | {"budget": "70st"}
    assert trunks.find([resolve(RunConfig(**first)), resolve(RunConfig(**longer | other))]) == []
    assert [one.step for one in trunks.find([resolve(RunConfig(**words)) for words in (first, longer)])] == [59]


def test_runs_share_nothing_where_the_highest_rates_differ() -> None:
    """The audit of applied rates forgives a share of the highest one."""
    runs = []
    for later in (0.05, 0.2):
        parts = [lrsched.constant(rate, total_steps=30) for rate in (0.1, later)]
        schedule = lrsched.sequence(parts, durations=[30, 30], total_steps=60)
        runs.append(resolve(RunConfig(schedule=schedule, budget="60st", peak_value=max(0.1, later))))
    assert (runs[0].plan.lr.table()[:30] == runs[1].plan.lr.table()[:30]).all()
    assert trunks.find(runs) == []


@pytest.mark.slow
def test_shared_runs_have_the_records_of_separate_ones(
    apart: list[Record], tmp_path: pathlib.Path, made_updates: list[int]
) -> None:
    made, said = make(tmp_path)
    assert all_numbers(made) == all_numbers(apart)
    assert all(record["evaluations"]["steps"] for record in made)
    assert shared_steps(made) == [0, 25, 25, 25, 50, 50]
    assert len(made_updates) == 450 - SPARED
    assert f"shared trunks: {SPARED} of 450 updates need not be made a second time." in said
    assert said[-1] == f"shared trunks: {SPARED} updates were not made a second time."
    assert sorted(path.name for path in tmp_path.iterdir()) == ["machine.json", "records.jsonl"]


@pytest.mark.slow
def test_statistics_of_a_shared_network_are_those_of_a_separate_one(tmp_path: pathlib.Path) -> None:
    configs = [dataclasses.replace(config, model="resnet8") for config in HELD[:2]]
    shared, separate = (make(tmp_path / str(share), configs, share=share)[0] for share in (True, False))
    assert all_numbers(shared) == all_numbers(separate)
    assert shared_steps(shared) == [0, 25]


def test_runs_that_do_not_share_leave_no_trunks(apart: list[Record], tmp_path: pathlib.Path) -> None:
    trunks.announce(trunks.find([resolve(config) for config in HELD]), tmp_path)
    made, said = make(tmp_path, HELD[:2], share=False)
    assert all_numbers(made) == all_numbers(apart[:2])
    assert shared_steps(made) == [0, 0]
    assert not any("trunk" in line for line in said)


@pytest.mark.slow
@pytest.mark.parametrize("after", [40, 130])
def test_an_interrupted_trunk_is_resumed_to_the_same_bits(
    after: int, apart: list[Record], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, made_updates: list[int]
) -> None:
    looks = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(interrupts, "asked", lambda: next(looks) >= after)
        with pytest.raises(interrupts.Interrupted):
            make(tmp_path)
    made, _ = make(tmp_path)
    assert all_numbers(made) == all_numbers(apart)
    assert 450 - SPARED <= len(made_updates) <= 450 - SPARED + 2  # one more is in flight when a run is ended
    assert not (tmp_path / "trunks").exists()


@pytest.mark.slow
def test_a_run_killed_behind_its_junction_goes_on_from_there(
    apart: list[Record], tmp_path: pathlib.Path, made_updates: list[int]
) -> None:
    trunks.announce(trunks.find([resolve(config) for config in HELD]), tmp_path)
    events = claims.train_claimed(resolve(HELD[0]), tmp_path, workers=1, place=0)
    next(event for event in events if isinstance(event, Status) and event.completed > 25)
    events.close()  # type: ignore[attr-defined]
    before = len(made_updates)
    made, said = make(tmp_path)
    assert "linear@50-75 at 50st, rate 0.1, seed 0: resuming after update 25 of 50." in said
    assert made[0]["resumed_at"] == [25]
    assert "trunk" not in made[0]
    assert len(made_updates) - before == 450 - SPARED - 25
    assert all_numbers(made) == all_numbers(apart)


@pytest.mark.slow
def test_a_state_at_a_junction_is_newer_than_the_runs_own(
    apart: list[Record], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, made_updates: list[int]
) -> None:
    run = resolve(HELD[0])
    trunks.announce(trunks.find([resolve(config) for config in HELD]), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(interrupts, "asked", lambda: len(made_updates) >= 10)
        with pytest.raises(interrupts.Interrupted):
            list(claims.train_claimed(run, tmp_path, workers=1, place=0))
    events = claims.train_claimed(run, tmp_path, workers=1, place=0)
    next(event for event in events if isinstance(event, Status) and event.completed > 25)
    events.close()  # type: ignore[attr-defined]
    made, said = make(tmp_path)
    assert "linear@50-75 at 50st, rate 0.1, seed 0: resuming after update 25 of 50." in said
    assert made[0]["resumed_at"][1:] == [25]
    assert all_numbers(made) == all_numbers(apart)


@pytest.mark.slow
def test_two_workers_share_trunks(tmp_path: pathlib.Path) -> None:
    configs = [
        RunConfig(schedule=f"{name}@50-75", budget="60st", seed=seed, model="mlp")
        for seed in (0, 1)
        for name in ("rex", "step")
    ]
    shared, separate = (make(tmp_path / str(share), configs, count=2, share=share)[0] for share in (True, False))
    assert all_numbers(shared) == all_numbers(separate)
    assert sorted(shared_steps(shared)) == [0, 0, 30, 30]
    assert not (tmp_path / "True" / "trunks").exists()


def test_a_trunk_that_diverges_ends_each_run_as_alone(tmp_path: pathlib.Path) -> None:
    configs = [
        RunConfig(schedule=f"{name}@50-75", budget="60st", peak_value=1e25, model="mlp") for name in ("rex", "linear")
    ]
    shared, separate = (make(tmp_path / str(share), configs, share=share)[0] for share in (True, False))
    assert all_numbers(shared) == all_numbers(separate)
    assert [record["diverged_at"] < 30 for record in shared] == [True, True]
    assert not (tmp_path / "True" / "trunks").exists()


@pytest.mark.slow
def test_a_damaged_state_is_not_used(apart: list[Record], tmp_path: pathlib.Path) -> None:
    left = announced(tmp_path, HELD[:2])
    make_first(tmp_path)
    for path in left.rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            path.write_bytes(path.read_bytes()[:-100])
    made, _ = make(tmp_path, HELD[:2])
    assert all_numbers(made) == all_numbers(apart[:2])
    assert shared_steps(made) == [0, 0]


@pytest.mark.slow
def test_runs_that_are_added_start_from_states_that_are_left(
    apart: list[Record], tmp_path: pathlib.Path, made_updates: list[int]
) -> None:
    announced(tmp_path, HELD[:2])
    make_first(tmp_path)
    made, _ = make(tmp_path, HELD[:2])
    assert shared_steps(made) == [0, 25]
    assert len(made_updates) == 50 + 25
    made, _ = make(tmp_path, HELD[:3])  # by now the state is gone
    assert shared_steps(made) == [0, 25, 0]
    assert all_numbers(made) == all_numbers(apart[:3])


def announced(out: pathlib.Path, configs: list[RunConfig]) -> pathlib.Path:
    (junction,) = junctions = trunks.find([resolve(config) for config in configs])
    trunks.announce(junctions, out)
    return out / "trunks" / junction.name


def make_first(out: pathlib.Path) -> None:
    """Makes the first run alone, as a study does that is ended behind it."""
    run = resolve(HELD[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many, "_announce", lambda progress: [])
        many.train_all([run], out, count=1, report=lambda event: None, share_trunks=True)


def test_a_state_of_other_libraries_or_code_is_not_used(tmp_path: pathlib.Path) -> None:
    run = resolve(HELD[0])
    trunk = trunks.Trunk({25: tmp_path / "25-x"})
    facts = {"run": "other", "versions": {"jax": "1"}, "machine": {}, "code": "a"}
    trunk.leave(25, run.initial_state(), {"identity": facts})
    assert trunk.read(run.initial_state(), facts | {"run": "mine"}) is not None
    for newer in (facts | {"versions": {"jax": "2"}}, facts | {"code": "b"}):
        assert trunk.read(run.initial_state(), newer | {"run": "mine"}) is None
        assert trunk.read(run.initial_state(), newer) is not None  # its own


def test_a_run_waits_while_another_is_on_its_way(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = announced(tmp_path, HELD[:2])
    first, second = (resolve(config) for config in HELD[:2])
    with trunks.taken(first, tmp_path) as trunk:
        assert trunk is not None
        assert trunk.folders == {25: left}
        assert trunks.ready({1: second}, tmp_path) == {}
        with monkeypatch.context() as patch:
            patch.setattr(trunks, "_PATIENCE", 0.0)
            with trunks.taken(second, tmp_path) as none:
                assert none is None
        thread = threading.Timer(1.0, trunk.leave, (25, first.initial_state(), {}))
        thread.start()
        with trunks.taken(second, tmp_path) as other:
            assert other is not None
            assert snapshots.steps(left) == [25]
        thread.join()
    assert trunks.ready({1: second}, tmp_path) == {1: second}


def test_a_run_that_waits_has_claimed_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunks, "WORTH_IT", 1)
    runs = [resolve(RunConfig(schedule="constant", budget=f"{steps}st")) for steps in (30, 40, 50)]
    junctions = trunks.find(runs)
    trunks.announce(junctions, tmp_path)
    first, second = (tmp_path / "trunks" / one.name / "claim" for one in sorted(junctions))
    with files.lock(second), trunks._claimed("", trunks._passed(runs[2].id, tmp_path), tmp_path) as free:
        assert not free
        files.lock(first).close()  # raises if it were locked


def test_a_junction_of_other_rates_is_not_passed(tmp_path: pathlib.Path) -> None:
    left = announced(tmp_path, HELD[:2])
    left.rename(left.with_name("24-0123456789abcdef"))
    with trunks.taken(resolve(HELD[0]), tmp_path) as trunk:
        assert trunk == trunks.Trunk()


def test_junctions_go_with_the_last_of_their_runs(tmp_path: pathlib.Path) -> None:
    runs = [resolve(config) for config in HELD[:2]]
    left = announced(tmp_path, HELD[:2])
    trunks.tidy(tmp_path, {runs[0].id}, run=runs[0].id)
    assert left.exists()
    trunks.withdraw([runs[1].id], tmp_path)
    trunks.tidy(tmp_path, {runs[0].id})
    assert not (tmp_path / "trunks").exists()


def test_a_junction_that_another_process_removes_is_passed_over(tmp_path: pathlib.Path) -> None:
    announced(tmp_path, HELD[:2])
    run = resolve(HELD[0])
    folders = trunks._passed(run.id, tmp_path)
    trunks.tidy(tmp_path, {resolve(config).id for config in HELD[:2]})
    with trunks._claimed(run.id, folders, tmp_path) as free:
        assert free
    assert trunks._marks(*folders.values()) == []


def test_workers_begin_with_a_run_of_each_trunk() -> None:
    configs = [
        RunConfig(schedule=f"{name}@50-75", budget="60st", seed=seed, model="mlp")
        for seed in (0, 1)
        for name in ("rex", "step")
    ]
    runs = [resolve(config) for config in configs]
    assert list(trunks.sort(dict(enumerate(runs)), trunks.find(runs))) == [0, 2, 1, 3]
