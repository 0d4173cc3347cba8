"""`minicnn train`, and what other commands share with it: training told, reports, folders read."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from minicnn.cli.shared import Device, console, errors, removed_if_empty, step, told, training_on
from minicnn.errors import ArgumentError, DataError, check_choice, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minicnn.applications.report import Denoising
    from minicnn.applications.runs import Settings, TrainingRun
    from minicnn.datasets import CellImages
    from minicnn.images import Range

    Array = NDArray[Any]

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
    tested, total = numbers["tested"], len(run.test_images)
    looked = f"the {total}" if tested == total else f"{tested} of the {total}"
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
    if denoiser is None and (advice := _advice(run, numbers["denoising"])):
        errors.print(advice, style="yellow", markup=False)
    console.print(f"written to {run.folder}/ in {time.perf_counter() - began:.0f} s:")
    more = [] if denoiser is None else [f"{denoiser.folder.name}/{WEIGHTS}"]
    for name in [*(f.name for f in files), WEIGHTS, SETTINGS, *more]:
        console.print(f"  {name}", markup=False)


def _advice(run: TrainingRun, denoised: list[Denoising]) -> str:
    """Return what to do if the network denoises worse than a median filter, else nothing."""
    worse = [d for d in denoised if d.network < d.median]
    if not worse:
        return ""
    settings, sigma = run.settings, worse[-1].sigma
    strengths = " and ".join(f"{d.sigma:.1f}" for d in worse)
    longer = f"with\n  minicnn train --output {run.folder} --resume --epochs {2 * settings.epochs}"
    if settings.noise == 0:
        remedy = "it was trained without noise; to denoise, train with --preset denoiser"
    elif settings.noise < sigma:
        remedy = f"it was trained with noise up to {settings.noise:g} only; raise --noise"
    elif settings.skips:
        remedy = f"train longer, {longer}"
    else:
        remedy = f"--preset denoiser hands details past the code; or train longer, {longer}"
    return f"note: at noise {strengths} the network is still worse than a median filter: {remedy}"


def code_text(run: TrainingRun) -> str:
    """Return how many numbers a run's code has, for a sentence."""
    shape = run.model.get_layer("code").output.shape[1:]
    sides = " x ".join(map(str, shape))
    return f"a code of {sides} = {math.prod(shape)} numbers (of {run.train_images[0].size})"


def train(
    data: Annotated[
        Path | None, typer.Option(help="Folder of class folders of images; only --resume knows it.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the run.")] = RUN_FOLDER,
    preset: Annotated[
        str | None,
        typer.Option(
            help="standard (small and fast), faithful (finer), denoiser (skips).",
            show_default="standard",
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=8, help="Side of the square images in pixels.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the images; with --resume, in all.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images in a step.")] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Largest standard deviation of noise in training, from 0 to 1 (white), e.g. 0.2."
        ),
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
    split: Annotated[
        str | None,
        typer.Option(
            help="Test on whole slides (the file name up to _): slide, on images chosen at: "
            "random, or on slides where the names tell them: auto.",
            show_default="auto",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Start of the random numbers.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take so many images of each class.")
    ] = None,
    value_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="Numbers in the files that are black and white, e.g. 0 4095 of 12 bits.",
            show_default="by their type, or the fewest bits that hold all",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in the output folder, finished or not."),
    ] = False,
    device: Device = None,
) -> None:
    """Train an autoencoder on a folder of images; Ctrl-C keeps the last finished epoch."""
    from minicnn.applications.runs import TrainingRun, claim_folder
    from minicnn.datasets.cell_images import evenly_spaced, find_classes

    began = time.perf_counter()
    asked = {
        "--image-size": image_size,
        "--epochs": epochs,
        "--batch": batch,
        "--noise": noise,
        "--augment": augment,
        "--code-channels": code_channels,
        "--decoder": decoder,
        "--split": split,
        "--seed": seed,
        "--limit": limit,
        "--value-range": value_range,
        "--preset": preset,
        "--data": None if data is None else str(data.resolve()),
    }
    with told(), training_on(device), removed_if_empty(output):
        asked = _checked({option: value for option, value in asked.items() if value is not None})
        settings = _resumed(output, asked) if resume else _begun(asked)
        folder = Path(settings.data)
        # Faults of the data come before those of the run's folder.
        files: list[Path] = []
        labels: list[int] = []
        for label, paths in enumerate(find_classes(folder)[0].values()):
            files += evenly_spaced(paths, settings.limit)
            labels += [label] * (len(files) - len(labels))
        _split_by_chance(files, labels, settings)
        if not resume and folder in (output.resolve(), output.resolve().parent):
            raise ArgumentError(
                f"--output {output} lies among the images of {folder}: the run's pictures would "
                f"be read as images the next time; choose a folder outside."
            )
        claim_folder(output, resume)
        cells = load_folder(folder, settings, None if resume else value_range)
        height, width = (int(n) for n in np.median(cells.sizes, axis=0))
        settings = replace(settings, original_size=(height, width), value_ranges=cells.value_ranges)
        train_images, test_images, tested = _split(cells, settings)
        del cells  # the whole of what now stands in two parts
        run = TrainingRun(settings, output, train_images, test_images, resume)
        console.print(
            f"training on {counted(train_images, 'image')}, testing on {len(test_images)} "
            f"{tested}: {code_text(run)}, {run.model.count_params():,} parameters"
        )
        report(run, fit(run, output), began)


