"""Averages of the weights of one run, and BatchNorm's statistics for them."""

from typing import Any

from lrsched.runs.task import Task
from lrsched.training import predict, soups

EMA_DECAY = 0.98  # a mean over about the last epoch of the digits


def exponential_mean(mean: Any, params: Any, completed: int) -> Any:
    """The exponential average of the weights after so many updates, from that of one update before (of none: None)."""
    share = (1 - EMA_DECAY) / (1 - EMA_DECAY**completed)  # the first weight counts as it is
    return params if mean is None else soups.interpolate(mean, params, alpha=share)


def estimated(task: Task, params: Any, state: Any) -> dict[str, Any]:
    """Weights with BatchNorm's statistics estimated for them."""
    variables = {**state.variables, "params": params}
    words: dict[str, Any] = {"model": task.model, "data": task.train, "batch_size": task.batch_size, "batches": 50}
    return {**variables, "batch_stats": predict.estimate_statistics(variables, **words, **task.augmentation)}
