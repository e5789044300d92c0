"""The LR range test of any training step, and of the tasks here: what it finds, and that it changes nothing."""

import functools
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import listen, train

import lrsched
from lrsched.commands import Outcome
from lrsched.commands import range_test as sweep
from lrsched.commands.range_test import Ramp, RangeTestConfig
from lrsched.runs import ramps
from lrsched.runs.config import RunConfig
from lrsched.runs.task import resolve

BATCHES = [None] * 100


def quadratic(x: Any, _: None, rate: Any) -> tuple[Any, Any]:
    """Gradient descent on x^2 / 2: each update multiplies x by 1 - rate, so it diverges above 2."""
    return x - rate * x, 0.5 * x * x


@functools.partial(jax.jit, donate_argnums=0)
def step(state: tuple[Any, Any], batch: Any, rate: Any) -> tuple[tuple[Any, Any], Any]:
    """A user's own step: Optax inside, and it takes its state's memory."""
    params, opt_state = state
    loss, gradient = jax.value_and_grad(lambda w: ((batch @ w - 1.0) ** 2).mean())(params)
    changes, opt_state = optax.sgd(rate, momentum=0.9).update(gradient, opt_state)
    return (optax.apply_updates(params, changes), opt_state), loss


def start(key: Any) -> tuple[Any, Any]:
    params = jax.random.normal(key, (3,))
    return params, optax.sgd(0.1, momentum=0.9).init(params)


def data(key: Any) -> Any:
    return iter(jax.random.normal(key, (60, 8, 3)))


def test_quadratic_blows_up_above_rate_two() -> None:
    found = lrsched.range_test(quadratic, 1.0, BATCHES, init_value=1e-3, end_value=100.0, beta=0.0)
    stop = found.curves.stopped[0]
    assert stop is not None
    assert 2 < found.curves.rates[stop] < 20
    assert np.isnan(found.curves.values[0, stop + 1 :]).all()
    assert found.verdict(50.0) is not None
    assert found.verdict(0.5) is None


def test_rates_are_the_ramp_and_losses_are_before_their_update() -> None:
    seen = []

    def spying(x: Any, _: None, rate: Any) -> tuple[Any, Any]:
        seen.append(float(rate))
        return quadratic(x, _, rate)

    found = lrsched.range_test(spying, 1.0, BATCHES, init_value=1e-4, end_value=0.1, steps=10)
    np.testing.assert_allclose(seen, 1e-4 * 1000 ** (np.arange(10) / 9), rtol=1e-6)
    np.testing.assert_allclose(seen, found.curves.rates, rtol=1e-6)
    assert found.curves.values[0, 0] == 0.5


def test_state_of_the_caller_is_whole_after_a_step_that_takes_its_memory() -> None:
    state = start(jax.random.key(3))
    before = jax.device_get(state)
    lrsched.range_test(step, state, list(data(jax.random.key(4))), steps=60, end_value=1.0)
    after = jax.device_get(state)  # would raise if its memory had been given away
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_training_after_a_range_test_is_bitwise_that_without_one() -> None:
    def trained(*, tested: bool) -> Any:
        state, batches = start(jax.random.key(0)), list(data(jax.random.key(1)))
        if tested:
            lrsched.range_test(step, state, batches, steps=60, seeds=2)
        for batch in batches[:20]:
            state, _ = step(state, batch, jnp.float32(0.05))
        return jax.device_get(state)

    jax.tree.map(np.testing.assert_array_equal, trained(tested=False), trained(tested=True))


@pytest.mark.slow
def test_run_after_a_range_test_is_bitwise_that_without_one(tmp_path: pathlib.Path) -> None:
    config = RunConfig(budget="0.2ep")
    without = train(config)
    sweep.run(RangeTestConfig(ramp=Ramp(length="10", seeds=1, skip_end=0), out=str(tmp_path)))
    after = train(config)
    assert after["params_digest"] == without["params_digest"]
    assert after["train_losses"] == without["train_losses"]


