import ast
import itertools
import sys
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minicnn import geometry
from minicnn.errors import ArgumentError, ShapeError
from minicnn.geometry import (
    Resize,
    conv2d_geometry,
    conv2d_parameters,
    conv2d_transpose_geometry,
    kernel_span,
    output_size,
    pair,
    receptive_field,
    resize_taps,
    same_padding,
    valid_outputs,
)
from tests.strategies import different, geometries


def positions(n, kernel, stride, dilation, before, after):
    """Every place where the whole kernel lies on the padded axis, found by trying them all."""
    cells = range(-before, n + after)
    starts = range(-before, n + after, stride)
    return [o for o in starts if all(o + k * dilation in cells for k in range(kernel))]


def sides(g):
    return ((g.pad_top, g.pad_bottom), (g.pad_left, g.pad_right))


def axes(g):
    """The numbers of each axis: n, out, kernel, stride, dilation, padding before and after."""
    rows = (g.in_height, g.out_height, g.kernel_height, g.stride_height, g.dilation_height)
    columns = (g.in_width, g.out_width, g.kernel_width, g.stride_width, g.dilation_width)
    return [(*rows, g.pad_top, g.pad_bottom), (*columns, g.pad_left, g.pad_right)]


# Padding and output size.


@given(geometries())
def test_output_size_counts_the_window_positions(g):
    for n, out, kernel, stride, dilation, before, after in axes(g):
        assert out == len(positions(n, kernel, stride, dilation, before, after))
        assert output_size(n, kernel, stride, before + after, dilation) == out


# TensorFlow 2: tf.nn.conv2d(..., padding="SAME"), paddings worked out in its guide and by hand.
@pytest.mark.parametrize(
    ("n", "kernel", "stride", "dilation", "expected"),
    [
        (13, 6, 5, 1, (1, 2)),  # the example of TensorFlow's documentation
        (224, 3, 2, 1, (0, 1)),  # MobileNet's first layer
        (224, 7, 2, 1, (2, 3)),  # ResNet's first layer
        (5, 2, 1, 1, (0, 1)),
        (7, 3, 1, 2, (2, 2)),
        (9, 1, 4, 1, (0, 0)),
    ],
)
def test_same_padding_of_known_layers(n, kernel, stride, dilation, expected):
    assert same_padding(n, kernel, stride, dilation) == expected


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 6), st.integers(1, 3))
def test_same_padding_is_the_least_that_gives_the_ceiling(n, kernel, stride, dilation):
    before, after = same_padding(n, kernel, stride, dilation)
    wanted = ceil(Fraction(n, stride))
    assert after - before in (0, 1)
    assert len(positions(n, kernel, stride, dilation, before, after)) == wanted
    if before + after:
        assert len(positions(n, kernel, stride, dilation, 0, before + after - 1)) < wanted


@given(geometries(modes=("same",)))
def test_same_rounds_up_on_each_axis(g):
    for n, out, _, stride, _, before, after in axes(g):
        assert out == ceil(Fraction(n, stride))
        assert after - before in (0, 1)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("valid", ((0, 0), (0, 0))),
        ("VALID", ((0, 0), (0, 0))),
        ("same", ((0, 1), (1, 2))),
        ("SAME", ((0, 1), (1, 2))),
        (2, ((2, 2), (2, 2))),
        ((1, 3), ((1, 1), (3, 3))),
        ([1, 3], ((1, 1), (3, 3))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        (np.array([[1, 2], [3, 4]]), ((1, 2), (3, 4))),
        ((np.int64(1), np.int32(3)), ((1, 1), (3, 3))),
    ],
)
def test_paddings(padding, expected):
    g = conv2d_geometry((6, 9), (3, 4), (2, 1), padding)
    assert sides(g) == expected
    assert g.out_height == len(positions(6, 3, 2, 1, *expected[0]))
    assert g.out_width == len(positions(9, 4, 1, 1, *expected[1]))


