"""Runs and studies, on the digits."""

import dataclasses
import json
import math
import pathlib
from typing import Any

import helpers
import jax
import numpy as np
import pytest

import lrsched as ls
from lrsched import parsing
from lrsched.analysis.study.cells import gather
from lrsched.commands import Outcome, _study_results
from lrsched.commands import study as command
from lrsched.commands.study import StudyConfig, make_grid
from lrsched.runs import run as runs
from lrsched.runs import studies
from lrsched.runs import task as tasks
from lrsched.runs.config import RunConfig
from lrsched.schedules import language
from lrsched.schedules.durations import Budget
from lrsched.schedules.plans import plan
from lrsched.training import train

SIX = ("rex", "linear", "cosine", "step", "exponential", "onecycle:variant=rex_paper")


def small(**words: object) -> StudyConfig:
    few = {
        "schedules": ("rex", "linear"),
        "budgets": ("1ep",),
        "seeds": 1,
        "selection_seeds": 1,
        "max_epochs": 1.0,
        "model": "mlp",
    }
    return StudyConfig(**{**few, **words})  # type: ignore[arg-type]


def finished(config: StudyConfig) -> Outcome:
    return command.run(config)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, pathlib.Path, int]:
    """6 schedules x 3 budgets at 3 rates, then with 3 fresh seeds, each run of a few updates."""
    out = tmp_path_factory.mktemp("grid")
    before = train.compiled_steps()
    outcome = finished(small(schedules=SIX, budgets=("1%", "5%", "10%"), seeds=3, batch_size=36, out=str(out)))
    return outcome, out, train.compiled_steps() - before


@pytest.mark.slow
def test_study_compiles_its_step_once_per_size_of_the_training_set(grid: tuple[Outcome, pathlib.Path, int]) -> None:
    outcome, out, compiled = grid
    assert len(outcome.result) == 6 * 3 * 3
    assert len(studies.load(out).selection) == 6 * 3 * 3
    assert compiled == 2
    assert len({record["compiles"] for record in outcome.result}) == 1


@pytest.mark.slow
def test_study_applies_the_rates_of_its_table(grid: tuple[Outcome, pathlib.Path, int]) -> None:
    errors = [record["applied_rate_max_rel_error"] for record in grid[0].result]
    assert 0 < max(errors) < 1e-6  # a float32 is never exactly 1/3


@pytest.mark.slow
def test_record_says_where_its_numbers_come_from(grid: tuple[Outcome, pathlib.Path, int]) -> None:
    record = json.loads((grid[1] / "records.jsonl").read_text().splitlines()[0])
    assert record.keys() >= {
        "config", "seed", "test_error", "params_digest", "applied_rate_max_rel_error", "seconds",
        "images_per_second", "compiles", "versions", "commit", "device", "data",
    }  # fmt: skip
    assert record["config"]["schedule"] == {"schedule": "rex", "d": 0.5, "end_value": 0.0, "sampling": "every"}
    assert record["versions"]["jax"] == jax.__version__
    assert len(record["params_digest"]) == 64
    sizes = {"train": 1438, "holdout": 0, "test": 359}
    assert record["data"] == {"name": "digits", "version": "1.0.0", "digest": record["data"]["digest"], **sizes}


@pytest.mark.slow
def test_every_field_of_a_configuration_reaches_the_training() -> None:
    base = RunConfig(max_epochs=2 / 41, model="mlp")  # compiled fastest
    changes: list[dict[str, Any]] = [
        {}, {"augment": False}, {"weight_decay": 0.1}, {"weight_decay_mode": "decoupled"},
        {"momentum_form": "caffe", "schedule": "linear"}, {"schedule": "linear"}, {"momentum": "0.5"}, {"seed": 1},
        {"peak_value": 0.2}, {"batch_size": 64}, {"optimizer": "nesterov"}, {"model": "resnet8"},
        {"model": "resnet8", "sync_batch_norm": True},
    ]  # fmt: skip
    digests = [helpers.train(dataclasses.replace(base, **each))["params_digest"] for each in changes]
    assert len(set(digests)) == len(changes)


