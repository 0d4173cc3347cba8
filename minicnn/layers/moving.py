"""Moving a layer's weights to the GPU and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from minicnn import config
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError, DeviceError
from minicnn.runtime.devices import NAMES, device_of, to_device

__all__ = ["Movable"]


class Movable:
    """Where a layer's weights live; `WeightOwner` inherits it."""

    # What the other side, `WeightOwner`, brings.
    name: str
    built: bool
    weights: Any
    own_weights: Any

    def _all_layers(self) -> Iterator[Any]:
        """Yield this layer and all layers inside."""
        yield self

    def gpu(self) -> Self:
        """Move all weights, and what an optimizer keeps for them, to the GPU; return the layer.

        Raises:
            ArgumentError: the layer is not built, so there are no weights yet.
            BackendError: no GPU can be used here; the message says why.
            DeviceMemoryError: the card has no room for them; all weights stay where they are then.

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
        for layer in self._all_layers():
            follow = getattr(getattr(layer, "optimizer", None), "follow", None)
            if follow is not None:
                follow()
        return self

    def _misplaced(self, inputs: Any) -> DeviceError | None:
        """Return the error for an input that does not lie beside the layer's own weights."""
        for weight in self.own_weights[:1]:
            for x in inputs if isinstance(inputs, list) else [inputs]:
                if x.device != weight.device:
                    return DeviceError(
                        f"{type(self).__name__} {self.name!r}: the input {x.shape} is "
                        f"{NAMES[x.device]}, but {weight.name} {weight.shape} is "
                        f"{NAMES[weight.device]}; both must be in one place. .gpu() of a layer, a "
                        f"model or a tensor moves it to the GPU, and .cpu() moves it back."
                    )
        return None

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
