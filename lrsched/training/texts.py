"""Texts as bytes: a file of the user's, tiny_shakespeare as TFDS has it, and one that comes with scikit-learn.

A text is cut into windows of WINDOW bytes, which are the examples: a model is given a window and predicts each of its
bytes from those before it in the window. Windows do not overlap, so an epoch is one pass over the text, and evaluation
predicts every byte of its part once. The parts follow each other in the text: training, held-out, test. Windows are
counted from the text's end, and what is left over, fewer than WINDOW bytes at its very beginning, is not used.
"""

import importlib.util
import pathlib

import numpy as np

from lrsched import files
from lrsched.training import prepared
from lrsched.training.splits import Raw

WINDOW = 128  # bytes; a power of two, so that means over windows are exact in float32
BYTES = 256  # different ones
LEAST = 10  # windows of a text
MAX_BYTES = 1 << 30
TEST_FRACTION = 0.1  # of the windows, where no test set is published
SPLITS = ("train", "validation", "test")  # as TFDS has them
URLS = {  # where TFDS downloads
    "tiny_shakespeare": "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
}
VERSION = "1.0.0"


def cut(text: bytes, *, name: str, holdout: int = 0, test: int | None = None, version: str = VERSION) -> Raw:
    """The windows of a text, in its order.

    Args:
      name: for messages.
      holdout, test: bytes at the end that are held-out and test part, each rounded up to whole windows; test None:
        TEST_FRACTION of the windows; holdout 0: `load` takes a part of the training set if it is asked for one.
    Raises:
      ValueError: if the text is too short.
    """
    count = len(text) // WINDOW
    if count < LEAST:
        raise ValueError(
            f"data must be a text of at least {LEAST * WINDOW:,} bytes ({LEAST} windows of {WINDOW}), got "
            f"{len(text):,} in {name}."
        )
    windows = np.frombuffer(text, np.uint8)[len(text) - count * WINDOW :].reshape(count, WINDOW)
    tested = round(TEST_FRACTION * count) if test is None else -(-test // WINDOW)
    held = -(-holdout // WINDOW)
    train, kept, last = (part.copy() for part in np.split(windows, [count - tested - held, count - tested]))
    return Raw(version, BYTES, (train, train), (last, last), (kept, kept) if held else None)


def is_file(name: str) -> bool:
    """Whether the name of a data set is that of a text file: it ends in .txt."""
    return name.lower().endswith(".txt")


def read_file(name: str) -> Raw:
    """A text file of the user's.

    Raises:
      ValueError: if it is not there, no file, too long or too short.
    """
    path = files.local_folder("data", name)
    return cut(read_bytes(path), name=str(path), version="")


def read_bytes(path: pathlib.Path) -> bytes:
    """The bytes of a file that the user gave.

    Raises:
      ValueError: if it is not there, no file or too long.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file" if path.exists() else "not there"
        raise ValueError(f"data must be a text file, got {path}, which is {what}.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"data must be a text of at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,} in {path}.")
    return path.read_bytes()


def divide(text: str) -> dict[str, str]:
    """TFDS's splits of a text: 90 % of its characters, half of the others, and the rest."""
    first = int(len(text) * 0.9)
    second = first + int((len(text) - first) * 0.5)
    return dict(zip(SPLITS, (text[:first], text[first:second], text[second:]), strict=True))


def descriptions(name: str, root: pathlib.Path) -> Raw:
    """scikit-learn's descriptions of its data sets, in the order of their file names: 43 kB of English with markup."""
    spec = importlib.util.find_spec("sklearn")  # which does not import it
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("scikit-learn must be installed, which holds this text: pip install scikit-learn.")
    folder = pathlib.Path(spec.submodule_search_locations[0], "datasets", "descr")
    return cut(b"".join(path.read_bytes() for path in sorted(folder.glob("*.rst"))), name=str(folder))


def read_prepared(name: str, root: pathlib.Path) -> Raw:
    """A text as TFDS prepares it; its validation split is the held-out part.

    The splits of TFDS follow each other in one text. Each of the last two begins a little earlier here, by less than a
    window, so that it consists of whole ones.

    Raises:
      ValueError: if it is not prepared, or damaged.
    """
    builder = prepared.upstream_builder(name)
    version = str(builder.version)
    folder = root / name / version
    if not (folder / prepared.INFO).exists():
        raise ValueError(f"{name} {version} is not prepared in {root}; {prepared.how_to_prepare(name, root)}")
    found = read_splits(name, root, folder, builder.info.features)
    sizes = {split: len(text) for split, text in found.items()}
    text = b"".join(found.values())
    return cut(text, name=str(folder), holdout=sizes["validation"], test=sizes["test"], version=version)


def read_splits(name: str, root: pathlib.Path, folder: pathlib.Path, features: object) -> dict[str, bytes]:
    """The bytes of each split of a prepared folder, whose files are checked.

    Raises:
      ValueError: naming the file that is missing or damaged.
    """
    held = {split: prepared.shards(name, folder, split) for split in SPLITS}
    needed = [file.name for shards in held.values() for file in shards]
    prepared.checksums(name, root, folder, needed=(prepared.INFO, *needed))
    return {split: b"".join(prepared.texts(name, root, folder, split, features)) for split in SPLITS}
