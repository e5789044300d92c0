"""Reading: the digits, small prepared sets, the cache, and the real CIFAR-10 where it is at hand."""

import dataclasses
import os
import pathlib
import sys
import tempfile

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from lrsched.training import data
from lrsched.training import prepared as prepared_module
from lrsched.training.cifar_labels import CIFAR10
from lrsched.training.data import SOURCES, Split, load
from lrsched.training.prepare import prepare

BESIDE = pathlib.Path(__file__).parents[2] / ".." / "shared" / "data" / "tensorflow_datasets"
CIFAR10_DIR = pathlib.Path(os.environ.get("LRSCHED_CIFAR10_DIR", BESIDE))


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where TFDS forgets empty folders
    yield tmp_path / "cache" / "data"
    assert "tensorflow" not in sys.modules


@pytest.fixture
def prepared(tmp_path):
    """A gray square of each class: half of the classes 1, the others 2, times the number of the channel."""
    for split in ("train", "test"):
        for label, name in enumerate(CIFAR10):
            gray = 1 + label % 2
            (tmp_path / "images" / split / name).mkdir(parents=True)
            Image.new("RGB", (32, 32), (gray, 2 * gray, 3 * gray)).save(tmp_path / "images" / split / name / "0.png")
    prepare("cifar10", data_dir=tmp_path / "data", source=tmp_path / "images")
    return tmp_path / "data"


def pairs(*splits: Split) -> list[tuple[bytes, int]]:
    return sorted(
        (image.tobytes(), int(label)) for s in splits for image, label in zip(s.images, s.labels, strict=True)
    )


def counts(split: Split) -> list[int]:
    return np.bincount(split.labels).tolist()


def test_digits_are_those_of_scikit_learn_each_once():
    digits, original = load("digits"), load_digits()
    scaled = Split((original.images * 15).astype(np.uint8)[..., None], original.target.astype(np.int32))
    assert pairs(digits.train, digits.test) == pairs(scaled)
    assert (digits.train.images.shape[1:], digits.train.images.max(), digits.classes) == ((8, 8, 1), 240, 10)
    assert (digits.holdout, digits.pad, digits.flip) == (None, 1, False)


def test_digits_test_set_is_a_fifth_of_each_class():
    assert counts(load("digits").test) == [round(0.2 * n) for n in np.bincount(load_digits().target)]


def test_digits_never_change():
    # Not derived: what every record of digits was made from. Another digest here makes those records incomparable.
    assert load("digits").digest == "7166a52f99e36912"


def test_load_twice_gives_the_same_examples_in_the_same_order():
    first, second = (load("digits", holdout_fraction=0.3) for _ in range(2))
    for split in ("train", "holdout", "test"):
        assert np.array_equal(getattr(first, split).images, getattr(second, split).images)


def test_holdout_is_the_same_part_of_each_class_and_disjoint():
    whole, parted = load("digits"), load("digits", holdout_fraction=0.25)
    assert counts(parted.holdout) == [round(0.25 * n) for n in counts(whole.train)]
    assert pairs(parted.train, parted.holdout) == pairs(whole.train)
    assert pairs(parted.test) == pairs(whole.test)


def test_holdout_of_nearly_all_leaves_one_of_each_class():
    assert counts(load("digits", holdout_fraction=0.9999).train) == [1] * 10


@pytest.mark.parametrize("holdout_fraction", [0.0, 0.5])
def test_statistics_are_those_of_the_training_part(holdout_fraction):
    digits = load("digits", holdout_fraction=holdout_fraction)
    scaled = digits.train.images.astype(np.float64) / 255
    np.testing.assert_allclose(digits.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(digits.std, scaled.std(axis=(0, 1, 2)), rtol=1e-12)


def test_statistics_of_several_channels_are_per_channel(prepared):
    cifar10 = load("cifar10", data_dir=prepared)
    np.testing.assert_allclose(cifar10.mean, np.array([1.5, 3.0, 4.5]) / 255, rtol=1e-12)
    np.testing.assert_allclose(cifar10.std, np.array([0.5, 1.0, 1.5]) / 255, rtol=1e-12)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5, float("nan")])
