"""Prepares a data set in its folder: by download, or from files that are already on this machine.

Image sets and texts are TFDS's. The one table, boston, comes from OpenML; of its ethical problem see `tabular`.
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

import numpy as np

from lrsched import files
from lrsched.training import data, image_files, names, prepared, sources, tabular, texts
from lrsched.training.names import SOURCES
from lrsched.training.tf_free import tf_free

Examples = Iterable[tuple[bytes | np.ndarray, int, str]]  # image, label, id
SplitGenerators = Callable[[Any, Any], Any]  # (TFDS's builder, its download manager) -> the examples of each split

TIMEOUT_SECONDS = 20


def prepare(name: str, *, data_dir: data.PathLike | None = None, source: data.PathLike | None = None) -> pathlib.Path:
    """Writes the data set `name` in TFDS's layout, as array_record, without TensorFlow; boston as CSV. All or nothing.

    Prints the numbers of examples, beside upstream's where they differ. Beside the data lies lrsched.json with the
    SHA-256 of each file, which reading checks.

    Args:
      name: one of SOURCES that is not embedded.
      data_dir: where TFDS keeps its data sets; by default TFDS_DATA_DIR, else ~/tensorflow_datasets.
      source: None downloads from where TFDS downloads. Otherwise the original archive, the folder that holds the
        original files, or a folder of train/<class>/*.png|jpg and test/<class>/*.png|jpg, whose files are stored as
        they are (<class>: TFDS's label name, with _ for /). Of CIFAR also the archive of Python's pickles or the folder
        extracted from it; of MNIST and Fashion-MNIST torchvision's folder; of all image sets .npz with Keras's names
        x_train, y_train, x_test and y_test. Of a text: the original file. Of boston: the original
        `housing.data`, or a CSV of its 14 columns.
        The same source gives the same files, byte for byte, with the same versions of TFDS, array_record and Pillow.
        Archive, pickles, torchvision's folder and .npz give the examples and the order of a download, and so the same
        digest; a folder of images has the order of its file names.
    Returns:
      The folder data_dir/name/version. One that is already there is left as it is, and a line says so.
    Raises:
      ValueError: unknown name, missing or wrong source, a class without an example in either split, failed download, or
        a folder that is already there but damaged. Nothing is left behind then.
    """
    if name not in SOURCES:
        raise names.unknown("data to prepare", name, [each for each, it in SOURCES.items() if not it.embedded])
    function = SOURCES[name].prepare
    if function is None:
        raise ValueError(f"{name} needs no preparing: it comes with scikit-learn")
    root = data.data_folder(data_dir)
    given = None if source is None else files.local_folder("--from", source)
    folder: pathlib.Path = names.load("data", function)(name, root, given)
    return folder


def prepare_images(name: str, root: pathlib.Path, given: pathlib.Path | None) -> pathlib.Path:
    """Prepares one of TFDS's image sets."""
    builder = prepared.upstream_builder(name)
    folder = root / name / str(builder.version)
    if folder.exists():
        if not prepared.shards(name, folder, "train"):
            raise ValueError(f"{folder} exists, but holds no array_record files; name another folder with --data-dir")
        prepared.checksums(name, root, folder)
        print(f"{name} {builder.version} is already prepared in {root}")
        return folder
    urls = {info.filename: url for url, info in builder.url_infos.items()}
    splits = None if given is None else _local_splits(name, given, builder.info.features, urls)
    with _all_or_nothing(root):
        try:
            if given is None:
                _reach(next(iter(urls.values())))
            found = _write(name, root, folder, splits, _check_labels)
        except Exception as error:
            raise _error(name, root, given, urls.values(), "FOLDER_WITH_THEM", error) from error
    print(f"{name} {builder.version}: {prepared.numbers(name, *(len(found[split]) for split in prepared.SPLITS))}")
    return folder


def prepare_text(name: str, root: pathlib.Path, given: pathlib.Path | None) -> pathlib.Path:
    """Prepares one of TFDS's texts, which is a single file; `texts.divide` has its splits."""
    builder = prepared.upstream_builder(name)
    folder, url = root / name / str(builder.version), texts.URLS[name]
    if folder.exists():
        texts.read_splits(name, root, folder, builder.info.features)
        print(f"{name} {builder.version} is already prepared in {root}")
        return folder

    def splits(builder: Any, dl_manager: Any) -> Any:
        file = pathlib.Path(dl_manager.download(url)) if given is None else given
        parts = texts.divide(texts.read_bytes(file).decode())
        return {split: [(split, {"text": text})] for split, text in parts.items()}

    with _all_or_nothing(root):
        try:
            if given is None:
                _reach(url)
            found = _write(name, root, folder, splits, texts.read_splits)
        except Exception as error:
            raise _error(name, root, given, [url], "FILE", error) from error
    print(f"{name} {builder.version}: " + ", ".join(f"{len(text):,} {split} bytes" for split, text in found.items()))
    return folder


def prepare_boston(name: str, root: pathlib.Path, source: pathlib.Path | None) -> pathlib.Path:
    """Prepares the table of Boston housing."""
    file = tabular.boston_file(root)
    folder = file.parent
    if folder.exists() and any(folder.iterdir()):
        prepared.checksums(name, root, folder, needed=(file.name,))
        print(f"{name} {tabular.VERSION} is already prepared in {root}")
        return folder
    try:
        if source is None:
            _reach(tabular.OPENML_URL)
            table = tabular.boston_from_openml()
        elif source.exists() and not source.is_file():  # a pipe would be waited for
            raise ValueError(f"{name} must be a file.")
        else:
            table = tabular.boston_table(files.read_text(source))
    except Exception as error:
        raise _error(name, root, source, [tabular.OPENML_URL], "FILE", error) from error
    with _all_or_nothing(root), tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root) as scratch:
        made = pathlib.Path(scratch, tabular.VERSION)
        files.write_text(made / file.name, tabular.csv(table))
        prepared.seal(made)
        folder.parent.mkdir(exist_ok=True)
        os.rename(made, folder)
    print(tabular.BOSTON_NOTE)
    return folder


@contextlib.contextmanager
def _all_or_nothing(root: pathlib.Path) -> Iterator[None]:
    """Checks that `root` can be written, and removes it if the `with` fails and it did not exist before."""
    existed = root.exists()
    files.check_writable("data_dir", root)
    try:
        yield
    except BaseException:
        if not existed:
            with contextlib.suppress(OSError):  # not empty
                root.rmdir()
        raise


def _error(
    name: str, root: pathlib.Path, source: data.PathLike | None, urls: Iterable[str], given: str, error: Exception
) -> ValueError:
    """The error for a data set that cannot be prepared."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if source is not None:
        return ValueError(f"{name} cannot be prepared from {source}: {reason}")
    return ValueError(
        f"{name} cannot be prepared by download from {' '.join(urls)} ({reason}); "
        f"with these files at hand: `lrsched data prepare {name} --from {given} --data-dir {root}`"
    )


def _write(
    name: str, root: pathlib.Path, folder: pathlib.Path, splits: SplitGenerators | None, read_back: Callable[..., Any]
) -> Any:
    """Prepares in a hidden scratch folder, which only a killed process leaves, and moves the result into place.

    Args:
      read_back: called with the name, the root, the folder that was written and TFDS's features; may refuse it.
    Returns:
      what it returned.
    """
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root, ignore_cleanup_errors=True) as scratch:
        builder = tfds.builder(name, data_dir=scratch, file_format="array_record")
        if splits is not None:
            builder._split_generators = functools.partial(splits, builder)
        with tf_free(name), contextlib.redirect_stdout(io.StringIO()):  # what TFDS prints names the scratch folder
            builder.download_and_prepare()
        written, features = pathlib.Path(builder.data_path), builder.info.features
        found = read_back(name, root, written, features)
        prepared.seal(written)
        folder.parent.mkdir(exist_ok=True)
        os.rename(written, folder)
    return found


def _check_labels(name: str, root: pathlib.Path, folder: pathlib.Path, features: Any) -> dict[str, list[int]]:
    """The labels of both splits.

    Raises:
      ValueError: if a class is without an example in a split.
    """
    found = prepared.labels(name, root, folder, features)
    if lacking := prepared.missing_classes(found, features["label"].names):
        raise ValueError(f"each class must have an example in train and in test; {lacking}.")
    return found


def _reach(url: str) -> None:
    """Raises if the server cannot be reached. TFDS itself would try 11 times: over 3 minutes without a network."""
    import requests

    requests.get(url, stream=True, timeout=TIMEOUT_SECONDS).close()


def _local_splits(name: str, source: pathlib.Path, features: Any, urls: dict[str, str]) -> SplitGenerators:
    """Reads the files that the user gives."""
    if (source / "train").is_dir():
        return _from_images(name, source, features)
    wanted = sorted(urls.keys() - set(SOURCES[name].optional.values()))
    folder = source if source.is_dir() else source.parent
    missing = [file for file in wanted if not (folder / file).is_file()]
    if (source.is_dir() or source.name in urls) and not missing:
        return _from_archives(name, folder)
    if reader := sources.find(name, source):
        return _from_arrays(name, source, reader, features)
    allowed = (
        f"--from: {' '.join(wanted)} (as downloaded), or a folder with train/CLASS/*.png|jpg and test/CLASS/*.png|jpg, "
        f"or {sources.describe(name)}"
    )
    if not source.exists():
        raise ValueError(f"{allowed}; {source} does not exist")
    if not source.is_dir() and source.name not in urls:
        raise ValueError(f"{allowed}; got {source}")
    raise ValueError(f"{allowed}; {folder} lacks {' '.join(missing)}")


def _from_archives(name: str, folder: pathlib.Path) -> SplitGenerators:
    """Upstream's own reading, with the local files in place of the download."""

    def local(urls: Any) -> Any:
        if isinstance(urls, dict):
            return {key: local(url) for key, url in urls.items()}
        return folder / urls.rsplit("/", 1)[1]

    def splits(builder: Any, dl_manager: Any) -> Any:
        files = types.SimpleNamespace(download=local, download_and_extract=lambda urls: dl_manager.extract(local(urls)))
        found = type(builder)._split_generators(builder, files)
        missing = {split for split, file in SOURCES[name].optional.items() if not (folder / file).is_file()}
        return [split for split in found if split.name not in missing] if missing else found

    return splits


def _from_images(name: str, source: pathlib.Path, features: Any) -> SplitGenerators:
    """The image files as they are, in the order of their names, under upstream's features."""
    labels = list(SOURCES[name].labels or features["label"].names)
    height, width, channels = features["image"].shape
    found = image_files.find(source, labels, mode="L" if channels == 1 else "RGB", size=(width, height))

    def examples(split: str) -> Examples:
        return ((path.read_bytes(), label, path.relative_to(source).as_posix()) for path, label in found[split])

    return _as_records(name, labels, examples)


def _from_arrays(name: str, source: pathlib.Path, reader: sources.Reader, features: Any) -> SplitGenerators:
    """Arrays in their own order, with upstream's keys and ids, and so in upstream's order once they are shuffled."""
    labels = list(SOURCES[name].labels or features["label"].names)
    try:
        found = sources.check(reader(), shape=features["image"].shape, classes=len(labels))
    except Exception as error:
        raise _error(name, source, source, [], "", error) from error

    def examples(split: str) -> Examples:
        pairs = zip(*found[split], strict=True)
        return ((image, int(label), f"{split}_{index:05d}") for index, (image, label) in enumerate(pairs))

    return _as_records(name, labels, examples)


def _as_records(name: str, labels: list[str], examples: Callable[[str], Examples]) -> SplitGenerators:
    """The examples of each split as what TFDS writes; their number is the key that it shuffles by, as upstream's is."""

    def records(features: Any, split: str) -> Iterator[tuple[int, dict[str, object]]]:
        for key, (image, label, words) in enumerate(examples(split)):
            coarse = SOURCES[name].coarse.get(labels[label])
            example = {"image": image, "label": label, "id": words, "coarse_label": coarse}
            yield key, {field: example[field] for field in features}

    def splits(builder: Any, dl_manager: Any) -> Any:
        features = builder.info.features
        if SOURCES[name].labels:  # TFDS, too, learns these names only now
            features["label"].names = labels
        if "coarse_label" in features:
            features["coarse_label"].names = list(dict.fromkeys(SOURCES[name].coarse.values()))
        return {split: records(features, split) for split in prepared.SPLITS}

    return splits
