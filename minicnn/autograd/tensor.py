"""A tensor: an array, and the memory of where it came from."""

from __future__ import annotations

import operator
import re
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd.operators import OPERATORS, Operators, above
from minicnn.autograd.recording import Trace, state
from minicnn.errors import ArgumentError, MinicnnError, MissingAttributeError, ShapeError, worded
from minicnn.runtime.backends import availability
from minicnn.runtime.devices import check_same_device, device_of, on_gpu, placed, to_cpu, to_gpu

__all__ = ["Node", "Tensor", "Variable", "Vjp", "alongside", "as_numpy", "as_tensor", "beside",
           "constant", "convert_to_tensor", "given", "in_one_type", "plain", "record"]  # fmt: skip

Array = NDArray[Any]


#: What NumPy and PyTorch have as methods of arrays is a function here.
_AS_FUNCTION = {
    **{n: n for n in ("abs", "clip", "exp", "log", "matmul", "max", "mean", "min", "sqrt",
                      "square", "squeeze", "sum", "transpose")},
    "T": "transpose", "permute": "transpose", "flatten": "reshape", "reshape": "reshape",
    "view": "reshape", "var": "variance", "astype": "cast", "to": "cast",
}  # fmt: skip


#: A vector-Jacobian product: (gradient of the output, the output) -> gradient of one input.
Vjp = Callable[["Tensor", "Tensor"], "Tensor"]


class Node(NamedTuple):
    """The memory of one operation: its name, its inputs, how gradients reach each, and for whom."""

    name: str
    inputs: tuple[tuple[Tensor, Vjp], ...]
    tapes: tuple[Trace, ...]


