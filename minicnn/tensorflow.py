"""TensorFlow's own names that listings use beside Keras: `tf.cast`, `tf.nn.relu`, `tf.random`.

With `import minicnn as tf` they are found as attributes of the package, which looks here for what
it has not itself. Everything is computed by `minicnn.ops`; only the names and the order of
arguments are TensorFlow's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn import config, ops
from minicnn.autograd.tensor import Tensor, convert_to_tensor, plain
from minicnn.errors import ArgumentError, check_choice
from minicnn.keras import Namespace, look_up

bool = np.dtype("bool")
float32, float64 = np.dtype("float32"), np.dtype("float64")
int8, int16, int32, int64 = (np.dtype(f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{n}") for n in (8, 16, 32, 64))
newaxis = None

#: Names that are the same operation here, "module:name".
SAME = {
    **{
        name: f"minicnn.ops:{name}"
        for name in (
            *("abs", "add", "broadcast_to", "cast", "divide", "exp", "matmul", "maximum"),
            *("minimum", "multiply", "negative", "reshape", "sigmoid", "sign", "sqrt", "square"),
            *("squeeze", "stack", "subtract", "tanh", "where"),
        )
    },
    "clip_by_value": "minicnn.ops:clip",
    "pow": "minicnn.ops:power",
    "reduce_max": "minicnn.ops:max",
    "reduce_mean": "minicnn.ops:mean",
    "reduce_min": "minicnn.ops:min",
    "reduce_sum": "minicnn.ops:sum",
}

_HERE = "minicnn.tensorflow"
_IN_MATH = (
    *("add_n", "argmax", "argmin", "equal", "greater", "greater_equal", "less", "less_equal"),
    *("logical_and", "logical_not", "logical_or", "not_equal", "reduce_std", "reduce_variance"),
)
_NAMESPACES = {
    "image": {
        **{
            name: f"{_HERE}:{name}"
            for name in (
                *("adjust_brightness", "adjust_contrast", "central_crop", "convert_image_dtype"),
                *("flip_left_right", "flip_up_down", "random_flip_left_right"),
                *("random_flip_up_down", "resize", "rgb_to_grayscale"),
            )
        },
        **{f"decode_{kind}": f"{_HERE}:decode_image" for kind in ("image", "jpeg", "png")},
    },
    "io": {
        "decode_image": f"{_HERE}:decode_image",
        "decode_jpeg": f"{_HERE}:decode_image",
        "decode_png": f"{_HERE}:decode_image",
        "read_file": f"{_HERE}:read_file",
    },
    "linalg": {"matmul": "minicnn.ops:matmul", "norm": f"{_HERE}:norm"},
    "math": {
        **SAME,
        **{name: f"{_HERE}:{name}" for name in _IN_MATH},
        **{name: f"minicnn.ops:{name}" for name in ("erf", "expm1", "log", "log1p", "softplus")},
    },
    "nn": {
        **{
            name: f"minicnn.activations:{name}"
            for name in (
                *("elu", "gelu", "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu"),
                *("softmax", "softplus", "softsign", "tanh"),
            )
        },
        "leaky_relu": f"{_HERE}:leaky_relu",
        "swish": "minicnn.activations:silu",
        **{
            name: f"{_HERE}:{name}"
            for name in (
                *("avg_pool2d", "bias_add", "conv2d", "l2_loss", "max_pool2d", "moments"),
                *("sigmoid_cross_entropy_with_logits", "softmax_cross_entropy_with_logits"),
                "sparse_softmax_cross_entropy_with_logits",
            )
        },
    },
    "random": {
        "normal": f"{_HERE}:random_normal",
        "set_seed": "minicnn.config:set_random_seed",
        "shuffle": f"{_HERE}:random_shuffle",
        "uniform": f"{_HERE}:random_uniform",
    },
}
_namespaces = {name: Namespace(f"tf.{name}", table) for name, table in _NAMESPACES.items()}


def __getattr__(name: str) -> Any:
    if name in SAME:
        return look_up(SAME[name])
    if name in _namespaces:
        return _namespaces[name]
    raise AttributeError(f"module 'minicnn' has no attribute {name!r}")


def function(func: Any = None, **options: Any) -> Any:
    """Return the function as it is: operations run at once here.

    Args:
        func: the decorated function; without it, a decorator is returned.
        options: TensorFlow's, which concern its graphs alone.
    """
    return func if func is not None else lambda f: f


def identity(input: Any) -> Tensor:  # noqa: A002 - here and below TensorFlow's names
    """Return the same numbers."""
    return ops.reshape(input, convert_to_tensor(input).shape)


def stop_gradient(input: Any) -> Tensor:  # noqa: A002
    """Return the same numbers; no gradient flows back through them."""
    return convert_to_tensor(input).detach()


# Arrays made anew.


def zeros(shape: Sequence[int], dtype: Any = float32) -> Tensor:
    """Return a tensor of zeros."""
    return Tensor(np.zeros(tuple(shape), dtype))


def ones(shape: Sequence[int], dtype: Any = float32) -> Tensor:
    """Return a tensor of ones."""
    return Tensor(np.ones(tuple(shape), dtype))


def zeros_like(input: Any, dtype: Any = None) -> Tensor:  # noqa: A002
    """Return zeros in the shape and type of a tensor."""
    return Tensor(np.zeros_like(convert_to_tensor(input).data, dtype))


def ones_like(input: Any, dtype: Any = None) -> Tensor:  # noqa: A002
    """Return ones in the shape and type of a tensor."""
    return Tensor(np.ones_like(convert_to_tensor(input).data, dtype))


def fill(dims: Sequence[int], value: Any) -> Tensor:
    """Return a tensor in which every element is `value`."""
    return Tensor(np.broadcast_to(convert_to_tensor(value).data, tuple(dims)).copy())


def eye(num_rows: int, num_columns: int | None = None, dtype: Any = float32) -> Tensor:
    """Return a matrix with ones on the diagonal."""
    return Tensor(np.eye(num_rows, num_columns, dtype=dtype))


def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Tensor:
    """Return the numbers from `start` (or 0) to below `limit` in steps of `delta`."""
    first, last = (0, start) if limit is None else (start, limit)
    array = np.arange(plain(first), plain(last), plain(delta))
    kind = dtype or (int32 if array.dtype.kind == "i" else config.floatx())
    return Tensor(array.astype(kind))


def linspace(start: Any, stop: Any, num: int) -> Tensor:
    """Return `num` numbers at equal distances from `start` to `stop`, both included."""
    return Tensor(np.linspace(plain(start), plain(stop), num, dtype=config.floatx()))


def one_hot(indices: Any, depth: int, dtype: Any = float32) -> Tensor:
    """Return class numbers (...) as rows with a single one: (...,depth).

    >>> one_hot([2, 0], 3).numpy().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    numbers = convert_to_tensor(indices).data
    return Tensor((numbers[..., None] == np.arange(depth)).astype(dtype))


