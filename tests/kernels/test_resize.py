"""Resizing on every backend, against NumPy and SciPy."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import minicnn as mc
from minicnn import ops
from minicnn.config import use_backend
from minicnn.geometry import Resize
from minicnn.kernels import backend_module
from tests.helpers import BACKENDS, rng_integers
from tests.strategies import different, resizes

EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
EVERY_INTERPOLATION = pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])


def image(size, seed=1):
    return rng_integers(seed, (2, size.in_height, size.in_width, 3))


def centres(n, out):
    """Return where the centres of the new pixels lie between those of the old."""
    return (np.arange(out) + 0.5) * n / out - 0.5


@EVERY_BACKEND
@given(size=resizes())
def test_nearest_takes_the_pixel_under_the_centre(backend, size):
    rows, columns = (
        [floor((o + Fraction(1, 2)) * n / out) for o in range(out)]
        for n, out in ((size.in_height, size.out_height), (size.in_width, size.out_width))
    )
    x = image(size)
    y = backend_module(backend).resize2d(x, size, "nearest")
    np.testing.assert_array_equal(y, x[:, rows][:, :, columns])


@EVERY_BACKEND
@given(sizes=different(1, 5), factors=different(1, 4))
def test_upsampling_copies_each_pixel_into_a_block(backend, sizes, factors):
    x = rng_integers(1, (2, *sizes, 3))
    with use_backend(backend):
        y = mc.upsample2d(x, factors).numpy()
    np.testing.assert_array_equal(y, x.repeat(factors[0], axis=1).repeat(factors[1], axis=2))


@EVERY_BACKEND
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([10, 20, 40], [10, 14, 20, 32, 40]),  # centres at -0.2, 0.4, 1.0, 1.6 and 2.2
        ([1, 2, 3, 8], [1.5, 5.5]),  # centres at 0.5 and 2.5
        ([8, 4], [8, 7, 5, 4]),  # centres at -0.25, 0.25, 0.75 and 1.25
    ],
)
def test_bilinear_rows_by_hand(backend, row, expected):
    for shape in ((1, 1, -1, 1), (1, -1, 1, 1)):
        x = np.array(row, float).reshape(shape)
        size = (1, len(expected)) if shape[1] == 1 else (len(expected), 1)
        with use_backend(backend):
            y = ops.resize2d(x, size, "bilinear").numpy()
        assert y.shape == (1, *size, 1)
        np.testing.assert_allclose(y.ravel(), expected, rtol=1e-14)


@EVERY_BACKEND
@given(size=resizes())
def test_bilinear_agrees_with_numpy_and_scipy(backend, size):
    x = image(size)
    y = backend_module(backend).resize2d(x, size, "bilinear")
    rows, columns = centres(size.in_height, size.out_height), centres(size.in_width, size.out_width)
    expected = x
    for axis, places in ((1, rows), (2, columns)):
        old = np.arange(x.shape[axis])
        expected = np.apply_along_axis(
            lambda line, places=places, old=old: np.interp(places, old, line), axis, expected
        )
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    grid = np.meshgrid(rows, columns, indexing="ij")
    by_scipy = ndimage.map_coordinates(x[1, :, :, 2], grid, order=1, mode="nearest")
    np.testing.assert_allclose(y[1, :, :, 2], by_scipy, rtol=1e-12, atol=1e-12)


@EVERY_BACKEND
@EVERY_INTERPOLATION
@given(size=resizes())
def test_resizing_and_its_gradient_are_adjoint(backend, interpolation, size):
    module, x = backend_module(backend), image(size)
    dy = rng_integers(2, (2, size.out_height, size.out_width, 3))
    np.testing.assert_allclose(
        np.vdot(module.resize2d(x, size, interpolation), dy),
        np.vdot(x, module.resize2d_gradient(dy, size, interpolation)),
        rtol=1e-12,
        atol=1e-10,
    )


@EVERY_BACKEND
@given(size=resizes(), slopes=st.tuples(st.integers(-3, 3), st.integers(-3, 3)))
def test_linear_images_stay_linear_in_the_interior(backend, size, slopes):
    def plane(rows, columns):
        return 7.0 + slopes[0] * np.asarray(rows)[:, None] + slopes[1] * np.asarray(columns)

    x = plane(range(size.in_height), range(size.in_width))[None, :, :, None]
    y = backend_module(backend).resize2d(x, size, "bilinear")[0, :, :, 0]
    rows, columns = centres(size.in_height, size.out_height), centres(size.in_width, size.out_width)
    inside = np.ix_(
        (rows >= 0) & (rows <= size.in_height - 1), (columns >= 0) & (columns <= size.in_width - 1)
    )
    np.testing.assert_allclose(y[inside], plane(rows, columns)[inside], rtol=1e-12, atol=1e-12)


@EVERY_BACKEND
@EVERY_INTERPOLATION
@given(sizes=different(1, 7))
def test_equal_sizes_change_nothing(backend, interpolation, sizes):
    size = Resize(*sizes, *sizes)
    module, x = backend_module(backend), image(size)
    np.testing.assert_array_equal(module.resize2d(x, size, interpolation), x)
    np.testing.assert_array_equal(module.resize2d_gradient(x, size, interpolation), x)


@EVERY_BACKEND
@EVERY_INTERPOLATION
@given(size=resizes())
def test_grey_stays_grey(backend, interpolation, size):
    x = np.full((1, size.in_height, size.in_width, 2), 0.3)
    y = backend_module(backend).resize2d(x, size, interpolation)
    np.testing.assert_allclose(y, 0.3, rtol=1e-14)


def test_messages():
    x = np.zeros((1, 3, 4, 2))
    with pytest.raises(mc.errors.ArgumentError, match="did you mean 'bilinear'"):
        ops.resize2d(x, (2, 3), "bilinar")
    with pytest.raises(mc.errors.ArgumentError, match=r"resize2d: size=\(0, 3\)"):
        ops.resize2d(x, (0, 3))
    with pytest.raises(mc.errors.ArgumentError, match="upsample2d: size=0"):
        mc.upsample2d(x, 0)
    with pytest.raises(mc.errors.ShapeError, match=r"upsample2d: x has shape \(3, 4, 2\)"):
        mc.upsample2d(x[0])
