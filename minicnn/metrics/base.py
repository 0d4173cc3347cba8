"""What all metrics share: variables that are brought up to date batch by batch, and means."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config, configs, initializers, losses
from minicnn.autograd.recording import no_recording
from minicnn.autograd.tensor import Tensor, Variable, as_numpy, plain
from minicnn.config import element_type
from minicnn.errors import ShapeError, Worded, truth_cure
from minicnn.layers.weights import members, unique
from minicnn.losses.base import spread
from minicnn.registry import snake_case
from minicnn.runtime.devices import gpu_in_sight, on_gpu, to_cpu, to_gpu

__all__ = ["Mean", "MeanMetricWrapper", "Metric", "Sum", "array_of", "divided",
           "matching", "together"]  # fmt: skip

Array = NDArray[Any]


def array_of(value: Any) -> Array:
    """Return the array of a tensor or of plain data, where it is."""
    array = plain(value)
    return array if on_gpu(array) else np.asarray(array)


def together(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Return both as arrays where the predictions are."""
    true, pred = array_of(y_true), array_of(y_pred)
    return (to_gpu if on_gpu(pred) else to_cpu)(true), pred


def _brought(value: Any) -> Any:
    """Return tensors and arrays of the GPU in the computer's memory, and the rest as it is."""
    if not on_gpu(plain(value)):
        return value
    return value.bare(to_cpu) if isinstance(value, Tensor) else to_cpu(value)


def _in_memory(method: Callable[..., Any], brings: bool) -> Callable[..., Any]:
    """Return a method of a metric that makes what it makes in the computer's memory.

    Args:
        method: of a metric.
        brings: whether its arguments, too, are brought there.
    """

    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not gpu_in_sight():
            return method(self, *args, **kwargs)
        with config.use_cpu():
            if brings:
                args = tuple(map(_brought, args))
                kwargs = {name: _brought(value) for name, value in kwargs.items()}
            return method(self, *args, **kwargs)

    return run


