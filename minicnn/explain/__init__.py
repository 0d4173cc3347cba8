"""Every operation explained number by number: as text, figure, animation and page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, overload

from minicnn.errors import ArgumentError
from minicnn.explain.calls import CALLS, explain_call, operation_named
from minicnn.explain.explanation import Explanation
from minicnn.explain.implementations import Implementations, implementations
from minicnn.explain.models import ModelExplanation, explain_layer, explain_model
from minicnn.explain.records.limits import MAX_TERMS, Limits
from minicnn.layers.base import Layer
from minicnn.models import Model

__all__ = ["Explanation", "ModelExplanation", "explain", "implementations"]


class _Explain(Protocol):
    """What `explain` is: a function on which the other things of this room are found."""

    @overload
    def __call__(
        self,
        op: Model,
        *args: Any,
        output_gradients: Any = None,
        window: Any = None,
        max_terms: int = MAX_TERMS,
        **kwargs: Any,
    ) -> ModelExplanation: ...

    @overload
    def __call__(
        self,
        op: str | Callable[..., Any],
        *args: Any,
        output_gradients: Any = None,
        window: Any = None,
        max_terms: int = MAX_TERMS,
        **kwargs: Any,
    ) -> Explanation: ...

    @staticmethod
    def implementations(op: str | Callable[..., Any]) -> Implementations:
        """Return the source of an operation in every backend, side by side."""


def _with_implementations(function: Any) -> _Explain:
    """Let `minicnn.explain`, which is the function and hides this module, offer its source too."""
    function.implementations = implementations
    return function


@_with_implementations
def explain(
    op: str | Callable[..., Any],
    *args: Any,
    output_gradients: Any = None,
    window: Any = None,
    max_terms: int = MAX_TERMS,
    **kwargs: Any,
) -> Explanation | ModelExplanation:
    """Return the arithmetic of a call: which numbers meet in each number of its result.

    Args:
        op: an operation (`minicnn.conv2d`), its name, a layer, or a model.
        *args: what it is called with.
        output_gradients: gradient with respect to the result, for the backward explanations;
            default ones, as `GradientTape.gradient` takes it.
        window: (rows, columns) or (rows, columns, channels) of the result to show, each
            (first, last + 1); default all of it. Gradients show the same places, of a kernel the
            same channels and filters.
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
    if isinstance(op, Model):
        if args and window is None and max_terms == MAX_TERMS and not args[1:] and not kwargs:
            return explain_model(op, args[0], output_gradients)
        raise ArgumentError(
            f"explain: a model is explained as explain(model, x); say window and max_terms when "
            f"opening one of its layers: explain({op.name}, x).open(name, window=...)."
        )
    if isinstance(op, Layer):
        return _explain_layer(op, args, kwargs, output_gradients, limits)
    if isinstance(op, str):
        op = operation_named(op)
    if callable(op) and op in CALLS:
        return explain_call(op, args, kwargs, output_gradients, limits)
    kind, known = type(op).__name__, ", ".join(f.__name__ for f in CALLS)
    raise ArgumentError(
        f"explain: op={getattr(op, '__name__', kind)} cannot be explained; "
        f"give a layer, a model or one of {known}."
    )


def _explain_layer(
    layer: Layer, args: Any, kwargs: dict[str, Any], output_gradients: Any, limits: Limits
) -> Explanation:
    training = kwargs.pop("training", False)
    if len(args) != 1 or kwargs:
        raise ArgumentError(
            f"explain: a layer is explained as explain(layer, x), and training=True if wanted; "
            f"{layer.name!r} got {len(args)} inputs and {', '.join(kwargs) or 'nothing else'}."
        )
    return explain_layer(layer, args[0], output_gradients, limits, training)
