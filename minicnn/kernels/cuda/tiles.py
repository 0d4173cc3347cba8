"""Which tile computes a matrix product, if any: by its sizes and the card's limits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minicnn.errors import BackendError, check_choice
from minicnn.kernels.cuda.device import Card

__all__ = ["MOST_BLOCKS", "PRECISIONS", "TILES", "Tile", "choose", "own_products",
           "precision", "products_are_own", "set_precision", "use_precision"]  # fmt: skip

#: How the tiles multiply float32 numbers: as such, or by tensor cores with about 3 or 6 digits.
PRECISIONS = ("float32", "tf32", "3xtf32")

#: Blocks of a launch along y, where they divide the columns of a result, and along z.
MOST_BLOCKS = 65535

_settings = {"precision": "float32"}


class _Thread(threading.local):
    #: Whether matrix products are left to the tiles, too.
    own_products = False


_thread = _Thread()


class Tile(NamedTuple):
    """One block's share of a matrix product; `register_tile.cu` or `tensor_cores.cu` computes it.

    Args:
        rows: of the result.
        columns: of the result.
        depth: products of each result between two barriers.
        thread_rows: results of one thread downwards, or of one warp on tensor cores.
        thread_columns: the same along a row.
        speed: what part of the card's arithmetic it reaches while it works, roughly; a guess that
            only orders the tiles.
    """

    rows: int
    columns: int
    depth: int
    thread_rows: int
    thread_columns: int
    speed: float

    def threads(self, tensor_cores: bool) -> int:
        """Return the threads of a block; on tensor cores, a warp has the results that a thread has.

        >>> Tile(128, 64, 8, 8, 8, 1.0).threads(False), Tile(128, 64, 8, 32, 32, 1.0).threads(True)
        (128, 256)
        """
        pieces = self.rows // self.thread_rows * (self.columns // self.thread_columns)
        return pieces * 32 if tensor_cores else pieces

    def shared_bytes(self, itemsize: int, tensor_cores: bool) -> int:
        """Return what two pieces of both operands take of shared memory.

        >>> Tile(128, 64, 8, 8, 8, 1.0).shared_bytes(4, False)
        12800
        """
        gap = 8 if tensor_cores else 16 // itemsize
        return 2 * self.depth * (self.rows + self.columns + 2 * gap) * itemsize


#: By precision, or float64. Larger tiles read less from memory for each product, smaller ones waste
#: less where rows, columns or blocks are few.
TILES = {
    "float32": (
        Tile(128, 128, 8, 8, 8, 1.0),
        Tile(128, 64, 8, 8, 8, 0.9),
        Tile(64, 64, 8, 8, 8, 0.8),
        Tile(128, 32, 8, 8, 4, 0.65),
        Tile(128, 16, 8, 4, 4, 0.45),
    ),
    "float64": (Tile(64, 64, 8, 4, 4, 0.9), Tile(64, 16, 8, 4, 2, 0.5)),
    "tf32": (
        Tile(128, 128, 16, 64, 32, 1.0),
        Tile(64, 64, 16, 32, 32, 0.7),
        Tile(128, 32, 16, 32, 32, 0.6),
    ),
}
TILES["3xtf32"] = TILES["tf32"]

#: The same for the plain kernels, in which every product reads both its numbers from memory.
PLAIN_SPEED = 0.1


def precision() -> str:
    """Return how tiles multiply float32 numbers."""
    return _settings["precision"]


def set_precision(name: str) -> None:
    """Choose how convolutions on the GPU multiply float32 numbers.

    Args:
        name: `"float32"` (default), `"tf32"`, where factors keep 10 bits behind the point, or
            `"3xtf32"`, nearly as exact as float32 by three products in place of one. The last two
            need tensor cores, of compute capability 8.0 or more. Layers whose kernel lies on the
            whole image go to cuBLAS, which computes in float32 whatever is chosen here.

    Raises:
        ArgumentError: the name is none of these.

    >>> set_precision("float32")
    """
    _settings["precision"] = check_choice("set_precision", "name", name, PRECISIONS)


@contextlib.contextmanager
def use_precision(name: str) -> Iterator[None]:
    """Choose a precision for the length of a `with` block.

    >>> with use_precision("TF32"):
    ...     precision()
    'tf32'
    """
    before = precision()
    set_precision(name)
    try:
        yield
    finally:
        _settings["precision"] = before


@contextlib.contextmanager
def own_products() -> Iterator[None]:
    """Leave no matrix product to cuBLAS in a `with` block: CuPy does not let it into a CUDA graph.

    >>> with own_products():
    ...     products_are_own()
    True
    """
    before = _thread.own_products
    _thread.own_products = True
    try:
        yield
    finally:
        _thread.own_products = before


def products_are_own() -> bool:
    """Return whether this thread leaves no matrix product to cuBLAS."""
    return _thread.own_products


def choose(
    rows: int, columns: int, products: int, dtype: np.dtype[Any], card: Card
) -> tuple[Tile, str] | None:
    """Return the tile that is likely fastest, and how it multiplies; None for the plain kernel.

    Args:
        rows: of the result.
        columns: of the result.
        products: how many matrix products of this size there are, as groups of a convolution.
        dtype: of the numbers.
        card: what it is to run on. A tile that needs more shared memory is left out, and one that
            needs more blocks than a launch may have.

    Raises:
        BackendError: the chosen precision needs tensor cores that the card does not have.

    >>> small = Card("a card", 75, 49152, 40, 4 << 20)
    >>> choose(100_000, 120, 1, np.dtype("float32"), small)[0][:2]
    (128, 128)
    >>> choose(100_000, 120, 1, np.dtype("float32"), small._replace(shared_bytes=12_000))[0][:2]
    (64, 64)
    >>> choose(100_000, 1, 1, np.dtype("float32"), small) is None
    True
    """
    kind = "float64" if dtype.itemsize == 8 else precision()
    tensor_cores = "tf32" in kind
    if tensor_cores and card.capability < 80:
        raise BackendError(
            f"precision {kind!r} needs compute capability 8.0 or more, but {card.name} has "
            f"{card.capability / 10}; set_precision('float32') works on every card."
        )
    best, least = None, rows * columns * products / card.multiprocessors / PLAIN_SPEED
    for tile in TILES[kind]:
        along = -(-columns // tile.columns)
        if tile.shared_bytes(dtype.itemsize, tensor_cores) > card.shared_bytes:
            continue
        if along > MOST_BLOCKS:
            continue
        blocks = -(-rows // tile.rows) * along * products
        time = -(-blocks // card.multiprocessors) * tile.rows * tile.columns / tile.speed
        if time < least:
            best, least = tile, time
    return None if best is None else (best, kind)
