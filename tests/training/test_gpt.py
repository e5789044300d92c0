"""The byte-level transformer: what it sees, its size, its first loss, and that it learns and resumes."""

import functools
import math
import pathlib
from typing import Any

import jax
import numpy as np
import pytest
from helpers import Stopped, listen, numbers

from lrsched import files
from lrsched.commands import study
from lrsched.commands import train as command
from lrsched.runs import networks, run
from lrsched.runs.config import RunConfig
from lrsched.runs.task import resolve
from lrsched.training import data as datasets
from lrsched.training import losses, models, names, optim, train

RNG = np.random.default_rng(0)
LENGTH = 16
WINDOWS = RNG.integers(0, 256, (20, LENGTH), np.uint8)
MODEL = models.build("gpt", classes=256)
ADAMW = optim.Optimizer("adamw", weight_decay_mode="decoupled")


@functools.cache
def _variables() -> Any:
    return models.initial_variables(MODEL, image_shape=(LENGTH,), seed=0)


@functools.cache
def _apply() -> Any:
    return jax.jit(functools.partial(MODEL.apply, train=False))


def _put(windows: np.ndarray, devices: int = 1) -> train.Data:
    return train.put(windows, windows, mean=(), std=(), devices=jax.devices()[:devices])


@pytest.mark.parametrize("place", [0, 7, LENGTH - 1])
def test_changed_byte_changes_later_predictions_alone(place: int) -> None:
    changed = WINDOWS[:1].copy()
    changed[0, place] ^= 1
    before, after = (np.asarray(_apply()(_variables(), each))[0] for each in (WINDOWS[:1], changed))
    differs = (before != after).any(axis=1)
    assert not differs[: place + 1].any()  # its own prediction among them
    assert differs[place + 1 :].all()


def test_first_prediction_is_the_same_for_every_window() -> None:
    found = np.asarray(_apply()(_variables(), WINDOWS[:3]))
    assert found.shape == (3, LENGTH, 256)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], np.broadcast_to(found[:1, 0], (3, 256)), rtol=1e-5, atol=1e-6)


# Embeddings of 256 bytes and 128 places; in each layer 12 width^2 and two norms; a last norm.
@pytest.mark.parametrize(
    ("name", "layers", "width", "least", "most"),
    [
        ("gpt", 4, 64, 0.2, 0.25),
        ("gpt-1m", 5, 128, 0.9, 1.1),
        ("gpt-5m", 6, 256, 4.5, 5.5),
        ("gpt-25m", 8, 512, 23, 27),
    ],
)
def test_number_of_parameters(name: str, layers: int, width: int, least: float, most: float) -> None:
    shapes = models._shapes(models.build(name, classes=256), (128,))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
    assert count == (256 + 128) * width + layers * (12 * width**2 + 2 * width) + width
    assert least < count / 1e6 < most


def test_initial_weights_have_the_deviations_of_the_initialisers() -> None:
    drawn, declared = (
        jax.tree.map(lambda leaf: float(np.std(leaf)), tree["params"])
        for tree in (_variables(), MODEL.init(jax.random.key(0), jax.numpy.asarray(WINDOWS[:1]), train=False))
    )
    assert jax.tree.structure(drawn) == jax.tree.structure(declared)
    jax.tree.map(lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=0.08), drawn, declared)


def test_untrained_loss_is_that_of_guessing() -> None:
    found = train.evaluate(_variables(), model=MODEL, data=_put(WINDOWS), batch_size=8)
    assert found.loss == pytest.approx(math.log(256), rel=0.05)
    assert found.examples == 20


@pytest.mark.parametrize(("examples", "devices"), [(3, 1), (19, 2), (3, 4)])
def test_evaluate_counts_every_byte_once(examples: int, devices: int) -> None:
    windows = WINDOWS[:examples]
    found = train.evaluate(_variables(), model=MODEL, data=_put(windows, devices), batch_size=8)
    logits = np.asarray(_apply()(_variables(), windows), np.float64)
    chosen = np.take_along_axis(logits, windows[..., None].astype(np.int64), 2)[..., 0]
    np.testing.assert_allclose(found.loss, (np.log(np.exp(logits).sum(2)) - chosen).mean(), rtol=1e-5)
    assert found.accuracy == (logits.argmax(2) == windows).mean()


def test_loss_and_score_of_a_window_are_means_over_its_bytes() -> None:
    outputs = np.zeros((1, 2, 256), np.float32)
    outputs[0, 1, 3] = math.log(255)  # half of the probability
    each, scores = losses.of_each(jax.numpy.asarray(outputs), np.array([[5, 3]], np.uint8))
    np.testing.assert_allclose(each, [(math.log(256) + math.log(2)) / 2], rtol=1e-6)
    np.testing.assert_array_equal(scores, np.float32([0.5]))


