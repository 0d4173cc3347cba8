"""The geometry of a call in sentences: sizes with their numbers, padding, what is never used."""

from __future__ import annotations

from minicnn.errors import counted
from minicnn.geometry import Geometry, kernel_span

__all__ = ["convolution_notes", "transposed_notes"]

_SIDES = {"height": ("above", "below", "row"), "width": ("left", "right", "column")}


def _axes(g: Geometry) -> list[tuple[str, int, int, int, int, int, int, int]]:
    """Return (axis, input, output, kernel, stride, before, after, dilation) of both axes."""
    return [
        (
            "height",
            *(g.in_height, g.out_height, g.kernel_height, g.stride_height),
            *(g.pad_top, g.pad_bottom, g.dilation_height),
        ),
        (
            "width",
            *(g.in_width, g.out_width, g.kernel_width, g.stride_width),
            *(g.pad_left, g.pad_right, g.dilation_width),
        ),
    ]


def _unused(n: int, out: int, k: int, s: int, before: int, d: int) -> list[int]:
    """Return the positions of the input that no kernel element ever meets."""
    met = {o * s - before + i * d for o in range(out) for i in range(k)}
    return [p for p in range(n) if p not in met]


def _listed(positions: list[int], noun: str) -> str:
    names = ", ".join(map(str, positions[:8])) + (" ..." if len(positions) > 8 else "")
    return f"{noun}{'' if len(positions) == 1 else 's'} {names}"


def _padding(g: Geometry, verb: str) -> str | None:
    told = [
        f"{counted(amount, _SIDES[axis][2])} {side}"
        for axis, _, _, _, _, before, after, _ in _axes(g)
        for amount, side in zip((before, after), _SIDES[axis][:2], strict=True)
        if amount
    ]
    return f"{verb}: {', '.join(told)}." if told else None


def _spans(g: Geometry) -> list[str]:
    return [
        f"Dilation {d}: the kernel's {k} {_SIDES[axis][2]}s span {kernel_span(k, d)}."
        for axis, _, _, k, _, _, _, d in _axes(g)
        if d > 1 and k > 1
    ]


def convolution_notes(g: Geometry, padding: str = "Padding with zeros") -> list[str]:
    """Return what there is to say about the sizes of a convolution or pooling.

    >>> from minicnn.geometry import conv2d_geometry
    >>> for note in convolution_notes(conv2d_geometry((5, 8), (3, 2), (2, 3), ((1, 1), (0, 0)))):
    ...     print(note)
    Height: floor((5 + 1 + 1 - 1*(3 - 1) - 1) / 2) + 1 = 3.
    Width: floor((8 + 0 + 0 - 1*(2 - 1) - 1) / 3) + 1 = 3.
    Padding with zeros: 1 row above, 1 row below.
    Never used: columns 2, 5 of the input, stepped over by the stride.
    """
    notes = [
        f"{axis.capitalize()}: floor(({n} + {before} + {after} - {d}*({k} - 1) - 1) / {s}) + 1 "
        f"= {out}."
        for axis, n, out, k, s, before, after, d in _axes(g)
    ]
    notes += filter(None, [_padding(g, padding)])
    notes += _spans(g)
    for axis, n, out, k, s, before, _, d in _axes(g):
        unused = _unused(n, out, k, s, before, d)
        if unused:
            end = unused[0] > (out - 1) * s - before + (k - 1) * d
            why = "left over at the end" if end else "stepped over by the stride"
            notes.append(f"Never used: {_listed(unused, _SIDES[axis][2])} of the input, {why}.")
    return notes


def transposed_notes(g: Geometry) -> list[str]:
    """Return what there is to say about the sizes of a transposed convolution.

    >>> from minicnn.geometry import conv2d_transpose_geometry
    >>> for note in transposed_notes(conv2d_transpose_geometry((2, 3), (3, 4), 2, "same")):
    ...     print(note)
    Height: natural size (2 - 1)*2 + 1*(3 - 1) + 1 = 5, 1 cropped: 4.
    Width: natural size (3 - 1)*2 + 1*(4 - 1) + 1 = 8, 2 cropped: 6.
    Cropped: 1 row below, 1 column left, 1 column right.
    The kernel's 3 rows are no multiple of the stride 2: outputs are sums of 1 or 2 inputs in turn \
(a checkerboard).
    """
    notes = []
    for axis, large, small, k, s, before, after, d in _axes(g):
        natural = (small - 1) * s + kernel_span(k, d)
        rest = large - (natural - before - after)
        change = [f"{before + after} cropped" if before + after else ""]
        change.append(f"{rest} added at the end" if rest > 0 else "")
        changes = "".join(f", {c}" for c in change if c)
        text = (
            f"{axis.capitalize()}: natural size ({small} - 1)*{s} + {d}*({k} - 1) + 1 = {natural}"
        )
        notes.append(f"{text}{changes}: {large}." if changes else f"{text}.")
    notes += filter(None, [_padding(g, "Cropped")])
    notes += _spans(g)
    for axis, _, _, k, s, _, _, d in _axes(g):
        if s > 1 and d == 1 and k % s and k > s:
            noun = _SIDES[axis][2]
            notes.append(
                f"The kernel's {k} {noun}s are no multiple of the stride {s}: outputs are sums of "
                f"{k // s} or {k // s + 1} inputs in turn (a checkerboard)."
            )
        elif k < s and d == 1:
            noun = _SIDES[axis][2]
            notes.append(
                f"The kernel's {counted(k, noun)} do not fill the stride {s}: the {noun}s between "
                f"the copies get nothing."
            )
    return notes