@pytest.mark.slow
def test_study_writes_a_table_and_figures(grid: tuple[Outcome, pathlib.Path, int]) -> None:
    outcome, out, _ = grid
    assert {path.name for path in outcome.files} | {"machine.json", "selection"} == {p.name for p in out.iterdir()}
    assert all(f"`{name}`" in (out / "table.md").read_text() for name in SIX)
    assert "held-out data out of [0.03, 0.1, 0.3]" in outcome.text.replace("\n", " ")


@pytest.mark.slow
def test_losses_are_drawn_of_the_longest_budget_at_the_chosen_rate(
    grid: tuple[Outcome, pathlib.Path, int],
) -> None:
    outcome, out, _ = grid
    cells = gather(outcome.result, studies.load(out).selection)
    longest = max(cell.epochs for cell in cells)
    drawn = _study_results.losses(outcome.result, cells)
    for cell in [cell for cell in cells if cell.epochs == longest]:
        same = [r for r in outcome.result if (r["label"], r["epochs"]) == (cell.label, longest)]
        rows = [r["train_losses"] for r in same if r["config"]["peak_value"] == cell.peak_value]
        np.testing.assert_array_equal(drawn[cell.label][1], rows)
        assert len(drawn[cell.label][0]) == len(rows[0])
    assert "training loss" in (out / "losses.svg").read_text()


def of(schedule: str, total_steps: int, peak_value: float = 1.0) -> dict[str, Any]:
    """The fields of a record that its curve is drawn from."""
    budget = Budget(epochs=total_steps / 10, steps_per_epoch=10)
    follow = plan(schedule, budget, peak_value=peak_value)
    config = {"peak_value": peak_value, "batch_size": 32}
    shared = {"label": schedule, "steps_per_epoch": 10, "total_steps": total_steps}
    return {**shared, "config": config, "plan": json.loads(follow.words)}


@pytest.mark.parametrize("schedule", ["rex@epoch", "wsd:warmup=1100", "multi_step:boundaries=1000/1500"])
def test_curves_are_drawn_under_the_longest_budget_of_the_records(schedule: str) -> None:
    peak = 0.1
    (drawn,) = _study_results.curves([of(schedule, 1800, peak), of(schedule, 2000, peak)]).values()
    progress, rate, momentum = drawn
    steps = np.round(progress * 2000).astype(int)
    assert (steps[0], steps[-1], len(steps)) == (0, 1999, 1000)
    follow = plan(schedule, Budget(epochs=200, steps_per_epoch=10), peak_value=peak)
    np.testing.assert_allclose(rate, follow.lr.table(steps) / peak)
    np.testing.assert_array_equal(momentum, np.full(1000, 0.9))


def test_diverged_rate_is_never_chosen_though_errors_of_a_regression_exceed_one(tmp_path: pathlib.Path) -> None:
    regression = {"data": "diabetes", "model": "mlp", "schedules": ("constant",), "budgets": ("100%",)}
    outcome = finished(small(out=str(tmp_path), peak_values=(1e-9, 1e4), max_epochs=0.2, **regression))
    choosing = studies.load(tmp_path).selection
    errors = {record["config"]["peak_value"]: record["holdout_error"] for record in choosing}
    assert errors[1e4] is None
    assert errors[1e-9] > 1
    assert [record["config"]["peak_value"] for record in outcome.result] == [1e-9]
    assert "variance left unexplained in %" in outcome.text.replace("\n", " ")


@pytest.mark.slow
def test_second_start_makes_only_what_is_missing(tmp_path: pathlib.Path) -> None:
    first = finished(small(out=str(tmp_path)))
    written = (tmp_path / "records.jsonl").read_bytes()
    assert finished(small(out=str(tmp_path))).result == first.result
    assert (tmp_path / "records.jsonl").read_bytes() == written
    more = finished(small(out=str(tmp_path), schedules=("rex", "linear", "cosine")))
    assert (tmp_path / "records.jsonl").read_bytes().startswith(written)
    assert [record["label"] for record in more.result] == ["rex", "linear", "cosine"]


