"""The errors that minicnn raises, each worded for the person who reads it.

A message names the function or layer, the argument, what came, the rule with the numbers put in,
and what would fit.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from math import prod
from operator import index
from types import ModuleType
from typing import Any, TypeVar

__all__ = ["ArgumentError", "BackendError", "DataError", "DeviceError",
           "DeviceLostError", "DeviceMemoryError", "ImageWarning", "MinicnnError",
           "MissingAttributeError", "OutputError", "ShapeError", "SignatureError", "SymbolicError",
           "WeightsError", "Worded", "argument_names", "attribute_error", "check_call",
           "check_choice", "check_whole", "check_within", "counted", "did_you_mean",
           "missing_axes", "suggest_attributes", "suggestions", "truth_cure", "unknown_argument",
           "warn_user", "word_methods", "worded"]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


class MinicnnError(Exception):
    """The root of every error that minicnn raises on purpose."""


class ArgumentError(MinicnnError, ValueError):
    """An argument that is outside its rule."""


class ShapeError(ArgumentError):
    """Sizes that do not fit each other."""


class SignatureError(ArgumentError, TypeError):
    """A function that was called with other arguments than it has."""


class SymbolicError(ArgumentError):
    """Numbers that were asked of a symbolic tensor, which has none yet."""


class DeviceError(ArgumentError):
    """Arrays of which some are on the GPU and some are not."""


class BackendError(MinicnnError, RuntimeError):
    """A backend that cannot be used on this machine."""


class RecordingError(BackendError):
    """Work on the GPU that cannot be recorded and started again as a whole."""


class DeviceMemoryError(BackendError, MemoryError):
    """An array for which the GPU has no room; smaller ones may follow."""


class DeviceLostError(BackendError):
    """A GPU that stopped answering; only a new process can use it again."""


class DataError(MinicnnError, ValueError):
    """Images, labels or folders that cannot be used."""


class WeightsError(MinicnnError, ValueError):
    """A weights file that belongs to another network, or is damaged."""


class OutputError(MinicnnError, OSError):
    """A file or folder that cannot be written."""


class ImageWarning(UserWarning):
    """What the reader of image files had to decide: what is white, which page, which channels."""


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def suggestions(word: Any, known: Iterable[str]) -> list[str]:
    """Return the known names that were probably meant, at most three.

    >>> suggestions("Conv2d", ["Conv1D", "Conv2D"]), suggestions("glorot", ["glorot_normal"])
    (['Conv2D'], ['glorot_normal'])
    """
    wanted, names = _letters(str(word)), list(known)
    last = {name: name.rpartition(".")[2] for name in names}  # of `minicnn.layers.Conv2D`
    letters = {name: _letters(last[name]) for name in names}
    if same := [name for name in names if letters[name] == wanted]:
        return sorted(same, key=lambda name: (last[name] == word, len(last[name])))[-1:]
    around = [name for name in names if len(wanted) > 2 and wanted in letters[name]]
    around.sort(key=lambda name: ("2d" not in letters[name], len(name)))
    close = difflib.get_close_matches(wanted, list(letters.values()), n=1, cutoff=0.6)
    alike = [n for n in names if close and letters[n] == close[0]]
    small = str(word).islower()
    found = sorted(alike, key=lambda n: (last[n].islower() == small, len(last[n]), -len(n)))[-1:]
    begins = [name for name in around if letters[name].startswith(wanted)]
    near = found and difflib.SequenceMatcher(None, wanted, close[0]).ratio() > 0.8
    return begins[:3] or (found if near else []) or around[:3] or found


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with the line outside of the package that called for what is warned of."""
    inside = ("minicnn.", "contextlib.")
    frame, level = sys._getframe(1), 2
    while frame.f_back and f"{frame.f_globals.get('__name__')}.".startswith(inside):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def did_you_mean(words: Sequence[str]) -> str:
    """Return the question that stands first in a message; nothing for no words.

    >>> did_you_mean(["strides"]), did_you_mean(["a", "b", "c"]), did_you_mean([])
    ("did you mean 'strides'?", "did you mean 'a', 'b' or 'c'?", '')
    """
    if not words:
        return ""
    *first, last = map(repr, words)
    return f"did you mean {', '.join(first)}{' or ' if first else ''}{last}?"


def counted(things: Sized | int, noun: str) -> str:
    """Return how many there are, in words.

    >>> counted(1, "image"), counted(range(3), "image")
    ('1 image', '3 images')
    """
    number = things if isinstance(things, int) else len(things)
    return f"{number} {noun}{'' if number == 1 else 's'}"


