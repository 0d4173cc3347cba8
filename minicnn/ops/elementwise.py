"""Operations that treat every element alike, with their derivatives.

One rule for integers and booleans. Where the result is whole, in sums, differences, products,
powers, `//`, `%`, negatives, absolute values and matrix products, it is computed and given as
int64: nothing wraps, 5 - 9 is -4 in uint8, too. Where it is not, in quotients, roots, exponentials
and means, it is computed and given as float64. What chooses among numbers, as `maximum` and `clip`,
keeps the type; where integers meet floats, NumPy's rule holds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd.operators import operation
from minicnn.autograd.tensor import (
    Tensor,
    alongside,
    as_array,
    as_tensor,
    in_one_type,
    record,
)
from minicnn.errors import ArgumentError, ShapeError
from minicnn.kernels import arrays
from minicnn.ops.shape import sum_to
from minicnn.runtime import memory
from minicnn.runtime.backends import backend_module
from minicnn.runtime.devices import check_same_device, on_gpu

__all__ = ["abs", "add", "cast", "clip", "divide", "erf", "exp", "expm1",
           "floor_divide", "fractional", "log", "log1p", "maximum", "minimum",
           "multiply", "negative", "power", "relu", "sigmoid", "sign", "softplus",
           "sqrt", "square", "subtract", "tanh", "where", "whole"]  # fmt: skip


Array = NDArray[Any]


def _operands(name: str, a: Any, b: Any, arrays: bool = False) -> tuple[Tensor, Tensor]:
    """Return two tensors that can meet: Python numbers take the other operand's float type.

    What types the others take stands at `in_one_type`.

    Args:
        name: the operation's, for messages.
        a: one operand.
        b: the other one.
        arrays: whether numbers become arrays beside a tensor on the GPU, too; see `_number_for`.
    """
    if not (type(a) is type(b) is Tensor):  # by far the most frequent case needs no more
        a, b = _like(a, b, arrays), _like(b, a, arrays)
    if type(a.data) is not type(b.data):
        check_same_device(name, a=a.data, b=b.data)
    if a.data.dtype != b.data.dtype:
        a, b = in_one_type(a, b)
    if a.data.shape != b.data.shape:
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ShapeError(
                f"{name}: shapes {a.shape} and {b.shape} do not fit; counted from the last axis, "
                f"lengths must be equal or one of them 1."
            ) from None
    return a, b


def _like(value: Any, other: Any, array: bool = False) -> Tensor:
    number = not isinstance(value, Tensor) and np.ndim(value) == 0
    if number and isinstance(other, Tensor) and other.dtype.kind == "f":
        if array or on_gpu(value):  # a number that the GPU holds is not fetched
            return alongside(value, other, other.dtype)
        return _number_for(value, other)
    if not isinstance(value, Tensor) and isinstance(other, Tensor) and other.device == "cpu":
        return Tensor(as_array(value))  # stays beside it, also where new tensors go to the GPU
    return as_tensor(value)


def _number_for(value: Any, other: Tensor) -> Tensor:
    """Return a plain number as a tensor of another one's type that operations can join with it.

    For one on the GPU it stays a number of NumPy's, which CuPy passes to its kernels; an array
    without axes would have to be filled by a kernel of its own before.
    """
    number = Tensor(as_array(value, other.dtype))
    if on_gpu(other.data):
        number.data = number.data[()]
    return number


def _into_recycled(function: Any, a: Array, b: Any) -> Array:
    """Return a NumPy operation's result, in recycled memory if that has the first one's shape."""
    if a.nbytes < memory.SMALLEST or np.ndim(b) > a.ndim or a.dtype.kind != "f" or on_gpu(a):
        return function(a, b)
    if a.shape != np.broadcast_shapes(a.shape, np.shape(b)) or np.result_type(a, b) != a.dtype:
        return function(a, b)
    return function(a, b, out=memory.empty(a.shape, a.dtype))


def whole(array: Any) -> Any:
    """Return integers and booleans as int64, in which they do not wrap; floats as they are.

    Raises:
        ArgumentError: the array holds uint64 numbers from 2**63 on.

    >>> whole(np.array([[200, 5, 3]], "uint8")).dtype, whole(np.array([1.5])).dtype
    (dtype('int64'), dtype('float64'))
    """
    if array.dtype.kind not in "bui" or array.dtype == np.int64:
        return array
    if array.dtype == np.uint64 and array.size and array.max() > _LARGEST:
        raise ArgumentError(
            f"integers: a tensor of uint64 holds {int(array.max())}, but whole numbers are "
            f"computed as int64, up to {_LARGEST}; cast it to 'float64'."
        )
    return array.astype(np.int64)


_LARGEST = 2**63 - 1


def fractional(x: Any) -> Tensor:
    """Return a tensor of floats, whole numbers as float64."""
    x = as_tensor(x)
    return x if x.dtype.kind == "f" else cast(x, np.float64)


def _arithmetic(function: Any, a: Array, b: Any) -> Array:
    """Return a NumPy operation's result; that of whole numbers is whole."""
    if a.dtype.kind in "bui" and b.dtype.kind in "bui":
        return function(whole(a), whole(b))
    return function(a, b) if a.nbytes < memory.SMALLEST else _into_recycled(function, a, b)


