"""A model explained: its chain of layers, shapes and receptive fields, each layer to be opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minicnn import layers
from minicnn.autograd import GradientTape
from minicnn.autograd.tensor import Tensor, alongside, convert_to_tensor
from minicnn.errors import ArgumentError
from minicnn.explain.explanation import Explanation
from minicnn.explain.layers import check_explainable, layer_stages
from minicnn.explain.merging import explain_merging, merging_kind
from minicnn.explain.records.limits import MAX_TERMS, Limits, TooLargeError
from minicnn.explain.stages import as_numbers, check_shown, explain_stages, last_gradient
from minicnn.files import replacing
from minicnn.layers.base import Layer
from minicnn.models import Model
from minicnn.nested import flatten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LayerRow", "ModelExplanation", "explain_layer", "explain_model"]

Array = NDArray[Any]

#: Products that one record of a page with many layers shows.
PAGE_TERMS = 3_000

#: The same in a notebook, from little to much.
_NOTEBOOK_TERMS = (30, 100, 300, 1_000, MAX_TERMS)

#: Parts of a result that are tried, the largest that fits is shown: rows, columns, channels.
_PARTS = ((6, 8, 4), (4, 5, 2), (3, 4, 1), (2, 3, 1), (1, 2, 1), (1, 1, 1))


class Seen(NamedTuple):
    """How many input pixels an element sees along one axis, and how far neighbours are apart."""

    field: Fraction
    jump: Fraction

    def after(self, kernel: int, stride: int, dilation: int = 1) -> Seen:
        """Return what is seen after a window: r + D*(K - 1)*jump, and jump*S."""
        return Seen(self.field + dilation * (kernel - 1) * self.jump, self.jump * stride)

    def enlarged(self, kernel: int, stride: int) -> Seen:
        """Return what is seen after an enlargement in which ceil(K/S) inputs meet."""
        return Seen(self.field + (-(-kernel // stride) - 1) * self.jump, self.jump / stride)


#: What is seen along each axis; None is everything.
Field = tuple[Seen, ...] | None

_START = Seen(Fraction(1), Fraction(1))


@dataclass(frozen=True)
class LayerRow:
    """One call of a layer in a model.

    Args:
        name: the layer's name; a number is added where a layer is called again.
        layer: the layer.
        inputs: what entered.
        output: what came out.
        dy: the gradient of the model's output with respect to this output.
        field: receptive field (height, width) in input pixels, of sequences (length,); None where
            all is seen.
    """

    name: str
    layer: Layer
    inputs: tuple[Array, ...]
    output: Array
    dy: Array
    field: tuple[int, ...] | None

    @property
    def title(self) -> str:
        """The name and the class."""
        return f"{self.name} ({type(self.layer).__name__})"

    @property
    def seen(self) -> str:
        """The receptive field in words."""
        return "all" if self.field is None else " x ".join(map(str, self.field))


@dataclass(frozen=True, repr=False)
class ModelExplanation:
    """The chain of a model's layers on one input; `open` explains one of them.

    Args:
        title: the model's name.
        rows: the calls of its layers, in order.

    >>> import minicnn as mc
    >>> model = mc.Sequential([
    ...     mc.Input((6, 8, 1)),
    ...     mc.layers.Conv2D(2, 3, strides=2, kernel_initializer="ones", name="conv"),
    ...     mc.layers.GlobalMaxPooling2D(name="largest"),
    ... ])
    >>> chain = mc.explain(model, np.ones((1, 6, 8, 1)))
    >>> [(row.name, row.output.shape, row.seen) for row in chain.rows]
    [('conv', (1, 2, 3, 2), '3 x 3'), ('largest', (1, 2), 'all')]
    >>> chain.open("conv").text((0, 1, 2, 0))
    'y[0,1,2,0] = 1*1 + 1*1 + 1*1 + 1*1 + 1*1 + 1*1 + 1*1 + 1*1 + 1*1 + bias 0 = 9'
    """

    title: str
    rows: tuple[LayerRow, ...]

    def open(self, name: str, window: Any = None, max_terms: int = MAX_TERMS) -> Explanation:
        """Return the explanation of one layer, on what entered it.

        Args:
            name: the layer's.
            window: the part of its result to show; default all of it, or the middle if that is
                too much.
            max_terms: how many products one record may show.

        Raises:
            ArgumentError: there is no such layer, or it cannot be explained.
            TooLargeError: even one number of the result has more products.
        """
        row = next((row for row in self.rows if row.name == name), None)
        if row is None:
            raise ArgumentError(
                f"explain: {self.title} has no layer {name!r}; it has "
                f"{', '.join(repr(r.name) for r in self.rows)}."
            )
        windows = [window] if window is not None else [None, *_middle(row.output.shape)]
        for place, part in enumerate(windows):
            try:
                return _explain_row(row, Limits(part, max_terms))
            except TooLargeError:
                if place == len(windows) - 1:
                    raise
        raise AssertionError

    def to_json(self, room: int | None = None) -> dict[str, Any]:
        """Return everything as the page reads it: the rows, and their explanations.

        Args:
            room: how many characters all explanations may take together, default as many as they
                need. What does not fit is shown by a smaller part of its result, or not at all.
        """
        if room is None:
            rows = [_row_json(row, self._opened(row, PAGE_TERMS, MAX_TERMS)) for row in self.rows]
            return {"title": self.title, "layers": rows}
        rows = [_row_json(row, f"Too large for a notebook; .open({row.name!r}) shows it.")
                for row in self.rows]  # fmt: skip
        room -= sum(map(_length, rows))
        growing = list(range(len(rows)))
        for allowed in _NOTEBOOK_TERMS:
            # All layers are shown by a little first, and by more while there is room.
            for place in sorted(growing, key=lambda place: rows[place]["explanation"] is not None):
                larger = _row_json(self.rows[place], self._opened(self.rows[place], allowed))
                more = _length(larger) - _length(rows[place])
                if more > room:
                    growing.remove(place)
                elif larger["explanation"]:
                    room -= more
                    rows[place] = larger
        return {"title": self.title, "layers": rows}

    def _opened(self, row: LayerRow, *allowed: int) -> Explanation | str:
        """Return the explanation of a layer, or why there is none.

        Args:
            row: the layer's.
            allowed: numbers of products to try in turn, the first that suffices is taken.
        """
        reason = ""
        for max_terms in allowed:
            try:
                return self.open(row.name, max_terms=max_terms)
            except ArgumentError as error:
                reason = getattr(error, "left_out", str(error))
        return reason

    def html(self) -> str:
        """Return the interactive page: one HTML file that needs nothing else."""
        from minicnn.explain.readings.page import chain_html

        return chain_html(self.title, self.to_json())

    def _repr_html_(self) -> str:
        """Return the page in a frame, which notebooks show, with small parts of large layers."""
        from minicnn.explain.readings.page import NOTEBOOK_ROOM, chain_html, notebook_html

        frame = len(notebook_html(self.title, chain_html(self.title, {"layers": []})))
        small = self.to_json(NOTEBOOK_ROOM - frame)
        return notebook_html(self.title, chain_html(self.title, small))

    def save(self, path: str | Path) -> None:
        """Write the chain to a file: the page if its name ends in `.html`, else the table.

        Args:
            path: a name that ends in `.html`, `.txt`, or `.png`, `.svg` or `.pdf` (a figure).

        Raises:
            ArgumentError: another ending.
            OutputError: the file cannot be written.
        """
        texts = {".html": self.html, ".txt": self.text}
        ending, drawn = Path(path).suffix.lower(), (".png", ".svg", ".pdf")
        if ending not in (*texts, *drawn):
            raise ArgumentError(
                f"explain: save({str(path)!r}): the name must end in one of "
                f"{', '.join((*texts, *drawn))}."
            )
        with replacing(path) as temporary:
            if ending in drawn:
                self.figure().savefig(temporary)
            else:
                temporary.write_text(texts[ending](), encoding="utf-8")

    def text(self) -> str:
        """Return the table of the layers."""
        return str(self)

    def figure(self) -> Figure:
        """Return a matplotlib figure of the table."""
        from matplotlib.figure import Figure

        lines = self.text().splitlines()
        figure = Figure(figsize=(0.2 + 0.083 * max(map(len, lines)), 0.3 + 0.17 * len(lines)))
        figure.text(0.02, 0.97, "\n".join(lines), family="monospace", fontsize=10, va="top")
        return figure

    def __str__(self) -> str:
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(title=f"{self.title}: what each layer sees", title_justify="left")
        table.box = box.ROUNDED
        table.add_column("layer (type)")
        table.add_column("output shape")
        for column in ("sees of the input", "parameters"):
            table.add_column(column, justify="right")
        for row in self.rows:
            parameters = f"{row.layer.count_params():,}"
            table.add_row(row.title, str(row.output.shape), row.seen, parameters)
        console = Console(file=StringIO(), width=88, highlight=False, force_terminal=False)
        console.print(table, markup=False)
        console.print('.open("name") explains a layer number by number.', markup=False)
        text: str = console.file.getvalue()  # type: ignore[attr-defined]
        return text

    __repr__ = __str__


def _row_json(row: LayerRow, opened: Explanation | str) -> dict[str, Any]:
    """Return a layer's row as the page reads it, with its explanation or why there is none."""
    explanation = opened.to_json() if isinstance(opened, Explanation) else None
    for record in explanation["records"] if explanation else ():
        record["choice"]["layer"] = row.name
    return {
        "name": row.name,
        "type": type(row.layer).__name__,
        "shape": list(row.output.shape),
        "sees": row.seen.replace(" x ", " × "),
        "parameters": row.layer.count_params(),
        "explanation": explanation,
        "reason": opened if isinstance(opened, str) else "",
    }


