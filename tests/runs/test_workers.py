"""Runs spread over workers come to what they come to one by one, and the workers end with whoever began them."""

import os
import pathlib
import queue
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import jax
import numpy as np
import pytest
from helpers import train

from lrsched.commands import study
from lrsched.commands.study import StudyConfig
from lrsched.runs import interrupts, records, workers
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Record
from lrsched.runs.task import Run, resolve

SHORT = [RunConfig(budget="0.3ep", seed=seed) for seed in range(3)]


def by_index(events: Any) -> dict[int, Record]:
    return {index: event for index, event in events if isinstance(event, dict)}


def resolved(configs: list[RunConfig]) -> dict[int, Run]:
    return {place: resolve(config) for place, config in enumerate(configs)}


def make_all(out: pathlib.Path, count: int, *, cpus: int = 0, alone: bool = False) -> dict[int, Record]:
    layout = workers.Layout(count, cpus)
    return by_index(workers.train_all(resolved(SHORT), out, layout=layout, alone=alone))


@pytest.mark.parametrize(
    ("asked", "left", "updates", "count"),
    [(1, 9, 9999, 1), (3, 2, 9999, 2), (4, 9, 9, 4), (2, 0, 0, 1), (None, 9, 1999, 1), (None, 1, 9999, 1)],
)
def test_number_of_workers(asked: int | None, left: int, updates: int, count: int) -> None:
    assert workers.choose(asked=asked, left=left, updates=updates).workers == count


def test_one_worker_per_core_unless_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: list(range(8)))
    monkeypatch.setattr(workers, "_free_bytes", lambda: 100 * 2**30)
    assert workers.choose(asked=None, left=99, updates=99_999).workers == 8
    monkeypatch.setattr(workers, "_free_bytes", lambda: 7 * 10**9)
    assert workers.choose(asked=None, left=99, updates=99_999).workers == 3
    monkeypatch.setattr(workers, "_free_bytes", lambda: 1000)
    assert workers.choose(asked=None, left=99, updates=99_999).workers == 1


def test_limit_of_a_container_counts_as_memory_does(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: list(range(4)))
    monkeypatch.setattr(workers, "_CONTAINER", tmp_path)
    monkeypatch.setattr(workers, "_MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 99000000 kB\nMemAvailable: 50000000 kB\n")
    (tmp_path / "memory.max").write_text("4000000000\n")
    (tmp_path / "memory.current").write_text("1500000000\n")
    assert workers.choose(asked=None, left=99, updates=99_999).workers == 1
    (tmp_path / "memory.current").write_text("3900000000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 3899999000\n")
    assert workers._free_bytes() == 4 * 10**9 - 1000
    (tmp_path / "memory.max").write_text("max\n")
    assert workers.choose(asked=None, left=99, updates=99_999).workers == 4


def test_one_process_where_cores_cannot_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    assert workers.choose(asked=None, left=99, updates=99_999).workers == 1


def test_records_come_before_a_failure_that_came_with_them() -> None:
    good, bad = futures.Future[Record](), futures.Future[Record]()
    bad.set_exception(ValueError("bad"))
    good.set_result({"seed": 1})
    events = workers._arriving({bad: 0, good: 1}, queue.SimpleQueue(), lambda: None)
    assert next(events) == (1, {"seed": 1})
    with pytest.raises(ValueError, match="bad"):
        next(events)


def test_worker_that_comes_to_another_run_is_refused(tmp_path: pathlib.Path) -> None:
    config = RunConfig(model="mlp", budget="2st")
    with pytest.raises(ValueError, match="run must be 0123 in every worker, got .*: another data set"):
        workers._train_in_process(0, "0123", config, None, tmp_path, 2)
    assert not list(tmp_path.iterdir())


def test_memory_of_a_worker_grows_with_its_data_and_its_images() -> None:
    def task(shape: tuple[int, ...], examples: int, batch_size: int) -> Any:
        images = np.broadcast_to(np.uint8(0), (examples, *shape))
        split = types.SimpleNamespace(images=images, labels=np.broadcast_to(np.int32(0), (examples,)))
        data = types.SimpleNamespace(train=split, holdout=None, test=split)
        return types.SimpleNamespace(data=data, batch_size=batch_size)

    assert workers.bytes_each(task((8, 8, 1), 1500, 32)) == 2 * 10**9
    cifar = workers.bytes_each(task((32, 32, 3), 60_000, 128))
    assert 1.8e9 <= cifar <= 2.5e9
    photos = workers.bytes_each(task((224, 224, 3), 9_500, 128))
    assert photos > 2 * 2 * 9_500 * 224 * 224 * 3 + 0.3e9 * 49
    assert workers.bytes_each(task((30,), 400, 32)) == 2 * 10**9


def test_no_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        workers.choose(asked=0, left=3, updates=10)


def test_more_workers_than_accelerators_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(ValueError, match=r"workers must be at most 4 \(the devices\), got 5"):
        workers.choose(asked=5, left=9, updates=10)
    assert workers.choose(asked=None, left=9, updates=99_999).workers == 4


