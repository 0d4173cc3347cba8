"""Folders of small images, such as the malaria cells, as arrays with their classes and slides.

Expected is a folder of class folders (`Parasitized/`, `Uninfected/`) of image files, or a folder
with the images themselves. Images of one microscope slide resemble each other, so a fair
test set shares no slide with the training set: `split_by_slide` keeps them apart.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minicnn import workers
from minicnn.datasets.image_files import Size, check_value_range, height_and_width
from minicnn.errors import ArgumentError, DataError, counted, worded
from minicnn.images import (
    ENDINGS,
    Extent,
    Picture,
    Range,
    Ranges,
    list_images,
    resize,
    told_endings,
    try_picture,
)

__all__ = ["CellImages", "evenly_spaced", "find_classes", "load_cell_images",
           "slide_of", "split_at_random", "split_by_slide", "why_no_slides"]  # fmt: skip

#: The type of a file's numbers, and which of them were given as black and white.
_Kind = tuple[str, Range | None]
#: What is kept of a file beside its pixels.
_Of = tuple[_Kind, Extent, tuple[str, ...], tuple[int, int]]
_THREADS = 4  # more wait for each other: only decoding and resizing run outside Python's lock


@dataclass(frozen=True, eq=False)
class CellImages:
    """Images, read or rendered, with classes, slides and files, N of each in the same order.

    Args:
        images: float32 (N,H,W,3) between 0 and 1.
        labels: int64 (N,), positions in `class_names`.
        class_names: names of the classes, which are those of their folders, sorted.
        slides: the slide of each image, see `slide_of`.
        files: the file of each image; of a rendered one, the name it would be saved under.
        unreadable: files that are missing from the above, each with the reason in a few words.
        notes: what was decided about numbers and pages, and what in the folder was not read, a
            sentence each.
        sizes: height and width of each file in pixels, before it was resized; empty where the
            images come from no files.
        value_ranges: the files' numbers that are black and white, by their type, where the type
            does not say it: of more than 8 bits, or as asked for.

    >>> cells = CellImages(
    ...     images=np.zeros((2, 4, 6, 3), np.float32),
    ...     labels=np.array([0, 1]),
    ...     class_names=("Parasitized", "Uninfected"),
    ...     slides=("C33", "C59"),
    ...     files=(Path("Parasitized/C33_cell_1.png"), Path("Uninfected/C59_cell_4.png")),
    ... )
    >>> len(cells), cells.take([1]).slides
    (2, ('C59',))
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    slides: tuple[str, ...]
    files: tuple[Path, ...]
    unreadable: tuple[tuple[Path, str], ...] = ()
    notes: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    value_ranges: Ranges = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def take(self, indices: ArrayLike) -> CellImages:
        """Return the images at these positions, in this order, as a copy.

        The class names stay as they are; `unreadable`, `notes` and `value_ranges` belong to the
        whole folder and are left out.

        Args:
            indices: positions (M,), or a mask (N,) of booleans.

        Raises:
            ArgumentError: a position outside the images, or a mask of another length.
        """
        chosen = np.atleast_1d(np.asarray(indices))
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise ArgumentError(
                    f"CellImages.take: a mask of shape {chosen.shape} came for {len(self)} images; "
                    f"it needs the shape ({len(self)},)."
                )
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        outside = chosen[(chosen < -len(self)) | (chosen >= len(self))]
        if outside.size:
            raise ArgumentError(
                f"CellImages.take: there is no image {outside[0]}; there are {len(self)} images."
            )
        return CellImages(
            images=self.images[chosen],
            labels=self.labels[chosen],
            class_names=self.class_names,
            slides=tuple(self.slides[i] for i in chosen),
            files=tuple(self.files[i] for i in chosen),
            sizes=tuple(self.sizes[i] for i in chosen) if self.sizes else (),
        )


