"""The gallery of the course: every example, its numbers, working links, and nothing but text."""

import copy
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from minicnn.errors import OutputError
from minicnn.explain.course import slides
from minicnn.explain.course.slides import work_out, write_gallery
from minicnn.explain.course.worked import slide_example, slide_examples
from minicnn.explain.course.worked_facts import ENCODER, chain_of
from minicnn.explain.readings.colours import LIGHT

EXAMPLES = slide_examples()


class Reader(HTMLParser):
    """What a page holds: text, matrices and marks by article, and all references."""

    def __init__(self):
        super().__init__()
        self.articles, self.order, self.ids, self.references, self.tags = {}, [], set(), [], []
        self.article, self.row, self.table, self.cell = None, None, None, None

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids |= {given["id"]} if "id" in given else set()
        self.references += [given[k] for k in ("href", "src") if k in given]
        if tag == "article":
            self.article = {"text": "", "tables": [], "images": 0, "links": []}
            self.articles[given["id"]] = self.article
        elif tag == "table":
            self.table = []
            self.article["tables"].append(self.table)
        elif tag == "tr":
            self.row = []
            self.table.append(self.row)
        elif tag == "td":
            self.cell = ""
        elif tag == "img":
            self.article["images"] += 1
            assert given["alt"]
        elif tag == "a" and self.article is not None:
            self.article["links"].append(given["href"])

    def handle_endtag(self, tag):
        if tag == "td":
            self.row.append(self.cell)
            self.cell = None
        elif tag == "article":
            self.article = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data
        if self.article is not None:
            self.article["text"] += data


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    told = []
    index = write_gallery(folder / "made", lambda *each: told.append(each))
    assert told == [(i, len(EXAMPLES), e["id"]) for i, e in enumerate(EXAMPLES, 1)]
    return index, read(index)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e["id"])
def test_every_example_is_computed_and_agrees(example):
    worked = work_out(example)
    assert worked.agrees
    assert any(agrees for _, agrees in worked.sentences)
    assert worked.title


def numbers_of(value):
    """All numbers of nested lists and dictionaries."""
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers_of(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers_of(v)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def changed(example):
    """Every example with one of the numbers that must come out made wrong."""
    wrong = copy.deepcopy(example)
    for key in ("expected_formula", "expected", "terms", "shapes", "rows", "steps"):
        if not numbers_of(wrong.get(key)):
            continue
        if key == "expected_formula" and wrong["expected"] is not None:
            continue
        text = json.dumps(wrong[key])
        last = list(re.finditer(r"-?\d+\.?\d*", text))[-1]
        number = float(last[0]) + 1 if "." in last[0] else int(last[0]) + 1
        wrong[key] = json.loads(text[: last.start()] + json.dumps(number) + text[last.end() :])
        return wrong
    return None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e["id"])
def test_a_wrong_number_is_found(example):
    wrong = changed(example)
    if wrong is None:
        assert example["kind"] in ("operands", "property")  # without numbers that come out
        return
    assert not work_out(wrong).agrees


def test_all_examples_are_there_once_and_marked(gallery):
    _, reader = gallery
    assert sorted(reader.articles) == sorted(e["id"] for e in EXAMPLES)
    for example in EXAMPLES:
        text = reader.articles[example["id"]]["text"]
        assert ("printed on a slide" in text) == example["printed"]
        assert ("✓ as printed" in text) == example["printed"]
        assert ("✓ as derived" in text) != example["printed"]
        assert "✗" not in text
        assert example["note"] in text
        assert all(source in text for source in example["source"])