#: The settings that options of another name stand for.
_KEYS = {"--batch": "batch_size"}


def _key(option: str) -> str:
    return _KEYS.get(option, option[2:].replace("-", "_"))


def _checked(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the options with names in lower case, or say which is wrong, as it was typed."""
    from minicnn.applications.denoising import check_noise
    from minicnn.applications.runs import CHANGES, DECODERS, PRESETS, SPLITS

    names: dict[str, Iterable[str]] = {
        "--preset": PRESETS,
        "--augment": CHANGES,
        "--decoder": DECODERS,
        "--split": SPLITS,
    }
    for option in asked.keys() & names.keys():
        asked[option] = check_choice("minicnn train", option, asked[option], names[option])
    if "--noise" in asked:
        check_noise("minicnn train", "--noise", asked["--noise"])
    if "--value-range" in asked:
        black, white = asked["--value-range"]
        asked["--value-range"] = f"{black:g} {white:g}"
        if not -math.inf < black < white < math.inf:
            raise ArgumentError(
                f"minicnn train: --value-range {black:g} {white:g}, but the first number, "
                f"black, must be below the second, white, such as 0 4095."
            )
    return asked


def _begun(asked: dict[str, Any]) -> Settings:
    """Return the settings of a new run."""
    from minicnn.applications import runs

    if "--data" not in asked:
        raise ArgumentError("train needs --data DIR, a folder of class folders of images.")
    changes = {_key(o): value for o, value in asked.items() if o != "--value-range"}
    if side := changes.get("image_size"):
        changes["image_size"] = (side, side)
    return runs.preset(changes.pop("preset", "standard"), **changes)


def _resumed(output: Path, asked: dict[str, Any]) -> Settings:
    """Return the settings of the run that is resumed, perhaps of more epochs than before."""
    from minicnn.applications import runs

    settings = runs.load_settings(output)
    if not settings.data:
        raise ArgumentError(
            f"the run in {output} is a demo's, which is not resumed; run minicnn demo again."
        )
    kept = {**asdict(settings), "image_size": settings.image_size[0]}
    ranges = [f"{black:g} {white:g}" for black, white in settings.value_ranges.values()]
    kept["value_range"] = [*{asked.get("--value-range")}.intersection(ranges), *ranges, None][0]
    for option, value in asked.items():
        before = kept[_key(option)]
        if value != before and option not in ("--data", "--epochs"):
            begun = f"without {option}" if before is None else f"with {option} {before}"
            raise ArgumentError(
                f"--resume continues the run in {output} as it was begun, {begun}, not {value}; "
                f"leave {option} out, or start a new run."
            )
    done, before, epochs = runs.epochs_done(output), settings.epochs, asked.get("--epochs")
    if epochs is None or epochs == before:
        if done == before:
            console.print(
                f"this run of {counted(done, 'epoch')} is finished; --epochs N, with N above "
                f"{done}, continues it",
                markup=False,
            )
    elif epochs <= done:
        raise ArgumentError(
            f"--epochs {epochs}: the run in {output} has {counted(done, 'epoch')} done already, "
            f"and --epochs counts all; give more than {done}."
        )
    elif done:
        console.print(
            f"continuing to {epochs} epochs; so far the learning rate fell as in a run of "
            f"{before}, so the result differs a little from that of a run begun with {epochs}",
            markup=False,
        )
    data = asked.get("--data", settings.data)
    if data != settings.data:  # the folder has moved, or is another
        said = "if these are other images, some that it is tested on may be known to it"
        console.print(f"so far the run learned from {settings.data}; {said}", markup=False)
    return replace(settings, data=data, epochs=epochs or settings.epochs)


def _split_by_chance(
    files: Sequence[Path], labels: Sequence[int], settings: Settings
) -> tuple[bool, str | None]:
    """Return whether test images are chosen at random, and why file names tell no slides."""
    from minicnn.datasets.cell_images import slide_of, why_no_slides

    if len(files) < 2:
        raise DataError(
            f"train: {settings.data} holds 1 image that can be read; 2 or more are needed, one to "
            f"learn from and one to test on."
        )
    reason = why_no_slides(files, labels)
    if settings.split == "slide" and len({slide_of(file) for file in files}) == 1:
        raise DataError(
            f"--split slide: {reason} (a file's slide is its name up to the first "
            f"underscore), but two slides or more are needed; --split random needs none."
        )
    return settings.split == "random" or (settings.split == "auto" and reason is not None), reason


def _split(cells: CellImages, settings: Settings) -> tuple[Array, Array, str]:
    """Return the images to learn from and to test on, and in words which these are."""
    from minicnn.datasets import split_at_random, split_by_slide

    by_chance, reason = _split_by_chance(cells.files, cells.labels.tolist(), settings)
    if by_chance and settings.split == "auto":
        console.print(
            f"file names tell no slides ({reason}), so the test images are chosen at random; "
            f"images of one slide may be in both parts, which flatters the figures",
            markup=False,
        )
    split = split_at_random if by_chance else split_by_slide
    train, test = split(cells, 0.2, seed=settings.seed)
    return train.images, test.images, "chosen at random" if by_chance else "of other slides"


def load_folder(folder: Path, settings: Settings, value_range: Range | None = None) -> CellImages:
    """Load a folder of images with a progress bar, and name the files that cannot be read.

    Their numbers are scaled by the range, else by those of the run.
    """
    from rich.progress import Progress

    from minicnn.datasets import load_cell_images
    from minicnn.datasets.cell_images import why_no_slides

    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("reading images", total=None)
        cells = load_cell_images(
            folder,
            settings.image_size,
            limit=settings.limit,
            value_range=value_range or settings.value_ranges,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    counts = ", ".join(
        f"{int((cells.labels == i).sum())} {name}" for i, name in enumerate(cells.class_names)
    )
    untold = why_no_slides(cells.files, cells.labels.tolist())
    slides = "" if untold else f" of {counted(set(cells.slides), 'slide')}"
    console.print(f"read {counted(cells, 'image')}{slides}: {counts}", markup=False)
    for path, reason in cells.unreadable[:10]:
        errors.print(f"skipped {path}: {reason}", style="yellow", markup=False)
    if len(cells.unreadable) > 10:
        errors.print(f"skipped {len(cells.unreadable) - 10} more", style="yellow")
    for note in cells.notes:
        errors.print(f"note: {note}", style="yellow", markup=False)
    return cells
