"""Operations in one pass against the operations that they are made of: values and derivatives."""

import itertools

import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from minicnn.config import use_backend
from tests.helpers import rng_integers

EVERY_BACKEND = pytest.mark.parametrize("backend", ["numpy", "numba"])
RNG = np.random.default_rng(8)


def normal(*shape):
    return RNG.normal(size=shape)


#: Ways to call a convolution: options, and the shapes of image, kernel and bias.
WAYS = {
    "plain": ({}, (2, 6, 9, 3), (3, 2, 3, 5), 5),
    "one channel": ({"padding": "same"}, (2, 6, 9, 1), (3, 5, 1, 2), 2),
    "vectors left over": ({"strides": (1, 2)}, (1, 5, 12, 17), (2, 3, 17, 33), 33),
    "sides": (
        {"strides": (2, 1), "padding": ((0, 3), (2, 1)), "dilation_rate": (1, 2)},
        (2, 7, 6, 2),
        (3, 2, 2, 4),
        4,
    ),
    "groups": ({"groups": 2, "padding": "same"}, (2, 5, 8, 4), (3, 2, 2, 6), 6),
    "no bias": ({"padding": 1}, (2, 5, 8, 2), (3, 2, 2, 3), None),
    "of the image": ({}, (3, 4, 6, 2), (3, 5, 2, 4), 4),
    "filtered": ({"padding": "same"}, (1, 6, 9, 16), (3, 3, 16, 32), 32),
}
POOLS = {"2x2": 2, "2x3": (2, 3), "3x2": (3, 2)}

#: The same for a transposed convolution, whose kernel has the channels last.
TRANSPOSED = {
    "plain": ({}, (2, 4, 5, 3), (3, 2, 5, 3), 5),
    "strides": ({"strides": (2, 3), "padding": "same"}, (2, 4, 5, 3), (3, 4, 2, 3), 2),
    "one channel": ({"strides": 2, "padding": "same"}, (2, 4, 5, 17), (3, 2, 1, 17), 1),
    "groups": ({"groups": 2, "strides": (1, 2)}, (2, 4, 5, 4), (3, 2, 3, 4), 6),
    "no bias": ({"dilation_rate": (2, 1)}, (2, 4, 5, 2), (3, 2, 3, 2), None),
    "rows added": ({"strides": (3, 2), "output_padding": (2, 1)}, (1, 4, 5, 2), (2, 3, 3, 2), 3),
    "of one pixel": ({}, (2, 1, 1, 4), (3, 5, 2, 4), 2),
}


def made_of(function, options, relu, pool):
    """Return the fused call and its composition, as functions of (x, kernel) or with a bias."""

    def fused(x, kernel, bias=None):
        more = {} if pool is None else {"max_pool": pool}
        return function(x, kernel, bias, relu=relu, **more, **options)

    def composed(x, kernel, bias=None):
        y = function(x, kernel, **options)
        y = y if bias is None else y + bias
        y = ops.relu(y) if relu else y
        return y if pool is None else ops.max_pool2d(y, pool)

    return fused, composed


def calls():
    """Every way with and without ReLU, and convolutions with each pool that fits."""
    for name, (options, *shapes) in WAYS.items():
        for relu, pool in itertools.product([True, False], [None, *POOLS]):
            if name == "of the image" and pool not in (None, "2x2"):
                continue
            yield pytest.param(
                *made_of(mc.conv2d, options, relu, POOLS.get(pool)), shapes,
                id=f"conv2d-{name}-{'relu' if relu else 'linear'}-{pool}",
            )  # fmt: skip
    for name, (options, *shapes) in TRANSPOSED.items():
        for relu in (True, False):
            yield pytest.param(
                *made_of(mc.conv2d_transpose, options, relu, None), shapes,
                id=f"transposed-{name}-{'relu' if relu else 'linear'}",
            )  # fmt: skip


CALLS = list(calls())


def inputs_of(shapes, seed=3):
    """Return an image, a kernel and, if it has a size, a bias."""
    rng = np.random.default_rng(seed)
    *full, filters = shapes
    arrays = [rng.normal(size=shape) for shape in full]
    return arrays if filters is None else [*arrays, rng.normal(size=filters)]


def derivatives(function, arrays, dtype="float64"):
    """Return the value, the gradients, and the gradients of a sum of the gradients."""
    tensors = [mc.Tensor(a.astype(dtype)) for a in arrays]
    rng = np.random.default_rng(1)
    with mc.GradientTape() as outer:
        outer.watch(tensors)
        with mc.GradientTape() as inner:
            inner.watch(tensors)
            y = function(*tensors)
        cotangent = rng.normal(size=y.shape).astype(dtype)
        first = inner.gradient(y, tensors, cotangent)
        weights = [rng.normal(size=g.shape).astype(dtype) for g in first]
        total = ops.sum(first[0] * weights[0])
        for gradient, weight in zip(first[1:], weights[1:], strict=True):
            total = total + ops.sum(gradient * weight)
    second = outer.gradient(total, tensors, unconnected_gradients="zero")
    return [t.numpy() for t in (y, *first, *second)]


