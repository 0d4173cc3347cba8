"""The page's arithmetic: every sum is read back from it and evaluated, every mark compared."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

import minicnn as mc
from minicnn.explain.course.worked import slide_examples
from minicnn.explain.explanation import Explanation
from minicnn.explain.readings.text import line, parts
from minicnn.explain.records.convolution import TURNED
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import make_record
from tests.explain.reading import evaluate, read
from tests.helpers import rng_integers

SLIDES = {e["id"]: e for e in slide_examples()}

#: Choose a record, then walk through all its steps and return what each shows.
WALK = """([choice, reading, padding, terms]) => {
  const viewer = document.querySelector(".minicnn-viewer");
  const pick = (legend, value) => {
    const groups = [...viewer.querySelectorAll("fieldset")];
    const group = groups.find((g) => g.querySelector("legend").textContent === legend);
    const input = [...(group?.querySelectorAll("input") ?? [])].find((i) => i.value === value);
    if (input && !input.checked) input.click();
  };
  for (const [key, value] of Object.entries(choice)) pick(key, value);
  pick("reading", reading);
  for (const name of ["padding", "cropped", "padding and cropped"]) pick(name, padding);
  const [steps, parts] = viewer.querySelectorAll("input[type=range]");
  const move = (slider, value) => {
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
  };
  const name = (cell) => cell.getAttribute("aria-label").split(" = ")[0];
  const texts = (selector) => [...viewer.querySelectorAll(selector)].map((e) => e.textContent);
  const cells = (mark) => [...viewer.querySelectorAll(".cell." + mark)].map(name);
  const result = () => [...viewer.querySelectorAll(".panel.result .cell")].map((e) => [
    name(e), e.getAttribute("aria-label").split(" = ")[1].split(/,| so/)[0]]);
  const found = [];
  for (let step = 1; step <= steps.max; step += 1) {
    move(steps, step);
    const seen = {
      sums: texts(".sum .equation"), partial: texts(".sum .partial"), laid: texts(".sum .laid"),
      on: cells("on"), question: cells("question"), winner: cells("winner"), so_far: [],
      place: viewer.querySelector("output").textContent,
    };
    if (reading === "scatter") seen.result = result();
    for (let part = 1; terms && part <= parts.max; part += 1) {
      move(parts, part);
      seen.so_far.push({
        text: texts(".sum .so-far")[0], now: cells("now"), on: cells("on"),
        shown: viewer.querySelector(".panel.result .question")?.textContent,
      });
    }
    found.push(seen);
  }
  return found;
}"""


def walk(page, record, reading="gather", padding="shown", terms=False):
    """What the page shows of each step of a record."""
    return page.evaluate(WALK, [record.choice, reading, padding, terms])


def plain(text):
    """A label or number as Python writes it."""
    return text.replace("−", "-").replace("∞", "inf").replace("NaN", "nan")


def value_of(text):
    return evaluate(text.replace("∞", "inf").replace("NaN", "nan"))


def near(first, second, scale=1.0):
    """Whether numbers are equal up to the digits shown, in a sum of numbers up to `scale`."""
    return first == second or abs(first - second) <= 2e-5 * max(1.0, scale, abs(second))


def scale_of(record, cell):
    """How large the numbers of a sum are that may cancel each other."""
    products = (
        math.prod(abs(float(p.values.flat[i])) for p, i in t) for t in record.elements(cell)
    )
    return sum(products) if record.form == "sum" else 1.0


def marked(record, cell, padding):
    """The names of what meets in an element of the result, and of that element."""
    meeting = [pair for term in record.elements(cell) for pair in term]
    if record.bias is not None:
        operand, cells = record.bias
        meeting.append((record.operands[operand], int(cells[cell])))
    names = {record.result.label(cell)}
    for panel, flat in meeting:
        if padding == "shown" or not panel.is_outside(flat):
            names.add(panel.label(flat))
            for view in record.operands:
                if view.mirror is not None and record.operands[view.mirror[0]] is panel:
                    names.add(view.label(view.mirror[1].ravel().tolist().index(flat)))
    return names


def check_gathered(page, record, padding="shown"):
    """Every step's sums add up to the record's values, and what is marked is what meets."""
    seen = walk(page, record, padding=padding)
    assert len(seen) == len(record.steps)
    for number, (cell, step) in enumerate(zip(record.steps, seen, strict=True), 1):
        value = float(record.result.values.flat[cell])
        (equation,) = step["sums"]
        name, total, shown = read(plain(equation), record)
        assert name == record.result.label(cell)
        scale = scale_of(record, cell)
        assert near(total, value, scale), equation
        assert near(shown, value), equation
        assert ("≈" in equation) == ("≈" in line(record, cell)), equation
        if record.form == "sum":
            sums = parts(record, cell)
            inside = {label: total for label, _, total in sums}
            for partial in step["partial"]:
                label, sum_text = partial.split(": ")
                expression, _, result = re.split(r" ([=≈]) (?=\S+$)", sum_text)
                assert near(value_of(expression), inside.get(label, 0.0), scale), partial
                assert near(value_of(result), inside.get(label, 0.0), scale), partial
            if padding == "hidden":
                assert len(step["partial"]) == (len(sums) if len(sums) > 1 else 0)
            products = len(record.terms[cell] if padding == "shown" else record.counted(cell))
            assert equation.count("×") == (len(record.factors) - 1) * products or record.shares
        assert {plain(n) for n in step["on"]} == marked(record, cell, padding)
        assert [plain(n) for n in step["question"]] == [record.result.label(cell)]
        assert step["place"] == f"{number} / {len(record.steps)}"


def check_scattered(page, record):
    """What each step lays is what stood there and a product; at last the result is there."""
    first = record.operands[record.factors[0]]
    seen = walk(page, record, "scatter")
    sources = [i for i in first.planes().ravel().tolist() if not first.is_outside(i)]
    assert len(seen) == len(sources) + (record.bias is not None)
    result = {record.result.label(c): 0.0 for c in range(record.result.values.size)}
    for source, step in zip([*sources, None], seen, strict=False):
        if source is not None:
            uses = record.uses(record.factors[0], source)
            assert len(step["laid"]) == len(uses)
            assert plain(step["question"][0]) == first.label(source)
        for laid in step["laid"]:
            name, before, added, after = re.fullmatch(
                r"(\S+) ← (\S+) \+ (.*) [=≈] (\S+)", laid
            ).groups()
            assert near(value_of(before), result[plain(name)], 5), laid
            assert near(value_of(before) + value_of(added), value_of(after), 5), laid
            result[plain(name)] += value_of(added)
        for name, shown in step["result"]:
            assert near(value_of(shown), result[plain(name)], 5)
    for cell in range(record.result.values.size):
        value = float(record.result.values.flat[cell])
        assert near(result[record.result.label(cell)], value, 5)


def matrices(e):
    """An example's input and kernel as an image and a kernel of one channel."""
    x, kernel = (np.array(e[name], np.float64) for name in ("input", "kernel"))
    return x[None, :, :, None], kernel[:, :, None, None]


