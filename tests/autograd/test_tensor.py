import operator

import numpy as np
import pytest

from minicnn import GradientTape, Variable, config, constant, convert_to_tensor, ops
from minicnn.autograd.tensor import Tensor
from minicnn.errors import ArgumentError, ShapeError

A = np.array([[1.0, -2.0, 3.0], [4.0, 0.5, -6.0]], "float32")
B = np.array([[2.0, 4.0, -8.0], [0.5, 1.0, 16.0]], "float32")
ROW = np.array([2.0, -4.0, 8.0], "float32")
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


def same(tensor, expected):
    assert type(tensor) is Tensor
    assert tensor.dtype == expected.dtype
    assert tensor.shape == expected.shape
    np.testing.assert_array_equal(tensor.numpy(), expected)


# Operators.


@pytest.mark.parametrize("do", ARITHMETIC)
@pytest.mark.parametrize("other", [B, ROW, np.float32(4), 4.0, 4], ids=type)
def test_arithmetic_on_both_sides_of_arrays_and_numbers(do, other):
    t = constant(A)
    same(do(t, other), do(A, other))
    same(do(other, t), do(other, A))
    same(do(t, constant(other, "float32")), do(A, other))


def test_matrix_products_powers_and_signs():
    t, matrix = constant(A), np.arange(12, dtype="float32").reshape(3, 4)
    same(t @ matrix, A @ matrix)
    same(matrix.T @ constant(A.T), matrix.T @ A.T)
    same(t @ constant(matrix), A @ matrix)
    same(t**2, A**2)
    same(-t, -A)


@pytest.mark.parametrize(
    ("function", "expected"),
    # By hand at x = 4, where the constant k is 8.
    [
        (lambda x, k: x + k, 1.0),
        (lambda x, k: k + x, 1.0),
        (lambda x, k: x - k, 1.0),
        (lambda x, k: k - x, -1.0),
        (lambda x, k: x * k, 8.0),
        (lambda x, k: k * x, 8.0),
        (lambda x, k: x / k, 0.125),
        (lambda x, k: k / x, -0.5),
        (lambda x, k: x**3, 48.0),
        (lambda x, k: x**-1, -0.0625),
        (lambda x, k: -x, -1.0),
    ],
)
@pytest.mark.parametrize("k", [8.0, np.array([8.0, 8.0], "float32")], ids=["number", "array"])
def test_slopes_of_operators(function, k, expected):
    x = Variable([4.0, 4.0])
    with GradientTape() as tape:
        y = function(x, k)
    assert tape.gradient(y, x).numpy().tolist() == [expected, expected]


@pytest.mark.parametrize("do", COMPARISONS)
def test_comparisons_give_tensors_of_booleans(do):
    t, other = constant(A), A + np.array([0.0, 1.0, -1.0], "float32")
    for result, expected in [
        (do(t, other), do(A, other)),
        (do(other, t), do(other, A)),
        (do(t, constant(other)), do(A, other)),
        (do(t, 0.5), do(A, 0.5)),
        (do(0.5, t), do(0.5, A)),
    ]:
        assert type(result) is Tensor
        assert result.dtype == bool
        np.testing.assert_array_equal(result, expected)


def test_shapes_that_do_not_meet_are_refused():
    with pytest.raises(ShapeError, match=r"add: shapes \(2, 3\) and \(2,\) do not fit"):
        constant(A) + np.ones(2)


def test_tensors_are_keys():
    a, b = constant(1.0), constant(1.0)
    assert {a: "a", b: "b"}[a] == "a"
    assert len({a, b, a}) == 2


# Indexing, iteration and conversion.


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        (1, 2),
        slice(1, None),
        (slice(None), slice(None, None, -2)),
        (..., 1),
        (None, 1),
        [1, 0, 1],
        A > 0.75,
    ],
    ids=repr,
)
def test_indexing(key):
    same(constant(A)[key], np.asarray(A[key]))


def test_slopes_of_indexing_fall_where_they_were_read_and_add_up():
    x = Variable(A)
    with GradientTape() as tape:
        y = ops.sum(x[[1, 1, 0], 1:] * np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]], "float32"))
    assert tape.gradient(y, x).numpy().tolist() == [[0.0, 3.0, 30.0], [0.0, 3.0, 30.0]]


def test_iteration_and_length():
    rows = list(constant(A))
    assert len(constant(A)) == len(rows) == 2
    for row, expected in zip(rows, A, strict=True):
        same(row, expected)
    first, second = Variable([3.0, 5.0])
    assert (float(first), int(second)) == (3.0, 5)
    with pytest.raises(TypeError, match="unsized"):
        len(constant(1.0))


@pytest.mark.cpu_only
def test_numpy_reads_tensors():
    t = constant(A)
    np.testing.assert_array_equal(np.array(t), A)
    assert np.array(t, dtype="float64").dtype == np.float64
    copied = np.array(t)
    copied[:] = 0
    assert np.asarray(t)[1, 0] == 4.0
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert np.stack([t, t]).shape == (2, 2, 3)
    assert np.mean(Variable([1.0, 2.0])) == 1.5


def test_numpy_functions_are_refused_because_no_gradient_would_flow():
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.exp(constant(A))


def test_shape_words():
    t = constant(np.zeros((2, 3, 5), "float32"))
    assert (t.shape, t.ndim, t.size, t.dtype) == ((2, 3, 5), 3, 30, np.dtype("float32"))


def test_one_number():
    t = constant([[2.5]])
    assert (t.item(), bool(t), f"{t:.3f}") == (2.5, True, "2.500")
    assert not constant(0.0)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(constant(A))


