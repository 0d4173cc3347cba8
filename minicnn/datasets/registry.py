"""What data sets there are, where each comes from, and where it lies on this machine.

A loader looks into the folder it is given; without one into `MINICNN_DATA`, a folder that holds
`mnist/`, `signs/`, `malaria/` and `segmentation/`, and then into the cache, `~/.cache/minicnn`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minicnn.errors import DataError, check_choice

__all__ = ["DATASETS", "DataSet", "cache_folder", "data_folder", "find_folder"]


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set.

    Args:
        name: the name of its loader.
        title: what it is, in a few words.
        folder: where it lies within `MINICNN_DATA` or the cache.
        files: patterns of which each must match something where the data are complete.
        home: the page that describes it.
        licence: the licence of the data, as far as it is stated.
        stand_in: the function of `minicnn.datasets` that renders something alike.
        address: the file that `minicnn datasets download` fetches, or None.
        size: bytes of that file, or of the data, where they are not one file.
        sha256: its checksum as published, or None where none is.
    """

    name: str
    title: str
    folder: str
    files: tuple[str, ...]
    home: str
    licence: str
    stand_in: str
    address: str | None = None
    size: int | None = None
    sha256: str | None = None

    @property
    def where_to_get_it(self) -> str:
        """How somebody without the data comes by them, as the end of a sentence."""
        if self.address is None:
            return f"get them from {self.home}"
        return f"fetch them with `minicnn datasets download {self.name}` ({self.address})"


#: All data sets, by the name of their loader.
DATASETS = {
    entry.name: entry
    for entry in (
        DataSet(
            name="mnist",
            title="handwritten digits, 60,000 and 10,000 images of 28 x 28",
            folder="mnist",
            files=("*",),
            home="http://yann.lecun.com/exdb/mnist/",
            licence="CC BY-SA 3.0",
            stand_in="render_digits",
            address="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
            size=11_490_434,
            sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
        ),
        DataSet(
            name="signs",
            title="hands that show 0 to 5 fingers, 1,080 and 120 photographs of 64 x 64",
            folder="signs",
            files=("train_signs*.h5", "test_signs.h5"),
            home="https://www.coursera.org/learn/convolutional-neural-networks",
            licence="not stated",
            stand_in="render_signs",
            size=14_759_584,
        ),
        DataSet(
            name="malaria",
            title="red blood cells with and without parasites, 27,558 photographs",
            folder="malaria",
            files=("Parasitized/*", "Uninfected/*"),
            home="https://lhncbc.nlm.nih.gov/LHC-downloads/downloads.html#malaria-datasets",
            licence="offered by the US National Library of Medicine; no text",
            stand_in="render_cells",
            address="https://data.lhncbc.nlm.nih.gov/public/Malaria/cell_images.zip",
            size=353_452_851,
            sha256="0a949556b2414159b5100192609805376654c4266d8d187be9b1922fad43c668",
        ),
        DataSet(
            name="nuclei",
            title="nuclei under the microscope with their masks, Data Science Bowl 2018",
            folder="segmentation/dsb2018_nuclei",
            files=("*",),
            home="https://bbbc.broadinstitute.org/BBBC038",
            licence="CC0",
            stand_in="render_nuclei",
            address="https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip",
        ),
        DataSet(
            name="landcover",
            title="aerial photographs of four bands with six classes of land",
            folder="segmentation/chesapeake_landcover",
            files=("images/*", "labels/*"),
            home="https://lila.science/datasets/chesapeakelandcover",
            licence="not stated",
            stand_in="render_landcover",
        ),
    )
}


def cache_folder() -> Path:
    """Return the folder of downloaded data: `minicnn` in `XDG_CACHE_HOME` or `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "minicnn"


def _places(entry: DataSet) -> list[Path]:
    given = os.environ.get("MINICNN_DATA")
    roots = [*([Path(given).expanduser()] if given else []), cache_folder()]
    return [root / entry.folder for root in roots]


def _holds(folder: Path, patterns: Iterable[str]) -> bool:
    return folder.is_dir() and all(next(folder.glob(p), None) is not None for p in patterns)


def find_folder(name: str) -> Path | None:
    """Return where a data set lies on this machine, or None.

    Raises:
        ArgumentError: there is no data set of this name.
    """
    entry = DATASETS[check_choice("find_folder", "name", name, DATASETS)]
    return next((place for place in _places(entry) if _holds(place, entry.files)), None)


def data_folder(name: str, path: str | Path | None = None) -> Path:
    """Return the folder of a data set.

    Args:
        name: the data set's name, a key of `DATASETS`.
        path: the folder, if it lies neither in `MINICNN_DATA` nor in the cache.

    Raises:
        DataError: the data are not there; the message says where to get them, and what takes
            their place.
        ArgumentError: there is no data set of this name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("train_signs.h5", "test_signs.h5"):
    ...         Path(folder, name).touch()
    ...     data_folder("signs", folder) == Path(folder)
    True
    """
    entry = DATASETS[check_choice("data_folder", "name", name, DATASETS)]
    places = _places(entry) if path is None else [Path(path).expanduser()]
    for place in places:
        if _holds(place, entry.files):
            return place
    raise DataError(
        f"{name}: the data are not in {' or '.join(map(str, places))}; {entry.where_to_get_it}, or "
        f"take `minicnn.datasets.{entry.stand_in}`, which needs none."
    )
