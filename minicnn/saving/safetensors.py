"""Weights in safetensors files, under names that say where in the network they belong.

A key is the path through the model, as `encoder/conv2d_1/kernel`. Layers that were not given a
name are numbered within their model, so the keys do not depend on what else the process made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Variable, as_numpy
from minicnn.errors import ArgumentError, OutputError, WeightsError
from minicnn.files import replacing
from minicnn.layers.base import Layer
from minicnn.registry import free_name, snake_case

__all__ = ["kind_of", "layer_paths", "read_arrays", "save_weights", "weight_paths",
           "write_arrays"]  # fmt: skip


def layer_paths(model: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield (path, layer) for every layer inside a model, itself excluded."""
    used: set[str] = set()
    for layer in model.sublayers:
        base = layer.name if layer.has_own_name else snake_case(type(layer).__name__)
        name = free_name(base, used)
        used.add(name)
        yield prefix + name, layer
        yield from layer_paths(layer, f"{prefix}{name}/")


def weight_paths(model: Layer) -> dict[str, Variable]:
    """Return all weights of a model by their path; a shared layer's weights stand once."""
    found: dict[str, Variable] = {}
    seen: set[int] = set()
    for path, layer in [("", model), *layer_paths(model)]:
        for weight in layer.own_weights:
            if id(weight) not in seen:
                seen.add(id(weight))
                key = f"{path}/{weight.name}" if path else weight.name
                found[free_name(key, found)] = weight
    return found


def write_arrays(
    path: str | Path, arrays: dict[str, NDArray[Any]], metadata: dict[str, str]
) -> None:
    """Write arrays and texts to a safetensors file, replacing it as a whole.

    Raises:
        OutputError: the file cannot be written; an old one is left as it was.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        with replacing(path) as temporary:
            here = {k: np.require(as_numpy(v), requirements="C") for k, v in arrays.items()}
            save_file(here, temporary, metadata)
    except SafetensorError as error:  # a full disk, for one
        raise OutputError(f"cannot write {path}: {error}.") from None


def kind_of(path: str | Path) -> str:
    """Return what a file is: "hdf5", "keras" (an archive), or "other", as a missing one."""
    if not Path(path).is_file():
        return "other"
    with Path(path).open("rb") as file:
        start = file.read(8)
    if start == b"\x89HDF\r\n\x1a\n" or Path(path).suffix == ".h5":
        return "hdf5"
    return "keras" if Path(path).suffix == ".keras" else "other"


def read_arrays(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the arrays and texts of a safetensors file.

    Raises:
        WeightsError: there is no such file, or it is damaged or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise WeightsError(f"there is no weights file {path}.")
    try:
        with safe_open(path, "np") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return arrays, dict(file.metadata() or {})
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path} is no safetensors file, or it is damaged ({error}); save the weights again."
        ) from None


def assign(where: str, weights: dict[str, Variable], arrays: dict[str, NDArray[Any]]) -> None:
    """Give every weight the array of its path; nothing is changed unless all of them fit.

    Raises:
        WeightsError: paths are missing or unexpected, or shapes differ; all are listed.
    """
    problems = [f"missing {key}" for key in weights if key not in arrays]
    problems += [f"unexpected {key}" for key in arrays if key not in weights]
    problems += [
        f"{key} has shape {arrays[key].shape} instead of {weight.shape}"
        for key, weight in weights.items()
        if key in arrays and arrays[key].shape != weight.shape
    ]
    if problems:
        shown = "; ".join(problems[:6]) + (
            f"; and {len(problems) - 6} more" if problems[6:] else ""
        )
        raise WeightsError(f"{where} holds the weights of another network: {shown}.")
    for key, weight in weights.items():
        weight.assign(arrays[key])


def weights_of(model: Layer) -> dict[str, Variable]:
    """Return the weights of a model by path.

    Raises:
        ArgumentError: there are none, because the model is not built yet.
    """
    if weights := weight_paths(model):
        return weights
    raise ArgumentError(f"{model.name} has no weights yet; build it by calling it first.")


def save_weights(model: Layer, path: str | Path) -> None:
    """Write all weights of a model to a safetensors file.

    Raises:
        ArgumentError: the model is not built yet, so there are no weights.
        OutputError: the file cannot be written; an old one is left as it was.
    """
    arrays = {path: weight.data for path, weight in weights_of(model).items()}
    write_arrays(path, arrays, {"format": "minicnn weights"})
