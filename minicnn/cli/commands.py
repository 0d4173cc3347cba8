"""The `minicnn` command: demo, train, denoise, search, datasets, explain, info."""

from __future__ import annotations

import os
import platform
import sys

import typer
from rich.markup import escape
from rich.table import Table

import minicnn
from minicnn.cli.datasets import datasets
from minicnn.cli.demo import demo
from minicnn.cli.denoise import denoise
from minicnn.cli.explain import explain, explore, slides
from minicnn.cli.search import search
from minicnn.cli.shared import console, errors
from minicnn.cli.training import train

__all__ = ["app", "main"]

app = typer.Typer(
    help="Convolution from the formula to a trained network.",
    epilog="New here? [bold]minicnn explore[/bold] opens a page to try convolutions out, "
    "[bold]minicnn explain[/bold] shows the sums of your own numbers, and "
    "[bold]minicnn demo[/bold] trains a network in a minute.",
    rich_markup_mode="rich",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(datasets)
for command in (demo, train, denoise, search, explain, explore, slides):
    app.command()(command)


@app.command()
def info() -> None:
    """Tell the version, the backends and why one is unavailable, threads and BLAS."""
    import numpy as np
    from threadpoolctl import threadpool_info

    table = Table("", "", show_header=False)
    table.add_row("minicnn", minicnn.__version__)
    table.add_row("Python", f"{platform.python_version()} on {platform.platform()}")
    table.add_row("NumPy", np.__version__)
    for name, found in minicnn.backends().items():
        state = "usable" if found.usable else "not usable"
        table.add_row(f"backend {name}", escape(f"{state}: {found.detail}"))
    table.add_row("chosen backend", minicnn.config.backend())
    table.add_row("new arrays live on", minicnn.config.device())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    table.add_row("cores", str(cores))
    if minicnn.backends()["numba"].usable:
        import numba

        table.add_row("Numba threads", str(numba.get_num_threads()))
    np.ones((2, 3)) @ np.ones((3, 2))  # loads BLAS, so that it can be asked
    for pool in threadpool_info():
        if pool["user_api"] == "blas":
            kind = f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads"
            table.add_row("BLAS", f"{kind}, for {pool.get('architecture', 'an unknown')} cores")
    if coretype := os.environ.get("OPENBLAS_CORETYPE"):
        table.add_row("OPENBLAS_CORETYPE", f"{coretype} (set: BLAS may be slower than it could)")
    console.print(table)


def main() -> None:
    """Run the command."""
    try:
        app()
    except KeyboardInterrupt:
        errors.print("\ninterrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
