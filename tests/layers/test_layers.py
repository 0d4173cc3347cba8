"""What all layers share: names, weights, freezing, randomness, and what they refuse."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from minicnn import (
    GradientTape,
    Input,
    Model,
    Sequential,
    Variable,
    config,
    convert_to_tensor,
    initializers,
    layers,
)
from minicnn.errors import ArgumentError, ShapeError

rng = np.random.default_rng(3)


def images(batch=2, height=5, width=7, channels=3):
    return rng.normal(size=(batch, height, width, channels)).astype(np.float32)


# Names


def test_names_are_numbered_as_in_keras():
    # In a process of its own: the numbers count all layers made before.
    code = """
import json
from minicnn import Input, Sequential, layers as L
x = Input((4, 6, 1))
made = [L.Conv2D(1, 2), L.Conv2D(1, 2), L.Dense(1), L.Conv2D(1, 2), L.Conv2DTranspose(1, 2),
        L.BatchNormalization(), L.MaxPooling2D(), L.MaxPool2D(), L.AveragePooling2D(),
        L.GlobalAveragePooling2D(), L.GlobalMaxPooling2D(), L.UpSampling2D(), L.ZeroPadding2D(),
        L.Cropping2D(), L.GaussianNoise(1), L.ReLU(), L.Dense(1, name="code"), L.Dense(1),
        L.Concatenate(), L.Add(), Sequential(), Sequential()]
