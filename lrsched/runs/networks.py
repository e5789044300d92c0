"""The networks that runs left on disk: found by their words, asked what they predict, and averaged."""

from __future__ import annotations

import functools
import itertools
import json
import pathlib
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lrsched.runs import cycles
from lrsched.runs import records
from lrsched.runs import resume as saving
from lrsched.runs import task as tasks
from lrsched.analysis.ensemble import calibration
from lrsched.analysis.ensemble import scores as ensemble_scores
from lrsched.analysis.ensemble.scores import Combined, Labels, Predicted
from lrsched.analysis.markdown import plural
from lrsched.runs.folder import located, stored, thinned
from lrsched.schedules.budget import Budget
from lrsched.schedules.plan import plan
from lrsched.runs.task import RunConfig, Task
from lrsched.training import batches, models, optim, predict, provenance, snapshots, soups, train
from lrsched.training import data as datasets


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
    cut: bool = False  # a member whose cycle the budget cut

    @property
    def name(self) -> str:
        """The words for it."""
        return f"{self.folder}@{self.step}"


class Bench(NamedTuple):
    """Where networks are asked: the data and model, and the training images that averaged weights are given."""

    shared: Task
    batch_size: int  # of training
    size: int  # of predicting
    batches: int
    part: train.Data  # the training images in so many batches
    alteration: dict[str, Any]  # of the images, in training


class Averages(NamedTuple):
    """What averaging weights came to."""

    found: dict[str, Combined]
    growing: list[dict[str, Any]]  # running means of the first 1, 2, .. members
    barriers: list[dict[str, Any]]  # between neighbours
    evaluations: int


def check_alike(words: Sequence[str]) -> RunConfig:
    """The configuration of the first run, if all of them share data, model and held-out part.

    Raises:
      ValueError: naming the first difference, a folder that holds no run, or data without classes.
    """
    folders = [located(word)[0] for word in words]
    configs = [stored(folder) for folder in folders]
    for field in ("data", "model", "holdout_fraction"):
        for folder, config in zip(folders, configs, strict=True):
            mine, other = getattr(configs[0], field), getattr(config, field)
            if mine != other:
                raise ValueError(
                    f"{field} must be the same in all runs, got {mine} in {folders[0]} and {other} in {folder}."
                )
    if configs[0].data in datasets.TABULAR:
        raise ValueError(f"data must have classes, whose probabilities are combined, got {configs[0].data}.")
    return configs[0]


def members(word: str, keep: str, shared: Task) -> list[Network]:
    """The networks of a word of `EnsembleConfig.runs`: the members of a folder, or the one at its step.

    A member whose cycle the budget cut is there whatever `keep` says, marked as `cut`.

    Raises:
      ValueError: if there are none, one is damaged, or the run was made on other data.
    """
    folder, step = located(word)
    if step is not None:
        return [_network(folder, step, shared)]
    steps = snapshots.member_steps(folder)
    if not steps:
        raise ValueError(f"{folder} must hold members, or be asked for as {folder}@STEP, got none.")
    last = _network(folder, steps[-1], shared, member=True)
    chosen = thinned(keep, steps, cut=steps[-1:] if last.cut else ())
    return [*(_network(folder, each, shared, member=True) for each in chosen if each != last.step), last]


def state(word: str, shared: Task) -> Network:
    """The network of a word of a baseline: of FOLDER its last state.

    Raises:
      ValueError: as `members`.
    """
    folder, step = located(word)
    there = [*snapshots.steps(folder), *snapshots.member_steps(folder)]
    if not there:
        raise ValueError(f"{folder} must hold a state, got none.")
    return _network(folder, max(there) if step is None else step, shared)


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


