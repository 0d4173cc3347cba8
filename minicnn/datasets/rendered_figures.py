"""Rendered digits and hands: stand-ins for MNIST and SIGNS that need no download.

Both are drawn with strokes: a point belongs to a stroke if it is nearer to its line than half the
stroke's width. Each figure is turned, stretched, slanted and shifted a little before it is drawn.
"""

from __future__ import annotations

import itertools
from math import cos, pi, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.cell_shapes import Floats, Generator, pixel_places, smooth_noise
from minicnn.datasets.image_files import Size, height_and_width
from minicnn.errors import ArgumentError

__all__ = ["check_count", "render_digits", "render_signs"]

Points = list[tuple[float, float]]


def _arc(
    middle: tuple[float, float], radii: tuple[float, float], first: float, last: float
) -> Points:
    """Return points (y, x) on an ellipse between two angles in turns; 0 is right, 0.25 down."""
    turns = np.linspace(first, last, 13) * 2 * pi
    return [(middle[0] + radii[0] * sin(t), middle[1] + radii[1] * cos(t)) for t in turns]


#: The strokes of each digit: points (y, x), from -1 to 1, y downwards.
_DIGITS: tuple[list[Points], ...] = (
    [_arc((0, 0), (0.9, 0.6), 0, 1)],
    [[(-0.55, -0.3), (-0.9, 0.05), (0.9, 0.05)]],
    [[*_arc((-0.4, 0), (0.5, 0.55), -0.5, 0.1), (0.9, -0.6), (0.9, 0.6)]],
    [_arc((-0.45, -0.05), (0.45, 0.5), -0.45, 0.25), _arc((0.45, -0.05), (0.45, 0.6), -0.25, 0.45)],
    [[(0.9, 0.3), (-0.9, 0.3), (0.3, -0.6), (0.3, 0.65)]],
    [[(-0.9, 0.5), (-0.9, -0.4), (-0.1, -0.45), *_arc((0.35, -0.05), (0.5, 0.6), -0.25, 0.4)]],
    [[(-0.9, 0.3), (-0.4, -0.35), (0.35, -0.55)], _arc((0.4, 0), (0.5, 0.55), 0, 1)],
    [[(-0.9, -0.6), (-0.9, 0.6), (0.9, -0.15)]],
    [_arc((-0.45, 0), (0.42, 0.45), 0, 1), _arc((0.45, 0), (0.47, 0.57), 0, 1)],
    [_arc((-0.4, 0), (0.48, 0.52), 0, 1), [(-0.3, 0.52), (0.9, 0.25)]],
)

#: Where each finger begins and ends, the thumb last; drawn over the palm.
_FINGERS = (
    ((-0.1, 0.1), (-0.95, 0.14)),
    ((-0.1, -0.12), (-1.0, -0.14)),
    ((-0.1, 0.3), (-0.8, 0.42)),
    ((-0.05, -0.32), (-0.78, -0.46)),
    ((0.3, 0.3), (-0.05, 0.82)),
)


def check_count(where: str, count: int, seed: int) -> None:
    """Refuse a number of images or a seed below 0."""
    for argument, value in (("count", count), ("seed", seed)):
        if value < 0:
            raise ArgumentError(f"{where}: {argument}={value} must be at least 0.")


def _field(rng: Generator, height: int, width: int, fill: float) -> tuple[Floats, Floats]:
    """Return the places (y, x) (H,W) of the pixels in the figure's own coordinates."""
    y: Any = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height * 2 - 1
    x: Any = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / width * 2 - 1
    y, x = (y - rng.normal(0, 0.05)) / fill, (x - rng.normal(0, 0.05)) / fill
    turn, slant = rng.normal(0, 0.1), rng.normal(0, 0.15)
    y, x = y * cos(turn) - x * sin(turn), y * sin(turn) + x * cos(turn)
    return y * rng.uniform(0.9, 1.15), (x + slant * y) * rng.uniform(0.9, 1.2)


