"""Folders of images as data sets: what is found, in what order, and what is refused by name."""

import os
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from lrsched.training import data, image_folder, pixels
from lrsched.training.splits import TEST_FRACTION

RED, BLUE = (200, 30, 60), (10, 20, 250)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


def write(folder: pathlib.Path, count: int = 5, *, size: tuple[int, int] = (6, 6), grey: bool = False) -> pathlib.Path:
    """Two classes of red and of blue images; the blue value tells the images of a class apart."""
    for name, colour in (("cat", RED), ("ant", BLUE)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            shade = (50 + i,) * 3 if grey else (*colour[:2], i)
            Image.new("RGB", size, shade).save(folder / name / f"{i}.png")
    return folder


def refused(folder: pathlib.Path, **words: int) -> str:
    with pytest.raises(ValueError, match=".") as caught:
        data.load(str(folder), **words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_classes_alone_are_split_the_same_way_each_time(tmp_path: pathlib.Path) -> None:
    dataset = data.load(str(write(tmp_path / "set", 10)))
    assert (dataset.classes, dataset.class_names) == (2, ("ant", "cat"))
    assert (len(dataset.train), len(dataset.test)) == (16, 4)  # TEST_FRACTION of each class
    assert np.bincount(dataset.test.labels).tolist() == [round(TEST_FRACTION * 10)] * 2
    assert dataset.train.images.shape[1:] == (6, 6, 3)
    assert {image[0, 0, 0] for image in dataset.train.images[dataset.train.labels == 0]} == {10}  # the ants
    assert 0 < dataset.train.labels[:8].sum() < 8  # mixed
    assert (dataset.pad, dataset.flip, dataset.version, dataset.holdout) == (0, False, "as-is", None)
    assert data.load(str(tmp_path / "set")).digest == dataset.digest


def test_splits_of_the_folder_are_kept(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "set" / "train", 3)
    write(tmp_path / "set" / "test", 2)
    write(tmp_path / "set" / "val", 1)
    plain, holding = (data.load(str(tmp_path / "set"), holdout_fraction=fraction) for fraction in (0.0, 0.3))
    assert (len(plain.train), plain.holdout, len(plain.test)) == (6, None, 4)
    assert holding.holdout is not None
    assert (len(holding.train), len(holding.holdout), len(holding.test)) == (6, 2, 4)


def test_holdout_is_a_part_of_the_training_images_without_a_folder(tmp_path: pathlib.Path) -> None:
    dataset = data.load(str(write(tmp_path / "set", 10)), holdout_fraction=0.25)
    assert dataset.holdout is not None
    assert np.bincount(dataset.holdout.labels).tolist() == [2, 2]


def test_relative_name_is_a_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "set.v2")
    monkeypatch.chdir(tmp_path)
    assert data.load("set.v2").digest == data.load("./set.v2").digest


def test_built_in_name_is_not_a_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert data.load("digits").classes == 10


def test_grey_sets_have_one_channel(tmp_path: pathlib.Path) -> None:
    assert data.load(str(write(tmp_path / "grey", grey=True))).train.images.shape[1:] == (6, 6, 1)
    one = write(tmp_path / "colour", grey=True) / "cat" / "0.png"
    Image.new("RGB", (6, 6), RED).save(one)
    assert data.load(str(tmp_path / "colour")).train.images.shape[1:] == (6, 6, 3)


def test_images_of_several_sizes_are_brought_to_one(tmp_path: pathlib.Path) -> None:
    folder = write(tmp_path / "set")
    Image.new("RGB", (9, 7), RED).save(folder / "cat" / "4.png")
    dataset = data.load(str(folder), image_size=5)
    assert dataset.train.images.shape[1:] == (5, 5, 3)
    assert dataset.version == f"{pixels.RESIZE}-5"
    message = refused(folder)
    assert f"got {folder}/ant/0.png (6 x 6) and {folder}/cat/4.png (9 x 7)." in message
    assert "--image-size N" in message


def test_splits_of_several_sizes_name_two_files(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "set" / "train")
    write(tmp_path / "set" / "test", size=(6, 8))
    assert "train/ant/0.png (6 x 6) and " in refused(tmp_path / "set")


def test_second_reading_comes_from_the_cache(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, cache: pathlib.Path
) -> None:
    folder = write(tmp_path / "set")
    first = data.load(str(folder))
    (kept,) = cache.iterdir()
    folder.rename(tmp_path / "moved")  # the bytes count, not the place
    monkeypatch.setattr(pixels, "decode", None)  # calling it would raise
    assert data.load(str(tmp_path / "moved")).digest == first.digest
    monkeypatch.undo()
    monkeypatch.setenv("LRSCHED_CACHE", str(cache.parent))
    os.truncate(kept, 100)
    assert data.load(str(tmp_path / "moved")).digest == first.digest
    Image.new("RGB", (6, 6), BLUE).save(tmp_path / "moved" / "cat" / "0.png")
    assert data.load(str(tmp_path / "moved")).digest != first.digest


def test_what_file_managers_leave_is_passed_over(tmp_path: pathlib.Path) -> None:
    digest = data.load(str(write(tmp_path / "set"))).digest
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (tmp_path / "set" / name).touch()
        (tmp_path / "set" / "cat" / name).touch()
    (tmp_path / "set" / ".git").mkdir()
    (tmp_path / "set" / "__MACOSX").mkdir()
    assert data.load(str(tmp_path / "set")).digest == digest


def text_as_png(folder: pathlib.Path) -> str:
    (folder / "cat" / "9.png").write_text("cat")
    return f"{folder}/cat/9.png must be a readable image"


def another_ending(folder: pathlib.Path) -> str:
    (folder / "cat" / "notes.txt").write_text("cat")
    return f"{folder}/cat/notes.txt must be an image that ends in .png"


def file_beside_the_classes(folder: pathlib.Path) -> str:
    (folder / "README.txt").touch()
    return f"{folder}/README.txt must be a folder of one class, got a file."


def folder_in_a_class(folder: pathlib.Path) -> str:
    (folder / "cat" / "more").mkdir()
    return f"{folder}/cat/more must be an image, got a folder."


def empty_class(folder: pathlib.Path) -> str:
    (folder / "dog").mkdir()
    (folder / "dog" / ".keep").touch()
    return f"{folder}/dog must have at least one image, got none."


def loop_of_links(folder: pathlib.Path) -> str:
    (folder / "cat" / "9.png").symlink_to("9.png")
    return f"{folder}/cat/9.png must be an image, got a link that leads nowhere."


def link_to_the_folder_itself(folder: pathlib.Path) -> str:
    (folder / "cat" / "all").symlink_to(folder)
    return f"{folder}/cat/all must be an image, got a folder."


def pipe(folder: pathlib.Path) -> str:
    os.mkfifo(folder / "cat" / "9.png")
    return f"{folder}/cat/9.png must be an image, got no file."


def too_few(folder: pathlib.Path) -> str:
    for i in (2, 3, 4):
        (folder / "cat" / f"{i}.png").unlink()
    return f"{folder}/cat must have at least 3 images, of which one is for the test set, got 2."


def one_class(folder: pathlib.Path) -> str:
    (folder / "cat").rename(folder / ".cat")
    return f"{folder} must have a folder for each of at least 2 classes, got 1."


def splits_and_more(folder: pathlib.Path) -> str:
    for name in ("train", "test"):
        write(folder / name)
    return f"{folder} must have nothing beside its splits, got ant, cat."


STRAYS = [
    *(text_as_png, another_ending, file_beside_the_classes, folder_in_a_class, empty_class, loop_of_links),
    *(link_to_the_folder_itself, pipe, too_few, one_class, splits_and_more),
]


@pytest.mark.parametrize("stray", STRAYS)
def test_stray_is_refused_by_name(stray: Callable[[pathlib.Path], str], tmp_path: pathlib.Path) -> None:
    folder = write(tmp_path / "set")
    message = stray(folder)
    assert refused(folder).startswith(message)


def test_class_of_one_split_alone_is_refused_by_name(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "set" / "train")
    write(tmp_path / "set" / "test")
    (tmp_path / "set" / "train" / "ant").rename(tmp_path / "set" / "train" / "bee")
    lacks = "train must have the classes of the other splits, it lacks ant."
    assert refused(tmp_path / "set") == f"{tmp_path}/set/{lacks}"


@pytest.mark.parametrize("names", [("train",), ("train", "val"), ("test",), ("train", "test", "val", "valid")])
def test_splits_that_do_not_make_a_set_are_refused(names: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    for name in names:
        write(tmp_path / "set" / name)
    message = f"{tmp_path}/set must have train, test and at most one of val, valid, validation, got "
    assert refused(tmp_path / "set") == f"{message}{', '.join(sorted(names))}."


def test_folder_that_is_not_there(tmp_path: pathlib.Path) -> None:
    assert refused(tmp_path / "no") == f"data must be a folder of images, got {tmp_path}/no, which is not there."


def test_empty_folder(tmp_path: pathlib.Path) -> None:
    (tmp_path / "set").mkdir()
    assert refused(tmp_path / "set") == f"{tmp_path}/set must have a folder for each of at least 2 classes, got 0."


def test_image_size_of_what_is_no_folder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^image_size must be None unless data is a folder .*, got 8 for digits\.$"):
        data.load("digits", image_size=8)


def test_image_size_below_one_is_refused(tmp_path: pathlib.Path) -> None:
    assert refused(write(tmp_path / "set"), image_size=0) == "image_size must be at least 1 pixel, got 0."


def test_find_keeps_the_order_of_names(tmp_path: pathlib.Path) -> None:
    found = image_folder.find(write(tmp_path / "set", 3))
    assert [[path.name for path in paths] for paths in found["train"].values()] == [["0.png", "1.png", "2.png"]] * 2
    assert list(found["train"]) == ["ant", "cat"]
