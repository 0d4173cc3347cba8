"""Numbers of an optimizer that can also be read as variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minicnn.optimizers.base import Optimizer

__all__ = ["RateNow", "StepsDone"]


class RateNow(float):
    """The rate of the next step: a number that can also be asked and set as a variable."""

    owner: Optimizer

    def numpy(self) -> Any:
        """Return the number as NumPy's."""
        return np.asarray(float(self))

    def assign(self, value: float) -> None:
        """Set the optimizer's rate."""
        self.owner.learning_rate = float(value)


class StepsDone(int):
    """The number of steps done, which can also be asked as a variable."""

    def numpy(self) -> Any:
        """Return the number as NumPy's."""
        return np.asarray(int(self))
