"""`minicnn search`: the images of a folder that look like one image."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minicnn.cli.shared import Device, computing_on, console, step, told
from minicnn.cli.training import load_folder
from minicnn.errors import ArgumentError
from minicnn.files import replacing

if TYPE_CHECKING:
    from minicnn.applications.likeness import Ranking
    from minicnn.datasets import CellImages

__all__ = ["search"]


def search(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    model: Annotated[Path, typer.Option(help="Folder of a run or a demo.")],
    data: Annotated[Path, typer.Option(help="Folder of images to search in.")],
    by: Annotated[
        str,
        typer.Option(
            help="What likeness is made of, each with a weight if you like: shape,colour=2,stain"
        ),
    ] = "shape,colour,stain,size",
    count: Annotated[int, typer.Option(min=1, help="How many images to show.")] = 6,
    output: Annotated[
        Path, typer.Option(help="The picture; a table of all images stands beside it as .csv.")
    ] = Path("search.png"),
    device: Device = None,
) -> None:
    """Find the images of a folder that look most like one image: in shape, colour, stain, size."""
    import numpy as np

    from minicnn.applications import figures
    from minicnn.applications.likeness import describe, rank, weights_of
    from minicnn.applications.report import encode
    from minicnn.applications.runs import load_model, load_settings
    from minicnn.datasets import read_image
    from minicnn.images import read_picture

    with told(), computing_on(device):
        weights = weights_of(by)
        table_file = _table_file(output, image)
        settings = load_settings(model)
        if settings.skips and "shape" in weights:
            raise ArgumentError(
                f"the network in {model} has skips, so its code does not describe an image's "
                f"shape; search with one of --preset standard or faithful, or leave the shape out "
                f"with --by colour,stain,size."
            )
        picture = read_picture("search", image)
        sizes = [picture.pixels.shape[:2]]
        cells = load_folder(data, replace(settings, limit=None))
        value_range = cells.value_ranges.get(picture.type)
        query = read_image(image, settings.image_size, value_range)[None]  # (1,H,W,3)
        same = [path.resolve() == image.resolve() for path in cells.files]
        if any(same):  # the image itself is in the folder: it would always come first
            query = cells.take(same).images[:1]
            cells = cells.take(np.logical_not(same))
        if not len(cells):
            raise ArgumentError(f"{data} holds no image but {image} itself; nothing is compared.")
        with step("comparing"):
            network = load_model(model) if "shape" in weights else None
            folder, asked = (
                describe(images, None if network is None else encode(network, images), sides)
                for images, sides in ((cells.images, cells.sizes), (query, sizes))
            )
            ranking = rank(folder, asked, weights)
        _write_table(table_file, cells, ranking)
        shown = ranking.indices[0, :count]
        _print_table(cells, ranking, len(shown))
        titles = [
            f"{cells.class_names[cells.labels[i]]}\ndistance {distance:.2f}"
            for i, distance in zip(shown, ranking.distances[0], strict=False)
        ]
        parts_used = ", ".join(f"{name} {weight:.0%}" for name, weight in weights.items())
        drawn = figures.draw_search(
            query, cells.images[shown][None], [titles], ["query"], f"nearest by {parts_used}"
        )
        console.print(f"picture: {figures.save_figure(drawn, output)}", markup=False)
        console.print(f"all {len(cells)} images, nearest first: {table_file}", markup=False)


def _table_file(picture: Path, image: Path) -> Path:
    """Return where the table is written, beside the picture."""
    table = picture.with_suffix(".csv")
    if picture.suffix.lower() != ".png":
        raise ArgumentError(
            f"--output {picture} names the picture, which is written as PNG; give "
            f"{picture.with_suffix('.png')}, and the table stands beside it as {table.name}."
        )
    if not picture.absolute().parent.is_dir():
        raise ArgumentError(f"--output {picture}: there is no folder {picture.parent}; make it.")
    if picture.resolve() == image.resolve():
        raise ArgumentError(f"--output {picture} is the image itself, which would be replaced.")
    return table


def _print_table(cells: CellImages, ranking: Ranking, count: int) -> None:
    """Print the nearest images; their names stand last, where no length cuts them."""
    farther = {name: ranking.farther(name)[0] for name in ranking.by_part}
    console.print("rank  distance  " + "  ".join(f"{name:>6}" for name in farther) + "  image")
    for place in range(count):
        shares = "  ".join(f"{share[place]:>6.0%}" for share in farther.values())
        path = cells.files[ranking.indices[0, place]]
        line = f"{place + 1:>4}  {ranking.distances[0, place]:>8.3f}  {shares}  {path}"
        console.print(line, markup=False)
    console.print(
        f"distance: 0 is the same, 1 is as far apart as two images of the folder usually are\n"
        f"{', '.join(farther)}: so many images of the folder are farther from the query in this"
    )


def _write_table(file: Path, cells: CellImages, ranking: Ranking) -> None:
    """Write all images, nearest first, with full paths, distances and shares that are farther."""
    order = ranking.indices[0]
    columns: dict[str, Iterable[object]] = {
        "rank": range(1, len(order) + 1),
        "image": [cells.files[i].resolve() for i in order],
        "class": [cells.class_names[cells.labels[i]] for i in order],
        "distance": ranking.distances[0].round(6),
    }
    for name, distances in ranking.by_part.items():
        columns[f"{name}_distance"] = distances[0].round(6)
        columns[f"{name}_farther"] = ranking.farther(name)[0].round(6)
    with (
        replacing(file) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as opened,
    ):
        csv.writer(opened).writerows([columns, *zip(*columns.values(), strict=True)])
