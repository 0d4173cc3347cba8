"""A stand-in for CuPy on NumPy and g++, as strict at its border as CuPy is.

It mirrors CuPy 14.2: `tests/oracles/cupy_names.json` says which names exist there and what they
take; `rules.py` says where CuPy decides otherwise than NumPy. NumPy arrays are refused wherever
CuPy refuses them, nothing becomes a NumPy array unless `.get()` or `asnumpy` is called, and
reductions give arrays without axes. `RawModule` runs the text of the kernels on the CPU. New memory
is full of NaN and stands between two zones that nobody may write to; after each launch they are
looked at.
"""

import contextlib
import ctypes
import functools
import math
import operator
import sys
import types
from pathlib import Path

import numpy as np

from tests.cuda.simulator import cpu_module, rules, streams
from tests.cuda.simulator.foreseeing import (
    arrays_of,
    foreseen,
    holds_mask,
    is_view,
    without_numbers,
    write,
)
from tests.cuda.simulator.streams import Block, CUDARuntimeError, OutOfMemoryError, card

NAMES = rules.NAMES


@functools.cache
def _sanitizer():
    """Return the function that lets the address sanitizer watch memory, where it runs."""
    return getattr(ctypes.CDLL(None), "__asan_poison_memory_region", None)


def _forbid(zone):
    if _sanitizer():
        _sanitizer()(ctypes.c_void_p(zone.ctypes.data), ctypes.c_size_t(zone.size))


class CUDADriverError(RuntimeError):
    """As cupy.cuda.driver.CUDADriverError."""


class CompileException(Exception):  # noqa: N818 - CuPy's name
    """As cupy.cuda.compiler.CompileException."""


class _Pointer:
    def __init__(self, place):
        self.ptr = place


class ndarray:  # noqa: N801 - CuPy's name
    """As cupy.ndarray: an array that never becomes NumPy's unasked."""

    __slots__ = ("__weakref__", "_array", "_block")
    __hash__ = None

    def __init__(self, array, block=None):
        self._array, self._block = array, block

    @property
    def data(self):
        return _Pointer(self._array.ctypes.data)

    @property
    def device(self):
        return Device(0)

    def get(self, stream=None, order="C", out=None, blocking=True):
        if not (blocking and stream is None and out is None):
            raise TypeError("the stand-in copies to new memory, and the host waits for it")
        return self._read()

    def _read(self):
        card.answer()
        if self._array.size:
            streams.get_current_stream().forbid_copies("D2H transfers")
            streams.get_current_stream().synchronize()
        return self._array.copy()

    def __array__(self, *_, **__):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __getattr__(self, name):
        if name not in NAMES["array"]:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        found = getattr(self._array, name)
        if callable(found):
            return functools.partial(_method, name, found, self)
        return rules.Flags(found) if name == "flags" else _wrapped(found, self._block)

    def __getitem__(self, key):
        return _call(operator.getitem, self, key)

    def __setitem__(self, key, value):
        _change(operator.setitem, self, key, value)

    def __len__(self):
        return len(self._array)

    def __float__(self):
        return float(self._read())

    def __int__(self):
        return int(self._read())

    def __bool__(self):
        return bool(self._read())

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return repr(self._read())

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or ufunc.__name__ not in NAMES["functions"]:
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        return getattr(sys.modules["cupy"], ufunc.__name__)(*inputs, **kwargs)

    def __array_function__(self, function, kinds, args, kwargs):
        if function.__module__ != "numpy" or function.__name__ not in NAMES["functions"]:
            return NotImplemented
        return getattr(sys.modules["cupy"], function.__name__)(*args, **kwargs)

    @property
    def __cuda_array_interface__(self):
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.data.ptr, False)}


def _unwrapped(value):
    """Return what NumPy is to compute with; NumPy's own arrays are refused."""
    if isinstance(value, ndarray):
        streams.touched(value._block)
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, tuple | list):
        return type(value)(map(_unwrapped, value))
    if isinstance(value, dict):
        return {k: _unwrapped(v) for k, v in value.items()}
    return value


def _wrapped(value, block=None, in_order=False):
    """Return NumPy's results as arrays of the card."""
    if isinstance(value, np.ndarray):
        kept = block is not None and np.may_share_memory(value, block.data)
        return ndarray(value, block) if kept else _copied(value, in_order)
    if isinstance(value, np.generic):
        return _copied(np.asarray(value))  # CuPy's reductions stay on the card
    if isinstance(value, tuple | list) and any(isinstance(v, np.ndarray) for v in value):
        return type(value)(_wrapped(v, block, in_order) for v in value)
    return value


