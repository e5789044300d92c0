"""Runs handed to Ray and to Slurm come to what they come to here; a worker that is lost loses nothing."""

import contextlib
import os
import pathlib
import shutil
import signal
import threading
import types
from concurrent import futures
from typing import Any

import pytest
from helpers import numbers

from lrsched.runs import claims, engines, interrupts, records, remote, workers
from lrsched.runs.config import RunConfig
from lrsched.runs.engines import Engine
from lrsched.runs.task import resolve

THREE = [RunConfig(model="mlp", budget="1ep", seed=seed) for seed in range(3)]
RAY, SLURM = Engine(name="ray"), Engine(name="slurm", address="local")
JOB = remote.Job(7, "id", THREE[0], None, pathlib.Path("nowhere"), 1, 1, ".", {})


def drive(outcomes: list[remote.Outcome | Exception], retries: int = 1) -> list[Any]:
    """What comes of one job whose attempts end in these ways, one after another."""

    def send(jobs: Any) -> list[futures.Future[remote.Outcome]]:
        future = futures.Future[remote.Outcome]()
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        return [future]

    cluster = engines._Cluster(send, lambda _: None, (ConnectionError,), 1)
    return list(engines._drive(cluster, [JOB], {7: "rex"}, retries, {}))


def test_a_lost_worker_is_told_and_its_run_sent_again() -> None:
    said, record = drive([ConnectionError("gone.\nlog"), remote.Outcome({"run": "id"})])
    assert said == (7, "lost its worker (gone); it goes on from what was saved.")
    assert record == (7, {"run": "id"})


class Withdrawn(Exception):
    """What an engine says of a job that was cancelled before it began."""


def test_asked_to_end_what_was_not_begun_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter((False, True, True))
    monkeypatch.setattr(interrupts, "asked", lambda: next(asked))
    sent: list[futures.Future[remote.Outcome]] = []

    def send(jobs: Any) -> list[futures.Future[remote.Outcome]]:
        sent.extend(futures.Future() for _ in jobs)
        return sent

    def stop(those: Any) -> None:
        those[0].set_result(remote.Outcome(saved=True))
        those[1].set_exception(Withdrawn())

    cluster = engines._Cluster(send, stop, (ConnectionError,), None, (futures.CancelledError, Withdrawn))
    with pytest.raises(interrupts.Interrupted):
        list(engines._drive(cluster, [JOB, JOB._replace(place=8)], {7: "rex", 8: "linear"}, 1, {}))


def test_rays_word_for_what_was_not_begun_is_known() -> None:
    ray = pytest.importorskip("ray")
    fake = types.SimpleNamespace(
        is_initialized=lambda: True, remote=lambda **_: lambda _: None, exceptions=ray.exceptions
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines.importlib, "import_module", lambda name: fake)
        with engines._ray(RAY, pathlib.Path("nowhere"), 1, None) as cluster:
            assert issubclass(ray.exceptions.TaskCancelledError, cluster.withdrawn)
            assert not issubclass(ray.exceptions.WorkerCrashedError, cluster.withdrawn)


def test_a_run_that_goes_on_losing_workers_is_one_clear_line() -> None:
    with pytest.raises(
        ChildProcessError, match=r"rex must lose its worker, .* at most 1 times \(retries\), got one more"
    ):
        drive([ConnectionError("gone"), ConnectionError("gone")])


def test_a_worker_that_had_to_end_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter((10, 20))
    monkeypatch.setattr(remote, "saved_steps", lambda job: next(steps))
    saved = remote.Outcome(None, ("resuming.",), saved=True)
    assert drive([saved, saved, remote.Outcome({"run": "id"})], retries=0)[-1] == (7, {"run": "id"})


def test_a_run_that_gets_nowhere_in_the_time_of_a_job_ends_the_study() -> None:
    saved = remote.Outcome(None, (), saved=True)
    with pytest.raises(ChildProcessError, match="or end without a new state, at most 1 times"):
        drive([saved, saved, saved, saved])


def test_what_a_worker_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match="rex: data must be there"):
        drive([remote.Outcome(refused="data must be there")])


