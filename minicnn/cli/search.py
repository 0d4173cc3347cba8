"""`minicnn search`: the images of a folder that look like one image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from minicnn.cli.shared import Device, computing_on, console, step, told
from minicnn.cli.training import load_folder
from minicnn.errors import ArgumentError

__all__ = ["search"]


def search(
    image: Annotated[Path, typer.Argument(help="A PNG or JPEG file.")],
    model: Annotated[Path, typer.Option(help="Folder of a run or a demo.")],
    data: Annotated[Path, typer.Option(help="Folder of images to search in.")],
    count: Annotated[int, typer.Option(min=1, help="How many images to show.")] = 6,
    output: Annotated[Path, typer.Option(help="The picture.")] = Path("search.png"),
    device: Device = None,
) -> None:
    """Find the images of a folder that look most like one image, by their codes."""
    from minicnn.applications import figures
    from minicnn.applications.report import encode, search_rows
    from minicnn.applications.runs import load_model, load_settings
    from minicnn.datasets import read_image

    with told(), computing_on(device):
        settings = load_settings(model)
        if settings.skips:
            raise ArgumentError(
                f"the network in {model} has skips, so its code does not describe the whole "
                f"image; search with one of --preset standard or faithful."
            )
        query = read_image(image, settings.image_size)[None]  # (1,H,W,3)
        cells = load_folder(data, replace(settings, limit=None))
        same = [i for i, path in enumerate(cells.files) if path.resolve() == image.resolve()]
        if same:  # the image itself is in the folder: it would always come first
            cells = cells.take([i for i in range(len(cells)) if i not in same])
        network = load_model(model)
        with step("comparing codes"):
            codes, asked = encode(network, cells.images), encode(network, query)
            indices, lines, distances = search_rows(codes, asked, min(count, len(cells)))
        table = Table("rank", "image", "class")
        table.add_column("distance", justify="right")
        titles = []
        for rank, (i, distance) in enumerate(zip(indices[0], distances[0], strict=True), 1):
            kind = cells.class_names[cells.labels[i]]
            table.add_row(str(rank), str(cells.files[i].name), kind, f"{distance:.3f}")
            titles.append(f"{kind}\n{lines[0][rank - 1]}")
        console.print(table)
        picture = figures.draw_search(query, cells.images[indices], [titles], ["query"])
        console.print(f"picture: {figures.save_figure(picture, output)}", markup=False)
