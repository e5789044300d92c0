"""Tables of searches: what is best, what is not separated from it, and what diverged."""

import math
import pathlib
import re
from typing import Any

import pytest

from lrsched.analysis import drawing
from lrsched.analysis.search import figures, table
from lrsched.analysis.search.table import Found, Part, Tried


def tried(setting: str, *errors: float | None) -> Tried:
    return Tried(setting, 0.1, 2.0, dict(enumerate(errors)))


PART = Part(
    "weight decay",
    (
        tried("0.01", 0.50, 0.60, 0.71),
        tried("0.001", 0.10, 0.20, 0.30),
        tried("0.0001", 0.11, 0.19, 0.32),
        tried("0", 0.1, None, 0.1),
    ),
)


def test_lowest_mean_is_best_and_a_diverged_run_never_is() -> None:
    assert PART.best == 1
    assert PART.verdicts() == ["separated", "best", "not separated", "diverged"]


def test_equal_means_go_to_the_first() -> None:
    assert Part("x", (tried("a", 0.2), tried("b", 0.2))).best == 0


def test_part_in_which_nothing_trains_is_refused() -> None:
    with pytest.raises(ValueError, match="momentum: at least one setting must train"):
        _ = Part("momentum", (tried("0.9", None),)).best


def test_summary_says_what_to_use_and_what_is_as_good() -> None:
    row = table.format_summary([PART]).splitlines()[2]
    assert "| weight decay | **0.001** |" in row
    assert row.endswith("| 0.0001 |")
    assert "20.00 ± 10.00 (3) %" in row


def test_table_of_samplers_has_both_the_best_trial_and_its_runs_again() -> None:
    text = table.format_samplers([Found("grid", (0.3, None, 0.1), {"rate": 0.5}, {1: 0.2, 2: 0.3}, {1: 0.25, 2: 0.35})])
    assert "| grid | 3 | 10.00 | rate 0.5 | 25.00 ± 7.07 (2) | 30.00 ± 7.07 (2) | 1 |" in text


def test_figure_falls_and_leaves_out_what_diverged(tmp_path: pathlib.Path) -> None:
    figures.draw_best_so_far({"grid": [0.5, None, 0.2], "random": [None, 0.4, 0.45]}, tmp_path / "a.svg")
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "a.svg").read_text())
    assert {"grid", "random", "trials", "held-out error, %"} <= set(words)
    with pytest.raises(ValueError, match="at least one error"):
        figures.draw_best_so_far({"grid": [None]}, tmp_path / "b.svg")


