"""Where the tests of the CUDA backend run: on the CPU, and on a GPU where there is one."""

import contextlib
import importlib

import pytest

from minicnn import kernels
from tests.cuda.simulator import cpu_module, stand_in

PLACES = [
    pytest.param("cpu", id="cpu"),
    pytest.param("gpu", id="gpu", marks=pytest.mark.gpu),
]


@pytest.fixture(scope="module", params=PLACES)
def cupy(request):
    """CuPy's module: a stand-in that runs the kernels on the CPU, or the real one on a GPU."""
    if request.param == "gpu":
        found = kernels.backends()["cupy"]
        if not found.usable:
            pytest.skip(f"no GPU can be used: {found.detail}")
        yield importlib.import_module("cupy")
        return
    if cpu_module.missing():
        pytest.skip(cpu_module.missing())
    with stand_in.installed() as module:
        yield module


@pytest.fixture
def card(monkeypatch):
    """The limits of the card that the stand-in plays, as they were afterwards."""
    from minicnn.kernels.cuda import device

    for name, value in vars(stand_in.card).items():
        if name != "used_bytes":
            monkeypatch.setattr(stand_in.card, name, value)
    device._card.cache_clear()
    yield stand_in.card
    device._card.cache_clear()


@pytest.fixture
def unhurried(cupy, monkeypatch):
    """A `with` block in which nobody may wait for the GPU, as far as the stand-in can tell."""

    def refused(*_):
        raise AssertionError("somebody waits for the GPU")

    @contextlib.contextmanager
    def block():
        if not hasattr(cupy.ndarray, "_array"):
            yield  # a real card
            return
        with monkeypatch.context() as patch:
            for name in ("get", "item", "__bool__", "__float__", "__int__", "__repr__"):
                patch.setattr(cupy.ndarray, name, refused, raising=False)
            yield

    return block
