from lrsched.analysis import markdown
from lrsched.analysis.report.document import Table
from lrsched.analysis.report.saved import read_markdown

TEXT = f"""{markdown.table([["rule", "rate"], [markdown.code("a|b"), "0.1 or so"], ["c", "-"]], align="lr")}
Use 0.1.
Chosen: `x`.

{markdown.table([["", "n"], ["d", "1"]])}"""


def test_tables_and_lines_are_told_apart() -> None:
    blocks = read_markdown(TEXT, name="t", titles={"rule": "Rules"})
    kinds = [block.title if isinstance(block, Table) else block for block in blocks]
    assert kinds == ["Rules", "Use 0.1.", "Chosen: `x`.", "By "]


def test_table_keeps_sides_cells_and_numbers() -> None:
    table, *_ = read_markdown(TEXT, name="t", titles={})
    assert isinstance(table, Table)
    assert [(column.head, column.align) for column in table.columns] == [("rule", "l"), ("rate", "r")]
    assert [[(entry.text, entry.value) for entry in row] for row in table.rows] == [
        [(r"`a\|b`", None), ("0.1 or so", 0.1)],
        [("c", None), ("-", None)],
    ]


def test_head_without_a_word_gets_one_for_screen_readers() -> None:
    table = read_markdown(TEXT, name="t", titles={})[-1]
    assert isinstance(table, Table)
    assert (table.name, table.columns[0].head) == ("t_2", "what")
