"""Every worked number of the course slides, on every backend.

The numbers are in `minicnn/explain/course/slide_examples.json`, each with its source. `printed`
tells whether a number stands on a slide or was derived from what stands there.
"""

import gzip
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn as mc
from minicnn import config, geometry, layers
from minicnn.errors import ShapeError
from minicnn.explain.course.worked import slide_examples
from minicnn.geometry import conv2d_geometry, conv2d_transpose_geometry
from tests.helpers import BACKENDS, ROOT

EXAMPLES = slide_examples()

Example = dict[str, Any]
CHECKS: dict[str, Callable[[Example], None]] = {}


def check(*names: str) -> Callable[[Callable[[Example], None]], Callable[[Example], None]]:
    """Enter a function as the test of these kinds, or of single examples of mixed kinds."""

    def enter(function: Callable[[Example], None]) -> Callable[[Example], None]:
        for name in names:
            assert name not in CHECKS
            CHECKS[name] = function
        return function

    return enter


def handler(example: Example) -> Callable[[Example], None]:
    return CHECKS.get(example["id"]) or CHECKS[example["kind"]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e["id"])
def test_slide(example: Example, backend: str) -> None:
    with config.use_backend(backend):
        handler(example)(example)


def test_no_example_is_left_out_and_no_check_is_idle() -> None:
    used = {handler(e) for e in EXAMPLES}
    assert used == set(CHECKS.values())
    assert len(EXAMPLES) == 48


def image_of(matrix: Any) -> np.ndarray:
    """Return a matrix as a batch of one image with one channel."""
    return np.asarray(matrix, np.float64)[None, :, :, None]


def kernel_of(matrix: Any) -> np.ndarray:
    """Return a matrix as a kernel from one channel to one."""
    return np.asarray(matrix, np.float64)[:, :, None, None]


@check("conv2d")
def convolution(e: Example) -> None:
    bias = [float(e["bias"])]
    y = mc.conv2d(
        image_of(e["input"]), kernel_of(e["kernel"]), np.array(bias), e["strides"], e["padding"]
    )
    assert y.numpy()[0, :, :, 0].tolist() == e["expected"]
    same = mc.cross_correlate2d(e["input"], e["kernel"], e["padding"])
    assert same.tolist() == e["expected"]


@check("conv2d_multi")
def two_filters(e: Example) -> None:
    kernel, bias = np.array(e["kernel_hwio"], float), np.array(e["bias"], float)
    padded = np.array([e["input_padded"]], float)
    bare = np.array([e["input"]], float)
    for x, padding in ((padded, "valid"), (bare, 1), (bare, "same")):
        y = mc.conv2d(x, kernel, bias, e["strides"], padding)
        assert y.numpy()[0].tolist() == e["expected"]
    window = padded[0, :3, :3]  # (3,3,C)
    partial = np.einsum("hwc,hwcf->fc", window, kernel)
    assert partial.tolist() == e["partial_sums_at_0_0"]


@check("conv2d_transpose")
def transposed(e: Example) -> None:
    y = mc.conv2d_transpose(
        image_of(e["input"]), kernel_of(e["kernel"]), None, e["strides"], e["padding"]
    )
    assert (y.numpy()[0, :, :, 0] + e["bias"]).tolist() == e["expected"]


@check("conv2d_transpose_terms")
def summands(e: Example) -> None:
    source = next(x for x in EXAMPLES if x["id"] == "convT_2x2_k2")
    image = np.array(source["input"])
    total = np.zeros(np.shape(e["expected"]))
    for place, expected in zip(np.ndindex(*image.shape), e["terms"], strict=True):
        single = np.zeros_like(image)
        single[place] = image[place]
        term = mc.conv2d_transpose(image_of(single), kernel_of(source["kernel"]))
        assert term.numpy()[0, :, :, 0].tolist() == expected
        total += term.numpy()[0, :, :, 0]
    assert total.tolist() == e["expected"]


@check("true_convolution")
def true_convolution(e: Example) -> None:
    assert mc.convolve2d(e["input"], e["kernel"], e["padding"]).tolist() == e["expected"]


@check("operands")
def operands(e: Example) -> None:
    # The slide's result is lost; the printed operands are those of the three derived examples.
    derived = [x for x in EXAMPLES if x["id"].startswith("sobel_") and "expected" in x]
    assert len(derived) == 3
    for example in derived:
        assert (example["input"], example["kernel"]) == (e["input"], e["kernel"])


