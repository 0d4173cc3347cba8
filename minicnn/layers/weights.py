"""What a layer owns, as functions: weights, layers inside, and penalties that join the loss."""

from __future__ import annotations

import operator
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from minicnn import constraints, initializers, ops, regularizers
from minicnn.autograd.tensor import Tensor, Variable
from minicnn.errors import ArgumentError, ShapeError

__all__ = ["NOTES", "add_activity_losses", "add_losses", "add_weight", "all_layers",
           "forget_losses", "freeze", "losses_of", "members", "own_weights_of", "parts_of",
           "set_weights", "trainable_of", "unique", "weights_of"]  # fmt: skip

T = TypeVar("T")


def unique(items: Iterable[T]) -> list[T]:
    """Return the items in order, each object once."""
    items = list(items)
    return list(dict(zip(map(id, items), items, strict=True)).values())


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
    values = dict(vars(owner))
    for note in NOTES:
        values.pop(note, None)
    _gather(values.values(), kind, found, ())
    return unique(found) if len(found) > 1 else found


def _gather(values: Iterable[Any], kind: type[T], found: list[T], around: tuple[int, ...]) -> None:
    """Add to `found` what is of a kind among values that lie in containers of these ids."""
    others = _OTHERS[kind]
    for value in values:
        # Most are of other types or lists of such, and training asks at every step.
        if type(value) in others:
            continue
        if isinstance(value, kind):
            found.append(value)
        elif type(value) in (list, tuple) and others.issuperset(map(type, value)):
            continue
        elif (parts := parts_of(value)) is None:
            others.add(type(value))
        elif id(value) not in around:
            _gather(parts, kind, found, (*around, id(value)))


#: Attributes that note what a layer or `compile` was given, and figures: all used stands elsewhere.
NOTES = ("given_arguments", "_compile_arguments", "_figures")

#: For each kind of member, the types met so far that are none and hold none.
_OTHERS: dict[type, set[type]] = defaultdict(set)


class _Penalties:
    #: Whether any layer of this process was given a penalty: without, nobody looks for them.
    exist = False


def add_weight(
    layer: Any, args: Sequence[Any], shape: Any, initializer: Any, dtype: Any, trainable: bool,
    regularizer: Any, constraint: Any, name: str | None,
) -> Variable:  # fmt: skip
    """Make a weight of a layer and keep it there; see `Layer.add_weight`."""
    rest = list(args)
    if rest and isinstance(rest[0], str):
        name = rest.pop(0)
    if rest:
        shape = rest.pop(0)
    if rest:
        initializer = rest.pop(0)
    initializer = initializers.get("glorot_uniform" if initializer is None else initializer)
    dtype = dtype or layer.dtype
    shape = (shape,) if isinstance(shape, int) else tuple(shape or ())
    value = initializer(shape, dtype=dtype)
    weight = Variable(
        value, trainable=trainable and layer.trainable, dtype=dtype, name=name or "weight"
    )
    weight.always_frozen = not trainable
    weight.regularizer = regularizers.get(regularizer)
    weight.constraint = constraints.get(constraint)
    _Penalties.exist |= weight.regularizer is not None
    layer._weights.append(weight)
    return weight


def all_layers(layer: Any) -> Iterator[Any]:
    """Yield a layer and all layers inside, one that occurs twice twice."""
    yield layer
    for inner in layer.sublayers:
        yield from all_layers(inner)


def own_weights_of(layer: Any) -> list[Variable]:
    """Return the weights of a layer itself, in the order in which they were made."""
    return members(layer, Variable)


def weights_of(layer: Any) -> list[Variable]:
    """Return all weights of a layer and of those inside: trainable ones and statistics."""
    return unique([*own_weights_of(layer), *(w for s in layer.sublayers for w in s.weights)])


def trainable_of(layer: Any) -> list[Variable]:
    """Return the weights that `fit` changes, of a layer and of those inside."""
    if not layer._trainable:
        return []
    own, inside = members(layer, Variable), layer.sublayers
    found = list(filter(operator.attrgetter("trainable"), own))
    for inner in inside:
        found += inner.trainable_weights
    return unique(found) if inside else found


def freeze(layer: Any, trainable: bool) -> None:
    """Let `fit` change a layer's own weights, or leave them as they are."""
    for weight in own_weights_of(layer):
        # Frozen in a layer that is not: for a reason of its own, as statistics are.
        weight.always_frozen |= layer.trainable and not weight.trainable
        weight.trainable = bool(trainable) and not weight.always_frozen


def set_weights(layer: Any, weights: Sequence[Any]) -> None:
    """Replace all weights of a layer; see `Layer.set_weights`."""
    mine = layer.weights
    if len(weights) != len(mine):
        raise ShapeError(
            f"{layer.name}: set_weights got {len(weights)} arrays, but the layer has "
            f"{len(mine)} weights{'' if layer.built else ' because it is not built yet'}."
        )
    for weight, value in zip(mine, weights, strict=True):
        if np.shape(value) != weight.shape:
            raise ShapeError(
                f"{layer.name}: set_weights got shape {np.shape(value)} for {weight.name!r} "
                f"of shape {weight.shape}."
            )
    for weight, value in zip(mine, weights, strict=True):
        weight.assign(value)


def add_losses(layer: Any, losses: Any) -> None:
    """Add penalties to those of a layer's last call; see `Layer.add_loss`."""
    for part in losses if isinstance(losses, list | tuple) else [losses]:
        if not isinstance(part, Tensor):
            raise ArgumentError(
                f"{layer.name}: add_loss got a {type(part).__name__}, but takes tensors that "
                f"`call` made; a plain number changes no gradient, and a symbolic tensor has "
                f"no value."
            )
        layer._added_losses.append(part if part.ndim == 0 else ops.sum(part))
    _Penalties.exist = True


def add_activity_losses(layer: Any, outputs: Any) -> None:
    """Add the penalty of what a layer's call gave out, divided by the batch."""
    regularizer = layer.activity_regularizer
    for output in outputs if isinstance(outputs, list | tuple) else [outputs]:
        penalty = regularizer(output)
        if not getattr(regularizer, "averages_over_batch", False) and output.ndim:
            penalty = penalty / output.shape[0]
        layer.add_loss(penalty)


def forget_losses(layer: Any) -> None:
    """Forget the penalties of the last call, of a layer and of those inside."""
    if _Penalties.exist:
        for each in all_layers(layer):
            each._added_losses.clear()


def losses_of(layer: Any) -> list[Tensor]:
    """Return the penalties of the last call and then those of the trainable weights."""
    if not _Penalties.exist:
        return []
    added = [loss for each in unique(all_layers(layer)) for loss in each._added_losses]
    weights = [w for w in layer.trainable_weights if w.regularizer is not None]
    return [*added, *(ops.sum(w.regularizer(w)) for w in weights if w.regularizer)]
