"""The stand-in's streams, events, graphs and memory: work is done as late or as early as CUDA may.

On a card, work that is put on a stream is done some time later, in the stream's order; only events
and the host's waiting order the work of two streams. Here it is done when somebody waits for it
("late"), or as soon as nothing forbids it ("early"), or before the call returns ("at once"). A wait
that is missing shows as NaN, because memory that was not written to holds nothing else, and so does
memory that is handed out again while another stream's work still reads it.
"""

import collections
import contextlib
import itertools
import threading
import weakref

import numpy as np

#: Bytes before and behind every array; CuPy's arrays begin at multiples of 512 bytes.
ZONE = 512
POISON = 0xFF  # four or eight of these bytes are NaN, or -1


class CUDARuntimeError(RuntimeError):
    """As cupy.cuda.runtime.CUDARuntimeError."""


class OutOfMemoryError(MemoryError):
    """As cupy.cuda.memory.OutOfMemoryError."""


class Card:
    """The limits of the card that the stand-in plays; tests may change them."""

    def __init__(self):
        self.name, self.capability = "stand-in for a GPU", "90"
        self.shared_bytes, self.multiprocessors, self.cache_bytes = 49152, 2, 1 << 20
        self.total_bytes, self.used_bytes = 1 << 30, 0
        self.lost = False  # a card that answers no more

    def answer(self):
        if self.lost:
            raise CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was found")


card = Card()

# When work is done.

_when = {"default": "at once", "others": "late"}


@contextlib.contextmanager
def order(default="at once", others="late"):
    """Say when the default stream and the others do their work, for the length of a `with` block.

    Args:
        default: "at once", "late" or "early".
        others: "late" or "early".
    """
    before = dict(_when)
    _when.update(default=default, others=others)
    try:
        yield
        finish_all()
    finally:
        _when.update(before)


class _Wait:
    """The work of a stream that waits for another one's."""

    def __init__(self, stream, count):
        self.stream, self.count = stream, count

    def __call__(self):
        self.stream.finish(self.count)

    @property
    def over(self):
        return self.stream.done_count >= self.count


class Stream:
    """As cupy.cuda.Stream."""

    _numbers = itertools.count(2)
    everyone, blocking = weakref.WeakSet(), weakref.WeakSet()

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr = 0 if null else next(self._numbers)
        self._blocks = not (null or non_blocking)
        self._work = collections.deque()
        self.put_count = self.done_count = 0
        self.recording = None
        self.everyone.add(self)
        if self._blocks:
            self.blocking.add(self)

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return self.ptr

    def __enter__(self):
        _thread.streams.append(self)
        return self

    def __exit__(self, *_):
        _thread.streams.pop()

    def __del__(self):
        self.finish()  # a card finishes the work of a stream that nobody holds any more

    # Work.

    @property
    def when(self):
        return _when["default" if self.ptr == 0 else "others"]

    def put(self, work):
        """Do some work in its turn, or record it."""
        if self.recording is not None:
            self.recording.work.append(work)
            return
        for other in list(self.everyone):  # the default stream and blocking ones go hand in hand
            related = other is not self and (
                (self.ptr == 0 and other._blocks) or (self._blocks and other.ptr == 0)
            )
            if related and other.recording is not None:
                other.recording.spoil()
                raise _refused("cudaErrorStreamCaptureImplicit", "the default stream was used")
            if related and other.done_count < other.put_count:
                self._add(_Wait(other, other.put_count))
        self._add(work)

    def _add(self, work):
        self._work.append(work)
        self.put_count += 1
        if self.when == "at once":
            self.finish()
        elif self.when == "early":
            self.advance()

    def finish(self, count=None):
        """Do the work up to the one of this number, and before it what it waits for."""
        last = self.put_count if count is None else count
        while self.done_count < last:
            self._next()
        for other in list(self.everyone):
            if other.when == "early":
                other.advance()

    def advance(self):
        """Do the work that waits for nobody."""
        while self._work and getattr(self._work[0], "over", True):
            self._next()

    def _next(self):
        work = self._work.popleft()
        try:
            with np.errstate(all="ignore"):  # a card says nothing of overflow
                work()
        finally:
            self.done_count += 1

    # CuPy's methods.

    @property
    def done(self):
        self.forbid_while_recording("a stream was asked")
        return self.done_count == self.put_count

    def synchronize(self):
        self.forbid_while_recording("the host waits for the stream")
        self.finish()

    def record(self, event=None):
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        if self.recording is not None and event.recording is not self.recording:
            self.recording.spoil()
            raise _refused("cudaErrorStreamCaptureIsolation", "an event from outside is waited for")
        if event.mark is not None and event.mark[0] is not self:
            self.put(_Wait(*event.mark))

    def begin_capture(self, mode=None):
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self.recording is not None:
            raise _refused("cudaErrorIllegalState", "the stream is being captured already")
        self.recording = _Recording()

    def end_capture(self):
        if self.recording is None:
            raise _refused("cudaErrorIllegalState", "the stream is not being captured")
        recording, self.recording = self.recording, None
        if recording.spoilt:
            raise _refused("cudaErrorStreamCaptureInvalidated", "an operation was not permitted")
        return Graph._made(recording)

    def is_capturing(self):
        return self.recording is not None

    def forbid_copies(self, which):
        """Refuse what CuPy refuses while this stream is captured; CUDA does not hear of it."""
        if self.recording is not None:
            raise RuntimeError(f"the current stream is capturing, so {which} are disallowed")

    def forbid_while_recording(self, what):
        """Refuse what must not happen while this stream is captured, which spoils the capture."""
        if self.recording is not None:
            self.recording.spoil()
            raise _refused("cudaErrorStreamCaptureUnsupported", what)


