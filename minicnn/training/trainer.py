"""Fitting, evaluating and predicting: what every model can do with data."""

from __future__ import annotations

import functools
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import optimizers
from minicnn.autograd import Tensor, no_recording
from minicnn.callbacks import CallbackList, History
from minicnn.errors import ArgumentError, check_whole, warn_user
from minicnn.layers.base import Layer
from minicnn.layers.graph import Graph
from minicnn.layers.weights import unique
from minicnn.metrics import Mean, Metric
from minicnn.nested import flatten, pack
from minicnn.registry import free_name
from minicnn.runtime.devices import gpu_in_sight
from minicnn.runtime.threads import one_blas_thread
from minicnn.saving import checkpoints
from minicnn.saving.objects import deserialize_keras_object
from minicnn.training.advice import warn_of_loss, warn_of_pixels
from minicnn.training.batches import (
    as_batches,
    check_given,
    class_weights,
    is_iterable_of_batches,
    length,
    limited,
    not_finite,
    split_off,
    to_arrays,
    to_weights,
    unpack,
    validation_batches,
)  # fmt: skip
from minicnn.training.compiling import (
    CompileLoss,
    CompileMetrics,
    OutputNames,
    in_order,
    kept_figures,
    known_arguments,
    speaks_of_several,
)  # fmt: skip
from minicnn.training.course import Course, Passes
from minicnn.training.cuda_graphs import Replays
from minicnn.training.device_errors import device_error, reports_device_errors
from minicnn.training.progress import Progress
from minicnn.training.step import ahead, check_loss, compute, flat_logs, predicted, stepped

__all__ = ["Trainer"]


