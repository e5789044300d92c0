"""The claim of experiments/kill_runs.py, with fewer kills."""

import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "experiments" / "kill_runs.py"


@pytest.mark.slow
def test_commands_that_are_killed_come_to_the_same_numbers() -> None:
    words = [sys.executable, str(SCRIPT), "--kills", "3", "--commands", "train", "study", "--json", "-"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["kills"] == 3
    assert said["equal"]
    assert (said["orphans"], said["begun_again"]) == (0, 0)
    assert {place.partition(" ")[0].rstrip(":,") for place in said["fell"]} == {"train", "study"}
