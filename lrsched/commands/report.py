"""A page of one or several results, to hand on or to print; the same as Markdown, LaTeX and CSV for a paper."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
from collections.abc import Mapping

import tyro

import lrsched
from lrsched import files
from lrsched.analysis.markdown import escape
from lrsched.analysis.report import latex, page, text
from lrsched.analysis.report.document import Document, Part
from lrsched.analysis.report.study import describe_all
from lrsched.commands import Outcome, _report_parts
from lrsched.runs.report import Report, ignore


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """A report: one page that holds everything and loads nothing.

    Of a study: question, table, errors over budgets, differences with intervals, ranks, losses, the schedules, what was
    chosen and applied, the paper's numbers, provenance, and how to repeat it. Of a range test, a search, a tune or an
    ensemble: its tables and figures, provenance, and how to repeat it.

    Example: lrsched report runs/digits-resnet8 --out report.html

    Attributes:
      folders: of studies, runs, range tests, searches, tunes and ensembles. Ranks are over the cells of all studies.
      out: the page, FILE.html; None: report.html in the first folder.
      title: of the page; None: what the folder holds.
      markdown: a file to write as well, of the text and the tables in Markdown.
      latex: a file to write as well, of the tables in LaTeX (booktabs), to \\input.
      csv: a folder to write as well, of each table as a file.
    """

    folders: tyro.conf.Positional[tuple[str, ...]] = ()
    out: str | None = None
    title: str | None = None
    markdown: str | None = None
    latex: str | None = None
    csv: str | None = None


_FILES = ("out", "markdown", "latex")
_RESULTS = ("records.jsonl", "study.json", "record.json", "run.json", "table.md", "ledger.md", "README.md")


def run(config: ReportConfig, report: Report = ignore) -> Outcome:
    """Reads the folders and writes the page, and the other forms that are asked for.

    Raises:
      ValueError: before anything is written, if a folder holds no result, or was altered.
    """
    if not config.folders:
        raise ValueError("folders must name at least one, got none: lrsched report runs/digits-resnet8.")
    folders = [files.local_folder("folders", folder) for folder in config.folders]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError(f"folders must differ from each other, got {', '.join(config.folders)}.")
    asked = {name: getattr(config, name) for name in (*_FILES, "csv")}
    paths = {name: files.local_folder(name, path) for name, path in asked.items() if path}
    out = paths.setdefault("out", folders[0] / "report.html")
    _check_paths(paths)  # before all else
    document = build(folders, title=config.title, report=report)
    whole = page.render_page(document)
    files.write_text(out, whole)
    written = [out]
    for name, make in {"markdown": text.format_markdown, "latex": latex.format_latex}.items():
        if name in paths:
            written.append(paths[name])
            files.write_text(paths[name], make(document))
    if "csv" in paths:
        written += _write_csv(document, paths["csv"])
    return Outcome(document, f"{document.title}: a page of {len(whole.encode()) / 1024:.0f} KiB", written)


def _check_paths(paths: Mapping[str, pathlib.Path]) -> None:
    """Raises ValueError for a page without its ending, for two in one place, and for what would take a result's."""
    if paths["out"].suffix not in (".html", ".htm"):
        raise ValueError(f"out must be a file that ends in .html, got {paths['out']}.")
    if len({path.resolve() for path in paths.values()}) < len(paths):
        raise ValueError(f"{', '.join(paths)} must differ from each other, got {', '.join(map(str, paths.values()))}.")
    for name, path in paths.items():
        if path.name in _RESULTS and any((path.parent / result).exists() for result in _RESULTS[:3]):
            raise ValueError(f"{name} must be no file of the results, got {path}.")
        if path.exists() and path.is_dir() == (name in _FILES):
            raise ValueError(f"{name} must be a {'file' if name in _FILES else 'folder'}, got {path}.")


def build(folders: list[pathlib.Path], *, title: str | None = None, report: Report = ignore) -> Document:
    """The report of the results in some folders."""
    parts: list[Part] = []
    studies = []
    for folder in folders:
        report(f"reading {folder}")
        study, part = _report_parts.read_folder(folder)
        parts.append(part)
        studies += [study] if study else []
    together = describe_all(studies) if len(studies) > 1 else None
    parts += [together] if together else []
    made = f"Made with lrsched {lrsched.__version__} on {datetime.date.today():%-d %B %Y}."
    several = f"{_report_parts.count(len(folders), 'result')}" if len(folders) > 1 else parts[0].title
    return Document(escape(title) if title else several, made, tuple(parts))


def _write_csv(document: Document, folder: pathlib.Path) -> list[pathlib.Path]:
    """Each table as a file; of several parts, their number first."""
    several = len(document.parts) > 1
    written = []
    for number, part in enumerate(document.parts, start=1):
        for table in part.tables():
            path = folder / (f"{number}-{table.name}.csv" if several else f"{table.name}.csv")
            files.write_text(path, text.format_csv(table))
            written.append(path)
    return written