@worded
def load_cell_images(
    folder: str | Path,
    size: Size = 64,
    *,
    limit: int | None = None,
    value_range: Range | Ranges | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CellImages:
    """Read a folder of class folders of images into one array.

    PNG, JPEG, TIFF, BMP, WebP and GIF files, told by their first bytes, of 1 to 32 bits or floats.
    Every image is resized straight to the size (its proportions are not kept), bilinearly. Grey,
    palette and CMYK images become RGB, transparent parts become black, and a camera's orientation
    mark is followed. Files are taken in the order of their names, class by class; what is hidden
    is ignored. A file that cannot be read is left out and listed in `unreadable`; what else was
    decided or left out stands in `notes`.

    Args:
        folder: the folder; if the images lie directly in it, they are one class of its name.
        size: height and width in pixels, one number for both or a pair (height, width).
        limit: at most so many files of each class, evenly spaced; all when None.
        value_range: the numbers in the files that are black and white, such as `(0, 4095)`, or
            these by type, such as `{"uint16": (0, 4095)}`. By default, and where a type cannot
            hold them, that of the type; where all 16-bit files together would fit into fewer bits,
            as a 12-bit camera's do, that of these bits, which `notes` says.
        progress: called with (files read, number of files) after every file.

    Returns:
        Images float32 (N,H,W,3) between 0 and 1 with labels, class names, slides and files.

    Raises:
        DataError: the folder is missing, is a file, holds no images, holds both images and class
            folders, or none of its images can be read.
        ArgumentError: a size or limit below 1; or a value range of two equal numbers, that no
            file's type can hold, or that leaves nothing between black and white.

    >>> import tempfile
    >>> from minicnn.datasets import write_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for number, name in enumerate(["Parasitized", "Uninfected"]):
    ...         Path(folder, name).mkdir()
    ...         write_image(Path(folder, name, f"C{number}_cell.png"), np.ones((9, 7, 3)))
    ...     cells = load_cell_images(folder, (32, 48))
    >>> cells.images.shape, cells.labels.tolist(), cells.class_names, cells.slides
    ((2, 32, 48, 3), [0, 1], ('Parasitized', 'Uninfected'), ('C0', 'C1'))
    """
    height, width = height_and_width("load_cell_images", size)
    if limit is not None and limit < 1:
        raise ArgumentError(f"load_cell_images: limit={limit} must be at least 1, or None for all.")
    by_type = value_range if isinstance(value_range, Mapping) else {}
    asked = None if value_range is by_type else check_value_range("load_cell_images", value_range)
    root = Path(folder).expanduser()
    classes, left = find_classes(root)
    labelled = [
        (path, label)
        for label, paths in enumerate(classes.values())
        for path in evenly_spaced(paths, limit)
    ]
    images = np.empty((len(labelled), height, width, 3), np.float32)
    good: list[int] = []
    unreadable: list[tuple[Path, str]] = []
    told: dict[str, list[Path]] = {}
    kinds: dict[_Kind, list[tuple[int, Extent]]] = {}
    sizes: list[tuple[int, int]] = []

    def given(picture: Picture) -> Range | None:
        if asked is None or picture.palette is not None or picture.bits < 8:
            return by_type.get(picture.type)
        kind = picture.pixels.dtype
        ends = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
        return asked if ends.min <= min(asked) and max(asked) <= ends.max else None

    def read(item: tuple[Path, int]) -> tuple[NDArray[Any], _Of] | str:
        picture = try_picture(item[0])
        if isinstance(picture, str):
            return picture
        before = (picture.pixels.shape[0], picture.pixels.shape[1])
        try:
            of = ((picture.type, given(picture)), picture.extent, picture.notes, before)
            return resize(picture.rgb(), (height, width)), of
        except DataError as error:
            return str(error)

    pool = workers.pool(_THREADS, "minicnn-images")
    try:
        for index, result in enumerate((map if pool is None else pool.map)(read, labelled)):
            path = labelled[index][0]
            if isinstance(result, str):
                unreadable.append((path, result))
            else:
                images[len(good)], (kind, extent, notes, before) = result
                sizes.append(before)
                kinds.setdefault(kind, []).append((len(good), extent))
                for note in notes:
                    told.setdefault(note, []).append(path.relative_to(root))
                good.append(index)
            if progress is not None:
                progress(index + 1, len(labelled))
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)  # so that an interrupt does not read the rest first
    if not good:
        path, reason = unreadable[0]
        raise DataError(
            f"load_cell_images: none of the {len(labelled)} images in {root} can be read; "
            f"the first, {path.relative_to(root)}, is unreadable: {reason}."
        )
    lost = [
        f"no image of {name} can be read."
        for label, name in enumerate(classes)
        if not any(labelled[i][1] == label for i in good)
    ]
    decided = [f"{_some([str(p) for p in paths], 2)}: {note}." for note, paths in told.items()]
    files = tuple(labelled[i][0] for i in good)
    images = images[: len(good)]
    scaled, ranges = _scale_together(images, kinds, asked)
    return CellImages(
        images=images,
        labels=np.array([labelled[i][1] for i in good], np.int64),
        class_names=tuple(classes),
        slides=tuple(slide_of(path) for path in files),
        files=files,
        unreadable=tuple(unreadable),
        notes=(*scaled, *decided, *lost, *left),
        sizes=tuple(sizes),
        value_ranges=ranges,
    )