def _copied(array, in_order=False):
    """Return a copy in memory of the card, in rows or with the axes in the same order."""
    new = empty(array.shape, array.dtype)
    axes = list(range(array.ndim))
    if in_order:
        axes.sort(key=lambda a: -array.strides[a])
    turned = new._array.reshape([array.shape[a] for a in axes])
    laid = turned.transpose(np.argsort(axes)) if array.ndim else turned
    if streams.at_once():
        laid[...] = array
    return ndarray(laid, new._block)


def _sent(array):
    """Return a copy of the host's numbers, which CuPy lays into pinned memory before it returns."""
    now = streams.get_current_stream()
    if array.ndim:  # a single number is the argument of a kernel
        now.forbid_copies("H2D transfers")
    flags = array.flags
    new, numbers = _copied(array, flags.f_contiguous and not flags.c_contiguous), array.copy()
    raw = new._array
    now.put(lambda: write(raw, numbers, None))
    return new


#: What needs the numbers before it can say what it returns, so that CuPy's host waits for them.
WAITING = {
    *("item", "tolist", "nonzero", "argwhere", "flatnonzero", "unique", "compress", "extract"),
    *("bincount", "repeat", "histogram", "array_equal", "allclose"),
}
#: What changes its first argument and returns nothing.
CHANGING = {"fill", "sort", "partition", "put", "copyto", "place", "putmask", "fill_diagonal"}
#: What CuPy leaves to cuBLAS, which it does not let into a graph.
PRODUCTS = {"matmul", "dot", "vdot", "inner", "outer", "tensordot", "einsum", "kron"}


def _method(name, function, array, *args, **kwargs):
    """Call a method of NumPy's for an array of the card."""
    rules.check_method(name, args, kwargs)
    if name == "take":
        kwargs["mode"] = "wrap"
    return _call(function, *args, block=array._block, **kwargs)


def _function(name, *args, **kwargs):
    """Call a function of NumPy's by CuPy's name."""
    rules.check_function(name, ndarray, args, kwargs)
    if name == "take":
        kwargs["mode"] = "wrap"
    return _call(getattr(np, name), *args, **kwargs)


def _call(function, *args, block=None, **kwargs):
    out, name = kwargs.get("out"), getattr(function, "__name__", "")
    block = next((a._block for a in args if isinstance(a, ndarray)), block)
    now = streams.get_current_stream()
    given, named = _unwrapped(args), _unwrapped(kwargs)
    if function is operator.getitem:
        function = rules.wrapping_getitem
        if rules.holds_list(given[1]):
            now.forbid_copies("H2D transfers")
    streams.touched(block)
    if name in rules.JOINING and rules.joins_by_pointers(given):
        now.forbid_copies("H2D transfers")
    in_order = rules.keeps_order(name)
    if rules.reduces_columns(name, function, given):
        in_order, function = True, rules.in_columns(function)
    if name in PRODUCTS and now.is_capturing():
        raise NotImplementedError(
            "calling cuBLAS API during stream capture is currently unsupported"
        )
    masked = name == "getitem" and holds_mask(given[1])
    waits = name in WAITING or masked or (name == "where" and len(args) == 1)
    if waits:
        now.forbid_copies("D2H transfers")
        now.synchronize()
    if streams.at_once():
        result = function(*given, **named)
        return out if out is not None else _wrapped(result, block, in_order)
    if out is not None or name in CHANGING:
        now.put(lambda: function(*given, **named))
        return out
    if waits:
        result = function(*given, **named)
        function = lambda *_, **__: result  # noqa: E731
    result = foreseen(function, given, named)
    if is_view(result, block):
        return _wrapped(without_numbers(function, given, named), block)
    results = _wrapped(result, None, in_order)
    for new, i in arrays_of(results):
        now.put(lambda new=new._array, i=i: write(new, function(*given, **named), i))
    return results


def _change(function, array, *args):
    """Change an array in its stream's turn."""
    given = _unwrapped(args)
    streams.touched(array._block)
    if function is operator.setitem:
        rules.check_assigned(given[0], args[1], ndarray)
        function, now = rules.wrapping_setitem, streams.get_current_stream()
        if rules.holds_list(given[0]):
            now.forbid_copies("H2D transfers")
        if holds_mask(given[0]):  # how many are to be changed is read before
            now.forbid_copies("D2H transfers")
            now.synchronize()
    else:
        rules.check_operand(args[0], ndarray)
    raw = array._array  # holds the numbers, and not the memory, which others may get
    streams.get_current_stream().put(lambda: function(raw, *given))


