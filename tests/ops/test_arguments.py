"""What people give to operations on images: matrices, missing axes, PyTorch's order, no numbers."""

import warnings
from fractions import Fraction

import numpy as np
import pytest

import minicnn as mc
from minicnn.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(5)
IMAGES, KERNEL = RNG.random((2, 8, 9, 3)), RNG.random((3, 2, 3, 5))
MATRIX, WINDOW = RNG.random((8, 9)), RNG.random((3, 2))
FOUR, TORCH_KERNEL_OF_FOUR = RNG.random((2, 8, 9, 4)), RNG.random((5, 4, 3, 2))
TORCH_IMAGES, TORCH_KERNEL = IMAGES.transpose(0, 3, 1, 2), KERNEL.transpose(3, 2, 0, 1)


def message(function):
    with pytest.raises(ArgumentError) as caught:
        function()
    return str(caught.value)


def as_images(operation, kernel=True, **options):
    """The operation on a matrix as one on a batch of one image of one channel."""
    arrays = [MATRIX[None, :, :, None], *([WINDOW[:, :, None, None]] if kernel else [])]
    return operation(*arrays, **options).numpy()[0, :, :, 0]


@pytest.mark.parametrize("options", [{}, {"strides": (1, 2), "padding": "same"}, {"bias": [2.0]}])
@pytest.mark.parametrize("operation", [mc.conv2d, mc.conv2d_transpose])
def test_a_matrix_and_a_matrix_give_a_matrix(operation, options):
    y = operation(MATRIX, WINDOW, **options).numpy()
    np.testing.assert_array_equal(y, as_images(operation, **options))


def test_a_number_is_the_bias_of_a_matrix():
    y = mc.conv2d(MATRIX, WINDOW, 2.0).numpy()
    np.testing.assert_allclose(y, mc.cross_correlate2d(MATRIX, WINDOW) + 2)


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        (mc.max_pool2d, {"pool_size": (2, 3)}),
        (mc.average_pool2d, {"strides": 1}),
        (mc.upsample2d, {"size": (2, 3)}),
        (mc.ops.resize2d, {"size": (4, 5), "interpolation": "bilinear"}),
    ],
)
def test_a_matrix_stays_one(operation, options):
    np.testing.assert_array_equal(
        operation(MATRIX, **options).numpy(), as_images(operation, kernel=False, **options)
    )


def test_gradients_of_matrices_are_matrices():
    mc.check_gradients(lambda x, k: mc.conv2d(x, k, padding="same"), MATRIX[:3, :4], WINDOW)


#: Calls, and the cure that their message names; what it gives is tried below.
CURED = {
    "kernel_of_two_axes": (IMAGES[..., :1], WINDOW, None, "kernel[:, :, None, None]"),
    "kernel_for_all_channels": (
        *(IMAGES, WINDOW, None),
        "np.repeat(kernel[:, :, None, None], 3, axis=2)",
    ),
    "one_filter": (IMAGES, KERNEL[..., 0], None, "kernel[..., None]"),
    "one_channel": (IMAGES[..., :1], KERNEL[:, :, 0], None, "kernel[:, :, None, :]"),
    "torch_filter": (
        *(IMAGES, TORCH_KERNEL[0], None),
        "kernel.transpose(1, 2, 0)[..., None]",
    ),
    "torch_kernel": (
        *(FOUR, TORCH_KERNEL_OF_FOUR),
        *(None, "kernel.transpose(2, 3, 1, 0)"),
    ),
    "channels_first": (TORCH_IMAGES, KERNEL, "x.transpose(0, 2, 3, 1)", None),
    "both_of_torch": (
        *(FOUR.transpose(0, 3, 1, 2), TORCH_KERNEL_OF_FOUR),
        *("x.transpose(0, 2, 3, 1)", "kernel.transpose(2, 3, 1, 0)"),
    ),
    "no_batch": (IMAGES[0], KERNEL, "x[None]", None),
    "channels_first_and_no_batch": (
        *(TORCH_IMAGES[0], KERNEL),
        *("x.transpose(1, 2, 0)[None]", None),
    ),
    "grey_images": (IMAGES[..., 0], KERNEL[:, :, :1], "x[..., None]", None),
    "grey_image": (MATRIX, KERNEL[:, :, :1], "x[None, ..., None]", None),
    "colour_for_one_channel": (
        *(IMAGES, KERNEL[:, :, :1]),
        *("x.mean(axis=-1, keepdims=True)", None),
    ),
    "grey_for_three_channels": (IMAGES[..., :1], KERNEL, "np.repeat(x, 3, axis=-1)", None),
}


@pytest.mark.parametrize("name", CURED)
def test_the_message_names_a_cure_that_works(name):
    x, kernel, *cures = CURED[name]
    said = message(lambda: mc.conv2d(x, kernel))
    names = {"x": x, "kernel": kernel, "np": np}
    for cure in cures:
        assert (cure or "") in said
    x, kernel = (
        names[n] if cure is None else eval(cure, names)
        for n, cure in zip(("x", "kernel"), cures, strict=True)
    )
    assert mc.conv2d(x, kernel).shape == (len(x), 6, 8, kernel.shape[-1])


