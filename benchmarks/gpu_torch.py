"""PyTorch's side of the comparison on a GPU; the tests let it work on the CPU."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_timing import SPILL
from minicnn.kernels.cuda.device import cupy

if TYPE_CHECKING:
    import torch

DEVICE = "cuda"


def usable() -> tuple[bool, str]:
    """Return whether there is a PyTorch, and what is wrong with it, or an empty text."""
    if importlib.util.find_spec("torch") is None:
        return False, ""
    import torch

    if torch.version.cuda is None:
        return False, (
            f"PyTorch {torch.__version__} is installed without CUDA, so there is nothing to "
            f"compare with; install one from https://pytorch.org, or none."
        )
    if not torch.cuda.is_available():
        return False, (
            f"PyTorch {torch.__version__}, for CUDA {torch.version.cuda}, finds no GPU that it can "
            f"use, though CuPy does; install one that fits the driver, or none."
        )
    return True, ""


def versions() -> dict[str, str]:
    """Return what the figures depend on."""
    import torch

    number = torch.backends.cudnn.version() or 0
    # 8907 is 8.9.7, and 91002 is 9.10.2.
    major, rest = divmod(number, 10_000 if number >= 90_000 else 1000)
    return {
        "PyTorch": f"{torch.__version__}, CUDA {torch.version.cuda}, channels last, cuDNN's "
        f"benchmark mode, ReLU in place, fused Adam",
        "cuDNN": f"{major}.{rest // 100}.{rest % 100}" if number else "none",
    }


@contextlib.contextmanager
def precision(tf32: bool) -> Iterator[None]:
    """Let PyTorch's products and convolutions use TF32, or not, in a `with` block."""
    import torch

    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark
    products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark = tf32, tf32, True
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark = before


class TorchClock:
    """The events of PyTorch's current stream."""

    def __init__(self, spill: int = SPILL) -> None:
        import torch

        cache = torch.cuda.get_device_properties(DEVICE).L2_cache_size
        self._torch = torch
        self._spill = torch.zeros(max(spill, 3 * cache) // 4, device=DEVICE)

    def mark(self) -> Any:
        """Return an event that is put into the stream now."""
        event = self._torch.cuda.Event(enable_timing=True)
        event.record(self._torch.cuda.current_stream())
        return event

    def between(self, first: Any, last: Any) -> float:
        """Return the seconds between two events that have happened."""
        return first.elapsed_time(last) / 1e3

    def wait(self) -> None:
        """Wait until the card has done everything."""
        self._torch.cuda.synchronize()

    def flush(self) -> None:
        """Start to read so much memory that caches hold nothing else."""
        self._spill.sum()


def seen_by_cupy(tensor: torch.Tensor) -> Any:
    """Return a tensor as CuPy's array."""
    tensor = tensor.detach()
    return cupy().asarray(tensor if tensor.is_cuda else tensor.numpy())


def images_back(tensor: torch.Tensor, mirrored: bool = True) -> Any:
    """Return PyTorch's images (N,C,H,W) as CuPy's (N,H,W,C), turned back if they are mirrored."""
    array = seen_by_cupy(tensor).transpose(0, 2, 3, 1)
    return array[:, ::-1, ::-1] if mirrored else array


def kernel_back(tensor: torch.Tensor) -> Any:
    """Return PyTorch's mirrored kernel (B,A,KH,KW) as CuPy's (KH,KW,A,B)."""
    return seen_by_cupy(tensor).transpose(2, 3, 1, 0)[::-1, ::-1]


def give_back() -> None:
    """Give the memory that PyTorch keeps for later back to the card."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
