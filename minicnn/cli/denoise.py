"""`minicnn denoise`: noise taken off images by a trained network."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from minicnn.cli.shared import Device, computing_on, console, errors, told
from minicnn.errors import ArgumentError, DataError, counted

if TYPE_CHECKING:
    from minicnn.applications.runs import Settings
    from minicnn.images import Picture, Range

__all__ = ["denoise"]

#: So many images have a line of the table and a picture to compare each; of more, as many have a
#: picture, evenly spaced, and the table tells the means.
_TOLD = 30
_LARGEST_SCALE = 8


def denoise(
    images: Annotated[
        list[Path], typer.Argument(help="Image files, and folders with images at any depth.")
    ],
    model: Annotated[Path, typer.Option(help="Folder of a run or a demo.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("denoised"),
    noise: Annotated[
        float,
        typer.Option(
            help="Put noise on the images first: its standard deviation, from 0 to 1 (white)."
        ),
    ] = 0.0,
    scale: Annotated[
        float,
        typer.Option(help="Resize images by this factor before, and back after; 0.5 halves them."),
    ] = 1.0,
    device: Device = None,
) -> None:
    """Denoise images with a trained network; each keeps its size, format and bits."""
    from minicnn.applications import figures
    from minicnn.applications.denoising import add_noise, check_noise, denoise_at, psnr
    from minicnn.applications.runs import fitting_scale, load_model, load_settings
    from minicnn.files import make_folder
    from minicnn.images import ending_of, try_picture, write_picture

    with told(), computing_on(device):
        check_noise("minicnn denoise", "--noise", noise)
        _check_scale(scale)
        settings = load_settings(model)
        load_model(model)
        there = next(path for path in (output, *output.absolute().parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            make_folder(output)  # which says what is wrong
        inputs = _find_images(images, (output, model))
        if settings.noise == 0:
            errors.print(
                f"note: the network in {model} was trained without noise and is no good "
                f"denoiser; train one with --preset denoiser.",
                style="yellow",
                markup=False,
            )
        network_of = functools.lru_cache(maxsize=1)(functools.partial(load_model, model))
        names = _Names(inputs)
        compared = {i * len(inputs) // _TOLD for i in range(_TOLD)}
        rows: list[tuple[str, str, float, float]] = []
        notes: dict[str, list[str]] = {}
        unfit: list[tuple[str, float]] = []
        replaced = 0
        with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("denoising", total=len(inputs))
            for index, (path, place) in enumerate(inputs):
                progress.update(task, completed=index)
                if index and index % max(100, len(inputs) // 10) == 0 and not console.is_terminal:
                    console.print(f"denoised {index} of {len(inputs)} images")
                try:
                    picture = try_picture(path)
                    if isinstance(picture, str):
                        raise DataError(picture)
                    value_range = settings.value_ranges.get(picture.type)
                    clean = picture.scaled(value_range)  # (H,W,3)
                except DataError as error:
                    errors.print(
                        f"skipped: cannot read {path}: {error}.", style="yellow", markup=False
                    )
                    continue
                for key, note in _notes_of(picture, value_range).items():
                    notes.setdefault(key, [f"{place}: {note}"]).append(str(place))
                height, width = clean.shape[:2]
                fits = fitting_scale(settings, (height, width))
                if not 1 / 1.5 <= scale / fits <= 1.5:
                    unfit.append((f"{place} has {height} x {width} pixels", fits))
                noisy = add_noise(clean, noise) if noise else clean
                result = denoise_at(scale, noisy, network_of)
                ending = ending_of(picture)
                if path.suffix.lower().replace("jpeg", "jpg").replace("tiff", "tif") == ending:
                    ending = path.suffix
                target = names.free(output, place, f"-denoised{ending}")
                make_folder(target.parent)
                replaced += target.exists()
                write_picture(target, result, picture, value_range)
                if index in compared or len(inputs) <= _TOLD:
                    drawn = figures.draw_denoising(
                        clean[None] if noise else None, noisy[None], result[None]
                    )
                    where = names.free(output, place, "-before-after.png")
                    figures.save_figure(drawn, where)
                before, after = (float(psnr(clean[None], x[None])[0]) for x in (noisy, result))
                rows.append((str(place), f"{height} x {width}", before, after))
        for said, _, *others in notes.values():
            more = f" (and {counted(others, 'more image')} alike)" if others else ""
            errors.print(f"{said}{more}.", markup=False)
        if not rows:
            raise DataError(f"none of the {len(inputs)} images could be read.")
        if unfit:
            errors.print(_advice(settings, unfit), style="yellow", markup=False)
        console.print(_table(rows, bool(noise)))
        many = "" if len(rows) <= _TOLD else f" for {_TOLD} of them"
        console.print(
            f"written to {output}/: {len(rows)} as NAME-denoised, in their own format and, to "
            f"compare,{many} NAME-before-after.png"
            + (f"; {replaced} replaced earlier ones" if replaced else ""),
            markup=False,
        )
        if len(rows) < len(inputs):
            raise typer.Exit(1)


def _check_scale(scale: float) -> None:
    if not 0 < scale <= _LARGEST_SCALE:
        meant = f"; {scale:g} % is {scale / 100:g}" if _LARGEST_SCALE < scale <= 800 else ""
        raise ArgumentError(
            f"minicnn denoise: --scale={scale!r}, but it must lie above 0 and not above "
            f"{_LARGEST_SCALE}: images are resized by this factor before and back after{meant}."
        )


def _find_images(given: Sequence[Path], left_out: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return each image once, with the name that it has below the folder for the results.

    That is the name of a file, and of one in a folder its path in it; where two would be the same,
    their paths from the folder that they have in common.

    Raises:
        DataError: a folder holds no images, or there is none.
    """
    from minicnn.images import told_endings

    found: dict[Path, tuple[Path, Path]] = {}
    for argument in given:
        if not argument.is_dir():
            found.setdefault(argument.resolve(), (argument, Path(argument.name)))
            continue
        others: list[Path] = []
        inside = list(_below(argument, {path.resolve() for path in left_out}, others))
        if not inside:
            more = f" ({told_endings(others)})" if others else ""
            raise DataError(f"the folder {argument} holds no images{more}.")
        if others:
            errors.print(f"{argument}: {told_endings(others)}.", markup=False)
        for path in inside:
            found.setdefault(path.resolve(), (path, path.relative_to(argument)))
    same: dict[str, list[Path]] = {}
    for real, (_, place) in found.items():
        same.setdefault(str(place).casefold(), []).append(real)
    for files in same.values():
        if len(files) > 1:
            common = os.path.commonpath([path.parent for path in files])
            for real in files:
                found[real] = (found[real][0], real.relative_to(common))
    return list(found.values())


