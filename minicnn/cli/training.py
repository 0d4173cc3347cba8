"""`minicnn train`, and what other commands share with it: training told, reports, folders read."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from minicnn.cli.shared import Device, computing_on, console, errors, step, told
from minicnn.errors import ArgumentError

if TYPE_CHECKING:
    from minicnn.applications.runs import Settings, TrainingRun

__all__ = ["code_text", "fit", "load_folder", "report", "train"]

RUN_FOLDER = Path("runs/cells")


def fit(run: TrainingRun, folder: Path) -> dict[str, Any]:
    """Train; on Ctrl-C say what is kept and how to go on."""
    try:
        return run.fit()
    except KeyboardInterrupt:
        done = run.epochs_done
        kept = f"epoch {done} of {run.settings.epochs} is kept" if done else "no epoch was finished"
        errors.print(
            f"\ninterrupted: {kept} in {folder}; continue with\n"
            f"  minicnn train --output {folder} --resume",
            markup=False,
        )
        raise typer.Exit(130) from None


def report(
    run: TrainingRun, history: dict[str, Any], began: float, denoiser: TrainingRun | None = None
) -> None:
    """Write the pictures, print the figures and the list of files."""
    from minicnn.applications.report import write_report
    from minicnn.applications.runs import SETTINGS, WEIGHTS

    with step("drawing the pictures"):
        numbers, files = write_report(
            run.model,
            run.folder,
            run.train_images,
            run.test_images,
            history,
            has_code=not run.settings.skips,
            denoiser=None if denoiser is None else denoiser.model,
        )
    looked = f"{numbers['tested']} of the {len(run.test_images)}"
    if numbers["tested"] == len(run.test_images):
        looked = f"the {len(run.test_images)}"
    table = Table(
        title=f"PSNR in dB on {looked} test images (higher is better)", title_justify="left"
    )
    for column in ("", "noisy", "best Gaussian filter", "median filter", "network"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("reconstruction", "", "", "", f"{numbers['reconstruction']:.1f}")
    for d in numbers["denoising"]:
        filters = (f"{d.gaussian:.1f} (sigma {d.gaussian_sigma:.1f})", f"{d.median:.1f}")
        table.add_row(f"denoising {d.sigma:.1f}", f"{d.noisy:.1f}", *filters, f"{d.network:.1f}")
    console.print(table)
    console.print(f"written to {run.folder}/ in {time.perf_counter() - began:.0f} s:")
    more = [] if denoiser is None else [f"{denoiser.folder.name}/{WEIGHTS}"]
    for name in [*(f.name for f in files), WEIGHTS, SETTINGS, *more]:
        console.print(f"  {name}", markup=False)


def code_text(run: TrainingRun) -> str:
    """Return how many numbers a run's code has, for a sentence."""
    height, width, channels = run.model.get_layer("code").output.shape[1:]
    pixels = run.train_images[0].size
    return (
        f"a code of {height} x {width} x {channels} = {height * width * channels} numbers "
        f"(of {pixels})"
    )


def train(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of class folders of PNG or JPEG images; only --resume knows it."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the run.")] = RUN_FOLDER,
    preset: Annotated[
        str, typer.Option(help="standard (small and fast), faithful (finer), denoiser (skips).")
    ] = "standard",
    image_size: Annotated[
        int | None, typer.Option(min=8, help="Side of the square images in pixels.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the images.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images in a step.")] = None,
    noise: Annotated[
        float | None,
        typer.Option(min=0, help="Largest standard deviation of noise in training, e.g. 0.2."),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="Change images at random in training: none, mirror, or all (turn, zoom)."
        ),
    ] = None,
    code_channels: Annotated[
        int | None, typer.Option(min=1, help="Channels of the code: its size.")
    ] = None,
    decoder: Annotated[str | None, typer.Option(help="transpose, smooth or upsample.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Start of the random numbers.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take so many images of each class.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in the output folder.")
    ] = False,
    device: Device = None,
) -> None:
    """Train an autoencoder on a folder of images; Ctrl-C keeps the last finished epoch."""
    from minicnn.applications.runs import TrainingRun, claim_folder
    from minicnn.datasets import split_by_slide

    began = time.perf_counter()
    changes = {
        "image_size": None if image_size is None else (image_size, image_size),
        "epochs": epochs,
        "batch_size": batch,
        "noise": noise,
        "augment": augment,
        "code_channels": code_channels,
        "decoder": decoder,
        "seed": seed,
        "limit": limit,
        "data": None if data is None else str(data.resolve()),
    }
    with told(), computing_on(device):
        settings = _settings(output, preset, changes, resume)
        claim_folder(output, resume)
        cells = load_folder(Path(settings.data), settings)
        train_cells, test_cells = split_by_slide(cells, 0.2, seed=settings.seed)
        run = TrainingRun(settings, output, train_cells.images, test_cells.images, resume)
        console.print(
            f"training on {len(train_cells)} images, testing on {len(test_cells)} of other "
            f"slides: {code_text(run)}, {run.model.count_params():,} parameters"
        )
        report(run, fit(run, output), began)


def _settings(output: Path, name: str, changes: dict[str, Any], resume: bool) -> Settings:
    """Return the settings of a new run, or those of the run that is resumed."""
    from minicnn.applications import runs

    if not resume:
        if changes["data"] is None:
            raise ArgumentError("train needs --data DIR, a folder of class folders of images.")
        return runs.preset(name, **changes)
    settings = runs.load_settings(output)
    if not settings.data:
        raise ArgumentError(
            f"the run in {output} is a demo's, which is not resumed; run minicnn demo again."
        )
    kept = asdict(settings)
    for key, value in changes.items():
        if value is not None and value != kept[key] and key != "data":
            option = {"batch_size": "batch"}.get(key, key).replace("_", "-")
            raise ArgumentError(
                f"--resume continues the run in {output} as it was begun, with {option} "
                f"{kept[key]}, not {value}; leave --{option} out, or start a new run."
            )
    # The folder of images may have moved; everything else must stay for the same result.
    return settings if changes["data"] is None else replace(settings, data=changes["data"])


def load_folder(folder: Path, settings: Settings) -> Any:
    """Load a folder of images with a progress bar, and name the files that cannot be read."""
    from rich.progress import Progress

    from minicnn.datasets import load_cell_images

    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("reading images", total=None)
        cells = load_cell_images(
            folder,
            settings.image_size,
            limit=settings.limit,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    counts = ", ".join(
        f"{int((cells.labels == i).sum())} {name}" for i, name in enumerate(cells.class_names)
    )
    console.print(f"read {len(cells)} images of {len(set(cells.slides))} slides: {counts}")
    for path, reason in cells.unreadable[:10]:
        errors.print(f"skipped {path}: {reason}", style="yellow", markup=False)
    if len(cells.unreadable) > 10:
        errors.print(f"skipped {len(cells.unreadable) - 10} more", style="yellow")
    return cells