class Tensor(Operators):
    """An array that knows the operation which made it.

    Args:
        data: anything that NumPy makes an array of. Python floats become `config.floatx()`;
            arrays keep their type and their device.
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

    #: Whether all numbers are known to be 1, which nobody need ask the GPU then.
    ones = False

    #: Of probabilities: the function that made them, of which numbers, along which axis. Their
    #: crossentropy is computed from these, which are right where probabilities are rounded to 1.
    logits: tuple[str, Tensor, int] | None = None

    def __init__(self, data: Any, dtype: Any = None) -> None:
        known = dtype is None and type(data) is np.ndarray and data.dtype.kind in "biuf"
        array = data if known else as_array(data, dtype)
        self.data: Array = array if array is data or _is_array(data) else placed(array)
        self.node: Node | None = None
        #: How many tapes watch it.
        self.watched = 0
        self.grad: Tensor | None = None

    @property
    def tracked(self) -> bool:
        """Whether gradients can flow into this tensor."""
        return self.watched > 0 or self.node is not None

    # Asked for dozens of times in a step: by a function that is not Python's own.
    shape = property(operator.attrgetter("data.shape"), doc="The length of each axis.")
    dtype = property(operator.attrgetter("data.dtype"), doc="The element type.")
    ndim = property(operator.attrgetter("data.ndim"), doc="The number of axes.")
    size = property(operator.attrgetter("data.size"), doc="The number of elements.")

    @property
    def device(self) -> str:
        """Where the array lives: `"cpu"` or `"gpu"`."""
        return device_of(self.data)

    if not TYPE_CHECKING:  # which would believe in any attribute

        def __getattr__(self, name: str) -> Any:
            """Say of an attribute that is missing which one, or which function, was meant."""
            function = _AS_FUNCTION.get(name)
            why = f"minicnn.ops.{function}(x, ...) does that" if function else ""
            raise MissingAttributeError(self, name, why)

    def numpy(self) -> Array:
        """Return the array, from the GPU as a copy."""
        return to_cpu(self.data)

    def cpu(self) -> Tensor:
        """Return a tensor in the computer's memory: itself, or a copy through which gradients flow.

        >>> Tensor([[1.0, 2.0, 3.0]]).cpu().device
        'cpu'
        """
        return self if self.device == "cpu" else _moved(self, to_cpu)

    def gpu(self) -> Tensor:
        """Return a tensor on the GPU: itself, or a copy through which gradients flow.

        Raises:
            BackendError: no GPU can be used here; the message says why.
            DeviceMemoryError: the card has no room for it.
        """
        return self if self.device == "gpu" else _moved(self, to_gpu)

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self.data.item()

    def detach(self) -> Tensor:
        """Return a tensor of the same array without its memory."""
        return Tensor(self.data)

    def bare(self, change: Callable[[Any], Any] = lambda array: array) -> Tensor:
        """Return the same, its array changed, with the numbers behind probabilities likewise."""
        result = Tensor(change(self.data))
        if self.logits is not None:
            name, x, axis = self.logits
            result.logits = name, x.bare(change), axis
        return result

    def backward(self, gradient: Any = None, *, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every variable that it came from.

        What operations on variables gave is remembered for this; what layers gave, in
        `with autograd.recording():` or while a tape runs, until its gradient was taken.

        Args:
            gradient: gradient of the final result with respect to this tensor, of its shape;
                default 1 for a tensor of one element.
            create_graph: remember the gradient's own operations, for derivatives of higher order.

        Raises:
            ArgumentError: this tensor remembers no variable, or has several elements and no
                `gradient` was given.
        """
        above.backward(self, gradient, create_graph=create_graph)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of, without the memory of where it came from.

        Its array can be read on machines without a GPU, too.
        """
        bare = {"data": self.numpy(), "device": self.device, "node": None, "watched": 0}
        return {**vars(self), **bare, "logits": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        device = state.pop("device")
        vars(self).update(state)
        if device == "gpu" and availability("cupy").usable:
            self.data = to_gpu(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        text = np.array2string(self.numpy(), threshold=100, edgeitems=2)
        where = " device=gpu" if self.device == "gpu" else ""
        return f"<{type(self).__name__} shape={self.shape} dtype={self.dtype}{where}\n{text}>"

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
        return self.numpy().__index__()

    def __format__(self, spec: str) -> str:
        return format(self.data.item(), spec) if spec else repr(self)

    __hash__ = object.__hash__

    # Comparisons give tensors of booleans; no gradient flows through them.
    def _operand(self, name: str, other: Any) -> Any:
        """Return the other operand of a comparison as an array beside this one's, or a number."""
        if isinstance(other, int | float) or self.device == device_of(plain(other)) == "cpu":
            return plain(other)
        other = as_tensor(other).data
        check_same_device(name, x=self.data, other=other)
        return other

    def __eq__(self, other: Any) -> Any:
        return Tensor(self.data == self._operand("equal", other))

    def __ne__(self, other: Any) -> Any:
        return Tensor(self.data != self._operand("not_equal", other))

    def __lt__(self, other: Any) -> Any:
        return Tensor(self.data < self._operand("less", other))

    def __le__(self, other: Any) -> Any:
        return Tensor(self.data <= self._operand("less_equal", other))

    def __gt__(self, other: Any) -> Any:
        return Tensor(self.data > self._operand("greater", other))

    def __ge__(self, other: Any) -> Any:
        return Tensor(self.data >= self._operand("greater_equal", other))

    def __and__(self, other: Any) -> Tensor:
        return Tensor(self.data & self._operand("logical_and", other))

    def __or__(self, other: Any) -> Tensor:
        return Tensor(self.data | self._operand("logical_or", other))

    def __invert__(self) -> Tensor:
        return Tensor(~self.data)


class Variable(Tensor):
    """A tensor whose value training changes; gradients are collected for it by itself.

    Args:
        initial_value: the first value; numbers become `config.floatx()` unless `dtype` is given.
        trainable: whether gradients flow into it, default True.
        dtype: the element type.
        name: shown in messages and in weight files.
    """

    def __init__(
        self, initial_value: Any, trainable: bool = True, dtype: Any = None, name: str = "variable"
    ) -> None:
        super().__init__(placed(as_array(initial_value, dtype).copy(order="K")))
        self.trainable = trainable
        self.name = name
        #: The penalty on this weight that joins the loss, and what an update is brought back to.
        self.regularizer: Callable[[Any], Tensor] | None = None
        self.constraint: Callable[[Any], Any] | None = None
        # Set for statistics such as moving means, which no `trainable = True` may thaw.
        self.always_frozen = False

    @property
    def tracked(self) -> bool:
        """Whether gradients can flow into this variable."""
        return self.trainable or self.watched > 0

    @property
    def value(self) -> Tensor:
        """The present value as a tensor without memory."""
        return self.detach()

    def assign(self, value: Any) -> Variable:
        """Replace the value by one of the same shape, which is taken to where the variable lives.

        Raises:
            ShapeError: the shapes differ.
            ArgumentError: the variable holds whole numbers or booleans, and these are none it can.
        """
        given = as_array(value) if self.dtype.kind in "biu" else as_array(value, self.dtype)
        with np.errstate(invalid="ignore"):
            new = given.astype(self.dtype, copy=False)
        if new is not given and (new != given).any():
            raise ArgumentError(
                f"{self.name}: the variable is of {self.dtype}, which holds no "
                f"{given[new != given].ravel()[0].item()}; give numbers it can hold, or cast them."
            )
        if new.shape != self.shape:
            raise ShapeError(
                f"{self.name}: cannot assign a value of shape {new.shape} to a variable of shape "
                f"{self.shape}."
            )
        # A new array, not a write into the old one: results that still hold it stay right.
        self.data = alongside(new.copy(order="K"), self).data
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the value."""
        return self.assign(OPERATORS["+"](self, alongside(value, self)).data)

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the value."""
        return self.assign(OPERATORS["-"](self, alongside(value, self)).data)


