"""Several processes in one folder of a study, and a data set that changed under it, as on the command line."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

from lrsched.runs import records

STUDY = "study --schedules rex linear --budgets 20ep --seeds 2 --peak-values 0.1 --workers 1 --model mlp --out OUT"


def begin(out: pathlib.Path) -> subprocess.Popen[str]:
    words = [str(out) if word == "OUT" else word for word in STUDY.split()]
    command = [sys.executable, "-m", "lrsched.cli", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_two_processes_make_every_run_of_a_study_once(tmp_path: pathlib.Path) -> None:
    both = [begin(tmp_path), begin(tmp_path)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    rows = records.read(tmp_path / "records.jsonl").rows
    assert len(rows) == len({row["run"] for row in rows}) == 4
    tables = {text.partition("schedule  ")[2] for text in said}
    assert len(tables) == 1
    assert "rex " in tables.pop()


@pytest.mark.slow
def test_what_a_killed_process_had_claimed_is_made_by_the_other(tmp_path: pathlib.Path) -> None:
    first = begin(tmp_path)
    while not list(tmp_path.glob("states/*/claim")) and first.poll() is None:
        time.sleep(0.05)
    first.kill()
    first.communicate(timeout=300)
    assert first.returncode == -signal.SIGKILL
    second = begin(tmp_path)
    said = second.communicate(timeout=300)[0]
    assert second.returncode == 0, said
    assert len(records.read(tmp_path / "records.jsonl").rows) == 4
    assert not (tmp_path / "states").exists()
