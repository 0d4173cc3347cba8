"""How a loop's arguments come to its turns: as one table of integers, whatever they are.

The loop that starts threads is compiled once and serves all kernels, as it knows no more of them
than an address and a table. Compiled for each kernel, with its arrays, it took Numba four times as
long as the kernel itself.
"""

from __future__ import annotations

import itertools
from array import array
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model
from numba.np import arrayobj

__all__ = ["Table", "arguments", "call_at", "table_of"]

_INT = ir.IntType(64)
_INTS = _INT.as_pointer()

#: Where NumPy's array objects hold the addresses of their numbers and of their shape, in words.
#: Source: NumPy reference, C API, PyArrayObject; the same in all versions.
DATA = object.__basicsize__ // 8
SHAPE = DATA + 2


class Table(types.Type):
    """The address of a table whose values `table_of` distinguishes as said."""

    def __init__(self, kinds: tuple[Any, ...]) -> None:
        self.kinds = tuple(
            types.Array(numba.from_dtype(kind[0]), kind[1], "C")
            if isinstance(kind, tuple)
            else types.NamedUniTuple(types.int64, len(kind._fields), kind)
            if issubclass(kind, tuple)
            else types.int64
            for kind in kinds
        )
        super().__init__(name=f"Table{self.kinds}")


@register_model(Table)
class _TableModel(models.PrimitiveModel):
    def __init__(self, manager: Any, table: Table) -> None:
        super().__init__(manager, table, _INTS)


def table_of(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], array[int]]:
    """Return what distinguishes the types of a loop's arguments, and their table.

    An array (in C order) is the address of its Python object, a tuple is its integers.
    """
    kinds: list[Any] = []
    numbers: list[int] = []
    for value in values:
        if isinstance(value, np.ndarray):
            assert value.flags.c_contiguous
            kinds.append((value.dtype, value.ndim))
            numbers.append(id(value))
        elif isinstance(value, tuple):
            kinds.append(type(value))
            numbers += value
        else:
            kinds.append(int)
            numbers.append(value)
    return tuple(kinds), array("q", numbers)


@intrinsic
def arguments(typing: Any, table: Any) -> Any:
    """Return the arguments of a table, as a tuple; its arrays belong to the caller of the loop."""
    result = types.Tuple(table.kinds)

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        numbers = itertools.count()

        def at(start: Any, place: int) -> Any:
            there = builder.gep(start, [ir.Constant(_INT, place)], source_etype=_INT)
            return builder.load(there, typ=_INT)

        def value(kind: Any) -> Any:
            if isinstance(kind, types.BaseTuple):
                parts = [at(given[0], next(numbers)) for _ in kind]
                return context.make_tuple(builder, kind, parts)
            number = at(given[0], next(numbers))
            if not isinstance(kind, types.Array):
                return number
            item, start = context.get_data_type(kind.dtype), builder.inttoptr(number, _INTS)
            data = builder.inttoptr(at(start, DATA), item.as_pointer())
            axes = builder.inttoptr(at(start, SHAPE), _INTS)
            shape = [at(axes, axis) for axis in range(kind.ndim)]
            steps = [ir.Constant(_INT, context.get_abi_sizeof(item))]
            for length in shape[:0:-1]:
                steps.insert(0, builder.mul(length, steps[0]))
            made = arrayobj.make_array(kind)(context, builder)
            arrayobj.populate_array(made, data, shape, steps, steps[-1], meminfo=None)
            return made._getvalue()

        return context.make_tuple(builder, result, [value(kind) for kind in table.kinds])

    return result(table), write


@intrinsic
def call_at(typing: Any, address: Any, given: Any) -> Any:
    """Call the machine code at an address with a tuple of arguments: integers and pointers.

    A direct call would make LLVM optimize again what is called in each function around it.
    """

    def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place, bundle = values
        kinds = [context.get_value_type(kind) for kind in given]
        function = builder.inttoptr(place, ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        builder.call(function, cgutils.unpack_tuple(builder, bundle, len(given)))
        return context.get_dummy_value()

    return types.void(types.int64, given), write
