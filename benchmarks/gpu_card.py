"""The card that is measured: its name and versions, what it should do, and what it can do."""

from __future__ import annotations

import functools
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minicnn
from benchmarks import gpu_torch
from benchmarks.gpu_timing import (
    OURS,
    TF32_FROM,
    THEIRS,
    Case,
    Clock,
    Contestant,
    Effort,
    check,
    measure,
)
from minicnn.kernels.cuda.device import card, cupy

COPY, FLOAT32, TF32 = "copy", "float32", "tf32"
#: Rows of square matrix products, and bytes of an array that is copied.
ROWS, COPIED = (4096, 8192), 1 << 30


class Speeds(NamedTuple):
    """The maker's numbers of a card: TFLOP/s of float32 and of TF32 (dense), and GB/s."""

    float32: float
    tf32: float | None
    copy: float


#: By the name that the driver tells.
MAKERS = {
    "Tesla V100-SXM2-16GB": Speeds(15.7, None, 900),
    "Tesla V100-SXM2-32GB": Speeds(15.7, None, 900),
    "Tesla T4": Speeds(8.1, None, 320),
    "NVIDIA A100-SXM4-40GB": Speeds(19.5, 156, 1555),
    "NVIDIA A100-PCIE-40GB": Speeds(19.5, 156, 1555),
    "NVIDIA A100-SXM4-80GB": Speeds(19.5, 156, 2039),
    "NVIDIA A100 80GB PCIe": Speeds(19.5, 156, 1935),
    "NVIDIA GeForce RTX 3090": Speeds(35.6, 35.6, 936),
    "NVIDIA GeForce RTX 4090": Speeds(82.6, 82.6, 1008),
    "NVIDIA GeForce RTX 5090": Speeds(104.8, 104.8, 1792),
    "NVIDIA L4": Speeds(30.3, 60, 300),
    "NVIDIA L40S": Speeds(91.6, 183, 864),
    "NVIDIA H100 PCIe": Speeds(51.2, 378, 2039),
    "NVIDIA H100 80GB HBM3": Speeds(66.9, 494.7, 3352),
    "NVIDIA H200": Speeds(66.9, 494.7, 4800),
}


def driver() -> str:
    """Return the driver's version, as far as somebody tells it."""
    program, told = shutil.which("nvidia-smi"), Path("/proc/driver/nvidia/version")
    if program:
        question = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
        answer = subprocess.run(question, capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.strip():
            return answer.stdout.split()[0]
    if told.exists():
        return told.read_text(encoding="utf-8").splitlines()[0].partition(":")[2].strip()
    return "unknown"


def cuda_version(number: int) -> str:
    """Return CUDA's version as it is written.

    >>> cuda_version(12090)
    '12.9'
    """
    return f"{number // 1000}.{number % 1000 // 10}"


def machine(device: str | None) -> dict[str, str]:
    """Return what the figures depend on."""
    found, runtime = card(), cupy().cuda.runtime
    total = cupy().cuda.Device().mem_info[1]
    maker = MAKERS.get(found.name)
    return {
        "card": f"{found.name}, compute capability {found.capability / 10}, "
        f"{found.multiprocessors} multiprocessors, {total / 2**30:.1f} GiB, second-level cache "
        f"{found.cache_bytes / 2**20:.0f} MiB",
        "maker's numbers": "not known here"
        if maker is None
        else f"float32 {maker.float32} TFLOP/s, TF32 {maker.tf32 or 'none'}"
        f"{' TFLOP/s' if maker.tf32 else ''}, memory {maker.copy:.0f} GB/s",
        "driver": f"{driver()}, for CUDA up to {cuda_version(runtime.driverGetVersion())}",
        "CuPy": f"{cupy().__version__}, CUDA {cuda_version(runtime.runtimeGetVersion())}",
        **(gpu_torch.versions() if device else {"PyTorch": "none, so minicnn is measured alone"}),
        "minicnn": f"{minicnn.__version__}, Python {platform.python_version()}",
    }


class Floors(NamedTuple):
    """What the card reached in the same run; None where nobody could measure it.

    Args:
        copy: bytes a second that a copy reads and writes.
        float32: operations a second of a matrix product.
        tf32: the same by tensor cores.
    """

    copy: float | None
    float32: float | None
    tf32: float | None

    def peak(self, name: str) -> float | None:
        """Return the operations a second of a kind of arithmetic."""
        return self.tf32 if name == TF32 else self.float32


def fastest(case: Case) -> float | None:
    """Return the bytes or operations a second of the faster contestant, None if all failed."""
    times = [timing.median for name in case.contestants if (timing := case.timing(name))]
    return (case.moved or case.operations) / min(times) if times else None


def floors(
    clocks: dict[str, Clock], effort: Effort, device: str | None,
    rows: tuple[int, ...] = ROWS, copied: int = COPIED,
) -> Floors:  # fmt: skip
    """Measure a copy and the largest matrix products, by both libraries; the better one counts."""
    free = cupy().cuda.Device().mem_info[0]
    build = [functools.partial(copy_case, min(copied, free // 8), device)]
    build += [functools.partial(product_case, size, device, False) for size in rows]
    if device and card().capability >= TF32_FROM:  # CuPy alone does not ask cuBLAS for it
        build += [functools.partial(product_case, size, device, True) for size in rows]
    reached: dict[str, float] = {}
    for make in build:
        case = make()
        check(case)
        measure(case, clocks, effort)
        name, speed = case.name[1], fastest(case)
        if speed is not None:
            reached[name] = max(speed, reached.get(name, 0.0))
    return Floors(*(reached.get(name) for name in Floors._fields))


def copy_case(size: int, device: str | None) -> Case:
    """Return the copy of an array of a size in bytes, within the card."""
    x = cupy().full(size // 4, 2.0, "float32")
    y = cupy().empty(x.shape, x.dtype)
    contestants = {OURS: Contestant(OURS, lambda: cupy().copyto(y, x), lambda: _copied(y, x), 0.0)}
    if device:
        import torch

        tx = torch.full((size // 4,), 2.0, device=device)
        ty = torch.empty_like(tx)
        result = lambda: gpu_torch.seen_by_cupy(ty.copy_(tx))  # noqa: E731
        contestants[THEIRS] = Contestant(THEIRS, lambda: ty.copy_(tx), result, 0.0)
    return Case(("card", COPY), contestants, [], moved=2 * x.nbytes)


def _copied(y: Any, x: Any) -> Any:
    cupy().copyto(y, x)
    return y


def product_case(rows: int, device: str | None, tf32: bool) -> Case:
    """Return the product of two square matrices of random numbers; equal ones take less power."""
    matrix = np.random.default_rng(0).standard_normal((rows, rows), dtype=np.float32)
    contestants = {}
    if device:
        import torch

        ta = torch.from_numpy(matrix).to(device)
        theirs = functools.partial(torch.matmul, ta, ta, out=torch.empty_like(ta))
        setting = functools.partial(gpu_torch.precision, tf32)
        contestants[THEIRS] = Contestant(
            THEIRS, theirs, lambda: gpu_torch.seen_by_cupy(theirs()), 1e-4, setting
        )
    if not tf32:
        a = cupy().asarray(matrix)
        ours = functools.partial(cupy().matmul, a, a, out=cupy().empty(a.shape, a.dtype))
        contestants[OURS] = Contestant(OURS, ours, ours, 1e-4)
    name = TF32 if tf32 else FLOAT32
    return Case(("card", name), contestants, [], operations=2 * rows**3)
