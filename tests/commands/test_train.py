"""A run in a folder: stopped anywhere and begun again, it comes to the bits of one that was never stopped."""

import dataclasses
import itertools
import json
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import helpers
import jax
import numpy as np
import pytest
from helpers import Stopped, listen, numbers

import lrsched
from lrsched import cli
from lrsched.analysis.report import text
from lrsched.analysis.report.provenance import updates_made
from lrsched.commands import _report_parts, check, report, train
from lrsched.commands.train import TrainConfig
from lrsched.runs import folder, identity, interrupts, records
from lrsched.runs import task as tasks
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Record
from lrsched.training import data as datasets
from lrsched.training import devices as machine
from lrsched.training import optim, provenance, snapshots

SGDR = RunConfig(  # 41 updates of the model that is compiled fastest
    schedule="sgdr:first_cycle=0.34,cycle_mult=2", max_epochs=1.0, holdout_fraction=0.1, model="mlp"
)


def words(out: pathlib.Path, **changed: Any) -> TrainConfig:
    own = {field.name for field in dataclasses.fields(TrainConfig)}
    config = dataclasses.replace(SGDR, **{k: v for k, v in changed.items() if k not in own})
    rest = {k: v for k, v in changed.items() if k in own}
    return TrainConfig(config=config, out=str(out), **{"save_every": "10", **rest})


def made(config: TrainConfig, *, stop_after: int | None = None) -> tuple[Record | None, list[str]]:
    """Runs to the end, or until so many updates have been seen; and what it reported."""
    messages, report = listen(stop_after)
    try:
        return train.run(config, report).result, messages
    except Stopped:
        return None, messages


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, Record]:
    out = tmp_path_factory.mktemp("whole")
    record, _ = made(words(out))
    assert record is not None
    return out, record


@pytest.mark.slow
def test_record_says_where_members_were_taken(whole: tuple[pathlib.Path, Record]) -> None:
    out, record = whole
    assert [member["step"] for member in record["members"]] == [13, 41]
    assert snapshots.member_steps(out) == [13, 41]
    assert record["resumed_at"] == []
    assert records.read(out / "records.jsonl").rows == [record]


@pytest.mark.slow
def test_run_on_disk_is_a_value(whole: tuple[pathlib.Path, Record]) -> None:
    run = lrsched.load_run(whole[0])
    assert run.record == whole[1]
    assert run.config.as_json() == SGDR.as_json()
    assert (run.members, run.plan.cycle_ends) == ((13, 41), (13, 41))
    np.testing.assert_allclose(run.rates, run.plan.table()["lr"], rtol=1e-6)
    assert provenance.digest(run.variables()["params"]) == whole[1]["params_digest"]
    first = run.variables(13)
    like = run._run.initial_state().variables
    jax.tree.map(np.testing.assert_array_equal, first, snapshots.load_member(whole[0], 13, like).tree)
    assert provenance.digest(first["params"]) != whole[1]["params_digest"]
    with pytest.raises(ValueError, match=r"step must be one saved in .* \(13, .*41\), got 14"):
        run.variables(14)


@pytest.mark.slow
def test_saving_does_not_change_the_run(whole: tuple[pathlib.Path, Record]) -> None:
    plain = helpers.train(SGDR)
    assert numbers(plain) == {k: v for k, v in numbers(whole[1]).items() if k != "members"}


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 10, 13, 40])
def test_a_run_that_was_stopped_comes_to_the_same_bits(
    stop_after: int, whole: tuple[pathlib.Path, Record], tmp_path: pathlib.Path
) -> None:
    config = words(tmp_path, save_every="7")
    assert made(config, stop_after=stop_after)[0] is None
    record, said = made(config)
    assert record is not None
    assert numbers(record) == numbers(whole[1])
    assert len(record["resumed_at"]) == 1 == sum("resuming after update" in line for line in said)


def test_the_same_words_again_give_the_record(whole: tuple[pathlib.Path, Record]) -> None:
    out, record = whole
    again, said = made(words(out))
    assert again == record
    assert "is done" in said[0]
    assert len(records.read(out / "records.jsonl").rows) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"peak_value": 0.2}, "peak_value must be 0.1 as in the run in .*, got 0.2; extend and branch"),
        ({"seed": 1}, "seed must be 0"),
        ({"schedule": "rex"}, "schedule must be .*sgdr"),
    ],
)
def test_another_run_is_refused_with_the_first_difference(
    changed: dict[str, Any], message: str, whole: tuple[pathlib.Path, Record]
) -> None:
    with pytest.raises(ValueError, match=message):
        made(words(whole[0], **changed))


