"""Gradients of one's own, and what a source gets that has none."""

from __future__ import annotations

import enum
import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd.tensor import Tensor, Variable, convert_to_tensor, record
from minicnn.errors import ArgumentError, ShapeError

__all__ = ["UnconnectedGradients", "custom_gradient"]


class UnconnectedGradients(enum.StrEnum):
    """What a tape gives for a source that the target does not depend on: None, or zeros."""

    NONE = "none"
    ZERO = "zero"


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operation that computes with f and goes back as f says.

    Args:
        f: a function of tensors that returns its result, or several in a list or tuple, and a
            function of the results' gradients that returns the gradient of each argument. If f
            computes with trainable variables, too, that function must take `variables` and return
            the arguments' gradients and a list of the variables'.

    Raises:
        ArgumentError: f does not return such a pair, or the function in it cannot give the
            gradients of the variables.

    >>> @custom_gradient
    ... def log1pexp(x):
    ...     e = ops.exp(x)
    ...     return ops.log(1.0 + e), lambda upstream: upstream * (1.0 - 1.0 / (1.0 + e))
    >>> x = Variable([[100.0, 0.0, -3.0]], dtype="float64")
    >>> ops.sum(log1pexp(x)).backward()
    >>> x.grad.numpy().round(3).tolist()
    [[1.0, 0.5, 0.047]]
    """
    name = getattr(f, "__name__", "f")

    @functools.wraps(f)
    def operation(*args: Any, **kwargs: Any) -> Any:
        inputs = [convert_to_tensor(a) for a in args]
        returned = f(*inputs, **kwargs)
        if not isinstance(returned, tuple) or len(returned) != 2 or not callable(returned[1]):
            raise ArgumentError(
                f"custom_gradient: {name} must return two things, its result and a function of "
                f"the result's gradient, but it returned {type(returned).__name__}."
            )
        result, gradient = returned
        several = isinstance(result, list | tuple)
        results = [convert_to_tensor(y) for y in (result if several else [result])]
        variables = _variables(results, inputs)
        if variables and "variables" not in inspect.signature(gradient).parameters:
            raise ArgumentError(
                f"custom_gradient: {name} computes with the variable {variables[0].name!r}, but "
                f"its gradient function has no argument `variables`; add `variables=None` and "
                f"return the gradients of the arguments and a list of those of the variables."
            )
        back = _Back(name, gradient, results, inputs, variables)
        pairs = [(x, functools.partial(back, i)) for i, x in enumerate([*inputs, *variables])]
        # One operation gives all results in a row, so that their gradients come together.
        whole = record(name, np.concatenate([y.data.reshape(-1) for y in results]), *pairs)
        outputs = back.parts(whole)
        return type(result)(outputs) if several else outputs[0]

    return operation


class _Back:
    """How gradients go back through one call; they are asked for one input after the other."""

    def __init__(
        self,
        name: str,
        gradient: Callable[..., Any],
        results: Sequence[Tensor],
        inputs: Sequence[Tensor],
        variables: Sequence[Variable],
    ) -> None:
        self.name, self.gradient = name, gradient
        self.inputs, self.variables = inputs, variables
        self.shapes = [y.shape for y in results]
        # The last gradient met, with what was made of it.
        self._met: tuple[Tensor, list[Any]] | None = None

    def parts(self, row: Tensor) -> list[Tensor]:
        """Return the results, or their gradients, of all their numbers in a row."""
        found, end = [], 0
        for shape in self.shapes:
            size = math.prod(shape)
            found.append(ops.reshape(row[end : end + size], shape))
            end += size
        return found

    def __call__(self, number: int, dy: Tensor, y: Tensor) -> Tensor:
        if self._met is None or self._met[0] is not dy:
            self._met = dy, self._gradients(self.parts(dy))
        x, given = [*self.inputs, *self.variables][number], self._met[1][number]
        if given is None:
            return Tensor(np.zeros_like(x.data))
        found = convert_to_tensor(given, x.dtype)
        if found.shape != x.shape:
            raise ShapeError(
                f"custom_gradient: the gradient of {self.name} has shape {found.shape}, but what "
                f"it belongs to has {x.shape}; they must be equal."
            )
        return found

    def _gradients(self, upstream: list[Tensor]) -> list[Any]:
        """Return what the function gives: for each argument, then for each variable."""
        if not self.variables:
            return self._for("arguments", self.gradient(*upstream), self.inputs)
        arguments, variables = self.gradient(*upstream, variables=list(self.variables))
        return [
            *self._for("arguments", arguments, self.inputs),
            *self._for("variables", variables, self.variables),
        ]

    def _for(self, what: str, given: Any, there: Sequence[Tensor]) -> list[Any]:
        found = list(given) if isinstance(given, list | tuple) else [given]
        if len(found) != len(there):
            raise ArgumentError(
                f"custom_gradient: {self.name} has {len(there)} {what}, but its gradient function "
                f"gave {len(found)} gradients for them; give one, or None, for each."
            )
        return found


def _variables(results: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Variable]:
    """Return the trainable variables that results were computed from, besides the inputs."""
    found: dict[int, Variable] = {}
    seen = {id(x) for x in inputs}
    waiting = list(results)
    while waiting:
        x = waiting.pop()
        if id(x) not in seen:
            seen.add(id(x))
            if isinstance(x, Variable) and x.trainable:
                found[id(x)] = x
            elif x.node is not None:
                waiting += [source for source, _ in x.node.inputs]
    return list(found.values())
