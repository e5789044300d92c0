"""Workers that train several runs at once: processes that share out a CPU's cores, or threads with a device each.

On two cores two pinned processes make more updates in a second than one process on both (results/speed.md): most of
what a small network does is too short to be cut in two.
"""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import multiprocessing
import os
import pathlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import jax

from lrsched.runs import claims, interrupts
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Record, Status
from lrsched.runs.task import Run, Task, resolve
from lrsched.training import devices

_BYTES_EACH = 2_000_000_000  # of a worker process at least: ResNet-20 at batch 128 takes 1.8 GB with its data
_BYTES_BESIDE, _BYTES_A_PIXEL = 1_100_000_000, 2_400  # of the libraries; of an update, for each pixel of its batch
_UPDATES_WORTH_IT = 2_000  # below, starting workers takes longer than it saves
_SECONDS_BETWEEN = 0.5  # statuses of one run
_SECONDS_SILENT = 30.0  # of all workers, before one is looked at that may be stopped
_SECONDS_TO_SAVE = 60.0  # that workers have once they were asked to end
_MEMINFO = pathlib.Path("/proc/meminfo")
_CONTAINER = pathlib.Path("/sys/fs/cgroup")  # where Linux keeps the limits of one

Event = Status | str | Record | None  # of a run: progress, a message, its record; None: another process is training it


class Layout(NamedTuple):
    """How many runs are made at once, and how many of the CPU's cores each has (0: it runs elsewhere).

    The cores decide the order of summation in a run, and so its last digits.
    """

    workers: int
    cpus: int


def bytes_each(task: Task) -> int:
    """What a worker process is thought to take: libraries, the data twice (on its device as well), and an update."""
    splits = [split for split in (task.data.train, task.data.holdout, task.data.test) if split is not None]
    data = sum(split.images.nbytes + split.labels.nbytes for split in splits)
    shape = task.data.train.images.shape[1:]
    pixels = task.batch_size * (shape[0] * shape[1] if len(shape) == 3 else 0)
    return max(_BYTES_EACH, _BYTES_BESIDE + 2 * data + _BYTES_A_PIXEL * pixels)


