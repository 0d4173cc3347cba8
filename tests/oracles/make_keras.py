"""Write the stored Keras values that the tests compare against.

Run it with a Python that has Keras 3 and TensorFlow; JAX and PyTorch are used too when present:

    python tests/oracles/make_keras.py

It was run with Python 3.11.7, NumPy 2.4.6, Keras 3.15.1, TensorFlow 2.21.0 (CPU), JAX 0.10.2 and
PyTorch 2.13.0 (CPU).  It writes, beside itself, ``keras_layers.npz`` and ``.json`` and
``keras_training.npz`` and ``.json``.  Neither Keras nor a backend is needed to run the tests.

Every item is computed in float64, channels last, with every backend that is installed, each in a
process of its own.  The stored value is the one of the first backend in ``BACKENDS`` that can do
the item, but of the second where that one and the third agree and the first differs from them by
rounding alone (TensorFlow computes some operations in float32 even so).  The item's JSON entry
names the backend ("backend"), the backends with the same values to 1e-9 ("agrees"), and for the
others the largest difference (relative where values exceed one), or the name of the error they
raise ("differs").

An array is stored as float32 where that loses nothing, otherwise as float64: read them with
``np.asarray(array, dtype=np.float64)``.  The random inputs are multiples of a power of two, so
that the results of convolutions, padding and the like are exact.

keras_layers, arrays under "<id>/<name>":

    x0, x1, ...        inputs
    w0, w1, ...        weights, in the order of ``layer.get_weights()`` (names in "weights")
    y, dy              output and a cotangent of the same shape
    dx0, ..., dw0, ... gradients of sum(y * dy) by each input and by each trainable weight
    new_w0, ...        weights after the call (BatchNormalization with training=True only)

keras_training, arrays under "<kind>/<id>/<name>":

    loss       y_true, y_pred, sample_weight (where "weighted"), value (default reduction), grad (by
               y_pred)
    metric     y_true0..2, y_pred0..2, sample_weight0..2 (where "weighted"), results (after each
               batch)
    optimizer  var0, var1: the variables after every step, of shapes (20, 3, 4) and (20, 5); the
               starts and gradients are shared by all: "optimizer/start0", "optimizer/start1",
               "optimizer/grad0", "optimizer/grad1"
    fit        x, y, x_val, y_val, sample_weight (where "weighted"), w0.. (start), new_w0.. (end);
               the history is in the JSON entry

Schedules and initializers have their values in the JSON file alone.
"""

import importlib.metadata
import importlib.util
import io
import json
import math
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
BACKENDS = ("tensorflow", "jax", "torch")
PACKAGES = ("numpy", "keras", "tensorflow", "tensorflow-cpu", "jax", "torch")
TOLERANCE = 1e-9
ROUNDING = 1e-5
STEPS = 20
SCHEDULE_STEPS = (0, 1, 3, 6, 7, 8, 13, 14, 19, 20, 25, 40)


# ---------------------------------------------------------------------------------------------
# Layer cases


def layer_case(name, layer, config, *shapes, **extra):
    """Return one layer case; more than one shape means a layer that takes a list."""
    shape = list(shapes[0]) if len(shapes) == 1 else [list(s) for s in shapes]
    case = {"id": name, "layer": layer, "config": config, "input_shape": shape}
    return {**case, "training": False, **extra}


def tag(value):
    """Return a value's short form for an id: (2, 3) is 23, None is n."""
    if value is None:
        return "n"
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def conv_cases():
    sizes = {(3, 2): (7, 10), (2, 5): (5, 8), (1, 4): (5, 9)}
    for kernel, (height, width) in sizes.items():
        for strides in (1, 2, [2, 3], [3, 1]):
            for padding in ("valid", "same"):
                batch = 2 if padding == "same" and strides == [3, 1] else 1
                config = {
                    "filters": 3 if padding == "same" else 2,
                    "kernel_size": list(kernel),
                    "strides": strides,
                    "padding": padding,
                    "use_bias": padding == "same",
                }
                name = f"conv-k{tag(list(kernel))}-s{tag(strides)}-{padding}"
                yield layer_case(name, "Conv2D", config, (batch, height, width, 2))
    dilated = [
        ((3, 2), [2, 1], (7, 10)),
        ((3, 2), [2, 3], (7, 9)),
        ((2, 5), [2, 1], (5, 8)),
        ((1, 4), [2, 3], (4, 10)),
    ]
    for kernel, dilation, (height, width) in dilated:
        for padding in ("valid", "same"):
            config = {
                "filters": 2,
                "kernel_size": list(kernel),
                "dilation_rate": dilation,
                "padding": padding,
            }
            name = f"conv-k{tag(list(kernel))}-d{tag(dilation)}-{padding}"
            yield layer_case(name, "Conv2D", config, (1, height, width, 2))
    grouped = [
        (2, (3, 2), {"strides": [2, 1], "padding": "same"}, (5, 6, 4), 6),
        (2, (2, 3), {"padding": "valid", "use_bias": False}, (6, 5, 4), 2),
        (3, (1, 4), {"strides": [1, 2], "padding": "same"}, (4, 7, 3), 6),
        (3, (3, 2), {"padding": "valid", "dilation_rate": [1, 2]}, (5, 7, 6), 3),
    ]
    for groups, kernel, extra, shape, filters in grouped:
        config = {"filters": filters, "kernel_size": list(kernel), "groups": groups, **extra}
        name = f"conv-g{groups}-k{tag(list(kernel))}-{extra['padding']}"
        yield layer_case(name, "Conv2D", config, (1, *shape))
    for activation in ("relu", "sigmoid"):
        config = {
            "filters": 3,
            "kernel_size": [3, 2],
            "strides": [2, 1],
            "padding": "same",
            "activation": activation,
        }
        yield layer_case(f"conv-{activation}", "Conv2D", config, (1, 5, 4, 2))


