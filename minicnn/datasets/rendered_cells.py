"""Rendered red blood cells: a stand-in for the malaria cell images that needs no download.

A picture is computed as a microscope makes it. Light passes through a cell, and haemoglobin and
stain take their share of each colour (Beer and Lambert's law):

    image[y, x, c] = light[c] * exp(-(thickness[y, x] * cell[c] + stain[y, x] * dye[c]))

What belongs to the slide (light, staining, magnification) is drawn once per slide, the shape and
the parasites once per cell. The cell is then cut out as a segmentation cuts, in small square
blocks, onto black. Lengths are in radii of a cell, y downwards, from its centre.

Source: Beer and Lambert's law; S. Rajaraman et al., PeerJ 6:e4568, 2018 (the set of the US National
Library of Medicine), beside whose cells the numbers were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import atan2, cos, pi, sin
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.cell_images import CellImages, slide_of
from minicnn.datasets.cell_shapes import (
    BLOCK,
    EXTENT,
    Cut,
    Floats,
    Generator,
    coverage,
    draw_shape,
    length,
    pixel_places,
    segment,
    smooth_noise,
)
from minicnn.datasets.image_files import Size, height_and_width, write_image
from minicnn.errors import ArgumentError
from minicnn.files import make_folder

__all__ = ["render_cells", "save_rendered_cells"]

_CLASSES = ("Parasitized", "Uninfected")  # sorted, as the loader sorts its class folders
_FINE = 64  # pixels a side that a parasite needs; smaller pictures are averaged from so many

# Mean colour of a cell, its spread from slide to slide (one part common to all three colours, one
# for each alone), the light beside it, and how a parasite's chromatin absorbs.
_PINK = np.array(
    [
        (0.785, 0.585, 0.588),
        (0.024, 0.036, 0.012),
        (0.024, 0.018, 0.012),
        (0.90, 0.76, 0.70),
        (0.26, 1.35, 0.20),
    ]
)
_GREY_BLUE = np.array(
    [
        (0.652, 0.618, 0.705),
        (0.042, 0.047, 0.017),
        (0.012, 0.010, 0.010),
        (0.81, 0.82, 0.77),
        (0.33, 1.05, 0.09),
    ]
)


class _Slide(NamedTuple):
    """What all cells of one slide have in common."""

    light: Floats  # (3,) colour of the light that reaches the camera beside a cell
    tilt: tuple[float, float]  # relative change of the light per radius, along y and x
    cell: Floats  # (3,) absorbance of a cell of thickness 1
    dye: Floats  # (3,) absorbance of stained chromatin
    pixels: float  # a cell's radius in pixels of the camera
    rim: float  # width of a cell's edge: focus and sharpness of the objective
    grain: float  # standard deviation of the camera's noise, as absorbance


class _Recipe(NamedTuple):
    """Everything that is known of an image before it is rendered."""

    number: int
    slide: int
    parasitized: bool
    rng: Generator

    @property
    def label(self) -> int:
        """The position of the cell's class in `_CLASSES`."""
        return 0 if self.parasitized else 1

    @property
    def file(self) -> Path:
        """The name of the image's file, in its class folder."""
        slide = f"R{self.slide:03d}P{self.slide // 4:02d}ThinF"
        return Path(_CLASSES[self.label], f"{slide}_cell_{self.number}.png")


class _Spot(NamedTuple):
    """An oval with two half axes; `angle` turns the first from the x axis towards the y axis."""

    y: float
    x: float
    long: float
    broad: float
    angle: float = 0.0


