"""Text in pictures: how wide it is, where its lines break, how numbers are written in cells."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["cell_texts", "font_path", "text_width", "wrap"]

#: Widths of the characters of DejaVu Sans in its size, rounded up, in groups of alike ones.
WIDTHS = {
    **dict.fromkeys("'ijlIJ ,.\u00a0", 0.32),
    **dict.fromkeys("/:;\\|f-·", 0.37),
    **dict.fromkeys("()[]!rt", 0.42),
    **dict.fromkeys('"*_`sz?°', 0.54),
    **dict.fromkeys("0123456789abcdeghknpquvxyELFSPTY{}$", 0.64),
    **dict.fromkeys("#+<=>^~≈∞→wOQ&DGHNMm%W@", 1.0),
}
OTHERS = 0.74

#: Signs that begin a line rather than end one.
OPERATORS = ("+", "=", "≈", "/", "*")


def font_path() -> Path:
    """Return the file of the font of all pictures, DejaVu Sans, which comes with matplotlib.

    >>> font_path().name
    'DejaVuSans.ttf'
    """
    import importlib.util

    # Found without importing matplotlib: an animation needs only its font.
    found = importlib.util.find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


@functools.lru_cache(8192)
def text_width(text: str, size: float = 1.0) -> float:
    """Return how wide a text is at most, in the unit of `size`."""
    return size * sum(WIDTHS.get(character, OTHERS) for character in text)


def wrap(text: str, width: float, size: float) -> list[str]:
    """Return the lines of a text that is at most so wide; nothing is left out.

    Args:
        text: one or several paragraphs; they do not break at a no-break space.
        width: of a line, in the unit of `size`.
        size: of the font.

    >>> wrap("y[0,1] = 2*1 + 3*4 = 14", 5.0, 1.0)
    ['y[0,1]', '= 2*1', '+ 3*4', '= 14']
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _words(paragraph):
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, size) > width:
                lines.append(line)
                longer = word
            while text_width(longer, size) > width and len(longer) > 1:
                fitting = max(
                    1, sum(text_width(longer[:n], size) <= width for n in range(1, len(longer)))
                )
                lines.append(longer[:fitting])
                longer = longer[fitting:]
            line = longer
        lines.append(line)
    return [line.replace("\u00a0", " ") for line in lines]


def _words(text: str) -> Iterable[str]:
    """Yield the words of a text, a sign together with the word that follows it."""
    waiting = ""
    for word in text.split(" "):
        if word in OPERATORS and not waiting:
            waiting = f"{word} "
        else:
            yield waiting + word
            waiting = ""
    if waiting:
        yield waiting.rstrip()


def cell_texts(values: NDArray[Any]) -> list[str]:
    """Return the numbers of a panel for its cells: short, all with the same number of decimals.

    >>> cell_texts(np.array([1.0, -2.0])), cell_texts(np.array([0.5, -12.0, np.inf]))
    (['1', '-2'], ['0.5', '-12.0', '∞'])
    >>> cell_texts(np.array([2e-5, 1.0e7]))
    ['2.0e-5', '1.0e7']
    """
    numbers = [float(v) for v in values.ravel()]
    finite = [v for v in numbers if np.isfinite(v)]
    largest = max((abs(v) for v in finite), default=0.0)
    whole = all(v == int(v) for v in finite)
    scientific = largest >= 1e5 or (not whole and largest < 0.01)
    limit = 3 if largest < 1 else 2 if largest < 100 else 1
    decimals = 0
    while decimals < limit and any(round(v, decimals) != v for v in finite):
        decimals += 1
    return [_cell_text(v, scientific, decimals) for v in numbers]


def _cell_text(value: float, scientific: bool, decimals: int) -> str:
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    if scientific:
        mantissa, exponent = f"{value:.1e}".split("e")
        return "0" if value == 0 else f"{mantissa}e{int(exponent)}"
    text = f"{value:.{decimals}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text
