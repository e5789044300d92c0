"""The documentation as pages that load nothing: Markdown with its pictures in it and links from page to page.

Documents and pictures go by their paths in the repository: "results/digits_study/table.md" becomes the page
results-digits_study-table.html.
"""

from __future__ import annotations

import base64
import collections
import html
import importlib.resources
import posixpath
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence

import markdown_it
from markdown_it.token import Token

FRONT = "index.html"
PICTURES = {".svg": "image/svg+xml", ".png": "image/png"}
_MARKDOWN = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table")


def render_pages(texts: Mapping[str, str], pictures: Mapping[str, bytes], *, first: Sequence[str]) -> dict[str, str]:
    """A page of each document.

    Args:
      texts: path -> Markdown.
      pictures: path -> bytes of an SVG or PNG, for those that the texts show.
      first: paths of the documents that every page links to at its top, in order.
    Returns:
      file name -> HTML that loads nothing. Links to documents lead to their pages; of those to other files of the
      repository their path is left, and of pictures that are not there their words.
    """
    return {page_name(path): _Page(path, texts, pictures).render(first) for path in texts}


def page_name(path: str) -> str:
    """The file name of a document's page; a README has that of its folder.

    Example:
      >>> page_name("results/theory/README.md"), page_name("README.md")
      ('results-theory.html', 'readme.html')

    """
    folder, name = posixpath.split(path.removesuffix(".md"))
    parts = folder.split("/") if folder else []
    return "-".join([*parts, name.lower()] if name != "README" or not parts else parts) + ".html"


def title_of(path: str, text: str) -> str:
    """The first heading of a document, as plain text; its path where it has none. The front of the repository has the
    name of the project for one, as every page does."""
    if path == "README.md":
        return "Overview"
    found = re.search(r"^# (.*)$", text, flags=re.MULTILINE)
    return found[1].replace("`", "") if found else path


def targets(path: str, text: str) -> list[str]:
    """The paths of the repository that a document links to or shows."""
    found = []
    for token in _inline(_MARKDOWN.parse(text)):
        address = token.attrGet("href") or token.attrGet("src")
        if address is not None and (target := _target(path, str(address))[0]):
            found.append(target)
    return found


def render_navigation(texts: Mapping[str, str], first: Sequence[str], here: str = "") -> str:
    """The links at the top of every page: the schedules, then the documents of `first`; `here` is the page's own."""
    entries = {FRONT: "Schedules"} | {page_name(path): title_of(path, texts[path]) for path in first}
    links = (
        f'<a href="{html.escape(name)}"{" aria-current=page" if name == here else ""}>{html.escape(title)}</a>'
        for name, title in entries.items()
    )
    return f'<nav aria-label="Pages">{" ".join(links)}</nav>'


def _inline(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from token.children or ()


def _target(path: str, address: str) -> tuple[str, str]:
    """(path in the repository, anchor) of an address in a document; the path is "" for what lies outside or within."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path:
        return "", parts.fragment
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), urllib.parse.unquote(parts.path)))
    return ("" if joined.startswith("..") else joined), parts.fragment


class _Page:
    """One document on its way to a page."""

    def __init__(self, path: str, texts: Mapping[str, str], pictures: Mapping[str, bytes]) -> None:
        self.path, self.texts, self.pictures = path, texts, pictures
        self.anchors = collections.Counter[str]()

    def render(self, first: Sequence[str]) -> str:
        tokens = _MARKDOWN.parse(self.texts[self.path])
        for token, after in zip(tokens, [*tokens[1:], None], strict=True):
            if token.type == "heading_open" and after is not None:
                token.attrSet("id", self._anchor(after.content))
            if token.type in ("table_open", "table_close"):
                _wrap(token)
            self._resolve(token.children or [])
        filled = {
            "TITLE": html.escape(title_of(self.path, self.texts[self.path])),
            "NAVIGATION": render_navigation(self.texts, first, page_name(self.path)),
            "PATH": html.escape(self.path),
            "BODY": _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}),
        }
        place = importlib.resources.files("lrsched.analysis.schedules")
        template = place.joinpath("document.html").read_text(encoding="utf-8")
        return re.sub(r"<!--([A-Z]+)-->", lambda found: filled[found[1]], template)

    def _anchor(self, heading: str) -> str:
        """The anchor that GitHub gives a heading; of the same ones, the second ends in -1."""
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        self.anchors[name] += 1
        return f"{name}-{self.anchors[name] - 1}" if self.anchors[name] > 1 else name

    def _resolve(self, children: Sequence[Token]) -> None:
        """Leads links to pages and puts pictures in their places."""
        close = ""
        for token in children:
            if token.type == "image":
                self._show(token)
            elif token.type == "link_open":
                close = self._lead(token)
            elif token.type == "link_close" and close:
                _replace(token, close)

    def _lead(self, link: Token) -> str:
        """Changes the beginning of a link; what stands in place of its end, if it becomes mere text."""
        address = str(link.attrGet("href"))
        path, anchor = _target(self.path, address)
        for found in (path, f"{path}/README.md"):
            if found in self.texts:
                link.attrSet("href", page_name(found) + (f"#{anchor}" if anchor else ""))
                return ""
        if not path:  # elsewhere, or on this page
            return ""
        _replace(link, "<span>")
        return f"</span> <span class=path>({html.escape(path)})</span>"

    def _show(self, picture: Token) -> None:
        path, _ = _target(self.path, str(picture.attrGet("src")))
        if path in self.pictures:
            kind = PICTURES[posixpath.splitext(path)[1]]
            picture.attrSet("src", f"data:{kind};base64,{base64.b64encode(self.pictures[path]).decode()}")
        else:
            _replace(picture, html.escape(picture.content))


def _wrap(table: Token) -> None:
    """Puts a table into a box of its own that scrolls sideways where the screen is narrow."""
    opens = table.type == "table_open"
    box = '<div class="scroll" role="region" tabindex="0" aria-label="Table"><table>\n' if opens else "</table></div>\n"
    _replace(table, box)


def _replace(token: Token, markup: str) -> None:
    """Makes a token stand for this HTML."""
    token.type, token.content, token.nesting = "html_inline", markup, 0
    token.children = None
