"""The two ends of a training step that are compiled: the squared error, and Adam's update."""

import math

import numpy as np
import pytest

from minicnn.kernels import compiled
from tests.helpers import rng_integers
from tests.kernels.test_backends import scattered
from tests.kernels.watched import needs_two_threads, threads, watched_memory

EVERY_TYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])
#: Numbers around one and around several blocks of a sum.
SIZES = [1, 2, 4095, 4096, 4097, 8192, 100_003]


@EVERY_TYPE
@pytest.mark.parametrize("size", SIZES)
def test_squared_error_and_its_gradient(dtype, size):
    prediction, truth = (rng_integers(seed, (size,), dtype) for seed in (1, 2))
    with watched_memory():
        error, gradient = compiled.squared_error(prediction, truth)
    difference = prediction.astype("float64") - truth
    assert (error.shape, error.dtype, gradient.dtype) == ((), dtype, dtype)
    # Sums of whole numbers are exact; the mean is rounded once.
    assert error == np.asarray((difference**2).sum() / size, dtype)
    np.testing.assert_array_equal(gradient, np.asarray(2 / size, dtype) * difference.astype(dtype))


def test_squared_error_of_images_that_lie_anywhere():
    prediction, truth = (rng_integers(seed, (3, 5, 7, 2), "float32") for seed in (1, 2))
    expected = compiled.squared_error(prediction, truth)
    views = scattered(prediction), scattered(truth)
    for view in views:
        view.flags.writeable = False
    error, gradient = compiled.squared_error(*views)
    assert gradient.shape == prediction.shape
    assert error == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    np.testing.assert_array_equal(views[0], prediction)


def test_squared_error_hardly_rounds():
    rng = np.random.default_rng(1)
    prediction, truth = rng.normal(size=(2, 3_000_000)).astype("float32")
    error, _ = compiled.squared_error(prediction, truth)
    exact = math.fsum((prediction.astype("float64") - truth) ** 2) / prediction.size
    assert abs(error / exact - 1) < 3e-7


def test_a_squared_error_of_nan_is_nan():
    prediction, truth = np.zeros((2, 9000), "float32")
    prediction[5000] = np.nan
    error, gradient = compiled.squared_error(prediction, truth)
    assert np.isnan(error)
    assert np.isnan(gradient).nonzero()[0].tolist() == [5000]


@needs_two_threads
def test_threads_do_not_change_a_bit_of_the_squared_error():
    rng = np.random.default_rng(1)
    prediction, truth = rng.normal(size=(2, 50_000)).astype("float32")
    found = set()
    for count in (1, 2):
        with threads(count):
            found.add(tuple(a.tobytes() for a in compiled.squared_error(prediction, truth)))
    assert len(found) == 1


def by_formula(weight, gradient, mean, square, rests, rate, epsilon):
    """Return (weight, mean, square) after Adam's update, in float64."""
    gradient = gradient.astype("float64")
    mean = mean + rests[0] * (gradient - mean)
    square = square + rests[1] * (gradient**2 - square)
    return weight - rate * mean / (np.sqrt(square) + epsilon), mean, square


def state(shape, dtype, seed=0):
    """Return a weight, a gradient, and the running means of gradient and square."""
    rng = np.random.default_rng(seed)
    signed = rng.normal(size=(3, *shape)).astype(dtype)
    return *signed, rng.uniform(0, 1, shape).astype(dtype)


ARRANGED = {
    "as usual": np.ascontiguousarray,
    "columns first": np.asfortranarray,
    "axes exchanged": lambda a: np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1),
    "with gaps": scattered,
}


@EVERY_TYPE
@pytest.mark.parametrize("arranged", ARRANGED)
def test_adam_however_the_arrays_lie_in_memory(dtype, arranged):
    tolerance = {"float32": 2e-6, "float64": 1e-14}[dtype]
    numbers = (0.1, 0.001), 0.25, 1e-3
    weight, gradient, mean, square = (ARRANGED[arranged](a) for a in state((5, 3, 7), dtype))
    expected = by_formula(weight, gradient, mean, square, *numbers)
    before = weight.copy(), gradient.copy()
    new = compiled.adam(weight, gradient, mean, square, *numbers[0], *numbers[1:])
    assert new.dtype == dtype
    for result, right in zip((new, mean, square), expected, strict=True):
        np.testing.assert_allclose(result, right, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(weight, before[0])
    np.testing.assert_array_equal(gradient, before[1])
    assert not np.shares_memory(new, weight)
