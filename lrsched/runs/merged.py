"""Decay after the fact: states of a run with a constant rate, averaged to stand for decays that were never trained."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrsched.analysis.ensemble import scores
from lrsched.analysis.ensemble.scores import Combined, Labels
from lrsched.forecast.merging import merge_weights
from lrsched.runs.evaluator import Evaluator
from lrsched.runs.networks import Network
from lrsched.runs.task import Task, resolve
from lrsched.schedules import profiles

LAST = "last member"
_SAME = 1e-6  # relative: rates that differ by less are rounding


def weights_of(
    names: Sequence[str], members: Sequence[Network], baselines: Mapping[str, Sequence[Network]], task: Task
) -> dict[str, list[float]]:
    """The weights of the members for each decay, by its profile's name.

    Args:
      members: in the order of their updates.
    Raises:
      ValueError: if these states cannot stand for a decay, a name is not one of a profile that falls, or a baseline of
        that name is no cooldown over the same updates.
    """
    for name in names:
        if name not in profiles.PROFILES:
            raise ValueError(f"merge must name profiles, of {', '.join(profiles.PROFILES)}, got {name}.")
    begins = _check_trunk(members, task)
    if LAST in baselines:
        raise ValueError(f"baselines must not be named {LAST} beside merge, which has a row of that name.")
    found = {}
    for name in names:
        found[name] = merge_weights(profiles.named(name), snapshots=len(members)).tolist()
        if min(found[name]) < 0:
            raise ValueError(f"merge must name profiles that never rise, got {name}.")
        for one in baselines.get(name, ()):
            if (one.origin, one.step) != ((members[0].run, begins), members[-1].step):
                raise ValueError(
                    f"baselines must have under the name {name} the cooldown that --merge {name} stands for, from "
                    f"update {begins} of {members[0].folder} to {members[-1].step}, got {one.name}."
                )
    return found


def _check_trunk(members: Sequence[Network], task: Task) -> int:
    """After how many updates the decay begins that the members, at equal distances in one run, can stand for.

    Raises:
      ValueError: if they are not, or the rate is not constant on their way.
    """
    first, steps = members[0], [network.step for network in members]
    folders = ", ".join(dict.fromkeys(network.folder for network in members))
    if any(network.run != first.run for network in members):
        raise ValueError(f"merge must be given states of one run, got {folders}.")
    if first.origin is not None:
        began = f"{folders}, which began from another run's state"
        raise ValueError(f"merge must be given states of a run from its own beginning, got {began}.")
    apart = {later - earlier for earlier, later in itertools.pairwise(steps)}
    if len(apart) != 1 or min(apart) < 1 or steps[0] < min(apart):
        raise ValueError(
            "merge must be given states in order and at equal distances, of which the decay begins one before the "
            f"first, got {', '.join(map(str, steps))}."
        )
    begins = steps[0] - min(apart)
    rates = resolve(first.config, data_dir=task.data_dir, devices=task.devices).plan.lr.table()[begins : steps[-1]]
    if not np.allclose(rates, rates[0], rtol=_SAME, atol=0):
        raise ValueError(
            f"merge must be given states of a constant rate, got rates from {rates.min():.3g} to {rates.max():.3g} "
            f"between updates {begins} and {steps[-1]} of {first.folder}."
        )
    return begins


class Merged(NamedTuple):
    """What averaging for decays came to.

    Attributes:
      rows: name, kind, the networks that went in, result.
      comparisons: (`scores.compare`) of each decay with the baseline of its name, both with statistics re-estimated.
      evaluations: predictions that were not in the cache.
    """

    rows: list[tuple[str, str, list[Network], Combined]]
    comparisons: list[dict[str, Any]]
    evaluations: int


NOTHING = Merged([], [], 0)
NOTE = (
    "Merged: the members' weights, averaged as merge_weights has it, stand for a decay that begins one interval before "
    "the first member. Merged as linear is their plain mean, which is LAWA's and the uniform soup. Their batch "
    "statistics are re-estimated; rows named re-estimated have theirs so, too, and are what to compare with."
)


def merge(
    at: Evaluator,
    members: Sequence[Network],
    weights: Mapping[str, Sequence[float]],
    baselines: Mapping[str, Sequence[Network]],
    labels: Labels,
) -> Merged:
    """The members' weights averaged for each decay and exponentially, beside what they are to be compared with.

    Averaged weights have their batch statistics re-estimated, which changes a network's error by itself. So the last
    member and each baseline of one network are shown with re-estimated ones as well, if they have any. The
    exponential average of k members has the decay 1 - 2 / (k + 1), with which an endless one would have the mean age
    of the k members' plain mean.

    Args:
      weights: of the members, by the profile of each decay (`weights_of`).
    """
    count = len(members)
    decay = 1 - 2 / (count + 1)
    shares = {f"merged as {profile}": list(each) for profile, each in weights.items()}
    shares[f"EMA of members, decay {decay:.2g}"] = [decay**age for age in reversed(range(count))]
    rows = [(name, "merged", list(members), each) for name, each in shares.items()]
    again = ", re-estimated" if members[0].variables["batch_stats"] else ""
    single = {name: those[0] for name, those in baselines.items() if len(those) == 1}
    rows += [(name + again, "re-estimated", [one], [1.0]) for name, one in {LAST: members[-1], **single}.items()]
    predicted = {name: at.average(networks, each) for name, _, networks, each in rows}
    found = {name: each for name, (each, _) in predicted.items()}
    comparisons = [
        {"first": f"weights merged as {profile}", "second": profile + again}
        | scores.compare(found[f"merged as {profile}"], found[profile + again], labels)
        for profile in weights
        if profile in single
    ]
    shown = [
        (name, kind, networks, Combined(found[name], [share / sum(each) for share in each]))
        for name, kind, networks, each in rows
        if again or kind == "merged"  # the others have rows already
    ]
    return Merged(shown, comparisons, sum(made for _, made in predicted.values()))
