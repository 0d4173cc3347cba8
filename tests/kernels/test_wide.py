"""Thin layers computed as wide ones: the same numbers, block by block."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.geometry import conv2d_geometry
from minicnn.kernels import compiled
from minicnn.kernels.compiled import wide
from tests.kernels.maps import arguments
from tests.kernels.test_masked_gradient import POOLS, slopes
from tests.kernels.test_tile import EDGES, IMAGE_MAPS, assert_is, bias_of, right
from tests.kernels.watched import forget_plans, planned_anew, threads, watched_memory
from tests.strategies import Case, geometries

BLOCKS = {"conv2d": "forward_block", "conv2d_input_gradient": "backward_block"}


@contextlib.contextmanager
def blocks(choose):
    """Let `choose` pick among the blocks that a thin layer could be cut into; None for none.

    Yields a list of the blocks that are used.
    """
    used = []

    def best(plain, candidates):
        chosen = choose(sorted(block for _, block in candidates))
        used.append(chosen)
        return chosen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide, "_best", best)
        forget_plans()
        yield used
    forget_plans()


@st.composite
def thin_cases(draw, name):
    """Cases with 1 to 3 channels on the side where vectors would be left idle."""
    g = draw(geometries(groups=(1,), room=14))
    few, many = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 2, 5, 17]))
    channels, filters = (many, few) if name == "conv2d" else (few, many)
    seed = draw(st.integers(0, 2**32 - 1))
    return Case(g, draw(st.sampled_from([1, 2])), channels, filters, seed)


def results(name, case, first=None, dtype="float32"):
    """Return a map's result plain, and with bias and ReLU; `first` may replace its first array."""
    given_first, kernel, g = arguments(name, case, dtype)
    first = given_first if first is None else first
    function = getattr(compiled, name)
    bias = bias_of(name, case, dtype)
    return function(first, kernel, g), function(first, kernel, g, bias, True)


@IMAGE_MAPS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(data=st.data())
def test_every_block_gives_the_same_numbers(name, dtype, data):
    case = data.draw(thin_cases(name))
    number = data.draw(st.integers(0, 63))
    with blocks(lambda found: found[number % len(found)]), watched_memory():
        plain, finished = results(name, case, dtype=dtype)
    assert_is(plain, right(name, case), dtype)
    assert_is(finished, right(name, case, bias_of(name, case), True), dtype)


@IMAGE_MAPS
@pytest.mark.parametrize("edge", [e for e, g in EDGES.items() if g.groups == 1])
def test_blocks_of_geometries_where_nothing_fits(name, edge):
    few, many = (1, 17), (3, 2)
    for pair in (few, many):
        channels, filters = pair[::-1] if name == "conv2d" else pair
        case = Case(EDGES[edge], 2, channels, filters, seed=1)
        for number in range(6):
            chosen = blocks(lambda found, n=number: found[n % len(found)])
            with chosen, threads(1), watched_memory():
                plain, finished = results(name, case)
            assert_is(plain, right(name, case), "float32")
            assert_is(finished, right(name, case, bias_of(name, case), True), "float32")


THIN = conv2d_geometry((13, 34), (5, 3), 1, ((2, 2), (1, 1)))


@IMAGE_MAPS
@pytest.mark.parametrize("few", [1, 2, 3])
def test_thin_layers_are_computed_as_wide_ones(name, few):
    # Asked for vectors of 16 lanes, as AVX-512 has them.
    channels, filters = (32, few) if name == "conv2d" else (few, 32)
    chosen = getattr(wide, BLOCKS[name])(THIN, channels, filters, 16)
    assert chosen is not None
    assert chosen.filters % few == 0
    assert few < chosen.filters <= 32
    for number in (16, 17, 33):
        channels, filters = (32, number) if name == "conv2d" else (number, 32)
        assert getattr(wide, BLOCKS[name])(THIN, channels, filters, 16) is None
    grouped = THIN._replace(groups=few)
    assert few == 1 or getattr(wide, BLOCKS[name])(grouped, 32 * few, 32 * few, 16) is None


@IMAGE_MAPS
@pytest.mark.parametrize("few", [1, 2, 3])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (2, 3)])
def test_wide_and_plain_way_agree(name, few, strides):
    g = conv2d_geometry((13, 34), (5, 3), strides, ((2, 2), (1, 1)))
    case = Case(g, 2, *((32, few) if name == "conv2d" else (few, 32)), seed=3)
    ways = []
    for choose in (lambda found: None, lambda found: found[len(found) // 2]):
        with blocks(choose) as used:
            ways.append(results(name, case))
        assert used
        assert all((block is None) == (len(ways) == 1) for block in used)
    ways.append(results(name, case))  # as the processor at hand likes it
    for way in ways:
        assert_is(way[0], right(name, case), "float32")
        assert_is(way[1], right(name, case, bias_of(name, case), True), "float32")


@IMAGE_MAPS
@pytest.mark.parametrize("kind", ["truth", "where", "both"])
@pytest.mark.parametrize("size", POOLS)
def test_gradients_that_are_not_written_out(name, kind, size):
    g = conv2d_geometry((13, 34), (5, 3), (1, 2), ((2, 2), (1, 1)))
    case = Case(g, 2, *((17, 2) if name == "conv2d" else (2, 17)), seed=3)
    shape = case.image_shape if name == "conv2d" else case.output_shape
    given_slopes, written = slopes(kind, shape, 4, size, "float32")
    with blocks(lambda found: found[-1]) as used, watched_memory():
        hidden = results(name, case, given_slopes)
    assert used
    for one, other in zip(hidden, results(name, case, written.astype("float32")), strict=True):
        assert_is(one, other, "float32")


@IMAGE_MAPS
def test_bands_and_threads_do_not_change_a_bit(name):
    case = Case(THIN, 3, *((17, 2) if name == "conv2d" else (2, 17)), seed=3)
    first, kernel, g = arguments(name, case, "float32")
    first = np.sin(first) + first
    found = set()
    for size in (1, 3000, 1 << 30):
        for count in (1, 2):
            with planned_anew(BAND_BYTES=size), threads(count), watched_memory():
                found.add(getattr(compiled, name)(first, kernel, g).tobytes())
    assert len(found) == 1
