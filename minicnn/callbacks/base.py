"""Objects that `fit`, `evaluate` and `predict` tell of every epoch and batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from minicnn.callbacks.history import history_html, history_text
from minicnn.errors import ArgumentError, Worded

__all__ = ["Callback", "CallbackList", "History", "LambdaCallback", "Logs"]

#: Losses and metrics by name.
Logs = dict[str, Any]


class Callback(Worded):
    """The base of all callbacks: every method may be left as it is, doing nothing.

    `model` is the model, and `params` tells `"epochs"`, `"steps"` and `"verbose"`. A callback ends
    training by `self.model.stop_training = True`. It names in `kept` those of its attributes that a
    training continued by `BackupAndRestore` needs: numbers, texts, arrays, or lists of such.
    """

    model: Any = None
    params: Any = None
    kept: tuple[str, ...] = ()

    def set_model(self, model: Any) -> None:
        """Remember the model."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Remember how `fit`, `evaluate` or `predict` was called."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Be told that training begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Be told that training has ended, whether finished, stopped or interrupted."""

    def on_train_interrupted(self, logs: Logs | None = None) -> None:
        """Be told that an error, or Ctrl-C, ended training; unless overwritten, as its end."""
        self.on_train_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Be told that an epoch begins."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Be told that an epoch has ended, with its losses and metrics."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that a batch of training begins; an older name."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that a batch of training has ended; an older name."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that a batch of training begins."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that a batch of training has ended, with the running losses and metrics."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Be told that `evaluate`, or the validation of an epoch, begins."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Be told that it has ended, with its losses and metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that one of its batches begins."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that one of its batches has ended, with the running losses and metrics."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Be told that `predict` begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Be told that `predict` has ended."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that a batch of `predict` begins."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Be told that a batch of `predict` has ended, with its results as `"outputs"`."""


class CallbackList:
    """Tells a list of callbacks of what happens.

    Args:
        callbacks: one callback, or several.
        model: the model.
        params: how `fit`, `evaluate` or `predict` was called.
    """

    def __init__(
        self, callbacks: Iterable[Callback] | Callback | None, model: Any, **params: Any
    ) -> None:
        given = [] if callbacks is None else callbacks
        one = isinstance(given, Callback | type) or not hasattr(given, "__iter__")
        self.callbacks: list[Any] = [given] if one else list(given)  # type: ignore[arg-type]
        for callback in self.callbacks:
            _check(callback)
            callback.set_model(model)
            set_params = getattr(callback, "set_params", None)
            if set_params is not None:
                set_params(params)

    def tell(self, what: str, *arguments: Any) -> None:
        """Call the method `on_<what>` of each callback."""
        told = self.callbacks
        if what == "train_batch_end" and any(map(_needs_history, told)):
            told = sorted(told, key=_needs_history)  # one saves what the others keep
        for callback in told:
            getattr(callback, f"on_{what}")(*arguments)

    def end_after(self, error: BaseException, logs: Logs) -> None:
        """Tell all that training was ended by an error, which none of theirs replaces.

        What goes wrong in a callback then is noted at that error.
        """
        for callback in self.callbacks:
            try:
                interrupted = getattr(callback, "on_train_interrupted", None)
                (interrupted or callback.on_train_end)(logs)
            except Exception as another:
                error.add_note(f"{type(callback).__name__}.on_train_end failed, too: {another}")

    def saved(self) -> str:
        """Return a sentence about the files that callbacks wrote, for messages."""
        paths = [getattr(callback, "saved", None) for callback in self.callbacks]
        found = ", ".join(str(path) for path in paths if path is not None)
        if found:
            return f" What was saved before is intact: {found}."
        return " Nothing was saved before; the callback BackupAndRestore saves every epoch."

    def epoch_end(self, epoch: int, logs: Logs) -> None:
        """Tell of an epoch's end.

        The history, which comes last, hears of it after those that may add figures, but before one
        that saves it.
        """
        for callback in sorted(self.callbacks, key=_needs_history):
            callback.on_epoch_end(epoch, logs)


def _check(callback: Any) -> None:
    """Refuse what is no callback: above all a class instead of an object of it.

    Raises:
        ArgumentError: as said.
    """
    if isinstance(callback, type):
        name = callback.__name__
        raise ArgumentError(
            f"callbacks holds the class {name}, but needs an object of it: {name}(...), with "
            f"brackets."
        )
    if not hasattr(callback, "set_model"):
        raise ArgumentError(
            f"callbacks holds a {type(callback).__name__}, which is no callback; derive it from "
            f"keras.callbacks.Callback, or put a function into LambdaCallback(on_epoch_end=...)."
        )


def _needs_history(callback: Any) -> bool:
    return getattr(type(callback), "needs_history", False)


class History(Callback):
    """Losses and metrics of every epoch: `.epoch` numbers them, `.history` lists each figure.

    Printed it is a table; a notebook shows the curves, too.
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the figures of an epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        return history_text(self.epoch, self.history)

    def _repr_html_(self) -> str:
        return history_html(self.epoch, self.history)


class LambdaCallback(Callback):
    """A callback out of functions.

    Args:
        on_epoch_begin: function (epoch, logs).
        on_epoch_end: function (epoch, logs).
        on_train_begin: function (logs).
        on_train_end: function (logs).
        on_train_batch_begin: function (batch, logs).
        on_train_batch_end: function (batch, logs).
        kwargs: functions for the other methods of `Callback`, and further attributes.

    >>> losses = []
    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
    >>> callback.on_epoch_end(0, {"loss": 2.0})
    >>> losses
    [2.0]
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        vars(self).update({name: f for name, f in functions.items() if f is not None})
