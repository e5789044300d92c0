"""Predictions of a network on a split, cached on disk, and batch statistics for weights that have none."""

import functools
import hashlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from lrsched.training import cache, devices, models, train
from lrsched.training.batches import augment, run_key
from lrsched.training.foreign import Foreign
from lrsched.training.placement import devices_of

Logits = Float32[np.ndarray, "examples *classes"]  # of a regression, its outputs: [examples]
_STILL = 1e-6  # how near to 1 the momentum of a statistic is that updates do not move


def logits(variables: Mapping[str, Any], *, model: models.Model, data: train.Data, batch_size: int) -> Logits:
    """The network's logits for every example of a split, each once, in the order of the split.

    Evaluate several networks one after another: a `vmap` over weights takes XLA:CPU 1.6 times as long (ResNet-8).

    Args:
      variables: {"params", "batch_stats"}, from `State.variables` or a snapshot; not modified.
      batch_size: examples per call, over all devices of the data; may exceed the split.
    Returns:
      float32, on the host.
    Raises:
      ValueError: if the batch does not divide over the devices.
    """
    parts = jax.device_get(train.predictions(variables, model=model, data=data, batch_size=batch_size))
    return np.concatenate([part.reshape(-1, *part.shape[2:]) for part in parts])[: len(data.labels)]


@devices.pin_settings()
def estimate_statistics(
    variables: Mapping[str, Any],
    *,
    model: models.Model,
    data: train.Data,
    batch_size: int,
    batches: int,
    pad: int = 0,
    flip: bool = False,
) -> Any:
    """Estimates batch statistics for averaged weights, which were never trained and so have none of their own.

    The mean and variance of each batch-norm layer over a batch in training mode, averaged over the first batches of
    the data, augmented as in training. (Augmentation matters: ResNet-20 on CIFAR-10 had 12.68 % test error with the
    statistics from its own training, 12.79 % with those of 50 augmented batches, 13.90 % with unaugmented ones.) A
    batch spans all devices, so their number does not matter.

    Args:
      variables: {"params", "batch_stats"}; only the shapes of the latter matter. Neither is modified.
      data: the training split.
      batch_size: examples per batch, over all devices; the mean variance depends on it slightly.
      batches: how many at most; the data may have fewer whole ones.
      pad, flip: augmentation (`batches.augment`); 0 and False: none.
    Returns:
      `batch_stats` as NumPy arrays; {} for a model without any.
    Raises:
      ValueError: if there is no whole batch, or it does not divide over the devices.
    Source:
      Izmailov et al., UAI 2018, arXiv:1803.05407, section 3.2, who take one pass over the training data.
    """
    from lrsched.training import layers  # which imports Flax

    examples = len(data.labels)
    if batches < 1:
        raise ValueError(f"batches must be at least 1, got {batches}.")
    if not 1 <= batch_size <= examples:
        raise ValueError(f"batch_size must be from 1 to {examples} (the training examples), got {batch_size}.")
    if not jax.tree.leaves(variables["batch_stats"]):
        return {}
    zeros = jax.tree.map(np.zeros_like, jax.device_get(variables["batch_stats"]))
    count = min(batches, examples // batch_size)
    if pad or flip:
        data = _augment(data, batch_size=batch_size, batches=count, pad=pad, flip=flip)

    def move(start: Any, batches: int) -> Any:
        words: dict[str, Any] = {"model": model, "data": data, "batch_size": batch_size, "batches": batches}
        return jax.device_get(train.move_statistics({**variables, "batch_stats": start}, **words))

    given = jax.device_get(variables["batch_stats"])
    momenta, begin = jax.tree.map(lambda _: layers.MOMENTUM, zeros), zeros
    if isinstance(model, Foreign):
        momenta, begin = _momenta(move, given)
    # From statistics of 0, a moving average after one batch is (1 - momentum) times that batch's own.
    total = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0, dtype=np.float64), *move(begin, count))

    def estimate(momentum: float, own: np.ndarray, leaf: np.ndarray) -> np.ndarray:
        return own if momentum == 1 else (leaf / ((1 - momentum) * count)).astype(np.float32)

    return jax.tree.map(estimate, momenta, given, total)


def _momenta(move: Callable[[Any, int], Any], given: Any) -> tuple[Any, Any]:
    """The momentum of each moving average, and where to begin: at 0, but what training leaves alone (1) as it is.

    The momentum is what is left, after a batch, of 1 more. What does not move is found first: the averages behind it
    depend on it.
    """
    still = jax.tree.map(lambda _: False, given)
    for _ in range(2):
        begin = jax.tree.map(lambda kept, own: own if kept else np.zeros_like(own), still, given)
        more = jax.tree.map(lambda kept, leaf: leaf if kept else leaf + np.float32(1), still, begin)
        (low,), (high,) = move(begin, 1), move(more, 1)
        left = jax.tree.map(lambda one, zero: one - zero, high, low)
        found = jax.tree.map(lambda kept, leaf: kept or bool(np.all(np.abs(leaf - 1) < _STILL)), still, left)
        if found == still:
            break
        still = found
    momenta = jax.tree.map(lambda kept, leaf: 1.0 if kept else float(np.mean(leaf, dtype=np.float64)), still, left)
    return momenta, jax.tree.map(lambda kept, own: own if kept else np.zeros_like(own), still, given)


def _augment(data: train.Data, *, batch_size: int, batches: int, pad: int, flip: bool) -> train.Data:
    """The first batches of a split, augmented with fixed draws."""
    alter = functools.partial(
        jax.jit(augment, static_argnames=("batch_size", "pad", "flip")),
        key=run_key(0),
        first=np.int32(0),
        batch_size=batch_size,
        pad=pad,
        flip=flip,
    )
    images, labels = (jax.device_get(part[: batches * batch_size]) for part in (data.images, data.labels))
    altered = [alter(images[i * batch_size :][:batch_size], step=np.int32(i)) for i in range(batches)]
    mean, std = (jax.device_get(part).tolist() for part in (data.mean, data.std))
    everything = np.concatenate(jax.device_get(altered))
    return train.put(everything, labels, mean=mean, std=std, devices=devices_of(data))


def load_or_compute(key: str | None, compute: Callable[[], Logits]) -> tuple[Logits, bool]:
    """Predictions from the cache, or else computed and cached.

    Args:
      key: names everything that the predictions depend on; None: that cannot be named, and nothing is cached.
      compute: called if the key is not cached, or its entry is damaged.
    Returns:
      the predictions, and whether they came from the cache.
    """
    if key is None:
        return compute(), False
    path = folder() / f"{hashlib.sha256(key.encode()).hexdigest()}.npy"
    kept = cache.load(path)
    if kept is not None:
        return kept, True
    found = compute()
    cache.keep(path, found)
    return found, False


def folder() -> pathlib.Path:
    """The folder of cached predictions: $LRSCHED_CACHE/predictions, else lrsched/predictions in the user's cache."""
    return cache.folder("predictions")
