"""Trainings that end because the card has no room, or is gone: one sentence, and all memory free.

An error keeps the arrays of the functions that it went through alive; here they are let go, so that
a smaller batch can follow.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from minicnn.errors import DeviceLostError, DeviceMemoryError
from minicnn.kernels import backend_module, backends
from minicnn.layers.weights import forget_losses

__all__ = ["device_error", "reports_device_errors"]

P = ParamSpec("P")
R = TypeVar("R")


def _marked(error: BaseException) -> BaseException:
    """Return an error, marked as one that says all."""
    vars(error)["told"] = True
    return error


def device_error(model: Any, where: str, error: BaseException, saved: str = "") -> BaseException:
    """Return the error in words if the card has no room or is lost, and the error itself otherwise.

    Args:
        model: the model that was at work; what it keeps of the failed step is let go.
        where: the method's name.
        error: what came.
        saved: what is to be said of files if the card is lost.
    """
    if "cupy" not in sys.modules or not isinstance(error, MemoryError | RuntimeError):
        return error
    if "told" in vars(error) or not backends()["cupy"].usable:
        # What a callback's `evaluate` told, for one, is not told again; but files are known here.
        lost = isinstance(error, DeviceLostError) and saved
        return _marked(DeviceLostError(f"{error}{saved}")) if lost else error
    start = f"{model.name}: {where}: "
    card = backend_module("cupy")
    sentence = card.no_room(error)
    if sentence is None and not card.is_lost(error):
        return error
    # The functions that the error went through hold the arrays of the step.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    if sentence is None:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        said = f"the GPU does not answer any more ({reason}); this process cannot use it again."
        return _marked(DeviceLostError(f"{start}{said}{saved}"))
    forget_losses(model)
    gc.collect()
    card.give_back_memory()
    by_batches = where in ("fit", "evaluate", "predict")
    smaller = " A smaller batch_size does so." if by_batches else ""
    return _marked(DeviceMemoryError(f"{start}{sentence}{smaller}"))


def reports_device_errors(method: Callable[P, R]) -> Callable[P, R]:
    """Let a model's method tell in one sentence that the card has no room, or is lost."""

    @functools.wraps(method)
    def watched(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (MemoryError, RuntimeError) as error:
            raised = device_error(args[0], method.__name__, error)
            if raised is error:
                raise
            raise raised from None

    return watched