def _refused(name, why):
    return CUDARuntimeError(f"{name}: operation not permitted when stream is capturing: {why}")


class _Recording:
    """What a stream was given while it was captured, and the memory that this works on."""

    def __init__(self):
        self.work, self.rooms, self.spoilt = [], {}, False

    def spoil(self):
        self.spoilt = True


class Event:
    """As cupy.cuda.Event."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.mark = self.recording = None

    def record(self, stream=None):
        stream = get_current_stream() if stream is None else stream
        self.recording = stream.recording
        self.mark = None if stream.recording else (stream, stream.put_count)

    @property
    def done(self):
        return self.mark is None or _Wait(*self.mark).over

    def synchronize(self):
        if self.recording is not None:
            self.recording.spoil()
            raise _refused("cudaErrorCapturedEvent", "the host waits for an event of a capture")
        if self.mark is not None:
            self.mark[0].finish(self.mark[1])


class Graph:
    """As cupy.cuda.Graph: recorded work that is done again on the same memory."""

    def __init__(self, *_, **__):
        raise NotImplementedError("currently this class cannot be initiated by the user")

    @classmethod
    def _made(cls, recording):
        graph = cls.__new__(cls)
        graph._recording = recording
        return graph

    def launch(self, stream=None):
        if any(room.freed for room in self._recording.rooms.values()):
            raise CUDARuntimeError(
                "cudaErrorIllegalAddress: an illegal memory access was encountered"
            )
        work = tuple(self._recording.work)

        def again():
            for piece in work:
                piece()

        (get_current_stream() if stream is None else stream).put(again)

    def upload(self, stream=None):
        """Nothing is kept on a card here."""


class _Thread(threading.local):
    def __init__(self):
        self.streams = [null]
        self.pools = [None]


null = Stream.null = Stream(null=True)
_thread = _Thread()


def get_current_stream(device_id=-1):
    """As cupy.cuda.get_current_stream."""
    return _thread.streams[-1]


def at_once():
    """Return whether what is called now is done before the call returns."""
    return _thread.streams[-1] is null and _when["default"] == "at once" and not Stream.blocking


def finish_all():
    """Wait for all streams."""
    for stream in list(Stream.everyone):
        stream.finish()


# Memory.


class _Room:
    """A piece of the card's memory between two zones that nobody may write to."""

    def __init__(self, size, forbid):
        whole = np.full(size + 3 * ZONE, POISON, np.uint8)
        first = -whole.ctypes.data % ZONE + ZONE
        self.before, self.after = whole[:first], whole[first + size :]
        self.data = whole[first : first + size]
        self.freed = False  # whether the card has it back
        for zone in (self.before, self.after):
            forbid(zone)

    def free(self):
        if not self.freed:
            self.freed = True
            card.used_bytes -= self.data.size


class MemoryPool:
    """As cupy.cuda.MemoryPool: memory that arrays gave back, for others on the same stream."""

    def __init__(self, allocator=None):
        self._rooms = collections.defaultdict(list)  # by stream and size
        weakref.finalize(self, _free_all, self._rooms)

    def malloc(self, size):
        """Lies behind `using_allocator`; the stand-in asks for rooms itself."""
        raise TypeError("the stand-in's pools give memory to arrays only")

    def take(self, size, forbid):
        """Return a room; what is handed out again holds NaN when its turn comes."""
        card.answer()
        stream = get_current_stream()
        if kept := self._rooms[stream.ptr, size]:
            room = kept.pop()
            stream.put(lambda: room.data.fill(POISON))
            return room
        if card.used_bytes + size > card.total_bytes:
            self.free_all_blocks()
        if card.used_bytes + size > card.total_bytes:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes")
        card.used_bytes += size
        return _Room(size, forbid)

    def give_back(self, room, stream):
        self._rooms[stream, room.data.size].append(room)

    def free_bytes(self):
        return sum(size * len(rooms) for (_, size), rooms in self._rooms.items())

    def free_all_blocks(self, stream=None):
        _free_all(self._rooms)


def _free_all(rooms):
    for kept in rooms.values():
        for room in kept:
            room.free()
        kept.clear()


default_pool = MemoryPool()


@contextlib.contextmanager
def using_allocator(allocator=None):
    """As cupy.cuda.using_allocator, for the `malloc` of a pool."""
    pool = allocator.__self__
    _thread.pools.append(pool)
    try:
        yield
    finally:
        _thread.pools.pop()


blocks = weakref.WeakSet()


class Block:
    """Memory of one array; arrays that are views keep it alive."""

    def __init__(self, size, forbid):
        pool = _thread.pools[-1] or default_pool
        self.room = pool.take(size, forbid)
        self.data = self.room.data
        weakref.finalize(self, _given_back, self.room, weakref.ref(pool), get_current_stream().ptr)
        blocks.add(self)

    def damaged(self):
        return (self.room.before != POISON).any() or (self.room.after != POISON).any()


def _given_back(room, owner, stream):
    pool = owner()
    # Where everything is done at once nothing is kept, so that each array has new memory.
    if pool is None or (pool is default_pool and stream == 0 and _when["default"] == "at once"):
        room.free()
    else:
        pool.give_back(room, stream)


def touched(block):
    """Remember, while a stream is captured, which memory its graph will work on."""
    recording = get_current_stream().recording
    if recording is not None and block is not None:
        recording.rooms[id(block.room)] = block.room