def slide(name):
    """The explanation of an example of the slides."""
    e = SLIDES[name]
    if e["kind"] == "conv2d":
        return mc.explain("cross_correlate2d", e["input"], e["kernel"], e["padding"])
    if e["kind"] == "true_convolution":
        return mc.explain("convolve2d", e["input"], e["kernel"], e["padding"])
    if e["kind"] == "conv2d_transpose":
        return mc.explain("conv2d_transpose", *matrices(e), strides=e["strides"])
    if e["kind"] == "pool":
        x = np.array(e["input"], np.float64)[None, :, :, None]
        return mc.explain("max_pool2d", x, e["k"], e["s"])
    if e["kind"] == "upsample":
        return mc.explain("upsample2d", np.array(e["input"], np.float64)[None, :, :, None], e["k"])
    x, kernel, bias = (np.array(e[name], float) for name in ("input", "kernel_hwio", "bias"))
    return mc.explain("conv2d", x[None], kernel, bias, e["strides"], "same")


@pytest.mark.parametrize(
    "name",
    [
        *("conv_3x3_k2", "sobel_cross_correlation_same", "sobel_true_convolution_same"),
        *("sobel_true_convolution_full", "convT_2x2_k2", "convT_2x2_k2_stride2"),
        *("cs231n_two_filters", "max_pool_2x2_s2", "upsample_copy"),
    ],
)
def test_every_sum_of_the_slides_adds_up(open_page, name):
    explanation = slide(name)
    result = explanation.records[0].result
    inside = [i for i in range(result.values.size) if not result.is_outside(i)]
    expected = np.array(SLIDES[name]["expected"], float)
    assert result.values.ravel()[inside].tolist() == expected.ravel().tolist()
    page = open_page(explanation.html())
    for record in explanation.records:
        check_gathered(page, record)


def test_the_scattered_reading_lays_the_summands_of_the_slide(open_page):
    page = open_page(slide("convT_2x2_k2").html())
    seen = walk(page, slide("convT_2x2_k2").records[0], "scatter")
    for step, summand in zip(seen, SLIDES["convT_2x2_k2_terms"]["terms"], strict=True):
        laid = np.zeros((3, 3))
        for text in step["laid"]:
            row, column, added = re.match(r"y\[0,(\d),(\d),0\] ← \S+ \+ (\S+)", text).groups()
            laid[int(row), int(column)] += value_of(added)
        assert laid.tolist() == summand


