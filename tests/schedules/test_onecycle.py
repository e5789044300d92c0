"""1cycle: every variant against its source, and the numbers it is made of."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import lrsched
import lrsched as ls
from lrsched.schedules import language, sampling
from lrsched.schedules.families import onecycle as module
from lrsched.schedules.families._phases import Boundary
from lrsched.schedules.progress import Ratio

LONGEST = 2**31 - 1
SILENT = ("geron", "keras_article", "optax_linear", "optax_cosine")  # their sources leave momentum alone


def low_end(share: float, low: float) -> float:
    """A cosine's last steps, `share` of its phase before the end at `low` (from 1)."""
    return low + (1 - low) * math.sin(math.pi * share / 2) ** 2


# T = 1000, peak 1, as each source's own code computes it in plain Python: 10 digits, or the formula where the value is
# small. Smith's half cycle is 450 steps here. nachiket begins again at 1000 and torch raises there; here both are held.
GOLDEN = {
    "smith": {0: 0.1, 100: 0.3, 150: 0.4, 225: 0.55, 250: 0.6, 300: 0.7, 400: 0.9, 450: 1, 500: 0.8888888889, 675: 0.5,
              800: 0.2222222222, 850: 0.1111111111, 900: 1e-4, 950: 1e-4, 999: 1e-4, 1000: 1e-4},
    "geron": {0: 0.1, 100: 0.3004454343, 225: 0.5510022272, 250: 0.6011135857, 300: 0.7013363029, 400: 0.9017817372,
              450: 0.9979955457, 500: 0.8977728285, 675: 0.5469933185, 800: 0.2964365256, 850: 0.1962138085,
              900: 0.0980411765, 950: 0.0490705882, 999: 0.0010794118, 1000: 1e-4},
    "nachiket": {0: 0.1, 100: 0.3, 150: 0.4, 225: 0.55, 250: 0.6, 300: 0.7, 400: 0.9, 450: 1, 500: 0.9, 675: 0.55,
                 800: 0.3, 850: 0.2, 900: 0.1, 950: 0.055, 999: 0.0109, 1000: 0.01},
    "fastai_legacy": {0: 0.1, 100: 0.3, 150: 0.4, 225: 0.55, 250: 0.6, 300: 0.7, 400: 0.9, 450: 1, 500: 0.9, 675: 0.55,
                      800: 0.3, 850: 0.2, 900: 0.1, 950: 0.0505, 999: 0.00199, 1000: 0.001},
    "fastai": {0: 0.04, 100: 0.3716718427, 225: 0.9765071278, 250: 1, 300: 0.9890739096, 400: 0.9045094521,
               450: 0.8345669575, 500: 0.7500025, 675: 0.3960501941, 800: 0.1654430425, 850: 0.0955005479,
               900: 0.0432368389, 950: 0.0109360904, 999: low_end(1 / 750, 1e-5), 1000: 1e-5},
    "torch": {0: 0.04, 149: 0.5174783319, 150: 0.5225216681, 299: 1, 300: 0.9999949645, 500: 0.8099881015,
              649: 0.500002, 650: 0.4977580218, 998: low_end(1 / 700, 4e-6), 999: 4e-6, 1000: 4e-6},
    "torch_three_phase": {0: 0.04, 150: 0.5225216681, 299: 1, 300: 0.999973505, 598: 0.04, 599: 0.0399993863,
                          800: 0.019766997, 999: 4e-6, 1000: 4e-6},
    "keras_article": {0: 0.04, 150: 0.52, 300: 1, 301: 0.9985714343, 650: 0.500002, 999: 0.0014325657, 1000: 4e-6},
    "optax_cosine": {0: 0.04, 150: 0.52, 300: 1, 650: 0.500002, 999: low_end(1 / 700, 4e-6), 1000: 4e-6},
    "optax_linear": {0: 0.04, 150: 0.52, 300: 1, 575: 0.52, 850: 0.04, 925: 0.020002, 999: 0.00027064, 1000: 4e-6},
    "rex_paper": {0: 0.1, 250: 0.55, 500: 1, 750: 0.55, 990: 0.118, 1000: 0.1},
}  # fmt: skip
# Half cycles of 0.95 to 0.85 from the same codes; Smith's goes on with half the way.
MOMENTA = {
    "smith": {0: 0.95, 100: 0.9277777778, 225: 0.9, 300: 0.8833333333, 450: 0.85, 500: 0.8611111111, 800: 0.9277777778,
              900: 0.95, 950: 0.9444444444, 999: 0.939, 1000: 0.9388888889},
    "nachiket": {0: 0.95, 225: 0.9, 450: 0.85, 675: 0.9, 900: 0.95, 950: 0.95, 1000: 0.95},
    "fastai_legacy": {0: 0.95, 225: 0.9, 450: 0.85, 675: 0.9, 900: 0.95, 950: 0.95, 1000: 0.95},
    "fastai": {0: 0.95, 100: 0.9154508497, 225: 0.8524471742, 250: 0.85, 300: 0.85109262, 400: 0.8595491503,
               500: 0.875, 675: 0.9103955845, 950: 0.94890738, 999: 0.9499995614, 1000: 0.95},
    "torch": {0: 0.95, 299: 0.85, 649: 0.9, 999: 0.95, 1000: 0.95},
    "torch_three_phase": {0: 0.95, 299: 0.85, 598: 0.95, 800: 0.95, 999: 0.95},
    "rex_paper": {0: 0.95, 250: 0.9, 500: 0.85, 750: 0.9, 990: 0.948, 1000: 0.95},
}  # fmt: skip
HALF = {"smith": 450}


