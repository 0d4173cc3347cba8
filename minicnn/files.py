"""Writing files so that a failure, at whatever moment, leaves the old file as it was.

What Keras' file formats need is imported here, when the first such file is met.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from minicnn.errors import BackendError, OutputError

__all__ = ["hdf5", "make_folder", "replacing"]


def hdf5(path: str | Path) -> ModuleType:
    """Return h5py, which reads and writes a file.

    Raises:
        BackendError: it is not installed, or does not work here.
    """
    try:
        import h5py
    except ImportError as error:
        reason = "is not installed" if error.name == "h5py" else f"cannot be imported ({error})"
        raise BackendError(
            f"{path}: files of this kind need h5py, which {reason}; pip install h5py where there "
            f"is a wheel for this Python, or keep weights as safetensors: "
            f"save_weights('NAME.safetensors') needs nothing else."
        ) from None
    return h5py


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its place when the block succeeds.

    Raises:
        OutputError: the folder does not exist or cannot be written.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that exists and that "
            f"you may write to."
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files that only their owner may read; give the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: str | Path) -> Path:
    """Return `path` as a folder, made with its parents if need be.

    Raises:
        OutputError: it is a file, or cannot be made or written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = "it is a file" if path.is_file() else error.strerror or str(error)
        raise OutputError(
            f"cannot write to the folder {path}: {reason}; choose a folder that you may write to."
        ) from None
    return path