def random_call(seed):
    """A call of a convolution or a transposed one, its sizes, steps and padding drawn."""
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2]))
    channels, filters = groups * int(rng.integers(1, 3)), groups
    kernel = [int(k) for k in rng.permutation([1, 2, 3])[:2]]
    strides = [int(s) for s in rng.permutation([1, 2, 3])[:2]] if seed % 3 else [1, 1]
    dilation = [1, 1] if max(strides) > 1 else [int(d) for d in rng.permutation([1, 2])]
    sides = tuple(tuple(int(p) for p in rng.integers(0, 2, 2)) for _ in range(2))
    padding = ["valid", "same", sides][seed % 3]
    window = {"strides": strides, "padding": padding, "dilation_rate": dilation, "groups": groups}
    whole = seed % 2
    numbers = (lambda n: rng.integers(-4, 5, n) * 1.0) if whole else (lambda n: rng.normal(size=n))
    dtype = "float32" if seed % 4 == 0 else "float64"
    if seed % 5 == 4:
        x, k = numbers((1, 2, 3, channels)), numbers((*kernel, filters // groups, channels))
        bias, operation = numbers(filters), mc.conv2d_transpose
    else:
        x, k = numbers((1, 5, 6, channels)), numbers((*kernel, channels // groups, filters))
        bias, operation = numbers(filters), mc.conv2d
    bias = bias.astype(dtype) if seed % 2 else None
    y = operation(x.astype(dtype), k.astype(dtype), bias, **window)
    dy = numbers(y.shape)
    return mc.explain(
        operation, x.astype(dtype), k.astype(dtype), bias, **window, output_gradients=dy
    )


@pytest.mark.parametrize("seed", range(20))
def test_every_sum_of_a_random_call_adds_up(open_page, seed):
    explanation = random_call(seed)
    page = open_page(explanation.html())
    kinds = {r.choice["direction"] for r in explanation.records}
    assert {"forward", "gradient of x", "gradient of kernel"} <= kinds
    for record in explanation.records:
        if record.choice["kernel"] == TURNED and seed % 4:
            continue  # the same sums in another order: every fourth is enough
        check_gathered(page, record, "hidden" if seed % 3 == 1 else "shown")


@pytest.mark.parametrize("seed", range(3))
def test_every_addition_of_the_scattered_reading_is_right(open_page, seed):
    explanation = random_call(seed)
    page = open_page(explanation.html())
    for record in explanation.records:
        if record.choice["direction"] != "gradient of bias":
            check_scattered(page, record)


IMAGE = rng_integers(3, (1, 4, 5, 2))
REAL = np.random.default_rng(4).normal(size=(2, 3))

#: Calls whose numbers are no sums of two factors, or have shares.
CALLS = {
    "max": ("max_pool2d", IMAGE, (3, 2), (2, 1), "same"),
    "mean": ("average_pool2d", IMAGE, (2, 3), (1, 2), "same"),
    "shares": ("upsample2d", IMAGE[:, :2, :3, :1], (2, 3), "bilinear"),
    "copies": ("upsample2d", IMAGE[:, :2, :3, :1], (1, 2)),
    "dense": ("dense", REAL, REAL.T[:, :1] * 3, np.array([0.5])),
    "normalization": ("batch_normalization", REAL, np.array([1.0, -2, 3]), np.array([0.5, 0, -1])),
    "softmax": ("softmax", REAL),
    "leaky_relu": ("leaky_relu", REAL - 1),
    "gelu": ("gelu", REAL.astype("float32")),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_form_of_arithmetic_adds_up(open_page, name):
    explanation = mc.explain(*CALLS[name])
    page = open_page(explanation.html())
    for record in explanation.records:
        check_gathered(page, record)
        if record.form == "sum" and (len(record.factors) == 2 or record.shares is not None):
            check_scattered(page, record)


def test_no_form_of_arithmetic_is_missing():
    records = [record for call in CALLS.values() for record in mc.explain(*call).records]
    assert {record.form for record in records} == {"sum", "max", "mean", "formula"}
    assert any(record.shares is not None for record in records)


def small(form, values, template=""):
    """A record of one number made of the elements of a row; those from index 4 on are padding."""
    row = Panel.of("x", "input", values[:4], padding=((0, len(values) - 4),), outside="padding")
    products = [((0,), ((i,),), 1.0) for i in range(len(values))]
    if form == "formula":
        products = [((0,), tuple((i,) for i in range(4)), 1.0)]
    return make_record(
        "by hand",
        "y = f(x)",
        [],
        [row],
        Panel.of("y", "output", np.zeros(1)),
        products,
        form=form,
        template=template,
        factors=[0, 0, 0, 0] if form == "formula" else [0],
    )


@pytest.mark.parametrize(
    ("form", "template", "shown"),
    [
        ("max", "", "max(−2, 5, 5, 1) [1 on the padding does not count]"),
        ("mean", "", "((−2) + 5 + 5 + 1) / 4 [1 on the padding does not count]"),
        (
            "formula",
            "{0} * ({1} - {2}) / sqrt({3} + 0.001) - exp(-{0})",
            "(−2) × (5 − 5) / sqrt(1 + 0.001) − exp(−(−2))",
        ),
    ],
)
def test_the_text_of_each_form(open_page, form, template, shown):
    record = small(form, np.array([-2.0, 5, 5, 1, 0]), template)
    page = open_page(Explanation("by hand", (record,)).html())
    assert page.text_content(".sum .equation").startswith(f"y[0] = {shown} ")


def test_the_first_of_the_largest_elements_wins(open_page):
    record = small("max", np.array([-2.0, 5, 5, 1, 0]))
    page = open_page(Explanation("by hand", (record,)).html())
    (step,) = walk(page, record, terms=True)
    assert step["winner"] == ["x[1]"]
    far = [re.search(r"largest so far (\S+)", s["text"])[1] for s in step["so_far"]]
    assert far == ["−2", "5", "5", "5"]


def test_the_terms_of_an_element_add_up_one_by_one(open_page):
    explanation = mc.explain(
        "conv2d", rng_integers(0, (1, 3, 4, 2)), rng_integers(1, (2, 3, 2, 1)), np.array([-3.0]),
        padding=((1, 0), (0, 0)),
    )  # fmt: skip
    record, page = explanation.records[0], open_page(explanation.html())
    for cell, step in zip(record.steps, walk(page, record, terms=True), strict=True):
        assert len(step["so_far"]) == len(record.terms[cell]) + 1
        total, on = 0.0, {record.result.label(cell)}
        for term, seen in enumerate(step["so_far"]):
            if term < len(record.terms[cell]):
                meeting = record.elements(cell)[term]
                names = {panel.label(flat) for panel, flat in meeting}
                total += math.prod(float(panel.values.flat[flat]) for panel, flat in meeting)
            else:
                names, total = {"bias[0]"}, total - 3
            on |= names
            assert {plain(n) for n in seen["now"]} == names
            assert {plain(n) for n in seen["on"]} == on
            assert value_of(re.search(r"sum so far (\S+)", seen["text"])[1]) == total
            assert value_of(seen["shown"]) == total


#: Go to some steps and return each equation, and of how many elements it is drawn.
LONG_SUMS = """(steps) => steps.map((step) => {
  const slider = document.querySelector("input[type=range]");
  slider.value = step;
  slider.dispatchEvent(new Event("input"));
  const line = document.querySelector(".sum p");
  return [line.textContent, line.querySelectorAll("*").length];
})"""


def test_sums_of_thousands_stay_whole_and_are_drawn_as_one_text(open_page):
    x, kernel = rng_integers(0, (1, 40, 50, 1)), rng_integers(1, (3, 3, 1, 1))
    explanation = mc.explain("conv2d", x, kernel, padding="same")
    record = explanation.record(direction="gradient of kernel", kernel="as it stands")
    assert sum(map(len, record.terms)) == 18_000
    page = open_page(explanation.html(), "#step=1&direction=gradient+of+kernel")
    shown = page.evaluate(LONG_SUMS, [1, 6, 9])
    for step, (equation, elements) in zip((1, 6, 9), shown, strict=True):
        assert read(plain(equation))[1] == record.result.values.flat[record.steps[step - 1]]
        assert equation.count("×") == 2000
        assert elements < 10, "six thousand would take a second"


def test_text_never_becomes_markup(open_page):
    evil = "</script><img src=x onerror=alert(1)><!--"
    record = small("max", np.array([-2.0, 5, 5, 1, 0]))
    named = Panel.of(evil, "input", np.zeros((1, 2)))
    parts = {"title": evil, "formula": evil, "notes": (evil,), "choice": {evil: evil}}
    other = make_record(evil, evil, [evil], [named], named, [], template=evil, choice={evil: "2"})
    explanation = Explanation(evil, (replace(record, **parts), other), notes=(evil,))
    page = open_page(explanation.html())
    assert page.title() == evil
    assert page.text_content("h1").count("</script><img") == 1
    assert page.locator("img").count() == 0
    assert page.locator(".notes li").all_text_contents()[1].startswith("</script><img")
    page.locator("fieldset input").nth(1).check()
    assert page.locator("img").count() == 0
    frame = open_page(f"<title>notebook</title>{explanation._repr_html_()}").frames[1]
    frame.wait_for_selector(".sum")
    assert frame.locator("img").count() == 0