@pytest.mark.parametrize(
    ("means", "middle"),
    [
        ({1e-3: 0.3, 1e-4: 0.1, 1e-5: 0.2}, 3e-5),
        ({1e-3: 0.2, 1e-4: 0.1, 1e-5: 0.3}, 3e-4),
        ({1e-3: 0.1, 1e-4: 0.2}, 3e-4),
        ({1e-5: 0.1, 0.0: 0.2}, 1e-6),
        ({1e-3: 0.1, 1e-4: None}, None),
        ({1e-3: 0.1}, None),
    ],
)
def test_weight_decay_is_bisected_in_its_exponent(means: dict[float, float | None], middle: float | None) -> None:
    assert table.bisect_exponent(means) == middle


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures as they are when they would be saved."""
    drawn: list[Any] = []
    monkeypatch.setattr(drawing, "save", lambda figure, path: drawn.append(figure))
    return drawn


def line(axes: Any, label: str) -> tuple[list[float], list[float]]:
    (found,) = [one for one in axes.get_lines() if one.get_label() == label]
    return list(found.get_xdata()), list(found.get_ydata())


def test_answer_is_the_error_over_the_setting_with_zero_a_decade_below(drawn: list[Any]) -> None:
    figures.draw_answer(PART, "a.svg")
    (axes,) = drawn[0].axes
    at, means = line(axes, "mean")
    assert at == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])  # 0 stands at a tenth of 1e-4
    assert means[1:] == pytest.approx([62 / 3, 20.0, 181 / 3])
    assert math.isnan(means[0])  # a run of it diverged
    assert line(axes, "diverged")[0] == pytest.approx([1e-5])
    assert line(axes, "best: 0.001") == (pytest.approx([1e-3]), pytest.approx([20.0]))
    assert axes.get_xscale() == "log"
    assert "0" in [text.get_text() for text in axes.get_xticklabels()]
    seeds = sorted(y for one in axes.get_lines() if one.get_color() == "0.55" for y in one.get_ydata())
    assert seeds == pytest.approx(sorted(100 * e for t in PART.tried for e in t.errors.values() if e is not None))


def test_answer_in_words_stands_side_by_side(drawn: list[Any]) -> None:
    figures.draw_answer(Part("momentum", (tried("0.95-0.85", 0.2), tried("0.9", 0.1), tried("0.8", 0.3))), "a.svg")
    (axes,) = drawn[0].axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.95-0.85", "0.9", "0.8"]
    assert line(axes, "mean") == ([0.0, 1.0, 2.0], pytest.approx([20.0, 10.0, 30.0]))
    (mean,) = [one for one in axes.get_lines() if one.get_label() == "mean"]
    assert mean.get_linestyle() == "None"  # no line joins what has no order


def test_answer_of_a_rate_stands_at_the_rate_and_its_rule_is_named(drawn: list[Any]) -> None:
    rows = (Tried("0.15 `steepest`", 0.15, 4.0, {0: 0.1}), Tried("0.01", 0.01, 4.0, {0: 0.2}))
    figures.draw_answer(Part("peak rate", rows), "a.svg")
    (axes,) = drawn[0].axes
    assert line(axes, "mean") == ([0.01, 0.15], pytest.approx([20.0, 10.0]))
    assert line(axes, "best: 0.15 steepest")[0] == [0.15]


def test_answer_of_numbers_close_together_is_on_a_linear_axis(drawn: list[Any]) -> None:
    figures.draw_answer(Part("momentum", (tried("0.85", 0.2), tried("0.95", 0.1))), "a.svg")
    assert drawn[0].axes[0].get_xscale() == "linear"


def test_answer_of_no_run_that_trained() -> None:
    with pytest.raises(ValueError, match="part must hold at least one error, got none"):
        figures.draw_answer(Part("momentum", (tried("0.9", None),)), "a.svg")


def test_change_of_rate_is_said_and_why() -> None:
    rate = Part("peak rate", (Tried("0.13", 0.13, 4.0, {0: 0.1}), Tried("1", 1.0, 4.0, {0: 0.2})))
    decay = Part("weight decay", (Tried("0.0005", 0.13, 4.0, {0: 0.1}), Tried("0", 0.2, 4.0, {0: 0.2})))
    size = Part("batch size", (Tried("32", 0.13, 4.0, {0: 0.1}), Tried("128", 0.33, 9.0, {0: 0.05})))
    assert table.explain_rates([rate, decay]) == []
    (line,) = table.explain_rates([rate, decay, size])
    assert line.startswith("The rate 0.13 became 0.33 with batch size 128: its own range test suggests 2.5 times")
    assert "| batch size | **128** | 0.33 |" in table.format_summary([rate, decay, size])


def test_change_of_rate_by_the_peak_rate_itself_needs_no_range_test_to_explain_it() -> None:
    decay = Part("weight decay", (Tried("0.0005", 0.1, 4.0, {0: 0.1}), Tried("0", 0.1, 4.0, {0: 0.2})))
    rate = Part("peak rate", (Tried("0.3", 0.3, 4.0, {0: 0.1}), Tried("1", 1.0, 4.0, {0: 0.2})))
    momentum = Part("momentum", (Tried("0.95", 0.2, 4.0, {0: 0.1}), Tried("0.9", 0.3, 4.0, {0: 0.2})))
    assert table.explain_rates([decay, rate]) == []
    (line,) = table.explain_rates([decay, rate, momentum])
    assert line.startswith("The rate 0.3 became 0.2 with momentum 0.95")
