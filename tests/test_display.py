"""What is seen while a command works, on a pseudo-terminal as wide as a person's."""

import fcntl
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from lrsched import display

# Progress of a study, a tune and a train, without their training.
SCRIPT = """
import sys, time
from lrsched import display
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Overall, Status
from lrsched.runs.task import resolve

one = resolve(RunConfig(schedule="onecycle:variant=rex_paper", budget="25%", peak_value=0.1))
run = one.describe()
update = Status(120, 12000, 0.5, 0.1, 1234.0)
fields = {"config": one.config.as_json(), "label": "rex", "seed": 0, "seconds": 1.0, "images_per_second": 9.0}
gone = {**fields, "diverged_at": 7}
ended = {**fields, "diverged_at": None, "test_error": 0.125}
events = {
    "study": [
        Overall(0, 18, 300, run, update, None),
        Overall(0, 18, 200, run, update, None),
        Overall(1, 18, 200, run, None, gone),
        Overall(2, 18, 100, run, None, ended),
        Overall(2, 18, 90, run, update, None),
    ],
    "train": ["resuming after update 100 of 12000.", Status(119, 12000, 0.5, 0.1, 1234.0), update],
    "tune": ["[1/27] tpe trial 0, rate 0.1: held-out error 3 %", "[2/27] tpe trial 1, rate 0.2: diverged"],
}
with display.progress(sys.argv[1]) as report:
    for event in events[sys.argv[1]]:
        report(event)
    time.sleep(0.3)  # rich draws ten times a second
print("the end")
"""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(columns: int, *command: str, **environment: str) -> list[str]:
    """The lines that a command leaves or has left on a terminal of that width, redrawn ones included."""
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    plain = {"TERM": "xterm-256color", "PYTHONWARNINGS": "ignore", **environment}
    process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env={**kept, **plain})
    os.close(side)
    said = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            more = b""
        if not more:
            break
        said += more
    os.close(terminal)
    assert process.wait() == 0, said.decode()
    return [line for line in re.split(r"[\r\n]+", ESCAPES.sub("", said.decode())) if line.strip()]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 60, 48])
def test_bar_count_and_time_left_fit(columns: int) -> None:
    lines = on_terminal(columns, sys.executable, "-c", SCRIPT, "study")
    bars = [line for line in lines if line.startswith("study ")]
    assert bars
    assert max(map(len, bars)) <= columns, bars
    assert re.match(r"study [━╺╸]{12} +2/18 \d+ s left \S", bars[-1])  # and what is going on, as far as there is room
    assert ("onecycle:variant=rex_paper at 25%" in bars[-1]) == (columns == 80)


@pytest.mark.slow
def test_run_that_diverged_stands_above_the_bar() -> None:
    lines = on_terminal(60, sys.executable, "-c", SCRIPT, "study")
    assert "rex at 25%, rate 0.1, seed 0: diverged at update 7, 1.0 s, 9 images/s" in [line.strip() for line in lines]
    assert not any("error 12.50 %" in line for line in lines)  # one that went well is in the table
    assert lines[-1] == "the end"


@pytest.mark.slow
def test_train_has_a_bar_of_its_updates_and_its_lines() -> None:
    lines = on_terminal(80, sys.executable, "-c", SCRIPT, "train")
    assert "resuming after update 100 of 12000." in [line.strip() for line in lines]
    bar = [line for line in lines if line.startswith("train ")][-1]
    assert re.match(r"train .*120/12000 \S+ \w+ left rate 0.1000  loss 0.500", bar)


@pytest.mark.slow
def test_lines_that_count_move_the_bar_of_tune() -> None:
    lines = on_terminal(80, sys.executable, "-c", SCRIPT, "tune")
    assert "[2/27] tpe trial 1, rate 0.2: diverged" in [line.strip() for line in lines]
    assert re.match(r"tune .* 2/27 \d+ s left", [line for line in lines if line.startswith("tune ")][-1])


@pytest.mark.slow
def test_lines_go_to_a_file_that_standard_output_is(tmp_path: pathlib.Path) -> None:
    code = f"import sys; sys.stdout = open({str(tmp_path / 'log')!r}, 'w')\n" + SCRIPT
    lines = on_terminal(80, sys.executable, "-c", code, "tune")
    assert (tmp_path / "log").read_text().splitlines()[0].startswith("[1/27] tpe trial 0")
    assert not any("trial 0" in line for line in lines)


@pytest.mark.slow
def test_train_says_where_it_wrote_and_study_fits_the_terminal(tmp_path: pathlib.Path) -> None:
    cli = (sys.executable, "-m", "lrsched.cli")
    small = ("--model", "mlp", "--data", "diabetes", "--out", str(tmp_path / "t"))
    lines = on_terminal(60, *cli, "train", *small, "--epochs", "1")
    assert lines[-1] == f"written: {tmp_path / 't'}"
    lines = on_terminal(60, *cli, "range-test", *small, "--seeds", "1", "--length", "20")
    assert any(line.startswith("range-test ") and "1/1" in line for line in lines)


def test_time_left_has_a_unit_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    pace = display.Pace()
    assert pace.time_left(1000) == ""
    said = []
    for seconds, left in (10.0, 990), (20.0, 500), (20.0, 10):
        now[0] += seconds
        said.append(pace.time_left(left))
    # 1 s an update; then 500 updates in 30 s: 0.06 s each; then 990 in 50 s
    assert said == ["16.5 min left", "30 s left", "1 s left"]
    now[0] += 1_000_000
    assert pace.time_left(9) == "2.5 h left"  # 991 in 1,000,050 s: 1,009 s each, of which 9 are left
