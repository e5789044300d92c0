"""A report as Markdown, and its tables as CSV."""

from __future__ import annotations

import csv
import io

from lrsched.analysis import markdown
from lrsched.analysis.report import words
from lrsched.analysis.report.document import Block, Document, Entry, Facts, Lines, Table


def format_markdown(document: Document) -> str:
    """The report without its figures, ending in a newline; tables that are folded on the page are left out."""
    several = len(document.parts) > 1
    blocks = [f"# {document.title}", document.made]
    for part in document.parts:
        blocks += [f"## {part.title}"] if several else []
        blocks += [f"> {part.question}"] if part.question else []
        blocks += [", ".join(f"{count} {what}" for count, what in part.counts) + "."] if part.counts else []
        blocks += ["\n".join(f"- {sentence}" for sentence in part.found)] if part.found else []
        for section in part.sections:
            texts = [text for block in section.blocks if (text := _format(block))]
            blocks += [f"{'###' if several else '##'} {section.title}", *texts] if texts else []
    return "\n\n".join(blocks) + "\n"


def _format(block: Block) -> str:
    if isinstance(block, str):
        return block
    if isinstance(block, Facts):
        return "\n".join(f"- {name}: {text}" for name, text in block.pairs)
    if isinstance(block, Lines):
        return "\n".join(["```sh", *block.lines, "```"])
    if isinstance(block, Table) and not block.folded:
        heads = [f"{column.head} ({column.under})" if column.under else column.head for column in block.columns]
        rows = [heads, *([_entry(entry) for entry in row] for row in block.rows)]
        table = markdown.table(rows, align="".join(column.align for column in block.columns))
        return "\n\n".join([f"**{block.title}**", table.removesuffix("\n"), *block.notes, *block.aside])
    return ""


def _entry(entry: Entry) -> str:
    text = f"**{entry.text}**" if entry.mark == "best" else entry.text
    text = f"{text} {entry.under}" if entry.under else text
    return f"{text} †" if entry.mark == "tied" else text


def format_csv(table: Table) -> str:
    """A table as CSV: numbers as they are, everything else as plain text; lines end in a newline alone."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([words.plain(f"{c.head} ({c.under})" if c.under else c.head) for c in table.columns])
    writer.writerows([_cell(entry) for entry in row] for row in table.rows)
    return out.getvalue()


def _cell(entry: Entry) -> str:
    text = words.plain(f"{entry.text} {entry.under}".strip())
    if isinstance(entry.value, float) and _is_number(text):
        return f"{entry.value:.10g}"
    return f"'{text}" if text[:1] in ("=", "@") else text  # which a spreadsheet would take for a formula


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
