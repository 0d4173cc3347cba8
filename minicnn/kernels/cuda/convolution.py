"""The three maps of convolution: which kernel, in how many blocks, on which arrays.

A layer whose kernel is one pixel or the whole image is a matrix product and goes to cuBLAS. The
others are tiles of one (`tile.cu`), or one thread for each result (`conv2d.cu`) where there are too
few columns to fill a tile. Images are (N,H,W,C), kernels (KH,KW,C/groups,F). An array that is not
on the GPU, or of another type, is an ArgumentError; a result that the card has no room for is a
DeviceMemoryError.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.geometry import Geometry
from minicnn.kernels.cuda import plain
from minicnn.kernels.cuda.device import Array, Program, card, checked, cupy, empty, program, zeros
from minicnn.kernels.cuda.masked_gradient import in_full, sums_of
from minicnn.kernels.cuda.pooling import large, max_pool2d, small
from minicnn.kernels.cuda.tiles import MOST_BLOCKS, Tile, choose, precision, products_are_own

__all__ = [
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_kernel_gradient",
    "conv2d_max_pool2d",
    "kernel_and_bias_gradient",
    "matmul",
]

#: Blocks that a kernel gradient is cut into, so that large cards have work for all their parts, and
#: threads in the plain kernel. They do not depend on the card, so neither do the bits.
BLOCKS = 512
SUMS = 1 << 17
#: Outputs that one part of a kernel gradient adds up at least and at most, and bytes of all parts.
SHORTEST = 128
LONGEST = 1 << 30
PARTS_BYTES = 1 << 26


def _sees_one_pixel(g: Geometry) -> bool:
    """Return whether every output sees just the pixel under it: one product for each pixel."""
    return g[4:8] == (1, 1, 1, 1) and not any(g[8:12]) and g.groups == 1


def _is_matrix_product(g: Geometry, dtype: Any) -> bool:
    """Return whether cuBLAS has the whole as one product; it computes in float32 or float64."""
    if products_are_own():
        return False
    tensor_cores = precision() != "float32" and dtype == np.float32
    return g.is_one_product or (_sees_one_pixel(g) and not tensor_cores)


def _vector(numbers: tuple[int, ...], *arrays: Array) -> int:
    """Return how many neighbours may move together: 16 bytes of them, or just one.

    Args:
        numbers: of channels, which must be multiples.
        arrays: whose memory must begin at a multiple of 16 bytes.
    """
    wide = 16 // arrays[0].itemsize
    fits = all(n % wide == 0 for n in numbers) and all(a.data.ptr % 16 == 0 for a in arrays)
    return wide if fits else 1


def _tile_program(
    name: str, tile: Tile, kind: str, vectors: tuple[int, int, int], arrays: list[Array]
) -> tuple[Program, int]:
    """Return the tiled kernels of one file, and the threads of a block."""
    tensor_cores = "tf32" in kind
    threads = tile.threads(tensor_cores)
    macros = dict(
        zip(("LEFT_VECTOR", "RIGHT_VECTOR", "RESULT_VECTOR"), vectors, strict=True),
        TILE_ROWS=tile.rows, TILE_COLUMNS=tile.columns, TILE_DEPTH=tile.depth, THREADS=threads,
    )  # fmt: skip
    if tensor_cores:
        macros |= {"WARP_ROWS": tile.thread_rows, "SPLIT": 3 if kind == "3xtf32" else 1}
    else:
        macros |= {"THREAD_ROWS": tile.thread_rows, "THREAD_COLUMNS": tile.thread_columns}
    engine = "tensor_cores" if tensor_cores else "register_tile"
    return program((engine, "tile", name), *arrays, **macros), threads


def conv2d(
    x: Array, kernel: Array, g: Geometry, bias: Array | None = None, relu: bool = False
) -> Array:
    """Return y (N,OH,OW,F): the sum of the window times the kernel, plus a bias, through a ReLU."""
    x = in_full(x)
    images, channels, filters = x.shape[0], kernel.shape[2] * g.groups, kernel.shape[3]
    shape = (g.kernel_height, g.kernel_width, channels // g.groups, filters)
    x, kernel, bias = checked(
        "conv2d", x=(x, large(images, g, channels)), kernel=(kernel, shape),
        bias=(bias, (filters,)),
    )  # fmt: skip
    y = empty("conv2d", small(images, g, filters), x.dtype)
    if y.size == 0:
        return y
    if _is_matrix_product(g, x.dtype):
        rows = y.size // filters
        cupy().matmul(x.reshape(rows, -1), kernel.reshape(-1, filters), out=y.reshape(rows, -1))
        return plain.finished(y, bias, relu)
    group_filters = filters // g.groups
    found = choose(y.size // filters, group_filters, g.groups, x.dtype, card())
    arguments = (channels, filters, int(relu), g)
    if found is None or g.groups > MOST_BLOCKS:
        return plain.conv2d(x, kernel, bias, y, relu, g)
    tile, kind = found
    along = _vector((filters, group_filters), kernel)
    vectors = (_vector((channels, channels // g.groups), x), along, along)
    kernels, threads = _tile_program("conv2d_tiled", tile, kind, vectors, [x, kernel, y])
    grid = (-(-(y.size // filters) // tile.rows), -(-group_filters // tile.columns), g.groups)
    kernels.launch("conv2d_tiled", grid, (threads,), x, kernel, bias, y, images, *arguments)
    return y


def conv2d_input_gradient(
    dy: Array, kernel: Array, g: Geometry, bias: Array | None = None, relu: bool = False
) -> Array:
    """Return dx (N,H,W,C): what every input has a part in, which is the transposed convolution."""
    dy = in_full(dy)
    images, channels, filters = dy.shape[0], kernel.shape[2] * g.groups, kernel.shape[3]
    group_channels, group_filters = channels // g.groups, filters // g.groups
    shape = (g.kernel_height, g.kernel_width, group_channels, filters)
    dy, kernel, bias = checked(
        "conv2d_input_gradient", dy=(dy, small(images, g, filters)),
        kernel=(kernel, shape), bias=(bias, (channels,)),
    )  # fmt: skip
    dx = empty("conv2d_input_gradient", large(images, g, channels), dy.dtype)
    if dx.size == 0:
        return dx
    if _is_matrix_product(g, dy.dtype):
        rows = dy.size // filters
        cupy().matmul(dy.reshape(rows, -1), kernel.reshape(-1, filters).T, out=dx.reshape(rows, -1))
        return plain.finished(dx, bias, relu)
    residues = g.stride_height * g.stride_width
    rows = images * -(-g.in_height // g.stride_height) * -(-g.in_width // g.stride_width)
    found = choose(rows, group_channels, g.groups * residues, dy.dtype, card())
    arguments = (channels, filters, int(relu), g)
    if found is None or g.groups * residues > MOST_BLOCKS:
        return plain.conv2d_input_gradient(dy, kernel, bias, dx, relu, g)
    tile, kind = found
    filters_fit = (filters, group_filters)
    vectors = (
        _vector(filters_fit, dy),
        _vector(filters_fit, kernel),
        _vector((channels, group_channels), dx),
    )
    name = "conv2d_input_gradient_tiled"
    kernels, threads = _tile_program(name, tile, kind, vectors, [dy, kernel, dx])
    grid = (-(-rows // tile.rows), -(-group_channels // tile.columns), g.groups * residues)
    kernels.launch(name, grid, (threads,), dy, kernel, bias, dx, images, *arguments)
    return dx


def _parts(wanted: int, pixels: int, elements: int, itemsize: int) -> tuple[int, int]:
    """Return into how many parts a kernel gradient is cut, and the outputs of each but the last."""
    room = max(PARTS_BYTES // (elements * itemsize), 1)
    count = max(min(wanted, -(-pixels // SHORTEST), room), -(-pixels // LONGEST))
    length = -(-pixels // count)
    return -(-pixels // length), length


def conv2d_kernel_gradient(x: Array, dy: Array, g: Geometry) -> Array:
    """Return dk (KH,KW,C/groups,F): each kernel element meets every output that used it.

    The outputs are cut into parts, whose sums are added in their order: twice the same call gives
    the same bits.
    """
    x, dy = in_full(x), in_full(dy)
    images, channels, filters = x.shape[0], x.shape[3], dy.shape[3]
    group_channels, group_filters = channels // g.groups, filters // g.groups
    where = "conv2d_kernel_gradient"
    x, dy = checked(where, x=(x, large(images, g, channels)), dy=(dy, small(images, g, filters)))
    shape = (g.kernel_height, g.kernel_width, group_channels, filters)
    pixels, elements = dy.size // filters, math.prod(shape)
    if pixels == 0:
        return zeros(where, shape, x.dtype)
    if _is_matrix_product(g, x.dtype):
        dk = empty(where, shape, x.dtype)
        rows = x.reshape(pixels, -1)
        cupy().matmul(rows.T, dy.reshape(pixels, -1), out=dk.reshape(rows.shape[1], -1))
        return dk
    found = choose(elements // filters, group_filters, BLOCKS, x.dtype, card())
    if found is None or g.groups > MOST_BLOCKS:
        count, length = _parts(-(-SUMS // elements), pixels, elements, x.itemsize)
        parts = empty(where, (count, *shape), x.dtype)
        return plain.conv2d_kernel_gradient(x, dy, parts, length, g)
    tile, kind = found
    across, along = -(-(elements // filters) // tile.rows), -(-group_filters // tile.columns)
    wanted = min(-(-BLOCKS // (across * along * g.groups)), MOST_BLOCKS // g.groups)
    count, length = _parts(wanted, pixels, elements, x.itemsize)
    parts = empty(where, (count, *shape), x.dtype)
    beside = _vector((filters, group_filters), dy)
    vectors = (_vector((channels, group_channels), x), beside, beside)
    kernels, threads = _tile_program(f"{where}_tiled", tile, kind, vectors, [x, dy, parts])
    sizes = map(kernels.offset, (pixels, length))
    grid = (across, along, g.groups * count)
    kernels.launch(
        f"{where}_tiled", grid, (threads,), x, dy, parts, *sizes, channels, filters, g
    )  # fmt: skip
    return plain.added(where, parts)


def kernel_and_bias_gradient(
    x: Array, dy: Array, g: Geometry, biased: str | None
) -> tuple[Array, Array]:
    """Return dk, and the sums of the channels of `"dy"` or of `"x"`; zeros if there is no bias.

    The bias of a convolution belongs to dy's channels, that of a transposed one to x's.
    """
    dk = conv2d_kernel_gradient(x, dy, g)
    if biased is None:
        return dk, zeros("kernel_and_bias_gradient", dk.shape[3:], dk.dtype)
    return dk, sums_of(x if biased == "x" else dy)


def conv2d_max_pool2d(
    x: Array, kernel: Array, g: Geometry, bias: Array | None, relu: bool, pool: Geometry
) -> tuple[Array, Array]:
    """Return the max-pool of a convolution, as `max_pool2d` does."""
    return max_pool2d(conv2d(x, kernel, g, bias, relu), pool)


#: The window arithmetic of images of one pixel, whose convolution is a matrix product.
_ONE_PIXEL = Geometry(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1)


def matmul(a: Array, b: Array) -> Array:
    """Return the matrix product of a (...,M,K) and b (...,K,N), by cuBLAS unless that is ruled out.

    Within `own_products`, a product of two matrices is a convolution of M images of one pixel with
    K channels; a matrix that lies transposed makes it one of that convolution's gradients.
    """
    own = products_are_own() and a.ndim == b.ndim == 2 and a.size and b.size
    if not own or a.dtype != b.dtype or a.dtype not in (np.float32, np.float64):
        return a @ b
    (rows, depth), columns = a.shape, b.shape[1]
    if a.flags.f_contiguous and not a.flags.c_contiguous:
        x, dy = a.T.reshape(depth, 1, 1, rows), b.reshape(depth, 1, 1, columns)
        return conv2d_kernel_gradient(x, dy, _ONE_PIXEL).reshape(rows, columns)
    if b.flags.f_contiguous and not b.flags.c_contiguous:
        dy, kernel = a.reshape(rows, 1, 1, depth), b.T.reshape(1, 1, columns, depth)
        return conv2d_input_gradient(dy, kernel, _ONE_PIXEL).reshape(rows, columns)
    x, kernel = a.reshape(rows, 1, 1, depth), b.reshape(1, 1, depth, columns)
    return conv2d(x, kernel, _ONE_PIXEL).reshape(rows, columns)
