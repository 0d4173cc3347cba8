"""Models: layers put together, with training and saving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer
from minicnn.layers.operation import Operation
from minicnn.models import saving
from minicnn.models.graph import Graph
from minicnn.models.summary import print_summary
from minicnn.models.trainer import Trainer

__all__ = ["Model"]


class Model(Trainer, Layer):
    """A network: functional, of symbolic inputs and outputs, or a subclass with its own `call`.

    Args:
        inputs: what `Input` returned, or a list of such.
        outputs: symbolic tensors that layers made of them.
        name: default the class's name and a number.

    Raises:
        ArgumentError: the outputs do not come from the inputs.

    >>> from minicnn import layers
    >>> x = layers.Input((6, 9, 3))
    >>> a = layers.Conv2D(4, 3, padding="same")(x)
    >>> b = layers.Conv2D(4, (1, 5), padding="same")(x)
    >>> model = Model(x, layers.Flatten()(a + b))
    >>> model.output_shape
    (None, 216)
    """

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.graph: Graph | None = None
        if (inputs is None) != (outputs is None):
            raise ArgumentError(f"{self.name}: give both inputs and outputs, or neither.")
        if inputs is not None:
            self._set_graph(inputs, outputs)

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        self.graph = Graph(inputs, outputs, self.name)
        self.takes_list = len(self.graph.inputs) > 1
        self.built = True

    @property
    def sublayers(self) -> list[Layer]:
        """The layers of the network, or those that a subclass keeps as attributes."""
        return super().sublayers if self.graph is None else self.graph.layers

    @property
    def layers(self) -> list[Layer]:
        """The layers of the network, in order; as in Keras, operators are not among them."""
        return [layer for layer in self.sublayers if not isinstance(layer, Operation)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its place.

        Raises:
            ArgumentError: there is none such.
        """
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ArgumentError(
                    f"{self.name}: index={index}, but there are {len(self.layers)} layers."
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(repr(layer.name) for layer in self.layers)
        raise ArgumentError(f"{self.name}: there is no layer {name!r}; there are {names}.")

    @property
    def inputs(self) -> list[Any]:
        """The symbolic inputs."""
        return self._drawn("inputs").inputs

    @property
    def outputs(self) -> list[Any]:
        """The symbolic outputs."""
        return self._drawn("outputs").outputs

    @property
    def input(self) -> Any:
        """The symbolic input, or the list of them."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def output(self) -> Any:
        """The symbolic output, or the list of them."""
        return self.outputs[0] if len(self.outputs) == 1 else self.outputs

    @property
    def input_shape(self) -> Any:
        """The shape of the input, None for the batch, or a list of shapes."""
        shapes = [x.shape for x in self.inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """The shape of the output, None for the batch, or a list of shapes."""
        shapes = [x.shape for x in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    def _drawn(self, what: str) -> Graph:
        if self.graph is None:
            raise ArgumentError(
                f"{self.name} has no {what}: the shape of its input is not known; give it an "
                f"Input or an input_shape."
            )
        return self.graph

    def _output_names(self) -> list[str]:
        if self.graph is None:
            return ["output"]
        names: list[str] = []
        for output in self.graph.outputs:  # a layer called twice may give two outputs
            names.append(saving.free_name(output.name, names))
        return names

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self._drawn("outputs").run(inputs, training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.graph is None:
            return super().compute_output_shape(input_shape)
        return self.graph.output_shapes(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "trainable": self.trainable}

    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print the layers with their output shapes and numbers of parameters.

        Args:
            print_fn: gets the text instead of `print`.
        """
        print_summary(self, print_fn)

    def save_weights(self, path: str | Path) -> None:
        """Write all weights to a safetensors file, by path name; see `models.saving`.

        Raises:
            OutputError: the file cannot be written; an old one is left as it was.
        """
        saving.save_weights(self, path)

    def load_weights(self, path: str | Path) -> None:
        """Replace all weights by those of a safetensors file.

        Raises:
            WeightsError: the file is missing, damaged or of another network; nothing is changed.
        """
        saving.load_weights(self, path)