print(json.dumps([x.name] + [layer.name for layer in made]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [
        "input_layer",
        "conv2d",
        "conv2d_1",
        "dense",
        "conv2d_2",
        "conv2d_transpose",
        "batch_normalization",
        "max_pooling2d",
        "max_pooling2d_1",
        "average_pooling2d",
        "global_average_pooling2d",
        "global_max_pooling2d",
        "up_sampling2d",
        "zero_padding2d",
        "cropping2d",
        "gaussian_noise",
        "re_lu",
        "code",
        "dense_1",
        "concatenate",
        "add",
        "sequential",
        "sequential_1",
    ]


@pytest.mark.parametrize(
    ("class_name", "name"),
    [("VGG16", "vgg16"), ("MyCNN2", "my_cnn2"), ("ResNet50Block", "res_net50_block")],
)
def test_names_of_own_classes_are_made_as_in_keras(class_name, name):
    layer = type(class_name, (layers.Layer,), {})()
    assert re.fullmatch(rf"{name}(_\d+)?", layer.name)


# Configuration

LAYERS = [
    (
        layers.Conv2D,
        {
            "filters": 4,
            "kernel_size": (3, 2),
            "strides": (2, 1),
            "padding": "same",
            "dilation_rate": (1, 1),
            "groups": 2,
            "activation": "relu",
            "use_bias": False,
            "kernel_initializer": "he_normal",
            "bias_initializer": "ones",
            "kernel_regularizer": "l2",
            "bias_regularizer": {"class_name": "L1", "config": {"l1": 0.5}},
            "kernel_constraint": "max_norm",
            "bias_constraint": None,
            "activity_regularizer": "l1",
        },
    ),
    (
        layers.Conv2DTranspose,
        {
            "filters": 4,
            "kernel_size": (3, 2),
            "strides": (2, 3),
            "padding": "valid",
            "dilation_rate": (1, 1),
            "groups": 1,
            "activation": "tanh",
            "use_bias": True,
            "kernel_initializer": "glorot_uniform",
            "bias_initializer": "zeros",
            "kernel_regularizer": None,
            "bias_regularizer": None,
            "kernel_constraint": None,
            "bias_constraint": None,
            "output_padding": (1, 2),
        },
    ),
    (
        layers.Dense,
        {
            "units": 3,
            "activation": "sigmoid",
            "use_bias": True,
            "kernel_initializer": "random_normal",
            "bias_initializer": "ones",
            "kernel_regularizer": None,
            "bias_regularizer": None,
            "kernel_constraint": None,
            "bias_constraint": None,
        },
    ),
    (layers.Activation, {"activation": "selu"}),
    (layers.ReLU, {"max_value": 6.0, "negative_slope": 0.1, "threshold": 0.5}),
    (layers.Dropout, {"rate": 0.3, "noise_shape": (None, 1), "seed": 11}),
    (layers.GaussianNoise, {"stddev": 0.3, "seed": None}),
    (layers.Concatenate, {"axis": 2}),
    (layers.Add, {}),
    (layers.Flatten, {}),
    (layers.Reshape, {"target_shape": (3, -1)}),
    (layers.MaxPooling2D, {"pool_size": (3, 2), "strides": (1, 2), "padding": "same"}),
    (layers.AveragePooling2D, {"pool_size": (3, 2), "strides": (3, 2), "padding": "valid"}),
    (layers.GlobalAveragePooling2D, {"keepdims": True}),
    (layers.GlobalMaxPooling2D, {"keepdims": False}),
    (layers.UpSampling2D, {"size": (2, 3), "interpolation": "bilinear"}),
    (layers.ZeroPadding2D, {"padding": ((1, 0), (2, 3))}),
    (layers.Cropping2D, {"cropping": ((1, 0), (2, 3))}),
    (
        layers.BatchNormalization,
        {
            "axis": -1,
            "momentum": 0.9,
            "epsilon": 0.01,
            "center": False,
            "scale": True,
            "beta_initializer": "zeros",
            "gamma_initializer": "ones",
            "moving_mean_initializer": "zeros",
            "moving_variance_initializer": "ones",
            "beta_regularizer": None,
            "gamma_regularizer": "l2",
            "beta_constraint": None,
            "gamma_constraint": "non_neg",
        },
    ),
]


@pytest.mark.parametrize(("cls", "arguments"), LAYERS)
def test_config_holds_all_arguments_and_makes_the_layer_again(cls, arguments):
    settings = {"name": "mine", "trainable": False, "dtype": "float64"}
    layer = cls(**arguments, **settings)
    assert layer.get_config() == {**arguments, **settings}
    assert cls.from_config(layer.get_config()).get_config() == {**arguments, **settings}
    as_stored = json.loads(json.dumps(layer.get_config()))
    assert cls.from_config(as_stored).get_config() == layer.get_config()


def test_config_keeps_initializers_and_activations_without_a_name():
    def double(x):
        return 2.0 * x

    constant = initializers.Constant(0.5)
    first = layers.Dense(2, activation=double, kernel_initializer=constant)
    second = layers.Dense.from_config(first.get_config())
    # 0.5 * (1 + 2 + 3) = 3, doubled
    assert second([[1.0, 2.0, 3.0]]).numpy().tolist() == [[6.0, 6.0]]


def test_config_with_an_initializer_class_of_ones_own():
    class Ramp(initializers.Initializer):
        def __init__(self, step):
            super().__init__()
            self.step = step

        def draw(self, rng, shape):
            return self.step * np.arange(float(np.prod(shape))).reshape(shape)

    layer = layers.Dense(2, kernel_initializer=Ramp(10.0))
    twin = layers.Dense.from_config(layer.get_config())
    assert twin([[1.0, 1.0]]).numpy().tolist() == [[20.0, 40.0]]


# Weights


def test_weights_are_copies_and_set_in_order():
    layer = layers.Dense(2)
    layer(np.ones((1, 3)))
    kernel, bias = layer.get_weights()
    kernel[:] = 7.0
    assert not (layer.kernel.numpy() == 7.0).any()
    layer.set_weights([kernel, [1.0, -1.0]])
    assert layer([[1.0, 0.0, 0.0]]).numpy().tolist() == [[8.0, 6.0]]
    assert layer.count_params() == 3 * 2 + 2
    assert bias.tolist() == [0.0, 0.0]


def test_a_wrong_number_of_weights_is_refused():
    layer = layers.Dense(2, name="d")
    with pytest.raises(ShapeError, match=r"d: .* 2 arrays, but .* 0 weights because it is not bu"):
        layer.set_weights([np.ones((3, 2)), np.ones(2)])
    layer(np.ones((1, 3)))
    with pytest.raises(ShapeError, match=r"1 arrays, but the layer has 2 weights\."):
        layer.set_weights([np.ones((3, 2))])


def test_a_wrong_shape_is_refused_and_nothing_changed():
    layer = layers.Dense(2)
    layer(np.ones((1, 3)))
    before = layer.get_weights()
    with pytest.raises(ShapeError, match=r"shape \(3,\) for 'bias' of shape \(2,\)"):
        layer.set_weights([np.zeros((3, 2)), np.zeros(3)])
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])