def conv_transpose_cases():
    shape = (2, 3, 4, 2)
    plain = [
        ((3, 2), 1),
        ((3, 2), 2),
        ((2, 3), [2, 3]),
        ((1, 4), [2, 3]),
        ((2, 1), [3, 2]),
        ((4, 5), [3, 1]),
    ]
    padded = [
        ((3, 2), [2, 3], 0),
        ((1, 3), [2, 3], 0),
        ((3, 5), [2, 3], 1),
        ((2, 3), [2, 3], 1),
        ((4, 3), [2, 3], [1, 0]),
        ((2, 1), [3, 4], [1, 2]),
        ((1, 2), [2, 3], [0, 2]),
    ]
    for kernel, strides, *rest in plain + padded:
        for padding in ("valid", "same"):
            config = {
                "filters": 3,
                "kernel_size": list(kernel),
                "strides": strides,
                "padding": padding,
                "use_bias": padding == "same",
            }
            name = f"convt-k{tag(list(kernel))}-s{tag(strides)}-{padding}"
            if rest:
                config["output_padding"] = rest[0]
                name += f"-o{tag(rest[0])}"
            batch = 2 if padding == "same" and strides == [3, 1] else 1
            yield layer_case(name, "Conv2DTranspose", config, (batch, *shape[1:]))
    for kernel, dilation in (((3, 2), [2, 1]), ((2, 3), [2, 3])):
        for padding in ("valid", "same"):
            config = {
                "filters": 2,
                "kernel_size": list(kernel),
                "dilation_rate": dilation,
                "padding": padding,
            }
            name = f"convt-k{tag(list(kernel))}-d{tag(dilation)}-{padding}"
            yield layer_case(name, "Conv2DTranspose", config, (1, *shape[1:]))
    config = {"filters": 2, "kernel_size": [3, 2], "strides": [2, 1], "activation": "relu"}
    yield layer_case("convt-relu", "Conv2DTranspose", config, shape)


def pooling_cases():
    windows = [
        ((3, 2), [2, 1], (7, 5)),
        ((2, 3), None, (5, 8)),
        ((3, 4), [2, 3], (5, 9)),
        ((1, 4), [2, 3], (5, 7)),
        ((2, 1), [3, 2], (7, 4)),
    ]
    for kind, layer in (("max", "MaxPooling2D"), ("avg", "AveragePooling2D")):
        for pool, strides, size in windows:
            for padding in ("valid", "same"):
                config = {"pool_size": list(pool), "strides": strides, "padding": padding}
                name = f"{kind}pool-p{tag(list(pool))}-s{tag(strides)}-{padding}"
                # Distinct values keep the gradient of a maximum well defined.
                yield layer_case(name, layer, config, (1, *size, 2), values="distinct")
        config = {"pool_size": [3, 2], "strides": [2, 1], "padding": "same"}
        name = f"{kind}pool-negative"
        yield layer_case(name, layer, config, (2, 5, 4, 2), values="negative")
    config = {"pool_size": [3, 2], "strides": [2, 1], "padding": "same"}
    yield layer_case("maxpool-ties", "MaxPooling2D", config, (2, 5, 4, 1), values="ties")
    for kind in ("Average", "Max"):
        for keepdims in (False, True):
            layer = f"Global{kind}Pooling2D"
            name = f"global{kind.lower()}-{'keep' if keepdims else 'drop'}"
            config = {"keepdims": keepdims}
            yield layer_case(name, layer, config, (2, 5, 3, 4), values="distinct")
    yield layer_case("globalmax-ties", "GlobalMaxPooling2D", {}, (2, 5, 3, 2), values="ties")


