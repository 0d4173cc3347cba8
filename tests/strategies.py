"""Hypothesis strategies: legal geometries whose height and width differ in everything.

Exchanging height and width is the commonest mistake with windows, and square examples hide it; so
here sizes, kernels, strides, dilation and padding always differ between the two axes.
"""

from typing import NamedTuple

from hypothesis import strategies as st

from minicnn.geometry import Geometry, Resize, conv2d_geometry, kernel_span
from tests.helpers import rng_integers


class Case(NamedTuple):
    """A geometry with numbers of images and channels, and the arrays that fit it."""

    geometry: Geometry
    batch: int
    channels: int
    filters: int
    seed: int = 0

    @property
    def image_shape(self):
        return (self.batch, self.geometry.in_height, self.geometry.in_width, self.channels)

    @property
    def kernel_shape(self):
        g = self.geometry
        return (g.kernel_height, g.kernel_width, self.channels // g.groups, self.filters)

    @property
    def output_shape(self):
        return (self.batch, self.geometry.out_height, self.geometry.out_width, self.filters)

    @property
    def pooled_shape(self):
        return (*self.output_shape[:3], self.channels)

    def image(self, dtype="float64", again=0):
        return rng_integers((self.seed, 1, again), self.image_shape, dtype)

    def kernel(self, dtype="float64", again=0):
        return rng_integers((self.seed, 2, again), self.kernel_shape, dtype)

    def output(self, dtype="float64"):
        return rng_integers((self.seed, 3), self.output_shape, dtype)

    def pooled(self, dtype="float64"):
        return rng_integers((self.seed, 4), self.pooled_shape, dtype)

    @property
    def options(self):
        """The geometry as the arguments of `ops.conv2d`."""
        g = self.geometry
        return {
            "strides": (g.stride_height, g.stride_width),
            "padding": ((g.pad_top, g.pad_bottom), (g.pad_left, g.pad_right)),
            "dilation_rate": (g.dilation_height, g.dilation_width),
            "groups": g.groups,
        }


def different(low, high, count=2):
    """Different integers from low to high."""
    return st.permutations(range(low, high + 1)).map(lambda p: tuple(p[:count]))


@st.composite
def geometries(draw, *, dilation=True, groups=(1, 2, 3), modes=("sides", "valid", "same"), room=3):
    """Geometries of convolutions and poolings, padding on four sides included.

    Images are up to `room` pixels higher and wider than the least that fits.
    """
    kernel = draw(different(1, 4))
    strides = draw(different(1, 3))
    rates = draw(different(1, 3)) if dilation else (1, 1)
    mode = draw(st.sampled_from(modes))
    top, bottom, left, right = draw(different(0, 4, 4)) if mode == "sides" else (0, 0, 0, 0)
    spans = [kernel_span(k, d) for k, d in zip(kernel, rates, strict=True)]
    smallest = [
        1 if mode == "same" else max(1, s - p)
        for s, p in zip(spans, (top + bottom, left + right), strict=True)
    ]
    height, width = (n + draw(st.integers(0, room)) for n in smallest)
    padding = ((top, bottom), (left, right)) if mode == "sides" else mode
    size = (height, width + 1 if width == height else width)
    return conv2d_geometry(size, kernel, strides, padding, rates, draw(st.sampled_from(groups)))


@st.composite
def cases(draw, **options):
    """Geometries with 0 to 2 images, and different numbers of channels and filters."""
    g = draw(geometries(**options))
    channels, filters = draw(different(1, 3))
    return Case(
        g,
        batch=draw(st.sampled_from([1, 2, 0])),
        channels=channels * g.groups,
        filters=filters * g.groups,
        seed=draw(st.integers(0, 2**32 - 1)),
    )


#: Channels that leave lanes of a vector over, or fill two vectors and one lane of a third.
CHANNELS = (1, 2, 3, 5, 8, 16, 17, 32, 33)


@st.composite
def tile_cases(draw, **options):
    """Cases with several register tiles in a row, whose last pixels and channels fill no tile."""
    g = draw(geometries(**{"room": 19} | options))
    channels = draw(st.sampled_from(CHANNELS))
    filters = draw(st.sampled_from([n for n in CHANNELS if n != channels]))
    return Case(
        g,
        batch=draw(st.sampled_from([2, 1, 5])),
        channels=channels * g.groups,
        filters=filters * g.groups,
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def poolings():
    """Geometries of pooling with their arrays; `filters` is of no account."""
    return cases(groups=(1,))


@st.composite
def resizes(draw):
    """Sizes before and after a resizing, larger and smaller, whole factors among them."""
    height, width = draw(different(1, 6))
    if draw(st.booleans()):
        rows, columns = draw(different(1, 3))
        return Resize(height, width, height * rows, width * columns)
    return Resize(height, width, *draw(different(1, 9)))
