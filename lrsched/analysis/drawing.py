"""What all figures share: matplotlib apart from the user's settings of it, one style, each schedule's look, files."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pathlib
import sys
import warnings
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lrsched import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow: unreadable on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MORE_COLOURS = ("#882255", "#44AA99", "#332288", "#999933", "#CC6677", "#117733", "#AA4499")  # of Tol's "muted" palette
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")
#: The schedules that are compared most, in the order of the colours: each has one of its own in every figure.
COMMON: tuple[str, ...] = ("rex", "linear", "cosine", "step", "exponential", "onecycle", "constant")
COMMON += ("onecycle:variant=rex_paper", "polynomial", "sgdr", "clr", "wsd", "inverse_sqrt", "snapshot_cosine")
FONTS = ("DejaVu Sans", "Verdana", "Arial", "Helvetica", "sans-serif")  # the widest first: what fits it fits them all
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": list(FONTS),
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "0.4",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "xtick.color": "0.3",
    "ytick.color": "0.3",
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "savefig.dpi": 200.0,
    "svg.hashsalt": "lrsched",  # ids of an SVG's elements, random otherwise
    "svg.fonttype": "none",  # text stays text: it can be searched, and is drawn in the reader's font
}
Look = dict[str, Any]


def import_matplotlib() -> ModuleType:
    """Matplotlib, imported without the user's backend and matplotlibrc, which need not be there or be valid.

    Figures here are files and need neither. Afterwards both hold again for whoever else uses matplotlib in this
    process, as far as matplotlib takes them.
    """
    found = importlib.util.find_spec("matplotlib") if "matplotlib" not in sys.modules else None
    if found is None or found.origin is None:
        return importlib.import_module("matplotlib")
    defaults = pathlib.Path(found.origin).parent / "mpl-data"
    kept = {name: os.environ.pop(name) for name in ("MPLBACKEND", "MATPLOTLIBRC") if name in os.environ}
    here = os.path.exists("matplotlibrc")  # matplotlib reads one in the current folder first of all
    try:
        os.environ["MATPLOTLIBRC"] = str(defaults)
        with contextlib.chdir(defaults) if here else contextlib.nullcontext():
            matplotlib = importlib.import_module("matplotlib")
    finally:
        del os.environ["MATPLOTLIBRC"]
        os.environ |= kept
    with contextlib.suppress(Exception):
        matplotlib.rcParams.update(matplotlib.rc_params())
    with contextlib.suppress(ValueError):
        matplotlib.rcParams["backend"] = kept.get("MPLBACKEND") or matplotlib.rcParams["backend"]
    return matplotlib


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Matplotlib's own defaults and `STYLE`, whatever is set outside; that is set again at the end."""
    matplotlib = import_matplotlib()
    with matplotlib.rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that matplotlib is about to drop
            defaults = matplotlib.rcParamsDefault.items()
            matplotlib.rcParams.update({name: value for name, value in defaults if not name.startswith("backend")})
        matplotlib.rcParams.update(STYLE)
        yield


def look(i: int) -> Look:
    """How the i-th of several things without a schedule's name is drawn."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": DASHES[i // len(COLOURS) % len(DASHES)],
    }


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Colour, marker and dashes of each schedule of a figure or a study; colours differ for up to 14 of them.

    One of `COMMON` always has its own colour, solid. Any other is dashed, in the colour that its label hashes to or the
    next one that is free. So the order of the labels does not matter, and which other schedules there are hardly.

    Example:
      >>> looks(["linear", "rex"])["rex"]["color"] == looks(["rex", "cosine"])["rex"]["color"] == COLOURS[0]
      True

    """
    labels = list(dict.fromkeys(labels))
    palette = (*COLOURS, *MORE_COLOURS)
    taken = {(COMMON.index(label), "--") for label in labels if label in COMMON}
    found: dict[str, tuple[int, str]] = {label: (COMMON.index(label), "-") for label in labels if label in COMMON}
    for label in sorted(set(labels) - set(COMMON)):
        first = hashlib.sha256(label.encode()).digest()[0]
        order = [((first + i) % len(palette), dashes) for dashes in DASHES[1:] for i in range(len(palette))]
        found[label] = next((place for place in order if place not in taken), order[0])
        taken.add(found[label])
    marks = {label: MARKERS[(i + DASHES.index(dashes)) % len(MARKERS)] for label, (i, dashes) in found.items()}
    return {
        label: {"color": palette[i], "marker": marks[label], "linestyle": dashes}
        for label, (i, dashes) in ((label, found[label]) for label in labels)
    }


def check_ending(path: str | os.PathLike[str]) -> None:
    """Raises ValueError unless the path is that of an SVG or a PNG."""
    if pathlib.Path(path).suffix not in (".svg", ".png"):
        raise ValueError(f"path must end in .svg or .png, got {path}.")


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes the figure, whole or not at all, without the date and the version that matplotlib would write into it."""
    dull = {"Date": None, "Creator": None} if pathlib.Path(path).suffix == ".svg" else {"Software": None}
    with files.replacing(path) as beside:
        figure.savefig(beside, metadata=dull)