def reshaping_cases():
    for interpolation in ("nearest", "bilinear"):
        for size in ([2, 3], [3, 2], [1, 4]):
            config = {"size": size, "interpolation": interpolation}
            name = f"up-{interpolation}-{tag(size)}"
            yield layer_case(name, "UpSampling2D", config, (2, 3, 4, 2))
    yield layer_case("flatten-4d", "Flatten", {}, (2, 3, 4, 2))
    yield layer_case("reshape-inferred", "Reshape", {"target_shape": [-1, 6]}, (2, 3, 4, 5))
    yield layer_case("reshape-given", "Reshape", {"target_shape": [4, 3, 2]}, (2, 24))
    yield layer_case("add-2", "Add", {}, (2, 3, 4, 2), (2, 3, 4, 2))
    yield layer_case("add-3", "Add", {}, (3, 5), (3, 5), (3, 5))
    yield layer_case("concat-last", "Concatenate", {"axis": -1}, (2, 3, 4, 2), (2, 3, 4, 3))
    shapes = (2, 3, 4, 2), (2, 1, 4, 2), (2, 2, 4, 2)
    yield layer_case("concat-1", "Concatenate", {"axis": 1}, *shapes)
    amounts = {"int": 1, "pair": [1, 2], "four": [[1, 0], [0, 2]]}
    for name, amount in amounts.items():
        yield layer_case(f"crop-{name}", "Cropping2D", {"cropping": amount}, (2, 5, 7, 2))
        yield layer_case(f"pad-{name}", "ZeroPadding2D", {"padding": amount}, (2, 3, 4, 2))


def dense_cases():
    yield layer_case("dense-2d", "Dense", {"units": 4}, (3, 5))
    yield layer_case("dense-3d", "Dense", {"units": 4}, (2, 3, 5))
    yield layer_case("dense-nobias", "Dense", {"units": 4, "use_bias": False}, (3, 5))
    for activation in ("relu", "tanh", "softmax"):
        config = {"units": 4, "activation": activation}
        yield layer_case(f"dense-{activation}", "Dense", config, (3, 5))


def activation_cases():
    names = (
        "relu sigmoid tanh softmax elu selu softplus softsign gelu silu leaky_relu exponential "
        "hard_sigmoid linear"
    )
    for name in names.split():
        config = {"activation": name}
        yield layer_case(f"act-{name}", "Activation", config, (3, 2, 4), values="wide")
    for name in ("relu", "elu"):
        config = {"activation": name}
        yield layer_case(f"act-{name}-zero", "Activation", config, (2, 5), values="zero")
    layers = {
        "relu": ("ReLU", {"max_value": 2.5, "negative_slope": 0.25, "threshold": 0.5}),
        "leakyrelu": ("LeakyReLU", {}),
        "elu": ("ELU", {"alpha": 0.7}),
        "softmax": ("Softmax", {"axis": 1}),
    }
    for name, (layer, config) in layers.items():
        yield layer_case(f"layer-{name}", layer, config, (3, 2, 4), values="wide")


def batch_normalization_cases():
    configs = {
        "default": {},
        "noscale": {"scale": False, "epsilon": 0.01},
        "nocenter": {"center": False, "momentum": 0.9},
        "plain": {"scale": False, "center": False, "momentum": 0.75},
    }
    for name, config in configs.items():
        for training in (False, True) if name in ("default", "plain") else (True,):
            case = f"bn-{name}-{'train' if training else 'infer'}"
            yield layer_case(case, "BatchNormalization", config, (2, 3, 2, 3), training=training)
    for training in (False, True):
        case = f"bn-2d-{'train' if training else 'infer'}"
        yield layer_case(case, "BatchNormalization", {}, (6, 4), training=training)


def layer_cases():
    groups = (
        conv_cases,
        conv_transpose_cases,
        pooling_cases,
        reshaping_cases,
        dense_cases,
        activation_cases,
        batch_normalization_cases,
    )
    return [{"kind": "layer", **case} for group in groups for case in group()]


# ---------------------------------------------------------------------------------------------
# Training cases


def loss_cases():
    def case(name, loss, config, shape, values, **extra):
        item = {"kind": "loss", "id": name, "class": loss, "config": config, "shape": list(shape)}
        return {**item, "values": values, "weighted": False, **extra}

    for short, loss in (("mse", "MeanSquaredError"), ("mae", "MeanAbsoluteError")):
        yield case(f"{short}", loss, {}, (4, 3), "real")
        yield case(f"{short}-weighted", loss, {}, (4, 3), "real", weighted=True)
        yield case(f"{short}-4d", loss, {}, (2, 3, 2, 2), "real")
        for place, shape in (("sample", [2, 1, 1]), ("place", [2, 3, 2])):
            extra = {"weighted": True, "weight_shape": shape}
            yield case(f"{short}-4d-per-{place}", loss, {}, (2, 3, 2, 2), "real", **extra)
        yield case(f"{short}-column", loss, {}, (5, 1), "real", y_true_shape=[5])
    smooth = {"label_smoothing": 0.1}
    logits = {"from_logits": True}
    families = [
        ("bce", "BinaryCrossentropy", "binary", "binary-edge", True),
        ("cce", "CategoricalCrossentropy", "categorical", "categorical-edge", True),
        ("scce", "SparseCategoricalCrossentropy", "sparse", "sparse-edge", False),
    ]
    for short, loss, values, edge, smoothing in families:
        yield case(f"{short}", loss, {}, (4, 3), values)
        yield case(f"{short}-weighted", loss, {}, (4, 3), values, weighted=True)
        yield case(f"{short}-3d", loss, {}, (2, 3, 4), values)
        yield case(f"{short}-edge", loss, {}, (6, 4), edge)
        yield case(f"{short}-logits", loss, logits, (4, 3), values)
        yield case(f"{short}-logits-weighted", loss, logits, (4, 3), values, weighted=True)
        if smoothing:
            yield case(f"{short}-smooth", loss, smooth, (4, 3), values)
            yield case(f"{short}-logits-smooth", loss, {**logits, **smooth}, (4, 3), values)
    yield case("bce-column", "BinaryCrossentropy", {}, (5, 1), "binary", y_true_shape=[5])
    extra = {"weighted": True, "weight_shape": [2, 3]}
    yield case("cce-3d-per-place", "CategoricalCrossentropy", {}, (2, 3, 4), "categorical", **extra)
    yield case("cce-unnormalised", "CategoricalCrossentropy", {}, (4, 3), "categorical-raw")
    sparse = "SparseCategoricalCrossentropy"
    yield case("scce-column", sparse, {}, (4, 3), "sparse", y_true_shape=[4, 1])
    yield case("scce-unnormalised", sparse, {}, (4, 3), "sparse-raw")
    yield case("kl", "KLDivergence", {}, (4, 3), "distribution")
    yield case("kl-weighted", "KLDivergence", {}, (4, 3), "distribution", weighted=True)
    yield case("kl-edge", "KLDivergence", {}, (6, 4), "categorical-edge")