def bench(config: RunConfig, shared: Task, *, batches: int) -> Bench:
    """Where networks of this configuration are asked."""
    count, examples = train.device_count(shared.train), len(shared.data.train)
    batch_size, size = (-(-n // count) * count for n in (config.batch, max(config.batch, 256)))
    some = min(batches, examples // batch_size) * batch_size
    split, data = shared.data.train, shared.data
    placement: Any = shared.train.images.sharding
    devices = tuple(placement.mesh.devices.flat)
    part = train.put(split.images[:some], split.labels[:some], mean=data.mean, std=data.std, devices=devices)
    return Bench(shared, batch_size, size, batches, part, tasks.alteration(config, shared))


def predicted(at: Bench, variables: dict[str, Any]) -> tuple[Predicted, int]:
    """A network's predictions on the test set and the held-out part, and on how many of the two it had to be evaluated.

    They are kept in the user's cache by weights, data, model, kind of device and versions of the libraries.
    """
    model, made, found = at.shared.model, 0, {}
    weights = provenance.digest(variables)
    device = jax.local_devices()[0]
    for name in ("test", "holdout") if at.shared.holdout else ("test",):
        key = [weights, at.shared.data.digest, name, repr(model), device.platform, device.device_kind]
        key.append(json.dumps(provenance.versions()))
        ask = functools.partial(
            predict.logits, variables, model=model, data=getattr(at.shared, name), batch_size=at.size
        )
        found[name], kept = predict.cached(repr(key), ask)
        made += not kept
    return Predicted(found["test"], found.get("holdout")), made


def completed(at: Bench, params: Any, like: Network) -> dict[str, Any]:
    """Variables with these weights and batch statistics re-estimated on training images."""
    variables = {"params": params, "batch_stats": like.variables["batch_stats"]}
    words: dict[str, Any] = {"model": at.shared.model, "data": at.part, "batch_size": at.batch_size, **at.alteration}
    return {"params": params, "batch_stats": predict.reestimated(variables, batches=at.batches, **words)}


def training_loss(at: Bench, variables: dict[str, Any]) -> float:
    """Mean loss over the bench's training images, unaltered, in nats."""
    logits = predict.logits(variables, model=at.shared.model, data=at.part, batch_size=at.size)
    return calibration.nll(logits, np.asarray(at.part.labels))


def weight_averages(
    at: Bench, members: Sequence[Network], labels: Labels, *, points: int
) -> Generator[str, None, Averages]:
    """Soups with batch statistics of their own, and the barriers between neighbouring members."""
    trees = [network.variables["params"] for network in members]
    seen: dict[str, dict[str, Any]] = {}
    evaluations = 0

    def complete(tree: Any) -> dict[str, Any]:
        key = provenance.digest(tree)
        if key not in seen:
            seen[key] = completed(at, tree, members[0])
        return seen[key]

    def ask(tree: Any) -> Predicted:
        nonlocal evaluations
        found, made = predicted(at, complete(tree))
        evaluations += made
        return found

    def held_out(tree: Any) -> float:
        found, classes = ask(tree).held, labels.held
        assert found is not None
        assert classes is not None
        return calibration.accuracy(found, classes)

    means, growing = _running_means(trees), []
    for n, tree in enumerate(means, start=1):
        scores = calibration.score(ask(tree).test, labels.test)
        growing.append({"error": scores.error, "nll": scores.nll, "updates": updates(members[:n])})
        yield f"mean of the weights of {plural(n, 'member')}"
    found = {
        "uniform soup": Combined(ask(soups.mean_tree(trees))),
        "running mean of weights (SWA)": Combined(ask(means[-1])),
    }
    if labels.held is not None:
        soup = soups.greedy_soup(trees, held_out)
        weights = ensemble_scores.shares(soup.indices, len(trees)).tolist()
        found["greedy soup"] = Combined(ask(soup.tree), weights)
        yield f"greedy soup of {plural(len(soup.indices), 'member')}"
    alphas, barriers = np.linspace(0, 1, points), []
    ends = [training_loss(at, complete(tree)) for tree in trees]
    for i, (one, other) in enumerate(itertools.pairwise(trees)):
        way = (completed(at, soups.interpolate(one, other, alpha=alpha), members[0]) for alpha in alphas.tolist()[1:-1])
        losses = np.array([ends[i], *(training_loss(at, variables) for variables in way), ends[i + 1]])
        line = {"alphas": alphas.tolist(), "losses": losses.tolist(), "barrier": soups.barrier(losses, alphas)}
        barriers.append({"between": [i, i + 1], **line})
        yield f"barrier between members {i + 1} and {i + 2}: {line['barrier']:.3f} nats"
    return Averages(found, growing, barriers, evaluations)


def _running_means(trees: Sequence[Any]) -> list[Any]:
    """The mean of the first 1, 2, .. trees, kept in float64 and rounded for use."""
    mean = jax.tree.map(lambda leaf: np.asarray(leaf).astype(np.float64), trees[0])
    means = []
    for n, tree in enumerate(trees):
        mean = soups.running_mean(mean, tree, n=n)
        means.append(jax.tree.map(lambda wide, like: wide.astype(like.dtype), mean, tree))
    return means


def _network(folder: str, step: int, shared: Task, *, member: bool = False) -> Network:
    config, identity = stored(folder), saving.stored_identity(folder)
    _check_data(folder, identity, shared)
    if member or step not in snapshots.steps(folder):
        shape: Any = shared.data.train.images.shape[1:]
        like = models.initial_variables(shared.model, image_shape=shape, seed=0)
        saved = snapshots.load_member(folder, step, like)
        variables = {name: saved.tree[name] for name in ("params", "batch_stats")}
    else:
        saved = snapshots.load(folder, step, _state_like(config, shared))
        own = shared._replace(optimizer=_optimizer(config))
        variables = tasks.variables(config, own, saved.tree)
    run, left = identity["run"], identity["origin"]
    made_by = saved.facts.get("run", saved.facts.get("identity", {}).get("run", run))
    if made_by != run:
        raise ValueError(f"{folder}@{step} must be of the run in its folder ({run}), got one of run {made_by}.")
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables)):
        raise ValueError(f"{folder}@{step} must hold finite weights, got some that are not: the run diverged.")
    origin = (left["run"], left["step"]) if left else None
    digest = provenance.digest(variables)
    cut = member and bool(saved.facts.get("cut", step in _cut_steps(config, left, shared)))
    return Network(run, folder, step, config, saved.facts, variables, digest, origin, cut)


def _check_data(folder: str, identity: Mapping[str, Any], shared: Task) -> None:
    """Refuses a run of other examples. Version 0.1.0 kept their digest in the record alone, which comes at the end."""
    here = shared.data.digest
    rows = records.read(pathlib.Path(folder, "records.jsonl")).rows
    recorded = [row["data"]["digest"] for row in rows if row["run"] == identity["run"]][-1:]
    for trained_on in (identity.get("data_digest", here), *recorded):
        if trained_on != here:
            raise ValueError(f"data must be what {folder} was trained on ({trained_on}), got {here}.")


def _cut_steps(config: RunConfig, left: Mapping[str, Any] | None, shared: Task) -> frozenset[int]:
    """After how many updates the run's last cycle was cut, from its configuration: for members that do not say it."""
    per_epoch = batches.steps_per_epoch(len(shared.data.train), config.batch)
    budget = Budget.of(config.budget, max_epochs=config.max_epochs, steps_per_epoch=per_epoch)
    follow = plan(config.schedule, budget, peak_value=config.peak_value, momentum=0.9)
    return cycles.cut_steps(follow, tasks.Origin(**left).offset if left else 0)


def _state_like(config: RunConfig, shared: Task) -> train.State:
    shape: Any = shared.data.train.images.shape[1:]
    return train.initial_state(shared.model, _optimizer(config), image_shape=shape, seed=0)


def _optimizer(config: RunConfig) -> optim.Optimizer:
    return optim.Optimizer(config.optimizer, config.momentum_form, config.weight_decay_mode)
