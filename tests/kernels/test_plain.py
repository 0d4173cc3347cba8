"""The plain loops, compiled: for integers, which have no tile."""

import numpy as np
import pytest
from hypothesis import given

import minicnn as mc
from minicnn.config import use_backend
from minicnn.geometry import conv2d_geometry
from minicnn.kernels import compiled, loops
from minicnn.kernels.compiled import plain
from tests.helpers import rng_integers
from tests.strategies import cases


@pytest.mark.parametrize("dtype", ["int64", "uint16"])
@given(case=cases())
def test_agree_with_the_definition(dtype, case):
    x, kernel = (np.abs(a) for a in (case.image("int64"), case.kernel("int64")))
    y = compiled.conv2d(x.astype(dtype), kernel.astype(dtype), case.geometry)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, loops.conv2d(x, kernel, case.geometry))


def test_too_large_sums_wrap_as_those_of_numpy():
    x = rng_integers(1, (2, 5, 7, 3), "int64") * 2**28
    kernel = rng_integers(2, (2, 3, 3, 4), "int64")
    g = conv2d_geometry((5, 7), (2, 3), (2, 1), padding="same")
    exact = compiled.conv2d(x, kernel, g)
    assert np.abs(exact).max() > 2**31
    found = compiled.conv2d(x.astype("int32"), kernel.astype("int32"), g)
    np.testing.assert_array_equal(found, exact.astype("int32"))


def test_matrices_of_integers_are_slid_by_them():
    image, kernel = rng_integers(3, (31, 40), "int64"), rng_integers(4, (3, 2), "int64")
    plain._conv2d.compiled.clear()
    found = {}
    for backend in ("loops", "numba"):
        with use_backend(backend):
            found[backend] = mc.cross_correlate2d(image, kernel, "same")
    np.testing.assert_array_equal(found["numba"], found["loops"])
    assert len(plain._conv2d.compiled) == 1
    with use_backend("numba"):
        mc.conv2d(image, kernel)  # in floats, for which there are tiles
    assert len(plain._conv2d.compiled) == 1
