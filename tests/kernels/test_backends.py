"""What every map of every backend promises, whatever it computes."""

import inspect
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given

from minicnn.geometry import conv2d_geometry
from minicnn.kernels import MAPS, backend_module
from minicnn.kernels.compiled import compiling, macrokernel, pooling
from tests.helpers import BACKENDS, filled_with_nan, run_python
from tests.kernels.maps import arguments, groups_of, run, shapes
from tests.strategies import Case, cases, resizes

EVERY_MAP = pytest.mark.parametrize("name", MAPS)
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
FAST = pytest.mark.parametrize("backend", ["numpy", "numba"])

#: Sums of divided numbers may be added in another order; whole numbers must agree exactly.
ROUNDED = ("average_pool2d", "average_pool2d_gradient", "resize2d", "resize2d_gradient")


def case_of(name, batch=2, channels=6, filters=9, seed=1):
    return Case(groups_of(name), batch, channels, filters, seed)


def assert_equal(name, results, expected, rtol=1e-6):
    for result, right in zip(results, expected, strict=True):
        if name in ROUNDED:
            np.testing.assert_allclose(result, right, rtol=rtol, atol=rtol)
        else:
            np.testing.assert_array_equal(result, right)


@FAST
@pytest.mark.parametrize("name", [m for m in MAPS if not m.startswith("resize")])
@given(case=cases(), pooling=cases(groups=(1,)))
def test_agrees_with_the_loops(backend, name, case, pooling):
    given_arguments = arguments(name, case if name.startswith("conv2d") else pooling)
    assert_equal(name, run(backend, name, given_arguments), run("loops", name, given_arguments))


@FAST
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("name", ["resize2d", "resize2d_gradient"])
@given(size=resizes(), case=cases())
def test_resizing_agrees_with_the_loops(backend, name, interpolation, size, case):
    given_arguments = arguments(name, case, size=size, interpolation=interpolation)
    assert_equal(name, run(backend, name, given_arguments), run("loops", name, given_arguments))


@FAST
@EVERY_MAP
@pytest.mark.parametrize(("channels", "filters"), [(1, 3), (17, 1), (33, 17), (2, 33)])
def test_odd_numbers_of_channels_in_float32(backend, name, channels, filters):
    case = case_of(name, 1, channels, filters)
    case = case._replace(geometry=case.geometry._replace(groups=1))
    given_arguments = arguments(name, case, "float32")
    assert_equal(
        name, run(backend, name, given_arguments), run("loops", name, given_arguments), 1e-5
    )


@EVERY_BACKEND
@EVERY_MAP
def test_one_pixel_and_one_channel(backend, name):
    case = Case(conv2d_geometry((1, 1), (2, 3), padding="same"), 1, 1, 1, 3)
    results = run(backend, name, arguments(name, case))
    assert [r.shape for r in results] == shapes(name, case)
    assert_equal(name, results, run("loops", name, arguments(name, case)))
    if name == "conv2d":  # padding ((0, 1), (1, 1)) puts the pixel under k[0, 1]
        assert results[0].item() == case.image().item() * case.kernel()[0, 1, 0, 0]


@EVERY_BACKEND
@EVERY_MAP
def test_empty_batch(backend, name):
    case = case_of(name, batch=0)
    results = run(backend, name, arguments(name, case))
    assert [r.shape for r in results] == shapes(name, case)
    assert all((r == 0).all() for r in results)  # a kernel gradient of no images is zero


@EVERY_BACKEND
@EVERY_MAP
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_output_is_written_and_keeps_the_type(backend, name, dtype, monkeypatch):
    given_arguments = arguments(name, case_of(name), dtype)
    expected = run(backend, name, given_arguments)
    filled_with_nan(backend, monkeypatch)
    results = run(backend, name, given_arguments)
    for result, right in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, right)
    assert results[0].dtype == dtype
    assert [r.shape for r in results] == shapes(name, case_of(name))
    assert not np.isnan(results[0]).any()
    assert not (results[-1] == -7777).any()


@EVERY_BACKEND
@EVERY_MAP
def test_inputs_stay_as_they_are_and_runs_are_bit_equal(backend, name):
    given_arguments = arguments(name, case_of(name))
    before = [np.array(a) for a in given_arguments[:-1] if isinstance(a, np.ndarray)]
    first, second = (run(backend, name, given_arguments) for _ in range(2))
    for array, copy in zip(given_arguments, before, strict=False):
        np.testing.assert_array_equal(array, copy)
    assert [r.tobytes() for r in first] == [r.tobytes() for r in second]
    assert all(not np.shares_memory(r, a) for r in first for a in before)


def scattered(array):
    """Return the same numbers as a view with gaps, whose axes lie in another order in memory."""
    room = np.full([2 * n + 1 for n in array.shape[::-1]], 99, array.dtype)
    view = room[tuple(slice(1, None, 2) for _ in array.shape)].transpose()
    view[:] = array
    assert not view.flags.c_contiguous
    return view


