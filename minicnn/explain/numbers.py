"""Arrays from what a person types or has in a file: numbers, CSV, NumPy, images."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import ArgumentError, DataError
from minicnn.images import ENDINGS, read_picture, warn_of

__all__ = ["as_images", "as_kernels", "read_numbers"]

Array = NDArray[Any]

_TEXTS = (".csv", ".txt", ".tsv", ".json")


def read_numbers(source: str, what: str = "input") -> Array:
    """Return the array that a text means, or the file that it names.

    Args:
        source: numbers, rows apart by `;` or new lines, as `"0 1 2; 3 4 5"`; nested lists, as
            `"[[0, 1], [2, 3]]"`; or the path of a CSV or text file, a NumPy file (`.npy`, or
            `.npz` with one array), or an image: its numbers as they stand in the file, (H,W) if
            grey, else (H,W,3), a palette's colours.
        what: what the numbers are for, for messages.

    Raises:
        DataError: neither a file nor numbers, or the rows are of different lengths.

    >>> read_numbers("0 1 2; 3 4 5").tolist()
    [[0, 1, 2], [3, 4, 5]]
    >>> read_numbers("[[[1, 0.5]], [[2, 3]]]").shape
    (2, 1, 2)
    """
    text = source.strip()
    looks_like_file = re.fullmatch(r"[\w./\\~ -]+\.\w+", text) or "/" in text or "\\" in text
    if _is_file(text) or (looks_like_file and not _is_number(text)):
        path = Path(text).expanduser()
        if not path.is_file():
            is_folder = f"{text} is a folder, not a file."
            missing = f"there is no file {text}."
            raise DataError(f"{what}: {is_folder if path.is_dir() else missing}")
        return _read_file(path, what)
    return _read_text(source, what)


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):  # too long or strange to be a name
        return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_file(path: Path, what: str) -> Array:
    ending = path.suffix.lower()
    try:
        if ending == ".npy":
            return _checked(np.load(path, allow_pickle=False), what)
        if ending == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                if len(arrays.files) != 1:
                    raise DataError(
                        f"{what}: {path} holds {len(arrays.files)} arrays "
                        f"({', '.join(arrays.files)}); save the one that is meant as .npy."
                    )
                return _checked(arrays[arrays.files[0]], what)
        if ending in ENDINGS:
            return _read_image(path, what)
    except (OSError, ValueError) as error:
        raise DataError(f"{what}: {path} cannot be read: {error}.") from None
    if ending not in _TEXTS:
        raise DataError(
            f"{what}: {path} ends in {ending!r}; readable are {', '.join(_TEXTS)}, .npy, .npz, "
            f"{', '.join(ENDINGS)}."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{what}: {path} cannot be read as text: {error}.") from None
    return _read_text(_with_points(text) if ending == ".csv" else text, f"{what}: {path}")


def _with_points(text: str) -> str:
    r"""Return a table whose columns `;` separates with spaces between, and decimal points.

    >>> _with_points("1,5;2\n3;4"), _with_points("1,2;3,4")
    ('1.5 2\n3 4', '1,2;3,4')
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    has_columns = all(re.fullmatch(r"\S+;\S.*", line) for line in lines if line)
    if len(lines) < 2 or not has_columns:
        return text
    return "\n".join(lines).replace(",", ".").replace(";", " ")


def _read_image(path: Path, what: str) -> Array:
    """Return an image's numbers: (H,W) where all channels are alike, else (H,W,3)."""
    picture = read_picture(what, path)
    warn_of(path, picture)
    if picture.colours == "grey":
        return _checked(picture.numbers, f"{what}: {path}")
    pixels = picture.rgb(clear=True)
    grey = (pixels[..., :1] == pixels).all()
    return _checked(pixels[..., 0] if grey else pixels, f"{what}: {path}")


def _read_text(text: str, what: str) -> Array:
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            array = np.array(ast.literal_eval(stripped))
        except (MemoryError, RecursionError, SyntaxError, ValueError):
            raise DataError(
                f"{what}: the brackets do not close, or the rows are of different lengths; a "
                f"matrix is [[0, 1], [2, 3]]."
            ) from None
        return _checked(array, what)
    rows = [re.split(r"[,\s]+", row.strip(" \t\r,")) for row in re.split(r"[;\n]", stripped)]
    rows = [row for row in rows if row != [""]]
    found = []
    for number, row in enumerate(rows, 1):
        for entry in row:
            if not _is_number(entry):
                raise DataError(
                    f"{what}: row {number} has {entry!r}, which is no number; write e.g. "
                    f'"0 1 2; 3 4 5", or name a file.'
                )
        found.append([float(entry) for entry in row])
    lengths = {len(row) for row in found}
    if len(lengths) != 1:
        raise DataError(
            f"{what}: the rows have {', '.join(map(str, sorted(lengths)))} numbers; all must have "
            f"as many."
            if found
            else f"{what}: there are no numbers."
        )
    return _checked(np.array(found), what)


def _checked(array: Array, what: str) -> Array:
    """Return an array of numbers, whole ones as integers."""
    if array.dtype.kind not in "iufb" or array.size == 0:
        raise DataError(f"{what}: {array.dtype} of shape {array.shape} is no array of numbers.")
    whole = array.astype(np.float64)
    # Beyond 2**53 not every whole number is a float, and far beyond it none is an integer here.
    if (np.abs(whole) <= 2**53).all() and (whole == np.round(whole)).all():
        return whole.astype(np.int64)
    return whole


def as_images(array: Array) -> Array:
    """Return a matrix (H,W) or image (H,W,C) as a batch of one image (1,H,W,C).

    Raises:
        ArgumentError: it has other axes.
    """
    if array.ndim == 4:
        return array
    if array.ndim in (2, 3):
        return array.reshape(1, *array.shape[:2], -1)
    raise ArgumentError(f"input has shape {array.shape}; images are (H,W), (H,W,C) or (N,H,W,C).")


def as_kernels(array: Array) -> Array:
    """Return a matrix (KH,KW) or one filter (KH,KW,C) as kernels (KH,KW,C,F).

    Raises:
        ArgumentError: it has other axes.
    """
    if array.ndim == 4:
        return array
    if array.ndim in (2, 3):
        return array.reshape(*array.shape[:2], -1, 1)
    raise ArgumentError(
        f"kernel has shape {array.shape}; kernels are (KH,KW), (KH,KW,C) or (KH,KW,C,F)."
    )
