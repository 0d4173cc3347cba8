"""The page of an explanation: one HTML file that needs nothing else, or a frame in a notebook.

What it does stands in `web/`, in plain JavaScript: `record.js` what meets what, `sum.js` the
arithmetic as text, `grid.js` the grids, `look.js` what there is to see of an element, `link.js` the
address, `controls.js` and `viewer.js` the rest.
"""

from __future__ import annotations

import html
import json
import re
from importlib import resources
from typing import Any, Protocol

from minicnn.errors import ArgumentError
from minicnn.explain.readings.colours import css_variables

__all__ = ["NOTEBOOK_ROOM", "chain_html", "embedded_json", "filled_template",
           "notebook_html", "page_html", "viewer_script", "viewer_style", "web_file"]  # fmt: skip

#: The files of the viewer, in the order in which they build on each other.
SCRIPTS = ("record.js", "sum.js", "grid.js", "look.js", "link.js", "controls.js", "viewer.js")

#: Height of a notebook's frame in pixels: controls, arithmetic and grids of the slides' sizes.
FRAME_HEIGHT = 680

#: Characters that the page of a model takes in a notebook, where it is stored.
NOTEBOOK_ROOM = 150_000

#: Makes a frame as high as what it shows, up to a large screen's height.
_FITTING = """<script>
new ResizeObserver(() => {
  const frame = window.frameElement;
  if (frame) frame.style.height = `${Math.min(document.body.offsetHeight + 20, 1200)}px`;
}).observe(document.body);
</script>
"""


class Shown(Protocol):
    """What has a page: an explanation, or that of a model."""

    @property
    def title(self) -> str:
        """What is explained."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as the page reads it."""

    def html(self) -> str:
        """Return the page."""


def page_html(explanation: Shown) -> str:
    """Return the page of an explanation as one HTML file without any outside part.

    Args:
        explanation: what the page shows.

    >>> import minicnn as mc
    >>> page = page_html(mc.explain(mc.cross_correlate2d, [[1, 2, 3], [4, 5, 6]], [[1, 0]]))
    >>> page.startswith("<!doctype html>"), "src=" in page, "http://www.w3.org/2000/svg" in page
    (True, False, True)
    """
    return filled_template(
        web_file("page.html"),
        title=html.escape(explanation.title),
        style=viewer_style(),
        script=viewer_script(),
        explanation=embedded_json(explanation.to_json()),
    )


def chain_html(title: str, layers: dict[str, Any]) -> str:
    """Return the page of a model: its layers, and the explanation of one at a time.

    Args:
        title: the model's name.
        layers: what `ModelExplanation.to_json` returns.
    """
    return filled_template(
        web_file("chain.html"),
        title=html.escape(title),
        style=viewer_style(),
        chain_style=web_file("chain.css"),
        script=viewer_script(),
        chain_script=web_file("chain.js"),
        model=embedded_json(layers),
    )


def notebook_html(title: str, page: str, height: int = FRAME_HEIGHT) -> str:
    """Return a page in a frame, for a notebook's output; it grows with what it shows.

    Args:
        title: the frame's, for who does not see it.
        page: the whole page.
        height: of the frame at first, in pixels.

    Raises:
        ArgumentError: the height is no positive integer.

    >>> import minicnn as mc
    >>> e = mc.explain(mc.cross_correlate2d, [[1, 2, 3], [4, 5, 6]], [[1, 0]])
    >>> frame = notebook_html(e.title, e.html(), height=300)
    >>> frame[:28], "<!doctype" in frame
    ('<iframe title="cross_correla', False)
    """
    if isinstance(height, bool) or not isinstance(height, int) or height < 1:
        raise ArgumentError(
            f"notebook_html: height={height!r} must be a positive integer, in pixels, e.g. "
            f"{FRAME_HEIGHT}."
        )
    # In an attribute between single quotes, the many double ones of a page can stay.
    source = html.escape(page.replace("</body>", f"{_FITTING}</body>"), quote=False)
    return (
        f'<iframe title="{html.escape(title)}" '
        f'style="width: 100%; height: {height}px; border: 0; resize: vertical" '
        f"srcdoc='{source.replace(chr(39), '&#x27;')}'></iframe>"
    )


def viewer_script() -> str:
    """Return the JavaScript that defines `minicnnViewer`, to stand in a script element.

    >>> viewer_script().count("globalThis.")
    1
    """
    files = "\n".join(web_file(name) for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n\n{files}\n}})();\n'


def viewer_style() -> str:
    """Return the CSS of the viewer with the colours of all readings.

    >>> "--input-fill" in viewer_style(), ".minicnn-viewer" in viewer_style()
    (True, True)
    """
    return f"{css_variables()}\n{web_file('viewer.css')}"


def web_file(name: str) -> str:
    """Return the text of a file in `web/`.

    >>> web_file("page.html").splitlines()[0]
    '<!doctype html>'
    """
    return (
        resources.files("minicnn.explain.readings")
        .joinpath("web", name)
        .read_text(encoding="utf-8")
    )


def embedded_json(value: Any) -> str:
    r"""Return JSON for a script element: nothing in it ends the element or begins another.

    >>> embedded_json({"title": "</script>"})
    '{"title":"\\u003c/script>"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def filled_template(template: str, **values: str) -> str:
    """Return a template with each `{{name}}` replaced; what stands in the values stays as it is.

    >>> filled_template("<p>{{a}}, {{b}}</p>", a="{{b}}", b="2")
    '<p>{{b}}, 2</p>'
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], template)
