"""Laws fitted to runs: parameters found again, errors on what was not fitted, and what is refused."""

import json
import time

import numpy as np
import pytest
import theory_laws
from helpers import public_curves

import lrsched as ls
from lrsched.forecast import fits
from lrsched.forecast.curves import Curve

T = 1000
SCHEDULES = {
    "constant": ls.constant(0.1, total_steps=T),
    "cosine": ls.cosine(0.1, total_steps=T),
    "step": ls.step(0.1, total_steps=T),
    "wsd": ls.wsd(0.1, total_steps=T, warmup=0),
}
TRUE = {
    "annealing": {"L0": 2.0, "A": 3.0, "alpha": 0.5, "C": 0.05, "lambda": 0.993},
    "multi_power": {"L0": 2.0, "A": 3.0, "alpha": 0.5, "B": 5.0, "C": 2.0, "beta": 0.5, "gamma": 0.6},
    "functional_scaling": {"L0": 2.0, "c1": 3.0, "s": 0.5, "c2": 2.0, "c3": 0.5, "c4": 0.3, "gamma": 0.6},
    "convex_end": {"L0": 1.0, "D": 2.0, "G": 0.3},
}


def curve(name: str, law: str = "annealing", *, every: int = 25, peak: float = 0.1) -> Curve:
    """A run without noise, as the law with its true parameters has it."""
    rates = SCHEDULES[name].table() * (peak / 0.1)
    steps = np.array([T]) if law == "convex_end" else np.arange(every, T + 1, every)
    return Curve(name, rates, steps, fits.LAWS[law].formula(rates, steps, TRUE[law]))


@pytest.mark.slow
@pytest.mark.parametrize("law", TRUE)
def test_parameters_are_found_again(law: str) -> None:
    names = [name for name in SCHEDULES if law != "convex_end" or name != "constant"]
    found = fits.fit_law([curve(name, law) for name in names], law)
    assert found.parameters == pytest.approx(TRUE[law], rel=0.01)
    assert found.fitted == tuple(names)


@pytest.mark.slow
@pytest.mark.parametrize(("law", "names"), [(law, ("constant", "cosine")) for law in TRUE if law != "convex_end"])
@pytest.mark.parametrize("every", [125, 250])
def test_parameters_are_found_again_from_a_few_losses(law: str, names: tuple[str, ...], every: int) -> None:
    found = fits.fit_law([curve(name, law, every=every) for name in names], law)
    assert found.parameters == pytest.approx(TRUE[law], rel=0.01)


# The mean absolute errors of a fit of the same law by others' code on the same curves, in `theory-and-laws`: at most.
@pytest.mark.slow
@pytest.mark.parametrize(("size", "error"), [(25, 0.0074), (100, 0.0063), (400, 0.0066)])
def test_annealing_law_predicts_curves_of_language_models(size: int, error: float) -> None:
    folder = public_curves()
    runs = [theory_laws.read(folder, size, name) for name in theory_laws.FITTED]
    begun = time.process_time()
    found = fits.fit_law(runs, "annealing")
    assert time.process_time() - begun < 10
    others = [theory_laws.read(folder, size, name) for name in theory_laws.PREDICTED]
    assert theory_laws.score(found, others)["mae"] <= error


def test_prediction_is_the_formula_at_the_end_or_on_the_way() -> None:
    law = fits.FittedLaw("annealing", TRUE["annealing"])
    run = curve("cosine")
    np.testing.assert_allclose(law.predict(SCHEDULES["cosine"], run.steps), run.losses)
    assert law.predict(SCHEDULES["cosine"]) == pytest.approx(run.losses[-1])
    with pytest.raises(ValueError, match="steps must be whole numbers from 1 to 1000, got 0 to 3"):
        law.predict(SCHEDULES["cosine"], [0, 3])


def test_leaving_one_out_finds_a_law_that_is_true_without_error() -> None:
    runs = [curve(name, "convex_end", peak=peak) for name in ("cosine", "step", "wsd") for peak in (0.05, 0.1, 0.2)]
    assert fits.leave_one_out(runs, "convex_end") == pytest.approx(
        dict.fromkeys(("cosine", "step", "wsd"), 0), abs=1e-6
    )
    wrong = [*runs[:-1], Curve("wsd", runs[-1].rates, runs[-1].steps, runs[-1].losses + 0.3)]
    assert fits.leave_one_out(wrong, "convex_end")["wsd"] == pytest.approx(0.1, abs=1e-6)  # one run of three


def test_leaving_out_what_is_needed_has_no_entry() -> None:
    runs = [curve("cosine", "convex_end", peak=peak) for peak in (0.05, 0.1, 0.2)]
    assert fits.leave_one_out(runs, "convex_end") == {}


def test_json_is_read_as_it_was_written() -> None:
    law = fits.FittedLaw("annealing", TRUE["annealing"], ("cosine",), {"peak": (0.1, 0.1)})
    assert fits.FittedLaw.from_json(law.to_json()) == law
    with pytest.raises(ValueError, match="a fitted law must be JSON with law, parameters, fitted and seen"):
        fits.FittedLaw.from_json("{}")
    with pytest.raises(ValueError, match="parameters of annealing must be L0, A, alpha, C, lambda, got L0"):
        fits.FittedLaw.from_json(json.dumps({**json.loads(law.to_json()), "parameters": {"L0": 1.0}}))


def test_schedule_beyond_what_was_fitted_is_named() -> None:
    runs = [curve("cosine", "convex_end", peak=peak) for peak in (0.05, 0.1, 0.2)]
    law = fits.fit_law(runs, "convex_end")
    assert law.leaves(ls.cosine(0.1, total_steps=T)) == []
    said = " ".join(law.leaves(ls.constant(0.5, total_steps=3 * T)))
    for part in ("peak rate is 0.5", "has 3000 updates", "mean rate is 1 ", "last rate is 1 "):
        assert part in said


WARMUP = Curve("warmup", np.linspace(0.01, 0.1, 50), np.array([10, 50]), np.array([3.0, 2.0]))


@pytest.mark.parametrize(
    ("runs", "law", "message"),
    [
        ([], "annealing", "must be fitted to runs, got none"),
        ([curve("cosine")], "kepler", "law must be one of annealing, multi_power, .* got 'kepler'"),
        ([curve("constant")], "annealing", "a run whose rate decays, got none: add one, such as linear or cosine"),
        ([curve("cosine")] * 2, "multi_power", "two shapes or more, got cosine alone: add a run .* constant at 0.1"),
        (
            [curve("cosine"), curve("step", peak=0.2)],
            "functional_scaling",
            "at one peak rate, got 0.1, 0.2: .* higher rate is always better",
        ),
        ([curve("cosine"), WARMUP], "annealing", "what follows a warmup, got warmup, whose rate only rises"),
        (
            [curve("cosine", every=T), curve("step", every=T)],
            "annealing",
            "at least 5 measured losses, as it has parameters, got 2: add runs",
        ),
        ([curve("constant"), curve("cosine")], "convex_end", "runs that decay, got constant: .* logarithm"),
        (
            [curve("cosine"), curve("step")],
            "convex_end",
            "3 runs or more that differ .* add one at half and one at twice",
        ),
        ([curve("cosine")] * 3, "convex_end", "3 runs or more that differ in shape, peak rate or length, got 3"),
    ],
)
def test_runs_that_do_not_identify_a_law_are_refused(runs: list[Curve], law: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fits.fit_law(runs, law)
