"""Texts as windows of bytes: what each part holds, prepared folders, and files of the user's."""

import pathlib

import numpy as np
import pytest

from lrsched.training import data as datasets
from lrsched.training import prepare, prepared, texts
from lrsched.training.texts import WINDOW

TEXT = bytes(np.random.default_rng(0).integers(0, 256, 40 * WINDOW + 17, np.uint8))


def _file(folder: pathlib.Path, content: bytes = TEXT) -> str:
    (folder / "text.txt").write_bytes(content)
    return str(folder / "text.txt")


def test_parts_of_a_file_follow_each_other_and_hold_every_byte_once(tmp_path: pathlib.Path) -> None:
    found = datasets.load(_file(tmp_path), holdout_fraction=0.25)
    assert found.holdout is not None
    parts = [found.train, found.holdout, found.test]
    assert [len(part) for part in parts] == [27, 9, 4]  # a tenth of 40, then a quarter of 36
    assert b"".join(part.images.tobytes() for part in parts) == TEXT[17:]
    assert all(part.images.dtype == np.uint8 and np.array_equal(part.images, part.labels) for part in parts)
    assert (found.text, found.tabular, found.classes, found.mean) == (True, False, 256, ())


def test_test_part_is_the_same_whatever_is_held_out(tmp_path: pathlib.Path) -> None:
    name = _file(tmp_path)
    first, second = datasets.load(name), datasets.load(name, holdout_fraction=0.5)
    np.testing.assert_array_equal(first.test.images, second.test.images)
    assert first.digest != second.digest


def test_holdout_fraction_too_small_for_a_window_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"^holdout_fraction must be 0, or enough for one example, got 0\.001\.$"):
        datasets.load(_file(tmp_path), holdout_fraction=0.001)


@pytest.mark.parametrize("size", [0, 1, 10 * WINDOW - 1])
def test_text_too_short_is_refused(size: int, tmp_path: pathlib.Path) -> None:
    name = _file(tmp_path, TEXT[:size])
    expected = rf"^data must be a text of at least 1,280 bytes \(10 windows of 128\), got {size:,} in {name}\.$"
    with pytest.raises(ValueError, match=expected):
        datasets.load(name)


def test_shortest_text_has_a_window_to_test(tmp_path: pathlib.Path) -> None:
    found = datasets.load(_file(tmp_path, TEXT[: 10 * WINDOW]))
    assert (len(found.train), len(found.test)) == (9, 1)


@pytest.mark.parametrize(("name", "what"), [("no.txt", "not there"), ("folder.txt", "a folder")])
def test_path_that_is_no_file_is_refused(name: str, what: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(ValueError, match=rf"^data must be a text file, got {tmp_path / name}, which is {what}\.$"):
        datasets.load(str(tmp_path / name))


def test_descriptions_are_scikit_learns_own() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    found = datasets.load("descriptions")
    whole = b"".join(part.images.tobytes() for part in (found.train, found.test))
    assert sklearn.load_wine().DESCR.encode()[-2000:] in whole
    assert len(found.test) == round(0.1 * (len(found.train) + len(found.test)))


WORDS = "".join(f"{number} naïve words\n" for number in range(400))  # a letter of two bytes


def _prepared(folder: pathlib.Path) -> pathlib.Path:
    (folder / "input.txt").write_text(WORDS)
    return prepare.prepare("tiny_shakespeare", data_dir=folder / "root", source=folder / "input.txt")


def test_prepared_text_is_read_through_tfds(tmp_path: pathlib.Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    written = _prepared(tmp_path)
    source = tfds.builder("tiny_shakespeare", data_dir=tmp_path / "root", file_format="array_record").as_data_source()
    assert "".join(source[split][0]["text"].decode() for split in texts.SPLITS) == WORDS
    assert (written / prepared.SEAL).is_file()


def test_parts_of_a_prepared_text_are_upstreams_in_whole_windows(tmp_path: pathlib.Path) -> None:
    _prepared(tmp_path)
    found = datasets.load("tiny_shakespeare", data_dir=tmp_path / "root", holdout_fraction=0.1)
    assert found.holdout is not None
    parts = [part.images.tobytes() for part in (found.train, found.holdout, found.test)]
    assert WORDS.encode().endswith(b"".join(parts))
    first = int(len(WORDS) * 0.9)
    second = first + int((len(WORDS) - first) / 2)
    for part, words in zip(parts[1:], (WORDS[first:second], WORDS[second:]), strict=True):
        assert len(part) - WINDOW < len(words.encode()) <= len(part)
    assert datasets.load("tiny_shakespeare", data_dir=tmp_path / "root").holdout is None


@pytest.mark.parametrize("split", texts.SPLITS)
def test_changed_byte_of_a_prepared_text_is_noticed(split: str, tmp_path: pathlib.Path) -> None:
    (shard,) = prepared.shards("tiny_shakespeare", _prepared(tmp_path), split)
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=rf"^{shard} must be as it was prepared, got an altered file; remove"):
        datasets.load("tiny_shakespeare", data_dir=tmp_path / "root")


def test_text_that_is_not_prepared_is_refused(tmp_path: pathlib.Path) -> None:
    how = r"prepare it with `lrsched data prepare tiny_shakespeare \[--from FILE\]"
    with pytest.raises(ValueError, match=rf"^tiny_shakespeare 1\.0\.0 is not prepared in {tmp_path}; {how}"):
        datasets.load("tiny_shakespeare", data_dir=tmp_path)


def test_prepared_text_is_left_as_it_is(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in _prepared(tmp_path).iterdir()}
    capsys.readouterr()
    _prepared(tmp_path)
    assert capsys.readouterr().out == f"tiny_shakespeare 1.0.0 is already prepared in {tmp_path / 'root'}\n"
    assert {path: path.read_bytes() for path in before} == before