def test_weights_and_results_have_the_layers_type():
    layer = layers.Conv2D(2, (3, 2), dtype="float64")
    assert layer(images()).dtype == np.float64
    assert {w.dtype for w in layer.weights} == {np.dtype("float64")}
    assert layers.Dense(2)(np.ones((1, 3), np.float64)).dtype == np.float32
    with config.use_floatx("float64"):
        assert layers.Dense(2)(np.ones((1, 3), np.float32)).dtype == np.float64


# Freezing


def gradients(layer, x, training=True):
    with GradientTape() as tape:
        y = layer(x, training=training)
    return tape.gradient(y, layer.weights)


def test_a_frozen_layer_gets_no_gradients_and_thaws_again():
    layer = layers.Dense(2)
    x = np.ones((1, 3))
    layer(x)
    layer.trainable = False
    assert layer.trainable_weights == []
    assert layer.non_trainable_weights == layer.weights
    assert gradients(layer, x) == [None, None]
    layer.trainable = True
    assert layer.trainable_variables == layer.weights
    assert [g.shape for g in gradients(layer, x)] == [(3, 2), (2,)]


def test_a_layer_frozen_before_it_is_built_makes_frozen_weights():
    layer = layers.Dense(2, trainable=False)
    layer(np.ones((1, 3)))
    assert layer.trainable_weights == []
    layer.trainable = True
    assert [w.name for w in layer.trainable_weights] == ["kernel", "bias"]


def test_freezing_a_model_freezes_the_layers_inside():
    inner = Sequential([layers.Dense(2, input_shape=(3,)), layers.Dense(4)])
    outer = Sequential([inner, layers.Dense(1)])
    inner.layers[0].trainable = False
    assert len(outer.trainable_weights) == 4
    outer.trainable = False
    assert outer.trainable_weights == []
    assert not inner.layers[1].trainable
    outer.trainable = True
    assert len(outer.trainable_weights) == 6


def test_moving_statistics_never_thaw():
    layer = layers.BatchNormalization()
    layer(images())
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]
    assert [w.name for w in layer.non_trainable_weights] == ["moving_mean", "moving_variance"]
    layer.trainable = False
    assert layer.trainable_weights == []
    layer.trainable = True
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]
    assert not layer.moving_mean.trainable
    assert not layer.moving_variance.trainable


def test_frozen_batch_normalization_uses_the_moving_statistics_in_training():
    x = images()
    layer = layers.BatchNormalization(epsilon=0.01)
    layer(x)
    mean, variance = np.array([1.0, -2.0, 0.5]), np.array([4.0, 0.25, 1.0])
    layer.set_weights([np.full(3, 2.0), np.full(3, 0.5), mean, variance])
    layer.trainable = False
    y = layer(x, training=True)
    expected = 2 * (x - mean) / np.sqrt(variance + 0.01) + 0.5
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), mean)

    layer.trainable = True
    y = layer(x, training=True).numpy()
    np.testing.assert_allclose(y.mean((0, 1, 2)), np.full(3, 0.5), atol=1e-5)
    moved = 0.99 * mean + 0.01 * x.mean((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean.numpy(), moved, rtol=1e-5)


def test_a_variable_that_was_made_frozen_does_not_thaw():
    class Counting(layers.Layer):
        def __init__(self):
            super().__init__()
            self.scale = Variable(2.0, name="scale")
            self.seen = Variable(0.0, trainable=False, name="seen")

        def call(self, inputs):
            return inputs * self.scale

    layer = Counting()
    layer.trainable = False
    assert layer.trainable_weights == []
    layer.trainable = True
    assert [w.name for w in layer.trainable_weights] == ["scale"]


# Randomness


def test_dropout_zeroes_its_share_and_keeps_the_mean():
    config.set_random_seed(5)
    x = np.full((100, 20, 30), 3.0, np.float32)
    y = layers.Dropout(0.3)(x, training=True).numpy()
    dropped = (y == 0).mean()
    # 60000 draws: the standard deviation of the share is 0.0019.
    assert abs(dropped - 0.3) < 0.01
    np.testing.assert_allclose(y[y != 0], 3.0 / 0.7, rtol=1e-6)
    assert abs(y.mean() - 3.0) < 0.04
    # Every place of a sample is drawn for itself.
    assert (y == 0).mean(0).min() > 0.1
    assert (y == 0).mean(0).max() < 0.5


def test_dropouts_gradient_flows_where_its_inputs_did():
    x = convert_to_tensor(np.ones((4, 5)))
    with GradientTape() as tape:
        tape.watch(x)
        y = layers.Dropout(0.5, seed=1, dtype="float64")(x, training=True)
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), y.numpy())


