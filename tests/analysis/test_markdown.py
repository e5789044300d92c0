"""Tables, names and sentences in Markdown."""

import pytest

from lrsched.analysis import markdown


def test_table_by_hand() -> None:
    found = markdown.table([["rule", "rate"], ["`valley`", "0.1"], ["`slide`", "-"]], align="lr")
    assert found == "| rule | rate |\n| --- | ---: |\n| `valley` | 0.1 |\n| `slide` | - |\n"


@pytest.mark.parametrize(("rows", "align"), [([["a", "b"], ["c"]], None), ([["a", "b"]], "lrl")])
def test_table_of_uneven_rows(rows: list[list[str]], align: str | None) -> None:
    with pytest.raises(ValueError, match="rows must have 2 cells each, as the head has, got lengths"):
        markdown.table(rows, align=align)


@pytest.mark.parametrize(
    ("label", "cell"), [("rex", "`rex`"), ("a|b", "`a\\|b`"), ("a`b", "`` a`b ``"), ("a``b\nc", "``` a``b c ```")]
)
def test_code_ends_neither_the_cell_nor_itself(label: str, cell: str) -> None:
    assert markdown.code(label) == cell


def test_plural_agrees_with_its_number() -> None:
    assert [markdown.plural(n, "member") for n in (0, 1, 2)] == ["0 members", "1 member", "2 members"]
