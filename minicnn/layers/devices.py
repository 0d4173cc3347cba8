"""Where a layer's weights lie: moving them to the GPU and back."""

from __future__ import annotations

from typing import Any

from minicnn import config
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError, DeviceError
from minicnn.layers.weights import all_layers, own_weights_of
from minicnn.runtime.devices import NAMES, device_of, to_device

__all__ = ["device_of_layer", "misplaced", "move"]


def move(layer: Any, device: str) -> None:
    """Move all weights of a layer, and what an optimizer keeps for them, to a device.

    Raises:
        ArgumentError: the layer is not built, so there are no weights yet.
    """
    weights = layer.weights
    if not layer.built and not weights:
        raise ArgumentError(
            f"{layer.name}: {device}() found no weights, for the layer is not built yet. Call "
            f"it first or give an input_shape; or let config.set_backend say beforehand where "
            f"weights are made."
        )
    moved = [to_device(w.data, device) for w in weights]
    for weight, array in zip(weights, moved, strict=True):
        weight.data = array
        if weight.grad is not None:
            weight.grad = Tensor(to_device(weight.grad.data, device))
    for each in all_layers(layer):
        follow = getattr(getattr(each, "optimizer", None), "follow", None)
        if follow is not None:
            follow()


def misplaced(layer: Any, inputs: Any) -> DeviceError | None:
    """Return the error for an input that does not lie beside the layer's own weights."""
    for weight in own_weights_of(layer)[:1]:
        for x in inputs if isinstance(inputs, list) else [inputs]:
            if x.device != weight.device:
                return DeviceError(
                    f"{type(layer).__name__} {layer.name!r}: the input {x.shape} is "
                    f"{NAMES[x.device]}, but {weight.name} {weight.shape} is "
                    f"{NAMES[weight.device]}; both must be in one place. .gpu() of a layer, a "
                    f"model or a tensor moves it to the GPU, and .cpu() moves it back."
                )
    return None


def device_of_layer(layer: Any) -> str:
    """Return where the weights lie, `"cpu"` or `"gpu"`; without weights, where new ones are put.

    Raises:
        DeviceError: some are here and some are there; the message names two.
    """
    found: dict[str, str] = {}
    for each in all_layers(layer):
        for weight in own_weights_of(each):
            name = f"{weight.name} {weight.shape} of {each.name!r}"
            found.setdefault(device_of(weight.data), name)
    if len(found) > 1:
        raise DeviceError(
            f"{layer.name}: {found['cpu']} is {NAMES['cpu']}, but {found['gpu']} is "
            f"{NAMES['gpu']}; all weights of a model must be in one place. .gpu() of the model "
            f"moves all of them to the GPU, and .cpu() to the computer's memory."
        )
    return next(iter(found), config.device())
