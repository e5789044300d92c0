"""`lrsched forecast` as a person types it: on records of the repository and on curves made by a law."""

import json
import pathlib
import re

import numpy as np
import pytest

import lrsched as ls
from lrsched import cli
from lrsched.commands import _loss_curves, _optimised, forecast
from lrsched.commands.forecast import ForecastConfig
from lrsched.forecast import fits
from lrsched.runs import records

RESULTS = pathlib.Path(__file__).parents[2] / "results"
TRUE = fits.FittedLaw("annealing", {"L0": 2.0, "A": 3.0, "alpha": 0.5, "C": 0.05, "lambda": 0.99})


def write_curves(folder: pathlib.Path, *names: str, total_steps: int = 401) -> list[str]:
    """CSV files of runs at 0.1, with a rate in every line and a loss in every tenth."""
    paths = []
    for name in names:
        rates = getattr(ls, name)(0.1, total_steps=total_steps).table()
        lines = ["step,lr,loss"]
        for step, rate in enumerate(rates):
            loss = "" if step == 0 or step % 10 else f"{TRUE.predict(rates, [step])[0]:.10f}"
            lines.append(f"{step},{float(rate)!r},{loss}")
        paths.append(str(folder / f"{name}.csv"))
        pathlib.Path(paths[-1]).write_text("\n".join(lines) + "\n")
    return paths


