"""Tensors without numbers: what layers are called on while a network is being drawn up."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from minicnn import config

__all__ = ["Call", "SymbolicTensor", "is_symbolic"]

_numbers = itertools.count()

#: The layer behind each operator, e.g. "+" -> Add; layers enter themselves.
MERGERS: dict[str, Callable[[], Any]] = {}

Shape = tuple[int | None, ...]


class Call:
    """One use of a layer: the layer, what it was called on, and what came out.

    `training` is what the layer was told while it was drawn up, None if nothing; such a word holds
    for good, as in `base(x, training=False)`.
    """

    def __init__(self, layer: Any, inputs: Any, training: bool | None = None) -> None:
        self.layer = layer
        self.inputs = inputs
        self.training = training
        self.number = next(_numbers)
        self.outputs: list[SymbolicTensor] = []

    @property
    def input_list(self) -> list[SymbolicTensor]:
        """The inputs as a flat list."""
        return list(self.inputs) if isinstance(self.inputs, list | tuple) else [self.inputs]


class SymbolicTensor:
    """The shape and type of a value to come, and the call that will make it.

    Args:
        shape: length of each axis, None for the batch.
        call: the use of a layer that makes it.
        dtype: element type, default `config.floatx()`.
    """

    def __init__(self, shape: Sequence[int | None], call: Call, dtype: str | None = None) -> None:
        self.shape: Shape = tuple(shape)
        self.dtype = dtype or config.floatx()
        self.call = call
        call.outputs.append(self)

    @property
    def name(self) -> str:
        """The name of the layer that makes this value."""
        return str(self.call.layer.name)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<SymbolicTensor shape={self.shape} dtype={self.dtype} from {self.name!r}>"

    def __add__(self, other: Any) -> Any:
        return MERGERS["+"]()([self, other])

    def __radd__(self, other: Any) -> Any:
        return MERGERS["+"]()([other, self])


def is_symbolic(value: Any) -> bool:
    """Return whether `value` is a symbolic tensor or a list that holds one."""
    if isinstance(value, list | tuple):
        return any(isinstance(v, SymbolicTensor) for v in value)
    return isinstance(value, SymbolicTensor)
