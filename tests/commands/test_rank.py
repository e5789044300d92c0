"""`lrsched rank` as a person types it."""

import re

import pytest

import lrsched as ls
from lrsched import cli
from lrsched.commands import rank
from lrsched.commands.rank import RankConfig


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert cli.main(["rank", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_order_and_ratios_are_those_of_the_bounds() -> None:
    # bounds and best rates at T = 100, arXiv:2501.18965: linear .20360842 at .09725521, rex .20612913 at .07841250,
    # step .25552427 at .07419000
    rows = rank.rank(RankConfig(("step", "rex", "linear"), total_steps=100))
    assert [row.label for row in rows] == ["linear", "rex", "step"]
    assert [row.tuned for row in rows] == pytest.approx([1, 0.20612913 / 0.20360842, 0.25552427 / 0.20360842], abs=1e-7)
    assert [row.rate for row in rows] == pytest.approx([1, 0.07841250 / 0.09725521, 0.07419 / 0.09725521], abs=1e-6)
    shared = ls.bound(ls.rex(0.09725521, total_steps=100)).value / 0.20360842
    assert rows[1].shared == pytest.approx(shared, abs=1e-6)
    assert rows[1].tuned < rows[1].shared


def test_table_has_a_bar_and_says_how_far_to_trust_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "rex", "linear", "step", "--total-steps", "100")
    assert lines[0].split() == ["schedule", "bound", "at", "linear's", "rate", "best", "rate", "above", "the", "lowest"]
    assert [line.split()[0] for line in lines[1:4]] == ["linear", "rex", "step"]
    assert [line.count("#") for line in lines[1:4]] == [0, 1, rank.BAR]
    text = " ".join(lines)
    assert "0.84 to 0.94 with all at linear's best rate" in text
    assert "0.33 to 0.57 at twice" in text


def test_rate_of_the_first_gives_those_of_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    rows = rank.rank(RankConfig(("rex", "linear"), total_steps=400, rate=0.1))
    tried = {row.label: row.tried for row in rows}
    assert tried == pytest.approx({"rex": 0.1, "linear": 0.1 * 0.04956313 / 0.03997908}, rel=1e-5)
    assert "where rex was best at 0.1 over 400 updates" in " ".join(
        said(capsys, "rex", "--rate", "0.1", "--total-steps", "400")
    )


def test_rate_of_a_shorter_run_gives_that_of_a_longer_one() -> None:
    (row,) = rank.rank(RankConfig(("linear",), total_steps=400, rate=0.1, rate_steps=100))
    assert row.tried == pytest.approx(0.1 * 0.04956313 / 0.09725521, rel=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rax"], "schedule must be one of constant, .* got 'rax'"),
        (["rex", "rex:d=0.5"], "schedules must differ from each other, got rex, rex"),
        (["rex", "--total-steps", "0"], "total_steps must be at least 1"),
        (["rex", "--rate", "-1"], "rate must be at least 0, got -1"),
        (["rex", "--rate-steps", "10"], "rate_steps must come with --rate"),
        (["sgdr:first_cycle=10ep"], "where no epochs are known"),
        (["constant:peak_value=0"], "rates must not all be 0"),
    ],
)
def test_wrong_words_end_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rank", *words]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 1
    assert re.search(message, output.err)
