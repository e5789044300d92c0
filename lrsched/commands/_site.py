"""The documentation as a folder of pages, with that of all schedules as its front."""

from __future__ import annotations

import pathlib
import posixpath
from collections.abc import Sequence

import lrsched
from lrsched import files
from lrsched.analysis.schedules import documents, gallery

#: What every page links to, as far as it is there; where no checkout is, of the package alone.
FIRST = (
    "README.md",
    "lrsched/commands/README.md",
    "lrsched/docs/recipes.md",
    "lrsched/docs/choosing.md",
    "results/README.md",
    "tests/conformance/README.md",
    "tests/conformance/WSD.md",
    "CHANGELOG.md",
)


def write_site(folder: pathlib.Path, cards: Sequence[gallery.Card], root: pathlib.Path | None = None) -> int:
    """Writes the documentation: index.html with the cards, and a page of each document that is linked from there.

    Args:
      folder: made if it is missing; files of other names in it stay.
      root: where the package lies; None: where this one does.
    Returns:
      how many pages there are. All are made before the first is written, and each is written whole.
    Raises:
      ValueError: if the folder cannot be written.
    """
    texts, pictures = _collect(root or pathlib.Path(lrsched.__file__).parent.parent)
    first = [path for path in FIRST if path in texts]
    pages = documents.render_pages(texts, pictures, first=first)
    pages[documents.FRONT] = gallery.render_page(cards, documents.render_navigation(texts, first, documents.FRONT))
    files.check_writable("html", folder)
    for name, page in pages.items():
        files.write_text(folder / name, page)
    return len(pages)


def _collect(root: pathlib.Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """(Markdown by path, pictures by path): the documents of FIRST and what is linked from them, in that order."""
    within = "" if (root / "pyproject.toml").is_file() else "lrsched/"  # else beside it are other packages
    texts: dict[str, str] = {}
    pictures: dict[str, bytes] = {}
    queue = list(FIRST)
    for path in queue:  # which grows on the way
        if path in texts or not path.startswith(within) or not (root / path).is_file():
            continue
        texts[path] = files.read_text(root / path)
        if posixpath.basename(path) == "table.md":  # below a table stand the figures beside it
            figures = sorted((root / path).parent.glob("*.svg"))
            texts[path] += "".join(f"\n![{figure.stem}]({figure.name})\n" for figure in figures)
        for target in documents.targets(path, texts[path]):
            ending = posixpath.splitext(target)[1]
            if ending == ".md":
                queue.append(target)
            elif ending in documents.PICTURES and target.startswith(within) and (root / target).is_file():
                pictures[target] = (root / target).read_bytes()
    return texts, pictures