def _below(folder: Path, seen: set[Path], others: list[Path]) -> Iterator[Path]:
    """Yield the images in a folder and those inside it, each folder once; collect what is none."""
    from minicnn.images import list_images

    try:
        there = list_images(folder)
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be listed: {error.strerror}.") from None
    others += there.others
    yield from there.images
    for inner in there.folders:
        if inner.resolve() not in seen:
            seen.add(inner.resolve())
            yield from _below(inner, seen, others)


class _Names:
    """Names for results of which none is that of another result or of an image."""

    def __init__(self, images: Sequence[tuple[Path, Path]]) -> None:
        self.taken = {self._key(path) for path, _ in images}
        self.places = {self._key(place) for _, place in images}

    @staticmethod
    def _key(path: Path) -> str:
        return str(path.resolve()).casefold()  # on many systems X.png is x.png

    def free(self, folder: Path, place: Path, ending: str) -> Path:
        """Return a path in the folder for what becomes of the image at this place."""
        numbered = (f"{place.name}-{number}" for number in itertools.count(2))
        # Of x.gif, written as PNG, and x.png the latter has x-denoised.png.
        namesake = self._key(place.with_suffix(Path(ending).suffix))
        stems = [] if namesake in self.places - {self._key(place)} else [place.stem]
        for name in itertools.chain(stems, [place.name], numbered):
            path = folder / place.parent / f"{name}{ending}"
            if self._key(path) not in self.taken:
                break
        self.taken.add(self._key(path))
        return path


def _notes_of(picture: Picture, value_range: Range | None) -> dict[str, str]:
    """Return what was decided on reading a picture: sentences, by what they have in common."""
    notes = {note: note for note in picture.notes}
    if said := picture.extent.told(value_range or picture.value_range):
        notes[picture.type + said.partition(" were ")[2]] = said
    if picture.alpha or (picture.palette is not None and (picture.palette[:, 3] < 255).any()):
        text = "what is transparent is black in the result, which has no opacity"
        notes[text] = text
    if picture.colours == "channels":
        text = f"of {picture.numbers.shape[2]} channels the first three were taken for colours"
        notes[text] = text
    return notes


def _advice(settings: Settings, unfit: Sequence[tuple[str, float]]) -> str:
    """Say that images are of another scale than those learned from, and what would fit."""
    what, fits = unfit[0]
    more = f" (and {len(unfit) - 1} more are alike)" if len(unfit) > 1 else ""
    height, width = settings.image_size
    before = ""
    if settings.original_size is not None and settings.original_size != settings.image_size:
        before = ", to which {} x {} had been resized".format(*settings.original_size)
    use = "compare both results"
    if fits < 1:
        use = "this helps where noise is coarser than a pixel, and costs the finest details"
    return (
        f"note: {what}{more}, but the network learned from images of {height} x {width} pixels"
        f"{before}: --scale {fits:.2g} brings it to what was learned; {use}"
    )


def _table(rows: Sequence[tuple[str, str, float, float]], noise: bool) -> Table:
    table = Table()
    for column in ("image", "size"):
        table.add_column(column, overflow="fold")
    if noise:
        for column in ("noisy, dB", "denoised, dB"):
            table.add_column(column, justify="right")
    shown = [(name, size, f"{a:.1f}", f"{b:.1f}") for name, size, a, b in rows]
    if len(rows) > _TOLD:
        before, after = sum(r[2] for r in rows) / len(rows), sum(r[3] for r in rows) / len(rows)
        sizes = len({row[1] for row in rows})
        shown = [(f"{len(rows)} images, mean", f"{sizes} sizes", f"{before:.1f}", f"{after:.1f}")]
    for row in shown:
        table.add_row(*(row if noise else row[:2]))
    return table
