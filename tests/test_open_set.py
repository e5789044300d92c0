"""A package outside the repository, with a model, a data set and a schedule of its own, taken through every command."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import time

import pytest
from helpers import users_environment

from lrsched.runs import records
from lrsched.training import snapshots

NETS = """
import flax.linen as nn
import jax.numpy as jnp


class Wide(nn.Module):
    classes: int
    width: int = 24

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(self.width, (3, 3), strides=2)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.Dropout(0.1, deterministic=not train)(x.mean((1, 2)))
        return nn.Dense(self.classes)(x)


def wide_net(classes):
    return Wide(classes)
"""
DATA = """
import numpy as np

from lrsched.training import data


def load():
    rng = np.random.default_rng(0)
    labels = np.arange(600, dtype=np.int32) % 3
    images = (rng.integers(0, 120, (600, 12, 10, 3)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    return data.dataset((images[:480], labels[:480]), (images[480:], labels[480:]), classes=3)
"""
SCHEDULES = """
import lrsched as ls


def mine(peak_value, *, total_steps, cut=0.5):
    return ls.sgdr(peak_value, total_steps=total_steps, first_cycle=cut)
"""
OWN = ["--model", "my_package.nets.wide_net", "--data", "my_package.data.load"]
MINE = "my_package.schedules.mine:cut=0.25"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "my_package").mkdir()
    for name, text in {"__init__": "", "nets": NETS, "data": DATA, "schedules": SCHEDULES}.items():
        (tmp_path / "my_package" / f"{name}.py").write_text(text)
    return tmp_path


def start(folder: pathlib.Path, *arguments: str) -> subprocess.Popen[str]:
    command = [str(pathlib.Path(sys.executable).parent / "lrsched"), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=users_environment())


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    out, error = process.communicate(timeout=300)
    assert process.returncode == status, error
    return out + error


@pytest.mark.slow
def test_a_package_of_the_user_s_is_studied_trained_killed_resumed_and_averaged(folder: pathlib.Path) -> None:
    grid = ["--budgets", "2ep", "--seeds", "1", "--peak-values", "0.05", "--workers", "2", "--out", "study"]
    said = finish(start(folder, "study", *OWN, "--schedules", MINE, "rex", *grid))
    assert MINE in said
    rows = {row["label"]: row for row in records.read(folder / "study" / "records.jsonl").rows}
    assert rows[MINE]["foreign"].keys() == {"model", "module", "params", "schedule"}
    assert rows["rex"]["foreign"].keys() == {"model", "module", "params"}
    assert {row["device"]["workers"] for row in rows.values()} == {2}

    run = ["train", *OWN, "--schedule", MINE, "--budget", "60ep", "--peak-value", "0.05", "--save-every", "20"]
    whole = finish(start(folder, *run, "--out", "whole"))
    killed = start(folder, *run, "--out", "killed")
    while not snapshots.steps(folder / "killed") and killed.poll() is None:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert "resuming after update" in finish(start(folder, *run, "--out", "killed"))
    one, other = (records.read(folder / name / "records.jsonl").rows[0] for name in ("whole", "killed"))
    assert one["params_digest"] == other["params_digest"]
    assert one["members"] == other["members"]
    assert "error" in whole
    assert "mean of probabilities" in finish(start(folder, "ensemble", "whole", "--members", "all"))


@pytest.mark.slow
def test_code_that_changed_under_its_path_is_another_run(folder: pathlib.Path) -> None:
    command = ["train", *OWN, "--schedule", MINE, "--budget", "1ep", "--out", "run"]
    finish(start(folder, *command))
    path = folder / "my_package" / "schedules.py"
    path.write_text(path.read_text().replace("first_cycle=cut", "first_cycle=cut / 2"))
    said = finish(start(folder, *command), status=2)
    assert said.startswith("lrsched: foreign must be ")
    assert "as in the run in run" in said


@pytest.mark.slow
def test_what_cannot_be_imported_is_one_line(folder: pathlib.Path) -> None:
    said = finish(start(folder, "train", "--model", "my_package.nets.wide_nett"), status=2)
    assert said.strip().endswith("my_package.nets has no wide_nett). Perhaps you meant wide_net?")
    assert not (folder / "runs").exists()
