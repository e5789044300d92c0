"""The scripts around the range test: 1cycle at its suggestion against chosen rates, and the run that ends in NaN."""

import pathlib

import large_batch
import onecycle_cifar10
import pytest

from lrsched.analysis.study.cells import gather
from lrsched.runs import records as recorded

SMALL = """
    --data digits --model resnet8 --batch-size 64 --epochs 0.2 --seeds 2 --rates 0.1 0.3 --length 20
"""


@pytest.mark.slow
def test_onecycle_is_held_against_rates_chosen_on_held_out_data_and_goes_on(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL.split(), "--out", str(tmp_path)]
    assert onecycle_cifar10.main(words) == 0
    records = recorded.read(tmp_path / "records.jsonl").rows
    cells = {cell.label: cell for cell in gather(records)}
    assert {label: cell.n for label, cell in cells.items()} == {"onecycle": 2, "constant": 2, "step": 2}
    assert cells["onecycle"].rates_tried == (cells["onecycle"].peak_value,)
    for label in onecycle_cifar10.RIVALS:
        assert cells[label].rates_tried == (0.1, 0.3)
        assert cells[label].peak_value == onecycle_cifar10.best_rate([r for r in records if r["seed"] == 0], label)
    for name in ("range_test/range_test.svg", "table.md", "losses.svg"):
        assert (tmp_path / name).exists()
    before = (tmp_path / "records.jsonl").read_bytes()
    assert onecycle_cifar10.main(words) == 0
    assert (tmp_path / "records.jsonl").read_bytes() == before


@pytest.mark.slow
def test_range_test_warned_of_the_run_that_diverged(capsys: pytest.CaptureFixture[str]) -> None:
    assert large_batch.main(["--updates", "40"]) == 0
    said = capsys.readouterr().out
    assert said.count("rate 1 is at or above") == 2
    assert said.count("a run at rate 1: diverged at update") == 2
    assert said.count("% of the variance") == 2
