"""Every layer against values of Keras 3, and the three ways in which a layer tells its shape."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import GradientTape, Input, config, convert_to_tensor, layers
from minicnn.layers import Layer

ORACLES = Path(__file__).parents[1] / "oracles"
CASES = json.loads((ORACLES / "keras_layers.json").read_text())["cases"]


@pytest.fixture(scope="module")
def arrays():
    with np.load(ORACLES / "keras_layers.npz") as file:
        return {name: np.asarray(file[name], np.float64) for name in file.files}


@pytest.fixture(autouse=True)
def float64():
    with config.use_floatx("float64"):
        yield


def listed(arrays, case, letter):
    """Return the case's arrays <letter>0, <letter>1, ..."""
    found = []
    while (key := f"{case['id']}/{letter}{len(found)}") in arrays:
        found.append(arrays[key])
    return found


def make(case):
    return getattr(layers, case["layer"])(**case["config"])


def one_or_list(items):
    return items if len(items) > 1 else items[0]


def is_close(actual, desired, what):
    np.testing.assert_allclose(actual, desired, rtol=1e-6, atol=1e-7, err_msg=what)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_values_and_gradients_are_those_of_keras(case, arrays):
    inputs = [convert_to_tensor(x) for x in listed(arrays, case, "x")]
    layer = make(case)
    layer(one_or_list(inputs))
    assert [w.name for w in layer.weights] == case["weights"]
    layer.set_weights(listed(arrays, case, "w"))

    with GradientTape() as tape:
        tape.watch(inputs)
        y = layer(one_or_list(inputs), training=case["training"])
    is_close(y.numpy(), arrays[f"{case['id']}/y"], "output")

    trained = layer.trainable_weights
    found = tape.gradient(y, [*inputs, *trained], convert_to_tensor(arrays[f"{case['id']}/dy"]))
    wanted = [*listed(arrays, case, "dx"), *listed(arrays, case, "dw")]
    names = [*(f"gradient to input {i}" for i in range(len(inputs))), *(w.name for w in trained)]
    for name, gradient, value in zip(names, found, wanted, strict=True):
        is_close(gradient.numpy(), value, name)

    after = listed(arrays, case, "new_w") or listed(arrays, case, "w")
    for weight, value in zip(layer.weights, after, strict=True):
        is_close(weight.numpy(), value, f"{weight.name} after the call")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_shapes_are_those_of_keras(case, arrays):
    shapes = [x.shape for x in listed(arrays, case, "x")]
    expected = arrays[f"{case['id']}/y"].shape
    assert make(case).compute_output_shape(one_or_list(shapes)) == expected
    symbols = [Input(shape[1:]) for shape in shapes]
    assert make(case)(one_or_list(symbols)).shape == (None, *expected[1:])


# ---------------------------------------------------------------------------------------------
# Legal arguments of every layer, drawn at random, with the shapes of its inputs.

small = st.integers(1, 3)
pairs = st.tuples(small, small)
paddings = st.sampled_from(["valid", "same", "SAME"])


def images(draw, least=(1, 1)):
    """Return a shape (N,H,W,C) whose height and width have at least these sizes."""
    batch, more_rows, more_columns, channels = draw(st.tuples(*[st.integers(1, 4)] * 4))
    return batch, least[0] - 1 + more_rows, least[1] - 1 + more_columns, channels


def span(kernel, dilation):
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def steps(draw):
    """Return strides and dilation; Keras allows only one of them above 1."""
    strides = draw(pairs)
    return strides, (1, 1) if max(strides) > 1 else draw(pairs)


def conv2d(draw):
    kernel, (strides, dilation), groups = draw(pairs), steps(draw), draw(small)
    batch, height, width, channels = images(draw, span(kernel, dilation))
    layer = layers.Conv2D(
        draw(small) * groups, kernel, strides, draw(paddings), None, dilation, groups
    )
    return layer, (batch, height, width, channels * groups)


def conv2d_transpose(draw):
    kernel, (strides, dilation) = draw(pairs), steps(draw)
    extra = tuple(draw(st.integers(0, s - 1)) for s in strides)
    layer = layers.Conv2DTranspose(
        draw(small),
        kernel,
        strides,
        draw(paddings),
        draw(st.sampled_from([None, extra])),
        dilation_rate=dilation,
    )
    return layer, images(draw)


def pooling(cls):
    def strategy(draw):
        window = draw(pairs)
        layer = cls(window, draw(st.none() | pairs), draw(paddings))
        return layer, images(draw, window)

    return strategy


def cropping(draw):
    top, bottom, left, right = (draw(st.integers(0, 2)) for _ in range(4))
    shape = images(draw, (top + bottom + 1, left + right + 1))
    return layers.Cropping2D(((top, bottom), (left, right))), shape


def zero_padding(draw):
    sides = [tuple(draw(st.integers(0, 2)) for _ in range(2)) for _ in range(2)]
    return layers.ZeroPadding2D(tuple(sides)), images(draw)


