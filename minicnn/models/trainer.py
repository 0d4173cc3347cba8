"""Compiling, fitting, evaluating and predicting: what every model can do with data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn import losses as loss_registry
from minicnn import metrics as metric_registry
from minicnn import ops
from minicnn import optimizers as optimizer_registry
from minicnn.autograd import GradientTape, Tensor, no_recording
from minicnn.callbacks import CallbackList, History
from minicnn.errors import ArgumentError
from minicnn.kernels.threads import one_blas_thread
from minicnn.models import backup
from minicnn.models.batches import (
    as_batches,
    is_iterable_of_batches,
    split_off,
    to_arrays,
)
from minicnn.models.graph import as_list
from minicnn.models.progress import Progress
from minicnn.models.saving import free_name

if TYPE_CHECKING:
    from minicnn.autograd import Variable

__all__ = ["Trainer"]

Array = NDArray[Any]


class Trainer:
    """The training side of a model; `Model` inherits it."""

    # What the other side, `Layer`, brings.
    name: str
    trainable_variables: list[Variable]
    losses: list[Tensor]
    stop_training = False
    optimizer: Any = None
    history: History

    if TYPE_CHECKING:

        def __call__(
            self, inputs: Any, *others: Any, training: bool | None = None, **named: Any
        ) -> Any:
            """Return the model's result."""

    def compile(
        self,
        optimizer: Any = "sgd",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
    ) -> None:
        """Choose how the model learns.

        Args:
            optimizer: name or optimizer, default `"sgd"`.
            loss: name, loss or function (y_true, y_pred) -> losses; for several outputs a list,
                or a dictionary by the output's name.
            loss_weights: factors of the losses of several outputs, likewise; default 1.
            metrics: list of names, metrics or functions; for several outputs a list of lists, or
                a dictionary by the output's name.
        """
        self.optimizer = optimizer_registry.get(optimizer)
        self._losses = [loss_registry.get(x) if x is not None else None
                        for x in self._for_outputs("loss", loss)]  # fmt: skip
        weights = self._for_outputs("loss_weights", loss_weights)
        self._loss_weights = [1.0 if w is None else float(w) for w in weights]
        self._metrics = [
            [metric_registry.get(m) for m in as_list(group)] if group else []
            for group in self._for_outputs("metrics", metrics, one_list=True)
        ]
        self._loss_mean = metric_registry.Mean("loss")

    def _output_names(self) -> list[str]:
        return ["output"]

    def _for_outputs(self, argument: str, value: Any, one_list: bool = False) -> list[Any]:
        """Return one entry for each output."""
        names = self._output_names()
        if isinstance(value, dict):
            unknown = [k for k in value if k not in names]
            if unknown:
                raise ArgumentError(
                    f"{self.name}: compile got {argument} for {unknown[0]!r}, but the outputs are "
                    f"{', '.join(map(repr, names))}."
                )
            return [value.get(name) for name in names]
        if len(names) == 1:
            nested = one_list and isinstance(value, list) and value and isinstance(value[0], list)
            single = isinstance(value, list) and len(value) == 1 and (nested or not one_list)
            return [value[0] if single else value]
        if value is None:
            return [None] * len(names)
        if not isinstance(value, list | tuple):
            return [value] * len(names)
        if len(value) != len(names):
            raise ArgumentError(
                f"{self.name}: compile got {len(value)} entries of {argument} for {len(names)} "
                f"outputs."
            )
        return list(value)

    def _check_compiled(self, where: str) -> None:
        if self.optimizer is None:
            raise ArgumentError(f"{self.name}: call compile(optimizer, loss) before {where}.")

    # One batch.

    def compute_loss(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Return the outputs' losses, each times its weight, plus the penalties of the layers."""
        penalties = self.losses
        if all(loss is None for loss in self._losses):
            if not penalties:
                raise ArgumentError(
                    f"{self.name}: training needs a loss; give one to compile, or let a layer add "
                    f"one by add_loss."
                )
            return _total(penalties)
        if y is None:
            raise ArgumentError(f"{self.name}: there is no truth y to compare the results with.")
        truths, predictions = as_list(y), as_list(y_pred)
        if len(truths) != len(predictions):
            raise ArgumentError(
                f"{self.name}: y has {len(truths)} parts, but the model has {len(predictions)} "
                f"outputs."
            )
        total: Any = None
        for loss, weight, t, p in zip(
            self._losses, self._loss_weights, truths, predictions, strict=True
        ):
            if loss is not None:
                part = loss(t, p, sample_weight)
                part = part if weight == 1 else part * weight
                total = part if total is None else total + part
        return _total([total, *penalties]) if penalties else total

    def train_step(self, x: Any, y: Any, sample_weight: Any = None) -> tuple[Tensor, Any]:
        """Do one step of training and return the loss and the predictions before it."""
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y, y_pred, sample_weight)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss, y_pred

    def test_step(self, x: Any, y: Any, sample_weight: Any = None) -> tuple[Tensor, Any]:
        """Return the loss and the predictions without learning."""
        with no_recording():
            y_pred = self(x, training=False)
            return self.compute_loss(y, y_pred, sample_weight), y_pred

    def _update_metrics(self, x: Any, loss: Tensor, y: Any, y_pred: Any) -> None:
        """Add a batch; as in Keras, sample weights count in the loss and not in metrics."""
        self._loss_mean.update_state(loss.data, np.asarray(_length(x), np.float64))
        if y is None:  # all of the loss was added by layers
            return
        for group, t, p in zip(self._metrics, as_list(y), as_list(y_pred), strict=True):
            for metric in group:
                metric.update_state(t, p)

    def _reset_metrics(self) -> None:
        self._loss_mean.reset_state()
        for group in self._metrics:
            for metric in group:
                metric.reset_state()

    def _logs(self, prefix: str = "") -> dict[str, float]:
        logs = {f"{prefix}loss": self._loss_mean.result()}
        for name, group in zip(self._output_names(), self._metrics, strict=True):
            for metric in group:
                label = metric.name if len(self._metrics) == 1 else f"{name}_{metric.name}"
                logs[free_name(prefix + label, logs)] = metric.result()
        return logs

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Do one step of training on one batch; return the loss, and metrics if there are any."""
        self._check_compiled("train_on_batch")
        return self._on_batch(self.train_step, x, y, sample_weight)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Return the loss of one batch without learning, and metrics if there are any."""
        self._check_compiled("test_on_batch")
        return self._on_batch(self.test_step, x, y, sample_weight)

    @one_blas_thread()
    def _on_batch(self, step: Any, x: Any, y: Any, sample_weight: Any) -> Any:
        self._reset_metrics()
        x, y = to_arrays(x), None if y is None else to_arrays(y)
        loss, y_pred = step(x, y, sample_weight)
        self._update_metrics(x, loss, y, y_pred)
        values = list(self._logs().values())
        return values[0] if len(values) == 1 else values

    @one_blas_thread()
    def predict_on_batch(self, x: Any) -> Any:
        """Return the model's results for one batch as arrays."""
        with no_recording():
            results = self(x, training=False)
        return [r.data for r in results] if isinstance(results, list) else results.data

    # Many batches.

    def save_training(self, path: str | Path, epochs: int) -> None:
        """Write all that is needed to continue this training after so many epochs."""
        backup.save_training(self, path, epochs)

    def restore_training(self, path: str | Path) -> int:
        """Continue a training from a file: `fit` begins after the epochs done, which it returns.

        Raises:
            WeightsError: the file is missing, damaged, of another kind or of another network.
        """
        self._initial_epoch = backup.restore_training(self, path)
        return self._initial_epoch

    @one_blas_thread()
    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Sequence[Any] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for a number of epochs and return the history of losses and metrics.

        Args:
            x: inputs, an array or a list of them, or an iterable that gives batches (x, y) anew
                each time it is iterated over.
            y: truth, with as many samples.
            batch_size: samples in a batch, default 32.
            epochs: number of the last epoch.
            verbose: 0 nothing, 1 a live line, 2 one line for each epoch; by default 1 on a
                terminal and 2 elsewhere.
            callbacks: objects that are told of each epoch and batch.
            validation_split: share of the samples, the last ones, kept for validation.
            validation_data: (x, y) or (x, y, sample_weight) for validation.
            shuffle: draw a new order for each epoch, default True.
            class_weight: weight of each class number, for truth that holds such; validation is
                not weighted by it.
            sample_weight: weight of each sample.
            initial_epoch: epochs that were done before, default 0.
            validation_batch_size: default `batch_size`.
            validation_freq: epochs from one validation to the next, default 1.

        Raises:
            ArgumentError: the model is not compiled, or an argument is outside its rule.
            DataError: x or y holds NaN or infinity, or there are no samples.
        """
        self._check_compiled("fit")
        if validation_split and validation_data is None:
            if is_iterable_of_batches(x):
                raise ArgumentError("fit: validation_split needs arrays; give validation_data.")
            (x, y, sample_weight), validation_data = split_off(
                validation_split, x, y, sample_weight
            )
        if class_weight is not None:
            sample_weight = _class_weights(class_weight, y, sample_weight)
        batches = as_batches(x, y, sample_weight, batch_size, shuffle, "fit")
        validation = _validation_batches(validation_data, validation_batch_size or batch_size)
        progress = Progress(verbose, epochs)
        self.stop_training = False
        self.history = History()
        tell = CallbackList([*(callbacks or []), self.history], self)
        self._initial_epoch = initial_epoch
        tell.train_begin()
        try:
            for epoch in range(self._initial_epoch, epochs):
                tell.epoch_begin(epoch)
                self._reset_metrics()
                progress.start(epoch, _steps(batches))
                for number, (xs, ys, weights) in enumerate(batches):
                    tell.batch_begin(number)
                    loss, y_pred = self.train_step(xs, ys, weights)
                    self._update_metrics(xs, loss, ys, y_pred)
                    logs = self._logs()
                    progress.step(logs)
                    tell.batch_end(number, logs)
                    if self.stop_training:
                        break
                logs = self._logs()
                if validation is not None and (epoch + 1) % validation_freq == 0:
                    logs |= self._measure(validation, "val_")
                progress.end(logs)
                tell.epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            progress.close()
            tell.train_end()
        return self.history

    def _measure(
        self, batches: Any, prefix: str = "", progress: Progress | None = None
    ) -> dict[str, float]:
        self._reset_metrics()
        for x, y, weights in batches:
            loss, y_pred = self.test_step(x, y, weights)
            self._update_metrics(x, loss, y, y_pred)
            if progress is not None:
                progress.step(self._logs(prefix))
        return self._logs(prefix)

    @one_blas_thread()
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss, or [loss, metrics...], over all samples.

        Args:
            x: inputs, or an iterable of batches (x, y).
            y: truth.
            batch_size: samples in a batch, default 32.
            verbose: as in `fit`.
            sample_weight: weight of each sample.
            return_dict: return {name: value} instead.
        """
        self._check_compiled("evaluate")
        batches = as_batches(x, y, sample_weight, batch_size, False, "evaluate")
        progress = Progress(verbose)
        progress.start(0, _steps(batches))
        try:
            logs = self._measure(batches, progress=progress)
            progress.end(logs)
        finally:
            progress.close()
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    @one_blas_thread()
    def predict(self, x: Any, batch_size: int | None = None, verbose: Any = "auto") -> Any:
        """Return the model's results for all samples as arrays.

        Args:
            x: inputs, an array or a list of them, or an iterable of batches.
            batch_size: samples in a batch, default 32.
            verbose: as in `fit`.

        Raises:
            DataError: x holds NaN or infinity, or there are no samples.
        """
        batches = as_batches(x, None, None, batch_size, False, "predict")
        progress = Progress(verbose)
        progress.start(0, _steps(batches))
        results = []
        try:
            for xs, _, _ in batches:
                results.append(self.predict_on_batch(xs))
                progress.step({})
            progress.end({})
        finally:
            progress.close()
        if isinstance(results[0], list):
            return [np.concatenate(parts) for parts in zip(*results, strict=True)]
        return np.concatenate(results)


