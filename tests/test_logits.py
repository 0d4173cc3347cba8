"""Crossentropies behind sigmoid and softmax are those of the numbers that went in.

The truth is float64 mathematics; what Keras 3.15.1 does otherwise is said where it is tested.
"""

import copy
import pickle

import numpy as np
import pytest

import minicnn as tf
from minicnn import keras, ops

layers, activations, losses = keras.layers, keras.activations, keras.losses

X = np.array(
    [[25.0, -3.0, 1.0], [-40.0, 90.0, 16.5], [0.5, 17.0, -200.0], [1000.0, 2.0, -900.0]], "float32"
)
YES = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 1], [0, 1, 1]], "float32")
KINDS = np.array([1, 0, 2, 1])
ONE_HOT = np.eye(3, dtype="float32")[KINDS]


def binary_truth(gamma=0.0):
    """The mean of (1 - p_t)**gamma * -log(p_t), p_t = sigmoid(s*x); and its slope."""
    sign = 2 * YES.astype(float) - 1
    s = sign * X
    log_p, log_wrong = -np.logaddexp(0, -s), -np.logaddexp(0, s)
    wrong = np.exp(log_wrong)
    value = -(wrong**gamma) * log_p
    # d/ds of -wrong**g * log_p, with d log_p = wrong and d wrong = -wrong * p
    slope = gamma * wrong**gamma * np.exp(log_p) * log_p - wrong ** (gamma + 1)
    return value.mean(), sign * slope / X.size


def class_truth():
    x = X.astype(float)
    whole = np.logaddexp.reduce(x, axis=-1, keepdims=True)
    value = (whole[:, 0] - x[np.arange(4), KINDS]).mean()
    return value, (np.exp(x - whole) - ONE_HOT) / 4


def same():
    return {"use_bias": False, "kernel_initializer": keras.initializers.Identity()}


def through_pixels(name):
    layer = layers.Conv2D(3, 1, activation=name, use_bias=False)
    layer.build((None, 2, 2, 3))
    layer.kernel.assign(np.eye(3)[None, None])

    return lambda x: layer(ops.reshape(x, (2, 2, 1, 3)))  # the loss sees images, too


def ways(name):
    """All ways to the probabilities of an activation."""
    inputs = layers.Input((3,))
    hidden = layers.Dense(3, **same())(inputs)
    return {
        "function": getattr(activations, name),
        "by name": activations.get(name),
        "operation": getattr(keras.ops, name),
        "layer by name": layers.Activation(name),
        "layer by TensorFlow's function": layers.Activation(getattr(tf.nn, name)),
        "dense": layers.Dense(3, activation=name, **same()),
        "dense, function": layers.Dense(3, activation=getattr(activations, name), **same()),
        "convolution": through_pixels(name),
        "behind a layer": keras.Sequential([layers.Dense(3, **same()), layers.Activation(name)]),
        "functional": keras.Model(inputs, getattr(activations, name)(hidden)),
        "nested": keras.Sequential([keras.Sequential([layers.Activation(name)])]),
    }


def one(loss):
    """A loss of one's own that calls one of ours."""
    return lambda y, p: ops.mean(loss(y, p))


PAIRS = {
    "sigmoid": {
        "function": (one(losses.binary_crossentropy), YES, binary_truth()),
        "object": (losses.BinaryCrossentropy(), YES, binary_truth()),
        "by name": (one(losses.get("bce")), YES, binary_truth()),
        "focal": (losses.BinaryFocalCrossentropy(), YES, binary_truth(2.0)),
        "focal function": (one(losses.binary_focal_crossentropy), YES, binary_truth(2.0)),
    },
    "softmax": {
        "function": (one(losses.categorical_crossentropy), ONE_HOT, class_truth()),
        "object": (losses.CategoricalCrossentropy(), ONE_HOT, class_truth()),
        "by name": (one(losses.get("categorical_crossentropy")), ONE_HOT, class_truth()),
        "sparse": (losses.SparseCategoricalCrossentropy(), KINDS, class_truth()),
        "sparse function": (one(losses.sparse_categorical_crossentropy), KINDS, class_truth()),
        "ignoring": (losses.SparseCategoricalCrossentropy(ignore_class=7), KINDS, class_truth()),
    },
}


