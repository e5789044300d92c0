import base64

import pytest
from pages import Reader

from lrsched.analysis.schedules import documents

TEXTS = {
    "README.md": "# Front\n\n[tables](results/a/table.md) [notes](results/a) [two](lrsched/docs/b.md#two-words)",
    "results/a/README.md": "# Of `a`\n\n[back](../../README.md) [web](https://x.org/a.md) [code](../../lrsched/c.py)",
    "results/a/table.md": "| a | b |\n| --- | ---: |\n| 1 | 2 |\n\n![curve](c.svg) ![lost](d.svg)",
    "lrsched/docs/b.md": "# B\n\n## Two words\n\n## Two words\n\n[here](#two-words) [out](../../../up.md)\n\n<b>&</b>",
}
PICTURES = {"results/a/c.svg": b"<svg/>"}
NAVIGATION = {"Schedules": "index.html", "Overview": "readme.html", "B": "lrsched-docs-b.html"}


@pytest.fixture(scope="module")
def pages() -> dict[str, Reader]:
    made = documents.render_pages(TEXTS, PICTURES, first=("README.md", "lrsched/docs/b.md"))
    return {name: Reader(text) for name, text in made.items()}


def links(page: Reader) -> dict[str, str]:
    """Words -> address of the links in the text, which stand behind those at the top."""
    found = [(text, attributes["href"]) for attributes, text in page.all("a")]
    assert dict(found[:3]) == NAVIGATION
    return dict(found[3:])


def test_each_document_is_a_page_of_its_title(pages: dict[str, Reader]) -> None:
    titles = {name: page.all("title")[0][1] for name, page in pages.items()}
    assert titles == {
        "readme.html": "Overview - lrsched",
        "results-a.html": "Of a - lrsched",
        "results-a-table.html": "results/a/table.md - lrsched",
        "lrsched-docs-b.html": "B - lrsched",
    }


def test_links_lead_to_pages_and_their_headings(pages: dict[str, Reader]) -> None:
    assert links(pages["readme.html"]) == {
        "tables": "results-a-table.html",
        "notes": "results-a.html",
        "two": "lrsched-docs-b.html#two-words",
    }
    ids = [attributes["id"] for attributes, _ in pages["lrsched-docs-b.html"].all("h2")]
    assert ids == ["two-words", "two-words-1"]


def test_links_to_other_files_of_the_repository_become_their_paths(pages: dict[str, Reader]) -> None:
    page = pages["results-a.html"]
    assert links(page) == {"back": "readme.html", "web": "https://x.org/a.md"}
    assert "code (lrsched/c.py)" in page.all("main")[0][1]
    assert links(pages["lrsched-docs-b.html"]) == {"here": "#two-words", "out": "../../../up.md"}


def test_pictures_are_in_the_page_and_tables_in_a_box_that_scrolls(pages: dict[str, Reader]) -> None:
    page = pages["results-a-table.html"]
    ((attributes, _),) = page.all("img")
    assert attributes["alt"] == "curve"
    assert base64.b64decode((attributes["src"] or "").removeprefix("data:image/svg+xml;base64,")) == b"<svg/>"
    assert "lost" in page.all("main")[0][1]
    assert [attributes.get("class") for attributes, _ in page.all("div")] == ["scroll"]
    assert [text for _, text in page.all("td")] == ["1", "2"]


def test_page_loads_nothing_and_markup_in_a_document_is_text(pages: dict[str, Reader]) -> None:
    for page in pages.values():
        asked = [attributes.get("href") for attributes, _ in page.all("link")]
        asked += [attributes.get("src") for attributes, _ in page.all("img")]
        assert all((address or "").startswith("data:") for address in asked)
        assert page.all("script") == []
    assert "<b>&</b>" in pages["lrsched-docs-b.html"].all("main")[0][1]


def test_page_marks_itself_at_the_top(pages: dict[str, Reader]) -> None:
    current = {name: [text for a, text in page.all("a") if "aria-current" in a] for name, page in pages.items()}
    assert current["readme.html"] == ["Overview"]
    assert current["results-a.html"] == []


def test_targets_are_paths_of_the_repository() -> None:
    assert documents.targets("results/a/README.md", TEXTS["results/a/README.md"]) == ["README.md", "lrsched/c.py"]
    assert documents.targets("lrsched/docs/b.md", TEXTS["lrsched/docs/b.md"]) == []
    assert documents.targets("results/a/table.md", TEXTS["results/a/table.md"]) == [
        "results/a/c.svg",
        "results/a/d.svg",
    ]
