"""Models: layers put together, with training and saving."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minicnn.errors import ArgumentError, OutputError, counted
from minicnn.layers.base import Layer
from minicnn.layers.graph import Graph
from minicnn.layers.operation import Operation
from minicnn.layers.weights import unique
from minicnn.models.summary import summary_text
from minicnn.nested import is_shape, mapped
from minicnn.saving import graphs, keras_archive, keras_weights, objects, safetensors
from minicnn.training.trainer import Trainer

__all__ = ["Model"]


#: Endings of other programs' files, under which safetensors would be taken for these.
_FOREIGN = {
    **dict.fromkeys([".pt", ".pth", ".bin", ".ckpt"], "a file of PyTorch"),
    **dict.fromkeys([".npz", ".npy"], "a file of NumPy"),
    **dict.fromkeys([".pkl", ".pickle"], "a pickle"),
    **dict.fromkeys([".pb", ".tf", ".tflite"], "a file of TensorFlow"),
    ".keras": "a whole model, which save() writes",
    ".onnx": "an ONNX model",
}


class Model(Trainer):
    """A network: functional, of symbolic inputs and outputs, or a subclass with its own `call`.

    Args:
        inputs: what `Input` returned; several in lists or dictionaries, as data will come.
        outputs: symbolic tensors that layers made of them, likewise.
        name: default `functional` or a subclass's name, and a number.

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
        self._functional = inputs is not None and type(self) is Model
        super().__init__(name=name, **kwargs)
        self.graph: Graph | None = None
        if (inputs is None) != (outputs is None):
            raise ArgumentError(f"{self.name}: give both inputs and outputs, or neither.")
        if inputs is not None:
            self._set_graph(inputs, outputs)

    def _base_name(self) -> str:
        return "functional" if self._functional else super()._base_name()

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        self.graph = Graph(inputs, outputs, self.name)
        self._make_known()
        self.takes_list = isinstance(self.graph.arranged_inputs, list)
        self.built = True

    def _make_known(self) -> None:
        """Let the tensors that this model begins with know it."""
        for x in [] if self.graph is None else self.graph.inputs:
            x.entry_of = [ref for ref in x.entry_of if ref() is not None and ref() is not self]
            x.entry_of.append(weakref.ref(self))

    @property
    def sublayers(self) -> list[Layer]:
        """The layers of the network, and those that a subclass keeps as attributes."""
        kept = super().sublayers
        return kept if self.graph is None else unique([*self.graph.layers, *kept])

    def __repr__(self) -> str:
        parts = [counted(self.layers, "layer")]
        if self.built:
            parts.append(f"{self.count_params():,} parameters")
        if self.graph is not None:
            parts.append(f"{self.input_shape} -> {self.output_shape}")
        return f"<{type(self).__name__} {self.name!r}: {', '.join(parts)}>"

    @property
    def layers_with_inputs(self) -> list[Layer]:
        """The layers as they are counted in files."""
        return self.sublayers if self.graph is None else self.graph.layers

    @property
    def layers(self) -> list[Layer]:
        """The layers of the network, in order; as in Keras, operators are not among them."""
        return [layer for layer in self.layers_with_inputs if not isinstance(layer, Operation)]

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
        """The symbolic input, or several as they are arranged."""
        return self._drawn("inputs").arranged_inputs

    @property
    def output(self) -> Any:
        """The symbolic output, or several as they are arranged."""
        return self._drawn("outputs").arranged_outputs

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
        self._make_known()
        return self.graph

    #: Nobody said, so each layer inside takes its own default.
    training_by_default = None

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self._drawn("outputs").run(inputs, training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.graph is None:
            return super().compute_output_shape(input_shape)
        return self.graph.output_shapes(input_shape)

    def build_by_shape(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape, unless they are made already."""
        if not self.built:
            self.compute_output_shape(mapped(tuple, input_shape, is_shape))
            self.built, self.build_shape = True, input_shape

    #: Whether `from_config` makes the layers too, and takes `custom_objects`.
    holds_layers = True

    def get_config(self) -> dict[str, Any]:
        config = {"name": self.name, "trainable": self.trainable}
        if self.graph is not None and type(self) is Model:
            return {**config, **graphs.functional_config(self.graph)}
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """Return a new model of a configuration that `get_config` gave."""
        if "input_layers" in config and "layers" in config:
            inputs, outputs = graphs.network_of(config, custom_objects)
            model = cls(inputs, outputs, name=config.get("name"))
            if not config.get("trainable", True):
                model.trainable = False
            return model
        return cls(**objects.deserialize_keras_object(config, custom_objects))

    def to_json(self, **kwargs: Any) -> str:
        """Return the drawing of the model as a JSON text; `model_from_json` reads it.

        Args:
            kwargs: arguments of `json.dumps`, such as `indent`.
        """
        return json.dumps(keras_archive.model_config(self), **kwargs)

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print the layers with their output shapes and numbers of parameters.

        Args:
            line_length: width of the table in characters, default 88.
            positions: only None: columns are as wide as their texts.
            print_fn: gets the text instead of `print`.
            expand_nested: show the layers of models inside, too, default False.
            show_trainable: show whether a layer's weights are trained, default False.
            layer_range: names of the first and the last layer to show, default all.

        Raises:
            ArgumentError: `positions` is given, or a layer of `layer_range` is not there.
        """
        if positions is not None:
            raise ArgumentError(
                f"{self.name}: summary got positions={positions!r}, but columns are as wide as "
                f"their texts; give line_length."
            )
        text = summary_text(self, line_length or 88, expand_nested, show_trainable, layer_range)
        (print_fn or print)(text.rstrip("\n"))

    def save(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the whole model to a `.keras` file; `models.load_model` reads it.

        Args:
            filepath: ends in `.keras`.
            overwrite: replace a file that is there, default True.

        Raises:
            ArgumentError: the name ends otherwise, or something cannot be stored.
            OutputError: the file cannot be written; an old one is left as it was.
        """
        keras_archive.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write all weights: with a name that ends in `.h5` as Keras does, else as safetensors.

        Args:
            filepath: as `net.weights.h5`, or any other name; see `saving.safetensors`.
            overwrite: replace a file that is there, default True.

        Raises:
            ArgumentError: the model is not built yet, so there are no weights; or the name ends as
                another kind of file.
            OutputError: the file cannot be written; an old one is left as it was.
        """
        if other := _FOREIGN.get(Path(filepath).suffix.lower()):
            raise ArgumentError(
                f"{self.name}: save_weights: filepath={str(filepath)!r} ends as {other}, but "
                f"weights are written as safetensors or as Keras' HDF5; give "
                f"'{Path(filepath).stem}.safetensors' or '{Path(filepath).stem}.weights.h5'."
            )
        if not overwrite and Path(filepath).exists():
            raise OutputError(f"cannot write {filepath}: it exists, and overwrite=False.")
        if Path(filepath).suffix == ".h5":
            safetensors.weights_of(self)
            keras_weights.save_keras_weights(self, filepath)
        else:
            safetensors.save_weights(self, filepath)

    def load_weights(
        self, filepath: str | Path, skip_mismatch: bool = False, by_name: bool = False
    ) -> None:
        """Replace all weights by those of a file: safetensors, Keras' HDF5, or a `.keras` archive.

        Args:
            filepath: ends in `.h5` or `.keras`, or is a safetensors file.
            skip_mismatch: leave out what does not fit, with a warning, default False.
            by_name: for older HDF5 files: match layers by name instead of order, default False.

        Raises:
            WeightsError: the file is missing, damaged or of another network; nothing is changed.
        """
        kind = safetensors.kind_of(filepath)
        if by_name and kind != "hdf5":
            raise ArgumentError(
                f"{self.name}: load_weights got by_name=True, which is for older HDF5 files, but "
                f"{filepath} is none."
            )
        if kind == "hdf5":
            safetensors.weights_of(self)
            keras_weights.load_keras_weights(self, filepath, skip_mismatch, by_name)
        elif kind == "keras":
            safetensors.weights_of(self)
            keras_archive.load_archived_weights(self, filepath, skip_mismatch)
        else:
            arrays, _ = safetensors.read_arrays(filepath)
            weights = safetensors.weights_of(self)
            keras_weights.assign_fitting(str(filepath), weights, arrays, skip_mismatch)
