"""Every kernel compiled for every kind of card, without a card."""

import re

import numpy as np
import pytest

from minicnn.kernels.cuda import arrays, convolution, device, tiles
from tests.cuda.maps import CONVOLUTIONS
from tests.cuda.simulator import nvrtc

pytestmark = pytest.mark.skipif(bool(nvrtc.missing()), reason=str(nvrtc.missing()))

PLAIN = (
    *("conv2d", "pooling", "resize", "training", "normalization"),
    *("elementwise", "indexing", "joining", "softmax"),
)
#: What plain kernels are told besides the type of their numbers.
MACROS = {"THREADS": 256, "PIECES": arrays.PIECES}
SPILL = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


class Sized:
    """What `program` asks of an array."""

    def __init__(self, dtype, size=1):
        self.dtype, self.size = np.dtype(dtype), size


def compiled(kernels, architecture, kind="CUBIN"):
    code = device.source(*kernels.files)
    return nvrtc.compile_kernels(code, architecture, kernels.options[1:], kind)


def tiled(name, kind, tile, wide=True):
    """Return the tiled kernels of one map."""
    dtype = "float64" if kind == "float64" else "float32"
    vector = 16 // np.dtype(dtype).itemsize if wide else 1
    return convolution._tile_program(f"{name}_tiled", tile, kind, (vector,) * 3, [Sized(dtype)])[0]


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("name", PLAIN)
def test_plain_kernels_compile_for_every_card(name, architecture):
    kernels = device.program(name, Sized("float32"), **MACROS)
    text, _ = compiled(kernels, architecture, "PTX")
    assert f".target sm_{architecture}".encode() in text


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("size", [1, 2**31])
def test_plain_kernels_need_no_stack(name, size):
    machine_code, log = compiled(device.program(name, Sized("float64", size), **MACROS), 90)
    assert machine_code[:4] == b"\x7fELF"
    assert not [s for s in SPILL.findall(log) if s != ("0", "0", "0")]


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_largest_tiles_compile_for_every_card(name, architecture):
    text, _ = compiled(tiled(name, "float32", tiles.TILES["float32"][0]), architecture, "PTX")
    assert f".target sm_{architecture}".encode() in text


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_tiles_move_vectors(name, kind):
    text, _ = compiled(tiled(name, kind, tiles.TILES[kind][0]), 80, "PTX")
    ptx = text.decode()
    assert not re.search(r"\.local", ptx)
    for place in (r"ld\.global[.\w]*", r"st\.global[.\w]*", r"ld\.shared"):
        assert re.search(place + r"\.v[24]", ptx), place
    # All arithmetic on the tile comes from vectors of shared memory.
    assert len(re.findall(r"ld\.shared\.v[24]", ptx)) == len(re.findall(r"ld\.shared", ptx))
    narrow, _ = compiled(tiled(name, kind, tiles.TILES[kind][0], wide=False), 80, "PTX")
    assert not re.search(r"[ls][dt]\.global[.\w]*\.v[24]", narrow.decode())


@pytest.mark.parametrize(("kind", "count"), [("tf32", 1), ("3xtf32", 3)])
def test_tensor_cores_are_used(kind, count):
    tile = tiles.TILES[kind][1]
    text, _ = compiled(tiled("conv2d", kind, tile), 80, "PTX")
    pieces = tile.thread_rows // 16 * (tile.thread_columns // 8) * (tile.depth // 8)
    assert text.decode().count("mma.sync.aligned.m16n8k8") == count * pieces


EVERY = [
    (name, kind, number, wide, architecture)
    for name in CONVOLUTIONS
    for kind in ("float32", "float64", "tf32", "3xtf32")
    for number in range(len(tiles.TILES[kind]))
    for wide in (True, False)
    for architecture in nvrtc.ARCHITECTURES
    if architecture >= 80 or "tf32" not in kind
]
FEW = [
    (name, kind, number, False, 90)
    for name, kind, number in (
        ("conv2d", "float32", 0),
        ("conv2d_input_gradient", "float32", 3),
        ("conv2d_kernel_gradient", "3xtf32", 0),
    )
]


#: Bytes that a thread may put aside outside of its registers. The compiler does so with a few
#: addresses where that lets a second block onto a multiprocessor; a tile's sums take 256 bytes.
MOST_ASIDE = 32


def assert_no_spills(name, kind, number, wide, architecture):
    """Tiles live in registers: one that does not fit there would be slow."""
    kernels = tiled(name, kind, tiles.TILES[kind][number], wide)
    machine_code, log = compiled(kernels, architecture)
    assert machine_code[:4] == b"\x7fELF"
    (found,) = SPILL.findall(log)
    assert max(map(int, found)) <= MOST_ASIDE


@pytest.mark.parametrize("each", FEW)
def test_some_tiles_stay_in_registers(each):
    assert_no_spills(*each)


@pytest.mark.slow
@pytest.mark.parametrize("each", EVERY, ids=lambda e: "-".join(map(str, e)))
def test_every_tile_stays_in_registers(each):
    assert_no_spills(*each)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PLAIN)
def test_every_plain_kernel_becomes_machine_code(name, dtype, architecture):
    machine_code, log = compiled(device.program(name, Sized(dtype), **MACROS), architecture)
    assert machine_code[:4] == b"\x7fELF"
    assert not [s for s in SPILL.findall(log) if s != ("0", "0", "0")]


def test_tensor_cores_are_refused_for_old_cards():
    with pytest.raises(nvrtc.CompileError):
        compiled(tiled("conv2d", "tf32", tiles.TILES["tf32"][1]), 75)


def test_a_mistake_is_told_with_its_file_and_line():
    code = device.source("common", "resize").replace("real sum = 0;", "real sum = nothing;", 1)
    with pytest.raises(nvrtc.CompileError) as caught:
        nvrtc.compile_kernels(code, 90, ("-DREAL=float", "-DOFFSET=int"))
    line = device.source("resize").splitlines().index("  real sum = 0;")
    told = device._compile_message("resize", str(caught.value))
    assert told == (
        f"the CUDA kernels of resize.cu cannot be compiled: resize.cu, line {line}: identifier "
        f'"nothing" is undefined.'
    )