@pytest.mark.slow
def test_a_damaged_newest_state_falls_back_and_says_so(
    whole: tuple[pathlib.Path, Record], tmp_path: pathlib.Path
) -> None:
    config = words(tmp_path, save_every="7")
    made(config, stop_after=40)
    newest = snapshots.steps(tmp_path)[-1]
    data = max((tmp_path / "resume" / str(newest)).rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(bytes(content))
    record, said = made(config)
    assert numbers(record) == numbers(whole[1])
    assert any(f"the state after update {newest} is damaged" in line for line in said)


@pytest.mark.slow
def test_a_torn_record_is_made_again(whole: tuple[pathlib.Path, Record], tmp_path: pathlib.Path) -> None:
    config = words(tmp_path)
    made(config)
    path = tmp_path / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    record, _ = made(config)
    assert numbers(record) == numbers(whole[1])
    assert len(records.read(path).rows) == 1


@pytest.mark.slow
def test_extended_run_follows_the_longer_plan_from_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = list[Any]()
    monkeypatch.setattr(train, "draw_run", lambda *columns: drawn.append(columns))
    alike: dict[str, Any] = {"schedule": "rex", "evaluate_every": "41st"}
    ended, _ = made(words(tmp_path / "short", **alike))
    longer = words(tmp_path / "long", budget="2ep", extend=str(tmp_path / "short"), **alike)
    record, _ = made(longer)
    assert record is not None
    assert ended is not None
    assert record["evaluations"]["steps"] == [41, 82]
    assert record["evaluations"]["errors"][:1] == ended["evaluations"]["errors"]
    assert record["total_steps"] == 82
    assert record["origin"]["step"] == 41
    assert record["origin"]["verb"] == "extend"
    assert record["applied_rate_max_rel_error"] < 1e-6
    assert record["run"] != tasks.resolve(longer.config).id
    steps, rates, *_ = drawn[-1]  # of the updates before, the parent's plan has the rates
    assert steps.tolist() == list(range(41, 82))
    np.testing.assert_array_equal(rates, tasks.resolve(longer.config).plan.lr.table()[41:])
    verdict = check.run(check.CheckConfig(longer.out or "")).result
    assert verdict.agrees
    assert verdict.updates.tolist() == list(range(41, 82))
    assert updates_made(record) == 41
    found = text.format_markdown(report.build([tmp_path / "long"]))
    assert "began from another run's state: lrsched train makes it" in found
    assert "lrsched study" not in found
    assert _report_parts._ask([record | {"seed": 3}])["seeds"] == ["3-3"]


@pytest.mark.slow
def test_branches_share_a_trunk_and_follow_their_own_plans(tmp_path: pathlib.Path) -> None:
    trunk = words(tmp_path / "trunk", schedule="constant", keep=("20",))
    made(trunk)
    assert 20 in snapshots.steps(tmp_path / "trunk")
    records = []
    for name in ("linear", "cosine"):
        branch = words(
            tmp_path / name, schedule=name, budget="0.5ep", branch=f"{tmp_path / 'trunk'}@20", save_every="6"
        )
        assert made(branch, stop_after=30)[0] is None
        record, said = made(branch)
        assert record is not None
        assert any("resuming after update" in line for line in said)
        assert record["total_steps"] == 20 + 21
        assert record["origin"]["step"] == 20
        assert record["applied_rate_max_rel_error"] < 1e-6
        whole, _ = made(dataclasses.replace(branch, out=str(tmp_path / f"{name}-whole")))
        assert numbers(record) == numbers(whole)
        for asked in (None, name):
            verdict = check.run(check.CheckConfig(branch.out or "", asked, total_steps=21)).result
            assert verdict.agrees
            assert len(verdict.updates) == updates_made(record) == 21
        records.append(record)
    assert records[0]["params_digest"] != records[1]["params_digest"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"branch": "TRUNK@7"}, "must be one of|no such|got 7"),
        ({"branch": "TRUNK", "seed": 3}, "seed must be 0 as in"),
        ({"branch": "TRUNK", "keep": ("41",)}, r"keep must be from 42 to 82 \(updates in all\), got \[41\]"),
        ({"save_every": "5m"}, r"save_every must be updates \(200\), .*percentage \(5%\), seconds \(90s\) or minutes"),
        ({"save_every": "1.2.3s"}, "save_every must be updates"),
        ({"save_every": "0s"}, "save_every must be above 0"),
        ({"extend": "TRUNK", "schedule": "rex"}, "schedule must be"),
        (
            {"extend": "TRUNK", "schedule": "constant", "budget": "0.5ep"},
            "budget must be more than the 41 updates made",
        ),
        ({"extend": "TRUNK", "branch": "TRUNK"}, "must not be given together"),
        ({"branch": "nowhere"}, "must be the folder of a run"),
        ({"members": "first:2"}, "members must be all, whole, last:M or every:K"),
        ({"save_every": "often"}, "save_every must be updates"),
        ({"keep": ("0",)}, "keep must be updates"),
        ({"keep": ("90s",)}, "keep must be updates"),
        ({"keep": ("50%", "101%")}, "keep must be at most the whole, 100%, got '101%'"),
        ({"keep": ("1312ex", "1313ex")}, r"keep must be from 1 to 41 \(updates in all\), got \[41, 42\]"),
        ({"keep": ("0.5ep", "1.01ep")}, r"keep must be from 1 to 41 \(updates in all\), got \[21, 42\]"),
        ({"keep": ("42",)}, r"keep must be from 1 to 41 \(updates in all\), got \[42\]"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    changed: dict[str, Any], message: str, trunk: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    changed = {k: v.replace("TRUNK", str(trunk)) if isinstance(v, str) else v for k, v in changed.items()}
    with pytest.raises(ValueError, match=message):
        made(words(tmp_path / "out", **{"schedule": "linear", **changed}))
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("trunk")
    made(words(out, schedule="constant"))
    return out


@pytest.mark.slow
def test_a_branch_goes_on_when_its_trunk_has_gone(tmp_path: pathlib.Path) -> None:
    made(words(tmp_path / "trunk", schedule="constant", budget="0.5ep"))
    branch = words(tmp_path / "out", schedule="linear", branch=str(tmp_path / "trunk"), save_every="5")
    assert made(branch, stop_after=30)[0] is None
    (tmp_path / "trunk").rename(tmp_path / "elsewhere")
    record, _ = made(branch)
    assert record is not None
    assert record["total_steps"] == 21 + 41
    assert made(branch)[0] == record


@pytest.mark.slow
def test_a_branch_of_one_run_does_not_go_on_as_that_of_another(tmp_path: pathlib.Path) -> None:
    for name, seed in {"one": 0, "other": 1}.items():
        made(words(tmp_path / name, schedule="constant", budget="0.2ep", seed=seed))
    branch = words(tmp_path / "out", schedule="linear", branch=str(tmp_path / "one"), save_every="5")
    assert made(branch, stop_after=20)[0] is None
    with pytest.raises(ValueError, match="seed must be 1 as in"):
        made(dataclasses.replace(branch, branch=str(tmp_path / "other")))


@pytest.mark.slow
def test_a_branch_is_not_extended(tmp_path: pathlib.Path, trunk: pathlib.Path) -> None:
    made(words(tmp_path / "branch", schedule="linear", budget="0.2ep", branch=str(trunk)))
    longer = words(tmp_path / "out", schedule="linear", budget="0.5ep", extend=str(tmp_path / "branch"))
    with pytest.raises(ValueError, match="extend must be of a run that is no branch"):
        made(longer)


@pytest.mark.slow
def test_kept_states_stay_when_the_words_leave_them_out(tmp_path: pathlib.Path) -> None:
    made(words(tmp_path, keep=("5",), save_every="3"), stop_after=12)
    made(words(tmp_path, save_every="3"))
    assert 5 in snapshots.steps(tmp_path)


def test_state_that_is_past_cannot_be_kept(whole: tuple[pathlib.Path, Record]) -> None:
    before = (whole[0] / "run.json").read_bytes()
    with pytest.raises(ValueError, match=r"keep must be of updates to come, .* has made 41, got \[7\]\.$"):
        made(words(whole[0], keep=("7",)))
    assert (whole[0] / "run.json").read_bytes() == before


def test_other_members_are_refused(whole: tuple[pathlib.Path, Record]) -> None:
    with pytest.raises(ValueError, match='members must be "all" as in the run in'):
        made(words(whole[0], members="last:1"))


@pytest.mark.parametrize(
    ("words_", "folder_", "step"), [("a", "a", None), ("a@12", "a", 12), ("linear@50-75", "linear@50-75", None)]
)
def test_location(words_: str, folder_: str, step: int | None) -> None:
    assert folder.parse_location(words_) == (folder_, step)


@pytest.mark.parametrize(
    ("words_", "folder_", "step"),
    [
        ("exp@1", "exp@1", None),  # there
        ("exp@1@123", "exp@1", 123),
        ("exp@1/", "exp@1/", None),
        ("exp@2", "exp", 2),  # not there
        ("exp@", "exp@", None),
        ("@5", "@5", None),
        ("exp@²", "exp@²", None),
        ("exp@" + "9" * 5000, "exp@" + "9" * 5000, None),
    ],
)
def test_a_folder_that_is_there_is_meant(
    words_: str, folder_: str, step: int | None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("exp", "exp@1"):
        (tmp_path / name).mkdir()
    assert folder.parse_location(words_) == (folder_, step)


@pytest.mark.slow
def test_a_run_in_a_folder_with_an_at_is_branched_from(tmp_path: pathlib.Path) -> None:
    trunk = tmp_path / "exp@1"
    made(words(trunk, schedule="constant", budget="0.2ep"))
    for name, branch in {"whole": str(trunk), "at": f"{trunk}@9"}.items():
        record, _ = made(words(tmp_path / name, schedule="linear", budget="0.2ep", branch=branch))
        assert record is not None
        assert record["origin"]["step"] == 9


def test_a_second_process_is_refused(tmp_path: pathlib.Path) -> None:
    with snapshots.open_store(tmp_path), pytest.raises(OSError, match="one process at a time"):
        made(words(tmp_path))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["train", "--max-epochs", "0.1", "--out", str(tmp_path / "file" / "run")]) == 2
    assert capsys.readouterr().err.startswith("lrsched: ")


def test_read_config_gives_the_configuration(whole: tuple[pathlib.Path, Record]) -> None:
    assert folder.read_config(whole[0]).as_json() == SGDR.as_json()


@pytest.mark.parametrize(
    ("members", "kept"),
    [
        ("all", [1, 3, 7, 15]),
        ("last:2", [7, 15]),
        ("last:9", [1, 3, 7, 15]),
        ("every:2", [3, 15]),
        ("every:3", [1, 15]),
        ("whole", [1, 3, 7, 15]),
    ],
)
def test_members_are_selected(members: str, kept: list[int]) -> None:
    assert folder.select_members(members, [1, 3, 7, 15]) == kept


@pytest.mark.parametrize(
    ("members", "kept"),
    [("all", [1, 3, 7, 15]), ("whole", [1, 3, 7]), ("last:2", [3, 7]), ("every:2", [1, 7])],
)
def test_members_are_selected_without_the_cycle_that_was_cut(members: str, kept: list[int]) -> None:
    assert folder.select_members(members, [1, 3, 7, 15], cut=[15]) == kept


@pytest.mark.slow
@pytest.mark.parametrize("mult", ["0.5", "1", "1.5", "2", "3"])
@pytest.mark.parametrize("warmup", ["0", "0.1"])
def test_members_are_taken_at_the_ends_of_cycles_and_nowhere_else(
    mult: str, warmup: str, tmp_path: pathlib.Path
) -> None:
    first = 0.6 if mult == "0.5" else 0.3
    schedule = f"sgdr:first_cycle={first},cycle_mult={mult},warmup={warmup}"
    config = words(tmp_path, schedule=schedule, max_epochs=0.57, holdout_fraction=0.0)  # 26 updates
    record, _ = made(config)
    ends = tasks.resolve(config.config).plan.cycle_ends
    assert record is not None
    assert [member["step"] for member in record["members"]] == list(ends)
    rates = tasks.resolve(config.config).plan.lr.table()
    for step in ends[:-1]:
        assert warmup != "0" or rates[step] > rates[step - 1]  # a restart; a warmup begins at 0
    like = tasks.resolve(config.config).initial_state().variables
    facts = [snapshots.load_member(tmp_path, step, like).facts for step in ends]
    assert [fact["cycle"] for fact in facts] == list(range(len(ends)))
    np.testing.assert_allclose([fact["rate"] for fact in facts], rates[np.array(ends) - 1], rtol=1e-6)
    assert json.loads((tmp_path / "run.json").read_text())["run"] == record["run"]


@pytest.mark.slow
def test_schedule_free_run_is_evaluated_and_kept_at_its_average(tmp_path: pathlib.Path) -> None:
    config = dataclasses.replace(SGDR, optimizer="schedule_free_sgd")
    record, _ = made(words(tmp_path, optimizer="schedule_free_sgd"))
    assert record is not None
    shared, like, last = (
        tasks.resolve(config).task,
        tasks.resolve(config).initial_state(),
        snapshots.steps(tmp_path)[-1],
    )
    saved = snapshots.load(tmp_path, last, like).tree
    average = optim.prediction_params(shared.optimizer, saved.opt_state, saved.params)
    assert not np.array_equal(jax.tree.leaves(average)[-1], jax.tree.leaves(saved.params)[-1])
    asked = shared.variables(saved)
    assert record["test_loss"] == shared.evaluate(asked, shared.test).loss
    member = snapshots.load_member(tmp_path, last, like.variables).tree
    assert "momentum" in (tmp_path / "run.svg").read_text()
    jax.tree.map(np.testing.assert_array_equal, member, jax.device_get(asked))


def other_digits(monkeypatch: pytest.MonkeyPatch, *, examples: int | None = None) -> str:
    """Has other examples under the name of the digits from now on; their digest."""
    digits = datasets.load("digits", holdout_fraction=0.1)
    few = datasets.Split(digits.train.images[:examples], digits.train.labels[:examples])
    tasks._put.cache_clear()
    monkeypatch.setattr(datasets, "load", lambda *_, **__: dataclasses.replace(digits, train=few, digest="0" * 16))
    return "0" * 16


@pytest.fixture
def fresh_tasks() -> Iterator[None]:
    yield
    tasks._put.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_tasks")
@pytest.mark.parametrize("examples", [None, 700])
@pytest.mark.parametrize("verb", [None, "extend", "branch"])
@pytest.mark.parametrize("old", [False, True])
def test_other_data_is_refused_with_the_two_digests(
    old: bool, verb: str | None, examples: int | None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(words(tmp_path / "a", schedule="rex", budget="0.3ep"))
    had = tasks.resolve(SGDR).task.data.digest
    if old:
        forget_since_version_0_1_0(tmp_path / "a")
    digest = other_digits(monkeypatch, examples=examples)
    again: dict[str, Any] = {} if verb is None else {verb: str(tmp_path / "a"), "budget": "0.5ep"}
    out = tmp_path / ("a" if verb is None else "b")
    was = "that of run" if old and verb is None else had
    with pytest.raises(ValueError, match=f"data must be .*{was}.* got .*{digest}"):
        made(words(out, **{"schedule": "rex", "budget": "0.3ep", **again}))
    assert not (tmp_path / "b").exists()


def forget_since_version_0_1_0(folder: pathlib.Path) -> None:
    """Leaves of run.json and of the record what version 0.1.0 wrote."""
    found = json.loads((folder / "run.json").read_text())
    old = {name: found[name] for name in identity._ALWAYS}
    (folder / "run.json").write_text(json.dumps(old, indent=1))
    (record,) = records.read(folder / "records.jsonl").rows
    record = {name: value for name, value in record.items() if name in records._UNSEALED}
    record["run"] = old["run"]
    (folder / "records.jsonl").write_text(json.dumps(record) + "\n")


@pytest.mark.slow
def test_a_folder_of_version_0_1_0_is_resumed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one, *_) = jax.local_devices()
    monkeypatch.setattr(jax, "local_devices", lambda: [one])
    whole, _ = made(words(tmp_path / "whole", budget="0.5ep"))
    assert made(words(tmp_path / "old", budget="0.5ep"), stop_after=15)[0] is None
    known = json.loads((tmp_path / "old" / "run.json").read_text())
    (tmp_path / "old" / "run.json").write_text(json.dumps({name: known[name] for name in identity._ALWAYS}))
    record, said = made(words(tmp_path / "old", budget="0.5ep"))
    assert numbers(record) == numbers(whole)
    assert sum("resuming after update" in line for line in said) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["resume", "members"])
