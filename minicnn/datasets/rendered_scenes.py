"""Rendered nuclei and land: stand-ins with masks for the segmentation sets, without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.cell_shapes import Generator, pixel_places, smooth_noise
from minicnn.datasets.image_files import Size, height_and_width, write_image
from minicnn.datasets.landcover import NO_DATA
from minicnn.datasets.rendered_figures import check_count
from minicnn.files import make_folder

__all__ = ["render_landcover", "render_nuclei", "save_rendered_landcover"]

Bytes = NDArray[np.uint8]

#: Mean red, green, blue and near infrared of each class of land, 0 to 255.
_BANDS = {
    1: (55, 75, 85, 25),
    2: (60, 80, 62, 150),
    3: (120, 135, 95, 180),
    4: (165, 150, 130, 140),
    5: (175, 172, 168, 105),
    6: (130, 130, 132, 80),
}


def _noise(rng: Generator, nodes: int, height: int, width: int) -> Any:
    rows, columns = pixel_places(0, 1, 1, height)[:, None], pixel_places(0, 1, 1, width)[None]
    return smooth_noise(rng, nodes, rows, columns)


def render_nuclei(count: int, size: Size = 256, *, seed: int = 0) -> tuple[Bytes, Bytes]:
    """Render fluorescent nuclei as `nuclei.load_data` would return them: (images, masks).

    Bright, blurred ellipses of many sizes on a dark, uneven ground, with the camera's noise; some
    images are much dimmer than others. Image i does not depend on `count`.

    Args:
        count: number of images, 0 or more.
        size: height and width in pixels, one number for both or a pair (height, width).
        seed: chooses the random numbers, 0 or more.

    Returns:
        Images uint8 (N,H,W,1) and masks uint8 (N,H,W,1), 0 for background and 1 for a nucleus.

    Raises:
        ArgumentError: an argument outside its rule.

    >>> images, masks = render_nuclei(2, (48, 64))
    >>> images.shape, np.unique(masks).tolist()
    ((2, 48, 64, 1), [0, 1])
    """
    check_count("render_nuclei", count, seed)
    height, width = height_and_width("render_nuclei", size)
    images = np.empty((count, height, width, 1), np.uint8)
    masks = np.empty((count, height, width, 1), np.uint8)
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width)[None, :] + 0.5
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        scale = min(height, width) / 256
        light: Any = 0.05 + 0.015 * _noise(rng, 3, height, width)
        mask: Any = np.zeros((height, width), bool)
        radius = scale * rng.uniform(6, 14)
        for _ in range(rng.integers(8, 40)):
            cy, cx, turn = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0, np.pi)
            long = radius * rng.lognormal(0, 0.2)
            short = long * rng.uniform(0.6, 1)
            dy, dx = y - cy, x - cx
            u, v = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
            inside = (1 - np.hypot(u / long, v / short)) * short  # pixels inside the edge
            blurred = 1 / (1 + np.exp(-1.6 * np.clip(inside, -20, 20) / max(scale, 0.4)))
            light = np.maximum(light, rng.uniform(0.35, 0.9) * blurred)
            mask |= inside > 0
        light = light * (1 + 0.1 * _noise(rng, 24, height, width))
        light = rng.uniform(0.2, 1) * light + rng.normal(0, 0.006, light.shape)
        images[i, ..., 0] = np.rint(255 * np.clip(light, 0, 1))
        masks[i, ..., 0] = mask
    return images, masks


def render_landcover(count: int, size: Size = 256, *, seed: int = 0) -> tuple[Bytes, Bytes]:
    """Render land from above as samples of `landcover.load_data`: (images, labels).

    Woods, fields, bare ground, water, roads and buildings, each with its own colour, near infrared
    and grain; in every fourth sample a corner has no data. Sample i does not depend on `count`.

    Args:
        count: number of samples, 0 or more.
        size: height and width in pixels, one number for both or a pair (height, width).
        seed: chooses the random numbers, 0 or more.

    Returns:
        Images uint8 (N,H,W,4), red, green, blue and near infrared, and labels uint8 (N,H,W): keys
        of `landcover.CLASS_NAMES`.

    Raises:
        ArgumentError: an argument outside its rule.

    >>> images, labels = render_landcover(4, (48, 64))
    >>> images.shape, labels.shape, np.unique(labels).tolist()
    ((4, 48, 64, 4), (4, 48, 64), [1, 2, 3, 4, 5, 6, 15])
    """
    check_count("render_landcover", count, seed)
    height, width = height_and_width("render_landcover", size)
    images = np.empty((count, height, width, 4), np.uint8)
    labels = np.empty((count, height, width), np.uint8)
    y, x = np.arange(height)[:, None] / height, np.arange(width)[None, :] / width
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        height_of_plants = _noise(rng, 5, height, width) + 0.3 * _noise(rng, 16, height, width)
        label = np.where(height_of_plants > 0, 2, 3).astype(np.uint8)
        label[_noise(rng, 6, height, width) > 1.8] = 4
        label[_noise(rng, 3, height, width) > 1.3] = 1
        turn, place = rng.uniform(0, np.pi), rng.uniform(0.3, 0.7)
        across = (y - place) * np.cos(turn) + (x - place) * np.sin(turn)
        label[np.abs(across + 0.03 * np.sin(7 * (x - y))) < 0.025] = 6
        for _ in range(rng.integers(3, 10)):
            top, left = rng.uniform(0, 0.92, 2)
            tall, wide = rng.uniform(0.03, 0.08, 2)
            label[(y >= top) & (y < top + tall) & (x >= left) & (x < left + wide)] = 5
        grain = np.where(label == 2, 0.14, 0.05)[..., None]
        colour = np.array([_BANDS.get(c, (0, 0, 0, 0)) for c in range(16)], np.float64)[label]
        colour *= 1 + grain * rng.normal(size=(height, width, 1))
        colour *= 1 + 0.05 * _noise(rng, 8, height, width)[..., None]
        if i % 4 == 3:
            unknown = y + x < 0.4
            label[unknown], colour[unknown] = NO_DATA, 0
        images[i], labels[i] = np.rint(np.clip(colour, 0, 255)), label
    return images, labels


def save_rendered_landcover(
    folder: str | Path, count: int, size: Size = 256, *, seed: int = 0
) -> None:
    """Write rendered land as files that `landcover.load_data` reads.

    Args:
        folder: where to write; `images/`, `nir/` and `labels/` are made in it.
        count: number of samples, 0 or more.
        size: height and width in pixels, one number for both or a pair (height, width).
        seed: chooses the random numbers, 0 or more.

    Raises:
        ArgumentError: an argument outside its rule.
        OutputError: the folder or a file cannot be written.
    """
    target = Path(folder).expanduser()
    images, labels = render_landcover(count, size, seed=seed)
    for i in range(count):
        parts = {"images": images[i, ..., :3], "nir": images[i, ..., 3], "labels": labels[i]}
        for kind, pixels in parts.items():
            make_folder(target / kind)
            write_image(target / kind / f"rendered-{i:05d}.png", pixels)
