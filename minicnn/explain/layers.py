"""Which layers can be explained: each as the operations that it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn import activations, layers, ops
from minicnn.errors import ArgumentError, ShapeError
from minicnn.explain.operations import (
    activation_stage,
    convolution_stage,
    dense_stage,
    flatten_stage,
    normalization_stage,
    pooling_stage,
    resize_stage,
)
from minicnn.explain.records.dense import moved_records
from minicnn.explain.records.elementwise import ACTIVATIONS, elementwise_record
from minicnn.explain.records.limits import Limits
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import Record
from minicnn.explain.records.steps import Step
from minicnn.explain.stages import Stage
from minicnn.geometry import conv2d_geometry, conv2d_transpose_geometry
from minicnn.layers.base import Layer

__all__ = ["check_explainable", "layer_stages"]

Stages = Callable[[Any, tuple[int, ...], bool], list[Stage]]
STAGES: dict[type[Layer], Stages] = {}


def stages_of(*kinds: type[Layer]) -> Callable[[Stages], Stages]:
    """Enter a function as the stages of layers: from (layer, shape of the input, training)."""

    def enter(function: Stages) -> Stages:
        STAGES.update(dict.fromkeys(kinds, function))
        return function

    return enter


class UnexplainedError(ArgumentError):
    """A layer whose arithmetic is not known here.

    Args:
        layer: the layer.
    """

    def __init__(self, layer: Layer) -> None:
        known = ", ".join(sorted(kind.__name__ for kind in STAGES))
        kind = type(layer).__name__
        what = f"the operation {layer.operation}" if isinstance(layer, layers.Operation) else kind
        article = "" if what != kind else "an " if kind[0] in "AEIOU" else "a "
        super().__init__(
            f"explain: layer {layer.name!r} is {article}{what}, which cannot be explained; these "
            f"can: {known}, and Add, Subtract, Multiply, Average, Maximum and Minimum with a list "
            f"of inputs."
        )
        self.left_out = f"Not shown: there is no explanation of {what} yet."


def check_explainable(layer: Layer) -> None:
    """Raise if a layer's arithmetic is not known here: its class, not one that inherits it.

    Raises:
        UnexplainedError: the layer cannot be explained; the message lists those that can.
    """
    if type(layer) not in STAGES:
        raise UnexplainedError(layer)


def layer_stages(layer: Layer, shape: tuple[int, ...], training: bool) -> list[Stage]:
    """Return the operations of a layer on an input of a shape.

    Raises:
        ArgumentError: the layer cannot be explained.
    """
    check_explainable(layer)
    return STAGES[type(layer)](layer, shape, training)


def _activation(layer: Any) -> list[Stage]:
    """Return the stage of a layer's activation, if it has one."""
    function = layer.activation
    if function is activations.linear:
        return []
    name = getattr(function, "__name__", "")
    if getattr(activations, name, None) is not function or name not in (*ACTIVATIONS, "softmax"):
        raise ArgumentError(
            f"explain: the activation {name or function!r} of layer {layer.name!r} cannot be "
            f"explained; these can: {', '.join(ACTIVATIONS)}, softmax."
        )
    return [activation_stage(name)]


def _array(weight: Any) -> Any:
    return None if weight is None else np.asarray(weight)


def _as_sequences(layer: Any, stage: Stage) -> Stage:
    """Return a stage of images of height 1 as one of sequences."""
    if layer.rank == 2:
        return stage

    def plain(panel: Panel) -> Panel:
        if panel.values.ndim != 4:
            return panel
        if panel.role == "kernel":
            return panel.without((0,), (None, 0))
        return panel.without((1,))

    def records(step: Step, limits: Limits) -> Iterable[Record]:
        seen = replace(limits, unseen={"input": (1,), "output": (1,), "kernel": (0,)})
        for record in stage.records(Step(*(a[:, None] for a in step)), seen):
            yield replace(
                record,
                formula=_of_sequences(record.formula),
                notes=tuple(
                    note.replace("Width:", "Length:")
                    for note in record.notes
                    if not note.startswith("Height:")
                ),
                operands=tuple(map(plain, record.operands)),
                result=plain(record.result),
            )

    def run(x: Any) -> Any:
        y = stage.run(ops.reshape(x, (x.shape[0], 1, *x.shape[1:])))
        return ops.reshape(y, (y.shape[0], *y.shape[2:]))

    return Stage(stage.name, run, records)


