"""Convolution and max-pool in one pass: the values and places of the two, one after the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.geometry import conv2d_geometry
from minicnn.kernels import backend_module, compiled, loops, vectorized
from tests.helpers import rng_integers
from tests.kernels.test_backends import scattered
from tests.kernels.test_tile import EVERY_TYPE, LARGE, LONG, bias_of, right
from tests.kernels.watched import planned_anew, threads, watched_memory
from tests.strategies import Case, cases, tile_cases


def pool_of(case):
    """Return the geometry of 2x2 windows side by side on a case's output."""
    return conv2d_geometry((case.geometry.out_height, case.geometry.out_width), 2, 2)


def fits(case):
    return min(case.geometry.out_height, case.geometry.out_width) >= 2


def assert_same(found, expected, dtype):
    (values, where), (right_values, right_where) = found, expected
    assert (values.dtype, where.dtype) == (dtype, np.int32)
    np.testing.assert_array_equal(values, right_values)
    np.testing.assert_array_equal(where, right_where)


@EVERY_TYPE
@given(case=tile_cases().filter(fits), has_bias=st.booleans(), relu=st.booleans())
def test_values_and_places_are_those_of_numpy(dtype, case, has_bias, relu):
    # Small whole numbers: many windows hold their largest number twice, and places tell which won.
    bias = bias_of("conv2d", case, dtype) if has_bias else None
    expected = vectorized.max_pool2d(right("conv2d", case, bias, relu), pool_of(case))
    with watched_memory():
        found = compiled.conv2d_max_pool2d(
            case.image(dtype), case.kernel(dtype), case.geometry, bias, relu, pool_of(case)
        )
    assert_same(found, expected, dtype)


@given(case=cases().filter(fits), relu=st.booleans())
def test_values_and_places_are_those_of_the_loops(case, relu):
    bias = bias_of("conv2d", case)
    y = right("conv2d", case, bias, relu, backend="loops")
    found = compiled.conv2d_max_pool2d(
        case.image(), case.kernel(), case.geometry, bias, relu, pool_of(case)
    )
    assert_same(found, loops.max_pool2d(y, pool_of(case)), "float64")


@pytest.mark.parametrize("size", [(2, 2), (2, 3), (3, 2), (5, 4), (4, 9), (9, 5), (2, 41), (41, 2)])
@pytest.mark.parametrize("filters", [1, 16, 17])
def test_odd_sizes_leave_their_last_row_and_column_out(size, filters):
    case = Case(conv2d_geometry(size, (1, 1)), 3, 2, filters, seed=4)
    pool = pool_of(case)
    for band in (1, 1 << 18):
        with planned_anew(BAND_BYTES=band), watched_memory():
            found = compiled.conv2d_max_pool2d(
                case.image("float32"), case.kernel("float32"), case.geometry, None, False, pool
            )
        assert found[0].shape == (3, size[0] // 2, size[1] // 2, filters)
        assert_same(found, vectorized.max_pool2d(right("conv2d", case), pool), "float32")


def test_of_equal_numbers_the_first_wins():
    g = conv2d_geometry((7, 9), (2, 4))
    pool = conv2d_geometry((6, 6), 2, 2)
    x, kernel = np.ones((1, 7, 9, 3), "float32"), -np.ones((2, 4, 3, 17), "float32")
    corners = np.add.outer([0, 12, 24], [0, 2, 4])  # rows are 6 pixels long
    for relu, value in ((False, -24), (True, 0)):
        values, where = compiled.conv2d_max_pool2d(x, kernel, g, None, relu, pool)
        np.testing.assert_array_equal(values, np.full((1, 3, 3, 17), value))
        np.testing.assert_array_equal(where[0], np.repeat(corners[..., None], 17, -1))


@EVERY_TYPE
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("groups", [1, 7])
def test_nan_is_larger_than_every_number(dtype, relu, groups):
    # Each filter copies a channel, so that windows hold what they are given.
    rng = np.random.default_rng(2)
    x = rng_integers(1, (2, 6, 9, groups), dtype)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[rng.random(x.shape) < 0.2] = -np.inf
    kernel = np.ones((1, 1, 1, 3 * groups), dtype)
    g, pool = conv2d_geometry((6, 9), 1, groups=groups), conv2d_geometry((6, 9), 2, 2)
    y = np.repeat(np.maximum(x, 0) if relu else x, 3, axis=-1)
    expected = loops.max_pool2d(y, pool)
    assert 0 < np.isnan(expected[0]).sum() < expected[0].size
    found = compiled.conv2d_max_pool2d(x, kernel, g, None, relu, pool)
    assert_same(found, expected, dtype)


@LARGE
def test_bands_and_threads_do_not_change_a_bit(case):
    rng = np.random.default_rng(1)
    x = rng.normal(size=case.image_shape).astype("float32")
    kernel = rng.normal(size=case.kernel_shape).astype("float32")
    bias = rng.normal(size=case.filters).astype("float32")
    y = compiled.conv2d(x, kernel, case.geometry, bias, True)
    for size in (1, 9000, 1 << 30):
        for count in (1, 2):
            with planned_anew(BAND_BYTES=size), threads(count), watched_memory():
                found = compiled.conv2d_max_pool2d(
                    x, kernel, case.geometry, bias, True, pool_of(case)
                )
            # Sums may start in another order than in `conv2d`; the pool of them may not differ.
            expected = vectorized.max_pool2d(y, pool_of(case))
            np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-4)
            if (size, count) == (1, 1):
                first = [a.tobytes() for a in found]
            assert [a.tobytes() for a in found] == first


