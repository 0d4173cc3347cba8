"""What all layers share: a name, weights, building, and being called."""

from __future__ import annotations

import inspect
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from types import FunctionType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minicnn import config, initializers, ops
from minicnn.autograd.tensor import Tensor, Variable, convert_to_tensor, no_recording
from minicnn.errors import ArgumentError, ShapeError, check_choice
from minicnn.layers.symbolic import Call, Shape, SymbolicTensor, is_symbolic

__all__ = ["Layer", "check_data_format", "clear_names", "members"]

T = TypeVar("T")

_used_names: dict[str, int] = defaultdict(int)


def snake_case(name: str) -> str:
    """Return a class name as Keras writes it in layer names.

    >>> snake_case("Conv2DTranspose"), snake_case("BatchNormalization"), snake_case("VGG16")
    ('conv2d_transpose', 'batch_normalization', 'vgg16')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _new_name(base: str) -> str:
    number = _used_names[base]
    _used_names[base] += 1
    return base if number == 0 else f"{base}_{number}"


def clear_names() -> None:
    """Count the layers' names from the beginning again."""
    _used_names.clear()


def check_data_format(where: str, data_format: str | None) -> None:
    """Refuse any axis order but channels last, the only one here."""
    if data_format not in (None, "channels_last"):
        raise ArgumentError(
            f"{where}: data_format={data_format!r}, but images are channels last here; use "
            f"'channels_last' and transpose the images to (N,H,W,C)."
        )


def _unique(items: Iterable[T]) -> list[T]:
    """Return the items in order, each object once."""
    return list({id(item): item for item in items}.values())


def members(owner: Any, kind: type[T]) -> list[T]:
    """Return the attributes of this kind, those in lists, tuples and dictionaries included."""
    found: list[T] = []
    for value in vars(owner).values():
        if type(value) in _NO_MEMBERS:  # most attributes, and training asks at every step
            continue
        if isinstance(value, kind):
            found.append(value)
        else:
            if isinstance(value, dict):
                value = value.values()
            elif not isinstance(value, list | tuple):
                continue
            found.extend([part for part in value if isinstance(part, kind)])
    return _unique(found)


_NO_MEMBERS = frozenset({str, int, float, bool, type(None), FunctionType})


def _takes_training(call: Any) -> bool:
    """Return whether a layer's `call` has an argument `training`."""
    parameters = inspect.signature(call).parameters.values()
    return any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)


class _Mode(threading.local):
    #: The `training` of the call that is running: layers called inside it inherit it. None where
    #: nobody said, and each layer takes its own default.
    training: bool | None = None


_mode = _Mode()


