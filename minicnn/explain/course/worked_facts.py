"""The course's numbers about whole networks, tensors and training, computed from their layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.explain.course.worked import Example, Table, Work, Worked, slide_example
from minicnn.geometry import conv2d_geometry, conv2d_parameters, conv2d_transpose_geometry

__all__ = ["FACTS", "Layer", "chain_of"]


@dataclass(frozen=True)
class Layer:
    """A layer of a chain, as far as sizes and parameters go.

    Args:
        name: as in Keras.
        kernel: side of the window in pixels.
        stride: in pixels.
        filters: channels of its output, None if it keeps those of its input.
        padding: `"valid"` or `"same"`.
    """

    name: str
    kernel: int = 1
    stride: int = 1
    filters: int | None = None
    padding: str = "valid"

    def after(self, shape: list[int]) -> tuple[list[int], str]:
        """Return the shape that this layer makes of one, and its arithmetic."""
        if self.name.startswith("GlobalMaxPooling"):
            return shape[2:], "the maximum of each channel"
        n, s = shape[0], self.stride
        filters = shape[2] if self.filters is None else self.filters
        if self.name == "UpSampling2D":
            return [n * s, shape[1] * s, filters], f"{n}*{s} = {n * s}"
        if self.name == "Conv2DTranspose":
            t = conv2d_transpose_geometry(shape[:2], self.kernel, s, self.padding)
            same = f"{n}*{s} = {t.in_height}"
            valid = f"({n} - 1)*{s} + {self.kernel} = {t.in_height}"
            told = same if self.padding == "same" else valid
            return [t.in_height, t.in_width, filters], told
        g = conv2d_geometry(shape[:2], self.kernel, s, self.padding)
        same = f"ceil({n} / {s}) = {g.out_height}"
        valid = f"floor(({n} - {self.kernel}) / {s}) + 1 = {g.out_height}"
        return [g.out_height, g.out_width, filters], same if self.padding == "same" else valid

    def parameters(self, channels: int) -> int:
        """Return how many parameters the layer has, from so many channels."""
        if not self.name.startswith("Conv") or self.filters is None:
            return 0
        return conv2d_parameters(self.kernel, channels, self.filters)


ENCODER = (
    Layer("Conv2D", 3, 2, 32, "same"),
    Layer("Conv2D", 3, 2, 64, "same"),
    Layer("Conv2D", 7, 1, 2),
)
DECODER = (
    Layer("Conv2DTranspose", 7, 1, 64),
    Layer("Conv2DTranspose", 3, 2, 32, "same"),
    Layer("Conv2DTranspose", 7, 2, 1, "same"),
)
FUNCTIONAL = (
    Layer("Conv2D", 3, 1, 16),
    Layer("Conv2D", 3, 1, 32),
    Layer("MaxPooling2D", 3, 3),
    Layer("Conv2D", 3, 1, 32),
    Layer("Conv2D", 3, 1, 16),
    Layer("GlobalMaxPooling2D"),
)
SEGMENTER = (
    Layer("Conv2D", 3, 1, 4, "same"),
    Layer("MaxPooling2D", 2, 2),
    Layer("UpSampling2D", 1, 2),
    Layer("Conv2D", 1, 1, 5),
)


def chain_of(shape: list[int], layers: tuple[Layer, ...]) -> tuple[list[list[int]], Table]:
    """Return the shapes before and after each layer, and the table of how they come about.

    >>> chain_of([28, 28, 1], ENCODER)[0]
    [[28, 28, 1], [14, 14, 32], [7, 7, 64], [1, 1, 2]]
    """
    shapes, rows = [shape], []
    for layer in layers:
        after, told = layer.after(shapes[-1])
        window = f"{layer.kernel} / {layer.stride}, {layer.padding}"
        plain = layer.name.startswith(("Global", "Up"))
        count = layer.parameters(shapes[-1][2])
        rows.append(
            [
                layer.name,
                "" if plain else window,
                told,
                _shape(after),
                f"{count:,}" if count else "",
            ]
        )
        shapes.append(after)
    head = ("layer", "kernel / stride, padding", "size", "shape", "parameters")
    return shapes, Table(f"From {_shape(shape)}", rows, head)


def _shape(shape: Any) -> str:
    return " x ".join(map(str, shape)) if len(shape) else "a single number"


def _parameters(shape: list[int], layers: tuple[Layer, ...]) -> int:
    shapes, _ = chain_of(shape, layers)
    return sum(layer.parameters(s[-1]) for layer, s in zip(layers, shapes, strict=False))


def _chain(e: Example, title: str, layers: tuple[Layer, ...]) -> Worked:
    worked = Worked(e, title)
    shapes, table = chain_of(e["expected"][0], layers)
    worked.tables.append(table)
    worked.compare("Computed anew.", shapes, e["expected"])
    return worked


def _encoder(e: Example) -> Worked:
    return _chain(e, "The encoder of the digits", ENCODER)


def _decoder(e: Example) -> Worked:
    return _chain(e, "The decoder of the digits", DECODER)


def _functional(e: Example) -> Worked:
    return _chain(e, "The functional network of LAB2", FUNCTIONAL)


def _upsampling(e: Example) -> Worked:
    worked = Worked(e, "Upsampling in a fully convolutional network")
    layers = tuple(Layer("Conv2DTranspose", 2 * s, s, padding="same") for s in (2, 2, 8))
    shapes, table = chain_of([e["expected"][0]] * 2 + [1], layers)
    worked.tables.append(table)
    worked.compare("Computed anew.", [s[0] for s in shapes], e["expected"])
    return worked


def _segmentation(e: Example) -> Worked:
    worked = Worked(e, "A segmentation has the size of its image")
    shapes, table = chain_of([*e["expected"], 24], SEGMENTER)
    worked.tables.append(table)
    last = shapes[-1][:2]
    worked.compare(f"Computed anew: {_shape(last)} comes out again.", last, e["expected"])
    return worked


def _autoencoder_parameters(e: Example) -> Worked:
    worked = Worked(e, "Parameters of the autoencoder of the digits")
    halves = []
    for shape, layers in (([28, 28, 1], ENCODER), ([1, 1, 2], DECODER)):
        worked.tables.append(chain_of(shape, layers)[1])
        halves.append(_parameters(shape, layers))
    encoder, decoder = halves
    told = f"Encoder {encoder:,}, decoder {decoder:,}, together {encoder + decoder:,}."
    worked.compare(told, [encoder, decoder, encoder + decoder], e["expected"])
    return worked


def _classifier_parameters(e: Example) -> Worked:
    worked = Worked(e, "Parameters of the Sequential of LAB2")
    shapes, _ = chain_of([28, 28, 1], (Layer("Conv2D", 3, 1, 32), Layer("MaxPooling2D", 2, 2)))
    flat = math.prod(shapes[-1])
    first = conv2d_parameters(3, 1, 32)
    rows = [
        ["Conv2D(32, 3)", "3*3*1*32 + 32", f"{first:,}"],
        ["MaxPooling2D(2)", f"{_shape(shapes[-1])}", ""],
        ["Flatten", f"{_shape(shapes[-1])} = {flat:,}", ""],
        ["Dense(64)", f"{flat:,}*64 + 64", f"{flat * 64 + 64:,}"],
        ["BatchNormalization", "4*64", f"{4 * 64:,}"],
        ["Dense(10)", "64*10 + 10", f"{64 * 10 + 10:,}"],
    ]
    worked.tables.append(Table("Layers", rows, ("layer", "arithmetic", "parameters")))
    total = first + flat * 64 + 64 + 4 * 64 + 64 * 10 + 10
    worked.compare(f"Together {total:,}.", total, e["expected"])
    return worked


def _values_of_a_pixel(e: Example) -> Worked:
    worked = Worked(e, "Values that one pixel generates")
    g = conv2d_transpose_geometry((1, 1), 3)
    found = g.in_height * g.in_width
    worked.compare(f"A kernel of 3 x 3 lays {found} values for each pixel.", found, e["expected"])
    return worked


def _flattened(e: Example) -> Worked:
    worked = Worked(e, "An image as one column")
    found = math.prod(e["input_shape"])
    worked.compare(f"{_shape(e['input_shape'])} = {found:,} numbers.", found, e["expected"])
    return worked


def _convolution_parameters(e: Example) -> Worked:
    worked = Worked(e, "Parameters of 5 x 5 x 3 filters")
    found = [conv2d_parameters(5, 3, filters) for filters in (1, 6)]
    told = f"(5*5*3 + 1)*1 = {found[0]}, (5*5*3 + 1)*6 = {found[1]}."
    worked.compare(told, found, e["expected"])
    return worked


def _tensor_shapes(e: Example) -> Worked:
    worked = Worked(e, "Shapes of tensors")
    tensors = {
        "4": np.array(4),
        "[1, 2, 3]": np.array([1, 2, 3]),
        "[[1, 2], [3, 4], [5, 6]]": np.array([[1, 2], [3, 4], [5, 6]]),
        "0 to 29": np.arange(30).reshape(3, 2, 5),
    }
    rows = [[name, str(list(t.shape))] for name, t in tensors.items()]
    worked.tables.append(Table("Tensors", rows, ("tensor", "shape")))
    found = [list(t.shape) for t in tensors.values()]
    worked.compare("Computed anew.", found, e["expected"])
    return worked


def _batch_shape(e: Example) -> Worked:
    worked = Worked(e, "A batch of images")
    image = np.zeros((100, 100, 3), np.int8)
    batch = np.stack([image] * 4)
    told = f"4 images of {_shape(image.shape)}: {_shape(batch.shape)}."
    worked.compare(told, list(batch.shape[1:]), e["expected"])
    return worked


def _predict_steps(e: Example) -> Worked:
    worked = Worked(e, "Steps of a prediction")
    found = [math.ceil(samples / 32) for samples in (500, 1)]
    told = f"Batches of 32: ceil(500 / 32) = {found[0]}, ceil(1 / 32) = {found[1]}."
    worked.compare(told, found, e["expected"])
    return worked


def _training_log(e: Example) -> Worked:
    worked = Worked(e, "The log of the training")
    rows = [[str(epoch), f"{loss:.4f}"] for epoch, loss in enumerate(e["loss"], 1)]
    worked.tables.append(Table("Losses", rows, ("epoch", "mean squared error")))
    steps = math.ceil(e["samples_derived"] / e["batch_size"])
    told = f"ceil({e['samples_derived']:,} / {e['batch_size']}) = {steps} steps an epoch."
    worked.compare(told, steps, e["steps"])
    encoder = slide_example("cae_params")["expected"]
    worked.tell(
        f"The network has {encoder[2]:,} parameters. Training starts from random numbers, so only "
        f"the level and the fall of the losses can be compared; a test of minicnn does."
    )
    return worked


#: How examples of mixed kinds are worked out, by their ids.
FACTS: dict[str, Work] = {
    "cae_encoder_shapes": _encoder,
    "cae_decoder_shapes": _decoder,
    "lab2_functional_shapes": _functional,
    "fcn_upsampling": _upsampling,
    "segmentation_io": _segmentation,
    "cae_params": _autoencoder_parameters,
    "lab2_sequential_params": _classifier_parameters,
    "convT_values_per_pixel": _values_of_a_pixel,
    "flatten_32x32x3": _flattened,
    "conv_32_f5_params": _convolution_parameters,
    "tensor_shapes": _tensor_shapes,
    "batch_shape": _batch_shape,
    "predict_steps": _predict_steps,
    "cae_fit_log": _training_log,
}
