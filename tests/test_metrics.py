"""Metrics against values of Keras 3, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest

from minicnn import Sequential, config, layers, metrics
from minicnn.errors import ArgumentError, ShapeError

ORACLES = Path(__file__).parent / "oracles"
CASES = json.loads((ORACLES / "keras_training.json").read_text())["metrics"]
#: Those that are compared with values stored first; the others are in test_training_values.
CLASSES = {getattr(metrics, case["class"]) for case in CASES} | {metrics.Mean}


@pytest.fixture(scope="module")
def arrays():
    with np.load(ORACLES / "keras_training.npz") as file:
        return {name: np.asarray(file[name], np.float64) for name in file.files}


@pytest.fixture(autouse=True)
def float64():
    with config.use_floatx("float64"):
        yield


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_running_figure_after_each_batch_is_that_of_keras(case, arrays):
    place = f"metric/{case['id']}"
    metric = getattr(metrics, case["class"])(**case["config"])
    results = []
    for batch in range(3):
        weights = arrays.get(f"{place}/sample_weight{batch}")
        assert (weights is not None) == case["weighted"]
        truth, prediction = (arrays[f"{place}/y_{name}{batch}"] for name in ("true", "pred"))
        metric.update_state(truth, prediction, sample_weight=weights)
        results.append(metric.result())
    np.testing.assert_allclose(results, arrays[f"{place}/results"], rtol=1e-9)
    metric.reset_state()
    assert metric.result() == 0
    again = metric(truth, prediction, weights)
    metric.reset_state()
    assert metric(truth, prediction, weights) == again


def test_mean_weighs_its_numbers():
    mean = metrics.Mean()
    assert mean.result() == 0
    mean.update_state([1.0, 2.0], [3.0, 1.0])
    mean.update_state(10.0, 4.0)
    assert mean.result() == (3 + 2 + 40) / 8


def test_weights_may_be_a_column_but_must_fit():
    truth, prediction = np.zeros((3, 2)), np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    for weights in ([1.0, 0.0, 2.0], [[1.0], [0.0], [2.0]]):
        metric = metrics.MeanSquaredError()
        assert metric(truth, prediction, weights) == pytest.approx((1 + 18) / 3)
    for weights in ([1.0], [1.0, 2.0], [[1.0], [2.0]], [[1.0, 2.0, 3.0]]):
        with pytest.raises(ShapeError, match="mean_squared_error: sample_weight has shape"):
            metrics.MeanSquaredError()(truth, prediction, weights)


def test_only_samples_of_weight_zero_give_zero():
    assert metrics.MeanAbsoluteError()([[1.0]], [[5.0]], [0.0]) == 0


@pytest.mark.parametrize("cls", sorted(CLASSES - {metrics.Mean}, key=lambda cls: cls.__name__))
def test_shapes_that_differ_are_refused_instead_of_broadcast(cls):
    for true_shape, pred_shape in [((3, 5), (3, 4)), ((1, 4), (3, 4)), ((4, 3, 2), (3, 4, 2))]:
        with pytest.raises(ShapeError, match="y_true has shape"):
            cls()(np.zeros(true_shape), np.zeros(pred_shape))


def test_accuracies_worked_by_hand():
    assert metrics.Accuracy()([1, 2, 3, 4], [1, 0, 3, 0]) == 0.5
    assert metrics.BinaryAccuracy()([[1], [0], [1], [1]], [[0.6], [0.4], [0.5], [0.51]]) == 0.75
    assert metrics.BinaryAccuracy()([1, 0], [[0.9], [0.9]]) == 0.5
    one_hot, scores = [[0, 1, 0], [1, 0, 0]], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]]
    assert metrics.CategoricalAccuracy()(one_hot, scores) == 0.5
    assert metrics.SparseCategoricalAccuracy()([1, 0], scores) == 0.5
    assert metrics.SparseCategoricalAccuracy()([[1], [2]], scores) == 0.5


@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy_by_name_is_the_kind_that_fits_the_shapes(name):
    scores = np.array([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    assert metrics.as_metric(name)([[1], [0]], [[0.6], [0.4]]) == 1.0
    assert metrics.as_metric(name)([1, 0], [[0.6], [0.7]]) == 0.5
    assert metrics.as_metric(name)([[0, 1, 0], [1, 0, 0]], scores) == 0.5
    assert metrics.as_metric(name)([1, 0], scores) == 0.5
    assert metrics.as_metric(name)([[1], [1]], scores) == 1.0


def test_accuracy_by_name_keeps_its_kind_over_the_batches():
    metric = metrics.as_metric("accuracy")
    metric.update_state([2, 0], [[0.1, 0.2, 0.7], [0.1, 0.7, 0.2]])
    metric.update_state([[1], [1], [0]], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    assert metric.result() == 3 / 5


def test_metrics_by_name_class_and_function():
    assert type(metrics.get("mae")) is metrics.MeanAbsoluteError
    assert metrics.as_metric("mae").name == "mae"
    assert metrics.as_metric("acc").name == "acc"
    assert metrics.get("MeanAbsoluteError").name == "mean_absolute_error"
    assert metrics.get("cosine_similarity").name == "cosine_similarity"
    assert metrics.MeanSquaredError().name == "mean_squared_error"
    assert metrics.get(metrics.BinaryAccuracy).name == "binary_accuracy"
    assert metrics.get(None) is None
    mine = metrics.BinaryAccuracy("mine", threshold=0.3)
    assert metrics.get(mine) is mine

    def largest_error(y_true, y_pred):
        return np.abs(y_true - y_pred).max(-1)

    assert metrics.get(largest_error) is largest_error
    metric = metrics.as_metric(largest_error)
    assert metric.name == "largest_error"
    assert float(metric([[0.0, 1.0], [1.0, 1.0]], [[0.0, 3.0], [2.0, 1.0]])) == 1.5
    with pytest.raises(ArgumentError, match=r"metric='precison' .*did you mean 'precision'"):
        metrics.get("precison")
    with pytest.raises(ArgumentError, match=r"got 3, but a name or a metric"):
        metrics.get(3)


def test_a_metric_says_what_it_lacks():
    with pytest.raises(TypeError, match="Metric does not define update_state"):
        metrics.Metric(name="empty")([1.0], [1.0])
    with pytest.raises(TypeError, match="Metric does not define result"):
        metrics.Metric().result()


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        ([[0], [1], [1]], "sparse_categorical"),
        ([0, 1, 1], "sparse_categorical"),
        ([[1, 0], [0, 1], [0, 1]], "categorical"),
    ],
)
def test_accuracy_and_crossentropy_are_of_the_kind_that_fits(truth, kind):
    prediction = np.array([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])
    for name, function in (("acc", "accuracy"), ("ce", "crossentropy")):
        metric = metrics.as_metric(name)
        expected = np.mean(np.asarray(getattr(metrics, f"{kind}_{function}")(truth, prediction)))
        assert metric.name == name
        assert float(metric(truth, prediction)) == pytest.approx(expected, rel=1e-6)
    binary = metrics.as_metric("accuracy")
    assert float(binary([0, 1, 1], prediction[:, :1])) == pytest.approx(0 / 3)


def test_large_batches_of_float32_are_added_in_double_precision():
    # 2**24 + 1 is no float32: in it, ones would stop counting there.
    mean = metrics.Mean()
    for _ in range(3):
        mean.update_state(np.full(2**23, 1.0, np.float32))
    assert mean.total == 3 * 2**23
    accuracy = metrics.MeanAbsoluteError()
    accuracy.update_state(np.zeros((1000, 1), np.float32), np.full((1000, 1), 0.1, np.float32))
    assert accuracy.result() == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_a_metric_of_several_figures_is_logged_as_an_array(capsys):
    model = Sequential([layers.Dense(3, "softmax", input_shape=(2,))])
    model.compile("sgd", "categorical_crossentropy", metrics=[metrics.F1Score()])
    x, y = np.ones((6, 2)), np.eye(3)[[0, 1, 2, 0, 1, 2]]
    history = model.fit(x, y, verbose=2).history
    assert history["f1_score"][0].shape == (3,)
    shown = f"f1_score: {history['f1_score'][0].mean():.4f}"
    assert shown in capsys.readouterr().out


def test_metrics_of_one_s_own_are_kept_by_compile_and_begin_anew():
    class Samples(metrics.Metric):
        def __init__(self, name="samples", **kwargs):
            super().__init__(name=name, **kwargs)
            self.seen = self.add_weight(name="seen", shape=(), initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.seen.assign_add(len(y_true) if sample_weight is None else np.sum(sample_weight))

        def result(self):
            return self.seen

    model = Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse", metrics=[Samples()], weighted_metrics=[Samples("weighed")])
    x, weights = np.ones((7, 2)), np.arange(7.0)
    arguments = {"batch_size": 3, "epochs": 2, "sample_weight": weights, "verbose": 0}
    history = model.fit(x, x[:, :1], **arguments).history
    assert history["samples"] == [7, 7]
    assert history["weighed"] == [21, 21]
    assert [v.name for v in Samples().variables] == ["seen"]
    assert Samples().variables[0].dtype == np.float64  # floatx


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: metrics.Precision(thresholds=[0.5, 1.5]), r"precision: thresholds=1\.5"),
        (lambda: metrics.AUC(num_thresholds=1), "auc: num_thresholds=1, .* integer >= 2"),
        (lambda: metrics.AUC(curve="RPC"), "curve='RPC' is not known"),
        (lambda: metrics.AUC(num_labels=2), "num_labels=2 needs multi_label=True"),
        (lambda: metrics.RecallAtPrecision(1.5), r"precision=1\.5 must be a number in \[0, 1\]"),
        (lambda: metrics.IoU(2, [0, 2]), "target_class_ids holds 2, but the classes are 0 to 1"),
        (lambda: metrics.FBetaScore(beta=0.0), "beta=0.0 must be > 0"),
        (lambda: metrics.F1Score(average="mean"), "average='mean' is not known"),
        (lambda: metrics.R2Score(num_regressors=-1), "num_regressors=-1, .* integer >= 0"),
        (lambda: metrics.F1Score()([1, 0], [1.0, 0.0]), r"must be of one shape \(samples, outputs"),
        (lambda: metrics.Precision(class_id=1)([1, 0], [1.0, 0.0]), "class_id=1 needs predictions"),
        (
            lambda: metrics.AUC(multi_label=True, num_labels=2)([[1, 0, 1]], [[1.0, 0.0, 1.0]]),
            r"y_pred has shape \(1, 3\), but must be \(samples, 2\)",
        ),
        (lambda: metrics.MeanIoU(2)([0, 1], [1]), "y_true holds 2 class numbers, but y_pred 1"),
    ],
)
def test_metrics_refuse_what_is_outside_their_rule(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


def test_fractions_of_weights_are_cut_off_in_a_table_of_integers_with_a_warning():
    truth, weights = [0, 1, 1], np.array([1.0, 0.5, 2.5])
    metric = metrics.IoU(2, [1])
    with pytest.warns(UserWarning, match="fractions of sample_weight are cut off"):
        metric.update_state(truth, [0, 0, 1], weights)
    assert float(metric.result()) == pytest.approx(1.0, rel=1e-6)
    exact = metrics.IoU(2, [1], dtype="float64")
    assert float(exact(truth, [0, 0, 1], weights)) == pytest.approx(2.5 / 3, rel=1e-6)


def test_a_sample_counts_by_the_mean_of_its_places_weights():
    # So a wide image does not outweigh a narrow one; as in Keras.
    mean = metrics.Mean()
    mean.update_state([[4.0, 8.0]], [[1.0, 0.0]])
    mean.update_state([[1.0, 2.0, 3.0, 6.0]], [[1.0, 1.0, 1.0, 1.0]])
    assert float(mean.result()) == ((4 + 0) / 2 + 12 / 4) / (1 / 2 + 1)
