"""Differentiable operations on tensors."""

from sys import modules as _modules

from minicnn.ops.convolution import conv2d, conv2d_transpose
from minicnn.ops.correlation import convolve2d, cross_correlate2d
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
from minicnn.ops.squared_error import mean_squared_error

__all__ = [
    "abs", "add", "affine_transform", "average_pool2d", "batch_normalization", "broadcast_to",
    "cast", "clip", "concatenate", "conv2d", "conv2d_transpose", "convolve2d", "crop2d",
    "cross_correlate2d", "divide", "erf", "exp", "expm1", "getitem", "log", "log1p", "log_softmax",
    "matmul", "max", "max_pool2d", "maximum", "mean", "mean_squared_error", "min", "minimum",
    "multiply", "negative", "pad2d", "power", "relu", "reshape", "resize2d", "sigmoid", "sign",
    "softmax", "softplus", "sqrt", "square", "squeeze", "stack", "standardize", "subtract", "sum",
    "tanh", "transpose", "upsample2d", "variance", "where",
]  # fmt: skip

# Pickles of version 0.1.0 name an operation "drawn.NAME" in the module that it stood in.
_here = _modules[__name__]
_modules[f"{__name__}.fusion"] = _here
for _name in [n for n in _modules if f"{n}.".startswith(f"{__name__}.")]:
    vars(_modules[_name])["drawn"] = _here