@operation("+")
def add(a: Any, b: Any) -> Tensor:
    """Return a + b, with NumPy's broadcasting."""
    a, b = _operands("add", a, b)
    return record(
        "add",
        _arithmetic(np.add, a.data, b.data),
        (a, lambda dy, y: sum_to(dy, a.shape)),
        (b, lambda dy, y: sum_to(dy, b.shape)),
    )


@operation("-")
def subtract(a: Any, b: Any) -> Tensor:
    """Return a - b, with NumPy's broadcasting."""
    a, b = _operands("subtract", a, b)
    return record(
        "subtract",
        _arithmetic(np.subtract, a.data, b.data),
        (a, lambda dy, y: sum_to(dy, a.shape)),
        (b, lambda dy, y: negative(sum_to(dy, b.shape))),
    )


@operation("*")
def multiply(a: Any, b: Any) -> Tensor:
    """Return a * b element by element, with NumPy's broadcasting."""
    a, b = _operands("multiply", a, b)
    return record(
        "multiply",
        _arithmetic(np.multiply, a.data, b.data),
        (a, lambda dy, y: sum_to(multiply(dy, b), a.shape)),
        (b, lambda dy, y: sum_to(multiply(dy, a), b.shape)),
    )


@operation("/")
def divide(a: Any, b: Any) -> Tensor:
    """Return a / b element by element, with NumPy's broadcasting."""
    a, b = _operands("divide", a, b)
    return record(
        "divide",
        a.data / b.data,
        (a, lambda dy, y: sum_to(divide(dy, b), a.shape)),
        (b, lambda dy, y: sum_to(negative(multiply(dy, divide(y, b))), b.shape)),
    )


@operation("//")
def floor_divide(a: Any, b: Any) -> Tensor:
    """Return a / b rounded down; no gradient flows through these steps.

    >>> floor_divide(Tensor(np.array([[7, 200]], "uint8")), -2).numpy().tolist()
    [[-4, -100]]
    """
    a, b = _operands("floor_divide", a, b, arrays=True)
    return Tensor(_arithmetic(np.floor_divide, a.data, b.data))


@operation("**")
def power(x: Any, exponent: Any) -> Tensor:
    """Return x ** exponent; where x is not above 0, none of the gradient goes to the exponent.

    >>> power([[1.0, 2.0, 3.0]], [[2.0], [3.0]]).numpy().tolist()
    [[1.0, 4.0, 9.0], [1.0, 8.0, 27.0]]
    """
    if isinstance(exponent, int | float):
        return _fixed_power(as_tensor(x), exponent)
    x, e = _operands("power", x, exponent, arrays=True)

    def by_base(dy: Tensor, y: Tensor) -> Tensor:
        return sum_to(multiply(dy, multiply(e, power(x, subtract(e, 1.0)))), x.shape)

    def by_exponent(dy: Tensor, y: Tensor) -> Tensor:
        positive = x.data > 0
        logarithm = where(positive, log(where(positive, x, 1.0)), 0.0)
        return sum_to(multiply(dy, multiply(y, logarithm)), e.shape)

    return record("power", _powers(x.data, e.data), (x, by_base), (e, by_exponent))


