"""Whole models in one file: the drawing, the weights, and how training goes on.

The file is a `.keras` archive as Keras 3 writes it, so that either reads the other's: a zip of
`config.json` (see `graphs`), `model.weights.h5` (see `keras_weights`) and `metadata.json`.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minicnn.autograd.tensor import as_numpy
from minicnn.errors import ArgumentError, MinicnnError, OutputError, WeightsError, worded
from minicnn.files import hdf5, replacing
from minicnn.saving.keras_weights import assign_fitting, keras_paths, read_arrays, write_arrays
from minicnn.saving.objects import deserialize_keras_object, keeping_classes, serialize_keras_object

__all__ = ["clone_model", "load_archived_weights", "load_model", "model_from_json", "save_model"]

#: The version of Keras whose arrangement this is; Keras looks at it when it reads a file.
KERAS_VERSION = "3.15.1"
WEIGHTS = "model.weights.h5"


def model_config(model: Any) -> dict[str, Any]:
    """Return the dictionary of a model: its drawing, and how it was compiled."""
    config: dict[str, Any] = serialize_keras_object(model)
    if getattr(model, "optimizer", None) is not None:
        config["compile_config"] = serialize_keras_object(model.get_compile_config())
    return config


def save_model(model: Any, filepath: str | Path, overwrite: bool = True) -> None:
    """Write a whole model to a `.keras` file, replacing it as a whole.

    Args:
        model: a built model.
        filepath: ends in `.keras`.
        overwrite: replace a file that is there, default True; otherwise it is an error.

    Raises:
        ArgumentError: the name ends otherwise, the model is not built, or something in it cannot
            be stored.
        OutputError: the file cannot be written, or must not be replaced; an old one is left as it
            was.
    """
    if Path(filepath).suffix != ".keras":
        raise ArgumentError(
            f"save: filepath={str(filepath)!r}, but the name of a whole model's file ends in "
            f"'.keras'; save_weights writes weights alone."
        )
    if not overwrite and Path(filepath).exists():
        raise OutputError(f"cannot write {filepath}: it exists, and overwrite=False.")
    if not model.built:
        raise ArgumentError(f"{model.name} is not built yet; build it by calling it first.")
    h5py = hdf5(filepath)
    config = model_config(model)
    state = None if model.optimizer is None else _optimizer_arrays(model)
    with (
        replacing(filepath) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
        tempfile.TemporaryFile() as weights,
    ):
        archive.writestr("metadata.json", json.dumps({"keras_version": KERAS_VERSION}))
        archive.writestr("config.json", json.dumps(config))
        with h5py.File(weights, "w") as file:
            write_arrays(file, model, state)
        weights.seek(0)
        with archive.open(WEIGHTS, "w", force_zip64=True) as member:
            shutil.copyfileobj(weights, member)


def _optimizer_arrays(model: Any) -> list[Any]:
    """Return what the optimizer keeps, in Keras' order."""
    model.optimizer.build(model.trainable_variables)
    return [as_numpy(variable) for variable in model.optimizer.variables]


def _parts(path: str | Path) -> tuple[dict[str, Any], Any, list[Any]]:
    """Return the configuration, the weights by path and the optimizer's arrays of an archive.

    Raises:
        WeightsError: there is no such file, or it is damaged or of another kind.
    """
    if not Path(path).is_file():
        raise WeightsError(f"there is no model file {path}.")
    h5py = hdf5(path)
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
                return config, *read_arrays(file)
    except (zipfile.BadZipFile, OSError, KeyError, ValueError, RuntimeError, EOFError) as error:
        raise WeightsError(
            f"{path} is no .keras file, or it is damaged ({error}); save the model again."
        ) from None


@worded
def load_model(
    filepath: str | Path,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,  # noqa: A002 - Keras' name
) -> Any:
    """Return the model of a `.keras` file, with its weights, and compiled as it was.

    Args:
        filepath: a file that `save` wrote, or Keras.
        custom_objects: classes and functions of your own that the model uses, by name.
        compile: compile the model as it was and put the optimizer's state back, default True.

    Raises:
        WeightsError: the file is missing, damaged or of another kind.
        ArgumentError: the model uses what is not known here.
    """
    config, arrays, state = _parts(filepath)
    try:
        model = deserialize_keras_object(config, custom_objects)
        assign_fitting(str(filepath), keras_paths(model), arrays, skip_mismatch=False)
        if compile and config.get("compile_config"):
            model.compile_from_config(
                deserialize_keras_object(config["compile_config"], custom_objects)
            )
            restore_optimizer(str(filepath), model, state)
    except MinicnnError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise WeightsError(
            f"{filepath}: its configuration cannot be followed ({type(error).__name__}: {error}); "
            f"it is damaged, or a class in it needs other arguments."
        ) from error
    return model


def load_archived_weights(model: Any, path: str | Path, skip_mismatch: bool) -> None:
    """Replace the weights of a model by those of a `.keras` file."""
    assign_fitting(str(path), keras_paths(model), _parts(path)[1], skip_mismatch)


def restore_optimizer(where: str, model: Any, arrays: list[Any]) -> None:
    """Put back what the optimizer kept; nothing is changed unless all of it fits."""
    if len(arrays) <= 2 and not model.trainable_variables:
        return
    model.optimizer.build(model.trainable_variables)
    rate = model.optimizer.get_config()["learning_rate"]
    try:
        model.optimizer.set_weights(arrays)
    except ArgumentError as error:
        raise WeightsError(
            f"{where} holds another optimizer's state ({error}); give load_model compile=False, "
            f"and compile anew."
        ) from None
    if isinstance(rate, float):  # the file holds the rate in half the digits
        model.optimizer.learning_rate = rate


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return a new model of the drawing that `to_json` gave, with weights of its own."""
    try:
        config = json.loads(json_string)
    except ValueError as error:
        raise ArgumentError(f"model_from_json: the text is no JSON ({error}).") from None
    return deserialize_keras_object(config, custom_objects)


def clone_model(model: Any) -> Any:
    """Return a new model of the same drawing, with weights of its own.

    Layers and functions of your own need no registration.

    >>> from minicnn import layers, models
    >>> one = models.Sequential([layers.Dense(2, input_shape=(3,))])
    >>> other = clone_model(one)
    >>> other.count_params(), other.layers[0] is one.layers[0]
    (8, False)
    """
    with keeping_classes() as classes:
        return deserialize_keras_object(serialize_keras_object(model), classes)
