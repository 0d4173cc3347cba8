"""SIGNS: photographs of hands that show no finger to five fingers.

Source: the SIGNS data of deeplearning.ai's Deep Learning Specialization and of Stanford's CS230.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.registry import data_folder
from minicnn.errors import DataError, ShapeError
from minicnn.files import hdf5

__all__ = ["clean_test_indices", "load_data"]

Array = NDArray[Any]


def load_data(path: str | Path | None = None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return the hands as ((x_train, y_train), (x_test, y_test)).

    Images are uint8 (1080,64,64,3) and (120,64,64,3); labels are int64 (1080,) and (120,), the
    number of fingers, 0 to 5. Read are `train_signs.h5` (or a `train_signs_*.h5` made from the
    published JPEG files) and `test_signs.h5`.

    Some test photographs are training photographs, too: see `clean_test_indices`.

    Args:
        path: the folder; by default `signs/` in `MINICNN_DATA` or in the cache.

    Raises:
        DataError: the files are missing or damaged; the message says where to get them.

    >>> import h5py, tempfile
    >>> from minicnn.datasets import render_signs
    >>> images, labels = render_signs(5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in ("train", "test"):
    ...         with h5py.File(Path(folder, f"{part}_signs.h5"), "w") as file:
    ...             file[f"{part}_set_x"], file[f"{part}_set_y"] = images, labels
    ...     (x_train, y_train), (x_test, y_test) = load_data(folder)
    >>> x_train.shape, y_test.tolist()
    ((5, 64, 64, 3), [0, 1, 2, 3, 4])
    """
    folder = data_folder("signs", path)
    original = folder / "train_signs.h5"
    train = original if original.is_file() else sorted(folder.glob("train_signs*.h5"))[0]
    return _read(train, "train"), _read(folder / "test_signs.h5", "test")


def _read(path: Path, part: str) -> tuple[Array, Array]:
    h5py = hdf5(path)
    try:
        with h5py.File(path, "r") as file:
            images, labels = file[f"{part}_set_x"][()], file[f"{part}_set_y"][()]
    except (OSError, KeyError) as error:
        raise DataError(
            f"signs: {path} is damaged or holds something else ({error}); expected are the arrays "
            f"{part}_set_x and {part}_set_y."
        ) from None
    return images, labels.astype(np.int64).ravel()


def clean_test_indices(x_train: Array, x_test: Array, limit: float = 7.0) -> NDArray[np.int64]:
    """Return the positions of the test images that are no copies of training images.

    Two images are taken for copies of one photograph if the root of their mean squared difference
    is below the limit: JPEG alone makes 3 to 6 of 255, other photographs of a hand differ by more
    than 7.

    Args:
        x_train: uint8 (M,H,W,C).
        x_test: uint8 (N,H,W,C).
        limit: in steps of 255, default 7.

    Raises:
        ShapeError: the images differ in size.

    >>> train = np.zeros((1, 2, 3, 1), np.uint8)
    >>> clean_test_indices(train, np.array([train[0] + 1, train[0] + 90])).tolist()
    [1]
    """
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ShapeError(
            f"clean_test_indices: x_train has images of shape {x_train.shape[1:]} and x_test of "
            f"{x_test.shape[1:]}; only images of one shape can be compared."
        )
    train, test = (x.reshape(len(x), -1).astype(np.float64) for x in (x_train, x_test))
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b: one matrix product compares all pairs.
    squares = (test**2).sum(1)[:, None] + (train**2).sum(1) - 2 * test @ train.T  # (N,M)
    nearest = np.sqrt(np.maximum(squares.min(1), 0) / test.shape[1])
    return np.flatnonzero(nearest >= limit)
