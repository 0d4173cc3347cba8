"""Every layer and activation on the card: the CPU's results, wherever new things are put."""

import contextlib

import numpy as np
import pytest

import minicnn as tf
from minicnn import (
    GradientTape,
    Input,
    Model,
    Sequential,
    Tensor,
    activations,
    config,
    constraints,
    convert_to_tensor,
    layers,
    ops,
    regularizers,
)
from minicnn.applications.variational_autoencoder import Sampling, variational_autoencoder
from minicnn.applications.vgg16 import preprocess_input
from minicnn.errors import DeviceError
from minicnn.runtime.devices import to_gpu
from tests.test_keras_names import ARRAYS, STORED

IMAGES, SEQUENCES, ROWS = (2, 6, 9, 4), (2, 7, 4), (3, 6)

#: How each layer is made, and the shapes of what it is given.
LAYERS = {
    "Activation": (lambda: layers.Activation("gelu"), ROWS),
    "ActivityRegularization": (lambda: layers.ActivityRegularization(0.1, 0.2), ROWS),
    "Add": (layers.Add, [ROWS, ROWS]),
    "Average": (layers.Average, [ROWS, ROWS]),
    "AveragePooling1D": (lambda: layers.AveragePooling1D(3, 2), SEQUENCES),
    "AveragePooling2D": (lambda: layers.AveragePooling2D((2, 3), padding="same"), IMAGES),
    "BatchNormalization": (lambda: layers.BatchNormalization(momentum=0.7), IMAGES),
    "CenterCrop": (lambda: layers.CenterCrop(3, 5), IMAGES),
    "Concatenate": (lambda: layers.Concatenate(axis=1), [ROWS, ROWS]),
    "Conv1D": (lambda: layers.Conv1D(5, 3, padding="causal", activation="relu"), SEQUENCES),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(3, 3, 2), SEQUENCES),
    "Conv2D": (lambda: layers.Conv2D(6, (3, 2), (1, 2), groups=2, activation="relu"), IMAGES),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(3, (2, 3), (2, 1), "same"), IMAGES),
    "Cropping1D": (lambda: layers.Cropping1D((1, 2)), SEQUENCES),
    "Cropping2D": (lambda: layers.Cropping2D(((1, 0), (2, 3))), IMAGES),
    "Dense": (lambda: layers.Dense(5, "softmax", kernel_regularizer="l2"), ROWS),
    "DepthwiseConv1D": (lambda: layers.DepthwiseConv1D(3, depth_multiplier=2), SEQUENCES),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D((3, 2), padding="same"), IMAGES),
    "Dot": (lambda: layers.Dot(axes=1), [ROWS, ROWS]),
    "Dropout": (lambda: layers.Dropout(0.3), ROWS),
    "ELU": (layers.ELU, ROWS),
    "Flatten": (layers.Flatten, IMAGES),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.3), ROWS),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.5), ROWS),
    "GlobalAveragePooling1D": (layers.GlobalAveragePooling1D, SEQUENCES),
    "GlobalAveragePooling2D": (layers.GlobalAveragePooling2D, IMAGES),
    "GlobalMaxPooling1D": (layers.GlobalMaxPooling1D, SEQUENCES),
    "GlobalMaxPooling2D": (layers.GlobalMaxPooling2D, IMAGES),
    "Identity": (layers.Identity, ROWS),
    "Lambda": (lambda: layers.Lambda(lambda x: ops.exp(x) * 0.5), ROWS),
    "LayerNormalization": (lambda: layers.LayerNormalization(axis=[1, 3]), IMAGES),
    "LeakyReLU": (layers.LeakyReLU, ROWS),
    "MaxPooling1D": (lambda: layers.MaxPooling1D(3, 2), SEQUENCES),
    "MaxPooling2D": (lambda: layers.MaxPooling2D((2, 3)), IMAGES),
    "Maximum": (layers.Maximum, [ROWS, ROWS]),
    "Minimum": (layers.Minimum, [ROWS, ROWS]),
    "Multiply": (layers.Multiply, [ROWS, ROWS]),
    "PReLU": (lambda: layers.PReLU("he_normal", shared_axes=(1, 2)), IMAGES),
    "Permute": (lambda: layers.Permute((3, 1, 2)), IMAGES),
    "RandomBrightness": (lambda: layers.RandomBrightness(0.3, (-5, 5)), IMAGES),
    "RandomContrast": (lambda: layers.RandomContrast(0.5, (-5, 5)), IMAGES),
    "RandomCrop": (lambda: layers.RandomCrop(4, 5), IMAGES),
    "RandomFlip": (layers.RandomFlip, IMAGES),
    "RandomRotation": (lambda: layers.RandomRotation(0.1, "wrap"), IMAGES),
    "RandomTranslation": (lambda: layers.RandomTranslation(0.3, 0.2), IMAGES),
    "RandomZoom": (lambda: layers.RandomZoom(0.3, 0.2, "constant", fill_value=0.5), IMAGES),
    "ReLU": (lambda: layers.ReLU(1.0, 0.1, 0.2), ROWS),
    "RepeatVector": (lambda: layers.RepeatVector(4), ROWS),
    "Rescaling": (lambda: layers.Rescaling([1.0, 2.0, 3.0, 4.0], 0.5), IMAGES),
    "Reshape": (lambda: layers.Reshape((-1, 3)), ROWS),
    "Resizing": (lambda: layers.Resizing(4, 13), IMAGES),
    "Sampling": (Sampling, [ROWS, ROWS]),
    "SeparableConv1D": (lambda: layers.SeparableConv1D(5, 3), SEQUENCES),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(5, (2, 3), (2, 2)), IMAGES),
    "Softmax": (lambda: layers.Softmax((1, 2)), IMAGES),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.4), SEQUENCES),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.4), IMAGES),
    "Subtract": (layers.Subtract, [ROWS, ROWS]),
    "UnitNormalization": (layers.UnitNormalization, ROWS),
    "UpSampling1D": (lambda: layers.UpSampling1D(3), SEQUENCES),
    "UpSampling2D": (lambda: layers.UpSampling2D((2, 3), interpolation="bilinear"), IMAGES),
    "ZeroPadding1D": (lambda: layers.ZeroPadding1D((1, 2)), SEQUENCES),
    "ZeroPadding2D": (lambda: layers.ZeroPadding2D(((1, 0), (2, 3))), IMAGES),
}