# Shapes.


def shape(input: Any) -> Tensor:  # noqa: A002
    """Return the length of each axis as a tensor."""
    return Tensor(np.array(convert_to_tensor(input).shape, "int32"))


def size(input: Any) -> Tensor:  # noqa: A002
    """Return the number of elements as a tensor."""
    return Tensor(np.array(convert_to_tensor(input).size, "int32"))


def rank(input: Any) -> Tensor:  # noqa: A002
    """Return the number of axes as a tensor."""
    return Tensor(np.array(convert_to_tensor(input).ndim, "int32"))


def expand_dims(input: Any, axis: int) -> Tensor:  # noqa: A002
    """Return the tensor with a new axis of length 1 at a place.

    >>> expand_dims(np.ones((3, 5)), -1).shape
    (3, 5, 1)
    """
    x = convert_to_tensor(input)
    return ops.reshape(x, np.expand_dims(x.data, axis).shape)


def transpose(a: Any, perm: Sequence[int] | None = None) -> Tensor:
    """Return the tensor with its axes in the order `perm`, default reversed."""
    return ops.transpose(a, perm)


def concat(values: Sequence[Any], axis: int) -> Tensor:
    """Return tensors joined along an axis."""
    return ops.concatenate(values, axis)


def split(value: Any, num_or_size_splits: Any, axis: int = 0) -> list[Tensor]:
    """Return a tensor cut along an axis: into equal parts, or into parts of given lengths."""
    x = convert_to_tensor(value)
    length = x.shape[axis]
    lengths = num_or_size_splits
    if isinstance(lengths, int):
        if length % lengths:
            raise ArgumentError(
                f"split: num_or_size_splits={lengths} does not divide the {length} of axis {axis}."
            )
        lengths = [length // lengths] * lengths
    ends = np.cumsum(lengths).tolist()
    if ends[-1] != length:
        raise ArgumentError(f"split: lengths {list(lengths)} do not add up to {length}.")
    lead = (slice(None),) * (axis % x.ndim)
    return [x[(*lead, slice(e - n, e))] for n, e in zip(lengths, ends, strict=True)]


def gather(params: Any, indices: Any, axis: int = 0) -> Tensor:
    """Return the entries of these numbers along an axis."""
    x = convert_to_tensor(params)
    return x[(*(slice(None),) * (axis % x.ndim), convert_to_tensor(indices).data)]


# Comparing and counting; no gradient flows through these.


def _compared(function: Callable[[Any, Any], Any], name: str) -> Callable[[Any, Any], Tensor]:
    def compare(x: Any, y: Any) -> Tensor:
        return Tensor(function(convert_to_tensor(x).data, convert_to_tensor(y).data))

    compare.__name__ = name
    compare.__doc__ = f"Return where x is {name.replace('_', ' ')} y, element by element."
    return compare


equal = _compared(np.equal, "equal")
not_equal = _compared(np.not_equal, "not_equal")
greater = _compared(np.greater, "greater")
greater_equal = _compared(np.greater_equal, "greater_equal")
less = _compared(np.less, "less")
less_equal = _compared(np.less_equal, "less_equal")
logical_and = _compared(np.logical_and, "logical_and")
logical_or = _compared(np.logical_or, "logical_or")


def logical_not(x: Any) -> Tensor:
    """Return where x is false."""
    return Tensor(np.logical_not(convert_to_tensor(x).data))


def reduce_all(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return whether all elements are true, over all or some axes."""
    return Tensor(convert_to_tensor(input_tensor).data.all(axis=axis, keepdims=keepdims))


def reduce_any(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return whether any element is true, over all or some axes."""
    return Tensor(convert_to_tensor(input_tensor).data.any(axis=axis, keepdims=keepdims))


def argmax(input: Any, axis: int | None = None, output_type: Any = int64) -> Tensor:  # noqa: A002
    """Return the place of the largest element along an axis, by default the first axis."""
    return Tensor(convert_to_tensor(input).data.argmax(axis or 0).astype(output_type))


def argmin(input: Any, axis: int | None = None, output_type: Any = int64) -> Tensor:  # noqa: A002
    """Return the place of the smallest element along an axis, by default the first axis."""
    return Tensor(convert_to_tensor(input).data.argmin(axis or 0).astype(output_type))


# Sums and products.


def add_n(inputs: Sequence[Any]) -> Tensor:
    """Return the sum of tensors of one shape."""
    total = convert_to_tensor(inputs[0])
    for x in inputs[1:]:
        total = total + x
    return total


def reduce_variance(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return the mean squared distance from the mean, over all or some axes."""
    return ops.variance(input_tensor, axis, keepdims)


def reduce_std(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return the standard deviation, over all or some axes."""
    return ops.sqrt(ops.variance(input_tensor, axis, keepdims))


def norm(tensor: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return the square root of the sum of squares, over all or some axes."""
    return ops.sqrt(ops.sum(ops.square(tensor), axis, keepdims))


# tf.nn


def _pair(where: str, argument: str, value: Any) -> Any:
    """Return (rows, columns) of a number, a pair, or TensorFlow's four numbers."""
    numbers = [value] if isinstance(value, int) else list(value)
    if len(numbers) == 4:
        if numbers[0] != 1 or numbers[3] != 1:
            raise ArgumentError(
                f"{where}: {argument}={value!r}, but the first and the last, for samples and "
                f"channels, must be 1."
            )
        numbers = numbers[1:3]
    return tuple(numbers) if len(numbers) == 2 else numbers[0]


def conv2d(input: Any, filters: Any, strides: Any, padding: Any, dilations: Any = 1) -> Tensor:  # noqa: A002
    """Return the convolution of images (N,H,W,C) with kernels (KH,KW,C,F)."""
    return ops.conv2d(
        input,
        filters,
        None,
        _pair("conv2d", "strides", strides),
        padding,
        _pair("conv2d", "dilations", dilations),
    )


def max_pool2d(input: Any, ksize: Any, strides: Any, padding: Any) -> Tensor:  # noqa: A002
    """Return the largest value of each window of images (N,H,W,C)."""
    windows = _pair("max_pool2d", "ksize", ksize), _pair("max_pool2d", "strides", strides)
    return ops.max_pool2d(input, *windows, padding)


def avg_pool2d(input: Any, ksize: Any, strides: Any, padding: Any) -> Tensor:  # noqa: A002
    """Return the mean of each window of images (N,H,W,C)."""
    windows = _pair("avg_pool2d", "ksize", ksize), _pair("avg_pool2d", "strides", strides)
    return ops.average_pool2d(input, *windows, padding)


def bias_add(value: Any, bias: Any) -> Tensor:
    """Return the tensor with a number added to each channel of the last axis."""
    return ops.add(value, bias)


def leaky_relu(features: Any, alpha: float = 0.2) -> Tensor:
    """Return x above 0, alpha * x below."""
    return look_up("minicnn.activations:leaky_relu")(features, alpha)


def l2_loss(t: Any) -> Tensor:
    """Return half the sum of squares."""
    return ops.sum(ops.square(t)) * 0.5


def moments(x: Any, axes: Sequence[int], keepdims: Any = False) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance over some axes."""
    return ops.mean(x, axes, keepdims), ops.variance(x, axes, keepdims)


def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1) -> Tensor:
    """Return -sum of t*log(softmax(x)) over an axis."""
    return ops.negative(ops.sum(ops.multiply(labels, ops.log_softmax(logits, axis)), axis))


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
    """Return -log(softmax(x) at the true class) over the last axis."""
    x = convert_to_tensor(logits)
    return softmax_cross_entropy_with_logits(one_hot(labels, x.shape[-1], x.dtype), x)


def sigmoid_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
    """Return -t*log(p) - (1 - t)*log(1 - p) with p = sigmoid(x), element by element."""
    return ops.subtract(ops.softplus(logits), ops.multiply(labels, logits))


# tf.random: all draw from the process's generator, unless they have a seed of their own.


def _generator(seed: int | None) -> np.random.Generator:
    return config.random_generator() if seed is None else np.random.default_rng(seed)


def random_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = float32,
    seed: int | None = None,
) -> Tensor:
    """Return normal numbers; with a seed, the same at every call."""
    values = _generator(seed).standard_normal(tuple(shape))
    return Tensor((np.asarray(mean) + np.asarray(stddev) * values).astype(dtype))


def random_uniform(
    shape: Sequence[int],
    minval: float = 0,
    maxval: float | None = None,
    dtype: Any = float32,
    seed: int | None = None,
) -> Tensor:
    """Return equally likely numbers from `minval` to below `maxval`, which integers need."""
    rng, kind = _generator(seed), np.dtype(dtype)
    if kind.kind == "f":
        limit = 1.0 if maxval is None else maxval
        return Tensor(rng.uniform(minval, limit, tuple(shape)).astype(kind))
    if maxval is None:
        raise ArgumentError("random.uniform: integers need maxval, which is not reached.")
    return Tensor(rng.integers(int(minval), int(maxval), tuple(shape)).astype(kind))


def random_shuffle(value: Any, seed: int | None = None) -> Tensor:
    """Return the entries of the first axis in a new order."""
    x = convert_to_tensor(value)
    return x[_generator(seed).permutation(len(x))]


# tf.image: for one image (H,W,C) or several (N,H,W,C).


def _on_images(function: Callable[[Tensor], Tensor], image: Any) -> Tensor:
    x = convert_to_tensor(image)
    if x.ndim == 4:
        return function(x)
    y = function(ops.reshape(x, (1, *x.shape)))
    return ops.reshape(y, y.shape[1:])


def resize(images: Any, size: Sequence[int], method: str = "bilinear") -> Tensor:
    """Return images at another (height, width), by `"bilinear"` or `"nearest"` interpolation."""
    method = check_choice("image.resize", "method", method, ["bilinear", "nearest"])
    # TensorFlow keeps the type of nearest pixels, and gives float32 for means of several.
    x = convert_to_tensor(images)
    y = _on_images(lambda i: ops.resize2d(i, tuple(plain(size)), method), x)
    return ops.cast(y, x.dtype) if method == "nearest" else y


def flip_left_right(image: Any) -> Tensor:
    """Return images with their columns in reverse order."""
    return _on_images(lambda x: x[:, :, ::-1], image)


def flip_up_down(image: Any) -> Tensor:
    """Return images with their rows in reverse order."""
    return _on_images(lambda x: x[:, ::-1], image)


def _flipped_at_random(image: Any, flip: Callable[[Any], Tensor], seed: int | None) -> Tensor:
    def some(x: Tensor) -> Tensor:
        chosen = _generator(seed).random((len(x), 1, 1, 1)) < 0.5
        return ops.where(np.broadcast_to(chosen, x.shape), flip(x), x)

    return _on_images(some, image)


def random_flip_left_right(image: Any, seed: int | None = None) -> Tensor:
    """Return images, each flipped left to right with probability 1/2."""
    return _flipped_at_random(image, flip_left_right, seed)


def random_flip_up_down(image: Any, seed: int | None = None) -> Tensor:
    """Return images, each turned upside down with probability 1/2."""
    return _flipped_at_random(image, flip_up_down, seed)


def adjust_brightness(image: Any, delta: float) -> Tensor:
    """Return float images with `delta` added to every number."""
    return ops.add(image, delta)


def adjust_contrast(images: Any, contrast_factor: float) -> Tensor:
    """Return images with the distances from each channel's mean multiplied by a factor."""

    def stretched(x: Tensor) -> Tensor:
        mean = ops.mean(x, (1, 2), keepdims=True)
        return (x - mean) * contrast_factor + mean

    return _on_images(stretched, images)


def rgb_to_grayscale(images: Any) -> Tensor:
    """Return 0.2989 red + 0.587 green + 0.114 blue: (...,3) to (...,1)."""
    x = convert_to_tensor(images)
    weights = np.array([[0.2989], [0.587], [0.114]])
    if x.dtype.kind == "f":
        return ops.matmul(x, weights.astype(x.dtype))
    return Tensor((x.data @ weights).astype(x.dtype))


def central_crop(image: Any, central_fraction: float) -> Tensor:
    """Return the middle of images, with this share of the height and of the width."""

    def middle(x: Tensor) -> Tensor:
        top, left = (int((n - n * central_fraction) / 2) for n in x.shape[1:3])
        return x[:, top : x.shape[1] - top, left : x.shape[2] - left]

    return _on_images(middle, image)


def convert_image_dtype(image: Any, dtype: Any) -> Tensor:
    """Return images in another type: integers span their whole range, floats 0 to 1."""
    x, kind = convert_to_tensor(image), np.dtype(dtype)
    if x.dtype.kind in "iu" and kind.kind == "f":
        return ops.cast(x, kind) * (1.0 / np.iinfo(x.dtype).max)
    if x.dtype.kind == "f" and kind.kind in "iu":
        top = np.iinfo(kind).max
        return Tensor(np.clip(x.data * (top + 0.5), np.iinfo(kind).min, top).astype(kind))
    return ops.cast(x, kind)


def read_file(filename: Any) -> bytes:
    """Return the bytes of a file."""
    from pathlib import Path

    return Path(str(filename)).read_bytes()


def decode_image(contents: bytes, channels: int = 0) -> Tensor:
    """Return an encoded image (PNG, JPEG, ...) as uint8 (H,W,channels).

    Args:
        contents: the bytes of a file, from `read_file`.
        channels: 1 grey, 3 colours, 4 with opacity, or 0 (default) as the file has it.
    """
    import io

    from PIL import Image

    modes = {0: None, 1: "L", 3: "RGB", 4: "RGBA"}
    if channels not in modes:
        raise ArgumentError(f"decode_image: channels={channels!r}, but it must be 0, 1, 3 or 4.")
    with Image.open(io.BytesIO(contents)) as file:
        mode = modes[channels] or (file.mode if file.mode in ("L", "RGB", "RGBA") else "RGB")
        pixels = np.array(file.convert(mode), "uint8")
    return Tensor(pixels if pixels.ndim == 3 else pixels[..., None])
