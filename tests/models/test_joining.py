"""Layers that a model joins in one pass: the same results as one after the other, where allowed."""

import numpy as np
import pytest

from minicnn import (
    GradientTape,
    Input,
    Model,
    Sequential,
    activations,
    initializers,
    layers,
    ops,
    optimizers,
)  # fmt: skip
from minicnn.config import use_backend, use_floatx
from minicnn.layers import Conv2D, Conv2DTranspose, Flatten, MaxPooling2D
from tests.helpers import BACKENDS

#: The backends of the CPU are compared, whatever the setting.
pytestmark = pytest.mark.cpu_only

EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
IMAGES = np.random.default_rng(4).normal(size=(3, 12, 23, 2))


@pytest.fixture(autouse=True)
def double():
    with use_floatx("float64"):
        yield


def one_by_one(x, *chain):
    """Return what layers give that are called one after the other."""
    for layer in chain:
        x = layer(x)
    return x


def trained_one_by_one(x, chain):
    for layer in chain:
        x = layer(x, training=True)
    return x


def joins(model):
    """Return the pairs of names of the layers that a model joins."""
    return [
        (call.layer.name, last.layer.name)
        for call, _, last in model.graph.steps
        if call is not last
    ]


def assert_same(model, chain, x=IMAGES):
    """Compare a model with its layers one by one: values, and gradients to weights and input."""
    watched = [ops.add(x, 0.0) for _ in range(2)]
    found = []
    for function, images in zip((model, lambda x: one_by_one(x, *chain)), watched, strict=True):
        with GradientTape() as tape:
            tape.watch(images)
            y = function(images)
        cotangent = np.random.default_rng(1).normal(size=y.shape)
        sources = [images, *model.trainable_weights]
        found.append([t.numpy() for t in (y, *tape.gradient(y, sources, cotangent))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@EVERY_BACKEND
@pytest.mark.parametrize("activation", ["relu", None, "linear"])
@pytest.mark.parametrize("pool", [2, (2, 3), (3, 2), (1, 4)])
def test_a_convolution_and_its_pool_are_joined(backend, activation, pool):
    chain = [
        Conv2D(3, (3, 2), padding="same", activation=activation, bias_initializer="he_normal"),
        MaxPooling2D(pool),
        Conv2D(2, (2, 3), strides=(1, 2), activation="relu", use_bias=False),
        MaxPooling2D((1, 2)),
    ]
    model = Sequential([Input(IMAGES.shape[1:]), *chain])
    assert joins(model) == [
        (chain[0].name, chain[1].name),
        (chain[2].name, chain[3].name),
    ]
    with use_backend(backend):
        assert_same(model, chain)


@EVERY_BACKEND
@pytest.mark.parametrize("training", [True, False])
def test_a_joined_network_learns_the_same(backend, training):
    results = []
    for join in (True, False):
        chain = [
            Conv2D(3, (3, 2), activation="relu", kernel_initializer="ones"),
            MaxPooling2D(),
            layers.Dropout(0.5, seed=1),
            Flatten(),
            layers.Dense(2, kernel_initializer="ones"),
        ]
        model = Sequential([Input(IMAGES.shape[1:]), *chain])
        optimizer = optimizers.Adam(0.01)
        with use_backend(backend):
            for _ in range(3):
                with GradientTape() as tape:
                    if join:
                        y = model(IMAGES, training=training)
                    else:
                        y = IMAGES
                        for layer in chain:
                            y = layer(y, training=training)
                    loss = ops.mean(y * y)
                gradients = tape.gradient(loss, model.trainable_weights)
                optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


class Doubled(Conv2D):
    """A convolution that does something of its own."""

    def call(self, inputs, training=False):
        return 2 * super().call(inputs, training)


class Shifted(MaxPooling2D):
    """A pool that does something of its own."""

    def call(self, inputs, training=False):
        return super().call(inputs, training) + 1


class Plain(Conv2D):
    """A convolution whose author may change it later."""


def other_activation(x):
    return ops.maximum(x, -0.5)


APART = {
    "own convolution": (lambda: Doubled(3, (3, 2), activation="relu"), MaxPooling2D),
    "a subclass": (lambda: Plain(3, (3, 2), activation="relu"), MaxPooling2D),
    "own pool": (lambda: Conv2D(3, (3, 2), activation="relu"), Shifted),
    "overlapping windows": (lambda: Conv2D(3, (3, 2)), lambda: MaxPooling2D((2, 3), strides=2)),
    "gaps between windows": (lambda: Conv2D(3, (3, 2)), lambda: MaxPooling2D(2, strides=(2, 3))),
    "padded windows": (lambda: Conv2D(3, (3, 2)), lambda: MaxPooling2D(2, padding="same")),
    "padding in pixels": (lambda: Conv2D(3, (3, 2)), lambda: MaxPooling2D(2, padding=1)),
    "average": (lambda: Conv2D(3, (3, 2)), layers.AveragePooling2D),
    "transposed": (lambda: Conv2DTranspose(3, (3, 2), activation="relu"), MaxPooling2D),
    "pool of the whole image": (lambda: Conv2D(3, (3, 2)), layers.GlobalMaxPooling2D),
}


@EVERY_BACKEND
@pytest.mark.parametrize("pair", APART)
def test_other_pairs_are_not_joined(backend, pair):
    chain = [make() for make in APART[pair]]
    model = Sequential([Input(IMAGES.shape[1:]), *chain])
    assert joins(model) == []
    with use_backend(backend):
        assert_same(model, chain)


@EVERY_BACKEND
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "elu", "softmax", other_activation])
def test_other_activations_stand_between(backend, activation):
    chain = [Conv2D(3, (3, 2), activation=activation), MaxPooling2D()]
    model = Sequential([Input(IMAGES.shape[1:]), *chain])
    with use_backend(backend):
        assert_same(model, chain)


