"""The drawing of a network as plain dictionaries, in the arrangement of Keras 3, and back.

Every layer stands once, with its calls as `inbound_nodes`; a tensor is named by the layer that
makes it, the number of that layer's call, and its place among the call's results.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer
from minicnn.layers.core import InputLayer
from minicnn.layers.graph import Graph
from minicnn.layers.operation import Operation
from minicnn.layers.symbolic import Call, SymbolicTensor
from minicnn.nested import flatten, mapped
from minicnn.saving.objects import deserialize_keras_object, serialize_keras_object

__all__ = ["functional_config", "layer_entries", "network_of"]

Key = tuple[str, int, int]

#: Keras stores an operator between symbolic tensors as an operation that is no layer.
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Subtract": operator.sub,
    "Multiply": operator.mul,
    "Divide": operator.truediv,
    "TrueDivide": operator.truediv,
}


def entry_of(layer: Layer) -> dict[str, Any]:
    """Return the dictionary of one layer."""
    entry: dict[str, Any] = serialize_keras_object(layer)
    if isinstance(layer, InputLayer):
        entry["config"] = {
            "batch_shape": list(layer.batch_shape),
            "dtype": str(layer.dtype),
            "name": layer.name,
        }
        entry.pop("build_config", None)
    return entry


def layer_entries(layers: list[Layer]) -> list[dict[str, Any]]:
    """Return the dictionaries of layers in a row."""
    return [entry_of(layer) for layer in layers]


def layer_of(entry: dict[str, Any], custom_objects: Mapping[str, Any] | None) -> Any:
    """Return the layer of a dictionary."""
    if entry["class_name"] == "InputLayer":
        config = entry["config"]
        shape = config.get("batch_shape") or config["batch_input_shape"]
        dtype = deserialize_keras_object(config.get("dtype"))
        return InputLayer(batch_shape=tuple(shape), name=config.get("name"), dtype=dtype)
    return deserialize_keras_object(entry, custom_objects)


def functional_config(graph: Graph) -> dict[str, Any]:
    """Return the layers, calls, inputs and outputs of a drawn-up network."""
    calls = sorted([*(x.call for x in graph.inputs), *graph.calls], key=lambda c: c.number)
    of_layer: dict[int, list[Call]] = {}
    for call in calls:
        of_layer.setdefault(id(call.layer), []).append(call)
    keys = {
        id(tensor): [call.layer.name, number, place]
        for several in of_layer.values()
        for number, call in enumerate(several)
        for place, tensor in enumerate(call.outputs)
    }
    layers = []
    for layer in graph.layers:
        if isinstance(layer, Operation) and (entry := _as_operation(layer, keys)):
            layers.append(entry)
            continue
        nodes = [_node(call, keys) for call in of_layer[id(layer)]]
        nodes = [] if isinstance(layer, InputLayer) else nodes
        layers.append({**entry_of(layer), "name": layer.name, "inbound_nodes": nodes})
    return {
        "layers": layers,
        "input_layers": _places(graph.arranged_inputs, keys),
        "output_layers": _places(graph.arranged_outputs, keys),
    }


def _places(tensors: Any, keys: dict[int, list[Any]]) -> Any:
    """Return the keys of tensors as these are arranged; a list of one for a single tensor."""
    found = mapped(lambda x: keys[id(x)], tensors)
    return [found] if isinstance(tensors, SymbolicTensor) else found


def _as_operation(layer: Operation, keys: dict[int, list[Any]]) -> dict[str, Any] | None:
    """Return Keras' dictionary of an operator between tensors or numbers, None of others."""
    config = layer.get_config()
    name = layer.operation.removeprefix("ops.").capitalize()
    positional = config["positional"]
    plain = all(isinstance(a, int | float) or (isinstance(a, dict) and "input" in a)
                for a in positional)  # fmt: skip
    if name not in OPERATIONS or config["named"] or len(positional) != 2 or not plain:
        return None
    nodes = []
    for call in layer.calls:
        tensors = [_tensor(x, keys) for x in call.input_list if id(x) in keys]
        if len(tensors) == len(call.input_list):
            args = [tensors[a["input"]] if isinstance(a, dict) else a for a in positional]
            nodes.append({"args": args, "kwargs": {}})
    return {
        "module": "keras.src.ops.numpy",
        "class_name": name,
        "config": {"name": layer.name},
        "registered_name": name,
        "name": layer.name,
        "inbound_nodes": nodes,
    }


