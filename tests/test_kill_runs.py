"""The claim of experiments/kill_runs.py, with fewer kills."""

import json
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parent.parent / "experiments" / "kill_runs.py"


def test_ten_kills_change_nothing() -> None:
    words = [sys.executable, str(SCRIPT), "--kills", "10", "--json", "-"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["kills"] == 10
    assert said["equal"]
    assert len(said["fell"]) > 1  # not all at the same place
