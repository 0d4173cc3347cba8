"""The digits of the autoencoder examples, as numbers in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import Example

from minicnn.datasets import data_folder, mnist, render_digits

#: Images with `--fast`, to learn from and to test on.
FEW = (640, 200)


class Digits(NamedTuple):
    """Images float32 (N,28,28,1) in [0, 1] and labels (N,): to learn from, and to test on."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_digits(example: Example, classes: Sequence[int] = tuple(range(10))) -> Digits:
    """Return the digits of these classes: all of MNIST, or with `--fast` a few."""
    count = (sum(FEW) + 1) * 10 // len(classes)

    def rendered() -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        images, labels = render_digits(count, seed=example.seed)
        first = count * FEW[0] // sum(FEW)
        return (images[:first], labels[:first]), (images[first:], labels[first:])

    def at_hand(path: Path | None) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        return mnist.load_data(data_folder("mnist", path))

    parts = []
    # `mnist.load_data` alone would fetch what is missing: too long for `--fast`.
    found = example.load(at_hand if example.fast else mnist.load_data, rendered)
    for (images, labels), few in zip(found, FEW, strict=True):
        chosen = np.flatnonzero(np.isin(labels, classes))[: few if example.fast else None]
        parts += [images[chosen, :, :, None] / np.float32(255), labels[chosen].astype(int)]
    digits = Digits(*parts)
    example.say("digits to learn from, and to test on", f"{len(parts[0])}, {len(parts[2])}")
    return digits