def test_a_changed_activation_counts_from_then_on():
    chain = [Conv2D(3, (3, 2), activation="relu"), MaxPooling2D()]
    model = Sequential([Input(IMAGES.shape[1:]), *chain])
    for activation in (activations.tanh, activations.linear, other_activation):
        chain[0].activation = activation
        assert_same(model, chain)


@EVERY_BACKEND
def test_two_readers_keep_what_lies_between(backend):
    x = Input(IMAGES.shape[1:])
    convolution, pool = Conv2D(3, (3, 2), activation="relu", name="c"), MaxPooling2D(name="p")
    features = convolution(x)
    model = Model(x, [pool(features), layers.GlobalAveragePooling2D()(features)])
    assert joins(model) == []
    with use_backend(backend):
        pooled, average = model(IMAGES)
        between = convolution(IMAGES)
        np.testing.assert_allclose(pooled, pool(between).numpy(), rtol=1e-12)
        np.testing.assert_allclose(average, between.numpy().mean((1, 2)), rtol=1e-12)


def test_a_layer_that_reads_twice_is_two_readers():
    x = Input(IMAGES.shape[1:])
    convolution, pool = Conv2D(3, (3, 2), name="c"), MaxPooling2D(name="p")
    features = convolution(x)
    model = Model(x, layers.Add()([pool(features), pool(features)]))
    assert joins(model) == []
    np.testing.assert_allclose(model(IMAGES), 2 * pool(convolution(IMAGES)).numpy(), rtol=1e-12)


@EVERY_BACKEND
def test_an_output_of_the_model_is_a_reader(backend):
    x = Input(IMAGES.shape[1:])
    convolution, pool = Conv2D(3, (3, 2), activation="relu"), MaxPooling2D()
    features = convolution(x)
    pooled = pool(features)
    for outputs in ([features, pooled], [pooled, features]):
        model = Model(x, outputs)
        assert joins(model) == []
        with use_backend(backend):
            found = dict(zip(map(id, outputs), model(IMAGES), strict=True))
            between = convolution(IMAGES)
        np.testing.assert_allclose(found[id(features)], between.numpy(), rtol=1e-12)
        np.testing.assert_allclose(found[id(pooled)], pool(between).numpy(), rtol=1e-12)
    assert joins(Model(x, pooled)) == [(convolution.name, pool.name)]


@EVERY_BACKEND
def test_features_between_joined_layers_can_be_taken_out(backend):
    chain = [
        Conv2D(3, (3, 2), activation="relu", name="edges"),
        MaxPooling2D(name="half"),
        Conv2D(4, (2, 3), activation="relu", name="parts"),
        MaxPooling2D((2, 1), name="quarter"),
    ]
    model = Sequential([Input(IMAGES.shape[1:]), *chain])
    assert joins(model) == [("edges", "half"), ("parts", "quarter")]
    for depth, layer in enumerate(chain, start=1):
        extractor = Model(model.input, model.get_layer(layer.name).output)
        with use_backend(backend):
            found = extractor(IMAGES)
            expected = one_by_one(IMAGES, *chain[:depth])
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12)
    every = Model(model.input, [layer.output for layer in chain])
    assert joins(every) == []
    with use_backend(backend):
        for depth, found in enumerate(every(IMAGES), start=1):
            expected = one_by_one(IMAGES, *chain[:depth])
            np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12)


