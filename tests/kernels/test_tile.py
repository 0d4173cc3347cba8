"""The register tile: the compiled maps of convolution against NumPy's and the plain loops.

Whole numbers make every sum exact, so results must agree to the last bit.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn.geometry import conv2d_geometry
from minicnn.kernels import backend_module, compiled
from tests.helpers import rng_integers
from tests.kernels.maps import arguments
from tests.kernels.test_backends import scattered
from tests.kernels.watched import needs_two_threads, planned_anew, threads, watched_memory
from tests.strategies import CHANNELS, Case, cases, tile_cases

NAMES = ("conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient")
EVERY_MAP = pytest.mark.parametrize("name", NAMES)
#: The maps whose results are images, to which a bias and a ReLU can be applied.
IMAGE_MAPS = pytest.mark.parametrize("name", NAMES[:2])
EVERY_TYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])


def bias_of(name, case, dtype="float64"):
    """Return a bias for the channels of a map's result."""
    channels = case.filters if name == "conv2d" else case.channels
    return rng_integers((case.seed, 6), (channels,), dtype)


def right(name, case, bias=None, relu=False, backend="numpy"):
    """Return what another backend gives in float64, with the bias and the ReLU by NumPy."""
    y = getattr(backend_module(backend), name)(*arguments(name, case))
    y = y if bias is None else y + bias
    return np.maximum(y, 0) if relu else y


def assert_is(result, expected, dtype):
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


def real_numbers(name, case, dtype="float64"):
    """Return arguments of a map whose sums round."""
    *arrays, g = arguments(name, case, dtype)
    rng = np.random.default_rng(case.seed)
    return *(a + rng.uniform(-0.5, 0.5, a.shape).astype(dtype) for a in arrays), g


@EVERY_MAP
@EVERY_TYPE
@settings(max_examples=60)
@given(case=tile_cases())
def test_agrees_with_numpy_and_writes_nothing_else(name, dtype, case):
    with watched_memory():
        result = getattr(compiled, name)(*arguments(name, case, dtype))
    assert_is(result, right(name, case), dtype)


@EVERY_MAP
def test_results_and_scratch_lie_in_watched_memory(name):
    # So that the test above watches something.
    case = Case(conv2d_geometry((5, 9), (2, 3), padding="same"), 1, 3, 17)
    with watched_memory() as given_out:
        result = getattr(compiled, name)(*arguments(name, case))
    arrays = [room for room, _ in given_out]
    assert arrays
    if name != "conv2d_kernel_gradient":  # which is a sum over threads
        assert any(np.shares_memory(result, array) for array in arrays)

    def write_beside_it():
        with watched_memory() as given_out:
            getattr(compiled, name)(*arguments(name, case))
            given_out[-1][0][-1] = 0

    with pytest.raises(AssertionError, match="wrote after an array"):
        write_beside_it()


@IMAGE_MAPS
@EVERY_TYPE
@given(case=tile_cases(), has_bias=st.booleans(), relu=st.booleans())
def test_bias_and_relu_are_those_of_numpy(name, dtype, case, has_bias, relu):
    bias = bias_of(name, case, dtype) if has_bias else None
    with watched_memory():
        result = getattr(compiled, name)(*arguments(name, case, dtype), bias, relu)
    assert_is(result, right(name, case, bias, relu), dtype)


@IMAGE_MAPS
@given(case=cases(), has_bias=st.booleans(), relu=st.booleans())
def test_bias_and_relu_are_those_of_the_loops(name, case, has_bias, relu):
    bias = bias_of(name, case) if has_bias else None
    result = getattr(compiled, name)(*arguments(name, case), bias, relu)
    assert_is(result, right(name, case, bias, relu, "loops"), "float64")


