"""The stand-in for CuPy is as strict as CuPy: nothing crosses its border unasked."""

import gc
import inspect

import numpy as np
import pytest

from tests.cuda.simulator import cpu_module, rules, stand_in, streams

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


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.eye(3, like=x),  # NumPy hands on device=None, and so it does for ones and full
        lambda x: np.ones((2, 3), like=x),
        lambda x: np.full((2, 3), 4.0, like=x),
        lambda x: np.sum(x, where=x > 1),
        lambda x: x.sum(initial=1),
        lambda x: np.add(x, x, where=x > 1),
        lambda x: np.exp(x, order="C"),
        lambda x: np.argsort(x, stable=True),
        lambda x: np.clip(x, min=0, max=1),
        lambda x: np.take(x, x.argmax(), mode="wrap"),
        lambda x: x.item(0),
        lambda x: x.astype("float32", casting="unsafe"),
        lambda x: np.quantile(x, 0.5, weights=x),
        lambda x: x - [1, 2, 3],
        lambda x: [1, 2, 3] * x,
        lambda x: x - None,
        lambda x: np.maximum(x, [1, 2, 3]),
        lambda x: np.multiply(x, np.longdouble(2)),
        lambda x: np.where(x > 1, x, [0, 0, 0]),
        lambda x: x.__iadd__([1, 2, 3]),
        lambda x: np.linalg.norm(x, ord=None, stable=True),
    ],
)
def test_what_cupy_does_not_take_is_refused(cupy, call):
    """As the signatures in cupy_names.json, and CScalar in cupy/_core/_scalar.pyx."""
    with pytest.raises(TypeError):
        call(cupy.asarray(np.arange(6.0).reshape(2, 3)))


def test_what_cupy_takes_is_not_refused(cupy):
    a = np.arange(6.0).reshape(2, 3)
    x = cupy.asarray(a)
    pairs = [
        (np.zeros((2, 3), "float32", like=x), np.zeros((2, 3))),
        (np.arange(4, like=x), np.arange(4)),
        (np.add(x, 1, out=cupy.empty((2, 3)), casting="unsafe"), a + 1),
        (np.sum(x, 1, keepdims=True), a.sum(1, keepdims=True)),
        (x.argmax(1), a.argmax(1)),
        (np.argsort(x, 0, kind="stable"), a.argsort(0)),
        (x.transpose(1, 0).reshape(2, -1), a.T.reshape(2, -1)),
        (np.float32(2) * x**2, 2 * a**2),
        (np.where(x > 2, x, 0), np.where(a > 2, a, 0)),
        (x == None, np.zeros((2, 3), bool)),  # noqa: E711
        (x != None, np.ones((2, 3), bool)),  # noqa: E711
        (cupy.array([x, x + 1]), np.array([a, a + 1])),
    ]
    for found, expected in pairs:
        assert np.array_equal(found.get(), expected)


CLASSES = {
    "Stream": streams.Stream, "Event": streams.Event, "Graph": streams.Graph,
    "MemoryPool": streams.MemoryPool, "Device": stand_in.Device, "RawModule": stand_in.RawModule,
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSES)
def test_classes_take_nothing_that_those_of_cupy_do_not(name):
    known = rules.NAMES["classes"][name]
    kind = CLASSES[name]
    methods = {n: f for n, f in vars(kind).items() if n in known and inspect.isfunction(f)}
    assert methods or name == "Graph"
    for method, function in {**methods, "()": kind.__init__}.items():
        mine = list(inspect.signature(function).parameters.values())[1:]
        theirs = rules.signature(known[method]).parameters
        if name == "Graph" and method == "()":
            continue  # neither can be made
        assert [p.name for p in mine] == [n for n in theirs if n in {p.name for p in mine}]
        assert all(p.kind == theirs[p.name].kind for p in mine)


@pytest.mark.parametrize("name", ["empty", "asarray", "ascontiguousarray"])
def test_own_functions_take_what_those_of_cupy_take(cupy, name):
    mine = inspect.signature(getattr(cupy, name)).parameters.values()
    theirs = rules.signature(rules.NAMES["functions"][name]).parameters.values()
    assert [(p.name, p.kind) for p in mine] == [(p.name, p.kind) for p in theirs]


