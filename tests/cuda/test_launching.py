"""What stands between a call and its kernel: checks, choices, messages."""

import gc
import inspect

import numpy as np
import pytest

from minicnn import kernels
from minicnn.errors import ArgumentError, BackendError, DeviceMemoryError, ShapeError
from minicnn.geometry import Resize, conv2d_geometry
from minicnn.kernels import compiled, cuda
from minicnn.kernels.cuda import convolution, device, tiles
from tests.cuda import maps
from tests.cuda.simulator import stand_in
from tests.cuda.simulator.cpu_module import KernelError
from tests.helpers import run_python
from tests.strategies import Case

G = conv2d_geometry((7, 10), (3, 2))
CARD = device.Card("a card", 90, 49152, 132, 50 << 20)


def test_importing_the_backend_imports_no_cupy():
    code = "import sys, minicnn.kernels.cuda; print('cupy' in sys.modules, 'numba' in sys.modules)"
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("False False\n", "")


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (
            lambda cupy, x, k: (x.get(), k),
            ArgumentError,
            "conv2d: x is a numpy.ndarray, but the CUDA kernels take CuPy arrays; cupy.asarray(x) "
            "moves it to the GPU.",
        ),
        (
            lambda cupy, x, k: (x, k.astype("float64")),
            ArgumentError,
            "conv2d: kernel has dtype float64, but x has float32; they must be alike.",
        ),
        (
            lambda cupy, x, k: (x.astype("float16"), k.astype("float16")),
            ArgumentError,
            "conv2d: x has dtype float16; the CUDA kernels take float32 and float64: "
            "cast it to one of them.",
        ),
        (
            lambda cupy, x, k: (x[:, 1:], k),
            ShapeError,
            "conv2d: x has shape (2, 6, 10, 4), but it must be (2, 7, 10, 4).",
        ),
        (
            lambda cupy, x, k: (x, k[1:]),
            ShapeError,
            "conv2d: kernel has shape (2, 2, 4, 5), but it must be (3, 2, 4, 5).",
        ),
    ],
)
def test_what_a_kernel_cannot_read_is_refused(cupy, change, error, told):
    x, kernel = cupy.zeros((2, 7, 10, 4), "float32"), cupy.zeros((3, 2, 4, 5), "float32")
    with pytest.raises(error) as caught:
        cuda.conv2d(*change(cupy, x, kernel), G)
    assert str(caught.value) == told


def test_places_must_be_int32(cupy):
    dy = cupy.zeros((2, 5, 9, 4), "float32")
    with pytest.raises(ArgumentError, match="indices has dtype int64, but it must be int32"):
        cuda.scatter(dy, cupy.zeros(dy.shape, "int64"), G)


def test_an_unknown_interpolation_is_refused(cupy):
    with pytest.raises(ArgumentError, match="did you mean 'nearest'"):
        cuda.resize2d(cupy.zeros((1, 3, 5, 1), "float32"), Resize(3, 5, 6, 10), "neares")


def test_an_array_too_large_for_the_card_is_told(cupy, card):
    if not cupy.__version__.endswith("(stand-in)"):
        pytest.skip("the limit is the stand-in's")
    x, kernel = cupy.zeros((2, 7, 10, 4), "float32"), cupy.zeros((3, 2, 4, 5), "float32")
    cuda.conv2d(x, kernel, G)
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    card.total_bytes = card.used_bytes + 1000
    with pytest.raises(DeviceMemoryError) as caught:
        cuda.conv2d(x, kernel, G)
    assert str(caught.value) == (
        f"conv2d: an array (2, 5, 9, 5) of float32 needs 1,800 bytes, but 1,000 of the GPU's "
        f"{card.total_bytes:,} bytes are free. Use fewer images at a time."
    )
    card.total_bytes += 5000
    assert cuda.conv2d(x, kernel, G).shape == (2, 5, 9, 5)


def test_memory_errors_can_be_caught_as_such():
    assert issubclass(DeviceMemoryError, MemoryError)
    assert issubclass(DeviceMemoryError, BackendError)


