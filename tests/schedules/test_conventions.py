"""What others met with in their schedules, in 2025 and 2026, and the convention here that rules it out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls


def test_plateau_that_reduces_its_rate_compiles_once() -> None:
    """A rate that becomes another Python float at a reduction is another program: pytorch#163093."""
    schedule, traced = ls.plateau(0.1, patience=0), list[str]()

    @jax.jit
    def update(state: object, metric: jax.Array) -> tuple[object, jax.Array]:
        traced.append("traced")
        state = schedule.update(state, metric)  # type: ignore[arg-type]
        return state, schedule.rate(state)  # type: ignore[arg-type]

    state, rates = schedule.init(), list[float]()
    for metric in (1.0, 0.9, 0.9, 0.8, 0.8):
        state, rate = update(state, jnp.float32(metric))  # type: ignore[assignment]
        rates.append(float(rate))
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.01, 0.001], rtol=1e-6)
    assert traced == ["traced"]


def test_warmup_and_cosine_in_closed_form_are_what_stepping_comes_to() -> None:
    """PyTorch's chainable forms, each rate made from the one before it: pytorch#180200."""
    peak, low, warm, fall = 0.3, 0.03, 10, 90
    made = ls.sequence(
        [ls.warmup(peak, total_steps=warm, init_value=low), ls.cosine(peak, total_steps=fall, end_value=low)]
    )
    stepped = [low]
    for _ in range(warm):
        stepped.append(stepped[-1] + (peak - low) / warm)
    for t in range(1, fall):
        ratio = (1 + np.cos(np.pi * t / fall)) / (1 + np.cos(np.pi * (t - 1) / fall))
        stepped.append(low + (stepped[-1] - low) * ratio)
    np.testing.assert_allclose(made.table(), stepped, rtol=1e-11)
    np.testing.assert_array_equal(made.table([57]), made.table()[57:58])  # entered anywhere, the same


@pytest.mark.parametrize("words", ["wsd", "wsd:cooldown=1st", "wsd_s", "warmup:10%+cosine", "warmup:1st+cosine"])
@pytest.mark.parametrize("total_steps", [2, 3])
def test_budget_of_few_updates_reaches_its_peak_and_stays_within_it(words: str, total_steps: int) -> None:
    """torchtitan#938: a run of a few updates, as one that tries a machine is."""
    table = ls.plan(words, total_steps, peak_value=0.3).lr.table()
    assert table.max() == pytest.approx(0.3)
    assert table.min() >= 0


@pytest.mark.parametrize(("total_steps", "fits"), [(1, False), (2, True), (3, True)])
def test_warmup_and_cooldown_of_one_update_each_need_two(total_steps: int, *, fits: bool) -> None:
    words = "wsd:warmup=1st,cooldown=1st"
    if fits:
        assert ls.plan(words, total_steps, peak_value=0.3).lr.table().tolist() == [0.0, 0.3, 0.3][:total_steps]
    else:
        with pytest.raises(ValueError, match=r"fit into total_steps = 1, got 2 steps: warmup 1 \+ cooldown 1\.$"):
            ls.plan(words, total_steps, peak_value=0.3)


def test_warmup_longer_than_the_first_cycle_of_wsd_s_is_refused() -> None:
    """marin#3086: the rate jumped where a cycle ended before its warmup did."""
    with pytest.raises(ValueError, match=r"durations must fit into total_steps = 10, got 21 steps: 20 \+ 1\.$"):
        ls.wsd_s(0.3, total_steps=100, cycle_lengths=(10, 90), warmup=20)


@pytest.mark.parametrize("last", ["abc", -3, 1.5, None])
def test_last_cycle_of_wsd_s_is_looked_at_though_it_takes_the_rest(last: object) -> None:
    with pytest.raises(ValueError, match="^cycle_lengths must be"):
        ls.wsd_s(0.3, total_steps=1000, cycle_lengths=(0.5, last))


@pytest.mark.parametrize("fall", ["linear", "cosine", "k_decay:k=0.5,profile=linear"])
def test_every_period_in_examples_ends_at_exactly_zero(fall: str) -> None:
    """OLMo-core#419: periods given in examples, each of which comes down to 0 and not to nearly 0."""
    name, _, more = fall.partition(":")
    part = f"{name}:50000ex{',' + more if more else ''}@inclusive"
    plan = ls.plan("+".join([part, part, name]), 1500, peak_value=0.3, batch_size=100)
    assert plan.cycle_ends == (500, 1000, 1500)
    for ends in (plan.lr.table([499, 999, 1500]), plan.lr(np.array([499, 999, 1500]))):
        assert ends.tolist() == [0.0, 0.0, 0.0]
    assert plan.lr.table([500, 1000]).tolist() == [0.3, 0.3]


def test_ramp_hold_power_and_linear_are_said_in_words() -> None:
    """modded-nanogpt#351: four phases, of which the power falls by progress**0.6, as a k-decay does."""
    words = (
        "warmup:99st,init_value=0.0003+constant:101st"
        "+k_decay:1550st,k=0.6,profile=linear,end_value=20%+linear:rest,peak_value=20%"
    )
    t = np.arange(3125)
    want = np.select(
        [t < 100, t < 200, t < 1750],
        [0.03 * (t + 1) / 100, 0.03, 0.03 - 0.024 * (np.clip(t - 200, 0, None) / 1550) ** 0.6],
        0.006 * (3125 - t) / 1375,
    )
    made = ls.plan(words, 3125, peak_value=0.03).lr
    np.testing.assert_allclose(made.table(), want, rtol=1e-12)
    assert ls.from_json(ls.to_json(made)) == made


@pytest.mark.parametrize("words", ["wsd:warmup=60st,cooldown=50st", "power:warmup=60st,cooldown=50st"])
def test_overlap_of_warmup_and_decay_is_refused_with_both_lengths(words: str) -> None:
    """torchtitan#938: to warn, to cut one of them, or to refuse."""
    with pytest.raises(ValueError, match=r"fit into total_steps = 100, got 110 steps: warmup 60 \+ cooldown 50\.$"):
        ls.plan(words, 100, peak_value=0.3)
    with pytest.raises(ValueError, match=r"total_steps = 100, got 110 steps: warmup 60 \+ linear 50\.$"):
        ls.plan("warmup:60st+constant+linear:50st", 100, peak_value=0.3)


@pytest.mark.parametrize("words", ["cosine", "linear", "sgdr", "clr", "onecycle", "wsd", "warmup:5%+cosine"])
def test_rate_never_rebounds_after_the_end(words: str) -> None:
    """UniRL#223: a cosine rose again after its T_max."""
    schedule = ls.plan(words, 50, peak_value=0.3).lr
    assert set(schedule.table(np.arange(50, 500))) == {float(schedule.table([50])[0])}


def test_stable_part_of_wsd_is_what_warmup_and_cooldown_leave() -> None:
    """transformers#34905: a stable part that had to be worked out by hand."""
    table = ls.wsd(1.0, total_steps=100, warmup=10, cooldown=20).table()
    assert np.flatnonzero(table == 1.0).tolist() == list(range(10, 81))
