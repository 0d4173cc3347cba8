"""Malaria: red blood cells of thin blood smears, with and without parasites.

Source: S. Rajaraman et al., Pre-trained convolutional neural networks as feature extractors toward
improved malaria parasite detection in thin blood smear images, PeerJ 6:e4568, 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from minicnn.datasets.cell_images import CellImages, load_cell_images
from minicnn.datasets.image_files import Size
from minicnn.datasets.registry import data_folder

__all__ = ["folder", "load_data"]


def folder(path: str | Path | None = None) -> Path:
    """Return the folder that holds `Parasitized/` and `Uninfected/`.

    Args:
        path: the folder, if it lies neither in `MINICNN_DATA` nor in the cache.

    Raises:
        DataError: the data are not there; the message says where to get them.
    """
    return data_folder("malaria", path)


def load_data(
    path: str | Path | None = None,
    size: Size = 64,
    *,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CellImages:
    """Return the cells, resized, with classes and slides, as `load_cell_images` reads them.

    Args:
        path: the folder; by default `malaria/` in `MINICNN_DATA` or in the cache.
        size: height and width in pixels, one number for both or a pair (height, width).
        limit: at most so many files of each class, evenly spaced; all when None.
        progress: called with (files read, number of files) after every file.

    Returns:
        Images float32 (N,H,W,3) between 0 and 1, labels int64 (N,), 0 for Parasitized and 1 for
        Uninfected, and more; see `CellImages`. `split_by_slide` splits them fairly.

    Raises:
        DataError: the data are not there; the message says where to get them.

    >>> import tempfile
    >>> from minicnn.datasets import save_rendered_cells
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = save_rendered_cells(place, 4)
    ...     load_data(place, (32, 48)).images.shape
    (4, 32, 48, 3)
    """
    return load_cell_images(folder(path), size, limit=limit, progress=progress)
