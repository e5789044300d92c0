import json
import urllib.parse

import numpy as np
import pytest
from pages import Reader, dumped, needs_chromium, widths

from lrsched.analysis.schedules.gallery import Argument, Card, render_page

Z = np.arange(100) / 100
STILL = np.full(100, 0.9)


def card(name="linear", rate=0.1 * (1 - Z), momentum=STILL, **words):
    texts = {
        "summary": f"{name}: a line.",
        "formula": "lr(t) = 1 - z",
        "notes": "z < 1",
        "returns": "float32",
        "source": "Li et al.",
    }
    arguments = (Argument("peak_value", "", "the first rate"), Argument("end_value", "0.0", "the last < first"))
    made = {"returns": "float32", "arguments": arguments, "python": f"{name}(0.1)", "json": '{"schedule": "linear"}'}
    return Card(name=name, rate=rate, momentum=momentum, **{**texts, **made, **words})


def test_page_asks_for_nothing_outside_itself():
    text = render_page([card()])
    asked = [a for _, attributes, _ in Reader(text).elements for a in attributes.items() if a[0] in ("src", "href")]
    assert asked == [("href", "data:,"), ("href", "#card-linear")]  # the icon, which browsers fetch otherwise
    assert not any(word in text for word in ("url(", "@import", "fetch(", "XMLHttpRequest", "import("))


def test_page_without_javascript_shows_cards_and_no_dead_controls():
    reader = Reader(render_page([card("linear"), card("rex")]))
    articles = reader.all("article")
    assert [attributes["data-name"] for attributes, _ in articles] == ["linear", "rex"]
    for part in (
        "linear: a line.",
        "lr(t) = 1 - z",
        "z < 1",
        "Li et al.",
        "required",
        "the last < first",
        "linear(0.1)",
    ):
        assert part in articles[0][1]
    assert all("hidden" in attributes for attributes, _ in reader.all("button"))
    assert (
        next(attributes for attributes, _ in reader.all("div") if attributes.get("id") == "tools").get("hidden", "")
        is None
    )


def test_drawing_runs_from_corner_to_corner():
    lines = [
        attributes["points"].split() for attributes, _ in Reader(render_page([card(rate=1 - Z)])).all("polyline")[4:]
    ]
    assert (lines[0][0], lines[0][-1]) == ("0,0", "300,108.9")  # 110 high, of which the last update has 1 % left
    assert len(lines[1]) == 2  # a flat line is its two ends
    assert lines[1][0].split(",")[1] == lines[1][1].split(",")[1]


def test_drawing_has_a_name_that_says_what_it_shows():
    drawings = [
        attributes["aria-label"]
        for attributes, _ in Reader(render_page([card()])).all("svg")
        if "aria-label" in attributes
    ]
    assert drawings == ["linear: rate from 0.1 at the first update to 0.001 at the last, largest 0.1; momentum 0.9"]


def test_drawing_has_numbers_on_its_axes():
    text = render_page([card("saw", rate=0.25 * (1 - Z), momentum=0.95 - 0.1 * Z)])
    numbers = [told for attributes, told in Reader(text).all("text") if told not in ("rate", "momentum", "update")]
    assert numbers == ["0.25", "0", "0.95", "0.851", "0", "99"]


def test_momentum_that_changes_by_rounding_alone_stays():
    noise = np.where(Z < 0.5, 0.9, 0.9 + 1e-16)
    assert noise.max() > noise.min()
    drawings = [a["aria-label"] for a, _ in Reader(render_page([card(momentum=noise)])).all("svg") if "aria-label" in a]
    assert drawings[0].endswith("; momentum 0.9")


def test_source_that_several_have_is_written_once():
    own = card("rex", source="Chen et al.")
    text = render_page([card("onecycle", source="Smith"), card("onecycle:variant=a,b", source="Smith"), own])
    sources = [told for attributes, told in Reader(text).all("p") if attributes.get("class") == "source"]
    assert sources == ["Smith", "Source: that of onecycle.", "Chen et al."]
    assert '<a href="#card-onecycle">' in text


def test_every_card_has_a_place_of_its_own_to_link_to():
    names = ["step", "onecycle:variant=a,b", "linear@50-75", 'odd <name> "x"']
    reader = Reader(render_page([card(name) for name in names]))
    places = [attributes["id"] for attributes, _ in reader.all("article")]
    assert places == ["card-step", "card-onecycle:variant=a,b", "card-linear@50-75", 'card-odd-<name>-"x"']
    everything = [attributes["id"] for _, attributes, _ in reader.elements if "id" in attributes]
    assert len(set(everything)) == len(everything)
    links = [urllib.parse.unquote(attributes["href"]) for attributes, _ in reader.all("a")]
    assert [link for link in links if link in {f"#{place}" for place in places}] == links


def test_curve_has_the_colour_that_figures_give_the_schedule():
    styles = [
        attributes["style"] for attributes, _ in Reader(render_page([card("rex"), card("linear")])).all("article")
    ]
    assert styles == ["--own: #0072B2", "--own: #D55E00"]


