"""One batch: what a step computes, where, and what it says."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn import config
from minicnn.autograd import GradientTape, no_recording
from minicnn.autograd.tensor import as_numpy
from minicnn.errors import ArgumentError, DataError
from minicnn.kernels import backend_module
from minicnn.nested import mapped
from minicnn.runtime.devices import gpu_in_sight
from minicnn.training.batches import moved
from minicnn.training.cuda_graphs import Computed

__all__ = ["ahead", "check_loss", "compute", "flat_logs", "predicted", "stepped"]


def flat_logs(where: str, logs: Any) -> dict[str, Any]:
    """Return what a step gave as numbers by name; dictionaries inside are taken apart.

    Raises:
        ArgumentError: it is no dictionary.
    """
    if not isinstance(logs, dict):
        raise ArgumentError(
            f"{where}: the step returned a {type(logs).__name__}, but must return a dictionary of "
            f"figures by name, as {{'loss': loss}}."
        )
    flat: dict[str, Any] = {}
    for key, value in logs.items():
        if isinstance(value, dict):
            flat |= flat_logs(where, value)
        else:
            array = as_numpy(value)
            flat[key] = array if array.ndim else float(array)
    return flat


def compute(model: Any, x: Any, y: Any, sample_weight: Any) -> Computed:
    """Return the loss, the results, the gradients with their variables, the outputs' losses."""
    model._compile_loss.count(model._compile_loss.taken())
    with GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, sample_weight)
        scaled = model.optimizer.scale_loss(loss)
    variables = model.trainable_variables
    gradients = tape.gradient(scaled, variables) if variables else []
    pairs = list(zip(gradients, variables, strict=True))
    return loss, y_pred, pairs, model._compile_loss.taken()


def check_loss(model: Any, loss: Any) -> None:
    """Refuse a loss that is no number if some samples are not, and name these."""
    if model._not_finite is not None and not np.isfinite(as_numpy(loss)).all():
        raise DataError(
            f"{model._not_finite}, and the loss became {float(as_numpy(loss))}; leave these out "
            f"or replace the values, or use a loss that masks them."
        )


def stepped(model: Any, step: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    """Return what a step gives for a batch; a user's step gets no parts that are None."""
    parts = x if y is None else (x, y)
    data = parts if sample_weight is None else (x, y, sample_weight)
    with np.errstate(over="ignore", invalid="ignore"):  # one sentence says it better
        logs = flat_logs(model.name, step(_beside_weights(model, data)))
    if model._replays is not None and step == model.train_step:
        model._replays.after_step(model.home)
    return logs


def predicted(model: Any, x: Any) -> Any:
    """Return a model's results for one batch as arrays in the computer's memory."""
    with no_recording():
        results = model.predict_step((_beside_weights(model, x),))
    return mapped(as_numpy, list(results) if isinstance(results, tuple) else results)


def _device(model: Any) -> str:
    """Return where the weights live; without weights, where new ones would be put."""
    home = model.home if gpu_in_sight() else None
    return config.device() if home is None else home.device


def _beside_weights(model: Any, batch: Any) -> Any:
    """Return a batch where the weights live."""
    return moved(batch, _device(model)) if gpu_in_sight() else batch


def ahead(model: Any, batches: Iterable[Any]) -> Iterable[Any]:
    """Return batches; on the GPU, each is copied there while the one before is worked with."""
    if _device(model) == "cpu":
        return batches
    return backend_module("cupy").ahead(batches, functools.partial(moved, device="gpu"))
