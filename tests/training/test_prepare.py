"""Preparing, with tiny made-up images, from each kind of source; the network is a dictionary of files."""

import gzip
import io
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib

import numpy as np
import pytest
import requests
import scipy.io
import tensorflow_datasets as tfds
from PIL import EpsImagePlugin, Image
from tensorflow_datasets.core import shuffle
from tensorflow_datasets.core.download import extractor
from tensorflow_datasets.core.features import image_feature
from tensorflow_datasets.image_classification import cifar, mnist

from lrsched.training import data, prepared
from lrsched.training import tf_free as tf_free_module
from lrsched.training.cifar_labels import CIFAR10, CIFAR100, CIFAR100_GROUP_OF, CIFAR100_GROUPS
from lrsched.training.prepare import prepare
from lrsched.training.tf_free import tf_free

Examples = dict[str, tuple[np.ndarray, np.ndarray]]
IDX = [f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]
FILES = {
    "cifar10": ["cifar-10-binary.tar.gz"],
    "cifar100": ["cifar-100-binary.tar.gz"],
    "mnist": IDX,
    "fashion_mnist": IDX,
    "svhn_cropped": ["train_32x32.mat", "test_32x32.mat"],
}
FASHION = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
DIGITS = [str(digit) for digit in range(10)]
CIFAR_LABELS = {"cifar10": list(CIFAR10), "cifar100": list(CIFAR100)}
LABELS = {**CIFAR_LABELS, "mnist": DIGITS, "fashion_mnist": FASHION, "svhn_cropped": DIGITS}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """No network, a cache of its own, upstream's MNIST as small as ours, and never TensorFlow."""
    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where TFDS forgets empty folders
    monkeypatch.setattr(mnist, "_TRAIN_EXAMPLES", 12)
    monkeypatch.setattr(mnist, "_TEST_EXAMPLES", 10)
    serve(monkeypatch, None)
    yield
    assert "tensorflow" not in sys.modules


def serve(monkeypatch, folder: pathlib.Path | None) -> list[str]:
    """Every request is answered with the file of that name in `folder`; without a folder there is no network."""
    asked = []

    def send(self, request, **kwargs):
        asked.append(request.url)
        if folder is None:
            raise requests.ConnectionError("no network here")
        file = folder / request.url.rsplit("/", 1)[1]
        response = requests.Response()
        response.status_code = 200 if file.is_file() else 404
        response.url, response.request = request.url, request
        response.raw = io.BytesIO(file.read_bytes() if file.is_file() else b"")
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    return asked


def examples_of(name: str) -> Examples:
    rng = np.random.default_rng(0)
    shape = (28, 28, 1) if name.endswith("mnist") else (32, 32, 3)
    classes = len(LABELS[name])
    return {
        split: (rng.integers(0, 256, (n, *shape), np.uint8), (np.arange(n) * 7 + n) % classes)
        for split, n in (("train", classes + 2), ("test", classes))  # each class: 7 shares no factor with 10 or 100
    }


