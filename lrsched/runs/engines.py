"""Engines that carry many runs beyond this process: Ray, or Slurm by submitit.

Either only has to call `remote.train` on machines that see the folder, and to give a Future of each call: claims,
states and records are in the folder. A run whose worker is gone is sent again, and goes on from its newest state.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import importlib
import math
import os
import pathlib
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from lrsched.runs import interrupts, remote
from lrsched.runs.report import Status
from lrsched.runs.task import Run
from lrsched.runs.workers import Event

_SECONDS_BETWEEN = 0.5  # looks at what has ended
_SECONDS_TO_SAVE = 60.0  # that workers have once they were asked to end
_LONGEST_ARRAY = 1000  # jobs; Slurm's own default of MaxArraySize is 1001

Name = Literal["local", "ray", "slurm"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """What makes the runs: worker processes here, the machines of a Ray cluster, or jobs of Slurm.

    Workers on other machines must see the same `out` folder (and data). `workers` is how many runs are made at once:
    for Ray at most, None as many as the cluster has room for; for Slurm the limit of the array.

    Attributes:
      name: local, ray or slurm; the last two are extras.
      address: of a running Ray cluster (auto, or host:port), else one is started here; of Slurm: local tries its jobs
        as processes here.
      cpus_per_run: cores of each run, which decide its last digits; None: those of the runs beside it, else 1.
      gpus_per_run: accelerators of each run, at most 1; with Ray a part of one (0.5), so that runs share it.
      retries: how often one run may lose its worker before the study ends.
      partition: of Slurm; None: its default.
      time: minutes of a Slurm job; a run that takes longer goes on in another job.
    """

    name: Annotated[Name, tyro.conf.arg(name="engine")] = "local"
    address: str | None = None
    cpus_per_run: int | None = None
    gpus_per_run: float = 0.0
    retries: int = 3
    partition: str | None = None
    time: int = 240

    def check(self) -> None:
        """Raises ValueError if a setting is none, or is another engine's."""
        if self.cpus_per_run is not None and self.cpus_per_run < 1:
            raise ValueError(f"cpus_per_run must be at least 1, got {self.cpus_per_run}.")
        if not 0 <= self.gpus_per_run <= 1:
            raise ValueError(f"gpus_per_run must be from 0 to 1 (a run has one device), got {self.gpus_per_run:g}.")
        if self.name == "slurm" and self.gpus_per_run not in (0, 1):
            raise ValueError(f"gpus_per_run must be 0 or 1 with slurm, got {self.gpus_per_run:g}.")
        if self.retries < 0:
            raise ValueError(f"retries must be at least 0, got {self.retries}.")
        if self.time < 1:
            raise ValueError(f"time must be at least 1 (minutes), got {self.time}.")
        if self.name == "slurm" and self.address not in (None, "slurm", "local"):
            raise ValueError(f"address must be slurm or local with the engine slurm, got {self.address!r}.")
        used = {"local": set[str](), "ray": {"address", "cpus_per_run", "gpus_per_run", "retries"}}.get(self.name)
        for field in dataclasses.fields(self)[1:]:
            if used is not None and field.name not in used and getattr(self, field.name) != field.default:
                raise ValueError(f"{field.name} must be left out with the engine {self.name}, which has no use for it.")


LOCAL = Engine()


class _Cluster(NamedTuple):
    """What an engine is to this module."""

    send: Callable[[Sequence[remote.Job]], list[futures.Future[remote.Outcome]]]
    stop: Callable[[Sequence[futures.Future[remote.Outcome]]], None]  # asks their workers to save and end
    lost: tuple[type[Exception], ...]  # what a future raises whose worker is gone
    at_once: int | None  # jobs to hand over before one has ended; None: all
    withdrawn: tuple[type[BaseException], ...] = (futures.CancelledError,)  # what a future raises that was not begun


