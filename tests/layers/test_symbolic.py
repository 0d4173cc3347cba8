"""Operators and operations on symbolic tensors: drawn up first, computed later."""

import json

import numpy as np
import pytest

from minicnn import (
    GradientTape,
    Input,
    Model,
    activations,
    layers,
    models,
    ops,
    regularizers,
)
from minicnn.errors import ArgumentError, ShapeError, SymbolicError

rng = np.random.default_rng(11)
ROW = rng.normal(size=(7, 1)).astype(np.float32)

#: Each as a function of one image (5, 7, 3) and of NumPy's or minicnn's functions.
EXPRESSIONS = {
    "x + 2": lambda x: x + 2.0,
    "2 + x": lambda x: 2.0 + x,
    "x - 2": lambda x: x - 2.0,
    "2 - x": lambda x: 2.0 - x,
    "x * 2": lambda x: x * 2.0,
    "2 * x": lambda x: 2.0 * x,
    "x / 2": lambda x: x / 2.0,
    "2 / x": lambda x: 2.0 / (x * x + 1.0),
    "x ** 2": lambda x: x**2,
    "2 ** x": lambda x: 2.0**x,
    "-x": lambda x: -x,
    "abs(x)": lambda x: abs(x),
    "x + x": lambda x: x + x,
    "x - x * x": lambda x: x - x * x,
    "x / (x * x + 1)": lambda x: x / (x * x + 1.0),
    "x + row": lambda x: x + ROW,
    "row - x": lambda x: ROW - x,
    "x @ matrix": lambda x: x @ np.ones((3, 2), np.float32),
    "x[:, 1:3]": lambda x: x[:, 1:3],
    "x[:, -1]": lambda x: x[:, -1],
    "x[..., 0:1]": lambda x: x[..., 0:1],
    "x[:, :, ::2, None]": lambda x: x[:, :, ::2, None],
    "x[:, [1, 0, 1]]": lambda x: x[:, [1, 0, 1]],
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_operators_compute_what_numpy_does(name):
    data = rng.normal(size=(2, 5, 7, 3)).astype(np.float32)
    x = Input((5, 7, 3))
    y = EXPRESSIONS[name](x)
    expected = EXPRESSIONS[name](data)
    assert y.shape == (None, *expected.shape[1:])
    assert y.dtype == "float32"
    result = Model(x, y)(data).numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


OPERATIONS = {
    "relu": (lambda x: ops.relu(x), (5, 7, 3)),
    "gelu": (lambda x: activations.gelu(x, approximate=True), (5, 7, 3)),
    "leaky_relu": (lambda x: activations.leaky_relu(x), (5, 7, 3)),
    "mean": (lambda x: ops.mean(x, axis=(1, 2)), (3,)),
    "max": (lambda x: ops.max(x, axis=-1, keepdims=True), (5, 7, 1)),
    "reshape": (lambda x: ops.reshape(x, (-1, 35, 3)), (35, 3)),
    "transpose": (lambda x: ops.transpose(x, (0, 2, 1, 3)), (7, 5, 3)),
    "concatenate": (lambda x: ops.concatenate([x, x * 2.0], axis=1), (10, 7, 3)),
    "maximum": (lambda x: ops.maximum(x, 0.5), (5, 7, 3)),
    "where": (lambda x: ops.where(np.ones((7, 1), bool), x, 0.0), (5, 7, 3)),
    "softmax": (lambda x: ops.softmax(x), (5, 7, 3)),
    "conv2d": (lambda x: ops.conv2d(x, np.ones((3, 2, 3, 4), np.float32)), (3, 6, 4)),
    "max_pool2d": (lambda x: ops.max_pool2d(x, (2, 3)), (2, 2, 3)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_become_parts_of_a_network(name):
    function, shape = OPERATIONS[name]
    data = rng.normal(size=(2, 5, 7, 3)).astype(np.float32)
    x = Input((5, 7, 3))
    y = function(x)
    assert y.shape == (None, *shape)
    np.testing.assert_array_equal(Model(x, y)(data).numpy(), function(data).numpy())


def test_an_operation_over_the_batch_has_no_open_axis():
    x = Input((5,))
    assert ops.sum(x).shape == ()
    assert ops.mean(x, axis=0).shape == (5,)
    assert ops.reshape(x, (-1,)).shape == (None,)


def test_open_sizes_stay_open_in_operations():
    x = Input((None, 7, 3))
    assert (x * 2.0 + 1.0).shape == (None, None, 7, 3)
    assert ops.mean(x, axis=1).shape == (None, 7, 3)
    assert ops.mean(x, axis=2).shape == (None, None, 3)
    assert x[:, 1:].shape == (None, None, 7, 3)
    assert activations.gelu(x).shape == (None, None, 7, 3)


def test_operators_are_no_layers_of_the_model_and_are_named_as_in_keras():
    x = Input((3,), name="in")
    a, b = layers.Dense(4, name="a")(x), layers.Dense(4, name="b")(x)
    total = a + b
    model = Model(x, layers.Dense(2, name="c")(total))
    assert [layer.name for layer in model.layers] == ["in", "a", "b", "c"]
    assert total.name.startswith("add")
    data = rng.normal(size=(5, 3)).astype(np.float32)
    k1, b1, k2, b2, k3, b3 = model.get_weights()
    expected = (data @ k1 + b1 + (data @ k2 + b2)) @ k3 + b3
    np.testing.assert_allclose(model(data).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_gradients_flow_through_operations():
    x = Input((3,))
    hidden = layers.Dense(4)(x)
    model = Model(x, ops.mean(activations.silu(hidden) * 2.0 - hidden**2, axis=1))
    data = rng.normal(size=(5, 3)).astype(np.float32)
    with GradientTape() as tape:
        y = model(data)
    kernel, bias = model.get_weights()
    h = data @ kernel + bias
    sigmoid = 1 / (1 + np.exp(-h))
    slope = (2 * sigmoid * (1 + h * (1 - sigmoid)) - 2 * h) / 4
    found = tape.gradient(y, model.trainable_weights)
    np.testing.assert_allclose(found[0].numpy(), data.T @ slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1].numpy(), slope.sum(0), rtol=1e-4, atol=1e-5)


def test_an_operation_is_made_again_from_its_config():
    x = Input((5, 7, 3))
    data = rng.normal(size=(2, 5, 7, 3)).astype(np.float32)
    for function in [*EXPRESSIONS.values(), *(f for f, _ in OPERATIONS.values())]:
        call = function(x).call
        stored = json.loads(json.dumps(call.layer.get_config()))
        twin = layers.Operation.from_config(stored)
        values = [data if p is x else Model(x, p)(data).numpy() for p in call.input_list]
        np.testing.assert_array_equal(twin(values).numpy(), call.layer(values).numpy())
        assert twin.get_config() == call.layer.get_config()
    with pytest.raises(ArgumentError, match=r"operation='ops.nothing' is not known"):
        layers.Operation("ops.nothing", [], {})


def test_a_symbolic_tensor_has_no_numbers():
    x = Input((3,), name="in")
    for use in (np.asarray, np.array, float, bool, list):
        with pytest.raises(SymbolicError, match=r"from 'in'> has no numbers yet"):
            use(x)
    with pytest.raises(ShapeError, match=r"add.*\(None, 3\), \(None, 4\) cannot be merged"):
        x + Input((4,))
    with pytest.raises(ShapeError, match=r"'concatenate(_\d+)?'.*cannot be joined along axis 1"):
        ops.concatenate([Input((5, 7)), Input((4, 6))], axis=1)


def test_arrays_are_not_gone_through_when_they_meet_a_symbolic_tensor():
    y = np.ones((4, 3), np.float32) * Input((4, 3))
    assert y.shape == (None, 4, 3)


def test_lambda_and_layers_of_ones_own_see_numbers():
    seen = []

    def doubled(x, training=False):
        seen.append(training)
        return x * 2.0

    layer = layers.Lambda(doubled)
    assert layer(Input((3,))).shape == (None, 3)
    layer(np.ones((1, 3)), training=True)
    assert seen == [False, True]
    told = layers.Lambda(lambda x: x[:, :2], output_shape=(2,))
    assert told(Input((3,))).shape == (None, 2)
    by_function = layers.Lambda(lambda x: x[:, :2], output_shape=lambda shape: (shape[0], 2))
    assert by_function(Input((3,))).shape == (None, 2)
    pair = layers.Lambda(lambda xs: xs[0] - xs[1])([Input((3,)), Input((3,))])
    assert pair.shape == (None, 3)
    with pytest.raises(ArgumentError, match="function=3"):
        layers.Lambda(3)


def test_a_network_with_operations_and_penalties_is_stored_and_read(tmp_path):
    x = Input((5, 7, 3), name="in")
    a = layers.Conv2D(
        4,
        (3, 2),
        padding="same",
        kernel_regularizer=regularizers.L2(0.5),
        kernel_constraint="max_norm",
        activity_regularizer=regularizers.KLSparsity(0.2),
        activation="sigmoid",
    )(x)
    b = layers.SeparableConv2D(4, (3, 2), padding="same", activation="mish")(x)
    joined = ops.concatenate([a * 2.0 - b, activations.gelu(b)[:, :, :, 1:]], axis=-1)
    y = layers.Resizing(3, 4)(joined / (1.0 + ROW[:1, :1]) + 0.25)
    model = Model(x, layers.PReLU("ones", shared_axes=[1, 2])(y))
    data = rng.normal(size=(2, 5, 7, 3)).astype(np.float32)
    drawn = models.model_from_json(model.to_json())
    assert drawn.output_shape == model.output_shape == (None, 3, 4, 7)
    model.save(tmp_path / "net.keras")
    for twin in (drawn, models.load_model(tmp_path / "net.keras")):
        twin.set_weights(model.get_weights())
        np.testing.assert_array_equal(twin(data).numpy(), model(data).numpy())
        found, expected = ([float(v) for v in m.losses] for m in (twin, model))
        assert found == expected
        assert len(found) == 2
