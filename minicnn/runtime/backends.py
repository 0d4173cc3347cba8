"""Which backends there are, and which of them can be used here."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import NamedTuple

from minicnn.errors import BackendError
from minicnn.runtime.notice import slower
from minicnn.runtime.threads import wait_briefly

__all__ = ["MODULES", "Availability", "availability", "backend_module", "backends", "compiles"]

MODULES = {
    "loops": "minicnn.kernels.loops",
    "numpy": "minicnn.kernels.vectorized",
    "numba": "minicnn.kernels.compiled",
    "cupy": "minicnn.kernels.cuda",
}


class Availability(NamedTuple):
    """Whether a backend can be used here, and the reason if not or its version if so."""

    usable: bool
    detail: str


@functools.cache
def availability(name: str) -> Availability:
    """Find out once whether a backend can be used; a broken package gives a sentence."""
    if name == "numba":
        wait_briefly()
    try:
        module = importlib.import_module(MODULES[name])
        if name == "cupy":
            return Availability(*module.usable())
        if name == "numba":
            numba = importlib.import_module("numba")
            if numba.config.DISABLE_JIT:
                return Availability(False, "NUMBA_DISABLE_JIT forbids compiling")
            if reason := _no_threads(numba):
                return Availability(False, reason)
            compiling = importlib.import_module("minicnn.kernels.compiled.compiling")
            folder = compiling.kept_in() or (
                "no folder, as none can be written: every process compiles anew; set "
                "NUMBA_CACHE_DIR to a folder that can"
            )
            return Availability(True, f"numba {numba.__version__}, compiled code in {folder}")
        numpy = importlib.import_module("numpy")
        return Availability(True, f"numpy {numpy.__version__}")
    except Exception as error:  # a broken package may raise anything at all
        first = (str(error).splitlines() or [""])[0]
        return Availability(False, f"{name} cannot be imported: {type(error).__name__}: {first}")


def _no_threads(numba: ModuleType) -> str:
    """Return why Numba cannot start its threads, or an empty text if it can."""
    try:
        numba.get_num_threads()
    except ValueError as error:
        asked = numba.config.THREADING_LAYER
        return (
            f"NUMBA_THREADING_LAYER={asked} cannot be used ({str(error).splitlines()[0]}); leave "
            f"it unset, or for tbb pip install tbb and start with LD_LIBRARY_PATH={sys.prefix}/lib"
        )
    return ""


@functools.cache
def compiles() -> bool:
    """Return whether Numba is usable; where it is installed and does not work, say so once."""
    found = availability("numba")
    wanted = importlib.util.find_spec("numba") and "NUMBA_DISABLE_JIT" not in found.detail
    if not found.usable and wanted:
        slower(found.detail)
    return found.usable


def backends() -> dict[str, Availability]:
    """Return for each backend whether it is usable here, and why not.

    >>> backends()["numpy"].usable
    True
    """
    return {name: availability(name) for name in ("loops", "numpy", "numba", "cupy")}


def backend_module(name: str) -> ModuleType:
    """Return the module of a backend.

    Raises:
        BackendError: the backend is not usable here; the message says why.
    """
    found = availability(name)
    if not found.usable:
        usable = ", ".join(repr(n) for n, a in backends().items() if a.usable)
        raise BackendError(
            f"backend {name!r} is not usable here: {found.detail}. Usable: {usable}."
        )
    return importlib.import_module(MODULES[name])
