"""A word to who waits while kernels are being compiled."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from minicnn.workers import started

__all__ = ["while_compiling"]

#: Seconds of work after which it is plain that nothing was found on disk. Work, not waiting: where
#: other programs take the cores, reading from disk may take long too.
PATIENCE = 1.0

TEXT = (
    "minicnn: compiling kernels for this processor; this takes some seconds, once, and is kept on "
    "disk."
)


@contextmanager
def while_compiling() -> Iterator[None]:
    """Say on the standard error stream that kernels are compiled, if the block works for long."""
    done, began = threading.Event(), time.process_time()

    def watch() -> None:
        while not done.wait(PATIENCE / 10):
            if time.process_time() - began >= PATIENCE:
                print(TEXT, file=sys.stderr, flush=True)
                return

    started(watch, "minicnn-notice")
    try:
        yield
    finally:
        done.set()
