"""What each word of the command line does: `lrsched X` is X.py, with `XConfig` and `run(config, report)`.

A new command is one new file here: its first line is what `lrsched --help` says of it.
"""

from __future__ import annotations

import pathlib
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """A command's result, the text to print, the files and folders it wrote, and the exit status."""

    result: Any
    text: str
    files: list[pathlib.Path]
    status: int = 0
