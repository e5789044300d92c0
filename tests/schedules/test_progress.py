import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import lrsched
from lrsched.schedules.progress import Progress, Ratio, fraction_of, multiply_divide, ratio
from lrsched.schedules.values import VALUES, raw

LONGEST = 2**31 - 1


def test_structures_of_two_classes_differ() -> None:
    # of jax.tree_util.register_dataclass they do not (jax 0.10.2), and jit then mixes up their programs
    structures = [jax.tree.structure(raw(cls, dict.fromkeys(cls.__dataclass_fields__, 0))) for cls in VALUES.values()]
    assert all(a != b for a, b in itertools.combinations(structures, 2))


totals = st.integers(1, LONGEST)


@given(st.data(), totals, st.integers(0, 2**16))
@example(None, LONGEST, 2**16)
def test_multiply_divide_is_exact_beyond_32_bits(data: st.DataObject | None, c: int, b: int) -> None:
    a = c if data is None else data.draw(st.integers(0, c))
    got = multiply_divide(jnp.int32(a), jnp.int32(b), jnp.int32(c))
    assert int(got) == a * b // c


@given(totals, st.integers(1, 2**16), st.data())
def test_fraction_of_is_exact_beyond_32_bits(total: int, denominator: int, data: st.DataObject) -> None:
    numerator = data.draw(st.integers(0, denominator))
    assert int(fraction_of(jnp.int32(total), Ratio(numerator, denominator))) == total * numerator // denominator


@given(st.integers(1, 2**16), st.data(), totals)
def test_boundary_is_the_first_step_at_or_after_the_fraction(denominator: int, data: st.DataObject, total: int) -> None:
    numerator = data.draw(st.integers(0, denominator))
    boundary = -(-numerator * total // denominator)  # ceil
    for step in {max(boundary - 1, 0), boundary, min(boundary + 1, total)}:
        reached = Progress(jnp.int32(step), jnp.int32(total)).reached(Ratio(numerator, denominator))
        assert bool(reached) == (step >= boundary)


@pytest.mark.parametrize(
    ("value", "fraction"), [(0.1, (1, 10)), (1 / 3, (1, 3)), (0.3, (3, 10)), (0, (0, 1)), (1, (1, 1))]
)
def test_ratio_of_a_float_is_the_fraction_that_was_meant(value: float, fraction: tuple[int, int]) -> None:
    assert ratio("part", value) == Ratio(*fraction)


@pytest.mark.parametrize("value", [1e-5, 7e-6, 1e-300])
def test_fraction_that_nothing_is_near_to_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="warmup must be 0 or at least 1/65536 of the budget, got .*: use steps"):
        lrsched.wsd(1.0, total_steps=10_000_000, warmup=value)
    assert ratio("part", 2e-5) == Ratio(1, 50_000)


def test_ratio_of_a_traced_float() -> None:
    read = jax.jit(lambda q: ratio("part", q))
    for value in (1 / 3, 1 / 9, 1 / 64, 0.0, 1.0, *(i / 100 for i in range(100))):
        part = read(jnp.float32(value))
        assert Fraction(int(part.numerator), int(part.denominator)) == Fraction(value).limit_denominator(100)
    between = read(jnp.float32(1 / 11))  # 5236.4 of 57,600
    assert (int(between.numerator), int(between.denominator)) == (5236, 57600)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.2, 0.3, 0.7])
def test_traced_fractions_are_where_concrete_ones_are(fraction: float) -> None:
    steps = np.arange(101)
    traced = jax.jit(lambda f: lrsched.wsd(0.1, total_steps=100, warmup=f)(steps))(fraction)
    np.testing.assert_allclose(traced, lrsched.wsd(0.1, total_steps=100, warmup=fraction)(steps), rtol=1e-6)


def test_large_denominators_do_not_wrap_in_a_concrete_budget() -> None:
    schedule = lrsched.delayed(0.1, total_steps=1000, fraction=0.66667)  # 43,691 / 65,536
    np.testing.assert_allclose(schedule(np.arange(1000)), schedule.table(), rtol=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "x", True])
def test_ratio_refuses_what_is_no_fraction(value: object) -> None:
    with pytest.raises(ValueError, match="part must be"):
        ratio("part", value)
