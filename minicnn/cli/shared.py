"""What all commands share: where they print, and how errors end them."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from minicnn import config
from minicnn.errors import BackendError, ImageWarning, MinicnnError, check_choice
from minicnn.kernels import backends
from minicnn.runtime.backends import compiles

__all__ = [
    "Device", "computing_on", "console", "errors", "removed_if_empty", "step", "told",
    "training_on",
]  # fmt: skip

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

#: The option that says where a command computes.
Device = Annotated[
    str | None,
    typer.Option(
        help="Where to compute: cpu, or gpu (NVIDIA, through CuPy).",
        show_default="as MINICNN_BACKEND says, else cpu",
    ),
]


@contextlib.contextmanager
def computing_on(device: str | None) -> Iterator[None]:
    """Compute on the device that an option names, or where the settings say if it names none.

    Raises:
        BackendError: no GPU can be used; the message says why.
    """
    if device is None:
        yield
        return
    wanted = check_choice("--device", "value", device, ["cpu", "gpu"])
    found = backends()["cupy"]
    if wanted == "gpu" and not found.usable:
        raise BackendError(f"--device gpu: no GPU can be used here: {found.detail}.")
    before = config.backend()
    name = "cupy" if wanted == "gpu" else "auto" if before == "cupy" else before
    with config.use_backend(name):
        yield


@contextlib.contextmanager
def training_on(device: str | None) -> Iterator[None]:
    """Compute on a device as `computing_on` does; where Numba trains, two processes compile."""
    ahead: Any = contextlib.nullcontext
    with computing_on(device):
        if config.backend() in ("auto", "numba") and compiles():
            from minicnn.kernels.compiled.ahead import compiled_ahead as ahead
        with ahead():
            yield


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn the errors that minicnn words into one line and an exit status.

    What the reader of images decided becomes a line, too.
    """
    usual = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *more: Any
    ) -> None:
        if issubclass(category, ImageWarning):
            errors.print(f"note: {message}", style="yellow", markup=False)
        else:
            usual(message, category, filename, lineno, *more)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ImageWarning)
            warnings.showwarning = show  # type: ignore[assignment]
            yield
    except MinicnnError as error:
        errors.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    began = time.perf_counter()
    console.print(f"{text} ...", end=" " if console.is_terminal else "\n", markup=False)
    yield
    console.print(f"{'' if console.is_terminal else '  '}{time.perf_counter() - began:.1f} s")


@contextlib.contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Remove the folders that a block made for its results if it fails before there is one."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]  # innermost first
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # not empty
            for path in made:
                path.rmdir()
        raise
