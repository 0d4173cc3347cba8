"""Batch normalization, the squared error and Adam on the card, against NumPy in float64."""

import numpy as np
import pytest

from minicnn.kernels import cuda
from minicnn.kernels.masked_gradient import MaskedGradient
from tests.cuda import maps
from tests.cuda.simulator.cpu_module import thread_order
from tests.kernels.maps import AWKWARD
from tests.strategies import Case

SHAPES = [(3, 7, 5, 1), (2, 3, 4, 6), (5, 1, 3, 33), (700, 40), (9001, 3)]


def numbers(shape, seed, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def normalized(x, gamma, beta, epsilon, relu):
    """Return y, mean and variance in float64."""
    x = x.astype(float)
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    y = (x - mean) / np.sqrt(variance + epsilon) * gamma + beta
    return np.maximum(y, 0) if relu else y, mean, variance


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("relu", [False, True])
def test_batch_normalization(cupy, shape, relu):
    x = numbers(shape, 1) * 3 + 5
    gamma, beta = numbers(shape[-1:], 2), numbers(shape[-1:], 3)
    expected = normalized(x, gamma, beta, 0.01, relu)
    given = [cupy.asarray(a) for a in (x, gamma, beta)]
    with thread_order(2):
        results = maps.back(cuda.batch_normalization(*given, 0.01, relu))
    for result, right in zip(results, expected, strict=True):
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, right, rtol=2e-5, atol=2e-5)
    plain = maps.back(cuda.batch_normalization(given[0], None, None, 0.01, relu))[0]
    np.testing.assert_allclose(plain, normalized(x, 1, 0, 0.01, relu)[0], rtol=2e-5, atol=2e-5)


def test_statistics_far_from_zero_keep_their_digits(cupy):
    # Rows that differ by little from a large number: sums of squares would round it all away.
    x = (numbers((40, 33, 17, 3), 4) + 10_000).astype("float32")
    _, mean, variance = maps.back(cuda.batch_normalization(cupy.asarray(x), None, None, 0.0, False))
    axes = (0, 1, 2)
    np.testing.assert_allclose(mean, x.astype(float).mean(axes), rtol=1e-6)
    np.testing.assert_allclose(variance, x.astype(float).var(axes), rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("relu", [False, True])
def test_gradient_of_batch_normalization(cupy, shape, relu):
    # In the direction v, the loss sum(y * dy) changes by sum(dx * v): measured in float64. Which
    # results the ReLU lets through is held fast, so that none crosses zero between the two ends.
    x, gamma, beta, dy, v = (
        numbers(s, seed, "float64")
        for seed, s in enumerate((shape, shape[-1:], shape[-1:], shape, shape))
    )

    shown = normalized(x, gamma, beta, 0.01, relu)[0] != 0

    def loss(x, gamma, beta):
        return (normalized(x, gamma, beta, 0.01, False)[0] * dy)[shown].sum()

    given = [cupy.asarray(a) for a in (x, gamma, beta)]
    y, mean, variance = cuda.batch_normalization(*given, 0.01, relu)
    found = cuda.batch_normalization_gradient(
        cupy.asarray(dy), y if relu else None, given[0], given[1], mean, variance, 0.01
    )
    step = 1e-6
    for place, gradient in enumerate(maps.back(found)):
        direction = v if place == 0 else v.reshape(-1, shape[-1])[0]
        ends = []
        for side in (step, -step):
            moved = [x, gamma, beta]
            moved[place] = moved[place] + side * direction
            ends.append(loss(*moved))
        measured = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(), measured, rtol=1e-4, atol=1e-4)


def test_sums_of_channels(cupy):
    for shape in SHAPES:
        x = numbers(shape, 6)
        (result,) = maps.back(cuda.column_sums(cupy.asarray(x)))
        expected = x.astype(float).sum(tuple(range(x.ndim - 1)))
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-3)
    assert cuda.column_sums(cupy.zeros((0, 3), "float32")).get().tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 71, 83, 3)])
