"""Winograd's filtering of 3x3 layers where something does not fit, to the last bit.

Its halves and quarters of small whole numbers are exact; `test_winograd.py` has real numbers.
"""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.geometry import conv2d_geometry
from minicnn.kernels import compiled, vectorized
from minicnn.kernels.compiled import convolution
from tests.helpers import rng_integers
from tests.kernels.maps import arguments
from tests.kernels.test_backends import scattered
from tests.kernels.test_masked_gradient import KINDS, POOLS, slopes
from tests.kernels.test_pool_in_place import assert_same, pool_of
from tests.kernels.test_tile import IMAGE_MAPS, assert_is, bias_of, right
from tests.kernels.watched import planned_anew, threads, watched_memory
from tests.strategies import Case, different

#: Whole vectors on every processor, of which one holds 4, 8 or 16 numbers.
CHANNELS = (16, 32, 48)


@contextlib.contextmanager
def ways():
    """Yield a list that gets True for each layer that takes Winograd's way, else False."""
    found, plan = [], convolution.winograd_plan

    def seen(*given_arguments):
        result = plan(*given_arguments)
        found.append(result is not None)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "winograd_plan", seen)
        yield found


@st.composite
def square_cases(draw):
    """Layers of stride 1 with 3x3 kernels, padding of four different sizes included."""
    padding = draw(st.sampled_from(["valid", "same", "sides"]))
    if padding == "sides":
        top, bottom, left, right_side = draw(different(0, 5, 4))
        padding = ((top, bottom), (left, right_side))
    g = conv2d_geometry(draw(different(3, 12)), (3, 3), 1, padding)
    channels, filters = draw(st.permutations(CHANNELS))[:2]
    seed = draw(st.integers(0, 2**32 - 1))
    return Case(g, draw(st.sampled_from([2, 1, 5])), channels, filters, seed)


@IMAGE_MAPS
@given(case=square_cases(), has_bias=st.booleans(), relu=st.booleans())
def test_agrees_with_numpy_and_writes_nothing_else(name, case, has_bias, relu):
    bias = bias_of(name, case, "float32") if has_bias else None
    with watched_memory(), threads(1), ways() as found:
        result = getattr(compiled, name)(*arguments(name, case, "float32"), bias, relu)
    assert_is(result, right(name, case, bias, relu), "float32")
    if name == "conv2d":
        assert any(found) == (min(case.geometry.out_height, case.geometry.out_width) >= 4)


@given(case=square_cases(), has_bias=st.booleans(), relu=st.booleans())
def test_pool_in_place(case, has_bias, relu):
    bias = bias_of("conv2d", case, "float32") if has_bias else None
    if min(case.geometry.out_height, case.geometry.out_width) < 2:
        return
    expected = vectorized.max_pool2d(right("conv2d", case, bias, relu), pool_of(case))
    with watched_memory(), threads(1):
        found = compiled.conv2d_max_pool2d(
            case.image("float32"), case.kernel("float32"), case.geometry, bias, relu, pool_of(case)
        )
    assert_same(found, expected, "float32")


@IMAGE_MAPS
@given(case=square_cases(), kind=st.sampled_from(KINDS), size=st.sampled_from(POOLS))
def test_gradients_that_are_not_written_out(name, case, kind, size):
    shape = case.image_shape if name == "conv2d" else case.output_shape
    hidden, written = slopes(kind, shape, case.seed, size, "float32")
    kernel = case.kernel("float32")
    with watched_memory(), threads(1):
        result = getattr(compiled, name)(hidden, kernel, case.geometry)
    expected = getattr(vectorized, name)(written, kernel.astype("float64"), case.geometry)
    assert_is(result, expected, "float32")


USUAL = Case(conv2d_geometry((23, 38), (3, 3), padding="same"), 3, 32, 16, 1)
MOVED = Case(conv2d_geometry((24, 37), (3, 3), 1, ((2, 0), (1, 4))), 3, 16, 48, 2)