def _dunder(compute, turned=False):
    """Return the method behind an operator; `turned` for that of the right operand."""

    def method(a, b):
        if not isinstance(b, ndarray) and getattr(b, "__array_ufunc__", method) is None:
            return NotImplemented  # it has a method of its own
        if not rules.is_compared_with_nothing(compute, b):
            rules.check_operand(b, ndarray)
        return _call(compute, b, a) if turned else _call(compute, a, b)

    return method


def _add_operators():
    binary = "add sub mul truediv floordiv mod pow matmul and_ or_ xor lt le gt ge eq ne"
    for name in binary.split():
        compute, plain = getattr(operator, name), name.rstrip("_")
        setattr(ndarray, f"__{plain}__", _dunder(compute))
        if name not in ("lt", "le", "gt", "ge", "eq", "ne"):
            setattr(ndarray, f"__r{plain}__", _dunder(compute, turned=True))
    for name in binary.split()[:-6]:
        compute = getattr(operator, f"i{name.rstrip('_')}")

        def in_place(a, b, f=compute):
            _change(f, a, b)
            return a

        setattr(ndarray, f"__i{name.rstrip('_')}__", in_place)
    for name in ("neg", "pos", "abs", "invert"):
        compute = getattr(operator, name)
        setattr(ndarray, f"__{name}__", lambda a, f=compute: _call(f, a))


_add_operators()


def empty(shape, dtype=float, order="C"):
    """As cupy.empty; the numbers are NaN, and integers -1."""
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(map(operator.index, shape))
    kind = np.dtype(dtype)
    block = Block(math.prod(shape) * kind.itemsize, _forbid)
    streams.touched(block)
    return ndarray(block.data.view(kind).reshape(shape, order=order), block)


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """As cupy.asarray: the way to the card."""
    if isinstance(a, ndarray):
        fits = (dtype is None or a.dtype == dtype) and order in (None, "K", "A")
        if fits and not copy:
            return a
        return _call(lambda x: np.array(x, dtype, order=order or "K"), a)
    if isinstance(a, tuple | list) and any(isinstance(part, ndarray) for part in a):
        return asarray(_function("stack", a), dtype, order)
    return _sent(np.asarray(a, dtype, order=order))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """As cupy.asnumpy: the way back."""
    array = a.get() if isinstance(a, ndarray) else np.asarray(a, order=order)
    if out is not None:
        out[...] = array
        return out
    return array


def get_array_module(*args):
    """As cupy.get_array_module."""
    return sys.modules["cupy"] if any(isinstance(a, ndarray) for a in args) else np


class RawModule:
    """As cupy.RawModule, with kernels that run on the CPU."""

    def __init__(self, *, code=None, options=(), backend="nvrtc"):
        rules.check_types(code=(code, str), options=(options, tuple), backend=(backend, str))
        self.code, self.options, self._module = code, options, None

    def compile(self, log_stream=None):
        try:
            self._module = cpu_module.CpuModule(self.code, self.options)
        except cpu_module.CompileError as error:
            raise CompileException(_as_nvrtc(str(error))) from None

    def get_function(self, name):
        if self._module is None:
            self.compile()
        function = self._module.get_function(name)

        def launch(grid, block, args, *, shared_mem=0, stream=None):
            sizes, given = (_positive(grid), _positive(block)), [_argument(a) for a in args]
            rules.check_launch(*sizes, CUDADriverError)

            def work():
                function(*sizes, given)
                if any(b.damaged() for b in streams.blocks):
                    raise cpu_module.KernelError(f"{name} wrote beyond the end of an array")

            (streams.get_current_stream() if stream is None else stream).put(work)

        return launch


def _positive(sizes):
    """CuPy starts one block where somebody asks for none."""
    if not isinstance(sizes, tuple):
        raise TypeError("grid and block must be tuples")
    return tuple(max(1, operator.index(s)) for s in sizes)


def _argument(value):
    if isinstance(value, ndarray):
        streams.touched(value._block)
        return cpu_module.OnTheCard(value._array)
    if isinstance(value, np.ndarray) and value.size != 1:
        raise TypeError(
            f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel parameter. "
            f"Only numpy.ndarrays of size one can be passed by value."
        )
    if isinstance(value, np.ndarray):
        return value.reshape(())
    if value is not None and not isinstance(value, np.void):
        rules.check_operand(value, ndarray)
    return value