def _length(value: Any) -> int:
    """Return how many characters a value takes in a page."""
    from minicnn.explain.readings.page import embedded_json

    return len(embedded_json(value))


def _middle(shape: Sequence[int]) -> Iterator[Any]:
    """Yield ever smaller windows in the middle of an image or sequence, or of one sample."""
    for part in _PARTS:
        if len(shape) == 2:
            yield (0, 1), (0, part[1])
        elif len(shape) in (3, 4):
            starts = [max(0, (n - p) // 2) for n, p in zip(shape[-3:-1], part, strict=False)]
            rows, columns = ((s, s + p) for s, p in zip(starts, part, strict=False))
            yield None if len(shape) == 3 else rows, columns, (0, part[2])


@np.errstate(over="ignore", invalid="ignore")
def explain_layer(
    layer: Layer, x: Any, output_gradients: Any, limits: Limits, training: bool = False
) -> Explanation:
    """Return the explanation of a layer called on x, or on a list of inputs."""
    if merging_kind(layer) is not None:
        return explain_merging(layer, x, output_gradients, limits)
    check_explainable(layer)
    if isinstance(x, list | tuple) and all(hasattr(a, "shape") for a in x):
        raise ArgumentError(
            f"explain: layer {layer.name!r} got a list of {len(x)} arrays; give it one."
        )
    x = _entering(layer, as_numbers(f"explain: the input of layer {layer.name!r}", x, layer.dtype))
    layer(x)  # makes its weights, and words what does not fit
    title = f"{layer.name} ({type(layer).__name__})"
    stages = layer_stages(layer, x.shape, training)
    return explain_stages(title, x, stages, output_gradients, limits)


def _explain_row(row: LayerRow, limits: Limits) -> Explanation:
    inputs = list(row.inputs) if len(row.inputs) > 1 else row.inputs[0]
    return explain_layer(row.layer, inputs, row.dy, limits)


@np.errstate(over="ignore", invalid="ignore")
def explain_model(model: Any, x: Any, output_gradients: Any = None) -> ModelExplanation:
    """Return the chain of a model's layers on an input, and how each can be opened.

    Raises:
        ArgumentError: the model is not drawn up: a subclass that calls layers in its own way.
    """
    if model.graph is None and not model.built:
        model(x)
    if model.graph is None:
        raise ArgumentError(
            f"explain: {model.name} is a subclass that calls its layers in its own way, so there "
            f"is no chain to show; explain its layers one by one."
        )
    inputs = _inputs(model, x)
    values: dict[int, Tensor] = {}
    seen: dict[int, Field] = {}
    with GradientTape(persistent=True) as tape:
        for place, given in zip(model.graph.inputs, inputs, strict=True):
            check_shown(model.name, given)
            tensor = _entering(model, given)
            tape.watch(tensor)
            values[id(place)] = tensor
            seen[id(place)] = (_START,) * (tensor.ndim - 2)
        calls = list(_called(model.graph, values, seen, tape))
    target = values[id(model.graph.outputs[0])]
    dy = alongside(last_gradient(model.name, target, output_gradients), target)
    sizes = values[id(model.graph.inputs[0])].shape[1:-1]
    rows = []
    for call, name in zip(calls, _names([c.name for c in calls]), strict=True):
        output = call.output
        gradient = dy if output is target else tape.gradient(target, output, output_gradients=dy)
        rows.append(
            LayerRow(
                name,
                call.layer,
                tuple(t.numpy() for t in call.inputs),
                output.numpy(),
                np.zeros(output.shape, output.dtype) if gradient is None else gradient.numpy(),
                _field(call.seen, sizes),
            )
        )
    return ModelExplanation(model.name, tuple(rows))


def _entering(layer: Layer, given: Array) -> Tensor:
    """Return numbers as a tensor where the layer's weights live."""
    weights = layer.weights
    return alongside(given, weights[0]) if weights else convert_to_tensor(given)


def _inputs(model: Any, x: Any) -> list[Array]:
    """Return the arrays that enter a model, one for each of its inputs.

    Raises:
        ArgumentError: there are too many or too few, or they are no numbers.
    """
    places = model.graph.inputs
    x = model.graph.in_order(x) if isinstance(x, dict) else x
    given = list(x) if isinstance(x, list | tuple) and len(places) > 1 else [x]
    if len(given) != len(places):
        names = ", ".join(place.name for place in places)
        raise ArgumentError(
            f"explain: {model.name} has {len(places)} inputs ({names}); give a list of as many "
            f"arrays in this order."
            if len(places) > 1
            else f"explain: {model.name} has one input; give one array."
        )
    return [
        as_numbers(f"explain: an input of {model.name}", array, place.dtype)
        for array, place in zip(given, places, strict=True)
    ]


class _Called(NamedTuple):
    """One call of a layer, with what entered, what came out, and what that sees of the input."""

    name: str
    layer: Layer
    inputs: list[Tensor]
    output: Tensor
    seen: Field


def _called(
    graph: Any, values: dict[int, Tensor], seen: dict[int, Field], tape: GradientTape
) -> Iterator[_Called]:
    """Call the layers of a graph in turn; in place of a model inside it stand that one's layers.

    Args:
        graph: the calls of layers.
        values: the tensors of the graph's places, at first of its inputs; the others are added.
        seen: what they see of the input, likewise.
        tape: watches all that comes out.
    """
    for call in graph.calls:
        entering = [values[id(p)] for p in call.input_list]
        fields = [seen[id(p)] for p in call.input_list]
        inner = call.layer.graph if isinstance(call.layer, Model) else None
        if inner is not None:
            inside = {id(p): t for p, t in zip(inner.inputs, entering, strict=True)}
            fields_inside = {id(p): f for p, f in zip(inner.inputs, fields, strict=True)}
            for row in _called(inner, inside, fields_inside, tape):
                yield row._replace(name=f"{call.layer.name}/{row.name}")
            for place, result in zip(call.outputs, inner.outputs, strict=True):
                values[id(place)] = inside[id(result)]
                seen[id(place)] = fields_inside[id(result)]
            continue
        x, others, named = call.arguments(values)
        results = flatten(call.layer(x, *others, **named))
        for place, result in zip(call.outputs, results, strict=True):
            tape.watch(result)
            values[id(place)] = result
            seen[id(place)] = _seen_after(call.layer, fields)
        first = id(call.outputs[0])
        yield _Called(call.layer.name, call.layer, entering, values[first], seen[first])


def _names(names: Sequence[str]) -> Iterator[str]:
    """Yield the layers' names, numbered where a layer is called again."""
    met: dict[str, int] = {}
    for name in names:
        met[name] = met.get(name, 0) + 1
        yield name if met[name] == 1 else f"{name}, call {met[name]}"


def _field(seen: Field, sizes: Sequence[int]) -> tuple[int, ...] | None:
    if not seen or len(seen) != len(sizes):
        return None
    whole = [min(-(-s.field // 1), n) for s, n in zip(seen, sizes, strict=True)]
    return None if whole == list(sizes) else tuple(int(n) for n in whole)


def _seen_after(layer: Any, before: Sequence[Field]) -> Field:
    """Return what an element of a layer's result sees along each axis; None is everything."""
    known = [b for b in before if b]
    if not known or len(known) < len(before) or len({len(b) for b in known}) > 1:
        return None
    axes = [Seen(max(s.field for s in both), both[0].jump) for both in zip(*known, strict=True)]
    rank = len(axes)
    if isinstance(layer, _PLACE_BY_PLACE) or merging_kind(layer) is not None:
        return tuple(axes)
    if isinstance(layer, layers.Operation):
        return tuple(axes) if layer.is_elementwise else None
    if not isinstance(layer, _OF_IMAGES if rank == 2 else _OF_SEQUENCES):
        return None
    return _through_windows(layer, axes)


def _through_windows(layer: Any, axes: Sequence[Seen]) -> Field:
    """Return what is seen after the windows of a layer, or after its enlargement."""
    if isinstance(layer, _TRANSPOSED + _UPSAMPLING):
        if isinstance(layer, _TRANSPOSED):
            sizes, factors = _numbers(layer.kernel_size), _numbers(layer.strides)
        else:
            factors = _numbers(layer.size)
            sizes = [2 * f if layer.interpolation == "bilinear" else f for f in factors]
        return tuple(seen.enlarged(k, s) for seen, k, s in zip(axes, sizes, factors, strict=True))
    pools = hasattr(layer, "pool_size")
    kernels = _numbers(layer.pool_size if pools else layer.kernel_size)
    dilations = [1] * len(axes) if pools else _numbers(layer.dilation_rate)
    windows = zip(axes, kernels, _numbers(layer.strides), dilations, strict=True)
    return tuple(seen.after(k, s, d) for seen, k, s, d in windows)


def _numbers(given: Any) -> list[int]:
    """Return a number or several as a list."""
    return [int(n) for n in np.ravel(given)]


_TRANSPOSED = (layers.Conv2DTranspose, layers.Conv1DTranspose)
_UPSAMPLING = (layers.UpSampling2D, layers.UpSampling1D)
_OF_IMAGES = (
    *(layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Conv2DTranspose),
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.UpSampling2D),
)
_OF_SEQUENCES = (
    *(layers.Conv1D, layers.DepthwiseConv1D, layers.SeparableConv1D, layers.Conv1DTranspose),
    *(layers.MaxPooling1D, layers.AveragePooling1D, layers.UpSampling1D),
)

#: Layers whose result at a place depends on the input at that place alone.
_PLACE_BY_PLACE = (
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU, layers.Softmax),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.Rescaling, layers.Identity),
    *(layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise, layers.GaussianDropout),
    *(layers.ActivityRegularization, layers.Concatenate, layers.ZeroPadding2D, layers.Cropping2D),
)
