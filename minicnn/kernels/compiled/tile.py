"""A tile of numbers in the processor's registers, as a type that Numba's functions can use.

A processor has 16 or 32 vector registers of 4, 8 or 16 floats each. Arithmetic is fast on what lies
in them and waits for memory otherwise. LLVM, left to itself, keeps the inputs of a loop there and
walks through the results; for a matrix product the other way round is right: a block of results
stays, and inputs pass by. The type `Tile` is that block, `rows` by `vectors` registers. Its
operations write LLVM's vector instructions, which every processor has in some width.

Addresses are pairs of a pointer and an index. Arrays would do, but Numba counts references to
arrays, which takes longer than a small tile's arithmetic.
"""

from __future__ import annotations

import platform
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

__all__ = [
    "LANE_BYTES", "ROWS", "add", "add_outer_product", "add_rows", "ahead", "lanes", "load",
    "opaque", "pointer", "relu", "repeat_row", "store_rows", "subtract", "zeros",
]  # fmt: skip


def _registers() -> tuple[int, int]:
    """Return the bytes in a vector register of this processor, and the rows of its tile.

    A tile of R rows takes 2*R registers, and three more hold a row of B and an element of A.
    AVX-512 has 32 registers of 64 bytes, NEON 32 of 16; AVX2 has 16 of 32, so 6 rows are the most.
    """
    from llvmlite import binding

    given = vars(numba.config)["CPU_FEATURES"]
    if given is None:
        try:
            features = binding.get_host_cpu_features()
        except RuntimeError:  # LLVM cannot tell on every system
            features = {}
    else:
        features = {name[1:]: name[0] == "+" for name in given.split(",") if name}
    if features.get("avx512f"):
        return 64, 8
    if features.get("avx2"):
        return 32, 6
    arm = platform.machine().lower() in ("aarch64", "arm64")  # where NEON is never missing
    return 16, 8 if arm or features.get("neon") else 6


LANE_BYTES, ROWS = _registers()


def lanes(dtype: Any) -> int:
    """Return how many numbers of a type one vector register holds."""
    return LANE_BYTES // np.dtype(dtype).itemsize


class Tile(types.Type):
    """Rows by vectors of numbers, held in registers."""

    def __init__(self, dtype: Any, rows: int, vectors: int) -> None:
        self.dtype, self.rows, self.vectors = dtype, rows, vectors
        super().__init__(name=f"Tile({dtype}, {rows}, {vectors})")

    @property
    def number(self) -> Any:
        return ir.FloatType() if self.dtype.bitwidth == 32 else ir.DoubleType()

    @property
    def vector(self) -> Any:
        return ir.VectorType(self.number, LANE_BYTES // (self.dtype.bitwidth // 8))


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, tile: Tile) -> None:
        super().__init__(manager, tile, ir.ArrayType(tile.vector, tile.rows * tile.vectors))


_INT = ir.IntType(64)


