"""What a layer owns: weights, layers inside, and penalties that join the loss."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minicnn import constraints, initializers, ops, regularizers
from minicnn.autograd.tensor import Tensor, Variable, as_numpy
from minicnn.errors import ArgumentError, ShapeError, Worded
from minicnn.layers.moving import Movable

__all__ = ["NOTES", "WeightOwner", "members", "parts_of", "unique"]

T = TypeVar("T")


def unique(items: Iterable[T]) -> list[T]:
    """Return the items in order, each object once."""
    return list({id(item): item for item in items}.values())


def parts_of(value: Any) -> list[Any] | None:
    """Return what lies in a list, tuple, dictionary or set, and None of anything else.

    A set has no order of its own, and a file needs one: by the names, and their numbers.
    """
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | deque):
        return list(value)
    return sorted(value, key=_name_and_number) if isinstance(value, set | frozenset) else None


def _name_and_number(thing: Any) -> tuple[str, int]:
    name = str(getattr(thing, "name", ""))
    base = name.rstrip("0123456789")
    return base, int(name[len(base) :] or 0)


def members(owner: Any, kind: type[T]) -> list[T]:
    """Return the attributes of this kind, also in lists, tuples, dictionaries and sets.

    These may lie in each other, as deep as it takes.
    """
    found: list[T] = []
    others = _OTHERS[kind]
    for name, value in vars(owner).items():
        # Most attributes are of other types, and training asks at every step.
        if type(value) not in others and name not in NOTES:
            _gather(value, kind, found, ())
    return unique(found)


def _gather(value: Any, kind: type[T], found: list[T], around: tuple[Any, ...]) -> None:
    """Add to `found` what is of a kind in a value that lies in these containers."""
    others = _OTHERS[kind]
    if isinstance(value, kind):
        found.append(value)
    elif (parts := parts_of(value)) is None:
        others.add(type(value))
    elif not any(value is container for container in around):
        for part in parts:
            if type(part) not in others:
                _gather(part, kind, found, (*around, value))


#: Attributes that note what a layer or `compile` was given, and figures: all used stands elsewhere.
NOTES = ("given_arguments", "_compile_arguments", "_figures")

#: For each kind of member, the types met so far that are none and hold none.
_OTHERS: dict[type, set[type]] = defaultdict(set)


class _Penalties:
    #: Whether any layer of this process was given a penalty: without, nobody looks for them.
    exist = False


class WeightOwner(Worded, Movable):
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
        return unique([*self._weights, *members(self, Variable)])

    @property
    def sublayers(self) -> list[Any]:
        """The layers inside this one: its attributes that are layers or hold them."""
        return members(self, WeightOwner)

    @property
    def weights(self) -> list[Variable]:
        """All weights: trainable ones and statistics."""
        return unique([*self.own_weights, *(w for s in self.sublayers for w in s.weights)])

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
        return unique([*own, *(w for s in self.sublayers for w in s.trainable_weights)])

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
        added = [loss for layer in unique(self._all_layers()) for loss in layer._added_losses]
        weights = [w for w in self.trainable_weights if w.regularizer is not None]
        return [*added, *(ops.sum(w.regularizer(w)) for w in weights if w.regularizer)]