def gradients(function, arrays, dtype="float64"):
    """Return the value and the gradients, without a memory of how these were computed."""
    tensors = [mc.Tensor(a.astype(dtype)) for a in arrays]
    with mc.GradientTape() as tape:
        tape.watch(tensors)
        y = function(*tensors)
    cotangent = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
    return [t.numpy() for t in (y, *tape.gradient(y, tensors, cotangent))]


def assert_close(found, expected, tolerance=1e-11):
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, abs(b).max()))


@pytest.mark.parametrize(("fused", "composed", "shapes"), CALLS)
def test_values_and_derivatives_are_those_of_the_composition(fused, composed, shapes):
    arrays = inputs_of(shapes)
    with use_backend("numpy"):
        expected = derivatives(composed, arrays)
        assert_close(derivatives(fused, arrays), expected)
    with use_backend("numba"):
        assert_close(derivatives(fused, arrays), expected)
        # Where nobody asks for second derivatives, gradients take a shorter way.
        assert_close(gradients(fused, arrays), expected[: 1 + len(arrays)])
        found = gradients(fused, arrays, "float32")
        assert all(a.dtype == "float32" for a in found)
        for a, b in zip(found, expected[: 1 + len(arrays)], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * abs(b).max())


@EVERY_BACKEND
@pytest.mark.parametrize(
    ("fused", "composed", "shapes"), [p for p in CALLS if "vectors" not in p.id]
)
def test_derivatives_agree_with_differences(fused, composed, shapes, backend):
    with use_backend(backend):
        mc.check_gradients(fused, *inputs_of(shapes), directions=1)


def fused_layer(pool=None):
    """Return a fused call with its composition and variables, large enough for every shortcut."""
    fused, composed = made_of(mc.conv2d, {"padding": "same"}, True, pool)
    return fused, composed, [mc.Variable(a) for a in inputs_of(((2, 6, 9, 3), (3, 2, 3, 5), 5))]


