import numpy as np
import pytest

from minicnn import check_gradients, ops
from minicnn.autograd.check import GradientError
from minicnn.autograd.tensor import Tensor, convert_to_tensor, record
from minicnn.errors import ArgumentError, MinicnnError

RNG = np.random.default_rng(0)
X, W, SQUARE = RNG.normal(size=(2, 3)), RNG.normal(size=(3, 4)), RNG.normal(size=(3, 3))


def tensors(*values):
    return [convert_to_tensor(v) for v in values]


# Planted faults: a right forward pass and a backward pass with one mistake.


def missing(x, w):
    x, w = tensors(x, w)
    return record("matmul", x.data @ w.data, (x, lambda dy, y: dy @ ops.transpose(w)))


def wrong_factor(x):
    (x,) = tensors(x)
    return record("square", x.data**2, (x, lambda dy, y: dy * x))


def wrong_sign(x, w):
    x, w = tensors(x, w)
    return record("subtract", x.data - w.data, (x, lambda dy, y: dy), (w, lambda dy, y: dy))


def transposed(x, w):
    x, w = tensors(x, w)
    return record(
        "matmul",
        x.data @ w.data,
        (x, lambda dy, y: dy @ ops.transpose(w)),
        (w, lambda dy, y: ops.transpose(ops.transpose(x) @ dy)),
    )


def empty_softmax(x):
    (x,) = tensors(x)
    return record("softmax", ops.softmax(x).data, (x, lambda dy, y: dy * 0.0))


def empty_standardize(x):
    (x,) = tensors(x)
    return record("standardize", ops.standardize(x)[0].data, (x, lambda dy, y: dy * 0.0))


def wrong_shape(x, w):
    x, w = tensors(x, w)
    total = record("add", x.data + w.data, (x, lambda dy, y: dy), (w, lambda dy, y: dy))
    return total  # without the sum over the axis along which w was repeated


def not_a_number(x):
    (x,) = tensors(x)
    return record("square", x.data**2, (x, lambda dy, y: dy * np.nan))


def wrong_at_one_place(x):
    (x,) = tensors(x)
    factor = np.full(x.shape, 2.0)
    factor[1, 2] = 2.001
    return record("square", x.data**2, (x, lambda dy, y: dy * x * factor))


def second_order_cut(x):
    (x,) = tensors(x)
    return record("square", x.data**2, (x, lambda dy, y: dy * Tensor(2.0 * x.data)))


def second_order_blind_to_cotangent(x):
    (x,) = tensors(x)
    return record("exp", np.exp(x.data), (x, lambda dy, y: Tensor(dy.data) * y))


def second_order_cut_to_the_other(x, w):
    x, w = tensors(x, w)
    cut = Tensor(w.data)
    product = x.data * w.data
    return record("multiply", product, (x, lambda dy, y: dy * cut), (w, lambda dy, y: dy * x))


FAULTS = [
    (missing, (X, W), "order 1", "input 1"),
    (wrong_factor, (X,), "order 1", "input 0"),
    (wrong_sign, (X, X + 1), "order 1", "input 1"),
    (transposed, (SQUARE, SQUARE + 1), "order 1", "input 1"),
    (empty_softmax, (X,), "order 1", "input 0"),
    (empty_standardize, (W,), "order 1", "input 0"),
    (wrong_shape, (X, W[:, 0]), "order 1", "input 1 has shape (2, 3), but the input has (3,)"),
    (not_a_number, (X,), "order 1", "input 0"),
    (wrong_at_one_place, (X,), "order 1", "input 0"),
]
SECOND = [
    (second_order_cut, (X,), "of the gradient to input 0", "gradient to input 0 gives"),
    (second_order_blind_to_cotangent, (X,), "to input 0", "gradient to input 1 gives"),
    (second_order_cut_to_the_other, (X, X + 1), "to input 0", "gradient to input 1 gives"),
]


def name(value):
    return getattr(value, "__name__", "")


@pytest.mark.parametrize(("function", "inputs", "order", "told"), FAULTS, ids=name)
@pytest.mark.parametrize("highest", [1, 2])
def test_faults_of_order_one(function, inputs, order, told, highest):
    with pytest.raises(GradientError) as caught:
        check_gradients(function, *inputs, order=highest)
    assert str(caught.value).startswith(order)
    assert told in str(caught.value)


@pytest.mark.parametrize(("function", "inputs", "of", "told"), SECOND, ids=name)
def test_faults_of_order_two_alone(function, inputs, of, told):
    check_gradients(function, *inputs, order=1)
    with pytest.raises(GradientError) as caught:
        check_gradients(function, *inputs)
    assert str(caught.value).startswith("order 2 (of the gradient")
    assert of in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize("seed", range(5))
def test_faults_are_found_whatever_the_seed(seed):
    for function, inputs, *_ in FAULTS:
        with pytest.raises(GradientError):
            check_gradients(function, *inputs, order=1, directions=1, seed=seed)


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda x, w: x @ w, (X, W)),
        (lambda x: x * x * x, (X,)),
        (lambda x, w: x / w, (X, 3 + W[:, 0])),
        (ops.softmax, (X,)),
        (lambda x: ops.standardize(x)[0], (RNG.normal(size=(5, 2)),)),
        (lambda x: ops.exp(x) * 1e6, (X,)),
        (lambda x: ops.tanh(x) * 1e-6, (X,)),
        (lambda x, unused: ops.log(x * x + 1.0), (X, W)),
        (lambda x: ops.conv2d(x, np.ones((2, 3, 1, 2)), strides=(2, 1)), (W.reshape(1, 3, 4, 1),)),
        (lambda x: ops.sum(x), (X,)),
        (lambda x: x[:0], (X,)),
    ],
)
def test_right_functions_pass(function, inputs):
    for seed in range(3):
        check_gradients(function, *inputs, seed=seed)


def test_inputs_of_any_type_are_checked_in_float64_and_left_alone():
    seen = []
    x, n = X.astype("float32"), [[1, 2, 3]]

    def function(a, b):
        seen.extend([a.dtype, b.dtype])
        return a * b * b

    check_gradients(function, x, n)
    assert set(seen) == {np.dtype("float64")}
    np.testing.assert_array_equal(x, X.astype("float32"))
    assert n == [[1, 2, 3]]


def test_the_directions_are_reproducible():
    def told(seed):
        with pytest.raises(GradientError) as caught:
            check_gradients(wrong_factor, X, seed=seed)
        return str(caught.value)

    assert told(3) == told(3) != told(4)


@pytest.mark.parametrize("order", [0, 3, "2"])
def test_other_orders_are_refused(order):
    with pytest.raises(ArgumentError, match=f"order={order!r}, but it must be 1 or 2"):
        check_gradients(ops.exp, X, order=order)


def test_the_error_is_both_ours_and_an_assertion():
    assert issubclass(GradientError, AssertionError)
    assert issubclass(GradientError, MinicnnError)