def _scale_together(
    images: NDArray[np.float32], kinds: dict[_Kind, list[tuple[int, Extent]]], asked: Range | None
) -> tuple[list[str], dict[str, Range]]:
    """Scale images of one kind of numbers by one range, in place, and say what was decided.

    Returns:
        Sentences, and the numbers of black and white by type.
    """
    notes, ranges, here = [], {}, []
    for (name, given), places in kinds.items():
        extent = functools.reduce(Extent.joined, (extent for _, extent in places))
        black, white = given or extent.value_range
        for place, _ in places:
            image = images[place]
            image -= np.float32(black)
            image /= np.float32(white - black)
            np.clip(image, 0, 1, out=image)
        if given or extent.bits > 8:
            ranges[name] = (black, white)
        count, told = counted(places, "image"), extent.told((black, white))
        here.append(f"{count} of {name} from {extent.low:g} to {extent.high:g}")
        whole = f"; a value range of {extent.whole[0]} to {extent.whole[1]} takes the whole type"
        if told:
            notes.append(f"{count}: {told}{'' if given else whole}.")
        elif asked and not given:
            notes.append(f"{count}: {name} numbers cannot hold the range and keep their own.")
    inside = [
        any(((images[place] > 0) & (images[place] < 1)).any() for place, _ in places)
        for (_, given), places in kinds.items()
        if given
    ]
    if asked and not (inside and all(inside)):
        why = "leaves nothing between black and white" if inside else "is beyond their types"
        raise ArgumentError(
            f"load_cell_images: value_range=({asked[0]:g}, {asked[1]:g}) {why}; there are "
            f"{'; '.join(here)}."
        )
    return notes, ranges


def slide_of(path: str | Path) -> str:
    """Return the slide of a cell image: its file name up to the first underscore.

    A name without an underscore is a slide of its own.

    >>> slide_of("Parasitized/C33P1thinF_IMG_20150619_114756a_cell_179.png")
    'C33P1thinF'
    >>> slide_of("scan.png")
    'scan'
    """
    stem = Path(path).stem
    return stem.partition("_")[0] or stem


def split_by_slide(
    cells: CellImages, test_fraction: float = 0.2, *, seed: int = 0
) -> tuple[CellImages, CellImages]:
    """Split images into a training and a test part that have no slide in common.

    Args:
        cells: the images, of two slides or more.
        test_fraction: share of the slides (not of the images) that goes to the test part, between
            0 and 1; rounded up, but at least one slide stays in each part.
        seed: shuffles the slides.

    Returns:
        The training part and the test part, each in the order of `cells`.

    Raises:
        DataError: all images are of one slide.
        ArgumentError: a fraction outside 0 to 1.

    >>> cells = CellImages(
    ...     np.zeros((3, 4, 6, 3), np.float32), np.array([0, 0, 1]), ("a", "b"),
    ...     ("C1", "C2", "C1"), (Path("C1_1.png"), Path("C2_1.png"), Path("C1_2.png")),
    ... )
    >>> train, test = split_by_slide(cells, 0.5)
    >>> sorted([set(train.slides), set(test.slides)], key=min)
    [{'C1'}, {'C2'}]
    """
    names = sorted(set(cells.slides))
    if len(names) < 2:
        found = f"all {len(cells)} images are of slide {names[0]!r}" if names else "no images came"
        raise DataError(
            f"split_by_slide: {found}; a split without a common slide needs two slides or more "
            "(a file's slide is its name up to the first underscore); split_at_random needs none."
        )
    test_names = set(_test_part(np.array(names), "split_by_slide", test_fraction, seed).tolist())
    in_test = np.array([slide in test_names for slide in cells.slides])
    return cells.take(~in_test), cells.take(in_test)


def split_at_random(
    cells: CellImages, test_fraction: float = 0.2, *, seed: int = 0
) -> tuple[CellImages, CellImages]:
    """Split images into a training and a test part, whatever slides they are of.

    Args:
        cells: the images, two or more.
        test_fraction: share of the images that goes to the test part, between 0 and 1; rounded
            up, but at least one image stays in each part.
        seed: chooses the images.

    Returns:
        The training part and the test part, each in the order of `cells`.

    Raises:
        DataError: there are fewer than two images.
        ArgumentError: a fraction outside 0 to 1.

    >>> cells = CellImages(
    ...     np.zeros((5, 4, 6, 3), np.float32), np.zeros(5, int), ("a",), ("cell",) * 5,
    ...     tuple(Path(f"a/cell_{i}.png") for i in range(5)),
    ... )
    >>> [len(part) for part in split_at_random(cells, 0.3)]
    [3, 2]
    """
    if len(cells) < 2:
        raise DataError(
            f"split_at_random: {counted(cells, 'image')} came; a split needs 2 or more, one to "
            f"learn from and one to test on."
        )
    chosen = np.arange(len(cells))
    in_test = np.isin(chosen, _test_part(chosen, "split_at_random", test_fraction, seed))
    return cells.take(~in_test), cells.take(in_test)