def test_gaussian_noise_has_its_standard_deviation():
    config.set_random_seed(6)
    x = np.full((100, 20, 30), 3.0, np.float32)
    noise = layers.GaussianNoise(0.25)(x, training=True).numpy() - x
    assert abs(noise.mean()) < 0.005
    assert abs(noise.std() - 0.25) < 0.005
    # Of normal values 68.3 % lie within one standard deviation.
    assert abs((np.abs(noise) < 0.25).mean() - 0.683) < 0.01


@pytest.mark.parametrize("make", [layers.Dropout, layers.GaussianNoise])
def test_noise_is_for_training_alone(make):
    x = images()
    np.testing.assert_array_equal(make(0.5)(x).numpy(), x)
    np.testing.assert_array_equal(make(0.5)(x, training=False).numpy(), x)
    np.testing.assert_array_equal(make(0.0)(x, training=True).numpy(), x)
    assert (make(0.5)(x, training=True).numpy() != x).any()


@pytest.mark.parametrize("make", [layers.Dropout, layers.GaussianNoise])
def test_a_seed_makes_noise_of_the_layers_own(make):
    x = images()
    one, other = make(0.5, seed=4), make(0.5, seed=4)
    first, second = (one(x, training=True).numpy() for _ in range(2))
    assert (first != second).any()
    config.set_random_seed(99)
    np.testing.assert_array_equal(other(x, training=True).numpy(), first)
    free = make(0.5)
    config.set_random_seed(99)
    a = free(x, training=True).numpy()
    config.set_random_seed(99)
    np.testing.assert_array_equal(free(x, training=True).numpy(), a)


def test_the_process_seed_repeats_first_weights():
    def kernel():
        config.set_random_seed(8)
        layer = layers.Conv2D(2, (3, 2))
        layer(images())
        return layer.kernel.numpy()

    np.testing.assert_array_equal(kernel(), kernel())


# Refusals


def test_add_and_concatenate_want_several_inputs_that_fit():
    one, narrow = images(), images(width=6)
    for layer in (layers.Add(name="m"), layers.Concatenate(name="m")):
        for single in (one, [one], Input((5, 7, 3)), [Input((5, 7, 3))]):
            with pytest.raises(ArgumentError, match="'m' must be called on a list of at least two"):
                layer(single)
    with pytest.raises(ShapeError, match=r"\(2, 5, 7, 3\), \(2, 5, 6, 3\) cannot be me"):
        layers.Add()([one, narrow])
    with pytest.raises(ShapeError, match=r"Add 'm': .*\(None, 5, 7, 3\), \(None, 5, 6, 3\)"):
        layers.Add(name="m")([Input((5, 7, 3)), Input((5, 6, 3))])
    with pytest.raises(ShapeError, match=r"\(2, 5, 7, 3\), \(2, 5, 6, 3\) .* axis -1"):
        layers.Concatenate()([one, narrow])
    with pytest.raises(ShapeError, match=r"Concatenate 'm': .*\(None, 5, 7, 3\), \(None, 5, 6, 3"):
        layers.Concatenate(name="m")([Input((5, 7, 3)), Input((5, 6, 3))])
    with pytest.raises(ShapeError, match=r"axis -1"):
        layers.Concatenate()([Input((5, 7, 3)), Input((5, 7))])
    with pytest.raises(ArgumentError, match=r"axis=5, but .* 4 axes; it must be -4 to 3"):
        layers.Concatenate(5)([Input((5, 7, 3)), Input((5, 7, 3))])
    with pytest.raises(ShapeError, match="axis 5"):
        layers.Concatenate(5)([one, one])


def test_merging_joins_what_fits():
    a, b = images(), images(channels=2)
    joined = layers.Concatenate()([a, b]).numpy()
    np.testing.assert_array_equal(joined, np.concatenate([a, b], -1))
    row = images(height=1)
    np.testing.assert_array_equal(layers.Add()([a, row, a]).numpy(), a + row + a)


