"""The script that times a study's start: what it measures, and what it says of that."""

from collections.abc import Sequence

import bench_start
import pytest
from bench_start import Times


def test_first_of_two_studies_with_a_cache_is_the_cold_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []

    def measure(command: str, cache: str, study: Sequence[str]) -> Times:
        assert list(study) == ["--seeds", "1"]
        warm = (command, cache) in asked
        asked.append((command, cache))
        first = {"other": 20.0}.get(command, 10.0) - 6.0 * warm + len({each for _, each in asked}) // 2
        return Times(first, first + 30.0)

    monkeypatch.setattr(bench_start, "measure", measure)
    assert bench_start.main(["--rounds", "3", "--other", "other", "--study", "--seeds", "1"]) == 0
    assert len(asked) == 12
    assert [asked.count(each) for each in dict.fromkeys(asked)] == [2] * 6  # a cache for each version and round
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [
        ["cold", "this"], ["cold", "other"], ["warm", "this"], ["warm", "other"]
    ]  # fmt: skip
    assert " ".join(lines[0].split()[2:]) == "11.0 (10.0 to 12.0) 41.0 (40.0 to 42.0)"
    assert " ".join(lines[3].split()[2:]) == "16.0 (15.0 to 17.0) 46.0 (45.0 to 47.0)"


@pytest.mark.slow
def test_study_is_timed_to_its_first_record_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--schedules", "rex", "linear", "--budgets", "2st", "--seeds", "1", "--shared-rate", "0.1"]
    assert bench_start.main(["--rounds", "1", "--study", *small, "--model", "mlp"]) == 0
    cold, warm = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert (cold[:2], warm[:2]) == (["cold", "this"], ["warm", "this"])
    assert 0 < float(cold[2]) <= float(cold[6])