def _validation_batches(data: Any, batch_size: int | None) -> Any:
    """Return the batches of (x, y), (x, y, weights) or an iterable of batches; None of None."""
    if data is None:
        return None
    name = "fit (validation_data)"
    if is_iterable_of_batches(data):
        return as_batches(data, None, None, None, False, name)
    x, y, weights = (*data, None)[:3]
    return as_batches(x, y, weights, batch_size, False, name)


def _total(parts: Sequence[Tensor]) -> Tensor:
    """Return the sum of numbers, some of which may have several elements."""
    total = ops.sum(parts[0])
    for part in parts[1:]:
        total = total + ops.sum(part)
    return total


def _length(x: Any) -> int:
    return len(as_list(x)[0])


def _steps(batches: Any) -> int | None:
    try:
        return len(batches)
    except TypeError:
        return None


def _class_weights(class_weight: dict[int, float], y: Any, sample_weight: Any) -> Array:
    """Return the weight of each sample by its class, times its own weight if it has one."""
    if y is None or isinstance(to_arrays(y), list):
        raise ArgumentError("fit: class_weight needs one array y; weigh batches in the iterable.")
    labels = to_arrays(y)
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else labels.argmax(-1)
    missing = sorted(set(np.unique(labels).tolist()) - set(class_weight))
    if missing:
        raise ArgumentError(f"fit: class_weight has no weight for the class {missing[0]}.")
    weights = np.array([class_weight[int(c)] for c in labels])
    return weights if sample_weight is None else weights * np.asarray(sample_weight)