def metric_cases():
    def case(name, metric, shape, values, config=None, **extra):
        item = {"kind": "metric", "id": name, "class": metric, "config": config or {}}
        item = {**item, "shape": list(shape), "values": values, "weighted": False}
        return {**item, **extra}

    table = [
        ("accuracy", "Accuracy", (1,), "integer"),
        ("accuracy-flat", "Accuracy", (), "integer"),
        ("accuracy-2d", "Accuracy", (3,), "integer"),
        ("binary", "BinaryAccuracy", (1,), "probability"),
        ("binary-2d", "BinaryAccuracy", (3,), "probability"),
        ("categorical", "CategoricalAccuracy", (3,), "onehot"),
        ("categorical-3d", "CategoricalAccuracy", (2, 3), "onehot"),
        ("sparse", "SparseCategoricalAccuracy", (3,), "label"),
        ("sparse-3d", "SparseCategoricalAccuracy", (2, 3), "label"),
        ("mse", "MeanSquaredError", (3,), "real"),
        ("mae", "MeanAbsoluteError", (3,), "real"),
        ("mse-4d", "MeanSquaredError", (2, 3, 2), "real"),
    ]
    for name, metric, shape, values in table:
        yield case(name, metric, shape, values)
        yield case(f"{name}-weighted", metric, shape, values, weighted=True)
    yield case("binary-threshold", "BinaryAccuracy", (3,), "probability", {"threshold": 0.25})
    sparse = "SparseCategoricalAccuracy"
    yield case("sparse-column", sparse, (3,), "label", column=True)


def optimizer_cases():
    table = {
        "sgd": ("SGD", {"learning_rate": 0.1}),
        "sgd-default": ("SGD", {}),
        "sgd-momentum": ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
        "sgd-nesterov": ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
        "sgd-decay": ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
        "sgd-clipnorm": ("SGD", {"learning_rate": 0.1, "clipnorm": 2.0}),
        "sgd-global-clipnorm": ("SGD", {"learning_rate": 0.1, "global_clipnorm": 3.0}),
        "sgd-clipvalue": ("SGD", {"learning_rate": 0.1, "clipvalue": 0.5}),
        "adam": ("Adam", {}),
        "adam-custom": (
            "Adam",
            {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.001},
        ),
        "adam-amsgrad": ("Adam", {"learning_rate": 0.01, "beta_2": 0.9, "amsgrad": True}),
        "adam-decay": ("Adam", {"learning_rate": 0.01, "weight_decay": 0.1}),
        "adam-clipnorm": ("Adam", {"learning_rate": 0.01, "clipnorm": 2.0}),
        "sgd-exponential": (
            "SGD",
            {
                "learning_rate": {
                    "class": "ExponentialDecay",
                    "config": {
                        "initial_learning_rate": 0.1,
                        "decay_steps": 4,
                        "decay_rate": 0.5,
                        "staircase": True,
                    },
                }
            },
        ),
        "adam-cosine": (
            "Adam",
            {
                "learning_rate": {
                    "class": "CosineDecay",
                    "config": {"initial_learning_rate": 0.01, "decay_steps": 15, "alpha": 0.1},
                }
            },
        ),
    }
    for name, (optimizer, config) in table.items():
        yield {"kind": "optimizer", "id": name, "class": optimizer, "config": config}


def schedule_cases():
    start = {"initial_learning_rate": 0.1}
    exponential = {**start, "decay_steps": 7, "decay_rate": 0.9}
    cosine = {**start, "decay_steps": 20}
    warmup = {"initial_learning_rate": 0.02, "decay_steps": 20, "alpha": 0.1}
    warmup = {**warmup, "warmup_target": 0.2, "warmup_steps": 7}
    table = {
        "exponential": ("ExponentialDecay", exponential),
        "exponential-staircase": ("ExponentialDecay", {**exponential, "staircase": True}),
        "cosine": ("CosineDecay", cosine),
        "cosine-alpha": ("CosineDecay", {**cosine, "alpha": 0.25}),
        "cosine-warmup": ("CosineDecay", warmup),
    }
    for name, (schedule, config) in table.items():
        yield {"kind": "schedule", "id": name, "class": schedule, "config": config}