#: Geometries where something does not fit: sizes, kernel, strides, padding and dilation.
EDGES = {
    "one pixel": conv2d_geometry((1, 1), (1, 1)),
    "one pixel, larger kernel": conv2d_geometry((1, 1), (3, 5), padding="same"),
    "one row": conv2d_geometry((1, 40), (1, 7), (1, 2), ((0, 0), (3, 2))),
    "one column": conv2d_geometry((40, 1), (7, 1), (3, 1), ((2, 3), (0, 0))),
    "stride beyond the kernel": conv2d_geometry((17, 22), (2, 3), (5, 4)),
    "stride beyond the image": conv2d_geometry((4, 6), (2, 3), (9, 11), ((1, 0), (0, 2))),
    "padding beyond the kernel": conv2d_geometry((5, 7), (2, 3), 1, ((9, 4), (6, 11))),
    "padding beyond the kernel, strides": conv2d_geometry((5, 7), (2, 1), (3, 2), ((8, 5), (7, 9))),
    "padding on the left alone": conv2d_geometry((2, 1), (3, 1), (2, 3), ((4, 0), (5, 0))),
    "dilation beyond the image": conv2d_geometry((4, 3), (3, 2), 1, ((9, 9), (8, 9)), (7, 11)),
    "dilation and strides": conv2d_geometry((19, 23), (3, 4), (2, 3), ((1, 4), (5, 2)), (3, 2)),
    "equal dilation and strides": conv2d_geometry((14, 23), (4, 3), (2, 3), "same", (2, 3)),
    "kernel of the image": conv2d_geometry((5, 3), (5, 3)),
    "kernel of the image, moved": conv2d_geometry((5, 3), (5, 3), (2, 3), ((1, 0), (0, 2))),
    "kernel of the image, dilated": conv2d_geometry((3, 2), (3, 2), 1, ((1, 1), (2, 0)), (2, 3)),
    "kernel of the image, in groups": conv2d_geometry((5, 3), (5, 3), groups=2),
    "many rows": conv2d_geometry((190, 3), (2, 1)),
    "many columns": conv2d_geometry((2, 330), (1, 4), (1, 2)),
}


@EVERY_MAP
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("channels", "filters"), [(1, 3), (200, 33)])
def test_geometries_where_nothing_fits(name, edge, channels, filters):
    g = EDGES[edge]
    for dtype, batch in (("float32", 2), ("float64", 1)):
        case = Case(g, batch, channels * g.groups, filters * g.groups, seed=1)
        # In one thread the watched borders lie at the scratch rows that it uses.
        with threads(1), watched_memory():
            result = getattr(compiled, name)(*arguments(name, case, dtype))
        assert_is(result, right(name, case), dtype)


@EVERY_MAP
@pytest.mark.parametrize("edge", EDGES)
def test_an_empty_batch(name, edge):
    g = EDGES[edge]
    case = Case(g, 0, 3 * g.groups, 2 * g.groups)
    assert_is(getattr(compiled, name)(*arguments(name, case)), right(name, case), "float64")


GAPS = conv2d_geometry((6, 21), (2, 3), (1, 2), ((1, 0), (2, 1)), (2, 1))


@EVERY_MAP
@EVERY_TYPE
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("channels", CHANNELS)
def test_numbers_of_channels(name, dtype, groups, channels):
    for filters in (1, 16, 17, 33):
        case = Case(GAPS._replace(groups=groups), 2, channels * groups, filters * groups)
        result = getattr(compiled, name)(*arguments(name, case, dtype))
        assert_is(result, right(name, case), dtype)


@EVERY_MAP
@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 2**-24), ("float64", 2**-53)])
@given(case=tile_cases())
def test_rounding_is_that_of_a_sum(name, dtype, rounding, case):
    *arrays, g = real_numbers(name, case, dtype)
    wide = [a.astype(np.longdouble) for a in arrays]
    function = getattr(backend_module("numpy"), name)
    expected, sizes = function(*wide, g), function(*map(np.abs, wide), g)
    # Sums of n products err by n roundings at most, and rarely by more than their root.
    products = sum(a.size for a in arrays)
    error = np.abs(getattr(compiled, name)(*arrays, g) - expected)
    assert (error <= (4 + np.sqrt(products)) * rounding * sizes).all()


#: Of several images and several bands, and with more numbers than the smallest kept block.
LONG = Case(conv2d_geometry((37, 29), (3, 2), (2, 1), ((1, 3), (0, 2)), (1, 2)), 3, 17, 33)
THIN = Case(conv2d_geometry((37, 29), (3, 5), 1, ((1, 3), (0, 2))), 3, 1, 2)
STEEP = Case(conv2d_geometry((37, 29), (4, 3), (2, 3), "same", groups=2), 3, 6, 34)
LARGE = pytest.mark.parametrize("case", [LONG, THIN, STEEP], ids=["long", "thin", "steep"])


@LARGE
@IMAGE_MAPS
def test_bands_do_not_change_a_bit(name, case):
    given_arguments = *real_numbers(name, case, "float32"), bias_of(name, case, "float32"), True
    function = getattr(compiled, name)
    with threads(1):  # several threads would cut a small batch into bands anyway
        with planned_anew(BAND_BYTES=1 << 30):
            whole = function(*given_arguments)
        for size in (1, 5000):
            with planned_anew(BAND_BYTES=size), watched_memory():
                apart = function(*given_arguments)
            assert apart.tobytes() == whole.tobytes()


