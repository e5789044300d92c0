import html.parser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsched.analysis import markdown
from lrsched.analysis.report import words
from lrsched.analysis.report.words import Span

LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(lambda text: " ".join(text.split()))


def shown(text: str) -> str:
    """What a browser shows of a piece of HTML."""
    found: list[str] = []
    reader = html.parser.HTMLParser()
    reader.handle_data = found.append  # type: ignore[method-assign]
    reader.feed(text)
    reader.close()
    return "".join(found)


@given(LINES.filter(lambda text: "**" not in text))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    assert words.plain(markdown.escape(text)) == text


@given(LINES.filter(bool))
def test_label_reads_as_it_was(text: str) -> None:
    assert words.spans(markdown.code(text)) == [Span(text, code=True)]


def test_minus_is_of_numbers_and_never_in_code() -> None:
    text = "`exponential:gamma=-5` -3.5 [-1, 2] 1e-05 10-20"
    assert shown(words.to_html(text, minus=True)) == "exponential:gamma=-5 \u22123.5 [\u22121, 2] 1e-05 10-20"
    assert shown(words.to_html(text)) == text.replace("`", "")
    latex = words.to_latex("`gamma=-5` -3.5", minus=True)
    assert latex == r"\texttt{gamma=-5} $-$3.5"


@given(LINES.filter(bool))
def test_html_shows_a_label_and_has_no_other_tags(text: str) -> None:
    written = words.to_html(markdown.code(text))
    assert shown(written) == text
    assert written.replace("<wbr>", "").removeprefix("<code>").removesuffix("</code>").count("<") == 0


def test_code_within_bold() -> None:
    assert words.to_html("**0.15 `steepest`** 5") == (
        "<strong>0.15 </strong><strong><code>steepest</code></strong> 5"
    )  # each piece by itself


def test_latex_of_every_special_character() -> None:
    assert words.to_latex(markdown.escape(r"50% & $1 #2 a_b {c} ~ ^ \ <d>")) == (
        r"50\% \& \$1 \#2 a\_b \{c\} \textasciitilde{} \textasciicircum{} \textbackslash{} \textless{}d\textgreater{}"
    )


@pytest.mark.parametrize(("one", "latex"), [("日", "{[}U+65E5]"), ("é", "é"), ("±", r"$\pm$"), ("\x7f", "{[}U+007F]")])
def test_latex_of_a_character_beyond_ascii(one: str, latex: str) -> None:
    assert words.to_latex(one) == latex
