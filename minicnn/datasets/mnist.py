"""MNIST: handwritten digits.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document
recognition, Proceedings of the IEEE 86(11), 1998.
"""

from __future__ import annotations

import gzip
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.download import download
from minicnn.datasets.registry import DATASETS, data_folder, find_folder
from minicnn.errors import DataError

__all__ = ["load_data"]

Array = NDArray[Any]
Split = tuple[tuple[Array, Array], tuple[Array, Array]]

_PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
_KEYS = ("x_train", "y_train", "x_test", "y_test")


def load_data(path: str | Path | None = None) -> Split:
    """Return the digits as ((x_train, y_train), (x_test, y_test)).

    Images are uint8 (60000,28,28) and (10000,28,28), background 0 and ink up to 255; labels are
    uint8 (60000,) and (10000,), 0 to 9. Read are the four original idx files, with or without
    `.gz`, or `mnist.npz`.

    Args:
        path: the folder of these files, or an `.npz` file; by default `mnist/` in `MINICNN_DATA`
            or in the cache, into which 11 MB are fetched if both lack it. As in Keras, the name
            `"mnist.npz"` alone means the default, too.

    Raises:
        DataError: the files are missing and cannot be fetched, or are damaged.

    >>> import tempfile
    >>> from minicnn.datasets import render_digits
    >>> images, labels = render_digits(6, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "mnist.npz")
    ...     np.savez(file, x_train=images[:4], y_train=labels[:4], x_test=images[4:], y_test=labels)
    ...     (x_train, y_train), (x_test, y_test) = load_data(file)
    >>> x_train.shape, x_test.shape, y_train.tolist()
    ((4, 28, 28), (2, 28, 28), [0, 1, 2, 3])
    """
    if path is not None and Path(path).suffix == ".npz" and Path(path).expanduser().is_file():
        return _read_npz(Path(path).expanduser())
    if path not in (None, "mnist.npz"):
        folder = data_folder("mnist", path)
    else:
        folder = find_folder("mnist") or _fetch()
    if (folder / "mnist.npz").is_file():
        return _read_npz(folder / "mnist.npz")
    x_train, y_train, x_test, y_test = (_read_idx(folder, name) for name in _PARTS)
    return (x_train, y_train), (x_test, y_test)


def _fetch() -> Path:
    print(f"fetching the MNIST digits (11 MB) from {DATASETS['mnist'].address}", file=sys.stderr)
    return download("mnist")


def _read_npz(path: Path) -> Split:
    try:
        with np.load(path, allow_pickle=False) as file:
            x_train, y_train, x_test, y_test = (file[key] for key in _KEYS)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"mnist: {path} is damaged or holds something else ({error}); expected are the arrays "
            f"{', '.join(_KEYS)}."
        ) from None
    return (x_train, y_train), (x_test, y_test)


def _read_idx(folder: Path, name: str) -> Array:
    """Return one idx file: two zeros, type 8 for uint8, number of axes, lengths, numbers."""
    packed, plain = folder / f"{name}-ubyte.gz", folder / f"{name}-ubyte"
    path = packed if packed.is_file() else plain
    try:
        content = path.read_bytes()
        data = gzip.decompress(content) if path == packed else content
        axes = data[3]
        lengths = np.frombuffer(data, ">u4", axes, offset=4)
        if data[:3] != b"\0\0\x08":
            raise ValueError("an idx file of uint8 begins with 0, 0, 8")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(lengths.tolist()).copy()
    except FileNotFoundError:
        raise DataError(
            f"mnist: {folder} holds neither mnist.npz nor {packed.name}; expected is mnist.npz, or "
            f"all of {', '.join(f'{part}-ubyte.gz' for part in _PARTS)}."
        ) from None
    except (OSError, ValueError, IndexError, EOFError, zlib.error) as error:
        raise DataError(f"mnist: {path} is damaged ({error}); fetch it again.") from None
