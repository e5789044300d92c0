"""Ensembles of small real runs on the digits."""

import json
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import pytest

from lrsched import files
from lrsched.analysis.ensemble import calibration
from lrsched.analysis.ensemble.scores import Labels
from lrsched.commands import Outcome, train
from lrsched.commands import ensemble as ensembles
from lrsched.commands.ensemble import EnsembleConfig
from lrsched.commands.train import TrainConfig
from lrsched.runs import folder
from lrsched.runs import networks as members
from lrsched.runs import task as tasks
from lrsched.runs.config import RunConfig
from lrsched.runs.evaluator import evaluator
from lrsched.runs.task import load
from lrsched.training import predict, snapshots


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Three runs: first and second with held-out data and three members each, third without held-out data."""
    out = tmp_path_factory.mktemp("runs")
    for name, seed, holdout in (("first", 0, 0.1), ("second", 1, 0.1), ("third", 0, 0.0)):
        config = RunConfig(
            schedule="snapshot_cosine:cycles=3", budget="1ep", max_epochs=1.0, holdout_fraction=holdout, seed=seed
        )
        train.run(TrainConfig(config=config, out=str(out / name)))
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


def _done(made: pathlib.Path, *words: str, **more: Any) -> Outcome:
    named = tuple(str(made / word) for word in words)
    words_for = {"weight_averages": False, "out": str(made / "out"), **more}
    return ensembles.run(EnsembleConfig(runs=named, **words_for))


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


@pytest.mark.slow
def test_member_that_is_not_finite_is_named(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(made / "first", tmp_path / "diverged")
    shared = tasks.resolve(folder.read_config(made / "first")).task
    network = members.load_members(str(made / "first"), "all", shared)[0]
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), network.variables)
    with snapshots.open_store(tmp_path / "diverged") as store:
        store.save_member(7, broken, {})
    with pytest.raises(ValueError, match="diverged@7 must hold finite weights, got some that are not"):
        members.load_members(str(tmp_path / "diverged"), "all", shared)


@pytest.mark.slow
def test_file_in_the_place_of_the_folder_is_refused_at_once(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="out must be a folder"):
        _done(made, "first", out=str(tmp_path / "file"))


@pytest.mark.slow
def test_members_alone_have_the_error_of_the_runs_record(made: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(made, "first").result
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


@pytest.mark.slow
def test_order_of_members_does_not_change_the_whole(made: pathlib.Path, evaluated: list[int]) -> None:
    there = _done(made, "first", "second").result
    back = _done(made, "second", "first").result
    for name in ("mean of probabilities", "mean of logits"):
        one, other = _row(there, name), _row(back, name)
        for what in ("error", "nll", "brier", "ece", "temperature", "calibrated_nll", "holdout_nll"):
            assert one[what] == pytest.approx(other[what], rel=1e-9)  # sums in another order
    assert there["growing"]["forward"][-1] == pytest.approx(there["growing"]["backward"][-1])
    assert there["ambiguity"] == pytest.approx(back["ambiguity"])


@pytest.mark.slow
def test_cost_counts_each_run_once(made: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(made, "first", "second", members="last:2").result
    total = record["members"][1]["step"]
    assert [member["step"] for member in record["members"]] == [record["members"][0]["step"], total] * 2
    assert _row(record, "mean of probabilities")["updates"] == 2 * total
    assert [p["updates"] for p in record["growing"]["forward"]] == [
        record["members"][0]["step"], total, total + record["members"][2]["step"], 2 * total
    ]  # fmt: skip
    assert [p["updates"] for p in record["growing"]["backward"]] == [total, total, 2 * total, 2 * total]


@pytest.mark.slow
def test_added_member_costs_one_evaluation_of_each_split(made: pathlib.Path, evaluated: list[int]) -> None:
    first = _done(made, "first", members="last:2").result
    sizes = first["data"]["test"], first["data"]["holdout"]
    assert sorted(evaluated) == sorted(2 * sizes)
    assert first["evaluations"] == 4
    evaluated.clear()
    assert _done(made, "first", members="last:2").result["rows"] == first["rows"]
    assert evaluated == []
    assert _done(made, "first").result["evaluations"] == 2
    assert sorted(evaluated) == sorted(sizes)


@pytest.mark.slow
def test_damaged_prediction_is_made_anew(made: pathlib.Path, evaluated: list[int]) -> None:
    first = _done(made, "first").result
    path = min(predict.folder().iterdir())
    path.write_bytes(path.read_bytes()[:200])
    again = _done(made, "first").result
    assert again["evaluations"] == 1
    assert again["rows"] == first["rows"]


@pytest.mark.slow
def test_results_are_a_function_of_the_record(made: pathlib.Path, evaluated: list[int], tmp_path: pathlib.Path) -> None:
    baselines = (f"one={made / 'second'}", f"two={made / 'first'},{made / 'second'}")
    outcome = _done(made, "first", weight_averages=True, batches=4, baselines=baselines)
    assert {path.name for path in outcome.files} == {"record.json", "table.md", "growing.svg", "reliability.svg"}
    record = files.read_json(outcome.files[0])
    assert record == outcome.result
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


@pytest.mark.slow
def test_soup_of_one_member_is_that_member_with_statistics_of_its_own(made: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(made, "first", weight_averages=True, batches=4).result
    curve = record["growing"]["weights"]
    soup, swa = (_row(record, name) for name in ("uniform soup", "running mean of weights (SWA)"))
    assert curve[-1]["nll"] == swa["nll"] == pytest.approx(soup["nll"], rel=1e-5)
    config = members.check_alike([str(made / "first")])
    shared = load(config, holdout_fraction=config.holdout_fraction)
    at = evaluator(shared, batches=4)
    (first, *_) = members.load_members(str(made / "first"), "all", shared)
    found, _ = at.predict(at.complete(first.variables["params"], first))
    assert curve[0]["nll"] == pytest.approx(calibration.nll(found.test, shared.data.test.labels), rel=1e-6)


@pytest.mark.slow
def test_without_held_out_data_nothing_is_fitted_or_chosen(made: pathlib.Path, evaluated: list[int]) -> None:
    outcome = _done(made, "third", weight_averages=True, batches=2, points=3)
    names = [row["name"] for row in outcome.result["rows"]]
    assert not {"weighted mean", "greedy choice", "greedy soup"} & set(names)
    assert {row["temperature"] for row in outcome.result["rows"]} == {None}
    assert {row["calibrated_nll"] for row in outcome.result["rows"]} == {None}
    assert outcome.result["deep_ensemble_equivalents"] == []
    assert "no held-out part" in outcome.text


@pytest.mark.slow
def test_kept_states_are_members_too(made: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(made, "first").result
    first, last = record["members"][0], record["members"][-1]
    asked = _done(made, f"first@{first['step']}", f"first@{last['step']}").result["members"]
    assert [member["digest"] for member in asked] == [first["digest"], last["digest"]]


def _altered(made: pathlib.Path, name: str, **changes: Any) -> None:
    if not (made / name).exists():
        shutil.copytree(made / "first", made / name)
    identity = files.read_json(made / name / "run.json")
    identity["config"] |= changes
    files.write_json(made / name / "run.json", identity)


@pytest.mark.slow
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


def _identity(made: pathlib.Path, name: str, **changes: Any) -> None:
    """The folder of the first run, where run.json says something else."""
    shutil.copytree(made / "first", made / name)
    files.write_json(made / name / "run.json", files.read_json(made / name / "run.json") | changes)


@pytest.mark.slow
def test_run_of_other_data_is_refused(made: pathlib.Path, evaluated: list[int]) -> None:
    _identity(made, "other", data_digest="0123")
    with pytest.raises(ValueError, match=r"data must be what .*other was trained on \(0123\), got "):
        _done(made, "other")
    assert evaluated == []


@pytest.mark.slow
def test_member_of_another_run_is_refused(made: pathlib.Path, evaluated: list[int]) -> None:
    _identity(made, "mixed", run="0123456789abcdef")
    with pytest.raises(ValueError, match=r"mixed@\d+ must be of the run in its folder \(0123456789abcdef\), got "):
        _done(made, "mixed")
    assert evaluated == []


@pytest.mark.slow
def test_altered_description_of_a_run_is_refused(made: pathlib.Path, evaluated: list[int]) -> None:
    shutil.copytree(made / "first", made / "damaged")
    path = made / "damaged" / "run.json"
    path.write_bytes(path.read_bytes().replace(b'"seed": 0', b'"seed": 5'))
    with pytest.raises(ValueError, match="must be as it was written, got an altered file"):
        _done(made, "damaged")


@pytest.mark.slow
def test_url_is_refused_before_anything_is_loaded(made: pathlib.Path, evaluated: list[int]) -> None:
    for more in ({"out": "gs://bucket/x"}, {"baselines": ("a=gs://bucket/x",)}):
        with pytest.raises(ValueError, match=rf"{next(iter(more))} must be a local folder, got the URL gs://bucket/x"):
            _done(made, "first", **more)
    with pytest.raises(ValueError, match="runs must be a local folder, got the URL s3://x"):
        ensembles._check(EnsembleConfig(runs=("s3://x",)))


@pytest.mark.slow
def test_baseline_named_again_has_one_folder_more(made: pathlib.Path) -> None:
    (made / "with, a comma").mkdir(exist_ok=True)
    comma = str(made / "with, a comma")
    config = EnsembleConfig(runs=(str(made),), baselines=("a=x,y@3", f"a={comma}", "b=~/z"))
    assert ensembles._check(config) == {"a": ["x", "y@3", comma], "b": [str(pathlib.Path("~/z").expanduser())]}


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run of 41 updates whose third cycle would have ended after 70, at 92 % of the peak."""
    out = tmp_path_factory.mktemp("cut") / "cut"
    config = RunConfig(schedule="sgdr:first_cycle=12", budget="1ep", max_epochs=1.0, holdout_fraction=0.1)
    train.run(TrainConfig(config=config, out=str(out)))
    return out


