"""`MaskedGradient` against the same gradients written out by NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.geometry import conv2d_geometry
from minicnn.kernels import compiled, vectorized
from minicnn.kernels.masked_gradient import MaskedGradient
from tests.helpers import rng_integers
from tests.kernels.test_backends import scattered
from tests.kernels.test_tile import EVERY_TYPE, GAPS, LARGE, LONG, assert_is, bias_of
from tests.kernels.watched import needs_two_threads, planned_anew, threads, watched_memory
from tests.strategies import Case, tile_cases

#: Windows side by side, as in `MaskedGradient` of a max-pool.
POOLS = [(2, 2), (2, 3), (3, 2)]
KINDS = ("truth", "where", "both")


def pool_of(size, height, width):
    """Return the geometry of windows side by side; rows and columns may be left over."""
    return conv2d_geometry((height, width), size, size)


def slopes(kind, shape, seed, size=(2, 2), dtype="float64"):
    """Return a gradient for images of this shape, and the same written out in float64.

    Where windows of the pool do not fit into the image, it has no pool.
    """
    height, width = shape[1:3]
    if height < size[0] or width < size[1]:
        kind = "truth"
    if kind == "truth":
        data, truth = (rng_integers((seed, n), shape, dtype) for n in (11, 12))
        return MaskedGradient(data, truth), np.where(truth > 0, data, 0).astype("float64")
    pool = pool_of(size, height, width)
    values, where = vectorized.max_pool2d(rng_integers((seed, 13), shape, dtype), pool)
    data = rng_integers((seed, 14), values.shape, dtype)
    truth = values if kind == "both" else None
    shown = data if truth is None else np.where(truth > 0, data, 0)
    return MaskedGradient(data, truth, where, pool), vectorized.scatter(
        shown.astype("float64"), where, pool
    )


def sums(written):
    """Return the sum of each channel."""
    return written.sum(axis=(0, 1, 2))


@EVERY_TYPE
@pytest.mark.parametrize("size", POOLS)
@given(case=tile_cases(), kind=st.sampled_from(KINDS))
def test_of_the_output_in_the_input_gradient(dtype, size, case, kind):
    dy, written = slopes(kind, case.output_shape, case.seed, size, dtype)
    kernel = case.kernel(dtype)
    bias = bias_of("conv2d_input_gradient", case, dtype)
    expected = vectorized.conv2d_input_gradient(written, kernel.astype("float64"), case.geometry)
    with watched_memory():
        plain = compiled.conv2d_input_gradient(dy, kernel, case.geometry)
        finished = compiled.conv2d_input_gradient(dy, kernel, case.geometry, bias, True)
    assert_is(plain, expected, dtype)
    assert_is(finished, np.maximum(expected + bias, 0), dtype)


@EVERY_TYPE
@pytest.mark.parametrize("size", POOLS)
@given(case=tile_cases(), kind=st.sampled_from(KINDS))
def test_of_the_image_in_the_convolution(dtype, size, case, kind):
    # The gradient of a transposed convolution's input is a convolution.
    x, written = slopes(kind, case.image_shape, case.seed, size, dtype)
    kernel, bias = case.kernel(dtype), bias_of("conv2d", case, dtype)
    expected = vectorized.conv2d(written, kernel.astype("float64"), case.geometry)
    with watched_memory():
        plain = compiled.conv2d(x, kernel, case.geometry)
        finished = compiled.conv2d(x, kernel, case.geometry, bias, True)
    assert_is(plain, expected, dtype)
    assert_is(finished, np.maximum(expected + bias, 0), dtype)


@EVERY_TYPE
@pytest.mark.parametrize("side", ["x", "dy", None])
@given(
    case=tile_cases(),
    kinds=st.tuples(*[st.sampled_from([None, *KINDS])] * 2),
    size=st.sampled_from(POOLS),
)
def test_of_either_side_in_the_kernel_gradient(dtype, side, case, kinds, size):
    x = x_written = case.image(dtype)
    dy = dy_written = case.output(dtype)
    if kinds[0]:
        x, x_written = slopes(kinds[0], case.image_shape, case.seed, size, dtype)
    if kinds[1]:
        dy, dy_written = slopes(kinds[1], case.output_shape, case.seed + 1, size, dtype)
    expected = vectorized.conv2d_kernel_gradient(
        x_written.astype("float64"), dy_written.astype("float64"), case.geometry
    )
    with watched_memory():
        dk, db = compiled.kernel_and_bias_gradient(x, dy, case.geometry, side)
        alone = compiled.conv2d_kernel_gradient(x, dy, case.geometry)
    assert_is(dk, expected, dtype)
    assert_is(alone, expected, dtype)
    if side:
        assert_is(db, sums(x_written if side == "x" else dy_written), dtype)


#: Geometries whose windows leave out rows or columns of the image, or see some only as padding.
PARTLY_SEEN = {
    "rows left over": conv2d_geometry((8, 9), (3, 2), (3, 1)),
    "columns left over": conv2d_geometry((9, 8), (2, 3), (1, 3)),
    "rows between": conv2d_geometry((9, 8), (1, 3), (2, 1)),
    "columns between": conv2d_geometry((8, 9), (3, 1), (1, 2)),
    "rows between taps": conv2d_geometry((9, 10), (2, 1), (4, 1), dilation_rate=(3, 1)),
    "columns between taps": conv2d_geometry((10, 9), (1, 2), (1, 4), dilation_rate=(1, 3)),
    "much padding": conv2d_geometry((4, 5), (3, 2), (2, 1), ((5, 0), (0, 6))),
    "padding above, rows left over": conv2d_geometry((7, 6), (2, 3), (4, 1), ((1, 0), (0, 0))),
    "kernel of the image": conv2d_geometry((5, 4), (5, 4)),
}


@pytest.mark.parametrize("pieces", [{}, {"BAND_BYTES": 1, "BLOCK": 1}], ids=["whole", "rows"])
@pytest.mark.parametrize("side", ["x", "dy"])
@pytest.mark.parametrize("edge", PARTLY_SEEN)
def test_sums_count_every_pixel_once(edge, side, pieces):
    g = PARTLY_SEEN[edge]
    for channels, filters in ((2, 17), (33, 1), (70, 3), (3, 70)):
        case = Case(g, 3, channels, filters, seed=2)
        for kind in (None, "truth"):
            x = x_written = case.image("float32")
            dy = dy_written = case.output("float32")
            if kind:
                x, x_written = slopes(kind, x.shape, 1, dtype="float32")
                dy, dy_written = slopes(kind, dy.shape, 2, dtype="float32")
            with planned_anew(**pieces):
                dk, db = compiled.kernel_and_bias_gradient(x, dy, g, side)
            expected = vectorized.conv2d_kernel_gradient(x_written, dy_written, g)
            assert_is(dk, expected, "float32")
            assert_is(db, sums(x_written if side == "x" else dy_written), "float32")


@pytest.mark.parametrize("side", ["x", "dy"])
def test_sums_hardly_round(side):
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (4, 250, 300, 3)).astype("float32")
    dy = rng.uniform(0, 1, (4, 250, 299, 2)).astype("float32")
    _, db = compiled.kernel_and_bias_gradient(x, dy, conv2d_geometry((250, 300), (1, 2)), side)
    rows = (x if side == "x" else dy).reshape(-1, len(db))
    # Added one after the other, the 300,000 numbers of a channel lose up to a digit more.
    np.testing.assert_allclose(db, rows.sum(axis=0, dtype="float64"), rtol=8e-6)


@LARGE
@pytest.mark.parametrize("kind", KINDS)
def test_bands_do_not_change_a_bit_of_an_image(case, kind):
    rng = np.random.default_rng(1)
    dy, _ = slopes(kind, case.output_shape, 1, dtype="float32")
    dy = dy._replace(dy=rng.normal(size=dy.dy.shape).astype("float32"))
    x, _ = slopes(kind, case.image_shape, 2, dtype="float32")
    x = x._replace(dy=rng.normal(size=x.dy.shape).astype("float32"))
    kernel = rng.normal(size=case.kernel_shape).astype("float32")
    found = set()
    for size in (1, 5000, 1 << 30):
        with planned_anew(BAND_BYTES=size), watched_memory():
            found.add((
                compiled.conv2d(x, kernel, case.geometry).tobytes(),
                compiled.conv2d_input_gradient(dy, kernel, case.geometry).tobytes(),
            ))  # fmt: skip
    assert len(found) == 1


@needs_two_threads
@LARGE
@pytest.mark.parametrize("side", ["x", "dy"])
def test_threads_share_the_sums(case, side):
    x, x_written = slopes("truth", case.image_shape, 1, dtype="float32")
    dy, dy_written = slopes("both", case.output_shape, 2, dtype="float32")
    expected = vectorized.conv2d_kernel_gradient(x_written, dy_written, case.geometry)
    for count in (1, 2):
        with threads(count), watched_memory():
            dk, db = compiled.kernel_and_bias_gradient(x, dy, case.geometry, side)
        assert_is(dk, expected, "float32")
        assert_is(db, sums(x_written if side == "x" else dy_written), "float32")


def test_two_runs_give_the_same_bits():
    rng = np.random.default_rng(1)
    x = rng.normal(size=LONG.image_shape).astype("float32")
    dy, _ = slopes("both", LONG.output_shape, 2, dtype="float32")
    dy = dy._replace(dy=rng.normal(size=dy.dy.shape).astype("float32"))
    runs = [compiled.kernel_and_bias_gradient(x, dy, LONG.geometry, "dy") for _ in range(3)]
    assert len({dk.tobytes() + db.tobytes() for dk, db in runs}) == 1


def test_no_slope_where_the_truth_is_not_a_positive_number():
    truth = np.array([1.0, 0.0, -0.0, -1.0, np.nan, np.inf]).reshape(1, 2, 3, 1)
    g = conv2d_geometry((2, 3), (1, 1))
    dx = compiled.conv2d_input_gradient(
        MaskedGradient(np.full(truth.shape, 7.0), truth), np.ones((1, 1, 1, 1)), g
    )
    assert dx.ravel().tolist() == [7, 0, 0, 0, 0, 7]


def test_a_slope_that_counts_nowhere_may_be_nan():
    # It is chosen, not multiplied by zero.
    data = np.full((1, 5, 7, 17), np.nan)
    truth = np.where(np.arange(17) % 2, 1.0, -1.0) * np.ones(data.shape)
    data[truth > 0] = 2
    case = Case(GAPS._replace(in_height=5, in_width=7), 1, 17, 33, 1)
    y = compiled.conv2d(MaskedGradient(data, truth), case.kernel(), conv2d_geometry((5, 7), (2, 3)))
    expected = vectorized.conv2d(
        np.where(truth > 0, 2.0, 0), case.kernel(), conv2d_geometry((5, 7), (2, 3))
    )
    assert_is(y, expected, "float64")


@pytest.mark.parametrize("kind", KINDS)
def test_parts_may_lie_anywhere_and_be_read_only(kind):
    case = Case(conv2d_geometry((9, 7), (3, 2), padding="same"), 2, 5, 17, 1)
    dy, written = slopes(kind, case.output_shape, 1, dtype="float32")
    moved = MaskedGradient(*(scattered(a) if isinstance(a, np.ndarray) else a for a in dy))
    for array in moved[:3]:
        if array is not None:
            array.flags.writeable = False
    expected = vectorized.conv2d_input_gradient(written, case.kernel(), case.geometry)
    result = compiled.conv2d_input_gradient(moved, case.kernel("float32"), case.geometry)
    assert_is(result, expected, "float32")
    expected = vectorized.conv2d_kernel_gradient(case.image(), written, case.geometry)
    result = compiled.conv2d_kernel_gradient(case.image("float32"), moved, case.geometry)
    assert_is(result, expected, "float32")


@pytest.mark.parametrize("dtype", ["float16", "int32"])
def test_other_types_are_written_out(dtype):
    case = Case(conv2d_geometry((9, 7), (3, 2), (2, 1)), 2, 3, 4, 1)
    dy, written = slopes("truth", case.output_shape, 1, dtype=dtype)
    result = compiled.conv2d_input_gradient(dy, case.kernel(dtype), case.geometry)
    expected = vectorized.conv2d_input_gradient(written, case.kernel(), case.geometry)
    assert_is(result, expected, dtype)
    dk, db = compiled.kernel_and_bias_gradient(case.image(dtype), dy, case.geometry, "dy")
    assert_is(dk, vectorized.conv2d_kernel_gradient(case.image(), written, case.geometry), dtype)
    assert_is(db, sums(written), dtype)
    x, written = slopes("truth", case.image_shape, 1, dtype=dtype)
    expected = vectorized.conv2d(written, case.kernel(), case.geometry)
    assert_is(compiled.conv2d(x, case.kernel(dtype), case.geometry), expected, dtype)
