"""Does the time grow no faster than the arithmetic? One figure for batch, height, width, channels.

    python benchmarks/scaling.py [FILE] [--quick]

measures the three maps of a 3x3 layer and whole training steps of the cell autoencoder while one
size grows and the others stay, and draws times over sizes on logarithmic axes. There, time in
proportion to size is a straight line of slope one; the legend gives each line's fitted slope, and
that of the number of multiply-adds where it is not one.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import networks
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from networks import Network, cell_network
from speed import check_folder, processor, progress
from timing import Case, Timing, measure

import minicnn
from minicnn.geometry import conv2d_geometry
from minicnn.kernels import backend
from minicnn.runtime.threads import cores

DEFAULT = Path(__file__).parents[1] / "examples" / "pictures" / "scaling.png"
BATCH, SIDE, CHANNELS, FILTERS = 8, 48, 32, 32
NETWORK_SIDE, NETWORK_FILTERS = 96, 16

#: Colour, marker and its size: lines that fall together are still seen one behind the other.
LINES = {
    "forward": ("tab:blue", "o", 9),
    "input gradient": ("tab:orange", "s", 6),
    "kernel gradient": ("tab:green", "^", 4),
    "training step": ("black", "D", 5),
}


class Point(NamedTuple):
    """One size of one line: the work and what does it."""

    size: int
    multiply_adds: int
    run: Callable[[], object]


class Panel(NamedTuple):
    """One size that grows: its label, what stays, and the points of each line."""

    label: str
    rest: str
    lines: dict[str, list[Point]]


def layer_points(sizes: Sequence[int], axis: str) -> dict[str, list[Point]]:
    """Return the three maps of a 3x3 layer for growing sizes of one axis."""
    lines: dict[str, list[Point]] = {name: [] for name in list(LINES)[:3]}
    rng = np.random.default_rng(0)
    for size in sizes:
        shape = {"batch": BATCH, "height": SIDE, "width": SIDE, "channels": CHANNELS} | {axis: size}
        x = rng.standard_normal(tuple(shape.values()), dtype=np.float32)
        k = rng.standard_normal((3, 3, shape["channels"], FILTERS), dtype=np.float32)
        dy = rng.standard_normal((*x.shape[:3], FILTERS), dtype=np.float32)
        g = conv2d_geometry(x.shape[1:3], 3, 1, "same")
        taps = g.kernel_height * g.kernel_width * shape["channels"]
        work = len(x) * g.out_height * g.out_width * taps * FILTERS
        calls = (("conv2d", x, k), ("conv2d_input_gradient", dy, k),
                 ("conv2d_kernel_gradient", x, dy))  # fmt: skip
        for line, (name, first, second) in zip(lines.values(), calls, strict=True):
            function = getattr(backend(work, first), name)
            line.append(Point(size, work, functools.partial(function, first, second, g)))
    return lines


def network_multiply_adds(network: Network) -> int:
    """Return the multiply-adds of one image's way through the network."""
    height, width, channels = network.image
    total = 0
    for stage in network.stages:
        if stage.kind == "pool":
            height, width = height // stage.size, width // stage.size
            continue
        # A transposed convolution has the products of the convolution that it reverses.
        total += height * width * stage.size**2 * channels * stage.filters
        if stage.kind == "transposed":
            height, width = height * stage.stride, width * stage.stride
        channels = stage.filters
    return total


def network_points(sizes: Sequence[int], axis: str) -> list[Point]:
    """Return training steps of the cell autoencoder for growing sizes of one axis."""
    points = []
    for size in sizes:
        shape = {"height": NETWORK_SIDE, "width": NETWORK_SIDE, "filters": NETWORK_FILTERS}
        batch = size if axis == "batch" else BATCH
        network = cell_network(**(shape if axis == "batch" else shape | {axis: size}))
        x, model = networks.images(network, batch), networks.in_minicnn(network)
        step = functools.partial(model.train_on_batch, x, x)
        points.append(Point(size, batch * network_multiply_adds(network), step))
    return points


