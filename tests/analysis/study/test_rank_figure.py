"""The critical-difference diagram."""

from __future__ import annotations

import pathlib
import re

import pytest

from lrsched.analysis.study.rank_figure import draw_critical_difference
from lrsched.analysis.study.ranks import CriticalDifference

RANKS = (("rex", 1.25), ("cosine", 3.26), ("linear", 3.29), ("onecycle", 4.4), ("step", 4.9))
FOUND = CriticalDifference(RANKS, 48, 3e-28, 1.3, (("cosine", "linear", "onecycle"), ("onecycle", "step")))


def test_diagram_names_every_schedule_with_its_rank(tmp_path: pathlib.Path) -> None:
    draw_critical_difference(FOUND, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    words = re.findall(r"<text[^>]*>([^<]*)</text>", text)
    for label, rank in RANKS:
        assert any(label in word and f"{rank:.2f}" in word for word in words)
    assert any("48 settings" in word and "critical difference 1.30" in word for word in words)
    draw_critical_difference(FOUND, tmp_path / "b.svg")
    assert text == (tmp_path / "b.svg").read_text()


def test_diagram_says_that_nothing_is_told_apart(tmp_path: pathlib.Path) -> None:
    draw_critical_difference(CriticalDifference(RANKS, 3, 0.2, 4.0, (tuple(dict(RANKS)),)), tmp_path / "a.svg")
    assert "p = 0.2, so that nothing is told apart" in (tmp_path / "a.svg").read_text()


def test_diagram_has_a_bar_for_each_group(tmp_path: pathlib.Path) -> None:
    sizes = []
    for groups in ((), FOUND.groups[:1], FOUND.groups):
        draw_critical_difference(CriticalDifference(RANKS, 48, 0.01, 1.3, groups), tmp_path / "a.svg")
        sizes.append((tmp_path / "a.svg").read_text().count("stroke-width: 3"))
    assert sizes == [0, 1, 2]


def test_diagram_with_another_ending(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"path must end in .svg or .png"):
        draw_critical_difference(FOUND, tmp_path / "a.pdf")
