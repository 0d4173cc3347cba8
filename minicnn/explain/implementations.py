"""The same function in all backends side by side, from the source itself."""

from __future__ import annotations

import ast
import html
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from minicnn.errors import check_choice
from minicnn.explain.readings.colours import css_variables
from minicnn.kernels import MAPS, MODULES

__all__ = ["Function", "Implementation", "Implementations", "implementations"]

#: What each backend is.
BACKENDS = {
    "loops": "the definition, as plain loops",
    "numpy": "strided windows and matrix products",
    "numba": "compiled by Numba for this processor",
    "cupy": "CUDA, one thread for each number of the result",
}

#: The steps of a convolution in some backends: each a file, a function, and what it is.
STEPS = {
    "numba": (
        (".plain", "conv2d", "the same loops, compiled by Numba"),
        (".microkernel", "micro_kernel", "a tile that stays in registers: the micro-kernel"),
    ),
    "cupy": ((".plain", "", BACKENDS["cupy"]),),
}

#: For operations that are no kernel themselves: their kernel, and how they come to be it.
OPERATIONS = {
    "cross_correlate2d": (
        "conv2d",
        "cross_correlate2d is conv2d of one image with one channel and one filter.",
    ),
    "convolve2d": (
        "conv2d",
        "convolve2d is conv2d with the kernel turned by 180 degrees first: kernel[::-1, ::-1].",
    ),
    "conv2d_transpose": (
        "conv2d_input_gradient",
        "The transposed convolution is the input gradient of the convolution that it reverses: "
        "conv2d_transpose(x, kernel) computes conv2d_input_gradient(x, kernel, geometry).",
    ),
    "upsample2d": ("resize2d", "upsample2d is resize2d to a whole multiple of the size."),
}

#: Helpers longer than this are named, not shown.
SHORT = 40


@dataclass(frozen=True)
class Function:
    """A function as it stands in its file."""

    name: str
    place: str
    source: str


@dataclass(frozen=True)
class Implementation:
    """A map in one backend.

    Args:
        backend: its name.
        about: what the backend is, or why its source cannot be shown here.
        functions: the function, and the short ones of its file that it calls.
        others: longer functions and those of other files of the project that these call.
    """

    backend: str
    about: str
    functions: tuple[Function, ...]
    others: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"# {self.backend}: {self.about}"]
        parts += [f"# {f.place}\n{f.source}" for f in self.functions]
        if self.others:
            names = textwrap.fill(
                ", ".join(self.others), 94, initial_indent="#   ", subsequent_indent="#   "
            )
            parts.append(f"# and from elsewhere:\n{names}")
        return "\n\n".join(parts)


@dataclass(frozen=True, repr=False)
class Implementations:
    """A map in all backends; print it, or let a notebook show it.

    Args:
        name: what was asked for.
        note: how it comes to be the kernel that is shown; empty if it is the kernel.
        backends: the implementations.
    """

    name: str
    note: str
    backends: tuple[Implementation, ...]

    def __str__(self) -> str:
        rule = "\n\n" + "#" * 98 + "\n\n"
        parts = [*([f"# {self.note}"] if self.note else []), *map(str, self.backends)]
        return rule.join(parts)

    def __repr__(self) -> str:
        names = ", ".join(found.backend for found in self.backends)
        return f"<Implementations of {self.name} in {names}; print(...) shows their source>"

    def _repr_html_(self) -> str:
        """Return the columns as a part of a page, in the colours of what lies around."""
        columns = "".join(map(_column, self.backends))
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return (
            f'<style>{_STYLE}</style><div class="implementations">{note}'
            f'<div class="columns">{columns}</div></div>'
        )

    def html(self) -> str:
        """Return a page of its own."""
        name = html.escape(self.name)
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{name} in all backends</title><style>{css_variables()}"
            f"body {{ margin: 1rem; background: var(--paper); color: var(--text); "
            f"font-family: system-ui, sans-serif; }}</style></head>"
            f"<body><main><h1>{name} in all backends</h1>{self._repr_html_()}</main>"
            f"</body></html>\n"
        )


_STYLE = """
.implementations { overflow-wrap: anywhere; }
.implementations .columns { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); }
.implementations section { min-width: 0; border: 1px solid; border-radius: 6px; padding: .75rem; }
.implementations h2 { margin: 0 0 .5rem; font-size: 1.05rem; }
.implementations pre { margin: .25rem 0 1rem; overflow-x: auto; font-size: .8rem;
  line-height: 1.45; color: inherit; background: none; }
.implementations .place { margin: 0; font-size: .8rem; }
"""


def _column(part: Implementation) -> str:
    functions = "".join(
        f'<p class="place">{html.escape(f.place)}</p><pre tabindex="0" role="region" '
        f'aria-label="{html.escape(f"{f.name}, {part.backend}")}"><code>{html.escape(f.source)}'
        f"</code></pre>"
        for f in part.functions
    )
    others = f"<p>And from elsewhere: {html.escape(', '.join(part.others))}.</p>"
    title = f"{html.escape(part.backend)}: {html.escape(part.about)}"
    return f"<section><h2>{title}</h2>{functions}{others if part.others else ''}</section>"


