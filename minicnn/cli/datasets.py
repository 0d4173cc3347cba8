"""`minicnn datasets`: what data sets there are, and fetching them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from minicnn.cli.shared import console, told

__all__ = ["datasets"]

datasets = typer.Typer(name="datasets", help="List the data sets, or download one.")


@datasets.callback(invoke_without_command=True)
def list_datasets(context: typer.Context) -> None:
    """List the data sets: what they are, where from, licence, size, and where they lie here."""
    if context.invoked_subcommand is not None:
        return
    from minicnn.datasets import DATASETS, cache_folder, find_folder

    table = Table("name", "what is known", show_lines=True)
    for name, entry in DATASETS.items():
        size = "" if entry.size is None else f"{entry.size / 1e6:,.0f} MB"
        checksum = "no SHA-256 is published" if entry.sha256 is None else f"SHA-256 {entry.sha256}"
        here = find_folder(name)
        facts = {
            "": entry.title,
            "from": entry.address or f"{entry.home} (no direct download)",
            "licence": entry.licence,
            "size": ", ".join(filter(None, [size, entry.address and checksum])),
            "here": "no" if here is None else str(here),
            "stand-in": f"minicnn.datasets.{entry.stand_in}",
        }
        lines = (": ".join(filter(None, fact)) for fact in facts.items() if fact[1])
        table.add_row(name, "\n".join(lines))
    table.columns[1].overflow = "fold"
    console.print(table)
    console.print(
        f"minicnn datasets download NAME fetches into {cache_folder()}/; MINICNN_DATA names a "
        f"folder of your own. A stand-in is a function of minicnn.datasets that needs no data.",
        markup=False,
    )


@datasets.command()
def download(name: Annotated[str, typer.Argument(help="A name of the list.")]) -> None:
    """Fetch a data set into the cache, whole and checked, or not at all."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from minicnn.datasets import DATASETS
    from minicnn.datasets import download as fetch

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with told():
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(f"fetching {name}", total=None)
            folder = fetch(
                name,
                progress=lambda done, total: progress.update(
                    task, completed=done, total=total or None
                ),
            )
        if DATASETS[name].sha256 is None:
            console.print("no checksum is published; the archive's own checksums were right")
        console.print(f"{name}: {folder}", markup=False)
