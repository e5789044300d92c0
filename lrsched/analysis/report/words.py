"""Text on one line with code and bold in it: read from Markdown, which all writers of a report start from."""

from __future__ import annotations

import html
import itertools
import re
from typing import NamedTuple

_TOKEN = re.compile(r"\\([\\`*|<>_#])|(`+)(.+?)(?<!`)\2(?!`)|(\*\*)|&(lt|gt|amp);")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&"}


class Span(NamedTuple):
    """A piece of text."""

    text: str
    code: bool = False
    strong: bool = False


def spans(text: str) -> list[Span]:
    r"""The pieces of a line of Markdown, as `markdown.escape` and `markdown.code` write it, with ** around what is bold.

    Example:
      >>> spans(r"**0.15 `steep`** \| 5 &lt; 6")
      [Span(text='0.15 ', code=False, strong=True), Span(text='steep', code=True, strong=True), Span(text=' | 5 < 6', code=False, strong=False)]
    """  # noqa: E501
    found: list[Span] = []
    strong, at = False, 0
    for token in [*_TOKEN.finditer(text), None]:
        found.append(Span(text[at : token.start() if token else len(text)], strong=strong))
        if token is None:
            break
        at = token.end()
        escaped, fence, code, bold, entity = token.groups()
        if fence:
            inner = code[1:-1] if "`" in code else code
            found.append(Span(inner.replace("\\|", "|"), code=True, strong=strong))
        elif bold:
            strong = not strong
        else:
            found.append(Span(escaped or _ENTITIES[entity], strong=strong))
    alike = itertools.groupby((span for span in found if span.text), key=lambda span: (span.code, span.strong))
    return [Span("".join(span.text for span in each), *kind) for kind, each in alike]


def plain(text: str) -> str:
    """The words alone."""
    return "".join(span.text for span in spans(text))


_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")  # of a number below 0, not of an exponent or a name


def to_html(text: str, *, minus: bool = False) -> str:
    """As HTML, everything escaped.

    Args:
      minus: give numbers below 0 a minus sign as wide as a plus, but not in code.
    """
    pieces = []
    for span in spans(text):
        said = _MINUS.sub("\u2212", span.text) if minus and not span.code else span.text
        piece = html.escape(said)
        if span.code:  # long ones break behind what joins their words
            piece = "<code>" + re.sub(r"(?<=[:,=@+/_])(?=\w)", "<wbr>", piece) + "</code>"
        pieces.append(f"<strong>{piece}</strong>" if span.strong else piece)
    return "".join(pieces)


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after \\\\ it would be an argument, as would *
    "*": "{*}",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "…": r"\ldots{}",
    **{one: f"\\{one}" for one in "&%$#_"},
}


def to_latex(text: str, *, minus: bool = False) -> str:
    """As LaTeX that any engine sets; a character outside Latin-1 that has no form here is named by its code point.

    Args:
      minus: as for `to_html`.
    """
    pieces = []
    for span in spans(text):
        piece = "".join(map(_latex, span.text))
        piece = _MINUS.sub(lambda _: "$-$", piece) if minus and not span.code else piece
        piece = f"\\texttt{{{piece}}}" if span.code else piece
        pieces.append(f"\\textbf{{{piece}}}" if span.strong else piece)
    return "".join(pieces)


def _latex(one: str) -> str:
    if one in _LATEX:
        return _LATEX[one]
    return (
        one
        if one.isprintable() and (ord(one) < 127 or (one.isalpha() and ord(one) < 256))
        else f"{{[}}U+{ord(one):04X}]"
    )
