"""Each recipe of the documentation is run, and the rates that it applied are read off its weights."""

from __future__ import annotations

import functools
import pathlib
import re
from typing import Any

import jax
import numpy as np
import pytest
from helpers import run_snippet

import lrsched as ls

PAGE = pathlib.Path(ls.__file__).parent / "docs" / "recipes.md"
TEXT = PAGE.read_text("utf-8")
RECIPES = dict(re.findall(r"^## (.*?)\n.*?^```python\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE))


@functools.cache
def run(recipe: str) -> dict[str, Any]:
    """What the names of a recipe stand for at its end."""
    return run_snippet(RECIPES[recipe])


def applied(seen: list[Any]) -> np.ndarray:
    """How far each update lowered a weight whose gradient is 1, [updates]: with SGD or Adam, the rate."""
    weights = np.stack([np.asarray(each, np.float64).ravel() for each in seen])
    changes = -np.diff(weights, axis=0)
    np.testing.assert_allclose(changes, np.broadcast_to(changes[:, :1], changes.shape), atol=1e-6)
    return changes[:, 0]


def said(log: list[Any], name: str) -> np.ndarray:
    return np.array([float(each[name]) for each in log])


def test_every_recipe_is_tested_here() -> None:
    assert TEXT.count("```python") == len(RECIPES)
    own = pathlib.Path(__file__).read_text("utf-8")
    assert [recipe for recipe in RECIPES if f'"{recipe}"' not in own] == []


@pytest.mark.parametrize("recipe", ["A Linen loop with TrainState", "An NNX loop with nnx.Optimizer"])
def test_flax_loops_apply_and_log_the_rate_of_each_update(recipe: str) -> None:
    names = run(recipe)
    rates = names["schedule"].table()
    np.testing.assert_allclose(applied(names["seen"]), rates, atol=1e-6)
    np.testing.assert_allclose(said(names["log"], "rate"), rates, rtol=1e-6, atol=1e-9)


def test_rate_and_momentum_are_those_of_the_plan() -> None:
    names = run("Rate and momentum from a plan")
    table = names["plan"].table()
    assert np.ptp(table["momentum"]) > 0.05
    trace, weight, want = 0.0, 0.0, [0.0]
    for rate, momentum in zip(table["lr"], table["momentum"], strict=True):
        trace = momentum * trace + 1
        weight -= rate * trace
        want.append(weight)
    np.testing.assert_allclose([float(w[0]) for w in names["seen"]], want, rtol=1e-5)
    np.testing.assert_allclose(said(names["log"], "learning_rate"), table["lr"], rtol=1e-6)
    np.testing.assert_allclose(said(names["log"], "momentum"), table["momentum"], rtol=1e-6)


def test_rates_that_were_applied_agree_and_those_of_the_next_update_are_said_to_be_early() -> None:
    names = run("What the loop applied, against the schedule")
    rates = names["schedule"].table()
    np.testing.assert_allclose(applied(names["seen"]), rates, atol=1e-6)
    np.testing.assert_allclose(names["applied"], rates, rtol=1e-6)
    np.testing.assert_allclose(names["counted"], [*rates[1:], 0], rtol=1e-6, atol=1e-9)
    verdict = names["verdict"]
    assert (verdict.agrees, verdict.update, verdict.reasons[0].kind) == (False, 0, "early")
    assert f'"{verdict.reasons[0].text}"' in " ".join(TEXT.split())


def test_schedule_advances_once_per_applied_update_and_not_per_micro_batch() -> None:
    names = run("Gradient accumulation")
    changes = applied(names["seen"]).reshape(10, 4)
    np.testing.assert_array_equal(changes[:, :3], 0)
    np.testing.assert_allclose(changes[:, 3], ls.linear(0.1, total_steps=10).table(), atol=1e-6)


def test_muon_and_adam_each_follow_and_record_their_own_schedule() -> None:
    names = run("Muon beside Adam, each with its own schedule")
    muon, adam = ls.rex(0.02, total_steps=20).table(), ls.cosine(0.003, total_steps=20).table()
    np.testing.assert_allclose(said(names["log"], "muon"), muon, rtol=1e-6)
    np.testing.assert_allclose(said(names["log"], "adam"), adam, rtol=1e-6)
    np.testing.assert_allclose(applied([each["bias"] for each in names["seen"]]), adam, atol=1e-6)
    # Muon moves along one direction here, of a length that its orthogonalisation sets: the rate over it is the schedule
    lengths = applied([each["kernel"] for each in names["seen"]])
    assert lengths[0] > 0.2 * muon[0]
    np.testing.assert_allclose(lengths / lengths[0], muon / muon[0], atol=1e-4)


def test_cooldown_is_split_by_group() -> None:
    names = run("A cooldown of its own for each group")
    left = np.arange(20, 0, -1)  # updates to go, of 20: the matrices fall over the last 16, the rest over the last 8
    for leaf, peak, length in ("kernel", 0.02, 16), ("bias", 0.003, 8):
        want = peak * np.minimum(left / length, 1)
        np.testing.assert_allclose(applied([each[leaf] for each in names["seen"]]), want, atol=1e-6)


def test_weight_decay_follows_the_rate_or_does_not_as_the_page_says() -> None:
    names = run("Weight decay that follows the rate, and one that does not")
    rates, shape = ls.rex(0.1, total_steps=20).table(), ls.rex(0.01, total_steps=20).table()
    for name, decay in {"follows": rates * 0.01, "constant": np.full(20, 0.01), "shape": shape}.items():
        weights = np.stack(names["seen"][name])
        still, moved = weights[:, 0], weights[:, 1]  # of gradients 0 and 1
        np.testing.assert_allclose(1 - still[1:] / still[:-1], decay, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(moved[:-1] * (1 - decay) - moved[1:], rates, rtol=2e-5, err_msg=name)


def test_rates_too_small_for_bfloat16_reach_float32_weights() -> None:
    names = run("bfloat16 parameters")
    rates = ls.linear(0.001, total_steps=20).table()
    np.testing.assert_allclose(applied(names["seen"]), rates, atol=1e-6)
    w = jax.numpy.ones(3, "bfloat16")
    with jax.numpy_dtype_promotion("standard"):
        changes, _ = names["optimizer"].update(jax.numpy.ones_like(w), names["optimizer"].init(w), w)
    assert (w + changes == 1).all()  # what the page warns of: a rate of 0.001 changes nothing


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("resume"))
        return run("Resume with Orbax")


def test_resume_continues_rate_momentum_and_weight_decay_exactly(resumed: dict[str, Any]) -> None:
    table, decay = resumed["plan"].table(), ls.cosine(0.01, total_steps=20).table()
    for log in (resumed["uninterrupted"][2], resumed["resumed"][2]):
        log = [*resumed["before"], *log]
        for name, want in {"learning_rate": table["lr"], "b1": table["momentum"], "weight_decay": decay}.items():
            np.testing.assert_allclose(said(log, name), want, rtol=1e-6, err_msg=name)


def test_resume_is_bitwise_what_was_not_interrupted(resumed: dict[str, Any]) -> None:
    first, second = (jax.tree.leaves(resumed[name][:2]) for name in ("uninterrupted", "resumed"))
    assert len(first) == len(second)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    count = resumed["restored"]["state"].count
    assert int(count) == 8


def test_range_test_again_in_mid_run_begins_there_and_leaves_the_run_as_it_was() -> None:
    names = run("A range test on your own step, and again in mid-run")
    step, batches, again = names["step"], names["batches"], names["again"].curves
    state = (jax.numpy.zeros(3), jax.tree.map(jax.numpy.zeros_like, names["state"][1]))
    with jax.numpy_dtype_promotion("standard"):
        for k, batch in enumerate(batches):
            if k == 30:
                ramp, losses = state, []
                for rate, other in zip(again.rates[:50], batches[30:80], strict=True):
                    ramp, loss = step(ramp, other, jax.numpy.float32(rate))
                    losses.append(float(loss))
            state, _ = step(state, batch, names["schedule"](k))
    np.testing.assert_allclose(again.values[0, :50], losses, rtol=1e-6)
    assert jax.tree.all(jax.tree.map(np.array_equal, state, names["state"]))


def test_configuration_of_words_becomes_the_rates() -> None:
    names = run("A schedule from a configuration")
    up, hold, down = [0, 0.05], [0.1] * 14, 0.1 - 0.09 * np.arange(4) / 4
    rates = np.concatenate([up, hold, down])
    weight, want = 0.0, [0.0]
    for rate in rates:
        weight -= rate * (1 + 0.1 * weight)
        want.append(weight)
    np.testing.assert_allclose([float(w[0]) for w in names["seen"]], want, rtol=2e-5)  # Adam in float32


def test_kept_checkpoint_of_a_stable_run_feeds_other_cooldowns() -> None:
    names = run("Another cooldown from a kept checkpoint")
    stable = np.minimum(np.arange(30) / 5, 1) * 0.1
    np.testing.assert_allclose(applied(names["trunk"]), stable, atol=1e-6)
    for length, seen in names["branches"].items():
        want = 0.1 * (1 - np.sqrt(np.arange(length) / length))
        np.testing.assert_allclose(applied(seen), want, atol=1e-6)


def test_notebook_draws() -> None:
    names = run("In a notebook")
    assert [line.get_label() for line in names["axes"].get_lines()] == ["REX", "cosine"]
