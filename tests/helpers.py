"""What several test files share: the backends, and programs in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from minicnn.kernels import backend_module
from minicnn.runtime import memory

ROOT = Path(__file__).resolve().parent.parent
BACKENDS = ("loops", "numpy", "numba")


def rng_integers(seed, shape, dtype="float64"):
    """Return whole numbers from -4 to 4: their sums of products are exact in float32 too."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def filled_with_nan(name, monkeypatch):
    """Let new arrays in a backend's modules be full of NaN, or of -7777 for integers."""
    package = backend_module(name).__name__
    modules = [m for n, m in sys.modules.items() if n == package or n.startswith(f"{package}.")]

    def filled(make):
        def empty(shape, dtype=float):
            array = make(shape, dtype)
            array.fill(np.nan if array.dtype.kind == "f" else -7777)
            return array

        return empty

    names = {n: getattr(np, n) for n in dir(np) if not n.startswith("_")}
    other = SimpleNamespace(**names | {"empty": filled(np.empty)})
    for module in modules:
        if hasattr(module, "np"):
            monkeypatch.setattr(module, "np", other)
    monkeypatch.setattr(memory, "empty", filled(memory.empty))


def run_python(code, *, first_on_path=None, **environment):
    """Run a program in a fresh Python and return the finished process."""
    variables = {k: v for k, v in os.environ.items() if k != "MINICNN_BACKEND"}
    places = [str(p) for p in (first_on_path, ROOT) if p is not None]
    variables["PYTHONPATH"] = os.pathsep.join(places)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=variables | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
