"""The script that times a study's start: it runs, and measures what it says."""

import bench_start
import pytest


@pytest.mark.slow
def test_first_record_comes_before_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--schedules", "rex", "linear", "--budgets", "5%", "--seeds", "1", "--peak-values", "0.1"]
    assert bench_start.main(["--rounds", "1", "--study", *small]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [line[:2] for line in lines] == [["cold", "this"], ["warm", "this"]]
    for line in lines:
        first, end = float(line[2]), float(line[6])
        assert 0 < first <= end
