"""Orbax as `snapshots` uses it: imported late, without its noise, and by one process alone."""

from __future__ import annotations

import functools
import logging
import pathlib
import re
import sys
from typing import Any

import jax


@functools.cache
def orbax() -> Any:
    """Orbax, imported when it is first used (0.8 s), and without its noise.

    It logs each stage, and each failure with its traceback, from threads of its own. Of reads beside the first that
    failed, asyncio logs the failures, or finds its loop closed. What fails is raised here; other messages stay.
    """
    from orbax.checkpoint import v1

    logging.getLogger("absl").addFilter(lambda record: "orbax" not in pathlib.Path(record.pathname).parts)
    logging.getLogger("asyncio").addFilter(lambda record: not re.search("tensorstore|OCDBT", str(record.exc_info)))
    hook = sys.unraisablehook
    sys.unraisablehook = lambda args: None if str(args.exc_value) == "Event loop is closed" else hook(args)
    return v1


def checkpointer(place: pathlib.Path, policy: Any) -> Any:
    """What saves states in a folder that exists, and keeps those that the policy names."""
    if jax.distributed.is_initialized():
        from orbax.checkpoint import checkpoint_manager

        # It makes the folder together with all processes, and refuses to where one alone writes. The folder is there.
        checkpoint_manager._create_root_directory = lambda *_, **__: None
    return orbax().training.Checkpointer(place, preservation_policy=policy, context=context())


def context() -> Any:
    """Options of Orbax; where several processes share a run, each reads, and the first one writes, by itself."""
    options, words = orbax().options, dict[str, Any]()
    # Orbax gives a save 20 minutes by the clock on the wall, and a clock that is set an hour forward ended it.
    words["async_options"] = options.AsyncOptions(timeout_secs=10**9, create_directories_asynchronously=False)
    if jax.distributed.is_initialized():
        index = jax.process_index()
        own = {"primary_host": index, "active_processes": {index}, "barrier_sync_key_prefix": f"process{index}"}
        words["multiprocessing_options"] = options.MultiprocessingOptions(**own)
    return orbax().Context(**words)
