"""What is measured in processes of their own: the start of Python to the first step, and memory.

    python benchmarks/processes.py start
    python benchmarks/processes.py memory minicnn cell

The first does one training step and ends; the second prints how many bytes a training needed.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import networks

from minicnn.runtime.threads import cores

#: Steps after which memory is read: by the third, optimizers and recycled memory are in place.
STEPS = 3


def first_step() -> None:
    """Build the MNIST network and do one training step."""
    network = networks.mnist_network()
    x = networks.images(network)
    networks.in_minicnn(network).train_on_batch(x, x)


def _memory(which: str) -> int:
    """Return the bytes of this process in main memory: "VmRSS" now, or "VmHWM" at most ever.

    Linux hands the peak that `getrusage` reports from a parent down to its children; this one
    belongs to the process alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith(which):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def training_memory(library: str, name: str) -> int:
    """Train a network for a few steps and return the peak of memory above that after the imports.

    Args:
        library: "minicnn" or "PyTorch".
        name: a key of `networks.NETWORKS`.
    """
    network = networks.NETWORKS[name]()
    if library == "minicnn":
        from minicnn.kernels import backend_module

        backend_module("numba")  # PyTorch's compiled code, too, is there before anything is built
        before = _memory("VmRSS")
        x = networks.images(network)
        model = networks.in_minicnn(network)
        for _ in range(STEPS):
            model.train_on_batch(x, x)
    else:
        import torch

        torch.set_num_threads(cores())
        before = _memory("VmRSS")
        x = networks.torch_images(networks.images(network))
        training = networks.TorchTraining(networks.in_torch(network), x)
        for _ in range(STEPS):
            training.step()
    return _memory("VmHWM") - before


def _run(arguments: Sequence[str], environment: dict[str, str]) -> str:
    """Run this file in a fresh process and return what it prints.

    Raises:
        RuntimeError: the process failed; the message is what it said.
    """
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def start_time(environment: dict[str, str], *, cold: bool) -> float:
    """Return the seconds from a process' start to its end, with one training step.

    Args:
        environment: the process' environment variables.
        cold: whether Numba finds an empty cache; otherwise it finds what an earlier call left.
    """
    with tempfile.TemporaryDirectory() as folder:
        cache = {"NUMBA_CACHE_DIR": folder} if cold else {}
        start = time.perf_counter()
        _run(["start"], environment | cache)
        return time.perf_counter() - start


def peak_memory(library: str, name: str, environment: dict[str, str]) -> int:
    """Return `training_memory` of a fresh process; what it runs should be in Numba's cache."""
    return int(_run(["memory", library, name], environment))


if __name__ == "__main__":
    if sys.argv[1] == "start":
        first_step()
    else:
        print(training_memory(*sys.argv[2:]))