class Metric(Worded):
    """The base of all metrics: a figure that is brought up to date batch by batch.

    A subclass makes its variables by `add_weight` and writes `update_state` and `result`. Metrics
    live in the computer's memory: what `update_state` is given is there, even if it came from the
    GPU, unless the class says by `class Name(Metric, anywhere=True)` that it looks itself.

    Args:
        dtype: float type of the variables and of the result; by default `config.floatx()` for
            variables of a subclass, and float64 for what this library adds up itself.
        name: shown in logs, default the class's.

    >>> class Largest(Metric):
    ...     def __init__(self, name="largest", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.most = self.add_weight(name="most", shape=(), initializer="zeros")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.most.assign(max(float(self.most), np.max(y_pred)))
    ...     def result(self):
    ...         return self.most.value
    >>> largest = Largest()
    >>> float(largest([[0, 0, 0]], [[3.0, 5.0, 1.0]]))
    5.0
    >>> largest.reset_state(); float(largest.result())
    0.0
    """

    #: Whether "up" or "down" is better; callbacks with mode "auto" ask for it.
    direction: str | None = None

    def __init_subclass__(cls, anywhere: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("__init__", "update_state", "result"):
            if name in vars(cls):
                brings = name == "update_state" and not anywhere
                setattr(cls, name, _in_memory(vars(cls)[name], brings))

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self._given_dtype = dtype and element_type(self.name, dtype).name
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """The float type of variables and result."""
        return str(np.dtype(self._given_dtype or config.floatx()))

    def add_variable(
        self, shape: Sequence[int], initializer: Any, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Make a variable that `reset_state` sets to zero."""
        value = initializers.get(initializer)(tuple(shape), dtype or self.dtype)
        with config.use_cpu():
            variable = Variable(value, trainable=False, name=name or "variable")
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable that `reset_state` sets to zero; its first value is zero, too."""
        return self.add_variable(shape, initializer or "zeros", dtype, name)

    def _sums(self, name: str, shape: Sequence[int] = ()) -> Variable:
        """Make a variable of zeros that much is added to, in double precision."""
        return self.add_variable(shape, "zeros", self._given_dtype or "float64", name)

    def _figure(self, value: Any) -> Tensor:
        """Return a result as a tensor."""
        return Tensor(np.asarray(value, self._given_dtype or "float64"))

    @property
    def variables(self) -> list[Variable]:
        """The variables, in the order in which they were made, and those of metrics inside."""
        inner = members(self, Metric)
        own = [*self._variables, *members(self, Variable)]
        return unique([*own, *(v for m in inner for v in m.variables)])

    def reset_state(self) -> None:
        """Forget everything."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch."""
        raise TypeError(f"{type(self).__name__} does not define update_state")

    def result(self) -> Any:
        """Return the figure so far."""
        raise TypeError(f"{type(self).__name__} does not define result")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the figure so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another metric like this one."""
        config = configs.arguments_of(self, "dtype", "args", "kwargs")
        return {**config, "dtype": self._given_dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Return a new metric with these arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def divided(a: Any, b: Any) -> Array:
    """Return a / b, and 0 where b is 0."""
    a, b = as_numpy(a), as_numpy(b)
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b != 0)


def matching(where: str, y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Return both as arrays of one shape; a missing last axis of length 1 is added.

    They are where the predictions are.

    Raises:
        ShapeError: the shapes differ otherwise.
    """
    true, pred = together(y_true, y_pred)
    given = true.shape, pred.shape
    if true.ndim == pred.ndim - 1 and pred.shape[-1] == 1:
        true = true[..., None]
    elif true.ndim == pred.ndim + 1 and true.shape[-1] == 1:
        true = true[..., 0]
    if true.shape != pred.shape:
        raise ShapeError(
            f"{where}: y_true has shape {given[0]}, but y_pred has {given[1]}; they must be equal."
            f"{truth_cure(where, *given)}"
        )
    return true, pred


def _by_sample(
    where: str, values: Array, sample_weight: Any, reduce: Callable[..., Any]
) -> tuple[Array, Array | None]:
    """Return one value for each sample, times its weight, and the weights of the samples.

    Args:
        where: the metric's name, for messages.
        values: (N,...).
        sample_weight: None, a number, or (N,...) of as many axes as values or fewer.
        reduce: `np.mean` or `np.sum`, for the axes of a sample.
    """
    if sample_weight is None:
        return reduce(values, axis=tuple(range(1, values.ndim))), None
    weights = as_numpy(sample_weight, values.dtype)
    spread(where, weights, Tensor(values))  # refuses what does not fit
    if weights.ndim == values.ndim + 1:
        weights = weights[..., 0]
    axes = weights.ndim
    values = reduce(values, axis=tuple(range(axes, values.ndim)))
    weights = np.broadcast_to(weights, values.shape)
    inner = tuple(range(1, axes))
    return reduce(values * weights, axis=inner), reduce(weights, axis=inner)


class Sum(Metric, anywhere=True):
    """The sum of given numbers, each times its weight if there are any.

    >>> total = Sum()
    >>> total.update_state([[1.0, 2.0, 4.0], [0.0, 1.0, 1.0]], sample_weight=[1.0, 10.0])
    >>> float(total.result())
    27.0
    """

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self._sums("total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add numbers."""
        array = as_numpy(values, np.float64)
        self.total.assign_add(_by_sample(self.name, array, sample_weight, np.sum)[0].sum())

    def result(self) -> Tensor:
        return self._figure(self.total.data)


class Mean(Metric, anywhere=True):
    """The mean of given numbers, over samples, each with its weight if there are any.

    >>> mean = Mean()
    >>> mean.update_state([1.0, 2.0]); mean.update_state(6.0)
    >>> float(mean.result())
    3.0
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total, self.count = self._sums("total"), self._sums("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add numbers."""
        given = array_of(values)
        if on_gpu(given) and given.ndim > 1 and sample_weight is None:
            # One number for each sample is moved.
            given = given.mean(axis=tuple(range(1, given.ndim)), dtype=np.float64)
        array = as_numpy(given, np.float64)
        sums, weights = _by_sample(self.name, array, sample_weight, np.mean)
        self._grow(sums.sum(), sums.size if weights is None else weights.sum())

    def add(self, value: float, weight: float = 1.0) -> None:
        """Add one number: `update_state` without a look at shapes, for each step of training."""
        self._grow(value * weight, weight)

    def _grow(self, total: Any, count: Any) -> None:
        for variable, more in ((self.total, total), (self.count, count)):
            variable.data = np.asarray(variable.data + more, variable.dtype)

    def result(self) -> Tensor:
        """Return the mean so far; 0 before the first batch."""
        return self._figure(divided(self.total, self.count))


class MeanMetricWrapper(Mean, anywhere=True):
    """The mean of the values that a function gives for each sample.

    Args:
        fn: function (y_true, y_pred, **kwargs) -> values, (N,...).
        name: shown in logs, default `"mean_metric_wrapper"`.
        dtype: as in `Metric`.
        kwargs: further arguments of the function.

    >>> from minicnn import ops
    >>> metric = MeanMetricWrapper(lambda y_true, y_pred: ops.abs(y_true - y_pred), name="error")
    >>> float(metric([[0.0, 1.0, 2.0]], [[0.0, 1.0, 5.0]]))
    1.0
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name or snake_case(type(self).__name__), dtype)
        self.fn, self.kwargs = fn, kwargs
        if fn in losses.FUNCTIONS.values():
            self.direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add a batch, each sample with its weight if there are any."""
        # Arrays, which both the operations and NumPy take; a function of one's own gets NumPy's.
        true, pred = together(y_true, y_pred)
        room = str(getattr(self.fn, "__module__", ""))
        if not room.startswith("minicnn."):
            true, pred = to_cpu(true), to_cpu(pred)
        elif room.startswith("minicnn.losses") and getattr(y_pred, "logits", None) is not None:
            pred = y_pred  # a crossentropy asks what is behind the probabilities
        with no_recording():
            values = self.fn(true, pred, **self.kwargs)
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.kwargs}
