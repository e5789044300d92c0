"""Pickles of arrays, of each protocol; and pickles that would call something."""

import os
import pickle
from typing import Any

import numpy as np
import pytest

from lrsched.training import pickles

DATA = np.random.default_rng(0).integers(0, 256, (4, 6), np.uint8)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_each_protocol_are_those_that_pickle_loads(protocol: int) -> None:
    made = {"a": DATA, b"f": np.asfortranarray(DATA), "i": np.arange(3, dtype=">i4"), "n": [1, np.int64(2)], "t": b"x"}
    found = pickles.load(pickle.dumps(made, protocol))
    assert list(found) == ["a", "f", "i", "n", "t"]
    for key, value in zip(("a", "f", "i"), (DATA, DATA, np.arange(3)), strict=True):
        np.testing.assert_array_equal(found[key], value)
    assert (found["n"], found["t"]) == ([1, 2], b"x")


def test_pickle_of_python_2_is_read() -> None:
    # What Python 2 writes for {"labels": [3], "data": numpy.zeros((1, 2), numpy.uint8)}: text as bytes, at protocol 2.
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01K\x02\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x02\x07\x09tb"
    )
    found = pickles.load(b"\x80\x02}(U\x06labels]K\x03aU\x04data" + array + b"u.")
    assert found["labels"] == [3]
    np.testing.assert_array_equal(found["data"], [[7, 9]])


class Calls:
    def __init__(self, function: Any, *words: object) -> None:
        self.called = (function, words)

    def __reduce__(self) -> Any:
        return self.called


@pytest.mark.parametrize("function", [os.system, eval, os.mkdir, np.load, np.fromfile, np.loadtxt])
def test_pickle_that_calls_a_function_is_refused_uncalled(function: Any, tmp_path: Any) -> None:
    content = pickle.dumps({"data": Calls(function, str(tmp_path / "made"))})
    with pytest.raises(ValueError, match=r"^a pickle must be a dictionary of plain arrays, got .* is not allowed\.$"):
        pickles.load(content)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("value", [np.array([None, 1]), np.zeros(2), np.array(["a"]), np.zeros(1, "V3")])
def test_arrays_of_other_types_are_refused(value: np.ndarray) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        pickles.load(pickle.dumps({"data": value}))


@pytest.mark.parametrize("content", [b"", b"\x80", b"junk", pickle.dumps([1]), pickle.dumps({"a": DATA})[:-20]])
def test_what_is_no_pickled_dictionary_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="^a pickle must be a dictionary of plain arrays, got "):
        pickles.load(content)
