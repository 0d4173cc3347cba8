import gc
import math
import weakref

import numpy as np
import pytest

from minicnn import GradientTape, Variable, constant, ops
from minicnn.autograd import no_recording
from minicnn.autograd.tensor import Tensor, record
from minicnn.errors import ArgumentError, ShapeError


def values(gradients):
    """Gradients as lists, in the arrangement of the sources."""
    if isinstance(gradients, dict):
        return {k: values(g) for k, g in gradients.items()}
    if isinstance(gradients, list | tuple):
        return type(gradients)(values(g) for g in gradients)
    return None if gradients is None else gradients.numpy().tolist()


def counted(calls, *inputs, name="product"):
    """The product of tensors, whose vector-Jacobian products note in `calls` that they ran."""

    def vjp(i):
        def run(dy, y):
            calls.append((name, i))
            for j, x in enumerate(inputs):
                dy = dy if j == i else dy * x
            return dy

        return run

    value = math.prod(x.data for x in inputs)
    return record(name, value, *((x, vjp(i)) for i, x in enumerate(inputs)))


# GradientTape, as TensorFlow documents it.


def test_first_derivative_after_the_block_and_inside():
    x = Variable([3.0, -2.0])
    with GradientTape() as tape:
        y = x * x * x
    assert values(tape.gradient(y, x)) == [27.0, 12.0]  # 3 x^2
    with GradientTape() as tape:
        y = x * x * x
        assert values(tape.gradient(y, x)) == [27.0, 12.0]


def test_a_tape_is_used_up_by_its_first_gradient():
    x = Variable(3.0)
    with GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(ArgumentError, match=r"used before; .*GradientTape\(persistent=True\)"):
        tape.gradient(y, x)


def test_a_used_tape_records_no_more_and_leaves_its_block_in_peace():
    x = Variable(3.0)
    with GradientTape() as outer:
        with GradientTape() as tape:
            tape.gradient(x * x, x)
            y = x * x
        z = x * y
    assert len(y.node.tapes) == 1  # the outer one
    assert values(outer.gradient(z, x)) == 27.0


def test_a_persistent_tape_answers_again_and_again():
    # TensorFlow's guide: y = x^2, z = y^2, x = 3 gives dz/dx = 108 and dy/dx = 6.
    x = constant(3.0)
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
        assert values(tape.gradient(y, x)) == 6.0
    assert values(tape.gradient(z, x)) == 108.0
    assert values(tape.gradient(y, x)) == 6.0
    assert values(tape.gradient(z, y)) == 18.0


def test_constants_are_differentiated_only_if_watched():
    x, w = constant([1.0, 2.0]), constant([3.0, 5.0])
    with GradientTape() as tape:
        tape.watch(w)
        y = x * w
    with pytest.warns(UserWarning, match=r"source 0 is a tensor .* call tape.watch\(x\) before"):
        assert values(tape.gradient(y, [x, w])) == [None, [1.0, 2.0]]


def test_watch_takes_a_list():
    x, w = constant(2.0), constant(3.0)
    with GradientTape() as tape:
        tape.watch([x, w])
        y = x * x * w
    assert values(tape.gradient(y, (x, w))) == (12.0, 4.0)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (constant([1, 2]), "a tensor of int64"),
        (constant(True), "a tensor of bool"),
        (np.ones(3), "ndarray"),
        (2.0, "float"),
    ],
)
def test_only_tensors_of_floats_can_be_watched(what, told):
    with (
        GradientTape() as tape,
        pytest.raises(ArgumentError, match=rf"GradientTape\.watch: got {told}, .*dtype='float32'"),
    ):
        tape.watch(what)


def test_variables_that_are_not_trainable_are_watched_on_demand():
    w, frozen = Variable(2.0), Variable(5.0, trainable=False)
    with GradientTape() as tape:
        y = w * frozen
    assert values(tape.gradient(y, [w, frozen])) == [5.0, None]
    with GradientTape() as tape:
        tape.watch(frozen)
        y = w * frozen
    assert values(tape.gradient(y, [w, frozen])) == [5.0, 2.0]


def test_without_watch_accessed_variables_only_the_watched_count():
    v, w = Variable(2.0), Variable(5.0)
    with GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(w)
        y = v * v * w
    assert values(tape.gradient(y, [v, w])) == [None, 4.0]


def test_order_two():
    x = Variable([1.0, 2.0])
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = x * x * x
        first = inner.gradient(y, x)
    assert values(first) == [3.0, 12.0]
    assert values(outer.gradient(first, x)) == [6.0, 12.0]