BUILT = [
    lambda: layers.Conv2D(2, (3, 2), name="w"),
    lambda: layers.Conv2DTranspose(2, (3, 2), name="w"),
    lambda: layers.Dense(2, name="w"),
    lambda: layers.BatchNormalization(name="w"),
]


@pytest.mark.parametrize("make", BUILT)
def test_other_channels_than_the_layer_was_built_for_are_refused(make):
    layer = make()
    layer(images(channels=4))
    with pytest.raises(ShapeError, match=r"'w': .*3.*4"):
        layer(images(channels=3))
    with pytest.raises(ShapeError, match=r"'w': .*\(None, 5, 7, 3\).* the 4 channels"):
        layer(Input((5, 7, 3)))


@pytest.mark.parametrize("make", BUILT)
def test_an_open_last_axis_is_refused(make):
    with pytest.raises(ShapeError, match=r"'w': .*\(None, 5, 7, None\).*known number"):
        make()(Input((5, 7, None)))


@pytest.mark.parametrize("make", BUILT)
def test_several_inputs_for_a_layer_of_one_are_refused(make):
    with pytest.raises(ShapeError, match="'w': got 2 inputs in a list, but takes one"):
        make()([convert_to_tensor(images())] * 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv2D(2, 3),
        lambda: layers.Conv2DTranspose(2, 3),
        layers.MaxPooling2D,
        layers.AveragePooling2D,
        layers.GlobalAveragePooling2D,
        layers.GlobalMaxPooling2D,
        layers.UpSampling2D,
        layers.ZeroPadding2D,
        layers.Cropping2D,
        lambda: layers.DepthwiseConv2D(3),
        lambda: layers.SeparableConv2D(2, 3),
    ],
)
def test_images_must_have_four_axes(make):
    with pytest.raises(ShapeError, match=r"\(5, 7\), but must have"):
        make()(np.ones((5, 7)))
    with pytest.raises(ShapeError, match=r"\(None, 7\), but must have 4 axes \(N,H,W,C\)"):
        make()(Input((7,)))


