"""Forward values against NumPy and SciPy, types of results, and messages."""

import numpy as np
import pytest
from scipy import special

import minicnn as mc
from minicnn import config, ops
from minicnn.errors import ArgumentError, ShapeError
from minicnn.runtime.devices import to_cpu
from tests.helpers import rng_integers

RNG = np.random.default_rng(2)
X = RNG.normal(size=(2, 3, 4)) * 3
Y = RNG.normal(size=(2, 3, 4)) * 3
ROW = RNG.uniform(0.5, 2, (3, 1))
POSITIVE = np.abs(X) + 0.1
MASK = X > Y
IMAGES = rng_integers(1, (2, 5, 7, 3))
EXTREME = np.array([-1e4, -800.0, -40.0, -1e-9, 0.0, 1e-9, 40.0, 800.0, 1e4])

UNARY = {
    "abs": (ops.abs, np.abs, X),
    "erf": (ops.erf, special.erf, X),
    "exp": (ops.exp, np.exp, X),
    "expm1": (ops.expm1, np.expm1, X * 1e-8),
    "log": (ops.log, np.log, POSITIVE),
    "log1p": (ops.log1p, np.log1p, POSITIVE * 1e-8),
    "negative": (ops.negative, np.negative, X),
    "sign": (ops.sign, np.sign, np.array([-2.0, -0.0, 0.0, 3.0])),
    "sqrt": (ops.sqrt, np.sqrt, POSITIVE),
    "square": (ops.square, np.square, X),
    "tanh": (ops.tanh, np.tanh, X),
    "sigmoid": (ops.sigmoid, special.expit, EXTREME),
    "softplus": (ops.softplus, lambda x: np.logaddexp(0, x), EXTREME),
    "relu": (ops.relu, lambda x: x * (x > 0), X),
    "clip": (lambda x: ops.clip(x, -1, 2), lambda x: np.clip(x, -1, 2), X),
    "power": (lambda x: ops.power(x, 2.5), lambda x: np.power(x, 2.5), POSITIVE),
    "softmax": (ops.softmax, lambda x: special.softmax(x, -1), X),
    "softmax_axis": (lambda x: ops.softmax(x, 1), lambda x: special.softmax(x, 1), X),
    "softmax_extreme": (ops.softmax, special.softmax, EXTREME),
    "log_softmax": (ops.log_softmax, lambda x: special.log_softmax(x, -1), X),
    "log_softmax_extreme": (ops.log_softmax, special.log_softmax, EXTREME),
    "sum": (ops.sum, np.sum, X),
    "sum_axes": (lambda x: ops.sum(x, (0, -1)), lambda x: np.sum(x, (0, -1)), X),
    "mean": (lambda x: ops.mean(x, 1, keepdims=True), lambda x: x.mean(1, keepdims=True), X),
    "variance": (lambda x: ops.variance(x, (0, 2)), lambda x: np.var(x, (0, 2)), X),
    "max": (lambda x: ops.max(x, -2), lambda x: x.max(-2), X),
    "min": (lambda x: ops.min(x, (0, 1), True), lambda x: x.min((0, 1), keepdims=True), X),
    "reshape": (lambda x: ops.reshape(x, (4, -1)), lambda x: x.reshape(4, -1), X),
    "transpose": (ops.transpose, np.transpose, X),
    "transpose_axes": (lambda x: ops.transpose(x, (2, 0, -2)), lambda x: x.transpose(2, 0, 1), X),
    "broadcast_to": (
        lambda x: ops.broadcast_to(x, (2, 3, 4)),
        lambda x: np.broadcast_to(x, (2, 3, 4)),
        ROW,
    ),
    "squeeze": (ops.squeeze, np.squeeze, ROW),
    "squeeze_axis": (lambda x: ops.squeeze(x, -1), lambda x: x.squeeze(-1), ROW[None]),
    "getitem": (lambda x: ops.getitem(x, (1, slice(None, 2))), lambda x: x[1, :2], X),
    "getitem_mask": (lambda x: ops.getitem(x, MASK), lambda x: x[MASK], X),
    "pad2d": (
        lambda x: ops.pad2d(x, ((1, 0), (2, 3))),
        lambda x: np.pad(x, ((0, 0), (1, 0), (2, 3), (0, 0))),
        IMAGES,
    ),
    "crop2d": (lambda x: ops.crop2d(x, ((1, 0), (2, 3))), lambda x: x[:, 1:5, 2:4], IMAGES),
}
BINARY = {
    "add": (ops.add, np.add, X, ROW),
    "subtract": (ops.subtract, np.subtract, ROW, X),
    "multiply": (ops.multiply, np.multiply, X, ROW),
    "divide": (ops.divide, np.divide, X, ROW),
    "maximum": (ops.maximum, np.maximum, X, ROW),
    "minimum": (ops.minimum, np.minimum, ROW, X),
    "where": (lambda a, b: ops.where(MASK, a, b), lambda a, b: np.where(MASK, a, b), X, ROW),
    "matmul": (ops.matmul, np.matmul, X, Y.transpose(0, 2, 1)),
    "matmul_plane": (ops.matmul, np.matmul, X, Y[0].T),
    "concatenate": (
        lambda a, b: ops.concatenate([a, b], 1),
        lambda a, b: np.concatenate([a, b], 1),
        X,
        Y[:, :2],
    ),
    "stack": (lambda a, b: ops.stack([a, b], -1), lambda a, b: np.stack([a, b], -1), X, Y),
}


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_agrees_with_numpy_and_scipy(name):
    function, expected, *inputs = (UNARY | BINARY)[name]
    result = function(*inputs)
    assert isinstance(result, mc.Tensor)
    right = expected(*inputs)
    assert result.shape == right.shape
    np.testing.assert_allclose(result.numpy(), right, rtol=1e-13, atol=1e-300)


