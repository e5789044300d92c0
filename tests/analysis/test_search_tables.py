"""Tables of searches: what is best, what is not separated from it, and what diverged."""

import pathlib
import re

import pytest

from lrsched.analysis import search_plots, search_tables
from lrsched.analysis.search_tables import Found, Part, Tried


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
    row = search_tables.summary([PART]).splitlines()[2]
    assert "| weight decay | **0.001** |" in row
    assert row.endswith("| 0.0001 |")
    assert "20.00 ± 10.00 (3) %" in row


def test_table_of_samplers_has_both_the_best_trial_and_its_runs_again() -> None:
    text = search_tables.samplers(
        [Found("grid", (0.3, None, 0.1), {"rate": 0.5}, {1: 0.2, 2: 0.3}, {1: 0.25, 2: 0.35})]
    )
    assert "| grid | 3 | 10.00 | rate 0.5 | 25.00 ± 7.07 (2) | 30.00 ± 7.07 (2) | 1 |" in text


def test_figure_falls_and_leaves_out_what_diverged(tmp_path: pathlib.Path) -> None:
    search_plots.best_so_far({"grid": [0.5, None, 0.2], "random": [None, 0.4, 0.45]}, tmp_path / "a.svg")
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "a.svg").read_text())
    assert {"grid", "random", "trials", "held-out error, %"} <= set(words)
    with pytest.raises(ValueError, match="at least one error"):
        search_plots.best_so_far({"grid": [None]}, tmp_path / "b.svg")


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
    assert search_tables.bisected(means) == middle
