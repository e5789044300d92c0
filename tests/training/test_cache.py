"""Arrays in the cache: what was kept is read, and nothing else is."""

import os
import pathlib
import random

import numpy as np
import pytest

from lrsched.training import cache

ARRAY = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), np.uint8)


@pytest.fixture
def kept(tmp_path: pathlib.Path) -> pathlib.Path:
    cache.keep(tmp_path / "a.npy", ARRAY)
    return tmp_path / "a.npy"


def test_kept_array_is_read(kept: pathlib.Path) -> None:
    np.testing.assert_array_equal(cache.load(kept), ARRAY)


def test_kept_array_with_any_flipped_bit_is_not_read(kept: pathlib.Path) -> None:
    content, draw = kept.read_bytes(), random.Random(0)
    for _ in range(400):
        flipped = bytearray(content)
        flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        kept.write_bytes(flipped)
        assert cache.load(kept) is None


@pytest.mark.parametrize("size", [0, 10, 31, 32, 200])
def test_kept_array_cut_short_is_not_read(kept: pathlib.Path, size: int) -> None:
    os.truncate(kept, size)
    assert cache.load(kept) is None


def test_kept_array_under_another_name_is_not_read(kept: pathlib.Path) -> None:
    kept.rename(kept.with_name("b.npy"))
    assert cache.load(kept.with_name("b.npy")) is None


def test_what_is_no_file_is_not_read(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")  # opening it would wait for ever
    (tmp_path / "folder.npy").mkdir()
    assert [cache.load(tmp_path / name) for name in ("pipe.npy", "folder.npy", "missing.npy")] == [None] * 3


@pytest.mark.parametrize("url", ["gs://bucket/cache", "s3://bucket", "file:///tmp/cache"])
def test_cache_at_a_url_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSCHED_CACHE", url)
    with pytest.raises(ValueError, match=r"^LRSCHED_CACHE must be a local folder, got the URL "):
        cache.folder("data")
