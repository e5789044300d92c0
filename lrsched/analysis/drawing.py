"""What all figures share: one style, the look of each schedule, and how a figure is saved.

It is imported when something is drawn, and the user's settings of it do not matter. No other module imports matplotlib,
but for `plot` of a schedule, which draws in the user's style.
"""

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
from typing import Any, TypeAlias

import numpy as np

from lrsched import files

Axes: TypeAlias = Any  # matplotlib's, so that a module can name them without importing it
Figure: TypeAlias = Any

# Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow: unreadable on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MORE_COLOURS = ("#882255", "#44AA99", "#332288", "#999933", "#CC6677", "#117733", "#AA4499")  # of Tol's "muted" palette
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")
# The schedules that are compared most, in the order of the colours: each has one of its own in every figure.
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
    """Imports matplotlib without the user's backend and matplotlibrc, which may be missing or invalid.

    Figures here are files and need neither. Afterwards both are in force again, as far as matplotlib accepts them, for
    whoever else uses matplotlib in this process.
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
    """Sets matplotlib's own defaults and `STYLE`; at the end, what was set before."""
    matplotlib = import_matplotlib()
    with matplotlib.rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that matplotlib is about to drop
            defaults = matplotlib.rcParamsDefault.items()
            matplotlib.rcParams.update({name: value for name, value in defaults if not name.startswith("backend")})
        matplotlib.rcParams.update(STYLE)
        yield


def look(i: int) -> Look:
    """The look of the i-th of several things that are no schedules."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": DASHES[i // len(COLOURS) % len(DASHES)],
    }


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """The colour, marker and dashes of each schedule in a figure; colours differ for up to 14 of them.

    A schedule of `COMMON` always has its own colour, solid. Any other is dashed, in the colour that its label hashes to
    or the next free one. So the order of the labels does not matter, and the other schedules hardly do.

    Example:
      >>> looks(["linear", "rex"])["rex"]["color"] == looks(["rex", "cosine"])["rex"]["color"] == COLOURS[0]
      True

    """
    labels = list(dict.fromkeys(labels))
    palette = (*COLOURS, *MORE_COLOURS)
    taken = {(COMMON.index(label), "--") for label in labels if label in COMMON}
    places: dict[str, tuple[int, str]] = {label: (COMMON.index(label), "-") for label in labels if label in COMMON}
    for label in sorted(set(labels) - set(COMMON)):
        first = hashlib.sha256(label.encode()).digest()[0]
        order = [((first + i) % len(palette), dashes) for dashes in DASHES[1:] for i in range(len(palette))]
        places[label] = next((place for place in order if place not in taken), order[0])
        taken.add(places[label])
    found = {}
    for label in labels:
        i, dashes = places[label]
        marker = MARKERS[(i + DASHES.index(dashes)) % len(MARKERS)]
        found[label] = {"color": palette[i], "marker": marker, "linestyle": dashes}
    return found


def check_ending(path: str | os.PathLike[str]) -> None:
    """Raises ValueError unless the path ends in .svg or .png, and is no folder."""
    if pathlib.Path(path).is_dir():
        raise ValueError(f"path must be a file, got the folder {path}.")
    if pathlib.Path(path).suffix not in (".svg", ".png"):
        raise ValueError(f"path must end in .svg or .png, got {path}.")


def save(drawn: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure, whole or not at all, without the date and version that matplotlib would add."""
    omitted = {"Date": None, "Creator": None} if pathlib.Path(path).suffix == ".svg" else {"Software": None}
    with files.replacing(path) as beside:
        drawn.savefig(beside, metadata=omitted)


@contextlib.contextmanager
def figure(path: str | os.PathLike[str], size: tuple[float, float]) -> Iterator[Figure]:
    """A figure in the common style, saved when the `with` ends without an error.

    Args:
      path: ends in .svg or .png. Either the whole figure is written there or nothing.
      size: width and height in inches.
    Raises:
      ValueError: before anything is drawn, if the path has another ending.
    """
    check_ending(path)
    with styled():
        from matplotlib.figure import Figure

        drawn = Figure(figsize=size, layout="constrained")
        yield drawn
        save(drawn, path)


def draw_band(axes: Axes, x: np.ndarray, values: np.ndarray, look: Look) -> None:
    """Draws the mean over seeds and a band from the least to the largest.

    Both end where a seed has no finite value; from there on, every other seed is a thin line. A single seed has no
    band.
    """
    whole = np.isfinite(values).all(axis=0)
    shared = np.where(whole, values, np.nan)
    axes.plot(x, shared.mean(axis=0), **{**look, "marker": "none"}, zorder=3)
    colour = look["color"]
    if len(values) > 1:
        axes.fill_between(x, shared.min(axis=0), shared.max(axis=0), color=colour, alpha=0.2, linewidth=0, zorder=2)
    if not whole.all():
        alone = ~(whole & np.append(whole[1:], True))  # from the last common point on
        rest = np.where(alone & np.isfinite(values), values, np.nan)
        axes.plot(x, rest.T, color=colour, linewidth=0.8, zorder=2.5)


def cross_ends(
    axes: Axes,
    x: np.ndarray,
    values: np.ndarray,
    colour: str,
    *,
    label: str | None = None,
) -> None:
    """Puts a cross on the last finite value of each seed that has points after it; at the upper edge if it is higher.

    Args:
      label: of all the crosses together, in a legend.
    """
    top = axes.get_ylim()[1]
    for row in values:
        finite = np.flatnonzero(np.isfinite(row))
        if len(finite) and finite[-1] + 1 < len(row):
            at = finite[-1]
            cross: Look = {"color": colour, "marker": "x", "markersize": 6.0, "linestyle": "none"}
            axes.plot(x[at], min(float(row[at]), top), **cross, clip_on=False, zorder=4, label=label)
            label = None  # one entry in a legend


def use_log_axis(axes: Axes, finite: np.ndarray) -> None:
    """Makes the vertical axis logarithmic, unless one of the values that it shows is 0 or below."""
    if len(finite) and finite.min() > 0:
        axes.set_yscale("log")


def use_log_percents(axes: Axes, *, lowest: float) -> None:
    """Makes the vertical axis a logarithmic one of plain numbers, unless the lowest is 0."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    if lowest > 0:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0)) if high > 3 * low else MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def use_whole_numbers(axes: Axes) -> None:
    """Makes the ticks of the horizontal axis whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
