"""Records of every form, with and without borders, for the tests of pictures."""

import numpy as np

import minicnn as mc
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import make_record


def numbers(seed, *shape, whole=True):
    rng = np.random.default_rng(seed)
    return rng.integers(-9, 13, shape).astype(float) if whole else rng.normal(size=shape)


def formula_record():
    x = Panel.of("x", "input", numbers(1, 2, 5, whole=False))
    mean = Panel.of("mean", "other", numbers(2, 5, whole=False))
    y = Panel.of("y", "output", x.values - mean.values)
    products = [((n, c), ((n, c), (c,)), 1.0) for n in range(2) for c in range(5)]
    return make_record(
        "shift", "y = x - mean", (), [x, mean], y, products, form="formula", template="{0} - {1}"
    )


def one_row_record():
    x = Panel.of("x", "input", numbers(3, 1, 37))
    y = Panel.of("y", "output", x.values[:, ::-1])
    return make_record(
        "mirror", "y[i] = x[36-i]", (), [x], y, [((0, i), ((0, 36 - i),), 1.0) for i in range(37)]
    )


def records():
    """Return records by a name each."""
    x, kernel = numbers(0, 1, 5, 4, 2), numbers(1, 3, 2, 2, 2)
    strided = mc.explain(mc.conv2d, x, kernel, [1, -2], strides=(2, 1), padding="same")
    back = mc.explain(
        mc.conv2d_transpose,
        numbers(2, 1, 2, 3, 1, whole=False),
        numbers(3, 3, 2, 2, 1, whole=False),
        [0.5, -1],
        strides=2,
        padding="same",
    )
    slide = mc.explain(
        mc.conv2d_transpose, np.arange(4.0).reshape(1, 2, 2, 1), np.arange(4.0).reshape(2, 2, 1, 1)
    )
    flipped = mc.explain(mc.convolve2d, numbers(4, 3, 4), numbers(5, 2, 3), "same")
    pooled = numbers(6, 1, 5, 6, 2)
    shown = mc.explain(
        mc.conv2d, numbers(7, 1, 40, 50, 1), numbers(8, 3, 2, 1, 1), window=((7, 10), (30, 34))
    )
    return {
        "slide": slide.record(),
        "plain": mc.explain(mc.cross_correlate2d, numbers(9, 3, 5), numbers(10, 2, 3)).record(),
        "strided": strided.record(),
        "gradient of x": strided.record(direction="gradient of x"),
        "gradient of kernel": strided.record(direction="gradient of kernel"),
        "gradient of bias": strided.record(direction="gradient of bias"),
        "transposed": back.record(),
        "flipped": flipped.record(),
        "flipped gradient": flipped.record(direction="gradient of x"),
        "window": shown.record(),
        "max": mc.explain(mc.max_pool2d, pooled, (2, 3), (2, 2), "same").record(),
        "mean": mc.explain(mc.average_pool2d, pooled, (2, 3), (2, 2), "same").record(),
        "shares": mc.explain("resize2d", pooled[:, :2, :3], (3, 5), "bilinear").record(),
        "formula": formula_record(),
        "one row": one_row_record(),
    }


def lit_of(record, cell):
    """What a record says takes part in an element: {operand: flat indices}."""
    lit = {operand: set() for operand in range(len(record.operands))}
    for term in record.elements(cell):
        for operand, (_, flat) in zip(record.factors, term, strict=True):
            lit[operand].add(flat)
    if record.bias is not None:
        lit[record.bias[0]].add(int(record.bias[1][cell]))
    for operand, panel in enumerate(record.operands):
        if panel.mirror is not None:
            twins = panel.mirror[1].ravel().tolist()
            lit[operand] = {i for i, twin in enumerate(twins) if twin in lit[panel.mirror[0]]}
    return lit
