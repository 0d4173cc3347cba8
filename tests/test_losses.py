"""Losses against values of Keras 3, their gradients, and what they refuse."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from minicnn import GradientTape, check_gradients, config, convert_to_tensor, losses, ops
from minicnn.errors import ArgumentError, ShapeError
from minicnn.losses.base import Pointwise

ORACLES = Path(__file__).parent / "oracles"
CASES = json.loads((ORACLES / "keras_training.json").read_text())["losses"]
CLASSES = set(losses.CLASSES.values())

#: Of this gradient, at clipped probabilities, Keras' own backends have different ideas.
DISPUTED = {"scce-edge"}

rng = np.random.default_rng(11)


@pytest.fixture(scope="module")
def arrays():
    with np.load(ORACLES / "keras_training.npz") as file:
        return {name: np.asarray(file[name], np.float64) for name in file.files}


@pytest.fixture(autouse=True)
def float64():
    with config.use_floatx("float64"):
        yield


def probabilities(*shape):
    powers = np.exp(rng.normal(size=shape))
    return powers / powers.sum(-1, keepdims=True)


def test_backends_of_keras_disagree_on_one_gradient_alone():
    assert {case["id"] for case in CASES if not case["agrees"]} == DISPUTED


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_value_and_gradient_are_those_of_keras(case, arrays):
    place = f"loss/{case['id']}"
    loss = getattr(losses, case["class"])(**case["config"])
    prediction = convert_to_tensor(arrays[f"{place}/y_pred"])
    weights = arrays.get(f"{place}/sample_weight")
    assert (weights is not None) == case["weighted"]
    with GradientTape() as tape:
        tape.watch(prediction)
        value = loss(arrays[f"{place}/y_true"], prediction, sample_weight=weights)
    np.testing.assert_allclose(value.numpy(), arrays[f"{place}/value"], rtol=1e-7)
    if case["id"] not in DISPUTED:
        gradient = tape.gradient(value, prediction).numpy()
        np.testing.assert_allclose(gradient, arrays[f"{place}/grad"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("loss", "truth", "prediction"),
    [
        (losses.MeanSquaredError(), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))),
        (losses.MeanAbsoluteError(), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))),
        (losses.BinaryCrossentropy(), rng.integers(0, 2, (3, 4)), rng.uniform(0.1, 0.9, (3, 4))),
        (
            losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2),
            rng.integers(0, 2, (3, 4)),
            rng.normal(size=(3, 4)),
        ),
        (losses.CategoricalCrossentropy(), probabilities(3, 4), probabilities(3, 4)),
        (
            losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
            np.eye(4)[[2, 0, 3]],
            rng.normal(size=(3, 4)),
        ),
        (losses.SparseCategoricalCrossentropy(), [2, 0, 3], probabilities(3, 4)),
        (
            losses.SparseCategoricalCrossentropy(from_logits=True),
            [[2, 0], [1, 1], [3, 2]],
            rng.normal(size=(3, 2, 4)),
        ),
        (losses.KLDivergence(), probabilities(3, 4), probabilities(3, 4)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_gradients_of_both_orders_agree_with_differences(loss, truth, prediction):
    weights = [0.5, 2.0, 1.25]
    check_gradients(lambda p: loss(truth, p), prediction)
    check_gradients(lambda p: loss(truth, p, weights), prediction)
    check_gradients(lambda p: loss.call(truth, p), prediction)


# Values worked by hand.


def test_one_value_for_each_sample():
    truth, prediction = [[0.0, 1.0], [2.0, 2.0]], [[3.0, 1.0], [2.0, 0.0]]
    assert losses.MeanSquaredError().call(truth, prediction).numpy().tolist() == [4.5, 2.0]
    assert losses.MeanAbsoluteError().call(truth, prediction).numpy().tolist() == [1.5, 1.0]
    crossentropy = losses.CategoricalCrossentropy()
    values = crossentropy.call([[0, 1, 0], [1, 0, 0]], [[0.2, 0.5, 0.3], [0.25, 0.5, 0.25]])
    np.testing.assert_allclose(values.numpy(), [math.log(2), math.log(4)])
    divergence = losses.KLDivergence().call([[0.5, 0.5]], [[0.25, 0.75]])
    np.testing.assert_allclose(divergence.numpy(), [0.5 * math.log(2) + 0.5 * math.log(2 / 3)])


def test_sample_weights_scale_but_do_not_divide():
    # As in Keras: the weighted sum, divided by the number of samples.
    truth, prediction = [[0.0], [0.0], [0.0], [0.0]], [[1.0], [2.0], [3.0], [4.0]]
    loss = losses.MeanSquaredError()
    assert float(loss(truth, prediction, [1.0, 0.0, 2.0, 0.5])) == (1 + 18 + 8) / 4
    assert float(loss(truth, prediction, [[1.0], [0.0], [2.0], [0.5]])) == 27 / 4
    assert float(loss(truth, prediction, 2.0)) == 2 * 30 / 4


def test_sample_weights_hold_for_all_pixels_of_an_image():
    truth, prediction = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(2, 3, 4, 2))
    squares = ((prediction - truth) ** 2).mean(-1)
    loss = losses.MeanSquaredError()
    weights = np.array([0.5, 3.0])
    expected = (squares * weights[:, None, None]).mean()
    np.testing.assert_allclose(float(loss(truth, prediction, weights)), expected)
    pixels = rng.uniform(size=(2, 3, 4))
    np.testing.assert_allclose(float(loss(truth, prediction, pixels)), (squares * pixels).mean())


@pytest.mark.parametrize("weights", [[1.0, 2.0], [[1.0, 2.0, 3.0]], [1.0], [[1.0]] * 2])
def test_sample_weights_that_do_not_fit_are_refused(weights):
    loss = losses.MeanSquaredError()
    shape = re_shape(np.shape(weights))
    with pytest.raises(ShapeError, match=rf"sample_weight has shape {shape}, .* shape \(3,\)"):
        loss(np.ones((3, 2)), np.ones((3, 2)), weights)


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 2), (2, 3, 4, 2), (3,), (1, 3, 4)])
def test_sample_weights_that_do_not_fit_images_are_refused(shape):
    images = np.ones((2, 3, 4, 5))
    text = rf"sample_weight has shape {re_shape(shape)}, .* shape \(2, 3, 4\)"
    with pytest.raises(ShapeError, match=text):
        losses.MeanSquaredError()(images, images, np.ones(shape))


def re_shape(shape):
    return str(shape).replace("(", r"\(").replace(")", r"\)")


# Shapes


@pytest.mark.parametrize("cls", sorted(CLASSES, key=lambda cls: cls.__name__))
@pytest.mark.parametrize(
    ("true_shape", "pred_shape"),
    [
        ((3, 5), (3, 4)),
        ((1, 4), (3, 4)),
        ((1, 5, 7, 1), (2, 5, 7, 3)),
        ((2, 7, 5, 3), (2, 5, 7, 3)),
        ((3,), (3, 4, 1)),
    ],
)
def test_shapes_that_differ_are_refused_instead_of_broadcast(cls, true_shape, pred_shape):
    with pytest.raises(ShapeError, match=rf"{re_shape(true_shape)}.*{re_shape(pred_shape)}"):
        cls()(np.zeros(true_shape), np.full(pred_shape, 0.5))


def test_a_column_may_miss_on_either_side():
    flat, column = rng.normal(size=4), rng.normal(size=(4, 1))
    loss = losses.MeanSquaredError()
    expected = ((flat - column[:, 0]) ** 2).mean()
    np.testing.assert_allclose(float(loss(flat, column)), expected)
    np.testing.assert_allclose(float(loss(column, flat)), expected)


# Class numbers


@pytest.mark.cpu_only  # where nobody waits for the answer, the loss is NaN
@pytest.mark.parametrize("labels", [[0, 3, 1], [0, -1, 1], [0, math.nan, 1]])
def test_class_numbers_out_of_range_are_refused(labels):
    with pytest.raises(ArgumentError, match="y_pred has 3 classes; numbers must be 0 to 2"):
        losses.SparseCategoricalCrossentropy()(labels, np.full((3, 3), 1 / 3))


def test_class_numbers_may_be_floats_and_columns():
    prediction = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    loss = losses.SparseCategoricalCrossentropy()
    expected = (math.log(4) + math.log(8)) / 2
    for labels in ([1, 0], [1.0, 0.0], [[1], [0]], np.array([1, 0], np.uint8)):
        np.testing.assert_allclose(float(loss(labels, prediction)), expected)


# Saturation


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "truth", "prediction"),
    [
        (losses.BinaryCrossentropy(), [[0.0, 1.0, 1.0]], [[1.0, 0.0, 1.0]]),
        (losses.BinaryCrossentropy(True), [[0.0, 1.0, 1.0]], [[1e4, -1e4, 1e4]]),
        (losses.CategoricalCrossentropy(), [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]),
        (losses.CategoricalCrossentropy(True), [[0.0, 1.0, 0.0]], [[1e4, -1e4, 0.0]]),
        (losses.SparseCategoricalCrossentropy(), [1], [[1.0, 0.0, 0.0]]),
        (losses.SparseCategoricalCrossentropy(True), [1], [[1e4, -1e4, 0.0]]),
        (losses.KLDivergence(), [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_saturated_predictions_stay_finite(dtype, loss, truth, prediction):
    x = convert_to_tensor(np.array(prediction, dtype))
    with GradientTape() as tape:
        tape.watch(x)
        value = loss(truth, x)
    assert 5 < float(value) < 3e4
    gradient = tape.gradient(value, x).numpy()
    assert np.isfinite(gradient).all()
    assert value.dtype == gradient.dtype == np.dtype(dtype)


def test_logits_do_not_saturate():
    # log(1 + e**40) = 40 to 17 digits; by way of a probability the clip would give 16.1.
    x = convert_to_tensor(np.array([[40.0]]))
    with GradientTape() as tape:
        tape.watch(x)
        value = losses.BinaryCrossentropy(from_logits=True)([[0.0]], x)
    assert float(value) == 40.0
    assert float(tape.gradient(value, x).numpy()[0, 0]) == 1.0


def test_label_smoothing_has_a_range():
    for cls in (losses.BinaryCrossentropy, losses.CategoricalCrossentropy):
        for smoothing in (-0.1, 1.5):
            with pytest.raises(ArgumentError, match=rf"smoothing={smoothing} must be a number in"):
                cls(label_smoothing=smoothing)


# Losses by name, by class and by function


def test_losses_by_name():
    for name, function in {
        "mse": losses.mean_squared_error,
        "mean_squared_error": losses.mean_squared_error,
        "MAE": losses.mean_absolute_error,
        "bce": losses.binary_crossentropy,
        "sparse_categorical_crossentropy": losses.sparse_categorical_crossentropy,
        "kld": losses.kl_divergence,
        "logcosh": losses.log_cosh,
    }.items():
        assert losses.get(name) is function
    for name in ("MeanSquaredError", "meansquarederror"):
        assert type(losses.get(name)) is losses.MeanSquaredError
    assert type(losses.get(losses.Huber)) is losses.Huber
    mine = losses.MeanSquaredError(name="mine")
    assert losses.get(mine) is mine
    assert losses.get(None) is None
    with pytest.raises(ArgumentError, match=r"loss='binary_crosentropy' .*'binary_crossentropy'"):
        losses.get("binary_crosentropy")
    with pytest.raises(ArgumentError, match=r"got 3, but a name or a function"):
        losses.get(3)


def test_what_compile_makes_of_a_name():
    assert type(losses.as_loss("mse")) is losses.MeanSquaredError
    assert type(losses.as_loss(losses.huber)) is losses.Huber
    assert losses.as_loss("mse").name == "mse"
    assert losses.as_loss(None) is None
    truth, prediction = rng.uniform(0.1, 0.9, (4, 3)), rng.uniform(0.1, 0.9, (4, 3))
    for name in set(losses.FUNCTIONS) - {"sparse_categorical_crossentropy"}:
        if "generalized" not in name:
            values = losses.get(name)(truth, prediction).numpy()
            found = float(losses.as_loss(name)(truth, prediction))
            np.testing.assert_allclose(found, values.mean(), rtol=1e-12)


def test_a_function_is_a_loss():
    def cubes(y_true, y_pred):
        return ops.mean(ops.abs(y_pred - y_true) ** 3, axis=-1)

    loss = losses.as_loss(cubes)
    truth = convert_to_tensor(np.array([[0.0, 1.0], [2.0, 2.0]]))
    prediction = convert_to_tensor(np.full((2, 2), 1.0))
    assert loss.name == "cubes"
    assert float(loss(truth, prediction)) == 0.75
    assert float(loss(truth, prediction, [1.0, 3.0])) == (0.5 + 3.0) / 2
    check_gradients(lambda p: loss(truth, p), rng.normal(size=(2, 2)) + 5.0)


def test_a_loss_without_call_says_so():
    class Empty(losses.Loss):
        pass

    with pytest.raises(TypeError, match="Empty does not define call"):
        Empty()([1.0], [1.0])

    class Elementless(Pointwise):
        pass

    with pytest.raises(TypeError, match="Elementless does not define elements"):
        Elementless()([1.0], [1.0])
