"""Threads: all that the package starts are started here.

Where none can be started, as in a browser, whoever asks for one does the work itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["pool", "started"]


def started(work: Callable[[], object], name: str) -> threading.Thread | None:
    """Return a thread that has begun to work, or None where no thread can be started."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


def pool(count: int, name: str) -> ThreadPoolExecutor | None:
    """Return threads that wait for work, or None where no thread can be started."""
    if started(lambda: None, name) is None:
        return None
    # Imported when first needed: slide-sized work needs no threads.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(count, thread_name_prefix=name)
