"""Programs that run in a process whose memory is watched by g++'s address sanitizer."""

import subprocess
import sys

import pytest

from tests.cuda.simulator import cpu_module
from tests.helpers import ROOT


def sanitized(code, *arguments, timeout=300):
    """Run a program in a process whose memory is watched."""
    library = subprocess.run(
        [cpu_module.COMPILER, "-print-file-name=libasan.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if "/" not in library:
        pytest.skip("g++ has no address sanitizer here")
    environment = {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "PYTHONPATH": str(ROOT),
        "PYTHONMALLOC": "malloc",  # so that each array is a block that the sanitizer knows
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
    }
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
