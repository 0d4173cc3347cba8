"""Winograd's filtering against the direct way, and the formula it stands on."""

import numpy as np
import pytest

from minicnn.geometry import conv2d_geometry
from minicnn.kernels import compiled, vectorized
from minicnn.kernels.compiled import convolution, winograd
from minicnn.kernels.compiled.tile import lanes
from minicnn.kernels.masked_gradient import MaskedGradient

RNG = np.random.default_rng(9)

SHAPES = [
    # images, height, width, channels, filters, padding
    (2, 12, 9, 16, 32, "same"),
    (1, 6, 22, 32, 16, "valid"),
    (3, 7, 6, 48, 16, ((1, 0), (2, 1))),
    (2, 6, 11, 16, 48, ((2, 2), (0, 3))),
]


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


def case(images, height, width, channels, filters, padding):
    g = conv2d_geometry((height, width), (3, 3), padding=padding)
    x, kernel = normal(images, height, width, channels), normal(3, 3, channels, filters)
    return x, kernel, normal(filters), g


def exact(function, *arrays):
    *numbers, g = arrays
    return function(*(a.astype("float64") for a in numbers), g)


def assert_near(result, expected):
    # Sums of some hundred products of either sign, in float32.
    np.testing.assert_allclose(result, expected, atol=4e-6 * np.abs(expected).max(), rtol=0)


def test_one_axis_of_the_formula():
    pixels, kernel = np.array([3.0, -1.0, 4.0, 7.0]), np.array([2.0, 5.0, -3.0])
    d0, d1, d2, d3 = pixels
    m = (np.array(winograd.KERNEL_SIDE) @ kernel) * [d0 - d2, d1 + d2, d2 - d1, d1 - d3]
    direct = np.correlate(pixels, kernel, "valid")
    assert [m[0] + m[1] + m[2], m[1] - m[2] - m[3]] == direct.tolist() == [-11.0, -3.0]


def test_the_kernel_is_taken_along_both_axes():
    kernel = np.arange(18.0).reshape(3, 3, 2, 1)
    side = np.array(winograd.KERNEL_SIDE)
    expected = [side @ kernel[:, :, c, 0] @ side.T for c in range(2)]
    found = winograd.winograd_kernel(kernel).reshape(4, 4, 2)
    np.testing.assert_allclose(np.moveaxis(found, 2, 0), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_forward_equals_the_direct_way(shape, monkeypatch):
    x, kernel, bias, g = case(*shape)
    images, channels = x.shape[0], x.shape[3]
    width = lanes(x.dtype)
    assert convolution.winograd_plan(g, images, channels, len(bias), width, 1, 1, None, 1)
    expected = np.maximum(exact(vectorized.conv2d, x, kernel, g) + bias, 0)
    assert_near(compiled.conv2d(x, kernel, g, bias, relu=True), expected)
    assert_near(compiled.conv2d(x, kernel, g), exact(vectorized.conv2d, x, kernel, g))
    monkeypatch.setattr(convolution, "winograd_plan", lambda *_: None)
    assert_near(compiled.conv2d(x, kernel, g, bias, relu=True), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_input_gradient_equals_the_direct_way(shape, monkeypatch):
    x, kernel, bias, g = case(*shape)
    dy = normal(len(x), g.out_height, g.out_width, len(bias))
    truth = normal(*dy.shape)
    expected = exact(vectorized.conv2d_input_gradient, dy, kernel, g)
    masked = exact(vectorized.conv2d_input_gradient, dy * (truth > 0), kernel, g)
    for _ in range(2):
        assert_near(compiled.conv2d_input_gradient(dy, kernel, g), expected)
        assert_near(compiled.conv2d_input_gradient(MaskedGradient(dy, truth), kernel, g), masked)
        monkeypatch.setattr(convolution, "winograd_plan", lambda *_: None)


@pytest.mark.parametrize("shape", SHAPES)
def test_pooling_follows_in_the_same_pass(shape):
    x, kernel, bias, g = case(*shape)
    pool = conv2d_geometry((g.out_height, g.out_width), (2, 2), (2, 2))
    unpooled = compiled.conv2d(x, kernel, g, bias, relu=True)
    expected, places = vectorized.max_pool2d(unpooled, pool)
    values, where = compiled.conv2d_max_pool2d(x, kernel, g, bias, True, pool)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(where, places)


def test_float64_and_unsuitable_layers_take_the_direct_way(monkeypatch):
    def refuse(kernel):
        raise AssertionError("Winograd's filtering was chosen")

    monkeypatch.setattr(convolution, "winograd_kernel", refuse)
    x, kernel, _, g = case(*SHAPES[0])
    exact(compiled.conv2d, x, kernel, g)
    for options in ({"strides": 2}, {"dilation_rate": 2}, {"groups": 2}):
        g = conv2d_geometry((12, 9), (3, 3), **options)
        compiled.conv2d(x, normal(3, 3, 16 // g.groups, 32), g)
    compiled.conv2d(x, normal(3, 3, 16, 30), conv2d_geometry((12, 9), (3, 3)))
    with pytest.raises(AssertionError, match="was chosen"):
        compiled.conv2d(x, kernel, conv2d_geometry((12, 9), (3, 3)))


def test_errors_are_smaller_than_the_direct_way_s(monkeypatch):
    x, kernel, _, g = case(4, 28, 24, 64, 64, "same")
    expected = exact(vectorized.conv2d, x, kernel, g)
    with_winograd = np.abs(compiled.conv2d(x, kernel, g) - expected).max()
    monkeypatch.setattr(convolution, "winograd_plan", lambda *_: None)
    directly = np.abs(compiled.conv2d(x, kernel, g) - expected).max()
    assert with_winograd < directly < 2e-6 * np.abs(expected).max()
