"""Max-pooling and average-pooling on every backend, against NumPy and SciPy."""

import numpy as np
import pytest
from hypothesis import given
from scipy import ndimage

import minicnn as mc
from minicnn.config import use_backend
from minicnn.geometry import conv2d_geometry
from minicnn.kernels import backend_module
from tests.helpers import BACKENDS, rng_integers
from tests.kernels.maps import places
from tests.strategies import poolings

EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)


def windows(x, g, fill):
    """Return the padded windows (N,OH,OW,C,KH,KW) by NumPy's own sliding windows."""
    sides = ((0, 0), (g.pad_top, g.pad_bottom), (g.pad_left, g.pad_right), (0, 0))
    padded = np.pad(x, sides, constant_values=fill)
    span = (
        (g.kernel_height - 1) * g.dilation_height + 1,
        (g.kernel_width - 1) * g.dilation_width + 1,
    )
    every = np.lib.stride_tricks.sliding_window_view(padded, span, (1, 2))
    kept = every[:, :: g.stride_height, :: g.stride_width]
    return kept[..., :: g.dilation_height, :: g.dilation_width]


def pooled(backend, rows, size, strides, padding="valid"):
    """Return the values and the places of max-pooling one image of one channel."""
    x = np.array(rows)[None, :, :, None]
    g = conv2d_geometry(x.shape[1:3], size, strides, padding)
    values, where = backend_module(backend).max_pool2d(x, g)
    return values[0, :, :, 0].tolist(), where[0, :, :, 0].tolist()


@EVERY_BACKEND
@given(case=poolings())
def test_max_pool_agrees_with_numpy(backend, case):
    x, g = case.image(), case.geometry  # whole numbers from -4 to 4: many are equal
    values, where = backend_module(backend).max_pool2d(x, g)
    seen = windows(x, g, -np.inf).reshape(*case.pooled_shape, g.kernel_height * g.kernel_width)
    np.testing.assert_array_equal(values, seen.max(axis=-1))
    numbers = np.arange(g.in_height * g.in_width).reshape(1, g.in_height, g.in_width, 1)
    numbers = windows(np.broadcast_to(numbers, x.shape), g, -1).reshape(seen.shape)
    first = np.take_along_axis(numbers, seen.argmax(axis=-1)[..., None], -1)[..., 0]
    np.testing.assert_array_equal(where, first)


@EVERY_BACKEND
@pytest.mark.parametrize("size", [(3, 2), (1, 4), (5, 3)])
def test_max_pool_agrees_with_scipy(backend, size):
    x = np.random.default_rng(1).normal(size=(2, 6, 9, 3)) - 5
    with use_backend(backend):
        y = mc.max_pool2d(x, size, (1, 1), padding="same").numpy()
    # SciPy centres an even window one pixel further towards the start.
    origin = tuple(-((k + 1) % 2) for k in size)
    expected = ndimage.maximum_filter(
        x, (1, *size, 1), mode="constant", cval=-np.inf, origin=(0, *origin, 0)
    )
    np.testing.assert_array_equal(y, expected)


@EVERY_BACKEND
def test_padding_is_no_zero_among_negative_numbers(backend):
    rows = [[-3.0, -1.0, -2.0], [-9.0, -5.0, -4.0]]
    values, where = pooled(backend, rows, (3, 2), (1, 2), padding="same")
    assert (values, where) == ([[-1.0, -2.0], [-1.0, -2.0]], [[1, 2], [1, 2]])


@EVERY_BACKEND
def test_of_equal_values_the_first_in_row_major_order_wins(backend):
    rows = [[1.0, 7.0, 0.0, 0.0], [7.0, 7.0, 0.0, 0.0], [7.0, 1.0, 0.0, 0.0]]
    assert pooled(backend, rows, (3, 2), (1, 2)) == ([[7.0, 0.0]], [[1, 2]])


@EVERY_BACKEND
def test_the_first_nan_wins_over_every_number(backend):
    nan, inf = np.nan, np.inf
    rows = [[5.0, nan, inf, 1.0, -inf, nan], [nan, 9.0, 2.0, nan, -inf, 0.0]]
    values, where = pooled(backend, rows, (2, 2), (3, 2))
    assert np.isnan(values).all()
    assert where == [[1, 9, 5]]


