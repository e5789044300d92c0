"""The tables of a report in LaTeX, ruled by booktabs."""

from __future__ import annotations

import itertools

from lrsched.analysis.report.document import Column, Document, Entry, Table
from lrsched.analysis.report.words import to_latex

LONGEST = 40  # rows of a table that floats; a longer one is broken over pages
PREAMBLE = "\\usepackage[T1]{fontenc}\\usepackage{textcomp,booktabs,longtable,graphicx}"


def format_latex(document: Document) -> str:
    """The tables of a report that are not folded away, each with its caption, notes and label, ending in a newline.

    They are to be \\input into a document with `PREAMBLE`. Minor columns and second lines of entries are left out; a
    table that is still wider than a line is made smaller.
    """
    several = len(document.parts) > 1
    blocks = [f"% To be \\input; in the preamble: {PREAMBLE}"]
    for number, part in enumerate(document.parts, start=1):
        prefix = f"{number}-" if several else ""
        blocks += [_format(table, prefix) for table in part.tables() if not table.folded]
    return "\n\n".join(blocks) + "\n"


def _format(table: Table, prefix: str) -> str:
    kept = [not column.minor for column in table.columns]
    columns = list(itertools.compress(table.columns, kept))
    letters = "".join(column.align for column in columns)
    heads = " & ".join(map(_head, columns))
    rows = [" & ".join(map(_entry, itertools.compress(row, kept))) + r" \\" for row in table.rows]
    title = to_latex(table.title).rstrip(".")
    caption = f"\\caption{{{' '.join([f'{title}.', *map(to_latex, table.notes)])}}}"
    label = f"\\label{{tab:{prefix}{table.name.replace('_', '-')}}}"
    head = ["\\toprule", f"{heads} \\\\", "\\midrule"]
    if len(rows) > LONGEST:
        frame = [f"\\begin{{longtable}}{{{letters}}}", caption, f"{label} \\\\", *head, "\\endhead"]
        return "\n".join([*frame, *rows, "\\bottomrule", "\\end{longtable}"])
    frame = ["\\begin{table}", "\\centering", "\\small", caption, label]
    fit = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"
    frame += [fit, f"\\begin{{tabular}}{{{letters}}}", *head]
    return "\n".join([*frame, *rows, "\\bottomrule", "\\end{tabular}}", "\\end{table}"])


def _head(column: Column) -> str:
    text = to_latex(column.head) or "{}"
    return f"{text} ({to_latex(column.under)})" if column.under else text


def _entry(entry: Entry) -> str:
    text = to_latex(entry.text, minus=True)
    if entry.mark == "best":
        return f"\\textbf{{{text}}}"
    return f"{text}$^\\dagger$" if entry.mark == "tied" else text or "{}"
