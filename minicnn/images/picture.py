"""One picture as it stands in its file: its numbers, what they mean, and what white is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import DataError, ShapeError

# Pillow is imported inside the functions that need it, so that `import minicnn` stays light.
if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Extent", "Picture", "Range", "Ranges", "resize", "scale"]

#: The numbers of black and of white; white may be the smaller one.
Range = tuple[float, float]
#: The same by type of numbers, as `Picture.type` names it.
Ranges = Mapping[str, Range]

#: Bits that cameras use, of those that a file keeps.
_CAMERA_BITS = (8, 10, 12, 14, 16, 24, 32)


class Extent(NamedTuple):
    """What decides which number is white: the kind of numbers, and those that are there.

    Args:
        kind: NumPy's letter: `"u"` unsigned, `"i"` signed, `"f"` float.
        bits: bits of one number, as the file says.
        low: the smallest number.
        high: the largest one.

    >>> Extent("u", 16, 3, 4000).value_range, Extent("u", 8, 3, 40).value_range
    ((0.0, 4095.0), (0.0, 255.0))
    """

    kind: str
    bits: int
    low: float
    high: float

    def joined(self, other: Extent) -> Extent:
        """Return the extent of two pictures of one kind."""
        return Extent(self.kind, self.bits, min(self.low, other.low), max(self.high, other.high))

    @property
    def value_range(self) -> Range:
        """The numbers that are taken for black and white.

        Integers of other than 16 or 32 bits, and signed ones, have the range of their bits. In 16
        and more bits cameras often use 8, 10, 12 or 14: the smallest of these is taken that holds
        the largest number. Floats are 0 to 1, or, if larger, 0 to what the same bits hold.
        """
        low, high = float(self.low), float(self.high)
        if self.kind == "u" and self.bits < 16:
            return 0.0, 2.0**self.bits - 1
        if self.kind == "f" and low >= -0.1 and high <= 1.1:  # a filter may overshoot a little
            return 0.0, 1.0
        if low < 0 and not (self.kind == "f" and low > -0.1 * high):
            return (low, high) if high > low else (low, low + 1)
        for bits in _CAMERA_BITS:
            if high <= 2**bits - 1:
                # Nothing but zeros tells nothing about the camera.
                return 0.0, 2.0 ** (bits if high > 0 else self.bits) - 1
        return 0.0, high

    @property
    def whole(self) -> tuple[int, int]:
        """The numbers of black and white that the type has: 0 and 1 of floats."""
        return 0, 1 if self.kind == "f" else 2 ** (self.bits - (self.kind == "i")) - 1

    @property
    def note(self) -> str | None:
        """What was decided about white, in a sentence; None where the type of the numbers says it.

        >>> Extent("u", 16, 3, 4000).note
        '16-bit integers from 3 to 4000 were taken for 12 bits and scaled from 0 (black) to 4095
        (white)'
        """
        return self.told(self.value_range)

    def told(self, value_range: Range) -> str | None:
        """Return the sentence of `note` for these numbers of black and white."""
        black, white = value_range
        cut = self.low < min(value_range) or self.high > max(value_range)
        if value_range == self.whole and (not cut or value_range == self.value_range):
            return None
        what = f"{self.bits}-bit {'floats' if self.kind == 'f' else 'integers'}"
        camera = self.kind != "f" and black == 0 and white in [2**bits - 1 for bits in _CAMERA_BITS]
        bits = f"taken for {int(white).bit_length()} bits and " if camera else ""
        return (
            f"{what} from {_number(self.low)} to {_number(self.high)} were {bits}scaled from "
            f"{_number(black)} (black) to {_number(white)} (white)"
            f"{'; what lies beyond was cut off' if cut else ''}"
        )


def _number(value: float) -> str:
    return f"{value:.6g}" if value != int(value) else str(int(value))


def scale(numbers: NDArray[Any], value_range: Range) -> NDArray[np.float32]:
    """Return numbers as float32, 0 for black and 1 for white, cut off outside.

    >>> scale(np.array([[0, 1000, 4095]], "uint16"), (0, 5000)).round(3)
    array([[0.   , 0.2  , 0.819]], dtype=float32)
    >>> scale(np.array([[True, False]]), (1, 0)).tolist() == [[0, 1]]  # white is zero
    True
    """
    black, white = value_range
    if black == 0 and numbers.dtype == np.uint8:
        return np.clip(numbers / np.float32(white), 0, 1)
    # Integers of 16 bits are exact as float32, which needs half of the memory.
    short = numbers.dtype.itemsize <= 2 or numbers.dtype == np.float32
    scaled: Any = numbers.astype(np.float32 if short else np.float64)
    scaled -= black
    scaled /= white - black
    return np.asarray(np.clip(scaled, 0, 1, out=scaled), np.float32)


@dataclass(frozen=True, eq=False)
class Picture:
    """An image file: its numbers as they stand there, upright, and what they mean.

    Args:
        pixels: (H,W,C), of the file's type: bool for 1 bit, unsigned and signed integers, floats.
        bits: bits of one number, as the file says: 12 for packed 12-bit TIFF, else mostly those of
            the type.
        colours: `"grey"` of one channel, `"rgb"` of three, `"palette"` of one whose numbers are
            rows of `palette`, or `"channels"`, two or more that are no colours.
        alpha: None, or what the last channel of `pixels` beyond these is: `"straight"` opacity, or
            `"multiplied"` if the colours are multiplied by it already.
        palette: uint8 (K,4), red, green, blue and opacity.
        form: the format, such as `"PNG"`, `"JPEG"`, `"TIFF"`.
        notes: what the reader decided, a sentence each; `extent.note` says what was decided about
            white.

    >>> grey = Picture(np.array([[[0], [2], [3]]], np.uint8), 2, "grey")
    >>> grey.numbers.tolist(), grey.rgb()[..., 0].tolist(), grey.scaled()[0, 1].round(2)
    ([[0, 2, 3]], [[0, 170, 255]], array([0.67, 0.67, 0.67], dtype=float32))
    """

    pixels: NDArray[Any]
    bits: int
    colours: str
    alpha: str | None = None
    palette: NDArray[np.uint8] | None = None
    form: str = ""
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> NDArray[Any]:
        """The file's numbers without opacity: (H,W) of one channel, else (H,W,C).

        Class numbers of masks, indices of palettes, photons: nothing was scaled.
        """
        numbers = self.pixels[..., :-1] if self.alpha else self.pixels
        return numbers[..., 0] if numbers.shape[2] == 1 else numbers

    def rgb(self, *, clear: bool = False) -> NDArray[Any]:
        """Return (H,W,3) in the file's unit: grey three times, palettes' colours.

        Up to 8 bits come as uint8 0 to 255, others as they are. Of channels that are no colours
        the first three are red, green and blue.

        Args:
            clear: keep the colours of what is transparent; by default it is black.
        """
        return self._as_colours(clear)[0]

    def _as_colours(self, clear: bool) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return colours (H,W,3), and opacity (H,W) from 0 to 1 or None."""
        opacity = None
        if self.palette is not None:
            chosen = self.palette[self.pixels[..., 0].astype(np.intp)]  # (H,W,4)
            colours, opacity = chosen[..., :3], chosen[..., 3] / 255
        else:
            pixels = self.pixels
            if pixels.dtype == bool or (pixels.dtype.kind == "u" and self.bits < 8):
                pixels = pixels.astype(np.uint8) * np.uint8(255 // (2**self.bits - 1))
            if self.alpha:
                opacity = pixels[..., -1] / (255 if pixels.dtype == np.uint8 else self._top)
                pixels = pixels[..., :-1]
            count = pixels.shape[2]
            if count == 1:
                colours = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
            elif count == 2:  # the second is green, and there is no blue
                colours = np.concatenate([pixels, np.zeros_like(pixels[..., :1])], axis=2)
            else:
                colours = pixels[..., :3]
        if opacity is not None and not clear and self.alpha != "multiplied":
            faded = colours * opacity[..., None]
            if colours.dtype.kind != "f":
                faded = np.rint(faded)
            colours = faded.astype(colours.dtype)
        return colours, opacity

    @property
    def _top(self) -> float:
        kind = self.pixels.dtype.kind
        return 1.0 if kind == "f" else 2.0 ** (self.bits - (kind == "i")) - 1

    @property
    def extent(self) -> Extent:
        """The kind of numbers that `rgb` returns, and the smallest and largest one.

        Raises:
            DataError: there are numbers that are not finite.
        """
        if self.palette is not None or (self.bits <= 8 and self.pixels.dtype.kind in "ub"):
            return Extent("u", 8, 0, 255)
        pixels = self.pixels[..., :-1] if self.alpha else self.pixels
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise DataError(
                f"{(~np.isfinite(pixels)).sum()} of its {pixels.size} numbers are NaN or infinite"
            )
        low, high = pixels.min().item(), pixels.max().item()
        return Extent(pixels.dtype.kind, self.bits, low, high)

    @property
    def type(self) -> str:
        """The type of its numbers and their bits, such as `"uint12"`; or `"palette"`."""
        kind = {"f": "float", "i": "int"}.get(self.pixels.dtype.kind, "uint")
        return "palette" if self.palette is not None else f"{kind}{self.bits}"

    @property
    def value_range(self) -> Range:
        """The numbers of `rgb` that are taken for black and white; see `Extent.value_range`."""
        return self.extent.value_range

    def scaled(
        self, value_range: Range | None = None, size: tuple[int, int] | None = None
    ) -> NDArray[np.float32]:
        """Return RGB, float32 (H,W,3) between 0 and 1, black where it is transparent.

        Args:
            value_range: the file's numbers that are black and white; by default as `value_range`
                says.
            size: height and width to resize to, bilinearly and averaged over what each pixel
                covers; the file's own when None.
        """
        colours = self.rgb()
        # Fewer than 8 bits come as bytes; their numbers in the file are these divided by the step.
        small = self.palette is None and self.bits < 8 and self.pixels.dtype.kind in "ub"
        step = 255 // (2**self.bits - 1) if small else 1
        black, white = self.value_range  # which refuses numbers that are not finite
        if value_range is not None:
            black, white = value_range[0] * step, value_range[1] * step
        return scale(colours if size is None else resize(colours, size), (black, white))

    def eight_bits(self) -> NDArray[np.uint8]:
        """Return all channels, opacity too, as uint8 (H,W,C): the upper eight bits of integers.

        A palette's colours come as RGB, or RGBA where one is not opaque. Floats, and integers
        without a natural white, are scaled by `value_range`.
        """
        if self.palette is not None:
            opaque = (self.palette[:, 3] == 255).all()
            return self.palette[self.pixels[..., 0].astype(np.intp)][..., : 3 if opaque else 4]
        pixels = self.pixels
        if pixels.dtype.kind in "ub" and self.bits <= 8:
            return pixels.astype(np.uint8) * np.uint8(255 // (2**self.bits - 1))
        if pixels.dtype.kind == "u" and self.bits <= 16:
            return (pixels >> (self.bits - 8)).astype(np.uint8)
        return np.rint(scale(pixels, self.value_range) * 255).astype(np.uint8)

    def in_mode(self, mode: str, value_range: Range | None = None) -> NDArray[Any]:
        """Return (H,W,C) from 0 to 255 in one of Pillow's modes: `"L"`, `"RGB"` or `"RGBA"`.

        Up to 8 bits come as uint8, deeper numbers scaled as float32, not rounded. The colours of
        transparent parts are kept.

        Args:
            mode: the mode.
            value_range: the numbers of black and white, by default `value_range`; of deeper
                numbers alone.
        """
        from PIL import Image

        colours, opacity = self._as_colours(True)
        deep = colours.dtype != np.uint8
        if deep:
            black_and_white = self.value_range if value_range is None else value_range
            colours = scale(colours, black_and_white) * np.float32(255)
        if mode == "L" and self.colours == "grey":
            return colours[..., :1]
        if mode == "L" and deep:
            return colours @ np.array([[0.299], [0.587], [0.114]], np.float32)
        if mode == "L":
            grey = Image.fromarray(np.ascontiguousarray(colours)).convert("L")
            return np.asarray(grey)[..., None]
        if mode == "RGB":
            return colours
        share = np.ones(colours.shape[:2]) if opacity is None else opacity
        clear = share[..., None] * 255
        return np.concatenate(
            [colours, (clear if deep else np.rint(clear)).astype(colours.dtype)], axis=2
        )

    def pillow(self, mode: str) -> Image.Image:
        """Return Pillow's 8-bit image of this mode; see `in_mode`."""
        from PIL import Image

        pixels = np.rint(self.in_mode(mode)).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if mode == "L" else pixels))


def resize(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return pixels (H,W,3) at (height, width): bytes as bytes, other numbers as float32."""
    from PIL import Image

    if pixels.shape[2] != 3:
        raise ShapeError(f"resize: pixels have shape {pixels.shape}, but must be (H,W,3).")
    shape = (size[1], size[0])
    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize(shape, Image.Resampling.BILINEAR))
    planes = [
        Image.fromarray(np.ascontiguousarray(pixels[..., c], np.float32)).resize(
            shape, Image.Resampling.BILINEAR
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=2)