def _as_nvrtc(log):
    """Return g++'s errors as NVRTC words them: file(line): error: text."""
    lines = []
    for line in log.splitlines():
        parts = line.split(":", 4)
        if len(parts) == 5 and "error" in parts[3]:
            lines.append(f"{Path(parts[0]).name}({parts[1]}): error:{parts[4]}")
    return "\n".join(lines or [log])


class Device:
    """As cupy.cuda.Device."""

    def __init__(self, device=None):
        self.id = 0 if device is None else device

    @property
    def attributes(self):
        found = {
            "MaxSharedMemoryPerBlock": card.shared_bytes,
            "MultiProcessorCount": card.multiprocessors,
            "L2CacheSize": card.cache_bytes,
        }
        assert {f"cudaDevAttr{name}" for name in found} <= set(NAMES["runtime"])
        return found

    @property
    def compute_capability(self):
        return card.capability

    @property
    def mem_info(self):
        return card.total_bytes - card.used_bytes, card.total_bytes

    def synchronize(self):
        card.answer()
        streams.finish_all()


def _module(name, known, **members):
    """Return a module that has some members, each of which CuPy must have too."""
    strange = set(members) - set(known) - {"compiler", "memory"}
    assert not strange, f"CuPy has no {strange} in {name}"
    found = types.ModuleType(name)
    for key, value in members.items():
        setattr(found, key, value)
    return found


def make():
    """Return the stand-in as a module named cupy."""
    runtime = _module(
        "cupy.cuda.runtime", NAMES["runtime"], CUDARuntimeError=CUDARuntimeError,
        getDevice=lambda: 0, getDeviceCount=lambda: 1, driverGetVersion=lambda: 12090,
        getDeviceProperties=lambda device: {"name": card.name.encode()},
    )  # fmt: skip
    cuda = _module(
        "cupy.cuda", NAMES["cuda"], runtime=runtime, Device=Device, is_available=lambda: True,
        Stream=streams.Stream, Event=streams.Event, Graph=streams.Graph,
        MemoryPool=streams.MemoryPool, using_allocator=streams.using_allocator,
        get_current_stream=streams.get_current_stream,
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        driver=types.SimpleNamespace(CUDADriverError=CUDADriverError),
        compiler=types.SimpleNamespace(CompileException=CompileException),
    )  # fmt: skip
    module = types.ModuleType("cupy")

    def lookup(name):
        if name not in NAMES["functions"]:
            raise AttributeError(f"module 'cupy' has no attribute {name!r}")
        found = getattr(np, name)
        return found if isinstance(found, type) else functools.partial(_function, name)

    own = {
        "ndarray": ndarray, "empty": empty, "asarray": asarray, "asnumpy": asnumpy,
        "array": functools.partial(asarray, copy=True), "RawModule": RawModule, "cuda": cuda,
        "get_array_module": get_array_module,
        "get_default_memory_pool": lambda: streams.default_pool,
        "ascontiguousarray": lambda a, dtype=None: _contiguous(a, dtype),
        "__version__": f"{NAMES['cupy']} (stand-in)", "__getattr__": lookup,
    }  # fmt: skip
    for key, value in own.items():
        setattr(module, key, value)
    return module


def _contiguous(a, dtype=None):
    if not isinstance(a, ndarray):
        return asarray(a, dtype, order="C")
    if a._array.flags.c_contiguous and (dtype is None or a.dtype == dtype):
        return a if a.ndim else a.reshape(1)
    return _call(lambda x: np.array(x, dtype, order="C", ndmin=1), a)


@contextlib.contextmanager
def installed():
    """Let `import cupy` find the stand-in for the length of a `with` block."""
    before = sys.modules.get("cupy")
    sys.modules["cupy"] = make()
    _forget()
    try:
        yield sys.modules["cupy"]
    finally:
        del sys.modules["cupy"]
        if before is not None:
            sys.modules["cupy"] = before
        _forget()


def _forget():
    """Let the CUDA backend look for CuPy, cards and compiled kernels anew."""
    from minicnn import kernels
    from minicnn.kernels.cuda import device, pooling, transfer
    from minicnn.runtime import backends

    caches = (device.cupy, device._card, device._module, device._function, pooling._tables)
    for cache in (*caches, transfer._copying, backends.availability, kernels._whole):
        cache.cache_clear()
