"""The arithmetic of the explorer, in a real browser, against Python's definitions."""

import json
import math
import sys
from collections import Counter
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import minicnn as mc
from minicnn.explain.readings.explorer import arithmetic_script
from minicnn.geometry import conv2d_parameters
from tests.explain.settings import CONVOLUTIONS, OPERATIONS, explained, geometry_of, random_settings
from tests.explain.settings import with_gradient as with_gradient_by_chance

COUNT = 350

#: The state of the page with some settings.
STATE = """{...minicnnState.START, ...s, filters: !s.kernel ? 1
  : s.operation === "conv2d" ? s.kernel.shape[3] : s.kernel.shape[2] * s.groups}"""


@pytest.fixture(scope="module")
def settings():
    return [with_gradient_by_chance(random_settings(seed), seed) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def evaluated(browser):
    """A function that evaluates an expression of the scripts without a document, for all of a list.

    Everything travels as text, once: numbers stay what they are, and thousands need one call.
    """
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.set_content(f"<script>{arithmetic_script()}</script>")

    def of_all(items, expression):
        text = page.evaluate(
            f"(text) => JSON.stringify(JSON.parse(text).map((s) => {expression}))",
            json.dumps(items),
        )
        return json.loads(text)

    yield of_all
    context.close()


@pytest.fixture(scope="module")
def found(settings, evaluated):
    return evaluated(settings, "minicnnArithmetic.explain(s)")


def difference(python, page, path=""):
    """Where two readings of JSON differ first; numbers may by a millionth."""
    if isinstance(python, dict) and isinstance(page, dict):
        if python.keys() != page.keys():
            return f"{path}: {sorted(python)} != {sorted(page)}"
        pairs = [(f"{path}.{key}", value, page[key]) for key, value in python.items()]
    elif isinstance(python, list) and isinstance(page, list):
        if len(python) != len(page):
            return f"{path}: {len(python)} != {len(page)} elements"
        pairs = [(f"{path}[{i}]", *both) for i, both in enumerate(zip(python, page, strict=True))]
    elif all(isinstance(v, int | float) and not isinstance(v, bool) for v in (python, page)):
        return "" if math.isclose(python, page, rel_tol=1e-6, abs_tol=1e-9) else path
    else:
        return "" if python == page else f"{path}: {python!r} != {page!r}"
    return next(filter(None, (difference(a, b, at) for at, a, b in pairs)), "")


def test_the_comparison_sees_a_changed_number_word_and_length():
    a = {"x": [1.0, 2.5, "note"], "y": None}
    assert difference(a, {"x": [1, 2.5 + 1e-8, "note"], "y": None}) == ""
    for other in ([1, 2.6, "note"], [1, 2.5, "nota"], [1, 2.5], [1, 2.5, "note", 0]):
        assert difference(a, {"x": other, "y": None}).startswith(".x")
    assert difference(a, {"x": a["x"], "y": 0}) == ".y: None != 0"
    assert difference(a, {"x": a["x"]}) != ""


def test_the_page_says_of_every_setting_what_python_says(settings, found):
    outcomes = Counter()
    for seed, (setting, page) in enumerate(zip(settings, found, strict=True)):
        python = explained(setting)
        page = {key: value for key, value in page.items() if key in ("explanation", "error")}
        assert difference(python, page) == "", f"{seed}: {setting}"
        outcomes[setting["operation"], next(iter(python))] += 1
    assert sum(outcomes.values()) >= 300
    assert all(outcomes[name, "explanation"] > 25 for name in OPERATIONS)
    assert sum(n for (_, outcome), n in outcomes.items() if outcome == "error") > 25


def test_the_random_settings_cover_what_they_should(settings, found):
    fits = [s for s, page in zip(settings, found, strict=True) if "explanation" in page]
    convolutions = [s for s in fits if s["operation"] in CONVOLUTIONS]
    notes = [page["explanation"]["notes"] for page in found if "explanation" in page]
    assert sum(s["groups"] > 1 for s in convolutions) > 20
    assert sum(max(s["dilation"]) > 1 for s in convolutions) > 20
    assert sum(s.get("output_padding") is not None for s in convolutions) > 10
    assert sum(s.get("turned", False) for s in convolutions) > 10
    assert {str(s.get("padding"))[:1] for s in fits} >= {"v", "s", "["}
    assert sum(s["dy"] is not None for s in fits) > 50
    assert any(notes), "no gradient was too large to be shown"
    errors = " ".join(page["error"] for page in found if "error" in page)
    for words in ("spans", "groups", "channels", "output_padding", "max_terms", "integer >="):
        assert words in errors


def test_what_is_suggested_fits_in_the_end(settings, found, evaluated):
    wrong = [s for s, page in zip(settings, found, strict=True) if "error" in page]
    wrong = [s for s in wrong if "max_terms" not in s]
    ends = evaluated(
        wrong,
        f"""minicnnState.explained({STATE}).fitting.map((_, which) => {{
          let state = {STATE};
          for (let step = 0; step < 8; step++) {{
            const {{error, fitting}} = minicnnState.explained(state);
            if (!error) return step;
            const {{change}} = fitting[Math.min(which, fitting.length - 1)];
            state = minicnnState.changed(state, change);
          }}
          return minicnnState.explained(state).error;
        }})""",
    )
    assert len(ends) > 20
    assert all(steps for steps in ends), "an error without a suggestion"
    assert [steps for steps in ends if not all(isinstance(n, int) for n in steps)] == []


def test_costs_are_those_of_the_geometry_and_the_records(settings, found, evaluated):
    fits = [
        (s, page["explanation"])
        for s, page in zip(settings, found, strict=True)
        if "explanation" in page
    ]
    costs = evaluated(
        [s for s, _ in fits],
        f"minicnnState.costs({STATE}, minicnnArithmetic.explain(s).geometry)",
    )
    seen_all = 0
    for (s, explanation), cost in zip(fits, costs, strict=True):
        forward = explanation["records"][0]
        assert cost["output"] == forward["result"]["shape"]
        seen = _seen(forward)
        assert all(a <= b for a, b in zip(seen, cost["seen"], strict=True)), s
        seen_all += seen == cost["seen"]
        if s["operation"] in CONVOLUTIONS:
            fourth = s["kernel"]["shape"][3]
            groups, filters = s["groups"], cost["output"][3]
            channels = s["input"]["shape"][3]
            assert cost["weights"] + cost["biases"] == conv2d_parameters(
                s["kernel"]["shape"][:2], channels, filters, groups, bias=s["bias"] is not None
            )
            large_side = channels if s["operation"] == "conv2d" else filters
            g = geometry_of(s)
            taps = g.kernel_height * g.kernel_width * (large_side // groups)
            assert cost["multiplyAdds"] == g.out_height * g.out_width * taps * fourth
    # Where the border crops much, no output sees as much as an inner one would.
    assert seen_all > 0.9 * len(fits)


def _seen(record):
    """How many rows and columns of the first operand lie under an output, gaps included."""
    x = record["operands"][0]
    most = [0, 0]
    for terms in filter(None, record["terms"]):
        at = np.unravel_index(terms[:: len(record["factors"])], x["block"])
        most = [max(m, int(np.ptp(at[a])) + 1) for m, a in zip(most, (1, 2), strict=True)]
    return most


# The programs.


@pytest.fixture(scope="module")
def programs(settings, found, evaluated):
    """(setting, result in the page (F,OH,OW), its three programs) of what fits."""
    fits = [(s, p) for s, p in zip(settings, found, strict=True) if "explanation" in p]
    texts = evaluated([[s, p["geometry"]] for s, p in fits], "minicnnCalls.programs(s[0], s[1])")
    return [
        (s, _result(p["explanation"]["records"][0]), t)
        for (s, p), t in zip(fits, texts, strict=True)
    ]


def _result(record):
    panel = record["result"]
    block = np.array([float(v) for v in panel["values"]]).reshape(panel["block"])
    top, left = (-o for o in panel["origin"][1:3])
    height, width = panel["shape"][1:3]
    return block[0, top : top + height, left : left + width].transpose(2, 0, 1)


def _run(program):
    """The `y` of a program."""
    found = {"print": lambda y: None}
    exec(program, found)
    return np.asarray(found["y"])


def _wrong(programs, name):
    found = []
    for setting, expected, texts in programs:
        y = _run(texts[name])
        if y.shape != expected.shape or not np.allclose(y, expected, rtol=1e-4, atol=1e-4):
            found.append((setting, texts[name]))
    return found


def test_programs_for_minicnn_give_the_numbers_of_the_page(programs):
    assert len(programs) > 250
    assert _wrong(programs, "minicnn") == []


def test_programs_for_pytorch_give_the_numbers_of_the_page(programs):
    pytest.importorskip("torch")
    assert _wrong(programs, "PyTorch") == []


def test_programs_for_keras_give_the_numbers_of_the_page(programs, monkeypatch):
    # Keras takes seconds to load, so a stand-in with its signatures and its refusals executes them.
    # The same 262 programs gave the same numbers with Keras 3.15.1 on TensorFlow 2.21.
    for name, module in _keras().items():
        monkeypatch.setitem(sys.modules, name, module)
    assert _wrong(programs, "Keras") == []


def _keras():
    """Modules `keras`, `keras.ops` and `keras.layers` with what Keras allows, and no more."""

    def checked(padding, strides=(1, 1), dilation_rate=(1, 1)):
        assert padding in ("valid", "same")
        assert max(strides) == 1 or max(dilation_rate) == 1

    def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=(1, 1)):
        checked(padding, strides, dilation_rate)
        groups = inputs.shape[3] // kernel.shape[2]
        return mc.conv2d(inputs, kernel, None, strides, padding, dilation_rate, groups).numpy()

    def conv_transpose(inputs, kernel, strides=1, padding="valid"):
        checked(padding)
        return mc.conv2d_transpose(inputs, kernel, None, strides, padding).numpy()

    def pool(operation):
        def pooled(inputs, pool_size, strides=None, padding="valid"):
            checked(padding)
            return operation(inputs, pool_size, strides, padding).numpy()

        return pooled

    def upsampling(size, interpolation="nearest"):
        return lambda x: mc.upsample2d(x, size, interpolation).numpy()

    ops = {
        "conv": conv,
        "conv_transpose": conv_transpose,
        "max_pool": pool(mc.max_pool2d),
        "average_pool": pool(mc.average_pool2d),
        "convert_to_numpy": np.asarray,
        "concatenate": np.concatenate,
        "maximum": np.maximum,
    }
    keras = ModuleType("keras")
    keras.ops = SimpleNamespace(**ops)
    keras.layers = SimpleNamespace(UpSampling2D=upsampling)
    return {"keras": keras}


# Numbers that are typed or pasted.

NUMBERS = {
    "spaces": ("0 1 2\n3 4 5", (2, 3), [0, 1, 2, 3, 4, 5]),
    "commas and points": ("0.5, -1.25\n+3,4e2\n", (2, 2), [0.5, -1.25, 3, 400]),
    "tabs, as a spreadsheet copies": ("1\t2\t3\r\n4\t5\t6\r\n", (2, 3), [1, 2, 3, 4, 5, 6]),
    "decimal commas between tabs": ("1,5\t2\n-3,25\t4", (2, 2), [1.5, 2, -3.25, 4]),
    "decimal commas between semicolons": ("1,5;2\n3;4", (2, 2), [1.5, 2, 3, 4]),
    "the sign of a minus": ("\u22121 2\n3 \u22124", (2, 2), [-1, 2, 3, -4]),
    "matrices and remarks": ("# first\n1 2\n\n\n3 4 # second\n", (2, 1, 2), [1, 2, 3, 4]),
    "a list of Python": ("[[1, 2, 3], [4, 5, 6]]", (2, 3), [1, 2, 3, 4, 5, 6]),
    "a list of one row": ("[1, 2, 3]", (1, 3), [1, 2, 3]),
    "rows without a list around": ("[1, 2],\n[3, 4]", (2, 2), [1, 2, 3, 4]),
    "a tuple": ("((1, 2), (3, 4))", (2, 2), [1, 2, 3, 4]),
    "NumPy prints": ("[[ 1.  2.]\n [ 3. -4.]]", (2, 2), [1, 2, 3, -4]),
    "NumPy's repr": ("array([[1., 2.],\n       [3., 4.]], dtype=float32)", (2, 2), [1, 2, 3, 4]),
    "a call of NumPy": ("np.array([[1, 2]], dtype='float32')", (1, 2), [1, 2]),
    "a tensor": ("tensor([[[1., 2.]], [[3., 4.]]], device='cpu')", (2, 1, 2), [1, 2, 3, 4]),
    "four axes": ("[[[[1], [2]], [[3], [4]]]]", (1, 2, 2, 1), [1, 2, 3, 4]),
}


def test_numbers_are_read_in_all_notations(evaluated):
    found = evaluated([text for text, _, _ in NUMBERS.values()], "minicnnNumbers.read(s)")
    for (name, (_, shape, values)), array in zip(NUMBERS.items(), found, strict=True):
        assert array == {"shape": list(shape), "values": values}, name


TROUBLES = {
    "1 2\n3 x4": "Line 2, number 2: “x4” is no number.",
    "1 2\n3": "Line 2 has 1 number, but line 1 has 2; all rows must be equally long.",
    "1 2\n3 4\n\n5 6": "Matrix 2 has 1 row, but the first has 2",
    "[[1, 2], [3, 4]": "The bracket “[” of line 1 is never closed.",
    "[[1, 2], [3]]": "Beside a list of 2 there is one of 1",
    "[[1, 2], 3]": "Beside a list of 2 there is a single number",
    "[1, [2]]": "Some lists are nested deeper than others.",
    "[[1, two]]": "Line 1: “two” is no number.",
    "x = [1]": "Line 1: “x” stands before the bracket.",
    "[1] 2": "Line 1: “2” stands outside the brackets.",
    "1e999": "Line 1, number 1: 1e999 is too large.",
    "[[]]": "There are no numbers here.",
    "  \n": "There are no numbers here.",
    "[[[[[1]]]]]": "There are 5 axes; at most 4 are read.",
    "0 " * 5000: "These are 5000 numbers; at most 4096 are shown.",
}

MESSAGE = """(() => {{
  try {{ {0}; return null; }}
  catch (e) {{ return [e.message, e instanceof minicnnNumbers.Unreadable]; }}
}})()"""


def test_bad_numbers_are_told_with_their_place(evaluated):
    found = evaluated(list(TROUBLES), MESSAGE.format("minicnnNumbers.read(s)"))
    for (text, told), message in zip(TROUBLES.items(), found, strict=True):
        assert message is not None, text
        assert told in message[0], text
        assert message[1], f"{text}: {message}"


def test_images_come_channels_first_or_last(evaluated):
    rng = np.random.default_rng(5)
    image = rng.integers(0, 9, (5, 6, 3))
    first = image.transpose(2, 0, 1)
    rows = "\n\n".join("\n".join(" ".join(map(str, row)) for row in m) for m in first)
    texts = [rows, str(image.tolist()), str(first.tolist()), str(image[None].tolist())]
    found = evaluated(texts, "minicnnNumbers.readImage(s).array")
    for array in found:
        assert array == {"shape": [1, 5, 6, 3], "values": image.ravel().tolist()}


def test_kernels_come_filter_by_filter_or_filters_last(evaluated):
    kernel = np.random.default_rng(6).integers(0, 9, (2, 5, 3, 4))  # (KH,KW,C,F)
    torch = kernel.transpose(3, 2, 0, 1)
    rows = "\n\n".join(
        "\n".join(" ".join(map(str, row)) for row in m) for m in torch.reshape(12, 2, 5)
    )
    expected = {"shape": [2, 5, 3, 4], "values": kernel.ravel().tolist()}
    texts = [
        [t, known]
        for t in (rows, str(torch.tolist()), str(kernel.tolist()))
        for known in ({"third": 3}, {"fourth": 4})
    ]
    found = evaluated(texts, "minicnnNumbers.readKernel(s[0], s[1]).array")
    assert found == [expected] * 6
    [message] = evaluated([rows], MESSAGE.format("minicnnNumbers.readKernel(s, {third: 5})"))
    assert message[0].startswith("12 matrices cannot be filters of 5 channels each; give 5, 10")


def test_what_is_written_is_read_back(settings, evaluated):
    images = [s["input"] for s in settings[:60]]
    found = evaluated(images, "minicnnNumbers.readImage(minicnnNumbers.imageText(s)).array")
    assert found == images
    kernels = [s["kernel"] for s in settings if "kernel" in s]
    found = evaluated(
        kernels,
        "minicnnNumbers.readKernel(minicnnNumbers.kernelText(s), {third: s.shape[2]}).array",
    )
    assert found == kernels


def test_an_address_leads_back_to_its_settings(settings, evaluated):
    found = evaluated(
        settings,
        f"""(() => {{
          try {{
            const state = {STATE};
            const back = minicnnState.stateOf(minicnnState.fragmentOf(state));
            return [minicnnState.settingsOf(state), minicnnState.settingsOf(back)];
          }} catch (error) {{ return error.message; }}
        }})()""",
    )
    for setting, pair in zip(settings, found, strict=True):
        if isinstance(pair, str):  # a stride of 0 or a padding of -1
            assert "whole numbers" in pair, setting
        else:
            assert pair[0] == pair[1], setting
