"""The comparison of updates: what the script prints, and that its contenders do the same work."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import bench_step
import bench_step_flax
import jax
import numpy as np
import pytest
from helpers import users_environment

from lrsched.training import models, optim, train

SCRIPT = pathlib.Path(__file__).parents[3] / "experiments" / "bench" / "bench_step.py"

SHAPE, CLASSES, EXAMPLES = (8, 8, 3), 10, 8
RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 5e-4
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.25]
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (EXAMPLES, *SHAPE)).astype(np.uint8)
LABELS = RNG.integers(0, CLASSES, EXAMPLES).astype(np.int32)
OURS = models.build("resnet8", classes=CLASSES)
THEIRS = bench_step_flax.ResNet(models.MODELS["resnet8"].arguments["blocks"], CLASSES)


@pytest.mark.slow
def test_script_prints_one_json_object(tmp_path: pathlib.Path) -> None:
    with_torch = importlib.util.find_spec("torch") is not None
    left_out = ["--without", "torch", "torch_compile"] if with_torch else []
    size = ["--model", "resnet8", "--batch-size", "8", "--rounds", "2", "--steps", "1", "--json", "-"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *size, "--cache-dir", os.environ["JAX_COMPILATION_CACHE_DIR"], *left_out],
        capture_output=True,
        text=True,
        env={**users_environment(), "TFDS_DATA_DIR": str(tmp_path)},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ours_images_per_s"] > 0
    assert result["flax_images_per_s"] > 0
    assert result["ours_over_flax"] == result["ratios"]["ours_over_flax"]["median"] > 0
    assert [result[key] for key in ("torch_images_per_s", "ours_over_torch")] == [None, None]
    assert result["data"].startswith("random")
    assert {row["parameters"] for row in result["contenders"].values()} == {75_290}
    assert with_torch or any(bench_step.INSTALL in note for note in result["notes"])
    assert with_torch or bench_step.INSTALL in done.stderr


@pytest.mark.slow
def test_script_says_in_one_line_that_data_is_not_prepared(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, str(SCRIPT), "--data-dir", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cifar10 is not prepared" in done.stderr
    assert "Traceback" not in done.stderr


def renamed(tree: Any) -> Any:
    """Our names of the layers -> those of the Flax contender."""
    names = {"Conv_0": "conv_first", "BatchNorm_0": "norm_first"}
    return {names.get(name, name.replace("Block_", "ResidualBlock_")): branch for name, branch in tree.items()}


@pytest.fixture(name="start")
def _start() -> train.State:
    return train.initial_state(OURS, optim.Optimizer(), image_shape=SHAPE, seed=0)


def test_flax_contender_has_our_parameters(start: train.State) -> None:
    image = jax.ShapeDtypeStruct((1, *SHAPE), np.float32)
    theirs = jax.eval_shape(lambda x: THEIRS.init(jax.random.key(0), x, train=False), image)
    ours = renamed(start.params)
    assert jax.tree.map(lambda leaf: leaf.shape, theirs["params"]) == jax.tree.map(lambda leaf: leaf.shape, ours)


def test_flax_contender_gives_our_logits(start: train.State) -> None:
    x = RNG.standard_normal((EXAMPLES, *SHAPE)).astype(np.float32)
    ours = jax.jit(lambda v, x: OURS.apply(v, x, train=False))(start.variables, x)
    mapped = {"params": renamed(start.params), "batch_stats": renamed(start.batch_stats)}
    theirs = jax.jit(lambda v, x: THEIRS.apply(v, x, train=False))(mapped, x)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_flax_contender_makes_our_update(start: train.State) -> None:
    """Loss, gradients with weight decay (the trace after one update), parameters and statistics of one whole batch."""
    data = train.put(IMAGES, LABELS, mean=MEAN, std=STD, devices=jax.devices()[:1])
    total_steps = 10
    theirs_tx = bench_step_flax.optimizer(
        peak_value=RATE, total_steps=total_steps, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    updates = train.updates(
        start,
        model=OURS,
        optimizer=optim.Optimizer(),
        data=data,
        batch_size=EXAMPLES,
        seed=0,
        rates=np.full(1, RATE / 25, np.float32),  # where Optax's one-cycle begins
        momenta=np.full(1, MOMENTUM, np.float32),
        weight_decay=WEIGHT_DECAY,
        pad=0,
        flip=False,
    )
    ours, metrics = next(updates)
    statistics = np.asarray(MEAN, np.float32), np.asarray(STD, np.float32)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # a user's JAX
        state = bench_step_flax.TrainState.create(
            apply_fn=THEIRS.apply,
            params=renamed(start.params),
            batch_stats=renamed(start.batch_stats),
            tx=theirs_tx,
        )
        theirs, theirs_metrics = bench_step_flax.train_step(state, IMAGES, LABELS, *statistics)
    trace = [renamed(part.trace) for part in ours.opt_state if hasattr(part, "trace")]
    assert len(trace) == 1
    pairs = {
        "loss": (theirs_metrics["loss"], metrics.loss),
        "accuracy": (theirs_metrics["accuracy"], metrics.accuracy),
        "gradients": (theirs.opt_state[1][0].trace, trace[0]),
        "params": (theirs.params, renamed(ours.params)),
        "batch_stats": (theirs.batch_stats, renamed(ours.batch_stats)),
    }
    for a, b in pairs.values():
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


def test_flax_batches_are_shifted_and_mirrored_images() -> None:
    feed = bench_step_flax.batches(IMAGES, LABELS, batch_size=4, pad=1, flip=True, seed=0)
    padded = np.pad(IMAGES, ((0, 0), (1, 1), (1, 1), (0, 0)))
    possible = {
        crop.tobytes(): label
        for image, label in zip(padded, LABELS, strict=True)
        for top in range(3)
        for left in range(3)
        for crop in (image[top : top + 8, left : left + 8], image[top : top + 8, left : left + 8][:, ::-1])
    }
    for _ in range(5):
        images, labels = next(feed)
        assert [possible[image.tobytes()] for image in images] == labels.tolist()


def test_flops_of_resnet20() -> None:
    # multiplications: 3 -> 16 at 32x32; 6, 5, 5 convolutions of equal cost; two that widen at half of it; 64 x 10
    forward = 9 * 3 * 16 * 1024 + 16 * (9 * 16 * 16 * 1024) + 2 * (9 * 16 * 32 * 256) + 640
    assert bench_step.flops_per_image(3) == 3 * 2 * forward


def test_ratio_is_paired_by_round() -> None:
    ours, theirs = [{"seconds": float(k)} for k in (1, 5, 2)], [{"seconds": 2.0 * k} for k in (1, 5, 2)]
    assert bench_step.ratio(ours, theirs) == {"median": 2.0, "interval_95": [2.0, 2.0], "rounds": 3}