def test_order_three_and_mixed():
    x, w = Variable(2.0), Variable(3.0)
    with GradientTape() as third:
        with GradientTape(persistent=True) as second:
            with GradientTape() as first:
                y = x * x * x * x * w * w  # x^4 w^2
            dx = first.gradient(y, x)  # 4 x^3 w^2
        dxx, dxw = second.gradient(dx, [x, w])  # 12 x^2 w^2, 8 x^3 w
        assert (values(dx), values(dxx), values(dxw)) == (288.0, 432.0, 192.0)
        # The second tape is closed, and what it computes is recorded by the third.
    assert values(third.gradient(dxx, x)) == 432.0  # 24 x w^2


def test_order_three_of_a_function_with_no_polynomial_end():
    x = Variable(0.5, dtype="float64")
    with GradientTape() as c, GradientTape() as b, GradientTape() as a:
        y = ops.exp(2.0 * x)
        first = a.gradient(y, x)
        second = b.gradient(first, x)
        third = c.gradient(second, x)
    np.testing.assert_allclose([first.item(), second.item()], [2 * np.e, 4 * np.e])
    np.testing.assert_allclose(third.item(), 8 * np.e)


def test_the_inner_derivative_may_enter_a_further_calculation():
    # TensorFlow's guide on input gradient regularization: |dy/dx|^2 differentiated by the weight.
    w, x = Variable(3.0), constant(2.0)
    with GradientTape() as outer:
        with GradientTape() as inner:
            inner.watch(x)
            y = w * w * x * x
        slope = inner.gradient(y, x)  # 2 w^2 x
        penalty = slope * slope  # 4 w^4 x^2
    assert values(outer.gradient(penalty, w)) == 16 * 27.0 * 4


def test_unconnected_sources():
    x, w = Variable([1.0, 2.0]), Variable([[1.0], [2.0], [3.0]])
    with GradientTape(persistent=True) as tape:
        y = x * x
    assert tape.gradient(y, w) is None
    zero = tape.gradient(y, [x, w], unconnected_gradients="zero")
    assert values(zero) == [[2.0, 4.0], [[0.0], [0.0], [0.0]]]
    with pytest.raises(
        ArgumentError, match=r"unconnected_gradients='zeros'.*did you mean 'zero'.*'none', 'zero'"
    ):
        tape.gradient(y, w, unconnected_gradients="zeros")


def test_gradients_come_in_the_arrangement_of_the_sources():
    a, b, c = Variable(2.0), Variable(3.0), Variable(5.0)
    with GradientTape(persistent=True) as tape:
        y = a * b * c
    assert values(tape.gradient(y, [a, b])) == [15.0, 10.0]
    assert values(tape.gradient(y, (c, a))) == (6.0, 15.0)
    nested = {"first": a, "rest": [b, {"last": c}]}
    assert values(tape.gradient(y, nested)) == {"first": 15.0, "rest": [10.0, {"last": 6.0}]}
    assert values(tape.gradient(y, [a, a])) == [15.0, 15.0]
    with pytest.raises(ArgumentError, match="sources holds a str, but must hold tensors"):
        tape.gradient(y, [a, "b"])


def test_several_targets_add_up():
    x = Variable(3.0)
    with GradientTape() as tape:
        y, z = x * x, 2.0 * x
    assert values(tape.gradient([y, z], x)) == 8.0


def test_the_target_may_be_its_own_source():
    x = Variable([1.0, 2.0])
    with GradientTape(persistent=True) as tape:
        y = x * x
    assert values(tape.gradient(x, x)) == [1.0, 1.0]
    assert values(tape.gradient(y, [y, x])) == [[1.0, 1.0], [2.0, 4.0]]


def test_output_gradients_weight_the_targets():
    x = Variable([1.0, 2.0])
    with GradientTape(persistent=True) as tape:
        y, z = x * x, 3.0 * x
    weights = constant([10.0, 100.0])
    assert values(tape.gradient(y, x, output_gradients=weights)) == [20.0, 400.0]
    assert values(tape.gradient([y, z], x, [constant([1.0, 0.0]), None])) == [5.0, 3.0]
    with pytest.raises(ArgumentError, match="holds 1 gradients for 2 targets"):
        tape.gradient([y, z], x, [constant([1.0, 0.0])])
    with pytest.raises(ShapeError, match=r"has shape \(3,\), but the target has \(2,\)"):
        tape.gradient(y, x, constant([1.0, 2.0, 3.0]))


