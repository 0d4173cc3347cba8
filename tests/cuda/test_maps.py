"""Every map of the CUDA backend against the loops: plain kernels, tiles, tensor cores."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from benchmarks.gpu_matmul import conv2d_by_matmul
from minicnn.geometry import conv2d_geometry
from minicnn.kernels import MAPS, cuda
from minicnn.kernels.cuda import tiles
from tests.cuda import maps
from tests.cuda.simulator.cpu_module import thread_order
from tests.kernels.maps import groups_of, shapes
from tests.strategies import Case, cases, resizes, tile_cases

#: The fixture lasts for the whole module, so examples may share it.
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
EVERY_MAP = pytest.mark.parametrize("name", MAPS)
FEW = settings(shared, max_examples=12)


def case_of(name, batch=2, channels=6, filters=9, seed=1):
    return Case(groups_of(name), batch, channels, filters, seed)


@pytest.mark.parametrize("name", [m for m in MAPS if not m.startswith("resize")])
@shared
@given(case=cases(), pooling=cases(groups=(1,)))
def test_plain_kernels_agree_with_the_loops(cupy, name, case, pooling):
    values = maps.given(name, case if name.startswith("conv2d") else pooling)
    with maps.only(), thread_order(case.seed % 5):
        maps.assert_alike(name, maps.run(cupy, name, values), maps.oracle(name, values))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("name", ["resize2d", "resize2d_gradient"])
@shared
@given(size=resizes(), case=cases())
def test_resizing_agrees_with_the_loops(cupy, name, interpolation, size, case):
    values = maps.given(name, case, size=size, interpolation=interpolation)
    with thread_order(case.seed % 5):
        maps.assert_alike(name, maps.run(cupy, name, values), maps.oracle(name, values))


TILED = [
    (precision, number)
    for precision in ("float32", "float64", "tf32", "3xtf32")
    for number in range(len(tiles.TILES[precision]))
]


@pytest.mark.parametrize(("precision", "number"), TILED)
@pytest.mark.parametrize("name", maps.CONVOLUTIONS)
def test_every_tile_agrees_with_the_loops(cupy, name, precision, number):
    # More rows and columns than one tile, none of which divides them. Tensor cores keep 11 bits
    # of a number, so products of these small whole ones are exact there, too.
    g = conv2d_geometry((9, 17), (3, 2), (2, 1), ((2, 1), (0, 2)), (1, 3), groups=2)
    wide = number % 2 == 0  # channels that fill whole vectors, or none
    case = Case(g, 2, *((8, 40) if wide else (6, 38)), seed=3)
    values = maps.given(name, case, "float64" if precision == "float64" else "float32")
    with maps.only(tiles.TILES[precision][number], precision), thread_order(number):
        maps.assert_alike(name, maps.run(cupy, name, values), maps.oracle(name, values))


#: The smallest tiles: several of them in small images.
SMALL = {k: min(t, key=lambda tile: tile.rows * tile.columns) for k, t in tiles.TILES.items()}


@pytest.mark.parametrize("precision", ["float32", "3xtf32"])
@pytest.mark.parametrize("name", maps.CONVOLUTIONS)
@FEW
@given(case=tile_cases(room=6))
def test_tiles_agree_with_the_loops(cupy, name, precision, case):
    values = maps.given(name, case._replace(batch=2), "float32")
    expected = maps.oracle(name, [v.astype(int) if hasattr(v, "astype") else v for v in values])
    with maps.only(SMALL[precision], precision), thread_order(case.seed % 5):
        (result,) = maps.run(cupy, name, values)
    np.testing.assert_array_equal(result, expected[0])


@EVERY_MAP
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_places_and_both_types(cupy, name, dtype):
    values = maps.given(name, case_of(name), dtype)
    with maps.long_places():
        results = maps.run(cupy, name, values)
    maps.assert_alike(name, results, maps.oracle(name, values), 1e-5)


@EVERY_MAP
def test_empty_batch(cupy, name):
    case = case_of(name, batch=0)
    results = maps.run(cupy, name, maps.given(name, case))
    assert [r.shape for r in results] == shapes(name, case)
    assert all((r == 0).all() for r in results)  # a kernel gradient of no images is zero


@EVERY_MAP
def test_one_pixel_and_one_channel(cupy, name):
    case = Case(conv2d_geometry((1, 1), (2, 3), padding="same"), 1, 1, 1, 3)
    values = maps.given(name, case)
    maps.assert_alike(name, maps.run(cupy, name, values), maps.oracle(name, values))


def scattered(cupy, array):
    """Return the same numbers as a view with gaps, whose axes lie in another order in memory."""
    room = cupy.empty([2 * n + 1 for n in array.shape[::-1]], array.dtype)
    view = room[tuple(slice(1, None, 2) for _ in array.shape)].transpose()
    view[...] = cupy.asarray(array)
    assert not view.flags.c_contiguous
    return view


@EVERY_MAP
def test_inputs_need_not_be_contiguous_and_stay_as_they_are(cupy, name):
    values = maps.given(name, case_of(name))
    views = [scattered(cupy, v) if isinstance(v, np.ndarray) else v for v in values]
    results = maps.back(getattr(cuda, name)(*views))
    maps.assert_alike(name, results, maps.oracle(name, values))
    for view, value in zip(views, values, strict=True):
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(view.get(), value)


@pytest.mark.parametrize("name", maps.CONVOLUTIONS)
def test_arrays_that_begin_between_vectors(cupy, name):
    # One number behind a multiple of 16 bytes: to move four at once from there is an error.
    values = maps.given(name, Case(conv2d_geometry((7, 10), (3, 2)), 2, 8, 16, 5), "float32")
    views = []
    for value in values[:2]:
        room = cupy.empty(value.size + 1, value.dtype)
        room[1:] = cupy.asarray(value).reshape(-1)
        views.append(room[1:].reshape(value.shape))
        assert views[-1].data.ptr % 16 == 4
    with maps.only(SMALL["float32"]):
        results = maps.back(getattr(cuda, name)(*views, values[2]))
    maps.assert_alike(name, results, maps.oracle(name, values))


@pytest.mark.parametrize(
    ("name", "tiled"), [*((m, False) for m in MAPS), *((m, True) for m in maps.CONVOLUTIONS)]
)
def test_other_orders_of_threads_give_the_same_bits(cupy, name, tiled):
    values = maps.given(name, case_of(name, batch=5), "float32")
    rng = np.random.default_rng(5)
    noisy = [
        (v + rng.normal(size=v.shape)).astype(v.dtype)
        if isinstance(v, np.ndarray) and v.dtype == np.float32
        else v
        for v in values
    ]
    results = set()
    with maps.only(SMALL["float32"] if tiled else None):
        for order in (0, 1, 7, 8):
            with thread_order(order):
                results.add(b"".join(r.tobytes() for r in maps.run(cupy, name, noisy)))
    assert len(results) == 1


def test_max_pool_takes_the_first_maximum_and_any_nan(cupy):
    x = np.full((1, 4, 6, 1), -3.0)
    x[0, 1, 2:5, 0] = 2.0, 2.0, np.nan
    g = conv2d_geometry((4, 6), (2, 3), (2, 1), ((0, 4), (0, 0)))
    values, where = maps.run(cupy, "max_pool2d", (x, g))
    expected = maps.oracle("max_pool2d", (x, g))
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(where, expected[1])
    assert (values[0, -1] == -np.inf).all()
    assert (where[0, -1] == -1).all()
    assert where[0, 0, 0, 0] == 8  # not the equal one beside it


@pytest.mark.parametrize("tile", [None, SMALL["float32"]])
def test_bias_and_relu_join_the_convolutions(cupy, tile):
    case = Case(conv2d_geometry((7, 10), (3, 2), (2, 3), (1, 0), groups=2), 2, 6, 10, 4)
    x, kernel, g = maps.given("conv2d", case, "float32")
    dy = case.output("float32")
    by_filter, by_channel = (np.arange(n, dtype=np.float32) % 7 - 3 for n in (10, 6))
    for name, image, bias in (
        ("conv2d", x, by_filter),
        ("conv2d_input_gradient", dy, by_channel),
    ):
        with maps.only(tile):
            biased = maps.run(cupy, name, (image, kernel, g, bias))
            clipped = maps.run(cupy, name, (image, kernel, g, bias, True))
        (expected,) = maps.oracle(name, (image, kernel, g))
        np.testing.assert_array_equal(biased[0], expected + bias)
        np.testing.assert_array_equal(clipped[0], np.maximum(expected + bias, 0))
        assert (expected + bias < 0).any()


@pytest.mark.parametrize(
    "g",
    [
        conv2d_geometry((5, 3), (5, 3)),  # the kernel lies on the whole image
        conv2d_geometry((5, 3), (1, 1)),
        conv2d_geometry((5, 3), (1, 1), (2, 1)),
        conv2d_geometry((5, 3), (1, 1), groups=2),
        conv2d_geometry((5, 3), (5, 3), padding=((1, 0), (0, 0))),
    ],
)
@pytest.mark.parametrize("precision", tiles.PRECISIONS)
def test_matrix_products(cupy, g, precision):
    case = Case(g, 3, 4, 6, 2)
    bias = np.arange(6, dtype=np.float32) - 3
    with tiles.use_precision(precision):
        for name in maps.CONVOLUTIONS:
            values = maps.given(name, case, "float32")
            maps.assert_alike(name, maps.run(cupy, name, values), maps.oracle(name, values))
        values = maps.given("conv2d", case, "float32")
        (result,) = maps.run(cupy, "conv2d", (*values, bias, True))
    (expected,) = maps.oracle("conv2d", values)
    np.testing.assert_array_equal(result, np.maximum(expected + bias, 0))


@pytest.mark.parametrize("cache_bytes", [1, 3000, 1 << 20])
def test_the_yardstick_agrees_however_it_is_cut(cupy, card, cache_bytes):
    card.cache_bytes = cache_bytes
    case = case_of("conv2d")
    values = maps.given("conv2d", case)
    (result,) = maps.back(conv2d_by_matmul(*maps.on_the_card(cupy, values)))
    np.testing.assert_array_equal(result, maps.oracle("conv2d", values)[0])


def test_kernel_and_bias_gradients(cupy):
    case = case_of("conv2d")
    x, dy, g = maps.given("conv2d_kernel_gradient", case)
    for side, summed in (("dy", dy), ("x", x), (None, np.zeros_like(dy))):
        dk, db = back = maps.run(cupy, "kernel_and_bias_gradient", (x, dy, g, side))
        assert len(back) == 2
        np.testing.assert_array_equal(dk, maps.oracle("conv2d_kernel_gradient", (x, dy, g))[0])
        np.testing.assert_array_equal(db, summed.sum((0, 1, 2)))


def test_a_convolution_and_its_pool(cupy):
    case = case_of("conv2d")
    x, kernel, g = maps.given("conv2d", case)
    pool = conv2d_geometry((g.out_height, g.out_width), (2, 1), (1, 1))
    bias = np.arange(9.0) - 4
    found = maps.run(cupy, "conv2d_max_pool2d", (x, kernel, g, bias, True, pool))
    y = np.maximum(maps.oracle("conv2d", (x, kernel, g))[0] + bias, 0)
    for result, expected in zip(found, maps.oracle("max_pool2d", (y, pool)), strict=True):
        np.testing.assert_array_equal(result, expected)


def relative_error(cupy, precision):
    """Return the largest error of a convolution, in parts of its largest result."""
    rng = np.random.default_rng(3)
    x, kernel = rng.normal(size=(1, 9, 12, 32)), rng.normal(size=(3, 2, 32, 16))
    g = conv2d_geometry((9, 12), (3, 2))
    (expected,) = maps.oracle("conv2d", (x, kernel, g))
    with maps.only(SMALL[precision], precision):
        (result,) = maps.run(cupy, "conv2d", (x.astype("float32"), kernel.astype("float32"), g))
    return np.abs(result - expected).max() / np.abs(expected).max()


def test_tensor_cores_are_as_exact_as_they_say(cupy):
    # TF32 keeps 11 bits of each factor, and errors of 192 products average out.
    assert 1e-5 < relative_error(cupy, "tf32") < 2**-10
    assert relative_error(cupy, "3xtf32") < 2e-6
    assert relative_error(cupy, "float32") < 2e-6