@pytest.mark.slow
def test_table_is_in_the_order_that_was_asked_for_whatever_was_made_before(tmp_path: pathlib.Path) -> None:
    shared: dict[str, Any] = {"out": str(tmp_path), "peak_values": (0.1,), "budgets": ("5%",)}
    finished(small(schedules=("rex", "linear"), **shared))
    outcome = finished(small(schedules=("cosine", "linear", "rex"), **shared))
    rows = [line.split()[0] for line in outcome.text.splitlines()[1:4]]
    assert rows == ["cosine", "linear", "rex"]


@pytest.mark.slow
def test_torn_last_line_is_redone_bit_for_bit(tmp_path: pathlib.Path) -> None:
    first = finished(small(out=str(tmp_path)))
    path = tmp_path / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    again = finished(small(out=str(tmp_path)))
    assert [r["params_digest"] for r in again.result] == [r["params_digest"] for r in first.result]
    assert len(path.read_text().splitlines()) == 2


def test_same_run_in_other_words_is_the_same_run() -> None:
    ids = {tasks.resolve(RunConfig(schedule=words)).id for words in ("rex", "rex:d=0.5", '{"schedule": "rex"}')}
    assert len(ids) == 1
    assert len(ids | {tasks.resolve(RunConfig(schedule="rex:d=0.9")).id}) == 2


def test_equal_numbers_are_the_same_run_however_they_are_spelt() -> None:
    spelt = RunConfig(max_epochs=8, momentum=".90", weight_decay=0, peak_value=1)
    plain = RunConfig(max_epochs=8.0, momentum="0.9", weight_decay=0.0, peak_value=1.0)
    assert tasks.resolve(spelt).id == tasks.resolve(plain).id
    assert (
        tasks.resolve(plain).id
        != tasks.resolve(RunConfig(max_epochs=8.0, momentum="0.8", weight_decay=0.0, peak_value=1.0)).id
    )


def test_record_holds_the_training_losses_in_a_hundred_blocks() -> None:
    log = runs.Log(losses=tuple(float(i) for i in range(250)))
    assert log.curve()[:2] == [1.0, 4.0]
    assert len(log.curve()) == 84
    assert runs.Log(losses=(2.0, float("nan"))).curve() == [2.0]
    assert runs.Log().curve() == []


@pytest.mark.slow
def test_diverged_run_ends_in_a_record_and_the_study_goes_on(tmp_path: pathlib.Path) -> None:
    outcome = finished(small(schedules=("constant", "rex:end_value=0.0"), peak_values=(1e30,), out=str(tmp_path)))
    assert len(outcome.result) == 2
    for record in outcome.result:
        assert 0 <= record["diverged_at"] < record["total_steps"]
        assert record["test_error"] is record["params_digest"] is None
    assert "diverged 1/1" in outcome.text


@pytest.mark.parametrize("seeds", [50_001, 99_999])
def test_a_study_of_more_runs_than_anyone_means_is_refused_at_once(seeds: int) -> None:
    with pytest.raises(ValueError, match=r"a study must have at most 100,000 runs, got"):
        make_grid(small(seeds=seeds))


@pytest.mark.slow
def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    outcome = finished(small(out=str(tmp_path)))
    before = {path: path.read_bytes() for path in outcome.files}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lrsched.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        finished(small(out=str(tmp_path)))
    assert {path: path.read_bytes() for path in outcome.files} == before
    assert len(list(tmp_path.iterdir())) == len(before) + 2  # machine.json, selection


@pytest.mark.parametrize("out", ["gs://bucket/x", "s3://b", "file:///z"])
def test_a_study_at_a_url_is_refused_before_anything_is_made(
    out: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="out must be a local folder, got the URL"):
        finished(small(out=out))
    assert not list(tmp_path.iterdir())


def test_studies_of_several_rates_keep_held_out_data() -> None:
    assert {run.holdout_fraction for run in make_grid(small()).tried()} == {0.1}
    assert {run.holdout_fraction for run in make_grid(small(peak_values=(0.1,))).fresh({})} == {0.0}
    with pytest.raises(ValueError, match="holdout_fraction must be above 0"):
        make_grid(small(holdout_fraction=0.0))


