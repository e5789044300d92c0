"""Runs spread over workers: processes that share out the cores of a CPU, or threads with an accelerator each.

On two cores two pinned processes make more updates in a second than one process on both (results/speed.md): most of
what a small network does is too short to be cut in two.
"""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import functools
import multiprocessing
import os
import pathlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import jax

from lrsched.runs import claims
from lrsched.runs import interrupts
from lrsched.runs import run as runs
from lrsched.runs import task as tasks
from lrsched.runs.task import RunConfig
from lrsched.training import devices

_BYTES_EACH = 2_000_000_000  # of a worker process: ResNet-20 at batch 128 takes 1.8 GB with its data
_UPDATES_WORTH_IT = 2_000  # below, starting workers takes longer than it saves
_SECONDS_BETWEEN = 0.5  # statuses of one run
_SECONDS_SILENT = 30.0  # of all workers, before one is looked at that may be stopped
_SECONDS_TO_SAVE = 60.0  # that workers have once they were asked to end
_CONTAINER = pathlib.Path("/sys/fs/cgroup")  # where Linux keeps the limits of one

# Of a run: how it is getting on, a line to be told, its record, or None if another process is making it.
Event = runs.Status | str | runs.Record | None


class Layout(NamedTuple):
    """How many runs are made at once, and how many of the CPU's cores each has (0: it runs elsewhere).

    The cores decide the order of summation in a run, and so its last digits.
    """

    workers: int
    cpus: int


