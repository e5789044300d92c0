"""What is told to a tracker while runs are made."""

from __future__ import annotations

import pathlib
import sys
import types
from typing import Any

import pytest

from lrsched.runs import tracking
from lrsched.runs.report import Overall, Status

RECORD: dict[str, Any] = {
    "run": "abc", "config": {"schedule": "rex"}, "diverged_at": None, "test_error": 0.25, "finished": "9999",
    "evaluations": {"split": "test", "steps": [1, 2], "errors": [0.5, None], "losses": [1.0, 2.0]},
}  # fmt: skip
STATUS = Status(completed=3, total_steps=9, loss=1.5, rate=0.1, images_per_second=10.0)
EVENTS = ("a line", Overall(0, 2, 6, "rex, seed 0", STATUS, None), Overall(1, 2, 0, "rex, seed 0", None, RECORD))


def test_tensorboard_gets_progress_and_the_record(tmp_path: pathlib.Path) -> None:
    heard: list[Any] = []
    with tracking.tracked(heard.append, "tensorboard", tmp_path) as told:
        for event in EVENTS:
            told(event)
    assert heard == list(EVENTS)
    assert scalars(tmp_path / "tensorboard" / "rex_seed_0") == {
        ("rate", 3): pytest.approx(0.1), ("loss", 3): 1.5, ("images_per_second", 3): 10.0,
        ("test_error", 1): 0.5, ("final/test_error", 0): 0.25,
    }  # fmt: skip


def scalars(folder: pathlib.Path) -> dict[tuple[str, int], float]:
    """(name, step) -> value, of the events in a folder."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    (path,) = folder.iterdir()
    content, found = path.read_bytes(), {}
    while content:
        size = int.from_bytes(content[:8], "little")
        assert masked_crc32c(content[:8]) == int.from_bytes(content[8:12], "little")
        event = Event.FromString(content[12 : 12 + size])
        content = content[16 + size :]
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found[value.tag, event.step] = value.simple_value
    return found


def test_runs_on_record_before_are_not_told(tmp_path: pathlib.Path) -> None:
    with tracking.tracked(lambda _: None, "tensorboard", tmp_path) as told:
        told(Overall(1, 2, 0, "rex", None, {**RECORD, "finished": "2000-01-01T00:00:00Z"}))
    assert not list(tmp_path.iterdir())


def test_record_by_itself_goes_to_the_tracker_alone(tmp_path: pathlib.Path) -> None:
    heard: list[Any] = []
    with tracking.tracked(heard.append, "tensorboard", tmp_path) as told:
        told(STATUS)
        told(RECORD)
    assert heard == [STATUS]
    assert scalars(tmp_path / "tensorboard" / tmp_path.name)["final/test_error", 0] == 0.25


class Run(types.SimpleNamespace):
    """What is used of a run of Weights & Biases."""

    def __init__(self) -> None:
        super().__init__(config={}, summary={}, logged=[], metrics=[], finished=False)

    def define_metric(self, *words: Any, **named: Any) -> None:
        self.metrics.append((words, named))

    def log(self, values: dict[str, float]) -> None:
        self.logged.append(values)

    def finish(self) -> None:
        self.finished = True


def test_wandb_gets_the_same_by_update(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=lambda **_: run))
    with tracking.tracked(lambda _: None, "wandb", tmp_path) as told:
        for event in EVENTS:
            told(event)
    assert run.logged[0] == {"rate": 0.1, "loss": 1.5, "images_per_second": 10.0, "update": 3}
    assert run.logged[1] == {"test_error": 0.5, "update": 1}
    assert (run.summary, run.config["schedule"], run.finished) == ({"test_error": 0.25}, "rex", True)


class Client:
    """What is used of a client of MLflow."""

    def __init__(self) -> None:
        self.logged, self.params, self.ended = list[Any](), dict[str, Any](), list[str]()

    def get_experiment_by_name(self, name: str) -> None:
        self.experiment = name

    def create_experiment(self, name: str) -> str:
        return f"id of {name}"

    def create_run(self, experiment: str, run_name: str) -> Any:
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=f"{run_name} in {experiment}"))

    def log_metric(self, run: str, key: str, value: float, step: int) -> None:
        self.logged.append((run, key, value, step))

    def log_param(self, run: str, key: str, value: Any) -> None:
        self.params[key] = value

    def set_terminated(self, run: str) -> None:
        self.ended.append(run)


def test_mlflow_gets_the_same(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, run = Client(), f"rex, seed 0 in id of {tmp_path.name}"
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(MlflowClient=lambda: client))
    with tracking.tracked(lambda _: None, "mlflow", tmp_path) as told:
        for event in EVENTS:
            told(event)
    assert client.logged == [
        (run, "rate", 0.1, 3), (run, "loss", 1.5, 3), (run, "images_per_second", 10.0, 3),
        (run, "test_error", 0.5, 1), (run, "test_error", 0.25, 0),
    ]  # fmt: skip
    assert (client.experiment, client.params["schedule"], client.ended) == (tmp_path.name, "rex", [run])


def test_no_tracker_is_the_same_report(tmp_path: pathlib.Path) -> None:
    heard: list[Any] = []
    with tracking.tracked(heard.append, None, tmp_path) as told:
        told("x")
    assert heard == ["x"]


def test_tracker_that_cannot_be_reached_is_one_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("no server at x\nand much more")

    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(MlflowClient=refuse))
    with (
        pytest.raises(ValueError, match="track must be a tracker that can be reached, got mlflow: no server at x$"),
        tracking.tracked(lambda _: None, "mlflow", tmp_path),
    ):
        pass


def test_tracker_that_fails_later_is_told_no_more_and_nothing_ends(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> tracking.Writer:
        raise RuntimeError("no network\nat all")

    monkeypatch.setitem(tracking.TRACKERS, "wandb", lambda _: fail)
    heard: list[Any] = []
    with tracking.tracked(heard.append, "wandb", tmp_path) as told:
        told(STATUS)
        told(STATUS)
    assert heard == [STATUS, "track: wandb is told no more: no network", STATUS]