def test_results_lie_in_rows_and_copies_as_their_operands(cupy):
    """As _get_out_args_from_optionals in cupy/_core/_kernel.pyx, and _astype in core.pyx."""
    x = cupy.asarray(np.arange(6.0).reshape(2, 3)).T
    assert x.flags.f_contiguous
    assert not x.flags.c_contiguous
    for result in (x * 2, -x, np.exp(x), x + x, np.concatenate([x, x]), np.where(x > 1, x, 0)):
        assert result.flags.c_contiguous
    for copy in (x.astype("float32"), x.copy(order="K"), np.zeros_like(x), cupy.array(x)):
        assert copy.flags["F_CONTIGUOUS"]
    assert x.copy().flags.c_contiguous
    cube = cupy.asarray(np.arange(24.0).reshape(2, 3, 4)).T
    assert cube.sum(0).flags.f_contiguous  # as device_segmented_reduce in cupy/cuda/cub.pyx
    assert np.array_equal(cube.sum(0).get(), cube.get().sum(0))
    assert cube.sum().shape == ()
    found = np.max(cube, (0, 1), keepdims=True)
    assert np.array_equal(found.get(), cube.get().max((0, 1), keepdims=True))
    turned = np.zeros((2, 3, 4)).transpose(1, 0, 2)
    assert cupy.asarray(turned).flags.c_contiguous  # as _array_default in core.pyx
    with pytest.raises(AttributeError):
        x.flags.writeable  # noqa: B018 - asking is the test


def test_places_beyond_an_axis_are_counted_on_from_its_begin(cupy):
    """As the notes at ndarray.__getitem__ and __setitem__ in cupy/_core/core.pyx."""
    x = cupy.asarray(np.arange(12.0).reshape(4, 3))
    rows, columns = cupy.asarray(np.array([5, -5, 3])), cupy.asarray(np.array([0, 4, 2]))
    assert np.array_equal(x[rows].get(), x.get()[[1, 3, 3]])
    assert np.array_equal(x[rows, columns].get(), x.get()[[1, 3, 3], [0, 1, 2]])
    assert np.array_equal(x[..., columns].get(), x.get()[:, [0, 1, 2]])
    assert np.array_equal(np.take(x, columns, 1).get(), x.get()[:, [0, 1, 2]])
    with pytest.raises(IndexError):
        x[4]
    x[rows] = 7.0
    assert x.get()[1].tolist() == [7] * 3
    assert np.isnan(x.get()[3]).all()  # two numbers for one place: which one stays is undefined


def test_lists_are_not_assigned_to_slices(cupy):
    """As _scatter_op in cupy/_core/_routines_indexing.pyx."""
    x = cupy.zeros((2, 3))
    with pytest.raises(ValueError, match="cannot be used for fill"):
        x[0] = [1, 2, 3]
    x[0] = np.float32(5)
    x[1] = cupy.asarray(np.array([1.0, 2.0, 3.0]))
    assert x.get().tolist() == [[5] * 3, [1, 2, 3]]


def test_launches_that_no_card_takes_are_refused(cupy):
    code = 'extern "C" __global__ void k(float* y, int n) { y[0] = n; }'
    kernel = cupy.RawModule(code=code).get_function("k")
    y = cupy.zeros(4, "float32")
    refused = cupy.cuda.driver.CUDADriverError
    for grid, block in (
        ((1, 65536), (1,)), ((1, 1, 65536), (1,)), ((1,), (1025,)), ((1,), (32, 33)),
        ((1,), (1, 1, 65)),
    ):  # fmt: skip
        with pytest.raises(refused, match="INVALID_VALUE"):
            kernel(grid, block, (y, np.int32(7)))
    for strange in ("7", [7], (7,), np.longdouble(7)):
        with pytest.raises(TypeError, match="Unsupported type"):
            kernel((1,), (1,), (y, strange))
    with pytest.raises(TypeError):
        cupy.RawModule(code)  # by its name only