@pytest.fixture(params=["auto", "cupy"])
def setting(request, cupy):
    """The setting; results do not depend on it where operands say where they live."""
    with config.use_backend(request.param):
        yield request.param


def move(layer):
    """Bring the weights to the card."""
    for weight in layer.weights:
        weight.data = to_gpu(weight.data)


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(make, shapes, device, around=contextlib.nullcontext):
    """Return the results of a call, the gradients, and the weights afterwards."""
    many = isinstance(shapes, list)
    arrays = [normal(s, i) for i, s in enumerate(shapes if many else [shapes])]
    xs = [getattr(Tensor(a), device)() for a in arrays]
    config.set_random_seed(3)
    layer = make()
    layer.build_once([x.shape for x in xs] if many else xs[0].shape)
    if device == "gpu":
        move(layer)
    dy = getattr(Tensor(normal(layer(xs if many else xs[0]).shape, 9)), device)()
    config.set_random_seed(4)
    with around():
        with GradientTape() as tape:
            tape.watch(xs)
            y = layer(xs if many else xs[0], training=True)
        trained = layer.trainable_weights
        gradients = tape.gradient(y, [*xs, *trained], dy)
    return [y, *gradients, *layer.losses, *layer.weights]


def same(found, wanted):
    """Check that results lie on the card and are those of the CPU, but for rounding."""
    for there, here in zip(found, wanted, strict=True):
        assert (there.device, here.device) == ("gpu", "cpu")
        assert (there.shape, there.dtype) == (here.shape, here.dtype)
        np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=1e-4, atol=2e-6)


def test_every_layer_is_among_these():
    classes = {c for c in vars(layers).values() if isinstance(c, type)}
    left = {layers.Layer, layers.InputLayer, layers.Operation}
    assert {c.__name__ for c in classes - left if issubclass(c, layers.Layer)} == set(LAYERS) - {
        "Sampling"
    }


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_on_the_card_what_it_does_on_the_cpu(name, setting, unhurried):
    make, shapes = LAYERS[name]
    with config.use_cpu():
        wanted = run(make, shapes, "cpu")
    same(run(make, shapes, "gpu", unhurried), wanted)


@pytest.mark.parametrize("name", [*activations.NAMES, "threshold"])
def test_an_activation_computes_on_the_card_what_it_does_on_the_cpu(name, setting, unhurried):
    function = activations.NAMES.get(name, lambda x: activations.threshold(x, 0.25, -1.0))
    results = []
    for device in ("cpu", "gpu"):
        x = getattr(Tensor(3 * normal((4, 2, 6))), device)()
        with unhurried() if device == "gpu" else contextlib.nullcontext():
            with GradientTape() as tape:
                tape.watch(x)
                y = function(x)
                total = ops.sum(y * y)
            results.append([y, tape.gradient(total, x)])
    same(*reversed(results))


@pytest.mark.parametrize(
    "function",
    [
        regularizers.L1L2(0.1, 0.2), regularizers.L1L2(), regularizers.OrthogonalRegularizer(),
        regularizers.KLSparsity(), regularizers.CodeOrthogonality(), constraints.MaxNorm(0.5),
        constraints.NonNeg(), constraints.UnitNorm(), constraints.MinMaxNorm(0.2, 0.4, 0.9),
    ],
    ids=lambda f: type(f).__name__,
)  # fmt: skip
def test_penalties_and_bounds(function, setting, unhurried):
    x = Tensor(np.abs(normal((5, 3))) / 4)
    on_card = x.gpu()
    with unhurried():
        found = function(on_card)
    same([found], [function(x)])


