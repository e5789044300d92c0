"""What every schedule that is asked for by name must do. Whoever registers one is tested here."""

import inspect
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrsched
from lrsched.schedules import language, profiles, registry, sampling
from lrsched.schedules.families import onecycle, phased

PEAK = 0.3
LONGEST = 2**31 - 1

#: Some words for every registered name, and every sampling rate of the paper.
EXTRA = (
    "rex:d=0.9",
    "onecycle@inclusive",
    "step:fractions=0.3/0.6/0.8,factor=0.2",
    "polynomial:power=0.9",
    "polynomial:power=0.1,end_value=10%",
    *(f"onecycle:variant={name}" for name in onecycle.VARIANTS if name != "smith"),
    "onecycle:peak_position=20st,annealing=cosine",
    "cosine:end_value=0.01",
    "delayed:profile=rex,fraction=0.7",
    "delayed:profile=one_minus_sqrt,fraction=0.3@33-66",
    "exponential_decay:decay_rate=0.99,transition_steps=7,staircase=1",
    "fractal:steps=16,order=ascending",
    *(f"growth:profile={name},mirror={mirror}" for name in profiles.PROFILES for mirror in ("time", "value")),
    "hyperbolic:upper_bound=250%,end_value=10%",
    "infinite:warmup=1%,anneal=20%",
    "inverse_time:transition_steps=0.1,staircase=1",
    "k_decay:k=0.3,profile=mirror_cosine,end_value=1%@inclusive",
    "knee:warmup=0.1,explore=0.3",
    "multi_step:boundaries=3/70,factor=0.1/0.5",
    "noam:warmup=30",
    "piecewise_interpolate:interpolation=cosine",
    "rsqrt:warmup=5st,timescale=0.2,cooldown=0.3",
    *(f"wsd:shape={shape}" for shape in phased.COOLDOWNS),
    "wsd_s:cycle_lengths=0.3/0.7,shape=cosine,end_value=0",
    "clr:mode=triangular2",
    "clr:mode=exp_range,gamma=0.999",
    "clr:mode=exp_range_text,half_cycle=20",
    "sgdr:first_cycle=0.1,cycle_mult=1.5,warmup=0.1,restart_decay=0.9,end_value=0.001",
    "sgdr:first_cycle=0.5,cycle_mult=0.5",
    "sgdr:first_cycle=3,cycle_mult=2,warmup=2",
    "sgdr:cycle_lengths=0.2/0.3/0.5",
    "snapshot_cosine:cycles=7,form=zero",
    "fge:cycle=4",
    "swa:start=0.3,end_fraction=0",
    "warmup:init_value=0.001,shape=exponential",
    "warmup:5%+cosine",
    "warmup:10%,init_value=0.001,shape=exponential+constant+one_minus_sqrt:20%,end_value=0.01@10-10",
    "rex:50%+sgdr:first_cycle=0.2+onecycle:0.1",
)
WORDS = [*registry.SCHEDULES, *EXTRA, *(f"{name}@{rate}" for name in ("rex", "onecycle") for rate in sampling.PAPER)]
WORDS += [
    f"{name}@7st" for name, made in registry.SCHEDULES.items() if "sampling" in inspect.signature(made).parameters
]

#: One of each kind of formula; the other words are the slow part.
QUICK = {
    "clr:mode=exp_range,gamma=0.999",
    "exponential_decay:decay_rate=0.99,transition_steps=7,staircase=1",
    "multi_step:boundaries=3/70,factor=0.1/0.5",
    "onecycle",
    "rex@50-75",
    "rex@inclusive",
    "rsqrt:warmup=5st,timescale=0.2,cooldown=0.3",
    "sgdr:first_cycle=0.1,cycle_mult=1.5,warmup=0.1,restart_decay=0.9,end_value=0.001",
    "warmup:5%+cosine",
}
FEW = [n if n in ("rex", "sgdr") else pytest.param(n, marks=pytest.mark.slow) for n in WORDS]
CASES = [words if words in QUICK else pytest.param(words, marks=pytest.mark.slow) for words in WORDS]


def schedule(words: str, total_steps: int, peak: float = PEAK) -> lrsched.Schedule:
    return registry.build(language.parse(words), peak, total_steps=total_steps)


def close(got: object, want: np.ndarray) -> None:
    """float32 within 2e-6 relative of float64, plus 1e-9 of the peak."""
    np.testing.assert_allclose(np.asarray(got, np.float64), want, rtol=2e-6, atol=1e-9 * PEAK)


def some_steps(total_steps: int) -> np.ndarray:
    near = np.arange(-60, 61)
    places = [near + int(part * total_steps) for part in (0, 0.1, 0.25, 1 / 3, 0.5, 2 / 3, 0.75, 0.95, 1)]
    steps = np.concatenate([*places, np.linspace(0, total_steps, 5000).astype(np.int64)])
    return np.unique(steps[(steps >= 0) & (steps <= total_steps)])


@pytest.mark.parametrize("words", CASES)
@pytest.mark.parametrize(
    "total_steps", [1, 3, 1173, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 10, 100_000))]
)
def test_float32_meets_float64_at_every_step(words: str, total_steps: int) -> None:
    s = schedule(words, total_steps)
    steps = np.arange(total_steps + 1)
    close(s(steps), s.table(steps))


@pytest.mark.parametrize("words", CASES)
def test_float32_meets_float64_in_the_longest_budget(words: str) -> None:
    s, steps = schedule(words, LONGEST), some_steps(LONGEST)
    close(s(steps.astype(np.int32)), s.table(steps))


