"""Data sets: which there are, and how to get them."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from lrsched.commands import Outcome
from lrsched.runs.report import Report, ignore
from lrsched.training import data as datasets
from lrsched.training import prepare, prepared


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Prepares a data set for reading: downloads it, or takes it from files that are already there.

    Attributes:
      name: cifar10, cifar100, mnist, fashion_mnist, svhn_cropped, boston or tiny_shakespeare.
      data_dir: where to put it; None: TFDS_DATA_DIR, else TFDS's own folder.
      source: the original archive, or a folder of train/CLASS/IMAGE and test/CLASS/IMAGE, or torchvision's folder, or
        CIFAR's archive for Python, or .npz as Keras has it (of boston: housing.data, or a CSV of its 14 columns; of
        tiny_shakespeare: input.txt); None: download it.
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
class DataConfig:
    """Data sets: which there are, and how to get them.

    Example: lrsched data prepare cifar10 --from cifar-10-binary.tar.gz
    """

    command: (
        Annotated[Prepare, tyro.conf.subcommand("prepare", prefix_name=False)]
        | Annotated[List, tyro.conf.subcommand("list", prefix_name=False)]
    )


def run(config: DataConfig, report: Report = ignore) -> Outcome:
    """Prepares a data set, or lists them all.

    Raises:
      ValueError: if the data set cannot be prepared from its source.
    """
    if isinstance(config.command, Prepare):
        asked = config.command
        text = str(prepare.prepare(asked.name, data_dir=asked.data_dir, source=asked.source))
    else:
        text = _list(config.command.data_dir)
    return Outcome(text, text, [])


def _list(data_dir: str | None) -> str:
    """A line for each data set: its version and size, or that it is missing; at the end what is wrong with others."""
    root, lines, wrong, missing = datasets.data_folder(data_dir), list[str](), list[str](), list[str]()
    for name in datasets.SOURCES:
        try:
            there = datasets.load(name, data_dir=root)
            sizes = prepared.numbers(name, len(there.train), len(there.test))
            lines.append(f"{name:16s} {there.version:8s} {sizes}")
        except (ValueError, OSError) as error:
            absent = "is not prepared" in str(error)
            lines.append(f"{name:16s} {'-':8s} {'not prepared' if absent else 'damaged'}")
            (missing if absent else wrong).append(name if absent else f"{name}: {error}")
    if missing:
        lines += ["", f"Not in {root}: lrsched data prepare {missing[0]} downloads one, --from reads files you have."]
    return "\n".join([*lines, *wrong])
