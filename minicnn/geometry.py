"""Window arithmetic in plain integers: where a kernel lies, and how large the result is.

Everything that slides a window (convolution, transposed convolution, pooling) and everything that
talks about it (layers, summaries, messages, explanations) takes its numbers from here. The file
uses the standard library alone, so it can be read first.

Along one axis, with N the input size, K the kernel size, S the stride, D the dilation rate and P
the padding before and after together:

    span of the kernel   D*(K - 1) + 1
    output size          O = floor((N + P - D*(K - 1) - 1) / S) + 1
    transposed           natural size (O - 1)*S + D*(K - 1) + 1, from which the padding is cropped

Source: V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016,
sections 2 and 4.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any, NamedTuple

from minicnn.errors import ArgumentError, ShapeError, check_choice, check_whole

__all__ = ["Geometry", "Resize", "conv2d_geometry", "conv2d_parameters",
           "conv2d_transpose_geometry", "kernel_span", "output_size", "pair", "receptive_field",
           "remembered", "resize_taps", "same_padding", "valid_outputs"]  # fmt: skip

AXES = ("height", "width")


class Geometry(NamedTuple):
    """The integers of one window operation, from the large side (in) to the small side (out).

    A transposed convolution carries the geometry of the convolution that it reverses: its input
    has the out size and its output the in size. The tuple is flat because compiled loops take
    no nested one.
    """

    in_height: int
    in_width: int
    out_height: int
    out_width: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    pad_top: int
    pad_bottom: int
    pad_left: int
    pad_right: int
    dilation_height: int
    dilation_width: int
    groups: int

    @property
    def is_one_product(self) -> bool:
        """Whether the kernel lies on the whole image: one matrix product of images and kernel."""
        return (
            (self.out_height, self.out_width, self.groups) == (1, 1, 1)
            and (self.kernel_height, self.kernel_width) == (self.in_height, self.in_width)
            and (self.dilation_height, self.dilation_width) == (1, 1)
            and not any(self[8:12])  # no padding
        )


class Resize(NamedTuple):
    """The sizes of one resizing."""

    in_height: int
    in_width: int
    out_height: int
    out_width: int


def pair(where: str, argument: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """Return `value`, an integer or a pair of integers, as a (height, width) pair.

    Raises:
        ArgumentError: a part is no integer or is below `minimum`.

    >>> pair("Conv2D", "strides", 2), pair("Conv2D", "strides", (2, 3))
    ((2, 2), (2, 3))
    """
    try:
        values = tuple(value) if isinstance(value, Iterable) else (value,)
        parts = () if bool in map(type, values) else tuple(map(index, values))
    except TypeError:
        parts = ()
    if len(parts) not in (1, 2) or min(parts) < minimum:
        raise ArgumentError(
            f"{where}: {argument}={value!r}, but it must be an integer >= {minimum} or a "
            f"(height, width) pair of them."
        )
    return (parts[0], parts[-1])


def kernel_span(kernel: int, dilation: int = 1) -> int:
    """Return how many input positions a kernel covers: D*(K - 1) + 1.

    >>> kernel_span(3), kernel_span(3, dilation=2)
    (3, 5)
    """
    return dilation * (kernel - 1) + 1


def output_size(n: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Return O = floor((N + P - D*(K - 1) - 1) / S) + 1; P is both sides together.

    >>> output_size(7, 3, stride=2), output_size(5, 3, stride=2, padding=2)
    (3, 3)
    """
    return (n + padding - kernel_span(kernel, dilation)) // stride + 1


