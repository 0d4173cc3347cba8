"""Arrays end to end on the card."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError, ShapeError
from minicnn.kernels import cuda
from minicnn.kernels.arrays import joined
from minicnn.kernels.cuda.arrays import PIECES


def arrays(count, dtype):
    rng = np.random.default_rng(count)
    shapes = [rng.integers(0, 5, rng.integers(1, 4)) for _ in range(count)]
    return [np.ones((2, 3), dtype), *(rng.normal(size=s).astype(dtype) for s in shapes)]


@pytest.mark.parametrize("count", [0, 1, 8, PIECES - 1, PIECES, 3 * PIECES])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_arrays_lie_end_to_end(cupy, count, dtype):
    given = arrays(count, dtype)
    expected = np.concatenate([a.reshape(-1) for a in given])
    np.testing.assert_array_equal(joined(given), expected)
    there = [cupy.asarray(a) for a in given]
    found = joined(there)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.get(), expected)
    out = cupy.empty(expected.shape, dtype)
    assert joined(there, out=out) is out
    np.testing.assert_array_equal(out.get(), expected)


def test_arrays_with_gaps_and_in_another_order_lie_row_by_row(cupy):
    a = np.arange(60, dtype="float32").reshape(5, 12)
    there = cupy.asarray(a)
    found = cuda.joined([there[1:3, ::2], there.T]).get()
    np.testing.assert_array_equal(found, np.concatenate([a[1:3, ::2].ravel(), a.T.ravel()]))


def test_what_does_not_fit_is_refused(cupy):
    x = cupy.zeros((2, 3), "float32")
    with pytest.raises(ShapeError, match=r"joined: out has shape \(5,\), but it must be \(6,\)"):
        cuda.joined([x], cupy.zeros(5, "float32"))
    with pytest.raises(ArgumentError, match=r"joined: arrays\[1\] has dtype float64, but arr"):
        cuda.joined([x, x.astype("float64")])
