"""The `minicnn` command: demo, train, denoise, search, datasets, explain, info."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import minicnn
from minicnn.cli.datasets import datasets
from minicnn.cli.denoise import denoise
from minicnn.cli.explain import explain, explore, slides
from minicnn.cli.shared import Device, computing_on, console, errors, told
from minicnn.errors import ArgumentError

if TYPE_CHECKING:
    from minicnn.applications.runs import Settings, TrainingRun

__all__ = ["app", "main"]

app = typer.Typer(
    help="Convolution from the formula to a trained network.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(datasets)
for command in (explain, explore, slides):
    app.command()(command)

DEMO_FOLDER, RUN_FOLDER = Path("minicnn-demo"), Path("runs/cells")
DEMO_SIZE = (48, 48)


@contextlib.contextmanager
def _step(text: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    began = time.perf_counter()
    console.print(f"{text} ...", end=" " if console.is_terminal else "\n", markup=False)
    yield
    console.print(f"{'' if console.is_terminal else '  '}{time.perf_counter() - began:.1f} s")


def _fit(run: TrainingRun, folder: Path) -> dict[str, Any]:
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


def _report(
    run: TrainingRun, history: dict[str, Any], began: float, denoiser: TrainingRun | None = None
) -> None:
    """Write the pictures, print the figures and the list of files."""
    from minicnn.applications.report import write_report
    from minicnn.applications.runs import SETTINGS, WEIGHTS

    with _step("drawing the pictures"):
        numbers, files = write_report(
            run.model,
            run.folder,
            run.train_images,
            run.test_images,
            history,
            has_code=not run.settings.skips,
            denoiser=None if denoiser is None else denoiser.model,
        )
    table = Table(title="PSNR in dB on the test images (higher is better)", title_justify="left")
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


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = DEMO_FOLDER,
    seed: Annotated[int, typer.Option(min=0, help="Start of the random numbers.")] = 0,
    device: Device = None,
) -> None:
    """Render cells, train autoencoders on them, denoise and search: no data needed."""
    from minicnn.applications.runs import TrainingRun, claim_folder, preset
    from minicnn.datasets import render_cells, split_by_slide

    began = time.perf_counter()
    common = {"image_size": DEMO_SIZE, "seed": seed}
    with told(), computing_on(device):
        for folder in (output, output / "denoiser"):
            _make_way(folder)
            claim_folder(folder, resume=False)
        with _step("rendering 720 red blood cells of 24 slides"):
            cells = render_cells(720, DEMO_SIZE, seed=seed)
            train, test = split_by_slide(cells, 0.2, seed=seed)
        described = TrainingRun(
            preset("standard", epochs=8, **common), output, train.images, test.images, False
        )
        console.print(
            f"training an autoencoder on {len(train)} of them, testing on {len(test)} of other "
            f"slides: each image becomes {_code_text(described)}"
        )
        history = _fit(described, output)
        denoising = TrainingRun(
            preset("denoiser", epochs=7, **common),
            output / "denoiser",
            train.images,
            test.images,
            False,
        )
        console.print("training a denoiser, which hands details past the code")
        _fit(denoising, output / "denoiser")
        _report(described, history, began, denoising)
    console.print(
        f"next: minicnn denoise IMAGE --model {output / 'denoiser'}, or train on your own images "
        f"with minicnn train --data DIR",
        markup=False,
    )


def _make_way(folder: Path) -> None:
    """Remove an earlier demo's run, and only that."""
    from minicnn.applications.runs import BACKUP, SETTINGS, load_settings

    if (folder / SETTINGS).exists() and not load_settings(folder).data:
        (folder / BACKUP).unlink(missing_ok=True)
        (folder / SETTINGS).unlink()


def _code_text(run: TrainingRun) -> str:
    height, width, channels = run.model.get_layer("code").output.shape[1:]
    pixels = run.train_images[0].size
    return (
        f"a code of {height} x {width} x {channels} = {height * width * channels} numbers "
        f"(of {pixels})"
    )


@app.command()
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
    decoder: Annotated[str | None, typer.Option(help="transpose or upsample.")] = None,
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
        cells = _load(Path(settings.data), settings)
        train_cells, test_cells = split_by_slide(cells, 0.2, seed=settings.seed)
        run = TrainingRun(settings, output, train_cells.images, test_cells.images, resume)
        console.print(
            f"training on {len(train_cells)} images, testing on {len(test_cells)} of other "
            f"slides: {_code_text(run)}, {run.model.count_params():,} parameters"
        )
        _report(run, _fit(run, output), began)


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


def _load(folder: Path, settings: Settings) -> Any:
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


app.command()(denoise)  # where help lists it: behind train


@app.command()
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
        cells = _load(data, replace(settings, limit=None))
        same = [i for i, path in enumerate(cells.files) if path.resolve() == image.resolve()]
        if same:  # the image itself is in the folder: it would always come first
            cells = cells.take([i for i in range(len(cells)) if i not in same])
        network = load_model(model)
        with _step("comparing codes"):
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