def test_operators_are_the_operations():
    x, y = mc.constant(X), mc.constant(Y)
    for result, expected in (
        (x + y, X + Y), (1 + x, 1 + X), (x - y, X - Y), (1 - x, 1 - X), (X * y, X * Y),
        (x / y, X / Y), (2 / x, 2 / X), (x**2, X**2), (-x, -X), (x[0, 1:], X[0, 1:]),
        (x @ ops.transpose(y, (0, 2, 1)), X @ Y.transpose(0, 2, 1)),
    ):  # fmt: skip
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("function", [ops.maximum, ops.minimum])
def test_nan_passes_through_the_larger_and_the_smaller(function):
    a, b = np.array([np.nan, 1.0, np.nan]), np.array([1.0, np.nan, np.nan])
    assert np.isnan(function(a, b).numpy()).all()


@pytest.mark.parametrize("function", [ops.max, ops.min])
def test_a_nan_is_the_extreme_and_gets_the_gradient(function):
    x = mc.Variable(np.array([[1.0, np.nan, 3.0], [4.0, 4.0, 4.0]]))
    y = function(x, 1)
    np.testing.assert_array_equal(y.numpy(), [np.nan, 4.0])
    y.backward(np.array([6.0, 6.0]))
    assert x.grad.numpy().tolist() == [[0, 6, 0], [2, 2, 2]]


@pytest.mark.parametrize("epsilon", [1e-3, 0.5])
def test_standardize(epsilon):
    y, mean, variance = ops.standardize(X, epsilon)
    rows = X.reshape(-1, 4)
    np.testing.assert_allclose(to_cpu(mean), rows.mean(0), rtol=1e-13)
    np.testing.assert_allclose(to_cpu(variance), rows.var(0), rtol=1e-13)
    expected = (X - rows.mean(0)) / np.sqrt(rows.var(0) + epsilon)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-14)


FLOAT32 = {
    "scalar_right": lambda x: x * 0.1 + 2,
    "scalar_left": lambda x: 1 / (2 - x),
    "numpy_scalar": lambda x: x * np.float64(0.1),
    "power": lambda x: x**0.5,
    "clip": lambda x: ops.clip(x, 0.1, 0.9),
    "maximum": lambda x: ops.maximum(0.5, x),
    "where": lambda x: ops.where(x > 0.5, x, 0.0),
    "mean": ops.mean,
    "variance": lambda x: ops.variance(x, -1),
    "erf": ops.erf,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "standardize": lambda x: ops.standardize(x)[0],
    "max": ops.max,
    "relu": ops.relu,
}


