"""The worked examples of the course, each computed anew: matrices, sizes, and drawings.

`slide_examples.json` holds what stands on the slides or follows from it; what is shown beside it
comes from the library. What it says about whole
networks is in `worked_facts.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import ops
from minicnn.explain.calls import explain_call
from minicnn.explain.explanation import Explanation
from minicnn.explain.readings.marks import summands
from minicnn.explain.readings.text import number
from minicnn.explain.records.limits import Limits
from minicnn.geometry import (
    conv2d_geometry,
    conv2d_parameters,
    conv2d_transpose_geometry,
    receptive_field,
)

__all__ = ["KINDS", "Drawing", "Example", "Table", "Work", "Worked", "slide_example",
           "slide_examples"]  # fmt: skip

Example = dict[str, Any]


@cache
def slide_examples() -> list[Example]:
    """Return the worked examples of the course in their order.

    Each has `id`, `kind`, `source`, `note`, `printed` (whether its numbers stand on a slide), its
    operands, and what must come out.

    >>> [e["expected"] for e in slide_examples() if e["id"] == "conv_3x3_k2"]
    [[[19, 25], [37, 43]]]
    """
    text = (resources.files("minicnn.explain.course") / "slide_examples.json").read_text("utf-8")
    return list(json.loads(text))


def slide_example(name: str) -> Example:
    """Return the example with an id."""
    return next(e for e in slide_examples() if e["id"] == name)


@dataclass(frozen=True)
class Drawing:
    """One picture of a record: `reading` and `choice` as `Explanation.figure` takes them."""

    caption: str
    explanation: Explanation
    reading: str = "gather"
    choice: dict[str, str] = field(default_factory=dict)
    animated: bool = False


@dataclass(frozen=True)
class Table:
    """Numbers in rows: a matrix with a role, or a table with a heading."""

    caption: str
    rows: Sequence[Sequence[str]]
    head: Sequence[str] = ()
    role: str = ""


@dataclass
class Worked:
    """An example and what the library makes of it.

    Args:
        example: the example.
        title: what it is about.
        sentences: (sentence, whether it agrees with the example, None if it only tells).
        tables: matrices and tables.
        drawings: pictures.
    """

    example: Example
    title: str
    sentences: list[tuple[str, bool | None]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """Add a sentence."""
        self.sentences.append((text, None))

    def compare(self, text: str, found: Any, expected: Any) -> None:
        """Add a sentence that says what was found, and whether the example says so too."""
        found, expected = (json.dumps(value) for value in (found, expected))
        self.sentences.append((text, found == expected))

    def matrix(self, caption: str, role: str, values: Any) -> None:
        """Add a matrix."""
        rows = [[number(v) for v in row] for row in np.atleast_2d(values)]
        self.tables.append(Table(caption, rows, role=role))

    @property
    def agrees(self) -> bool:
        """Whether all that was compared agrees with the example."""
        return all(agrees is not False for _, agrees in self.sentences)


#: How an example is worked out.
Work = Callable[[Example], Worked]


def explained(operation: Any, *args: Any, **kwargs: Any) -> Explanation:
    """Return the explanation of a call."""
    return explain_call(operation, args, kwargs, None, Limits())


def image_of(matrix: Any) -> NDArray[np.float64]:
    """Return a matrix as a batch of one image with one channel (1,H,W,1)."""
    return np.asarray(matrix, np.float64)[None, :, :, None]


def kernel_of(matrix: Any) -> NDArray[np.float64]:
    """Return a matrix as a kernel from one channel to one (KH,KW,1,1)."""
    return np.asarray(matrix, np.float64)[:, :, None, None]


def whole(values: NDArray[Any]) -> list[Any]:
    """Return an array as lists, with whole numbers as integers: as JSON writes them."""
    return [
        whole(v) if np.ndim(v) else int(v) if float(v).is_integer() else float(v) for v in values
    ]


def result_of(explanation: Explanation) -> NDArray[Any]:
    """Return the result that an explanation shows, without a batch of one and one channel."""
    values = explanation.record().result.values
    return values[0, :, :, 0] if values.ndim == 4 else values


def _sum_of_matrices(e: Example, title: str, explanation: Explanation) -> Worked:
    """Return an example with an image and a kernel."""
    worked = Worked(e, title)
    worked.matrix("input", "input", e["input"])
    worked.matrix("kernel", "kernel", e["kernel"])
    worked.matrix("result", "output", e["expected"])
    found = result_of(explanation)
    size = " x ".join(map(str, found.shape))
    worked.compare(f"Computed anew: {size} numbers.", whole(found), e["expected"])
    worked.drawings.append(Drawing("One element and what meets in it.", explanation, animated=True))
    return worked


def _convolution(e: Example) -> Worked:
    explanation = explained(ops.cross_correlate2d, e["input"], e["kernel"], e["padding"])
    return _sum_of_matrices(e, f"Cross-correlation, {e['padding']}", explanation)


def _true_convolution(e: Example) -> Worked:
    explanation = explained(ops.convolve2d, e["input"], e["kernel"], e["padding"])
    return _sum_of_matrices(e, f"True convolution, {e['padding']}", explanation)


def _transposed_explanation(e: Example) -> Explanation:
    operands = image_of(e["input"]), kernel_of(e["kernel"])
    return explained(ops.conv2d_transpose, *operands, strides=e["strides"], padding=e["padding"])


def _transposed(e: Example) -> Worked:
    explanation = _transposed_explanation(e)
    title = f"Transposed convolution, stride {e['strides'][0]}"
    worked = _sum_of_matrices(e, title, explanation)
    worked.drawings.append(Drawing("The strip of summands.", explanation, "scatter", animated=True))
    return worked


def _terms(e: Example) -> Worked:
    worked = Worked(e, "The summands of the transposed convolution")
    explanation = _transposed_explanation(slide_example("convT_2x2_k2"))
    found = [np.nan_to_num(part.values[0, :, :, 0]) for part in summands(explanation.record())]
    for count, term in enumerate(e["terms"], 1):
        worked.matrix(f"summand {count}", "output", term)
    worked.matrix("their sum", "output", e["expected"])
    worked.compare(
        f"Computed anew: {len(found)} summands.", [whole(term) for term in found], e["terms"]
    )
    worked.compare("Their sum is the result.", whole(np.sum(found, axis=0)), e["expected"])
    worked.drawings.append(Drawing("The strip of summands.", explanation, "scatter"))
    return worked


def _two_filters(e: Example) -> Worked:
    worked = Worked(e, "Two filters over three channels")
    image, kernel = np.array([e["input"]], float), np.array(e["kernel_hwio"], float)
    explanation = explained(
        ops.conv2d, image, kernel, np.array(e["bias"], float), e["strides"], padding=1
    )
    result = explanation.record().result.values[0]
    for f in range(kernel.shape[3]):
        worked.matrix(f"o[:,:,{f}]", "output", result[:, :, f])
    worked.compare("Computed anew: 3 x 3 x 2 numbers.", whole(result), e["expected"])
    padded = np.pad(image[0], ((1, 1), (1, 1), (0, 0)))
    partial = np.einsum("hwc,hwcf->fc", padded[:3, :3], kernel)
    for f, sums in enumerate(whole(partial)):
        bias = e["bias"][f]
        total = f"{' + '.join(f'({s})' if s < 0 else str(s) for s in sums)} + bias {bias}"
        worked.compare(
            f"The three channels at o[0,0,{f}]: {total} = {sum(sums) + bias}.",
            sums,
            e["partial_sums_at_0_0"][f],
        )
    for direction in explanation.choices["direction"]:
        forward = direction == "forward"
        caption = "Forwards: one number of the result." if forward else f"Backwards: {direction}."
        choice = {"direction": direction}
        worked.drawings.append(Drawing(caption, explanation, choice=choice, animated=forward))
    return worked


def _operands(e: Example) -> Worked:
    worked = Worked(e, "The Sobel kernel and its image")
    worked.matrix("image I", "input", e["input"])
    worked.matrix("kernel K", "kernel", e["kernel"])
    derived = [x for x in slide_examples() if x["id"].startswith("sobel_") and "expected" in x]
    same = all((x["input"], x["kernel"]) == (e["input"], e["kernel"]) for x in derived)
    worked.compare(
        f"The {len(derived)} other examples with this kernel start from them.", same, True
    )
    return worked


def _turned_kernel(e: Example) -> Worked:
    worked = Worked(e, "True convolution is cross-correlation with a turned kernel")
    image, kernel = np.arange(12).reshape(3, 4) % 5, np.array([[1, 2, 0], [0, -1, 3]])
    explanation = explained(ops.convolve2d, image, kernel, "full")
    left = ops.convolve2d(image, kernel, "full")
    right = ops.cross_correlate2d(image, np.rot90(kernel, 2), "full")
    worked.matrix("I", "input", image)
    worked.matrix("K", "kernel", kernel)
    worked.matrix("K turned", "kernel", np.rot90(kernel, 2))
    worked.matrix("I * K, and I correlated with K turned", "output", left)
    worked.compare(
        "Computed both ways, with other numbers than the slides'.", whole(left), whole(right)
    )
    worked.drawings.append(Drawing("The kernel and its turned view.", explanation, animated=True))
    return worked


def _upsampled(e: Example) -> Worked:
    worked = Worked(e, f"Upsampling by {e['k']}")
    explanation = explained(ops.upsample2d, image_of(e["input"]), e["k"])
    return _pixels(worked, explanation)


def _pooled(e: Example) -> Worked:
    worked = Worked(e, f"{e['op']}-pool of {e['k']} x {e['k']}, stride {e['s']}".capitalize())
    explanation = explained(ops.max_pool2d, image_of(e["input"]), e["k"], e["s"])
    return _pixels(worked, explanation)


def _pixels(worked: Worked, explanation: Explanation) -> Worked:
    """Return an example of pixels without a kernel, with its result and its pictures."""
    expected = worked.example["expected"]
    worked.matrix("input", "input", worked.example["input"])
    worked.matrix("result", "output", expected)
    found = whole(result_of(explanation))
    worked.compare("Computed anew.", found, expected)
    worked.drawings.append(Drawing("One element and where it is from.", explanation, animated=True))
    back = Drawing(
        "Backwards: where a gradient returns.", explanation, choice={"direction": "gradient of x"}
    )
    worked.drawings.append(back)
    return worked


def _size_formula(n: int, f: int, padding: int, s: int) -> tuple[str, float]:
    """Return the formula of the slides with its numbers, and what it comes to; padding is 2P."""
    return f"({n} - {f} + {padding}) / {s} + 1", (n - f + padding) / s + 1


def _size(e: Example) -> Worked:
    n, f, s, padding = e["n"], e["f"], e["s"], e.get("padding", e.get("p"))
    g = conv2d_geometry((n, n), f, s, padding)
    worked = Worked(e, f"{n} pixels, kernel {f}, stride {s}, padding {padding}")
    formula, value = _size_formula(n, f, g.pad_left + g.pad_right, s)
    if e["expected"] is None:
        worked.compare(
            f"{formula} = {value:.2f} is no whole number: the stride does not fit.",
            round(value, 2),
            e["expected_formula"],
        )
        worked.tell(f"Padding 'valid' of Keras rounds down, to {g.out_width}.")
    else:
        worked.compare(f"{formula} = {number(value)}", g.out_width, e["expected"])
    return worked


def _transposed_size(e: Example) -> Worked:
    n, f, s = e["n"], e["f"], e["s"]
    g = conv2d_transpose_geometry((n, n), f, s, e["padding"])
    worked = Worked(e, f"Back from {n} pixels: kernel {f}, stride {s}")
    worked.compare(f"({n} - 1)*{s} + {f} = {g.in_width}", g.in_width, e["expected"])
    return worked


def _there_and_back(e: Example) -> Worked:
    worked = Worked(e, "A convolution and its transposed one: there and back")
    first = conv2d_geometry(e["shapes"][0], 2)
    small = [first.out_height, first.out_width]
    back = conv2d_transpose_geometry(small, 2)
    found = [e["shapes"][0], small, [back.in_height, back.in_width]]
    told = " to ".join(" x ".join(map(str, shape)) for shape in found)
    worked.compare(f"With a kernel of 2 x 2: {told}.", found, e["shapes"])
    return worked


def _volume(e: Example) -> Worked:
    height, width, channels = e["input_shape"]
    g = conv2d_geometry((height, width), e["f"], e["s"], e["p"])
    formula, _ = _size_formula(height, e["f"], 2 * e["p"], e["s"])
    kernel, count = f"{e['f']} x {e['f']} x {channels}", e["filters"]
    worked = Worked(e, f"{height} x {width} x {channels}, {count} filter{'s' * (count > 1)}")
    found = [g.out_height, g.out_width, count]
    told = " x ".join(map(str, found))
    worked.compare(f"{formula} = {g.out_height}: {told}.", found, e["expected"])
    parameters = conv2d_parameters(e["f"], channels, count)
    worked.tell(f"Parameters: {count} * ({kernel} + 1) = {parameters}.")
    return worked


def _size_table(e: Example) -> Worked:
    worked = Worked(e, "The output size for every kernel, padding and stride")
    rows, found = [], []
    for row in e["rows"]:
        n, f, p, s = (row[key] for key in "NFPS")
        size = conv2d_geometry((n, n), f, s, p).out_width
        formula, value = _size_formula(n, f, 2 * p, s)
        exact = value == size
        rows.append(
            [*map(str, (n, f, p, s)), f"{formula} = {value:.4g}", str(size), "yes" if exact else ""]
        )
        found.append({"N": n, "F": f, "P": p, "S": s, "O": size, "exact": exact})
    head = ("N", "F", "P", "S", "(N - F + 2P) / S + 1", "O", "fits")
    worked.tables.append(Table("Sizes", rows, head))
    worked.compare(f"Computed anew: {len(rows)} sizes.", found, e["rows"])
    return worked


def _receptive_field(e: Example) -> Worked:
    worked = Worked(e, "What an output sees: " + ", ".join(f"{k}/{s}" for k, s in e["layers"]))
    fields = receptive_field(e["layers"])
    rows, before, jump = [], 1, 1
    for (kernel, stride), after in zip(e["layers"], fields, strict=True):
        formula = f"{before} + ({kernel} - 1)*{jump} = {after}"
        rows.append([str(kernel), str(stride), str(jump), formula])
        before, jump = after, jump * stride
    head = ("kernel", "stride", "pixels from step to step", "receptive field")
    worked.tables.append(Table("Layers", rows, head))
    worked.compare(f"Computed anew: {', '.join(map(str, fields))}.", fields, e["expected"])
    return worked


#: How the examples of each kind are worked out.
KINDS: dict[str, Work] = {
    "conv2d": _convolution,
    "true_convolution": _true_convolution,
    "conv2d_transpose": _transposed,
    "conv2d_transpose_terms": _terms,
    "conv2d_multi": _two_filters,
    "operands": _operands,
    "property": _turned_kernel,
    "upsample": _upsampled,
    "pool": _pooled,
    "shape": _size,
    "shape_padded": _size,
    "shape_transpose": _transposed_size,
    "shape_roundtrip": _there_and_back,
    "volume": _volume,
    "size_table": _size_table,
    "receptive_field": _receptive_field,
}
