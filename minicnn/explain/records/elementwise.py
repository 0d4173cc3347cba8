"""Records of operations that treat every element alike: activations, sums of arrays, softmax."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from minicnn import activations
from minicnn.explain.records.limits import Limits
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import Record, make_record
from minicnn.explain.records.steps import Step
from minicnn.explain.records.windows import elements

__all__ = [
    "ACTIVATIONS",
    "activation_formulas",
    "activation_records",
    "elementwise_record",
    "softmax_records",
]

Array = NDArray[Any]

_SIGMOID = "1 / (1 + exp(-{0}))"
_INNER = "tanh(log(1 + exp({1})))"

#: Activations as formulas: of x = {0}; and their gradients, of dy = {0}, x = {1}, y = {2}. Letters
#: are arguments of the activation.
ACTIVATIONS = {
    "linear": ("{0}", "{0}"),
    "exponential": ("exp({0})", "{0} * {2}"),
    "relu": ("max({0}, 0)", "{0} * ({1} > 0)"),
    "relu6": ("min(max({0}, 0), 6)", "{0} * ({1} > 0) * ({1} < 6)"),
    "leaky_relu": (
        "max({0}, 0) + negative_slope * min({0}, 0)",
        "{0} * (({1} > 0) + negative_slope * ({1} <= 0))",
    ),
    "elu": (
        "max({0}, 0) + alpha * (exp(min({0}, 0)) - 1)",
        "{0} * (({1} > 0) + ({1} <= 0) * alpha * exp(min({1}, 0)))",
    ),
    "celu": (
        "max({0}, 0) + alpha * (exp(min({0}, 0) / alpha) - 1)",
        "{0} * (({1} > 0) + ({1} <= 0) * exp(min({1}, 0) / alpha))",
    ),
    "selu": (
        "1.0507009874 * (max({0}, 0) + 1.6732632424 * (exp(min({0}, 0)) - 1))",
        "{0} * 1.0507009874 * (({1} > 0) + ({1} <= 0) * 1.6732632424 * exp(min({1}, 0)))",
    ),
    "sigmoid": (_SIGMOID, "{0} * {2} * (1 - {2})"),
    "tanh": ("tanh({0})", "{0} * (1 - {2} * {2})"),
    "softplus": ("log(1 + exp({0}))", "{0} / (1 + exp(-{1}))"),
    "softsign": ("{0} / (1 + abs({0}))", "{0} / ((1 + abs({1})) * (1 + abs({1})))"),
    "silu": ("{0} / (1 + exp(-{0}))", "{0} * ({2} + (1 - {2}) / (1 + exp(-{1})))"),
    "gelu": (
        "{0} / 2 * (1 + erf({0} / sqrt(2)))",
        "{0} * ((1 + erf({1} / sqrt(2))) / 2 + {1} * exp(-{1} * {1} / 2) / sqrt(2 * 3.1415926536))",
    ),
    "hard_sigmoid": ("min(max({0} + 3, 0), 6) / 6", "{0} * ({1} > -3) * ({1} < 3) / 6"),
    "hard_silu": (
        "{0} * min(max({0} + 3, 0), 6) / 6",
        "{0} * (min(max({1} + 3, 0), 6) + {1} * ({1} > -3) * ({1} < 3)) / 6",
    ),
    "hard_tanh": ("min(max({0}, -1), 1)", "{0} * ({1} >= -1) * ({1} <= 1)"),
    "mish": (
        "{0} * tanh(log(1 + exp({0})))",
        f"{{0}} * ({_INNER} + {{1}} * (1 - {_INNER} * {_INNER}) / (1 + exp(-{{1}})))",
    ),
    "squareplus": (
        "({0} + sqrt({0} * {0} + b)) / 2",
        "{0} * (1 + {1} / sqrt({1} * {1} + b)) / 2",
    ),
    "tanh_shrink": ("{0} - tanh({0})", "{0} * tanh({1}) * tanh({1})"),
    "log_sigmoid": ("-log(1 + exp(-{0}))", "{0} / (1 + exp({1}))"),
    "hard_shrink": ("{0} * (abs({0}) > threshold)", "{0} * (abs({1}) > threshold)"),
    "soft_shrink": (
        "max({0} - threshold, 0) + min({0} + threshold, 0)",
        "{0} * (abs({1}) > threshold)",
    ),
    "sparse_sigmoid": ("min(max(({0} + 1) / 2, 0), 1)", "{0} * ({1} > -1) * ({1} < 1) / 2"),
    "sparse_plus": (
        "({0} >= 1) * {0} + ({0} < 1) * max({0} + 1, 0) * max({0} + 1, 0) / 4",
        "{0} * (({1} >= 1) + ({1} < 1) * max({1} + 1, 0) / 2)",
    ),
}  # fmt: skip


_INNER_GELU = "tanh(0.7978845608 * ({1} + 0.044715 * {1} * {1} * {1}))"
_GELU_BY_TANH = (
    "{0} / 2 * (1 + tanh(0.7978845608 * ({0} + 0.044715 * {0} * {0} * {0})))",
    f"{{0}} * (1 + {_INNER_GELU} + {{1}} * (1 - {_INNER_GELU} * {_INNER_GELU}) * 0.7978845608 * "
    "(1 + 0.134145 * {1} * {1})) / 2",
)


def elementwise_record(
    title: str,
    formula: str,
    template: str,
    operands: Sequence[Panel],
    result: Panel,
    limits: Limits,
    *,
    direction: str = "forward",
    notes: Sequence[str] = (),
    factors: Sequence[int] | None = None,
) -> Record:
    """Return the record of a formula in which each element meets those at its own place.

    An operand with one axis belongs to the channels: its element is that of the last index.

    Args:
        title: see `Record`; likewise `formula`, `template`, `notes`, `factors`.
        formula: the definition in letters.
        template: the formula with {0}, {1}, ... for the operands' elements.
        operands: arrays of the result's shape, or (C,).
        result: the array that comes out.
        limits: what part is shown.
        direction: how this record is chosen.
        notes: sentences.
        factors: the operand of each place of the template, default each once.
    """
    used = list(range(len(operands))) if factors is None else list(factors)
    block = limits.block(title, result, len(used))

    def products() -> Iterator[Any]:
        for at in elements(result.shape, block):
            every = ((at if operands[o].values.ndim == len(at) else at[-1:]) for o in used)
            yield at, tuple(every), 1.0

    return make_record(
        title,
        formula,
        [*limits.notes(result, block), *notes],
        operands,
        result,
        products(),
        form="formula",
        factors=used,
        template=template,
        window=block,
        choice={"direction": direction},
    )


def activation_formulas(name: str, **arguments: Any) -> tuple[str, str]:
    """Return an activation as a formula, and its gradient, with its arguments put in.

    >>> activation_formulas("leaky_relu", negative_slope=0.25)[0]
    'max({0}, 0) + 0.25 * min({0}, 0)'
    """
    defaults = inspect.signature(getattr(activations, name)).parameters.values()
    given = {p.name: p.default for p in defaults if isinstance(p.default, float | int)}
    given |= {k: v for k, v in arguments.items() if v is not None}
    if name == "relu" and (any(given.values()) or "max_value" in given):
        return _general_relu(**given)
    if name == "gelu" and given.get("approximate"):
        return _GELU_BY_TANH
    forward, backward = ACTIVATIONS[name]
    for argument, value in given.items():
        whole_word = re.compile(rf"\b{argument}\b")
        forward, backward = (whole_word.sub(f"{value:g}", t) for t in (forward, backward))
    return forward, backward


def _general_relu(
    negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> tuple[str, str]:
    """Return the formulas of a ReLU with a slope, a limit and a threshold."""
    t, s = f"{threshold:g}", f"{negative_slope:g}"
    forward = f"({{0}} > {t}) * {{0}}"
    slope = f"({{1}} > {t})"
    if negative_slope:
        forward += f" + {s} * min({{0}} - {t}, 0)"
        slope = f"({slope} + {s} * ({{1}} < {t}))"
    if max_value is not None:
        unlimited, forward = forward, f"min({forward}, {max_value:g})"
        slope += f" * ({unlimited.replace('{0}', '{1}')} <= {max_value:g})"
    return forward, f"{{0}} * {slope}"


def _letters(template: str, names: Sequence[str]) -> str:
    return template.format(*(f"{name}[...]" for name in names))


def activation_records(
    name: str, step: Step, limits: Limits, formulas: tuple[str, str]
) -> Iterator[Record]:
    """Yield the records of an activation of `ACTIVATIONS`: forward, and the gradient of x.

    Args:
        name: the activation.
        step: the numbers, of any shape.
        limits: what part is shown.
        formulas: as `activation_formulas` gives them.
    """
    forward, backward = formulas
    operand, result = Panel.of("x", "input", step.x), Panel.of("y", "output", step.y)
    letters = f"y[...] = {_letters(forward, ['x'])}"
    yield elementwise_record(name, letters, forward, [operand], result, limits)
    letters = f"dx[...] = {_letters(backward, ['dy', 'x', 'y'])}"
    operands = [Panel.of("dy", "output", step.dy), operand, result]
    # Numbers that the formula does not name are not part of it.
    used = [i for i in range(3) if f"{{{i}}}" in backward]
    for place, i in enumerate(used):
        backward = backward.replace(f"{{{i}}}", f"{{{place}}}")
    yield from limits.unless_too_large(
        lambda: elementwise_record(
            f"{name}, gradient of x",
            letters,
            backward,
            [operands[i] for i in used],
            Panel.of("dx", "input", step.dx),
            limits,
            direction="gradient of x",
        )
    )


def softmax_records(step: Step, limits: Limits) -> Iterator[Record]:
    """Yield the records of the softmax along the last axis: forward, and the gradient of x."""
    n = step.x.shape[-1]
    x, y = Panel.of("x", "input", step.x), Panel.of("y", "output", step.y)
    dy = Panel.of("dy", "output", step.dy)

    def products(block: Any, factors: int) -> Iterator[Any]:
        for at in elements(y.shape, block):
            row = [(*at[:-1], i) for i in range(n)]
            yield at, (*[at] * factors, *row * factors), 1.0

    block = limits.block("softmax", y, n + 1)
    powers = " + ".join(f"exp({{{i + 1}}})" for i in range(n))
    yield make_record(
        "softmax",
        "y[...,i] = exp(x[...,i]) / sum over j of exp(x[...,j])",
        [*limits.notes(y, block), "The numbers along the last axis become shares of 1."],
        [x],
        y,
        products(block, 1),
        form="formula",
        factors=[0] * (n + 1),
        template=f"exp({{0}}) / ({powers})",
        window=block,
        choice={"direction": "forward"},
    )
    sums = " + ".join(f"{{{i + 2}}} * {{{i + 2 + n}}}" for i in range(n))

    def gradient() -> Record:
        dx = Panel.of("dx", "input", step.dx)
        block = limits.block("softmax, gradient of x", dx, 2 * n + 2)
        return make_record(
            "softmax, gradient of x",
            "dx[...,i] = y[...,i] * (dy[...,i] - sum over j of dy[...,j] * y[...,j])",
            [*limits.notes(dx, block), "Every share depends on every x of its row."],
            [y, dy],
            dx,
            products(block, 2),
            form="formula",
            factors=[0, 1, *[1] * n, *[0] * n],
            template=f"{{0}} * ({{1}} - ({sums}))",
            window=block,
            choice={"direction": "gradient of x"},
        )

    yield from limits.unless_too_large(gradient)