def test_the_numbers_of_the_examples_appear(gallery):
    _, reader = gallery

    def matrices(name):
        return reader.articles[name]["tables"]

    def as_cells(matrix):
        return [[str(v) for v in row] for row in matrix]

    kinds = ("conv2d", "conv2d_transpose", "true_convolution", "operands", "upsample", "pool")
    for example in EXAMPLES:
        for key in ("input", "kernel", "expected"):
            if example["kind"] in kinds and key in example:
                assert as_cells(example[key]) in matrices(example["id"]), (example["id"], key)
    result = np.array(slide_example("cs231n_two_filters")["expected"])
    for f in range(2):
        assert as_cells(result[:, :, f]) in matrices("cs231n_two_filters")
    for term in slide_example("convT_2x2_k2_terms")["terms"]:
        assert as_cells(term) in matrices("convT_2x2_k2_terms")
    sizes = matrices("output_size_table")[0][1:]
    rows = slide_example("output_size_table")["rows"]
    assert [[int(c) for c in (*row[:4], row[5])] for row in sizes] == [
        [r["N"], r["F"], r["P"], r["S"], r["O"]] for r in rows
    ]
    assert [row[6] == "yes" for row in sizes] == [r["exact"] for r in rows]
    assert "28 x 28 x 1" in reader.articles["cae_decoder_shapes"]["text"]
    assert "2.33 is no whole number" in reader.articles["size_7_f3_s3"]["text"]


def test_operations_have_pictures_animations_and_a_page(gallery):
    index, reader = gallery
    drawn = {
        **dict.fromkeys(("conv_3x3_k2", "rot180_identity"), 2),
        **dict.fromkeys(("convT_2x2_k2", "convT_2x2_k2_stride2"), 4),
        "convT_2x2_k2_terms": 1,
        "sobel_true_convolution_same": 2,
        "sobel_true_convolution_full": 2,
        "sobel_cross_correlation_same": 2,
        "upsample_copy": 3,
        "max_pool_2x2_s2": 3,
        "cs231n_two_filters": 5,  # forwards as picture and animation, and three backwards
    }
    assert {k: a["images"] for k, a in reader.articles.items() if a["images"]} == drawn
    for name in drawn:
        assert reader.articles[name]["links"] == [f"{name}.html"]
        page = (index.parent / f"{name}.html").read_text(encoding="utf-8")
        assert page.startswith("<!doctype html>")


def test_all_references_lead_somewhere_inside(gallery):
    index, reader = gallery
    for reference in reader.references:
        if reference.startswith("#"):
            assert reference[1:] in reader.ids
        elif not reference.startswith("data:image/"):
            assert (index.parent / reference).is_file(), reference
    text = index.read_text(encoding="utf-8")
    assert "http:" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", text)
    assert "https:" not in text
    assert "script" not in reader.tags
    assert LIGHT.input.fill in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_read_on_a_phone_and_by_everyone(gallery, open_page, axe, scheme):
    index, _ = gallery
    page = open_page(
        index.read_text(encoding="utf-8"),
        viewport={"width": 390, "height": 800},
        color_scheme=scheme,
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate(axe)
    violations = page.evaluate("axe.run().then(found => found.violations)")
    assert [(v["id"], v["nodes"][0]["html"]) for v in violations] == []
    example = page.locator("#convT_2x2_k2")
    moving = example.locator("details img").first
    assert not moving.is_visible()
    example.locator("summary").first.press("Enter")
    assert moving.is_visible()
    assert moving.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300


def test_text_is_never_markup_and_what_differs_is_said(tmp_path, monkeypatch):
    bad = "<script>alert('x')</script><b>&amp;"
    example = {**slide_example("size_7_f3_s2"), "note": bad, "source": [bad], "expected": 4}
    monkeypatch.setattr(slides, "slide_examples", lambda: [example])
    index = write_gallery(tmp_path)
    reader = read(index)
    assert {"script", "b"}.isdisjoint(reader.tags)
    text = reader.articles["size_7_f3_s2"]["text"]
    assert text.count(bad) == 2
    assert "✗ differs" in text
    assert "✓" not in text
    assert "these differ: size_7_f3_s2" in index.read_text(encoding="utf-8")


def test_a_chain_is_that_of_the_layers_themselves():
    # The library's own shapes and parameters, beside the arithmetic of the gallery.
    from minicnn import layers

    shapes, table = chain_of([30, 21, 3], (*ENCODER[:2],))
    x = layers.Input((30, 21, 3))
    for layer, shape, row in zip(ENCODER, shapes[1:], table.rows, strict=False):
        made = layers.Conv2D(layer.filters, layer.kernel, layer.stride, padding=layer.padding)
        x = made(x)
        assert list(x.shape[1:]) == shape
        assert row[-1] == f"{made.count_params():,}"


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"it is a file"):
        write_gallery(tmp_path / "file")