def initializer_cases():
    for family in ("glorot", "he", "lecun"):
        for distribution in ("uniform", "normal"):
            for shape in ([3, 2, 4, 7], [5, 6]):
                name = f"{family}_{distribution}"
                yield {"kind": "initializer", "id": f"{name}-{len(shape)}d", "class": name} | {
                    "shape": shape
                }


def fit_cases():
    table = {
        "regression": ("MeanSquaredError", "linear", False, {}),
        "weighted": ("MeanSquaredError", "linear", True, {}),
        "binary": ("BinaryCrossentropy", "sigmoid", False, {}),
        "categorical": ("CategoricalCrossentropy", "softmax", True, {"momentum": 0.9}),
    }
    for name, (loss, activation, weighted, optimizer) in table.items():
        yield {
            "kind": "fit",
            "id": name,
            "layers": [{"units": 4, "activation": "tanh"}, {"units": 2, "activation": activation}],
            "loss": loss,
            "optimizer": {"learning_rate": 0.125, **optimizer},
            "metrics": ["MeanAbsoluteError"],
            "batch_size": 4,
            "epochs": 3,
            "weighted": weighted,
        }


def training_cases():
    groups = (
        loss_cases,
        metric_cases,
        optimizer_cases,
        schedule_cases,
        initializer_cases,
        fit_cases,
    )
    return [case for group in groups for case in group()]


# ---------------------------------------------------------------------------------------------
# Random values


def generator(item):
    """Return the item's random generator, which is the same for every backend."""
    return np.random.default_rng(zlib.crc32(f"{item['kind']}/{item['id']}".encode()))


def dyadic(rng, shape, bits=3, limit=12):
    """Return multiples of 2**-bits, none of them zero."""
    values = rng.integers(1, limit, shape, endpoint=True) * rng.choice([-1, 1], shape)
    return values / 2.0**bits


def inputs_of_kind(rng, shape, values):
    """Return a layer's input: random, or of a kind that the layer's test needs."""
    count = math.prod(shape)
    if values in ("distinct", "negative"):
        shift = count if values == "negative" else count // 2
        return (rng.permutation(count).reshape(shape) - shift) / 4.0
    if values == "ties":
        return rng.integers(-2, 0, shape, endpoint=True) / 2.0
    if values == "wide":
        array = dyadic(rng, shape, bits=3, limit=48)
        array.flat[:6] = (-20.0, 20.0, -8.5, 8.5, -0.0625, 0.0625)
        return array
    if values == "zero":
        array = dyadic(rng, shape)
        array.flat[::3] = 0.0
        return array
    return dyadic(rng, shape)


def weight_values(rng, name, shape):
    if name == "moving_variance":
        return rng.integers(8, 32, shape) / 16.0
    if name == "bias":
        # Finer than a product of inputs and kernel: no sum before an activation is zero.
        return (2 * rng.integers(-96, 96, shape) + 1) / 128.0
    return dyadic(rng, shape)


def probabilities(rng, shape):
    """Return rows that add up to exactly one, of multiples of 1/64 above zero."""
    rows = math.prod(shape[:-1])
    table = 1 + rng.multinomial(64 - shape[-1], [1 / shape[-1]] * shape[-1], rows)
    return table.reshape(shape) / 64.0


def edge_rows():
    """Return rows of probabilities at, beyond and near what the crossentropies clip."""
    return np.array(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0],
            [1.0 - 3e-9, 1e-9, 1e-9, 1e-9],
            [1e-8, 1.0 - 3e-6, 2e-6, 1e-6 - 1e-8],
            [0.25, 0.25, 0.5, 0.0],
            [0.0, 1e-3, 1e-4, 1.0 - 1e-3 - 1e-4],
        ]
    )


def loss_values(item):
    """Return y_true, y_pred and the weights (None where there are none) of a loss case."""
    rng = generator(item)
    shape, values = item["shape"], item["values"]
    family = values.split("-")[0]
    logits = item["config"].get("from_logits", False)
    labels = rng.integers(0, shape[-1], shape[:-1])
    if family == "real":
        true, pred = dyadic(rng, shape), dyadic(rng, shape) + 1 / 64
    elif family == "binary":
        true = rng.integers(0, 2, shape).astype(float)
        pred = rng.integers(1, 64, shape) / 64.0
    elif family == "distribution":
        true, pred = probabilities(rng, shape), probabilities(rng, shape)
    else:
        true = np.eye(shape[-1])[labels] if family == "categorical" else labels.astype(float)
        pred = probabilities(rng, shape)
    if values.endswith("edge"):
        pred = edge_rows()
    if values.endswith("raw"):
        pred = rng.integers(1, 64, shape) / 64.0
    if logits:
        pred = dyadic(rng, shape, bits=3, limit=32)
        pred.flat[:2] = (30.0, -30.0)
    if "y_true_shape" in item:
        true = true.reshape(item["y_true_shape"])
    weight = rng.integers(0, 8, item.get("weight_shape", shape[0])) / 4.0
    return true, pred, weight if item["weighted"] else None


