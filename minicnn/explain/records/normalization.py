"""Records of batch normalization: its statistics, its result, and its gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.explain.records.elementwise import elementwise_record
from minicnn.explain.records.limits import Limits
from minicnn.explain.records.panel import Panel
from minicnn.explain.records.record import Record, make_record
from minicnn.explain.records.steps import Step

__all__ = ["normalization_records"]

Array = NDArray[Any]


def normalization_records(
    name: str,
    step: Step,
    gamma: Array | None,
    beta: Array | None,
    epsilon: float,
    limits: Limits,
    moving: tuple[Array, Array] | None = None,
) -> Iterator[Record]:
    """Yield the records of a batch normalization.

    Args:
        name: the operation, for titles.
        step: x and y (...,C).
        gamma: factors (C,) or None.
        beta: summands (C,) or None.
        epsilon: added to the variance.
        limits: what part is shown.
        moving: mean and variance to normalize with; default those of x, as in training.
    """
    x, y = Panel.of("x", "input", step.x), Panel.of("y", "output", step.y)
    axes = tuple(range(step.x.ndim - 1))
    mean, variance = moving or (step.x.mean(axis=axes), step.x.var(axis=axes))
    statistics = [Panel.of("mean", "other", mean), Panel.of("variance", "other", variance)]
    learned = [
        Panel.of(n, "kernel", a) for n, a in (("gamma", gamma), ("beta", beta)) if a is not None
    ]
    template, formula = "({0} - {1}) / sqrt({2} + EPS)", "(x - mean) / sqrt(variance + EPS)"
    operands = [x, *statistics, *learned]
    for place, panel in enumerate(learned, 3):
        before = panel.name == "gamma"
        template = f"{{{place}}} * {template}" if before else f"{template} + {{{place}}}"
        formula = f"gamma * {formula}" if before else f"{formula} + beta"
    template, formula = (t.replace("EPS", f"{epsilon:g}") for t in (template, formula))
    whose = "of this batch, all samples and places of a channel" if moving is None else "learned"
    yield elementwise_record(
        name,
        f"y[...,c] = {formula}, mean, variance, gamma and beta of channel c",
        template,
        operands,
        y,
        limits,
        notes=[f"The mean and the variance are those {whose}."],
    )
    if moving is None:
        yield from limits.unless_too_large(lambda: _statistic(name, "mean", x, statistics, limits))
        yield from limits.unless_too_large(
            lambda: _statistic(name, "variance", x, statistics, limits)
        )
    yield from _gradients(name, step, operands, epsilon, limits, moving is None)


def _over_channels(x: Panel) -> Iterator[tuple[int, list[tuple[int, ...]]]]:
    """Yield each channel and the places of all its numbers."""
    for c in range(x.shape[-1]):
        yield c, [(*at, c) for at in np.ndindex(*x.shape[:-1])]


def _statistic(
    name: str, which: str, x: Panel, statistics: Sequence[Panel], limits: Limits
) -> Record:
    """Return the record of the mean or the variance of each channel."""
    mean, variance = statistics
    count = int(np.prod(x.shape[:-1]))
    title = f"{name}, {which}"
    if which == "mean":
        limits.block(title, mean, count)
        return make_record(
            title,
            "mean[c] = sum over all but c of x[...,c] / their number",
            [f"There are {count} numbers in each channel."],
            [x],
            mean,
            (((c,), (at,), 1.0) for c, places in _over_channels(x) for at in places),
            form="mean",
            choice={"direction": "mean"},
        )
    limits.block(title, variance, 2 * count)
    squares = " + ".join(f"({{{2 * i}}} - {{{2 * i + 1}}})**2" for i in range(count))
    return make_record(
        title,
        "variance[c] = sum over all but c of (x[...,c] - mean[c])**2 / their number",
        [f"There are {count} numbers in each channel."],
        [x, mean],
        variance,
        (((c,), tuple(e for at in p for e in (at, (c,))), 1.0) for c, p in _over_channels(x)),
        form="formula",
        factors=[0, 1] * count,
        template=f"({squares}) / {count}",
        choice={"direction": "variance"},
    )


def _gradients(
    name: str, step: Step, operands: list[Panel], epsilon: float, limits: Limits, training: bool
) -> Iterator[Record]:
    """Yield the records of the gradients of beta, gamma and x."""
    x, mean, variance, *learned = operands
    dy = Panel.of("dy", "output", step.dy)
    normalized = (step.x - mean.values) / np.sqrt(variance.values + epsilon)
    xhat = Panel.of("xhat", "input", normalized)
    count = step.x.size // step.x.shape[-1]
    named = {panel.name: panel for panel in learned}

    def total(which: str, factors: list[Panel], formula: str, note: str) -> Record:
        result = Panel.of(f"d{which}", "kernel", np.zeros_like(mean.values, step.y.dtype))
        title = f"{name}, gradient of {which}"
        limits.block(title, result, count)
        return make_record(
            title,
            formula,
            [note],
            factors,
            result,
            (
                ((c,), tuple(at for _ in factors), 1.0)
                for c, places in _over_channels(x)
                for at in places
            ),
            choice={"direction": f"gradient of {which}"},
        ).filled()

    beta_sum = ("beta", [dy], "dbeta[c] = sum of dy[...,c]", "Beta was added everywhere.")
    gamma_sum = (
        "gamma",
        [dy, xhat],
        "dgamma[c] = sum of dy[...,c] * xhat[...,c]",
        f"xhat = (x - mean) / sqrt(variance + {epsilon:g}) is what gamma was multiplied with.",
    )
    for which, *rest in (beta_sum, gamma_sum):
        if which in named:
            yield from limits.unless_too_large(
                lambda which=which, rest=rest: total(which, *rest)  # type: ignore[misc]
            )
    yield from limits.unless_too_large(
        lambda: _input_gradient(
            name,
            [dy, xhat, variance, *([named["gamma"]] if "gamma" in named else [])],
            step,
            epsilon,
            limits,
            training,
        )
    )


def _input_gradient(
    name: str, known: list[Panel], step: Step, epsilon: float, limits: Limits, training: bool
) -> Record:
    """Return the record of the gradient of x."""
    dy, xhat, variance, *gamma = known
    axes = tuple(range(step.x.ndim - 1))
    count = step.x.size // step.x.shape[-1]
    factor = "{1} / sqrt({2} + EPS)" if gamma else "1 / sqrt({1} + EPS)"
    letters = "gamma / sqrt(variance + EPS)" if gamma else "1 / sqrt(variance + EPS)"
    operands = [dy, *gamma, variance]
    template, note = f"{{0}} * {factor}", "Mean and variance are constants here."
    formula = f"dx[...,c] = dy[...,c] * {letters}"
    if training:
        sums = [
            Panel.of("sum(dy)", "other", step.dy.sum(axis=axes)),
            Panel.of("sum(dy*xhat)", "other", (step.dy * xhat.values).sum(axis=axes)),
        ]
        first = len(operands)
        operands += [xhat, *sums]
        inner = f"({{0}} - {{{first + 1}}} / {count} - {{{first}}} * {{{first + 2}}} / {count})"
        template = f"{factor} * {inner}"
        formula = (
            f"dx[...,c] = {letters} * (dy[...,c] - sum(dy)/{count} - xhat * sum(dy*xhat)/{count})"
        )
        note = "Every x also moved the mean and the variance of its channel: the two last parts."
    return elementwise_record(
        f"{name}, gradient of x",
        formula.replace("EPS", f"{epsilon:g}"),
        template.replace("EPS", f"{epsilon:g}"),
        operands,
        Panel.of("dx", "input", step.dx),
        limits,
        direction="gradient of x",
        notes=[note],
    )
