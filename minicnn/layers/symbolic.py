"""Tensors without numbers: what layers are called on while a network is being drawn up."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from minicnn import config
from minicnn.autograd.operators import Operators
from minicnn.autograd.tensor import Tensor, alongside, constant
from minicnn.errors import ShapeError, SymbolicError
from minicnn.nested import flatten, is_shape, mapped, pack

__all__ = ["Call", "SymbolicTensor", "is_symbolic", "shapes_by_trying"]

_numbers = itertools.count()

Shape = tuple[int | None, ...]


class Call:
    """One use of a layer: the layer, what it was called on, and what came out.

    `training` is what the layer was told while it was drawn up, None if nothing; such a word holds
    for good, as in `base(x, training=False)`.
    """

    def __init__(
        self,
        layer: Any,
        inputs: Any,
        training: bool | None = None,
        others: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> None:
        self.layer = layer
        self.inputs = inputs
        self.training = training
        #: Further arguments, by place and by name; symbolic tensors among them are inputs, too.
        self.others, self.named = tuple(others), dict(named or {})
        self.number = next(_numbers)
        self.outputs: list[SymbolicTensor] = []
        #: The outputs as the layer gives them: one, or several in lists or dictionaries.
        self.result: Any = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({"others": (), "named": {}, "result": None} | state)

    @property
    def input_list(self) -> list[SymbolicTensor]:
        """The inputs as a flat list."""
        given = flatten((self.inputs, self.others, self.named))
        return [x for x in given if isinstance(x, SymbolicTensor)]

    def arguments(self, values: Mapping[int, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """Return inputs and further arguments with values in place of symbolic tensors, by id."""
        if isinstance(self.inputs, SymbolicTensor) and not self.others and not self.named:
            return values[id(self.inputs)], (), {}
        found: tuple[Any, tuple[Any, ...], dict[str, Any]] = mapped(
            lambda x: values.get(id(x), x), (self.inputs, self.others, self.named)
        )
        return found

    def resulting(self, shapes: Any, dtypes: Any) -> Any:
        """Return new symbolic tensors of these shapes; one type, or one for each."""
        several = not isinstance(dtypes, str)
        types = iter(flatten(dtypes) if several else itertools.repeat(dtypes))
        self.result = mapped(lambda s: SymbolicTensor(s, self, next(types)), shapes, is_shape)
        return self.result


class SymbolicTensor(Operators):
    """The shape and type of a value to come, and the call that will make it.

    Operators, and the operations of `minicnn.ops` and `minicnn.activations` called on it, become
    part of the network.

    Args:
        shape: length of each axis, None for the batch.
        call: the use of a layer that makes it.
        dtype: element type, default `config.floatx()`.
    """

    # NumPy must leave `array * symbolic` to SymbolicTensor.__rmul__.
    __array_priority__ = 200
    __array_ufunc__ = None

    def __init__(self, shape: Sequence[int | None], call: Call, dtype: str | None = None) -> None:
        self.shape: Shape = tuple(shape)
        self.dtype = dtype or config.floatx()
        self.call = call
        #: Weak references to the models that begin with this tensor.
        self.entry_of: list[weakref.ref[Any]] = []
        call.outputs.append(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of; its models make themselves known when asked."""
        return {**vars(self), "entry_of": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({"entry_of": []} | state)

    @property
    def name(self) -> str:
        """The name of the layer that makes this value."""
        return str(self.call.layer.name)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<SymbolicTensor shape={self.shape} dtype={self.dtype} from {self.name!r}>"

    def _refuse(self, what: str) -> NoReturn:
        raise SymbolicError(
            f"{self!r} has no numbers yet, so {what}; call a model of it on data, or use layers "
            f"and the operations of minicnn.ops."
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        self._refuse("it cannot become an array")

    def __float__(self) -> float:
        self._refuse("it cannot become a number")

    def __bool__(self) -> bool:
        self._refuse("it is neither true nor false")

    def __iter__(self) -> Any:
        self._refuse("it cannot be gone through")


def is_symbolic(value: Any) -> bool:
    """Return whether `value` is a symbolic tensor, or a list or dictionary that holds one."""
    if isinstance(value, list | tuple | dict):
        return any(is_symbolic(v) for v in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, SymbolicTensor)


#: Two lengths for an open batch, and for other open axes, with which a function is tried.
_BATCHES = (1, 2)
_LENGTHS = (96, 128)


def shapes_by_trying(
    function: Callable[[list[Tensor]], Any],
    shapes: Sequence[Shape],
    dtypes: Sequence[str],
    *,
    batch_alone: bool = True,
    home: Tensor | None = None,
) -> tuple[Any, Any]:
    """Return the shape and type of what a function makes of zeros, arranged as its results are.

    An axis of the result is open if it changes with the open axes of the input.

    Args:
        function: of a list of tensors.
        shapes: of the inputs.
        dtypes: of the inputs.
        batch_alone: an open first axis goes through the function as such, which saves the second
            try where no other axis is open; default True.
        home: a tensor beside which the zeros must lie; default where new tensors are put.

    Raises:
        ShapeError: the function cannot be tried with any sizes on the open axes.
    """
    open_inside = any(None in shape[1:] for shape in shapes)

    def tried(place: int) -> tuple[Any, list[Tensor]]:
        filled = [
            [n if n is not None else (_LENGTHS if i else _BATCHES)[place] for i, n in enumerate(s)]
            for s in shapes
        ]
        blank = [np.zeros(s, d) for s, d in zip(filled, dtypes, strict=True)]
        zeros = [constant(z) if home is None else alongside(z, home) for z in blank]
        try:
            results = function(zeros)
        except ShapeError as error:
            if not open_inside:
                raise
            raise ShapeError(
                f"the result for open axes in {', '.join(map(str, shapes))} was sought with "
                f"{_LENGTHS[place]} in their place, but: {error} Give numbers instead."
            ) from error
        return results, flatten(results)

    results, first = tried(0)
    if batch_alone and not open_inside:
        open_batch = any(s and s[0] is None for s in shapes)
        found = [(None, *r.shape[1:]) if r.ndim and open_batch else r.shape for r in first]
    else:
        _, second = tried(1)
        found = [
            tuple(n if n == m else None for n, m in zip(a.shape, b.shape, strict=True))
            for a, b in zip(first, second, strict=True)
        ]
    types = [str(r.dtype) for r in first]
    return pack(results, found), pack(results, types)
