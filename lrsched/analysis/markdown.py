"""Names and sentences in Markdown: none of them becomes a cell's end, a tag or code."""

from __future__ import annotations

import re


def code(text: str) -> str:
    """A label as code in a cell of a table: a | would end the cell, and a backtick the code."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}".replace("|", "\\|")


def escaped(text: str) -> str:
    r"""Text on one line that reads as it is.

    Example:
      >>> print(escaped("a|b\n<i> `c`"))
      a\|b &lt;i> \`c\`
    """
    text = " ".join(text.split()).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("|", "\\|").replace("`", "\\`")
