"""One run over several processes, one on each host, by `jax.distributed`.

Every process holds the data set and makes the same updates; each device takes its share of each batch. The first
process alone writes. What the others must know of it (where to resume, whether to stop) is sent to them.
"""

from __future__ import annotations

import dataclasses
import zlib
from typing import Any

import jax
import numpy as np

_UPDATES_BETWEEN = 32  # looks at whether any process was asked to end: each waits for all of them
_joined = False  # a program that uses jax.distributed for something else shares no run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hosts:
    """The processes of one run; none: this process alone.

    Attributes:
      coordinator: host:port of the first process, the same in all; auto: as Slurm, Open MPI or a TPU pod tell.
      processes: how many there are.
      process: which of them this is, from 0.
    """

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None


ALONE = Hosts()


def start(hosts: Hosts) -> None:
    """Waits for the other processes; call it before JAX starts.

    Raises:
      ValueError: if the words do not make sense, or the processes do not find each other.
    """
    global _joined
    coordinator, count, index = hosts.coordinator, hosts.processes, hosts.process
    if coordinator is None:
        if count is not None or index is not None:
            raise ValueError("coordinator must be given with processes and process, got none.")
        return
    if coordinator == "auto" and (count, index) != (None, None):
        raise ValueError("processes and process must be left out with the coordinator auto, which tells them.")
    if coordinator == "auto":
        words: dict[str, Any] = {}
    elif count is None or index is None or not 0 <= index < count:
        raise ValueError(f"process must be from 0 to processes - 1, got process {index} of {count} processes.")
    else:
        words = {"coordinator_address": coordinator, "num_processes": count, "process_id": index}
    jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM from `runs.interrupts`
    try:
        jax.distributed.initialize(**words)
    except (RuntimeError, ValueError) as error:
        line = " ".join(str(error).split())
        raise ValueError(f"coordinator must be where all processes meet, got {coordinator}: {line}") from error
    _joined = True


def several() -> bool:
    """Whether the run is shared with other processes."""
    return _joined and jax.process_count() > 1


def is_first() -> bool:
    """Whether this is the process that writes."""
    return not _joined or jax.process_index() == 0


def devices() -> tuple[jax.Device, ...]:
    """Those that a run has unless it is given others: of all processes that share it."""
    return tuple(jax.devices() if _joined else jax.local_devices())


def check_same(run: str) -> None:
    """Raises ValueError in every process unless all are about to make this run."""
    if several():
        from jax.experimental import multihost_utils

        found = multihost_utils.process_allgather(np.uint32(zlib.crc32(run.encode())))
        if len(np.unique(found)) > 1:
            raise ValueError(
                f"processes must be begun with the same command and see the same data, got run {run} in one."
            )


def share(number: int) -> int:
    """The first process's number, in every process."""
    if not several():
        return number
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def agree(asked: bool, completed: int) -> bool:
    """Whether any process was asked, the same answer in every process after the same update."""
    if not several():
        return asked
    if completed % _UPDATES_BETWEEN:
        return False
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.int32(asked))))
