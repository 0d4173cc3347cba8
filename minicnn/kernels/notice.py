"""A word to who waits while kernels are being compiled."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["while_compiling"]

#: Seconds of waiting after which it is plain that nothing was found on disk.
PATIENCE = 1.0

TEXT = (
    "minicnn: compiling kernels for this processor; this takes some seconds, once, and is kept on "
    "disk."
)


@contextmanager
def while_compiling() -> Iterator[None]:
    """Say on the standard error stream that kernels are compiled, if the block takes long."""
    timer = threading.Timer(PATIENCE, lambda: print(TEXT, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
