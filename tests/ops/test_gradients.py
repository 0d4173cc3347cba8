"""Every operation's derivatives of first and second order, against differences."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from minicnn.autograd.check import GradientError
from minicnn.autograd.tensor import record
from minicnn.config import use_backend
from minicnn.geometry import Resize, conv2d_geometry
from minicnn.kernels import vectorized
from minicnn.ops import convolution, pooling
from minicnn.runtime.devices import placed
from tests.helpers import BACKENDS

RNG = np.random.default_rng(5)

#: Numbers between -2 and 2, none near another or near zero, where some operations have a kink.
SIGNED = RNG.permutation([v for v in np.linspace(-2, 2, 25) if v]).reshape(2, 3, 4)
OTHER = RNG.permutation(np.linspace(-1.9, 2.3, 24)).reshape(2, 3, 4) + 0.01
POSITIVE = RNG.uniform(0.5, 2.0, (2, 3, 4))
ROW = RNG.uniform(0.5, 2.0, (3, 1))
MASK = RNG.integers(0, 2, (2, 3, 4)).astype(bool)
IMAGES = RNG.permutation(np.linspace(-3, 3, 2 * 5 * 7 * 4)).reshape(2, 5, 7, 4)

#: For each operation the ways to call it: a function of the inputs, and the inputs.
ELEMENTWISE = {
    "abs": [(ops.abs, SIGNED)],
    "add": [(ops.add, SIGNED, ROW), (lambda x: ops.add(2, x), SIGNED)],
    "cast": [],  # by itself below: in float32, differences need a longer step
    "clip": [(lambda x: ops.clip(x, -0.7, 1.1), SIGNED)],
    "divide": [(ops.divide, SIGNED, ROW), (ops.divide, ROW, POSITIVE)],
    "erf": [(ops.erf, SIGNED)],
    "exp": [(ops.exp, SIGNED)],
    "expm1": [(ops.expm1, SIGNED)],
    "log": [(ops.log, POSITIVE)],
    "log1p": [(ops.log1p, POSITIVE)],
    "maximum": [(ops.maximum, SIGNED, OTHER), (lambda x: ops.maximum(x, 0.3), SIGNED)],
    "minimum": [(ops.minimum, SIGNED, OTHER), (ops.minimum, OTHER, ROW)],
    "multiply": [(ops.multiply, SIGNED, ROW), (lambda x: ops.multiply(x, x), SIGNED)],
    "negative": [(ops.negative, SIGNED)],
    "power": [
        (lambda x: ops.power(x, 3), SIGNED),
        (lambda x: ops.power(x, -0.5), POSITIVE),
        (lambda x: ops.power(x, 0), SIGNED),
        (lambda x: ops.power(x, 1), SIGNED),
    ],
    "relu": [(ops.relu, SIGNED)],
    "sigmoid": [(ops.sigmoid, SIGNED)],
    "sign": [(ops.sign, SIGNED)],
    "softplus": [(ops.softplus, SIGNED)],
    "sqrt": [(ops.sqrt, POSITIVE)],
    "square": [(ops.square, SIGNED)],
    "subtract": [(ops.subtract, ROW, SIGNED)],
    "tanh": [(ops.tanh, SIGNED)],
    "where": [(lambda a, b: ops.where(MASK, a, b), SIGNED, ROW)],
}
REDUCTIONS = {
    "log_softmax": [(ops.log_softmax, SIGNED), (lambda x: ops.log_softmax(x, 1), SIGNED)],
    "matmul": [
        (ops.matmul, SIGNED, OTHER.transpose(0, 2, 1)),
        (ops.matmul, SIGNED, OTHER[0].T),
        (ops.matmul, SIGNED[0], OTHER.transpose(0, 2, 1)),
    ],
    "max": [(ops.max, SIGNED), (lambda x: ops.max(x, (0, -1)), SIGNED)],
    "mean": [(ops.mean, SIGNED), (lambda x: ops.mean(x, (0, 2), keepdims=True), SIGNED)],
    "mean_squared_error": [(ops.mean_squared_error, SIGNED, OTHER)],
    "min": [(ops.min, SIGNED), (lambda x: ops.min(x, 1, keepdims=True), SIGNED)],
    "softmax": [(ops.softmax, SIGNED), (lambda x: ops.softmax(x, 0), SIGNED)],
    "batch_normalization": [
        (
            lambda x, *a: ops.batch_normalization(x, *a)[0],
            IMAGES,
            ROW[:1, 0] + SIGNED[0, 0],
            OTHER[0, 0],
        ),
        (lambda x: ops.batch_normalization(x, relu=True)[0], SIGNED),
    ],
    "standardize": [
        (lambda x: ops.standardize(x)[0], SIGNED),
        (lambda x: ops.standardize(x, 0.5)[0], IMAGES),
    ],
    "sum": [(ops.sum, SIGNED), (lambda x: ops.sum(x, (0, -1)), SIGNED)],
    "variance": [(ops.variance, SIGNED), (lambda x: ops.variance(x, (0, 1)), SIGNED)],
}
SHAPES = {
    "broadcast_to": [(lambda x: ops.broadcast_to(x, (2, 3, 4)), ROW)],
    "concatenate": [(lambda a, b: ops.concatenate([a, b, a], 1), SIGNED, OTHER[:, :2])],
    "crop2d": [(lambda x: ops.crop2d(x, ((1, 2), (0, 3))), IMAGES)],
    "getitem": [
        (lambda x: x[1, ::2, -1], SIGNED),
        (lambda x: x[:, [0, 2, 0]], SIGNED),  # one place twice
        (lambda x: x[MASK], SIGNED),
    ],
    "pad2d": [(lambda x: ops.pad2d(x, ((1, 2), (0, 3))), IMAGES)],
    "reshape": [(lambda x: ops.reshape(x, (4, -1)), SIGNED)],
    "squeeze": [(ops.squeeze, ROW), (lambda x: ops.squeeze(x, -1), ROW[None])],
    "stack": [(lambda a, b: ops.stack([a, b], 1), SIGNED, OTHER)],
    "transpose": [(ops.transpose, SIGNED), (lambda x: ops.transpose(x, (1, -1, 0)), SIGNED)],
}


def images(channels, height=5, width=7):
    return RNG.permutation(np.linspace(-3, 3, 2 * height * width * channels)).reshape(
        2, height, width, channels
    )


def normal(*shape):
    return RNG.normal(size=shape)


def called(function, **options):
    return lambda *inputs: function(*inputs, **options)


POOL = {"strides": (2, 1), "padding": ((0, 1), (2, 1))}
SIDES = {"strides": (2, 1), "padding": ((0, 3), (2, 1)), "dilation_rate": (1, 2)}
PLACES = [0.8, -0.5, 1.2, 0.4, 1.1, -0.6, 0, 0]
WINDOWS = {
    "affine_transform": [
        (called(ops.affine_transform, transform=PLACES, fill_mode="reflect"), images(2)),
        (called(ops.affine_transform, transform=PLACES, fill_value=3.0), images(1, 4, 3)),
    ],
    "conv2d": [
        (mc.conv2d, images(2), normal(3, 2, 2, 3), normal(3)),
        (called(mc.conv2d, strides=(1, 3), padding="same"), images(2), normal(4, 3, 2, 1)),
        (called(mc.conv2d, groups=2, **SIDES), images(4), normal(3, 2, 2, 6), normal(6)),
        (called(mc.conv2d, strides=(3, 2)), images(1), normal(2, 1, 1, 2)),  # pixels left over
    ],
    "conv2d_transpose": [
        (mc.conv2d_transpose, images(2, 3, 4), normal(3, 2, 3, 2), normal(3)),
        (
            called(mc.conv2d_transpose, strides=(1, 3), padding="same"),
            images(2, 3, 4),
            normal(3, 4, 1, 2),
        ),
        (
            called(mc.conv2d_transpose, groups=2, **SIDES),
            images(4, 3, 4),
            normal(3, 2, 3, 4),
            normal(6),
        ),
        (
            called(mc.conv2d_transpose, strides=(2, 3), output_padding=(1, 2)),
            images(1, 3, 2),
            normal(2, 3, 2, 1),
        ),
    ],
    "max_pool2d": [
        (mc.max_pool2d, images(2)),
        (called(mc.max_pool2d, pool_size=(3, 2), strides=(1, 2), padding="same"), images(2)),
        (called(mc.max_pool2d, pool_size=(2, 3), **POOL), images(1)),
    ],
    "average_pool2d": [
        (mc.average_pool2d, images(2)),
        (called(mc.average_pool2d, pool_size=(3, 2), strides=(1, 2), padding="same"), images(2)),
        (called(mc.average_pool2d, pool_size=2, **POOL), images(1)),
    ],
    "resize2d": [
        (called(ops.resize2d, size=(7, 3)), images(2)),
        (called(ops.resize2d, size=(3, 11), interpolation="bilinear"), images(2)),
    ],
    "upsample2d": [
        (called(mc.upsample2d, size=(1, 2)), images(2)),
        (called(mc.upsample2d, size=(3, 2), interpolation="bilinear"), images(2, 2, 3)),
    ],
}

#: They take and return plain arrays, through which no gradient flows.
PLAIN = {"convolve2d", "cross_correlate2d"}


def every_way(table):
    return [
        pytest.param(*([way[0], way[1:]]), id=f"{name}-{number}")
        for name, ways in table.items()
        for number, way in enumerate(ways)
    ]


def test_no_operation_is_left_out():
    assert {*ELEMENTWISE, *REDUCTIONS, *SHAPES, *WINDOWS} | PLAIN == set(ops.__all__)


@pytest.mark.parametrize(("function", "inputs"), every_way(ELEMENTWISE | REDUCTIONS | SHAPES))
def test_gradients(function, inputs):
    mc.check_gradients(function, *inputs)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("function", "inputs"), every_way(WINDOWS))
def test_gradients_of_windows(function, inputs, backend):
    directions = 1 if backend == "loops" else 3
    with use_backend(backend):
        mc.check_gradients(function, *inputs, directions=directions)


G = conv2d_geometry((5, 7), (3, 2), (2, 1), ((0, 3), (2, 1)), (1, 2))
RESIZE = Resize(5, 7, 3, 11)
SLOPES = normal(2, G.out_height, G.out_width, 2)
# Kernels may look for a place in its output's own window only.
PLACES = vectorized.max_pool2d(normal(2, 5, 7, 2), G)[1]
PLACES[RNG.random(PLACES.shape) < 0.2] = -1


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (
            lambda dy, k: convolution.convolution(dy, k, G, transposed=True),
            (SLOPES, normal(3, 2, 1, 2)),
        ),
        (lambda dy, x: convolution.kernel_gradient(x, dy, G), (SLOPES, normal(2, 5, 7, 1))),
        (lambda dy: pooling.scatter(dy, placed(PLACES), G), (SLOPES,)),
        (lambda dy: pooling.average_pool2d_gradient(dy, G), (SLOPES,)),
        (lambda x: pooling.gather(x, placed(PLACES), G), (normal(2, 5, 7, 2),)),
        (
            lambda dy: pooling.resize2d_gradient(dy, RESIZE, "bilinear"),
            (normal(2, 3, 11, 2),),
        ),
    ],
    ids=["input", "kernel", "scatter", "average", "gather", "resize"],
)
def test_gradients_of_the_adjoints(function, inputs):
    """Reached from the operations by the third derivative only."""
    mc.check_gradients(function, *inputs)


def test_gradient_of_a_cast():
    mc.check_gradients(
        lambda x: ops.cast(ops.cast(x, "float32"), "float64"), SIGNED, step=1.0, tolerance=1e-5
    )
    x = mc.Variable(SIGNED)
    ops.sum(ops.cast(x, "float32")).backward()
    assert x.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(SIGNED.shape))


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (ops.abs, [-2.0, 0.0, 3.0], [-1, 0, 1]),
        (ops.relu, [-2.0, 0.0, 3.0], [0, 0, 1]),
        (lambda x: ops.clip(x, -1, 1), [-2.0, -1.0, 1.0, 3.0], [0, 1, 1, 0]),
        (lambda x: ops.maximum(x, 1.0), [0.0, 1.0, 2.0], [0, 1, 1]),
        (lambda x: ops.minimum(1.0, x), [0.0, 1.0, 2.0], [1, 0, 0]),
        (ops.max, [5.0, 1.0, 5.0], [0.5, 0, 0.5]),
        (ops.min, [1.0, 1.0, 5.0, 1.0], [1 / 3, 1 / 3, 0, 1 / 3]),
        (lambda x: ops.power(x, 0), [0.0, 2.0], [0, 0]),
    ],
)
def test_gradients_at_kinks(function, x, expected):
    x = mc.Variable(np.array(x))
    ops.sum(function(x)).backward()
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-15)


def test_the_check_sees_a_missing_gradient_of_either_order():
    with pytest.raises(GradientError, match=r"order 1: .* input 0"):
        mc.check_gradients(lambda x: ops.exp(x.detach()), SIGNED)

    def square(x):  # its gradient 2 * x * dy forgets that it depends on x
        return record("square", x.data**2, (x, lambda dy, y: ops.multiply(dy, 2 * x.data)))

    mc.check_gradients(square, SIGNED, order=1)
    with pytest.raises(GradientError, match="order 2"):
        mc.check_gradients(square, SIGNED)
