"""A page of ours, read element by element or opened in a browser."""

from __future__ import annotations

import html
import html.parser
import json
import pathlib
import shutil
import subprocess
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"]
FLAGS += ["--virtual-time-budget=5000", "--dump-dom"]
VOID = {"meta", "link", "br", "input", "img", "wbr"}

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

NARROW = """<script>
addEventListener("load", () => {
  for (const details of document.querySelectorAll("details")) { details.open = true; }
  const root = document.documentElement;
  parent.document.body.dataset.report = JSON.stringify([root.clientWidth, root.scrollWidth]);
});
</script></body>"""


class Reader(html.parser.HTMLParser):
    """Every element with its attributes and the text within it; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element[2].append(data)

    def all(self, tag: str) -> list[Any]:
        return [(attributes, "".join(text)) for name, attributes, text in self.elements if name == tag]


def dumped(path: pathlib.Path, profile: pathlib.Path) -> Any:
    """What a page's script left as data-report of the body; Chromium opened it without a word on its console."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    (body, _), *_ = Reader(done.stdout.removeprefix("<!DOCTYPE html>").strip()).all("body")
    return json.loads(body["data-report"] or "")


def widths(page: str, width: int, folder: pathlib.Path) -> tuple[int, int]:
    """How wide a page is shown on a screen of so many pixels, all of it unfolded, and how wide it would be."""
    inner = html.escape(page.replace("</body>", NARROW))
    path = folder / "frame.html"
    frame = f'<!DOCTYPE html><body><iframe width="{width}" height="800" srcdoc="{inner}"></iframe></body>'
    path.write_text(frame, encoding="utf-8")
    shown, needed = dumped(path, folder / "profile")
    return shown, needed