def _of_sequences(formula: str) -> str:
    """Return a formula of images without their rows.

    >>> _of_sequences("y[n,oh,ow,c] = max over i,j of x[n, oh*S - P + i, ow*S - P + j, c]")
    'y[n,ow,c] = max over j of x[n, ow*S - P + j, c]'
    """
    shorter = re.sub(r"\bo?h\*S - P \+ i(\*D)?, ", "", formula)
    shorter = re.sub(r"\boh,|\bh,|\bi,(?=j)|share\(h\) \* ", "", shorter)
    return shorter.replace("KH-1-i,", "")


def _image_size(layer: Any, shape: tuple[int, ...]) -> Any:
    return layer.flat(shape[1:-1])


def _convolution(
    layer: Any, shape: tuple[int, ...], kernel: Any, bias: Any, groups: int, name: str
) -> Stage:
    """Return the stage of a convolution with the window of a layer."""
    strides, padding, dilation = layer.flat_window
    geometry = conv2d_geometry(
        _image_size(layer, shape), kernel.shape[:2], strides, padding, dilation, groups
    )
    stage = convolution_stage(
        name,
        lambda x: ops.conv2d(x, kernel, bias, strides, padding, dilation, groups),
        kernel=kernel,
        bias=bias,
        geometry=geometry,
    )
    return _as_sequences(layer, stage)