def test_states_without_a_run_are_not_another_run_s(kept: str, tmp_path: pathlib.Path) -> None:
    made(words(tmp_path, budget="0.5ep"))
    for path in tmp_path.iterdir():
        if path.name != kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ValueError, match="must be a new folder or that of a run"):
        made(words(tmp_path, schedule="linear", seed=5))
    assert not (tmp_path / "records.jsonl").exists()


@pytest.mark.slow
def test_a_state_put_into_the_folder_of_another_run_is_refused(tmp_path: pathlib.Path) -> None:
    for name, seed in {"one": 0, "other": 1}.items():
        assert made(words(tmp_path / name, seed=seed), stop_after=20)[0] is None
    shutil.rmtree(tmp_path / "other" / "resume")
    shutil.copytree(tmp_path / "one" / "resume", tmp_path / "other" / "resume")
    with pytest.raises(ValueError, match=r"must be a state of run .*, got one of run .*: seed 0, not 1\."):
        made(words(tmp_path / "other", seed=1))


@pytest.mark.parametrize("content", ["null", "[]", "{}", "", "{", "\0", '{"run": 1}'])
@pytest.mark.parametrize("verb", [None, "extend", "branch"])
def test_a_damaged_run_json_is_named(content: str, verb: str | None, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text(content)
    again = {} if verb is None else {verb: str(tmp_path / "a")}
    with pytest.raises(ValueError, match=r"a/run\.json must be as it was written, got an altered file"):
        made(words(tmp_path / ("a" if verb is None else "b"), **again))


def test_every_changed_byte_of_run_json_is_noticed(whole: tuple[pathlib.Path, Record], tmp_path: pathlib.Path) -> None:
    content, rng = (whole[0] / "run.json").read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        at = rng.integers(len(content))
        (tmp_path / "run.json").write_bytes(
            content[:at] + bytes([content[at] ^ rng.integers(1, 256)]) + content[at + 1 :]
        )
        with pytest.raises(ValueError, match=r"run\.json must be as it was written"):
            identity.read(tmp_path)


def test_another_number_of_devices_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(words(tmp_path), stop_after=20)[0] is None
    every = jax.local_devices()
    monkeypatch.setattr(jax, "local_devices", lambda: every[:2])
    with pytest.raises(ValueError, match="devices must be 4 as in the run in .*, got 2"):
        made(words(tmp_path))


@pytest.mark.slow
def test_settings_that_changed_are_said_and_recorded(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(words(tmp_path), stop_after=20)[0] is None
    described = machine.describe()
    monkeypatch.setattr(machine, "describe", lambda: {**described, "cpus": 99})
    record, said = made(words(tmp_path))
    assert record is not None
    assert record["changes"] == [f"cpus {described['cpus']} -> 99"]
    assert any("begun with other libraries or settings (cpus" in line for line in said)


@pytest.mark.slow
def test_an_interrupt_saves_the_update_it_came_in(
    whole: tuple[pathlib.Path, Record], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = words(tmp_path, save_every="1000")
    looks = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(interrupts, "asked", lambda: next(looks) >= 20)
        with pytest.raises(interrupts.Interrupted, match="saved after update 21 of 41"):
            made(config)
    assert snapshots.steps(tmp_path) == [13, 21]
    record, said = made(config)
    assert "resuming after update 21 of 41." in said
    assert numbers(record) == numbers(whole[1])


@pytest.mark.slow
def test_a_figure_that_a_kill_left_out_is_drawn_by_the_next_start(tmp_path: pathlib.Path) -> None:
    made(words(tmp_path, budget="0.3ep"))
    drawn = (tmp_path / "run.svg").read_text()
    (tmp_path / "run.svg").unlink()
    made(words(tmp_path, budget="0.3ep"))
    assert len((tmp_path / "run.svg").read_text()) == len(drawn)


@pytest.mark.parametrize("field", ["out", "extend", "branch"])
def test_a_url_is_no_folder(field: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"{field} must be a local folder, got the URL gs://bucket/x"):
        made(words(**{"out": tmp_path / "out", field: "gs://bucket/x"}))
    assert not list(tmp_path.iterdir())


def test_a_member_of_another_run_is_refused(whole: tuple[pathlib.Path, Record], tmp_path: pathlib.Path) -> None:
    assert made(words(tmp_path, seed=1), stop_after=20)[0] is None
    shutil.copytree(whole[0] / "members" / "41", tmp_path / "members" / "41")
    with pytest.raises(ValueError, match=r"members/41 must be a member of run .*, got one of run"):
        made(words(tmp_path, seed=1))


def test_an_empty_name_is_no_folder() -> None:
    with pytest.raises(ValueError, match="out must name a folder, got ''"):
        made(TrainConfig(config=SGDR, out=""))
