"""The engine: from a result back to what it came from, in any order of derivative.

`GradientTape` and `Tensor.backward` are two doors to `propagate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.autograd.operators import OPERATORS, above
from minicnn.autograd.recording import Trace, recording, state
from minicnn.autograd.tensor import Node, Tensor, Variable, alongside, as_tensor
from minicnn.errors import ArgumentError, ShapeError, check_choice, counted, warn_user
from minicnn.nested import flatten, pack
from minicnn.runtime.devices import check_same_device

__all__ = ["GradientTape", "backward"]


def _order(
    roots: Sequence[Tensor], wanted: set[int] | None, tape: Trace | None
) -> tuple[list[tuple[Tensor, Node | None]], set[int]]:
    """Return the tensors that gradients pass through, inputs first, and the useful ids.

    With each tensor stands its memory if that is to be followed.
    A tensor is useful if it is one of `wanted` or came from one; with `wanted` None, if it is a
    leaf or came from one.
    """
    order: list[tuple[Tensor, Node | None]] = []
    useful: set[int] = set()
    seen: set[int] = set()
    # Each tensor is visited twice: to stack its inputs, and after these to judge itself.
    stack: list[tuple[Tensor, Node | None, bool]] = [(root, None, False) for root in roots]
    while stack:
        tensor, node, inputs_done = stack.pop()
        key = id(tensor)
        if not inputs_done:
            if key not in seen:
                seen.add(key)
                node = tensor.node
                if node is not None and tape is not None and tape not in node.tapes:
                    node = None
                stack.append((tensor, node, True))
                for x, _ in () if node is None else node.inputs:
                    stack.append((x, None, False))
            continue
        order.append((tensor, node))
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
    tape: Trace | None,
) -> dict[int, tuple[Tensor, Tensor]]:
    """Carry gradients from `roots` (tensor, its gradient) back through the recorded operations.

    Only operations on a way to a wanted tensor run, and of these only the vector-Jacobian products
    that lead there. With `wanted` None, all leaves are wanted; with `tape` None, what any remembers
    is followed.

    Returns:
        For the id of each wanted tensor reached: the tensor and its gradient.
    """
    keep = None if wanted is None else {id(x) for x in wanted}
    order, useful = _order([root for root, _ in roots], keep, tape)
    gradients: dict[int, Tensor] = {}
    found: dict[int, tuple[Tensor, Tensor]] = {}

    for root, gradient in roots:
        before = gradients.get(id(root))
        gradients[id(root)] = gradient if before is None else OPERATORS["+"](before, gradient)
    while order:
        tensor, node = order.pop()
        total = gradients.pop(id(tensor), None)
        if total is None:
            continue
        if node is None if keep is None else id(tensor) in keep:
            found[id(tensor)] = (tensor, total)
        if node is not None:
            for x, vjp in node.inputs:
                if id(x) in useful:
                    gradient, before = vjp(total, tensor), gradients.get(id(x))
                    joined = gradient if before is None else OPERATORS["+"](before, gradient)
                    gradients[id(x)] = joined
    return found


def _seed(target: Tensor, gradient: Any, where: str) -> Tensor:
    """Return the gradient to start from, of the target's shape and type."""
    if gradient is None:
        seed = Tensor(np.ones_like(target.data))
        seed.ones = True
        return seed
    if not isinstance(gradient, Tensor):
        gradient = alongside(gradient, target, target.dtype)
    seed = as_tensor(gradient, target.dtype)
    check_same_device(where, target=target.data, gradient=seed.data)
    if seed.shape != target.shape:
        raise ShapeError(
            f"{where}: the gradient to start from has shape {seed.shape}, but the target has "
            f"{target.shape}; they must be equal."
        )
    return seed


def backward(target: Tensor, gradient: Any = None, *, create_graph: bool = False) -> None:
    """Add the gradient of `target` to `.grad` of each variable or watched tensor behind it."""
    if not target.tracked:
        raise ArgumentError(
            "backward: this tensor came from no variable that it remembers, so there is nothing "
            "to differentiate by; make an input a Variable. What layers compute is remembered in "
            "`with minicnn.autograd.recording():` only, and what a GradientTape recorded until "
            "its gradient was taken."
        )
    if gradient is None and target.size != 1:
        raise ArgumentError(
            f"backward: a tensor of shape {target.shape} has {target.size} elements; give "
            f"`gradient` of that shape, or reduce it to one number first (sum, mean, a loss)."
        )
    with recording(create_graph):
        seed = _seed(target, gradient, "backward")
        found = propagate([(target, seed)], None, None)
        for tensor, total in found.values():
            if tensor.tracked:
                tensor.grad = total if tensor.grad is None else OPERATORS["+"](tensor.grad, total)


above.backward = backward


