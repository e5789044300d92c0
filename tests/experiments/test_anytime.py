"""What the anytime picture is read off: areas, choices, and errors of runs and of averages."""

import math

import anytime
import averages
import numpy as np
import pytest

BUDGETS = (1, 3, 9)


def test_area_is_the_mean_height_over_the_logarithm_of_the_budget() -> None:
    # Two trapezoids of equal width, log 3: ((4 + 2) / 2 + (2 + 1) / 2) / 2.
    np.testing.assert_allclose(anytime.area([4.0, 2.0, 1.0], BUDGETS), 2.25, rtol=1e-12)


def test_each_budget_has_its_own_rate_only_where_each_has_its_own_run() -> None:
    errors = {0.1: [0.4, 0.2, 0.3], 0.3: [0.5, 0.4, 0.1]}
    assert anytime.choose(errors, BUDGETS, each=True) == [0.1, 0.1, 0.3]
    assert anytime.choose(errors, BUDGETS, each=False) == [0.1] * 3


def test_a_rate_that_diverges_is_never_chosen() -> None:
    assert anytime.choose({0.1: [0.9] * 3, 3.0: [math.inf] * 3}, BUDGETS, each=False) == [0.1] * 3


def test_a_cycle_ends_at_each_budget() -> None:
    way = anytime.WAYS["one cyclic run (SGDR)"]
    (config,) = anytime.configs(way, [0.1] * 4, 0, 0.0, anytime.BUDGETS)
    run = anytime.resolve(config)
    assert run.plan.cycle_ends == tuple(budget * run.task.steps_per_epoch for budget in anytime.BUDGETS)


def test_cooldowns_share_their_trunk_and_fresh_runs_nothing() -> None:
    fresh, cooldowns = (anytime.WAYS[name] for name in (anytime.FRESH, "constant trunk, cooldowns (WSD)"))
    made = [anytime.count(anytime.configs(way, [0.1, 0.1], 0, 0.0, (1, 3))) for way in (fresh, cooldowns)]
    # 45 + 135 updates; of the shorter run's 45, 4/5 come before the cooldown, and its first one has the full rate.
    assert made == [180, 180 - (36 + 1)]


@pytest.mark.slow
def test_averages_of_one_network_are_that_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(averages, "EMA_DECAY", 1e-9)  # the latest weights alone
    monkeypatch.setattr(anytime, "LAWA_CHECKPOINTS", 1)
    monkeypatch.setattr(anytime, "LAWA_PER_EPOCH", 45)  # a checkpoint an update
    config = anytime.RunConfig(schedule="constant", budget="1ep", seed=1)
    errors = anytime.follow.__wrapped__(config, (1,)).errors
    assert errors["ema"] == errors["lawa"] == errors["estimated"]
    assert errors["running"] != errors["estimated"]
