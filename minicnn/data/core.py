"""What a data set is: a way to start a stream of elements, as often as somebody asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from minicnn import config
from minicnn.autograd.recording import no_recording
from minicnn.autograd.tensor import Tensor, as_numpy
from minicnn.data.structure import from_user, spec_of, to_device, to_numpy, to_user
from minicnn.errors import ArgumentError
from minicnn.kernels import backend_module
from minicnn.runtime.threads import one_blas_thread

__all__ = [
    "AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "Core", "Key", "PassCounter",
    "UserFunction", "check_number", "generator_of",
]  # fmt: skip

#: Where it is given instead of a number, a good number is taken.
AUTOTUNE = -1
#: What `cardinality` says of a data set without end.
INFINITE_CARDINALITY = -1
#: What `cardinality` says if the number of elements shows only by going through them.
UNKNOWN_CARDINALITY = -2

#: What sets the random numbers of one pass through one step apart from all others.
Key = tuple[int, ...]
Start = Callable[[Key], Iterator[Any]]

#: The key of a pass that only looks at the first element, and counts as none.
LOOK: Key = (0,)
#: Sets the random numbers of functions apart from those of steps further up.
_FUNCTIONS = 2**31


class PassCounter:
    """Numbers the passes through one step, from which its own seed draws other numbers each.

    A training that is continued sets both.

    Args:
        start: the step's own seed, None for the process's random numbers.
    """

    def __init__(self, start: int | None = None) -> None:
        self.start = start
        #: How many passes were begun.
        self.begun = 0

    def number(self, key: Key) -> int:
        """Return the number of this pass."""
        if key[0] == LOOK[0]:
            return 0
        self.begun += 1
        return self.begun - 1


def generator_of(key: Key) -> np.random.Generator:
    """Return the random numbers of one pass through one step."""
    return np.random.default_rng(np.random.SeedSequence(key[0], spawn_key=key[1:]))


class UserFunction:
    """A function of the user within a pipeline.

    It gets tensors in the computer's memory, where it also works whatever the settings say: threads
    beside the main one always do, and that one while it makes elements. Its operations are not
    remembered for gradients. Its random numbers belong to the element, so that they are the same in
    whichever thread it runs.
    """

    def __init__(self, where: str, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise ArgumentError(f"{where}: a function is needed, but {function!r} came.")
        self.function = function
        self.drew = False
        self.passes = PassCounter()

    def start(self, key: Key) -> Callable[[int, Any], Any]:
        """Return the function of (index, element) for one pass."""
        number = self.passes.number(key)

        def call(index: int, element: Any) -> Any:
            stream = config.RandomStream((*key, _FUNCTIONS), (number, index))
            beside = threading.current_thread() is not threading.main_thread()
            given = to_user(element)
            with config.use_random_stream(stream, beside), no_recording():
                result = self.function(*given) if type(given) is tuple else self.function(given)
            self.drew |= stream.drawn
            return result

        return call

    def starting(self, key: Key) -> Callable[[int, Any], Any]:
        """Return the same with results as a pipeline keeps them."""
        call = self.start(key)

        def kept(index: int, element: Any) -> Any:
            result = call(index, element)
            return from_user(tuple(result) if isinstance(result, list) else result)

        return kept


class Core:
    """A stream of elements that can be started again and again.

    Args:
        start: starts the stream; what is random in it follows from the key.
        cardinality: number of elements, or one of the two constants.
        parents: the data sets that the stream reads.
        function: the user's function that makes the elements, if there is one.
        draws: whether this step draws random numbers of the process.
        spec: tells shapes and types; None to look at the first element.
        passes: counts the passes through this step, if that makes a difference.
    """

    #: Whether the next element is copied to the GPU while the present one is in use.
    _copies_ahead = False

    def __init__(
        self,
        start: Start,
        cardinality: int,
        parents: tuple[Core, ...] = (),
        function: UserFunction | None = None,
        draws: bool = False,
        spec: Callable[[], Any] | None = None,
        passes: PassCounter | None = None,
    ) -> None:
        self._start = start
        self._cardinality = cardinality
        self._parents = parents
        self._function = function
        self._draws: bool = draws or function is not None or any(p._draws for p in parents)
        self._spec = spec
        self._passes = function.passes if function is not None else passes

    def pass_counters(self) -> list[PassCounter]:
        """Return what counts the passes through this step and those further up."""
        own = [] if self._passes is None else [self._passes]
        return [*own, *(counter for p in self._parents for counter in p.pass_counters())]

    def _key(self) -> Key:
        """Return a key for one pass; the same after `set_random_seed`, whatever threads do."""
        return (int(config.random_generator().integers(1, 2**63)) if self._draws else 1,)

    def _then(
        self, steps: Callable[[Iterator[Any], Key], Iterator[Any]], cardinality: int, **more: Any
    ) -> Self:
        """Return what `steps` makes of this data set's stream and of the pass's key."""
        return self._new(
            lambda key: steps(self._start((*key, 0)), key), cardinality, (self,), **more
        )

    def _new(self, *arguments: Any, **more: Any) -> Self:
        return type(self)(*arguments, **more)

    def _elements(self) -> Iterator[Any]:
        return _on_cpu(self._start(self._key()))

    def __iter__(self) -> Iterator[Any]:
        if self._copies_ahead and config.device() == "gpu":
            return backend_module("cupy").ahead(self._elements(), to_device)
        return map(to_device, self._elements())

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Return an iterator over the elements as NumPy arrays and scalars."""
        return map(to_numpy, self._elements())

    def cardinality(self) -> Tensor:
        """Return the number of elements, or -1 for infinitely many, or -2 if it is not known."""
        return Tensor(np.asarray(self._cardinality))

    def __len__(self) -> int:
        if self._cardinality < 0:
            kind = "infinite" if self._cardinality == INFINITE_CARDINALITY else "not known"
            raise TypeError(f"Dataset: the number of elements is {kind}.")
        return self._cardinality

    def __bool__(self) -> bool:
        return True

    @property
    def element_spec(self) -> Any:
        """Shapes and types of the elements, nested as they are.

        After `map` and its like, the first element is computed to see them.
        """
        if self._spec is not None:
            return self._spec()
        for element in _on_cpu(self._start(LOOK)):
            return spec_of(element)
        raise ArgumentError("Dataset: element_spec of an empty data set is not known.")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # nothing of it changes

    def __reduce__(self) -> Any:
        raise TypeError("Dataset: its steps are functions, which cannot be pickled; make it anew.")

    def __repr__(self) -> str:
        counts = {INFINITE_CARDINALITY: "infinite", UNKNOWN_CARDINALITY: "unknown"}
        return f"<Dataset of {counts.get(self._cardinality, self._cardinality)} elements>"

    def _draws_in_functions(self) -> bool:
        """Whether a function of this step or one further up drew random numbers."""
        return (self._function is not None and self._function.drew) or any(
            parent._draws_in_functions() for parent in self._parents
        )


def _on_cpu(elements: Iterator[Any]) -> Iterator[Any]:
    """Yield elements that are made in the computer's memory, whatever the settings say."""
    # What is done to an element is small, and threads of BLAS would wait for each other longer than
    # they work. It is entered here, by the thread that asks for elements: those of the pipeline
    # have no say in it while another one has limited BLAS.
    with one_blas_thread():
        while True:
            with config.use_cpu():  # not while the consumer works
                try:
                    element = next(elements)
                except StopIteration:
                    return
            yield element


def check_number(where: str, argument: str, value: Any, least: int) -> int:
    """Return an integer argument that is at least so large; tensors of one number are read."""
    number = as_numpy(value)
    if number.dtype.kind not in "iu" or number.ndim or number < least:
        raise ArgumentError(f"Dataset.{where}: {argument}={value!r} must be an integer >= {least}.")
    return int(number)
