"""Runs: settings, continuing bit for bit, loading, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn.applications import figures, report
from minicnn.applications.cell_autoencoder import encoder_of
from minicnn.applications.denoising import (
    add_noise,
    best_gaussian_filter,
    median_filter,
    psnr,
)
from minicnn.applications.report import denoising_figures, write_report
from minicnn.applications.runs import (
    BACKUP,
    CHANGES,
    PRESETS,
    SETTINGS,
    Settings,
    TrainingRun,
    build,
    epochs_done,
    load_model,
    load_settings,
    preset,
)
from minicnn.callbacks import Callback
from minicnn.callbacks.history import draw_history
from minicnn.errors import ArgumentError, DataError, OutputError, WeightsError
from minicnn.models import Model
from minicnn.saving.safetensors import read_arrays

SMALL = Settings(image_size=(18, 26), filters=(3, 4), code_channels=2, noise=0.2, epochs=4)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((40, 18, 26, 3), np.float32)


def assert_same_arrays(first: Path, second: Path) -> None:
    """Compare two files bit for bit; the order of the texts in them is safetensors' own."""
    (ours, our_texts), (theirs, their_texts) = read_arrays(first), read_arrays(second)
    assert our_texts == their_texts
    assert set(ours) == set(theirs)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


class _InterruptIn(Callback):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.now = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.now == self.epoch and batch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("augment", ["none", "mirror", "all"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    tmp_path: Path, images: np.ndarray, augment: str
) -> None:
    settings = replace(SMALL, augment=augment)
    whole = TrainingRun(settings, tmp_path / "whole", images[:32], images[32:], resume=False)
    history = whole.fit(verbose=0)
    broken = TrainingRun(settings, tmp_path / "broken", images[:32], images[32:], resume=False)
    with pytest.raises(KeyboardInterrupt):
        broken.fit(verbose=0, callbacks=[_InterruptIn(2)])
    assert broken.epochs_done == 2
    resumed = TrainingRun(settings, tmp_path / "broken", images[:32], images[32:], resume=True)
    assert resumed.fit(verbose=0) == history
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert_same_arrays(tmp_path / "whole" / BACKUP, tmp_path / "broken" / BACKUP)


def test_more_epochs_go_on_where_a_run_ended(tmp_path: Path, images: np.ndarray) -> None:
    longer = replace(SMALL, epochs=6)
    short = TrainingRun(SMALL, tmp_path / "run", images[:32], images[32:], resume=False)
    first = short.fit(verbose=0)
    assert epochs_done(tmp_path / "run") == SMALL.epochs == 4
    run = TrainingRun(longer, tmp_path / "run", images[:32], images[32:], resume=True)
    rates: list[float] = []
    interrupt = _InterruptIn(5)
    interrupt.on_train_batch_end = lambda batch, logs=None: rates.append(  # type: ignore[method-assign]
        float(run.model.optimizer.learning_rate)
    )
    with pytest.raises(KeyboardInterrupt):
        run.fit(verbose=0, callbacks=[interrupt])
    # The rate of the longer curve, half a cosine down to a hundredth, after 9 of 12 steps.
    assert rates[0] == pytest.approx(
        6e-3 * (0.01 + 0.99 * (1 + np.cos(np.pi * 9 / 12)) / 2), rel=1e-5
    )
    assert (epochs_done(tmp_path / "run"), load_settings(tmp_path / "run")) == (5, longer)
    again = TrainingRun(longer, tmp_path / "run", images[:32], images[32:], resume=True)
    history = again.fit(verbose=0)
    assert [len(values) for values in history.values()] == [6] * len(history)
    assert history["loss"][:4] == first["loss"]


def test_more_epochs_for_a_run_of_none_are_as_if_begun_with_them(
    tmp_path: Path, images: np.ndarray
) -> None:
    short = TrainingRun(SMALL, tmp_path / "run", images[:32], images[32:], resume=False)
    with pytest.raises(KeyboardInterrupt):
        short.fit(verbose=0, callbacks=[_InterruptIn(0)])
    assert epochs_done(tmp_path / "run") == 0
    longer = replace(SMALL, epochs=6)
    run = TrainingRun(longer, tmp_path / "run", images[:32], images[32:], resume=True)
    run.fit(verbose=0)
    whole = TrainingRun(longer, tmp_path / "whole", images[:32], images[32:], resume=False)
    whole.fit(verbose=0)
    assert_same_arrays(tmp_path / "run" / BACKUP, tmp_path / "whole" / BACKUP)


def differences(tmp_path: Path, images: np.ndarray, augment: str) -> np.ndarray:
    """How far each image of the first batch (row) is from those in the set, and from mirrored ones.

    An array (batch, 4, images), the second axis for the four ways to mirror.
    """
    settings = replace(SMALL, noise=0.0, augment=augment)
    run = TrainingRun(settings, tmp_path / augment, images[:8], images[32:], resume=False)
    batch = next(iter(run.batches()))[1]
    ways = np.stack([images[:8, ::y, ::x] for y in (1, -1) for x in (1, -1)])
    return np.abs(batch[:, None, None] - ways).max(axis=(3, 4, 5))


def test_augmentation_changes_what_is_learned_from(tmp_path: Path, images: np.ndarray) -> None:
    found = {name: differences(tmp_path, images, name) for name in CHANGES}
    assert (found["none"][:, 0].min(axis=1) == 0).all()
    assert (found["mirror"].min(axis=(1, 2)) == 0).all()
    assert found["mirror"][:, 0].min(axis=1).max() > 0.1
    assert found["all"].min() > 0.1


def test_settings_of_a_run_from_before_augmentation_are_read(
    tmp_path: Path, images: np.ndarray
) -> None:
    TrainingRun(SMALL, tmp_path, images, images, resume=False)
    found = json.loads((tmp_path / SETTINGS).read_text())
    for key in ("augment", "filled", "original_size"):
        del found[key]
    (tmp_path / SETTINGS).write_text(json.dumps(found))
    assert load_settings(tmp_path) == replace(SMALL, filled=False)


def test_weights_of_an_older_run_keep_the_picture_in_its_place(tmp_path: Path) -> None:
    """Older networks were displaced by a row where a stage had an odd height; 18 is 9 is 5.

    The weights here copy every second row upwards and are what an older training at a height of
    18 would come to: its first stage at 9 rows left the first row of the kernel's sums out.
    """
    settings = Settings(image_size=(18, 24), filters=(1, 1), code_channels=1)
    TrainingRun(settings, tmp_path, np.zeros((2, 18, 24, 3)), np.zeros((1, 18, 24, 3)), False)
    build(settings).save_weights(tmp_path / "model.safetensors")
    for filled, expected in ((True, (0, 0)), (False, (1, 0))):
        found = json.loads((tmp_path / SETTINGS).read_text())
        found["filled"] = filled
        (tmp_path / SETTINGS).write_text(json.dumps(found))
        for size in ((18, 24), (23, 21)):
            model = load_model(tmp_path, size)
            inner = model.get_layer("decoder2_up")
            height, width = inner.output.shape[1:3]
            code = np.zeros((1, height // 2, width // 2, 1), np.float32)
            code[0, 2, 3] = 1
            kernel = np.zeros((3, 3, 1, 1), np.float32)
            kernel[expected] = 1  # what puts the code's pixel (2, 3) at the place (4, 6)
            inner.set_weights([kernel, *inner.get_weights()[1:]])
            moved = Model(inner.input, model.get_layer("decoder2_norm").input)
            result = moved.predict(code, verbose=0)
            assert np.argwhere(result[0, :, :, 0]).tolist() == [[4, 6]], (filled, size)


def test_runs_from_before_one_could_choose_were_split_by_slide(
    tmp_path: Path, images: np.ndarray
) -> None:
    TrainingRun(SMALL, tmp_path, images, images, resume=False)
    found = json.loads((tmp_path / SETTINGS).read_text())
    assert found.pop("split") == "auto"
    (tmp_path / SETTINGS).write_text(json.dumps(found))
    assert load_settings(tmp_path).split == "slide"


def test_an_interrupt_before_the_first_epoch_loses_only_that(
    tmp_path: Path, images: np.ndarray
) -> None:
    run = TrainingRun(SMALL, tmp_path, images[:32], images[32:], resume=False)
    with pytest.raises(KeyboardInterrupt):
        run.fit(verbose=0, callbacks=[_InterruptIn(0)])
    assert run.epochs_done == 0
    assert not (tmp_path / BACKUP).exists()
    again = TrainingRun(SMALL, tmp_path, images[:32], images[32:], resume=True)
    assert len(again.fit(verbose=0)["loss"]) == SMALL.epochs


def test_a_run_is_not_overwritten(tmp_path: Path, images: np.ndarray) -> None:
    TrainingRun(SMALL, tmp_path, images, images, resume=False)
    before = (tmp_path / SETTINGS).read_bytes()
    with pytest.raises(ArgumentError, match="holds a run already"):
        TrainingRun(preset("faithful"), tmp_path, images, images, resume=False)
    assert (tmp_path / SETTINGS).read_bytes() == before


def test_a_loaded_model_gives_what_the_trained_one_gave_at_any_size(
    tmp_path: Path, images: np.ndarray
) -> None:
    run = TrainingRun(SMALL, tmp_path, images[:32], images[32:], resume=False)
    run.fit(verbose=0)
    np.testing.assert_array_equal(
        load_model(tmp_path).predict(images, verbose=0), run.model.predict(images, verbose=0)
    )
    assert load_model(tmp_path, (31, 45)).output_shape == (None, 31, 45, 3)


def test_settings_survive_the_file(tmp_path: Path, images: np.ndarray) -> None:
    TrainingRun(SMALL, tmp_path, images, images, resume=False)
    assert load_settings(tmp_path) == SMALL


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "is damaged"),
        ('{"image_size": [8, 8], "filters": [2], "colour": 1}', "unknown setting 'colour'"),
        ("[]", "is damaged"),
    ],
)
def test_damaged_settings_are_refused(tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / SETTINGS).write_text(content)
    with pytest.raises(DataError, match=text):
        load_settings(tmp_path)


