"""Prepared folders that were damaged, with and without a seal: one line that names the file, or the same data."""

import collections
import contextlib
import io
import os
import pathlib
import random
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from lrsched import cli
from lrsched.training import cache, data, prepare, prepared, tabular
from lrsched.training.cifar_labels import CIFAR10

FILES = [
    *(f"cifar10-{split}.array_record-00000-of-00001" for split in ("train", "test")),
    *("dataset_info.json", "features.json", "label.labels.txt", "lrsched.json"),
]
DAMAGE: dict[str, Callable[[pathlib.Path, bytes], object]] = {
    "missing": lambda path, content: path.unlink(),
    "emptied": lambda path, content: path.write_bytes(b""),
    "halved": lambda path, content: path.write_bytes(content[: len(content) // 2]),
    "cut to 64 KiB": lambda path, content: path.write_bytes(content[: min(1 << 16, len(content) - 2)]),
    "longer": lambda path, content: path.write_bytes(content + b"\n\n"),
    "not UTF-8": lambda path, content: path.write_bytes(b"\xff\xfe" * 20),
    "null": lambda path, content: path.write_bytes(b"null"),
    "an empty list": lambda path, content: path.write_bytes(b"[]"),
    "an empty object": lambda path, content: path.write_bytes(b"{}"),
    "a brace": lambda path, content: path.write_bytes(b"{"),
    "nested": lambda path, content: path.write_bytes(b"[" * 100_000),
    "a folder": lambda path, content: (path.unlink(), path.mkdir()),
    "a pipe": lambda path, content: (path.unlink(), os.mkfifo(path)),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A small CIFAR-10 and a made-up Boston, both prepared; copied for each test."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    for split, n in (("train", 3), ("test", 1)):
        for name in CIFAR10:
            (folder / "images" / split / name).mkdir(parents=True)
            for index in range(n):
                pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(folder / "images" / split / name / f"{index}.png")
    (folder / "boston.csv").write_text(tabular.csv(np.round(rng.uniform(0, 100, (506, 14)), 3)))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(tempfile, "tempdir", str(folder))  # where TFDS forgets empty folders
        prepare.prepare("cifar10", data_dir=folder / "data", source=folder / "images")
        prepare.prepare("boston", data_dir=folder / "data", source=folder / "boston.csv")
    yield folder
    assert "tensorflow" not in sys.modules


@pytest.fixture
def root(made: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path / "cache"))
    shutil.copytree(made / "data", tmp_path / "data")
    return tmp_path / "data"


def unsealed(root: pathlib.Path) -> pathlib.Path:
    """As TFDS itself leaves it."""
    (root / "cifar10" / "3.0.2" / "lrsched.json").unlink()
    return root


def refusal(name: str, root: pathlib.Path) -> str:
    """What is said of a set that cannot be read, in one line that names the way out."""
    with pytest.raises(ValueError, match=".") as caught:
        data.load(name, data_dir=root)
    said = str(caught.value)
    assert "\n" not in said
    assert (
        f"remove the folder {next((root / name).iterdir())} and prepare it with `lrsched data prepare {name} " in said
    )
    return said


@pytest.mark.parametrize(
    ("file", "damage"),
    [(file, damage) for file in FILES for damage in DAMAGE if (file, damage) != ("lrsched.json", "missing")],
)
def test_damaged_file_of_a_sealed_set_is_named(file: str, damage: str, root: pathlib.Path) -> None:
    path = root / "cifar10" / "3.0.2" / file
    DAMAGE[damage](path, path.read_bytes())
    assert refusal("cifar10", root).startswith(f"{path} must be as it was prepared, got ")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", FILES[:3])
def test_damaged_file_of_a_set_without_a_seal_is_named(file: str, damage: str, root: pathlib.Path) -> None:
    path = unsealed(root) / "cifar10" / "3.0.2" / file
    before = data.load("cifar10", data_dir=root).digest
    DAMAGE[damage](path, path.read_bytes())
    if damage == "longer" and path.suffix == ".json":  # blanks at the end, which JSON may have
        assert data.load("cifar10", data_dir=root).digest == before
    else:
        assert refusal("cifar10", root).startswith(f"{path} must be as it was prepared, got ")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", FILES[3:5])
def test_file_that_says_nothing_of_the_numbers_may_be_damaged_without_a_seal(
    file: str, damage: str, root: pathlib.Path
) -> None:
    whole = data.load("cifar10", data_dir=root).digest
    path = unsealed(root) / "cifar10" / "3.0.2" / file
    DAMAGE[damage](path, path.read_bytes())
    assert data.load("cifar10", data_dir=root).digest == whole


@pytest.mark.slow
@pytest.mark.parametrize("sealed", [True, False])
def test_of_300_altered_bytes_none_passes_as_other_data(sealed: bool, root: pathlib.Path) -> None:
    whole = data.load("cifar10", data_dir=root if sealed else unsealed(root)).digest
    files = sorted((root / "cifar10" / "3.0.2").iterdir())
    draw, outcomes = random.Random(0), collections.Counter[str]()
    for _ in range(300):
        file = draw.choice(files)
        content = file.read_bytes()
        place = draw.randrange(len(content))
        file.write_bytes(content[:place] + bytes([content[place] ^ draw.randrange(1, 256)]) + content[place + 1 :])
        try:
            found = data.load("cifar10", data_dir=root).digest
        except ValueError as error:
            found = "refused" if file.name in str(error) and "\n" not in str(error) else str(error)
        outcomes[found] += 1
        file.write_bytes(content)
    assert outcomes["refused"] + outcomes[whole] == 300
    assert outcomes["refused"] == 300 if sealed else outcomes["refused"] > 30


def replace_in_info(root: pathlib.Path, old: str, new: str) -> pathlib.Path:
    path = unsealed(root) / "cifar10" / "3.0.2" / "dataset_info.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize("number", ["29", "31", "300000000000", "-1", "0"])
def test_another_number_of_examples_in_dataset_info_is_noticed(number: str, root: pathlib.Path) -> None:
    replace_in_info(root, '"30"', f'"{number}"')
    said = refusal("cifar10", root)
    assert f"{FILES[0]} must be as it was prepared, got 30 examples, where dataset_info.json has {number};" in said


@pytest.mark.parametrize(("old", "new"), [('"train"', '"training"'), ("array_record", "riegeli"), ("shardL", "shardl")])
def test_dataset_info_of_other_files_is_noticed(old: str, new: str, root: pathlib.Path) -> None:
    path = replace_in_info(root, old, new)
    assert refusal("cifar10", root).startswith(f"{path} must be as it was prepared, got ")


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_boston_is_named(damage: str, root: pathlib.Path) -> None:
    path = root / "boston" / "1.0.0" / "boston.csv"
    DAMAGE[damage](path, path.read_bytes())
    assert refusal("boston", root).startswith(f"{path} must be as it was prepared, got ")


@pytest.mark.parametrize("damage", [each for each in DAMAGE if each not in ("longer", "cut to 64 KiB")])
def test_damaged_boston_without_a_seal_is_named(damage: str, root: pathlib.Path) -> None:
    path = root / "boston" / "1.0.0" / "boston.csv"
    (path.parent / "lrsched.json").unlink()
    DAMAGE[damage](path, path.read_bytes())
    assert refusal("boston", root).startswith(f"{path} must be as it was prepared, got ")


@pytest.mark.parametrize("name", ["cifar10", "boston"])
def test_prepare_over_a_damaged_set_does_not_say_that_it_is_prepared(name: str, root: pathlib.Path) -> None:
    folder = next((root / name).iterdir())
    file = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(file, 100)
    with pytest.raises(ValueError, match=rf"^{file} must be as it was prepared, .*; remove the folder {folder} and "):
        prepare.prepare(name, data_dir=root, source="nowhere")


def test_list_names_the_damaged_set_and_lists_the_others(root: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    path = root / "cifar10" / "3.0.2" / "dataset_info.json"
    path.write_text("{")
    assert cli.main(["data", "list", "--data-dir", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: line.split()[1:] for line in lines[: len(data.SOURCES)]}
    assert list(found) == list(data.SOURCES)
    assert (found["digits"][:2], found["cifar10"]) == (["1.0.0", "1,438"], ["-", "damaged"])
    assert found["boston"] == ["1.0.0", "405", "train", "examples,", "101", "test", "examples"]
    assert lines[-1].startswith(f"cifar10: {path} must be as it was prepared, got an altered file; remove the ")


def test_list_says_what_upstream_has(root: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    cli.main(["data", "list", "--data-dir", str(root)])
    said = "30 train examples, upstream has 50,000; 10 test examples, upstream has 10,000"
    assert f"cifar10          3.0.2    {said}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("train", "words"), [(50_000, "50,000 train"), (49_999, "49,999 train examples, upstream has")]
)
def test_numbers_differ_from_upstreams_by_one(train: int, words: str) -> None:
    assert prepared.numbers("cifar10", train, 10_000).startswith(words)
    assert ("upstream" in prepared.numbers("cifar10", train, 10_000)) is (train != 50_000)


def test_data_of_other_bytes_but_the_same_names_sizes_and_times_is_other_data(
    made: pathlib.Path, root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(made / "images", tmp_path / "images")
    for split in ("train", "test"):
        cat, dog, other = (tmp_path / "images" / split / name for name in ("cat", "dog", "other"))
        cat.rename(other), dog.rename(cat), other.rename(dog)
    prepare.prepare("cifar10", data_dir=tmp_path / "second", source=tmp_path / "images")
    stats = []
    for place in (root, tmp_path / "second"):
        shards = sorted((place / "cifar10" / "3.0.2").glob("*array_record*"))
        for shard in shards:
            os.utime(shard, (1, 1))
        stats.append([(shard.name, shard.stat().st_size, shard.stat().st_mtime_ns) for shard in shards])
    assert stats[0] == stats[1]  # array_record fills up to 64 KiB
    first = data.load("cifar10", data_dir=root)
    second = data.load("cifar10", data_dir=tmp_path / "second")
    assert first.digest != second.digest
    shutil.rmtree(tmp_path / "cache")
    assert data.load("cifar10", data_dir=tmp_path / "second").digest == second.digest


@pytest.mark.slow
def test_of_100_flipped_bits_in_the_cached_images_none_passes(root: pathlib.Path) -> None:
    whole = data.load("cifar10", data_dir=root).digest
    kept, draw = sorted(cache.folder("data").iterdir()), random.Random(0)
    assert len(kept) == 4  # images and labels of two splits
    for _ in range(100):
        file = draw.choice(kept)
        content = file.read_bytes()
        place = draw.randrange(len(content))
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :])
        assert data.load("cifar10", data_dir=root).digest == whole
        assert file.read_bytes() == content  # made anew


def test_extra_shards_of_svhn_are_not_read(root: pathlib.Path) -> None:
    folder = root / "cifar10" / "3.0.2"
    (folder / "cifar10-extra.array_record-00000-of-00001").write_bytes(b"x")
    (folder / "lrsched.json").unlink()
    prepared.seal(folder)
    assert set(prepared.checksums("cifar10", root, folder)) == set(FILES) - {"lrsched.json"}


@pytest.mark.parametrize("size", [(32, 33), (10_000, 10_000), (40_000, 40_000)])
def test_image_of_another_size_is_not_decoded(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "convert", None)  # calling it would raise
    with pytest.raises((ValueError, Image.DecompressionBombError), match="pixels"):
        prepared._decode_image(bomb(*size), (32, 32, 3))


def bomb(width: int, height: int) -> bytes:
    """A PNG file of these measures, and of little else."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "png")
    content = bytearray(buffer.getvalue())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(content[:29] + zlib.crc32(content[12:29]).to_bytes(4, "big") + content[33:])
