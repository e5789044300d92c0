"""A report as one page that loads nothing: readable without JavaScript, sorted and searched with it."""

from __future__ import annotations

import html
import importlib.resources
import re
from collections.abc import Iterator

from lrsched.analysis.report import chart, words
from lrsched.analysis.report.document import Block, Document, Entry, Facts, Figure, Key, Lines, Part, Section, Table
from lrsched.analysis.report.words import to_html

FILTERED = 10  # rows from which on a table can be searched


def render_page(document: Document) -> str:
    """The page; the same text from the same document.

    Returns:
      HTML. Its policy forbids a browser to load anything at all.
    """
    template = importlib.resources.files("lrsched.analysis.report").joinpath("page.html").read_text(encoding="utf-8")
    page = _Page(several=len(document.parts) > 1)
    body = "\n".join(page.part(part, number) for number, part in enumerate(document.parts, start=1))
    filled = {
        "TITLE": html.escape(words.plain(document.title)),
        "HEADING": to_html(document.title),
        "MADE": to_html(document.made),
        "CONTENTS": "".join(page.contents),
        "BODY": body,
    }
    return re.sub(r"<!--([A-Z]+)-->", lambda found: filled[found[1]], template)


class _Page:
    """Counts figures and tables, and collects the contents, from the first part to the last."""

    def __init__(self, *, several: bool) -> None:
        self.several = several
        self.contents: list[str] = []
        self.counts = {"Figure": 0, "Table": 0}

    def part(self, part: Part, number: int) -> str:
        place = f"part-{number}"
        links = [(f"{place}-{i}", section.title) for i, section in enumerate(part.sections, start=1)]
        inner = "".join(f'<li><a href="#{target}">{to_html(title)}</a></li>' for target, title in links)
        if self.several:
            inner = f'<li><a href="#{place}">{to_html(part.title)}</a><ol>{inner}</ol></li>'
        self.contents.append(inner)
        head = f'<div><h2 class="part" id="{place}">{to_html(part.title)}</h2>'
        blocks = [head] if self.several else []
        if part.question:
            blocks.append(f'<p class="question"><span class="tag">Question</span> {to_html(part.question)}</p>')
        if part.counts:
            pairs = "".join(f"<div><dt>{to_html(what)}</dt><dd>{to_html(n)}</dd></div>" for n, what in part.counts)
            blocks.append(f'<dl class="counts">{pairs}</dl>')
        if part.found:
            items = "".join(f"<li>{to_html(sentence)}</li>" for sentence in part.found)
            blocks.append(f'<ul class="found">{items}</ul>')
        for (target, _), section in zip(links, part.sections, strict=True):
            blocks.append("\n".join(self._section(section, target)))
        blocks += ["</div>"] if self.several else []
        return "\n".join(blocks)

    def _section(self, section: Section, target: str) -> Iterator[str]:
        level = 3 if self.several else 2
        label = "" if self.several else f' aria-labelledby="{target}"'  # a landmark's name must be its own
        yield f'<section{label}><h{level} id="{target}">{to_html(section.title)}</h{level}>'
        for block in section.blocks:
            yield self._block(block)
        yield "</section>"

    def _block(self, block: Block) -> str:
        if isinstance(block, Table):
            return self._table(block)
        if isinstance(block, Figure):
            keys = "".join(_key(key, marked=block.marked) for key in block.keys)
            legend = f'<ul class="keys" aria-label="Key">{keys}</ul>' if keys else ""
            title = f"<b>{self._number('Figure')}.</b> {to_html(block.title)}"
            return f"<figure>{block.drawing}{legend}<figcaption>{title}</figcaption></figure>"
        if isinstance(block, Facts):
            pairs = "".join(f"<dt>{to_html(name)}</dt><dd>{to_html(text)}</dd>" for name, text in block.pairs)
            return f'<dl class="facts">{pairs}</dl>'
        if isinstance(block, Lines):
            lines = html.escape("\n".join(block.lines))
            return f'<div class="lines"><pre><code>{lines}</code></pre></div>'
        return f"<p>{to_html(block)}</p>"

    def _number(self, kind: str) -> str:
        self.counts[kind] += 1
        return f"{kind} {self.counts[kind]}"

    def _table(self, table: Table) -> str:
        number = self._number("Table")
        place = number.lower().replace(" ", "-")
        heads = "".join(
            f'<th scope="col" class="{column.align}"><span>{to_html(column.head)}{_under(column.under)}</span></th>'
            for column in table.columns
        )
        sides = [column.align for column in table.columns]
        rows = "\n".join(
            f"<tr>{''.join(_cell(entry, side, i) for i, (entry, side) in enumerate(zip(row, sides, strict=True)))}</tr>"
            for row in table.rows
        )
        searched = ' data-filter=""' if len(table.rows) >= FILTERED else ""
        caption = f'<caption id="{place}"><span><b>{number}.</b> {to_html(table.title)}</span></caption>'
        whole = f"""<div class="scroll" role="region" tabindex="0" aria-labelledby="{place}"><table{searched}>{caption}
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table></div>"""
        notes = f'<p class="notes">{" ".join(map(to_html, told))}</p>' if (told := [*table.notes, *table.aside]) else ""
        if table.folded:
            summary = f"{to_html(table.title)} <span>({len(table.rows)})</span>"
            return f'<details class="table"><summary>{summary}</summary>{whole}{notes}</details>'
        return f'<div class="table">{whole}{notes}</div>'


def _key(key: Key, *, marked: bool) -> str:
    return f"<li>{chart.draw_key(key.look, marked=marked)}{to_html(key.label)}</li>"


def _under(text: str) -> str:
    return f'<span class="under">{to_html(text, minus=True)}</span>' if text else ""


def _cell(entry: Entry, side: str, place: int) -> str:
    text = to_html(entry.text, minus=True)
    if entry.mark == "best":
        text = f'<strong>{text}</strong><span class="unseen"> (best)</span>'
    elif entry.mark == "tied":
        text = f'{text}<span class="dagger"> †</span>'
    value = "" if entry.value is None else f' data-value="{html.escape(str(entry.value))}"'
    tag, scope = ("td", "") if place else ("th", ' scope="row"')
    return f'<{tag}{scope} class="{side}"{value}>{entry.drawing}{text}{_under(entry.under)}</{tag}>'
