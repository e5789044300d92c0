"""Schedules of somebody else's: by a dotted path, and Optax's own functions."""

import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrsched as ls
from lrsched.schedules import language, registry

MINE = f"{__name__}.mine"
OPTAX = f"{__name__}.optax_cosine"


def mine(peak_value: Any, *, total_steps: Any, cut: Any = 0.5, sampling: Any = None) -> ls.Schedule:
    """One of this library's, for another cut."""
    if total_steps < 2:  # needs to know its budget
        raise ValueError(f"total_steps must be at least 2 for mine, got {total_steps}.")
    return ls.step(peak_value, total_steps=total_steps, fractions=(cut,), sampling=sampling)


def optax_cosine(peak_value: Any, *, total_steps: int, alpha: float = 0.0) -> Callable[[Any], Any]:
    return optax.cosine_decay_schedule(peak_value, int(total_steps), alpha)


def held(init_value: Any = 0.5, *, total_steps: int, cycle: Any = 10) -> Any:
    return lambda step: init_value if isinstance(cycle, int) else 0.0


def needs(peak_value: Any, *, total_steps: int, length: Any) -> Any:
    return ls.constant(peak_value, total_steps=total_steps)


def longer(peak_value: Any, *, total_steps: int) -> Any:
    return ls.rex(peak_value, total_steps=2 * total_steps)


def broken(peak_value: Any, *, total_steps: int) -> Any:
    raise RuntimeError("no\nluck")


def none(peak_value: Any, *, total_steps: int) -> Any:
    return None


def vector(peak_value: Any, *, total_steps: int) -> Any:
    return lambda step: jnp.zeros(3)


def without_budget(peak_value: Any) -> Any:
    return peak_value


def rates(function: Callable[[Any], Any], steps: int) -> np.ndarray:
    with jax.numpy_dtype_promotion("standard"):
        return np.asarray(jax.vmap(function)(np.arange(steps)), np.float64)


def test_factory_by_its_path_makes_the_plan() -> None:
    plan = ls.plan(f"{MINE}:cut=0.25", 40, peak_value=0.1)
    np.testing.assert_array_equal(plan.lr.table(), ls.step(0.1, total_steps=40, fractions=(0.25,)).table())
    assert plan.cycle_ends == (40,)
    assert json.loads(plan.words)["lr"] == {"schedule": MINE, "peak_value": 0.1, "cut": 0.25, "sampling": "every"}


@pytest.mark.slow
def test_optax_schedule_of_a_factory_is_a_schedule() -> None:
    plan = ls.plan(f"{OPTAX}:alpha=0.1", ls.Budget(2, 20), peak_value=0.1)
    expected = rates(optax.cosine_decay_schedule(0.1, 40, 0.1), 40)
    np.testing.assert_array_equal(plan.lr.table(), expected)
    np.testing.assert_allclose(plan.lr(np.array([[-1, 0], [40, 41]])), [[0.1, 0.1], [0.01, 0.01]], rtol=1e-6)
    np.testing.assert_allclose(jax.jit(plan.lr)(np.arange(40)), expected, rtol=1e-6)
    assert plan.lr(3).shape == ()
    assert plan.cycle_ends == (40,)
    assert plan.lr.at(80).table()[40] == pytest.approx(0.055, rel=1e-6)


def test_foreign_schedule_is_data() -> None:
    made = ls.plan(MINE, 40, peak_value=0.1).lr
    assert ls.from_json(ls.to_json(made)) == made == pickle.loads(pickle.dumps(made))
    assert ls.plan(ls.to_json(made), 80).lr == made.at(80)
    np.testing.assert_array_equal(ls.plan(MINE, 40, peak_value=0.1).after(10).lr.table(), made.table()[10:])


def test_sampling_is_the_factorys_if_it_takes_one() -> None:
    assert ls.plan(f"{MINE}@10st", 40, peak_value=0.1).lr.table()[20] == pytest.approx(0.01)
    sampled = ls.plan(f"{MINE}:cut=0.6@epoch", ls.Budget(4, 10), peak_value=0.1).lr.table()
    assert sampled.tolist() == ls.step(0.1, total_steps=40, fractions=(0.6,), sampling="10st").table().tolist()
    with pytest.raises(ValueError, match=f"{OPTAX} takes peak_value, alpha, got 'sampling'"):
        ls.plan(f"{OPTAX}@50-75", 40, peak_value=0.1)


def test_factory_is_a_segment_and_a_momentum() -> None:
    words = f"warmup:5%+{MINE}:cut=0.2"
    table = ls.plan(words, 100, peak_value=0.1).lr.table()
    np.testing.assert_array_equal(table[5:], ls.step(0.1, total_steps=95, fractions=(0.2,)).table())
    assert language.label(words) == f"warmup:5%+{MINE}:cut=0.2"
    np.testing.assert_allclose(jax.jit(ls.plan(words, 100, peak_value=0.1).lr)(np.arange(100)), table, rtol=1e-6)
    assert set(ls.plan("rex", 10, peak_value=0.1, momentum=f"{__name__}.held").momentum.table()) == {0.5}
    assert (
        registry.build(language.parse(f"{__name__}.held:cycle=2ep"), total_steps=20, steps_per_epoch=5).table()[0]
        == 0.5
    )