class _Writer:
    """Writes the LLVM instructions of one tile operation."""

    def __init__(self, builder: Any, tile: Tile) -> None:
        self.builder, self.tile = builder, tile
        self.lanes = tile.vector.count
        self.suffix = f"v{self.lanes}f{tile.dtype.bitwidth}"

    def ahead(self, address: Any, index: Any) -> Any:
        """Return the address so many numbers further on."""
        index = index if isinstance(index, ir.Value) else ir.Constant(_INT, index)
        return self.builder.gep(address, [index], source_etype=self.tile.number)

    def row(self, address: Any, step: Any, r: int) -> Any:
        """Return the address of row r, where rows are `step` numbers apart."""
        return self.ahead(address, self.builder.mul(step, ir.Constant(_INT, r)))

    def load(self, address: Any, vector: int) -> Any:
        """Return the vector that begins so many vectors after the address."""
        place = self.ahead(address, vector * self.lanes)
        found = self.builder.load(
            self.builder.bitcast(place, self.tile.vector.as_pointer()), typ=self.tile.vector
        )
        found.align = self.tile.dtype.bitwidth // 8
        return found

    def store(self, value: Any, address: Any, vector: int) -> None:
        place = self.ahead(address, vector * self.lanes)
        target = self.builder.bitcast(place, self.tile.vector.as_pointer())
        self.builder.store(value, target).align = self.tile.dtype.bitwidth // 8

    def broadcast(self, number: Any) -> Any:
        """Return a vector of one number repeated."""
        vector = ir.VectorType(number.type, self.lanes)
        nothing = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, nothing, zeros)

    def function(self, name: str, result: Any, *arguments: Any) -> Any:
        kind = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.builder.module, kind, name)

    def mask(self, count: Any) -> Any:
        """Return a vector of booleans, true for the first `count` lanes."""
        number = ir.Constant(ir.VectorType(_INT, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", number, self.broadcast(count))


@intrinsic
def pointer(typing: Any, array: Any) -> Any:
    """Return where an array's numbers begin: unlike arrays, pointers carry no reference counts."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(array)(context, builder, value=arguments[0]).data

    return types.CPointer(array.dtype)(array), write


@intrinsic
def ahead(typing: Any, start: Any, index: Any) -> Any:
    """Return the pointer so many numbers further on."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.get_data_type(start.dtype)
        return builder.gep(arguments[0], [arguments[1]], source_etype=number)

    return start(start, types.int64), write


@intrinsic(prefer_literal=True)
def zeros(typing: Any, like: Any, rows: Any, vectors: Any) -> Any:
    """Return a tile of zeros for numbers like those that a pointer leads to."""
    tile = Tile(like.dtype, rows.literal_value, vectors.literal_value)

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(tile), None)

    return tile(like, rows, vectors), write


@intrinsic
def load(typing: Any, A: Any, a: Any) -> Any:
    """Return one vector of numbers, A[a:], as a tile of one row."""
    tile = Tile(A.dtype, 1, 1)

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        w = _Writer(builder, tile)
        found = w.load(w.ahead(*arguments), 0)
        return builder.insert_value(ir.Constant(context.get_value_type(tile), None), found, 0)

    return tile(A, a), write


def _element_by_element(instruction: str) -> Any:
    """Return an operation on two tiles that is one of LLVM's instructions."""

    def operation(typing: Any, tile: Any, other: Any) -> Any:
        def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            left, right = arguments
            for i in range(tile.rows * tile.vectors):
                parts = builder.extract_value(left, i), builder.extract_value(right, i)
                left = builder.insert_value(left, getattr(builder, instruction)(*parts), i)
            return left

        return tile(tile, other), write

    return intrinsic(operation)


add = _element_by_element("fadd")
subtract = _element_by_element("fsub")


@intrinsic
def repeat_row(typing: Any, tile: Any, B: Any, b: Any) -> Any:
    """Return a tile whose rows are all B[b:]."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        w = _Writer(builder, tile)
        total, B_, b_ = arguments
        address = w.ahead(B_, b_)
        row = [w.load(address, v) for v in range(tile.vectors)]
        for i in range(tile.rows * tile.vectors):
            total = builder.insert_value(total, row[i % tile.vectors], i)
        return total

    return tile(tile, B, b), write


@intrinsic
def add_outer_product(typing: Any, tile: Any, A: Any, a: Any, a_row: Any, B: Any, b: Any) -> Any:
    """Return tile[r, v] + A[a + r*a_row] * B[b + v]: each number of A meets each vector of B."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        w = _Writer(builder, tile)
        total, A_, a_, step, B_, b_ = arguments
        fma = w.function(f"llvm.fma.{w.suffix}", tile.vector, *[tile.vector] * 3)
        below, left = w.ahead(B_, b_), w.ahead(A_, a_)
        row = [w.load(below, v) for v in range(tile.vectors)]
        for r in range(tile.rows):
            number = builder.load(w.row(left, step, r), typ=tile.number)
            factor = w.broadcast(number)
            for v in range(tile.vectors):
                i = r * tile.vectors + v
                before = builder.extract_value(total, i)
                total = builder.insert_value(total, builder.call(fma, [factor, row[v], before]), i)
        return total

    return tile(tile, A, a, a_row, B, b), write


@intrinsic
def add_rows(typing: Any, tile: Any, C: Any, c: Any, c_row: Any, count: Any) -> Any:
    """Return tile[r, v] + C[c + r*c_row + v]; of the last vector, `count` lanes are read."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        w = _Writer(builder, tile)
        total, C_, c_, step, count_ = arguments
        pointer, mask = tile.vector.as_pointer(), w.mask(count_)
        masked_load = w.function(
            f"llvm.masked.load.{w.suffix}.p0", tile.vector, pointer, ir.IntType(32), mask.type,
            tile.vector,
        )  # fmt: skip
        align = ir.Constant(ir.IntType(32), tile.dtype.bitwidth // 8)
        nothing = ir.Constant(tile.vector, None)
        first = w.ahead(C_, c_)
        for r in range(tile.rows):
            address = w.row(first, step, r)
            for v in range(tile.vectors):
                if v < tile.vectors - 1:
                    there = w.load(address, v)
                else:
                    place = builder.bitcast(w.ahead(address, v * w.lanes), pointer)
                    there = builder.call(masked_load, [place, align, mask, nothing])
                i = r * tile.vectors + v
                total = builder.insert_value(
                    total, builder.fadd(builder.extract_value(total, i), there), i
                )
        return total

    return tile(tile, C, c, c_row, count), write


@intrinsic
def relu(typing: Any, tile: Any) -> Any:
    """Return the tile with zeros in place of negative numbers; NaN stays."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (total,) = arguments
        zero = ir.Constant(tile.vector, None)
        for i in range(tile.rows * tile.vectors):
            value = builder.extract_value(total, i)
            below = builder.fcmp_ordered("<", value, zero)
            total = builder.insert_value(total, builder.select(below, zero, value), i)
        return total

    return tile(tile), write


@intrinsic
def store_rows(typing: Any, tile: Any, C: Any, c: Any, c_row: Any, count: Any) -> Any:
    """Set C[c + r*c_row + v] = tile[r, v]; of the last vector, only `count` lanes are written."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        w = _Writer(builder, tile)
        total, C_, c_, step, count_ = arguments
        pointer, mask = tile.vector.as_pointer(), w.mask(count_)
        masked_store = w.function(
            f"llvm.masked.store.{w.suffix}.p0", ir.VoidType(), tile.vector, pointer,
            ir.IntType(32), mask.type,
        )  # fmt: skip
        align = ir.Constant(ir.IntType(32), tile.dtype.bitwidth // 8)
        first = w.ahead(C_, c_)
        whole = builder.icmp_signed("==", count_, ir.Constant(_INT, w.lanes))
        # Masked stores are slow on some processors: they are for the edge alone.
        with builder.if_else(whole) as (then, otherwise):
            for branch, is_whole in ((then, True), (otherwise, False)):
                with branch:
                    for r in range(tile.rows):
                        address = w.row(first, step, r)
                        for v in range(tile.vectors):
                            value = builder.extract_value(total, r * tile.vectors + v)
                            if is_whole or v < tile.vectors - 1:
                                w.store(value, address, v)
                            else:
                                place = builder.bitcast(w.ahead(address, v * w.lanes), pointer)
                                builder.call(masked_store, [value, place, align, mask])
        return context.get_dummy_value()

    return types.void(tile, C, c, c_row, count), write


@intrinsic
def opaque(typing: Any, index: Any) -> Any:
    """Return the index as it is, by a way that LLVM does not look through.

    Where it can predict the index, it rearranges the loop around it: with AVX-512, maps of 32 to 64
    channels then took 13 to 30 % longer; AVX2 makes no difference.
    """

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.asm(ir.FunctionType(_INT, [_INT]), "", "=r,0", [arguments[0]], False)

    return types.int64(types.int64), write