def panels(quick: bool) -> list[Panel]:
    """Return what is measured.

    Args:
        quick: whether to take every second size only.
    """
    every = 2 if quick else 1
    numbers = [1, 2, 4, 8, 16, 32, 64][::every]
    sides = [12, 24, 48, 96, 192, 384][::every]
    network_sides = sides[1 if every == 1 else 2 // every :]
    channels = [8, 16, 32, 64, 128, 256][::every]
    filters = [8, 16, 32, 64][::every]
    layer = f"layer 3x3, {CHANNELS} to {FILTERS} channels"
    wide = f"{layer}, {SIDE} pixels wide; step {NETWORK_SIDE} wide; batch {BATCH}"
    high = f"{layer}, {SIDE} pixels high; step {NETWORK_SIDE} high; batch {BATCH}"

    def both(axis: str, sizes: list[int], others: list[int], name: str) -> dict[str, list[Point]]:
        return layer_points(sizes, axis) | {"training step": network_points(others, name)}

    return [
        Panel(
            "images in the batch",
            f"{layer}, {SIDE}x{SIDE} pixels; step {NETWORK_SIDE}x{NETWORK_SIDE} pixels",
            both("batch", numbers, numbers, "batch"),
        ),
        Panel("height in pixels", wide, both("height", sides, network_sides, "height")),
        Panel("width in pixels", high, both("width", sides, network_sides, "width")),
        Panel(
            "input channels of the layer; filters of the network's first stage",
            f"layer 3x3 to {FILTERS} channels, {SIDE}x{SIDE} pixels; step {NETWORK_SIDE}x"
            f"{NETWORK_SIDE}; batch {BATCH}",
            both("channels", channels, filters, "filters"),
        ),
    ]


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent p of the power law values ~ sizes**p that fits best."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def draw_panel(axes: Axes, panel: Panel, times: dict[str, list[Timing]]) -> None:
    """Draw the lines of one panel, with their slopes in the legend."""
    for name, points in panel.lines.items():
        sizes = [point.size for point in points]
        medians = [timing.median * 1e3 for timing in times[name]]
        expected = slope(sizes, [point.multiply_adds for point in points])
        label = f"{name}: {slope(sizes, medians):.2f}"
        if abs(expected - 1) > 0.005:
            label += f"\n(of multiply-adds: {expected:.2f})"
        colour, marker, wide = LINES[name]
        axes.loglog(sizes, medians, marker, linestyle="-", linewidth=1.4, markersize=wide,
                    color=colour, label=label)  # fmt: skip
        low = [timing.low * 1e3 for timing in times[name]]
        high = [timing.high * 1e3 for timing in times[name]]
        axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
    # A line of slope one below all others, so that it covers none of them.
    everything = [point.size for points in panel.lines.values() for point in points]
    ends = np.array([min(everything), max(everything)], dtype=float)
    lowest = min(
        timing.median * 1e3 / point.size
        for name, points in panel.lines.items()
        for point, timing in zip(points, times[name], strict=True)
    )
    axes.loglog(ends, ends * lowest / 2, "--", color="grey", linewidth=1.2, label="slope 1")
    ticks = sorted({point.size for points in panel.lines.values() for point in points})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(panel.label)
    axes.set_ylabel("time of one call in milliseconds")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_title(panel.rest, fontsize=8.5, color="0.3")
    axes.grid(alpha=0.3)
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top * (top / bottom) ** 0.25)  # room for the legend
    axes.legend(fontsize=8.5, title="line: fitted slope", title_fontsize=8.5, loc="upper left")


def draw(measured: Sequence[tuple[Panel, dict[str, list[Timing]]]], file: Path) -> None:
    """Draw all panels to a file."""
    figure = Figure(figsize=(12, 9.5), layout="constrained")
    grid: Any = figure.subplots(2, 2)
    for axes, (panel, times) in zip(grid.flat, measured, strict=True):
        draw_panel(axes, panel, times)
    figure.suptitle(
        "Time of a 3x3 convolution's three maps and of a cell autoencoder's training step\n"
        f"minicnn {minicnn.__version__}, float32, {processor()}, {cores()} cores"
    )
    figure.savefig(file, dpi=110)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and draw; return 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT, metavar="FILE",
                        help="the figure, default examples/pictures/scaling.png")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="few sizes and samples")
    options = parser.parse_args(argv)
    check_folder(parser, options.file)
    rounds = 3 if options.quick else 7
    measured, dropped = [], ""
    for panel in panels(options.quick):
        cases = [
            Case((name, str(point.size)), {name: point.run})
            for name, points in panel.lines.items()
            for point in points
        ]
        with progress(panel.label, rounds * len(cases)) as advance:
            measure(cases, rounds=rounds, window=0.02, fewest=2, patience=60, advance=advance)
        times: dict[str, list[Timing]] = {}
        for case in cases:
            times.setdefault(case.name[0], []).append(case.timing(case.name[0]))
        measured.append((panel, times))
        dropped += f"{panel.label}: {sum(case.dropped for case in cases)} samples dropped\n"
    draw(measured, options.file)
    print(f"{dropped}figure: {options.file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