@pytest.mark.parametrize("case", [USUAL, MOVED], ids=["usual", "moved"])
@IMAGE_MAPS
def test_bands_and_threads_do_not_change_a_bit(name, case):
    rng = np.random.default_rng(1)
    first, kernel, g = arguments(name, case, "float32")
    first = rng.normal(size=first.shape).astype("float32")
    found = set()
    for size in (1, 20_000, 1 << 30):
        for count in (1, 2):
            with planned_anew(BAND_BYTES=size), threads(count), watched_memory():
                y = getattr(compiled, name)(first, kernel, g)
                pooled = compiled.conv2d_max_pool2d(
                    case.image("float32"), kernel, g, None, False, pool_of(case)
                )
                found.add((y.tobytes(), *(a.tobytes() for a in pooled)))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("change", "suits"),
    [
        ({}, True),
        ({"kernel": (3, 2)}, False),
        ({"kernel": (2, 3)}, False),
        ({"strides": (1, 2)}, False),
        ({"strides": (2, 1)}, False),
        ({"dilation_rate": (1, 2)}, False),
        ({"dilation_rate": (2, 1)}, False),
        ({"groups": 2}, False),
        ({"channels": 31}, False),
        ({"filters": 17}, False),
        ({"size": (3, 20)}, False),
        ({"size": (20, 3)}, False),
        ({"size": (4, 20)}, True),
        ({"dtype": "float64"}, False),
    ],
    ids=str,
)
@IMAGE_MAPS
def test_only_layers_that_suit_it_take_this_way(name, change, suits):
    options = {"size": (9, 14), "kernel": (3, 3), "channels": 32, "filters": 64} | change
    size, kernel, dtype = options.pop("size"), options.pop("kernel"), options.pop("dtype", "f4")
    channels, filters = options.pop("channels"), options.pop("filters")
    case = Case(conv2d_geometry(size, kernel, padding="same", **options), 1, channels, filters, 5)
    with ways() as found:
        result = getattr(compiled, name)(*arguments(name, case, dtype))
    assert any(found) == suits
    assert_is(result, right(name, case), np.dtype(dtype))


@IMAGE_MAPS
def test_inputs_may_lie_anywhere_and_stay_as_they_are(name):
    first, kernel, g = arguments(name, USUAL, "float32")
    arrays = first, kernel, bias_of(name, USUAL, "float32")
    views = [scattered(a) for a in arrays]
    for array in views:
        array.flags.writeable = False
    with ways() as found:
        result = getattr(compiled, name)(*views[:2], g, views[2], True)
    assert found == [True]
    assert_is(result, right(name, USUAL, arrays[2], True), "float32")
    for view, array in zip(views, arrays, strict=True):
        np.testing.assert_array_equal(view, array)


def test_a_pooled_layer_takes_a_bias_with_gaps():
    bias = rng_integers(6, USUAL.filters, "float32")
    expected = vectorized.max_pool2d(right("conv2d", USUAL, bias, True), pool_of(USUAL))
    found = compiled.conv2d_max_pool2d(
        USUAL.image("float32"), USUAL.kernel("float32"), USUAL.geometry, scattered(bias), True,
        pool_of(USUAL),
    )  # fmt: skip
    assert_same(found, expected, "float32")


@IMAGE_MAPS
def test_nan_spoils_its_windows_and_passes_through_relu(name):
    case = Case(conv2d_geometry((9, 12), (3, 3), padding="same"), 1, 16, 32, 1)
    first, kernel, g = arguments(name, case, "float32")
    first[0, 4, 5, 6] = np.nan
    with ways() as found:
        result = getattr(compiled, name)(first, kernel, g, None, True)
    assert found == [True]
    spoilt = np.zeros((9, 12), bool)
    spoilt[3:6, 4:7] = True
    np.testing.assert_array_equal(np.isnan(result[0]).any(axis=-1), spoilt)
    first[0, 4, 5, 6] = 0
    clean = np.maximum(getattr(vectorized, name)(first, kernel, g), 0)
    np.testing.assert_array_equal(result[0, ~spoilt], clean[0, ~spoilt])
