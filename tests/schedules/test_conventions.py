"""What users trip over in other stacks, each held here by a test of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrsched as ls
from lrsched.schedules import language, registry


def made(words: str, total_steps: int, **sizes: int) -> ls.Schedule:
    return registry.build(language.parse(words), 1.0, total_steps=total_steps, **sizes)


def test_plateau_compiles_once_however_often_it_reduces() -> None:
    schedule, traced = ls.plateau(0.1, patience=0), []

    @jax.jit
    def rate_after(state, metric):
        traced.append(metric)
        state = schedule.update(state, metric)
        return state, schedule.rate(state)

    state, rates = schedule.init(), []
    for _ in range(4):
        state, rate = rate_after(state, jnp.float32(1.0))
        rates.append(float(rate))
    assert len(set(rates)) == 4
    assert len(traced) == 1


def test_warmup_and_cosine_have_their_closed_form_at_every_update() -> None:
    k, warm, total = np.arange(1000), 100, 1000
    closed = np.where(k < warm, k / warm, np.cos(np.pi / 2 * (k - warm) / (total - warm)) ** 2)
    np.testing.assert_allclose(made("warmup:100st+cosine", total).table(), closed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("total_steps", [1, 2, 3])
def test_wsd_is_legal_in_the_shortest_budgets(total_steps: int) -> None:
    for words in ("wsd", "wsd:warmup=0st,cooldown=1st", "warmup:5%+cosine", "knee", "infinite"):
        table = made(words, total_steps).table()
        assert len(table) == total_steps
        assert table.max() <= 1.0


@pytest.mark.parametrize("words", ["wsd:warmup=60st,cooldown=50st", "power:warmup=60st,cooldown=50st"])
def test_overlap_of_warmup_and_decay_is_refused_with_both_lengths(words: str) -> None:
    with pytest.raises(ValueError, match=r"fit into total_steps = 100, got 110 steps: warmup 60 \+ cooldown 50\.$"):
        made(words, 100)
    with pytest.raises(ValueError, match=r"total_steps = 100, got 110 steps: warmup 60 \+ linear 50\.$"):
        made("warmup:60st+constant+linear:50st", 100)


def test_cycle_shorter_than_its_warmup_ends_without_a_jump() -> None:
    cycles = made("sgdr:first_cycle=4st,cycle_mult=2,warmup=6st", 28)
    assert cycles.table().max() == 1.0
    for end in cycles.cycle_ends[:-1]:
        assert cycles.table()[end] == 0.0  # the next warmup, from 0
    with pytest.raises(ValueError, match=r"total_steps = 4, got 7 steps: 6 \+ 1\.$"):
        made("wsd_s:cycle_lengths=4st/24st,warmup=6st,cooldown=1st", 28)


def test_cycles_in_examples_end_at_exactly_nothing_in_the_updates_that_these_are() -> None:
    cycles = made("wsd_s:cycle_lengths=3200ex/6400ex/3200ex,warmup=0,cooldown=10st,shape=linear,end_value=0", 400,
                  batch_size=32)  # fmt: skip
    assert cycles.cycle_ends == (100, 300, 400)
    assert float(cycles(400)) == 0.0
    last = made("linear:3200ex@inclusive+rex", 400, batch_size=32)
    assert float(last(99)) == 0.0


def test_powercool_of_modded_nanogpt_is_four_words() -> None:
    words = "warmup:10st+constant+polynomial:40st,power=0.6,end_value=20%+linear:10st,peak_value=20%"
    table, k = made(words, 100).table(), np.arange(40)
    np.testing.assert_allclose(table[:10], np.arange(10) / 10)
    np.testing.assert_allclose(table[10:50], 1.0)
    np.testing.assert_allclose(table[50:90], 0.2 + 0.8 * (1 - k / 40) ** 0.6)
    np.testing.assert_allclose(table[90:], 0.2 * (1 - np.arange(10) / 10))


@pytest.mark.parametrize("words", ["cosine", "linear", "sgdr", "clr", "onecycle", "wsd", "warmup:5%+cosine"])
def test_rate_never_rebounds_after_the_end(words: str) -> None:
    schedule = made(words, 50)
    assert set(schedule.table(np.arange(50, 500))) == {float(schedule.table([50])[0])}


def test_rate_and_weight_decay_of_a_resumed_state_are_those_of_its_update() -> None:
    rate, decay, momentum = (made(words, 20) for words in ("wsd", "cosine", "linear"))
    tx = optax.inject_hyperparams(lambda lr, wd, m: optax.chain(optax.add_decayed_weights(wd), optax.sgd(lr, m)))(
        lr=rate, wd=decay, m=momentum
    )
    weights, update = {"w": jnp.ones(2)}, jax.jit(tx.update)

    def run(state, weights, updates):
        applied = []
        for _ in range(updates):
            change, state = update(weights, state, weights)
            weights = optax.apply_updates(weights, change)
            applied.append([float(state.hyperparams[name]) for name in ("lr", "wd", "m")])
        return state, weights, applied

    with jax.numpy_dtype_promotion("standard"):
        state, then, first = run(tx.init(weights), weights, 7)
        saved = jax.tree.map(np.asarray, (state, then))
        *_, second = run(*jax.tree.map(jnp.asarray, saved), 5)
    wanted = np.stack([schedule.table()[:12] for schedule in (rate, decay, momentum)], axis=1)
    np.testing.assert_allclose(first + second, wanted, rtol=1e-6, atol=1e-9)


def test_stable_part_of_wsd_is_what_warmup_and_cooldown_leave() -> None:
    table = ls.wsd(1.0, total_steps=100, warmup=10, cooldown=20).table()
    assert np.flatnonzero(table == 1.0).tolist() == list(range(10, 81))