def test_holdout_fraction_outside_zero_to_one_is_refused(fraction):
    with pytest.raises(ValueError, match=rf"^holdout_fraction must be at least 0 and below 1, got {fraction}\.$"):
        load("digits", holdout_fraction=fraction)


def test_holdout_fraction_too_small_for_one_example_is_refused():
    with pytest.raises(
        ValueError, match=r"^holdout_fraction must be 0, or enough for one example of a class, got 1e-05\.$"
    ):
        load("digits", holdout_fraction=1e-5)


def test_load_of_an_unknown_name_lists_the_names():
    with pytest.raises(
        ValueError,
        match=rf"^data must be one of {', '.join(SOURCES)}, a folder of images, a text .*, got 'imagenet'\.$",
    ):
        load("imagenet")


def test_load_from_a_missing_folder_says_so(tmp_path):
    with pytest.raises(
        ValueError, match=rf"^cifar10 is not prepared: the folder {tmp_path}/no does not exist; prepare"
    ):
        load("cifar10", data_dir=tmp_path / "no")


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if not (source.embedded or source.tabular)])
def test_load_of_what_is_not_prepared_says_how(name, tmp_path):
    how = rf"prepare it with `lrsched data prepare {name} \[--from {SOURCES[name].given}\] --data-dir {tmp_path}`"
    with pytest.raises(ValueError, match=rf"^{name} \d\.\d\.\d is not prepared in {tmp_path}; {how}.*--data-dir$"):
        load(name, data_dir=tmp_path)


def test_load_of_another_format_says_so(prepared):
    for shard in (prepared / "cifar10" / "3.0.2").glob("*.array_record-*"):
        shard.rename(str(shard).replace("array_record", "tfrecord"))
    with pytest.raises(
        ValueError, match=r"^cifar10 in .*3\.0\.2 is no array_record, .* without TensorFlow; prepare it"
    ):
        load("cifar10", data_dir=prepared)


def test_load_without_data_dir_looks_where_tfds_looks(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert len(load("cifar10").train) == 10
    with pytest.raises(ValueError, match=f"not prepared in {tmp_path};"):  # the argument wins
        load("cifar10", data_dir=tmp_path)
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match=f"the folder {tmp_path}/tensorflow_datasets does not exist"):
        load("cifar10")


@pytest.mark.parametrize("name", ["digits", "cifar10", "boston"])
def test_load_from_a_url_is_refused(name):
    with pytest.raises(ValueError, match=r"^data_dir must be a local folder, got the URL gs://bucket/x\.$"):
        load(name, data_dir="gs://bucket/x")


def test_load_of_what_is_embedded_ignores_where_tfds_looks(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://bucket/x")
    assert len(load("digits").test) == 359
    with pytest.raises(ValueError, match=r"^TFDS_DATA_DIR must be a local folder, got the URL gs://bucket/x\.$"):
        load("cifar10")


def test_load_from_a_folder_without_a_name_is_refused():
    with pytest.raises(ValueError, match=r"^data_dir must name a folder, got ''\.$"):
        load("cifar10", data_dir="")


def test_load_again_reads_the_cache(prepared, monkeypatch):
    first = load("cifar10", data_dir=prepared)
    monkeypatch.setattr(prepared_module, "_decode", None)  # calling it would raise
    assert load("cifar10", data_dir=prepared).digest == first.digest


def test_load_after_the_shards_changed_decodes_again(prepared, tmp_path):
    first = load("cifar10", data_dir=prepared)
    Image.new("RGB", (32, 32), "white").save(tmp_path / "images" / "train" / "cat" / "0.png")
    for file in (prepared / "cifar10" / "3.0.2").iterdir():
        file.unlink()
    (prepared / "cifar10" / "3.0.2").rmdir()
    prepare("cifar10", data_dir=prepared, source=tmp_path / "images")
    second = load("cifar10", data_dir=prepared)
    assert (first.train.images.max(), second.train.images.max()) == (6, 255)


def test_load_with_a_damaged_cache_decodes_again(prepared, cache):
    first = load("cifar10", data_dir=prepared)
    files = sorted(cache.iterdir())
    assert len(files) == 4  # images and labels of two splits
    for size, file in zip((0, 50, 200, 100), files, strict=True):
        os.truncate(file, size)
    assert load("cifar10", data_dir=prepared).digest == first.digest


@pytest.mark.slow
def test_load_where_the_cache_cannot_be_written_is_no_error(prepared, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path / "file"))
    assert len(load("cifar10", data_dir=prepared).train) == 10


