"""Fetching data sets: to the cache, with a checksum, whole or not at all."""

from __future__ import annotations

import logging
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minicnn.datasets.registry import DATASETS, DataSet, cache_folder
from minicnn.errors import ArgumentError, DataError, check_choice
from minicnn.files import make_folder

__all__ = ["download"]

#: Seconds to wait for a connection, and for the next bytes.
_PATIENCE = (10, 60)

Report = Callable[[int, int], None]


class _Progress:
    """What pooch tells of a download's progress, passed on to a function."""

    def __init__(self, tell: Report) -> None:
        self.tell, self.total, self.done = tell, 0, 0

    def update(self, count: int) -> None:
        self.done = min(self.done + count, self.total) if self.total else self.done + count
        self.tell(self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing is held open."""


def download(name: str, *, progress: Report | None = None) -> Path:
    """Fetch a data set into the cache, and return its folder.

    The file is written aside, compared with its published SHA-256 checksum if there is one, and
    unpacked if it is an archive; only then does the folder get its name. What is there already is
    not fetched again.

    Args:
        name: the data set's name, a key of `DATASETS`.
        progress: called with (bytes fetched, bytes in all, 0 where the server does not say).

    Raises:
        ArgumentError: there is no such data set, or no address from which it may be fetched.
        DataError: the address cannot be reached, or what came has another checksum. Nothing is
            left behind then.
        OutputError: the cache cannot be written.
    """
    entry = DATASETS[check_choice("download", "name", name, DATASETS)]
    if entry.address is None:
        raise ArgumentError(
            f"download: {name} has no address from which it may be fetched; see {entry.home}, or "
            f"take `minicnn.datasets.{entry.stand_in}`."
        )
    folder = cache_folder() / entry.folder
    if folder.is_dir() and any(folder.iterdir()):
        return folder
    make_folder(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
        file = _fetch(entry, entry.address, Path(place), progress or (lambda done, total: None))
        content = _unpacked(entry, file, Path(place) / "content")
        content.replace(folder)
    return folder


def _fetch(entry: DataSet, address: str, place: Path, tell: Report) -> Path:
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)
    loader: Any = pooch.HTTPDownloader(
        progressbar=_Progress(tell), chunk_size=1 << 16, timeout=_PATIENCE
    )
    target = place / "content"
    target.mkdir()
    file_name = address.rsplit("/", 1)[-1]
    try:
        known = None if entry.sha256 is None else f"sha256:{entry.sha256}"
        return Path(pooch.retrieve(address, known, file_name, target, downloader=loader))
    except requests.RequestException as error:
        reason = type(error).__name__
        if error.response is not None:  # such as 404 Not Found
            reason = error.response.reason
            error.response.close()
        raise DataError(
            f"{entry.name}: {address} cannot be reached ({reason}); set MINICNN_DATA to a folder "
            f"that holds {entry.folder}/, or take `minicnn.datasets.{entry.stand_in}`, which needs "
            f"no data."
        ) from None
    except ValueError as error:
        if "hash" not in str(error).lower():
            raise
        raise DataError(
            f"{entry.name}: what came from {address} has not the checksum {entry.sha256}; nothing "
            f"was kept. The file was damaged on its way, or is another one now."
        ) from None


def _unpacked(entry: DataSet, file: Path, content: Path) -> Path:
    """Return the folder that is to become the data set's: an archive's own, or the file's."""
    if file.suffix != ".zip":
        return content
    try:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(content)  # each file's own checksum is compared on the way
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{entry.name}: {entry.address} is a damaged archive ({error}).") from None
    file.unlink()
    shutil.rmtree(content / "__MACOSX", ignore_errors=True)
    inner = [path for path in content.iterdir() if not path.name.startswith(".")]
    # An archive with one folder in it, such as cell_images/, is that folder.
    alone = len(inner) == 1 and inner[0].is_dir() and not (inner[0] / "images").is_dir()
    return inner[0] if alone else content
