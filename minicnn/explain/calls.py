"""Which calls can be explained, and how: a table from operations to their records."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import activations, ops
from minicnn.autograd.tensor import convert_to_tensor
from minicnn.errors import ArgumentError, MinicnnError, ShapeError, check_choice
from minicnn.explain.explanation import Explanation
from minicnn.explain.operations import (
    activation_stage,
    convolution_stage,
    dense_stage,
    flatten_stage,
    matrix_stage,
    normalization_stage,
    on_matrices,
    pooling_stage,
    resize_stage,
)
from minicnn.explain.records.dense import dense, flatten
from minicnn.explain.records.elementwise import ACTIVATIONS
from minicnn.explain.records.limits import Limits
from minicnn.explain.stages import Stage, as_numbers, explain_stages
from minicnn.geometry import Geometry, conv2d_geometry, conv2d_transpose_geometry
from minicnn.ops.correlation import slide_geometry

__all__ = ["CALLS", "explain_call", "operation_named"]

#: From the arguments of a call to its title, what enters it, and what happens then.
Call = Callable[..., tuple[Any, list[Stage]]]
CALLS: dict[Callable[..., Any], Call] = {}


def call_of(*operations: Callable[..., Any]) -> Callable[[Call], Call]:
    """Enter a function as the explanation of operations."""

    def enter(function: Call) -> Call:
        for operation in operations:
            CALLS[operation] = function
        return function

    return enter


def operation_named(name: str) -> Callable[..., Any]:
    """Return the operation of the table that has this name.

    Raises:
        ArgumentError: there is none; the message lists them.
    """
    names = {operation.__name__: operation for operation in CALLS}
    return names[check_choice("explain", "op", name, names, _MEANT)]


#: What the operations are called elsewhere.
_MEANT = {
    **dict.fromkeys(["conv", "convolution", "convolve"], ("conv2d", "convolve2d")),
    **dict.fromkeys(["correlate", "correlation", "cross_correlation"], ("cross_correlate2d",)),
    **dict.fromkeys(["deconv", "deconvolution", "transpose"], ("conv2d_transpose",)),
    **dict.fromkeys(["pool", "pooling", "maxpool", "max_pooling"], ("max_pool2d",)),
    **dict.fromkeys(["avgpool", "mean_pool"], ("average_pool2d",)),
    **dict.fromkeys(["linear_layer", "fully_connected", "matmul"], ("dense",)),
    **dict.fromkeys(["batchnorm", "bn"], ("batch_normalization",)),
}  # fmt: skip


# Infinities and NaN are shown where they arise; NumPy need not warn of them.
@np.errstate(over="ignore", invalid="ignore")
def explain_call(
    operation: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output_gradients: Any,
    limits: Limits,
) -> Explanation:
    """Return the explanation of a call of an operation that is in the table."""
    signature = inspect.signature(operation)
    name = operation.__name__
    try:
        given = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(
            f"explain: {name}({', '.join(signature.parameters)}): {error}."
        ) from None
    given.apply_defaults()
    try:
        x, stages = CALLS[operation](operation, **given.arguments)
    except MinicnnError:
        raise
    except (MemoryError, OverflowError, ValueError) as error:
        raise ArgumentError(
            f"explain: {name} cannot be computed with these numbers: {error}; use smaller sizes, "
            f"strides and padding."
        ) from None
    return explain_stages(name, x, stages, output_gradients, limits)


def _floats(x: Any, kernel: Any) -> tuple[Any, Any]:
    """Return two arrays of the type in which the operation computes."""
    x, kernel = convert_to_tensor(x).numpy(), convert_to_tensor(kernel).numpy()
    dtype = np.result_type(*(a.dtype for a in (x, kernel) if a.dtype.kind == "f"), np.float32)
    return x.astype(dtype), kernel.astype(dtype)


def _operands(x: Any, kernel: Any, bias: Any, **others: Any) -> tuple[Any, Any, Any, bool]:
    """Return images, kernels and a bias, and whether a matrix and a kernel like it came."""
    x, kernel = _floats(x, kernel)
    bias = None if bias is None else np.asarray(bias, x.dtype).reshape(-1)
    matrix = x.ndim == 2
    return _batch(x), kernel[:, :, None, None] if matrix else kernel, bias, matrix


def _batch(x: Any) -> Any:
    return x[None, :, :, None] if x.ndim == 2 else x


def _shown(
    x: Any, stages: list[Stage], matrix: bool, g: Geometry | None = None
) -> tuple[Any, list[Stage]]:
    """Return what enters the stages and these, for a matrix if one came.

    Then formulas lose the letters of the strides, the dilation and the padding that are not there.
    """
    if not matrix:
        return x, stages
    there = {
        r"\*S": g is None or (g.stride_height, g.stride_width) != (1, 1),
        r"\*D": g is None or (g.dilation_height, g.dilation_width) != (1, 1),
        " - P": g is None or (g.pad_top, g.pad_left) != (0, 0),
    }
    fewer = [(letters, "") for letters, used in there.items() if not used]
    return x[0, :, :, 0], [on_matrices(stage, *fewer) for stage in stages]


@call_of(ops.conv2d)
def _conv2d(operation: Any, **given: Any) -> tuple[Any, list[Stage]]:
    operation(**given)  # words what does not fit
    x, kernel, bias, matrix = _operands(**given)
    window = {k: given[k] for k in ("strides", "padding", "dilation_rate", "groups")}
    geometry = conv2d_geometry(x.shape[1:3], kernel.shape[:2], **window)
    stage = convolution_stage(
        "conv2d",
        lambda x: ops.conv2d(x, kernel, bias, **window),
        kernel=kernel,
        bias=bias,
        geometry=geometry,
    )
    stages = [stage, *([activation_stage("relu")] if given["relu"] else [])]
    if given["max_pool"] is not None:
        size = (geometry.out_height, geometry.out_width)
        pool = conv2d_geometry(size, given["max_pool"], given["max_pool"])
        stages.append(pooling_stage("max_pool2d", pool, "max"))
    return _shown(x, stages, matrix, geometry)


@call_of(ops.conv2d_transpose)
def _conv2d_transpose(operation: Any, **given: Any) -> tuple[Any, list[Stage]]:
    operation(**given)
    x, kernel, bias, matrix = _operands(**given)
    names = ("strides", "padding", "dilation_rate", "groups", "output_padding", "output_size")
    window = {k: given[k] for k in names}
    geometry = conv2d_transpose_geometry(x.shape[1:3], kernel.shape[:2], **window)
    stage = convolution_stage(
        "conv2d_transpose",
        lambda x: ops.conv2d_transpose(x, kernel, bias, **window),
        kernel=kernel,
        bias=bias,
        geometry=geometry,
        transposed=True,
    )
    return _shown(
        x, [stage, *([activation_stage("relu")] if given["relu"] else [])], matrix, geometry
    )


@call_of(ops.cross_correlate2d, ops.convolve2d)
def _matrices(operation: Any, image: Any, kernel: Any, mode: str) -> tuple[Any, list[Stage]]:
    operation(image, kernel, mode)  # words what does not fit
    flip, name = operation is ops.convolve2d, operation.__name__
    x, k = (as_numbers(f"explain: {name}", a, np.float64) for a in (image, kernel))
    if x.ndim == 3:
        raise ShapeError(
            f"explain: {name}: image has {x.shape[2]} channels, each taken by itself; explain one "
            f"of them, image[..., 0], or the grey image.mean(axis=-1)."
        )
    geometry = slide_geometry(name, x.shape, k.shape, mode, flip=flip)
    return x, [matrix_stage(name, k, geometry, turned=flip)]


@call_of(ops.max_pool2d, ops.average_pool2d)
def _pool(operation: Any, **given: Any) -> tuple[Any, list[Stage]]:
    y = operation(**given)
    x = _batch(_images(y, given["x"]))
    strides = given["pool_size"] if given["strides"] is None else given["strides"]
    geometry = conv2d_geometry(x.shape[1:3], given["pool_size"], strides, given["padding"])
    form = "max" if operation is ops.max_pool2d else "mean"
    return _shown(x, [pooling_stage(operation.__name__, geometry, form)], y.ndim == 2, geometry)


def _images(y: Any, x: Any) -> Any:
    """Return images as numbers of the type of the result."""
    return np.asarray(convert_to_tensor(x).numpy(), y.dtype)


@call_of(ops.upsample2d, ops.resize2d)
def _resize(operation: Any, **given: Any) -> tuple[Any, list[Stage]]:
    y = operation(**given)
    x, size = _batch(_images(y, given["x"])), y.shape if y.ndim == 2 else y.shape[1:3]
    stage = resize_stage(operation.__name__, size, given["interpolation"].lower())
    return _shown(x, [stage], y.ndim == 2)


@call_of(dense)
def _dense(operation: Any, x: Any, kernel: Any, bias: Any) -> tuple[Any, list[Stage]]:
    x, k = _floats(x, kernel)
    for argument, array in (("x", x), ("kernel", k)):
        if array.ndim != 2:
            raise ShapeError(
                f"dense: {argument} has shape {array.shape}, but must be a matrix: x (N,D), "
                f"kernel (D,U)."
            )
    b = None if bias is None else np.asarray(bias, x.dtype)
    if b is not None and b.shape != k.shape[1:]:
        raise ShapeError(
            f"dense: bias has shape {b.shape}, but there are {k.shape[1]} units; it must have "
            f"shape {k.shape[1:]}."
        )
    operation(x, k, b)
    return x, [dense_stage("dense", k, b)]


@call_of(flatten)
def _flatten(operation: Any, x: Any) -> tuple[Any, list[Stage]]:
    x = convert_to_tensor(x)
    if x.ndim < 2:
        raise ShapeError(
            f"flatten: x has shape {x.shape}, but must have an axis of samples and others, (N,...)."
        )
    return x, [flatten_stage("flatten")]


@call_of(ops.batch_normalization)
def _batch_normalization(operation: Any, **given: Any) -> tuple[Any, list[Stage]]:
    y = operation(**given)[0]
    gamma, beta = (
        None if given[n] is None else np.asarray(given[n], y.dtype) for n in ("gamma", "beta")
    )
    stages = [normalization_stage("batch_normalization", gamma, beta, given["epsilon"])]
    return _images(y, given["x"]), [*stages, *([activation_stage("relu")] if given["relu"] else [])]


def _activation(operation: Any, x: Any, **arguments: Any) -> tuple[Any, list[Stage]]:
    y = operation(x, **arguments)
    return _images(y, x), [activation_stage(operation.__name__, **arguments)]


CALLS.update({getattr(activations, name): _activation for name in (*ACTIVATIONS, "softmax")})