def _away(y: Floats, x: Floats, stroke: Points) -> Floats:
    """Return the distance (H,W) of points from a stroke."""
    nearest: Floats = np.full(np.broadcast_shapes(y.shape, x.shape), np.inf, np.float32)
    for (y0, x0), (y1, x1) in itertools.pairwise(stroke):
        dy, dx = y1 - y0, x1 - x0
        along = np.clip(((y - y0) * dy + (x - x0) * dx) / (dy * dy + dx * dx + 1e-9), 0, 1)
        nearest = np.minimum(nearest, np.hypot(y - y0 - along * dy, x - x0 - along * dx))
    return nearest


def render_digits(
    count: int, size: Size = 28, *, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Render digits as `mnist.load_data` would return them: (images, labels).

    Image i shows the digit i % 10 and does not depend on `count`.

    Args:
        count: number of images, 0 or more.
        size: height and width in pixels, one number for both or a pair (height, width).
        seed: chooses the random numbers, 0 or more.

    Returns:
        uint8 (N,H,W), background 0 and ink up to 255, and labels uint8 (N,).

    Raises:
        ArgumentError: an argument outside its rule.

    >>> images, labels = render_digits(12, (28, 30))
    >>> images.shape, labels.tolist()
    ((12, 28, 30), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    """
    check_count("render_digits", count, seed)
    height, width = height_and_width("render_digits", size)
    images = np.empty((count, height, width), np.uint8)
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        y, x = _field(rng, height, width, 0.68)
        half, soft = rng.uniform(0.09, 0.17), 3 / height  # of the line; of its edge
        strokes = [
            [(a + rng.normal(0, 0.025), b + rng.normal(0, 0.025)) for a, b in stroke]
            for stroke in _DIGITS[i % 10]
        ]
        away = np.minimum.reduce([_away(y, x, stroke) for stroke in strokes])  # (H,W)
        images[i] = np.rint(255 * np.clip((half - away) / soft + 0.5, 0, 1))
    return images, (np.arange(count) % 10).astype(np.uint8)


def render_signs(
    count: int, size: Size = 64, *, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Render hands that show 0 to 5 fingers, as one part of `signs.load_data`: (images, labels).

    Image i shows i % 6 fingers and does not depend on `count`.

    Args:
        count: number of images, 0 or more.
        size: height and width in pixels, one number for both or a pair (height, width).
        seed: chooses the random numbers, 0 or more.

    Returns:
        uint8 (N,H,W,3) and labels int64 (N,).

    Raises:
        ArgumentError: an argument outside its rule.

    >>> images, labels = render_signs(7, (48, 64))
    >>> images.shape, labels.tolist()
    ((7, 48, 64, 3), [0, 1, 2, 3, 4, 5, 0])
    """
    check_count("render_signs", count, seed)
    height, width = height_and_width("render_signs", size)
    images = np.empty((count, height, width, 3), np.uint8)
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        y, x = _field(rng, height, width, 0.85)
        parts = [(np.hypot((y - 0.32) / 1.15, x) - 0.42) * 1.0]  # the palm
        parts.append(_away(y, x, [(0.5, 0.0), (1.4, rng.normal(0, 0.1))]) - 0.3)  # the wrist
        for (y0, x0), (y1, x1) in _FINGERS[: i % 6]:
            tip = (y1 + rng.normal(0, 0.04), x1 + rng.normal(0, 0.04))
            parts.append(_away(y, x, [(y0, x0), tip]) - rng.uniform(0.095, 0.125))
        inside = np.minimum.reduce(parts)  # (H,W), negative in the hand
        hand = np.clip(0.5 - inside * height / 3, 0, 1)[..., None]  # (H,W,1)
        rows, columns = pixel_places(0, 1, 1, height)[:, None], pixel_places(0, 1, 1, width)[None]
        shade = 1 + 0.06 * smooth_noise(rng, 4, rows, columns)[..., None]
        light = np.clip(0.82 + 0.9 * inside, 0.6, 1)[..., None]  # fingers are darker at the edge
        skin = rng.uniform(0.55, 0.95) * np.array([1.0, 0.76, 0.62]) * (1.7 - light)
        wall = rng.uniform(0.6, 0.95) * (1 + rng.normal(0, 0.03, 3)) * shade
        picture = hand * skin * shade + (1 - hand) * wall  # (H,W,3)
        picture += rng.normal(0, 0.015, picture.shape)
        images[i] = np.rint(255 * np.clip(picture, 0, 1))
    return images, np.arange(count, dtype=np.int64) % 6
