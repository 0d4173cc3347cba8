"""What was given to an operation on images: recognised, brought to one type, or refused in words.

Images are (N,H,W,C) and kernels (KH,KW,C/groups,F) here. What people bring instead is mostly one of
a few things: a matrix, an image without the axis of the batch, or the order of PyTorch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from minicnn import config
from minicnn.autograd.tensor import Tensor, as_tensor, given, in_one_type
from minicnn.errors import IMAGES_LAST, ShapeError, missing_axes, warn_user
from minicnn.ops.shape import reshape
from minicnn.runtime.devices import check_same_device

__all__ = ["check_bias", "check_channels", "check_transposed_channels",
           "image_and_kernel", "images", "in_floats", "on_matrices", "turned"]  # fmt: skip

#: PyTorch's (F,C,KH,KW) as they are wanted here.
KERNELS_LAST = (2, 3, 1, 0)


def floats(x: Tensor) -> Tensor:
    """Return a tensor of floats: integers become `config.floatx()`."""
    return x if x.dtype.kind == "f" else Tensor(x.data.astype(config.floatx()))


F = TypeVar("F", bound=Callable[..., Tensor])


def on_matrices(operation: F) -> F:
    """Let an operation on images take a matrix (H,W), too, and give back a matrix."""

    @functools.wraps(operation)
    def called(x: Any, *args: Any, **kwargs: Any) -> Tensor:
        name = kwargs.get("name", operation.__name__)
        x = given(name, "x", x)
        if x.ndim != 2:
            return operation(x, *args, **kwargs)
        y = operation(reshape(x, (1, *x.shape, 1)), *args, **kwargs)
        return reshape(y, y.shape[1:3])

    return called  # type: ignore[return-value]


def images(where: str, x: Any) -> Tensor:
    """Return images (N,H,W,C) as floats.

    Raises:
        ShapeError: they have other axes; the message says how to add or to turn them.
    """
    tensor = given(where, "x", x)
    if tensor.ndim != 4:
        raise ShapeError(
            f"{where}: x has shape {tensor.shape}, but must have axes (N,H,W,C)"
            f"{missing_axes('x', tensor.shape)}"
        )
    return floats(tensor)


def in_floats(tensors: Sequence[Tensor]) -> Any:
    """Return tensors as floats of one type; integers take that of the floats they meet.

    >>> x, y = in_floats([Tensor([[1, 2, 3]]), Tensor(np.ones(3, "float64"))])
    >>> x.dtype.name, y.dtype.name
    ('float64', 'float64')
    """
    kinds = [t.dtype for t in tensors if t.dtype.kind == "f"]
    kind = np.result_type(*kinds) if kinds else np.dtype(config.floatx())
    whole = [t if t.dtype.kind == "f" else Tensor(t.data.astype(kind)) for t in tensors]
    return in_one_type(*whole)


def image_and_kernel(
    where: str, x: Tensor, kernel: Tensor, bias: Any, groups: Any, transposed: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return images (N,H,W,C), kernels and a bias as floats of one type, on one device.

    Args:
        where: the operation's name, for messages.
        x: the images.
        kernel: the kernels.
        bias: one number for each filter, or None.
        groups: of the channels.
        transposed: whether the kernel's channels stand last, (KH,KW,F/groups,C).

    Raises:
        ShapeError: axes are missing; the message says how to add them.
    """
    bias = None if bias is None else given(where, "bias", bias)
    if kernel.data.ndim != 4:
        channels = x.shape[-1] if x.ndim in (3, 4) else 1
        raise ShapeError(_kernel_axes(where, kernel.shape, channels, transposed))
    if kernel.data.size == 0:
        raise ShapeError(
            f"{where}: kernel has shape {kernel.shape}, but each axis must be at least 1."
        )
    if x.data.ndim != 4:
        each = kernel.shape[3] if transposed else kernel.shape[2] * _whole(groups)
        raise ShapeError(
            f"{where}: x has shape {x.shape}, but must have four axes (N,H,W,C)"
            f"{missing_axes('x', x.shape, (None, None, None, each))}"
        )
    check_same_device(where, x=x.data, kernel=kernel.data)
    if bias is not None:
        check_same_device(where, bias=bias.data, kernel=kernel.data)
    if x.data.dtype != kernel.data.dtype or x.data.dtype.kind != "f":
        x, kernel = in_floats((x, kernel))
    return x, kernel, None if bias is None else as_tensor(bias, x.dtype)


def _whole(groups: Any) -> int:
    """Return the groups for a guess at what was meant; whether they fit is checked elsewhere."""
    return groups if isinstance(groups, int) and groups > 0 else 1


def _kernel_axes(where: str, shape: tuple[int, ...], channels: int, transposed: bool) -> str:
    axes = "(KH,KW,F/groups,C)" if transposed else "(KH,KW,C/groups,F)"
    rule = f"{where}: kernel has shape {shape}, but must have four axes {axes}."
    if len(shape) == 2:
        added = f"kernel[:, :, None, None] adds the missing ones, {(*shape, 1, 1)}"
        if channels == 1:
            return f"{rule} {added}."
        axis = 3 if transposed else 2
        return (
            f"{rule} {added}, for one channel; for the {channels} channels of x, added up, "
            f"np.repeat(kernel[:, :, None, None], {channels}, axis={axis})."
        )
    if len(shape) != 3:
        return rule
    if shape[0] == channels != shape[2]:
        turned = f"kernel.transpose(1, 2, 0)[{':, :, None' if transposed else '..., None'}]"
        return f"{rule} {turned} is one filter whose channels stood first, as in PyTorch."
    many = (shape[2] == channels) == transposed
    added = "kernel[:, :, None, :]" if many else "kernel[..., None]"
    full = (*shape[:2], 1, shape[2]) if many else (*shape, 1)
    return f"{rule} {added} adds the missing one, {full}."