def _powers(x: Array, exponent: Any) -> Array:
    """Return x ** exponent; whole numbers stay whole, or the call is refused."""
    if x.dtype.kind not in "bui" or np.result_type(exponent).kind == "f":
        return x**exponent
    if isinstance(exponent, int):  # a number stays one: it goes to the GPU with the call
        powers = lowest = int(exponent)
    else:
        powers = whole(exponent)
        lowest = int(powers.min()) if powers.size else 0
    if lowest < 0:
        raise ArgumentError(
            f"power: whole numbers were raised to the power {lowest}, which is no whole number; "
            f"cast them to 'float32' before."
        )
    largest = np.abs(x.astype(np.float64)) ** (powers * 1.0)
    if largest.size and largest.max() > _LARGEST:
        raise ArgumentError(
            f"power: a result is about {float(largest.max()):.3g}, but whole numbers go up to "
            f"{_LARGEST}; cast them to 'float64' before."
        )
    return whole(x) ** powers


def _fixed_power(x: Tensor, exponent: float) -> Tensor:
    def gradient(dy: Tensor, y: Tensor) -> Tensor:
        if exponent == 0:  # the rule below would give 0 * 0 ** -1 at 0
            return multiply(dy, 0.0)
        return multiply(dy, multiply(exponent, _fixed_power(x, exponent - 1)))

    return record("power", _powers(x.data, exponent), (x, gradient))


@operation("neg")
def negative(x: Any) -> Tensor:
    """Return -x."""
    x = as_tensor(x)
    return record("negative", -whole(x.data), (x, lambda dy, y: negative(dy)))


@operation
def square(x: Any) -> Tensor:
    """Return x * x."""
    x = as_tensor(x)
    return record(
        "square", np.square(whole(x.data)), (x, lambda dy, y: multiply(dy, multiply(2.0, x)))
    )


@operation
def sqrt(x: Any) -> Tensor:
    """Return the square root."""
    x = fractional(x)
    return record("sqrt", np.sqrt(x.data), (x, lambda dy, y: divide(multiply(0.5, dy), y)))


@operation
def exp(x: Any) -> Tensor:
    """Return e ** x."""
    x = fractional(x)
    return record("exp", np.exp(x.data), (x, lambda dy, y: multiply(dy, y)))


@operation
def expm1(x: Any) -> Tensor:
    """Return e ** x - 1, exact near zero."""
    x = fractional(x)
    return record("expm1", np.expm1(x.data), (x, lambda dy, y: multiply(dy, exp(x))))


@operation
def log(x: Any) -> Tensor:
    """Return the natural logarithm."""
    x = fractional(x)
    return record("log", np.log(x.data), (x, lambda dy, y: divide(dy, x)))


@operation
def log1p(x: Any) -> Tensor:
    """Return the natural logarithm of 1 + x, exact near zero."""
    x = fractional(x)
    return record("log1p", np.log1p(x.data), (x, lambda dy, y: divide(dy, add(1.0, x))))


@operation
def sign(x: Any) -> Tensor:
    """Return -1, 0 or 1; its derivative is zero everywhere, so no gradient flows."""
    return Tensor(np.sign(whole(as_tensor(x).data)))


@operation("abs")
def abs(x: Any) -> Tensor:
    """Return |x|; the gradient at 0 is 0."""
    x = as_tensor(x)
    return record("abs", np.abs(whole(x.data)), (x, lambda dy, y: multiply(dy, sign(x))))


@operation
def where(condition: Any, a: Any, b: Any) -> Tensor:
    """Return a where the condition holds and b elsewhere."""
    a, b = _operands("where", a, b)
    home = b if isinstance(a.data, np.generic) else a
    mask = as_array(_like(condition, home, array=True), bool)
    check_same_device("where", condition=mask, a=home.data)
    return record(
        "where",
        np.where(mask, a.data, b.data),
        (a, lambda dy, y: sum_to(where(mask, dy, 0.0), a.shape)),
        (b, lambda dy, y: sum_to(where(mask, 0.0, dy), b.shape)),
    )


