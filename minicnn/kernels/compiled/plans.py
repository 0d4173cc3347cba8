"""What the plans of all three maps are made of: tables of micro-tiles, bands, packed panels."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from minicnn.geometry import Geometry
from minicnn.kernels.compiled import macrokernel, pooling
from minicnn.kernels.compiled.bands import Epilogue, OperandLayout
from minicnn.kernels.compiled.macrokernel import MacroKernel
from minicnn.kernels.compiled.microkernel import SIZES, MicroTile
from minicnn.kernels.masked_gradient import MaskedGradient
from minicnn.runtime import memory

Array = NDArray[Any]
#: An image, or a gradient that is written out band by band.
Operand = Array | MaskedGradient

#: Bytes that a thread's band of an image may take: about half of a small second-level cache.
BAND_BYTES = 1 << 18


def written(x: Operand) -> Array:
    """Return a gradient written out."""
    if not isinstance(x, MaskedGradient):
        return x
    data = x.dy
    if x.relu_output is not None:
        data = np.multiply(data, x.relu_output > 0, out=memory.empty(data.shape, data.dtype))
    if x.indices is None or x.pool is None:
        return data
    return pooling.scatter(data, x.indices, x.pool)


def ready(x: MaskedGradient, g: Geometry) -> Operand:
    """Return a gradient as the maps of this geometry use it: written out, if they would do so."""
    return written(x) if g.is_one_product or not has_tile(x.dy.dtype) else x


def data_of(x: Operand) -> Array:
    """Return the numbers of an operand, whose shape tells its size."""
    return x.dy if isinstance(x, MaskedGradient) else x


def has_tile(dtype: Any) -> bool:
    """Return whether there are tiles; integers have plain loops, others NumPy's way."""
    return dtype in (np.float32, np.float64)


class Plan(NamedTuple):
    """What the macro-kernel needs besides its arrays; the same for every call of one shape."""

    threads: int
    macro: MacroKernel
    tiles: Array
    a_layout: OperandLayout
    b_layout: OperandLayout
    epilogue: Epilogue


IN_PLACE = OperandLayout(*[0] * len(OperandLayout._fields))
NO_EPILOGUE = Epilogue(*[0] * len(Epilogue._fields))


def threads() -> int:
    """Return the number of threads that compiled code uses."""
    return int(numba.get_num_threads())


@functools.cache
def cut(n: int) -> list[tuple[int, int]]:
    """Return (first, rows) of the tiles that cover n rows, as few as there can be.

    Of several ways, the one with the most equal tiles: a tile of one row waits for itself.

    >>> [(first, first + rows) for first, rows in cut(2)], sum(rows for _, rows in cut(14))
    ([(0, 2)], 14)
    """
    ways: list[tuple[int, ...]] = [()]
    for m in range(1, n + 1):
        ways.append(
            min(
                ((size, *ways[m - size]) for size in SIZES if size <= m),
                key=lambda way: (len(way), max(way) - min(way)),
            )
        )
    rows = sorted(ways[n], reverse=True)
    return list(zip(itertools.accumulate(rows, initial=0), rows, strict=False))


def panels(n: int, width: int) -> list[tuple[int, int, int]]:
    """Return (first, vectors, lanes of the last vector) for n channels, two vectors at a time.

    >>> panels(33, 16)
    [(0, 2, 16), (32, 1, 1)]
    """
    found = []
    for first in range(0, n, 2 * width):
        rest = min(n - first, 2 * width)
        vectors = 1 if rest <= width else 2
        found.append((first, vectors, rest - (vectors - 1) * width))
    return found


