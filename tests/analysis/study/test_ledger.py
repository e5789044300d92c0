"""Measured cells beside the papers' numbers."""

from __future__ import annotations

from typing import Any

import pytest

from lrsched.analysis.study.cells import gather
from lrsched.analysis.study.ledger import Entry, format_markdown, ledger, lies_inside
from lrsched.analysis.study.paper import PaperNumber, find_numbers

CIFAR: dict[str, Any] = {"data": "cifar10", "model": "resnet20", "max_epochs": 300}


def entries(rows: list[dict[str, Any]], selection: list[dict[str, Any]] | None = None) -> list[Entry]:
    return ledger(rows, gather(rows, selection or []))


# REX, arXiv:2107.04197: rex at 15 epochs has 12.86 +- 0.27 (3) in Table 4 and 12.86 in Table 2.
def test_ledger_has_every_printed_number_of_the_setting(record: Any) -> None:
    found = entries([record(seed=s, test_error=e, **CIFAR) for s, e in enumerate((0.125, 0.127, 0.126))])
    assert [(one.printed.mean, one.printed.std, one.printed.source.partition(", ")[2]) for one in found] == [
        (0.1286, None, "Table 2"),
        (0.1286, 0.0027, "Tables 4-9"),
    ]
    assert {(one.label, one.budget, one.setting, one.n) for one in found} == {
        ("rex", "5%", "cifar10, resnet20, sgd", 3)
    }
    assert all(one.mean == pytest.approx(0.126) and one.sd == pytest.approx(0.001) for one in found)


@pytest.mark.parametrize(
    ("mean", "inside"), [(0.1340, True), (0.1341, False), (0.1232, True), (0.1231, False), (0.1286, True)]
)
def test_inside_is_within_two_printed_standard_deviations(mean: float, inside: bool) -> None:
    assert lies_inside(mean, PaperNumber(0.1286, 0.0027, 3, "")) == inside


def test_inside_is_not_told_without_a_printed_spread(record: Any) -> None:
    assert [one.inside for one in entries([record(test_error=0.1286, **CIFAR)])] == [None, True]


def test_ledger_names_the_runs_that_diverged(record: Any) -> None:
    rows = [record(seed=0, test_error=0.12, **CIFAR), record(seed=1, diverged_at=3, **CIFAR)]
    found = entries(rows)
    assert {(one.mean, one.diverged, one.inside) for one in found} == {(None, 1, None)}
    assert "| diverged 1/2 |" in format_markdown(found)


@pytest.mark.parametrize(
    ("label", "config", "said"),
    [
        ("rex", {"batch_size": 512}, "differs: batch size 512 (there 128)"),
        ("rex", {"momentum": "0.95"}, "momentum 0.95 (there 0.9)"),
        ("onecycle:variant=rex_paper", {"momentum": "0.9"}, "momentum 0.9 (there cycled)"),
        ("rex", {}, "differs: one rate given (there tuned for each entry); not stated there: weight decay 0.0005"),
        ("rex", {"augment": False}, "not stated there: weight decay 0.0005, no augmentation"),
    ],
)
def test_ledger_says_what_differs(record: Any, label: str, config: dict[str, Any], said: str) -> None:
    tables = [one for one in entries([record(label, **CIFAR, **config)]) if one.printed.std is not None]
    assert [said in one.differs for one in tables] == [True]


def test_ledger_of_chosen_rates_does_not_say_that_one_was_given(record: Any) -> None:
    selection = [record(peak_value=r, holdout_error=r, **CIFAR) for r in (0.1, 0.3)]
    (_, one) = entries([record(peak_value=0.1, seed=5, **CIFAR)], selection)
    assert one.differs == "not stated there: weight decay 0.0005"


def test_ledger_of_sampled_schedules_is_of_table_2(record: Any) -> None:
    (one,) = entries([record("rex@50-75", test_error=0.2, **CIFAR)])
    assert (one.printed.mean, one.printed.trials, one.inside) == (0.2079, None, None)
    assert one.differs.startswith("not stated there: rate 0.1, weight decay 0.0005")
    assert entries([record("step@50-75", **CIFAR)]) == []  # an exponential of unknown constant


def test_ledger_says_that_a_steep_profile_stands_for_one_of_unknown_constant(record: Any) -> None:
    rows = [record(f"exponential:gamma=-5{at}", test_error=0.15, **CIFAR) for at in ("", "@50-75")]
    found = entries(rows)
    assert [one.printed.mean for one in found] == [0.1919, 0.1448]
    said = "differs: exponential:gamma=-5 for a steep profile whose constant is not given; not stated there: rate 0.1,"
    assert all(one.differs.startswith(said) for one in found)
    assert find_numbers(rows) == {}  # no number of its own
    assert "lie within" not in format_markdown(found)  # of no number is a spread printed


def test_ledger_of_settings_that_nobody_printed(record: Any) -> None:
    assert entries([record()]) == []
    assert format_markdown([]) == "No printed number is of a setting that was measured here.\n"


def test_ledger_as_a_table(record: Any) -> None:
    rows = [record(seed=s, test_error=e, augment=True, **CIFAR) for s, e in enumerate((0.120, 0.122, 0.121))]
    text = format_markdown(entries(rows))
    (line,) = (line for line in text.splitlines() if "Tables 4-9" in line)
    assert line.startswith("| `rex` | 5% | 12.10 ± 0.10 (3) | 12.86 ± 0.27 (3) | no (-0.76 points) | b |")
    assert "0 of 1 measured means lie within the printed mean ± 2 printed sd." in text
    assert "\na: not stated there: rate 0.1, weight decay 0.0005, augmentation.\n" in text
    assert "\nb: differs: one rate given (there tuned for each entry); not stated there: weight decay" in text
