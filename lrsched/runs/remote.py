"""What a worker of an engine does, on whatever machine it is: one run, saved in the folder that all of them see."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import tempfile
import time
from typing import IO, Any, NamedTuple

import jax

from lrsched import files
from lrsched.runs import claims, interrupts, records
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Record, Status
from lrsched.runs.task import resolve
from lrsched.training import devices, snapshots

_SECONDS_BETWEEN = 2.0  # two notes of a run's progress
_ENVIRONMENT = ("LRSCHED_PLAIN", "LRSCHED_LOCKS", "TFDS_DATA_DIR")  # that a worker takes over where it has none


class Job(NamedTuple):
    """One run, as a worker is told of it."""

    place: int  # among those that were asked for
    run: str  # its id
    config: RunConfig
    data_dir: str | None
    out: pathlib.Path
    cpus: int  # cores of the run; 0: it runs on an accelerator
    workers: int  # runs made at once, for the record
    folder: str  # where models and data of the user's own are found
    environment: dict[str, str]


class Outcome(NamedTuple):
    """How a job ended. A record of None: another process is training the run."""

    record: Record | None = None
    messages: tuple[str, ...] = ()
    saved: bool = False  # the worker was asked to end before the run was done
    refused: str | None = None  # why the run cannot be made


def environment() -> dict[str, str]:
    """What a worker is told of this process's environment."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def train(job: Job) -> Outcome:
    """Trains a run from its newest state in the shared folder, and records it there.

    Signals ask it to end, as Ray (SIGINT), Slurm (SIGTERM) and submitit before a job's time is over (SIGUSR2) send
    them: the state is saved after the update in progress.
    """
    messages = list[str]()
    for name, value in job.environment.items():
        os.environ.setdefault(name, value)
    if job.folder not in sys.path:
        sys.path.append(job.folder)
    with interrupts.served(signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        try:
            if job.cpus:
                messages += _take_cores(job.cpus)
            devices.prepare()
            devices.start()
            return Outcome(_train(job, messages), tuple(messages))
        except interrupts.Interrupted:
            return Outcome(None, tuple(messages), saved=True)
        except (OSError, ValueError) as error:
            return Outcome(None, tuple(messages), refused=str(error))


def _train(job: Job, messages: list[str]) -> Record | None:
    if interrupts.asked():
        raise interrupts.Interrupted("saved")
    one = None if jax.default_backend() == "cpu" else tuple(jax.local_devices()[:1])
    run = resolve(job.config, data_dir=job.data_dir, devices=one)
    if run.id != job.run:
        raise ValueError(
            f"run must be {job.run} on every machine, got {run.id} on {os.uname().nodename}: another data set, devices"
            " or code."
        )
    told = 0.0
    for event in claims.train_claimed(run, job.out, workers=job.workers, place=job.place):
        if isinstance(event, str):
            messages.append(event)
        elif not isinstance(event, Status):
            return event
        elif time.monotonic() - told > _SECONDS_BETWEEN:
            _progress_file(job).write_text(json.dumps(event))
            told = time.monotonic()
    raise AssertionError("a run ends with its record")


def saved_steps(job: Job) -> int:
    """Updates in the newest state of a run; 0 if it has none."""
    return max(snapshots.steps(records.states(job.out) / job.run), default=0)


def read_progress(job: Job) -> Status | None:
    """How far a run has come, as its worker noted it some seconds ago; None: nothing is known of it."""
    try:
        found: Any = json.loads(_progress_file(job).read_text())
        return Status(*found)
    except (OSError, TypeError, ValueError):  # not there, or half written
        return None


def _progress_file(job: Job) -> pathlib.Path:
    return records.states(job.out) / job.run / "progress.json"  # removed with the states, once there is a record


_held: IO[bytes] | None = None  # the lock of this process's cores


def _take_cores(count: int) -> list[str]:
    """Takes so many cores before JAX counts them, others than other workers on this machine have; messages.

    Slurm may have given them already. The cores decide the order of summation in a run, and so its last digits.
    """
    global _held
    if not hasattr(os, "sched_setaffinity") or _held is not None:
        return []
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) <= count:
        if len(cores) < count:
            return [f"{len(cores)} cores, where the runs beside it have {count}: its last digits differ."]
        return []
    folder = pathlib.Path(tempfile.gettempdir(), f"lrsched-cores-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    shares = [cores[first : first + count] for first in range(0, len(cores) - count + 1, count)]
    share = shares[os.getpid() % len(shares)]  # if all are taken
    for each in shares:
        try:
            _held = files.lock(folder / str(each[0]))
            share = each
            break
        except OSError:
            continue
    os.sched_setaffinity(0, share)
    return []