@operation
def maximum(a: Any, b: Any) -> Tensor:
    """Return the larger of a and b, or NaN if one is; of equals, a gets the gradient."""
    a, b = _operands("maximum", a, b)
    # NumPy's comparing operators, unlike the functions, would make an array of a number.
    return where(np.greater_equal(a.data, b.data) | np.isnan(a.data), a, b)


@operation
def minimum(a: Any, b: Any) -> Tensor:
    """Return the smaller of a and b, or NaN if one is; of equals, a gets the gradient."""
    a, b = _operands("minimum", a, b)
    return where(np.less_equal(a.data, b.data) | np.isnan(a.data), a, b)


@operation
def clip(x: Any, minimum: float, maximum: float) -> Tensor:
    """Return x limited to [minimum, maximum]; no gradient flows where it was cut off."""
    x = as_tensor(x)
    inside = (x.data >= minimum) & (x.data <= maximum)
    if x.dtype.kind in "ui" and isinstance(minimum, int) and isinstance(maximum, int):
        # Limits beyond the type's own, which NumPy refuses, limit nothing there.
        ends = np.iinfo(x.dtype)
        minimum, maximum = (min(max(end, ends.min), ends.max) for end in (minimum, maximum))
    return record(
        "clip", np.clip(x.data, minimum, maximum), (x, lambda dy, y: where(inside, dy, 0.0))
    )


@operation
def cast(x: Any, dtype: Any) -> Tensor:
    """Return x in another element type."""
    x = as_tensor(x)
    kind = config.element_type("cast", dtype)
    if x.dtype == kind:
        return x
    return record("cast", x.data.astype(kind), (x, lambda dy, y: cast(dy, x.dtype)))


@operation
def erf(x: Any) -> Tensor:
    """Return the error function, 2/sqrt(pi) times the integral of e ** -t**2 from 0 to x."""
    x = fractional(x)
    slope = 2 / math.sqrt(math.pi)
    return record(
        "erf",
        arrays.erf(x.data),
        (x, lambda dy, y: multiply(dy, multiply(slope, exp(negative(square(x)))))),
    )


@operation
def relu(x: Any) -> Tensor:
    """Return max(x, 0); the gradient at 0 is 0."""
    x = as_tensor(x)
    return record("relu", _into_recycled(np.maximum, x.data, 0), (x, relu_gradient))


def relu_gradient(dy: Tensor, y: Tensor) -> Tensor:
    """Return dy where the result y of a ReLU is positive, else 0."""
    if on_gpu(dy.data) and dy.dtype == y.dtype and dy.dtype in (np.float32, np.float64):
        value = backend_module("cupy").relu_gradient(dy.data, y.data)
    else:
        value = _into_recycled(np.multiply, dy.data, y.data > 0)
    return record("relu_gradient", value, (dy, lambda dz, z: relu_gradient(dz, y)))


@operation
def sigmoid(x: Any) -> Tensor:
    """Return 1 / (1 + e ** -x), without overflow on either side."""
    x = fractional(x)
    small = np.exp(-np.abs(x.data))  # in (0,1], whatever the sign
    value = np.where(x.data >= 0, 1 / (1 + small), small / (1 + small))
    p = record("sigmoid", value, (x, lambda dy, y: multiply(dy, multiply(y, subtract(1.0, y)))))
    if x.dtype == p.dtype:
        p.logits = "sigmoid", x, -1
    return p


@operation
def tanh(x: Any) -> Tensor:
    """Return the hyperbolic tangent."""
    x = fractional(x)
    return record(
        "tanh", np.tanh(x.data), (x, lambda dy, y: multiply(dy, subtract(1.0, square(y))))
    )


@operation
def softplus(x: Any) -> Tensor:
    """Return log(1 + e ** x), without overflow."""
    x = fractional(x)
    value = np.maximum(x.data, 0) + np.log1p(np.exp(-np.abs(x.data)))
    return record("softplus", value, (x, lambda dy, y: multiply(dy, sigmoid(x))))
