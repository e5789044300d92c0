"""CIFAR's pickles, torchvision's folders and .npz: the same data set as from the original archives."""

import gzip
import io
import os
import pathlib
import pickle
import struct
import tarfile
import tempfile

import numpy as np
import pytest

from lrsched.training import data, prepare
from lrsched.training.cifar_labels import CIFAR10, CIFAR100

Examples = dict[str, tuple[np.ndarray, np.ndarray]]
FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
CIFAR_LABELS = {"cifar10": list(CIFAR10), "cifar100": list(CIFAR100)}
ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where TFDS forgets empty folders


def examples_of(name: str) -> Examples:
    rng = np.random.default_rng(0)
    shape, classes = ((28, 28, 1) if name.endswith("mnist") else (32, 32, 3)), 100 if name == "cifar100" else 10
    return {
        split: (rng.integers(0, 256, (n, *shape), np.uint8), np.arange(n) * 7 % classes)
        for split, n in (("train", classes + 5), ("test", classes))
    }


def write_pickles(name: str, folder: pathlib.Path, examples: Examples) -> pathlib.Path:
    """As Krizhevsky publishes them, but by Python 3: red, green and blue planes in a row of 3072 bytes."""
    folder.mkdir(parents=True)
    key = {"cifar10": "labels", "cifar100": "fine_labels"}[name]
    names = {"cifar10": ["test_batch"], "cifar100": ["test"]}[name]
    train = {"cifar10": [f"data_batch_{k}" for k in range(1, 6)], "cifar100": ["train"]}[name]
    for files, (images, labels) in zip((train, names), examples.values(), strict=True):
        for file, part in zip(files, np.array_split(np.arange(len(labels)), len(files)), strict=True):
            rows = images[part].transpose(0, 3, 1, 2).reshape(-1, 3072)
            write_pickle(folder / file, {b"data": rows, key.encode(): labels[part].tolist()})
    meta, names_key = {"cifar10": ("batches.meta", "label_names"), "cifar100": ("meta", "fine_label_names")}[name]
    write_pickle(folder / meta, {names_key.encode(): [label.encode() for label in CIFAR_LABELS[name]]})
    return folder


def write_pickle(path: pathlib.Path, value: object) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


