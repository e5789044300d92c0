import itertools
import pathlib
from collections.abc import Callable

import pytest
from pages import Reader, dumped, needs_chromium, widths

from lrsched.analysis.report.document import Column, Document, Entry, Part, Section, Table
from lrsched.analysis.report.page import render_page
from lrsched.analysis.report.study import Findings, describe_study

ERRORS = {
    ("rex", "5%"): [0.10, 0.11, 0.12],
    ("onecycle:variant=torch_three_phase,final_fraction=0.001", "5%"): [0.31, 0.30, 0.35],
    ("<script>alert(1)</script>", "5%"): [0.12, 0.11, 0.13],
    ("rex", "100%"): [0.01, 0.02, 0.01],
    ("onecycle:variant=torch_three_phase,final_fraction=0.001", "100%"): [0.02, 0.02, 0.03],
    ("<script>alert(1)</script>", "100%"): [0.01, 0.03, 0.01],
}
MakeStudy = Callable[..., Findings]


TITLE = "A &lt;study>"
_PARTS: list[Part] = []  # made once: the statistics take their time


@pytest.fixture
def part(study: MakeStudy) -> Part:
    if not _PARTS:
        _PARTS.append(describe_study(study(ERRORS)))
    return _PARTS[0]


@pytest.fixture
def page(part: Part) -> str:
    return render_page(Document(TITLE, "Made.", (part,)))


def test_page_asks_for_nothing_outside_itself(page: str) -> None:
    asked = [value for _, attributes, _ in Reader(page).elements for name, value in attributes.items() if name in ("src", "href")]  # noqa: E501  # fmt: skip
    assert asked[0] == "data:,"  # the icon, which browsers fetch otherwise
    assert all(value and value.startswith("#") for value in asked[1:])
    assert not any(word in page for word in ("url(", "@import", "fetch(", "XMLHttpRequest", "import("))
    assert "default-src 'none'" in page


def test_text_cannot_leave_its_place(page: str) -> None:
    reader = Reader(page)
    assert len(reader.all("script")) == 1
    assert [text for _, text in reader.all("title")] == ["A <study>"]
    assert "<script>alert(1)</script>" in [text for _, text in reader.all("code")]


def test_page_without_javascript_has_tables_and_no_dead_controls(page: str) -> None:
    reader = Reader(page)
    assert not reader.all("button") + reader.all("input")
    assert len(reader.all("table")) >= 5


def test_every_link_leads_to_one_place(page: str) -> None:
    reader = Reader(page)
    places = [attributes["id"] for _, attributes, _ in reader.elements if "id" in attributes]
    assert len(set(places)) == len(places)
    assert {(attributes["href"] or "")[1:] for attributes, _ in reader.all("a")} <= set(places)


def test_tables_and_figures_are_named_and_numbered(page: str) -> None:
    reader = Reader(page)
    captions = [text for _, text in reader.all("caption")]
    assert [caption.split(".")[0] for caption in captions] == [f"Table {i + 1}" for i in range(len(captions))]
    titles = [text for _, text in reader.all("figcaption")]
    assert [title.split(".")[0] for title in titles] == [f"Figure {i + 1}" for i in range(len(titles))]
    assert all(attributes.get("aria-label") or attributes.get("aria-hidden") for attributes, _ in reader.all("svg"))
    assert all(attributes.get("scope") for attributes, _ in reader.all("th"))


@pytest.mark.parametrize("count", [1, 2])
def test_headings_leave_out_no_level(part: Part, count: int) -> None:
    reader = Reader(render_page(Document("D", "", (part,) * count)))
    levels = [int(tag[1]) for tag, _, _ in reader.elements if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_page_is_the_same_from_the_same_study(page: str, study: MakeStudy) -> None:
    assert render_page(Document(TITLE, "Made.", (describe_study(study(ERRORS)),))) == page


ROWS = [("b", "10", 10.0), ("a", "9.5", 9.5), ("c", "-", None), ("d", "−3", -3.0)]  # noqa: RUF001
TABLE = Table(
    "t",
    "A table",
    (Column("name"), Column("number", "r")),
    tuple((Entry(name), Entry(text, value)) for name, text, value in [*ROWS, *[("z", "1", 1.0)] * 8]),
)
USE = """<script>
const report = {}, table = document.querySelector("table"), heads = [...table.tHead.rows[0].cells];
const rows = () => [...table.tBodies[0].rows].filter(row => !row.hidden);
const column = () => rows().map(row => row.cells[0].textContent).join("");
const press = i => heads[i].querySelector("button").click();
report.sorts = heads.map(head => head.getAttribute("aria-sort"));
press(1); report.rising = [column(), heads.map(head => head.getAttribute("aria-sort"))];
press(1); report.falling = [column(), heads[1].getAttribute("aria-sort")];
press(0); report.names = [column(), heads.map(head => head.getAttribute("aria-sort"))];
const input = document.querySelector("input");
report.label = input.labels[0].textContent;
input.value = "Z 1"; input.dispatchEvent(new Event("input"));
report.found = [column(), document.querySelector(".filter [role=status]").textContent];
input.value = ""; input.dispatchEvent(new Event("input"));
report.all = column();
const box = document.querySelector(".scroll");
report.stop = box.hasAttribute("tabindex");
document.body.dataset.report = JSON.stringify(report);
</script></body>"""


@needs_chromium
def test_table_in_a_browser_is_sorted_and_searched(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "page.html"
    document = Document("D", "", (Part("P", "", (), (), (Section("S", (TABLE,)),)),))
    path.write_text(render_page(document).replace("</body>", USE), encoding="utf-8")
    report = dumped(path, tmp_path / "profile")
    assert report["sorts"] == ["none", "none"]
    assert report["rising"] == ["dzzzzzzzzabc", ["none", "ascending"]]  # what is no number stands last
    assert report["falling"] == ["cbazzzzzzzzd", "descending"]
    assert report["names"] == ["abcdzzzzzzzz", ["ascending", "none"]]
    assert report["label"] == "Rows with (Table 1. A table)"
    assert report["found"] == ["zzzzzzzz", "8 of 12 rows"]
    assert report["all"] == "abcdzzzzzzzz"
    assert not report["stop"]  # it does not scroll


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [320, 390])
def test_page_on_a_phone_does_not_scroll_sideways(page: str, width: int, tmp_path: pathlib.Path) -> None:
    shown, needed = widths(page, width, tmp_path)
    assert shown <= width
    assert needed == shown
