"""The page in use: pointing, pinning, walking, links, keys, colours, narrow pages, audits."""

import json
import re

import numpy as np
import pytest

import minicnn as mc
from minicnn.errors import ArgumentError, OutputError
from minicnn.explain.readings.page import notebook_html
from tests.explain.test_page import plain
from tests.helpers import rng_integers

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.fixture(scope="module")
def explanation():
    """Two channels and a bias, padded, with different sizes along height and width."""
    x, kernel = rng_integers(0, (1, 4, 5, 2)), rng_integers(1, (2, 3, 2, 1))
    padding = ((1, 0), (0, 0))
    return mc.explain("conv2d", x, kernel, np.array([1.0]), strides=(2, 1), padding=padding)


@pytest.fixture(scope="module")
def html(explanation):
    return explanation.html()


@pytest.fixture
def page(open_page, html):
    return open_page(html)


def cell(page, label):
    """The cell of an element, e.g. of `x[0,1,2,0]`."""
    return page.locator(f"[role=gridcell][aria-label^='{label.replace('-', '−')} = ']")


def labels(page, mark):
    cells = page.locator(f".cell.{mark}").evaluate_all(
        "cells => cells.map((cell) => cell.getAttribute('aria-label').split(' = ')[0])"
    )
    return {plain(name) for name in cells}


def place(page):
    return page.locator("output").first.text_content()


def until(page, condition):
    """Wait for a condition in the page. Its security policy forbids Playwright's own way."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def uses(record, operand, index):
    """The names of all that an operand's element enters and meets, and its own."""
    panel = record.operands[operand]
    found = {panel.label(panel.flat(index))}
    for result, term in record.uses(operand, panel.flat(index)):
        found.add(record.result.label(result))
        found |= {p.label(i) for p, i in (record.elements(result)[term] if term >= 0 else [])}
    return found


# Pointing and pinning


@pytest.mark.parametrize(
    ("operand", "index"),
    [(0, (0, 1, 2, 1)), (0, (0, -1, 2, 0)), (1, (1, 0, 1, 0)), (2, (0,))],
)
def test_an_operand_shows_all_its_uses(page, explanation, operand, index):
    record = explanation.records[0]
    panel = record.operands[operand]
    name, found = panel.label(panel.flat(index)), record.uses(operand, panel.flat(index))
    cell(page, name).hover()
    assert labels(page, "on") == uses(record, operand, index)
    assert labels(page, "question") == {name}
    text = plain(page.text_content(".sum .uses"))
    count = "once" if len(found) == 1 else f"{len(found)} times"
    verb = "is added" if operand == 2 else "is used"
    assert re.search(rf"{re.escape(name)} = \S+ (padding, )?{verb} {count}: in ", text)
    assert text.count("y[") == len(found)
    assert text.count(" times ") == sum(term >= 0 for _, term in found)


def test_an_element_that_nothing_meets_says_so(page):
    # With stride 2 from -1 on, two rows at a time: rows -1 to 0, 1 to 2; row 3 is left over.
    cell(page, "x[0,3,0,1]").hover()
    assert page.text_content(".sum").endswith("is never used.")


def test_the_result_shows_its_field_without_moving_the_step(page, explanation):
    record = explanation.records[0]
    cell(page, "y[0,1,2,0]").hover()
    meeting = record.elements(record.cell((0, 1, 2, 0)))
    expected = {panel.label(flat) for term in meeting for panel, flat in term}
    assert labels(page, "on") == expected | {"y[0,1,2,0]", "bias[0]"}
    assert page.text_content(".sum .equation").startswith("y[0,1,2,0] = ")
    assert place(page) == "1 / 6"
    page.locator("h1").hover()
    assert page.text_content(".sum .equation").startswith("y[0,0,0,0] = ")


def test_a_click_pins_and_a_second_one_lets_go(page):
    cell(page, "kernel[1,0,1,0]").click()
    cell(page, "x[0,1,2,1]").hover()
    assert labels(page, "question") == {"kernel[1,0,1,0]"}
    assert labels(page, "pinned") == {"kernel[1,0,1,0]"}
    assert page.locator("[aria-selected=true]").count() == 1
    assert "pinned" in page.text_content(".badge")
    until(page, "document.querySelector('.spoken').textContent.startsWith('Pinned. ')")
    cell(page, "kernel[1,0,1,0]").click()
    page.locator("h1").hover()
    assert page.locator(".badge, .pinned").count() == 0
    until(page, "!document.querySelector('.spoken').textContent.startsWith('Pinned')")