def train_all(
    todo: Mapping[int, Run], out: pathlib.Path, *, engine: Engine, cpus: int, workers: int | None = None
) -> Iterator[tuple[int, Event]]:
    """Trains runs on an engine, and yields (place, event) as events come; a run's last one is no status.

    Args:
      todo: by their places among those that were asked for.
      cpus: cores of each run; 0: they run on accelerators.
      workers: runs made at once; None: as many as the engine has room for.
    Raises:
      ValueError: if the engine is not there, or a run cannot be made on it.
      ChildProcessError: if a run loses its worker more often than `engine.retries`.
      interrupts.Interrupted: if the process was asked to end, once the runs under way are saved.
    """
    if not todo:
        return
    shared: dict[str, Any] = {"out": out.absolute(), "cpus": cpus, "workers": workers or 1}
    shared |= {"folder": os.getcwd(), "environment": remote.environment()}
    jobs = []
    for place, run in todo.items():
        data_dir = run.task.data_dir and str(pathlib.Path(run.task.data_dir).absolute())
        jobs.append(remote.Job(place=place, run=run.id, config=run.config, data_dir=data_dir, **shared))
    described = {place: run.describe() for place, run in todo.items()}
    with (_ray if engine.name == "ray" else _slurm)(engine, out.absolute(), cpus, workers) as cluster:
        sent = dict[futures.Future[remote.Outcome], remote.Job]()
        try:
            yield from _drive(cluster, jobs, described, engine.retries, sent)
        except (ChildProcessError, ValueError):
            cluster.stop(list(sent))
            raise


def _drive(
    cluster: _Cluster,
    jobs: Sequence[remote.Job],
    described: Mapping[int, str],
    retries: int,
    running: dict[futures.Future[remote.Outcome], remote.Job],
) -> Iterator[tuple[int, Event]]:
    """Hands jobs over (`running` has them), again where a worker was lost or had to end; yields what comes of them."""
    waiting = collections.deque(jobs)
    losses, heard, saved = collections.Counter[int](), dict[int, Status](), dict[int, int]()
    asked_at = None
    while waiting or running:
        if asked_at is None and interrupts.asked():
            asked_at = time.monotonic()
            waiting.clear()
            cluster.stop(list(running))
        room = len(waiting) if cluster.at_once is None else cluster.at_once - len(running)
        if batch := [waiting.popleft() for _ in range(min(room, len(waiting)))]:
            running |= dict(zip(cluster.send(batch), batch, strict=True))
        done, _ = futures.wait(running, timeout=_SECONDS_BETWEEN, return_when=futures.FIRST_COMPLETED)
        for future in done:
            job = running.pop(future)
            try:
                outcome = future.result()
            except cluster.withdrawn:
                continue
            except cluster.lost as error:
                said = f"lost its worker ({_line(error)}); it goes on from what was saved."
                outcome = remote.Outcome(saved=True, messages=(said,))
                losses[job.place] += 1
            else:  # to end before anything new is saved gets a run nowhere
                at = remote.saved_steps(job) if outcome.saved else 0
                losses[job.place] += outcome.saved and at <= saved.get(job.place, -1)
                saved[job.place] = at
            if losses[job.place] > retries and asked_at is None:
                allowed = f"must lose its worker, or end without a new state, at most {retries} times (retries)"
                raise ChildProcessError(f"{described[job.place]} {allowed}, got one more. The same command resumes.")
            yield from ((job.place, line) for line in outcome.messages)
            if outcome.refused is not None:
                raise ValueError(f"{described[job.place]}: {outcome.refused}")
            if not outcome.saved:
                yield job.place, outcome.record
            elif asked_at is None:  # or its job's time is over, or its machine is wanted
                waiting.append(job)
        for job in list(running.values()):
            status = remote.read_progress(job)
            if status is not None and heard.get(job.place) != status:
                heard[job.place] = status
                yield job.place, status
        if asked_at is not None and time.monotonic() - asked_at > _SECONDS_TO_SAVE:
            break
    if asked_at is not None:
        raise interrupts.Interrupted("saved")


