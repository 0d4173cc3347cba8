"""A training in a file: all that is needed to continue it as if it had never stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd.tensor import Tensor, as_numpy
from minicnn.errors import WeightsError
from minicnn.layers.weights import members
from minicnn.optimizers.base import RateNow
from minicnn.runtime.devices import on_gpu, to_device
from minicnn.saving.safetensors import assign, layer_paths, read_arrays, weight_paths, write_arrays

__all__ = ["pack", "restore_training", "save_training", "unpacked"]

KIND = "minicnn training"


def pack(value: Any, key: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a value as JSON takes it; arrays inside are put into `arrays` under keys.

    >>> kept = {}
    >>> pack({"best": 0.5, "weights": [np.ones(2)]}, "stop", kept)
    {'best': 0.5, 'weights': [{'__array__': 'stop/weights/0'}]}
    >>> unpacked(_, kept)["weights"][0].tolist()
    [1.0, 1.0]
    """
    if isinstance(value, dict):
        return {name: pack(part, f"{key}/{name}", arrays) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [pack(part, f"{key}/{i}", arrays) for i, part in enumerate(value)]
    if isinstance(value, Tensor | np.ndarray | np.generic) or on_gpu(value):
        arrays[key] = as_numpy(value)
        return {"__array__": key}
    return value


def unpacked(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return what `pack` made JSON of."""
    if isinstance(value, list):
        return [unpacked(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"__array__"}:
        array = arrays[value["__array__"]]
        return array if array.ndim else array[()]
    return {name: unpacked(part, arrays) for name, part in value.items()}


def generators(model: Any) -> dict[str, np.random.Generator]:
    """Return the generators of random numbers that the model and its layers own, by path."""
    found = {}
    for path, layer in [(model.name, model), *layer_paths(model)]:
        seeded = [g.own for g in members(layer, config.SeededGenerator) if g.own is not None]
        for i, rng in enumerate([*members(layer, np.random.Generator), *seeded]):
            found[f"{path}:{i}" if i else path] = rng
    return found


def save_training(model: Any, path: str | Path, epochs: int) -> None:
    """Write all that a training needs to go on, after so many epochs.

    Beside weights, optimizer, history and random numbers these are, while `fit` runs, what its
    callbacks keep, how far it has come within the data, and the figures of an epoch under way.

    Raises:
        OutputError: the file cannot be written; an old one is left as it was.
    """
    arrays: dict[str, Any] = {}
    optimizer = model.optimizer
    for name, weight in weight_paths(model).items():
        arrays[f"model/{name}"] = weight.data
        for slot, value in optimizer.state.get(id(weight), {}).items():
            arrays[f"optimizer/{name}/{slot}"] = value
    rate = optimizer.learning_rate
    own = {name: dict(rng.bit_generator.state) for name, rng in generators(model).items()}
    course = None if model.course is None else model.course.state()
    texts = {
        "format": KIND,
        "epochs": str(epochs),
        "optimizer": _kind(optimizer),
        "iterations": str(optimizer.calls),
        "rate": json.dumps(float(rate) if isinstance(rate, RateNow) else None),
        "history": json.dumps(pack(model.history.history, "history", arrays)),
        "epoch": json.dumps(model.history.epoch),
        "random": json.dumps({"process": config.random_state(), "layers": own}),
        "course": json.dumps(pack(course, "course", arrays)),
    }
    write_arrays(path, arrays, texts)


def restore_training(model: Any, path: str | Path) -> int:
    """Put a model, its optimizer and the random numbers back, and return the epochs done.

    What callbacks keep, and the place within the data, come to a `fit` that runs.

    Raises:
        WeightsError: the file is missing, damaged, of another kind, or of another network or
            optimizer; nothing is changed then.
    """
    arrays, texts = read_arrays(path)
    if texts.get("format") != KIND:
        raise WeightsError(f"{path} holds weights alone, not a training that can be continued.")
    optimizer, weights, own = model.optimizer, weight_paths(model), generators(model)
    if texts.get("optimizer") != _kind(optimizer):
        raise WeightsError(
            f"{path} holds a training by {texts.get('optimizer')}, but the model is compiled with "
            f"{_kind(optimizer)}; compile it as it was."
        )
    random = json.loads(texts["random"])
    if set(random["layers"]) != set(own):
        raise WeightsError(
            f"{path} holds a training with a seed in the layers {sorted(random['layers'])}, but "
            f"the model has seeds in {sorted(own)}; give the layers the same seeds."
        )
    saved = {key[6:]: array for key, array in arrays.items() if key.startswith("model/")}
    assign(str(path), weights, saved)
    for name, weight in weights.items():
        for slot in optimizer.slots:
            if (key := f"optimizer/{name}/{slot}") in arrays:
                optimizer.slots_of(weight)[slot][...] = to_device(arrays[key], weight.device)
    optimizer.calls = int(texts["iterations"])
    rate = json.loads(texts.get("rate", "null"))
    if rate is not None and isinstance(optimizer.learning_rate, RateNow):
        optimizer.learning_rate = rate  # a callback may have changed it
    config.restore_random_state(random["process"])
    for name, rng in own.items():
        rng.bit_generator.state = random["layers"][name]
    epochs = int(texts["epochs"])
    model.history.history = unpacked(json.loads(texts["history"]), arrays)
    model.history.epoch = json.loads(texts.get("epoch", json.dumps(list(range(epochs)))))
    model.resumed = unpacked(json.loads(texts.get("course", "null")), arrays)
    return epochs


def _kind(optimizer: Any) -> str:
    """Return the optimizer's class and what it keeps for each variable."""
    kept = f" with {', '.join(optimizer.slots)}" if optimizer.slots else ""
    return type(optimizer).__name__ + kept
