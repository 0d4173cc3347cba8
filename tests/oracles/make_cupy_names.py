"""Writes what CuPy has and takes, for the stand-in of tests/cuda: run where CuPy is installed.

    python tests/oracles/make_cupy_names.py

CuPy is imported, but needs no GPU for this. Parameters are written as Python would read them, with
None in place of every default: "a, axis=None, out=None, *, dtype=None".
"""

import inspect
import itertools
import json
import re
from pathlib import Path

import cupy
import numpy

OUT = Path(__file__).parent / "cupy_names.json"

#: Types of numbers for which CuPy's ufuncs are compared with NumPy's, and Python's own.
KINDS = "?bBiqefd"
PYTHONS = {int: "q", float: "d"}


def written(parameters):
    """Return parameters as text: (name, kind, whether there is a default)."""
    text, kinds = [], inspect.Parameter
    before = None
    for name, kind, default in parameters:
        if before == kinds.POSITIONAL_ONLY != kind:
            text.append("/")
        if kind == kinds.KEYWORD_ONLY and before not in (kinds.VAR_POSITIONAL, kind):
            text.append("*")
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(kind, "")
        text.append(f"{stars}{name}{'=None' if default else ''}")
        before = kind
    return ", ".join([*text, "/"] if before == kinds.POSITIONAL_ONLY else text)


def embedded(line):
    """Return the parameters in the first line of a compiled function's docstring."""
    inside = re.search(r"\((.*)\)", line)[1]
    names = []
    for part in re.split(r",\s*(?![^(]*\))", inside):
        name, _, default = part.partition("=")
        if name.strip() not in ("self", ""):  # before the name may stand its type
            names.append(name.split()[-1] + ("=None" if default else ""))
    return ", ".join(names)


def of_ufunc(u):
    """Return the parameters of a ufunc; results can be named by their place, too."""
    places = [f"x{i}" for i in range(u.nin)]
    places += ["/", "out=None"] if u.nout == 1 else [f"out{i}=None" for i in range(u.nout)]
    rest = [] if u.nout == 1 else ["/", "out=None"]
    return ", ".join([*places, *rest, "*", "casting=None", "dtype=None"])


def parameters(function):
    """Return the parameters of one of CuPy's functions or methods; None for what is none."""
    if not callable(function):
        return None
    if isinstance(function, cupy.ufunc):
        return of_ufunc(function)
    try:
        given = list(inspect.signature(function).parameters.values())
    except ValueError:
        return embedded(function.__doc__.strip().splitlines()[0])
    found = [(p.name, p.kind, p.default is not p.empty) for p in given if p.name != "self"]
    return written(found)


def of_class(kind, known):
    """Return the parameters of a class and its methods; `known` says what cannot be asked."""
    methods = [n for n in dir(kind) if not n.startswith("_")]
    found = {n: parameters(getattr(kind, n)) for n in methods}
    return {"()": known if known is not None else parameters(kind), **found}


def check_types(name):
    """Fail if CuPy's ufunc gives another type than NumPy's, for any types that the latter takes.

    Were that so, the stand-in, which computes by NumPy, would have to know.
    """
    ours, theirs = getattr(cupy, name), getattr(numpy, name)
    options = [(numpy.dtype(k), False) for k in KINDS]
    options += [(numpy.dtype(k), python) for python, k in PYTHONS.items()]
    for chosen in itertools.product(options, repeat=ours.nin):
        types, weak = zip(*chosen, strict=True)
        if all(weak):
            continue
        given = [python(1) if python else numpy.ones(2, t) for t, python in chosen]
        try:
            with numpy.errstate(all="ignore"):
                results = theirs(*given)
        except TypeError:
            continue
        expected = results[0].dtype if isinstance(results, tuple) else results.dtype
        # A Python number gives way to arrays of its kind, or of a higher one.
        arrays = [t.kind for t, python in chosen if not python]
        gives_way = "f" in arrays if float in weak else arrays != ["b"] * len(arrays)
        op = ours._ops._guess_routine_from_in_types(types, weak if gives_way else None)
        assert op is not None, (name, chosen)
        assert op.error_func is None, (name, chosen)
        assert op.out_types[0] == expected, (name, chosen, op.out_types, expected)


def main():
    public = [n for n in dir(cupy) if not n.startswith("_") and hasattr(numpy, n)]
    functions = [n for n in public if callable(getattr(cupy, n))]
    for name in functions:
        if isinstance(getattr(cupy, name), cupy.ufunc) and isinstance(
            getattr(numpy, name), numpy.ufunc
        ):
            check_types(name)
    types = [n for n in functions if isinstance(getattr(cupy, n), type)]
    array = [n for n in dir(cupy.ndarray) if not n.startswith("_")]
    cuda = cupy.cuda
    names = {
        "cupy": cupy.__version__,
        "functions": {n: None if n in types else parameters(getattr(cupy, n)) for n in functions},
        "array": {n: parameters(getattr(cupy.ndarray, n)) for n in array},
        "runtime": [n for n in dir(cuda.runtime) if not n.startswith("_")],
        "cuda": [n for n in dir(cuda) if not n.startswith("_")],
        "classes": {
            "Stream": of_class(cuda.Stream, None),
            "Event": of_class(cuda.Event, None),
            "Graph": of_class(cuda.Graph, "*args, **kwargs"),
            "MemoryPool": of_class(cuda.MemoryPool, "allocator=None"),
            "Device": of_class(cuda.Device, "device=None"),
            "RawModule": of_class(
                cupy.RawModule,
                "*, code=None, path=None, options=None, backend=None, translate_cucomplex=None, "
                "enable_cooperative_groups=None, name_expressions=None, jitify=None",
            ),
        },
    }
    OUT.write_text(json.dumps(names) + "\n")


if __name__ == "__main__":
    main()