class _Canvas(NamedTuple):
    """The picture while it is drawn: where its pixels lie, and what absorbs there."""

    y: Floats  # (H,1)
    x: Floats  # (1,W)
    thickness: Floats  # (H,W)
    stain: Floats  # (H,W)

    def blob(self, layer: Floats, spot: _Spot, dark: float) -> None:
        """Add a soft oval to a layer."""
        rows, columns, along, across = self._near(spot, 1.8)
        square = along * along + across * across
        layer[rows, columns] += dark * np.exp(-square * np.sqrt(square))

    def ring(self, spot: _Spot, width: float, dark: float) -> None:
        """Add the cytoplasm of a ring form, darkest where the first axis ends, and its vacuole."""
        rows, columns, along, across = self._near(spot, 1 + 2.5 * width)
        distance = length(across, along)
        facing = along / distance
        # Thin or open on the far side and slightly bent: no two rings are alike, none is round.
        off = (distance - 1 + 0.12 * facing * across) / width
        shade = np.clip(0.6 + 0.5 * facing, 0, 1)
        self.stain[rows, columns] += dark * shade * np.exp(-off * off)
        vacuole = spot._replace(long=0.9 * spot.long, broad=0.9 * spot.broad)
        self.blob(self.thickness, vacuole, -0.2)

    def _near(self, spot: _Spot, reach: float) -> tuple[slice, slice, Floats, Floats]:
        """Return the pixels round an oval, and their places along its two half axes."""
        far = reach * max(spot.long, spot.broad)
        rows = slice(*np.searchsorted(self.y[:, 0], (spot.y - far, spot.y + far)))
        columns = slice(*np.searchsorted(self.x[0], (spot.x - far, spot.x + far)))
        return rows, columns, *_along_axes(self.y[rows], self.x[:, columns], spot)


def _along_axes(y: Floats, x: Floats, spot: _Spot) -> tuple[Floats, Floats]:
    """Return the places of points along the half axes of an oval, 1 at their ends."""
    down, right = y - spot.y, x - spot.x
    along = (right * cos(spot.angle) + down * sin(spot.angle)) / spot.long
    across = (down * cos(spot.angle) - right * sin(spot.angle)) / spot.broad
    return along, across


def _draw_slide(seed: int, number: int) -> _Slide:
    rng = np.random.default_rng((seed, 0, number))
    tint, common, alone, light, dye = _PINK if rng.random() < 0.58 else _GREY_BLUE
    colour = tint + rng.normal() * common + rng.normal(size=3) * alone
    light = light + rng.normal(0, 0.012) + rng.normal(0, 0.008, 3)
    cell = np.log(light / np.minimum(colour, light - 0.06))
    if rng.random() < 0.08:  # a slide that lay in the stain for too long
        cell *= rng.uniform(1.3, 1.7)
        dye = dye * 1.2
    tilt, side = rng.gamma(2.0, 0.012), rng.uniform(0, 2 * pi)
    return _Slide(
        light=light.astype(np.float32),
        tilt=(tilt * sin(side), tilt * cos(side)),
        cell=cell.astype(np.float32),
        dye=(dye * rng.uniform(0.85, 1.15, 3)).astype(np.float32),
        pixels=rng.normal(64.0, 4.0),
        rim=rng.uniform(0.06, 0.11),
        grain=rng.uniform(0.012, 0.024),
    )


def _draw_recipe(seed: int, index: int, fraction: float, slides: int) -> _Recipe:
    rng = np.random.default_rng((seed, 1, index))
    # Rounding both ends keeps the share in every prefix, with no need to know the count.
    parasitized = np.floor((index + 1) * fraction + 0.5) > np.floor(index * fraction + 0.5)
    return _Recipe(index, int(rng.integers(slides)), bool(parasitized), rng)


def _draw_body(rng: Generator, canvas: _Canvas, depth: Floats, rim: float) -> None:
    """Fill in the thickness of the cell itself: edge, central pallor, texture."""
    edge = np.clip((depth + 0.4 * rim) / (1.4 * rim), 0.15, 1)
    edge = edge * edge * (3 - 2 * edge)
    long = rng.uniform(0.22, 0.6)
    broad, angle = long * rng.uniform(0.55, 1.0), rng.uniform(0, pi)
    middle = _Spot(rng.normal(0, 0.12), rng.normal(0, 0.12), long, broad, angle)
    along, across = _along_axes(canvas.y, canvas.x, middle)
    square = along * along + across * across
    pallor = np.exp(-square * square if rng.random() < 0.25 else -square)
    pale = rng.uniform(0.35, 0.85) if rng.random() < 0.2 else min(0.5, rng.gamma(1.3, 0.11))
    body = rng.normal(1.0, 0.05) + rng.normal(0.04, 0.05) * (canvas.y**2 + canvas.x**2)
    body += 0.03 * smooth_noise(rng, 9, canvas.y, canvas.x)
    body += 0.03 * smooth_noise(rng, 50, canvas.y, canvas.x)
    canvas.thickness[...] = edge * (body - pale * pallor)


