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
from minicnn.kernels import backend_module

__all__ = ["card_watched", "told"]

P = ParamSpec("P")
R = TypeVar("R")


def told(model: Any, where: str, error: BaseException, saved: str = "") -> BaseException:
    """Return the error in words if the card has no room or is lost, and the error itself otherwise.

    Args:
        model: the model that was at work; what it keeps of the failed step is let go.
        where: the method's name.
        error: what came.
        saved: what is to be said of files if the card is lost.
    """
    if "cupy" not in sys.modules or not isinstance(error, MemoryError | RuntimeError):
        return error
    start = f"{model.name}: {where}: "
    if isinstance(error, DeviceLostError) or str(error).startswith(start):
        return error
    card = backend_module("cupy")
    sentence = card.no_room(error)
    if sentence is None and not card.is_lost(error):
        return error
    # The functions that the error went through hold the arrays of the step.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    if sentence is None:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        return DeviceLostError(
            f"{start}the GPU does not answer any more ({reason}); this process cannot use it again."
            f"{saved}"
        )
    model.forget_losses()
    gc.collect()
    card.give_back_memory()
    by_batches = where in ("fit", "evaluate", "predict")
    return DeviceMemoryError(
        f"{start}{sentence}{' A smaller batch_size does so.' if by_batches else ''}"
    )


def card_watched(method: Callable[P, R]) -> Callable[P, R]:
    """Let a model's method tell in one sentence that the card has no room, or is lost."""

    @functools.wraps(method)
    def watched(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (MemoryError, RuntimeError) as error:
            raised = told(args[0], method.__name__, error)
            if raised is error:
                raise
            raise raised from None

    return watched