def test_text_cannot_leave_its_place():
    evil = '</script><b onclick="x">&'
    reader = Reader(render_page([card(evil, summary=evil, formula=evil, source=evil, python=evil, json=evil)]))
    assert reader.all("b") == []
    assert reader.all("option")[0][1] == evil
    assert list(json.loads(reader.all("script")[0][1])) == [evil]


def test_page_is_the_same_from_the_same_cards():
    assert render_page([card()]) == render_page([card()])


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ([], "cards must hold at least one schedule, got none"),
        ([card(), card()], "names that differ, got linear, linear"),
        ([card(), card("rex", rate=1 - Z[:50])], "curves of one length, got 50, 100"),
    ],
)
def test_page_of_wrong_cards(cards, message):
    with pytest.raises(ValueError, match=message):
        render_page(cards)


USE = """<script>
const report = {};
const enter = (id, value) => { get(id).value = value; get(id).dispatchEvent(new Event("input")); };
const shown = () => cards.filter(card => card.offsetParent !== null).map(card => card.dataset.name);
const verdict = () => get("verdict").textContent;
report.start = [shown(), get("found").textContent, first.value, second.value];
enter("search", "SAW li"); report.search = [shown(), get("found").textContent];
enter("search", "smith"); report.source = shown();
enter("search", ""); report.cleared = shown();
enter("first", "linear"); enter("second", "saw"); report.overlay = verdict(); report.at = get("at").textContent;
report.points = get("rate-first").getAttribute("points").split(" ");
enter("step", "0"); report.moved = get("at").textContent;
cards[2].querySelector("button").click(); report.picked = [first.value, second.value, verdict()];
enter("second", "constant"); report.same = verdict();
const copied = [];
document.execCommand = () => { copied.push(document.activeElement.value); return true; };
Object.defineProperty(navigator, "clipboard", { value: undefined });
cards[1].querySelector(".copy").click();
report.copied = [copied, cards[1].querySelector(".copy").firstChild.data];
document.execCommand = () => false;
cards[2].querySelector(".copy").click();
report.failed = [cards[2].querySelector(".copy").firstChild.data, document.activeElement.className];
enter("search", "SAW li"); location.hash = "card-linear"; dispatchEvent(new Event("hashchange"));
report.linked = [shown(), get("search").value];
document.body.dataset.report = JSON.stringify(report);
</script></body>"""


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [320, 390])
def test_page_on_a_phone_does_not_scroll_sideways(width, tmp_path):
    long = Argument("first_cycle_steps_or_fraction", "(0.1, 0.2, 0.3)", "as of torch.optim.lr_scheduler.OneCycleLR")
    cards = [card("onecycle:variant=torch_three_phase,final_fraction=0.001", arguments=(long,), notes="x" * 200)]
    shown, needed = widths(render_page([*cards, card()]), width, tmp_path)
    assert shown <= width
    assert needed == shown


@needs_chromium
def test_page_in_a_browser_searches_and_lays_over(tmp_path):
    saw = np.where(Z < 0.5, 0.1, 0.02)
    smith = {"source": "Smith"}
    cards = [card(), card("saw", rate=saw, momentum=0.95 - saw, **smith)]
    cards += [card("constant", rate=np.full(100, 0.1), **smith)]
    path = tmp_path / "page.html"
    path.write_text(render_page(cards).replace("</body>", USE))
    report = dumped(path, tmp_path / "profile")
    assert report["start"] == [["linear", "saw", "constant"], "3 of 3", "linear", "saw"]
    assert report["search"] == [["saw"], "1 of 3"]  # what a link says is not searched
    assert report["source"] == ["saw", "constant"]  # the second links to the first for it
    assert report["cleared"] == ["linear", "saw", "constant"]
    # before the jump they are 0.049 apart at most, at step 49; from it on 0.03 at most
    assert report["overlay"].startswith("They differ most at step 49: linear 0.051, saw 0.1, difference -0.049.")
    assert report["overlay"].endswith("Mean rates: 0.0505 and 0.06.")
    assert report["at"] == "49: rates 0.051 and 0.1, momenta 0.9 and 0.85"
    assert (report["points"][0], report["points"][-1]) == ("0.0,0.00", "700.0,99.00")
    assert report["moved"] == "0: rates 0.1 and 0.1, momenta 0.9 and 0.85"
    assert report["picked"][:2] == ["constant", "linear"]
    assert report["copied"] == [["saw"], "copied"]
    assert report["failed"] == ["not copied", "copy"]
    assert report["linked"] == [["linear", "saw", "constant"], ""]  # though the search had put it away
    assert report["same"] == "constant and constant have the same rates."


def test_references_of_all_cards_are_listed_once_with_a_link() -> None:
    two = ("B. Second. 2022. arXiv:2107.04197", "A. <First>. 1951. https://doi.org/10.1214/x")
    reader = Reader(render_page([card("rex", references=two), card("linear", references=two[:1])]))
    items = [text for _, text in reader.all("li")]
    assert items == [two[1], two[0]]
    assert "https://arxiv.org/abs/2107.04197" in [attributes.get("href") for attributes, _ in reader.all("a")]
    assert "References" not in render_page([card("rex")])