def test_rel_error_sees_a_wrong_rate_and_allows_for_zeros() -> None:
    table = np.array([0.1, 0.05, 0.0])
    assert runs._max_rel_error(list(np.float32(table)), table, 0) < 1e-7
    assert runs._max_rel_error([0.06, 0.0], table, 1) == pytest.approx(0.2)
    assert math.isinf(runs._max_rel_error([0.1, 0.05, 0.01], table, 0))


WARM = ls.sequence(
    [ls.warmup(0.1, total_steps=15), ls.cosine(0.1, total_steps=1)], durations=["5%", "rest"], total_steps=300
)


def test_study_takes_values_and_composed_words() -> None:
    made = ls.rex(0.1, total_steps=10)
    config = StudyConfig(schedules=(made, ls.to_json(WARM), "warmup:5%+cosine", "rex"), budgets=("5%",))
    assert len({language.label(run.schedule) for run in make_grid(config).tried()}) == 4
    with pytest.raises(ValueError, match="schedules must differ from each other"):
        make_grid(StudyConfig(schedules=(made, ls.to_json(made))))


def test_configuration_of_a_value_is_json() -> None:
    found = RunConfig(schedule=WARM).as_json()
    assert json.loads(json.dumps(found)) == found
    assert found["schedule"] == json.loads(ls.to_json(WARM))


@pytest.mark.slow
def test_divergence_in_the_last_update_ends_in_a_record(tmp_path: pathlib.Path) -> None:
    config = StudyConfig(
        schedules=("constant",),
        budgets=("0.01ep",),
        seeds=("1",),
        peak_values=(1e38,),
        model="mlp",
        out=str(tmp_path / "out"),
    )
    (record,) = command.run(config).result
    assert (record["total_steps"], record["diverged_at"], record["test_error"]) == (1, 1, None)


@pytest.mark.parametrize("budgets", [("5%", "5.0%"), ("100%", "8ep"), ("8", "8ep"), ("200st", "200.0st")])
def test_one_budget_in_two_spellings_is_refused(budgets: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="budgets must differ from each other"):
        make_grid(StudyConfig(budgets=budgets))


@pytest.mark.slow
def test_grid_is_extended_until_the_best_rate_is_inside(tmp_path: pathlib.Path) -> None:
    shared: dict[str, Any] = {"schedules": ("linear",), "budgets": ("30st",), "batch_size": 40, "workers": 1}
    shared["model"] = "mlp"
    heard, report = helpers.listen()
    command.run(StudyConfig(**shared, peak_values=(0.003, 0.01), extend_grid=True, out=str(tmp_path)), report)
    (cell,) = gather(*studies.load(tmp_path)[:2])
    assert cell.at_edge == ""
    assert cell.rates_tried[:3] == (0.003, 0.01, pytest.approx(0.01 * 0.01 / 0.003))
    assert any("the best rate is the last one tried" in line for line in heard)


@pytest.mark.slow
def test_study_is_a_file_and_its_own_file_asks_for_the_same(tmp_path: pathlib.Path) -> None:
    document = {
        "schedules": ["rex"],
        "budgets": ["6st"],
        "seeds": 2,
        "peak_values": [0.1],
        "augment": False,
        "model": "mlp",
    }
    (tmp_path / "study.json").write_text(json.dumps(document))
    outcome = ls.study(file=tmp_path / "study.json", out=str(tmp_path / "out"), workers=1)
    assert [(record["config"]["augment"], record["seed"]) for record in outcome.result] == [(False, 0), (False, 1)]
    again = ls.study(file=tmp_path / "out" / "study.json", out=str(tmp_path / "again"), workers=1)
    assert [record["run"] for record in again.result] == [record["run"] for record in outcome.result]
    assert (tmp_path / "again" / "study.json").read_bytes() == (tmp_path / "out" / "study.json").read_bytes()


