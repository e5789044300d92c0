"""Arrays of images and labels from the files in which other libraries keep data sets.

CIFAR as Python's pickles (in the archive, or extracted as torchvision and Keras do it), MNIST and Fashion-MNIST as the
files that torchvision extracts, and NumPy's .npz with Keras's names. The order of the files is kept.
"""

import functools
import gzip
import math
import pathlib
import struct
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np

from lrsched.training import pickles
from lrsched.training.names import SOURCES, Pickles
from lrsched.training.prepared import SPLITS

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # split -> (images, labels)
Reader = Callable[[], Arrays]

MAX_BYTES = 1 << 30  # of one file when it is unpacked; CIFAR-100's largest has 155 MB

_IDX = {"train": "train", "test": "t10k"}
_NPZ = {split: (f"x_{split}", f"y_{split}") for split in SPLITS}


def describe(name: str) -> str:
    """What `find` looks for, in words."""
    pickled, raw = SOURCES[name].pickles, SOURCES[name].torchvision
    found = [f"{pickled.archive} or the folder {pickled.folder}"] if pickled else []
    found += [f"torchvision's folder with {raw}/raw"] if raw else []
    return ", ".join([*found, ".npz with x_train y_train x_test y_test"])


def find(name: str, source: pathlib.Path) -> Reader | None:
    """What reads the arrays of `name` from `source`; None if it is nothing of this module's."""
    if source.suffix == ".npz":
        return functools.partial(_from_npz, source)
    if pickled := SOURCES[name].pickles:
        for place in (source, source / pickled.folder, source / pickled.archive):
            if place.is_dir() and (place.name == pickled.folder or (place / pickled.meta).exists()):
                return functools.partial(_from_folder, name, place)
            if place.is_file() and place.name.startswith((pickled.archive.partition(".")[0], pickled.folder)):
                return functools.partial(_from_tar, name, place)
    if torchvision := SOURCES[name].torchvision:
        for place in (source, source / "raw", source / torchvision / "raw"):
            if all(_idx_file(place, stem).is_file() for part in _IDX.values() for stem in _idx_stems(part)):
                return functools.partial(_from_idx, place)
    return None


def check(arrays: Arrays, *, shape: tuple[int, int, int], classes: int) -> Arrays:
    """The images as [examples h w c] and the labels as [examples].

    Args:
      arrays: of one channel, the images may lack that axis; labels may have a second axis of length 1.
    Raises:
      ValueError: if they are not uint8 images of this shape with a label in [0, classes) for each.
    """
    found = {}
    for split, (images, given) in arrays.items():
        if images.dtype != np.uint8 or images.shape[1:] not in (shape, shape[:2] if shape[2] == 1 else shape):
            wanted = ", ".join(map(str, shape))
            raise ValueError(
                f"{split}: images must be uint8 of shape (examples, {wanted}), got {images.dtype} of {images.shape}."
            )
        numbers = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
        if given.dtype.kind not in "iu" or numbers.shape != (len(images),):
            raise ValueError(
                f"{split}: labels must be {len(images)} whole numbers, one for each image, "
                f"got {given.dtype} of {given.shape}."
            )
        if wrong := numbers[(numbers < 0) | (numbers >= classes)].tolist():
            raise ValueError(f"{split}: labels must be from 0 to {classes - 1}, got {wrong[0]}.")
        found[split] = (images.reshape(-1, *shape), numbers.astype(np.int64))
    return found