def reshape(draw):
    batch, *sample = images(draw)
    target = draw(st.permutations(sample))
    open_axis = draw(st.integers(0, 3))
    if open_axis < 3:
        target[open_axis] = -1
    return layers.Reshape(target), (batch, *sample)


def concatenate(draw):
    shape, axis = list(images(draw)), draw(st.sampled_from([-1, 1, 2, -2]))
    shapes = []
    for _ in range(draw(st.integers(2, 3))):
        shape[axis] = draw(small)
        shapes.append(tuple(shape))
    return layers.Concatenate(axis), shapes


def merging(cls):
    def strategy(draw):
        full = images(draw)
        narrow = (full[0], *(draw(st.sampled_from([1, n])) for n in full[1:]))
        fewer = (full[0], *full[2:])
        shapes = [full, narrow] if cls is layers.Subtract else [full, narrow, fewer]
        return cls(), draw(st.permutations(shapes))

    return strategy


def dot(draw):
    a, b = images(draw), list(images(draw))
    axes = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    b[0], b[axes[1]] = a[0], a[axes[0]]
    return layers.Dot(axes, draw(st.booleans())), [a, tuple(b)]


# Sequences (N,L,C).


def sequences(draw, least=1):
    batch, more, channels = draw(st.tuples(*[st.integers(1, 4)] * 3))
    return batch, least - 1 + more, channels


def one_step(draw):
    stride = draw(small)
    return stride, 1 if stride > 1 else draw(small)


def conv1d(draw):
    kernel, (stride, dilation), groups = draw(small), one_step(draw), draw(small)
    batch, length, channels = sequences(draw, dilation * (kernel - 1) + 1)
    padding = draw(paddings | st.just("causal"))
    layer = layers.Conv1D(draw(small) * groups, kernel, stride, padding, None, dilation, groups)
    return layer, (batch, length, channels * groups)


def conv1d_transpose(draw):
    kernel, (stride, dilation) = draw(small), one_step(draw)
    extra = draw(st.none() | st.integers(0, stride - 1))
    padding = draw(paddings)
    layer = layers.Conv1DTranspose(
        draw(small), kernel, stride, padding, extra, dilation_rate=dilation
    )
    return layer, sequences(draw)


def by_channel(cls, rank, filters=False):
    def strategy(draw):
        first = [draw(small)] if filters else []
        if rank == 1:
            kernel, (strides, dilation) = draw(small), one_step(draw)
            shape = sequences(draw, dilation * (kernel - 1) + 1)
        else:
            kernel, (strides, dilation) = draw(pairs), steps(draw)
            shape = images(draw, span(kernel, dilation))
        padding, many = draw(paddings), draw(small)
        layer = cls(*first, kernel, strides, padding, depth_multiplier=many, dilation_rate=dilation)
        return layer, shape

    return strategy


def pooling1d(cls):
    def strategy(draw):
        window = draw(small)
        return cls(window, draw(st.none() | small), draw(paddings)), sequences(draw, window)

    return strategy


def cropping1d(draw):
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    return layers.Cropping1D((before, after)), sequences(draw, before + after + 1)


def plain1d(make_layer):
    return lambda draw: (make_layer(draw), sequences(draw))


def resizing(draw):
    height, width = draw(pairs)
    mode = draw(st.sampled_from([{}, {"crop_to_aspect_ratio": True}]))
    interpolation = draw(st.sampled_from(["nearest", "bilinear"]))
    return layers.Resizing(height, width, interpolation, **mode), images(draw)


def permute(draw):
    return layers.Permute(draw(st.permutations([1, 2, 3]))), images(draw)


def prelu(draw):
    return layers.PReLU(shared_axes=draw(st.sampled_from([None, [1, 2], 3]))), images(draw)


def layer_normalization(draw):
    axis = draw(st.sampled_from([-1, 1, [1, 2], [-1, 2]]))
    return layers.LayerNormalization(axis), images(draw)


def plain(make_layer):
    return lambda draw: (make_layer(draw), images(draw))


def random_crop(cls):
    return lambda draw: (cls(*draw(pairs)), images(draw))


def changed(name, *arguments):
    return plain(lambda draw: getattr(layers, name)(*arguments))


