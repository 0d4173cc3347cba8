"""Classifiers: their shapes and counts, what a skip carries, what is refused."""

import numpy as np
import pytest

from minicnn import layers, ops
from minicnn.applications.classifiers import image_classifier, residual_classifier
from minicnn.errors import ArgumentError
from minicnn.models import Model

SHAPE = (24, 16, 3)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).random((4, *SHAPE), np.float32)


def convolutions(model: Model, size: int) -> int:
    kinds = [x for x in model.layers if isinstance(x, layers.Conv2D)]
    return sum(x.kernel_size == (size, size) for x in kinds)


def test_the_parameters_are_those_counted_by_hand() -> None:
    model = image_classifier((40, 64, 3), 6, filters=(5, 7, 9))
    kernels = 5 * 5 * 3 * 5 + 3 * 3 * (5 * 7 + 7 * 9)
    left = 2 * 4 * 9  # 40 and 64 halved four times
    assert model.count_params() == kernels + 4 * (5 + 7 + 9) + (left + 1) * 6
    # Each unit of batch normalization has a scale and a shift to learn, and two statistics.
    trainable = sum(v.data.size for v in model.trainable_variables)
    assert trainable == kernels + 2 * (5 + 7 + 9) + (left + 1) * 6


def test_results_are_probabilities(images: np.ndarray) -> None:
    for model in (image_classifier(SHAPE, 5, filters=(4, 6)), residual_classifier(SHAPE, 5)):
        results = model(images).numpy()
        assert results.shape == (4, 5)
        assert results.min() > 0
        np.testing.assert_allclose(results.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("skips", [True, False])
def test_both_twins_are_equally_deep(skips: bool) -> None:
    model = residual_classifier(SHAPE, 3, filters=(4, 6, 8), blocks=5, skips=skips)
    assert convolutions(model, 3) == 1 + 2 * 3 * 5
    assert convolutions(model, 1) == (2 if skips else 0)


def silenced(model: Model) -> Model:
    """Let the second normalization of each block, the last before the sum, give zeros."""
    for layer in model.layers:
        if layer.name.endswith("_2_norm"):
            layer.gamma.assign(np.zeros_like(layer.gamma.numpy()))
    return model


def test_a_block_that_gives_zeros_is_stepped_over(images: np.ndarray) -> None:
    model = silenced(residual_classifier(SHAPE, 3, filters=(4,), blocks=3))
    first = Model(model.input, model.get_layer("first_relu").output)(images)
    expected = model.get_layer("class")(ops.mean(first, (1, 2)))
    np.testing.assert_allclose(model(images).numpy(), expected.numpy(), rtol=1e-5)
    assert np.ptp(model(images).numpy(), axis=0).max() > 1e-4  # the images still tell


def test_the_plain_twin_does_not_get_past_such_a_block(images: np.ndarray) -> None:
    model = silenced(residual_classifier(SHAPE, 3, filters=(4,), blocks=3, skips=False))
    assert np.ptp(model(images).numpy(), axis=0).max() == 0


def test_a_skip_is_halved_where_the_stage_is(images: np.ndarray) -> None:
    model = residual_classifier(SHAPE, 3, filters=(4, 6), blocks=2)
    assert model.get_layer("stage1_block2_relu2").output.shape == (None, 12, 8, 4)
    assert model.get_layer("stage2_block1_skip_norm").output.shape == (None, 6, 4, 6)
    names = [x.name for x in model.layers if "_skip_conv" in x.name]
    assert names == ["stage2_block1_skip_conv"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"input_shape": (24, 16)}, r"input_shape=\(24, 16\), but it must be \(height, width"),
        ({"classes": 1}, "classes=1 at least 2"),
        ({"filters": ()}, r"filters=\(\) must be one number at least"),
        ({"filters": (4, 0)}, r"filters=\(4, 0\)"),
        ({"filters": (4,) * 5}, "height 24 is too small: with 5 stages"),
    ],
)
@pytest.mark.parametrize("network", [image_classifier, residual_classifier])
def test_arguments_outside_their_rule_are_named(network, arguments, told) -> None:
    with pytest.raises(ArgumentError, match=f"{network.__name__}: .*{told}"):
        network(**{"input_shape": SHAPE, "classes": 3} | arguments)


def test_there_is_a_block_in_each_stage() -> None:
    with pytest.raises(ArgumentError, match="blocks=0, but there must be 1 in each stage"):
        residual_classifier(SHAPE, 3, blocks=0)
