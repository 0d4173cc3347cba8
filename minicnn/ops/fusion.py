"""Several operations in one pass over memory: a convolution layer, and the mean squared error.

The bias, ReLU and max-pool are operations of their own, and without the compiled backend they run
as such. Where it does the work, they happen while a convolution's result is still in the cache; in
the backward pass the gradient before the ReLU and the pool is never written out as a whole.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from minicnn.autograd.operators import operation
from minicnn.autograd.recording import is_recording
from minicnn.autograd.tensor import Tensor, convert_to_tensor, record
from minicnn.geometry import Geometry
from minicnn.kernels import fused
from minicnn.kernels.placement import check_same_device, on_gpu
from minicnn.kernels.slopes import Slopes
from minicnn.ops import elementwise, pooling, reduction
from minicnn.ops.maps import (
    conv2d_input_gradient,
    conv2d_kernel_gradient,
    convolution,
    multiply_adds,
)
from minicnn.ops.shape import reshape, sum_to

__all__ = ["convolution_layer", "convolution_max_pool", "dense_layer", "mean_squared_error"]

Array = NDArray[Any]


class _Layer:
    """One fused call: its operands, and how gradients reach each of them.

    While gradients are recorded themselves, for derivatives of higher order, each of the methods
    that end in `_gradient` is written in the operations of which the call is made.
    """

    def __init__(
        self,
        backend: ModuleType,
        x: Tensor,
        kernel: Tensor,
        bias: Tensor | None,
        g: Geometry,
        relu: bool,
        transposed: bool,
    ) -> None:
        self.backend, self.g, self.relu, self.transposed = backend, g, relu, transposed
        self.x, self.kernel, self.bias = x, kernel, bias
        self.where: Array | None = None
        self.pool: Geometry | None = None
        # The last gradient met, with what was made of it: it comes once for each operand.
        self._met: tuple[Tensor, Array | Slopes] | None = None
        self._both: tuple[Tensor, Tensor, Tensor] | None = None

    def recorded(self, value: Array) -> Tensor:
        """Return the result with its memory."""
        inputs = [(self.x, self.x_gradient), (self.kernel, self.kernel_gradient)]
        if self.bias is not None:
            inputs.append((self.bias, self.bias_gradient))
        name = "conv2d_transpose" if self.transposed else "conv2d"
        return record(name, value, *inputs)

    def _before(self, dy: Tensor, y: Tensor) -> Tensor:
        """Return the gradient before ReLU and pool, as a tensor."""
        if self.relu:
            dy = elementwise.relu_gradient(dy, y)
        if self.where is not None and self.pool is not None:
            dy = pooling.scatter(dy, self.where, self.pool)
        return dy

    def _slopes(self, dy: Tensor, y: Tensor) -> Array | Slopes:
        """Return the same, not written out where the backend can take it so."""
        if not self.relu and self.where is None:
            return dy.data
        if self._met is None or self._met[0] is not dy:
            slopes = Slopes(dy.data, y.data if self.relu else None, self.where, self.pool)
            self._met = dy, self.backend.ready(slopes, self.g)
        return self._met[1]

    def x_gradient(self, dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            function = convolution if self.transposed else conv2d_input_gradient
            return function(self._before(dy, y), self.kernel, self.g)
        kernel = self.backend.conv2d if self.transposed else self.backend.conv2d_input_gradient
        return record("x_gradient", kernel(self._slopes(dy, y), self.kernel.data, self.g))

    def kernel_gradient(self, dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            before = self._before(dy, y)
            large, small = (before, self.x) if self.transposed else (self.x, before)
            return conv2d_kernel_gradient(large, small, self.g)
        return self._kernel_and_bias(dy, y)[0]

    def bias_gradient(self, dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            return sum_to(self._before(dy, y), y.shape[3:])
        return self._kernel_and_bias(dy, y)[1]

    def _kernel_and_bias(self, dy: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return both gradients, which come from one pass; the second asks in vain for work."""
        if self._both is None or self._both[0] is not dy:
            slopes, x = self._slopes(dy, y), self.x.data
            large, small, side = (slopes, x, "x") if self.transposed else (x, slopes, "dy")
            dk, db = self.backend.kernel_and_bias_gradient(
                large, small, self.g, side if self.bias is not None else None
            )
            self._both = dy, record("kernel_gradient", dk), record("bias_gradient", db)
        return self._both[1:]