@pytest.mark.slow
def test_processes_with_as_many_cores_come_to_the_same_bits(tmp_path: pathlib.Path) -> None:
    two, one = (
        by_index(workers._by_processes(resolved(SHORT), tmp_path / str(count), workers.Layout(count, 1)))
        for count in (2, 1)
    )
    assert [two[i]["seed"] for i in range(3)] == [0, 1, 2]
    assert {two[i]["device"]["cpus"] for i in range(3)} == {one[i]["device"]["cpus"] for i in range(3)} == {1}
    assert [two[i]["params_digest"] for i in range(3)] == [one[i]["params_digest"] for i in range(3)]
    here = make_all(tmp_path / "here", 1)
    for i in range(3):
        assert two[i]["run"] == here[i]["run"]
        assert two[i]["train_loss"] == pytest.approx(here[i]["train_loss"], rel=1e-3)


@pytest.mark.slow
def test_one_run_per_device_is_the_run_on_that_device(tmp_path: pathlib.Path) -> None:
    devices = jax.local_devices()[:2]
    records = by_index(workers.by_threads(resolved(SHORT), tmp_path, devices))
    alone = [train(config, devices=(devices[1],)) for config in SHORT]
    assert [records[i]["params_digest"] for i in range(3)] == [record["params_digest"] for record in alone]
    assert {record["device"]["run_devices"] for record in records.values()} == {1}


@pytest.mark.slow
def test_a_run_alone_has_one_device_though_one_worker_makes_them(tmp_path: pathlib.Path) -> None:
    assert {record["device"]["run_devices"] for record in make_all(tmp_path, 1, alone=True).values()} == {1}


@pytest.mark.slow
def test_a_study_by_two_workers_is_the_study_by_one(tmp_path: pathlib.Path) -> None:
    shared: dict[str, Any] = {"schedules": ("rex", "step"), "budgets": ("0.2ep",), "seeds": 2, "peak_values": (0.1,)}
    shared["model"] = "mlp"
    losses = []
    for count in (1, 2):
        out = tmp_path / str(count)
        outcome = study.run(StudyConfig(**shared, workers=count, out=str(out)))
        rows = records.read(out / "records.jsonl").rows
        assert {row["device"]["workers"] for row in rows} == {count}
        order = sorted(rows, key=lambda row: (shared["schedules"].index(row["label"]), row["seed"]))
        assert [record["run"] for record in outcome.result] == [row["run"] for row in order]
        losses.append({row["run"]: row["train_loss"] for row in rows})
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)  # other orders of summation


PARENT = """
import pathlib, sys
from lrsched.runs import workers
from lrsched.runs.config import RunConfig
from lrsched.runs.task import resolve
if __name__ == "__main__":
    todo = {seed: resolve(RunConfig(model="mlp", max_epochs=2000.0, seed=seed)) for seed in (0, 1)}
    for _, event in workers.train_all(todo, pathlib.Path(sys.argv[1]), layout=workers.Layout(2, 1)):
        print("going", flush=True)
"""


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "going\n"
        children = _children(parent.pid)
        assert len(children) >= 2
        parent.kill()
    for _ in range(100):
        if not any(pathlib.Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.1)
    pytest.fail(f"workers {children} outlived their parent")


@pytest.mark.slow
def test_a_killed_worker_is_one_clear_line(tmp_path: pathlib.Path) -> None:
    todo = resolved([RunConfig(model="mlp", max_epochs=2000.0, seed=seed) for seed in (0, 1)])
    events = workers.train_all(todo, tmp_path, layout=workers.Layout(2, 1))
    next(events)
    processes = [child for child in _children(os.getpid()) if b"spawn_main" in _words(child)]
    os.kill(processes[-1], 9)
    told = list[Any]()
    with pytest.raises(ChildProcessError, match="workers must live to the end of the study"):
        told.extend(event for _, event in events)
    assert not any(isinstance(event, dict) for event in told)  # the line has not waited for the other run's record


@pytest.fixture
def stopped() -> Iterator[subprocess.Popen[bytes]]:
    """A process that was stopped, as with Ctrl-Z."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        yield process
        process.kill()


def test_a_worker_that_was_stopped_is_named(stopped: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_SECONDS_SILENT", 0.0)
    statuses: queue.SimpleQueue[Any] = queue.SimpleQueue()
    statuses.put((stopped.pid, None))
    events = workers._arriving({futures.Future(): 7}, statuses, lambda: None)
    assert next(events) == (7, f"worker {stopped.pid} is stopped: kill -CONT {stopped.pid} lets it go on.")


def test_an_interrupt_ends_a_worker_that_does_not_answer(
    stopped: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_SECONDS_TO_SAVE", 0.5)
    monkeypatch.setattr(interrupts, "asked", lambda: True)
    statuses: queue.SimpleQueue[Any] = queue.SimpleQueue()
    statuses.put((stopped.pid, None))
    running = futures.Future[Record]()
    running.set_running_or_notify_cancel()
    with pytest.raises(interrupts.Interrupted):
        list(workers._arriving({running: 0}, statuses, lambda: None))  # type: ignore[dict-item]
    assert stopped.wait(10) == -signal.SIGKILL


def _children(pid: int) -> list[int]:
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _words(pid: int) -> bytes:
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