@EVERY_BACKEND
def test_minus_infinity_is_a_value_with_a_place(backend):
    rows = [[-np.inf, -np.inf, -np.inf], [-np.inf, -8.0, -np.inf]]
    values, where = pooled(backend, rows, (2, 1), (1, 1))
    assert (values, where) == ([[-np.inf, -8.0, -np.inf]], [[0, 4, 2]])


@EVERY_BACKEND
def test_windows_on_padding_alone_are_nowhere(backend):
    values, where = pooled(backend, [[-3.0, -4.0]], (1, 2), (1, 2), ((1, 0), (2, 3)))
    inf = np.inf
    assert values == [[-inf, -inf, -inf], [-inf, -3.0, -inf]]
    assert where == [[-1, -1, -1], [-1, 0, -1]]
    x = mc.Variable(np.array([[-3.0, -4.0]]).reshape(1, 1, 2, 1))
    with use_backend(backend):
        y = mc.max_pool2d(x, (1, 2), (1, 2), ((1, 0), (2, 3)))
        y.backward(np.full(y.shape, 5.0))
    assert x.grad.numpy().ravel().tolist() == [5.0, 0.0]


@EVERY_BACKEND
def test_overlapping_windows_add_their_gradients(backend):
    x = mc.Variable(np.array([[0.0, 9, 0, 1], [0, 0, 0, 0]]).reshape(1, 2, 4, 1))
    with use_backend(backend):
        y = mc.max_pool2d(x, (2, 2), (1, 1))
        y.backward(np.array([1.0, 10, 100]).reshape(y.shape))
    assert x.grad.numpy()[0, :, :, 0].tolist() == [[0, 11, 0, 100], [0, 0, 0, 0]]


@EVERY_BACKEND
@given(case=poolings())
def test_scatter_and_gather_are_adjoint(backend, case):
    module, g, where = backend_module(backend), case.geometry, places(case)
    x, dy = case.image(), case.pooled()
    spread = module.scatter(dy, where, g)
    assert np.vdot(module.gather(x, where, g), dy) == np.vdot(x, spread)
    expected = np.zeros((case.batch, g.in_height * g.in_width + 1, case.channels))
    for at in np.ndindex(dy.shape):  # place -1 falls into the last row
        expected[at[0], where[at], at[3]] += dy[at]
    np.testing.assert_array_equal(spread, expected[:, :-1].reshape(x.shape))


@EVERY_BACKEND
@given(case=poolings())
def test_gathering_at_the_places_of_the_maxima_gives_the_maxima(backend, case):
    module, g = backend_module(backend), case.geometry
    values, where = module.max_pool2d(case.image(), g)
    found = module.gather(case.image(), where, g)
    np.testing.assert_array_equal(found, np.where(where < 0, 0, values))


@EVERY_BACKEND
@given(case=poolings())
def test_average_pool_divides_by_the_pixels_inside(backend, case):
    x, g = case.image(), case.geometry
    count = windows(np.ones(x.shape), g, 0).sum((-2, -1))
    expected = windows(x, g, 0).sum((-2, -1)) / np.maximum(count, 1)
    y = backend_module(backend).average_pool2d(x, g)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@EVERY_BACKEND
@given(case=poolings())
def test_average_pool_and_its_gradient_are_adjoint(backend, case):
    module, g = backend_module(backend), case.geometry
    x, dy = case.image(), case.pooled()
    np.testing.assert_allclose(
        np.vdot(module.average_pool2d(x, g), dy),
        np.vdot(x, module.average_pool2d_gradient(dy, g)),
        rtol=1e-12,
        atol=1e-11,
    )


@EVERY_BACKEND
def test_average_at_the_corner_by_hand(backend):
    x = np.array([[1.0, 2, 3], [4, 5, 6]]).reshape(1, 2, 3, 1)
    with use_backend(backend):
        y = mc.average_pool2d(x, (3, 2), (1, 2), padding="same").numpy()[0, :, :, 0]
    assert y.tolist() == [[3.0, 4.5], [3.0, 4.5]]  # four pixels, then two, of the six


@EVERY_BACKEND
def test_strides_are_the_window_unless_given(backend):
    x = rng_integers(1, (2, 7, 9, 2))
    with use_backend(backend):
        for function, reduce in ((mc.max_pool2d, np.max), (mc.average_pool2d, np.mean)):
            blocks = x[:, :6, :8].reshape(2, 2, 3, 4, 2, 2)  # the rest is left over
            np.testing.assert_allclose(
                function(x, (3, 2)).numpy(), reduce(blocks, axis=(2, 4)), rtol=1e-14
            )