def write_archives(name: str, folder: pathlib.Path, examples: Examples) -> pathlib.Path:
    """The original files of `name`, in the formats that their authors publish."""
    folder.mkdir()
    if name.startswith("cifar"):
        with tarfile.open(folder / FILES[name][0], "w:gz") as archive:
            for file, content in cifar_members(name, examples).items():
                member = tarfile.TarInfo(file)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    for part, (images, labels) in zip(("train", "t10k"), examples.values(), strict=True):
        if name.endswith("mnist"):
            (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + images.tobytes()))
            (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(
                gzip.compress(bytes(8) + labels.astype(np.uint8).tobytes())
            )
    if name == "svhn_cropped":
        for split, (images, labels) in examples.items():
            write_mat(folder / f"{split}_32x32.mat", images, labels)
    return folder


def cifar_members(name: str, examples: Examples) -> dict[str, bytes]:
    """One record: the label, or coarse and fine label, then the red, green and blue planes."""
    coarse = list(CIFAR100_GROUPS)

    def records(images, labels):
        for image, label in zip(images, labels, strict=True):
            groups = [coarse.index(CIFAR100_GROUP_OF[LABELS[name][label]])] if name == "cifar100" else []
            yield bytes([*groups, label]) + image.transpose(2, 0, 1).tobytes()

    train, test = (list(records(*examples[split])) for split in ("train", "test"))
    if name == "cifar100":
        files = {"train.bin": train, "test.bin": test}
        texts = {"coarse_label_names.txt": coarse, "fine_label_names.txt": LABELS[name]}
    else:
        batches = [train[0:2], train[2:3], train[3:4], train[4:5], train[5:]]
        files = {f"data_batch_{k}.bin": batch for k, batch in enumerate(batches, 1)} | {"test_batch.bin": test}
        texts = {"batches.meta.txt": LABELS[name]}
    folder = {"cifar10": "cifar-10-batches-bin", "cifar100": "cifar-100-binary"}[name]
    return {f"{folder}/{file}": b"".join(parts) for file, parts in files.items()} | {
        f"{folder}/{file}": "\n".join(names).encode() for file, names in texts.items()
    }


def write_mat(path: pathlib.Path, images: np.ndarray, labels: np.ndarray) -> None:
    scipy.io.savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": np.where(labels == 0, 10, labels)[:, None]})


def write_images(name: str, folder: pathlib.Path, examples: Examples) -> pathlib.Path:
    for split, (images, labels) in examples.items():
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / split / LABELS[name][label].replace("/", "_") / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.squeeze()).save(path)
        (folder / split / ".DS_Store").touch()  # what file managers leave is no image
    return folder


def pairs(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    """The examples without their order, which TFDS shuffles."""
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))


def assert_holds(name: str, data_dir: pathlib.Path, examples: Examples) -> None:
    loaded = data.load(name, data_dir=data_dir)
    assert loaded.classes == len(LABELS[name])
    for split in ("train", "test"):
        assert pairs(getattr(loaded, split).images, getattr(loaded, split).labels) == pairs(*examples[split])
    assert tfds.builder(name, data_dir=data_dir).info.features["label"].names == LABELS[name]