def metric_values(item):
    """Return the three batches of a metric case as (y_true, y_pred, weights or None)."""
    rng = generator(item)
    batches = []
    for size in (5, 3, 4):
        shape = (size, *item["shape"])
        values = item["values"]
        if values == "integer":
            true, pred = rng.integers(0, 3, shape), rng.integers(0, 3, shape)
        elif values == "probability":
            # Eighths: the thresholds themselves occur.
            true, pred = rng.integers(0, 2, shape), rng.integers(0, 9, shape) / 8.0
        elif values == "real":
            true, pred = dyadic(rng, shape), dyadic(rng, shape)
        else:
            # Eighths: the largest value sometimes occurs twice.
            true, pred = rng.integers(0, shape[-1], shape[:-1]), rng.integers(0, 9, shape) / 8.0
            if values == "onehot":
                true = np.eye(shape[-1])[true]
            elif item.get("column"):
                true = true[..., None]
        weight = rng.integers(0, 5, size) / 4.0 if item["weighted"] else None
        batches.append((np.asarray(true, float), np.asarray(pred, float), weight))
    return batches


def optimizer_values():
    rng = np.random.default_rng(20)
    starts = [dyadic(rng, (3, 4)), dyadic(rng, (5,))]
    # The size changes from step to step, so that clipping acts on some of them only.
    sizes = 2.0 ** rng.integers(-3, 2, STEPS)
    gradients = [dyadic(rng, (STEPS, *start.shape)) for start in starts]
    gradients = [g * sizes.reshape((STEPS,) + (1,) * (g.ndim - 1)) for g in gradients]
    return starts, gradients


def fit_values(item):
    rng = generator(item)
    x, x_val = dyadic(rng, (10, 3)), dyadic(rng, (7, 3))
    y, y_val = dyadic(rng, (10, 2)), dyadic(rng, (7, 2))
    if item["loss"] != "MeanSquaredError":
        y, y_val = np.eye(2)[(y[:, 0] > 0).astype(int)], np.eye(2)[(y_val[:, 1] > 0).astype(int)]
    weight = rng.integers(0, 8, 10) / 4.0 if item["weighted"] else None
    return x, y, x_val, y_val, weight


# ---------------------------------------------------------------------------------------------
# One backend, in a process of its own