def choose(*, asked: int | None, left: int, updates: int, cpus: int | None = None) -> Layout:
    """How many workers make `left` runs of `updates` updates in all.

    Args:
      asked: by the user; None: one per CPU core, as far as the free memory allows, or one per accelerator; one alone if
        there is little to do, or where processes cannot be given cores of their own (macOS, Windows).
      cpus: cores of each run, where runs beside these have been made; None: this decides.
    Raises:
      ValueError: if fewer than one worker is asked for, or more than there are accelerators or cores.
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
        return Layout(max(1, min(asked or min(most, _free_bytes() // _BYTES_EACH), left)), cpus)
    if asked is None:
        few = updates < _UPDATES_WORTH_IT
        asked = 1 if few else max(1, min(cores, _free_bytes() // _BYTES_EACH))
    workers = min(asked, max(left, 1))
    return Layout(workers, max(cores // workers, 1))


def made(
    configs: Mapping[int, RunConfig], *, data_dir: str | None, out: pathlib.Path, layout: Layout, alone: bool = False
) -> Iterator[tuple[int, Event]]:
    """Makes the runs, so many at once, and yields (place, event) as they come; a run's last event is no status.

    Args:
      configs: by their places among those that were asked for.

    A single worker on all cores is this process itself, and spreads each run over all devices, unless each is to be
    `alone` on one, as those of several workers are: how many examples BatchNorm sees at once must not depend on how
    many runs are left.

    Closing the iterator ends the workers at once, and so does the end of this process, however it comes.

    Raises:
      ChildProcessError: if a worker process dies.
      interrupts.Interrupted: if the process was asked to end, once the runs under way are saved.
    """
    if not configs:
        return
    make = functools.partial(_make, data_dir=data_dir, out=out, workers=layout.workers)
    if alone or (layout.workers > 1 and jax.default_backend() != "cpu"):
        yield from by_threads(configs, make, jax.local_devices()[: layout.workers])
    elif layout.workers == 1 and layout.cpus in (0, pinnable()):
        for place, config in configs.items():
            yield from ((place, event) for event in _events(make(config, place=place)))
    else:
        yield from _by_processes(configs, make, layout)


def _make(
    config: RunConfig,
    *,
    place: int,
    data_dir: str | None,
    out: pathlib.Path,
    workers: int,
    devices: tasks.Devices = None,
) -> Generator[runs.Status | str, None, runs.Record | None]:
    if interrupts.asked():
        raise interrupts.Interrupted("saved")
    run = tasks.resolve(config, data_dir=data_dir, devices=devices)
    return (yield from claims.make(run, out, workers=workers, place=place))


def _by_processes(configs: Mapping[int, RunConfig], make: Any, layout: Layout) -> Iterator[tuple[int, Event]]:
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
            made = {pool.submit(_run_in_process, place, make, config): place for place, config in configs.items()}
        yield from _arriving(made, statuses, stop.set)
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


def _run_in_process(place: int, make: Any, config: RunConfig) -> runs.Record | None:
    return _reporting(place, make(config, place=place), _statuses)


def by_threads(
    configs: Mapping[int, RunConfig], make: Any, local_devices: Sequence[jax.Device]
) -> Iterator[tuple[int, Event]]:
    """One run per device at a time; as `made` does where JAX does not run on a CPU."""
    statuses: queue.SimpleQueue[Any] = queue.SimpleQueue()
    free: queue.SimpleQueue[jax.Device] = queue.SimpleQueue()
    for device in local_devices:
        free.put(device)
    stop = threading.Event()

    def make_on_a_device(place: int, config: RunConfig) -> runs.Record | None:
        device = free.get()
        try:
            return _reporting(place, make(config, place=place, devices=(device,)), statuses, stop)
        finally:
            free.put(device)

    with futures.ThreadPoolExecutor(len(local_devices)) as pool:
        try:
            made = {pool.submit(make_on_a_device, place, config): place for place, config in configs.items()}
            yield from _arriving(made, statuses, lambda: None)  # threads ask for themselves
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _reporting(place: int, run: Any, statuses: Any, stop: threading.Event | None = None) -> runs.Record | None:
    said = 0.0
    for event in _events(run):
        if event is None or isinstance(event, dict):
            return event
        if stop is not None and stop.is_set():
            raise futures.CancelledError
        if isinstance(event, str):
            statuses.put((place, event))
        elif time.perf_counter() - said > _SECONDS_BETWEEN:
            statuses.put((place, event))
            said = time.perf_counter()
    raise AssertionError("a run ends with its record")


def _arriving(
    made: dict[futures.Future[runs.Record | None], int], statuses: Any, ask: Callable[[], None]
) -> Iterator[tuple[int, Event]]:
    """Events as they arrive; once the process is asked to end, what is under way is saved first."""
    workers, stopped = list[int](), set[int]()
    heard, asked_at = time.monotonic(), None
    interrupted = False
    while made:
        if asked_at is None and (interrupted or interrupts.asked()):
            asked_at = time.monotonic()
            ask()
            for future in made:
                future.cancel()
        done, _ = futures.wait(made, timeout=_SECONDS_BETWEEN, return_when=futures.FIRST_COMPLETED)
        while not statuses.empty():
            heard = time.monotonic()
            index, event = statuses.get()
            if event is None:
                workers.append(index)
            else:
                yield index, event
        for future in sorted(done, key=lambda future: (_failed(future), made[future])):  # records first
            index = made.pop(future)
            if future.cancelled() or isinstance(future.exception(), interrupts.Interrupted):
                interrupted = True
            else:
                yield index, future.result()
        if time.monotonic() - heard > _SECONDS_SILENT:
            for worker in [pid for pid in workers if pid not in stopped and _is_stopped(pid)]:
                stopped.add(worker)
                yield next(iter(made.values())), f"worker {worker} is stopped: kill -CONT {worker} lets it go on."
        if asked_at is not None and time.monotonic() - asked_at > _SECONDS_TO_SAVE:
            break
    if interrupted or asked_at is not None:
        for worker in workers if made else ():  # they did not answer
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


def _events(run: Any) -> Iterator[Event]:
    """The statuses of a run, then what it comes to."""
    yield (yield from run)


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
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    with contextlib.suppress(OSError, ValueError):  # not there, or "max"
        limit, taken = (int((_CONTAINER / name).read_text()) for name in ("memory.max", "memory.current"))
        with contextlib.suppress(OSError):
            stats = dict(line.split() for line in (_CONTAINER / "memory.stat").read_text().splitlines())
            taken -= int(stats.get("inactive_file", 0))  # files that were read, which make room when it is needed
        free = min(free, limit - taken)
    return free
