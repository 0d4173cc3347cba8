"""Settings for the whole suite."""

import os

import pytest
from hypothesis import settings

from minicnn import kernels
from minicnn.errors import BackendError

# pytest-xdist sets it in its processes, and consoles keep the width that they began with.
os.environ.pop("COLUMNS", None)

# The first call of a compiled kernel may take seconds, and a failure should fail again. For a
# search with new examples: pytest --hypothesis-profile=search
settings.register_profile("minicnn", deadline=None, derandomize=True, max_examples=40)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("minicnn")

# Programs that run other libraries, which need not be installed here; and what changes a process.
collect_ignore_glob = ["oracles/*.py", "browser.py"]


def pytest_addoption(parser):
    parser.addoption(
        "--on-card",
        action="store_true",
        help="run all tests with their arrays on the GPU, which the CPU plays (tests/cuda)",
    )


def pytest_configure(config):
    from tests.cuda.simulator import cpu_module

    if config.getoption("--on-card") and cpu_module.missing():
        raise pytest.UsageError(f"--on-card: the CPU cannot play a GPU: {cpu_module.missing()}")


def pytest_report_header():
    gpu = kernels.backends()["cupy"]
    return [] if gpu.usable else [f"tests on a GPU are left out: {gpu.detail}"]


def pytest_collection_modifyitems(config, items):
    mark = "cpu_only" if config.getoption("--on-card") else "gpu"
    if mark == "gpu" and kernels.backends()["cupy"].usable:
        return
    left = [item for item in items if item.get_closest_marker(mark)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in set(left)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip what needs h5py where it is missing: there is no wheel for every Python."""
    try:
        return (yield)
    except BackendError as error:
        if "need h5py, which is not installed" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(autouse=True, scope="session")
def where_arrays_live(request):
    """Put what tests make on the GPU, if that was asked for."""
    if not request.config.getoption("--on-card"):
        yield
        return
    from minicnn import config
    from tests.cuda.simulator import stand_in

    with stand_in.installed(), config.use_backend("cupy"):
        yield