def write_tar(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


def as_idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_raw(folder: pathlib.Path, examples: Examples, *, packed: bool = False) -> pathlib.Path:
    folder.mkdir(parents=True)
    for part, (images, labels) in zip(("train", "t10k"), examples.values(), strict=True):
        for stem, array in ((f"{part}-images-idx3-ubyte", images[..., 0]), (f"{part}-labels-idx1-ubyte", labels)):
            (folder / f"{stem}{'.gz' if packed else ''}").write_bytes(
                gzip.compress(as_idx(array)) if packed else as_idx(array)
            )
    return folder


def npz_of(examples: Examples) -> dict[str, np.ndarray]:
    return {
        f"{axis}_{split}": array for split, pair in examples.items() for axis, array in zip("xy", pair, strict=True)
    }


def assert_in_upstreams_order(name: str, source: pathlib.Path, examples: Examples, tmp_path: pathlib.Path) -> None:
    """The same arrays, shuffled as TFDS shuffles the keys 0, 1, 2, ..., which are upstream's."""
    from tensorflow_datasets.core import shuffle

    prepare.prepare(name, data_dir=tmp_path / "data", source=source)
    loaded = data.load(name, data_dir=tmp_path / "data")
    for split, (images, labels) in examples.items():
        shuffler = shuffle.Shuffler(tmp_path, split, disable_shuffling=False)
        for key in range(len(labels)):
            shuffler.add(key, str(key).encode())
        order = [int(value) for _, value in shuffler]
        np.testing.assert_array_equal(getattr(loaded, split).images, images[order])
        np.testing.assert_array_equal(getattr(loaded, split).labels, labels[order])


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("form", ["folder", "root", "archive", "root with the archive"])
def test_cifar_from_pickles_is_that_of_the_arrays(name: str, form: str, tmp_path: pathlib.Path) -> None:
    examples = examples_of(name)
    folder = write_pickles(name, tmp_path / "root" / FOLDERS[name], examples)
    source = {"folder": folder, "root": folder.parent}.get(form)
    if source is None:
        archive = write_tar(tmp_path / "packed" / ARCHIVES[name], folder)
        source = archive if form == "archive" else archive.parent
    assert_in_upstreams_order(name, source, examples, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "called"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
@pytest.mark.parametrize("form", ["root", "folder", "raw", "packed"])
def test_mnist_from_torchvisions_folder_is_that_of_the_arrays(
    name: str, called: str, form: str, tmp_path: pathlib.Path
) -> None:
    examples = examples_of(name)
    raw = write_raw(tmp_path / "root" / called / "raw", examples, packed=form == "packed")
    source = {"raw": raw, "folder": raw.parent}.get(form, tmp_path / "root")
    assert_in_upstreams_order(name, source, examples, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion_mnist", "svhn_cropped"])
@pytest.mark.parametrize("column", [False, True])
def test_npz_as_keras_has_it_is_that_of_the_arrays(name: str, column: bool, tmp_path: pathlib.Path) -> None:
    examples = examples_of(name)
    arrays = npz_of(examples)
    if column:  # as Keras's CIFAR: labels of shape [examples, 1], uint8; and its MNIST without a channel
        arrays |= {key: arrays[key].astype(np.uint8)[:, None] for key in ("y_train", "y_test")}
        arrays |= {key: arrays[key][..., 0] for key in ("x_train", "x_test") if name.endswith("mnist")}
    np.savez(tmp_path / "made.npz", **arrays)
    assert_in_upstreams_order(name, tmp_path / "made.npz", examples, tmp_path)


def refused(name: str, source: pathlib.Path, tmp_path: pathlib.Path) -> str:
    with pytest.raises(ValueError, match=".") as caught:
        prepare.prepare(name, data_dir=tmp_path / "place", source=source)
    assert not (tmp_path / "place").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"x_train": np.zeros((15, 3, 32, 32), np.uint8)},
            r"train: images must be uint8 of shape \(examples, 32, 32, 3",
        ),
        ({"x_test": np.zeros((10, 32, 32, 3), np.float32)}, "test: images must be uint8 .*, got float32"),
        ({"y_train": np.zeros(14, np.int64)}, "train: labels must be 15 whole numbers, .* got int64 of .14,"),
        ({"y_train": np.zeros(15, np.float64)}, "train: labels must be 15 whole numbers"),
        ({"y_train": np.zeros((15, 10), np.uint8)}, "train: labels must be 15 whole numbers"),
        ({"y_test": np.arange(10) + 1}, r"test: labels must be from 0 to 9, got 10\."),
        ({"y_test": np.arange(10) - 1}, r"test: labels must be from 0 to 9, got -1\."),
        ({"y_train": np.zeros(15, np.int64)}, "train has none of automobile bird cat deer dog frog horse ship truck"),
        ({"y_test": np.arange(10) % 9}, "test has none of truck"),
        ({"y_test": np.array([None] * 10)}, "allow_pickle=False"),
    ],
)
def test_wrong_npz_is_refused(changes: dict[str, np.ndarray], message: str, tmp_path: pathlib.Path) -> None:
    np.savez(tmp_path / "made.npz", **(npz_of(examples_of("cifar10")) | changes))
    said = refused("cifar10", tmp_path / "made.npz", tmp_path)
    assert said.startswith(f"cifar10 cannot be prepared from {tmp_path / 'made.npz'}: ")
    with pytest.raises(ValueError, match=message):
        raise ValueError(said)


