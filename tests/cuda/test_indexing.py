"""Sums by place and the error function on the card."""

import math

import numpy as np
import pytest

from minicnn.kernels import arrays, cuda
from tests.cuda.simulator.cpu_module import thread_order


@pytest.mark.parametrize(("rows", "channels", "length"), [(1, 3, 2), (7, 1, 5), (300, 4, 11)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_added_at_their_places(cupy, rows, channels, length, dtype):
    rng = np.random.default_rng(rows)
    places = rng.integers(0, length, rows)
    values = rng.integers(-4, 5, (rows, channels)).astype(dtype)
    expected = np.zeros((length, channels), dtype)
    np.add.at(expected, places, values)
    assert (arrays.add_at(places, values, length) == expected).all()
    result = cuda.add_at(cupy.asarray(places), cupy.asarray(values), length)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result.get(), expected)


def test_the_order_of_threads_changes_no_bit_of_a_sum(cupy):
    rng = np.random.default_rng(3)
    places = cupy.asarray(rng.integers(0, 3, 2000))
    values = cupy.asarray(rng.normal(size=(2000, 2)).astype("float32"))
    found = []
    for order in (0, 1, 7):
        with thread_order(order):
            found.append(cuda.add_at(places, values, 3).get())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_places_without_rows_are_zero(cupy):
    nothing = cuda.add_at(cupy.zeros(0, "int64"), cupy.zeros((0, 2), "float32"), 3)
    assert nothing.get().tolist() == [[0, 0]] * 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_error_function(cupy, dtype):
    x = np.linspace(-4, 4, 301).astype(dtype).reshape(7, 43)
    expected = np.vectorize(math.erf)(x.astype("float64"))
    result = cuda.erf(cupy.asarray(x)).get()
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=3e-7 if dtype == "float32" else 1e-14)