def test_a_torch_kernel_of_a_transposed_convolution_is_recognised():
    kernel = RNG.random((3, 5, 4, 2))  # (C,F,KH,KW)
    said = message(lambda: mc.conv2d_transpose(IMAGES, kernel))
    assert "as in PyTorch: kernel.transpose(2, 3, 1, 0) fits, (4, 2, 5, 3)" in said
    assert mc.conv2d_transpose(IMAGES, kernel.transpose(2, 3, 1, 0)).shape == (2, 11, 10, 5)


@pytest.mark.parametrize("kernel", [(5, 3, 3, 3), (16, 3, 3, 3)])
def test_torch_kernels_that_happen_to_fit_are_told_by_their_bias_or_height(kernel):
    bias = np.ones(kernel[0]) if kernel[0] == 5 else None
    said = message(lambda: mc.conv2d(IMAGES, np.ones(kernel), bias))
    assert f"as in PyTorch: kernel.transpose(2, 3, 1, 0) fits, {(3, 3, 3, kernel[0])}" in said


def test_filters_as_high_as_images_are_a_warning():
    images = np.ones((1, 40, 30, 3))
    with pytest.warns(UserWarning, match=r"as in PyTorch: kernel.transpose\(2, 3, 1, 0\) fits"):
        y = mc.conv2d(images, np.ones((16, 3, 3, 3)))
    assert y.shape == (1, 25, 28, 3)


@pytest.mark.parametrize(
    "kernel", [(5, 3, 3, 3), (3, 3, 3, 3), (7, 3, 3, 3), (8, 1, 3, 1), (9, 3, 3, 3), (8, 3, 3, 5)]
)
def test_a_call_that_fits_is_silent(kernel):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mc.conv2d(np.ones((1, 40, 30, 3)), np.ones(kernel)).shape[1] == 41 - kernel[0]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: mc.conv2d("cell.png", KERNEL), "conv2d: x is the text 'cell.png', but"),
        (lambda: mc.conv2d("cell.png", KERNEL), "minicnn.utils.load_img"),
        (lambda: mc.conv2d(IMAGES, None), "conv2d: kernel is None, but it must be numbers"),
        (lambda: mc.conv2d(None, KERNEL), "conv2d: x is None"),
        (lambda: mc.conv2d(IMAGES, KERNEL, "zeros"), "conv2d: bias is the text 'zeros'"),
        (lambda: mc.conv2d([IMAGES[0], IMAGES[0, :5]], KERNEL), "shapes (5, 9, 3), (8, 9, 3)"),
        (lambda: mc.max_pool2d([[1, 2], [3]]), "max_pool2d: x is a list whose rows are of differ"),
        (lambda: mc.cross_correlate2d("cell.png", WINDOW), "cross_correlate2d: image is the text"),
        (lambda: mc.convolve2d(MATRIX, None), "convolve2d: kernel is None"),
        (
            lambda: mc.average_pool2d(IMAGES[0]),
            "x[None] is a batch of this one image, (1, 8, 9, 3)",
        ),
    ],
)
def test_messages_name_the_argument(function, words):
    assert words in message(function)


@pytest.mark.parametrize("slide", [mc.cross_correlate2d, mc.convolve2d])
def test_integers_of_images_hold_every_sum(slide):
    image, kernel = np.full((4, 5), 200, "uint8"), np.ones((3, 2), "uint8")
    y = slide(image, kernel, "valid")
    assert y.dtype == np.int64
    assert y.tolist() == [[1200] * 4] * 2
    assert slide(image > 0, kernel > 0, "valid").tolist() == [[6] * 4] * 2
    large = slide(np.full((2, 3), 2**62), np.full((1, 2), -4), "valid")
    assert large.tolist() == [[-(2**65)] * 2] * 2
    assert slide([[Fraction(1, 3)]], [[Fraction(3, 2)]]).tolist() == [[Fraction(1, 2)]]


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("slide", [mc.cross_correlate2d, mc.convolve2d])
def test_each_channel_of_a_colour_image_is_taken_by_itself(slide, mode):
    image = RNG.integers(0, 256, (8, 9, 3)).astype("uint8")
    y = slide(image, [[1, 2], [0, -1], [3, 1]], mode)
    for c in range(3):
        np.testing.assert_array_equal(
            y[..., c], slide(image[..., c], [[1, 2], [0, -1], [3, 1]], mode)
        )
    assert y.shape[2] == 3


def test_what_cannot_slide_is_refused():
    with pytest.raises(ShapeError, match=r"matrix \(H,W\) or one colour image \(H,W,C\)"):
        mc.cross_correlate2d(IMAGES, WINDOW)
    with pytest.raises(ShapeError, match=r"kernel has shape .* each channel"):
        mc.cross_correlate2d(IMAGES[0], KERNEL[..., 0])