def _moved(x: Tensor, move: Callable[[Any], Any]) -> Tensor:
    """Return a copy on the other device; its gradient comes back to where x lives."""
    return record(
        "move", move(x.data), (x, lambda dy, y: dy.cpu() if x.device == "cpu" else dy.gpu())
    )


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray | np.generic) or on_gpu(value)


def _float_type(value: Any) -> Any:
    """Return floatx for Python numbers, and an array's own type otherwise."""
    if _is_array(value):
        return value.dtype
    kind = np.asarray(value).dtype.kind
    return config.floatx() if kind == "f" else None


def plain(value: Any) -> Any:
    """Return the array of a tensor, and anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def as_numpy(value: Any, dtype: Any = None) -> Array:
    """Return a tensor's array, or anything else as one, in the computer's memory.

    >>> as_numpy(Tensor([1, 2, 3]), "float64")
    array([1., 2., 3.])
    """
    array = value.data if isinstance(value, Tensor) else value
    return np.asarray(array if type(array) is np.ndarray else to_cpu(array), dtype)


def as_array(value: Any, dtype: Any = None, what: str = "Tensor: data") -> Array:
    """Return `value` as an array, where it is; Python floats become `config.floatx()`.

    Args:
        value: numbers, nested lists of them, or an array.
        dtype: the element type, default the value's own.
        what: how messages call it.

    Raises:
        ArgumentError: these are no numbers, or rows of different lengths.
    """
    array = value.data if isinstance(value, Tensor) else value
    if dtype is None and type(array) is np.ndarray and array.dtype.kind in "biuf":
        return array
    try:
        kind = config.element_type("Tensor", dtype) if dtype else _float_type(value)
        array = array.astype(kind, copy=False) if on_gpu(array) else np.asarray(array, dtype=kind)
    except (TypeError, ValueError) as error:
        if isinstance(error, MinicnnError) or not _is_strange(value, error):
            raise
        raise _no_numbers(what, value) from None
    if array.dtype.kind not in "biuf":
        raise _no_numbers(what, value)
    return array


def _is_strange(value: Any, error: Exception) -> bool:
    """Return whether NumPy could not read the value, not what was asked of it."""
    return "inhomogeneous" in str(error) or np.asarray(value, object).dtype.kind in "OUS"


def _no_numbers(what: str, value: Any) -> ArgumentError:
    """Return the error for what is no array of numbers."""
    cure = "numbers or booleans, in an array or nested lists"
    if isinstance(value, str):
        came = f"the text {value!r}"
        if re.search(r"\.\w+$", value):
            cure += "; minicnn.utils.img_to_array(minicnn.utils.load_img(path)) reads an image"
    elif isinstance(value, list | tuple):
        shapes = sorted({np.shape(v) for v in value if hasattr(v, "shape")})
        came = f"a {type(value).__name__} of arrays of shapes {', '.join(map(str, shapes))}"
        if len(shapes) < 2:
            came = f"a {type(value).__name__} whose rows are of different lengths or no numbers"
    elif hasattr(value, "dtype"):
        came = f"an array of type {value.dtype}"
    else:
        came = "None" if value is None else f"of type {type(value).__name__}"
    return ArgumentError(f"{what} is {came}, but it must be {cure}.")


def given(where: str, argument: str, value: Any) -> Tensor:
    """Return what was given for an argument as a tensor; messages name the argument.

    >>> given("conv2d", "x", [[1.0, 2.0, 3.0]]).shape
    (1, 3)
    """
    if isinstance(value, Tensor):
        return value if type(value) is Tensor else as_tensor(value)
    return Tensor(placed(as_array(value, what=f"{where}: {argument}")))


def in_one_type(*tensors: Tensor) -> Any:
    """Return tensors of floats in the widest of their types, as NumPy would compute.

    This is the rule wherever tensors meet: float32 beside float64 is computed in float64, and each
    one's gradient comes back in its own type. So an array of `np.random.rand` may meet float32
    images, and a check of gradients in float64 stays exact. A plain number has no type and takes
    the other's. Layers do not meet it: they bring their inputs to the type of their weights, so
    that training in float32 stays there. What is only added to a result follows it: a bias takes
    the type of the images, and in a loss the truth that of the prediction.

    >>> a, b = in_one_type(Tensor(np.ones((2, 3), "float32")), Tensor(np.ones(3)))
    >>> a.dtype.name, b.dtype.name
    ('float64', 'float64')
    """
    first = tensors[0].data.dtype
    for other in tensors[1:]:
        if other.data.dtype != first:
            break
    else:
        return tensors
    widest = np.result_type(*(t.data.dtype for t in tensors))
    return tuple(
        as_tensor(t, widest) if t.dtype.kind == "f" and t.dtype != widest else t for t in tensors
    )


@worded
def constant(value: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """Return a tensor of a value; no gradient flows into it unless a tape watches it.

    >>> constant([[1, 2], [3, 4], [5, 6]]).shape
    (3, 2)
    """
    array = placed(as_array(value, dtype))
    return Tensor(array if shape is None else np.broadcast_to(array, shape).copy())


def as_tensor(value: Any, dtype: Any = None) -> Tensor:
    """Return `value` itself if it is a tensor of that type, else a tensor of it.

    What is no tensor is put where the settings ask for it; tensors stay where they are. A variable
    is read: what was computed from it keeps its present value when it is assigned to.
    """
    if not isinstance(value, Tensor):
        return Tensor(placed(as_array(value, dtype)))
    if dtype is None and not isinstance(value, Variable):  # by far the most frequent case
        return value
    kind = np.dtype(dtype or value.data.dtype)
    is_read = isinstance(value, Variable) and (state.tapes or state.recording is not False)
    if kind == value.data.dtype and not is_read:
        return value
    return record(
        "read",
        value.data.astype(kind, copy=False),
        (value, lambda dy, y: as_tensor(dy, value.dtype)),
    )


@worded
def convert_to_tensor(value: Any, dtype: Any = None) -> Tensor:
    """Return a tensor of a value, as `as_tensor` does; TensorFlow's name for it."""
    return as_tensor(value, dtype)


