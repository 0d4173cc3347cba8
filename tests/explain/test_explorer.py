"""The explorer as its readers use it: mouse, keyboard, pasted text, a phone, a link, a notebook."""

import html
import json
import time

import numpy as np
import pytest

from minicnn.errors import OutputError
from minicnn.explain.course.worked import slide_examples
from minicnn.explain.readings.explorer import explorer_html, write_explorer
from tests.explain.settings import explained

SLIDES = {e["id"]: e for e in slide_examples()}
NARROW = {"viewport": {"width": 390, "height": 800}, "has_touch": True}

#: What stands in the cells of an array, by the names of its elements.
CELLS = """(role) => Object.fromEntries(
  [...document.querySelectorAll(`.panel[data-role="${role}"] .cell`)]
    .map((cell) => cell.getAttribute("aria-label").split(" = ")))"""


@pytest.fixture(scope="module")
def page_text():
    return explorer_html()


@pytest.fixture
def explorer(open_page, page_text):
    """Open the explorer; every group of settings is open, as on a wide window."""

    def opened(fragment="", **settings):
        page = open_page(page_text, fragment, **settings)
        page.set_default_timeout(4000)
        page.evaluate("document.querySelectorAll('.group').forEach((g) => { g.open = true; })")
        return page

    return opened


def numbers(page, role="output"):
    """The numbers of an array as they are shown: {name of the element: number}."""
    cells = page.evaluate(CELLS, role)
    return {
        name.replace("\u2212", "-"): float(
            text.split(",")[0].replace("\u2212", "-").replace("∞", "inf")
        )
        for name, text in cells.items()
    }


def matrix(page, role="output"):
    return list(numbers(page, role).values())


def shown_settings(page):
    """The settings that the page shows."""
    text = page.evaluate("JSON.stringify(minicnnState.settingsOf(explorer.state))")
    return json.loads(text) | {"dy": None}


def test_it_begins_with_the_example_of_the_course(explorer):
    page = explorer()
    assert matrix(page) == np.ravel(SLIDES["conv_3x3_k2"]["expected"]).tolist()
    summary = page.inner_text(".summary").replace("\xa0", " ")
    assert summary == (
        "Input 3 × 3 × 1, output 2 × 2 × 1 (height × width × channels); 4 parameters; "
        "16 multiply-adds; an output sees up to 2 × 2 of the input."
    )
    page.wait_for_timeout(450)  # spoken once the reader rests
    assert page.text_content(".outcome > [role=status]").replace("\xa0", " ") == summary


def test_every_preset_shows_what_python_computes(explorer):
    page = explorer()
    presets = page.evaluate(
        "minicnnPresets.PRESETS.map((p) => [p.name, minicnnState.settingsOf(p.state)])"
    )
    assert len(presets) >= 12
    for name, settings in presets:
        page.get_by_role("button", name=name, exact=True).click()
        assert page.locator(".misfit").is_hidden(), name
        python = explained(settings | {"dy": None})["explanation"]["records"][0]["result"]
        assert numbers(page) == _cells(python), name
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def _cells(panel):
    """The numbers of a panel by the names of their elements."""
    origin = np.array(panel["origin"])
    names = (",".join(map(str, np.array(i) + origin)) for i in np.ndindex(*panel["block"]))
    values = [pytest.approx(float(v), rel=1e-5) for v in panel["values"]]
    return dict(zip((f"{panel['name']}[{n}]" for n in names), values, strict=True))


@pytest.mark.parametrize(
    ("preset", "slide"),
    [
        ("Two filters, 5×5×3", "cs231n_two_filters"),
        ("Transposed 2×2", "convT_2x2_k2"),
        ("Max-pool", "max_pool_2x2_s2"),
        ("Upsample, nearest", "upsample_copy"),
    ],
)
def test_presets_of_the_course_give_its_numbers(explorer, preset, slide):
    page = explorer()
    page.get_by_role("button", name=preset, exact=True).click()
    expected = np.array(SLIDES[slide]["expected"])
    if expected.ndim == 3:
        expected = expected if expected.shape[0] == 2 else expected.transpose(2, 0, 1)
        found = np.reshape(
            [
                numbers(page)[f"y[0,{r},{c},{f}]"]
                for f in range(2)
                for r in range(3)
                for c in range(3)
            ],
            (2, 3, 3),
        )
        assert found.tolist() == expected.tolist()
    else:
        assert matrix(page) == expected.ravel().tolist()


