"""Makes the prepared folder of a data set: by download, or from files that are already on this machine.

Image sets are TFDS's. The one table, boston, comes from OpenML; of its ethical problem see `tabular`.
"""

import contextlib
import functools
import io
import os
import pathlib
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from PIL import Image

from lrsched.training import data, tabular
from lrsched.training.tf_free import tf_free

ImageFiles = dict[str, list[tuple[pathlib.Path, int]]]  # split -> (file, label)
SplitGenerators = Callable[[Any, Any], Any]  # (TFDS's builder, its download manager) -> the examples of each split

SUFFIXES = (".png", ".jpg", ".jpeg")
TIMEOUT_SECONDS = 20
SVHN_EXTRA = "extra_32x32.mat"  # 1.3 GB that training never reads: may be missing where files are given

# Names that upstream takes from the archive itself, in the order of the labels (Krizhevsky 2009).
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CIFAR100_GROUPS = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
CIFAR100_GROUP_OF = {label: group for group, labels in CIFAR100_GROUPS.items() for label in labels.split()}
CIFAR_LABELS = {"cifar10": CIFAR10, "cifar100": sorted(CIFAR100_GROUP_OF)}


def prepare(name: str, *, data_dir: data.PathLike | None = None, source: data.PathLike | None = None) -> pathlib.Path:
    """Writes the data set `name` in TFDS's layout, as array_record, without TensorFlow; boston as CSV. All or nothing.

    Args:
      name: one of data.NAMES but those of data.EMBEDDED.
      data_dir: where TFDS keeps its data sets; by default TFDS_DATA_DIR, else ~/tensorflow_datasets.
      source: None downloads from where TFDS downloads. Otherwise the original archive, the folder that holds the
        original files, or a folder of train/<class>/*.png|jpg and test/<class>/*.png|jpg, whose files are stored as
        they are (<class>: TFDS's label name, with _ for /). The same source gives the same shards, byte for byte. Of
        boston: the original `housing.data`, or a CSV of its 14 columns.
    Returns:
      The folder data_dir/name/version. One that is already there is left as it is, and a line says so.
    Raises:
      ValueError: unknown name, missing or wrong source, failed download. Nothing is left behind then.
    """
    data.check_name(name)
    if name in data.EMBEDDED:
        raise ValueError(f"{name} needs no preparing: it comes with scikit-learn")
    root = data.data_folder(data_dir)
    if name == "boston":
        return _boston(root, source)
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=root)  # for what it knows; writes nothing
    folder = root / name / str(builder.version)
    if folder.exists():
        if not data.shards(name, folder, "train"):
            raise ValueError(f"{folder} exists, but holds no array_record files; name another folder with --data-dir")
        print(f"{name} {builder.version} is already prepared in {root}")
        return folder
    urls = {info.filename: url for url, info in builder.url_infos.items()}
    splits: SplitGenerators | None = None
    if source is not None:
        source = pathlib.Path(source).expanduser()
        if (source / "train").is_dir():
            splits = _from_images(name, source, builder.info.features)
        else:
            splits = _from_archives(name, source, urls)
    try:
        if source is None:
            _reach(next(iter(urls.values())))
        _write(name, root, folder, splits)
    except Exception as error:
        raise _refused(name, root, source, urls.values(), "FOLDER_WITH_THEM", error) from error
    return folder


def _boston(root: pathlib.Path, source: data.PathLike | None) -> pathlib.Path:
    file = tabular.boston_file(root)
    folder = file.parent
    if file.is_file():
        print(f"boston {tabular.VERSION} is already prepared in {root}")
        return folder
    try:
        if source is None:
            _reach(tabular.OPENML_URL)
            table = tabular.boston_from_openml()
        else:
            source = pathlib.Path(source).expanduser()
            table = tabular.boston_table(source.read_text("utf-8-sig"))
    except Exception as error:
        raise _refused("boston", root, source, [tabular.OPENML_URL], "FILE", error) from error
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".boston-", dir=root) as scratch:
        made = pathlib.Path(scratch, tabular.VERSION)
        made.mkdir()
        (made / file.name).write_text(tabular.csv(table), "utf-8")
        folder.parent.mkdir(exist_ok=True)
        os.rename(made, folder)
    print(tabular.BOSTON_NOTE)
    return folder


