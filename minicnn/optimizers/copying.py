"""Copies of optimizers, as `copy.deepcopy` and `pickle` make them."""

from __future__ import annotations

from typing import Any

from minicnn.autograd.tensor import Variable
from minicnn.kernels.placement import to_cpu

__all__ = ["Copied"]


class Copied:
    """How an optimizer is copied together with its variables; `Optimizer` inherits it.

    What is kept is found by the variables' identity, and a copy has variables of its own.
    """

    # What the other side, `Optimizer`, brings.
    state: dict[int, dict[str, Any]]
    _owners: dict[int, Variable]

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of; its arrays come to their variables with the next step."""
        kept = [
            (variable, {name: to_cpu(array) for name, array in self.state[key].items()})
            for key, variable in self._owners.items()
        ]
        return {**vars(self), "state": kept, "_owners": None, "_row": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.state = {id(variable): slots for variable, slots in state["state"]}
        self._owners = {id(variable): variable for variable, _ in state["state"]}
