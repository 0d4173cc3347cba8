"""Nuclei: microscope images of cells' nuclei, and masks of where the nuclei are.

Source: J. C. Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data
Science Bowl, Nature Methods 16, 2019; set BBBC038v1 of the Broad Bioimage Benchmark Collection.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.registry import data_folder
from minicnn.errors import DataError
from minicnn.images import read_picture

__all__ = ["load_data"]

Images = NDArray[np.uint8] | list[NDArray[np.uint8]]


def load_data(path: str | Path | None = None, *, limit: int | None = None) -> tuple[Images, Images]:
    """Return (images, masks), grey and in the order of their names.

    Both are uint8 (N,H,W,1) where all images have one size, and lists of (H,W,1) otherwise. A mask
    is 0 for background and 1 for a nucleus. The images are as dim as they were taken; divide each
    by its own maximum before training.

    Two arrangements of files are read: `images/NAME.png` beside `masks/NAME.png`, and that of the
    published archive, `NAME/images/NAME.png` beside `NAME/masks/*.png` with one nucleus each.

    Args:
        path: the folder; by default `segmentation/dsb2018_nuclei/` in `MINICNN_DATA` or in the
            cache.
        limit: at most so many images, the first ones; all when None.

    Raises:
        DataError: the data are not there or damaged; the message says where to get them.

    >>> import tempfile
    >>> from minicnn.datasets import render_nuclei, write_image
    >>> images, masks = render_nuclei(2, (32, 48))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i, (image, mask) in enumerate(zip(images, masks)):
    ...         for kind, pixels in (("images", image), ("masks", mask * 255)):
    ...             Path(folder, kind).mkdir(exist_ok=True)
    ...             write_image(Path(folder, kind, f"{i}.png"), pixels)
    ...     read = load_data(folder)
    >>> read[0].shape, bool((read[0] == images).all()), bool((read[1] == masks).all())
    ((2, 32, 48, 1), True, True)
    """
    folder = data_folder("nuclei", path)
    published = sorted(folder.glob("*/images/*.png"))
    pairs: list[tuple[Path, list[Path]]]
    if published:
        pairs = [(p, sorted((p.parents[1] / "masks").glob("*.png"))) for p in published]
    else:
        pairs = [(p, [folder / "masks" / p.name]) for p in sorted(folder.glob("images/*.png"))]
    if not pairs:
        raise DataError(
            f"nuclei: {folder} holds no images/*.png beside masks/*.png, and no "
            f"NAME/images/*.png beside NAME/masks/*.png."
        )
    images, masks = [], []
    for image, parts in pairs[:limit]:
        images.append(_grey(image))
        mask: Any = np.zeros(images[-1].shape, np.uint8)
        for part in parts:
            mask |= _is_bright(_grey(part))
        masks.append(mask)
    if len({image.shape for image in images}) > 1:
        return images, masks
    return np.stack(images), np.stack(masks)


def _grey(path: Path) -> NDArray[np.uint8]:
    """Return an image as grey, uint8 (H,W,1)."""
    return np.asarray(read_picture("nuclei", path).pillow("L"))[..., None]


def _is_bright(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a mask is more than half of its largest number, which is 255 or 1."""
    return mask > mask.max() / 2