STRATEGIES = {
    "CenterCrop": random_crop(layers.CenterCrop),
    "RandomBrightness": changed("RandomBrightness", 0.2),
    "RandomContrast": changed("RandomContrast", 0.2),
    "RandomCrop": random_crop(layers.RandomCrop),
    "RandomFlip": changed("RandomFlip"),
    "RandomRotation": changed("RandomRotation", 0.2),
    "RandomTranslation": changed("RandomTranslation", 0.2, 0.3),
    "RandomZoom": changed("RandomZoom", 0.2, (0.1, 0.3)),
    "Activation": plain(lambda draw: layers.Activation(draw(st.sampled_from(["tanh", "softmax"])))),
    "ActivityRegularization": plain(lambda draw: layers.ActivityRegularization(0.1, 0.2)),
    "Add": merging(layers.Add),
    "Average": merging(layers.Average),
    "AveragePooling1D": pooling1d(layers.AveragePooling1D),
    "AveragePooling2D": pooling(layers.AveragePooling2D),
    "BatchNormalization": plain(lambda draw: layers.BatchNormalization()),
    "Concatenate": concatenate,
    "Conv1D": conv1d,
    "Conv1DTranspose": conv1d_transpose,
    "Conv2D": conv2d,
    "Conv2DTranspose": conv2d_transpose,
    "Cropping1D": cropping1d,
    "Cropping2D": cropping,
    "DepthwiseConv1D": by_channel(layers.DepthwiseConv1D, 1),
    "DepthwiseConv2D": by_channel(layers.DepthwiseConv2D, 2),
    "Dot": dot,
    "ELU": plain(lambda draw: layers.ELU(0.5)),
    "Dense": plain(lambda draw: layers.Dense(draw(small))),
    "Dropout": plain(
        lambda draw: layers.Dropout(0.5, draw(st.sampled_from([None, (None, 1, 1, None)])))
    ),
    "Flatten": plain(lambda draw: layers.Flatten()),
    "GaussianDropout": plain(lambda draw: layers.GaussianDropout(0.1)),
    "GaussianNoise": plain(lambda draw: layers.GaussianNoise(0.1)),
    "GlobalAveragePooling1D": plain1d(
        lambda draw: layers.GlobalAveragePooling1D(keepdims=draw(st.booleans()))
    ),
    "GlobalMaxPooling1D": plain1d(
        lambda draw: layers.GlobalMaxPooling1D(keepdims=draw(st.booleans()))
    ),
    "Identity": plain(lambda draw: layers.Identity()),
    "Lambda": plain(lambda draw: layers.Lambda(lambda x, by: x * by, arguments={"by": 2.0})),
    "LayerNormalization": layer_normalization,
    "LeakyReLU": plain(lambda draw: layers.LeakyReLU(0.1)),
    "MaxPooling1D": pooling1d(layers.MaxPooling1D),
    "Maximum": merging(layers.Maximum),
    "Minimum": merging(layers.Minimum),
    "Multiply": merging(layers.Multiply),
    "PReLU": prelu,
    "Permute": permute,
    "RepeatVector": lambda draw: (layers.RepeatVector(draw(small)), sequences(draw)[:2]),
    "Rescaling": plain(lambda draw: layers.Rescaling(0.5, -1.0)),
    "Resizing": resizing,
    "SeparableConv1D": by_channel(layers.SeparableConv1D, 1, filters=True),
    "SeparableConv2D": by_channel(layers.SeparableConv2D, 2, filters=True),
    "Softmax": plain(lambda draw: layers.Softmax(draw(st.sampled_from([-1, [1, 2]])))),
    "SpatialDropout1D": plain1d(lambda draw: layers.SpatialDropout1D(0.5)),
    "SpatialDropout2D": plain(lambda draw: layers.SpatialDropout2D(0.5)),
    "Subtract": merging(layers.Subtract),
    "UnitNormalization": plain(lambda draw: layers.UnitNormalization()),
    "UpSampling1D": plain1d(lambda draw: layers.UpSampling1D(draw(small))),
    "ZeroPadding1D": plain1d(lambda draw: layers.ZeroPadding1D((draw(small), 0))),
    "GlobalAveragePooling2D": plain(
        lambda draw: layers.GlobalAveragePooling2D(keepdims=draw(st.booleans()))
    ),
    "GlobalMaxPooling2D": plain(
        lambda draw: layers.GlobalMaxPooling2D(keepdims=draw(st.booleans()))
    ),
    "MaxPooling2D": pooling(layers.MaxPooling2D),
    "ReLU": plain(lambda draw: layers.ReLU(6.0, 0.1, 0.5)),
    "Reshape": reshape,
    "UpSampling2D": plain(
        lambda draw: layers.UpSampling2D(
            draw(pairs), interpolation=draw(st.sampled_from(["nearest", "bilinear"]))
        )
    ),
    "ZeroPadding2D": zero_padding,
}


def test_every_layer_has_a_strategy():
    classes = {c for c in vars(layers).values() if isinstance(c, type) and issubclass(c, Layer)}
    classes -= {layers.InputLayer, layers.Operation, Layer}
    assert {cls.__name__ for cls in classes} == set(STRATEGIES)


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_shape_foretold_drawn_up_and_computed_agree(name, data):
    layer, shape = STRATEGIES[name](data.draw)
    shapes = shape if isinstance(shape, list) else [shape]
    rng = np.random.default_rng(0)
    with config.use_backend("numpy"):
        symbol = layer(one_or_list([Input(s[1:]) for s in shapes]))
        xs = one_or_list([rng.normal(size=s) for s in shapes])
        y = layer(xs, training=data.draw(st.booleans()))
        twin = type(layer).from_config(layer.get_config())
        assert twin(xs).shape == y.shape
    assert layer.compute_output_shape(one_or_list(shapes)) == y.shape
    assert symbol.shape == (None, *y.shape[1:])
    assert math.prod(y.shape) > 0
