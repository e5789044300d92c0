"""Prepared folders: their files, the check that these are unchanged, and the arrays they hold.

`lrsched data prepare` writes lrsched.json beside the data, with the SHA-256 of each file, so a changed byte anywhere is
noticed. Folders prepared by TFDS itself lack this file and are read too; there only the shards, which have checksums
of their own, and their lengths are checked.
"""

import contextlib
import hashlib
import io
import json
import pathlib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int32, UInt8

from lrsched import files
from lrsched.training import cache
from lrsched.training.names import SOURCES
from lrsched.training.splits import Raw

SEAL = "lrsched.json"
INFO = "dataset_info.json"
SPLITS = ("train", "test")
IMAGE_FORMATS = ("PNG", "JPEG")  # Pillow has others, and one of them starts Ghostscript
BLOCK = 1024  # examples read at once

T = TypeVar("T")
Images = UInt8[np.ndarray, "examples h w c"]
Labels = Int32[np.ndarray, " examples"]


def upstream_builder(name: str) -> Any:
    """TFDS's builder of `name`, for what its code knows: version, features, URLs. Touches no file."""
    import tensorflow_datasets as tfds

    return tfds.builder(name, data_dir=pathlib.Path(__file__) / "nowhere", file_format="array_record")


def shards(name: str, folder: pathlib.Path, split: str) -> list[pathlib.Path]:
    """The array_record files of one split in the prepared `folder`; none if it was prepared in another format."""
    return sorted(folder.glob(f"{name}-{split}.array_record-*"))


def how_to_prepare(name: str, root: pathlib.Path) -> str:
    """How to prepare a data set, to end a message with."""
    command = f"lrsched data prepare {name} [--from {SOURCES[name].given}] --data-dir {root}"
    return f"prepare it with `{command}`, or name another folder with --data-dir"


def read(name: str, root: pathlib.Path) -> Raw:
    """Reads a prepared image set.

    Raises:
      ValueError: if it is not prepared, or damaged: one line that names the file and says how to prepare it again.
    """
    if not root.is_dir():
        raise ValueError(f"{name} is not prepared: the folder {root} does not exist; {how_to_prepare(name, root)}")
    builder = upstream_builder(name)
    version, features = str(builder.version), builder.info.features
    folder = root / name / version
    if not (folder / INFO).exists() and not shards(name, folder, "train"):
        raise ValueError(f"{name} {version} is not prepared in {root}; {how_to_prepare(name, root)}")
    sums = checksums(name, root, folder)
    train, test = (_read_split(name, root, folder, split, features, sums) for split in SPLITS)
    class_names = SOURCES[name].labels or tuple(features["label"].names or ())
    return Raw(version, features["label"].num_classes, train, test, class_names=class_names)


def numbers(name: str, train: int, test: int) -> str:
    """The sizes of both splits as text, with the published ones where they differ."""
    whole = SOURCES[name].examples or (train, test)
    if whole == (train, test):
        return f"{train:,} train examples, {test:,} test examples"
    return f"{train:,} train examples, upstream has {whole[0]:,}; {test:,} test examples, upstream has {whole[1]:,}"


def missing_classes(labels: Mapping[str, Collection[int]], names: list[str]) -> str:
    """Text that names the classes without an example in a split; empty if there are none.

    Args:
      labels: of each split.
      names: of the classes.
    """
    found = []
    for split, given in labels.items():
        if missing := sorted(set(range(len(names))) - set(given)):
            found.append(f"{split} has none of {' '.join(names[label] for label in missing)}")
    return "; ".join(found)


def seal(folder: pathlib.Path) -> None:
    """Writes lrsched.json, with the SHA-256 of each file of the folder."""
    files.write_json(folder / SEAL, {"files": {path.name: _sum(path) for path in sorted(folder.iterdir())}}, indent=1)


def checksums(name: str, root: pathlib.Path, folder: pathlib.Path, needed: tuple[str, ...] = ()) -> dict[str, str]:
    """The SHA-256 of each file that is read, compared with the folder's seal where it has one.

    Args:
      needed: the names of the files that are read; of an image set, its two splits and what describes them.
    Raises:
      ValueError: naming the first file that is missing, is no file, cannot be read or was altered.
    """
    if not needed:
        held = {split: shards(name, folder, split) for split in SPLITS}
        if not any(held.values()):
            detail = "is no array_record, which is what can be read without TensorFlow"
            raise ValueError(f"{name} in {folder} {detail}; {how_to_prepare(name, root)}")
        needed = (INFO, *(file.name for split in SPLITS for file in held[split]))
    sealed: dict[str, str] = {}
    if (folder / SEAL).exists():
        with damage_of(folder / SEAL, name, root):
            sealed = _read_seal(folder / SEAL)
    others = {file for file in sealed if ".array_record-" in file and not file.startswith(_prefixes(name))}
    found = {}
    for file in sorted({*needed, *sealed} - (others - set(needed))):
        with damage_of(folder / file, name, root):
            found[file] = _sum(folder / file)
            if sealed and sealed.get(file) != found[file]:
                raise ValueError("an altered file")
    return found


