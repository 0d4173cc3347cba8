"""The same work in TensorFlow, a further column where it is installed: `pip install tensorflow`.

Its images have channels last and its "same" padding has the odd pixel at the end, as here, so
nothing is mirrored. Functions are traced once, with and without XLA, and the faster one counts.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from networks import EPSILON, LEARNING_RATE, Network

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

from minicnn.runtime.threads import cores

tf.config.threading.set_intra_op_parallelism_threads(cores())

#: Calls that decide whether XLA makes a function faster.
TRIALS = 10

Call = Callable[[], Any]


def versions() -> str:
    """Return what the figures of TensorFlow depend on."""
    return (
        f"{tf.__version__}, Keras {keras.__version__}, {cores()} threads, tf.function, "
        f"with XLA where that is faster"
    )


def traced(function: Callable[..., Any], *arguments: tf.Tensor) -> Call:
    """Return a call of the function, compiled to a graph, with XLA if that is faster."""
    calls: list[Call] = []
    for xla in (False, True):
        graph = tf.function(function, jit_compile=xla)
        calls.append(lambda graph=graph: graph(*arguments).numpy())  # type: ignore[misc]
    return min(calls, key=_typical)


def _typical(call: Call) -> float:
    """Return the median time of a call that was done a few times before."""
    times = []
    for number in range(3 + TRIALS):
        start = time.perf_counter()
        call()
        if number >= 3:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_keras(network: Network) -> Any:
    """Return the network as a model of Keras."""
    chain: list[Any] = [keras.Input(network.image)]
    for stage in network.stages:
        if stage.kind == "pool":
            chain.append(keras.layers.MaxPooling2D(stage.size))
            continue
        transposed = stage.kind == "transposed"
        kind = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
        activation = "relu" if stage.relu else None
        sizes = (stage.filters, stage.size, stage.stride)
        chain.append(kind(*sizes, padding=stage.padding, activation=activation))
    return keras.Sequential(chain)


def network_calls(network: Network, weights: list[np.ndarray], x: np.ndarray) -> tuple[Call, Call]:
    """Return a training step (mean squared error, Adam) and a prediction of a network."""
    model = in_keras(network)
    model.set_weights(weights)
    images = tf.constant(x)

    def training() -> Call:
        optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)
        optimizer.build(model.trainable_variables)

        def step(x: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(x, training=True) - x))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return loss

        return traced(step, images)

    # The prediction is checked against the weights that were given, so it is traced first.
    predict = traced(lambda x: model(x, training=False), images)
    predicted = predict()
    step = training()
    model.set_weights(weights)
    np.testing.assert_allclose(predict(), predicted)
    return step, predict


def layer_calls(
    x: np.ndarray, k: np.ndarray, dy: np.ndarray, stride: int, transposed: bool
) -> tuple[Call, Call, Call]:
    """Return the three maps of a convolution with "same" padding: forward and both gradients."""
    tx, tk, tdy = tf.constant(x), tf.constant(k), tf.constant(dy)
    options: dict[str, Any] = {"strides": [1, stride, stride, 1], "padding": "SAME"}
    raw = tf.raw_ops

    def forward(images: Any, kernel: Any) -> Any:
        return tf.nn.conv2d(images, kernel, stride, "SAME")

    def back(gradient: Any, kernel: Any, sizes: Any) -> Any:
        return raw.Conv2DBackpropInput(
            input_sizes=sizes, filter=kernel, out_backprop=gradient, **options
        )

    def kernels(images: Any, gradient: Any) -> Any:
        return raw.Conv2DBackpropFilter(
            input=images, filter_sizes=list(k.shape), out_backprop=gradient, **options
        )

    if transposed:
        # Read backwards: the layer's result is the gradient of a convolution by its input.
        return (
            traced(lambda a, b: back(a, b, list(dy.shape)), tx, tk),
            traced(forward, tdy, tk),
            traced(kernels, tdy, tx),
        )
    return (
        traced(forward, tx, tk),
        traced(lambda a, b: back(a, b, list(x.shape)), tdy, tk),
        traced(kernels, tx, tdy),
    )


def pool_calls(x: np.ndarray, dy: np.ndarray) -> tuple[Call, Call]:
    """Return the 2x2 max-pool and its gradient."""
    options: dict[str, Any] = {
        "ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "VALID"
    }  # fmt: skip
    values = tf.constant(tf.nn.max_pool2d(x, 2, 2, "VALID"))
    return (
        traced(lambda a: tf.nn.max_pool2d(a, 2, 2, "VALID"), tf.constant(x)),
        traced(
            lambda a, y, g: tf.raw_ops.MaxPoolGrad(
                orig_input=a, orig_output=y, grad=g, **options
            ),
            tf.constant(x), values, tf.constant(dy),
        ),
    )  # fmt: skip
