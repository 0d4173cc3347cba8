"""What all layers share: a name, weights, building, and being called."""

from __future__ import annotations

import functools
import inspect
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from minicnn import activations, config, constraints, initializers, ops, regularizers
from minicnn.autograd.recording import no_recording, of_layers
from minicnn.autograd.tensor import Tensor, Variable, as_numpy, beside, given
from minicnn.errors import (
    ArgumentError,
    DeviceError,
    MissingAttributeError,
    ShapeError,
    argument_names,
    check_call,
    missing_axes,
    unknown_argument,
    worded,
)
from minicnn.layers import devices
from minicnn.layers import weights as owned
from minicnn.layers.symbolic import Call, SymbolicTensor, is_symbolic, shapes_by_trying
from minicnn.nested import flatten, holds_arrays, is_shape, mapped, pack
from minicnn.registry import snake_case
from minicnn.runtime.devices import gpu_in_sight

__all__ = ["Layer", "clear_names"]

_used_names: dict[str, int] = defaultdict(int)


def _new_name(base: str) -> str:
    number = _used_names[base]
    _used_names[base] += 1
    return base if number == 0 else f"{base}_{number}"


def clear_names() -> None:
    """Count the layers' names from the beginning again."""
    _used_names.clear()


def _training_place(call: Any) -> int | None:
    """Return before how many arguments a layer's `call` has `training`; None if it has not."""
    for place, parameter in enumerate(inspect.signature(call).parameters.values()):
        if parameter.kind is parameter.VAR_KEYWORD:
            return 1 << 30
        if parameter.name == "training":
            return 1 << 30 if parameter.kind is parameter.KEYWORD_ONLY else place
    return None


class _Mode(threading.local):
    #: The `training` of the call that is running: layers called inside it inherit it. None where
    #: nobody said, and each layer takes its own default.
    training: bool | None = None
    #: Whether a call is running, so that another one is inside it.
    inside = False


_mode = _Mode()


def _given_shape(layer: Layer, arguments: dict[str, Any]) -> tuple[int | None, ...] | None:
    """Take the shape of one sample out of a layer's other arguments, and refuse the rest."""
    shape = arguments.pop("input_shape", None)
    if (units := arguments.pop("input_dim", None)) is not None:
        shape = (units,)
    if (batch := arguments.pop("batch_input_shape", None)) is not None:
        shape = tuple(batch)[1:]
    if arguments:
        raise unknown_argument(layer.where, next(iter(arguments)), argument_names(type(layer)))
    return None if shape is None else tuple(shape)


