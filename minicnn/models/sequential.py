"""A chain of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer
from minicnn.layers.core import Input, InputLayer
from minicnn.layers.graph import refuse_same_names
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.layers.weights import members, unique
from minicnn.models.model import Model
from minicnn.saving import graphs, objects

__all__ = ["Sequential"]


def _came(what: Any) -> str:
    name = getattr(what, "__name__", type(what).__name__)
    return f"the class {name}: write {name}(...)" if isinstance(what, type) else f"a {name}"


class Sequential(Model):
    """A chain of layers, each called on the result of the one before.

    With an `Input` first, or an `input_shape` on the first layer, the chain is built at once;
    otherwise when it first sees data.

    Args:
        layers: the layers in order.
        trainable: whether `fit` changes the weights, default True.
        name: default `sequential` and a number.

    >>> from minicnn import layers
    >>> model = Sequential([layers.Conv2D(8, (3, 2), input_shape=(7, 10, 3)), layers.Flatten()])
    >>> model.output_shape, model.count_params()
    ((None, 360), 152)
    """

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        if not isinstance(trainable, bool) or isinstance(layers, Layer):
            raise ArgumentError(f"{self.name}: give the layers as one list, Sequential([...]).")
        self.chain: list[Layer] = []
        self._entry: SymbolicTensor | None = None
        for layer in layers or []:
            self.add(layer)
        if not trainable:
            self.trainable = False

    @property
    def sublayers(self) -> list[Layer]:
        """The layers of the chain, without the input layer, and those kept as attributes."""
        return unique([*self.chain, *members(self, Layer)])

    @property
    def layers_with_inputs(self) -> list[Layer]:
        """The layers of the chain, without the input layer."""
        return list(self.chain)

    def add(self, layer: Any) -> None:
        """Put a layer at the end.

        Raises:
            ArgumentError: what came is no layer, or an Input that is not first.
        """
        if isinstance(layer, InputLayer):
            layer = layer.output
        if isinstance(layer, SymbolicTensor):
            if self.chain or self._entry is not None:
                raise ArgumentError(f"{self.name}: an Input can only come first.")
            self._entry = layer
            return
        if not isinstance(layer, Layer):
            raise ArgumentError(f"{self.name}: a Sequential holds layers, not {_came(layer)}.")
        refuse_same_names(self.name, unique([*self.chain, layer]))
        if not self.chain and self._entry is None:
            shape = layer.given_input_shape
            if shape is None and isinstance(layer, Model) and layer.graph is not None:
                shape = layer.input_shape[1:]
            if shape is not None:
                self._entry = Input(shape)
        self.chain.append(layer)
        if self._entry is not None:
            end = self._entry if self.graph is None else self.graph.outputs[0]
            self._set_graph(self._entry, layer(end))

    def pop(self) -> Layer:
        """Take the last layer off and return it."""
        if not self.chain:
            raise ArgumentError(f"{self.name}: there is no layer to pop.")
        last = self.chain.pop()
        if self.graph is not None:
            if self.chain:
                self._set_graph(self._entry, self.graph.calls[-1].inputs)
            else:
                self.graph, self.built = None, False
        return last

    def build(self, input_shape: Any = None) -> None:
        """Build the chain for inputs of this shape, the batch axis included.

        Without a shape, nothing happens if the chain is built already.
        """
        if input_shape is None and self.graph is not None:
            return
        if not self.chain or input_shape is None:
            lacking = "an input_shape" if self.chain else "layers"
            raise ArgumentError(f"{self.name}: a Sequential without {lacking} cannot be built.")
        self._entry = Input(tuple(input_shape)[1:])
        x = self._entry
        for layer in self.chain:
            x = layer(x)
        self._set_graph(self._entry, x)

    def build_by_shape(self, input_shape: Any) -> None:
        self.build_once(tuple(input_shape))

    def get_config(self) -> dict[str, Any]:
        entry = [] if self._entry is None else [self._entry.call.layer]
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        config["layers"] = graphs.layer_entries([*entry, *self.chain])
        if self._entry is not None:
            config["build_input_shape"] = list(self._entry.shape)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """Return a new chain of a configuration that `get_config` gave."""
        if "layers" not in config:
            return cls(**objects.deserialize_keras_object(config, custom_objects))
        layers = [graphs.layer_of(entry, custom_objects) for entry in config["layers"]]
        model = cls(layers, config.get("trainable", True), config.get("name"))
        if config.get("build_input_shape"):
            model.build_by_shape(config["build_input_shape"])
        return model
