"""Many runs in one folder: claimed once, resumed, by workers whose cores are settled once."""

import errno
import itertools
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from helpers import listen, numbers, train

from lrsched import files
from lrsched.runs import claims, interrupts, many, records, workers
from lrsched.runs.config import RunConfig
from lrsched.runs.engines import Engine
from lrsched.runs.report import Record

WAITING = "waiting: 1 run is being trained by another process."
TWO = [RunConfig(schedule=schedule, budget="0.4ep", model="mlp") for schedule in ("rex", "linear")]  # 18 updates each


def make(out: pathlib.Path, todo: list[RunConfig] = TWO, count: int = 1) -> tuple[list[Record], list[str]]:
    messages, report = listen()
    resolved = many.resolve_all(todo, data_dir=None, count=count)
    return many.train_all(resolved, out, count=count, report=report), messages


def make_beside(out: pathlib.Path, other: Callable[[], None]) -> tuple[list[Record], list[str]]:
    """The runs of TWO beside another process, which does what it does once this one waits for it."""
    messages, report = listen()

    def heard(event: Any) -> None:
        report(event)
        if event == WAITING:
            other()

    return many.train_all(many.resolve_all(TWO, data_dir=None, count=1), out, count=1, report=heard), messages


def all_numbers(made: list[Record]) -> list[dict[str, Any]]:
    return [numbers(record) for record in made]