def convolution_layer(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    g: Geometry,
    *,
    relu: bool = False,
    transposed: bool = False,
) -> Tensor:
    """Return a convolution, or transposed convolution, with bias and ReLU.

    Args:
        x: images (N,H,W,C).
        kernel: as in `conv2d`, or in `conv2d_transpose`.
        bias: (F,) or None.
        g: the window arithmetic.
        relu: whether negative results become zero.
        transposed: whether it is the transposed convolution.
    """
    backend = fused(multiply_adds(g, x, kernel), x.data)
    if backend is None or (bias is None and not relu):
        y = conv2d_input_gradient(x, kernel, g) if transposed else convolution(x, kernel, g)
        y = y if bias is None else elementwise.add(y, bias)
        return elementwise.relu(y) if relu else y
    function = backend.conv2d_input_gradient if transposed else backend.conv2d
    value = function(x.data, kernel.data, g, None if bias is None else bias.data, relu)
    return _Layer(backend, x, kernel, bias, g, relu, transposed).recorded(value)


def convolution_max_pool(
    x: Tensor, kernel: Tensor, bias: Tensor | None, g: Geometry, pool: Geometry, *, relu: bool
) -> Tensor:
    """Return the max-pool of a convolution with bias and ReLU.

    Args:
        x: images (N,H,W,C).
        kernel: as in `conv2d`.
        bias: (F,) or None.
        g: the window arithmetic of the convolution.
        pool: that of the max-pool.
        relu: whether negative results become zero.
    """
    backend = fused(multiply_adds(g, x, kernel), x.data)
    if backend is None or not backend.pools_in_place(x.dtype, pool):
        y = convolution_layer(x, kernel, bias, g, relu=relu)
        return pooling.max_pool_of(y, pool)
    layer = _Layer(backend, x, kernel, bias, g, relu, transposed=False)
    value, layer.where = backend.conv2d_max_pool2d(
        x.data, kernel.data, g, None if bias is None else bias.data, relu, pool
    )
    layer.pool = pool
    return layer.recorded(value)


#: The window arithmetic of images of one pixel, whose convolution is a matrix product.
_ONE_PIXEL = Geometry(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1)


def dense_layer(x: Tensor, kernel: Tensor, bias: Tensor | None, *, relu: bool) -> Tensor:
    """Return x @ kernel with bias and ReLU.

    On the GPU, rows of numbers are images of one pixel there: a convolution takes its bias and ReLU
    along, and their gradients.

    Args:
        x: (...,C).
        kernel: (C,U).
        bias: (U,) or None.
        relu: whether negative results become zero.

    >>> dense_layer(Tensor([[1.0, 2.0]]), Tensor([[3.0], [-4.0]]), None, relu=True).numpy().tolist()
    [[0.0]]
    """
    arrays = [t.data for t in (x, kernel, bias) if t is not None]
    alike = len({a.dtype for a in arrays}) == 1 and all(map(on_gpu, arrays))
    backend = fused(x.size, x.data) if alike and x.size and (relu or bias is not None) else None
    if backend is None or not backend.has_tile(x.dtype):
        y = reduction.matmul(x, kernel)
        y = y if bias is None else elementwise.add(y, bias)
        return elementwise.relu(y) if relu else y
    pixels = reshape(x, (-1, 1, 1, x.shape[-1]))
    y = convolution_layer(
        pixels, reshape(kernel, (1, 1, *kernel.shape)), bias, _ONE_PIXEL, relu=relu
    )
    return reshape(y, (*x.shape[:-1], kernel.shape[1]))


@operation
def mean_squared_error(truth: Any, prediction: Any) -> Tensor:
    """Return the mean of (prediction - truth)**2 over all elements.

    >>> float(mean_squared_error(Tensor([[0.0, 1.0, 2.0]]), Tensor([[0.0, 1.0, 5.0]])))
    3.0
    """
    truth, prediction = convert_to_tensor(truth), convert_to_tensor(prediction)
    check_same_device("mean_squared_error", truth=truth.data, prediction=prediction.data)
    backend = fused(prediction.size, prediction.data)
    alike = truth.shape == prediction.shape and truth.dtype == prediction.dtype
    if backend is None or not alike or not prediction.size or not backend.has_tile(truth.dtype):
        return reduction.mean(elementwise.square(elementwise.subtract(prediction, truth)))
    value, gradient = backend.squared_error(prediction.data, truth.data)

    def by_prediction(dy: Tensor, y: Tensor) -> Tensor:
        if is_recording():
            difference = elementwise.subtract(prediction, truth)
            return elementwise.multiply(dy, elementwise.multiply(2 / prediction.size, difference))
        # In training this is the last operation, so dy is 1 and a pass over the image is saved.
        # Whether it is, is not asked of the GPU: the answer would have to be waited for.
        done = dy.ones or (not on_gpu(dy.data) and dy.data == 1)
        return Tensor((gradient if done else gradient * dy.data).reshape(prediction.shape))

    return record(
        "mean_squared_error",
        value,
        (prediction, by_prediction),
        (truth, lambda dy, y: elementwise.negative(by_prediction(dy, y))),
    )
