"""Files that are there whole or not at all: written beside and renamed, UTF-8 everywhere, sealed, locked.

A sealed text is a JSON object that begins with the SHA-256 of all the bytes that follow it, so that a changed byte
anywhere in it is noticed:

    {"sha256": "HEX", "run": ...}

Any part of the package may use this module; it imports none of them.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

Path = str | os.PathLike[str]

_SEAL = re.compile(rb'\{"sha256": "([0-9a-f]{64})",')
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def local_folder(name: str, path: Path) -> pathlib.Path:
    """A path that the user gave, with ~ expanded.

    Raises:
      ValueError: for a URL (gs://bucket/x), of which pathlib would make a local folder, and for an empty path.
    """
    text = os.fspath(path)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text):
        raise ValueError(f"{name} must be a local folder, got the URL {text}.")
    if not text or "\0" in text:
        raise ValueError(f"{name} must name a folder, got {text!r}.")
    try:
        return pathlib.Path(text).expanduser()
    except RuntimeError as error:  # ~somebody who is not there
        raise ValueError(f"{name} must be a local folder, got {text}: {error}") from error


def out_folder(out: Path | None, default: str) -> pathlib.Path:
    """The folder of results that the user gave, or the default one.

    Raises:
      ValueError: as `local_folder`.
    """
    return local_folder("out", default if out is None else out)


def check_writable(name: str, folder: Path) -> None:
    """Makes a folder and sees that files can be written in it, before hours are spent on what goes there.

    Raises:
      ValueError: if it cannot be made or written, or is a file.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{name} must be a folder that can be written, got {folder}: {error.strerror}.") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[pathlib.Path]:
    """A file beside `path`, with the same ending, that takes its place when the `with` ends without an error.

    The folder is made if it is missing. What was at `path` before stays there until then.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    beside = pathlib.Path(name)
    try:
        yield beside
        beside.chmod(0o666 & ~_umask())
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _umask() -> int:
    now = os.umask(0o022)
    os.umask(now)
    return now


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file, whole or not at all; lines end in a newline alone on every system."""
    with replacing(path) as beside:
        beside.write_bytes(text.encode())


def read_text(path: Path) -> str:
    """Reads a UTF-8 file; a byte-order mark at its beginning is left out.

    Raises:
      ValueError: naming the file, if it is not UTF-8.
      FileNotFoundError: if it is not there.
    """
    try:
        return pathlib.Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8, got byte {error.start} that is not.") from None


def read_csv(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    """Reads the lines of a CSV file, whatever ends them, by the names in the first.

    Raises:
      ValueError: if a quotation mark is never closed, or a field is longer than 128 kB.
    """
    try:
        return list(csv.DictReader(io.StringIO(text, newline=None), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ValueError(f"must be CSV, got {error}.") from None


def seal(document: Mapping[str, Any], *, indent: int | None = None) -> str:
    """A JSON object as text that begins with the SHA-256 of the rest; keys sorted.

    Raises:
      ValueError: if it holds NaN or infinity, or what is no JSON.
    """
    if not document or "sha256" in document:
        raise ValueError(f"a document must have fields, and none called sha256, got {sorted(document)}.")
    try:
        rest = json.dumps(document, sort_keys=True, allow_nan=False, indent=indent)[1:]
    except (TypeError, ValueError) as error:
        raise ValueError(f"a document must be JSON with finite numbers: {error}.") from None
    rest = rest if indent else f" {rest}"
    return f'{{"sha256": "{hashlib.sha256(rest.encode()).hexdigest()}",{rest}'


def unseal(text: bytes) -> dict[str, Any] | None:
    """The document of a sealed text, without its checksum; None if the text is not sealed.

    Raises:
      ValueError: if a byte of it was changed.
    """
    found = _SEAL.match(text)
    if not found:
        return None
    rest = text[found.end() :]
    if hashlib.sha256(rest).hexdigest().encode() != found[1]:
        raise ValueError("its SHA-256 is not the one written with it")
    return dict(json.loads(b"{" + rest))


def write_json(path: Path, document: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Writes a sealed JSON object, whole or not at all."""
    write_text(path, seal(document, indent=indent) + "\n")


def read_json(path: Path, *, unsealed: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Reads what `write_json` wrote.

    Args:
      unsealed: the fields of a file from before there were seals; one that has these and no others is read as it is.
    Raises:
      ValueError: naming the file, if it was altered or is no JSON object.
      FileNotFoundError: if it is not there.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except IsADirectoryError:
        raise ValueError(f"{path} must be a file, got a folder.") from None
    try:
        return _document(content.removesuffix(b"\n"), unsealed)
    except ValueError as error:
        raise ValueError(f"{path} must be as it was written, got an altered file: {error}.") from None


def _document(text: bytes, unsealed: frozenset[str]) -> dict[str, Any]:
    """The document of a sealed text, or of one without a seal whose fields were written before there were seals."""
    document = unseal(text)
    if document is not None:
        return document
    try:
        document = json.loads(text)
    except (RecursionError, ValueError):
        raise ValueError("it is no JSON object") from None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    if not unsealed or not document.keys() <= unsealed:
        raise ValueError("it has no SHA-256 of its own")
    return document


class Lines(NamedTuple):
    """The documents of a file of sealed lines, and what is wrong with the lines that are left out."""

    rows: list[dict[str, Any]]
    damaged: list[str]  # one sentence each
    torn_at: int | None  # where a last line begins that has no newline: a process was killed as it wrote


def read_lines(path: Path, *, unsealed: frozenset[str] = frozenset()) -> Lines:
    """Reads a file of sealed lines; none if it is not there.

    Args:
      unsealed: as for `read_json`.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Lines([], [], None)
    except IsADirectoryError:
        raise ValueError(f"{path} must be a file, got a folder.") from None
    rows, damaged = [], []
    *lines, last = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_document(line, unsealed))
        except ValueError as error:
            damaged.append(f"{path}, line {number}, was altered since it was written ({error}): it is not used.")
    if last:
        with contextlib.suppress(ValueError):  # all of it but its newline, as some editors leave a file
            if (whole := unseal(last)) is not None:
                return Lines([*rows, whole], damaged, None)
    return Lines(rows, damaged, len(content) - len(last) if last else None)


def append_line(path: Path, document: Mapping[str, Any]) -> None:
    """Appends one sealed line, on disk when this returns; a torn last line is cut off first.

    Raises:
      ValueError: if the document is no JSON with finite numbers. Nothing is written then.
      OSError: if the file cannot be written or locked.
    """
    line = (seal(document) + "\n").encode()
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path, wait=True) as file:
        torn = read_lines(path).torn_at
        if torn is not None:
            file.truncate(torn)
        elif not _ends_a_line(path):
            file.write(b"\n")
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _ends_a_line(path: pathlib.Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        return file.read(1) in (b"", b"\n")


def locks() -> bool:
    """Whether files are locked: not with LRSCHED_LOCKS=none."""
    return os.environ.get("LRSCHED_LOCKS") != "none"


def lock(path: Path, *, wait: bool = False) -> IO[bytes]:
    """Opens a file for appending and locks it; closing it, and any end of the process, unlocks it.

    With LRSCHED_LOCKS=none nothing is locked: for file systems without locks, where one process alone may then write.

    Args:
      wait: until another process has unlocked it.
    Raises:
      BlockingIOError: if another process (or another open file of this one) holds the lock.
      OSError: if the file cannot be opened, or the file system has no locks.
    """
    with contextlib.ExitStack() as undo:
        file = undo.enter_context(open(path, "ab"))
        if locks():
            _flock(file, wait=wait)
        undo.pop_all()
        return file


def _flock(file: IO[bytes], *, wait: bool) -> None:
    way = "set LRSCHED_LOCKS=none if no other process writes there, or name another folder"
    try:
        import fcntl
    except ImportError:  # Windows
        raise OSError(f"{file.name} cannot be locked on this system: {way}.") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise OSError(
                f"{file.name} cannot be locked, its file system has no locks ({error.strerror}): {way}."
            ) from error
        raise
