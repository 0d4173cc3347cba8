"""Penalties that layers add to the loss, bounds of weights, and layers written as in Keras."""

import numpy as np
import pytest

from minicnn import (
    GradientTape,
    Input,
    Model,
    Sequential,
    Tensor,
    config,
    constraints,
    layers,
    ops,
    optimizers,
    regularizers,
)
from minicnn.errors import ArgumentError, ShapeError

rng = np.random.default_rng(12)
X = rng.normal(size=(6, 3)).astype(np.float32)
Y = rng.normal(size=(6, 2)).astype(np.float32)


class Adding(layers.Layer):
    """Adds the mean of its input, and twice that, to the loss."""

    def call(self, inputs):
        mean = ops.mean(inputs)
        self.add_loss(mean)
        self.add_loss([2.0 * mean])
        return inputs


def test_losses_are_those_of_the_last_call_then_those_of_the_weights():
    model = Sequential(
        [
            layers.Dense(4, kernel_regularizer="l2", input_shape=(3,)),
            Adding(),
            layers.Dense(2, activity_regularizer="l1", bias_regularizer=lambda b: ops.sum(b + 1.0)),
        ]
    )
    model(X)
    model(X)
    hidden = model.layers[0](X)
    y = model(X).numpy()
    mean = hidden.numpy().mean()
    kernel = model.layers[0].kernel.numpy()
    expected = [mean, 2 * mean, 0.01 * np.abs(y).sum() / 6, 0.01 * (kernel**2).sum(), 2.0]
    np.testing.assert_allclose([float(loss) for loss in model.losses], expected, rtol=1e-5)
    assert len(model.layers[1].losses) == 2
    model.layers[0].trainable = False
    assert len(model.losses) == 4


def test_drawing_up_leaves_no_losses():
    x = Input((3,))
    model = Model(x, Adding()(x))
    assert model.losses == []


def test_training_with_added_losses_alone():
    model = Sequential([layers.Dense(4, input_shape=(3,)), Adding()])
    model.compile(optimizers.SGD(0.5))
    before = model(X).numpy().mean() * 3
    assert model.evaluate(X, verbose=0) == pytest.approx(before, rel=1e-4)
    history = model.fit(X, epochs=2, batch_size=6, shuffle=False, verbose=0).history
    assert history["loss"][0] == pytest.approx(before, rel=1e-4)
    assert history["loss"][1] < history["loss"][0]
    model = Sequential([layers.Dense(4, input_shape=(3,))])
    model.compile(optimizers.SGD(0.5))
    with pytest.raises(ArgumentError, match="needs a loss"):
        model.fit(X, verbose=0)


def test_a_penalty_reaches_layers_that_are_called_by_themselves():
    encoder = layers.Dense(2, activity_regularizer=regularizers.L2(0.5))
    with GradientTape() as tape:
        encoder(X)
        (loss,) = encoder.losses
    gradient = tape.gradient(loss, encoder.kernel).numpy()
    expected = X.T @ (X @ encoder.kernel.numpy()) / 6
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_joined_layers_with_penalties_are_run_one_by_one():
    x = Input((6, 8, 2))
    y = layers.Conv2D(3, 3, activation="relu", activity_regularizer="l2")(x)
    model = Model(x, layers.MaxPooling2D(2)(y))
    data = rng.normal(size=(4, 6, 8, 2)).astype(np.float32)
    model(data)
    between = model.layers[1](data).numpy()
    model(data)
    assert float(model.losses[0]) == pytest.approx(0.01 * (between**2).sum() / 4, rel=1e-4)


def test_only_tensors_can_be_added():
    layer = Adding(name="adds")
    for wrong in (1.0, Input((3,)), [Tensor(1.0), None]):
        with pytest.raises(ArgumentError, match="adds: add_loss got a"):
            layer.add_loss(wrong)


def test_weights_keep_within_their_bounds_while_they_are_trained():
    config.set_random_seed(1)  # some weight wants to become negative
    model = Sequential(
        [
            layers.Dense(4, kernel_constraint=constraints.MaxNorm(0.5), input_shape=(3,)),
            layers.Dense(2, kernel_constraint="non_neg", bias_constraint=lambda b: b * 0.0),
        ]
    )
    model.compile(optimizers.Adam(0.1), "mse")
    model.fit(X, Y, epochs=3, batch_size=3, verbose=0)
    first, _, second, bias = model.get_weights()
    assert np.sqrt((first**2).sum(0)).max() <= 0.5 + 1e-6
    assert second.min() == 0.0
    assert second.max() > 0
    assert bias.tolist() == [0.0, 0.0]


