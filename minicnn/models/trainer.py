"""Fitting, evaluating and predicting: what every model can do with data."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.callbacks import CallbackList, History
from minicnn.errors import ArgumentError, check_whole
from minicnn.models import backup
from minicnn.models.advice import warn_of_loss, warn_of_pixels
from minicnn.models.batches import as_batches, is_iterable_of_batches, not_finite, split_off, unpack
from minicnn.models.compiled import Compiled
from minicnn.models.course import Course, Passes
from minicnn.models.faults import card_watched, told
from minicnn.models.progress import Progress
from minicnn.models.steps import Limited, check_end, flat_logs
from minicnn.models.weighting import WeightedByClass, class_weights
from minicnn.nested import flatten, pack
from minicnn.runtime.threads import one_blas_thread

__all__ = ["Trainer"]


class Trainer(Compiled):
    """The training side of a model; `Model` inherits it."""

    stop_training = False
    history: History
    #: Where the `fit` that runs stands, and what it is to continue from; None at other times.
    course: Course | None = None
    resumed: dict[str, Any] | None = None

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

    @card_watched
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
        self._check_given(x)
        for argument, count in (("epochs", epochs), ("initial_epoch", initial_epoch)):
            check_whole("fit", argument, count, 0)
        if validation_split and validation_data is None:
            if is_iterable_of_batches(x):
                raise ArgumentError("fit: validation_split needs arrays; give validation_data.")
            (x, y, sample_weight), validation_data = split_off(
                validation_split, x, y, sample_weight
            )
        by_batch = class_weight if is_iterable_of_batches(x) else None
        if class_weight is not None and by_batch is None:
            sample_weight = class_weights(class_weight, y, sample_weight)
        batches: Any = as_batches(x, y, sample_weight, batch_size, shuffle, "fit")
        doubt = getattr(batches, "not_finite", None)
        if by_batch is not None:
            batches = WeightedByClass(batches, by_batch)
        batches = Passes(batches)
        if steps_per_epoch is not None:
            batches = Limited(batches, steps_per_epoch, "fit: steps_per_epoch")
        check_end("fit: steps_per_epoch", batches)
        validation = self._validation_batches(validation_data, validation_batch_size or batch_size)
        if validation is not None and validation_steps is not None:
            validation = Limited(validation, validation_steps, "fit: validation_steps", False)
        check_end("fit: validation_steps", validation)
        if (found := getattr(validation, "not_finite", None)) is not None:
            self._look_at(validation, found)
        progress = Progress(verbose, epochs)
        self.stop_training = False
        self.history = History()
        params = {"verbose": verbose, "epochs": epochs, "steps": _steps(batches)}
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
                progress.start(epoch, _steps(batches))
                logs = flat_logs(self.name, self.get_metrics_result()) if done else logs
                for number, (xs, ys, weights) in enumerate(self._ahead(batches), done):
                    self._not_finite = doubt and f"fit: {doubt}"
                    if epoch == self._initial_epoch and number == done:
                        warn_of_pixels(self, xs)
                    tell.tell("train_batch_begin", number, {})
                    logs = self._stepped(self.train_step, xs, ys, weights)
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
            raised = told(self, "fit", error, tell.saved())
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

    def _validation_batches(self, data: Any, batch_size: int | None) -> Any:
        """Return batches of x, (x, y), (x, y, weights) or an iterable of batches; None of None."""
        if data is None:
            return None
        name = "fit (validation_data)"
        if is_iterable_of_batches(data):
            return as_batches(data, None, None, None, False, name)
        parts = tuple(data) if isinstance(data, list | tuple) else (data,)
        x, y, sample_weight = unpack(parts, "fit: validation_data")
        return as_batches(x, y, sample_weight, batch_size, False, name)

    def _measure(
        self, batches: Any, tell: CallbackList, prefix: str = "", progress: Progress | None = None
    ) -> dict[str, Any]:
        self.reset_metrics()
        logs: dict[str, Any] = {}
        tell.tell("test_begin", {})
        for number, (x, y, weights) in enumerate(self._ahead(batches)):
            tell.tell("test_batch_begin", number, {})
            logs = self._stepped(self.test_step, x, y, weights)
            self._check_loss(logs.get("loss", 0.0))
            if progress is not None:
                progress.step(logs)
            tell.tell("test_batch_end", number, logs)
        tell.tell("test_end", logs)
        return {f"{prefix}{name}": value for name, value in logs.items()}

    @card_watched
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
        self._check_given(x)
        batches: Any = as_batches(x, y, sample_weight, batch_size, False, "evaluate")
        if (found := getattr(batches, "not_finite", None)) is not None:
            self._not_finite = f"evaluate: {found}"
        if steps is not None:
            batches = Limited(batches, steps, "evaluate: steps", False)
        check_end("evaluate: steps", batches)
        tell = CallbackList(callbacks, self, verbose=verbose, epochs=1, steps=_steps(batches))
        progress = Progress(verbose)
        progress.start(0, _steps(batches))
        try:
            logs = self._measure(batches, tell, progress=progress)
            progress.end(logs)
        finally:
            progress.close()
            self._not_finite = None
        return logs if return_dict else self._in_order_of_compile(logs)

    @card_watched
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
        self._check_given(x)
        self._check_one_place()
        batches: Any = as_batches(x, None, None, batch_size, False, "predict")
        found = getattr(batches, "not_finite", None)
        if steps is not None:
            batches = Limited(batches, steps, "predict: steps", False)
        check_end("predict: steps", batches)
        tell = CallbackList(callbacks, self, verbose=verbose, epochs=1, steps=_steps(batches))
        progress = Progress(verbose)
        progress.start(0, _steps(batches))
        results = []
        tell.tell("predict_begin", {})
        try:
            for number, (xs, _, _) in enumerate(self._ahead(batches)):
                tell.tell("predict_batch_begin", number, {})
                results.append(self._predicted(xs))
                progress.step({})
                tell.tell("predict_batch_end", number, {"outputs": results[-1]})
            progress.end({})
        finally:
            progress.close()
        tell.tell("predict_end", {})
        parts = zip(*map(flatten, results), strict=True)
        joined = pack(results[0], map(np.concatenate, parts))
        if found is not None and not_finite("", joined):
            warnings.warn(
                f"predict: {found}, and so do the results; leave these out or replace the values.",
                stacklevel=2,
            )
        return joined


def _steps(batches: Any) -> int | None:
    try:
        return len(batches)
    except TypeError:
        return None


def _is_among(epoch: int, validation_freq: int | Collection[int]) -> bool:
    """Return whether a validation follows this epoch; the first is 1."""
    if isinstance(validation_freq, Collection):
        return epoch in validation_freq
    return epoch % validation_freq == 0