def test_many_seeds_have_keys_of_their_own() -> None:
    found = lrsched.range_test(step, None, data, init=start, steps=60, seeds=3, end_value=0.5)
    assert found.curves.values.shape == (3, 60)
    assert len(set(found.curves.values[:, 0])) == 3
    assert found.suggestions["valley"].interval is not None
    again = lrsched.range_test(step, None, data, init=start, steps=60, seeds=3, end_value=0.5)
    np.testing.assert_array_equal(found.curves.values, again.curves.values)


def test_one_noisy_batch_stops_no_ramp_whose_measure_is_read() -> None:
    losses = np.full(60, 1.0)
    losses[30] = 1e6  # of one batch; held-out measures are not smoothed, but what stops the ramp is a median

    def noisy(k: int, _: None, rate: Any) -> tuple[int, float]:
        return k + 1, float(losses[k])

    words: dict[str, Any] = {"steps": 60, "end_value": 1.0, "measure": lambda state: 1.0}
    found = lrsched.range_test(noisy, 0, BATCHES, quantity="holdout_loss", **words)
    assert found.curves.beta == 0.0
    assert np.isfinite(found.curves.values).all()


def test_range_test_of_a_run_has_the_momentum_of_its_peak() -> None:
    def curve(momentum: str | None, schedule: str) -> np.ndarray:
        config = RunConfig(schedule=schedule, momentum=momentum)
        one = resolve(config)
        prepared = ramps.prepare(one.task, Ramp(length="8", seeds=1), momentum=ramps.momentum_at_peak(one.plan))
        return ramps.measure(prepared).curves.values

    cycled = curve(None, "onecycle:variant=torch")  # from 0.95 down to 0.85 at its peak
    np.testing.assert_allclose(cycled, curve("0.85", "constant"), rtol=1e-3)
    assert not np.allclose(cycled, curve("0.95", "constant"), rtol=1e-3)


def test_measure_is_read_every_so_many_updates() -> None:
    found = lrsched.range_test(
        quadratic, 1.0, BATCHES, steps=20, end_value=1.0, every=5, measure=float, quantity="holdout_loss", kind="linear"
    )
    assert found.curves.values.shape == (1, 4)
    np.testing.assert_allclose(found.curves.rates, np.linspace(1e-5, 1.0, 20)[4::5])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"seeds": 99999999999}, "seeds must be at most 10,000, got 99999999999"),
        ({"seeds": 1.5}, "seeds must be a whole number, got 1.5"),
        ({"init_value": 1e-200}, "init_value must be at least 1.18e-38"),
        ({"end_value": 1e39}, "end_value must be at most 3.4e"),
        ({"steps": 9.5}, "steps must be a whole number, got 9.5"),
        ({"init_value": "1"}, "init_value must be a number, got '1'"),
        ({"end_value": 10**400}, "end_value must be a number, got 1000"),
        ({"divergence": "4"}, "divergence must be a number, got '4'"),
        ({"every": 1.0}, "every must be a whole number, got 1.0"),
        ({"steps": 1}, "steps must"),
        ({"init_value": 1.0, "end_value": 0.5}, "init_value"),
        ({"kind": "cubic"}, "kind must be"),
        ({"quantity": "holdout_loss"}, "quantity must be train_loss without a measure, got 'holdout_loss'"),
        ({"every": 60}, "every must be 1 where the training loss is read"),
        ({"every": 60, "measure": float, "quantity": "holdout_loss"}, "every must be from 1 to 50"),
        ({"steps": 101, "beta": 0.5}, "batches must give at least 101, got 100"),
        ({"beta": 1.0}, "beta must"),
        ({"divergence": 0.5}, "divergence must be above 1"),
        ({"divergence": float("inf")}, "divergence must be above 1 and finite"),
        ({"skip_end": -1}, "skip_end must be at least 0, got -1"),
        ({"init": lambda key: 1.0}, "state must be given, or init in its place, got both"),
    ],
)
def test_bad_numbers_end_in_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        lrsched.range_test(quadratic, 1.0, BATCHES, **{"end_value": 1.0, **changes})
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_command_writes_record_table_and_figure_and_they_are_rebuilt(tmp_path: pathlib.Path) -> None:
    ramp = Ramp(length="30", seeds=2, end_value=30.0, beta=0.5)
    outcome = sweep.run(RangeTestConfig(ramp=ramp, peak_values=(100.0,), out=str(tmp_path)))
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["curves"] == outcome.result["curves"]
    assert np.shape(record["curves"]["values"]) == np.shape(record["curves"]["smooth"]) == (2, 30)
    assert len(record["curves"]["rates"]) == 30
    assert record["warnings"]
    text, _ = sweep.write_results(record, tmp_path)
    assert text == outcome.text == (tmp_path / "table.md").read_text()
    assert (tmp_path / "range_test.svg").stat().st_size > 1000