class Packing(NamedTuple):
    """How matrices (K,F) of some groups lie in memory: cut into panels of two vectors' width.

    A tile runs down one panel, whose rows follow each other: no jumps, no cache lines half used.
    """

    groups: int
    depth: int  # K, products in one sum
    filters: int
    width: int  # lanes

    @property
    def step(self) -> int:
        """Numbers from one row of a panel to the next."""
        return min(-(-self.filters // self.width), 2) * self.width

    @property
    def padded(self) -> int:
        """Numbers in whole vectors that hold all filters of a group."""
        return -(-self.filters // self.width) * self.width

    def place(self, group: int, row: int, first: int) -> int:
        """Return where a row of a group's matrix begins, from the first filter of a panel."""
        panel = group * -(-self.filters // self.step) + first // self.step
        return (panel * self.depth + row) * self.step

    def pack(self, matrices: Array) -> Array:
        """Return matrices (groups,K,F) as panels, zeros in the missing lanes."""
        if self.groups == 1 and self.filters == self.step:
            return np.ascontiguousarray(matrices).reshape(-1)
        count = -(-self.filters // self.step)
        if self.filters < count * self.step:
            padded = np.zeros((self.groups, self.depth, count * self.step), matrices.dtype)
            padded[:, :, : self.filters] = matrices
            matrices = padded
        parts = matrices.reshape(self.groups, self.depth, count, self.step)
        return np.ascontiguousarray(parts.transpose(0, 2, 1, 3)).reshape(-1)  # (G,P,K,step)


def lane_padded(bias: Array, groups: int, width: int) -> Array:
    """Return the biases with each group's filled up to whole vectors."""
    per_group = bias.reshape(groups, -1)
    missing = -per_group.shape[1] % width
    if not missing:
        return np.ascontiguousarray(bias)
    return np.pad(per_group, ((0, 0), (0, missing))).reshape(-1)


def band(images: int, swept: int, row: int, multiple: int, among: int) -> int:
    """Return how many swept rows a thread takes at once: few enough for its cache and to share.

    Args:
        images: images of the batch.
        swept: rows swept in one image.
        row: numbers that one swept row adds to a thread's scratch.
        multiple: rows that belong together.
        among: threads that share the work.
    """
    rows = max(1, BAND_BYTES // max(4 * row, 1))
    if images * -(-swept // rows) < 2 * among:
        rows = max(1, images * swept // (2 * among))
    pieces = math.ceil(swept / min(math.ceil(rows / multiple) * multiple, swept))
    return math.ceil(math.ceil(swept / pieces) / multiple) * multiple


def aligned(n: int) -> int:
    """Return n rounded up to whole vectors, and two more for loads that run over the end."""
    return (n + 47) // 16 * 16


def band_size(image: OperandLayout, rows: int) -> int:
    """Return the numbers of one thread's copy of a band."""
    return aligned(((rows - 1) * image.step + image.rows) * image.width) if image.copied else 0


def table(tiles: list[MicroTile]) -> Array:
    """Return micro-tiles as the array that the macro-kernel reads."""
    return np.array(tiles, np.int64).reshape(len(tiles), len(MicroTile._fields))


@functools.lru_cache(maxsize=512)
def _described(image: OperandLayout, masked: bool, pool: Geometry | None) -> OperandLayout:
    image = image._replace(masked=int(masked))
    if pool is None:
        return image
    return image._replace(
        pool_height=pool.stride_height,
        pool_width=pool.stride_width,
        pooled_height=pool.out_height,
        pooled_width=pool.out_width,
    )


def describe(image: OperandLayout, x: Operand) -> OperandLayout:
    """Return the image description for a gradient that still has to be written out."""
    if not isinstance(x, MaskedGradient):
        return image
    return _described(image, x.relu_output is not None, x.pool)


_nothing = {np.dtype(t): np.zeros(0, t) for t in ("float32", "float64", "int32")}
_nowhere = _nothing[np.dtype(np.int32)]


def _operand(x: Operand) -> tuple[Array, Array, Array]:
    """Return the arrays (data, relu_output, indices) of an image or of a gradient, flat."""
    if not isinstance(x, MaskedGradient):
        data = np.ascontiguousarray(x).reshape(-1)
        return data, _nothing[data.dtype], _nowhere
    data, shown = np.ascontiguousarray(x.dy).reshape(-1), x.relu_output
    shown = _nothing[data.dtype] if shown is None else np.ascontiguousarray(shown).reshape(-1)
    return data, shown, _nowhere if x.indices is None else x.indices.reshape(-1)


def run(
    plan: Plan,
    a: Operand,
    b: Operand,
    bias: Array | None = None,
    c: Array | None = None,
    out: Array | None = None,
    indices: Array | None = None,
) -> Array:
    """Run a plan and return the threads' scratch rows of C.

    Args:
        plan: what is to be done.
        a: the images whose numbers are broadcast.
        b: the kernel, or images, whose numbers fill vectors.
        bias: what sums start from, filled up to whole vectors.
        c: the result, where it is not made from scratch rows.
        out: the result that is.
        indices: the places of the maxima, for a max-pool.
    """  # fmt: skip
    left, right = _operand(a), _operand(b)
    dtype = left[0].dtype
    nothing = _nothing[dtype]
    macro = plan.macro
    before_c = macro.a_scratch + macro.b_scratch
    scratch = memory.empty((plan.threads, before_c + macro.c_scratch), dtype)
    macrokernel.contract(
        plan.threads, macro, plan.tiles, describe(plan.a_layout, a), *left,
        describe(plan.b_layout, b), *right, nothing if bias is None else np.ascontiguousarray(bias),
        nothing if c is None else c.reshape(-1),
        plan.epilogue, nothing if out is None else out.reshape(-1),
        _nowhere if indices is None else indices.reshape(-1), scratch,
    )  # fmt: skip
    return scratch[:, before_c:]