def test_sliders_and_fields_change_sizes_together_or_alone(explorer):
    page = explorer()
    page.get_by_label("input, height", exact=True).fill("5")
    assert page.get_by_label("input, width", exact=True).input_value() == "5"
    page.get_by_label("change height and width together").uncheck()
    page.get_by_label("input, width, slider").fill("7")
    assert page.get_by_label("input, height", exact=True).input_value() == "5"
    assert shown_settings(page)["input"]["shape"] == [1, 5, 7, 1]
    page.get_by_label("stride, height", exact=True).fill("2")
    page.get_by_label("dilation, width", exact=True).fill("3")
    page.get_by_label("input channels", exact=True).fill("2")
    page.get_by_label("groups", exact=True).fill("2")
    page.get_by_label("filters", exact=True).fill("4")
    page.get_by_label("add a bias").check()
    page.locator("select:near(:text('padding'))").last.select_option("same")
    settings = shown_settings(page)
    assert settings["strides"] == [2, 1]
    assert settings["dilation"] == [1, 3]
    assert settings["kernel"]["shape"] == [2, 2, 1, 4]
    assert (settings["groups"], settings["padding"], settings["bias"]) == (2, "same", [1] * 4)
    assert numbers(page) == _cells(explained(settings)["explanation"]["records"][0]["result"])


def test_a_number_out_of_range_is_told_and_changes_nothing(explorer):
    page = explorer()
    field = page.get_by_label("kernel, height", exact=True)
    for text in ("0", "1.5", "", "99"):
        field.fill(text)
        assert field.get_attribute("aria-invalid") == "true"
        assert page.get_by_text("Give a whole number from 1 to 32.").is_visible()
        assert matrix(page) == [19, 25, 37, 43]
    field.fill("3")
    assert field.get_attribute("aria-invalid") == "false"
    assert page.get_by_text("Give a whole number from 1 to 32.").is_hidden()


def test_pasted_numbers_become_the_input_and_the_kernel(explorer):
    page = explorer()
    page.get_by_label("numbers of the input").fill("1\t2\t3\t4\n5\t6\t7\t8")
    assert page.get_by_text("Read as 2 rows, 4 columns, 1 channel.").is_visible()
    assert matrix(page, "input") == [1, 2, 3, 4, 5, 6, 7, 8]
    page.get_by_label("numbers of the kernel").fill("np.array([[1, 0, -1]])")
    assert matrix(page) == [-2, -2, -2, -2]
    assert page.get_by_label("kernel, width", exact=True).input_value() == "3"


def test_bad_text_keeps_the_last_good_numbers(explorer):
    page = explorer()
    area = page.get_by_label("numbers of the kernel")
    area.fill("0 1\n2 three")
    told = "Line 2, number 2: “three” is no number. The last good numbers stay."
    assert page.get_by_text(told).is_visible()
    assert area.get_attribute("aria-invalid") == "true"
    assert area.input_value() == "0 1\n2 three"
    assert matrix(page) == [19, 25, 37, 43]
    area.fill("0,  1\n2,  4")
    assert area.input_value() == "0,  1\n2,  4"
    assert area.get_attribute("aria-invalid") == "false"
    assert matrix(page) == [23, 30, 44, 51]
    area.fill("0 1\n2 three")
    page.get_by_role("button", name="ones", exact=True).click()
    assert area.input_value() == "1 1\n1 1"
    assert area.get_attribute("aria-invalid") == "false"


def test_countless_brackets_are_told(explorer):
    page = explorer()
    page.get_by_label("numbers of the kernel").fill("[" * 20_000)
    assert page.get_by_text("There are too many brackets within brackets.").is_visible()


def test_a_result_too_large_is_refused_at_once(explorer):
    """Not made first, which stops the page for many seconds."""
    page = explorer()
    began = time.monotonic()
    fragment = "operation=conv2d_transpose&input=1,2,2,1:1,2,3,4&kernel=1,1,1,1:1"
    page.evaluate(f"window.location.hash = '{fragment}&strides=4096,4096'")
    page.get_by_text("the page shows at most 20,000").wait_for()
    assert time.monotonic() - began < 4


def test_a_product_too_large_is_infinite(explorer):
    page = explorer("#operation=conv2d&input=1,1,1,1:1e308&kernel=1,1,1,1:1e308")
    assert matrix(page) == [float("inf")]


def test_what_does_not_fit_is_explained_and_mended_by_a_button(explorer):
    page = explorer()
    page.get_by_label("change height and width together").uncheck()
    page.get_by_label("kernel, height", exact=True).fill("5")
    misfit = page.locator(".misfit")
    python = explained(shown_settings(page))["error"]
    assert misfit.locator("p").inner_text() == f"{python} The picture stays as it was."
    assert "spans 5 pixels, but the height has only 3" in python
    assert page.locator(".picture.stale").count() == 1
    assert matrix(page) == [19, 25, 37, 43]
    assert misfit.locator("button").all_inner_texts() == [
        "use a kernel of 3 rows",
        "use padding 1 above and below",
        "use an input of 5 rows",
    ]
    misfit.get_by_role("button", name="use padding 1 above and below").click()
    assert misfit.is_hidden()
    assert page.locator(".stale").count() == 0
    settings = shown_settings(page)
    assert settings["padding"] == [[1, 1], [0, 0]]
    assert numbers(page) == _cells(explained(settings)["explanation"]["records"][0]["result"])
    assert page.evaluate("document.activeElement.className") == "summary"


