"""Where tensors live: what decides it, how they move, and what is said when they do not meet."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import config, kernels, ops
from minicnn.autograd.tensor import alongside, as_numpy
from minicnn.errors import ArgumentError, BackendError, DeviceError
from minicnn.runtime import devices

A = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.fixture(params=["auto", "cupy"])
def setting(request, cupy):
    """The setting; results do not depend on it where operands say where they live."""
    with config.use_backend(request.param):
        yield request.param


def test_new_things_go_where_the_setting_says(cupy):
    for backend, device in (("cupy", "gpu"), ("auto", "cpu"), ("numpy", "cpu")):
        with config.use_backend(backend):
            assert config.device() == device
            made = [
                *(mc.constant(A), mc.convert_to_tensor(A), mc.Variable(A), mc.Tensor([1.0, 2.0])),
                *(mc.Variable([1.0, 2.0]), ops.exp(A), ops.add([1.0, 2.0], 1)),
            ]
            assert {t.device for t in made} == {device}
    assert config.device() == "cpu"


def test_arrays_given_to_a_tensor_and_tensors_stay_where_they_are(cupy):
    x, on_card = mc.constant(A), cupy.asarray(A)
    with config.use_backend("cupy"):
        assert mc.Tensor(A).device == "cpu"
        assert mc.convert_to_tensor(x) is x
        assert ops.square(x).device == "cpu"
        assert ops.add(x, A).device == "cpu"
    assert mc.Tensor(on_card).device == "gpu"
    assert mc.convert_to_tensor(on_card).device == "gpu"
    assert mc.Variable(on_card).device == "gpu"
    assert ops.square(on_card).device == "gpu"


def test_use_cpu_keeps_what_a_thread_makes_off_the_card(cupy):
    with config.use_backend("cupy"), config.use_cpu():
        assert (config.device(), mc.constant(A).device) == ("cpu", "cpu")
        with pytest.raises(ZeroDivisionError), config.use_cpu():
            raise ZeroDivisionError
        assert config.device() == "cpu"


def test_moving_there_and_back(setting):
    x = mc.constant(A)
    there = x.gpu()
    assert (there.device, there.gpu() is there) == ("gpu", True)
    assert type(there.numpy()) is np.ndarray
    np.testing.assert_array_equal(there.numpy(), A)
    np.testing.assert_array_equal(np.asarray(there), A)
    back = there.cpu()
    assert (back.device, back.cpu() is back) == ("cpu", True)
    back.data[0, 0] = 77
    assert there.numpy()[0, 0] == 0


def test_gradients_flow_through_a_move(setting):
    x = mc.Variable(A)
    with mc.GradientTape() as tape:
        y = ops.sum(ops.square((x.cpu() * 2.0).gpu()).cpu() * 3.0)
    gradient = tape.gradient(y, x)
    assert gradient.device == x.device
    np.testing.assert_array_equal(gradient.numpy(), 24 * A)


def test_numbers_follow_a_tensor_and_arrays_the_setting(setting):
    x = mc.constant(A).gpu()
    for result in (x * 2, 2 - x, x / np.float32(2), x > 1, x == 1.0, x // 2, x % 2, x**2, -x):
        assert result.device == "gpu"
    np.testing.assert_array_equal((2 - x).numpy(), 2 - A)
    np.testing.assert_array_equal((x % 2).numpy(), A % 2)
    np.testing.assert_array_equal(x[np.array([1, 0, 1])].numpy(), A[[1, 0, 1]])
    np.testing.assert_array_equal(x[A > 2].numpy(), A[A > 2])
    if setting == "cupy":
        np.testing.assert_array_equal((x + A).numpy(), 2 * A)
    else:
        with pytest.raises(DeviceError):
            x + A


@pytest.mark.parametrize(
    ("operation", "names"),
    [
        (lambda x, y: x + y, ["add", "a (2, 3)", "b (2, 3)"]),
        (lambda x, y: y * x, ["multiply", "a (2, 3)", "b (2, 3)"]),
        (lambda x, y: x > y, ["greater", "x (2, 3)", "other (2, 3)"]),
        (lambda x, y: x @ ops.transpose(y), ["matmul", "a (2, 3)", "b (3, 2)"]),
        (lambda x, y: ops.concatenate([x, x, y]), ["concatenate", "tensors[0]", "tensors[2]"]),
        (lambda x, y: ops.where(x > 0, y, y), ["where", "condition (2, 3)", "a (2, 3)"]),
        (
            lambda x, y: ops.conv2d(ops.reshape(x, (1, 2, 3, 1)), ops.reshape(y, (1, 3, 1, 2))),
            ["conv2d", "x (1, 2, 3, 1)", "kernel (1, 3, 1, 2)"],
        ),
        (
            lambda x, y: ops.batch_normalization(x, ops.reshape(y, (-1,))[:3]),
            ["batch_normalization", "x (2, 3)", "gamma (3,)"],
        ),
    ],
    ids=["add", "multiply", "greater", "matmul", "concatenate", "where", "conv2d", "normalize"],
)
def test_both_arrays_are_named_when_they_do_not_meet(setting, operation, names):
    here = mc.constant(A).cpu()
    for x, y in ((here.gpu(), here), (here, here.gpu())):
        with pytest.raises(DeviceError) as caught:
            operation(x, y)
        for name in names:
            assert name in str(caught.value)
        assert "on the GPU" in str(caught.value)
        assert "in the computer's memory" in str(caught.value)


def test_the_message_moves_the_right_one(cupy):
    x = mc.constant(A)
    with pytest.raises(DeviceError) as caught:
        x.gpu() - x
    assert str(caught.value) == (
        "subtract: a (2, 3) is on the GPU, but b (2, 3) is in the computer's memory; both must be "
        "in one place. b.gpu() moves b to the GPU, and .cpu() moves back."
    )
    with pytest.raises(DeviceError, match=r"a \(2, 3\) is in .* a\.gpu\(\) moves a to the GPU"):
        x - x.gpu()


def test_layers_and_models_on_the_card_explain_themselves_as_on_the_cpu(cupy):
    mc.config.set_random_seed(5)
    model = mc.Sequential(
        [
            mc.layers.Input((5, 6, 1)),
            mc.layers.Conv2D(2, (2, 3), activation="relu", name="edges"),
            mc.layers.MaxPooling2D((2, 1)),
        ]
    )
    x = np.random.default_rng(5).normal(size=(1, 5, 6, 1)).astype("float32")
    layer, places = model.get_layer("edges"), [(0, 3, 2, 1), (0, 0, 0, 0)]
    told = []
    for place in (model.cpu, model.gpu):
        place()
        rows = mc.explain(model, x).rows
        told.append(
            (
                [mc.explain(layer, x).text(p) for p in places],
                [(row.name, row.output.round(5).tolist(), row.dy.tolist()) for row in rows],
            )
        )
    assert layer.kernel.device == "gpu"
    assert told[0] == told[1]


def test_a_gradient_to_start_from_lies_beside_its_target(setting):
    x = mc.Variable(mc.constant(A).gpu())
    with mc.GradientTape(persistent=True) as tape:
        y = ops.square(x)
    np.testing.assert_array_equal(tape.gradient(y, x, A).numpy(), 2 * A * A)
    with pytest.raises(DeviceError, match=r"target \(2, 3\) is on the GPU, but gradient"):
        tape.gradient(y, x, mc.Tensor(A))


def test_a_variable_takes_values_from_both_sides(setting):
    v = mc.Variable(mc.constant(A).gpu())
    for value in (2 * A, mc.constant(2 * A).cpu(), mc.constant(2 * A).gpu()):
        v.assign(A)
        v.assign(value)
        assert v.device == "gpu"
        np.testing.assert_array_equal(v.numpy(), 2 * A)
    v.assign_add(A)
    v.assign_sub(mc.constant(A).gpu())
    np.testing.assert_array_equal(v.numpy(), 2 * A)


def test_numbers_and_words_of_a_tensor_on_the_card(cupy):
    x = mc.constant(A).gpu()
    one = x[1, 2]
    assert (float(one), int(one), bool(one), one.item(), f"{one:.1f}") == (5.0, 5, True, 5.0, "5.0")
    assert ["a", "b", "c"][mc.constant(1).gpu()] == "b"
    assert repr(x) == f"<Tensor shape=(2, 3) dtype=float32 device=gpu\n{A}>"
    assert repr(x.cpu()) == f"<Tensor shape=(2, 3) dtype=float32\n{A}>"
    np.testing.assert_array_equal(as_numpy(x), A)
    assert alongside(A, x).device == "gpu"
    assert alongside(x, mc.constant(A)).device == "cpu"


def test_arrays_that_are_no_numbers_are_refused_as_on_the_cpu(setting):
    with pytest.raises(ArgumentError, match="must be numbers or booleans"):
        mc.constant(["a", "b"])


def test_without_a_gpu_the_reason_is_told():
    if mc.backends()["cupy"].usable:
        pytest.skip("there is a GPU")
    for function in (lambda: mc.constant(A).gpu(), lambda: devices.to_gpu(A)):
        with pytest.raises(BackendError, match="backend 'cupy' is not usable here: "):
            function()
    with config.use_backend("cupy"), pytest.raises(BackendError, match="Usable: 'loops'"):
        mc.Variable(A)


def test_operations_follow_their_operands_whatever_the_setting(setting):
    rng = np.random.default_rng(4)
    x, k = rng.normal(size=(2, 5, 8, 2)), rng.normal(size=(3, 2, 2, 4))
    results = []
    for device in ("cpu", "gpu"):
        a, b = (getattr(mc.Tensor(v), device)() for v in (x, k))
        with mc.GradientTape() as tape:
            tape.watch([a, b])
            y = ops.max_pool2d(ops.relu(ops.conv2d(a, b, padding="same")), (2, 3))
            y = ops.mean(ops.softmax(ops.batch_normalization(y)[0] * 3.0) ** 2)
        found = [y, *tape.gradient(y, [a, b])]
        assert {t.device for t in found} == {device}
        results.append([t.numpy() for t in found])
    for here, there in zip(*results, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-11, atol=1e-13)


def test_threads_beside_the_main_one_stay_off_the_card_and_out_of_compiled_loops(cupy):
    stream = config.RandomStream((1,), (0,))
    with config.use_backend("cupy"), config.use_random_stream(stream, beside=True):
        assert (config.device(), config.backend()) == ("cpu", "numpy")
        image = np.ones((1, 400, 300, 1), "float32")
        assert "vectorized" in kernels.backend(image.size, image).max_pool2d.__module__
