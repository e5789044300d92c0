"""The scores of laws and baselines on curves that are known, and the whole script in a tiny form."""

import json
import pathlib

import laws_on_gpt
import numpy as np
import pytest

import lrsched as ls
from lrsched.forecast import fits
from lrsched.forecast.curves import Curve

PLACES = [(shape, budget) for budget in laws_on_gpt.BUDGETS for shape in laws_on_gpt.FITTED + laws_on_gpt.OTHERS]
LAW = fits.FittedLaw("annealing", {"L0": 2.0, "A": 0.5, "alpha": 0.5, "C": 0.3, "lambda": 0.99})


def _curves() -> dict[tuple[str, str], Curve]:
    found = {}
    for shape, budget in PLACES:
        total = 4 * int(budget.rstrip("%"))
        plan = ls.plan(laws_on_gpt.WARMUP + shape, ls.Budget(epochs=1, steps_per_epoch=total), peak_value=0.01)
        rates = np.asarray(plan.lr.table())
        steps = np.arange(total // 20, total + 1, total // 20)
        found[shape, budget] = Curve(shape, rates, steps, np.asarray(LAW.predict(rates, steps)))
    return found


@pytest.fixture(autouse=True)
def one_law(monkeypatch: pytest.MonkeyPatch) -> None:
    """The annealing law alone: a fit takes seconds, and those of the others are tested with them."""
    monkeypatch.setattr(fits, "LAWS", {name: law for name, law in fits.LAWS.items() if name == "annealing"})


@pytest.mark.slow
def test_law_that_made_the_curves_beats_the_baselines() -> None:
    curves = _curves()
    measured = [float(one.losses[-1]) for one in curves.values()]
    predicted = laws_on_gpt.predict(curves)
    scores = {
        name: laws_on_gpt.score(each, measured, PLACES) for name, each in predicted.items() if not isinstance(each, str)
    }
    assert scores["annealing"]["mae"] < 1e-3
    assert scores["annealing"]["spearman"] > 0.9
    assert scores[laws_on_gpt.SAME]["mae"] > 10 * scores["annealing"]["mae"]
    assert scores[laws_on_gpt.SAME]["spearman"] is None


def test_score_is_of_the_shapes_that_were_not_fitted() -> None:
    measured = [float(i) for i, _ in enumerate(PLACES)]
    guess = [
        value + (100 if shape in laws_on_gpt.FITTED else 0.5)
        for value, (shape, _) in zip(measured, PLACES, strict=True)
    ]
    assert laws_on_gpt.score(guess, measured, PLACES) == {"mae": 0.5, "spearman": pytest.approx(1), "regret": 0}
    backwards = [-value for value in measured]
    found = laws_on_gpt.score(backwards, measured, PLACES)
    assert (found["spearman"], found["regret"]) == (pytest.approx(-1), 5)


@pytest.mark.slow
def test_script_writes_record_table_and_figure(tmp_path: pathlib.Path) -> None:
    words = ["--data", "diabetes", "--model", "mlp", "--peak-value", "0.003", "--max-epochs", "8"]
    assert laws_on_gpt.main([*words, "--seeds", "1", "--workers", "1", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert len(record["places"]) == len(record["measured"]) == 24
    assert {laws_on_gpt.SAME, laws_on_gpt.LOWER} <= set(record["scores"])
    assert set(record["predicted"]) == {laws_on_gpt.SAME, laws_on_gpt.LOWER, *fits.LAWS}
    text = (tmp_path / "table.md").read_text()
    assert text == laws_on_gpt.write_results(record, tmp_path / "again")
    assert "mlp on diabetes, peak rate 0.003, 3 budgets of at most 8 epochs, seeds: 1" in text
    assert (tmp_path / "laws.svg").stat().st_size > 0