def test_a_model_may_begin_or_end_between_joined_layers():
    chain = [Conv2D(3, (3, 2), activation="relu"), MaxPooling2D()]
    model = Sequential([Input(IMAGES.shape[1:]), *chain])
    features = chain[0](IMAGES)
    tail = Model(chain[0].output, model.output)
    np.testing.assert_allclose(tail(features), model(IMAGES).numpy(), rtol=1e-12)


def test_a_shared_convolution_is_joined_with_each_pool():
    a, b = Input(IMAGES.shape[1:]), Input(IMAGES.shape[1:])
    shared, pools = Conv2D(3, (3, 2), activation="relu"), [MaxPooling2D(), MaxPooling2D((2, 3))]
    model = Model([a, b], [pool(shared(x)) for pool, x in zip(pools, (a, b), strict=True)])
    assert joins(model) == [(shared.name, pool.name) for pool in pools]
    for found, pool, images in zip(model([IMAGES, -IMAGES]), pools, (IMAGES, -IMAGES), strict=True):
        np.testing.assert_allclose(found, pool(shared(images)).numpy(), rtol=1e-12)


def test_chains_that_grow_and_shrink_are_joined_anew():
    convolution, pool = Conv2D(3, (3, 2), activation="relu"), MaxPooling2D()
    model = Sequential([Input(IMAGES.shape[1:]), convolution])
    assert_same(model, [convolution])
    model.add(pool)
    assert joins(model) == [(convolution.name, pool.name)]
    assert_same(model, [convolution, pool])
    model.pop()
    assert joins(model) == []
    assert_same(model, [convolution])


def test_models_inside_models_are_not_looked_into():
    inner = Sequential([Input(IMAGES.shape[1:]), Conv2D(3, (3, 2), activation="relu")])
    pool = MaxPooling2D()
    model = Sequential([inner, pool])
    assert joins(model) == []
    assert_same(model, [inner, pool])


def test_types_of_the_layers_hold_when_they_are_joined():
    convolution = Conv2D(3, (3, 2), activation="relu", dtype="float32")
    pool = MaxPooling2D(dtype="float64")
    model = Sequential([Input(IMAGES.shape[1:]), convolution, pool])
    expected = pool(convolution(IMAGES))
    found = model(IMAGES)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


@EVERY_BACKEND
@pytest.mark.parametrize("relu", [lambda: layers.Activation("relu"), layers.ReLU])
@pytest.mark.parametrize("scale", [True, False])
def test_batch_normalization_and_its_relu_are_joined(backend, relu, scale):
    def chain():
        return [
            Conv2D(3, (3, 2), kernel_initializer=initializers.HeNormal(seed=1)),
            layers.BatchNormalization(momentum=0.5, scale=scale, center=scale),
            relu(),
            layers.BatchNormalization(momentum=0.5),
            layers.Activation("tanh"),
        ]

    found = []
    with use_backend(backend):
        for joined in (True, False):
            parts = chain()
            model = Sequential([Input(IMAGES.shape[1:]), *parts])
            if joined:
                assert joins(model) == [(parts[1].name, parts[2].name)]
            x = ops.add(IMAGES, 0.0)
            with GradientTape() as tape:
                tape.watch(x)
                y = model(x, training=True) if joined else trained_one_by_one(x, parts)
            slopes = tape.gradient(y, [x, *model.trainable_weights], np.cos(y.numpy()))
            found.append([y, *slopes, *model.weights, model(IMAGES)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "follower",
    [
        lambda: layers.ReLU(max_value=6.0),
        lambda: layers.ReLU(negative_slope=0.1),
        lambda: layers.ReLU(threshold=0.5),
        lambda: layers.Activation("sigmoid"),
        lambda: layers.ReLU(dtype="float32"),
    ],
)
def test_batch_normalization_is_joined_with_a_plain_relu_alone(follower):
    model = Sequential([Input((5, 7, 2)), layers.BatchNormalization(), follower()])
    assert joins(model) == []
