"""Weights in HDF5 files as Keras writes them: its present arrangement, and the older one.

Present (`.weights.h5`, and inside `.keras`): a group for each layer, under `layers` and the class's
name with a number, or under the attribute that holds it; in it `vars/0`, `vars/1`, ... Older
(`.h5`, as the published VGG16 has it): the attribute `layer_names` lists the layers in order, and
each layer's attribute `weight_names` its weights. The latter is read alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Variable, as_numpy
from minicnn.errors import WeightsError, warn_user
from minicnn.files import hdf5, replacing
from minicnn.layers.base import Layer
from minicnn.layers.weights import NOTES, parts_of
from minicnn.registry import snake_case
from minicnn.saving.safetensors import assign

__all__ = ["keras_paths", "load_keras_weights", "read_arrays", "save_keras_weights",
           "write_arrays"]  # fmt: skip

Arrays = dict[str, NDArray[Any]]


def _own_in_order(layer: Layer) -> list[Variable]:
    """Return a layer's own weights as Keras numbers them: statistics come last."""
    return sorted(layer.own_weights, key=lambda w: w.always_frozen)


def _numbered(parts: list[Any]) -> Iterator[tuple[str, Layer]]:
    """Yield layers under the names of their classes, numbered where one occurs again.

    Lists, tuples, dictionaries and sets among them are called "container".
    """
    counts: dict[str, int] = {}
    for part in parts:
        inner = parts_of(part)
        if inner is None and not isinstance(part, Layer):
            continue
        base = "container" if inner is not None else snake_case(type(part).__name__)
        number = counts[base] = counts.get(base, -1) + 1
        name = base if number == 0 else f"{base}_{number}"
        if inner is None:
            yield name, part
        else:
            for path, layer in _numbered(inner):
                yield f"{name}/{path}", layer


def _children(layer: Any) -> Iterator[tuple[str, Layer]]:
    """Yield (path, layer) for the layers directly inside one, in Keras' order."""
    if getattr(layer, "graph", None) is not None or hasattr(layer, "chain"):
        for name, child in _numbered(layer.layers_with_inputs):
            yield f"layers/{name}", child
    attributes = [(k, v) for k, v in vars(layer).items() if k not in ("chain", *NOTES)]
    if hasattr(layer, "layers"):  # Keras meets this list in its place in the alphabet
        attributes.append(("layers", layer.layers))
    for name, value in sorted(attributes, key=lambda item: (item[0][0] == "_", item[0])):
        if isinstance(value, Layer):
            yield name, value
        elif (parts := parts_of(value)) is not None:
            for inner, child in _numbered(parts):
                yield f"{name}/{inner}", child


def _groups(layer: Layer, prefix: str, seen: set[int]) -> Iterator[tuple[str, Layer]]:
    """Yield (path, layer) for a layer and all inside it, each once."""
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield prefix, layer
    for path, child in _children(layer):
        yield from _groups(child, f"{prefix}{path}/", seen)


def keras_paths(model: Layer) -> dict[str, Variable]:
    """Return all weights of a model by their path in Keras' files, as `layers/conv2d/vars/0`."""
    return {
        f"{prefix}vars/{i}": weight
        for prefix, layer in _groups(model, "", set())
        for i, weight in enumerate(_own_in_order(layer))
    }


def write_arrays(file: Any, model: Layer, optimizer: list[NDArray[Any]] | None = None) -> None:
    """Write the weights of a model, and the optimizer's arrays, into an open HDF5 file."""
    for prefix, layer in _groups(model, "", set()):
        group = file.create_group(f"{prefix}vars")
        group.attrs["name"] = layer.name
        for i, weight in enumerate(_own_in_order(layer)):
            group.create_dataset(str(i), data=as_numpy(weight))
    if optimizer is not None:
        for i, array in enumerate(optimizer):
            file.create_dataset(f"optimizer/vars/{i}", data=array)


def save_keras_weights(model: Layer, path: str | Path) -> None:
    """Write the weights of a model to an HDF5 file that Keras reads.

    Raises:
        OutputError: the file cannot be written; an old one is left as it was.
    """
    h5py = hdf5(path)
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        write_arrays(file, model)


