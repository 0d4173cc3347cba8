"""Differentiable operations on tensors."""

from sys import modules as _modules
from types import SimpleNamespace as _Namespace

from minicnn.autograd.recording import drawable as _drawable
from minicnn.ops.convolution import conv2d, conv2d_transpose, convolve2d, cross_correlate2d
from minicnn.ops.elementwise import (
    abs,
    add,
    cast,
    clip,
    divide,
    erf,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    sign,
    softplus,
    sqrt,
    square,
    subtract,
    tanh,
    where,
)
from minicnn.ops.fusion import mean_squared_error
from minicnn.ops.normalization import batch_normalization, log_softmax, softmax, standardize
from minicnn.ops.pooling import average_pool2d, max_pool2d, resize2d, upsample2d
from minicnn.ops.reduction import matmul, max, mean, min, sum, variance
from minicnn.ops.sampling import affine_transform
from minicnn.ops.shape import (
    broadcast_to,
    concatenate,
    crop2d,
    getitem,
    pad2d,
    reshape,
    squeeze,
    stack,
    transpose,
)

__all__ = [
    "abs", "add", "affine_transform", "average_pool2d", "batch_normalization", "broadcast_to",
    "cast", "clip", "concatenate", "conv2d", "conv2d_transpose", "convolve2d", "crop2d",
    "cross_correlate2d", "divide", "erf", "exp", "expm1", "getitem", "log", "log1p", "log_softmax",
    "matmul", "max", "max_pool2d", "maximum", "mean", "mean_squared_error", "min", "minimum",
    "multiply", "negative", "pad2d", "power", "relu", "reshape", "resize2d", "sigmoid", "sign",
    "softmax", "softplus", "sqrt", "square", "squeeze", "stack", "standardize", "subtract", "sum",
    "tanh", "transpose", "upsample2d", "variance", "where",
]  # fmt: skip

# On this floor operations call each other directly; from above, symbolic tensors may come too.
for _name in __all__:
    _below = _modules[globals()[_name].__module__]
    globals()[_name] = _drawable(globals()[_name])
    # A function is pickled as the name by which its module has it.
    vars(_below).setdefault("drawn", _Namespace()).__dict__[_name] = globals()[_name]
    globals()[_name].__qualname__ = f"drawn.{_name}"