@pytest.mark.parametrize("words", [MINE, f"warmup:5%+{MINE}", {"schedule": MINE, "cut": 0.1}])
def test_foreign_words_are_told_apart(words: language.Words) -> None:
    full = language.parse(words)
    assert language.is_foreign(full)
    assert language.parse(json.dumps(full)) == full == language.parse(language.label(full))
    assert language.is_foreign(language.parse(ls.plan(words, 40, peak_value=0.1).lr))
    assert not language.is_foreign(language.parse("warmup:5%+rex:d=0.5"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "no_such_package.mine",
            "schedule no_such_package.mine must be importable, got ModuleNotFoundError: No module",
        ),
        (f"{__name__}.nothing", "must be importable, got AttributeError: module"),
        (f"{__name__}.MINE", "must be a function that returns a schedule, got"),
        (
            f"{__name__}.without_budget",
            r"must be a function of \(peak_value, \*, total_steps, ...\), got \(peak_value\)",
        ),
        (f"{MINE}:cuts=0.1", f"{MINE} takes peak_value, cut, sampling, got 'cuts'. Perhaps you meant cut?"),
        (f"{__name__}.needs", "must be given length, which has no default"),
        (f"{__name__}.longer", "must return a schedule of total_steps = 40, got 80"),
        (f"{__name__}.broken", "must take its arguments, got RuntimeError: no.$"),
        (f"{__name__}.none", "must return a schedule, step -> rate, got None"),
        (f"{__name__}.vector", "must map a step to a rate under jax.jit, got"),
        (f"{MINE}:cut=2", "fractions must be a fraction of the budget"),
        ("0.9", "schedule must be one of .*, got .0.9."),
        ("rexx", "schedule must be one of .*, got 'rexx'. Perhaps you meant rex[?]"),
    ],
)
def test_wrong_foreign_words_are_refused_in_one_line(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        ls.plan(words, 40, peak_value=0.1)
    assert "\n" not in str(error.value)


def test_part_that_is_rounded_to_no_update_asks_its_factory_for_none() -> None:
    ours, theirs = (ls.plan(f"{name}:1%+cosine", 50, peak_value=0.1).lr for name in ("linear", "lrsched.linear"))
    np.testing.assert_array_equal(theirs.table(), ours.table())


@pytest.mark.parametrize("arguments", ["[1]", "1", "{", ""])
def test_arguments_of_a_factory_must_be_an_object(arguments: str) -> None:
    document = {"kind": "Foreign", "path": "lrsched.rex", "arguments": arguments, "peak_value": 0.1, "total_steps": 10}
    with pytest.raises(ValueError, match="arguments must be a JSON object"):
        ls.from_json(json.dumps(document))


def test_refusal_of_the_factory_is_its_own() -> None:
    with pytest.raises(ValueError, match="total_steps must be at least 2 for mine, got 1"):
        ls.plan(MINE, 1, peak_value=0.1)


@dataclasses.dataclass(frozen=True)
class Falling:
    """A schedule of somebody else's that is an object."""

    peak: float

    def __call__(self, step: Any) -> Any:
        return self.peak / (1.0 + step)


def test_object_that_is_called_becomes_a_plan() -> None:
    np.testing.assert_allclose(ls.plan(Falling(0.1), 4).lr.table(), [0.1, 0.05, 0.1 / 3, 0.025], rtol=1e-6)


def test_rest_of_a_functions_plan_is_a_plan() -> None:
    function = optax.cosine_decay_schedule(0.1, 100)
    for peak in (None, 0.4):
        whole = ls.plan(function, ls.Budget(10, 10), peak_value=peak)
        rest = whole.after(30)
        np.testing.assert_allclose(rest.table()["lr"], whole.table()["lr"][30:], rtol=1e-7)
        assert rest.budget == ls.Budget(7, 10)
        assert rest.digest() == whole.after(30).digest() != whole.after(31).digest()
    cycles = ls.sequence([ls.sgdr(0.1, total_steps=70, first_cycle=10), ls.plan(function, 100).lr])
    assert ls.plan(cycles, 170).cycle_ends == (10, 30, 70, 170)
    joined = ls.sequence([ls.warmup(0.1, total_steps=10), ls.plan(function, 100).lr])
    longer = ls.plan(joined, 220).lr  # the function goes on, and does not scale
    np.testing.assert_allclose(longer.table()[10:], [function(step) for step in range(210)], rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(ls.plan(joined, 110).table()["lr"][10:], ls.plan(function, 100).table()["lr"])


def test_function_of_optax_becomes_a_plan() -> None:
    function = optax.warmup_cosine_decay_schedule(0.0, 0.1, 10, 40)
    plan = ls.plan(function, ls.Budget(2, 20))
    np.testing.assert_array_equal(plan.lr.table(), rates(function, 40))
    assert plan.momentum.table()[0] == 0.9
    assert ls.plan(function, 40, peak_value=0.4).lr.table().max() == pytest.approx(0.4)
    other = ls.plan(optax.warmup_cosine_decay_schedule(0.0, 0.1, 11, 40), 40)
    assert plan.digest() == ls.plan(optax.warmup_cosine_decay_schedule(0.0, 0.1, 10, 40), ls.Budget(2, 20)).digest()
    assert plan.digest() != other.digest()
    with pytest.raises(ValueError, match="a function must be asked for by its dotted path"):
        ls.to_json(plan.lr)
    with pytest.raises(ValueError, match="must map a step to a rate under jax.jit"):
        ls.plan(lambda step: 0.1 if step < 5 else 0.0, 10)
