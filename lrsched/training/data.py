"""Data sets in memory: built in (`names.SOURCES`), a folder of images, a text file, or a function of the user's.

Nothing here needs TensorFlow or a network.
"""

import dataclasses
import hashlib
import inspect
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrsched import files
from lrsched.training import names, splits, texts
from lrsched.training.names import SOURCES as SOURCES
from lrsched.training.splits import Raw, Split

PathLike = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """One data set, as `load` returns it.

    `mean` and `std` are per channel, of train.images / 255; of a table per feature. `pad` (pixels) and `flip` are the
    usual augmentation. `digest` names the examples and labels of all three splits: equal digests, equal data (of a
    user's function also pad, flip and classes, where they are not as one would expect).
    `class_names` are in the order of the labels; empty if they have none.

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
    class_names: tuple[str, ...] = ()

    @property
    def tabular(self) -> bool:
        """Whether the examples are rows of numbers, not images."""
        return self.train.images.ndim == 2 and not self.text

    @property
    def text(self) -> bool:
        """Whether the examples are windows of bytes (`texts`), which are their own labels."""
        return self.train.images.ndim == 2 and self.train.images.dtype == np.uint8


def load(
    name: str, *, data_dir: PathLike | None = None, holdout_fraction: float = 0.0, image_size: int | None = None
) -> Dataset:
    """Reads a data set into memory. Downloads nothing.

    Args:
      name: one of SOURCES; or a folder of images (`image_folder.read`): a name with a path separator, or of a
        directory; or a text file, by a name that ends in .txt; or the dotted path of a function that returns a
        `Dataset`, as `dataset` makes one, and may take data_dir and holdout_fraction. `digits` (8x8, scaled to
        [0, 240]), `diabetes` and `descriptions` come with scikit-learn; the other built-in ones must be prepared. Of
        `boston` read the note in `tabular`.
      data_dir: where TFDS keeps its data sets; by default TFDS_DATA_DIR, else ~/tensorflow_datasets.
      holdout_fraction: part of every class of the training set that becomes `holdout`, for choosing rates; in [0, 1).
        The same examples for every run. Of a regression, part of all rows; of a text, its end. A data set
        with a held-out split of its own (a folder with val/) has that one for any fraction above 0.
      image_size: of a folder of images, the height and width in pixels that all are brought to; None: they have one.
    Returns:
      The splits and their statistics; `mean` and `std` are those of the training part that is left.
    Raises:
      ValueError: unknown name, fraction outside [0, 1) or too small to hold anything out, data set not prepared, or a
        channel or column that does not vary in the training part.
    """
    if not 0 <= holdout_fraction < 1:
        raise ValueError(f"holdout_fraction must be at least 0 and below 1, got {holdout_fraction}.")
    folder = is_folder(name)
    if image_size is not None and not folder:
        raise ValueError(f"image_size must be None unless data is a folder of images, got {image_size} for {name}.")
    if folder:
        from lrsched.training import image_folder

        raw = image_folder.read(files.local_folder("data", name), image_size=image_size)
        return _assemble(raw, name=name, pad=0, flip=False, fraction=holdout_fraction, mixed=True)
    if is_text_file(name):
        return _assemble(texts.read_file(name), name=name, pad=0, flip=False, fraction=holdout_fraction)
    if name not in SOURCES and names.is_path(name):
        return _call(name, data_dir=data_dir, fraction=holdout_fraction)
    check_name(name)
    source = SOURCES[name]
    # What is embedded needs no folder, so that a TFDS_DATA_DIR of other programs does not matter.
    root = data_folder(data_dir) if data_dir is not None or not source.embedded else pathlib.Path()
    raw = names.load("data", source.read)(name, root)
    return _assemble(raw, name=name, pad=source.pad, flip=source.flip, fraction=holdout_fraction)


def dataset(
    train: tuple[Any, Any],
    test: tuple[Any, Any] | None = None,
    *,
    holdout: tuple[Any, Any] | None = None,
    classes: int | None = None,
    class_names: Sequence[str] = (),
    pad: int = 0,
    flip: bool = False,
    name: str = "data",
    version: str = "",
) -> Dataset:
    """A data set from arrays, as a function for `--data my_package.data.load` returns it.

    Args:
      train: images and labels, in any order: they are mixed. Images are uint8 of shape [examples, h, w, c] or
        [examples, h, w], or rows of floats, [examples, features]. Labels are whole numbers from 0, or for a regression
        floats.
      test: the same; None: a fixed fifth of each class of `train`.
      holdout: the same, for choosing rates; None: `load` takes a part of `train` if it is asked for one.
      classes: number of classes; None: as many as there are names, else the largest label + 1; 0: a regression.
      class_names: in the order of the labels.
      pad: pixels of zero padding before the random crop of the usual augmentation; 0: no crop.
      flip: whether that augmentation mirrors half of the images, left and right.
    Raises:
      ValueError: for arrays of another kind.
    Example:
      >>> import numpy as np
      >>> images, labels = np.arange(4 * 8 * 8).reshape(4, 8, 8).astype(np.uint8), np.array([0, 1, 0, 1])
      >>> found = dataset((images, labels), (images, labels), flip=True)
      >>> found.classes, found.train.images.shape
      (2, (4, 8, 8, 1))
    """
    whole = np.asarray(train[1]).dtype.kind in "iub"
    if classes is None:
        labels = [np.asarray(pair[1]) for pair in (train, test, holdout) if pair]
        largest = max(int(np.max(each, initial=0)) for each in labels if each.dtype.kind in "iub") if whole else 0
        classes = (len(class_names) or largest + 1) if whole else 0
    if classes < 0 or classes == 1 or (classes > 0) != whole:
        allowed = "at least 2 for labels that are whole numbers" if whole else "0 for labels that are floats"
        raise ValueError(f"classes must be {allowed}, got {classes}.")
    if class_names and len(class_names) != classes:
        raise ValueError(f"class_names must be {classes}, one for each class, got {len(class_names)}.")
    pairs = {"train": train, "test": test, "holdout": holdout}
    checked = {split: _check(split, pair, classes) for split, pair in pairs.items() if pair}
    shapes = {split: pair[0].shape[1:] for split, pair in checked.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"images must have one shape in all splits, got {shapes}.")
    if not isinstance(pad, int) or pad < 0:
        raise ValueError(f"pad must be a whole number of pixels, at least 0, got {pad!r}.")
    if (pad or flip) and len(shapes["train"]) == 1:
        raise ValueError(f"pad and flip must be left out for rows of numbers, got pad = {pad} and flip = {flip}.")
    raw = Raw(version, classes, checked["train"], checked.get("test"), checked.get("holdout"), tuple(class_names))
    return _assemble(raw, name=name, pad=pad, flip=flip, fraction=0.0, keep_holdout=True, mixed=True)


def is_folder(name: str) -> bool:
    """Whether a name stands for a folder of images: it has a path separator or is a directory, and no table has it.

    A name that ends in .txt stands for a text file.
    """
    if is_text_file(name):
        return False
    has_separator = any(separator in name for separator in (os.sep, os.altsep, "/") if separator)
    return name not in SOURCES and (has_separator or name.startswith("~") or os.path.isdir(name))


def is_text_file(name: str) -> bool:
    """Whether a name stands for a text file."""
    return name not in SOURCES and texts.is_file(name)


def check_name(name: str) -> None:
    """Raises a ValueError that lists what is allowed, unless `name` is in SOURCES, a path or a dotted path."""
    if name not in SOURCES and not is_folder(name) and not is_text_file(name) and not names.is_path(name):
        raise names.unknown(
            "data", name, SOURCES, also=", a folder of images, a text file (.txt) or a dotted path to a function"
        )


def usual_batch_size(name: str) -> int:
    """Examples per update where no batch size is given."""
    if is_text_file(name):
        return names.TEXT_FILE.batch_size
    return SOURCES[name].batch_size if name in SOURCES else names.Source(read="", prepare=None).batch_size


def is_tabular(name: str) -> bool | None:
    """Whether a data set is rows of numbers; None: that shows when it is loaded (`Dataset.tabular`)."""
    return SOURCES[name].tabular if name in SOURCES else None


def is_text(name: str) -> bool | None:
    """Whether a data set is windows of bytes; None: that shows when it is loaded (`Dataset.text`)."""
    if name in SOURCES:
        return SOURCES[name].text
    return True if is_text_file(name) else False if is_folder(name) else None


def data_folder(data_dir: PathLike | None) -> pathlib.Path:
    """The folder of prepared data sets: the argument, else TFDS_DATA_DIR, else TFDS's own default.

    Raises:
      ValueError: if it is a URL.
    """
    if data_dir is not None:
        return files.local_folder("data_dir", data_dir)
    return files.local_folder("TFDS_DATA_DIR", os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def _assemble(
    raw: Raw, *, name: str, pad: int, flip: bool, fraction: float, keep_holdout: bool = False, mixed: bool = False
) -> Dataset:
    """The data set of what was read: labels standardised, test and held-out part split off if there are none.

    `mixed` mixes the training examples, as batch statistics are taken from the first.
    """
    train = Split(*raw.train)
    if raw.test is None:
        train, test = splits.divide(train, splits.TEST_FRACTION, splits.TEST_SEED)
        if not len(test):
            raise ValueError(f"test must be given where a fifth of each class is no example, got {len(train)} in all.")
    else:
        test = Split(*raw.test)
    train = splits.mix(train) if mixed else train
    holdout = Split(*raw.holdout) if raw.holdout and (fraction > 0 or keep_holdout) else None
    target: tuple[float, float] | tuple[None, None] = (None, None)
    if not raw.classes:
        target = splits.column_statistics(train.labels)
        train, test = (splits.standardise(split, *target) for split in (train, test))
        holdout = splits.standardise(holdout, *target) if holdout else None
    made = Dataset(
        name=name,
        version=raw.version,
        classes=raw.classes,
        train=train,
        holdout=holdout,
        test=test,
        mean=(),
        std=(),
        pad=pad,
        flip=flip,
        digest="",
        target_mean=target[0],
        target_std=target[1],
        class_names=raw.class_names,
    )
    return _hold_out(made, fraction)


def _hold_out(made: Dataset, fraction: float) -> Dataset:
    """The data set with a held-out part, if it has none and one is asked for, and with statistics and digest."""
    train, holdout = made.train, made.holdout
    if holdout is None and fraction > 0:
        train, holdout = splits.divide(train, fraction, splits.HOLDOUT_SEED)
        if len(holdout) == 0:
            least = f"0, or enough for one example{' of a class' if made.classes and not made.text else ''}"
            raise ValueError(f"holdout_fraction must be {least}, got {fraction}.")
    mean, std = splits.statistics(train.images)
    digest = splits.digest([train, holdout, made.test])
    return dataclasses.replace(made, train=train, holdout=holdout, mean=mean, std=std, digest=digest)


def _check(split: str, pair: tuple[Any, Any], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split, in the types that training takes."""
    images, labels = (np.asarray(part) for part in pair)
    if images.dtype == np.uint8 and images.ndim == 3:
        images = images[..., None]
    rows = images.dtype.kind == "f" and images.ndim == 2
    if not rows and (images.dtype != np.uint8 or images.ndim != 4):
        allowed = "uint8 of shape (examples, h, w, c) or floats of shape (examples, features)"
        raise ValueError(f"{split}: images must be {allowed}, got {images.dtype} of {images.shape}.")
    if 0 in images.shape:
        raise ValueError(f"{split}: images must be at least one, got the shape {images.shape}.")
    kinds, noun = ("iub", "whole numbers") if classes else ("f", "floats")
    if labels.dtype.kind not in kinds or labels.shape != (len(images),):
        raise ValueError(
            f"{split}: labels must be {len(images)} {noun}, one for each image, got {labels.dtype} of {labels.shape}."
        )
    if classes and (wrong := labels[(labels < 0) | (labels >= classes)]).size:
        raise ValueError(f"{split}: labels must be from 0 to {classes - 1}, got {wrong[0]}.")
    for what, array in (("images", images), ("labels", labels)):
        if array.dtype.kind == "f" and not np.isfinite(array.astype(np.float32)).all():
            raise ValueError(f"{split}: {what} must be finite float32 numbers, got some that are not.")
    return (images.astype(np.float32) if rows else images), labels.astype(np.int32 if classes else np.float32)


