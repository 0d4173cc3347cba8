"""What the tests of the CUDA backend share: arrays on their way to the card and back."""

import contextlib

import numpy as np

from minicnn.kernels import cuda, loops
from minicnn.kernels.cuda import device, tiles
from tests.kernels.maps import arguments
from tests.kernels.test_backends import ROUNDED

CONVOLUTIONS = ("conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient")


def on_the_card(cupy, values):
    """Return values with their arrays on the card."""
    return [cupy.asarray(v) if isinstance(v, np.ndarray) else v for v in values]


def back(values):
    """Return results as NumPy arrays."""
    values = values if isinstance(values, tuple) else (values,)
    return [v.get() for v in values]


def given(name, case, dtype="float64", **options):
    """Return the arguments of one map; `where` holds places in each output's own window."""
    found = arguments(name, case, dtype, **options)
    if name == "scatter":
        _, where = loops.max_pool2d(case.image(dtype, again=1), case.geometry)
        where[np.random.default_rng(case.seed).random(where.shape) < 0.2] = -1
        found = (found[0], where, found[2])
    return found


def run(cupy, name, values):
    """Return the results of one map of the CUDA backend as NumPy arrays."""
    return back(getattr(cuda, name)(*on_the_card(cupy, values)))


def oracle(name, values):
    """Return the results of the loops."""
    result = getattr(loops, name)(*values)
    return list(result) if isinstance(result, tuple) else [result]


def assert_alike(name, results, expected, rtol=1e-6):
    """Whole numbers must agree exactly; only what is divided may round in another order."""
    assert len(results) == len(expected)
    for result, right in zip(results, expected, strict=True):
        assert result.dtype == right.dtype
        if name in ROUNDED:
            np.testing.assert_allclose(result, right, rtol=rtol, atol=rtol)
        else:
            np.testing.assert_array_equal(result, right)


@contextlib.contextmanager
def only(tile=None, precision="float32"):
    """Let one tile do all convolutions, or the plain kernels where there is none."""
    before, speed = dict(tiles.TILES), tiles.PLAIN_SPEED
    kinds = ("float64",) if precision == "float64" else (precision,)
    tiles.PLAIN_SPEED = 1e9 if tile is None else 1e-9
    if tile is not None:
        tiles.TILES.update(dict.fromkeys(kinds, (tile,)))
    try:
        with tiles.use_precision("float32" if precision == "float64" else precision):
            yield
    finally:
        tiles.TILES.update(before)
        tiles.PLAIN_SPEED = speed


@contextlib.contextmanager
def long_places():
    """Let kernels count by 64-bit integers, as for arrays of more than 2**31 numbers."""
    before = device.NARROW
    device.NARROW = 0
    try:
        yield
    finally:
        device.NARROW = before
