"""The drawn-up network behind a functional model: which layer is called on what, in order."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, as_tensor
from minicnn.errors import ArgumentError, ShapeError, missing_axes
from minicnn.layers.base import Layer
from minicnn.layers.symbolic import Call, SymbolicTensor
from minicnn.nested import flatten, is_shape, mapped, never, pack

__all__ = ["Graph"]


def _calls_between(
    name: str, inputs: list[SymbolicTensor], outputs: list[SymbolicTensor]
) -> list[Call]:
    """Return the calls on the ways from the inputs to the outputs, in the order they were made."""
    known = {id(x) for x in inputs}
    found: dict[int, Call] = {}
    stack = list(outputs)
    while stack:
        tensor = stack.pop()
        if id(tensor) in known or tensor.call.number in found:
            continue
        if not tensor.call.input_list:
            if tensor in outputs and all(_leads(outputs, x) is None for x in inputs):
                raise ArgumentError(
                    f"{name}: inputs and outputs are exchanged: {inputs[0].name!r} is computed "
                    f"from {tensor.name!r}; give Model(inputs, outputs)."
                )
            raise ArgumentError(
                f"{name}: the outputs need the input {tensor.name!r}, which is not among the "
                f"model's inputs ({', '.join(repr(x.name) for x in inputs)})."
            )
        found[tensor.call.number] = tensor.call
        stack.extend(tensor.call.input_list)
    return [found[number] for number in sorted(found)]


def _leads(inputs: list[SymbolicTensor], output: SymbolicTensor) -> SymbolicTensor | None:
    """Return the first tensor on the ways back from an output that is no input, but has none."""
    known, seen, stack = {id(x) for x in inputs}, set(), [output]
    while stack:
        tensor = stack.pop()
        if id(tensor) in known or id(tensor) in seen:
            continue
        if not tensor.call.input_list:
            return tensor
        seen.add(id(tensor))
        stack.extend(tensor.call.input_list)
    return None


def _continued(inputs: list[SymbolicTensor], output: SymbolicTensor) -> SymbolicTensor:
    """Return an output; that of a model inside, which has an Input of its own, as it is used here.

    So `Model(whole.inputs, whole.layers[0].output)` is the first part of a whole made of models.
    """
    stray = _leads(inputs, output)
    if stray is None:
        return output
    for model in [m for ref in stray.entry_of if (m := ref()) is not None]:
        graph = model.graph
        for call in model.calls if graph is not None and len(graph.inputs) == 1 else []:
            if any(_leads(inputs, x) is not None for x in call.input_list):
                continue
            for place, found in zip(graph.outputs, call.outputs, strict=True):
                if place is output:
                    return found
            # Something within that model: its layers are called once more, on what it gets here.
            values = {id(graph.inputs[0]): call.input_list[0]}
            for inner in _calls_between(model.name, graph.inputs, [output]):
                x, others, named = inner.arguments(values)
                result = inner.layer(x, *others, training=inner.training, **named)
                values |= {id(x): y for x, y in zip(inner.outputs, flatten(result), strict=True)}
            return values[id(output)]
    return output


def check_names(where: str, argument: str, given: Iterable[str], names: list[str]) -> None:
    """Refuse a dictionary of other names than a model's inputs or outputs have."""
    if sorted(given) != sorted(names):
        raise ArgumentError(
            f"{where}: {argument} has the names {', '.join(map(repr, given))}, but the model has "
            f"{', '.join(map(repr, names))}."
        )


def refuse_same_names(name: str, layers: list[Layer]) -> None:
    """Refuse two layers of one name, by which they are told apart in files and figures.

    Raises:
        ArgumentError: as said.
    """
    twice = [n for n, count in Counter(x.name for x in layers).items() if count > 1]
    if twice:
        kinds = " and ".join(type(x).__name__ for x in layers if x.name == twice[0])
        raise ArgumentError(
            f"{name}: {kinds} are both named {twice[0]!r}; the layers of a model need different "
            f"names: give one of them name='{twice[0]}_2', for example."
        )


def _lone(tensors: Any) -> Any:
    """Return the only tensor of a list, else what came, tuples as lists."""
    if isinstance(tensors, list | tuple):
        return tensors[0] if len(tensors) == 1 else list(tensors)
    return tensors


