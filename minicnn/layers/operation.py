"""Operations as parts of a network: what `a + b` or `ops.relu(x)` of symbolic tensors becomes."""

from __future__ import annotations

from types import EllipsisType
from typing import Any

import numpy as np

from minicnn import activations, ops
from minicnn.autograd.operators import above
from minicnn.autograd.tensor import (
    Tensor,
    Variable,
    alongside,
    as_numpy,
    as_tensor,
    constant,
    plain,
)
from minicnn.errors import ArgumentError, ShapeError, SymbolicError
from minicnn.layers.base import Layer
from minicnn.layers.merging import broadcast_shape
from minicnn.layers.symbolic import Call, SymbolicTensor, shapes_by_trying
from minicnn.nested import flatten
from minicnn.runtime.devices import device_of, on_gpu

__all__ = ["Operation"]

#: Operations whose result has the broadcast shape of their operands: nothing need be tried.
_ELEMENTWISE = {
    "abs", "add", "clip", "divide", "erf", "exp", "expm1", "log", "log1p", "maximum", "minimum",
    "multiply", "negative", "power", "relu", "sigmoid", "sign", "softplus", "sqrt", "square",
    "subtract", "tanh",
}  # fmt: skip


class _Place:
    """Stands in an operation's arguments for its symbolic input of this number."""

    def __init__(self, number: int) -> None:
        self.number = number


class Operation(Layer):
    """An operation with all its arguments, some of which are values to come.

    Drawn when an operator, or an operation of `minicnn.ops` or `minicnn.activations`, meets a
    symbolic tensor. As in Keras it is no layer of `model.layers`.

    Args:
        operation: the operation's name, as `"ops.add"` or `"activations.gelu"`.
        positional: its arguments, symbolic ones as places; or as a config holds them.
        named: such by name.
    """

    takes_list = True

    def __init__(
        self, operation: str, positional: list[Any], named: dict[str, Any], **kwargs: Any
    ) -> None:
        self.operation = operation
        super().__init__(**kwargs)
        self._function = _found(operation)
        self._positional = [_read(a) for a in positional]
        self._named = {name: _read(a) for name, a in named.items()}
        self._here: str | None = None  # where the constants among them were brought to
        self.built = True

    @property
    def arguments_in_letters(self) -> list[str] | None:
        """The arguments, inputs as {0}, {1}, ...; None if one is neither input nor one number."""
        numbers = [a for a in self._positional if not isinstance(a, _Place)]
        if self._named or not all(_is_number(a) for a in numbers):
            return None
        return [
            f"{{{a.number}}}" if isinstance(a, _Place) else f"{float(plain(a)):g}"
            for a in self._positional
        ]

    @property
    def is_elementwise(self) -> bool:
        """Whether a number of the result depends on the inputs at its own place alone."""
        module, _, name = self.operation.partition(".")
        known = module == "activations" or name in _ELEMENTWISE
        return known and self.arguments_in_letters is not None

    def _base_name(self) -> str:
        return self.operation.rpartition(".")[2]

    def _move_constants(self, inputs: Any) -> None:
        """Bring constant arrays to where the inputs are; they stay there for the next call."""
        if inputs and inputs[0].device != self._here:
            self._positional = [_beside(a, inputs[0]) for a in self._positional]
            self._named = {name: _beside(a, inputs[0]) for name, a in self._named.items()}
            self._here = inputs[0].device

    def call(self, inputs: Any, training: bool = False) -> Any:
        self._move_constants(inputs)
        positional = [_filled(a, inputs) for a in self._positional]
        named = {name: _filled(a, inputs) for name, a in self._named.items()}
        return self._function(*positional, **named)

    def _cast(self, x: Any) -> Tensor:
        return as_tensor(x)

    def _call_symbolic(self, inputs: Any, training: bool | None, *others: Any, **named: Any) -> Any:
        return self.drawn(flatten(inputs))

    def drawn(self, inputs: list[SymbolicTensor]) -> Any:
        """Return the symbolic result for symbolic inputs."""
        shapes, types = self._results([x.shape for x in inputs], [x.dtype for x in inputs])
        call = Call(self, inputs)
        self.calls.append(call)
        return call.resulting(shapes, types)

    def _results(self, shapes: list[Any], dtypes: list[str]) -> tuple[Any, Any]:
        short = self.operation.partition(".")[2]
        numbers = [plain(a) for a in self._positional if not isinstance(a, _Place)]
        known = short in _ELEMENTWISE and not self._named
        known = known and len(set(dtypes)) == 1 and dtypes[0].startswith("float")
        if known and all(np.ndim(n) == 0 for n in numbers):
            return broadcast_shape(self.where, [*shapes, *(() for _ in numbers)]), dtypes[0]
        try:
            return shapes_by_trying(self.call, shapes, dtypes, batch_alone=False, home=self.home)
        except ShapeError as error:
            raise ShapeError(f"{self.where}: {error}") from error

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        return self._results([tuple(s) for s in shapes], [self.dtype] * len(shapes))[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "operation": self.operation,
            "positional": [_written(a) for a in self._positional],
            "named": {name: _written(a) for name, a in self._named.items()},
        }