def test_a_pin_goes_with_escape_and_with_the_next_step(page):
    cell(page, "bias[0]").click()
    page.keyboard.press("Escape")
    assert page.locator(".pinned").count() == 0
    cell(page, "bias[0]").click()
    page.get_by_label("next step").click()
    assert page.locator(".pinned").count() == 0
    assert labels(page, "question") == {"y[0,0,1,0]"}


def test_a_pinned_element_of_the_result_is_the_step(page):
    cell(page, "y[0,1,1,0]").click()
    assert place(page) == "5 / 6"
    page.locator("h1").hover()
    assert labels(page, "pinned") == {"y[0,1,1,0]"}


def test_a_tap_pins(open_page, html):
    page = open_page(html, **PHONE)
    cell(page, "y[0,1,2,0]").tap()
    assert labels(page, "pinned") == {"y[0,1,2,0]"}
    cell(page, "y[0,1,2,0]").tap()
    assert labels(page, "pinned") == set()


def test_the_turned_kernel_lights_up_with_the_kernel(open_page):
    page = open_page(mc.explain("convolve2d", [[1, 2, 3], [4, 5, 6]], [[1, 2], [3, 4]]).html())
    cell(page, "kernel, turned[0,0]").hover()
    assert {"kernel[1,1]", "kernel, turned[0,0]"} <= labels(page, "question")
    assert page.text_content(".sum .uses").startswith("kernel, turned[0,0] is kernel[1,1] = 4 ")


# Walking


def test_the_buttons_walk(page):
    press = lambda name: page.get_by_label(f"{name} step").click()  # noqa: E731
    press("next")
    assert (place(page), labels(page, "question")) == ("2 / 6", {"y[0,0,1,0]"})
    press("last")
    assert place(page) == "6 / 6"
    press("next")
    assert place(page) == "6 / 6"
    press("previous")
    assert place(page) == "5 / 6"
    press("first")
    assert place(page) == "1 / 6"
    press("previous")
    assert place(page) == "1 / 6"


def test_playing_walks_to_the_end_and_stops(page):
    page.get_by_label("speed").select_option("very fast")
    page.get_by_role("button", name="Play").click()
    assert page.get_by_role("button", name="Pause").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Play").wait_for()
    assert place(page) == "6 / 6"
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").click()
    assert int(place(page).split(" ")[0]) < 6, "it begins anew"


def test_what_is_spoken_follows_the_reader_and_not_fast_play(page):
    spoken = page.locator(".spoken")
    assert spoken.get_attribute("aria-live") == "polite"
    page.evaluate(
        "window.said = []; new MutationObserver(() => said.push("
        "document.querySelector('.spoken').textContent)).observe("
        "document.querySelector('.spoken'), {childList: true})"
    )
    page.get_by_label("speed").select_option("very fast")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Play").wait_for()
    until(page, "said.length > 0")
    said = page.evaluate("said")
    assert len(said) == 1
    assert said[0].startswith("y[0,1,2,0] = ")


def test_choices_change_the_record_and_fall_back_to_the_nearest(page):
    pick = lambda name: page.get_by_role("radio", name=name, exact=True).check(force=True)  # noqa: E731
    pick("turned by 180°")
    pick("gradient of x")
    assert page.text_content("h1") == "conv2d, gradient of x"
    assert page.locator(".panel h2").all_text_contents()[2].startswith("kernel, turned")
    pick("gradient of bias")
    assert page.text_content("h1") == "conv2d, gradient of bias"
    assert page.get_by_role("radio", name="turned by 180°").is_checked()


def test_a_choice_that_does_not_exist_leads_to_the_nearest_record(open_page, explanation):
    some = [
        r
        for r in explanation.records
        if tuple(r.choice.values())
        in {("forward", "as it stands"), ("gradient of x", "turned by 180°")}
    ]
    page = open_page(type(explanation)("conv2d", tuple(some)).html())
    page.get_by_role("radio", name="gradient of x").check(force=True)
    assert page.text_content("h1") == "conv2d, gradient of x"
    assert page.get_by_role("radio", name="turned by 180°").is_checked()