def test_text_that_does_not_compile_is_told_with_its_line(cupy, monkeypatch):
    source = device.source
    broken = ("real largest = nothing;", "real largest = everything;")
    monkeypatch.setattr(device, "source", lambda *files: source(*files).replace(*broken))
    line = source("pooling").splitlines().index("  real largest = nothing;")
    device._module.cache_clear()
    device._function.cache_clear()
    with pytest.raises(BackendError) as caught:
        cuda.max_pool2d(cupy.zeros((2, 7, 10, 4), "float32"), G)
    told = str(caught.value)
    assert told.startswith(
        f"the CUDA kernels of pooling.cu cannot be compiled: pooling.cu, line {line}: "
    )
    assert "everything" in told
    device._module.cache_clear()
    monkeypatch.undo()
    assert cuda.max_pool2d(cupy.zeros((2, 7, 10, 4), "float32"), G)[0].shape == (2, 5, 9, 4)


def names_launched(monkeypatch, call):
    """Return the kernels that a call starts."""
    names, launch = [], device.Program.launch

    def noted(self, name, *rest):
        names.append(name)
        launch(self, name, *rest)

    monkeypatch.setattr(device.Program, "launch", noted)
    call()
    return names


@pytest.mark.parametrize("shared_bytes", [49152, 10_000, 1000])
def test_without_shared_memory_for_a_tile_the_plain_kernel_does_it(
    cupy, card, monkeypatch, shared_bytes
):
    card.shared_bytes = shared_bytes
    device._card.cache_clear()
    case = Case(G, 2, 8, 40, 3)
    values = maps.given("conv2d", case, "float32")
    found = []
    names = names_launched(monkeypatch, lambda: found.extend(maps.run(cupy, "conv2d", values)))
    if cupy.__version__.endswith("(stand-in)"):
        assert names == ["conv2d" if shared_bytes == 1000 else "conv2d_tiled"]
    maps.assert_alike("conv2d", found, maps.oracle("conv2d", values))


@pytest.mark.parametrize(
    ("rows", "columns", "products", "expected"),
    [
        (100_000, 128, 1, (128, 128)),
        (100_000, 64, 1, (128, 64)),
        (100_000, 32, 1, (128, 32)),
        (100_000, 16, 1, (128, 16)),
        (3_000, 128, 1, (64, 64)),  # more blocks, so that more of the card works
        (100_000, 1, 1, None),
        (10, 16, 1, None),
    ],
)
def test_tiles_are_chosen_by_rows_and_columns(rows, columns, products, expected):
    found = tiles.choose(rows, columns, products, np.dtype("float32"), CARD)
    assert (found and found[0][:2]) == expected