@pytest.mark.parametrize("name", FLOAT32)
def test_float32_stays_float32_in_both_directions(name):
    x = mc.Variable(RNG.uniform(0.1, 0.9, (3, 4)).astype("float32"))
    y = FLOAT32[name](x)
    assert y.dtype == np.float32
    ops.sum(y).backward()
    assert x.grad.dtype == np.float32


def test_types_of_results():
    assert mc.convert_to_tensor([1.5]).dtype == np.float32  # Python floats become floatx
    assert ops.add(mc.constant(X.astype("float32")), mc.constant(Y)).dtype == np.float64
    assert ops.cast([1, 2], "float64").dtype == np.float64
    assert ops.sum(np.arange(3)).dtype.kind == "i"
    x = mc.constant(X)
    assert ops.cast(x, "float64") is x


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_whole_images_become_floatx(dtype):
    x, kernel = (rng_integers(i, s) > 0 for i, s in ((1, (1, 4, 6, 2)), (2, (3, 2, 2, 2))))
    for floatx in ("float32", "float64"):
        with config.use_floatx(floatx):
            for y in (
                mc.conv2d(x.astype(dtype), kernel.astype(floatx)),
                mc.conv2d(x.astype(dtype), kernel.astype(dtype)),
                mc.conv2d_transpose(x.astype(dtype), kernel.astype(floatx)),
                mc.max_pool2d(x.astype(dtype)),
                mc.average_pool2d(x.astype(dtype)),
                mc.upsample2d(x.astype(dtype)),
            ):
                assert y.dtype == floatx


def test_types_around_convolution():
    x, kernel = rng_integers(1, (1, 4, 6, 2)), rng_integers(2, (3, 2, 2, 3))
    assert mc.conv2d(x, kernel.astype("int64")).dtype == np.float64  # whole kernels follow x
    x, kernel = x.astype("float32"), kernel.astype("float32")
    assert mc.conv2d(x, kernel, np.zeros(3)).dtype == np.float32  # so does the bias
    assert mc.conv2d(x, kernel.astype("float64")).dtype == np.float64  # the wider, as in NumPy


@pytest.mark.parametrize("narrow", ["x", "kernel", "bias"])
@pytest.mark.parametrize("operation", [mc.conv2d, mc.conv2d_transpose], ids=lambda f: f.__name__)
def test_float32_meets_float64_and_gradients_keep_their_types(operation, narrow):
    shapes = {"x": (1, 4, 6, 2), "kernel": (3, 2, 2, 2), "bias": (2,)}
    exact = {name: rng_integers(i, shape) for i, (name, shape) in enumerate(shapes.items())}
    wanted = [mc.Variable(a, dtype="float64") for a in exact.values()]
    mixed = [
        mc.Variable(a, dtype="float32" if name == narrow else "float64")
        for name, a in exact.items()
    ]
    results = []
    for variables in (wanted, mixed):
        with mc.GradientTape() as tape:
            y = ops.sum(ops.square(operation(*variables)))
        results.append((y, tape.gradient(y, variables)))
    assert results[1][0].dtype == np.float64
    assert [g.dtype for g in results[1][1]] == [v.dtype for v in mixed]
    for first, second in zip(*(gradients for _, gradients in results), strict=True):
        np.testing.assert_allclose(first.numpy(), second.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "operation",
    [
        *(ops.add, ops.subtract, ops.multiply, ops.divide, ops.maximum, ops.power),
        lambda a, b: ops.matmul(a, ops.transpose(b)),
        lambda a, b: ops.concatenate([a, b]),
        lambda a, b: ops.stack([a, b]),
        lambda a, b: ops.where(np.array([True, False, True]), a, b),
    ],
)
def test_two_float_types_meet_in_the_wider_one(operation):
    a = mc.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]], dtype="float32")
    b = mc.Variable([[2.0, 1.0, 0.5], [3.0, 2.0, 1.0]], dtype="float64")
    with mc.GradientTape() as tape:
        y = operation(a, b)
        total = ops.sum(y)
    assert y.dtype == np.float64
    assert [g.dtype for g in tape.gradient(total, [a, b])] == [np.float32, np.float64]