@pytest.mark.slow
def test_a_few_windows_are_learned_by_heart() -> None:
    text = (b"the quick brown fox " * LENGTH)[: 4 * LENGTH]
    data = _put(np.frombuffer(text, np.uint8).reshape(4, LENGTH).copy())
    state = train.initial_state(MODEL, ADAMW, image_shape=(LENGTH,), seed=0)
    words: dict[str, Any] = {"rates": np.full(60, 3e-3), "momenta": np.full(60, 0.9), "weight_decay": 0.0, "seed": 0}
    *_, (state, metrics) = train.updates(
        state, model=MODEL, optimizer=ADAMW, data=data, batch_size=4, pad=0, flip=False, **words
    )
    assert float(metrics.loss) < 0.5  # the first byte of each window cannot be known: log 4 / 16
    assert float(metrics.accuracy) > 0.9


# 1,920 bytes: 15 windows, of which 2 are tested.
def _config(folder: pathlib.Path, **words: Any) -> RunConfig:
    name = folder / "text.txt"
    name.write_text("".join(f"{number} bottles of beer, " for number in range(200))[:1920])
    given = {"model": "gpt", "optimizer": "adamw", "batch_size": 4, "max_epochs": 2, "peak_value": 1e-3, **words}
    return RunConfig(data=str(name), **given)


@pytest.mark.slow
def test_record_has_bits_per_byte(tmp_path: pathlib.Path) -> None:
    record = run.record_of(run.train(resolve(_config(tmp_path, holdout_fraction=0.3))))
    assert (record["data"]["train"], record["data"]["holdout"], record["data"]["test"]) == (9, 4, 2)
    assert record["test_bits_per_byte"] == pytest.approx(record["test_loss"] / math.log(2))
    assert record["holdout_bits_per_byte"] == pytest.approx(record["holdout_loss"] / math.log(2))
    assert (record["test_error"] * 256).is_integer()  # of so many bytes
    assert record["test_loss"] < math.log(256)
    assert record["steps_per_epoch"] == 3


@pytest.mark.slow
def test_run_that_diverges_has_no_bits_per_byte(tmp_path: pathlib.Path) -> None:
    config = _config(tmp_path, optimizer="sgd", peak_value=1e30, max_epochs=1)
    record = run.record_of(run.train(resolve(config)))
    assert record["diverged_at"] is not None
    assert (record["test_bits_per_byte"], record["holdout_bits_per_byte"]) == (None, None)


@pytest.mark.slow
def test_run_that_was_killed_resumes_bitwise(tmp_path: pathlib.Path) -> None:
    config = _config(tmp_path)
    whole = run.record_of(run.train(resolve(config)))
    words = command.TrainConfig(config=config, out=str(tmp_path / "run"), save_every="1")
    with pytest.raises(Stopped):
        command.run(words, listen(4)[1])
    found = command.run(words).result
    assert found["resumed_at"]
    assert {name: value for name, value in numbers(found).items() if name != "members"} == numbers(whole)


@pytest.mark.slow
def test_study_of_two_schedules_has_a_table_of_bits_per_byte(tmp_path: pathlib.Path) -> None:
    words: dict[str, Any] = {"data": "descriptions", "model": "gpt", "optimizer": "adamw", "workers": 1}
    grid: dict[str, Any] = {"schedules": ("linear", "constant"), "budgets": ("5st",), "seeds": ("2",)}
    config = study.StudyConfig(**words, **grid, shared_rate=0.003, batch_size=8, out=str(tmp_path))
    outcome = study.run(config)
    assert "1 - next-byte accuracy" in outcome.text
    assert "Bits per byte" in outcome.text
    saved = files.read_text(tmp_path / "table.md")
    rates = [record["test_bits_per_byte"] for record in outcome.result if record["label"] == "linear"]
    assert f"| `linear` | {np.mean(rates):.3f} ± {np.std(rates, ddof=1):.3f} (2) |" in saved


def test_model_of_texts_is_refused_for_images_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load", None)
    with pytest.raises(ValueError, match=r"^model gpt must be given text, got data that is none\.$"):
        resolve(RunConfig(data="digits", model="gpt"))


@pytest.mark.parametrize("name", ["resnet8", "mlp", "my_package.net"])
def test_other_models_are_refused_for_text_before_it_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load", None)
    texts = ", ".join(each for each, model in names.MODELS.items() if model.text)
    with pytest.raises(ValueError, match=rf"^model must be {texts} for text, got '{name}'\.$"):
        resolve(RunConfig(data="descriptions", model=name))


def test_batch_size_of_a_text_is_32_if_none_is_given() -> None:
    found = [RunConfig(data=name).written_out().batch_size for name in ("a/b.txt", "descriptions", "tiny_shakespeare")]
    assert found == [32, 32, 32]


def test_ensemble_of_texts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "read_config", lambda folder: RunConfig(data="descriptions", model="gpt"))
    with pytest.raises(ValueError, match=r"^data must have one label for each example, got the text descriptions\.$"):
        networks.check_alike(["a", "b"])