def implementations(op: str | Callable[..., Any]) -> Implementations:
    """Return the source of an operation in every backend, side by side.

    Args:
        op: a map of `minicnn.kernels.MAPS`, or an operation that is one of them: `"convolve2d"`,
            `"cross_correlate2d"`, `"conv2d_transpose"`, `"upsample2d"`; or such a function.

    Raises:
        ArgumentError: there is no such map.

    >>> found = implementations("conv2d_transpose")
    >>> [part.backend for part in found.backends][:2]
    ['loops', 'numpy']
    >>> print(found.backends[0].functions[0].source.splitlines()[0])
    def conv2d_input_gradient(dy: Array, kernel: Array, g: Geometry) -> Array:
    """
    name = op if isinstance(op, str) else getattr(op, "__name__", repr(op))
    name = check_choice("implementations", "op", name, [*MAPS, *OPERATIONS])
    kernel, note = OPERATIONS.get(name, (name, ""))
    return Implementations(name, note, tuple(s for b in MODULES for s in _steps(b, kernel)))


def _steps(backend: str, kernel: str) -> Iterator[Implementation]:
    """Yield a map in one backend; of a convolution, the steps that lead to its fast way."""
    steps = STEPS.get(backend, ()) if kernel.startswith("conv2d") else ()
    for file, name, about in steps or (("", "", BACKENDS[backend]),):
        try:
            function = getattr(importlib.import_module(MODULES[backend] + file), name or kernel)
        except ImportError as error:
            yield Implementation(backend, f"cannot be shown here: {error}", (), ())
        else:
            if name != "conv2d" or name == kernel:  # the gradients have no plain loops there
                yield _implementation(backend, about, _python(function))


def _implementation(backend: str, about: str, function: Any) -> Implementation:
    shown = [function]
    others: dict[str, None] = {}
    for caller in shown:  # grows while it runs: helpers have helpers
        for helper in _called(caller):
            here = helper.__module__ == function.__module__
            if here and len(inspect.getsourcelines(helper)[0]) <= SHORT:
                shown += [helper] if helper not in shown else []
            elif helper is not function:
                others[f"{helper.__name__} ({_file(helper)})"] = None
    functions = tuple(
        Function(f.__name__, f"{_file(f)}, line {_line(f)}", inspect.getsource(f).rstrip())
        for f in shown
    )
    if backend == "cupy":
        functions = (_cuda_text(function.__name__), *functions)
    return Implementation(backend, about, functions, tuple(others))


def _cuda_text(kernel: str) -> Function:
    """Return the plain CUDA kernel of a map, with the comment above it."""
    head = re.compile(rf'extern "C" __global__ void {kernel}\(')
    for file in sorted(Path(__file__).parents[1].glob("kernels/cuda/*.cu")):
        lines = file.read_text(encoding="utf-8").splitlines()
        for first, text in enumerate(lines):
            if head.match(text):
                last = lines.index("}", first)
                while lines[first - 1].startswith("//"):
                    first -= 1
                source = "\n".join(lines[first : last + 1])
                return Function(
                    kernel, f"minicnn/kernels/cuda/{file.name}, line {first + 1}", source
                )
    raise AssertionError(f"no CUDA text of {kernel}")


def _python(function: Any) -> Any:
    """Return the Python function of one that Numba compiled, or the function itself."""
    return getattr(function, "py_func", function)


def _called(function: Any) -> Iterator[Any]:
    """Yield the functions of the kernels that a function uses, in the order of its lines."""
    names = vars(sys.modules[function.__module__])
    used = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    places = [node for node in used if isinstance(node, ast.Name | ast.Attribute)]
    for node in sorted(places, key=lambda node: (node.lineno, node.col_offset)):
        found = None
        if isinstance(node, ast.Name):
            found = names.get(node.id)
        elif isinstance(node.value, ast.Name) and _is_module(names.get(node.value.id)):
            found = getattr(names[node.value.id], node.attr, None)
        # Behind Numba's and functools' wrappers stands the function of the file.
        found = inspect.unwrap(_python(found)) if callable(found) else None
        if inspect.isfunction(found) and found.__module__.startswith("minicnn.kernels"):
            yield found


def _is_module(owner: Any) -> bool:
    return isinstance(owner, ModuleType) and owner.__name__.startswith("minicnn")


def _file(function: Any) -> str:
    """Return the file of a function as it is found in the project."""
    module = function.__module__.split(".")
    path = Path(inspect.getfile(function))
    return "/".join([*module[:-1], path.name] if path.stem == module[-1] else [*module, path.name])


def _line(function: Any) -> int:
    return inspect.getsourcelines(function)[1]
