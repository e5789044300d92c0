"""The networks that runs left on disk, found by their locations."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lrsched.runs import cycles, identity, records
from lrsched.runs.config import Origin, RunConfig
from lrsched.runs.folder import parse_location, read_config, select_members
from lrsched.runs.task import Run, Task, resolve
from lrsched.training import data as datasets
from lrsched.training import provenance, snapshots


class Network(NamedTuple):
    """One network that a run left on disk."""

    run: str  # id
    folder: str
    step: int  # updates made
    config: RunConfig
    facts: dict[str, Any]  # that the run saved with it
    variables: dict[str, Any]
    digest: str  # of the variables
    origin: tuple[str, int] | None = None  # the run that its run left, and after how many updates
    cut: bool = False  # a member whose cycle the budget, or the next part of a sequence, cut

    @property
    def name(self) -> str:
        """The words for it."""
        return f"{self.folder}@{self.step}"


def check_alike(locations: Sequence[str]) -> RunConfig:
    """The configuration of the first run, if all of them share data, model and held-out part.

    Raises:
      ValueError: naming the first difference, a folder that holds no run, or data without classes.
    """
    folders = [parse_location(location)[0] for location in locations]
    configs = [read_config(folder) for folder in folders]
    for field in ("data", "image_size", "model", "holdout_fraction"):
        for folder, config in zip(folders, configs, strict=True):
            mine, other = getattr(configs[0], field), getattr(config, field)
            if mine != other:
                raise ValueError(
                    f"{field} must be the same in all runs, got {mine} in {folders[0]} and {other} in {folder}."
                )
    if datasets.is_text(configs[0].data):
        raise ValueError(f"data must have one label for each example, got the text {configs[0].data}.")
    if datasets.is_tabular(configs[0].data):  # before it is loaded; of data of the user's it is known afterwards
        raise ValueError(f"data must have classes, whose probabilities are combined, got {configs[0].data}.")
    return configs[0]


def load_members(location: str, choice: str, task: Task) -> list[Network]:
    """The members in a folder, or the network at its step.

    A member whose cycle was cut is there whatever the choice, marked as `cut`.

    Args:
      location: FOLDER or FOLDER@UPDATES.
      choice: of members (`folder.select_members`).
    Raises:
      ValueError: if there are none, one is damaged, or the run was made on other data.
    """
    folder, step = parse_location(location)
    opened = _open(folder, task)
    if step is not None:
        return [_network(opened, step)]
    steps = snapshots.member_steps(folder)
    if not steps:
        raise ValueError(f"{folder} must hold members, or be asked for as {folder}@STEP, got none.")
    cut = cycles.cut_steps(opened.run.plan, opened.run.offset)
    chosen = cut.union(select_members(choice, steps, cut=cut))
    return [_network(opened, step, member=True) for step in steps if step in chosen]


def load_state(location: str, task: Task) -> Network:
    """The network at a location; of a folder without a step, its last state.

    Raises:
      ValueError: as `load_members`.
    """
    folder, step = parse_location(location)
    there = [*snapshots.steps(folder), *snapshots.member_steps(folder)]
    if not there:
        raise ValueError(f"{folder} must hold a state, got none.")
    return _network(_open(folder, task), max(there) if step is None else step)


def updates(networks: Sequence[Network]) -> int:
    """The updates that had to be made for these networks, each once: a trunk's, too, which its branches share.

    Of a branch of a branch, the first trunk's are counted once only if the run between is among them.
    """
    first, latest = dict[str, int](), dict[str, int]()
    for network in networks:
        latest[network.run] = max(latest.get(network.run, 0), network.step)
        if network.origin is not None:
            run, step = network.origin
            latest[run], first[network.run] = max(latest.get(run, 0), step), step
    return sum(latest.values()) - sum(first.values())


def independent(networks: Sequence[Network]) -> bool:
    """Whether these are at least two networks of as many runs, each with a seed of its own."""
    count = len(networks)
    return count > 1 and len({n.run for n in networks}) == len({n.config.seed for n in networks}) == count


def share_a_trunk(networks: Sequence[Network]) -> bool:
    """Whether all are of one run, or of runs that left one another: only then are their weights of one basin."""
    groups: list[set[str]] = []
    for network in networks:
        mine = {network.run, *(network.origin or ())[:1]}
        groups = [*(group for group in groups if not group & mine), mine.union(*(g for g in groups if g & mine))]
    return len(groups) == 1


class _Opened(NamedTuple):
    """A folder, the id that it holds (version 0.1.0 left several devices out of it), and its run."""

    folder: str
    id: str
    run: Run


def _open(folder: str, task: Task) -> _Opened:
    """The run in a folder, with the task's data.

    Raises:
      ValueError: if it was trained on other data.
    """
    known = identity.read(folder)
    origin = Origin(**known["origin"]) if known["origin"] else None
    _check_data(folder, known, task.data.digest)
    run = resolve(read_config(folder), data_dir=task.data_dir, devices=task.devices)
    return _Opened(folder, known["run"], run.forked_from(origin))


def _network(opened: _Opened, step: int, *, member: bool = False) -> Network:
    folder, run = opened.folder, opened.run
    like = run.initial_state()
    if member or step not in snapshots.steps(folder):
        saved = snapshots.load_member(folder, step, like.variables)
        variables = dict(saved.tree)
    else:
        saved = snapshots.load(folder, step, like)
        variables = run.task.variables(saved.tree)
    made_by = saved.facts.get("run", saved.facts.get("identity", {}).get("run", opened.id))
    if made_by != opened.id:
        raise ValueError(f"{folder}@{step} must be of the run in its folder ({opened.id}), got one of run {made_by}.")
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables)):
        raise ValueError(f"{folder}@{step} must hold finite weights, got some that are not: the run diverged.")
    origin = (run.origin.run, run.origin.step) if run.origin else None
    digest = provenance.digest(variables)
    cut = member and step in cycles.cut_steps(run.plan, run.offset)
    return Network(opened.id, folder, step, run.config, saved.facts, variables, digest, origin, cut)


def _check_data(folder: str, known: Mapping[str, Any], digest: str) -> None:
    """Refuses a run of other examples. Version 0.1.0 kept their digest in the record alone, which comes at the end."""
    rows = records.read(pathlib.Path(folder, "records.jsonl")).rows
    recorded = [row["data"]["digest"] for row in rows if row["run"] == known["run"]][-1:]
    for trained_on in (known.get("data_digest", digest), *recorded):
        if trained_on != digest:
            raise ValueError(f"data must be what {folder} was trained on ({trained_on}), got {digest}.")