def _is_number(argument: Any) -> bool:
    return isinstance(argument, int | float | np.generic | np.ndarray | Tensor) and not np.ndim(
        plain(argument)
    )


def _found(operation: str) -> Any:
    """Return the function of a name such as `"ops.add"`."""
    module, _, name = operation.partition(".")
    functions: Any = {"ops": ops, "activations": activations}.get(module)
    if name not in getattr(functions, "__all__", ()):
        raise ArgumentError(
            f"Operation: operation={operation!r} is not known; it must be the name of a function "
            f"of minicnn.ops or minicnn.activations, as 'ops.add'."
        )
    return getattr(functions, name)


def _filled(argument: Any, inputs: Any) -> Any:
    """Return an argument with the values that have come."""
    if isinstance(argument, _Place):
        return inputs[argument.number]
    if isinstance(argument, list | tuple):
        return type(argument)(_filled(a, inputs) for a in argument)
    return argument


def _beside(argument: Any, x: Tensor) -> Any:
    """Return an argument with its constant arrays where a tensor lives."""
    if isinstance(argument, list | tuple):
        return type(argument)(_beside(a, x) for a in argument)
    array = plain(argument)
    changes = isinstance(argument, Variable) or (isinstance(argument, Tensor) and argument.tracked)
    if changes or not (isinstance(array, np.ndarray) or on_gpu(array)):
        return argument
    # Whole numbers may be places or lengths, which operations take as they are.
    stays = isinstance(argument, Tensor) or array.dtype.kind in "iu"
    return argument if stays and device_of(array) == x.device else alongside(argument, x)


def _taken(argument: Any, found: list[SymbolicTensor]) -> Any:
    """Return an argument with places for its symbolic tensors, which are added to `found`."""
    if isinstance(argument, SymbolicTensor):
        numbers = [i for i, x in enumerate(found) if x is argument]
        if not numbers:
            found.append(argument)
        return _Place(numbers[0] if numbers else len(found) - 1)
    if isinstance(argument, list | tuple):
        return type(argument)(_taken(a, found) for a in argument)
    return argument


def _written(argument: Any) -> Any:
    """Return an argument as a config holds it: in lists, dictionaries, texts and numbers."""
    if isinstance(argument, _Place):
        return {"input": argument.number}
    if isinstance(argument, tuple):
        return {"tuple": [_written(a) for a in argument]}
    if isinstance(argument, list):
        return [_written(a) for a in argument]
    if isinstance(argument, slice):
        return {"slice": [argument.start, argument.stop, argument.step]}
    if isinstance(argument, EllipsisType):
        return {"ellipsis": True}
    if isinstance(argument, Tensor | np.ndarray | np.generic) or on_gpu(argument):
        array = as_numpy(argument)
        return {"array": array.tolist(), "dtype": str(array.dtype)}
    if isinstance(argument, type | np.dtype):
        return np.dtype(argument).name
    return argument


def _read(argument: Any) -> Any:
    """Return what `_written` wrote."""
    if isinstance(argument, list):
        return [_read(a) for a in argument]
    if not isinstance(argument, dict):
        return argument
    if "input" in argument:
        return _Place(argument["input"])
    if "tuple" in argument:
        return tuple(_read(a) for a in argument["tuple"])
    if "slice" in argument:
        return slice(*argument["slice"])
    if "array" in argument:
        return constant(np.array(argument["array"], argument["dtype"]))
    return ...


def draw(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the symbolic result of an operation that was called on symbolic tensors.

    Raises:
        SymbolicError: there is none among the arguments; some function meant for numbers met one.
    """
    inputs: list[SymbolicTensor] = []
    positional = [_taken(a, inputs) for a in args]
    named = {name: _taken(a, inputs) for name, a in kwargs.items()}
    if not inputs:
        raise SymbolicError(
            f"{function.__name__}: it was called on a symbolic tensor inside another object; only "
            f"tensors, and lists of them, can be drawn."
        )
    module = "activations" if function.__module__ == activations.__name__ else "ops"
    layer = Operation(f"{module}.{function.__name__}", positional, named, dtype=inputs[0].dtype)
    return layer.drawn(inputs)


above.draw = draw