def _tensor(x: SymbolicTensor, keys: dict[int, list[Any]]) -> dict[str, Any]:
    """Return the dictionary of one symbolic tensor."""
    config = {"shape": list(x.shape), "dtype": str(x.dtype), "keras_history": keys[id(x)]}
    return {"class_name": "__keras_tensor__", "config": config}


def _node(call: Call, keys: dict[int, list[Any]]) -> dict[str, Any]:
    """Return the dictionary of one call."""
    tensors = {id(x): _tensor(x, keys) for x in call.input_list}
    inputs, others, named = call.arguments(tensors)
    said = {} if call.training is None else {"said": True}
    training = {} if call.training is None else {"training": call.training}
    written = serialize_keras_object([inputs, *others]), serialize_keras_object(named)
    return {"args": written[0], "kwargs": written[1] | training, **said}


def network_of(
    config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> tuple[Any, Any]:
    """Return the symbolic inputs and outputs of a network that `functional_config` describes.

    Raises:
        ArgumentError: a class is not known, or a call needs what no layer makes.
    """
    tensors: dict[Key, SymbolicTensor] = {}
    waiting: list[tuple[str, Any, int, dict[str, Any]]] = []
    for entry in config["layers"]:
        name = entry.get("name") or entry["config"]["name"]
        if entry.get("module", "").startswith("keras.src.ops"):
            layer: Any = _operation(entry)
        else:
            layer = layer_of(entry, custom_objects)
        if isinstance(layer, InputLayer):
            tensors[name, 0, 0] = layer.output
        nodes = [] if isinstance(layer, InputLayer) else entry["inbound_nodes"]
        waiting += [(name, layer, number, node) for number, node in enumerate(nodes)]
    while waiting:
        ready = [w for w in waiting if all(key in tensors for key in _needs(w[3]))]
        # The calls of a layer are numbered in the order in which they are made.
        ready = [w for w in ready if not any(o[1] is w[1] and o[2] < w[2] for o in waiting)]
        if not ready:
            name, _, _, node = waiting[0]
            lacking = next((key for key in _needs(node) if key not in tensors), None)
            raise ArgumentError(f"load_model: the layer {name!r} needs {lacking}, which none makes")
        for name, layer, number, node in ready:
            results = _called(name, layer, node, tensors)
            for place, tensor in enumerate(flatten(results)):
                tensors[name, number, place] = tensor
        waiting = [w for w in waiting if w not in ready]
    inputs = _arranged(config["input_layers"], tensors)
    return inputs, _arranged(config["output_layers"], tensors)


def _operation(entry: dict[str, Any]) -> Callable[[Any, Any], Any]:
    name = entry["class_name"]
    if name not in OPERATIONS:
        raise ArgumentError(
            f"load_model: the operation {name!r} on symbolic tensors is not known here; known are "
            f"{', '.join(OPERATIONS)}. Put it into a layer."
        )
    return OPERATIONS[name]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" in value


def _key(value: dict[str, Any]) -> Key:
    name, number, place = value["config"]["keras_history"]
    return name, number, place


def _needs(node: dict[str, Any]) -> list[Key]:
    """Return the keys of the tensors that a call takes."""
    flat = flatten([node["args"], node.get("kwargs", {})], _is_tensor)
    return [_key(x) for x in flat if _is_tensor(x)]


def _called(name: str, layer: Any, node: dict[str, Any], tensors: dict[Key, SymbolicTensor]) -> Any:
    """Return the results of one call."""

    def given(value: Any) -> Any:
        return tensors[_key(value)] if _is_tensor(value) else deserialize_keras_object(value)

    arguments = [mapped(given, arg, _is_entry) for arg in node["args"]]
    kwargs = mapped(given, node.get("kwargs", {}), _is_entry)
    kwargs = {k: v for k, v in kwargs.items() if v is not None}
    if layer in OPERATIONS.values():
        result = layer(*arguments)
        result.call.layer.name = name
        return result
    # Keras writes down `training=False` for layers of noise though nobody said it.
    if kwargs.get("training") is False and hasattr(layer, "seed") and not node.get("said"):
        kwargs.pop("training")
    return layer(*arguments, **kwargs)


def _arranged(keys: Any, tensors: dict[Key, SymbolicTensor]) -> Any:
    """Return the tensors of keys in lists and dictionaries, or of a single key."""
    found = mapped(
        lambda key: tensors[tuple(key)],
        keys,
        lambda key: isinstance(key, list | tuple) and len(key) == 3 and isinstance(key[0], str),
    )
    return found[0] if isinstance(found, list) and len(found) == 1 else found