@pytest.mark.slow
def test_law_of_two_shapes_predicts_the_others(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = write_curves(tmp_path, "constant", "cosine", "rex", "linear", "step")
    options = ["--law", "annealing", "--fit-on", "constant", "cosine", "--out", str(tmp_path / "out")]
    assert cli.main(["forecast", *paths, *options, "--schedules", "wsd", "--leave-one-out"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "On the 3 runs that it was not fitted to it is 0.0000 off" in text
    assert "Rank correlation of predicted and measured: 1.00" in text
    assert re.search(r"wsd 400 0\.1 \d\.\d{4} asked", text)
    law = fits.FittedLaw.from_json((tmp_path / "out" / "law.json").read_text())
    assert law.parameters == pytest.approx(TRUE.parameters, rel=0.01)
    assert "| `step` | 400 | 0.1 |" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.slow
def test_best_member_and_free_rates_are_schedules_to_train_with(tmp_path: pathlib.Path) -> None:
    paths = write_curves(tmp_path, "constant", "cosine")
    config = ForecastConfig(
        tuple(paths),
        law="annealing",
        optimise=("rex:d=0/0.95", "free", "rex:d=0/0.1"),
        out=str(tmp_path / "out"),
        total_steps=200,
    )
    found = forecast.run(config).result
    rex, free, _ = found.best
    for member, name in zip(found.best, ("rex", "free", "rex_2"), strict=True):
        schedule = ls.from_json((tmp_path / "out" / f"best_{name}.json").read_text())
        assert schedule.total_steps == 200
        assert found.law.predict(schedule) == pytest.approx(member.loss)
        assert any("200 updates" in sentence for sentence in member.leaves)
    tried = [TRUE.predict(ls.rex(0.1, total_steps=200, d=d)) for d in np.linspace(0, 0.95, 96)]
    assert rex.loss == pytest.approx(min(tried), abs=2e-4)
    assert free.loss < rex.loss
    assert (np.diff(free.schedule.table()) <= 1e-12).all()


def test_records_of_a_study_are_curves_of_mean_losses() -> None:
    found = _loss_curves.read([str(RESULTS / "onecycle_cifar10")])
    assert found.loss == "holdout loss"
    rows = records.read(RESULTS / "onecycle_cifar10" / "records.jsonl").rows
    steps = [row for row in rows if row["label"] == "step" and row["config"]["peak_value"] == 0.1]
    (curve,) = [curve for curve in found.curves if curve.name == "step" and curve.peak == 0.1]
    assert curve.losses.tolist() == [pytest.approx(np.mean([row["holdout_loss"] for row in steps]))]
    assert curve.steps.tolist() == [len(curve.rates)] == [steps[0]["total_steps"]]
    along = _loss_curves.read([str(RESULTS / "onecycle_cifar10")], train=True)
    (curve,) = [curve for curve in along.curves if curve.name == "step" and curve.peak == 0.1]
    assert len(curve.steps) == len(steps[0]["train_losses"])
    assert curve.steps[0] == 3  # the middle of the first six updates


@pytest.mark.parametrize("total", [1, 2, 90, 100, 101, 250, 299, 300, 501])
def test_training_losses_are_measured_in_the_middle_of_their_blocks(total: int) -> None:
    size = -(-total // 100)
    blocks = [range(first, min(first + size, total)) for first in range(0, total, size)]
    row = {"total_steps": total, "train_losses": [1.0] * len(blocks)}
    steps, _ = _loss_curves._measured([row], "train")
    made = [[update + 1 for update in block] for block in blocks]  # updates made when its loss is known
    assert steps.tolist() == [int(np.floor(np.mean(each))) for each in made]
    assert (np.diff(steps) > 0).all()


def test_training_losses_of_the_study_on_the_digits_are_curves() -> None:
    found = _loss_curves.read([str(RESULTS / "digits_study")], train=True)
    assert {len(curve.rates) for curve in found.curves} == {18, 90, 360}


def test_measurements_on_the_way_are_taken_where_all_seeds_have_them(tmp_path: pathlib.Path) -> None:
    rows = [
        row for row in records.read(RESULTS / "onecycle_cifar10" / "records.jsonl").rows if row["label"] == "onecycle"
    ]
    for shift, row in enumerate(rows[:2]):
        losses = [2.0 + shift, 1.0 + shift, row["holdout_loss"]]
        row["evaluations"] = {"split": "holdout", "steps": [0, 100, 528], "losses": losses, "errors": losses}
        records.append(tmp_path / "records.jsonl", row)
    (curve,) = _loss_curves.read([str(tmp_path)]).curves
    assert curve.steps.tolist() == [100, 528]
    assert curve.losses[0] == 1.5
    records.append(tmp_path / "records.jsonl", rows[2])
    (curve,) = _loss_curves.read([str(tmp_path)]).curves
    assert curve.steps.tolist() == [528]


def test_runs_that_diverged_are_left_out_and_named(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for row in records.read(RESULTS / "onecycle_cifar10" / "records.jsonl").rows:
        if row["label"] == "constant" and row["seed"] == 0:
            row |= {"diverged_at": 7, "holdout_loss": None, "test_loss": None}
        records.append(tmp_path / "records.jsonl", row)
    assert cli.main(["forecast", str(tmp_path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "left out: constant at 0.1 over 528 updates, which diverged" in text
    assert "Nothing was held against it" in text


def test_runs_of_several_settings_are_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("onecycle_cifar10", "digits_study"):
        for row in records.read(RESULTS / name / "records.jsonl").rows[:2]:
            records.append(tmp_path / "records.jsonl", row)
    assert cli.main(["forecast", str(tmp_path)]) == 2
    assert "runs must have one batch_size, got 512, 32: a law is of one setting." in capsys.readouterr().err


def test_peak_rates_choose_what_is_fitted() -> None:
    config = ForecastConfig(
        (str(RESULTS / "onecycle_cifar10"),), fit_on=("onecycle", "step"), fit_peaks=(0.1, 0.3, 1.0)
    )
    rows = forecast.run(config).result.rows
    assert {(row.name, row.peak) for row in rows if row.fitted} == {("step", 0.1), ("step", 0.3), ("step", 1.0)}
    assert len(rows) == 7


def test_schedules_that_the_law_needs_are_said(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    paths = write_curves(tmp_path, "constant", "cosine")
    assert cli.main(["forecast", *paths, "--law", "annealing", "--leave-one-out"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "The runs do not identify the law without constant, or without cosine." in text
    assert "say little (--fit-on)." in text


@pytest.mark.parametrize(
    ("value", "low", "high", "edge"),
    [
        (0.0009, 0.0001, 0.1, False),
        (0.00012, 0.0001, 0.1, True),
        (0.95, 0.0, 0.95, True),
        (0.9, 0.0, 0.95, False),
        (100.3, 100.0, 500.0, True),
    ],
)
def test_edge_of_a_range_is_a_part_of_it(value: float, low: float, high: float, *, edge: bool) -> None:
    assert _optimised._at_the_edge(value, low, high) == edge


def test_result_is_a_value_with_the_law_and_its_rows() -> None:
    config = ForecastConfig((str(RESULTS / "onecycle_cifar10"),), fit_on=("onecycle", "step"))
    found = forecast.run(config).result
    assert found.law.law == "convex_end"
    assert found.law.fitted == ("onecycle", "step")
    assert {row.name for row in found.rows if not row.fitted} == {"constant"}
    assert [row.predicted for row in found.rows] == sorted(row.predicted for row in found.rows)
    assert json.loads(found.law.to_json())["seen"]["total_steps"] == [528, 528]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "sources must name a folder of runs or a CSV file|required"),
        (["no/such"], "sources must be folders with records.jsonl, or CSV files of curves, got no/such"),
        (["RUNS", "--law", "kepler"], "law must be one of annealing, .* got 'kepler'"),
        (["RUNS", "--fit-on", "rex"], "fit_on must be one of .* got 'rex'"),
        (["RUNS", "--fit-peaks", "7"], "fit_peaks must be of 0.1, 0.3, 0.45, 1, got 7"),
        (["RUNS", "--law", "annealing", "--train"], "annealing must be fitted at one peak rate, got 0.1, 0.3, 0.45, 1"),
        (["RUNS"], "convex_end must be fitted to runs that decay, got constant"),
        (["RUNS", "--fit-on", "step", "--peak-value", "0"], "peak_value must be above 0, got 0"),
        (["RUNS", "--fit-on", "step", "--schedules", "rex"], "peak_value must be given where runs differ in it"),
        (["RUNS", "--fit-on", "step", "--peak-value", "1", "--optimise", "rex"], "must name the argument that moves"),
        (
            ["RUNS", "--fit-on", "step", "--peak-value", "1", "--optimise", "rex:d=0.5"],
            "with a range, as in rex:d=0/0.95",
        ),
        (["RUNS", "--fit-on", "step", "--peak-value", "1", "--optimise", "rax:d=0/1"], "got 'rax'"),
    ],
)
def test_wrong_words_end_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(RESULTS / "onecycle_cifar10") if word == "RUNS" else word for word in words]
    assert cli.main(["forecast", *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)


@pytest.mark.slow
def test_family_whose_number_moves_in_whole_updates_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--fit-on", "step", "--peak-value", "1", "--optimise", "wsd:cooldown=0.1/0.5"]
    assert cli.main(["forecast", str(RESULTS / "onecycle_cifar10"), *words]) == 2
    said = capsys.readouterr().err
    assert re.search("optimise must move the loss of wsd:cooldown=0.1/0.5 smoothly: .* gradient of 0", said)
