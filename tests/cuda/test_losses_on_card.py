"""Every loss and metric on the card: the CPU's figures, and little that is waited for or moved."""

import contextlib

import numpy as np
import pytest

from minicnn import GradientTape, Tensor, config, losses, metrics, ops
from minicnn.applications.denoising import psnr
from minicnn.errors import ArgumentError, DeviceError

RNG = np.random.default_rng(8)
SHARES = RNG.random((4, 5, 3), np.float32) + np.float32(0.1)
SHARES /= SHARES.sum(-1, keepdims=True)
ONE_HOT = np.eye(3, dtype="float32")[RNG.integers(0, 3, (4, 5))]
CLASSES = ONE_HOT.argmax(-1)
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5], "float32")

#: Losses whose truth is class numbers, though its name does not always tell.
SPARSE = ("SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy")
OPTIONS = {
    "BinaryCrossentropy": {"from_logits": True, "label_smoothing": 0.1},
    "BinaryFocalCrossentropy": {"apply_class_balancing": True},
    "CategoricalCrossentropy": {"label_smoothing": 0.1},
    "CategoricalFocalCrossentropy": {"alpha": [0.25, 0.5, 1.0]},
    "Dice": {"axis": (1, 2)},
    "Tversky": {"axis": (1, 2)},
    "SparseCategoricalCrossentropy": {"ignore_class": 1},
}


@pytest.fixture(params=["auto", "cupy"])
def setting(request, cupy):
    """The setting; results do not depend on it where operands say where they live."""
    with config.use_backend(request.param):
        yield request.param


def truth_for(name):
    return CLASSES if name in SPARSE or name.startswith("Sparse") else ONE_HOT


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("name", losses.CLASSES)
def test_a_loss_is_on_the_card_what_it_is_on_the_cpu(name, reduction, setting, unhurried):
    loss = losses.CLASSES[name](reduction=reduction, **OPTIONS.get(name, {}))
    results = []
    for device in ("cpu", "gpu"):
        parts = [Tensor(truth_for(name)), Tensor(SHARES)]
        if reduction != "sum_over_batch_size":
            parts.append(Tensor(WEIGHTS))
        true, pred, *weights = (getattr(part, device)() for part in parts)
        with unhurried() if device == "gpu" else contextlib.nullcontext():
            with GradientTape() as tape:
                tape.watch(pred)
                value = loss(true, pred, *weights)
                total = ops.sum(value)
            results.append([value, tape.gradient(total, pred)])
    for here, there in zip(*results, strict=True):
        assert (here.device, there.device) == ("cpu", "gpu")
        assert there.dtype == here.dtype == np.float32
        np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("wrong", [3, 7, -1, np.nan])
def test_a_wrong_class_number_has_no_loss_on_the_card(name, wrong, setting):
    labels = CLASSES.astype("float32")
    labels[1, 2] = wrong
    loss = losses.CLASSES[name](reduction="none")
    found = loss(Tensor(labels).gpu(), Tensor(SHARES).gpu()).numpy()
    wanted = loss(CLASSES, SHARES).numpy().copy()
    wanted[1, 2] = np.nan
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    with pytest.raises(ArgumentError, match="but y_pred has 3 classes; numbers must be 0 to 2"):
        loss(labels, Tensor(SHARES))


def test_plain_truth_follows_the_prediction_and_tensors_must_meet(setting):
    loss, pred = losses.MeanSquaredError(), Tensor(SHARES)
    wanted = float(loss(ONE_HOT, pred, WEIGHTS))
    assert float(loss(ONE_HOT, pred.gpu(), WEIGHTS)) == pytest.approx(wanted, rel=1e-6)
    assert loss(ONE_HOT, pred).device == "cpu"
    with pytest.raises(DeviceError, match=r"y_pred \(4, 5, 3\) is on the GPU, but y_true"):
        loss(Tensor(ONE_HOT), pred.gpu())
    with pytest.raises(DeviceError, match=r"values \(4, 5\) is on the GPU, but sample_weight"):
        loss(ONE_HOT, pred.gpu(), Tensor(WEIGHTS))


def test_hinges_take_truths_of_both_kinds(setting):
    for truth in (ONE_HOT, 2 * ONE_HOT - 1):
        found = losses.hinge(Tensor(truth).gpu(), Tensor(SHARES).gpu())
        np.testing.assert_allclose(found.numpy(), losses.hinge(ONE_HOT, SHARES), rtol=1e-6)