def small(out: pathlib.Path, **changes: Any) -> RangeTestConfig:
    ramp = Ramp(**{"length": "12", "seeds": 2, "end_value": 1.0, **changes})
    return RangeTestConfig(ramp=ramp, model="mlp", out=str(out))


def said_of(config: RangeTestConfig) -> tuple[list[str], Outcome]:
    lines, report = listen()
    outcome = sweep.run(config, report)
    return lines, outcome


def numbers_of(folder: pathlib.Path) -> tuple[Any, str]:
    return json.loads((folder / "record.json").read_text())["curves"], (folder / "table.md").read_text()


@pytest.mark.slow
def test_interrupted_range_test_resumes_and_comes_to_the_same_bits(tmp_path: pathlib.Path) -> None:
    sweep.run(small(tmp_path / "whole"))

    def interrupt(line: object) -> None:  # the first ramp has ended
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run(small(tmp_path / "cut"), interrupt)
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["ramps"]
    lines, _ = said_of(small(tmp_path / "cut"))
    assert [line.endswith("kept from before") for line in lines] == [True, False]
    assert numbers_of(tmp_path / "cut") == numbers_of(tmp_path / "whole")


@pytest.mark.slow
def test_finished_range_test_gives_its_record_without_training_wherever_its_folder_lies(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sweep.run(small(tmp_path / "first"))
    moved = (tmp_path / "first").rename(tmp_path / "moved")
    (moved / "range_test.svg").unlink()
    monkeypatch.setattr(ramps, "_measure_one", lambda ramps, seed: pytest.fail("trained again"))
    lines, again = said_of(small(moved))
    assert again.result == first.result
    assert lines == [f"{moved / 'record.json'} has the same arguments: it is shown as it is."]
    assert (moved / "range_test.svg").exists()


@pytest.mark.slow
def test_ramps_are_taken_up_for_another_reading_and_for_more_seeds(tmp_path: pathlib.Path) -> None:
    sweep.run(small(tmp_path))
    lines, outcome = said_of(small(tmp_path, seeds=3, beta=0.5))
    assert [line.endswith("kept from before") for line in lines] == [True, True, False]
    assert outcome.result["curves"]["beta"] == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"end_value": 2.0}, {"length": "13"}, {"kind": "linear"}, {"divergence": 3.0}])
def test_ramps_of_other_numbers_are_not_taken_up(tmp_path: pathlib.Path, changes: dict[str, Any]) -> None:
    sweep.run(small(tmp_path, seeds=1))
    lines, _ = said_of(small(tmp_path, seeds=1, **changes))
    assert not any("kept from before" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["byte", "empty", "swapped"])