def tree(folder: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_prepare_from_archives_keeps_every_pixel_and_label(name, tmp_path):
    examples = examples_of(name)
    source = write_archives(name, tmp_path / "source", examples)
    folder = prepare(name, data_dir=tmp_path / "data", source=source)
    assert folder == tmp_path / "data" / name / tfds.builder_cls(name).VERSION.__str__()
    assert_holds(name, tmp_path / "data", examples)
    assert tree(tmp_path / "data")[:2] == [name, f"{name}/{folder.name}"]  # and no scratch folder


@pytest.mark.parametrize("name", FILES)
def test_prepare_by_download_keeps_every_pixel_and_label(name, tmp_path, monkeypatch):
    examples = examples_of(name)
    source = write_archives(name, tmp_path / "source", examples)
    write_mat(source / "extra_32x32.mat", *examples["test"])
    asked = serve(monkeypatch, source)
    no_checksums = lambda self, url, url_info, path: None  # noqa: E731  (ours are not the published files)
    monkeypatch.setattr(tfds.download.DownloadManager, "_register_or_validate_checksums", no_checksums)
    prepare(name, data_dir=tmp_path / "data")
    assert_holds(name, tmp_path / "data", examples)
    assert {url.rsplit("/", 1)[1] for url in asked} >= set(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_prepare_from_image_files_keeps_every_pixel_and_label(name, tmp_path):
    examples = examples_of(name)
    prepare(name, data_dir=tmp_path / "data", source=write_images(name, tmp_path / "source", examples))
    assert_holds(name, tmp_path / "data", examples)


def test_prepare_from_image_files_stores_the_files_themselves(tmp_path):
    source = write_images("cifar10", tmp_path / "source", examples_of("cifar10"))
    jpeg = source / "test" / "cat" / "0009.jpg"
    jpeg.parent.mkdir(exist_ok=True)
    Image.new("RGB", (32, 32), "red").save(jpeg)
    prepare("cifar10", data_dir=tmp_path / "data", source=source)
    decoders = {"image": tfds.decode.SkipDecoding()}
    stored = tfds.data_source("cifar10", split="test", data_dir=tmp_path / "data", decoders=decoders)
    assert {example["id"].decode(): example["image"] for example in stored} == {
        path.relative_to(source).as_posix(): path.read_bytes() for path in source.glob("test/*/*")
    }


def test_cifar100_groups_are_the_published_ones():
    # Krizhevsky's coarse label of each fine label, as the archive's own records carry them.
    published = (
        "4 1 14 8 0 6 7 7 18 3 3 14 9 18 7 11 3 9 7 11 6 11 5 10 7 6 13 15 3 15 0 11 1 10 "
        "12 14 16 9 11 5 5 19 8 8 15 13 14 17 18 10 16 4 17 4 2 0 17 4 18 17 10 3 2 12 12 16 12 1 "
        "9 19 2 10 0 1 16 12 9 13 15 13 16 19 2 4 6 19 5 5 8 19 18 1 2 15 6 0 17 8 14 13"
    )
    groups = list(CIFAR100_GROUPS)
    assert [groups.index(CIFAR100_GROUP_OF[label]) for label in CIFAR_LABELS["cifar100"]] == [
        int(group) for group in published.split()
    ]


def test_prepare_cifar100_from_image_files_writes_the_groups(tmp_path):
    prepare("cifar100", data_dir=tmp_path, source=write_images("cifar100", tmp_path / "s", examples_of("cifar100")))
    source = tfds.data_source("cifar100", split="train", data_dir=tmp_path)
    coarse, fine = (source.dataset_info.features[key].names for key in ("coarse_label", "label"))
    assert all(coarse[example["coarse_label"]] == CIFAR100_GROUP_OF[fine[example["label"]]] for example in source)


def test_prepare_svhn_keeps_extra_only_where_it_is(tmp_path):
    examples = examples_of("svhn_cropped")
    source = write_archives("svhn_cropped", tmp_path / "source", examples)
    without = prepare("svhn_cropped", data_dir=tmp_path / "without", source=source)
    write_mat(source / "extra_32x32.mat", *examples["test"])
    with_extra = prepare("svhn_cropped", data_dir=tmp_path / "with", source=source)
    assert not prepared.shards("svhn_cropped", without, "extra")
    assert prepared.shards("svhn_cropped", with_extra, "extra")


def test_prepare_given_the_archive_itself_takes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    examples = examples_of("cifar10")
    write_archives("cifar10", tmp_path / "source", examples)
    prepare("cifar10", data_dir=tmp_path / "data", source="~/source/cifar-10-binary.tar.gz")
    assert_holds("cifar10", tmp_path / "data", examples)


@pytest.mark.parametrize("write", [write_archives, write_images])
def test_prepare_twice_from_one_source_gives_the_same_shards(write, tmp_path):
    source = write("cifar10", tmp_path / "source", examples_of("cifar10"))
    once, twice = (prepare("cifar10", data_dir=tmp_path / place, source=source) for place in ("a", "b"))
    assert tree(once) == tree(twice)
    assert all((once / file).read_bytes() == (twice / file).read_bytes() for file in tree(once))


def test_prepare_of_a_large_split_shuffles_without_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 1)  # as SVHN's extra split against the real limit
    examples = examples_of("cifar10")
    prepare("cifar10", data_dir=tmp_path / "data", source=write_archives("cifar10", tmp_path / "source", examples))
    assert_holds("cifar10", tmp_path / "data", examples)


def test_prepare_into_a_pipe_says_the_numbers_alone(tmp_path, capsys):
    prepare(
        "cifar10", data_dir=tmp_path / "data", source=write_images("cifar10", tmp_path / "s", examples_of("cifar10"))
    )
    said = "cifar10 3.0.2: 12 train examples, upstream has 50,000; 10 test examples, upstream has 10,000\n"
    assert capsys.readouterr() == (said, "")  # TFDS would show bars, and the name of the scratch folder


def test_prepare_when_prepared_says_so_and_does_nothing(tmp_path, monkeypatch, capsys):
    source = write_images("cifar10", tmp_path / "source", examples_of("cifar10"))
    folder = prepare("cifar10", data_dir=tmp_path / "data", source=source)
    before = {file: (folder / file).stat().st_mtime_ns for file in tree(folder)}
    asked = serve(monkeypatch, tmp_path)
    capsys.readouterr()
    assert prepare("cifar10", data_dir=tmp_path / "data") == folder
    assert capsys.readouterr().out == f"cifar10 3.0.2 is already prepared in {tmp_path / 'data'}\n"
    assert (asked, before) == ([], {file: (folder / file).stat().st_mtime_ns for file in tree(folder)})


def test_prepare_beside_another_format_is_refused(tmp_path):
    (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)
    (tmp_path / "cifar10" / "3.0.2" / "cifar10-train.tfrecord-00000-of-00001").touch()
    with pytest.raises(ValueError, match=r"3\.0\.2 exists, but holds no array_record files; .*--data-dir"):
        prepare("cifar10", data_dir=tmp_path)


def refused(tmp_path: pathlib.Path, name: str, source: pathlib.Path | None) -> str:
    """The message of a prepare that fails, which must be one line and leave nothing behind."""
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(ValueError, match=".") as caught:
        prepare(name, data_dir=place, source=source)
    assert tree(place) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_prepare_without_network_says_from_where_and_how_else(name, tmp_path, monkeypatch):
    asked = serve(monkeypatch, None)
    message = refused(tmp_path, name, None)
    assert len(asked) == 1  # TFDS asks for each file, 11 times
    assert all(f"/{file}" in message for file in FILES[name])
    assert "ConnectionError: no network here" in message
    assert f"`lrsched data prepare {name} --from FOLDER_WITH_THEM --data-dir {tmp_path / 'place'}`" in message


def test_prepare_by_download_of_other_bytes_is_refused(tmp_path, monkeypatch):
    serve(monkeypatch, write_archives("cifar10", tmp_path / "source", examples_of("cifar10")))
    assert "wrong checksum" in refused(tmp_path, "cifar10", None)


def test_prepare_by_download_of_a_vanished_file_is_refused(tmp_path, monkeypatch):
    serve(monkeypatch, tmp_path)
    assert "HTTP code: 404" in refused(tmp_path, "cifar10", None)


def test_prepare_from_a_damaged_archive_leaves_nothing(tmp_path):
    source = write_archives("cifar10", tmp_path / "source", examples_of("cifar10"))
    archive = source / "cifar-10-binary.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-2000])
    assert f"cifar10 cannot be prepared from {source}: " in refused(tmp_path, "cifar10", source)


def test_prepare_from_images_of_another_size_is_refused(tmp_path):
    source = write_archives("svhn_cropped", tmp_path / "source", examples_of("svhn_cropped"))
    write_mat(source / "test_32x32.mat", np.zeros((2, 31, 32, 3), np.uint8), np.array([1, 2]))
    message = refused(tmp_path, "svhn_cropped", source)
    assert "image must be uint8 of shape (32, 32, 3), got uint8 of shape (31, 32, 3)." in message


def test_prepare_stopped_while_writing_leaves_nothing(tmp_path, monkeypatch):
    source = write_archives("cifar10", tmp_path / "source", examples_of("cifar10"))
    encode, count = tf_free_module._encode_png, []

    def stop(encoder, image):
        count.append(image)
        if len(count) == 15:  # in the test split: the training split is written by then
            raise OSError("No space left on device")
        return encode(encoder, image)

    monkeypatch.setattr(tf_free_module, "_encode_png", stop)
    assert "No space left on device" in refused(tmp_path, "cifar10", source)


@pytest.mark.parametrize("name", FILES)
def test_prepare_from_an_incomplete_folder_names_what_is_wanted(name, tmp_path):
    source = write_archives(name, tmp_path / "source", examples_of(name))
    (source / FILES[name][0]).unlink()
    message = refused(tmp_path, name, source)
    assert message.startswith("--from: ")
    assert all(file in message for file in FILES[name])
    assert message.endswith(f"{source} lacks {FILES[name][0]}")


def test_prepare_from_nowhere_says_so(tmp_path):
    assert refused(tmp_path, "mnist", tmp_path / "nowhere").endswith(f"{tmp_path / 'nowhere'} does not exist")


@pytest.mark.parametrize("name", [name for name, source in data.SOURCES.items() if source.embedded])
def test_prepare_of_what_is_embedded_needs_nothing(name, tmp_path):
    assert refused(tmp_path, name, None) == f"{name} needs no preparing: it comes with scikit-learn"


def test_prepare_of_an_unknown_name_lists_the_names(tmp_path):
    names = ", ".join(name for name, source in data.SOURCES.items() if not source.embedded)
    assert refused(tmp_path, "imagenet", None) == f"data to prepare must be one of {names}, got 'imagenet'."


def spoil_class(source: pathlib.Path) -> str:
    (source / "train" / "dragon").mkdir()
    return f"{source / 'train'} must have one folder per class, named {' '.join(CIFAR10)}, got dragon."


def spoil_folder(source: pathlib.Path) -> str:
    (source / "train" / "cat").touch()
    return f"{source / 'train'} must have one folder per class, named {' '.join(CIFAR10)}, got cat."


def spoil_split(source: pathlib.Path) -> str:
    (source / "test").rename(source / "validation")
    return f"{source / 'test'} must have at least one image in a folder named {' '.join(CIFAR10)}, got none."


def spoil_size(source: pathlib.Path) -> str:
    path = source / "train" / "frog" / "0001.png"
    Image.new("RGB", (33, 32)).save(path)
    return f"{path} must be RGB, 32 x 32 pixels, got RGB, 33 x 32."


def spoil_mode(source: pathlib.Path) -> str:
    path = source / "train" / "frog" / "0001.png"
    Image.new("L", (32, 32)).save(path)
    return f"{path} must be RGB, 32 x 32 pixels, got L, 32 x 32."


def spoil_suffix(source: pathlib.Path) -> str:
    path = source / "train" / "frog" / "notes.txt"
    path.touch()
    return f"{path} must end in .png .jpg .jpeg."


def spoil_bytes(source: pathlib.Path) -> str:
    path = source / "train" / "frog" / "0001.png"
    Image.new("RGB", (32, 32)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    return f"{path} must be a readable image, got "


@pytest.mark.parametrize(
    "spoil", [spoil_class, spoil_folder, spoil_split, spoil_size, spoil_mode, spoil_suffix, spoil_bytes]
)
def test_prepare_from_wrong_image_files_is_refused_at_the_first(spoil, tmp_path):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    source = write_images("cifar10", tmp_path / "source", dict.fromkeys(("train", "test"), (images, np.array([6, 6]))))
    expected = spoil(source)
    assert refused(tmp_path, "cifar10", source).startswith(expected)


def test_tf_free_after_an_error_restores_what_it_replaced():
    places = [(image_feature._ImageEncoder, "_encode_image"), (shuffle, "MAX_MEM_BUFFER_SIZE")]
    places += [(module, "tf") for module in (extractor, cifar)]

    def replaced() -> list[bool]:
        return [getattr(*place) is not original for place, original in zip(places, originals, strict=True)]

    def fail() -> None:
        with tf_free("cifar100"):
            raise RuntimeError(replaced())

    originals = [getattr(*place) for place in places]
    with pytest.raises(RuntimeError, match=r"^\[True, True, True, True\]$"):
        fail()
    assert replaced() == [False] * 4


def small_images(folder: pathlib.Path) -> pathlib.Path:
    """One image of each class in both splits of CIFAR-10."""
    images = np.zeros((10, 32, 32, 3), np.uint8)
    return write_images("cifar10", folder, dict.fromkeys(("train", "test"), (images, np.arange(10))))


@pytest.mark.parametrize("remove", [shutil.rmtree, lambda folder: [file.unlink() for file in folder.iterdir()]])
@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["train/truck", "test/truck"], "train has none of truck; test has none of truck"),
        (["test/cat"], "test has none of cat"),
        (["train/airplane", "train/ship"], "train has none of airplane ship"),
    ],
)
def test_prepare_from_images_without_a_class_names_it(remove, folders, said, tmp_path):
    source = small_images(tmp_path / "source")
    for folder in folders:
        remove(source / folder)
    wanted = f"{source} must have at least one image of each class in train and in test; {said}."
    assert refused(tmp_path, "cifar10", source) == wanted


