"""The engine: from a result back to what it came from, in any order of derivative.

`GradientTape` and `Tensor.backward` are two doors to `propagate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.autograd.recording import OPERATORS, Node, operator, recording, state
from minicnn.autograd.tensor import Tensor, Variable, alongside, convert_to_tensor
from minicnn.errors import ArgumentError, ShapeError, check_choice
from minicnn.kernels.placement import check_same_device

__all__ = ["GradientTape", "backward"]


def _order(
    roots: Sequence[Tensor], wanted: set[int] | None, follow: Callable[[Node], bool]
) -> tuple[list[Tensor], set[int]]:
    """Return the tensors that gradients pass through, inputs first, and the useful ids.

    A tensor is useful if it is one of `wanted` or came from one; with `wanted` None, if it is a
    leaf or came from one.
    """
    order: list[Tensor] = []
    useful: set[int] = set()
    seen: set[int] = set()
    # Each tensor is visited twice: to stack its inputs, and after these to judge itself.
    stack: list[tuple[Tensor, bool]] = [(root, False) for root in roots]
    while stack:
        tensor, inputs_done = stack.pop()
        key, node = id(tensor), tensor.node
        if node is not None and not follow(node):
            node = None
        if not inputs_done:
            if key not in seen:
                seen.add(key)
                stack.append((tensor, True))
                if node is not None:
                    stack.extend([(x, False) for x, _ in node.inputs])
            continue
        order.append(tensor)
        if key in wanted if wanted is not None else node is None:
            useful.add(key)
        elif node is not None:
            for x, _ in node.inputs:
                if id(x) in useful:
                    useful.add(key)
                    break
    return order, useful


def propagate(
    roots: Sequence[tuple[Tensor, Tensor]],
    wanted: Iterable[Tensor] | None,
    follow: Callable[[Node], bool],
) -> dict[int, tuple[Tensor, Tensor]]:
    """Carry gradients from `roots` (tensor, its gradient) back through the recorded operations.

    Only operations on a way to a wanted tensor run, and of these only the vector-Jacobian products
    that lead there. With `wanted` None, all leaves are wanted.

    Returns:
        For the id of each wanted tensor reached: the tensor and its gradient.
    """
    keep = None if wanted is None else {id(x) for x in wanted}
    order, useful = _order([root for root, _ in roots], keep, follow)
    gradients: dict[int, Tensor] = {}
    found: dict[int, tuple[Tensor, Tensor]] = {}

    def add(tensor: Tensor, gradient: Tensor) -> None:
        before = gradients.get(id(tensor))
        gradients[id(tensor)] = gradient if before is None else OPERATORS["+"](before, gradient)

    for root, gradient in roots:
        add(root, gradient)
    while order:
        tensor = order.pop()
        total = gradients.pop(id(tensor), None)
        if total is None:
            continue
        node = tensor.node
        if node is not None and not follow(node):
            node = None
        if node is None if keep is None else id(tensor) in keep:
            found[id(tensor)] = (tensor, total)
        if node is not None:
            for x, vjp in node.inputs:
                if id(x) in useful:
                    add(x, vjp(total, tensor))
    return found


def _seed(target: Tensor, gradient: Any, where: str) -> Tensor:
    """Return the gradient to start from, of the target's shape and type."""
    if gradient is None:
        seed = Tensor(np.ones_like(target.data))
        seed.ones = True
        return seed
    if not isinstance(gradient, Tensor):
        gradient = alongside(gradient, target, target.dtype)
    seed = convert_to_tensor(gradient, target.dtype)
    check_same_device(where, target=target.data, gradient=seed.data)
    if seed.shape != target.shape:
        raise ShapeError(
            f"{where}: the gradient to start from has shape {seed.shape}, but the target has "
            f"{target.shape}; they must be equal."
        )
    return seed


@operator("backward")
def backward(target: Tensor, gradient: Any = None, *, create_graph: bool = False) -> None:
    """Add the gradient of `target` to `.grad` of each variable or watched tensor behind it."""
    if not target.tracked:
        raise ArgumentError(
            "backward: this tensor came from no variable, so there is nothing to differentiate "
            "by; make an input a Variable."
        )
    if gradient is None and target.size != 1:
        raise ArgumentError(
            f"backward: a tensor of shape {target.shape} has {target.size} elements; give "
            f"`gradient` of that shape, or reduce it to one number first (sum, mean, a loss)."
        )
    with recording(create_graph):
        seed = _seed(target, gradient, "backward")
        found = propagate([(target, seed)], None, lambda node: True)
        for tensor, total in found.values():
            if tensor.tracked:
                tensor.grad = total if tensor.grad is None else OPERATORS["+"](tensor.grad, total)


