"""Walks over windows: padding as part of the image, and only where something is to be shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from minicnn.geometry import Geometry, valid_outputs

__all__ = ["around", "inside", "padded", "windows_at"]

Index = tuple[int, ...]


def padded(g: Geometry) -> Geometry:
    """Return the same geometry with the padding as part of the image.

    >>> from minicnn.geometry import conv2d_geometry
    >>> g = padded(conv2d_geometry((5, 8), 3, padding=(1, 0)))
    >>> g.in_height, g.in_width, g.pad_top, g.out_height
    (7, 8, 0, 5)
    """
    return g._replace(
        in_height=g.in_height + g.pad_top + g.pad_bottom,
        in_width=g.in_width + g.pad_left + g.pad_right,
        pad_top=0,
        pad_bottom=0,
        pad_left=0,
        pad_right=0,
    )


def around(g: Geometry) -> tuple[tuple[int, int], ...]:
    """Return how many elements of padding lie before and after each axis of (N,H,W,C)."""
    return ((0, 0), (g.pad_top, g.pad_bottom), (g.pad_left, g.pad_right), (0, 0))


def inside(index: Index, block: Sequence[slice] | None) -> bool:
    """Return whether an index lies in a block; None is everything."""
    return block is None or all(s.start <= i < s.stop for i, s in zip(index, block, strict=True))


def windows_at(shape: Sequence[int], g: Geometry, block: Sequence[slice] | None) -> Iterator[Index]:
    """Yield the outputs (n,oh,ow,f) whose windows may touch a block of the padded image.

    Args:
        shape: of the outputs (N,OH,OW,F).
        g: geometry with the padding as part of the image.
        block: slices of (N,H,W,C) of the padded image; None is all of it.
    """
    ranges = [range(n) for n in shape]
    if block is not None:
        ranges[0] = range(block[0].start, block[0].stop)
        for axis, kernel, stride, dilation in (
            (1, g.kernel_height, g.stride_height, g.dilation_height),
            (2, g.kernel_width, g.stride_width, g.dilation_width),
        ):
            # The window's last element must reach the block, its first not pass it.
            reach = dilation * (kernel - 1) - block[axis].start
            first, _ = valid_outputs(block[axis].stop, shape[axis], stride, 0, reach)
            last = min(shape[axis], (block[axis].stop - 1) // stride + 1)
            ranges[axis] = range(first, max(first, last))
    return indices(ranges)


def indices(ranges: Sequence[range]) -> Iterator[Index]:
    """Yield every index that takes one number from each range, the last one changing fastest."""
    for index in np.ndindex(*(len(r) for r in ranges)):
        yield tuple(r[i] for r, i in zip(ranges, index, strict=True))


def elements(shape: Sequence[int], block: Sequence[slice] | None) -> Iterator[Index]:
    """Yield every index of an array, or of a block of it."""
    if block is None:
        return indices([range(n) for n in shape])
    return indices([range(s.start, s.stop) for s in block])