def test_npz_that_lacks_an_array_names_it(tmp_path: pathlib.Path) -> None:
    arrays = npz_of(examples_of("cifar10"))
    del arrays["y_test"]
    np.savez(tmp_path / "made.npz", **arrays)
    assert "it lacks y_test." in refused("cifar10", tmp_path / "made.npz", tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04."])
def test_what_is_no_npz_is_refused(content: bytes, tmp_path: pathlib.Path) -> None:
    (tmp_path / "made.npz").write_bytes(content)
    assert "cifar10 cannot be prepared from" in refused("cifar10", tmp_path / "made.npz", tmp_path)


def test_array_alone_named_npz_is_refused(tmp_path: pathlib.Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (tmp_path / "made.npz").write_bytes(buffer.getvalue())
    assert "must be .npz, got another format." in refused("cifar10", tmp_path / "made.npz", tmp_path)


def test_pickles_without_a_batch_name_it(tmp_path: pathlib.Path) -> None:
    folder = write_pickles("cifar10", tmp_path / FOLDERS["cifar10"], examples_of("cifar10"))
    (folder / "data_batch_3").unlink()
    assert str(folder / "data_batch_3") in refused("cifar10", folder, tmp_path)
    archive = write_tar(tmp_path / "packed" / ARCHIVES["cifar10"], folder)
    assert "it lacks cifar-10-batches-py/data_batch_3" in refused("cifar10", archive, tmp_path)


def test_pickles_without_a_class_name_it(tmp_path: pathlib.Path) -> None:
    examples = examples_of("cifar10")
    kept = examples["train"][1] != 9
    examples["train"] = (examples["train"][0][kept], examples["train"][1][kept])
    folder = write_pickles("cifar10", tmp_path / FOLDERS["cifar10"], examples)
    assert "train has none of truck" in refused("cifar10", folder, tmp_path)


def test_pickles_with_classes_in_another_order_are_refused(tmp_path: pathlib.Path) -> None:
    folder = write_pickles("cifar10", tmp_path / FOLDERS["cifar10"], examples_of("cifar10"))
    write_pickle(folder / "batches.meta", {"label_names": CIFAR_LABELS["cifar10"][::-1]})
    assert "must have the published names in their order, got truck ship" in refused("cifar10", folder, tmp_path)


def test_pipe_among_the_pickles_is_refused(tmp_path: pathlib.Path) -> None:
    folder = write_pickles("cifar10", tmp_path / FOLDERS["cifar10"], examples_of("cifar10"))
    (folder / "test_batch").unlink()
    os.mkfifo(folder / "test_batch")  # opening it would wait for ever
    assert f"{folder / 'test_batch'} must be a file." in refused("cifar10", folder, tmp_path)


def test_altered_byte_of_an_archive_of_pickles_is_noticed(tmp_path: pathlib.Path) -> None:
    folder = write_pickles("cifar10", tmp_path / FOLDERS["cifar10"], examples_of("cifar10"))
    archive = write_tar(tmp_path / "packed" / ARCHIVES["cifar10"], folder)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1  # in pixels that do not compress: the archive unpacks as before
    archive.write_bytes(content)
    assert "cifar10 cannot be prepared from" in refused("cifar10", archive, tmp_path)


@pytest.mark.parametrize("spoil", [lambda c: c[:-1], lambda c: c + b"x", lambda c: b"", lambda c: b"\1" + c[1:]])
def test_wrong_idx_file_is_refused(spoil, tmp_path: pathlib.Path) -> None:
    raw = write_raw(tmp_path / "MNIST" / "raw", examples_of("mnist"))
    file = raw / "t10k-labels-idx1-ubyte"
    file.write_bytes(spoil(file.read_bytes()))
    assert f"{file} must be an idx file of bytes" in refused("mnist", tmp_path, tmp_path)


def test_what_is_expected_is_said(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").mkdir()
    said = refused("cifar100", tmp_path / "empty", tmp_path)
    assert all(word in said for word in ("cifar-100-binary.tar.gz", "cifar-100-python", ".npz with x_train y_train"))
    assert "torchvision's folder with FashionMNIST/raw" in refused("fashion_mnist", tmp_path / "empty", tmp_path)
