"""Makes a process as Pyodide does: no Numba, and its own words for a thread that does not start.

`pytest -p tests.browser` runs any test so.
"""

import sys
import threading


def start(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


threading.Thread.start = start  # type: ignore[method-assign]
sys.modules["numba"] = sys.modules["llvmlite"] = None  # type: ignore[assignment]