def test_a_folder_without_a_run_says_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no run"):
        load_model(tmp_path)
    (tmp_path / SETTINGS).write_text(json.dumps({"image_size": [8, 8], "filters": [2]}))
    with pytest.raises(WeightsError, match="there is no weights file"):
        load_model(tmp_path)


def test_an_unusable_folder_is_named(tmp_path: Path, images: np.ndarray) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to the folder"):
        TrainingRun(SMALL, tmp_path / "file", images, images, resume=False)


def test_presets_take_changes_and_check_them() -> None:
    assert preset("standard", epochs=None, noise=0.1).epochs == PRESETS["standard"].epochs
    with pytest.raises(ArgumentError, match="did you mean 'denoiser'"):
        preset("denoise")
    with pytest.raises(ArgumentError, match="epochs=0"):
        preset("standard", epochs=0)
    with pytest.raises(ArgumentError, match="noise=-1"):
        preset("standard", noise=-1)
    with pytest.raises(ArgumentError, match="augment='turn' is not known"):
        preset("standard", augment="turn")
    with pytest.raises(ArgumentError, match="decoder='up' is not known"):
        preset("standard", decoder="up")
    with pytest.raises(ArgumentError, match="split='all' is not known"):
        preset("standard", split="all")


def test_the_report_measures_and_draws(tmp_path: Path, images: np.ndarray) -> None:
    run = TrainingRun(SMALL, tmp_path, images[:32], images[32:], resume=False)
    history = run.fit(verbose=0)
    numbers, files = write_report(
        run.model, tmp_path, images[:32], images[32:], history, has_code=True
    )
    names = {"reconstructions", "denoising", "loss", "search", "codes"}
    assert {f.stem for f in files} == names
    assert all(f.read_bytes().startswith(b"\x89PNG") for f in files)
    result = run.model.predict(images[32:], verbose=0)
    errors = ((images[32:] - result) ** 2).mean(axis=(1, 2, 3))
    assert numbers["reconstruction"] == pytest.approx((-10 * np.log10(errors)).mean(), rel=1e-5)
    found = denoising_figures(run.model, images[32:], [0.1])[0]
    assert found.noisy == pytest.approx(20, abs=1.0)  # less than 20 by nothing but clipping


