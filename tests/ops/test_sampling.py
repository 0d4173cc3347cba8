"""Affine transforms of images: beside Keras, beside SciPy, and their gradients."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from minicnn import GradientTape, Tensor, check_gradients, ops
from minicnn.errors import ArgumentError, ShapeError
from minicnn.kernels.sampling import gather, inside, places, scatter

ORACLE = Path(__file__).parents[1] / "oracles" / "keras_pipeline.npz"
MODES = ("constant", "nearest", "reflect", "wrap")


@pytest.fixture(scope="module")
def arrays():
    with np.load(ORACLE) as file:
        return {name: file[name] for name in file.files if name.startswith("affine")}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_values_are_those_of_keras(arrays, interpolation, mode):
    x, transform = arrays["affine/x"], arrays["affine/transform"]
    y = ops.affine_transform(x, transform, interpolation, mode, 7)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), arrays[f"affine/{interpolation}-{mode}"], atol=2e-4)


@pytest.mark.parametrize("mode", ["constant", "nearest", "reflect"])
def test_values_inside_and_outside_are_those_of_scipy(mode):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 9))
    matrix, offset = np.array([[0.7, 0.4], [-0.5, 0.9]]), np.array([1.3, -2.2])  # rows, columns
    transform = [
        matrix[1, 1], matrix[1, 0], offset[1], matrix[0, 1], matrix[0, 0], offset[0], 0, 0,
    ]  # fmt: skip
    kind = {"constant": "grid-constant"}.get(mode, mode)
    expected = ndimage.affine_transform(x, matrix, offset, order=1, mode=kind, cval=2.0)
    y = ops.affine_transform(x[..., None], transform, "bilinear", mode, 2.0)
    if mode == "reflect":
        # Between an edge's two equal pixels SciPy and TensorFlow agree, too.
        np.testing.assert_allclose(inside(np.array([-0.3, 5.2]), 6, mode), [0, 5])
    np.testing.assert_allclose(y.numpy()[..., 0], expected, atol=1e-12)


def test_gather_and_scatter_are_adjoint():
    rng = np.random.default_rng(1)
    for interpolation in ("bilinear", "nearest"):
        for mode in MODES:
            transform = rng.normal(size=(2, 8)) * [1, 1, 3, 1, 1, 3, 0, 0]
            where = places(transform, (4, 7), interpolation, mode, np.float64)
            x, dy = rng.normal(size=(2, 2, 28, 3))
            assert np.vdot(gather(x, where), dy) == pytest.approx(np.vdot(x, scatter(dy, where)))
            whole = where.weight.sum(1) + where.outside
            np.testing.assert_allclose(whole, 1)


def test_gradients_of_first_and_second_order():
    rng = np.random.default_rng(2)
    transform = [0.8, -0.5, 1.2, 0.4, 1.1, -0.6, 0, 0]

    def bent(x):
        y = ops.affine_transform(x, transform, fill_mode="reflect")
        return ops.sum(y * y * y)

    check_gradients(bent, rng.normal(size=(2, 3, 5, 2)))


def test_no_gradient_flows_out_of_the_fill_value():
    x = Tensor(np.ones((1, 2, 3, 1)))
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.affine_transform(x, [1, 0, 1, 0, 1, 0, 0, 0], fill_value=5.0)
    assert y.numpy()[0, :, :, 0].tolist() == [[1, 1, 5], [1, 1, 5]]
    assert tape.gradient(y, x).numpy()[0, :, :, 0].tolist() == [[0, 1, 1], [0, 1, 1]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: ops.affine_transform(x[0, 0], np.ones(8)), ShapeError, r"shape \(4, 1\)"),
        (lambda x: ops.affine_transform(x, np.ones((3, 8))), ShapeError, r"\(8,\) or \(2, 8\)"),
        (lambda x: ops.affine_transform(x.astype(int), np.ones(8)), ArgumentError, "be floats"),
        (lambda x: ops.affine_transform(x, np.ones(8), "cubic"), ArgumentError, "interpolation="),
        (
            lambda x: ops.affine_transform(x, np.ones(8), fill_mode="reflekt"),
            ArgumentError,
            "did you mean 'reflect'",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call(np.zeros((2, 3, 4, 1)))