class Layer:
    """Weights around an operation; the base of all layers and models.

    A layer makes its weights in `build`, when it first sees the shape of its input, computes in
    `call`, and tells the shape of its output in `compute_output_shape`. Of these a subclass must
    write `call` alone.

    Args:
        name: unique within a model; default the class's name and a number.
        trainable: whether `fit` changes the weights, default True.
        dtype: float type of weights and results, default `config.floatx()`.
        input_shape: shape of one sample, for the first layer of a `Sequential`.
    """

    given_arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls)
        # What a user's layer without a get_config of its own is stored by.
        layer.given_arguments = (args, kwargs)
        return layer

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        self.has_own_name = name is not None
        self.name = name or _new_name(self._base_name())
        self._trainable = trainable
        self.dtype = dtype or config.floatx()
        self.given_input_shape = None if input_shape is None else tuple(input_shape)
        self.built = False
        self._call_takes_training = _takes_training(self.call)
        self._weights: list[Variable] = []
        self.calls: list[Call] = []

    def _base_name(self) -> str:
        """Return what the layer's name begins with if it is given none."""
        return snake_case(type(self).__name__)

    # What a layer says of itself; subclasses fill these in.

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape, the batch axis included."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the layer's result for tensors."""
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the result for inputs of this shape, the batch axis included.

        Unless a subclass computes it, `call` is tried on one sample of zeros.
        """
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        if any(None in shape[1:] for shape in shapes):
            raise ShapeError(
                f"{self.where}: the input's shape {input_shape} leaves more than the batch axis "
                f"open; give numbers, or write compute_output_shape."
            )
        zeros = [Tensor(np.zeros((1, *shape[1:]), self.dtype)) for shape in shapes]
        with no_recording():
            results = self._run(zeros if isinstance(input_shape, list) else zeros[0], False)
        if isinstance(results, list | tuple):
            return [(None, *result.shape[1:]) for result in results]
        return (None, *results.shape[1:])

    def joined(self, follower: Layer) -> Any:
        """Return a function that does this layer and the next in one pass, or None.

        A model asks where nothing else sees what lies between the two.
        """
        return None

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another layer like this one."""
        return {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Return a new layer with these arguments, unbuilt."""
        return cls(**config)

    # Weights.

    def add_weight(
        self,
        name: str = "weight",
        shape: Sequence[int] = (),
        initializer: Any = "glorot_uniform",
        trainable: bool = True,
    ) -> Variable:
        """Make a weight of this shape and keep it."""
        value = initializers.get(initializer)(shape, self.dtype)
        weight = Variable(value, trainable=trainable and self._trainable, name=name)
        weight.always_frozen = not trainable
        self._weights.append(weight)
        return weight

    @property
    def own_weights(self) -> list[Variable]:
        """The weights of this layer itself, in the order in which they were made."""
        return _unique([*self._weights, *members(self, Variable)])

    @property
    def sublayers(self) -> list[Layer]:
        """The layers inside this one: its attributes that are layers, or hold them in a list."""
        return members(self, Layer)

    @property
    def weights(self) -> list[Variable]:
        """All weights: trainable ones and statistics."""
        return _unique([*self.own_weights, *(w for s in self.sublayers for w in s.weights)])

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that `fit` changes."""
        if not self._trainable:
            return []
        own = [w for w in self.own_weights if w.trainable]
        return _unique([*own, *(w for s in self.sublayers for w in s.trainable_weights)])

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that `fit` leaves as they are."""
        changed = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in changed]

    @property
    def variables(self) -> list[Variable]:
        """All weights; TensorFlow's name for `weights`."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The weights that `fit` changes; TensorFlow's name for `trainable_weights`."""
        return self.trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether `fit` changes the weights, here and in all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for weight in self.own_weights:
            # Frozen in a layer that is not: for a reason of its own, as statistics are.
            weight.always_frozen |= self._trainable and not weight.trainable
            weight.trainable = bool(value) and not weight.always_frozen
        self._trainable = bool(value)
        for layer in self.sublayers:
            layer.trainable = value

    def get_weights(self) -> list[NDArray[Any]]:
        """Return copies of all weights as arrays."""
        return [w.data.copy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all weights, in the order of `get_weights`.

        Raises:
            ShapeError: their number or a shape differs; nothing is changed then.
        """
        mine = self.weights
        if len(weights) != len(mine):
            raise ShapeError(
                f"{self.name}: set_weights got {len(weights)} arrays, but the layer has "
                f"{len(mine)} weights{'' if self.built else ' because it is not built yet'}."
            )
        for weight, value in zip(mine, weights, strict=True):
            if np.shape(value) != weight.shape:
                raise ShapeError(
                    f"{self.name}: set_weights got shape {np.shape(value)} for {weight.name!r} "
                    f"of shape {weight.shape}."
                )
        for weight, value in zip(mine, weights, strict=True):
            weight.assign(value)

    def count_params(self) -> int:
        """Return the number of single weights."""
        return sum(w.size for w in self.weights)

    # Being called.

    def build_once(self, input_shape: Any) -> None:
        """Build the layer unless it is built."""
        if not self.built:
            self.build(input_shape)
            self.built = True
            self.build_shape = input_shape

    #: The shape that the layer was built for, the batch axis included.
    build_shape: Any = None

    def check_rank(self, shape: Any, rank: int, axes: str) -> None:
        """Refuse an input with another number of axes than `rank`."""
        if len(shape) != rank:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the input has shape {tuple(shape)}, but "
                f"must have {rank} axes {axes}."
            )

    #: Length of the input's last axis that the weights were made for, where they depend on it.
    channels: int | None = None

    def fix_channels(self, input_shape: Any) -> int:
        """Return the length of the last axis, and remember it for `check_channels`."""
        if not isinstance(input_shape[-1], int | np.integer):
            raise ShapeError(
                f"{self.where}: the input has shape {input_shape}, but the layer takes one input "
                f"whose last axis is a known number."
            )
        self.channels = int(input_shape[-1])
        return self.channels

    def check_channels(self, shape: Any) -> None:
        """Refuse an input with another last axis than that of the first one."""
        if self.channels is not None and shape[-1] not in (None, self.channels):
            raise ShapeError(
                f"{self.where}: the input has shape {tuple(shape)}, but its last axis must have "
                f"the {self.channels} channels that the layer was built for."
            )

    @property
    def where(self) -> str:
        """How messages name this layer."""
        return f"{type(self).__name__} {self.name!r}"

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the result for tensors or arrays, or a symbolic one for symbolic tensors.

        Args:
            inputs: one input or a list of several.
            training: whether the model learns from this call; by default as in the call of the
                layer around this one, if there is any, else False.
        """
        if is_symbolic(inputs):
            return self._call_symbolic(inputs, training)
        many = isinstance(inputs, list | tuple) and (
            self.takes_list or any(isinstance(x, Tensor | np.ndarray) for x in inputs)
        )
        tensors: Any = [self._cast(x) for x in inputs] if many else self._cast(inputs)
        shape = [t.shape for t in tensors] if many else tensors.shape
        self.build_once(shape)
        return self._run(tensors, training)

    #: Whether a list of lists of numbers is several inputs, and not one array written as a list.
    takes_list = False

    #: What `training` is where nobody said.
    training_by_default: bool | None = False

    def _run(self, tensors: Any, training: bool | None) -> Any:
        """Return what `call` does, with `training` set for the layers inside."""
        before = _mode.training
        _mode.training = before if training is None else bool(training)
        try:
            if self._call_takes_training:
                chosen: Any = _mode.training
                chosen = self.training_by_default if chosen is None else chosen
                return self.call(tensors, training=chosen)
            return self.call(tensors)
        finally:
            _mode.training = before

    def _cast(self, x: Any) -> Tensor:
        return ops.cast(convert_to_tensor(x), self.dtype)

    def _call_symbolic(self, inputs: Any, training: bool | None) -> Any:
        many = isinstance(inputs, list | tuple)
        for x in inputs if many else [inputs]:
            if not isinstance(x, SymbolicTensor):
                raise ArgumentError(
                    f"{self.where}: called on symbolic tensors and a {type(x).__name__}; all must "
                    f"be symbolic, that is come from an Input."
                )
        shape = [x.shape for x in inputs] if many else inputs.shape
        self.build_once(shape)
        output_shape = self.compute_output_shape(shape)
        call = Call(self, inputs, training)
        self.calls.append(call)
        if isinstance(output_shape, list):
            return [SymbolicTensor(s, call, self.dtype) for s in output_shape]
        return SymbolicTensor(output_shape, call, self.dtype)

    def _only_call(self, what: str) -> Call:
        if not self.calls:
            raise ArgumentError(
                f"{self.where} has no {what} yet: it was not called on a symbolic tensor; give "
                f"the model an Input or an input_shape."
            )
        return self.calls[0]

    @property
    def input(self) -> Any:
        """The symbolic tensor that the layer was first called on."""
        return self._only_call("input").inputs

    @property
    def output(self) -> Any:
        """The symbolic tensor that came out of the layer's first call."""
        outputs = self._only_call("output").outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} built={self.built}>"


class SameShape(Layer):
    """A layer whose result has the shape of its input."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        self.check_channels(input_shape)
        return input_shape


def check_units(where: str, argument: str, value: Any) -> int:
    """Return a positive integer argument, else raise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ArgumentError(f"{where}: {argument}={value!r}, but it must be an integer >= 1.")
    return int(value)


def check_padding(where: str, padding: Any) -> Any:
    """Return a layer's padding: a known name in lower case, or numbers for the geometry."""
    if isinstance(padding, str):
        return check_choice(where, "padding", padding, ["valid", "same"])
    return padding


def spatial(shape: Shape, where: str) -> tuple[int, int]:
    """Return the (height, width) of an image shape, which must be known numbers."""
    height, width = shape[1:3]
    if height is None or width is None:
        raise ShapeError(
            f"{where}: the input's shape {shape} leaves its height or width open; give numbers."
        )
    return height, width
