"""Reading an explanation back: the shown sums are evaluated, not the code that made them."""

import math
import re

import numpy as np

import minicnn as mc

NAMES = {
    **{name: getattr(math, name) for name in ("exp", "log", "sqrt", "tanh", "erf", "inf", "nan")},
    "max": lambda *numbers: max(numbers),
    "min": lambda *numbers: min(numbers),
    "abs": abs,
}

#: Signs of multiplication, minus and square.
TYPOGRAPHY = {0xD7: "*", 0x2212: "-", 0xB2: "**2"}


def evaluate(text):
    """The value of the right side of an equation as it is shown, in text or in a page."""
    plain = text.translate(TYPOGRAPHY).replace("bias", "")
    plain = re.sub(r"\[[^\]]*\]", "", plain)  # notes such as [+ 3 products with padding, 0]
    assert set(re.findall(r"[a-z]+", re.sub(r"\de[+-]?\d", "", plain))) <= set(NAMES), text
    return math.fsum(eval(part, {"__builtins__": {}}, NAMES) for part in summands(plain))


def summands(text):
    """The parts of a sum between the plus signs outside brackets: long sums nest too deeply."""
    depth, parts, begin = 0, [], 0
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0 and text.startswith(" + ", place):
            parts.append(text[begin:place])
            begin = place + 3
    return [*parts, text[begin:]]


def read(line, record=None):
    """An equation as (name and index, value of the sum as shown, shown result).

    The name of an element stands for its number, which is looked up in the record.
    """
    name, *middle, shown = re.split(r" [=≈] ", line)
    assert re.fullmatch(r".*\[[-\d,]*\]", name), line
    if not middle:
        return name, evaluate(shown), evaluate(shown)
    (right,) = middle
    if element := re.fullmatch(r"(\w+)\[([-\d,]*)\]", right):
        panel = next(p for p in record.operands if p.name == element[1])
        index = [int(i) for i in element[2].split(",")]
        return name, float(panel.values.flat[panel.flat(index)]), evaluate(shown)
    return name, evaluate(right), evaluate(shown)


def check_record(record, expected=None, rel=2e-5):
    """Every equation of a record adds up, and gives the expected array."""
    from minicnn.explain.readings.text import line

    assert record.steps
    for cell in record.steps:
        name, value, shown = read(line(record, cell), record)
        assert name == record.result.label(cell)
        assert math.isclose(value, shown, rel_tol=rel, abs_tol=rel), line(record, cell)
        if expected is not None:
            truth = float(np.asarray(expected)[record.result.index(cell)])
            assert math.isclose(value, truth, rel_tol=rel, abs_tol=rel), line(record, cell)


def gradients(run, arrays, dy):
    """What the tape says of the gradients of run(*arrays), where dy is that of the result."""
    variables = [mc.Variable(a) for a in arrays]
    with mc.GradientTape() as tape:
        y = run(*variables)
    found = tape.gradient(y, variables, output_gradients=dy)
    return [np.asarray(g) for g in found]
