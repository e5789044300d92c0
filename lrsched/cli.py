"""The command line: it parses, shows progress, and says a mistake in one line (exit status 2)."""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import io
import os
import re
import sys
from typing import Annotated, Any

import rich.console
import tyro

from lrsched import files
from lrsched.commands import ensemble as ensembles
from lrsched.commands import range_test as sweep
from lrsched.commands import schedules as catalogue
from lrsched.commands import search as searches
from lrsched.commands import study as studies
from lrsched.commands import tune as tuning
from lrsched.commands.ensemble import EnsembleConfig
from lrsched.commands.range_test import RangeTestConfig
from lrsched.commands.schedules import Catalogue
from lrsched.commands.search import SearchConfig
from lrsched.commands.study import StudyConfig
from lrsched.commands.tune import TuneConfig
from lrsched.display import followed, summary, told
from lrsched.runs import folder, interrupts
from lrsched.runs.folder import Train
from lrsched.training import data as datasets
from lrsched.training import devices, prepare, prepared


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Prepares a data set for reading: downloads it, or takes it from files that are already there.

    Attributes:
      name: cifar10, cifar100, mnist, fashion_mnist, svhn_cropped or boston.
      data_dir: where to put it; None: TFDS_DATA_DIR, else TFDS's own folder.
      source: the original archive, or a folder of train/CLASS/IMAGE and test/CLASS/IMAGE, or torchvision's folder, or
        CIFAR's archive for Python, or .npz as Keras has it (of boston: housing.data, or a CSV of its 14 columns); None:
        download it.
    """

    name: tyro.conf.Positional[str]
    data_dir: str | None = None
    source: Annotated[str | None, tyro.conf.arg(name="from")] = None


@dataclasses.dataclass(frozen=True)
class List:
    """Lists the data sets and whether they can be read from the folder.

    Attributes:
      data_dir: folder of prepared data sets; None: TFDS_DATA_DIR, else TFDS's own folder.
    """

    data_dir: str | None = None


@dataclasses.dataclass(frozen=True)
class Data:
    """Data sets: what there is, and how to get it."""

    command: (
        Annotated[Prepare, tyro.conf.subcommand("prepare", prefix_name=False)]
        | Annotated[List, tyro.conf.subcommand("list", prefix_name=False)]
    )


Command = (
    Annotated[Catalogue, tyro.conf.subcommand("schedules")]
    | Annotated[RangeTestConfig, tyro.conf.subcommand("range-test")]
    | Annotated[SearchConfig, tyro.conf.subcommand("search")]
    | Annotated[TuneConfig, tyro.conf.subcommand("tune")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[StudyConfig, tyro.conf.subcommand("study")]
    | Annotated[EnsembleConfig, tyro.conf.subcommand("ensemble")]
    | Annotated[Data, tyro.conf.subcommand("data")]
)


def main(arguments: list[str] | None = None) -> int:
    """The program `lrsched`.

    Returns:
      the exit status: 0, 2 after a mistake in the words (one line on standard error), 130 after Ctrl-C, 143 after
      SIGTERM, 141 if what it trained could not be told because its output was closed.
    """
    _replace_what_cannot_be_shown()
    command = None
    with interrupts.handled():
        try:
            command = _parse(sys.argv[1:] if arguments is None else arguments)
            _run(command)
        except BrokenPipeError:  # as in: lrsched schedules | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0 if isinstance(command, Catalogue | Data | None) else 141  # of what trains, not all was made
        except (ValueError, OSError) as error:
            print(f"lrsched: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        except KeyboardInterrupt as end:
            print(f"lrsched: interrupted{f', {end}' if str(end) else ''}; the same command resumes.", file=sys.stderr)
            return interrupts.exit_status()
    return 0


def _run(command: Any) -> None:
    if isinstance(command, StudyConfig | SearchConfig | TuneConfig | RangeTestConfig | EnsembleConfig | Train):
        devices.prepare()
        devices.start()
    if isinstance(command, StudyConfig):
        _tell(followed(studies.study(command), "study"))
    elif isinstance(command, SearchConfig):
        _tell(followed(searches.search(command), "search"))
    elif isinstance(command, TuneConfig):
        _tell(followed(tuning.tune(command), "tune"))
    elif isinstance(command, RangeTestConfig):
        _tell(followed(sweep.range_test(command), "range-test"))
    elif isinstance(command, EnsembleConfig):
        _tell(told(ensembles.ensemble(command)))
    elif isinstance(command, Train):
        _train(command)
    elif isinstance(command, Catalogue):
        _schedules(command)
    elif isinstance(command.command, Prepare):
        asked = command.command
        print(prepare.prepare(asked.name, data_dir=asked.data_dir, source=asked.source))
    else:
        _list(command.command)


def _parse(words: list[str]) -> Any:
    """The command of these words; a mistake in their form becomes one line as well."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                Command,
                prog="lrsched",
                description="Learning-rate schedules compared under a budget.",
                args=words or ["--help"],
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise ValueError(_one_line(said.getvalue())) from None


def _one_line(said: str) -> str:
    """What tyro says in a box, without its help: what is wrong, then what may have been meant."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", said)  # the colours of a terminal
    lines = [line.strip("│ ") for line in text.splitlines() if not line.startswith(("╭", "╰"))]
    parts: list[list[str]] = [[]]
    for line in filter(None, lines):
        if set(line) <= {"─", "-"}:
            parts.append([])
        else:
            parts[-1].append(line)
    wrong, *more = parts if "╭" in text else parts[1:] or parts  # without boxes the title is a part
    sentences = [" ".join(wrong)]
    for part in more:
        head, names = part[:1], [re.split("[ ,]", line)[0] for line in part[1:] if line.startswith("--")]
        if head and head[0].startswith(("Perhaps you meant", "Arguments similar")):
            sentences.append(f"{head[0]} {', '.join(dict.fromkeys(names))}")
        elif head and head[0].startswith("Available subcommands"):
            sentences.append(" ".join(part))
    return ". ".join(sentence.rstrip(".") for sentence in sentences if sentence) or text


def _schedules(command: Catalogue) -> None:
    terminal = rich.console.Console()
    colour = terminal.is_terminal and not terminal.no_color
    print(catalogue.show(command, width=min(terminal.width, 120), colour=colour), flush=True)


def _list(command: List) -> None:
    root = datasets.data_folder(command.data_dir)
    for name in datasets.NAMES:
        try:
            found = datasets.load(name, data_dir=root)
            print(f"{name:14s} {found.version:8s} {prepared.numbers(name, len(found.train), len(found.test))}")
        except (ValueError, OSError) as error:
            print(f"{name:14s} {error}")


def _tell(outcome: Any) -> None:
    print(outcome.text)
    print("written:", *outcome.files, sep="\n  ")


def _train(command: Train) -> None:
    record = followed(folder.begin(command), "train")
    print(summary(record))
    out = files.local_folder("out", command.out) if command.out else f"runs/{record['run']}"
    print(f"written: {out}", flush=True)


def _replace_what_cannot_be_shown() -> None:
    """On a terminal or pipe without Unicode braille, † and ± are replaced, where they would be an error."""
    codecs.register_error("lrsched", _replaced)
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="lrsched")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = {"†": "+", "±": "+-", "…": "..."}
    return "".join(plain.get(one, "*" if "\u2800" < one <= "\u28ff" else "?") for one in text), error.end


if __name__ == "__main__":
    sys.exit(main())
