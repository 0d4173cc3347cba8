"""Optimizers and schedules against 20 steps of Keras 3, and what they refuse."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from minicnn import GradientTape, Variable, ops, optimizers
from minicnn.config import use_backend
from minicnn.errors import ArgumentError, ShapeError
from minicnn.kernels.arrays import joined as end_to_end
from minicnn.optimizers import row
from minicnn.optimizers.row import Row

ORACLES = Path(__file__).parent / "oracles"
ORACLE = json.loads((ORACLES / "keras_training.json").read_text())


@pytest.fixture(scope="module")
def arrays():
    with np.load(ORACLES / "keras_training.npz") as file:
        return {name: np.asarray(file[name], np.float64) for name in file.files}


def schedule(entry):
    return getattr(optimizers.schedules, entry["class"])(**entry["config"])


@pytest.mark.parametrize("case", ORACLE["optimizers"], ids=lambda case: case["id"])
def test_twenty_steps_are_those_of_keras(case, arrays):
    arguments = dict(case["config"])
    if isinstance(arguments.get("learning_rate"), dict):
        arguments["learning_rate"] = schedule(arguments["learning_rate"])
    optimizer = getattr(optimizers, case["class"])(**arguments)
    variables = [Variable(arrays[f"optimizer/start{i}"]) for i in range(2)]
    steps = len(arrays["optimizer/grad0"])
    assert steps == 20
    for step in range(steps):
        gradients = [arrays[f"optimizer/grad{i}"][step] for i in range(2)]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for i, variable in enumerate(variables):
            expected = arrays[f"optimizer/{case['id']}/var{i}"][step]
            np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-8, atol=1e-10)
    assert optimizer.iterations == 20


@pytest.mark.parametrize("case", ORACLE["schedules"], ids=lambda case: case["id"])
def test_schedules_are_those_of_keras(case):
    rate = schedule(case)
    found = [rate(step) for step in ORACLE["schedule_steps"]]
    np.testing.assert_allclose(found, case["values"], rtol=1e-12, atol=1e-15)
    assert all(type(value) is float for value in found)


def test_the_defaults_are_those_of_keras():
    assert optimizers.SGD().learning_rate == 0.01
    adam = optimizers.Adam()
    assert (adam.learning_rate, adam.beta_1, adam.beta_2) == (0.001, 0.9, 0.999)
    assert (adam.epsilon, adam.amsgrad) == (1e-7, False)
    assert type(optimizers.get("sgd")) is optimizers.SGD
    assert type(optimizers.get("Adam")) is optimizers.Adam
    assert optimizers.get(adam) is adam


def test_the_rate_follows_its_schedule_and_can_be_changed():
    optimizer = optimizers.SGD(optimizers.ExponentialDecay(1.0, 1, 0.5))
    w = Variable([0.0])
    rates = []
    for _ in range(4):
        before = float(w.numpy()[0])
        rates.append(optimizer.learning_rate)
        optimizer.apply_gradients([([1.0], w)])
        assert before - float(w.numpy()[0]) == rates[-1]
    assert rates == [1.0, 0.5, 0.25, 0.125]
    with pytest.raises(
        TypeError, match=r"sgd: the learning rate follows ExponentialDecay, .* 3\.0"
    ):
        optimizer.learning_rate = 3.0
    optimizer.learning_rate = optimizers.schedules.PolynomialDecay(2.0, 8, 0.0)
    assert optimizer.learning_rate == 1.0


def test_a_constant_rate_can_be_set_and_asked_like_a_variable():
    optimizer, w = optimizers.SGD(0.5), Variable([0.0])
    optimizer.learning_rate = 3.0
    assert optimizer.learning_rate == 3.0
    assert optimizer.learning_rate.numpy() == 3.0
    optimizer.learning_rate.assign(0.25)
    assert optimizer.apply_gradients([([1.0], w)]) == 1
    assert w.numpy().tolist() == [-0.25]
    assert optimizer.iterations.numpy() == 1
    rates = iter([1.0, 2.0])
    optimizer.learning_rate = lambda: next(rates)
    optimizer.apply_gradients([([1.0], w)])
    assert w.numpy().tolist() == [-1.25]


def test_the_first_step_of_adam_is_the_rate_whatever_the_size_of_the_gradient():
    # m / sqrt(v) = g / |g| in the first step, but for epsilon.
    for size in (1e-3, 1.0, 1e6):
        w = Variable(np.array([1.0, 1.0]))
        optimizers.Adam(0.25).apply_gradients([(np.array([size, -size]), w)])
        np.testing.assert_allclose(w.numpy(), [0.75, 1.25], rtol=1e-2)


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.05),
        optimizers.SGD(0.02, momentum=0.9),
        optimizers.SGD(0.02, momentum=0.9, nesterov=True),
        optimizers.Adam(0.1),
        optimizers.Adam(0.1, amsgrad=True),
    ],
    ids=["sgd", "momentum", "nesterov", "adam", "amsgrad"],
)
def test_a_quadratic_bowl_is_descended(optimizer):
    # The least of sum (A w - b)**2 solves the normal equations.
    rng = np.random.default_rng(2)
    matrix, target = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))
    w = Variable(np.zeros((3, 1)))
    for _ in range(1500):
        with GradientTape() as tape:
            loss = ops.sum(ops.square(matrix @ w - target))
        optimizer.apply_gradients([(tape.gradient(loss, w), w)])
    expected = np.linalg.solve(matrix.T @ matrix, matrix.T @ target)
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_clipping_keeps_the_direction_of_a_norm_and_not_of_values():
    def step(**limit):
        a, b = Variable(np.zeros(2)), Variable(np.zeros(1))
        optimizer = optimizers.SGD(1.0, **limit)
        optimizer.apply_gradients([(np.array([-3.0, -4.0]), a), (np.array([-12.0]), b)])
        return a.numpy().tolist(), b.numpy().tolist()

    assert step() == ([3.0, 4.0], [12.0])
    assert step(clipvalue=3.5) == ([3.0, 3.5], [3.5])
    assert step(clipnorm=2.5) == ([1.5, 2.0], [2.5])
    assert step(clipnorm=100.0) == ([3.0, 4.0], [12.0])
    # All together have the norm 13.
    assert step(global_clipnorm=6.5) == ([1.5, 2.0], [6.0])


def test_weight_decay_takes_off_its_share_times_the_rate():
    w = Variable(np.array([8.0]))
    optimizers.SGD(0.5, weight_decay=0.25).apply_gradients([(np.array([1.0]), w)])
    assert w.numpy().tolist() == [8.0 - 0.5 * 0.25 * 8.0 - 0.5]


def test_variables_without_a_gradient_are_left_alone():
    a, b = Variable([1.0]), Variable([1.0])
    optimizer = optimizers.Adam(0.5)
    optimizer.apply_gradients([(None, a), ([2.0], b)])
    assert a.numpy().tolist() == [1.0]
    assert b.numpy().tolist() != [1.0]
    assert optimizer.iterations == 1
    with pytest.raises(ArgumentError, match="adam: none of the variables has a gradient"):
        optimizer.apply_gradients([(None, a), (None, b)])


def test_without_any_gradient_the_variables_are_named_and_the_reason():
    many = [Variable(np.ones((2, 3)), name=f"kernel_{i}") for i in range(5)]
    told = (
        r"'kernel_0' \(2, 3\), .*'kernel_2' \(2, 3\) and 2 more\. .*the target does not depend on"
    )
    with pytest.raises(ArgumentError, match=told):
        optimizers.SGD().apply_gradients([(None, v) for v in many])
    frozen = Variable([1.0], trainable=False, name="mean")
    with pytest.raises(
        ArgumentError, match=r"'mean' \(1,\)\. They are not trainable, .*tape\.watch"
    ):
        optimizers.SGD().apply_gradients([(None, frozen)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.SGD(momentum=0.9, nesterov=True, weight_decay=0.1, clipnorm=1.0),
        lambda: optimizers.Adam(amsgrad=True, weight_decay=0.1, global_clipnorm=1.0),
    ],
)
def test_the_type_of_a_variable_is_kept(make, dtype):
    w, optimizer = Variable(np.ones((2, 3), dtype)), make()
    optimizer.apply_gradients([(np.full((2, 3), 5.0, dtype), w)])
    assert w.dtype == np.dtype(dtype)
    assert all(array.dtype == np.dtype(dtype) for array in optimizer.slots_of(w).values())


def test_old_results_do_not_change_under_a_step():
    w = Variable(np.ones(3))
    before = w.data
    optimizers.SGD(1.0, momentum=0.5).apply_gradients([(np.ones(3), w)])
    assert before.tolist() == [1.0] * 3


def test_a_gradient_of_another_shape_is_refused_and_nothing_changed():
    a, b = Variable([1.0], name="a"), Variable(np.ones((2, 3)), name="b")
    optimizer = optimizers.SGD()
    text = r"sgd: the gradient for 'b' has shape \(3,\), but the variable has \(2, 3\)"
    with pytest.raises(ShapeError, match=text):
        optimizer.apply_gradients([([1.0], a), (np.ones(3), b)])
    assert a.numpy().tolist() == [1.0]
    assert optimizer.iterations == 0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: optimizers.SGD(-0.1), "learning_rate=-0.1"),
        (lambda: optimizers.Adam(math.nan), "learning_rate=nan"),
        (lambda: optimizers.SGD(momentum=1.5), "momentum=1.5"),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "only one of clipnorm and clipval"),
        (lambda: optimizers.get("admm"), "did you mean 'adam'"),
    ],
)
def test_arguments_outside_their_rule_are_refused(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


def test_a_subclass_must_say_how_to_update_or_decay():
    with pytest.raises(TypeError, match="Optimizer does not define update"):
        optimizers.Optimizer().apply_gradients([([1.0], Variable([1.0]))])
    with pytest.raises(TypeError, match="LearningRateSchedule does not define"):
        optimizers.LearningRateSchedule()(0)


# Variables laid end to end, so that one update serves all.

MAKERS = {
    "sgd": lambda kind: kind(optimizers.SGD)(0.05),
    "momentum": lambda kind: kind(optimizers.SGD)(0.05, momentum=0.9),
    "nesterov": lambda kind: kind(optimizers.SGD)(0.05, momentum=0.9, nesterov=True),
    "adam": lambda kind: kind(optimizers.Adam)(0.05),
    "amsgrad": lambda kind: kind(optimizers.Adam)(0.05, amsgrad=True),
    "decay": lambda kind: kind(optimizers.Adam)(0.05, weight_decay=0.1),
    "decay of sgd": lambda kind: kind(optimizers.SGD)(0.05, momentum=0.5, weight_decay=0.1),
    "clipped": lambda kind: kind(optimizers.SGD)(0.05, momentum=0.5, clipnorm=0.3),
    "clipped together": lambda kind: kind(optimizers.Adam)(0.05, global_clipnorm=0.3),
    "schedule": lambda kind: kind(optimizers.Adam)(optimizers.ExponentialDecay(0.1, 2, 0.5)),
}
EVERY_MAKER = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
EVERY_BACKEND = pytest.mark.parametrize("backend", ["numpy", "numba"])
SHAPES = [(3, 2, 4, 5), (5,), (), (7, 3), (1,)]


def one_at_a_time(kind):
    """Return an optimizer that updates each variable by itself."""
    return type(f"Single{kind.__name__}", (kind,), {"elementwise": False})


def start(dtypes=("float32",) * 5):
    """Return new variables, the same each time."""
    generator = np.random.default_rng(3)
    pairs = zip(SHAPES, dtypes, strict=True)
    return [Variable(generator.normal(size=s).astype(d), dtype=d) for s, d in pairs]


def step(optimizer, variables, chosen, seed):
    """Do one step with the chosen variables, in this order; the others have no gradient."""
    pairs = []
    for i in chosen:
        generator = np.random.default_rng((seed, i))
        gradient = generator.normal(size=variables[i].shape).astype(variables[i].dtype)
        pairs.append((gradient, variables[i]))
    left_out = [(None, v) for i, v in enumerate(variables) if i not in chosen]
    optimizer.apply_gradients([*left_out, *pairs])


def assert_equal_states(optimizer, variables, other, others):
    """Compare weights and what is kept for them, to the last bit."""
    assert set(optimizer.state) <= {id(v) for v in variables}
    assert len(optimizer.state) == len(other.state)
    for a, b in zip(variables, others, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.numpy().tobytes() == b.numpy().tobytes()
        if id(a) in optimizer.state:
            mine, theirs = optimizer.slots_of(a), other.slots_of(b)
            assert mine.keys() == theirs.keys()
            for name in mine:
                assert (mine[name].dtype, mine[name].shape) == (a.dtype, a.shape)
                assert mine[name].tobytes() == theirs[name].tobytes()


#: The variables of each step: all, fewer, another order, one, others than before, all again.
CHANGING = [[0, 1, 2, 3, 4], [0, 2, 3], [3, 2, 0], [1], [4, 1], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
MIXED = ("float32", "float64", "float32", "float32", "float64")


@EVERY_BACKEND
@EVERY_MAKER
@pytest.mark.parametrize("dtypes", [("float32",) * 5, ("float64",) * 5, MIXED])
@pytest.mark.parametrize("sets", [[list(range(5))] * 4, CHANGING], ids=["same", "changing"])
def test_one_update_for_all_is_that_of_one_at_a_time(make, sets, dtypes, backend):
    together, single = make(lambda kind: kind), make(one_at_a_time)
    variables, others = start(dtypes), start(dtypes)
    with use_backend(backend):
        for seed, chosen in enumerate(sets):
            step(together, variables, chosen, seed)
            step(single, others, chosen, seed)
            assert_equal_states(together, variables, single, others)
    assert together.iterations == single.iterations == len(sets)


@EVERY_MAKER
def test_many_numbers_are_not_laid_end_to_end(make, monkeypatch):
    monkeypatch.setattr(Row, "MOST", 130)  # of the 120 + 5 + 1 + 21 + 1
    together, single = make(lambda kind: kind), make(one_at_a_time)
    variables, others = start(), start()
    with use_backend("numpy"):
        for seed, chosen in enumerate([[0, 1, 2, 3, 4], [0, 1], [1, 2, 3], [0, 1, 2, 3, 4]]):
            step(together, variables, chosen, seed)
            step(single, others, chosen, seed)
            assert_equal_states(together, variables, single, others)


def test_weights_are_laid_end_to_end_once_and_after_an_assignment(monkeypatch):
    joined = []
    monkeypatch.setattr(row, "joined", lambda arrays: (joined.append(0), end_to_end(arrays))[1])
    optimizer, variables = optimizers.Adam(), start()
    with use_backend("numpy"):
        for seed, expected in enumerate((1, 1, 1, 2, 2)):
            if seed == 3:
                variables[2].assign(variables[2] + 1)
            step(optimizer, variables, range(5), seed)
            assert len(joined) - len(optimizer.slots) == expected


@EVERY_MAKER
def test_what_is_kept_can_be_changed_from_outside(make):
    # As when a training is taken up again from a file.
    together, single = make(lambda kind: kind), make(one_at_a_time)
    variables, others = start(), start()
    everyone = range(5)
    with use_backend("numpy"):
        for seed in range(6):
            step(together, variables, everyone, seed)
            step(single, others, everyone, seed)
            for optimizer, group in ((together, variables), (single, others)):
                for name in optimizer.slots:
                    optimizer.slots_of(group[seed % 5])[name][...] = 0.25
                optimizer.slots_of(group[0])
                group[3].assign(np.full(SHAPES[3], seed))
                group[1].data[...] = 2.0
            assert_equal_states(together, variables, single, others)


@pytest.mark.cpu_only  # arrays on the GPU keep no order but the first axis first
@EVERY_BACKEND
@pytest.mark.parametrize("others", [[], [Variable(np.ones(2), dtype="float64")]])
def test_a_variable_may_have_its_columns_first(backend, others):
    # With a variable of another type beside it, it is updated by itself.
    found = []
    for order in ("C", "F"):
        w = Variable(np.array(np.arange(12.0).reshape(3, 4), "float32", order=order))
        optimizer = optimizers.Adam(0.1)
        with use_backend(backend):
            for _ in range(3):
                gradients = [(np.ones((3, 4), "float32"), w), *((np.ones(2), v) for v in others)]
                optimizer.apply_gradients(gradients)
        found.append((w.numpy(), *optimizer.slots_of(w).values()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.cpu_only  # tensors made on it by its own backend
def test_gradients_may_be_tensors_that_lie_anywhere():
    together, single = optimizers.Adam(0.1), one_at_a_time(optimizers.Adam)(0.1)
    gradient = np.random.default_rng(1).normal(size=(10, 6)).astype("float32")[::2, ::-2].T
    found = []
    for optimizer in (together, single):
        a, b = Variable(np.ones((3, 5), "float32")), Variable(np.ones((5, 3), "float32"))
        with use_backend("numpy"):
            optimizer.apply_gradients([(ops.add(gradient, 0.0), a), (gradient.T, b)])
        found.append([a.numpy(), b.numpy()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(found[0][0], found[0][1].T)


def test_a_variable_given_twice_takes_both_steps():
    found = []
    for optimizer in (optimizers.SGD(1.0), one_at_a_time(optimizers.SGD)(1.0)):
        w, other = Variable(np.zeros(2)), Variable(np.zeros(3))
        optimizer.apply_gradients([(np.ones(2), w), (np.ones(3), other), (2 * np.ones(2), w)])
        found.append(w.numpy().tolist())
    assert found == [[-3.0, -3.0]] * 2


def test_the_type_of_a_gradient_concerns_its_own_variable():
    found = []
    for optimizer in (optimizers.SGD(1.0), one_at_a_time(optimizers.SGD)(1.0)):
        variables = [Variable(np.zeros(2, "float32")) for _ in range(2)]
        gradients = [np.ones(2, "float32"), np.ones(2, "float64")]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        found.append(variables[0].dtype)
    assert found == ["float32"] * 2


# What is kept, and where it comes from


def test_what_is_kept_can_be_read_and_put_into_another():
    gradients = np.random.default_rng(4).normal(size=(6, 3, 2))
    one, other = (optimizers.Adam(0.1, amsgrad=True, use_ema=True) for _ in range(2))
    v, w = Variable(np.ones((3, 2)), name="kernel"), Variable(np.ones((3, 2)), name="kernel")
    for gradient in gradients[:3]:
        one.apply([gradient], [v])
    assert [k.name for k in one.variables] == [
        *["iteration", "learning_rate", "kernel_average"],
        *["kernel_momentum", "kernel_velocity", "kernel_velocity_max"],
    ]
    with pytest.raises(ArgumentError, match="call build"):
        other.set_weights(one.variables)
    other.build([w])
    other.set_weights([k.numpy() for k in one.variables])
    w.assign(v)
    for gradient in gradients[3:]:
        one.apply([gradient])
        other.apply([gradient])
    np.testing.assert_array_equal(v.numpy(), w.numpy())
    with pytest.raises(ArgumentError, match="set_weights got 1 arrays, but 6 are kept"):
        other.set_weights([3])
    with pytest.raises(ShapeError, match=r"shape \(2, 3\) for 'kernel_average'"):
        other.set_weights([3, 0.1, *(np.ones((2, 3)) for _ in range(4))])


def test_variables_that_were_not_there_at_first_are_refused():
    optimizer = optimizers.SGD()
    optimizer.apply([[1.0]], [Variable([1.0])])
    text = r"sgd: the variable 'late' of shape \(2,\) was not there when the optimizer was built"
    with pytest.raises(ArgumentError, match=text):
        optimizer.apply([[1.0, 1.0]], [Variable([1.0, 1.0], name="late")])
    with pytest.raises(ArgumentError, match="2 gradients for 1 variables"):
        optimizer.apply([[1.0], [1.0]])
    with pytest.raises(ArgumentError, match="apply needs the variables"):
        optimizers.SGD().apply([[1.0]])


def test_minimize_computes_the_gradients_itself():
    found = []
    for given in ("function", "tape"):
        w = Variable([3.0])
        if given == "function":
            optimizers.SGD(0.25).minimize(lambda w=w: w * w, [w])
        else:
            with GradientTape() as tape:
                loss = w * w
            optimizers.SGD(0.25).minimize(loss, [w], tape=tape)
        found.append(w.numpy().tolist())
    assert found == [[1.5], [1.5]]
    with pytest.raises(ArgumentError, match=r"a function loss\(\), or a tape"):
        optimizers.SGD().minimize(Variable([1.0]), [w])


def test_a_gradient_that_is_no_number_spoils_all_under_a_common_norm():
    a, b = Variable(np.ones(2)), Variable(np.ones(3))
    optimizers.SGD(global_clipnorm=1.0).apply([np.array([np.nan, 1.0]), np.ones(3)], [a, b])
    assert np.isnan(a.numpy()).all()
    assert np.isnan(b.numpy()).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: optimizers.AdamW(weight_decay=None), "adamw: weight_decay=None"),
        (lambda: optimizers.Lion(beta_1=0.0), r"beta_1=0\.0 must be a number in \(0, 1\]"),
        (
            lambda: optimizers.Ftrl(learning_rate_power=0.5),
            "_power=0.5 must be a number <= 0",
        ),
        (
            lambda: optimizers.Ftrl(l1_regularization_strength=-1.0),
            "=-1.0 must be a number >= 0",
        ),
        (
            lambda: optimizers.Adam(use_ema=True, ema_momentum=1.5),
            "ema_momentum=1.5 must be a number",
        ),
        (lambda: optimizers.Adam(gradient_accumulation_steps=1), "must be an integer >= 2"),
        (
            lambda: optimizers.Adam(decay=0.1),
            "argument 'decay' is not known; did you mean 'weight_decay'",
        ),
        (lambda: optimizers.get(3), "got 3, but a name or an optimizer"),
        (lambda: optimizers.get({"config": {}}), "a dictionary with 'class_name'"),
        (lambda: optimizers.schedules.CosineDecay(0.1, 0), "decay_steps=0 must be > 0 steps"),
        (
            lambda: optimizers.schedules.PiecewiseConstantDecay([1], [0.1]),
            "1 boundaries and 1 values",
        ),
    ],
)
def test_further_arguments_outside_their_rule_are_refused(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


def test_a_whole_number_of_falls_is_counted_so():
    # log(243) / log(3) comes out below 5: the sixth fall begins at the top all the same.
    rate = optimizers.schedules.CosineDecayRestarts(0.1, 1, t_mul=3.0)
    assert rate((3**5 - 1) / 2) == pytest.approx(0.1)