def test_what_was_computed_outside_the_block_is_not_differentiated():
    x = Variable(3.0)
    before = x * x
    with GradientTape(persistent=True) as tape:
        inside = x * before  # here `before` is a number
    after = inside * inside
    assert tape.gradient(before, x) is None
    assert tape.gradient(after, x) is None
    assert values(tape.gradient(inside, x)) == 9.0


def test_an_earlier_result_can_be_watched():
    x = Variable(3.0)
    before = x * x
    with GradientTape() as tape:
        tape.watch(before)
        y = before * before * x
    assert values(tape.gradient(y, [before, x])) == [2 * 9.0 * 3.0, 81.0]


def test_intermediate_results_are_sources():
    x = Variable(2.0)
    with GradientTape() as tape:
        y = x * x
        z = y * y * x
    assert values(tape.gradient(z, [x, y])) == [5 * 16.0, 2 * 4.0 * 2.0]


def test_an_error_inside_the_block_closes_the_tape():
    x = Variable(2.0)
    tape = GradientTape()
    with pytest.raises(KeyError), tape:
        raise KeyError
    assert (x * x).node.tapes == ()


# Which vector-Jacobian products run.


def test_only_products_on_the_way_to_a_source_run():
    a, b, c = Variable(2.0), Variable(3.0), constant(5.0)
    calls = []
    with GradientTape(persistent=True) as tape:
        left = counted(calls, a, c, name="left")
        right = counted(calls, b, b, name="right")
        y = counted(calls, left, right, name="y")
        counted(calls, y, a, name="unused")
    assert values(tape.gradient(y, a)) == 45.0
    assert calls == [("y", 0), ("left", 0)]
    calls.clear()
    assert values(tape.gradient(y, b)) == 60.0
    assert sorted(calls) == [("right", 0), ("right", 1), ("y", 1)]
    calls.clear()
    assert values(tape.gradient(y, [left, a])) == [9.0, 45.0]
    assert calls == [("y", 0), ("left", 0)]
    calls.clear()
    with pytest.warns(UserWarning, match="source 1 is a tensor that the tape did not watch"):
        assert tape.gradient(left, [b, c]) == [None, None]
    assert calls == []


def test_each_operation_goes_back_once_however_often_its_result_is_used():
    x = Variable(1.0)
    calls = []
    with GradientTape() as tape:
        y = counted(calls, x)
        for _ in range(10):
            y = counted(calls, y, y)  # 2^10 ways from the end to x
    assert values(tape.gradient(y, x)) == 1024.0
    assert len(calls) == 21


def test_backward_skips_constants_and_frozen_variables():
    w, frozen, c = Variable(2.0), Variable(3.0, trainable=False), constant(5.0)
    calls = []
    counted(calls, w, frozen, c).backward()
    assert calls == [("product", 0)]
    assert (values(w.grad), frozen.grad, c.grad) == (15.0, None, None)


# Graphs.


def test_diamond():
    x = Variable(3.0)
    with GradientTape() as tape:
        a, b = x * x, 2.0 * x
        y = a * b + a  # 2 x^3 + x^2
    assert values(tape.gradient(y, x)) == 6 * 9.0 + 2 * 3.0


def test_a_tensor_used_at_several_depths():
    x = Variable(2.0)
    with GradientTape() as tape:
        a = x * x
        b = a * x
        y = b * a * x + x  # x^6 + x
    assert values(tape.gradient(y, x)) == 6 * 32.0 + 1.0


def test_a_chain_of_5000_operations():
    x = Variable(2.0)
    with GradientTape() as tape:
        y = x
        for _ in range(5000):
            y = y + 1.0
        y = y * x
    y.backward()
    assert values(x.grad) == 5002.0 + 2.0
    assert values(tape.gradient(y, x)) == 5004.0


def test_results_keep_the_values_that_they_were_computed_from():
    w, x = Variable([3.0, 4.0]), Variable([[1.0, 2.0]])
    kernel = Variable(np.full((1, 2, 1, 1), 2.0))
    image = Variable(np.ones((1, 2, 3, 1)))
    with GradientTape() as tape:
        y = w * w + x * w
        z = ops.conv2d(image, kernel)
    w.assign([100.0, 100.0])
    x.assign_add([[7.0, 7.0]])
    kernel.assign_sub(np.ones((1, 2, 1, 1)))
    gradients = tape.gradient([y, z], [w, x, image])
    assert values(gradients[:2]) == [[7.0, 10.0], [[3.0, 4.0]]]
    assert gradients[2].numpy()[0, :, :, 0].tolist() == [[2.0, 4.0, 2.0]] * 2


