"""Samplers side by side: their choices, and that they resume where they were stopped."""

import dataclasses
import itertools
import pathlib
import sys
from typing import Any

import pytest

from lrsched import cli
from lrsched.commands import tune
from lrsched.commands.tune import TuneConfig
from lrsched.runs import interrupts, records
from lrsched.runs import task as tasks
from lrsched.runs.config import RunConfig
from lrsched.training import data as datasets

SHORT = RunConfig(schedule="onecycle", max_epochs=0.3, holdout_fraction=0.1, model="mlp")


def tuned(out: pathlib.Path, **changes: Any) -> TuneConfig:
    words: dict[str, Any] = {"config": SHORT, "trials": 2, "runs_each": 1, "workers": 1}
    return TuneConfig(**{**words, **changes}, out=str(out))


@pytest.mark.slow
def test_tune_goes_on_and_its_trials_do_not_depend_on_it(tmp_path: pathlib.Path) -> None:
    whole = tune.run(tuned(tmp_path / "whole", samplers=("random",), trials=4))
    tune.run(tuned(tmp_path / "parts", samplers=("random",), trials=1))
    parts = tune.run(tuned(tmp_path / "parts", samplers=("random",), trials=4))
    assert parts.result[0].values == whole.result[0].values
    assert parts.result[0].setting == whole.result[0].setting
    trials = [r for r in records.read(tmp_path / "whole" / "records.jsonl").rows if r["seed"] == 0]
    assert len(trials) == 4
    assert min(r["holdout_error"] for r in trials) == min(
        value for value in whole.result[0].values if value is not None
    )


def digests(out: pathlib.Path) -> dict[str, str | None]:
    return {row["run"]: row["params_digest"] for row in records.read(out / "records.jsonl").rows}


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_tune_cut_off_anywhere_comes_to_the_same_numbers(
    sampler: tune.Sampler, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tuned(tmp_path / "whole", samplers=(sampler,), trials=12 if sampler == "tpe" else 3)
    whole = tune.run(config)
    cut = dataclasses.replace(config, out=str(tmp_path / "cut"))
    for after in (3, 15, 17):  # looks: in the midst of a trial
        looks = itertools.count()
        with monkeypatch.context() as patch:
            patch.setattr(interrupts, "asked", lambda looks=looks, after=after: next(looks) >= after)
            with pytest.raises(interrupts.Interrupted):
                tune.run(cut)
    again = tune.run(cut)
    assert again.result == whole.result
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


@pytest.mark.slow
def test_tune_on_other_data_makes_trials_of_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tuned(tmp_path, samplers=("random",))
    first = tune.run(config)
    digits = datasets.load("digits", holdout_fraction=0.1)
    other = dataclasses.replace(digits, train=digits.test, digest="0" * 16)
    tasks._put.cache_clear()
    monkeypatch.setattr(datasets, "load", lambda *_, **__: other)
    second = tune.run(config)
    tasks._put.cache_clear()
    assert second.result != first.result
    assert len(digests(tmp_path)) == 6


@pytest.mark.slow
def test_tune_sets_samplers_side_by_side_and_keeps_diverged_trials(tmp_path: pathlib.Path) -> None:
    config = dataclasses.replace(SHORT, model="resnet8")  # which some of these rates train
    outcome = tune.run(tuned(tmp_path, config=config, rates=(1.0, 1e7), trials=3))
    assert [one.sampler for one in outcome.result] == ["grid", "random", "tpe"]
    assert outcome.result[1].values != outcome.result[2].values  # the first draws of TPE are random, and its own
    assert {len(one.values) for one in outcome.result} == {3}
    assert any(value is None for one in outcome.result for value in one.values)
    assert (tmp_path / "best_so_far.svg").exists()
    assert "| grid | 3 |" in outcome.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": 0}, "trials must be at least 1"),
        ({"samplers": ("grid", "grid")}, "samplers must differ"),
        ({"rates": (1.0, 0.1)}, "rates must be two numbers, 0 < low < high"),
        ({"momenta": (0.5, 1.0)}, "momenta must be two numbers"),
        ({"config": dataclasses.replace(SHORT, peak_value=0.0)}, "peak_value must be above 0"),
        ({"config": RunConfig()}, "holdout_fraction must be above 0"),
        ({"config": dataclasses.replace(SHORT, momentum="0.3")}, "momentum must be left out, momenta are searched"),
        ({"config": dataclasses.replace(SHORT, weight_decay=0.7)}, "weight_decay must be left out, weight_decays are"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"trials": 10**11}, "trials and runs_each must come to at most 100,000 runs"),
        ({"runs_each": 10**11}, "trials and runs_each must come to at most 100,000 runs"),
        ({"momenta": (0.9, 0.99999)}, "momenta must be two numbers"),
    ],
)
def test_tune_refuses_in_one_line(changes: dict[str, Any], said: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=said):
        tune.run(tuned(tmp_path / "none", **changes))
    assert not (tmp_path / "none").exists()


def test_tune_without_optuna_says_what_to_install(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert cli.main(["tune", "--out", str(tmp_path / "none")]) == 2
    assert "pip install 'lrsched[tune]'" in capsys.readouterr().err