@pytest.mark.parametrize("pool", [None, 2])
def test_each_gradient_alone(pool):
    fused, composed, variables = fused_layer(pool)
    for chosen in itertools.chain.from_iterable(
        itertools.combinations(range(3), n) for n in (1, 2, 3)
    ):
        found = []
        for backend, function in (("numpy", composed), ("numba", fused)):
            with use_backend(backend), mc.GradientTape() as tape:
                y = function(*variables)
            with use_backend(backend):
                found.append(tape.gradient(y, [variables[i] for i in chosen]))
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("pool", [None, 2])
def test_a_second_gradient_does_not_get_the_sums_of_the_first(pool):
    # The gradients of kernel and bias come from one pass, which is remembered between the two.
    fused, composed, variables = fused_layer(pool)
    cotangents = [normal(2, 6, 9, 5)[:, : 6 // (pool or 1), : 9 // (pool or 1)] for _ in range(3)]
    with use_backend("numba"):
        with mc.GradientTape(persistent=True) as tape:
            y = fused(*variables)
        found = [tape.gradient(y, variables, c) for c in (*cotangents, cotangents[0])]
    with use_backend("numpy"):
        with mc.GradientTape(persistent=True) as tape:
            y = composed(*variables)
        expected = [tape.gradient(y, variables, c) for c in (*cotangents, cotangents[0])]
    for ours, others in zip(found, expected, strict=True):
        for a, b in zip(ours, others, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-11, atol=1e-11)


def test_gradients_of_several_uses_add_up():
    fused, composed, variables = fused_layer()
    found = []
    for backend, function in (("numpy", composed), ("numba", fused)):
        for variable in variables:
            variable.grad = None
        with use_backend(backend):
            x, kernel, bias = variables
            y = function(function(x, kernel, bias)[..., :3], kernel, bias)
            (ops.sum(y * y) + ops.sum(function(x, kernel, bias))).backward()
        found.append([v.grad.numpy() for v in variables])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11)


@EVERY_BACKEND
def test_frozen_weights_and_plain_arrays_need_no_gradient(backend):
    x, kernel, bias = inputs_of(((2, 6, 9, 3), (3, 2, 3, 5), 5))
    with use_backend(backend):
        frozen = mc.Variable(kernel, trainable=False)
        variable = mc.Variable(bias)
        y = mc.conv2d(x, frozen, variable, relu=True, max_pool=(2, 2))
        ops.sum(y).backward()
        assert frozen.grad is None
        np.testing.assert_allclose(variable.grad.numpy(), (y.numpy() > 0).sum((0, 1, 2)))
        with mc.autograd.no_recording():
            assert mc.conv2d(x, kernel, variable, relu=True).node is None


@EVERY_BACKEND
def test_nothing_flows_through_results_of_zero_or_less(backend):
    # Of the four outputs of each filter one is positive, one negative and two are zero.
    x = mc.Variable(np.array([[2.0, 0.0], [-1.0, 0.0]]).reshape(1, 2, 2, 1))
    kernel, bias = mc.Variable(np.ones((1, 1, 1, 3))), mc.Variable(np.zeros(3))
    with use_backend(backend):
        ops.sum(mc.conv2d(x, kernel, bias, relu=True)).backward()
    assert x.grad.numpy().ravel().tolist() == [3, 0, 0, 0]
    assert kernel.grad.numpy().ravel().tolist() == [2, 2, 2]
    assert bias.grad.numpy().tolist() == [1, 1, 1]


@EVERY_BACKEND
def test_whole_numbers_become_floats(backend):
    x, kernel = rng_integers(1, (2, 5, 7, 2), "int64"), rng_integers(2, (3, 2, 2, 3), "int64")
    with use_backend(backend):
        found = mc.conv2d(x, kernel, [1, 0, -1], relu=True, max_pool=2)
    bias = np.array([1.0, 0.0, -1.0])
    y = mc.conv2d(x.astype("float64"), kernel.astype("float64"), bias).numpy()
    expected = np.maximum(y[:, :2, :6].reshape(2, 1, 2, 3, 2, 3).max((2, 4)), 0)
    np.testing.assert_array_equal(found.numpy(), expected)
    assert found.dtype == mc.config.floatx()


@pytest.mark.cpu_only
@EVERY_BACKEND
def test_half_precision_stays(backend):
    x, kernel = rng_integers(1, (2, 5, 7, 2), "float16"), rng_integers(2, (3, 2, 2, 3), "float16")
    found = []
    for dtype in ("float16", "float64"):
        variables = [mc.Variable(a.astype(dtype)) for a in (x, kernel, np.ones(3))]
        with use_backend(backend):
            y = mc.conv2d(*variables, relu=True)
            ops.sum(y).backward()
        found.append([y.numpy(), *(v.grad.numpy() for v in variables)])
        assert all(a.dtype == dtype for a in found[-1])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@EVERY_BACKEND
def test_pooling_that_does_not_fit_is_refused(backend):
    with use_backend(backend), pytest.raises(mc.errors.ShapeError, match="mine"):
        mc.conv2d(np.ones((1, 4, 9, 1)), np.ones((3, 2, 1, 1)), max_pool=(3, 2), name="mine")


# The mean squared error.


def composed_error(truth, prediction):
    return ops.mean(ops.square(prediction - truth))


@EVERY_BACKEND
@pytest.mark.parametrize("shape", [(1,), (), (7, 3), (2, 5, 3, 2), (9000,)])
def test_the_squared_error_is_that_of_the_composition(backend, shape):
    arrays = [normal(*shape), normal(*shape)]
    with use_backend("numpy"):
        expected = derivatives(composed_error, arrays)
    with use_backend(backend):
        assert_close(derivatives(ops.mean_squared_error, arrays), expected, 1e-13)
        assert_close(gradients(ops.mean_squared_error, arrays), expected[:3], 1e-13)
        mc.check_gradients(ops.mean_squared_error, *arrays)


@EVERY_BACKEND
def test_the_squared_error_within_a_larger_loss(backend):
    # Its own gradient is ready for a cotangent of 1; another one must be multiplied in.
    truth, prediction = normal(4, 6), normal(4, 6)

    def loss(error):
        return lambda t, p: 3 * error(t, p) + ops.sum(p * error(t, 2 * p))

    with use_backend("numpy"):
        expected = derivatives(loss(composed_error), [truth, prediction])
    with use_backend(backend):
        found = derivatives(loss(ops.mean_squared_error), [truth, prediction])
        assert_close(found, expected, 1e-12)


#: Pairs of truth and prediction that are no two arrays of one shape and float type.
PAIRS = {
    "a row for all": ((1, 4), "float64", (3, 4), "float64"),
    "a prediction for all": ((3, 4), "float64", (1, 4), "float64"),
    "a missing axis": ((4,), "float64", (3, 4), "float64"),
    "a number": ((), "float32", (3, 4), "float32"),
    "wider truth": ((3, 4), "float64", (3, 4), "float32"),
    "wider prediction": ((3, 4), "float32", (3, 4), "float64"),
    "whole numbers": ((3, 4), "int64", (3, 4), "int64"),
    "whole truth": ((3, 4), "int32", (3, 4), "float32"),
    "half precision": ((3, 4), "float16", (3, 4), "float16"),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_squared_error_of_any_two_arrays(pair):
    truth_shape, truth_type, shape, dtype = PAIRS[pair]
    truth = mc.Tensor(rng_integers(1, truth_shape, truth_type))
    prediction = mc.Tensor(rng_integers(2, shape, dtype))
    expected = composed_error(truth, prediction).numpy()
    for backend in ("numpy", "numba"):
        with use_backend(backend):
            found = ops.mean_squared_error(truth, prediction).numpy()
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-3 if "half" in pair else 1e-6)


@EVERY_BACKEND
def test_the_squared_error_takes_plain_arrays_and_lists(backend):
    with use_backend(backend):
        assert float(ops.mean_squared_error([[0.0, 1.0, 2.0]], [[0.0, 1.0, 5.0]])) == 3
        assert float(ops.mean_squared_error(np.zeros((2, 3)), np.full((2, 3), 2.0))) == 4
