"""Training steps on the GPU that are recorded once, as CUDA graphs, and started again as a whole.

A graph knows addresses. So the batch and all weights are written into fixed memory before it is
started, and it leaves the loss, the results and the gradients in fixed memory, too. The weights of
the model are never that memory: what somebody holds of them stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.autograd import Tensor, Variable
from minicnn.autograd.tensor import plain
from minicnn.errors import RecordingError, warn_user
from minicnn.kernels import backend_module
from minicnn.kernels.arrays import joined
from minicnn.layers.weights import all_layers
from minicnn.nested import flatten, mapped
from minicnn.runtime.devices import on_gpu
from minicnn.training.compiling import Parts

__all__ = ["Computed", "Replays"]

Array = NDArray[Any]

#: What a step computes before the weights change: the loss, the model's results, the gradients with
#: their variables, and the parts of the loss.
Computed = tuple[Tensor, Any, list[tuple[Any, Variable]], Parts]
#: Computes it for a batch x, y, sample_weight.
Compute = Callable[[Any, Any, Any], Computed]


def _leaves(batch: Any) -> list[Any]:
    """Return the arrays of a batch in a row, without those parts that are None."""
    return [plain(leaf) for leaf in flatten(batch) if leaf is not None]


def _changed(batch: Any, change: Callable[[Any], Any]) -> Any:
    """Return a batch with another array in place of each; tensors stay tensors, `bare` ones."""

    def changed(leaf: Any) -> Any:
        if leaf is None:
            return None
        return leaf.bare(change) if isinstance(leaf, Tensor) else change(leaf)

    return mapped(changed, batch)


class _Row:
    """Fixed memory for the weights of one type, end to end, so that one kernel fills it."""

    #: Bytes of which the beginning of each weight is a multiple, for kernels that move 16 at once.
    STEP = 16

    def __init__(self, weights: Sequence[Variable]) -> None:
        self.weights = weights
        first, wide = weights[0].data, self.STEP // weights[0].dtype.itemsize
        self._gaps = [np.zeros(-w.size % wide, first.dtype, like=first) for w in weights]
        sizes = [w.size + gap.size for w, gap in zip(weights, self._gaps, strict=True)]
        self._edges = np.cumsum([0, *sizes]).tolist()
        self._whole = np.empty(self._edges[-1], first.dtype, like=first)
        self.parts = [self._part(self._whole, i) for i in range(len(weights))]

    def _part(self, row: Array, i: int, first: int = 0) -> Array:
        begin, weight = self._edges[i] - self._edges[first], self.weights[i]
        return row[begin : begin + weight.size].reshape(weight.shape)

    def fill(self) -> None:
        """Write the present weights into the row."""
        pairs = zip(self.weights, self._gaps, strict=True)
        pieces = [piece for w, gap in pairs for piece in (w.data.reshape(-1), gap) if piece.size]
        joined(pieces, out=self._whole)

    def give(self, chosen: Sequence[int]) -> None:
        """Give copies of the row's numbers to some of the weights."""
        if chosen:
            first, last = min(chosen), max(chosen)
            copy = self._whole[self._edges[first] : self._edges[last + 1]].copy()
            for i in chosen:
                self.weights[i].data = self._part(copy, i, first)