def _places(rng: Generator, cut: Cut, count: int, outwards: float = 0.0) -> list[list[float]]:
    """Return `count` visible points (y, x), the likelier the farther from the centre."""
    points = (np.argwhere(cut.inner) + 0.5) * (2 * EXTENT / len(cut.inner)) - EXTENT
    weight = np.hypot(points[:, 0], points[:, 1]) ** outwards
    chosen: list[list[float]] = rng.choice(points, count, p=weight / weight.sum()).tolist()
    return chosen


def _draw_parasites(rng: Generator, canvas: _Canvas, cut: Cut) -> None:
    for y, x in _places(rng, cut, int(rng.choice((1, 2, 3), p=(0.66, 0.25, 0.09))), outwards=1.0):
        dark = rng.uniform(0.75, 1.35)
        stage = rng.choice(4, p=(0.45, 0.25, 0.23, 0.07))
        draw = (_draw_ring_form, _draw_dot, _draw_trophozoite, _draw_schizont)[stage]
        draw(rng, canvas, y, x, dark)
    if rng.random() < 0.12:  # stippling
        dark = rng.uniform(0.1, 0.4)
        for y, x in _places(rng, cut, int(rng.integers(6, 18))):
            long = rng.uniform(0.025, 0.055)
            canvas.blob(canvas.stain, _Spot(y, x, long, 0.75 * long, rng.uniform(0, pi)), dark)


def _draw_ring_form(rng: Generator, canvas: _Canvas, y: float, x: float, dark: float) -> None:
    """Draw thin cytoplasm round a vacuole, with chromatin on it at the given point."""
    long = rng.uniform(0.13, 0.26)
    broad = long * rng.uniform(0.55, 1.0)
    # The chromatin takes the given place, where it is sure to be seen, the ring lies inwards.
    side = atan2(y, x) + rng.normal(0, 0.8)
    ring = _Spot(y - long * sin(side), x - long * cos(side), long, broad, side)
    canvas.ring(ring, rng.uniform(0.2, 0.34), rng.uniform(0.15, 0.6))
    turns = (rng.normal(0, 0.3), rng.uniform(1.0, 2.8))
    for turn in turns[: 1 + int(rng.random() < 0.25)]:
        along, across = long * cos(turn), broad * sin(turn)
        size = rng.uniform(0.06, 0.12)
        chromatin = _Spot(
            ring.y + along * sin(side) + across * cos(side),
            ring.x + along * cos(side) - across * sin(side),
            size,
            size * rng.uniform(0.5, 0.9),
            side + turn + pi / 2 + rng.normal(0, 0.4),
        )
        canvas.blob(canvas.stain, chromatin, dark)


def _draw_dot(rng: Generator, canvas: _Canvas, y: float, x: float, dark: float) -> None:
    """Draw a dot of chromatin in a faint halo."""
    long = rng.uniform(0.07, 0.13)
    broad, angle = long * rng.uniform(0.55, 1.0), rng.uniform(0, pi)
    canvas.blob(canvas.stain, _Spot(y, x, long, broad, angle), dark)
    canvas.blob(canvas.stain, _Spot(y, x, 1.9 * long, 1.7 * broad, angle), 0.2 * dark)


def _draw_trophozoite(rng: Generator, canvas: _Canvas, y: float, x: float, dark: float) -> None:
    """Draw an irregular band of cytoplasm and chromatin."""
    side = rng.uniform(0, 2 * pi)
    for _ in range(rng.integers(3, 7)):
        long = rng.uniform(0.05, 0.12)
        spot = _Spot(y, x, long, long * rng.uniform(0.45, 0.9), side)
        canvas.blob(canvas.stain, spot, dark * rng.uniform(0.25, 0.75))
        side += rng.normal(0, 0.7)
        y, x = y + 0.08 * sin(side), x + 0.08 * cos(side)


def _draw_schizont(rng: Generator, canvas: _Canvas, y: float, x: float, dark: float) -> None:
    """Draw many dots in a stained mass."""
    size, angle = rng.uniform(0.18, 0.3), rng.uniform(0, pi)
    mass = _Spot(y, x, size, size * rng.uniform(0.7, 1), angle)
    canvas.blob(canvas.stain, mass, 0.4 * dark)
    for _ in range(rng.integers(5, 11)):
        down, right = rng.normal(0, 0.45 * size), rng.normal(0, 0.45 * size)
        canvas.blob(canvas.stain, _Spot(y + down, x + right, 0.07, 0.05, angle), 0.6 * dark)