class GradientTape:
    """Record operations in a `with` block and differentiate them, as TensorFlow's tape.

    Trainable variables are watched by themselves, other tensors by `watch`. `gradient` may be
    called inside the block or after it; tapes may be nested for derivatives of higher order.

    Args:
        persistent: allow several calls of `gradient`, default False.
        watch_accessed_variables: watch trainable variables without being told, default True.

    >>> x = Variable([3.0, 4.0])
    >>> with GradientTape() as outer:
    ...     with GradientTape() as inner:
    ...         y = x * x * x
    ...     first = inner.gradient(y, x)
    >>> first.numpy().tolist(), outer.gradient(first, x).numpy().tolist()
    ([27.0, 48.0], [18.0, 24.0])
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_variables = watch_accessed_variables
        self._watched: dict[int, Tensor] = {}
        self._used = False

    def __enter__(self) -> GradientTape:
        state.tapes = (*state.tapes, self)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _stop(self) -> None:
        state.tapes = tuple(tape for tape in state.tapes if tape is not self)

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Return a context in which this tape does not record.

        >>> x = Variable(2.0)
        >>> with GradientTape() as tape:
        ...     with tape.stop_recording():
        ...         unseen = x * x
        ...     y = unseen * x
        >>> float(tape.gradient(y, x))
        4.0
        """
        before = state.tapes
        self._stop()
        try:
            yield
        finally:
            state.tapes = before

    def watch(self, tensor: Any) -> None:
        """Watch a tensor, or each of a list, so that gradients flow into it.

        Raises:
            ArgumentError: what came is no tensor of floats.
        """
        for t in tensor if isinstance(tensor, list | tuple) else [tensor]:
            if not isinstance(t, Tensor) or t.dtype.kind != "f":
                kind = f"a tensor of {t.dtype}" if isinstance(t, Tensor) else type(t).__name__
                raise ArgumentError(
                    f"GradientTape.watch: got {kind}, but only tensors of floats can be watched; "
                    f"use constant(..., dtype='float32')."
                )
            t.watched = True
            self._watched[id(t)] = t

    def _watches(self, source: Tensor) -> bool:
        if id(source) in self._watched:
            return True
        if isinstance(source, Variable):
            return source.trainable and self._watch_variables
        return source.node is not None and self in source.node.tapes

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """Return the gradient of `target` with respect to each of `sources`.

        Args:
            target: a tensor, or a list, tuple or dictionary of tensors whose gradients add up.
            sources: a tensor or variable, or a list, tuple or dictionary of them.
            output_gradients: gradients of the final result with respect to `target`, default 1.
            unconnected_gradients: what a source gets that the target does not depend on:
                `"none"` (default) or `"zero"`.

        Returns:
            Gradients in the arrangement of `sources`; None where the target does not depend on one.

        Raises:
            ArgumentError: the tape is not persistent and was used before, or an argument is
                outside its rule.
            ShapeError: an output gradient has not its target's shape.
        """
        unconnected = check_choice(
            "GradientTape.gradient",
            "unconnected_gradients",
            unconnected_gradients,
            ["none", "zero"],
        )
        if self._used and not self._persistent:
            raise ArgumentError(
                "GradientTape.gradient: this tape was used before; make it "
                "GradientTape(persistent=True) to call gradient several times."
            )
        self._used = True
        if not self._persistent:
            self._stop()
        targets = list(target.values()) if isinstance(target, dict) else target
        targets = targets if isinstance(targets, list | tuple) else [targets]
        targets = [t if isinstance(t, Tensor) else convert_to_tensor(t) for t in targets]
        seeds = (
            output_gradients
            if isinstance(output_gradients, list | tuple)
            else ([output_gradients] * len(targets))
        )
        if len(seeds) != len(targets):
            raise ArgumentError(
                f"GradientTape.gradient: output_gradients holds {len(seeds)} gradients for "
                f"{len(targets)} targets; give one, or None, for each."
            )
        flat = _leaves(sources)
        roots = [
            (t, _seed(t, s, "GradientTape.gradient")) for t, s in zip(targets, seeds, strict=True)
        ]
        # Gradients are remembered themselves only while some tape is still running.
        with recording(bool(state.tapes)):
            found = propagate(
                roots, [s for s in flat if self._watches(s)], lambda node: self in node.tapes
            )
        results = [
            found[id(s)][1]
            if id(s) in found
            else Tensor(np.zeros_like(s.data))
            if unconnected == "zero"
            else None
            for s in flat
        ]
        return _arrange(sources, iter(results))


def _leaves(sources: Any) -> list[Tensor]:
    if isinstance(sources, dict):
        return [t for s in sources.values() for t in _leaves(s)]
    if isinstance(sources, list | tuple):
        return [t for s in sources for t in _leaves(s)]
    if not isinstance(sources, Tensor):
        raise ArgumentError(
            f"GradientTape.gradient: sources holds a {type(sources).__name__}, but must hold "
            f"tensors or variables."
        )
    return [sources]


def _arrange(sources: Any, results: Any) -> Any:
    if isinstance(sources, dict):
        return {key: _arrange(s, results) for key, s in sources.items()}
    if isinstance(sources, list | tuple):
        return type(sources)(_arrange(s, results) for s in sources)
    return next(results)