@stages_of(layers.Conv2D, layers.Conv1D)
def _conv(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    kernel = _array(layer.flat_kernel(layer.kernel))
    name = "conv2d" if layer.rank == 2 else "conv1d"
    stage = _convolution(layer, shape, kernel, _array(layer.bias), layer.groups, name)
    return [stage, *_activation(layer)]


def _depthwise_kernel(layer: Any, kernel: Any) -> Any:
    """Return (KH,KW,C,M) as (KH,KW,1,C*M): as many groups as channels."""
    flat = _array(layer.flat_kernel(kernel))
    return flat.reshape(*flat.shape[:2], 1, -1)


@stages_of(layers.DepthwiseConv2D, layers.DepthwiseConv1D)
def _depthwise(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    kernel = _depthwise_kernel(layer, layer.kernel)
    bias, name = _array(layer.bias), "depthwise convolution"
    return [_convolution(layer, shape, kernel, bias, shape[-1], name), *_activation(layer)]


@stages_of(layers.SeparableConv2D, layers.SeparableConv1D)
def _separable(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    kernel = _depthwise_kernel(layer, layer.depthwise_kernel)
    pointwise, bias = _array(layer.flat_kernel(layer.pointwise_kernel)), _array(layer.bias)
    sizes = layer.flat(layer.sizes_of_windows(shape))
    second = convolution_stage(
        "pointwise convolution",
        lambda x: ops.conv2d(x, pointwise, bias),
        kernel=pointwise,
        bias=bias,
        geometry=conv2d_geometry(sizes, (1, 1)),
    )
    return [
        _convolution(layer, shape, kernel, None, shape[-1], "depthwise convolution"),
        _as_sequences(layer, second),
        *_activation(layer),
    ]


@stages_of(layers.Conv2DTranspose, layers.Conv1DTranspose)
def _transposed(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    kernel, bias = _array(layer.flat_kernel(layer.kernel)), _array(layer.bias)
    window = (*layer.flat_window, layer.groups)
    extra = {"output_padding": layer.flat_extra}
    geometry = conv2d_transpose_geometry(
        _image_size(layer, shape), kernel.shape[:2], *window, **extra
    )
    stage = convolution_stage(
        "conv2d_transpose" if layer.rank == 2 else "conv1d_transpose",
        lambda x: ops.conv2d_transpose(x, kernel, bias, *window, **extra),
        kernel=kernel,
        bias=bias,
        geometry=geometry,
        transposed=True,
    )
    return [_as_sequences(layer, stage), *_activation(layer)]


@stages_of(
    *(layers.MaxPooling2D, layers.MaxPooling1D, layers.AveragePooling2D, layers.AveragePooling1D)
)
def _pooling(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    is_max = isinstance(layer, layers.MaxPooling2D | layers.MaxPooling1D)
    name = "max-pool" if is_max else "average-pool"
    geometry = conv2d_geometry(_image_size(layer, shape), *layer.flat_window)
    return [_as_sequences(layer, pooling_stage(name, geometry, "max" if is_max else "mean"))]


@stages_of(
    *(layers.GlobalMaxPooling2D, layers.GlobalMaxPooling1D),
    *(layers.GlobalAveragePooling2D, layers.GlobalAveragePooling1D),
)
def _global_pooling(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    is_max = isinstance(layer, layers.GlobalMaxPooling2D | layers.GlobalMaxPooling1D)
    size = _image_size(layer, shape)
    name = f"global {'max' if is_max else 'average'}-pool"
    whole = pooling_stage(name, conv2d_geometry(size, size), "max" if is_max else "mean")
    whole = _as_sequences(layer, whole)
    if layer.keepdims:
        return [whole]
    places = tuple(range(1, layer.rank + 1))

    def records(step: Step, limits: Limits) -> Iterable[Record]:
        y, dy = (np.expand_dims(a, places) for a in (step.y, step.dy))
        for record in whole.records(Step(step.x, y, dy, step.dx), limits):
            flat = {"output": lambda panel: panel.without(places)}
            operands = [flat.get(p.role, lambda p: p)(p) for p in record.operands]
            result = flat.get(record.result.role, lambda p: p)(record.result)
            yield replace(record, operands=tuple(operands), result=result)

    def run(x: Any) -> Any:
        y = whole.run(x)
        return ops.reshape(y, (y.shape[0], y.shape[-1]))

    return [Stage(name, run, records)]


@stages_of(layers.UpSampling2D, layers.UpSampling1D)
def _upsampling(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    size = [n * f for n, f in zip(_image_size(layer, shape), layer.flat(layer.size), strict=True)]
    return [_as_sequences(layer, resize_stage("upsampling", size, layer.interpolation))]


@stages_of(layers.Dense)
def _dense(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    bias = _array(layer.bias) if layer.use_bias else None
    stage = dense_stage("dense", _array(layer.kernel), bias)
    if len(shape) == 2:
        return [stage, *_activation(layer)]

    def rows(x: Any) -> Any:
        return x.reshape(-1, x.shape[-1])

    def run(x: Any) -> Any:
        y = stage.run(ops.reshape(x, (-1, shape[-1])))
        return ops.reshape(y, (*x.shape[:-1], y.shape[-1]))

    def records(step: Step, limits: Limits) -> Iterable[Record]:
        for record in stage.records(Step(*map(rows, step)), limits):
            note = f"The axes before the last, {shape[:-1]}, are counted as one, n."
            yield replace(record, notes=(*record.notes, note))

    return [Stage("dense", run, records), *_activation(layer)]


@stages_of(layers.BatchNormalization)
def _normalization(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    of_batch = training and layer.trainable
    moving = None if of_batch else (_array(layer.moving_mean), _array(layer.moving_variance))
    gamma, beta = _array(layer.gamma), _array(layer.beta)
    return [normalization_stage("batch normalization", gamma, beta, layer.epsilon, moving)]


@stages_of(layers.ReLU)
def _relu(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    numbers = {n: getattr(layer, n) for n in ("negative_slope", "max_value", "threshold")}
    return [activation_stage("relu", **numbers)]


@stages_of(layers.LeakyReLU)
def _leaky_relu(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    return [activation_stage("leaky_relu", negative_slope=layer.negative_slope)]


@stages_of(layers.ELU)
def _elu(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    return [activation_stage("elu", alpha=layer.alpha)]


@stages_of(layers.Softmax)
def _softmax(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    return [activation_stage("softmax", axis=layer.axis)]


@stages_of(layers.Activation)
def _named_activation(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    return _activation(layer) or [activation_stage("linear")]


@stages_of(layers.InputLayer, layers.Identity, layers.ActivityRegularization)
def _unchanged(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    return [activation_stage("linear")]


@stages_of(
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D),
    *(layers.GaussianDropout, layers.GaussianNoise),
)
def _noise(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    if training:
        raise ArgumentError(
            f"explain: layer {layer.name!r} draws random numbers in training, which differ in "
            f"every call; explain it with training=False, where it passes its input on."
        )
    return [activation_stage("linear")]


def _moved(name: str, formula: str, note: str, run: Any, source: Any) -> list[Stage]:
    return [
        Stage(
            name, run, lambda step, limits: moved_records(name, formula, step, limits, source, note)
        )
    ]


@stages_of(layers.Flatten)
def _flatten(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    if len(shape) < 2:
        raise ShapeError(
            f"explain: layer {layer.name!r} got an array of shape {shape}, which has no axes "
            f"behind that of the samples."
        )
    return [flatten_stage("flatten")]


@stages_of(layers.Reshape)
def _reshape(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    after = layer.compute_output_shape(shape)

    def source(at: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unravel_index(np.ravel_multi_index(at, after), shape))

    note = f"From {shape[1:]} to {tuple(after[1:])}, in row-major order: no number changes."
    formula = "y[n,...] = x[n,...], the k-th number of a sample staying the k-th"
    return _moved("reshape", formula, note, lambda x: ops.reshape(x, after), source)


@stages_of(layers.ZeroPadding2D)
def _zero_padding(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    (top, _), (left, _) = layer.flat_sides

    def source(at: tuple[int, ...]) -> tuple[int, ...] | None:
        n, h, w, c = at
        found = (n, h - top, w - left, c)
        return found if 0 <= found[1] < shape[1] and 0 <= found[2] < shape[2] else None

    formula = f"y[n,h,w,c] = x[n, h - {top}, w - {left}, c], and 0 outside"
    note = f"Rows and columns of zeros around the image: {layer.flat_sides}."
    return _moved("zero padding", formula, note, layer, source)


@stages_of(layers.Cropping2D)
def _cropping(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    (top, _), (left, _) = layer.flat_sides
    formula = f"y[n,h,w,c] = x[n, h + {top}, w + {left}, c]"
    note = f"Rows and columns cut off at the sides: {layer.flat_sides}."
    return _moved(
        "cropping", formula, note, layer, lambda at: (at[0], at[1] + top, at[2] + left, at[3])
    )


@stages_of(layers.Rescaling)
def _rescaling(layer: Any, shape: tuple[int, ...], training: bool) -> list[Stage]:
    """Return x * scale + offset; a number for each channel is shown as its own array."""
    scale, offset = (
        np.broadcast_to(np.asarray(v, np.float32), shape[-1:]) for v in (layer.scale, layer.offset)
    )

    def records(step: Step, limits: Limits) -> Iterable[Record]:
        learned = [Panel.of("scale", "other", scale), Panel.of("offset", "other", offset)]
        yield elementwise_record(
            "rescaling",
            "y[...,c] = x[...,c] * scale[c] + offset[c]",
            "{0} * {1} + {2}",
            [Panel.of("x", "input", step.x), *learned],
            Panel.of("y", "output", step.y),
            limits,
        )
        yield from limits.unless_too_large(
            lambda: elementwise_record(
                "rescaling, gradient of x",
                "dx[...,c] = dy[...,c] * scale[c]",
                "{0} * {1}",
                [Panel.of("dy", "output", step.dy), learned[0]],
                Panel.of("dx", "input", step.dx),
                limits,
                direction="gradient of x",
            )
        )

    return [Stage("rescaling", lambda x: x * scale + offset, records)]