class Trainer(Layer):
    """A layer that learns from data; the training side of a model."""

    #: The drawn network; None for a subclass with a `call` of its own.
    graph: Graph | None = None
    optimizer: Any = None
    stop_training = False
    history: History
    #: Where the `fit` that runs stands, and what it is to continue from; None at other times.
    course: Course | None = None
    resumed: dict[str, Any] | None = None
    _compile_loss: CompileLoss
    _compile_metrics: CompileMetrics
    _replays: Replays | None = None
    #: The running figures beside those of `compile`, since a built model began all anew.
    _figures: list[Metric] | None = None
    #: Which samples of `fit` or `evaluate` hold NaN or infinity, in words; None if none does.
    _not_finite: str | None = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how the model learns.

        Args:
            optimizer: name or optimizer, default `"rmsprop"`.
            loss: name, loss or function (y_true, y_pred) -> losses; for several outputs a list,
                or a dictionary by the output's name.
            loss_weights: factors of the losses of several outputs, likewise; default 1.
            metrics: list of names, metrics or functions; for several outputs a list of lists, or
                a dictionary by the output's name.
            weighted_metrics: likewise; these count samples by their weight, as the loss does.
            run_eagerly: True keeps steps from being recorded by `jit_compile`; else it makes no
                difference here, where everything is run step by step.
            steps_per_execution: makes no difference here: callbacks are told of every batch.
            jit_compile: True records training steps on the GPU for shapes that come twice in a row
                and replays them, with the same bits, or warns why they cannot be recorded. As in
                tf.function, Python's values are fixed when recording, which a change of `trainable`
                and `compile` do anew. Default `"auto"`, which does not record.
            auto_scale_loss: makes no difference here: there are no half-precision floats.
        """
        self.run_eagerly, self.steps_per_execution = run_eagerly, steps_per_execution
        self.jit_compile, self.auto_scale_loss = jit_compile, auto_scale_loss
        self._compile_arguments = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        reason = "run_eagerly=True" if run_eagerly else None
        self._replays = Replays(self.name, reason) if jit_compile is True else None
        self.optimizer = optimizers.get(optimizer)
        self._loss_mean = Mean("loss")
        unknown = self.graph is None and speaks_of_several(loss, loss_weights, metrics)
        self._choose(OutputNames(self.name, []) if unknown else OutputNames.of(self))

    def _choose(self, outputs: OutputNames) -> None:
        """Make the losses and metrics of `compile` for these outputs."""
        given: dict[str, Any] = self._compile_arguments if outputs.names else {}
        loss, more = given.get("loss"), given.get("weighted_metrics")
        self._compile_loss = CompileLoss(outputs, loss, given.get("loss_weights"))
        self._compile_metrics = CompileMetrics(outputs, given.get("metrics"), more)
        self._figures = None

    def _outputs_of(self, y_pred: Any) -> None:
        """Find losses and metrics again for what a subclass gives, which is known only now."""
        if self.graph is None:
            outputs = OutputNames.of(self, y_pred)
            if outputs.names != self._compile_loss.outputs.names:
                self._choose(outputs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what a copy or a pickle holds; one of version 0.1.0 kept the lists themselves."""
        vars(self).update(state)
        if "_resolved_names" in state:
            self._choose(OutputNames.of(self))
            loss, metrics = self._compile_loss, self._compile_metrics
            kept = "losses", "loss_weights", "output_losses", "metrics", "weighted_metrics"
            lists = [vars(self).pop(f"_{name}") for name in kept]
            loss.losses, loss.weights, loss.figures, metrics.plain, metrics.weighted = lists

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments that `compile` was given, with the optimizer as it is now."""
        return {**self._compile_arguments, "optimizer": self.optimizer}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile the model as `get_compile_config` says.

        Raises:
            ArgumentError: it asks for something that `compile` does not take.
        """
        arguments = deserialize_keras_object(config)
        self.compile(**known_arguments(self, arguments))

    def _check_compiled(self, where: str) -> None:
        if self.optimizer is None:
            raise ArgumentError(f"{self.name}: call compile(optimizer, loss) before {where}.")

    def _check_one_place(self) -> None:
        """Refuse weights of which some are on the GPU and some are not."""
        _ = gpu_in_sight() and self.device  # which looks at all

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the outputs' losses, each times its weight, plus the penalties of the layers."""
        penalties = self.losses
        if self._compile_arguments["loss"] is not None:
            self._outputs_of(y_pred)
            penalties = [self._compile_loss(y, y_pred, sample_weight), *penalties]
        if not penalties:
            raise ArgumentError(
                f"{self.name}: training needs a loss; give one to compile, or let a layer add one "
                f"by add_loss."
            )
        total = penalties[0]
        for part in penalties[1:]:
            total = total + part
        return total

    def compiled_loss(
        self, y: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None
    ) -> Tensor:
        """Return the loss of `compile`, and the sum of further ones; Keras 2's name."""
        self._outputs_of(y_pred)
        total: Tensor = self._compile_loss(y, y_pred, sample_weight)
        for loss in regularization_losses or []:
            total = total + loss
        return total

    def train_step(self, data: Any) -> dict[str, Any]:
        """Do one step of training and return the loss and metrics so far in this epoch.

        Args:
            data: x, (x, y) or (x, y, sample_weight) of one batch.
        """
        x, y, sample_weight = unpack(data)
        batch, computing = (x, y, sample_weight), functools.partial(compute, self)
        replays = self._replays
        computed = computing(*batch) if replays is None else replays(self, computing, batch)
        loss, y_pred, pairs, parts = computed
        if self._not_finite is not None:
            check_loss(self, loss)  # before a weight becomes NaN
        if pairs:
            self.optimizer.apply_gradients(pairs)
        self._compile_loss.count(parts)
        self._update_metrics(x, loss, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Return the loss and metrics so far without learning; `data` as in `train_step`."""
        x, y, sample_weight = unpack(data)
        with no_recording():
            y_pred = self(x, training=False)
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        self._update_metrics(x, loss, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def predict_step(self, data: Any) -> Any:
        """Return the model's results for one batch; `data` as in `train_step`."""
        return self(unpack(data)[0], training=False)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Add a batch to the metrics of `compile` and return all figures so far."""
        self._outputs_of(y_pred)
        self._compile_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _update_metrics(
        self, x: Any, loss: Tensor, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Add a batch to the loss and the metrics."""
        self._loss_mean.add(float(loss.data), len(flatten(x)[0]))
        if self._compile_metrics.metrics:
            self._outputs_of(y_pred)
            self._compile_metrics.update_state(y, y_pred, sample_weight)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return all running figures by name, in the order of the names, as Keras does."""
        logs = self._compile_metrics.result({"loss": self._loss_mean.result()})
        logs |= {m.name: m.result() for m in self._compile_loss.metrics}
        for metric in kept_figures(self) if self._figures is None else self._figures:
            logs[free_name(metric.name, logs)] = metric.result()
        return dict(sorted(logs.items()))

    def _compiled_metrics(self) -> list[Metric]:
        """Return the figures that `compile` made."""
        if self.optimizer is None:
            return []
        return [self._loss_mean, *self._compile_metrics.metrics, *self._compile_loss.metrics]

    def running_figures(self) -> list[Metric]:
        """Return the figures of `metrics` also where a subclass has a `metrics` of its own."""
        return [*unique(self._compiled_metrics()), *kept_figures(self)]

    @property
    def metrics(self) -> list[Metric]:
        """The running figures: the loss, those of `compile`, and those kept as attributes."""
        return self.running_figures()

    @property
    def metrics_names(self) -> list[str]:
        """The names of the running figures."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Begin all running figures anew."""
        for metric in self.metrics:
            metric.reset_state()
        self._figures = kept_figures(self) if self.built else None

    @reports_device_errors
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Do one step of training on one batch; return the loss, and metrics if there are any."""
        self._check_compiled("train_on_batch")
        if class_weight is not None:
            sample_weight = class_weights(class_weight, y, sample_weight)
        logs = self._on_batch(self.train_step, x, y, sample_weight)
        warn_of_loss(self, logs.get("loss", 0.0))
        return logs if return_dict else in_order(logs, self._compiled_metrics())

    @reports_device_errors
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return the loss of one batch without learning, and metrics if there are any."""
        self._check_compiled("test_on_batch")
        logs = self._on_batch(self.test_step, x, y, sample_weight)
        return logs if return_dict else in_order(logs, self._compiled_metrics())

    @one_blas_thread()
    def _on_batch(self, step: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, float]:
        self.reset_metrics()
        check_given(self, x)
        x, y = to_arrays(x), None if y is None else to_arrays(y)
        sample_weight = to_weights(sample_weight, y)
        return stepped(self, step, x, y, sample_weight)

    @reports_device_errors
    @one_blas_thread()
    def predict_on_batch(self, x: Any) -> Any:
        """Return the model's results for one batch as arrays in the computer's memory."""
        return predicted(self, x)

    def save_training(self, path: str | Path, epochs: int) -> None:
        """Write all that is needed to continue this training after so many epochs."""
        checkpoints.save_training(self, path, epochs)

    def restore_training(self, path: str | Path) -> int:
        """Continue a training from a file: `fit` begins after the epochs done, which it returns.

        Raises:
            WeightsError: the file is missing, damaged, of another kind or of another network.
        """
        self._initial_epoch = checkpoints.restore_training(self, path)
        return self._initial_epoch

    @reports_device_errors
    @one_blas_thread()
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Collection[int] = 1,
    ) -> History:
        """Train for a number of epochs and return the history of losses and metrics.

        Each batch is taken to where the weights live; data that are on the GPU are shuffled there.

        Args:
            x: inputs, an array or several in lists or in a dictionary by name, or an iterable that
                gives batches (x, y) anew each time it is iterated over.
            y: truth, with as many samples.
            batch_size: samples in a batch, default 32.
            epochs: number of the last epoch.
            verbose: 0 nothing, 1 a live line, 2 one line for each epoch; by default 1 on a
                terminal and in a notebook and 2 elsewhere.
            callbacks: objects that are told of each epoch and batch.
            validation_split: share of the samples, the last ones, kept for validation.
            validation_data: (x, y) or (x, y, sample_weight) for validation, or batches; x alone for
                a model that brings its own loss.
            shuffle: draw a new order for each epoch, default True.
            class_weight: weight of each class number, for truth that holds such, also in batches;
                validation is not weighted by it. A class that is not named weighs 1.
            sample_weight: weight of each sample; for several outputs also a list, or a dictionary
                by the output's name, with such weights, or None, for each.
            initial_epoch: epochs that were done before, default 0.
            steps_per_epoch: batches in an epoch, which goes on where the last one ended; default
                all. Where the data end first, so does the epoch, with a warning, and the next one
                begins anew.
            validation_steps: batches in a validation, default all.
            validation_batch_size: default `batch_size`.
            validation_freq: epochs from one validation to the next, default 1; or the numbers of
                the epochs that are followed by one, from 1.

        Raises:
            ArgumentError: the model is not compiled, or an argument is outside its rule.
            DataError: there are no samples, or some hold NaN or infinity and the loss of a batch
                becomes such, too; the weights stay as they were before it.
            DeviceError: some weights are on the GPU and some are not.
            DeviceMemoryError: the card has no room; smaller batches may follow.
            DeviceLostError: the card stopped answering; the message names the files that hold
                what was learned before.
        """
        self._check_compiled("fit")
        self._check_one_place()
        check_given(self, x)
        for argument, count in (("epochs", epochs), ("initial_epoch", initial_epoch)):
            check_whole("fit", argument, count, 0)
        if validation_split and validation_data is None:
            if is_iterable_of_batches(x):
                raise ArgumentError("fit: validation_split needs arrays; give validation_data.")
            data = split_off(validation_split, x, y, sample_weight)
            (x, y, sample_weight), validation_data = data
        batches = as_batches(x, y, sample_weight, batch_size, shuffle, "fit", class_weight)
        doubt = getattr(batches, "not_finite", None)
        batches = limited("fit: steps_per_epoch", Passes(batches), steps_per_epoch, True)
        size = validation_batch_size or batch_size
        validation = validation_batches(validation_data, size, validation_steps)
        if (found := getattr(validation, "not_finite", None)) is not None:
            self._look_at(validation, found)
        progress = Progress(verbose, epochs)
        self.stop_training = False
        self.history = History()
        params = {"verbose": verbose, "epochs": epochs, "steps": length(batches)}
        tell = CallbackList(callbacks, self, **params)
        tell.callbacks.append(self.history)
        self.history.set_model(self)
        self.history.set_params(params)
        self._initial_epoch, self.resumed = initial_epoch, None
        logs: dict[str, Any] = {}
        told_of_loss = False
        tell.tell("train_begin", {})
        self.course = Course(self, tell.callbacks, batches, validation)
        last = epochs if self.course.resume(self.resumed) else 0
        try:
            for epoch in range(self._initial_epoch, last):
                tell.tell("epoch_begin", epoch, {})
                self.reset_metrics()
                done = self.course.begin_epoch()
                progress.start(epoch, length(batches))
                logs = flat_logs(self.name, self.get_metrics_result()) if done else logs
                for number, (xs, ys, weights) in enumerate(ahead(self, batches), done):
                    self._not_finite = doubt and f"fit: {doubt}"
                    if epoch == self._initial_epoch and number == done:
                        warn_of_pixels(self, xs)
                    tell.tell("train_batch_begin", number, {})
                    logs = stepped(self, self.train_step, xs, ys, weights)
                    self.course.step = number + 1
                    progress.step(logs)
                    tell.tell("train_batch_end", number, logs)
                    if self.stop_training:
                        break
                    told_of_loss = told_of_loss or warn_of_loss(self, logs.get("loss", 0.0))
                self.course.end_epoch()
                self._not_finite = None
                if validation is not None and _is_among(epoch + 1, validation_freq):
                    logs |= self._measure(validation, tell, "val_")
                logs = dict(sorted(logs.items()))
                progress.end(logs)
                tell.epoch_end(epoch, dict(logs))
                if self.stop_training:
                    break
            if epochs > 0:
                self.optimizer.finalize_variable_values(self.trainable_variables)
        except BaseException as error:
            xs = ys = weights = None  # the batch may fill a card that is to be used again
            progress.close()
            raised = device_error(self, "fit", error, tell.saved())
            tell.end_after(raised, logs)
            if raised is error:
                raise
            raise raised from None
        finally:
            self.course = self.resumed = self._not_finite = None
        progress.close()
        tell.tell("train_end", logs)
        return self.history

    def _look_at(self, validation: Any, not_finite: str) -> None:
        """Refuse, before the training, samples for validation whose loss is no number."""
        self._not_finite = f"fit (validation_data): {not_finite}"
        try:
            self._measure(validation, CallbackList(None, self))
        finally:
            self._not_finite = None

    def _measure(
        self, batches: Any, tell: CallbackList, prefix: str = "", progress: Progress | None = None
    ) -> dict[str, Any]:
        self.reset_metrics()
        logs: dict[str, Any] = {}
        tell.tell("test_begin", {})
        for number, (x, y, weights) in enumerate(ahead(self, batches)):
            tell.tell("test_batch_begin", number, {})
            logs = stepped(self, self.test_step, x, y, weights)
            check_loss(self, logs.get("loss", 0.0))
            if progress is not None:
                progress.step(logs)
            tell.tell("test_batch_end", number, logs)
        tell.tell("test_end", logs)
        return {f"{prefix}{name}": value for name, value in logs.items()}

    @reports_device_errors
    @one_blas_thread()
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss, or [loss, metrics...], over all samples.

        Args:
            x: inputs, or an iterable of batches (x, y).
            y: truth.
            batch_size: samples in a batch, default 32.
            verbose: as in `fit`.
            sample_weight: as in `fit`.
            steps: batches, default all.
            callbacks: objects that are told of each batch.
            return_dict: return {name: value} instead.
        """
        self._check_compiled("evaluate")
        self._check_one_place()
        check_given(self, x)
        batches: Any = as_batches(x, y, sample_weight, batch_size, False, "evaluate")
        if (found := getattr(batches, "not_finite", None)) is not None:
            self._not_finite = f"evaluate: {found}"
        batches = limited("evaluate: steps", batches, steps)
        tell = CallbackList(callbacks, self, verbose=verbose, epochs=1, steps=length(batches))
        progress = Progress(verbose)
        progress.start(0, length(batches))
        try:
            logs = self._measure(batches, tell, progress=progress)
            progress.end(logs)
        finally:
            progress.close()
            self._not_finite = None
        return logs if return_dict else in_order(logs, self._compiled_metrics())

    @reports_device_errors
    @one_blas_thread()
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the model's results for all samples as arrays.

        Args:
            x: inputs as in `fit`, or an iterable of batches.
            batch_size: samples in a batch, default 32.
            verbose: as in `fit`.
            steps: batches, default all.
            callbacks: objects that are told of each batch.

        Raises:
            DataError: there are no samples.
        """
        check_given(self, x)
        self._check_one_place()
        batches: Any = as_batches(x, None, None, batch_size, False, "predict")
        found = getattr(batches, "not_finite", None)
        batches = limited("predict: steps", batches, steps)
        tell = CallbackList(callbacks, self, verbose=verbose, epochs=1, steps=length(batches))
        progress = Progress(verbose)
        progress.start(0, length(batches))
        results = []
        tell.tell("predict_begin", {})
        try:
            for number, (xs, _, _) in enumerate(ahead(self, batches)):
                tell.tell("predict_batch_begin", number, {})
                results.append(predicted(self, xs))
                progress.step({})
                tell.tell("predict_batch_end", number, {"outputs": results[-1]})
            progress.end({})
        finally:
            progress.close()
        tell.tell("predict_end", {})
        parts = zip(*map(flatten, results), strict=True)
        joined = pack(results[0], map(np.concatenate, parts))
        if found is not None and not_finite("", joined):
            warn_user(
                f"predict: {found}, and so do the results; leave these out or replace the values."
            )
        return joined


def _is_among(epoch: int, validation_freq: int | Collection[int]) -> bool:
    """Return whether a validation follows this epoch; the first is 1."""
    if isinstance(validation_freq, Collection):
        return epoch in validation_freq
    return epoch % validation_freq == 0