def read_arrays(file: Any) -> tuple[Arrays, list[NDArray[Any]]]:
    """Return the weights in Keras' present arrangement by path, and the optimizer's arrays."""
    arrays: Arrays = {}

    def take(name: str, item: Any) -> None:
        if hasattr(item, "shape"):  # a group has none
            arrays[name.removeprefix("_layer_checkpoint_dependencies/")] = np.asarray(item)

    file.visititems(take)
    kept = {k: v for k, v in arrays.items() if "seed_generator/" not in k}
    optimizer = {int(k.rsplit("/")[-1]): kept.pop(k) for k in list(kept) if k[:10] == "optimizer/"}
    return kept, [optimizer[i] for i in sorted(optimizer)]


def load_keras_weights(
    model: Any, path: str | Path, skip_mismatch: bool = False, by_name: bool = False
) -> None:
    """Replace the weights of a model by those of an HDF5 file that Keras, or minicnn, wrote.

    Args:
        model: a built model.
        path: `.weights.h5`, or an older `.h5` with weights or a whole model.
        skip_mismatch: leave out layers that do not fit, with a warning, default False.
        by_name: match the layers of an older file by their names instead of their order; layers
            that stand on one side alone are left as they are.

    Raises:
        WeightsError: the file is damaged or of another network; nothing is changed then.
    """
    h5py = hdf5(path)
    try:
        with h5py.File(path) as file:
            older = "layer_names" in file.attrs or "layer_names0" in file.attrs
            group = file if older or "model_weights" not in file else file["model_weights"]
            if older or group is not file:
                weights, arrays = _older(model, str(path), group, by_name)
            else:
                weights, arrays = keras_paths(model), read_arrays(file)[0]
    except (OSError, KeyError, RuntimeError, AttributeError, TypeError) as error:
        raise WeightsError(
            f"{path} is no HDF5 file of weights, or it is damaged ({error})."
        ) from None
    if by_name and not older and group is file:
        raise WeightsError(
            f"{path}: by_name is for files of the older arrangement, which name their layers; "
            f"this one holds them in order."
        )
    assign_fitting(str(path), weights, arrays, skip_mismatch)


def assign_fitting(
    where: str, weights: dict[str, Variable], arrays: Arrays, skip_mismatch: bool
) -> None:
    """Give every weight the array of its path: all of them, or with a warning those that fit."""
    if skip_mismatch:
        fits = {k for k, w in weights.items() if k in arrays and arrays[k].shape == w.shape}
        left = [key for key in {**weights, **arrays} if key not in fits]
        if left:
            warn_user(f"{where}: left out {', '.join(left)}: no match.")
        weights = {k: weights[k] for k in weights if k in fits}
        arrays = {k: arrays[k] for k in fits}
    assign(where, weights, arrays)


def _texts(group: Any, name: str) -> list[str]:
    """Return an attribute that lists texts; long lists are cut into name0, name1, ..."""
    if name in group.attrs:
        parts = [group.attrs[name]]
    else:
        numbers = range(sum(key[: len(name)] == name for key in group.attrs))
        parts = [group.attrs[f"{name}{i}"] for i in numbers]
    texts = [text for part in parts for text in part]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _older(model: Any, where: str, group: Any, by_name: bool) -> tuple[dict[str, Variable], Arrays]:
    """Return the model's weights and the file's arrays of the older arrangement under one key."""
    stored: dict[str, Arrays] = {}
    for name in _texts(group, "layer_names"):
        names = _texts(group[name], "weight_names")
        if names:
            stored[name] = {key: np.asarray(group[name][key]) for key in names}
    own = [layer for layer in model.layers if layer.weights]
    if by_name:
        pairs = [(layer, layer.name) for layer in own if layer.name in stored]
    elif len(own) == len(stored):
        pairs = list(zip(own, stored, strict=True))
    else:
        raise WeightsError(
            f"{where} holds weights of {len(stored)} layers ({_few(stored)}), but {model.name} has "
            f"{len(own)} layers with weights ({_few([layer.name for layer in own])})."
        )
    weights: dict[str, Variable] = {}
    arrays: Arrays = {}
    for layer, name in pairs:
        arrays |= {f"{name}/{i}": array for i, array in enumerate(stored[name].values())}
        # Statistics come after all that is trained, over the whole of a layer with layers inside.
        ordered = sorted(layer.weights, key=lambda w: w.always_frozen)
        weights |= {f"{name}/{i}": weight for i, weight in enumerate(ordered)}
    return weights, arrays


def _few(names: Any) -> str:
    names = list(names)
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:3])}, ..., {names[-1]}"