def _draw_artefacts(rng: Generator, canvas: _Canvas, cut: Cut, parasitized: bool) -> None:
    """Add what a healthy cell may show too: refractile spots, dirt, a platelet lying on it."""
    bright, speck, platelet = rng.random(3)
    if bright < 0.1:
        for y, x in _places(rng, cut, int(rng.integers(1, 4))):
            long = rng.uniform(0.04, 0.09)
            canvas.blob(canvas.thickness, _Spot(y, x, long, 0.7 * long, rng.uniform(0, pi)), -0.5)
    if speck < 0.06:
        for y, x in _places(rng, cut, int(rng.integers(1, 3))):
            long = rng.uniform(0.03, 0.05)
            canvas.blob(canvas.stain, _Spot(y, x, long, 0.8 * long), rng.uniform(0.2, 0.6))
    if platelet < 0.03 and not parasitized:
        ((y, x),) = _places(rng, cut, 1, outwards=3.0)
        long, angle = rng.uniform(0.1, 0.16), rng.uniform(0, pi)
        canvas.blob(canvas.stain, _Spot(y, x, long, 0.8 * long, angle), rng.uniform(0.2, 0.4))


def _render(slide: _Slide, recipe: _Recipe, size: tuple[int, int] | None) -> NDArray[np.float32]:
    """Return one cell, (H,W,3); as large as the camera takes it where `size` is None."""
    rng = recipe.rng
    shape = draw_shape(rng, crowded=0.4 if recipe.parasitized else 0.25)
    cut = segment(rng, shape, slide.pixels * rng.lognormal(0, 0.07))
    kept = cut.kept[cut.top : cut.bottom, cut.left : cut.right]
    natural = (round(kept.shape[0] * BLOCK), round(kept.shape[1] * BLOCK))
    height, width = size or natural
    fine_y, fine_x = max(1, round(_FINE / height)), max(1, round(_FINE / width))
    y = pixel_places(cut.top, cut.bottom, len(cut.kept), height * fine_y)[:, None]
    x = pixel_places(cut.left, cut.right, len(cut.kept), width * fine_x)[None, :]
    canvas = _Canvas(y, x, *np.zeros((2, y.size, x.size), np.float32))
    _draw_body(rng, canvas, shape.depth(y, x), slide.rim)
    if recipe.parasitized:
        _draw_parasites(rng, canvas, cut)
    _draw_artefacts(rng, canvas, cut, recipe.parasitized)
    thickness, stain = canvas.thickness, canvas.stain
    # The noise is the camera's: a pixel that gathers several of the camera's has less of it.
    grain = slide.grain * min(1.0, (thickness.size / (natural[0] * natural[1])) ** 0.5)
    thickness += grain * rng.standard_normal(thickness.shape, np.float32)
    light = coverage(coverage(kept, height * fine_y).T, width * fine_x).T  # (H',W')
    light = light * (1 + slide.tilt[0] * y + slide.tilt[1] * x) / np.float32(fine_y * fine_x)
    picture = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        absorbance = thickness * slide.cell[channel] + stain * slide.dye[channel]  # (H',W')
        fine = np.exp(-absorbance) * light * slide.light[channel]
        tall = sum(fine[:, k::fine_x] for k in range(fine_x))  # (H',W)
        picture[..., channel] = sum(tall[k::fine_y] for k in range(fine_y))  # (H,W)
    return np.clip(picture, 0, 1, out=picture)


def _render_each(
    count: int, size: tuple[int, int] | None, seed: int, fraction: float, slides: int
) -> Iterator[tuple[_Recipe, NDArray[np.float32]]]:
    known: dict[int, _Slide] = {}
    for index in range(count):
        recipe = _draw_recipe(seed, index, fraction, slides)
        if recipe.slide not in known:
            known[recipe.slide] = _draw_slide(seed, recipe.slide)
        yield recipe, _render(known[recipe.slide], recipe, size)


def _check(where: str, count: int, seed: int, fraction: float, slides: int) -> None:
    for argument, value, least in (("count", count, 0), ("seed", seed, 0), ("slides", slides, 1)):
        if value < least:
            raise ArgumentError(f"{where}: {argument}={value} must be at least {least}.")
    if not 0 <= fraction <= 1:
        raise ArgumentError(
            f"{where}: parasitized_fraction={fraction} must lie between 0 (none) and 1 (all)."
        )


