"""The compiled batch normalization, against its formula in float64 and against differences."""

import math

import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from minicnn.config import use_backend
from minicnn.kernels import compiled
from tests.kernels.test_backends import scattered
from tests.kernels.watched import needs_two_threads, threads, watched_memory

EPSILON = 0.01
#: Few and many channels, odd numbers of pixels, one pixel, blocks that are not full.
SHAPES = [
    (1, 1), (1, 5), (7, 1), (2, 3, 5, 3), (2, 6, 9, 16), (3, 5, 7, 17), (1, 2, 3, 33),
    (4, 31, 37, 8), (3, 41, 67, 5), (2, 3, 300), (5, 9, 4, 1025), (16384, 2),
]  # fmt: skip
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=str)
EVERY_TYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])
WHOLE = pytest.mark.parametrize("whole", [True, False], ids=["gamma and beta", "neither"])


def drawn(shape, whole, dtype="float64", seed=1):
    rng = np.random.default_rng(seed)
    x, dy = (rng.normal(size=shape) for _ in range(2))
    x = x * rng.uniform(0.1, 9, shape[-1]) + rng.uniform(-50, 50, shape[-1])
    gamma, beta = rng.normal(size=(2, shape[-1])) if whole else (None, None)
    return [None if a is None else a.astype(dtype) for a in (x, gamma, beta, dy)]


def by_formula(x, gamma, beta, dy, relu):
    """Return y, mean, variance and the gradients by x, gamma and beta, in float64."""
    x, gamma, beta, dy = (None if a is None else a.astype("float64") for a in (x, gamma, beta, dy))
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    scale = 1 / np.sqrt(variance + EPSILON)
    normalized = (x - mean) * scale
    factor = 1.0 if gamma is None else gamma
    y = factor * normalized + (0.0 if beta is None else beta)
    if relu:
        dy, y = dy * (y > 0), np.maximum(y, 0)
    by_gamma, by_beta = (dy * normalized).sum(axes), dy.sum(axes)
    pixels = x.size // x.shape[-1]
    dx = factor * scale * (dy - by_beta / pixels - normalized * by_gamma / pixels)
    return y, mean, variance, dx, by_gamma, by_beta


def run(x, gamma, beta, dy, relu):
    y, mean, variance = compiled.batch_normalization(x, gamma, beta, EPSILON, relu)
    slopes = compiled.batch_normalization_gradient(
        dy, y if relu else None, x, gamma, mean, variance, EPSILON
    )
    return y, mean, variance, *slopes


@EVERY_SHAPE
@EVERY_TYPE
@WHOLE
@pytest.mark.parametrize("relu", [True, False], ids=["relu", "linear"])
def test_values_and_gradients_are_those_of_the_formula(shape, dtype, whole, relu):
    arrays = drawn(shape, whole, dtype)
    copies = [None if a is None else a.copy() for a in arrays]
    with watched_memory():
        found = [np.array(a) for a in run(*arrays, relu)]
    # In float32 the sign of a number next to zero may differ from that of the formula.
    tolerance = 1e-11 if dtype == "float64" else 3e-5
    for name, a, b in zip(
        ("y", "mean", "variance", "dx", "gamma", "beta"), found,
        by_formula(*arrays, relu), strict=True,
    ):  # fmt: skip
        assert (a.shape, a.dtype) == (b.shape, dtype), name
        size = max(1.0, abs(b).max())
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * size, err_msg=name)
    for a, b in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(a, b)


def test_images_that_lie_anywhere():
    arrays = drawn((3, 5, 7, 6), True)
    expected = run(*arrays, True)
    views = [scattered(a) if a.ndim == 4 else a for a in arrays]
    for view in views:
        view.flags.writeable = False
    for a, b in zip(run(*views, True), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_statistics_hardly_round_far_from_zero():
    rng = np.random.default_rng(2)
    x = (1000 + rng.normal(size=(300_001, 2))).astype("float32")
    _, mean, variance = compiled.batch_normalization(x, None, None, EPSILON, False)
    for c in range(2):
        column = x[:, c].astype("float64")
        assert abs(mean[c] * len(column) / math.fsum(column) - 1) < 1e-7  # one step of float32
        assert abs(variance[c] / column.var() - 1) < 1e-6


def test_nan_stays_in_its_channel():
    x, gamma, beta, dy = drawn((2, 9, 11, 3), True)
    x[1, 2, 3, 1] = np.nan
    for array in run(x, gamma, beta, dy, True)[:4]:
        found = np.isnan(array).reshape(-1, 3).any(0)
        assert found.tolist() == [False, True, False]


@needs_two_threads
def test_threads_do_not_change_a_bit():
    arrays = drawn((4, 31, 37, 8), True, "float32")
    found = set()
    for count in (1, 2):
        with threads(count):
            found.add(tuple(np.asarray(a).tobytes() for a in run(*arrays, True)))
    assert len(found) == 1


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("relu", [True, False], ids=["relu", "linear"])
def test_derivatives_of_both_orders(backend, relu):
    x, gamma, beta, _ = drawn((2, 3, 4, 3), True, seed=3)

    def normalized(x, gamma, beta):
        return ops.batch_normalization(x, gamma, beta, 0.5, relu=relu)[0]

    with use_backend(backend):
        mc.check_gradients(normalized, x / 10, gamma, beta)
        mc.check_gradients(lambda x: ops.batch_normalization(x, relu=relu)[0], x)


def test_the_gradient_is_found_anew_for_another_cotangent():
    x, gamma, beta, dy = (mc.Tensor(a) for a in drawn((2, 3, 4, 3), True))
    with use_backend("numba"):
        with mc.GradientTape(persistent=True) as tape:
            tape.watch(gamma)
            y, _, _ = ops.batch_normalization(x, gamma, beta)
        once, twice = (tape.gradient(y, gamma, factor * dy).numpy() for factor in (1.0, 2.0))
    np.testing.assert_array_equal(2 * once, twice)


def test_small_work_is_left_to_numpy(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("compiled code was called")

    monkeypatch.setattr(compiled, "batch_normalization", refuse)
    x = np.random.default_rng(1).normal(size=(2, 5, 7, 3))
    _, mean, _ = ops.batch_normalization(x)
    np.testing.assert_allclose(mean, x.mean((0, 1, 2)))
    with pytest.raises(AssertionError, match="compiled"):
        ops.batch_normalization(np.zeros((20, 30, 40, 3)))
