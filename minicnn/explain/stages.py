"""What happens one after the other in a call, each step explained with the gradient it receives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd import GradientTape
from minicnn.autograd.tensor import Tensor, as_numpy, convert_to_tensor
from minicnn.errors import ArgumentError, ShapeError
from minicnn.explain.explanation import Explanation
from minicnn.explain.records.limits import Limits
from minicnn.explain.records.record import Record
from minicnn.explain.records.steps import Step

__all__ = ["Stage", "as_numbers", "check_shown", "explain_stages", "last_gradient"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Stage:
    """One operation of a call.

    Args:
        name: what it is called where there are several.
        run: from tensor to tensor.
        records: from the numbers of this operation to its records.
    """

    name: str
    run: Callable[[Any], Any]
    records: Callable[[Step, Limits], Iterable[Record]]


@config.use_cpu()  # what is shown number by number is copied here first
def explain_stages(
    title: str, x: Any, stages: Sequence[Stage], output_gradients: Any, limits: Limits
) -> Explanation:
    """Return the explanation of operations that follow each other.

    Args:
        title: the call.
        x: what enters the first.
        stages: the operations.
        output_gradients: gradient with respect to the last result, default ones.
        limits: what part is shown.

    Raises:
        ShapeError: `output_gradients` has not the shape of the result, or there are no numbers.
    """
    first = convert_to_tensor(x).cpu()
    check_shown(title, first.numpy())
    values = [first if first.dtype.kind == "f" else convert_to_tensor(first, config.floatx())]
    with GradientTape(persistent=True) as tape:
        tape.watch(values[0])
        for stage in stages:
            values.append(convert_to_tensor(stage.run(values[-1])))
            # A result that no variable entered would not be followed any further.
            tape.watch(values[-1])
    check_shown(title, values[-1].numpy())
    dy = last_gradient(title, values[-1], output_gradients)
    records: list[Record] = []
    gradients = [_received(tape, values[-1], value, dy) for value in values[:-1]] + [dy]
    for place, stage in enumerate(stages):
        x, y = (value.numpy() for value in values[place : place + 2])
        step = Step(x, y, dy=gradients[place + 1], dx=gradients[place])
        for record in stage.records(step, limits):
            name = {"stage": stage.name} if len(stages) > 1 else {}
            records.append(replace(record, choice={**name, **record.choice}))
    return Explanation(title, tuple(records), tuple(limits.left_out))


def last_gradient(title: str, y: Tensor, given: Any) -> Array:
    """Return the gradient with respect to a result as it was given, or ones.

    Raises:
        ShapeError: it has not the shape of the result.
    """
    if given is None:
        return np.ones(y.shape, y.dtype)
    dy = as_numbers("explain: output_gradients", given, y.dtype)
    if dy.shape != y.shape:
        raise ShapeError(
            f"explain: output_gradients has shape {dy.shape}, but the result of {title} has "
            f"{y.shape}; they must be equal."
        )
    return dy


def as_numbers(what: str, given: Any, dtype: Any) -> Array:
    """Return an array of a type.

    Raises:
        ArgumentError: these are no numbers.
    """
    try:
        return as_numpy(given, dtype)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{what}: {type(given).__name__} cannot be used; it must be an array of real numbers "
            f"whose rows are equally long."
        ) from None


def check_shown(title: str, array: Array) -> None:
    """Raise if there is nothing to be shown of an array.

    Raises:
        ShapeError: it has no elements, or no axes.
    """
    if array.ndim and array.size:
        return
    what = "holds no numbers" if array.ndim else "is a single number; put it into a list, [x]"
    raise ShapeError(f"explain: {title}: an array of shape {array.shape} {what}.")


def _received(tape: GradientTape, last: Tensor, tensor: Tensor, dy: Array) -> Array:
    """Return the gradient that reaches a result inside."""
    gradient = tape.gradient(last, tensor, output_gradients=dy)
    return np.zeros(tensor.shape, tensor.dtype) if gradient is None else np.asarray(gradient)
