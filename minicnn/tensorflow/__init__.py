"""TensorFlow's own names that listings use beside Keras: `tf.cast`, `tf.nn.relu`, `tf.image`.

With `import minicnn as tf` they are found as attributes of the package, which looks here for what
it has not itself. Everything is computed by `minicnn.ops`; only the names and the order of
arguments are TensorFlow's.
"""

from __future__ import annotations

import builtins
import importlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn import config, ops
from minicnn.autograd.tensor import Tensor, alongside, as_numpy, beside, constant, convert_to_tensor
from minicnn.config import element_type
from minicnn.errors import ArgumentError, check_choice
from minicnn.keras import Namespace, look_up
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.runtime.devices import check_same_device

bool = np.dtype("bool")
float16, float32, float64 = (np.dtype(f"float{n}") for n in (16, 32, 64))
int8, int16, int32, int64 = (np.dtype(f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{n}") for n in (8, 16, 32, 64))
newaxis = None

#: Names that are the same operation here, "module:name".
SAME = {
    **{
        name: f"minicnn.ops:{name}"
        for name in (
            *("abs", "add", "broadcast_to", "cast", "divide", "exp", "matmul", "maximum"),
            *("minimum", "multiply", "negative", "reshape", "sign", "sqrt", "square"),
            *("squeeze", "stack", "subtract", "tanh", "where"),
        )
    },
    "clip_by_value": "minicnn.ops:clip",
    "sigmoid": "minicnn.tensorflow.nn:sigmoid",
    "pow": "minicnn.ops:power",
    "reduce_max": "minicnn.ops:max",
    "reduce_mean": "minicnn.ops:mean",
    "reduce_min": "minicnn.ops:min",
    "reduce_sum": "minicnn.ops:sum",
}

_IN_MATH = (
    "add_n", "argmax", "argmin", "equal", "greater", "greater_equal", "is_finite", "is_inf",
    "is_nan", "less", "less_equal", "logical_and", "logical_not", "logical_or", "not_equal",
    "reduce_all", "reduce_any", "reduce_std", "reduce_variance",
)  # fmt: skip
#: Names that stand in `tf` alone.
_SINGLE = {
    "TensorSpec": "minicnn.data:TensorSpec",
    "UnconnectedGradients": "minicnn.tensorflow.gradients:UnconnectedGradients",
    "custom_gradient": "minicnn.tensorflow.gradients:custom_gradient",
    **{
        name: f"minicnn.tensorflow.arrays:{name}"
        for name in ("clip_by_global_norm", "pad", "tile", "unstack")
    },
}
_FILES = dict.fromkeys(
    ("decode_image", "decode_jpeg", "decode_png", "read_file"), "minicnn.tensorflow.image_files:*"
)
_NAMESPACES = {
    "io": Namespace("tf.io", _FILES),
    "linalg": Namespace(
        "tf.linalg", {"matmul": "minicnn.ops:matmul", "norm": "minicnn.tensorflow:norm"}
    ),
    "math": Namespace(
        "tf.math",
        {
            **SAME,
            **{name: f"minicnn.tensorflow:{name}" for name in _IN_MATH},
            **{name: f"minicnn.ops:{name}" for name in ("erf", "expm1", "log", "log1p")},
            "softplus": "minicnn.ops:softplus",
        },
    ),
}


def __getattr__(name: str) -> Any:
    if name in SAME:
        return look_up(SAME[name])
    if name in _NAMESPACES:
        return _NAMESPACES[name]
    if name in _SINGLE:
        return look_up(_SINGLE[name])
    if name in ("image", "nn", "random"):
        return importlib.import_module(f"minicnn.tensorflow.{name}")
    raise AttributeError(f"module 'minicnn' has no attribute {name!r}")


def function(func: Any = None, **options: Any) -> Any:
    """Return the function as it is: operations run at once here.

    Args:
        func: the decorated function; without it, a decorator is returned.
        options: TensorFlow's, which concern its graphs alone.
    """
    return func if func is not None else lambda f: f


def identity(input: Any) -> Tensor:  # noqa: A002 - here and below TensorFlow's names
    """Return the same numbers."""
    return ops.reshape(input, convert_to_tensor(input).shape)


def stop_gradient(input: Any) -> Tensor:  # noqa: A002
    """Return the same numbers; no gradient flows back through them."""
    return convert_to_tensor(input).detach()


def device(device_name: Any) -> Any:
    """Return the `with` block in which new tensors lie where TensorFlow's name says: "/GPU:0"."""
    found = re.search("cpu|gpu", str(getattr(device_name, "name", device_name)).lower())
    kind = check_choice("device", "device_name", found[0] if found else device_name, ["cpu", "gpu"])
    return config.use_cpu() if kind == "cpu" else config.use_backend("cupy")


def print(*inputs: Any, output_stream: Any = None, sep: str = " ", end: str = "\n") -> None:
    """Print values, tensors as their numbers, by default where errors are shown."""
    values = [x.numpy() if isinstance(x, Tensor) else x for x in inputs]
    builtins.print(*values, sep=sep, end=end, file=output_stream or sys.stderr)


def is_tensor(x: Any) -> Any:
    """Return whether something is a tensor, as operations return."""
    return isinstance(x, Tensor | SymbolicTensor)


# Arrays made anew.


def zeros(shape: Sequence[int], dtype: Any = float32) -> Tensor:
    """Return a tensor of zeros."""
    return constant(np.zeros(as_numpy(shape), element_type("zeros", dtype)))


def ones(shape: Sequence[int], dtype: Any = float32) -> Tensor:
    """Return a tensor of ones."""
    return constant(np.ones(as_numpy(shape), element_type("ones", dtype)))


def zeros_like(input: Any, dtype: Any = None) -> Tensor:  # noqa: A002
    """Return zeros in the shape and type of a tensor."""
    return Tensor(
        np.zeros_like(convert_to_tensor(input).data, dtype and element_type("zeros_like", dtype))
    )


def ones_like(input: Any, dtype: Any = None) -> Tensor:  # noqa: A002
    """Return ones in the shape and type of a tensor."""
    return Tensor(
        np.ones_like(convert_to_tensor(input).data, dtype and element_type("ones_like", dtype))
    )


def fill(dims: Sequence[int], value: Any) -> Tensor:
    """Return a tensor in which every element is `value`."""
    return Tensor(np.broadcast_to(convert_to_tensor(value).data, tuple(dims)).copy())


def eye(num_rows: int, num_columns: int | None = None, dtype: Any = float32) -> Tensor:
    """Return a matrix with ones on the diagonal."""
    return constant(np.eye(num_rows, num_columns, dtype=dtype))


def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Tensor:
    """Return the numbers from `start` (or 0) to below `limit` in steps of `delta`."""
    first, last = (0, start) if limit is None else (start, limit)
    array = np.arange(*(n.item() if isinstance(n, Tensor) else n for n in (first, last, delta)))
    kind = dtype or (int32 if array.dtype.kind == "i" else config.floatx())
    return constant(array.astype(kind))


def linspace(start: Any, stop: Any, num: int) -> Tensor:
    """Return `num` numbers at equal distances from `start` to `stop`, both included."""
    return constant(np.linspace(as_numpy(start), as_numpy(stop), num, dtype=config.floatx()))


def one_hot(indices: Any, depth: int, dtype: Any = float32) -> Tensor:
    """Return class numbers (...) as rows with a single one: (...,depth).

    >>> one_hot([2, 0], 3).numpy().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    numbers = convert_to_tensor(indices).data
    return Tensor(
        (numbers[..., None] == np.arange(depth, like=numbers)).astype(
            element_type("one_hot", dtype)
        )
    )


# Shapes.


def shape(input: Any) -> Tensor:  # noqa: A002
    """Return the length of each axis as a tensor."""
    x = convert_to_tensor(input)
    return alongside(np.array(x.shape), x, "int32")


def size(input: Any) -> Tensor:  # noqa: A002
    """Return the number of elements as a tensor."""
    x = convert_to_tensor(input)
    return alongside(x.size, x, "int32")


def rank(input: Any) -> Tensor:  # noqa: A002
    """Return the number of axes as a tensor."""
    x = convert_to_tensor(input)
    return alongside(x.ndim, x, "int32")


def expand_dims(input: Any, axis: int) -> Tensor:  # noqa: A002
    """Return the tensor with a new axis of length 1 at a place.

    >>> expand_dims(np.ones((3, 5)), -1).shape
    (3, 5, 1)
    """
    x = convert_to_tensor(input)
    return ops.reshape(x, np.expand_dims(x.data, axis).shape)


def transpose(a: Any, perm: Sequence[int] | None = None) -> Tensor:
    """Return the tensor with its axes in the order `perm`, default reversed."""
    return ops.transpose(a, perm)


def concat(values: Sequence[Any], axis: int) -> Tensor:
    """Return tensors joined along an axis."""
    return ops.concatenate(values, axis)


def split(value: Any, num_or_size_splits: Any, axis: int = 0) -> list[Tensor]:
    """Return a tensor cut along an axis: into equal parts, or into parts of given lengths."""
    x = convert_to_tensor(value)
    length = x.shape[axis]
    lengths = num_or_size_splits
    if isinstance(lengths, int):
        if length % lengths:
            raise ArgumentError(
                f"split: num_or_size_splits={lengths} does not divide the {length} of axis {axis}."
            )
        lengths = [length // lengths] * lengths
    ends = np.cumsum(lengths).tolist()
    if ends[-1] != length:
        raise ArgumentError(f"split: lengths {list(lengths)} do not add up to {length}.")
    lead = (slice(None),) * (axis % x.ndim)
    return [x[(*lead, slice(e - n, e))] for n, e in zip(lengths, ends, strict=True)]


def gather(params: Any, indices: Any, axis: int = 0) -> Tensor:
    """Return the entries of these numbers along an axis."""
    x = convert_to_tensor(params)
    return x[(*(slice(None),) * (axis % x.ndim), beside(indices, x))]


# Comparing and counting; no gradient flows through these.


def _compared(function: Callable[[Any, Any], Any], name: str) -> Callable[[Any, Any], Tensor]:
    def compare(x: Any, y: Any) -> Tensor:
        a = beside(x, y) if isinstance(y, Tensor) else convert_to_tensor(x)
        b = beside(y, a)
        check_same_device(name, x=a.data, y=b.data)
        return Tensor(function(a.data, b.data))

    compare.__name__ = name
    compare.__doc__ = f"Return where x is {name.replace('_', ' ')} y, element by element."
    return compare


equal = _compared(np.equal, "equal")
not_equal = _compared(np.not_equal, "not_equal")
greater = _compared(np.greater, "greater")
greater_equal = _compared(np.greater_equal, "greater_equal")
less = _compared(np.less, "less")
less_equal = _compared(np.less_equal, "less_equal")
logical_and = _compared(np.logical_and, "logical_and")
logical_or = _compared(np.logical_or, "logical_or")


def _tested(function: Callable[[Any], Any], what: str) -> Callable[[Any], Tensor]:
    def test(x: Any) -> Tensor:
        return Tensor(function(convert_to_tensor(x).data))

    test.__doc__ = f"Return where x is {what}."
    return test


logical_not = _tested(np.logical_not, "false")
is_nan = _tested(np.isnan, "no number")
is_finite = _tested(np.isfinite, "a number and not infinite")
is_inf = _tested(np.isinf, "infinite")


def reduce_all(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return whether all elements are true, over all or some axes."""
    return Tensor(convert_to_tensor(input_tensor).data.all(axis=axis, keepdims=keepdims))


def reduce_any(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return whether any element is true, over all or some axes."""
    return Tensor(convert_to_tensor(input_tensor).data.any(axis=axis, keepdims=keepdims))


def argmax(input: Any, axis: int | None = None, output_type: Any = int64) -> Tensor:  # noqa: A002
    """Return the place of the largest element along an axis, by default the first axis."""
    return Tensor(convert_to_tensor(input).data.argmax(axis or 0).astype(output_type))


def argmin(input: Any, axis: int | None = None, output_type: Any = int64) -> Tensor:  # noqa: A002
    """Return the place of the smallest element along an axis, by default the first axis."""
    return Tensor(convert_to_tensor(input).data.argmin(axis or 0).astype(output_type))


# Sums and products.


def add_n(inputs: Sequence[Any]) -> Tensor:
    """Return the sum of tensors of one shape."""
    total = convert_to_tensor(inputs[0])
    for x in inputs[1:]:
        total = total + x
    return total


def reduce_variance(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return the mean squared distance from the mean, over all or some axes."""
    return ops.variance(input_tensor, axis, keepdims)


def reduce_std(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return the standard deviation, over all or some axes."""
    return ops.sqrt(ops.variance(input_tensor, axis, keepdims))


def norm(tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return the square root of the sum of squares, over all or some axes."""
    return ops.sqrt(ops.sum(ops.square(tensor), axis, keepdims))
