"""The arrays of a data set: splits of them, their statistics and their digest. Nothing here depends on a run's seed."""

import dataclasses
import hashlib
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt8

# The test set where none is published, and the held-out part: always the same examples.
TEST_FRACTION, TEST_SEED = 0.2, 1797
HOLDOUT_SEED = 1
MIX_SEED = 2

Windows = UInt8[np.ndarray, "examples length"]  # of a text
Images = UInt8[np.ndarray, "examples h w c"] | Float32[np.ndarray, "examples features"] | Windows
Labels = Int32[np.ndarray, " examples"] | Float32[np.ndarray, " examples"] | Windows


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images in [0, 255] and their classes, or rows of a table and their standardised targets, in a fixed order.

    Of a text, windows of bytes twice.
    """

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


class Raw(NamedTuple):
    """A data set as it is read.

    Attributes:
      classes: 0 for a regression, whose labels are in the target's own unit.
      train: images and labels.
      test: None: a fixed part of `train`, TEST_FRACTION of each class.
      holdout: None: a part of `train` becomes it, if one is asked for.
      class_names: in the order of the labels; empty if they have none.
    """

    version: str
    classes: int
    train: tuple[Any, Any]
    test: tuple[Any, Any] | None = None
    holdout: tuple[Any, Any] | None = None
    class_names: tuple[str, ...] = ()


def divide(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """(the rest, the chosen part): round(fraction * n) of the n examples of each class, never all; order is kept.

    Of a regression: of all examples, which are one class here. Of a text: its end, and nothing is drawn.
    """
    if split.labels.ndim == 2:
        first = len(split) - min(round(fraction * len(split)), len(split) - 1)
        return Split(split.images[:first], split.labels[:first]), Split(split.images[first:], split.labels[first:])
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(split), bool)
    labels = split.labels if split.labels.dtype == np.int32 else np.zeros(len(split), np.int32)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        chosen[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
    return Split(split.images[~chosen], split.labels[~chosen]), Split(split.images[chosen], split.labels[chosen])


def mix(split: Split) -> Split:
    """The same examples in an order drawn once and for all: the first of them are of all classes, however they came."""
    order = np.random.default_rng(MIX_SEED).permutation(len(split))
    return Split(split.images[order], split.labels[order])


def statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of images / 255, from integer sums, which round nothing.

    Of a table: of each column. Of a text: none.

    Raises:
      ValueError: if one of them does not vary.
    """
    if images.dtype == np.uint8 and images.ndim == 2:
        return (), ()
    if images.dtype != np.uint8:
        means, stds = zip(*map(column_statistics, images.T), strict=True)
        return means, stds
    sums = np.zeros(images.shape[1:], np.int64)
    squares = np.zeros_like(sums)
    for start in range(0, len(images), 500):  # blocks that stay in the processor's cache: 7 times as fast as at once
        block = images[start : start + 500]
        sums += block.sum(axis=0, dtype=np.int64)
        squares += np.square(block, dtype=np.uint16).sum(axis=0, dtype=np.int64)
    count = images[..., 0].size
    mean = sums.sum(axis=(0, 1)) / count
    std = np.sqrt(squares.sum(axis=(0, 1)) / count - mean**2)
    if not std.all():
        raise ValueError(f"a channel of the training images must vary, got one of {mean[std == 0][0]:g} alone.")
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def column_statistics(column: Float32[np.ndarray, " examples"]) -> tuple[float, float]:
    """Mean and standard deviation.

    Raises:
      ValueError: if the column does not vary.
    """
    if np.ptp(column) == 0:
        raise ValueError(f"a column of the training part must vary, got one of {len(column)} times {column[0]:g}.")
    wide = column.astype(np.float64)
    mean = math.fsum(wide) / len(wide)  # fsum: the same bits on every machine, and so the same digest
    return mean, math.sqrt(math.fsum(np.square(wide - mean)) / len(wide))


def standardise(split: Split, mean: float, std: float) -> Split:
    """The split with the labels (label - mean) / std."""
    return Split(split.images, ((split.labels.astype(np.float64) - mean) / std).astype(np.float32))


def digest(splits: Iterable[Split | None]) -> str:
    """The first 16 hex digits of the SHA-256 over shapes, types and bytes of all splits."""
    sha = hashlib.sha256()
    for split in splits:
        for array in (split.images, split.labels) if split else ():
            sha.update(f"{array.shape} {array.dtype.name}".encode())
            sha.update(np.ascontiguousarray(array).data.cast("B"))
        sha.update(b"end of split")
    return sha.hexdigest()[:16]