@pytest.mark.parametrize("words", CASES)
def test_value_stays_within_peak_and_zero(words: str) -> None:
    table = schedule(words, 100).table(np.arange(101))
    assert table.min() >= 0
    assert table.max() <= PEAK * (1 + 1e-12)


@pytest.mark.parametrize("words", CASES)
def test_value_is_constant_outside_the_budget(words: str) -> None:
    s = schedule(words, 10)
    # arrays on both sides: one number may be rounded otherwise than a vector of them
    np.testing.assert_array_equal(s(np.array([10, 11, LONGEST])), s(np.array([10, 10, 10])))
    np.testing.assert_array_equal(s(np.array([-1, -5])), s(np.array([0, 0])))


@pytest.mark.parametrize("words", CASES)
def test_jit_with_traced_numbers_equals_eager_to_a_rounding(words: str) -> None:
    s, steps = schedule(words, 1173), np.arange(1180)
    traced = jax.jit(lambda schedule, steps: schedule(steps))(s, steps)
    np.testing.assert_allclose(traced, s(steps), rtol=1e-6, atol=0)


@pytest.mark.parametrize("words", FEW)
def test_vmap_over_budget_and_peak_equals_a_loop(words: str) -> None:
    budgets, peaks, steps = np.array([1, 3, 50, 1000], np.int32), np.float32([0.1, 1.0, 0.3, 2.0]), np.arange(60)
    together = jax.vmap(lambda peak, total: schedule(words, total, peak)(steps))(peaks, budgets)
    apart = [schedule(words, int(total), float(peak))(steps) for peak, total in zip(peaks, budgets, strict=True)]
    np.testing.assert_allclose(together, np.stack(apart), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("words", CASES)
def test_gradient_with_respect_to_every_number_is_finite(words: str) -> None:
    s = schedule(words, 100)
    gradients = jax.grad(lambda schedule: schedule(np.arange(101)).sum(), allow_int=True)(s)
    floats = [leaf for leaf in jax.tree.leaves(gradients) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert floats
    assert all(np.isfinite(leaf).all() for leaf in floats)


@pytest.mark.parametrize("words", CASES)
def test_step_of_any_shape_gives_float32_of_that_shape(words: str) -> None:
    s = schedule(words, 10)
    for steps in (3, np.int32(3), np.arange(4), np.arange(6, dtype=np.int16).reshape(2, 3), jnp.arange(0)):
        assert s(steps).shape == np.shape(steps)
        assert s(steps).dtype == jnp.float32


@pytest.mark.parametrize("words", CASES)
def test_value_is_data(words: str) -> None:
    s = schedule(words, 100)
    assert lrsched.from_json(lrsched.to_json(s)) == s
    assert pickle.loads(pickle.dumps(s)) == s
    assert hash(s) == hash(schedule(words, 100))
    assert s != schedule(words, 101)
    leaves, structure = jax.tree.flatten(s)
    assert jax.tree.unflatten(structure, leaves) == s


@pytest.mark.parametrize("words", CASES)
def test_words_survive_json_and_their_label(words: str) -> None:
    full = language.parse(words)
    assert language.parse(json.dumps(full)) == full
    assert language.parse(language.label(words)) == full


@pytest.mark.parametrize("words", CASES)
def test_at_another_budget_is_the_schedule_of_that_budget(words: str) -> None:
    assert schedule(words, 100).at(1000) == schedule(words, 1000)


@pytest.mark.parametrize("words", CASES)
@pytest.mark.parametrize("entered", [37, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 99))])
def test_after_a_step_is_what_is_left(words: str, entered: int) -> None:
    whole = schedule(words, 100)
    left = lrsched.after(whole, entered)
    np.testing.assert_array_equal(left.table(), whole.table()[entered:])
    np.testing.assert_array_equal(left.table([-1, 100 - entered, 1000]), whole.table([entered, 100, 100]))
    np.testing.assert_allclose(left(np.arange(100 - entered)), left.table(), rtol=2e-6, atol=1e-9 * PEAK)
    assert left.cycle_ends == tuple(end - entered for end in whole.cycle_ends if end > entered)
    assert lrsched.from_json(lrsched.to_json(left)) == left


@pytest.mark.parametrize("words", CASES)
def test_last_cycle_ends_with_the_budget(words: str) -> None:
    ends = schedule(words, 100).cycle_ends
    rises_only = words.startswith(("growth", "warmup")) and "+" not in words
    assert ends == () if rises_only else ends[-1] == 100


@pytest.mark.parametrize("words", FEW[: len(registry.SCHEDULES)])
def test_optax_optimisers_take_it(words: str) -> None:
    s, params = schedule(words, 10), {"w": jnp.ones(3)}
    with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
        for optimizer in (
            optax.sgd(s, momentum=0.9),
            optax.adamw(s),
            optax.inject_hyperparams(optax.sgd)(learning_rate=s, momentum=0.9),
        ):
            state = optimizer.init(params)
            update, state = jax.jit(optimizer.update)(params, state, params)
            assert jnp.isfinite(update["w"]).all()
        update, _ = optax.sgd(s).update(params, optax.sgd(s).init(params))
    np.testing.assert_allclose(update["w"], -s.table([0]).repeat(3), rtol=1e-6)


@pytest.mark.parametrize("words", ["constant", "cosine", "exponential", "linear", "polynomial", "rex", "step"])
@pytest.mark.parametrize("rate", sampling.PAPER)
def test_decay_never_rises(words: str, rate: str) -> None:
    s = schedule(f"{words}@{rate}", 1173)
    assert (np.diff(np.asarray(s(np.arange(1174)))) <= 0).all()