def test_every_tile_fits_every_card():
    for kind, members in tiles.TILES.items():
        itemsize = 8 if kind == "float64" else 4
        for tile in members:
            cores = "tf32" in kind
            assert tile.shared_bytes(itemsize, cores) <= 48 * 1024
            assert 32 <= tile.threads(cores) <= 1024
            # Every number of both operands has a thread that carries it.
            for length in (tile.rows, tile.columns):
                for vector in (1, 16 // itemsize):
                    vectors = length * tile.depth // vector
                    assert vectors % tile.threads(cores) == 0 or vectors < tile.threads(cores)


def test_old_cards_have_no_tensor_cores_for_tf32():
    old = CARD._replace(name="Tesla T4", capability=75)
    with tiles.use_precision("tf32"):
        with pytest.raises(BackendError) as caught:
            tiles.choose(100_000, 64, 1, np.dtype("float32"), old)
        assert tiles.choose(100_000, 64, 1, np.dtype("float64"), old)[1] == "float64"
        assert tiles.choose(100_000, 64, 1, np.dtype("float32"), CARD)[1] == "tf32"
    assert str(caught.value) == (
        "precision 'tf32' needs compute capability 8.0 or more, but Tesla T4 has 7.5; "
        "set_precision('float32') works on every card."
    )


def test_precisions_are_checked_and_restored():
    with pytest.raises(ArgumentError, match="did you mean 'tf32'"):
        tiles.set_precision("tf23")
    with tiles.use_precision("3xtf32"):
        assert tiles.precision() == "3xtf32"
    with pytest.raises(ZeroDivisionError), tiles.use_precision("3xtf32"):
        raise ZeroDivisionError
    assert tiles.precision() == "float32"


@pytest.mark.parametrize("name", [*kernels.MAPS, *kernels.JOINED])
def test_every_function_has_the_signature_of_the_compiled_one(name):
    ours, other = (
        [(p.name, p.default) for p in inspect.signature(getattr(m, name)).parameters.values()]
        for m in (cuda, compiled)
    )
    assert ours == other


@pytest.mark.parametrize("pixels", [1, 127, 128, 129, 1000, 10**6, 10**10])
@pytest.mark.parametrize("wanted", [1, 3, 512])
@pytest.mark.parametrize("elements", [1, 10**5, 10**8])
def test_parts_of_a_kernel_gradient_hold_every_pixel_once(pixels, wanted, elements):
    count, length = convolution._parts(wanted, pixels, elements, 4)
    assert (count - 1) * length < pixels <= count * length
    needed = -(-pixels // 2**30)  # a part's outputs are counted by 32-bit integers
    assert needed <= count <= max(wanted, needed)
    assert count == needed or count * elements * 4 <= convolution.PARTS_BYTES


def test_kernel_gradients_in_parts_agree_with_the_loops(cupy, monkeypatch):
    monkeypatch.setattr(convolution, "SHORTEST", 7)
    case = Case(conv2d_geometry((11, 7), (2, 3), groups=2), 3, 6, 10, 8)
    values = maps.given("conv2d_kernel_gradient", case, "float32")
    for tile in (None, tiles.TILES["float32"][-1]):
        for room in (1 << 26, 4 * 6 * 3 * 10 * 4):
            monkeypatch.setattr(convolution, "PARTS_BYTES", room)
            with maps.only(tile):
                results = maps.run(cupy, "conv2d_kernel_gradient", values)
            expected = maps.oracle("conv2d_kernel_gradient", values)
            maps.assert_alike("conv2d_kernel_gradient", results, expected)


def test_more_groups_than_blocks_are_left_to_the_plain_kernels(cupy, monkeypatch):
    monkeypatch.setattr(convolution, "MOST_BLOCKS", 3)
    case = Case(conv2d_geometry((5, 7), (2, 3), groups=4), 2, 8, 12, 8)
    for name in maps.CONVOLUTIONS:
        values = maps.given(name, case, "float32")
        found = []

        def call(name=name, values=values, found=found):
            found.extend(maps.run(cupy, name, values))

        with maps.only(tiles.TILES["float32"][-1]), monkeypatch.context() as patch:
            names = names_launched(patch, call)
        assert not any(n.endswith("tiled") for n in names)
        maps.assert_alike(name, found, maps.oracle(name, values))


@pytest.mark.parametrize(
    ("columns", "found"),
    [(65535 * 64, (64, 64)), (65535 * 64 + 1, (128, 128)), (65535 * 128, (128, 128))],
)
def test_tiles_that_need_too_many_blocks_are_left_out(columns, found):
    tile, _ = tiles.choose(32, columns, 1, np.dtype("float32"), CARD)
    assert -(-columns // tile.columns) <= 65535
    assert tile[:2] == found
    assert tiles.choose(32, 65535 * 128 + 1, 1, np.dtype("float32"), CARD) is None


def test_very_many_channels_are_blocks_along_x(cupy, monkeypatch):
    grids = []
    monkeypatch.setattr(device.Program, "launch", lambda self, name, grid, *_: grids.append(grid))
    for rows, channels in ((2, 65535 * 32 + 1), (100_000, 3)):
        cuda.column_sums(cupy.empty((rows, channels), "float32"))
    assert max(max(grid[1:], default=1) for grid in grids) <= 512
    assert max(grid[0] for grid in grids) > 65535


def test_a_kernel_that_writes_past_an_array_is_found():
    with stand_in.installed() as cupy:
        module = cupy.RawModule(
            code='extern "C" __global__ void k(float* y, int n) { y[threadIdx.x + n] = 1; }'
        )
        y = cupy.zeros(32, "float32")
        module.get_function("k")((1,), (32,), (y, np.int32(0)))
        assert (y.get() == 1).all()
        with pytest.raises(KernelError, match="k wrote beyond the end of an array"):
            module.get_function("k")((1,), (32,), (y, np.int32(1)))
