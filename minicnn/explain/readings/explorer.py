"""The explorer: a page on which the learner's own numbers and sliders are computed at once.

Its arithmetic is that of `explain`, in plain JavaScript: `web/arithmetic/` has the same rooms as
this package (geometry, record, convolution, pooling) and no document, so that tests compare it with
Python. `web/explorer/` holds the page: `numbers.js` reads what is typed, `calls.js` writes the same
call as programs, `state.js` what is set, `presets.js` where to start, `controls.js`, `form.js` and
`explorer.js` what is seen. The picture is the viewer of `page.py`.
"""

from __future__ import annotations

from pathlib import Path

from minicnn.explain.readings.page import filled_template, viewer_script, viewer_style, web_file
from minicnn.files import replacing

__all__ = ["ARITHMETIC", "arithmetic_script", "explorer_html", "explorer_script", "write_explorer"]

#: The files without a document, in the order in which they build on each other.
ARITHMETIC = (
    *(f"arithmetic/{n}.js" for n in ("geometry", "record", "convolution", "pooling", "arithmetic")),
    *(f"explorer/{n}.js" for n in ("numbers", "calls", "state", "presets")),
)
PAGE = tuple(f"explorer/{n}.js" for n in ("controls", "form", "explorer"))


def explorer_html() -> str:
    """Return the explorer as one HTML file without any outside part.

    >>> page = explorer_html()
    >>> page.startswith("<!doctype html>"), "src=" in page, "minicnnArithmetic" in page
    (True, False, True)
    """
    return filled_template(
        web_file("explorer/explorer.html"),
        style=f"{viewer_style()}\n{web_file('explorer/explorer.css')}",
        viewer=viewer_script(),
        explorer=explorer_script(),
    )


def arithmetic_script() -> str:
    """Return the JavaScript of everything that needs no document: it runs in Node too.

    >>> "createElement" in arithmetic_script(), "createElement" in explorer_script()
    (False, True)
    """
    return "\n".join(web_file(name) for name in ARITHMETIC)


def explorer_script() -> str:
    """Return the JavaScript that defines `minicnnExplorer`, to stand in a script element.

    >>> arithmetic_script() in explorer_script()
    True
    """
    return "\n".join([arithmetic_script(), *(web_file(name) for name in PAGE)])


def write_explorer(path: str | Path) -> None:
    """Write the explorer as one HTML file.

    Args:
        path: the file; an old one of that name is replaced.

    Raises:
        OutputError: the folder does not exist or cannot be written.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "explorer.html"
    >>> write_explorer(path)
    >>> path.read_text(encoding="utf-8").splitlines()[0]
    '<!doctype html>'
    """
    with replacing(path) as temporary:
        temporary.write_text(explorer_html(), encoding="utf-8")
