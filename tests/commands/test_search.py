"""The disciplined search: small ones, their choices, and that they resume where they were stopped."""

import dataclasses
import itertools
import json
import math
import pathlib
import shlex
import shutil
import time
from concurrent import futures
from typing import Any

import pytest
from helpers import Stopped, listen

from lrsched import parsing, product, rex
from lrsched.commands import Outcome, _search_results, search
from lrsched.commands.search import SearchConfig
from lrsched.runs import speeds
from lrsched.runs.config import RunConfig
from lrsched.runs.ramps import Ramp
from lrsched.runs.task import resolve
from lrsched.schedules import language, registry

SHORT = RunConfig(schedule="onecycle", max_epochs=0.3, holdout_fraction=0.1, model="mlp")
RAMP = Ramp(length="20", seeds=1, beta=0.5, skip_end=0)


def small(out: pathlib.Path, **changes: Any) -> SearchConfig:
    words: dict[str, Any] = {
        "config": SHORT,
        "ramp": RAMP,
        "runs_each": 2,
        "grid": (1.0,),
        "weight_decays": (1e-3, 1e-4),
        "momenta": ("0.9", "0.95-0.85"),
        "batch_sizes": (32, 64),
        "workers": 1,
    }
    return SearchConfig(**{**words, **changes}, out=str(out))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, Outcome]:
    out = tmp_path_factory.mktemp("search")
    return out, search.run(small(out))


@pytest.mark.slow
def test_search_answers_each_question_and_says_why(searched: tuple[pathlib.Path, Outcome]) -> None:
    out, outcome = searched
    document = json.loads((out / "record.json").read_text())
    assert [part["question"] for part in document["parts"]] == ["peak rate", "weight decay", "momentum", "batch size"]
    tried = [{one["setting"]: one["rate"] for one in part["tried"]} for part in document["parts"]]
    assert len(tried[1]) == 4  # two, the one begun with, and one between them
    chosen, (rate, decay, momentum, size) = document["chosen"], [answer(part) for part in document["parts"]]
    assert (chosen["peak_value"], chosen["weight_decay"]) == (size["rate"], float(decay["setting"]))
    assert str(chosen["batch_size"]) == size["setting"]
    assert tried[1]["0.0005"] == rate["rate"]  # what was chosen is among what is tried next, at its rate
    assert tried[3]["32"] == momentum["rate"]
    assert document["speeds"].keys() == {"32", "64"}
    assert len(list((out / "speeds").iterdir())) == 2
    assert len(document["test_errors"]) == 2
    assert outcome.result.as_json() == document["chosen"]
    assert "regret" in outcome.text
    assert document["curves"].keys() == {"peak rate", "weight decay", "momentum", "batch size"}
    assert document["curves"]["weight decay"].keys() >= {"as begun", "0.001", "0.0001"}
    drawn = {"peak_rate.svg", "weight_decay.svg", "momentum.svg", "batch_size.svg", "range_test.svg"}
    assert drawn <= {path.name for path in outcome.files}
    for part in document["parts"]:  # the answer, not the ramps
        figure = (out / f"{part['question'].replace(' ', '_')}.svg").read_text()
        assert "held-out error, %" in figure
        assert "best: " in figure
    for part in document["parts"]:
        assert f"| {part['question']} | **{answer(part)['setting']}**" in outcome.text


def answer(part: dict[str, Any]) -> dict[str, Any]:
    """What a question ended in."""
    means = [sum(math.inf if e is None else e for e in one["errors"].values()) for one in part["tried"]]
    found: dict[str, Any] = part["tried"][means.index(min(means))]
    return found


@pytest.mark.slow
def test_table_of_a_search_is_rebuilt_from_its_json(
    searched: tuple[pathlib.Path, Outcome], tmp_path: pathlib.Path
) -> None:
    out, outcome = searched
    text, _ = search.write_results(json.loads((out / "record.json").read_text()), tmp_path)
    assert text == outcome.text == (out / "table.md").read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"momentum": "onecycle:max_value=0.95,min_value=0.8,variant=torch", "schedule": "onecycle:variant=torch"},
        {"data": "diabetes", "model": "mlp", "optimizer": "adamw", "augment": False, "sync_batch_norm": True},
        {"data": "some/images", "image_size": 32},
        {"schedule": language.parse(product(rex(0.1, total_steps=10), 0.5))},
    ],
)
def test_command_of_a_search_trains_at_what_was_chosen(changes: dict[str, Any]) -> None:
    chosen = RunConfig(**{"peak_value": 0.03, "max_epochs": 2.0, "momentum": "0.8", **changes})
    words = shlex.split(_search_results.command(chosen.as_json()))
    assert words[:2] == ["lrsched", "train"]
    assert parsing.parse(words[1:]).config.config.as_json() == chosen.as_json()


@pytest.mark.slow
def test_second_start_of_a_search_makes_no_run(searched: tuple[pathlib.Path, Outcome]) -> None:
    out, outcome = searched
    before = (out / "records.jsonl").read_bytes()
    again = search.run(small(out))
    assert (out / "records.jsonl").read_bytes() == before
    assert again.text == outcome.text


def test_search_of_a_question_looks_at_no_other_ones_words(tmp_path: pathlib.Path) -> None:
    config = RunConfig(schedule="rex", max_epochs=0.2, holdout_fraction=0.1)
    search._check(small(tmp_path, config=config, questions=("rate",)))  # though its momenta are 1cycle's


def test_cycled_momentum_is_sampled_as_the_rate_is() -> None:
    one = search._with_momentum(RunConfig(schedule="onecycle@50-75"), "0.95-0.8")
    assert language.parse(one.momentum or "", kind=registry.MOMENTA)["sampling"] == "50-75"