def _test_part(things: NDArray[Any], where: str, test_fraction: float, seed: int) -> NDArray[Any]:
    """Return the things, of two or more, that go to the test part."""
    if not 0 < test_fraction < 1:
        raise ArgumentError(
            f"{where}: test_fraction={test_fraction} must lie between 0 and 1, such as 0.2."
        )
    # Less a little, since 0.7 * 10 is above 7 in floating point and would ask for 8 of 10.
    wanted = int(np.ceil(len(things) * test_fraction - 1e-9))
    shuffled = np.random.default_rng(seed).permutation(len(things))
    return things[shuffled[: min(wanted, len(things) - 1)]]


def why_no_slides(files: Sequence[str | Path], labels: Sequence[int]) -> str | None:
    """Return why the first parts of file names tell no slides by which to split, None if they do.

    Args:
        files: the images, whose slides `slide_of` says.
        labels: the class of each image.

    >>> why_no_slides(["cell_1.png", "cell_2.png", "cell_3.png"], [0, 0, 1])
    "all names begin with 'cell'"
    >>> why_no_slides(["C1_1.png", "C1_2.png", "C2_1.png", "C2_2.png"], [0, 1, 0, 1]) is None
    True
    """
    if not any("_" in Path(file).stem for file in files):
        return "no name has an underscore"
    slides = [slide_of(file) for file in files]
    counts = Counter(slides)
    if len(counts) == 1:
        return f"all names begin with {slides[0]!r}"
    if len(counts) == len(slides):
        return "no two names begin alike"
    if len(counts) == len(set(labels)) == len(set(zip(slides, labels, strict=True))):
        return "names begin alike within a class only"
    slide, most = counts.most_common(1)[0]
    # Such a slide would be nearly all that is learned from, or all that is tested on.
    return f"more than half of the names begin with {slide!r}" if 2 * most > len(slides) else None


def find_classes(root: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the image files of each class and sentences on what is not read.

    Raises:
        DataError: the folder is missing, is a file, holds no images, or holds both images and
            class folders.
    """
    expected = (
        "expected are class folders, such as Parasitized and Uninfected, with images in them "
        f"({', '.join(ENDINGS)}), or such files directly"
    )
    if not root.exists():
        raise DataError(f"load_cell_images: there is no folder {root}; {expected}.")
    if not root.is_dir():
        raise DataError(f"load_cell_images: {root} is a file, not a folder; {expected}.")
    try:
        there = list_images(root)
        inside = {path: list_images(path) for path in there.folders}
    except OSError as error:
        raise DataError(
            f"load_cell_images: {error.filename or root} cannot be listed: {error.strerror}."
        ) from error
    direct = there.images
    classes = {path.name: found.images for path, found in inside.items() if found.images}
    if direct and classes:
        raise DataError(
            f"load_cell_images: {root} holds {counted(direct, 'image')} of its own beside "
            f"{counted(classes, 'folder')} with images ({_some(list(classes))}); which is the "
            f"class is not clear, {expected}."
        )
    if not direct and not classes:
        named = ((there.folders, "folder", " without images"), (there.others, "other file", ""))
        parts = [
            f"{counted(paths, noun)}{more} ({_some([path.name for path in paths])})"
            for paths, noun, more in named
            if paths
        ]
        found = f"no images but {' and '.join(parts)}" if parts else "nothing that is not hidden"
        if not any(root.iterdir()):
            found = "nothing"
        raise DataError(f"load_cell_images: {root} holds {found}; {expected}.")
    left = []
    others = [*there.others, *(path for found in inside.values() for path in found.others)]
    if others:
        left.append(f"{told_endings(others)}.")
    deeper = there.folders if direct else [f for found in inside.values() for f in found.folders]
    if deeper:
        names = [str(path.relative_to(root)) for path in deeper]
        which = "folders beside the images" if direct else "folders inside class folders"
        left.append(f"{which} were not read: {_some(names)}.")
    if empty := [path.name for path, found in inside.items() if classes and not found.images]:
        left.append(f"{counted(empty, 'folder')} without images: {_some(empty)}.")
    return ({root.resolve().name: direct} if direct else classes), left


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def evenly_spaced(paths: list[Path], limit: int | None) -> list[Path]:
    """Return at most so many paths, evenly spaced among all."""
    if limit is None or limit >= len(paths):
        return paths
    return [paths[i * len(paths) // limit] for i in range(limit)]
