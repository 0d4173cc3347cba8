"""What a layer owns: weights, layers inside, and penalties that join the loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from minicnn import config, constraints, initializers, ops, regularizers
from minicnn.autograd.tensor import Tensor, Variable, as_numpy
from minicnn.errors import ArgumentError, DeviceError, ShapeError
from minicnn.kernels.placement import NAMES, device_of, to_device

__all__ = ["WeightOwner", "members"]

T = TypeVar("T")


def _unique(items: Iterable[T]) -> list[T]:
    """Return the items in order, each object once."""
    return list({id(item): item for item in items}.values())


def members(owner: Any, kind: type[T]) -> list[T]:
    """Return the attributes of this kind, those in lists, tuples and dictionaries included."""
    found: list[T] = []
    others = _OTHERS[kind]
    for value in vars(owner).values():
        if type(value) in others:  # most attributes, and training asks at every step
            continue
        if isinstance(value, kind):
            found.append(value)
        else:
            if isinstance(value, dict):
                value = value.values()
            elif not isinstance(value, list | tuple):
                others.add(type(value))
                continue
            found.extend([part for part in value if isinstance(part, kind)])
    return _unique(found)


#: For each kind of member, the types met so far that are none and hold none.
_OTHERS: dict[type, set[type]] = defaultdict(set)


class _Penalties:
    #: Whether any layer of this process was given a penalty: without, nobody looks for them.
    exist = False


class WeightOwner:
    """The weights, layers and penalties of a layer; `Layer` inherits it."""

    # What the other side, `Layer`, brings.
    name: str
    dtype: str
    built: bool
    _trainable: bool

    def __init__(self) -> None:
        self._weights: list[Variable] = []
        self._added_losses: list[Tensor] = []

    def add_weight(
        self,
        *args: Any,
        shape: Sequence[int] | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Variable:
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
        rest = list(args)
        if rest and isinstance(rest[0], str):
            name = rest.pop(0)
        if rest:
            shape = rest.pop(0)
        if rest:
            initializer = rest.pop(0)
        initializer = initializers.get("glorot_uniform" if initializer is None else initializer)
        dtype = dtype or self.dtype
        shape = (shape,) if isinstance(shape, int) else tuple(shape or ())
        value = initializer(shape, dtype=dtype)
        weight = Variable(
            value, trainable=trainable and self._trainable, dtype=dtype, name=name or "weight"
        )
        weight.always_frozen = not trainable
        weight.regularizer = regularizers.get(regularizer)
        weight.constraint = constraints.get(constraint)
        _Penalties.exist |= weight.regularizer is not None
        self._weights.append(weight)
        return weight

    @property
    def own_weights(self) -> list[Variable]:
        """The weights of this layer itself, in the order in which they were made."""
        return _unique([*self._weights, *members(self, Variable)])

    @property
    def sublayers(self) -> list[Any]:
        """The layers inside this one: its attributes that are layers, or hold them in a list."""
        return members(self, WeightOwner)

    @property
    def weights(self) -> list[Variable]:
        """All weights: trainable ones and statistics."""
        return _unique([*self.own_weights, *(w for s in self.sublayers for w in s.weights)])

    @property
    def home(self) -> Variable | None:
        """One of the weights, beside which inputs and all others are to lie; None without any."""
        return next((w for layer in self._all_layers() for w in layer.own_weights), None)

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
    def non_trainable_variables(self) -> list[Variable]:
        """The weights that `fit` leaves as they are; TensorFlow's name for them."""
        return self.non_trainable_weights

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
        return [as_numpy(w).copy() for w in self.weights]

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

    # Where the weights live.

    def gpu(self) -> Self:
        """Move all weights, and what an optimizer keeps for them, to the GPU; return the layer.

        Raises:
            ArgumentError: the layer is not built, so there are no weights yet.
            BackendError: no GPU can be used here; the message says why.
            DeviceMemoryError: the card has no room for them; nothing is moved then.

        >>> from minicnn import layers
        >>> layers.Dense(3, name="code").gpu()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        minicnn.errors.ArgumentError: code: gpu() found no weights, for the layer is not built ...
        """
        return self._move_weights("gpu")

    def cpu(self) -> Self:
        """Move all weights, and what an optimizer keeps for them, to the computer's memory.

        Raises:
            ArgumentError: the layer is not built, so there are no weights yet.
        """
        return self._move_weights("cpu")

    def _move_weights(self, device: str) -> Self:
        weights = self.weights
        if not self.built and not weights:
            raise ArgumentError(
                f"{self.name}: {device}() found no weights, for the layer is not built yet. Call "
                f"it first or give an input_shape; or let config.set_backend say beforehand where "
                f"weights are made."
            )
        moved = [to_device(w.data, device) for w in weights]
        for weight, array in zip(weights, moved, strict=True):
            weight.data = array
            if weight.grad is not None:
                weight.grad = Tensor(to_device(weight.grad.data, device))
        for layer in _unique(self._all_layers()):
            if (optimizer := getattr(layer, "optimizer", None)) is not None:
                optimizer.follow()
        return self

    @property
    def device(self) -> str:
        """Where the weights live, `"cpu"` or `"gpu"`; without weights, where new ones are put.

        Raises:
            DeviceError: some are here and some are there; the message names two.
        """
        found: dict[str, str] = {}
        for layer in self._all_layers():
            for weight in layer.own_weights:
                name = f"{weight.name} {weight.shape} of {layer.name!r}"
                found.setdefault(device_of(weight.data), name)
        if len(found) > 1:
            raise DeviceError(
                f"{self.name}: {found['cpu']} is {NAMES['cpu']}, but {found['gpu']} is "
                f"{NAMES['gpu']}; all weights of a model must be in one place. .gpu() of the model "
                f"moves all of them to the GPU, and .cpu() to the computer's memory."
            )
        return next(iter(found), config.device())

    def count_params(self) -> int:
        """Return the number of single weights."""
        return sum(w.size for w in self.weights)

    # Penalties.

    def add_loss(self, loss: Any) -> None:
        """Add a number to the loss of the model that this layer is part of; for use in `call`.

        Args:
            loss: a tensor, or a list of tensors. It is forgotten when the model is called again.

        Raises:
            ArgumentError: what came is no tensor, or a symbolic one.
        """
        for part in loss if isinstance(loss, list | tuple) else [loss]:
            if not isinstance(part, Tensor):
                raise ArgumentError(
                    f"{self.name}: add_loss got a {type(part).__name__}, but takes tensors that "
                    f"`call` made; a plain number changes no gradient, and a symbolic tensor has "
                    f"no value."
                )
            self._added_losses.append(part if part.ndim == 0 else ops.sum(part))
        _Penalties.exist = True

    def add_activity_losses(self, regularizer: Any, outputs: Any) -> None:
        """Add the penalty of what a call gave out, divided by the batch."""
        for output in outputs if isinstance(outputs, list | tuple) else [outputs]:
            penalty = regularizer(output)
            if not getattr(regularizer, "averages_over_batch", False) and output.ndim:
                penalty = penalty / output.shape[0]
            self.add_loss(penalty)

    def _all_layers(self) -> Iterator[Any]:
        """Yield this layer and all layers inside, one that occurs twice twice."""
        yield self
        for layer in self.sublayers:
            yield from layer._all_layers()

    def forget_losses(self) -> None:
        """Forget the penalties of the last call, here and in all layers inside."""
        if _Penalties.exist:
            for layer in self._all_layers():
                layer._added_losses.clear()

    @property
    def losses(self) -> list[Tensor]:
        """The penalties of the last call and then those of the trainable weights."""
        if not _Penalties.exist:
            return []
        added = [loss for layer in _unique(self._all_layers()) for loss in layer._added_losses]
        weights = [w for w in self.trainable_weights if w.regularizer is not None]
        return [*added, *(ops.sum(w.regularizer(w)) for w in weights if w.regularizer)]
