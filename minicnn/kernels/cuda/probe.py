"""Whether the GPU can be used here, in one sentence."""

from __future__ import annotations

from importlib import metadata

import numpy as np

from minicnn.kernels.cuda.device import card, cupy, program

__all__ = ["usable"]

#: The packages that bring a module `cupy`. Two of them overwrite each other's files.
PACKAGES = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x", "cupy-rocm-7-0", "amd-cupy")


def _installed() -> list[str]:
    """Return the CuPy packages that are installed, with their versions."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def usable() -> tuple[bool, str]:
    """Return whether a kernel runs on a GPU here, and what runs it, or why not."""
    packages = _installed()
    if len(packages) > 1:
        return False, f"two CuPy packages overwrite each other: {' and '.join(packages)}; keep one"
    try:
        cupy()
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise
        return False, (
            "CuPy is not installed; pip install 'minicnn[cuda12]' or 'minicnn[cuda13]', by the "
            "CUDA version of the driver"
        )
    return _device()


def _device() -> tuple[bool, str]:
    """Return the same for an importable CuPy, which says nothing about a GPU."""
    version = f"CuPy {cupy().__version__}"
    try:
        count = cupy().cuda.runtime.getDeviceCount()
    except cupy().cuda.runtime.CUDARuntimeError as error:
        if cupy().cuda.runtime.driverGetVersion() == 0:
            return False, f"{version} is installed, but no NVIDIA driver"
        return False, f"{version} finds no usable GPU: {error}"
    if count == 0:
        return False, f"{version} finds an NVIDIA driver, but no GPU"
    try:
        numbers = cupy().asarray(np.arange(-2, 3, dtype=np.float32))
        kernels = program("conv2d", numbers)
        kernels.over("finish", 5, numbers, None, kernels.offset(5), 5, 1)
        result = numbers.get().tolist()
    except Exception as error:  # drivers, compilers and cards fail in many ways
        first = (str(error).splitlines() or [""])[0]
        return False, f"a small kernel fails on the GPU: {type(error).__name__}: {first}"
    if result != [0, 0, 0, 1, 2]:
        return False, f"a small kernel on the GPU gives {result} instead of [0, 0, 0, 1, 2]"
    return True, f"cupy {cupy().__version__}, {card().name}"
