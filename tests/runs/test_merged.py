"""Decays merged from the states of a small constant-rate run on the digits, beside one that was trained."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lrsched.commands import ensemble, train
from lrsched.commands.ensemble import EnsembleConfig
from lrsched.commands.train import TrainConfig
from lrsched.runs import merged, networks
from lrsched.runs import task as tasks
from lrsched.runs.config import RunConfig
from lrsched.runs.evaluator import evaluator
from lrsched.training import soups

STEPS = (10, 20, 30, 40)
WORDS: dict[str, Any] = {"data": "digits", "model": "resnet8", "holdout_fraction": 0.1, "max_epochs": 1.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A trunk of 41 updates, a cooldown from its 10th to its 40th, and one that ends elsewhere."""
    out = tmp_path_factory.mktemp("merged")
    keep = tuple(map(str, STEPS))
    train.run(TrainConfig(config=RunConfig(schedule="constant", **WORDS), keep=keep, out=str(out / "trunk")))
    for name, budget in (("linear", "30st"), ("short", "20st")):
        config = RunConfig(schedule="linear", budget=budget, **WORDS)
        train.run(TrainConfig(config=config, branch=f"{out / 'trunk'}@10", out=str(out / name)))
    return out


def _merge(made: pathlib.Path, *names: str, steps: Sequence[int] = STEPS[1:], **more: Any) -> dict[str, Any]:
    runs = tuple(f"{made / 'trunk'}@{step}" for step in steps)
    words = {"runs": runs, "merge": names, "out": str(made / "out"), "weight_averages": False, **more}
    return dict(ensemble.run(EnsembleConfig(**words)).result)


@pytest.mark.slow
def test_merged_states_are_averages_with_statistics_of_their_own(made: pathlib.Path) -> None:
    record = _merge(made, "linear", "rex", baselines=(f"linear={made / 'linear'}",))
    rows = {row["name"]: row for row in record["rows"]}
    assert rows["merged as linear"]["weights"] == pytest.approx([1 / 3] * 3)
    factors = np.array([1, 2 * 2 / 5, 2 * 1 / 4])  # rex is 2 (1 - z) / (2 - z): at z = 1/3 and 2/3
    assert rows["merged as rex"]["weights"] == pytest.approx(-np.diff([*factors, 0]))
    assert rows["EMA of members, decay 0.5"]["weights"] == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    task = tasks.resolve(RunConfig(schedule="constant", **WORDS)).task
    states = [networks.load_state(f"{made / 'trunk'}@{step}", task) for step in STEPS[1:]]
    at = evaluator(task, batches=50)
    mean = soups.mean_tree([state.variables["params"] for state in states])
    predicted, _ = at.predict(at.complete(mean, states[0]))
    wrong = np.mean(predicted.test.argmax(-1) != task.data.test.labels)
    assert rows["merged as linear"]["error"] == pytest.approx(wrong)
    again, plain = rows["linear, re-estimated"], rows["linear"]
    assert again["networks"] == plain["networks"]
    assert again["nll"] != plain["nll"]
    assert rows["last member, re-estimated"]["networks"] == [f"{made / 'trunk'}@40"]
    compared = [(one["first"], one["second"]) for one in record["comparisons"]]
    assert compared[-1] == ("weights merged as linear", "linear, re-estimated")
    assert merged.NOTE in record["notes"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "words", "message"),
    [
        (["foo"], {}, "merge must name profiles, of constant, cosine, .*, got foo"),
        (["rex"], {"steps": (10, 20, 40)}, "equal distances, .* got 10, 20, 40"),
        (["rex"], {"steps": (30, 20)}, "in order and at equal distances, .* got 30, 20"),
        (["rex"], {"steps": (20, 41)}, "of which the decay begins one before the first, got 20, 41"),
        (["rex"], {"runs": ("linear@40", "short@30")}, "merge must be given states of one run, got .*linear, .*short"),
        (["rex"], {"baselines": ("last member=short",)}, "baselines must not be named last member beside merge"),
        (["linear"], {"baselines": ("linear=short",)}, "under the name linear the cooldown .* got .*short@30"),
    ],
)
def test_what_cannot_stand_for_a_decay_is_refused(
    made: pathlib.Path, names: list[str], words: dict[str, Any], message: str
) -> None:
    there = {name: tuple(each.replace("linear@", f"{made}/linear@").replace("short", f"{made}/short") for each in value)
             for name, value in words.items() if name != "steps"}  # fmt: skip
    with pytest.raises(ValueError, match=message):
        _merge(made, *names, steps=words.get("steps", STEPS[1:]), **there)


@pytest.mark.slow
def test_rate_that_falls_on_the_way_is_refused(tmp_path: pathlib.Path) -> None:
    keep = ("20", "30")
    train.run(TrainConfig(config=RunConfig(schedule="linear", **WORDS), keep=keep, out=str(tmp_path / "trunk")))
    with pytest.raises(ValueError, match="states of a constant rate, got rates from .* between updates 10 and 30"):
        _merge(tmp_path, "linear", steps=(20, 30))