def _joined(calls: list[Call], outputs: list[SymbolicTensor]) -> list[tuple[Call, Any, Call]]:
    """Return what to run: (first call, function, last call), two layers joined where they can be.

    Two layers can be joined if one takes what the other gives, and nothing else does.
    """
    readers = Counter(id(x) for call in calls for x in call.input_list)
    readers.update(id(x) for x in outputs)
    after = {id(x): call for call in calls for x in call.input_list}
    steps, done = [], set()
    for call in calls:
        if id(call) in done:
            continue
        step = (call, call.layer, call)
        if len(call.outputs) == 1 and readers[id(call.outputs[0])] == 1:
            follower = after.get(id(call.outputs[0]))
            function = None if follower is None else call.layer.joined(follower.layer)
            if function is not None and follower is not None:
                step = (call, function, follower)
                done.add(id(follower))
        steps.append(step)
    return steps


class Graph:
    """The calls between symbolic inputs and outputs, and how to run them.

    Args:
        inputs: symbolic tensors where data enters, in lists or dictionaries.
        outputs: symbolic tensors where results leave, likewise.
        name: the model's name, for messages.

    Raises:
        ArgumentError: an output does not come from the inputs.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str) -> None:
        self.name = name
        self.inputs = flatten(inputs)
        self.outputs = flatten(outputs)
        for argument, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            for x in tensors:
                if not isinstance(x, SymbolicTensor):
                    raise ArgumentError(
                        f"{name}: {argument} holds a {type(x).__name__}, but must hold what Input "
                        f"and layers called on it return."
                    )
        self.outputs = [_continued(self.inputs, x) for x in self.outputs]
        #: Inputs and outputs as they are arranged; a list of one is that one.
        self.arranged_inputs = _lone(inputs)
        self.arranged_outputs = _lone(pack(outputs, self.outputs))
        self.calls = _calls_between(name, self.inputs, self.outputs)
        layers = {id(c.layer): c.layer for c in [*(x.call for x in self.inputs), *self.calls]}
        refuse_same_names(name, list(layers.values()))

    @functools.cached_property
    def steps(self) -> list[tuple[Call, Any, Call]]:
        """What to run, one after the other: (first call, function, last call)."""
        return _joined(self.calls, self.outputs)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: without the steps, whose functions know these layers."""
        return {name: value for name, value in vars(self).items() if name != "steps"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        arranged = {f"arranged_{name}": _lone(state[name]) for name in ("inputs", "outputs")}
        vars(self).update(arranged | state)

    @property
    def layers(self) -> list[Layer]:
        """The input layers and the layers called, each once, in Keras' order.

        The farther from the outputs, the earlier; of equally far ones, the one that is met first
        on the ways back from the outputs.
        """
        inputs = {id(x): x.call for x in self.inputs}
        met, order = self._ways_back({call.number for call in inputs.values()})
        far: dict[int, int] = {}
        depth: dict[int, int] = {}
        for call in reversed(order):
            key = id(call.layer)
            far[call.number] = depth[key] = max(far.get(call.number, 0), depth.get(key, 0))
            for x in [] if call.number in {c.number for c in inputs.values()} else call.input_list:
                far[x.call.number] = max(far.get(x.call.number, 0), far[call.number] + 1)
        unused = [c for c in inputs.values() if id(c.layer) not in depth]
        found = {id(c.layer): c.layer for c in [*unused, *order]}
        return sorted(found.values(), key=lambda x: (-depth.get(id(x), 0), met.get(id(x), -1)))

    def _ways_back(self, ends: set[int]) -> tuple[dict[int, int], list[Call]]:
        """Return when each layer is met on the ways back, and the calls, inputs first."""
        met: dict[int, int] = {}
        order: list[Call] = []
        seen: set[int] = set()
        stack = [(x.call, False) for x in reversed(self.outputs)]
        while stack:
            call, inputs_done = stack.pop()
            if inputs_done:
                order.append(call)
            elif call.number not in seen:
                seen.add(call.number)
                met.setdefault(id(call.layer), len(met))
                stack.append((call, True))
                if call.number not in ends:
                    stack += [(x.call, False) for x in reversed(call.input_list)]
        return met, order

    def run(self, inputs: Any, training: bool | None) -> Any:
        """Return the outputs for input tensors."""
        values: dict[int, Any] = {
            id(place): self._fitted(place, as_tensor(x))
            for place, x in zip(self.inputs, self.in_order(inputs), strict=True)
        }
        for call, function, last in self.steps:
            x, others, named = call.arguments(values)
            mode = training if call.training is None else call.training
            results = function(x, *others, training=mode, **named)
            for place, result in zip(last.outputs, flatten(results), strict=True):
                values[id(place)] = result
        return mapped(lambda x: values[id(x)], self.arranged_outputs)

    def in_order(self, inputs: Any, is_leaf: Any = never) -> list[Any]:
        """Return inputs, or what stands for them, in the order of the model's own.

        Args:
            inputs: arranged as the model's inputs are; or by the names of these.
            is_leaf: whether a list is one of them, by default none is.

        Raises:
            ArgumentError: they are too many, too few, or of other names.
        """
        expected = self.arranged_inputs
        by_name = isinstance(expected, dict)
        names = sorted(expected) if by_name else [x.name for x in self.inputs]
        if isinstance(inputs, dict):
            check_names(self.name, "x", inputs, names)
            if not by_name:
                return [inputs[name] for name in names]
        given = flatten(inputs, is_leaf)
        if by_name and not isinstance(inputs, dict) and len(names) > 1:
            raise ArgumentError(
                f"{self.name}: got {len(given)} inputs without names; give a dictionary of "
                f"{', '.join(map(repr, names))}."
            )
        if len(given) != len(self.inputs):
            raise ArgumentError(
                f"{self.name}: got {len(given)} inputs, but the model has {len(self.inputs)}: "
                f"{', '.join(repr(x.name) for x in self.inputs)}.{self._as_one_array(given)}"
            )
        return given

    def check(self, inputs: Any) -> None:
        """Refuse arrays of which one has another shape than its input.

        Raises:
            ArgumentError: they are too many, too few, or of other names.
            ShapeError: a shape does not fit; the message says how to make it fit.
        """
        for place, x in zip(self.inputs, self.in_order(inputs), strict=True):
            if hasattr(x, "shape") and 0 not in x.shape:
                self._check_shape(place, x.shape)

    def _as_one_array(self, given: list[Any]) -> str:
        """Return how a list of samples becomes one array, as a sentence."""
        place, shapes = self.inputs[0].shape, sorted({np.shape(x) for x in given})
        if len(given) == 2 and len(np.shape(given[0])) == len(place) != len(np.shape(given[1])):
            return " A pair is given as two arguments, fit(x, y)."
        if len(self.inputs) > 1 or {len(shape) for shape in shapes} != {len(place) - 1}:
            return ""
        if len(shapes) == 1:
            return f" np.stack(x) makes one array of this list, {(len(given), *shapes[0])}."
        size = "(height, width)" if None in place[1:3] else place[1:3]
        return (
            f" x is a list of samples of shapes {', '.join(map(str, shapes))}, but a batch is one "
            f"array: bring images to one size, minicnn.ops.resize2d(image[None], {size})[0], and "
            f"then np.stack(x)."
        )

    def _check_shape(self, place: SymbolicTensor, given: Sequence[int]) -> None:
        """Refuse a shape that is not the input's, a last axis of length 1 more or less aside."""
        expected, shape = place.shape, tuple(given)
        if expected[0] is None and expected[1:] == shape[1:]:
            return
        if len(shape) == len(expected) - 1 and expected[-1] == 1:
            shape = (*shape, 1)
        elif len(shape) == len(expected) + 1 and shape[-1] == 1:
            shape = shape[:-1]
        if len(expected) != len(shape) or any(
            e not in (None, n) for e, n in zip(expected, shape, strict=True)
        ):
            raise ShapeError(
                f"{self.name}: the input {place.name!r} got shape {tuple(given)}, but must have "
                f"{expected}; None stands for any number of samples"
                f"{missing_axes('x', given, expected)}"
            )

    def _fitted(self, place: SymbolicTensor, x: Tensor) -> Tensor:
        """Return an input with a missing or superfluous last axis of length 1 put right."""
        self._check_shape(place, x.shape)
        expected = place.shape
        if x.ndim == len(expected) - 1 and expected[-1] == 1:
            x = ops.reshape(x, (*x.shape, 1))
        elif x.ndim == len(expected) + 1 and x.shape[-1] == 1:
            x = ops.reshape(x, x.shape[:-1])
        return x

    def output_shapes(self, input_shapes: Any) -> Any:
        """Return the shapes of the outputs for inputs of these shapes."""
        given = zip(self.inputs, self.in_order(input_shapes, is_shape), strict=True)
        shapes: dict[int, Any] = {id(place): tuple(shape) for place, shape in given}
        for call in self.calls:
            results = flatten(call.layer.shape_of_call(call, shapes), is_shape)
            for place, shape in zip(call.outputs, results, strict=True):
                shapes[id(place)] = shape
        return mapped(lambda x: shapes[id(x)], self.arranged_outputs)
