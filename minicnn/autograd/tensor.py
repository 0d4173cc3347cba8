"""A tensor: an array, and the memory of where it came from.

The operators (`a + b`, `a @ b`, `a[1:]`) are operations of the floor above, and `backward` is the
engine beside; they enter themselves here by `operator`, so a tensor needs to know none of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.errors import ArgumentError, ShapeError

__all__ = [
    "Node",
    "Tensor",
    "Variable",
    "constant",
    "convert_to_tensor",
    "is_recording",
    "no_recording",
    "operator",
    "record",
]

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])

#: A vector-Jacobian product: (gradient of the output, the output) -> gradient of one input.
Vjp = Callable[["Tensor", "Tensor"], "Tensor"]

OPERATORS: dict[str, Callable[..., Any]] = {}


def operator(name: str) -> Callable[[F], F]:
    """Enter an operation as the one behind a Python operator of `Tensor`."""

    def enter(function: F) -> F:
        OPERATORS[name] = function
        return function

    return enter


class Node(NamedTuple):
    """The memory of one operation: its name, its inputs, and how gradients reach each."""

    name: str
    inputs: tuple[tuple[Tensor, Vjp], ...]
    tapes: tuple[Any, ...]


class _State(threading.local):
    recording = True
    tapes: tuple[Any, ...] = ()


state = _State()


def is_recording() -> bool:
    """Return whether operations remember their inputs at this moment."""
    return state.recording


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Switch the memory of operations on or off for the length of a `with` block."""
    before = state.recording
    state.recording = on
    try:
        yield
    finally:
        state.recording = before


def no_recording() -> Any:
    """Return a `with` block in which operations keep no memory; `predict` runs in one."""
    return recording(False)