def test_names_and_configs_find_penalties_and_bounds():
    for module, names in (
        (regularizers, ["l1", "L2", "l1_l2", "L1L2", "orthogonal_regularizer", "kl_sparsity"]),
        (constraints, ["max_norm", "MaxNorm", "non_neg", "unit_norm", "min_max_norm"]),
    ):
        for name in names:
            made = module.get(name)
            twin = module.get(module.serialize(made))
            assert type(twin) is type(made)
            assert twin.get_config() == made.get_config()
        assert module.get(None) is None
        with pytest.raises(ArgumentError, match="is not known"):
            module.get("nothing")
    stored = regularizers.serialize(regularizers.L2(0.5))
    assert stored == {"class_name": "L2", "config": {"l2": 0.5}}
    assert regularizers.get(stored).l2 == 0.5
    assert regularizers.get(regularizers.L1).l1 == 0.01


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: regularizers.L1("much"), "L1: l1='much'"),
        (lambda: regularizers.L2(float("nan")), "must be finite"),
        (lambda: regularizers.OrthogonalRegularizer(mode="diagonal"), "'rows', 'columns'"),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones(3)), "a matrix of two axes"),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones((1, 3))), "at least two"),
        (lambda: regularizers.KLSparsity(1.0), "rho=1.0"),
        (lambda: regularizers.CodeOrthogonality()(np.ones((4, 1))), "at least two"),
        (lambda: layers.Dense(2, unts=3), "Dense 'dense.*the argument 'unts' is not known"),
        (lambda: layers.LeakyReLU(-0.1), "negative_slope=-0.1"),
        (lambda: layers.ReLU(max_value=-1), "max_value=-1"),
        (lambda: layers.PReLU(shared_axes=4)(np.ones((1, 2, 3))), r"shared_axes=\[4\]"),
        (lambda: layers.Dropout(0.5, noise_shape=(0, 1)), "noise_shape"),
        (lambda: layers.Dropout(0.5, (2, 2))(X, training=True), r"noise_shape=\(2, 2\)"),
        (lambda: layers.Permute((1, 3)), "dims="),
        (lambda: layers.Subtract()([X, X, X]), "exactly two inputs, not 3"),
        (lambda: layers.Dot(3)([X, X]), "no such axes"),
        (lambda: layers.Dot((1, 2, 3)), "one or two axes"),
        (lambda: layers.Dot(1)([X, Y]), "different lengths"),
        (lambda: layers.Multiply()([X, Y]), "cannot be merged"),
        (lambda: layers.Resizing(4, 5, antialias=True), "antialias=True"),
        (lambda: layers.Resizing(4, 5, "cubic"), "'nearest', 'bilinear'"),
        (lambda: layers.Resizing(4, 5, "nearest", True, True), "choose one"),
        (lambda: layers.Conv1D(2, (3, 2)), r"kernel_size=\(3, 2\)"),
        (lambda: layers.Conv2D(2, 3, padding="causal"), "'valid', 'same'"),
        (lambda: layers.Cropping1D(3)(np.ones((1, 6, 2))), "leaves nothing of a sequence of 6"),
        (lambda: layers.LayerNormalization(4)(X), "axis=4"),
    ],
)
def test_arguments_outside_their_rule_are_refused(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


class Scaled(layers.Layer):
    """As in Keras' guides: positional weights, several inputs, build called from outside."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.gain = self.add_weight(
            (input_shape[-1],), "ones", name="gain", regularizer="l2", constraint="non_neg"
        )
        super().build(input_shape)

    def call(self, inputs, shift, training=None):
        return inputs * self.gain * self.factor + (shift if training else 0.0)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def test_a_layer_built_from_outside_is_built_once():
    layer = Scaled(2.0)
    layer.build((None, 3))
    assert layer.built
    y = layer(X, 1.0, training=True)
    np.testing.assert_allclose(y.numpy(), 2 * X + 1, rtol=1e-6)
    np.testing.assert_allclose(layer(X, shift=1.0).numpy(), 2 * X, rtol=1e-6)
    assert [w.name for w in layer.weights] == ["gain"]
    with pytest.raises(TypeError, match="shift"):
        layer(X)
    assert float(layer.losses[0]) == pytest.approx(0.03)
    assert layer.gain.constraint(np.array([-1.0])).numpy().tolist() == [0.0]
    twin = Scaled.from_config(layer.get_config())
    assert twin.factor == 2.0
    assert layer(Input((3,)), 1.0).shape == (None, 3)
    with pytest.raises(ArgumentError, match="'shfit' is not known; did you mean 'shift'"):
        layer(Input((3,)), shfit=1.0)


def test_the_shape_of_the_first_layer_in_all_its_forms():
    for given in ({"input_shape": (3,)}, {"input_dim": 3}, {"batch_input_shape": (None, 3)}):
        model = Sequential([layers.Dense(4, **given), layers.Dense(2, input_shape=(4,))])
        assert model.output_shape == (None, 2)


def test_rescaling_and_resizing_take_what_images_are_read_as():
    pixels = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    scaled = layers.Rescaling(1 / 255)(pixels)
    np.testing.assert_allclose(scaled.numpy(), pixels / 255, rtol=1e-6)
    by_channel = layers.Rescaling([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])(pixels).numpy()
    np.testing.assert_allclose(by_channel, pixels * [1.0, 2.0, 3.0] + [0.0, 1.0, 2.0])
    twin = layers.Rescaling.from_config(layers.Rescaling([1.0, 2.0, 3.0]).get_config())
    assert twin.scale == [1.0, 2.0, 3.0]
    near = layers.Resizing(2, 3, "nearest")(pixels).numpy()
    np.testing.assert_array_equal(near, pixels[:, 1::2, 1::2])


def test_what_spatial_dropout_drops_are_channels():
    x = np.ones((50, 5, 7, 20), np.float32)
    y = layers.SpatialDropout2D(0.25, seed=3)(x, training=True).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
    # 1000 draws: the standard deviation of the share is 0.014.
    assert abs((y[:, 0, 0] == 0).mean() - 0.25) < 0.06
    noise = layers.GaussianDropout(0.2, seed=3)(x, training=True).numpy() - 1
    assert abs(noise.std() - 0.5) < 0.005


def test_shapes_must_be_given_where_weights_depend_on_them():
    with pytest.raises(ShapeError, match="leaves an axis open"):
        layers.PReLU()(Input((None, 3)))
    with pytest.raises(ShapeError, match="leaves open an axis"):
        layers.LayerNormalization((1, 2))(Input((None, 3)))
    assert layers.PReLU(shared_axes=1)(Input((None, 3))).shape == (None, None, 3)