class Worker:
    """Computes items with the backend that KERAS_BACKEND names."""

    def __init__(self):
        import keras

        self.keras = keras
        self.backend = keras.backend.backend()
        keras.config.set_floatx("float64")
        keras.config.set_image_data_format("channels_last")
        if self.backend != "tensorflow":
            # Keras rounds float64 to float32 in many operations of the other backends (whatever
            # floatx says), by this table of its type promotion.
            from keras.src.backend.common import dtypes

            dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"

    def compute(self, item):
        """Return the item's arrays by name, and what else its JSON entry holds."""
        self.keras.utils.set_random_seed(1)
        arrays, facts = getattr(self, item["kind"])(item)
        return {name: np.array(a) for name, a in arrays.items() if a is not None}, facts

    def tensor(self, array):
        return self.keras.ops.convert_to_tensor(array, dtype="float64")

    def numpy(self, value):
        return np.array(self.keras.ops.convert_to_numpy(value))

    def gradients(self, function, arrays, variables=()):
        """Return the gradients of function(*arrays) by the arrays and then by the variables."""
        tensors = [self.tensor(array) for array in arrays]
        values = [variable.value for variable in variables]
        if self.backend == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch(tensors)
                total = function(*tensors)
            sources = tensors + values
            grads = tape.gradient(total, sources, unconnected_gradients="zero")
        elif self.backend == "jax":
            import jax

            def pure(tensors, values):
                state = list(zip(variables, values, strict=True))
                with self.keras.StatelessScope(state_mapping=state):
                    return function(*tensors)

            by_tensor, by_variable = jax.grad(pure, (0, 1))(tensors, values)
            grads = by_tensor + by_variable
        else:
            for tensor in tensors:
                tensor.requires_grad_(True)
            for value in values:
                value.grad = None
            function(*tensors).backward()
            grads = [tensor.grad for tensor in tensors + values]
        return [self.numpy(grad) for grad in grads]

    def layer(self, item):
        rng = generator(item)
        keras = self.keras
        shapes = item["input_shape"]
        several = isinstance(shapes[0], list)
        shapes = shapes if several else [shapes]
        xs = [inputs_of_kind(rng, shape, item.get("values")) for shape in shapes]
        layer = getattr(keras.layers, item["layer"])(**item["config"])
        options = {"training": item["training"]} if layer._call_has_training_arg else {}

        def call(*tensors):
            return layer(list(tensors) if several else tensors[0], **options)

        call(*map(self.tensor, xs))
        weights = [weight_values(rng, w.name, w.shape) for w in layer.weights]
        layer.set_weights(weights)
        y = self.numpy(call(*map(self.tensor, xs)))
        after = layer.get_weights()
        dy = dyadic(rng, y.shape, bits=2, limit=8)

        def scalar(*tensors):
            return keras.ops.sum(call(*tensors) * self.tensor(dy))

        layer.set_weights(weights)
        grads = self.gradients(scalar, xs, layer.trainable_weights)
        result = {"y": y, "dy": dy}
        result |= {f"x{i}": x for i, x in enumerate(xs)}
        result |= {f"w{i}": w for i, w in enumerate(weights)}
        result |= {f"dx{i}": g for i, g in enumerate(grads[: len(xs)])}
        result |= {f"dw{i}": g for i, g in enumerate(grads[len(xs) :])}
        if item["training"]:
            result |= {f"new_w{i}": w for i, w in enumerate(after)}
        return result, {"weights": [w.name for w in layer.weights]}

    def loss(self, item):
        y_true, y_pred, weight = loss_values(item)
        loss = getattr(self.keras.losses, item["class"])(**item["config"])

        def scalar(pred):
            return loss(self.tensor(y_true), pred, sample_weight=weight)

        value = self.numpy(scalar(self.tensor(y_pred)))
        (grad,) = self.gradients(scalar, [y_pred])
        arrays = {"y_true": y_true, "y_pred": y_pred, "sample_weight": weight}
        return {**arrays, "value": value, "grad": grad}, {}

    def metric(self, item):
        metric = getattr(self.keras.metrics, item["class"])(**item["config"])
        arrays, results = {}, []
        for i, (y_true, y_pred, weight) in enumerate(metric_values(item)):
            metric.update_state(self.tensor(y_true), self.tensor(y_pred), sample_weight=weight)
            results.append(self.numpy(metric.result()))
            arrays |= {f"y_true{i}": y_true, f"y_pred{i}": y_pred, f"sample_weight{i}": weight}
        return {**arrays, "results": results}, {}

    def schedule_of(self, item):
        return getattr(self.keras.optimizers.schedules, item["class"])(**item["config"])

    def optimizer(self, item):
        config = dict(item["config"])
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = self.schedule_of(config["learning_rate"])
        optimizer = getattr(self.keras.optimizers, item["class"])(**config)
        starts, gradients = optimizer_values()
        variables = [self.keras.Variable(start, dtype="float64") for start in starts]
        optimizer.build(variables)
        history = [[] for _ in variables]
        for step in range(STEPS):
            optimizer.apply([self.tensor(g[step]) for g in gradients], variables)
            for values, variable in zip(history, variables, strict=True):
                values.append(self.numpy(variable.value))
        return {f"var{i}": values for i, values in enumerate(history)}, {}

    def schedule(self, item):
        schedule = self.schedule_of(item)
        return {"value": [self.numpy(schedule(step)) for step in SCHEDULE_STEPS]}, {}

    def initializer(self, item):
        cls = self.keras.initializers.get(item["class"]).__class__
        shape = item["shape"]
        draws = math.ceil(1e5 / math.prod(shape))
        samples = [self.numpy(cls(seed=seed)(shape, dtype="float64")) for seed in range(draws)]
        samples = np.stack(samples)
        names = ("min", "max", "mean", "std")
        facts = {name: float(getattr(samples, name)()) for name in names}
        return {}, {"samples": samples.size, **facts}

    def fit(self, item):
        keras = self.keras
        x, y, x_val, y_val, weight = fit_values(item)
        rng = np.random.default_rng(7)
        model = keras.Sequential([keras.Input((x.shape[1],))])
        for config in item["layers"]:
            model.add(keras.layers.Dense(**config))
        weights = [weight_values(rng, w.name, w.shape) / 4 for w in model.weights]
        model.set_weights(weights)
        model.compile(
            optimizer=keras.optimizers.SGD(**item["optimizer"]),
            loss=getattr(keras.losses, item["loss"])(),
            metrics=[getattr(keras.metrics, name)() for name in item["metrics"]],
            run_eagerly=True,
        )
        history = model.fit(
            x,
            y,
            batch_size=item["batch_size"],
            epochs=item["epochs"],
            sample_weight=weight,
            validation_data=(x_val, y_val),
            shuffle=False,
            verbose=0,
        ).history
        result = {"x": x, "y": y, "x_val": x_val, "y_val": y_val, "sample_weight": weight}
        result |= {f"w{i}": w for i, w in enumerate(weights)}
        result |= {f"new_w{i}": w for i, w in enumerate(model.get_weights())}
        history = {name: [float(v) for v in values] for name, values in history.items()}
        return result, {"history": history}


def work(target):
    """Compute every item with this process's backend and pickle the results."""
    worker = Worker()
    results = {}
    for item in layer_cases() + training_cases():
        key = (item["kind"], item["id"])
        if key in results:
            raise ValueError(f"two items are called {key}")
        try:
            results[key] = worker.compute(item)
        except Exception as error:
            results[key] = error.__class__.__name__
            print(worker.backend, *key, repr(error)[:300], file=sys.stderr)
    Path(target).write_bytes(pickle.dumps(results))


