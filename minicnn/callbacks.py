"""Callbacks: objects that `fit` tells of every epoch and batch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minicnn.errors import ArgumentError, check_choice

__all__ = [
    "BackupAndRestore",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "ModelCheckpoint",
    "TerminateOnNaN",
]

Logs = dict[str, float]


class Callback:
    """The base of all callbacks: every method may be left as it is, doing nothing."""

    model: Any = None

    def set_model(self, model: Any) -> None:
        """Remember the model that is trained."""
        self.model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Be told that training begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Be told that training has ended, whether finished, stopped or interrupted."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Be told that an epoch begins."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Be told that an epoch has ended, with its losses and metrics."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that a batch begins."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that a batch has ended, with the running losses and metrics."""


class CallbackList:
    """Tells a list of callbacks of what happens."""

    def __init__(self, callbacks: Iterable[Callback], model: Any) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            callback.set_model(model)

    def train_begin(self) -> None:
        """Training begins."""
        for callback in self.callbacks:
            callback.on_train_begin({})

    def train_end(self) -> None:
        """Training has ended."""
        for callback in self.callbacks:
            callback.on_train_end({})

    def epoch_begin(self, epoch: int) -> None:
        """An epoch begins."""
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, {})

    def epoch_end(self, epoch: int, logs: Logs) -> None:
        """An epoch has ended; the history hears of it first, so that others can save it."""
        for callback in sorted(self.callbacks, key=lambda c: not isinstance(c, History)):
            callback.on_epoch_end(epoch, logs)

    def batch_begin(self, batch: int) -> None:
        """A batch begins."""
        for callback in self.callbacks:
            callback.on_train_batch_begin(batch, {})

    def batch_end(self, batch: int, logs: Logs) -> None:
        """A batch has ended."""
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)


class History(Callback):
    """Losses and metrics of every epoch: `.epoch` numbers them, `.history` lists each figure."""

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the figures of an epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class TerminateOnNaN(Callback):
    """Stops training when the loss is no number any more."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self.model.stop_training = True


class _Monitor(Callback):
    """Watches one figure and knows whether it became better."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        self.monitor = monitor
        self.mode = check_choice(type(self).__name__, "mode", mode, ["auto", "min", "max"])
        self.min_delta = abs(min_delta)
        self.best: float | None = None

    def value(self, logs: Logs) -> float:
        """Return the watched figure.

        Raises:
            ArgumentError: training does not give it.
        """
        if self.monitor not in logs:
            raise ArgumentError(
                f"{type(self).__name__}: monitor={self.monitor!r} is not among the figures of "
                f"this training: {', '.join(logs)}."
            )
        return logs[self.monitor]

    def improves(self, value: float) -> bool:
        """Return whether `value` is better than the best so far."""
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        larger = self.mode == "max" or (self.mode == "auto" and "acc" in self.monitor)
        gain = value - self.best if larger else self.best - value
        return gain > self.min_delta


class EarlyStopping(_Monitor):
    """Stops training when a figure no longer becomes better.

    Args:
        monitor: the figure, default `"val_loss"`.
        min_delta: smallest change that counts, default 0.
        patience: epochs without a change for the better that are borne, default 0.
        mode: `"min"`, `"max"`, or `"auto"` (larger is better for accuracies only).
        restore_best_weights: give the model the weights of its best epoch, however training
            ended: stopped, finished or interrupted. Default False, as in Keras.
        start_from_epoch: epochs before the first look, default 0.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.start_from_epoch = patience, start_from_epoch
        self.restore_best_weights = restore_best_weights

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier training."""
        self.best, self.wait, self.stopped_epoch, self.best_epoch = None, 0, 0, 0
        self.best_weights: list[Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the figure."""
        value = self.value(logs or {})
        if epoch < self.start_from_epoch:
            return
        if self.improves(value):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Give back the best weights."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Monitor):
    """Saves the weights after every epoch, or after those that are better than all before.

    Args:
        filepath: a file name, which may hold figures, as `"weights-{epoch:02d}-{val_loss:.3f}"`.
        monitor: the figure that decides, default `"val_loss"`.
        save_best_only: save only better epochs, default False.
        mode: `"min"`, `"max"` or `"auto"` (larger is better for accuracies only).
    """

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath, self.save_best_only = str(filepath), save_best_only

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, unless the loss is no number."""
        logs = logs or {}
        if not math.isfinite(logs.get("loss", 0.0)):
            return
        if self.save_best_only:
            value = self.value(logs)
            if not self.improves(value):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=epoch + 1, **logs)
        except KeyError as error:
            raise ArgumentError(
                f"ModelCheckpoint: filepath={self.filepath!r} asks for {error}, but this training "
                f"gives: epoch, {', '.join(logs)}."
            ) from None
        self.model.save_weights(path)


class BackupAndRestore(Callback):
    """Saves everything after each epoch, and continues from there if the file exists.

    Weights, optimizer, history and random numbers are kept, so an interrupted training that is
    started again ends with the same weights, bit for bit, as one without interruption.

    Args:
        path: a safetensors file.
        restore: continue from the file if it exists, default True.

    Raises:
        WeightsError: the file is damaged or of another network.
    """

    def __init__(self, path: str | Path, restore: bool = True) -> None:
        self.path, self.restore = Path(path), restore
        self.epochs_done = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Continue from the file if there is one."""
        self.epochs_done = 0
        if self.restore and self.path.exists():
            self.epochs_done = self.model.restore_training(self.path)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save everything, unless the loss is no number: a broken training is not worth keeping."""
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            return
        self.model.save_training(self.path, epoch + 1)
        self.epochs_done = epoch + 1
