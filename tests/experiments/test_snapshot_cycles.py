"""Snapshots of equal cycles, one cosine and short runs, in a tiny form."""

import dataclasses
import json
import pathlib
from types import SimpleNamespace

import pytest
import snapshot_cycles
from snapshot_cycles import COSINE, EPOCHS, LAST, SHORT, SNAPSHOTS

from lrsched.commands.train import TrainConfig
from lrsched.runs import records
from lrsched.runs.task import resolve

TINY = snapshot_cycles.Setting("digits", "mlp", epochs=4, cycles=2, seeds=(0,), rates=(0.1,), batch_size=128)


def test_ways_cost_the_same_and_their_runs_share_no_seed() -> None:
    setting = dataclasses.replace(snapshot_cycles.SETTINGS["digits"], model="mlp")
    rates = dict.fromkeys((SNAPSHOTS, COSINE, SHORT), 0.1)
    made = [setting.runs(rates, seed) for seed in (0, 1)]
    for runs in made:
        length = {name: resolve(config).total_steps for name, config in runs.items()}
        shorts = [steps for name, steps in length.items() if name.startswith("short")]
        assert length["snapshots"] == length["cosine"] == sum(shorts)
        ends = resolve(runs["snapshots"]).cycle_ends
        assert list(ends) == [shorts[0] * cycle for cycle in range(1, setting.cycles + 1)]
    seeds = [config.seed for runs in made for name, config in runs.items() if name.startswith("short")]
    assert len(set(seeds)) == len(seeds)
    assert snapshot_cycles.SELECTION_SEED not in seeds


@pytest.mark.slow
def test_script_writes_scores_of_every_way_and_goes_on(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(snapshot_cycles.SETTINGS, "digits", TINY)
    assert snapshot_cycles.main(["--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    for each in record["snapshot_cycles"].values():
        assert set(each["scores"]) == set(snapshot_cycles.WAYS)
        # What grows to all members is the mean of all, and begins with the last one.
        whole, last = each["growing"][SNAPSHOTS][-1], each["growing"][SNAPSHOTS][0]
        assert whole["error"] == pytest.approx(each["scores"][SNAPSHOTS]["error"], abs=1e-9)
        assert last["error"] == pytest.approx(each["scores"][LAST]["error"], abs=1e-9)
        assert each["growing"][SHORT][-1]["nll"] == pytest.approx(each["scores"][SHORT]["nll"], abs=1e-6)
        assert each["scores"][EPOCHS] != each["scores"][COSINE]
        assert len(each["runs"]) == 2 + 2
    rows = records.read(tmp_path / "records.jsonl").rows
    named = [one["run"] for each in record["snapshot_cycles"].values() for one in each["runs"].values()]
    assert sorted(row["run"] for row in rows) == sorted(named)
    table = (tmp_path / "table.md").read_bytes()
    assert snapshot_cycles.write_results(record, tmp_path / "again").encode() == table
    assert snapshot_cycles.main(["--out", str(tmp_path)]) == 0
    assert (tmp_path / "table.md").read_bytes() == table
    assert len(records.read(tmp_path / "records.jsonl").rows) == len(rows)


def test_papers_scale_passes_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert snapshot_cycles.main(["--scale", "paper", "--data", "digits", "--model", "mlp", "--dry-run"]) == 0
    # 2 rates x (200 + 200 + 40) epochs and 3 seeds x 3 x 200, of ceil(1295 / 64) updates
    assert (
        capsys.readouterr().out == f"6 runs to choose the rates, 21 with fresh seeds: {(880 + 1800) * 21:,} updates.\n"
    )


def test_rate_of_each_way_is_that_of_its_least_held_out_loss() -> None:
    held = [
        {"rate": 0.1, "nll": {SNAPSHOTS: 0.3, COSINE: None, SHORT: 0.2}},  # a run that diverged has no loss
        {"rate": 0.3, "nll": {SNAPSHOTS: 0.2, COSINE: 0.9, SHORT: 0.2}},
    ]
    assert snapshot_cycles.best_rates(held) == {SNAPSHOTS: 0.3, COSINE: 0.3, SHORT: 0.1}


def test_rate_at_which_runs_diverge_is_not_chosen(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(asked: TrainConfig) -> SimpleNamespace:
        gone = asked.config.peak_value == 0.3
        row = {"label": "a", "holdout_error": None if gone else 0.1, "holdout_loss": None if gone else 0.3}
        return SimpleNamespace(result={**row, "diverged_at": 7 if gone else None})

    rows = [{"name": "mean of probabilities", "holdout_nll": 0.2}]
    monkeypatch.setattr(snapshot_cycles.train, "run", run)
    monkeypatch.setattr(snapshot_cycles.ensemble, "run", lambda asked: SimpleNamespace(result={"rows": rows}))
    rates, held = snapshot_cycles.choose(dataclasses.replace(TINY, rates=(0.1, 0.3)), tmp_path, None)
    assert rates == dict.fromkeys((SNAPSHOTS, COSINE, SHORT), 0.1)
    assert held[1]["nll"] == dict.fromkeys((SNAPSHOTS, COSINE, SHORT))
    monkeypatch.setattr(snapshot_cycles, "choose", lambda *_: (dict.fromkeys(rates, 0.3), held))
    monkeypatch.setitem(snapshot_cycles.SETTINGS, "digits", TINY)
    with pytest.raises(SystemExit, match="seed 0: every run must train, got snapshots, cosine, short0"):
        snapshot_cycles.main(["--out", str(tmp_path)])
    assert not (tmp_path / "record.json").exists()


def test_cycles_must_divide_the_epochs() -> None:
    with pytest.raises(SystemExit, match="a multiple of the 6 cycles, got 7"):
        snapshot_cycles.main(["--epochs", "7"])
