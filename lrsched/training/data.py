"""Examples and labels as arrays: scikit-learn's digits, TFDS's image sets, and tables of numbers.

Nothing here needs TensorFlow or a network.
"""

import dataclasses
import hashlib
import math
import os
import pathlib

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from lrsched import files
from lrsched.training import prepared, tabular

PathLike = str | os.PathLike[str]

# The usual augmentation: pixels of zero padding before the random crop, and whether a mirror image keeps its meaning
# (a mirrored digit does not). A table's rows are not altered.
AUGMENTATION = {
    "digits": (1, False),
    "cifar10": (4, True),
    "cifar100": (4, True),
    "mnist": (4, False),
    "fashion_mnist": (4, True),
    "svhn_cropped": (4, False),
    **dict.fromkeys(tabular.NAMES, (0, False)),
}
NAMES = tuple(AUGMENTATION)
TABULAR = tabular.NAMES
EMBEDDED = ("digits", "diabetes")  # in scikit-learn

# Which examples are the test set where none is published, and which are held out, never changes: no run's seed enters.
TEST_FRACTION, TEST_SEED = 0.2, 1797
HOLDOUT_SEED = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images in [0, 255] and their classes, or rows of a table and their standardised targets, in a fixed order."""

    images: UInt8[np.ndarray, "examples h w c"] | Float32[np.ndarray, "examples features"]
    labels: Int32[np.ndarray, " examples"] | Float32[np.ndarray, " examples"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """One data set, as `load` returns it.

    `mean` and `std` are per channel, of train.images / 255; of a table per feature. `pad` (pixels) and `flip` are the
    usual augmentation. `digest` names the examples and labels of all three splits: equal digests, equal data.

    `classes` is 0 for a regression. There all labels are (target - target_mean) / target_std, the statistics of the
    training set before anything is held out: a squared error of theirs is in the same unit whatever is held out, and
    target_std^2 times it is in the target's own.
    """

    name: str
    version: str
    classes: int
    train: Split
    holdout: Split | None
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int
    flip: bool
    digest: str
    target_mean: float | None = None
    target_std: float | None = None


def load(name: str, *, data_dir: PathLike | None = None, holdout_fraction: float = 0.0) -> Dataset:
    """Reads a data set into memory. Downloads nothing.

    Args:
      name: one of NAMES. `digits` (8x8, scaled to [0, 240]) and `diabetes` come with scikit-learn; the others must be
        prepared. Of `boston` read the note in `tabular`.
      data_dir: where TFDS keeps its data sets; by default TFDS_DATA_DIR, else ~/tensorflow_datasets.
      holdout_fraction: part of every class of the training set that becomes `holdout`, for choosing rates; in [0, 1).
        The same examples for every run. Of a table, part of all rows.
    Returns:
      The splits and their statistics; `mean` and `std` are those of the training part that is left.
    Raises:
      ValueError: unknown name, fraction outside [0, 1) or too small to hold anything out, data set not prepared, or a
        table with a column that does not vary in the training part.
    """
    check_name(name)
    if not 0 <= holdout_fraction < 1:
        raise ValueError(f"holdout_fraction must be at least 0 and below 1, got {holdout_fraction}.")
    # What is embedded needs no folder, so that a TFDS_DATA_DIR of other programs does not matter.
    root = data_folder(data_dir) if data_dir is not None or name not in EMBEDDED else pathlib.Path()
    if name in TABULAR:
        version, classes, train, test = _table(name, root)
    elif name == "digits":
        version, classes, train, test = _digits()
    else:
        version, classes, *arrays = prepared.read(name, root)
        train, test = (Split(*split) for split in arrays)
    target: tuple[float, float] | tuple[None, None] = (None, None)
    if not classes:
        target = _column_statistics(train.labels)
        train, test = (_standardised(split, *target) for split in (train, test))
    holdout = None
    if holdout_fraction > 0:
        train, holdout = _parted(train, holdout_fraction, HOLDOUT_SEED)
        if len(holdout) == 0:
            least = f"0, or enough for one example{' of a class' if classes else ''}"
            raise ValueError(f"holdout_fraction must be {least}, got {holdout_fraction}.")
    mean, std = _statistics(train.images)
    pad, flip = AUGMENTATION[name]
    digest = _digest([train, holdout, test])
    return Dataset(name, version, classes, train, holdout, test, mean, std, pad, flip, digest, *target)


def usual_batch_size(name: str) -> int:
    """Examples per update where no batch size is given."""
    return 32 if name in ("digits", *TABULAR) else 128


def check_name(name: str) -> None:
    """Raises a ValueError that lists NAMES if `name` is none of them."""
    if name not in NAMES:
        raise ValueError(f"data must be one of {', '.join(NAMES)}, got {name!r}.")


def data_folder(data_dir: PathLike | None) -> pathlib.Path:
    """The folder of prepared data sets: the argument, else TFDS_DATA_DIR, else TFDS's own default.

    Raises:
      ValueError: if it is a URL.
    """
    if data_dir is not None:
        return files.local_folder("data_dir", data_dir)
    return files.local_folder("TFDS_DATA_DIR", os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def _digits() -> tuple[str, int, Split, Split]:
    from sklearn.datasets import load_digits

    digits = load_digits()  # images: float64, whole numbers 0 .. 16
    everything = Split((digits.images * 15).astype(np.uint8)[..., None], digits.target.astype(np.int32))
    train, test = _parted(everything, TEST_FRACTION, TEST_SEED)
    return "1.0.0", 10, train, test


def _table(name: str, root: pathlib.Path) -> tuple[str, int, Split, Split]:
    if name == "diabetes":
        everything = Split(*tabular.diabetes())
    else:
        file = tabular.boston_file(root)
        if not file.parent.exists():
            raise ValueError(f"{name} {tabular.VERSION} is not prepared in {root}; {prepared.how(name, root)}")
        prepared.checksums(name, root, file.parent, needed=(file.name,))
        with prepared.damage_of(file, name, root):
            everything = Split(*tabular.boston(file))
    train, test = _parted(everything, TEST_FRACTION, TEST_SEED)
    return tabular.VERSION, 0, train, test


def _standardised(split: Split, mean: float, std: float) -> Split:
    return Split(split.images, ((split.labels.astype(np.float64) - mean) / std).astype(np.float32))


def _parted(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """(the rest, the chosen part): round(fraction * n) of the n examples of each class, never all; order is kept.

    Of a table: of all rows, which are one class here.
    """
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(split), bool)
    labels = split.labels if split.labels.dtype == np.int32 else np.zeros(len(split), np.int32)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        chosen[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
    return Split(split.images[~chosen], split.labels[~chosen]), Split(split.images[chosen], split.labels[chosen])


def _statistics(
    images: UInt8[np.ndarray, "examples h w c"] | Float32[np.ndarray, "examples features"],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of images / 255, from integer sums, which round nothing.

    Of a table: of each column.
    """
    if images.dtype != np.uint8:
        means, stds = zip(*map(_column_statistics, images.T), strict=True)
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
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _column_statistics(column: Float32[np.ndarray, " examples"]) -> tuple[float, float]:
    """Mean and standard deviation."""
    if np.ptp(column) == 0:
        raise ValueError(f"a column of the training part must vary, got one of {len(column)} times {column[0]:g}.")
    wide = column.astype(np.float64)
    mean = math.fsum(wide) / len(wide)  # fsum: the same bits on every machine, and so the same digest
    return mean, math.sqrt(math.fsum(np.square(wide - mean)) / len(wide))


def _digest(splits: list[Split | None]) -> str:
    sha = hashlib.sha256()
    for split in splits:
        for array in (split.images, split.labels) if split else ():
            sha.update(f"{array.shape} {array.dtype.name}".encode())
            sha.update(np.ascontiguousarray(array).data.cast("B"))
        sha.update(b"end of split")
    return sha.hexdigest()[:16]