OPERATIONS = {
    "exp": lambda x: ops.exp(x),
    "sqrt": lambda x: ops.sqrt(x),
    "sigmoid": lambda x: ops.sigmoid(x),
    "divide": lambda x: 1.0 / x,
    "softmax": lambda x: ops.softmax(x),
    "standardize": lambda x: ops.standardize(x)[0],
    "relu": lambda x: ops.relu(x),
    "conv2d": lambda x: ops.conv2d(x, np.ones((2, 3, 2, 1))),
    "max_pool2d": lambda x: ops.max_pool2d(x, (2, 1)),
    "mean": lambda x: ops.mean(x),
    "getitem": lambda x: x[:, 1:],
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_results_die_without_the_garbage_collector(name):
    x = Variable(np.random.default_rng(0).uniform(1, 2, (2, 4, 5, 2)))
    gc.collect()
    gc.disable()
    try:
        with GradientTape() as tape:
            y = OPERATIONS[name](x)
            z = ops.sum(y * y)
        alive = weakref.ref(y), weakref.ref(z)
        y.backward(np.ones(y.shape))
        tape.gradient(z, x)
        del y, z
        assert [a() for a in alive] == [None, None]
    finally:
        gc.enable()


# backward().


def test_backward_adds_to_what_is_there():
    x = Variable([1.0, 2.0])
    ops.sum(x * x).backward()
    assert values(x.grad) == [2.0, 4.0]
    ops.sum(3.0 * x).backward()
    assert values(x.grad) == [5.0, 7.0]
    x.grad = None
    (x * x).backward([10.0, 100.0])
    assert values(x.grad) == [20.0, 400.0]
    assert not x.grad.tracked


def test_backward_collects_for_leaves_only():
    x = Variable(3.0)
    y = x * x
    (y * y).backward()
    assert values(x.grad) == 108.0
    assert y.grad is None


def test_create_graph_gives_a_gradient_that_can_be_differentiated():
    x = Variable(3.0)
    (x * x * x).backward(create_graph=True)
    first, x.grad = x.grad, None
    assert values(first) == 27.0
    first.backward(create_graph=True)
    second, x.grad = x.grad, None
    assert values(second) == 18.0
    second.backward()
    assert values(x.grad) == 6.0


def test_backward_says_what_is_missing():
    x = Variable([1.0, 2.0])
    with pytest.raises(ArgumentError, match=r"came from no variable.*make an input a Variable"):
        (constant(1.0) * 2.0).backward()
    with pytest.raises(ArgumentError, match=r"shape \(2,\) has 2 elements; give `gradient`"):
        (x * x).backward()
    with pytest.raises(ShapeError, match=r"backward: .* shape \(3, 2\), but the target has \(2,\)"):
        (x * x).backward(np.ones((3, 2)))
    assert x.grad is None


def test_gradients_take_the_type_of_what_they_belong_to():
    x = Variable([1.0, 2.0], dtype="float32")
    (x * x).backward(np.array([1.0, 3.0], "float64"))
    assert x.grad.dtype == np.float32
    assert values(x.grad) == [2.0, 12.0]


def test_no_recording_keeps_no_memory():
    x = Variable(3.0)
    with GradientTape() as tape:
        with no_recording():
            silent = x * x
        y = x * silent
    assert not silent.tracked
    assert values(tape.gradient(y, x)) == 9.0
    with pytest.raises(KeyError), no_recording():
        raise KeyError
    assert (x * x).tracked


def test_gradients_are_plain_tensors_without_memory():
    x = Variable(3.0)
    with GradientTape() as tape:
        y = x * x * x
    gradient = tape.gradient(y, x)
    assert type(gradient) is Tensor
    assert not gradient.tracked


def test_a_dictionary_of_targets_adds_up():
    x = constant([3.0, 2.0])
    with GradientTape() as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    assert values(tape.gradient({"y": y, "z": z}, x)) == [114.0, 36.0]  # TensorFlow 2.21


def test_a_tape_can_stop_recording():
    x = Variable(2.0)
    with GradientTape() as outer, GradientTape() as tape:
        y = x * x
        with tape.stop_recording():
            z = y * x
        total = y + z
    assert values(tape.gradient(total, x)) == 4.0  # TensorFlow 2.21
    assert values(outer.gradient(total, x)) == 16.0


# Jacobians.


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    matrix = np.random.default_rng(3).normal(size=(2, 5))
    x = Variable(np.random.default_rng(4).normal(size=(5, 3)))
    with GradientTape() as tape:
        y = ops.matmul(matrix, x)
    # d (M x)[i, j] / d x[k, l] = M[i, k] where j = l
    expected = np.einsum("ik,jl->ijkl", matrix, np.eye(3))
    np.testing.assert_allclose(tape.jacobian(y, x), expected, atol=1e-15)
    with pytest.raises(ArgumentError, match="used before"):
        tape.jacobian(y, x)


def test_the_jacobian_of_a_gradient_is_the_hessian():
    x = Variable([1.0, 2.0, 3.0], dtype="float64")
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = x[0] * x[0] * x[1] + x[2] * x[2] * x[2]
        gradient = inner.gradient(y, x)
    hessian = [[4.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 18.0]]
    assert values(outer.jacobian(gradient, x)) == hessian


def test_a_jacobian_can_be_differentiated():
    x = Variable([1.0, 2.0])
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = x * x * x
        squares = ops.square(inner.jacobian(y, x))  # 9 x^4 on the diagonal
    assert values(outer.gradient(squares, x)) == [36.0, 288.0]


def test_jacobians_come_in_the_arrangement_of_the_sources():
    a, b, c = Variable([1.0, 2.0]), Variable(3.0), Variable([[1.0, 2.0, 3.0]])
    with GradientTape(persistent=True) as tape:
        y = a * b
    found = tape.jacobian(y, {"a": a, "rest": [b, c]})
    assert values(found) == {"a": [[3.0, 0.0], [0.0, 3.0]], "rest": [[1.0, 2.0], None]}
    zero = tape.jacobian(y, c, unconnected_gradients="zero")
    assert zero.shape == (2, 1, 3)
    assert not zero.numpy().any()
    assert tape.jacobian(y[:0], a).shape == (0, 2)
    with pytest.raises(ArgumentError, match=r"jacobian: target holds a list, but must hold tens"):
        tape.jacobian([y], a)


def test_an_element_that_does_not_depend_on_the_source_has_zeros():
    x = Variable([1.0, 2.0])
    with GradientTape() as tape:
        y = ops.stack([x[0] * x[0], constant(5.0)])
    assert values(tape.jacobian(y, x)) == [[2.0, 0.0], [0.0, 0.0]]


def test_batch_jacobian_is_the_diagonal_of_the_jacobian():
    rng = np.random.default_rng(5)
    x, kernel = Variable(rng.normal(size=(3, 4, 5, 1))), rng.normal(size=(2, 3, 1, 2))
    with GradientTape(persistent=True) as tape:
        y = ops.tanh(ops.conv2d(x, kernel))
    whole = tape.jacobian(y, x).numpy()
    by_sample = np.stack([whole[n, :, :, :, n] for n in range(3)])
    assert np.abs(by_sample).min(axis=(1, 2, 3)).shape == (3, 4, 5, 1)
    np.testing.assert_allclose(tape.batch_jacobian(y, x), by_sample, atol=1e-12)
    with pytest.raises(ShapeError, match=r"target has shape \(2, 3, 3, 2\) and source \(3, 4, 5,"):
        tape.batch_jacobian(y[:2], x)
    assert tape.batch_jacobian(y, Variable(np.ones((3, 2)))) is None


@pytest.mark.parametrize("target", [3.0, None, np.ones(3), np.float32(2), "loss", {"a": 1.0}])
def test_a_target_must_be_a_tensor(target):
    v = Variable(1.0)
    with GradientTape() as tape:
        v * v
    with pytest.raises(ArgumentError, match=r"target holds .*before float\(\), \.numpy\(\)"):
        tape.gradient(target, v)


def test_sources_must_be_tensors():
    from minicnn import layers

    layer = layers.Dense(2)
    with GradientTape() as tape:
        y = ops.sum(layer([[1.0, 2.0, 3.0]]))
    with pytest.raises(ArgumentError, match=r"holds a Dense, .*; give its \.trainable_variables"):
        tape.gradient(y, layer)
    for sources in (None, "kernel", np.ones(3), zip([1], [2], strict=True)):
        with pytest.raises(ArgumentError, match=r"sources holds .* must hold tensors or variables"):
            tape.gradient(y, sources)
    assert tape.gradient(y, layer.trainable_variables)[1].numpy().tolist() == [1.0, 1.0]


def test_a_tape_says_what_it_recorded():
    x = Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    with GradientTape() as tape:
        assert repr(tape) == "<GradientTape: nothing recorded>"
        y = x * x
        z = y + 1.0
    assert repr(tape) == "<GradientTape: recorded 2 operations: multiply, add>"
    tape.gradient(z, x)
    assert repr(tape) == "<GradientTape: used up>"
    with GradientTape() as tape:
        kept = [x * float(i) for i in range(9)]
    assert len(kept) == 9
    assert repr(tape).endswith("9 operations: " + "multiply, " * 6 + "...>")