@EVERY_BACKEND
@EVERY_MAP
def test_inputs_need_not_be_contiguous(backend, name):
    given_arguments = arguments(name, case_of(name))
    views = [scattered(a) if isinstance(a, np.ndarray) else a for a in given_arguments]
    assert_equal(name, run(backend, name, views), run(backend, name, given_arguments), 1e-12)


@FAST
def test_inputs_may_be_read_only(backend):
    image, g = arguments("max_pool2d", case_of("max_pool2d"))
    expected = run("loops", "max_pool2d", (image.copy(), g))
    image.flags.writeable = False
    assert_equal("max_pool2d", run(backend, "max_pool2d", (image, g)), expected)


@EVERY_MAP
def test_all_backends_work_in_one_process_with_one_signature(name):
    parameters = [
        list(inspect.signature(getattr(backend_module(b), name)).parameters.values())
        for b in BACKENDS
    ]
    common = min(map(len, parameters))
    assert len({tuple(p.name for p in given[:common]) for given in parameters}) == 1
    # Compiled convolutions can add a bias and a ReLU in the same pass; they need not be asked to.
    assert all(p.default is not p.empty for given in parameters for p in given[common:])
    given_arguments = arguments(name, case_of(name))
    results = [run(b, name, given_arguments) for b in (*BACKENDS, *reversed(BACKENDS))]
    for result in results[1:]:
        assert_equal(name, result, results[0])
        assert [r.dtype for r in result] == [r.dtype for r in results[0]]


@pytest.mark.parametrize("name", [m for m in MAPS if m.startswith("conv2d")])
def test_numpy_gives_the_same_in_one_block_or_in_several(name, monkeypatch):
    module = backend_module("numpy")
    case = case_of(name, batch=5)
    (whole,) = run("numpy", name, arguments(name, case))
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)  # one image in each block
    (apart,) = run("numpy", name, arguments(name, case))
    np.testing.assert_array_equal(apart, whole)
    # Sums that round: the order in which the blocks are added must not change from run to run.
    x, other, g = arguments(name, case, "float32")
    noisy = [a + np.float32(0.1) * np.sin(np.arange(a.size, dtype=a.dtype)).reshape(a.shape)
             for a in (x, other)]  # fmt: skip
    results = {run("numpy", name, (*noisy, g))[0].tobytes() for _ in range(5)}
    assert len(results) == 1


@numba.njit(cache=True)
def _serial(n):
    total = 0
    for i in numba.prange(n):
        total += i
    return total


def machine_code(dispatcher, folder=None):
    """Return the machine code that Numba cached for a function, one for each signature."""
    function = dispatcher.py_func
    stem = f"{function.__module__.split('.')[-1]}.{function.__name__}"
    files = f"{stem}-{function.__code__.co_firstlineno}.*.nbc"
    return [path.read_bytes() for path in (folder or compiling.kept_in()).glob(files)]


def test_serial_code_calls_no_parallel_loop():
    assert _serial(4) == 6
    codes = machine_code(_serial, Path(_serial.stats.cache_path))
    assert codes
    assert not any(b"numba_parallel_for" in code for code in codes)


@pytest.mark.parametrize("name", [m for m in MAPS if not m.startswith("conv2d")])
def test_numba_runs_each_loop_in_parallel_from_its_cache(name):
    run("numba", name, arguments(name, case_of(name)))
    loop = getattr(pooling, f"_{name}")
    assert not loop.options["fastmath"] - {"contract"}  # NaN and order stay as written
    assert len(machine_code(loop)) >= len(loop.compiled) > 0


def test_numba_runs_convolutions_from_its_cache():
    # One engine does all three maps.
    for dtype in ("float32", "float64"):
        run("numba", "conv2d", arguments("conv2d", case_of("conv2d"), dtype))
    loop = macrokernel._macro_kernel
    assert len(machine_code(loop)) >= len(loop.compiled) >= 2


def test_one_compiled_loop_starts_the_threads_of_all():
    run("numba", "gather", arguments("gather", case_of("gather")))
    assert compiling._launch.targetoptions["parallel"] is True
    codes = machine_code(compiling._launch)
    assert any(b"numba_parallel_for" in code for code in codes)
    assert len(compiling._launch.signatures) == 1


def test_a_second_process_compiles_nothing():
    code = """
from numba.core import event
from minicnn.kernels import MAPS
from tests.kernels.maps import arguments, run
from tests.kernels.test_backends import case_of

passes = event.RecordingListener()
event.register("numba:run_pass", passes)
for name in MAPS:
    for dtype in ("float32", "float64"):
        run("numba", name, arguments(name, case_of(name), dtype))
print({str(e.data["name"]) for _, e in passes.buffer})
"""
    done = [run_python(code) for _ in range(2)][-1]
    assert (done.stdout, done.stderr) == ("set()\n", "")
