"""Every call that can be explained: its sums add up to what the operation and its gradients are."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn as mc
from minicnn import activations, ops
from minicnn.errors import ArgumentError
from minicnn.explain.readings import text
from minicnn.explain.records.dense import dense
from minicnn.explain.records.elementwise import ACTIVATIONS
from minicnn.explain.records.limits import TooLargeError
from tests.explain.reading import check_record, gradients

TURNED = "turned by 180°"


def whole(rng, shape, low=-3, high=4):
    return rng.integers(low, high, shape).astype(float)


@st.composite
def calls(draw):
    """Arguments of conv2d or conv2d_transpose: sizes, strides and dilations differ on both axes."""
    size, kernel = (draw(st.tuples(st.integers(1, 6), st.integers(1, 6))) for _ in "sk")
    groups = draw(st.integers(1, 2))
    channels, filters = (groups * draw(st.integers(1, 2)) for _ in "cf")
    window = {
        "strides": draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "dilation_rate": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        "padding": draw(st.sampled_from(["valid", "same", ((1, 0), (2, 1)), ((0, 2), (1, 0)), 1])),
        "groups": groups,
    }
    return size, kernel, channels, filters, window, draw(st.integers(0, 2**31))


@settings(max_examples=60, deadline=None)
@given(calls(), st.booleans(), st.booleans())
def test_convolutions_add_up(call, transposed, with_bias):
    size, kernel_size, channels, filters, window, seed = call
    rng = np.random.default_rng(seed)
    groups = window["groups"]
    shape = (filters // groups, channels) if transposed else (channels // groups, filters)
    x, k = whole(rng, (1, *size, channels)), whole(rng, (*kernel_size, *shape))
    b = whole(rng, filters) if with_bias else None
    op = mc.conv2d_transpose if transposed else mc.conv2d
    try:
        y = op(x, k, b, **window).numpy()
    except ArgumentError:
        return
    dy = whole(rng, y.shape)
    e = mc.explain(op, x, k, b, output_gradients=dy, max_terms=10**6, **window)
    arrays = [x, k, *([b] if with_bias else [])]
    expected = gradients(lambda *a: op(*a, **window), arrays, dy)
    check_record(e.record(), y)
    for name, truth in zip(("x", "kernel", "bias"), expected, strict=False):
        check_record(e.record(direction=f"gradient of {name}"), truth)
    if not transposed:
        turned = mc.conv2d(x, k[::-1, ::-1], b, **window).numpy()
        check_record(e.record(kernel=TURNED), turned)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("op", [mc.cross_correlate2d, mc.convolve2d])
def test_matrices_add_up(op, mode):
    rng = np.random.default_rng(3)
    image, kernel = whole(rng, (4, 6)), whole(rng, (2, 3))
    e = mc.explain(op, image, kernel, mode)
    assert e.records[0].result.shape == op(image, kernel, mode).shape
    check_record(e.record(), op(image, kernel, mode))
    first = e.record().choice["kernel"]
    assert first == (TURNED if op is mc.convolve2d else "as it stands")


def test_the_turned_kernel_is_shown_beside_the_given_one():
    record = mc.explain("convolve2d", [[1, 2, 3]], [[1, 0, -1]]).record()
    turned = next(p for p in record.operands if p.mirror)
    assert turned.values.tolist() == [[-1, 0, 1]]
    twin = record.operands[turned.mirror[0]]
    assert twin.values.ravel()[turned.mirror[1].ravel()].tolist() == [-1, 0, 1]


@pytest.mark.parametrize("padding", ["valid", "same", ((1, 0), (0, 2))])
@pytest.mark.parametrize("op", [mc.max_pool2d, mc.average_pool2d])
def test_pools_add_up(op, padding):
    rng = np.random.default_rng(5)
    x = whole(rng, (2, 5, 7, 2))
    arguments = {"pool_size": (2, 3), "strides": (2, 1), "padding": padding}
    y = op(x, **arguments).numpy()
    dy = whole(rng, y.shape)
    e = mc.explain(op, x, output_gradients=dy, **arguments)
    check_record(e.record(), y)
    check_record(
        e.record(direction="gradient of x"), gradients(lambda x: op(x, **arguments), [x], dy)[0]
    )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_resizing_adds_up(interpolation):
    rng = np.random.default_rng(6)
    x = whole(rng, (1, 3, 4, 2))
    for op, size in ((mc.upsample2d, (2, 3)), (ops.resize2d, (5, 3))):
        y = op(x, size, interpolation).numpy()
        dy = whole(rng, y.shape)
        e = mc.explain(op, x, size, interpolation, output_gradients=dy)
        check_record(e.record(), y)
        truth = gradients(lambda x, op=op, size=size: op(x, size, interpolation), [x], dy)[0]
        check_record(e.record(direction="gradient of x"), truth)


def test_dense_and_flatten_add_up():
    rng = np.random.default_rng(7)
    x, k, b = whole(rng, (2, 3)), whole(rng, (3, 4)), whole(rng, 4)
    dy = whole(rng, (2, 4))
    e = mc.explain("dense", x, k, b, output_gradients=dy)
    check_record(e.record(), x @ k + b)
    for name, truth in zip(
        ("x", "kernel", "bias"), (dy @ k.T, x.T @ dy, dy.sum(axis=0)), strict=True
    ):
        check_record(e.record(direction=f"gradient of {name}"), truth)
    assert gradients(dense, [x, k, b], dy)[1].tolist() == (x.T @ dy).tolist()
    image = whole(rng, (2, 2, 3, 2))
    e = mc.explain("flatten", image)
    check_record(e.record(), image.reshape(2, -1))
    assert e.record().formula == "y[n, (h*3 + w)*2 + c] = x[n,h,w,c]"
    check_record(e.record(direction="gradient of x"), np.ones_like(image))


@pytest.mark.parametrize("affine", [True, False])
def test_batch_normalization_adds_up(affine):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(2, 2, 3, 2)) * 3 + 1
    gamma, beta = (np.array([2.0, -1.5]), np.array([0.5, 3.0])) if affine else (None, None)
    dy = rng.normal(size=x.shape)

    def run(x, *learned):
        return ops.batch_normalization(x, *learned, epsilon=0.01)[0]

    e = mc.explain(ops.batch_normalization, x, gamma, beta, 0.01, output_gradients=dy)
    check_record(e.record(), run(x, *([gamma, beta] if affine else [])).numpy(), rel=1e-4)
    check_record(e.record(direction="mean"), x.mean(axis=(0, 1, 2)))
    check_record(e.record(direction="variance"), x.var(axis=(0, 1, 2)), rel=1e-4)
    truth = gradients(run, [x, gamma, beta] if affine else [x], dy)
    for name, expected in zip(("x", "gamma", "beta"), truth, strict=False):
        check_record(e.record(direction=f"gradient of {name}"), expected, rel=1e-3)


NUMBERS = np.array([[-4.0, -3.0, -1.0, -0.5], [-0.25, 0.0, 0.5, 0.75], [1.0, 2.0, 3.0, 6.5]])


@pytest.mark.parametrize("name", [*ACTIVATIONS, "softmax"])
def test_activations_add_up(name):
    function = getattr(activations, name)
    dy = whole(np.random.default_rng(9), NUMBERS.shape) + 0.5
    e = mc.explain(function, NUMBERS, output_gradients=dy)
    check_record(e.record(), function(NUMBERS).numpy())
    truth = gradients(function, [NUMBERS], dy)[0]
    check_record(e.record(direction="gradient of x"), truth, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("relu", {"negative_slope": 0.25, "max_value": 3.0, "threshold": 0.5}),
        ("relu", {"max_value": 3.0}),
        ("leaky_relu", {"negative_slope": 0.5}),
        ("elu", {"alpha": 2.0}),
        ("gelu", {"approximate": True}),
        ("squareplus", {"b": 2}),
        ("soft_shrink", {"threshold": 0.7}),
    ],
)
def test_activations_with_arguments_add_up(name, arguments):
    function = getattr(activations, name)
    e = mc.explain(function, NUMBERS, **arguments)
    check_record(e.record(), function(NUMBERS, **arguments).numpy())
    truth = gradients(lambda x: function(x, **arguments), [NUMBERS], np.ones_like(NUMBERS))[0]
    check_record(e.record(direction="gradient of x"), truth, rel=1e-4)


def test_fused_arguments_become_stages():
    rng = np.random.default_rng(10)
    x, k = whole(rng, (1, 6, 7, 1)), whole(rng, (3, 2, 1, 2))
    e = mc.explain(mc.conv2d, x, k, relu=True, max_pool=2)
    assert e.choices["stage"] == ["conv2d", "relu", "max_pool2d"]
    y = mc.conv2d(x, k, relu=True, max_pool=2).numpy()
    check_record(e.record(stage="max_pool2d"), y)
    truth = gradients(lambda x, k: mc.conv2d(x, k, relu=True, max_pool=2), [x, k], np.ones_like(y))
    check_record(e.record(stage="conv2d", direction="gradient of x"), truth[0])
    check_record(e.record(stage="conv2d", direction="gradient of kernel"), truth[1])


def test_a_window_shows_a_part_of_the_whole():
    rng = np.random.default_rng(11)
    x, k = whole(rng, (1, 20, 27, 2)), whole(rng, (3, 5, 2, 4))
    window = ((7, 9), (20, 24), (1, 3))
    e = mc.explain(mc.conv2d, x, k, strides=(2, 1), padding="same", window=window)
    y = mc.conv2d(x, k, strides=(2, 1), padding="same").numpy()
    record = e.record()
    assert record.result.values.shape == (1, 2, 4, 2)
    check_record(record, y)
    assert "Shown: rows 7 to 8, columns 20 to 23, channels 1 to 2 of y" in record.notes[0]
    dx = e.record(direction="gradient of x")
    truth, of_kernel = gradients(
        lambda x, k: mc.conv2d(x, k, strides=(2, 1), padding="same"), [x, k], np.ones_like(y)
    )
    assert dx.result.values.shape == (1, 2, 4, 2)  # x has but two channels
    check_record(dx, truth)
    limit = {"window": window, "max_terms": 10**5}
    e = mc.explain(mc.conv2d, x, k, np.ones(4), strides=(2, 1), padding="same", **limit)
    dk = e.record(direction="gradient of kernel")
    assert dk.result.values.shape == (3, 5, 2, 2)
    assert "Shown: filters 1 to 2 of dkernel" in dk.notes[0]
    check_record(dk, of_kernel)
    assert e.record(direction="gradient of bias").result.values.tolist() == [10 * 27] * 2
    for op, size in ((mc.max_pool2d, 3), (mc.average_pool2d, (2, 3))):
        e = mc.explain(op, x, size, strides=2, window=((3, 5), (4, 7)))
        check_record(e.record(), op(x, size, strides=2).numpy())
        truth = gradients(
            lambda x, op=op, size=size: op(x, size, strides=2),
            [x],
            np.ones(e.record().result.shape),
        )[0]
        check_record(e.record(direction="gradient of x"), truth)


def test_too_many_products_are_refused_with_the_way_out():
    x, k = np.ones((1, 64, 48, 3)), np.ones((3, 3, 3, 8))
    with pytest.raises(TooLargeError, match="max_terms=20,000") as refused:
        mc.explain(mc.conv2d, x, k)
    assert f"{62 * 46 * 27 * 8:,} products" in str(refused.value)
    assert "window=((0, 3), (0, 4))" in str(refused.value)
    e = mc.explain(mc.conv2d, x, k, window=((0, 3), (0, 4)))
    assert "gradient of kernel" not in e.choices["direction"]
    assert any("gradient of kernel" in note for note in e.notes)
    with pytest.raises(ArgumentError, match="gradient of kernel"):
        e.record(direction="gradient of kernel")


@pytest.mark.parametrize("window", [3, ((2, 1), (0, 3)), ((0, 1),), "all", ((-1, 2), (0, 3))])
def test_a_bad_window_is_told(window):
    with pytest.raises(ArgumentError, match="window="):
        mc.explain("max_pool2d", np.ones((1, 4, 6, 1)), window=window)


def test_a_window_outside_is_told():
    with pytest.raises(ArgumentError, match="rows 5 to 8 lie outside y"):
        mc.explain("max_pool2d", np.ones((1, 4, 6, 1)), window=((5, 9), (0, 2)))


def test_what_cannot_be_explained_is_told():
    with pytest.raises(ArgumentError, match="did you mean 'conv2d'"):
        mc.explain("conv2", 1)
    with pytest.raises(ArgumentError, match="cannot be explained"):
        mc.explain(len, [1])
    with pytest.raises(ArgumentError, match="missing a required argument: 'kernel'"):
        mc.explain(mc.conv2d, np.ones((1, 3, 4, 1)))
    with pytest.raises(ArgumentError, match="output_gradients has shape"):
        mc.explain("relu", np.ones((2, 3)), output_gradients=np.ones((3, 2)))
    with pytest.raises(ArgumentError, match="the kernel"):
        mc.explain(mc.conv2d, np.ones((1, 3, 4, 2)), np.ones((2, 2, 3, 1)))


def test_uses_are_the_terms_read_backwards():
    rng = np.random.default_rng(12)
    e = mc.explain(mc.conv2d, whole(rng, (1, 4, 5, 2)), whole(rng, (2, 3, 2, 3)), np.ones(3))
    record = e.record()
    for operand, panel in enumerate(record.operands[:2]):
        for flat in range(panel.values.size):
            for cell, term in record.uses(operand, flat):
                assert record.terms[cell][term][operand] == flat
    total = sum(len(record.uses(0, i)) for i in range(record.operands[0].values.size))
    assert total == sum(map(len, record.terms))
    assert len(record.uses(2, 1)) == record.result.values.size // 3


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([[np.inf, -np.inf]], np.nan),
        ([[np.inf, 1.0]], np.inf),
        ([[1e308, 1e308]], np.inf),
        ([[np.nan, 1.0]], np.nan),
    ],
)
def test_sums_beyond_all_numbers_are_what_floating_point_makes_of_them(numbers, expected):
    e = mc.explain(mc.cross_correlate2d, numbers, [[1.0, 1.0]])
    np.testing.assert_equal(e.record().result.values, [[expected]])
    assert e.text((0, 0)).endswith(f"= {text.number(expected)}") or "≈" in e.text((0, 0))


def test_padding_that_meets_infinity_is_not_called_zero():
    e = mc.explain(mc.cross_correlate2d, [[1.0, 2.0]], [[np.inf, 1.0]], "full")
    assert e.text((0, 2)).startswith("y[0,2] = 2*inf [+ 1 product with padding, 0]")
    assert e.text((0, 0)) == "y[0,0] = 1*1 [+ 1 product with padding, nan] = nan"


def test_the_formula_of_groups_names_the_channel_that_the_sum_uses():
    rng = np.random.default_rng(3)
    for transposed, groups, inside, across in (
        (False, 2, 3, 4),
        (False, 3, 1, 3),
        (True, 2, 3, 4),
        (True, 2, 1, 6),
    ):
        op = mc.conv2d_transpose if transposed else mc.conv2d
        channels = across if transposed else inside * groups
        x, kernel = whole(rng, (1, 3, 4, channels)), whole(rng, (2, 1, inside, across))
        record = mc.explain(op, x, kernel, groups=groups).record()
        side = record.result if transposed else record.operands[0]
        letters = re.search(rf"\b{side.name}\[[^\]]*, ([^\],]*)\]", record.formula)[1]
        for cell, terms in enumerate(record.terms):
            for first, second in terms:
                *_, c, f = record.operands[1].index(second)
                if transposed:
                    c, f = f, c
                at = record.result.index(cell) if transposed else record.operands[0].index(first)
                assert eval(letters, {"c": c, "f": f}) == at[-1], record.formula


def test_a_relu_with_the_limit_zero_is_no_plain_one():
    e = mc.explain("relu", [[-1.0, 0.5, 2.0]], max_value=0)
    check_record(e.record(), np.zeros((1, 3)))
    check_record(e.record(direction="gradient of x"), np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("x", "window", "shape"),
    [
        (np.ones((3, 50)), ((1, 2), (4, 8)), (1, 4)),
        (np.ones((2, 9, 5)), (None, (2, 5), (1, 3)), (2, 3, 2)),
    ],
)
def test_matrices_and_sequences_are_cropped_too(x, window, shape):
    e = mc.explain("relu", x, window=window)
    assert e.record().result.values.shape == shape
    assert e.record().notes[0].startswith("Shown: ")


def test_a_dense_layer_too_large_to_be_shown_is_cropped_as_its_message_says():
    rng = np.random.default_rng(8)
    x, kernel, bias = rng.random((2, 300)), rng.random((300, 60)), rng.random(60)
    with pytest.raises(TooLargeError, match=r"a part of y \(2, 60\) by window="):
        mc.explain("dense", x, kernel, bias)
    e = mc.explain("dense", x, kernel, bias, window=((1, 2), (5, 9)))
    assert e.record().result.values.shape == (1, 4)
    assert (
        e.record().notes[0] == "Shown: row 1, columns 5 to 8 of y (2 x 60), and what enters them."
    )
    check_record(e.record(), x @ kernel + bias)
    check_record(e.record(direction="gradient of x"), np.tile(kernel.sum(axis=1), (2, 1)))


def test_messages_know_matrices_as_matrices():
    with pytest.raises(TooLargeError, match=r"a part of y \(3, 4\) by"):
        mc.explain(mc.cross_correlate2d, np.ones((4, 5)), np.ones((2, 2)), max_terms=9)
    with pytest.raises(ArgumentError, match=r"columns 7 to 8 lie outside y \(3, 4\)"):
        mc.explain(mc.cross_correlate2d, np.ones((4, 5)), np.ones((2, 2)), window=(None, (7, 9)))
    e = mc.explain(mc.cross_correlate2d, np.ones((4, 5)), np.ones((2, 2)), window=((1, 2), (0, 2)))
    assert "Shown: row 1, columns 0 to 1 of y (3 x 4)" in e.record().notes[0]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (("relu", []), "holds no numbers"),
        (("max_pool2d", np.ones((0, 3, 4, 1))), "holds no numbers"),
        (("softmax", np.ones((0, 3))), "holds no numbers"),
        (("relu", 3.0), "a single number"),
        (("flatten", [1, 2, 3]), "flatten: x has shape"),
        (("dense", [[1, 2]], [[1], [2]], [1, 2, 3]), "there are 1 units"),
        (([1], 2), "cannot be explained"),
        ((mc.cross_correlate2d, [[1, 2], [3]], [[1]]), "different lengths"),
        ((mc.cross_correlate2d, [["a"]], [["b"]]), "must be numbers"),
        ((mc.cross_correlate2d, [[1j, 2]], [[1]]), "real numbers"),
        (
            (mc.conv2d, np.ones((1, 3, 4, 1)), np.ones((2, 2, 1, 1)), None, 10**20),
            "cannot be computed",
        ),
    ],
)
def test_what_holds_nothing_to_explain_is_told(call, told):
    with pytest.raises(ArgumentError, match=told):
        mc.explain(*call)


@pytest.mark.parametrize("limit", [None, "5", 1.5, float("nan"), float("inf")])
def test_limits_are_integers(limit):
    with pytest.raises(ArgumentError, match="max_terms="):
        mc.explain("relu", [[1, 2]], max_terms=limit)
    with pytest.raises(ArgumentError, match="max_numbers="):
        mc.explain("relu", [[1, 2]]).figure(max_numbers=limit)


@pytest.mark.parametrize("cell", [5, "ab", (0, 0.5), (0, float("nan"))])
def test_an_index_that_is_none_is_told(cell):
    with pytest.raises(ArgumentError, match=r"cell=.* must be an index of y, e\.g\. \(0, 0\)"):
        mc.explain("relu", [[1, 2]]).text(cell)


def test_negative_numbers_between_brackets_and_commas_have_none_of_their_own():
    assert mc.explain("relu", [[-2.0]]).text((0, 0)) == "y[0,0] = max(-2, 0) = 0"
    x = np.array([[-1.0, -2.0]])[None, :, :, None]
    pooled = mc.explain("max_pool2d", x, (1, 2)).text((0, 0, 0, 0))
    assert pooled == "y[0,0,0,0] = max(-1, -2) = -1"
    assert mc.explain("softplus", [[-2.0]]).text((0, 0)).startswith("y[0,0] = log(1 + exp(-2)) ")


def test_partial_sums_say_where_digits_are_missing():
    x = np.array([[[[1 / 3, 2.0]]]])
    e = mc.explain(mc.conv2d, x, np.ones((1, 1, 2, 1)))
    lines = [line.strip() for line in e.text().splitlines() if ": " in line and "x[" in line]
    assert lines[-2:] == ["x[0,:,:,0]: 0.333333*1 ≈ 0.333333", "x[0,:,:,1]: 2*1 = 2"]
