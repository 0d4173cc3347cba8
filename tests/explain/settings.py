"""Settings of the explorer's arithmetic by chance, and what Python says of the same call."""

import re

import numpy as np

import minicnn as mc
from minicnn.errors import MinicnnError
from minicnn.explain.operations import convolution_stage
from minicnn.explain.records.limits import Limits
from minicnn.explain.stages import explain_stages
from minicnn.geometry import conv2d_geometry, conv2d_transpose_geometry

CONVOLUTIONS = ("conv2d", "conv2d_transpose")
OPERATIONS = (*CONVOLUTIONS, "max_pool2d", "average_pool2d", "upsample2d")


def array_of(rng, shape):
    """An array as the page holds it; mostly whole numbers, with equal ones among them."""
    values = rng.integers(-4, 5, int(np.prod(shape))).astype(float)
    if rng.random() < 0.3:
        values = np.round(rng.normal(size=values.size), 3)
    return {"shape": list(shape), "values": values.tolist()}


def padding_of(rng, most=3):
    if rng.random() < 0.4:
        return str(rng.choice(["valid", "same"]))
    return rng.integers(0, most, (2, 2)).tolist()


def random_settings(seed):
    """The settings of one call; now and then some that do not fit."""
    rng = np.random.default_rng(seed)
    operation = OPERATIONS[seed % 7 % 5]  # the convolutions twice as often
    height, width = rng.choice(np.arange(2, 9), 2, replace=False).tolist()
    groups = int(rng.choice([1, 1, 2, 3]))
    settings = {
        "operation": operation,
        "strides": rng.choice([1, 2, 3], 2, replace=False).tolist(),
        "padding": padding_of(rng),
        "dy": None,
    }
    channels = int(rng.integers(1, 4))
    if operation in CONVOLUTIONS:
        taken, filters = rng.integers(1, 3, 2).tolist()
        channels = taken * groups
        kernel = rng.choice(np.arange(1, 5), 2, replace=False).tolist()
        last = [taken, filters * groups] if operation == "conv2d" else [filters, channels]
        if rng.random() < 0.06:
            groups += 1
        if rng.random() < 0.04:
            channels += 1
        settings |= {
            "kernel": array_of(rng, [*kernel, *last]),
            "bias": rng.integers(-3, 4, filters * groups).tolist() if rng.random() < 0.5 else None,
            "dilation": rng.choice([1, 1, 1, 2, 3], 2).tolist(),
            "groups": groups,
        }
    if operation == "conv2d":
        settings["turned"] = bool(rng.random() < 0.3)
    elif operation == "conv2d_transpose":
        below = settings["strides"] if rng.random() < 0.8 else [3, 3]
        settings["output_padding"] = rng.integers(0, below).tolist() if rng.random() < 0.5 else None
    elif operation == "upsample2d":
        settings["size"] = rng.choice([1, 2, 3, 4], 2, replace=False).tolist()
        settings["interpolation"] = str(rng.choice(["nearest", "bilinear"]))
    else:
        settings["pool_size"] = rng.choice(np.arange(1, 5), 2, replace=False).tolist()
    settings["input"] = array_of(rng, [1, height, width, channels])
    if rng.random() < 0.05:
        settings |= {"strides": [0, 1]} if rng.random() < 0.5 else {"padding": [[0, 1], [-1, 2]]}
    if rng.random() < 0.04:
        settings["max_terms"] = int(rng.integers(20, 300))
    return settings


def with_gradient(settings, seed):
    """The same settings with a gradient of the result by chance, where there is a result."""
    operation, x, arguments = call_of(settings)
    try:
        shape = operation(x, **arguments).shape
    except MinicnnError:
        return settings
    values = np.random.default_rng(seed).integers(-3, 4, int(np.prod(shape)))
    return settings | {"dy": values.tolist() if seed % 2 else None}


def _array(given):
    return np.array(given["values"], "float64").reshape(given["shape"])


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def call_of(settings):
    """The operation of some settings and its arguments."""
    s = {name: _tuples(value) for name, value in settings.items() if name not in ("input", "dy")}
    x, window = _array(settings["input"]), {}
    if s["operation"] != "upsample2d":
        window |= {"strides": s["strides"], "padding": s["padding"]}
    if s["operation"] in CONVOLUTIONS:
        bias = None if settings["bias"] is None else np.array(settings["bias"], "float64")
        window |= {"kernel": _array(settings["kernel"]), "bias": bias, "groups": s["groups"]}
        window["dilation_rate"] = s["dilation"]
    for name in ("output_padding", "pool_size", "size", "interpolation"):
        if name in s:
            window[name] = s[name]
    return getattr(mc, s["operation"]), x, window


def explained(settings):
    """What `minicnn.explain` says of some settings, as the page's arithmetic returns it."""
    operation, x, arguments = call_of(settings)
    most = settings.get("max_terms", 20_000)
    dy = settings["dy"]
    try:
        if dy is not None:
            dy = np.reshape(dy, operation(x, **arguments).shape)
        if settings.get("turned"):
            found = _turned(x, arguments, dy, Limits(None, most))
        else:
            found = mc.explain(operation, x, output_gradients=dy, max_terms=most, **arguments)
    except MinicnnError as error:
        # In Python the rule is followed by how the array can be changed; the page has buttons.
        return {"error": re.sub(r"(\w\.|'same'\.) (x |np\.|The |kernel\.).*", r"\1", str(error))}
    return {"explanation": found.to_json()}


def _turned(x, arguments, dy, limits):
    """The explanation of a true convolution of images, the turned kernel first."""
    mc.conv2d(x, **arguments)  # words what does not fit
    kernel, bias = arguments["kernel"], arguments["bias"]
    window = {n: v for n, v in arguments.items() if n not in ("kernel", "bias")}
    geometry = conv2d_geometry(x.shape[1:3], kernel.shape[:2], **window)
    stage = convolution_stage(
        "conv2d",
        lambda x: mc.conv2d(x, kernel[::-1, ::-1], bias, **window),
        kernel=kernel,
        bias=bias,
        geometry=geometry,
        turned=True,
    )
    return explain_stages("conv2d", x, [stage], dy, limits)


def geometry_of(settings):
    """The geometry of a convolution of either kind."""
    window = call_of(settings)[2]
    kernel = window.pop("kernel")
    window.pop("bias")
    make = conv2d_geometry if settings["operation"] == "conv2d" else conv2d_transpose_geometry
    return make(settings["input"]["shape"][1:3], kernel.shape[:2], **window)
