"""Which backend does the work, and what the backends share: threads and arrays."""

import math
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import minicnn as mc
from minicnn import config, kernels
from minicnn.errors import ArgumentError, BackendError
from minicnn.kernels import arrays
from minicnn.runtime import backends
from minicnn.runtime.threads import cores, in_threads, one_blas_thread
from tests.helpers import BACKENDS, rng_integers, run_python

SMALL = "import sys, numpy as np, minicnn as mc; x = np.ones((1, 5, 5, 1), 'float32'); "
#: An array in the computer's memory.
HERE = np.zeros(1)
LARGE = "import sys, numpy as np, minicnn as mc; x = np.ones((1, 400, 300, 1), 'float32'); "


def output(code, **options):
    """Return what a program printed; it must neither fail nor complain."""
    done = run_python(code, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.fixture
def broken_numba(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('no LLVM here\\nand more')\n")
    return tmp_path


def test_auto_leaves_numba_alone_for_small_work():
    code = SMALL + (
        "mc.conv2d(x, np.ones((3, 2, 1, 1), 'float32')); mc.max_pool2d(x); mc.average_pool2d(x);"
        "mc.upsample2d(x); print('numba' in sys.modules)"
    )
    assert output(code) == ["False"]
    assert output(SMALL + "mc.max_pool2d(x); print('numba' in sys.modules)",
                  MINICNN_BACKEND="numba") == ["True"]  # fmt: skip


def test_auto_takes_numba_for_large_work():
    for call in (
        "mc.max_pool2d(x)",
        "mc.conv2d(x, np.ones((3, 2, 1, 1), 'float32'))",
        "mc.conv2d(x, np.ones((3, 2, 1, 1), 'float32'), np.ones(1, 'float32'), relu=True)",
    ):
        exec(LARGE + call)  # so that all is compiled: a program that waits for it says so
        assert output(f"{LARGE}{call}; print('numba' in sys.modules)") == ["True"]


def name_of(found):
    """Return the name of a backend that `kernels.backend` gave."""
    modules = {module: name for name, module in kernels.MODULES.items()}
    return modules[getattr(found, "maps", found).__name__]


@pytest.mark.parametrize(
    ("work", "backend"), [(1, "numpy"), (99_999, "numpy"), (100_000, "numba"), (10**9, "numba")]
)
def test_auto_goes_by_the_work(work, backend):
    with config.use_backend("auto"):
        assert name_of(kernels.backend(work, HERE)) == backend


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_named_backend_does_all_the_work(backend):
    with config.use_backend(backend):
        for work in (1, 10**9):
            found = kernels.backend(work, HERE)
            assert name_of(found) == backend
            assert all(callable(getattr(found, name)) for name in kernels.MAPS)


def test_only_the_compiled_backend_joins_operations():
    for backend in BACKENDS:
        with config.use_backend(backend):
            found = kernels.backend(1, HERE)
            joins = backend == "numba"
            assert found.has_tile(HERE.dtype) == joins
            assert all(callable(getattr(found, name, None)) == joins for name in kernels.JOINED[2:])


@pytest.mark.parametrize("groups", [1, 2])
def test_all_maps_of_a_convolution_count_its_products(groups, monkeypatch):
    works, chosen = [], kernels._chosen
    monkeypatch.setattr(kernels, "_chosen", lambda *asked: works.append(asked[0]) or chosen(*asked))
    x, kernel = mc.Variable(np.ones((3, 7, 9, 4))), mc.Variable(np.ones((3, 2, 4 // groups, 6)))
    products = 3 * 5 * 8 * 6 * (3 * 2 * 4 // groups)
    with config.use_backend("numpy"):
        mc.ops.sum(mc.conv2d(x, kernel, groups=groups)).backward()
    assert works
    assert set(works) == {products}
    works.clear()
    y = mc.Variable(np.ones((3, 5, 8, 6)))
    with config.use_backend("numpy"):
        mc.ops.sum(mc.conv2d_transpose(y, kernel, groups=groups)).backward()
    assert works
    assert set(works) == {products}


def test_use_backend_restores_after_errors_and_nests():
    before = config.backend()
    with config.use_backend("loops"):
        with config.use_backend("numpy"):
            assert config.backend() == "numpy"
        assert config.backend() == "loops"
    assert config.backend() == before
    with pytest.raises(ZeroDivisionError), config.use_backend("loops"):
        raise ZeroDivisionError
    assert config.backend() == before


def test_the_environment_chooses_the_backend():
    show = "import minicnn as mc; print(mc.config.backend())"
    assert output(show) == ["auto"]
    assert output(show, MINICNN_BACKEND="LOOPS") == ["loops"]
    done = run_python(show, MINICNN_BACKEND="nunpy")
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "MINICNN_BACKEND: value='nunpy' is not known; did you mean 'numpy'? Choose one of 'auto', "
        "'loops', 'numpy', 'numba', 'cupy'."
    )


def test_an_unknown_name_changes_nothing():
    before = config.backend()
    with pytest.raises(ArgumentError, match=r"set_backend: name='nmba'.*did you mean 'numba'"):
        config.set_backend("nmba")
    with pytest.raises(ArgumentError), config.use_backend("torch"):
        pass
    assert config.backend() == before


def test_backends_tell_versions_and_reasons():
    found = mc.backends()
    assert list(found) == ["loops", "numpy", "numba", "cupy"]
    assert found["numpy"] == (True, f"numpy {np.__version__}")
    assert found["loops"].usable
    assert found["numba"].usable
    assert found["numba"].detail.startswith("numba 0.")
    assert found["cupy"].detail  # tests/cuda/test_probe.py knows the reasons


def test_cupy_is_refused_with_a_reason(monkeypatch):
    probe = backends.availability
    missing = kernels.Availability(False, "no GPU was found")
    monkeypatch.setattr(
        backends, "availability", lambda name: missing if name == "cupy" else probe(name)
    )
    kernels._whole.cache_clear()
    with config.use_backend("cupy"), pytest.raises(BackendError) as caught:
        mc.max_pool2d(np.ones((1, 4, 6, 1)))
    assert str(caught.value) == (
        "backend 'cupy' is not usable here: no GPU was found. Usable: 'loops', 'numpy', 'numba'."
    )


def test_auto_does_without_a_broken_numba(broken_numba):
    code = LARGE + (
        "y = mc.conv2d(x, np.ones((3, 2, 1, 4), 'float32'), padding='same', max_pool=(2, 3));"
        "print(*mc.max_pool2d(x, (2, 3)).shape, *y.shape, mc.backends()['numba'].usable)"
    )
    done = run_python(code, first_on_path=broken_numba)
    assert done.stdout == "1 200 100 1 1 200 100 4 False\n"
    assert done.stderr == (
        "minicnn: NumPy does what compiled kernels would do faster: numba cannot be imported: "
        "ImportError: no LLVM here.\n"
    )


def test_a_broken_numba_by_name_is_an_error_of_one_sentence(broken_numba):
    done = run_python(SMALL + "mc.max_pool2d(x)", first_on_path=broken_numba,
                      MINICNN_BACKEND="numba")  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "minicnn.errors.BackendError: backend 'numba' is not usable here: numba cannot be "
        "imported: ImportError: no LLVM here. Usable: 'loops', 'numpy'."
    )


def blas_threads():
    return {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}


@pytest.fixture
def two_blas_threads():
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("this BLAS cannot be set to two threads")
        yield


@pytest.mark.usefixtures("two_blas_threads")
def test_one_blas_thread_nests_and_restores():
    for _ in range(2):
        with one_blas_thread():
            assert blas_threads() == {1}
            with one_blas_thread():
                assert blas_threads() == {1}
            assert blas_threads() == {1}  # the inner block must not restore
        assert blas_threads() == {2}
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert blas_threads() == {2}


@pytest.mark.usefixtures("two_blas_threads")
def test_in_threads_holds_blas_to_one_thread():
    assert in_threads(lambda _: blas_threads(), range(3)) == [{1}] * 3
    assert blas_threads() == {2}


def test_in_threads_keeps_the_order():
    def late(i):
        time.sleep(0.01 * (6 - i))  # the last items finish first
        return i, threading.current_thread().name

    results = in_threads(late, range(7))
    assert [i for i, _ in results] == list(range(7))
    names = {name for _, name in results}
    assert threading.current_thread().name in names  # the caller works too
    assert len(names) == min(cores(), 7)


def test_in_threads_passes_errors_on():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda i: 1 // i, [1, 0, 2])
    assert in_threads(lambda i: 1 // i, [1]) == [1]


@pytest.mark.parametrize("rows", [1, 1023, 1024, 1025, 2048, 5000])
def test_column_sums_of_whole_numbers_are_exact(rows):
    a, b = rng_integers(1, (rows, 3), "float32"), rng_integers(2, (rows, 3), "float32")
    for result, expected in (
        (arrays.column_sums(a), a.sum(0)),
        (arrays.column_sums(a, b), (a * b).sum(0)),
    ):
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, expected)


def test_column_sums_hardly_round():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, (1, 10, 100), (2, 200_000, 3)).astype("float32")
    for result, terms in (
        (arrays.column_sums(a), a.astype(float)),
        (arrays.column_sums(a, b), a.astype(float) * b),
    ):
        exact = np.array([math.fsum(column) for column in terms.T])
        assert (np.abs(result / exact - 1) < 1e-6).all()
        running = terms.astype("float32").cumsum(axis=0)[-1]
        assert (np.abs(running / exact - 1) > 1e-6).all()  # so the care is needed


def test_without_a_compiler_numpy_does_the_work():
    code = LARGE + "print(mc.conv2d(x, np.ones((3, 2, 1, 1), 'float32')).shape[1:3])"
    assert output(code, NUMBA_DISABLE_JIT="1") == ["(398,", "299)"]
    done = run_python(code, NUMBA_DISABLE_JIT="1", MINICNN_BACKEND="numba")
    assert "NUMBA_DISABLE_JIT forbids compiling" in done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "3000 None"), ({"OMP_WAIT_POLICY": "active"}, "None active"),
     ({"GOMP_SPINCOUNT": "7"}, "7 None")],
)  # fmt: skip
def test_threads_of_openmp_do_not_wait_long_unless_told_to(given, expected):
    code = (
        "import os\n"
        "from minicnn.kernels import backend_module\n"
        "backend_module('numba')\n"
        "print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"
    )
    unset = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} - set(given)
    done = run_python(f"import os\nfor k in {unset}: os.environ.pop(k, None)\n{code}", **given)
    assert done.stdout.strip() == expected, done.stderr


def test_blas_libraries_that_come_later_are_held_to_one_thread():
    pytest.importorskip("scipy", reason="SciPy brings a second BLAS")
    code = (
        "from threadpoolctl import threadpool_info\n"
        "from minicnn.runtime.threads import one_blas_thread\n"
        "blas = lambda: [i['num_threads'] for i in threadpool_info() if i['user_api'] == 'blas']\n"
        "import numpy\n"
        "with one_blas_thread(): pass\n"
        "import scipy.linalg\n"
        "before = blas()\n"
        "with one_blas_thread(): print(len(before) > 1 and max(before) > 1, set(blas()))\n"
        "print(blas() == before)"
    )
    several, held, restored = output(code)
    if several != "True":
        pytest.skip("one BLAS, or one core")
    assert held == "{1}"
    assert restored == "True"