class GradientTape:
    """Record operations in a `with` block and differentiate them, as TensorFlow's tape.

    Trainable variables are watched by themselves, other tensors by `watch`. `gradient` may be
    called inside the block or after it; tapes may be nested for derivatives of higher order. The
    first gradient uses a tape up: it lets go of all that it recorded, unless it is persistent.

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
        self._trace = Trace()
        self._watched: dict[int, Tensor] = {}
        self._persistent = persistent
        self._watch_variables = watch_accessed_variables
        self._used = False

    def __enter__(self) -> GradientTape:
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def __del__(self) -> None:
        if hasattr(self, "_trace"):  # which it has not where its arguments were refused
            self._let_go()

    def __repr__(self) -> str:
        found = (reference() for reference in self._trace.results)
        names = [x.node.name for x in found if x is not None and x.node is not None]
        names = [name for name in names if name != "read"]  # which is a variable's number
        shown = ", ".join([*names[:6], *(["..."] if len(names) > 6 else [])])
        recorded = (
            f"recorded {counted(names, 'operation')}: {shown}" if names else "nothing recorded"
        )
        return f"<GradientTape: {'used up' if self._used and not names else recorded}>"

    def _start(self) -> None:
        self._trace.running = True
        state.tapes = (*state.tapes, self._trace)

    def _stop(self) -> None:
        self._trace.running = False
        state.tapes = tuple(trace for trace in state.tapes if trace is not self._trace)

    def _let_go(self) -> None:
        self._trace.forget()
        for tensor in self._watched.values():
            tensor.watched -= 1
        self._watched = {}

    def reset(self) -> None:
        """Forget what was recorded and watched so far; a tape in its block goes on recording.

        >>> x = Variable(3.0)
        >>> with GradientTape() as tape:
        ...     y = x * x
        ...     tape.reset()
        ...     z = 2.0 * x
        >>> tape.gradient([y, z], x).item()
        2.0
        """
        self._let_go()
        self._used = False

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

        Raises:
            ArgumentError: the tape does not record: its block has ended, or it was used.
        """
        if not self._trace.running:
            raise ArgumentError(
                "GradientTape.stop_recording: this tape does not record; call it inside the "
                "tape's block."
            )
        self._stop()
        try:
            yield
        finally:
            if self._persistent or not self._used:
                self._start()

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
            if id(t) not in self._watched:
                t.watched += 1
                self._watched[id(t)] = t

    def _watches(self, source: Tensor) -> bool:
        if id(source) in self._watched:
            return True
        if isinstance(source, Variable):
            return source.trainable and self._watch_variables
        return source.node is not None and self._trace in source.node.tapes

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
        where = "GradientTape.gradient"
        zero = self._checked(where, unconnected_gradients)
        targets, flat = _leaves(where, "target", target), _leaves(where, "sources", sources)
        seeds = output_gradients
        if not isinstance(seeds, list | tuple):
            by_name = isinstance(seeds, dict)
            seeds = [seeds[k] for k in sorted(seeds)] if by_name else [seeds] * len(targets)
        if len(seeds) != len(targets):
            raise ArgumentError(
                f"{where}: output_gradients holds {len(seeds)} gradients for {len(targets)} "
                f"targets; give one, or None, for each."
            )
        roots = [(t, _seed(t, s, where)) for t, s in zip(targets, seeds, strict=True)]
        lost = [str(i) for i, s in enumerate(flat) if type(s) is Tensor and not self._watches(s)]
        if lost and not zero:
            warn_user(
                f"{where}: source {', '.join(lost)} is a tensor that the tape did not watch, so "
                f"its gradient is None; call tape.watch(x) before x is used, or make x a Variable."
            )
        with self._last_use():
            results = self._back(roots, flat, zero)
        return pack(sources, results)

    def jacobian(
        self,
        target: Any,
        sources: Any,
        unconnected_gradients: str = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Return the derivative of each element of `target` by each element of `sources`.

        d[i..., j...] = d target[i...] / d source[j...]

        Args:
            target: one tensor, of any shape T.
            sources: as in `gradient`; each of any shape S.
            unconnected_gradients: as in `gradient`.
            parallel_iterations: TensorFlow's; one element comes after the other here.
            experimental_use_pfor: TensorFlow's, likewise.

        Returns:
            Tensors of shape (T...,S...) in the arrangement of `sources`, or None, as in `gradient`.

        Raises:
            ArgumentError: as in `gradient`.

        >>> x = Variable([[1.0, 2.0, 3.0]])
        >>> with GradientTape() as tape:
        ...     y = x * x
        >>> tape.jacobian(y, x).numpy()[0, :, 0].tolist()
        [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
        """
        where = "GradientTape.jacobian"
        zero = self._checked(where, unconnected_gradients)
        root, flat = _tensor(where, "target", target), _leaves(where, "sources", sources)
        with self._last_use():
            rows = [self._back([(root, e)], flat, zero) for e in _unit_seeds(root, root.shape)]
            found = [
                _stacked([row[i] for row in rows], root.shape, 0, s) for i, s in enumerate(flat)
            ]
        return pack(sources, found)

    def batch_jacobian(
        self,
        target: Any,
        source: Any,
        unconnected_gradients: str = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Return the same for each sample of a batch by itself; no sample may depend on another.

        d[n, i..., j...] = d target[n, i...] / d source[n, j...]

        Args:
            target: one tensor (N,T...).
            source: one tensor (N,S...).
            unconnected_gradients: as in `gradient`.
            parallel_iterations: as in `jacobian`.
            experimental_use_pfor: likewise.

        Returns:
            A tensor (N,T...,S...), or None, as in `gradient`.

        Raises:
            ArgumentError: as in `gradient`.
            ShapeError: the batches differ.

        >>> x = Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        >>> with GradientTape() as tape:
        ...     y = x[:, :2] * x[:, 1:]
        >>> tape.batch_jacobian(y, x).numpy()[1].tolist()
        [[5.0, 4.0, 0.0], [0.0, 6.0, 5.0]]
        """
        where = "GradientTape.batch_jacobian"
        zero = self._checked(where, unconnected_gradients)
        root, x = _tensor(where, "target", target), _tensor(where, "source", source)
        if not root.ndim or not x.ndim or len(root) != len(x):
            raise ShapeError(
                f"{where}: target has shape {root.shape} and source {x.shape}; the first axis of "
                f"both must be the batch, of one length."
            )
        with self._last_use():
            rows = [
                self._back([(root, e)], [x], zero)[0] for e in _unit_seeds(root, root.shape[1:])
            ]
            return _stacked(rows, root.shape[1:], 1, x)

    def _checked(self, where: str, unconnected: Any) -> bool:
        """Refuse a tape that was used up; return whether unconnected sources get zeros."""
        chosen = check_choice(where, "unconnected_gradients", unconnected, ["none", "zero"])
        if self._used and not self._persistent:
            raise ArgumentError(
                f"{where}: this tape was used before; make it GradientTape(persistent=True) to "
                f"call gradient several times."
            )
        return chosen == "zero"

    @contextmanager
    def _last_use(self) -> Iterator[None]:
        """Stop a tape that is not persistent, and let it go of all in the end."""
        self._used = True
        if not self._persistent:
            self._stop()
        try:
            # Gradients are remembered themselves only while some tape is still running.
            with recording(bool(state.tapes)):
                yield
        finally:
            if not self._persistent:
                self._let_go()

    def _back(
        self, roots: list[tuple[Tensor, Tensor]], sources: list[Tensor], zero: bool
    ) -> list[Tensor | None]:
        """Return the gradient of each source, None or zeros for one that was not reached."""
        watched = [s for s in sources if self._watches(s)]
        found = propagate(roots, watched, self._trace)
        return [
            found[id(s)][1] if id(s) in found else (Tensor(np.zeros_like(s.data)) if zero else None)
            for s in sources
        ]


def _tensor(where: str, argument: str, value: Any) -> Tensor:
    """Return a tensor, else raise."""
    if isinstance(value, Tensor):
        return value
    what = "None" if value is None else f"a {type(value).__name__}"
    hint = ""
    if argument == "target":
        hint = (
            "; it must come from operations in the tape's block, before float(), .numpy() or "
            "NumPy's functions made a plain number or array of it"
        )
    elif hasattr(value, "trainable_variables"):
        hint = "; give its .trainable_variables"
    raise ArgumentError(
        f"{where}: {argument} holds {what}, but must hold tensors or variables{hint}."
    )


def _leaves(where: str, argument: str, value: Any) -> list[Tensor]:
    """Return the tensors of lists, tuples and dictionaries, one inside the other, in a row."""
    return [x if isinstance(x, Tensor) else _tensor(where, argument, x) for x in flatten(value)]


def _unit_seeds(target: Tensor, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Yield a gradient of the target for each place of its last axes: 1 there and 0 elsewhere."""
    for place in np.ndindex(shape):
        seed = np.zeros_like(target.data)
        seed[(..., *place)] = 1
        yield Tensor(seed)


def _stacked(
    rows: list[Tensor | None], shape: tuple[int, ...], axis: int, source: Tensor
) -> Tensor | None:
    """Return gradients, one for each element of a shape, as one tensor with that shape in place.

    An element that does not depend on the source has zeros, unless none does.
    """
    if rows and all(row is None for row in rows):
        return None
    zeros = Tensor(np.zeros_like(source.data))
    if not rows:
        empty = (*source.shape[:axis], *shape, *source.shape[axis:])
        return Tensor(np.zeros_like(source.data, shape=empty))
    stacked = OPERATORS["stack"]([zeros if row is None else row for row in rows], axis)
    return OPERATORS["reshape"](stacked, (*source.shape[:axis], *shape, *source.shape[axis:]))
