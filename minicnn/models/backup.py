"""A training in a file: all that is needed to continue it as if it had never stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minicnn import config
from minicnn.errors import WeightsError
from minicnn.kernels.placement import to_device
from minicnn.models.saving import assign, layer_paths, read_arrays, weight_paths, write_arrays

__all__ = ["restore_training", "save_training"]

KIND = "minicnn training"


def save_training(model: Any, path: str | Path, epochs: int) -> None:
    """Write weights, optimizer, history and random numbers after so many epochs.

    Raises:
        OutputError: the file cannot be written; an old one is left as it was.
    """
    arrays, optimizer = {}, model.optimizer
    for name, weight in weight_paths(model).items():
        arrays[f"model/{name}"] = weight.data
        for slot, value in optimizer.state.get(id(weight), {}).items():
            arrays[f"optimizer/{name}/{slot}"] = value
    random = {name: dict(rng.bit_generator.state) for name, rng in _generators(model).items()}
    texts = {
        "format": KIND,
        "epochs": str(epochs),
        "optimizer": _kind(optimizer),
        "iterations": str(optimizer.calls),
        "history": json.dumps(model.history.history),
        "random": json.dumps({"process": config.random_state(), "layers": random}),
    }
    write_arrays(path, arrays, texts)


def restore_training(model: Any, path: str | Path) -> int:
    """Put a model, its optimizer and the random numbers back, and return the epochs done.

    Raises:
        WeightsError: the file is missing, damaged, of another kind, or of another network or
            optimizer; nothing is changed then.
    """
    arrays, texts = read_arrays(path)
    if texts.get("format") != KIND:
        raise WeightsError(f"{path} holds weights alone, not a training that can be continued.")
    optimizer, weights, generators = model.optimizer, weight_paths(model), _generators(model)
    if texts.get("optimizer") != _kind(optimizer):
        raise WeightsError(
            f"{path} holds a training by {texts.get('optimizer')}, but the model is compiled with "
            f"{_kind(optimizer)}; compile it as it was."
        )
    random = json.loads(texts["random"])
    if set(random["layers"]) != set(generators):
        raise WeightsError(
            f"{path} holds a training with a seed in the layers {sorted(random['layers'])}, but "
            f"the model has seeds in {sorted(generators)}; give the layers the same seeds."
        )
    own = {key[6:]: array for key, array in arrays.items() if key.startswith("model/")}
    assign(str(path), weights, own)
    for name, weight in weights.items():
        for slot in optimizer.slots:
            if (key := f"optimizer/{name}/{slot}") in arrays:
                optimizer.slots_of(weight)[slot][...] = to_device(arrays[key], weight.device)
    optimizer.calls = int(texts["iterations"])
    config.restore_random_state(random["process"])
    for name, rng in generators.items():
        rng.bit_generator.state = random["layers"][name]
    epochs = int(texts["epochs"])
    model.history.history = json.loads(texts["history"])
    model.history.epoch = list(range(epochs))
    return epochs


def _kind(optimizer: Any) -> str:
    """Return the optimizer's class and what it keeps for each variable."""
    kept = f" with {', '.join(optimizer.slots)}" if optimizer.slots else ""
    return type(optimizer).__name__ + kept


def _generators(model: Any) -> dict[str, Any]:
    """Return the generators of layers that have a seed of their own, by path."""
    return {
        name: layer.rng()  # type: ignore[attr-defined]
        for name, layer in layer_paths(model)
        if getattr(layer, "seed", None) is not None
    }