def test_every_number_goes_to_its_own_field():
    g = conv2d_geometry((30, 41), (2, 3), (4, 5), ((6, 7), (8, 9)), (10, 11), 12)
    rows, columns = len(positions(30, 2, 4, 10, 6, 7)), len(positions(41, 3, 5, 11, 8, 9))
    assert (rows, columns) == (9, 8)
    assert g == (30, 41, 9, 8, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    assert all(type(v) is int for v in conv2d_geometry(np.array([5, 6]), np.array([2, 3])))


@given(st.integers(1, 6), st.integers(1, 4))
def test_kernel_span_counts_the_pixels_from_first_to_last_tap(kernel, dilation):
    taps = [k * dilation for k in range(kernel)]
    assert kernel_span(kernel, dilation) == len(range(taps[0], taps[-1] + 1))


# Strict strides.


@given(geometries(dilation=True, groups=(1,)))
def test_strict_refuses_exactly_when_pixels_are_left_over(g):
    arguments = (
        (g.in_height, g.in_width),
        (g.kernel_height, g.kernel_width),
        (g.stride_height, g.stride_width),
        sides(g),
        (g.dilation_height, g.dilation_width),
    )
    left = []
    for n, _, kernel, stride, dilation, before, after in axes(g):
        last = positions(n, kernel, stride, dilation, before, after)[-1]
        left.append(n + after - 1 - (last + (kernel - 1) * dilation))
    if any(left):
        with pytest.raises(ShapeError, match="does not fit"):
            conv2d_geometry(*arguments, strict=True)
    else:
        assert conv2d_geometry(*arguments, strict=True) == g


def test_strict_names_the_strides_that_fit():
    # The slides' "7x7, kernel 3, stride 3 does not fit": 4 steps of 1, 2 of 2, 1 of 4 do.
    with pytest.raises(ShapeError) as caught:
        conv2d_geometry((6, 7), (2, 3), (2, 3), strict=True, where="layer c1")
    assert str(caught.value) == (
        "layer c1: strides=3 does not fit the width: (7 + 0 + 0 - 1*(3 - 1) - 1) / 3 + 1 = 2.33 "
        "is not a whole number (1 of 7 pixels are left over). Strides that fit: 1, 2, 4."
    )
    for stride in range(1, 8):
        if stride in (1, 2, 4):
            assert conv2d_geometry((6, 7), (2, 3), (4, stride), strict=True).out_height == 2
        else:
            with pytest.raises(ShapeError, match=f"strides={stride} .*: 1, 2, 4"):
                conv2d_geometry((6, 7), (2, 3), (4, stride), strict=True)


# Transposed convolution.


@st.composite
def reversals(draw):
    """Input size, kernel, strides, dilation and padding of a transposed convolution."""
    size, kernel, strides = draw(different(1, 5)), draw(different(1, 4)), draw(different(1, 3))
    dilation = draw(different(1, 3))
    top, bottom, left, right = draw(different(0, 3, 4))
    explicit = ((top, bottom), (left, right))
    return size, kernel, strides, draw(st.sampled_from(["valid", "same", explicit])), dilation


def admissible(n, kernel, stride, dilation, padding, highest=60):
    """Sizes that the convolution maps to n, found by trying them all."""
    found = []
    for m in range(1, highest):
        if padding == "same":
            reached = ceil(Fraction(m, stride))
        else:
            before, after = (0, 0) if padding == "valid" else padding
            reached = len(positions(m, kernel, stride, dilation, before, after))
        if reached == n:
            found.append(m)
    return found


@given(reversals())
def test_output_size_takes_exactly_the_sizes_that_map_back(case):
    size, kernel, strides, padding, dilation = case
    fitting = [
        admissible(size[a], kernel[a], strides[a], dilation[a], padding)
        if isinstance(padding, str)
        else admissible(size[a], kernel[a], strides[a], dilation[a], padding[a])
        for a in (0, 1)
    ]
    assume(all(fitting))
    options = (kernel, strides, padding, dilation)
    for wanted in itertools.product(*fitting):
        g = conv2d_transpose_geometry(size, *options, output_size=wanted)
        assert (g.in_height, g.in_width) == wanted
        assert (g.out_height, g.out_width) == size
        assert g == conv2d_geometry(wanted, *options)
    for a, axis in enumerate(("height", "width")):
        for wrong in (fitting[a][0] - 1, fitting[a][-1] + 1):
            wanted = [f[0] for f in fitting]
            wanted[a] = wrong
            if wrong < 1:
                continue
            listed = ", ".join(map(str, fitting[a]))
            with pytest.raises(ShapeError) as caught:
                conv2d_transpose_geometry(size, *options, output_size=wanted)
            assert f"the {axis} cannot become {wrong} from an input of {size[a]}" in str(
                caught.value
            )
            assert str(caught.value).endswith(f"output sizes that fit: {listed}.")


@pytest.mark.parametrize(
    ("mode", "expected"),
    # keras.layers.Conv2DTranspose, Keras 3: without output_padding "valid" gives
    # N*S + max(span - S, 0) and "same" N*S; with it (N-1)*S + span - 2*P + output_padding,
    # where P is span // 2 for "same". Worked by hand for N = (4, 6), kernel (3, 2), strides (2, 3).
    [
        (("valid", None), (9, 18)),
        (("same", None), (8, 18)),
        (("VALID", None), (9, 18)),
        (("valid", (0, 0)), (9, 17)),
        (("valid", (1, 2)), (10, 19)),
        (("same", (0, 0)), (7, 15)),
        (("same", (1, 2)), (8, 17)),
    ],
)
def test_keras_transposed_sizes(mode, expected):
    padding, extra = mode
    g = conv2d_transpose_geometry((4, 6), (3, 2), (2, 3), padding, output_padding=extra)
    assert (g.in_height, g.in_width) == expected
    assert (g.out_height, g.out_width) == (4, 6)


@given(reversals(), st.booleans(), st.integers(0, 2))
def test_the_transposed_size_maps_back_to_the_input(case, padded, extra):
    size, kernel, strides, padding, dilation = case
    extras = tuple(min(extra, s - 1) for s in strides) if padded else None
    try:
        g = conv2d_transpose_geometry(
            size, kernel, strides, padding, dilation, output_padding=extras
        )
    except ShapeError:
        assume(False)
    for (n, out, k, s, d, before, after), wanted in zip(axes(g), size, strict=True):
        assert out == wanted
        assert len(positions(n, k, s, d, before, after)) == wanted
        if padded and padding != "same":
            written = {o * s + t * d for o in range(wanted) for t in range(k)}
            natural = max(written) + 1
            assert n == natural - before - after + min(extra, s - 1)


def test_explicit_padding_is_cropped_from_the_natural_size():
    # Each of 3 rows writes 4 rows, 2 apart: 8. Each of 5 columns writes 3, 3 apart: 15.
    g = conv2d_transpose_geometry((3, 5), (4, 3), (2, 3), ((1, 2), (0, 4)))
    assert (g.in_height, g.in_width) == (8 - 3, 15 - 4)
    assert sides(g) == ((1, 2), (0, 4))


# Receptive field, taps, cost.


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4
    )
)
def test_receptive_field_by_following_every_dependency(layers):
    expected = []
    for depth in range(1, len(layers) + 1):
        seen = {0}
        for kernel, stride, dilation in reversed(layers[:depth]):
            seen = {o * stride + k * dilation for o in seen for k in range(kernel)}
        expected.append(max(seen) - min(seen) + 1)
    assert receptive_field(layers) == expected


