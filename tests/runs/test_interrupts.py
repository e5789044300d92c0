"""Signals: the first is deferred while something can be saved, the second ends at once."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from lrsched.runs import interrupts


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.05)  # Python takes it between two instructions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_raises_where_nothing_is_deferred(number: int) -> None:
    with interrupts.handled(), pytest.raises(KeyboardInterrupt):
        send(number)
    assert interrupts.exit_status() == 128 + number


def test_a_deferred_signal_only_asks(capfd: pytest.CaptureFixture[str]) -> None:
    with interrupts.handled():
        assert not interrupts.asked()
        with interrupts.deferred():
            send(signal.SIGINT)
            assert interrupts.asked()
    assert not interrupts.asked()
    assert "saving after this update" in capfd.readouterr().err


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interrupts.handled():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_process_begun_while_signals_are_blocked_takes_none() -> None:
    code = "import signal; print(sorted(int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    with interrupts.blocked():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([int(signal.SIGINT), int(signal.SIGTERM)])


SECOND = """
import os, signal, time
from lrsched.runs import interrupts
with interrupts.handled(), interrupts.deferred():
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
    print("not reached")
"""


def test_a_second_signal_ends_at_once_in_one_line(tmp_path: pathlib.Path) -> None:
    done = subprocess.run([sys.executable, "-c", SECOND], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr.strip().splitlines()[-1].startswith("lrsched: ended at once")
    assert "Traceback" not in done.stderr


def test_a_worker_is_told_by_the_first_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_sources", [])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    told = [False]
    interrupts.serve(lambda: told[0])
    assert not interrupts.asked()
    told[0] = True
    assert interrupts.asked()
