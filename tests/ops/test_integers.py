"""Integers and booleans in operations: whole results are exact, others are float64."""

import math
import operator

import numpy as np
import pytest

import minicnn as tf
from minicnn import Variable, activations, constant, ops
from minicnn.errors import ArgumentError

TYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]

WHOLE = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}
ALONE = {
    "-": operator.neg,
    "abs": operator.abs,
    "** 2": lambda x: x**2,
    "** 3": lambda x: x**3,
    "square": lambda x: ops.square(x) if isinstance(x, tf.Tensor) else x * x,
}


def numbers(dtype):
    """The ends of a type, as far as int64 holds their products, and some between."""
    if dtype == "bool":
        return [True, False, True, True]
    ends = np.iinfo(dtype)
    return [max(ends.min, -(2**20)), min(ends.max, 2**20), 5, 0]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("left", TYPES)
@pytest.mark.parametrize("right", TYPES)
def test_whole_results_are_those_of_pythons_integers(name, left, right):
    a, b = numbers(left), numbers(right)
    divides = name in ("//", "%")
    pairs = [(x, y) for x in a for y in b if y or not divides]
    x, y = (
        constant(np.array(side, dtype))
        for side, dtype in zip(zip(*pairs, strict=True), (left, right), strict=True)
    )
    found = WHOLE[name](x, y)
    assert found.dtype == np.int64
    assert found.numpy().tolist() == [WHOLE[name](int(p), int(q)) for p, q in pairs]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("dtype", TYPES)
def test_plain_numbers_and_arrays_are_met_alike(name, dtype):
    a = [n for n in numbers(dtype) if n]
    x = constant(np.array(a, dtype))
    for other in (300, np.int16(300), np.array(300, "uint16"), [300] * len(a)):
        found, turned = WHOLE[name](x, other), WHOLE[name](other, x)
        assert found.dtype == turned.dtype == np.int64
        assert found.numpy().tolist() == [WHOLE[name](int(n), 300) for n in a]
        assert turned.numpy().tolist() == [WHOLE[name](300, int(n)) for n in a]


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("dtype", TYPES)
def test_one_operand_does_not_wrap(name, dtype):
    found = ALONE[name](constant(np.array(numbers(dtype), dtype)))
    assert found.dtype == np.int64
    assert found.numpy().tolist() == [ALONE[name](int(n)) for n in numbers(dtype)]


def test_the_difference_of_two_images():
    u, v = constant(np.array([[5, 200, 7]], "uint8")), constant(np.array([[9, 100, 7]], "uint8"))
    assert abs(u - v).numpy().tolist() == [[4, 100, 0]]
    assert (-u).numpy().tolist() == [[-5, -200, -7]]
    assert (u @ ops.transpose(v)).numpy().tolist() == [[5 * 9 + 200 * 100 + 49]]
    assert tf.math.add_n([u, u]).numpy().tolist() == [[10, 400, 14]]
    assert float(tf.linalg.norm(u)) == math.sqrt(25 + 40000 + 49)
    assert ops.sum(u).dtype == np.int64
    assert int(ops.sum(u) - 300) == -88
    assert (Variable(np.uint8(250)) + 10).item() == 260


@pytest.mark.parametrize("dtype", TYPES)
def test_what_chooses_keeps_the_type(dtype):
    x = constant(np.array(numbers(dtype), dtype))
    assert ops.maximum(x, x).dtype == ops.where(x > 0, x, x).dtype == ops.max(x).dtype == dtype
    if dtype != "bool":
        kept = ops.clip(x, -300, 2**40)
        assert kept.dtype == dtype
        assert kept.numpy().tolist() == [max(n, -300) for n in numbers(dtype)]


FRACTIONS = {
    "exp": math.exp,
    "expm1": math.expm1,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "erf": math.erf,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
}


@pytest.mark.parametrize("name", FRACTIONS)
@pytest.mark.parametrize("dtype", TYPES)
def test_other_results_are_floats(name, dtype):
    values = [1, 0, 1] if dtype == "bool" else [12, 0, 3]
    found = getattr(ops, name)(constant(np.array(values, dtype)))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [FRACTIONS[name](n) for n in values], rtol=1e-14)


@pytest.mark.parametrize("name", sorted(set(activations.NAMES) - {"linear", "relu", "relu6"}))
@pytest.mark.parametrize("dtype", TYPES)
def test_activations_of_integers_are_those_of_floats(name, dtype):
    values = np.array([[1, 0, 1, 1]] if dtype == "bool" else [[9, 0, 3, 1]], dtype)
    function = activations.get(name)
    found = function(constant(values))
    np.testing.assert_array_equal(found, function(constant(values.astype("float64"))))
    assert found.dtype == np.float64


def test_softmax_and_quotients_of_integers():
    u = constant(np.array([[5, 200, 7]], "uint8"))
    x = np.array([[5.0, 200.0, 7.0]])
    np.testing.assert_allclose(ops.log_softmax(u), x - 200, rtol=1e-15)
    np.testing.assert_allclose(ops.softmax(u), np.exp(x - 200), rtol=1e-14)
    np.testing.assert_array_equal(u / 2, x / 2)
    np.testing.assert_allclose(ops.mean(u), x.mean())
    np.testing.assert_allclose(ops.variance(u), x.var())
    np.testing.assert_array_equal(u**0.5, np.sqrt(x))


def test_powers_that_are_no_int64_are_refused():
    u = constant(np.array([[5, 200, 7]], "uint8"))
    with pytest.raises(ArgumentError, match=r"power: .* to the power -1, .*cast them to 'float32'"):
        u**-1
    with pytest.raises(ArgumentError, match=r"power: .* to the power -2"):
        u ** constant(np.array([1, -2, 3], "int8"))
    with pytest.raises(ArgumentError, match=r"power: a result is about 1\.02e\+23, .*'float64'"):
        u**10
    with pytest.raises(ArgumentError, match=r"about 1\.61e\+60"):
        2**u
    large = constant(np.array([2**63 + 1], "uint64"))
    with pytest.raises(ArgumentError, match=r"uint64 holds 9223372036854775809, .* 'float64'"):
        large - 1
    assert (large / 2).dtype == np.float64


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "bool"])
def test_variables_of_whole_numbers_take_only_what_they_can_hold(dtype):
    variable = Variable(np.zeros((1, 2)), dtype=dtype)
    for given in ([[1, 2**31]], np.array([[1, -(2**40)]]), [[0.0, 0.5]], [[1.0, np.nan]]):
        with pytest.raises(ArgumentError, match=f"is of {dtype}, which holds no "):
            variable.assign(given)
    assert variable.assign([[1.0, 0.0]]).numpy().tolist() == [[1, 0]]
    assert variable.dtype == dtype


def test_sums_in_a_variable_do_not_wrap():
    variable = Variable([100, 5], dtype="uint8")
    variable.assign_add(np.array([100, 250], np.uint8))
    assert variable.numpy().tolist() == [200, 255]
    for change in (lambda: variable.assign_add([56, 0]), lambda: variable.assign_sub([201, 0])):
        with pytest.raises(ArgumentError, match=r"which holds no (256|-1)"):
            change()
    assert variable.numpy().tolist() == [200, 255]


def test_means_of_half_precision_do_not_overflow():
    assert float(ops.mean(np.full((3, 50), 3000, np.float16))) == 3000
