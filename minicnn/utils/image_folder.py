"""A folder of class folders of images as a data set of batches."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import config, ops
from minicnn.data import AUTOTUNE, Dataset
from minicnn.errors import (
    ArgumentError,
    DataError,
    ImageWarning,
    check_choice,
    check_within,
    warn_user,
    worded,
)
from minicnn.images import (
    ENDINGS,
    Extent,
    is_hidden,
    is_image,
    read_picture,
    told_endings,
    try_picture,
)
from minicnn.ops.sampling import middle_of, whole_in
from minicnn.utils.images import MODES, check_channels_last

__all__ = ["image_dataset_from_directory"]

_WHERE = "image_dataset_from_directory"
#: Files that are looked at first to learn how many bits a camera uses of those that a file keeps.
_LOOKED_AT = 50

#: By kind and bits of numbers, what the files looked at hold.
Extents = dict[tuple[str, int], Extent]


class ImageFolder(Dataset):
    """A data set that knows its classes and files.

    Args:
        data: the data set.
        class_names: names of the classes, None without labels.
        file_paths: the files, in the order in which they were split into subsets.
    """

    def __init__(self, data: Dataset, class_names: list[str] | None, file_paths: list[str]) -> None:
        super().__init__(
            data._start, data._cardinality, (data,), draws=data._draws, spec=data._spec
        )
        self.class_names, self.file_paths = class_names, file_paths

    def _new(self, *arguments: Any, **more: Any) -> Any:
        return Dataset(*arguments, **more)


@worded
def image_dataset_from_directory(
    directory: str | Path,
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    verbose: bool = True,
) -> Any:
    """Return the images of a folder of class folders as batches (images, labels).

    Images are float32 (N,H,W,C) from 0 to 255, read and resized in threads while training goes on.
    Numbers of more than 8 bits are scaled by their type's white, or that of fewer bits where these
    hold the numbers of all files looked at, as with 12-bit cameras; a warning says so. The result
    has `class_names` and `file_paths`. PNG, JPEG, TIFF, BMP, WebP and GIF files are read, not what
    is hidden.

    Args:
        directory: the folder.
        labels: `"inferred"` from the class folders, None, or a list of one number for each file in
            the order of their paths.
        label_mode: `"int"` int32 (N,); `"categorical"` float32 (N,classes); `"binary"` float32
            (N,1), of two classes; None without labels.
        class_names: the class folders in the order wanted, or some of them.
        color_mode: `"rgb"` (default), `"rgba"` or `"grayscale"`.
        batch_size: images in a batch, default 32; None for single images.
        image_size: (height, width) to resize to.
        shuffle: mix the files, anew in each epoch, so take images and labels from the same pass;
            default True, else in the order of their paths.
        seed: start of the orders, an integer >= 0; two subsets need the same one.
        validation_split: share of the files, the last ones, kept for validation.
        subset: `"training"`, `"validation"`, or `"both"` for a pair of data sets, of which the
            second keeps one order.
        interpolation: `"bilinear"` (default) or `"nearest"`, pixel centres at half positions.
        follow_links: follow links to folders, default False.
        crop_to_aspect_ratio: cut out the middle in the proportions wanted before resizing.
        pad_to_aspect_ratio: resize the whole image in its proportions, and put black around it.
        data_format: `"channels_last"`, the only one.
        verbose: print how many files were found, default True.

    Raises:
        ArgumentError: an argument outside its rule.
        DataError: there is no such folder, or there are no images; while iterating, if a file
            cannot be read.

    >>> import tempfile
    >>> from minicnn.utils import save_img
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cats", "dogs"):
    ...         Path(folder, name).mkdir()
    ...         save_img(Path(folder, name, "1.png"), np.ones((9, 7, 3)))
    ...     data = image_dataset_from_directory(folder, image_size=(4, 6))
    ...     images, labels = next(iter(data))
    Found 2 files belonging to 2 classes.
    >>> images.shape, sorted(labels.numpy().tolist()), data.class_names
    ((2, 4, 6, 3), [0, 1], ['cats', 'dogs'])
    """
    check_channels_last(_WHERE, data_format)
    mode = MODES[check_choice(_WHERE, "color_mode", color_mode, MODES)]
    method = check_choice(_WHERE, "interpolation", interpolation, ["bilinear", "nearest"])
    label_mode = _check_labels(labels, label_mode, class_names)
    _check_split(validation_split, subset, shuffle, seed)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError(
            f"{_WHERE}: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other."
        )
    height, width = image_size
    if shuffle and seed is None:
        seed = int(config.random_generator().integers(10**6))
    files, numbers, names = _index(
        Path(directory), labels, label_mode, class_names, follow_links, verbose
    )
    if label_mode == "binary" and names is not None and len(names) != 2:
        raise ArgumentError(
            f'{_WHERE}: label_mode="binary" needs 2 classes, but there are {len(names)}: '
            f"{', '.join(names)}."
        )
    if shuffle:
        for items in (files, numbers):
            # The orders of Keras, so that the same files come into the same subsets.
            np.random.RandomState(seed).shuffle(items)

    extents = _look(files)
    options = (mode, (height, width), method, crop_to_aspect_ratio, pad_to_aspect_ratio)

    def read(path: str) -> Any:
        return _read(path, extents, *options)

    parts = []
    for part in ("training", "validation") if subset == "both" else (subset,):
        chosen = _part(files, numbers, validation_split, part, verbose)
        mixed = shuffle and (subset != "both" or part == "training")  # as in Keras
        data = _images(*chosen, read, names, label_mode, batch_size, seed if mixed else None)
        parts.append(ImageFolder(data, names, chosen[0]))
    return tuple(parts) if subset == "both" else parts[0]


def _check_labels(labels: Any, label_mode: Any, class_names: Any) -> str | None:
    """Refuse what does not go together, and return the mode, None without labels."""
    if isinstance(labels, str):
        check_choice(_WHERE, "labels", labels, ["inferred"])
    elif labels is not None and not isinstance(labels, list | tuple):
        raise ArgumentError(
            f"{_WHERE}: labels={labels!r} must be 'inferred', None, or a list of integers."
        )
    if labels is None and class_names is not None:
        raise ArgumentError(f"{_WHERE}: class_names={class_names!r} says nothing with labels=None.")
    if label_mode is not None:
        check_choice(_WHERE, "label_mode", label_mode, ["int", "categorical", "binary"])
    return None if labels is None else label_mode


def _check_split(share: float | None, subset: str | None, shuffle: bool, seed: Any) -> None:
    if (share is None) != (subset is None):
        raise ArgumentError(
            f"{_WHERE}: validation_split={share!r} and subset={subset!r} must be given together."
        )
    if share is None or subset is None:
        return
    check_choice(_WHERE, "subset", subset, ["training", "validation", "both"])
    check_within(_WHERE, "validation_split", share, "(0, 1)")
    if shuffle and seed is None:
        raise ArgumentError(
            f"{_WHERE}: a validation_split of mixed files needs a seed, so that no file is in both "
            f"subsets; give seed=0 or another number, or shuffle=False."
        )


def _files(folder: Path, follow_links: bool) -> tuple[list[str], list[Path]]:
    """Return the images of a folder and those inside it, folder by folder, in order; and others."""
    found, others = [], []
    walked = []
    for root, inside, names in os.walk(folder, followlinks=follow_links):
        inside[:] = [name for name in inside if not is_hidden(name)]
        walked.append((root, sorted(name for name in names if not is_hidden(name))))
    for root, names in sorted(walked):
        found += [str(Path(root, name)) for name in names if is_image(name)]
        others += [Path(root, name) for name in names if not is_image(name)]
    return found, others


def _look(files: list[str]) -> Extents:
    """Return what some of the files with more than 8 bits hold, and warn of what follows."""
    deep = [path for path in files if path.lower().endswith((".png", ".tif", ".tiff"))]
    extents: Extents = {}
    for path in deep[:: max(1, len(deep) // _LOOKED_AT)]:
        with contextlib.suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 (a plain name)
            start = file.read(25)
            if start.startswith(b"\x89PNG") and start[24:] != b"\x10":
                continue
        picture = try_picture(path)
        if isinstance(picture, str) or picture.bits <= 8:
            continue
        with contextlib.suppress(DataError):
            extent = picture.extent
            kind = (extent.kind, extent.bits)
            extents[kind] = extents[kind].joined(extent) if kind in extents else extent
    for extent in extents.values():
        if extent.note is not None:
            share = extent.value_range[1] / extent.whole[1]
            back = (
                f"; the images times {share:.6g} have that of the type" if extent.low >= 0 else ""
            )
            warn_user(f"{_WHERE}: {extent.note}{back}.", ImageWarning)
    return extents


def _index(
    directory: Path,
    labels: Any,
    label_mode: str | None,
    class_names: Sequence[str] | None,
    follow_links: bool,
    verbose: bool,
) -> tuple[list[str], list[int], list[str] | None]:
    """Return files, class numbers and class names, and say how many there are."""
    directory = directory.expanduser()
    if not directory.is_dir():
        raise DataError(f"{_WHERE}: there is no folder {directory}.")
    folders = sorted(p.name for p in directory.iterdir() if p.is_dir() and not is_hidden(p.name))
    chosen = folders
    if labels == "inferred" and label_mode is not None and class_names is not None:
        unknown = [name for name in class_names if name not in folders]
        if unknown:
            raise ArgumentError(
                f"{_WHERE}: class_names names {unknown[0]!r}, but the folders are "
                f"{', '.join(map(repr, folders))}."
            )
        chosen = list(class_names)
    by_folder = [_files(directory / name, follow_links) for name in chosen]
    files = [path for paths, _ in by_folder for path in paths]
    others = [path for _, paths in by_folder for path in paths]
    numbers = [i for i, (paths, _) in enumerate(by_folder) for _ in paths]
    names: list[str] | None = chosen
    if labels != "inferred" or label_mode is None:
        files, others = _files(directory, follow_links)
    if labels is None or label_mode is None:
        numbers, names = [0] * len(files), None
    elif labels != "inferred":
        if len(labels) != len(files):
            raise ArgumentError(
                f"{_WHERE}: labels has {len(labels)} entries, but there are {len(files)} files in "
                f"{directory}."
            )
        kinds = sorted(set(labels))
        if label_mode != "int" and kinds != list(range(len(kinds))):
            raise ArgumentError(
                f"{_WHERE}: label_mode={label_mode!r} needs labels from 0 to {len(kinds) - 1} for "
                f"{len(kinds)} classes, but {kinds[0]} to {kinds[-1]} came."
            )
        numbers, names = [int(n) for n in labels], [str(n) for n in kinds]
    if not files:
        raise DataError(
            f"{_WHERE}: {directory} holds no images in {len(chosen)} folders; expected are folders "
            f"of {', '.join(ENDINGS)} files."
        )
    if verbose:
        classes = "" if names is None else f" belonging to {len(names)} classes"
        print(f"Found {len(files)} files{classes}.")
        if others:
            print(f"{told_endings(others)}.")
    return files, numbers, names


def _part(
    files: list[str], numbers: list[int], share: float | None, subset: str | None, verbose: bool
) -> tuple[list[str], list[int]]:
    """Return the files and class numbers of a subset."""
    if share is None:
        return files, numbers
    last = int(share * len(files))
    cut = slice(len(files) - last) if subset == "training" else slice(len(files) - last, None)
    if not files[cut]:
        raise ArgumentError(
            f"{_WHERE}: validation_split={share} of {len(files)} files leaves none for {subset}."
        )
    if verbose:
        print(f"Using {len(files[cut])} files for {subset}.")
    return files[cut], numbers[cut]


def _images(
    files: list[str],
    numbers: list[int],
    read: Callable[[str], Any],
    names: list[str] | None,
    label_mode: str | None,
    batch_size: int | None,
    seed: int | None,
) -> Dataset:
    labels: Any = np.array(numbers, np.int32)
    if label_mode == "binary":
        labels = labels.astype(np.float32)[:, None]  # (N,1)
    elif label_mode == "categorical":
        labels = np.eye(len(names or ()), dtype=np.float32)[labels]  # (N,classes)
    data = Dataset.from_tensor_slices(files if label_mode is None else (files, labels))
    if seed is not None:
        data = data.shuffle(len(files), seed)  # of paths, which are small: a full shuffle
    if label_mode is None:
        data = data.map(read, AUTOTUNE)
    else:
        data = data.map(lambda path, label: (read(path), label), AUTOTUNE)
    return (data if batch_size is None else data.batch(batch_size)).prefetch(AUTOTUNE)


def _read(
    path: str,
    extents: Extents,
    mode: str,
    size: tuple[int, int],
    interpolation: str,
    crop: bool,
    pad: bool,
) -> Any:
    """Return an image file as float32 (H,W,C) of the size wanted."""
    picture = read_picture(_WHERE, path)
    try:
        extent = picture.extent
        # A file that goes beyond those looked at is not cut off.
        extent = extent.joined(extents.get((extent.kind, extent.bits), extent))
        pixels = np.asarray(picture.in_mode(mode, extent.value_range), np.float32)
    except DataError as error:
        raise DataError(f"{_WHERE}: cannot read {path}: {error}.") from None
    (rows, columns), (height, width) = pixels.shape[:2], size
    if crop:
        top, left, tall, wide = middle_of((rows, columns), size)
        pixels = pixels[top : top + tall, left : left + wide]
    elif pad:
        top, left, tall, wide = whole_in((rows, columns), size)
        resized = ops.resize2d(pixels[None], (tall, wide), interpolation)
        return ops.pad2d(resized, ((top, height - tall - top), (left, width - wide - left)))[0]
    return ops.resize2d(pixels[None], size, interpolation)[0]
