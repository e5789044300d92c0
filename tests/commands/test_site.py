"""The documentation as a folder of pages."""

import pathlib
import shutil
import urllib.parse

import numpy as np
import pytest
from pages import Reader, needs_chromium, widths

import lrsched
from lrsched import cli
from lrsched.analysis.schedules.gallery import Card
from lrsched.commands import _site

PACKAGE = pathlib.Path(lrsched.__file__).parent
CARDS = [Card("rex", "REX.", "lr(t) = 1", "", "float32", "Chen", (), "rex(0.1)", "{}", np.ones(5), np.full(5, 0.9))]
OWN = {"index.html", "lrsched-commands.html", "lrsched-docs-choosing.html", "lrsched-docs-recipes.html"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    assert _site.write_site(folder, CARDS) == len(list(folder.iterdir()))
    return folder


@pytest.fixture(scope="module")
def pages(site: pathlib.Path) -> dict[str, Reader]:
    return {path.name: Reader(path.read_text("utf-8")) for path in site.iterdir()}


def test_front_page_has_the_cards_and_links_to_what_there_is_to_read(pages: dict[str, Reader]) -> None:
    front = pages["index.html"]
    assert [attributes["data-name"] for attributes, _ in front.all("article")] == ["rex"]
    linked = {attributes["href"] for attributes, _ in front.all("a")}
    assert linked >= OWN | {"readme.html", "results.html", "tests-conformance.html", "changelog.html"}


def test_results_that_are_linked_have_pages_with_their_figures(pages: dict[str, Reader]) -> None:
    tables = [name for name in pages if name.startswith("results-") and name.endswith("-table.html")]
    root = PACKAGE.parent
    assert len(tables) >= 10
    for name in tables:
        ((_, path),) = ((a, text) for a, text in pages[name].all("p") if a.get("class") == "source")
        figures = list((root / path).parent.glob("*.svg"))
        assert len(pages[name].all("img")) == len(figures), name


def test_every_link_leads_to_a_page_and_a_heading_that_are_there(pages: dict[str, Reader]) -> None:
    places = {name: {a["id"] for _, a, _ in page.elements if "id" in a} for name, page in pages.items()}
    broken = []
    for name, page in pages.items():
        for attributes, _ in page.all("a"):
            there = urllib.parse.urlsplit(attributes["href"] or "")
            target = there.path or name
            if there.scheme or (target in pages and (not there.fragment or there.fragment in places[target])):
                continue
            if not (name == "index.html" and urllib.parse.unquote(there.fragment) in places[name]):
                broken.append((name, attributes["href"]))
    assert broken == []


def test_package_without_a_checkout_has_the_pages_that_come_with_it(tmp_path: pathlib.Path) -> None:
    shutil.copytree(PACKAGE / "docs", tmp_path / "root" / "lrsched" / "docs")
    (tmp_path / "root" / "lrsched" / "commands").mkdir()
    shutil.copy(PACKAGE / "commands" / "README.md", tmp_path / "root" / "lrsched" / "commands")
    (tmp_path / "root" / "README.md").write_text("# Of another package\n")
    _site.write_site(tmp_path / "site", CARDS, tmp_path / "root")
    assert {path.name for path in (tmp_path / "site").iterdir()} == OWN


def test_folder_that_is_there_keeps_what_else_is_in_it(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "v1.0.html"
    folder.mkdir()
    (folder / "mine.txt").write_text("kept")
    assert cli.main(["schedules", "rex", "--html", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"written: {folder / 'index.html'} and ")
    assert (folder / "mine.txt").read_text() == "kept"
    assert {path.name for path in folder.iterdir()} >= OWN


@pytest.mark.parametrize("name", ["page.htm", "a.pdf"])
def test_what_is_neither_page_nor_folder_is_refused(
    name: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["schedules", "rex", "--html", str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "html must be a page, FILE.html, or a folder, a name without an ending, got" in line
    assert list(tmp_path.iterdir()) == []


def test_file_in_the_place_of_the_folder_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes").write_text("mine")
    assert cli.main(["schedules", "rex", "--html", str(tmp_path / "notes")]) == 2
    assert "html must be a folder that can be written" in capsys.readouterr().err
    assert (tmp_path / "notes").read_text() == "mine"


@pytest.mark.slow
@needs_chromium
def test_page_of_wide_tables_on_a_phone_does_not_scroll_sideways(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    text = (site / "results.html").read_text("utf-8").replace("default-src 'none'; ", "")  # for the test's own script
    shown, needed = widths(text, 390, tmp_path)
    assert shown <= 390
    assert needed == shown