@pytest.mark.slow
def test_dry_run_says_how_much_there_is_and_writes_nothing(tmp_path: pathlib.Path) -> None:
    outcome = command.run(small(dry_run=True, out=str(tmp_path / "out"), seeds=("3",)))
    assert "6 runs to choose the settings: 246 updates" in outcome.text  # 2 schedules x 3 rates x ceil(1295 / 32)
    assert "6 runs with fresh seeds: 270 updates" in outcome.text  # x 3 seeds, of 1,438 examples
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_errors_on_the_way_are_drawn(tmp_path: pathlib.Path) -> None:
    outcome = command.run(small(peak_values=(0.1,), evaluate_every="10", seeds=("2",), out=str(tmp_path)))
    drawn = _study_results.evaluations(outcome.result, gather(outcome.result))
    steps, errors = drawn["rex"]
    np.testing.assert_array_equal(steps, [10, 20, 30, 40, 45])
    np.testing.assert_allclose(
        errors[:, -1], [100 * row["test_error"] for row in outcome.result if row["label"] == "rex"]
    )
    assert "test error, %" in (tmp_path / "errors.svg").read_text()


def test_reference_is_one_of_the_schedules() -> None:
    with pytest.raises(ValueError, match=r"reference must be one of the schedules \(rex, linear\), got cosine\.$"):
        make_grid(StudyConfig(schedules=("rex", "linear"), reference="cosine"))
    with pytest.raises(ValueError, match=r"reference must be one of the schedules \(rex, linear\), got foo\.$"):
        make_grid(StudyConfig(schedules=("rex", "linear"), reference="foo"))
    make_grid(StudyConfig(schedules=("rex", "warmup:5%+linear"), reference="warmup:5%+linear"))


def test_margin_is_above_zero() -> None:
    with pytest.raises(ValueError, match=r"no_worse_than must be above 0, got 0\.$"):
        make_grid(StudyConfig(no_worse_than=0.0))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"shared_rate": 0.1, "peak_values": (0.03, 0.3)}, "peak_values must be left out where there is shared_rate"),
        (
            {"weight_decays": (0.0, 1e-4), "weight_decay": 0.1},
            "weight_decay must be left out where there is weight",
        ),
        ({"momenta": ("0.9", "0.95"), "momentum": "0.8"}, "momentum must be left out where there is momenta, got 0.8"),
    ],
)
def test_two_options_for_one_thing_are_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_grid(StudyConfig(**words))


def test_option_in_place_of_one_in_the_file_overrides_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lrsched_study(**settings: Any) -> StudyConfig:
        monkeypatch.setattr(command, "run", lambda config, report: config)
        return ls.study(**settings)  # type: ignore[return-value]

    (tmp_path / "one.toml").write_text("shared_rate = 0.1\nweight_decay = 0.1\n")
    (tmp_path / "two.toml").write_text("peak_values = [0.01]\n")
    words = ["study", "--file", str(tmp_path / "one.toml"), "--peak-values", "0.03", "0.3", "--weight-decays", "0", "1"]
    config = parsing.parse(words).config
    assert (config.shared_rate, config.peak_values, config.weight_decays) == (None, (0.03, 0.3), (0.0, 1.0))
    make_grid(config)
    config = parsing.parse(["study", "--file", str(tmp_path / "two.toml"), "--shared-rate=0.3"]).config
    assert [setting.peak_value for setting in make_grid(config).settings] == [0.3]
    assert lrsched_study(file=str(tmp_path / "two.toml"), shared_rate=0.3).shared_rate == 0.3
    make_grid(StudyConfig(peak_values=[0.03, 0.1, 0.3], shared_rate=0.1))  # type: ignore[arg-type]  # as it is usually


def test_options_on_the_command_line_override_those_of_the_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "study.toml").write_text('seeds = [3, 4]\nschedules = ["rex", "linear"]\naugment = false\n')
    asked = ["study", "--file", str(tmp_path / "study.toml"), "--seeds", "1", "--augment"]
    for words in (asked, [asked[0], *asked[3:], *asked[1:3]]):  # wherever it stands
        config = parsing.parse(words).config
        assert (config.seeds, config.schedules, config.augment) == (("1",), ("rex", "linear"), True)
