import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched
from lrsched import profiles, sampling
from lrsched.schedules import language


def changes(rate: sampling.Sampling, total_steps: int) -> list[int]:
    """The updates at which a linear profile takes a new value."""
    values = lrsched.decay(1.0, profile=profiles.linear(), sampling=rate, total_steps=total_steps).table()
    return [int(t) for t in np.flatnonzero(np.diff(values)) + 1]


def test_every_steps_samples_at_their_multiples() -> None:
    assert changes(sampling.every_steps(7), 30) == [7, 14, 21, 28]


def test_every_samples_at_multiples_of_the_fraction_below_one() -> None:
    assert changes(sampling.every(0.3), 10) == [3, 6, 9]
    assert changes(sampling.every(0.5), 10) == [5]
    assert changes(sampling.every(1.0), 10) == []


def test_fractions_between_two_steps_take_effect_at_the_later() -> None:
    assert changes(sampling.at(1 / 3), 10) == [4]  # 10 / 3 = 3.33
    assert changes(sampling.at(0.3), 10) == [3]  # although 0.3 * 10 > 3 in floating point for some such products


def test_fractions_may_be_traced() -> None:
    def held(part: jax.Array) -> jax.Array:
        return lrsched.decay(1.0, profile=profiles.linear(), sampling=sampling.at(part), total_steps=10)(np.arange(10))

    got = jax.vmap(held)(jnp.float32([0.3, 0.5]))
    np.testing.assert_allclose(got, [[1] * 3 + [0.7] * 7, [1] * 5 + [0.5] * 5], rtol=1e-4)


@pytest.mark.parametrize(
    ("words", "rate"), [("5-25", sampling.every(0.05)), ("5%", sampling.every(0.05)), ("7st", sampling.every_steps(7))]
)
def test_named_reads_names_percentages_and_steps(words: str, rate: sampling.Sampling) -> None:
    assert sampling.named(words) == rate


@pytest.mark.parametrize("words", ["", "77", "0%", "-5%", "0st", "x%"])
def test_named_refuses_other_words_and_lists_what_is_allowed(words: str) -> None:
    with pytest.raises(ValueError, match="sampling must be one of 50-75, 33-66, .*got"):
        sampling.named(words)


def test_named_refuses_more_than_the_budget() -> None:
    with pytest.raises(ValueError, match=r"sampling must be a fraction of the budget in \[0, 1\], got 1.01"):
        sampling.named("101%")


@pytest.mark.parametrize("fractions", [(), (0.5, 0.5), (0.7, 0.5), (0.0,), (1.0,)])
def test_at_refuses_fractions_that_do_not_ascend_within_the_budget(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"fractions must ascend within \(0, 1\)"):
        sampling.at(*fractions)


@pytest.mark.parametrize("words", [5, ["50-75"], None, "x%", "st"])
def test_sampling_refuses_what_is_no_name(words: object) -> None:
    with pytest.raises(ValueError, match="sampling must be one of 50-75, .*, got"):
        sampling.named(words)


def test_inclusive_reaches_the_end_of_the_profile_at_the_last_update() -> None:
    for total in (2, 3, 10, 1173):
        made = lrsched.linear(1.0, total_steps=total, end_value=0.1, sampling="inclusive")
        np.testing.assert_allclose(made.table(), np.linspace(1.0, 0.1, total), rtol=1e-12)
        np.testing.assert_allclose(made(np.arange(total + 5))[total - 1 :], 0.1, rtol=1e-6)
    assert lrsched.linear(1.0, total_steps=1, sampling="inclusive").table().tolist() == [1.0]


def test_inclusive_is_a_word_that_records_hold() -> None:
    words = "warmup:2st+cosine@inclusive"
    assert language.parse(words)["sequence"][1]["sampling"] == "inclusive"
    assert language.label(words) == words
    assert lrsched.plan(words, 10, peak_value=1.0).lr.table()[-1] == 0.0
