"""`minicnn explain`, `explore` and `slides`: the arithmetic in text, pictures and pages."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from minicnn.cli.shared import console, told
from minicnn.errors import ArgumentError

__all__ = ["explain", "explore", "slides"]

#: What options of the command are called in the operations.
NAMES = {"dilation": "dilation_rate", "input": "x"}
MATRICES = ("cross_correlate2d", "convolve2d")
IMAGES = ("conv2d", "conv2d_transpose", "max_pool2d", "average_pool2d", "upsample2d", "resize2d")


def explain(
    op: Annotated[
        str | None,
        typer.Argument(help="conv2d, convolve2d, conv2d_transpose, max_pool2d, relu, ..."),
    ] = None,
    numbers: Annotated[
        str | None,
        typer.Option(
            "--input", help='Numbers as "0 1 2; 3 4 5" or [[...]], or a CSV, NumPy or image file.'
        ),
    ] = None,
    kernel: Annotated[str | None, typer.Option(help="Numbers or a file, likewise.")] = None,
    bias: Annotated[str | None, typer.Option(help="Numbers, one for each filter.")] = None,
    strides: Annotated[str | None, typer.Option("--strides", "--stride", help="2 or 2,3.")] = None,
    padding: Annotated[
        str | None, typer.Option(help="valid, same, 1, height,width or top,bottom,left,right.")
    ] = None,
    dilation: Annotated[str | None, typer.Option(help="Distance of kernel elements.")] = None,
    groups: Annotated[int | None, typer.Option(min=1, help="Groups of channels.")] = None,
    mode: Annotated[str | None, typer.Option(help="valid, same or full, for matrices.")] = None,
    pool_size: Annotated[str | None, typer.Option(help="Window of a pool, 2 or 2,3.")] = None,
    size: Annotated[
        str | None, typer.Option(help="Factors of upsample2d, or the size for resize2d.")
    ] = None,
    interpolation: Annotated[str | None, typer.Option(help="nearest or bilinear.")] = None,
    output_padding: Annotated[
        str | None, typer.Option(help="Extra rows and columns of conv2d_transpose.")
    ] = None,
    output_gradients: Annotated[
        str | None, typer.Option(help="Gradient of the result, for --direction; default ones.")
    ] = None,
    direction: Annotated[
        str | None, typer.Option(help='What text and pictures show: forward, "gradient of x", ...')
    ] = None,
    reading: Annotated[
        str | None, typer.Option(help="gather or scatter, for pictures and animations.")
    ] = None,
    cell: Annotated[str | None, typer.Option(help="Only this number, e.g. 0,1,2,0.")] = None,
    window: Annotated[
        str | None, typer.Option(help="Part of the result, first:after of rows,columns: 0:3,2:6.")
    ] = None,
    max_terms: Annotated[
        int | None, typer.Option(min=1, help="How many products may be shown.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the interactive page.")] = None,
    gif: Annotated[Path | None, typer.Option(help="Write an animation.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write a figure; .svg, .pdf too.")] = None,
    text: Annotated[Path | None, typer.Option(help="Write the text.")] = None,
    implementations: Annotated[
        bool, typer.Option("--implementations", help="Show the source in all backends.")
    ] = False,
) -> None:
    """Explain an operation on your own numbers: as text, page, figure or animation."""
    from minicnn.explain import explain as explained
    from minicnn.explain import implementations as side_by_side
    from minicnn.explain.calls import operation_named
    from minicnn.explain.records.limits import TooLargeError

    options = {"input": numbers, **locals()}
    given = {name: options[name] for name in _OPTIONS if options[name] is not None}
    with told():
        if op is None:
            console.print(_operations(), markup=False)
            return
        if implementations:
            console.print(str(side_by_side(op)), markup=False)
            return
        operation_named(op)  # says what is known, before anything else
        if numbers is None:
            raise ArgumentError(f'explain {op} needs --input, e.g. --input "0 1 2; 3 4 5".')
        _check_files(html, gif, png, text, reading)
        arguments = _arguments(op, given)
        settings: dict[str, Any] = {} if max_terms is None else {"max_terms": max_terms}
        if window is not None:
            settings["window"] = _window(window)
        if output_gradients is not None:
            settings["output_gradients"] = _array("output_gradients", output_gradients, op)
        try:
            explanation = explained(op, **arguments, **settings)
        except TooLargeError as error:
            part = (
                _strongest_part(op, arguments)
                if not {"window", "max_terms"} & set(settings)
                else None
            )
            if part is None:
                raise ArgumentError(
                    f"{error} On the command line: --window 0:3,0:4, or --max-terms N."
                ) from None
            explanation = explained(op, **arguments, **settings, window=part)
            rows, columns = (f"{first}:{after}" for first, after in part)
            console.print(
                f"too many numbers for all of the result: shown is where it is largest; "
                f"--window {rows},{columns} is this part, other numbers show others\n",
                markup=False,
            )
        _write(explanation, html, gif, png, text, direction, reading, cell)


def _operations() -> str:
    """Return what can be explained, and how to begin."""
    from minicnn.explain.calls import CALLS

    names = [operation.__name__ for operation in CALLS]
    first = names.index("linear")
    listed = ", ".join(names[:first]), ", ".join(names[first:])
    return (
        "minicnn explain OPERATION shows its arithmetic on your numbers, for one:\n\n"
        '  minicnn explain conv2d --input "0 1 2; 3 4 5; 6 7 8" --kernel "0 1; 2 3"\n'
        '  minicnn explain conv2d --input photo.png --kernel "1 0 -1; 2 0 -2; 1 0 -1" '
        "--html page.html\n\n"
        f"Operations: {listed[0]}.\nActivations: {listed[1]}.\n"
        "minicnn explain --help lists the options."
    )


def _strongest_part(op: str, arguments: dict[str, Any]) -> Any:
    """Return a window of a few rows and columns of a large image around its largest number."""
    import numpy as np

    from minicnn.autograd.tensor import as_numpy
    from minicnn.explain.calls import operation_named

    y = np.abs(as_numpy(operation_named(op)(**arguments)))
    if y.ndim not in (2, 4) or (y.ndim == 4 and len(y) > 1):
        return None
    y = y[0].max(axis=-1) if y.ndim == 4 else y
    places = np.unravel_index(y.argmax(), y.shape)
    return tuple(
        (first := max(0, min(int(at) - size // 2, length - size)), min(first + size, length))
        for at, length, size in zip(places, y.shape, (3, 4), strict=True)
    )


_OPTIONS = (
    *("input", "kernel", "bias", "strides", "padding", "dilation", "groups", "mode"),
    *("pool_size", "size", "interpolation", "output_padding"),
)


#: Which endings the options that write a file take.
_ENDINGS = {
    "--html": (".html",),
    "--gif": (".gif",),
    "--png": (".png", ".svg", ".pdf"),
    "--text": (".txt",),
}


def _check_files(
    html: Path | None, gif: Path | None, png: Path | None, text: Path | None, reading: str | None
) -> None:
    """Raise if a file's name says something else than its option, or a reading has no picture."""
    for (option, endings), path in zip(_ENDINGS.items(), (html, gif, png, text), strict=True):
        if path is not None and path.suffix.lower() not in endings:
            raise ArgumentError(f"{option} {path}: the name must end in {' or '.join(endings)}.")
    if reading is not None and gif is None and png is None:
        raise ArgumentError(
            f"--reading {reading}: that is for pictures and animations; add --gif FILE.gif or "
            f"--png FILE.png."
        )


