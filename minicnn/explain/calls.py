"""Which calls can be explained, and how: a table from operations to their records."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import convert_to_tensor
from minicnn.errors import ArgumentError
from minicnn.explain.convolution import TURNED, Array, Convolution, convolution_records
from minicnn.explain.explanation import Explanation
from minicnn.explain.limits import Limits
from minicnn.explain.record import Record
from minicnn.explain.stages import Stage, explain_stages
from minicnn.geometry import conv2d_geometry, conv2d_transpose_geometry
from minicnn.ops.convolution import slide_geometry

__all__ = ["CALLS", "Call", "convolution_stage"]

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
        raise ArgumentError(f"explain: {name}{signature}: {error}.") from None
    given.apply_defaults()
    x, stages = CALLS[operation](operation, **given.arguments)
    return explain_stages(name, x, stages, output_gradients, limits)


def convolution_stage(name: str, y: Any, *, variants: bool = True, **window: Any) -> Stage:
    """Return the stage of `conv2d` or `conv2d_transpose`.

    Args:
        name: what it is called.
        y: the operation from x to y.
        variants: show the true convolution as well.
        **window: fields of `Convolution`.
    """

    def records(x: Array, _: Array, dy: Array, limits: Limits) -> Iterable[Record]:
        call = Convolution(name, x=x, dy=dy, **window)
        yield from convolution_records(call, limits)
        if variants and not call.transposed:
            left_out = list(limits.left_out)
            yield from convolution_records(replace(call, turned=not call.turned), limits)
            limits.left_out[:] = left_out

    return Stage(name, y, records)


def _floats(x: Any, kernel: Any) -> tuple[Any, Any]:
    """Return two arrays of the type in which the operation computes."""
    x, kernel = convert_to_tensor(x).numpy(), convert_to_tensor(kernel).numpy()
    dtype = np.result_type(*(a.dtype for a in (x, kernel) if a.dtype.kind == "f"), np.float32)
    return x.astype(dtype), kernel.astype(dtype)


@call_of(ops.conv2d)
def _conv2d(operation: Any, **given: Any) -> tuple[Any, list[Stage]]:
    operation(**given)  # words what does not fit
    x, kernel = _floats(given["x"], given["kernel"])
    bias = None if given["bias"] is None else np.asarray(given["bias"], x.dtype)
    window = {k: given[k] for k in ("strides", "padding", "dilation_rate", "groups")}
    geometry = conv2d_geometry(x.shape[1:3], kernel.shape[:2], **window)
    stage = convolution_stage(
        "conv2d",
        lambda x: ops.conv2d(x, kernel, bias, **window),
        kernel=kernel,
        bias=bias,
        geometry=geometry,
    )
    return x, [stage]


@call_of(ops.conv2d_transpose)
def _conv2d_transpose(operation: Any, **given: Any) -> tuple[Any, list[Stage]]:
    operation(**given)
    x, kernel = _floats(given["x"], given["kernel"])
    bias = None if given["bias"] is None else np.asarray(given["bias"], x.dtype)
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
    return x, [stage]


@call_of(ops.cross_correlate2d, ops.convolve2d)
def _matrices(operation: Any, image: Any, kernel: Any, mode: str) -> tuple[Any, list[Stage]]:
    operation(image, kernel, mode)
    flip, name = operation is ops.convolve2d, operation.__name__
    x, k = np.asarray(image, np.float64), np.asarray(kernel, np.float64)
    geometry = slide_geometry(name, x.shape, k.shape, mode, flip=flip)
    images = convolution_stage(
        name,
        lambda x: ops.conv2d(
            x,
            (k[::-1, ::-1] if flip else k)[:, :, None, None],
            padding=(
                (geometry.pad_top, geometry.pad_bottom),
                (geometry.pad_left, geometry.pad_right),
            ),
        ),
        kernel=k[:, :, None, None],
        bias=None,
        geometry=geometry,
        turned=flip,
    )

    def run(x: Any) -> Any:
        y = images.run(ops.reshape(x, (1, *x.shape, 1)))
        return ops.reshape(y, y.shape[1:3])

    def records(x: Array, y: Array, dy: Array, limits: Limits) -> Iterable[Record]:
        flat = slice(None), slice(None)
        for record in images.records(x[None, *flat, None], y, dy[None, *flat, None], limits):
            yield _as_matrices(record)

    return x, [Stage(name, run, records)]


def _as_matrices(record: Record) -> Record:
    """Return the record of a convolution of single matrices, with two axes each."""

    def plain(panel: Any) -> Any:
        return panel.without((2, 3) if panel.role == "kernel" else (0, 3))

    k = "kernel[KH-1-i,KW-1-j]" if record.choice["kernel"] == TURNED else "kernel[i,j]"
    place = "r - P + i, s - P + j"
    formulas = {
        "forward": f"y[r,s] = sum over i,j of x[{place}] * {k}",
        "gradient of x": f"dx[{place}] += dy[r,s] * {k}",
        "gradient of kernel": f"d{k} = sum over r,s of x[{place}] * dy[r,s]",
    }
    return replace(
        record,
        formula=formulas[record.choice["direction"]],
        operands=tuple(map(plain, record.operands)),
        result=plain(record.result),
    )
