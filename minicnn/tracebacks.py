"""What is shown of an error: the user's own lines and the sentence, without the frames of minicnn.

Python and IPython ask here before they print an error. The error itself stays whole: a debugger, a
test or a log that takes it from an `except` block finds every frame.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from minicnn.errors import MinicnnError

__all__ = [
    "disable_traceback_filtering",
    "enable_traceback_filtering",
    "install",
    "is_traceback_filtering_enabled",
]

_HERE = str(Path(__file__).parent) + os.sep

#: Python's own modules and the installed ones: what minicnn calls there is not the user's either.
_LIBRARIES = (*{sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}, "<frozen")

_settings = {"on": True}

#: What is added to an error that was not worded by us, so that it can be reported whole.
_HINT = (
    "(Lines of minicnn itself are left out; minicnn.config.disable_traceback_filtering() shows "
    "them.)"
)


def enable_traceback_filtering() -> None:
    """Leave the library's own frames out of the errors that are shown; so it is at the start."""
    _settings["on"] = True


def disable_traceback_filtering() -> None:
    """Show errors with every frame, those inside minicnn included."""
    _settings["on"] = False


def is_traceback_filtering_enabled() -> bool:
    """Return whether the library's own frames are left out of errors that are shown.

    >>> is_traceback_filtering_enabled()
    True
    """
    return _settings["on"]


def install() -> None:
    """Let Python and, where it runs, IPython show errors without frames of minicnn.

    Whoever shows errors already (`sys.excepthook`, or IPython with the mode that was chosen there)
    goes on doing so, with fewer frames.
    """
    before = sys.excepthook

    def shown(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> Any:
        with _shortened(error):
            before(kind, error, error.__traceback__)

    sys.excepthook = shown
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and not shell.custom_exceptions:
        shell.set_custom_exc((Exception, KeyboardInterrupt), _show_in_ipython)


def _show_in_ipython(
    shell: Any, kind: Any, error: BaseException, frames: Any, tb_offset: Any = None
) -> None:
    with _shortened(error):
        shell.showtraceback((kind, error, error.__traceback__), tb_offset=tb_offset)


@contextmanager
def _shortened(error: BaseException) -> Iterator[None]:
    """Let an error have only the frames that are to be shown while it is shown."""
    chain = list(_chain(error))
    kept = [_users(e.__traceback__) for e in chain]
    if not _settings["on"] or kept[0] is None:
        yield
        return
    parts = ("__traceback__", "__cause__", "__context__", "__suppress_context__")
    before = [{part: getattr(e, part) for part in parts} for e in chain]
    surprise = isinstance(error, Exception) and not isinstance(error, MinicnnError)
    if surprise and _last(kept[0]) is not _last(error.__traceback__):
        error.__notes__ = list(dict.fromkeys([*getattr(error, "__notes__", ()), _HINT]))
    # Of the errors before it, those stay that came by a user's line.
    shown = [e for e, frames in zip(chain, kept, strict=True) if frames is not None]
    for e, frames in zip(chain, kept, strict=True):
        e.__traceback__ = frames
    for e, earlier in zip(shown, [*shown[1:], None], strict=True):
        if (e.__cause__ or e.__context__) is not earlier:
            e.__cause__ = earlier  # which also leaves the context unsaid
    try:
        yield
    finally:
        for e, was in zip(chain, before, strict=True):
            for part, value in was.items():  # in this order: a cause switches the last one on
                setattr(e, part, value)


def _last(frames: TracebackType | None) -> Any:
    """Return the innermost frame of a traceback."""
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    return frames and frames.tb_frame


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those before it that are shown with it."""
    met: set[int] = set()
    while error is not None and id(error) not in met:
        met.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _users(frames: TracebackType | None, inside: bool = False) -> TracebackType | None:
    """Return a traceback without minicnn's frames, and without what these called elsewhere.

    What a user wrote and minicnn called, such as a callback or a layer, is kept.
    """
    if frames is None:
        return None
    file = frames.tb_frame.f_code.co_filename
    ours = file.startswith(_HERE) or (inside and file.startswith(_LIBRARIES))
    rest = _users(frames.tb_next, ours)
    if ours:
        return rest
    if rest is frames.tb_next:
        return frames
    return TracebackType(rest, frames.tb_frame, frames.tb_lasti, frames.tb_lineno)
