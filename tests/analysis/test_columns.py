"""Tables for a terminal."""

import pytest

from lrsched.analysis import columns


def test_columns_that_do_not_fit_stand_below() -> None:
    assert columns.lay_out(["a", "bb"], [["1", "2"], ["33", "4"], ["5", "6"]], 9) == [
        "a   1  33",
        "bb  2  4",
        "",
        "a   5",
        "bb  6",
    ]


@pytest.mark.parametrize(("there", "width"), [("90", 90), ("500", 120), ("0", 80)])
def test_width_is_the_terminals_up_to_120(there: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", there)
    assert columns.terminal_width(default=80) == width
