"""Work on a GPU that waits for memory: pooling, resizing, normalization, the ends of a step.

Each is judged by the bytes that it cannot but move, 4 for a number, beside what a plain copy moves
in the same time. With n numbers in the larger image and n/4 in the smaller one:

    2x2 max-pool                     reads n, writes n/4 values and n/4 places      6n bytes
    its gradient                     reads n/4 slopes and n/4 places, writes n      6n
    2x2 average-pool, its gradient   n and n/4                                      5n
    bilinear resize, its gradient    n/4 and n                                      5n
    batch normalization, ReLU        reads n for the statistics and again, writes n 12n
    its gradient                     reads dy, y and x twice, writes n              28n
    bias and ReLU, in place          reads and writes n                             8n
    Adam                             reads 4n, writes 3n                            28n
    squared error                    reads 2n, writes its gradient                  12n

PyTorch moves more in some of them: places of eight bytes, a pass for each of bias and ReLU.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks import gpu_torch
from benchmarks.gpu_layers import Plan
from benchmarks.gpu_timing import OURS, THEIRS, Case, Contestant, Pairing
from benchmarks.networks import EPSILON, LEARNING_RATE
from minicnn.geometry import Resize, conv2d_geometry
from minicnn.kernels import backend, cuda
from minicnn.kernels.cuda.device import cupy, program

if TYPE_CHECKING:
    import torch

SHARE = 0.85
LIMIT = 1e-4
#: Of batch normalization.
VARIANCE_EPSILON = 1e-3
BETA_1, BETA_2 = 0.9, 0.999


class Size(NamedTuple):
    """The larger images: even sizes."""

    batch: int
    height: int
    width: int
    channels: int

    @property
    def numbers(self) -> int:
        """How many numbers they are."""
        return math.prod(self)

    @property
    def half(self) -> Size:
        """The smaller images."""
        return self._replace(height=self.height // 2, width=self.width // 2)


FULL_SIZE = Size(256, 56, 48, 64)


class Work(NamedTuple):
    """A call of both libraries; the results of each are its first, or the list that it returns."""

    ours: Callable[[], Any]
    theirs: Callable[[], Any] | None
    ours_result: Callable[[], Any] | None = None
    theirs_result: Callable[[], Any] | None = None


def plans(size: Size, device: str | None) -> list[Plan]:
    """Return the work on images of a size, beside PyTorch's on a device unless it is None."""
    n = size.numbers
    table: list[tuple[str, int, Callable[[Size, str | None], Work]]] = [
        ("2x2 max-pool", 6 * n, max_pool),
        ("2x2 max-pool, gradient", 6 * n, max_pool_gradient),
        ("2x2 average-pool", 5 * n, average_pool),
        ("2x2 average-pool, gradient", 5 * n, average_pool_gradient),
        ("bilinear resize by 2", 5 * n, resize),
        ("bilinear resize by 2, gradient", 5 * n, resize_gradient),
        ("batch normalization + ReLU", 12 * n, normalization),
        ("batch normalization + ReLU, gradient", 28 * n, normalization_gradient),
        ("bias + ReLU", 8 * n, bias_and_relu),
        ("Adam", 28 * n, adam),
        ("squared error with its gradient", 12 * n, squared_error),
    ]
    return [
        Plan(name, functools.partial(_cases, name, moved, make, size, device))
        for name, moved, make in table
    ]


def _cases(
    name: str, moved: int, make: Callable[[Size, str | None], Work], size: Size, device: str | None
) -> list[Case]:
    work = make(size, device)
    contestants = {}
    if work.theirs is not None:
        result = work.theirs_result or functools.partial(_first_of_theirs, work.theirs)
        setting = functools.partial(gpu_torch.precision, False)
        contestants[THEIRS] = Contestant(THEIRS, work.theirs, result, LIMIT, setting)
    result = work.ours_result or functools.partial(_first, work.ours)
    contestants[OURS] = Contestant(OURS, work.ours, result, LIMIT)
    pairing = Pairing(OURS, THEIRS, share=SHARE)
    return [Case(("x".join(map(str, size)), name), contestants, [pairing], moved=moved, flush=True)]


def _first(call: Callable[[], Any]) -> Any:
    result = call()
    return result[0] if isinstance(result, tuple) else result


def _first_of_theirs(call: Callable[[], Any]) -> Any:
    return gpu_torch.images_back(_first(call), mirrored=False)