def test_altered_ramp_is_named_and_made_anew(tmp_path: pathlib.Path, damage: str) -> None:
    whole = sweep.run(small(tmp_path))
    (tmp_path / "record.json").unlink()
    first, second = sorted((tmp_path / "ramps").iterdir())
    content = first.read_bytes()
    altered = {"byte": content.replace(b"2.", b"1.", 1), "empty": b"", "swapped": second.read_bytes()}[damage]
    assert altered != content
    first.write_bytes(altered)
    lines, again = said_of(small(tmp_path))
    assert sum(str(first) in line and "the ramp is measured again." in line.lower() for line in lines) == 1
    assert again.result["curves"] == whole.result["curves"]
    assert first.read_bytes() == content


@pytest.mark.slow
def test_altered_record_is_named_and_rebuilt(tmp_path: pathlib.Path) -> None:
    whole = sweep.run(small(tmp_path))
    path = tmp_path / "record.json"
    path.write_bytes(path.read_bytes().replace(b'"seed', b'"zeed', 1))
    lines, again = said_of(small(tmp_path))
    assert str(path) in lines[0]
    assert again.result["curves"] == whole.result["curves"]


def test_table_is_shown_where_it_cannot_be_written(tmp_path: pathlib.Path) -> None:
    (tmp_path / "table.md").mkdir()
    lines, report = listen()
    with pytest.raises(OSError, match="table.md"):
        sweep.run(small(tmp_path), report)
    assert "minimum_tenth" in lines[-1]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("/proc/x", "out must be a folder that can be written, got /proc/x"),
        ("gs://bucket/x", "out must be a local folder, got the URL gs://bucket/x"),
        (__file__, "out must be a folder, got the file"),
    ],
)
def test_folder_that_cannot_be_written_is_refused_before_training(
    out: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ramps, "_measure_one", lambda ramps, seed: pytest.fail("trained"))
    with pytest.raises(ValueError, match=said):
        sweep.run(RangeTestConfig(out=out))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_peak_values_that_are_no_rates_are_refused(rate: float, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="peak_values must be above 0 and finite"):
        sweep.run(RangeTestConfig(peak_values=(0.1, rate), out=str(tmp_path)))


@pytest.mark.parametrize(
    "length", ["0", "1e9", "1000000000", "-3", "5%", "1e-3st", "99999999999999ep", "9" * 400 + "ep"]
)
def test_length_that_is_none_is_refused_in_one_line(length: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="length must be") as error:
        sweep.run(small(tmp_path / "none", length=length))
    assert len(str(error.value)) < 200
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("length", "seeds"), [("100", 3), ("300", 1)])
def test_digits_are_warned_of_rate_eight(length: str, seeds: int, tmp_path: pathlib.Path) -> None:
    config = RangeTestConfig(ramp=Ramp(length=length, seeds=seeds), peak_values=(1.0, 8.0), out=str(tmp_path))
    (warning,) = sweep.run(config).result["warnings"]
    assert warning.startswith("rate 8 is ")


@pytest.mark.slow
def test_held_out_accuracy_gives_the_bounds_of_a_cycle(tmp_path: pathlib.Path) -> None:
    ramp = Ramp(
        length="1ep", seeds=1, init_value=0.0, end_value=0.5, kind="linear", quantity="holdout_accuracy", every=5
    )
    outcome = sweep.run(RangeTestConfig(ramp=ramp, out=str(tmp_path)))
    assert set(outcome.result["suggestions"]) == {"smith_min", "smith_max"}
    assert outcome.result["config"]["holdout_fraction"] == 0.1