def check_channels(where: str, x: Tensor, kernel: Tensor, bias: Tensor | None, groups: int) -> None:
    """Raise if the channels of images and kernels (KH,KW,C/groups,F), or the bias, do not fit.

    Raises:
        ShapeError: they do not; the message knows the order of PyTorch.
    """
    channels, (taken, filters) = x.data.shape[3], kernel.data.shape[2:]
    fits = channels == taken * groups
    if fits and filters % groups == 0 and (bias is None or bias.data.shape == (filters,)):
        if kernel.data.shape[0] >= 8 and _surely_turned(kernel.data.shape):
            _warn_of_order(where, x, kernel, groups)
        return
    rule = f"{taken}" if groups == 1 else f"{taken} * {groups} groups = {taken * groups}"
    turn = turned(x, kernel, groups, fits)
    if turn and not fits:
        raise ShapeError(
            f"{where}: x has {channels} channels, but the kernel takes {rule}; they must be "
            f"equal. {turn}"
        )
    if channels % groups or filters % groups:
        fitting = [
            str(n)
            for n in range(1, min(channels, filters) + 1)
            if channels % n == 0 and filters % n == 0
        ]
        raise ShapeError(
            f"{where}: groups={groups} must divide the {channels} input channels and the "
            f"{filters} filters; fitting: {', '.join(fitting)}."
        )
    if not fits:
        cure = (
            f" x is (N,H,W,C), here {x.shape}, and the kernel (KH,KW,C/groups,F), {kernel.shape}."
        )
        if taken * groups == 1:
            cure = " x.mean(axis=-1, keepdims=True) makes the image grey."
        elif channels == 1:
            cure = f" np.repeat(x, {taken * groups}, axis=-1) gives a grey image as many."
        raise ShapeError(
            f"{where}: x has {channels} channels, but the kernel takes {rule}; they must be "
            f"equal.{cure}"
        )
    if bias is not None:
        check_bias(where, bias, filters, turn if bias.shape == kernel.shape[:1] else "")


def _warn_of_order(where: str, x: Tensor, kernel: Tensor, groups: int) -> None:
    """Warn of kernels that fit as they are and can only be filters in PyTorch's order."""
    if turn := turned(x, kernel, groups, fits=True):
        warn_user(f"{where}: {turn}")


def check_transposed_channels(where: str, x: Tensor, kernel: Tensor, groups: int) -> None:
    """Raise if the channels of images and kernels (KH,KW,F/groups,C) do not fit.

    Raises:
        ShapeError: they do not; the message knows the order of PyTorch.
    """
    channels, taken = x.shape[3], kernel.shape[3]
    if taken == channels and channels % groups == 0:
        return
    turn = turned(x, kernel, groups, False, transposed=True) if taken != channels else ""
    raise ShapeError(
        f"{where}: x has {channels} channels and groups is {groups}, but the kernel "
        f"(KH,KW,F/groups,C) takes {taken}; the channels must be equal and a multiple of groups."
        f"{' ' + turn if turn else ''}"
    )


def turned(x: Tensor, kernel: Tensor, groups: int, fits: bool, *, transposed: bool = False) -> str:
    """Return the sentence on the order of PyTorch if x, the kernel or both seem to be in it.

    Args:
        x: images of four axes.
        kernel: kernels of four axes.
        groups: of the channels.
        fits: whether their channels fit as they are.
        transposed: whether the kernel's channels stand last, (KH,KW,F/groups,C).
    """
    before, after = x.shape, kernel.shape

    def takes(shape: Sequence[int], turned: bool) -> int:
        if transposed:  # PyTorch has (C,F/groups,KH,KW)
            return shape[0] if turned else shape[3]
        return shape[1 if turned else 2] * groups

    squares = after[2] == after[3] != after[0]  # (F,C,K,K): windows are mostly square
    if after[0] % groups:  # filters, or channels of a transposed one
        return ""
    if takes(after, True) == before[3] and (squares or not fits):
        kernels, pictures = True, False
    elif not fits and takes(after, False) == before[1]:
        kernels, pictures = False, True
    elif not fits and takes(after, True) == before[1]:
        kernels, pictures = True, True
    else:
        return ""
    order = "C,F,KH,KW" if transposed else "F,C,KH,KW"
    parts = []
    if pictures:
        parts.append(
            f"The images seem to be (N,C,H,W), but channels stand last here: "
            f"x.transpose{IMAGES_LAST} fits, {tuple(before[i] for i in IMAGES_LAST)}."
        )
    if kernels:
        parts.append(
            f"The kernel seems to be ({order}), as in PyTorch: kernel.transpose{KERNELS_LAST} "
            f"fits, {tuple(after[i] for i in KERNELS_LAST)}."
        )
    return " ".join(parts)


def _surely_turned(kernel: Sequence[int]) -> bool:
    """Return whether kernels that fit as they are can only be filters in PyTorch's order.

    A window of 5 x 3 for 3 channels and 3 filters is a window; one of 16 x 3 or 64 x 3 is not: its
    rows are filters of 3 x 3.
    """
    rows = kernel[0]
    return rows >= 8 and rows % 2 == 0 and len({*kernel[1:]}) == 1 and kernel[1] > 1


def check_bias(where: str, bias: Tensor, filters: int, turn: str = "") -> None:
    """Raise if a bias has more or fewer numbers than there are filters.

    Raises:
        ShapeError: it has; `turn` is what the message says then of the kernel's order.
    """
    if bias.shape != (filters,):
        raise ShapeError(
            f"{where}: bias has shape {bias.shape}, but there are {filters} filters; it must "
            f"have shape ({filters},).{' ' + turn if turn else ''}"
        )
