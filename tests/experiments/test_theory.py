"""The claims of experiments/theory.py: what is published is reproduced, and what is on record is what is found."""

import json
import math
import pathlib

import pytest
import theory
import theory_laws
from helpers import public_curves

from lrsched.commands import rank

RECORD = json.loads((pathlib.Path(__file__).parents[2] / "results" / "theory" / "record.json").read_text())


@pytest.fixture(scope="module")
def rankings() -> list[dict]:
    return theory.rank_table_2()


@pytest.mark.slow
def test_order_of_the_bound_is_that_of_table_2(rankings: list[dict]) -> None:
    found = [round(one["spearman"]["bound, all at linear's best rate"], 3) for one in rankings]
    assert found == [0.925, 0.943, 0.836, 0.917, 0.926, 0.931]
    assert [len(one["cells"]) for one in rankings] == [21] * 6
    assert rankings == RECORD["rankings"]


@pytest.mark.slow
def test_baselines_are_far_below(rankings: list[dict]) -> None:
    for one in rankings:
        bound, *_, area, last = one["spearman"].values()
        assert max(area, last) < bound - 0.2


@pytest.mark.slow
def test_trust_that_the_command_states_is_the_one_on_the_tables(rankings: list[dict]) -> None:
    names = list(rank.TRUST)  # in the order of theory.ORDERS
    for name, order in zip(names, theory.ORDERS, strict=False):
        found = [one["spearman"][order] for one in rankings]
        assert rank.TRUST[name] == (round(min(found), 2), round(max(found), 2))


@pytest.mark.slow
def test_tables_4_to_9_are_counted() -> None:
    found = theory.rank_tables_4_to_9()
    assert (found["columns"], found["won_by_linear_or_rex"], found["rex_below_linear"]) == (48, 43, 43)
    assert found["linear_first_in_theory"] == 48
    assert found == RECORD["columns"]


# Luo et al., arXiv:2503.12811: MAE, RMSE and mean of the largest relative errors over the six test curves, as printed.
PRINTED = {25: (0.00376, 0.00465, 0.00409), 100: (0.00435, 0.00592, 0.00583), 400: (0.00484, 0.00730, 0.00995)}


@pytest.mark.slow
@pytest.mark.parametrize("size", theory_laws.SIZES)
def test_published_multi_power_law_has_the_published_errors(size: int) -> None:
    folder = public_curves()
    curves = [theory_laws.read(folder, size, name) for name in theory_laws.PREDICTED]
    found = theory_laws.score(theory_laws.published(size), curves)
    for key, printed in zip(("mae", "rmse", "worst"), PRINTED[size], strict=True):
        assert math.floor(found[key] * 1e5 + 0.5 + 1e-3) == round(printed * 1e5)


@pytest.mark.slow
def test_convex_bound_predicts_the_other_cooldowns() -> None:
    found = theory_laws.fit_cooldowns(public_curves())
    assert (found["runs"], found["cells"]) == (5, 30)
    assert found["mae"] <= 0.0112
    assert found["mae_of_the_mean"] > 0.04
    assert found["spearman"] >= 0.91
    assert found["regret"] <= 0.0024


def test_rates_of_the_files_are_those_in_them() -> None:
    folder = public_curves()
    for name in (*theory_laws.FITTED, *theory_laws.PREDICTED):
        lines = (folder / "multi_power_law" / "csv_25" / f"{name}.csv").read_text().splitlines()[1:]
        rates = theory_laws.rates_of(name)
        for line in lines:
            step, rate, _ = line.split(",")
            assert rates[int(step)] == pytest.approx(float(rate), rel=1e-9)
