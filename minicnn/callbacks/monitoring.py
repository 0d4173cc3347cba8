"""Callbacks that watch one figure: stopping early, and learning more slowly on a plateau."""

from __future__ import annotations

import math
from typing import Any

from minicnn.callbacks.base import Callback, Logs
from minicnn.errors import ArgumentError, check_choice, check_whole, check_within, warn_user

__all__ = ["EarlyStopping", "Monitor", "ReduceLROnPlateau"]


class Monitor(Callback):
    """Watches one figure and knows whether it became better.

    Args:
        monitor: the figure's name.
        mode: `"min"`, `"max"`, or `"auto"`: losses and errors are better small, and accuracies
            and scores large, as each metric says of itself.
        min_delta: smallest change that counts.
    """

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        self.monitor = monitor
        self.mode = check_choice(type(self).__name__, "mode", mode, ["auto", "min", "max"])
        self.min_delta = abs(min_delta)
        self.best: float | None = None

    def value(self, logs: Logs) -> float | None:
        """Return the watched figure; None, with a warning, if this epoch does not give it."""
        if self.monitor not in logs:
            warn_user(
                f"{type(self).__name__}: monitor={self.monitor!r} is not among the figures of "
                f"this epoch: {', '.join(logs)}."
            )
            return None
        return float(logs[self.monitor])

    def larger_is_better(self) -> bool:
        """Return which way is better.

        Raises:
            ArgumentError: it is not known, and `mode` is "auto".
        """
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        for metric in getattr(self.model, "metrics", []):
            if metric.name == name and metric.direction is not None:
                return metric.direction == "up"
        if name.endswith("loss"):
            return False
        if "acc" in name:
            return True
        raise ArgumentError(
            f"{type(self).__name__}: whether a larger or a smaller {self.monitor!r} is better is "
            f"not known; give mode='max' or mode='min'."
        )

    def improves(self, value: float, best: float | None) -> bool:
        """Return whether `value` is better than `best`; NaN never is."""
        larger = self.larger_is_better()
        if math.isnan(value):
            return False
        if best is None:
            return True
        return value - self.min_delta > best if larger else value + self.min_delta < best


class EarlyStopping(Monitor):
    """Stops training when a figure no longer becomes better.

    Args:
        monitor: the figure, default `"val_loss"`.
        min_delta: smallest change that counts, default 0.
        patience: epochs without a change for the better that are borne, default 0.
        verbose: 1 says when and what, default 0.
        mode: `"min"`, `"max"`, or `"auto"` (as the metric says of itself), default `"auto"`.
        baseline: a figure that must be surpassed within `patience` epochs, default none.
        restore_best_weights: give the model the weights of its best epoch, however training
            ended: stopped, finished or interrupted. Default False, as in Keras.
        start_from_epoch: epochs before the first look, default 0.
    """

    kept = ("best", "wait", "stopped_epoch", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = check_whole("EarlyStopping", "patience", patience, 0)
        self.verbose, self.baseline = verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier training."""
        self.best, self.wait, self.stopped_epoch, self.best_epoch = None, 0, 0, 0
        self.best_weights: list[Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the figure."""
        value = self.value(logs or {})
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.improves(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Give back the best weights."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by a factor when a figure no longer becomes better.

    The rate is entered among the epoch's figures as `"learning_rate"`.

    Args:
        monitor: the figure, default `"val_loss"`.
        factor: below 1, default 0.1.
        patience: epochs without a change for the better that are borne, default 10.
        verbose: 1 says when and how far, default 0.
        mode: `"min"`, `"max"`, or `"auto"` (as the metric says of itself), default `"auto"`.
        min_delta: smallest change that counts, default 0.0001.
        cooldown: epochs after a reduction in which nothing is counted, default 0.
        min_lr: lowest rate, default 0.

    Raises:
        ArgumentError: `factor` is not below 1.
    """

    kept = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 0.0001,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = check_within("ReduceLROnPlateau", "factor", factor, "[0, 1)")
        self.patience = check_whole("ReduceLROnPlateau", "patience", patience, 0)
        self.verbose, self.cooldown, self.min_lr = verbose, cooldown, min_lr
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier training."""
        self.best, self.wait, self.cooldown_counter = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the figure."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        value = self.value(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
        if self.improves(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        rate = float(self.model.optimizer.learning_rate)
        if rate > self.min_lr:
            lower = max(rate * self.factor, self.min_lr)
            self.model.optimizer.learning_rate = lower
            if self.verbose:
                print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau: the learning rate is now {lower}.")
            self.cooldown_counter, self.wait = self.cooldown, 0
