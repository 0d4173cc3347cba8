"""Every operation explained number by number: as text, figure, animation and page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minicnn.errors import ArgumentError, check_choice
from minicnn.explain.calls import CALLS, explain_call
from minicnn.explain.explanation import Explanation
from minicnn.explain.implementations import implementations
from minicnn.explain.limits import MAX_TERMS, Limits

__all__ = ["Explanation", "explain", "implementations"]


def explain(
    op: str | Callable[..., Any],
    *args: Any,
    output_gradients: Any = None,
    window: Any = None,
    max_terms: int = MAX_TERMS,
    **kwargs: Any,
) -> Explanation:
    """Return the arithmetic of a call: which numbers meet in each number of its result.

    Args:
        op: an operation (`minicnn.conv2d`), its name, a layer, or a model.
        *args: what it is called with.
        output_gradients: gradient with respect to the result, for the backward explanations;
            default ones, as `GradientTape.gradient` takes it.
        window: (rows, columns) or (rows, columns, channels) of the result to show, each
            (first, last + 1); default all of it.
        max_terms: how many products one record may show, default 20,000.
        **kwargs: further arguments of the operation.

    Returns:
        `Explanation`: print it, `.text(...)`, `.figure(...)`, `.save("file.html")`.

    Raises:
        ArgumentError: the operation cannot be explained, or an argument is outside its rule.
        TooLargeError: there are more products than `max_terms`.

    >>> import minicnn as mc
    >>> print(mc.explain(mc.cross_correlate2d, [[1, 2, 3], [4, 5, 6]], [[1, 0]]).text((1, 1)))
    y[1,1] = 5*1 + 6*0 = 5
    """
    limits = Limits(window, max_terms)
    if isinstance(op, str):
        names = {f.__name__: f for f in CALLS}
        op = names[check_choice("explain", "op", op, names)]
    if op in CALLS:
        return explain_call(op, args, kwargs, output_gradients, limits)
    known = ", ".join(sorted(f.__name__ for f in CALLS))
    raise ArgumentError(f"explain: op={op!r} cannot be explained; give one of {known}.")


# `minicnn.explain` is the function: what else the room offers is found on it.
explain.__dict__["implementations"] = implementations
