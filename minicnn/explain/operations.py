"""The operations that can be explained, each as a stage: how it runs, and its records."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn import activations, ops
from minicnn.errors import ArgumentError
from minicnn.explain.records.convolution import Convolution, convolution_records
from minicnn.explain.records.dense import dense, dense_records, flatten, moved_records
from minicnn.explain.records.elementwise import (
    activation_formulas,
    activation_records,
    softmax_records,
)
from minicnn.explain.records.limits import Limits
from minicnn.explain.records.normalization import normalization_records
from minicnn.explain.records.pooling import pooling_records, resize_records
from minicnn.explain.records.record import Record
from minicnn.explain.records.steps import Step
from minicnn.explain.stages import Stage

__all__ = ["activation_stage", "convolution_stage", "dense_stage", "flatten_stage",
           "matrix_stage", "normalization_stage", "on_matrices", "pooling_stage",
           "resize_stage"]  # fmt: skip


def convolution_stage(name: str, y: Any, *, variants: bool = True, **window: Any) -> Stage:
    """Return the stage of `conv2d` or `conv2d_transpose`.

    Args:
        name: what it is called.
        y: the operation from x to y.
        variants: show the true convolution as well.
        **window: fields of `Convolution`.
    """

    def records(step: Step, limits: Limits) -> Iterable[Record]:
        call = Convolution(name, x=step.x, dy=step.dy, **window)
        yield from convolution_records(call, limits)
        if variants and not call.transposed:
            left_out = list(limits.left_out)
            yield from convolution_records(replace(call, turned=not call.turned), limits)
            limits.left_out[:] = left_out

    return Stage(name, y, records)


def matrix_stage(name: str, kernel: Any, geometry: Any, *, turned: bool) -> Stage:
    """Return the stage of a plain matrix over which a plain matrix slides."""
    slid = (kernel[::-1, ::-1] if turned else kernel)[:, :, None, None]  # (KH,KW,1,1)
    g = geometry
    padding = ((g.pad_top, g.pad_bottom), (g.pad_left, g.pad_right))
    images = convolution_stage(
        name,
        lambda x: ops.conv2d(x, slid, padding=padding),
        kernel=kernel[:, :, None, None],
        bias=None,
        geometry=geometry,
        turned=turned,
    )

    return on_matrices(images, (r"\*[SD]", ""))


def on_matrices(stage: Stage, *fewer: tuple[str, str]) -> Stage:
    """Return the stage of images (N,H,W,C) as one of a single matrix (H,W).

    Args:
        stage: of images.
        fewer: what else is replaced in formulas: patterns and texts.
    """

    def run(x: Any) -> Any:
        y = stage.run(ops.reshape(x, (1, *x.shape, 1)))
        return ops.reshape(y, y.shape[1:3])

    def records(step: Step, limits: Limits) -> Iterable[Record]:
        of_images = Step(*(a[None, :, :, None] for a in step))  # (1,H,W,1)
        seen = replace(limits, unseen={"input": (0, 3), "output": (0, 3), "kernel": (2, 3)})
        for record in stage.records(of_images, seen):
            yield _as_matrices(record, (*_FEWER, *fewer))

    return Stage(stage.name, run, records)


def _as_matrices(record: Record, replaced: Iterable[tuple[str, str]]) -> Record:
    """Return a record of single images of one channel with two axes each, in fewer letters."""

    def plain(panel: Any) -> Any:
        if panel.values.ndim != 4:
            return panel
        return panel.without((2, 3) if panel.role == "kernel" else (0, 3))

    formula = record.formula
    for letters, fewer in replaced:
        formula = re.sub(letters, fewer, formula)
    return replace(
        record,
        formula=formula,
        operands=tuple(map(plain, record.operands)),
        result=plain(record.result),
    )


#: What a formula of images loses where they are matrices: samples, channels, filters.
_FEWER = (
    (r"\[n, ?", "["), (r"(, ?[cf])+\]", "]"), ("over n,", "over "), ("over i,j,[cf]", "over i,j"),
    (r"bias\[f\]", "bias"), (r"dy\[\.\.\.,f\] over all other axes", "dy"),
    (r"\boh\b", "r"), (r"\bow\b", "s"),
)  # fmt: skip


def pooling_stage(name: str, geometry: Any, form: str) -> Stage:
    """Return the stage of a pooling of images by windows; `form` is `"max"` or `"mean"`."""
    operation = ops.max_pool2d if form == "max" else ops.average_pool2d
    g = geometry
    sides = ((g.pad_top, g.pad_bottom), (g.pad_left, g.pad_right))
    size, strides = (g.kernel_height, g.kernel_width), (g.stride_height, g.stride_width)
    return Stage(
        name,
        lambda x: operation(x, size, strides, sides),
        lambda step, limits: pooling_records(name, step, g, form, limits),
    )


def resize_stage(name: str, size: Any, interpolation: str) -> Stage:
    """Return the stage of a resizing of images to (height, width)."""
    return Stage(
        name,
        lambda x: ops.resize2d(x, size, interpolation),
        lambda step, limits: resize_records(name, step, interpolation, limits),
    )


def dense_stage(name: str, kernel: Any, bias: Any) -> Stage:
    """Return the stage of x (N,D) times a kernel (D,U) plus a bias (U,)."""
    return Stage(
        name,
        lambda x: dense(x, kernel, bias),
        lambda step, limits: dense_records(name, step, kernel, bias, limits),
    )


def flatten_stage(name: str) -> Stage:
    """Return the stage that lays out each sample's numbers in a row."""

    def records(step: Step, limits: Limits) -> Iterable[Record]:
        shape = step.x.shape
        letters = "hwc" if len(shape) == 4 else "ijkl"[: len(shape) - 1]
        index = letters[0]
        for letter, size in zip(letters[1:], shape[2:], strict=False):
            index = (
                f"({index})*{size} + {letter}" if len(index) > 1 else f"{index}*{size} + {letter}"
            )
        yield from moved_records(
            name,
            f"y[n, {index}] = x[n,{','.join(letters)}]",
            step,
            limits,
            lambda at: (at[0], *(int(i) for i in np.unravel_index(at[1], shape[1:]))),
            "No number changes; the last axis runs fastest.",
        )

    return Stage(name, flatten, records)


def normalization_stage(
    name: str, gamma: Any, beta: Any, epsilon: float, moving: Any = None
) -> Stage:
    """Return the stage of a batch normalization; `moving` are the learned mean and variance."""

    def run(x: Any) -> Any:
        if moving is None:
            return ops.batch_normalization(x, gamma, beta, epsilon)[0]
        scale = (1.0 if gamma is None else gamma) / np.sqrt(moving[1] + epsilon)
        return (x - moving[0]) * scale + (0.0 if beta is None else beta)

    return Stage(
        name,
        run,
        lambda step, limits: normalization_records(
            name, step, gamma, beta, epsilon, limits, moving
        ),
    )


def activation_stage(name: str, **arguments: Any) -> Stage:
    """Return the stage of an activation, with its arguments.

    Raises:
        ArgumentError: the arguments are none that can be explained.
    """
    function = getattr(activations, name)
    if name == "softmax":
        if arguments.get("axis", -1) != -1:
            raise ArgumentError(
                f"explain: softmax with axis={arguments['axis']} is not explained; only -1 is."
            )
        return Stage(name, function, softmax_records)
    formulas = activation_formulas(name, **arguments)
    return Stage(
        name,
        lambda x: function(x, **arguments),
        lambda step, limits: activation_records(name, step, limits, formulas),
    )