def _call(path: str, *, data_dir: PathLike | None, fraction: float) -> Dataset:
    """The data set that a function of the user's returns."""
    function = names.load("data", path)
    if not callable(function):
        raise ValueError(f"data must be a function that returns a Dataset, got {path}, a {type(function).__name__}.")
    given = {"data_dir": data_dir, "holdout_fraction": fraction}
    try:
        takes = inspect.signature(function).parameters
        found = function(**{name: value for name, value in given.items() if name in takes})
    except (Exception, SystemExit) as error:  # of the user's code
        reason = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"
        raise ValueError(
            f"data must be a function that returns a Dataset, got {path}, which raised {reason}."
        ) from error
    if not isinstance(found, Dataset):
        kind = type(found).__name__
        raise ValueError(
            f"data must be a function that returns a Dataset (data.dataset makes one), got a {kind}: {path}."
        )
    unusual = _unusual(found)
    if fraction == 0:
        found = dataclasses.replace(found, holdout=None)
    made = _hold_out(dataclasses.replace(found, name=path), fraction)
    digest = hashlib.sha256(f"{made.digest} {unusual}".encode()).hexdigest()[:16]
    return dataclasses.replace(made, digest=digest) if unusual else made


def _unusual(found: Dataset) -> dict[str, Any]:
    """What decides a run's numbers beside the arrays of a user's data set, where it is not as one would expect."""
    source = SOURCES.get(found.name)
    parts = [part for part in (found.train, found.holdout, found.test) if part is not None and len(part)]
    counted = found.classes and not found.text  # of bytes there are as many whichever occur
    classes = 1 + max(int(part.labels.max()) for part in parts) if counted else found.classes
    usual = {"pad": source.pad if source else 0, "flip": bool(source and source.flip), "classes": classes}
    given = {"pad": int(found.pad), "flip": bool(found.flip), "classes": int(found.classes)}
    return {name: value for name, value in given.items() if value != usual[name]}