@pytest.mark.slow
@pytest.mark.parametrize("variant", module.VARIANTS)
def test_rate_equals_the_code_of_its_source(variant: str) -> None:
    cycle = lrsched.onecycle(1.0, total_steps=1000, variant=variant, peak_position=HALF.get(variant))
    steps, values = list(GOLDEN[variant]), list(GOLDEN[variant].values())
    np.testing.assert_allclose(cycle.table(steps), values, rtol=5e-8, atol=5e-11)  # the digits above
    np.testing.assert_allclose(cycle(np.array(steps)), values, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("variant", MOMENTA)
def test_momentum_equals_the_code_of_its_source(variant: str) -> None:
    momentum = lrsched.onecycle_momentum(total_steps=1000, variant=variant, peak_position=HALF.get(variant))
    steps, values = list(MOMENTA[variant]), list(MOMENTA[variant].values())
    np.testing.assert_allclose(momentum.table(steps), values, rtol=1e-9)
    np.testing.assert_allclose(momentum(np.array(steps)), values, rtol=1e-6)


# Lines of Smith's logs (lnsmith54/hyperParam1, ResNet-56), which print six digits.
LOGGED = {
    (9277, None, 0.8, 0.08): {200: 0.115973, 4000: 0.79946, 4200: 0.76063, 6000: 0.400899, 8000: 0.00119905, 8200: 8e-5,
                              9200: 8e-5},
    (7917, 3417, 1.2, 0.1): {400: 0.228768, 3600: 1.13573, 6800: 0.0119403, 7000: 0.0001},
}  # fmt: skip


@pytest.mark.parametrize(("setting", "lines"), LOGGED.items())
def test_smith_equals_his_logs(setting: tuple[int, int | None, float, float], lines: dict[int, float]) -> None:
    total, half, peak, base = setting  # of 9277 iterations the default, 41 of 95 epochs, is his 4003
    cycle = lrsched.onecycle(peak, total_steps=total, peak_position=half, initial_fraction=base / peak)
    np.testing.assert_allclose(cycle.table(list(lines)), list(lines.values()), rtol=5e-6, atol=1e-7)  # in float32


def test_smith_momentum_equals_his_logs() -> None:
    momentum = lrsched.onecycle_momentum(total_steps=7917, peak_position=3417)
    logged = {400: 0.938294, 3600: 0.855356, 6900: 0.949034, 7000: 0.947571}
    np.testing.assert_allclose(momentum.table(list(logged)), list(logged.values()), rtol=2e-6)


def test_smith_momentum_halves_its_way_in_every_further_cycle() -> None:
    momentum = lrsched.onecycle_momentum(total_steps=1000, peak_position=100)
    np.testing.assert_allclose(momentum.table([100, 200, 300, 500, 700]), [0.85, 0.95, 0.9, 0.925, 0.9375], rtol=1e-12)


@pytest.mark.parametrize("variant", ["torch", "torch_three_phase"])
def test_torch_first_values_are_exact(variant: str) -> None:
    assert lrsched.onecycle(1.0, total_steps=100, variant=variant)(0) == np.float32(1 / 25)
    assert lrsched.onecycle_momentum(total_steps=100, variant=variant)(0) == np.float32(0.95)


# Phases that begin before update 0 in budgets of few updates: torch's formula, by hand. With T = 3 its peak is at
# 0.3 * 3 - 1 = -0.1, its end at 2, so update 0 is 0.1 / 2.1 of the way down; in three phases the tail begins at -0.2.
def test_torch_in_three_updates_begins_on_its_way_down() -> None:
    down = [low_end(1 - done, 4e-6) for done in (0.1 / 2.1, 1.1 / 2.1, 1)]
    np.testing.assert_allclose(lrsched.onecycle(1.0, total_steps=3, variant="torch").table(), down, rtol=1e-12)
    tail = [4e-6 + (0.04 - 4e-6) * math.cos(math.pi * done / 2) ** 2 for done in (0.2 / 2.2, 1.2 / 2.2, 1)]
    three = lrsched.onecycle(1.0, total_steps=3, variant="torch_three_phase")
    np.testing.assert_allclose(three.table(), tail, rtol=1e-9)


@pytest.mark.parametrize(("total_steps", "values"), [(1, [1e-4]), (2, [1e-4, 1e-4]), (3, [0.1, 1, 1e-4])])
def test_smith_in_few_updates_leaves_out_what_has_no_room(total_steps: int, values: list[float]) -> None:
    np.testing.assert_allclose(lrsched.onecycle(1.0, total_steps=total_steps).table(), values)  # 41 T // 95 = 0, 0, 1


@pytest.mark.slow
@given(st.integers(1, LONGEST))
@example(LONGEST)
@example(LONGEST - 7)
def test_boundaries_are_the_integers_of_the_sources(total_steps: int) -> None:
    expected = {
        "smith": total_steps * 41 // 95,
        "geron": (total_steps - (total_steps // 10 + 1)) // 2,
        "nachiket": total_steps * 9 // 20,
        "optax_linear": total_steps * 3 // 10,
    }
    for variant, peak in expected.items():
        for total in (np.int64(total_steps), jnp.int32(total_steps)):
            found = module.VARIANTS[variant].peak.of(total)
            assert (int(found.whole), float(found.part)) == (peak, 0.0)


@given(st.integers(1, LONGEST), st.sampled_from([Ratio(3, 10), Ratio(1, 3), Ratio(40_000, 65_521)]), st.integers(1, 2))
def test_exact_boundary_keeps_the_part_of_a_step(total_steps: int, part: Ratio, times: int) -> None:
    scaled = times * (total_steps * part.numerator - part.denominator)  # of part.denominator to the step
    for total in (np.int64(total_steps), jnp.int32(total_steps)):
        found = Boundary(part, offset=-1, times=times).of(total)
        assert int(found.whole) == scaled // part.denominator
        assert float(found.part) == pytest.approx(scaled % part.denominator / part.denominator, rel=1e-6)


def test_peak_of_torch_is_an_update_before_that_of_optax() -> None:
    peaks = [
        int(np.argmax(lrsched.onecycle(1.0, total_steps=100, variant=v).table())) for v in ("torch", "optax_cosine")
    ]
    assert peaks == [29, 30]


@pytest.mark.slow
@pytest.mark.parametrize("variant", module.VARIANTS)
@pytest.mark.parametrize("total_steps", [1, 2, 3, 10, 1173, 100_000])
def test_momentum_in_float32_meets_float64(variant: str, total_steps: int) -> None:
    momentum, steps = lrsched.onecycle_momentum(total_steps=total_steps, variant=variant), np.arange(total_steps + 2)
    table = momentum.table(steps)
    np.testing.assert_allclose(momentum(steps), table, rtol=1e-6)
    assert 0.85 - 1e-12 <= table.min() <= table.max() <= 0.95 + 1e-12


@pytest.mark.parametrize("variant", SILENT)
def test_source_without_momentum_has_it_constant(variant: str) -> None:
    for value, constant in ((None, 0.9), (0.8, 0.8)):
        table = lrsched.onecycle_momentum(value, total_steps=100, variant=variant).table()
        np.testing.assert_allclose(table, constant, rtol=1e-12)
    cycled = lrsched.onecycle_momentum(0.95, total_steps=100, variant=variant, min_value=0.85).table()
    rate = lrsched.onecycle(1.0, total_steps=100, variant=variant).table()
    assert np.argmin(cycled) == np.argmax(rate)


@pytest.mark.parametrize("variant", module.VARIANTS)
def test_position_in_steps_is_that_very_update(variant: str) -> None:
    for where in (20, "20st"):
        for total in (100, 1000):
            rate = lrsched.onecycle(1.0, total_steps=total, variant=variant, peak_position=where)
            momentum = lrsched.onecycle_momentum(
                0.9, total_steps=total, variant=variant, min_value=0.8, peak_position=20
            )
            assert rate.table()[20] == pytest.approx(1, rel=1e-12)
            assert momentum.table()[20] == pytest.approx(0.8, rel=1e-12)


@pytest.mark.parametrize("variant", module.VARIANTS)
def test_position_as_a_fraction_scales_with_the_budget(variant: str) -> None:
    tables = [lrsched.onecycle(1.0, total_steps=t, variant=variant, peak_position="20%").table() for t in (100, 1000)]
    early = {"geron": 1, "torch": 1, "torch_three_phase": 1}.get(variant, 0)
    assert [int(np.argmax(table)) for table in tables] == [20 - early, 200 - early]


def test_tail_position_moves_the_tail_of_optax_linear() -> None:
    cycle = lrsched.onecycle(1.0, total_steps=100, variant="optax_linear", tail_position=0.5)
    np.testing.assert_allclose(cycle.table([30, 40, 50, 75]), [1, 0.52, 0.04, 0.020002])


def test_final_value_follows_the_initial_one_as_in_the_source() -> None:
    finals = {"smith": 2e-4, "nachiket": 0.04, "torch": 2e-5, "fastai": 1e-5, "rex_paper": 0.2}
    for variant, final in finals.items():
        cycle = lrsched.onecycle(1.0, total_steps=100, variant=variant, initial_fraction=0.2)
        np.testing.assert_allclose(cycle.table([0, 100]), [0.2, final])
        ended = lrsched.onecycle(1.0, total_steps=100, variant=variant, final_fraction=0.05)
        np.testing.assert_allclose(ended.table([100]), [0.05])


def test_annealing_changes_the_way_and_not_the_ends() -> None:
    straight = lrsched.onecycle(1.0, total_steps=1001, variant="torch", annealing="linear", peak_position=301)
    np.testing.assert_allclose(straight.table([0, 301, 1000]), [0.04, 1, 4e-6])
    np.testing.assert_allclose(straight.table([150]), [0.04 + 0.96 * 150 / 301])
    round_ = lrsched.onecycle_momentum(total_steps=1000, annealing="cosine", peak_position=400)
    np.testing.assert_allclose(round_.table([100]), [0.95 - 0.1 * math.sin(math.pi / 8) ** 2])


def test_torch_linear_equals_its_formula() -> None:
    # cut into 0.3 * 1000 - 1 = 299 and 999: section by section, 10 digits
    cycle = lrsched.onecycle(1.0, total_steps=1000, variant="torch", annealing="linear")
    values = [0.04, 0.5216053512, 1, 0.9985714343, 0.7128582914, 0.4985734343, 4e-6]
    np.testing.assert_allclose(cycle.table([0, 150, 299, 300, 500, 650, 999]), values, rtol=1e-9)


@pytest.mark.parametrize("rate", sampling.PAPER)
def test_sampled_cycle_holds_the_value_at_the_sample_point(rate: str) -> None:
    cycle = lrsched.onecycle(1.0, total_steps=90, variant="rex_paper", sampling=sampling.PAPER[rate])
    shape = lrsched.decay(0.9, profile=lrsched.profiles.triangle(), sampling=sampling.PAPER[rate], total_steps=90)
    np.testing.assert_allclose(cycle.table(), 0.1 + shape.table(), rtol=1e-12)


@pytest.mark.slow
def test_positions_may_be_traced() -> None:
    def last(position: jax.Array, initial: jax.Array) -> jax.Array:
        cycle = lrsched.onecycle(1.0, total_steps=100, peak_position=position, initial_fraction=initial)
        return cycle(np.arange(100))

    got = jax.vmap(last)(jnp.float32([0.25, 0.375]), jnp.float32([0.1, 0.2]))
    want = [
        lrsched.onecycle(1.0, total_steps=100, peak_position=position, initial_fraction=initial)(np.arange(100))
        for position, initial in ((0.25, 0.1), (0.375, 0.2))
    ]
    np.testing.assert_allclose(got, np.stack(want), rtol=1e-6)


def test_plan_moves_the_momentum_with_the_rate() -> None:
    words = "onecycle:variant=torch,peak_position=0.5,annealing=linear"
    table = lrsched.plan(words, lrsched.Budget(1, 100), peak_value=1.0).table()
    assert np.argmin(table["momentum"]) == np.argmax(table["lr"]) == 49
    np.testing.assert_allclose(table["momentum"][[0, 24, 49]], [0.95, 0.95 - 0.1 * 24 / 49, 0.85])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"variant": "mine"}, "variant must be one of smith, .* rex_paper, got 'mine'"),
        ({"variant": ["x"]}, r"variant must be one of smith, .* got \['x'\]"),
        (
            {"variant": "optax_linear", "peak_position": 50, "tail_position": 20},
            "peak_position must leave room .* got phases ending at 50, 20",
        ),
        ({"annealing": "square"}, "annealing must be linear or cosine, got 'square'"),
        ({"peak_position": 0.6}, "peak_position must leave room .* got phases ending at 0.6, 1.2, 1"),
        ({"variant": "optax_linear", "tail_position": 0.2}, "got phases ending at 0.3, 0.2, 1"),
        ({"tail_position": 0.9}, "tail_position must be left out for variant smith, got 0.9"),
        ({"variant": "torch", "tail_position": 0.9}, "tail_position must be left out for variant torch"),
        ({"peak_position": "rest"}, "peak_position must be steps or a fraction, got 'rest'"),
        ({"peak_position": 1.5}, "must be a fraction of the budget in"),
        ({"initial_fraction": -0.1}, "initial_fraction must be at least 0, got -0.1"),
        ({"final_fraction": -0.1}, "final_fraction must be at least 0, got -0.1"),
        ({"total_steps": 0}, "total_steps must be at least 1"),
        ({"peak_value": -1.0}, "peak_value must be at least 0, got -1"),
    ],
)
def test_wrong_arguments_are_refused(words: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrsched.onecycle(**{"peak_value": 1.0, "total_steps": 100, **words})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"max_value": 1.0}, "max_value must be at least 0 and below 1, got 1"),
        ({"min_value": -0.1}, "min_value must be at least 0 and below 1, got -0.1"),
        ({"max_value": 0.8}, "min_value must be at most max_value = 0.8, got 0.85"),
    ],
)
def test_wrong_momentum_is_refused(words: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrsched.onecycle_momentum(total_steps=100, **words)


ONECYCLE = ls.onecycle(0.5, total_steps=300)


@pytest.mark.parametrize(
    "words",
    [
        ONECYCLE,
        ls.to_json(ONECYCLE),
        ls.product(ONECYCLE, 0.5),
        ls.clip(ONECYCLE, maximum=0.3),
        ls.truncated(ONECYCLE, 200),
        ls.after(ONECYCLE, 10),
        ls.sequence([ls.warmup(0.1, total_steps=10), ONECYCLE]),
        ls.from_torch("OneCycleLR", max_lr=0.1, total_steps=100),
        "warmup:5%,peak_value=0.1+onecycle:peak_value=0.1",
    ],
)
def test_onecycle_that_does_not_say_its_momentum_needs_one(words: language.Words) -> None:
    with pytest.raises(ValueError, match="^momentum must be given with a 1cycle"):
        ls.plan(words, 310)
    assert ls.plan(words, 310, momentum=0.8).momentum.table()[0] == 0.8


def test_onecycle_already_made_takes_its_momentum_beside_it() -> None:
    by_words = ls.plan("onecycle", 300, peak_value=0.5)
    made = ls.plan(ONECYCLE, 300, momentum=ls.onecycle_momentum(total_steps=300))
    np.testing.assert_array_equal(made.momentum.table(), by_words.momentum.table())


@pytest.mark.parametrize("variant", ["geron", "keras_article", "optax_linear", "optax_cosine"])
@pytest.mark.parametrize("more", ["", ",annealing=cosine", "@50-75"])
def test_momentum_that_a_source_leaves_alone_is_exactly_constant(variant: str, more: str) -> None:
    plan = ls.plan(f"onecycle:variant={variant}{more}", 300, peak_value=0.5)
    assert set(plan.momentum.table()) == {0.9}
    assert set(np.asarray(plan.momentum(np.arange(300))).tolist()) == {float(np.float32(0.9))}


def test_momentum_between_two_equal_values_is_exactly_constant() -> None:
    for variant in ("smith", "torch"):
        made = ls.onecycle_momentum(0.95, min_value=0.95, variant=variant, total_steps=300)
        assert set(made.table()) == {0.95}