#: PyTorch's (N,C,H,W) as they are wanted here.
IMAGES_LAST = (0, 2, 3, 1)


def missing_axes(
    name: str, shape: Sequence[Any], wanted: Sequence[int | None] = (None,) * 4
) -> str:
    """Return what makes the wanted batch of an array of another shape, as the end of a sentence.

    Args:
        name: what the array is called.
        shape: its shape.
        wanted: the batch's, None for what may have any length; images if it has four axes.

    >>> missing_axes("x", (8, 9, 3), (None, None, None, 3))
    '. x[None] is a batch of this one image, (1, 8, 9, 3).'
    >>> missing_axes("x", (2, 3, 8, 9), (None, 8, 9, 3))
    '. Channels stand last here: x.transpose(0, 2, 3, 1) fits, (2, 8, 9, 3).'
    """
    shape, channels = tuple(shape), wanted[-1]
    if len(shape) == len(wanted) + 1 and shape[0] is None:
        inner = shape[2:]
        return f". The shape of an Input is that of one sample, without the batch: Input({inner})."
    if None in shape:
        return "."
    if len(wanted) == 4 and len(shape) == 2:
        if _fits((1, *shape, 1), wanted):
            return f"; {name}[None, ..., None] adds the missing ones."
        if channels and _fits((1, *shape, channels), wanted):
            return (
                f"; np.repeat({name}[None, ..., None], {channels}, axis=-1) adds the missing ones."
            )
    if len(wanted) == 4 and len(shape) == 3:
        first, last = shape[0], shape[2]
        inside = (channels,) if channels else (1, 3)
        if first in inside and last not in inside:
            fits = f"{name}.transpose(1, 2, 0)[None] fits, {(1, *shape[1:], first)}"
            return f". Channels stand last here: {fits}."
        if channels == 1 and last != 1:
            return f". {name}[..., None] is a batch of {first} grey images, {(*shape, 1)}."
        return f". {name}[None] is a batch of this one image, {(1, *shape)}."
    if len(shape) == len(wanted) - 1:
        return f". {name}[None] is a batch of this one sample, {(1, *shape)}."
    if len(wanted) == 2 < len(shape) and channels in (None, prod(shape[1:])):
        flat = (shape[0], prod(shape[1:]))
        return f". {name}.reshape(len({name}), -1) makes one row of each sample, {flat}."
    if len(wanted) != 4 or len(shape) != 4:
        return "."
    if _fits(turned := tuple(shape[i] for i in IMAGES_LAST), wanted):
        return f". Channels stand last here: {name}.transpose{IMAGES_LAST} fits, {turned}."
    if channels not in (None, shape[3]):
        if channels == 1:
            return f". {name}.mean(axis=-1, keepdims=True) makes the image grey."
        repeated = f"np.repeat({name}, {channels}, axis=-1) gives a grey image as many."
        return f". {repeated}" if shape[3] == 1 else "."
    return f". minicnn.ops.resize2d({name}, {tuple(wanted[1:3])}) makes them of that size."


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return all(w in (None, n) for n, w in zip(shape, wanted, strict=True))


def truth_cure(where: str, true: tuple[int, ...], pred: tuple[int, ...]) -> str:
    """Return what would fit where truth and prediction of these shapes do not, as a sentence.

    Args:
        where: the name of a loss or metric.
        true: shape of the truth.
        pred: and of the prediction.

    >>> truth_cure("categorical_accuracy", (2,), (2, 3))[:68]
    ' y_true seems to hold class numbers: sparse_categorical_accuracy tak'
    """
    if where.startswith("sparse_") and true == pred:
        other = f"{where.removeprefix('sparse_')} takes these, or give y_true.argmax(axis=-1)"
        return f" y_true seems to be one-hot: {other}."
    if pred[-1:] != (1,) and pred[:-1] in (true, true[:-1] if true[-1:] == (1,) else None):
        kind = "accuracy" if where.endswith("accuracy") else "crossentropy"
        many = f"minicnn.utils.to_categorical(y_true, {pred[-1]}) makes them one-hot"
        return (
            f" y_true seems to hold class numbers: sparse_categorical_{kind} takes these; {many}."
        )
    if len(pred) - len(true) > 1 or (len(true) == 2 < len(pred)):
        return (
            " The result is a map for each sample: layers.Flatten() or GlobalAveragePooling2D() "
            "before the last Dense makes one row of it."
        )
    if len(true) == len(pred) == 4 and true[1:3] != pred[1:3]:
        return (
            f" Images of {true[1]} x {true[2]} pixels are not {pred[1]} x {pred[2]}: "
            f"padding='same' keeps the size in convolutions, and upsampling undoes pooling."
        )
    if true[:-1] == pred[:-1] and true[-1:] != pred[-1:]:
        return f" The last layer gives {pred[-1]} numbers for {true[-1]}: give it {true[-1]}."
    return ""


