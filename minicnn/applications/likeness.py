"""What images of cells are compared by: shape, colour, stain and size, each in numbers of its own.

A network's code holds the outline first, where most of an image's error lies, so it gives the
shape alone; the rest is measured in the image itself, in CIELAB's L, a and b, in which distances
are about as large as the eye finds them:

    shape   the code, (h,w,channels) numbers
    colour  the cell's median L, a and b: 3 numbers
    stain   percentiles of L, a and b over the cell less that median: 18 numbers
    size    the logarithms of the cell's area in pixels of its file, and of height / width

Source: CIE 15:2004, Colorimetry; IEC 61966-2-1 for sRGB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import ArgumentError, check_choice

__all__ = ["PARTS", "Ranking", "cell_mask", "comparable", "describe", "lab", "rank", "weights_of"]

Array = NDArray[Any]

PARTS = ("shape", "colour", "stain", "size")

#: Of linear red, green and blue in X, Y and Z, each divided by that of white (D65).
_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
) / np.array([[0.9505], [1.0], [1.089]])
_PERCENTILES = (1, 5, 25, 75, 95, 99)
_BACKGROUND = 0.2  # of an image's brightest; cut-out cells lie on black


def lab(colours: Array) -> Array:
    """Return CIELAB's L (0 to 100), a and b of sRGB colours (...,3) in [0, 1], under D65.

    >>> lab(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])).round(1).tolist()
    [[100.0, 0.0, 0.0], [53.2, 80.1, 67.2]]
    """
    colours = np.clip(colours, 0, 1)
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    ratios = linear @ _TO_XYZ.T  # (...,3)
    slope = 29 / 6  # the cube root is too steep near black, where a straight line takes over
    roots = np.where(ratios > slope**-3, np.cbrt(ratios), ratios * slope**2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(roots, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1) + 0.0


def cell_mask(images: Array) -> Array:
    """Return where images (N,H,W,3) have a fifth of their brightest or more: (N,H,W), the cells."""
    bright = images.max(axis=-1)
    return np.asarray(bright >= _BACKGROUND * bright.max(axis=(1, 2), keepdims=True))


def describe(
    images: Array, codes: Array | None = None, sizes: Sequence[tuple[int, ...]] | None = None
) -> dict[str, Array]:
    """Return for each part the numbers that images are compared by, arrays with N first.

    Args:
        images: (N,H,W,3) in [0, 1].
        codes: of the images, (N,h,w,channels); without them there is no shape.
        sizes: height and width of their files in pixels; without them there is no size.

    >>> parts = describe(np.full((2, 8, 6, 3), 0.5), sizes=[(80, 60), (40, 30)])
    >>> {name: numbers.shape for name, numbers in parts.items()}
    {'colour': (2, 3), 'stain': (2, 18), 'size': (2, 2)}
    """
    masks = cell_mask(images)
    colour, stain = [], []
    for image, mask in zip(images, masks, strict=True):
        pixels = lab(image[mask].astype(np.float64))  # (P,3)
        colour.append(np.median(pixels, axis=0))
        stain.append((np.percentile(pixels, _PERCENTILES, axis=0) - colour[-1]).ravel())
    parts = {} if codes is None else {"shape": codes}
    parts |= {"colour": np.array(colour), "stain": np.array(stain)}
    if sizes is not None:
        height, width = np.asarray(sizes, float).T
        area = masks.mean(axis=(1, 2)) * height * width
        parts["size"] = np.stack([np.log(area), np.log(height / width)], axis=1)
    return parts


def comparable(
    folder: Mapping[str, Array], asked: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the parts of a folder's images (N,...) and of queries (Q,...) on one scale.

    Each number (of a code, each channel) is divided by its standard deviation over the folder, and
    each part so that the mean of distance**2 over all pairs of the folder is 1. A part in which the
    folder's images do not differ is 0 in all.

    >>> found, asked = comparable({"size": np.array([[1.0], [3.0]])}, {"size": np.array([[2.0]])})
    >>> found["size"].round(3).tolist(), asked["size"].tolist()
    ([[-0.707], [0.707]], [[0.0]])
    """
    scaled: tuple[dict[str, Array], dict[str, Array]] = ({}, {})
    for name, numbers in folder.items():
        spread = numbers.astype(np.float64).std(axis=tuple(range(numbers.ndim - 1)))
        least = 1e-6 * np.abs(numbers).max()  # what rounding leaves is no difference
        factor = 1 / np.where(spread > least, spread, np.inf)
        flat = [(x * factor).reshape(len(x), -1) for x in (numbers, asked[name])]  # (N,K), (Q,K)
        middle, total = flat[0].mean(axis=0), float(flat[0].var(axis=0).sum())
        for given, x in zip(scaled, flat, strict=True):
            given[name] = (x - middle) / math.sqrt(2 * total or 1.0)
    return scaled