def _images(size: Size, device: str | None, seed: int = 0) -> tuple[Any, Any]:
    """Return random images for both libraries; None for PyTorch if it is not asked."""
    x = np.random.default_rng(seed).standard_normal(size, dtype=np.float32)
    return cupy().asarray(x), None if device is None else _tensor(x, device)


def _tensor(x: np.ndarray, device: str) -> torch.Tensor:
    """Return images (N,H,W,C) as PyTorch's (N,C,H,W), channels last in memory."""
    import torch

    return torch.from_numpy(x).to(device).permute(0, 3, 1, 2)


def _aten() -> Any:
    import torch

    return torch.ops.aten


#: The window of a 2x2 pool for PyTorch: size, stride, padding.
WINDOW = ([2, 2], [2, 2], [0, 0])


def max_pool(size: Size, device: str | None) -> Work:
    """Values and places."""
    x, tx = _images(size, device)
    pool, g = backend(x.size, x).max_pool2d, conv2d_geometry(size[1:3], 2, 2)
    theirs = None
    if device:
        theirs = functools.partial(_aten().max_pool2d_with_indices, tx, *WINDOW)
    return Work(lambda: pool(x, g), theirs)


def max_pool_gradient(size: Size, device: str | None) -> Work:
    """Slopes at their places."""
    (x, tx), (dy, tdy) = _images(size, device), _images(size.half, device, 1)
    g = conv2d_geometry(size[1:3], 2, 2)
    scatter, where = backend(x.size, x).scatter, backend(x.size, x).max_pool2d(x, g)[1]
    theirs = None
    if device:
        indices = _aten().max_pool2d_with_indices(tx, *WINDOW)[1]
        back = _aten().max_pool2d_with_indices_backward
        theirs = functools.partial(back, tdy, tx, *WINDOW, [1, 1], False, indices)
    return Work(lambda: scatter(dy, where, g), theirs)


def average_pool(size: Size, device: str | None) -> Work:
    """Means."""
    x, tx = _images(size, device)
    pool, g = backend(x.size, x).average_pool2d, conv2d_geometry(size[1:3], 2, 2)
    theirs = functools.partial(_aten().avg_pool2d, tx, *WINDOW) if device else None
    return Work(lambda: pool(x, g), theirs)


def average_pool_gradient(size: Size, device: str | None) -> Work:
    """Slopes shared by the pixels of each window."""
    dy, tdy = _images(size.half, device)
    back, g = backend(dy.size, dy).average_pool2d_gradient, conv2d_geometry(size[1:3], 2, 2)
    theirs = None
    if device:
        _, tx = _images(size, device)
        more = (False, True, None)  # round down, count padding, no divisor of its own
        theirs = functools.partial(_aten().avg_pool2d_backward, tdy, tx, *WINDOW, *more)
    return Work(lambda: back(dy, g), theirs)


def resize(size: Size, device: str | None) -> Work:
    """The smaller images at twice their size."""
    (x, tx), sizes = _images(size.half, device), Resize(*size.half[1:3], *size[1:3])
    enlarge = backend(x.size, x).resize2d
    theirs = None
    if device:
        theirs = functools.partial(_aten().upsample_bilinear2d, tx, list(size[1:3]), False)
    return Work(lambda: enlarge(x, sizes, "bilinear"), theirs)


def resize_gradient(size: Size, device: str | None) -> Work:
    """Slopes of the larger images, given back."""
    (dy, tdy), sizes = _images(size, device), Resize(*size.half[1:3], *size[1:3])
    back = backend(dy.size, dy).resize2d_gradient
    theirs = None
    if device:
        small = [size.batch, size.channels, *size.half[1:3]]
        call = _aten().upsample_bilinear2d_backward
        theirs = functools.partial(call, tdy, list(size[1:3]), small, False)
    return Work(lambda: back(dy, sizes, "bilinear"), theirs)