def check_choice(
    where: str,
    argument: str,
    value: Any,
    choices: Iterable[str],
    others: Mapping[str, str | Sequence[str]] | None = None,
) -> str:
    """Return `value` in lower case if it is one of `choices`, else raise with a suggestion.

    Args:
        where: the caller's name, for messages.
        argument: the argument's.
        value: what came.
        choices: what may come.
        others: what people call some of them elsewhere: {their word: ours, or several}.

    >>> check_choice("Conv2D", "padding", "SAME", ["same", "valid"])
    'same'
    """
    known = list(choices)
    if isinstance(value, str) and value.lower() in known:
        return value.lower()
    word = (others or {}).get(str(value).lower())
    words = [word] if isinstance(word, str) else word
    hint = did_you_mean(words or suggestions(value, known))
    listed = [n for n in known if not any(n != m and n == m.replace("_", "") for m in known)]
    choose = f"{'Choose' if hint else 'choose'} one of {', '.join(map(repr, listed))}."
    raise ArgumentError(
        f"{where}: {argument}={value!r} is not known{f'; {hint}' if hint else ';'} {choose}"
    )


#: What arguments are called elsewhere: for each such word the names that it may have here.
_ELSEWHERE = {
    "act": ("activation",), "batch": ("batch_size",), "bias": ("use_bias", "bias"),
    "channels": ("filters", "units"), "criterion": ("loss",), "data": ("x", "inputs"),
    "dilation": ("dilation_rate",), "dilations": ("dilation_rate",), "dropout": ("rate",),
    "epoch": ("epochs",), "filter": ("kernel", "filters"), "filters": ("kernel",),
    "image": ("x", "inputs"), "images": ("x", "inputs"), "input": ("x", "inputs", "image"),
    "inputs": ("x",), "kernel": ("kernel_size", "pool_size"), "kernels": ("kernel",),
    "kernel_size": ("pool_size", "size", "kernel"), "ksize": ("kernel_size", "pool_size"),
    "labels": ("y",), "lr": ("learning_rate",), "method": ("interpolation",),
    "n_epochs": ("epochs",), "nonlinearity": ("activation",), "num_epochs": ("epochs",),
    "optim": ("optimizer",), "out_channels": ("filters",), "out_features": ("units",),
    "p": ("rate",), "pad": ("padding",), "pads": ("padding",), "prob": ("rate",),
    "scale_factor": ("size",), "size": ("kernel_size", "pool_size", "units"),
    "stride": ("strides",), "target": ("y",), "targets": ("y",), "val_data": ("validation_data",),
    "val_split": ("validation_split",), "weight": ("kernel",), "weights": ("kernel",),
    "window": ("pool_size", "kernel_size"),
}  # fmt: skip


def unknown_argument(where: str, name: str, known: Sequence[str]) -> SignatureError:
    """Return the error for an argument by a name that a function has not.

    >>> print(unknown_argument("conv2d", "stride", ["x", "strides"]))
    conv2d: the argument 'stride' is not known; did you mean 'strides'? It takes x, strides.
    """
    meant = [n for n in _ELSEWHERE.get(name.lower(), ()) if n in known][:1]
    hint = did_you_mean(meant or suggestions(name, known))
    takes = f"{'It' if hint else 'it'} takes {', '.join(known) or 'none'}."
    return SignatureError(
        f"{where}: the argument {name!r} is not known{f'; {hint}' if hint else ';'} {takes}"
    )


def check_whole(where: str, argument: str, value: Any, least: int = 1) -> int:
    """Return a whole number that is at least so large; NumPy's are taken, True is not.

    >>> check_whole("Dense 'dense'", "units", 3)
    3
    """
    try:
        number = least - 1 if isinstance(value, bool) else index(value)
    except TypeError:
        number = least - 1
    if number < least:
        name = f"{where}: {argument}" if where else argument
        raise ArgumentError(f"{name}={value!r}, but it must be an integer >= {least}.")
    return number


