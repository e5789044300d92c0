"""Counters that are never reset: their arithmetic, the article's numbers, and that the script runs."""

import pathlib
import subprocess
import sys

import metric_fault
import numpy as np
import pytest
from helpers import users_environment

SCRIPT = pathlib.Path(__file__).parents[2] / "experiments" / "metric_fault.py"


def test_shared_counters_print_the_mean_over_everything_so_far() -> None:
    counts = [(30, 50), (8, 10), (45, 50), (9, 10)]  # train, test, train, test
    np.testing.assert_allclose(metric_fault.printed(counts), [30 / 50, 38 / 60, 83 / 110, 92 / 120], rtol=1e-12)


def test_last_test_pass_is_solved_from_two_printed_numbers() -> None:
    # 83 / 110 and 92 / 120 as printed: 76.67 * 120 - 75.45 * 110 = 900.9, +- 0.005 * 230, over 10.
    low, high = metric_fault.solved(75.45, 76.67, epochs=2, train=50, test=10)
    np.testing.assert_allclose([low, high], [89.975, 90.205], rtol=1e-9)
    assert low < 100 * 9 / 10 < high


@pytest.mark.parametrize("run", metric_fault.ARTICLE, ids=lambda run: run.name)
def test_true_accuracy_of_the_article_is_one_that_its_printed_numbers_allow(run: metric_fault.Run) -> None:
    low, high = metric_fault.solved(run.printed_train, run.printed_test, epochs=run.epochs)
    assert low <= run.true_test <= high
    assert (run.printed_test < run.printed_train) == (run.true_test < run.printed_train)  # a worse pass lowers the mean


def test_both_conclusions_are_reversed() -> None:
    text = metric_fault.article_table()
    assert text.count("reversed") == len(metric_fault.CONCLUSIONS) == 2


@pytest.mark.slow
def test_script_prints_and_writes_the_counters_and_the_truth(tmp_path: pathlib.Path) -> None:
    words = [sys.executable, str(SCRIPT), "--epochs", "2", "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300, env=users_environment())
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "table.md").read_text() == done.stdout
    first, second = ([float(cell) for cell in line.split("|")[2:6]] for line in done.stdout.splitlines()[2:4])
    train, test, after_train, after_test = first
    assert after_train == train  # nothing came before
    assert train < after_test < test  # learning: the pass before an update is worse than the one after them all
    assert first[3] < second[3] < second[1]