def test_a_choice_that_a_record_does_not_have_is_not_offered(open_page):
    layer = mc.layers.Conv2D(2, (2, 3), activation="relu")
    page = open_page(mc.explain(layer, rng_integers(0, (1, 3, 4, 1), "float32")).html())
    turned = page.get_by_role("radio", name="turned by 180°")
    turned.check(force=True)
    page.get_by_role("radio", name="relu").check(force=True)
    assert page.text_content("h1") == "relu"
    assert turned.count() == 0
    page.get_by_role("radio", name="gradient of kernel").check(force=True)
    assert page.text_content("h1") == "conv2d, gradient of kernel"
    assert turned.count() == 1


def test_padding_can_be_hidden(page):
    assert page.locator(".cell.outside").count() == 10
    full = page.text_content(".sum .equation")
    page.get_by_role("radio", name="hidden").check(force=True)
    assert page.locator(".cell.outside").count() == 0
    assert "[+ 6 products with padding, 0]" in page.text_content(".sum .equation")
    page.get_by_role("radio", name="shown").check(force=True)
    assert page.text_content(".sum .equation") == full
    style = "(e) => [getComputedStyle(e).borderTopStyle, getComputedStyle(e).backgroundImage]"
    border, image = page.locator(".cell.outside").first.evaluate(style)
    assert border == "dashed"
    assert "gradient" in image


def test_a_new_explanation_keeps_what_was_chosen(page, explanation):
    page.evaluate("document.querySelector('main').replaceChildren()")
    page.evaluate(
        "(e) => { window.viewer = minicnnViewer.mount(document.querySelector('main'), e, "
        "{level: 2, theme: false, link: false}) }",
        explanation.to_json(),
    )
    assert page.locator("h1, .theme").count() == 0
    page.get_by_role("radio", name="gradient of x").check(force=True)
    cell(page, "dx[0,2,3,1]").click()
    page.mouse.move(0, 0)
    x, kernel = rng_integers(5, (1, 6, 5, 2)), rng_integers(6, (2, 2, 2, 1))
    other = mc.explain("conv2d", x, kernel)
    page.evaluate("(e) => viewer.update(e)", other.to_json())
    assert page.text_content("h2") == "conv2d, gradient of x"
    assert labels(page, "question") == {"dx[0,2,3,1]"}
    assert page.get_by_role("radio", name="gradient of x").is_checked()
    assert page.evaluate("viewer.element.className") == "minicnn-viewer"


# Links


def test_a_link_leads_to_a_step(open_page, html):
    fragment = "#step=3&direction=gradient+of+x&kernel=turned+by+180%C2%B0&term=2"
    page = open_page(html, fragment)
    assert page.text_content("h1") == "conv2d, gradient of x"
    assert place(page) == "3 / 40"
    assert page.text_content(".so-far").startswith("Term 2 of")
    page.evaluate("location.hash = '#step=4&reading=scatter&padding=hidden'")
    until(page, "document.querySelector('output').textContent.startsWith('4 ')")
    assert page.get_by_role("radio", name="scatter").is_checked()
    assert page.get_by_role("radio", name="hidden").is_checked()


def test_the_address_follows_the_step(page):
    page.get_by_role("radio", name="gradient of kernel").check(force=True)
    page.get_by_label("next step").click()
    until(page, "location.hash.startsWith('#step=2&')")
    fields = page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")
    assert fields == {
        "step": "2",
        "direction": "gradient of kernel",
        "kernel": "as it stands",
    }
    assert page.evaluate("history.length") <= 2


@pytest.mark.parametrize(
    "fragment", ["#step=-4&term=x", "#step=99999", "#step=&direction=up", "#a"]
)
def test_a_link_that_leads_nowhere_shows_something(open_page, html, fragment):
    page = open_page(html, fragment)
    assert page.locator(".cell.question").count() == 1


def test_a_link_to_a_term_of_a_formula_shows_the_formula(open_page):
    page = open_page(mc.explain("relu", [1.0, -2.0]).html(), "#step=2&term=1")
    assert page.inner_text(".sum") == "y[1] = max(−2, 0) = 0"