@pytest.mark.parametrize(
    ("activation", "way", "loss"),
    [(a, w, n) for a in PAIRS for w in ways(a) for n in PAIRS[a]],
)
def test_values_and_slopes_are_those_of_mathematics(activation, way, loss):
    function, truth, (value, slope) = PAIRS[activation][loss]
    x = tf.Variable(X)
    with tf.GradientTape() as tape:
        p = ways(activation)[way](x)
        got = function(truth.reshape(p.shape if truth.ndim > 1 else p.shape[:-1]), p)
    np.testing.assert_allclose(got, value, rtol=2e-6)
    np.testing.assert_allclose(tape.gradient(got, x), slope, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize(("activation", "kind"), [("sigmoid", "object"), ("softmax", "sparse")])
def test_second_derivatives_are_those_of_the_numbers(activation, kind):
    function, truth, (_, slope) = PAIRS[activation][kind]
    x = tf.Variable(X)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = function(truth, getattr(activations, activation)(x))
        total = ops.sum(ops.square(inner.gradient(loss, x)))
    shares = slope + (YES / 12 if activation == "sigmoid" else ONE_HOT / 4)  # p / number
    if activation == "sigmoid":
        p = shares * 12
        expected = 2 * slope * p * (1 - p) / 12
    else:
        p = shares * 4
        expected = 2 * p * (slope - (slope * p).sum(1, keepdims=True)) / 4
    np.testing.assert_allclose(outer.gradient(total, x), expected, atol=1e-7)


@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_tensorflows_own_functions_do_not_tell(name):
    # As in TensorFlow 2.21: a yes that is off by 25 costs 16.
    x = tf.Variable([[25.0, -25.0]])
    with tf.GradientTape() as tape:
        p = getattr(tf.nn, name)(x)
        if name == "sigmoid":
            loss = losses.BinaryCrossentropy()([[0.0, 1.0]], p)
        else:
            loss = losses.CategoricalCrossentropy()([[0.0, 1.0]], p)
    assert 15.9 < float(loss) < 16.2
    assert p.logits is None
    assert abs(float(tape.gradient(loss, x)[0, 0])) < 1e-9


def test_a_crossentropy_that_is_not_the_activations_own_takes_the_probabilities():
    # Keras 3.15.1 takes the numbers behind any of the two, which is another function.
    p = activations.softmax([[1.0, 2.0, 4.0]]).numpy().astype(float)
    expected = -np.mean([np.log(p[0, 2]), np.log(1 - p[0, 0]), np.log(1 - p[0, 1])])
    np.testing.assert_allclose(
        losses.binary_crossentropy([[0.0, 0.0, 1.0]], activations.softmax([[1.0, 2.0, 4.0]])),
        [expected],
        1e-5,
    )
    q = activations.sigmoid([[1.0, 2.0, 4.0]])
    got = losses.categorical_crossentropy([[0.0, 0.0, 1.0]], q)
    np.testing.assert_allclose(got, [-np.log(float(q[0, 2] / ops.sum(q)))], 1e-5)
    columns = activations.softmax([[1.0, 2.0], [3.0, 0.0]], axis=0)
    got = losses.categorical_crossentropy([[0.0, 1.0], [1.0, 0.0]], columns)
    rows = (columns / ops.sum(columns, axis=1, keepdims=True)).numpy()
    np.testing.assert_allclose(got, [-np.log(rows[0, 1]), -np.log(rows[1, 0])], 1e-5)


def test_probabilities_that_were_changed_are_what_they_are():
    p = activations.sigmoid([[0.5, -1.0]])
    half = losses.binary_crossentropy([[1.0, 1.0]], 0.5 * p)
    np.testing.assert_allclose(half, [-np.log(0.5 * np.asarray(p)).mean()], rtol=1e-6)


def test_from_logits_of_probabilities_is_said_to_be_a_mistake():
    p = activations.sigmoid([[25.0]])
    with pytest.warns(UserWarning, match=r"from_logits=True, but y_pred holds probabilities, wh.*"):
        loss = losses.binary_crossentropy([[0.0]], p, from_logits=True)
    assert loss.item() == 25.0
    p = activations.softmax([[30.0, 0.0]])
    with pytest.warns(UserWarning, match="which softmax made"):
        loss = losses.sparse_categorical_crossentropy([1], p, from_logits=True)
    assert loss.item() == 30.0
    assert losses.binary_crossentropy([[0.0]], [[25.0]], from_logits=True).item() == 25.0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_copy_of_probabilities_is_its_numbers(copied):
    p = copied(activations.sigmoid([[25.0]]))
    assert p.logits is None
    assert 15.9 < losses.binary_crossentropy([[0.0]], p).item() < 16.0


def network(units, activation):
    return keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(units, activation, kernel_initializer=keras.initializers.Constant(0.05)),
        ]
    )


@pytest.mark.parametrize("way", ["as it is", "copied", "cloned"])
@pytest.mark.parametrize(
    ("units", "activation", "loss", "metric"),
    [
        (1, "sigmoid", "bce", keras.metrics.BinaryCrossentropy()),
        (3, "softmax", "sparse_categorical_crossentropy", "sparse_categorical_crossentropy"),
    ],
)
def test_a_network_on_raw_pixels_learns(units, activation, loss, metric, way):
    # Nobody divided by 255. Behind clipped probabilities no weight would ever move.
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (32, 6)).astype("float32") + 300
    y = np.zeros((32, 1), "float32") if units == 1 else np.zeros(32, "int64")
    model = network(units, activation)
    if units == 3:
        kernel = np.tile([0.05, 0.1, 0.15], (6, 1))
        model.layers[-1].kernel.assign(kernel)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=[metric])
    if way == "copied":
        model = pickle.loads(pickle.dumps(model))
    if way == "cloned":
        model = keras.models.clone_model(model)
        model.compile(keras.optimizers.Adam(0.01), loss, metrics=[metric])
        if units == 3:
            model.layers[-1].kernel.assign(kernel)
    first = model.evaluate(x, y, verbose=0)
    weights = model.layers[-1].kernel.numpy().astype(float)
    z = x @ weights
    expected = z if units == 1 else np.logaddexp.reduce(z, axis=1) - z[:, 0]
    assert expected.min() > 100
    np.testing.assert_allclose(first, [expected.mean()] * 2, rtol=1e-5)
    history = model.fit(x, y, epochs=80, batch_size=32, verbose=0).history
    np.testing.assert_allclose(history["loss"][0], expected.mean(), rtol=1e-5)
    (measured,) = (history[name] for name in history if name != "loss")
    np.testing.assert_allclose(measured, history["loss"], rtol=1e-5, atol=1e-30)
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    assert model.train_on_batch(x, y)[0] < 0.1 * history["loss"][0]


def test_arrays_of_probabilities_are_cut_off_as_in_keras():
    p = np.array([[1.0, 0.0]], "float32")
    assert 15.9 < losses.binary_crossentropy([[0.0, 1.0]], p).item() < 16.2
