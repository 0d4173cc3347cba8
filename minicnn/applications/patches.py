"""Patches of images with their masks, cut out, flipped and turned alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import ArgumentError

__all__ = ["random_patches"]

Array = NDArray[Any]


def random_patches(
    samples: Sequence[tuple[Array, Array]],
    size: int,
    *,
    per_sample: int | None = None,
    seed: int = 0,
) -> Iterator[tuple[Array, Array]]:
    """Yield for one epoch random square patches of images with the same patches of their masks.

    Each patch is flipped along either axis and its axes exchanged, each with probability 1/2. A
    sample is asked for when a patch of it is due, so samples that are read from disk need no
    memory.

    Args:
        samples: pairs of image (H,W,C) and mask (H,W) or (H,W,1), of any sizes.
        size: height and width of a patch in pixels.
        per_sample: patches of each sample; by default as many as have room in the first sample
            side by side.
        seed: another one gives other patches.

    Raises:
        ArgumentError: a sample is smaller than a patch.

    >>> image, mask = np.zeros((32, 48, 3)), np.zeros((32, 48, 1))
    >>> patches = list(random_patches([(image, mask)], 16))
    >>> len(patches), patches[0][0].shape, patches[0][1].shape
    (6, (16, 16, 3), (16, 16, 1))
    """
    rng = np.random.default_rng(seed)
    if per_sample is None:
        rows, columns = samples[0][1].shape[:2]
        per_sample = max(1, (rows // size) * (columns // size))
    for index in rng.permutation(np.repeat(np.arange(len(samples)), per_sample)):
        image, mask = samples[int(index)]
        rows, columns = mask.shape[:2]
        if min(rows, columns) < size:
            raise ArgumentError(
                f"random_patches: size={size}, but sample {index} has {rows} x {columns} pixels; "
                f"at most {min(rows, columns)} fit."
            )
        top, left = rng.integers(0, rows - size + 1), rng.integers(0, columns - size + 1)
        down, right = rng.choice([-1, 1], size=2)
        pair = [a[top : top + size, left : left + size][::down, ::right] for a in (image, mask)]
        if rng.random() < 0.5:
            pair = [a.swapaxes(0, 1) for a in pair]
        yield pair[0], pair[1]