def _marked(build: Callable[..., Any]) -> Callable[..., Any]:
    """Let a layer know that it is built when somebody else than the layer called `build`."""

    @functools.wraps(build)
    def marking(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = build(self, *args, **kwargs)
        self.built = True
        return result

    return marking


class Layer:
    """Weights around an operation; the base of all layers and models.

    A layer makes its weights in `build`, when it first sees the shape of its input, computes in
    `call`, and tells the shape of its output in `compute_output_shape`. Of these a subclass must
    write `call` alone.

    Args:
        activity_regularizer: penalty on what the layer gives out, divided by the batch; name or
            object, default none.
        trainable: whether `fit` changes the weights, default True.
        dtype: float type of weights and results, default `config.floatx()`.
        name: unique within a model; default the class's name and a number.
        kwargs: `input_shape`, the shape of one sample, for the first layer of a `Sequential`; or
            `batch_input_shape` with the batch axis, or `input_dim` for a single axis.

    Raises:
        ArgumentError: an argument is not known.
    """

    #: The arguments of its own that a layer's config holds, kept in attributes of the same names.
    config_arguments: tuple[str, ...] = ()

    given_arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _weights: list[Variable]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], SymbolicTensor) and not hasattr(cls, "fit"):
            name = cls.__name__
            raise ArgumentError(f"{name}: make the layer first, then call it: {name}(...)(x).")
        layer = super().__new__(cls)
        # What a user's layer without a get_config of its own is stored by.
        layer.given_arguments = (args, kwargs)
        layer._weights = []  # before any attribute that is a weight, too
        return layer

    @worded
    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._added_losses: list[Tensor] = []
        self.has_own_name = name is not None
        self.name = name or _new_name(self._base_name())
        self._trainable = bool(trainable)
        self.dtype = config.element_type(self.where, dtype or config.floatx()).name
        self.given_input_shape = _given_shape(self, kwargs)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = False
        self._training_place = _training_place(self.call)
        self.calls: list[Call] = []

    def _base_name(self) -> str:
        """Return what the layer's name begins with if it is given none."""
        return snake_case(type(self).__name__)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = worded(vars(cls)["__init__"])  # type: ignore[method-assign]
        if "build" in vars(cls):
            cls.build = _marked(cls.build)  # type: ignore[method-assign]

    # What a layer says of itself; subclasses fill these in.

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape, the batch axis included."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the layer's result for tensors."""
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the result for inputs of this shape, the batch axis included.

        Unless a subclass computes it, `call` is tried on zeros.
        """
        shapes = [tuple(shape) for shape in flatten(input_shape, is_shape)]
        return self._by_trying(lambda zeros: (pack(input_shape, zeros, is_shape), (), {}), shapes)

    def shape_of_call(self, call: Call, shapes: dict[int, Any]) -> Any:
        """Return the shape of a call's result by those of symbolic tensors, by their ids."""
        if not call.others and not call.named:
            return self.compute_output_shape(call.arguments(shapes)[0])
        ids = [id(x) for x in call.input_list]
        return self._by_trying(
            lambda zeros: call.arguments(dict(zip(ids, zeros, strict=True))),
            [shapes[i] for i in ids],
        )

    def _by_trying(self, arguments: Callable[[list[Tensor]], Any], shapes: list[Any]) -> Any:
        """Return the shape of what `call` makes of the arguments that hold zeros."""

        def run(zeros: list[Tensor]) -> Any:
            before = list(self._added_losses)
            x, others, named = arguments(zeros)
            with no_recording():
                results = self._run(x, False, *others, inside=True, **named)
            owned.forget_losses(self)  # zeros are nobody's data
            self._added_losses.extend(before)
            return results

        return shapes_by_trying(run, shapes, [self.dtype] * len(shapes), home=self.home)[0]

    def joined(self, follower: Layer) -> Any:
        """Return a function that does this layer and the next in one pass, or None.

        A model asks where nothing else sees what lies between the two.
        """
        return None

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make another layer like this one."""
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return config | {
            name: _spelled(name, getattr(self, name)) for name in self.config_arguments
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Return a new layer with these arguments, unbuilt."""
        return cls(**config)

    def keep(self, **arguments: Any) -> None:
        """Keep arguments such as `kernel_initializer` as the objects that they stand for."""
        for name, value in arguments.items():
            get, _ = _ROOMS[name.rpartition("_")[2]]
            setattr(self, name, get(value))

    def make_weight(self, name: str, shape: Sequence[int], trainable: bool = True) -> Variable:
        """Make a weight as the arguments `<name>_initializer`, `_regularizer` and so on say."""
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=getattr(self, f"{name}_initializer"),
            trainable=trainable,
            regularizer=getattr(self, f"{name}_regularizer", None),
            constraint=getattr(self, f"{name}_constraint", None),
        )

    # Weights and layers inside.

    def add_weight(
        self, *args: Any, shape: Sequence[int] | None = None, initializer: Any = None,
        dtype: Any = None, trainable: bool = True, regularizer: Any = None,
        constraint: Any = None, name: str | None = None,
    ) -> Variable:  # fmt: skip
        """Make a weight and keep it.

        Args:
            args: shape and initializer, or name and then these, without their keywords.
            shape: default (), a single number.
            initializer: name or object, default `"glorot_uniform"`.
            dtype: element type, default the layer's.
            trainable: whether training changes it, default True.
            regularizer: penalty on the weight that joins the loss, default none.
            constraint: what the weight is brought back to after each update, default none.
            name: default `"weight"`.
        """
        return owned.add_weight(
            self, args, shape, initializer, dtype, trainable, regularizer, constraint, name
        )

    @property
    def own_weights(self) -> list[Variable]:
        """The weights of this layer itself, in the order in which they were made."""
        return owned.own_weights_of(self)

    @property
    def sublayers(self) -> list[Layer]:
        """The layers inside this one: its attributes that are layers or hold them."""
        return owned.members(self, Layer)

    @property
    def weights(self) -> list[Variable]:
        """All weights: trainable ones and statistics."""
        return owned.weights_of(self)

    @property
    def home(self) -> Variable | None:
        """One of the weights, beside which inputs and all others are to lie; None without any."""
        return next((w for layer in owned.all_layers(self) for w in layer.own_weights), None)

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that `fit` changes."""
        return owned.trainable_of(self)

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
    def non_trainable_variables(self) -> list[Variable]:
        """The weights that `fit` leaves as they are; TensorFlow's name for them."""
        return self.non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether `fit` changes the weights, here and in all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        owned.freeze(self, value)
        self._trainable = bool(value)
        for layer in self.sublayers:
            layer.trainable = value

    def get_weights(self) -> list[NDArray[Any]]:
        """Return copies of all weights as arrays."""
        return [as_numpy(w).copy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all weights, in the order of `get_weights`.

        Raises:
            ShapeError: their number or a shape differs; nothing is changed then.
        """
        owned.set_weights(self, weights)

    def count_params(self) -> int:
        """Return the number of single weights."""
        return sum(w.size for w in self.weights)

    def add_loss(self, loss: Any) -> None:
        """Add a number to the loss of the model that this layer is part of; for use in `call`.

        Args:
            loss: a tensor, or a list of tensors. It is forgotten when the model is called again.

        Raises:
            ArgumentError: what came is no tensor, or a symbolic one.
        """
        owned.add_losses(self, loss)

    @property
    def losses(self) -> list[Tensor]:
        """The penalties of the last call and then those of the trainable weights."""
        return owned.losses_of(self)

    def gpu(self) -> Self:
        """Move all weights, and what an optimizer keeps for them, to the GPU; return the layer.

        Raises:
            ArgumentError: the layer is not built, so there are no weights yet.
            BackendError: no GPU can be used here; the message says why.
            DeviceMemoryError: the card has no room for them; all weights stay where they are then.

        >>> from minicnn import layers
        >>> layers.Dense(3, name="code").gpu()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        minicnn.errors.ArgumentError: code: gpu() found no weights, for the layer is not built ...
        """
        devices.move(self, "gpu")
        return self

    def cpu(self) -> Self:
        """Move all weights, and what an optimizer keeps for them, to the computer's memory.

        Raises:
            ArgumentError: the layer is not built, so there are no weights yet.
        """
        devices.move(self, "cpu")
        return self

    @property
    def device(self) -> str:
        """Where the weights live, `"cpu"` or `"gpu"`; without weights, where new ones are put.

        Raises:
            DeviceError: some are here and some are there; the message names two.
        """
        return devices.device_of_layer(self)

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
                f"{self.where}: the input has shape {tuple(shape)}, but must have {rank} axes "
                f"{axes}{missing_axes('x', shape, (None,) * (rank - 1) + (self.channels,))}"
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
                f"the {self.channels} channels that the layer was built for"
                f"{missing_axes('x', shape, (*(None,) * (len(shape) - 1), self.channels))}"
            )

    if not TYPE_CHECKING:  # which would believe in any attribute

        def __getattr__(self, name: str) -> Any:
            """Say of an attribute that is missing which one was meant, or when it will be made."""
            if hasattr(type(self), name):
                return object.__getattribute__(self, name)  # a property that met the error
            own = vars(self)
            wanted = "kernel" if name == "weight" else name
            if own.get("built", True) or f"{wanted}_initializer" not in own:
                raise MissingAttributeError(self, name)
            raise MissingAttributeError(
                self,
                name,
                f"{self.where} makes {wanted!r} when it first sees an input: call it on data, or "
                f"build it with the input's shape, batch axis first.",
            )

    @property
    def where(self) -> str:
        """How messages name this layer."""
        return f"{type(self).__name__} {self.name!r}"

    def __call__(
        self, inputs: Any, *others: Any, training: bool | None = None, **named: Any
    ) -> Any:
        """Return the result for tensors or arrays, or a symbolic one for symbolic tensors.

        Args:
            inputs: one input or a list of several.
            others: further arguments of a `call` of one's own, tensors as they are.
            named: such by name.
            training: whether the model learns from this call; by default as in the call of the
                layer around this one, if there is any, else False.
        """
        more = [*others, named] if others or named else None
        if (type(inputs) is not Tensor and is_symbolic(inputs)) or (more and is_symbolic(more)):
            return self._call_symbolic(inputs, training, *others, **named)
        if isinstance(inputs, list | tuple | dict):
            tensors = self._cast_all(inputs, self.takes_list)
            self._refuse_several(tensors)
            self.build_once(_shapes(tensors))
        else:
            tensors = self._cast(inputs)
            if not self.built:
                self.build_once(tensors.shape)
        results = self._run(tensors, training, *others, **named)
        if self.activity_regularizer is not None:
            owned.add_activity_losses(self, results)
        return results

    #: Whether a list of lists of numbers is several inputs, and not one array written as a list;
    #: None where that is another's to judge.
    takes_list: bool | None = False

    #: What `training` is where nobody said.
    training_by_default: bool | None = False

    def _run(
        self,
        tensors: Any,
        training: bool | None,
        *others: Any,
        inside: bool | None = None,
        **named: Any,
    ) -> Any:
        """Return what `call` does, with `training` set for the layers inside."""
        before = _mode.training, _mode.inside
        if not (before[1] if inside is None else inside):
            owned.forget_losses(self)
        _mode.training = before[0] if training is None else bool(training)
        _mode.inside = True
        call: Any = self.call  # with whatever arguments a subclass gives it
        try:
            if self._training_place is not None and len(others) < self._training_place:
                chosen = self.training_by_default if _mode.training is None else _mode.training
                named = {**named, "training": chosen}
            with of_layers():
                return call(tensors, *others, **named)
        except DeviceError as error:
            raise devices.misplaced(self, tensors) or error from None
        finally:
            _mode.training, _mode.inside = before

    def _cast(self, x: Any) -> Tensor:
        """Return an input in the layer's type; what is no tensor is put beside the weights."""
        if type(x) is Tensor and x.data.dtype == self.dtype:
            return x
        home = None if isinstance(x, Tensor) or not gpu_in_sight() else self.home
        return ops.cast(given(self.where, "x", x) if home is None else beside(x, home), self.dtype)

    def _refuse_several(self, inputs: Any) -> None:
        """Refuse several inputs where the layer is of this house and takes one."""
        here = type(self).call.__module__.startswith("minicnn.layers.")
        if here and self.takes_list is False and isinstance(inputs, list | tuple | dict):
            raise ShapeError(
                f"{self.where}: got {len(inputs)} inputs in a {type(inputs).__name__}, but takes "
                f"one; join them by Concatenate or Add, for example."
            )

    def _cast_all(self, inputs: Any, takes_list: bool | None = False) -> Any:
        """Return several inputs so; a list of plain numbers is one."""
        if isinstance(inputs, dict):
            return {name: self._cast_all(x) for name, x in inputs.items()}
        if isinstance(inputs, list | tuple) and (takes_list or holds_arrays(inputs)):
            return [self._cast_all(x) for x in inputs]
        return self._cast(inputs)

    def _call_symbolic(self, inputs: Any, training: bool | None, *others: Any, **named: Any) -> Any:
        for x in flatten(inputs):
            if not isinstance(x, SymbolicTensor):
                raise ArgumentError(
                    f"{self.where}: called on symbolic tensors and a {type(x).__name__}; all must "
                    f"be symbolic, that is come from an Input."
                )
        self._refuse_several(inputs)
        if others or named:
            place = self._training_place or 0
            said = {"training": training} if len(others) < place else {}
            check_call(self.where, self.call, (inputs, *others), said | named)
        self.build_once(_shapes(inputs))
        call = Call(self, inputs, training, others, named)
        shapes = self.shape_of_call(call, {id(x): x.shape for x in call.input_list})
        self.calls.append(call)
        return call.resulting(shapes, self.dtype)

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
        return self._only_call("output").result

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} built={self.built}>"


def _shapes(inputs: Any) -> Any:
    """Return the shapes of inputs, several in lists or dictionaries."""
    return mapped(lambda x: x.shape, list(inputs) if isinstance(inputs, tuple) else inputs)


#: Arguments whose names end in these words: how to find the object, and how a config spells it.
_ROOMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "activation": (activations.get, activations.serialize),
    "initializer": (initializers.get, initializers.serialize),
    "regularizer": (regularizers.get, regularizers.serialize),
    "constraint": (constraints.get, constraints.serialize),
}


def _spelled(name: str, value: Any) -> Any:
    word = name.rpartition("_")[2]
    return _ROOMS[word][1](value) if word in _ROOMS else value
