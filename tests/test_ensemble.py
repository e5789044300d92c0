"""Ensembles of small real runs on the digits."""

import json
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import pytest

from lrsched import ensemble as ensembles
from lrsched import folder, members
from lrsched import run as runs
from lrsched import task as tasks
from lrsched.analysis import calibration
from lrsched.analysis.ensemble_scores import Labels
from lrsched.ensemble import EnsembleConfig
from lrsched.task import RunConfig
from lrsched.training import predict, snapshots


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Three runs: first and second with held-out data and three members each, third without held-out data."""
    out = tmp_path_factory.mktemp("runs")
    for name, seed, holdout in (("first", 0, 0.1), ("second", 1, 0.1), ("third", 0, 0.0)):
        config = RunConfig(
            schedule="snapshot_cosine:cycles=3", budget="1ep", max_epochs=1.0, holdout_fraction=holdout, seed=seed
        )
        runs.finish(folder.begin(folder.Train(config=config, out=str(out / name))))
    return out


@pytest.fixture
def evaluated(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples each evaluation had; the cache is empty."""
    sizes: list[int] = []
    real = predict.logits

    def counted(*args: Any, **words: Any) -> np.ndarray:
        sizes.append(len(words["data"].labels))
        return real(*args, **words)

    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(predict, "logits", counted)
    return sizes


def _done(made: pathlib.Path, *words: str, **more: Any) -> ensembles.Outcome:
    named = tuple(str(made / word) for word in words)
    words_for = {"weight_averages": False, "out": str(made / "out"), **more}
    return runs.finish(ensembles.ensemble(EnsembleConfig(runs=named, **words_for)))  # type: ignore[return-value]


def _row(record: dict[str, Any], name: str) -> dict[str, Any]:
    (row,) = (row for row in record["rows"] if row["name"] == name)
    return row


def network(run: str, step: int, origin: tuple[str, int] | None = None) -> members.Network:
    return members.Network(run, run, step, RunConfig(), {}, {}, "", origin)


def test_updates_of_a_trunk_are_counted_once() -> None:
    branches = [network("linear", 41, ("trunk", 20)), network("cosine", 41, ("trunk", 20))]
    assert members.updates(branches) == 20 + 21 + 21
    assert members.updates([*branches, network("trunk", 30)]) == 30 + 21 + 21
    assert members.updates([network("short", 10), network("longer", 25, ("short", 10))]) == 25
    assert members.updates([network("one", 5), network("one", 10), network("other", 7)]) == 17


def test_member_that_is_not_finite_is_named(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(made / "first", tmp_path / "diverged")
    shared = tasks.task(folder.stored(made / "first"))
    network = members.members(str(made / "first"), "all", shared)[0]
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), network.variables)
    with snapshots.open_store(tmp_path / "diverged") as store:
        store.save_member(7, broken, {})
    with pytest.raises(ValueError, match="diverged@7 must hold finite weights, got some that are not"):
        members.members(str(tmp_path / "diverged"), "all", shared)


def test_file_in_the_place_of_the_folder_is_refused_at_once(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="out must be a folder"):
        _done(made, "first", out=str(tmp_path / "file"))