def test_cache_stopped_while_writing_leaves_no_file(prepared, cache, monkeypatch):
    def stopped(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        load("cifar10", data_dir=prepared)
    assert list(cache.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR10_DIR.is_dir(), reason=f"needs CIFAR-10 in LRSCHED_CIFAR10_DIR or {BESIDE}")
def test_cifar10_is_the_published_one(monkeypatch):
    lasting = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "lrsched" / "tests"
    monkeypatch.setenv("LRSCHED_CACHE", str(lasting))
    cifar10 = load("cifar10", data_dir=CIFAR10_DIR)
    assert cifar10.train.images.shape == (50_000, 32, 32, 3)
    assert cifar10.test.images.shape == (10_000, 32, 32, 3)
    assert (counts(cifar10.train), counts(cifar10.test)) == ([5000] * 10, [1000] * 10)
    np.testing.assert_allclose(cifar10.mean, [0.49140, 0.48216, 0.44653], atol=5e-5)  # of the published training set


# What a path of the user's may name.

IMAGES, LABELS = np.arange(20 * 16, dtype=np.uint8).reshape(20, 4, 4), np.arange(20) % 4
CALLS = []


def own() -> data.Dataset:
    return data.dataset((IMAGES, LABELS), pad=2, flip=True, class_names=("a", "b", "c", "d"))


def own_with_arguments(data_dir=None, holdout_fraction=0.0, other=1) -> data.Dataset:
    CALLS.append((data_dir, holdout_fraction, other))
    return data.dataset((IMAGES, LABELS), (IMAGES[:4], LABELS[:4]), holdout=(IMAGES[4:8], LABELS[4:8]))


def own_table() -> data.Dataset:
    rows = np.random.default_rng(0).normal(size=(30, 3))
    return data.dataset((rows, rows.sum(1)))


def raises() -> data.Dataset:
    raise KeyError("no\nfile")


def arrays() -> object:
    return IMAGES, LABELS


def test_function_of_the_users_is_loaded_and_split():
    found = load(f"{__name__}.own", holdout_fraction=0.25)
    assert (counts(found.train), counts(found.holdout), counts(found.test)) == ([3] * 4, [1] * 4, [1] * 4)
    assert (found.name, found.classes, found.pad, found.flip) == (f"{__name__}.own", 4, 2, True)
    assert found.class_names == ("a", "b", "c", "d")
    np.testing.assert_allclose(found.mean, found.train.images.mean(dtype=np.float64) / 255, rtol=1e-12)
    assert found.digest != load(f"{__name__}.own").digest


def test_examples_of_the_users_are_mixed_once_and_for_all():
    order = np.argsort(LABELS, kind="stable")
    found, again = (data.dataset((IMAGES[order], LABELS[order]), (IMAGES, LABELS)) for _ in range(2))
    assert set(found.train.labels[:10]) == {0, 1, 2, 3}
    np.testing.assert_array_equal(found.train.images, again.train.images)
    number = found.train.images.reshape(20, 16)[:, 0] // 16  # which image it is: all begin with another multiple of 16
    np.testing.assert_array_equal(np.sort(number % 16), np.sort(IMAGES.reshape(20, 16)[:, 0] // 16 % 16))
    np.testing.assert_array_equal(found.train.labels, number % 4)


def unmirrored() -> data.Dataset:
    return data.dataset((IMAGES, LABELS), pad=2, class_names=("a", "b", "c", "d"))


def of_more_classes() -> data.Dataset:
    return data.dataset((IMAGES, LABELS), pad=2, flip=True, classes=7)


def a_text() -> data.Dataset:
    return load("descriptions")


def as_published() -> data.Dataset:
    return dataclasses.replace(load("digits"), train=load("digits").train)


def test_what_decides_the_numbers_beside_the_arrays_is_in_the_digest():
    names = ("own", "unmirrored", "of_more_classes")
    assert len({load(f"{__name__}.{name}").digest for name in names}) == 3
    assert load(f"{__name__}.as_published").digest == load("digits").digest
    assert load(f"{__name__}.a_text").digest == load("descriptions").digest
    assert load(f"{__name__}.own_with_arguments", holdout_fraction=0.5).digest == own_with_arguments().digest


def test_function_of_the_users_gets_the_arguments_it_takes():
    CALLS.clear()
    parted, whole = (
        load(f"{__name__}.own_with_arguments", data_dir="here", holdout_fraction=part) for part in (0.5, 0.0)
    )
    assert CALLS == [("here", 0.5, 1), ("here", 0.0, 1)]
    assert (len(parted.train), len(parted.holdout), len(parted.test), whole.holdout) == (20, 4, 4, None)


def test_table_of_the_users_is_standardised_once():
    found = load(f"{__name__}.own_table", holdout_fraction=0.25)
    labels = np.concatenate([found.train.labels, found.holdout.labels])
    np.testing.assert_allclose((labels.mean(), labels.std()), (0, 1), atol=1e-6)
    assert (found.classes, found.tabular, found.target_mean is None) == (0, True, False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", r", which raised KeyError: .*\.$"),
        ("arrays", r"\(data\.dataset makes one\), got a tuple: "),
        ("IMAGES", r"^data must be a function that returns a Dataset, got .*\.IMAGES, a ndarray\.$"),
        ("owm", r"has no owm\)\. Perhaps you meant own\?$"),
    ],
)
def test_what_is_no_data_set_is_one_line(name, message):
    with pytest.raises(ValueError, match=message) as caught:
        load(f"{__name__}.{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"train": (IMAGES.astype(np.int32), LABELS)}, r"^train: images must be uint8 of shape .* got int32 of "),
        (
            {"train": (IMAGES[:0], LABELS[:0]), "classes": 2},
            r"^train: images must be at least one, got the shape \(0, 4, 4, 1\)\.$",
        ),
        ({"train": (IMAGES, LABELS[:5])}, r"^train: labels must be 20 whole numbers, one for each image, got int64 "),
        ({"train": (IMAGES, LABELS - 1)}, r"^train: labels must be from 0 to 2, got -1\.$"),
        ({"train": (IMAGES, LABELS), "classes": 3}, r"^train: labels must be from 0 to 2, got 3\.$"),
        ({"train": (IMAGES, LABELS * 0)}, r"^classes must be at least 2 for labels that are whole numbers, got 1\.$"),
        ({"train": (IMAGES, LABELS / 2), "classes": 4}, r"^classes must be 0 for labels that are floats, got 4\.$"),
        ({"train": (IMAGES, LABELS), "class_names": "ab"}, r"^train: labels must be from 0 to 1, got 2\.$"),
        ({"train": (IMAGES, LABELS), "classes": 4, "class_names": "ab"}, r"^class_names must be 4, .* got 2\.$"),
        ({"train": (IMAGES, LABELS), "test": (IMAGES[:, :2], LABELS)}, r"^images must have one shape in all splits"),
        ({"train": (np.full((4, 2), np.inf), LABELS[:4])}, r"^train: images must be finite float32 numbers"),
        ({"train": (IMAGES, LABELS.astype(str))}, r"^train: labels must be 20 floats, one for each image, got <U"),
        ({"train": (IMAGES, np.full(20, np.inf))}, r"^train: labels must be finite float32 numbers"),
        ({"train": (IMAGES, np.full(20, np.nan))}, r"^train: labels must be finite float32 numbers"),
        ({"train": (IMAGES[:8], LABELS[:8])}, r"^test must be given where a fifth of each class is no example, got 8 "),
        ({"train": (IMAGES, LABELS), "pad": -1}, "^pad must be a whole number of pixels, at least 0, got -1"),
        ({"train": (np.ones((20, 3)), LABELS), "flip": True}, "^pad and flip must be left out for rows of numbers"),
        ({"train": (IMAGES * 0, LABELS)}, r"^a channel of the training images must vary, got one of 0 alone\.$"),
    ],
)
def test_dataset_of_other_arrays_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        data.dataset(**words)