@pytest.mark.cpu_only
def test_repr():
    assert repr(constant(A[:, :2])) == (
        "<Tensor shape=(2, 2) dtype=float32\n[[ 1.  -2. ]\n [ 4.   0.5]]>"
    )
    assert repr(Variable([1, 2])) == "<Variable shape=(2,) dtype=int64\n[1 2]>"
    assert f"{constant([1.5])}" == "<Tensor shape=(1,) dtype=float32\n[1.5]>"
    large = repr(constant(np.zeros((50, 60))))
    assert large.startswith("<Tensor shape=(50, 60) dtype=float64")
    assert len(large) < 200


# Types.


@pytest.mark.parametrize("build", [constant, convert_to_tensor, Tensor, Variable])
@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (1.5, {}, "float32"),
        ([1, 2.5], {}, "float32"),
        ([[1.0], [2.0]], {"dtype": "float64"}, "float64"),
        (3, {}, "int64"),
        ([1, 2], {"dtype": "float32"}, "float32"),
        (True, {}, "bool"),
        (np.float64(2), {}, "float64"),
        (np.array([1.0, 2.0]), {}, "float64"),
        (np.array([1, 2], "uint8"), {}, "uint8"),
        (np.array([1.0, 2.0]), {"dtype": "float32"}, "float32"),
    ],
    ids=repr,
)
def test_element_types(build, value, options, expected):
    t = build(value, **options)
    assert t.dtype == expected
    np.testing.assert_array_equal(t.numpy(), value)


def test_python_floats_follow_floatx():
    with config.use_floatx("float64"):
        assert constant([1, 2.5]).dtype == Variable(0.5).dtype == np.float64
        assert constant(np.ones(2, "float32")).dtype == np.float32
    assert constant(0.5).dtype == np.float32


def test_numbers_keep_the_type_of_the_tensor_they_meet():
    assert (constant(A) * 2.5 + 1).dtype == np.float32
    assert (2 / constant(A.astype("float64"))).dtype == np.float64
    assert (constant(A) + A.astype("float64")).dtype == np.float64


@pytest.mark.parametrize("value", ["text", [None], [1j], object()], ids=["text", "none", "1j", "?"])
@pytest.mark.parametrize("build", [constant, convert_to_tensor, Variable])
def test_only_numbers_become_tensors(build, value):
    with pytest.raises(ArgumentError, match="must be numbers or booleans"):
        build(value)


def test_constant_fills_a_shape():
    same(constant(2.5, shape=(2, 3)), np.full((2, 3), 2.5, "float32"))
    same(constant(ROW, shape=(2, 3)), np.stack([ROW, ROW]))


def test_converting_a_tensor_keeps_it_and_its_memory():
    t = constant(A)
    assert convert_to_tensor(t) is t
    assert convert_to_tensor(t, "float32") is t
    x = Variable([1.0, 3.0])
    with GradientTape() as tape:
        wide = convert_to_tensor(x * x, "float64")
        read = convert_to_tensor(x, dtype="float64")
        y = wide * wide + read
    assert wide.dtype == read.dtype == np.float64
    gradient = tape.gradient(y, x)
    assert gradient.dtype == np.float32
    assert gradient.numpy().tolist() == [5.0, 109.0]  # 4 x^3 + 1


# Variables.


def test_a_variable_owns_its_value():
    start = np.array([1.0, 2.0])
    v = Variable(start)
    start[:] = 9.0
    assert v.numpy().tolist() == [1.0, 2.0]
    other = Variable(v)
    v.assign([3.0, 4.0])
    assert other.numpy().tolist() == [1.0, 2.0]


def test_assign_replaces_the_value_and_keeps_the_type():
    v = Variable([1.0, 2.0])
    held, source = v.numpy(), np.array([3.0, 4.0])
    assert v.assign(source) is v
    source[:] = 0.0
    assert v.numpy().tolist() == [3.0, 4.0]
    assert v.dtype == np.float32
    assert held.tolist() == [1.0, 2.0]
    assert v.assign_add([1.0, -1.0]) is v
    assert v.numpy().tolist() == [4.0, 3.0]
    assert v.assign_sub(constant([1.0, 5.0])) is v
    assert v.numpy().tolist() == [3.0, -2.0]
    v.assign(v * 2.0)
    assert v.numpy().tolist() == [6.0, -4.0]


@pytest.mark.parametrize("value", [1.0, [1.0, 2.0, 3.0], [[1.0], [2.0]], [[1.0, 2.0]]])
@pytest.mark.parametrize("method", ["assign", "assign_add", "assign_sub"])
def test_assign_refuses_another_shape(method, value):
    v = Variable([1.0, 2.0], name="conv/bias")
    if method != "assign" and np.shape(value) == ():
        getattr(v, method)(value)  # a number is added to every element
        assert v.numpy().tolist() == ([2.0, 3.0] if method == "assign_add" else [0.0, 1.0])
        return
    with pytest.raises(ValueError, match="shape"):
        getattr(v, method)(value)
    assert v.numpy().tolist() == [1.0, 2.0]


def test_the_refusal_names_the_variable_and_both_shapes():
    v = Variable([1.0, 2.0], name="conv/bias")
    with pytest.raises(ShapeError) as caught:
        v.assign([[1.0, 2.0, 3.0]])
    assert str(caught.value) == (
        "conv/bias: cannot assign a value of shape (1, 3) to a variable of shape (2,)."
    )


def test_tracked_and_detached():
    v, frozen = Variable(2.0), Variable(2.0, trainable=False)
    assert (v.tracked, frozen.tracked, constant(2.0).tracked) == (True, False, False)
    assert (v * frozen).tracked
    assert not (frozen * 2.0).tracked
    assert not (v * v).detach().tracked
    assert not v.value.tracked
    v.trainable = False
    assert not (v * v).tracked