def same_padding(n: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Return the padding before and after that makes O = ceil(N / S); the odd one goes after.

    Source: TensorFlow's rule for `padding="SAME"`, which Keras follows.

    >>> same_padding(5, 3), same_padding(6, 3, stride=2), same_padding(5, 4)
    ((1, 1), (0, 1), (1, 2))
    """
    wanted = -(-n // stride)
    total = max((wanted - 1) * stride + kernel_span(kernel, dilation) - n, 0)
    return total // 2, total - total // 2


def _four_sides(where: str, padding: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return an integer, a pair or ((top, bottom), (left, right)) as four sides."""
    if isinstance(padding, Iterable) and not isinstance(padding, str):
        sides = tuple(padding)
        if len(sides) == 2 and all(isinstance(s, Iterable) for s in sides):
            return (
                pair(where, "padding (top, bottom)", sides[0], minimum=0),
                pair(where, "padding (left, right)", sides[1], minimum=0),
            )
        if len(sides) != 2:
            raise ArgumentError(
                f"{where}: padding={padding!r} has {len(sides)} parts; give 'same', 'valid', an "
                f"integer, a (height, width) pair or ((top, bottom), (left, right))."
            )
    rows, columns = pair(where, "padding", padding, minimum=0)
    return (rows, rows), (columns, columns)


def _sizes(where: str, value: Any) -> tuple[int, int]:
    try:
        height, width = map(index, value)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ShapeError(f"{where}: input (height, width) {value!r} must be two integers >= 1.")
    return height, width


def conv2d_geometry(
    input_size: Sequence[int],
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    dilation_rate: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    strict: bool = False,
    where: str = "conv2d",
    window: str = "a kernel of ",
) -> Geometry:
    """Return the geometry of a convolution or pooling: O = floor((N + P - D(K-1) - 1)/S) + 1.

    Args:
        input_size: (height, width) of the input in pixels.
        kernel_size: rows and columns of the kernel or pooling window.
        strides: step of the window in pixels, default 1.
        padding: `"valid"` (none), `"same"` (output ceil(N/S), the odd pixel at the end), an
            integer, a (height, width) pair, or ((top, bottom), (left, right)) in pixels.
        dilation_rate: distance of neighbouring kernel elements in pixels, default 1.
        groups: number of groups into which the channels are split, default 1.
        strict: refuse a stride after which rows or columns of the padded input are left over.
        where: the caller's name, for messages.
        window: how these begin to speak of the window, `"pool_size="` for a pooling.

    Raises:
        ArgumentError: an argument is no positive integer, or `padding` is not known.
        ShapeError: the kernel does not fit into the padded input, or `strict` and the stride
            leaves a rest.

    >>> g = conv2d_geometry((7, 10), (3, 2), strides=(2, 3), padding="same")
    >>> (g.out_height, g.out_width), (g.pad_top, g.pad_bottom, g.pad_left, g.pad_right)
    ((4, 4), (1, 1, 0, 1))
    """
    size = _sizes(where, input_size)
    kernel = pair(where, "kernel_size", kernel_size)
    stride = pair(where, "strides", strides)
    dilation = pair(where, "dilation_rate", dilation_rate)
    groups = check_whole(where, "groups", groups)
    if isinstance(padding, str):
        mode = check_choice(where, "padding", padding, ["valid", "same"])
        sides = tuple(
            same_padding(size[a], kernel[a], stride[a], dilation[a]) if mode == "same" else (0, 0)
            for a in (0, 1)
        )
    else:
        sides = _four_sides(where, padding)
    out = tuple(
        _checked_output(where, window, strict, *each)
        for each in zip(AXES, size, kernel, stride, sides, dilation, strict=True)
    )
    return Geometry._make((*size, *out, *kernel, *stride, *sides[0], *sides[1], *dilation, groups))


def _checked_output(
    where: str,
    window: str,
    strict: bool,
    axis: str,
    n: int,
    k: int,
    s: int,
    pad: tuple[int, int],
    d: int,
) -> int:
    out, rest = divmod(n + sum(pad) - kernel_span(k, d), s)
    formula = f"({n} + {pad[0]} + {pad[1]} - {d}*({k} - 1) - 1) / {s} + 1"
    if out < 0:
        apart = f" with dilation_rate {d}" if d > 1 else ""
        raise ShapeError(
            f"{where}: {window}{k}{apart} spans {kernel_span(k, d)} pixels, but the {axis} has "
            f"only {n} + {pad[0]} + {pad[1]} padding = {n + sum(pad)}: floor({formula}) = "
            f"{out + 1}. Use at most {(n + sum(pad) - 1) // d + 1}, a larger input or "
            f"padding='same'."
        )
    if strict and rest:
        room = n + sum(pad) - kernel_span(k, d)
        fitting = [str(v) for v in range(1, room + 1) if room % v == 0]
        raise ShapeError(
            f"{where}: strides={s} does not fit the {axis}: {formula} = {room / s + 1:.2f} is not "
            f"a whole number ({rest} of {n + sum(pad)} pixels are left over). Strides that fit: "
            f"{', '.join(fitting)}."
        )
    return out + 1


def conv2d_transpose_geometry(
    input_size: Sequence[int],
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    dilation_rate: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    output_padding: int | Sequence[int] | None = None,
    output_size: Sequence[int] | None = None,
    where: str = "conv2d_transpose",
) -> Geometry:
    """Return the geometry of the convolution that a transposed convolution reverses.

    With N the input size and (N-1)*S + D*(K-1) + 1 the natural size, the output size is

        "valid"          max(natural size, N*S)
        "same"           N*S
        explicit P       natural size - P + output_padding
        output_padding   as in Keras: natural size - 2*floor(span/2) + output_padding for "same"
        output_size      exactly that, if a convolution of that size gives back N

    The result's in size is the transposed convolution's output, its out size the input.

    Args:
        input_size: (height, width) of the transposed convolution's input in pixels.
        kernel_size: rows and columns of the kernel.
        strides: distance in the output between the patches of neighbouring inputs, default 1.
        padding: as in `conv2d_geometry`; here it is cropped from the natural size.
        dilation_rate: distance of neighbouring kernel elements in pixels, default 1.
        groups: number of groups into which the channels are split, default 1.
        output_padding: extra rows and columns at the end, below the stride. Default None.
        output_size: the wanted (height, width); excludes `output_padding`. Default None.
        where: the caller's name, for messages.

    Raises:
        ArgumentError: an argument is no fitting integer.
        ShapeError: `output_size` is none of the sizes that this convolution maps to the input
            size; the message lists these.

    >>> g = conv2d_transpose_geometry((2, 3), (3, 2), strides=2)
    >>> g.in_height, g.in_width
    (5, 6)
    """
    size = _sizes(where, input_size)
    kernel = pair(where, "kernel_size", kernel_size)
    stride = pair(where, "strides", strides)
    dilation = pair(where, "dilation_rate", dilation_rate)
    groups = check_whole(where, "groups", groups)
    if output_padding is not None and output_size is not None:
        raise ArgumentError(f"{where}: give output_padding or output_size, not both.")
    extra = None if output_padding is None else pair(where, "output_padding", output_padding, 0)
    target = None if output_size is None else pair(where, "output_size", output_size)
    mode = (
        check_choice(where, "padding", padding, ["valid", "same"])
        if isinstance(padding, str)
        else _four_sides(where, padding)
    )
    large, sides = [], []
    for a, axis in enumerate(AXES):
        step = stride[a]
        if extra is not None and extra[a] >= step:
            raise ArgumentError(
                f"{where}: output_padding={extra[a]} for the {axis} must be smaller than the "
                f"stride {step}; fitting: 0 to {step - 1}."
            )
        out, side = _transposed_axis(
            where,
            axis,
            size[a],
            kernel_span(kernel[a], dilation[a]),
            step,
            mode if isinstance(mode, str) else mode[a],
            None if extra is None else extra[a],
            None if target is None else target[a],
        )
        large.append(out)
        sides.append(side)
    return Geometry._make(
        (*large, *size, *kernel, *stride, *sides[0], *sides[1], *dilation, groups)
    )


def _transposed_axis(
    where: str,
    axis: str,
    n: int,
    span: int,
    stride: int,
    padding: str | tuple[int, int],
    extra: int | None,
    target: int | None,
) -> tuple[int, tuple[int, int]]:
    """Return the output size of one axis and the padding that is cropped from it."""
    natural = (n - 1) * stride + span
    if padding == "valid":
        smallest = natural
        default = max(natural, n * stride)
        padded = natural + (extra or 0)
    elif padding == "same":
        smallest = (n - 1) * stride + 1
        default = n * stride
        padded = natural - 2 * (span // 2) + (extra or 0)
    else:
        smallest = natural - sum(padding)  # type: ignore[arg-type]
        default = smallest
        padded = smallest + (extra or 0)
    largest = smallest + stride - 1
    out = target if target is not None else default if extra is None else padded
    if out < 1 or (target is not None and not smallest <= target <= largest):
        fitting = [str(v) for v in range(max(smallest, 1), largest + 1)]
        rule = f"natural size ({n} - 1)*{stride} + {span} = {natural}, padding {padding!r}"
        fits = f"output sizes that fit: {', '.join(fitting)}" if fitting else "all of it is cropped"
        raise ShapeError(
            f"{where}: the {axis} cannot become {out} from an input of {n} ({rule}); {fits}."
        )
    if padding == "valid":
        return out, (0, 0)
    if padding == "same":
        total = max(natural - out, 0)
        return out, (total // 2, total - total // 2)
    return out, padding  # type: ignore[return-value]


def valid_outputs(n: int, out: int, stride: int, pad: int, offset: int) -> tuple[int, int]:
    """Return the first output and the one after the last whose tap lies inside the input.

    Output o reads input o*S - P + offset, where offset = k*D for kernel element k, P the padding
    before the input.

    >>> valid_outputs(5, 5, stride=1, pad=1, offset=0), valid_outputs(5, 3, 2, pad=1, offset=2)
    ((1, 5), (0, 2))
    """
    first = max(0, -((offset - pad) // stride))
    last = min(out, (n - 1 + pad - offset) // stride + 1)
    return first, max(first, last)


def receptive_field(layers: Iterable[Sequence[int]]) -> list[int]:
    """Return how many input pixels an output sees after each layer, along one axis.

    r <- r + D*(K - 1)*jump, jump <- jump*S, starting from r = jump = 1.

    Args:
        layers: (kernel, stride) or (kernel, stride, dilation) of each layer, in pixels.

    Source: the two chains of the course, and Dumoulin and Visin 2016.

    >>> receptive_field([(3, 2), (3, 2), (7, 1)])
    [3, 7, 31]
    """
    field, jump, fields = 1, 1, []
    for kernel, stride, *dilation in layers:
        field += (dilation[0] if dilation else 1) * (kernel - 1) * jump
        jump *= stride
        fields.append(field)
    return fields


def conv2d_parameters(
    kernel_size: int | Sequence[int],
    channels: int,
    filters: int,
    groups: int = 1,
    bias: bool = True,
) -> int:
    """Return the number of weights: KH*KW*(C/groups)*F, and F biases.

    >>> conv2d_parameters((5, 5), channels=3, filters=6)
    456
    """
    height, width = pair("conv2d_parameters", "kernel_size", kernel_size)
    return height * width * (channels // groups) * filters + (filters if bias else 0)


def resize_taps(n: int, out: int, interpolation: str = "nearest") -> list[tuple[int, int, float]]:
    """Return for each output o along one axis (i, j, w): the output is (1-w)*x[i] + w*x[j].

    Pixel centres lie at half positions: output o looks at (o + 1/2)*N/O - 1/2 of the input.

    Args:
        n: input size in pixels.
        out: output size in pixels.
        interpolation: `"nearest"` (default) or `"bilinear"`.

    >>> resize_taps(2, 4, "bilinear")
    [(0, 1, 0.0), (0, 1, 0.25), (0, 1, 0.75), (1, 1, 0.0)]
    """
    taps = []
    for o in range(out):
        if interpolation == "nearest":
            i = min((2 * o + 1) * n // (2 * out), n - 1)
            taps.append((i, i, 0.0))
        else:
            position = min(max((o + 0.5) * n / out - 0.5, 0.0), n - 1.0)
            i = int(position)
            j = min(i + 1, n - 1)
            taps.append((i, j, position - i if j > i else 0.0))
    return taps


def remembered(function: Callable[..., Geometry], *arguments: Any, **named: Any) -> Geometry:
    """Return what a function of this file says, from memory if it was asked before.

    A layer asks the same at every step.
    """
    try:
        return _answer(function, _kinds(arguments), *arguments, **named)
    except TypeError:  # a list among the arguments cannot be looked up
        return function(*arguments, **named)


@functools.lru_cache(maxsize=1024, typed=True)
def _answer(
    function: Callable[..., Geometry], kinds: tuple[Any, ...], *arguments: Any, **named: Any
) -> Geometry:
    return function(*arguments, **named)


def _kinds(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the types within pairs: 1, 1.0 and True are equal, but a stride must be the first.

    The numbers beside them, and the sizes of images and kernels, are told apart already.
    """
    pairs = [v for v in values[2:] if type(v) is tuple]
    return tuple([_kinds((0, 0, *v)) + tuple(map(type, v)) for v in pairs]) if pairs else ()