@check("property")
def turned_kernel(e: Example) -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.integers(-9, 9, (5, 8)), rng.integers(-9, 9, (3, 2))
    for mode in ("full", "valid"):
        turned = mc.cross_correlate2d(image, np.rot90(kernel, 2), mode)
        assert mc.convolve2d(image, kernel, mode).tolist() == turned.tolist()


@check("upsample")
def copied_pixels(e: Example) -> None:
    y = mc.upsample2d(image_of(e["input"]), e["k"])
    assert y.numpy()[0, :, :, 0].tolist() == e["expected"]


@check("pool")
def pooled(e: Example) -> None:
    assert e["op"] == "max"
    y = mc.max_pool2d(image_of(e["input"]), e["k"], e["s"])
    assert y.numpy()[0, :, :, 0].tolist() == e["expected"]


@check("shape", "shape_padded")
def sizes(e: Example) -> None:
    def geometry_of(strict: bool) -> geometry.Geometry:
        padding = e.get("padding", e.get("p"))
        return conv2d_geometry((e["n"], e["n"]), e["f"], e["s"], padding, strict=strict)

    if e["expected"] is None:  # "does not fit" on the slide
        with pytest.raises(ShapeError, match=f"{e['expected_formula']:.2f} is not a whole number"):
            geometry_of(strict=True)
        assert geometry_of(strict=False).out_height == math.floor(e["expected_formula"])
    else:
        g = geometry_of(strict="expected_formula" in e)
        assert (g.out_height, g.out_width) == (e["expected"],) * 2


@check("size_table")
def size_table(e: Example) -> None:
    for row in e["rows"]:
        arguments = ((row["N"],) * 2, row["F"], row["S"], row["P"])
        assert conv2d_geometry(*arguments).out_width == row["O"]
        if row["exact"]:
            assert conv2d_geometry(*arguments, strict=True).out_width == row["O"]
        else:
            with pytest.raises(ShapeError):
                conv2d_geometry(*arguments, strict=True)


@check("shape_transpose")
def transposed_size(e: Example) -> None:
    g = conv2d_transpose_geometry((e["n"], e["n"]), e["f"], e["s"], e["padding"])
    assert (g.in_height, g.in_width) == (e["expected"],) * 2


@check("shape_roundtrip")
def there_and_back(e: Example) -> None:
    start, middle, end = e["shapes"]
    x, kernel = np.ones((1, *start, 1)), np.ones((2, 2, 1, 1))
    y = mc.conv2d(x, kernel)
    assert y.shape[1:3] == tuple(middle)
    assert mc.conv2d_transpose(y, kernel).shape[1:3] == tuple(end)


@check("volume")
def volume(e: Example) -> None:
    layer = layers.Conv2D(e["filters"], e["f"], e["s"], padding=e["p"])
    assert layer(np.ones((1, *e["input_shape"]))).shape[1:] == tuple(e["expected"])


@check("receptive_field")
def receptive_field(e: Example) -> None:
    assert geometry.receptive_field(e["layers"]) == e["expected"]


def course_autoencoder() -> tuple[mc.Sequential, mc.Sequential]:
    """Return encoder and decoder of the course's convolutional autoencoder for digits."""
    encoder = mc.Sequential(
        [
            layers.Conv2D(
                32, (3, 3), (2, 2), padding="SAME", activation="relu", input_shape=(28, 28, 1)
            ),
            layers.Conv2D(64, (3, 3), (2, 2), padding="SAME", activation="relu"),
            layers.Conv2D(2, (7, 7), padding="VALID"),
        ]
    )
    decoder = mc.Sequential(
        [
            layers.Conv2DTranspose(
                64, (7, 7), padding="VALID", activation="relu", input_shape=(1, 1, 2)
            ),
            layers.Conv2DTranspose(32, (3, 3), (2, 2), padding="SAME", activation="relu"),
            layers.Conv2DTranspose(1, (7, 7), (2, 2), padding="SAME"),
        ]
    )
    return encoder, decoder


def shapes_through(model: mc.Sequential) -> list[list[int]]:
    """Return the shape of a sample before and after each layer."""
    return [list(model.input_shape[1:]), *(list(x.output.shape[1:]) for x in model.layers)]


@check("cae_encoder_shapes")
def encoder_shapes(e: Example) -> None:
    assert shapes_through(course_autoencoder()[0]) == e["expected"]


@check("cae_decoder_shapes")
def decoder_shapes(e: Example) -> None:
    assert shapes_through(course_autoencoder()[1]) == e["expected"]


@check("cae_params")
def autoencoder_parameters(e: Example) -> None:
    encoder, decoder = course_autoencoder()
    whole = mc.Model(encoder.input, decoder(encoder.output))
    assert [m.count_params() for m in (encoder, decoder, whole)] == e["expected"]