#: Metrics that need arguments, and what they are given; others get one-hot truth and shares.
MADE = {
    "IoU": (lambda: metrics.IoU(3, [0, 2]), (CLASSES, CLASSES[::-1])),
    "MeanIoU": (lambda: metrics.MeanIoU(3, ignore_class=1), (CLASSES, CLASSES[::-1])),
    "OneHotIoU": (lambda: metrics.OneHotIoU(3, [0, 1]), (ONE_HOT, SHARES)),
    "OneHotMeanIoU": (lambda: metrics.OneHotMeanIoU(3), (ONE_HOT, SHARES)),
    "BinaryIoU": (
        lambda: metrics.BinaryIoU(threshold=0.4), (ONE_HOT[..., 0], SHARES[..., 0])),
    "MeanMetricWrapper": (lambda: metrics.MeanMetricWrapper(difference), (ONE_HOT, SHARES)),
    "PrecisionAtRecall": (lambda: metrics.PrecisionAtRecall(0.5), (ONE_HOT, SHARES)),
    "RecallAtPrecision": (lambda: metrics.RecallAtPrecision(0.4), (ONE_HOT, SHARES)),
    "SensitivityAtSpecificity": (
        lambda: metrics.SensitivityAtSpecificity(0.5), (ONE_HOT, SHARES)),
    "SpecificityAtSensitivity": (
        lambda: metrics.SpecificityAtSensitivity(0.5), (ONE_HOT, SHARES)),
    "SparseCategoricalCrossentropy": (
        lambda: metrics.SparseCategoricalCrossentropy(ignore_class=1), (CLASSES, SHARES)),
    "SparseTopKCategoricalAccuracy": (
        lambda: metrics.SparseTopKCategoricalAccuracy(2), (CLASSES, SHARES)),
    "TopKCategoricalAccuracy": (lambda: metrics.TopKCategoricalAccuracy(2), (ONE_HOT, SHARES)),
    "AUC": (lambda: metrics.AUC(from_logits=True), (ONE_HOT, SHARES)),
    **{
        name: (getattr(metrics, name), (ONE_HOT[:, 0], SHARES[:, 0]))
        for name in ("FBetaScore", "F1Score", "R2Score")
    },
    **{name: (getattr(metrics, name), (SHARES,)) for name in ("Mean", "Sum")},
}  # fmt: skip


def difference(y_true, y_pred):
    """Return a figure as a user writes it, in NumPy."""
    assert type(y_true) is type(y_pred) is np.ndarray
    return np.abs(np.subtract(y_true, y_pred)).max(axis=-1)


@pytest.mark.filterwarnings("ignore:.*fractions of sample_weight")
@pytest.mark.parametrize("name", metrics.CLASSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_metric_of_tensors_on_the_card_lives_in_memory(name, weighted, setting):
    make, parts = MADE.get(name, (metrics.CLASSES[name], (truth_for(name), SHARES)))
    results = []
    one_each = "IoU" not in name  # or one for each place
    weight = WEIGHTS if one_each else RNG.integers(0, 3, CLASSES.shape)
    for device in ("cpu", "gpu"):
        metric = make()
        for _ in range(2):
            given = [getattr(Tensor(part), device)() for part in parts]
            weights = getattr(Tensor(weight), device)() if weighted else None
            metric.update_state(*given, sample_weight=weights)
        assert {v.device for v in metric.variables} == {"cpu"}
        assert metric.result().device == "cpu"
        results.append(metric.result().numpy())
        metric.reset_state()
        assert {v.device for v in metric.variables} == {"cpu"}
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("metric", "truth"),
    [
        (metrics.MeanSquaredError(), ONE_HOT),
        (metrics.RootMeanSquaredError(), ONE_HOT),
        (metrics.CategoricalAccuracy(), ONE_HOT),
        (metrics.BinaryAccuracy(), ONE_HOT),
        (metrics.AccuracyByShape(), CLASSES),
        (metrics.SparseTopKCategoricalAccuracy(2), CLASSES),
        (metrics.MeanMetricWrapper(psnr), ONE_HOT),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_of_images_one_number_each_is_moved(metric, truth, setting, cupy, monkeypatch):
    moved, get = [], cupy.ndarray.get

    def counted(array):
        moved.append(array.size)
        return get(array)

    if hasattr(cupy.ndarray, "_array"):
        monkeypatch.setattr(cupy.ndarray, "get", counted)
        metric.update_state(Tensor(truth).gpu(), Tensor(SHARES).gpu())
        assert moved == [len(truth)]
    metric.reset_state()
    metric.update_state(truth, Tensor(SHARES).gpu())  # plain data follows
    found = metric.result().numpy()
    metric.reset_state()
    metric.update_state(truth, SHARES)
    np.testing.assert_allclose(found, metric.result().numpy(), rtol=1e-6)


class Largest(metrics.Metric):
    """A metric as a user writes it, in NumPy and in operations."""

    def __init__(self):
        super().__init__(name="largest")
        self.most = self.add_weight(name="most")
        self.calls = self.add_weight(name="calls")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.most.assign(
            np.maximum(self.most.numpy(), np.max(np.asarray(y_pred) - np.asarray(y_true)))
        )
        self.calls.assign(self.calls + ops.reshape(np.ones(1, "float32"), ()))

    def result(self):
        return self.most * ops.minimum(self.calls, 1.0)


def test_a_metric_of_ones_own_gets_arrays_in_memory(setting):
    metric = Largest()
    wanted = float(metric(ONE_HOT, SHARES))
    metric.reset_state()
    assert float(metric(Tensor(ONE_HOT).gpu(), y_pred=Tensor(SHARES).gpu().data)) == wanted
    assert metric.result().device == "cpu"