def _refused(
    name: str, root: pathlib.Path, source: data.PathLike | None, urls: Iterable[str], given: str, error: Exception
) -> ValueError:
    """What is said of a data set that cannot be prepared."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if source is not None:
        return ValueError(f"{name} cannot be prepared from {source}: {reason}")
    return ValueError(
        f"{name} cannot be prepared by download from {' '.join(urls)} ({reason}); "
        f"with these files at hand: `lrsched data prepare {name} --from {given} --data-dir {root}`"
    )


def _write(name: str, root: pathlib.Path, folder: pathlib.Path, splits: SplitGenerators | None) -> None:
    """Prepares in a hidden scratch folder, which only a killed process leaves, and moves the result into place."""
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root, ignore_cleanup_errors=True) as scratch:
        builder = tfds.builder(name, data_dir=scratch, file_format="array_record")
        if splits is not None:
            builder._split_generators = functools.partial(splits, builder)
        with tf_free(name), contextlib.redirect_stdout(io.StringIO()):  # what TFDS prints names the scratch folder
            builder.download_and_prepare()
        folder.parent.mkdir(exist_ok=True)
        os.rename(builder.data_path, folder)


def _reach(url: str) -> None:
    """Raises if the server cannot be reached. TFDS itself would try 11 times: over 3 minutes without a network."""
    import requests

    requests.get(url, stream=True, timeout=TIMEOUT_SECONDS).close()


def _from_archives(name: str, source: pathlib.Path, urls: dict[str, str]) -> SplitGenerators:
    """Upstream's own reading, with the local files in place of the download."""
    wanted = sorted(urls.keys() - {SVHN_EXTRA})
    allowed = (
        f"--from: {' '.join(wanted)} (as downloaded), or a folder with train/CLASS/*.png|jpg and test/CLASS/*.png|jpg"
    )
    if not source.exists():
        raise ValueError(f"{allowed}; {source} does not exist")
    if source.is_file() and source.name not in urls:
        raise ValueError(f"{allowed}; got {source}")
    folder = source if source.is_dir() else source.parent
    if missing := [file for file in wanted if not (folder / file).is_file()]:
        raise ValueError(f"{allowed}; {folder} lacks {' '.join(missing)}")

    def local(urls: Any) -> Any:
        if isinstance(urls, dict):
            return {key: local(url) for key, url in urls.items()}
        return folder / urls.rsplit("/", 1)[1]

    def splits(builder: Any, dl_manager: Any) -> Any:
        files = types.SimpleNamespace(download=local, download_and_extract=lambda urls: dl_manager.extract(local(urls)))
        found = type(builder)._split_generators(builder, files)
        if name == "svhn_cropped" and not (folder / SVHN_EXTRA).is_file():
            found = [split for split in found if split.name != "extra"]
        return found

    return splits


def _from_images(name: str, source: pathlib.Path, features: Any) -> SplitGenerators:
    """The image files as they are, in the order of their names, under upstream's features."""
    labels = CIFAR_LABELS.get(name) or features["label"].names
    height, width, channels = features["image"].shape
    files = _image_files(source, labels, mode="L" if channels == 1 else "RGB", size=(width, height))

    def examples(split: str) -> Iterator[tuple[int, dict[str, object]]]:
        for index, (path, label) in enumerate(files[split]):
            example = {
                "image": path.read_bytes(),
                "label": label,
                "id": path.relative_to(source).as_posix(),
                "coarse_label": CIFAR100_GROUP_OF.get(labels[label]),
            }
            yield index, {key: example[key] for key in features}

    def splits(builder: Any, dl_manager: Any) -> Any:
        if name in CIFAR_LABELS:  # upstream, too, learns these names only now
            builder.info.features["label"].names = labels
        if "coarse_label" in features:
            builder.info.features["coarse_label"].names = list(CIFAR100_GROUPS)
        return {split: examples(split) for split in files}

    return splits


def _image_files(source: pathlib.Path, labels: list[str], *, mode: str, size: tuple[int, int]) -> ImageFiles:
    """All files of both splits, each looked at, so that nothing is written if one of them is wrong."""
    classes = {label.replace("/", "_"): index for index, label in enumerate(labels)}
    shown = " ".join(list(classes)[:10]) + (" ..." if len(classes) > 10 else "")
    files: ImageFiles = {"train": [], "test": []}
    for split, found in files.items():
        for folder in _visible(source / split):
            if folder.name not in classes or not folder.is_dir():
                raise ValueError(f"{source / split}: one folder per class, named {shown}; got {folder.name}")
            for path in _visible(folder):
                _check_image(path, mode, size)
                found.append((path, classes[folder.name]))
        if not found:
            raise ValueError(f"{source / split}: at least one image in a folder named {shown}; got none")
    return files


def _visible(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _check_image(path: pathlib.Path, mode: str, size: tuple[int, int]) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: a file that ends in {' '.join(SUFFIXES)}")
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError) as error:  # Pillow's words for a file that it cannot decode
        raise ValueError(f"{path}: a readable image; got {' '.join(str(error).split())}") from error
    if (image.mode, image.size) != (mode, size):
        raise ValueError(
            f"{path}: {mode}, {size[0]} x {size[1]} pixels; got {image.mode}, {image.size[0]} x {image.size[1]}"
        )
