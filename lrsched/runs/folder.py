"""The folder of a run: its contents, and how it is named.

FOLDER/run.json        what the run is: configuration, data, plan, origin, libraries and machine
FOLDER/resume/         full states: the last two, and those asked for (training.snapshots)
FOLDER/members/        snapshots at the ends of the rate's cycles
FOLDER/records.jsonl   the record, once the run has ended
FOLDER/run.svg         rate, momentum and training loss over its own plan
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from lrsched import files
from lrsched.runs import identity, records
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Record
from lrsched.runs.run import values
from lrsched.runs.task import Run, devices_to_evaluate, resolve
from lrsched.schedules.plans import Plan
from lrsched.training import snapshots


@dataclasses.dataclass(frozen=True)
class SavedRun:
    """A run on disk; `load_run` opens it.

    Attributes:
      folder: of the run.
      config: the run's configuration, defaults filled in.
      record: its results; None until it has ended.
      members: the updates after which a member of the ensemble was kept.
      data_dir: folder of prepared data sets.
    """

    folder: pathlib.Path
    config: RunConfig
    record: Record | None
    members: tuple[int, ...]
    data_dir: str | None = None

    @property
    def plan(self) -> Plan:
        """Rate and momentum of each update of the run's own plan; reads the data to know its length."""
        return self._run.plan

    @property
    def rates(self) -> np.ndarray:
        """The plan's rates, float32 [total_steps of the plan]; an extended run applied those after its parent's."""
        return values(self.plan.lr, self.plan.total_steps)

    def variables(self, step: int | None = None) -> dict[str, Any]:
        """What predicts, as {"params", "batch_stats"} of NumPy arrays: `model.apply(variables, images, train=False)`.

        Args:
          step: updates made, of a member or a saved state; None: the last one there is.
        Raises:
          ValueError: if nothing was saved after so many updates.
        """
        there = sorted({*self.members, *snapshots.steps(self.folder)})
        if not there or (step is not None and step not in there):
            raise ValueError(f"step must be one saved in {self.folder} ({str(there)[1:-1] or 'none'}), got {step}.")
        step = there[-1] if step is None else step
        like = self._run.initial_state()
        if step in self.members:
            return dict(snapshots.load_member(self.folder, step, like.variables).tree)
        return self._run.task.variables(snapshots.load(self.folder, step, like).tree)

    @functools.cached_property
    def _run(self) -> Run:
        return resolve(self.config, data_dir=self.data_dir, devices=devices_to_evaluate(self.config))


def load_run(folder: str | os.PathLike[str], *, data_dir: str | None = None) -> SavedRun:
    """Opens the run in a folder.

    Args:
      data_dir: folder of prepared data sets; None: TFDS_DATA_DIR, else TFDS's own.
    Raises:
      ValueError: if the folder holds no run.
    """
    place = files.local_folder("folder", folder)
    config, run = read_config(place), identity.read(place)["run"]
    ended = [row for row in records.read(place / "records.jsonl").rows if row["run"] == run]
    return SavedRun(place, config, ended[-1] if ended else None, tuple(snapshots.member_steps(place)), data_dir)


def read_config(folder: str | os.PathLike[str]) -> RunConfig:
    """The configuration of the run in a folder.

    Raises:
      ValueError: if there is none.
    """
    config = dict(identity.read(folder)["config"])
    return RunConfig(**{**config, "schedule": json.dumps(config["schedule"])})


def parse_location(location: str, name: str = "runs") -> tuple[str, int | None]:
    """Folder and updates of FOLDER or FOLDER@UPDATES; a folder whose own name holds an @ goes first.

    Raises:
      ValueError: for a URL.
    """
    if os.path.isdir(files.local_folder(name, location)):  # which takes a name of any length
        return location, None
    folder, _, at = location.rpartition("@")
    return (folder, int(at)) if folder and re.fullmatch("[0-9]{1,18}", at) else (location, None)


def select_members(choice: str, items: Sequence[int], *, cut: Collection[int] = ()) -> list[int]:
    """Some of the items: all; whole, those that are not cut; of these the last M (last:M) or every K-th (every:K).

    Args:
      items: in order; every:K counts back from the last one that is not cut.
      cut: items whose cycle ended too early.
    Raises:
      ValueError: for another choice.
    """
    match = re.fullmatch(r"all|whole|(last|every):([1-9][0-9]*)", choice)
    if not match:
        raise ValueError(f"members must be all, whole, last:M or every:K, got {choice!r}.")
    if choice == "all":
        return list(items)
    items = [item for item in items if item not in cut]
    if choice == "whole":
        return items
    number = int(match[2])
    return items[-number:] if match[1] == "last" else items[::-1][::number][::-1]