def _from_npz(path: pathlib.Path) -> Arrays:
    _check_regular(path)
    with path.open("rb") as file:  # np.load would leave it open where it is no .npz
        found = np.load(file, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise ValueError(f"{path} must be .npz, got another format.")
        if missing := [key for keys in _NPZ.values() for key in keys if key not in found]:
            raise ValueError(f"{path} must have x_train, y_train, x_test and y_test, it lacks {' '.join(missing)}.")
        if found.zip is None or sum(member.file_size for member in found.zip.infolist()) > MAX_BYTES:
            raise ValueError(f"{path} must have at most {MAX_BYTES} bytes when unpacked, got more.")
        return {split: (found[images], found[given]) for split, (images, given) in _NPZ.items()}


def _idx_stems(part: str) -> tuple[str, str]:
    return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"


def _idx_file(folder: pathlib.Path, stem: str) -> pathlib.Path:
    return folder / stem if (folder / stem).is_file() else folder / f"{stem}.gz"


def _from_idx(folder: pathlib.Path) -> Arrays:
    found = {}
    for split, part in _IDX.items():
        images, given = (_read_idx(_idx_file(folder, stem)) for stem in _idx_stems(part))
        found[split] = (images, given)
    return found


def _read_idx(path: pathlib.Path) -> np.ndarray:
    """Two zeros, the type (8: uint8), the number of axes, their lengths as big-endian int32, and the numbers."""
    _check_regular(path)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = _read(file, path)
    axes = content[3] if content[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * axes
    lengths = struct.unpack(f">{axes}I", content[4:start]) if axes and len(content) >= start else ()
    if not lengths or len(content) - start != math.prod(lengths):
        raise ValueError(f"{path} must be an idx file of bytes, got {len(content)} bytes that are none.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(lengths)


def _from_folder(name: str, path: pathlib.Path) -> Arrays:
    return _from_pickles(name, lambda file: (path / file).open("rb"), path)


def _from_tar(name: str, path: pathlib.Path) -> Arrays:
    """From the archive, of which nothing is written to disk."""
    with tarfile.open(path) as archive:
        members = {pathlib.PurePosixPath(each.name).parts[-2:]: each for each in archive if each.isfile()}
        while archive.fileobj is not None and archive.fileobj.read(1 << 20):
            pass  # to the end of the gzip file, where its checksum is

        def open_member(file: str) -> Any:
            member = members.get((_pickles(name).folder, file))
            found = archive.extractfile(member) if member else None
            if found is None:
                raise FileNotFoundError(f"it lacks {_pickles(name).folder}/{file}")
            return found

        return _from_pickles(name, open_member, path)


def _from_pickles(name: str, open_file: Callable[[str], Any], place: pathlib.Path) -> Arrays:
    files, key = _pickles(name), _pickles(name).labels
    published = SOURCES[name].labels or ()
    try:
        names = tuple(map(pickles.text, _load(open_file, files.meta, place)[files.label_names]))
    except (FileNotFoundError, KeyError):
        names = published  # the file only says what the numbers mean
    if names != published:
        raise ValueError(
            f"{place / files.meta} must have the published names in their order, got {' '.join(names):.200}."
        )
    found = {}
    for split, parts in zip(SPLITS, (files.train, files.test), strict=True):
        batches = [(part, _load(open_file, part, place)) for part in parts]
        for part, batch in batches:
            pixels = batch.get("data")
            if not isinstance(pixels, np.ndarray) or pixels.shape[1:] != (3072,) or key not in batch:
                raise ValueError(f"{place}/{part} must have data of [examples, 3072] and {key}.")
        pixels = np.concatenate([batch["data"] for _, batch in batches])
        given = np.concatenate([np.asarray(batch[key]) for _, batch in batches])
        found[split] = (pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), given)  # red, green, blue planes
    return found


def _pickles(name: str) -> Pickles:
    pickled = SOURCES[name].pickles
    assert pickled is not None
    return pickled


def _load(open_file: Callable[[str], Any], file: str, place: pathlib.Path) -> dict[str, Any]:
    if place.is_dir():
        _check_regular(place / file)
    with open_file(file) as opened:
        content = _read(opened, place / file)
    try:
        return pickles.load(content)
    except ValueError as error:
        raise ValueError(f"{place / file}: {error}") from error


def _check_regular(path: pathlib.Path) -> None:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path} must be a file.")


def _read(file: Any, path: pathlib.Path) -> bytes:
    content: bytes = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path} must have at most {MAX_BYTES} bytes when unpacked, got more.")
    return content