def test_cycled_momentum_goes_against_the_rate() -> None:
    one = search._with_momentum(RunConfig(schedule="onecycle:variant=torch"), "0.95-0.8")
    assert one.momentum is not None
    cycle = language.parse(one.momentum, kind=registry.MOMENTA)
    assert (cycle["variant"], cycle["max_value"], cycle["min_value"]) == ("torch", 0.95, 0.8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": RunConfig()}, "holdout_fraction must be above 0"),
        ({"runs_each": 0}, "runs_each must be at least 1"),
        ({"bisections": -1}, "bisections must be at least 0"),
        ({"questions": ()}, "questions must differ"),
        ({"grid": (0.0,)}, "grid must hold multiples above 0"),
        ({"grid": (1.0, 1e-300)}, "peak_value times each of grid must be from 1.18e-38"),
        ({"grid": (1e300,)}, "peak_value times each of grid must be from 1.18e-38"),
        ({"config": dataclasses.replace(SHORT, peak_value=0.0)}, "peak_value times each of grid must be from 1.18e-38"),
        ({"config": dataclasses.replace(SHORT, seed=2**31 - 2), "runs_each": 3}, "seed must be from 0 to 2"),
        ({"runs_each": 10**11}, "runs_each must be at most 100,000, got 100000000000"),
        ({"ramp": Ramp(length="1e9")}, "length must be"),
        ({"ramp": Ramp(seeds=10**11)}, "seeds must be at most 10,000"),
        ({"weight_decays": (0.1, -0.1)}, "weight_decay must be at least 0"),
        ({"batch_sizes": (10**6,)}, "batch_size must be from 1 to"),
        ({"config": dataclasses.replace(SHORT, budget="1ep")}, "budget must be a percentage"),
        ({"momenta": ("fast",)}, "momenta must be numbers"),
        (
            {"config": RunConfig(schedule="rex", holdout_fraction=0.1)},
            "momenta must be numbers where the schedule is rex",
        ),
        ({"ramp": Ramp(quantity="holdout_accuracy")}, "quantity must be train_loss or holdout_loss"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
    ],
)
def test_search_refuses_in_one_line(changes: dict[str, Any], said: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=said):
        search.run(small(tmp_path / "none", **changes))
    assert not (tmp_path / "none").exists()


def test_search_that_cannot_be_written_is_refused_before_training(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="out must be a folder that can be written, got .*file"):
        search.run(small(tmp_path / "file"))
    with pytest.raises(ValueError, match="out must be a local folder, got the URL gs://bucket/x"):
        search.run(dataclasses.replace(small(tmp_path), out="gs://bucket/x"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b'{"images_per_second": "fast"}', b"\xff"])
def test_altered_speed_is_named_and_measured_anew(
    content: bytes, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = [123.0]
    monkeypatch.setattr(speeds, "probe", lambda task: measured[0])
    assert speed(tmp_path)[1] == 123.0
    (path,) = (tmp_path / "speeds").iterdir()
    measured[0] = 99.0
    assert speed(tmp_path)[1] == 123.0  # kept
    path.write_bytes(content or path.read_bytes().replace(b"123.0", b"124.0"))
    lines, found = speed(tmp_path)
    assert found == 99.0
    assert path.name in lines[0]
    assert lines[0].endswith("is measured again.")


def test_speed_is_kept_when_a_library_changes(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "probe", lambda task: 123.0)
    assert speed(tmp_path)[1] == 123.0
    monkeypatch.setattr(speeds, "probe", lambda task: 99.0)
    monkeypatch.setattr("lrsched.training.provenance.versions", lambda: {"jax": "99"})
    assert speed(tmp_path)[1] == 123.0


def test_processes_of_one_search_have_one_speed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = itertools.count(100.0)

    def probe(task: Any) -> float:
        time.sleep(0.02)
        return next(made)

    monkeypatch.setattr(speeds, "probe", probe)
    with futures.ThreadPoolExecutor() as pool:
        assert len({one for _, one in pool.map(speed, [tmp_path] * 3)}) == 1
    assert next(made) == 104.0


def test_speed_of_version_0_1_0_is_still_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "probe", lambda task: 1.0)
    speed(tmp_path)
    (path,) = (tmp_path / "speeds").iterdir()
    path.write_text(json.dumps({"batch_size": 32, "device": {}, "images_per_second": 7.0}) + "\n")
    assert speed(tmp_path) == (["batch size 32: 7 images/s"], 7.0)


def speed(out: pathlib.Path) -> tuple[list[str], float]:
    lines, report = listen()
    images_per_second = speeds.measure(resolve(SHORT).task, out=out, report=report)
    return lines, images_per_second


@pytest.mark.slow
def test_search_that_was_cut_off_comes_to_the_same_table(
    searched: tuple[pathlib.Path, Outcome], tmp_path: pathlib.Path
) -> None:
    out, outcome = searched
    shutil.copytree(out / "speeds", tmp_path / "speeds")  # measured, so they would differ
    heard = itertools.count()

    def stop(event: object) -> None:
        if next(heard) == 40:
            raise Stopped

    with pytest.raises(Stopped):
        search.run(small(tmp_path), stop)
    made = (tmp_path / "records.jsonl").read_bytes()
    ramps = sorted(path.name for path in (tmp_path / "ramps").iterdir())
    again = search.run(small(tmp_path))
    assert again.text == outcome.text
    assert (tmp_path / "records.jsonl").read_bytes().startswith(made)
    assert set(ramps) <= {path.name for path in (out / "ramps").iterdir()}