def alongside(value: Any, other: Tensor, dtype: Any = None) -> Tensor:
    """Return a tensor of a value on the device where another tensor lives.

    For what an operation makes itself or is given as plain numbers; no gradient flows into it.

    >>> alongside([1, 2, 3], Tensor([0.5]), "float32").numpy()
    array([1., 2., 3.], dtype=float32)
    """
    array = as_array(value, dtype)
    return Tensor(to_gpu(array) if on_gpu(other.data) else to_cpu(array))


def beside(value: Any, other: Tensor, dtype: Any = None) -> Tensor:
    """Return a tensor as it is, and plain data as a tensor where the one lives that it meets.

    For what users give: a list or an array of NumPy's follows, but two tensors in two places are
    for them to move.
    """
    if isinstance(value, Tensor) or on_gpu(value):
        return as_tensor(value, dtype)
    return alongside(value, other, dtype)


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
    result.data = np.asarray(value) if isinstance(value, np.generic) else value
    result.watched = 0
    result.grad = None
    result.node = None
    tapes = state.tapes
    if tapes or state.recording is not False:
        tracked = []
        for pair in inputs:
            x = pair[0]
            if x.watched or x.node is not None or (type(x) is not Tensor and x.tracked):
                tracked.append(pair)
        if tracked:
            result.node = Node(name, tuple(tracked), tapes)
            for tape in tapes:
                tape.results.append(weakref.ref(result))
    return result
