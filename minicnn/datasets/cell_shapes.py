"""The shape of a rendered cell: its outline, how a segmentation cuts it out, and smooth noise.

The segmentation decides in small square blocks, as that of the malaria cells did. Lengths are in
radii of a cell, y downwards, from its centre.
"""

from __future__ import annotations

from math import cos, pi, sin
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "EXTENT", "Circle", "Cut", "Floats", "Generator", "Mask", "Shape",
           "connected", "coverage", "draw_shape", "length", "pixel_places", "segment",
           "smooth_noise"]  # fmt: skip

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Generator = np.random.Generator

EXTENT = 1.7  # the square field around a cell reaches so far from its centre
BLOCK = 3.0  # pixels a side of the squares in which the segmentation decides


class Circle(NamedTuple):
    """A neighbour that touches a cell."""

    y: float
    x: float
    radius: float

    def away(self, y: Floats, x: Floats) -> Floats:
        """Return how far outside the circle each point lies (negative inside)."""
        return length(y - self.y, x - self.x) - self.radius


class Shape(NamedTuple):
    """Outline of one cell, and what the segmentation makes of it."""

    waves: NDArray[np.complex128]  # (6,) Fourier coefficients 2, 3, ... 7 of the radius
    flats: list[tuple[float, float, float]]  # flattened sides: direction (y, x) and distance
    dents: list[Circle]  # neighbours that push the edge inwards
    bites: list[Circle]  # neighbours that are cut off together with a part of the cell
    lobes: list[Circle]  # parts of neighbours that are not cut off

    def depth(self, y: Floats, x: Floats) -> Floats:
        """Return how far inside the edge each point lies (negative outside), (H,W)."""
        radius = length(y, x)
        unit = np.empty(radius.shape, np.complex64)  # exp(i * angle) of each point
        unit.real, unit.imag = x / radius, y / radius
        series = np.zeros_like(unit)
        for wave in self.waves[::-1].astype(np.complex64):  # Horner's rule
            series *= unit
            series += wave
        series *= unit * unit
        depth: Floats = 1 + series.real - radius
        for down, right, distance in self.flats:
            depth = np.minimum(depth, distance - (down * y + right * x))
        for dent in self.dents:
            depth = np.minimum(depth, dent.away(y, x))
        for lobe in self.lobes:
            depth = np.maximum(depth, -lobe.away(y, x))
        return depth


class Cut(NamedTuple):
    """The blocks that the segmentation kept."""

    kept: Mask  # (B,B) over the whole field
    inner: Mask  # (B,B) those among them in which a parasite is well visible
    top: int
    bottom: int  # first row of blocks below the cell
    left: int
    right: int  # first column of blocks to the right of the cell


def length(y: Floats, x: Floats) -> Floats:
    """Return the distance of points from the centre."""
    away: Floats = np.sqrt(y * y + x * x) + np.float32(1e-6)  # never 0: it is divided by
    return away


def pixel_places(first: int, last: int, count: int, pixels: int) -> Floats:
    """Return the places of pixels spread evenly over some of the `count` blocks of the field.

    >>> pixel_places(1, 4, count=4, pixels=3).astype(float).round(3).tolist()
    [-0.425, 0.425, 1.275]
    """
    steps = first + (np.arange(pixels) + 0.5) / pixels * (last - first)  # in blocks
    return ((steps / count * 2 - 1) * EXTENT).astype(np.float32)


def draw_shape(rng: Generator, crowded: float) -> Shape:
    """Draw the outline of a cell; `crowded`, 0 to 1, is the chance that a neighbour touches it."""

    def neighbour(radius: float, away: float) -> Circle:
        side = rng.uniform(0, 2 * pi)
        return Circle(away * sin(side), away * cos(side), radius)

    size = rng.gamma(2.0, 0.022) / np.arange(2, 8) ** 1.1
    waves = (rng.normal(size=6) + 1j * rng.normal(size=6)) * size
    stretch = rng.uniform(0.10, 0.26) if rng.random() < 0.16 else abs(rng.normal(0, 0.035))
    waves[0] += stretch * np.exp(1j * rng.uniform(0, 2 * pi))
    shape = Shape(waves, [], [], [], [])
    for _ in range(rng.choice(4, p=(0.55, 0.22, 0.15, 0.08))):
        side = rng.uniform(0, 2 * pi)
        shape.flats.append((sin(side), cos(side), rng.uniform(0.74, 0.97)))
    for _ in range(rng.choice(3, p=(1 - crowded, 0.75 * crowded, 0.25 * crowded))):
        radius = rng.uniform(0.3, 1.1)
        touching = neighbour(radius, 0.88 + radius - 0.42 * rng.random() ** 1.5)
        (shape.dents if rng.random() < 0.45 else shape.bites).append(touching)
    if rng.random() < 0.4 * crowded:
        radius = rng.uniform(0.12, 0.35)
        shape.lobes.append(neighbour(radius, 1.05 + radius * rng.uniform(-0.6, 0.3)))
    return shape


