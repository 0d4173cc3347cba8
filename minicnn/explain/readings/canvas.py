"""A picture of few colours in which text is smooth, fast to copy and to draw upon.

Pixels are numbers of colours. A pair of background and ink owns `LEVELS` colours, from the one to
the other, so that smooth text is drawn by adding its shade to the number of the background.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn.explain.readings.colours import LIGHT
from minicnn.explain.readings.lettering import font_path
from minicnn.explain.records.panel import ROLES

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

__all__ = ["Canvas", "Pixels", "plain"]

Pixels = NDArray[np.uint8]

#: Shades from background to ink.
LEVELS = 8


def _pairs() -> dict[str, tuple[str, str]]:
    """Return (background, ink) of every kind of text and cell."""
    pairs = {
        "text": (LIGHT.paper, LIGHT.text),
        "note": (LIGHT.paper, LIGHT.muted),
        "outside": (LIGHT.padding, LIGHT.muted),
        "line": (LIGHT.line, LIGHT.line),
        "hatch": (LIGHT.hatch, LIGHT.hatch),
        "accent": (LIGHT.accent, LIGHT.accent),
    }
    for role in ROLES:
        shades = LIGHT.role(role)
        pairs[f"{role} pale"] = (shades.pale, LIGHT.text)
        pairs[f"{role} fill"] = (shades.fill, LIGHT.text)
        pairs[f"{role} outside"] = (shades.pale, LIGHT.muted)
        pairs[f"{role} name"] = (LIGHT.paper, shades.strong)
    return pairs


PAIRS = _pairs()
FIRST = {name: number * LEVELS for number, name in enumerate(PAIRS)}


def plain(name: str) -> int:
    """Return the number of a pair's background.

    >>> plain("text"), plain("note")
    (0, 8)
    """
    return FIRST[name]


def _strong(role: str) -> int:
    return FIRST[f"{role} name"] + LEVELS - 1


@functools.cache
def _palette() -> list[int]:
    """Return red, green and blue of every colour."""

    def parts(colour: str) -> NDArray[np.float64]:
        return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)

    found: list[int] = []
    for background, ink in PAIRS.values():
        for level in range(LEVELS):
            share = level / (LEVELS - 1)
            mixed = parts(background) * (1 - share) + parts(ink) * share
            found += [round(float(c)) for c in mixed]
    return found


@functools.cache
def _font(size: int, bold: bool) -> FreeTypeFont:
    from PIL import ImageFont

    path = font_path()
    return ImageFont.truetype(path.with_stem(f"{path.stem}-Bold") if bold else path, size)


@functools.lru_cache(4096)
def _shades(text: str, size: int, bold: bool) -> Pixels:
    """Return a line of text as shades from 0 to LEVELS - 1; the same height for each text."""
    from PIL import Image, ImageDraw

    font = _font(size, bold)
    above, below = font.getmetrics()
    image = Image.new("L", (int(font.getlength(text)) + 2, above + below), 0)
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    mask = np.asarray(image, np.uint16)
    return ((mask * (LEVELS - 1) + 127) // 255).astype(np.uint8)


class Canvas:
    """A picture of numbered colours.

    Args:
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.pixels: Pixels = np.full((height, width), plain("text"), np.uint8)

    def copy(self) -> Canvas:
        """Return a canvas with the same picture."""
        other = Canvas.__new__(Canvas)
        other.pixels = self.pixels.copy()
        return other

    def write(
        self, text: str, x: float, y: float, size: float, pair: str, anchor: str = "left"
    ) -> None:
        """Write a line on a plain background; x is its left, middle or right, y its middle."""
        shades = _shades(text, round(size), pair.endswith("name") or anchor == "title")
        height, width = shades.shape
        left = round(x - {"middle": width / 2, "right": width}.get(anchor, 0))
        top = round(y - height / 2)
        part = self.pixels[max(top, 0) : top + height, max(left, 0) : left + width]
        shades = shades[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
        np.copyto(part, FIRST[pair] + shades, where=shades > 0)

    def cell(self, box: tuple[int, int, int, int], pair: str, strokes: str = "") -> None:
        """Paint a cell (x, y, width, height) with its line, hatched if it has strokes."""
        x, y, width, height = box
        part = self.pixels[y : y + height + 1, x : x + width + 1]
        part[:] = plain("line")
        part[1:-1, 1:-1] = plain(pair)
        if strokes:
            rows, columns = np.indices((height - 1, width - 1))
            part[1:-1, 1:-1][(rows + columns) % 8 < 2] = plain(strokes)

    def frame(self, box: tuple[int, int, int, int], role: str, thickness: int) -> None:
        """Draw an outline around a box, in the strong shade of a role or the accent."""
        x, y, width, height = box
        colour = plain(role) if role in PAIRS else _strong(role)
        before = thickness // 2
        left, top = max(x - before, 0), max(y - before, 0)
        right, bottom = x + width + thickness - before, y + height + thickness - before
        self.pixels[top : top + thickness, left:right] = colour
        self.pixels[bottom - thickness : bottom, left:right] = colour
        self.pixels[top:bottom, left : left + thickness] = colour
        self.pixels[top:bottom, right - thickness : right] = colour

    def image(self) -> Image:
        """Return the picture as Pillow has it."""
        from PIL import Image

        height, width = self.pixels.shape
        image: Any = Image.frombytes("P", (width, height), self.pixels.tobytes())
        image.putpalette(_palette())
        return image
