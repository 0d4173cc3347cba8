"""The gallery: every worked example of the course on one page, with numbers, pictures and steps."""

from __future__ import annotations

import base64
import html
import io
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from minicnn.explain.course.worked import KINDS, Drawing, Example, Table, Worked, slide_examples
from minicnn.explain.course.worked_facts import FACTS
from minicnn.explain.readings.animation import write_gif
from minicnn.explain.readings.colours import css_variables
from minicnn.explain.readings.figure import draw
from minicnn.explain.readings.marks import default_cell
from minicnn.explain.readings.page import web_file
from minicnn.explain.readings.text import line
from minicnn.files import make_folder, replacing

__all__ = ["work_out", "write_gallery"]

#: The parts of the gallery, and which kinds or single examples stand in each.
PARTS = {
    "Convolution": ("conv2d", "operands", "true_convolution", "property", "conv2d_multi"),
    "Transposed convolution": (
        "conv2d_transpose",
        "conv2d_transpose_terms",
        "shape_roundtrip",
        "shape_transpose",
        "convT_values_per_pixel",
    ),
    "Pooling and upsampling": ("upsample", "pool"),
    "Sizes": ("shape", "shape_padded", "volume", "size_table", "conv_32_f5_params"),
    "Networks": ("chain", "receptive_field", "training_log", "fact"),
}

#: Pixels of a page for an inch of a figure, and of the picture for each of these.
PIXELS, FINER = 88, 2
#: Tables with more rows than this are folded.
ROWS = 24


def work_out(example: Example) -> Worked:
    """Return what the library makes of a worked example of the course.

    Args:
        example: one of `slide_examples()`.

    >>> from minicnn.explain.course.worked import slide_example
    >>> work_out(slide_example("size_7_f3_s2")).sentences
    [('(7 - 3 + 0) / 2 + 1 = 3', True)]
    """
    work = FACTS.get(example["id"]) or KINDS[example["kind"]]
    return work(example)


