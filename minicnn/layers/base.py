"""What all layers share: a name, weights, building, and being called."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minicnn import config, initializers, ops
from minicnn.autograd.tensor import Tensor, Variable, convert_to_tensor
from minicnn.errors import ArgumentError, ShapeError, check_choice
from minicnn.layers.symbolic import Call, Shape, SymbolicTensor, is_symbolic

__all__ = ["Layer", "check_data_format"]

T = TypeVar("T")

_used_names: dict[str, int] = defaultdict(int)


def snake_case(name: str) -> str:
    """Return a class name as Keras writes it in layer names.

    >>> snake_case("Conv2DTranspose"), snake_case("BatchNormalization")
    ('conv2d_transpose', 'batch_normalization')
    """
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _new_name(base: str) -> str:
    number = _used_names[base]
    _used_names[base] += 1
    return base if number == 0 else f"{base}_{number}"


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


def _is_variable(value: Any) -> bool:
    return isinstance(value, Variable)


class Layer:
    """Weights around an operation; the base of all layers and models.

    A layer makes its weights in `build`, when it first sees the shape of its input, computes in
    `call`, and tells the shape of its output in `compute_output_shape`.

    Args:
        name: unique within a model; default the class's name and a number.
        trainable: whether `fit` changes the weights, default True.
        dtype: float type of weights and results, default `config.floatx()`.
        input_shape: shape of one sample, for the first layer of a `Sequential`.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        self.has_own_name = name is not None
        self.name = name or _new_name(snake_case(type(self).__name__))
        self._trainable = trainable
        self.dtype = dtype or config.floatx()
        self.given_input_shape = None if input_shape is None else tuple(input_shape)
        self.built = False
        self._weights: list[Variable] = []
        self.calls: list[Call] = []

    # What a layer says of itself; subclasses fill these in.

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape, the batch axis included."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the layer's result for tensors."""
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the result for inputs of this shape, the batch axis included."""
        return input_shape

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
        name: str,
        shape: Sequence[int],
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
        return _unique([*self._weights, *(v for v in vars(self).values() if _is_variable(v))])

    @property
    def sublayers(self) -> list[Layer]:
        """The layers inside this one: its attributes that are layers or lists of layers."""
        found: list[Layer] = []
        for value in vars(self).values():
            parts = value if isinstance(value, list | tuple) else [value]
            found.extend(part for part in parts if isinstance(part, Layer))
        return _unique(found)

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
        self._trainable = bool(value)
        for weight in self.own_weights:
            weight.trainable = bool(value) and not weight.always_frozen
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

    def check_rank(self, shape: Any, rank: int, axes: str) -> None:
        """Refuse an input with another number of axes than `rank`."""
        if len(shape) != rank:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the input has shape {tuple(shape)}, but "
                f"must have {rank} axes {axes}."
            )

    @property
    def where(self) -> str:
        """How messages name this layer."""
        return f"{type(self).__name__} {self.name!r}"

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Return the result for tensors or arrays, or a symbolic one for symbolic tensors."""
        if is_symbolic(inputs):
            return self._call_symbolic(inputs)
        many = isinstance(inputs, list | tuple) and self.takes_list
        tensors: Any = [self._cast(x) for x in inputs] if many else self._cast(inputs)
        shape = [t.shape for t in tensors] if many else tensors.shape
        self.build_once(shape)
        return self.call(tensors, training=training)

    #: Whether a list of tensors is several inputs, and not one array written as a list.
    takes_list = False

    def _cast(self, x: Any) -> Tensor:
        return ops.cast(convert_to_tensor(x), self.dtype)

    def _call_symbolic(self, inputs: Any) -> Any:
        many = isinstance(inputs, list | tuple)
        shape = [x.shape for x in inputs] if many else inputs.shape
        self.build_once(shape)
        output_shape = self.compute_output_shape(shape)
        call = Call(self, inputs)
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