def test_receptive_field_without_dilation_and_without_layers():
    # VGG16's first two blocks: two 3x3 and a 2x2 pooling of stride 2, twice.
    block = [(3, 1), (3, 1), (2, 2)]
    assert receptive_field(block * 2) == [3, 5, 6, 10, 14, 16]
    assert receptive_field([]) == []


@given(
    st.integers(1, 9),
    st.integers(0, 9),
    st.integers(1, 4),
    st.integers(0, 5),
    st.integers(0, 12),
)
def test_valid_outputs_are_those_whose_tap_lies_inside(n, out, stride, pad, offset):
    inside = [o for o in range(out) if 0 <= o * stride - pad + offset < n]
    assert list(range(*valid_outputs(n, out, stride, pad, offset))) == inside


@given(st.integers(1, 9), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_bilinear_taps_interpolate_between_pixel_centres(n, out, seed):
    x = np.random.default_rng(seed).normal(size=n)
    centres = (np.arange(out) + 0.5) * n / out  # np.interp repeats the border beyond it
    expected = np.interp(centres, np.arange(n) + 0.5, x)
    taps = resize_taps(n, out, "bilinear")
    assert all(0 <= i <= j < n and 0 <= w < 1 for i, j, w in taps)
    np.testing.assert_allclose([(1 - w) * x[i] + w * x[j] for i, j, w in taps], expected)


@given(st.integers(1, 9), st.integers(1, 20))
def test_nearest_taps_name_the_pixel_under_the_centre(n, out):
    expected = [floor((o + Fraction(1, 2)) * n / out) for o in range(out)]
    taps = resize_taps(n, out)
    assert [i for i, _, _ in taps] == expected
    assert all(i == j and w == 0 for i, j, w in taps)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_parameters_by_counting(groups, bias):
    channels, filters = 6, 12
    taps = [
        (row, column, c, f)
        for row, column in np.ndindex(3, 2)
        for c, f in np.ndindex(channels, filters)
        if c * groups // channels == f * groups // filters
    ]
    counted = conv2d_parameters((3, 2), channels, filters, groups, bias)
    assert counted == len(taps) + (filters if bias else 0)


# Messages.

NO_INTEGERS = [True, False, 1.5, 2.0, 0, -1, "3", None, (2, 3, 4), (), (1, 0), (True, 2), (1, 2.5)]
NO_PADDINGS = [True, 1.5, -1, None, "full", (1, 2, 3), ((1, 2), (3, -4)), ((1, 2), 3), (1, 2.5)]


@pytest.mark.parametrize("build", [conv2d_geometry, conv2d_transpose_geometry])
@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
@pytest.mark.parametrize("argument", ["kernel_size", "strides", "dilation_rate"])
def test_pairs_are_refused_with_what_came_and_what_would_fit(build, argument, value):
    with pytest.raises(ArgumentError) as caught:
        build((9, 8), **{"kernel_size": (3, 2), argument: value}, where="layer c1")
    assert str(caught.value) == (
        f"layer c1: {argument}={value!r}, but it must be an integer >= 1 or a (height, width) "
        "pair of them."
    )


@pytest.mark.parametrize("value", [True, 1.5, -1, "3", (2, 3, 4), (1, -1), (1, True)], ids=repr)
def test_padding_beyond_the_output_is_refused_with_what_came(value):
    with pytest.raises(ArgumentError) as caught:
        conv2d_transpose_geometry((9, 8), 3, (4, 5), output_padding=value)
    assert f"output_padding={value!r}, but it must be an integer >= 0" in str(caught.value)


@pytest.mark.parametrize("build", [conv2d_geometry, conv2d_transpose_geometry])
@pytest.mark.parametrize("value", [True, 0, -2, 1.0, "2", None, (1, 2)], ids=repr)
def test_groups_are_refused_with_what_came(build, value):
    with pytest.raises(ArgumentError) as caught:
        build((9, 8), (3, 2), groups=value)
    assert f"groups={value!r}, but it must be an integer >= 1." in str(caught.value)


@pytest.mark.parametrize("build", [conv2d_geometry, conv2d_transpose_geometry])
@pytest.mark.parametrize("value", NO_PADDINGS, ids=repr)
def test_paddings_are_refused_with_what_came(build, value):
    with pytest.raises(ArgumentError) as caught:
        build((9, 8), (3, 2), padding=value, where="layer c1")
    message = str(caught.value)
    assert message.startswith("layer c1: padding")
    assert repr(value[1] if value == ((1, 2), (3, -4)) else value) in message
    if value == "full":
        assert "'valid', 'same'" in message
    elif value == (1, 2, 3):
        assert "has 3 parts; give 'same', 'valid', an integer, a (height, width) pair" in message
    else:
        assert "an integer >= 0" in message


@pytest.mark.parametrize("build", [conv2d_geometry, conv2d_transpose_geometry])
@pytest.mark.parametrize("size", [(0, 5), (5, 0), (5,), (5, 6, 7), 5, (5.0, 6), ("5", 6)], ids=repr)
def test_input_sizes_are_refused_with_what_came(build, size):
    with pytest.raises(ShapeError) as caught:
        build(size, (1, 2), where="layer c1")
    assert f"layer c1: input (height, width) {size!r} must be two" in str(caught.value)


def test_a_misspelt_padding_gets_a_suggestion():
    with pytest.raises(ArgumentError, match=r"padding='smae' .*did you mean 'same'\?"):
        conv2d_geometry((9, 8), 3, padding="smae")


def test_a_kernel_that_does_not_fit_is_refused_with_the_numbers():
    with pytest.raises(ShapeError) as caught:
        conv2d_geometry((9, 4), (2, 3), 2, ((0, 0), (1, 0)), (1, 3), where="layer c1")
    message = str(caught.value)
    assert "layer c1: a kernel of 3 with dilation_rate 3 spans 7 pixels" in message
    assert "the width has only 4 + 1 + 0 padding = 5" in message
    assert "floor((4 + 1 + 0 - 3*(3 - 1) - 1) / 2 + 1) = 0" in message
    assert "Use at most 2" in message
    assert "padding='same'" in message


def test_output_padding_must_stay_below_the_stride():
    with pytest.raises(ArgumentError) as caught:
        conv2d_transpose_geometry((4, 5), 3, (2, 3), output_padding=(1, 3))
    assert "output_padding=3 for the width must be smaller than the stride 3; fitting: 0 to 2" in (
        str(caught.value)
    )
    with pytest.raises(ArgumentError, match="output_padding or output_size, not both"):
        conv2d_transpose_geometry((4, 5), 3, (2, 3), output_padding=1, output_size=(9, 15))


def test_a_transposed_size_of_nothing_is_refused():
    with pytest.raises(ShapeError, match=r"the width cannot become -1 .*all of it is cropped"):
        conv2d_transpose_geometry((5, 2), (2, 3), 1, ((0, 0), (4, 1)))


def test_pair():
    assert pair("Pool", "pool_size", 3) == (3, 3)
    assert pair("Pool", "pool_size", [np.int64(3), 2]) == (3, 2)
    assert pair("Pool", "crop", (0, 2), minimum=0) == (0, 2)
    with pytest.raises(ArgumentError, match=r"Pool: crop=\(0, 2\), but .* integer >= 1"):
        pair("Pool", "crop", (0, 2))


# The file itself.


def test_geometry_can_be_read_first():
    tree = ast.parse(Path(geometry.__file__).read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules.add(node.module)
    assert "minicnn.errors" in modules
    others = modules - {"minicnn.errors"}
    assert {m.split(".")[0] for m in others} <= sys.stdlib_module_names


def test_geometries_are_flat_tuples_of_integers():
    g = conv2d_geometry((7, 9), (2, 3), padding="same")
    assert all(type(v) is int for v in g)
    assert Resize(2, 3, 4, 5)._fields == ("in_height", "in_width", "out_height", "out_width")