def interrupted(out: pathlib.Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(interrupts, "asked", lambda: next(looks) >= after)
        with pytest.raises(interrupts.Interrupted):
            make(out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return make(tmp_path_factory.mktemp("whole"))[0]


@pytest.mark.slow
@pytest.mark.parametrize("after", [2, 9, 17, 25, 33])
def test_an_interrupted_run_is_saved_and_resumed_to_the_same_bits(
    after: int, whole: list[Record], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, after, monkeypatch)
    made, said = make(tmp_path)
    assert all_numbers(made) == all_numbers(whole)
    assert sum(len(record["resumed_at"]) for record in made) == 1
    assert sum("resuming after update" in line for line in said) == 1
    assert not (tmp_path / "states").exists()


def test_a_run_is_in_the_order_it_was_asked_for(whole: list[Record]) -> None:
    assert [(record["label"], record["place"]) for record in whole] == [("rex", 0), ("linear", 1)]


@pytest.mark.slow
def test_a_run_that_another_process_makes_is_waited_for(whole: list[Record], tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "states" / whole[0]["run"]
    folder.mkdir(parents=True)
    lock = files.lock(folder / "claim")

    def other() -> None:
        records.append(tmp_path / "records.jsonl", whole[0])
        lock.close()

    made, said = make_beside(tmp_path, other)
    assert made[0] == whole[0]
    assert all_numbers(made) == all_numbers(whole)
    assert said.count(WAITING) == 1
    assert len(records.read(tmp_path / "records.jsonl").rows) == 2


@pytest.mark.slow
def test_a_claim_that_was_given_up_is_taken(whole: list[Record], tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "states" / whole[0]["run"]
    folder.mkdir(parents=True)
    lock = files.lock(folder / "claim")
    made, said = make_beside(tmp_path, lock.close)
    assert all_numbers(made) == all_numbers(whole)
    assert said.count(WAITING) == 1


def test_a_claim_is_of_the_file_that_is_there(tmp_path: pathlib.Path) -> None:
    with claims._claim(tmp_path / "x") as first:
        assert first
        shutil.rmtree(tmp_path / "x")  # as its owner does when the run is recorded
        with claims._claim(tmp_path / "x") as second:
            assert second
        with claims._claim(tmp_path / "x") as third:
            assert third
    with claims._claim(tmp_path / "x"), claims._claim(tmp_path / "x") as other:
        assert not other


def test_a_state_of_another_run_is_refused(
    whole: list[Record], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, 9, monkeypatch)
    rex, linear = (tmp_path / "states" / record["run"] for record in whole)
    shutil.rmtree(linear, ignore_errors=True)
    rex.rename(linear)
    with pytest.raises(ValueError, match=f"must be a state of run {whole[1]['run']}, got one of run .* schedule"):
        make(tmp_path)
    assert [row["label"] for row in records.read(tmp_path / "records.jsonl").rows] == ["rex"]


def test_an_altered_record_is_named_and_its_run_made_again(whole: list[Record], tmp_path: pathlib.Path) -> None:
    make(tmp_path)
    path = tmp_path / "records.jsonl"
    content = path.read_bytes()
    at = content.index(b'"test_error": 0.') + 16
    path.write_bytes(content[:at] + (b"1" if content[at : at + 1] != b"1" else b"2") + content[at + 1 :])
    made, said = make(tmp_path)
    assert all_numbers(made) == all_numbers(whole)
    assert any("line 1, was altered" in line for line in said)


def test_cores_of_a_run_are_settled_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: list(range(8)))
    monkeypatch.setattr(workers, "_free_bytes", lambda: 100 * 2**30)
    settle = {"asked": None, "updates": 99_999}
    cpus, lines = many._settle(tmp_path, {}, 4, **settle)  # type: ignore[arg-type]
    assert (cpus, lines) == (2, [])
    assert many._settle(tmp_path, {}, 1, **settle) == (2, [])  # type: ignore[arg-type]  # though one is left
    assert workers.choose(asked=None, left=99, updates=9, cpus=2) == workers.Layout(4, 2)
    assert workers.choose(asked=1, left=99, updates=9, cpus=2) == workers.Layout(1, 2)
    with pytest.raises(ValueError, match="workers must be at most 4, as each run beside these has 2 of 8 cores, got 5"):
        workers.choose(asked=5, left=99, updates=9, cpus=2)
    monkeypatch.setattr(workers, "_cores", lambda: [0])
    assert "begun with 2 cores a run, where now there are 1" in many._settle(tmp_path, {}, 1, **settle)[1][0]  # type: ignore[arg-type]


def test_cores_of_a_folder_without_a_note_are_those_of_its_records(whole: list[Record], tmp_path: pathlib.Path) -> None:
    old = {**whole[0], "device": {**whole[0]["device"], "cpus": 7}}
    assert many._settle(tmp_path, {"x": old}, 1, asked=None, updates=1)[0] == 7


def test_an_altered_note_of_cores_is_named_and_not_used(whole: list[Record], tmp_path: pathlib.Path) -> None:
    make(tmp_path)
    path = tmp_path / "machine.json"
    path.write_text(path.read_text().replace('"cpus": ', '"cpus": 4'))
    (tmp_path / "records.jsonl").write_text("")
    made, said = make(tmp_path)
    assert all_numbers(made) == all_numbers(whole)
    assert any("machine.json must be as it was written" in line for line in said)


def test_a_folder_that_cannot_be_written_is_found_before_any_run(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "train_all", lambda *_, **__: pytest.fail("a run was made"))
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "x", pathlib.Path("/proc/x")):
        with pytest.raises(ValueError, match="out must be a folder that can be written"):
            make(out)


def test_a_file_system_without_locks_is_found_before_any_run(
    whole: list[Record], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "train_all", lambda *_, **__: pytest.fail("a run was made"))
        with pytest.raises(OSError, match="has no locks .* LRSCHED_LOCKS=none"):
            make(tmp_path)
    monkeypatch.setenv("LRSCHED_LOCKS", "none")
    assert all_numbers(make(tmp_path)[0]) == all_numbers(whole)


@pytest.mark.parametrize(
    ("count", "engine", "message"),
    [(2, "local", "workers must be 1 with LRSCHED_LOCKS=none, got 2"), (None, "ray", "engine must be local with LRS")],
)
def test_without_locks_one_alone_writes(
    count: int | None, engine: Any, message: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSCHED_LOCKS", "none")
    todo = many.resolve_all(TWO, data_dir=None, count=count)
    with pytest.raises(ValueError, match=message):
        many.train_all(todo, tmp_path, count=count, report=lambda event: None, engine=Engine(name=engine))
    assert not list(tmp_path.iterdir())
    assert many._workers(None) == 1


def test_more_runs_than_anyone_means_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="runs must be at most 100,000"):
        make(tmp_path, [TWO[0]] * 100_001)


def test_a_run_that_was_asked_for_twice_is_made_once(whole: list[Record], tmp_path: pathlib.Path) -> None:
    made, _ = make(tmp_path, [TWO[0], TWO[0]])
    assert made[0] == made[1]
    assert len(records.read(tmp_path / "records.jsonl").rows) == 1


def test_a_run_of_a_study_is_that_of_train(whole: list[Record]) -> None:
    alone = train(TWO[0])
    assert all_numbers([alone]) == all_numbers(whole[:1])


def test_states_of_a_run_on_record_are_removed(whole: list[Record], tmp_path: pathlib.Path) -> None:
    make(tmp_path)
    left = tmp_path / "states" / whole[0]["run"]  # as by a kill between its record and its end
    (left / "resume").mkdir(parents=True)
    make(tmp_path)
    assert not left.exists()


def test_what_cannot_be_cleared_up_ends_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rmdir = os.rmdir

    def refuse(path: Any, **words: Any) -> None:
        if "states" in str(path) or "dir_fd" in words:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        rmdir(path, **words)

    monkeypatch.setattr(os, "rmdir", refuse)
    assert len(make(tmp_path)[0]) == 2


def test_settings_that_changed_are_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, TWO[:1])
    described = many.machine.describe()
    monkeypatch.setattr(many.machine, "describe", lambda: {**described, "plain": True})
    said = make(tmp_path)[1]
    assert any("begun with other libraries or settings (plain False -> True)" in line for line in said)
