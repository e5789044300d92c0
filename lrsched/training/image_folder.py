"""Data sets that are folders of images, one folder for each class.

    FOLDER/train/CLASS/IMAGE and FOLDER/test/CLASS/IMAGE, and if it is there FOLDER/val/CLASS/IMAGE (or valid, or
    validation), the held-out part of runs that hold something out; or
    FOLDER/CLASS/IMAGE, of which a fixed fifth of each class is the test set.

Classes are numbered in the order of their names, and examples stand in the order of classes and file names. Hidden
files and those that file managers leave are passed over; whatever else is no image is refused by its name. How an image
becomes pixels is told in `pixels`.
"""

import concurrent.futures
import hashlib
import json
import pathlib
from collections.abc import Sequence

import numpy as np

from lrsched.training import cache, image_files, pixels
from lrsched.training.splits import TEST_FRACTION, Raw

HOLDOUT_NAMES = ("val", "valid", "validation")
Classes = dict[str, list[pathlib.Path]]  # name -> files, both in order


def read(folder: pathlib.Path, *, image_size: int | None = None) -> Raw:
    """Finds and decodes all images of a folder; what was decoded before comes from the user's cache.

    Args:
      image_size: height and width in pixels that every image is brought to (`pixels.RESIZE`); None: all have one size.
    Returns:
      uint8 images of one channel if red = green = blue in every pixel of the set, else of three.
    Raises:
      ValueError: for the first thing that cannot be read, by name.
    """
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size must be at least 1 pixel, got {image_size}.")
    found = find(folder)
    class_names = tuple(next(iter(found.values())))
    arrays = {split: _arrays(folder, split, list(classes.values()), image_size) for split, classes in found.items()}
    _check_sizes({split: images.shape[1:3] for split, (images, _) in arrays.items()}, found)
    if all(_is_grey(images) for images, _ in arrays.values()):
        arrays = {split: (np.ascontiguousarray(images[..., :1]), labels) for split, (images, labels) in arrays.items()}
    rule = f"{pixels.RESIZE}-{image_size}" if image_size else "as-is"
    return Raw(rule, len(class_names), arrays["train"], arrays.get("test"), arrays.get("holdout"), class_names)


def find(folder: pathlib.Path) -> dict[str, Classes]:
    """The files of each class of each split: train, and test and holdout if the folder has them apart.

    Raises:
      ValueError: naming the first thing that has no place there.
    """
    if not folder.is_dir():
        raise ValueError(f"data must be a folder of images, got {folder}, which is {_kind(folder)}.")
    places = image_files.visible(folder)
    names = {place.name for place in places}
    if not names - {"train", "test", *HOLDOUT_NAMES} and names:
        held = [place for place in places if place.name in HOLDOUT_NAMES]
        if not {"train", "test"} <= names or len(held) > 1:
            raise ValueError(
                f"{folder} must have train, test and at most one of {', '.join(HOLDOUT_NAMES)}, "
                f"got {', '.join(sorted(names))}."
            )
        roots = {"train": folder / "train", "test": folder / "test", **({"holdout": held[0]} if held else {})}
    elif {"train", "test"} <= names:
        other = sorted(names - {"train", "test", *HOLDOUT_NAMES})
        raise ValueError(f"{folder} must have nothing beside its splits, got {', '.join(other)}.")
    else:
        roots = {"train": folder}
    found = {split: _classes(root) for split, root in roots.items()}
    for split, classes in found.items():
        if lacking := sorted(set().union(*found.values()) - set(classes)):
            raise ValueError(
                f"{roots[split]} must have the classes of the other splits, it lacks {', '.join(lacking)}."
            )
    if len(roots) == 1:
        least = next(n for n in range(2, 100) if round(TEST_FRACTION * n) > 0)
        if few := [name for name, paths in found["train"].items() if len(paths) < least]:
            raise ValueError(
                f"{folder / few[0]} must have at least {least} images, of which one is for the test set, "
                f"got {len(found['train'][few[0]])}."
            )
    return found


def _classes(root: pathlib.Path) -> Classes:
    """The files of each class of one split."""
    if not root.is_dir():
        raise ValueError(f"{root} must be a folder of classes, got {_kind(root)}.")
    classes: Classes = {}
    for place in image_files.visible(root):
        if not place.is_dir():
            raise ValueError(f"{place} must be a folder of one class, got {_kind(place)}.")
        classes[place.name] = image_files.visible(place)
        for path in classes[place.name]:
            if not path.is_file():  # a pipe would be waited for
                raise ValueError(f"{path} must be an image, got {_kind(path)}.")
            if path.suffix.lower() not in pixels.SUFFIXES:
                raise ValueError(f"{path} must be an image that ends in {' '.join(pixels.SUFFIXES)}.")
        if not classes[place.name]:
            raise ValueError(f"{place} must have at least one image, got none.")
    if len(classes) < 2:
        raise ValueError(f"{root} must have a folder for each of at least 2 classes, got {len(classes)}.")
    return classes


def _kind(path: pathlib.Path) -> str:
    if path.is_dir():
        return "a folder"
    if path.is_symlink() and not path.exists():
        return "a link that leads nowhere"
    return "a file" if path.is_file() else "not there" if not path.exists() else "no file"


def _arrays(
    folder: pathlib.Path, split: str, classes: Sequence[Sequence[pathlib.Path]], image_size: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; the images from the cache if these very bytes were decoded before."""
    import PIL

    paths = [path for members in classes for path in members]
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(members) for members in classes])
    with concurrent.futures.ThreadPoolExecutor() as pool:  # hashing lets other threads run
        sums = list(pool.map(_digest, paths))
    key = json.dumps([sums, image_size, pixels.RULES, PIL.__version__])
    place = cache.folder("data") / f"folder-{hashlib.sha256(key.encode()).hexdigest()[:32]}-images.npy"
    images = cache.load(place)
    if images is None:
        decoded = pixels.decode(paths, image_size=image_size)
        for path, image in zip(paths, decoded, strict=True):
            if image.shape != decoded[0].shape:
                raise _sizes_differ(paths[0], decoded[0].shape[:2], path, image.shape[:2])
        images = np.stack(decoded)
        cache.keep(place, images)
    return images, labels


def _check_sizes(sizes: dict[str, tuple[int, ...]], found: dict[str, Classes]) -> None:
    """Whether the splits have images of one size."""
    for split, size in sizes.items():
        if size != sizes["train"]:
            first, other = (next(iter(found[each].values()))[0] for each in ("train", split))
            raise _sizes_differ(first, sizes["train"], other, size)


def _sizes_differ(first: pathlib.Path, size: tuple[int, ...], path: pathlib.Path, other: tuple[int, ...]) -> ValueError:
    one, two = (f"{width} x {height}" for height, width in (size, other))
    return ValueError(
        f"images must have one size, or be brought to one by --image-size N, got {first} ({one}) and {path} ({two})."
    )


def _is_grey(images: np.ndarray) -> bool:
    first = images[..., 0]
    return all(np.array_equal(first, images[..., channel]) for channel in (1, 2))


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