def test_groups_that_do_not_divide_are_explained(explorer):
    page = explorer()
    page.get_by_role("button", name="Transposed 2×2", exact=True).click()
    page.get_by_label("groups", exact=True).fill("2")
    assert (
        page.locator(".misfit p")
        .inner_text()
        .startswith(
            "conv2d_transpose: groups=2 must divide the 1 input channels and the 1 filters; fitting"
        )
    )
    page.get_by_role("button", name="use 1 group").click()
    assert matrix(page)[:3] == [0, 0, 1]


def test_an_image_of_other_channels_is_explained(explorer):
    page = explorer()
    page.get_by_label("numbers of the input").fill("1 2\n3 4\n\n5 6\n7 8")
    assert "x has 2 channels, but the kernel takes 1" in page.locator(".misfit p").inner_text()
    page.get_by_role("button", name="use a kernel for 2 channels").click()
    assert shown_settings(page)["kernel"]["shape"] == [2, 2, 2, 1]
    assert matrix(page) == [(2 + 6 + 12) + (6 + 14 + 24)]


def test_too_many_numbers_or_products_are_refused(explorer):
    page = explorer()
    for name, value in (("input, height", "64"), ("input channels", "2")):
        page.get_by_label(name, exact=True).fill(value)
    assert "would have 8192 numbers; at most 4096 are shown." in page.inner_text(".misfit p")
    page.get_by_label("kernel, height", exact=True).fill("7")
    told = page.inner_text(".misfit p")
    assert "the page shows at most 20,000. Use a smaller input" in told
    assert "max_terms" not in told  # an argument of Python, which the page does not have
    page.get_by_role("button", name="use an input of 32 x 32").click()
    page.get_by_role("button", name="use an input of 16 x 16").click()
    assert page.locator(".misfit").is_hidden()
    assert shown_settings(page)["input"]["shape"] == [1, 16, 16, 1]


def test_the_kernel_turned_is_the_kernel_of_true_convolution(explorer):
    page = explorer()
    page.get_by_label("kernel", exact=True).select_option("turned by 180°")
    assert matrix(page) == [1 * 2 + 3 * 1, 3 + 4 + 4, 9 + 8 + 6, 12 + 10 + 7]
    record = explained(shown_settings(page))["explanation"]["records"][0]
    assert record["choice"]["kernel"] == "turned by 180°"
    assert numbers(page) == _cells(record["result"])
    assert page.get_by_text("kernel, turned").is_visible()


def test_the_keyboard_reaches_and_changes_everything(explorer):
    page = explorer()
    page.keyboard.press("Tab")
    reached = []
    for _ in range(120):
        name = page.evaluate(
            """(() => { const e = document.activeElement; return e === document.body ? null :
              (e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent).trim();
            })()"""
        )
        if name is None:
            break
        reached.append(name)
        page.keyboard.press("Tab")
    for name in (
        "3×3 with 2×2",
        "operation",
        "input, height",
        "input, height, slider",
        "filters",
        "random numbers",
        "numbers of the input",
        "numbers of the kernel",
        "add a bias",
        "stride, width",
        "padding",
        "dilation, height",
        "groups",
        "Play",
        "minicnn",
        "copy",
    ):
        assert any(name in seen for seen in reached), f"{name} is not in {reached}"
    page.get_by_label("kernel, height, slider").focus()
    page.keyboard.press("ArrowLeft")
    assert shown_settings(page)["kernel"]["shape"][:2] == [1, 1]
    page.get_by_role("radio", name="minicnn").focus()
    page.keyboard.press("ArrowRight")
    assert "from keras import ops" in page.inner_text(".programs pre")
    page.get_by_role("button", name="Max-pool", exact=True).focus()
    page.keyboard.press("Enter")
    assert matrix(page) == [5, 9, 8, 3]


def test_programs_follow_the_settings_and_can_be_copied(explorer):
    page = explorer()
    code = page.locator(".programs pre")
    found = {}
    exec(code.inner_text().replace("print(y)", ""), found)
    assert found["y"].ravel().tolist() == matrix(page)
    page.get_by_role("radio", name="PyTorch").check()
    page.get_by_role("button", name="Checkerboard 3/2", exact=True).click()
    assert "F.conv_transpose2d(" in code.inner_text()
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject())")
    page.get_by_role("button", name="copy").click()
    page.get_by_text("Selected: copy it").wait_for()
    selected = page.evaluate("getSelection().toString()")
    assert selected.strip() == code.inner_text().strip()


