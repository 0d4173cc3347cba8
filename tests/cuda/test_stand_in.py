"""The stand-in for CuPy is as strict as CuPy: nothing crosses its border unasked."""

import gc

import numpy as np
import pytest

from tests.cuda import cpu_module, stand_in

pytestmark = pytest.mark.skipif(bool(cpu_module.missing()), reason=str(cpu_module.missing()))


@pytest.fixture
def cupy():
    with stand_in.installed() as module:
        yield module


@pytest.mark.parametrize(
    "mix",
    [
        lambda cupy, x, a: x + a,
        lambda cupy, x, a: a + x,
        lambda cupy, x, a: x @ a.T,
        lambda cupy, x, a: cupy.maximum(x, a),
        lambda cupy, x, a: cupy.concatenate([x, a]),
        lambda cupy, x, a: np.add(x, a),
        lambda cupy, x, a: np.concatenate([x, a]),
        lambda cupy, x, a: x.dot(a.T),
        lambda cupy, x, a: x.__setitem__(slice(None), a),
        lambda cupy, x, a: x[a > 0],
        lambda cupy, x, a: cupy.exp(a),
        lambda cupy, x, a: np.asarray(x),
        lambda cupy, x, a: np.array([x, x]),
        lambda cupy, x, a: a.__setitem__(slice(None), x),
        lambda cupy, x, a: x.__iadd__(a),
    ],
)
def test_arrays_of_both_sides_do_not_mix(cupy, mix):
    a = np.arange(6.0).reshape(2, 3)
    x = cupy.asarray(a)
    with pytest.raises((TypeError, ValueError)):
        mix(cupy, x, a)


def test_names_that_cupy_has_not_are_unknown(cupy):
    x = cupy.zeros((2, 3))
    for strange in ("ascontiguousarray", "einsum", "tensordot", "nan_to_num"):
        assert callable(getattr(cupy, strange))
    for strange in ("nonsense", "memmap", "ma"):
        with pytest.raises(AttributeError):
            getattr(cupy, strange)
    for strange in ("ctypes", "setflags", "resize"):
        with pytest.raises(AttributeError):
            getattr(x, strange)


def test_results_stay_on_the_card(cupy):
    x = cupy.asarray(np.arange(6.0).reshape(2, 3))
    for result in (x.sum(), x.mean(0), cupy.max(x), np.sqrt(x), x[0, 1], x.T, -x, 2 - x, x > 3):
        assert isinstance(result, cupy.ndarray)
    assert x.sum().shape == ()
    assert float(x.sum()) == 15
    assert isinstance(x.get(), np.ndarray)
    assert isinstance(cupy.asnumpy(x), np.ndarray)
    assert cupy.get_array_module(x) is cupy
    assert cupy.get_array_module(x.get()) is np


def test_views_share_memory_and_copies_do_not(cupy):
    x = cupy.zeros((3, 4), "float32")
    for view in (x[1:], x.T, x.reshape(2, 6), x.ravel(), x[..., None]):
        before = float(x.sum())
        view += 1
        assert float(x.sum()) == before + view.size
    own = x.get()
    own[...] = 99
    assert float(x.max()) < 99
    copy = x.copy()
    copy.fill(77)
    assert float(x.max()) < 77
    assert x.T.copy().flags.c_contiguous == x.get().T.copy().flags.c_contiguous
    assert cupy.asarray(x.get().T).T.flags.c_contiguous


def test_new_memory_is_nan_at_multiples_of_512_bytes(cupy):
    for shape in ((), (3,), (2, 5)):
        x = cupy.empty(shape, "float32")
        assert np.isnan(x.get()).all()
        assert x.data.ptr % 512 == 0
    assert (cupy.empty(3, "int32").get() == -1).all()


def test_the_card_counts_its_bytes(cupy):
    gc.collect()
    before = stand_in.card.used_bytes
    x = cupy.zeros((10, 10), "float64")
    view = x[2:]
    assert stand_in.card.used_bytes == before + 800
    del x
    gc.collect()
    assert stand_in.card.used_bytes == before + 800
    del view
    gc.collect()
    assert stand_in.card.used_bytes == before


def test_kernels_take_arrays_of_the_card_and_single_values(cupy):
    code = 'extern "C" __global__ void k(float* y, int n) { y[threadIdx.x] = n; }'
    kernel = cupy.RawModule(code=code, options=("--std=c++17",)).get_function("k")
    y = cupy.zeros(4, "float32")
    kernel((1,), (4,), (y, np.array(7, "int32")))
    assert y.get().tolist() == [7] * 4
    with pytest.raises(TypeError, match=r"Only numpy\.ndarrays of size one"):
        kernel((1,), (4,), (y.get(), np.int32(7)))
    with pytest.raises(TypeError, match="tuples"):
        kernel(1, (4,), (y, np.int32(7)))
    with pytest.raises(TypeError, match="tuple"):
        cupy.RawModule(code=code, options=["--std=c++17"])


def test_text_that_does_not_compile_raises_what_cupy_raises(cupy):
    module = cupy.RawModule(code='#line 1 "a.cu"\nint f() {\n  return nothing;\n}')
    with pytest.raises(cupy.cuda.compiler.CompileException, match=r"a\.cu\(2\): error: .*nothing"):
        module.compile()
