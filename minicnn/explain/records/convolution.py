"""Records of convolution, transposed convolution and their gradients.

All of them join the same products: an element of x, one of the kernel and one of y. Whichever of
the three is the result, the other two are the operands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.explain.records.limits import Limits
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import Product, Record, make_record
from minicnn.explain.records.windows import around, indices, inside, padded, windows_at
from minicnn.explain.records.words import convolution_notes, transposed_notes
from minicnn.geometry import Geometry
from minicnn.kernels import loops

__all__ = ["AS_IT_STANDS", "TURNED", "Convolution", "convolution_records"]

Array = NDArray[Any]
Index = tuple[int, ...]

AS_IT_STANDS, TURNED = "as it stands", "turned by 180°"

#: For each direction, which of x, kernel and y is the result, and which two are the operands.
WANTED = {
    "forward": ("y", ("x", "kernel")),
    "gradient of x": ("x", ("y", "kernel")),
    "gradient of kernel": ("kernel", ("x", "y")),
}
ROLES = {"x": "input", "kernel": "kernel", "y": "output"}

MEANINGS = {
    "gradient of x": "Every y that an x entered sends its dy back, times the kernel element "
    "through which it entered.",
    "gradient of kernel": "Every product in which a kernel element took part sends its dy back, "
    "times the x that it met.",
}


@dataclass(frozen=True)
class Convolution:
    """A call of conv2d or conv2d_transpose, with the gradient of its result.

    Args:
        name: the operation, for titles.
        x: the images that go in (N,H,W,C).
        kernel: (KH,KW,C/groups,F); of a transposed convolution (KH,KW,F/groups,C).
        bias: (F,) or None.
        dy: the gradient with respect to the result (N,OH,OW,F).
        geometry: of the convolution; of a transposed one, that of the convolution it reverses.
        transposed: whether this is the transposed convolution.
        turned: whether the kernel is turned by 180 degrees first: true convolution.
    """

    name: str
    x: Array
    kernel: Array
    bias: Array | None
    dy: Array
    geometry: Geometry
    transposed: bool = False
    turned: bool = False

    @property
    def large(self) -> str:
        """Which of x and y the kernel slides over; padding lies around it."""
        return "y" if self.transposed else "x"

    @property
    def small(self) -> str:
        """Which of x and y has one element for each place of the kernel."""
        return "x" if self.transposed else "y"

    def panel(self, noun: str, direction: str) -> Panel:
        """Return the panel of x, kernel or y in one direction."""
        wanted, backward = WANTED[direction][0], direction != "forward"
        array = {"x": self.x, "kernel": self.kernel, "y": self.dy}[noun]
        name = f"d{noun}" if backward and noun in ("y", wanted) else noun
        if noun == wanted:
            array = np.zeros_like(array)
        if noun != self.large:
            return Panel.of(name, ROLES[noun], array, axes=(0, 1) if noun == "kernel" else None)
        outside = "cropped" if noun == wanted else "padding"
        borders = around(self.geometry)
        return Panel.of(name, ROLES[noun], array, padding=borders, outside=outside)

    def terms_each(self, wanted: str) -> int:
        """Return how many products an element of a result has at most."""
        g = self.geometry
        if wanted == "kernel":
            return self.x.shape[0] * g.out_height * g.out_width
        taps = g.kernel_height * g.kernel_width
        channels = self.kernel.shape[2 if wanted == self.small else 3]
        return taps * channels // (1 if wanted == self.small else g.groups)

    def products(self, direction: str, block: tuple[slice, ...] | None) -> Iterator[Product]:
        """Yield the products that fall into a block of the result, padding included."""
        g = padded(self.geometry)
        channels, filters = self.kernel.shape[2] * g.groups, self.kernel.shape[3]
        wanted, (first, second) = WANTED[direction]
        for small in self._small_elements(g, wanted, block):
            for large, slid in _products_of(channels, filters, g, small):
                at = {self.large: large, self.small: small, "kernel": self._as_given(slid)}
                if inside(at[wanted], block):
                    yield at[wanted], (at[first], at[second]), 1.0

    def _as_given(self, slid: Index) -> Index:
        """Return where in the kernel as it was given an element of the slid kernel stands."""
        if not self.turned:
            return slid
        height, width = self.kernel.shape[:2]
        return (height - 1 - slid[0], width - 1 - slid[1], *slid[2:])

    def _small_elements(
        self, g: Geometry, wanted: str, block: tuple[slice, ...] | None
    ) -> Iterator[Index]:
        """Yield the elements of the small side that a block of the result needs."""
        if block is not None and wanted == self.small:
            return indices([range(s.start, s.stop) for s in block])
        shape = self.x.shape if self.transposed else self.dy.shape
        if block is not None and wanted == "kernel":
            # The kernel's last axis are the channels of the small side, in both operations.
            return indices([*(range(n) for n in shape[:3]), range(block[3].start, block[3].stop)])
        return windows_at(shape, g, block if wanted == self.large else None)


def _products_of(
    channels: int, filters: int, g: Geometry, y: Index
) -> Iterator[tuple[Index, Index]]:
    """Yield the indices (of x, of the kernel) of every product in one output y[n,oh,ow,f]."""
    n, oh, ow, f = y
    group_channels = channels // g.groups
    first = f // (filters // g.groups) * group_channels
    for i, j, h, w in loops.window(g, oh, ow):
        for c in range(group_channels):
            yield (n, h, w, first + c), (i, j, c, f)


def convolution_records(call: Convolution, limits: Limits) -> Iterator[Record]:
    """Yield the records of a call: forward, and the gradients of x, kernel and bias.

    Raises:
        TooLargeError: the forward one has too many products; gradients are then left out.
    """
    yield _record(call, "forward", limits)
    for direction in ("gradient of x", "gradient of kernel"):
        yield from limits.unless_too_large(partial(_record, call, direction, limits))
    if call.bias is not None:
        choice = _choice(call, "gradient of bias")
        yield from limits.unless_too_large(lambda: bias_record(call.name, call.dy, limits, choice))


def _choice(call: Convolution, direction: str) -> dict[str, str]:
    return {"direction": direction, "kernel": TURNED if call.turned else AS_IT_STANDS}


def _record(call: Convolution, direction: str, limits: Limits) -> Record:
    """Return the record of one of the three linear maps."""
    wanted, order = WANTED[direction]
    result = call.panel(wanted, direction)
    operands = [call.panel(noun, direction) for noun in order]
    forward = direction == "forward"
    title = call.name if forward else f"{call.name}, {direction}"
    channels = (2, 3) if wanted == "kernel" else ()
    block = limits.block(title, result, call.terms_each(wanted), channels)
    notes = [*limits.notes(result, block)]
    if forward:
        notes += transposed_notes(call.geometry) if call.transposed else []
        notes += [] if call.transposed else convolution_notes(call.geometry)
    else:
        notes.append(MEANINGS[direction])
    if call.turned:
        notes.append("True convolution: the kernel is turned by 180° before it slides.")
    has_bias = forward and call.bias is not None
    if has_bias:
        operands.append(Panel.of("bias", "other", call.bias))
    record = make_record(
        title,
        _formula(call, direction),
        notes,
        operands,
        result,
        call.products(direction, block),
        bias=(2, 3) if has_bias else None,
        window=block,
        choice=_choice(call, direction),
    ).filled()
    return _with_turned_kernel(record) if call.turned else record


def _formula(call: Convolution, direction: str) -> str:
    """Return the definition in letters."""
    bias = "" if call.bias is None else f" + bias[{_of_group(call) if call.transposed else 'f'}]"
    if call.transposed:
        place = f"n, h*S - P + i*D, w*S - P + j*D, {_of_group(call)}"
        return {
            "forward": f"y[{place}] += x[n,h,w,c] * kernel[i,j,f,c]{bias and ', then' + bias}",
            "gradient of x": f"dx[n,h,w,c] = sum over i,j,f of dy[{place}] * kernel[i,j,f,c]",
            "gradient of kernel": f"dkernel[i,j,f,c] = sum over n,h,w of x[n,h,w,c] * dy[{place}]",
        }[direction]
    place = f"n, oh*S - P + i*D, ow*S - P + j*D, {_of_group(call)}"
    k = "kernel[KH-1-i,KW-1-j,c,f]" if call.turned else "kernel[i,j,c,f]"
    return {
        "forward": f"y[n,oh,ow,f] = sum over i,j,c of x[{place}] * {k}{bias}",
        "gradient of x": f"dx[{place}] += dy[n,oh,ow,f] * {k}",
        "gradient of kernel": f"d{k} = sum over n,oh,ow of x[{place}] * dy[n,oh,ow,f]",
    }[direction]


def _of_group(call: Convolution) -> str:
    """Return the channel of the large side in letters; groups begin at multiples of their size.

    A kernel counts only the channels c, of a transposed convolution the filters f, of one group.
    """
    own, other = ("f", "c") if call.transposed else ("c", "f")
    groups, (inside, across) = call.geometry.groups, call.kernel.shape[2:]
    if groups == 1:
        return own
    each = across // groups
    group = other if each == 1 else f"{other}//{each}"
    return f"{group} + {own}" if inside == 1 else f"{group}*{inside} + {own}"


def _with_turned_kernel(record: Record) -> Record:
    """Return the record with a view of the kernel as it slides."""
    for operand, kernel in enumerate(record.operands):
        if kernel.name == "kernel":
            cells = np.arange(kernel.values.size).reshape(kernel.values.shape)
            view = replace(
                kernel,
                name="kernel, turned",
                values=kernel.values[::-1, ::-1],
                mirror=(operand, cells[::-1, ::-1]),
            )
            return replace(record, operands=(*record.operands, view))
    return record


def bias_record(
    name: str,
    dy: Array,
    limits: Limits,
    choice: dict[str, str],
    letter: str = "f",
    whose: str = "filter",
) -> Record:
    """Return the record of the gradient with respect to a bias along the last axis.

    Args:
        name: the operation, for titles.
        dy: the gradient with respect to the result (...,F).
        limits: what part is shown.
        choice: see `Record`.
        letter: what formulas call the last index.
        whose: what has one bias.
    """
    result = Panel.of("dbias", "other", np.zeros(dy.shape[-1], dy.dtype))
    title = f"{name}, gradient of bias"
    block = limits.block(title, result, dy.size // dy.shape[-1], channels=(0,))
    return make_record(
        title,
        f"dbias[{letter}] = sum of dy[...,{letter}] over all other axes",
        [
            *limits.notes(result, block),
            f"The bias was added to every y of its {whose}, so all their dy come back.",
        ],
        [Panel.of("dy", "output", dy)],
        result,
        (((at[-1],), (at,), 1.0) for at in np.ndindex(*dy.shape) if inside(at[-1:], block)),
        window=block,
        choice=choice,
    ).filled()
