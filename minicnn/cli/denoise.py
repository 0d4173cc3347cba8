"""`minicnn denoise`: noise taken off images by a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from minicnn.cli.shared import Device, computing_on, console, errors, told
from minicnn.errors import DataError

__all__ = ["denoise"]


def denoise(
    images: Annotated[list[Path], typer.Argument(help="PNG or JPEG files.")],
    model: Annotated[Path, typer.Option(help="Folder of a run or a demo.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("denoised"),
    noise: Annotated[
        float, typer.Option(min=0, help="Put noise of this strength on the images first.")
    ] = 0.0,
    device: Device = None,
) -> None:
    """Denoise images with a trained network; each keeps its size."""
    from minicnn.applications import figures
    from minicnn.applications.denoising import add_noise, psnr
    from minicnn.applications.runs import load_model, load_settings
    from minicnn.datasets import read_image, write_image
    from minicnn.files import make_folder

    with told(), computing_on(device):
        settings = load_settings(model)
        if settings.noise == 0:
            errors.print(
                f"note: the network in {model} was trained without noise and is no good "
                f"denoiser; train one with --preset denoiser.",
                style="yellow",
            )
        folder = make_folder(output)
        table = Table()
        for column in ("image", "size"):
            table.add_column(column, overflow="fold")
        if noise:
            for column in ("noisy, dB", "denoised, dB"):
                table.add_column(column, justify="right")
        failed = 0
        for path in images:
            try:
                clean = read_image(path)[None]  # (1,H,W,3)
            except DataError as error:
                errors.print(f"skipped: {error}", style="yellow", markup=False)
                failed += 1
                continue
            height, width = clean.shape[1:3]
            noisy = add_noise(clean, noise) if noise else clean
            network = load_model(model, (height, width))
            result = network.predict(noisy, verbose=0)
            write_image(folder / f"{path.stem}-denoised.png", result[0])
            picture = figures.draw_denoising(clean if noise else None, noisy, result)
            figures.save_figure(picture, folder / f"{path.stem}-before-after.png")
            row = [path.name, f"{height} x {width}"]
            if noise:
                row += [f"{psnr(clean, x)[0]:.1f}" for x in (noisy, result)]
            table.add_row(*row)
        if failed == len(images):
            raise DataError(f"none of the {failed} images could be read.")
        console.print(table)
        console.print(
            f"written to {folder}/: NAME-denoised.png and, to compare, NAME-before-after.png",
            markup=False,
        )
        if failed:
            raise typer.Exit(1)