def check_within(where: str, argument: str, value: Any, interval: str) -> Any:
    """Return a number that lies in an interval, written as in mathematics.

    >>> check_within("Dropout 'dropout'", "rate", 0.25, "[0, 1)")
    0.25
    """
    low, high = map(float, interval[1:-1].split(", "))
    try:
        inside = low < value < high or value == {"[": low, "(": None}[interval[0]]
        inside = inside or value == {"]": high, ")": None}[interval[-1]]
    except TypeError:
        inside = False
    if not inside:
        rule = f"in {interval}".replace("in [0, inf)", ">= 0").replace("in (-inf, 0]", "<= 0")
        raise ArgumentError(f"{where}: {argument}={value!r} must be a number {rule}.")
    return value


def check_call(
    where: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Raise if a function cannot be called so, with the name of the argument that was meant.

    Args:
        where: what messages call the function.
        function: for its signature.
        args: what it was called with, by place, `self` included where there is one.
        kwargs: and by name.

    Raises:
        SignatureError: an argument is not known, missing, given twice, or one too many.
    """
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    known = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            for name in kwargs:
                if name not in known:
                    raise unknown_argument(where, name, known) from None
        strange = [name for name in kwargs if name in _ELSEWHERE and name not in known]
        meant = strange and [n for n in _ELSEWHERE[strange[0]] if n in known][:1]
        if meant:
            raise unknown_argument(where, strange[0], known) from None
        reason = str(error).replace(" a required", " the")
        raise SignatureError(f"{where}: {reason}; it takes {', '.join(known)}.") from None


def worded(function: F) -> F:
    """Let a function or method say which argument was meant if it is called with one it has not."""
    is_method = "." in function.__qualname__.rpartition("<locals>.")[2]

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if not isinstance(error, MinicnnError):
                name = function.__name__
                if is_method and args:
                    owner = type(args[0]).__name__
                    name = owner if name == "__init__" else f"{owner}.{name}"
                check_call(name, function, args, kwargs)
            raise

    return called  # type: ignore[return-value]


def word_methods(*classes: type) -> None:
    """Let all public methods that classes define do the same, and their `__init__`."""
    for made in classes:
        for name, method in list(vars(made).items()):
            if inspect.isfunction(method) and (name[0] != "_" or name == "__init__"):
                setattr(made, name, worded(method))


class Worded:
    """A class whose subclasses say which argument was meant by one that they have not."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = worded(vars(cls)["__init__"])  # type: ignore[method-assign]


def argument_names(cls: type) -> list[str]:
    """Return the names of all arguments of a class, those of the classes above included."""
    found: dict[str, None] = {}
    for part in cls.__mro__[:-1]:
        for p in inspect.signature(part.__init__).parameters.values():  # type: ignore[misc]
            if p.name != "self" and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                found.setdefault(p.name)
    return list(found)


def suggest_attributes(*packages: str) -> None:
    """Let packages say which of their names was meant by one that they have not.

    A file that is called as the class in it, `optimizers.adam` beside `Adam`, is imported by its
    name as ever, but is no attribute that a person finds instead.
    """
    for package in map(sys.modules.__getitem__, packages):
        names = vars(package)
        for name in [n for n, value in names.items() if isinstance(value, ModuleType)]:
            twins = (value for n, value in names.items() if n != name and n.lower() == name)
            if any(isinstance(twin, type) for twin in twins):
                del names[name]
        names.setdefault("__getattr__", functools.partial(_missing, package))


class MissingAttributeError(AttributeError):
    """An attribute that an object has not; which one was meant is sought when it is read.

    Args:
        owner: the object.
        name: the attribute's name.
        why: what is said of it instead of a suggestion.
    """

    def __init__(self, owner: Any, name: str, why: str = "") -> None:
        # With a name and no object Python does not add a guess of its own.
        super().__init__(name=name)
        self.owner, self.missing, self.why = owner, name, why

    def __str__(self) -> str:
        names = [n for n in dir(self.owner) if n[0] != "_"]
        meant = [n for n in _ELSEWHERE.get(self.missing, ()) if n in names][:1]
        hint = self.why or did_you_mean(meant or suggestions(self.missing, names))
        text = f"{type(self.owner).__name__!r} object has no attribute {self.missing!r}"
        return f"{text}{f'; {hint}' if hint else ''}"


def _missing(package: ModuleType, name: str) -> Any:
    known = [n for n, value in vars(package).items() if not isinstance(value, ModuleType)]
    raise attribute_error(package.__name__, name, () if name.startswith("__") else known)


def attribute_error(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for a name that a module has not, with the one that was meant."""
    hint = did_you_mean(suggestions(name, [n for n in known if not n.startswith("_")]))
    return AttributeError(
        f"module {module!r} has no attribute {name!r}{f'; {hint}' if hint else ''}"
    )