def render_cells(
    count: int,
    size: Size = 64,
    *,
    seed: int = 0,
    parasitized_fraction: float = 0.5,
    slides: int = 24,
) -> CellImages:
    """Render segmented, Giemsa-stained red blood cells on black, as if they had been loaded.

    Each cell fills its picture from edge to edge, as a cell cut out and resized does; purple rings,
    dots and blobs are malaria parasites. Image i does not depend on `count`.

    Args:
        count: number of images, 0 or more.
        size: height and width in pixels, one number for both or a pair (height, width).
        seed: chooses the random numbers, 0 or more; the same seed gives the same images.
        parasitized_fraction: share of parasitized cells, 0 to 1, kept in every prefix.
        slides: number of slides from which the cells come. Cells of one slide share staining,
            light and magnification.

    Returns:
        Images float32 (N,H,W,3) between 0 and 1, labels int64 (N,), which are 0 for Parasitized
        and 1 for Uninfected, slides, and as files the relative names under which
        `save_rendered_cells` would write them; no such files exist. `load_cell_images` goes class
        by class; here the classes are mixed, and both are named even if one has no cells.

    Raises:
        ArgumentError: an argument outside its rule.

    Source: Beer and Lambert's law of absorption; S. Rajaraman et al., PeerJ 6:e4568, 2018, for
    the looks.

    >>> cells = render_cells(6, (32, 48), seed=1)
    >>> cells.images.shape, cells.class_names, cells.labels.tolist()
    ((6, 32, 48, 3), ('Parasitized', 'Uninfected'), [0, 1, 0, 1, 0, 1])
    >>> cells.slides[0], cells.files[0].as_posix()
    ('R012P03ThinF', 'Parasitized/R012P03ThinF_cell_0.png')
    """
    _check("render_cells", count, seed, parasitized_fraction, slides)
    shape = height_and_width("render_cells", size)
    images = np.empty((count, *shape, 3), np.float32)
    recipes: list[_Recipe] = []
    for recipe, image in _render_each(count, shape, seed, parasitized_fraction, slides):
        images[recipe.number] = image
        recipes.append(recipe)
    files = tuple(recipe.file for recipe in recipes)
    return CellImages(
        images=images,
        labels=np.array([recipe.label for recipe in recipes], np.int64),
        class_names=_CLASSES,
        slides=tuple(slide_of(file) for file in files),
        files=files,
    )


def save_rendered_cells(
    folder: str | Path,
    count: int,
    *,
    seed: int = 0,
    parasitized_fraction: float = 0.5,
    slides: int = 24,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Write rendered cells as PNG files that `load_cell_images` reads, for machines without data.

    The files lie in `Parasitized/` and `Uninfected/`, each as large as its cell (about 130 pixels
    a side), and are named like `R012P03ThinF_cell_7.png`: slide 12, patient 3, image 7. They show
    the cells of `render_cells` with the same arguments. Files of the same name are replaced,
    others are left alone.

    Args:
        folder: where to write; it is made if it is missing.
        count: number of images, 0 or more.
        seed: chooses the random numbers, 0 or more.
        parasitized_fraction: share of parasitized cells, 0 to 1.
        slides: number of slides from which the cells come; four slides are one patient's.
        progress: called with (files written, count) after every file.

    Returns:
        The paths written, in the order of the images.

    Raises:
        ArgumentError: an argument outside its rule.
        OutputError: the folder or a file cannot be written. Every file that bears its final name
            is complete.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = save_rendered_cells(folder, 2, seed=1)
    ...     [path.relative_to(folder).as_posix() for path in paths]
    ['Parasitized/R012P03ThinF_cell_0.png', 'Uninfected/R008P02ThinF_cell_1.png']
    """
    _check("save_rendered_cells", count, seed, parasitized_fraction, slides)
    target = Path(folder).expanduser()
    for path in (target, *(target / name for name in _CLASSES)):
        make_folder(path)
    paths: list[Path] = []
    for recipe, image in _render_each(count, None, seed, parasitized_fraction, slides):
        paths.append(target / recipe.file)
        write_image(paths[-1], image)
        if progress is not None:
            progress(len(paths), count)
    return tuple(paths)
