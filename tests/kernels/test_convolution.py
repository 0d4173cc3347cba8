"""Convolution: its identities on every backend, and SciPy's values."""

import inspect
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

import minicnn as mc
from minicnn.config import use_backend
from minicnn.kernels import backend_module, loops, vectorized
from minicnn.runtime.threads import one_blas_thread
from tests.helpers import BACKENDS, ROOT, rng_integers
from tests.kernels.maps import arguments
from tests.strategies import cases, different

EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
EVERY_MODE = pytest.mark.parametrize("mode", ["full", "same", "valid"])
STORED = json.loads((ROOT / "tests/oracles/scipy_convolution.json").read_text())["cases"]
SCIPY = {mc.cross_correlate2d: signal.correlate2d, mc.convolve2d: signal.convolve2d}
BOTH = pytest.mark.parametrize("function", list(SCIPY), ids=lambda f: f.__name__)

#: Some options where nothing is alike in height and width.
OPTIONS = {"strides": (2, 1), "padding": ((0, 3), (2, 1)), "dilation_rate": (1, 2)}


@st.composite
def matrices(draw, *, fitting):
    """An image and a kernel of whole numbers, even sizes included; `fitting` for "valid"."""
    kernel = draw(different(1, 6))
    image = draw(different(1, 6))
    if fitting:
        image = tuple(k + n - 1 for k, n in zip(kernel, image, strict=True))
    seed = draw(st.integers(0, 2**32 - 1))
    return rng_integers((seed, 1), image, "int64"), rng_integers((seed, 2), kernel, "int64")


def by_scipy(x, kernel, g):
    """Return conv2d from `scipy.signal.correlate2d` of one channel and one filter at a time."""
    sides = ((0, 0), (g.pad_top, g.pad_bottom), (g.pad_left, g.pad_right), (0, 0))
    padded = np.pad(x, sides)
    height, width, taken, filters = kernel.shape
    spread = np.zeros(
        ((height - 1) * g.dilation_height + 1, (width - 1) * g.dilation_width + 1, taken, filters)
    )
    spread[:: g.dilation_height, :: g.dilation_width] = kernel
    y = np.zeros((len(x), g.out_height, g.out_width, filters))
    for n, f, c in np.ndindex(len(x), filters, taken):
        channel = f // (filters // g.groups) * taken + c
        one = signal.correlate2d(padded[n, :, :, channel], spread[:, :, c, f], "valid")
        y[n, :, :, f] += one[:: g.stride_height, :: g.stride_width]
    return y