def test_step_whose_loss_is_no_number_ends_in_one_line() -> None:
    with pytest.raises(ValueError, match="loss must be a number, got Array") as error:
        lrsched.range_test(lambda state, _, rate: (state, jnp.ones(40)), 1.0, BATCHES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("beta", [None, 0.0, 0.98])
def test_ramp_ends_soon_after_its_loss_blew_up_whatever_the_smoothing(beta: float | None) -> None:
    found = lrsched.range_test(quadratic, 1.0, BATCHES, init_value=1e-3, end_value=1e3, beta=beta)
    (point,), (stop,) = found.curves.blow_ups, found.curves.stopped
    assert point is not None
    assert stop is not None
    assert 2 < found.curves.rates[point] < 6  # from 2 on every update makes it larger
    assert stop - point <= 2  # half of the window of five
    verdict = found.verdict(6.0)
    assert verdict is not None
    assert verdict.endswith("1 of 1 seeds blew up")
    assert "the raw loss blew up from" in found.advice()


def test_range_test_is_the_same_with_64_bits_and_strict_promotion() -> None:
    words: dict[str, Any] = {"init": start, "steps": 60, "seeds": 2, "end_value": 0.5, "key": jax.random.key(0)}

    def start32(key: Any) -> tuple[Any, Any]:
        params = jax.random.normal(key, (3,), jnp.float32)
        return params, optax.sgd(0.1, momentum=0.9).init(params)

    def data32(key: Any) -> Any:
        return iter(jax.random.normal(key, (60, 8, 3), jnp.float32))

    usual = lrsched.range_test(step, None, data32, **{**words, "init": start32})
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        found = lrsched.range_test(step, None, data32, **{**words, "init": start32})
    np.testing.assert_allclose(found.curves.values, usual.curves.values, rtol=1e-5)


class Network:
    """A state that is callable, and whose one leaf is an object that a step may change."""

    def __init__(self) -> None:
        self.x = 1.0

    def __call__(self, key: Any) -> Any:
        raise AssertionError("a network is no function of a key")


def test_state_that_is_a_callable_object_is_copied_and_not_called() -> None:
    def changing(network: Network, _: None, rate: Any) -> tuple[Network, float]:
        network.x -= float(rate) * network.x
        return network, network.x**2

    mine = Network()
    found = lrsched.range_test(changing, mine, BATCHES, end_value=0.5)
    assert mine.x == 1.0
    assert found.curves.values[0, -1] < 0.1


def test_batches_that_a_second_seed_would_not_see_again_are_refused() -> None:
    with pytest.raises(ValueError, match="batches must be gone through once for each seed"):
        lrsched.range_test(quadratic, 1.0, iter(BATCHES), seeds=2, end_value=1.0)


def test_held_out_measures_are_read_as_they_are() -> None:
    accuracies = iter([0.1, 0.1, 0.2, 0.4, 0.6, 0.6, 0.3, 0.2, 0.1, 0.1])
    found = lrsched.range_test(
        quadratic, 1.0, BATCHES, init_value=0.1, end_value=1.0, steps=100, every=10, kind="linear",
        measure=lambda _: next(accuracies), quantity="holdout_accuracy", skip_start=0, skip_end=0,
    )  # fmt: skip
    rates = found.curves.rates
    assert found.suggestions["smith_min"].value == pytest.approx(rates[2])
    assert found.suggestions["smith_max"].value == pytest.approx(rates[4])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"beta": 1.0}, "beta must"),
        ({"skip_end": -1}, "skip_end must be at least 0, got -1"),
        ({"quantity": "holdout_loss", "every": 99}, "every must be from 1 to 50"),
        ({"every": 2}, "every must be 1 where the training loss is read, got 2"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"seeds": 99999999999}, "seeds must be at most 10,000, got 99999999999"),
        ({"end_value": 1e-6}, "end_value|init_value"),
        ({"init_value": 1e-200}, "init_value must be at least 1.18e-38"),
    ],
)
def test_command_refuses_before_anything_is_written(
    changes: dict[str, Any], said: str, tmp_path: pathlib.Path
) -> None:  # fmt: skip
    config = RangeTestConfig(ramp=Ramp(**changes), out=str(tmp_path / "none"))
    with pytest.raises(ValueError, match=said):
        sweep.run(config)
    assert not (tmp_path / "none").exists()