def write_gallery(
    folder: str | Path, progress: Callable[[int, int, str], None] | None = None
) -> Path:
    """Write the gallery of the course's worked examples, and return the path of its page.

    `index.html` holds everything but the interactive pages, which lie beside it, one for each
    example with an operation: `conv_3x3_k2.html`, ...

    Args:
        folder: made if need be.
        progress: called with (examples done, examples, id) after each.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    folder = make_folder(folder)
    examples = slide_examples()
    articles: dict[str, list[str]] = {part: [] for part in PARTS}
    worked = []
    for done, example in enumerate(examples, 1):
        one = work_out(example)
        worked.append(one)
        articles[_part(example)].append(_article(one, folder))
        if progress is not None:
            progress(done, len(examples), example["id"])
    index = folder / "index.html"
    _write(index, _page(worked, articles))
    return index


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _part(example: Example) -> str:
    """Return in which part of the gallery an example stands: by its id, else by its kind."""
    for name in (example["id"], example["kind"]):
        for part, names in PARTS.items():
            if name in names:
                return part
    raise KeyError(example["id"])


def _page(worked: list[Worked], articles: dict[str, list[str]]) -> str:
    printed = sum(w.example["printed"] for w in worked)
    differing = [w.example["id"] for w in worked if not w.agrees]
    agree = f"these differ: {', '.join(differing)}" if differing else "all agree"
    told = (
        f"{len(worked)} examples, the numbers of {printed} printed on the slides and of "
        f"{len(worked) - printed} derived from them. Each is computed anew by minicnn; {agree}."
    )
    links = "".join(f'<li><a href="#{_anchor(p)}">{html.escape(p)}</a></li>' for p in articles)
    parts = "".join(
        f'<section aria-labelledby="{_anchor(part)}"><h2 id="{_anchor(part)}">'
        f"{html.escape(part)}</h2>{''.join(each)}</section>"
        for part, each in articles.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">\n"
        "<title>Worked examples of the course</title>\n"
        f"<style>\n{css_variables()}{web_file('gallery.css')}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>Worked examples of the course</h1>\n<p>{html.escape(told)}</p>\n"
        f'<nav aria-label="Parts"><ul>{links}</ul></nav>\n{parts}\n</main>\n</body>\n</html>\n'
    )


def _anchor(part: str) -> str:
    return part.lower().replace(" ", "-")


def _article(worked: Worked, folder: Path) -> str:
    """Return an example as markup, and write its interactive page."""
    e = worked.example
    where = "printed on a slide" if e["printed"] else "derived from the slides"
    mark = "as printed" if e["printed"] else "as derived"
    parts = [
        f'<article id="{html.escape(e["id"])}"><header><h3>{html.escape(worked.title)}</h3>'
        f'<span class="printed">{where}</span></header>',
        f'<p class="note">{html.escape(e["note"])}</p>',
        _tables(worked.tables) if worked.tables else "",
        _sentences(worked.sentences, mark),
        *(_figure(drawing) for drawing in worked.drawings),
    ]
    if worked.drawings:
        page = folder / f"{e['id']}.html"
        _write(page, worked.drawings[0].explanation.html())
        link = f"Step through it: {worked.title}"
        parts.append(f'<p><a href="{html.escape(page.name)}">{html.escape(link)}</a></p>')
    sources = "; ".join(e["source"])
    return "".join([*parts, f'<p class="source">{html.escape(sources)}</p></article>\n'])


def _sentences(sentences: Iterable[tuple[str, bool | None]], mark: str) -> str:
    marks = {
        None: "",
        True: f' <span class="mark">✓ {mark}</span>',
        False: ' <span class="mark differs">✗ differs</span>',
    }
    items = "".join(f"<li>{html.escape(text)}{marks[agrees]}</li>" for text, agrees in sentences)
    return f'<ul class="sentences">{items}</ul>'


def _tables(tables: Iterable[Table]) -> str:
    return f'<div class="tables">{"".join(map(_table, tables))}</div>'


def _table(table: Table) -> str:
    rows = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows
    )
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in table.head)
    caption = html.escape(table.caption)
    kind = f' class="matrix" data-role="{table.role}"' if table.role else ""
    heading = f"<thead><tr>{head}</tr></thead>" if head else ""
    drawn = _scrolled(
        f"<table{kind}><caption>{caption}</caption>{heading}<tbody>{rows}</tbody></table>", caption
    )
    if len(table.rows) <= ROWS:
        return drawn
    return f"<details><summary>{caption}: {len(table.rows)} rows</summary>{drawn}</details>"


def _scrolled(content: str, label: str) -> str:
    """Return content that is scrolled by itself where the page is too narrow."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{label}">{content}</div>'


def _figure(drawing: Drawing) -> str:
    """Return a picture, and behind it the animation: nothing moves unless it is asked to."""
    record = drawing.explanation.record(**drawing.choice)
    figure = draw(record, reading=drawing.reading)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=PIXELS * FINER)
    width = round(figure.get_figwidth() * PIXELS)
    scattered = drawing.reading == "scatter"
    alt = drawing.caption if scattered else line(record, default_cell(record))
    drawn = _image(picture.getvalue(), "png", width, f"{record.title}: {alt}")
    parts = [f"<figure><figcaption>{html.escape(drawing.caption)}</figcaption>{drawn}"]
    if drawing.animated:
        moving = _image(_gif(drawing), "gif", width, f"{record.title}, step by step")
        parts.append(f"<details><summary>Show it as an animation</summary>{moving}</details>")
    return "".join([*parts, "</figure>"])


def _gif(drawing: Drawing) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        record = drawing.explanation.record(**drawing.choice)
        return write_gif(record, Path(folder) / "steps.gif", drawing.reading).read_bytes()


def _image(data: bytes, kind: str, width: int, alt: str) -> str:
    """Return a picture that is a part of the page."""
    text, label = base64.b64encode(data).decode("ascii"), html.escape(alt)
    return _scrolled(
        f'<img alt="{label}" width="{width}" src="data:image/{kind};base64,{text}">', label
    )