class _Replay:
    """What a step computes for batches of one shape, recorded.

    Args:
        compute: what is recorded.
        weights: all that it may read and assign to.
        batch: one of that shape, on the GPU.
    """

    def __init__(self, compute: Compute, weights: Sequence[Variable], batch: Any) -> None:
        self._compute = compute
        # Statistics that a forward pass assigns lie side by side, behind what training changes.
        ordered = sorted(weights, key=lambda w: not w.trainable)
        kinds = dict.fromkeys(w.dtype for w in ordered if w.size)
        self._rows = [_Row([w for w in ordered if w.dtype == kind and w.size]) for kind in kinds]
        self._assigned: list[list[int]] = [[] for _ in self._rows]
        self._batch = _changed(batch, np.empty_like)
        self._recorded = backend_module("cupy").Recorded(self._run)

    def __call__(self, batch: Any) -> Computed:
        """Compute it for a batch, and assign what the forward pass assigns."""
        for fixed, given in zip(_leaves(self._batch), _leaves(batch), strict=True):
            np.copyto(fixed, given)
        for row in self._rows:
            row.fill()
        computed: Computed = self._recorded()
        for row, assigned in zip(self._rows, self._assigned, strict=True):
            row.give(assigned)
        return computed

    def _run(self) -> Computed:
        """Compute it once in fixed memory, where assigned weights end up, too."""
        pairs = [zip(row.weights, row.parts, strict=True) for row in self._rows]
        places = [place for row in pairs for place in row]
        outside = [w.data for w, _ in places]
        try:
            for weight, part in places:
                weight.data = part
            loss, y_pred, gradients, parts = self._compute(*self._batch)
            for i, row in enumerate(self._rows):
                new = [w.data for w in row.weights]
                self._assigned[i] = [j for j, part in enumerate(row.parts) if new[j] is not part]
                for j in self._assigned[i]:
                    np.copyto(row.parts[j], new[j])
        finally:
            for (weight, _), data in zip(places, outside, strict=True):
                weight.data = data
        # Without their memory of how they came about, which would hold all that was computed.
        return loss.detach(), _changed(y_pred, lambda array: array), gradients, parts


class Replays:
    """The recorded steps of a model, one for each shape of batch that comes twice in a row.

    The last batch of an epoch is often smaller; it comes once and is computed as usual. All steps
    compute matrix products in the same way, so that a replayed step gives the bits of one that is
    not.

    Args:
        name: the model's, for messages.
        reason: why nothing is to be recorded, default None.
    """

    #: Shapes that are recorded at most; each needs memory of its own.
    MOST = 4

    def __init__(self, name: str, reason: str | None = None) -> None:
        self._name, self._reason = name, reason
        self._told = False
        self._replays: dict[Any, _Replay] = {}
        self._last: Any = None
        self._asked = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: it records for itself, for its own model's weights."""
        return {**vars(self), "_replays": {}, "_last": None}

    def __call__(self, model: Any, compute: Compute, batch: Any) -> Computed:
        """Return what `compute` gives for a batch, by a recorded step if there is one.

        Args:
            model: the model.
            compute: takes the parts of the batch.
            batch: (x, y, sample_weight).
        """
        self._asked = True
        leaves, weights = _leaves(batch), model.weights
        there = weights and all(map(on_gpu, [*leaves, *(w.data for w in weights)]))
        if not there:  # on the CPU, or not built yet
            return compute(*batch)
        if self._reason is not None:
            self._tell()
            return compute(*batch)
        card = backend_module("cupy")
        key = (
            tuple((leaf.shape, leaf.dtype) for leaf in leaves),
            tuple(len(_leaves(part)) for part in batch),
            tuple(map(id, weights)),
            tuple(layer.trainable for layer in all_layers(model)),
            (card.precision(), config.floatx()),
        )
        with card.own_products():
            replay = self._replays.get(key)
            if replay is None and key == self._last and len(self._replays) < self.MOST:
                replay = self._replays[key] = _Replay(compute, weights, batch)
            self._last = key
            if replay is None:
                return compute(*batch)
            draws = config.random_draws()
            try:
                computed = replay(batch)
            except RecordingError as error:
                self._give_up(str(error))
                return compute(*batch)
            except BaseException:  # a card without room, for one: nothing of it is to be kept
                self._replays.clear()
                raise
        if config.random_draws() != draws:
            self._give_up("it draws random numbers on the CPU, as Dropout and augmentation do")
        return computed

    def after_step(self, weight: Variable | None) -> None:
        """Note whether a training step came by here; one that a user wrote need not.

        Args:
            weight: one of the model's, None if it has none.
        """
        there = weight is not None and on_gpu(weight.data)
        if there and not self._asked and self._reason is None:
            self._give_up("the model has a train_step of its own")
        self._asked = False

    def _give_up(self, reason: str) -> None:
        self._reason = reason
        self._replays.clear()
        self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            warn_user(
                f"{self._name}: compile got jit_compile=True, but the training step cannot be "
                f"recorded and runs as usual: {self._reason}."
            )