def _factors(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return gamma and beta."""
    channels = np.linspace(0.5, 1.5, size.channels, dtype=np.float32)
    return channels, 0.3 * channels


def _normalized_by_torch(tx: Any, gamma: Any, beta: Any) -> Any:
    from torch.nn import functional

    y = functional.batch_norm(tx, None, None, gamma, beta, True, 0.1, VARIANCE_EPSILON)
    return functional.relu(y, inplace=True)


def normalization(size: Size, device: str | None) -> Work:
    """By the batch's own statistics."""
    x, tx = _images(size, device)
    gamma, beta = map(cupy().asarray, _factors(size))
    ours = functools.partial(cuda.batch_normalization, x, gamma, beta, VARIANCE_EPSILON, True)
    theirs = None
    if device:
        given = _on(device, *_factors(size))
        theirs = functools.partial(_normalized_by_torch, tx, *given)
    return Work(ours, theirs)


def normalization_gradient(size: Size, device: str | None) -> Work:
    """By the images, gamma and beta."""
    (x, tx), (dy, tdy) = _images(size, device), _images(size, device, 1)
    gamma, beta = map(cupy().asarray, _factors(size))
    y, mean, variance = cuda.batch_normalization(x, gamma, beta, VARIANCE_EPSILON, True)
    ours = functools.partial(
        cuda.batch_normalization_gradient, dy, y, x, gamma, mean, variance, VARIANCE_EPSILON
    )
    if not device:
        return Work(ours, None)
    import torch

    inputs = [t.requires_grad_() for t in (tx, *_on(device, *_factors(size)))]
    result = _normalized_by_torch(*inputs)
    theirs = functools.partial(torch.autograd.grad, result, inputs, tdy, retain_graph=True)
    return Work(ours, theirs)


def bias_and_relu(size: Size, device: str | None) -> Work:
    """In place, as behind a product of cuBLAS."""
    y, ty = _images(size, device)
    bias = _factors(size)[0]
    row = cupy().asarray(bias)

    def ours(images: Any = y) -> Any:
        kernels = program("conv2d", images)
        count = kernels.offset(images.size)
        kernels.over("finish", images.size, images, row, count, images.shape[-1], 1)
        return images

    if not device:
        return Work(ours, None, lambda: ours(y.copy()))
    from torch.nn import functional

    (theirs_row,) = _on(device, bias[:, None, None])

    def theirs(images: Any = ty) -> Any:
        return functional.relu(images.add_(theirs_row), inplace=True)

    def result() -> Any:
        return gpu_torch.images_back(theirs(ty.clone()), mirrored=False)

    return Work(ours, theirs, lambda: ours(y.copy()), result)


def _on(device: str, *arrays: np.ndarray) -> list[torch.Tensor]:
    import torch

    return [torch.from_numpy(array).to(device) for array in arrays]


def adam(size: Size, device: str | None) -> Work:
    """The first step; its result is what it changes of the weights."""
    rng = np.random.default_rng(0)
    # Small weights, so that little of the change is lost in rounding.
    weight, gradient = 0.05 * rng.standard_normal((2, size.numbers), dtype=np.float32)
    w, g = cupy().asarray(weight), cupy().asarray(gradient)
    mean, square = cupy().zeros(w.shape, w.dtype), cupy().zeros(w.shape, w.dtype)
    scale = math.sqrt(1 - BETA_2)
    rates = 1 - BETA_1, 1 - BETA_2, LEARNING_RATE * scale / (1 - BETA_1), EPSILON
    ours = functools.partial(cuda.adam, w, g, mean, square, *rates)
    if not device:
        return Work(ours, None, lambda: ours() - w)
    import torch

    tw, tg = _on(device, weight, gradient)
    start = tw.clone()
    tw.requires_grad_().grad = tg
    # PyTorch adds epsilon after a division that minicnn, after Keras, does last.
    optimizer = torch.optim.Adam(
        [tw], LEARNING_RATE, (BETA_1, BETA_2), EPSILON / scale, fused=True
    )  # fmt: skip

    def result() -> Any:
        optimizer.step()
        return gpu_torch.seen_by_cupy(tw.detach() - start)

    return Work(ours, optimizer.step, lambda: ours() - w, result)


def squared_error(size: Size, device: str | None) -> Work:
    """The mean, and the gradient by the prediction, which is compared."""
    (p, tp), (t, tt) = _images(size, device), _images(size, device, 1)

    def ours() -> Any:
        return cuda.squared_error(p, t)[::-1]

    if not device:
        return Work(ours, None)
    import torch

    one, mean = torch.ones((), device=device), 1

    def theirs() -> Any:
        loss = _aten().mse_loss(tp, tt)
        return _aten().mse_loss_backward(one, tp, tt, mean), loss

    return Work(ours, theirs)