@pytest.mark.parametrize("name", FILES)
def test_prepare_from_archives_without_a_class_names_it(name, tmp_path):
    examples = examples_of(name)
    images, labels = examples["test"]
    examples["test"] = (images, np.where(labels == 3, 4, labels))
    source = write_archives(name, tmp_path / "source", examples)
    assert f"test has none of {LABELS[name][3]}." in refused(tmp_path, name, source)


def test_prepare_by_download_without_a_class_names_it(tmp_path, monkeypatch):
    examples = examples_of("mnist")
    examples["train"] = (examples["train"][0], np.zeros(12, np.int64))
    serve(monkeypatch, write_archives("mnist", tmp_path / "source", examples))
    no_checksums = lambda self, url, url_info, path: None  # noqa: E731  (ours are not the published files)
    monkeypatch.setattr(tfds.download.DownloadManager, "_register_or_validate_checksums", no_checksums)
    assert "train has none of 1 2 3 4 5 6 7 8 9." in refused(tmp_path, "mnist", None)


def png_of(width: int, height: int) -> bytes:
    """A PNG file of these measures, and of little else."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "png")
    header = buffer.getvalue()[12:16] + struct.pack(">II", width, height) + buffer.getvalue()[24:29]
    return buffer.getvalue()[:12] + header + struct.pack(">I", zlib.crc32(header)) + buffer.getvalue()[33:]


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (10_000, 10_000), (2_000_000_000, 2)])
def test_prepare_from_an_image_of_billions_of_pixels_is_refused(width, height, tmp_path):
    source = small_images(tmp_path / "source")
    path = source / "train" / "cat" / "huge.png"
    path.write_bytes(png_of(width, height))
    assert refused(tmp_path, "cifar10", source).startswith(f"{path} must be ")


@pytest.mark.parametrize("kind", ["EPS", "BMP", "GIF", "TIFF", "PPM", "WEBP", "PDF", "ICO"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_prepare_from_another_format_under_the_name_of_an_image_is_refused(kind, suffix, tmp_path, monkeypatch):
    source = small_images(tmp_path / "source")
    path = source / "train" / "cat" / f"x{suffix}"
    Image.new("RGB", (32, 32)).save(path, kind)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", None)  # calling it would raise
    monkeypatch.setattr(subprocess, "Popen", None)
    assert refused(tmp_path, "cifar10", source).startswith(
        f"{path} must be a readable image, got cannot identify image file"
    )


def test_prepare_from_a_pipe_or_socket_among_the_images_is_refused(tmp_path):
    source = small_images(tmp_path / "source")
    path = source / "train" / "cat" / "x.png"
    os.mkfifo(path)  # opening it would wait for ever
    assert refused(tmp_path, "cifar10", source) == f"{path} must be a readable image, got something that is no file."
    path.unlink()
    path.symlink_to("/dev/zero")
    (tmp_path / "place").rmdir()
    assert refused(tmp_path, "cifar10", source) == f"{path} must be a readable image, got something that is no file."


@pytest.mark.parametrize("name", ["cifar10", "boston"])
@pytest.mark.parametrize("url", ["gs://bucket/x", "s3://bucket", "file:///x", "https://x.org/y"])
def test_prepare_at_or_from_a_url_is_refused(name, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^data_dir must be a local folder, got the URL {url}.$"):
        prepare(name, data_dir=url)
    with pytest.raises(ValueError, match=f"^--from must be a local folder, got the URL {url}.$"):
        prepare(name, data_dir=tmp_path / "data", source=url)
    monkeypatch.setenv("TFDS_DATA_DIR", url)
    with pytest.raises(ValueError, match=f"^TFDS_DATA_DIR must be a local folder, got the URL {url}.$"):
        prepare(name)
    assert tree(tmp_path) == []


def test_prepare_where_nothing_can_be_written_is_refused(tmp_path):
    source = small_images(tmp_path / "source")
    with pytest.raises(ValueError, match="^data_dir must be a folder that can be written, got /proc/x"):
        prepare("cifar10", data_dir="/proc/x", source=source)


@pytest.mark.slow
def test_prepare_in_two_processes_writes_the_same_bytes(tmp_path):
    # protobuf's order of fields differs between most processes, of which three are started here
    source = write_images("cifar10", tmp_path / "source", examples_of("cifar10"))
    words = "'cifar10', data_dir=sys.argv[1], source=sys.argv[2]"
    code = f"import sys; from lrsched.training.prepare import prepare; prepare({words})"
    contents = set()
    for place in ("a", "b", "c"):
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path / place, source], check=True)
        folder = tmp_path / place / "cifar10" / "3.0.2"
        contents.add(tuple((file, (folder / file).read_bytes()) for file in tree(folder)))
    assert len(contents) == 1