def network():
    """Return branches, operators with constants of all kinds, and normalization."""
    x = Input((8, 11, 2))
    y = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y)) * np.array([1.0, 0.5, 2.0, -1.0], "float32")
    y = ops.where(np.arange(11)[:, None] % 3 > 0, y, Tensor([0.25]))
    y = ops.concatenate([y[:, :, [0, 3, 5]], y[:, :, ::4]], 2)
    y = layers.Lambda(lambda t: ops.mean(t, axis=2))(y) @ normal((4, 3))
    return Model(x, layers.Dense(2)(layers.Dropout(0.2)(layers.Flatten()(y))))


def test_a_model_moved_by_hand_works_whatever_the_setting(setting):
    config.set_random_seed(0)
    with config.use_cpu():
        model = network()
    x = normal((3, 8, 11, 2))
    results = []
    for device in ("cpu", "gpu", "cpu"):
        given = getattr(Tensor(x), device)()
        for weight in model.weights:
            weight.data = getattr(Tensor(weight.data), device)().data
        config.set_random_seed(1)
        with GradientTape() as tape:
            loss = ops.sum(ops.square(model(given, training=True)))
        model.set_weights(model.get_weights())
        results.append([loss, *tape.gradient(loss, model.trainable_weights)])
        assert model(x).device == device  # plain data follows the weights
        with pytest.raises(DeviceError, match="both must be in one place"):
            model(given.cpu() if device == "gpu" else given.gpu())
    same(results[1], results[0])


def test_weights_come_and_go_as_arrays_in_memory(setting):
    layer = layers.Dense(3)
    layer.build_once((None, 4))
    move(layer)
    kernel, bias = layer.get_weights()
    assert type(kernel) is np.ndarray
    layer.set_weights([Tensor(kernel + 1).gpu(), bias])
    assert {w.device for w in layer.weights} == {"gpu"}
    np.testing.assert_array_equal(layer.get_weights()[0], kernel + 1)
    kernel[:] = 0  # a copy
    assert layer.get_weights()[0].any()


class Twice(layers.Layer):
    """A layer whose result's shape has to be tried."""

    def build(self, input_shape):
        self.factors = self.add_weight((input_shape[-1], 3))
        self.inner = layers.Dense(5)

    def call(self, inputs):
        return self.inner(ops.matmul(inputs, self.factors))


def test_shapes_are_tried_beside_the_weights(setting):
    layer = Twice()
    layer.build_once((None, 4))
    layer.inner.build_once((None, 3))
    move(layer)
    assert layer(Input((4,))).shape == (None, 5)
    weight = convert_to_tensor(normal((6, 2))).gpu()
    assert ops.matmul(Input((6,)), weight).shape == (None, 2)


def test_a_network_with_constants_on_the_card_is_made_again_from_its_config(setting):
    x = Input((6,))
    model = Model(x, x * Tensor(normal((6,))).gpu() + 1.0)
    data = normal((2, 6))
    wanted = data * normal((6,)) + 1.0
    for same_model in (model, Model.from_config(model.get_config())):
        for device in ("gpu", "cpu"):
            y = same_model(getattr(Tensor(data), device)())
            assert y.device == device
            np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-6)


def test_images_masks_and_labels_are_changed_alike(setting):
    results = []
    for device in ("cpu", "gpu"):
        parts = {
            "images": normal((2, 5, 8, 3)),
            "segmentation_masks": np.ones((2, 5, 8), "float32"),
        }
        config.set_random_seed(2)
        layer = Sequential([layers.RandomFlip(), layers.RandomRotation(0.2, "constant")])
        parts = {name: getattr(Tensor(a), device)() for name, a in parts.items()}
        for step in layer.layers:
            parts = step(parts, training=True)
        results.append([parts["images"], parts["segmentation_masks"]])
    same(*reversed(results))


def test_the_variational_autoencoder_draws_the_same_codes(setting):
    results = []
    for device in ("cpu", "gpu"):
        config.set_random_seed(5)
        with config.use_cpu():
            model = variational_autoencoder((8, 12, 1), code_size=3, filters=(2, 4))
        if device == "gpu":
            move(model)
        x = getattr(Tensor(np.abs(normal((2, 8, 12, 1))) % 1), device)()
        with GradientTape() as tape:
            loss = model.compute_loss(x, None, model(x, training=True))
        results.append([loss, *tape.gradient(loss, model.trainable_weights)])
    same(*reversed(results))


def test_images_are_prepared_where_they_are(setting):
    x = 255 * np.abs(normal((1, 2, 3, 3)))
    assert type(preprocess_input(x)) is np.ndarray
    same([preprocess_input(Tensor(x).gpu())], [preprocess_input(Tensor(x))])


@pytest.mark.parametrize("expression", STORED["expressions"])
def test_names_of_tensorflow_on_the_card(expression, cupy):
    with config.use_backend("cupy"):
        found = eval(expression, {"tf": tf, "np": np, **ARRAYS})
    assert found.device == "gpu"
    expected = STORED["expressions"][expression]
    assert (list(found.shape), found.dtype.name) == (expected["shape"], expected["dtype"])
    np.testing.assert_allclose(found.numpy().ravel(), expected["values"], rtol=2e-6, atol=1e-6)
