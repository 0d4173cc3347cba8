"""Callbacks that change how training goes on: its rate, its weights, and whether it does."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

import numpy as np

from minicnn.callbacks.base import Callback, Logs
from minicnn.errors import ArgumentError

__all__ = ["LearningRateScheduler", "SwapEMAWeights", "TerminateOnNaN"]


class TerminateOnNaN(Callback):
    """Stops training when the loss is no number any more.

    Args:
        raise_error: raise an error instead, default False.

    Raises:
        RuntimeError: as said, with the batch.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            if self.raise_error:
                raise RuntimeError(f"TerminateOnNaN: the loss of batch {batch} is {loss}.")
            print(f"Batch {batch}: the loss is {loss}; training stops.")
            self.model.stop_training = True


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of every epoch.

    The rate is entered among the epoch's figures as `"learning_rate"`.

    Args:
        schedule: function (epoch, rate) -> rate, or (epoch) -> rate; epochs count from 0.
        verbose: 1 says the rate, default 0.

    Raises:
        ArgumentError: the schedule gives no float.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        try:
            inspect.signature(self.schedule).bind(epoch, 0.0)
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        except TypeError:
            rate = self.schedule(epoch)
        if not isinstance(rate, float | np.floating):
            raise ArgumentError(
                f"LearningRateScheduler: schedule gave {rate!r} for epoch {epoch}, but must give a "
                f"float."
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler: the learning rate is {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Enter the rate among the figures."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the running averages that an optimizer with `use_ema` keeps.

    Args:
        swap_on_epoch: exchange weights and averages at each epoch's end, so that checkpoints save
            the averages, and back when the next begins; default False.

    Raises:
        ArgumentError: the optimizer keeps no averages.
    """

    kept = ("_swapped",)

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _swap(self, to: bool) -> None:
        if self._swapped == to:
            return
        optimizer = self.model.optimizer
        if not optimizer.use_ema:
            raise ArgumentError(f"SwapEMAWeights: {optimizer.name} must be made with use_ema=True.")
        for variable in self.model.trainable_variables:
            average = optimizer.slots_of(variable)["average"]
            weights = variable.data.copy()
            variable.assign(average)
            average[...] = weights
        self._swapped = to

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Take the weights back."""
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the averages in, and leave them there after the last epoch."""
        if self.swap_on_epoch:
            self._swap(True)
            if epoch == self.params["epochs"] - 1:
                for variable in self.model.trainable_variables:
                    self.model.optimizer.slots_of(variable)["average"][...] = variable.data
                self._swapped = False

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Put the averages in."""
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Take the weights back."""
        self._swap(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Put the averages in."""
        self._swap(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Take the weights back."""
        self._swap(False)