class Tensor:
    """An array that knows the operation which made it.

    Args:
        data: anything that NumPy makes an array of. Python floats become `config.floatx()`;
            arrays keep their type.
        dtype: the element type, default the data's own.

    >>> from minicnn import ops
    >>> x = Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> ops.sum(x * x).backward()
    >>> x.grad.numpy().tolist()
    [[2.0, 4.0, 6.0], [8.0, 10.0, 12.0]]
    """

    # NumPy must leave `array * tensor` to Tensor.__rmul__ instead of looping over the elements.
    __array_priority__ = 100
    __array_ufunc__ = None

    def __init__(self, data: Any, dtype: Any = None) -> None:
        self.data: Array = as_array(data, dtype)
        self.node: Node | None = None
        self.watched = False
        self.grad: Tensor | None = None

    @property
    def tracked(self) -> bool:
        """Whether gradients can flow into this tensor."""
        return self.watched or self.node is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    def numpy(self) -> Array:
        """Return the array."""
        return self.data

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self.data.item()

    def detach(self) -> Tensor:
        """Return a tensor of the same array without its memory."""
        return Tensor(self.data)

    def backward(self, gradient: Any = None, *, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every variable that it came from.

        Args:
            gradient: gradient of the final result with respect to this tensor, of its shape;
                default 1 for a tensor of one element.
            create_graph: remember the gradient's own operations, for derivatives of higher order.

        Raises:
            ArgumentError: this tensor came from no variable, or has several elements and no
                `gradient` was given.
        """
        OPERATORS["backward"](self, gradient, create_graph=create_graph)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        text = np.array2string(self.data, threshold=100, edgeitems=2)
        return f"<{type(self).__name__} shape={self.shape} dtype={self.dtype}\n{text}>"

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __index__(self) -> int:
        return self.data.__index__()

    def __format__(self, spec: str) -> str:
        return format(self.data.item(), spec) if spec else repr(self)

    __hash__ = object.__hash__

    # Comparisons give tensors of booleans; no gradient flows through them.
    def __eq__(self, other: Any) -> Any:
        return Tensor(self.data == plain(other))

    def __ne__(self, other: Any) -> Any:
        return Tensor(self.data != plain(other))

    def __lt__(self, other: Any) -> Any:
        return Tensor(self.data < plain(other))

    def __le__(self, other: Any) -> Any:
        return Tensor(self.data <= plain(other))

    def __gt__(self, other: Any) -> Any:
        return Tensor(self.data > plain(other))

    def __ge__(self, other: Any) -> Any:
        return Tensor(self.data >= plain(other))

    def __and__(self, other: Any) -> Tensor:
        return Tensor(self.data & plain(other))

    def __or__(self, other: Any) -> Tensor:
        return Tensor(self.data | plain(other))

    def __invert__(self) -> Tensor:
        return Tensor(~self.data)

    def __add__(self, other: Any) -> Tensor:
        return OPERATORS["+"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return OPERATORS["+"](other, self)

    def __sub__(self, other: Any) -> Tensor:
        return OPERATORS["-"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return OPERATORS["-"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return OPERATORS["*"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return OPERATORS["*"](other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return OPERATORS["/"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return OPERATORS["/"](other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return Tensor(self.data // plain(other))  # a step function: no gradient flows through it

    def __mod__(self, other: Any) -> Tensor:
        return self - other * Tensor(self.data // plain(other))

    def __pow__(self, exponent: float) -> Tensor:
        return OPERATORS["**"](self, exponent)

    def __matmul__(self, other: Any) -> Tensor:
        return OPERATORS["@"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return OPERATORS["@"](other, self)

    def __neg__(self) -> Tensor:
        return OPERATORS["-"](0, self)

    def __getitem__(self, key: Any) -> Tensor:
        return OPERATORS["[]"](self, key)


class Variable(Tensor):
    """A tensor whose value training changes; gradients are collected for it by itself.

    Args:
        initial_value: the first value; numbers become `config.floatx()` unless `dtype` is given.
        trainable: whether gradients flow into it, default True.
        dtype: the element type.
        name: shown in messages and in weight files.
    """

    def __init__(
        self,
        initial_value: Any,
        trainable: bool = True,
        dtype: Any = None,
        name: str = "variable",
    ) -> None:
        super().__init__(np.array(plain(initial_value), dtype=dtype or _float_type(initial_value)))
        self.trainable = trainable
        self.name = name
        # Set for statistics such as moving means, which no `trainable = True` may thaw.
        self.always_frozen = False

    @property
    def tracked(self) -> bool:
        """Whether gradients can flow into this variable."""
        return self.trainable or self.watched

    @property
    def value(self) -> Tensor:
        """The present value as a tensor without memory."""
        return self.detach()

    def assign(self, value: Any) -> Variable:
        """Replace the value by one of the same shape.

        Raises:
            ShapeError: the shapes differ.
        """
        new = np.asarray(plain(value), dtype=self.dtype)
        if new.shape != self.shape:
            raise ShapeError(
                f"{self.name}: cannot assign a value of shape {new.shape} to a variable of shape "
                f"{self.shape}."
            )
        # A new array, not a write into the old one: results that still hold it stay right.
        self.data = np.array(new)
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the value."""
        return self.assign(self.data + plain(value))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the value."""
        return self.assign(self.data - plain(value))


def _float_type(value: Any) -> Any:
    """Return floatx for Python numbers, and an array's own type otherwise."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return value.dtype
    kind = np.asarray(value).dtype.kind
    return config.floatx() if kind == "f" else None


def plain(value: Any) -> Any:
    """Return the array of a tensor, and anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def as_array(value: Any, dtype: Any = None) -> Array:
    """Return `value` as an array; Python floats become `config.floatx()`."""
    array = np.asarray(plain(value), dtype=dtype or _float_type(value))
    if array.dtype.kind not in "biuf":
        raise ArgumentError(
            f"Tensor: data of type {array.dtype} cannot be used; it must be numbers or booleans."
        )
    return array


def constant(value: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """Return a tensor of a value; no gradient flows into it unless a tape watches it.

    >>> constant([[1, 2], [3, 4], [5, 6]]).shape
    (3, 2)
    """
    array = as_array(value, dtype)
    return Tensor(array if shape is None else np.broadcast_to(array, shape).copy())


def convert_to_tensor(value: Any, dtype: Any = None) -> Tensor:
    """Return `value` itself if it is a tensor of that type, else a tensor of it.

    A variable is read: what was computed from it keeps its present value when it is assigned to.
    """
    if not isinstance(value, Tensor):
        return Tensor(value, dtype)
    if dtype is None and not isinstance(value, Variable):  # by far the most frequent case
        return value
    kind = np.dtype(dtype or value.dtype)
    if kind == value.dtype and not (isinstance(value, Variable) and state.recording):
        return value
    return record(
        "read",
        value.data.astype(kind, copy=False),
        (value, lambda dy, y: convert_to_tensor(dy, value.dtype)),
    )


def record(name: str, value: Any, *inputs: tuple[Tensor, Vjp]) -> Tensor:
    """Return the result of an operation, with the memory of how gradients flow back.

    Args:
        name: the operation's name.
        value: its result, an array.
        inputs: for each input tensor its vector-Jacobian product: a function of the gradient of
            the result and of the result itself, which returns the input's gradient. It must be
            written in operations on tensors, so that it can be differentiated again. It is called
            only if that input's gradient is wanted.
    """
    result = Tensor.__new__(Tensor)
    result.data = value
    result.watched = False
    result.grad = None
    result.node = None
    if state.recording:
        tracked = tuple(pair for pair in inputs if pair[0].tracked)
        if tracked:
            result.node = Node(name, tracked, state.tapes)
    return result
