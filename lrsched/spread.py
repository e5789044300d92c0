"""Runs spread over workers: processes that share out the cores of a CPU, or threads with an accelerator each.

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
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import jax

from lrsched import run as runs
from lrsched.task import RunConfig
from lrsched.training import devices

_BYTES_EACH = 2_000_000_000  # of a worker process: ResNet-20 at batch 128 takes 1.8 GB with its data
_UPDATES_WORTH_IT = 2_000  # below, starting workers takes longer than it saves
_SECONDS_BETWEEN = 0.5  # statuses of one run
_CONTAINER = pathlib.Path("/sys/fs/cgroup")  # where Linux keeps the limits of one

Event = runs.Status | runs.Record


def choose(*, asked: int | None, left: int, updates: int) -> int:
    """How many workers make `left` runs of `updates` updates in all.

    Args:
      asked: by the user; None: one per CPU core, as far as the free memory allows, or one per accelerator; one alone if
        there is little to do, or where processes cannot be given cores of their own (macOS, Windows).
    Raises:
      ValueError: if fewer than one worker is asked for, or more than there are accelerators.
    """
    on_cpu = jax.default_backend() == "cpu"
    if asked is None:
        if updates < _UPDATES_WORTH_IT:
            return 1
        most = min(_pinnable(), _free_bytes() // _BYTES_EACH) if on_cpu else jax.local_device_count()
        return max(1, min(most, left))
    if asked < 1:
        raise ValueError(f"workers must be at least 1, got {asked}.")
    if not on_cpu and asked > jax.local_device_count():
        raise ValueError(f"workers must be at most {jax.local_device_count()} (the devices), got {asked}.")
    return min(asked, max(left, 1))


def made(
    configs: Sequence[RunConfig], *, data_dir: str | None, workers: int, alone: bool = False
) -> Iterator[tuple[int, Event]]:
    """Makes the runs, `workers` at once, and yields (index, status or record) as they come.

    A single worker spreads each run over all devices, unless each is to be `alone` on one, as those of several
    workers are: how many examples BatchNorm sees at once must not depend on how many runs are left.

    Closing the iterator ends the workers at once, and so does the end of this process, however it comes.

    Raises:
      ChildProcessError: if a worker process dies.
    """
    if alone or (workers > 1 and jax.default_backend() != "cpu"):
        yield from by_threads(configs, data_dir, jax.local_devices()[:workers])
    elif workers == 1:
        for index, config in enumerate(configs):
            yield from ((index, event) for event in _events(runs.run(config, data_dir=data_dir)))
    else:
        yield from _by_processes(configs, data_dir, workers)


def _by_processes(configs: Sequence[RunConfig], data_dir: str | None, workers: int) -> Iterator[tuple[int, Event]]:
    context = multiprocessing.get_context("spawn")
    shares, statuses = context.SimpleQueue(), context.SimpleQueue()
    for worker in range(workers):
        shares.put(_cores()[worker::workers])
    watched, held = context.Pipe(duplex=False)
    pool = futures.ProcessPoolExecutor(workers, context, _begin_process, (shares, statuses, watched))
    try:
        made = {pool.submit(_run_in_process, index, config, data_dir): index for index, config in enumerate(configs)}
        yield from _arriving(made, statuses)
    except futures.process.BrokenProcessPool:
        raise ChildProcessError(
            "workers must live to the end of the study, got one that ended: killed (memory?), or begun by a script that"
            ' lacks `if __name__ == "__main__":`. --workers 1 (workers=1) needs none.'
        ) from None
    finally:
        held.close()  # the workers' sign to end
        pool.shutdown(wait=False, cancel_futures=True)


_statuses: Any = None  # in a worker process: where its statuses go


def _begin_process(shares: Any, statuses: Any, watched: Connection) -> None:
    """Takes a share of the cores before JAX counts them, and ends with the process that began this one."""
    global _statuses
    _statuses = statuses
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is interrupted, and ends this one
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
    share = shares.get()
    if share and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)
    devices.prepare()


def _end_with(watched: Connection) -> None:
    try:
        watched.recv()
    except EOFError:
        os._exit(1)


def _run_in_process(index: int, config: RunConfig, data_dir: str | None) -> runs.Record:
    return _reporting(index, runs.run(config, data_dir=data_dir), _statuses)


def by_threads(
    configs: Sequence[RunConfig], data_dir: str | None, local_devices: Sequence[jax.Device]
) -> Iterator[tuple[int, Event]]:
    """One run per device at a time; as `made` does where JAX does not run on a CPU."""
    statuses: queue.SimpleQueue[Any] = queue.SimpleQueue()
    free: queue.SimpleQueue[jax.Device] = queue.SimpleQueue()
    for device in local_devices:
        free.put(device)
    stop = threading.Event()

    def make(index: int, config: RunConfig) -> runs.Record:
        device = free.get()
        try:
            return _reporting(index, runs.run(config, data_dir=data_dir, devices=(device,)), statuses, stop)
        finally:
            free.put(device)

    with futures.ThreadPoolExecutor(len(local_devices)) as pool:
        try:
            yield from _arriving({pool.submit(make, i, config): i for i, config in enumerate(configs)}, statuses)
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _reporting(index: int, run: Any, statuses: Any, stop: threading.Event | None = None) -> runs.Record:
    said = 0.0
    for event in _events(run):
        if not isinstance(event, runs.Status):
            return event
        if stop is not None and stop.is_set():
            raise futures.CancelledError
        if time.perf_counter() - said > _SECONDS_BETWEEN:
            statuses.put((index, event))
            said = time.perf_counter()
    raise AssertionError("a run ends with its record")


def _arriving(made: dict[futures.Future[runs.Record], int], statuses: Any) -> Iterator[tuple[int, Event]]:
    while made:
        done, _ = futures.wait(made, timeout=_SECONDS_BETWEEN, return_when=futures.FIRST_COMPLETED)
        while not statuses.empty():
            yield statuses.get()
        for future in sorted(done, key=lambda future: (future.exception() is not None, made[future])):  # records first
            yield made.pop(future), future.result()


def _events(run: Any) -> Iterator[Event]:
    """The statuses of a run, then its record."""
    yield (yield from run)


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _pinnable() -> int:
    return len(_cores()) if hasattr(os, "sched_setaffinity") else 1


def _free_bytes() -> int:
    """What programs may take without swapping, and a container's limit with it, as far as Linux tells."""
    free = 2**62
    with contextlib.suppress(OSError, StopIteration):
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    with contextlib.suppress(OSError, ValueError):  # not there, or "max"
        limit, taken = (int((_CONTAINER / name).read_text()) for name in ("memory.max", "memory.current"))
        free = min(free, limit - taken)
    return free
