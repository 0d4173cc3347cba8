"""Which files of a folder are images, and what else lies there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ENDINGS", "Listing", "is_hidden", "is_image", "list_images", "told_endings"]

#: The endings of image files, in lower case.
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif")


@dataclass(frozen=True)
class Listing:
    """What lies in a folder; what is hidden is nowhere in it.

    Args:
        images: files whose names end as those of images, in the order of their names.
        others: files that do not.
        folders: folders inside it.
    """

    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)


def told_endings(others: Sequence[Path]) -> str:
    """Return how many files were not read, counted by ending, most first; empty without any.

    >>> told_endings([Path("b.csv"), Path("c.CSV"), Path("notes")])
    '3 files were not read (2 .csv, 1 without ending)'
    """
    if not others:
        return ""
    counts = Counter(path.suffix.lower() or "without ending" for path in others)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = ", ".join(f"{count} {ending}" for ending, count in ordered)
    files = "1 file was" if len(others) == 1 else f"{len(others)} files were"
    return f"{files} not read ({parts})"


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, as `.git`, `.x.png` and the `._x.png` of macOS are."""
    return name.startswith(".")


def is_image(path: str | Path) -> bool:
    """Whether a name is that of an image file that is not hidden, its ending in any case.

    >>> [is_image(name) for name in ("a/b.TIF", "b.csv", "a/._b.png", ".a/b.png")]
    [True, False, False, True]
    """
    name = os.path.basename(path)  # noqa: PTH119 (of hundred thousand names)
    return not is_hidden(name) and os.path.splitext(name)[1].lower() in ENDINGS  # noqa: PTH122


def list_images(folder: str | Path) -> Listing:
    """Return the images that lie in a folder, not those in folders inside it, and what else does.

    Links count as what they point to; a link to nothing is a file.

    Raises:
        OSError: the folder is missing or cannot be listed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.PNG", "a.tif", "._a.tif", ".hidden.png", "notes.txt"):
    ...         _ = Path(folder, name).write_bytes(b"")
    ...     for name in ("deeper", ".git", "x.png"):
    ...         Path(folder, name).mkdir()
    ...     found = list_images(folder)
    >>> [[path.name for path in kind] for kind in (found.images, found.others, found.folders)]
    [['a.tif', 'b.PNG'], ['notes.txt'], ['deeper', 'x.png']]
    """
    found = Listing()
    for path in sorted(p for p in Path(folder).iterdir() if not is_hidden(p.name)):
        kind = found.folders if path.is_dir() else found.images if is_image(path) else found.others
        kind.append(path)
    return found
