"""CUDA C++ compiled to machine code for a GPU that need not be there, by NVRTC.

NVRTC is one library without a driver: `pip install nvidia-cuda-nvrtc-cu12`, 230 MB.
"""

import ctypes
import functools
import importlib.util
from pathlib import Path

#: The kinds of cards that the kernels are for, from V100 to the RTX 50 series.
ARCHITECTURES = (70, 75, 80, 86, 89, 90, 100, 120)


class CompileError(RuntimeError):
    """Text that NVRTC refused; the message is its log."""


@functools.cache
def _path():
    found = importlib.util.find_spec("nvidia")
    places = [Path(p) for p in found.submodule_search_locations] if found else []
    libraries = [lib for p in places for lib in p.glob("cuda_nvrtc/lib/libnvrtc.so.12")]
    return libraries[0] if libraries else None


def missing():
    """Return why nothing can be compiled here, or None."""
    if _path() is None:
        return "NVRTC is not installed: pip install nvidia-cuda-nvrtc-cu12"
    return None


@functools.cache
def _library():
    library = ctypes.CDLL(str(_path()))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def _call(name, *arguments):
    status = getattr(_library(), name)(*arguments)
    if status:
        raise CompileError(_library().nvrtcGetErrorString(status).decode())


def _text(program, kind):
    size = ctypes.c_size_t()
    _call(f"nvrtcGet{kind}Size", program, ctypes.byref(size))
    room = ctypes.create_string_buffer(size.value)
    _call(f"nvrtcGet{kind}", program, room)
    return room.raw


def compile_kernels(code, architecture, options=(), kind="CUBIN"):
    """Return what a module becomes for one architecture, and the log.

    Args:
        code: CUDA C++.
        architecture: as in `ARCHITECTURES`.
        options: macros and more.
        kind: `"CUBIN"` for machine code, whose log tells registers and spills, or `"PTX"`.
    """
    program = ctypes.c_void_p()
    _call("nvrtcCreateProgram", ctypes.byref(program), code.encode(), b"kernel.cu", 0, None, None)
    target = "sm" if kind == "CUBIN" else "compute"
    every = [f"--gpu-architecture={target}_{architecture}", "--std=c++17", *options]
    if kind == "CUBIN":
        every.append("--ptxas-options=--verbose")
    encoded = (ctypes.c_char_p * len(every))(*(o.encode() for o in every))
    try:
        status = _library().nvrtcCompileProgram(program, len(every), encoded)
        log = _text(program, "ProgramLog").rstrip(b"\0").decode()
        if status:
            raise CompileError(log)
        return _text(program, kind), log
    finally:
        _library().nvrtcDestroyProgram(ctypes.byref(program))