def choose(*, asked: int | None, left: int, updates: int, cpus: int | None = None, each: int = _BYTES_EACH) -> Layout:
    """How many workers make `left` runs of `updates` updates in all.

    Args:
      asked: by the user; None: one per CPU core, as far as the free memory allows, or one per accelerator; one alone if
        there is little to do, or where processes cannot be given cores of their own (macOS, Windows).
      cpus: cores of each run, where runs beside these have been made; None: this decides.
      each: bytes that a worker takes.
    Raises:
      ValueError: if fewer than one worker is wanted, or more than there are accelerators, or than have room with the
        cores of runs beside these. More workers than cores share them.
    """
    on_cpu, cores = jax.default_backend() == "cpu", pinnable()
    if asked is not None and asked < 1:
        raise ValueError(f"workers must be at least 1, got {asked}.")
    if not on_cpu:
        most = jax.local_device_count()
        if asked is not None and asked > most:
            raise ValueError(f"workers must be at most {most} (the devices), got {asked}.")
        few = asked is None and updates < _UPDATES_WORTH_IT
        return Layout(1 if few else max(1, min(asked or most, left)), 0)
    if cpus is not None:
        cpus = min(cpus, cores)
        if cpus > 1 and asked is not None and asked > cores // cpus:
            raise ValueError(
                f"workers must be at most {cores // cpus}, as each run beside these has {cpus} of {cores} cores, got"
                f" {asked}."
            )
        most = cores // cpus
        return Layout(max(1, min(asked or min(most, _free_bytes() // each), left)), cpus)
    if asked is None:
        few = updates < _UPDATES_WORTH_IT
        asked = 1 if few else max(1, min(cores, _free_bytes() // each))
    workers = min(asked, max(left, 1))
    return Layout(workers, max(cores // workers, 1))


def train_all(
    todo: Mapping[int, Run], out: pathlib.Path, *, layout: Layout, alone: bool = False
) -> Iterator[tuple[int, Event]]:
    """Trains runs, so many at once, and yields (place, event) as events come; a run's last one is no status.

    A single worker on all cores is this process itself, and spreads each run over all devices, unless each is to be
    `alone` on one, as those of several workers are: how many examples BatchNorm sees at once must not depend on how
    many runs are left.

    Closing the iterator ends the workers at once, and so does the end of this process, however it comes.

    Args:
      todo: by their places among those that were asked for.
    Raises:
      ChildProcessError: if a worker process dies.
      interrupts.Interrupted: if the process was asked to end, once the runs under way are saved.
    """
    if not todo:
        return
    if alone or (layout.workers > 1 and jax.default_backend() != "cpu"):
        yield from by_threads(todo, out, jax.local_devices()[: layout.workers])
    elif layout.workers == 1 and layout.cpus in (0, pinnable()):
        for place, run in todo.items():
            if interrupts.asked():
                raise interrupts.Interrupted("saved")
            yield from ((place, event) for event in claims.train_claimed(run, out, workers=1, place=place))
    else:
        yield from _by_processes(todo, out, layout)


def _by_processes(todo: Mapping[int, Run], out: pathlib.Path, layout: Layout) -> Iterator[tuple[int, Event]]:
    context = multiprocessing.get_context("spawn")
    shares, statuses, stop = context.SimpleQueue(), context.SimpleQueue(), context.Event()
    cores = _cores()
    for worker in range(layout.workers):
        shares.put([cores[(worker * layout.cpus + i) % len(cores)] for i in range(layout.cpus)])
    watched, held = context.Pipe(duplex=False)
    pool = futures.ProcessPoolExecutor(
        layout.workers, context, _begin_process, (shares, statuses, stop, watched)
    )  # fmt: skip
    try:
        with interrupts.blocked():  # a worker that is still starting must not be interrupted either
            futures_of = {
                pool.submit(_train_in_process, place, run.id, run.config, run.task.data_dir, out, layout.workers): place
                for place, run in todo.items()
            }
            # The pool looks at its processes when a task comes in, before it begins the process for that task: without
            # one more it would not see the last process die until a run has ended.
            pool.submit(int)
        yield from _arriving(futures_of, statuses, stop.set)
    except interrupts.Interrupted:
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.kill()  # one that is still starting would miss what the first process takes with it
        raise
    except futures.process.BrokenProcessPool:
        raise ChildProcessError(
            "workers must live to the end of the study, got one that ended: killed (memory?), or begun by a script that"
            ' lacks `if __name__ == "__main__":`. --workers 1 (workers=1) needs none.'
        ) from None
    finally:
        held.close()  # the workers' sign to end
        pool.shutdown(wait=False, cancel_futures=True)


_statuses: Any = None  # in a worker process: where its statuses go


def _begin_process(shares: Any, statuses: Any, stop: Any, watched: Connection) -> None:
    """Takes a share of the cores before JAX counts them, and ends with the process that began this one."""
    global _statuses
    _statuses = statuses
    interrupts.serve(stop.is_set)
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
    statuses.put((os.getpid(), None))
    share = shares.get()
    if share and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)
    devices.prepare()


def _end_with(watched: Connection) -> None:
    try:
        watched.recv()
    except EOFError:
        os._exit(1)


def _train_in_process(
    place: int, name: str, config: RunConfig, data_dir: str | None, out: pathlib.Path, workers: int
) -> Record | None:
    if interrupts.asked():
        raise interrupts.Interrupted("saved")
    run = resolve(config, data_dir=data_dir)
    _check_same(run, name)
    return _forward(place, claims.train_claimed(run, out, workers=workers, place=place), _statuses)


def _check_same(run: Run, name: str) -> None:
    """Raises ValueError unless a worker came to the run that it was sent for."""
    if run.id != name:
        raise ValueError(
            f"run must be {name} in every worker, got {run.id}: another data set (a function that draws without a seed,"
            " a folder that changed), devices or code."
        )


def by_threads(
    todo: Mapping[int, Run], out: pathlib.Path, local_devices: Sequence[jax.Device]
) -> Iterator[tuple[int, Event]]:
    """One run per device at a time; as `train_all` does where JAX does not run on a CPU."""
    statuses: queue.SimpleQueue[Any] = queue.SimpleQueue()
    free: queue.SimpleQueue[jax.Device] = queue.SimpleQueue()
    for device in local_devices:
        free.put(device)
    stop = threading.Event()

    def train_on_a_device(place: int, run: Run) -> Record | None:
        device = free.get()
        try:
            if interrupts.asked():
                raise interrupts.Interrupted("saved")
            there = resolve(run.config, data_dir=run.task.data_dir, devices=(device,))
            if len(run.task.devices) == 1:
                _check_same(there, run.id)
            events = claims.train_claimed(there, out, workers=len(local_devices), place=place)
            return _forward(place, events, statuses, stop)
        finally:
            free.put(device)

    with futures.ThreadPoolExecutor(len(local_devices)) as pool:
        try:
            futures_of = {pool.submit(train_on_a_device, place, run): place for place, run in todo.items()}
            yield from _arriving(futures_of, statuses, lambda: None)  # threads ask for themselves
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _forward(place: int, events: Iterator[Event], statuses: Any, stop: threading.Event | None = None) -> Record | None:
    """Puts a run's messages and, now and then, its progress where the first process reads them; its record."""
    told = 0.0
    for event in events:
        if event is None or isinstance(event, dict):
            return event
        if stop is not None and stop.is_set():
            raise futures.CancelledError
        if isinstance(event, str):
            statuses.put((place, event))
        elif time.perf_counter() - told > _SECONDS_BETWEEN:
            statuses.put((place, event))
            told = time.perf_counter()
    raise AssertionError("a run ends with its record")


def _arriving(
    running: dict[futures.Future[Record | None], int], statuses: Any, ask: Callable[[], None]
) -> Iterator[tuple[int, Event]]:
    """Events as they arrive; once the process is asked to end, what is under way is saved first."""
    workers, stopped = list[int](), set[int]()
    heard, asked_at = time.monotonic(), None
    interrupted = False
    while running:
        if asked_at is None and (interrupted or interrupts.asked()):
            asked_at = time.monotonic()
            ask()
            for future in running:
                future.cancel()
        done, _ = futures.wait(running, timeout=_SECONDS_BETWEEN, return_when=futures.FIRST_COMPLETED)
        while not statuses.empty():
            heard = time.monotonic()
            index, event = statuses.get()
            if event is None:
                workers.append(index)
            else:
                yield index, event
        for future in sorted(done, key=lambda future: (_failed(future), running[future])):  # records first
            index = running.pop(future)
            if future.cancelled() or isinstance(future.exception(), interrupts.Interrupted):
                interrupted = True
            else:
                yield index, future.result()
        if time.monotonic() - heard > _SECONDS_SILENT:
            for worker in [pid for pid in workers if pid not in stopped and _is_stopped(pid)]:
                stopped.add(worker)
                yield next(iter(running.values())), f"worker {worker} is stopped: kill -CONT {worker} lets it go on."
        if asked_at is not None and time.monotonic() - asked_at > _SECONDS_TO_SAVE:
            break
    if interrupted or asked_at is not None:
        for worker in workers if running else ():  # they did not answer
            with contextlib.suppress(OSError):
                os.kill(worker, signal.SIGKILL)
        raise interrupts.Interrupted("saved")


def _failed(future: futures.Future[Any]) -> bool:
    return future.cancelled() or future.exception() is not None


def _is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal, as far as Linux tells."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    except (OSError, IndexError):
        return False


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pinnable() -> int:
    """How many cores can be given to processes one by one."""
    return len(_cores()) if hasattr(os, "sched_setaffinity") else 1


def _free_bytes() -> int:
    """What programs may take without swapping, and a container's limit with it, as far as Linux tells."""
    free = 2**62
    with contextlib.suppress(OSError, StopIteration):
        lines = _MEMINFO.read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    with contextlib.suppress(OSError, ValueError):  # not there, or "max"
        limit, taken = (int((_CONTAINER / name).read_text()) for name in ("memory.max", "memory.current"))
        with contextlib.suppress(OSError):
            stats = dict(line.split() for line in (_CONTAINER / "memory.stat").read_text().splitlines())
            taken -= int(stats.get("inactive_file", 0))  # files that were read, which make room when it is needed
        free = min(free, limit - taken)
    return free
