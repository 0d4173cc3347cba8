"""The variables of a step laid end to end, so that one update serves all."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.autograd.tensor import Variable
from minicnn.kernels.arrays import joined

__all__ = ["Row"]

Array = NDArray[Any]


class Row:
    """The variables of a step laid end to end, so that one update serves all.

    A small network has a dozen variables of a few hundred numbers: one call of NumPy for each
    would take much longer than the arithmetic.
    """

    #: Above so many numbers, the arithmetic outweighs the calls, and joining would cost memory.
    MOST = 1 << 20

    def __init__(
        self, variables: list[Variable], kept: list[dict[str, Array]], slots: Iterable[str]
    ) -> None:
        self._variables = variables
        self._kind = type(variables[0].data)  # says where they live
        self._edges = np.cumsum([0, *(v.size for v in variables)]).tolist()
        # The weights as the last step left them, and each variable's part of them.
        self._weights: Array | None = None
        self._given: list[Array] = []
        self.slots = {name: joined([s[name] for s in kept]) for name in slots}
        # What is kept for each variable are from now on parts of the row.
        for name, row in self.slots.items():
            for of_one, part in zip(kept, self.parts(row), strict=True):
                of_one[name] = part

    @classmethod
    def holds(cls, variables: list[Variable], gradients: list[Array]) -> bool:
        """Return whether these variables can be laid end to end and are worth it."""
        weights = [v.data for v in variables]
        arrays = [*gradients, *weights]
        kinds = zip(map(operator.attrgetter("dtype"), arrays), map(type, arrays), strict=True)
        alike = len(set(kinds)) == 1
        different = len(set(map(id, variables))) == len(variables)
        return alike and different and sum(map(operator.attrgetter("size"), weights)) <= cls.MOST

    def is_of(self, variables: list[Variable]) -> bool:
        """Return whether the row is of just these variables, where they live."""
        return (
            type(variables[0].data) is self._kind
            and len(variables) == len(self._variables)
            and all(map(operator.is_, variables, self._variables))
        )

    def weights(self) -> Array:
        """Return the variables end to end: as the last step left them, or joined anew."""
        now = [v.data for v in self._variables]
        whole = self._weights
        if whole is None or not all(map(operator.is_, now, self._given)):
            return joined(now)  # somebody assigned to one, which gave it another array
        return whole

    def give(self, weights: Array) -> None:
        """Give each variable its part of the new weights."""
        self._weights, self._given = weights, self.parts(weights)
        for variable, part in zip(self._variables, self._given, strict=True):
            variable.data = part

    def parts(self, row: Array) -> list[Array]:
        """Return each variable's part of a row, in its shape."""
        return [
            row[first:last].reshape(v.data.shape)
            for first, last, v in zip(self._edges, self._edges[1:], self._variables, strict=False)
        ]