def test_members_alone_have_the_error_of_the_runs_record(made: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(made, "first").record
    steps = [member["step"] for member in record["members"]]
    last = json.loads((made / "first" / "records.jsonl").read_text())
    assert steps == [member["step"] for member in last["members"]]
    row = _row(record, "member 3")
    assert steps[-1] == last["total_steps"] == row["updates"]
    assert row["error"] == pytest.approx(last["test_error"], abs=1e-9)
    assert row["nll"] == pytest.approx(last["test_loss"], rel=1e-5)
    assert row["holdout_error"] == pytest.approx(last["holdout_error"], abs=1e-9)
    assert record["members"][0]["cycle"] == 0
    assert record["members"][0]["rate"] > 0


def test_order_of_members_does_not_change_the_whole(made: pathlib.Path, evaluated: list[int]) -> None:
    there = _done(made, "first", "second").record
    back = _done(made, "second", "first").record
    for name in ("mean of probabilities", "mean of logits"):
        one, other = _row(there, name), _row(back, name)
        for what in ("error", "nll", "brier", "ece", "temperature", "calibrated_nll", "holdout_nll"):
            assert one[what] == pytest.approx(other[what], rel=1e-9)  # sums in another order
    assert there["growing"]["forward"][-1] == pytest.approx(there["growing"]["backward"][-1])
    assert there["ambiguity"] == pytest.approx(back["ambiguity"])


def test_cost_counts_each_run_once(made: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(made, "first", "second", members="last:2").record
    total = record["members"][1]["step"]
    assert [member["step"] for member in record["members"]] == [record["members"][0]["step"], total] * 2
    assert _row(record, "mean of probabilities")["updates"] == 2 * total
    assert [p["updates"] for p in record["growing"]["forward"]] == [
        record["members"][0]["step"], total, total + record["members"][2]["step"], 2 * total
    ]  # fmt: skip
    assert [p["updates"] for p in record["growing"]["backward"]] == [total, total, 2 * total, 2 * total]


def test_added_member_costs_one_evaluation_of_each_split(made: pathlib.Path, evaluated: list[int]) -> None:
    first = _done(made, "first", members="last:2").record
    sizes = first["data"]["test"], first["data"]["holdout"]
    assert sorted(evaluated) == sorted(2 * sizes)
    assert first["evaluations"] == 4
    evaluated.clear()
    assert _done(made, "first", members="last:2").record["rows"] == first["rows"]
    assert evaluated == []
    assert _done(made, "first").record["evaluations"] == 2
    assert sorted(evaluated) == sorted(sizes)


def test_damaged_prediction_is_made_anew(made: pathlib.Path, evaluated: list[int]) -> None:
    first = _done(made, "first").record
    path = min(predict.folder().iterdir())
    path.write_bytes(path.read_bytes()[:200])
    again = _done(made, "first").record
    assert again["evaluations"] == 1
    assert again["rows"] == first["rows"]


def test_results_are_a_function_of_the_record(made: pathlib.Path, evaluated: list[int], tmp_path: pathlib.Path) -> None:
    baselines = (f"one={made / 'second'}", f"two={made / 'first'},{made / 'second'}")
    outcome = _done(made, "first", weight_averages=True, batches=4, baselines=baselines)
    assert {path.name for path in outcome.files} == {"record.json", "table.md", "growing.svg", "reliability.svg"}
    record = json.loads(outcome.files[0].read_text())
    assert record == outcome.record
    text, rebuilt = ensembles.write_results(record, tmp_path)
    assert text == outcome.text
    for old, new in zip(outcome.files[1:], rebuilt, strict=True):
        assert old.read_bytes() == new.read_bytes()
    assert not [path for path in (made / "out").iterdir() if path.name.startswith(".")]
    assert [row["name"] for row in record["rows"]] == [
        "member 1", "member 2", "member 3", "mean of probabilities", "mean of logits", "weighted mean",
        "greedy choice", "uniform soup", "running mean of weights (SWA)", "greedy soup", "one", "two",
    ]  # fmt: skip
    assert [found["baseline"] for found in record["deep_ensemble_equivalents"]] == ["two"]
    assert [comparison["second"] for comparison in record["comparisons"]][1:] == ["one", "two"]
    assert [barrier["between"] for barrier in record["barriers"]] == [[0, 1], [1, 2]]
    assert all(len(barrier["losses"]) == 5 and barrier["barrier"] >= 0 for barrier in record["barriers"])
    assert record["versions"].keys() >= {"jax", "lrsched"}


def test_soup_of_one_member_is_that_member_with_statistics_of_its_own(made: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(made, "first", weight_averages=True, batches=4).record
    curve = record["growing"]["weights"]
    soup, swa = (_row(record, name) for name in ("uniform soup", "running mean of weights (SWA)"))
    assert curve[-1]["nll"] == swa["nll"] == pytest.approx(soup["nll"], rel=1e-5)
    config = members.check_alike([str(made / "first")])
    shared = ensembles.task(config)
    at = members.bench(config, shared, batches=4)
    (first, *_) = members.members(str(made / "first"), "all", shared)
    found, _ = members.predicted(at, members.completed(at, first.variables["params"], first))
    assert curve[0]["nll"] == pytest.approx(calibration.nll(found.test, shared.data.test.labels), rel=1e-6)


def test_without_held_out_data_nothing_is_fitted_or_chosen(made: pathlib.Path, evaluated: list[int]) -> None:
    outcome = _done(made, "third", weight_averages=True, batches=2, points=3)
    names = [row["name"] for row in outcome.record["rows"]]
    assert not {"weighted mean", "greedy choice", "greedy soup"} & set(names)
    assert {row["temperature"] for row in outcome.record["rows"]} == {None}
    assert {row["calibrated_nll"] for row in outcome.record["rows"]} == {None}
    assert outcome.record["deep_ensemble_equivalents"] == []
    assert "no held-out part" in outcome.text


def test_kept_states_are_members_too(made: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(made, "first").record
    first, last = record["members"][0], record["members"][-1]
    asked = _done(made, f"first@{first['step']}", f"first@{last['step']}").record["members"]
    assert [member["digest"] for member in asked] == [first["digest"], last["digest"]]


def _altered(made: pathlib.Path, name: str, **changes: Any) -> None:
    if not (made / name).exists():
        shutil.copytree(made / "first", made / name)
    identity = json.loads((made / name / "run.json").read_text())
    identity["config"] |= changes
    (made / name / "run.json").write_text(json.dumps(identity))


def test_runs_that_do_not_belong_together_are_refused(made: pathlib.Path, evaluated: list[int]) -> None:
    _altered(made, "larger", model="resnet20")
    with pytest.raises(ValueError, match="model must be the same in all runs, got resnet8 in .*first and resnet20 in"):
        _done(made, "first", "larger")
    with pytest.raises(ValueError, match="holdout_fraction must be the same in all runs, got 0.1 in .* and 0.0 in"):
        _done(made, "first", "third")
    with pytest.raises(ValueError, match="holdout_fraction must be the same"):
        _done(made, "first", baselines=(f"one={made / 'third'}",))
    with pytest.raises(ValueError, match="none must be the folder of a run"):
        _done(made, "none")
    assert evaluated == []


def test_run_of_other_data_is_refused(made: pathlib.Path, evaluated: list[int]) -> None:
    shutil.copytree(made / "first", made / "other")
    path = made / "other" / "records.jsonl"
    record = json.loads(path.read_text())
    record["data"]["digest"] = "0123"
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match=r"data must be what .*other was trained on \(0123\), got "):
        _done(made, "other")


@pytest.mark.parametrize(
    ("words", "more", "match"),
    [
        ((), {}, "runs must name at least one folder, got none"),
        (("first",), {"members": "some"}, "members must be all, last:M or every:K, got 'some'"),
        (("first",), {"members": "last:1"}, "runs must give at least two members, got .*first@"),
        (("first", "first"), {}, "runs must give each member once, got equal ones: "),
        (("first",), {"points": 2}, "points must be at least 3, got 2"),
        (("first",), {"batches": 0}, "batches must be at least 1, got 0"),
        (("first",), {"bins": 0}, "bins must be at least 1, got 0"),
        (("first",), {"baselines": ("one",)}, r"baselines must be NAME=FOLDER.*, got 'one'"),
        (("first",), {"baselines": ("a=x", "a=y")}, "baselines must have names of their own, got a twice"),
        (("first@7",), {}, "step must be one saved in"),
    ],
)
def test_words_that_cannot_be_followed_are_refused(
    made: pathlib.Path, evaluated: list[int], words: tuple[str, ...], more: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        _done(made, *words, **more)
    assert "\n" not in str(caught.value)
    assert evaluated == []


def test_independent_runs_have_seeds_of_their_own(made: pathlib.Path) -> None:
    shared = ensembles.task(members.check_alike([str(made / "first")]))
    first, second = (members.state(str(made / name), shared) for name in ("first", "second"))
    assert members.independent([first, second])
    assert not members.independent([first])
    assert not members.independent([first, first._replace(run="another")])


@pytest.mark.parametrize("normalised", [True, False])
def test_batch_statistics_are_spoken_of_only_where_there_are_some(normalised: bool) -> None:
    labels = Labels(np.array([0, 1]), None)
    notes = ensembles._notes(EnsembleConfig(runs=("a",)), labels, normalised=normalised)
    assert any("batch statistics" in note for note in notes) == normalised