# ---------------------------------------------------------------------------------------------
# All backends, and the files


def run_backends():
    """Return the results of every installed backend, in the order of BACKENDS."""
    results = {}
    for backend in BACKENDS:
        if importlib.util.find_spec(backend) is None:
            continue
        settings = {
            "KERAS_BACKEND": backend,
            "JAX_ENABLE_X64": "1",
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        with tempfile.TemporaryDirectory() as folder:
            target = str(Path(folder) / "results")
            command = [sys.executable, __file__, target]
            subprocess.run(command, env={**os.environ, **settings}, check=True)
            results[backend] = pickle.loads(Path(target).read_bytes())
    return results


def difference(one, other):
    """Return the largest difference of two results, relative where values exceed one."""
    largest = 0.0
    pairs = [(value, other[0][name]) for name, value in one[0].items()]
    for name, value in one[1].get("history", {}).items():
        pairs.append((np.array(value), np.array(other[1]["history"][name])))
    for a, b in pairs:
        if a.shape != b.shape:
            return math.inf
        if a.size:
            largest = max(largest, float(np.max(np.abs(a - b) / np.maximum(1, np.abs(a)))))
    return largest


def preferred(found):
    """Return the backend whose result is stored."""
    able = [name for name, value in found.items() if not isinstance(value, str)]
    if len(able) == 3:
        first, second, third = (found[name] for name in able)
        apart = TOLERANCE < difference(first, second) < ROUNDING
        if apart and difference(second, third) <= TOLERANCE:
            return able[1]
    return able[0]


def choose(item, results):
    """Return the stored arrays of an item and its JSON entry."""
    key = (item["kind"], item["id"])
    found = {backend: result[key] for backend, result in results.items()}
    backend = preferred(found)
    arrays, facts = found[backend]
    hidden = {"kind", "values", "y_true_shape", "weight_shape", "column"}
    if item["kind"] in ("loss", "metric"):
        hidden.add("shape")
    entry = {name: value for name, value in item.items() if name not in hidden}
    entry |= {**facts, "backend": backend}
    if item["kind"] != "initializer":
        entry |= {"agrees": [], "differs": {}}
        for name, value in found.items():
            if isinstance(value, str):
                entry["differs"][name] = value
            elif name != backend:
                distance = difference(found[backend], value)
                if distance <= TOLERANCE:
                    entry["agrees"].append(name)
                else:
                    shown = "shape" if math.isinf(distance) else float(f"{distance:.3g}")
                    entry["differs"][name] = shown
    return arrays, entry


def compact(array):
    """Return the array as float32 if that loses nothing, otherwise as float64."""
    array = np.asarray(array, dtype=np.float64)
    small = array.astype(np.float32)
    return small if np.array_equal(small.astype(np.float64), array) else array


def write_arrays(name, arrays):
    """Write arrays as np.savez_compressed does, but smaller and with the same bytes every time."""
    with zipfile.ZipFile(HERE / name, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            member = zipfile.ZipInfo(f"{key}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, buffer.getvalue(), compresslevel=9)


def write_json(name, head, lists):
    """Write a JSON object with one line for each entry of its lists."""
    parts = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for key, entries in lists.items():
        lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
        parts.append(f" {json.dumps(key)}: [\n{lines}\n ]")
    (HERE / name).write_text("{\n" + ",\n".join(parts) + "\n}\n")


def versions():
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_layers(results):
    arrays, entries = {}, []
    for item in layer_cases():
        found, entry = choose(item, results)
        arrays |= {f"{item['id']}/{name}": compact(value) for name, value in found.items()}
        entries.append(entry)
    write_arrays("keras_layers.npz", arrays)
    write_json("keras_layers.json", {"versions": versions()}, {"cases": entries})


def write_training(results):
    names = {"loss": "losses", "schedule": "schedules", "fit": "fits"}
    arrays, lists = {}, {}
    for i, (start, gradient) in enumerate(zip(*optimizer_values(), strict=True)):
        arrays[f"optimizer/start{i}"] = compact(start)
        arrays[f"optimizer/grad{i}"] = compact(gradient)
    for item in training_cases():
        kind = item["kind"]
        found, entry = choose(item, results)
        if kind == "schedule":
            entry["values"] = found.pop("value").tolist()
        elif kind == "initializer":
            entry |= fans(item["shape"])
        prefix = f"{kind}/{item['id']}"
        arrays |= {f"{prefix}/{name}": compact(value) for name, value in found.items()}
        lists.setdefault(names.get(kind, f"{kind}s"), []).append(entry)
    write_arrays("keras_training.npz", arrays)
    head = {"versions": versions(), "schedule_steps": list(SCHEDULE_STEPS)}
    write_json("keras_training.json", head, lists)


def fans(shape):
    area = math.prod(shape[:-2])
    return {"fan_in": area * shape[-2], "fan_out": area * shape[-1]}


def main():
    if len(sys.argv) > 1:
        work(sys.argv[1])
        return
    results = run_backends()
    write_layers(results)
    write_training(results)


if __name__ == "__main__":
    main()
