"""Folders of images from which a built-in data set is prepared: all files are checked before any is stored.

A data set of the user's own is read by `image_folder`.
"""

import pathlib

from lrsched.training import prepared

ImageFiles = dict[str, list[tuple[pathlib.Path, int]]]  # split -> (file, label)

LITTER = ("Thumbs.db", "desktop.ini", "__MACOSX", "Icon\r")
SUFFIXES = (".png", ".jpg", ".jpeg")


def find(source: pathlib.Path, labels: list[str], *, mode: str, size: tuple[int, int]) -> ImageFiles:
    """The files of both splits, each checked, so that nothing is written if one is wrong."""
    classes = {label.replace("/", "_"): index for index, label in enumerate(labels)}
    shown = " ".join(list(classes)[:10]) + (" ..." if len(classes) > 10 else "")
    files: ImageFiles = {"train": [], "test": []}
    for split, found in files.items():
        for folder in visible(source / split) if (source / split).is_dir() else ():
            if folder.name not in classes or not folder.is_dir():
                raise ValueError(f"{source / split} must have one folder per class, named {shown}, got {folder.name}.")
            for path in visible(folder):
                _check_image(path, mode, size)
                found.append((path, classes[folder.name]))
        if not found:
            raise ValueError(f"{source / split} must have at least one image in a folder named {shown}, got none.")
    if lacking := prepared.missing_classes(
        {split: [n for _, n in found] for split, found in files.items()}, list(classes)
    ):
        raise ValueError(f"{source} must have at least one image of each class in train and in test; {lacking}.")
    return files


def visible(folder: pathlib.Path) -> list[pathlib.Path]:
    """What lies in a folder, in the order of the names, without hidden files and those that file managers leave."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in LITTER)


def _check_image(path: pathlib.Path, mode: str, size: tuple[int, int]) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} must end in {' '.join(SUFFIXES)}.")
    if not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path} must be a readable image, got something that is no file.")
    try:
        with prepared.open_image(path) as image:
            found = (image.mode, image.size)
            if found == (mode, size):  # else its pixels are not decoded: there may be billions
                image.load()
    except Exception as error:  # of a file that it cannot decode, Pillow raises many kinds
        raise ValueError(f"{path} must be a readable image, got {' '.join(str(error).split()).rstrip('.')}.") from error
    if found != (mode, size):
        raise ValueError(
            f"{path} must be {mode}, {size[0]} x {size[1]} pixels, got {found[0]}, {found[1][0]} x {found[1][1]}."
        )