def _array(name: str, source: str, op: str) -> Any:
    """Return numbers of an option, with the axes that the operation takes."""
    from minicnn.explain.numbers import as_images, as_kernels, read_numbers

    array = read_numbers(source, f"--{name.replace('_', '-')}")
    if name == "bias":
        return array.reshape(-1)
    if op in MATRICES and name == "input" and array.ndim == 3:
        return _mean(array)
    if array.ndim == 2 or op in MATRICES or op not in IMAGES:
        return array
    return as_kernels(array) if name == "kernel" else as_images(array)


def _arguments(op: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of an operation from the options of the command."""
    from minicnn.explain.calls import operation_named
    from minicnn.explain.numbers import as_images, as_kernels

    parameters = inspect.signature(operation_named(op)).parameters
    arguments = {}
    options = {NAMES.get(o, o): o for o in _OPTIONS} | {"image": "input"}
    for option, value in given.items():
        name = NAMES.get(option, option)
        if name == "x" and "x" not in parameters:
            name = "image"
        if name not in parameters:
            known = [f"--{options[n].replace('_', '-')}" for n in parameters if n in options]
            raise ArgumentError(
                f"explain {op}: there is no --{option.replace('_', '-')} here; it takes "
                f"{', '.join(known)}."
            )
        if option in ("input", "kernel", "bias"):
            arguments[name] = _array(option, value, op)
        elif option == "padding":
            arguments[name] = _padding(value)
        elif option in ("mode", "interpolation", "groups"):
            arguments[name] = value
        else:
            arguments[name] = _integers(option, value)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name in options and name not in arguments:
            raise ArgumentError(f"explain {op} needs --{options[name].replace('_', '-')}.")
    x, kernel = arguments.get("x"), arguments.get("kernel")
    if x is not None and kernel is not None and op in IMAGES and x.ndim != kernel.ndim:
        if kernel.ndim == 2 and x.ndim == 4 and len(x) == 1 and x.shape[3] == 3 and op == "conv2d":
            arguments["x"] = _mean(x[0])
        else:
            arguments |= {"x": as_images(x), "kernel": as_kernels(kernel)}
    return arguments


def _mean(image: Any) -> Any:
    """Return a coloured image (H,W,C) as the mean of its channels, which is said."""
    console.print("the kernel takes one channel: the image's three are averaged", markup=False)
    return image.mean(axis=2).round().astype(image.dtype)


def _integers(option: str, value: str) -> Any:
    try:
        numbers = tuple(int(part) for part in value.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 2):
        raise ArgumentError(
            f"--{option.replace('_', '-')} {value}: write one whole number, or two as height,width."
        )
    return numbers[0] if len(numbers) == 1 else numbers


def _padding(value: str) -> Any:
    parts = value.split(",")
    if not all(part.strip().lstrip("-").isdigit() for part in parts):
        return value
    numbers = [int(part) for part in parts]
    if len(numbers) == 4:
        return ((numbers[0], numbers[1]), (numbers[2], numbers[3]))
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _window(value: str) -> Any:
    try:
        parts = [
            None if part.strip() == ":" else tuple(int(end) for end in part.split(":"))
            for part in value.split(",")
        ]
        if not 2 <= len(parts) <= 3 or any(part and len(part) != 2 for part in parts):
            raise ValueError
        return tuple(parts)
    except ValueError:
        raise ArgumentError(
            f"--window {value}: write first:after for rows and columns, as 0:3,2:6, and a third "
            f"for channels if wanted; : alone is all."
        ) from None


def _write(
    explanation: Any,
    html: Path | None,
    gif: Path | None,
    png: Path | None,
    text: Path | None,
    direction: str | None,
    reading: str | None,
    cell: str | None,
) -> None:
    """Print the explanation, or write what was asked for."""
    choice = {} if direction is None else {"direction": direction}
    index = {} if cell is None else {"cell": _cell(cell)}
    how = {} if reading is None else {"reading": reading}
    wanted: list[tuple[Path | None, dict[str, Any]]] = [
        (html, {}),
        (gif, {**choice, **how}),
        (png, {**choice, **how, **index}),
        (text, {**choice, **index}),
    ]
    for path, options in wanted:
        if path is not None:
            explanation.save(path, **options)
            console.print(f"written: {path}", markup=False)
    if not any(path for path, _ in wanted):
        console.print(explanation.text(**choice, **index), markup=False)
        others = [f'"{d}"' for d in explanation.choices["direction"] if not choice][1:]
        if others and not index:
            console.print(
                f"\n--direction shows the others: {', '.join(others)}; --html FILE.html all of it",
                markup=False,
            )


def _cell(value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise ArgumentError(f"--cell {value}: write an index, as 0,1,2,0.") from None


def explore(
    output: Annotated[Path, typer.Option(help="The page.")] = Path("minicnn-explorer.html"),
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open it.")] = True,
) -> None:
    """Write the explorer, a page in which sizes, kernels and strides are tried out, and open it."""
    from minicnn.explain.readings.explorer import write_explorer

    with told():
        write_explorer(output)
        console.print(f"written: {output}", markup=False)
        _open(output, open_it)


def slides(
    output: Annotated[Path, typer.Option(help="Folder for the gallery.")] = Path("minicnn-slides"),
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open it.")] = True,
) -> None:
    """Make a gallery of every worked example of the course, with its numbers."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from minicnn.explain.course.slides import write_gallery

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with told():
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("drawing the examples", total=None)
            page = write_gallery(
                output,
                progress=lambda done, total, name: progress.update(
                    task, completed=done, total=total, description=name
                ),
            )
        console.print(f"written: {page}", markup=False)
        _open(page, open_it)


def _open(path: Path, wanted: bool) -> None:
    """Open a page in the browser if there is a screen, else say what to open."""
    import webbrowser

    if wanted and not (console.is_terminal and webbrowser.open(path.resolve().as_uri())):
        console.print("open it in a browser", markup=False)
