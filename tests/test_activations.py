"""Activation functions against values of Keras 3, SciPy and their own limits."""

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from minicnn import GradientTape, activations, check_gradients, config, convert_to_tensor, ops
from minicnn.errors import ArgumentError

ORACLES = Path(__file__).parent / "oracles"
FILES = ("keras_layers", "keras_more_layers")
CASES = [
    case
    for file in FILES
    for case in json.loads((ORACLES / f"{file}.json").read_text())["cases"]
    if case["layer"] == "Activation"
]

#: Functions without values of Keras: other names of functions that have, and one of which Keras'
#: results do not sum to 1.
ELSEWHERE = {"hard_swish", "swish", "sparsemax"}


@pytest.fixture(scope="module")
def arrays():
    found = {}
    for name in FILES:
        with np.load(ORACLES / f"{name}.npz") as file:
            found |= {key: np.asarray(file[key], np.float64) for key in file.files}
    return found


@pytest.fixture(autouse=True)
def float64():
    with config.use_floatx("float64"):
        yield


def value_and_slope(function, x, dy=None):
    x = convert_to_tensor(np.asarray(x, np.float64))
    with GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y.numpy(), tape.gradient(y, x, dy).numpy()


def test_every_activation_has_values_from_elsewhere():
    assert {case["config"]["activation"] for case in CASES} == set(activations.NAMES) - ELSEWHERE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_values_and_gradients_are_those_of_keras(case, arrays):
    function = activations.get(case["config"]["activation"])
    x, dy, y, dx = (arrays[f"{case['id']}/{name}"] for name in ("x0", "dy", "y", "dx0"))
    value, gradient = value_and_slope(function, x, dy)
    np.testing.assert_allclose(value, y, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(gradient, dx, rtol=1e-6, atol=1e-9)


def test_values_are_those_of_scipy():
    x = np.array([[-30.0, -3.0, -0.5, 0.0, 1e-9, 0.7, 2.0, 25.0]])
    normal = special.ndtr(x)
    for name, expected in {
        "sigmoid": special.expit(x),
        "softmax": special.softmax(x, axis=-1),
        "log_softmax": special.log_softmax(x, axis=-1),
        "gelu": x * normal,
        "swish": x * special.expit(x),
        "softplus": np.logaddexp(0, x),
        "elu": np.where(x > 0, x, special.expm1(x)),
    }.items():
        found = activations.get(name)(x).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15, err_msg=name)
    assert activations.relu6([-1.0, 0.0, 2.5, 6.0, 9.0]).numpy().tolist() == [0, 0, 2.5, 6, 6]


@pytest.mark.parametrize("name", activations.NAMES)
def test_gradients_of_both_orders_agree_with_differences(name):
    # Away from the corners, where there is no derivative.
    x = np.array([[-4.5, -2.1, -0.6, 0.2], [0.3, 1.7, 4.2, -0.7]])
    check_gradients(activations.get(name), x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(set(activations.NAMES) - {"exponential"}))
def test_large_inputs_stay_finite(name, dtype):
    x = np.array([[-1e4, -100.0, 0.0, 0.5, 100.0, 1e4]], dtype)
    tensor = convert_to_tensor(x)
    with GradientTape() as tape:
        tape.watch(tensor)
        y = activations.get(name)(tensor)
    assert y.dtype == np.dtype(dtype)
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(tape.gradient(y, tensor).numpy()).all()


def test_parameters():
    x = np.array([-2.0, 3.0])
    assert activations.leaky_relu(x, 0.25).numpy().tolist() == [-0.5, 3.0]
    elu = activations.elu(x, 0.5).numpy()
    np.testing.assert_allclose(elu, [0.5 * math.expm1(-2.0), 3.0])
    exact, near = activations.gelu(x).numpy(), activations.gelu(x, approximate=True).numpy()
    # The approximation as its authors write it.
    formula = x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(near, formula, rtol=1e-12)
    assert 0 < np.abs(near - exact).max() < 5e-4
    columns = activations.softmax(np.array([[0.0, 0.0], [math.log(3.0), 0.0]]), axis=0).numpy()
    np.testing.assert_allclose(columns, [[0.25, 0.5], [0.75, 0.5]])


def test_corners_have_the_gradient_of_keras():
    for name, corners, slopes in [
        ("relu", [0.0], [0.0]),
        ("relu6", [0.0, 6.0], [0.0, 0.0]),
        ("leaky_relu", [0.0], [0.2]),
        ("elu", [0.0], [1.0]),
        ("celu", [0.0], [1.0]),
        ("hard_sigmoid", [-3.0, 3.0], [0.0, 0.0]),
    ]:
        assert value_and_slope(activations.get(name), corners)[1].tolist() == slopes, name


def test_names():
    assert activations.get(None) is activations.linear
    assert activations.get("ReLU") is activations.relu
    assert activations.get("swish") is activations.silu

    def mine(x):
        return x

    assert activations.get(mine) is mine
    assert activations.serialize(mine) is mine
    assert activations.serialize(activations.silu) == "silu"
    for name in set(activations.NAMES) - {"swish", "hard_swish"}:
        assert activations.serialize(activations.get(name)) == name
    with pytest.raises(ArgumentError, match=r"activation='sigmiod' .*did you mean 'sigmoid'"):
        activations.get("sigmiod")


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    x = np.random.default_rng(5).normal(size=(40, 4))
    y = activations.sparsemax(x).numpy()
    np.testing.assert_allclose(y.sum(-1), 1.0, rtol=1e-12)
    # The condition of the paper: one threshold for each row, and 0 below it.
    shift = np.where(y > 0, x - y, np.nan)
    threshold = np.nanmax(shift, -1, keepdims=True)
    np.testing.assert_allclose(y, np.maximum(x - threshold, 0), atol=1e-12)
    np.testing.assert_allclose(activations.sparsemax(x.T, axis=0).numpy().T, y, atol=1e-12)
    assert 0 < (y == 0).mean() < 1


def test_halves_and_thresholds():
    with pytest.raises(ArgumentError, match=r"glu: .* axis 1 must have an even length"):
        activations.glu(np.ones((2, 3)))
    assert activations.threshold([0.5, 1.0, 2.0], 1.0, -3.0).numpy().tolist() == [-3.0, -3.0, 2.0]
    assert activations.relu([-4.0, 0.5, 9.0], 0.25, 6.0, 1.0).numpy().tolist() == [-1.25, -0.125, 6]
    with pytest.raises(ArgumentError, match=r"relu: max_value=-1"):
        activations.relu([1.0], max_value=-1)


@pytest.mark.parametrize("name", activations.NAMES)
def test_activations_and_operations_can_be_pickled(name):
    function = activations.get(name)
    assert pickle.loads(pickle.dumps(function)) is function
    operation = getattr(ops, name, ops.matmul)
    assert pickle.loads(pickle.dumps(operation)) is operation