@LARGE
@pytest.mark.parametrize("block", [1, 500, 1 << 30])
def test_bands_and_blocks_of_a_kernel_gradient_add_up(case, block):
    name = "conv2d_kernel_gradient"
    for size in (1, 5000, 1 << 30):
        with planned_anew(BAND_BYTES=size, BLOCK=block), watched_memory():
            result = getattr(compiled, name)(*arguments(name, case, "float32"))
        assert_is(result, right(name, case), "float32")


@needs_two_threads
@LARGE
@IMAGE_MAPS
def test_threads_give_the_bits_of_one_thread(name, case):
    given_arguments = *real_numbers(name, case, "float32"), bias_of(name, case, "float32"), True
    found = set()
    for count in (1, 2):
        with threads(count), watched_memory():
            found.add(getattr(compiled, name)(*given_arguments).tobytes())
    assert len(found) == 1


@needs_two_threads
@LARGE
def test_threads_add_their_shares_of_a_kernel_gradient(case):
    name = "conv2d_kernel_gradient"
    for count in (1, 2):
        with threads(count), watched_memory():
            result = getattr(compiled, name)(*arguments(name, case, "float32"))
        assert_is(result, right(name, case), "float32")
        real = real_numbers(name, case, "float32")
        with threads(count):  # the same bits, if the number of threads is the same
            assert len({getattr(compiled, name)(*real).tobytes() for _ in range(3)}) == 1


@EVERY_MAP
@pytest.mark.parametrize("dtype", ["int32", "int64", "float16"])
def test_other_types_are_left_to_numpy(name, dtype):
    case = Case(conv2d_geometry((5, 7), (3, 2), (2, 1), ((0, 2), (1, 0)), groups=2), 2, 4, 6)
    result = getattr(compiled, name)(*arguments(name, case, dtype))
    assert_is(result, right(name, case), dtype)
    if name != "conv2d_kernel_gradient":
        bias = bias_of(name, case, dtype)
        result = getattr(compiled, name)(*arguments(name, case, dtype), bias, True)
        assert_is(result, right(name, case, bias, True), dtype)


@IMAGE_MAPS
def test_inputs_may_lie_anywhere_and_stay_as_they_are(name):
    case = Case(conv2d_geometry((5, 7), (3, 2), (2, 1), ((0, 2), (1, 0)), (1, 2)), 2, 3, 17)
    *arrays, g = arguments(name, case, "float32")
    bias = bias_of(name, case, "float32")
    arrays = [scattered(a) for a in (*arrays, bias)]
    before = [a.copy() for a in arrays]
    for array in arrays:
        array.flags.writeable = False
    for first, second, third in (arrays, [a.copy() for a in arrays]):
        result = getattr(compiled, name)(first, second, g, third, True)
        assert_is(result, right(name, case, bias, True), "float32")
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@EVERY_MAP
def test_contiguous_inputs_may_be_read_only(name):
    case = Case(conv2d_geometry((5, 7), (3, 2), (2, 1)), 2, 16, 17)
    *arrays, g = arguments(name, case, "float32")
    for array in arrays:
        array.flags.writeable = False
    assert_is(getattr(compiled, name)(*arrays, g), right(name, case), "float32")


@IMAGE_MAPS
@EVERY_TYPE
def test_nan_passes_through_relu(name, dtype):
    case = Case(conv2d_geometry((5, 9), (2, 3)), 1, 32, 33)
    first, kernel, g = arguments(name, case, dtype)
    first[0, 1, 3, 4] = np.nan
    expected = getattr(backend_module("numpy"), name)(first.astype("float64"), kernel, g)
    assert 0 < np.isnan(expected).sum() < expected.size
    result = getattr(compiled, name)(first, kernel, g, None, True)
    assert_is(result, np.maximum(expected, 0), dtype)


@IMAGE_MAPS
def test_every_call_gives_memory_of_its_own(name):
    given_arguments = arguments(name, LONG, "float32")
    first = getattr(compiled, name)(*given_arguments)
    copy = first.copy()
    second = getattr(compiled, name)(*(-a for a in given_arguments[:1]), *given_arguments[1:])
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, copy)
    np.testing.assert_array_equal(second, -copy)