def test_the_report_looks_at_a_fixed_sample_in_blocks(
    tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = TrainingRun(SMALL, tmp_path, images, images, resume=False)
    many = np.random.default_rng(1).random((7000, 18, 26, 3), np.float32)
    looked: list[int] = []

    def counted(x: np.ndarray) -> np.ndarray:
        looked.append(len(x))
        return x

    monkeypatch.setattr(run.model, "predict_on_batch", counted)
    numbers = write_report(run.model, tmp_path, many, many, {}, has_code=False)[0]
    assert numbers["tested"] == 2**19 // (18 * 26) == 1120
    assert numbers["searched"] == 2**21 // (18 * 26)
    # Reconstruction, and two strengths of noise; then the eight that are shown.
    assert sum(looked) == 3 * 1120 + 8
    assert max(looked) <= 2**19 // (18 * 26 * 3)
    chosen = report.sample(many, 2**19)
    assert [float(x) for x in chosen[:3, 0, 0, 0]] == [float(many[i, 0, 0, 0]) for i in (0, 6, 12)]
    assert len(report.sample(many[:, :1, :1].repeat(600, axis=1)[:30].repeat(900, axis=2), 9)) == 16


def test_figures_in_blocks_are_those_of_all_images_at_once(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_untrained()
    noisy = add_noise(images, 0.1, seed=1)
    sigma, best = best_gaussian_filter(images, noisy)
    median = max(psnr(images, median_filter(noisy, size)).mean() for size in (3, 5))
    network = psnr(images, model.predict(noisy, verbose=0)).mean()
    for values in (2**19, 3 * images[0].size, 1):
        monkeypatch.setattr(report, "_AT_ONCE", values)
        found = denoising_figures(model, images, [0.1])[0]
        assert found.gaussian_sigma == sigma
        assert (found.gaussian, found.median, found.network, found.noisy) == pytest.approx(
            (best, median, network, psnr(images, noisy).mean()), rel=1e-5
        )


def test_one_image_is_enough_for_pictures() -> None:
    image = np.random.default_rng(0).random((1, 9, 12, 3))
    codes = np.random.default_rng(0).normal(size=(1, 2, 3, 12))
    for figure in (
        figures.draw_reconstructions(image, image * 0.9),
        figures.draw_denoising(None, image, image),
        figures.draw_codes(image, codes),
        draw_history({"loss": [1.0]}),
    ):
        figure.canvas.draw()


def test_images_in_rows_keep_their_shape_and_do_not_overlap() -> None:
    images = np.random.default_rng(0).random((2, 9, 12, 3))
    found = np.random.default_rng(1).random((2, 4, 9, 12, 3))
    titles = [["malaria\ndistance 0.1"] * 4] * 2
    figure = figures.draw_search(images, found, titles, ["query"] * 2, "nearest")
    figure.canvas.draw()
    (axes,) = figure.axes  # axes of their own for each image take Matplotlib a second
    boxes = [drawn.get_window_extent() for drawn in axes.images]
    assert len(boxes) == 10
    assert [box.height / box.width for box in boxes] == pytest.approx([9 / 12] * 10, rel=0.01)
    lines = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(lines) == 11
    for number, box in enumerate(every := [*boxes, *lines]):
        assert figure.bbox.containsx(box.x0)
        assert figure.bbox.containsy(box.y1)
        assert not any(box.overlaps(other) for other in every[:number])


def test_the_encoder_gives_the_codes_that_the_network_draws_from(images: np.ndarray) -> None:
    model = load_untrained()
    codes = encoder_of(model).predict(images, verbose=0)
    assert codes.shape == (40, 5, 7, 2)
    assert codes.min() < 0 < codes.max()


def load_untrained() -> Any:
    from minicnn.applications.runs import build

    return build(SMALL)
