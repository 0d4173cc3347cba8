"""Operations whose gradient somebody wrote, against mathematics."""

import numpy as np
import pytest

import minicnn as tf
from minicnn import Variable, ops
from minicnn.errors import ArgumentError, ShapeError


@tf.custom_gradient
def log1pexp(x):
    """TensorFlow's example: log(1 + e^x), whose own gradient is rounded away for large x."""
    e = ops.exp(x)
    return ops.log(1.0 + e), lambda upstream: upstream * (1.0 - 1.0 / (1.0 + e))


def test_the_gradient_is_the_given_one():
    x = Variable([[50.0, 0.0, -3.0]])
    with tf.GradientTape() as tape:
        y = log1pexp(x)
    expected = [[1.0, 0.5, 1 / (1 + np.exp(3.0))]]
    np.testing.assert_allclose(tape.gradient(y, x), expected, rtol=1e-6)
    assert log1pexp.__name__ == "log1pexp"
    assert log1pexp(tf.constant([0.0])).numpy().tolist() == [np.log(np.float32(2.0))]


def test_the_given_gradient_is_differentiated_again():
    x = Variable([[0.5, -1.0, 2.0]], dtype="float64")
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = log1pexp(x)
        first = inner.gradient(y, x)
    p = 1 / (1 + np.exp(-x.numpy()))
    np.testing.assert_allclose(first, p)
    np.testing.assert_allclose(outer.gradient(first, x), p * (1 - p))


def test_several_arguments_and_results_go_back_together():
    calls = []

    @tf.custom_gradient
    def both(x, y):
        def back(d_product, d_sum):
            calls.append((d_product.shape, d_sum.shape))
            return d_product * y + d_sum, ops.sum(d_product * x + d_sum, axis=0)

        return (x * y, x + y), back

    x, y = Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), Variable([10.0, 20.0, 30.0])
    with tf.GradientTape() as tape:
        product, total = both(x, y)
        target = ops.sum(product) + 2.0 * ops.sum(total)
    by_x, by_y = tape.gradient(target, [x, y])
    assert by_x.numpy().tolist() == [[12.0, 22.0, 32.0]] * 2
    assert by_y.numpy().tolist() == [1 + 4 + 4, 2 + 5 + 4, 3 + 6 + 4]
    assert calls == [((2, 3), (2, 3))]


def test_a_gradient_may_be_clipped_or_missing():
    @tf.custom_gradient
    def clipped(x, factor):
        return x * factor, lambda dy: (ops.clip(dy * factor, -1.0, 1.0), None)

    x, factor = Variable([[2.0, 3.0]]), Variable(5.0)
    with tf.GradientTape() as tape:
        y = ops.sum(clipped(x, factor))
    assert [g.numpy().tolist() for g in tape.gradient(y, [x, factor])] == [[[1.0, 1.0]], 0.0]


def test_variables_of_the_function_need_their_gradients():
    w = Variable([3.0, 4.0], name="scale")

    @tf.custom_gradient
    def scaled(x):
        def back(dy, variables=None):
            assert [v.name for v in variables] == ["scale"]
            return dy * w, [ops.sum(dy * x, axis=0)]

        return x * w, back

    x = Variable([[1.0, 2.0], [5.0, 6.0], [0.0, 1.0]])
    with tf.GradientTape() as tape:
        y = ops.sum(scaled(x))
    by_x, by_w = tape.gradient(y, [x, w])
    assert by_x.numpy().tolist() == [[3.0, 4.0]] * 3
    assert by_w.numpy().tolist() == [6.0, 9.0]

    @tf.custom_gradient
    def forgetful(x):
        return x * w, lambda dy: dy * w

    with (
        tf.GradientTape(),
        pytest.raises(ArgumentError, match=r"variable 'scale', .*add `variables=None`"),
    ):
        forgetful(x)


def test_what_does_not_fit_is_named():
    with pytest.raises(ArgumentError, match=r"f must return two things, .*returned Tensor"):
        _named(lambda x: x * 2.0)([1.0])
    x = Variable([[1.0, 2.0, 3.0]])
    with tf.GradientTape(persistent=True) as tape:
        wide = _named(lambda x: (x * 1.0, lambda dy: ops.sum(dy)))(x)
        many = _named(lambda x: (x * 1.0, lambda dy: (dy, dy)))(x)
    with pytest.raises(ShapeError, match=r"gradient of f has shape \(\), .* has \(1, 3\)"):
        tape.gradient(wide, x)
    with pytest.raises(ArgumentError, match=r"f has 1 arguments, .* gave 2 gradients"):
        tape.gradient(many, x)


def _named(function):
    function.__name__ = "f"
    return tf.custom_gradient(function)


def test_unconnected_gradients_by_tensorflows_names():
    x, w = Variable([1.0, 2.0]), Variable([[1.0], [2.0], [3.0]])
    with tf.GradientTape(persistent=True) as tape:
        y = x * x
    assert tape.gradient(y, w, unconnected_gradients=tf.UnconnectedGradients.NONE) is None
    zero = tape.gradient(y, w, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    assert zero.numpy().tolist() == [[0.0], [0.0], [0.0]]