def test_squared_error(cupy, shape, dtype):
    p, t = numbers(shape, 7, dtype), numbers(shape, 8, dtype)
    mean, gradient = maps.back(cuda.squared_error(cupy.asarray(p), cupy.asarray(t)))
    difference = p.astype(float) - t
    assert mean.shape == ()
    assert mean.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(mean, (difference**2).mean(), rtol=1e-6)
    np.testing.assert_allclose(gradient, 2 * difference / p.size, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("turned", [False, True])
def test_adam(cupy, turned):
    w, g, m, v = (numbers((3, 5), seed, "float64") for seed in range(4))
    v = v**2
    given = [cupy.asarray(a) for a in (w, g, m, v)]
    if turned:  # the running means lie in another order, and are brought up to date in place
        given[2:] = [cupy.asarray(np.ascontiguousarray(a.T)).T for a in (m, v)]
    (new,) = maps.back(cuda.adam(*given, 0.1, 0.001, 0.01, 1e-7))
    m += (g - m) * 0.1
    v += (g * g - v) * 0.001
    np.testing.assert_allclose(given[2].get(), m, rtol=1e-12)
    np.testing.assert_allclose(given[3].get(), v, rtol=1e-12)
    np.testing.assert_allclose(new, w - 0.01 * m / (np.sqrt(v) + 1e-7), rtol=1e-12)
    np.testing.assert_array_equal(given[0].get(), w)


def test_slopes_are_written_out(cupy):
    case = Case(AWKWARD, 2, 3, 3, 2)
    dy, where, g = maps.given("scatter", case)
    truth = case.pooled().astype(float)[::-1].copy()
    given = MaskedGradient(*(cupy.asarray(a) for a in (dy, truth, where)), g)
    shown = np.where(truth > 0, dy, 0)
    for counts, relu in ((shown, given.relu_output), (dy, None)):
        full, sums = maps.back(cuda.ready(MaskedGradient(given.dy, relu, given.indices, g), g))
        expected = maps.oracle("scatter", (counts, where, g))[0]
        np.testing.assert_array_equal(full, expected)
        np.testing.assert_allclose(sums, expected.sum((0, 1, 2)), rtol=1e-12, atol=1e-12)
    full, sums = maps.back(cuda.ready(MaskedGradient(given.dy, given.relu_output), g))
    np.testing.assert_array_equal(full, shown)
    np.testing.assert_allclose(sums, shown.sum((0, 1, 2)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_normalization_by_statistics_from_before(cupy, shape):
    x = numbers(shape, 1) * 3 + 5
    mean, gamma, beta = (numbers(shape[-1:], seed) for seed in (2, 3, 4))
    variance = numbers(shape[-1:], 5) ** 2
    for g, b in ((gamma, beta), (None, None)):
        given = [a if a is None else cupy.asarray(a) for a in (x, mean, variance, g, b)]
        expected = (x.astype(float) - mean) / np.sqrt(variance.astype(float) + 0.01)
        expected = expected * (1 if g is None else g) + (0 if b is None else b)
        for relu in (False, True):
            found = cuda.normalize_by(*given, 0.01, relu)
            right = np.maximum(expected, 0) if relu else expected
            np.testing.assert_allclose(found.get(), right, rtol=1e-5, atol=1e-5)


def test_statistics_move_towards_those_of_a_batch(cupy):
    moving, batch = (tuple(numbers((7,), seed + i) for i in (0, 1)) for seed in (1, 3))
    there = (tuple(map(cupy.asarray, pair)) for pair in (moving, batch))
    found = maps.back(cuda.move_statistics(*there, 0.9))
    for new, before, now in zip(found, moving, batch, strict=True):
        np.testing.assert_allclose(new, 0.9 * before + 0.1 * now, rtol=1e-5)


@pytest.mark.parametrize("shape", [(700, 40), (9001, 3)])
def test_other_orders_of_threads_give_the_same_bits(cupy, shape):
    x, t = numbers(shape, 1), numbers(shape, 2)
    results = set()
    for order in (0, 1, 7):
        with thread_order(order):
            found = [
                *maps.back(cuda.batch_normalization(cupy.asarray(x), None, None, 1e-3, True)),
                *maps.back(cuda.squared_error(cupy.asarray(x), cupy.asarray(t))),
                *maps.back(cuda.column_sums(cupy.asarray(x))),
            ]
        results.add(b"".join(f.tobytes() for f in found))
    assert len(results) == 1