@pytest.mark.parametrize(
    ("operation", "value"),
    [
        (lambda u, v: u + v, [[400, 15]]),
        (lambda u, v: v - u, [[0, -1]]),
        (lambda u, v: u * v, [[40000, 56]]),
        (lambda u, v: ops.square(u), [[40000, 64]]),
        (lambda u, v: u @ ops.transpose(v), [[40056]]),
        (lambda u, v: ops.sum(u + v, axis=1), [415]),
    ],
)
@pytest.mark.parametrize("kind", ["uint8", "int16"])
def test_integers_do_not_wrap_round(operation, value, kind):
    u, v = (mc.constant(np.array([a], kind)) for a in ([200, 8], [200, 7]))
    assert operation(u, v).numpy().tolist() == value


def zeros(*shape):
    return np.zeros(shape)


IMAGE, KERNEL = zeros(1, 5, 7, 4), zeros(3, 2, 4, 6)
DOES_NOT_FIT = {
    "broadcasting": (
        lambda: mc.constant(zeros(2, 3)) + mc.constant(zeros(4, 3)),
        "add: shapes (2, 3) and (4, 3) do not fit; counted from the last axis, lengths must be "
        "equal or one of them 1.",
    ),
    "subtract": (lambda: ops.subtract(zeros(2), zeros(3)), "subtract: shapes (2,) and (3,) do"),
    "multiply": (lambda: ops.multiply(zeros(2), zeros(3)), "multiply: shapes (2,) and (3,) do"),
    "divide": (lambda: ops.divide(zeros(2), zeros(3)), "divide: shapes (2,) and (3,) do not fit"),
    "maximum": (lambda: ops.maximum(zeros(2), zeros(3)), "maximum: shapes (2,) and (3,) do not"),
    "minimum": (lambda: ops.minimum(zeros(2), zeros(3)), "minimum: shapes (2,) and (3,) do not"),
    "where": (lambda: ops.where(True, zeros(2), zeros(3)), "where: shapes (2,) and (3,) do not"),
    "matmul": (lambda: ops.matmul(zeros(2, 3), zeros(2, 3)), "matmul: shapes (2, 3) and (2, 3) do"),
    "matmul_vector": (lambda: ops.matmul(zeros(3), zeros(3, 2)), "both need at least two axes"),
    "reshape": (
        lambda: ops.reshape(zeros(2, 3), (4, -1)),
        "reshape: 6 elements of shape (2, 3) do not fill shape (4, -1).",
    ),
    "broadcast_to": (
        lambda: ops.broadcast_to(zeros(2, 3), (2, 4)),
        "broadcast_to: shape (2, 3) does not broadcast to (2, 4)",
    ),
    "concatenate": (
        lambda: ops.concatenate([zeros(2, 3), zeros(3, 3)], 1),
        "concatenate: shapes (2, 3), (3, 3) cannot be joined along axis 1",
    ),
    "crop2d": (
        lambda: ops.crop2d(IMAGE, ((2, 3), (0, 1))),
        "crop2d: cropping 2 + 3 rows and 0 + 1 columns leaves nothing of an image of 5 x 7.",
    ),
    "axis": (lambda: ops.sum(zeros(2, 3), 2), "axis 2 does not exist in a tensor of shape (2, 3)."),
    "channels": (
        lambda: mc.conv2d(IMAGE, zeros(3, 2, 5, 6)),
        "conv2d: x has 4 channels, but the kernel takes 5; they must be equal.",
    ),
    "channels_of_groups": (
        lambda: mc.conv2d(IMAGE, KERNEL, groups=2),
        "conv2d: x has 4 channels, but the kernel takes 4 * 2 groups = 8; they must be equal.",
    ),
    "groups": (
        lambda: mc.conv2d(IMAGE, zeros(3, 2, 1, 6), groups=4),
        "conv2d: groups=4 must divide the 4 input channels and the 6 filters; fitting: 1, 2.",
    ),
    "groups_of_channels": (
        lambda: mc.conv2d(IMAGE, zeros(3, 2, 1, 6), groups=3),
        "conv2d: groups=3 must divide the 4 input channels and the 6 filters; fitting: 1, 2.",
    ),
    "rank_of_x": (
        lambda: mc.conv2d(zeros(5, 7), KERNEL),
        "conv2d: x has shape (5, 7), but must have four axes (N,H,W,C); "
        "np.repeat(x[None, ..., None], 4, axis=-1) adds the missing ones.",
    ),
    "rank_of_kernel": (
        lambda: mc.conv2d(IMAGE, zeros(3, 2, 4)),
        "conv2d: kernel has shape (3, 2, 4), but must have four axes (KH,KW,C/groups,F).",
    ),
    "bias": (
        lambda: mc.conv2d(IMAGE, KERNEL, zeros(4)),
        "conv2d: bias has shape (4,), but there are 6 filters; it must have shape (6,).",
    ),
    "bias_of_transposed": (
        lambda: mc.conv2d_transpose(IMAGE, zeros(3, 2, 6, 4), zeros(1, 6)),
        "conv2d_transpose: bias has shape (1, 6), but there are 6 filters",
    ),
    "kernel_too_large": (
        lambda: mc.conv2d(IMAGE, zeros(6, 2, 4, 6)),
        "conv2d: a kernel of 6 spans 6 pixels, but the height has only 5",
    ),
    "strict": (
        lambda: mc.conv2d(IMAGE, KERNEL, strides=(1, 2), strict=True),
        "conv2d: strides=2 does not fit the width: (7 + 0 + 0 - 1*(2 - 1) - 1) / 2 + 1 = 3.50",
    ),
    "transposed_channels": (
        lambda: mc.conv2d_transpose(IMAGE, zeros(3, 2, 4, 6)),
        "conv2d_transpose: x has 4 channels and groups is 1, but the kernel (KH,KW,F/groups,C) "
        "takes 6",
    ),
    "transposed_groups": (
        lambda: mc.conv2d_transpose(IMAGE, zeros(3, 2, 6, 4), groups=3),
        "conv2d_transpose: x has 4 channels and groups is 3",
    ),
    "pool_rank": (
        lambda: mc.max_pool2d(zeros(5, 7, 4)),
        "max_pool2d: x has shape (5, 7, 4), but must have axes (N,H,W,C).",
    ),
    "pool_strict": (
        lambda: mc.average_pool2d(IMAGE, (5, 2), strict=True),
        "average_pool2d: strides=2 does not fit the width",
    ),
    "pool_too_large": (lambda: mc.max_pool2d(IMAGE, (2, 8)), "the width has only 7"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOES_NOT_FIT)
def test_messages_when_shapes_do_not_fit(name):
    function, words = DOES_NOT_FIT[name]
    with pytest.raises(ShapeError) as caught:
        function()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: mc.conv2d(IMAGE, KERNEL, strides=0), "conv2d: strides=0, but it must be"),
        (lambda: mc.conv2d(IMAGE, KERNEL, strides=(1, 2, 3)), "conv2d: strides=(1, 2, 3), but"),
        (lambda: mc.conv2d(IMAGE, KERNEL, padding="vald"), "did you mean 'valid'?"),
        (lambda: mc.conv2d(IMAGE, KERNEL, groups=0), "conv2d: groups=0, but it must be"),
        (lambda: mc.max_pool2d(IMAGE, 1.5), "max_pool2d: pool_size=1.5, but it must be"),
        (lambda: ops.concatenate([]), "concatenate: tensors is empty, but at least one is needed"),
        (lambda: ops.stack([]), "stack: tensors is empty, but at least one is needed"),
        (lambda: ops.exp("text"), "it must be numbers or booleans"),
    ],
)
def test_messages_about_arguments(function, words):
    with pytest.raises(ArgumentError) as caught:
        function()
    assert words in str(caught.value)


def test_whole_numbers_are_normalized_as_floats():
    whole = np.array([[1, 10], [3, 10], [5, 40]])
    y, mean, variance = ops.batch_normalization(whole)
    same = ops.batch_normalization(whole.astype(np.float32))
    assert y.dtype == np.float32
    assert np.array_equal(y.numpy(), same[0].numpy())
    assert mean.tolist() == [3, 20]
    np.testing.assert_allclose(to_cpu(variance), whole.var(axis=0))
