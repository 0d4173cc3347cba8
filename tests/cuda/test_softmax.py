"""Softmax and the crossentropies of classes on the card, against NumPy in float64 and the CPU."""

import numpy as np
import pytest

from minicnn import GradientTape, Tensor, ops
from minicnn.kernels import cuda
from minicnn.ops.crossentropy import class_crossentropy
from tests.cuda import maps
from tests.cuda.simulator.cpu_module import thread_order

#: Less and more classes than a block has threads; rows that fill no block.
SHAPES = [(5, 3), (2, 7, 3, 10), (3, 300), (700, 2), (4, 1)]
BOUNDS = (0.05, 0.6)


def numbers(shape, seed, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype) * 3


def shares_of(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def measured(loss, x, v):
    """Return how much a loss changes along v, for a step of 1."""
    return (loss(x + 1e-6 * v) - loss(x - 1e-6 * v)).sum() / 2e-6


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("logarithm", [False, True])
def test_softmax(cupy, shape, logarithm):
    x, dy, v = (numbers(shape, seed) for seed in range(3))
    function = (lambda x: np.log(shares_of(x))) if logarithm else shares_of
    with thread_order(2):
        y = cuda.softmax(cupy.asarray(x), logarithm)
        dx = cuda.softmax_gradient(cupy.asarray(dy), y, logarithm)
    np.testing.assert_allclose(y.get(), function(x), rtol=1e-11)
    slope = measured(lambda x: function(x) * dy, x, v)
    np.testing.assert_allclose((dx.get() * v).sum(), slope, rtol=1e-6, atol=1e-6)
    single = cuda.softmax(cupy.asarray(x.astype("float32")), logarithm)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.get(), function(x), rtol=1e-4, atol=1e-6)


def test_large_numbers_do_not_overflow_and_nan_spreads_in_its_row(cupy):
    x = np.array([[1e4, 1e4 - 1, -1e4], [0.0, np.nan, 1.0], [2.0, 3.0, -1.0]], "float32")
    result = cuda.softmax(cupy.asarray(x), False).get()
    np.testing.assert_allclose(result[[0, 2]], shares_of(x[[0, 2]].astype(float)), rtol=1e-5)
    assert np.isnan(result[1]).all()


def loss_of(truth, bounds):
    def loss(x):
        share = shares_of(x) if bounds is None else x / x.sum(-1, keepdims=True)
        share = share if bounds is None else np.clip(share, *bounds)
        return -(truth * np.log(share)).sum(-1)

    return loss


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("by_number", [False, True])
def test_crossentropy(cupy, shape, bounded, by_number):
    rng = np.random.default_rng(3)
    bounds = (0.3 / shape[-1], 1.7 / shape[-1]) if bounded else None  # some shares lie outside
    x = numbers(shape, 4) if bounds is None else rng.random(shape) + 0.01
    v, classes = rng.normal(size=shape), rng.integers(0, shape[-1], shape[:-1])
    truth = np.eye(shape[-1])[classes] if by_number else rng.random(shape)
    told = (None, cupy.asarray(classes.astype(float))) if by_number else (cupy.asarray(truth), None)
    with thread_order(2):
        losses, slopes = maps.back(cuda.crossentropy(cupy.asarray(x), *told, bounds))
    loss = loss_of(truth, bounds)
    np.testing.assert_allclose(losses, loss(x), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose((slopes * v).sum(), measured(loss, x, v), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bounds", [None, BOUNDS])
def test_a_number_of_no_class_makes_its_row_nan(cupy, bounds):
    x = np.random.default_rng(5).random((6, 3))
    classes = np.array([0.0, 3.0, -1.0, np.nan, np.inf, 2.0])
    given = cupy.asarray(x), None, cupy.asarray(classes)
    for result in maps.back(cuda.crossentropy(*given, bounds)):
        wrong = np.isnan(result.reshape(6, -1))
        assert wrong.all(1).tolist() == [False, True, True, True, True, False]
        assert not wrong[[0, 5]].any()


def test_other_orders_of_threads_give_the_same_bits(cupy):
    x, truth = (cupy.asarray(numbers((9, 300), seed, "float32")) for seed in (6, 7))
    results = set()
    for order in (0, 1, 7):
        with thread_order(order):
            found = [*maps.back(cuda.crossentropy(x, truth, None, None))]
            found += maps.back(cuda.softmax(x, True))
        results.add(b"".join(f.tobytes() for f in found))
    assert len(results) == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda x, t: ops.softmax(x) * t,
        lambda x, t: ops.log_softmax(x) * t,
        lambda x, t: class_crossentropy(x, t),
        lambda x, t: class_crossentropy(ops.abs(x), t, bounds=BOUNDS),
    ],
)
def test_derivatives_of_second_order_are_those_of_the_cpu(cupy, function):
    results = []
    for device in ("cpu", "gpu"):
        x, t, v = (getattr(Tensor(numbers((4, 5), seed)), device)() for seed in (8, 9, 10))
        with GradientTape(persistent=True) as outer:
            outer.watch([x, t])
            with GradientTape() as inner:
                inner.watch([x, t])
                y = ops.sum(ops.square(function(x, t)))
            first = inner.gradient(y, [x, t])
            total = ops.sum(first[0] * v) + ops.sum(first[1] * v)
        results.append([*first, outer.gradient(total, x), outer.gradient(total, t)])
    for here, there in zip(*results, strict=True):
        assert (here.device, there.device) == ("cpu", "gpu")
        np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=1e-8, atol=1e-8)


def test_other_axes_than_the_last_are_as_on_the_cpu(cupy):
    x, t = numbers((3, 4, 5), 11), numbers((3, 4, 5), 12)
    for function in (ops.softmax, ops.log_softmax):
        found = function(Tensor(x).gpu(), axis=1).numpy()
        np.testing.assert_allclose(found, function(Tensor(x), axis=1).numpy(), rtol=1e-12)
    found = class_crossentropy(Tensor(x).gpu(), Tensor(t).gpu(), axis=0).numpy()
    expected = class_crossentropy(Tensor(x), Tensor(t), axis=0).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
