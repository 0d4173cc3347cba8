"""Why a GPU cannot be used, in one sentence; each reason is made once, by a CuPy that has it."""

import json
import textwrap

import pytest

from minicnn.kernels import MAPS, MODULES, backend_module, backends
from tests.cuda.simulator import cpu_module, stand_in
from tests.helpers import run_python

SHOW = "import json, minicnn as mc; print(json.dumps(mc.backends()['cupy']))"


def told(folder, code=SHOW):
    """Return what `minicnn.backends()` tells with a folder before all others on the path."""
    done = run_python(code, first_on_path=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def make_cupy(folder, text):
    (folder / "cupy.py").write_text(textwrap.dedent(text))


RUNTIME = """
    from types import SimpleNamespace
    __version__ = "14.2.0"

    class CUDARuntimeError(RuntimeError):
        pass

    def fail():
        raise CUDARuntimeError("{error}")

    runtime = SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError, getDeviceCount={count}, getDevice=lambda: 0,
        driverGetVersion=lambda: {driver},
    )
    cuda = SimpleNamespace(runtime=runtime)
"""


def test_without_the_package(tmp_path):
    make_cupy(tmp_path, "raise ModuleNotFoundError('No module named cupy', name='cupy')")
    assert told(tmp_path) == [
        False,
        "CuPy is not installed; pip install 'minicnn[cuda12]' or 'minicnn[cuda13]', by the CUDA "
        "version of the driver",
    ]


def test_a_broken_package(tmp_path):
    make_cupy(tmp_path, "raise ImportError('libnvrtc.so.12 is not there\\nand more')")
    assert told(tmp_path) == [
        False,
        "cupy cannot be imported: ImportError: libnvrtc.so.12 is not there",
    ]


def test_two_packages(tmp_path):
    make_cupy(tmp_path, "raise AssertionError('this one must not be imported')")
    for name, version in (("cupy-cuda12x", "14.2.0"), ("cupy-cuda13x", "13.6.0")):
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    assert told(tmp_path) == [
        False,
        "two CuPy packages overwrite each other: cupy-cuda12x 14.2.0 and cupy-cuda13x 13.6.0; "
        "keep one",
    ]


@pytest.mark.parametrize(
    ("count", "driver", "reason"),
    [
        ("fail", 0, "CuPy 14.2.0 is installed, but no NVIDIA driver"),
        ("fail", 12090, "CuPy 14.2.0 finds no usable GPU: it is asleep"),
        ("lambda: 0", 12090, "CuPy 14.2.0 finds an NVIDIA driver, but no GPU"),
        (
            "lambda: 1",
            12090,
            "a small kernel fails on the GPU: AttributeError: module 'cupy' has no attribute "
            "'asarray'",
        ),
    ],
)
def test_without_driver_or_device(tmp_path, count, driver, reason):
    make_cupy(tmp_path, RUNTIME.format(count=count, driver=driver, error="it is asleep"))
    assert told(tmp_path) == [False, reason]


def test_a_kernel_that_computes_nonsense(tmp_path):
    make_cupy(
        tmp_path,
        RUNTIME.format(count="lambda: 1", driver=12090, error="")
        + """
    class RawModule:
        def __init__(self, **_): pass
        def compile(self): pass
        def get_function(self, name): return lambda *_: None

    class asarray:
        def __init__(self, a): self.a, self.dtype, self.size = a, a.dtype, a.size
        def get(self): return self.a

    compiler = SimpleNamespace(CompileException=ValueError)
    cuda.compiler = compiler
    """,
    )
    assert told(tmp_path) == [
        False,
        "a small kernel on the GPU gives [-2.0, -1.0, 0.0, 1.0, 2.0] instead of [0, 0, 0, 1, 2]",
    ]


def test_nothing_else_is_asked_for_the_cpu():
    code = (
        "import sys, numpy as np, minicnn as mc; mc.max_pool2d(np.ones((1, 4, 6, 1)));"
        "import json; print(json.dumps('cupy' in sys.modules))"
    )
    assert told(None, code) is False


@pytest.mark.skipif(bool(cpu_module.missing()), reason=str(cpu_module.missing()))
def test_with_a_device_the_backend_is_usable():
    with stand_in.installed() as cupy:
        assert backends()["cupy"] == (True, f"cupy {cupy.__version__}, stand-in for a GPU")
        module = backend_module("cupy")
        assert module.__name__ == MODULES["cupy"]
        for name in MAPS:
            assert callable(getattr(module, name))
