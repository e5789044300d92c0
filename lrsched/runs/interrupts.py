"""Ctrl-C and SIGTERM: the first lets the update in progress end and its state be saved, a second ends at once.

The command line runs inside `handled`. What trains asks `asked` after each update, inside `deferred`; elsewhere the
first signal raises KeyboardInterrupt where it comes, as Python does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

_asked = threading.Event()
_sources: list[Callable[[], bool]] = []  # in a worker process: whether the first process was asked to end
_deferring = 0
_status = 128 + signal.SIGINT


class Interrupted(KeyboardInterrupt):
    """Raised once the state has been saved; its text says where."""


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Takes over SIGINT and SIGTERM inside the `with`, if this is the main thread (the only one that may)."""
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _signalled) for number in (signal.SIGINT, signal.SIGTERM)}
    unraisable = sys.unraisablehook
    # In a callback that may raise nothing it is lost, and only `asked` tells of it: no reason for a traceback.
    sys.unraisablehook = lambda args: None if args.exc_type is KeyboardInterrupt else unraisable(args)
    try:
        yield
    finally:
        sys.unraisablehook = unraisable
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked.clear()


def serve(told: Callable[[], bool]) -> None:
    """For a worker process: Ctrl-C is the first process's to handle, SIGTERM asks this one, and so does `told`."""
    _sources.append(told)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _asked.set())
    if hasattr(signal, "pthread_sigmask"):  # they were blocked as it was begun
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


@contextlib.contextmanager
def served(*numbers: int) -> Iterator[None]:
    """For a task in somebody else's worker process: inside the `with` these signals ask, however often they come."""
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: _asked.set()) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        _asked.clear()


def asked() -> bool:
    """Whether the process was asked to end."""
    return _asked.is_set() or any(told() for told in _sources)


def exit_status() -> int:
    """128 and the signal's number, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
    return _status


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Inside the `with`, a first signal raises nothing: `asked` tells of it."""
    global _deferring
    _deferring += 1
    try:
        yield
    finally:
        _deferring -= 1


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """A process begun inside the `with` takes no signal until it calls `serve`."""
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signalled(number: int, _: object) -> None:
    global _status
    if _asked.is_set():
        shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar hides the cursor
        os.write(2, f"{shown}\nlrsched: ended at once; the same command resumes from what was saved.\n".encode())
        os._exit(128 + number)
    _status = 128 + number
    _asked.set()
    if not _deferring:
        raise KeyboardInterrupt
    os.write(2, b"\nlrsched: saving after this update; a second signal ends at once.\n")