@check("lab2_sequential_params")
def classifier_parameters(e: Example) -> None:
    model = mc.Sequential(
        [
            layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    assert model.layers[3].count_params() == 346_176  # as the example's note says
    assert model.count_params() == e["expected"]


@check("lab2_functional_shapes")
def functional_shapes(e: Example) -> None:
    model = mc.Sequential([layers.Input(tuple(e["expected"][0]))])
    for layer in (
        layers.Conv2D(16, 3),
        layers.Conv2D(32, 3),
        layers.MaxPooling2D(3),
        layers.Conv2D(32, 3),
        layers.Conv2D(16, 3),
        layers.GlobalMaxPooling2D(),
    ):
        model.add(layer)
    assert shapes_through(model) == e["expected"]


@check("fcn_upsampling")
def fcn_sizes(e: Example) -> None:
    x = layers.Input((e["expected"][0],) * 2 + (4,))
    found = [x.shape[1]]
    for stride in (2, 2, 8):
        x = layers.Conv2DTranspose(4, 2 * stride, stride, padding="SAME")(x)
        found.append(x.shape[2])
    assert found == e["expected"]


@check("segmentation_io")
def segmentation(e: Example) -> None:
    image = layers.Input((*e["expected"], 24))
    x = layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same")(image))
    x = layers.Conv2D(5, 1)(layers.UpSampling2D()(x))
    assert list(x.shape[1:3]) == e["expected"]


@check("convT_values_per_pixel")
def values_of_one_pixel(e: Example) -> None:
    y = mc.conv2d_transpose(np.ones((1, 1, 1, 1)), np.ones((3, 3, 1, 1)), strides=2)
    assert np.count_nonzero(y.numpy()) == e["expected"]


@check("flatten_32x32x3")
def flattened(e: Example) -> None:
    assert layers.Flatten()(np.ones((1, *e["input_shape"]))).shape == (1, e["expected"])


@check("conv_32_f5_params")
def convolution_parameters(e: Example) -> None:
    found = []
    for filters in (1, 6):
        layer = layers.Conv2D(filters, 5, input_shape=(32, 32, 3))
        layer.build((None, 32, 32, 3))
        assert layer.count_params() == geometry.conv2d_parameters(5, 3, filters)
        found.append(layer.count_params())
    assert found == e["expected"]


@check("tensor_shapes")
def tensor_shapes(e: Example) -> None:
    tensors = [
        mc.constant(4),
        mc.constant([1, 2, 3]),
        mc.constant([[1, 2], [3, 4], [5, 6]]),
        mc.constant(np.arange(30).reshape(3, 2, 5)),
    ]
    assert [list(t.shape) for t in tensors] == e["expected"]


@check("batch_shape")
def batch_shape(e: Example) -> None:
    images = [np.zeros(e["expected"])] * 4
    assert mc.ops.stack(images).shape == (4, *e["expected"])


@check("predict_steps")
def predict_steps(e: Example) -> None:
    encoder, _ = course_autoencoder()
    seen = []
    encoder.predict_step = lambda data: seen.append(len(data[0])) or np.zeros((len(data[0]), 2))
    found = []
    for samples in (500, 1):
        seen.clear()
        encoder.predict(np.zeros((samples, 28, 28, 1), np.float32), verbose=0)
        assert sum(seen) == samples
        found.append(len(seen))
    assert found == e["expected"]


@check("training_log")
def training_log(e: Example) -> None:
    # The figures themselves are `test_training_follows_the_courses_log`, which takes a minute.
    assert e["steps"] == math.ceil(e["samples_derived"] / e["batch_size"])
    assert e["loss"] == sorted(e["loss"], reverse=True)


@pytest.mark.slow
def test_training_follows_the_courses_log() -> None:
    folder = Path(os.environ.get("MINICNN_DATA", ROOT.parent / "shared" / "data")) / "mnist"
    if not folder.exists():
        pytest.skip(f"there is no folder {folder}; set MINICNN_DATA to test on real digits")
    log = next(e for e in EXAMPLES if e["kind"] == "training_log")
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    digits = images[np.isin(labels, [1, 5, 6])].astype(np.float32) / 255
    assert len(digits) == log["samples_derived"]
    config.set_random_seed(0)
    encoder, decoder = course_autoencoder()
    model = mc.Model(encoder.input, decoder(encoder.output))
    model.compile("adam", "mse")
    history = model.fit(digits, digits, epochs=2, verbose=0).history["loss"]
    # Another start than the notebook's: only the level of the first epochs can be compared.
    np.testing.assert_allclose(history, log["loss"][:2], rtol=0.15)
