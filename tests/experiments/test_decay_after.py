"""Decays merged from a trunk and trained from its middle, in a tiny form."""

import json
import pathlib

import decay_after
import numpy as np
import pytest

from lrsched.training import provenance, soups


@pytest.mark.slow
def test_cooldown_from_the_middle_is_the_run_with_that_plan_and_snapshots_end_at_the_trunk() -> None:
    trunk = decay_after.train_trunk(decay_after.configure("constant", 0.1, 0, 0.0, 2), snapshots=3)
    assert len(trunk.snapshots) == 3
    assert provenance.digest(trunk.snapshots[-1]) == provenance.digest(trunk.last.params)
    run = decay_after.configure("constant+rex:50%", 0.1, 0, 0.0, 2)
    *_, whole = decay_after.follow(run, run.initial_state())
    *_, left = decay_after.follow(run, trunk.middle)
    assert provenance.digest(whole.params) == provenance.digest(left.params)


@pytest.mark.slow
def test_script_writes_record_table_and_figure(tmp_path: pathlib.Path) -> None:
    words = ["--epochs", "2", "--snapshots", "3", "--decays", "linear", "--rates", "0.1", "--seeds", "0", "1"]
    assert decay_after.main([*words, "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert set(record["decay_after"]["0"]) == {"trained linear", "merged linear", decay_after.LAST, decay_after.EMA}
    text = (tmp_path / "table.md").read_text()
    assert text == decay_after.write_results(record, tmp_path / "again")
    assert "mean ± sd over 2 seeds; 2 epochs" in text
    assert (tmp_path / "decay_after.svg").stat().st_size > 0


def test_snapshots_must_divide_the_decay() -> None:
    with pytest.raises(ValueError, match="snapshots must divide half of 90 updates, got 7"):
        decay_after.train_trunk(decay_after.configure("constant", 0.1, 0, 0.0, 2), snapshots=7)


def test_linear_weights_are_the_plain_mean() -> None:
    trees = [{"w": np.full(3, float(i), np.float32)} for i in range(4)]
    weights = decay_after.merge_weights(decay_after.profiles.named("linear"), snapshots=4)
    np.testing.assert_array_equal(soups.mean_tree(trees, weights)["w"], soups.mean_tree(trees)["w"])
