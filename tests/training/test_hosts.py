"""One run over two processes on this machine is the run over as many devices of one process."""

import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest
from helpers import numbers, users_environment

from lrsched.runs import records
from lrsched.training import hosts
from lrsched.training.hosts import Hosts

WORDS = "train --data digits --model resnet8 --peak-value 0.1 --batch-size 32 --epochs 3"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (Hosts(processes=2), "coordinator must be given"),
        (Hosts(coordinator="h:1", processes=2, process=2), "process must be from 0 to processes - 1"),
        (Hosts(coordinator="h:1", processes=2), "process must be from 0 to processes - 1"),
        (Hosts(coordinator="auto", processes=2), "must be left out with the coordinator auto"),
    ],
)
def test_words_that_make_no_sense_are_one_line(words: Hosts, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hosts.start(words)


def test_a_process_alone_agrees_with_itself() -> None:
    assert hosts.is_first()
    assert hosts.share(5) == 5
    assert hosts.agree(True, 3)
    assert not hosts.agree(False, 32)


def begin(out: pathlib.Path, devices: int, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lrsched.cli", *WORDS.split(), "--save-every", "20", "--out", str(out), *words]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(command, env=users_environment(devices), stdout=log, stderr=log)


def begin_two(out: pathlib.Path) -> list[subprocess.Popen[bytes]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
    return [begin(out, 1, "--coordinator", where, "--processes", "2", "--process", str(i)) for i in range(2)]


@pytest.mark.slow
def test_two_processes_interrupted_and_resumed_come_to_the_bits_of_one(tmp_path: pathlib.Path) -> None:
    out, whole = tmp_path / "two", tmp_path / "one"
    assert begin(whole, 2).wait(300) == 0
    both = begin_two(out)
    while not list(out.glob("resume/[0-9]*")) and both[0].poll() is None:
        time.sleep(0.01)
    both[1].send_signal(signal.SIGTERM)  # the other one is told
    assert [process.wait(300) for process in both] == [130, 143], (tmp_path / "two.log").read_text()
    assert [process.wait(300) for process in begin_two(out)] == [0, 0]
    (one,), (two,) = (records.read(folder / "records.jsonl").rows for folder in (whole, out))
    assert numbers(two) == numbers(one)
    assert len(two["resumed_at"]) == 1
    assert (two["device"]["processes"], two["device"]["run_devices"]) == (2, 2)
