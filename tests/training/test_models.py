"""The ResNets of He et al.: sizes from the paper's construction, shortcut and initial values by their definitions.

The two networks beside them: sizes by hand.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrsched.training import models, nets


def _count(name: str, channels: int, classes: int) -> int:
    model = models.build(name, classes=classes)
    variables = models.initial_variables(model, image_shape=(32, 32, channels), seed=0)
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # 3x3 kernels, two numbers per BatchNorm channel, dense layer; 10 classes, 3 channels, no parameters in shortcuts
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet38", 561_370),
        ("resnet44", 658_586),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
    ],
)
def test_parameters_of_the_paper(name: str, parameters: int) -> None:
    assert _count(name, 3, 10) == parameters


@pytest.mark.parametrize(("channels", "classes"), [(1, 10), (3, 100)])
def test_parameters_of_resnet8_by_hand(channels: int, classes: int) -> None:
    first = 9 * channels * 16 + 2 * 16
    stages = 9 * (16 * 16 + 16 * 16) + 4 * 16 + 9 * (16 * 32 + 32 * 32) + 4 * 32 + 9 * (32 * 64 + 64 * 64) + 4 * 64
    assert _count("resnet8", channels, classes) == first + stages + 64 * classes + classes


@pytest.mark.slow
@pytest.mark.parametrize("image_shape", [(4, 4, 1), (7, 5, 3), (28, 28, 1), (32, 32, 3)])
@pytest.mark.parametrize("train", [True, False])
def test_logits_shape_for_any_image(image_shape: tuple[int, int, int], train: bool) -> None:
    model = models.build("resnet8", classes=7)
    variables = models.initial_variables(model, image_shape=image_shape, seed=0)
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    mutable = ["batch_stats"] if train else False
    out = jax.eval_shape(lambda v, x: model.apply(v, x, train=train, mutable=mutable), variables, images)
    logits = out[0] if train else out
    assert (logits.shape, logits.dtype) == ((2, 7), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 5])
def test_shortcut_takes_every_second_pixel_and_zero_channels(size: int) -> None:
    block = nets.Block(features=6, stride=2)
    x = jnp.asarray(np.random.default_rng(0).random((2, size, size, 4), np.float32))
    shapes = jax.eval_shape(lambda: block.init(jax.random.key(0), x, train=False))
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)  # the convolutions give nothing
    y = block.apply(variables, x, train=False)
    np.testing.assert_array_equal(y[..., :4], x[:, ::2, ::2])
    np.testing.assert_array_equal(y[..., 4:], 0)


@pytest.mark.parametrize("plain", [False, True])
def test_batch_norm_keeps_nine_tenths_of_its_statistics(plain: bool) -> None:
    norm = nets._norm(plain=plain, train=True, axis_name=None)
    x = np.array([[[[1.0]]], [[[3.0]]]], np.float32)  # mean 2, variance 1
    stats = {"mean": np.array([10.0], np.float32), "var": np.array([5.0], np.float32)}
    params = {"scale": np.ones(1, np.float32), "bias": np.zeros(1, np.float32)}
    y, new = norm.apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])
    np.testing.assert_allclose(new["batch_stats"]["mean"], [0.9 * 10 + 0.1 * 2], rtol=1e-6)
    np.testing.assert_allclose(new["batch_stats"]["var"], [0.9 * 5 + 0.1 * 1], rtol=1e-6)
    np.testing.assert_allclose(np.ravel(y), [-1 / math.sqrt(1 + 1e-5), 1 / math.sqrt(1 + 1e-5)], rtol=1e-6)


def _drawn_and_own(seed: int) -> list[tuple[str, Any, Any]]:
    """Every leaf's path, as initial_variables draws it and as the model's own initialisers do."""
    model = models.build("resnet8", classes=100)
    drawn = models.initial_variables(model, image_shape=(8, 8, 3), seed=seed)
    init = jax.jit(functools.partial(model.init, train=False))
    own = init(jax.random.key(seed, impl="rbg"), jnp.zeros((1, 8, 8, 3)))  # rbg: compiles in a second
    assert jax.tree.structure(drawn) == jax.tree.structure(own)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(drawn)]
    return list(zip(paths, jax.tree.leaves(drawn), jax.tree.leaves(own), strict=True))


@pytest.mark.slow
def test_initial_variables_are_distributed_as_the_models_own() -> None:
    kernels = 0
    for path, drawn, own in _drawn_and_own(seed=1):
        assert (drawn.shape, drawn.dtype) == (own.shape, own.dtype), path
        if not path.endswith("['kernel']"):
            np.testing.assert_array_equal(drawn, own, err_msg=path)
            continue
        kernels += 1
        std = math.sqrt(2 / math.prod(drawn.shape[:-1]))  # He-normal over the inputs of a unit
        for values in (drawn, np.asarray(own)):  # five standard errors of the mean and of the standard deviation
            assert abs(values.mean()) < 5 * std / math.sqrt(values.size), path
            assert abs(values.std() / std - 1) < 5 / math.sqrt(2 * values.size), path
            assert np.abs(values).max() > 2.3 * std, path  # not truncated at two (rescaled: 2.27) standard deviations
    assert kernels == 8


def test_initial_variables_depend_on_the_seed_alone() -> None:
    model = models.build("resnet8", classes=10)
    one, same, other = (models.initial_variables(model, image_shape=(8, 8, 1), seed=seed) for seed in (3, 3, 4))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert not np.array_equal(one["params"]["Conv_0"]["kernel"], other["params"]["Conv_0"]["kernel"])


def test_build_equal_words_give_equal_models() -> None:
    assert models.build("resnet20", classes=10) == models.build("resnet20", classes=10)
    assert hash(models.build("resnet20", classes=10)) == hash(models.build("resnet20", classes=10))


def test_build_unknown_name() -> None:
    with pytest.raises(
        ValueError,
        match=r"^model must be one of resnet8, .* or a dotted path .*, got 'resnet18'\. Perhaps you meant",
    ):
        models.build("resnet18", classes=10)


@pytest.mark.parametrize("classes", [1, -1])
def test_build_too_few_classes(classes: int) -> None:
    with pytest.raises(ValueError, match=rf"^classes must be at least 2, or 0 for a regression, got {classes}\.$"):
        models.build("resnet8", classes=classes)


@pytest.mark.parametrize("name", ["resnet20", "cnn"])
def test_check_model_of_images_on_a_table(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^model must be mlp for tabular data, got '{name}'\.$"):
        models.check(name, tabular=True)


def _parameters(name: str, shape: tuple[int, ...], classes: int) -> int:
    variables = models.initial_variables(models.build(name, classes=classes), image_shape=shape, seed=0)
    assert variables["batch_stats"] == {}
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("shape", "left"), [((28, 28, 1), 7 * 7), ((32, 32, 3), 8 * 8), ((8, 8, 1), 4), ((5, 7, 2), 1)]
)
def test_parameters_of_the_cnn_by_hand(shape: tuple[int, int, int], left: int) -> None:
    convolutions = 9 * shape[-1] * 32 + 32 + 9 * 32 * 64 + 64
    assert _parameters("cnn", shape, 10) == convolutions + left * 64 * 128 + 128 + 128 * 10 + 10


def test_parameters_of_the_mlp_by_hand() -> None:
    hidden = 20 * 64 + 64 + 64 * 64 + 64
    assert _parameters("mlp", (20,), 0) == hidden + 64 + 1
    assert _parameters("mlp", (5, 4, 1), 3) == hidden + 64 * 3 + 3


@pytest.mark.parametrize("name", ["resnet8", "cnn", "mlp"])
@pytest.mark.parametrize(("classes", "shape"), [(0, (6,)), (3, (6, 3))])
def test_outputs_of_a_regression_have_no_axis_of_their_own(name: str, classes: int, shape: tuple[int, ...]) -> None:
    model = models.build(name, classes=classes)
    variables = models.initial_variables(model, image_shape=(8, 8, 1), seed=0)
    assert (
        jax.eval_shape(functools.partial(model.apply, train=False), variables, jnp.zeros((6, 8, 8, 1))).shape == shape
    )


def test_mlp_equals_the_same_written_by_hand() -> None:
    model = models.build("mlp", classes=0)
    variables = models.initial_variables(model, image_shape=(3,), seed=0)
    rows = np.random.default_rng(0).standard_normal((5, 3))
    x = rows
    for name in ("Dense_0", "Dense_1"):
        x = np.maximum(x @ variables["params"][name]["kernel"], 0)  # biases are zero
    expected = (x @ variables["params"]["Dense_2"]["kernel"])[:, 0]
    found = model.apply(variables, jnp.asarray(rows, jnp.float32), train=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # float32 sums


def test_initial_variables_image_too_small() -> None:
    with pytest.raises(ValueError, match="at least 4, got"):
        models.initial_variables(models.build("resnet8", classes=10), image_shape=(3, 8, 1), seed=0)