def test_asked_to_end_the_workers_are_asked_and_nothing_more_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "asked", lambda: True)
    with pytest.raises(interrupts.Interrupted):
        drive([])


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (Engine(retries=2), "retries must be left out with the engine local"),
        (Engine(name="ray", partition="gpu"), "partition must be left out with the engine ray"),
        (Engine(name="slurm", address="here:1"), "address must be slurm or local"),
        (Engine(name="ray", cpus_per_run=0), "cpus_per_run must be at least 1, got 0"),
        (Engine(name="ray", gpus_per_run=2), "gpus_per_run must be from 0 to 1"),
        (Engine(name="slurm", gpus_per_run=0.5), "gpus_per_run must be 0 or 1 with slurm"),
        (Engine(name="slurm", time=0), "time must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(engine: Engine, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        engine.check()


@pytest.mark.skipif(shutil.which("srun") is not None, reason="there is a Slurm here")
def test_slurm_that_is_not_there_is_one_line(tmp_path: pathlib.Path) -> None:
    todo = {0: resolve(THREE[0])}
    with pytest.raises(ValueError, match=r"got slurm: .*srun.* --address local"):
        list(engines.train_all(todo, tmp_path, engine=Engine(name="slurm"), cpus=1))


@pytest.mark.skipif(shutil.which("srun") is not None, reason="there is a Slurm here")
def test_jobs_that_slurm_refuses_are_one_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("srun", "sbatch"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: nope' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    todo, engine = {0: resolve(THREE[0])}, Engine(name="slurm", partition="nope")
    with pytest.raises(ValueError, match="that takes the jobs, got slurm: .*invalid partition") as refusal:
        list(engines.train_all(todo, tmp_path / "out", engine=engine, cpus=1))
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(shutil.which("srun") is not None, reason="there is a Slurm here")
def test_what_slurm_took_before_it_refused_is_cancelled(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = {
        "srun": "exit 1",
        "sbatch": f"mkdir {tmp_path}/one 2>&- || {{ echo QOS limit >&2; exit 1; }}; echo Submitted batch job 4711",
        "scancel": f'echo "$@" >> {tmp_path}/cancelled',
        "sacct": "exit 1",
    }
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(engines, "_LONGEST_ARRAY", 1)
    todo = {place: resolve(config) for place, config in enumerate(THREE[:2])}
    with pytest.raises(ValueError, match="that takes the jobs, got slurm: .*QOS limit"):
        list(engines.train_all(todo, tmp_path / "out", engine=Engine(name="slurm"), cpus=1))
    assert (tmp_path / "cancelled").read_text().split() == ["4711"]


def test_a_job_of_another_run_is_refused(tmp_path: pathlib.Path) -> None:
    outcome = remote.train(JOB._replace(out=tmp_path, cpus=0))
    assert outcome.refused is not None
    assert outcome.refused.startswith("run must be id on every machine, got")


def holder(out: pathlib.Path) -> int | None:
    """A process that trains a run."""
    for path in pathlib.Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            if int(path.parent.name) != os.getpid() and any(
                os.readlink(each).startswith(f"{out}/states") for each in path.iterdir()
            ):
                return int(path.parent.name)
    return None


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    out = tmp_path_factory.mktemp("here")
    todo = {place: resolve(config) for place, config in enumerate(THREE)}
    events = list(workers.train_all(todo, out, layout=workers.Layout(2, 1)))
    found = dict(event for event in events if isinstance(event[1], dict))
    return [numbers(found[place]) for place in range(3)]


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc").exists(), reason="reads /proc")
@pytest.mark.parametrize("engine", [RAY, SLURM], ids=["ray", "slurm"])
def test_two_workers_of_which_one_is_killed_come_to_the_same_records(
    engine: Engine, here: list[Any], tmp_path: pathlib.Path
) -> None:
    out, killed, found, said = tmp_path.resolve(), list[int](), dict[int, Any](), list[str]()
    todo = {place: resolve(config) for place, config in enumerate(THREE)}
    over = threading.Event()

    def kill() -> None:
        while not killed and not over.wait(0.02):
            if worker := holder(out):
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)

    threading.Thread(target=kill, daemon=True).start()
    try:
        for place, event in engines.train_all(todo, out, engine=engine, cpus=1, workers=2):
            if isinstance(event, dict):
                found[place] = event
            elif isinstance(event, str):
                said.append(event)
    finally:
        over.set()
    assert len(killed) == 1
    assert sum("lost its worker" in line for line in said) == 1
    assert [numbers(found[place]) for place in range(3)] == here
    assert len(records.read(claims.ledger(out)).rows) == 3
    assert {record["device"]["cpus"] for record in found.values()} == {1}