@contextlib.contextmanager
def damage_of(file: pathlib.Path, name: str, root: pathlib.Path) -> Iterator[None]:
    """Turns any error inside the `with` into one line that names the file and says how to prepare it again.

    Damaged files end in many kinds of errors in array_record, TFDS, protobuf, Pillow and json.
    """
    try:
        yield
    except Exception as error:
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        reason = f"{kind}{' '.join(str(error).split()):.300}"
        anew = f"remove the folder {file.parent} and {how_to_prepare(name, root)}"
        raise ValueError(f"{file} must be as it was prepared, got {reason}; {anew}") from error


def _prefixes(name: str) -> tuple[str, ...]:
    return tuple(f"{name}-{split}." for split in SPLITS)


def _read_seal(file: pathlib.Path) -> dict[str, str]:
    """The SHA-256 of each file, by name, from the folder's seal."""
    _check_is_file(file)
    return dict(files.read_json(file)["files"])


def _check_is_file(path: pathlib.Path) -> None:
    if not path.is_file():  # a pipe would be waited for
        raise ValueError("something that is no file" if path.exists() else "no such file")


def _sum(path: pathlib.Path) -> str:
    _check_is_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_split(
    name: str, root: pathlib.Path, folder: pathlib.Path, split: str, features: Any, sums: dict[str, str]
) -> tuple[Images, Labels]:
    """The decoded split, from the user's cache if the same bytes were decoded before."""
    read = {file: digest for file, digest in sums.items() if file == INFO or file.startswith(f"{name}-{split}.")}
    key = hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:32]
    stem = f"{name}-{folder.name}-{split}-{key}"
    paths = [cache.folder("data") / f"{stem}-{what}.npy" for what in ("images", "labels")]
    images, labels = map(cache.load, paths)
    if images is None or labels is None:
        images, labels = _decode(name, root, folder, split, features)
        cache.keep(paths[0], images)
        cache.keep(paths[1], labels)
    return images, labels


def labels(name: str, root: pathlib.Path, folder: pathlib.Path, features: Any) -> dict[str, list[int]]:
    """The labels of both splits, without decoding an image."""
    return {split: [label for _, label in examples(name, root, folder, split, features)] for split in SPLITS}


def _decode(name: str, root: pathlib.Path, folder: pathlib.Path, split: str, features: Any) -> tuple[Images, Labels]:
    shape = features["image"].shape
    found = list(examples(name, root, folder, split, features, decode=lambda content: _decode_image(content, shape)))
    images = np.stack([image for image, _ in found])
    return images, np.array([label for _, label in found], np.int32)


def examples(
    name: str, root: pathlib.Path, folder: pathlib.Path, split: str, features: Any, *, decode: Any = None
) -> Iterator[tuple[Any, int]]:
    """(image, label) of each example of a split, in order; the image is the bytes of its file unless it is decoded.

    Raises:
      ValueError: naming the damaged file.
    """
    import tensorflow_datasets as tfds

    # Pillow decodes here, because TFDS's own way depends on whether OpenCV is installed.
    as_bytes = {"image": tfds.decode.SkipDecoding()}
    classes = features["label"].num_classes

    def take(record: bytes) -> tuple[Any, int]:
        example = features.deserialize_example_np(record, decoders=as_bytes)
        label = int(example["label"])
        if not 0 <= label < classes:
            raise ValueError(f"the label {label} among {classes} classes")
        return (decode(example["image"]) if decode else example["image"]), label

    return _each(name, root, folder, split, take)


def texts(name: str, root: pathlib.Path, folder: pathlib.Path, split: str, features: Any) -> Iterator[bytes]:
    """The bytes of each example of a split of texts, in order.

    Raises:
      ValueError: naming the damaged file.
    """
    return _each(name, root, folder, split, lambda record: bytes(features.deserialize_example_np(record)["text"]))


def _each(name: str, root: pathlib.Path, folder: pathlib.Path, split: str, take: Callable[[bytes], T]) -> Iterator[T]:
    """What is taken from each record of a split, in order; what cannot be taken is damage of the record's file."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    with damage_of(folder / INFO, name, root):
        lengths = _lengths(folder, split)
    for index, length in enumerate(lengths):
        file = folder / f"{name}-{split}.array_record-{index:05d}-of-{len(lengths):05d}"
        with damage_of(file, name, root):
            _check_is_file(file)
            with ArrayRecordDataSource(str(file)) as records:
                if len(records) != length:
                    raise ValueError(f"{len(records)} examples, where {INFO} has {length}")
                for start in range(0, length, BLOCK):
                    for record in records.__getitems__(range(start, min(start + BLOCK, length))):
                        yield take(record)


def _lengths(folder: pathlib.Path, split: str) -> list[int]:
    """The number of examples in each shard of a split, as TFDS wrote it down."""
    info = json.loads(files.read_text(folder / INFO))
    found = {each["name"]: [int(length) for length in each["shardLengths"]] for each in info["splits"]}
    if info.get("fileFormat") != "array_record" or not found.get(split):
        raise ValueError(f"no array_record files of the split {split}")
    return found[split]


def open_image(file: pathlib.Path | io.BytesIO) -> Any:
    """A PNG or JPEG file whose pixels are not decoded yet: Pillow's other formats are not tried."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of sizes that its callers refuse
        return Image.open(file, formats=IMAGE_FORMATS)


def _decode_image(content: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = shape
    with open_image(io.BytesIO(content)) as image:
        if image.size != (width, height):  # before its pixels are decoded: there may be billions
            raise ValueError(f"an image of {image.size[0]} x {image.size[1]} pixels, not {width} x {height}")
        return np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(shape)