def test_inputs_may_lie_anywhere_and_stay_as_they_are():
    case = LONG
    arrays = case.image("float32"), case.kernel("float32"), bias_of("conv2d", case, "float32")
    pool = pool_of(case)
    expected = vectorized.max_pool2d(right("conv2d", case, arrays[2], True), pool)
    views = [scattered(a) for a in arrays]
    for array in views:
        array.flags.writeable = False
    found = compiled.conv2d_max_pool2d(*views[:2], case.geometry, views[2], True, pool)
    assert_same(found, expected, "float32")
    np.testing.assert_array_equal(views[0], case.image("float32"))


def test_it_has_a_way_for_the_usual_windows_only():
    usual = conv2d_geometry((9, 6), 2, 2)
    assert compiled.pools_in_place(np.dtype("float32"), usual)
    assert compiled.pools_in_place(np.dtype("float64"), usual)
    assert not compiled.pools_in_place(np.dtype("float16"), usual)
    for other in (
        conv2d_geometry((9, 6), (2, 3), (2, 3)),
        conv2d_geometry((9, 6), (2, 2), (2, 1)),
        conv2d_geometry((9, 6), (2, 2), (3, 2)),
        conv2d_geometry((9, 6), 2, 2, ((0, 1), (0, 0))),
        conv2d_geometry((9, 6), 2, 2, ((0, 0), (1, 1))),
        conv2d_geometry((9, 6), 2, 2, dilation_rate=(1, 2)),
    ):
        assert not compiled.pools_in_place(np.dtype("float32"), other)


# The same windows without a convolution have a way of their own, too.


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@EVERY_TYPE
@pytest.mark.parametrize("size", [(2, 3), (3, 2), (5, 8), (8, 5), (7, 9), (4, 6), (2, 41)])
def test_usual_windows_and_their_gradient_are_those_of_the_loops(backend, dtype, size):
    module, pool = backend_module(backend), conv2d_geometry(size, 2, 2)
    for channels in (1, 3, 17):
        x = rng_integers(size, (2, *size, channels), dtype)  # with many equal numbers
        rng = np.random.default_rng(3)
        x[rng.random(x.shape) < 0.1] = np.nan
        x[rng.random(x.shape) < 0.3] = -np.inf
        expected = loops.max_pool2d(x, pool)
        assert_same(module.max_pool2d(x, pool), expected, dtype)
        assert_same(module.max_pool2d(scattered(x), pool), expected, dtype)
        dy = rng_integers(1, expected[0].shape, dtype)
        dx = loops.scatter(dy, expected[1], pool)
        for arrays in ((dy, expected[1]), (scattered(dy), scattered(expected[1]))):
            found = module.scatter(*arrays, pool)
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, dx)
        np.testing.assert_array_equal(
            module.gather(dx, expected[1], pool), loops.gather(dx, expected[1], pool)
        )


def test_usual_windows_write_nothing_else():
    pool = conv2d_geometry((7, 9), 2, 2)
    x = rng_integers(1, (2, 7, 9, 17), "float32")
    with watched_memory() as given_out:
        values, where = compiled.max_pool2d(x, pool)
        dx = compiled.scatter(values, where, pool)
    assert given_out
    assert not np.isnan(values).any()
    assert not np.isnan(dx).any()
    assert (where >= 0).all()
