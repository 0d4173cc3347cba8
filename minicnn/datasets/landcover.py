"""Land cover: aerial photographs of several bands, and the class of land of every pixel.

Source: C. Robinson et al., Large Scale High-Resolution Land Cover Mapping with Multi-Resolution
Data, CVPR 2019 (Chesapeake Land Cover).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.registry import data_folder
from minicnn.errors import ArgumentError, DataError, ShapeError, check_choice
from minicnn.images import read_picture

__all__ = ["CLASS_NAMES", "NO_DATA", "Samples", "load_data"]

#: The label of pixels of which nothing is known; losses leave it out with `ignore_class=NO_DATA`.
NO_DATA = 15

#: The names of the classes by their labels.
CLASS_NAMES = {
    1: "water",
    2: "tree canopy or forest",
    3: "low vegetation or field",
    4: "barren",
    5: "impervious (other)",
    6: "impervious (road)",
    NO_DATA: "no data",
}

#: Which files belong to which part: tiles of the published split.
_PARTS = {
    "train": "wv_1m_2014-m_3708020_sw_17_1-*",
    "validation": "wv_1m_2014-m_3708035_ne_17_1-*",
    "test": "m_3907833_nw_17_1*",
}

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Samples(Sequence[Sample]):
    """Samples that are read from disk when they are asked for, so that memory stays flat.

    `samples[i]` is (image, labels): uint8 (H,W,C), the bands side by side, and uint8 (H,W).

    Args:
        folder: holds one folder for each band, and `labels/`.
        names: file names, the same in all of these folders.
        bands: folders that are joined along the channels.
    """

    def __init__(self, folder: Path, names: Sequence[str], bands: Sequence[str]) -> None:
        self.folder, self.names, self.bands = folder, tuple(names), tuple(bands)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Samples: ...

    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, slice):
            return Samples(self.folder, self.names[index], self.bands)
        name = self.names[index]
        labels = _classes(self.folder / "labels" / name)  # (H,W)
        parts = []
        for band in self.bands:
            pixels = read_picture("landcover", self.folder / band / name).eight_bits()
            if pixels.shape[:2] != labels.shape:
                raise ShapeError(
                    f"landcover: {band}/{name} has {pixels.shape[0]} x {pixels.shape[1]} pixels, "
                    f"but its labels {labels.shape[0]} x {labels.shape[1]}."
                )
            parts.append(pixels.reshape(*labels.shape, -1))
        return np.concatenate(parts, axis=-1), labels  # (H,W,C), (H,W)

    def patch(self, index: int, top: int, left: int, size: tuple[int, int]) -> Sample:
        """Return a part of a sample: (height, width) pixels from row `top` and column `left`.

        Raises:
            ArgumentError: the part reaches over the sample's edge.
        """
        image, labels = self[index]
        (height, width), (rows, columns) = size, labels.shape
        if not (0 <= top <= rows - height and 0 <= left <= columns - width):
            raise ArgumentError(
                f"landcover: a patch of {height} x {width} at ({top}, {left}) reaches over the "
                f"edge of a sample of {rows} x {columns}."
            )
        part: Any = np.s_[top : top + height, left : left + width]
        return image[part], labels[part]


def _classes(path: Path) -> NDArray[np.uint8]:
    """Return class numbers, uint8 (H,W), as they stand in a file of grey or of a palette."""
    numbers = read_picture("landcover", path).numbers
    if numbers.ndim == 3 and (numbers == numbers[..., :1]).all():  # grey, stored as colours
        numbers = numbers[..., 0]
    if numbers.ndim != 2 or numbers.dtype.kind not in "ubi" or numbers.max() > 255:
        raise DataError(
            f"landcover: {path} holds {numbers.dtype} of shape {numbers.shape} up to "
            f"{numbers.max()}, but class numbers are integers (H,W) from 0 to 255."
        )
    return numbers.astype(np.uint8)


def load_data(
    path: str | Path | None = None,
    *,
    bands: Sequence[str] = ("images", "nir"),
    subset: str | None = None,
) -> Samples:
    """Return the samples, each read from disk when it is asked for.

    Args:
        path: the folder; by default `segmentation/chesapeake_landcover/` in `MINICNN_DATA` or in
            the cache.
        bands: folders that are joined along the channels; by default red, green and blue
            (`images`) and near infrared (`nir`), four channels.
        subset: `"train"`, `"validation"`, `"test"`, or None for all.

    Raises:
        DataError: the data are not there; the message says where to get them.
        ArgumentError: there is no such subset.

    >>> import tempfile
    >>> from minicnn.datasets import save_rendered_landcover
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_rendered_landcover(folder, 3, (32, 48))
    ...     samples = load_data(folder)
    ...     image, labels = samples[2]
    >>> len(samples), image.shape, labels.shape
    (3, (32, 48, 4), (32, 48))
    """
    folder = data_folder("landcover", path)
    pattern = "*"
    if subset is not None:
        pattern = _PARTS[check_choice("landcover", "subset", subset, _PARTS)]
    names = sorted(p.name for p in folder.glob(f"labels/{pattern}.png"))
    if not names:
        raise DataError(f"landcover: {folder} holds no labels/{pattern}.png.")
    for band in bands:
        missing = [name for name in names if not (folder / band / name).is_file()]
        if missing:
            raise DataError(f"landcover: {folder} has labels/{missing[0]} but no {band} of it.")
    return Samples(folder, names, bands)