@pytest.mark.parametrize(
    "make",
    [
        lambda **k: layers.Conv2D(2, 3, **k),
        lambda **k: layers.Conv2DTranspose(2, 3, **k),
        layers.MaxPooling2D,
        layers.AveragePooling2D,
        layers.GlobalAveragePooling2D,
        layers.GlobalMaxPooling2D,
        layers.UpSampling2D,
        layers.ZeroPadding2D,
        layers.Cropping2D,
    ],
)
def test_only_channels_last_is_known(make):
    make(data_format="channels_last")
    with pytest.raises(ArgumentError, match=r"data_format='channels_first'.*\(N,H,W,C\)"):
        make(data_format="channels_first")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.Dense(0), "units=0"),
        (lambda: layers.Dense(2.5), "units=2.5"),
        (lambda: layers.Dense(True), "units=True"),
        (lambda: layers.Dense(2, "rleu"), "did you mean 'relu'"),
        (lambda: layers.Dense(2, kernel_initializer="he_norml"), "did you mean 'he_normal'"),
        (lambda: layers.Conv2D(0, 3), "filters=0"),
        (lambda: layers.Conv2D(2, 0), "kernel_size"),
        (lambda: layers.Conv2D(2, 3, padding="smae"), "did you mean 'same'"),
        (lambda: layers.Conv2D(3, 3, groups=2), "groups=2 must divide the 3 filters"),
        (lambda: layers.Dropout(1.0), "rate=1.0"),
        (lambda: layers.Dropout(-0.1), "rate=-0.1"),
        (lambda: layers.GaussianNoise(-1.0), "stddev=-1.0"),
        (lambda: layers.BatchNormalization(momentum=2.0), "momentum=2.0"),
        (lambda: layers.Reshape((-1, 2, -1)), "-1 twice"),
        (lambda: layers.UpSampling2D(interpolation="cubic"), "'nearest', 'bilinear'"),
        (lambda: layers.ZeroPadding2D(-1), "padding=-1"),
        (lambda: layers.MaxPooling2D((2, 0)), "pool_size"),
        (lambda: Input(5), "shape=5"),
        (lambda: Input((5, 0)), r"shape=\(5, 0\)"),
    ],
)
def test_arguments_outside_their_rule_are_refused(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


@pytest.mark.parametrize(
    ("make", "shape", "text"),
    [
        (lambda: layers.Conv2D(4, 3, groups=2), (5, 7, 3), "groups=2 must divide the 3 channels"),
        (lambda: layers.Conv2D(4, (6, 2)), (5, 7, 3), "height has only 5"),
        (lambda: layers.Conv2D(4, (2, 8)), (5, 7, 3), "width has only 7"),
        (lambda: layers.MaxPooling2D((6, 2)), (5, 7, 3), "height has only 5"),
        (lambda: layers.Cropping2D((1, 4)), (5, 7, 3), "image of 5 x 7"),
        (lambda: layers.Reshape((4, -1)), (5, 7, 3), "105 numbers"),
        (lambda: layers.BatchNormalization(1), (5, 7, 3), "axis=1"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_eagerly_and_symbolically(make, shape, text):
    with pytest.raises(ArgumentError, match=text):
        make()(np.ones((2, *shape)))
    with pytest.raises(ArgumentError, match=text):
        make()(Input(shape))


def test_open_sizes_stay_open():
    x = Input((None, 7, 3))
    assert layers.Conv2D(2, 3, strides=(1, 2))(x).shape == (None, None, 3, 2)
    assert layers.Conv2DTranspose(2, 3, 2, "same")(x).shape == (None, None, 14, 2)
    assert layers.MaxPooling2D((2, 3))(x).shape == (None, None, 2, 3)
    assert layers.UpSampling2D((2, 3))(x).shape == (None, None, 21, 3)
    assert layers.ZeroPadding2D((2, 1))(x).shape == (None, None, 9, 3)
    assert layers.Cropping2D((2, 1))(x).shape == (None, None, 5, 3)
    assert layers.Conv1D(4, 3)(Input((None, 3))).shape == (None, None, 4)
    assert layers.Flatten()(Input((None, 7))).shape == (None, None)
    assert layers.Reshape((-1, 2))(Input((None, 7))).shape == (None, None, 2)
    assert layers.Dense(2)(Input((None, 7))).shape == (None, None, 2)
    assert layers.Add()([x, Input((5, 1, 3))]).shape == (None, 5, 7, 3)


def test_a_network_of_convolutions_takes_images_of_any_size():
    x = Input((None, None, 3))
    y = layers.Conv2D(4, 3, 2, "same", activation="relu")(x)
    model = Model(x, layers.Conv2DTranspose(2, 3, 2, "same")(y))
    assert model.output_shape == (None, None, None, 2)
    for height, width in ((6, 8), (10, 4)):
        assert model(images(2, height, width)).shape == (2, height, width, 2)


# Symbolic tensors


def test_symbolic_and_real_do_not_mix_in_layers():
    with pytest.raises(ArgumentError, match="symbolic tensors and a ndarray"):
        layers.Add()([Input((3,)), np.ones((2, 3))])


def test_a_layer_knows_its_symbolic_input_and_output():
    layer = layers.Dense(4, name="d")
    with pytest.raises(ArgumentError, match="'d' has no output yet"):
        _ = layer.output
    x = Input((3,), name="in")
    y = layer(x)
    assert layer.input is x
    assert layer.output is y
    assert y.shape == (None, 4)
    assert y.ndim == 2
    assert repr(y) == "<SymbolicTensor shape=(None, 4) dtype=float32 from 'd'>"


def test_padding_in_numbers_is_padding_with_zeros():
    x = images()
    layer = layers.Conv2D(2, (3, 2), padding=((1, 0), (2, 3)))
    y = layer(x).numpy()
    padded = layers.ZeroPadding2D(((1, 0), (2, 3)))(x).numpy()
    assert padded.shape == (2, 6, 12, 3)
    np.testing.assert_array_equal(padded[:, 1:, 2:9], x)
    assert np.abs(padded).sum() == pytest.approx(np.abs(x).sum(), rel=1e-5)
    valid = layers.Conv2D(2, (3, 2))
    valid(padded)
    valid.set_weights(layer.get_weights())
    np.testing.assert_allclose(valid(padded).numpy(), y, rtol=1e-5, atol=1e-6)
    assert layer(Input((5, 7, 3))).shape == (None, *y.shape[1:])


def test_a_plain_relu_is_the_activation():
    x = images()
    np.testing.assert_array_equal(layers.ReLU()(x).numpy(), np.maximum(x, 0))
    limited = layers.ReLU(max_value=0.5)(x).numpy()
    np.testing.assert_array_equal(limited, np.clip(x, 0, 0.5))


def test_dense_wants_a_batch_axis():
    with pytest.raises(ShapeError, match=r"\(3,\), no batch axis"):
        layers.Dense(2)(np.ones(3))


# Layers of one's own


def test_a_layer_without_call_returns_its_input():
    layer = layers.Layer(name="same")
    x = images()
    np.testing.assert_array_equal(layer(x).numpy(), x)
    assert layer(Input((5, 7))).shape == (None, 5, 7)
    assert layer.variables == layer.weights == []
    assert repr(layer) == "<Layer name='same' built=True>"


class Affine(layers.Layer):
    """As in Keras' guide: weights from `build`, added by keywords alone."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        return inputs @ self.w + self.b


def test_a_layer_written_as_in_keras_guide():
    layer = Affine(4)
    x = rng.normal(size=(2, 3)).astype(np.float32)
    y = layer(x, training=True)
    np.testing.assert_allclose(y.numpy(), x @ layer.w.numpy(), rtol=1e-5, atol=1e-7)
    assert [w.shape for w in layer.trainable_weights] == [(3, 4), (4,)]
    symbol = Input((3,))
    model = Model(symbol, Affine(4)(symbol))
    assert model.output_shape == (None, 4)
    assert model.count_params() == 16


class Block(layers.Layer):
    """Layers as attributes, in a list and in a dictionary, and weights in both ways."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(3)
        self.rest = [layers.Dense(4), layers.Dense(5, use_bias=False)]
        self.heads = {"a": layers.Dense(1), "b": layers.Dense(2)}
        self.gain = Variable(2.0, name="gain")
        self.shifts = [Variable([1.0], name="left"), Variable([3.0], name="right")]

    def call(self, inputs):
        x = self.first(inputs)
        for layer in self.rest:
            x = layer(x)
        left, right = self.heads["a"](x), self.heads["b"](x)
        return self.gain * layers.Concatenate()([left + self.shifts[0], right + self.shifts[1]])


def test_a_composite_layer_finds_its_layers_and_variables():
    block = Block()
    assert block.sublayers == [block.first, *block.rest, *block.heads.values()]
    y = block(np.zeros((2, 6)))
    assert y.numpy().tolist() == [[2.0, 6.0, 6.0]] * 2
    shapes = [w.shape for w in block.weights]
    assert shapes == [
        *[(), (1,), (1,)],
        *[(6, 3), (3,), (3, 4), (4,), (4, 5), (5, 1), (1,), (5, 2), (2,)],
    ]
    assert [w.name for w in block.own_weights] == ["gain", "left", "right"]
    assert block.count_params() == 3 + 21 + 16 + 20 + 6 + 12
    assert all(g is not None for g in gradients(block, np.ones((2, 6))))
    block.trainable = False
    assert block.trainable_weights == []
    assert not block.heads["b"].trainable


def test_a_composite_layer_tells_its_shape_and_is_built_when_drawn_up():
    block = Block()
    assert block(Input((6,))).shape == (None, 3)
    assert block.count_params() == 78


def test_a_layer_of_one_input_that_leaves_its_shape_to_be_found_out():
    class Halves(layers.Layer):
        def call(self, inputs):
            half = inputs.shape[1] // 2
            return inputs[:, :half], inputs[:, half:]

    x = Input((5, 4))
    top, bottom = Halves()(x)
    assert (top.shape, bottom.shape) == ((None, 2, 4), (None, 3, 4))
    data = rng.normal(size=(3, 5, 4)).astype(np.float32)
    first, second = Model(x, [top, bottom])(data)
    np.testing.assert_array_equal(first.numpy(), data[:, :2])
    np.testing.assert_array_equal(second.numpy(), data[:, 2:])
    assert [half.shape for half in Halves()(Input((None, 4)))] == [(None, None, 4)] * 2


class Sampling(layers.Layer):
    """The reparametrization of a variational autoencoder: several inputs, one output."""

    def call(self, inputs, training=False):
        mean, spread = inputs
        return mean + 2.0 * spread if training else mean


def test_a_layer_of_several_inputs():
    mean, spread = Variable(np.ones((2, 3))), Variable(np.full((2, 3), 5.0))
    layer = Sampling(dtype="float64")
    with GradientTape() as tape:
        y = layer([mean, spread], training=True)
    assert (y.numpy() == 11.0).all()
    towards_mean, towards_spread = tape.gradient(y, [mean, spread])
    assert (towards_mean.numpy() == 1.0).all()
    assert (towards_spread.numpy() == 2.0).all()
    assert layer([Input((3,)), Input((3,))]).shape == (None, 3)
    # A list of lists of numbers is one array.
    assert layers.Activation("relu")([[1.0, -1.0], [-2.0, 2.0]]).numpy().tolist() == [
        [1.0, 0.0],
        [0.0, 2.0],
    ]


class Noisy(layers.Layer):
    """Calls a layer without telling it whether it is training."""

    def __init__(self):
        super().__init__()
        self.dropout = layers.Dropout(0.5)

    def call(self, inputs):
        return self.dropout(inputs)


def test_layers_inside_inherit_whether_they_are_trained():
    x = np.ones((50, 40), np.float32)
    layer = Noisy()
    assert (layer(x, training=True).numpy() == 0).any()
    assert (layer(x, training=False).numpy() == 1).all()
    assert (layer(x).numpy() == 1).all()

    class Quiet(Noisy):
        def call(self, inputs):
            return self.dropout(inputs, training=False)

    assert (Quiet()(x, training=True).numpy() == 1).all()


def test_the_mode_is_given_back_after_an_error():
    class Failing(layers.Layer):
        def call(self, inputs):
            raise KeyError("inside")

    with pytest.raises(KeyError):
        Failing()(np.ones((1, 1)), training=True)
    x = np.ones((50, 40), np.float32)
    assert (layers.Dropout(0.5)(x).numpy() == 1).all()


def test_training_said_while_drawing_up_holds_for_good():
    x = Input((40,))
    always = Model(x, layers.Dropout(0.5)(x, training=True))
    never = Model(x, layers.Dropout(0.5)(x, training=False))
    data = np.ones((50, 40), np.float32)
    assert (always(data, training=False).numpy() == 0).any()
    assert (never(data, training=True).numpy() == 1).all()


def test_an_input_layer_says_its_shape_and_type():
    x = Input((5, 7, 3), name="photo", dtype="float64")
    assert x.shape == (None, 5, 7, 3)
    assert x.name == "photo"
    assert x.dtype == "float64"
    assert layers.InputLayer((5, 7)).compute_output_shape(None) == (None, 5, 7)
    assert Input((5, 7), batch_size=4).shape == Input(batch_shape=(4, 5, 7)).shape == (4, 5, 7)
    for wrong in ({}, {"shape": (5,), "batch_shape": (None, 5)}):
        with pytest.raises(ArgumentError, match="give either shape"):
            Input(**wrong)
    assert x.call.layer.get_config() == {
        "name": "photo",
        "trainable": True,
        "dtype": "float64",
        "batch_shape": (None, 5, 7, 3),
    }


@pytest.mark.parametrize(
    ("size", "wanted", "rows"),  # the sums of rows, from Keras 3.15.1
    [
        ((8, 10), (6, 6), [-11, 87, 187, 287, 387, 129]),
        ((9, 10), (6, 6), [42, 132, 222, 312, 402, 492]),
        ((5, 9), (7, 4), [-20, -20, 10.857, 88, 134.286, -20, -20]),
        ((3, 8), (6, 10), [35, 55, 95, 135, 175, 195]),
        ((7, 8), (5, 6), [30.6, 97.8, 165, 232.2, 299.4]),
    ],
)
def test_resizing_pads_both_sides_alike_as_in_keras(size, wanted, rows):
    image = np.arange(size[0] * size[1], dtype=np.float32).reshape(1, *size, 1)
    padded = layers.Resizing(*wanted, pad_to_aspect_ratio=True, fill_value=-5.0)(image).numpy()
    np.testing.assert_allclose(padded[0, ..., 0].sum(1), rows, atol=1e-3)