def test_a_copy_is_told_by_where_it_comes_from(open_page):
    x = np.array([[1.0, -7.0]])[None, :, :, None]
    page = open_page(mc.explain("max_pool2d", x, (1, 2)).html(), "#step=1&direction=gradient+of+x")
    assert page.inner_text(".sum") == "dx[0,0,0,0] = dy[0,0,0,0] = 1"
    page.get_by_label("next step").click()
    assert page.inner_text(".sum") == "dx[0,0,1,0] = 0"


def test_padding_that_meets_infinity_is_not_called_zero(open_page):
    e = mc.explain(mc.cross_correlate2d, [[1.0, 2.0]], [[np.inf, 1.0]], "full")
    page = open_page(e.html(), "#step=1&padding=hidden")
    assert page.inner_text(".sum") == "y[0,0] = 1×1 [+ 1 product with padding, NaN] = NaN"


def test_nan_is_the_largest_as_in_numpy(open_page):
    x = np.array([[2.0, np.nan]])[None, :, :, None]
    page = open_page(mc.explain("max_pool2d", x, (1, 2)).html())
    assert labels(page, "winner") == {"x[0,0,1,0]"}


# Keys

#: A name for what has the focus.
FOCUSED = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  const group = e.closest("fieldset");
  if (group) return "choice " + group.querySelector("legend").textContent;
  if (e.getAttribute("role") === "gridcell") {
    return "grid " + e.closest("[role=grid]").getAttribute("aria-label");
  }
  return e.getAttribute("aria-label") || e.textContent;
}"""

#: Everything that must be reachable, counted in the page itself.
CONTROLS = """() => [
  ...[...document.querySelectorAll("fieldset legend")].map((e) => "choice " + e.textContent),
  ...[...document.querySelectorAll("[role=grid]")].map(
    (e) => "grid " + e.getAttribute("aria-label")),
  ...[...document.querySelectorAll("button, select, input[type=range], summary, .sum")].map(
    (e) => e.getAttribute("aria-label") || e.textContent),
]"""


def test_the_tab_key_reaches_every_control_once(page):
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None or focused in reached:
            break
        reached.append(focused)
    expected = page.evaluate(CONTROLS)
    assert sorted(reached) == sorted(expected)
    assert len(expected) == 4 + 6 + 6 + 2 + 2 + 1
    assert all(reached)


def test_every_control_obeys_the_keyboard(page):
    def focus(name):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(FOCUSED) == name:
                return
        raise AssertionError(f"{name} is not reached")

    press, scheme = page.keyboard.press, "document.documentElement.dataset.theme"
    focus("Dark colours")
    press("Enter")
    assert page.evaluate(scheme) == "dark"
    focus("choice direction")
    press("ArrowRight")
    assert page.text_content("h1") == "conv2d, gradient of x"
    press("ArrowLeft")
    focus("choice kernel")
    press("ArrowRight")
    assert page.get_by_role("radio", name="turned by 180°").is_checked()
    press("ArrowLeft")
    focus("choice reading")
    press("ArrowRight")
    assert place(page) == "1 / 41"
    press("ArrowLeft")
    focus("choice padding")
    press("ArrowRight")
    assert page.locator(".cell.outside").count() == 0
    press("ArrowLeft")
    focus("last step")
    press("Enter")
    assert place(page) == "6 / 6"
    focus("speed")
    press("ArrowDown")
    assert page.get_by_label("speed").input_value() == "fast"
    focus("step")
    press("Home")
    press("ArrowRight")
    assert place(page) == "2 / 6"
    focus("term")
    press("ArrowRight")
    assert page.text_content(".so-far").startswith("Term 1 of 13, x[0,−1,1,0] × kernel[0,0,0,0]")
    focus("How to use this page")
    press("Enter")
    assert page.locator("details dl").is_visible()
    focus("Play")
    press(" ")
    assert page.get_by_role("button", name="Pause").is_visible()


def test_the_keys_of_a_grid(page):
    page.get_by_label("term").focus()
    page.keyboard.press("Tab")  # the arithmetic
    page.keyboard.press("Tab")  # the first grid, at the element in question or its first one
    focused = lambda: page.evaluate("document.activeElement.getAttribute('aria-label')")  # noqa: E731
    keys = ["ArrowDown", "ArrowRight", "ArrowUp", "End", "ArrowRight", "ArrowDown", "Home"]
    places = ["0,0", "0,1", "−1,1", "−1,4", "−1,4", "0,4", "0,0"]
    for key, at in zip(keys, places, strict=True):
        page.keyboard.press(key)
        assert focused().startswith(f"x[0,{at},0] = ")
        assert labels(page, "question") == {f"x[0,{plain(at)},0]"}
    page.keyboard.press("Control+End")
    assert focused().startswith("x[0,3,4,0] = ")
    page.keyboard.press("Enter")
    assert labels(page, "pinned") == {"x[0,3,4,0]"}
    page.keyboard.press("Control+Home")
    assert labels(page, "question") == {"x[0,3,4,0]"}, "the pin holds"
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert focused().startswith("x[0,−1,0,0] = "), "one stop for each grid, where it was left"
    page.keyboard.press("Escape")
    assert labels(page, "question") == {"x[0,-1,0,0]"}
    page.keyboard.press(" ")
    assert labels(page, "pinned") == {"x[0,-1,0,0]"}


def test_shortcuts_walk_where_no_control_has_the_focus(page):
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert place(page) == "2 / 6"
    page.keyboard.press(" ")
    assert page.get_by_role("button", name="Pause").is_visible()
    page.keyboard.press(" ")
    assert page.get_by_role("button", name="Play").is_visible()
    page.get_by_label("speed").focus()
    page.keyboard.press("ArrowLeft")
    assert place(page) == "2 / 6"


# Colours, sizes, frames

#: The least contrast of any text to what it stands on, hatching included, and how many were seen.
CONTRAST = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = channels(colour).slice(0, 3).map((v) => {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const grounds = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const { backgroundColor, backgroundImage } = getComputedStyle(e);
      const stripes = backgroundImage.match(/rgba?\\([^)]*\\)/g) ?? [];
      const solid = [backgroundColor, ...stripes].filter((c) => channels(c)[3] !== 0);
      if (solid.length) return solid;
    }
    return ["rgb(255, 255, 255)"];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let [least, seen] = [[21, ""], 0];
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility()) continue;
    if (e.closest("script, .spoken")) continue;
    const text = light(getComputedStyle(e).color);
    for (const ground of grounds(e).map(light)) {
      const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
      if (ratio < least[0]) least = [ratio, e.className + ": " + walker.currentNode.data];
    }
    seen += 1;
  }
  return [...least, seen];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_both_schemes(open_page, html, scheme):
    page = open_page(html, color_scheme=scheme)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    page.locator("summary").click()
    for fragment in ("#step=2&term=9", "#step=2&direction=gradient+of+x&reading=scatter&term=3"):
        page.evaluate(f"location.hash = '{fragment}'")
        until(page, "document.querySelector('.cell.ahead')")
        page.wait_for_timeout(200)  # the colours of the cells change in an eighth of a second
        least, where, seen = page.evaluate(CONTRAST)
        assert least >= 4.5, where
        assert seen > 150
    page.locator(".cell.outside").first.click()
    page.wait_for_timeout(200)
    least, where, _ = page.evaluate(CONTRAST)
    assert least >= 4.5, where


def test_the_button_exchanges_light_and_dark(open_page, html):
    page = open_page(html, color_scheme="dark")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light colours").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Dark colours").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == before


def test_reduced_motion_plays_without_transitions(open_page, html):
    duration = "getComputedStyle(document.querySelector('.cell')).transitionDuration"
    assert open_page(html).evaluate(duration) != "0s"
    page = open_page(html, reduced_motion="reduce")
    assert page.evaluate(duration) == "0s"
    page.get_by_label("speed").select_option("very fast")
    page.get_by_role("button", name="Play").click()
    until(page, "document.querySelector('output').textContent === '6 / 6'")


def wide():
    """An image too wide for a phone."""
    x, kernel = rng_integers(0, (1, 3, 40, 1)), rng_integers(1, (2, 3, 1, 2))
    return mc.explain("conv2d", x, kernel, max_terms=3000)


def test_a_phone_shows_all_without_sideways_scrolling(open_page, html):
    for shown in (html, wide().html()):
        page = open_page(shown, **PHONE)
        page.locator("summary").click()
        width = "document.documentElement.scrollWidth"
        assert page.evaluate(width) <= 390
        beyond = page.evaluate(
            """[...document.querySelectorAll(".minicnn-viewer *")].filter((e) =>
              !e.closest(".box, .spoken") && e.getBoundingClientRect().right > 390.5
            ).map((e) => e.outerHTML.slice(0, 80))"""
        )
        assert beyond == []
    assert page.evaluate("document.querySelector('.box').scrollWidth > 390")
    page.get_by_label("last step").click()
    right = cell(page, "x[0,2,39,0]").bounding_box()
    assert 0 < right["x"] < 390 - right["width"] / 2, "its box has moved to the field"


def test_it_works_in_a_notebook(open_page, explanation):
    frame = open_page(f"<title>notebook</title>{explanation._repr_html_()}", "#step=3").frames[1]
    frame.wait_for_selector(".sum")
    assert place(frame) == "1 / 6", "the notebook's address is its own"
    frame.get_by_label("next step").click()
    assert place(frame) == "2 / 6"
    cell(frame, "kernel[0,0,0,0]").click()
    assert labels(frame, "pinned") == {"kernel[0,0,0,0]"}
    page = frame.page
    page.wait_for_timeout(300)
    assert page.url.endswith("#step=3")


def test_it_prints_its_arithmetic_without_controls(page):
    page.emulate_media(media="print")
    assert page.locator(".sum .equation").is_visible()
    assert page.locator(".cell").first.is_visible()
    assert not page.locator(".walk, .choices, .theme, details").first.is_visible()


def test_it_prints_dark_on_light(open_page, html):
    page = open_page(html, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(ground) == before


AUDIT = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})"


@pytest.mark.parametrize(
    "settings",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, PHONE],
    ids=["light", "dark", "phone"],
)
def test_an_audit_finds_nothing_that_shuts_readers_out(open_page, html, axe, settings):
    page = open_page(html, "#step=2&term=3", **settings)
    page.locator("summary").click()
    cell(page, "kernel[0,0,0,0]").click()
    page.wait_for_timeout(600)
    page.evaluate(axe)
    found = page.evaluate(AUDIT)
    broken = [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"]]
    assert broken == []
    assert len(found["passes"]) > 20


# Python's side


def test_the_page_holds_the_record_and_nothing_from_elsewhere(html, explanation):
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)[1]
    assert json.loads(data) == explanation.to_json()
    addresses = set(re.findall(r"https?://[^\"' ]+", html))
    assert addresses == {"http://www.w3.org/2000/svg"}, "the name of SVG, which nobody fetches"


def test_save_writes_by_the_ending(tmp_path, explanation):
    explanation.save(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8").strip() == explanation.html().strip()
    explanation.save(str(tmp_path / "a.JSON"))
    assert json.loads((tmp_path / "a.JSON").read_text()) == explanation.to_json()
    explanation.save(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == explanation.text() + "\n"
    with pytest.raises(ArgumentError, match=r"save\('a.doc'\): .* \.html, \.json, \.txt"):
        explanation.save("a.doc")
    with pytest.raises(OutputError, match="cannot write"):
        explanation.save(tmp_path / "nowhere" / "a.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.JSON", "a.html", "a.txt"]


def test_the_height_of_a_frame_is_checked(explanation):
    assert "height: 300px" in notebook_html("sum", explanation.html(), height=300)
    for height in (0, True, "300px"):
        with pytest.raises(ArgumentError, match=r"height=.* positive integer"):
            notebook_html("sum", explanation.html(), height=height)


def test_shares_and_biases_count_as_rounded_in_text_too():
    third = mc.explain("upsample2d", np.ones((1, 1, 2, 1)), (1, 3), "bilinear")
    assert "≈" in third.text((0, 0, 2, 0))
    bias = mc.explain("conv2d", np.ones((1, 1, 2, 1)), np.ones((1, 1, 1, 1)), np.array([1 / 3]))
    assert "≈" in bias.text((0, 0, 0, 0))
