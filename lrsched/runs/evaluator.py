"""Predictions of networks, cached on disk, and averages of their weights."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lrsched.analysis.ensemble import calibration, scores
from lrsched.analysis.ensemble.scores import Combined, Labels, Predicted
from lrsched.analysis.markdown import plural
from lrsched.runs import identity
from lrsched.runs.networks import Network, updates
from lrsched.runs.report import Report
from lrsched.runs.task import Task
from lrsched.training import models, predict, provenance, soups, train
from lrsched.training.train import Data


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluator:
    """Predicts with networks of one task; `evaluator` makes it.

    Attributes:
      task: the data and the model.
      size: examples predicted at once.
      batches: training batches that averaged weights are given.
      part: the training images in so many batches.
    """

    task: Task
    size: int
    batches: int
    part: Data

    def predict(self, variables: dict[str, Any]) -> tuple[Predicted, int]:
        """A network's predictions on the test set and the held-out part, and for how many of the two it was evaluated.

        They are kept in the user's cache by weights, data, model, machine (but its cores), libraries and code.
        """
        model, made, logits = self.task.model, 0, {}
        weights, around = provenance.digest(variables), identity.circumstances()
        del around["machine"]["cpus"]
        for name in ("test", "holdout") if self.task.holdout else ("test",):
            key = [weights, self.task.data.digest, name, repr(model), json.dumps(around)]
            ask = functools.partial(
                predict.logits, variables, model=model, data=getattr(self.task, name), batch_size=self.size
            )
            logits[name], kept = predict.load_or_compute(None if models.is_foreign(model) else repr(key), ask)
            made += not kept
        return Predicted(logits["test"], logits.get("holdout")), made

    def complete(self, params: Any, like: Network) -> dict[str, Any]:
        """Variables with these weights and batch statistics re-estimated on training images."""
        variables = {"params": params, "batch_stats": like.variables["batch_stats"]}
        statistics = predict.estimate_statistics(
            variables,
            model=self.task.model,
            data=self.part,
            batch_size=self.task.fill_devices(self.task.batch_size),
            batches=self.batches,
            **self.task.augmentation,
        )
        return {"params": params, "batch_stats": statistics}

    def average(self, networks: Sequence[Network], weights: Sequence[float]) -> tuple[Predicted, int]:
        """`predict` of these networks' weights averaged so, with batch statistics of their own."""
        tree = soups.mean_tree([network.variables["params"] for network in networks], np.asarray(weights))
        return self.predict(self.complete(tree, networks[0]))

    def training_loss(self, variables: dict[str, Any]) -> float:
        """Mean loss over the training images of `part`, unaltered, in nats."""
        logits = predict.logits(variables, model=self.task.model, data=self.part, batch_size=self.size)
        return calibration.nll(logits, np.asarray(self.part.labels))


def evaluator(task: Task, *, batches: int) -> Evaluator:
    """An Evaluator for the networks of a task."""
    batch_size = task.fill_devices(task.batch_size)
    some = min(batches, len(task.data.train) // batch_size) * batch_size
    split, data = task.data.train, task.data
    part = train.put(split.images[:some], split.labels[:some], mean=data.mean, std=data.std, devices=task.devices)
    return Evaluator(task, task.evaluated_at_once, batches, part)


class Averages(NamedTuple):
    """Results of averaging weights."""

    combined: dict[str, Combined]
    growing: list[dict[str, Any]]  # running means of the first 1, 2, .. members
    barriers: list[dict[str, Any]]  # between neighbours
    evaluations: int


def average_weights(
    at: Evaluator, members: Sequence[Network], labels: Labels, *, points: int, report: Report
) -> Averages:
    """Soups with batch statistics of their own, and the barriers between neighbouring members.

    Args:
      points: at which the loss is taken on the line between two members, both ends among them.
    """
    trees = [network.variables["params"] for network in members]
    asked = _Asked(at, members[0])
    means, growing = _running_means(trees), []
    for n, tree in enumerate(means, start=1):
        found = calibration.score(asked.predict(tree).test, labels.test)
        growing.append({"error": found.error, "nll": found.nll, "updates": updates(members[:n])})
        report(f"mean of the weights of {plural(n, 'member')}")
    combined = {
        "uniform soup": Combined(asked.predict(soups.mean_tree(trees))),
        "running mean of weights (SWA)": Combined(asked.predict(means[-1])),
    }
    if labels.held is not None:
        classes = labels.held

        def held_out(tree: Any) -> float:
            logits = asked.predict(tree).held
            assert logits is not None
            return calibration.accuracy(logits, classes)

        soup = soups.greedy_soup(trees, held_out)
        weights = scores.shares(soup.indices, len(trees)).tolist()
        combined["greedy soup"] = Combined(asked.predict(soup.tree), weights)
        report(f"greedy soup of {plural(len(soup.indices), 'member')}")
    barriers = _barriers(at, asked, trees, points=points, report=report)
    return Averages(combined, growing, barriers, asked.evaluations)


class _Asked:
    """Remembers averaged weights, so that their batch statistics are estimated once."""

    def __init__(self, at: Evaluator, like: Network) -> None:
        self.at, self.like, self.evaluations = at, like, 0
        self._seen: dict[str, dict[str, Any]] = {}

    def complete(self, tree: Any) -> dict[str, Any]:
        key = provenance.digest(tree)
        if key not in self._seen:
            self._seen[key] = self.at.complete(tree, self.like)
        return self._seen[key]

    def predict(self, tree: Any) -> Predicted:
        predicted, made = self.at.predict(self.complete(tree))
        self.evaluations += made
        return predicted


def _barriers(
    at: Evaluator, asked: _Asked, trees: Sequence[Any], *, points: int, report: Report
) -> list[dict[str, Any]]:
    """The training loss on the lines between neighbouring members."""
    alphas, barriers = np.linspace(0, 1, points), []
    ends = [at.training_loss(asked.complete(tree)) for tree in trees]
    for i, (one, other) in enumerate(itertools.pairwise(trees)):
        between = (
            at.complete(soups.interpolate(one, other, alpha=alpha), asked.like) for alpha in alphas.tolist()[1:-1]
        )
        losses = np.array([ends[i], *(at.training_loss(variables) for variables in between), ends[i + 1]])
        line = {"alphas": alphas.tolist(), "losses": losses.tolist(), "barrier": soups.barrier(losses, alphas)}
        barriers.append({"between": [i, i + 1], **line})
        report(f"barrier between members {i + 1} and {i + 2}: {line['barrier']:.3f} nats")
    return barriers


def _running_means(trees: Sequence[Any]) -> list[Any]:
    """The mean of the first 1, 2, .. trees, kept in float64 and rounded for use."""
    mean = jax.tree.map(lambda leaf: np.asarray(leaf).astype(np.float64), trees[0])
    means = []
    for n, tree in enumerate(trees):
        mean = soups.running_mean(mean, tree, n=n)
        means.append(jax.tree.map(lambda wide, like: wide.astype(like.dtype), mean, tree))
    return means