@dataclass(frozen=True)
class Ranking:
    """The images of a folder in the order of their likeness to each of Q queries, nearest first.

    Args:
        indices: positions in the folder (Q,N).
        distances: of these, (Q,N).
        by_part: the same for each part alone, in the same order.
    """

    indices: Array
    distances: Array
    by_part: Mapping[str, Array]

    def farther(self, part: str) -> Array:
        """Return for each image the share of the folder that is farther by this part, (Q,N)."""
        found = self.by_part[part]
        return np.array([1 - np.searchsorted(np.sort(x), x, "right") / len(x) for x in found])


def rank(
    folder: Mapping[str, Array], asked: Mapping[str, Array], weights: Mapping[str, float]
) -> Ranking:
    """Rank the images of a folder by their likeness to queries, with the parts as `comparable`.

    distance**2 = sum over parts of weight * (distance by that part)**2

    Args:
        folder: for each part, the numbers (N,...) of its images, as `describe` gives them.
        asked: the same of the queries, (Q,...).
        weights: for each part that counts, its share; the shares add up to 1.

    >>> folder = {"colour": np.array([[0.0], [6.0], [3.0]]), "size": np.array([[1], [1], [9]])}
    >>> asked = {"colour": np.array([[5.0]]), "size": np.array([[9]])}
    >>> rank(folder, asked, {"colour": 1.0}).distances.round(2).tolist()
    [[0.29, 0.58, 1.44]]
    >>> rank(folder, asked, {"colour": 0.5, "size": 0.5}).indices.tolist()
    [[2, 1, 0]]
    """
    ours, theirs = comparable(*({name: x[name] for name in weights} for x in (folder, asked)))
    single = {
        name: np.array([np.linalg.norm(x - query, axis=1) for query in theirs[name]])
        for name, x in ours.items()
    }  # (Q,N) each
    distances = np.sqrt(sum(weight * single[name] ** 2 for name, weight in weights.items()))
    order = np.argsort(distances, axis=1, kind="stable")
    every = {"": distances, **single}
    sorted_ = {name: np.take_along_axis(x, order, axis=1) for name, x in every.items()}
    return Ranking(order, sorted_.pop(""), sorted_)


def weights_of(text: str, option: str = "--by") -> dict[str, float]:
    """Return the shares of the parts that a text such as `shape,colour=2` names; their sum is 1.

    Raises:
        ArgumentError: a part is not known or named twice, or a weight is no number above 0.

    >>> weights_of("shape,colour=3")
    {'shape': 0.25, 'colour': 0.75}
    """
    found: dict[str, float] = {}
    for item in text.split(","):
        name, equals, number = (x.strip() for x in item.partition("="))
        name = check_choice(option, "part", name, PARTS)
        if name in found:
            raise ArgumentError(f"{option} {text}: {name} is named twice; give it one weight.")
        try:
            found[name] = float(number) if equals else 1.0
        except ValueError:
            found[name] = math.nan
        if not 0 < found[name] < math.inf:
            raise ArgumentError(
                f"{option} {text}: {name} has the weight {number or 'nothing'!r}, but a weight is "
                f"a number above 0, such as {name}=2; leave a part out that shall not count."
            )
    total = sum(found.values())
    return {name: found[name] / total for name in PARTS if name in found}
