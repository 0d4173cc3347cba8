"""Batch normalization with its ReLU, and sums over the pixels of a batch."""

from __future__ import annotations

from minicnn.kernels.cuda.device import THREADS, Array, Program, checked, empty, program, zeros
from minicnn.kernels.cuda.plain import added

__all__ = ["batch_normalization", "batch_normalization_gradient", "column_sums",
           "move_statistics", "normalize_by"]  # fmt: skip

#: Numbers of a chunk, whose sums are short enough for float32, and chunks at most.
CHUNK = 1 << 14
MOST_CHUNKS = 512


class _Chunks:
    """How the rows of a batch (M,C) are cut, and the launch over them.

    Args:
        x: any array of the batch's shape.
    """

    def __init__(self, x: Array) -> None:
        self.kernels: Program = program("normalization", x, THREADS=THREADS)
        self.channels = x.shape[-1]
        self.rows = x.size // self.channels
        # Both depend on the sizes alone, and so do the bits of the sums.
        length = max(CHUNK // self.channels, -(-self.rows // MOST_CHUNKS), 1)
        self.count = -(-self.rows // length)
        self.length = self.kernels.offset(length)
        lanes = 1
        while lanes < min(self.channels, 32):
            lanes *= 2
        self.block = (lanes, THREADS // lanes)
        self.shape = (self.count, self.channels)

    def over_chunks(self, name: str, *given: Array | None) -> None:
        """Start a kernel with a block for each 32 channels and each chunk, of which there are few.

        Along x a launch may have any number of blocks, along y 65535.
        """
        grid = (-(-self.channels // self.block[0]), self.count)
        rows = self.kernels.offset(self.rows)
        self.kernels.launch(name, grid, self.block, *given, rows, self.length, self.channels)


def column_sums(
    x: Array,
    relu_output: Array | None = None,
    indices: Array | None = None,
    counted: Array | None = None,
) -> Array:
    """Return the sum of each channel of x (...,C) over everything else: (C,).

    Args:
        x: (...,C).
        relu_output: where given, in x's shape, a number counts where this is positive.
        indices: likewise, int32, a number counts where this is no less than 0.
        counted: where given, in x's shape, gets the numbers that count, and zeros.
    """
    given = {"x": x, "relu_output": relu_output, "indices": indices, "counted": counted}
    arrays = checked("column_sums", **{name: (a, x.shape) for name, a in given.items()})
    if x.size == 0:
        return zeros("column_sums", x.shape[-1:], x.dtype)
    chunks = _Chunks(x)
    parts = empty("column_sums", chunks.shape, x.dtype)
    chunks.over_chunks("column_sums", *arrays, parts)
    return added("column_sums", parts)


def batch_normalization(
    x: Array, gamma: Array | None, beta: Array | None, epsilon: float, relu: bool
) -> tuple[Array, Array, Array]:
    """Return y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, the mean and the variance.

    Args:
        x: (...,C), at least one number for each channel.
        gamma: (C,), or None for ones.
        beta: (C,), or None for zeros.
        epsilon: added to the variance.
        relu: whether negative results become zero.
    """
    where, row = "batch_normalization", x.shape[-1:]
    x, gamma, beta = checked(where, x=(x, x.shape), gamma=(gamma, row), beta=(beta, row))
    chunks = _Chunks(x)
    kernels, channels = chunks.kernels, chunks.channels
    means, squares = (empty(where, chunks.shape, x.dtype) for _ in range(2))
    chunks.over_chunks("moments", x, means, squares)
    mean, variance, factor, shift = (empty(where, row, x.dtype) for _ in range(4))
    kernels.over(
        "join_moments", channels, means, squares, gamma, beta, mean, variance, factor, shift,
        channels, chunks.count, kernels.offset(chunks.rows), chunks.length, float(epsilon),
    )  # fmt: skip
    y = empty(where, x.shape, x.dtype)
    count = kernels.offset(x.size)
    kernels.over("normalize", x.size, x, mean, factor, shift, y, count, channels, int(relu))
    return y, mean, variance


def normalize_by(
    x: Array, mean: Array, variance: Array, gamma: Array | None, beta: Array | None,
    epsilon: float, relu: bool,
) -> Array:  # fmt: skip
    """Return y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, by given statistics.

    Args:
        x: (...,C).
        mean: (C,).
        variance: (C,).
        gamma: (C,), or None for ones.
        beta: (C,), or None for zeros.
        epsilon: added to the variance.
        relu: whether negative results become zero.
    """
    row = x.shape[-1:]
    given = {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}
    named = {name: (a, row) for name, a in given.items()}
    arrays = checked("normalize_by", x=(x, x.shape), **named)
    y = empty("normalize_by", x.shape, x.dtype)
    kernels = program("normalization", y, THREADS=THREADS)
    numbers = kernels.offset(y.size), y.shape[-1], kernels.number(epsilon), int(relu)
    kernels.over("normalize_by", y.size, *arrays, y, *numbers)
    return y


def move_statistics(
    moving: tuple[Array, Array], batch: tuple[Array, Array], momentum: float
) -> tuple[Array, Array]:
    """Return momentum * moving + (1 - momentum) * batch, for a mean and a variance (C,) each."""
    row = moving[0].shape
    names = ("mean", "variance", "batch_mean", "batch_variance")
    pairs = zip(names, (*moving, *batch), strict=True)
    arrays = checked("move_statistics", **{name: (a, row) for name, a in pairs})
    new = tuple(empty("move_statistics", row, arrays[0].dtype) for _ in moving)
    kernels = program("normalization", arrays[0], THREADS=THREADS)
    shares = kernels.number(momentum), kernels.number(1 - momentum)
    kernels.over("move_statistics", row[0], *arrays, *new, row[0], *shares)
    return new[0], new[1]


def batch_normalization_gradient(
    dy: Array,
    y: Array | None,
    x: Array,
    gamma: Array | None,
    mean: Array,
    variance: Array,
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """Return the gradients by x (...,C), gamma (C,) and beta (C,).

    dx = gamma * scale * (dy - mean(dy) - n * mean(dy * n)), with n = (x - mean) * scale and
    scale = 1 / sqrt(variance + epsilon)

    Args:
        dy: gradient of the result (...,C).
        y: the result, if it went through a ReLU, else None.
        x: (...,C), at least one number for each channel.
        gamma: (C,), or None for ones.
        mean: of x, (C,).
        variance: of x, (C,).
        epsilon: added to the variance.
    """
    where, row = "batch_normalization_gradient", x.shape[-1:]
    dy, y, x, gamma, mean, variance = checked(
        where, dy=(dy, x.shape), y=(y, x.shape), x=(x, x.shape), gamma=(gamma, row),
        mean=(mean, row), variance=(variance, row),
    )  # fmt: skip
    chunks = _Chunks(x)
    kernels, channels = chunks.kernels, chunks.channels
    totals, products = (empty(where, chunks.shape, x.dtype) for _ in range(2))
    chunks.over_chunks("slopes", dy, y, x, mean, totals, products)
    by_gamma, by_beta, factor, tilt, shift = (empty(where, row, x.dtype) for _ in range(5))
    kernels.over(
        "join_slopes", channels, totals, products, gamma, variance, by_gamma, by_beta, factor, tilt,
        shift, channels, chunks.count, kernels.offset(chunks.rows), float(epsilon),
    )  # fmt: skip
    dx = empty(where, x.shape, x.dtype)
    count = kernels.offset(x.size)
    kernels.over(
        "normalize_gradient", x.size, dy, y, x, mean, factor, tilt, shift, dx, count, channels
    )
    return dx, by_gamma, by_beta