def segment(rng: Generator, shape: Shape, pixels: float) -> Cut:
    """Cut a cell of so many pixels a radius out, a little inside or outside its edge."""
    count = round(2 * EXTENT * pixels / BLOCK)
    places = pixel_places(0, count, count, count)
    y, x = places[:, None], places[None, :]
    depth = shape.depth(y, x)  # (B,B)
    for bite in shape.bites:
        depth = np.minimum(depth, bite.away(y, x))
    # The threshold follows the background, which is seldom even: more is left on one side.
    margin, side = rng.normal(0.02, 0.03), rng.uniform(0, 2 * pi)
    lean = rng.gamma(1.2, 0.02) * (cos(side) * x + sin(side) * y)
    uneven = min(0.06, rng.gamma(1.2, 0.018 if shape.bites else 0.01))
    rough = uneven * smooth_noise(rng, 22, y, x)
    rough += 0.011 * rng.standard_normal(rough.shape, np.float32)
    kept = connected(depth + lean + rough > margin, length(y, x) < 0.35)
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    return Cut(kept, kept & (depth > 0.13), rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)


def smooth_noise(rng: Generator, nodes: int, y: Floats, x: Floats) -> Floats:
    """Return noise (H,W) of standard deviation about 1, with `nodes` bumps across the field.

    Random values at the nodes, joined by cubic B-splines. Written without a matrix product: its
    last digits would depend on the machine, and its threads cost more than they save here.
    """

    def taps(along: Floats) -> tuple[NDArray[np.intp], Floats]:
        places = (along.ravel() / EXTENT + 1) * (nodes / 2)
        first = places.astype(np.intp)
        t = places - first.astype(np.float32)  # (H,), between 0 and 1
        square = t * t
        cube = square * t
        u = 1 - t
        weights = np.stack(
            [u * u * u, 3 * cube - 6 * square + 4, 3 * (t + square - cube) + 1, cube]
        )
        return first, weights / 4.16  # (4,H); 4.16 gives unit variance on average

    values = rng.standard_normal((nodes + 4, nodes + 4), np.float32)
    (top, down), (left, right) = taps(y), taps(x)
    part = sum(right[tap, :, None] * values[left + tap] for tap in range(4))  # (W,nodes+4)
    part = np.ascontiguousarray(np.transpose(part))
    noise: Floats = sum(
        (down[tap, :, None] * part[top + tap] for tap in range(4)),
        np.zeros((len(top), len(left)), np.float32),
    )
    return noise


def connected(mask: Mask, seed: Mask) -> Mask:
    """Return the part of a mask that hangs together with the seed by the sides of its blocks.

    >>> mask = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]], bool)
    >>> seed = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool)
    >>> connected(mask, seed).astype(int).tolist()
    [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    """
    height, width = mask.shape[0], mask.shape[1] + 1  # with a gap between one row and the next

    def bits(blocks: Mask) -> int:
        return int.from_bytes(np.packbits(np.pad(blocks, ((0, 0), (0, 1)))).tobytes())

    # All rows are the bits of one integer, so that a step to any side is one shift.
    allowed = bits(mask)
    grown, found = bits(seed) & allowed, -1
    while grown != found:
        found = grown
        grown |= found << 1 | found >> 1 | found << width | found >> width
        grown &= allowed
    data = np.frombuffer(found.to_bytes(-(-height * width // 8)), np.uint8)
    return np.unpackbits(data, count=height * width).astype(bool).reshape(height, width)[:, :-1]


def coverage(blocks: NDArray[Any], pixels: int) -> Floats:
    """Resize blocks (B,M) along the first axis to pixels, each the mean of what it covers.

    >>> coverage(np.array([[3, 0], [0, 6], [9, 3]]), 2).round(3).tolist()
    [[2.0, 2.0], [6.0, 4.0]]
    """
    total = np.zeros((len(blocks) + 1, blocks.shape[1]), np.float32)
    np.cumsum(blocks, axis=0, out=total[1:])
    borders = np.arange(pixels + 1) * (len(blocks) / pixels)
    below = np.minimum(borders.astype(np.intp), len(blocks) - 1)
    part = (borders - below).astype(np.float32)[:, None]
    sums = total[below] + part * (total[below + 1] - total[below])
    means: Floats = np.diff(sums, axis=0) * np.float32(pixels / len(blocks))
    return means