def test_a_link_opens_its_settings(explorer):
    fragment = (
        "#operation=conv2d_transpose&input=1,1,2,1:1,2&kernel=1,3,1,1:1,2,3&strides=1,2&bias=1"
        "&padding=0,0,1,0&output_padding=0,1"
    )
    page = explorer(fragment)
    assert page.get_by_label("kernel, width", exact=True).input_value() == "3"
    assert not page.get_by_label("change height and width together").is_checked()
    python = explained(shown_settings(page))["explanation"]["records"][0]["result"]
    assert numbers(page) == _cells(python)
    page.evaluate("location.hash = '#operation=upsample2d&input=1,1,2,1:3,4&size=1,2'")
    page.get_by_role("heading", name="upsample2d").wait_for()
    assert matrix(page) == [3, 3, 4, 4]
    page.get_by_label("factor, width", exact=True).fill("3")
    page.wait_for_url("**/*size=1,3&interpolation=nearest")
    page.reload()
    assert matrix(page) == [3, 3, 3, 4, 4, 4]


@pytest.mark.parametrize(
    ("fragment", "told"),
    [
        ("#operation=<b>bold</b>", "“<b>bold</b>” is none of conv2d"),
        ("#operation=conv2d&input=1,2,2,1:1,2,3", "input: 3 numbers are no array 1,2,2,1"),
        ("#operation=max_pool2d&input=2,1,1,1:1,2", "input: give one image"),
        ("#operation=max_pool2d&input=1,1,1,1:x", "“x” are no numbers"),
        (
            "#operation=max_pool2d&input=1,1,1,1:1&strides=0,1",
            "“0,1” are not 2 whole numbers from 1",
        ),
        ("#%E0", "The address could not be read"),
    ],
)
def test_an_address_that_cannot_be_read_is_told(explorer, fragment, told):
    page = explorer(fragment)
    assert told in page.inner_text(".misfit p")
    assert matrix(page) == [19, 25, 37, 43]
    assert page.locator("b").count() == 0


def test_text_never_becomes_markup(explorer):
    page = explorer()
    evil = "<img src=x onerror=alert(1)></textarea><script>alert(2)</script>"
    for label in ("numbers of the input", "numbers of the kernel"):
        page.get_by_label(label).fill(evil)
    assert page.get_by_text("The last good numbers stay.").count() == 2
    assert page.locator("img, .controls script").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, NARROW["viewport"]])
def test_no_barrier_is_found_by_axe(explorer, axe, scheme, size):
    page = explorer(color_scheme=scheme, viewport=size)
    page.evaluate(axe)
    for step in ("as it begins", "with a sentence"):
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        told = [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in found["violations"]]
        assert told == [], step
        page.get_by_label("kernel, height", exact=True).fill("7")
        page.get_by_label("numbers of the input").fill("one")


def test_a_phone_shows_everything_without_scrolling_sideways(open_page, page_text):
    page = open_page(page_text, **NARROW)
    fits = "document.documentElement.scrollWidth <= 390"
    assert page.evaluate(fits)
    assert page.get_by_label("numbers of the input").is_hidden()
    assert "3\xa0×\xa03" in page.locator(".group", has_text="Input").first.inner_text()
    page.get_by_text("Start from").tap()
    for name in page.locator("[aria-label=presets] button").all_inner_texts():
        page.get_by_role("button", name=name, exact=True).tap()
        assert page.evaluate(fits), name
    page.evaluate("document.querySelectorAll('.group').forEach((g) => { g.open = true; })")
    assert page.evaluate(fits)
    small = page.evaluate(
        """[...document.querySelectorAll(".explorer button, .explorer select, .explorer summary")]
          .filter((e) => e.offsetParent && e.offsetHeight < 24).map((e) => e.textContent)"""
    )
    assert small == []


def test_it_works_in_the_frame_of_a_notebook(open_page, page_text):
    page = open_page(
        f'<!doctype html><title>notebook</title><iframe title="explorer" width="800" '
        f'height="700" srcdoc="{html.escape(page_text)}"></iframe>'
    )
    frame = page.frame_locator("iframe")
    frame.get_by_text("Start from").click()
    frame.get_by_role("button", name="Max-pool", exact=True).click()
    texts = frame.locator('.panel[data-role="output"] .cell').all_inner_texts()
    assert texts == ["5", "9", "8", "3"]


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path, page_text):
    path = tmp_path / "explorer.html"
    write_explorer(path)
    assert path.read_text(encoding="utf-8") == page_text
    assert "default-src 'none'" in page_text
    for outside in ("src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest", "innerHTML"):
        assert outside not in page_text, outside
    with pytest.raises(OutputError, match="nowhere"):
        write_explorer(tmp_path / "nowhere" / "explorer.html")
