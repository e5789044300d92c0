"""Arrays cached on disk, each with a checksum: a damaged or renamed file counts as missing."""

import contextlib
import hashlib
import io
import pathlib

import numpy as np

from lrsched import files
from lrsched.training import devices


def folder(kind: str) -> pathlib.Path:
    """The folder for one kind of arrays: $LRSCHED_CACHE/KIND, else lrsched/KIND in the user's cache.

    Raises:
      ValueError: if LRSCHED_CACHE is a URL.
    """
    return devices.cache_folder() / kind


def load(path: pathlib.Path) -> np.ndarray | None:
    """The array that `keep` wrote to this path; None if there is none, or if a byte or the name has changed."""
    try:
        content = memoryview(path.read_bytes() if path.is_file() else b"")
    except OSError:
        return None
    body, checksum = content[:-32], content[-32:]
    if _checksum(path, body) != checksum:
        return None
    array: np.ndarray = np.load(io.BytesIO(body))
    return array


def keep(path: pathlib.Path, array: np.ndarray) -> None:
    """Writes the whole file or nothing. A cache that cannot be written costs only time, so it is no error.

    The file is `np.save`'s, followed by the SHA-256 of its name and of those bytes.
    """
    buffer = io.BytesIO()
    np.save(buffer, array)
    with contextlib.suppress(OSError), files.replacing(path) as beside, beside.open("wb") as file:
        file.write(buffer.getbuffer())
        file.write(_checksum(path, buffer.getbuffer()))


def _checksum(path: pathlib.Path, body: memoryview) -> bytes:
    sha = hashlib.sha256(path.name.encode())
    sha.update(body)
    return sha.digest()
