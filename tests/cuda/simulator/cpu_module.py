"""The text of CUDA kernels, compiled by g++ behind `cuda_on_cpu.h` and run on the CPU."""

import contextlib
import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
CACHE = Path(tempfile.gettempdir()) / f"minicnn-cuda-on-cpu-{os.getuid()}"
COMPILER = os.environ.get("CXX", "g++")
FLAGS = (
    *("-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-fno-gnu-unique", "-fno-strict-aliasing"),
    # With its checks of jumps and stacks, the C library takes fibers for mistakes.
    *("-U_FORTIFY_SOURCE", "-fno-stack-protector"),
)
SANITIZER = ("-g", "-fsanitize=address", "-static-libgcc")
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\('
)

#: The order of threads and blocks of every launch: 0 forward, 1 backward, others shuffled.
_settings = {"order": 0, "flags": ()}


class KernelError(RuntimeError):
    """A kernel that broke a rule while it ran."""


class OnTheCard:
    """An array that a kernel is given by its address, even if it has no axes."""

    def __init__(self, array):
        self.array = array


class CompileError(RuntimeError):
    """Text that g++ refused."""


def missing():
    """Return why kernels cannot be run here, or None."""
    if shutil.which(COMPILER) is None:
        return f"the compiler {COMPILER} is not installed"
    return None


@contextlib.contextmanager
def thread_order(order):
    """Run threads and blocks in another order for the length of a `with` block."""
    before = _settings["order"]
    _settings["order"] = order
    try:
        yield
    finally:
        _settings["order"] = before


@contextlib.contextmanager
def compiler_flags(*flags):
    """Compile with more flags for the length of a `with` block."""
    before = _settings["flags"]
    _settings["flags"] = flags
    try:
        yield
    finally:
        _settings["flags"] = before


@functools.cache
def _compiler_version():
    return subprocess.run([COMPILER, "--version"], capture_output=True, check=True).stdout


def library(code, options=()):
    """Compile a module, unless that was done before, and return the path of its library."""
    names = dict.fromkeys(_KERNEL.findall(code))
    doors = "".join(
        f'extern "C" const char* launch_{name}(const unsigned* sizes, void** values, '
        f"const char* const* given, unsigned count, unsigned order) "
        f"{{ return cuda::launch({name}, sizes, values, given, count, order); }}\n"
        for name in names
    )
    text = f'#include "{HEADER}"\n#line 1 "kernel.cu"\n{code}\n{doors}'
    macros = [o for o in options if o.startswith("-D")]
    flags = [*FLAGS, *_settings["flags"], *macros]
    parts = [text, HEADER.read_text(), *flags, str(_compiler_version())]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    path = CACHE / f"{key}.so"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        source, made = CACHE / f"{key}.{os.getpid()}.cpp", CACHE / f"{key}.{os.getpid()}.so"
        source.write_text(text)
        try:
            command = [COMPILER, *flags, str(source), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            source.unlink()
        if done.returncode:
            raise CompileError(done.stderr)
        made.replace(path)  # another process may make the same one
    return path


def _argument(value):
    """Return what ctypes passes for an argument, and its kind and size."""
    if value is None:
        return ctypes.c_void_p(0), "0*"
    if isinstance(value, OnTheCard) or (isinstance(value, np.ndarray) and value.ndim):
        value = getattr(value, "array", value)
        if not value.flags.c_contiguous:
            raise KernelError("a kernel was given an array with gaps")
        return ctypes.c_void_p(value.ctypes.data), f"{value.dtype.kind}{value.itemsize}*"
    # As CuPy: a Python int has 8 bytes and so has a float; arrays without axes go by value.
    value = np.asarray(value)
    kept = ctypes.create_string_buffer(value.tobytes(), value.nbytes)
    return kept, f"{value.dtype.kind}{value.nbytes}"


class CpuModule:
    """A module of kernels on the CPU.

    Args:
        code: CUDA C++.
        options: as for NVRTC; macros count, what is meant for a GPU does not.
    """

    def __init__(self, code, options=()):
        self._library = ctypes.CDLL(str(library(code, options)))

    def get_function(self, name):
        try:
            function = getattr(self._library, f"launch_{name}")
        except AttributeError:
            raise KernelError(f"the module has no kernel {name!r}") from None
        function.restype = ctypes.c_char_p

        def launch(grid, block, arguments):
            sizes = (ctypes.c_uint * 6)(*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3])
            pairs = [_argument(a) for a in arguments]
            count = len(pairs)
            values = (ctypes.c_void_p * count)(*(ctypes.addressof(kept) for kept, _ in pairs))
            kinds = (ctypes.c_char_p * count)(*(kind.encode() for _, kind in pairs))
            told = function(sizes, values, kinds, count, _settings["order"])
            if told:
                raise KernelError(f"{name}: {told.decode()}")

        return launch