def copies(x, kernel, g):
    """Return the transposed convolution by its definition: a scaled kernel for each pixel of x."""
    height = g.in_height + g.pad_top + g.pad_bottom
    width = g.in_width + g.pad_left + g.pad_right
    rows = np.arange(g.kernel_height) * g.dilation_height
    columns = np.arange(g.kernel_width) * g.dilation_width
    taken, share = kernel.shape[2], kernel.shape[3] // g.groups
    canvas = np.zeros((len(x), height, width, taken * g.groups))
    for n, h, w, f in np.ndindex(x.shape):
        group = slice(f // share * taken, (f // share + 1) * taken)
        place = np.ix_(rows + h * g.stride_height, columns + w * g.stride_width)
        canvas[n, :, :, group][place] += x[n, h, w, f] * kernel[:, :, :, f]
    return canvas[:, g.pad_top :, g.pad_left :][:, : g.in_height, : g.in_width]


@EVERY_BACKEND
@given(case=cases())
def test_the_three_maps_are_adjoint(backend, case):
    module, g = backend_module(backend), case.geometry
    x, kernel, dy = case.image(), case.kernel(), case.output()
    product = np.vdot(module.conv2d(x, kernel, g), dy)
    assert np.vdot(x, module.conv2d_input_gradient(dy, kernel, g)) == product
    assert np.vdot(kernel, module.conv2d_kernel_gradient(x, dy, g)) == product


def test_the_definitions_are_one_walk_with_one_line_exchanged():
    maps = (loops.conv2d, loops.conv2d_input_gradient, loops.conv2d_kernel_gradient)
    walks = [inspect.getsource(f).split("    for n in")[1].splitlines()[:-1] for f in maps]
    assert {walk[-1].strip() for walk in walks} == {
        "y[n, oh, ow, f] += x[n, h, w, first + c] * kernel[i, j, c, f]",
        "dx[n, h, w, first + c] += dy[n, oh, ow, f] * kernel[i, j, c, f]",
        "dk[i, j, c, f] += x[n, h, w, first + c] * dy[n, oh, ow, f]",
    }
    assert walks[0][:-1] == walks[1][:-1] == walks[2][:-1]
    assert sum(" in range(" in line for line in walks[0]) == 6  # and the first, over n


@EVERY_BACKEND
@given(case=cases())
def test_linear_in_the_image_and_in_the_kernel(backend, case):
    conv2d, g = backend_module(backend).conv2d, case.geometry
    x, other, k, kernel = case.image(), case.image(again=1), case.kernel(), case.kernel(again=1)
    np.testing.assert_array_equal(
        conv2d(2 * x - 3 * other, k, g), 2 * conv2d(x, k, g) - 3 * conv2d(other, k, g)
    )
    np.testing.assert_array_equal(
        conv2d(x, 2 * k - 3 * kernel, g), 2 * conv2d(x, k, g) - 3 * conv2d(x, kernel, g)
    )


@EVERY_BACKEND
@given(case=cases())
def test_agrees_with_scipy(backend, case):
    with use_backend(backend):
        y = mc.conv2d(case.image(), case.kernel(), **case.options).numpy()
    np.testing.assert_array_equal(y, by_scipy(case.image(), case.kernel(), case.geometry))


@EVERY_BACKEND
@given(case=cases(modes=("valid",)), steps=different(0, 2))
def test_moving_the_image_moves_the_result(backend, case, steps):
    g = case.geometry
    down, right = steps[0] * g.stride_height, steps[1] * g.stride_width
    shape = (case.batch, g.in_height + down, g.in_width + right, case.channels)
    x = rng_integers(case.seed, shape)
    with use_backend(backend):
        whole = mc.conv2d(x, case.kernel(), **case.options).numpy()
        moved = mc.conv2d(x[:, down:, right:], case.kernel(), **case.options).numpy()
    np.testing.assert_array_equal(moved, whole[:, steps[0] :, steps[1] :])


@EVERY_BACKEND
@given(case=cases())
def test_transposed_lays_down_a_kernel_for_each_pixel_and_restores_the_shape(backend, case):
    g = case.geometry
    with use_backend(backend):
        y = mc.conv2d(case.image(), case.kernel(), **case.options)
        back = mc.conv2d_transpose(
            y, case.kernel(), output_size=(g.in_height, g.in_width), **case.options
        )
    assert back.shape == case.image_shape
    np.testing.assert_array_equal(back.numpy(), copies(y.numpy(), case.kernel(), g))


@EVERY_BACKEND
def test_bias_is_added_to_its_filter(backend):
    x, bias = rng_integers(1, (2, 5, 7, 3)), np.array([10.0, -20.0])
    with use_backend(backend):
        for function, kernel in (
            (mc.conv2d, rng_integers(2, (3, 2, 3, 2))),
            (mc.conv2d_transpose, rng_integers(2, (3, 2, 2, 3))),
        ):
            plain = function(x, kernel, **OPTIONS).numpy()
            y = function(x, kernel, bias, **OPTIONS).numpy()
            np.testing.assert_array_equal(y[..., 0], plain[..., 0] + 10)
            np.testing.assert_array_equal(y[..., 1], plain[..., 1] - 20)


@pytest.mark.parametrize("kernel", [(1, 2), (2, 3), (3, 4), (6, 5)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
def test_same_keeps_the_size_at_stride_one(kernel, dilation):
    x = rng_integers(1, (1, 4, 7, 1))
    y = mc.conv2d(x, rng_integers(2, (*kernel, 1, 2)), padding="same", dilation_rate=dilation)
    assert y.shape == (1, 4, 7, 2)
    y = mc.conv2d_transpose(x, rng_integers(2, (*kernel, 2, 1)), padding="same")
    assert y.shape == (1, 4, 7, 2)


@BOTH
@EVERY_MODE
@pytest.mark.parametrize("stored", STORED, ids=range(len(STORED)))
def test_stored_values_of_scipy(function, mode, stored):
    expected = stored[SCIPY[function].__name__][mode]
    result = function(stored["image"], stored["kernel"], mode)
    assert result.dtype.kind == "i"
    np.testing.assert_array_equal(result, expected)


@BOTH
@EVERY_MODE
@given(fitting=matrices(fitting=True), loose=matrices(fitting=False))
def test_plane_functions_agree_with_scipy(function, mode, fitting, loose):
    image, kernel = fitting if mode == "valid" else loose  # SciPy exchanges the two in "valid"
    result = function(image, kernel, mode)
    np.testing.assert_array_equal(result, SCIPY[function](image, kernel, mode))
    assert result.dtype == np.int64


@BOTH
def test_plane_functions_keep_the_type(function):
    image, kernel = rng_integers(1, (4, 6)), rng_integers(2, (2, 3))
    for dtype in ("int32", "int64", "float32", "float64"):
        result = function(image.astype(dtype), kernel.astype(dtype))
        assert result.dtype == dtype
    assert function(image.astype("int32"), kernel.astype("float64")).dtype == "float64"


@pytest.mark.parametrize("backend", ["loops", "numpy"])
@BOTH
def test_plane_functions_on_other_backends(backend, function):
    image, kernel = rng_integers(1, (5, 7), "int64"), rng_integers(2, (4, 3), "int64")
    with use_backend(backend):
        result = function(image, kernel, "same")
    np.testing.assert_array_equal(result, SCIPY[function](image, kernel, "same"))


@given(pair=matrices(fitting=False))
def test_full_convolution_is_commutative(pair):
    image, kernel = pair
    np.testing.assert_array_equal(mc.convolve2d(image, kernel), mc.convolve2d(kernel, image))


@EVERY_MODE
@given(pair=matrices(fitting=True))
def test_turning_the_kernel_exchanges_the_two(mode, pair):
    image, kernel = pair
    if mode == "same":
        kernel = np.pad(kernel, [(0, 1 - n % 2) for n in kernel.shape])  # odd sizes
    np.testing.assert_array_equal(
        mc.cross_correlate2d(image, kernel, mode), mc.convolve2d(image, kernel[::-1, ::-1], mode)
    )


def test_an_even_kernel_has_two_middles():
    # full: [10, 21, 32, 3]; correlation keeps the later middle, convolution the earlier one.
    assert mc.convolve2d([[1, 2, 3]], [[10, 1]], "same").tolist() == [[10, 21, 32]]
    assert mc.cross_correlate2d([[1, 2, 3]], [[1, 10]], "same").tolist() == [[21, 32, 3]]


@given(pair=matrices(fitting=False))
def test_same_is_that_of_conv2d(pair):
    image, kernel = pair
    y = mc.conv2d(
        image[None, :, :, None].astype(float),
        kernel[:, :, None, None].astype(float),
        padding="same",
    )
    np.testing.assert_array_equal(
        y.numpy()[0, :, :, 0], mc.cross_correlate2d(image, kernel, "same")
    )


@BOTH
@pytest.mark.parametrize(
    ("image", "kernel", "mode", "words"),
    [
        ([1, 2], [[1]], "full", r"image has shape \(2,\), but must be a matrix"),
        ([[1]], [[[1]]], "full", r"kernel has shape \(1, 1, 1\), but must be a matrix"),
        ([[1]], np.zeros((0, 3)), "full", r"kernel has shape \(0, 3\)"),
        ([[1, 2, 3]], [[1], [2]], "valid", "the height has only 1"),
        ([[1]], [[1]], "vallid", "mode='vallid' is not known.*did you mean 'valid'"),
    ],
)
def test_plane_functions_say_what_does_not_fit(function, image, kernel, mode, words):
    with pytest.raises(mc.errors.ArgumentError, match=f"{function.__name__}: .*{words}"):
        function(image, kernel, mode)


def real_numbers(name):
    """Return float32 arguments of a map whose sums round, and their geometry."""
    g = mc.geometry.conv2d_geometry((9, 14), (3, 2), (2, 1), ((1, 0), (2, 3)), (1, 2))
    rng = np.random.default_rng(3)
    x = rng.normal(size=(6, 9, 14, 5)).astype("float32")
    kernel = rng.normal(size=(3, 2, 5, 7)).astype("float32")
    dy = rng.normal(size=(6, g.out_height, g.out_width, 7)).astype("float32")
    return {
        "conv2d": (x, kernel, g),
        "conv2d_input_gradient": (dy, kernel, g),
        "conv2d_kernel_gradient": (x, dy, g),
    }[name]


MAPS = pytest.mark.parametrize(
    "name", ["conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient"]
)


@MAPS
@EVERY_BACKEND
def test_two_runs_give_the_same_bits(backend, name):
    function, given_arguments = getattr(backend_module(backend), name), real_numbers(name)
    assert len({function(*given_arguments).tobytes() for _ in range(2)}) == 1


@MAPS
def test_threads_give_the_bits_of_one_thread(name, monkeypatch):
    monkeypatch.setattr(vectorized, "BLOCK_BYTES", 1)  # one image in each block
    threaded, calls = vectorized.in_threads, []
    monkeypatch.setattr(
        vectorized, "in_threads", lambda work, items: calls.append(1) or threaded(work, items)
    )
    function = getattr(vectorized, name)
    parallel = function(*real_numbers(name)).tobytes()
    assert calls
    monkeypatch.setattr(vectorized, "in_threads", lambda work, items: [work(i) for i in items])
    with one_blas_thread():
        assert function(*real_numbers(name)).tobytes() == parallel


@MAPS
@given(case=cases())
def test_blocks_of_one_image_give_the_numbers_of_one_block(name, case):
    function, given_arguments = getattr(vectorized, name), arguments(name, case)
    whole = function(*given_arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectorized, "BLOCK_BYTES", 1)
        np.testing.assert_array_equal(function(*given_arguments), whole)