@pytest.mark.slow
def test_member_of_a_cut_cycle_is_in_no_mean_unless_asked_for(cut: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(cut.parent, "cut", weight_averages=True, batches=2, points=3).result
    assert [member["step"] for member in record["members"]] == [12, 36]
    assert [network["step"] for network in record["aside"]] == [41]
    row = _row(record, "cut cycle")
    assert row["networks"][0].endswith("cut@41")
    assert len(record["growing"]["weights"]) == len(record["growing"]["forward"]) == 2
    assert all(len(each["networks"]) == 2 for each in record["rows"] if each["kind"] in ("ensemble", "weights"))
    assert any("cut@41, whose cycle was cut at rate 0.0" in note for note in record["notes"])
    taken = _done(cut.parent, "cut", members="all").result
    assert [member["step"] for member in taken["members"]] == [12, 36, 41]
    assert taken["members"][2]["cut"]
    assert not taken["aside"]
    with pytest.raises(ValueError, match="at least two members, got .*cut@36 beside .*cut@41, of cut cycles"):
        _done(cut.parent, "cut", members="last:1")


@pytest.mark.slow
def test_members_of_cut_cycles_are_there_whatever_is_chosen(tmp_path: pathlib.Path) -> None:
    part = "sgdr:25st,first_cycle=10st,cycle_mult=1"
    config = RunConfig(schedule=f"{part}+{part}", budget="50st", max_epochs=2.0, model="mlp")
    train.run(TrainConfig(config=config, out=str(tmp_path)))
    shared = tasks.resolve(folder.read_config(tmp_path)).task
    for choice, whole in (("whole", (10, 20, 35, 45)), ("last:2", (35, 45)), ("every:2", (20, 45))):
        found = members.load_members(str(tmp_path), choice, shared)
        assert [n.step for n in found] == sorted({*whole, 25, 50})
        assert [n.step for n in found if n.cut] == [25, 50]


@pytest.mark.slow
def test_soups_are_of_runs_that_share_updates_alone(made: pathlib.Path, evaluated: list[int]) -> None:
    record = _done(made, "first", "second", weight_averages=True, batches=2, points=3).result
    assert not [row for row in record["rows"] if row["kind"] == "weights"]
    assert record["barriers"] is record["growing"]["weights"] is None
    assert any(note.startswith("No averages of weights (soups) and no barriers") for note in record["notes"])
    assert not any("greedy soup" in note for note in record["notes"])


def test_runs_share_a_trunk_if_they_left_one_another() -> None:
    trunk, one = network("trunk", 30), network("one", 41, ("trunk", 20))
    other, twig = network("other", 41, ("trunk", 25)), network("twig", 50, ("one", 30))
    for those in ([trunk, trunk], [trunk, one], [one, other], [twig, trunk, one], [twig, other, one]):
        assert members.share_a_trunk(those)
    for those in ([trunk, network("else", 41)], [trunk, one, network("else", 41)]):
        assert not members.share_a_trunk(those)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "more", "match"),
    [
        ((), {}, "runs must name at least one folder, got none"),
        (("first",), {"members": "some"}, "members must be all, whole, last:M or every:K, got 'some'"),
        (("first",), {"members": "last:1"}, "runs must give at least two members, got .*first@"),
        (("first", "first"), {}, "runs must give each member once, got equal ones: "),
        (("first",), {"points": 2}, "points must be at least 3, got 2"),
        (("first",), {"batches": 0}, "batches must be at least 1, got 0"),
        (("first",), {"bins": 0}, "bins must be at least 1, got 0"),
        (("first",), {"merge": ("nosuch",), "out": "OUT"}, "merge must name profiles, of .* got nosuch"),
        (("first",), {"baselines": ("one",)}, r"baselines must be NAME=FOLDER.*, got 'one'"),
        (("first@7",), {}, "step must be one saved in"),
    ],
)
def test_words_that_cannot_be_followed_are_refused(
    made: pathlib.Path, evaluated: list[int], words: tuple[str, ...], more: dict[str, Any], match: str
) -> None:
    more = {name: str(made / "none") if value == "OUT" else value for name, value in more.items()}
    with pytest.raises(ValueError, match=match) as caught:
        _done(made, *words, **more)
    assert "\n" not in str(caught.value)
    assert not (made / "none").exists()
    assert evaluated == []


@pytest.mark.slow
def test_independent_runs_have_seeds_of_their_own(made: pathlib.Path) -> None:
    shared = load(members.check_alike([str(made / "first")]), holdout_fraction=0.1)
    first, second = (members.load_state(str(made / name), shared) for name in ("first", "second"))
    assert members.independent([first, second])
    assert not members.independent([first])
    assert not members.independent([first, first._replace(run="another")])


@pytest.mark.parametrize("normalised", [True, False])
def test_batch_statistics_are_spoken_of_only_where_there_are_some(normalised: bool) -> None:
    labels = Labels(np.array([0, 1]), None)
    notes = ensembles._notes(EnsembleConfig(runs=("a",)), labels, normalised=normalised)
    assert any("batch statistics" in note for note in notes) == normalised