def _line(error: BaseException) -> str:
    """The first line of an error, which may hold a worker's whole log."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@contextlib.contextmanager
def _ray(engine: Engine, _: pathlib.Path, cpus: int, workers: int | None) -> Iterator[_Cluster]:
    ray = importlib.import_module("ray")
    begun = not ray.is_initialized()
    if begun:
        words: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
        if engine.address is not None:
            words = {"address": engine.address, "log_to_driver": False, "logging_level": "ERROR"}
        elif workers is not None:
            words["num_cpus"] = workers * max(cpus, 1)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        with _own_handlers():
            try:
                ray.init(**words)
            except (ConnectionError, RuntimeError, ValueError) as error:
                where = "one can be started here" if engine.address is None else "a running cluster's"
                raise ValueError(f"address must be {where}, got {engine.address}: {_line(error)}.") from error
    # Retries are counted here: what was lost is told, and a run that was asked to end is not lost.
    task = ray.remote(num_cpus=max(cpus, 1), num_gpus=engine.gpus_per_run, max_retries=0)(remote.train)
    references: dict[futures.Future[remote.Outcome], Any] = {}

    def send(jobs: Sequence[remote.Job]) -> list[futures.Future[remote.Outcome]]:
        sent = {(reference := task.remote(job)).future(): reference for job in jobs}
        references.update(sent)
        return list(sent)

    def stop(those: Sequence[futures.Future[remote.Outcome]]) -> None:
        for future in those:
            ray.cancel(references[future])

    errors = ray.exceptions
    lost = [errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError, errors.LocalRayletDiedError]
    lost += [errors.ObjectLostError, errors.TaskUnschedulableError, errors.RaySystemError]
    try:
        yield _Cluster(send, stop, tuple(lost), workers, (futures.CancelledError, errors.TaskCancelledError))
    finally:
        if begun:
            with _own_handlers():
                ray.shutdown()


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Ray takes SIGTERM over, where what `interrupts` made of it is to hold, and forks, of which JAX warns."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} if main else {}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _slurm(engine: Engine, out: pathlib.Path, cpus: int, workers: int | None) -> Iterator[_Cluster]:
    submitit = importlib.import_module("submitit")
    errors = submitit.core.utils
    here = engine.address == "local"
    try:
        executor = submitit.AutoExecutor(folder=out / "jobs", cluster="local" if here else "slurm")
    except RuntimeError as error:
        hint = "--address local tries its jobs as processes."
        raise ValueError(f"engine must be one that is here, got slurm: {_line(error)} {hint}") from error
    words: dict[str, Any] = {"name": "lrsched", "timeout_min": engine.time, "cpus_per_task": max(cpus, 1)}
    words |= {"gpus_per_node": math.ceil(engine.gpus_per_run)} if engine.gpus_per_run else {}
    words |= {"slurm_array_parallelism": workers} if workers else {}
    words |= {"slurm_partition": engine.partition} if engine.partition else {}
    executor.update_parameters(**words)
    under_way: dict[futures.Future[remote.Outcome], Any] = {}
    over = threading.Event()

    def send(jobs: Sequence[remote.Job]) -> list[futures.Future[remote.Outcome]]:
        submitted = list[Any]()
        with _own_signals() if here else contextlib.nullcontext():
            for first in range(0, len(jobs), _LONGEST_ARRAY):
                try:
                    submitted += executor.map_array(remote.train, jobs[first : first + _LONGEST_ARRAY])
                except errors.FailedJobError as error:  # of sbatch, which may have taken others before
                    for job in submitted:
                        job.cancel(check=False)
                    raise ValueError(f"engine must be one that takes the jobs, got slurm: {_line(error)}") from error
        sent = {futures.Future[remote.Outcome](): job for job in submitted}
        under_way.update(sent)
        return list(sent)

    def stop(those: Sequence[futures.Future[remote.Outcome]]) -> None:
        for future in those:
            job = under_way.get(future)
            if job is None:
                continue
            if here:
                with contextlib.suppress(OSError):
                    os.kill(int(job.job_id), signal.SIGTERM)  # `cancel` would give it a second
            else:
                job.cancel(check=False)
                if job.state == "PENDING":
                    future.cancel()

    def watch() -> None:
        while not over.wait(_SECONDS_BETWEEN):
            for future, job in list(under_way.items()):
                if future.cancelled() or job.done():
                    del under_way[future]
                    _settle(future, job)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield _Cluster(send, stop, (errors.UncompletedJobError,), workers or os.cpu_count() if here else None)
    finally:
        over.set()
        watcher.join()
        with contextlib.suppress(OSError):  # logs of jobs that failed stay
            (out / "jobs").rmdir()


def _settle(future: futures.Future[remote.Outcome], job: Any) -> None:
    """Gives a future what its job has come to, and removes what a job that ended leaves."""
    if future.cancelled():
        return
    job._results_timeout_s = 3  # seconds for a shared folder to show a result; 15, one job after another, would hold up
    try:
        future.set_result(job.result())
    except Exception as error:
        future.set_exception(error)
        return
    for path in job.paths.folder.glob(f"{job.job_id}_*"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """A process begun inside the `with` does not take Ctrl-C from this one's terminal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
